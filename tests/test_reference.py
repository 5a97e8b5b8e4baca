"""The reference entries on the command line."""

from __future__ import annotations

import pytest

from minigrad.__main__ import main
from minigrad.core.registry import REGISTRY
from minigrad.reference import entry


def test_all_ops_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(REGISTRY)
    assert any(line.startswith("matmul ") for line in lines)


def test_an_entry_shows_signature_docstring_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "RealDiv", "argmax"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("divide(x1, x2, /)\n")
    assert "node:       RealDiv" in text
    assert "gradient:   none: an index is an integer" in text


def test_an_unknown_op_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "nope"]) == 1
    assert "no primitive is called 'nope'" in capsys.readouterr().out


@pytest.mark.parametrize("op", sorted(REGISTRY))
def test_every_primitive_has_an_entry(op: str) -> None:
    assert "checked on:" in entry(REGISTRY[op])

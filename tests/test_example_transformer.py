"""The transformer example does what it says, in runs of a few seconds."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example, imported as its own command would: the folder of the examples is on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield importlib.import_module("transformer")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


def test_words_become_tokens_and_words_again(example: Any) -> None:
    words, written, wanted = example.example_of(["abc", "zz"])
    assert words.tolist() == [[3, 4, 5, 2], [28, 28, 2, 0]]
    assert wanted.tolist() == [[5, 4, 3, 2], [28, 28, 2, 0]]
    assert written[:, 0].tolist() == [1, 1]
    assert (written[:, 1:] == wanted[:, :-1]).all()
    assert [example.spelled(row) for row in words] == ["abc", "zz"]
    assert example.spelled(np.array([3, 0, 4])) == "a?b"
    drawn = example.draw_words(50, np.random.default_rng(0))
    assert {len(word) for word in drawn} == set(range(4, 11))
    again = example.draw_words(49, np.random.default_rng(0), {drawn[7]})
    assert again == drawn[:7] + drawn[8:]


def test_the_example_does_all_it_says(
    example: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(example, "HELD_OUT", 20)
    outcome = example.main(["--steps", "60", "--out", str(tmp_path)])
    assert np.mean(outcome["losses"][-5:]) < 0.75 * np.mean(outcome["losses"][:5])
    assert 0.0 <= outcome["accuracy"] <= 1.0
    printed = capsys.readouterr().out
    assert re.search(r"step +60 +loss \d\.\d+ +accuracy 0\.\d{3}\n", printed)
    assert re.search(r"  minigrad -> \w* ", printed)
    assert re.search(r"test accuracy \d\.\d{4}: all letters right of 20 words", printed)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "transformer.svg",
        "transformer_attention.svg",
    ]
    text = (tmp_path / "transformer_attention.svg").read_text(encoding="utf-8")
    assert text.count('<g id="axes_') == 2


def test_short_words_are_learnt_and_the_two_accuracies_are_the_same(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "SHORTEST", 1)
    monkeypatch.setattr(example, "LONGEST", 4)
    monkeypatch.setattr(example, "LETTERS", "abcdef")
    words = example.draw_words(200, np.random.default_rng(1))
    net = example.Training(150)
    with mg.Session(graph=net.graph) as session:
        session.run(net.initialize)
        losses, exact = example.fit(net, session, 150, set())
        answers = example.write(net, session, words)
        shown = session.run(
            net.exact,
            dict(zip([net.words, net.written, net.wanted], example.example_of(words), strict=True)),
        )
    assert len(losses) == len(exact) == 150
    alone = np.mean([answer == word[::-1] for answer, word in zip(answers, words, strict=True)])
    # Shown the right letters, it is right about whole words exactly where it is so by itself.
    assert alone == pytest.approx(shown)
    assert alone > 0.5

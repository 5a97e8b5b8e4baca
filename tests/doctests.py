"""A pytest plugin for `make docs`: examples know `mg` and `np`, and those in Markdown pages run."""

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

import minigrad as mg

NAMES: dict[str, Any] = {"mg": mg, "np": np}


@pytest.fixture(autouse=True)
def names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(NAMES)


# The python blocks of a page run in order, in one namespace. Where a block shows a session (>>>),
# what it prints is compared. `<!--- skip: next -->` before a block leaves it out.
pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE),
        SkipParser(),
    ],
    path=str(Path(__file__).resolve().parents[1]),
    patterns=["*.md"],
    setup=lambda namespace: namespace.update(NAMES),
).pytest()

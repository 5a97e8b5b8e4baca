"""The convolutional example, for a few epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest


def test_the_convnet_learns_and_draws(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = example("convnet").main(["--epochs", "3", "--out", str(tmp_path)])
    assert outcome["accuracy"] >= 0.9
    assert np.mean(outcome["losses"][-20:]) < 0.3 * outcome["losses"][0]
    printed = capsys.readouterr().out
    assert "first_norm   BatchNorm  (?, 8, 8, 16)" in printed
    assert "test accuracy 0.9" in printed
    drawing = ElementTree.parse(tmp_path / "convnet.svg").getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert (tmp_path / "convnet_filters.png").read_bytes().startswith(b"\x89PNG")

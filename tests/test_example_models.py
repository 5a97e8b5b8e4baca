"""The examples that train larger models do what they say, in runs of a few seconds."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports an example as its own command would: the folder of the examples is on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


def written(folder: Path) -> list[str]:
    """The names of the files in a folder, none of them empty."""
    assert all(path.stat().st_size > 1000 for path in folder.iterdir())
    return sorted(path.name for path in folder.iterdir())


def test_the_autoencoder_beats_principal_components(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = example("autoencoder").main(["--epochs", "16", "--out", str(tmp_path)])
    for row in outcome["errors"].values():
        assert row["autoencoder"] < 0.95 * row["PCA"]
    train, _, test = example("digits_data").load(standardise=False)
    assert 0.0 <= test.images.min() < test.images.max() == 1.0
    # The baseline is scikit-learn's.
    pca = PCA(8, svd_solver="full").fit(train.images)
    restored = pca.inverse_transform(pca.transform(test.images))
    error = np.mean((restored - test.images) ** 2)
    assert outcome["errors"]["clean"]["PCA"] == pytest.approx(error, rel=1e-4)
    printed = capsys.readouterr().out
    assert re.search(r"epoch +16 +loss 0\.0\d+ +dev error 0\.0\d+\n", printed)
    assert re.search(r"noisy pictures +0\.0\d+ +0\.0\d+\n", printed)
    assert written(tmp_path) == ["autoencoder.png", "autoencoder_error.svg"]

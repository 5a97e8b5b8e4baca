"""The examples that train larger models do what they say, in runs of a few seconds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

import minigrad as mg


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


def test_batch_normalisation_widens_the_range_of_rates(
    example: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = example("batchnorm")
    monkeypatch.setattr(module, "RATES", (0.1, 1.0))
    outcome = module.main(["--epochs", "8", "--out", str(tmp_path)])
    plain, normalised = (outcome["runs"][f"{word} batch norm"] for word in ("without", "with"))
    for rate in (0.1, 1.0):
        assert normalised[rate].steps_to_goal < 100
        assert normalised[rate].silent < 0.05
        assert (plain[rate].steps_to_goal or 1000) > normalised[rate].steps_to_goal + 50
    assert plain[1.0].accuracy < 0.3 < 0.8 < normalised[1.0].accuracy
    gradients = [np.array(norms) for norms in outcome["gradients"].values()]
    assert [len(norms) for norms in gradients] == [10, 10]
    assert (gradients[1] > 10 * gradients[0]).all()
    printed = capsys.readouterr().out
    assert re.search(r"epoch +32 +network with batch norm +rate 1 +loss \d\.\d+\n", printed)
    assert re.search(r"\n +1 +never +0\.\d+ +\d+% +\d+ +0\.\d+ +0%\n", printed)
    assert written(tmp_path) == ["batchnorm.svg", "batchnorm_gradients.svg"]


def test_both_networks_start_from_the_same_weights_and_testing_leaves_no_trace(
    example: Any,
) -> None:
    module = example("batchnorm")
    data = example("digits_data").load()
    starts = []
    for normalised in (False, True):
        experiment = module.Experiment(normalised, "relu")
        with mg.Session(graph=experiment.graph) as session:
            session.run(experiment.initialize)
            starts.append(session.run(experiment.weights))
    for plain, other in zip(*starts, strict=True):
        np.testing.assert_array_equal(plain, other)
    # The same graph: the averages stay as they are in a test, and move in training.
    variables = experiment.graph.get_collection(mg.GraphKeys.GLOBAL_VARIABLES)
    averages = [v for v in variables if v.name.endswith("moving_mean")]
    assert len(averages) == 9
    feed = {experiment.images: data.test.images, experiment.labels: data.test.labels}
    with mg.Session(graph=experiment.graph) as session:
        session.run(experiment.initialize)
        session.run(experiment.accuracy, feed)
        assert not any(value.any() for value in session.run(averages))
        session.run(experiment.loss, {**feed, experiment.training: True})
        assert all(value.any() for value in session.run(averages))

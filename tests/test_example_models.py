"""The examples that train larger models do what they say, in runs of a few seconds."""

from __future__ import annotations

import random
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


def test_the_lstm_learns_to_write(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = example("char_lstm").main(["--steps", "110", "--out", str(tmp_path)])
    losses, limit = outcome["losses"], outcome["limit"]
    assert len(losses) == 110
    # From log2(25) bits, with all characters alike, most of the way to what the grammar allows.
    assert losses[0] == pytest.approx(np.log2(25), abs=0.4)
    assert limit < np.mean(losses[-20:]) < limit + 0.25
    rules = " ".join([rule for options in example("grammar").RULES.values() for rule in options])
    words = set(re.findall("[a-z]+", rules))
    assert len(outcome["shown"]) == 10
    used = " ".join(outcome["shown"]).replace(".", "").split()
    assert np.mean([word in words for word in used]) > 0.9
    printed = capsys.readouterr().out
    assert re.search(r"step +110 +bits 0\.\d+\n", printed)
    assert f"\n    {outcome['shown'][-1]}" in printed
    assert written(tmp_path) == ["char_lstm.svg"]


def test_the_grammar_knows_its_own_sentences_and_what_they_tell(example: Any) -> None:
    grammar = example("grammar")
    rng = random.Random(1)
    sentences = [grammar.made_up(rng) for _ in range(20_000)]
    right = re.compile(grammar.pattern())
    assert all(right.fullmatch(sentence) for sentence in sentences)
    assert right.fullmatch("one fox that feeds two mice hunts the hen.")
    assert not right.fullmatch("one fox that feeds two mice hunt the hen.")
    assert not right.fullmatch("one fox hunts the hen")
    bits, characters = grammar.information()
    assert np.mean([len(sentence) for sentence in sentences]) == pytest.approx(characters, rel=0.01)
    # "one" is a choice of 2 and then of 6 animals, and of none (twice) or 4 adjectives.
    how = -(np.log2(2 / 6) * 2 / 6 + np.log2(1 / 6) * 4 / 6)
    assert grammar.information("one")[0] == pytest.approx(1 + np.log2(6) + how)
    # One of the two kinds of sentences, and a subject and an object at least.
    assert bits > 1 + 2 * grammar.information("one")[0]

"""The examples run, and their lazy and eager forms are the same training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg


def test_both_digit_classifiers_have_the_same_losses(example: Any) -> None:
    lazy, eager, source = (example(n) for n in ("digits", "digits_eager", "digits_data"))
    data = source.load()
    model = lazy.Model()
    with mg.Session(graph=model.graph) as session:
        session.run(model.initialize)
        in_session = lazy.fit(model, session, data, epochs=3)
        weights = session.run(model.variables)
        accuracy = session.run(
            model.accuracy, {model.images: data.dev.images, model.labels: data.dev.labels}
        )
    twin = eager.Model()
    on_tape = eager.fit(twin, data, epochs=3)
    assert len(in_session) == len(on_tape) == 120
    assert on_tape[-1] < 0.5 * on_tape[0]
    np.testing.assert_allclose(in_session, on_tape, rtol=0, atol=1e-5)
    for theirs, own in zip(weights, twin.variables, strict=True):
        np.testing.assert_allclose(theirs, own.numpy(), rtol=0, atol=1e-5)
    assert accuracy == pytest.approx(twin.accuracy(*data.dev))


def test_the_data_are_split_and_normalised_by_the_training_set(example: Any) -> None:
    data = example("digits_data").load()
    assert [len(part.labels) for part in data] == [1257, 270, 270]
    assert data.train.images.dtype == np.float32
    # The pixels that vary have mean 0 in the training set, but for what clipping at ±5 takes away.
    assert np.abs(data.train.images.mean(axis=0)).max() < 0.1
    assert 0.0 < np.abs(data.test.images.mean(axis=0)).max() < 1.0


def test_the_digits_example_does_all_it_says(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = example("digits").main(["--epochs", "12", "--out", str(tmp_path)])
    assert outcome["gradients_right"]
    assert outcome["restored_same"]
    assert outcome["accuracy"] >= 0.96
    assert len(outcome["losses"]) == 12 * 40
    printed = capsys.readouterr().out
    assert "gradient check: right" in printed
    assert "gives the same predictions" in printed
    assert "test accuracy 0.9" in printed
    assert re.search(r"epoch +12 +loss 0\.0\d+ +dev accuracy 0\.9\d+\n", printed)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits.safetensors", "digits.svg"]
    drawing = ElementTree.parse(tmp_path / "digits.svg").getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    text = " ".join(drawing.itertext())
    for label in ("images", "labels", "hidden", "output", "loss", "MatMul"):
        assert label in text


def test_the_eager_example_runs(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = example("digits_eager").main(["--epochs", "2"])
    assert outcome["accuracy"] > 0.9
    assert "test accuracy" in capsys.readouterr().out

"""Dropout and noise as modules: the same numbers eagerly and in runs, and none outside training."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError

X = np.random.default_rng(0).normal(size=(4, 5, 6))

MAKERS: list[Any] = [
    lambda: nn.Dropout(0.4),
    lambda: nn.Dropout(0.4, noise_shape=(None, 1, None)),
    lambda: nn.SpatialDropout(0.5),
    lambda: nn.SpatialDropout1d(0.5, data_format="NCW"),
    lambda: nn.AlphaDropout(0.3),
    lambda: nn.GaussianDropout(0.3),
    lambda: nn.GaussianNoise(0.3),
]


@pytest.fixture(autouse=True)
def _unseeded_afterwards() -> Any:
    yield
    mg.random.seed(None)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("by_tensor", [False, True])
def test_the_tth_call_and_the_tth_run_draw_the_same(make: Any, by_tensor: bool) -> None:
    mg.random.seed(5)
    eager = make()
    calls = [np.asarray(eager(X)) for _ in range(3)]
    assert not np.array_equal(calls[0], calls[1])
    mg.random.seed(5)
    lazy = make()
    with mg.Graph().as_default(), mg.Session() as session:
        training: Any = mg.placeholder("bool", ()) if by_tensor else True
        flag = {training: True} if by_tensor else {}
        x = mg.placeholder("float64", (None, None, 6))
        y = lazy(x, training=training)
        runs = [session.run(y, {x: X, **flag}) for _ in range(3)]
    assert_array_equal(runs, calls)
    # Both generators went equally far: what follows agrees too.
    assert_array_equal(np.asarray(lazy(X)), np.asarray(eager(X)))


@pytest.mark.parametrize("make", MAKERS)
def test_outside_training_nothing_changes_and_nothing_is_drawn(make: Any) -> None:
    layer = make()
    place = layer.generator.counter
    assert_array_equal(np.asarray(layer(X, training=False)), X)
    with mg.Graph().as_default(), mg.Session() as session:
        training = mg.placeholder("bool", ())
        x = mg.placeholder("float64", (None, 5, 6))
        y = layer(x, training=training)
        (slope,) = mg.gradients(mg.sum(y), [x])
        got, g = session.run([y, slope], {x: X, training: False})
        assert_array_equal(got, X)
        assert_array_equal(g, np.ones_like(X))
        assert layer.generator.counter == place
        got, g = session.run([y, slope], {x: X, training: True})
        assert layer.generator.counter > place
        assert not np.array_equal(got, X)
        if not isinstance(layer, nn.GaussianNoise | nn.AlphaDropout):
            # y = factor · x, and the factor is the gradient: the same draw in both directions.
            assert_allclose(got, g * X, rtol=1e-6)
    layer.eval()
    assert_array_equal(np.asarray(layer(X)), X)


def test_what_is_kept_is_divided_by_the_rate_of_keeping() -> None:
    layer = nn.Dropout(0.75, seed=1)
    y = np.asarray(layer(np.ones(4000)))
    assert set(np.unique(y)) == {0.0, 4.0}
    assert 0.22 < (y > 0).mean() < 0.28


@pytest.mark.parametrize(
    ("layer", "shape", "channels"),
    [
        (nn.SpatialDropout1d(seed=1), (3, 5, 8), -1),
        (nn.SpatialDropout2d(seed=1), (3, 5, 4, 8), -1),
        (nn.SpatialDropout2d(data_format="NCHW", seed=1), (3, 8, 5, 4), 1),
        (nn.SpatialDropout3d(seed=1), (3, 2, 2, 2, 8), -1),
        (nn.SpatialDropout(seed=1), (3, 5, 8), -1),
    ],
)
def test_whole_channels_are_dropped(
    layer: nn.Module, shape: tuple[int, ...], channels: int
) -> None:
    y = np.moveaxis(np.asarray(layer(np.ones(shape))), channels, 1).reshape(3, 8, -1)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y == y[:, :, :1]).all()


def test_two_layers_of_one_seed_draw_apart_and_a_seed_fixes_one() -> None:
    mg.random.seed(1)
    first, second = nn.Dropout(0.5), nn.Dropout(0.5)
    assert not np.array_equal(np.asarray(first(X)), np.asarray(second(X)))
    a, b = nn.Dropout(0.5, seed=3), nn.Dropout(0.5, seed=3)
    assert_array_equal(np.asarray(a(X)), np.asarray(b(X)))


def test_copies_and_pickles_go_on_where_the_original_is() -> None:
    layer = nn.Dropout(0.5)
    layer(X)
    copied, thawed = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    expected = np.asarray(layer(X))
    assert_array_equal(np.asarray(copied(X)), expected)
    assert_array_equal(np.asarray(thawed(X)), expected)


def test_the_mask_is_the_same_when_a_checkpoint_recomputes_it() -> None:
    layer = nn.Dropout(0.5, seed=4)
    x = mg.constant(X)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = mg.checkpoint(layer)(x)
        loss = mg.sum(y)
    g = tape.gradient(loss, x)
    assert_allclose(np.asarray(g) * X, np.asarray(y), rtol=1e-15)


def test_a_rate_that_a_run_decides() -> None:
    with mg.Graph().as_default(), mg.Session() as session:
        rate = mg.placeholder("float32", ())
        layer = nn.Dropout(rate, seed=1)
        y = layer(mg.constant(np.ones(1000)))
        assert (session.run(y, {rate: 0.0}) == 1.0).all()
        assert 0.85 < (session.run(y, {rate: 0.9}) == 0.0).mean() < 0.95
        with pytest.raises(ArgumentError, match=r"between 0 and 1, got 1\.5"):
            session.run(y, {rate: 1.5})


def test_reprs() -> None:
    assert repr(nn.Dropout(0.25)) == "Dropout(rate=0.25)"
    assert repr(nn.Dropout(0.5, noise_shape=(1,))) == "Dropout(rate=0.5, noise_shape=(1,))"
    assert repr(nn.GaussianNoise(0.1)) == "GaussianNoise(stddev=0.1)"
    assert nn.AlphaDropout(0.1).rate == 0.1
    assert nn.GaussianNoise(0.1).stddev == 0.1


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
@pytest.mark.parametrize(
    "make", [nn.Dropout, nn.SpatialDropout2d, nn.AlphaDropout, nn.GaussianDropout]
)
def test_rates_are_checked_when_the_layer_is_made(make: Any, rate: float) -> None:
    with pytest.raises(ArgumentError, match=rf"{make.__name__}: the rate .* between 0 and 1"):
        make(rate)


def test_errors() -> None:
    with pytest.raises(ArgumentTypeError, match="Dropout: the rate must be a number"):
        nn.Dropout("half")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="below 1"):
        nn.GaussianDropout(1.0)
    with pytest.raises(ArgumentError, match="GaussianNoise: stddev must not be negative"):
        nn.GaussianNoise(-1.0)
    with pytest.raises(ArgumentError, match="must be one of 'NHWC', 'NCHW', got 'NWC'"):
        nn.SpatialDropout2d(data_format="NWC")
    with pytest.raises(ShapeError, match="rank 4"):
        nn.SpatialDropout2d()(X)
    with pytest.raises(ArgumentTypeError, match="training is True, False or a boolean"):
        nn.Dropout()(X, training=1)

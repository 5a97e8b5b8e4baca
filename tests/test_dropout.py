"""Dropout: exact masks, scaling, what stays and what goes, in both modes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

#: The uniform numbers that TensorFlow 1 draws with seed 2: 0.679, 0.714, 0.470, 0.482.
SEED_2 = [0.6787466, 0.7141509, 0.46981692, 0.4819697]


def test_scaling_by_hand() -> None:
    assert mg.random.uniform((4,), seed=2).tolist() == pytest.approx(SEED_2, abs=1e-7)
    x = [1.0, 2.0, 3.0, 4.0]
    # Kept where the number is at least the rate, and then divided by what share is kept.
    assert nn.dropout(x, 0.5, seed=2).tolist() == [2.0, 4.0, 0.0, 0.0]
    assert nn.dropout(x, 0.7, seed=2).numpy() == pytest.approx([0.0, 2.0 / 0.3, 0.0, 0.0])
    assert nn.dropout(x, 0.2, seed=2).tolist() == [1.25, 2.5, 3.75, 5.0]


def test_the_gradient_meets_the_same_mask() -> None:
    x = mg.asarray([1.0, 2.0, 3.0, 4.0])
    slope = mg.grad(lambda v: mg.sum(nn.dropout(v, 0.5, seed=2) ** 2))(x)
    assert slope.tolist() == [8.0, 16.0, 0.0, 0.0]  # 2 · 2² · x where kept.


def test_the_mean_is_preserved() -> None:
    x = np.full(100_000, 3.0)
    for rate in (0.1, 0.5, 0.9):
        y = nn.dropout(x, rate, seed=1).numpy()
        assert_allclose((y == 0).mean(), rate, atol=0.005)
        assert_allclose(y.mean(), 3.0, atol=0.1)
        assert_allclose(y[y != 0], 3.0 / (1 - rate), rtol=1e-14)


def test_rates_0_and_1_and_no_training_are_exact() -> None:
    x = np.array([0.1, np.inf, -2.5])
    assert nn.dropout(x, 0).tolist() == x.tolist()
    assert nn.dropout(x, 1).tolist() == [0.0, 0.0, 0.0]
    assert nn.dropout(x, 0.5, training=False).tolist() == x.tolist()
    assert mg.grad(lambda v: mg.sum(nn.dropout(v, 1.0)))(x).tolist() == [0.0, 0.0, 0.0]
    assert nn.alpha_dropout(x, 1).tolist() == [0.0, 0.0, 0.0]
    for f in (nn.spatial_dropout, nn.alpha_dropout, nn.gaussian_dropout, nn.gaussian_noise):
        assert f(x[None], 0.0).tolist() == [x.tolist()]
        assert f(x[None], 0.5, training=False).tolist() == [x.tolist()]


def test_one_graph_serves_training_and_testing_and_any_rate() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32")
        training = mg.placeholder_with_default(False, ())
        rate = mg.placeholder_with_default(0.5, ())
        y = nn.dropout(x, rate, training=training, seed=2)
        slope = mg.gradients(y, x)[0]
        feed = {x: np.array([1.0, 2.0, 3.0, 4.0], np.float32)}
        for given, expected in (
            ({}, [1, 1, 1, 1]),
            ({training: True}, [2, 2, 0, 0]),
            ({training: True, rate: 0.0}, [1, 1, 1, 1]),
            ({training: True, rate: 1.0}, [0, 0, 0, 0]),
        ):
            with mg.Session() as session:  # A new session draws from the start.
                value, gradient = session.run([y, slope], feed | given)
            assert gradient.tolist() == expected
            assert value.tolist() == (feed[x] * np.array(expected)).tolist()
        with mg.Session() as session, pytest.raises(ArgumentError, match=r"0 and 1, got 1\.5"):
            session.run(y, feed | {training: True, rate: 1.5})


def test_every_run_and_every_call_draws_anew_and_both_modes_the_same() -> None:
    x = np.ones(1000)
    eager = mg.random.Generator(seed=3)
    calls = [nn.dropout(x, 0.5, generator=eager).numpy() for _ in range(3)]
    assert (calls[0] != calls[1]).any()
    with mg.Graph().as_default():
        y = nn.dropout(mg.placeholder("float64", name="x"), 0.5, generator=mg.random.Generator(3))
        free = nn.dropout(x, 0.5)
        with mg.Session() as session:
            runs = [session.run(y, {"x:0": x}) for _ in range(3)]
            assert (session.run(free) != session.run(free)).any()
    for call, run in zip(calls, runs, strict=True):
        assert (call == run).all()


def test_a_mask_can_be_shared_along_axes() -> None:
    x = np.ones((50, 7, 3))
    rows = nn.dropout(x, 0.5, seed=1, noise_shape=(None, 1, 1)).numpy()
    assert (rows == rows[:, :1, :1]).all()
    assert set(rows[:, 0, 0]) == {0.0, 2.0}
    columns = nn.dropout(x, 0.5, seed=1, noise_shape=np.array([1, 7, 1])).numpy()
    assert (columns == columns[:1, :, :1]).all()
    with mg.Graph().as_default():
        free = mg.placeholder("float64", (None, None, 3))
        y = nn.dropout(free, 0.5, seed=1, noise_shape=(None, 1, 1))
        wrong = nn.dropout(free, 0.5, noise_shape=mg.placeholder("int64", (3,), name="noise"))
        with mg.Session() as session:
            assert (session.run(y, {free: x}) == rows).all()
            with pytest.raises(ShapeError, match="do not broadcast"):
                session.run(wrong, {free: x, "noise:0": [2, 1, 3]})


def test_whole_channels_are_dropped() -> None:
    x = np.ones((40, 6, 5, 3))
    y = nn.spatial_dropout(x, 0.5, seed=1).numpy()
    assert (y == y[:, :1, :1, :]).all()
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y[:, 0, 0, 0] != y[:, 0, 0, 1]).any()
    first = nn.spatial_dropout(np.moveaxis(x, -1, 1), 0.5, seed=1, data_format="NCHW").numpy()
    assert (np.moveaxis(first, 1, -1) == y).all()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).normal(size=200_000)
    for rate in (0.1, 0.5):
        y = nn.alpha_dropout(x, rate, seed=1).numpy()
        assert_allclose([y.mean(), y.var()], [0.0, 1.0], atol=0.02)
    # By hand, with rate 1/2 and c = 1.7580993408473766: a = (1/2 + c²/4)^-1/2, b = a c / 2.
    c = 1.7580993408473766
    a = (0.5 + c * c / 4) ** -0.5
    y = nn.alpha_dropout([1.0, 2.0, 3.0, 4.0], 0.5, seed=2).tolist()
    b = a * c / 2
    assert y == pytest.approx([a + b, 2 * a + b, -a * c + b, -a * c + b], rel=1e-6)
    with mg.Graph().as_default():
        rate = mg.placeholder("float32", ())
        z = nn.alpha_dropout(mg.asarray([1.0, 2.0, 3.0, 4.0]), rate, seed=2)
        with mg.Session() as session:
            assert session.run(z, {rate: 0.5}).tolist() == pytest.approx(y, rel=1e-6)
        with mg.Session() as session:
            assert_allclose(session.run(z, {rate: 1.0}), 0.0, atol=1e-7)


def test_normal_noise_has_the_moments_that_it_should() -> None:
    x = np.full(100_000, 2.0)
    added = nn.gaussian_noise(x, 0.5, seed=1).numpy()
    assert_allclose([added.mean(), added.std()], [2.0, 0.5], atol=0.01)
    times = nn.gaussian_dropout(x, 0.2, seed=1).numpy()  # Variance 2² · 0.2 / 0.8 = 1.
    assert_allclose([times.mean(), times.std()], [2.0, 1.0], atol=0.02)
    assert nn.gaussian_noise(x.astype(np.float16), 0.5).dtype is mg.float16


def test_masks_do_not_depend_on_the_dtype() -> None:
    x = np.arange(1.0, 101.0)
    masks = [nn.dropout(x.astype(d), 0.3, seed=5).numpy() != 0 for d in ("f2", "f4", "f8")]
    assert (masks[0] == masks[1]).all()
    assert (masks[1] == masks[2]).all()


def test_dtypes() -> None:
    for dtype in ("float16", "float32", "float64"):
        assert nn.dropout(np.ones(3, dtype), 0.5).dtype is mg.as_dtype(dtype)
        made = nn.dropout(np.ones(3, dtype), mg.asarray(0.5), training=mg.asarray(True))
        assert made.dtype is mg.as_dtype(dtype)
    assert nn.dropout([1, 2], 0.0).dtype is mg.float32
    with pytest.raises(DTypeError, match="real numbers"):
        nn.dropout(np.ones(2, complex), 0.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.dropout([1.0], -0.5), ArgumentError, r"dropout: .* 0 and 1, got -0\.5"),
        (lambda: nn.dropout([1.0], mg.asarray(2.0)), ArgumentError, r"got 2\.0"),
        (lambda: nn.dropout([1.0], [0.5]), ArgumentTypeError, "rate must be a number"),
        (lambda: nn.dropout([1.0], 0.5, training=None), ArgumentTypeError, "got None"),
        (lambda: nn.dropout([1.0], 0.5, training=mg.asarray(1)), ArgumentTypeError, "boolean"),
        (lambda: nn.dropout([1.0], 0.5, noise_shape=(2,)), ShapeError, r"\(2,\) does not"),
        (lambda: nn.dropout([1.0], 0.5, seed=1.5), ArgumentTypeError, "seed"),
        (lambda: nn.gaussian_dropout([1.0], 1.0), ArgumentError, "below 1"),
        (lambda: nn.gaussian_noise([1.0], -1.0), ArgumentError, "stddev must not be negative"),
        (lambda: nn.spatial_dropout([1.0], 0.5), ShapeError, r"at least 2 .*\(1,\)"),
    ],
)
def test_bad_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()

"""Activations: values by their textbook formulas, limits, corners, and use in graphs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError

INF = math.inf
Function = Callable[..., Any]


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


#: Each activation with its formula in plain Python.
FORMULAS: dict[str, tuple[Function, Callable[[float], float]]] = {
    "relu": (nn.relu, lambda x: max(x, 0.0)),
    "relu6": (nn.relu6, lambda x: min(max(x, 0.0), 6.0)),
    "leaky_relu": (nn.leaky_relu, lambda x: x if x > 0 else 0.01 * x),
    "elu": (lambda x: nn.elu(x, 0.5), lambda x: x if x > 0 else 0.5 * math.expm1(x)),
    "selu": (
        nn.selu,
        lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    ),
    "celu": (lambda x: nn.celu(x, 2.0), lambda x: x if x > 0 else 2.0 * math.expm1(x / 2.0)),
    "gelu": (nn.gelu, lambda x: x * phi(x)),
    "gelu, tanh": (
        lambda x: nn.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (nn.silu, lambda x: x / (1 + math.exp(-x))),
    "mish": (nn.mish, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    "softsign": (nn.softsign, lambda x: x / (1 + abs(x))),
    "log_sigmoid": (nn.log_sigmoid, lambda x: -math.log1p(math.exp(-x))),
    "hardtanh": (nn.hardtanh, lambda x: min(max(x, -1.0), 1.0)),
    "hardsigmoid": (nn.hardsigmoid, lambda x: min(max(x + 3, 0.0), 6.0) / 6),
    "hardswish": (nn.hardswish, lambda x: x * min(max(x + 3, 0.0), 6.0) / 6),
    "tanhshrink": (nn.tanhshrink, lambda x: x - math.tanh(x)),
    "softshrink": (nn.softshrink, lambda x: math.copysign(max(abs(x) - 0.5, 0.0), x)),
    "hardshrink": (nn.hardshrink, lambda x: x if abs(x) > 0.5 else 0.0),
    "threshold": (lambda x: nn.threshold(x, 1.0, -2.0), lambda x: x if x > 1 else -2.0),
}

#: Value and slope at -inf and at inf.
LIMITS: dict[str, tuple[float, float, float, float]] = {
    "relu": (0, INF, 0, 1),
    "relu6": (0, 6, 0, 0),
    "leaky_relu": (-INF, INF, 0.01, 1),
    "elu": (-0.5, INF, 0, 1),
    "selu": (-1.0507009873554805 * 1.6732632423543772, INF, 0, 1.0507009873554805),
    "celu": (-2, INF, 0, 1),
    "gelu": (0, INF, 0, 1),
    "gelu, tanh": (0, INF, 0, 1),
    "silu": (0, INF, 0, 1),
    "mish": (0, INF, 0, 1),
    "softsign": (-1, 1, 0, 0),
    "log_sigmoid": (-INF, 0, 1, 0),
    "hardtanh": (-1, 1, 0, 0),
    "hardsigmoid": (0, 1, 0, 0),
    "hardswish": (0, INF, 0, 1),
    "tanhshrink": (-INF, INF, 1, 1),
    "softshrink": (-INF, INF, 1, 1),
    "hardshrink": (-INF, INF, 1, 1),
    "threshold": (-2, INF, 0, 1),
}

every_activation = pytest.mark.parametrize("name", FORMULAS)


@every_activation
@pytest.mark.parametrize(("dtype", "close"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_values_follow_the_formula(name: str, dtype: Any, close: float) -> None:
    function, formula = FORMULAS[name]
    x = np.random.default_rng(0).uniform(-8, 8, (4, 50)).astype(dtype)
    y = function(x)
    assert y.dtype.dtype == dtype
    expected = [[formula(float(v)) for v in row] for row in x]
    assert_allclose(np.asarray(y), expected, rtol=close, atol=close)


@every_activation
def test_nothing_overflows_and_limits_are_reached(name: str) -> None:
    function, _ = FORMULAS[name]
    left, right, left_slope, right_slope = LIMITS[name]
    for far in (INF, 1e300):
        x = mg.asarray(np.array([-far, far]))
        y, slope = np.asarray(function(x)), mg.grad(lambda v: mg.sum(function(v)))(x)
        if far == INF:
            assert_allclose(y, [left, right], rtol=1e-15)
        else:
            assert np.isfinite(y).all()
        assert_allclose(np.asarray(slope), [left_slope, right_slope], atol=1e-15)
        bend = mg.grad(lambda v: mg.sum(mg.grad(lambda u: mg.sum(function(u)))(v)))(x)
        assert_array_equal(np.asarray(bend), [0.0, 0.0])


@every_activation
def test_large_arguments_and_nan(name: str) -> None:
    function, _ = FORMULAS[name]
    for dtype in (np.float16, np.float32, np.float64):
        x = mg.asarray(np.array([-1e4, 1e4], dtype))
        for values in (function(x), mg.grad(lambda v: mg.sum(function(v)))(x)):
            assert np.isfinite(np.asarray(values)).all()
    assert np.isnan(np.asarray(function(np.array([np.nan])))).all()


@every_activation
def test_a_graph_without_shapes_gives_the_same(name: str) -> None:
    function, _ = FORMULAS[name]
    values = np.random.default_rng(1).uniform(-4, 4, (3, 2))
    x = mg.asarray(values)
    expected = np.asarray(function(x)), np.asarray(mg.grad(lambda v: mg.sum(function(v)))(x))
    with mg.Graph().as_default():
        fed = mg.placeholder("float64")
        y = function(fed)
        with mg.Session() as session:
            got = session.run([y, mg.gradients(y, fed)[0]], {fed: values})
    assert_allclose(got[0], expected[0], rtol=1e-15)
    assert_allclose(got[1], expected[1], rtol=1e-14)


@pytest.mark.parametrize("function", [nn.gelu, nn.silu, nn.mish, nn.log_sigmoid, nn.elu])
def test_small_tails_are_relatively_accurate(function: Function) -> None:
    x = np.array([-12.0, -20.0, -30.0])
    tails = {
        nn.gelu: [v * phi(v) for v in x],
        nn.silu: [v * math.exp(v) / (1 + math.exp(v)) for v in x],
        nn.mish: [v * math.tanh(math.log1p(math.exp(v))) for v in x],
        nn.log_sigmoid: [v - math.log1p(math.exp(v)) for v in x],
        nn.elu: [math.expm1(v) for v in x],
    }
    assert_allclose(np.asarray(function(x)), tails[function], rtol=1e-12)


def test_slopes_far_out_do_not_cancel_to_zero() -> None:
    x = mg.asarray(np.array([-40.0]))
    assert_allclose(np.asarray(mg.grad(lambda v: nn.elu(v)[0])(x)), [math.exp(-40)], rtol=1e-14)
    assert_allclose(
        np.asarray(mg.grad(lambda v: nn.silu(v)[0])(x)), [-39 * math.exp(-40)], rtol=1e-14
    )


@pytest.mark.parametrize(
    ("function", "corners", "slopes"),
    [
        (nn.relu, [0.0], [0.0]),
        (nn.relu6, [0.0, 6.0], [0.0, 0.0]),
        (nn.leaky_relu, [0.0], [0.01]),
        (lambda x: nn.elu(x, 0.5), [0.0], [0.5]),
        (nn.selu, [0.0], [1.0507009873554805 * 1.6732632423543772]),
        (nn.celu, [0.0], [1.0]),
        (nn.hardtanh, [-1.0, 1.0], [0.0, 0.0]),
        (nn.hardsigmoid, [-3.0, 3.0], [0.0, 0.0]),
        (nn.hardswish, [-3.0, 3.0], [0.0, 1.0]),
        (nn.softshrink, [-0.5, 0.5], [0.0, 0.0]),
        (nn.hardshrink, [-0.5, 0.5], [0.0, 0.0]),
        (nn.softsign, [0.0], [1.0]),
    ],
)
def test_slopes_at_corners(function: Function, corners: list[float], slopes: list[float]) -> None:
    x = mg.asarray(np.array(corners))
    assert_allclose(np.asarray(mg.grad(lambda v: mg.sum(function(v)))(x)), slopes, rtol=1e-15)


def test_prelu_learns_a_slope_for_each_channel() -> None:
    x = mg.asarray(np.array([[-1.0, -2.0], [3.0, -4.0]]))
    slope = mg.asarray(np.array([0.5, 0.25]))
    assert nn.prelu(x, slope).tolist() == [[-0.5, -0.5], [3.0, -1.0]]
    for_x, for_slope = mg.grad(lambda a, b: mg.sum(nn.prelu(a, b)), argnums=(0, 1))(x, slope)
    assert for_x.tolist() == [[0.5, 0.25], [1.0, 0.25]]
    assert for_slope.tolist() == [-1.0, -6.0]


def test_prelu_takes_the_channels_on_any_axis() -> None:
    x = -np.arange(1.0, 13.0).reshape(2, 3, 2)
    slope = np.array([1.0, 10.0, 100.0])
    expected = x * slope[:, None]
    for axis in (1, -2):
        assert_array_equal(np.asarray(nn.prelu(x, slope, axis=axis)), expected)
    with mg.Graph().as_default():
        unknown = mg.placeholder("float64")
        with pytest.raises(ShapeError, match=r"known.*from the end"):
            nn.prelu(unknown, slope, axis=1)


def test_names_that_are_the_same_function() -> None:
    assert nn.swish is nn.silu
    assert nn.sigmoid is mg.sigmoid
    assert nn.tanh is mg.tanh
    assert nn.softplus is mg.softplus


# -- softmax and relatives ---------------------------------------------------------------------


def test_log_softmax_over_axes_and_at_infinities() -> None:
    x = np.random.default_rng(2).normal(size=(2, 3, 4))
    for axis in (0, -1, (0, 2), None):
        expected = x - np.log(np.exp(x).sum(axis=axis, keepdims=True))
        assert_allclose(np.asarray(nn.log_softmax(x, axis=axis)), expected, rtol=1e-13)
    out = np.array([-INF, 0.0, 0.0])
    assert_allclose(np.asarray(nn.log_softmax(out)), [-INF, -np.log(2), -np.log(2)])
    top = np.array([INF, 0.0, INF])
    assert_allclose(np.asarray(nn.log_softmax(top)), [-np.log(2), -INF, -np.log(2)])
    assert_allclose(np.asarray(nn.log_softmax(np.array([-INF, -INF]))), [-np.log(2)] * 2)


def test_log_softmax_of_many_small_floats_does_not_lose_them() -> None:
    logits = np.zeros(10_000, np.float16)
    assert_allclose(np.asarray(nn.log_softmax(logits), np.float64), -np.log(1e4), rtol=1e-3)


def test_softmin_mirrors_and_hardmax_chooses_the_first() -> None:
    x = np.array([[1.0, 2.0, 2.0], [3.0, -1.0, 0.0]])
    e = np.exp(-x)
    assert_allclose(np.asarray(nn.softmin(x)), e / e.sum(1, keepdims=True), rtol=1e-15)
    assert nn.hardmax(x).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert nn.hardmax(x, axis=0).tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    assert nn.hardmax(np.array([2, 5])).tolist() == [0, 1]


# -- gates -------------------------------------------------------------------------------------


def test_glu_multiplies_the_first_half_with_the_gate_of_the_second() -> None:
    x = np.random.default_rng(3).normal(size=(2, 6))
    expected = x[:, :3] / (1 + np.exp(-x[:, 3:]))
    assert_allclose(np.asarray(nn.glu(x)), expected, rtol=1e-14)
    assert_allclose(np.asarray(nn.glu(x.T, axis=0)), expected.T, rtol=1e-14)


def test_maxout_groups_neighbours() -> None:
    x = np.array([[1.0, 5.0, 2.0, -3.0, 0.0, 7.0]])
    assert nn.maxout(x, 2).tolist() == [[5.0, 2.0, 7.0]]
    assert nn.maxout(x, 3).tolist() == [[5.0, 7.0]]
    assert nn.maxout(x.T, 3, axis=0).tolist() == [[5.0], [7.0]]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_gates_work_where_lengths_are_not_known(axis: int) -> None:
    values = np.random.default_rng(4).normal(size=(4, 4, 4))
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (None, None, None))
        with mg.Session() as session:
            got = session.run([nn.glu(x, axis=axis), nn.maxout(x, 2, axis=axis)], {x: values})
    moved = np.moveaxis(values, axis, -1)
    gated = moved[..., :2] / (1 + np.exp(-moved[..., 2:]))
    grouped = moved.reshape(4, 4, 2, 2).max(-1)
    assert_allclose(got[0], np.moveaxis(gated, -1, axis), rtol=1e-14)
    assert_array_equal(got[1], np.moveaxis(grouped, -1, axis))


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nn.leaky_relu(x, "steep"), ArgumentTypeError, "slope must be a number"),
        (lambda x: nn.leaky_relu(x, True), ArgumentTypeError, "slope must be a number, got True"),
        (lambda x: nn.elu(x, np.nan), ArgumentError, "alpha must be finite"),
        (lambda x: nn.celu(x, -1), ArgumentError, "alpha must be positive, got -1"),
        (lambda x: nn.gelu(x, approximate="erf"), ArgumentError, "approximate must be"),
        (lambda x: nn.gelu(x, approximate=2), ArgumentError, "approximate must be"),
        (lambda x: nn.hardtanh(x, 2, 1), ArgumentError, "min must be below max, got 2 and 1"),
        (lambda x: nn.softshrink(x, -1), ArgumentError, "bound must not be negative"),
        (lambda x: nn.hardshrink(x, None), ArgumentTypeError, "bound must be a number"),
        (lambda x: nn.prelu(x, [1.0, 2.0]), ShapeError, "do not broadcast"),
        (lambda x: nn.glu(x), ShapeError, "glu: axis -1 has length 3"),
        (lambda x: nn.maxout(x, 2), ShapeError, "multiple of 2"),
        (lambda x: nn.maxout(x, 0), ArgumentError, "at least 1"),
        (lambda x: nn.log_softmax(x, axis=1), ShapeError, "out of range"),
        (lambda x: nn.hardmax(x, axis=1), ShapeError, "out of range"),
    ],
)
def test_wrong_arguments(call: Function, error: type[Exception], message: str) -> None:
    x = np.ones(3)
    with pytest.raises(error, match=message):
        call(x)
    with mg.Graph().as_default(), pytest.raises(error, match=message):
        call(mg.placeholder("float64", (3,)))

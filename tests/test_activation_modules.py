"""Every activation function has a module that computes the same, in both modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.activations import gates, piecewise, rectifiers, smooth, softmax

X = np.random.default_rng(0).normal(size=(3, 4)) * 3

#: Module, function, and the options of both.
PAIRS: list[tuple[type[nn.Module], Any, dict[str, Any]]] = [
    (nn.ReLU, nn.relu, {}),
    (nn.ReLU6, nn.relu6, {}),
    (nn.LeakyReLU, nn.leaky_relu, {}),
    (nn.LeakyReLU, nn.leaky_relu, {"slope": 0.3}),
    (nn.ELU, nn.elu, {}),
    (nn.ELU, nn.elu, {"alpha": 0.5}),
    (nn.CELU, nn.celu, {}),
    (nn.CELU, nn.celu, {"alpha": 0.5}),
    (nn.SELU, nn.selu, {}),
    (nn.GELU, nn.gelu, {}),
    (nn.GELU, nn.gelu, {"approximate": "tanh"}),
    (nn.SiLU, nn.silu, {}),
    (nn.Mish, nn.mish, {}),
    (nn.Softsign, nn.softsign, {}),
    (nn.LogSigmoid, nn.log_sigmoid, {}),
    (nn.Tanhshrink, nn.tanhshrink, {}),
    (nn.Sigmoid, mg.sigmoid, {}),
    (nn.Tanh, mg.tanh, {}),
    (nn.Softplus, mg.softplus, {}),
    (nn.Hardtanh, nn.hardtanh, {}),
    (nn.Hardtanh, nn.hardtanh, {"min": -0.5, "max": 2.0}),
    (nn.Hardsigmoid, nn.hardsigmoid, {}),
    (nn.Hardswish, nn.hardswish, {}),
    (nn.Softshrink, nn.softshrink, {}),
    (nn.Softshrink, nn.softshrink, {"bound": 1.5}),
    (nn.Hardshrink, nn.hardshrink, {}),
    (nn.Hardshrink, nn.hardshrink, {"bound": 1.5}),
    (nn.Threshold, nn.threshold, {"level": 0.5, "value": 9.0}),
    (nn.Softmax, nn.softmax, {}),
    (nn.Softmax, nn.softmax, {"axis": 0}),
    (nn.LogSoftmax, nn.log_softmax, {}),
    (nn.LogSoftmax, nn.log_softmax, {"axis": (0, 1)}),
    (nn.Softmin, nn.softmin, {}),
    (nn.Hardmax, nn.hardmax, {"axis": 0}),
    (nn.GLU, nn.glu, {}),
    (nn.Maxout, nn.maxout, {"pieces": 2}),
    (nn.Maxout, nn.maxout, {"pieces": 3, "axis": 0}),
]


def test_no_activation_function_lacks_a_module() -> None:
    offered = {
        getattr(family, name)
        for family in (gates, piecewise, rectifiers, smooth, softmax)
        for name in family.__all__
    }
    assert offered - {function for _, function, _ in PAIRS} == {nn.prelu}


@pytest.mark.parametrize(("make", "function", "options"), PAIRS)
def test_a_module_computes_its_function(
    make: type[nn.Module], function: Any, options: dict[str, Any]
) -> None:
    module = make(**options)
    expected = np.asarray(function(X, **options))
    assert_array_equal(np.asarray(module(X)), expected)
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, 4))
        assert_allclose(session.run(module(x), {x: X}), expected, rtol=1e-13, atol=1e-15)
    assert module.parameters() == []
    shown = repr(module)
    assert shown.startswith(f"{make.__name__}(")
    assert all(f"{name}={value!r}" in shown for name, value in options.items())


def test_the_slope_of_a_prelu_is_learnt() -> None:
    layer = nn.PReLU(dtype="float64")
    assert layer.slope.shape == (1,)
    assert_array_equal(layer(X).numpy(), np.where(X > 0, X, 0.25 * X))
    with mg.GradientTape() as tape:
        loss = mg.sum(layer(X))
    assert_allclose(tape.gradient(loss, layer.slope).numpy(), [X[X <= 0].sum()], rtol=1e-12)
    assert layer(np.array(-2.0)).shape == ()


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_a_prelu_with_a_slope_for_each_channel(axis: int) -> None:
    layer = nn.PReLU(None, axis=axis, dtype="float64")
    assert repr(layer).startswith("PReLU(num_parameters=?")
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (3, 4))
        y = layer(x)
    slopes = np.arange(X.shape[axis]) / 10
    layer.slope.assign(slopes)
    got = mg.Session(graph=x.graph).run(y, {x: X})
    by_element = slopes[:, None] if axis == 0 else slopes
    assert_allclose(got, np.where(X > 0, X, by_element * X), rtol=1e-15)
    assert_allclose(layer(X).numpy(), got, rtol=1e-15)
    with pytest.raises(ShapeError, match=f"num_parameters={len(slopes)}"):
        layer(np.ones((7, 7)))


def test_errors() -> None:
    with pytest.raises(ArgumentTypeError, match="LeakyReLU: slope must be a number"):
        nn.LeakyReLU("steep")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="CELU: alpha must be positive"):
        nn.CELU(0.0)
    with pytest.raises(ArgumentError, match=r"min=2\.0 must be below max=1\.0"):
        nn.Hardtanh(2.0)
    with pytest.raises(ArgumentError, match="bound must not be negative"):
        nn.Softshrink(-1.0)
    with pytest.raises(ArgumentError, match="'none' or 'tanh', got 'exact'"):
        nn.GELU("exact")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="Maxout: pieces is an integer of 1 or more"):
        nn.Maxout(0)
    with pytest.raises(ArgumentError, match="num_parameters"):
        nn.PReLU(0)
    with pytest.raises(ShapeError, match=r"odd|even|multiple"):
        nn.GLU()(np.ones(3))

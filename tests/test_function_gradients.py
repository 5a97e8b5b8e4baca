"""Gradients through `mg.function`, and inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, nn


def array(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape)


# -- gradients ---------------------------------------------------------------------------------

W = mg.Variable(array(3, 3, seed=1), name="W")
TABLE = mg.Variable(array(5, 3, seed=2), name="table")
CONSTANT = mg.asarray(array(3, seed=3))


@mg.custom_gradient
def bent(x: Any) -> Any:
    return mg.sin(x), lambda upstream: upstream * mg.cos(x) * W[0]


def rewritten(x: Any) -> Any:
    first = x * W
    changed = W.assign_add(mg.zeros((3, 3), dtype="float64"))
    return first + changed * W + x


CODES = {
    "products": lambda x: mg.tanh(x @ W) * CONSTANT,
    "rows": lambda x: mg.gather(TABLE, [0, 2, 2]) * x,
    "branch": lambda x: mg.cond(mg.sum(x) > 0.0, lambda: mg.exp(x) * W[0], lambda: x * CONSTANT),
    "while": lambda x: mg.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, mg.tanh(y @ W) * CONSTANT), (0, x)
    )[1],
    "scan": lambda x: mg.scan(lambda c, row: (mg.tanh(c * row) + CONSTANT, c * row), x[0], x)[1],
    "checkpoint": lambda x: mg.checkpoint(lambda y: mg.tanh(y @ W) * CONSTANT)(x),
    "custom": bent,
    "stopped": lambda x: mg.stop_gradient(mg.exp(x)) * x * W[1],
    "nothing": lambda x: x,
    "many": lambda x: (x * 2.0, {"sum": mg.sum(x), "n": 3, "product": x @ W}, None),
    "rewritten": rewritten,
}


def total(result: Any) -> Any:
    tensors = [t for t in mg.nest.flatten(result) if isinstance(t, mg.Tensor)]
    return sum([mg.sum(t * t) for t in tensors], mg.asarray(0.0, dtype="float64"))


def two_orders(function: Any, x: Any) -> list[Any]:
    """A value, and the first and second derivatives, by nested tapes."""
    sources = [x, CONSTANT, W, TABLE]
    with mg.GradientTape(persistent=True) as outer:
        outer.watch([x, CONSTANT])
        with mg.GradientTape() as inner:
            inner.watch([x, CONSTANT])
            y = total(function(x))
        first = inner.gradient(y, sources, unconnected="zero")
        dense = [g.dense() if isinstance(g, mg.IndexedSlices) else g for g in first]
        z = total([mg.sin(g) for g in dense])
    return [y, *first, *outer.gradient(z, sources, unconnected="zero")]


@pytest.mark.parametrize("name", CODES)
def test_gradients_through_a_function_are_those_of_its_code(name: str) -> None:
    code = CODES[name]
    function = mg.function(code)
    for seed in (5, 6):
        x = mg.asarray(array(3, 3, seed=seed))
        for found, expected in zip(two_orders(function, x), two_orders(code, x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
        scalar = mg.function(lambda x: total(code(x)))
        np.testing.assert_allclose(
            mg.grad(scalar)(x), mg.grad(scalar.python_function)(x), rtol=1e-9, atol=1e-11
        )
    assert function.stats().traces == 1


def test_the_tools_of_gradients_make_functions() -> None:
    cubes = mg.function(lambda x, n=1.0: mg.sum(n * x**3))
    x = mg.asarray([1.0, 2.0])
    slope = mg.grad(cubes)
    assert mg.grad(cubes) is slope
    assert slope(x).tolist() == [3.0, 12.0]
    assert slope(x, n=2.0).tolist() == [6.0, 24.0]
    assert slope.stats().traces == 2
    assert mg.grad(mg.grad(mg.function(lambda x: x**3)))(2.0) == 12.0
    assert mg.hessian(cubes)(x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    value, slopes = mg.value_and_grad(cubes, argnums=(0, 1))(x, 2.0)
    assert (value, slopes[1]) == (18.0, 9.0)
    assert mg.jacobian(mg.function(lambda x: x * x))(x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert mg.hvp(cubes, (x,), (mg.ones(2),))[0].tolist() == [6.0, 12.0]
    assert mg.jvp(mg.function(mg.sin), (0.0,), (1.0,))[1] == 1.0
    assert mg.vjp(cubes, x)[1](2.0)[0].tolist() == [6.0, 24.0]
    aux = mg.grad(mg.function(lambda x: (mg.sum(x), x * 2.0)), has_aux=True)
    assert [part.tolist() for part in aux(x)] == [[1.0, 1.0], [2.0, 4.0]]


def test_a_tape_inside_sees_what_it_would_see_in_eager_code() -> None:
    v, c = mg.Variable(3.0), mg.asarray(5.0)

    def code(x: Any) -> Any:
        before = v * x
        with mg.GradientTape(persistent=True) as tape:
            tape.watch([x, c])
            y = before * v * c * x
            with tape.stop_recording():
                z = v * x
            w = z * v
        assert [variable is v for variable in tape.watched_variables()] == [True]
        return tape.gradient(y, [v, c, x]), tape.gradient(w, v)

    def values(result: Any) -> list[float]:
        return [float(t) for t in mg.nest.flatten(result)]

    x = mg.asarray(2.0)
    assert values(mg.function(code)(x)) == values(code(x)) == [60, 36, 90, 6]


def test_a_tape_and_a_function_do_not_cross() -> None:
    outside = mg.GradientTape(persistent=True)

    @mg.function
    def crossing(x: Any) -> Any:
        return outside.gradient(x * x, x)

    with outside, pytest.raises(errors.GradientError, match=r"opened outside of function"):
        crossing(mg.asarray(1.0))
    with mg.GradientTape(persistent=True) as tape:
        x = mg.asarray(1.0)
        tape.watch(x)
        y = mg.function(lambda x: x * x)(x)
    with pytest.raises(errors.GradientError, match=r"call of a mg\.function"):
        mg.gradcheck(tape, y, x)


def test_only_what_the_way_back_needs_is_computed_there() -> None:
    draws = nn.Dropout(0.5, seed=1)
    v = mg.Variable(1.0)

    @mg.function
    def noisy(x: Any) -> Any:
        v.assign_add(1.0)
        return draws(x) * x

    x = mg.ones(16)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = noisy(x)
    slope = tape.gradient(y, x)
    np.testing.assert_array_equal(slope, 2.0 * y)
    assert float(v) == 2.0


def test_a_result_without_a_gradient_does_no_harm_until_it_is_asked_for() -> None:
    seen = mg.Variable(0.0)

    @mg.function
    def step(x: Any) -> Any:
        return x * x, seen.assign_add(x), mg.floor(x)

    x = mg.asarray(3.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, count, _ = step(x)
    assert (tape.gradient(y, x), float(seen)) == (6.0, 3.0)
    with pytest.raises(errors.NotDifferentiableError, match="assign_add has no gradient"):
        tape.gradient(count, x)


def test_gradients_of_a_part_of_the_results() -> None:
    @mg.function
    def both(x: Any, y: Any) -> Any:
        return mg.sin(x) * y, mg.exp(y), mg.astype(x, mg.int32)

    x, y = mg.asarray(0.5), mg.asarray(2.0)
    for watched in ([x], [y], [x, y]):
        with mg.GradientTape(persistent=True) as tape:
            tape.watch(watched)
            first, second, _ = both(x, y)
        expected = {id(x): 2.0 * np.cos(0.5), id(y): np.sin(0.5)}
        for source in watched:
            np.testing.assert_allclose(tape.gradient(first, source), expected[id(source)], 1e-6)
            if source is y:
                np.testing.assert_allclose(tape.gradient(second, y), np.exp(2.0), rtol=1e-6)
            else:
                assert tape.gradient(second, [x], unconnected="none") == [None]

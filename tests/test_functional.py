"""custom_gradient, checkpoint, host_call, add_effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


def run_both(function: Any, *values: Any) -> None:
    """Assert that a function gives the same eagerly and in a graph, to its second derivative."""
    positions = tuple(range(len(values)))

    def slope(*args: Any) -> Any:
        total: Any = 0.0
        for g in mg.grad(function, positions)(*args):
            total = total + mg.sum(g * g)
        return total

    eager = [function(*values), mg.grad(function, positions)(*values), mg.grad(slope)(*values)]
    with mg.Graph().as_default():
        xs = [mg.placeholder("float64", np.shape(v)) for v in values]
        lazy = [function(*xs), mg.grad(function, positions)(*xs), mg.grad(slope)(*xs)]
        got = mg.Session().run(lazy, dict(zip(xs, values, strict=True)))
    for a, b in zip(mg.nest.flatten(eager), mg.nest.flatten(got), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


X, Y = np.array([0.3, -0.7]), np.array([1.5, 0.2])


def test_custom_gradient_replaces_the_derivative_in_both_modes() -> None:
    @mg.custom_gradient
    def square(x: Any) -> Any:
        return x * x, lambda g: g * 100.0 * x

    assert mg.grad(square)(3.0) == 300.0
    assert mg.grad(mg.grad(square))(3.0) == 100.0
    run_both(lambda x: mg.sum(square(x)), X)


def test_custom_gradient_with_several_arguments_and_results() -> None:
    @mg.custom_gradient
    def both(x: Any, y: Any) -> Any:
        return {"sum": x + y, "product": x * y}, lambda s, p: [s + p * y, s + p * x]

    def f(x: Any, y: Any) -> Any:
        made = both(x, y)
        return mg.sum(made["sum"] * made["product"])

    run_both(f, X, Y)
    expected = mg.grad(lambda x, y: mg.sum((x + y) * (x * y)))(X, Y)
    np.testing.assert_allclose(mg.grad(f)(X, Y), expected)


def test_custom_gradient_refuses_to_lose_a_variables_gradient() -> None:
    w = mg.Variable(2.0, name="w")

    @mg.custom_gradient
    def scaled(x: Any) -> Any:
        return x * w, lambda g: g

    with pytest.raises(errors.GradientError, match="reads variable 'w'"):
        scaled(mg.asarray(1.0))
    with mg.Graph().as_default(), pytest.raises(errors.GradientError, match="reads variable 'w'"):
        scaled(mg.placeholder("float32", ()))

    @mg.custom_gradient
    def wrong(x: Any) -> Any:
        return x, lambda g: [g, g]

    with pytest.raises(errors.GradientError, match="2 gradients for 1 arguments"):
        mg.grad(wrong)(1.0)
    with pytest.raises(errors.GradientError, match=r"must return \(result, gradient function\)"):
        mg.custom_gradient(lambda x: x)(1.0)


# -- checkpoint --------------------------------------------------------------------------------


def test_checkpoint_changes_no_value_and_no_gradient() -> None:
    scale = mg.asarray(np.array([2.0, -1.0]))

    def block(x: Any, y: Any) -> Any:
        return mg.tanh(mg.sin(x) * y * scale)

    saved = mg.checkpoint(block)
    for f in (block, saved):
        run_both(lambda x, y, f=f: mg.sum(f(x, y) ** 2), X, Y)
    for argnum in (0, 1):
        np.testing.assert_array_equal(
            mg.grad(lambda x, y: mg.sum(saved(x, y) ** 2), argnum)(X, Y),
            mg.grad(lambda x, y: mg.sum(block(x, y) ** 2), argnum)(X, Y),
        )


def test_checkpoint_gives_gradients_to_captured_tensors_and_variables() -> None:
    w = mg.Variable(np.array([1.0, 2.0]))
    c = mg.asarray(np.array([0.5, 0.5]))
    with mg.GradientTape() as tape:
        tape.watch(c)
        y = mg.sum(mg.checkpoint(lambda x: mg.exp(w * x * c))(mg.asarray(X)))
    gw, gc = tape.gradient(y, [w, c])
    wv, cv = w.numpy(), c.numpy()
    e = np.exp(wv * X * cv)
    np.testing.assert_allclose(gw, e * X * cv)
    np.testing.assert_allclose(gc, e * X * wv)
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (2,))
        k = x * 0.5
        y = mg.sum(mg.checkpoint(lambda x: mg.exp(w * x * k))(x))
        gw, gk = mg.gradients(y, [w, k])
        got = mg.Session().run([gw, gk], {x: X})
    e = np.exp(wv * X * 0.5 * X)
    np.testing.assert_allclose(got[0], e * X * 0.5 * X)
    np.testing.assert_allclose(got[1], e * X * wv)


def test_checkpoint_keeps_less_on_the_tape() -> None:
    def deep(x: Any) -> Any:
        for _ in range(50):
            x = mg.tanh(x)
        return x

    x = mg.asarray(np.ones(10))
    with mg.GradientTape(persistent=True) as plain:
        plain.watch(x)
        a = deep(x)
    with mg.GradientTape(persistent=True) as thrifty:
        thrifty.watch(x)
        b = mg.checkpoint(deep)(x)
    assert len(plain._recorder.records) == 50  # type: ignore[union-attr]
    assert len(thrifty._recorder.records) == 1  # type: ignore[union-attr]
    np.testing.assert_array_equal(plain.gradient(a, x), thrifty.gradient(b, x))


def test_checkpoint_recomputes_without_repeating_effects() -> None:
    calls = []
    steps = mg.Variable(0.0, trainable=False)

    def noisy(x: Any) -> Any:
        mask = mg.random.uniform((1000,), seed=5) > 0.5
        steps.assign_add(1.0)
        mg.host_call(lambda: calls.append(1) or np.float32(0), out=((), "float32"))
        return mg.where(mask, x * x, 0.0)

    x = mg.asarray(np.full(1000, 3.0))
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = mg.checkpoint(noisy)(x)
    g = tape.gradient(y, x)
    np.testing.assert_array_equal(np.asarray(y) > 0, np.asarray(g) > 0)
    assert 0 < (np.asarray(g) > 0).sum() < 1000
    assert steps.numpy() == 1.0
    assert calls == [1]


def test_checkpoint_in_a_graph_draws_once_a_run_and_repeats_no_effect() -> None:
    with mg.Graph().as_default():
        count = mg.Variable(0.0, trainable=False)
        x = mg.placeholder("float64", (1000,))

        def noisy(x: Any) -> Any:
            mask = mg.random.uniform((1000,)) > 0.5
            y = mg.where(mask, x * x, 0.0)
            mg.get_default_graph().add_effect(y, count.assign_add(1.0))
            return y

        y = mg.checkpoint(noisy)(x)
        (g,) = mg.gradients(y, [x])
        sess = mg.Session()
        sess.run(count.initializer)
        seen = []
        for i in range(3):
            value, slope = sess.run([y, g], {x: np.full(1000, 3.0)})
            np.testing.assert_array_equal(value > 0, slope > 0)
            seen.append(tuple(value > 0))
            assert sess.run(count) == i + 1
        assert len(set(seen)) == 3


def test_a_checkpointed_function_may_capture_its_own_argument() -> None:
    """Passed in and captured, a tensor counts twice."""

    def square(x: Any) -> Any:
        return mg.checkpoint(lambda again: again * x)(x)

    run_both(square, np.float64(3.0))
    v = mg.Variable(3.0)
    with mg.Graph().as_default():
        assert mg.Session().run(mg.gradients(square(v), [v])) == [6.0]


def test_checkpoints_nest_and_capture_through_one_another() -> None:
    def nested(x: Any, w: Any) -> Any:
        inner = mg.checkpoint(lambda x: mg.exp(x * w))
        return mg.checkpoint(lambda x: inner(x) + x)(x)

    run_both(nested, np.float64(0.5), np.float64(0.7))
    assert float(mg.grad(nested, 1)(0.0, 3.0)) == 0.0
    assert float(mg.grad(nested, 1)(2.0, 0.0)) == 2.0


def test_a_checkpointed_function_may_return_what_it_captured() -> None:
    run_both(lambda x, w: mg.checkpoint(lambda x: w)(x) * w * x, np.float64(2.0), np.float64(3.0))
    assert float(mg.grad(lambda w: mg.checkpoint(lambda x: w)(1.0))(3.0)) == 1.0


def test_options_reach_a_checkpointed_function_as_they_are() -> None:
    @mg.checkpoint
    def layer(x: Any, *, scale: Any, activate: bool) -> Any:
        return scale * (mg.tanh(x) if activate else x)

    run_both(lambda x, s: layer(x, scale=s, activate=True), np.float64(0.5), np.float64(2.0))
    assert float(mg.grad(lambda s: layer(3.0, scale=s, activate=False))(2.0)) == 3.0


def test_the_gradient_of_a_host_call_flows_through_a_checkpoint() -> None:
    calls = []

    def python_square(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        calls.append(1)
        return x * x

    @mg.checkpoint
    def layer(x: Any) -> Any:
        y = mg.host_call(
            python_square,
            x,
            out=((), "float64"),
            gradient=lambda c: c.grads[0] * 2.0 * c.inputs[0],
        )
        return y * x

    run_both(layer, np.float64(2.0))
    calls.clear()
    assert float(mg.grad(layer)(np.float64(2.0))) == 12.0
    assert calls == [1]


# -- host_call ---------------------------------------------------------------------------------


def test_host_call_runs_python_in_a_graph() -> None:
    calls = []

    def invert(x: np.ndarray) -> np.ndarray:
        calls.append(x.flags.writeable)
        return x[::-1]

    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None,))
        y = mg.host_call(invert, x, out=((None,), "float32"))
        assert repr(y) == 'Tensor("PyFunc:0", shape=(?,), dtype=float32)'
        np.testing.assert_array_equal(mg.Session().run(y + y, {x: [1, 2]}), [4, 2])
    assert calls == [False]


def test_host_call_with_several_results_and_a_gradient() -> None:
    def forward(x: np.ndarray) -> Any:
        return [np.sin(x), np.cos(x)]

    def rule(c: mg.Ctx) -> Any:
        sine, cosine = c.outputs
        return c.grads[0] * cosine - c.grads[1] * sine

    def f(x: Any) -> Any:
        out = [((2,), "float64"), ((2,), "float64")]
        s, c = mg.host_call(forward, x, out=out, gradient=rule)
        return mg.sum(s * 2.0 + c)

    np.testing.assert_allclose(mg.grad(f)(X), 2 * np.cos(X) - np.sin(X))
    run_both(f, X)


def test_host_call_without_a_gradient_says_so() -> None:
    with pytest.raises(errors.NotDifferentiableError, match="pass gradient=rule"):
        mg.grad(lambda x: mg.host_call(np.sin, x, out=((), "float32")))(1.0)


def test_python_numbers_and_text_from_a_host_call_take_the_declared_dtype() -> None:
    assert mg.host_call(lambda: 1.5, out=((), "float32")).dtype == mg.float32
    with mg.Graph().as_default():
        assert mg.Session().run(mg.host_call(lambda: "hi", out=((), "string"))) == "hi"


def test_host_call_checks_what_comes_back() -> None:
    with mg.Graph().as_default():
        y = mg.host_call(lambda: np.zeros(3), out=((2,), "float64"))
        with pytest.raises(errors.ShapeError, match=r"returned shape \(3,\), `out` says \(2,\)"):
            mg.Session().run(y)
        z = mg.host_call(lambda: np.int64(1), out=((), "float64"))
        with pytest.raises(errors.DTypeError, match="returned dtype int64"):
            mg.Session().run(z)


def test_python_in_a_graph_computes_eagerly_even_while_one_is_built() -> None:
    with mg.Graph().as_default():
        y = mg.host_call(lambda: np.asarray(mg.add(1.0, 2.0)), out=((), "float32"))
        assert mg.Session().run(y) == 3.0


# -- effects -----------------------------------------------------------------------------------


def test_an_effect_runs_with_its_tensor_exactly_once() -> None:
    with mg.Graph().as_default() as g:
        count = mg.Variable(0.0)
        x = mg.placeholder("float32", (), name="x")
        h = x * 2.0
        y, z = h + 1.0, h * h
        g.add_effect(h, count.assign_add(1.0))
        sess = mg.Session()
        sess.run(count.initializer)
        sess.run([y, z], {x: 1.0})
        assert sess.run(count) == 1.0
        sess.run(x, {x: 1.0})
        assert sess.run(count) == 1.0
        sess.run([y, z], {h: 1.0})
        assert sess.run(count) == 1.0
        sess.run(mg.gradients(z, [x]), {x: 1.0})
        assert sess.run(count) == 2.0


def test_an_effect_added_after_a_run_counts_from_then_on() -> None:
    with mg.Graph().as_default() as g:
        count = mg.Variable(0.0)
        y = mg.identity(mg.constant(1.0))
        sess = mg.Session()
        sess.run(count.initializer)
        sess.run(y)
        g.add_effect(y, count.assign_add(1.0))
        sess.run(y)
        assert sess.run(count) == 1.0


def test_effects_of_effects_run_too_and_foreign_ones_are_refused() -> None:
    with mg.Graph().as_default() as g:
        a, b = mg.Variable(0.0), mg.Variable(0.0)
        y = mg.identity(mg.constant(1.0))
        first = a.assign_add(1.0)
        g.add_effect(y, first)
        g.add_effect(first, b.assign_add(1.0))
        sess = mg.Session()
        sess.run(mg.global_variables_initializer())
        sess.run(y)
        assert sess.run([a, b]) == [1.0, 1.0]
    with mg.Graph().as_default() as other, pytest.raises(errors.GraphError, match="belongs to"):
        other.add_effect(y, mg.no_op())

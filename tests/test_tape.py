"""The gradient tape: what it watches, what it gives, what it frees."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


def test_gradient_of_a_watched_tensor() -> None:
    x = mg.asarray(3.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x * x
    assert tape.gradient(y, x) == 27.0


def test_trainable_variables_are_watched_by_themselves() -> None:
    w = mg.Variable(2.0)
    frozen = mg.Variable(3.0, trainable=False)
    with mg.GradientTape() as tape:
        y = w * w * frozen
    assert tape.watched_variables() == [w] or tape.watched_variables()[0] is w
    assert tape.gradient(y, w) == 12.0

    with mg.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(frozen)
        y = w * frozen
        with pytest.raises(errors.GradientError, match="not watched"):
            tape.gradient(y, {"w": w, "frozen": frozen})
    assert tape.gradient(y, {"frozen": frozen})["frozen"] == 2.0


def test_gradient_descent_eagerly_reaches_the_minimum() -> None:
    w = mg.Variable(0.0)
    for _ in range(200):
        with mg.GradientTape() as tape:
            cost = w**2 - 10.0 * w + 25.0
        w.assign_sub(0.1 * tape.gradient(cost, w))
    assert abs(w.numpy() - 5.0) < 1e-5


def test_a_tape_gives_its_gradient_once_unless_persistent() -> None:
    x = mg.asarray(3.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(errors.StateError, match="persistent=True"):
        tape.gradient(y, x)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * x
    assert (tape.gradient(y, x), tape.gradient(z, x), tape.gradient(z, y)) == (6.0, 27.0, 3.0)


def test_nested_tapes_give_higher_derivatives() -> None:
    x = mg.asarray(2.0)
    with mg.GradientTape() as third:
        third.watch(x)
        with mg.GradientTape() as second:
            second.watch(x)
            with mg.GradientTape() as first:
                first.watch(x)
                y = x**4
            dy = first.gradient(y, x)
        d2y = second.gradient(dy, x)
    assert (dy, d2y, third.gradient(d2y, x)) == (32.0, 48.0, 48.0)


def test_one_persistent_tape_gives_the_second_derivative_too() -> None:
    x = mg.asarray(2.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x**3
        dy = tape.gradient(y, x)
    assert tape.gradient(dy, x) == 12.0


def test_stop_recording_hides_ops() -> None:
    x = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            factor = x * 10.0
        z = y * factor
    assert tape.gradient(z, x) == 80.0


def test_reset_forgets() -> None:
    x = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        _ = x * x
        tape.reset()
        tape.watch(x)
        y = x * 3.0
    assert tape.gradient(y, x) == 3.0


def test_unconnected_sources() -> None:
    x, z = mg.asarray(2.0), mg.asarray([1.0, 2.0])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch([x, z])
        y = x * x
    np.testing.assert_array_equal(tape.gradient(y, z), [0.0, 0.0])
    assert tape.gradient(y, z, unconnected="none") is None
    with pytest.raises(errors.GradientError, match="does not depend on"):
        tape.gradient(y, z, unconnected="error")
    with pytest.raises(errors.ArgumentError, match="'zero', 'none' or 'error'"):
        tape.gradient(y, z, unconnected="nothing")  # type: ignore[arg-type]


def test_a_target_that_the_tape_did_not_see_is_warned_of() -> None:
    w = mg.Variable(2.0, name="w")
    with mg.GradientTape(persistent=True) as tape:
        seen = w * w
        made = {"number": float(seen.item()), "array": w.numpy() ** 2, "constant": mg.ones(2)}
    made["outside"] = w * w
    never_entered = mg.GradientTape()
    for target in (*made.values(), list(made.values())):
        with pytest.warns(errors.LostGradientWarning, match="not computed under this tape") as log:
            assert tape.gradient(target, w) == 0.0
        assert log[0].filename == __file__
    with pytest.warns(errors.LostGradientWarning, match="inside `with tape:`"):
        assert never_entered.gradient(seen, [w])[0] == 0.0
    # Nothing is lost where one target was seen or is a source, or where the caller said what to do.
    assert tape.gradient([seen, made["outside"]], [w])[0] == 4.0
    assert tape.gradient(w, w) == 1.0
    assert tape.gradient(made["outside"], w, unconnected="none") is None
    assert tape.gradient(made["outside"], w, unconnected="zero") == 0.0
    assert tape.jacobian(made["constant"], w).tolist() == [0.0, 0.0]
    assert mg.grad(lambda x: mg.ones(()))(2.0) == 0.0


def test_upstream_gradients_and_several_targets() -> None:
    x = mg.asarray([1.0, 2.0])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, z = x * x, x * 10.0
    np.testing.assert_array_equal(tape.gradient(y, x, mg.asarray([1.0, 100.0])), [2.0, 400.0])
    np.testing.assert_array_equal(tape.gradient([y, z], x), [12.0, 14.0])
    with pytest.raises(errors.GradientError, match=r"has shape \(3,\), expected \(2,\)"):
        tape.gradient(y, x, mg.ones(3))


def test_jacobian_on_a_tape() -> None:
    x = mg.asarray([1.0, 2.0, 3.0])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mg.stack([mg.sum(x), x[0] * x[1]])
    np.testing.assert_array_equal(tape.jacobian(y, x), [[1, 1, 1], [2, 1, 0]])
    with mg.GradientTape() as once:
        once.watch(x)
        y = x * x
    with pytest.raises(errors.StateError, match="persistent"):
        once.jacobian(y, x)


def test_an_unwatched_source_is_an_error_not_a_silent_zero() -> None:
    x = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        y = x * x
    with pytest.raises(errors.GradientError, match="not watched"):
        tape.gradient(y, x)


def test_integer_tensors_have_no_gradient() -> None:
    n = mg.asarray(2)
    with mg.GradientTape() as tape:
        with pytest.raises(errors.NotDifferentiableError, match="integer or bool"):
            tape.watch(n)
        x = mg.asarray(2.0)
        tape.watch(x)
        y = mg.astype(x, "int32")
    with pytest.raises(errors.NotDifferentiableError, match="integer or bool"):
        tape.gradient(y, x)
    with pytest.raises(errors.NotDifferentiableError, match=r"write 2\.0"):
        mg.grad(lambda v: v * v)(2)


def test_memory_of_a_dropped_tape_is_freed_by_reference_counting_alone() -> None:
    gc.collect()
    gc.disable()
    try:
        x = mg.asarray(np.ones(1000))
        watched: list[Any] = []
        tape = mg.GradientTape(persistent=True)
        with tape:
            tape.watch(x)
            y = x
            for _ in range(2000):
                y = mg.tanh(y * x)
                watched.append(weakref.ref(y._value))  # type: ignore[attr-defined]
        g = tape.gradient(y, x)
        alive = sum(ref() is not None for ref in watched)
        assert alive == 2000  # The records keep what the gradient needs.
        gone = weakref.ref(tape)
        del tape, y, g
        assert gone() is None
        assert sum(ref() is not None for ref in watched) == 0
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_dropped_chain_of_any_length_does_not_exhaust_the_stack() -> None:
    x = mg.asarray(1.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x
        for _ in range(20 * sys.getrecursionlimit()):
            y = y + x
    assert tape.gradient(y, x) == 20 * sys.getrecursionlimit() + 1.0


def test_a_tape_in_a_graph_gives_what_gradients_gives() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float64", ())
        v = mg.Variable(np.float64(3.0))
        with mg.GradientTape() as tape:
            y = v * x * x
        by_tape = tape.gradient(y, [x, v])
        by_graph = mg.gradients(y, [x, v])
        sess = mg.Session()
        sess.run(v.initializer)
        assert sess.run(by_tape, {x: 2.0}) == sess.run(by_graph, {x: 2.0}) == [12.0, 4.0]


def test_a_watched_tensor_that_became_a_constant_is_an_error() -> None:
    x = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        with mg.Graph().as_default():
            y = mg.placeholder("float32", ()) * x
        with pytest.raises(errors.GradientError, match="became a constant"):
            tape.gradient(y, x)


def test_gradients_through_assignments_see_the_value_that_was_read() -> None:
    v = mg.Variable(2.0)
    with mg.GradientTape() as tape:
        y = v * v
        v.assign(100.0)
    assert tape.gradient(y, v) == 4.0


def test_sparse_gradient_of_a_lookup() -> None:
    table = mg.Variable(np.arange(6.0).reshape(3, 2))
    with mg.GradientTape() as tape:
        rows = mg.gather(table, [2, 0, 2])
        y = mg.sum(rows * rows)
    g = tape.gradient(y, table)
    assert isinstance(g, mg.IndexedSlices)
    np.testing.assert_array_equal(g.indices, [2, 0, 2])
    np.testing.assert_array_equal(np.asarray(g), [[0, 2], [0, 0], [16, 20]])


def test_a_sparse_gradient_takes_part_in_arithmetic() -> None:
    table = mg.Variable(np.ones((3, 2), np.float32))
    with mg.GradientTape() as tape:
        y = mg.sum(mg.gather(table, [2, 2]))
    table.assign_sub(0.5 * tape.gradient(y, table))
    np.testing.assert_array_equal(table.numpy(), [[1, 1], [1, 1], [0, 0]])
    with mg.Graph().as_default():
        rows = mg.placeholder("int32", (None,))
        (g,) = mg.gradients(mg.sum(mg.gather(table, rows)), [table])
        step = table.assign_sub(g * 0.5)
        mg.Session().run(step, {rows: [0]})
    np.testing.assert_array_equal(table.numpy(), [[0.5, 0.5], [1, 1], [0, 0]])


def test_a_sparse_gradient_can_be_differentiated_again() -> None:
    table = mg.Variable(np.ones((3, 2)))
    with mg.GradientTape() as outer:
        with mg.GradientTape() as inner:
            y = mg.sum(mg.gather(table, [1, 1]) ** 3)
        slope = inner.gradient(y, table)
    assert isinstance(slope, mg.IndexedSlices)
    curvature = np.asarray(outer.gradient(slope, table))
    np.testing.assert_array_equal(curvature, [[0, 0], [12, 12], [0, 0]])


def test_a_variable_that_reached_a_graph_as_a_constant_is_an_error() -> None:
    v, w = mg.Variable(2.0), mg.Variable(3.0)
    with mg.GradientTape(persistent=True) as tape:
        doubled = v * 2.0
        with mg.Graph().as_default():
            y = doubled * w
    with pytest.raises(errors.GradientError, match="depends on a variable through the constant"):
        tape.gradient(y, v)
    (slope,) = [tape.gradient(y, w)]
    assert mg.Session(graph=y.graph).run(slope) == 4.0


def test_tapes_whose_blocks_overlap_stop_one_by_one() -> None:
    x = mg.asarray(3.0)
    first, second = mg.GradientTape(), mg.GradientTape()
    first.__enter__()
    second.__enter__()
    first.watch(x)
    second.watch(x)
    first.__exit__(None, None, None)
    y = x * x
    second.__exit__(None, None, None)
    z = x * x
    assert float(second.gradient(y, x)) == 6.0
    assert float(first.gradient(z, x, unconnected="zero")) == 0.0


def test_numpy_cannot_take_a_recorded_tensor_by_mistake() -> None:
    x = mg.asarray([1.0, 2.0])
    with mg.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(errors.GradientError, match="gradient would be lost"):
            np.asarray(x)
        with pytest.raises(errors.GradientError, match=r"x\.numpy\(\)"):
            np.array([x[0], x[1]])
        assert x.numpy().tolist() == [1.0, 2.0]
        assert x[0].item() == 1.0
        assert mg.asarray([x[0], 2.0 * x[1]]).shape == (2,)
        y = mg.sum(mg.constant([x[0] * 2.0, x[1]]))
    np.testing.assert_array_equal(tape.gradient(y, x), [2.0, 1.0])
    np.testing.assert_array_equal(np.asarray(x), [1.0, 2.0])


def test_a_recorded_tensor_that_becomes_a_number_is_warned_of() -> None:
    def fill(x: Any) -> Any:
        out = np.zeros(2)
        for i in range(2):
            out[i] = x[i] ** 2
        return mg.sum(out) + mg.sum(x)

    with pytest.warns(errors.LostGradientWarning, match=r"to fill an array, mg\.stack"):
        mg.grad(fill)(np.array([1.0, 2.0]))
    with pytest.warns(errors.LostGradientWarning, match="no gradient flows through"):
        mg.grad(lambda x: x * float(x))(2.0)
    assert mg.grad(lambda x: x * x.item() if x > 0 else x)(2.0) == 2.0
    with mg.GradientTape() as tape:
        x = mg.asarray(2.0)
        tape.watch(x)
        y = x * x
        assert f"{y:.2f}" == "4.00"
    assert float(y) == 4.0


def test_numpy_cannot_take_a_recorded_variable_by_mistake() -> None:
    v = mg.Variable([1.0, 2.0])
    assert np.asarray(v).tolist() == v.tolist() == [1.0, 2.0]
    with mg.GradientTape():
        with pytest.raises(errors.GradientError, match="gradient would be lost"):
            np.asarray(v)
        assert v.numpy().tolist() == [1.0, 2.0]


def test_a_variable_used_in_a_graph_is_not_watched_by_an_eager_tape() -> None:
    v, w = mg.Variable(2.0), mg.Variable(3.0)
    x = mg.placeholder("float32", ())
    with mg.GradientTape() as tape:
        _ = v * x
        y = w * w * 2.0
    assert [u is w for u in tape.watched_variables()] == [True]
    assert tape.gradient(y, w).item() == 12.0

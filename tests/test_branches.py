"""`mg.cond` and `mg.switch_case`: which branch runs, what it may do, and its gradients."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minigrad as mg
import minigrad.optim as optim
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError


def initialized(graph):
    session = mg.Session(graph=graph)
    with graph.as_default():
        session.run(mg.global_variables_initializer())
    return session


# -- what runs ---------------------------------------------------------------------------------


def test_only_the_branch_taken_runs():
    calls = []

    def noted(x):
        calls.append(float(x))
        return x

    with mg.Graph().as_default() as g:
        v = mg.Variable(1.0)
        p = mg.placeholder("bool", ())
        x = mg.placeholder("float32", ())

        def taken():
            v.assign_add(1.0)
            return mg.host_call(noted, x, out=((), "float32"))

        y = mg.cond(p, taken, lambda: x * 10.0)
    session = initialized(g)
    assert session.run(y, {p: False, x: 3.0}) == 30
    assert calls == [] and session.run(v) == 1
    assert session.run(y, {p: True, x: 3.0}) == 3
    assert calls == [3.0] and session.run(v) == 2


def test_a_branch_not_taken_draws_nothing():
    with mg.Graph().as_default() as g:
        p = mg.placeholder("bool", ())
        generator = mg.random.Generator(seed=1)
        mg.cond(p, lambda: 0.0, lambda: 0.0)
        y = mg.cond(p, lambda: mg.random.uniform((), generator=generator), lambda: 0.0)
    a, b = mg.Session(graph=g), mg.Session(graph=g)
    b.run(y, {p: False})
    assert a.run(y, {p: True}) == b.run(y, {p: True})


def test_a_concrete_predicate_calls_one_function():
    def never():
        raise AssertionError

    assert mg.cond(True, lambda: 1, never) == 1
    assert float(mg.cond(mg.asarray(2.0) > 3.0, never, lambda x: x, 7.0)) == 7
    assert mg.switch_case(2, [never, never, lambda: "third"]) == "third"


@pytest.mark.parametrize(("index", "expected"), [(0, 1.0), (1, 2.0), (2, 3.0), (5, 3.0), (-1, 3.0)])
def test_the_last_branch_stands_for_all_other_numbers(index, expected):
    branches = [lambda: 1.0, lambda: 2.0, lambda: 3.0]
    with mg.Graph().as_default() as g:
        i = mg.placeholder("int32", ())
        y = mg.switch_case(i, branches)
    assert mg.Session(graph=g).run(y, {i: index}) == expected
    assert mg.switch_case(index, branches) == expected


@pytest.mark.parametrize(("index", "expected"), [(3, 30.0), (7, 70.0), (0, -1.0), (2, -1.0)])
def test_branches_by_number_with_a_default(index, expected):
    table = {3: lambda: 30.0, 7: lambda: 70.0}
    with mg.Graph().as_default() as g:
        i = mg.placeholder("int64", ())
        y = mg.switch_case(i, table, default=lambda: -1.0)
    assert mg.Session(graph=g).run(y, {i: index}) == expected
    assert mg.switch_case(index, table, default=lambda: -1.0) == expected


def test_numbers_take_the_dtype_of_the_other_branch():
    with mg.Graph().as_default() as g:
        p = mg.placeholder("bool", ())
        x = mg.placeholder("float64", ())
        a = mg.cond(p, lambda: 1.0, lambda: x)
        b = mg.cond(p, lambda: 1, lambda: 2.5)
    assert a.dtype == mg.float64 and b.dtype == mg.float32
    assert mg.Session(graph=g).run([a, b], {p: True, x: 5.0}) == [1.0, 1.0]


def test_results_are_nests():
    with mg.Graph().as_default() as g:
        p = mg.placeholder("bool", ())
        x = mg.placeholder("float32", (2,))
        made = mg.cond(p, lambda: {"a": x, "b": (x * 2.0, None)}, lambda: {"a": -x, "b": (x, None)})
    assert made["b"][1] is None
    del made["b"]
    np.testing.assert_array_equal(
        mg.Session(graph=g).run(made, {p: False, x: [1.0, 2.0]})["a"], [-1.0, -2.0]
    )


def test_operations_and_none_as_results():
    with mg.Graph().as_default() as g:
        v = mg.Variable(0.0)
        p = mg.placeholder("bool", ())
        step = mg.cond(p, lambda: mg.group(v.assign(5.0)), lambda: mg.no_op())
        maybe = mg.cond(p, lambda: v.assign(7.0), lambda: None)
    session = initialized(g)
    assert session.run(step, {p: False}) is None and session.run(v) == 0
    session.run(step, {p: True})
    assert session.run(v) == 5
    session.run(maybe, {p: True})
    assert session.run(v) == 7


def test_shapes_of_branches_may_differ():
    with mg.Graph().as_default() as g:
        p = mg.placeholder("bool", ())
        y = mg.cond(p, lambda: mg.ones((2, 3)), lambda: mg.ones((4, 3)))
    assert y.shape == (None, 3)
    assert mg.Session(graph=g).run(y, {p: False}).shape == (4, 3)


# -- gradients ---------------------------------------------------------------------------------


def test_gradients_of_the_first_three_orders():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        y = mg.cond(x > 0.0, lambda: x**4.0, lambda: mg.exp(x))
        made = [y]
        for _ in range(3):
            made += mg.gradients(made[-1], [x])
    session = mg.Session(graph=g)
    assert session.run(made, {x: 2.0}) == pytest.approx([16, 32, 48, 48], rel=1e-14)
    assert session.run(made, {x: -1.0}) == pytest.approx([np.exp(-1.0)] * 4, rel=1e-14)


def test_what_the_branch_taken_does_not_read_has_gradient_zero():
    with mg.Graph().as_default() as g:
        p = mg.placeholder("bool", ())
        x, w = mg.placeholder("float64", (2,)), mg.placeholder("float64", ())
        y = mg.sum(mg.cond(p, lambda: x * x, lambda: x * w))
        d = mg.gradients(y, [x, w])
    session = mg.Session(graph=g)
    dx, dw = session.run(d, {p: True, x: [1.0, 2.0], w: 3.0})
    assert dx.tolist() == [2, 4] and dw == 0
    dx, dw = session.run(d, {p: False, x: [1.0, 2.0], w: 3.0})
    assert dx.tolist() == [3, 3] and dw == 3


def test_a_tensor_captured_twice_and_returned_as_it_is():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        a, b = mg.cond(x > 0.0, lambda: (x, x * x * x), lambda: (x * 2.0, x))
        (d,) = mg.gradients(a * b, [x])
    session = mg.Session(graph=g)
    assert session.run(d, {x: 2.0}) == 32  # x**4
    assert session.run(d, {x: -3.0}) == -12  # 2 x**2


def test_a_constant_branch_has_gradient_zero():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", ())
        (d,) = mg.gradients(mg.cond(x > 0.0, lambda: x * x, lambda: 5.0), [x])
    session = mg.Session(graph=g)
    assert session.run([d], {x: 3.0}) == [6] and session.run([d], {x: -3.0}) == [0]


def test_rows_looked_up_in_a_branch():
    with mg.Graph().as_default() as g:
        table = mg.placeholder("float64", (3, 2))
        p = mg.placeholder("bool", ())
        y = mg.cond(p, lambda: mg.gather(table, [1, 1]), lambda: table[:2])
        (d,) = mg.gradients(mg.sum(y * y), [table])
    value = np.arange(6.0).reshape(3, 2)
    session = mg.Session(graph=g)
    np.testing.assert_array_equal(
        session.run(d, {table: value, p: True}), [[0, 0], [8, 12], [0, 0]]
    )
    np.testing.assert_array_equal(
        session.run(d, {table: value, p: False}), [[0, 2], [4, 6], [0, 0]]
    )


def test_branches_twelve_deep():
    def nest(depth, value, x):
        if not depth:
            return value * x
        return mg.cond(value > 0.0, lambda: nest(depth - 1, value * 1.01, x), lambda: value)

    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        y = nest(12, x, x)
        (d,) = mg.gradients(y, [x])
        (dd,) = mg.gradients(d, [x])
    k = 1.01**12
    made = mg.Session(graph=g).run([y, d, dd], {x: 2.0})
    assert made == pytest.approx([4 * k, 4 * k, 2 * k], rel=1e-14)


def test_the_gradient_uses_the_number_that_was_drawn():
    with mg.Graph().as_default() as g:
        p = mg.placeholder("bool", ())
        x = mg.placeholder("float64", ())
        y = mg.cond(p, lambda: x * x * mg.random.uniform((), 1.0, 2.0, dtype="float64"), lambda: x)
        (d,) = mg.gradients(y, [x])
        (dd,) = mg.gradients(d, [x])
    y, d, dd = mg.Session(graph=g).run([y, d, dd], {p: True, x: 3.0})
    drawn = y / 9
    assert [d, dd] == pytest.approx([6 * drawn, 2 * drawn], rel=1e-14)


def test_an_optimizer_steps_in_a_branch():
    with mg.Graph().as_default() as g:
        w = mg.Variable(1.0)
        p = mg.placeholder("bool", ())
        optimizer = optim.SGD(0.25)
        step = mg.cond(p, lambda: optimizer.minimize(w * w), lambda: mg.no_op())
    session = initialized(g)
    session.run(step, {p: False})
    assert session.run(w) == 1
    session.run(step, {p: True})
    assert session.run(w) == 0.5


# -- errors ------------------------------------------------------------------------------------


def test_results_that_do_not_fit_together():
    with mg.Graph().as_default():
        p = mg.placeholder("bool", ())
        x = mg.placeholder("float32", (2,))
        with pytest.raises(ArgumentError, match=r"different structures.*\(\*,\), got \*"):
            mg.cond(p, lambda: (x,), lambda: x)
        with pytest.raises(DTypeError, match="int32, of another float32"):
            mg.cond(p, lambda: x, lambda: mg.constant(1))
        with pytest.raises(ShapeError, match=r"scalar, got shape \(2,\)"):
            mg.cond(x > 0.0, lambda: x, lambda: x)
        with pytest.raises(ArgumentTypeError, match="must be a function"):
            mg.cond(p, x, x)
        with pytest.raises(DTypeError, match="integer, got bool"):
            mg.switch_case(p, [lambda: x])


def test_operations_built_outside_are_refused():
    with mg.Graph().as_default():
        v = mg.Variable(0.0)
        p = mg.placeholder("bool", ())
        outside = v.assign(1.0)
        for branch in (
            lambda: outside.op,
            lambda: outside,
            lambda: mg.group(outside),
            lambda: mg.global_variables_initializer(),
        ):
            with pytest.raises(GraphError, match="built outside"):
                mg.cond(p, branch, lambda: mg.no_op())


def test_what_leaks_out_of_a_branch_cannot_be_used():
    leaked = []
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", ())
        y = mg.cond(x > 0.0, lambda: leaked.append(x * 2.0) or x, lambda: x)
        for use in (
            lambda: leaked[0] + 1.0,
            lambda: mg.gradients(leaked[0], [x]),
            lambda: mg.cond(x > 0.0, lambda: leaked[0], lambda: x),
            lambda: mg.add_effect(leaked[0], lambda: mg.no_op()),
        ):
            with pytest.raises(GraphError, match="return it from"):
                use()
    session = mg.Session(graph=g)
    with pytest.raises(mg.errors.FetchError, match="return it from the body"):
        session.run(leaked[0])
    with pytest.raises(mg.errors.FetchError, match="inside the body"):
        session.run(leaked[0].name)
    with pytest.raises(mg.errors.FeedError, match="inside the body"):
        session.run(y, {leaked[0]: 1.0, x: 1.0})


def test_placeholders_and_variables_are_made_before():
    with mg.Graph().as_default():
        p = mg.placeholder("bool", ())
        with pytest.raises(GraphError, match="variable 'w' is made inside the body"):
            mg.cond(p, lambda: mg.Variable(1.0, name="w") * 1.0, lambda: 1.0)
        with pytest.raises(GraphError, match="placeholder 'x' is made inside the body"):
            mg.cond(p, lambda: mg.placeholder("float32", (), name="x"), lambda: 1.0)


def test_an_error_names_the_node_and_the_line_in_the_branch():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", (None,))
        y = mg.cond(mg.size(x) > 0, lambda: x[0] + mg.gather(x, 5), lambda: 0.0)
    with pytest.raises(mg.errors.IndexOutOfRangeError) as caught:
        mg.Session(graph=g).run(y, {x: [1.0]})
    text = str(caught.value)
    assert "'Cond/true/GatherV2'" in text and "'Cond/Case'" in text
    assert "lambda: x[0] + mg.gather(x, 5)" in text


# -- saving ------------------------------------------------------------------------------------


def test_a_graph_with_branches_is_saved_and_loaded():
    with mg.Graph().as_default() as g:
        v = mg.Variable(np.float64(2.0), name="v")
        x = mg.placeholder("float64", (), name="x")
        y = mg.switch_case(
            mg.astype(x, "int32"),
            [lambda: x * v, lambda: mg.cond(v > 1.0, lambda: v.assign_add(1.0) * x, lambda: x)],
        )
        (d,) = mg.gradients(y, [x])
        init = mg.global_variables_initializer()
    loaded = mg.Graph.from_dict(json.loads(json.dumps(g.to_dict())))
    session, other = mg.Session(graph=g), mg.Session(graph=loaded)
    session.run(init)
    other.run(init.name)
    for value in (0.5, 1.5, 1.5):
        expected = session.run([y, d], {x: value})
        assert other.run([y.name, d.name], {"x:0": value}) == expected


def test_a_tensor_in_one_branch_and_nothing_in_the_other_is_refused():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", ())
        with pytest.raises(mg.errors.ArgumentError, match="another None or an operation"):
            mg.cond(pred=x > 0.0, true_fn=lambda: None, false_fn=lambda: x * 2.0)
        v = mg.Variable(1.0)
        step = mg.cond(x > 0.0, lambda: v.assign(5.0), lambda: None)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            session.run(step, {x: -1.0})
            assert session.run(v) == 1.0
            session.run(step, {x: 1.0})
            assert session.run(v) == 5.0


def test_a_number_that_does_not_fit_the_other_branch_is_refused():
    with mg.Graph().as_default():
        p = mg.placeholder("bool", ())
        with pytest.raises(mg.errors.DTypeError, match=r"number 1\.5, another a tensor of int32"):
            mg.cond(p, lambda: 1.5, lambda: mg.constant(2))
        assert mg.cond(p, lambda: 1, lambda: mg.constant(2.0)).dtype is mg.float32

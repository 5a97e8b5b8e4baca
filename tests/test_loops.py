"""`mg.while_loop` and `mg.fori_loop`: how often they run, their gradients, and their errors."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.control_flow.loop import Collector
from minigrad.core.registry import primitive_of
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError

A = np.array([0.3, -0.7, 1.1])
B = np.array([0.9, 0.4, -0.2])


def initialized(graph):
    session = mg.Session(graph=graph)
    with graph.as_default():
        session.run(mg.global_variables_initializer())
    return session


def lazily(function, *arrays):
    """The sum of a function's result, its gradients, and those of a sum of sines of these."""
    with mg.Graph().as_default() as g:
        xs = [mg.placeholder(str(a.dtype), (None,) * a.ndim) for a in arrays]
        y = mg.sum(function(*xs))
        first = mg.gradients(y, xs)
        second = mg.gradients(sum(mg.sum(mg.sin(d)) for d in first), xs)
    return mg.Session(graph=g).run([y, *first, *second], dict(zip(xs, arrays, strict=True)))


def unrolled(function, *arrays):
    """The same for a function without loop nodes, by tapes."""
    xs = [mg.asarray(a) for a in arrays]
    with mg.GradientTape(persistent=True) as outer:
        outer.watch(xs)
        with mg.GradientTape() as inner:
            inner.watch(xs)
            y = mg.sum(function(*xs))
        first = inner.gradient(y, xs)
        total = sum(mg.sum(mg.sin(d)) for d in first)
    return [y, *first, *outer.gradient(total, xs)]


def assert_same(lazy, eager):
    for a, b in zip(lazy, eager, strict=True):
        b = b.dense() if isinstance(b, mg.IndexedSlices) else b
        a = a.dense() if isinstance(a, mg.IndexedSlices) else a
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-10, atol=1e-12)


# -- how often ---------------------------------------------------------------------------------


def test_the_run_decides_how_often():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", ())
        n, y = mg.while_loop(lambda n, y: y < 100.0, lambda n, y: (n + 1, y * x), (0, x))
        (d,) = mg.gradients(y, [x])
    session = mg.Session(graph=g)
    assert session.run([n, y, d], {x: 3.0}) == [4, 243, 405]
    assert session.run([n, y, d], {x: 10.0}) == [1, 100, 20]
    assert session.run([n, y, d], {x: 500.0}) == [0, 500, 1]  # No run at all.


@pytest.mark.parametrize(("most", "expected"), [(5, 32), (1, 2), (0, 1), (-3, 1)])
def test_maximum_iterations_may_be_a_tensor(most, expected):
    def loop(limit, x):
        doubled = lambda a: (a * 2.0,)  # noqa: E731
        return mg.while_loop(lambda a: a < 1e9, doubled, (x,), maximum_iterations=limit)[0]

    with mg.Graph().as_default() as g:
        n, x = mg.placeholder("int32", ()), mg.placeholder("float64", ())
        y = loop(n, x)
        (d,) = mg.gradients(y, [x])
    assert mg.Session(graph=g).run([y, d], {n: most, x: 1.0}) == [expected, expected]
    assert float(loop(most, 1.0)) == expected


def test_bounds_may_be_tensors_and_the_counter_has_their_dtype():
    def total(low, high):
        return mg.fori_loop(low, high, lambda i, s: s + i, low * 0)

    with mg.Graph().as_default() as g:
        n = mg.placeholder("int32", ())
        m = mg.placeholder("int64", ())
        made = [total(n, n + 4), total(m, m + 4), mg.fori_loop(n, 3, lambda i, s: s + i, 0)]
    assert [t.dtype for t in made] == [mg.int32, mg.int64, mg.int32]
    assert mg.Session(graph=g).run(made, {n: 1, m: 2}) == [10, 14, 3]
    assert total(np.int64(2), 6).dtype == mg.int64 and int(total(np.int64(2), 6)) == 14


def test_a_bool_is_carried_to_stop_early():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", (None,))
        start = (True, 0, mg.constant(np.float64(0)))

        def body(go_on, i, total):
            total = total + mg.gather(x, i) ** 2
            return total < 10.0, i + 1, total

        _, n, total = mg.while_loop(lambda go_on, i, total: go_on, body, start)
        (d,) = mg.gradients(total, [x])
    n, total, d = mg.Session(graph=g).run([n, total, d], {x: [1.0, 2.0, 3.0, 4.0]})
    assert (n, total) == (3, 14)
    np.testing.assert_array_equal(d.dense(), [2, 4, 6, 0])


def test_loop_variables_are_a_tensor_or_a_dictionary_or_nests():
    state = {"n": 0, "pair": (1.0, [2.0])}

    def body(s):
        a, (b,) = s["pair"]
        return {"n": s["n"] + 1, "pair": (b, [a + b])}

    def fibonacci():
        return mg.while_loop(lambda s: s["n"] < 4, body, state)

    with mg.Graph().as_default() as g:
        lazy = fibonacci()
        one = mg.while_loop(lambda x: x < 9.0, lambda x: x * x, 2.0)
    assert mg.Session(graph=g).run([lazy, one]) == [{"n": 4, "pair": (8, [13])}, 16]
    assert float(fibonacci()["pair"][1][0]) == 13


# -- gradients against unrolled code -----------------------------------------------------------

LOOPS = {
    "start and captured alike": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: a * x + w * x, x),
        lambda x, w: ((x * x + w * x) * x + w * x) * x + w * x,
    ),
    "captured twice": (
        lambda x, w: mg.fori_loop(0, 2, lambda i, a: mg.sin(a * w) + w, x),
        lambda x, w: mg.sin((mg.sin(x * w) + w) * w) + w,
    ),
    "captured by condition and body": (
        lambda x, w: mg.while_loop(
            lambda i, a: mg.astype(i, "float64") < mg.sum(w) * 2.0,
            lambda i, a: (i + 1, mg.tanh(a) * w),
            (0, x),
        )[1],
        lambda x, w: mg.tanh(mg.tanh(mg.tanh(x) * w) * w) * w,
    ),
    "two outputs the same tensor": (
        lambda x, w: mg.add(*mg.fori_loop(0, 2, lambda i, a: (a[0] * a[1] * w,) * 2, (x, w))),
        lambda x, w: 2.0 * (x * w * w) ** 2.0 * w,
    ),
    "variables change places": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: (a[1], a[0]), (x, w))[0] ** 2.0 + w,
        lambda x, w: w**2.0 + w,
    ),
    "the body changes nothing": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: a, x) ** 2.0 * w,
        lambda x, w: x**2.0 * w,
    ),
    "the body returns a tensor from outside": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: (w, a[0] * x), (x, x))[1] * x,
        lambda x, w: w * x * x,
    ),
    "the body returns a constant": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: (mg.ones_like(x), a[0] * x * w), (x, x))[1],
        lambda x, w: x * w,
    ),
    "a variable nobody needs": (
        lambda x, w: mg.fori_loop(0, 2, lambda i, a: (a[0] * x, a[1] * w, a[2] + 1), (x, w, 0))[0],
        lambda x, w: x * x * x + 0.0 * w,
    ),
    "no run": (
        lambda x, w: mg.fori_loop(0, 0, lambda i, a: a * w, x) * x,
        lambda x, w: x * x + 0.0 * w,
    ),
    "rows of a captured table": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: mg.tanh(a + mg.gather(w, i) * a), x),
        lambda x, w: _thrice(lambda i, a: mg.tanh(a + w[i] * a), x),
    ),
    "rows of a captured table, and all of it": (
        lambda x, w: mg.fori_loop(0, 3, lambda i, a: mg.sin(a * mg.gather(w, i)) + mg.sum(w), x),
        lambda x, w: _thrice(lambda i, a: mg.sin(a * w[i]) + mg.sum(w), x),
    ),
    "loops and branches three deep": (
        lambda x, w: mg.fori_loop(
            0,
            2,
            lambda i, a: mg.cond(
                a[2] > 1.0,
                lambda: mg.fori_loop(0, 2, lambda j, b: mg.sin(b * w) * a, a),
                lambda: a * a + w,
            ),
            x,
        ),
        # 1.1 is above; what becomes of it is below.
        lambda x, w: mg.square(mg.sin(mg.sin(x * w) * x * w) * x) + w,
    ),
}


def _thrice(step, value):
    for i in range(3):
        value = step(i, value)
    return value


@pytest.mark.parametrize("name", LOOPS)
def test_two_orders_of_gradients_equal_those_of_unrolled_code(name):
    loop, plain = LOOPS[name]
    expected = unrolled(plain, A, B)
    assert_same(lazily(loop, A, B), expected)
    assert_same(unrolled(loop, A, B), expected)


def test_the_third_order_by_hand():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        made = [mg.fori_loop(0, 5, lambda i, a: a * x, x)]  # x**6
        for _ in range(3):
            made += mg.gradients(made[-1], [x])
    assert mg.Session(graph=g).run(made, {x: 2.0}) == [64, 192, 480, 960]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay_what_they_are(dtype):
    with mg.Graph().as_default() as g:
        x, w = mg.placeholder(dtype, (3,)), mg.placeholder(dtype, ())
        y = mg.fori_loop(0, 3, lambda i, a: a * w + 1.0, x)  # x w**3 + w**2 + w + 1
        d = mg.gradients(y, [x, w])
        dd = mg.gradients(d[1], [w])
    made = mg.Session(graph=g).run([y, *d, *dd], {x: np.ones(3, dtype), w: 2.0})
    assert [a.dtype for a in made] == [np.dtype(dtype)] * 4
    for a, expected in zip(made, ([15] * 3, [8] * 3, 3 * (12 + 4 + 1), 3 * (12 + 2)), strict=True):
        np.testing.assert_array_equal(a, expected)


def test_gradients_pass_through_casts_and_stop_at_integers():
    with mg.Graph().as_default() as g:
        x, w = mg.placeholder("float32", ()), mg.placeholder("float64", ())
        y = mg.fori_loop(0, 2, lambda i, a: mg.astype(mg.astype(a, "float64") * w, "float32"), x)
        z = mg.fori_loop(0, mg.astype(x, "int32"), lambda i, a: a * 2.0, x)
        made = [y, *mg.gradients(y, [x, w]), z, *mg.gradients(z, [x])]
    assert mg.Session(graph=g).run(made, {x: 2.0, w: 3.0}) == [18, 9, 12, 8, 4]


def test_static_shapes_need_not_be_known():
    with mg.Graph().as_default() as g:
        x, w = mg.placeholder("float64"), mg.placeholder("float64")
        y = mg.sum(mg.fori_loop(0, 2, lambda i, a: mg.tanh(a * w), x))
        made = [y, *mg.gradients(y, [x, w])]
    made = mg.Session(graph=g).run(made, {x: A, w: B})
    plain = unrolled(lambda x, w: mg.tanh(mg.tanh(x * w) * w), A, B)
    assert_same(made, plain[:3])


# -- shapes that change ------------------------------------------------------------------------


def growing(x, w):
    def body(i, a):
        return i + 1, mg.concat([a * w[0], a[:1] * w[1:2]])

    return mg.while_loop(lambda i, a: i < 3, body, (0, x), shape_invariants=(None, (None,)))[1]


def test_a_shape_that_grows_as_declared():
    def plain(x, w):
        return _thrice(lambda i, a: mg.concat([a * w[0], a[:1] * w[1:2]]), x)

    with mg.Graph().as_default() as g:
        y = growing(mg.constant(A), mg.constant(B))
    assert y.shape == (None,) and mg.Session(graph=g).run(y).shape == (6,)
    assert_same(lazily(growing, A, B), unrolled(plain, A, B))


def test_undeclared_or_wrong_shapes_are_refused_while_building():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (2,))

        def loop(body, **options):
            return mg.while_loop(lambda a: True, body, (x,), **options)

        with pytest.raises(ShapeError, match=r"0 \('a'\).*\(2,\), got \(4,\).*shape_invariants"):
            loop(lambda a: (mg.concat([a, a]),))
        with pytest.raises(ShapeError, match=r"does not fit its invariant \(3,\)"):
            loop(lambda a: (a,), shape_invariants=((3,),))
        with pytest.raises(ArgumentError, match="2 for 1"):
            loop(lambda a: (a,), shape_invariants=((2,), (2,)))
        with pytest.raises(ArgumentError, match="structure like loop_vars"):
            loop(lambda a: (a,), shape_invariants=5)


def test_undeclared_shapes_are_refused_in_the_run():
    with mg.Graph().as_default() as g:
        n = mg.placeholder("int32", ())
        x = mg.placeholder("float32", (None,))
        y = mg.fori_loop(0, 3, lambda i, a: mg.concat([a, a])[:n], x)
    session = mg.Session(graph=g)
    assert session.run(y, {n: 2, x: [1.0, 2.0]}).tolist() == [1, 2]
    with pytest.raises(ShapeError, match=r"declared with shape \(2,\), got \(4,\)"):
        session.run(y, {n: 4, x: [1.0, 2.0]})
    with pytest.raises(ShapeError, match="shape_invariants"):
        mg.fori_loop(0, 3, lambda i, a: mg.concat([a, a]), np.ones(2))


# -- errors ------------------------------------------------------------------------------------


def test_what_the_functions_may_return():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", ())
        cases = [
            (DTypeError, "bool, got float32", lambda a: a, lambda a: (a,)),
            (ArgumentError, "one bool", lambda a: (True, True), lambda a: (a,)),
            (ArgumentError, "another structure", lambda a: True, lambda a: (a, a)),
            (ArgumentError, "`return` missing", lambda a: True, lambda a: None),
            (DTypeError, "float32, got int32", lambda a: True, lambda a: (mg.constant(1),)),
            (ArgumentTypeError, "must be a function", True, lambda a: (a,)),
        ]
        for kind, text, cond, body in cases:
            with pytest.raises(kind, match=text):
                mg.while_loop(cond, body, (x,))
        with pytest.raises(ArgumentTypeError, match="must be an integer, got float32"):
            mg.fori_loop(0, x, lambda i, a: a, x)
        with pytest.raises(ArgumentTypeError, match="must be a function, got 3"):
            mg.fori_loop(0, 2, 3, x)


def test_gradients_of_rows_without_elements():
    def rows(x, h):
        return mg.fori_loop(0, 3, lambda i, h: mg.tanh(h + mg.gather(x, i)), h)

    with mg.Graph().as_default() as g:
        x, h = mg.placeholder("float64", (5, 0, 3)), mg.placeholder("float64", (0, 3))
        slope = mg.gradients(mg.sum(rows(x, h)), x)[0]
        assert slope.dense().shape == (5, 0, 3)
    found = mg.Session(graph=g).run(slope.dense(), {x: np.ones((5, 0, 3)), h: np.ones((0, 3))})
    assert found.shape == (5, 0, 3)


def test_an_error_names_node_line_and_run():
    with mg.Graph().as_default() as g:
        x, n = mg.placeholder("float32", (None,)), mg.placeholder("int32", ())
        y = mg.fori_loop(0, n, lambda i, a: a + mg.gather(x, i), 0.0)
    with pytest.raises(mg.errors.IndexOutOfRangeError) as caught:
        mg.Session(graph=g).run(y, {x: [1.0, 2.0], n: 5})
    text = str(caught.value)
    assert "in node 'ForLoop/body/GatherV2'" in text
    assert "lambda i, a: a + mg.gather(x, i)" in text
    assert "in run 2 of the loop" in text and "in node 'ForLoop/Loop'" in text


def test_an_error_of_a_called_function_keeps_its_class():
    def fail(k):
        if k == 2:
            raise LookupError("no such thing")
        return k

    with mg.Graph().as_default() as g:
        y = mg.fori_loop(0, 4, lambda i, a: a + mg.host_call(fail, i, out=((), "int32")), 0)
    with pytest.raises(LookupError, match="no such thing") as caught:
        mg.Session(graph=g).run(y)
    notes = "\n".join(caught.value.__notes__)
    assert "ForLoop/body/PyFunc" in notes and "in run 2 of the loop" in notes


def test_check_numerics_names_the_node_in_the_body():
    with mg.Graph().as_default() as g:
        y = mg.fori_loop(0, 3, lambda i, a: mg.log(a - 2.0), 5.0)
    assert np.isnan(mg.Session(graph=g).run(y))
    with pytest.raises(mg.errors.NumericsError, match="ForLoop/body/Log:0 has 1 NaN"):
        mg.Session(graph=g, check_numerics=True).run(y)


def test_a_finalized_graph_takes_no_loop():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", ())
        g.finalize()
        with pytest.raises(mg.errors.FinalizedGraphError):
            mg.fori_loop(0, 2, lambda i, a: a * x, x)


def test_tensors_of_two_bodies_do_not_meet():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", ())
        kept = []
        mg.fori_loop(0, 2, lambda i, a: kept.append(a) or a, x)
        with pytest.raises(GraphError, match="return one from its body"):
            mg.fori_loop(0, 2, lambda i, a: a + kept[0], x)


# -- mixing eager code and graphs --------------------------------------------------------------


def test_concrete_loops_over_symbolic_tensors_join_their_graph():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", ())
    (y,) = mg.while_loop(lambda a: a < 10.0, lambda a: (a * x,), (2.0,))
    z = mg.fori_loop(0, 3, lambda i, a: a * x, 2.0)
    assert y.graph is g
    assert mg.Session(graph=g).run([y, z], {x: 3.0}) == [18, 54]


# -- cost --------------------------------------------------------------------------------------


def power(n, x):
    """x times 0.9999 for n runs, and its gradient."""
    with mg.Graph().as_default() as g:
        start = (mg.constant(np.int64(0)), x := mg.placeholder("float64", ()))
        n = mg.placeholder("int64", ())
        _, y = mg.while_loop(lambda i, a: i < n, lambda i, a: (i + 1, a * 0.9999), start)
        (d,) = mg.gradients(y, [x])
    return mg.Session(graph=g), n, x, y, d


def test_a_hundred_thousand_runs_take_linear_work_and_no_stack(monkeypatch):
    session, n, x, y, d = power(None, None)
    multiply, counts = primitive_of("Mul"), []
    kernel = multiply.compute
    monkeypatch.setattr(multiply, "compute", lambda xp, a, b: counts.append(1) or kernel(xp, a, b))
    # Compiled loops call no kernel that could be counted.
    plain = mg.Session(graph=session.graph, executor="reference")
    for runs in (1_000, 10_000):
        counts.clear()
        plain.run([y, d], {n: runs, x: 1.0})
        assert len(counts) == 2 * runs
    monkeypatch.undo()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        made = session.run([y, d], {n: 100_000, x: 2.0})
    finally:
        sys.setrecursionlimit(limit)
    np.testing.assert_allclose(made, [2 * 0.9999**100_000, 0.9999**100_000], rtol=1e-8)


def test_ten_thousand_eager_runs():
    x = mg.asarray(np.float64(2.0))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        with mg.GradientTape() as tape:
            tape.watch(x)
            _, y = mg.while_loop(lambda i, a: i < 10_000, lambda i, a: (i + 1, a * 0.9999), (0, x))
        d = float(tape.gradient(y, x))
    finally:
        sys.setrecursionlimit(limit)
    np.testing.assert_allclose(d, 0.9999**10_000, rtol=1e-10)


def test_history_is_kept_only_for_gradients(monkeypatch):
    kept = []
    add = Collector.add

    def counted(self, item):
        kept.append(item.shape)
        add(self, item)

    monkeypatch.setattr(Collector, "add", counted)
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", (None,))
        y = mg.fori_loop(0, 5, lambda i, a: mg.sin(a) * 2.0, x)
        (d,) = mg.gradients(y, [x])
    session = mg.Session(graph=g, executor="reference")  # Native loops collect nothing.
    session.run(y, {x: np.ones(7)})
    assert kept == []
    session.run(d, {x: np.ones(7)})
    assert kept == [(7,)] * 5


def test_plans_are_made_once_and_callables_work():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", ())
        y = mg.fori_loop(0, 3, lambda i, a: a * x, x)
        (d,) = mg.gradients(y, [x])
    session = mg.Session(graph=g)
    call = session.make_callable([y, d], [x])
    assert call(2.0) == [16, 32]
    plans = y.op.attrs["body"].plans
    before = dict(plans)
    assert call(3.0) == [81, 108] and session.run([y, d], {x: 1.0}) == [1, 4]
    assert plans == before


def test_threads_run_one_loop_at_once():
    with mg.Graph().as_default() as g:
        count = mg.Variable(np.int64(0))
        n, x = mg.placeholder("int64", ()), mg.placeholder("float64", ())

        def body(i, a):
            count.assign_add(1)
            return i + 1, a * x

        _, y = mg.while_loop(lambda i, a: i < n, body, (mg.constant(np.int64(0)), x))
        (d,) = mg.gradients(y, [x])
    session, wrong = initialized(g), []

    def work(k):
        for _ in range(20):
            if session.run([y, d], {n: k, x: 2.0}) != [2.0 ** (k + 1), (k + 1) * 2.0**k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and session.run(count) == 20 * (1 + 2 + 3 + 4)


def test_a_loop_that_turns_out_symbolic_is_not_run_twice():
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", ())
    # Nothing has happened yet: the loop becomes a node.
    y = mg.fori_loop(0, 3, lambda i, a: a * x, 1.0)
    assert mg.Session(graph=graph).run(y, {x: 2.0}) == 8.0
    v = mg.Variable(0.0)
    for loop in (
        lambda: mg.fori_loop(0, 3, lambda i, a: (v.assign_add(1.0), a * x)[1], 1.0),
        lambda: mg.while_loop(lambda a: True, lambda a: (v.assign_add(1.0), a * x)[1], (1.0,)),
        lambda: mg.scan(lambda a, b: (v.assign_add(b) * x, b), 1.0, [1.0, 2.0]),
    ):
        with pytest.raises(mg.errors.GraphError, match="begun to run in eager code"):
            loop()

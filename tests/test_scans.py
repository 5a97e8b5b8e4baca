"""`mg.scan` and `mg.map_fn`: along the first axis, forwards and backwards."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

X = np.array([[0.3, -0.7], [1.1, 0.2], [-0.4, 0.9]])
W = np.array([0.8, -1.3])


def gradients_of(function, *arrays):
    """The sum of the results, the gradients, and those of the sum of their squares, in a graph."""
    with mg.Graph().as_default() as g:
        xs = [mg.placeholder(str(a.dtype), (None,) * a.ndim) for a in arrays]
        y = function(*xs)
        first = mg.gradients(y, xs)
        second = mg.gradients(sum(mg.sum(d * d) for d in first), xs)
    made = mg.Session(graph=g).run([y, *first, *second], dict(zip(xs, arrays, strict=True)))
    return [a.dense() if isinstance(a, mg.IndexedSlices) else a for a in made]


def by_tape(function, *arrays):
    """The same by tapes, of a function that holds no scan."""
    xs = [mg.asarray(a) for a in arrays]
    with mg.GradientTape(persistent=True) as outer:
        outer.watch(xs)
        with mg.GradientTape() as inner:
            inner.watch(xs)
            y = function(*xs)
        first = inner.gradient(y, xs)
        total = sum(mg.sum(d * d) for d in first)
    return [t.numpy() for t in (y, *first, *outer.gradient(total, xs))]


def assert_close(made, expected):
    for a, b in zip(made, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# -- results -----------------------------------------------------------------------------------


def test_running_sums_in_both_modes():
    def sums(xs):
        return mg.scan(lambda c, x: (c + x, c * x), 0.0, xs)

    with mg.Graph().as_default() as g:
        xs = mg.placeholder("float32", (None,))
        lazy = sums(xs)
    total, products = mg.Session(graph=g).run(lazy, {xs: [1.0, 2.0, 3.0]})
    assert total == 6 and products.tolist() == [0, 2, 9]
    total, products = sums([1.0, 2.0, 3.0])
    assert float(total) == 6 and products.tolist() == [0, 2, 9]


def test_in_reverse_results_stay_at_their_places():
    def suffixes(xs):
        return mg.scan(lambda c, x: (c + x, c + x), 0.0, xs, reverse=True)[1]

    with mg.Graph().as_default() as g:
        xs = mg.placeholder("float32", (None,))
        y = suffixes(xs)
    assert mg.Session(graph=g).run(y, {xs: [1.0, 2.0, 3.0]}).tolist() == [6, 5, 3]
    assert suffixes([1.0, 2.0, 3.0]).tolist() == [6, 5, 3]


def test_nests_of_slices_carries_and_results():
    def step(state, row):
        a, b = row["pair"]
        new = {"sum": state["sum"] + a, "last": b}
        return new, {"product": a * b, "nothing": None, "before": [state["last"]]}

    def run(first, second):
        start = {"sum": 0.0, "last": -1.0}
        return mg.scan(step, start, {"pair": (first, second)})

    with mg.Graph().as_default() as g:
        x, y = mg.placeholder("float32", (None,)), mg.placeholder("float32", (2,))
        carry, made = run(x, y)
    assert made.pop("nothing") is None
    carry, made = mg.Session(graph=g).run([carry, made], {x: [1.0, 2.0], y: [3.0, 4.0]})
    assert carry == {"sum": 3, "last": 4}
    assert made["product"].tolist() == [3, 8] and made["before"][0].tolist() == [-1, 3]
    carry, made = run([1.0, 2.0], [3.0, 4.0])
    assert float(carry["sum"]) == 3 and made["nothing"] is None
    assert made["before"][0].tolist() == [-1, 3]


def test_without_slices_a_length_counts():
    with mg.Graph().as_default() as g:
        n = mg.placeholder("int32", ())
        _, y = mg.scan(lambda c, x: (c * 2, (c, x)), 1, length=n)
    assert y[1] is None
    assert mg.Session(graph=g).run(y[0], {n: 4}).tolist() == [1, 2, 4, 8]


@pytest.mark.parametrize("lazy", [True, False])
def test_without_runs_the_carry_stays_and_results_are_empty(lazy):
    def run(xs):
        return mg.scan(lambda c, x: (c * 2.0, mg.concat([c, x])), mg.ones(2), xs)

    if lazy:
        with mg.Graph().as_default() as g:
            xs = mg.placeholder("float32", (None, 3))
            made = run(xs)
        carry, rows = mg.Session(graph=g).run(made, {xs: np.zeros((0, 3), np.float32)})
    else:
        carry, rows = (t.numpy() for t in run(mg.zeros((0, 3))))
    assert carry.tolist() == [1, 1] and rows.shape == (0, 5) and rows.dtype == np.float32


def test_map_fn_over_nests_and_lists():
    assert mg.map_fn(lambda x: mg.sum(x * x), [[1.0, 2.0], [3.0, 4.0]]).tolist() == [5, 25]
    made = mg.map_fn(lambda p: {"sum": p[0] + p[1]}, (np.arange(3), np.ones(3, np.int64)))
    assert made["sum"].tolist() == [1, 2, 3]
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", (None, None))
        y = mg.map_fn(lambda row: mg.map_fn(lambda e: e * mg.sum(row), row), x)
    made = mg.Session(graph=g).run(y, {x: [[1.0, 2.0], [3.0, 4.0]]})
    assert made.tolist() == [[3, 6], [21, 28]]


# -- gradients ---------------------------------------------------------------------------------


def step(c, x, w):
    return mg.tanh(c * w + x), c * x


def unrolled(order):
    def function(x, w):
        c, total = w, 0.0
        for k in order:
            c, y = step(c, x[k], w)
            total = total + mg.sum(y * y)
        return mg.sum(c) + total

    return function


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_slices_carries_and_captured(reverse):
    def scanned(x, w):
        c, ys = mg.scan(lambda c, row: step(c, row, w), w, x, reverse=reverse)
        return mg.sum(c) + mg.sum(ys * ys)

    expected = by_tape(unrolled([2, 1, 0] if reverse else [0, 1, 2]), X, W)
    assert_close(gradients_of(scanned, X, W), expected)
    assert_close(by_tape(scanned, X, W), expected)


def test_gradients_of_nests():
    def scanned(x, w):
        def body(s, r):
            return {"p": s["p"] * r["a"], "q": s["p"] + s["q"]}, (s["q"], [r["b"][0] * w])

        start = {"p": w, "q": w * 2.0}
        end, (q, (z,)) = mg.scan(body, start, {"a": x, "b": [x * x]})
        return mg.sum(end["q"]) + mg.sum(q * z)

    def plain(x, w):
        p, q, total = w, w * 2.0, 0.0
        for k in range(3):
            total = total + mg.sum(q * x[k] * x[k] * w)
            p, q = p * x[k], p + q
        return mg.sum(q) + total

    assert_close(gradients_of(scanned, X, W), by_tape(plain, X, W))


def test_gradients_without_runs():
    def scanned(x, w):
        c, ys = mg.scan(lambda c, row: step(c, row, w), w, x)
        return mg.sum(c * c) + mg.sum(ys)

    made = gradients_of(scanned, np.zeros((0, 2)), W)
    # The sum of squares of w; of its gradient's squares, 4 w**2.
    assert_close(made, [(W * W).sum(), np.zeros((0, 2)), 2 * W, np.zeros((0, 2)), 8 * W])


@pytest.mark.parametrize("shape", [None, (None, None), (3, None), (3, 2)])
def test_static_shapes_known_in_part(shape):
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", shape)
        w = mg.placeholder("float64", None if shape is None else shape[1:])
        c, ys = mg.scan(lambda c, row: step(c, row, w), w, x)
        y = mg.sum(c) + mg.sum(ys * ys)
        d = mg.gradients(y, [x, w])
        dd = mg.gradients(mg.sum(d[0] * d[0]) + mg.sum(d[1] * d[1]), [x, w])
    made = mg.Session(graph=g).run([y, *d, *dd], {x: X, w: W})
    assert_close(made, by_tape(unrolled(range(3)), X, W))


def test_rows_looked_up_in_every_run_make_a_sparse_gradient():
    table = np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]])
    ids = [2, 0, 2]

    def plain(t):
        c = mg.asarray(W)
        for k in ids:
            c = mg.sin(c + t[k] * t[k])
        return mg.sum(c)

    with mg.Graph().as_default() as g:
        t, rows = mg.placeholder("float64", (3, 2)), mg.placeholder("int64", (None,))

        def body(c, k):
            row = mg.gather(t, k)
            return mg.sin(c + row * row), None

        c, _ = mg.scan(body, mg.constant(W), rows)
        (d,) = mg.gradients(mg.sum(c), [t])
    assert isinstance(d, mg.IndexedSlices)
    made = mg.Session(graph=g).run(d, {t: table, rows: ids})
    assert sorted(made.indices.tolist()) == [0, 2, 2]
    np.testing.assert_allclose(made.dense(), by_tape(plain, table)[1], rtol=1e-12)


def test_a_scan_whose_runs_make_lengths_of_their_own():
    def scanned(x):
        def body(i, a):
            inner = mg.fori_loop(0, i + 1, lambda j, b: b * a[0], x[:1])
            return i + 1, mg.concat([a, inner])

        _, a = mg.while_loop(lambda i, a: i < 3, body, (0, x), shape_invariants=(None, (None,)))
        return mg.sum(a * a)

    def plain(x):
        a = x
        for i in range(3):
            a = mg.concat([a, x[:1] * a[0] ** (i + 1.0)])
        return mg.sum(a * a)

    assert_close(gradients_of(scanned, W), by_tape(plain, W))


def test_a_loss_in_a_session_passes_gradcheck():
    rng = np.random.default_rng(3)
    with mg.Graph().as_default():
        w = mg.Variable(rng.normal(size=2).astype(np.float32), name="w")
        b = mg.Variable(np.float32(0.3), name="b")
        x = mg.placeholder("float32", (None, 2))

        @mg.custom_gradient
        def square(q):
            return q * q, lambda upstream: [2.0 * upstream * q]

        def body(c, row):
            c = mg.cond(
                mg.sum(c) > 0.0,
                lambda: mg.fori_loop(0, 2, lambda j, q: mg.tanh(q * w + row), c),
                lambda: square(c) * b + w,
            )
            return c, mg.sum(c)

        c, ys = mg.scan(body, w * b, x)
        loss = mg.sum(c) + mg.sum(ys * ys)
        session = mg.Session()
        session.run(mg.global_variables_initializer())
    report = mg.gradcheck(loss, session=session, feed_dict={x: rng.normal(size=(4, 2))})
    assert report.ok, str(report)
    assert {c.name for c in report.checks} == {"w", "b"}


# -- draws -------------------------------------------------------------------------------------


def test_every_run_draws_anew_and_gradients_use_the_same_numbers():
    with mg.Graph().as_default() as g:
        mg.random.seed(3)
        x = mg.placeholder("float64", ())

        def body(c, _):
            e = mg.random.normal((), dtype="float64")
            return c * e * c, e

        c, es = mg.scan(body, x, length=3)  # x**8 e0**4 e1**2 e2
        (d,) = mg.gradients(c, [x])
        (dd,) = mg.gradients(d, [x])
    session = mg.Session(graph=g)
    c1, e1, d1, dd1 = session.run([c, es, d, dd], {x: 1.5})
    e2 = session.run(es, {x: 1.5})
    assert len({*e1, *e2}) == 6
    k = e1[0] ** 4 * e1[1] ** 2 * e1[2]
    np.testing.assert_allclose([c1, d1, dd1], [k * 1.5**8, 8 * k * 1.5**7, 56 * k * 1.5**6])


def test_a_run_that_fails_consumes_no_draws():
    fail = [False]

    def check(i):
        if fail[0] and i == 2:
            raise OSError("disk full")
        return i

    with mg.Graph().as_default() as g:
        mg.random.seed(1)

        def body(c, i):
            e = mg.random.uniform(())
            return c + mg.host_call(check, i, out=((), "int32")), e

        _, es = mg.scan(body, 0, mg.arange(4))
    straight, interrupted = mg.Session(graph=g), mg.Session(graph=g)
    fail[0] = True
    with pytest.raises(OSError, match="disk full"):
        interrupted.run(es)
    fail[0] = False
    first = straight.run(es)
    np.testing.assert_array_equal(interrupted.run(es), first)
    assert not {*straight.run(es)} & {*first}


@pytest.mark.parametrize("inside", [True, False])
def test_one_generator_gives_the_same_numbers_in_both_modes(inside):
    def draw(generator):
        return mg.scan(lambda c, _: (c, mg.random.uniform((2,), generator=generator)), 0, length=3)

    eager = mg.random.Generator(seed=3)
    expected = [draw(eager)[1].numpy(), draw(eager)[1].numpy()]
    generator = mg.random.Generator(seed=3)
    with mg.Graph().as_default() as g:
        _, y = draw(mg.random.Generator(seed=3) if inside else generator)
    session = mg.Session(graph=g)
    np.testing.assert_array_equal([session.run(y), session.run(y)], expected)


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [True, False])
def test_what_cannot_be_scanned(lazy):
    def check():
        x = mg.ones(2)
        with pytest.raises(ShapeError, match="lengths"):
            mg.scan(lambda c, r: (c, r[0]), 0.0, (mg.ones(2), mg.ones(3)))
        with pytest.raises(ShapeError, match="lengths"):
            mg.scan(lambda c, r: (c, r), 0.0, x, length=3)
        with pytest.raises(ShapeError, match="scalar in xs"):
            mg.scan(lambda c, r: (c, r), 0.0, 1.0)
        with pytest.raises(ArgumentError, match="needs xs, or length"):
            mg.scan(lambda c, r: (c, r), 0.0)
        with pytest.raises(ArgumentError, match="two values"):
            mg.scan(lambda c, r: c, 0.0, x)
        with pytest.raises(ArgumentError, match="another structure"):
            mg.scan(lambda c, r: ((c, c), r), 0.0, x)
        with pytest.raises(ArgumentError, match="`return` missing"):
            mg.scan(lambda c, r: (None, r), 0.0, x)
        with pytest.raises(ShapeError, match="was declared with shape"):
            mg.scan(lambda c, r: (c + x, r), 0.0, x)
        with pytest.raises(DTypeError, match="is float32, got int32"):
            mg.scan(lambda c, r: (mg.constant(1), r), 0.0, x)
        with pytest.raises(ArgumentTypeError, match="must be a function"):
            mg.scan(0.0, 0.0, x)
        with pytest.raises(ShapeError, match="scalar in xs"):
            mg.map_fn(lambda r: r, 1.0)

    if lazy:
        with mg.Graph().as_default():
            check()
    else:
        check()


def test_results_must_have_one_shape():
    def run(x):
        return mg.scan(lambda n, r: (n + 1, mg.repeat(r, n)), 1, x)[1]

    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", (None, 1))
        y = run(x)
    with pytest.raises(ShapeError, match=r"different shapes: \(1,\), \(2,\)"):
        mg.Session(graph=g).run(y, {x: [[1.0], [2.0]]})
    with pytest.raises(ShapeError):
        run(np.ones((2, 1)))

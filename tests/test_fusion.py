"""Which instructions become one loop, and that such loops compute what the graph says."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.compile.finishing import Finished, finished
from minigrad.compile.fuse import Group, fuse
from minigrad.compile.lower import lower
from minigrad.compile.program import Operand
from minigrad.compile.rewrite import rewrite
from minigrad.compile.views import broadcast, reshaped, sliced, transposed
from minigrad.executor.plan import Plan

pytest.importorskip("llvmlite")


def pieces_of(fetches, *feeds):
    """The pieces of the program that computes fetches of placeholders."""
    graph = fetches[0].graph
    plan = Plan(graph, fetches, [], feeds)
    specs = [(tuple(t.shape), t.dtype.dtype) for t in feeds]
    program = rewrite(lower(plan, specs, {}))
    return finished(fuse(program), program)


def groups_of(fetches, *feeds):
    return [piece for piece in pieces_of(fetches, *feeds) if isinstance(piece, Group)]


def agree(fetches, feeds, rtol=1e-5):
    made = mg.Session(fetches[0].graph, executor="native").run(fetches, feeds)
    expected = mg.Session(fetches[0].graph, executor="reference").run(fetches, feeds)
    for a, b in zip(made, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_chain_with_its_gradient_is_one_loop(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (1000,))
        y = mg.sum(mg.square(mg.tanh(x) * 3.0))
        fetches = [y, *mg.gradients(y, [x])]
    assert len(groups_of(fetches, x)) == 1
    agree(fetches, {x: rng.normal(size=1000)})


@pytest.mark.parametrize("columns", [1, 3, 16, 17, 130, 1000, 9001])
def test_softmax_cross_entropy_is_one_loop_over_rows(rng, columns):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (33, columns))
        labels = mg.placeholder("int64", (33,))
        loss = nn.cross_entropy(x, labels)
        fetches = [loss, *mg.gradients(loss, [x])]
    if columns == 130:
        rows = [g for g in groups_of(fetches, x, labels) if g.domain == (33, columns)]
        assert len(rows) == 1 and rows[0].split == 1
    feeds = {x: rng.normal(size=(33, columns)) * 3, labels: rng.integers(0, columns, 33)}
    agree(fetches, feeds)


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 40, 3), (70, 1, 65), (3, 2, 5000)])
def test_sums_over_any_axes(rng, shape, axis):
    with mg.Graph().as_default():
        x = mg.placeholder("float64", shape)
        y = mg.exp(x * 0.5)
        fetches = [
            mg.sum(y, axis=axis),
            mg.max(x, axis=axis, keepdims=True),
            mg.mean(y * x, axis=axis),
            y,
        ]
    agree(fetches, {x: rng.normal(size=shape)}, rtol=1e-12)


def test_operands_that_lie_otherwise_are_read_where_they_lie(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (12, 20))
        y = mg.placeholder("float32", (20, 12))
        row = mg.placeholder("float32", (20,))
        column = mg.placeholder("float32", (12, 1))
        z = mg.matrix_transpose(y) * x + row - column
        fetches = [z, z[::-1, 1:9:3] * 2.0, mg.reshape(z, (4, 60)) + 1.0]
    feeds = {
        x: rng.normal(size=(12, 20)),
        y: rng.normal(size=(20, 12)),
        row: rng.normal(size=20),
        column: rng.normal(size=(12, 1)),
    }
    agree(fetches, feeds)


def test_a_bias_and_an_activation_finish_a_product(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (9, 20))
        w = mg.placeholder("float32", (20, 33))
        b = mg.placeholder("float32", (33,))
        h = nn.relu(x @ w + b)
        fetches = [h, h > 0.5]
    (piece,) = pieces_of(fetches, x, w, b)
    assert isinstance(piece, Finished)
    feeds = {x: rng.normal(size=(9, 20)), w: rng.normal(size=(20, 33)), b: rng.normal(size=33)}
    agree(fetches, feeds)


def test_results_of_a_product_that_others_read_are_stored_too(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (9, 20))
        w = mg.placeholder("float32", (20, 33))
        z = x @ w
        fetches = [mg.tanh(z), z, mg.sum(z, axis=0)]
    agree(fetches, {x: rng.normal(size=(9, 20)), w: rng.normal(size=(20, 33))})


def test_what_comes_between_two_loops_keeps_them_apart(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (30, 30))
        a = mg.exp(x)
        total = mg.sum(a)
        fetches = [a / total, mg.sort(a, axis=0) + a]
    agree(fetches, {x: rng.normal(size=(30, 30))})


def test_one_value_fetched_twice_is_two_arrays():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float32", (3,))
        y = x * 2.0
        one, two, fed, view = mg.Session(g).run([y, y, x, mg.reshape(y, (3, 1))], {x: [1, 2, 3]})
    arrays = [one, two, fed, view]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not np.shares_memory(a, b)
    assert view.tolist() == [[2.0], [4.0], [6.0]]


def elements(operand, base):
    """The elements that an operand shows of a flat array."""
    index = np.full(operand.shape, operand.offset)
    for axis, (n, stride) in enumerate(zip(operand.shape, operand.strides, strict=True)):
        ones = [1] * operand.rank
        ones[axis] = n
        index = index + (np.arange(n) * stride).reshape(ones)
    return base.ravel()[index]


def test_views_show_what_numpy_shows():
    base = np.arange(120)
    x = Operand((4, 5, 6), base.dtype)
    moved = transposed(x, (2, 0, 1))
    part = sliced(moved, (1, 3, 0), (2, -1, 1), (2, 2, 5))
    array = base.reshape(4, 5, 6).transpose(2, 0, 1)[1:5:2, 3:1:-1]
    assert np.array_equal(elements(part, base), array)
    wide = broadcast(part, (3, 2, 2, 5))
    assert np.array_equal(elements(wide, base), np.broadcast_to(array, (3, 2, 2, 5)))
    split = reshaped(x, (2, 2, 30))
    assert split is not None and np.array_equal(elements(split, base), base.reshape(2, 2, 30))
    assert reshaped(moved, (6, 20)) is not None
    assert reshaped(moved, (24, 5)) is None


def test_a_recurrent_network_of_any_batch_size_is_one_native_function(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, None, 4))
        network = nn.LSTM(4, 6)
        loss = mg.mean(mg.square(network(x)[0]))
        fetches = [loss, *mg.gradients(loss, network.parameters())]
        session = mg.Session(executor="native")
        session.run(mg.global_variables_initializer())
    plain = mg.Session(loss.graph, executor="reference")
    plain.load_all({v: session.value_of(v) for v in network.parameters()})
    for shape in ((3, 5, 4), (2, 7, 4)):
        feeds = {x: rng.normal(size=shape)}
        for a, b in zip(session.run(fetches, feeds), plain.run(fetches, feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    stats = session.stats()
    assert stats["compiled"] == 2 and stats["unplanned"] <= 1  # The initializers are no plan.


def test_one_operand_stretched_in_two_ways_is_read_in_two_ways(rng):
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (2, 1))
        across = x * mg.exp(mg.reshape(x, (1, 2)))
        along = mg.broadcast_to(x, (2, 2, 1)) + mg.reshape(across, (2, 2, 1))
        fetches = [across, along]
    agree(fetches, {x: rng.normal(size=(2, 1))}, rtol=1e-12)

"""Rows that native code picks and adds up."""

from __future__ import annotations

import numpy as np
import pytest
from plan_runs import FAST
from test_native_placing import program_of

pytest.importorskip("llvmlite")

import minigrad as mg
import minigrad.nn
from minigrad.compile.interpret import interpret
from minigrad.compile.kernels import Repeat
from minigrad.compile.native.code import NativeCode
from minigrad.core.state import Transaction
from minigrad.errors import IndexOutOfRangeError


def native(build, *arrays):
    """What native code makes of them; it is what the interpreter makes."""
    program = program_of(build, *arrays)
    ((expected,), _) = interpret(program, arrays, {}, Transaction([]), FAST)
    ((found,), _) = NativeCode(program).run(arrays, {}, Transaction([]), FAST)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "bool"])
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 70), (5, 2, 130), (5, 40000)])
def test_picking(dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=shape).astype(dtype)
    for rows in (np.array(3), np.array([4, 0, 0, 2]), np.array([[1], [3]], np.int32)):
        found = native(lambda b, x, rows: b.gather(x, rows, 0), x, rows)
        np.testing.assert_array_equal(found, x[rows])


def test_picking_along_other_axes():
    x = np.random.default_rng(1).normal(size=(3, 4, 5)).astype("float32")
    rows = np.array([[3, 1], [0, 0]])
    for axis in range(3):
        picked = rows % x.shape[axis]
        found = native(lambda b, x, rows, axis=axis: b.gather(x, rows, axis), x, picked)
        np.testing.assert_array_equal(found, np.take(x, picked, axis=axis))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int64"])
@pytest.mark.parametrize(("count", "inner"), [(1, 1), (7, 1), (6, 3), (9, 65), (3000, 100)])
def test_adding_up(dtype, count, inner):
    rng = np.random.default_rng(2)
    rows = rng.integers(0, count, size=50)
    values = rng.integers(-9, 9, size=(2, 50, inner)).astype(dtype)
    expected = np.zeros((2, count, inner), dtype)
    np.add.at(expected, (slice(None), rows), values)
    found = native(lambda b, v, rows: b.scatter_add(v, rows, 1, count), values, rows)
    np.testing.assert_array_equal(found, expected)


def test_sums_keep_the_order_of_the_values():
    values = np.array([1e8, 1.0, -1e8, 1.0], "float32").reshape(4, 1)
    found = native(lambda b, v, r: b.scatter_add(v, r, 0, 2), values, np.zeros(4, np.int64))
    expected = np.float32(0)
    for v in values[:, 0]:
        expected = expected + v
    assert found.tolist() == [[expected], [0.0]]


def test_wrong_numbers_touch_nothing_else():
    x, rows = np.arange(6.0).reshape(3, 2), np.array([-5, 7, 1 << 62, 1])
    found = native(lambda b, x, r: b.gather(x, r, 0), x, rows)
    np.testing.assert_array_equal(found, x[[0, 2, 2, 1]])
    native(lambda b, v, r: b.scatter_add(v, r, 0, 2), np.ones((4, 3)), rows)


def both(build, *arrays):
    """The results of the reference executor and of native code."""
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
    feeds = dict(zip(inputs, arrays, strict=True))
    return [
        mg.Session(graph=graph, executor=name).run(made, feeds) for name in ("reference", "native")
    ]


TABLE = np.arange(60.0).reshape(5, 4, 3)


@pytest.mark.parametrize(
    ("build", "arrays"),
    [
        (lambda x, i: mg.gather(x, i), (TABLE, np.array([[4, 0], [2, 2]]))),
        (lambda x, i: mg.gather(x, i), (TABLE, np.array(3, np.uint8))),
        (lambda x, i: x[i], (TABLE, np.array([-1, 4, 0]))),
        (lambda x, i: x[1:4, i, None], (TABLE, np.array([-1, 2]))),
        (lambda x, i: x[..., i], (TABLE, np.array([[0], [2]]))),
        (lambda x, i, j: x[i, j], (TABLE, np.array([-1, 2]), np.array([[3], [-4]]))),
        (lambda x, i, j: x[::2, i, j], (TABLE, np.array([-1, 2]), np.array([1, 0]))),
        (lambda x, i: mg.take(x, i, axis=1), (TABLE, np.array([3, 0, 3]))),
        (lambda x, i: mg.gather_nd(x, i), (TABLE, np.array([[4, 3], [0, 1]]))),
        (lambda i, v: mg.scatter(i, v, (4, 2)), (np.array([[3], [0], [3]]), np.ones((3, 2)))),
        (lambda x, i: mg.index_add(x, (slice(None), i), 2.0), (TABLE, np.array([0, 3, 0]))),
        (
            lambda x, i: mg.take_along_axis(x, i, axis=1),
            (TABLE, np.array([[[0, -1, 2]], [[1, 1, 0]], [[3, 3, 3]], [[0, 2, 1]], [[-4, 0, 1]]])),
        ),
        (
            lambda x, i: mg.take_along_axis(x, i, axis=0),
            (np.arange(10000.0).reshape(5000, 2), np.array([[4999, -5000]])),
        ),
        (
            lambda x, i: mg.take_along_axis(x, i, axis=-1),
            (TABLE[:, :, 0], np.array([[0, 0, 2], [1, -1, 3]] + [[2, 2, 2]] * 3)),
        ),
        (lambda x: mg.repeat(x, [2, 0, 1, 3], axis=1), (TABLE,)),
        (lambda x: mg.pad(x, [(1, 2), (0, 0), (7, 5)], mode="reflect"), (TABLE,)),
        (lambda x: mg.pad(x, [(30, 0), (0, 3), (0, 0)], mode="wrap"), (TABLE,)),
        (lambda x: mg.nn.resize(x, (7, 3), method="bilinear"), (TABLE.reshape(1, 5, 4, 3),)),
        (lambda x: mg.nn.resize(x, (7, 3), method="nearest"), (TABLE.reshape(1, 5, 4, 3),)),
    ],
)
def test_what_picks_and_adds(build, arrays):
    expected, found = both(build, *arrays)
    np.testing.assert_array_equal(found, expected)

    def gradients(*inputs):
        floats = [x for x in inputs if x.dtype.is_floating]
        made = mg.sum(mg.square(build(*inputs)))
        return [mg.convert_to_tensor(g) for g in mg.gradients(made, floats)]

    for a, b in zip(*both(gradients, *arrays), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-14)


@pytest.mark.parametrize(
    ("build", "index"),
    [
        (lambda x, i: mg.gather(x, i), [5]),
        (lambda x, i: mg.gather(x, i), [-1]),
        (lambda x, i: x[i], [-6]),
        (lambda x, i: x[:, i], [4]),
        (lambda x, i: mg.gather_nd(x, mg.expand_dims(i, -1)), [5]),
    ],
)
def test_an_index_out_of_range_raises(build, index):
    with pytest.raises(IndexOutOfRangeError):
        both(build, TABLE, np.array(index))
    with mg.Graph().as_default():
        x, i = mg.placeholder("float64", TABLE.shape), mg.placeholder("int64", (1,))
        made = build(x, i)
        with pytest.raises(IndexOutOfRangeError, match="in node"):
            mg.Session(executor="native").run(made, {x: TABLE, i: np.array(index)})


def test_a_check_fails_rather_than_the_kernel():
    x = np.ones((3, 2))
    program = program_of(lambda b, x, i: b.op("GatherV2", x, i), x, np.array([3]))
    with pytest.raises(Repeat):
        interpret(program, [x, np.array([3])], {}, Transaction([]), FAST)

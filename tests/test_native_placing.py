"""Arrays that native code puts together from parts."""

from __future__ import annotations

import numpy as np
import pytest
from plan_runs import FAST

pytest.importorskip("llvmlite")

from minigrad.compile.builder import Builder
from minigrad.compile.interpret import interpret
from minigrad.compile.native.code import NativeCode
from minigrad.compile.program import Operand, Program, own_results
from minigrad.core.state import Transaction


def program_of(build, *arrays):
    """A program of feeds like these arrays."""
    program = Program()
    builder = Builder(program)
    program.feeds = [Operand(a.shape, a.dtype) for a in arrays]
    program.fetches = [build(builder, *program.feeds)]
    own_results(program)
    return program


def native(build, *arrays):
    """What native code makes of them, and what the interpreter does."""
    program = program_of(build, *arrays)
    ((expected,), _) = interpret(program, arrays, {}, Transaction([]), FAST)
    code = NativeCode(program)
    assert any(i.name == "place" for i in program.instructions)
    ((found,), _) = code.run(arrays, {}, Transaction([]), FAST)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "int64", "bool"])
def test_concatenation_of_every_dtype(dtype):
    rng = np.random.default_rng(0)
    for shape in [(3,), (70, 3), (5, 2, 33)]:
        for axis in range(len(shape)):
            a, c = (rng.integers(0, 2, size=shape).astype(dtype) for _ in range(2))
            found = native(lambda b, x, y, axis=axis: b.concat([x, y, x], axis), a, c)
            np.testing.assert_array_equal(found, np.concatenate([a, c, a], axis))


def test_parts_that_are_views():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 6, 5)).astype("float32")

    def build(b, x):
        turned = b.transpose(b.slice(x, (3, 0, 0), (-1, 1, 2), (4, 6, 3)), (0, 2, 1))
        corner = b.slice(x, (0, 0, 0), (1, 1, 1), (1, 1, 1))
        return b.concat([turned, b.broadcast(corner, (4, 2, 6))], 1)

    turned = x[::-1, :, ::2].transpose(0, 2, 1)
    expected = np.concatenate([turned, np.broadcast_to(x[:1, :1, :1], (4, 2, 6))], 1)
    np.testing.assert_array_equal(native(build, x), expected)


def test_padding():
    x = np.arange(12.0).reshape(2, 3, 2)
    widths = [(1, 0), (2, 3), (0, 4)]
    found = native(lambda b, x: b.pad(x, widths, b.constant(7.0)), x)
    np.testing.assert_array_equal(found, np.pad(x, widths, constant_values=7))
    found = native(lambda b, x, v: b.pad(x, widths, v), x, np.array(-1.0))
    np.testing.assert_array_equal(found, np.pad(x, widths, constant_values=-1))


def test_a_later_part_counts_where_parts_overlap():
    x, values = np.arange(20.0).reshape(4, 5), -np.ones((2, 2))

    def build(b, x, values):
        return b.place((4, 5), [(x, (0, (5, 1))), (values, (19, (-10, -2)))])

    expected = x.copy()
    expected[::-2, ::-2][:2, :2] = -1
    np.testing.assert_array_equal(native(build, x, values), expected)


def test_a_diagonal():
    def build(b, x):
        return b.place((3, 4), [(b.full((3, 4), 0, x.dtype), (0, (4, 1))), (x, (1, (5,)))])

    found = native(build, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, np.diag([1.0, 2.0, 3.0], 1)[:3])


@pytest.mark.parametrize("n", [16384, 40000, 65536, 100001])
def test_long_rows_are_cut(n):
    x = np.arange(n, dtype="float32")
    found = native(lambda b, x: b.concat([x, b.full((n,), 2, x.dtype), x], 0), x)
    np.testing.assert_array_equal(found, np.concatenate([x, np.full(n, 2, "float32"), x]))
    found = native(lambda b, x: b.concat([b.slice(x, (n - 1,), (-1,), (n,)), x], 0), x)
    np.testing.assert_array_equal(found, np.concatenate([x[::-1], x]))


def test_random_parts():
    rng = np.random.default_rng(2)
    for _ in range(40):
        shape = tuple(rng.integers(1, 9, size=rng.integers(1, 4)))
        x = rng.normal(size=shape)
        starts = [int(rng.integers(n)) for n in shape]
        steps = [int(rng.integers(1, 3)) for _ in shape]
        lengths = tuple(
            int(rng.integers(1, (n - 1 - a) // s + 2))
            for n, a, s in zip(shape, starts, steps, strict=True)
        )
        part = rng.normal(size=lengths[::-1])
        strides = [s // 8 for s in x.strides]
        first = sum(a * s for a, s in zip(starts, strides, strict=True))
        apart = [s * t for s, t in zip(steps, strides, strict=True)]

        def build(b, x, part, place=(first, apart), strides=tuple(strides)):
            turned = b.transpose(part, range(part.rank)[::-1])
            return b.place(x.shape, [(x, (0, strides)), (turned, place)])

        expected = x.copy()
        key = tuple(slice(a, a + s * n, s) for a, s, n in zip(starts, steps, lengths, strict=True))
        expected[key] = part.T
        if lengths != shape:
            np.testing.assert_array_equal(native(build, x, part), expected)

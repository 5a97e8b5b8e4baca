"""Programs built by hand, and what to feed them; for the tests of rewrites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from plan_runs import FAST

from minigrad.compile.builder import Builder
from minigrad.compile.interpret import interpret
from minigrad.compile.program import Operand, Program
from minigrad.core.state import Transaction

#: Zeros of both signs, infinities, NaN, subnormal, huge and ordinary numbers.
SPECIALS = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-310, -1e-310, 1e308, -1e308, 1, -2.5, 3]
)
with np.errstate(all="ignore"):
    SINGLE = SPECIALS.astype("float32")
    HALF = SPECIALS.astype("float16")
COMPLEX = SPECIALS.astype(complex)
#: Small numbers, and others.
SMALL = np.array([1e-9, -1e-9, 1e-17, 0.5, 2.0, 0.0, np.inf, np.nan])
INTEGERS = np.array([0, 1, -1, 7, -8, 2**31 - 1, -(2**31), 5], np.int32)
BYTES = np.array([0, 1, 2, 127, 128, 200, 255], np.uint8)
TRUTH = np.array([True, False, True])
MATRICES = np.random.default_rng(0).normal(size=(3, 4, 5))


def built(build: Callable[..., Any], *arrays: np.ndarray) -> Program:
    """A program of feeds like these arrays, that fetches what is built."""
    program = Program()
    builder = Builder(program)
    program.feeds = [Operand(a.shape, a.dtype) for a in arrays]
    outputs = build(builder, *program.feeds)
    program.fetches = list(outputs) if isinstance(outputs, tuple) else [outputs]
    return program


def run(program: Program, *arrays: np.ndarray) -> list[np.ndarray]:
    return interpret(program, arrays, {}, Transaction([]), FAST)[0]


def names(program: Program) -> list[str]:
    return [step.name for step in program.instructions]


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    """Equal, with zeros of the same sign; one NaN is as good as another."""
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_array_equal(a, b)
    if a.dtype.kind == "f":
        zeros = a == 0
        np.testing.assert_array_equal(np.signbit(a[zeros]), np.signbit(b[zeros]))


def softmax_of(b: Builder, x: Operand, axis: int) -> Operand:
    top = b.reduce("max", x, [axis], keepdims=True)
    exponential = b.map("Exp", b.map("Sub", x, top))
    return b.map("RealDiv", exponential, b.reduce("sum", exponential, [axis], keepdims=True))


def log_softmax_of(b: Builder, x: Operand, axis: int) -> Operand:
    distance = b.map("Sub", x, b.reduce("max", x, [axis], keepdims=True))
    total = b.reduce("sum", b.map("Exp", distance), [axis], keepdims=True)
    return b.map("Sub", distance, b.map("Log", total))


def hot(b: Builder, index: Operand, value: Operand, classes: int) -> Operand:
    """where(index == arange(classes), value, 0), a row for each index."""
    rows = b.reshape(index, (index.size, 1))
    equal = b.map("Equal", rows, b.iota((1, classes), 1, index.dtype))
    value = b.broadcast(value, (index.size, classes))
    return b.map("Select", equal, value, b.constant(0, value.dtype))

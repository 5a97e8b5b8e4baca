"""Reductions of what is repeated or reduced already."""

from __future__ import annotations

import math

import numpy as np

from minigrad.compile import views
from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import is_float, is_integer, rule

_EXTREMES = ("max", "min", "any", "all")


@rule(*_EXTREMES)
def extreme_of_what_is_repeated(b: Rewriter, step: Instruction) -> Operand | None:
    """The maximum of what is broadcast along an axis is the maximum without that axis.

    So are the minimum, any and all. An empty axis is left alone.
    """
    once = _once(step)
    return None if once is None else _again(b, step, once[0])


@rule("sum")
def sum_of_what_is_repeated(b: Rewriter, step: Instruction) -> Operand | None:
    """The sum of what is broadcast along an axis is the sum without that axis, times its length.

    Exact for integers. Differs for floating numbers in the last places, where a product, rounded
    once, is closer than a sum; left alone where the dtype does not have the length.
    """
    once = _once(step)
    if once is None or not (is_integer(step.output) or is_float(step.output)):
        return None
    x, count = once
    if is_float(step.output) and int(step.output.dtype.type(count)) != count:
        return None
    return b.map("Mul", _again(b, step, x), b.constant(np.array(count).astype(x.dtype)))


@rule("sum", "prod", *_EXTREMES)
def reduced_twice(b: Rewriter, step: Instruction) -> Operand | None:
    """A sum of sums over axes side by side is one sum; so with the other reductions.

    Differs for sums and products of floating numbers in the last places: they are joined in another
    order.
    """
    x = _source(step)
    before = x.root.producer
    if before is None or before.kind != "reduce" or before.name != step.name:
        return None
    if not x.is_contiguous or x.size != before.output.size or not b.is_read_once(x):
        return None
    inner = _source(before)
    if inner.size == 0 or _plain(x) != _plain(before.output):
        return None  # Reshaped in between: then axes are no longer the same axes.
    # The places, among the inner shape's, of the axes that the outer reduction joins.
    places = [i for i, n in enumerate(before.output.shape) if n != 1]
    lengths = [i for i, n in enumerate(x.shape) if n != 1]
    joined = [places[lengths.index(i)] for i in range(*step.attrs["axes"]) if i in lengths]
    first, stop = before.attrs["axes"]
    joined += [i for i in range(first, stop) if inner.shape[i] != 1]
    low, high = min(joined), max(joined) + 1
    if any(n != 1 and i not in joined for i, n in enumerate(inner.shape[low:high], low)):
        return None
    made = b.reduce(step.name, inner, range(low, high), keepdims=True)
    return b.reshape(made, step.output.shape)


def _plain(x: Operand) -> list[int]:
    """The lengths other than 1."""
    return [n for n in x.shape if n != 1]


def _source(step: Instruction) -> Operand:
    (x,) = step.inputs
    assert x is not None
    return x


def _once(step: Instruction) -> tuple[Operand, int] | None:
    """What is reduced, with length 1 along the reduced axes that repeat it, and how often."""
    x = _source(step)
    if x.constant is not None:
        strides = x.constant.strides
    elif x.view is not None:
        strides = x.view.strides
    else:
        return None
    first, stop = step.attrs["axes"]
    repeating = [i for i in range(first, stop) if strides[i] == 0 and x.shape[i] != 1]
    if not repeating or x.size == 0:
        return None
    shape = tuple([1 if i in repeating else n for i, n in enumerate(x.shape)])
    rank = x.rank
    count = math.prod([x.shape[i] for i in repeating])
    return views.sliced(x, (0,) * rank, (1,) * rank, shape), count


def _again(b: Rewriter, step: Instruction, x: Operand) -> Operand:
    """The same reduction of something with other lengths along its axes."""
    return b.reduce(step.name, x, range(*step.attrs["axes"]), keepdims=True)

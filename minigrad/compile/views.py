"""Reshaping, transposing, slicing and broadcasting operands without moving an element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minigrad.compile.program import Operand, Sizes, View, contiguous


def view_of(x: Operand, shape: Sizes, offset: int, strides: Sizes) -> Operand:
    """An operand that shows elements of `x`, no constant; `offset` counts from its root's start."""
    base = x.root
    if shape == base.shape and offset == 0 and strides == contiguous(shape):
        return base
    return Operand(shape, x.dtype, view=View(base, offset, strides), label=x.label)


def transposed(x: Operand, axes: Sequence[int]) -> Operand:
    """`x` with its axes in another order."""
    shape = tuple([x.shape[a] for a in axes])
    if x.constant is not None:
        return Operand(shape, x.dtype, constant=x.constant.transpose(axes), label=x.label)
    strides = x.strides
    return view_of(x, shape, x.offset, tuple([strides[a] for a in axes]))


def broadcast(x: Operand, shape: Sizes) -> Operand:
    """`x` repeated along new or stretched dimensions, by NumPy's rule."""
    if shape == x.shape:
        return x
    if x.constant is not None:
        return Operand(shape, x.dtype, constant=np.broadcast_to(x.constant, shape), label=x.label)
    missing = len(shape) - x.rank
    strides = [0] * missing
    for n, have, stride in zip(shape[missing:], x.shape, x.strides, strict=True):
        strides.append(stride if have == n else 0)
    return view_of(x, shape, x.offset, tuple(strides))


def sliced(x: Operand, starts: Sequence[int], steps: Sequence[int], shape: Sizes) -> Operand:
    """Every `steps`-th element from `starts`, `shape` of them; steps may be negative."""
    if x.constant is not None:
        key = tuple(
            [
                slice(a, None if a + s * n < 0 else a + s * n, s)
                for a, s, n in zip(starts, steps, shape, strict=True)
            ]
        )
        return Operand(shape, x.dtype, constant=x.constant[key], label=x.label)
    if math.prod(shape) == 0:
        return view_of(x, shape, 0, contiguous(shape))
    strides = x.strides
    offset = x.offset + sum([a * s for a, s in zip(starts, strides, strict=True)])
    return view_of(x, shape, offset, tuple([s * t for s, t in zip(strides, steps, strict=True)]))


def diagonal(x: Operand, offset: int) -> Operand:
    """The diagonals of matrices in the last two axes, `offset` columns to the right of the main."""
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    shape = (*x.shape[:-2], length)
    if x.constant is not None:
        value = np.linalg.diagonal(x.constant, offset=offset)
        return Operand(shape, x.dtype, constant=value, label=x.label)
    if math.prod(shape) == 0:
        return view_of(x, shape, 0, contiguous(shape))
    *outer, down, right = x.strides
    start = x.offset + down * max(-offset, 0) + right * max(offset, 0)
    return view_of(x, shape, start, (*outer, down + right))


def reshaped(x: Operand, shape: Sizes) -> Operand | None:
    """`x` with its elements in another shape; None if that needs them moved."""
    if shape == x.shape:
        return x
    if x.constant is not None:
        return Operand(shape, x.dtype, constant=x.constant.reshape(shape), label=x.label)
    strides = _reshaped_strides(x.shape, x.strides, shape)
    return None if strides is None else view_of(x, shape, x.offset, strides)


def _reshaped_strides(old: Sizes, strides: Sizes, new: Sizes) -> Sizes | None:
    """The strides of a reshaped view, or None if no strides show it."""
    if math.prod(old) == 0:
        return contiguous(new)
    kept = [(n, s) for n, s in zip(old, strides, strict=True) if n != 1]
    result: list[int] = []
    position = 0
    length, stride = 1, 0  # what remains to be split of the old dimensions joined so far
    for n in new:
        while length % n:
            # One more old dimension must lie within these, to be joined with them.
            inner, inner_stride = kept[position]
            position += 1
            if length > 1 and stride != inner_stride * inner:
                return None
            length, stride = length * inner, inner_stride
        length //= n
        result.append(stride * length)
    return tuple(result)

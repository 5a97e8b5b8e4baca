"""Arrays put together from parts: what concatenation, padding and their like come down to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.compile import views
from minigrad.compile.internal import internal
from minigrad.compile.program import Operand, Sizes, contiguous
from minigrad.core.tensor import Array


class Region(NamedTuple):
    """Where the elements of a part go in the whole, which is in C order.

    Attributes:
        offset: where its first element goes, counted in elements.
        strides: from one index of the part to the next, for each of its dimensions.
    """

    offset: int
    strides: Sizes


@internal("Place")
def put_together(
    xp: Any, *parts: Array, shape: Sizes, dtype: np.dtype[Any], regions: tuple[Region, ...]
) -> Array:
    """An array of parts: its shape and dtype, and the region of every part.

    Where regions overlap the later part counts; together they cover the whole.
    """
    whole = np.empty(shape, dtype)
    flat = whole.reshape(-1)
    for part, region in zip(parts, regions, strict=True):
        strides = [s * dtype.itemsize for s in region.strides]
        as_strided(flat[region.offset :], part.shape, strides)[...] = part
    return whole


#: The parts of an array, and where each goes.
Parts: TypeAlias = "list[tuple[Operand, Region]]"


def joined(operands: Sequence[Operand], axis: int) -> tuple[Sizes, Parts]:
    """The shape and the parts of operands one after the other along an axis (not negative)."""
    first = operands[0].shape
    length = sum([x.shape[axis] for x in operands])
    shape = (*first[:axis], length, *first[axis + 1 :])
    strides = contiguous(shape)
    parts: Parts = []
    start = 0
    for x in operands:
        parts.append((x, Region(start * strides[axis], strides)))
        start += x.shape[axis]
    return shape, parts


def padded(x: Operand, widths: Sequence[tuple[int, int]], value: Operand) -> tuple[Sizes, Parts]:
    """The shape and the parts of `x` with elements around it, by (before, after) of each axis."""
    shape = tuple([n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)])
    strides = contiguous(shape)
    starts = [before for before, _ in widths]
    parts: Parts = []
    # The borders of an axis are as long as x along the axes before it, as the whole along others.
    for axis, (before, after) in enumerate(widths):
        for at, n in ((0, before), (before + x.shape[axis], after)):
            border = (*x.shape[:axis], n, *shape[axis + 1 :])
            corner = [*starts[:axis], at, *[0] * (x.rank - axis - 1)]
            region = Region(_offset(corner, strides), strides)
            parts.append((views.broadcast(value, border), region))
    parts.append((x, Region(_offset(starts, strides), strides)))
    return shape, parts


def _offset(index: Sequence[int], strides: Sizes) -> int:
    return sum([i * s for i, s in zip(index, strides, strict=True)])

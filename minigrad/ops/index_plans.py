"""Indices in plans: checked against the lengths that they count through, and joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.ops.index_key import OPERAND, Entry, Key, Region, region

_INT64 = np.dtype(np.int64)


def checked_index(b: Any, index: Any, length: int, *, wraps: bool) -> Any:
    """Integers that lie in [0, length), as int64; a check fails where they do not.

    Args:
        b: adds instructions to the plan.
        index: integers.
        length: of the axis that they index.
        wraps: whether negative ones count from the end.
    """
    unsigned = index.dtype.kind == "u"
    wide = index if index.dtype == np.uint64 else b.cast(index, _INT64)
    inside = b.map("Less", wide, length)
    if not unsigned:
        least = b.map("GreaterEqual", wide, -length if wraps else 0)
        inside = b.map("LogicalAnd", inside, least)
    b.check(inside)
    numbers = b.cast(wide, _INT64)
    if not wraps or unsigned:
        return numbers
    return b.map("Select", b.map("Less", numbers, 0), b.map("Add", numbers, length), numbers)


def joined_index(b: Any, indices: Sequence[Any], lengths: Sequence[int], *, wraps: bool) -> Any:
    """The number of each element in an array of these lengths, by its index along every axis."""
    total = None
    for index, length in zip(indices, lengths, strict=True):
        numbers = checked_index(b, index, length, wraps=wraps)
        total = numbers if total is None else b.map("Add", b.map("Mul", total, length), numbers)
    return total


class Picked(NamedTuple):
    """What a key with index arrays takes from an array.

    Attributes:
        within: the part that its slices take, from which the arrays pick.
        axis: the first axis of that part that they index.
        axes: how many axes they index.
        rows: which elements of these axes, joined to one axis, are picked.
        length: of that axis.
    """

    within: Region
    axis: int
    axes: int
    rows: Any
    length: int

    @property
    def merged(self) -> tuple[int, ...]:
        """The shape of the part with these axes joined."""
        shape = self.within.shape
        return (*shape[: self.axis], self.length, *shape[self.axis + self.axes :])


def picked(b: Any, shape: tuple[int, ...], key: Key, parts: Sequence[Any]) -> Picked | None:
    """What a key takes; None unless its index arrays, of integers, stand side by side.

    Args:
        b: adds instructions to the plan.
        shape: of what is indexed.
        key: the key.
        parts: operands for its arrays, and for the bounds of slices that are none of its own.
    """
    kinds = [entry[0] for entry in key]
    first = kinds.index("array") if "array" in kinds else 0
    arrays = kinds.count("array")
    if {"int", "mask"} & set(kinds) or kinds[first : first + arrays] != ["array"] * arrays:
        return None
    given = iter(parts)
    whole: Entry = ("slice", None, None, None)
    basic: list[Entry] = []
    indices: list[Any] = []
    bounds: list[Any] = []
    for entry in key:
        if entry[0] == "array":
            indices.append(next(given))
            basic.append(whole)
            continue
        basic.append(entry)
        bounds += [next(given) for bound in entry[1:] if bound == OPERAND]
    if not indices or any(x.constant is None for x in bounds):
        return None
    within = region(shape, tuple(basic), [x.constant for x in bounds])
    rest = len(shape) - sum(1 for kind in kinds if kind in ("array", "slice"))
    axis = sum([rest if kind == "rest" else 1 for kind in kinds[:first]])
    lengths = within.shape[axis : axis + len(indices)]
    count = int(np.prod(lengths, dtype=np.int64))
    if not count:
        return None
    indices = [b.broadcast(x, np.broadcast_shapes(*[y.shape for y in indices])) for x in indices]
    rows = joined_index(b, indices, lengths, wraps=True)
    return Picked(within, axis, len(indices), rows, count)

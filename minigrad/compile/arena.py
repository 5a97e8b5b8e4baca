"""Where a program's values lie: intermediate ones share one block of memory, the arena."""

from __future__ import annotations

import bisect
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

#: Every value begins at a multiple of this: a line of the cache, and the widest vector.
ALIGNMENT = 64


class Lifetime(NamedTuple):
    """A value that needs memory from one step of a program to another, both included."""

    key: Hashable
    size: int
    first: int
    last: int


class Arena(NamedTuple):
    """Offsets of values in one block of memory, and how large the block must be."""

    offsets: dict[Hashable, int]
    size: int


def plan_arena(lifetimes: Iterable[Lifetime]) -> Arena:
    """Lay values out so that those alive at one time do not overlap.

    Steps are gone through in order; a value takes the smallest hole that holds it, or extends the
    block, and leaves a hole behind after its last step.
    """
    values = sorted(lifetimes, key=lambda v: (v.first, -v.size))
    offsets: dict[Hashable, int] = {}
    ends: list[tuple[int, int, int]] = []  # (last step, offset, size), of what is alive
    holes = _Holes()
    for value in values:
        while ends and ends[0][0] < value.first:
            _, offset, size = ends.pop(0)
            holes.add(offset, size)
        size = -(-max(value.size, 1) // ALIGNMENT) * ALIGNMENT
        offset = holes.take(size)
        offsets[value.key] = offset
        bisect.insort(ends, (value.last, offset, size))
    return Arena(offsets, holes.end)


class _Holes:
    """The free parts of a block that can grow at its end."""

    def __init__(self) -> None:
        self.end = 0
        self._by_offset: list[tuple[int, int]] = []

    def take(self, size: int) -> int:
        """The offset of `size` free bytes, which are free no longer."""
        best = -1
        for i, (_, length) in enumerate(self._by_offset):
            if length >= size and (best < 0 or length < self._by_offset[best][1]):
                best = i
        if best >= 0:
            offset, length = self._by_offset.pop(best)
            if length > size:
                self._by_offset.insert(best, (offset + size, length - size))
            return offset
        if self._by_offset and sum(self._by_offset[-1]) == self.end:
            offset, length = self._by_offset.pop()
        else:
            offset = self.end
        self.end = offset + size
        return offset

    def add(self, offset: int, size: int) -> None:
        """Make bytes free, and join them with the holes beside them."""
        place = bisect.bisect(self._by_offset, (offset, 0))
        if place < len(self._by_offset) and offset + size == self._by_offset[place][0]:
            size += self._by_offset.pop(place)[1]
        if place and sum(self._by_offset[place - 1]) == offset:
            before, length = self._by_offset.pop(place - 1)
            offset, size, place = before, size + length, place - 1
        self._by_offset.insert(place, (offset, size))


def overlaps(lifetimes: Sequence[Lifetime], arena: Arena) -> bool:
    """Whether two values that are alive together share a byte; for tests."""
    for i, a in enumerate(lifetimes):
        for b in lifetimes[:i]:
            if a.first <= b.last and b.first <= a.last:
                low, high = arena.offsets[a.key], arena.offsets[b.key]
                if low < high + b.size and high < low + a.size:
                    return True
    return False

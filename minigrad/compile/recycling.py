"""Memory of results that their owners have dropped, used again.

Large arrays come from the operating system page by page, and every page costs a trap when it is
first touched: more than the computation that fills it. So the arrays that a plan has given away are
remembered, and given away again once nobody else refers to them.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.compile.program import Sizes
from minigrad.core.tensor import Array

#: Smaller arrays come quickly from the allocator's own stock.
LEAST_BYTES = 1 << 15
#: For arrays of so many bytes NumPy asks the operating system for huge pages: then a few have to be
#: looked up, and not a thousand.
_HUGE_BYTES = 1 << 22
#: How large these are.
_PAGE_BYTES = 1 << 21
_ALIGNMENT = 64
#: How many arrays are remembered: one that the caller holds, one being replaced, one to spare.
_KEPT = 3


class Recycler:
    """Gives arrays of one shape and dtype, with any content.

    Many threads may take at once.
    """

    __slots__ = ("_dtype", "_given", "_shape")

    def __init__(self, shape: Sizes, dtype: np.dtype[Any]) -> None:
        self._shape = shape
        self._dtype = dtype
        self._given: deque[Array] = deque(maxlen=_KEPT)

    def take(self) -> Array:
        """An array that nobody else refers to."""
        given = self._given
        for _ in range(len(given)):
            try:
                array = given.popleft()
            except IndexError:
                break
            given.append(array)
            # The owner may have changed what it is, and dropped it then.
            if (
                _references(array) == _ALONE
                and array.shape == self._shape
                and array.dtype == self._dtype
                and array.flags.writeable
                and array.flags.c_contiguous
            ):
                return array
        array = np.empty(self._shape, self._dtype)
        given.append(array)
        return array


class GroupRecycler:
    """Gives the arrays that a run assigns, all at once: most often those of the run before last.

    Nobody but the owner of this may be given the arrays themselves, to change what they are.

    Args:
        specs: the shape and dtype of each.
        together: whether arrays may share a piece of memory, to lie in huge pages.
    """

    __slots__ = ("_alone", "_given", "_make", "_specs")

    def __init__(
        self, specs: Sequence[tuple[Sizes, np.dtype[Any]]], *, together: bool = False
    ) -> None:
        self._specs = specs
        self._make = empty_together if together else _empty_apart
        self._alone = _EACH_ALONE * len(specs)
        self._given: deque[list[Array]] = deque(maxlen=_KEPT)

    def take(self) -> list[Array]:
        """Arrays that nobody else refers to."""
        given = self._given
        for _ in range(len(given)):
            try:
                arrays = given.popleft()
            except IndexError:
                break
            if sum(map(_references, arrays)) == self._alone:
                # Taken before it is given back: another thread may look at it at once.
                taken = arrays.copy()
                given.append(arrays)
                return taken
            given.append(arrays)
        arrays = self._make(self._specs)
        taken = arrays.copy()
        given.append(arrays)
        return taken


def _empty_apart(specs: Sequence[tuple[Sizes, np.dtype[Any]]]) -> list[Array]:
    return [np.empty(shape, dtype) for shape, dtype in specs]


def empty_together(specs: Sequence[tuple[Sizes, np.dtype[Any]]]) -> list[Array]:
    """New arrays; neighbours share a piece of memory where that is what it takes for huge pages.

    Pieces are no larger than they have to be, as each lives as long as any array in it.
    """
    sizes = [
        -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT for shape, dtype in specs
    ]
    pieces: list[list[int]] = []
    piece: list[int] = []
    for i, size in enumerate(sizes):
        if size < _HUGE_BYTES:
            piece.append(i)
            if sum([sizes[at] for at in piece]) >= _HUGE_BYTES:
                pieces.append(piece)
                piece = []
    if pieces:
        pieces[-1] += piece
    shared: dict[int, Array] = {}
    for piece in pieces:
        # What lies before the first huge page is never touched.
        memory = np.empty(sum([sizes[i] for i in piece]) + _PAGE_BYTES, np.uint8)
        offset = -memory.ctypes.data % _PAGE_BYTES
        for i in piece:
            shared[i] = np.ndarray(*specs[i], memory, offset)
            offset += sizes[i]
    return [shared[i] if i in shared else np.empty(*spec) for i, spec in enumerate(specs)]


_references = getattr(sys, "getrefcount", lambda x: -1)


def _references_of_a_dropped_array() -> int:
    """What `take` counts for an array that only the deque and itself refer to."""
    given = deque([np.empty(1)])
    array = given.popleft()
    given.append(array)
    return int(_references(array))


def _is_counted() -> bool:
    """Whether reference counts tell who refers to an object: not without a GIL."""
    return sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


_ALONE = _references_of_a_dropped_array() if _is_counted() else -2
_EACH_ALONE = sum(map(_references, [np.empty(1)])) if _is_counted() else -2

"""Memory of results that their owners have dropped, used again.

Large arrays come from the operating system page by page, and every page costs a trap when it is
first touched: more than the computation that fills it. So the arrays that a plan has given away are
remembered, and given away again once nobody else refers to them.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.compile.program import Sizes
from minigrad.core.tensor import Array

#: Smaller arrays come quickly from the allocator's own stock.
LEAST_BYTES = 1 << 15
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
    """

    __slots__ = ("_alone", "_given", "_specs")

    def __init__(self, specs: Sequence[tuple[Sizes, np.dtype[Any]]]) -> None:
        self._specs = specs
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
        arrays = [np.empty(shape, dtype) for shape, dtype in self._specs]
        taken = arrays.copy()
        given.append(arrays)
        return taken


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

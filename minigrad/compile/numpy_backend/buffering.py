"""How many elements NumPy's ufuncs copy at a time where they have to copy.

They do not only copy to convert. Where rows are shorter than the buffer and cannot be seen as one
run of elements, as in ``x - column``, they gather several of them in it, and then loop over more
elements at once. That pays for short rows only: those of 1000 floats take half the time without.
A buffer that is no longer than a row keeps ufuncs from it. It changes no bit of a result.
"""

from __future__ import annotations

import functools
from contextvars import copy_context
from typing import Any

import numpy as np

from minigrad.core.floating import NUMPY_ERRSTATE

#: Rows of fewer elements are gathered with profit.
_LEAST = 256
#: Rows of more are longer than NumPy's own buffer; and longer ones gain nothing in conversions.
_MOST = 8192


def buffer_for(length: int) -> int:
    """The buffer for rows of so many elements; 0 to leave it as NumPy has it."""
    return length // 16 * 16 if _LEAST <= length <= _MOST else 0


@functools.lru_cache(maxsize=64)
def buffered(policy: Any, size: int) -> Any:
    """A value of `NUMPY_ERRSTATE` like another, but with a buffer of so many elements."""
    if not size or policy is None:
        return policy

    def probe() -> Any:
        NUMPY_ERRSTATE.set(policy)
        np.setbufsize(size)
        return NUMPY_ERRSTATE.get()

    return copy_context().run(probe)

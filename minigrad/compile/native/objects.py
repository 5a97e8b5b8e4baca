"""Where CPython keeps a list's items and an object's type, and NumPy the parts of an array."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

# Bytes from the start of the object.
LIST_ITEMS = 24
TYPE = 8
DATA, RANK, LENGTHS, DTYPE, FLAGS = 16, 24, 32, 56, 64
#: The flags of an array that is in C order, and aligned.
BEHAVED = 0x101


@functools.cache
def layout_is_known() -> bool:
    """Whether lists and arrays are laid out in this process as native code expects."""

    def word(address: int, kind: Any = ctypes.c_void_p) -> int:
        return kind.from_address(address).value or 0

    array = np.zeros((3, 5), np.float32)
    at = id(array)
    listed = [array]
    return (
        word(word(id(listed) + LIST_ITEMS)) == at
        and word(at + TYPE) == id(np.ndarray)
        and word(at + DATA) == array.ctypes.data
        and word(at + RANK, ctypes.c_int32) == 2
        and word(word(at + LENGTHS), ctypes.c_int64) == 3
        and word(at + DTYPE) == id(array.dtype)
        and word(at + FLAGS, ctypes.c_int32) & BEHAVED == BEHAVED
    )

"""Rows picked from arrays, and added to rows of arrays, by numbers known in the run only.

Numbers out of range have failed a check of the program before; here they may do anything within
the arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.compile.internal import internal
from minigrad.compile.program import Sizes
from minigrad.core.tensor import Array
from minigrad.ops.scatter_kernels import add_rows, zero_rows


@internal("GatherRows")
def gather_rows(xp: Any, x: Array, rows: Array) -> Array:
    """Of x (outer, count, inner), the rows of these numbers (n,): (outer, n, inner)."""
    return np.take(x, rows, axis=1, mode="clip")


@internal("ScatterAddRows")
def scatter_add_rows(xp: Any, values: Array, rows: Array, *, count: int) -> Array:
    """The sums of the values (outer, n, inner) with the same row number: (outer, count, inner)."""
    outer, n, inner = values.shape
    flat = np.moveaxis(values, 1, 0).reshape(n, outer * inner)
    kept = np.clip(rows, 0, count - 1)
    made = add_rows(np, zero_rows(np, count, outer * inner, values.dtype), kept, flat)
    return np.moveaxis(made.reshape(count, outer, inner), 0, 1)


def folded(shape: Sizes, first: int, stop: int) -> tuple[int, int, int]:
    """Elements of the axes before `first`, of those from there to `stop`, and of the others."""
    sizes = [1, 1, 1]
    for i, n in enumerate(shape):
        sizes[0 if i < first else 1 if i < stop else 2] *= n
    return sizes[0], sizes[1], sizes[2]

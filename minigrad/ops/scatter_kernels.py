"""Adding rows up and putting them into arrays: what the kernels of adjoint ops share.

The array API has no scatter. NumPy and CuPy write into a copy; where arrays cannot be written to
(JAX), their ``.at`` does it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def add_rows(xp: Any, rows: Any, positions: Any, values: Any) -> Any:
    """A copy of `rows` with ``values[i]`` added to ``rows[positions[i]]``, repeated ones in turn.

    Args:
        xp: the arrays' namespace.
        rows: an array of shape (n, width).
        positions: integers in [0, n), of shape (m,).
        values: an array of shape (m, width) and the dtype of `rows`.
    """
    if hasattr(rows, "at"):
        return rows.at[positions].add(values)
    wide = rows.dtype.kind == "f" and rows.dtype.itemsize == 2
    out = rows.astype("float32") if wide else rows.copy()
    width = out.shape[1]
    # On one dimension `ufunc.at` has a fast path, several times faster than on rows.
    # Places count all elements, which may be more than a narrow integer can.
    where = positions.astype("int64")
    if width > 1:
        where = where[:, None] * width + xp.arange(width)
    xp.add.at(out.reshape(-1), where.reshape(-1), values.reshape(-1))
    return out.astype(rows.dtype) if wide else out


def sum_axes(xp: Any, x: Any, axis: Any) -> Any:
    """Sum over axes in the dtype of `x`; float16 accumulates in float32."""
    if x.dtype.kind == "f" and x.dtype.itemsize == 2:
        return xp.sum(x, axis=axis, dtype="float32").astype(x.dtype)
    return xp.sum(x, axis=axis, dtype=x.dtype)


def zero_rows(xp: Any, count: int, width: int, dtype: Any) -> Any:
    """Zeros of shape (count, width)."""
    return xp.zeros((count, width), dtype=dtype)


def last_rows(xp: Any, count: int, positions: Any) -> Any:
    """For each place in [0, count), the last ``i`` with ``positions[i]`` there; 0 where none."""
    owner = xp.zeros((count,), dtype="int64")
    order = xp.arange(positions.shape[0])
    if hasattr(owner, "at"):
        return owner.at[positions].max(order)
    xp.maximum.at(owner, positions, order)
    return owner


def set_rows(xp: Any, rows: Any, positions: Any, values: Any) -> Any:
    """A copy of `rows` with ``rows[positions[i]] = values[i]``; of repeated ones the last wins."""
    # Every writer to a place writes the last one's values, so that their order does not matter.
    winners = last_rows(xp, rows.shape[0], positions)[positions]
    if hasattr(rows, "at"):
        return rows.at[positions].set(values[winners])
    out = rows.copy()
    out[positions] = values[winners]
    return out


# -- at the places of an index key ---------------------------------------------------------------


def places(shape: tuple[int, ...], key: tuple[Any, ...]) -> tuple[Any, int, int]:
    """Which rows of an array, taken as a matrix, a key selects.

    The last axes, which a key that ends in an ellipsis leaves alone, are the matrix's columns;
    all others its rows.

    Args:
        shape: of the array that is indexed.
        key: the key, in NumPy's form.

    Returns:
        Row numbers, in the shape of what is selected without those last axes; the number of rows
        and of columns.
    """
    lead = len(shape)
    if key and key[-1] is Ellipsis:
        key = key[:-1]
        lead = sum(_axes_of(k) for k in key)
    front = shape[:lead]
    rows: Any = np.zeros((), np.intp)[key] if not lead else 0
    stride = 1
    for axis in reversed(range(lead)):
        line = np.arange(front[axis]) * stride
        line = line.reshape((-1,) + (1,) * (lead - axis - 1))
        rows = rows + np.broadcast_to(line, front)[key]
        stride *= front[axis]
    return rows, stride, math.prod(shape[lead:])


def _axes_of(part: Any) -> int:
    """How many axes a part of a key selects from."""
    if part is None:
        return 0
    if hasattr(part, "dtype") and part.dtype.kind == "b":
        return int(part.ndim)
    return 1


def add_at(xp: Any, x: Any, key: tuple[Any, ...], values: Any) -> Any:
    """A copy of `x` with `values` added at a key; elements selected more than once add up."""
    positions, count, width = places(x.shape, key)
    flat = xp.reshape(values, (positions.size, width))
    rows = add_rows(xp, xp.reshape(x, (count, width)), positions.reshape(-1), flat)
    return xp.reshape(rows, x.shape)


def set_at(xp: Any, x: Any, key: tuple[Any, ...], values: Any) -> Any:
    """A copy of `x` with `values` set at a key; of elements selected more than once the last."""
    positions, count, width = places(x.shape, key)
    flat = xp.reshape(values, (positions.size, width))
    rows = set_rows(xp, xp.reshape(x, (count, width)), positions.reshape(-1), flat)
    return xp.reshape(rows, x.shape)


def last_writers(xp: Any, shape: tuple[int, ...], key: tuple[Any, ...]) -> Any:
    """For each element that a key selects, whether no later one is the same."""
    positions, count, _ = places(shape, key)
    flat = positions.reshape(-1)
    last = last_rows(xp, count, flat)[flat] == xp.arange(flat.size)
    selected = np.broadcast_to(np.zeros((), bool), shape)[key].shape
    last = last.reshape(positions.shape + (1,) * (len(selected) - positions.ndim))
    return xp.broadcast_to(last, selected)

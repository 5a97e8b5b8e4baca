"""Kernels that only NumPy needs: what takes it several passes over memory, done in one or two.

Each writes into its last argument. The rules in `rules` put them into programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from minigrad.core.tensor import Array


def distance(x: Array, top: Array, out: Array) -> None:
    """``where(x == top, 0, x - top)``, where `top` is repeated along rows.

    Only where `top` is infinite or NaN may that differ from ``x - top``.
    """
    np.subtract(x, top, out)
    if not _all(np.isfinite(top), None):
        np.copyto(out, 0, where=x == top)


def pick(x: Array, index: Array, out: Array) -> None:
    """The element of each row, along the last axis, at an index; 0 where that is out of range."""
    places, inside = _places(index, x)
    made = x.reshape(-1).take(places + _numbers(len(places), x.shape[-1]))
    if inside is not None:
        made[~inside] = 0
    np.copyto(out, made.reshape(out.shape))


def add_at_index(x: Array, index: Array, value: Array, out: Array) -> None:
    """``x + where(index == arange(n), value, 0)`` along the last axis, of length n.

    `index` and `value` are the same along that axis. `out` may be `x`.
    """
    if out is not x:
        np.copyto(out, x)
    length = x.shape[-1]
    flat = out.reshape(-1)
    places, inside = _places(index, x)
    places = places + _numbers(len(places), length)
    if value.size != 1:
        value = value[..., 0]
        if value.shape != x.shape[:-1]:
            value = np.broadcast_to(value, x.shape[:-1])
        value = value.reshape(-1)
    elif value.ndim:
        value = value.reshape(())
    if inside is not None:
        places = places[inside]
        value = value[inside] if value.ndim else value
    flat[places] += value
    if not out.flags.c_contiguous:
        np.copyto(out, flat.reshape(out.shape))


_all = np.logical_and.reduce
_UNSIGNED = {np.dtype(f"i{n}"): np.dtype(f"u{n}") for n in (1, 2, 4, 8)}


def _places(index: Array, x: Array) -> tuple[Array, Array | None]:
    """The indices of rows of `x`, made valid, and which of them were; None if all."""
    if index.ndim < x.ndim:
        index = np.broadcast_to(index, (*x.shape[:-1], 1))
    index = index[..., 0].reshape(-1)
    # Seen as unsigned, what is negative is greater than any length.
    seen = index.view(_UNSIGNED.get(index.dtype, index.dtype))
    inside = np.less(seen, x.shape[-1])
    if _all(inside, None):
        return index, None
    return np.where(inside, index, 0), inside


@functools.lru_cache(maxsize=64)
def _numbers(count: int, step: int) -> Array:
    return np.arange(0, count * step, step)


#: By the names of instructions.
OWN: dict[str, Callable[..., None]] = {
    "distance": distance,
    "pick": pick,
    "add_at_index": add_at_index,
}
#: Those that need whole rows along the last axis.
ON_ROWS = frozenset({"pick", "add_at_index"})
#: Those whose output may be their first input, changed.
CHANGING = frozenset({"add_at_index"})

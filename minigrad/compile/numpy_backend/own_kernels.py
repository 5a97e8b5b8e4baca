"""Kernels that only NumPy needs: what takes it several passes over memory, done in one or two.

Each writes into its last argument. The rules in `rules` put them into programs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.core.tensor import Array


def distance(x: Array, top: Array, out: Array) -> None:
    """``where(x == top, 0, x - top)``, where `top` is repeated along rows.

    Only where `top` is infinite or NaN may that differ from ``x - top``.
    """
    np.subtract(x, top, out)
    if not np.isfinite(top).all():
        np.copyto(out, 0, where=x == top)


def pick(x: Array, index: Array, out: Array) -> None:
    """The element of each row, along the last axis, at an index; 0 where that is out of range."""
    places, inside = _places(index, x)
    np.copyto(out, np.take_along_axis(x, places, -1))
    if inside is not None:
        np.copyto(out, 0, where=~inside)


def minus_at_index(x: Array, index: Array, value: Array, out: Array) -> None:
    """``where(index == arange(n), value, 0) - x`` along the last axis, of length n.

    `index` and `value` are the same along that axis.
    """
    places, inside = _places(index, x)
    value = value[..., :1] if value.ndim else value
    there = np.take_along_axis(x, places, -1)
    np.subtract(0, x, out)
    changed = value - there
    if inside is not None:
        changed = np.where(inside, changed, 0 - there)
    np.put_along_axis(out, places, changed, -1)


def _places(index: Array, x: Array) -> tuple[Array, Array | None]:
    """The indices of rows of `x`, made valid, and which of them were; None if all."""
    index = index[..., :1] if index.ndim else np.broadcast_to(index, (*x.shape[:-1], 1))
    inside = (index >= 0) & (index < x.shape[-1])
    if inside.all():
        return index, None
    return np.where(inside, index, 0), inside


#: By the names of instructions.
OWN: dict[str, Callable[..., None]] = {
    "distance": distance,
    "pick": pick,
    "minus_at_index": minus_at_index,
}
#: Those that need whole rows along the last axis.
ON_ROWS = frozenset({"pick", "minus_at_index"})

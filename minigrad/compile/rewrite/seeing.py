"""A view of an operand, as a view of what has the same elements elsewhere."""

from __future__ import annotations

import numpy as np

from minigrad.compile import views
from minigrad.compile.kernels import seen
from minigrad.compile.program import Operand, Sizes, contiguous


def seen_in(view: Operand, source: Operand) -> Operand | None:
    """What `view` shows of its base, shown of `source`, which equals the base.

    Args:
        view: a view, or an operand that is its own base.
        source: an operand of the base's shape, whatever its strides.

    Returns:
        A view of the source's base, or a constant; None if no strides show it.
    """
    if view.view is None:
        return source
    if source.constant is not None:
        value = source.uniform
        if value is not None:
            constant = np.broadcast_to(value, view.shape)
        else:
            constant = seen(view, np.asarray(source.constant, order="C"))
        return Operand(view.shape, view.dtype, constant=constant, label=view.label)
    if source.is_contiguous:
        return views.view_of(source, view.shape, source.offset + view.offset, view.strides)
    if view.size == 0:
        return views.view_of(source, view.shape, 0, contiguous(view.shape))
    found = _composed(view.shape, view.offset, view.strides, source.shape, source.strides)
    if found is None:
        return None
    offset, strides = found
    return views.view_of(source, view.shape, source.offset + offset, strides)


def _composed(
    shape: Sizes, offset: int, steps: Sizes, lengths: Sizes, strides: Sizes
) -> tuple[int, Sizes] | None:
    """Offset and strides of a view of an array in C order, in one with other strides.

    A step of the view is some number of steps along each dimension of the array. If no element
    that it shows carries from one dimension over into the next, the same numbers of steps lead to
    the same elements in the other array.
    """
    lengths, strides = _joined(lengths, strides)
    places = contiguous(lengths)
    first, at = [], offset
    for place in places:
        first.append(at // place)
        at %= place
    lowest, highest = list(first), list(first)
    made = []
    for n, step in zip(shape, steps, strict=True):
        sign, rest = (-1 if step < 0 else 1), abs(step)
        moved = 0
        for k, place in enumerate(places):
            count = sign * (rest // place) if n > 1 else 0
            rest %= place
            moved += count * strides[k]
            (lowest if count < 0 else highest)[k] += count * (n - 1)
        made.append(moved)
    if any(low < 0 for low in lowest) or any(
        high >= n for high, n in zip(highest, lengths, strict=True)
    ):
        return None
    return sum(i * s for i, s in zip(first, strides, strict=True)), tuple(made)


def _joined(lengths: Sizes, strides: Sizes) -> tuple[Sizes, Sizes]:
    """Dimensions that can be walked as one are one; those of length 1 are gone."""
    kept: list[tuple[int, int]] = []
    for n, stride in zip(lengths, strides, strict=True):
        if n == 1:
            continue
        if kept and kept[-1][1] == stride * n:
            kept[-1] = (kept[-1][0] * n, stride)
        else:
            kept.append((n, stride))
    return tuple([n for n, _ in kept]), tuple([s for _, s in kept])

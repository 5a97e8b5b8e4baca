"""The lengths of a tensor's axes, whether or not they are known yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.core.tensor import Tensor
from minigrad.ops.indexing import getitem
from minigrad.ops.shaping import shape as shape_of

__all__: list[str] = []


def sizes_of(x: Tensor, axes: slice | Sequence[int] = slice(None)) -> list[Any]:
    """The lengths of axes: ints where they are known, else scalar tensors.

    Args:
        x: a tensor; its rank must be known if `axes` is a slice.
        axes: which, as numbers or as a slice of all axes.

    >>> import minigrad as mg
    >>> from minigrad.nn.functional.sizes import sizes_of
    >>> sizes_of(mg.zeros((2, 3, 4)), [-1, 0]), sizes_of(mg.zeros((2, 3, 4)), slice(1, None))
    ([4, 2], [3, 4])
    """
    places = range(len(x.shape or ()))[axes] if isinstance(axes, slice) else axes
    known = [None if x.shape is None else x.shape[i] for i in places]
    if None not in known:
        return known
    sizes = shape_of(x)
    return [getitem(sizes, i) if d is None else d for i, d in zip(places, known, strict=True)]

"""Differences between neighbours."""

from __future__ import annotations

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.axes import extend_axis
from minigrad.ops.elementwise import subtract
from minigrad.ops.joining import concat

__all__ = ["diff"]


@primitive(
    "Diff",
    samples=lambda rng: [
        Sample(rng.normal(size=(4,))),
        Sample(rng.normal(size=(3, 2)), axis=0),
        Sample(rng.normal(size=(4,)), n=2),
        Sample(rng.normal(size=(2,)), n=0),
        Sample(rng.normal(size=(2,)), n=3).named("more often than there are elements"),
        Sample(rng.normal(size=(2,)), prepend=np.zeros(1), append=np.ones(2)),
        Sample(np.array([1, 4, 9])),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones(3), axis=1),
        Fails(ArgumentError, "negative", np.ones(3), n=-1),
    ],
)
def diff(
    x: TensorLike,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """Differences between neighbours along an axis.

    Args:
        x: a numeric tensor.
        axis: the axis.
        n: how many times to take differences; 0 for `x` as it is.
        prepend: a tensor to put in front along the axis first.
        append: a tensor to put behind along the axis first.

    Returns:
        A tensor that is `n` shorter along the axis.

    Raises:
        ShapeError: the axis is out of range, or what is put in front or behind does not fit.
        ArgumentError: `n` is negative.

    >>> import minigrad as mg
    >>> mg.diff([1.0, 4.0, 9.0])
    Tensor([3., 5.], shape=(2,), dtype=float32)
    """
    if n < 0:
        raise ArgumentError(f"n must not be negative, got {n}")
    parts = [p for p in (prepend, x, append) if p is not None] if n else [x]
    whole = concat(parts, axis=axis) if len(parts) > 1 else x
    y = extend_axis(whole, axis=axis)
    for _ in range(n):
        y = subtract(extend_axis(y, before=-1, axis=axis), extend_axis(y, after=-1, axis=axis))
    return y

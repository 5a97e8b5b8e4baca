"""One-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import DTypeLike, as_dtype, float32
from minigrad.errors import DTypeError, ShapeError
from minigrad.ops.basic import asarray
from minigrad.ops.elementwise import multiply
from minigrad.ops.gathering import check_indices
from minigrad.ops.shaping import sum_to_like
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    count_argument,
    not_negative,
    static_sizes,
)
from minigrad.shapes import (
    Spec,
    axis_argument_int,
    normalize_axis,
    show,
)

__all__ = ["one_hot"]


@primitive(
    "OneHot",
    promote=(1, 2),
    samples=lambda rng: [
        Sample([0, 2, 1], 3),
        Sample(np.array([[0, 5], [-1, 1]]), 2, axis=0).named("out of range"),
        Sample(np.array([1, 0]), 3, rng.normal(size=()), rng.normal(size=())),
        Sample([0, 1], 2, 5, 3).named("integers"),
        Sample([0, 1], 2, dtype="float64", axis=1),
        Sample(1, 3).named("scalar"),
        Sample(np.zeros(0, np.int64), 2).named("empty"),
    ],
    errors=[
        Fails(DTypeError, "integers", [0.5], 3),
        Fails(ShapeError, "negative", [0], -1),
        Fails(ShapeError, "out of range", [0], 3, axis=2),
        Fails(ShapeError, "scalars", [0], 3, [1.0, 2.0]),
    ],
)
def one_hot(
    indices: TensorLike,
    /,
    depth: Any,
    on_value: TensorLike | None = None,
    off_value: TensorLike | None = None,
    dtype: DTypeLike | None = None,
    axis: int = -1,
) -> Tensor:
    """Vectors that are `on_value` at an index and `off_value` elsewhere.

    Args:
        indices: integers of any shape.
        depth: the length of the vectors, an int or a scalar integer tensor.
        on_value: a scalar, 1 by default.
        off_value: a scalar, 0 by default.
        dtype: element type; by default that of the values, or float32.
        axis: where the new axis goes, counted in the result.

    Returns:
        A tensor with one more axis than `indices`, of length `depth`. An index outside
        ``[0, depth)``, a negative one too, gives a vector of `off_value`.

    Raises:
        DTypeError: the indices are not integers.
        ShapeError: `depth` is negative, `axis` out of range, or a value no scalar.

    >>> import minigrad as mg
    >>> mg.one_hot([1, -1], 3).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    target = None if dtype is None else as_dtype(dtype)
    if target is None and on_value is None and off_value is None:
        target = float32
    on: Any = 1 if on_value is None else on_value
    off: Any = 0 if off_value is None else off_value
    if target is not None:
        on, off = asarray(on, dtype=target), asarray(off, dtype=target)
    count, given = count_argument(depth, "depth")
    sizes = None if count is None else (count,)
    return bind(one_hot, indices, on, off, given, sizes=sizes, axis=axis_argument_int(axis))


@one_hot.kernel
def _(
    xp: Any, indices: Any, on: Any, off: Any, depth: Any = None, *, sizes: Sizes | None, axis: int
) -> Any:
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"indices must be integers, got {indices.dtype}")
    if on.shape != () or off.shape != ():
        raise ShapeError("on_value and off_value must be scalars")
    (length,) = actual_sizes(sizes, depth, "depth")
    not_negative((length,), "depth")
    at = normalize_axis(axis, indices.ndim + 1)
    classes = xp.reshape(xp.arange(length), (length,) + (1,) * (indices.ndim - at))
    return xp.where(xp.expand_dims(indices, axis=at) == classes, on, off)


@one_hot.lowering
def _(
    b: Any, indices: Any, on: Any, off: Any, depth: Any = None, *, sizes: Sizes | None, axis: int
) -> Any:
    if sizes is None and depth.constant is None:
        return NotImplemented
    (length,) = actual_sizes(sizes, None if depth is None else depth.constant, "depth")
    if length > np.iinfo(indices.dtype).max:
        indices = b.cast(indices, np.dtype(np.int64))
    at = normalize_axis(axis, indices.rank + 1)
    classes = np.arange(length, dtype=indices.dtype).reshape((-1,) + (1,) * (indices.rank - at))
    return b.map("Select", b.map("Equal", b.expand(indices, [at]), b.constant(classes)), on, off)


@one_hot.shape
def _(
    indices: Spec,
    on: Spec,
    off: Spec,
    depth: Spec | None,
    *,
    sizes: Sizes | None,
    axis: int,
) -> Spec:
    check_indices(indices.dtype)
    for value in (on, off):
        if value.shape not in ((), None):
            raise ShapeError(
                f"on_value and off_value must be scalars, got shape {show(value.shape)}"
            )
    known = static_sizes(sizes, depth, "depth")
    if known is not None and len(known) != 1:
        raise ShapeError(f"depth must be a scalar, got {len(known)} numbers")
    not_negative(known, "depth")
    if indices.shape is None:
        return Spec(None, on.dtype)
    at = normalize_axis(axis, len(indices.shape) + 1)
    length = None if known is None else known[0]
    return Spec((*indices.shape[:at], length, *indices.shape[at:]), on.dtype)


@one_hot.gradient(saves=("indices", "depth"))
def _(c: Ctx) -> Grads:
    (g,), (indices, on, off, depth), a = c.grads, c.inputs, c.attrs
    made: list[Tensor | None] = [None]
    for x, need, values in ((on, c.needs[1], (1, 0)), (off, c.needs[2], (0, 1))):
        if not need:
            made.append(None)
            continue
        ends = [asarray(v, dtype=g.dtype) for v in values]
        mask = bind(one_hot, indices, *ends, depth, sizes=a.sizes, axis=a.axis)
        made.append(sum_to_like(multiply(g, mask), x))
    return [*made, None]

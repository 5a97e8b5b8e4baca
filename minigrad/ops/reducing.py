"""What reductions, scans and sorts share: accumulator dtypes, and checks on axes and dtypes."""

from __future__ import annotations

import builtins
import math
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from minigrad.core.rules import Ctx
from minigrad.core.samples import Fails
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, DTypeLike, as_dtype, float16, float32, from_numpy, int64, uint64
from minigrad.errors import ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.basic import astype
from minigrad.ops.shaping import broadcast_like
from minigrad.shapes import Shape, normalize_axes, show

Axis: TypeAlias = "int | tuple[int, ...] | None"

TEXT = np.array(["a"], object)
#: Calls that a reduction over any axes refuses.
BAD_AXES = [
    Fails(ShapeError, "out of range", np.ones((2, 3)), axis=2),
    Fails(ShapeError, "out of range", np.ones(()), axis=0),
    Fails(ShapeError, "twice", np.ones((2, 3)), axis=(0, -2)),
    Fails(ArgumentTypeError, "must be an integer", np.ones((2, 3)), axis=1.5),
]
#: Calls that choose among no elements.
EMPTY = [
    Fails(ShapeError, r"\(0,\) has no elements, so", np.ones((0,))),
    Fails(ShapeError, r"\(2, 0\) has no elements along axis -1", np.ones((2, 0)), axis=-1),
]
#: Calls whose elements have no order.
UNORDERED = [Fails(DTypeError, "order", np.ones(2) * 1j), Fails(DTypeError, "order", TEXT)]


@cache
def total_dtype(dtype: DType) -> DType:
    """The dtype of a sum or product: small integers and bools grow to 64 bits, as in NumPy."""
    if dtype.is_inexact:
        return dtype
    if dtype.is_bool or dtype.kind == "i":
        return int64
    if dtype.kind == "u":
        return uint64
    raise DTypeError(f"expected numbers or bools, got {dtype}")


def cast_to_total(x: TensorLike, dtype: DTypeLike | None) -> tuple[TensorLike, DType | None]:
    """The operand cast to the dtype that was asked for, and that dtype. Raises `DTypeError`."""
    if dtype is None:
        return x, None
    target = as_dtype(dtype)
    if not target.is_numeric:
        raise DTypeError(f"the dtype of a sum or product must be numeric, got {target}")
    return astype(x, target), target


def wide(dtype: DType) -> DType:
    """The dtype to accumulate in: float32 for float16, which overflows at 65504."""
    return float32 if dtype is float16 else dtype


def widened(x: Array) -> Array:
    """The array in the dtype to accumulate in."""
    return x.astype(float32.dtype) if x.dtype == float16.dtype else x


def narrowed(y: Array, dtype: DType) -> Array:
    """A result that was accumulated in `wide(dtype)`, in `dtype`."""
    return y.astype(dtype.dtype) if dtype is float16 else y


def require_numbers(dtype: DType) -> None:
    """Raise `DTypeError` for text."""
    if dtype.kind == "O":
        raise DTypeError(f"expected numbers or bools, got {dtype}")


def require_ordered(dtype: DType) -> None:
    """Raise `DTypeError` for elements that have no order here: complex numbers and text."""
    if dtype.is_complex or dtype.kind == "O":
        raise DTypeError(f"expected real numbers or bools, which have an order, got {dtype}")


def require_axes(x: Array, axis: Axis) -> None:
    """Raise `ShapeError` for an axis of a 0-d array: NumPy lets 0 and -1 pass."""
    if axis is not None and not x.ndim:
        normalize_axes(axis, 0)


def require_elements(shape: Shape, axis: Axis) -> None:
    """Raise `ShapeError` when a result would have to be chosen among no elements."""
    if shape is None or 0 not in shape:
        return
    axes = normalize_axes(axis, len(shape))
    kept = [d for i, d in enumerate(shape) if i not in axes]
    if any(shape[i] == 0 for i in axes) and builtins.all(kept):
        where = "" if axis is None else f" along axis {axis}"
        raise ShapeError(
            f"a tensor of shape {show(shape)} has no elements{where}, so there is none to choose; "
            "check that its size is not 0 first"
        )


def array_dtype(x: Array) -> DType:
    """The `DType` of an array."""
    return from_numpy(x.dtype)


def reduced_count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements each result of a reduction is made of."""
    return math.prod(shape[i] for i in normalize_axes(axis, len(shape)))


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """How many elements there are before an axis (not negative), along it and after it."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def spread(c: Ctx, y: Tensor) -> Tensor:
    """Broadcast a reduction's result, or the gradient for it, back over the reduced axes."""
    axis: Any = None if c.attrs.keepdims else c.attrs.axis
    return broadcast_like(y, c.inputs[0], axis=axis)

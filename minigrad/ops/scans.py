"""Running sums and products along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, DTypeLike
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.ops.axes import extend_axis
from minigrad.ops.recurrences import linear_recurrence, native_scan, shifted
from minigrad.ops.reducing import (
    array_dtype,
    cast_to_total,
    narrowed,
    total_dtype,
    wide,
)
from minigrad.shapes import Spec, axis_argument_int, normalize_axis

__all__ = ["cumulative_prod", "cumulative_sum"]

_TEXT = np.array(["a"], object)


@primitive(
    "Cumsum",
    samples=lambda rng: [
        Sample(rng.normal(size=(4,))),
        Sample(rng.normal(size=(2, 3)), axis=1),
        Sample(rng.normal(size=(3, 2)), axis=-2, reverse=True),
        Sample(rng.normal(size=(2, 3)), axis=1, exclusive=True),
        Sample(rng.normal(size=(2, 3)), axis=1, include_initial=True),
        Sample(rng.normal(size=(3,)), include_initial=True, reverse=True),
        Sample(rng.normal(size=(3,)), exclusive=True, reverse=True),
        Sample(rng.normal(size=(0, 2)), axis=0, exclusive=True).named("empty"),
        Sample(rng.normal(size=(3,)).astype("float16")),
        Sample(np.array([100, 100], np.int8)).named("integers grow to 64 bits"),
        Sample(np.array([100, 100], np.int8), dtype="float64"),
        Sample(np.array([True, True])),
    ],
    errors=[
        Fails(ShapeError, "needs an axis", np.zeros((2, 3))),
        Fails(ShapeError, "out of range", np.zeros((2, 3)), axis=2),
        Fails(ArgumentError, "exclusive", np.zeros(2), exclusive=True, include_initial=True),
        Fails(DTypeError, "numbers", _TEXT),
        Fails(DTypeError, "numeric", np.zeros(2), dtype="bool"),
    ],
)
def cumulative_sum(
    x: TensorLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
    exclusive: bool = False,
    reverse: bool = False,
) -> Tensor:
    """Running sums along an axis.

    Args:
        x: a tensor of at least one axis.
        axis: the axis; may be left out for a tensor of rank 1 only.
        dtype: cast to this first; by default bools and integers give int64 (uint64 from
            unsigned ones) and floats keep their dtype. Float16 is summed in float32.
        include_initial: begin with the sum of no elements, 0: the result is one longer.
        exclusive: leave an element out of its own sum, as in TensorFlow.
        reverse: sum from the end, as in TensorFlow.

    Returns:
        A tensor of the shape of `x`, or one longer along `axis`.

    Raises:
        ShapeError: no axis was given for a tensor of another rank than 1, or it is out of range.
        ArgumentError: both `include_initial` and `exclusive`.

    NumPy's `cumsum` flattens when no axis is given; this does not.

    >>> import minigrad as mg
    >>> mg.cumulative_sum([1.0, 2.0, 3.0])
    Tensor([1., 3., 6.], shape=(3,), dtype=float32)
    """
    x, total = cast_to_total(x, dtype)
    x, exclusive = _with_initial(x, axis, include_initial, exclusive, reverse)
    attrs = {"exclusive": exclusive, "reverse": bool(reverse)}
    return bind(cumulative_sum, x, axis=_axis_argument(axis), dtype=total, **attrs)


def _axis_argument(axis: int | None) -> int | None:
    return None if axis is None else axis_argument_int(axis)


def _with_initial(
    x: TensorLike, axis: int | None, include_initial: bool, exclusive: bool, reverse: bool
) -> tuple[TensorLike, bool]:
    """An inclusive scan with its initial value is the exclusive scan of an axis one longer."""
    if not include_initial:
        return x, bool(exclusive)
    if exclusive:
        raise ArgumentError("give include_initial or exclusive, not both: exclusive has it already")
    ends = {"before": 1} if reverse else {"after": 1}
    return extend_axis(x, axis=-1 if axis is None else axis, **ends), True


def _scan_axis(axis: int | None, rank: int) -> int:
    if axis is not None:
        return normalize_axis(axis, rank)
    if rank != 1:
        raise ShapeError(f"a tensor of rank {rank} needs an axis; write axis=0, for example")
    return 0


def _scan(
    xp: Any,
    accumulate: Any,
    x: Array,
    identity: int,
    axis: int | None,
    dtype: DType | None,
    exclusive: bool,
    reverse: bool,
) -> Array:
    axis = _scan_axis(axis, x.ndim)
    target = dtype or total_dtype(array_dtype(x))
    if reverse:
        x = xp.flip(x, axis=axis)
    if exclusive:
        length = x.shape[axis]
        first = xp.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), identity, dtype=x.dtype)
        x = xp.concat([first, x], axis=axis)[(slice(None),) * axis + (slice(length),)]
    y = accumulate(x, axis=axis, dtype=wide(target).dtype)
    return narrowed(xp.flip(y, axis=axis) if reverse else y, target)


def _scan_spec(x: Spec, axis: int | None, dtype: DType | None) -> Spec:
    if x.shape is not None:
        _scan_axis(axis, len(x.shape))
    shape = (None,) if x.shape is None and axis is None else x.shape
    return Spec(shape, dtype or total_dtype(x.dtype))


def _lowered(
    b: Any, name: str, what: Any, x: Any, axis: int | None, dtype: DType | None, **attrs: Any
) -> Any:
    target = dtype or total_dtype(array_dtype(x))
    if target.dtype.kind not in "iuf" or target.dtype.itemsize < 4:
        return NotImplemented
    x = b.cast(x, target.dtype)
    return native_scan(b, name, what, [x], _scan_axis(axis, x.rank), dtype=target, **attrs)


@cumulative_sum.kernel
def _(
    xp: Any, x: Array, *, axis: int | None, dtype: DType | None, exclusive: bool, reverse: bool
) -> Array:
    return _scan(xp, xp.cumsum, x, 0, axis, dtype, exclusive, reverse)


@cumulative_sum.shape
def _(x: Spec, *, axis: int | None, dtype: DType | None, exclusive: bool, reverse: bool) -> Spec:
    return _scan_spec(x, axis, dtype)


@cumulative_sum.lowering
def _(b: Any, x: Any, *, axis: int | None, dtype: DType | None, **attrs: bool) -> Any:
    return _lowered(b, "cumulative_sum", cumulative_sum, x, axis, dtype, **attrs)


@cumulative_sum.gradient()
def _(c: Ctx) -> Grads:
    a = c.attrs
    return cumulative_sum(c.grads[0], axis=a.axis, exclusive=a.exclusive, reverse=not a.reverse)


@primitive(
    "Cumprod",
    samples=lambda rng: [
        Sample(rng.normal(size=(4,)) + 2),
        Sample(rng.normal(size=(2, 3)) - 2, axis=1),
        Sample(rng.normal(size=(3, 2)) + 2, axis=-2, reverse=True),
        Sample(rng.normal(size=(2, 3)) + 2, axis=1, exclusive=True),
        Sample(rng.normal(size=(2, 3)) + 2, axis=1, include_initial=True),
        Sample(rng.normal(size=(3,)) + 2, include_initial=True, reverse=True),
        Sample(rng.normal(size=(3,)) + 2, exclusive=True, reverse=True),
        Sample(np.array([2.0, 0.0, 3.0, 0.5])).named("a zero"),
        Sample(np.array([2.0, 0.0, 3.0, 0.0, 0.5])).named("two zeros"),
        Sample(np.array([0.0, 0.0, 3.0]), reverse=True).named("two zeros from the end"),
        Sample(rng.normal(size=(0, 2)), axis=0, exclusive=True).named("empty"),
        Sample(np.array([100, 100], np.int8)).named("integers grow to 64 bits"),
    ],
    errors=[
        Fails(ShapeError, "needs an axis", np.zeros((2, 3))),
        Fails(ShapeError, "out of range", np.zeros((2, 3)), axis=2),
        Fails(ArgumentError, "exclusive", np.zeros(2), exclusive=True, include_initial=True),
        Fails(DTypeError, "numbers", _TEXT),
    ],
)
def cumulative_prod(
    x: TensorLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
    exclusive: bool = False,
    reverse: bool = False,
) -> Tensor:
    """Running products along an axis; the gradient is exact with zeros too.

    Args:
        x: a tensor of at least one axis.
        axis: the axis; may be left out for a tensor of rank 1 only.
        dtype: cast to this first; by default bools and integers give int64 (uint64 from
            unsigned ones) and floats keep their dtype. Float16 is multiplied in float32.
        include_initial: begin with the product of no elements, 1: the result is one longer.
        exclusive: leave an element out of its own product, as in TensorFlow.
        reverse: multiply from the end, as in TensorFlow.

    Returns:
        A tensor of the shape of `x`, or one longer along `axis`.

    Raises:
        ShapeError: no axis was given for a tensor of another rank than 1, or it is out of range.
        ArgumentError: both `include_initial` and `exclusive`.

    The derivative by ``x[i]`` is the product of the elements before it times
    ``s[i] = g[i] + x[i+1] s[i+1]``: nothing is divided. TensorFlow divides, and has NaN at zeros.

    >>> import minigrad as mg
    >>> mg.cumulative_prod([1.0, 2.0, 3.0])
    Tensor([1., 2., 6.], shape=(3,), dtype=float32)
    """
    x, total = cast_to_total(x, dtype)
    x, exclusive = _with_initial(x, axis, include_initial, exclusive, reverse)
    attrs = {"exclusive": exclusive, "reverse": bool(reverse)}
    return bind(cumulative_prod, x, axis=_axis_argument(axis), dtype=total, **attrs)


@cumulative_prod.kernel
def _(
    xp: Any, x: Array, *, axis: int | None, dtype: DType | None, exclusive: bool, reverse: bool
) -> Array:
    return _scan(xp, xp.cumprod, x, 1, axis, dtype, exclusive, reverse)


@cumulative_prod.shape
def _(x: Spec, *, axis: int | None, dtype: DType | None, exclusive: bool, reverse: bool) -> Spec:
    return _scan_spec(x, axis, dtype)


@cumulative_prod.lowering
def _(b: Any, x: Any, *, axis: int | None, dtype: DType | None, **attrs: bool) -> Any:
    return _lowered(b, "cumulative_prod", cumulative_prod, x, axis, dtype, **attrs)


@cumulative_prod.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,), (g,) = c.inputs, c.grads
    axis: int = -1 if c.attrs.axis is None else c.attrs.axis
    reverse: bool = c.attrs.reverse
    before = cumulative_prod(x, axis=axis, exclusive=True, reverse=reverse)
    if c.attrs.exclusive:
        after = shifted(linear_recurrence(x, g, axis=axis, reverse=not reverse), axis, reverse)
    else:
        after = linear_recurrence(shifted(x, axis, reverse), g, axis=axis, reverse=not reverse)
    return before * after

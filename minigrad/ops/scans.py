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
from minigrad.ops.axes import extend_axis, fit_axis_like
from minigrad.ops.reducing import array_dtype, cast_to_total, narrowed, total_dtype, wide, widened
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument_int,
    compatible,
    merge,
    normalize_axis,
    show,
)

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


@cumulative_sum.kernel
def _(
    xp: Any, x: Array, *, axis: int | None, dtype: DType | None, exclusive: bool, reverse: bool
) -> Array:
    return _scan(xp, xp.cumsum, x, 0, axis, dtype, exclusive, reverse)


@cumulative_sum.shape
def _(x: Spec, *, axis: int | None, dtype: DType | None, exclusive: bool, reverse: bool) -> Spec:
    return _scan_spec(x, axis, dtype)


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


@cumulative_prod.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,), (g,) = c.inputs, c.grads
    axis: int = -1 if c.attrs.axis is None else c.attrs.axis
    reverse: bool = c.attrs.reverse
    before = cumulative_prod(x, axis=axis, exclusive=True, reverse=reverse)
    if c.attrs.exclusive:
        after = _shifted(linear_recurrence(x, g, axis=axis, reverse=not reverse), axis, reverse)
    else:
        after = linear_recurrence(_shifted(x, axis, reverse), g, axis=axis, reverse=not reverse)
    return before * after


def _shifted(x: Tensor, axis: int, to_end: bool) -> Tensor:
    """Every element one place nearer to the start of the axis, or to its end; 0 moves in."""
    return fit_axis_like(x, x, before=1 if to_end else -1, axis=axis)


@primitive(
    "LinearRecurrence",
    accepts="float",
    numpy=lambda a, b, *, axis, reverse: _recurrence_loop(a, b, axis, reverse),
    samples=lambda rng: [
        Sample(rng.normal(size=(4,)), rng.normal(size=(4,))),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), reverse=True),
        Sample(np.array([0.5, 0.0, 2.0]), rng.normal(size=(3,))).named("a zero"),
        Sample(rng.normal(size=(0, 2)), rng.normal(size=(0, 2)), axis=0).named("empty"),
        Sample(np.array([1, 2]), np.array([3, 4], np.float16)),
    ],
    errors=[Fails(ShapeError, "same shape", np.zeros(2), np.zeros(3))],
)
def linear_recurrence(
    a: TensorLike, b: TensorLike, /, *, axis: int = -1, reverse: bool = False
) -> Tensor:
    """The sequence ``h[i] = a[i] * h[i-1] + b[i]`` along an axis, from ``h[-1] = 0``.

    Args:
        a: the factors; the first one is not read.
        b: what is added; of the same shape.
        axis: the axis.
        reverse: run from the end: ``h[i] = a[i] * h[i+1] + b[i]``.

    Returns:
        A tensor of that shape.

    Raises:
        ShapeError: the shapes differ, or the axis is out of range.

    >>> from minigrad.ops.scans import linear_recurrence
    >>> linear_recurrence([0.5, 0.5, 0.5], [1.0, 1.0, 1.0]).tolist()
    [1.0, 1.5, 1.75]
    """
    return bind(linear_recurrence, a, b, axis=axis_argument_int(axis), reverse=bool(reverse))


@linear_recurrence.kernel
def _(xp: Any, a: Array, b: Array, *, axis: int, reverse: bool) -> Array:
    # By doubling: after each round, h and factor stand for twice as many steps.
    _require_same_shape(a.shape, b.shape)
    factor, h = (_to_front(xp, v, axis, reverse) for v in (a, b))
    length, step = h.shape[0], 1

    def later(v: Array) -> Array:
        made: Array = xp.concat([xp.zeros_like(v[:step]), v[: length - step]], axis=0)
        return made

    factor = xp.concat([xp.zeros_like(factor[:1]), factor[1:]], axis=0)
    while step < length:
        h, factor = h + factor * later(h), factor * later(factor)
        step *= 2
    return _from_front(xp, h, axis, reverse).astype(b.dtype)


def _recurrence_loop(a: Array, b: Array, axis: int, reverse: bool) -> Array:
    """The same, element after element, so that no product is formed that is not needed."""
    _require_same_shape(a.shape, b.shape)
    factor, added = (_to_front(np, v, axis, reverse) for v in (a, b))
    h = np.empty(added.shape, added.dtype)
    if added.ndim == 1 and added.dtype.kind == "f":
        now, made = 0.0, []
        for i, (f, v) in enumerate(zip(factor.tolist(), added.tolist(), strict=True)):
            now = f * now + v if i else v
            made.append(now)
        h[:] = made
    else:
        for i in range(len(h)):
            h[i] = added[i] + factor[i] * h[i - 1] if i else added[i]
    return _from_front(np, h, axis, reverse).astype(b.dtype, copy=False)


def _to_front(xp: Any, x: Array, axis: int, reverse: bool) -> Array:
    """The array with the axis first, running forward, in the dtype to accumulate in."""
    moved: Array = xp.moveaxis(widened(x), normalize_axis(axis, x.ndim), 0)
    return moved[::-1] if reverse else moved


def _from_front(xp: Any, x: Array, axis: int, reverse: bool) -> Array:
    """Undo `_to_front`, but for the dtype."""
    back: Array = xp.moveaxis(x[::-1] if reverse else x, 0, axis)
    return back


def _require_same_shape(a: Shape, b: Shape) -> None:
    if not compatible(a, b):
        raise ShapeError(f"a and b must have the same shape, got {show(a)} and {show(b)}")


@linear_recurrence.shape
def _(a: Spec, b: Spec, *, axis: int, reverse: bool) -> Spec:
    _require_same_shape(a.shape, b.shape)
    shape = merge(a.shape, b.shape)
    if shape is not None:
        normalize_axis(axis, len(shape))
    return Spec(shape, b.dtype)


@linear_recurrence.gradient(saves=("a", "y"))
def _(c: Ctx) -> Grads:
    (a, _b), (h,), (g,) = c.inputs, c.outputs, c.grads
    axis, reverse = c.attrs.axis, c.attrs.reverse
    t = linear_recurrence(_shifted(a, axis, reverse), g, axis=axis, reverse=not reverse)
    return t * _shifted(h, axis, not reverse) if c.needs[0] else None, t

"""Reductions: sums, products and extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, DTypeLike
from minigrad.errors import DTypeError
from minigrad.ops.axes import merge_axes, unmerge_axes_like
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal
from minigrad.ops.reducing import (
    BAD_AXES,
    EMPTY,
    TEXT,
    UNORDERED,
    Axis,
    array_dtype,
    cast_to_total,
    narrowed,
    require_axes,
    require_elements,
    require_ordered,
    spread,
    total_dtype,
    wide,
)
from minigrad.ops.scans import cumulative_prod
from minigrad.shapes import Spec, axis_argument, normalize_axes, reduced

__all__ = ["max", "min", "prod", "sum"]


@primitive(
    "Sum",
    numpy=lambda x, **attrs: _total(np.add.reduce, x, **attrs),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0)),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True),
        Sample(rng.normal(size=(2, 3)), axis=()).named("no axis"),
        Sample(rng.normal(size=())),
        Sample(rng.normal(size=(0, 3)), axis=0).named("empty"),
        Sample(rng.normal(size=(2, 3)).astype("float16"), axis=0),
        Sample(np.array([100, 100], np.int8)).named("integers grow to 64 bits"),
        Sample(np.array([200, 100], np.uint8)),
        Sample(np.array([True, True])),
        Sample(np.array([1, 2]), dtype="float64"),
        Sample(rng.normal(size=(2,)), dtype="float32").order(0, "float32 is too coarse to check"),
        Sample(np.array([1 + 2j, 3])),
    ],
    errors=[
        *BAD_AXES,
        Fails(DTypeError, "numbers", TEXT),
        Fails(DTypeError, "numeric", np.ones(2), dtype="bool"),
    ],
)
def sum(
    x: TensorLike, /, *, axis: Any = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """Sum over axes.

    Args:
        x: a tensor.
        axis: an int, a tuple of ints, or None for all.
        dtype: cast to this first; by default bools and integers give int64 (uint64 from
            unsigned ones), as in NumPy, and floats keep their dtype. Float16 is summed in
            float32. (TensorFlow keeps small integers, and overflows.)
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes. The sum of nothing is 0.

    Raises:
        ShapeError: an axis is out of range or repeated.
        DTypeError: `x` holds text, or `dtype` is not numeric.

    >>> import minigrad as mg
    >>> mg.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    Tensor([4., 6.], shape=(2,), dtype=float32)
    """
    x, total = cast_to_total(x, dtype)
    return bind(sum, x, axis=axis_argument(axis), dtype=total, keepdims=bool(keepdims))


@sum.kernel
def _(xp: Any, x: Array, *, axis: Axis, dtype: DType | None, keepdims: bool) -> Array:
    return _total(xp.sum, x, axis=axis, dtype=dtype, keepdims=keepdims)


@sum.lowering
def _(b: Any, x: Any, **attrs: Any) -> Any:
    return _lowered_total(b, "sum", x, **attrs)


def _lowered_total(
    b: Any, joining: str, x: Any, *, axis: Axis, dtype: DType | None, keepdims: bool
) -> Any:
    target = dtype or total_dtype(array_dtype(x))
    return b.reduce(joining, b.cast(x, target.dtype), normalize_axes(axis, x.rank), keepdims)


def _total(accumulate: Any, x: Array, *, axis: Axis, dtype: DType | None, keepdims: bool) -> Array:
    require_axes(x, axis)
    target = dtype or total_dtype(array_dtype(x))
    return narrowed(accumulate(x, axis=axis, dtype=wide(target).dtype, keepdims=keepdims), target)


def _total_spec(x: Spec, *, axis: Axis, dtype: DType | None, keepdims: bool) -> Spec:
    return Spec(reduced(x.shape, axis, keepdims), dtype or total_dtype(x.dtype))


sum.shape(_total_spec)


@sum.gradient()
def _(c: Ctx) -> Grads:
    return spread(c, c.grads[0])


@primitive(
    "Prod",
    numpy=lambda x, **attrs: _total(np.multiply.reduce, x, **attrs),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)) + 2),
        Sample(rng.normal(size=(2, 3)) - 2, axis=0),
        Sample(rng.normal(size=(2, 3, 2)) + 2, axis=(-1, 0)),
        Sample(rng.normal(size=(2, 3)) + 2, axis=-1, keepdims=True),
        Sample(rng.normal(size=(2, 2)) + 2, axis=(1, 0), keepdims=True),
        Sample(rng.normal(size=())),
        Sample(np.array([2.0, 0.0, 3.0])).named("a zero"),
        Sample(np.array([[2.0, 0.0], [0.0, 3.0]])).named("two zeros"),
        Sample(np.array([0.0, 0.0, 0.0])).named("three zeros"),
        Sample(np.array([2.0, 0.0, 3.0])).expecting([0.0, 6.0, 0.0]),
        Sample(rng.normal(size=(0, 3)), axis=0).named("empty"),
        Sample(np.array([100, 100], np.int8)).named("integers grow to 64 bits"),
        Sample(np.array([300, 300], np.float16)).named("more than float16 holds"),
        Sample(np.array([2, 3]), dtype="float64"),
    ],
    errors=[*BAD_AXES, Fails(DTypeError, "numbers", TEXT)],
)
def prod(
    x: TensorLike, /, *, axis: Any = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Tensor:
    """Product over axes; the gradient is exact with zeros too, to every order.

    Args:
        x: a tensor.
        axis: an int, a tuple of ints, or None for all.
        dtype: cast to this first; by default bools and integers give int64 (uint64 from
            unsigned ones), and floats keep their dtype. Float16 is multiplied in float32.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes. The product of nothing is 1.

    Raises:
        ShapeError: an axis is out of range or repeated.
        DTypeError: `x` holds text, or `dtype` is not numeric.

    The derivative by an element is the product of those before it and of those after it.

    >>> import minigrad as mg
    >>> mg.grad(mg.prod)(mg.asarray([2.0, 0.0, 3.0]))
    Tensor([0., 6., 0.], shape=(3,), dtype=float32)
    """
    x, total = cast_to_total(x, dtype)
    return bind(prod, x, axis=axis_argument(axis), dtype=total, keepdims=bool(keepdims))


@prod.kernel
def _(xp: Any, x: Array, *, axis: Axis, dtype: DType | None, keepdims: bool) -> Array:
    return _total(xp.prod, x, axis=axis, dtype=dtype, keepdims=keepdims)


@prod.lowering
def _(b: Any, x: Any, **attrs: Any) -> Any:
    return _lowered_total(b, "prod", x, **attrs)


prod.shape(_total_spec)


@prod.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,), axis = c.inputs, c.attrs.axis
    factors = merge_axes(x, axis=axis)
    before = cumulative_prod(factors, axis=-1, exclusive=True)
    after = cumulative_prod(factors, axis=-1, exclusive=True, reverse=True)
    return spread(c, c.grads[0]) * unmerge_axes_like(before * after, x, axis=axis)


@primitive(
    "Max",
    numpy=lambda x, **attrs: _extreme(np.maximum.reduce, x, **attrs),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0)),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True),
        Sample(rng.normal(size=())),
        Sample(np.array([[1.0, 2.0], [2.0, 2.0]])).expecting([[0, 1 / 3], [1 / 3, 1 / 3]]),
        Sample(np.array([[1.0, 2.0], [3.0, 3.0]]), axis=1).expecting([[0, 1], [0.5, 0.5]]),
        Sample(np.array([np.inf, 1.0, np.inf])).expecting([0.5, 0, 0.5]),
        Sample(rng.normal(size=(0, 3)), axis=1).named("empty result"),
        Sample(np.array([3, -1])),
        Sample(np.array([True, False])),
    ],
    errors=[*BAD_AXES, *EMPTY, *UNORDERED],
)
def max(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes; NaN where there is one.

    Args:
        x: a tensor of real numbers or bools.
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes, of the dtype of `x`. Elements that tie for the largest
        share its gradient equally (NumPy has none; PyTorch's ``max(dim)`` gives it to one).

    Raises:
        ShapeError: an axis is out of range or repeated, or there are no elements to choose from.
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.max([[1.0, 5.0], [3.0, 2.0]], axis=1)
    Tensor([5., 3.], shape=(2,), dtype=float32)
    >>> mg.grad(mg.max)(mg.asarray([2.0, 1.0, 2.0]))
    Tensor([0.5, 0. , 0.5], shape=(3,), dtype=float32)
    """
    return bind(max, x, axis=axis_argument(axis), keepdims=bool(keepdims))


@max.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    return _extreme(xp.max, x, axis=axis, keepdims=keepdims)


@max.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return _lowered_extreme(b, "max", "any", x, axis, keepdims)


def _lowered_extreme(
    b: Any, joining: str, of_bools: str, x: Any, axis: Axis, keepdims: bool
) -> Any:
    if not x.size:
        return b.full(reduced(x.shape, axis, keepdims), 0, x.dtype)
    joining = of_bools if x.dtype == bool else joining
    return b.reduce(joining, x, normalize_axes(axis, x.rank), keepdims)


def _extreme(choose: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    require_ordered(array_dtype(x))
    require_axes(x, axis)
    require_elements(x.shape, axis)
    if not x.size:  # NumPy refuses, even where the result is empty.
        return x.reshape(reduced(x.shape, axis, keepdims))  # type: ignore[arg-type]
    y: Array = choose(x, axis=axis, keepdims=keepdims)
    return y


def _extreme_spec(x: Spec, *, axis: Axis, keepdims: bool) -> Spec:
    require_ordered(x.dtype)
    require_elements(x.shape, axis)
    return Spec(reduced(x.shape, axis, keepdims), x.dtype)


max.shape(_extreme_spec)


def _to_extremes(c: Ctx) -> Grads:
    """The gradient, shared equally among the elements that equal the result."""
    (x,), (y,), (g,) = c.inputs, c.outputs, c.grads
    chosen = astype(equal(x, spread(c, y)), x.dtype)
    ties = sum(chosen, axis=c.attrs.axis, keepdims=c.attrs.keepdims)
    return spread(c, g / ties) * chosen


max.gradient(saves=("x", "y"))(_to_extremes)


@primitive(
    "Min",
    numpy=lambda x, **attrs: _extreme(np.minimum.reduce, x, **attrs),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0)),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True),
        Sample(rng.normal(size=())),
        Sample(np.array([[1.0, 3.0], [1.0, 2.0]])).expecting([[0.5, 0], [0.5, 0]]),
        Sample(rng.normal(size=(0, 3)), axis=1).named("empty result"),
        Sample(np.array([3, -1])),
        Sample(np.array([True, False])),
    ],
    errors=[*BAD_AXES, *EMPTY, *UNORDERED],
)
def min(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes; NaN where there is one.

    Args:
        x: a tensor of real numbers or bools.
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes, of the dtype of `x`. Elements that tie for the smallest
        share its gradient equally.

    Raises:
        ShapeError: an axis is out of range or repeated, or there are no elements to choose from.
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.min([[1.0, 5.0], [3.0, 2.0]], axis=1)
    Tensor([1., 2.], shape=(2,), dtype=float32)
    """
    return bind(min, x, axis=axis_argument(axis), keepdims=bool(keepdims))


@min.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    return _extreme(xp.min, x, axis=axis, keepdims=keepdims)


@min.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return _lowered_extreme(b, "min", "all", x, axis, keepdims)


min.shape(_extreme_spec)
min.gradient(saves=("x", "y"))(_to_extremes)

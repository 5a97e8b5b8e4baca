"""Reductions to truth values, counts and positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import bool_, int64
from minigrad.errors import ArgumentTypeError, DTypeError
from minigrad.ops.reducing import (
    BAD_AXES,
    EMPTY,
    TEXT,
    UNORDERED,
    Axis,
    around,
    array_dtype,
    require_axes,
    require_elements,
    require_numbers,
    require_ordered,
)
from minigrad.shapes import (
    Spec,
    axis_argument,
    axis_argument_int,
    normalize_axes,
    normalize_axis,
    reduced,
)

__all__ = ["all", "any", "argmax", "argmin", "count_nonzero"]

_TRUTH_SAMPLES = [
    Sample(np.array([[True, False], [True, True]])),
    Sample(np.array([[True, False], [True, True]]), axis=0),
    Sample(np.array([[[1, 0], [0, 0]]]), axis=(0, -1), keepdims=True),
    Sample(np.array([0.0, np.nan])).fixed(0).named("NaN is true"),
    Sample(np.zeros((0, 2)), axis=0).named("empty"),
    Sample(True),
]


@primitive(
    "All",
    not_differentiable="a truth value has no derivative",
    samples=_TRUTH_SAMPLES,
    errors=[*BAD_AXES, Fails(DTypeError, "numbers or bools", TEXT)],
)
def all(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over the axes are true; numbers other than 0, and NaN, are.

    Args:
        x: a tensor of bools or numbers.
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A bool tensor without the reduced axes; true for no elements.

    Raises:
        ShapeError: an axis is out of range or repeated.
        DTypeError: `x` holds text.

    >>> import minigrad as mg
    >>> mg.all([[True, False], [True, True]], axis=1)
    Tensor([False,  True], shape=(2,), dtype=bool)
    """
    return bind(all, x, axis=axis_argument(axis), keepdims=bool(keepdims))


@all.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    require_numbers(array_dtype(x))
    require_axes(x, axis)
    y: Array = xp.all(x, axis=axis, keepdims=keepdims)
    return y


@all.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return b.reduce("all", _truth(b, x), normalize_axes(axis, x.rank), keepdims)


def _truth(b: Any, x: Any) -> Any:
    """In a plan, where elements are not zero."""
    return x if x.dtype == bool else b.map("NotEqual", x, 0)


def _truth_spec(x: Spec, *, axis: Axis, keepdims: bool) -> Spec:
    require_numbers(x.dtype)
    return Spec(reduced(x.shape, axis, keepdims), bool_)


all.shape(_truth_spec)


@primitive(
    "Any",
    not_differentiable="a truth value has no derivative",
    samples=_TRUTH_SAMPLES,
    errors=[*BAD_AXES, Fails(DTypeError, "numbers or bools", TEXT)],
)
def any(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether any element over the axes is true; numbers other than 0, and NaN, are.

    Args:
        x: a tensor of bools or numbers.
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A bool tensor without the reduced axes; false for no elements.

    Raises:
        ShapeError: an axis is out of range or repeated.
        DTypeError: `x` holds text.

    >>> import minigrad as mg
    >>> mg.any([[True, False], [False, False]], axis=1)
    Tensor([ True, False], shape=(2,), dtype=bool)
    """
    return bind(any, x, axis=axis_argument(axis), keepdims=bool(keepdims))


@any.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    require_numbers(array_dtype(x))
    require_axes(x, axis)
    y: Array = xp.any(x, axis=axis, keepdims=keepdims)
    return y


@any.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return b.reduce("any", _truth(b, x), normalize_axes(axis, x.rank), keepdims)


any.shape(_truth_spec)


@primitive(
    "CountNonzero",
    not_differentiable="a count is an integer",
    samples=_TRUTH_SAMPLES,
    errors=[*BAD_AXES, Fails(DTypeError, "numbers or bools", TEXT)],
)
def count_nonzero(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """How many elements over the axes are not 0; NaN is not.

    Args:
        x: a tensor of numbers or bools.
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        An int64 tensor without the reduced axes.

    Raises:
        ShapeError: an axis is out of range or repeated.
        DTypeError: `x` holds text.

    >>> import minigrad as mg
    >>> mg.count_nonzero([[1, 0], [2, 3]], axis=0)
    Tensor([2, 1], shape=(2,), dtype=int64)
    """
    return bind(count_nonzero, x, axis=axis_argument(axis), keepdims=bool(keepdims))


@count_nonzero.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    require_numbers(array_dtype(x))
    require_axes(x, axis)
    y: Array = xp.asarray(xp.count_nonzero(x, axis=axis, keepdims=keepdims), dtype=int64.dtype)
    return y


@count_nonzero.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    ones = b.cast(_truth(b, x), int64.dtype)
    return b.reduce("sum", ones, normalize_axes(axis, x.rank), keepdims)


@count_nonzero.shape
def _(x: Spec, *, axis: Axis, keepdims: bool) -> Spec:
    require_numbers(x.dtype)
    return Spec(reduced(x.shape, axis, keepdims), int64)


_POSITION_SAMPLES = [
    Sample(np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 1.0]])).fixed(0).named("the first of ties"),
    Sample(np.array([[1.0, 5.0, 5.0], [4.0, 2.0, 1.0]]), axis=1).fixed(0),
    Sample(np.array([[1, 5, 5], [4, 2, 1]]), axis=-2, keepdims=True),
    Sample(np.array([[1, 5, 5], [4, 2, 1]]), keepdims=True),
    Sample(np.array([1.0, np.nan, np.nan])).fixed(0).named("the first NaN"),
    Sample(np.array([False, True, True])),
    Sample(np.zeros((0, 3)), axis=1).fixed(0).named("empty result"),
    Sample(3.0),
]
_POSITION_ERRORS = [
    *[f for f in BAD_AXES if "twice" not in f.match],
    Fails(ArgumentTypeError, "one axis", np.ones((2, 3)), axis=(0, 1)),
    *EMPTY,
    *UNORDERED,
]


def _one_axis(axis: Any) -> int | None:
    """The `axis` argument of a function that takes one axis or all."""
    if isinstance(axis, tuple | list):
        raise ArgumentTypeError(f"argmax and argmin take one axis, or None for all, got {axis!r}")
    return None if axis is None else axis_argument_int(axis)


def _position(xp: Any, find: Any, x: Array, axis: int | None, keepdims: bool) -> Array:
    require_ordered(array_dtype(x))
    require_axes(x, axis)
    require_elements(x.shape, axis)
    if not x.size:  # NumPy refuses, even where the result is empty.
        made: Array = xp.zeros(reduced(x.shape, axis, keepdims), dtype=int64.dtype)
        return made
    return xp.asarray(find(x, axis=axis, keepdims=keepdims), dtype=int64.dtype)  # type: ignore[no-any-return]


def _position_spec(x: Spec, *, axis: int | None, keepdims: bool) -> Spec:
    require_ordered(x.dtype)
    require_elements(x.shape, axis)
    return Spec(reduced(x.shape, axis, keepdims), int64)


def _native_position(b: Any, name: str, what: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    """In a plan a native kernel's result."""
    shape = reduced(x.shape, axis, keepdims)
    if not x.size:
        return b.full(shape, 0, int64.dtype)
    at = None if axis is None else normalize_axis(axis, x.rank)
    outer, count, inner = (1, x.size, 1) if at is None else around(x.shape, at)
    given = [b.reshape(x, (outer, count, inner))]
    attrs = {"axis": 1, "keepdims": False}
    (made,) = b.special(name, given, [((outer, inner), int64.dtype)], attrs, what)
    return b.reshape(made, shape)


@primitive(
    "ArgMax",
    not_differentiable="an index is an integer",
    samples=_POSITION_SAMPLES,
    errors=_POSITION_ERRORS,
)
def argmax(x: TensorLike, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest element is along an axis: the first of those that tie, or the first NaN.

    Args:
        x: a tensor of real numbers or bools.
        axis: the axis; None for the index into the flattened tensor (in TensorFlow, axis 0).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        An int64 tensor.

    Raises:
        ShapeError: the axis is out of range, or there are no elements to choose from.
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.argmax([[1.0, 5.0, 5.0], [4.0, 2.0, 1.0]], axis=1)
    Tensor([1, 0], shape=(2,), dtype=int64)
    """
    return bind(argmax, x, axis=_one_axis(axis), keepdims=bool(keepdims))


@argmax.kernel
def _(xp: Any, x: Array, *, axis: int | None, keepdims: bool) -> Array:
    return _position(xp, xp.argmax, x, axis, keepdims)


argmax.shape(_position_spec)


@argmax.lowering
def _(b: Any, x: Any, *, axis: int | None, keepdims: bool) -> Any:
    return _native_position(b, "argmax", argmax, x, axis, keepdims)


@primitive(
    "ArgMin",
    not_differentiable="an index is an integer",
    samples=_POSITION_SAMPLES,
    errors=_POSITION_ERRORS,
)
def argmin(x: TensorLike, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest element is along an axis: the first of those that tie, or the first NaN.

    Args:
        x: a tensor of real numbers or bools.
        axis: the axis; None for the index into the flattened tensor (in TensorFlow, axis 0).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        An int64 tensor.

    Raises:
        ShapeError: the axis is out of range, or there are no elements to choose from.
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.argmin([[1.0, 5.0, 5.0], [4.0, 2.0, 1.0]], axis=1)
    Tensor([0, 2], shape=(2,), dtype=int64)
    """
    return bind(argmin, x, axis=_one_axis(axis), keepdims=bool(keepdims))


@argmin.kernel
def _(xp: Any, x: Array, *, axis: int | None, keepdims: bool) -> Array:
    return _position(xp, xp.argmin, x, axis, keepdims)


argmin.shape(_position_spec)


@argmin.lowering
def _(b: Any, x: Any, *, axis: int | None, keepdims: bool) -> Any:
    return _native_position(b, "argmin", argmin, x, axis, keepdims)

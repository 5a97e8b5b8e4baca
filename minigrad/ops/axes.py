"""Ops that merge or resize axes, each with its adjoint.

The gradients of products and scans are made of them, and so cannot wait for the families of ops
that rearrange and index.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.reducing import Axis
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument,
    axis_argument_int,
    element_count,
    normalize_axes,
    normalize_axis,
    show,
)


@primitive(
    "MergeAxes",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3, 2)), axis=(0, -1)),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2,)), axis=()).named("no axes: a new one of size 1"),
        Sample(rng.normal(size=(0, 3)), axis=(1, 0)).named("empty"),
    ],
    errors=[Fails(ShapeError, "out of range", np.zeros((2, 3)), axis=2)],
)
def merge_axes(x: TensorLike, /, *, axis: Any = None) -> Tensor:
    """Move axes to the end, in the order given, and merge them into one.

    Args:
        x: a tensor.
        axis: an int, a tuple of ints, or None for all.

    Returns:
        A tensor with the other axes first, and one axis for those merged last.

    Raises:
        ShapeError: an axis is out of range or repeated.

    >>> import minigrad as mg
    >>> from minigrad.ops.axes import merge_axes
    >>> merge_axes(mg.zeros((2, 3, 4)), axis=(0, 2)).shape
    (3, 8)
    """
    return bind(merge_axes, x, axis=axis_argument(axis))


@merge_axes.kernel
def _(xp: Any, x: Array, *, axis: Axis) -> Array:
    kept, merged = _parted(x.ndim, axis)
    moved = xp.permute_dims(x, kept + merged)
    merged_axes: Array = xp.reshape(moved, _merged_shape(x.shape, axis))
    return merged_axes


@merge_axes.lowering
def _(b: Any, x: Any, *, axis: Axis) -> Any:
    kept, merged = _parted(x.rank, axis)
    return b.reshape(b.transpose(x, kept + merged), _merged_shape(x.shape, axis))


def _parted(rank: int, axis: Axis) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes that are kept and those that are merged."""
    merged = normalize_axes(axis, rank)
    return tuple(i for i in range(rank) if i not in merged), merged


def _merged_shape(shape: Shape, axis: Axis) -> Any:
    if shape is None:
        return (None,) if axis is None else None
    kept, merged = _parted(len(shape), axis)
    return (*(shape[i] for i in kept), element_count(tuple(shape[i] for i in merged)))


@merge_axes.shape
def _(x: Spec, *, axis: Axis) -> Spec:
    return Spec(_merged_shape(x.shape, axis), x.dtype)


@merge_axes.gradient()
def _(c: Ctx) -> Grads:
    return unmerge_axes_like(c.grads[0], c.inputs[0], axis=c.attrs.axis)


@primitive(
    "UnmergeAxesLike",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(6,)), np.zeros((2, 3))).fixed(1),
        Sample(rng.normal(size=(3, 4)), np.zeros((2, 3, 2)), axis=(0, -1)).fixed(1),
        Sample(rng.normal(size=(0,)), np.zeros((0, 3)), axis=(1, 0)).fixed(1).named("empty"),
    ],
    errors=[Fails(ShapeError, "expected shape", np.zeros((5,)), np.zeros((2, 3)))],
)
def unmerge_axes_like(x: TensorLike, like: TensorLike, /, *, axis: Any = None) -> Tensor:
    """Undo `merge_axes`: the result has the shape of `like`.

    Args:
        x: what ``merge_axes(like, axis=axis)`` has the shape of.
        like: a tensor; its values are not read.
        axis: the axes that were merged.

    Raises:
        ShapeError: `x` has another shape.

    >>> import minigrad as mg
    >>> from minigrad.ops.axes import unmerge_axes_like
    >>> unmerge_axes_like([1, 2, 3, 4], mg.zeros((2, 2)), axis=(1, 0)).tolist()
    [[1, 3], [2, 4]]
    """
    return bind(unmerge_axes_like, x, like, axis=axis_argument(axis))


@unmerge_axes_like.kernel
def _(xp: Any, x: Array, like: Array, *, axis: Axis) -> Array:
    order = [i for part in _parted(like.ndim, axis) for i in part]
    apart = xp.reshape(x, tuple(like.shape[i] for i in order))
    back: Array = xp.permute_dims(apart, tuple(order.index(i) for i in range(like.ndim)))
    return back


@unmerge_axes_like.lowering
def _(b: Any, x: Any, like: Any, *, axis: Axis) -> Any:
    order = [i for part in _parted(like.rank, axis) for i in part]
    apart = b.reshape(x, [like.shape[i] for i in order])
    return b.transpose(apart, [order.index(i) for i in range(like.rank)])


@unmerge_axes_like.shape
def _(x: Spec, like: Spec, *, axis: Axis) -> Spec:
    want = _merged_shape(like.shape, axis)
    have = x.shape
    if want is not None and have is not None:
        same = len(want) == len(have)
        if not same or any(a != b for a, b in zip(want, have, strict=True) if None not in (a, b)):
            raise ShapeError(
                f"expected shape {show(want)}, which {show(like.shape)} has once axes {axis} are "
                f"merged, got {show(have)}"
            )
    return Spec(like.shape, x.dtype)


@unmerge_axes_like.gradient()
def _(c: Ctx) -> Grads:
    return merge_axes(c.grads[0], axis=c.attrs.axis), None


@primitive(
    "ExtendAxis",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), before=1, after=2),
        Sample(rng.normal(size=(3, 2)), before=-1, axis=0),
        Sample(rng.normal(size=(3,)), before=1, after=-2),
        Sample(rng.normal(size=(0, 2)), after=1, axis=0),
        Sample(rng.normal(size=(2, 1)), after=-2).named("no less than nothing is left"),
        Sample(np.array([1, 2]), after=1),
    ],
    errors=[Fails(ShapeError, "out of range", np.zeros(()), before=1)],
)
def extend_axis(x: TensorLike, /, *, before: int = 0, after: int = 0, axis: int = -1) -> Tensor:
    """Put zeros before and after along an axis; a negative number takes elements away.

    Args:
        x: a tensor.
        before: how many to put in front.
        after: how many to put behind.
        axis: the axis.

    Raises:
        ShapeError: the axis is out of range.

    >>> from minigrad.ops.axes import extend_axis
    >>> extend_axis([1, 2, 3], before=-1, after=2).tolist()
    [2, 3, 0, 0]
    """
    return bind(extend_axis, x, before=before, after=after, axis=axis_argument_int(axis))


@extend_axis.kernel
def _(xp: Any, x: Array, *, before: int, after: int, axis: int) -> Array:
    axis = normalize_axis(axis, x.ndim)
    return _resized(xp, x, before, max(x.shape[axis] + before + after, 0), axis)


@extend_axis.lowering
def _(b: Any, x: Any, *, before: int, after: int, axis: int) -> Any:
    axis = normalize_axis(axis, x.rank)
    return _lowered_resized(b, x, before, max(x.shape[axis] + before + after, 0), axis)


def _resized(xp: Any, x: Array, before: int, length: int, axis: int) -> Array:
    """`x` moved back by `before` along an axis that then has `length` elements, 0 where new."""
    first = max(-before, 0)
    front = min(max(before, 0), length)
    part = x[(slice(None),) * axis + (slice(first, first + length - front),)]

    def zeros(n: int) -> Array:
        made: Array = xp.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtype=x.dtype)
        return made

    joined: Array = xp.concat(
        [zeros(front), part, zeros(length - front - part.shape[axis])], axis=axis
    )
    return joined


def _lowered_resized(b: Any, x: Any, before: int, length: int, axis: int) -> Any:
    """`_resized` in a plan."""
    first = max(-before, 0)
    front = min(max(before, 0), length)
    kept = max(min(x.shape[axis] - first, length - front), 0)
    starts = [min(first, x.shape[axis]) if i == axis else 0 for i in range(x.rank)]
    part = b.slice(x, starts, [1] * x.rank, (*x.shape[:axis], kept, *x.shape[axis + 1 :]))
    widths = [(front, length - front - kept) if i == axis else (0, 0) for i in range(x.rank)]
    return b.pad(part, widths, b.constant(0, x.dtype))


@extend_axis.shape
def _(x: Spec, *, before: int, after: int, axis: int) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    shape = list(x.shape)
    i = normalize_axis(axis, len(shape))
    d = shape[i]
    shape[i] = None if d is None else max(d + before + after, 0)
    return Spec(tuple(shape), x.dtype)


@extend_axis.gradient()
def _(c: Ctx) -> Grads:
    return fit_axis_like(c.grads[0], c.inputs[0], before=-c.attrs.before, axis=c.attrs.axis)


@primitive(
    "FitAxisLike",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 3)), before=1).fixed(1).named("shifted"),
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 4)), before=-1).fixed(1),
        Sample(rng.normal(size=(3, 2)), np.zeros((1, 2)), before=0, axis=0).fixed(1),
        Sample(rng.normal(size=(0,)), np.zeros((0,)), before=-1).fixed(1).named("empty"),
    ],
    errors=[Fails(ShapeError, "same rank", np.zeros((2,)), np.zeros((2, 3)), before=1)],
)
def fit_axis_like(x: TensorLike, like: TensorLike, /, *, before: int, axis: int = -1) -> Tensor:
    """Put zeros in front along an axis, or take elements away, until it is as long as in `like`.

    Args:
        x: a tensor.
        like: a tensor whose size along `axis` the result has; its values are not read.
        before: how many zeros to put in front; a negative number takes elements away.
        axis: the axis.

    Raises:
        ShapeError: the axis is out of range, or the ranks differ.

    >>> from minigrad.ops.axes import fit_axis_like
    >>> fit_axis_like([1, 2, 3], [0, 0, 0], before=1).tolist()
    [0, 1, 2]
    """
    return bind(fit_axis_like, x, like, before=before, axis=axis_argument_int(axis))


@fit_axis_like.kernel
def _(xp: Any, x: Array, like: Array, *, before: int, axis: int) -> Array:
    if x.ndim != like.ndim:
        raise ShapeError(f"shapes {show(x.shape)} and {show(like.shape)} must have the same rank")
    axis = normalize_axis(axis, x.ndim)
    return _resized(xp, x, before, like.shape[axis], axis)


@fit_axis_like.lowering
def _(b: Any, x: Any, like: Any, *, before: int, axis: int) -> Any:
    axis = normalize_axis(axis, x.rank)
    return _lowered_resized(b, x, before, like.shape[axis], axis)


@fit_axis_like.shape
def _(x: Spec, like: Spec, *, before: int, axis: int) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    i = normalize_axis(axis, len(x.shape))
    if like.shape is not None and len(like.shape) != len(x.shape):
        raise ShapeError(f"shapes {show(x.shape)} and {show(like.shape)} must have the same rank")
    length = None if like.shape is None else like.shape[i]
    return Spec((*x.shape[:i], length, *x.shape[i + 1 :]), x.dtype)


@fit_axis_like.gradient()
def _(c: Ctx) -> Grads:
    x, _like = c.inputs
    return fit_axis_like(c.grads[0], x, before=-c.attrs.before, axis=c.attrs.axis), None

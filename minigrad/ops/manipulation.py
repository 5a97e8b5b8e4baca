"""Ops that give elements other places: reshape, transpose, flip, roll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import int64
from minigrad.errors import ArgumentTypeError, ShapeError
from minigrad.ops.basic import astype
from minigrad.ops.elementwise import negative
from minigrad.ops.shaping import reshape_like
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    known_elements,
    sizes_argument,
    static_sizes,
    with_elements,
)
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument,
    element_count,
    normalize_axes,
    show,
)

__all__ = ["flip", "matrix_transpose", "moveaxis", "permute_dims", "reshape", "roll"]

# -- reshape -----------------------------------------------------------------------------------


@primitive(
    "Reshape",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), (3, 2)),
        Sample(rng.normal(size=(2, 3)), (-1,)),
        Sample(rng.normal(size=(2, 3)), [3, -1, 1]),
        Sample(rng.normal(size=(1,)), ()).named("to a scalar"),
        Sample(rng.normal(size=(0, 3)), (3, -1)).named("empty"),
        Sample(rng.normal(size=(2, 3)), np.array([6, 1])).named("shape as an array"),
        Sample(np.arange(4), 4),
    ],
    errors=[
        Fails(ShapeError, "6 elements", np.ones((2, 3)), (4,)),
        Fails(ShapeError, "6 elements", np.ones((2, 3)), (4, -1)),
        Fails(ShapeError, "one dimension may be -1", np.ones((2, 3)), (-1, -1)),
        Fails(ShapeError, "negative", np.ones((2, 3)), (-2, -3)),
        Fails(ShapeError, "cannot be inferred", np.ones((0, 3)), (0, -1)),
    ],
)
def reshape(x: TensorLike, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """Give the elements, in row-major order, another shape.

    Args:
        x: a tensor of any dtype.
        shape: an int; a sequence of ints and scalar integer tensors; or an integer tensor. One
            entry may be -1: that dimension is inferred.
        copy: accepted for the array API's sake; tensors never change, so no copy is ever seen.

    Returns:
        A tensor of that shape. Its static shape is known as far as the entries of `shape` are.

    Raises:
        ShapeError: the number of elements does not fit.

    >>> import minigrad as mg
    >>> mg.reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    sizes, given = sizes_argument(shape)
    return bind(reshape, x, given, sizes=sizes)


@reshape.kernel
def _(xp: Any, x: Array, target: Array | None = None, *, sizes: Sizes | None) -> Any:
    if target is None:
        return xp.reshape(x, sizes)
    return xp.reshape(x, reshaped(x.shape, actual_sizes(None, target)))


@reshape.lowering
def _(b: Any, x: Any, target: Any = None, *, sizes: Sizes | None) -> Any:
    if target is None:
        return b.reshape(x, reshaped(x.shape, sizes))
    if target.constant is None:
        return NotImplemented
    return b.reshape(x, reshaped(x.shape, actual_sizes(None, target.constant)))


@reshape.shape
def _(x: Spec, target: Spec | None, *, sizes: Sizes | None) -> Spec:
    shape = reshaped(x.shape, static_sizes(sizes, target))
    return with_elements(shape, x.dtype, known_elements(x))


def reshaped(shape: Shape, target: Shape) -> Shape:
    """The shape that a tensor gets. In `target`, -1 is to be inferred and None is not known.

    Raises:
        ShapeError: the number of elements does not fit.

    >>> reshaped((2, 3), (3, -1)), reshaped((None, 3), (-1, 3)), reshaped((2, 3), (None, 3))
    ((3, 2), (None, 3), (2, 3))
    """
    if target is None:
        return None
    if any(d is not None and d < -1 for d in target):
        raise ShapeError(f"a dimension cannot be negative (but for one -1), got {show(target)}")
    free = [i for i, d in enumerate(target) if d == -1 or d is None]
    if sum(d == -1 for d in target) > 1:
        raise ShapeError(f"only one dimension may be -1, got {show(target)}")
    have = element_count(shape)
    fixed = 1
    for d in target:
        fixed *= 1 if d is None or d == -1 else d
    if len(free) > 1 or have is None:
        return tuple([None if d == -1 else d for d in target])
    if not free:
        fits = have == fixed
    elif not fixed and target[free[0]] == -1:
        if not have:
            raise ShapeError(
                f"the dimension -1 in {show(target)} cannot be inferred for a tensor without "
                "elements; write the number"
            )
        fits = False
    else:
        fits = have % fixed == 0 if fixed else not have
    if not fits:
        raise ShapeError(
            f"a tensor of shape {show(shape)} with {have} elements cannot be reshaped to "
            f"{show(target)}"
        )
    inferred = have // fixed if fixed else None
    return tuple([inferred if d == -1 or d is None else d for d in target])


@reshape.gradient()
def _(c: Ctx) -> Grads:
    return reshape_like(c.grads[0], c.inputs[0]), None


# -- the order of axes -------------------------------------------------------------------------


@primitive(
    "Transpose",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), (1, 0)),
        Sample(rng.normal(size=(2, 3, 1)), (-1, 0, 1)),
        Sample(rng.normal(size=(2, 1, 3))).named("reversed"),
        Sample(rng.normal(size=()), ()),
        Sample(rng.normal(size=(0, 2)), (1, 0)).named("empty"),
    ],
    errors=[
        Fails(ShapeError, "names a dimension twice", np.ones((2, 3)), (0, 0)),
        Fails(ShapeError, "3 axes", np.ones((2, 3)), (0, 1, 2)),
        Fails(ShapeError, "out of range", np.ones((2, 3)), (0, 2)),
    ],
)
def permute_dims(x: TensorLike, /, axes: Sequence[int] | None = None) -> Tensor:
    """Put the axes into another order.

    Args:
        x: a tensor.
        axes: for each axis of the result, the axis of `x` it comes from; None reverses them all.

    Raises:
        ShapeError: `axes` is not a permutation of the axes of `x`.

    >>> import minigrad as mg
    >>> mg.permute_dims([[1, 2, 3]], (1, 0)).tolist()
    [[1], [2], [3]]
    """
    order = axis_argument(axes)
    return bind(permute_dims, x, axes=(order,) if isinstance(order, int) else order)


@permute_dims.kernel
def _(xp: Any, x: Array, *, axes: tuple[int, ...] | None) -> Any:
    if axes is None:
        return xp.permute_dims(x, tuple(range(x.ndim))[::-1])
    return xp.permute_dims(x, _order(axes, x.shape))


@permute_dims.lowering
def _(b: Any, x: Any, *, axes: tuple[int, ...] | None) -> Any:
    order = tuple(range(x.rank))[::-1] if axes is None else _order(axes, x.shape)
    return b.transpose(x, order)


def _order(axes: tuple[int, ...], shape: tuple[Any, ...]) -> tuple[int, ...]:
    """The axes counted from the front. Raises `ShapeError` unless each is named once."""
    if len(axes) != len(shape):
        raise ShapeError(
            f"{len(axes)} axes, {axes}, do not permute a tensor of shape {show(shape)}; "
            "each axis must be named once"
        )
    return normalize_axes(axes, len(shape))


@permute_dims.shape
def _(x: Spec, *, axes: tuple[int, ...] | None) -> Spec:
    if axes is None:
        return Spec(None if x.shape is None else x.shape[::-1], x.dtype)
    if x.shape is None:
        normalize_axes(axes, len(axes))
        return Spec((None,) * len(axes), x.dtype)
    return Spec(tuple(x.shape[i] for i in _order(axes, x.shape)), x.dtype)


@permute_dims.gradient()
def _(c: Ctx) -> Grads:
    axes = c.attrs.axes
    if axes is None:
        return permute_dims(c.grads[0])
    order = normalize_axes(axes, len(axes))
    return permute_dims(c.grads[0], tuple(sorted(range(len(order)), key=order.__getitem__)))


@primitive(
    "MatrixTranspose",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 1, 3))).named("stacked"),
        Sample(rng.normal(size=(0, 3))).named("empty"),
    ],
    errors=[Fails(ShapeError, "at least 2 dimensions", np.ones(2))],
)
def matrix_transpose(x: TensorLike, /) -> Tensor:
    """Transpose a matrix, or each matrix in a stack: swap the last two axes.

    Raises:
        ShapeError: `x` has fewer than two dimensions.

    >>> import minigrad as mg
    >>> mg.matrix_transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    return bind(matrix_transpose, x)


@matrix_transpose.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.matrix_transpose(x)


@matrix_transpose.lowering
def _(b: Any, x: Any) -> Any:
    return b.swap_last(x)


@matrix_transpose.shape
def _(x: Spec) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    if len(x.shape) < 2:
        raise ShapeError(f"at least 2 dimensions are needed, got shape {show(x.shape)}")
    return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


@matrix_transpose.gradient()
def _(c: Ctx) -> Grads:
    return matrix_transpose(c.grads[0])


@primitive(
    "MoveAxis",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3, 1)), 0, -1),
        Sample(rng.normal(size=(2, 3, 1)), (0, 1), (-1, 0)).named("two axes"),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones((2, 3)), 0, 2),
        Fails(ShapeError, "as many", np.ones((2, 3)), (0, 1), (0,)),
        Fails(ShapeError, "names a dimension twice", np.ones((2, 3)), (0, 1), (1, 1)),
    ],
)
def moveaxis(x: TensorLike, source: Any, destination: Any, /) -> Tensor:
    """Move axes to other positions; the rest keep their order.

    Args:
        x: a tensor.
        source: an axis or a tuple of axes.
        destination: where each of them goes.

    Raises:
        ShapeError: an axis is out of range or named twice, or the two numbers of axes differ.

    >>> import minigrad as mg
    >>> mg.moveaxis(mg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    from_axes, to_axes = axis_argument(source), axis_argument(destination)
    return bind(moveaxis, x, source=from_axes, destination=to_axes)


@moveaxis.kernel
def _(xp: Any, x: Array, *, source: Any, destination: Any) -> Any:
    return xp.moveaxis(x, source, destination)


@moveaxis.lowering
def _(b: Any, x: Any, *, source: Any, destination: Any) -> Any:
    return b.transpose(x, _moved(x.rank, source, destination))


@moveaxis.shape
def _(x: Spec, *, source: Any, destination: Any) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    order = _moved(len(x.shape), source, destination)
    return Spec(tuple(x.shape[i] for i in order), x.dtype)


def _moved(rank: int, source: Any, destination: Any) -> list[int]:
    """The order of the axes once `source` has moved to `destination`."""
    from_axes, to_axes = normalize_axes(source, rank), normalize_axes(destination, rank)
    if len(from_axes) != len(to_axes):
        raise ShapeError(f"source {source} and destination {destination} need as many axes each")
    order = [i for i in range(rank) if i not in from_axes]
    for to, start in sorted(zip(to_axes, from_axes, strict=True)):
        order.insert(to, start)
    return order


@moveaxis.gradient()
def _(c: Ctx) -> Grads:
    return moveaxis(c.grads[0], c.attrs.destination, c.attrs.source)


@primitive(
    "ReverseV2",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=-1),
        Sample(rng.normal(size=(2, 1, 3)), axis=(0, 2)),
        Sample(np.arange(3), axis=0),
    ],
    errors=[Fails(ShapeError, "out of range", np.ones(2), axis=1)],
)
def flip(x: TensorLike, /, *, axis: int | Sequence[int] | None = None) -> Tensor:
    """Reverse the order of the elements along axes; None means all.

    Raises:
        ShapeError: an axis is out of range or named twice.

    >>> import minigrad as mg
    >>> mg.flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    return bind(flip, x, axis=axis_argument(axis))


@flip.kernel
def _(xp: Any, x: Array, *, axis: Any) -> Any:
    return xp.flip(x, axis=axis)


@flip.lowering
def _(b: Any, x: Any, *, axis: Any) -> Any:
    axes = normalize_axes(axis, x.rank)
    starts = [n - 1 if i in axes else 0 for i, n in enumerate(x.shape)]
    return b.slice(x, starts, [-1 if i in axes else 1 for i in range(x.rank)], x.shape)


@flip.shape
def _(x: Spec, *, axis: Any) -> Spec:
    if x.shape is not None:
        normalize_axes(axis, len(x.shape))
    return Spec(x.shape, x.dtype)


@flip.gradient()
def _(c: Ctx) -> Grads:
    return flip(c.grads[0], axis=c.attrs.axis)


@primitive(
    "Roll",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), 1).named("flattened"),
        Sample(rng.normal(size=(2, 3)), -2, axis=1),
        Sample(rng.normal(size=(2, 3)), (1, 4), axis=(0, -1)),
        Sample(rng.normal(size=(2, 3)), 1, axis=(0, 1)),
        Sample(rng.normal(size=(0, 3)), 1, axis=0).named("empty"),
        Sample(rng.normal(size=(2, 3)), np.array([1, -1]), axis=(0, 1)).named("tensor"),
        Sample(rng.normal(size=(2, 3)), np.array(2, np.uint8)).named("unsigned"),
    ],
    promote=(0,),
    errors=[
        Fails(ArgumentTypeError, "shift must", np.ones(2), 1.5),
        Fails(ShapeError, "out of range", np.ones(2), 1, axis=1),
        Fails(ShapeError, "one axis each", np.ones((2, 3)), (1, 2), axis=0),
        Fails(ShapeError, "one axis each", np.ones((2, 3)), (1, 2)),
    ],
)
def roll(x: TensorLike, /, shift: Any, *, axis: int | Sequence[int] | None = None) -> Tensor:
    """Shift elements along axes; those that leave at one end come back at the other.

    Args:
        x: a tensor.
        shift: by how many places, to higher indices: an integer for all axes, or one for each;
            also as a tensor.
        axis: the axes; None shifts the flattened tensor.

    Raises:
        ShapeError: an axis is out of range, or the shifts do not match the axes.
        ArgumentTypeError: a shift is no integer.

    >>> import minigrad as mg
    >>> mg.roll([1, 2, 3], 1).tolist()
    [3, 1, 2]
    """
    shifts, given = sizes_argument(shift, "shift")
    return bind(roll, x, given, shifts=shifts, axis=axis_argument(axis))


def _check_shifts(shifts: Shape, axis: Any) -> None:
    """Raise `ShapeError` unless there is one shift for all axes, or one for each."""
    if shifts is not None and len(shifts) != 1:
        if not isinstance(axis, tuple) or len(axis) != len(shifts):
            raise ShapeError(f"shifts {show(shifts)} need one axis each, got axis={axis}")


@roll.kernel
def _(xp: Any, x: Array, given: Any = None, *, shifts: Sizes | None, axis: Any) -> Any:
    actual = actual_sizes(shifts, given, "shift")
    _check_shifts(actual, axis)
    return xp.roll(x, actual[0] if len(actual) == 1 else actual, axis=axis)


@roll.lowering
def _(b: Any, x: Any, given: Any = None, *, shifts: Sizes | None, axis: Any) -> Any:
    if shifts is None and given.constant is None:
        return NotImplemented
    actual = actual_sizes(shifts, None if given is None else given.constant, "shift")
    rolled = b.reshape(x, (x.size,)) if axis is None else x
    axes = (0,) if axis is None else normalize_axes(axis, x.rank)
    for at, shift in zip(axes, actual * len(axes) if len(actual) == 1 else actual, strict=True):
        rolled = _rolled(b, rolled, at, shift)
    return b.reshape(rolled, x.shape)


def _rolled(b: Any, x: Any, axis: int, shift: int) -> Any:
    """In a plan, `x` rolled along one axis."""
    if not x.size:
        return x
    cut = -shift % x.shape[axis]
    parts = []
    for start, stop in ((cut, x.shape[axis]), (0, cut)):
        starts = [start if i == axis else 0 for i in range(x.rank)]
        shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
        parts.append(b.slice(x, starts, [1] * x.rank, shape))
    return b.concat(parts, axis)


@roll.shape
def _(x: Spec, given: Spec | None, *, shifts: Sizes | None, axis: Any) -> Spec:
    _check_shifts(static_sizes(shifts, given, "shift"), axis)
    if x.shape is not None:
        normalize_axes(axis, len(x.shape))
    return Spec(x.shape, x.dtype)


@roll.gradient(saves=("given",))
def _(c: Ctx) -> Grads:
    given = c.inputs[1]
    if given is None:
        back: Any = tuple(-s for s in c.attrs.shifts)
    else:
        back = negative(astype(given, int64))
    return roll(c.grads[0], back, axis=c.attrs.axis), None

"""Picking elements along an axis, each lane by indices of its own, and adding them back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, int64
from minigrad.errors import DTypeError, IndexOutOfRangeError, ShapeError
from minigrad.ops.index_plans import checked_index
from minigrad.ops.reducing import array_dtype
from minigrad.shapes import Shape, Spec, axis_argument_int, broadcast, normalize_axis, show

__all__ = ["take_along_axis"]

#: Up to this length of the axis a plan compares every index with the one wanted, in passing.
LONGEST_PICKED = 4096


@primitive(
    "TakeAlongAxis",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.array([[2, 0], [1, 1]])),
        Sample(rng.normal(size=(3, 2)), np.array([[2, -1], [0, 0]], np.int32), axis=0),
        Sample(rng.normal(size=(2, 3)), np.array([[1]])).named("indices broadcast"),
        Sample(rng.normal(size=(1, 3)), np.array([[2, 0], [1, 1]])).named("x broadcasts"),
        Sample(rng.normal(size=(3,)), np.zeros((0,), np.int64)).named("nothing taken"),
        Sample(np.array([1, 2]), np.array([1, 1, 0])),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "size 3", np.ones(3), np.array([3])),
        Fails(ShapeError, "same rank", np.ones((2, 3)), np.array([1])),
        Fails(ShapeError, "do not broadcast", np.ones((2, 3)), np.zeros((3, 1), np.int64)),
        Fails(ShapeError, "out of range", np.ones(3), np.array([1]), axis=1),
        Fails(DTypeError, "integer", np.ones(3), np.array([1.0])),
    ],
)
def take_along_axis(x: TensorLike, indices: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Elements of each lane along an axis, picked by the indices in the same lane.

    Args:
        x: a tensor.
        indices: integers, as many axes as `x`; but for `axis` the shapes broadcast. Negative
            ones count from the end.
        axis: the axis.

    Returns:
        A tensor of the dtype of `x` and the shape that the two broadcast to, with the size of
        `indices` along `axis`.

    Raises:
        ShapeError: the ranks differ or the shapes do not broadcast.
        IndexOutOfRangeError: an index is outside the axis.
        DTypeError: the indices are no integers.

    >>> import minigrad as mg
    >>> x = mg.asarray([[3.0, 1.0, 2.0]])
    >>> mg.take_along_axis(x, mg.argsort(x)).tolist()
    [[1.0, 2.0, 3.0]]
    """
    return bind(take_along_axis, x, indices, axis=axis_argument_int(axis))


def _require_integers(dtype: DType) -> None:
    if not dtype.is_integer:
        raise DTypeError(f"indices must be of an integer dtype, got {dtype}")


def _taken_shape(x: Shape, indices: Shape, axis: int) -> Shape:
    if x is None or indices is None:
        known = x if indices is None else indices
        if known is None:
            return None
        normalize_axis(axis, len(known))
        return (None,) * len(known)
    if len(x) != len(indices):
        raise ShapeError(
            f"x and indices must have the same rank, got shapes {show(x)} and {show(indices)}"
        )
    i = normalize_axis(axis, len(x))
    lanes = broadcast((*x[:i], 1, *x[i + 1 :]), (*indices[:i], 1, *indices[i + 1 :]))
    if lanes is None:
        return None
    return (*lanes[:i], indices[i], *lanes[i + 1 :])


def _positions(xp: Any, indices: Array, shape: tuple[int, ...], axis: int) -> tuple[Array, ...]:
    """Index arrays, one an axis of an array of this shape, that broadcast to what is taken."""
    _require_integers(array_dtype(indices))
    _taken_shape(shape, indices.shape, axis)
    axis = normalize_axis(axis, len(shape))
    if xp is np and indices.size:
        _require_range(indices.min(), indices.max(), shape[axis], axis)
    rank, picked = len(shape), xp.asarray(indices, dtype=int64.dtype)
    return tuple(
        picked if i == axis else xp.reshape(xp.arange(n), (1,) * i + (n,) + (1,) * (rank - 1 - i))
        for i, n in enumerate(shape)
    )


def _require_range(low: int, high: int, length: int | None, axis: int) -> None:
    if length is not None and (low < -length or high >= length):
        raise IndexOutOfRangeError(
            f"index {high if high >= length else low} is out of range for axis {axis} of size "
            f"{length}; it must lie in [{-length}, {length})"
        )


def _require_known_range(indices: Spec, shape: Shape, axis: int) -> None:
    """Check the indices while the graph is built, where they are known then."""
    if isinstance(indices.value, tuple) and shape is not None:
        known = [v for v in indices.value if v is not None]
        if known:
            i = normalize_axis(axis, len(shape))
            _require_range(min(known), max(known), shape[i], i)


@take_along_axis.kernel
def _(xp: Any, x: Array, indices: Array, *, axis: int) -> Array:
    return x[_positions(xp, indices, x.shape, axis)]


@take_along_axis.lowering
def _(b: Any, x: Any, indices: Any, *, axis: int) -> Any:
    at = normalize_axis(axis, x.rank)
    chosen = _chosen(b, indices, x, at)
    if chosen is None:
        if not x.size or not indices.size:
            return NotImplemented
        return b.gather(b.reshape(x, (x.size,)), _numbers(b, indices, x.shape, at), 0)
    picked = b.map("Select", chosen, x, b.constant(0, x.dtype))
    return b.reduce("any" if x.dtype == bool else "sum", picked, [at], keepdims=True)


def _numbers(b: Any, indices: Any, shape: tuple[int, ...], axis: int) -> Any:
    """In a plan, of what indices along an axis point to, the places among all elements."""
    strides = b.strides(shape)
    numbers = b.map("Mul", checked_index(b, indices, shape[axis], wraps=True), strides[axis])
    for i, n in enumerate(shape):
        if i != axis and n != 1:
            line = np.arange(n) * strides[i]
            line = line.reshape((-1,) + (1,) * (len(shape) - 1 - i))
            numbers = b.map("Add", numbers, b.constant(line))
    return numbers


def _chosen(b: Any, indices: Any, like: Any, axis: int) -> Any:
    """In a plan, where along the axis the one index of each lane points to; None: not in a plan."""
    length = like.shape[axis]
    if indices.shape[axis] != 1 or not like.size or length > LONGEST_PICKED:
        return None
    places = checked_index(b, indices, length, wraps=True)
    # As wide as the elements beside them, which is what native code compares fastest. Those that
    # are out of range may become anything.
    places = b.cast(places, np.dtype(np.int64 if like.dtype.itemsize == 8 else np.int32))
    return b.map("Equal", places, b.iota(like.shape, axis, places.dtype))


@take_along_axis.shape
def _(x: Spec, indices: Spec, *, axis: int) -> Spec:
    _require_integers(indices.dtype)
    shape = _taken_shape(x.shape, indices.shape, axis)
    _require_known_range(indices, x.shape, axis)
    return Spec(shape, x.dtype)


@take_along_axis.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    x, indices = c.inputs
    return add_along_axis(c.grads[0], indices, x, axis=c.attrs.axis), None


@primitive(
    "AddAlongAxis",
    accepts="numeric",
    promote=(0,),
    shape_only=(2,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2)), np.array([[2, 0], [1, 1]]), np.zeros((2, 3))).fixed(2),
        Sample(rng.normal(size=(2, 2)), np.array([[2, -1], [0, 0]]), np.ones((3, 2)), axis=0).fixed(
            2
        ),
        Sample(rng.normal(size=(2, 1)), np.array([[1]]), np.zeros((2, 3))).fixed(2),
        Sample(rng.normal(size=(2, 2)), np.array([[2, 0], [1, 1]]), np.zeros((1, 3))).fixed(2),
        Sample(np.ones(0), np.zeros((0,), np.int64), np.zeros(3)).fixed(2).named("nothing"),
        Sample(np.array([1, 2]), np.array([1, 1]), np.zeros(2)).fixed(2),
        Sample(np.array([1, 2], np.float16), np.array([1, 1]), np.zeros(2)).fixed(2),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "size 3", np.ones(1), np.array([3]), np.ones(3)),
        Fails(ShapeError, "same rank", np.ones(1), np.array([1]), np.ones((2, 3))),
        Fails(ShapeError, r"\(3,\)", np.ones(3), np.array([1]), np.ones(2)),
        Fails(DTypeError, "integer", np.ones(1), np.array([1.0]), np.ones(3)),
    ],
)
def add_along_axis(
    values: TensorLike, indices: TensorLike, like: TensorLike, /, *, axis: int = -1
) -> Tensor:
    """Add values into zeros of the shape of `like`: the adjoint of `take_along_axis`.

    Args:
        values: what to add; of the shape of ``take_along_axis(like, indices)``.
        indices: where to along the axis, for each lane; several may be the same.
        like: a tensor of the shape of the result; its values are not read.
        axis: the axis.

    Returns:
        A tensor of the shape of `like` and the dtype of `values`.

    Raises:
        ShapeError: the shapes do not belong together.
        IndexOutOfRangeError: an index is outside the axis.
        DTypeError: the indices are no integers.

    >>> import minigrad as mg
    >>> from minigrad.ops.along_axis import add_along_axis
    >>> add_along_axis([1.0, 2.0, 3.0], [0, 2, 2], mg.zeros(3)).tolist()
    [1.0, 0.0, 5.0]
    """
    return bind(add_along_axis, values, indices, like, axis=axis_argument_int(axis))


@add_along_axis.kernel
def _(xp: Any, values: Array, indices: Array, like: Array, *, axis: int) -> Array:
    where = _positions(xp, indices, like.shape, axis)
    _require_taken(values.shape, like.shape, indices.shape, axis)
    if xp is np:
        return _added(values, where, like.shape)
    added: Array = xp.zeros(like.shape, dtype=values.dtype).at[where].add(values)
    return added


@add_along_axis.lowering
def _(b: Any, values: Any, indices: Any, like: Any, *, axis: int) -> Any:
    at = normalize_axis(axis, like.rank)
    chosen = None
    if values.shape == (*like.shape[:at], 1, *like.shape[at + 1 :]):
        chosen = _chosen(b, indices, like, at)
    if chosen is None:
        if not values.size or not indices.size:
            return b.full(like.shape, 0, values.dtype) if not values.size else NotImplemented
        numbers = b.broadcast(_numbers(b, indices, like.shape, at), values.shape)
        numbers, flat = [b.reshape(v, (values.size,)) for v in (numbers, values)]
        total = b.scatter_add(flat, numbers, 0, math.prod(like.shape))
        return b.reshape(total, like.shape)
    return b.map("Select", chosen, values, b.constant(0, values.dtype))


def _added(values: Array, where: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    total = np.zeros(shape, values.dtype)
    if values.dtype.kind != "f" or not total.size:
        np.add.at(total, where, values)
        return total
    # bincount adds in float64, and several times as fast as add.at.
    wrapped = [np.where(i < 0, i + n, i) for i, n in zip(where, shape, strict=True)]
    flat = np.ravel_multi_index(np.broadcast_arrays(*wrapped), shape).ravel()
    counted = np.bincount(flat, values.ravel(), total.size)
    return counted.reshape(shape).astype(values.dtype, copy=False)


def _require_taken(values: Shape, like: Shape, indices: Shape, axis: int) -> None:
    want = _taken_shape(like, indices, axis)
    if values is None or want is None:
        return
    same = len(values) == len(want)
    if not same or any(a != b for a, b in zip(values, want, strict=True) if None not in (a, b)):
        raise ShapeError(
            f"the values must have shape {show(want)}, which is taken from {show(like)} by "
            f"indices of shape {show(indices)}, got {show(values)}"
        )


@add_along_axis.shape
def _(values: Spec, indices: Spec, like: Spec, *, axis: int) -> Spec:
    _require_integers(indices.dtype)
    _require_taken(values.shape, like.shape, indices.shape, axis)
    _require_known_range(indices, like.shape, axis)
    return Spec(like.shape, values.dtype)


@add_along_axis.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    _values, indices, _like = c.inputs
    return take_along_axis(c.grads[0], indices, axis=c.attrs.axis), None, None

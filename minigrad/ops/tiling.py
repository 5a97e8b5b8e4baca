"""Ops that repeat a tensor or its elements, and the sums over the repetitions, their adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.manipulation import reshape
from minigrad.ops.scatter_kernels import add_rows, sum_axes, zero_rows
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    not_negative,
    sizes_argument,
    static_sizes,
)
from minigrad.shapes import (
    Dim,
    Shape,
    Spec,
    axis_argument_int,
    compatible,
    normalize_axis,
    show,
)

__all__ = ["repeat", "tile"]

# -- tile --------------------------------------------------------------------------------------


@primitive(
    "Tile",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), (2, 1)),
        Sample(rng.normal(size=(2, 1)), 3).named("fewer repetitions than axes"),
        Sample(rng.normal(size=(2,)), (2, 1, 2)).named("more repetitions than axes"),
        Sample(rng.normal(size=(2,)), 0).named("no repetition"),
        Sample(rng.normal(size=()), (2, 2)).named("scalar"),
        Sample(rng.normal(size=(0, 2)), (2, 2)).named("empty"),
        Sample(rng.normal(size=(2,)), np.array([2])).named("repetitions as an array"),
    ],
    errors=[Fails(ShapeError, "negative", np.ones(2), -1)],
)
def tile(x: TensorLike, repetitions: Any, /) -> Tensor:
    """Repeat a tensor as a whole along its axes.

    Args:
        x: a tensor.
        repetitions: how often along each axis: an int, a sequence of ints and scalar integer
            tensors, or an integer tensor. As in NumPy, fewer than `x` has axes count for the
            last axes; for more, `x` gets new axes in front.

    Raises:
        ShapeError: a number is negative.

    >>> import minigrad as mg
    >>> mg.tile([1, 2], (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    sizes, given = sizes_argument(repetitions, "repetitions")
    return bind(tile, x, given, sizes=sizes)


@tile.kernel
def _(xp: Any, x: Any, repetitions: Any = None, *, sizes: Sizes | None) -> Any:
    times = actual_sizes(sizes, repetitions, "repetitions")
    not_negative(times, "repetitions")
    return xp.tile(x, times)


@tile.lowering
def _(b: Any, x: Any, repetitions: Any = None, *, sizes: Sizes | None) -> Any:
    if repetitions is not None and repetitions.constant is None:
        return NotImplemented
    times = actual_sizes(sizes, None if repetitions is None else repetitions.constant)
    pairs, final = _tile_pairs(x.shape, times), _tiled(x.shape, times)
    apart = b.reshape(x, [1 if i % 2 == 0 else d for i, d in enumerate(pairs)])
    return b.reshape(b.broadcast(apart, pairs), final)


@tile.shape
def _(x: Spec, repetitions: Spec | None, *, sizes: Sizes | None) -> Spec:
    return Spec(_tiled(x.shape, static_sizes(sizes, repetitions, "repetitions")), x.dtype)


def _tiled(shape: Shape, times: Shape) -> Shape:
    not_negative(times, "repetitions")
    if shape is None or times is None:
        return None
    rank = max(len(shape), len(times))
    long = (1,) * (rank - len(shape)) + shape
    often = (1,) * (rank - len(times)) + times
    return tuple([_product(d, t) for d, t in zip(long, often, strict=True)])


def _tile_pairs(shape: Sizes, times: Sizes) -> Sizes:
    """The shape of the tiled tensor with every axis split into repetitions and length."""
    rank = max(len(shape), len(times))
    long = (1,) * (rank - len(shape)) + shape
    often = (1,) * (rank - len(times)) + times
    return tuple([d for pair in zip(often, long, strict=True) for d in pair])


def _product(a: Dim, b: Dim) -> Dim:
    if a == 0 or b == 0:
        return 0
    return None if a is None or b is None else a * b


@tile.gradient(saves=("repetitions",))
def _(c: Ctx) -> Grads:
    x, repetitions = c.inputs
    return bind(tile_sum, c.grads[0], x, repetitions, sizes=c.attrs.sizes), None


@primitive(
    "TileGrad",
    promote=(0,),
    shape_only=(1,),
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3)), np.zeros((2, 3)), (2, 1)).fixed(1),
        Sample(rng.normal(size=(2, 4)), np.zeros((2,)), (2, 2)).fixed(1),
        Sample(rng.normal(size=(0,)), np.zeros((2,)), 0).fixed(1).named("no repetition"),
        Sample(rng.normal(size=(0, 4)), np.zeros((0, 2)), (1, 2)).fixed(1).named("empty"),
    ],
    errors=[Fails(ShapeError, r"expected shape \(4,\)", np.ones(3), np.ones(2), 2)],
)
def tile_sum(x: TensorLike, like: TensorLike, repetitions: Any, /) -> Tensor:
    """Sum the repetitions that `tile` makes of `like`: the adjoint of `tile`.

    Args:
        x: a tensor of the shape of ``tile(like, repetitions)``.
        like: the tensor whose shape the result has; its values are not read.
        repetitions: as for `tile`.

    Raises:
        ShapeError: `x` does not have that shape.

    >>> import minigrad as mg
    >>> from minigrad.ops.tiling import tile_sum
    >>> tile_sum([1, 2, 10, 20], mg.zeros(2), 2).tolist()
    [11, 22]
    """
    sizes, given = sizes_argument(repetitions, "repetitions")
    return bind(tile_sum, x, like, given, sizes=sizes)


def _check_tiled(shape: Shape, like: Shape, times: Shape) -> None:
    wanted = _tiled(like, times)
    if not compatible(shape, wanted):
        raise ShapeError(
            f"expected shape {show(wanted)}, that of a tensor of shape {show(like)} repeated "
            f"{show(times)} times, got {show(shape)}"
        )


@tile_sum.kernel
def _(xp: Any, x: Any, like: Any, repetitions: Any = None, *, sizes: Sizes | None) -> Any:
    times = actual_sizes(sizes, repetitions, "repetitions")
    _check_tiled(x.shape, like.shape, times)
    pairs = _tile_pairs(like.shape, times)
    total = sum_axes(xp, xp.reshape(x, pairs), tuple(range(0, len(pairs), 2)))
    return xp.reshape(total, like.shape)


@tile_sum.lowering
def _(b: Any, x: Any, like: Any, repetitions: Any = None, *, sizes: Sizes | None) -> Any:
    if repetitions is not None and repetitions.constant is None:
        return NotImplemented
    times = actual_sizes(sizes, None if repetitions is None else repetitions.constant)
    pairs = _tile_pairs(like.shape, times)
    return b.reshape(b.reduce("sum", b.reshape(x, pairs), range(0, len(pairs), 2)), like.shape)


@tile_sum.shape
def _(x: Spec, like: Spec, repetitions: Spec | None, *, sizes: Sizes | None) -> Spec:
    _check_tiled(x.shape, like.shape, static_sizes(sizes, repetitions, "repetitions"))
    return Spec(like.shape, x.dtype)


@tile_sum.gradient(saves=("repetitions",))
def _(c: Ctx) -> Grads:
    return bind(tile, c.grads[0], c.inputs[2], sizes=c.attrs.sizes), None, None


# -- repeat ------------------------------------------------------------------------------------


@primitive(
    "Repeat",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), 2, axis=0),
        Sample(rng.normal(size=(2, 3)), [2, 0, 1], axis=-1).named("counts"),
        Sample(rng.normal(size=(2, 2)), 2).named("flattened"),
        Sample(rng.normal(size=(2,)), 0).named("no repetition"),
        Sample(rng.normal(size=(0, 2)), 3, axis=0).named("empty"),
        Sample(np.arange(3), np.array([1, 2, 0])),
    ],
    errors=[
        Fails(ShapeError, "negative", np.ones(2), -1),
        Fails(ShapeError, "2 counts .* length 3", np.ones(3), [1, 2]),
        Fails(ShapeError, "out of range", np.ones(3), 2, axis=1),
    ],
)
def repeat(x: TensorLike, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Repeat each element along an axis.

    Args:
        x: a tensor.
        repeats: how often: an int for all elements, or a sequence or integer tensor of one count
            for each index of the axis.
        axis: the axis; None repeats the elements of the flattened tensor.

    Raises:
        ShapeError: a count is negative, or there are not as many counts as elements.

    >>> import minigrad as mg
    >>> mg.repeat([1, 2, 3], [2, 0, 1]).tolist()
    [1, 1, 3]
    """
    sizes, given = sizes_argument(repeats, "repeats")
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    return bind(repeat, x, given, sizes=sizes, axis=axis_argument_int(axis))


def _counts(length: Dim, counts: Shape) -> Shape:
    """One count for each index, as far as known. Raises `ShapeError` where they do not fit."""
    not_negative(counts, "repeats")
    if counts is None or length is None:
        return counts if counts is None or len(counts) > 1 else None
    if len(counts) == 1:
        return counts * length
    if len(counts) != length:
        raise ShapeError(f"{len(counts)} counts do not fit an axis of length {length}")
    return counts


def _repeated(shape: Shape, axis: int, counts: Shape) -> Shape:
    if shape is None:
        not_negative(counts, "repeats")
        return None
    at = normalize_axis(axis, len(shape))
    total: Dim = 0
    for n in _counts(shape[at], counts) or (None,):
        total = None if total is None or n is None else total + n
    if shape[at] == 0 or counts == (0,):
        total = 0
    return (*shape[:at], total, *shape[at + 1 :])


@repeat.kernel
def _(xp: Any, x: Any, repeats: Any = None, *, sizes: Sizes | None, axis: int) -> Any:
    counts = actual_sizes(sizes, repeats, "repeats")
    _counts(x.shape[normalize_axis(axis, x.ndim)], counts)
    if len(counts) == 1:
        return xp.repeat(x, counts[0], axis=axis)
    return xp.repeat(x, np.asarray(counts, np.int64), axis=axis)


@repeat.lowering
def _(b: Any, x: Any, repeats: Any = None, *, sizes: Sizes | None, axis: int) -> Any:
    if sizes is None and repeats.constant is None:
        return NotImplemented
    sizes = actual_sizes(sizes, None if repeats is None else repeats.constant)
    at = normalize_axis(axis, x.rank) + 1
    if len(sizes) != 1:
        owners = np.repeat(np.arange(len(sizes)), sizes)
        return b.gather(x, b.constant(owners), at - 1) if x.size else NotImplemented
    wide = (*x.shape[:at], sizes[0], *x.shape[at:])
    return b.reshape(b.broadcast(b.expand(x, [at]), wide), _repeated(x.shape, axis, sizes))


@repeat.shape
def _(x: Spec, repeats: Spec | None, *, sizes: Sizes | None, axis: int) -> Spec:
    return Spec(_repeated(x.shape, axis, static_sizes(sizes, repeats, "repeats")), x.dtype)


@repeat.gradient(saves=("repeats",))
def _(c: Ctx) -> Grads:
    x, repeats = c.inputs
    a = c.attrs
    return bind(repeat_sum, c.grads[0], x, repeats, sizes=a.sizes, axis=a.axis), None


@primitive(
    "RepeatGrad",
    promote=(0,),
    shape_only=(1,),
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 2)), np.zeros((2, 2)), 2, axis=0).fixed(1),
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 3)), [2, 0, 1], axis=-1).fixed(1),
        Sample(rng.normal(size=(0,)), np.zeros((2,)), 0, axis=0).fixed(1).named("no repetition"),
        Sample(rng.normal(size=(0, 2)), np.zeros((0, 2)), 3, axis=0).fixed(1).named("empty"),
    ],
    errors=[Fails(ShapeError, r"expected shape \(4,\)", np.ones(3), np.ones(2), 2, axis=0)],
)
def repeat_sum(x: TensorLike, like: TensorLike, repeats: Any, /, *, axis: int) -> Tensor:
    """Sum the repetitions that `repeat` makes of `like`: the adjoint of `repeat`.

    Args:
        x: a tensor of the shape of ``repeat(like, repeats, axis=axis)``.
        like: the tensor whose shape the result has; its values are not read.
        repeats: as for `repeat`.
        axis: the axis.

    Raises:
        ShapeError: `x` does not have that shape.

    >>> import minigrad as mg
    >>> from minigrad.ops.tiling import repeat_sum
    >>> repeat_sum([1, 2, 30], mg.zeros(2), [2, 1], axis=0).tolist()
    [3, 30]
    """
    sizes, given = sizes_argument(repeats, "repeats")
    return bind(repeat_sum, x, like, given, sizes=sizes, axis=axis_argument_int(axis))


def _check_repeated(shape: Shape, like: Shape, axis: int, counts: Shape) -> None:
    wanted = _repeated(like, axis, counts)
    if not compatible(shape, wanted):
        raise ShapeError(
            f"expected shape {show(wanted)}, that of a tensor of shape {show(like)} with its "
            f"elements repeated {show(counts)} times along axis {axis}, got {show(shape)}"
        )


@repeat_sum.kernel
def _(xp: Any, x: Any, like: Any, repeats: Any = None, *, sizes: Sizes | None, axis: int) -> Any:
    counts = actual_sizes(sizes, repeats, "repeats")
    _check_repeated(x.shape, like.shape, axis, counts)
    at = normalize_axis(axis, like.ndim)
    length = like.shape[at]
    if len(counts) == 1:
        split = (*like.shape[: at + 1], counts[0], *like.shape[at + 1 :])
        return sum_axes(xp, xp.reshape(x, split), at + 1)
    rest = (*like.shape[:at], *like.shape[at + 1 :])
    width = int(np.prod(rest, dtype=np.int64))
    rows = xp.reshape(xp.moveaxis(x, at, 0), (x.shape[at], width))
    owners = np.repeat(np.arange(length), np.asarray(counts, np.int64))
    total = add_rows(xp, zero_rows(xp, length, width, x.dtype), owners, rows)
    return xp.moveaxis(xp.reshape(total, (length, *rest)), 0, at)


@repeat_sum.lowering
def _(b: Any, x: Any, like: Any, repeats: Any = None, *, sizes: Sizes | None, axis: int) -> Any:
    if sizes is None and repeats.constant is None:
        return NotImplemented
    sizes = actual_sizes(sizes, None if repeats is None else repeats.constant)
    at = normalize_axis(axis, like.rank) + 1
    if len(sizes) != 1:
        owners = b.constant(np.repeat(np.arange(len(sizes)), sizes))
        return b.scatter_add(x, owners, at - 1, len(sizes)) if x.size else NotImplemented
    return b.reduce("sum", b.reshape(x, (*like.shape[:at], sizes[0], *like.shape[at:])), [at])


@repeat_sum.shape
def _(x: Spec, like: Spec, repeats: Spec | None, *, sizes: Sizes | None, axis: int) -> Spec:
    _check_repeated(x.shape, like.shape, axis, static_sizes(sizes, repeats, "repeats"))
    return Spec(like.shape, x.dtype)


@repeat_sum.gradient(saves=("repeats",))
def _(c: Ctx) -> Grads:
    a = c.attrs
    return bind(repeat, c.grads[0], c.inputs[2], sizes=a.sizes, axis=a.axis), None, None

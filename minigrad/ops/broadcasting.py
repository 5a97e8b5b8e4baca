"""Ops that add, drop and stretch dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from minigrad.core.bind import bind, bind_all, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.manipulation import reshape
from minigrad.ops.shaping import reshape_like, sum_to_like
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    known_elements,
    not_negative,
    sizes_argument,
    static_sizes,
    with_elements,
)
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument,
    broadcast,
    normalize_axes,
    show,
)

__all__ = ["broadcast_arrays", "broadcast_to", "expand_dims", "meshgrid", "squeeze"]


@primitive(
    "ExpandDims",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2,)), axis=-1),
        Sample(rng.normal(size=(2, 3)), axis=(0, -1)).named("two axes"),
        Sample(rng.normal(size=()), axis=0),
        Sample(np.arange(3), axis=1),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones(2), axis=2),
        Fails(ShapeError, "names a dimension twice", np.ones(2), axis=(0, -3)),
    ],
)
def expand_dims(x: TensorLike, /, axis: int | Sequence[int] = 0) -> Tensor:
    """Insert dimensions of length 1.

    Args:
        x: a tensor.
        axis: where they are in the result: an int or several.

    Raises:
        ShapeError: a position is out of range or named twice.

    >>> import minigrad as mg
    >>> mg.expand_dims([1, 2], axis=-1).tolist()
    [[1], [2]]
    """
    return bind(expand_dims, x, axis=axis_argument(axis))


@expand_dims.kernel
def _(xp: Any, x: Array, *, axis: Any) -> Any:
    return xp.reshape(x, _expanded(x.shape, axis))


@expand_dims.lowering
def _(b: Any, x: Any, *, axis: Any) -> Any:
    return b.reshape(x, _expanded(x.shape, axis))


def _expanded(shape: tuple[Any, ...], axis: int | tuple[int, ...]) -> tuple[Any, ...]:
    rank = len(shape) + (len(axis) if isinstance(axis, tuple) else 1)
    new = normalize_axes(axis, rank)
    old = iter(shape)
    return tuple([1 if i in new else next(old) for i in range(rank)])


@expand_dims.shape
def _(x: Spec, *, axis: Any) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    return with_elements(_expanded(x.shape, axis), x.dtype, known_elements(x))


@expand_dims.gradient()
def _(c: Ctx) -> Grads:
    return reshape_like(c.grads[0], c.inputs[0])


@primitive(
    "Squeeze",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3)), axis=0),
        Sample(rng.normal(size=(1, 3, 1)), axis=(0, -1)),
        Sample(rng.normal(size=(1, 3, 1))).named("all"),
        Sample(rng.normal(size=(1, 1)), axis=(0, 1)).named("to a scalar"),
    ],
    errors=[
        Fails(ShapeError, "length 3", np.ones((1, 3)), axis=1),
        Fails(ShapeError, "out of range", np.ones((1, 3)), axis=2),
    ],
)
def squeeze(x: TensorLike, /, axis: int | Sequence[int] | None = None) -> Tensor:
    """Drop dimensions of length 1.

    Args:
        x: a tensor.
        axis: which ones; None drops all of length 1 (in a graph the rank of the result is then
            known only if all of them are).

    Raises:
        ShapeError: a dimension named is not of length 1, or out of range.

    >>> import minigrad as mg
    >>> mg.squeeze([[1, 2]], axis=0).tolist()
    [1, 2]
    """
    return bind(squeeze, x, axis=axis_argument(axis))


@squeeze.kernel
def _(xp: Any, x: Array, *, axis: Any) -> Any:
    return xp.squeeze(x, axis=axis)


@squeeze.lowering
def _(b: Any, x: Any, *, axis: Any) -> Any:
    gone = range(x.rank) if axis is None else normalize_axes(axis, x.rank)
    return b.reshape(x, [n for i, n in enumerate(x.shape) if n != 1 or i not in gone])


@squeeze.shape
def _(x: Spec, *, axis: Any) -> Spec:
    if x.shape is None or (axis is None and None in x.shape):
        return Spec(None, x.dtype)
    if axis is None:
        shape: Shape = tuple(d for d in x.shape if d != 1)
    else:
        axes = normalize_axes(axis, len(x.shape))
        for i in axes:
            if x.shape[i] not in (1, None):
                raise ShapeError(
                    f"only a dimension of length 1 can be squeezed, but axis {i} of "
                    f"{show(x.shape)} has length {x.shape[i]}"
                )
        shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    return with_elements(shape, x.dtype, known_elements(x))


@squeeze.gradient()
def _(c: Ctx) -> Grads:
    return reshape_like(c.grads[0], c.inputs[0])


# -- broadcasting ------------------------------------------------------------------------------


@primitive(
    "BroadcastTo",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3)), (2, 3)),
        Sample(rng.normal(size=(3,)), (2, 3)),
        Sample(rng.normal(size=()), 3).named("from a scalar"),
        Sample(rng.normal(size=(1, 3)), (0, 3)).named("to empty"),
        Sample(rng.normal(size=(2, 1)), np.array([2, 2])).named("shape as an array"),
    ],
    errors=[
        Fails(ShapeError, r"\(2,\) .*\(3,\)", np.ones(2), (3,)),
        Fails(ShapeError, r"\(2, 3\) .*\(3,\)", np.ones((2, 3)), (3,)),
        Fails(ShapeError, "negative", np.ones(2), (-1, 2)),
    ],
)
def broadcast_to(x: TensorLike, /, shape: Any) -> Tensor:
    """Broadcast to a shape, by NumPy's rule.

    Args:
        x: a tensor.
        shape: an int; a sequence of ints and scalar integer tensors; or an integer tensor.

    Raises:
        ShapeError: `x` does not broadcast to it.

    >>> import minigrad as mg
    >>> mg.broadcast_to([1, 2], (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    sizes, given = sizes_argument(shape)
    return bind(broadcast_to, x, given, sizes=sizes)


def _check_broadcast(shape: Shape, target: Shape) -> None:
    not_negative(target)
    if shape is None or target is None:
        return
    short = len(shape) > len(target)
    if not short:
        short = any(
            d is not None and d != 1 and t is not None and d != t
            for d, t in zip(shape[::-1], target[::-1], strict=False)
        )
    if short:
        raise ShapeError(f"shape {show(shape)} does not broadcast to {show(target)}")


@broadcast_to.kernel
def _(xp: Any, x: Array, target: Array | None = None, *, sizes: Sizes | None) -> Any:
    wanted = actual_sizes(sizes, target)
    if target is not None:
        _check_broadcast(x.shape, wanted)
    return xp.broadcast_to(x, wanted)


@broadcast_to.lowering
def _(b: Any, x: Any, target: Any = None, *, sizes: Sizes | None) -> Any:
    if target is not None and target.constant is None:
        return NotImplemented
    return b.broadcast(x, actual_sizes(sizes, None if target is None else target.constant))


@broadcast_to.shape
def _(x: Spec, target: Spec | None, *, sizes: Sizes | None) -> Spec:
    wanted = static_sizes(sizes, target)
    _check_broadcast(x.shape, wanted)
    return Spec(wanted, x.dtype)


@broadcast_to.gradient()
def _(c: Ctx) -> Grads:
    return sum_to_like(c.grads[0], c.inputs[0]), None


@primitive(
    "BroadcastArrays",
    outputs=None,
    promote=(),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 1)), rng.normal(size=(3,))),
        Sample(rng.normal(size=()), rng.normal(size=(2,)), np.arange(2)),
        Sample(rng.normal(size=(0, 1)), rng.normal(size=(2,))).named("to empty"),
    ],
    errors=[
        Fails(ShapeError, r"\(2,\) and \(3,\)", np.ones(2), np.ones(3)),
        Fails(ArgumentError, "at least one"),
    ],
)
def broadcast_arrays(*arrays: TensorLike) -> list[Tensor]:
    """Broadcast tensors against each other; each keeps its own dtype.

    Returns:
        A list of as many tensors, all of the broadcast shape.

    Raises:
        ShapeError: the shapes do not broadcast.
        ArgumentError: there are no tensors.

    >>> import minigrad as mg
    >>> [a.tolist() for a in mg.broadcast_arrays([1, 2], [[3], [4]])]
    [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if not arrays:
        raise ArgumentError("broadcast_arrays needs at least one tensor")
    return list(bind_all(broadcast_arrays, *arrays))


@broadcast_arrays.kernel
def _(xp: Any, *arrays: Array) -> Any:
    return tuple(xp.broadcast_arrays(*arrays))


@broadcast_arrays.lowering
def _(b: Any, *arrays: Any) -> Any:
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return tuple([b.broadcast(a, shape) for a in arrays])


@broadcast_arrays.shape
def _(*arrays: Spec) -> tuple[Spec, ...]:
    shape = broadcast(*[a.shape for a in arrays])
    return tuple(Spec(shape, a.dtype) for a in arrays)


@broadcast_arrays.gradient()
def _(c: Ctx) -> Grads:
    return [
        sum_to_like(g, x) if need else None
        for g, x, need in zip(c.grads, c.inputs, c.needs, strict=True)
    ]


@primitive(
    "Meshgrid",
    outputs=None,
    samples=lambda rng: [
        Sample(rng.normal(size=(2,)), rng.normal(size=(3,))),
        Sample(rng.normal(size=(2,)), rng.normal(size=(3,)), indexing="ij"),
        Sample(rng.normal(size=(2,)), rng.normal(size=(1,)), rng.normal(size=(2,))),
        Sample(rng.normal(size=(2,))).named("one vector"),
        Sample(rng.normal(size=(2,)), rng.normal(size=(0,))).named("empty"),
    ],
    errors=[
        Fails(ArgumentError, "'xy' or 'ij'", np.ones(2), indexing="yx"),
        Fails(ShapeError, r"\(2, 2\)", np.ones((2, 2))),
    ],
)
def meshgrid(*arrays: TensorLike, indexing: Literal["xy", "ij"] = "xy") -> list[Tensor]:
    """Coordinate tensors of a grid from a vector of coordinates for each axis.

    Args:
        arrays: vectors of lengths n₁, n₂, …
        indexing: ``"ij"`` gives tensors of shape (n₁, n₂, …); ``"xy"``, the default, swaps the
            first two axes: (n₂, n₁, …).

    Returns:
        A list of as many tensors, each of its vector's dtype.

    Raises:
        ShapeError: an argument is no vector.
        ArgumentError: `indexing` is something else, or there are no vectors.

    >>> import minigrad as mg
    >>> x, y = mg.meshgrid([1, 2], [3, 4, 5])
    >>> x.tolist(), y.tolist()
    ([[1, 2], [1, 2], [1, 2]], [[3, 3], [4, 4], [5, 5]])
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"indexing must be 'xy' or 'ij', got {indexing!r}")
    if not arrays:
        raise ArgumentError("meshgrid needs at least one vector")
    count = len(arrays)
    laid = []
    for i, array in enumerate(arrays):
        x = array if isinstance(array, Tensor | StateOwner) else tensor_of(array)
        shape: Shape = x.shape
        if shape is not None and len(shape) > 1:
            raise ShapeError(f"meshgrid takes vectors, got shape {show(shape)}")
        place = 1 - i if indexing == "xy" and i < 2 <= count else i
        laid.append(reshape(x, [-1 if k == place else 1 for k in range(count)]))
    return broadcast_arrays(*laid)

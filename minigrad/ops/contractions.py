"""Products along chosen axes: dot, outer, tensor and cross products."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.broadcasting import expand_dims, squeeze
from minigrad.ops.einsum import einsum
from minigrad.ops.elementwise import multiply
from minigrad.ops.manipulation import moveaxis, reshape
from minigrad.ops.products import matmul
from minigrad.ops.shaping import shape, sum_to_like
from minigrad.ops.signs import conj
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument_int,
    broadcast,
    normalize_axes,
    normalize_axis,
    show,
)

__all__ = ["kron", "outer", "tensordot", "vecdot"]


@primitive(
    "VecDot",
    samples=lambda rng: [
        Sample(rng.normal(size=3), rng.normal(size=3)),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3)).named("broadcast"),
        Sample(rng.normal(size=(3, 1)), rng.normal(size=(3, 2)), axis=-2),
        Sample(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), axis=0),
        Sample(np.arange(3), np.arange(3)).named("integers"),
    ],
    errors=[
        Fails(ShapeError, r"lengths 3 and 4 .*\(2, 3\) and \(4,\)", np.ones((2, 3)), np.ones(4)),
        Fails(ShapeError, "lengths 3 and 1", np.ones((2, 3)), np.ones((2, 1))),
        Fails(ShapeError, "negative axis", np.ones((2, 3)), np.ones(3), axis=1),
        Fails(ShapeError, "out of range", np.ones(3), np.ones(()), axis=-1),
    ],
)
def vecdot(x1: TensorLike, x2: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Dot products of the vectors along an axis; the other dimensions broadcast.

    Args:
        x1: numeric.
        x2: numeric; as long as `x1` along `axis`.
        axis: the axis of the vectors in both. Negative, unless both have the same rank.

    Returns:
        A tensor of the broadcast shape without `axis`.

    Raises:
        ShapeError: the vectors differ in length, or the other dimensions do not broadcast.

    Of complex numbers the first vectors are conjugated, as the array API has it.

    >>> import minigrad as mg
    >>> mg.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0]).tolist()
    [21.0, 43.0]
    """
    a, b, along = tensor_of(x1), tensor_of(x2), axis_argument_int(axis)
    ranks = [None if t.shape is None else len(t.shape) for t in (a, b)]
    if along >= 0 and (ranks[0] != ranks[1] or ranks[0] is None):
        raise ShapeError(
            f"vecdot needs a negative axis for shapes {show(a.shape)} and {show(b.shape)}, which "
            f"do not have the same known rank; got axis {along}"
        )
    lengths = [
        None if t.shape is None else t.shape[normalize_axis(along, len(t.shape))] for t in (a, b)
    ]
    if None not in lengths and lengths[0] != lengths[1]:
        raise ShapeError(
            f"vecdot needs vectors of one length along axis {along}, got the lengths {lengths[0]} "
            f"and {lengths[1]} in shapes {show(a.shape)} and {show(b.shape)}"
        )
    if a.dtype.is_complex:
        a = conj(a)
    if along != -1:
        a, b = moveaxis(a, along, -1), moveaxis(b, along, -1)
    rows, columns = expand_dims(a, axis=-2), expand_dims(b, axis=-1)
    return squeeze(matmul(rows, columns), axis=(-2, -1))


@primitive(
    "Outer",
    samples=lambda rng: [
        Sample(rng.normal(size=2), rng.normal(size=3)),
        Sample(np.arange(2), np.arange(3)).named("integers"),
        Sample(rng.normal(size=0), rng.normal(size=3)).named("empty"),
    ],
    errors=[Fails(ShapeError, "vectors", np.ones((2, 2)), np.ones(2))],
)
def outer(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The products of all elements of one vector with all of another.

    Args:
        x1: numeric, of shape ``(n,)``.
        x2: numeric, of shape ``(m,)``.

    Returns:
        A tensor of shape ``(n, m)``.

    Raises:
        ShapeError: an operand is not a vector (NumPy would flatten it).

    >>> import minigrad as mg
    >>> mg.outer([1.0, 2.0], [3.0, 4.0]).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    a, b = tensor_of(x1), tensor_of(x2)
    for t in (a, b):
        if t.shape is not None and len(t.shape) != 1:
            raise ShapeError(
                f"outer takes two vectors, got shapes {show(a.shape)} and {show(b.shape)}; "
                "mg.einsum or mg.tensordot(x1, x2, axes=0) multiply tensors of any rank"
            )
    return multiply(expand_dims(a, axis=1), expand_dims(b, axis=0))


@primitive(
    "Tensordot",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), axes=1),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), axes=2),
        Sample(rng.normal(size=2), rng.normal(size=(1, 3)), axes=0).named("outer"),
        Sample(rng.normal(size=(2, 3, 1)), rng.normal(size=(3, 2)), axes=((0, 1), (1, 0))),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), axes=((-1,), (0,))),
        Sample(np.arange(6).reshape(2, 3), np.arange(3), axes=1).named("integers"),
    ],
    errors=[
        Fails(ShapeError, "is 3 .* and 2", np.ones((2, 3)), np.ones((2, 3)), axes=1),
        Fails(ShapeError, "out of range", np.ones(2), np.ones(2), axes=((1,), (0,))),
        Fails(ShapeError, "twice", np.ones((2, 2)), np.ones((2, 2)), axes=((0, 0), (0, 1))),
        Fails(ArgumentError, "as many", np.ones((2, 2)), np.ones((2, 2)), axes=((0, 1), (0,))),
        Fails(ArgumentError, "negative", np.ones(2), np.ones(2), axes=-1),
        Fails(ShapeError, "2 axes", np.ones(2), np.ones(2), axes=2),
    ],
)
def tensordot(
    x1: TensorLike,
    x2: TensorLike,
    /,
    *,
    axes: int | Sequence[int] | Sequence[Sequence[int]] = 2,
) -> Tensor:
    """Sum of products over chosen axes of both tensors.

    Args:
        x1: numeric, of known rank.
        x2: numeric, of known rank.
        axes: how many axes to sum over, the last ones of `x1` with the first ones of `x2`; or a
            pair: the axes of `x1`, and those of `x2` they meet, each an int or a sequence.

    Returns:
        A tensor with the axes left of `x1`, then those of `x2`.

    Raises:
        ShapeError: axes that meet differ in size, one is out of range, or a rank is unknown.
        ArgumentError: the pair's two parts differ in length.

    >>> import minigrad as mg
    >>> mg.tensordot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]], axes=2).tolist()
    5.0
    """
    a, b = tensor_of(x1), tensor_of(x2)
    if a.shape is None or b.shape is None:
        raise ShapeError(
            f"tensordot needs known ranks, got shapes {show(a.shape)} and {show(b.shape)}; "
            "state one by mg.ensure_shape"
        )
    left, right = _tensordot_axes(axes, a.ndim, b.ndim)
    for i, j in zip(left, right, strict=True):
        if None not in (a.shape[i], b.shape[j]) and a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"shapes {show(a.shape)} and {show(b.shape)} do not fit: the size is {a.shape[i]} "
                f"along axis {i} of the first and {b.shape[j]} along axis {j} of the second"
            )
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    first = [next(letters) for _ in range(a.ndim)]
    second = [first[left[right.index(j)]] if j in right else next(letters) for j in range(b.ndim)]
    kept = [c for i, c in enumerate(first) if i not in left]
    kept += [c for j, c in enumerate(second) if j not in right]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", a, b)


def _tensordot_axes(axes: Any, rank1: int, rank2: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of both tensors that meet, counted from the front."""
    if isinstance(axes, Iterable):
        parts = [tuple(p) if isinstance(p, Iterable) else (p,) for p in axes]
        if len(parts) != 2 or len(parts[0]) != len(parts[1]):
            raise ArgumentError(
                "axes must be an int or a pair that names as many axes of the first tensor as of "
                f"the second, got {axes!r}"
            )
        return normalize_axes(parts[0], rank1), normalize_axes(parts[1], rank2)
    try:
        count = operator.index(axes)
    except TypeError as error:
        raise ArgumentTypeError(f"axes must be an int or a pair of axes, got {axes!r}") from error
    if count < 0:
        raise ArgumentError(f"the number of axes cannot be negative, got {count}")
    if count > min(rank1, rank2):
        raise ShapeError(
            f"tensors of rank {rank1} and {rank2} do not have {count} axes to sum over"
        )
    return tuple(range(rank1 - count, rank1)), tuple(range(count))


@primitive(
    "Kron",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 1)), rng.normal(size=(1, 3))),
        Sample(rng.normal(size=2), rng.normal(size=3)).named("vectors"),
        Sample(rng.normal(size=2), rng.normal(size=(2, 1))).named("different ranks"),
        Sample(rng.normal(size=()), rng.normal(size=2)).named("scalar"),
        Sample(np.eye(2, dtype=int), np.arange(2)).named("integers"),
    ],
    errors=[Fails(DTypeError, "bool", np.ones(2, bool), np.ones(2, bool))],
)
def kron(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Kronecker product: `x2` multiplied by each element of `x1`, as blocks.

    Args:
        x1: numeric, of known rank.
        x2: numeric, of known rank. The tensor of lower rank gets dimensions of 1 in front.

    Returns:
        A tensor whose dimensions are the products of those of `x1` and `x2`.

    Raises:
        ShapeError: a rank is unknown.

    >>> import minigrad as mg
    >>> mg.linalg.kron([[1.0, 10.0]], [[1.0, 2.0]]).tolist()
    [[1.0, 2.0, 10.0, 20.0]]
    """
    a, b = tensor_of(x1), tensor_of(x2)
    if a.shape is None or b.shape is None:
        raise ShapeError(
            f"kron needs known ranks, got shapes {show(a.shape)} and {show(b.shape)}; "
            "state one by mg.ensure_shape"
        )
    rank = max(a.ndim, b.ndim)
    if not rank:
        return multiply(a, b)
    a = expand_dims(a, axis=tuple(range(rank - a.ndim)))
    b = expand_dims(b, axis=tuple(range(rank - b.ndim)))
    blocks = multiply(
        expand_dims(a, axis=tuple(range(1, 2 * rank, 2))),
        expand_dims(b, axis=tuple(range(0, 2 * rank, 2))),
    )
    if a.spec.known() and b.spec.known():
        return reshape(blocks, tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))
    return reshape(blocks, multiply(shape(a), shape(b)))


@primitive(
    "Cross",
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=3), rng.normal(size=3)),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3)).named("broadcast"),
        Sample(rng.normal(size=(3, 2)), rng.normal(size=(3, 1)), axis=-2),
        Sample(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), axis=0),
        Sample(np.arange(3), np.arange(3)[::-1].copy()).named("integers"),
    ],
    errors=[
        Fails(ShapeError, "3 elements", np.ones((3, 2)), np.ones((3, 2))),
        Fails(ShapeError, "negative axis", np.ones((2, 3)), np.ones(3), axis=1),
        Fails(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones((4, 3))),
    ],
)
def cross(x1: TensorLike, x2: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Cross products of the three-element vectors along an axis; other dimensions broadcast.

    Args:
        x1: numeric, of size 3 along `axis`.
        x2: numeric, of size 3 along `axis`.
        axis: the axis of the vectors in both. Negative, unless both have the same rank.

    Returns:
        A tensor of the broadcast shape, orthogonal to both.

    Raises:
        ShapeError: the size along `axis` is not 3, or the shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.linalg.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]).tolist()
    [0.0, 0.0, 1.0]
    """
    return bind(cross, x1, x2, axis=axis_argument_int(axis))


@cross.kernel
def _(xp: Any, x1: Array, x2: Array, *, axis: int) -> Any:
    _cross_shape(x1.shape, x2.shape, axis)
    return xp.linalg.cross(x1, x2, axis=axis)


@cross.lowering
def _(b: Any, x1: Any, x2: Any, *, axis: int) -> Any:
    shape: Any = _cross_shape(x1.shape, x2.shape, axis)
    at = normalize_axis(axis, len(shape))
    one = (*shape[:at], 1, *shape[at + 1 :])
    steps = [1] * len(shape)
    first, second = [
        [b.slice(x, [i if k == at else 0 for k in range(len(shape))], steps, one) for i in range(3)]
        for x in (b.broadcast(x1, shape), b.broadcast(x2, shape))
    ]
    parts = []
    for i, k in ((1, 2), (2, 0), (0, 1)):
        left, right = b.map("Mul", first[i], second[k]), b.map("Mul", first[k], second[i])
        parts.append(b.map("Sub", left, right))
    return b.concat(parts, at)


@cross.shape
def _(x1: Spec, x2: Spec, *, axis: int) -> Spec:
    return Spec(_cross_shape(x1.shape, x2.shape, axis), x1.dtype)


def _cross_shape(a: Shape, b: Shape, axis: int) -> Shape:
    """The shape of a cross product; broadcasting must not stretch the vectors themselves."""
    if axis >= 0 and a is not None and b is not None and len(a) != len(b):
        raise ShapeError(
            f"cross needs a negative axis for shapes {show(a)} and {show(b)} of different rank; "
            f"got axis {axis}"
        )
    for dims in (a, b):
        if dims is not None and dims[normalize_axis(axis, len(dims))] not in (3, None):
            raise ShapeError(
                f"a cross product needs 3 elements along axis {axis}, got shapes {show(a)} and "
                f"{show(b)}"
            )
    return broadcast(a, b)


@cross.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2), axis = c.grads, c.inputs, c.attrs.axis
    return (
        sum_to_like(cross(x2, g, axis=axis), x1) if c.needs[0] else None,
        sum_to_like(cross(g, x1, axis=axis), x2) if c.needs[1] else None,
    )

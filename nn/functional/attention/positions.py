"""Where in a sequence an element stands, told to models that cannot see it: two encodings."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, DTypeLike, as_dtype
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn.functional.arguments import positive
from minigrad.ops.reducing import array_dtype, narrowed, widened
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    count_argument,
    not_negative,
    size_argument,
    static_sizes,
)
from minigrad.shapes import Shape, Spec, broadcast, compatible, show

__all__ = ["rotary_embedding", "sinusoidal_positions"]


def _angles(xp: Any, positions: Any, pairs: int, depth: int, base: float) -> Any:
    """position / base**(2 i / depth) for i below `pairs`, along a new last axis, in float64."""
    rates = base ** (-2.0 * xp.arange(pairs, dtype="float64") / depth)
    return xp.asarray(positions, dtype="float64")[..., None] * rates


@primitive(
    "SinusoidalPositions",
    not_differentiable="the result is made of constants",
    samples=[
        Sample(3, 4),
        Sample(2, 5, base=100.0, dtype="float64").named("an odd depth"),
        Sample(np.array(2), 2, dtype="float16").named("the length as a tensor"),
        Sample(0, 4).named("empty"),
    ],
    errors=[
        Fails(ShapeError, "negative", -1, 4),
        Fails(ArgumentError, "depth must be at least 1, got 0", 3, 0),
        Fails(ArgumentError, "base must be positive", 3, 4, base=0.0),
        Fails(DTypeError, "floating", 3, 4, dtype="int32"),
    ],
)
def sinusoidal_positions(
    length: Any, depth: int, *, base: float = 10000.0, dtype: DTypeLike = "float32"
) -> Tensor:
    """A vector for each position, of sines and cosines of wavelengths from 2π to 2π · base.

    Vaswani et al., "Attention Is All You Need", 2017, section 3.5: element 2i of position p is
    ``sin(p / base**(2i / depth))`` and element 2i + 1 the cosine. (Tensor2Tensor puts all sines
    before all cosines.) They are computed in float64, so that late positions are exact too.

    Args:
        length: how many positions, an int or a scalar integer tensor.
        depth: the length of the vectors; with an odd one the last is a sine.
        base: 10000 in the paper.
        dtype: a floating one.

    Returns:
        A tensor of shape ``(length, depth)``.

    Raises:
        ShapeError: the length is negative.
        ArgumentError: `depth` is less than 1, or `base` not positive.
        DTypeError: `dtype` is not floating.

    >>> import minigrad.nn as nn
    >>> nn.sinusoidal_positions(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    count, given = count_argument(length, "length")
    wide, target = size_argument(depth, "depth"), as_dtype(dtype)
    if wide < 1:
        raise ArgumentError(f"sinusoidal_positions: depth must be at least 1, got {wide}")
    if not target.is_floating:
        raise DTypeError(f"sinusoidal_positions: expected a floating dtype, got {target}")
    return bind(
        sinusoidal_positions,
        given,
        sizes=None if count is None else (count,),
        depth=wide,
        base=positive(base, "base"),
        dtype=target,
    )


@sinusoidal_positions.kernel
def _(
    xp: Any, length: Any = None, *, sizes: Sizes | None, depth: int, base: float, dtype: DType
) -> Any:
    (count,) = actual_sizes(sizes, length, "length")
    not_negative((count,), "length")
    pairs = (depth + 1) // 2
    angles = _angles(xp, xp.arange(count), pairs, depth, base)
    both = xp.stack([xp.sin(angles), xp.cos(angles)], axis=-1)
    return xp.reshape(both, (count, 2 * pairs))[:, :depth].astype(dtype.dtype)


@sinusoidal_positions.shape
def _(length: Spec | None, *, sizes: Sizes | None, depth: int, base: float, dtype: DType) -> Spec:
    known = static_sizes(sizes, length, "length")
    if known is not None and len(known) != 1:
        raise ShapeError(f"length must be a scalar, got {len(known)} numbers")
    not_negative(known, "length")
    return Spec((None if known is None else known[0], depth), dtype)


@primitive(
    "RotaryEmbedding",
    accepts="real_float",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4))),
        Sample(rng.normal(size=(2, 2, 2)), np.array([5, 0]), base=10.0),
        Sample(rng.normal(size=(2, 2, 4)), np.array([[0, 1], [7, 3]]), interleaved=False),
        Sample(rng.normal(size=(1, 2, 4)), inverse=True),
        Sample(rng.normal(size=(0, 2))).named("empty"),
        Sample(rng.normal(size=(2, 2)).astype(np.float16)),
    ],
    errors=[
        Fails(ShapeError, "even depth, got shape .2, 3.", np.ones((2, 3))),
        Fails(ShapeError, "length, depth", np.ones(4)),
        Fails(ShapeError, "positions of shape .3,. do not", np.ones((2, 4)), np.array([0, 1, 2])),
        Fails(DTypeError, "positions must be integers", np.ones((2, 4)), np.array([0.5, 1.0])),
        Fails(ArgumentError, "base must be positive", np.ones((2, 4)), base=-1.0),
    ],
)
def rotary_embedding(
    x: TensorLike,
    positions: TensorLike | None = None,
    *,
    base: float = 10000.0,
    interleaved: bool = True,
    inverse: bool = False,
) -> Tensor:
    """Pairs of elements turned by angles in proportion to their position.

    Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021: pair i at
    position p is turned by ``p / base**(2i / depth)``. The product of a turned query and a turned
    key depends on how far apart they are, not on where.

    Args:
        x: queries or keys, real, of shape ``(..., length, depth)`` with an even depth.
        positions: integers that broadcast to ``(..., length)``; by default 0, 1, 2, …
        base: 10000 in the paper.
        interleaved: whether elements 2i and 2i + 1 are pair i, as in the paper; else elements i
            and i + depth / 2 are (GPT-NeoX and Llama).
        inverse: turn the other way, which undoes it.

    Returns:
        A tensor of the shape of `x`. Lengths of vectors stay as they are.

    Raises:
        ShapeError: the depth is odd, or the positions do not fit.
        DTypeError: the positions are not integers.
        ArgumentError: `base` is not positive.

    >>> import minigrad.nn as nn
    >>> nn.rotary_embedding([[1.0, 0.0], [1.0, 0.0]])[1].numpy().round(4).tolist()
    [0.5403000116348267, 0.8414999842643738]
    """
    return bind(
        rotary_embedding,
        x,
        positions,
        base=positive(base, "base"),
        interleaved=bool(interleaved),
        inverse=bool(inverse),
    )


def _check_rotary(shape: Shape, positions: Shape, dtype: DType | None) -> None:
    if dtype is not None and not dtype.is_integer:
        raise DTypeError(f"positions must be integers, got dtype {dtype}")
    if shape is None:
        return
    if len(shape) < 2:
        raise ShapeError(f"expected a tensor of shape (..., length, depth), got {show(shape)}")
    if shape[-1] is not None and shape[-1] % 2:
        raise ShapeError(f"expected an even depth, got shape {show(shape)}")
    try:
        fits = dtype is None or compatible(broadcast(positions, shape[:-1]), shape[:-1])
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"positions of shape {show(positions)} do not broadcast to (..., length) = "
            f"{show(shape[:-1])}"
        )


@rotary_embedding.kernel
def _(
    xp: Any,
    x: Array,
    positions: Array | None = None,
    *,
    base: float,
    interleaved: bool,
    inverse: bool,
) -> Any:
    dtype = None if positions is None else array_dtype(positions)
    _check_rotary(x.shape, None if positions is None else positions.shape, dtype)
    depth, v = x.shape[-1], widened(x)
    places = xp.arange(x.shape[-2]) if positions is None else positions
    angles = _angles(xp, places, depth // 2, max(depth, 1), base)
    cos, sin = xp.cos(angles).astype(v.dtype), xp.sin(angles).astype(v.dtype)
    sin = -sin if inverse else sin
    if interleaved:
        a, b = v[..., 0::2], v[..., 1::2]
        turned = xp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1)
        return narrowed(xp.reshape(turned, x.shape), array_dtype(x))
    a, b = v[..., : depth // 2], v[..., depth // 2 :]
    joined = xp.concat([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return narrowed(joined, array_dtype(x))


@rotary_embedding.lowering
def _(
    b: Any, x: Any, positions: Any = None, *, base: float, interleaved: bool, inverse: bool
) -> Any:
    if positions is not None and positions.constant is None:
        return NotImplemented
    depth = x.shape[-1]
    places = np.arange(x.shape[-2]) if positions is None else positions.constant
    angles = _angles(np, places, depth // 2, max(depth, 1), base)
    cos = b.constant(np.cos(angles).astype(x.dtype))
    sin = b.constant((-np.sin(angles) if inverse else np.sin(angles)).astype(x.dtype))
    half = (*x.shape[:-1], depth // 2)
    starts, step = ((0, 1), 2) if interleaved else ((0, depth // 2), 1)
    lead = x.rank - 1
    even, odd = [b.slice(x, [*[0] * lead, n], [*[1] * lead, step], half) for n in starts]
    turned = [
        b.map("Sub", b.map("Mul", even, cos), b.map("Mul", odd, sin)),
        b.map("Add", b.map("Mul", odd, cos), b.map("Mul", even, sin)),
    ]
    if interleaved:
        return b.reshape(b.concat([b.expand(t, [x.rank]) for t in turned], x.rank), x.shape)
    return b.concat(turned, lead)


@rotary_embedding.shape
def _(x: Spec, positions: Spec | None, *, base: float, interleaved: bool, inverse: bool) -> Spec:
    given = (None, None) if positions is None else (positions.shape, positions.dtype)
    _check_rotary(x.shape, *given)
    return Spec(x.shape, x.dtype)


@rotary_embedding.gradient(saves=("positions",))
def _(c: Ctx) -> Grads:
    # Turning keeps angles between vectors: its adjoint is its inverse.
    a = c.attrs
    back = rotary_embedding(
        c.grads[0],
        c.inputs[1],
        base=a.base,
        interleaved=a.interleaved,
        inverse=not a.inverse,
    )
    return back, None

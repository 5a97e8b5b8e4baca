"""Scaled dot-product attention, and the masks that it takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.generator import Generator
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import float32
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nn.functional.arguments import number
from minigrad.nn.functional.fitting import fitted
from minigrad.nn.functional.noise.dropout import dropout
from minigrad.nn.functional.sizes import sizes_of
from minigrad.ops.basic import astype
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.comparison import greater, greater_equal, less
from minigrad.ops.counting import any as reduce_any
from minigrad.ops.elementwise import add, multiply
from minigrad.ops.indexing import getitem
from minigrad.ops.logic import logical_and
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.powers import rsqrt
from minigrad.ops.products import matmul
from minigrad.ops.ranges import arange
from minigrad.ops.reductions import max as reduce_max
from minigrad.ops.selection import where
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.statistics import softmax
from minigrad.shapes import Shape, broadcast, show

__all__ = ["attention_weights", "causal_mask", "length_mask", "scaled_dot_product_attention"]


# -- masks -------------------------------------------------------------------------------------


@primitive(
    "CausalMask",
    not_differentiable="the result is made of choices",
    samples=[
        Sample(3),
        Sample(2, 4, offset=2),
        Sample(np.array(2), np.array(3)).named("lengths as tensors"),
        Sample(0).named("empty"),
    ],
    errors=[Fails(ArgumentTypeError, "must be integers", 2.5)],
)
def causal_mask(
    length: TensorLike, key_length: TensorLike | None = None, *, offset: int = 0
) -> Tensor:
    """Which keys each query may attend to if it must not see what comes after it.

    Args:
        length: how many queries, an int or a scalar integer tensor.
        key_length: how many keys; by default as many.
        offset: how many keys lie before the first query, such as those of earlier steps that are
            kept for decoding.

    Returns:
        Bools of shape ``(length, key_length)``: ``key <= query + offset``.

    Raises:
        ArgumentTypeError: a length is no integer.

    >>> import minigrad.nn as nn
    >>> nn.causal_mask(3).numpy().astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    queries = _places("causal_mask", length)
    keys = queries if key_length is None else _places("causal_mask", key_length)
    return greater_equal(expand_dims(add(queries, offset), -1), keys)


def _places(what: str, length: TensorLike) -> Tensor:
    """0, 1, …, length - 1."""
    dtype = tensor_of(length).dtype
    if not dtype.is_integer:
        raise ArgumentTypeError(f"{what}: lengths must be integers, got dtype {dtype}")
    return arange(length, dtype="int64")


@primitive(
    "SequenceMask",
    not_differentiable="the result is made of choices",
    samples=[
        Sample(np.array([1, 3, 0]), 3),
        Sample(np.array([[1], [2]])).named("as long as the longest"),
        Sample(2, 4).named("a scalar"),
        Sample(np.zeros(0, np.int64), 2).named("empty"),
    ],
    errors=[Fails(ArgumentTypeError, "must be integers", np.array([1.5]), 3)],
)
def length_mask(lengths: TensorLike, max_length: TensorLike | None = None) -> Tensor:
    """Which places of padded sequences hold elements: TensorFlow's `sequence_mask`.

    Args:
        lengths: integers of any shape: how many elements each sequence has.
        max_length: how many places there are, an int or a scalar integer tensor; by default the
            largest of the lengths.

    Returns:
        Bools of shape ``(*lengths.shape, max_length)``. To hide padded keys from attention with
        heads, give them axes for heads and queries: ``nn.length_mask(n, k)[:, None, None, :]``.

    Raises:
        ArgumentTypeError: a length is no integer.

    >>> import minigrad.nn as nn
    >>> nn.length_mask([1, 3]).numpy().astype(int).tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    counts = tensor_of(lengths)
    if not counts.dtype.is_integer:
        raise ArgumentTypeError(f"length_mask: lengths must be integers, got dtype {counts.dtype}")
    places = _places("length_mask", reduce_max(counts) if max_length is None else max_length)
    return less(places, expand_dims(counts, -1))


# -- attention ---------------------------------------------------------------------------------


def _size(shape: Shape, axis: int) -> int | None:
    return None if shape is None or len(shape) < -axis else shape[axis]


def _check_operands(what: str, operands: dict[str, Tensor]) -> None:
    """Raise unless the lengths agree that must, as far as they are known."""
    for name, x in operands.items():
        if x.shape is not None and len(x.shape) < 2:
            raise ShapeError(
                f"{what}: {name} must have shape (..., length, depth), got {show(x.shape)}"
            )
        if x.dtype.is_complex or not x.dtype.is_numeric:
            raise DTypeError(f"{what}: {name} must hold real numbers, got dtype {x.dtype}")
    for axis, one, other in ((-1, "query", "key"), (-2, "key", "value")):
        if other not in operands:
            continue
        a, b = operands[one], operands[other]
        m, n = _size(a.shape, axis), _size(b.shape, axis)
        if m is not None and n is not None and m != n:
            which = "depth (the last axis)" if axis == -1 else "length (axis -2)"
            raise ShapeError(
                f"{what}: {one} and {other} must have the same {which}, got shapes "
                f"{show(a.shape)} and {show(b.shape)}"
            )
    try:
        leading: Shape = ()
        for x in operands.values():
            leading = broadcast(leading, None if x.shape is None else x.shape[:-2])
    except ShapeError:
        shapes = ", ".join(f"{name} {show(x.shape)}" for name, x in operands.items())
        raise ShapeError(
            f"{what}: the leading dimensions, all but the last two, must broadcast; got {shapes}"
        ) from None


def _scale_of(what: str, scale: Any, query: Tensor, key: Tensor) -> Any:
    if scale is not None:
        return number(scale, f"{what}: scale")
    for x in (query, key):
        depth = _size(x.shape, -1)
        if depth is not None:
            return depth**-0.5 if depth else 1.0
    dtype = query.dtype if query.dtype.is_floating else float32
    return rsqrt(astype(getitem(shape_of(query), -1), dtype))


def _masked(what: str, logits: Tensor, mask: TensorLike | None, causal: bool) -> tuple[Tensor, Any]:
    """The logits, -inf where nothing is to be seen, and which rows see anything; None: all do."""
    allowed = bias = None
    if mask is not None:
        given = fitted(what, "mask", tensor_of(mask), logits)
        if given.dtype.is_bool:
            allowed = given
        elif given.dtype.is_floating:
            bias = astype(given, logits.dtype)
        else:
            raise DTypeError(
                f"{what}: a mask is bool (True: may attend) or floating (added to the logits), got "
                f"{given.dtype}; write mask != 0 if it means the former"
            )
    seen = None if bias is None else greater(bias, -math.inf)
    if causal:
        before = causal_mask(*sizes_of(logits, [-2, -1]))
        allowed = before if allowed is None else logical_and(allowed, before)
    if bias is not None:
        logits = add(logits, bias)
    if allowed is not None:
        logits = where(allowed, logits, -math.inf)
        seen = allowed if seen is None else logical_and(seen, allowed)
    if mask is None or seen is None:
        return logits, None
    return logits, reduce_any(seen, axis=-1, keepdims=True)


def _operands(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    return rng.normal(size=(2, 2)), rng.normal(size=(3, 2)), rng.normal(size=(3, 2))


_MASK = np.array([[True, False, True], [False, False, False]])
_BIAS = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, -np.inf]])
_Q, _K, _V = np.ones((2, 4)), np.ones((3, 4)), np.ones((3, 5))


@primitive(
    "AttentionWeights",
    samples=lambda rng: [
        Sample(*_operands(rng)[:2]),
        Sample(*_operands(rng)[:2], mask=_MASK).named("a row with nothing to see"),
        Sample(*_operands(rng)[:2], causal=True, scale=2.0),
        Sample(np.array([[1e4, -1e4]]), np.array([[1e4, 1.0], [1.0, 1e4]]))
        .order(1, "the softmax is saturated, so the second derivative is zero")
        .named("large logits"),
        Sample(rng.normal(size=(2, 2)), np.zeros((0, 2))).named("no keys"),
    ],
    errors=[
        Fails(ShapeError, "same depth .* shapes .2, 4. and .3, 5.", _Q, _V),
        Fails(ShapeError, "query must have shape", _Q[0], _K),
        Fails(ShapeError, "mask of shape .2, 4. does not broadcast", _Q, _K, mask=_Q > 0),
        Fails(DTypeError, "mask != 0", _Q, _K, mask=np.ones((2, 3), np.int64)),
        Fails(ArgumentTypeError, "scale must be a number", _Q, _K, scale="big"),
        Fails(DTypeError, "real numbers", _Q * 1j, _K),
    ],
)
def attention_weights(
    query: TensorLike,
    key: TensorLike,
    *,
    mask: TensorLike | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """How much each query attends to each key: softmax(query · keyᵀ · scale + mask).

    These are what `scaled_dot_product_attention` weighs the values with. Arguments, masks and
    errors are as there.

    Returns:
        A tensor of shape ``(..., queries, keys)`` whose rows sum to 1; those with nothing to
        attend to are 0.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.attention_weights(mg.zeros((2, 4)), mg.zeros((2, 4)), causal=True).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    return _weights("attention_weights", tensor_of(query), tensor_of(key), mask, causal, scale)


def _weights(
    what: str, query: Tensor, key: Tensor, mask: TensorLike | None, causal: bool, scale: Any
) -> Tensor:
    _check_operands(what, {"query": query, "key": key})
    # The queries are scaled, not the logits: there are fewer of them, and float16 overflows later.
    scaled = multiply(query, _scale_of(what, scale, query, key))
    logits, seeing = _masked(what, matmul(scaled, matrix_transpose(key)), mask, causal)
    weights = softmax(logits, axis=-1)
    return weights if seeing is None else where(seeing, weights, 0.0)


@primitive(
    "ScaledDotProductAttention",
    samples=lambda rng: [
        Sample(*_operands(rng)),
        Sample(*_operands(rng), mask=_MASK).named("a row with nothing to see"),
        Sample(*_operands(rng), mask=_BIAS, causal=True).named("an additive mask"),
        Sample(*(rng.normal(size=(2, 1, 2, 2)) for _ in range(3)), causal=True).named("heads"),
        Sample(*_operands(rng), dropout_rate=0.5, training=True, seed=1, scale=0.5),
        Sample(*_operands(rng), dropout_rate=0.5).named("dropout, not in training"),
        Sample(*(a.astype(np.float16) for a in _operands(rng))),
    ],
    errors=[
        Fails(ShapeError, "same depth .* shapes .2, 4. and .3, 5.", _Q, _V, _K),
        Fails(ShapeError, "same length .* shapes .3, 4. and .2, 4.", _Q, _K, _Q),
        Fails(ShapeError, "value must have shape", _Q, _K, _V[0]),
        Fails(ShapeError, "leading dim", np.ones((2, 2, 4)), np.ones((3, 3, 4)), _V),
        Fails(DTypeError, "mask != 0", _Q, _K, _V, mask=np.ones((2, 3), np.int64)),
        Fails(ArgumentError, "between 0 and 1", _Q, _K, _V, dropout_rate=2.0, training=True),
    ],
)
def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    *,
    mask: TensorLike | None = None,
    causal: bool = False,
    dropout_rate: TensorLike = 0.0,
    training: Any = False,
    scale: float | None = None,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """For each query the mean of the values, weighted by how well their keys match it.

    ``softmax(query · keyᵀ / sqrt(depth)) · value``: Vaswani et al., "Attention Is All You Need",
    2017, equation 1.

    Args:
        query: real, of shape ``(..., queries, depth)``.
        key: ``(..., keys, depth)``.
        value: ``(..., keys, value depth)``. The leading dimensions of the three broadcast.
        mask: bools that broadcast to ``(..., queries, keys)``, True where a query may attend to a
            key (as in PyTorch and Keras); or floats that are added to the logits.
        causal: whether a query sees only keys at its own place and before, both counted from the
            start (as in PyTorch); `causal_mask` makes others. It comes on top of a mask.
        dropout_rate: the fraction of the weights that is dropped in training.
        training: see `dropout`.
        scale: what the products are multiplied by; by default 1 / sqrt(depth).
        seed: see `dropout`.
        generator: see `dropout`.

    Returns:
        A tensor of shape ``(..., queries, value depth)``. A query that may attend to nothing gets
        0, and gradients through it are 0 (in PyTorch both are NaN).

    Raises:
        ShapeError: depths or lengths differ, or the mask does not broadcast.
        DTypeError: the mask is of integers.
        ArgumentError: the rate does not lie between 0 and 1.

    >>> import minigrad.nn as nn
    >>> q, k, v = [[0.0, 1e4]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]]
    >>> nn.scaled_dot_product_attention(q, k, v).tolist()
    [[3.0, 4.0]]
    """
    what = "scaled_dot_product_attention"
    q, k, v = tensor_of(query), tensor_of(key), tensor_of(value)
    _check_operands(what, {"query": q, "key": k, "value": v})
    weights = _weights(what, q, k, mask, causal, scale)
    weights = dropout(weights, dropout_rate, training=training, seed=seed, generator=generator)
    return matmul(weights, v)

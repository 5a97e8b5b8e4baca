"""The distributions as primitives: pure functions of a key, a counter and a shape.

`minigrad.ops.random_reserve` hands out the counters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import random_kernels
from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, DTypeLike, int32, int64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.random_checks import (
    as_key,
    check_counter,
    float_dtype,
    native_draw,
    restricted_dtype,
    sizes_of_draw,
    static_draw_sizes,
)
from minigrad.philox import Key
from minigrad.random_conversions import integer_conversion
from minigrad.shapes import Shape, Spec, show

__all__ = [
    "philox_categorical",
    "philox_integers",
    "philox_normal",
    "philox_permutation",
    "philox_truncated_normal",
    "philox_uniform",
]

_PURE = "the numbers are a function of key and counter alone"
_KEY = (87654321, 1)


def _float_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(0, np.array([2, 3]), key=_KEY),
        Sample(512, np.array([5]), key=_KEY, dtype="float64"),
        Sample(np.uint64(2**40), np.array([3]), key=(-1, 2**63), dtype="float16"),
        Sample(0, np.array([], np.int32), key=_KEY).named("a scalar"),
        Sample(0, np.array([2, 0]), key=_KEY).named("empty"),
        Sample(0, 4, key=_KEY).named("a length"),
    ]


_FLOAT_ERRORS = [
    Fails(DTypeError, "float16, float32, float64", 0, 3, key=_KEY, dtype="int32"),
    Fails(ShapeError, "negative", 0, np.array([2, -1]), key=_KEY),
    Fails(ArgumentTypeError, "two integers", 0, 3, key=5),
]


def _float_spec(counter: Spec, shape: Spec, *, key: Key, dtype: DType) -> Spec:
    """The shape rule of the continuous distributions."""
    check_counter(counter)
    return Spec(static_draw_sizes(shape), dtype)


@primitive(
    "RandomStandardNormal",
    promote=(),
    not_differentiable=_PURE,
    samples=_float_samples,
    errors=_FLOAT_ERRORS,
)
def philox_normal(
    counter: TensorLike, shape: TensorLike, /, *, key: Key, dtype: DTypeLike = "float32"
) -> Tensor:
    """Standard normal numbers from one place of one stream; see `minigrad.random_kernels.normal`.

    Args:
        counter: integer scalar, the block to start at.
        shape: integer scalar or vector.
        key: the stream.
        dtype: float16, float32 or float64.

    >>> from minigrad.ops.random_ops import philox_normal
    >>> philox_normal(0, 3, key=(1, 1))
    Tensor([0.28183395, 2.3878284 , 2.2804048 ], shape=(3,), dtype=float32)
    """
    kind = float_dtype("philox_normal", dtype)
    return bind(philox_normal, counter, shape, key=as_key(key), dtype=kind)


@philox_normal.kernel
def _(xp: Any, counter: Array, shape: Array, *, key: Key, dtype: DType) -> Array:
    sizes = sizes_of_draw(shape)
    return random_kernels.normal(key, int(counter), math.prod(sizes), dtype.dtype).reshape(sizes)


philox_normal.shape(_float_spec)


@philox_normal.lowering
def _(b: Any, counter: Any, shape: Any, *, key: Key, dtype: DType) -> Any:
    return native_draw(b, "random_normal", philox_normal, counter, shape, key=key, dtype=dtype)


@primitive(
    "TruncatedNormal",
    promote=(),
    not_differentiable=_PURE,
    samples=_float_samples,
    errors=_FLOAT_ERRORS,
)
def philox_truncated_normal(
    counter: TensorLike, shape: TensorLike, /, *, key: Key, dtype: DTypeLike = "float32"
) -> Tensor:
    """Standard normal numbers within two standard deviations, from one place of one stream.

    See `minigrad.random_kernels.truncated_normal`. The arguments are those of `philox_normal`.

    >>> from minigrad.ops.random_ops import philox_truncated_normal
    >>> philox_truncated_normal(0, 2, key=(1, 1), dtype="float64").shape
    (2,)
    """
    kind = float_dtype("philox_truncated_normal", dtype)
    return bind(philox_truncated_normal, counter, shape, key=as_key(key), dtype=kind)


@philox_truncated_normal.kernel
def _(xp: Any, counter: Array, shape: Array, *, key: Key, dtype: DType) -> Array:
    sizes = sizes_of_draw(shape)
    flat = random_kernels.truncated_normal(key, int(counter), math.prod(sizes), dtype.dtype)
    return flat.reshape(sizes)


philox_truncated_normal.shape(_float_spec)


@philox_truncated_normal.lowering
def _(b: Any, counter: Any, shape: Any, *, key: Key, dtype: DType) -> Any:
    return native_draw(
        b, "truncated_normal", philox_truncated_normal, counter, shape, key=key, dtype=dtype
    )


@primitive(
    "RandomUniform",
    promote=(),
    not_differentiable=_PURE,
    samples=_float_samples,
    errors=_FLOAT_ERRORS,
)
def philox_uniform(
    counter: TensorLike, shape: TensorLike, /, *, key: Key, dtype: DTypeLike = "float32"
) -> Tensor:
    """Uniform numbers in [0, 1) from one place of one stream.

    See `minigrad.random_kernels.uniform`. The arguments are those of `philox_normal`.

    >>> from minigrad.ops.random_ops import philox_uniform
    >>> philox_uniform(0, 2, key=(87654321, 2))
    Tensor([0.6787466, 0.7141509], shape=(2,), dtype=float32)
    """
    kind = float_dtype("philox_uniform", dtype)
    return bind(philox_uniform, counter, shape, key=as_key(key), dtype=kind)


@philox_uniform.kernel
def _(xp: Any, counter: Array, shape: Array, *, key: Key, dtype: DType) -> Array:
    sizes = sizes_of_draw(shape)
    return random_kernels.uniform(key, int(counter), math.prod(sizes), dtype.dtype).reshape(sizes)


philox_uniform.shape(_float_spec)


@philox_uniform.lowering
def _(b: Any, counter: Any, shape: Any, *, key: Key, dtype: DType) -> Any:
    return native_draw(b, "random_uniform", philox_uniform, counter, shape, key=key, dtype=dtype)


@primitive(
    "RandomUniformInt",
    promote=(),
    not_differentiable="the result is made of integers",
    samples=[
        Sample(0, np.array([2, 3]), 0, 10, key=_KEY),
        Sample(0, 4, -5, 2**63, key=_KEY, dtype="int64").named("to the end of int64"),
        Sample(0, np.array([0, 2]), np.int64(3), 4, key=_KEY).named("empty"),
    ],
    errors=[
        Fails(ArgumentError, "low < high", 0, 3, 5, 5, key=_KEY),
        Fails(ArgumentError, "within int32", 0, 3, 0, 2**40, key=_KEY),
        Fails(DTypeError, "int32, int64", 0, 3, 0, 5, key=_KEY, dtype="float32"),
        Fails(DTypeError, "bound", 0, 3, 0.0, 5.0, key=_KEY),
        Fails(ShapeError, "scalar", 0, 3, 0, np.array([5, 6]), key=_KEY),
    ],
)
def philox_integers(
    counter: TensorLike,
    shape: TensorLike,
    low: TensorLike,
    high: TensorLike,
    /,
    *,
    key: Key,
    dtype: DTypeLike = "int32",
) -> Tensor:
    """Integers in ``[low, high)`` from one place of one stream; see `random_kernels.integers`.

    Args:
        counter: integer scalar, the block to start at.
        shape: integer scalar or vector.
        low: integer scalar, the lowest value that can come.
        high: integer scalar, one more than the highest.
        key: the stream.
        dtype: int32 or int64.

    >>> from minigrad.ops.random_ops import philox_integers
    >>> philox_integers(0, 5, 0, 10, key=(87654321, 1))
    Tensor([7, 9, 3, 2, 7], shape=(5,), dtype=int32)
    """
    kind = restricted_dtype("philox_integers", dtype, int32, int64)
    return bind(philox_integers, counter, shape, low, high, key=as_key(key), dtype=kind)


@philox_integers.kernel
def _(
    xp: Any, counter: Array, shape: Array, low: Array, high: Array, *, key: Key, dtype: DType
) -> Array:
    for bound in (low, high):
        if bound.dtype.kind not in "iu" or bound.ndim:
            raise _bad_bound(bound.shape, bound.dtype)
    sizes = sizes_of_draw(shape)
    flat = random_kernels.integers(
        key, int(counter), math.prod(sizes), int(low), int(high), dtype.dtype
    )
    return flat.reshape(sizes)


def _bad_bound(shape: Shape, dtype: object) -> ShapeError | DTypeError:
    if shape:
        return ShapeError(f"low and high must be scalars, got a bound of shape {show(shape)}")
    return DTypeError(f"low and high must be integers, got a bound of dtype {dtype}; cast it")


@philox_integers.shape
def _(counter: Spec, shape: Spec, low: Spec, high: Spec, *, key: Key, dtype: DType) -> Spec:
    check_counter(counter)
    for bound in (low, high):
        if not bound.dtype.is_integer or bound.shape not in ((), None):
            raise _bad_bound(bound.shape, bound.dtype)
    if low.value is not None and high.value is not None:
        integer_conversion(low.value, high.value, dtype.dtype)
    return Spec(static_draw_sizes(shape), dtype)


@philox_integers.lowering
def _(b: Any, counter: Any, shape: Any, low: Any, high: Any, *, key: Key, dtype: DType) -> Any:
    if low.constant is None or high.constant is None:
        return NotImplemented
    name = "random_integers"
    return native_draw(b, name, philox_integers, counter, shape, low, high, key=key, dtype=dtype)


@primitive(
    "RandomPermutation",
    promote=(),
    not_differentiable="the result is made of integers",
    samples=[
        Sample(0, 5, key=_KEY),
        Sample(3, np.array([4, 7]), key=_KEY).named("items are the rows of a shape"),
        Sample(0, 0, key=_KEY).named("empty"),
    ],
    errors=[Fails(ShapeError, "negative", 0, -1, key=_KEY)],
)
def philox_permutation(counter: TensorLike, shape: TensorLike, /, *, key: Key) -> Tensor:
    """A permutation of ``range(n)`` from one place of one stream.

    See `minigrad.random_kernels.permutation`.

    Args:
        counter: integer scalar, the block to start at.
        shape: integer scalar n, or a vector that begins with n (the shape of what is shuffled).
        key: the stream.

    Returns:
        int64 vector of length n.

    >>> from minigrad.ops.random_ops import philox_permutation
    >>> philox_permutation(0, 5, key=(87654321, 1)).tolist()
    [2, 4, 0, 3, 1]
    """
    return bind(philox_permutation, counter, shape, key=as_key(key))


@philox_permutation.kernel
def _(xp: Any, counter: Array, shape: Array, *, key: Key) -> Array:
    sizes = sizes_of_draw(shape)
    if not sizes:
        raise ShapeError("a scalar has no items to permute; give an array of rank 1 or more")
    return random_kernels.permutation(key, int(counter), sizes[0])


@philox_permutation.shape
def _(counter: Spec, shape: Spec, *, key: Key) -> Spec:
    check_counter(counter)
    sizes = static_draw_sizes(shape)
    if sizes == ():
        raise ShapeError("a scalar has no items to permute; give an array of rank 1 or more")
    return Spec((None,) if sizes is None else (sizes[0],), int64)


@primitive(
    "Multinomial",
    promote=(),
    not_differentiable="the result is made of class numbers",
    samples=lambda rng: [
        Sample(0, rng.normal(size=(2, 3)), 4, key=_KEY),
        Sample(0, rng.normal(size=(3, 2)).astype(np.float32), np.int64(1), key=_KEY),
        Sample(0, np.zeros((0, 3)), 2, key=_KEY).named("no rows"),
        Sample(0, np.zeros((2, 3)), 0, key=_KEY).named("no samples"),
    ],
    errors=[
        Fails(ShapeError, "batch, classes", 0, np.zeros(3), 2, key=_KEY),
        Fails(ShapeError, "at least one class", 0, np.zeros((2, 0)), 2, key=_KEY),
        Fails(ShapeError, "negative", 0, np.zeros((2, 3)), -1, key=_KEY),
        Fails(DTypeError, "real", 0, np.zeros((2, 3), np.complex64), 2, key=_KEY),
    ],
)
def philox_categorical(
    counter: TensorLike, logits: TensorLike, num_samples: TensorLike, /, *, key: Key
) -> Tensor:
    """Class numbers drawn by ``softmax(logits)``, row by row, from one place of one stream.

    See `minigrad.random_kernels.categorical`.

    Args:
        counter: integer scalar, the block to start at.
        logits: real numbers of shape ``(batch, classes)``.
        num_samples: integer scalar.
        key: the stream.

    Returns:
        int64 tensor of shape ``(batch, num_samples)``.

    >>> from minigrad.ops.random_ops import philox_categorical
    >>> philox_categorical(0, [[0.0, 1.0]], 5, key=(87654321, 1)).tolist()
    [[1, 1, 1, 1, 0]]
    """
    return bind(philox_categorical, counter, logits, num_samples, key=as_key(key))


@philox_categorical.kernel
def _(xp: Any, counter: Array, logits: Array, num_samples: Array, *, key: Key) -> Array:
    (samples,) = sizes_of_draw(num_samples, "num_samples")
    return random_kernels.categorical(key, int(counter), logits, samples)


@philox_categorical.shape
def _(counter: Spec, logits: Spec, num_samples: Spec, *, key: Key) -> Spec:
    check_counter(counter)
    if not (logits.dtype.is_floating or logits.dtype.is_integer):
        raise DTypeError(f"logits must be real numbers, got {logits.dtype}; cast with mg.astype")
    rows: Shape = logits.shape
    if rows is not None and (len(rows) != 2 or rows[1] == 0):
        raise ShapeError(
            "logits must have shape (batch, classes) with at least one class, got "
            f"{show(rows)}; for one distribution use logits[None, :]"
        )
    samples = static_draw_sizes(num_samples, "num_samples")
    if samples is not None and len(samples) != 1:
        raise ShapeError(f"num_samples must be a scalar, got shape {show(num_samples.shape)}")
    return Spec((rows[0] if rows else None, samples[0] if samples else None), int64)

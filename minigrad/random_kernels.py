"""Random distributions as pure functions of (key, counter, number of outputs).

Each function turns the words of a Philox stream (:mod:`minigrad.philox`) into the numbers that
TensorFlow's CPU kernels make of them: uniform numbers, integers, permutations and categorical
draws bit for bit on every machine; normal numbers up to the last bits of ``log`` and ``sin``.

Nothing here keeps state. A caller that draws twice advances the counter between the draws by what
:func:`blocks_reserved` (:func:`permutation_blocks_reserved`, :func:`categorical_blocks_reserved`)
says for the first.

Sources: TensorFlow's ``random_distributions.h`` (conversions), ``random_op_cpu.h`` (which block an
output starts at), ``random_op.cc``, ``random_shuffle_op.cc``, ``multinomial_op.cc`` and
``guarded_philox_random.h`` (reservations); G. E. P. Box and M. E. Muller, "A note on the generation
of random normal deviates", Annals of Mathematical Statistics 29 (1958).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.philox import (
    CHUNK_BLOCKS,
    WORDS_PER_BLOCK,
    Key,
    as_count,
    as_integer,
    words_at,
    words_in_chunks,
)
from minigrad.random_conversions import (
    NORMALS,
    UNIFORMS,
    Array,
    Conversion,
    integer_conversion,
)

__all__ = [
    "blocks_reserved",
    "categorical",
    "categorical_blocks_reserved",
    "integers",
    "normal",
    "permutation",
    "permutation_blocks_reserved",
    "truncated_normal",
    "uniform",
]

RESERVED_PER_OUTPUT = 256
_TRUNCATE_AT = 2.0


def blocks_reserved(n: int) -> int:
    """Blocks that one draw of ``n`` uniform, normal, truncated-normal or integer outputs uses up.

    TensorFlow reserves 256 blocks per output for all four, so that a rejection loop has room; most
    of them are never looked at.

    Raises:
        ArgumentError: ``n`` is negative.

    >>> blocks_reserved(10)
    2560
    """
    return RESERVED_PER_OUTPUT * as_count("blocks_reserved", n)


def permutation_blocks_reserved(n: int) -> int:
    """Blocks that one draw of :func:`permutation` of ``n`` items uses up: one word per swap.

    Raises:
        ArgumentError: ``n`` is negative.

    >>> permutation_blocks_reserved(5), permutation_blocks_reserved(6)
    (1, 2)
    """
    swaps = max(as_count("permutation_blocks_reserved", n) - 1, 0)
    return -(-swaps // WORDS_PER_BLOCK)


def categorical_blocks_reserved(batch: int, num_samples: int) -> int:
    """Blocks that one draw of :func:`categorical` uses up.

    Raises:
        ArgumentError: a number is negative.

    >>> categorical_blocks_reserved(1, 5)  # 5 samples round up to 8, of two words each
    4096
    """
    batch = as_count("categorical_blocks_reserved", batch)
    samples = as_count("categorical_blocks_reserved", num_samples)
    return RESERVED_PER_OUTPUT * batch * 2 * (-(-samples // 4) * 4)


def uniform(key: Key, counter: int, n: int, dtype: DTypeLike = np.float32) -> Array:
    """Uniform numbers in [0, 1).

    The low bits of a word (10 for float16, 23 for float32) or of a pair of words (20 of the first
    above 32 of the second, for float64) become the mantissa of a number in [1, 2), less 1.

    Args:
        key: the stream.
        counter: block to start at.
        n: number of outputs.
        dtype: float16, float32 or float64.

    Returns:
        Array of shape ``[n]`` and that dtype.

    Raises:
        DTypeError: another dtype.
        ArgumentError: ``n`` is negative.

    The number that ``tf.random_uniform([], -10, 10, seed=2)`` prints on its first run:

    >>> float(uniform((87654321, 2), 0, 1)[0] * np.float32(20) - np.float32(10))
    3.574932098388672
    """
    kind = _as_dtype("uniform", dtype)
    return _fill("uniform", key, counter, n, kind, UNIFORMS[kind])


def integers(
    key: Key, counter: int, n: int, low: int, high: int, dtype: DTypeLike = np.int32
) -> Array:
    """Integers ``low + bits % (high - low)``; one word each for int32, two for int64.

    The remainder makes some values likelier than others, by less than ``(high - low) / 2**32``
    (``2**64`` for int64) of their probability: use int64 where that matters.

    Args:
        key: the stream.
        counter: block to start at.
        n: number of outputs.
        low: lowest value that can come.
        high: one more than the highest value that can come; may be one past the dtype's range.
        dtype: int32 or int64.

    Returns:
        Array of shape ``[n]`` and that dtype.

    Raises:
        DTypeError: another dtype.
        ArgumentTypeError: ``n`` or a bound is not an integer.
        ArgumentError: ``n`` is negative, ``low >= high``, or a bound is outside the dtype.

    >>> integers((87654321, 1), 0, 5, 0, 10)  # tf.random_uniform([5], 0, 10, tf.int32, seed=1)
    array([7, 9, 3, 2, 7], dtype=int32)
    """
    kind = _as_dtype("integers", dtype, (np.dtype(np.int32), np.dtype(np.int64)))
    first, end = as_integer("integers", "low", low), as_integer("integers", "high", high)
    convert = integer_conversion(first, end, kind)
    return _fill("integers", key, counter, n, kind, convert)


def normal(key: Key, counter: int, n: int, dtype: DTypeLike = np.float32) -> Array:
    """Standard normal numbers, by the Box-Muller transform.

    Two uniform numbers u, v give the pair ``sqrt(-2 log u) * (sin 2 pi v, cos 2 pi v)``, with u no
    less than 1e-7. float32 rounds after each step, as TensorFlow does, and float16 is the rounded
    float32 number. The steps themselves are computed in double precision, so that float32 numbers
    hardly ever depend on the machine's mathematical library.

    Args:
        key: the stream.
        counter: block to start at.
        n: number of outputs.
        dtype: float16, float32 or float64.

    Returns:
        Array of shape ``[n]`` and that dtype.

    Raises:
        DTypeError: another dtype.
        ArgumentError: ``n`` is negative.

    >>> normal((1, 1), 0, 3).round(5)  # graph seed 1, op seed 1
    array([0.28183, 2.38783, 2.2804 ], dtype=float32)
    """
    kind = _as_dtype("normal", dtype)
    return _fill("normal", key, counter, n, kind, NORMALS[kind])


def truncated_normal(key: Key, counter: int, n: int, dtype: DTypeLike = np.float32) -> Array:
    """Standard normal numbers, those at or beyond 2 in magnitude drawn again.

    Outputs come in groups of one block's worth of normal numbers: four, or two for float64. Group
    g takes the accepted numbers in order from block ``counter + 256 * g`` on (``128 * g`` for
    float64), so that no group depends on how much another one rejected.

    Args:
        key: the stream.
        counter: block to start at.
        n: number of outputs.
        dtype: float16, float32 or float64. The test is made before rounding to float16, so that a
            float16 output can be 2 exactly.

    Returns:
        Array of shape ``[n]`` and that dtype.

    Raises:
        DTypeError: another dtype.
        ArgumentError: ``n`` is negative.

    >>> bool(np.abs(truncated_normal((1, 1), 0, 1000)).max() < 2)
    True
    """
    kind = _as_dtype("truncated_normal", dtype)
    n = as_count("truncated_normal", n)
    source = np.dtype(np.float64 if kind == np.float64 else np.float32)
    convert = NORMALS[source]
    size = 2 if kind == np.float64 else WORDS_PER_BLOCK
    stride = np.uint64(size * RESERVED_PER_OUTPUT // WORDS_PER_BLOCK)
    groups = -(-n // size)
    out = np.empty((groups, size), dtype=kind)
    for first in range(0, groups, CHUNK_BLOCKS):
        part = out[first : first + CHUNK_BLOCKS]
        starts = np.arange(first, first + len(part), dtype=np.uint64) * stride
        part[...] = _accept(key, counter, starts, convert, size)
    return out.reshape(-1)[:n]


def permutation(key: Key, counter: int, n: int) -> NDArray[np.int64]:
    """A permutation of ``range(n)``: the Fisher-Yates shuffle from the front.

    For i from 0 to n - 2, item i changes places with item ``i + word % (n - i)``.

    Args:
        key: the stream.
        counter: block to start at.
        n: number of items, at most ``2**32``.

    Returns:
        int64 array of shape ``[n]``. ``x[permutation(key, counter, len(x))]`` is TensorFlow's
        ``random_shuffle(x)``.

    Raises:
        ArgumentError: ``n`` is negative or above ``2**32``.

    >>> np.arange(1, 6)[permutation((87654321, 1), 0, 5)]  # tf.random_shuffle([1..5], seed=1)
    array([3, 5, 1, 4, 2])
    """
    n = as_count("permutation", n)
    if n > 2**32:
        raise ArgumentError(
            f"permutation expected at most 2**32 items, got {n}: a swap is drawn from one 32-bit "
            "word; sort by random int64 keys instead"
        )
    order = list(range(n))
    for first, words in words_in_chunks(key, counter, permutation_blocks_reserved(n)):
        start = WORDS_PER_BLOCK * first
        stop = min(start + words.size, n - 1)
        left = np.arange(n - start, n - stop, -1, dtype=np.int64)
        partners = words.reshape(-1)[: stop - start] % left + np.arange(start, stop)
        for i, j in enumerate(partners.tolist(), start):
            order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def categorical(key: Key, counter: int, logits: ArrayLike, num_samples: int) -> NDArray[np.int64]:
    """Class numbers drawn with probabilities ``softmax(logits)``, row by row.

    Inverts the cumulative sum of ``exp(logits - max)`` in float64; sample j of row b takes the
    float64 uniform number ``b * num_samples + j`` of the stream. Logits that are NaN or infinite
    have probability 0, as in TensorFlow's kernel. TensorFlow restarts the stream wherever it gives
    a part of a large batch to another thread, which makes it depend on the machine; here there is
    one stream, which is what TensorFlow does on one thread.

    Args:
        key: the stream.
        counter: block to start at.
        logits: real numbers of shape ``[batch, classes]``, at least one class.
        num_samples: samples per row.

    Returns:
        int64 array of shape ``[batch, num_samples]``.

    Raises:
        DTypeError: ``logits`` are not real numbers.
        ShapeError: ``logits`` is not a matrix or has no classes.
        ArgumentError: ``num_samples`` is negative, or a row has no finite logit.

    >>> categorical((87654321, 1), 0, [[0.0, 1.0]], 5)  # tf.multinomial([[0., 1.]], 5, seed=1)
    array([[1, 1, 1, 1, 0]])
    """
    given = np.asarray(logits)
    if given.dtype.kind not in "fiu":
        raise DTypeError(f"categorical expected real logits, got dtype {given.dtype}; cast them")
    if given.ndim != 2 or given.shape[1] == 0:
        raise ShapeError(
            f"categorical expected logits of shape [batch, classes] with at least one class, got "
            f"{list(given.shape)}; for one distribution use logits[None, :]"
        )
    num_samples = as_count("categorical", num_samples)
    batch = given.shape[0]
    values = given.astype(np.float64)
    finite = np.isfinite(values)
    dead = np.flatnonzero(~finite.any(axis=1))
    if dead.size and num_samples:
        raise ArgumentError(
            f"categorical expected a finite logit in every row, got only NaN or infinities in row "
            f"{dead[0]} ({dead.size} such rows); look for what made them"
        )
    values[~finite] = -np.inf
    weights = np.exp(values - values.max(axis=1, keepdims=True)) if num_samples else values
    cdf = np.cumsum(weights, axis=1)
    draws = uniform(key, counter, batch * num_samples, np.float64).reshape(batch, num_samples)
    target = draws * cdf[:, -1:]
    out = np.empty((batch, num_samples), dtype=np.int64)
    # Loop over the shorter side: each turn is one vectorised search.
    if batch <= num_samples:
        for row in range(batch):
            out[row] = np.searchsorted(cdf[row], target[row], side="right")
    else:
        for j in range(num_samples):
            out[:, j] = np.count_nonzero(cdf <= target[:, j : j + 1], axis=1)
    return out


def _as_dtype(
    what: str, dtype: DTypeLike, allowed: Collection[np.dtype[Any]] = tuple(UNIFORMS)
) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"{what} expected a dtype, got {dtype!r}: {error}") from error
    if kind not in allowed:
        names = ", ".join(str(one) for one in allowed)
        raise DTypeError(
            f"{what} expected dtype {names}, got {kind}; draw in one of these and cast"
        )
    return kind


def _fill(
    what: str,
    key: Key,
    counter: int,
    n: int,
    dtype: np.dtype[Any],
    convert: Conversion,
) -> Array:
    """Fill ``[n]`` outputs chunk by chunk; outputs of 8 bytes take two words, others one."""
    n = as_count(what, n)
    per_block = 2 if dtype.itemsize == 8 else WORDS_PER_BLOCK
    out = np.empty(n, dtype=dtype)
    for first, words in words_in_chunks(key, counter, -(-n // per_block)):
        start = first * per_block
        piece = out[start : start + len(words) * per_block]
        piece[...] = convert(words)[: piece.size]
    return out


def _accept(
    key: Key,
    counter: int,
    starts: NDArray[np.uint64],
    convert: Conversion,
    size: int,
) -> Array:
    """First ``size`` accepted normal numbers of each group that starts at ``counter + starts``."""
    out = convert(words_at(key, counter, starts)).reshape(-1, size)
    good = np.abs(out) < _TRUNCATE_AT
    pending = np.flatnonzero(~good.all(axis=1))
    filled = good[pending].sum(axis=1)
    kept = np.zeros((len(pending), size), dtype=out.dtype)
    rows, columns = np.nonzero(good[pending])
    kept[rows, _ranks(good[pending])[rows, columns]] = out[pending[rows], columns]
    out[pending] = kept
    step = 0
    while pending.size:
        step += 1
        fresh = convert(words_at(key, counter, starts[pending] + np.uint64(step)))
        fresh = fresh.reshape(-1, size)
        good = np.abs(fresh) < _TRUNCATE_AT
        target = filled[:, None] + _ranks(good)
        rows, columns = np.nonzero(good & (target < size))
        out[pending[rows], target[rows, columns]] = fresh[rows, columns]
        filled = filled + good.sum(axis=1)
        short = filled < size
        pending, filled = pending[short], filled[short]
    return out


def _ranks(good: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many accepted numbers stand before each one in its row."""
    return np.cumsum(good, axis=1, dtype=np.int64) - 1

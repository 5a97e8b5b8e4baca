"""Philox4x32-10, the counter-based generator behind every random number of minigrad.

A counter-based generator has no state: block *i* of a stream is a keyed bijection of the number
*i*. So a draw is a pure function of a key and a position, any part of a stream can be computed
without the part before it, and replaying a draw (in a backward pass, in a recomputed loop body)
costs no memory.

The stream layout is TensorFlow's: a :data:`Key` is the pair ``(seed, seed2)`` of 64-bit numbers.
``seed`` is the Philox key; the 128-bit Philox counter is ``seed2 * 2**64 + block``. Every block
holds four 32-bit words.

Sources: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
section 3.3 (the cipher and its constants); TensorFlow's ``philox_random.h`` (the layout) and
``python/framework/random_seed.py`` (the rule that makes a key from seeds).
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

__all__ = [
    "CHUNK_BLOCKS",
    "DEFAULT_GRAPH_SEED",
    "MAX_SEED",
    "WORDS_PER_BLOCK",
    "Key",
    "as_count",
    "as_integer",
    "key_from_seeds",
    "philox4x32",
    "uniform_bits",
    "words_at",
    "words_in_chunks",
]

Key: TypeAlias = tuple[int, int]
"""``(seed, seed2)``: two 64-bit integers; negative ones are read as two's complement."""

DEFAULT_GRAPH_SEED = 87654321
"""What TensorFlow puts in place of the graph seed where only the operation has one."""

MAX_SEED = 2**31 - 1
"""Seeds are reduced modulo this number; it also stands in for ``seed2`` of the key (0, 0)."""

WORDS_PER_BLOCK = 4

_ROUNDS = 10
_MASK32 = 0xFFFFFFFF
_MASK64 = 2**64 - 1
_MASK128 = 2**128 - 1
_WEYL = (0x9E3779B9, 0xBB67AE85)  # key increments per round: golden ratio, sqrt(3) - 1
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)
_LOW32 = np.uint64(_MASK32)
_SHIFT32 = np.uint64(32)

# Blocks per pass: the three working arrays of a pass (2 x blocks x 8 bytes) stay in the L2 cache.
CHUNK_BLOCKS = 4096


def key_from_seeds(graph_seed: int | None, op_seed: int | None, position: int | None = None) -> Key:
    """Make a key from a graph-level and an operation-level seed, by TensorFlow's rule.

    ========== ======= ==============================================================
    graph_seed op_seed key
    ========== ======= ==============================================================
    given      given   ``(graph_seed, op_seed)``
    None       given   ``(87654321, op_seed)``
    given      None    ``(graph_seed, position)``: the caller says which op this is
    None       None    an error: the caller must choose a key, at random for instance
    ========== ======= ==============================================================

    Both parts are reduced modulo ``2**31 - 1`` and ``(0, 0)`` becomes ``(0, 2**31 - 1)``, since
    TensorFlow's kernels take (0, 0) for "not seeded".

    Args:
        graph_seed: seed of the graph (or of the process), or None.
        op_seed: seed of the operation, or None.
        position: stands in for ``op_seed`` where only the graph has a seed: TensorFlow 1 puts the
            number of nodes in the graph here, TensorFlow 2 a count of the seedless random ops.

    Returns:
        The key, two Python integers.

    Raises:
        ArgumentError: both seeds are None, or only the graph seed is given and there is no
            position.

    >>> key_from_seeds(None, 2)
    (87654321, 2)
    >>> key_from_seeds(1, 0), key_from_seeds(0, 0)
    ((1, 0), (0, 2147483647))
    >>> key_from_seeds(3, None, position=7)
    (3, 7)
    """
    if graph_seed is None and op_seed is None:
        raise ArgumentError(
            "key_from_seeds expected a graph seed or an op seed, got neither; "
            "without a seed choose a key yourself, for instance from numpy.random.SeedSequence()"
        )
    seed = DEFAULT_GRAPH_SEED if graph_seed is None else int(graph_seed) % MAX_SEED
    second = position if op_seed is None else op_seed
    if second is None:
        raise ArgumentError(
            f"key_from_seeds got the graph seed {graph_seed} and no op seed; it expected position= "
            "too (the op's place in the graph), or an op seed"
        )
    seed2 = int(second) % MAX_SEED
    return (0, MAX_SEED) if (seed, seed2) == (0, 0) else (seed, seed2)


def philox4x32(key: int, counters: ArrayLike) -> NDArray[np.uint32]:
    """Encrypt 128-bit counters with Philox4x32, 10 rounds.

    Args:
        key: 64-bit key; its low half is the first key word of the paper.
        counters: uint32 words, shape ``[..., 4]``, the least significant word first.

    Returns:
        uint32 array of the shape of ``counters``: one block of four random words per counter.

    Raises:
        DTypeError: ``counters`` holds something else than integers.
        ShapeError: the last dimension of ``counters`` is not 4.
        ArgumentError: a counter word lies outside ``[0, 2**32)``.

    >>> [f"{word:08x}" for word in philox4x32(0, [0, 0, 0, 0])]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    array = np.asarray(counters)
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"philox4x32 expected integer counter words, got dtype {array.dtype}; "
            "pass an array of uint32"
        )
    if array.ndim == 0 or array.shape[-1] != WORDS_PER_BLOCK:
        raise ShapeError(
            f"philox4x32 expected counters of shape [..., 4], got {list(array.shape)}; "
            "a counter is four 32-bit words, the least significant first"
        )
    if array.size and (int(array.min()) < 0 or int(array.max()) > _MASK32):
        raise ArgumentError(
            f"philox4x32 expected counter words in [0, 2**32), got values from {array.min()} to "
            f"{array.max()}; split a larger counter into 32-bit words"
        )
    words = array.astype(np.uint64).reshape(-1, WORDS_PER_BLOCK).T
    even, odd = words[0::2].copy(), words[1::2].copy()
    return _encrypt(int(key) & _MASK64, even, odd).reshape(array.shape)


def words_at(key: Key, counter: int, offsets: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Words of the blocks ``counter + offsets`` of a stream.

    Args:
        key: the stream.
        counter: block number that the offsets count from. A sum past ``2**64`` carries into
            ``seed2``, as in the 128-bit counter.
        offsets: uint64 array of shape ``[blocks]``, each below ``2**63``.

    Returns:
        uint32 array ``[blocks, 4]``.

    >>> words_at((1, 2), 5, np.array([0, 3], dtype=np.uint64)).shape
    (2, 4)
    """
    seed, seed2 = key
    base = (((int(seed2) & _MASK64) << 64) + int(counter)) & _MASK128
    low, high = base & _MASK64, base >> 64
    count = offsets.shape[0]
    even = np.empty((2, count), dtype=np.uint64)
    odd = np.empty((2, count), dtype=np.uint64)
    block = offsets + np.uint64(low)
    np.bitwise_and(block, _LOW32, out=even[0])
    np.right_shift(block, _SHIFT32, out=odd[0])
    even[1] = high & _MASK32
    odd[1] = high >> 32
    if low >> 63:
        wrapped = block < np.uint64(low)
        after = (high + 1) & _MASK64
        even[1][wrapped] = after & _MASK32
        odd[1][wrapped] = after >> 32
    return _encrypt(int(seed) & _MASK64, even, odd)


def words_in_chunks(
    key: Key, counter: int, blocks: int
) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """Yield the blocks ``counter .. counter + blocks`` in pieces that fit the cache.

    Yields:
        Pairs of the first block of the piece, counted from ``counter``, and its words, uint32 of
        shape ``[piece, 4]``.

    >>> [(first, words.shape) for first, words in words_in_chunks((1, 2), 0, 5000)]
    [(0, (4096, 4)), (4096, (904, 4))]
    """
    for first in range(0, blocks, CHUNK_BLOCKS):
        last = min(first + CHUNK_BLOCKS, blocks)
        yield first, words_at(key, counter, np.arange(first, last, dtype=np.uint64))


def uniform_bits(key: Key, counter: int, n: int) -> NDArray[np.uint32]:
    """The first ``n`` 32-bit words of a stream, from block ``counter`` on.

    Args:
        key: the stream.
        counter: block to start at.
        n: number of words.

    Returns:
        uint32 array of shape ``[n]``.

    Raises:
        ArgumentError: ``n`` is negative.

    >>> uniform_bits((0, 0), 0, 2)
    array([1713891541, 3781805453], dtype=uint32)
    >>> bool(uniform_bits((0, 0), 0, 6)[4] == uniform_bits((0, 0), 1, 1)[0])
    True
    """
    n = as_count("uniform_bits", n)
    out = np.empty(n, dtype=np.uint32)
    for first, words in words_in_chunks(key, counter, -(-n // WORDS_PER_BLOCK)):
        piece = out[WORDS_PER_BLOCK * first : WORDS_PER_BLOCK * first + words.size]
        piece[...] = words.reshape(-1)[: piece.size]
    return out


def as_count(what: str, n: int) -> int:
    """Check a number of outputs; ``what`` is the caller's name, for the message.

    Raises:
        ArgumentTypeError: ``n`` is not an integer.
        ArgumentError: ``n`` is negative.

    >>> as_count("uniform", np.int64(3))
    3
    """
    count = as_integer(what, "a number of outputs", n)
    if count < 0:
        raise ArgumentError(
            f"{what} expected a number of outputs of 0 or more, got {count}; "
            "use the product of the output's dimensions"
        )
    return count


def as_integer(what: str, name: str, value: int) -> int:
    """Check that an argument is an integer (Python's or NumPy's); returns Python's.

    Raises:
        ArgumentTypeError: it is something else, a float for instance.

    >>> as_integer("integers", "low", np.int32(-4))
    -4
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise ArgumentTypeError(
            f"{what} expected an integer as {name}, got {value!r} of type "
            f"{type(value).__name__}; convert it with int()"
        ) from error


def _encrypt(key: int, even: NDArray[np.uint64], odd: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Ten rounds on counter words 0 and 2 (``even``) and 1 and 3 (``odd``); both are used up.

    Both halves of a round are the same operation with other constants, so the four words are kept
    as two arrays ``[2, blocks]`` and every array operation does both halves. A round maps
    ``(c0, c1, c2, c3)`` to ``(hi(c2*M1)^c1^k0, lo(c2*M1), hi(c0*M0)^c3^k1, lo(c0*M0))``: the
    reversal of the rows is the exchange of the two products.
    """
    product = np.empty_like(even)
    swapped = product[::-1]
    for round_key in _key_schedule(key):
        np.multiply(even, _MULTIPLIERS, out=product)
        np.right_shift(product, _SHIFT32, out=even)
        np.bitwise_xor(odd, even[::-1], out=odd)
        np.bitwise_xor(odd, round_key, out=odd)
        np.bitwise_and(swapped, _LOW32, out=even)
        even, odd = odd, even
    out = np.empty((even.shape[1], WORDS_PER_BLOCK), dtype=np.uint32)
    out[:, 0::2] = even.T
    out[:, 1::2] = odd.T
    return out


@lru_cache(maxsize=1024)
def _key_schedule(key: int) -> NDArray[np.uint64]:
    """Round keys, ``[rounds, 2, 1]``. Kept, since an op draws with one key over and over."""
    schedule = [
        [
            [(half + step * weyl) & _MASK32]
            for half, weyl in zip((key, key >> 32), _WEYL, strict=True)
        ]
        for step in range(_ROUNDS)
    ]
    return np.array(schedule, dtype=np.uint64)

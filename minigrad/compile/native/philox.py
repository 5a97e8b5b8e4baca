"""Random numbers in native code: Philox 4x32-10, and what its words become.

`minigrad.philox` and `minigrad.random_conversions` say what the numbers are; uniform ones are the
same to the last bit, normal ones up to the last bits of ``log``, ``sin`` and ``cos``.

A 32-bit word lies in a lane of 64 bits, whose upper half is of no account: so a product of two
words is one instruction. Lanes are blocks of the stream, and a vector of each of a block's four
words is in work at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from minigrad.compile.native.math.logarithm import log_of_normal
from minigrad.compile.native.math.trigonometric import sin_and_cos
from minigrad.compile.native.memory import shuffle
from minigrad.compile.native.types import F32, F64, I64, PTR, U32, U64, Type
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.philox import WORDS_PER_BLOCK

_ROUNDS = 10
_LOW = 0xFFFFFFFF
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_LEAST = 1e-7  # keeps the logarithm away from 0
_TRUNCATE_AT = 2.0
_ONE = 1023 << 52  # the bits of 1.0


def per_block(t: Type) -> int:
    """How many numbers of a type a block makes."""
    return WORDS_PER_BLOCK * 32 // t.bits


def per_vector(module: Module, t: Type) -> int:
    """How many numbers a turn of a generator's loop makes: those of a vector of blocks."""
    return module.lanes(U64) * per_block(t)


class Integers(NamedTuple):
    """The distribution of integers from `low` on, `span` of them."""

    low: int
    span: int


#: What numbers are drawn: ``"uniform"`` or ``"normal"`` floats, or integers.
Distribution: TypeAlias = "str | Integers"


def generator(module: Module, distribution: Distribution, t: Type) -> str:
    """The name of a function that fills memory with numbers of a distribution.

    ``void @f(ptr out, i64 low, i64 high, i64 key, i64 step, i64 vectors)``: the 128-bit counter
    (low, high) is the first block's, and the next one's is `step` on. So many vectors of blocks
    are written, each of `per_vector` numbers.
    """

    def make(name: str) -> None:
        _write_generator(module, name, _conversion(distribution, t))

    return module.shared(("philox", distribution, t), make)


def accepting(module: Module, t: Type) -> str:
    """The name of a function that draws the truncated normal numbers of one block's worth.

    ``void @f(ptr out, i64 low, i64 high, i64 key)`` takes those less than 2 in magnitude, in their
    order, from the 128-bit counter (low, high) on.
    """

    def make(name: str) -> None:
        _write_accepting(module, name, t)

    return module.shared(("philox accepting", t), make)


def is_rejected(w: Writer, values: Value) -> Value:
    """Whether any of some normal numbers is not for truncated ones."""
    return w.any(w.not_(_is_accepted(w, values)))


def counter_at(
    w: Writer, low: Value, high: Value, blocks: Value, step: int = 1
) -> tuple[Value, Value]:
    """The 128-bit counter so many times `step` blocks on; that is fewer than 2⁶⁴."""
    on = w.mul(blocks, w.index(step)) if step != 1 else blocks
    moved = w.add(low, w.convert(on, U64))
    carry = w.convert(w.compare("<", moved, low), U64)
    return moved, w.add(high, carry)


def _is_accepted(w: Writer, values: Value) -> Value:
    return w.compare("<", w.abs(values), w.like(_TRUNCATE_AT, values))


# -- the cipher --------------------------------------------------------------------------------


def _write_generator(
    module: Module, name: str, convert: Callable[[Writer, list[Value]], list[Value]]
) -> None:
    parameters = [("out", PTR), ("low", U64), ("high", U64), ("key", U64), ("step", U64)]
    w = module.function(name, [*parameters, ("vectors", I64)], attributes="noinline nounwind")
    out, low, high, key, step, vectors = w.parameters
    lanes = module.lanes(U64)
    wide = U64.of(lanes)
    keys = [w.splat(k, lanes) for k in _key_schedule(w, key)]
    base, over = w.splat(low, lanes), w.splat(high, lanes)
    steps = w.splat(step, lanes)
    first = w.add(base, w.mul(steps, w.iota(wide)))
    jump = w.mul(steps, w.const(lanes, wide))
    with w.loop(0, vectors, 1, [first, out]) as loop:
        block, place = loop.values
        carry = w.convert(w.compare("<", block, base), U64)
        upper = w.add(over, carry)
        by = w.const(32, wide)
        words = [block, w.shr(block, by), upper, w.shr(upper, by)]
        made = convert(w, _encrypt(w, words, keys))
        for vector in made:
            w.store(vector, place)
            place = w.at(place, vector.lanes, vector.type.scalar)
        loop.next = (w.add(block, jump), place)
    w.finish()


def _key_schedule(w: Writer, key: Value) -> list[Value]:
    """The two halves of the key of each round; the bits above the lower 32 count for nothing."""
    halves = [key, w.shr(key, w.const(32, U64))]
    made = list(halves)
    for _ in range(_ROUNDS - 1):
        halves = [w.add(k, w.const(weyl, U64)) for k, weyl in zip(halves, _WEYL, strict=True)]
        made += halves
    return made


def _encrypt(w: Writer, words: list[Value], keys: list[Value]) -> list[Value]:
    """Ten rounds; the upper halves of all lanes count for nothing, before and after."""
    wide = words[0].type
    low, by = w.const(_LOW, wide), w.const(32, wide)
    c0, c1, c2, c3 = words
    for k0, k1 in zip(keys[::2], keys[1::2], strict=True):
        p0, p1 = (
            w.mul(w.and_(c, low), w.const(factor, wide))
            for c, factor in zip((c0, c2), _MULTIPLIERS, strict=True)
        )
        c0 = w.xor(w.xor(w.shr(p1, by), c1), k0)
        c2 = w.xor(w.xor(w.shr(p0, by), c3), k1)
        c1, c3 = p1, p0
    return [c0, c1, c2, c3]


# -- numbers -----------------------------------------------------------------------------------


def _interleaved(w: Writer, a: Value, b: Value) -> list[Value]:
    """The lanes of two vectors by turns, as two vectors."""
    n = a.lanes
    order = [i // 2 + n * (i % 2) for i in range(2 * n)]
    return [shuffle(w, a, b, order[:n]), shuffle(w, a, b, order[n:])]


def _paired(w: Writer, low: Value, high: Value) -> Value:
    """The lower halves of two vectors' lanes, as lower and upper halves."""
    wide = low.type
    up = w.shl(high, w.const(32, wide))
    return w.or_(w.and_(low, w.const(_LOW, wide)), up)


def _uniform32(w: Writer, words: list[Value]) -> list[Value]:
    a, b = _paired(w, *words[:2]), _paired(w, *words[2:])
    made = []
    for pairs in _interleaved(w, a, b):
        bits = w.bitcast(pairs, U32.of(2 * pairs.lanes))
        bits = w.or_(w.and_(bits, w.like(0x7FFFFF, bits)), w.like(127 << 23, bits))
        number = w.bitcast(bits, F32.of(bits.lanes))
        made.append(w.sub(number, w.like(1.0, number)))
    return made


def _uniform_of_pair(w: Writer, high: Value, low: Value) -> Value:
    """A uniform double from 20 bits of a word above 32 of the next."""
    wide = high.type
    bits = _paired(w, low, w.and_(high, w.const(0xFFFFF, wide)))
    number = w.bitcast(w.or_(bits, w.const(_ONE, wide)), F64.of(wide.lanes))
    return w.sub(number, w.like(1.0, number))


def _uniform_of_word(w: Writer, word: Value) -> Value:
    """The uniform float32 of a word, as a double."""
    wide = word.type
    bits = w.shl(w.and_(word, w.const(0x7FFFFF, wide)), w.const(52 - 23, wide))
    number = w.bitcast(w.or_(bits, w.const(_ONE, wide)), F64.of(wide.lanes))
    return w.sub(number, w.like(1.0, number))


def _uniform64(w: Writer, words: list[Value]) -> list[Value]:
    return _interleaved(w, _uniform_of_pair(w, *words[:2]), _uniform_of_pair(w, *words[2:]))


def _normal32(w: Writer, words: list[Value]) -> list[Value]:
    """Every step in double precision, and rounded to single."""
    halves = []
    for word, other in (words[:2], words[2:]):
        u = _uniform_of_word(w, word)
        u = w.maximum(u, w.like(float(np.float32(_LEAST)), u))
        v = _uniform_of_word(w, other)
        angle = _rounded(w, w.mul(v, w.like(2.0 * math.pi, v)))
        log = w.convert(log_of_normal(w, u), F32)
        radius = w.sqrt(w.mul(log, w.like(-2.0, log)))
        parts = [w.mul(w.convert(x, F32), radius) for x in sin_and_cos(w, angle)]
        lanes = radius.lanes
        bits = [w.convert(w.bitcast(x, U32.of(lanes)), U64) for x in parts]
        halves.append(_paired(w, *bits))
    return [w.bitcast(x, F32.of(2 * x.lanes)) for x in _interleaved(w, *halves)]


def _rounded(w: Writer, x: Value) -> Value:
    """A double rounded to single precision."""
    return w.convert(w.convert(x, F32), F64)


def _normal64(w: Writer, words: list[Value]) -> list[Value]:
    u = _uniform_of_pair(w, *words[:2])
    u = w.maximum(u, w.like(_LEAST, u))
    v = _uniform_of_pair(w, *words[2:])
    log = log_of_normal(w, u)
    radius = w.sqrt(w.mul(log, w.like(-2.0, log)))
    sin, cos = sin_and_cos(w, w.mul(v, w.like(2.0 * math.pi, v)))
    return _interleaved(w, w.mul(sin, radius), w.mul(cos, radius))


def _conversion(
    distribution: Distribution, t: Type
) -> Callable[[Writer, list[Value]], list[Value]]:
    if isinstance(distribution, str):
        return _CONVERSIONS[distribution, t]
    low, span = distribution
    return lambda w, words: _integers(w, words, low, span, Type("uint", t.bits))


def _integers(w: Writer, words: list[Value], low: int, span: int, t: Type) -> list[Value]:
    """The remainder of a word, or of a pair of which the first is the lower half."""
    made = []
    for pairs in _interleaved(w, _paired(w, *words[:2]), _paired(w, *words[2:])):
        bits = w.bitcast(pairs, t.of(pairs.lanes * 64 // t.bits))
        if span < 2**t.bits:
            bits = w.rem(bits, w.like(span, bits))
        made.append(w.add(bits, w.like(low % 2**t.bits, bits)))
    return made


_CONVERSIONS = {
    ("uniform", F32): _uniform32,
    ("uniform", F64): _uniform64,
    ("normal", F32): _normal32,
    ("normal", F64): _normal64,
}


# -- what is drawn again -----------------------------------------------------------------------


def _write_accepting(module: Module, name: str, t: Type) -> None:
    """Candidates come a vector of blocks at a time; each is written after the last one kept."""
    parameters = [("out", PTR), ("low", U64), ("high", U64), ("key", U64)]
    w = module.function(name, parameters, attributes="noinline nounwind")
    out, low, high, key = w.parameters
    size, made = per_block(t), per_vector(module, t)
    candidates, kept = w.reserve(made, t), w.reserve(size + made, t)
    state = w.reserve(2, I64)
    w.store(w.index(0), state)
    w.store(w.index(0), w.at(state, 1, I64))
    again, done = w.label("again"), w.label("done")
    w.put(f"br label %{again}")
    w.begin(again)
    turn = w.load(w.at(state, 1, I64), I64)
    start = counter_at(w, low, high, turn, module.lanes(U64))
    one = w.const(1, U64)
    w.call(generator(module, "normal", t), candidates, *start, key, one, w.index(1))
    with w.loop(0, made, 1, [w.load(state, I64)]) as loop:
        (count,) = loop.values
        value = w.load(w.at(candidates, loop.index, t), t)
        w.store(value, w.at(kept, count, t))
        loop.next = (w.add(count, w.convert(_is_accepted(w, value), I64)),)
    (count,) = loop.results
    w.store(count, state)
    w.store(w.add(turn, w.index(1)), w.at(state, 1, I64))
    short = w.compare("<", count, w.index(size))
    w.put(f"br i1 {short.text}, label %{again}, label %{done}")
    w.begin(done)
    w.store(w.load(kept, t.of(size)), out)
    w.finish()

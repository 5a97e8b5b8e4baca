"""Quotients and remainders with NumPy's results, and shifts.

An integer divided by 0 gives 0, the least integer divided by -1 itself, a shift by all bits or more
what is left: 0, or -1 of a negative number shifted right. Nothing traps.
"""

from __future__ import annotations

from minigrad.compile.native.math.common import NAN, repaired_pair
from minigrad.compile.native.types import F64, Type
from minigrad.compile.native.writer import Value, Writer


def _quotient_and_rest(w: Writer, a: Value, b: Value) -> tuple[Value, Value, Value]:
    """a / b rounded towards 0, and what it leaves; both 0 for b = 0, which is the third."""
    zero = w.compare("==", b, w.like(0, b))
    if a.type.bits <= 32:
        # In double precision: one rounding cannot reach a whole number that the quotient has not.
        # Vectors of integers could only be divided lane by lane.
        safe = w.select(zero, w.like(1, b), b)
        exact = w.div(w.convert(a, F64), w.convert(safe, F64))
        wide = w.convert(w.intrinsic("trunc", exact), Type("int", 64))
        quotient = w.convert(wide, a.type.scalar)
    else:
        unsafe = zero
        if a.type.kind == "int":
            # By -1 it is the negative, which wraps around where a quotient traps.
            minus = w.compare("==", b, w.like(-1, b))
            unsafe = w.or_(zero, minus)
        quotient = w.div(a, w.select(unsafe, w.like(1, b), b))
        if a.type.kind == "int":
            quotient = w.select(minus, w.neg(a), quotient)
    quotient = w.select(zero, w.like(0, a), quotient)
    rest = w.sub(a, w.mul(quotient, b))
    return quotient, w.select(zero, w.like(0, a), rest), zero


def _is_off(w: Writer, rest: Value, b: Value) -> Value:
    """Whether a rest other than 0 has not the sign of b."""
    zero = w.like(0, rest)
    differ = w.xor(w.compare("<", rest, zero), w.compare("<", b, zero))
    return w.and_(differ, w.compare("!=", rest, zero))


def fmod(w: Writer, a: Value, b: Value) -> Value:
    """What a leaves when divided by b, with the sign of a."""
    if not a.type.is_float:
        return _quotient_and_rest(w, a, b)[1]
    size = w.abs(b)
    ratio = w.abs(w.div(a, b))
    whole = w.copysign(w.intrinsic("trunc", ratio), a)
    # Exact as long as the quotient is. It may have been rounded up to the next whole number: then
    # the rest has the wrong sign.
    rest = w.fma(w.neg(whole), size, a)
    zero = w.like(0.0, a)
    over = w.compare("<", w.mul(w.copysign(w.like(1.0, a), a), rest), zero)
    rest = w.select(over, w.add(rest, w.copysign(size, a)), rest)
    limit = 2.0**23 if a.type.bits == 32 else 2.0**52
    exact = w.and_(
        w.compare("<", ratio, w.like(limit, a)), w.compare("<", size, w.like(float("inf"), a))
    )
    return repaired_pair(w, "fmod", a, b, w.copysign(rest, a), w.not_(exact))


def _divided(w: Writer, a: Value, b: Value) -> tuple[Value, Value]:
    """The rest with the sign of b, and (a - rest)/b; of floats, as NumPy computes them."""
    rest = fmod(w, a, b)
    quotient = w.div(w.sub(a, rest), b)
    off = _is_off(w, rest, b)
    quotient = w.select(off, w.add(quotient, w.like(-1.0, a)), quotient)
    whole = w.compare("==", rest, w.like(0.0, a))
    rest = w.select(off, w.add(rest, b), rest)
    return w.select(whole, w.copysign(w.like(0.0, a), b), rest), quotient


def remainder(w: Writer, a: Value, b: Value) -> Value:
    """What a leaves when divided by b, with the sign of b."""
    if a.type.is_float:
        return _divided(w, a, b)[0]
    rest = _quotient_and_rest(w, a, b)[1]
    if a.type.kind == "uint":
        return rest
    return w.select(_is_off(w, rest, b), w.add(rest, b), rest)


def floor_divide(w: Writer, a: Value, b: Value) -> Value:
    """a / b rounded down."""
    if not a.type.is_float:
        quotient, rest, _ = _quotient_and_rest(w, a, b)
        if a.type.kind == "uint":
            return quotient
        return w.select(_is_off(w, rest, b), w.add(quotient, w.like(-1, a)), quotient)
    zero, plain = w.like(0.0, a), w.div(a, b)
    quotient = _divided(w, a, b)[1]
    down = w.intrinsic("floor", quotient)
    more = w.compare(">", w.sub(quotient, down), w.like(0.5, a))
    down = w.select(more, w.add(down, w.like(1.0, a)), down)
    made = w.select(w.compare("==", quotient, zero), w.copysign(zero, plain), down)
    made = w.select(w.is_nan(quotient), w.like(NAN, a), made)
    return w.select(w.compare("==", b, zero), plain, made)


def left_shift(w: Writer, a: Value, b: Value) -> Value:
    """a · 2^b in the bits of the type."""
    safe, over = _shift(w, b)
    return w.select(over, w.like(0, a), w.shl(a, safe))


def right_shift(w: Writer, a: Value, b: Value) -> Value:
    """a / 2^b rounded down."""
    safe, over = _shift(w, b)
    zero = w.like(0, a)
    left = zero
    if a.type.kind == "int":
        left = w.select(w.compare("<", a, zero), w.like(-1, a), zero)
    return w.select(over, left, w.shr(a, safe))


def _shift(w: Writer, b: Value) -> tuple[Value, Value]:
    """A shift that is defined, and whether b is none; as in NumPy a negative one is too large."""
    unsigned = Value(b.text, Type("uint", b.type.bits, b.type.lanes))
    over = w.compare(">=", unsigned, w.const(b.type.bits, unsigned.type))
    return w.select(over, w.like(0, b), b), over

"""Rounding to whole numbers, and to the neighbours of a number. Integers stay as they are."""

from __future__ import annotations

from minigrad.compile.native.math.common import from_bits, int_type, to_bits
from minigrad.compile.native.writer import Value, Writer


def _rounded(w: Writer, name: str, x: Value) -> Value:
    return w.intrinsic(name, x) if x.type.is_float else x


def rint(w: Writer, x: Value) -> Value:
    """The nearest whole number; halves go to the even one."""
    return _rounded(w, "roundeven", x)


def floor(w: Writer, x: Value) -> Value:
    """The largest whole number not above x."""
    return _rounded(w, "floor", x)


def ceil(w: Writer, x: Value) -> Value:
    """The smallest whole number not below x."""
    return _rounded(w, "ceil", x)


def trunc(w: Writer, x: Value) -> Value:
    """x without its fraction."""
    return _rounded(w, "trunc", x)


def nextafter(w: Writer, x: Value, y: Value) -> Value:
    """The next number after x towards y."""
    ints, zero = int_type(x), w.like(0.0, x)
    one = w.const(1, ints)
    # Away from 0 the bits count up, on either side.
    outward = w.compare("==", w.compare(">", y, x), w.compare(">", x, zero))
    step = w.select(outward, one, w.neg(one))
    moved = from_bits(w, w.add(to_bits(w, x), step))
    least = w.copysign(from_bits(w, one), y)
    moved = w.select(w.compare("==", x, zero), least, moved)
    made = w.select(w.compare("==", x, y), y, moved)
    return w.select(w.or_(w.is_nan(x), w.is_nan(y)), w.add(x, y), made)

"""Logarithms: x = 2^e · m with m in [√½, √2), and a polynomial in m - 1 or in (m - 1)/(m + 1).

The latter as in fdlibm (Sun Microsystems, 1993).
"""

from __future__ import annotations

import math

from minigrad.compile.native.math.common import (
    INF,
    NAN,
    format_of,
    from_bits,
    horner,
    int_type,
    mul,
    to_bits,
)
from minigrad.compile.native.types import Type
from minigrad.compile.native.writer import Value, Writer

#: (log(1 + f) - f + f²/2)/f³ in f.
_DIRECT_32 = (
    -0.5,
    0.3333333134651184,
    -0.250008225440979,
    0.20001238584518433,
    -0.16623298823833466,
    0.14201609790325165,
    -0.13160750269889832,
    0.12762469053268433,
    -0.07633695006370544,
)
#: (log(1 + f)/s - 2)/s² in s², for s = f/(2 + f).
_QUOTIENT_64 = (
    0.6666666666666736,
    0.39999999999403046,
    0.28571428744966343,
    0.22222198304762059,
    0.18183578587777618,
    0.15313676220736272,
    0.1479979763359458,
)
#: The bits of √½, and how far a subnormal is shifted up.
_ROOT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}
_UP = {32: 23, 64: 52}
_LN2 = {32: (0.6931471824645996, 0.0), 64: (0.6931471805599453, 2.3190468138462996e-17)}
_LOG2_E = {
    32: (1.4426950216293335, 1.925963033500011e-08),
    64: (1.4426950408889634, 2.0355273740931033e-17),
}
_LOG10_E = {
    32: (0.4342944920063019, -1.0103049952192578e-08),
    64: (0.4342944819032518, 1.098319650216765e-17),
}
_LOG10_2 = {
    32: (0.3010300099849701, -1.432098883924482e-08),
    64: (0.3010299956639812, -2.8037281277851704e-18),
}


def log1p_parts(w: Writer, f: Value) -> Value:
    """log(1 + f) - f, for f in [√½ - 1, √2 - 1]."""
    if f.type.bits == 32:
        return w.mul(horner(w, _DIRECT_32, f), w.mul(f, f))
    s = w.div(f, w.add(f, w.like(2.0, f)))
    z = w.mul(s, s)
    half = w.mul(mul(w, f, 0.5), f)
    return w.fma(s, w.fma(z, horner(w, _QUOTIENT_64, z), half), w.neg(half))


def _natural(w: Writer, e: Value, f: Value) -> Value:
    """log(2^e · (1 + f)), for f as above."""
    high, low = _LN2[f.type.bits]
    if f.type.bits == 32:
        made = w.fma(horner(w, _DIRECT_32, f), w.mul(f, f), f)
    else:
        made = w.fma(e, w.like(low, f), w.add(f, log1p_parts(w, f)))
    return w.fma(e, w.like(high, f), made)


def _times(w: Writer, f: Value, factor: tuple[float, float]) -> Value:
    """log(1 + f) times a constant, for f as above."""
    high, low = factor
    rest = w.fma(log1p_parts(w, f), w.like(high, f), mul(w, f, low))
    return w.fma(f, w.like(high, f), rest)


def split(w: Writer, x: Value, *, normal: bool = False) -> tuple[Value, Value]:
    """e and m - 1 with x = 2^e · m and m in [√½, √2), for a positive finite x."""
    form, bits, ints = format_of(x), x.type.bits, int_type(x)
    up, given = _UP[bits], x
    tiny = w.compare("<", x, w.like(form.least, x))
    if not normal:
        x = w.select(tiny, mul(w, x, 2.0**up), x)
    root = w.const(_ROOT_HALF[bits], ints)
    shifted = w.sub(to_bits(w, x), root)
    e = w.convert(w.shr(shifted, w.const(form.fraction, ints)), x.type.scalar)
    if not normal:
        e = w.select(tiny, w.add(e, w.like(-float(up), given)), e)
    fraction = w.and_(shifted, w.const((1 << form.fraction) - 1, ints))
    m = from_bits(w, w.add(fraction, root))
    return e, w.add(m, w.like(-1.0, x))


def completed(w: Writer, x: Value, y: Value) -> Value:
    """y, but for the logarithm of 0, of negative numbers, of infinity and of NaN."""
    integers = Type("uint", x.type.bits, x.type.lanes)
    form = format_of(x)
    infinity = ((1 << (x.type.bits - 1 - form.fraction)) - 1) << form.fraction
    # Less 1, the bits of 0 are the greatest number.
    rank = w.sub(w.bitcast(x, integers), w.const(1, integers))
    usual = w.compare("<", rank, w.const(infinity - 1, integers))
    # Infinity and NaN stay.
    other = w.select(w.compare("<", x, w.like(0.0, x)), w.like(NAN, x), x)
    other = w.select(w.compare("==", x, w.like(0.0, x)), w.like(-INF, x), other)
    return w.select(usual, y, other)


def log(w: Writer, x: Value) -> Value:
    """The natural logarithm."""
    return completed(w, x, _natural(w, *split(w, x)))


def log_of_normal(w: Writer, x: Value) -> Value:
    """The natural logarithm of a positive number, finite and not subnormal."""
    return _natural(w, *split(w, x, normal=True))


def log2(w: Writer, x: Value) -> Value:
    """The logarithm to base 2; exact for powers of 2."""
    e, f = split(w, x)
    return completed(w, x, w.add(_times(w, f, _LOG2_E[x.type.bits]), e))


def log10(w: Writer, x: Value) -> Value:
    """The logarithm to base 10."""
    e, f = split(w, x)
    high, low = _LOG10_2[x.type.bits]
    made = w.fma(e, w.like(low, x), _times(w, f, _LOG10_E[x.type.bits]))
    return completed(w, x, w.fma(e, w.like(high, x), made))


def log1p(w: Writer, x: Value) -> Value:
    """log(1 + x)."""
    form, bits, ints = format_of(x), x.type.bits, int_type(x)
    by = w.const(form.fraction, ints)
    # e is that of 1 + x, but f = (1 + x)/2^e - 1 is computed from x itself: from a quarter of it
    # and 4/2^e, because 1/2^e may be subnormal.
    nearly = to_bits(w, w.add(x, w.like(1.0, x)))
    exponent = w.shr(w.sub(nearly, w.const(_ROOT_HALF[bits], ints)), by)
    four = w.const(2 + form.bias << form.fraction, ints)
    power = from_bits(w, w.sub(four, w.shl(exponent, by)))
    f = w.fma(mul(w, x, 0.25), power, w.fma(power, w.like(0.25, x), w.like(-1.0, x)))
    made = _natural(w, w.convert(exponent, x.type.scalar), f)
    # Infinity and NaN stay, and what is so small that a quarter of it might not be exact.
    size = w.abs(x)
    usual = w.and_(
        w.compare(">", size, w.like(2.0 ** -(form.fraction + 2), x)),
        w.compare("<", size, w.like(INF, x)),
    )
    made = w.select(usual, made, x)
    made = w.select(w.compare("==", x, w.like(-1.0, x)), w.like(-INF, x), made)
    return w.select(w.compare("<", x, w.like(-1.0, x)), w.like(NAN, x), made)


def log1p_unit(w: Writer, x: Value) -> Value:
    """log(1 + x) for x in [0, 1], or NaN."""
    large = w.compare(">", x, w.like(math.sqrt(2) - 1, x))
    f = w.select(large, w.fma(x, w.like(0.5, x), w.like(-0.5, x)), x)
    return _natural(w, w.select(large, w.like(1.0, x), w.like(0.0, x)), f)

"""Sine, cosine and tangent.

x is reduced by a multiple of π/2 in three parts (Cody and Waite, 1980); the first product is exact
in `fma`. That serves up to some bound. What lies beyond is left to libm, lane by lane.
"""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.math.common import (
    INF,
    format_of,
    from_bits,
    horner,
    int_type,
    product,
    repaired,
    to_bits,
)
from minigrad.compile.native.writer import Value, Writer
from minigrad.special.trigonometric import _SINC


class _Constants(NamedTuple):
    #: (sin(r)/r - 1)/r² in r², for |r| <= π/4 and a little more.
    sin: tuple[float, ...]
    #: (cos(r) - 1)/r² in r², likewise.
    cos: tuple[float, ...]
    #: π/2 as a sum of positive numbers, so that the sign of a zero is kept.
    parts: tuple[float, float, float]
    #: Up to it the reduction is good.
    bound: float


_TABLE = {
    32: _Constants(
        (
            -0.1666666716337204,
            0.008333374746143818,
            -0.00019850581884384155,
            2.802691824399517e-06,
        ),
        (-0.5, 0.04166664183139801, -0.0013887103414162993, 2.4407099772361107e-05),
        (1.570796251296997, 7.549789415861596e-08, 5.390302953474238e-15),
        2.0**20,
    ),
    64: _Constants(
        (
            -0.16666666666666666,
            0.008333333333333064,
            -0.00019841269841008012,
            2.755731910559011e-06,
            -2.505208076770904e-08,
            1.6055724991433675e-10,
            -7.465627849053922e-13,
        ),
        (
            -0.5,
            0.041666666666666664,
            -0.001388888888888842,
            2.4801587301233076e-05,
            -2.7557319091373717e-07,
            2.087673041890818e-09,
            -1.1467952374739359e-11,
            4.6467721517869365e-14,
        ),
        (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32),
        2.0**30,
    ),
}
_TWO_BY_PI = 0.6366197723675814


class _Reduced(NamedTuple):
    """What x is, but for a multiple n of π/2."""

    sin: Value
    cos: Value
    #: An integer whose lowest bits are those of n.
    n: Value
    #: Whether n is odd.
    odd: Value


def _reduce(w: Writer, x: Value) -> _Reduced:
    table, magic = _TABLE[x.type.bits], w.like(format_of(x).magic, x)
    shifted = w.fma(x, w.like(_TWO_BY_PI, x), magic)
    n, r = w.sub(shifted, magic), x
    for part in table.parts:
        r = w.fma(n, w.like(-part, x), r)
    z = w.mul(r, r)
    sin = w.fma(product(w, horner(w, table.sin, z), z), r, r)
    cos = w.fma(horner(w, table.cos, z), z, w.like(1.0, x))
    bits = to_bits(w, shifted)
    one = w.const(1, bits.type)
    odd = w.compare("!=", w.and_(bits, one), w.const(0, bits.type))
    return _Reduced(sin, cos, bits, odd)


def _with_sign(w: Writer, x: Value, n: Value, bit: int) -> Value:
    """x, negated where this bit of n is set."""
    ints = int_type(x)
    up = w.const(x.type.bits - 1 - bit, ints)
    sign = w.and_(w.shl(n, up), w.const(-(1 << (x.type.bits - 1)), ints))
    return from_bits(w, w.xor(to_bits(w, x), sign))


def _far(w: Writer, x: Value) -> Value:
    return w.compare(">", w.abs(x), w.like(_TABLE[x.type.bits].bound, x))


def sin(w: Writer, x: Value) -> Value:
    """The sine."""
    r = _reduce(w, x)
    made = _with_sign(w, w.select(r.odd, r.cos, r.sin), r.n, 1)
    return repaired(w, "sin", x, made, _far(w, x))


def cos(w: Writer, x: Value) -> Value:
    """The cosine: the sine of x + π/2."""
    r = _reduce(w, x)
    following = w.add(r.n, w.const(1, r.n.type))
    made = _with_sign(w, w.select(r.odd, r.sin, r.cos), following, 1)
    return repaired(w, "cos", x, made, _far(w, x))


def sin_and_cos(w: Writer, x: Value) -> tuple[Value, Value]:
    """Both, of a number that is not large: up to 2²⁰, in double precision 2³⁰."""
    r = _reduce(w, x)
    sin = _with_sign(w, w.select(r.odd, r.cos, r.sin), r.n, 1)
    following = w.add(r.n, w.const(1, r.n.type))
    return sin, _with_sign(w, w.select(r.odd, r.sin, r.cos), following, 1)


def tan(w: Writer, x: Value) -> Value:
    """The tangent."""
    r = _reduce(w, x)
    ratio = w.div(w.select(r.odd, r.cos, r.sin), w.select(r.odd, r.sin, r.cos))
    return repaired(w, "tan", x, _with_sign(w, ratio, r.n, 0), _far(w, x))


def sinc(w: Writer, x: Value) -> Value:
    """sin(πx)/(πx), and 1 at 0. The period is subtracted exactly; whole numbers give 0."""
    zero, one = w.like(0.0, x), w.like(1.0, x)
    whole = w.intrinsic("roundeven", x)
    rest = w.sub(x, whole)
    ratio = w.div(rest, x)
    t = w.mul(rest, rest)
    terms = _SINC if x.type.bits == 64 else _SINC[:6]
    made = w.fma(ratio, w.mul(horner(w, terms, t), t), ratio)
    half = w.mul(whole, w.like(0.5, x))
    odd = w.compare("!=", w.intrinsic("trunc", half), half)
    made = w.add(w.select(odd, w.neg(made), made), zero)
    made = w.select(w.compare("==", x, zero), one, made)
    return w.select(w.compare("==", w.abs(x), w.like(INF, x)), zero, made)

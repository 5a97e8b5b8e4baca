"""Exponentials. x is reduced by a multiple of ln 2 in two parts, as by Cody and Waite (1980)."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.math.common import (
    above,
    below,
    format_of,
    from_bits,
    horner,
    int_type,
    product,
    to_bits,
)
from minigrad.compile.native.writer import Value, Writer


class _Constants(NamedTuple):
    #: exp(r) for |r| <= ln 2.
    wide: tuple[float, ...]
    #: (exp(r) - 1 - r)/r^2 for |r| <= ln(2)/2.
    narrow: tuple[float, ...]
    #: ln 2 as a sum.
    ln2: tuple[float, float]
    #: Below the first, exp is 0, and above the second infinite.
    ends: tuple[float, float]
    #: Below it, expm1 is -1.
    minus_one: float
    #: Below it, expm1(x) is x.
    small: float


_TABLE = {
    32: _Constants(
        (
            1.0,
            1.0,
            0.5000003576278687,
            0.1666661649942398,
            0.04166119918227196,
            0.008335965685546398,
            0.001410544733516872,
            0.00019630437600426376,
        ),
        (
            0.4999999701976776,
            0.1666654348373413,
            0.04166749119758606,
            0.008366546593606472,
            0.0013865509536117315,
        ),
        (0.693147182464599609375, -1.904654323148236017e-09),
        (-105.0, 89.0),
        -18.0,
        2.0**-25,
    ),
    64: _Constants(
        (
            1.0,
            1.0,
            0.4999999999999993,
            0.16666666666666938,
            0.041666666666702164,
            0.008333333333269737,
            0.0013888888883566348,
            0.00019841269892885115,
            2.480159083563894e-05,
            2.7557300625967963e-06,
            2.755615674664106e-07,
            2.505503530509336e-08,
            2.1062437421557655e-09,
            1.593561710715336e-10,
        ),
        (
            0.5,
            0.16666666666666677,
            0.04166666666666662,
            0.008333333333321443,
            0.0013888888888916057,
            0.00019841269886568936,
            2.4801587252706558e-05,
            2.755724377894385e-06,
            2.755734035341167e-07,
            2.510918479238192e-08,
            2.0893226821096447e-09,
        ),
        (0.693147180559945286226764, 2.319046813846299558e-17),
        (-746.0, 710.0),
        -40.0,
        2.0**-54,
    ),
}
_LOG2_E = 1.4426950408889634


#: 2^r for |r| <= 1.
_EXP2 = {
    32: (
        1.0,
        0.6931472420692444,
        0.24022668600082397,
        0.055503666400909424,
        0.00961683876812458,
        0.0013341534649953246,
        0.00015645913663320243,
        1.4928303244232666e-05,
    ),
    64: (
        1.0,
        0.6931471805599453,
        0.2402265069591003,
        0.05550410866482283,
        0.0096181291076374,
        0.0013333558146308962,
        0.00015403530387174443,
        1.5252733847873696e-05,
        1.3215488730341114e-06,
        1.0178078656653895e-07,
        7.054609065266762e-09,
        4.446084953970249e-10,
        2.5908439557108373e-11,
        1.3580431724650502e-12,
    ),
}
#: Below the first, exp2 is 0, and above the second infinite.
_ENDS_2 = {32: (-152.0, 129.0), 64: (-1077.0, 1025.0)}


def _nearest(w: Writer, x: Value, factor: float, shift: int) -> tuple[Value, Value]:
    """n, the whole number nearest to factor · x, and 2^(n + shift)."""
    form = format_of(x)
    magic = form.magic + form.bias + shift
    shifted = w.fma(x, w.like(factor, x), w.like(magic, x))
    n = w.sub(shifted, w.like(magic, x))
    power = w.shl(to_bits(w, shifted), w.const(form.fraction, int_type(x)))
    return n, from_bits(w, power)


def _reduced(w: Writer, x: Value, n: Value, factor: float) -> Value:
    """x - factor · n · ln 2."""
    high, low = _TABLE[x.type.bits].ln2
    rest = w.fma(n, w.like(-factor * high, x), x)
    return w.fma(n, w.like(-factor * low, x), rest)


def _scaled(w: Writer, p: Value, power: Value, factor: Value | None) -> Value:
    """p · factor · power²."""
    if factor is not None:
        p = w.mul(p, factor)
    return w.mul(w.mul(p, power), power)


def exp_between(
    w: Writer, x: Value, *, low: Value | None = None, factor: Value | None = None
) -> Value:
    """exp(x + low) · factor, for an x where exp neither vanishes nor overflows by far, or NaN.

    x is reduced by an even multiple 2m of ln 2. To multiply twice by 2^m is exact but for one
    rounding, also where 2^2m would be subnormal or infinite, and cheaper than two different powers.
    """
    m, power = _nearest(w, x, 0.5 * _LOG2_E, 0)
    r = _reduced(w, x, m, 2.0)
    if low is not None:
        r = w.add(r, low)
    return _scaled(w, horner(w, _TABLE[x.type.bits].wide, r), power, factor)


def exp(w: Writer, x: Value) -> Value:
    """e to the power of x."""
    low, high = _TABLE[x.type.bits].ends
    return exp_between(w, above(w, low, below(w, high, x)))


def exp2(w: Writer, x: Value) -> Value:
    """2 to the power of x; exact for whole numbers."""
    low, high = _ENDS_2[x.type.bits]
    x = above(w, low, below(w, high, x))
    m, power = _nearest(w, x, 0.5, 0)
    r = w.fma(m, w.like(-2.0, x), x)
    return _scaled(w, horner(w, _EXP2[x.type.bits], r), power, None)


def exp_down(w: Writer, x: Value, *, low: Value | None = None) -> Value:
    """exp(x + low) for x <= 0."""
    return exp_between(w, above(w, _TABLE[x.type.bits].ends[0], x), low=low)


def expm1_pieces(w: Writer, x: Value, k: float, shift: int) -> tuple[Value, Value]:
    """p and 2^(n + shift) with expm1(k · x)/k = p · 2^n + (2^n - 1)/k.

    If p is 0 it has the sign of x.
    """
    n, power = _nearest(w, x, k * _LOG2_E, shift)
    r = _reduced(w, x, n, 1.0 / k)
    q = horner(w, [c * k ** (i + 1) for i, c in enumerate(_TABLE[x.type.bits].narrow)], r)
    return w.fma(product(w, q, r), r, r), power


def expm1(w: Writer, x: Value) -> Value:
    """exp(x) - 1, to full accuracy also near 0."""
    table = _TABLE[x.type.bits]
    held = above(w, table.minus_one, below(w, table.ends[1], x))
    # Half of the result, because 2^n may overflow where the result does not.
    p, half = expm1_pieces(w, held, 1.0, -1)
    made = w.fma(p, half, w.sub(half, w.like(0.5, x)))
    tiny = w.compare("<", w.abs(x), w.like(table.small, x))
    return w.select(tiny, x, w.add(made, made))

"""Arc sine, arc cosine and arc tangent."""

from __future__ import annotations

import math

from minigrad.compile.native.math.common import (
    INF,
    NAN,
    format_of,
    horner,
    mul,
    product,
)
from minigrad.compile.native.writer import Value, Writer

#: (atan(t)/t - 1)/t² in t², for |t| <= tan(π/8).
_ATAN = {
    32: (
        -0.33333316445350647,
        0.1999852955341339,
        -0.14244426786899567,
        0.10599435120820999,
        -0.06090671569108963,
    ),
    64: (
        -0.333333333333332,
        0.19999999999953766,
        -0.14285714280212325,
        0.11111110784155598,
        -0.09090897775249057,
        0.07692060484086241,
        -0.0666310663612001,
        0.058479047424136836,
        -0.050393593621950526,
        0.03806558311897493,
        -0.01790794291902,
    ),
}
#: (asin(t)/t - 1)/t² in t², for |t| <= 1/2.
_ASIN = {
    32: (
        0.16666755080223083,
        0.07495199143886566,
        0.045481979846954346,
        0.024125048890709877,
        0.04225530847907066,
    ),
    64: (
        0.16666666666666763,
        0.07499999999970042,
        0.044642857175386116,
        0.030381942668984346,
        0.022372216115600772,
        0.01735159125377521,
        0.013981074403220177,
        0.011396799820963395,
        0.0107922696090654,
        0.0036604063313780857,
        0.021820766128072426,
        -0.021161293711270596,
        0.032731198738458346,
    ),
}
#: π/2 as a sum.
_HALF_PI = {
    32: (1.5707963705062866, -4.371138828673793e-08),
    64: (1.5707963267948966, 6.123233995736766e-17),
}
_TAN_EIGHTH = math.sqrt(2) - 1


def _odd(w: Writer, coefficients: tuple[float, ...], t: Value, z: Value) -> Value:
    """t (1 + z P(z))."""
    return w.fma(product(w, horner(w, coefficients, z), z), t, t)


def _atan_near(w: Writer, t: Value) -> Value:
    """atan(t) for |t| <= tan(π/8)."""
    return _odd(w, _ATAN[t.type.bits], t, w.mul(t, t))


def _turned(w: Writer, eighths: Value, rest: Value) -> Value:
    """eighths · π/4 + rest."""
    high, low = _HALF_PI[rest.type.bits]
    small = w.fma(eighths, w.like(low / 2, rest), rest)
    return w.fma(eighths, w.like(high / 2, rest), small)


def atan(w: Writer, x: Value) -> Value:
    """The arc tangent: of x, of (x - 1)/(x + 1) beside π/4, or of -1/x beside π/2."""
    size, one = w.abs(x), w.like(1.0, x)
    middle = w.compare(">", size, w.like(_TAN_EIGHTH, x))
    outer = w.compare(">", size, w.like(1 / _TAN_EIGHTH, x))
    above = w.select(outer, w.like(-1.0, x), w.select(middle, w.sub(size, one), size))
    below = w.select(outer, size, w.select(middle, w.add(size, one), one))
    eighths = w.select(outer, w.like(2.0, x), w.select(middle, one, w.like(0.0, x)))
    return w.copysign(_turned(w, eighths, _atan_near(w, w.div(above, below))), x)


def atan2(w: Writer, y: Value, x: Value) -> Value:
    """The angle of the point (x, y)."""
    zero, one = w.like(0.0, x), w.like(1.0, x)
    a, b = w.abs(y), w.abs(x)
    steep = w.compare(">", a, b)
    large, small = w.select(steep, a, b), w.select(steep, b, a)
    # Two infinities are as good as two ones, and two zeros as a zero and a one.
    both = w.compare("==", small, w.like(INF, x))
    large, small = w.select(both, one, large), w.select(both, one, small)
    large = w.select(w.compare("==", large, zero), one, large)
    # Their sum must not overflow. Where a quarter of the smaller is not exact, it does not count.
    factor = w.select(
        w.compare(">", large, w.like(0.25 / format_of(x).least, x)), w.like(0.25, x), one
    )
    large, small = w.mul(large, factor), w.mul(small, factor)
    middle = w.compare(">", small, mul(w, large, _TAN_EIGHTH))
    above = w.select(middle, w.sub(small, large), small)
    below = w.select(middle, w.add(small, large), large)
    rest = _atan_near(w, w.div(above, below))
    eighths = w.select(middle, one, zero)
    eighths = w.select(steep, w.sub(w.like(2.0, x), eighths), eighths)
    rest = w.select(steep, w.neg(rest), rest)
    left = w.compare("<", w.copysign(one, x), zero)
    eighths = w.select(left, w.sub(w.like(4.0, x), eighths), eighths)
    rest = w.select(left, w.neg(rest), rest)
    made = w.copysign(_turned(w, eighths, rest), y)
    return w.select(w.or_(w.is_nan(x), w.is_nan(y)), w.like(NAN, x), made)


def _asin_parts(w: Writer, x: Value) -> tuple[Value, Value]:
    """Whether |x| > 1/2; and asin(|x|), or where it is larger asin(√((1 - |x|)/2))."""
    size = w.abs(x)
    outer = w.compare(">", size, w.like(0.5, x))
    half = w.fma(size, w.like(-0.5, x), w.like(0.5, x))
    z = w.select(outer, half, w.mul(size, size))
    t = w.select(outer, w.sqrt(half), size)
    return outer, _odd(w, _ASIN[x.type.bits], t, z)


def asin(w: Writer, x: Value) -> Value:
    """The arc sine; NaN outside [-1, 1]."""
    high, low = _HALF_PI[x.type.bits]
    outer, angle = _asin_parts(w, x)
    rest = w.add(w.fma(angle, w.like(-2.0, x), w.like(high, x)), w.like(low, x))
    return w.copysign(w.select(outer, rest, angle), x)


def acos(w: Writer, x: Value) -> Value:
    """The arc cosine; NaN outside [-1, 1]."""
    high, low = _HALF_PI[x.type.bits]
    outer, angle = _asin_parts(w, x)
    left = w.compare("<", x, w.like(0.0, x))
    double = w.add(angle, angle)
    far = w.sub(w.like(2 * high, x), w.sub(double, w.like(2 * low, x)))
    central = w.sub(w.like(high, x), w.sub(w.copysign(angle, x), w.like(low, x)))
    return w.select(outer, w.select(left, far, double), central)

"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math

from minigrad.compile.native.math.common import NAN, below, horner, mul, product
from minigrad.compile.native.math.exponential import exp_between, expm1_pieces
from minigrad.compile.native.math.logarithm import log1p
from minigrad.compile.native.writer import Value, Writer

#: From here on tanh is 1.
_FAR = {32: 9.2, 64: 19.2}
#: From here on sinh and cosh overflow.
_END = {32: 90.0, 64: 711.0}
#: (sinh(x)/x - 1)/x² in x², for |x| <= 1.
_SINH = {
    32: (0.1666666716337204, 0.008333311416208744, 0.00019842632173094898, 2.783964646368986e-06),
    64: (
        0.16666666666666669,
        0.008333333333332917,
        0.00019841269841587198,
        2.7557319109283647e-06,
        2.505213053700628e-08,
        1.6056698143677742e-10,
        7.775362485521336e-13,
    ),
}
#: From here on asinh and acosh are log(2 x), as exactly as the format can tell.
_LOGARITHMIC = {32: 2.0**28, 64: 2.0**54}


def tanh(w: Writer, x: Value) -> Value:
    """The hyperbolic tangent, h/(h + 1) for h = expm1(2 |x|)/2, with the sign of x."""
    size = below(w, _FAR[x.type.bits], w.abs(x))
    p, power = expm1_pieces(w, size, 2.0, 0)
    half = w.fma(p, power, w.fma(power, w.like(0.5, x), w.like(-0.5, x)))
    return w.copysign(w.div(half, w.add(half, w.like(1.0, x))), x)


def _half_exp(w: Writer, size: Value) -> tuple[Value, Value]:
    """exp(|x|)/2, which overflows where sinh and cosh do, and exp(-|x|)/2."""
    half = w.like(0.5, size)
    rising = exp_between(w, below(w, _END[size.type.bits], size), factor=half)
    return rising, w.div(w.like(0.25, size), rising)


def sinh(w: Writer, x: Value) -> Value:
    """The hyperbolic sine."""
    size = w.abs(x)
    rising, falling = _half_exp(w, size)
    z = w.mul(x, x)
    near = w.fma(product(w, horner(w, _SINH[x.type.bits], z), z), x, x)
    far = w.copysign(w.sub(rising, falling), x)
    return w.select(w.compare("<", size, w.like(1.0, x)), near, far)


def cosh(w: Writer, x: Value) -> Value:
    """The hyperbolic cosine."""
    return w.add(*_half_exp(w, w.abs(x)))


def asinh(w: Writer, x: Value) -> Value:
    """The inverse of sinh: log(1 + |x| + x²/(1 + √(1 + x²)))."""
    size, one = w.abs(x), w.like(1.0, x)
    far = w.compare(">", size, w.like(_LOGARITHMIC[x.type.bits], x))
    square = w.mul(x, x)
    bend = w.div(square, w.add(one, w.sqrt(w.add(square, one))))
    made = log1p(w, w.select(far, size, w.add(size, bend)))
    return w.copysign(w.select(far, w.add(made, w.like(math.log(2), x)), made), x)


def acosh(w: Writer, x: Value) -> Value:
    """The inverse of cosh: log(1 + t + √(t (t + 2))) for t = x - 1; NaN below 1."""
    one = w.like(1.0, x)
    far = w.compare(">", x, w.like(_LOGARITHMIC[x.type.bits], x))
    t = w.sub(x, one)
    root = w.sqrt(w.mul(t, w.add(t, w.like(2.0, x))))
    made = log1p(w, w.select(far, x, w.add(t, root)))
    made = w.select(far, w.add(made, w.like(math.log(2), x)), made)
    return w.select(w.compare("<", x, one), w.like(NAN, x), made)


def atanh(w: Writer, x: Value) -> Value:
    """The inverse of tanh: log(1 + 2 |x|/(1 - |x|))/2; NaN outside [-1, 1]."""
    size = w.abs(x)
    ratio = w.div(w.add(size, size), w.sub(w.like(1.0, x), size))
    return w.copysign(mul(w, log1p(w, ratio), 0.5), x)

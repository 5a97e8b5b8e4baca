"""Hyperbolic functions and their inverses."""

from __future__ import annotations

from minigrad.compile.native.math.common import below
from minigrad.compile.native.math.exponential import expm1_pieces
from minigrad.compile.native.writer import Value, Writer

#: From here on tanh is 1.
_FAR = {32: 9.2, 64: 19.2}


def tanh(w: Writer, x: Value) -> Value:
    """The hyperbolic tangent, h/(h + 1) for h = expm1(2 |x|)/2, with the sign of x."""
    size = below(w, _FAR[x.type.bits], w.abs(x))
    p, power = expm1_pieces(w, size, 2.0, 0)
    half = w.fma(p, power, w.fma(power, w.like(0.5, x), w.like(-0.5, x)))
    return w.copysign(w.div(half, w.add(half, w.like(1.0, x))), x)

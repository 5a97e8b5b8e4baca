"""Trigonometric functions of pi times a reduced argument, for sinc and the reflection formulas.

The coefficients are our own near-minimax fits (`tests/fixtures/fit_special.py`).
"""

from __future__ import annotations

from math import pi
from typing import Any

from .common import horner, product_error, rational

__all__ = [
    "cot_pi",
    "csc_squared_pi",
    "inverse_square",
    "nearest_whole",
    "sinc_excess",
    "sine_fraction",
]

# 1/pi - float(1/pi)
_INVERSE_PI_LOW = -1.9678676675182486e-17
# (sin(pi r)/(pi r) - 1)/r^2 in r^2, for |r| <= 1/2.
_SINC = (
    -1.6449340668482264,
    0.8117424252833519,
    -0.19075182412194192,
    0.026147847813091093,
    -0.0023460809636072564,
    0.00014842817872036908,
    -6.972961876164387e-06,
    2.4591926874295755e-07,
)
# (cos(pi h) - 1)/h^2 in h^2, for |h| <= 3/16.
_COS = (
    -4.934802200544679,
    4.058712126416572,
    -1.3352627687894323,
    0.23533062244043307,
    -0.025806456592417284,
    0.0019185687501583853,
)
# (1/r - pi cot(pi r))/r in r^2, for |r| <= 1/4.
_COT_P = (3.289868133696453, -2.1660629391649415, 0.2824891582862144, -0.004721072325084309)
_COT_Q = (1.0, -1.316377809259269, 0.33353786970492133, -0.017159257274588925)
# pi tan(pi r)/r - 10 in r^2, for |r| <= 1/4.
_TAN_P = (
    -0.13039559891064137,
    33.067266778488566,
    -20.927087399932805,
    2.355868155382313,
    -0.0016764242133477667,
)
_TAN_Q = (1.0, -4.582744909695375, 2.392523325456635, -0.2461747457243169)
# (pi/sin(pi r))^2 - 1/r^2 - 4 in r^2, for |r| <= 1/2.
_CSC2_P = (
    -0.7101318663035471,
    8.411990175083627,
    -9.189449351978656,
    3.990159030350282,
    -0.7518572147183326,
    0.052736956970668124,
)
_CSC2_Q = (
    1.0,
    -2.700978316605953,
    2.5669745908405965,
    -1.0441921400546497,
    0.191373817242359,
    -0.013177956658347534,
)


def nearest_whole(xp: Any, a: Any) -> tuple[Any, Any]:
    """Return a - round(a), exactly, and whether it is 0, for a >= 0; inf counts as whole."""
    # From 2**53 on every double is whole; the clamp keeps inf - inf from arising.
    bounded = xp.minimum(a, 2.0**53)
    rest = bounded - xp.round(bounded)
    return rest, rest == 0


def sinc_excess(r: Any) -> Any:
    """Return sin(pi r)/(pi r) - 1 for |r| <= 1/2; shape and dtype of `r`."""
    t = r * r
    return t * horner(_SINC, t)


def sine_fraction(xp: Any, r: Any) -> tuple[Any, Any, Any]:
    """Return f, g, h with sin(pi r)/pi = f (1 + g) + h for 0 < r <= 1/2; |g| < 0.17, h tiny.

    From 5/16 on it is cos(pi (1/2 - r))/pi, which keeps g and its rounding errors small.
    """
    steep = r < 0.3125
    near_zero = xp.minimum(r, 0.3125)
    flat = 0.5 - xp.maximum(r, 0.3125)
    square = flat * flat
    g = xp.where(steep, sinc_excess(near_zero), square * horner(_COS, square))
    return xp.where(steep, r, 1 / pi), g, xp.where(steep, 0.0, _INVERSE_PI_LOW * (1 + g))


def cot_pi(xp: Any, r: Any) -> Any:
    """Return pi cot(pi r) for 0 < |r| <= 1/2; shape and dtype of `r`.

    Near 1/2 it is pi tan(pi (1/2 - r)), whose argument is exact, so that the zero is kept.
    """
    a = xp.abs(r)
    steep = xp.minimum(a, 0.25)
    flat = 0.5 - xp.maximum(a, 0.25)
    s, t = steep * steep, flat * flat
    near_pole = 1 / steep - steep * rational(_COT_P, _COT_Q, s)
    near_zero = flat * (10 + rational(_TAN_P, _TAN_Q, t))
    value = xp.where(a < 0.25, near_pole, near_zero)
    return xp.where(r < 0, -value, value)


def csc_squared_pi(xp: Any, r: Any, subtract: Any) -> Any:
    """Return (pi/sin(pi r))^2 - subtract for 0 < |r| <= 1/2; shape and dtype of `r`."""
    leading, leading_low = inverse_square(xp, r)
    return leading + ((4 - subtract) + (rational(_CSC2_P, _CSC2_Q, r * r) + leading_low))


def inverse_square(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return 1/x^2 as a rounded value and a correction, for |x| <= 1; inf where x^2 is 0."""
    square = x * x
    # Closer to the pole the correction no longer shows, and its splitting would overflow.
    ordinary = square > 1e-16
    safe = xp.where(ordinary, square, 1.0)
    inverse = 1 / safe
    product = safe * inverse
    residual = (1 - product) - product_error(safe, inverse, product)
    low = (residual - product_error(x, x, square) * inverse) * inverse
    gone = square == 0
    plain = xp.where(gone, xp.inf, 1 / xp.where(gone, 1.0, square))
    return xp.where(ordinary, inverse, plain), xp.where(ordinary, low, 0.0)

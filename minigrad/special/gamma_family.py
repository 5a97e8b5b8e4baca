"""The logarithm of the gamma function.

The real line is cut as in Sun's fdlibm `lgamma_r` (1993): a fit with the zeros at 1 and 2 divided
out, one for the middle, Stirling's formula from 8 on, and reflection for negative arguments.  The
coefficients are our own near-minimax fits in 70-digit arithmetic (`tests/fixtures/fit_special.py`).
Errors are the largest found on NumPy with AVX-512, whose log is off by up to 0.6 ulp, at 20,000
points (mpmath) and 200,000 more (Arb) in each stretch of the line.
"""

from __future__ import annotations

from typing import Any

from .common import finish, horner, in_blocks, prepare, product_error, rational
from .trigonometric import nearest_whole, sine_fraction

__all__ = ["lgamma"]

# log(gamma(1 + u))/(u (u - 1)) - 5/8 + 3u/16 in u + 1/2, for u in [-0.5, 1.5].  The straight line
# leaves less than 0.1 to the fit, and so less to its rounding errors; likewise in the next.
_LOW_P = (
    0.04440325723293345,
    -0.06952435345761313,
    -1.2142163384870557,
    -2.9121947875315075,
    -2.4717025739764056,
    -0.17018251125728356,
    0.8522045966496428,
    0.4371064948412271,
    0.07460282884796092,
    0.003739884280500405,
)
_LOW_Q = (
    1.0,
    7.339859331492208,
    21.85456757982919,
    33.99387021015335,
    29.681656046184457,
    14.570869737523479,
    3.819907348525061,
    0.47167482481677175,
    0.01998904077719362,
    -6.479520370278414e-07,
)
# log(gamma(x))/(x - 2) - 5/8 - 5v/32 in v = x - 2.5, for x in [2.5, 8].
_MID_P = (
    -0.05563425905416168,
    0.03808797707005297,
    0.06372035783608831,
    0.018095602819047017,
    -0.000923177764680049,
    -0.0010221248162208543,
    -0.0001391079641264927,
    -6.5501098336528335e-06,
    -8.727442570471817e-08,
)
_MID_Q = (
    1.0,
    1.3165237314916254,
    0.6838368316847705,
    0.17841935185136998,
    0.024655456790888212,
    0.0017461005692003752,
    5.595210780600944e-05,
    5.797907222389038e-07,
    -6.355774242648627e-11,
)
# x (log(gamma(x)) - (x - 1/2) log(x) + x - log(2 pi)/2) in 1/x^2, for x >= 8.
_HIGH = (
    0.08333333333333333,
    -0.002777777777777679,
    0.0007936507935158373,
    -0.0005952380249530232,
    0.0008417327984612303,
    -0.001914990918833406,
    0.006209282777357896,
    -0.02087651219305254,
)
# log(2 pi)/2 - 1/2
_STIRLING = 0.4189385332046727


@in_blocks
def lgamma(xp: Any, x: Any) -> Any:
    """Return log|gamma(x)|.

    Shape and dtype of `x`.  inf at the poles 0, -1, -2, ..., and at +-inf.

    Accuracy: 1.9 ulp in float64 for x > 0, also beside the zeros at 1 and 2; 2.0 for -2 < x < 0.
    Below -2 two zeros lie between each pair of poles, and relative accuracy is lost beside them:
    there the error is at most 2.4 ulp of the largest of |lgamma(x)|, lgamma(-x) and 1/2.  0.5 ulp
    in float32, with the same exception.

    Raises:
        TypeError: `x` is not float16, float32 or float64.

    >>> import numpy as np
    >>> lgamma(np, np.array([0.0, 0.5, 1.0, 4.0, -1.5]))
    array([       inf, 0.57236494, 0.        , 1.79175947, 0.86004702])
    """
    x, dtype = prepare(xp, x, wide=True)
    a = xp.abs(x)
    reflect = x < -0.5
    # Every double from 2**53 on is whole, so that its negative is a pole.
    z = xp.where(reflect, xp.minimum(a, 2.0**53), x)

    shifted = z < 0.71
    u = xp.clip(xp.where(shifted, z, z - 1), -0.5, 1.5)
    low = _low(xp, u)
    m = xp.clip(z, 2.5, 8.0) - 2.5
    factor = m + 0.5
    mid = factor + factor * ((0.15625 * m - 0.375) + rational(_MID_P, _MID_Q, m))
    w = xp.maximum(z, 8.0)
    # One logarithm serves both ends of the half line.
    log = xp.log(xp.where(shifted, xp.where(z == 0, 1.0, xp.abs(z)), w))
    high = _high(xp, w, log)
    value = xp.where(shifted, low - log, xp.where(z < 2.5, low, xp.where(z < 8.0, mid, high)))

    # |gamma(-a) gamma(a)| = pi/(a |sin(pi a)|); the sine's argument is reduced exactly.  Where
    # log(a) is part of the value it cancels, and is left out on both sides.
    rest, whole = nearest_whole(xp, a)
    regular = reflect & ~whole
    log_sine, log_sine_low = _log_product(
        xp,
        xp.where(regular & ~shifted, a, 1.0),
        xp.where(regular, xp.abs(rest), 0.5),
    )
    reflected = (-log_sine - xp.where(shifted, low, value)) - log_sine_low
    value = xp.where(regular, reflected, value)
    return finish(xp, xp.where((x == 0) | (reflect & whole), xp.inf, value), dtype)


def _low(xp: Any, u: Any) -> Any:
    """Return log(gamma(1 + u)) = u (u - 1) (1/2 + R) for u in [-0.5, 1.5].

    With v the smaller of u and 1 - u this is -v/2 + v (v/2 - (1 - v) R): the leading term is
    exact, and the rest is small where the zeros are.  Midway between them R is small instead.
    """
    v = xp.where(u < 0.5, u, 1 - u)
    w = 1 - v
    line = 0.125 - 0.1875 * u
    rest = rational(_LOW_P, _LOW_Q, u + 0.5)
    # Adding 0 makes log(gamma(1)) 0 rather than -0.
    outer = v * ((0.5 * v - w * line) - w * rest) - 0.5 * v + 0.0
    product = v * w
    return xp.where(v < 0.3, outer, -0.5 * product - product * (line + rest))


def _high(xp: Any, w: Any, log: Any) -> Any:
    """Return Stirling's formula for w >= 8 and log = log(w), with the product's error put back."""
    inverse = 1 / w
    series = inverse * horner(_HIGH, inverse * inverse)
    factor = log - 1
    # From 1e9 on the error no longer shows, and far beyond the splitting would overflow.
    half, other = xp.minimum(w - 0.5, 1e9), xp.minimum(factor, 20.0)
    lost = xp.where(w < 1e9, product_error(half, other, half * other), 0.0)
    return (w - 0.5) * factor + (_STIRLING + series + lost)


def _log_product(xp: Any, a: Any, r: Any) -> tuple[Any, Any]:
    """Return log(a sin(pi r)/pi) for 0 < r <= 1/2 as a sum of two."""
    factor, excess, tiny = sine_fraction(xp, r)
    ratio = 1 + excess
    ratio_low = excess - (ratio - 1)
    product = a * factor
    product_low = product_error(a, factor, product)
    total = product * ratio
    low = product_error(product, ratio, total) + product * ratio_low + product_low * ratio
    return xp.log(total), (low + a * tiny) / total

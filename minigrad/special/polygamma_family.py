"""The derivatives of log(gamma): digamma, trigamma and the polygamma functions of every order.

Formulas: recurrence, reflection and asymptotic series of Abramowitz and Stegun, 6.3 and 6.4; the
root of digamma is divided out, in two pieces, as in Cody, Strecok and Thacher, "Chebyshev
approximations for the psi function", Math. Comp. 27 (1973).  The coefficients are our own
near-minimax fits in 70-digit arithmetic (`tests/fixtures/fit_special.py`).  Errors are the largest
found on NumPy with AVX-512, whose log is off by up to 0.6 ulp, at 20,000 points (mpmath) and
200,000 more (Arb) in each stretch of the line.
"""

from __future__ import annotations

import operator
from functools import partial
from math import factorial, log2, pi
from typing import Any

from .common import finish, horner, in_blocks, prepare, rational, two_sum_error
from .trigonometric import cot_pi, csc_squared_pi, inverse_square, nearest_whole

__all__ = ["digamma", "polygamma", "polygamma1", "trigamma"]

# digamma(1 + u)/(u + 1 - root) - 21/16 + u/2 in u + 1/2, for u in [-0.5, 1.25].  The straight line
# leaves little to the fit, and so to its rounding errors.
# The root less 1 in three pieces; the first is a float32.
_ROOT, _ROOT_MID, _ROOT_LOW = 0.4616321325302124, 1.2438149938918909e-08, 4.341643069426251e-25
_DIGAMMA_LOW_P = (
    0.47935148790551596,
    -0.7998164336504596,
    -1.4019939185532586,
    -0.09328751376967974,
    0.4074256299775536,
    0.15944965936910074,
    0.020556593872120284,
    0.0007999938918357096,
)
_DIGAMMA_LOW_Q = (
    1.0,
    3.5643139580395378,
    3.999003948049581,
    1.954179488219023,
    0.4494764353995429,
    0.046043653065918365,
    0.0016009527501142193,
    -1.2861086103880233e-08,
)
# (log(x) - 1/(2x) - digamma(x)) x^2 in 1/x^2, for x >= 2.25.
_DIGAMMA_HIGH_P = (
    0.08333333333333333,
    1.4457666576556851,
    7.684913795292658,
    14.840108688832794,
    9.45172297888882,
    1.2121987052787588,
    -0.0239024078852284,
)
_DIGAMMA_HIGH_Q = (
    1.0,
    17.449199891868005,
    93.91626648516346,
    186.6920166212109,
    128.39922617267442,
    21.85879540821033,
)
# (trigamma(x) - 1/x - 1/(2 x^2)) x^3 in 1/x, for x >= 1.
_TRIGAMMA_P = (
    0.16666666666666666,
    2.1909430783694117,
    14.034620471913225,
    55.19701289780603,
    143.67887243128638,
    251.7104706914276,
    289.5932600457461,
    201.20730367573603,
    65.62150257526194,
)
_TRIGAMMA_Q = (
    1.0,
    13.14565847021648,
    84.40772283147643,
    333.81120908120846,
    878.811921991814,
    1575.1471154460162,
    1901.4636820641038,
    1477.2153408954377,
    664.9006675564041,
    131.24300005034988,
)
# Beyond this order the powers of two that keep n! in range overflow in their turn.
_LARGEST = 1000
# From this order on a short sum replaces the polynomial in the cotangent.
_DIRECT = 24
# Bernoulli numbers B_2, B_4, ... of the Euler-Maclaurin formula, as fractions.
_BERNOULLI = (
    (1, 6),
    (-1, 30),
    (1, 42),
    (-1, 30),
    (5, 66),
    (-691, 2730),
    (7, 6),
    (-3617, 510),
    (43867, 798),
    (-174611, 330),
)


@in_blocks
def digamma(xp: Any, x: Any) -> Any:
    """Return the derivative of log(gamma(x)).

    Shape and dtype of `x`.  nan at the poles 0, -1, -2, ... (the one-sided limits differ) and at
    -inf; inf at inf.

    Accuracy: 1.8 ulp in float64 for x > 0, and 1.0 beside the root at 1.4616.  For x < 0 there is a
    zero between each pair of poles, and relative accuracy is lost beside it: there the error is at
    most 4 ulp of the largest of |digamma(x)|, log|x| and 1.  0.5 ulp in float32, with the same
    exception.

    Raises:
        TypeError: `x` is not float16, float32 or float64.

    >>> import numpy as np
    >>> digamma(np, np.array([0.0, 1.0, 1.4616321449683623, 10.0, -1.5]))
    array([            nan, -5.77215665e-01, -9.24126552e-17,  2.25175259e+00,
            7.03156641e-01])
    """
    x, dtype = prepare(xp, x, wide=True)
    a = xp.abs(x)
    reflect = x < -0.5
    z = xp.where(reflect, a, x)

    shifted = z < 0.75
    u = xp.clip(xp.where(shifted, z, z - 1), -0.5, 1.25)
    near_root = u - _ROOT
    from_root = near_root - _ROOT_MID
    factor = (0.3125 - 0.5 * u) + rational(_DIGAMMA_LOW_P, _DIGAMMA_LOW_Q, u + 0.5)
    lost = two_sum_error(u, -_ROOT, near_root)
    lost = lost + (two_sum_error(near_root, -_ROOT_MID, from_root) - _ROOT_LOW)
    low = from_root + (from_root * factor + lost * (1 + factor))
    inverse = 1 / xp.where(z == 0, 1.0, z)
    w = xp.maximum(z, 2.25)
    s = 1 / w
    series = s * s * rational(_DIGAMMA_HIGH_P, _DIGAMMA_HIGH_Q, s * s)
    high = xp.log(w) - (0.5 * s + series)
    value = xp.where(shifted, low - inverse, xp.where(z < 2.25, low, high))

    rest, whole = nearest_whole(xp, a)
    cotangent = cot_pi(xp, xp.where(whole, 0.5, rest))
    value = xp.where(reflect, (value + inverse) + cotangent, value)
    return finish(xp, xp.where((x == 0) | (reflect & whole), xp.nan, value), dtype)


@in_blocks
def trigamma(xp: Any, x: Any) -> Any:
    """Return the second derivative of log(gamma(x)).

    Shape and dtype of `x`.  inf at the poles 0, -1, -2, ..., 0 at inf, nan at -inf.

    Accuracy: 2.0 ulp in float64 for every x, 0.5 in float32.

    Raises:
        TypeError: `x` is not float16, float32 or float64.

    >>> import numpy as np
    >>> trigamma(np, np.array([0.0, 0.5, 1.0, 10.0, -1.5]))
    array([       inf, 4.9348022 , 1.64493407, 0.10516634, 9.37924664])
    """
    x, dtype = prepare(xp, x, wide=True)
    a = xp.abs(x)
    # From 1 on the series holds; below, it is taken one further up (x + 1, or 1 - x to reflect).
    shifted = x < 1
    w = xp.where(shifted, a + 1, x)
    s = 1 / w
    value = s + s * (0.5 * s + s * s * rational(_TRIGAMMA_P, _TRIGAMMA_Q, s))
    # a + 1 was rounded; its error times the derivative, which is close to -(s^2 + s^3 + s^4/2).
    # Past 1 nothing of it shows.
    part = xp.minimum(a, 1.0)
    lost = xp.where(shifted, two_sum_error(part, 1.0, part + 1), 0.0)
    value = value - lost * (s * s * (1 + s + 0.5 * s * s))

    rest, whole = nearest_whole(xp, a)
    reflect = x < 0
    direct = shifted & ~reflect
    leading, leading_low = inverse_square(xp, xp.where(direct, x, 1.0))
    near = leading + (value + leading_low)
    reflected = csc_squared_pi(xp, xp.where(whole, 0.5, rest), value)
    value = xp.where(reflect, reflected, xp.where(direct, near, value))
    value = xp.where(reflect & whole, xp.inf, value)
    return finish(xp, xp.where(x == -xp.inf, xp.nan, value), dtype)


def polygamma1(xp: Any, x: Any) -> Any:
    """Return `polygamma` of order one; another name of `trigamma`."""
    return trigamma(xp, x)


def polygamma(xp: Any, n: int, x: Any) -> Any:
    """Return the n-th derivative of `digamma`, for any whole n >= 0.

    Shape and dtype of `x`.  At the poles 0, -1, -2, ... inf for odd n and nan for even n, where
    the one-sided limits differ; 0 at inf, nan at -inf (for n = 0 see `digamma`).

    From n = 2 on this is (-1)^(n+1) n! zeta(n + 1, x), by the Euler-Maclaurin formula (Abramowitz
    and Stegun 23.2; F. Johansson, "Rigorous high-precision computation of the Hurwitz zeta
    function", Numer. Algorithms 69, 2015), and for negative x by reflection.

    Accuracy: the relative error in float64 is at most 2e-15 for n up to 5, 6e-15 for n up to 23
    and about n 2e-16 beyond.  For even n and x < 0 there is a zero between each pair of poles, and
    relative accuracy is lost beside it.

    Raises:
        TypeError: `x` is not float16, float32 or float64, or n is not an integer.
        ValueError: n is negative or above 1000.

    >>> import numpy as np
    >>> polygamma(np, 2, np.array([0.5, 1.0, 10.0]))
    array([-1.68287966e+01, -2.40411381e+00, -1.10498350e-02])
    """
    if isinstance(n, bool):
        raise TypeError("polygamma: the order n must be an integer, got a bool: write 0 or 1")
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"polygamma: the order n must be 0 or more, got {n}")
    if n > _LARGEST:
        raise ValueError(f"polygamma: the order n must be at most {_LARGEST}, got {n}")
    if n == 0:
        return digamma(xp, x)
    if n == 1:
        return trigamma(xp, x)
    return in_blocks(partial(_polygamma, n=n))(xp, x)


def _polygamma(xp: Any, x: Any, *, n: int) -> Any:
    """Return `polygamma` of order n >= 2."""
    x, dtype = prepare(xp, x, wide=True)
    reflect = x < 0
    rest, whole = nearest_whole(xp, xp.abs(x))
    pole = (x == 0) | (reflect & whole)
    usable = xp.where(pole, 1.0, x)
    positive = _zeta_term(n, xp.where(reflect & ~pole, 1 - usable, usable))
    distance = xp.where(reflect & ~pole, -rest, 0.5)
    reflected = -positive - _cotangent_derivative(xp, n, distance)
    value = xp.where(reflect, reflected, positive if n % 2 else -positive)
    value = xp.where(pole, xp.inf if n % 2 else xp.nan, value)
    return finish(xp, xp.where(x == -xp.inf, xp.nan, value), dtype)


def _factorial_over_power(n: int, y: Any, exponent: int, factor: Any = 1.0) -> Any:
    """Return factor n!/y^exponent for exponent n or n + 1, without overflow on the way.

    y is divided by the power of two nearest to (n!)^(1/(n + 1)), which keeps n! in range.
    """
    shift = round(log2(factorial(n)) / (n + 1))
    scale = factorial(n) / 2 ** (shift * exponent)
    base = 2.0**shift / y
    half = exponent // 2
    return (base**half * scale * factor) * base ** (exponent - half)


def _zeta_term(n: int, x: Any) -> Any:
    """Return n! zeta(n + 1, x), the sum of n!/(x + k)^(n + 1) over k >= 0, for x > 0."""
    # The series after the shift needs x + terms well above (n + 20)/(2 pi).
    terms = 10 + n // 2
    a = x + terms
    inverse = 1 / a
    series = []
    # (n + 1)(n + 2)...(n + 2k - 1)/(2k)!; quotients of Python's integers are rounded but once.
    above = below = 1
    for k, (over, under) in enumerate(_BERNOULLI, 1):
        above *= (n + 2 * k - 2 if k > 1 else 1) * (n + 2 * k - 1)
        below *= (2 * k - 1) * (2 * k)
        series.append(over * above / (under * below))
    t = inverse * inverse
    tail = (t * horner(series, t) + 0.5 * inverse) + 1 / n
    total = _factorial_over_power(n, a, n) * tail
    for k in range(terms - 1, -1, -1):
        total = total + _factorial_over_power(n, x + k, n + 1)
    return total


def _cotangent_derivative(xp: Any, n: int, r: Any) -> Any:
    """Return the n-th derivative of pi cot(pi r) for 0 < |r| <= 1/2."""
    if n >= _DIRECT:
        # (-1)^n times the sum of n!/(r + k)^(n + 1) over all k, of which so few count here.
        a = xp.abs(r)
        ratios = 1 + (a / (a - 1)) ** (n + 1)
        for k in (1, 2, 3):
            ratios = ratios + ((a / (a + k)) ** (n + 1) + (a / (a - (k + 1))) ** (n + 1))
        total = _factorial_over_power(n, a, n + 1, ratios)
        return -total if n % 2 else xp.where(r < 0, -total, total)
    # With C = pi cot(pi r), C' = -(pi^2 + C^2): a polynomial in C whose terms share one sign.
    powers = [0, 1]
    for order in range(n):
        raised = [0] * (order + 3)
        for j, c in enumerate(powers):
            if j:
                raised[j - 1] -= j * c
                raised[j + 1] -= j * c
        powers = raised
    c = cot_pi(xp, r)
    even = horner([powers[j] * pi ** (n + 1 - j) for j in range((n + 1) % 2, n + 2, 2)], c * c)
    return even if n % 2 else c * even

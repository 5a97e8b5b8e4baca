"""The error function, its complement and its inverse.

Sources: the splitting of the real line and the exact treatment of exp(-x^2) follow W. J. Cody,
"Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), and the variable
1/(1 + x) for the tail M. M. Shepherd and J. G. Laframboise, Math. Comp. 36 (1981).  The
coefficients are our own near-minimax fits in 70-digit arithmetic (`tests/fixtures/fit_special.py`).
Errors are the largest found against 40-digit values on NumPy with AVX-512, at 20,000 points
(mpmath) and 200,000 more (Arb) in each stretch of the line; erfc alone does not depend on the
library's exp and log, which are off by up to 0.7 ulp there.
"""

from __future__ import annotations

from math import log
from typing import Any

from .common import (
    finish,
    horner,
    in_blocks,
    is_double,
    prepare,
    product_error,
    rational,
    two_sum_error,
)

__all__ = ["erf", "erfc", "erfinv"]

# Between the two fits; below it erf(x) = x (1 + R(x^2)).
_SPLIT = 0.84

# erf(x)/x - 1 in x^2.
_SMALL_P = (
    0.12837916709551256,
    -0.32369671527643545,
    -0.03180933040580713,
    -0.006268517068349348,
    -0.00010129497745758058,
    -3.283477275587353e-06,
)
_SMALL_Q = (1.0, 0.4083970549239781, 0.0698062049104437, 0.00600515262765572, 0.0002235722142225155)
# log((1 + x) exp(x^2) erfc(x)) - t + _TAIL_SHIFT in t = 1/(1 + x), for x in [0.65, 28].
_TAIL_SHIFT = 5 / 8
_TAIL_P = (
    0.052635057075213605,
    0.17840323425554494,
    1.0671047586765303,
    1.7277807906019003,
    3.4031771076781667,
    -6.142932340761854,
    -26.49831784257127,
    -77.18114996910735,
    -108.76713595535523,
    -94.04776384704256,
)
_TAIL_Q = (
    1.0,
    3.389437461687823,
    20.273650640635992,
    45.49149593177044,
    119.46031663042052,
    167.02325518050478,
    223.27056520159397,
    157.11849847971982,
    78.69481901103497,
    0.8331782573306821,
)
# (exp(r) - 1 - r)/r^2 in r, for |r| <= ln(2)/2.
_EXP = (
    0.5,
    0.1666666666666667,
    0.041666666666666685,
    0.00833333333332587,
    0.0013888888888874636,
    0.00019841269875728874,
    2.4801587347007827e-05,
    2.7557254266173386e-06,
    2.75572530647351e-07,
    2.510568276400261e-08,
    2.092158187022882e-09,
)
# The grid that x is rounded to, and ln 2 in two pieces, the first a multiple of the grid's square.
_GRID_64 = (2.0**20, 0.6931471805601177, -1.7239444525614835e-13)
_GRID_32 = (2.0**6, 0.693115234375, 3.1946184945309415e-05)
# The same two for float32: erf(x)/x - 1 in x^2, and log(erfc(x)) in x for x in [0.85, 4].
_SMALL_32 = (
    0.12837915956552456,
    -0.3761256489229421,
    0.11282618184187783,
    -0.02679790442757626,
    0.005042562679757633,
    -0.0006261660533129834,
)
_TAIL_32 = (
    0.00015630598662088544,
    -1.129425019145507,
    -0.6335315334829795,
    -0.10807397245090566,
    0.02498441036785304,
    -0.004119199687214052,
    0.00042365088416819924,
    -2.01517986765484e-05,
)
# erfinv(y)/y - 1 in 1 - y^2, for |y| <= 0.85: there both polynomials have positive terms only.
_INVERSE_CENTRAL_P = (
    1.3164845247863277,
    100.47416256025647,
    1498.3676639560972,
    6060.507604876277,
    2977.1189078932694,
    -15164.188711571194,
    -17206.814112836924,
    -4688.358266785105,
    -251.7770940765516,
)
_INVERSE_CENTRAL_Q = (
    1.0,
    120.51734637210052,
    2862.686814944685,
    22401.857536489035,
    68909.27447988241,
    87671.23963096623,
    44459.266942171984,
    7720.295177592612,
    297.3230363588152,
)
# 1 - erfinv(1 - exp(-w^2))/w in w - 1.375, for w in [1.375, 6.075].
_INVERSE_TAIL_P = (
    0.2614783458692248,
    0.695880304677969,
    0.6824455755943555,
    0.31991110439119913,
    0.07005714703759623,
    0.006125097873740647,
    0.00015918106414958776,
    2.7604368368999494e-07,
    -1.0181246675770702e-09,
)
_INVERSE_TAIL_Q = (
    1.0,
    3.477231079537536,
    4.958287100931167,
    3.8095077496940677,
    1.6936918601758384,
    0.43046908489548774,
    0.05720039763244958,
    0.0033243943449422463,
    5.838786759054384e-05,
)


@in_blocks
def erf(xp: Any, x: Any) -> Any:
    """Return the error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    Shape and dtype of `x`; erf(+-inf) = +-1, erf(-0) = -0.

    Accuracy: 1.4 ulp in float64 and 1.5 in float32, which is computed in float32.

    Raises:
        TypeError: `x` is not float16, float32 or float64.

    >>> import numpy as np
    >>> erf(np, np.array([-1.0, 0.0, 0.5]))
    array([-0.84270079,  0.        ,  0.52049988])
    """
    x, dtype = prepare(xp, x)
    a = xp.abs(x)
    inner = xp.clip(x, -1.0, 1.0)
    t = inner * inner
    if is_double(x):
        small = inner + inner * rational(_SMALL_P, _SMALL_Q, t)
        # Beyond 6, erfc is below half an ulp of 1.
        b = xp.clip(a, 0.75, 6.0)
        scale = 1 / (1 + b)
        log_tail = rational(_TAIL_P, _TAIL_Q, scale) + scale - (b * b + _TAIL_SHIFT)
        tail = 1 - xp.exp(log_tail) * scale
    else:
        small = inner + inner * horner(_SMALL_32, t)
        tail = 1 - xp.exp(horner(_TAIL_32, xp.clip(a, 0.75, 4.0)))
    return finish(xp, xp.where(a < _SPLIT, small, xp.where(x < 0, -tail, tail)), dtype)


@in_blocks
def erfc(xp: Any, x: Any) -> Any:
    """Return 1 - erf(x), to full relative accuracy also where that is tiny.

    Shape and dtype of `x`; erfc(-inf) = 2, erfc(inf) = 0.

    In the tail exp(-x^2) is computed as exp(-z^2) exp((z - x)(z + x)) with an exactly squared z
    near x, and the final quotient is corrected by its remainder.

    Accuracy: 1.3 ulp in float64, 0.5 in float32.

    Raises:
        TypeError: `x` is not float16, float32 or float64.

    >>> import numpy as np
    >>> erfc(np, np.array([-1.0, 0.0, 0.5, 10.0]))
    array([1.84270079e+00, 1.00000000e+00, 4.79500122e-01, 2.08848758e-45])
    """
    x, dtype = prepare(xp, x, wide=True)
    a = xp.abs(x)
    inner = xp.clip(x, -1.0, 1.0)
    excess = inner * rational(_SMALL_P, _SMALL_Q, inner * inner)
    # From 1/4 on, x - 1/2 is exact, so 1 - erf(x) need not be rounded on the way.
    central = xp.where(x < 0.25, 1 - (inner + excess), 0.5 - ((inner - 0.5) + excess))
    tail = _erfc_tail(xp, xp.clip(a, 0.65, 28.0), double=is_double(x))
    outer = xp.where(x < 0, 2 - tail, tail)
    return finish(xp, xp.where((x > -0.65) & (x < 0.65), central, outer), dtype)


def _erfc_tail(xp: Any, b: Any, *, double: bool) -> Any:
    """Return erfc(b) for b in [0.65, 28]."""
    # The grids are so coarse that z^2 + _TAIL_SHIFT, k ln 2 and their difference are exact.
    grid, ln2, ln2_low = _GRID_64 if double else _GRID_32
    z = xp.round(b * grid) / grid
    exact = z * z + _TAIL_SHIFT
    # t + t_low is 1/(1 + b) to twice the working precision.
    total = b + 1
    t = 1 / total
    product = total * t
    lost = product_error(total, t, product) + two_sum_error(b, 1.0, total) * t
    t_low = ((1 - product) - lost) * t
    small = rational(_TAIL_P, _TAIL_Q, t) - (b - z) * (b + z)
    # The exponent t + small - exact is r + r_low - k ln 2, with |r| at most a little over ln(2)/2.
    k = xp.round((exact - t - small) * (1 / log(2)))
    multiple = k * ln2 - exact
    first = multiple + t
    second = small + (k * ln2_low + (two_sum_error(multiple, t, first) + t_low))
    r = first + second
    r_low = two_sum_error(first, second, r)
    rest = r + (r * r * horner(_EXP, r) + r_low)
    power = 1 + rest
    power_low = rest - (power - 1)
    value = power * t
    value = value + (product_error(power, t, value) + (power_low * t + power * t_low))
    return xp.ldexp(value, xp.where(xp.isnan(k), 0.0, -k).astype(xp.int32))


@in_blocks
def erfinv(xp: Any, y: Any) -> Any:
    """Return the x with erf(x) = y.

    Shape and dtype of `y`; +-inf at +-1, nan outside [-1, 1], erfinv(-0) = -0.

    For |y| > 0.85 the variable is sqrt(-log(1 - |y|)), as in J. M. Blair, C. A. Edwards and
    J. H. Johnson, Math. Comp. 30 (1976); 1 - |y| is exact there.

    Accuracy: 1.6 ulp in float64, 0.5 in float32.

    Raises:
        TypeError: `y` is not float16, float32 or float64.

    >>> import numpy as np
    >>> erfinv(np, np.array([-1.0, 0.0, 0.5, 0.99]))
    array([      -inf, 0.        , 0.47693628, 1.82138637])
    """
    y, dtype = prepare(xp, y, wide=True)
    a = xp.abs(y)
    inner = xp.clip(y, -0.85, 0.85)
    t = (1 - inner) * (1 + inner)
    central = inner + inner * rational(_INVERSE_CENTRAL_P, _INVERSE_CENTRAL_Q, t)
    # The floor is the smallest gap below 1, so that nothing but y = 1 itself is moved by it.
    gap = xp.clip(1 - a, 2.0**-53, 0.15)
    square = -xp.log(gap)
    w = xp.sqrt(square)
    # What the square root's rounding lost, times a derivative that is close to 1.
    product = w * w
    lost = 0.5 * ((square - product) - product_error(w, w, product)) / w
    tail = w - (w * rational(_INVERSE_TAIL_P, _INVERSE_TAIL_Q, w - 1.375) - lost)
    tail = xp.where(a < 1, tail, xp.where(a == 1, xp.inf, xp.nan))
    result = xp.where(a <= 0.85, central, xp.where(y < 0, -tail, tail))
    return finish(xp, xp.where(y == 0, y, result), dtype)

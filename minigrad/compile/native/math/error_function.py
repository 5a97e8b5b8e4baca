"""The error function, its complement and its inverse."""

from __future__ import annotations

from minigrad.compile.native.math.common import (
    INF,
    NAN,
    above,
    below,
    exact_sum,
    horner,
    widened,
)
from minigrad.compile.native.math.exponential import exp_between, expm1_pieces
from minigrad.compile.native.math.logarithm import log
from minigrad.compile.native.writer import Value, Writer
from minigrad.special import erf_family

#: -log(erfc(x))/x in x, up to _ONE.
_LOGARITHM = {
    32: (
        1.128379225730896,
        0.6366156339645386,
        0.10282063484191895,
        -0.019337959587574005,
        0.00022057027672417462,
        0.0012541621690616012,
        -0.00039252720307558775,
        4.691713547799736e-05,
        -1.032534783007577e-06,
    ),
    64: (
        1.1283791670955126,
        0.6366197723675866,
        0.10277260330163406,
        -0.019128447001743265,
        -0.0002091947337034235,
        0.0016962066678277495,
        -0.00059012693318463,
        2.588340963006774e-05,
        6.447949904428321e-05,
        -2.9699893002803063e-05,
        3.370688631234704e-06,
        2.8787193114158664e-06,
        -1.7828409172789682e-06,
        3.6771229647680244e-07,
        1.1803499453788056e-07,
        -1.3233973981017088e-07,
        6.200435723540159e-08,
        -1.9781688542156313e-08,
        4.70122968459561e-09,
        -8.500953796849557e-10,
        1.1614354544893686e-10,
        -1.1653190844299058e-11,
        8.114758644022203e-13,
        -3.505814688350151e-14,
        7.077755683175515e-16,
    ),
}
#: From here on erf is 1.
_ONE = {32: 3.93, 64: 5.93}
#: erf(x)/x in x², for |x| <= 1/2.
_NEAR = {
    32: (
        1.1283791065216064,
        -0.3761194944381714,
        0.11270859837532043,
        -0.02604578249156475,
        0.0033798750955611467,
    ),
    64: (
        1.1283791670955126,
        -0.3761263890318301,
        0.11283791670892153,
        -0.02686617062330558,
        0.005223977232519127,
        -0.0008548286325959448,
        0.00012052812948815285,
        -1.4833305025747448e-05,
        1.4602607500078765e-06,
    ),
}
#: k, and erfc(x) exp(x²) (x + k) in (x - k)/(x + k), for x >= 1/2.
_SCALED = {
    32: (
        2.3125,
        (
            1.0437662601470947,
            -0.7661566734313965,
            0.3930416703224182,
            -0.11844116449356079,
            0.003202948020771146,
            0.01172506995499134,
            -0.001924346201121807,
            -0.0014889113372191787,
            0.00026709403027780354,
            0.00021679802739527076,
        ),
    ),
    64: (
        2.5,
        (
            1.054031820305718,
            -0.8046518494391485,
            0.45391411664809034,
            -0.1712511452461621,
            0.028361550132323003,
            0.008393044307876608,
            -0.004818785533366225,
            -0.00043920836892135306,
            0.0007026938921653103,
            5.830878771372121e-05,
            -0.00011260642808335701,
            -1.9537597494897793e-05,
            1.8253468901725742e-05,
            6.7717232947295e-06,
            -2.3641692481280134e-06,
            -1.9952378694451874e-06,
            6.202529078197901e-08,
            4.788359154849051e-07,
            5.4560905996834265e-08,
            -7.763342534271404e-08,
            -1.5074553896880014e-09,
        ),
    ),
}
#: From here on erfc is 0.
_NOTHING = {32: 10.1, 64: 27.3}


def erf(w: Writer, x: Value) -> Value:
    """The error function: 1 - erf is an exponential, and with expm1 small results are exact too."""
    bits = x.type.bits
    size = below(w, _ONE[bits], w.abs(x))
    logarithm = w.neg(w.mul(horner(w, _LOGARITHM[bits], size), size))
    p, power = expm1_pieces(w, logarithm, 1.0, 0)
    return w.copysign(w.fma(p, power, w.add(power, w.like(-1.0, x))), x)


def erfc(w: Writer, x: Value) -> Value:
    """1 - erf(x), to full relative accuracy also where that is tiny.

    The variable of the polynomial is that of M. M. Shepherd and J. G. Laframboise, Math. Comp. 36
    (1981).
    """
    bits, one = x.type.bits, w.like(1.0, x)
    size = w.abs(x)
    near = w.fma(w.neg(horner(w, _NEAR[bits], w.mul(x, x))), x, one)
    k, scaled = _SCALED[bits]
    held = below(w, _NOTHING[bits], size)
    # exp(-x²), with what the square loses.
    square = w.neg(w.mul(held, held))
    lost = w.neg(w.fma(held, held, square))
    total = exact_sum(w, held, w.like(k, x))
    inverse = w.div(one, total.high)
    # What the sum and its inverse lost, relative to the inverse.
    error = w.fma(w.neg(total.low), inverse, w.fma(w.neg(total.high), inverse, one))
    q = w.mul(w.add(held, w.like(-k, x)), inverse)
    factor = w.mul(horner(w, scaled, w.fma(q, error, q)), inverse)
    far = exp_between(w, square, low=w.add(lost, error), factor=factor)
    far = w.select(w.compare("<", x, w.like(0.0, x)), w.sub(w.like(2.0, x), far), far)
    return w.select(w.compare("<", size, w.like(0.5, x)), near, far)


def erfinv(w: Writer, y: Value) -> Value:
    """The x with erf(x) = y; in double precision, by the quotients of `minigrad.special`."""
    if y.type.bits == 32:
        return w.convert(erfinv(w, widened(w, y)), y.type.scalar)
    size, one = w.abs(y), w.like(1.0, y)
    t = w.mul(w.sub(one, y), w.add(one, y))
    central = _quotient(w, erf_family._INVERSE_CENTRAL_P, erf_family._INVERSE_CENTRAL_Q, t)
    central = w.fma(y, central, y)
    root = w.sqrt(w.neg(log(w, above(w, 2.0**-53, w.sub(one, size)))))
    shifted = w.add(root, w.like(-1.375, y))
    far = _quotient(w, erf_family._INVERSE_TAIL_P, erf_family._INVERSE_TAIL_Q, shifted)
    tail = w.copysign(w.fma(w.neg(root), far, root), y)
    tail = w.select(w.compare("==", size, one), w.copysign(w.like(INF, y), y), tail)
    tail = w.select(w.compare(">", size, one), w.like(NAN, y), tail)
    made = w.select(w.compare(">", size, w.like(0.85, y)), tail, central)
    return w.select(w.compare("==", y, w.like(0.0, y)), y, made)


def _quotient(w: Writer, p: tuple[float, ...], q: tuple[float, ...], t: Value) -> Value:
    return w.div(horner(w, p, t), horner(w, q, t))

"""Powers, roots and lengths."""

from __future__ import annotations

from minigrad.compile.native.math.common import (
    INF,
    NAN,
    Pair,
    above,
    below,
    exact_product,
    exact_sum,
    fast_sum,
    format_of,
    from_bits,
    horner,
    int_type,
    mul,
    to_bits,
    widened,
)
from minigrad.compile.native.math.exponential import exp_between
from minigrad.compile.native.math.logarithm import split
from minigrad.compile.native.types import I64, Type
from minigrad.compile.native.writer import Value, Writer

#: log2((1 + s)/(1 - s))/s in s², and 2^r for |r| <= 1/2: what float32 needs, in double precision.
_LOG2 = (
    2.8853900817778486,
    0.9617966941158014,
    0.5770779416243103,
    0.412209330075414,
    0.319902392111324,
    0.2829490381524641,
)
_EXP2 = (
    1.0,
    0.6931471807137304,
    0.24022651074235213,
    0.05550410346084228,
    0.009618037032543469,
    0.001333394620313447,
    0.0001546710844629877,
    1.519445488556067e-05,
)
#: (log((1 + s)/(1 - s))/s - 2 - 2/3 s²)/s⁴ in s².
_LOG = (
    0.39999999999999974,
    0.2857142857144683,
    0.2222222221716292,
    0.1818181891190714,
    0.1538455426723263,
    0.13336410191558026,
    0.11673060920543096,
    0.12002763614365886,
)
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
#: ln 2 as a sum, of which the first has so few bits that its product with an exponent is exact.
_LN2 = (0.6931471805598903, 5.497923018708371e-14)
#: m^(-1/3) for m in [1, 2].
_CBRT = (
    1.6698606469132402,
    -1.1724724217144877,
    0.6950637828805202,
    -0.22105004938232997,
    0.028559977654058304,
)


# -- x to the power of y -----------------------------------------------------------------------


def _magnitude_32(w: Writer, size: Value, y: Value) -> Value:
    """size^y, in double precision, where every float32 is a normal number."""
    size, y = widened(w, size), widened(w, y)
    e, f = split(w, size, normal=True)
    s = w.div(f, w.add(f, w.like(2.0, f)))
    log = _at_ends(w, size, w.fma(s, horner(w, _LOG2, w.mul(s, s)), e))
    power = above(w, -200.0, below(w, 200.0, _unless_one(w, log, w.mul(y, log))))
    n = w.intrinsic("roundeven", power)
    part = horner(w, _EXP2, w.sub(power, n))
    ints = int_type(n)
    exponent = w.add(w.convert(n, ints.scalar), w.const(format_of(n).bias, ints))
    return w.mul(part, from_bits(w, w.shl(exponent, w.const(format_of(n).fraction, ints))))


def _magnitude_64(w: Writer, size: Value, y: Value) -> Value:
    """size^y; the logarithm is good to about 65 bits."""
    e, f = split(w, size)
    log = _log_pair(w, e, f)
    high = _at_ends(w, size, log.high)
    whole = _unless_one(w, high, w.mul(y, high))
    # Where the power vanishes or overflows, what was lost may be infinite or NaN.
    rest = w.fma(y, high, w.neg(whole))
    rest = w.fma(y, log.low, rest)
    usual = w.compare("<", w.abs(whole), w.like(800.0, y))
    rest = _unless_one(w, high, w.select(usual, rest, w.like(0.0, y)))
    return exp_between(w, above(w, -746.0, below(w, 710.0, whole)), low=rest)


def _log_pair(w: Writer, e: Value, f: Value) -> Pair:
    """log(2^e · (1 + f))."""
    # s = f/(2 + f) as a pair.
    d = w.add(f, w.like(2.0, f))
    d_low = w.sub(f, w.add(d, w.like(-2.0, f)))
    inverse = w.div(w.like(1.0, f), d)
    s = w.mul(f, inverse)
    s_low = w.mul(w.fma(w.neg(s), d_low, w.fma(w.neg(s), d, f)), inverse)
    z = exact_product(w, s, s)
    z_low = w.fma(w.add(s, s), s_low, z.low)
    # 2/3 + z P(z), of which more bits matter than of P.
    p = horner(w, _LOG, z.high)
    q = w.mul(z.high, p)
    q_low = w.fma(z_low, p, w.fma(z.high, p, w.neg(q)))
    inner = fast_sum(w, w.like(_TWO_THIRDS[0], f), q)
    inner_low = w.add(inner.low, w.add(q_low, w.like(_TWO_THIRDS[1], f)))
    # 2 + z · inner.
    v = exact_product(w, z.high, inner.high)
    v_low = w.fma(z.high, inner_low, w.fma(z_low, inner.high, v.low))
    total = fast_sum(w, w.like(2.0, f), v.high)
    total_low = w.add(total.low, v_low)
    log = exact_product(w, s, total.high)
    log_low = w.fma(s, total_low, w.fma(s_low, total.high, log.low))
    whole = exact_sum(w, mul(w, e, _LN2[0]), log.high)
    rest = w.add(whole.low, w.fma(e, w.like(_LN2[1], f), log_low))
    return fast_sum(w, whole.high, rest)


def _at_ends(w: Writer, x: Value, log: Value) -> Value:
    """A logarithm of x, also of 0 and infinity."""
    log = w.select(w.compare("==", x, w.like(INF, x)), x, log)
    return w.select(w.compare("==", x, w.like(0.0, x)), w.like(-INF, x), log)


def _unless_one(w: Writer, log: Value, made: Value) -> Value:
    """What was made of a power, but 0 where the base is 1 and the exponent perhaps infinite."""
    return w.select(w.compare("==", log, w.like(0.0, log)), log, made)


def pow(w: Writer, x: Value, y: Value) -> Value:
    """x to the power of y; of integers wrapping around, for y >= 0."""
    if not x.type.is_float:
        return integer_pow(w, x, y)
    size, one, zero = w.abs(x), w.like(1.0, x), w.like(0.0, x)
    if x.type.bits == 32:
        made = w.convert(_magnitude_32(w, size, y), x.type.scalar)
    else:
        made = _magnitude_64(w, size, y)
    whole = w.compare("==", w.intrinsic("trunc", y), y)
    half = mul(w, y, 0.5)
    odd = w.and_(whole, w.compare("!=", w.intrinsic("trunc", half), half))
    made = w.select(odd, w.copysign(made, x), made)
    # A negative base has no other powers, but for an infinite one.
    undefined = w.and_(w.compare("<", x, zero), w.not_(whole))
    undefined = w.and_(undefined, w.compare("!=", x, w.like(-INF, x)))
    undefined = w.or_(undefined, w.or_(w.is_nan(x), w.is_nan(y)))
    made = w.select(undefined, w.like(NAN, x), made)
    return w.select(w.or_(w.compare("==", y, zero), w.compare("==", x, one)), one, made)


def integer_pow(w: Writer, x: Value, y: Value) -> Value:
    """x multiplied y >= 0 times, wrapping around: by repeated squaring, as far as a lane needs."""
    t, zero, one = y.type, w.like(0, y), w.like(1, y)
    bits = w.const(t.bits, t.scalar)
    largest = w.fold(y, w.or_)
    counted = Type("int", t.bits)
    w.module.declare(f"{counted.text} @llvm.ctlz.{counted.suffix}({counted.text}, i1)")
    leading = w.make(
        t.scalar,
        f"call {counted.text} @llvm.ctlz.{counted.suffix}({counted.text} {largest.text}, i1 false)",
    )
    rounds = w.convert(Value(w.sub(bits, leading).text, Type("uint", t.bits)), I64)
    with w.loop(0, rounds, carried=[w.like(1, x), x, y]) as loop:
        made, base, left = loop.values
        odd = w.compare("!=", w.and_(left, one), zero)
        made = w.select(odd, w.mul(made, base), made)
        unsigned = Value(left.text, Type("uint", t.bits, t.lanes))
        halved = w.shr(unsigned, w.const(1, unsigned.type))
        loop.next = (made, w.mul(base, base), Value(halved.text, t))
    return loop.results[0]


# -- roots and lengths -------------------------------------------------------------------------


def cbrt(w: Writer, x: Value) -> Value:
    """The real cube root: of m · 2^r with m in [1, 2) and r one of 0, 1, 2, by Newton's method."""
    form, ints = format_of(x), int_type(x)
    size, fraction = w.abs(x), w.const(form.fraction, ints)
    tiny = w.compare("<", size, w.like(form.least, x))
    shift = 24 if x.type.bits == 32 else 54
    bits = to_bits(w, w.select(tiny, mul(w, size, 2.0**shift), size))
    exponent = w.sub(w.shr(bits, fraction), w.const(form.bias, ints))
    e = w.convert(exponent, x.type.scalar)
    third = w.intrinsic("floor", w.fma(e, w.like(1 / 3, x), w.like(1 / 6, x)))
    rest = w.fma(third, w.like(-3.0, x), e)
    mask = w.const((1 << form.fraction) - 1, ints)
    one = w.const(form.bias << form.fraction, ints)
    m = from_bits(w, w.or_(w.and_(bits, mask), one))
    single = w.compare("==", rest, w.like(1.0, x))
    double = w.compare("==", rest, w.like(2.0, x))

    def chosen(root: float) -> Value:
        """root^r."""
        other = w.select(double, w.like(root * root, x), w.like(1.0, x))
        return w.select(single, w.like(root, x), other)

    inverse = w.mul(horner(w, _CBRT, m), chosen(2 ** (-1 / 3)))
    m = w.mul(m, chosen(2.0))
    for _ in range(1 if x.type.bits == 32 else 2):
        cube = w.mul(w.mul(inverse, inverse), inverse)
        error = w.fma(w.neg(m), cube, w.like(1.0, x))
        inverse = w.fma(w.mul(inverse, w.like(1 / 3, x)), error, inverse)
    square = w.mul(inverse, inverse)
    root = w.mul(m, square)
    # The remainder m - root³ corrects what was rounded.
    power = exact_product(w, root, root)
    remainder = w.fma(w.neg(power.low), root, w.fma(w.neg(power.high), root, m))
    root = w.fma(w.mul(remainder, w.like(1 / 3, x)), square, root)
    exponent = w.add(w.convert(third, ints.scalar), w.const(form.bias, ints))
    made = w.mul(root, from_bits(w, w.shl(exponent, fraction)))
    made = w.select(tiny, mul(w, made, 2.0 ** (-shift // 3)), made)
    usual = w.and_(w.compare(">", size, w.like(0.0, x)), w.compare("<", size, w.like(INF, x)))
    return w.select(usual, w.copysign(made, x), x)


def hypot(w: Writer, x: Value, y: Value) -> Value:
    """√(x² + y²) without overflow on the way; infinite if one is, though the other be NaN."""
    x, y = w.abs(x), w.abs(y)
    infinite = w.or_(w.compare("==", x, w.like(INF, x)), w.compare("==", y, w.like(INF, x)))
    if x.type.bits == 32:
        a, b = widened(w, x), widened(w, y)
        made = w.convert(w.sqrt(w.fma(a, a, w.mul(b, b))), x.type.scalar)
    else:
        larger = w.select(w.compare(">", x, y), x, y)
        high = w.compare(">", larger, w.like(2.0**500, x))
        low = w.compare("<", larger, w.like(2.0**-450, x))

        def factor(up: float, down: float) -> Value:
            small = w.select(low, w.like(up, x), w.like(1.0, x))
            return w.select(high, w.like(down, x), small)

        scale = factor(2.0**600, 2.0**-600)
        a, b = w.mul(x, scale), w.mul(y, scale)
        made = w.mul(w.sqrt(w.fma(a, a, w.mul(b, b))), factor(2.0**-600, 2.0**600))
    return w.select(infinite, w.like(INF, x), made)

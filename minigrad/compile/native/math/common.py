"""What the functions share: polynomials, bits of floats, double words, calls of libm by the lane.

Coefficients were fitted by `tests/fixtures/fit_native.py`. All of it relies on `fma` being one
instruction, and on rounding to nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minigrad.compile.native.types import BOOL, F64, Type
from minigrad.compile.native.writer import Module, Value, Writer

INF = float("inf")
NAN = float("nan")


class Format(NamedTuple):
    """A floating-point format of IEEE 754."""

    #: Bits of the significand without the leading one.
    fraction: int
    #: What is added to exponents.
    bias: int
    #: The smallest normal number.
    least: float
    #: 1.5 · 2^fraction: added to a small number it leaves a whole number in the lowest bits.
    magic: float


FORMATS = {
    32: Format(23, 127, 2.0**-126, 1.5 * 2.0**23),
    64: Format(52, 1023, 2.0**-1022, 1.5 * 2.0**52),
}


def format_of(x: Value) -> Format:
    """The format of a float."""
    return FORMATS[x.type.bits]


def int_type(x: Value) -> Type:
    """The signed integers of the size of `x`."""
    return Type("int", x.type.bits, x.type.lanes)


def to_bits(w: Writer, x: Value) -> Value:
    """The bits of a float as a signed integer."""
    return w.bitcast(x, int_type(x))


def from_bits(w: Writer, bits: Value) -> Value:
    """The float with these bits."""
    return w.bitcast(bits, Type("float", bits.type.bits, bits.type.lanes))


def horner(w: Writer, coefficients: Sequence[float], t: Value) -> Value:
    """The polynomial with these ascending coefficients at t."""
    result = w.like(coefficients[-1], t)
    for c in reversed(coefficients[:-1]):
        result = w.fma(result, t, w.like(c, t))
    return result


def above(w: Writer, low: float, x: Value) -> Value:
    """The larger of x and a constant; NaN stays. One instruction, unlike `maximum`."""
    bound = w.like(low, x)
    return w.select(w.compare(">", bound, x), bound, x)


def below(w: Writer, high: float, x: Value) -> Value:
    """The smaller of x and a constant; NaN stays."""
    bound = w.like(high, x)
    return w.select(w.compare("<", bound, x), bound, x)


def product(w: Writer, a: Value, b: Value) -> Value:
    """a · b, but 0 where it would be -0: as a factor of an odd function it then keeps the sign."""
    return w.fma(a, b, w.like(0.0, a))


def mul(w: Writer, a: Value, factor: float) -> Value:
    """a times a constant."""
    return w.mul(a, w.like(factor, a))


def add(w: Writer, a: Value, term: float) -> Value:
    """a plus a constant."""
    return w.add(a, w.like(term, a))


def is_below(w: Writer, x: Value, bound: float) -> Value:
    """Whether x is less than a constant."""
    return w.compare("<", x, w.like(bound, x))


def widened(w: Writer, x: Value) -> Value:
    """`x` in double precision."""
    return w.convert(x, F64)


# -- double words: an unevaluated sum of a float and a much smaller one ------------------------


class Pair(NamedTuple):
    """high + low."""

    high: Value
    low: Value


def fast_sum(w: Writer, a: Value, b: Value) -> Pair:
    """a + b exactly, where |a| >= |b| (Dekker, 1971)."""
    total = w.add(a, b)
    return Pair(total, w.sub(b, w.sub(total, a)))


def exact_sum(w: Writer, a: Value, b: Value) -> Pair:
    """a + b exactly (Knuth's TwoSum)."""
    total = w.add(a, b)
    seen = w.sub(total, a)
    return Pair(total, w.add(w.sub(a, w.sub(total, seen)), w.sub(b, seen)))


def exact_product(w: Writer, a: Value, b: Value) -> Pair:
    """a · b exactly, but for underflow."""
    whole = w.mul(a, b)
    return Pair(whole, w.fma(a, b, w.neg(whole)))


# -- libm --------------------------------------------------------------------------------------


def repaired(w: Writer, name: str, x: Value, y: Value, bad: Value) -> Value:
    """y, but where `bad` holds what libm's function `name` makes of x, one lane at a time.

    Nothing but a test of `bad` runs where no lane is bad.
    """
    return _repaired(w, name, (x,), y, bad)


def repaired_pair(w: Writer, name: str, a: Value, b: Value, y: Value, bad: Value) -> Value:
    """The same for a function of two numbers."""
    return _repaired(w, name, (a, b), y, bad)


def _repaired(w: Writer, name: str, xs: tuple[Value, ...], y: Value, bad: Value) -> Value:
    t = y.type
    full = f"{name}f" if t.bits == 32 else name
    w.module.declare(f"{t.scalar.text} @{full}({', '.join([t.scalar.text for _ in xs])})")
    function = w.module.shared(
        ("libm", full, t), lambda own: _write_repair(w.module, own, full, t, len(xs))
    )
    return w.choose(w.any(bad), lambda: _called(w, function, [*xs, y, bad], t), y)


def _called(w: Writer, name: str, operands: Sequence[Value], t: Type) -> Value:
    made = w.call(name, *operands, result=t)
    assert made is not None
    return made


def _write_repair(module: Module, own: str, libm: str, t: Type, count: int) -> None:
    """Write the function that calls libm for the bad lanes."""
    parameters = [*[(f"x{i}", t) for i in range(count)], ("y", t), ("bad", BOOL.of(t.lanes))]
    w = module.function(own, parameters, t, attributes="noinline cold nounwind")
    *given, y, bad = w.parameters
    if t.lanes == 1:
        w.finish(_called(w, libm, given, t))
        return
    byte = Type("uint", 8)
    memory = [w.reserve(1, t) for _ in [*given, y]]
    chosen = w.reserve(t.lanes, byte)
    for value, place in zip([*given, y], memory, strict=True):
        w.store(value, place)
    w.store(bad, chosen)
    *sources, target = memory
    with w.loop(0, t.lanes) as loop, w.when(w.load(w.at(chosen, loop.index, byte), BOOL)):
        lane = [w.load(w.at(place, loop.index, t), t.scalar) for place in sources]
        w.store(_called(w, libm, lane, t.scalar), w.at(target, loop.index, t))
    w.finish(w.load(target, t))

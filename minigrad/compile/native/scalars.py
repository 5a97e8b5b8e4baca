"""What the scalar forms of primitives write their code with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minigrad.compile.native.math import (
    division,
    error_function,
    exponential,
    hyperbolic,
    inverse_trigonometric,
    logarithm,
    powers,
    rounding,
    sigmoids,
    trigonometric,
)
from minigrad.compile.native.types import Type, type_of
from minigrad.compile.native.writer import Value, Writer

#: An element, or a number that takes the type of the other operands.
Element: TypeAlias = Value | float

_INF = float("inf")


def _elements(w: Writer, operands: tuple[Element, ...]) -> list[Value]:
    """The operands as values of the type that the first of them has that is no number."""
    model = next(x for x in operands if isinstance(x, Value))
    return [x if isinstance(x, Value) else w.like(x, model) for x in operands]


def _written(function: Callable[..., Value]) -> Callable[..., Value]:
    """A method that writes what a method of `Writer` does."""

    @functools.wraps(function)
    def method(self: Scalars, *operands: Element) -> Value:
        return function(self.writer, *_elements(self.writer, operands))

    return method


def _math(function: Callable[..., Value]) -> Callable[..., Value]:
    """A method that writes a function of `native.math`, or a call of it."""

    @functools.wraps(function)
    def method(self: Scalars, *operands: Element) -> Value:
        values = _elements(self.writer, operands)
        if self.inline:
            return function(self.writer, *values)
        return self._call(function, values)

    return method


class Scalars:
    """The code of one element, or of a vector of them, for the scalar forms of primitives.

    Operands are `Value`s; beside one, a Python number may stand for a constant of its type.

    Args:
        writer: what the code is written with.
        inline: whether functions such as `exp` are written in place. Otherwise each is written
            once in the module for each type, and called: slower to run, faster to compile.
    """

    def __init__(self, writer: Writer, *, inline: bool = True) -> None:
        self.writer = writer
        self.inline = inline

    def _call(self, function: Callable[..., Value], values: list[Value]) -> Value:
        types = tuple([v.type for v in values])

        def make(name: str) -> None:
            parameters = [(f"x{i}", t) for i, t in enumerate(types)]
            w = self.writer.module.function(
                name, parameters, types[0], attributes="noinline nounwind"
            )
            w.finish(function(w, *w.parameters))

        key = (function.__module__, function.__name__, types)
        name = self.writer.module.shared(key, make)
        made = self.writer.call(name, *values, result=types[0])
        assert made is not None
        return made

    # -- constants and types ---------------------------------------------------------------

    def like(self, value: Any, x: Value) -> Value:
        """A constant of the type of `x`."""
        return self.writer.like(value, x)

    def convert(self, x: Value, to: Type | np.dtype[Any]) -> Value:
        """`x` in another type, as `astype` converts."""
        return self.writer.convert(x, to if isinstance(to, Type) else type_of(to))

    # -- arithmetic ------------------------------------------------------------------------

    add = _written(Writer.add)
    sub = _written(Writer.sub)
    mul = _written(Writer.mul)
    div = _written(Writer.div)
    neg = _written(Writer.neg)
    fma = _written(Writer.fma)
    abs = _written(Writer.abs)
    sqrt = _written(Writer.sqrt)
    copysign = _written(Writer.copysign)
    maximum = _written(Writer.maximum)
    minimum = _written(Writer.minimum)

    def square(self, x: Value) -> Value:
        """x · x."""
        return self.writer.mul(x, x)

    def reciprocal(self, x: Value) -> Value:
        """1 / x."""
        return self.writer.div(self.like(1.0, x), x)

    def rsqrt(self, x: Value) -> Value:
        """1 / √x."""
        return self.reciprocal(self.writer.sqrt(x))

    def sign(self, x: Value) -> Value:
        """-1, 0 or 1; NaN for NaN."""
        if not x.type.is_float:
            w, zero = self.writer, self.like(0, x)
            made = w.select(w.compare(">", x, zero), self.like(1, x), zero)
            if x.type.kind == "uint":
                return made
            return w.select(w.compare("<", x, zero), self.like(-1, x), made)
        made = self.copysign(1.0, x)
        made = self.select(self.compare("==", x, 0.0), 0.0, made)
        return self.select(self.is_nan(x), x, made)

    # -- bits ------------------------------------------------------------------------------

    and_ = _written(Writer.and_)
    or_ = _written(Writer.or_)
    xor = _written(Writer.xor)
    not_ = _written(Writer.not_)

    # -- comparisons and choice ------------------------------------------------------------

    def compare(self, relation: str, a: Element, b: Element) -> Value:
        """``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``; with NaN all but ``!=`` are false."""
        return self.writer.compare(relation, *_elements(self.writer, (a, b)))

    def select(self, condition: Value, a: Element, b: Element) -> Value:
        """a where the condition holds, else b."""
        return self.writer.select(condition, *_elements(self.writer, (a, b)))

    where = select

    def is_nan(self, x: Value) -> Value:
        """Whether x is NaN; never for integers."""
        return self.writer.compare("!=", x, x)

    def is_inf(self, x: Value) -> Value:
        """Whether x is an infinity; never for integers."""
        if not x.type.is_float:
            return self.writer.compare("!=", x, x)
        return self.compare("==", self.writer.abs(x), _INF)

    def is_finite(self, x: Value) -> Value:
        """Whether x is neither infinite nor NaN; always for integers."""
        if not x.type.is_float:
            return self.writer.compare("==", x, x)
        return self.compare("<", self.writer.abs(x), _INF)

    def at_least(self, x: Element, bound: Element) -> Value:
        """The larger of both, and x where it is NaN; cheaper than `maximum`."""
        x, bound = _elements(self.writer, (x, bound))
        return self.writer.select(self.writer.compare("<", x, bound), bound, x)

    def at_most(self, x: Element, bound: Element) -> Value:
        """The smaller of both, and x where it is NaN; cheaper than `minimum`."""
        x, bound = _elements(self.writer, (x, bound))
        return self.writer.select(self.writer.compare(">", x, bound), bound, x)

    # -- functions -------------------------------------------------------------------------

    exp = _math(exponential.exp)
    exp2 = _math(exponential.exp2)
    expm1 = _math(exponential.expm1)
    log = _math(logarithm.log)
    log1p = _math(logarithm.log1p)
    log2 = _math(logarithm.log2)
    log10 = _math(logarithm.log10)
    sigmoid = _math(sigmoids.sigmoid)
    softplus = _math(sigmoids.softplus)
    log_sigmoid = _math(sigmoids.log_sigmoid)
    logaddexp = _math(sigmoids.logaddexp)
    sin = _math(trigonometric.sin)
    cos = _math(trigonometric.cos)
    tan = _math(trigonometric.tan)
    sinc = _math(trigonometric.sinc)
    asin = _math(inverse_trigonometric.asin)
    acos = _math(inverse_trigonometric.acos)
    atan = _math(inverse_trigonometric.atan)
    atan2 = _math(inverse_trigonometric.atan2)
    sinh = _math(hyperbolic.sinh)
    cosh = _math(hyperbolic.cosh)
    tanh = _math(hyperbolic.tanh)
    asinh = _math(hyperbolic.asinh)
    acosh = _math(hyperbolic.acosh)
    atanh = _math(hyperbolic.atanh)
    erf = _math(error_function.erf)
    erfc = _math(error_function.erfc)
    erfinv = _math(error_function.erfinv)
    pow = _math(powers.pow)
    cbrt = _math(powers.cbrt)
    hypot = _math(powers.hypot)
    rint = _math(rounding.rint)
    floor = _math(rounding.floor)
    ceil = _math(rounding.ceil)
    trunc = _math(rounding.trunc)
    nextafter = _math(rounding.nextafter)
    floor_divide = _math(division.floor_divide)
    remainder = _math(division.remainder)
    fmod = _math(division.fmod)
    left_shift = _math(division.left_shift)
    right_shift = _math(division.right_shift)

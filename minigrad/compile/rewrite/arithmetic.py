"""Sums, differences, products and quotients that are simpler than they look.

Of real numbers only: a complex product with 1 is not the number itself where a part is infinite.
And none of the tempting ones: x*0, x-x and 0-x are not 0, 0 and -x for floating numbers, and
nothing is regrouped.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import (
    equals,
    is_float,
    is_integer,
    is_not_negative,
    is_real,
    made_by,
    number,
    rule,
    same,
)


@rule("Identity", "StopGradient", "Positive", "Conj", "Real")
def nothing_is_done(b: Rewriter, step: Instruction) -> Operand | None:
    """+x is x; so is the conjugate, and the real part, of a real number."""
    (x,) = step.inputs
    assert x is not None
    if step.name in ("Conj", "Real") and x.dtype.kind == "c":
        return None
    return x if x.dtype == step.output.dtype else None


@rule("Mul")
def times_one(b: Rewriter, step: Instruction) -> Operand | None:
    """x * 1 is x, and x * -1 is -x."""
    for x, factor in _both_ways(step):
        if equals(factor, 1):
            return x
        if equals(factor, -1):
            return b.map("Neg", x)
    return None


@rule("Mul")
def times_zero_of_integers(b: Rewriter, step: Instruction) -> Operand | None:
    """x * 0 is 0 for integers. (Of floating numbers it may be NaN or -0.0.)"""
    if is_integer(step.output) and any(equals(x, 0) for x in step.inputs):
        return b.full(step.output.shape, 0, step.output.dtype)
    return None


@rule("RealDiv")
def divided_by_one(b: Rewriter, step: Instruction) -> Operand | None:
    """x / 1 is x, and x / -1 is -x."""
    x, divisor = step.inputs
    if is_real(step.output) and equals(divisor, 1):
        return x
    if is_real(step.output) and equals(divisor, -1):
        return b.map("Neg", x)
    return None


@rule("RealDiv")
def divided_by_a_power_of_two(b: Rewriter, step: Instruction) -> Operand | None:
    """x / 2**n is x * 2**-n, which is as exact, where neither number is subnormal."""
    x, divisor = step.inputs
    value = number(divisor)
    if value is None or not is_float(step.output) or not value or not math.isfinite(value):
        return None
    limits = np.finfo(step.output.dtype)
    smallest = float(limits.smallest_normal)
    if math.frexp(abs(value))[0] != 0.5 or not smallest <= abs(value) <= 1 / smallest:
        return None
    if abs(1 / value) > float(limits.max):
        return None
    return b.map("Mul", x, 1 / value)


@rule("FloorDiv")
def integers_divided_by_one(b: Rewriter, step: Instruction) -> Operand | None:
    """n // 1 is n for integers. (Of floating numbers it rounds down.)"""
    x, divisor = step.inputs
    return x if is_integer(step.output) and equals(divisor, 1) else None


@rule("Add")
def plus_zero(b: Rewriter, step: Instruction) -> Operand | None:
    """x + 0 is x for integers, x + -0.0 is x for floating numbers: -0.0 + 0.0 is 0.0.

    x + 0.0 is x too where x is known not to be -0.0.
    """
    for x, zero in _both_ways(step):
        if equals(zero, 0 if is_integer(x) else -0.0):
            return x
        if equals(zero, 0) and is_not_negative(x):
            return x
    return None


@rule("Sub")
def minus_zero(b: Rewriter, step: Instruction) -> Operand | None:
    """x - 0 is x."""
    x, zero = step.inputs
    return x if is_real(step.output) and equals(zero, 0) else None


@rule("Sub")
def zero_minus(b: Rewriter, step: Instruction) -> Operand | None:
    """0 - x is -x for integers, -0.0 - x is -x for floating numbers: 0.0 - 0.0 is 0.0."""
    zero, x = step.inputs
    if is_real(step.output) and equals(zero, 0 if is_integer(step.output) else -0.0):
        assert x is not None
        return b.map("Neg", b.broadcast(x, step.output.shape))
    return None


@rule("Sub")
def integers_minus_themselves(b: Rewriter, step: Instruction) -> Operand | None:
    """n - n is 0 for integers. (Of floating numbers it may be NaN.)"""
    if is_integer(step.output) and same(*step.inputs):
        return b.full(step.output.shape, 0, step.output.dtype)
    return None


@rule("Neg")
def negated_twice(b: Rewriter, step: Instruction) -> Operand | None:
    """-(-x) is x."""
    before = made_by(step.inputs[0], "Neg")
    return before.inputs[0] if before is not None and is_real(step.output) else None


@rule("Add")
def plus_what_is_negated(b: Rewriter, step: Instruction) -> Operand | None:
    """x + (-y) is x - y."""
    for x, y in _both_ways(step):
        negated = made_by(y, "Neg")
        if negated is not None:
            return b.map("Sub", x, negated.inputs[0])
    return None


@rule("Sub")
def minus_what_is_negated(b: Rewriter, step: Instruction) -> Operand | None:
    """x - (-y) is x + y."""
    x, y = step.inputs
    negated = made_by(y, "Neg")
    if negated is None or not is_real(step.output):
        return None
    return b.map("Add", x, negated.inputs[0])


@rule("Mul", "RealDiv")
def both_are_negated(b: Rewriter, step: Instruction) -> Operand | None:
    """(-x) * (-y) is x * y, and (-x) / (-y) is x / y."""
    x, y = [made_by(z, "Neg") for z in step.inputs]
    if x is None or y is None or not is_real(step.output):
        return None
    return b.map(step.name, x.inputs[0], y.inputs[0])


@rule("Mul", "RealDiv")
def negated_and_a_constant(b: Rewriter, step: Instruction) -> Operand | None:
    """(-x) * c is x * (-c), (-x) / c is x / (-c) and c / (-x) is (-c) / x, of floating numbers."""
    if not is_float(step.output):
        return None
    for i, x in enumerate(step.inputs):
        value = number(step.inputs[1 - i])
        negated = made_by(x, "Neg")
        if value is not None and negated is not None:
            inner = negated.inputs[0]
            assert inner is not None
            constant = b.constant(-value, inner.dtype)
            pair = (constant, inner) if i else (inner, constant)
            return b.broadcast(b.map(step.name, *pair), step.output.shape)
    return None


@rule("Square", "Abs")
def sign_is_lost(b: Rewriter, step: Instruction) -> Operand | None:
    """The square, or absolute value, of -x or abs(x) is that of x."""
    for name in ("Neg", "Abs"):
        before = made_by(step.inputs[0], name)
        if before is not None and is_real(step.output) and before.output.dtype == step.output.dtype:
            inner = before.inputs[0]
            assert inner is not None
            return b.map(step.name, inner) if is_real(inner) else None
    return None


@rule("Mul")
def times_itself(b: Rewriter, step: Instruction) -> Operand | None:
    """x * x is the square of x."""
    x, y = step.inputs
    if same(x, y) and is_real(step.output):
        return b.map("Square", x)
    return None


@rule("Abs")
def absolute_of_what_is_not_negative(b: Rewriter, step: Instruction) -> Operand | None:
    """abs(x) is x where x is a square, an exponential, or a sum or product of such."""
    (x,) = step.inputs
    return x if is_not_negative(x) else None


def _both_ways(step: Instruction) -> tuple[tuple[Operand, Operand], ...]:
    """The operands of a real sum or product, in either order; nothing for complex ones."""
    x, y = step.inputs
    assert x is not None and y is not None
    return ((x, y), (y, x)) if is_real(x) else ()

"""Powers with small constant exponents.

`pow` takes ten to fifty times as long as a product.
"""

from __future__ import annotations

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import (
    equals,
    is_float,
    is_not_negative,
    is_real,
    number,
    rule,
)


@rule("Pow")
def power_of_zero_or_one(b: Rewriter, step: Instruction) -> Operand | None:
    """x ** 0 is 1, also for NaN; x ** 1 is x; and 1 ** x is 1 for floating numbers."""
    x, exponent = step.inputs
    if not is_real(step.output):
        return None
    if equals(exponent, 1):
        return x
    value = number(exponent)
    if value == 0 or (is_float(step.output) and equals(x, 1)):
        return b.full(step.output.shape, 1, step.output.dtype)
    return None


@rule("Pow")
def small_whole_power(b: Rewriter, step: Instruction) -> Operand | None:
    """x ** 2 is x * x, x ** 3 is x * x * x, and x ** -1 is 1 / x.

    Differs in the last place for floating numbers: x * x and 1 / x are rounded correctly, `pow` and
    x * x * x need not be. Infinities, NaN and zeros are the same.
    """
    x, exponent = step.inputs
    value = number(exponent)
    if value is None or not is_real(step.output) or x is None:
        return None
    if value in (2, 3):
        square = b.map("Square", x)
        return square if value == 2 else b.map("Mul", square, x)
    return b.map("Reciprocal", x) if value == -1 and is_float(step.output) else None


@rule("Pow")
def power_of_one_half(b: Rewriter, step: Instruction) -> Operand | None:
    """x ** 0.5 is sqrt(x), and x ** -0.5 is 1 / sqrt(x), where x is a square, a norm, or such.

    Not elsewhere: (-inf) ** 0.5 is inf, and (-0.0) ** 0.5 is 0.0. Differs in the last place.
    """
    x, exponent = step.inputs
    value = number(exponent)
    if value not in (0.5, -0.5) or not is_not_negative(x):
        return None
    root = b.map("Sqrt", x)
    return root if value > 0 else b.map("Reciprocal", root)

"""Selections, extremes and logic."""

from __future__ import annotations

import math

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import equals, is_float, is_integer, made_by, rule, same


@rule("Select")
def selection_is_known(b: Rewriter, step: Instruction) -> Operand | None:
    """Where the condition is always true, or never, it is one of the two; so where both agree."""
    condition, x, y = step.inputs
    assert condition is not None
    if condition.constant is not None:
        value = condition.uniform
        if value is not None:
            return x if value else y
    return x if same(x, y) else None


@rule("Select")
def selection_by_a_negation(b: Rewriter, step: Instruction) -> Operand | None:
    """where(not c, x, y) is where(c, y, x)."""
    condition, x, y = step.inputs
    negated = made_by(condition, "LogicalNot")
    return None if negated is None else b.map("Select", negated.inputs[0], y, x)


@rule("Maximum", "Minimum", "LogicalAnd", "LogicalOr", "BitwiseAnd", "BitwiseOr")
def with_itself(b: Rewriter, step: Instruction) -> Operand | None:
    """The maximum, minimum, conjunction or disjunction of x and x is x."""
    x, y = step.inputs
    return x if same(x, y) else None


@rule("Maximum", "Minimum")
def beyond_every_number(b: Rewriter, step: Instruction) -> Operand | None:
    """maximum(x, -inf) and minimum(x, inf) are x; NaN stays NaN."""
    limit = -math.inf if step.name == "Maximum" else math.inf
    for i, x in enumerate(step.inputs):
        if is_float(step.output) and equals(x, limit):
            return step.inputs[1 - i]
    return None


@rule("Maximum", "Minimum")
def limited_twice(b: Rewriter, step: Instruction) -> Operand | None:
    """maximum(maximum(x, y), y) is maximum(x, y); so with minimum."""
    for i, x in enumerate(step.inputs):
        before = made_by(x, step.name)
        if before is not None and any(same(step.inputs[1 - i], y) for y in before.inputs):
            return x
    return None


@rule("Relu")
def rectified_twice(b: Rewriter, step: Instruction) -> Operand | None:
    """relu(relu(x)) is relu(x)."""
    (x,) = step.inputs
    return x if made_by(x, "Relu") is not None else None


@rule("LogicalNot")
def not_not(b: Rewriter, step: Instruction) -> Operand | None:
    """not not x is x."""
    before = made_by(step.inputs[0], "LogicalNot")
    return None if before is None else before.inputs[0]


_OPPOSITE = {"Equal": "NotEqual", "NotEqual": "Equal"}
#: Of integers only: with a NaN, neither a < b nor a >= b.
_OPPOSITE_ORDER = {
    "Less": "GreaterEqual",
    "GreaterEqual": "Less",
    "Greater": "LessEqual",
    "LessEqual": "Greater",
}


@rule("LogicalNot")
def negated_comparison(b: Rewriter, step: Instruction) -> Operand | None:
    """not (x == y) is x != y, and the other way; of integers, not (x < y) is x >= y, and so on."""
    (condition,) = step.inputs
    before = None if condition is None else condition.producer
    if before is None or not before.pure:
        return None
    opposite = _OPPOSITE.get(before.name)
    if opposite is None and all(x is not None and is_integer(x) for x in before.inputs):
        opposite = _OPPOSITE_ORDER.get(before.name)
    return None if opposite is None else b.map(opposite, *before.inputs)


@rule("LogicalAnd", "LogicalOr")
def logic_with_a_constant(b: Rewriter, step: Instruction) -> Operand | None:
    """x and True is x, x and False is False, x or True is True, x or False is x."""
    for i, x in enumerate(step.inputs):
        value = None if x is None or x.constant is None else x.uniform
        if value is not None:
            decides = bool(value) == (step.name == "LogicalOr")
            return x if decides else step.inputs[1 - i]
    return None


@rule("LogicalXor")
def exclusive_with_a_constant(b: Rewriter, step: Instruction) -> Operand | None:
    """x xor False is x, x xor True is not x."""
    for i, x in enumerate(step.inputs):
        value = None if x is None or x.constant is None else x.uniform
        if value is not None:
            other = step.inputs[1 - i]
            return b.map("LogicalNot", other) if value else other
    return None

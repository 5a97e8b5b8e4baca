"""Formulas that lose digits, or overflow, in favour of those that do not.

All are for real floating numbers, and change results where they improve them: in the last places
most often, and from an infinity to a number where something in between has overflowed.
"""

from __future__ import annotations

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import equals, is_float, made_by, rule, same


@rule("Log")
def log_of_softmax(b: Rewriter, step: Instruction) -> Operand | None:
    """log(exp(d) / sum(exp(d))) is d - log(sum(exp(d))), where d is x - max(x).

    Differs where the softmax underflows: the logarithm is then a number, not -inf.
    """
    quotient = made_by(step.inputs[0], "RealDiv")
    if quotient is None or not is_float(step.output):
        return None
    top, total = quotient.inputs
    exponential = made_by(top, "Exp")
    if exponential is None or total is None or reduced(total, "sum") is not top:
        return None
    (distance,) = exponential.inputs
    if distance is None or not _is_below_the_maximum(distance):
        return None
    return b.map("Sub", distance, b.map("Log", total))


@rule("Log")
def log_of_softmax_in_one_step(b: Rewriter, step: Instruction) -> Operand | None:
    """log(softmax(x)) is log_softmax(x).

    Differs where the softmax underflows: the logarithm is then a number, not -inf.
    """
    before = made_by(step.inputs[0], "Softmax")
    if before is None:
        return None
    return b.op("LogSoftmax", *before.inputs, **before.attrs)  # type: ignore[no-any-return]


@rule("Exp")
def exp_of_log_of_softmax(b: Rewriter, step: Instruction) -> Operand | None:
    """exp(d - log(sum(exp(d)))) is exp(d) / sum(exp(d)), where d is x - max(x).

    Differs in the last places, by being closer. Gradients of a log-softmax have it, and exp(d) is
    there already.
    """
    outer = made_by(step.inputs[0], "Sub")
    if outer is None or not is_float(step.output):
        return None
    distance, log = outer.inputs
    before = made_by(log, "Log")
    if before is None or distance is None or not _is_below_the_maximum(distance):
        return None
    (total,) = before.inputs
    exponential = None if total is None else made_by(reduced(total, "sum"), "Exp")
    if exponential is None or exponential.inputs[0] is not distance:
        return None
    return b.map("RealDiv", exponential.output, total)


@rule("Log")
def log_of_sigmoid(b: Rewriter, step: Instruction) -> Operand | None:
    """log(sigmoid(x)) is -softplus(-x).

    Differs where the sigmoid underflows, and, by being closer, where it is near 1.
    """
    before = made_by(step.inputs[0], "Sigmoid")
    if before is None or not is_float(step.output):
        return None
    return b.map("Neg", b.map("Softplus", b.map("Neg", before.inputs[0])))


@rule("Log", "Log1p")
def log_of_one_plus_exp(b: Rewriter, step: Instruction) -> Operand | None:
    """log(1 + exp(x)) and log1p(exp(x)) are softplus(x).

    Differs, by being closer, where exp(x) is small, and where it overflows: softplus(x) is then x.
    """
    (x,) = step.inputs
    inner = _without_one(x) if step.name == "Log" else x
    exponential = made_by(inner, "Exp")
    if exponential is None or not is_float(step.output):
        return None
    return b.map("Softplus", exponential.inputs[0])


@rule("Log")
def log_of_one_plus(b: Rewriter, step: Instruction) -> Operand | None:
    """log(1 + x) is log1p(x).

    Differs, by being closer, where x is small; log1p(-0.0) is -0.0, not 0.0.
    """
    inner = _without_one(step.inputs[0])
    if inner is None or not is_float(step.output):
        return None
    return b.map("Log1p", inner)


@rule("Sub", "Add")
def exp_minus_one(b: Rewriter, step: Instruction) -> Operand | None:
    """exp(x) - 1, and exp(x) + -1, is expm1(x).

    Differs, by being closer, where x is small; expm1(-0.0) is -0.0, not 0.0.
    """
    if not is_float(step.output):
        return None
    x, y = step.inputs
    pairs = [(x, y)] if step.name == "Sub" else [(x, y), (y, x)]
    for whole, one in pairs:
        exponential = made_by(whole, "Exp")
        if exponential is not None and equals(one, 1 if step.name == "Sub" else -1):
            return b.map("Expm1", exponential.inputs[0])
    return None


def _without_one(x: Operand | None) -> Operand | None:
    """y, where x is 1 + y, or y - -1; else None."""
    added = made_by(x, "Add")
    if added is not None:
        for i, one in enumerate(added.inputs):
            if equals(one, 1):
                other = added.inputs[1 - i]
                return other if other is not None and other.shape == added.output.shape else None
    return None


def reduced(x: Operand, joining: str) -> Operand | None:
    """What `x` has been reduced from, by one reduction of this kind or several."""
    step = x.root.producer
    while step is not None and step.kind == "reduce" and step.name == joining:
        (source,) = step.inputs
        assert source is not None
        if source.view is not None or source.producer is None or source.producer.kind != "reduce":
            return source
        step = source.producer
    return None


def _is_below_the_maximum(distance: Operand) -> bool:
    """Whether this is x - max(x), never positive; perhaps with 0 chosen where they are equal."""
    chosen = made_by(distance, "Select")
    if chosen is not None:
        equal = made_by(chosen.inputs[0], "Equal")
        if equal is None or not equals(chosen.inputs[1], 0):
            return False
        difference = made_by(chosen.inputs[2], "Sub")
        if difference is None or not all(map(same, equal.inputs, difference.inputs)):
            return False
    else:
        difference = made_by(distance, "Sub")
        if difference is None:
            return False
    x, top = difference.inputs
    source = None if top is None else reduced(top, "max")
    return source is not None and x is not None and same(source, x)

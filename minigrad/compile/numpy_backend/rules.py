"""Rewrites for programs that NumPy is to run."""

from __future__ import annotations

from minigrad.compile import views
from minigrad.compile.numpy_backend.own_kernels import ON_ROWS
from minigrad.compile.program import Instruction, Operand, Program
from minigrad.compile.rewrite.one_hot import is_along_last, one_hot, without_last
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import Rule, equals, is_float, made_by, same
from minigrad.compile.rewrite.stable import reduced
from minigrad.compile.rewrite.walk import rewrite


def for_numpy(program: Program) -> Program:
    """The program with every elementwise kernel a map, and with kernels that only NumPy needs."""
    for step in program.instructions:
        if step.kind == "call" and step.pure and step.primitive and step.primitive.elementwise:
            if all(x is None or x.dtype.kind != "O" for x in (*step.inputs, *step.outputs)):
                step.kind = "map"
    if not any(step.name in _HINTS for step in program.instructions):
        return program
    return rewrite(program, _RULES)


#: Without one of these no rule applies.
_HINTS = frozenset({"Select", "Exp"})


def _distance(b: Rewriter, step: Instruction) -> Operand | None:
    """where(x == top, 0, x - top) is x - top, looked over again where `top` is not finite."""
    condition, zero, difference = step.inputs
    equal, minus = made_by(condition, "Equal"), made_by(difference, "Sub")
    if equal is None or minus is None or not equals(zero, 0):
        return None
    if not all(map(same, equal.inputs, minus.inputs)):
        return None
    x, top = minus.inputs
    if x is None or top is None or x.shape != step.output.shape or x.dtype.kind != "f":
        return None
    return b.make("map", "distance", [x, top], step.output.shape, x.dtype)


def _picked(b: Rewriter, step: Instruction) -> Operand | None:
    """The sum over where(i == arange(n), x, 0) is the i-th element of x: a look-up."""
    found = one_hot(step)
    if found is None:
        return None
    index, x, _ = found
    return _pick(b, x, index)


def _pick(b: Rewriter, x: Operand, index: Operand) -> Operand:
    """The elements of `x` at an index, found before anything is computed elementwise."""
    if not is_along_last(x):
        return without_last(x)
    shape = (*x.shape[:-1], 1)
    step = x.producer
    if step is None or step.kind != "map" or step.name in ON_ROWS:
        return b.make("special", "pick", [x, index], shape, x.dtype)
    inputs = [
        None if y is None else _pick(b, views.broadcast(y, x.shape), index) for y in step.inputs
    ]
    return b.make("map", step.name, inputs, shape, x.dtype, step)


def _less_at_index(b: Rewriter, step: Instruction) -> Operand | None:
    """where(i == arange(n), v, 0) - x is -x with one element of a row changed.

    Differs where x is 0.0: it becomes -0.0, where 0 - x is 0.0.
    """
    chosen, x = step.inputs
    select = made_by(chosen, "Select")
    if select is None or x is None or not b.is_read_once(select.output):
        return None
    found = one_hot(select)
    if found is None or x.shape != step.output.shape or not is_float(x):
        return None
    index, value, _ = found
    if is_along_last(value):
        return None
    inputs = [_negated(b, x), without_last(index), without_last(value)]
    return b.make("map", "add_at_index", inputs, x.shape, x.dtype)


def _negated(b: Rewriter, x: Operand) -> Operand:
    """-x; of a product with one number a row, by negating that."""
    product = made_by(x, "Mul")
    if product is not None and b.is_read_once(x):
        for i, factor in enumerate(product.inputs):
            other = product.inputs[1 - i]
            if factor is not None and factor.size * 2 <= x.size and other is not None:
                return b.map("Mul", other, b.map("Neg", factor))
    return b.map("Neg", x)


def _softmax_times_row(b: Rewriter, step: Instruction) -> Operand | None:
    """e / s * g, with one s and g a row, is e * (g / s), where s is the sum of a row of e >= 0.

    Differs in the last places: as often rounded, in another order.
    """
    for i, x in enumerate(step.inputs):
        factor = step.inputs[1 - i]
        quotient = made_by(x, "RealDiv")
        if quotient is None or factor is None or x is None or not b.is_read_once(x):
            continue
        whole, total = quotient.inputs
        if whole is None or total is None or made_by(whole, "Exp") is None:
            continue
        if reduced(total, "sum") is whole and factor.size <= total.size and factor.rank <= x.rank:
            return b.map("Mul", whole, b.map("RealDiv", factor, total))
    return None


_RULES = [
    Rule("distance from the maximum", ("Select",), _distance),
    Rule("look-up in place of a sum", ("sum",), _picked),
    Rule("difference at an index", ("Sub",), _less_at_index),
    Rule("one factor a row", ("Mul",), _softmax_times_row),
]

"""Rows that are 0 but for one element, as indices of classes make them."""

from __future__ import annotations

import numpy as np

from minigrad.compile import views
from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import equals, is_real, made_by, rule


@rule("sum")
def sum_of_a_row_with_one_number(b: Rewriter, step: Instruction) -> Operand | None:
    """The sum over where(i == arange(n), v, 0), with one v a row, is v; 0 if i is out of range.

    Differs where v is -0.0: as a sum it is 0.0.
    """
    found = one_hot(step)
    if found is None or is_along_last(found[1]):
        return None
    index, value, length = found
    index, value = without_last(index), without_last(value)
    inside = b.map("LogicalAnd", b.map("GreaterEqual", index, 0), b.map("Less", index, length))
    return b.map("Select", inside, value, b.constant(0, value.dtype))


def one_hot(step: Instruction) -> tuple[Operand, Operand, int] | None:
    """The parts of where(i == arange(n), x, 0), or of a sum of that over its last axis.

    Args:
        step: the sum, or the selection itself.

    Returns:
        i and x, in the shape of the selection, and n; None if the step is nothing of the kind.
    """
    select: Instruction | None = step
    if step.kind == "reduce":
        (x,) = step.inputs
        if x is None or step.attrs["axes"] != (x.rank - 1, x.rank):
            return None
        select = made_by(x, "Select")
    if select is None or select.name != "Select" or not select.output.rank:
        return None
    condition, chosen, zero = select.inputs
    equal = made_by(condition, "Equal")
    shape = select.output.shape
    if equal is None or chosen is None or not equals(zero, 0) or not is_real(select.output):
        return None
    if condition is None or condition.shape[-1:] != shape[-1:]:
        return None
    for index, places in (equal.inputs, equal.inputs[::-1]):
        if index is not None and places is not None and _counts_along_last(places, shape[-1]):
            spread = views.broadcast(index, shape)
            if not is_along_last(spread) and index.dtype.kind in "iu":
                return spread, views.broadcast(chosen, shape), shape[-1]
    return None


def is_along_last(x: Operand) -> bool:
    """Whether elements may differ along the last axis."""
    strides = x.strides if x.constant is None else x.constant.strides
    return x.shape[-1] != 1 and strides[-1] != 0


def without_last(x: Operand) -> Operand:
    """What is the same along the last axis, with length 1 there."""
    shape = (*x.shape[:-1], 1)
    return views.sliced(x, (0,) * x.rank, (1,) * x.rank, shape)


def _counts_along_last(x: Operand, length: int) -> bool:
    """Whether a constant has 0, 1, 2, … along its last axis."""
    value = x.constant
    if value is None or not x.rank or x.dtype.kind not in "iu" or x.shape[-1] != length:
        return False
    if any(s != 0 and n != 1 for s, n in zip(value.strides[:-1], x.shape[:-1], strict=True)):
        return False
    return not value.size or bool((value[(0,) * (x.rank - 1)] == np.arange(length)).all())

"""Copies that nobody needs: what reads them can read the original."""

from __future__ import annotations

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import made_by, rule
from minigrad.compile.rewrite.seeing import seen_in


@rule("copy")
def copy_of_what_lies_in_order(b: Rewriter, step: Instruction) -> Operand | None:
    """A copy of what is laid out in C order is the original."""
    (x,) = step.inputs
    return x if x is not None and x.is_contiguous and x.constant is None else None


@rule("*")
def read_without_its_copy(b: Rewriter, step: Instruction) -> Operand | None:
    """Elementwise steps, reductions and copies read the original of a copy that no other reads."""
    if step.kind not in ("map", "reduce"):
        return None
    for i, x in enumerate(step.inputs):
        if x is None or x.constant is not None:
            continue
        before = made_by(x.root, "copy")
        if before is None or not (step.name == "copy" or b.is_read_once(x)):
            continue
        (source,) = before.inputs
        assert source is not None
        direct = seen_in(x, source)
        if direct is not None:
            inputs = list(step.inputs)
            inputs[i] = direct
            return b.like(step, inputs)
    return None

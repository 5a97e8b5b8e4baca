"""Constants are computed beforehand."""

from __future__ import annotations

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import rule


@rule("*")
def constants_are_folded(b: Rewriter, step: Instruction) -> Operand | None:
    """A step of constants is computed now, if its output is small, or all alike.

    By the kernel of the reference executor.
    """
    for x in step.inputs:
        if x is not None and x.constant is None:
            return None
    return b.computed(step)

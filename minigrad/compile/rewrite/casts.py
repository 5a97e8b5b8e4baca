"""Casts that change nothing, or that another one makes needless."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import made_by, rule


@rule("Cast")
def cast_to_its_own_dtype(b: Rewriter, step: Instruction) -> Operand | None:
    """A cast to the dtype that x has is x."""
    (x,) = step.inputs
    assert x is not None
    return x if x.dtype == step.output.dtype else None


@rule("Cast")
def cast_of_an_exact_cast(b: Rewriter, step: Instruction) -> Operand | None:
    """A cast of a cast that has lost nothing is one cast of the original.

    Left alone where floating numbers in between are turned into integers: what becomes of those
    that are out of range depends on where they come from.
    """
    before = made_by(step.inputs[0], "Cast")
    if before is None:
        return None
    (x,) = before.inputs
    assert x is not None
    between, target = before.output.dtype, step.output.dtype
    if not _keeps_all(x.dtype, between):
        return None
    if between.kind == "f" and target.kind in "iu" and x.dtype != target:
        return None
    return b.cast(x, target)


#: The whole numbers that floating ones have all of, up to a power of two.
_WHOLE_BITS = {2: 11, 4: 24, 8: 53}


def _keeps_all(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Whether every real value of one dtype is one of the other."""
    pair = source.kind + target.kind
    if source == target or pair in ("bi", "bu", "bf"):
        return True
    if pair == "iu" or "c" in pair or "O" in pair or "b" in pair:
        return False
    if pair in ("iif", "uuf", "ff", "ii", "uu"):
        return target.itemsize >= source.itemsize
    if pair == "ui":
        return target.itemsize > source.itemsize
    if target.kind == "f":
        bits = 8 * source.itemsize - (source.kind == "i")
        return bits <= _WHOLE_BITS.get(target.itemsize, 0)
    return False

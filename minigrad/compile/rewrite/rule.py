"""What a rule is, the list of all of them, and what they ask of operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.compile.program import Instruction, Operand

if TYPE_CHECKING:
    from minigrad.compile.rewrite.rewriter import Rewriter

#: Given a pure instruction with one output, what stands for its output instead: an operand of the
#: same dtype, whose shape broadcasts to its; or None to leave it as it is.
Function: TypeAlias = "Callable[[Rewriter, Instruction], Operand | None]"


class Rule(NamedTuple):
    """One way to rewrite an instruction.

    Attributes:
        name: what reports call it.
        on: the names of the instructions that it looks at.
        function: what it does; its docstring says where results differ.
    """

    name: str
    on: tuple[str, ...]
    function: Function

    @property
    def exact(self) -> bool:
        """Whether results are the same to the last bit, also for infinities, NaN and -0.0."""
        return "Differs" not in (self.function.__doc__ or "")


#: Every rule, in the order in which they are tried.
RULES: list[Rule] = []


def rule(*on: str) -> Callable[[Function], Function]:
    """Add a function to the rules for instructions of these names.

    Its own name, with spaces, is the rule's. Its docstring has a sentence that begins with
    "Differs" if and only if it may change results, and says how.
    """

    def put(function: Function) -> Function:
        RULES.append(Rule(function.__name__.replace("_", " ").strip(), on, function))
        return function

    return put


def made_by(x: Operand | None, name: str) -> Instruction | None:
    """The pure instruction of this name that made `x`; None if another did, or if `x` is a view."""
    if x is None or x.producer is None or x.producer.name != name or not x.producer.pure:
        return None
    return x.producer


def is_real(x: Operand) -> bool:
    """Whether elements are integers or real floating numbers."""
    return x.dtype.kind in "fiu"


def is_float(x: Operand) -> bool:
    """Whether elements are real floating numbers."""
    return x.dtype.kind == "f"


def is_integer(x: Operand) -> bool:
    """Whether elements are integers."""
    return x.dtype.kind in "iu"


def equals(x: Operand | None, value: float) -> bool:
    """Whether `x` is a real constant, all of whose elements are this value; -0.0 is not 0.0."""
    if x is None or x.constant is None or x.dtype.kind not in "fiu":
        return False
    found = x.uniform
    if found is None or found != value:
        return False
    return value != 0 or x.dtype.kind != "f" or math.copysign(1, found) == math.copysign(1, value)


def number(x: Operand | None) -> Any:
    """The one value of a uniform real constant, as Python's own number, or None."""
    if x is None or x.constant is None or x.dtype.kind not in "fiu":
        return None
    found = x.uniform
    return None if found is None else found.item()


def same(x: Operand | None, y: Operand | None) -> bool:
    """Whether two operands are known to have the same elements at the same places."""
    if x is y:
        return True
    if x is None or y is None or x.shape != y.shape or x.dtype != y.dtype:
        return False
    if x.constant is not None or y.constant is not None:
        if x.constant is None or y.constant is None or x.size > 64:
            return False
        return x.constant.tobytes() == y.constant.tobytes()
    return x.root is y.root and x.offset == y.offset and x.strides == y.strides


#: Ops whose results are neither negative nor -0.0, but may be NaN.
_NOT_NEGATIVE = frozenset({"Abs", "Exp", "Sigmoid", "Square", "Hypot"})


def is_not_negative(x: Operand | None, depth: int = 3) -> bool:
    """Whether real elements are known to be NaN, +0.0 or more; never -0.0."""
    if x is None or not is_float(x):
        return False
    if x.constant is not None:
        return x.size <= 64 and not bool(np.signbit(x.constant).any())
    step = x.root.producer
    if step is None or depth == 0:
        return False
    if step.name in _NOT_NEGATIVE:
        return True
    if step.name == "Mul" and same(*step.inputs):
        return True
    if step.name in ("Add", "Mul", "RealDiv", "Maximum"):
        return all(is_not_negative(y, depth - 1) for y in step.inputs)
    return step.name in ("sum", "max", "min", "copy") and is_not_negative(step.inputs[0], depth - 1)

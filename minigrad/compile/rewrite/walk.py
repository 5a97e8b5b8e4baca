"""All rules over a whole program."""

from __future__ import annotations

from collections.abc import Sequence

# The modules with rules add them to the list, in this order, when they are imported.
from minigrad.compile.rewrite import (  # isort: skip
    folding,
    arithmetic,
    powers,
    casts,
    choices,
    stable,
    reductions,
    one_hot,
    copies,
    matrices,
)
from minigrad.compile.program import Program
from minigrad.compile.rewrite.dead import drop_dead
from minigrad.compile.rewrite.reservations import reserve_first
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import RULES, Rule

_MODULES = (
    folding,
    arithmetic,
    powers,
    casts,
    choices,
    stable,
    reductions,
    one_hot,
    copies,
    matrices,
)


def rewrite(program: Program, rules: Sequence[Rule] = RULES) -> Program:
    """Simplify a program in place, and return it.

    One walk from the first instruction to the last applies the rules and finds common
    subexpressions; one from the last to the first drops what nobody reads; and reservations of
    random numbers are put first. All take time proportional to the length. Feeds and variables
    stay the operands they are; fetches and writes may become others. `program.notes` counts what
    has been done, by the names of the rules.

    Args:
        program: the program; it is changed.
        rules: the rules to apply.
    """
    rewriter = Rewriter(program, rules)
    rewriter.run()
    dropped = drop_dead(program)
    program.notes.update(rewriter.fired)
    moved = reserve_first(program)
    if moved:
        program.notes["random numbers are reserved first"] += moved
    if dropped:
        program.notes["dead code"] += dropped
    return program

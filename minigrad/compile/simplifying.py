"""All that is done to a program before it is cut into pieces."""

from __future__ import annotations

from minigrad.compile.loops import improve
from minigrad.compile.program import Program
from minigrad.compile.rewrite import rewrite


def simplify(program: Program) -> Program:
    """Let a program do less, in place, and return it; its loops too."""
    rewrite(program)
    return rewrite(program) if improve(program) else program

"""Which loops of a program are changed, and in which order."""

from __future__ import annotations

from minigrad.compile.bodies import LoopForm
from minigrad.compile.builder import Builder
from minigrad.compile.loops.draft import Draft
from minigrad.compile.loops.invariants import compute_before
from minigrad.compile.loops.keeping import keep
from minigrad.compile.loops.sums import multiply_after
from minigrad.compile.program import Instruction, Program


def improve(program: Program) -> bool:
    """Let the loops of a program do less; whether anything has been changed.

    Args:
        program: the program; it is changed. `notes` counts what has been done.
    """
    drafts: dict[Instruction, Draft] = {}
    before = kept = taken_out = 0
    steps, program.instructions = program.instructions, []
    builder = Builder(program)
    for step in steps:
        draft = Draft(step, step.form) if isinstance(step.form, LoopForm) else None
        builder.operation = step.operation
        if draft is not None:
            before += compute_before(draft, builder)
        program.instructions.append(step)
        if draft is not None:
            taken_out += multiply_after(draft, builder)
            kept += sum([keep(first, draft) for first in drafts.values()])
            drafts[step] = draft
    if any(draft.changed for draft in drafts.values()):
        _finish(program, drafts)
    if kept:
        program.notes["kept for the loop of a gradient"] += kept
    if taken_out:
        program.notes["sum of products after a loop"] += taken_out
    if before:
        program.notes["computed before a loop"] += before
    return bool(before or kept or taken_out)


def _finish(program: Program, drafts: dict[Instruction, Draft]) -> None:
    """Put the changed loops in their places, the last one first: it may need less of others."""
    used = {x.root for x in program.results}
    made = []
    for step in reversed(program.instructions):
        draft = drafts.get(step)
        new = draft.finish(used) if draft is not None and draft.changed else step
        used.update([x.root for x in new.inputs if x is not None])
        made.append(new)
    program.instructions = made[::-1]

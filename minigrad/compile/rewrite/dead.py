"""Dead code: what nobody reads is not computed."""

from __future__ import annotations

from minigrad.compile.program import Instruction, Operand, Program


def drop_dead(program: Program) -> int:
    """Drop the instructions that only compute, and whose outputs nobody reads; how many.

    Checks, and whatever draws, assigns, or calls Python, stay. An error that only a dropped kernel
    would have raised is not raised.
    """
    live: set[Operand] = {x.root for x in program.results}
    kept: list[Instruction] = []
    for step in reversed(program.instructions):
        if step.kind == "check" or not step.pure or any(output in live for output in step.outputs):
            kept.append(step)
            live.update([x.root for x in step.inputs if x is not None])
    dropped = len(program.instructions) - len(kept)
    kept.reverse()
    program.instructions = kept
    return dropped

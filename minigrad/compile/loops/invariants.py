"""What is the same in every run of a loop: it is computed once, before the loop."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.compile.builder import Builder
from minigrad.compile.loops.draft import Draft
from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.seeing import seen_in


def compute_before(draft: Draft, builder: Builder) -> int:
    """Take what depends on nothing but captured values out of a loop; it is added to `builder`.

    Returns:
        How much has been taken out.
    """
    if draft.form.runs is None or draft.runs < 2:
        return 0
    outside = dict(zip(draft.arguments.captured, draft.given.captured, strict=True))
    count = len(outside)
    kept: list[Instruction] = []
    for step in draft.body.instructions:
        moved = _moved(step, outside)
        if moved is None:
            kept.append(step)
            continue
        builder.program.instructions.append(moved)
        for x, y in zip(step.outputs, moved.outputs, strict=True):
            x.producer = None
            outside[x] = y
            draft.capture(y, x)
    draft.body.instructions = kept
    return len(outside) - count


def _moved(step: Instruction, outside: Mapping[Operand, Operand]) -> Instruction | None:
    """An instruction of a body as one outside; None if it has to stay, or is to."""
    if not step.pure or step.kind == "check" or step.form is not None:
        return None
    read = [x for x in step.inputs if x is not None and x.constant is None]
    if not read or not all(x.root in outside for x in read):
        return None
    made = sum([x.nbytes for x in step.outputs])
    if step.kind == "map" and made > sum([x.root.nbytes for x in read]):
        # It is read in less time than memory takes.
        return None
    inputs = []
    for x in step.inputs:
        if x is None or x.constant is not None:
            inputs.append(x)
            continue
        seen = seen_in(x, outside[x.root])
        if seen is None:
            return None
        inputs.append(seen)
    outputs = [Operand(x.shape, x.dtype, label=x.label) for x in step.outputs]
    # It stands for no node of the graph around: if it fails, the reference executor says in which
    # run of the loop.
    return Instruction(step.kind, step.name, inputs, outputs, step.attrs, step.primitive)

"""What one loop computes and another computes again from the first one's history: it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.compile.loops.draft import Draft
from minigrad.compile.program import Instruction, Operand, Program
from minigrad.compile.rewrite.keys import key_of, key_of_step
from minigrad.compile.rewrite.rule import same

#: What is kept of all runs for another loop may have so many bytes.
MOST_BYTES = 1 << 28
#: Elementwise steps that take about as long as to write an element and read it again.
_LONG = frozenset(
    {
        "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "Cos", "Cosh", "Elu", "Erf",
        "Erfc", "Exp", "Expm1", "Log", "Log1p", "LogSigmoid", "Pow", "Sigmoid", "Sin", "Sinh",
        "Softplus", "Tan", "Tanh",
    }
)  # fmt: skip


def keep(first: Draft, second: Draft) -> int:
    """Let the second loop read what the first one has computed, where it would compute it again.

    Returns:
        How many values are kept.
    """
    if first.form.runs is None or first.form.runs != second.form.runs:
        return 0
    known = _shared(first, second)
    if known.keys().isdisjoint(second.arguments.slices):
        # What depends on captured values alone is computed before a loop.
        return 0
    found = _matched(first, second.body, known)
    chosen = _chosen(second, found) if found else []
    size = sum([x.nbytes for x in chosen]) * second.runs
    if size > MOST_BYTES:
        return 0
    for x in chosen:
        second.slice(first.collect(found[x]), x)
    return len(chosen)


def _shared(first: Draft, second: Draft) -> dict[Operand, Operand]:
    """The arguments of the second body that are, in the same position, those of the first."""
    known: dict[Operand, Operand] = {}
    for given, argument in zip(second.given.slices, second.arguments.slices, strict=True):
        for history, seen, own in zip(
            first.made.histories, first.histories, first.arguments.carries, strict=True
        ):
            if seen and given is history:
                known[argument] = own
        for other, own in zip(first.given.slices, first.arguments.slices, strict=True):
            if same(given, other):
                known[argument] = own
    for given, argument in zip(second.given.captured, second.arguments.captured, strict=True):
        for other, own in zip(first.given.captured, first.arguments.captured, strict=True):
            if same(given, other):
                known[argument] = own
    return known


def _matched(
    first: Draft, second: Program, known: Mapping[Operand, Operand]
) -> dict[Operand, Operand]:
    """What the instructions of the second body make that those of the first make too."""
    names = dict(known)
    found: dict[Operand, Operand] = {}
    for step in second.instructions:
        if not step.pure or step.kind == "check":
            continue
        inputs = [_as_named(x, names) for x in step.inputs]
        hit = first.steps_by_key.get(key_of_step(step, inputs))
        if hit is not None:
            for x, y in zip(step.outputs, hit.outputs, strict=True):
                names[x] = found[x] = y
    return found


def _as_named(x: Operand | None, names: Mapping[Operand, Operand]) -> Any:
    """The key of an operand in terms of the other program's."""
    if x is None or x.constant is not None:
        return key_of(x)
    root = names.get(x.root)
    if x.view is None or root is None:
        return root
    return x.view._replace(base=root), x.shape


def _chosen(second: Draft, found: Mapping[Operand, Operand]) -> list[Operand]:
    """What is worth being kept: results of long steps that the second loop has a use for.

    What is quickly computed is computed again.
    """
    needed = {x.root for x in (*second.after, *second.collected)}
    chosen: list[Operand] = []
    for step in reversed(second.body.instructions):
        if step.kind != "check" and not any(x in needed for x in step.outputs):
            continue
        if step.outputs and step.outputs[0] in found and _is_long(step):
            chosen += [x for x in step.outputs if x in needed]
        else:
            needed.update([x.root for x in step.inputs if x is not None])
    return chosen


def _is_long(step: Instruction) -> bool:
    return step.kind != "map" or step.name in _LONG

"""Places in streams of random numbers are reserved before all else."""

from __future__ import annotations

from minigrad.compile.program import Program
from minigrad.core.state import cells_of, written_cells


def reserve_first(program: Program) -> int:
    """Move the reservations of known size to the start of a program; how many moved.

    Reserving is the one part of a draw that is called as Python: between two kernels it would cut
    native code in two. A generator's reservations keep their order, also with loops and branches
    that draw from it. Nothing shows when a run reserves, for nothing is committed before its end.
    """
    first, rest = [], []
    used: set[int] = set()
    moved = 0
    for step in program.instructions:
        if step.pure:
            rest.append(step)
            continue
        effect = "" if step.primitive is None else step.primitive.effect
        cells = {c.key for c in (*cells_of(step.attrs), *written_cells(effect, step.attrs))}
        known = all(x is not None and x.constant is not None for x in step.inputs)
        if step.name == "RandomReserve" and known and used.isdisjoint(cells):
            moved += bool(rest)
            first.append(step)
        else:
            used |= cells
            rest.append(step)
    program.instructions = [*first, *rest]
    return moved

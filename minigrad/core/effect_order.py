"""The order of effects in a graph that stands for eager code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad.core.state import written_cells

if TYPE_CHECKING:
    from minigrad.core.operation import Operation, SymbolicTensor

__all__: list[str] = []


class EffectOrder:
    """What has been written and read so far: a read sees the assignments that stand before it.

    Attributes:
        writes: the last operation so far that writes each cell, by the cell's key.
        reads: the read of each variable that holds until the next assignment.
    """

    __slots__ = ("reads", "writes")

    def __init__(self) -> None:
        self.writes: dict[int, Operation] = {}
        self.reads: dict[int, SymbolicTensor] = {}

    def note(self, op: Operation) -> None:
        """Count one more operation."""
        effect = op.primitive.effect
        if effect in ("pure", "read"):
            return
        for cell in written_cells(effect, op.attrs):
            self.writes[cell.key] = op
            self.reads.pop(cell.key, None)

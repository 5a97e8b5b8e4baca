"""Which input and output of a branch is what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.core.body import Body
from minigrad.core.operation import SymbolicTensor


@dataclass(frozen=True)
class Layout:
    """Which input and output of a branch is what.

    Attributes:
        branches: the bodies.
    """

    branches: tuple[Body, ...]

    @property
    def count(self) -> int:
        """Number of results."""
        return len(self.branches[0].outputs)

    @property
    def effects(self) -> list[list[SymbolicTensor]]:
        """For each branch the results of its effects, which are hidden outputs."""
        return [[t for op in b.stateful_ops for t in op.outputs] for b in self.branches]

    def captured(self, inputs: Sequence[Any]) -> list[list[Any]]:
        """The inputs after the index, for each branch those that it captures."""
        feed = iter(inputs[1:])
        return [[next(feed) for _ in body.captured] for body in self.branches]

    def hidden(self, outputs: Sequence[Any]) -> list[list[Any]]:
        """The hidden outputs, for each branch its own."""
        feed = iter(outputs[self.count :])
        return [[next(feed) for _ in group] for group in self.effects]


def taken(index: Any, count: int) -> int:
    """Which of `count` branches an index means: one that is out of range means the last."""
    return int(index) if 0 <= index < count else count - 1

"""Which input and output of a loop is what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from minigrad.core.body import Body
from minigrad.core.operation import SymbolicTensor
from minigrad.core.state import Cell
from minigrad.errors import ArgumentError, ShapeError
from minigrad.shapes import Spec


@dataclass(frozen=True)
class Layout:
    """Which input and output of a loop is what.

    Attributes:
        cond: the body that says whether to go on, or None.
        body: what is done in each run.
        limited: whether the first input is the greatest number of runs.
        carries: for each carried tensor, whether its shape may change.
        slices: for each sliced input, whether it is ragged.
        results: for each collected result, whether it is ragged.
        reverse: whether the positions are gone through from the last to the first.
    """

    cond: Body | None
    body: Body
    limited: bool
    carries: tuple[bool, ...]
    slices: tuple[bool, ...]
    results: tuple[bool, ...]
    reverse: bool

    @cached_property
    def refreshed(self) -> list[tuple[int, Cell]]:
        """The places, among what the body captures, of variables that the loop itself assigns.

        Each run reads what the one before has left.
        """
        return self._assigned(self.body)

    @cached_property
    def asked_refreshed(self) -> list[tuple[int, Cell]]:
        """The same for what the condition captures."""
        return [] if self.cond is None else self._assigned(self.cond)

    def _assigned(self, reader: Body) -> list[tuple[int, Cell]]:
        written = {cell.key for cell in self.body.written}
        if self.cond is not None:
            written.update(cell.key for cell in self.cond.written)
        if not written:
            return []
        return [(k, cell) for k, cell in reader.captured_variables() if cell.key in written]

    @cached_property
    def effects(self) -> list[SymbolicTensor]:
        """The results of effects, and what is refreshed; they are part of the history."""
        captured = list(self.body.captured.values())
        return [
            *[t for op in self.body.stateful_ops for t in op.outputs],
            *[captured[place] for place, _ in self.refreshed],
        ]

    def split(self, inputs: Sequence[Any]) -> Inputs:
        """The inputs by kind."""
        feed = iter(inputs)
        limit = next(feed) if self.limited else None
        carries = [next(feed) for _ in self.carries]
        slices = [[next(feed) for _ in range(1 + ragged)] for ragged in self.slices]
        asked = [next(feed) for _ in self.cond.captured] if self.cond is not None else []
        return Inputs(limit, carries, slices, asked, list(feed))

    def collected(self) -> list[tuple[Spec, bool]]:
        """For each collected thing, the spec of one of it, and whether it is ragged."""
        results = self.body.outputs[len(self.carries) :]
        carries = self.body.arguments[: len(self.carries)]
        return [
            *[(t.spec, ragged) for t, ragged in zip(results, self.results, strict=True)],
            *[(t.spec, ragged) for t, ragged in zip(carries, self.carries, strict=True)],
            *[(t.spec, not t.spec.known()) for t in self.effects],
        ]

    def most_runs(self, limit: int | None, lengths: Sequence[int]) -> int | None:
        """The number of runs, or the greatest if there is a condition; None for no limit.

        Args:
            limit: the limit, where there is one and it is known.
            lengths: how many slices there are, where known.

        Raises:
            ArgumentError: nothing ends the loop.
            ShapeError: the lengths differ.
        """
        if self.cond is None and not self.limited and not self.slices:
            raise ArgumentError("a loop needs a condition, a limit, or something to slice")
        if self.cond is not None and self.slices:
            raise ArgumentError("a loop with a condition slices nothing")
        if limit is not None:
            lengths = [*lengths, max(limit, 0)]
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"what is sliced, and the limit, have different lengths: {list(lengths)}"
            )
        return lengths[0] if lengths else None

    def outputs(self, made: Sequence[Any]) -> Outputs:
        """The outputs by kind."""
        feed = iter(made)
        carries = [next(feed) for _ in self.carries]
        groups = self.collected()
        results = [[next(feed) for _ in range(1 + r)] for _, r in groups[: len(self.results)]]
        count = next(feed)
        history = [[next(feed) for _ in range(1 + r)] for _, r in groups[len(self.results) :]]
        split = len(self.carries)
        return Outputs(carries, results, count, history[:split], history[split:])


@dataclass
class Inputs:
    """The inputs of a loop, by kind; a slice is one tensor, or two where it is ragged."""

    limit: Any
    carries: list[Any]
    slices: list[list[Any]]
    asked: list[Any]
    captured: list[Any]

    def flat(self, limited: bool) -> list[Any]:
        """All, in order; the limit first if there is one."""
        slices = [t for group in self.slices for t in group]
        rest = [*self.carries, *slices, *self.asked, *self.captured]
        return [self.limit, *rest] if limited else rest


@dataclass
class Outputs:
    """The outputs of a loop, by kind; what is collected is one tensor, or two where ragged."""

    carries: list[Any]
    results: list[list[Any]]
    count: Any
    histories: list[list[Any]]
    effects: list[list[Any]]

    def flat(self) -> tuple[Any, ...]:
        """All, in order."""
        groups = (*self.histories, *self.effects)
        return (
            *self.carries,
            *[t for g in self.results for t in g],
            self.count,
            *[t for g in groups for t in g],
        )

"""What a run computes: the part of a graph that its fetches need, in creation order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.state import Cell, cells_of, written_cells
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable


class Plan:
    """The steps of one kind of run: these fetches, with these tensors fed.

    Attributes:
        constants: the values of the constants that the steps read.
        steps: the operations to run, in creation order; constants are none.
        release: for each step, the tensors that no later step reads.
        fetches: the tensors whose values are wanted.
        feeds: the tensors that are fed.
        fed: the same, as a set.
        cells: the state that the steps read or write.
        written: the part of it that they write.
        unfed: a placeholder that is needed but not fed, or None.
        staged_reads: the reads that see this run's own assignments.
        wanted: for each branch or loop, which of its outputs are read or fetched.
    """

    __slots__ = (
        "cells",
        "constants",
        "fed",
        "feeds",
        "fetches",
        "graph",
        "release",
        "staged_reads",
        "steps",
        "unfed",
        "wanted",
        "written",
    )

    def __init__(
        self,
        graph: Graph,
        fetches: Sequence[SymbolicTensor],
        targets: Iterable[Operation],
        feeds: Sequence[SymbolicTensor],
        variables: Iterable[Variable] = (),
    ) -> None:
        self.graph = graph
        self.fetches = tuple(fetches)
        self.feeds = tuple(feeds)
        self.fed = frozenset(feeds)
        needed = prune(graph, fetches, targets, feeds)
        self.constants: dict[SymbolicTensor, Array] = {
            op.outputs[0]: op.attrs["value"].array for op in needed if op.type == "Const"
        }
        self.steps = [op for op in needed if op.type != "Const"]
        self.unfed = next((op for op in self.steps if op.type == "Placeholder"), None)
        self.release = _releases(self.steps, self.fetches)
        self.cells: dict[int, Cell] = {v.cell.key: v.cell for v in variables}
        self.written: dict[int, Cell] = {}
        for op in self.steps:
            if op.primitive.effect != "pure":
                self.cells.update({cell.key: cell for cell in cells_of(op.attrs)})
                for cell in written_cells(op.primitive.effect, op.attrs):
                    self.written[cell.key] = cell
        self.wanted = _wanted(self.steps, self.fetches)
        self.staged_reads = _staged_reads(self.steps) if self.written else frozenset()


def prune(
    graph: Graph,
    fetches: Iterable[SymbolicTensor],
    targets: Iterable[Operation],
    feeds: Iterable[SymbolicTensor],
) -> list[Operation]:
    """The operations that the fetches and targets need, in creation order.

    What lies only above fed tensors is left out. An effect added to a tensor joins when the
    tensor is computed.
    """
    fed = set(feeds)
    seen: set[Operation] = set(targets)
    seen.update(t.op for t in fetches if t not in fed)
    stack = list(seen)
    effects = graph.has_effects
    while stack:
        op = stack.pop()
        for t in op.inputs:
            if t is not None and t.op not in seen and t not in fed:
                seen.add(t.op)
                stack.append(t.op)
        for before in op.control_inputs:
            # One whose results are all fed does not run, and so is not waited for.
            if before not in seen and not (before.outputs and fed.issuperset(before.outputs)):
                seen.add(before)
                stack.append(before)
        if effects:
            for t in op.outputs:
                if t not in fed:
                    for effect in graph.effects_of(t):
                        if effect not in seen:
                            seen.add(effect)
                            stack.append(effect)
    return sorted(seen, key=_index)


def _index(op: Operation) -> int:
    return op.index


def _releases(
    steps: Sequence[Operation], fetches: Iterable[SymbolicTensor]
) -> list[tuple[SymbolicTensor, ...]]:
    """For each step, the tensors whose values are not needed after it."""
    needed: set[SymbolicTensor] = set(fetches)
    release: list[tuple[SymbolicTensor, ...]] = []
    nothing: tuple[SymbolicTensor, ...] = ()
    for op in reversed(steps):
        done = nothing
        for t in (*op.inputs, *op.outputs):
            if t is not None and t not in needed:
                needed.add(t)
                done = (*done, t)
        release.append(done)
    release.reverse()
    return release


def _wanted(
    steps: Sequence[Operation], fetches: Iterable[SymbolicTensor]
) -> dict[Operation, tuple[bool, ...]]:
    """Which outputs of the operations with bodies are of use: they may compute these only."""
    holders = [op for op in steps if op.primitive.has_bodies]
    if not holders:
        return {}
    used = {t for op in steps for t in op.inputs}.union(fetches)
    return {op: tuple([t in used for t in op.outputs]) for op in holders}


def _staged_reads(steps: Sequence[Operation]) -> frozenset[Operation]:
    """The reads ordered, by control or data edges, after an assignment of their variable."""
    nothing: frozenset[int] = frozenset()
    written_before: dict[Operation, frozenset[int]] = {}
    found: list[Operation] = []
    for op in steps:
        before = nothing
        for earlier in (*[t.op for t in op.inputs if t is not None], *op.control_inputs):
            theirs = written_before.get(earlier, nothing)
            if theirs and theirs is not before:
                before = before | theirs
        effect = op.primitive.effect
        if effect == "read":
            if any(cell.key in before for cell in cells_of(op.attrs)):
                found.append(op)
        elif effect != "pure":
            writes = {cell.key for cell in written_cells(effect, op.attrs)}
            before = before | writes if writes else before
        written_before[op] = before
    return frozenset(found)

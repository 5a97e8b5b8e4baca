"""What tensors are computed from, also outside the body of the branch or loop they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minigrad.core.body import Body
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor


class Level(NamedTuple):
    """What some tensors of a body need of one of the graphs around it, or of the body itself.

    Attributes:
        nodes: operations, in creation order.
        captured: for what stands for tensors of the next graph outwards, these tensors.
    """

    nodes: list[Operation]
    captured: dict[SymbolicTensor, SymbolicTensor]


def levels(targets: Sequence[SymbolicTensor]) -> list[Level]:
    """What tensors of one graph are computed from: in that graph, then in those around it."""
    made: list[Level] = []
    graph: Graph | None = targets[0].graph if targets else None
    while graph is not None:
        nodes = _within(targets)
        inputs = {op.outputs[0] for op in nodes if op.type == "Placeholder"}
        outside = graph.outside() if isinstance(graph, Body) else {}
        captured = {t: source for source, t in outside.items() if t in inputs}
        made.append(Level(nodes, captured))
        targets, graph = list(captured.values()), graph.outer
    return made


def ancestors(targets: Sequence[SymbolicTensor]) -> list[Operation]:
    """The operations that tensors of one graph are computed from; those of outer graphs first."""
    return [op for level in reversed(levels(targets)) for op in level.nodes]


def dependents(found: Sequence[Level], sources: Iterable[Any]) -> set[Any]:
    """The sources, and the tensors on these levels that are computed from them."""
    live = set(sources)
    for nodes, captured in reversed(found):
        live.update([t for t, source in captured.items() if source in live])
        for op in nodes:
            if any(t in live for t in op.inputs):
                live.update(op.outputs)
    return live


def _within(targets: Sequence[SymbolicTensor]) -> list[Operation]:
    """The operations of their own graph that tensors are computed from, in creation order."""
    seen: set[Operation] = set()
    stack = [t.op for t in targets]
    while stack:
        op = stack.pop()
        if op in seen:
            continue
        seen.add(op)
        for t in op.inputs:
            if t is not None and t.op not in seen:
                stack.append(t.op)
    return sorted(seen, key=lambda op: op.index)

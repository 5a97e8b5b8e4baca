"""What tensors are computed from, also outside the body of the branch or loop they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minigrad.core.body import Body
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor, computed_from


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
        nodes = computed_from([t.op for t in targets])
        captured: dict[SymbolicTensor, SymbolicTensor] = {}
        if isinstance(graph, Body):
            here = set(nodes)
            captured = {t: source for source, t in graph.outside().items() if t.op in here}
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

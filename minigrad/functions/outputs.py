"""From the values of a run to what the traced function returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.tensor import ConcreteTensor, Ghost
from minigrad.core.traced import TracedGraph
from minigrad.errors import GraphError
from minigrad.nest import children, flatten, is_nest, unflatten


class Outputs:
    """The result of a trace: which parts of it are computed, and which are what they are.

    Args:
        graph: the graph of the trace.
        result: what the Python function returned: a nest of tensors and anything else.

    Attributes:
        tensors: the symbolic tensors that the result needs.
        pack: from their values, in order, to the result. What is no tensor stays as it is; an
            operation, which eager code does not have, becomes None.

    Raises:
        GraphError: a tensor belongs to another graph.
    """

    def __init__(self, graph: TracedGraph, result: Any) -> None:
        self.tensors: list[SymbolicTensor] = []
        makers = [self._maker(graph, leaf) for leaf in flatten(result)]
        self.pack = self._packer(result, makers)

    def _maker(
        self, graph: TracedGraph, leaf: Any
    ) -> int | Callable[[Sequence[ConcreteTensor]], Any]:
        """Where among the values a leaf is, or how it is made."""
        if isinstance(leaf, SymbolicTensor):
            return self._need(graph, leaf)
        if isinstance(leaf, Operation):
            return lambda values: None
        if not isinstance(leaf, IndexedSlices):
            return lambda values: leaf
        spec = leaf.spec
        rows, indices = [
            self._need(graph, part) if isinstance(part, SymbolicTensor) else part
            for part in (leaf.values, leaf.indices)
        ]
        like = None
        if isinstance(leaf.like, SymbolicTensor) and not spec.known():
            like = self._need(graph, leaf.like)

        def slices(values: Sequence[ConcreteTensor]) -> IndexedSlices:
            own = spec if like is None else spec._replace(shape=values[like].shape)
            return IndexedSlices(
                values[rows] if isinstance(rows, int) else rows,
                values[indices] if isinstance(indices, int) else indices,
                Ghost(own, "IndexedSlices"),
            )

        return slices

    def _need(self, graph: TracedGraph, tensor: SymbolicTensor) -> int:
        home = tensor.op.graph
        if home is not graph:
            if home.traced is not None and home.traced is not graph:
                raise GraphError(home.traced.leaked(tensor))
            graph.own(tensor)  # Says why not.
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _packer(self, result: Any, makers: Sequence[Any]) -> Callable[[list[ConcreteTensor]], Any]:
        """How the nest is made; the usual ones at once."""
        if not is_nest(result):
            (maker,) = makers
            return (lambda values: values[0]) if maker == 0 else maker
        kind = type(result)
        flat = not any(map(is_nest, children(result)))
        if flat and kind in (tuple, list) and makers == list(range(len(makers))):
            return kind

        def leaves(values: list[ConcreteTensor]) -> list[Any]:
            return [values[m] if type(m) is int else m(values) for m in makers]

        if flat and kind in (tuple, list):
            return lambda values: kind(leaves(values))
        if flat and kind is dict:
            keys = list(result)
            return lambda values: dict(zip(keys, leaves(values), strict=True))
        return lambda values: unflatten(result, leaves(values))

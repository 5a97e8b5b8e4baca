"""Nodes that leave a graph again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.core.graph import Graph


@contextmanager
def scratch(graph: Graph) -> Iterator[None]:
    """Nodes that are added to `graph` in the block, even a finalized one, are gone after it.

    The graph is locked meanwhile, so that no other thread's nodes go with them.

    >>> import minigrad as mg
    >>> g = mg.Graph()
    >>> with g.as_default():
    ...     x = mg.constant(1.0)
    ...     with scratch(g):
    ...         y = x + x
    >>> len(g)
    1
    """
    with graph.lock:
        nodes = len(graph._operations)
        names, counts = dict(graph._by_name), dict(graph._name_counts)
        inner = dict(graph._inner)
        collections = {key: list(values) for key, values in graph._collections.items()}
        reads = {key: list(values) for key, values in graph._reads.items()}
        effects = {tensor: list(ops) for tensor, ops in graph._effects.items()}
        drawn, finalized = graph.random_count, graph._finalized
        graph._finalized = False
        try:
            yield
        finally:
            del graph._operations[nodes:]
            graph._by_name, graph._name_counts, graph._inner = names, counts, inner
            graph._collections, graph._reads, graph._effects = collections, reads, effects
            graph.random_count, graph._finalized = drawn, finalized

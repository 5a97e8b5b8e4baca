"""What the current context (thread or task) is doing: one record in one context variable.

One variable instead of five keeps an eager call to a single look-up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigrad.core.graph import Graph
    from minigrad.core.operation import Operation
    from minigrad.core.record import EffectLog, Recorder


class State:
    """A record of the current context; `replace` makes a changed copy.

    Nobody changes one in place but the backward walk, which moves the `origin` of its own copy.
    """

    __slots__ = ("control", "graph", "log", "origin", "scope", "tapes")

    def __init__(
        self,
        graph: Graph | None = None,
        scope: str = "",
        control: tuple[Operation, ...] = (),
        tapes: tuple[Recorder, ...] = (),
        origin: Operation | None = None,
        log: EffectLog | None = None,
    ) -> None:
        #: The graph that ops join, or None when ops compute at once.
        self.graph = graph
        #: The name scope, empty or ending in "/".
        self.scope = scope
        #: Operations that every new node waits for.
        self.control = control
        #: The tapes that are recording, outermost first.
        self.tapes = tapes
        #: The forward node whose gradient is being built: new nodes inherit its line.
        self.origin = origin
        #: Where effects are logged, or replayed from, around a checkpointed function.
        self.log = log

    def replace(self, **changes: Any) -> State:
        """A copy with some fields changed."""
        fields = {name: getattr(self, name) for name in State.__slots__}
        return State(**(fields | changes))


EAGER_STATE = State()
STATE: ContextVar[State] = ContextVar("minigrad.state", default=EAGER_STATE)


@contextmanager
def changed(**changes: Any) -> Iterator[State]:
    """Run a block under a changed state."""
    state = STATE.get().replace(**changes)
    token = STATE.set(state)
    try:
        yield state
    finally:
        STATE.reset(token)


class _DefaultGraph:
    """The process-wide default graph, made when it is first needed."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.lock = threading.Lock()


default_graph = _DefaultGraph()


def innermost(graph: Graph) -> Graph:
    """`graph`, or the body of a branch or loop of it that is being built at the moment."""
    current = STATE.get().graph
    if current is graph or current is None or current.outer is None:
        return graph
    return current if current.lies_in(graph) else graph


def home() -> Graph | None:
    """The graph that state made now belongs to: None in eager code, and in a traced function."""
    graph = STATE.get().graph
    return None if graph is None or graph.traced is not None else graph.root


def in_graph(graph: Graph) -> Any:
    """A context in which ops join `graph`, or the body of it that is being built.

    The name scope is kept unless it was opened in another graph. Control dependencies always are:
    a node heeds those of its own graph.
    """
    graph = innermost(graph)
    if STATE.get().graph in (None, graph):
        return changed(graph=graph)
    return changed(graph=graph, scope="")

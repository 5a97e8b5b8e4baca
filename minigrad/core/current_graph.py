"""The graph of the moment: the default one, its scopes and control dependencies, and operands'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minigrad.core.body import Body
from minigrad.core.context import STATE, changed, default_graph, innermost
from minigrad.core.graph import Graph, GraphKeys, check_name
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Tensor
from minigrad.errors import ArgumentTypeError, GraphError
from minigrad.nest import flatten

if TYPE_CHECKING:
    from minigrad.core.variable import Variable

__all__ = [
    "add_to_collection",
    "control_dependencies",
    "executing_eagerly",
    "get_collection",
    "get_default_graph",
    "global_variables",
    "name_scope",
    "reset_default_graph",
    "trainable_variables",
]


def get_default_graph() -> Graph:
    """The graph of the innermost ``with graph.as_default():``, or the process-wide default."""
    graph = STATE.get().graph
    if graph is not None:
        return graph
    with default_graph.lock:
        if default_graph.graph is None:
            default_graph.graph = Graph("default")
        return default_graph.graph


def reset_default_graph() -> None:
    """Replace the process-wide default graph by an empty one.

    Raises:
        GraphError: called inside ``with graph.as_default():``.
    """
    if STATE.get().graph is not None:
        raise GraphError("reset_default_graph() cannot be called inside `with graph.as_default():`")
    with default_graph.lock:
        default_graph.graph = None


def executing_eagerly() -> bool:
    """True when ops on concrete tensors compute at once.

    >>> executing_eagerly()
    True
    """
    return STATE.get().graph is None


@contextmanager
def name_scope(name: str | None) -> Iterator[str]:
    """A context whose nodes are called ``name/…``; yields the prefix.

    Inside ``with graph.as_default():`` the name is made unique. A name that ends in "/" re-enters
    that scope; None or "" leaves all scopes.

    Raises:
        ArgumentTypeError: `name` is not text.
        ArgumentError: it is not a valid name.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default(), mg.name_scope("layer"):
    ...     mg.constant(1).name
    'layer/Const:0'
    """
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError(f"name_scope takes text or None, got {name!r}")
    state = STATE.get()
    if not name:
        scope = ""
    elif name.endswith("/"):
        scope = name
    elif state.graph is not None:
        scope = state.graph.unique_name(state.scope + name) + "/"
    else:
        # Eager code may pass here any number of times, so nothing is written down.
        check_name(name)
        scope = f"{state.scope}{name}/"
    with changed(scope=scope):
        yield scope


@contextmanager
def control_dependencies(
    inputs: Iterable[Operation | Tensor | Variable] | None,
) -> Iterator[None]:
    """A context whose new nodes run after `inputs`; None drops the dependencies of outer contexts.

    In the body of a branch or loop, an operation from around it makes the branch or loop wait.

    Args:
        inputs: operations and symbolic tensors; a variable stands for its read node.

    Raises:
        ArgumentTypeError: one of them is none of these.
    """
    if inputs is None:
        with changed(control=()):
            yield
        return
    if isinstance(inputs, Operation | Tensor | StateOwner):
        raise ArgumentTypeError(
            f"control_dependencies takes a list of operations and tensors, got {inputs!r}; "
            "write control_dependencies([op])"
        )
    state = STATE.get()
    operations = list(state.control)
    for item in inputs:
        if isinstance(item, StateOwner):
            graph = graph_of(item) or state.graph
            if graph is None:
                continue  # Eager code has its value already.
            item = graph.read_node(item)
        op = item.op if isinstance(item, SymbolicTensor) else item
        if isinstance(op, Tensor):
            continue  # A concrete tensor has been computed already.
        if not isinstance(op, Operation):
            raise ArgumentTypeError(
                f"control_dependencies takes operations and tensors, got {item!r}"
            )
        if op not in operations:
            operations.append(op)
        if isinstance(state.graph, Body) and state.graph is not op.graph:
            state.graph.wait_for(op)
    with changed(control=tuple(operations)):
        yield


def graph_of_arguments(args: Iterable[Any], kwargs: dict[str, Any]) -> Graph | None:
    """The graph of the first symbolic tensor or graph-owned variable among some arguments.

    While a body within that graph is being built, the body.
    """
    for item in flatten([*args, *kwargs.values()]):
        found = graph_of(item)
        if found is not None:
            return innermost(found)
    return None


def graph_of(item: Any) -> Graph | None:
    """The graph that an operand belongs to: a symbolic tensor's, or a graph-owned variable's.

    Of a list, and of sparse rows, that of the first part that has one.
    """
    if isinstance(item, SymbolicTensor):
        return item.op.graph
    if isinstance(item, IndexedSlices):
        return graph_of([item.values, item.indices, item.like])
    if isinstance(item, list | tuple):
        stack = list(item)
        while stack:
            part = stack.pop()
            if isinstance(part, list | tuple):
                stack.extend(part)
            elif isinstance(part, Tensor | StateOwner):
                graph = graph_of(part)
                if graph is not None:
                    return graph
        return None
    graph = getattr(item, "graph", None)
    return graph if isinstance(graph, Graph) else None


def add_to_collection(key: str, value: Any) -> None:
    """Append `value` to a collection of the default graph."""
    get_default_graph().add_to_collection(key, value)


def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """A copy of a collection of the default graph."""
    return get_default_graph().get_collection(key, scope)


def global_variables(scope: str | None = None) -> list[Variable]:
    """The variables that belong to the default graph."""
    return get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """The trainable variables that belong to the default graph."""
    return get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)

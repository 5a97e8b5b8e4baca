"""Operations without a value: groups, and the initializers of variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.core.context import STATE, innermost
from minigrad.core.current_graph import get_default_graph
from minigrad.core.graph import Graph, GraphKeys
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Sample
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentTypeError, GraphError

__all__ = ["global_variables_initializer", "group", "no_op", "variables_initializer"]


@primitive(
    "NoOp",
    outputs=0,
    not_differentiable="it has no outputs",
    samples=[Sample().order(0, "it has no outputs")],
)
def no_op(name: str = "NoOp") -> Operation:
    """An operation of the default graph that does nothing; it can carry control dependencies.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     mg.no_op("ready")
    <minigrad.Operation 'ready' type=NoOp>
    """
    return _bundle(get_default_graph(), (), name)


@no_op.kernel
def _(xp: Any) -> tuple[()]:
    return ()


@no_op.shape
def _() -> tuple[()]:
    return ()


def _bundle(graph: Graph, inputs: Iterable[Operation], name: str) -> Operation:
    """A NoOp that runs after `inputs` and the control dependencies in force."""
    state = STATE.get()
    if innermost(graph) is not graph:
        raise GraphError(
            f"{name}: its operations were built outside the function of a branch or loop, and so "
            "would run whether or not the function does; build them inside"
        )
    control = dict.fromkeys([*(op for op in state.control if op.graph is graph), *inputs])
    full = graph.unique_name(state.scope + name)
    return graph.add_operation(no_op, (), {}, (), full, tuple(control))


def group(*inputs: Any, name: str = "group_deps") -> Operation:
    """One operation that runs all of `inputs`.

    Args:
        inputs: operations, symbolic tensors, or lists of them.
        name: name of the operation.

    Raises:
        GraphError: the inputs belong to several graphs.
        ArgumentTypeError: one is neither an operation nor a symbolic tensor.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     v, w = mg.Variable(0.0), mg.Variable(0.0)
    ...     both = mg.group(v.assign(1.0), w.assign(2.0))
    ...     sess = mg.Session()
    >>> sess.run(both)
    >>> sess.run([v, w])
    [np.float32(1.0), np.float32(2.0)]
    """
    operations: list[Operation] = []
    stack = list(reversed(inputs))
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(reversed(item))
        elif isinstance(item, SymbolicTensor):
            operations.append(item.op)
        elif isinstance(item, Operation):
            operations.append(item)
        elif not isinstance(item, Tensor):
            raise ArgumentTypeError(f"group takes operations and tensors, got {item!r}")
    graph = operations[0].graph if operations else get_default_graph()
    for op in operations:
        if op.graph is not graph:
            raise GraphError(f"group: {op!r} belongs to {op.graph!r}, the others to {graph!r}")
    return _bundle(graph, operations, name)


def variables_initializer(variables: Iterable[Variable], name: str = "init") -> Operation:
    """One operation that sets graph-owned variables to their initial values.

    Raises:
        GraphError: a variable is eager; it has its value already.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     v = mg.Variable(3.0)
    ...     sess = mg.Session()
    ...     sess.run(mg.variables_initializer([v]))
    ...     sess.run(v)
    np.float32(3.0)
    """
    initializers: list[Operation] = []
    for v in variables:
        if v.initializer is None:
            raise GraphError(f"{v!r} was made in eager code and is initialized already")
        initializers.append(v.initializer)
    graph = initializers[0].graph if initializers else get_default_graph()
    return _bundle(graph, initializers, name)


def global_variables_initializer(name: str = "init") -> Operation:
    """One operation that initializes all variables that belong to the default graph.

    It covers those made so far, and may be empty. Eager variables need none.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     w = mg.Variable([1.0, 2.0])
    ...     with mg.Session() as sess:
    ...         sess.run(mg.global_variables_initializer())
    ...         sess.run(w)
    array([1., 2.], dtype=float32)
    """
    graph = get_default_graph().root
    initializers = [v.initializer for v in graph.get_collection(GraphKeys.GLOBAL_VARIABLES)]
    return _bundle(graph, initializers, name)

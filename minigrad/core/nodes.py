"""Adding the node of a call to a graph, with the constants and casts that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.core.context import State
from minigrad.core.graph import Graph
from minigrad.core.literal import Literal, constant_spec
from minigrad.core.operands import PendingCast
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.registry import primitive_of
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.shapes import Spec

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive


def build(
    primitive: Primitive[..., Any],
    state: State,
    graph: Graph,
    operands: list[Any],
    attrs: dict[str, Any],
    name: str | None,
) -> Tensor | tuple[Tensor, ...]:
    """Check shapes, then add the node with the constants and casts that it needs."""
    plain = True
    specs: list[Spec | None] = []
    for x in operands:
        if x is None:
            specs.append(None)
        elif isinstance(x, SymbolicTensor):
            specs.append(x.spec)
        else:
            plain = False
            specs.append(constant_spec(x._value) if isinstance(x, ConcreteTensor) else x.spec)
    return add_node(primitive, state, graph, operands, specs, attrs, name, plain=plain)


def add_node(
    primitive: Primitive[..., Any],
    state: State,
    graph: Graph,
    operands: Sequence[Any],
    specs: Sequence[Spec | None],
    attrs: dict[str, Any],
    name: str | None,
    *,
    plain: bool,
) -> Tensor | tuple[Tensor, ...]:
    """Check shapes; then add constants and casts for operands that are not plain, and the node."""
    made = primitive.infer(specs, attrs)
    control = state.control
    if control:
        control = tuple([op for op in control if op.graph is graph])
    with graph.lock:
        full = graph.unique_name(state.scope + (name or primitive.op))
        if not plain:
            finished: list[Any] = []
            for i, x in enumerate(operands):
                if isinstance(x, PendingCast):
                    finished.append(cast_node(graph, x, f"{full}/Cast"))
                elif isinstance(x, ConcreteTensor):
                    place = graph.unique_name(f"{full}/{primitive.input_name(i)}")
                    finished.append(constant_node(graph, x, place))
                else:
                    finished.append(x)
            operands = finished
        op = graph.add_operation(primitive, tuple(operands), attrs, made, full, control)
    return op.outputs[0] if primitive.single else op.outputs


def cast_node(graph: Graph, pending: PendingCast, name: str) -> SymbolicTensor:
    """The node that casts an operand to the common dtype."""
    return graph.add_operation(
        primitive_of("Cast"),
        (pending.tensor,),
        {"dtype": pending.spec.dtype},
        (pending.spec,),
        graph.unique_name(name),
    ).outputs[0]


def constant_node(
    graph: Graph,
    tensor: ConcreteTensor,
    name: str,
    control: tuple[Operation, ...] = (),
) -> SymbolicTensor:
    """A node that holds a concrete tensor's value; `name` must be unique already."""
    captured = tensor._key if tensor.is_recorded() else 0
    op = graph.add_operation(
        primitive_of("Const"),
        (),
        {"value": Literal(tensor._value, captured)},
        (constant_spec(tensor._value),),
        name,
        control,
    )
    return op.outputs[0]

"""From a call of a primitive to its result: computed at once, or a node in a graph.

`bind` is the hot path of eager code. Operands of equal dtypes that need no conversion go straight
to the kernel; everything else is brought into that form first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.core import record as recording
from minigrad.core.compute import compute
from minigrad.core.context import STATE, State, innermost
from minigrad.core.convert import array_of, is_weak, scalar_array
from minigrad.core.current_graph import graph_of
from minigrad.core.floating import NUMPY_ERRSTATE, POLICY
from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.nodes import add_node, build, constant_node
from minigrad.core.operands import Listed, has_tensor, operand, promote, read
from minigrad.core.operation import SymbolicTensor
from minigrad.core.registry import primitive_of
from minigrad.core.state import StateOwner
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.dtypes import DType, default_dtype
from minigrad.errors import (
    ArgumentTypeError,
    DTypeError,
    GraphError,
)

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive
    from minigrad.core.variable import Variable

__all__ = ["bind", "bind_all"]

_EMPTY: dict[str, Any] = {}
#: Numbers below this fit every floating dtype.
_LARGE = 65504.0


def bind(primitive: Primitive[..., Any], /, *inputs: Any, **attrs: Any) -> Tensor:
    """Call a primitive of one output on normalised arguments.

    Args:
        primitive: the primitive.
        inputs: tensors and what converts to them; None for an optional one left out.
        attrs: hashable attributes.

    Returns:
        A concrete tensor, or a symbolic one if an input is symbolic or a graph is the default.
    """
    if not attrs and primitive.numpy is not None:
        made = try_fast(primitive, inputs)
        if made is not None:
            return made
    return cast(Tensor, apply(primitive, inputs, attrs))


def bind_all(primitive: Primitive[..., Any], /, *inputs: Any, **attrs: Any) -> tuple[Tensor, ...]:
    """Call a primitive of several outputs on normalised arguments; see `bind`."""
    return cast("tuple[Tensor, ...]", apply(primitive, inputs, attrs))


def try_fast(primitive: Primitive[..., Any], inputs: tuple[Any, ...]) -> Tensor | None:
    """The eager result for one or two operands of one dtype, else None."""
    state = STATE.get()
    if state.graph is not None or not 0 < len(inputs) < 3:
        return None
    a, b = inputs[0], inputs[-1]
    if isinstance(a, StateOwner) or isinstance(b, StateOwner):
        if state.log is not None or not (_is_eager(a) and _is_eager(b)):
            return None
        inputs = tuple([_now(x) for x in inputs])
        a, b = inputs[0], inputs[-1]
    if type(a) is not ConcreteTensor or type(b) is not ConcreteTensor:
        pair = _beside(a, b)
        if pair is None or primitive.promote is not None:
            return None
        inputs = a, b = pair
    x, y = a._value, b._value
    dtype = x.dtype
    if y.dtype is not dtype or dtype not in primitive.fast_dtypes:
        return None
    token = NUMPY_ERRSTATE.set(POLICY.get())
    try:
        out = primitive.numpy(x, y) if len(inputs) == 2 else primitive.numpy(x)  # type: ignore[misc]
    except Exception:  # noqa: BLE001  (the general path fails again, and explains)
        return None
    finally:
        NUMPY_ERRSTATE.reset(token)
    made = ConcreteTensor(out if type(out) is np.ndarray else np.asarray(out))
    if state.tapes:
        if made._value.dtype is dtype and made._value.shape == x.shape:
            made._spec = a._spec or a.spec  # Shared, because the record may outlive many ops.
        recording.record(state.tapes, primitive, _EMPTY, inputs, (made,))
    return made


def _is_eager(x: Any) -> bool:
    """Whether an operand is a concrete tensor, an eager variable or a number."""
    if isinstance(x, StateOwner):
        return x.cell.graph is None
    return type(x) is ConcreteTensor or is_weak(x)


def _now(x: Any) -> Any:
    """A variable's value; anything else as it is."""
    return read(cast("Variable", x), None) if isinstance(x, StateOwner) else x


def _beside(a: Any, b: Any) -> tuple[ConcreteTensor, ConcreteTensor] | None:
    """A tensor of a floating dtype and a Python number as two tensors of that dtype, else None."""
    number, tensor = (a, b) if type(b) is ConcreteTensor else (b, a)
    kind = type(number)
    if (kind is not float and kind is not int) or type(tensor) is not ConcreteTensor:
        return None
    if not -_LARGE < number < _LARGE:
        return None  # It may overflow; the general path knows what to do then.
    dtype = tensor._value.dtype
    if dtype.kind != "f":
        return None
    made = ConcreteTensor(np.array(number, dtype))
    return (made, tensor) if number is a else (tensor, made)


def apply(
    primitive: Primitive[..., Any],
    inputs: Sequence[Any],
    attrs: dict[str, Any],
    name: str | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """Call a primitive on inputs and attributes; `name` names the node in a graph."""
    state = STATE.get()
    if state.log is not None and _is_logged(primitive, state, attrs):
        if state.log.replaying:
            return replayed(primitive, inputs, attrs, state.log.take())
        state.log.admit(primitive)
        result = _dispatch(primitive, state, inputs, attrs, name)
        state.log.results.append(result)
        return result
    return _dispatch(primitive, state, inputs, attrs, name)


def _is_logged(primitive: Primitive[..., Any], state: State, attrs: dict[str, Any]) -> bool:
    """Whether a call's result goes into the log of effects, or comes from it."""
    if primitive.has_bodies and state.graph is None:
        return False  # The ops in its bodies run one by one, and are logged themselves.
    return primitive.effect_of(attrs) != "pure"


def replayed(
    primitive: Primitive[..., Any], inputs: Sequence[Any], attrs: dict[str, Any], logged: Any
) -> Tensor | tuple[Tensor, ...]:
    """The logged result of an effect; it depends on these inputs as the primitive's rule says."""
    if primitive.gradient_rule is None:
        return cast(Tensor, logged)
    tensors = [tensor_of(x) for x in inputs]
    outputs = (logged,) if primitive.single else logged
    with_gradient = primitive_of("CustomGradient")
    made: tuple[Tensor, ...] = with_gradient(
        tensors, outputs, rule=lambda *grads: primitive.pull_back(tensors, made, grads, attrs)
    )
    return made[0] if primitive.single else made


def _dispatch(
    primitive: Primitive[..., Any],
    state: State,
    inputs: Sequence[Any],
    attrs: dict[str, Any],
    name: str | None,
) -> Tensor | tuple[Tensor, ...]:
    if state.graph is None and primitive.effect == "pure" and _are_ready(primitive, inputs):
        return compute(primitive, state, list(inputs), attrs)
    graph: Graph | None = None
    dtype: DType | None = None
    uniform = primitive.promote is None
    for x in inputs:
        if isinstance(x, SymbolicTensor):
            found: Graph | None = x.op.graph
            own = x.spec.dtype
            if dtype is None:
                dtype = own
            elif own is not dtype:
                uniform = False
        else:
            uniform = False
            found = None if type(x) is ConcreteTensor else graph_of(x)
        if found is not graph and found is not None:
            graph = found if graph is None else _joined(graph, found, primitive)
    if graph is not None and (graph.outer is not None or graph is not state.graph):
        graph = innermost(graph)
        if graph.outer is not None:
            if state.graph is None or not state.graph.lies_in(graph):
                raise _leaked(primitive, inputs)
            inputs = [graph.bring(x) if isinstance(x, SymbolicTensor) else x for x in inputs]
    if uniform and graph is not None and dtype is not None:
        if dtype.dtype in primitive.fast_dtypes:
            specs = [x.spec for x in inputs]
            return add_node(primitive, state, graph, inputs, specs, attrs, name, plain=True)
    if graph is None and primitive.effect != "pure":
        owner = next((v for v in attrs.values() if isinstance(v, StateOwner)), None)
        graph = None if owner is None else owner.cell.graph
        if graph is not None:
            graph = innermost(graph)
    if graph is None:
        graph = state.graph
    if graph is not None and graph.traced is not None:
        inputs = [_captured(x, graph) for x in inputs]
    operands = [operand(x, graph) for x in inputs]
    for i, x in enumerate(operands):
        if x is None and not primitive.may_omit(i):
            raise ArgumentTypeError(
                f"{primitive.name}: argument {primitive.input_name(i)!r} must be a tensor or what "
                "converts to one, got None"
            )
    promote(primitive, operands, graph)
    if graph is None:
        return compute(primitive, state, cast("list[ConcreteTensor | None]", operands), attrs)
    return build(primitive, state, graph, operands, attrs, name)


def _captured(x: Any, graph: Graph) -> Any:
    """In a traced function, the node that stands for an eager tensor that gradients may be for."""
    if type(x) is ConcreteTensor and graph.traced is not None and x.spec.dtype.is_inexact:
        return graph.bring(graph.traced.capture(x))
    return x


def _joined(a: Graph, b: Graph, primitive: Primitive[..., Any]) -> Graph:
    """The inner one of two graphs of operands. Raises `GraphError` if neither lies in the other."""
    if a.lies_in(b):
        return a
    if b.lies_in(a):
        return b
    for graph in (a, b):
        if graph.traced is not None and not graph.traced.is_open:
            raise GraphError(f"{primitive.name}: {graph.traced.leaked('one of its operands')}")
    if a.root is b.root:
        raise GraphError(
            f"{primitive.name}: its operands are tensors of the bodies of two branches or loops, "
            f"{a!r} and {b!r}; return one from its body"
        )
    raise GraphError(
        f"{primitive.name}: its operands belong to two graphs, {a!r} and {b!r}; build both inside "
        "the same `with graph.as_default():`"
    )


def _leaked(primitive: Primitive[..., Any], inputs: Sequence[Any]) -> GraphError:
    """The error for an op outside a body on a tensor inside it."""
    inside = next(x for x in inputs if graph_of(x) is not None)
    return GraphError(
        f"{primitive.name}: {inside!r} is inside the body of a branch or loop, and has no value "
        "outside; return it from the body, and use what the branch or loop returns"
    )


def _are_ready(primitive: Primitive[..., Any], inputs: Sequence[Any]) -> bool:
    """Whether all inputs are concrete, and those that share a dtype have one that is accepted."""
    for x in inputs:
        if type(x) is not ConcreteTensor:
            return False
    shared = (
        inputs
        if primitive.promote is None
        else [inputs[i] for i in primitive.promoted(len(inputs))]
    )
    if not shared:
        return True
    dtype = shared[0]._value.dtype
    if dtype not in primitive.fast_dtypes:
        return False
    for x in shared:  # noqa: SIM110  (a generator takes longer than all the rest)
        if x._value.dtype is not dtype:
            return False
    return True


def tensor_of(
    value: Any,
    dtype: DType | None = None,
    *,
    graph: Graph | None = None,
    name: str = "Const",
) -> Tensor:
    """A tensor from anything tensor-like: in the default graph (or `graph`), or a concrete one.

    A `dtype` that differs from the value's is reached by a cast within its kind.
    """
    graph = graph or graph_of(value) or STATE.get().graph
    if graph is not None:
        graph = innermost(graph)
    if value is None:
        raise ArgumentTypeError("expected a tensor or what converts to one, got None")
    if graph is not None:
        value = _captured(value, graph)
    x = operand(value, graph) if not is_weak(value) else value
    if type(x) is Listed:
        x = x.converted(dtype or x.dtype)
    if is_weak(x):
        x = ConcreteTensor(scalar_array(x, dtype or default_dtype(x)))
    elif dtype is not None and x.spec.dtype is not dtype:
        if isinstance(value, Tensor | StateOwner | IndexedSlices) or (
            isinstance(value, list | tuple) and has_tensor(value)
        ):
            if not np.can_cast(x.spec.dtype.dtype, dtype.dtype, "same_kind"):
                raise DTypeError(f"expected {dtype}, got {x.spec.dtype}; cast it with mg.astype")
            x = apply(primitive_of("Cast"), (x,), {"dtype": dtype})
        else:
            x = ConcreteTensor(array_of(value, dtype))
    if graph is not None and isinstance(x, ConcreteTensor):
        state = STATE.get()
        control = tuple([op for op in state.control if op.graph is graph])
        with graph.lock:
            full = graph.unique_name(state.scope + name)
            return constant_node(graph, x, full, control)
    return cast(Tensor, x)

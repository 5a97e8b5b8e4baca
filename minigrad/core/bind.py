"""From a call of a primitive to its result: computed at once, or a node in a graph.

`bind` is the hot path of eager code. Operands of equal dtypes that need no conversion go straight
to the kernel; everything else is brought into that form first.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.core import record as recording
from minigrad.core.context import STATE, State
from minigrad.core.convert import array_of, is_weak, scalar_array
from minigrad.core.current_graph import graph_of
from minigrad.core.floating import NUMPY_ERRSTATE, POLICY
from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.literal import Literal, constant_spec
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.registry import primitive_of
from minigrad.core.state import Slot, StateOwner, Transaction, eager_slots, hold
from minigrad.core.tensor import Array, ConcreteTensor, Ghost, Tensor
from minigrad.dtypes import DType, default_dtype, promote_types, weak_dtype
from minigrad.errors import (
    ArgumentTypeError,
    DTypeError,
    GraphError,
    MinigradError,
    operation_error,
)
from minigrad.shapes import Spec, show

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
    if state.log is not None and primitive.effect != "pure":
        if state.log.replaying:
            return _replay(primitive, inputs, attrs, state.log.take())
        state.log.admit(primitive)
        result = _dispatch(primitive, state, inputs, attrs, name)
        state.log.results.append(result)
        return result
    return _dispatch(primitive, state, inputs, attrs, name)


def _replay(
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
        return _compute(primitive, state, list(inputs), attrs)
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
            if graph is not None:
                raise GraphError(
                    f"{primitive.name}: its operands belong to two graphs, {graph!r} and "
                    f"{found!r}; build both inside the same `with graph.as_default():`"
                )
            graph = found
    if uniform and graph is not None and dtype is not None:
        if dtype.dtype in primitive.fast_dtypes:
            specs = [x.spec for x in inputs]
            return _add_node(primitive, state, graph, inputs, specs, attrs, name, plain=True)
    if graph is None and primitive.effect != "pure":
        owner = next((v for v in attrs.values() if isinstance(v, StateOwner)), None)
        graph = None if owner is None else owner.cell.graph
    if graph is None:
        graph = state.graph
    operands = [_operand(x, graph) for x in inputs]
    for i, x in enumerate(operands):
        if x is None and not primitive.may_omit(i):
            raise ArgumentTypeError(
                f"{primitive.name}: argument {primitive.input_name(i)!r} must be a tensor or what "
                "converts to one, got None"
            )
    _promote(primitive, operands, graph)
    if graph is None:
        return _compute(primitive, state, cast("list[ConcreteTensor | None]", operands), attrs)
    return _build(primitive, state, graph, operands, attrs, name)


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


# -- operands ---------------------------------------------------------------------------------


def _operand(x: Any, graph: Graph | None) -> Any:
    """A tensor, None, or a Python number (whose dtype is decided by the others)."""
    if isinstance(x, Tensor) or x is None or is_weak(x):
        return x
    if isinstance(x, StateOwner):
        return _read(cast("Variable", x), graph)
    if isinstance(x, IndexedSlices):
        return x.dense()
    if isinstance(x, list | tuple) and has_tensor(x):
        return primitive_of("Pack")(list(x))
    return ConcreteTensor(array_of(x))


def has_tensor(nested: Sequence[Any]) -> bool:
    """Whether a nested list holds tensors or variables, and so must be stacked by an op."""
    stack: list[Any] = list(nested)
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, Tensor | StateOwner):
            return True
    return False


def _read(variable: Variable, graph: Graph | None) -> Tensor:
    """A variable's value: a read node, or the current value with the variable's identity."""
    state = STATE.get()
    log = state.log
    if log is not None and log.replaying:
        return cast(Tensor, log.take())
    if graph is None:
        graph = variable.graph
    result: Tensor
    if graph is not None:
        result = graph.read_node(variable)
    else:
        transaction = Transaction(eager_slots({"variable": variable}, "read"))
        made = ConcreteTensor(transaction.read(variable.cell))
        made._key = variable._key
        for tape in state.tapes:
            if tape.watch_variables and variable.trainable and variable.dtype.is_inexact:
                tape.tracked.add(variable._key)
                tape.variables[variable._key] = variable
        result = made
    if log is not None:
        log.results.append(result)
    return result


def common_dtype(
    primitive: Primitive[..., Any], strong: Sequence[DType], weak: Sequence[Any]
) -> DType:
    """The dtype a primitive computes in, given its operands: tensors' dtypes, Python numbers."""
    result: DType | None = None
    for dtype in strong:
        result = dtype if result is None else promote_types(result, dtype)
    if result is None:
        for number in weak:
            own = default_dtype(number)
            result = own if result is None else promote_types(result, own)
    else:
        for number in weak:
            result = weak_dtype(number, result)
    if result is None:
        raise DTypeError(f"{primitive.name} needs at least one operand")
    return primitive.accept(result)


def _promote(primitive: Primitive[..., Any], operands: list[Any], graph: Graph | None) -> None:
    """Bring the operands that share a dtype to it, in place, and make tensors of all numbers."""
    positions = [i for i in primitive.promoted(len(operands)) if operands[i] is not None]
    if positions:
        values = [operands[i] for i in positions]
        strong = [v.spec.dtype for v in values if isinstance(v, Tensor)]
        weak = [v for v in values if not isinstance(v, Tensor)]
        first = strong[0] if strong else None
        if not weak and first is not None and all(d is first for d in strong):
            target = primitive.accept(first)
        else:
            policy = common_dtype if graph is None else graph_policy(graph)
            target = policy(primitive, strong, weak)
        for i in positions:
            operands[i] = _convert(operands[i], target, graph, primitive.name)
    for i, x in enumerate(operands):
        if x is not None and not isinstance(x, Tensor):
            operands[i] = ConcreteTensor(scalar_array(x, default_dtype(x)))


def graph_policy(graph: Graph) -> Any:
    """How a graph decides the common dtype of operands; a subclass of `Graph` may refuse to mix."""
    return getattr(graph, "common_dtype", common_dtype)


def _convert(x: Any, target: DType, graph: Graph | None, name: str) -> Any:
    """An operand in the common dtype. A symbolic one keeps its own until the node is built."""
    if not isinstance(x, Tensor):
        if type(x) is float and target.is_integer:
            raise DTypeError(f"{name} does not take the float {x!r} here; it computes in {target}")
        return ConcreteTensor(scalar_array(x, target))
    if x.spec.dtype is target:
        return x
    if isinstance(x, SymbolicTensor):
        return _Cast(x, target)
    if isinstance(x, Ghost):
        return Ghost(Spec(x.spec.shape, target), x.owner)
    concrete = cast(ConcreteTensor, x)
    if graph is None:
        return apply(primitive_of("Cast"), (concrete,), {"dtype": target})
    made = ConcreteTensor(concrete._value.astype(target.dtype))
    made._key = concrete._key
    return made


class _Cast(Tensor):
    """A symbolic operand that is to be cast: the node is added only once the shapes are checked."""

    __slots__ = ("_spec", "tensor")

    def __init__(self, tensor: SymbolicTensor, dtype: DType) -> None:
        self.tensor = tensor
        self._spec = Spec(tensor.spec.shape, dtype)

    @property
    def spec(self) -> Spec:
        """Shape, and the dtype after the cast."""
        return self._spec


# -- computing at once -------------------------------------------------------------------------


def _compute(
    primitive: Primitive[..., Any],
    state: State,
    operands: list[ConcreteTensor | None],
    attrs: dict[str, Any],
) -> Tensor | tuple[Tensor, ...]:
    """Run the kernel on concrete operands, and write the call down on the tapes."""
    arrays: list[Array | None] = []
    for i, t in enumerate(operands):
        if isinstance(t, Ghost):
            if i not in primitive.shape_only:
                raise t.refuse()
            t = operands[i] = ConcreteTensor(t.stand_in())
        arrays.append(None if t is None else t._value)
    try:
        out = _run_kernel(primitive, arrays, attrs)
    except MinigradError:
        raise
    except Exception as error:
        specs = [None if t is None else t.spec for t in operands]
        primitive.infer(specs, attrs)  # Says it better where the shapes are at fault.
        raise operation_error(error, explain(primitive.op, specs, error)) from error
    outputs: tuple[ConcreteTensor, ...]
    if primitive.single:
        outputs = (ConcreteTensor(out if type(out) is np.ndarray else np.asarray(out)),)
    else:
        outputs = tuple(
            [ConcreteTensor(o if type(o) is np.ndarray else np.asarray(o)) for o in out]
        )
    if state.tapes:
        recording.record(state.tapes, primitive, attrs, tuple(operands), outputs)
    return outputs[0] if primitive.single else outputs


def _run_kernel(
    primitive: Primitive[..., Any], arrays: list[Array | None], attrs: dict[str, Any]
) -> Any:
    kernel = primitive.compute
    if kernel is None:
        raise DTypeError(f"{primitive.name} is a composite and cannot be bound")
    token = NUMPY_ERRSTATE.set(POLICY.get())
    try:
        if primitive.stateful:
            return run_eager_effect(primitive, arrays, attrs)
        if primitive.numpy is not None:
            return primitive.numpy(*arrays, **attrs)
        return kernel(np, *arrays, **attrs)
    finally:
        NUMPY_ERRSTATE.reset(token)


def run_eager_effect(
    primitive: Primitive[..., Any], arrays: list[Array | None], attrs: dict[str, Any]
) -> Any:
    """Run a stateful kernel on the eager store, as a transaction of its own."""
    slots: list[Slot] = eager_slots(attrs, primitive.name)
    kernel = cast(Any, primitive.compute)
    if primitive.effect == "read":
        return kernel(np, Transaction(slots), *arrays, **attrs)
    guard = threading.Lock()
    with guard:
        hold(slots, guard)
        transaction = Transaction(slots)
        out = kernel(np, transaction, *arrays, **attrs)
        transaction.commit()
    return out


def explain(op: str, specs: Sequence[Spec | None], error: Exception) -> str:
    """The message for a kernel that failed."""
    inputs = [f"shape={show(s.shape)} dtype={s.dtype}" for s in specs if s is not None]
    return f"{op} failed: {error}\n  inputs: {'; '.join(inputs) or 'none'}"


# -- adding a node -----------------------------------------------------------------------------


def _build(
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
    for i, x in enumerate(operands):
        if x is None:
            specs.append(None)
        elif isinstance(x, SymbolicTensor):
            specs.append(x.spec)
        else:
            plain = False
            if isinstance(x, Ghost):
                if i not in primitive.shape_only:
                    raise x.refuse()
                operands[i] = x = ConcreteTensor(x.stand_in())
            specs.append(constant_spec(x._value) if isinstance(x, ConcreteTensor) else x.spec)
    return _add_node(primitive, state, graph, operands, specs, attrs, name, plain=plain)


def _add_node(
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
                if isinstance(x, _Cast):
                    finished.append(_cast_node(graph, x, f"{full}/Cast"))
                elif isinstance(x, ConcreteTensor):
                    place = graph.unique_name(f"{full}/{primitive.input_name(i)}")
                    finished.append(constant_node(graph, x, place, state))
                else:
                    finished.append(x)
            operands = finished
        op = graph.add_operation(primitive, tuple(operands), attrs, made, full, control)
    return op.outputs[0] if primitive.single else op.outputs


def _cast_node(graph: Graph, pending: _Cast, name: str) -> SymbolicTensor:
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
    state: State,
    control: tuple[Operation, ...] = (),
) -> SymbolicTensor:
    """A node that holds a concrete tensor's value; `name` must be unique already."""
    key = tensor._key
    captured = key if key and any(key in t.tracked for t in state.tapes) else 0
    op = graph.add_operation(
        primitive_of("Const"),
        (),
        {"value": Literal(tensor._value, captured)},
        (constant_spec(tensor._value),),
        name,
        control,
    )
    return op.outputs[0]


# -- conversion to tensors ---------------------------------------------------------------------


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
    if value is None:
        raise ArgumentTypeError("expected a tensor or what converts to one, got None")
    x = _operand(value, graph) if not is_weak(value) else value
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
            return constant_node(graph, x, full, state, control)
    return cast(Tensor, x)

"""Operands of a call: from what a user writes to tensors of one dtype.

Promotion happens here, before a kernel or a node sees anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from minigrad.core.context import STATE, State
from minigrad.core.convert import array_of, is_weak, scalar_array
from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.observing import observe
from minigrad.core.operation import SymbolicTensor
from minigrad.core.registry import primitive_of
from minigrad.core.state import EAGER, StateOwner
from minigrad.core.tensor import ConcreteTensor, Ghost, Tensor
from minigrad.dtypes import DType, default_dtype, promote_types, weak_dtype
from minigrad.errors import (
    DTypeError,
)
from minigrad.shapes import Spec

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive
    from minigrad.core.variable import Variable


def operand(x: Any, graph: Graph | None) -> Any:
    """A tensor, None, or a Python number (whose dtype is decided by the others)."""
    if isinstance(x, Tensor) or x is None or is_weak(x):
        return x
    if isinstance(x, StateOwner):
        return read(cast("Variable", x), graph)
    if isinstance(x, IndexedSlices):
        return x.dense()
    if isinstance(x, list | tuple):
        return primitive_of("Pack")(list(x)) if has_tensor(x) else Listed(x)
    return ConcreteTensor(array_of(x))


class Listed(ConcreteTensor):
    """A list of numbers. It counts with the dtype it has alone, but converts from its own digits.

    So ``[0.1] * x`` is exact beside a float64 `x`, where the list's own dtype is float32.
    """

    __slots__ = ("numbers",)

    def __init__(self, numbers: Sequence[Any]) -> None:
        super().__init__(array_of(numbers))
        self.numbers = numbers

    def converted(self, dtype: DType) -> ConcreteTensor:
        """A plain tensor of a dtype."""
        same = self.spec.dtype is dtype
        return ConcreteTensor(self._value if same else array_of(self.numbers, dtype))


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


def read(variable: Variable, graph: Graph | None) -> Tensor:
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
        if graph.traced is not None:
            watch_read(state, variable)
            observe(variable, "trainable", _is_trainable)
    else:
        made = ConcreteTensor(EAGER.values[variable.cell.key])
        made._key = variable._key
        if state.tapes:
            watch_read(state, variable)
        result = made
    if log is not None:
        log.results.append(result)
    return result


def _is_trainable(variable: Variable) -> bool:
    return variable.trainable


def watch_read(state: State, variable: Variable) -> None:
    """Have the tapes watch a trainable variable that is read."""
    for tape in state.tapes:
        if tape.watch_variables and variable.trainable and variable.dtype.is_inexact:
            tape.tracked.add(variable._key)
            tape.variables[variable._key] = variable


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


def promote(primitive: Primitive[..., Any], operands: list[Any], graph: Graph | None) -> None:
    """Bring the operands that share a dtype to it, in place; make tensors of numbers and ghosts."""
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
            operands[i] = convert(operands[i], target, graph, primitive.name)
    for i, x in enumerate(operands):
        if type(x) is Listed:
            operands[i] = x.converted(x.dtype)
        elif isinstance(x, Ghost):
            if i not in primitive.shape_only:
                raise x.refuse()
            operands[i] = ConcreteTensor(x.stand_in())
        elif x is not None and not isinstance(x, Tensor):
            operands[i] = ConcreteTensor(scalar_array(x, default_dtype(x)))


def graph_policy(graph: Graph) -> Any:
    """How a graph decides the common dtype of operands; a subclass of `Graph` may refuse to mix."""
    return getattr(graph, "common_dtype", common_dtype)


def convert(x: Any, target: DType, graph: Graph | None, name: str) -> Any:
    """An operand in the common dtype. A symbolic one keeps its own until the node is built."""
    if not isinstance(x, Tensor):
        if type(x) is float and target.is_integer:
            raise DTypeError(f"{name} does not take the float {x!r} here; it computes in {target}")
        return ConcreteTensor(scalar_array(x, target))
    if type(x) is Listed:
        return x.converted(target)
    if x.spec.dtype is target:
        return x
    if isinstance(x, SymbolicTensor):
        return PendingCast(x, target)
    if isinstance(x, Ghost):
        return Ghost(Spec(x.spec.shape, target), x.owner)
    concrete = cast(ConcreteTensor, x)
    if graph is None:
        return primitive_of("Cast")(concrete, target)
    made = ConcreteTensor(concrete._value.astype(target.dtype))
    made._key = concrete._key
    return made


class PendingCast(Tensor):
    """A symbolic operand that is to be cast: the node is added only once the shapes are checked."""

    __slots__ = ("_spec", "tensor")

    def __init__(self, tensor: SymbolicTensor, dtype: DType) -> None:
        self.tensor = tensor
        self._spec = Spec(tensor.spec.shape, dtype)

    @property
    def spec(self) -> Spec:
        """Shape, and the dtype after the cast."""
        return self._spec

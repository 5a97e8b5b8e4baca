"""Variables: named state that ops read, and that assignments change."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.core import record as recording
from minigrad.core.bind import apply, tensor_of
from minigrad.core.context import STATE, changed
from minigrad.core.convert import array_of
from minigrad.core.graph import GraphKeys
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.observing import CHANGES
from minigrad.core.operands import has_tensor
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.operators import Operators
from minigrad.core.registry import primitive_of
from minigrad.core.state import EAGER, Cell, StateOwner
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.dtypes import DType, DTypeLike, as_dtype
from minigrad.errors import DTypeError, GraphError, ShapeError, StateError, SymbolicTensorError
from minigrad.shapes import Spec, show

if TYPE_CHECKING:
    from minigrad.core.graph import Graph
    from minigrad.core.tensor import TensorLike

__all__ = ["Variable"]


class Variable(Operators, StateOwner):
    """A named value that training changes.

    Made in eager code it holds its value at once, and eager code and every session share it. Made
    inside a graph it belongs to that graph: each session holds its own value, which the
    variable's `initializer` sets.

    Args:
        initial_value: a tensor, array, number or nested list; or a function without arguments
            that returns one.
        trainable: whether tapes watch it by themselves, and whether it is in the graph's
            collection of trainable variables.
        name: the name in the graph; made unique there.
        dtype: element type; by default the initial value's.

    Raises:
        DTypeError: the initial value does not convert to `dtype`.
        ShapeError: the initial value's shape is not known when the graph is built.

    >>> import minigrad as mg
    >>> v = mg.Variable([1.0, 2.0], name="v")
    >>> v.assign_add([10.0, 10.0])
    Tensor([11., 12.], shape=(2,), dtype=float32)
    >>> v
    <minigrad.Variable 'v' shape=(2,) dtype=float32 value=[11. 12.]>
    """

    __slots__ = (
        "__weakref__",
        "_key",
        "_spec",
        "_trainable",
        "cell",
        "graph",
        "initializer",
        "name",
    )

    #: The op that sets the variable to its initial value; None for an eager variable.
    initializer: Operation | None

    def __init__(
        self,
        initial_value: TensorLike | Callable[[], TensorLike],
        *,
        trainable: bool = True,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        wanted = None if dtype is None else as_dtype(dtype)
        graph = STATE.get().graph
        traced = None if graph is None else graph.traced
        if traced is not None and graph is traced:
            traced.create(f"variable {name or 'Variable'!r}")
            graph = None
        self.graph: Graph | None = graph
        self._trainable = trainable
        self.initializer = None
        self._key = recording.next_key()
        if self.graph is None:
            self.name = name or "Variable"
            with changed(tapes=(), graph=None, control=()):
                value = initial_value() if callable(initial_value) else initial_value
                if traced is not None and isinstance(value, SymbolicTensor):
                    value = traced.value_of(value)
                first = tensor_of(value, wanted)
            if not isinstance(first, ConcreteTensor):
                raise StateError(
                    f"variable {self.name!r} is made in eager code, but its initial value is "
                    "symbolic; make it inside `with graph.as_default():`"
                )
            self.cell = Cell(f"variable {self.name!r}", None)
            self._spec = first.spec
            EAGER.values[self.cell.key] = np.array(first._value)
            weakref.finalize(self, EAGER.forget, self.cell.key).atexit = False
        else:
            self._build(self.graph, initial_value, name, wanted)

    def _build(
        self, graph: Graph, initial_value: Any, name: str | None, wanted: DType | None
    ) -> None:
        """Make the nodes of a graph-owned variable: its initial value, initializer and read."""
        if graph.outer is not None:
            raise GraphError(
                f"variable {name or 'Variable'!r} is made inside the body of a branch or loop, "
                "which may run any number of times; make it before, and use it inside"
            )
        with graph.lock, changed(control=(), tapes=()):
            self.name = graph.unique_name(STATE.get().scope + (name or "Variable"))
            self.cell = Cell(f"variable {self.name!r}", graph)
            with changed(scope=self.name + "/"):
                value = initial_value() if callable(initial_value) else initial_value
                first = tensor_of(value, wanted, graph=graph, name="initial_value")
                spec = first.spec
                if not spec.known():
                    raise ShapeError(
                        f"variable {self.name!r} needs an initial value of known shape, got "
                        f"{show(spec.shape)}"
                    )
                self._spec = Spec(spec.shape, spec.dtype)
                assign = apply(primitive_of("Assign"), (first,), {"variable": self}, name="Assign")
            self.initializer = cast(SymbolicTensor, assign).op
            graph.read_node(self)
        graph.add_to_collection(GraphKeys.GLOBAL_VARIABLES, self)
        if self._trainable:
            graph.add_to_collection(GraphKeys.TRAINABLE_VARIABLES, self)

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return self._spec

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; a variable's never changes."""
        return self._spec.shape  # type: ignore[return-value]

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self._spec.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def trainable(self) -> bool:
        """Whether tapes watch it by themselves, and its graph counts it as trainable.

        It may be set at any time, and holds for tapes and training ops made after that.

        >>> import minigrad as mg
        >>> with mg.Graph().as_default():
        ...     v, w = mg.Variable(1.0, name="v"), mg.Variable(2.0, name="w")
        ...     v.trainable = False
        ...     [t.name for t in mg.trainable_variables()]
        ['w']
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        CHANGES.note()
        if self.graph is None:
            return
        with self.graph.lock:
            members = self.graph._collections.setdefault(GraphKeys.TRAINABLE_VARIABLES, [])
            members[:] = [v for v in members if v is not self]
            if value:
                # Where it would stand had it been trainable from the start.
                later = [isinstance(v, Variable) and v.cell.key > self.cell.key for v in members]
                members.insert(later.index(True) if any(later) else len(members), self)

    def value(self) -> Tensor:
        """The current value as a tensor: at once in eager code, a read node in a graph."""
        return tensor_of(self)

    def read(self) -> Tensor:
        """The same as `value`."""
        return tensor_of(self)

    def numpy(self) -> Array:
        """The current value of an eager variable as a NumPy array of the caller's own.

        Raises:
            StateError: the variable belongs to a graph; fetch it from a session.
            SymbolicTensorError: a function is being traced.
        """
        if self.graph is not None:
            raise StateError(
                f"variable {self.name!r} belongs to a graph and has a value in each session; "
                "use sess.run(v)"
            )
        graph = STATE.get().graph
        if graph is not None and graph.traced is not None:
            raise SymbolicTensorError(
                f"the value of variable {self.name!r} as an array would be that of the moment when "
                f"{graph.traced.label} is traced, in all calls; use the variable itself, or return "
                "it and convert the result"
            )
        return np.array(EAGER.values[self.cell.key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.graph is None:
            self.value().__array__()  # Refuses where a tape records what becomes of the value.
        return np.asarray(self.numpy(), dtype)

    def item(self) -> Any:
        """The value of an eager variable of one element as a Python number."""
        return self.numpy().item()

    def tolist(self) -> Any:
        """The value of an eager variable as nested Python lists."""
        return self.numpy().tolist()

    def assign(self, value: TensorLike) -> Tensor:
        """Set the value, and return it. In a graph, a node that does so when it runs.

        Raises:
            ShapeError: the shape of `value` is not the variable's.
            DTypeError: `value` does not convert to the variable's dtype.
        """
        return self._update("Assign", value)

    def assign_add(self, value: TensorLike) -> Tensor:
        """Add `value`, and return the sum. See `assign`."""
        return self._update("AssignAdd", value)

    def assign_sub(self, value: TensorLike) -> Tensor:
        """Subtract `value`, and return the difference. See `assign`."""
        return self._update("AssignSub", value)

    def scatter_assign(self, indices: TensorLike, value: TensorLike) -> Tensor:
        """Set the rows at `indices` (integers, first axis); of repeated ones the last wins."""
        return self._scatter("ScatterUpdate", indices, value)

    def scatter_add(self, indices: TensorLike, value: TensorLike) -> Tensor:
        """Add to the rows at `indices`; repeated indices add up."""
        return self._scatter("ScatterAdd", indices, value)

    def scatter_sub(self, indices: TensorLike, value: TensorLike) -> Tensor:
        """Subtract from the rows at `indices`; repeated indices add up."""
        return self._scatter("ScatterSub", indices, value)

    def fit(self, value: TensorLike) -> Tensor:
        """A value in the variable's dtype, converted only where nothing but precision is lost.

        Raises:
            GraphError: it belongs to another graph than the variable.
            DTypeError: it does not convert.
        """
        if not isinstance(value, Tensor | Variable | IndexedSlices) and not has_tensor([value]):
            return ConcreteTensor(array_of(value, self.dtype))
        tensor = tensor_of(value)
        if isinstance(tensor, SymbolicTensor) and self.graph not in (None, tensor.graph.root):
            raise GraphError(
                f"variable {self.name!r} belongs to {self.graph!r}, the value to {tensor.graph!r}; "
                "build both inside the same `with graph.as_default():`"
            )
        own = tensor.dtype
        if own is self.dtype:
            return tensor
        if not np.can_cast(own.dtype, self.dtype.dtype, "same_kind"):
            raise DTypeError(
                f"variable {self.name!r} has dtype {self.dtype}, got a value of {own}; "
                f"cast it with mg.astype(x, mg.{self.dtype})"
            )
        return cast(Tensor, apply(primitive_of("Cast"), (tensor,), {"dtype": self.dtype}))

    def _update(self, op: str, value: TensorLike) -> Tensor:
        made = apply(primitive_of(op), (self.fit(value),), {"variable": self})
        return cast(Tensor, made)

    def _scatter(self, op: str, indices: TensorLike, value: TensorLike) -> Tensor:
        inputs = (indices, self.fit(value))
        return cast(Tensor, apply(primitive_of(op), inputs, {"variable": self}))

    def __repr__(self) -> str:
        text = f"<minigrad.Variable {self.name!r} shape={show(self.shape)} dtype={self.dtype}"
        if self.graph is None:
            text += f" value={np.array2string(EAGER.values[self.cell.key])}"
        return text + ">"

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        return copy.copy(self)

    def __copy__(self) -> Variable:
        rebuild, arguments = self.__reduce__()
        made: Variable = rebuild(*arguments)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        if self.graph is not None:
            raise StateError(
                f"variable {self.name!r} belongs to a graph and cannot be copied or pickled "
                "alone; save its session's values, or the graph with Graph.to_dict"
            )
        return (_restore, (self.numpy(), self.trainable, self.name))

    def __bool__(self) -> bool:
        return bool(self.value())

    def __float__(self) -> float:
        return float(self.value())

    def __int__(self) -> int:
        return int(self.value())

    def __complex__(self) -> complex:
        return complex(self.value())

    def __index__(self) -> int:
        return self.value().__index__()

    def __format__(self, spec: str) -> str:
        return format(self.value(), spec) if spec else str(self)

    def __len__(self) -> int:
        return len(self.value())

    def __iter__(self) -> Any:
        return iter(self.value())


def rebuild_variable(
    name: str, spec: Spec, trainable: bool, graph: Graph, initializer: Operation | None
) -> Variable:
    """A graph-owned variable around nodes that exist, as loading a graph needs it."""
    made = Variable.__new__(Variable)
    made.name = name
    made.graph = graph
    made._trainable = trainable
    made.initializer = initializer
    made._spec = spec
    made._key = recording.next_key()
    made.cell = Cell(f"variable {name!r}", graph)
    return made


def _restore(value: Array, trainable: bool, name: str) -> Variable:
    """An eager variable from its pickled parts."""
    with changed(graph=None):
        return Variable(value, trainable=trainable, name=name)

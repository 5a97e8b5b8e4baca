"""What a run is asked for, and how its answers are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.state import Transaction
from minigrad.core.tensor import Array, ConcreteTensor, Ghost
from minigrad.core.variable import Variable
from minigrad.errors import FetchError, FetchTypeError, GraphError
from minigrad.nest import unflatten
from minigrad.ops.state_ops import current

#: From the values of a run, and its state, to what one fetch returns.
Reader: TypeAlias = Callable[[Mapping[SymbolicTensor, Array], Transaction], Any]


class Fetches:
    """What the leaves of a fetch nest need from the graph, and how each makes its result.

    Args:
        graph: the graph.
        items: the leaves.
        single: whether the nest is a leaf itself.
        flat: list or tuple, where the nest is one of these that holds leaves only.

    Attributes:
        is_single: the nest is a leaf itself.
        tensors: the tensors whose values a run must compute.
        operations: the operations that it must run.
        variables: the variables whose values it must show.
    """

    __slots__ = (
        "_flat",
        "_in_order",
        "_items",
        "_plain",
        "_readers",
        "_shared",
        "is_single",
        "operations",
        "tensors",
        "variables",
    )

    def __init__(self, graph: Graph, items: Sequence[Any], single: bool, flat: Any = None) -> None:
        self.is_single = single
        self._flat = flat
        #: Kept alive, because plans are cached by identity.
        self._items = items
        needed: dict[SymbolicTensor, None] = {}
        self.operations: list[Operation] = []
        self.variables: list[Variable] = []
        self._readers = [self._reader(graph, item, needed) for item in items]
        self.tensors = list(needed)
        places = {tensor: i for i, tensor in enumerate(self.tensors)}
        #: For each leaf where its tensor's value stands, or None for an operation's.
        self._plain: list[int | None] | None = None
        if not self.variables and not any(isinstance(item, IndexedSlices) for item in items):
            found = [_named(graph, x) if isinstance(x, str) else x for x in items]
            self._plain = [None if isinstance(x, Operation) else places[x] for x in found]
        used = [at for at in self._plain or () if at is not None]
        self._shared = len(set(used)) < len(used)
        self._in_order = self._plain == list(range(len(self.tensors)))

    def pack(self, nest: Any, results: list[Any]) -> Any:
        """The results of the leaves in a nest like the one that was asked for."""
        if self.is_single:
            return results[0]
        return unflatten(nest, results) if self._flat is None else self._flat(results)

    @property
    def is_plain(self) -> bool:
        """Whether the leaves are tensors and operations only."""
        return self._plain is not None

    def results(self, values: Sequence[Array]) -> list[Any]:
        """What the leaves of a plain nest return, given values of `tensors` nobody else has."""
        if self._in_order:
            return [x if x.ndim else x[()] for x in values]
        made: list[Any] = [None if at is None else values[at] for at in self._plain or ()]
        if self._shared:
            made = [None if x is None else np.array(x) for x in made]
        return [x if x is None or x.ndim else x[()] for x in made]

    def read(self, values: Sequence[Array], transaction: Transaction) -> list[Any]:
        """What each leaf returns, as copies that nothing else refers to.

        Args:
            values: the values of `tensors`.
            transaction: the state at the end of the run.
        """
        by_tensor = dict(zip(self.tensors, values, strict=True))
        return [reader(by_tensor, transaction) for reader in self._readers]

    def _reader(self, graph: Graph, item: Any, needed: dict[SymbolicTensor, None]) -> Reader:
        if isinstance(item, str):
            item = _named(graph, item)
        if isinstance(item, IndexedSlices):
            return _slices_reader(graph, item, needed)
        if isinstance(item, ConcreteTensor):
            raise FetchTypeError(f"{item!r} is concrete and has its value already; it needs no run")
        if not isinstance(item, SymbolicTensor | Operation | Variable):
            called = "; was it meant to be called, with ()?" if callable(item) else ""
            raise FetchTypeError(
                f"cannot fetch {item!r} ({type(item).__name__}); expected a tensor, an operation, "
                f"a variable, a name, or a list, tuple, dict or dataclass of these{called}"
            )
        if isinstance(item, SymbolicTensor):
            return _tensor_reader(graph, item, needed)
        if item.graph is not graph and not (isinstance(item, Variable) and item.graph is None):
            raise _foreign(item, item.graph, graph)
        if isinstance(item, Operation):
            self.operations.append(item)
            return lambda values, state: None
        self.variables.append(item)
        return lambda values, state: own_copy(current(state, item))


def _tensor_reader(
    graph: Graph, tensor: SymbolicTensor, needed: dict[SymbolicTensor, None]
) -> Reader:
    if tensor.graph is not graph:
        raise _foreign(tensor, tensor.graph, graph)
    needed[tensor] = None
    return lambda values, state: own_copy(values[tensor])


def _slices_reader(
    graph: Graph, slices: IndexedSlices, needed: dict[SymbolicTensor, None]
) -> Reader:
    """The rows and indices of a sparse gradient, around the shape of its dense tensor."""
    parts: list[Reader] = []
    for part in (slices.values, slices.indices, slices.like):
        if isinstance(part, SymbolicTensor):
            _tensor_reader(graph, part, needed)
            parts.append(lambda values, state, part=part: values[part])  # type: ignore[misc]
        else:
            array = part.numpy()
            parts.append(lambda values, state, array=array: array)  # type: ignore[misc]

    def read(values: Mapping[SymbolicTensor, Array], state: Transaction) -> IndexedSlices:
        rows, indices, like = [part(values, state) for part in parts]
        spec = slices.spec._replace(shape=like.shape)
        return IndexedSlices(
            ConcreteTensor(np.array(rows)),
            ConcreteTensor(np.array(indices)),
            Ghost(spec, "IndexedSlices"),
        )

    return read


def own_copy(value: Array) -> Any:
    """A value as a fetch returns it: the caller's own array, or a scalar."""
    if value.ndim:
        return np.array(value)
    return value[()]


def _foreign(item: object, own: Graph | None, graph: Graph) -> FetchError:
    if own is not None and own.outer is not None:
        return FetchError(
            f"cannot fetch {item!r}: it is inside the body of a branch or loop; return it from "
            "the body, and fetch the result of the branch or loop"
        )
    return FetchError(f"{item!r} belongs to {own!r}, the session to {graph!r}")


def _named(graph: Graph, name: str) -> SymbolicTensor | Operation:
    """The tensor (``"x:0"``) or operation (``"x"``) of a name."""
    try:
        if ":" in name:
            return graph.get_tensor_by_name(name)
        return graph.get_operation_by_name(name)
    except GraphError as error:
        raise FetchError(f"cannot fetch {name!r}: {error}") from None

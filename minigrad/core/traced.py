"""The graph of a traced function: it stands for eager code.

What differs from other graphs: effects happen in the order of the code, so a read sees the
assignments before it; variables and generators made in it are eager; eager tensors that the code
mentions are remembered, so that gradients find them; and once the trace is over, nobody may add to
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from minigrad.core.context import STATE, State
from minigrad.core.effect_order import EffectOrder
from minigrad.core.graph import Graph
from minigrad.core.nodes import constant_node
from minigrad.core.observing import Observed
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.registry import primitive_of
from minigrad.core.tensor import Array, ConcreteTensor
from minigrad.errors import GraphError, StateError, SymbolicTensorError
from minigrad.shapes import Spec

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive

__all__: list[str] = []


class TracedTensor(SymbolicTensor):
    """A tensor of a function that is traced, or was."""

    __slots__ = ()

    def _refuse(self, what: str, instead: str) -> SymbolicTensorError:
        traced = self.op.graph.traced
        if traced is not None and not traced.is_open:
            return SymbolicTensorError(traced.leaked(self))
        name = "a function" if traced is None else traced.label
        return SymbolicTensorError(
            f"{self!r} has no value while {name} is traced, so {what}; {instead}"
        )

    def __bool__(self) -> NoReturn:
        raise self._refuse(
            "it cannot decide a Python `if`, `while`, `and`, `or` or `not`",
            "use mg.cond, mg.while_loop, mg.where, mg.logical_and and kin, or pass what decides as "
            "a Python bool or number, for which the function is traced anew",
        )

    def __iter__(self) -> Any:
        shape = self.spec.shape
        if not shape or shape[0] is None:
            raise self._refuse(
                "it cannot be iterated over",
                "its length is not known: use mg.scan, mg.map_fn, or ops on the whole tensor",
            )
        return (self[i] for i in range(shape[0]))

    def _no_number(self, *_: Any) -> NoReturn:
        raise self._refuse(
            "it cannot become a Python number or a NumPy array",
            "return it and convert the result, or use mg.host_call to run Python code in each call",
        )

    __float__ = __int__ = __complex__ = __index__ = _no_number

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._no_number()

    def numpy(self) -> NoReturn:
        """Refused: it has no value."""
        self._no_number()


class TracedGraph(Graph):
    """The graph that a function is traced into.

    Args:
        label: how messages call the function.
        evaluate: computes a tensor of the graph that depends on no argument.
        may_create: whether the code may make variables.

    Attributes:
        observed: what the code has read of Python objects.
        captured: eager tensors that the code mentions, by `id`, with the nodes that hold them.
        created: what the code has made: variables, generators, modules.
        is_open: whether nodes may be added.
    """

    tensor_class = TracedTensor

    def __init__(
        self,
        label: str,
        evaluate: Callable[[TracedGraph, SymbolicTensor], Array],
        *,
        may_create: bool,
    ) -> None:
        super().__init__(label)
        self.traced = self
        self.order = EffectOrder()
        self.label = label
        self.observed: dict[tuple[int, str], Observed] = {}
        self.captured: dict[int, tuple[ConcreteTensor, SymbolicTensor]] = {}
        self.created: list[str] = []
        self.is_open = False
        self._evaluate = evaluate
        self._may_create = may_create

    @contextmanager
    def tracing(self, scope: str = "") -> Iterator[None]:
        """A context in which code joins the graph, apart from whatever goes on around it.

        What one such block does has an order of effects of its own: it sees nothing that another
        one has assigned.

        Args:
            scope: the name scope of the nodes.
        """
        with self.lock:
            before = self.is_open, self.order
            self.is_open, self.order = True, EffectOrder()
            token = STATE.set(State(graph=self, scope=scope))
            try:
                yield
            finally:
                STATE.reset(token)
                self.is_open, self.order = before

    def argument(self, spec: Spec, name: str) -> SymbolicTensor:
        """A node whose value is given at each call."""
        attrs = {"dtype": spec.dtype, "shape": spec.shape}
        op = self.add_operation(
            primitive_of("Placeholder"), (), attrs, (spec,), self.unique_name(name)
        )
        return op.outputs[0]

    def capture(self, tensor: ConcreteTensor) -> SymbolicTensor:
        """The constant that stands for an eager tensor: always the same one."""
        found = self.captured.get(id(tensor))
        if found is None:
            token = STATE.set(State(graph=self))
            try:
                node = constant_node(self, tensor, self.unique_name("captured"))
            finally:
                STATE.reset(token)
            # The tensor is kept, so that no other one gets its id.
            found = self.captured[id(tensor)] = (tensor, node)
        return found[1]

    def create(self, what: str) -> None:
        """Note that the code makes a variable or the like.

        Raises:
            StateError: it may not, because it did so before.
        """
        if not self._may_create:
            raise StateError(
                f"{self.label} makes {what} whenever it is traced, so each trace would have "
                "another one. Make it outside of the function; or in its first call only, and keep "
                "it: `if self.weight is None: self.weight = mg.Variable(…)`"
            )
        self.created.append(what)

    def value_of(self, tensor: SymbolicTensor) -> Array:
        """The value of a tensor that depends on no argument, computed now."""
        return self._evaluate(self, tensor)

    def leaked(self, what: object) -> str:
        """The message for using one of its tensors when the trace is over."""
        return (
            f"{what} belongs to a trace of {self.label}, which is over, and has no value now. "
            "Return it from the function and use the result; keep it in no attribute or list"
        )

    def add_operation(
        self,
        primitive: Primitive[..., Any],
        inputs: tuple[SymbolicTensor | None, ...],
        attrs: dict[str, Any],
        specs: tuple[Spec, ...],
        name: str,
        control: tuple[Operation, ...] = (),
    ) -> Operation:
        """Append a node; see `Graph.add_operation`.

        Raises:
            GraphError: the trace is over.
        """
        current = STATE.get().graph
        if not self.is_open or current is None or not current.lies_in(self):
            raise GraphError(f"{primitive.name}: {self.leaked('one of its operands')}")
        return super().add_operation(primitive, inputs, attrs, specs, name, control)

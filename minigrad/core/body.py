"""Bodies: the subgraphs that branches and loops hold.

A body is a graph within a graph. Its nodes read its inputs: the arguments it was built with, and
what it captures, which are tensors of the graph around it that its nodes mention. Names are unique
in the outermost graph, so that an error can name a node of a body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from minigrad.core.context import STATE, changed
from minigrad.core.effect_order import EffectOrder
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor, computed_from
from minigrad.core.registry import primitive_of
from minigrad.core.rules import STRENGTH
from minigrad.core.state import Cell, StateUser, cells_of, state_users, written_cells
from minigrad.errors import GraphError
from minigrad.shapes import Spec, compatible

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive
    from minigrad.core.variable import Variable


class Body(Graph, StateUser):
    """The subgraph of a branch or loop.

    Attributes:
        arguments: the inputs it was built with.
        captured: tensors of the graph around it, each with the input that stands for it here.
        inputs: the arguments, then the captured ones.
        outputs: what it computes.
        targets: operations that every run of it runs too: its assignments and host calls.
        has_rules: whether there are gradients of the user's own, also in bodies within.
        stateful_ops: the operations with effects, whose results a recomputation must be given.
        plans: what executors keep about it.
    """

    def __init__(self, outer: Graph | None, name: str = "body") -> None:
        super().__init__(name)
        self.outer = outer
        if outer is not None:
            self.lock = outer.lock
            self.tensor_class = outer.tensor_class  # type: ignore[misc]
            if outer.traced is not None:
                self.traced, self.order = outer.traced, EffectOrder()
            policy = getattr(outer, "common_dtype", None)
            if policy is not None:
                self.common_dtype = policy
        #: The control dependencies around the branch or loop, which its captured reads heed.
        self._outer_control = STATE.get().control
        self._scope = STATE.get().scope
        self.is_built = False
        self.arguments: list[SymbolicTensor] = []
        self.captured: dict[SymbolicTensor, SymbolicTensor] = {}
        #: Operations of the graph around that nodes here wait for; so does the branch or loop.
        self.waits: dict[Operation, None] = {}
        #: What nodes added later, for the rule of a custom gradient, read from outside.
        self.late: dict[SymbolicTensor, SymbolicTensor] = {}
        #: Number of operations when it was closed.
        self.size = 0
        self.outputs: tuple[SymbolicTensor, ...] = ()
        self.targets: tuple[Operation, ...] = ()
        self.stateful_ops: tuple[Operation, ...] = ()
        self.has_rules = False
        self.plans: dict[Any, Any] = {}
        self._variables: list[tuple[int, Cell]] | None = None
        #: Whether nodes may be added.
        self._open = False
        #: The body itself; of a copy that is computed in another way, the original.
        self.home = self
        #: What stands for a tensor of the graph around, where the body is computed elsewhere.
        self.look_up: Callable[[SymbolicTensor], Any] | None = None
        self._convert: Callable[[Primitive[..., Any], dict[str, Any]], dict[str, Any]] | None = None

    @property
    def inputs(self) -> tuple[SymbolicTensor, ...]:
        """The arguments, then what stands for the captured tensors."""
        return (*self.arguments, *self.captured.values())

    # -- building --------------------------------------------------------------------------

    @contextmanager
    def building(self, scope: str | None = None) -> Iterator[Self]:
        """A context in which ops join the body."""
        scope = self._scope if scope is None else scope
        log = STATE.get().log
        inside = None if log is None else log.inside()
        with self.lock, changed(graph=self, scope=scope, control=(), log=inside):
            was_open, self._open = self._open, True
            try:
                yield self
            finally:
                self._open = was_open

    def argument(self, spec: Spec, name: str) -> SymbolicTensor:
        """One more input."""
        made = self.placeholder(spec, STATE.get().scope + name)
        self.arguments.append(made)
        return made

    def placeholder(self, spec: Spec, name: str) -> SymbolicTensor:
        """A node whose value is given."""
        attrs = {"dtype": spec.dtype, "shape": spec.shape}
        full = self.unique_name(name)
        op = self.add_operation(primitive_of("Placeholder"), (), attrs, (spec,), full)
        return op.outputs[0]

    def bring(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """A tensor as the nodes of this body may read it: its own, or a captured one.

        Raises:
            GraphError: it belongs to another graph, or to another body.
        """
        graph = tensor.op.graph
        if graph is self:
            return tensor
        if self.outer is None or not self.lies_in(graph):
            raise GraphError(
                f"{tensor!r} belongs to {graph!r}, and cannot be used in {self!r}; "
                + ("return it from its body" if isinstance(graph, Body) else "build it there")
            )
        source = self.outer.bring(tensor)
        found = self.captured.get(source)
        if found is None:
            found = self.late.get(source)
        if found is None:
            last = source.op.name.rpartition("/")[2]
            found = self.placeholder(source.spec, f"{STATE.get().scope or self._scope}{last}")
            (self.late if self.is_built else self.captured)[source] = found
        return found

    def wait_for(self, op: Operation) -> None:
        """Have the branch or loop, or the one around it, done after an operation from outside."""
        body: Graph = self
        while isinstance(body, Body) and body.outer is not op.graph and body.outer is not None:
            body = body.outer
        if isinstance(body, Body) and body.outer is not None:
            body.waits[op] = None

    def outside(self) -> dict[SymbolicTensor, SymbolicTensor]:
        """Tensors of the graph around, each with what stands for it here."""
        return self.captured | self.late

    def close(self, outputs: Sequence[SymbolicTensor], targets: Sequence[Operation] = ()) -> None:
        """Fix what the body computes, and the operations it runs beside its assignments.

        Arguments and captured tensors stay as they are; see `drop_unused`.

        Raises:
            GraphError: one of the operations was built outside the body.
        """
        for op in targets:
            if op.graph is not self:
                raise GraphError(
                    f"{op!r} was built outside the function of a branch or loop, and so would run "
                    "whether or not the function does; build it inside"
                )
        self.outputs = tuple(outputs)
        operations = self.get_operations()
        self.size = len(operations)
        does = [op for op in operations if op.effect in ("write", "host")]
        effects = [op for op in operations if op.effect != "pure"]
        self.targets = tuple(dict.fromkeys([*does, *targets]))
        self.stateful_ops = tuple(effects)
        cells: dict[int, Cell] = {}
        written: dict[int, Cell] = {}
        for op in effects:
            cells.update({cell.key: cell for cell in cells_of(op.attrs)})
            made = written_cells(op.primitive.effect, op.attrs)
            written.update({cell.key: cell for cell in made})
        self.cells, self.written = tuple(cells.values()), tuple(written.values())
        self.has_rules = any(
            op.type == "CustomGradient" or any(b.has_rules for b in bodies_of(op.attrs))
            for op in operations
        )
        self.effect = max([op.effect for op in effects], key=STRENGTH.index, default="pure")
        self.is_built = True

    def drop_unused(self, arguments: Sequence[SymbolicTensor]) -> list[SymbolicTensor]:
        """Drop those of some arguments, and of the captured tensors, that nothing reads.

        Returns:
            The arguments that stay.
        """
        read = {t for op in self.needed() for t in op.inputs}.union(self.outputs)
        kept = [t for t in arguments if t in read]
        gone = set(arguments).difference(kept)
        self.arguments = [t for t in self.arguments if t not in gone]
        self.captured = {source: t for source, t in self.captured.items() if t in read}
        return kept

    def captured_variables(self) -> list[tuple[int, Cell]]:
        """The places of variables' values among the captured tensors, with the variables' cells."""
        if self._variables is None:
            self._variables = [
                (place, variable.cell)
                for place, source in enumerate(self.captured)
                if (variable := _variable_behind(source)) is not None
            ]
        return self._variables

    def needed(self) -> list[Operation]:
        """The operations that the outputs and targets need, in creation order."""
        return computed_from([*[t.op for t in self.outputs], *self.targets], control=True)

    def computing(self) -> list[Operation]:
        """The operations that the outputs are computed from, in creation order."""
        return computed_from([t.op for t in self.outputs])

    # -- what differs from other graphs ----------------------------------------------------

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
            GraphError: the body is not being built at the moment.
        """
        current = STATE.get().graph
        if not self._open or current is None or not current.lies_in(self):
            raise GraphError(
                f"{primitive.name}: an operand is a tensor inside the body of a branch or loop, "
                "which has no value outside; return it from the body"
            )
        op = super().add_operation(primitive, inputs, attrs, specs, name, control)
        if self.outer is not None:
            self.root._inner[name] = op
        return op

    def unique_name(self, name: str) -> str:
        """A name that is unique in the outermost graph."""
        return super().unique_name(name) if self.outer is None else self.root.unique_name(name)

    def read_node(self, variable: Variable) -> SymbolicTensor:
        """The captured read of the graph around, or a new one after assignments in this body."""
        if self.outer is None:
            return super().read_node(variable)
        control = STATE.get().control
        with changed(graph=self.outer, control=(*self._outer_control, *control)):
            outer = self.outer.read_node(variable)
        captured = self.bring(outer)
        if not self._is_written_before(variable, control):
            return captured
        read = super().read_node(variable)
        if not variable.dtype.is_inexact:
            return read
        # So that the gradient for the variable goes through the loop's or branch's own input.
        made: tuple[SymbolicTensor, ...] = primitive_of("CustomGradient")(
            [captured], [read], rule=_pass_on
        )
        return made[0]

    def _is_written_before(self, variable: Variable, control: Sequence[Operation]) -> bool:
        """Whether this body assigns a variable before some control dependencies are met.

        In a traced function: whether it does so before what is added now.
        """
        if self.order is not None and variable.cell.key in self.order.writes:
            return True
        for op in computed_from([op for op in control if op.graph is self], control=True):
            if variable.cell in written_cells(op.primitive.effect, op.attrs):
                return True
        return False

    def reads_of(self, variable: Variable) -> list[SymbolicTensor]:
        """Every tensor here that stands for a variable's value."""
        if self.outer is None:
            return super().reads_of(variable)
        outer = self.outer.reads_of(variable)
        return [self.captured[t] for t in outer if t in self.captured]

    # -- computing it in another way -------------------------------------------------------

    def attrs_of(self, op: Operation) -> dict[str, Any]:
        """The attributes to compute an operation with."""
        return op.attrs if self._convert is None else self._convert(op.primitive, op.attrs)

    def converted(
        self, convert: Callable[[Primitive[..., Any], dict[str, Any]], dict[str, Any]]
    ) -> Body:
        """The same body, computed with the attributes that `convert` makes of an operation's.

        It is for repeating a computation with other dtypes, and so leaves out the assignments and
        host calls that its outputs do not need.
        """
        made = self._copy()
        made._convert = convert
        made.plans = {}
        return made

    @property
    def is_replay(self) -> bool:
        """Whether it repeats what has been computed before."""
        return self._convert is not None

    def moved(self, look_up: Callable[[SymbolicTensor], Any]) -> Body:
        """The same body for a copy of its branch or loop, with other tensors around it.

        Args:
            look_up: from a tensor of the graph around to what stands for it there.
        """
        made, before = self._copy(), self.look_up
        made.look_up = look_up if before is None else lambda t: look_up(before(t))
        return made

    def _copy(self) -> Body:
        made = Body.__new__(Body)
        made.__dict__.update(self.__dict__)
        return made

    def __repr__(self) -> str:
        return f"<minigrad.Body {self.name!r} with {len(self)} operations>"


def _variable_behind(tensor: SymbolicTensor) -> Variable | None:
    """The variable whose value a tensor is, also where bodies have captured it."""
    while True:
        if tensor.op.type == "VariableV2":
            found: Variable = tensor.op.attrs["variable"]
            return found
        graph = tensor.op.graph
        if not isinstance(graph, Body):
            return None
        for source, stand_in in graph.captured.items():
            if stand_in is tensor:
                tensor = source
                break
        else:
            return None


def bodies_of(attrs: dict[str, Any]) -> list[Body]:
    """The bodies among the attributes of an operation."""
    return [user for user in state_users(attrs) if isinstance(user, Body)]


def _pass_on(gradient: Any) -> list[Any]:
    return [gradient]


def infer_outputs(body: Body, inputs: Sequence[Spec]) -> list[Spec]:
    """The specs of a body's outputs for inputs of these, found without computing anything."""
    specs: dict[SymbolicTensor, Spec] = dict(zip(body.inputs, inputs, strict=True))
    for op in body.needed():
        if op.inputs:
            given = [None if t is None else specs[t] for t in op.inputs]
            made = op.primitive.infer(given, body.attrs_of(op))
        else:
            made = tuple([t.spec for t in op.outputs])
        for t, spec in zip(op.outputs, made, strict=True):
            specs.setdefault(t, spec)
    return [specs[t] for t in body.outputs]


def fits(spec: Spec, wanted: Spec) -> bool:
    """Whether a tensor of one spec may stand where another is declared."""
    return spec.dtype is wanted.dtype and compatible(spec.shape, wanted.shape)

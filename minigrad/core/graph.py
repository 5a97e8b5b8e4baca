"""Graphs: append-only lists of operations."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from minigrad.core import origin
from minigrad.core.context import STATE, changed
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.registry import primitive_of
from minigrad.errors import ArgumentError, ArgumentTypeError, FinalizedGraphError, GraphError
from minigrad.shapes import Spec, show

if TYPE_CHECKING:
    from minigrad.core.effect_order import EffectOrder
    from minigrad.core.primitive import Primitive
    from minigrad.core.traced import TracedGraph
    from minigrad.core.variable import Variable

__all__ = ["Graph", "GraphKeys"]

_VALID_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_graph_numbers = itertools.count(1)
_NO_ATTRS: dict[str, Any] = {}


def check_name(name: str) -> None:
    """Raise `ArgumentError` unless a node or scope may be called `name`."""
    if not _VALID_NAME.fullmatch(name):
        raise ArgumentError(
            f"{name!r} is not a valid name: use letters, digits and _ . - / only, "
            "starting with a letter or digit"
        )


def _text(name: object) -> str:
    """A name that is looked up. Raises `ArgumentTypeError` if it is not text."""
    if not isinstance(name, str):
        raise ArgumentTypeError(f"a name is text, got {name!r}")
    return name


class GraphKeys:
    """Names of the standard collections."""

    GLOBAL_VARIABLES = "variables"
    TRAINABLE_VARIABLES = "trainable_variables"
    LOSSES = "losses"
    REGULARIZATION_LOSSES = "regularization_losses"
    UPDATE_OPS = "update_ops"


class Graph:
    """A computation, described before it runs: an append-only list of operations.

    Inside ``with graph.as_default():`` every op adds a node. A `Session` runs them.

    >>> import minigrad as mg
    >>> g = mg.Graph()
    >>> with g.as_default():
    ...     y = mg.constant(2) * 3
    >>> y
    Tensor("Mul:0", shape=(), dtype=int32)
    >>> mg.Session(graph=g).run(y)
    np.int32(6)
    """

    #: The class of this graph's tensors; a subclass may print or compare differently.
    tensor_class: ClassVar[type[SymbolicTensor]] = SymbolicTensor
    #: The graph around it, if it is the body of a branch or loop; see `minigrad.core.body`.
    outer: Graph | None = None
    #: The graph of a traced function that this is, or lies in: it stands for eager code.
    traced: TracedGraph | None = None
    #: The order of effects, in the graph of a traced function and the bodies in it.
    order: EffectOrder | None = None

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"graph_{next(_graph_numbers)}"
        #: Taken while nodes are added.
        self.lock = threading.RLock()
        self._operations: list[Operation] = []
        self._by_name: dict[str, Operation | None] = {}
        #: The nodes in the bodies of branches and loops; they can be neither fed nor fetched.
        self._inner: dict[str, Operation] = {}
        self._name_counts: dict[str, int] = {}
        self._collections: dict[str, list[Any]] = {}
        self._reads: dict[int, list[SymbolicTensor]] = {}
        self._read_names: dict[int, str] = {}
        self._effects: dict[SymbolicTensor, list[Operation]] = {}
        self._finalized = False
        #: Grows when an effect is added, because plans made before do not know of it.
        self.effects_version = 0
        #: Seed of the random ops without one of their own, and how many there are; see mg.random.
        self.seed: int | None = None
        self.random_count = 0

    # -- being the default -----------------------------------------------------------------

    def as_default(self) -> AbstractContextManager[Graph]:
        """A context in which ops add nodes to this graph."""
        return self._as_default()

    @contextmanager
    def _as_default(self) -> Iterator[Graph]:
        scope = STATE.get().scope if STATE.get().graph is self else ""
        with changed(graph=self, scope=scope):
            yield self

    # -- adding nodes ----------------------------------------------------------------------

    def add_operation(
        self,
        primitive: Primitive[..., Any],
        inputs: tuple[SymbolicTensor | None, ...],
        attrs: dict[str, Any],
        specs: tuple[Spec, ...],
        name: str,
        control: tuple[Operation, ...] = (),
    ) -> Operation:
        """Append a node. Ops do this through `bind`; the name must come from `unique_name`.

        Raises:
            FinalizedGraphError: the graph is finalized.
        """
        if self._finalized:
            raise FinalizedGraphError(
                f"{self!r} is finalized and takes no more nodes; {primitive.op} was to be added. "
                "Build everything before finalize(), or before the training loop"
            )
        state = STATE.get()
        op = Operation()
        op.graph = self
        op.primitive = primitive
        op.name = name
        op.attrs = attrs or _NO_ATTRS
        op.inputs = inputs
        op.control_inputs = control
        forward = state.origin
        if forward is not None and forward.graph.root is self.root:
            # A node of another body cannot be named as the forward one, but lends its line.
            op.forward = forward if forward.graph is self else None
            op._code = forward._code
            op._offset = forward._offset
        else:
            op.forward = None
            op._code, op._offset = origin.user_position(3)
        tensor = self.tensor_class
        if len(specs) == 1:
            op.outputs = (tensor(op, 0, specs[0]),)
        else:
            op.outputs = tuple([tensor(op, i, s) for i, s in enumerate(specs)])
        with self.lock:
            op.index = len(self._operations)
            self._by_name[name] = op
            self._operations.append(op)
            if self.order is not None:
                self.order.note(op)
                for tape in state.tapes:
                    tape.nodes.add(op)
        return op

    def unique_name(self, name: str) -> str:
        """`name`, or ``name_1``, ``name_2``, … if it is taken; and take it.

        Raises:
            ArgumentError: it is not a valid name.
        """
        with self.lock:
            taken = self._by_name
            count = self._name_counts.get(name)
            if count is None and name not in taken:
                check_name(name)
                self._name_counts[name] = 1
                taken[name] = None
                return name
            count = count or 1
            while True:
                made = f"{name}_{count}"
                count += 1
                if made not in taken:
                    break
            self._name_counts[name] = count
            taken[made] = None
            return made

    @property
    def root(self) -> Graph:
        """The graph itself; of a body, the outermost graph around it."""
        graph = self
        while graph.outer is not None:
            graph = graph.outer
        return graph

    def lies_in(self, other: Graph) -> bool:
        """Whether this is `other`, or a body within it."""
        graph: Graph | None = self
        while graph is not None and graph is not other:
            graph = graph.outer
        return graph is other

    def bring(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """A tensor as the nodes of this graph may read it: itself, if it belongs here.

        Raises:
            GraphError: it belongs to another graph.
        """
        self.own(tensor)
        return tensor

    def own(self, tensor: SymbolicTensor) -> None:
        """Raise `GraphError` if the tensor belongs to another graph."""
        if tensor.op.graph is not self:
            if tensor.op.graph.outer is not None:
                raise GraphError(
                    f"{tensor!r} is inside the body of a branch or loop, and has no value outside; "
                    "return it from the body, and use what the branch or loop returns"
                )
            raise GraphError(
                f"{tensor!r} belongs to {tensor.op.graph!r}, the other operands to {self!r}; "
                "build both inside the same `with graph.as_default():`"
            )

    def read_node(self, variable: Variable) -> SymbolicTensor:
        """The node that reads a variable: one a graph, and a new one under control dependencies."""
        if variable.graph is not None and variable.graph is not self.root:
            raise GraphError(
                f"variable {variable.name!r} belongs to {variable.graph!r}, not to {self!r}; "
                "make it inside this graph, or in eager code to share it"
            )
        state = STATE.get()
        control = tuple([op for op in state.control if op.graph is self])
        with self.lock:
            reads = self._reads.setdefault(variable._key, [])
            order, cell = self.order, variable.cell.key
            if not control:
                found = (
                    next((t for t in reads if not t.op.control_inputs), None)
                    if order is None
                    else order.reads.get(cell)
                )
                if found is not None:
                    return found
            before = None if order is None else order.writes.get(cell)
            if control or before is not None:
                name = self.unique_name(f"{variable.name}/read")
            elif variable.graph is self:
                name = variable.name
            else:
                name = self.unique_name(self.root._read_names.get(variable._key, variable.name))
            op = self.add_operation(
                primitive_of("VariableV2"),
                (),
                {"variable": variable},
                (variable.spec,),
                name,
                control if before is None else (*control, before),
            )
            reads.append(op.outputs[0])
            if order is not None and not control:
                order.reads[cell] = op.outputs[0]
            return op.outputs[0]

    def name_reads(self, variable: Variable, name: str) -> None:
        """Have an eager variable's read node in this graph called `name`, not as the variable is.

        Names of eager variables need not be unique, so only here it is known which name fits.
        """
        self.root._read_names.setdefault(variable._key, name)

    def reads_of(self, variable: Variable) -> list[SymbolicTensor]:
        """Every node that reads a variable."""
        return list(self._reads.get(variable._key, ()))

    def adopt_read(self, variable: Variable, read: SymbolicTensor) -> None:
        """Count an existing node among those that read a variable."""
        self._reads.setdefault(variable._key, []).append(read)

    def add_effect(self, tensor: SymbolicTensor, op: Operation | SymbolicTensor) -> None:
        """Make every run that computes `tensor` run `op` too, exactly once.

        A run that is fed `tensor` does not; neither do recomputation and gradient checks. Batch
        normalisation updates its averages this way.

        Raises:
            GraphError: one of them belongs to another graph.
        """
        target = op.op if isinstance(op, SymbolicTensor) else op
        for part in (tensor.op, target):
            if part.graph is not self:
                raise GraphError(f"{part!r} belongs to {part.graph!r}, not to {self!r}")
        log = STATE.get().log
        if log is not None and log.replaying:
            return
        if self.traced is not None:
            return  # Each call does all effects of a traced function.
        with self.lock:
            self._effects.setdefault(tensor, []).append(target)
            self.effects_version += 1

    def effects_of(self, tensor: SymbolicTensor) -> Sequence[Operation]:
        """The operations that run whenever `tensor` is computed."""
        return self._effects.get(tensor, ())

    @property
    def has_effects(self) -> bool:
        """Whether any effect was added."""
        return bool(self._effects)

    # -- finding nodes ---------------------------------------------------------------------

    def get_operations(self) -> list[Operation]:
        """All operations, in creation order."""
        with self.lock:
            return list(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def __bool__(self) -> bool:
        return True

    def get_operation_by_name(self, name: str) -> Operation:
        """The operation called `name`. Raises `GraphError` if there is none."""
        found = self._by_name.get(_text(name))
        if found is None:
            raise GraphError(f"{self!r} has no operation called {name!r}{self._why(name)}")
        return found

    def get_tensor_by_name(self, name: str) -> SymbolicTensor:
        """The tensor called ``"operation:output"``. Raises `GraphError` if there is none."""
        base, colon, number = _text(name).rpartition(":")
        if not colon or not number.isdecimal():
            raise GraphError(
                f"{name!r} is not a tensor's name; tensors are called 'operation:output', "
                f"{self._such_as(name)}"
            )
        found = self._by_name.get(base)
        if found is None:
            raise GraphError(
                f"{self!r} has no tensor called {name!r}: there is no operation {base!r}"
                f"{self._why(base)}"
            )
        if int(number) >= len(found.outputs):
            raise GraphError(
                f"{self!r} has no tensor called {name!r}: {base!r} has {len(found.outputs)} outputs"
            )
        return found.outputs[int(number)]

    def _such_as(self, name: str) -> str:
        """What the tensors of an operation are called, or that there is no such operation."""
        op = self._by_name.get(name)
        if op is None:
            return f"and there is no operation {name!r} either{self._why(name)}"
        if not op.outputs:
            return f"and the operation {name!r} has no outputs"
        return f"such as '{name}:0'"

    def _why(self, name: str) -> str:
        """Why there is no such name: it lies in a body; or a hint with names that look like it."""
        if name in self._inner:
            return (
                "; it is inside the body of a branch or loop, where tensors can be neither fed nor "
                "fetched: return it from the body"
            )
        last = name.rpartition("/")[2].lower()
        close = [n for n, op in self._by_name.items() if op is not None and last in n.lower()][:3]
        return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""

    # -- collections -----------------------------------------------------------------------

    def add_to_collection(self, key: str, value: Any) -> None:
        """Append `value` to the collection called `key`."""
        with self.lock:
            self.root._collections.setdefault(key, []).append(value)

    def get_collection(self, key: str, scope: str | None = None) -> list[Any]:
        """A copy of a collection; with `scope`, of members whose names match it at the start."""
        members = list(self.root._collections.get(key, ()))
        if scope is None:
            return members
        pattern = re.compile(scope)
        return [m for m in members if hasattr(m, "name") and pattern.match(m.name)]

    def collections(self) -> dict[str, list[Any]]:
        """A copy of all collections."""
        return {key: list(members) for key, members in self.root._collections.items()}

    # -- finishing -------------------------------------------------------------------------

    def finalize(self) -> None:
        """Refuse every further node, so that a loop cannot grow the graph by mistake."""
        self._finalized = True

    @property
    def finalized(self) -> bool:
        """Whether `finalize` was called."""
        return self._finalized

    def __repr__(self) -> str:
        return f"<minigrad.Graph {self.name!r} with {len(self._operations)} operations>"

    def __str__(self) -> str:
        return listing(self)

    def __reduce__(self) -> NoReturn:
        raise GraphError("a graph cannot be pickled or copied; save it with Graph.to_dict")

    if TYPE_CHECKING:
        # Installed by minigrad.serialize, which knows how attributes are written.
        def to_dict(self) -> dict[str, Any]: ...
        @classmethod
        def from_dict(
            cls, data: dict[str, Any], *, functions: dict[str, Callable[..., Any]] | None = None
        ) -> Graph: ...


def listing(graph: Graph) -> str:
    """One line a node: name, op, inputs, shape, dtype, the user's line."""
    rows = [("name", "op", "inputs", "shape", "dtype", "line")]
    for op in graph.get_operations():
        inputs = [t.name.removesuffix(":0") for t in op.inputs if t is not None]
        inputs += [f"^{c.name}" for c in op.control_inputs]
        shapes = " ".join(show(t.spec.shape) for t in op.visible_outputs) or "-"
        dtypes = " ".join(str(t.spec.dtype) for t in op.visible_outputs) or "-"
        rows.append((op.name, op.type, ", ".join(inputs) or "-", shapes, dtypes, op.line))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([repr(graph), *[line.rstrip() for line in lines]])

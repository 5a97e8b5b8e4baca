"""Graphs: append-only lists of operations, and the symbolic tensors that are their outputs."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from minigrad.core import origin
from minigrad.core.context import STATE, changed, default_graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.registry import primitive_of
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Tensor, symbolic_refusal
from minigrad.dtypes import DType
from minigrad.errors import ArgumentError, ArgumentTypeError, FinalizedGraphError, GraphError
from minigrad.nest import flatten
from minigrad.shapes import Spec, show

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive
    from minigrad.core.variable import Variable

__all__ = [
    "Graph",
    "GraphKeys",
    "Operation",
    "add_to_collection",
    "control_dependencies",
    "executing_eagerly",
    "get_collection",
    "get_default_graph",
    "global_variables",
    "name_scope",
    "reset_default_graph",
    "trainable_variables",
]

_VALID_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_graph_numbers = itertools.count(1)
_NO_ATTRS: dict[str, Any] = {}


class Operation:
    """A node of a graph.

    Attributes:
        graph: the graph it belongs to.
        name: its unique name there.
        inputs: the tensors it reads; None for an optional one left out.
        outputs: the tensors it makes.
        control_inputs: operations that run before it.
        index: its position in the graph; inputs and control inputs have smaller ones.
        attrs: its attributes.
        forward: the operation whose gradient it helps to compute, or None.
    """

    __slots__ = (
        "_code",
        "_offset",
        "attrs",
        "control_inputs",
        "forward",
        "graph",
        "index",
        "inputs",
        "name",
        "outputs",
        "primitive",
    )

    graph: Graph
    primitive: Primitive[..., Any]
    name: str
    attrs: dict[str, Any]
    inputs: tuple[SymbolicTensor | None, ...]
    outputs: tuple[SymbolicTensor, ...]
    control_inputs: tuple[Operation, ...]
    index: int
    forward: Operation | None
    _code: CodeType | str
    _offset: int

    @property
    def type(self) -> str:
        """The op, such as ``"MatMul"``."""
        return self.primitive.op

    @property
    def in_keys(self) -> tuple[SymbolicTensor | None, ...]:
        """The inputs; what the backward walk knows them by."""
        return self.inputs

    @property
    def out_keys(self) -> tuple[SymbolicTensor, ...]:
        """The outputs; what the backward walk knows them by."""
        return self.outputs

    def tensors(self) -> tuple[tuple[Tensor | None, ...], tuple[Tensor, ...]]:
        """Inputs and outputs."""
        return self.inputs, self.outputs

    @property
    def line(self) -> str:
        """Where the user created it, as ``file.py:12``."""
        return origin.describe(self._code, self._offset)

    @property
    def line_in_full(self) -> str:
        """Where the user created it, with the path and the source text."""
        return origin.describe_long(self._code, self._offset)

    def __repr__(self) -> str:
        return f"<minigrad.Operation {self.name!r} type={self.type}>"


class SymbolicTensor(Tensor):
    """One output of an operation of a graph. It has a value only inside a run."""

    __slots__ = ("index", "op", "spec")

    spec: Spec

    def __init__(self, op: Operation, index: int, spec: Spec) -> None:
        #: The operation that makes it.
        self.op = op
        #: Which of the operation's outputs it is.
        self.index = index
        self.spec = spec

    @property
    def name(self) -> str:
        """``"operation:output"``."""
        return f"{self.op.name}:{self.index}"

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        return self.op.graph

    def consumers(self) -> list[Operation]:
        """The operations that read it."""
        later = self.op.graph.get_operations()[self.op.index + 1 :]
        return [op for op in later if any(t is self for t in op.inputs)]

    def __repr__(self) -> str:
        shape = "" if self.spec.shape is None else f"shape={show(self.spec.shape)}, "
        return f'Tensor("{self.name}", {shape}dtype={self.spec.dtype})'

    def __bool__(self) -> NoReturn:
        raise symbolic_refusal(
            "it cannot decide a Python `if`, `while`, `and`, `or` or `not`",
            "use mg.where(condition, a, b), mg.logical_and and kin, or run it in a Session first",
        )

    def __iter__(self) -> NoReturn:
        raise symbolic_refusal(
            "it cannot be iterated over",
            "use mg.unstack(x, axis=0) where the length is known, or ops on the whole tensor",
        )

    def __contains__(self, item: object) -> NoReturn:
        # Python would turn the refusal of __iter__ into "argument is not iterable".
        raise symbolic_refusal(
            "it cannot be searched by `in`", "use mg.any(mg.equal(x, value)), or mg.unstack"
        )

    def __len__(self) -> int:
        shape = self.spec.shape
        if shape and shape[0] is not None:
            return shape[0]
        raise symbolic_refusal("its length is not known", "use mg.shape(x)[0]")

    def _no_number(self, *_: Any) -> NoReturn:
        raise symbolic_refusal(
            "it cannot become a Python number or a NumPy array",
            "run it: mg.Session().run(x)",
        )

    __float__ = __int__ = __complex__ = __index__ = _no_number

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._no_number()

    def numpy(self) -> NoReturn:
        """Refused: a symbolic tensor has no value."""
        self._no_number()

    def __reduce__(self) -> NoReturn:
        raise GraphError(
            "a symbolic tensor cannot be pickled or copied; save the graph: Graph.to_dict"
        )

    def __copy__(self) -> SymbolicTensor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SymbolicTensor:
        return self


def _check_name(name: str) -> None:
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

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"graph_{next(_graph_numbers)}"
        #: Taken while nodes are added.
        self.lock = threading.RLock()
        self._operations: list[Operation] = []
        self._by_name: dict[str, Operation | None] = {}
        self._name_counts: dict[str, int] = {}
        self._collections: dict[str, list[Any]] = {}
        self._reads: dict[int, list[SymbolicTensor]] = {}
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
        if forward is not None and forward.graph is self:
            op.forward = forward
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
                _check_name(name)
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

    def own(self, tensor: SymbolicTensor) -> None:
        """Raise `GraphError` if the tensor belongs to another graph."""
        if tensor.op.graph is not self:
            raise GraphError(
                f"{tensor!r} belongs to {tensor.op.graph!r}, the other operands to {self!r}; "
                "build both inside the same `with graph.as_default():`"
            )

    def read_node(self, variable: Variable) -> SymbolicTensor:
        """The node that reads a variable: one a graph, and a new one under control dependencies."""
        if variable.graph is not None and variable.graph is not self:
            raise GraphError(
                f"variable {variable.name!r} belongs to {variable.graph!r}, not to {self!r}; "
                "make it inside this graph, or in eager code to share it"
            )
        state = STATE.get()
        control = tuple([op for op in state.control if op.graph is self])
        with self.lock:
            reads = self._reads.setdefault(variable._key, [])
            for read in reads:
                if read.op.control_inputs == control:
                    if not control:
                        return read
            if control:
                name = self.unique_name(f"{variable.name}/read")
            elif variable.graph is self:
                name = variable.name
            else:
                name = self.unique_name(variable.name)
            op = self.add_operation(
                primitive_of("VariableV2"),
                (),
                {"variable": variable},
                (variable.spec,),
                name,
                control,
            )
            reads.append(op.outputs[0])
            return op.outputs[0]

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
            raise GraphError(f"{self!r} has no operation called {name!r}{self._similar(name)}")
        return found

    def get_tensor_by_name(self, name: str) -> SymbolicTensor:
        """The tensor called ``"operation:output"``. Raises `GraphError` if there is none."""
        base, colon, number = _text(name).rpartition(":")
        if not colon or not number.isdecimal():
            raise GraphError(
                f"{name!r} is not a tensor's name; tensors are called 'operation:output', "
                f"such as '{name}:0'"
            )
        found = self._by_name.get(base)
        if found is None:
            raise GraphError(
                f"{self!r} has no tensor called {name!r}: there is no operation {base!r}"
                f"{self._similar(base)}"
            )
        if int(number) >= len(found.outputs):
            raise GraphError(
                f"{self!r} has no tensor called {name!r}: {base!r} has {len(found.outputs)} outputs"
            )
        return found.outputs[int(number)]

    def _similar(self, name: str) -> str:
        """A hint with names that look like `name`."""
        last = name.rpartition("/")[2].lower()
        close = [n for n, op in self._by_name.items() if op is not None and last in n.lower()][:3]
        return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""

    # -- collections -----------------------------------------------------------------------

    def add_to_collection(self, key: str, value: Any) -> None:
        """Append `value` to the collection called `key`."""
        with self.lock:
            self._collections.setdefault(key, []).append(value)

    def get_collection(self, key: str, scope: str | None = None) -> list[Any]:
        """A copy of a collection; with `scope`, of members whose names match it at the start."""
        members = list(self._collections.get(key, ()))
        if scope is None:
            return members
        pattern = re.compile(scope)
        return [m for m in members if hasattr(m, "name") and pattern.match(m.name)]

    def collections(self) -> dict[str, list[Any]]:
        """A copy of all collections."""
        return {key: list(members) for key, members in self._collections.items()}

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
        shapes = " ".join(show(t.spec.shape) for t in op.outputs) or "-"
        dtypes = " ".join(str(t.spec.dtype) for t in op.outputs) or "-"
        rows.append((op.name, op.type, ", ".join(inputs) or "-", shapes, dtypes, op.line))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([repr(graph), *[line.rstrip() for line in lines]])


# -- functions on the default graph ----------------------------------------------------------


def get_default_graph() -> Graph:
    """The graph of the innermost ``with graph.as_default():``, or the process-wide default."""
    graph = STATE.get().graph
    if graph is not None:
        return graph
    with default_graph.lock:
        if default_graph.graph is None:
            default_graph.graph = Graph("default")
        return default_graph.graph


def reset_default_graph() -> None:
    """Replace the process-wide default graph by an empty one.

    Raises:
        GraphError: called inside ``with graph.as_default():``.
    """
    if STATE.get().graph is not None:
        raise GraphError("reset_default_graph() cannot be called inside `with graph.as_default():`")
    with default_graph.lock:
        default_graph.graph = None


def executing_eagerly() -> bool:
    """True when ops on concrete tensors compute at once.

    >>> executing_eagerly()
    True
    """
    return STATE.get().graph is None


@contextmanager
def name_scope(name: str | None) -> Iterator[str]:
    """A context whose nodes are called ``name/…``; yields the prefix.

    Inside ``with graph.as_default():`` the name is made unique. A name that ends in "/" re-enters
    that scope; None or "" leaves all scopes.

    Raises:
        ArgumentTypeError: `name` is not text.
        ArgumentError: it is not a valid name.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default(), mg.name_scope("layer"):
    ...     mg.constant(1).name
    'layer/Const:0'
    """
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError(f"name_scope takes text or None, got {name!r}")
    state = STATE.get()
    if not name:
        scope = ""
    elif name.endswith("/"):
        scope = name
    elif state.graph is not None:
        scope = state.graph.unique_name(state.scope + name) + "/"
    else:
        # Eager code may pass here any number of times, so nothing is written down.
        _check_name(name)
        scope = f"{state.scope}{name}/"
    with changed(scope=scope):
        yield scope


@contextmanager
def control_dependencies(
    inputs: Iterable[Operation | Tensor | Variable] | None,
) -> Iterator[None]:
    """A context whose new nodes run after `inputs`; None drops the dependencies of outer contexts.

    Args:
        inputs: operations and symbolic tensors; a variable stands for its read node.

    Raises:
        ArgumentTypeError: one of them is none of these.
    """
    if inputs is None:
        with changed(control=()):
            yield
        return
    state = STATE.get()
    operations = list(state.control)
    for item in inputs:
        if isinstance(item, StateOwner):
            graph = graph_of(item) or state.graph
            if graph is None:
                continue  # Eager code has its value already.
            item = graph.read_node(cast("Variable", item))
        op = item.op if isinstance(item, SymbolicTensor) else item
        if isinstance(op, Tensor):
            continue  # A concrete tensor has been computed already.
        if not isinstance(op, Operation):
            raise ArgumentTypeError(
                f"control_dependencies takes operations and tensors, got {item!r}"
            )
        if op not in operations:
            operations.append(op)
    with changed(control=tuple(operations)):
        yield


def graph_of_arguments(args: Iterable[Any], kwargs: dict[str, Any]) -> Graph | None:
    """The graph of the first symbolic tensor or graph-owned variable among some arguments."""
    for item in flatten([*args, *kwargs.values()]):
        found = graph_of(item)
        if found is not None:
            return found
    return None


def graph_of(item: Any) -> Graph | None:
    """The graph that an operand belongs to: a symbolic tensor's, or a graph-owned variable's.

    Of a list, and of sparse rows, that of the first part that has one.
    """
    if isinstance(item, SymbolicTensor):
        return item.op.graph
    if isinstance(item, IndexedSlices):
        return graph_of([item.values, item.indices, item.like])
    if isinstance(item, list | tuple):
        stack = list(item)
        while stack:
            part = stack.pop()
            if isinstance(part, list | tuple):
                stack.extend(part)
            elif isinstance(part, Tensor | StateOwner):
                graph = graph_of(part)
                if graph is not None:
                    return graph
        return None
    graph = getattr(item, "graph", None)
    return graph if isinstance(graph, Graph) else None


def add_to_collection(key: str, value: Any) -> None:
    """Append `value` to a collection of the default graph."""
    get_default_graph().add_to_collection(key, value)


def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """A copy of a collection of the default graph."""
    return get_default_graph().get_collection(key, scope)


def global_variables(scope: str | None = None) -> list[Variable]:
    """The variables that belong to the default graph."""
    return get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """The trainable variables that belong to the default graph."""
    return get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def spec_dtype(tensor: Tensor) -> DType:
    """The dtype of a tensor."""
    return tensor.spec.dtype

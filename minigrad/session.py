"""`Session`: runs graphs, and holds the values of their variables."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal

import numpy as np

from minigrad.core.context import STATE, State
from minigrad.core.graph import Graph, Operation, SymbolicTensor, get_default_graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.state import EAGER, Cell, Slot, Store, Transaction, hold, write_all
from minigrad.core.tensor import Array, ConcreteTensor, Ghost
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentError,
    FailedPreconditionError,
    FeedError,
    FetchError,
    FetchTypeError,
    GraphError,
    StateError,
)
from minigrad.executor import reference
from minigrad.executor.plan import Plan
from minigrad.feeds import feed_key, feed_value
from minigrad.nest import flatten, unflatten

__all__ = ["Session", "get_default_session"]

_default_session: ContextVar[Session | None] = ContextVar("minigrad.session", default=None)
#: How often a graph may have grown between two runs before the session warns.
_GROWTHS = 50


class Session:
    """Runs parts of a graph, and holds the values of the variables that belong to it.

    A run is a transaction: reads see the values from its start, unless a control dependency
    orders them after an assignment, and all assignments show together at its end, or none if it
    fails. Many threads may run one session at once.

    Args:
        graph: the graph; by default the default graph.
        executor: ``"reference"``, which computes node by node.
        check_numerics: stop at the first node that makes a NaN or an infinity, and name it.

    Used as a context manager it makes its graph the default, and closes at the end.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("int64", ())
    ...     with mg.Session() as sess:
    ...         sess.run(2 * x, {x: 3})
    np.int64(6)
    """

    def __init__(
        self,
        graph: Graph | None = None,
        *,
        executor: Literal["reference"] = "reference",
        check_numerics: bool = False,
    ) -> None:
        if executor != "reference":
            raise ArgumentError(f"executor must be 'reference', got {executor!r}")
        self.graph = graph or get_default_graph()
        self.executor = executor
        self.check_numerics = check_numerics
        self._store = Store()
        self._plans: dict[tuple[Any, ...], tuple[Plan, Any]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._tokens: list[tuple[Token[State], Token[Session | None]]] = []
        self._seen_nodes = -1
        self._growths = 0

    # -- life ------------------------------------------------------------------------------

    def __enter__(self) -> Session:
        self._check_open()
        state = STATE.get()
        if state.graph is not self.graph:
            state = state.replace(graph=self.graph, scope="", control=())
        self._tokens.append((STATE.set(state), _default_session.set(self)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        state, session = self._tokens.pop()
        _default_session.reset(session)
        STATE.reset(state)
        self.close()

    def close(self) -> None:
        """Free the variables' values; a run after this, or at this moment, raises `StateError`."""
        self._closed = True
        self._plans.clear()
        self._store = Store()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("this session is closed; make a new one with mg.Session()")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<minigrad.Session of {self.graph!r}, {state}>"

    # -- running ---------------------------------------------------------------------------

    def run(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """Compute `fetches`, with the values of some tensors given.

        Args:
            fetches: a tensor (gives its value), an operation (is run, gives None), a variable
                (gives its value after the run), a name of one, or any nest of these.
            feed_dict: values by tensor, variable or name. Any tensor may be fed, not only
                placeholders. Numbers and lists take the tensor's dtype; arrays convert within
                their kind (float64 to float32, not float to int).

        Returns:
            A nest like `fetches`: arrays of the caller's own, NumPy scalars for 0-d ones.

        Raises:
            FeedError: a feed is missing, unknown, or has the wrong shape or dtype.
            FetchError: a fetch is of a wrong type or does not exist.
            FailedPreconditionError: a variable was not initialized.
            StateError: the session is closed.
            MinigradError: a node failed; the message names it and the line that made it.
        """
        self._check_open()
        feeds = self._convert_feeds(feed_dict) if feed_dict else {}
        plan, leaves = self._plan(fetches, tuple(feeds))
        results = self._run(plan, leaves, feeds)
        return results[0] if leaves.is_single else unflatten(fetches, results)

    def make_callable(self, fetches: Any, feed_list: Sequence[Any] = ()) -> Callable[..., Any]:
        """A function that computes `fetches` for values of `feed_list`, given in that order.

        It does the look-ups of `run` once instead of in every call.

        >>> import minigrad as mg
        >>> with mg.Graph().as_default():
        ...     x = mg.placeholder("float32", ())
        ...     double = mg.Session().make_callable(x * 2, [x])
        >>> double(4.0)
        np.float32(8.0)
        """
        self._check_open()
        keys = [feed_key(self.graph, key) for key in feed_list]
        if len(set(keys)) != len(keys):
            raise FeedError("feed_list names a tensor twice")
        plan, leaves = self._plan(fetches, tuple(keys))

        def call(*values: Any) -> Any:
            if len(values) != len(keys):
                raise FeedError(f"expected {len(keys)} values to feed, got {len(values)}")
            self._check_open()
            feeds = {k: feed_value(k, v) for k, v in zip(keys, values, strict=True)}
            results = self._run(plan, leaves, feeds)
            return results[0] if leaves.is_single else unflatten(fetches, results)

        return call

    def value_of(self, variable: Variable) -> Array:
        """A copy of a variable's value in this session.

        Raises:
            FailedPreconditionError: its initializer has not been run.
        """
        self._check_open()
        return np.array(self._value(variable, Transaction([self.slot(variable.cell)])))

    def load(self, variable: Variable, value: Any) -> None:
        """Set a variable's value in this session, without any node in the graph.

        Raises:
            FeedError: the value does not have the variable's shape and dtype.
        """
        self._check_open()
        self.load_all({variable: value})

    def load_all(self, values: Mapping[Variable, Any]) -> None:
        """Set several variables' values in this session, all at once.

        Raises:
            FeedError: a value does not have its variable's shape and dtype; nothing is set then.
        """
        self._check_open()
        arrays = {v: np.array(feed_value(v, value)) for v, value in values.items()}
        write_all([self.slot(v.cell) for v in arrays], list(arrays.values()))

    # -- the parts of a run ----------------------------------------------------------------

    def _convert_feeds(self, feed_dict: Mapping[Any, Any]) -> dict[SymbolicTensor, Array]:
        feeds: dict[SymbolicTensor, Array] = {}
        for key, value in feed_dict.items():
            tensor = feed_key(self.graph, key)
            if tensor in feeds:
                raise FeedError(f"{tensor.name!r} is fed twice")
            feeds[tensor] = feed_value(tensor, value)
        return feeds

    def _plan(self, fetches: Any, feeds: tuple[SymbolicTensor, ...]) -> tuple[Plan, _Leaves]:
        """The plan for these fetches and feeds; made once."""
        graph = self.graph
        items = flatten(fetches)
        single = len(items) == 1 and items[0] is fetches
        key = (
            tuple([item if isinstance(item, str) else id(item) for item in items]),
            tuple([id(t) for t in feeds]),
            single,
            graph.effects_version,
        )
        found = self._plans.get(key)
        if found is None:
            with graph.lock:
                leaves = _Leaves(graph, items, single)
                plan = Plan(graph, leaves.tensors, leaves.operations, feeds, leaves.variables)
            found = self._plans[key] = (plan, leaves)
            self._notice_growth()
        return found

    def _notice_growth(self) -> None:
        """Warn, once, when the graph grows from run to run, as it does by mistake in a loop."""
        nodes = len(self.graph)
        if self._seen_nodes not in (-1, nodes):
            self._growths += 1
            if self._growths == _GROWTHS:
                warnings.warn(
                    f"{self.graph!r} has grown between {_GROWTHS} runs of this session; build "
                    "all nodes before the loop. graph.finalize() turns this into an error",
                    RuntimeWarning,
                    stacklevel=4,
                )
        self._seen_nodes = nodes

    def slot(self, cell: Cell) -> Slot:
        """The cell in the store that this session uses for it."""
        if cell.graph is None:
            return Slot(cell, EAGER)
        if cell.graph is not self.graph:
            raise GraphError(f"{cell.label} belongs to {cell.graph!r}, not to {self.graph!r}")
        return Slot(cell, self._store)

    def _run(self, plan: Plan, leaves: _Leaves, feeds: dict[SymbolicTensor, Array]) -> list[Any]:
        """Run a plan as a transaction; the caller's own copies of the results."""
        if plan.unfed is not None:
            raise FeedError(missing_feed(plan.unfed))
        slots = [self.slot(cell) for cell in plan.cells.values()]
        if not plan.written:
            transaction = Transaction(slots)
            values = self._execute(plan, feeds, transaction)
            return self._results(leaves, values, transaction)
        guard = threading.Lock()
        # Unlocking the guard releases everything held, and `with` cannot lose it to a signal.
        with guard:
            hold([self.slot(cell) for cell in plan.written.values()], guard)
            transaction = Transaction(slots)
            values = self._execute(plan, feeds, transaction)
            results = self._results(leaves, values, transaction)
            if self._closed:
                raise StateError("the session was closed during this run; nothing was assigned")
            transaction.commit()
        return results

    def _execute(
        self, plan: Plan, feeds: dict[SymbolicTensor, Array], transaction: Transaction
    ) -> list[Array]:
        return reference.execute(plan, feeds, transaction, check_numerics=self.check_numerics)

    def _value(self, variable: Variable, transaction: Transaction) -> Array:
        value: Array | None = transaction.read(variable.cell)
        if value is None:
            raise FailedPreconditionError(
                f"variable {variable.name!r} was used before it was initialized; run "
                "mg.global_variables_initializer() in this session first"
            )
        return value

    def _results(self, leaves: _Leaves, values: list[Array], transaction: Transaction) -> list[Any]:
        """What each fetch returns, as copies that nothing else refers to."""
        by_tensor = dict(zip(leaves.tensors, values, strict=True))
        return [leaf(self, by_tensor, transaction) for leaf in leaves.readers]


def missing_feed(op: Operation) -> str:
    """The message for a placeholder that a run needs and was not fed."""
    (tensor,) = op.outputs
    return (
        f"placeholder {op.name!r} was not fed: this run needs a value for {tensor!r}; "
        f"pass feed_dict={{{op.name}: …}} (made at {op.line_in_full})"
    )


def own_copy(value: Array) -> Any:
    """A value as a fetch returns it: the caller's own array, or a scalar."""
    if value.ndim:
        return np.array(value)
    return value[()]


class _Leaves:
    """What the leaves of a fetch nest need from the graph, and how each makes its result."""

    __slots__ = ("_seen", "is_single", "items", "operations", "readers", "tensors", "variables")

    def __init__(self, graph: Graph, items: list[Any], single: bool) -> None:
        self.is_single = single
        #: Kept alive, because plans are cached by identity.
        self.items = items
        self.tensors: list[SymbolicTensor] = []
        self._seen: set[SymbolicTensor] = set()
        self.operations: list[Operation] = []
        self.variables: list[Variable] = []
        self.readers = [self._reader(graph, item) for item in items]

    def _reader(self, graph: Graph, item: Any) -> Callable[..., Any]:
        if isinstance(item, str):
            item = _named(graph, item)
        if isinstance(item, SymbolicTensor):
            return self._tensor(graph, item)
        if isinstance(item, Operation):
            if item.graph is not graph:
                raise FetchError(f"{item!r} belongs to {item.graph!r}, the session to {graph!r}")
            self.operations.append(item)
            return lambda session, values, transaction: None
        if isinstance(item, Variable):
            if item.graph not in (None, graph):
                raise FetchError(f"{item!r} belongs to {item.graph!r}, the session to {graph!r}")
            self.variables.append(item)
            return lambda session, values, transaction: own_copy(session._value(item, transaction))
        if isinstance(item, IndexedSlices):
            return self._slices(graph, item)
        if isinstance(item, ConcreteTensor):
            raise FetchTypeError(f"{item!r} is concrete and has its value already; it needs no run")
        raise FetchTypeError(
            f"cannot fetch {item!r} ({type(item).__name__}); expected a tensor, an operation, a "
            "variable, a name, or a list, tuple, dict or dataclass of these"
        )

    def _tensor(self, graph: Graph, tensor: SymbolicTensor) -> Callable[..., Any]:
        if tensor.graph is not graph:
            raise FetchError(f"{tensor!r} belongs to {tensor.graph!r}, the session to {graph!r}")
        if tensor not in self._seen:
            self._seen.add(tensor)
            self.tensors.append(tensor)
        return lambda session, values, transaction: own_copy(values[tensor])

    def _slices(self, graph: Graph, slices: IndexedSlices) -> Callable[..., Any]:
        parts = [slices.values, slices.indices, slices.like]
        rows, indices, like = [
            self._tensor(graph, t) if isinstance(t, SymbolicTensor) else _constantly(t)
            for t in parts
        ]

        def read(*run: Any) -> IndexedSlices:
            shape = np.shape(like(*run))
            dense = Ghost(slices.spec._replace(shape=shape), "IndexedSlices")
            return IndexedSlices(
                ConcreteTensor(np.asarray(rows(*run))),
                ConcreteTensor(np.asarray(indices(*run))),
                dense,
            )

        return read


def _constantly(value: Any) -> Callable[..., Any]:
    return lambda session, values, transaction: np.asarray(value)


def _named(graph: Graph, name: str) -> SymbolicTensor | Operation:
    """The tensor (``"x:0"``) or operation (``"x"``) of a name."""
    try:
        if ":" in name:
            return graph.get_tensor_by_name(name)
        return graph.get_operation_by_name(name)
    except GraphError as error:
        raise FetchError(f"cannot fetch {name!r}: {error}") from None


def get_default_session() -> Session | None:
    """The session of the innermost ``with session:`` block, or None."""
    return _default_session.get()

"""`Session`: runs graphs, and holds the values of their variables."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from operator import is_
from types import TracebackType
from typing import Any, Literal, NoReturn

import numpy as np

from minigrad.core.context import STATE, State
from minigrad.core.current_graph import get_default_graph
from minigrad.core.graph import Graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.state import EAGER, Cell, Slot, Store, Transaction, write_all
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentTypeError,
    FeedError,
    GraphError,
    StateError,
)
from minigrad.executor.plan import Plan
from minigrad.executor.reference import Way
from minigrad.feeds import convert_feeds, fed_tensors, feed_value, missing_feed
from minigrad.fetches import Fetches
from minigrad.nest import flatten, packer
from minigrad.ops.state_ops import current
from minigrad.running import Executor, Running

__all__ = ["Session", "get_default_session"]

_default_session: ContextVar[Session | None] = ContextVar("minigrad.session", default=None)
#: How many kinds of runs a session keeps the plans of; the one unused for longest goes first.
MOST_PLANS = 256
#: How often a graph may have grown between two runs before the session warns.
_GROWTHS = 50


class Session:
    """Runs parts of a graph, and holds the values of the variables that belong to it.

    A run is a transaction: reads see the values from its start, unless a control dependency
    orders them after an assignment, and all assignments show together at its end, or none if it
    fails. Many threads may run one session at once.

    Args:
        graph: the graph; by default the default graph.
        executor: ``"native"``, which compiles what it runs (needs the extra ``jit``);
            ``"numpy"``, which does so as far as NumPy goes; or ``"reference"``, which computes node
            by node with the plainest kernels: the first thing to try when a result looks odd.
            By default the fastest that is there.
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
        executor: Literal["native", "numpy", "reference"] | None = None,
        check_numerics: bool = False,
    ) -> None:
        if graph is not None and not isinstance(graph, Graph):
            raise ArgumentTypeError(f"a session runs a Graph, got {graph!r}")
        self.graph = graph or get_default_graph()
        self._executor = Executor(executor, check_numerics=check_numerics)
        self.executor = self._executor.name
        self._store = Store()
        self._plans: OrderedDict[tuple[Any, ...], tuple[Running, Fetches]] = OrderedDict()
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

    def __reduce__(self) -> NoReturn:
        raise StateError(
            "a session cannot be pickled or copied; mg.save writes its variables to a file"
        )

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
                placeholders; feeding a variable feeds all that read it. Numbers and lists take
                the tensor's dtype; arrays convert within their kind (float64 to float32, not
                float to int).

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
        feeds = {} if feed_dict is None else convert_feeds(self.graph, feed_dict)
        running, leaves = self._plan(fetches, tuple(feeds))
        return leaves.pack(fetches, self._run(running, leaves, list(feeds.values())))

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
        groups = [fed_tensors(self.graph, key) for key in feed_list]
        keys = tuple([tensor for group in groups for tensor in group])
        if len(set(keys)) != len(keys):
            raise FeedError("feed_list names a tensor twice")
        compiled = (self.graph.effects_version, *self._plan(fetches, keys))
        graph = self.graph
        pack = packer(fetches)
        #: Whether a call's values are the feeds, one by one.
        plain = compiled[2].is_plain and all(len(group) == 1 for group in groups)

        def call(*values: Any) -> Any:
            nonlocal compiled
            if len(values) != len(groups):
                raise FeedError(f"expected {len(groups)} values to feed, got {len(values)}")
            if self._closed:
                self._check_open()
            if compiled[0] != graph.effects_version:
                compiled = (self.graph.effects_version, *self._plan(fetches, keys))
            _, running, leaves = compiled
            if plain:
                found = running.direct(values, self._check_unclosed)
                if found is not None:
                    return pack(leaves.results(found))
            arrays = [feed_value(t, v) for g, v in zip(groups, values, strict=True) for t in g]
            return pack(self._run(running, leaves, arrays))

        return call

    def value_of(self, variable: Variable) -> Array:
        """A copy of a variable's value in this session.

        Raises:
            FailedPreconditionError: its initializer has not been run.
        """
        self._check_open()
        return np.array(current(Transaction([self.slot(variable.cell)]), variable))

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

    def stats(self) -> dict[str, Any]:
        """What this session's plans are, and what compiling them has cost and brought.

        Returns:
            ``plans``: kinds of runs, each with its fetches and feeds; ``compiled``: programs
            compiled, one for each combination of shapes; ``evicted``: plans and programs dropped
            for others;
            ``hits``: runs of a program that was there; ``unplanned``: runs that were computed node
            by node; ``seconds``: spent on compiling.

        >>> import minigrad as mg
        >>> with mg.Graph().as_default():
        ...     x = mg.placeholder("float32", (None,))
        ...     y = x * 2.0
        ...     sess = mg.Session()
        >>> for n in (3, 3, 2):
        ...     _ = sess.run(y, {x: [1.0] * n})
        >>> sorted(sess.stats())
        ['compiled', 'evicted', 'hits', 'plans', 'seconds', 'unplanned']
        """
        return {"plans": len(self._plans), **dataclasses.asdict(self._executor.stats)}

    @property
    def way(self) -> Way:
        """How kernels are run that are not compiled."""
        return self._executor.way

    # -- the parts of a run ----------------------------------------------------------------

    def _plan(self, fetches: Any, feeds: tuple[SymbolicTensor, ...]) -> tuple[Running, Fetches]:
        """The plan for these fetches and feeds; made once."""
        graph = self.graph
        items = flatten(fetches)
        single = len(items) == 1 and items[0] is fetches
        flat = type(fetches) if type(fetches) in (list, tuple) else None
        if flat is not None and (len(fetches) != len(items) or not all(map(is_, fetches, items))):
            flat = None
        key = (
            flat,
            tuple([item if isinstance(item, str) else id(item) for item in items]),
            tuple([id(t) for t in feeds]),
            single,
            graph.effects_version,
        )
        plans = self._plans
        found = plans.get(key)
        if found is None:
            with graph.lock:
                leaves = Fetches(graph, items, single, flat)
                plan = Plan(graph, leaves.tensors, leaves.operations, feeds, leaves.variables)
            found = plans[key] = (self._executor.running(plan, self.slot), leaves)
            self._notice_growth()
            while len(plans) > MOST_PLANS:
                # Another thread may be doing the same.
                with contextlib.suppress(KeyError):
                    plans.popitem(last=False)
                    self._executor.stats.evicted += 1
        else:
            try:
                plans.move_to_end(key)
            except KeyError:  # Another thread has evicted it.
                plans[key] = found
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

    def _run(self, running: Running, leaves: Fetches, arrays: list[Array]) -> list[Any]:
        """Run a plan as a transaction; the caller's own copies of the results."""
        unfed = running.plan.unfed
        if unfed is not None:
            raise FeedError(missing_feed(unfed))

        def finish(values: list[Array], transaction: Transaction) -> list[Any]:
            own = running.compiled is not None and leaves.is_plain
            results = leaves.results(values) if own else leaves.read(values, transaction)
            self._check_unclosed()
            return results

        return running(arrays, finish)

    def _check_unclosed(self) -> None:
        """Called at the end of a run, before it is committed."""
        if self._closed:
            raise StateError("the session was closed during this run; nothing was assigned")


def get_default_session() -> Session | None:
    """The session of the innermost ``with session:`` block, or None."""
    return _default_session.get()

"""Running a plan as a transaction: the one place where sessions and functions run anything."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from minigrad.compile import backends
from minigrad.compile.stats import Stats
from minigrad.core.state import Cell, Places, Slot, Store, Transaction
from minigrad.core.tensor import Array
from minigrad.executor import reference
from minigrad.executor.plan import Plan
from minigrad.executor.reference import Way

if TYPE_CHECKING:
    from minigrad.compile.compiled import Code, Compiled

R = TypeVar("R")

#: The transaction of runs that touch no state.
_STATELESS = Transaction(())


class Executor:
    """How plans are run, and what that has cost so far.

    Args:
        name: ``"native"``, ``"numpy"``, ``"reference"``, or None for the fastest that there is.
        check_numerics: whether to stop at the first node that makes a NaN or an infinity.

    Raises:
        ArgumentError: there is none of this name here.
    """

    def __init__(self, name: str | None, *, check_numerics: bool = False) -> None:
        self.name = backends.choose(name)
        self.way = Way(self.name == "reference", check_numerics)
        self.stats = Stats()

    def running(self, plan: Plan, slot: Callable[[Cell], Slot]) -> Running:
        """What runs a plan: node by node where every node is to be looked at."""
        if self.name == "reference" or self.way.check_numerics:
            return Running(plan, slot, self.way)
        return Running(plan, slot, self.way, backends.compiled(plan, self.name, self.stats))


class Running:
    """A plan with the stores that its state lies in, prepared so that a run does little else.

    Many threads may run one at once.

    Args:
        plan: what to run.
        slot: from a cell of the plan to the place of its value.
        way: how to run.
        compiled: the plan as compiled code, or None: then it is run node by node.
    """

    __slots__ = ("_direct", "_places", "_slot", "_written", "compiled", "plan", "way")

    def __init__(
        self,
        plan: Plan,
        slot: Callable[[Cell], Slot],
        way: Way,
        compiled: Compiled | None = None,
    ) -> None:
        self.plan = plan
        self.way = way
        self.compiled = compiled
        self._slot = slot
        cells = plan.cells.values()
        self._places = Places([slot(cell) for cell in cells]) if cells else None
        written = [slot(cell) for cell in plan.written.values()]
        self._written = Places(written) if written else None
        self._direct: Direct | None = None

    def __call__(
        self, arrays: Sequence[Array], finish: Callable[[list[Array], Transaction], R]
    ) -> R:
        """Run the plan once.

        Args:
            arrays: the values of the plan's feeds, in their order, of fitting shapes and dtypes.
                They are not written to.
            finish: from the values of the plan's fetches to the result; compiled code has made
                them for it alone, else they may share memory with feeds, constants and state. It
                is called before anything is committed: if it raises, nothing changes.

        Raises:
            MinigradError: a node failed; the message names it and the user's line.
        """
        if self._places is None:
            return finish(self._execute(arrays, _STATELESS), _STATELESS)
        if self._written is None:
            transaction = Transaction(self._places)
            return finish(self._execute(arrays, transaction), transaction)
        guard = threading.Lock()
        # Unlocking the guard releases everything held, and `with` cannot lose it to a signal.
        with guard:
            self._written.hold(guard)
            transaction = Transaction(self._places)
            result = finish(self._execute(arrays, transaction), transaction)
            transaction.commit()
        return result

    def _execute(self, arrays: Sequence[Array], transaction: Transaction) -> list[Array]:
        if self.compiled is not None:
            return self.compiled.run(arrays, transaction, self.way)
        feeds = dict(zip(self.plan.feeds, arrays, strict=True))
        return reference.execute(self.plan, feeds, transaction, self.way)

    def direct(self, values: Sequence[Any], allowed: Callable[[], object]) -> list[Any] | None:
        """Run the plan by one native function, if that can be.

        Args:
            values: what the caller feeds, one for each of the plan's feeds, not looked at yet.
            allowed: called before anything is committed; may raise.

        Returns:
            The values of the plan's fetches, the caller's own; or None: nothing was done, and the
            run has to be made by calling this object with checked arrays.
        """
        if self.compiled is None:
            return None
        code = self.compiled.last()
        if code is None:
            return None
        direct = self._direct
        if direct is None or direct.code is not code:
            direct = self._direct = Direct(self.plan, code, self._slot)
        stats = self.compiled.stats
        if self._written is None:
            results = direct.compute(values)
            if results is None:
                return None
            stats.hits += 1
            return [results[at] for at in code.fetched]
        guard = threading.Lock()
        with guard:
            self._written.hold(guard)
            results = direct.compute(values)
            if results is None:
                return None
            fetched = [results[at] for at in code.fetched]
            allowed()
            direct.commit(results)
        stats.hits += 1
        return fetched


class Direct:
    """What is known beforehand of the runs of one code: where its variables are."""

    __slots__ = ("_keys", "_maps", "_one", "_targets", "code")

    def __init__(self, plan: Plan, code: Code, slot: Callable[[Cell], Slot]) -> None:
        self.code = code
        self._keys = list(code.program.cells)
        self._maps = [slot(plan.cells[key]).store.values for key in self._keys]
        stores: dict[Store, tuple[list[int], list[int]]] = {}
        for key, at in code.written:
            keys, places = stores.setdefault(slot(plan.cells[key]).store, ([], []))
            keys.append(key)
            places.append(at)
        self._targets = [(store.values, *found) for store, found in stores.items()]
        #: The usual case: one store, and the arrays for it side by side.
        self._one: tuple[dict[int, Any], list[int], slice] | None = None
        if len(self._targets) == 1:
            values, keys, places = self._targets[0]
            if places == list(range(places[0], places[0] + len(places))):
                self._one = (values, keys, slice(places[0], places[0] + len(places)))

    def compute(self, values: Sequence[Any]) -> list[Any] | None:
        """The arrays of a run; None if it cannot be made this way."""
        if not self._keys:
            return self.code.direct(values, ())
        # One call that stays in C: no other run can commit between two of these reads.
        return self.code.direct(values, list(map(dict.get, self._maps, self._keys)))

    def commit(self, arrays: list[Any]) -> None:
        """Make what was assigned visible, all at once."""
        if self._one is not None:
            values, keys, places = self._one
            # One call that stays in C: neither a signal nor another thread sees half of it.
            values.update(zip(keys, arrays[places], strict=True))
            return
        targets = [target for target, _, _ in self._targets]
        updates = [
            dict(zip(keys, [arrays[at] for at in places], strict=True))
            for _, keys, places in self._targets
        ]
        # The consuming deque calls dict.update from C for every store: one indivisible step.
        deque(map(dict.update, targets, updates), maxlen=0)

"""Running a plan as a transaction: the one place where sessions and functions run anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from minigrad.core.state import Cell, Places, Slot, Transaction
from minigrad.core.tensor import Array
from minigrad.executor import reference
from minigrad.executor.plan import Plan
from minigrad.executor.reference import Way

if TYPE_CHECKING:
    from minigrad.compile.compiled import Compiled

R = TypeVar("R")


class Running:
    """A plan with the stores that its state lies in, prepared so that a run does little else.

    Many threads may run one at once.

    Args:
        plan: what to run.
        slot: from a cell of the plan to the place of its value.
        way: how to run.
        compiled: the plan as compiled code, or None: then it is run node by node.
    """

    __slots__ = ("_places", "_written", "compiled", "plan", "way")

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
        self._places = Places([slot(cell) for cell in plan.cells.values()])
        written = [slot(cell) for cell in plan.written.values()]
        self._written = Places(written) if written else None

    def __call__(
        self, arrays: Sequence[Array], finish: Callable[[list[Array], Transaction], R]
    ) -> R:
        """Run the plan once.

        Args:
            arrays: the values of the plan's feeds, in their order, of fitting shapes and dtypes.
                They are not written to.
            finish: from the values of the plan's fetches, which may share memory with feeds,
                constants and state, to the result. It is called before anything is committed: if
                it raises, nothing changes.

        Raises:
            MinigradError: a node failed; the message names it and the user's line.
        """
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
            return self.compiled.run(arrays, transaction, self.way)[0]
        feeds = dict(zip(self.plan.feeds, arrays, strict=True))
        return reference.execute(self.plan, feeds, transaction, self.way)

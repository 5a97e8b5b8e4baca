"""Where variables and random generators keep their values, and how a run changes them.

Every place for state is a `Cell`; its values lie in a `Store`: one for eager code, shared by all,
and one for each session. A `Transaction` reads a consistent snapshot, stages writes, and commits
them in one step that neither a signal nor another thread can see half done. That rests on three
facts of CPython: signal handlers and other threads run only between bytecodes; a call that stays
in C with integer keys executes no bytecode; and ``with lock:`` cannot lose a lock to a signal.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.errors import StateError

if TYPE_CHECKING:
    from minigrad.core.graph import Graph
    from minigrad.core.rules import Effect

_cell_keys = itertools.count(1)


class Cell:
    """A place that holds one value in each store: a variable's array, a generator's counter."""

    __slots__ = ("graph", "key", "label")

    def __init__(self, label: str, graph: Graph | None) -> None:
        #: Creation order, and the key in stores; an int, because hashing one runs no Python code.
        self.key = next(_cell_keys)
        #: The owning graph, whose sessions hold a value each; None for eager state.
        self.graph = graph
        self.label = label


class StateOwner:
    """Base of what owns a cell. An attribute of this type makes an op's effect its."""

    __slots__ = ()
    cell: Cell


class StateUser:
    """Base of an attribute that holds ops with state of their own: the body of a branch or loop."""

    #: The cells that its ops read or write, those that they write, and the most that they do.
    cells: tuple[Cell, ...] = ()
    written: tuple[Cell, ...] = ()
    effect: Effect = "pure"


class Holder:
    """A run that writes: its guard, locked as long as it lasts, and its thread."""

    __slots__ = ("guard", "thread")

    def __init__(self, guard: threading.Lock) -> None:
        self.guard = guard
        self.thread = threading.get_ident()


class Store:
    """Values by cell key, and who may write them at the moment."""

    __slots__ = ("__weakref__", "holders", "values")

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        #: Cell key -> the run that writes it. It counts while the run's guard is locked; an entry
        #: whose guard is free is left over and may be replaced.
        self.holders: dict[int, Holder] = {}

    def forget(self, key: int) -> None:
        """Drop all that is known of a cell whose owner is gone."""
        self.values.pop(key, None)
        self.holders.pop(key, None)


#: The values of eager variables and generators, seen by eager code and by every session.
EAGER = Store()

_table_lock = threading.Lock()


class Slot:
    """A cell in the store that a run uses for it."""

    __slots__ = ("cell", "store")

    def __init__(self, cell: Cell, store: Store) -> None:
        self.cell = cell
        self.store = store


class Places:
    """The cells of a run in the stores that it uses for them, prepared for any number of runs."""

    __slots__ = ("_groups", "_slots", "keys", "maps", "stores")

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self.keys = [slot.cell.key for slot in slots]
        self.maps = [slot.store.values for slot in slots]
        self.stores = dict(zip(self.keys, [slot.store for slot in slots], strict=True))
        groups: dict[Store, list[int]] = {}
        for key, store in self.stores.items():
            groups.setdefault(store, []).append(key)
        self._groups = list(groups.items())

    def hold(self, guard: threading.Lock) -> None:
        """Make the run whose (locked) `guard` this is the only writer; see `hold`."""
        mine = Holder(guard)
        while True:
            with _table_lock:
                other = self._holder()
                if other is None:
                    for store, keys in self._groups:
                        store.holders.update(dict.fromkeys(keys, mine))
                    return
            if other.thread == mine.thread:
                label = next(
                    slot.cell.label
                    for slot in self._slots
                    if slot.store.holders.get(slot.cell.key) is other
                )
                raise StateError(
                    f"a nested run writes {label}, which the run around it writes too; "
                    "let the outer run do both, or run the inner one after it"
                )
            with other.guard:
                pass

    def _holder(self) -> Holder | None:
        """A run that holds one of the cells at the moment."""
        for store, keys in self._groups:
            # Mostly there is one holder, left over from the last run, so the set is short.
            for other in set(map(store.holders.get, keys)):
                if other is not None and other.guard.locked():
                    return other
        return None


def hold(slots: Sequence[Slot], guard: threading.Lock) -> None:
    """Make the run whose (locked) `guard` this is the only writer of `slots`; wait if need be.

    All are taken at once, so runs cannot deadlock. The caller releases by unlocking the guard:
    ``with guard: hold(slots, guard); …``.

    Raises:
        StateError: an outer run of this thread writes one of them.
    """
    Places(slots).hold(guard)


class Transaction:
    """The state one run sees: a snapshot from its start, and its own staged writes."""

    __slots__ = ("_snapshot", "_staged", "_stores")

    def __init__(self, slots: Sequence[Slot] | Places) -> None:
        places = slots if isinstance(slots, Places) else Places(slots)
        keys = places.keys
        self._stores = places.stores
        # One call that stays in C: no other run can commit between two of these reads.
        self._snapshot: dict[int, Any] = dict(
            zip(keys, map(dict.get, places.maps, keys), strict=True)
        )
        self._staged: dict[int, Any] = {}

    def start(self, cell: Cell) -> Any:
        """The value at the start of the run, or None."""
        return self._snapshot[cell.key]

    def read(self, cell: Cell) -> Any:
        """The value with this run's writes so far, or None."""
        staged = self._staged.get(cell.key)
        return self._snapshot[cell.key] if staged is None else staged

    def write(self, cell: Cell, value: Any) -> None:
        """Stage a value."""
        self._staged[cell.key] = value

    def value(self, key: int) -> Any:
        """The value at the start of the run, or None, of the cell with this key."""
        return self._snapshot.get(key)

    def stage(self, values: dict[int, Any]) -> None:
        """Stage values by the keys of their cells."""
        self._staged.update(values)

    def restart(self) -> None:
        """Forget what was staged, for the run to be done again."""
        self._staged.clear()

    def commit(self) -> None:
        """Make the staged values visible, all at once."""
        by_store: dict[int, tuple[dict[int, Any], dict[int, Any]]] = {}
        for key, value in self._staged.items():
            values = self._stores[key].values
            by_store.setdefault(id(values), (values, {}))[1][key] = value
        targets = [pair[0] for pair in by_store.values()]
        updates = [pair[1] for pair in by_store.values()]
        # The consuming deque calls dict.update from C for every store: one indivisible step.
        deque(map(dict.update, targets, updates), maxlen=0)


def write_all(slots: Sequence[Slot], values: Sequence[Any]) -> None:
    """Set several cells at once, after whoever writes one of them at the moment is done."""
    guard, places = threading.Lock(), Places(slots)
    with guard:
        places.hold(guard)
        transaction = Transaction(places)
        for slot, value in zip(slots, values, strict=True):
            transaction.write(slot.cell, value)
        transaction.commit()


def cells_of(attrs: dict[str, Any]) -> list[Cell]:
    """The cells that an op with these attributes reads or writes."""
    return [*_own_cells(attrs), *[cell for user in state_users(attrs) for cell in user.cells]]


def written_cells(effect: str, attrs: dict[str, Any]) -> list[Cell]:
    """The cells that an op with this effect and these attributes writes."""
    own = _own_cells(attrs) if effect in ("write", "draw") else []
    return [*own, *[cell for user in state_users(attrs) for cell in user.written]]


def _own_cells(attrs: dict[str, Any]) -> list[Cell]:
    return [value.cell for value in attrs.values() if isinstance(value, StateOwner)]


def state_users(attrs: dict[str, Any]) -> list[StateUser]:
    """The bodies among an op's attributes, also those in tuples."""
    found: list[StateUser] = []
    for value in attrs.values():
        parts = value if type(value) is tuple else (value,)
        found += [part for part in parts if isinstance(part, StateUser)]
    return found


def eager_slots(attrs: dict[str, Any], name: str) -> list[Slot]:
    """The cells of an eager op. Raises `StateError` when one belongs to a graph."""
    cells = cells_of(attrs)
    for cell in cells:
        if cell.graph is not None:
            raise StateError(
                f"{name}: {cell.label} belongs to {cell.graph!r}, whose sessions hold a value "
                "each; use it inside that graph and run the result in a session"
            )
    return [Slot(cell, EAGER) for cell in cells]

"""Random generators: a key and a counter, and how a draw without a generator gets its key.

A draw is a pure function of a key and a counter (`minigrad.philox`). What is state is only the
counter, which a `Generator` keeps in a cell, like a variable's value.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minigrad.core.context import STATE, changed, home
from minigrad.core.observing import CHANGES, observe
from minigrad.core.state import EAGER, Cell, StateOwner
from minigrad.errors import StateError
from minigrad.philox import Key, as_integer, key_from_seeds

if TYPE_CHECKING:
    from minigrad.core.graph import Graph

__all__ = ["Generator", "Seeding", "choose_key", "choose_source", "seed"]

_COUNTERS = 2**64


def _entropy() -> int:
    """63 bits from the operating system; a signed 64-bit integer holds them."""
    return int.from_bytes(os.urandom(8), "little") >> 1


class Seeding:
    """Who gave a seed, and how many random ops came since: the process's own, for eager code."""

    name = "mg.random"

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seed: int | None = None
        self.count = 0
        self._entropy: int | None = None
        self._process: int | None = None
        self._unseeded = 0
        #: How often a seed was set.
        self.starts = 0

    def start(self, seed: int | None) -> None:
        """Set the seed, and count from 0 again."""
        with self.lock:
            self.seed = seed
            self.count = 0
            self.starts += 1
        CHANGES.note()

    def next(self) -> tuple[int | None, int]:
        """The seed, and the position of one more op without a seed of its own."""
        with self.lock:
            position = self.count
            self.count += 1
            return self.seed, position

    def unseeded(self) -> Key:
        """A key that no other op of this process has, and hardly any op elsewhere.

        The count runs through eager code and all graphs, so that two graphs nobody seeded differ.
        A forked child takes entropy of its own.
        """
        with self.lock:
            if self._entropy is None or self._process != os.getpid():
                self._entropy, self._process = _entropy(), os.getpid()
            key = (self._entropy, self._unseeded)
            self._unseeded += 1
            return key


_PROCESS = Seeding()


def seed(seed: int | None, /) -> None:
    """Fix the numbers of all random ops that come after, and count them from 0 again.

    Inside ``with graph.as_default():`` this is the seed of that graph. Outside it is the seed of
    the process: of eager code, and of every graph without a seed of its own. The k-th random op
    (k from 0) since then, or since the graph began, that has neither ``seed=`` nor ``generator=``
    draws with the key ``(seed, k)``; an op with ``seed=s`` draws with ``(seed, s)``.

    Without any seed, keys come from the operating system's entropy: every process, every graph and
    every session draws other numbers. (An op with ``seed=s`` then draws with ``(87654321, s)``, as
    in TensorFlow.)

    Args:
        seed: an integer, taken modulo 2**31 - 1; None returns to unseeded draws.

    Raises:
        ArgumentTypeError: `seed` is not an integer.
        StateError: a function is being traced.

    >>> import minigrad as mg
    >>> mg.random.seed(1)
    >>> first = mg.random.uniform(3).tolist()
    >>> mg.random.seed(1)
    >>> mg.random.uniform(3).tolist() == first
    True
    >>> mg.random.seed(None)
    """
    value = None if seed is None else as_integer("seed", "the seed", seed)
    graph = STATE.get().graph
    if graph is None:
        _PROCESS.start(value)
    elif graph.traced is not None:
        raise StateError(
            f"mg.random.seed in {graph.traced.label} would set the seed when it is traced, not in "
            "each call; set it outside of the function"
        )
    else:
        graph = graph.root
        with graph.lock:
            graph.seed = value
            graph.random_count = 0


def choose_key(graph: Graph | None, op_seed: int | None) -> tuple[Key, bool]:
    """The key of a random op in `graph` (None: eager code), and whether any seed decides it.

    Raises:
        ArgumentTypeError: `op_seed` is not an integer.
    """
    if op_seed is not None:
        own = as_integer("a random op", "seed", op_seed)
        base = _PROCESS.seed if graph is None or graph.seed is None else graph.seed
        return key_from_seeds(base, own), True
    if graph is None:
        base, position = _PROCESS.next()
    else:
        with graph.lock:
            base, position = graph.seed, graph.random_count
            graph.random_count += 1
        if base is None:
            base = _PROCESS.seed
    if base is None:
        return _PROCESS.unseeded(), False
    return key_from_seeds(base, None, position), True


def choose_source(op_seed: int | None) -> Generator | Key:
    """Where a draw without a generator of its own gets its numbers, in the graph of the moment.

    In eager code a key, for a draw that is made once. In a graph a generator, from which each run
    draws on. In a traced function what eager code has at the first call: a key where a seed is
    given, else a generator with the key of that call, from which later calls draw on.
    """
    graph = STATE.get().graph
    if graph is None:
        return choose_key(None, op_seed)[0]
    if graph.traced is None:
        return Generator(op_seed)
    observe(_PROCESS, "the seed", _starts, counts=True)
    with changed(graph=None):
        return Generator() if op_seed is None else choose_key(None, op_seed)[0]


def _starts(seeding: Seeding) -> int:
    return seeding.starts


class Generator(StateOwner):
    """A stream of random numbers: a key, and a counter that every draw from it advances.

    Made in eager code its counter is process-wide: eager draws and the runs of every session that
    use it advance the same one. Made inside a graph it belongs to that graph: each session has a
    counter, which starts at 0. The t-th draw of an eager generator and the t-th run of a graph
    give the same numbers where the keys are the same. Any number of threads may draw from one
    generator; no two get the same numbers. A run that fails consumes none.

    Pickling and copying an eager generator keeps its place; the copy goes on by itself.

    Args:
        seed: an integer; it and the seed of the graph or process (`minigrad.random.seed`) make
            the key. Without one, the generator counts as one random op of that seed. If nobody
            gave any seed, the key is random, and each session starts at a random place too.

    Raises:
        ArgumentTypeError: `seed` is not an integer.

    >>> import minigrad as mg
    >>> g = mg.random.Generator(seed=2)
    >>> [round(float(mg.random.uniform((), -10, 10, generator=g)), 5) for _ in range(2)]
    [3.57493, -5.97319]
    >>> g
    <minigrad.random.Generator key=(87654321, 2) counter=512>
    """

    __slots__ = ("__weakref__", "cell", "graph", "key", "seeded")

    def __init__(self, seed: int | None = None) -> None:
        current = STATE.get().graph
        if current is not None and current.traced is not None:
            current.traced.create("a random generator")
        graph = home()  # One made inside the body of a loop draws anew in each iteration.
        key, seeded = choose_key(graph, seed)
        self._set(graph, key, seeded)

    def _set(self, graph: Graph | None, key: Key, seeded: bool) -> None:
        #: The graph it belongs to, or None.
        self.graph = graph
        #: ``(seed, seed2)``; with the counter it decides every number.
        self.key = key
        #: Whether a seed decided the key; if not, sessions start at a random counter.
        self.seeded = seeded
        self.cell = Cell(f"random generator {key}", graph)
        if graph is None:
            weakref.finalize(self, EAGER.forget, self.cell.key).atexit = False

    @classmethod
    def from_key(
        cls, key: Key, counter: int = 0, *, graph: Graph | None = None, seeded: bool = True
    ) -> Generator:
        """A generator with exactly this key.

        Args:
            key: two integers, see `minigrad.philox`.
            counter: where an eager generator starts.
            graph: the graph that it belongs to; None for an eager one.
            seeded: False lets each session of `graph` start at a random counter.

        >>> Generator.from_key((1, 2), counter=256)
        <minigrad.random.Generator key=(1, 2) counter=256>
        """
        made = cls.__new__(cls)
        first, second = (as_integer("Generator", "a part of the key", part) for part in key)
        made._set(graph, (first, second), seeded)
        if graph is None and counter:
            EAGER.values[made.cell.key] = as_integer("Generator", "counter", counter) % _COUNTERS
        return made

    @property
    def counter(self) -> int:
        """Number of the block that the next draw of an eager generator starts at.

        Raises:
            StateError: the generator belongs to a graph, whose sessions have a counter each.
        """
        if self.graph is not None:
            raise StateError(
                f"{self!r} belongs to {self.graph!r} and has a counter in each session, not one "
                "of its own"
            )
        return int(EAGER.values.get(self.cell.key) or 0)

    def advance(self, counter: int | None, blocks: int) -> tuple[int, int]:
        """Where a draw of `blocks` blocks starts, and the counter after it.

        Args:
            counter: the value stored for the generator; None before its first draw.
            blocks: how many the draw uses up.
        """
        if counter is None:
            counter = 0 if self.seeded or self.graph is None else _entropy()
        return counter, (counter + blocks) % _COUNTERS

    def describe(self) -> dict[str, Any]:
        """What `from_description` makes the generator of again: names and plain numbers."""
        counter = self.counter if self.graph is None else None
        return {"seeds": list(self.key), "counter": counter, "seeded": self.seeded}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], graph: Graph | None) -> Generator:
        """The generator that `describe` described: an eager one, or one that belongs to `graph`.

        >>> g = Generator.from_key((1, 2), counter=256)
        >>> Generator.from_description(g.describe(), None)
        <minigrad.random.Generator key=(1, 2) counter=256>
        """
        counter = description["counter"]
        first, second = description["seeds"]
        return cls.from_key(
            (first, second),
            counter or 0,
            graph=graph if counter is None else None,
            seeded=description["seeded"],
        )

    def __repr__(self) -> str:
        place = f"counter={self.counter}" if self.graph is None else f"in {self.graph.name!r}"
        return f"<minigrad.random.Generator key={self.key} {place}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.graph is not None:
            raise StateError(
                f"{self!r} belongs to a graph and cannot be copied or pickled alone; save the "
                "graph with Graph.to_dict, or make the generator in eager code"
            )
        return (_restore, (self.key, self.counter, self.seeded))


def _restore(key: Key, counter: int, seeded: bool) -> Generator:
    """An eager generator from its pickled parts."""
    return Generator.from_key(key, counter, seeded=seeded)

"""Runs the same part of a graph on the reference executor and as a program; for several tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.compile.interpret import interpret
from minigrad.compile.lower import NotPlanned, lower
from minigrad.compile.program import Program
from minigrad.core.state import Transaction, hold
from minigrad.executor import reference
from minigrad.executor.plan import Plan
from minigrad.executor.reference import Way
from minigrad.feeds import feed_value

#: The kernels that NumPy computes faster, as sessions use them.
FAST = Way(generic=False)

Runs = Callable[..., tuple[list[Any], dict[int, Any]]]


def interpreted(program: Program) -> Runs:
    """The interpreter as a function of feeds, cells, transaction and way."""
    return lambda *args: interpret(program, *args)


class Case:
    """Fetches of a graph, with feeds, in a session whose variables are initialized."""

    def __init__(
        self,
        graph: mg.Graph,
        fetches: Sequence[Any],
        feeds: Mapping[Any, Any],
        session: mg.Session | None = None,
    ) -> None:
        self.session = mg.Session(graph=graph) if session is None else session
        tensors = [t for t in fetches if not isinstance(t, mg.Operation)]
        targets = [t for t in fetches if isinstance(t, mg.Operation)]
        self.plan = Plan(graph, tensors, targets, list(feeds))
        self.feeds = {t: feed_value(t, v) for t, v in feeds.items()}

    def transaction(self, guard: threading.Lock) -> Transaction:
        """A transaction that is never committed."""
        hold([self.session.slot(c) for c in self.plan.written.values()], guard)
        return Transaction([self.session.slot(c) for c in self.plan.cells.values()])

    def reference(self, way: Way = reference.GENERIC) -> tuple[list[Any], dict[int, Any]]:
        """Fetched values, and staged values by cell key, as the reference executor has them."""
        guard = threading.Lock()
        with guard:
            transaction = self.transaction(guard)
            values = reference.execute(self.plan, self.feeds, transaction, way)
            return values, dict(transaction._staged)

    def program(self) -> Program:
        """The lowered program."""
        specs = [(x.shape, x.dtype) for x in self.feeds.values()]
        guard = threading.Lock()
        with guard:
            transaction = self.transaction(guard)
            return lower(self.plan, specs, transaction._snapshot)

    def run(
        self, program: Program, runs: Runs, way: Way = FAST
    ) -> tuple[list[Any], dict[int, Any]]:
        """Fetched values, and staged ones by cell key, as a program gives them."""
        guard = threading.Lock()
        with guard:
            transaction = self.transaction(guard)
            cells = {key: transaction._snapshot[key] for key in program.cells}
            fetched, writes = runs(list(self.feeds.values()), cells, transaction, way)
            return fetched, {**transaction._staged, **writes}


def assert_same(expected: Any, got: Any, *, exactly: bool = False) -> None:
    """Compare arrays: shape, dtype, and values within a few roundings."""
    expected, got = np.asarray(expected), np.asarray(got)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if exactly or expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, expected)
        return
    finite = np.isfinite(expected)
    scale = float(np.abs(expected[finite]).max(initial=0.0))
    close = 64 * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=close, atol=close * max(1.0, scale))


def assert_runs_agree(case: Case, runs: Callable[[Program], Runs] = interpreted) -> Program | None:
    """Compare a program's run with the reference executor's; the program, or None if none."""
    try:
        program = case.program()
    except NotPlanned:
        return None
    values, staged = case.reference()
    fetched, writes = case.run(program, runs(program))
    assert len(fetched) == len(values)
    for a, b in zip(values, fetched, strict=True):
        assert_same(a, b)
    assert set(writes) == set(staged)
    for key, a in staged.items():
        assert_same(a, writes[key])
    return program

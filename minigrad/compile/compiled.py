"""A plan and the code made of it: one for every combination of shapes that it has been run with."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from minigrad.compile.bodies import calls_python
from minigrad.compile.kernels import Repeat
from minigrad.compile.lock import compiling
from minigrad.compile.lower import NotPlanned, lower
from minigrad.compile.program import Program
from minigrad.compile.simplifying import simplify
from minigrad.compile.stats import Stats
from minigrad.core.state import Transaction
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.executor import reference
from minigrad.executor.plan import Plan
from minigrad.executor.reference import Way

#: How many combinations of shapes of one plan are kept.
MOST_CODES = 16


class Code(Protocol):
    """A program that can be run. Many threads may do so at once."""

    program: Program
    #: Positions of the fetches, and of what is assigned to which cell, in what `direct` returns.
    fetched: list[int]
    written: list[tuple[int, int]]

    def direct(self, feeds: Sequence[Any], cells: Iterable[Any]) -> list[Any] | None:
        """Results for whatever was fed and the variables' values; None: take `run` instead."""
        ...

    def run(
        self, feeds: Sequence[Array], cells: Mapping[int, Array], transaction: Any, way: Way
    ) -> tuple[list[Array], dict[int, Array]]:
        """The fetched arrays, and by cell key those to be assigned: all new."""
        ...


class Compiled:
    """A plan that is run by code made for the shapes of its feeds.

    Args:
        plan: what to run.
        make: from a program to its code.
        stats: where to count.
    """

    def __init__(self, plan: Plan, make: Callable[[Program], Code], stats: Stats) -> None:
        self.plan = plan
        self._make = make
        self.stats = stats
        self._codes: OrderedDict[Any, Code | None] = OrderedDict()
        #: The feeds and variables whose shape may change from run to run.
        self._open_feeds = [i for i, t in enumerate(plan.feeds) if not t.spec.known()]
        fixed = {
            value.cell.key
            for op in plan.steps
            for value in op.attrs.values()
            if isinstance(value, Variable) and value.spec.known()
        }
        self._open_cells = [key for key in plan.cells if key not in fixed]
        self._calls_python = any(map(calls_python, plan.steps))

    def run(self, arrays: Sequence[Array], transaction: Transaction, way: Way) -> list[Array]:
        """Compute the plan's fetches, and stage what it assigns.

        Returns:
            The values of the fetches: arrays that nobody else has.
        """
        code = self._code(arrays, transaction)
        if code is not None:
            if self._calls_python:
                # Should the run be repeated, Python functions are not called again.
                way = way._replace(called={})
            program = code.program
            cells = {key: transaction.value(key) for key in program.cells}
            try:
                fetches, writes = code.run(arrays, cells, transaction, way)
            except Repeat:
                transaction.restart()
            else:
                transaction.stage(writes)
                return fetches
        self.stats.unplanned += 1
        feeds = dict(zip(self.plan.feeds, arrays, strict=True))
        return [np.array(x) for x in reference.execute(self.plan, feeds, transaction, way)]

    def last(self) -> Code | None:
        """The code of the last run, where shapes are the same in every run."""
        return None if self._open_feeds or self._open_cells else self._codes.get(())

    def program(self, arrays: Sequence[Array], transaction: Transaction) -> Program:
        """The program for these feeds, rewritten and not yet compiled. Raises `NotPlanned`."""
        cells = {key: transaction.value(key) for key in self.plan.cells}
        return simplify(lower(self.plan, [(a.shape, a.dtype) for a in arrays], cells))

    def _code(self, arrays: Sequence[Array], transaction: Transaction) -> Code | None:
        """The code for these feeds; None if the plan cannot be compiled for them."""
        key: Any = ()
        if self._open_feeds:
            key = tuple([arrays[i].shape for i in self._open_feeds])
        if self._open_cells:
            values = [transaction.value(k) for k in self._open_cells]
            key = (key, tuple([getattr(value, "shape", None) for value in values]))
        try:
            code = self._codes[key]
        except KeyError:
            with compiling():
                if key not in self._codes and not self._compile(key, arrays, transaction):
                    return None
                return self._codes[key]
        if key:
            # Only then are there others. One that another thread has evicted is of use once more.
            with contextlib.suppress(KeyError):
                self._codes.move_to_end(key)
        self.stats.hits += 1
        return code

    def _compile(self, key: Any, arrays: Sequence[Array], transaction: Transaction) -> bool:
        """Make the code for a key; False while a variable has no value yet."""
        if any(transaction.value(k) is None for k in self.plan.cells):
            return False
        began = time.perf_counter()
        try:
            program = self.program(arrays, transaction)
            code: Code | None = self._make(program)
        except NotPlanned:
            code = None
        self._codes[key] = code
        self.stats.compiled += 1
        self.stats.seconds += time.perf_counter() - began
        if len(self._codes) > MOST_CODES:
            self._codes.popitem(last=False)
            self.stats.evicted += 1
        return True

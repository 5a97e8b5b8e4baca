"""Runs a random graph on every executor, and compares what comes out with what is expected."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.errors import MinigradError
from minigrad.executor.plan import Plan
from minigrad.feeds import feed_value
from tools.fuzzing.oracle import UNITS, Expected, expected
from tools.fuzzing.programs import Built, Program, build

EXECUTORS = ("reference", "numpy", "native")
#: An executor's error may be so many times that of the reference executor, and the slack.
TIMES = 8

Outcome = Literal["agree", "redrawn", "differ"]


class Verdict(NamedTuple):
    """What came out.

    Attributes:
        outcome: whether the executors agree; ``redrawn`` where rounding decides too much.
        what: what differs, in words, or why it is redrawn.
        executor: which executor is wrong.
        set: for which set of feeds.
        fetch: which fetch, or -1.
    """

    outcome: Outcome
    what: str = ""
    executor: str = ""
    set: int = 0
    fetch: int = -1


def check(program: Program, executors: Sequence[str] = EXECUTORS) -> Verdict:
    """Build and run a program. Raises what building it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Check(build(program), executors).run()


class _Check:
    """The sessions of one graph."""

    def __init__(self, built: Built, executors: Sequence[str]) -> None:
        self.built = built
        self.sessions = {name: mg.Session(built.graph, executor=name) for name in executors}
        initializers = [v.initializer for v in built.variables]
        first = self.sessions["reference"]
        first.run(initializers)
        self.start = {v: first.value_of(v) for v in built.variables}
        variables = {v.cell.key for v in built.variables}
        written = self._plan(built.feeds[0]).written
        #: Where generators of random numbers keep their counters.
        self.counters = [cell for key, cell in written.items() if key not in variables]

    def run(self) -> Verdict:
        worst = Verdict("agree")
        for number, feeds in enumerate(self.built.feeds):
            verdict = self._run(feeds)._replace(set=number)
            if verdict.outcome == "differ":
                return verdict
            if verdict.outcome == "redrawn" and worst.outcome == "agree":
                worst = verdict
        return worst

    def _run(self, feeds: dict[Any, Any]) -> Verdict:
        """One set of feeds on all executors."""
        results = {name: self._results(name, feeds) for name in self.sessions}
        sound = results["reference"]
        if isinstance(sound, MinigradError):
            for name, other in results.items():
                if type(other) is not type(sound):
                    return Verdict("differ", f"{sound!r} is expected, not {other!r}", name)
            return Verdict("agree")
        for name, other in results.items():
            if isinstance(other, Exception):
                return Verdict("differ", f"raises {other!r}", name)
        found = _differing(results)
        if found is None:
            return Verdict("agree")
        hope = self._expected(feeds, moves=6)
        if hope.tied or hope.overflows:
            return Verdict("redrawn", "a tie" if hope.tied else "too large numbers")
        if self._compare(results, hope) is None:
            return Verdict("agree")
        # More runs tell better how much rounding may do.
        hope = self._expected(feeds, moves=24)
        if hope.tied or hope.overflows:
            return Verdict("redrawn", "a tie")
        return self._compare(results, hope) or Verdict("agree")

    def _results(self, name: str, feeds: dict[Any, Any]) -> list[Any] | Exception:
        """Fetched values, then those of the variables, then counters; or what was raised."""
        session = self.sessions[name]
        session.load_all(self.start)
        slots = [session.slot(cell) for cell in self.counters]
        for slot in slots:
            # Every set of feeds meets the same random numbers, as the oracle and a script do.
            slot.store.values.pop(slot.cell.key, None)
        try:
            fetched = session.run(self.built.fetches, feeds)
        except Exception as error:  # noqa: BLE001 - compared, whatever it is
            return error
        fetched = [x for x in fetched if x is not None]  # Which operations give.
        state = [*map(session.value_of, self.built.variables)]
        state += [slot.store.values.get(slot.cell.key, 0) for slot in slots]
        return [np.asarray(x) for x in (*fetched, *state)]

    def _plan(self, feeds: dict[Any, Any]) -> Plan:
        """What a run computes; it fetches everything once."""
        targets = [t for t in self.built.fetches if isinstance(t, mg.Operation)]
        fetches = {id(t): t for t in self.built.fetches if not isinstance(t, mg.Operation)}
        return Plan(self.built.graph, list(fetches.values()), targets, list(feeds))

    def _expected(self, feeds: dict[Any, Any], moves: int) -> Expected:
        wanted = [t for t in self.built.fetches if not isinstance(t, mg.Operation)]
        plan = self._plan(feeds)
        fetches = list(plan.fetches)
        places = {id(t): i for i, t in enumerate(fetches)}
        given = [feed_value(t, feeds[t]) for t in plan.feeds]
        cells = {v.cell.key: value for v, value in self.start.items()}
        found = expected(plan, given, cells, moves)
        # The oracle gives those that are assigned, the sessions give all variables.
        written = {key: len(fetches) + i for i, key in enumerate(sorted(plan.written))}
        order = [places[id(t)] for t in wanted]
        order += [written.get(v.cell.key, -1) for v in self.built.variables]
        order += [written[cell.key] for cell in self.counters]
        return found._replace(
            values=[found.values[i] if i >= 0 else None for i in order],
            slack=[found.slack[i] if i >= 0 else None for i in order],
            stable=[found.stable[i] if i >= 0 else None for i in order],
        )

    def _compare(self, results: dict[str, Any], hope: Expected) -> Verdict | None:
        for name, values in results.items():
            if name == "reference":
                continue
            for i, (sound, value) in enumerate(zip(results["reference"], values, strict=True)):
                if hope.values[i] is None:
                    wrong = None if _same(sound, value) else "has changed a variable"
                else:
                    wrong = difference(value, sound, hope.values[i], hope.slack[i], hope.stable[i])
                if wrong is not None:
                    return Verdict("differ", wrong, name, fetch=i)
        return None


def _differing(results: dict[str, Any]) -> str | None:
    """Which executor's results are not about those of the reference executor."""
    for name, values in results.items():
        for sound, value in zip(results["reference"], values, strict=True):
            if not close(sound, value):
                return name
    return None


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether values differ by so little that it is within the slack, whatever that is."""
    if _same(a, b):
        return True
    if a.dtype != b.dtype or a.shape != b.shape or a.dtype.kind not in "fc":
        return False
    return np.allclose(a, b, rtol=UNITS / 2 * np.finfo(a.dtype).eps, atol=0, equal_nan=True)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def difference(
    value: np.ndarray, sound: np.ndarray, exact: Any, slack: Any, stable: Any
) -> str | None:
    """In what a value is wrong, in words; None if it is right.

    Args:
        value: an executor's.
        sound: the reference executor's.
        exact: what is expected.
        slack: how far off each element may be.
        stable: which elements are NaN, infinite or finite whatever is rounded.
    """
    if value.dtype != sound.dtype or value.shape != sound.shape:
        return f"is {value.dtype}{value.shape}, not {sound.dtype}{sound.shape}"
    if sound.dtype.kind not in "fc":
        bad = value != sound
    elif exact.shape != sound.shape:
        return None
    else:
        with np.errstate(all="ignore"):
            nan = np.isnan(value) != np.isnan(sound)
            infinite = (
                ~np.isnan(value)
                & ~np.isnan(sound)
                & ((np.isinf(value) | np.isinf(sound)) & (value != sound))
            )
            # Where rounding moves a result as far as that, it may jump.
            slack = np.where(slack > 0.01 * np.abs(exact), 4 * slack, slack)
            room = TIMES * np.abs(sound - exact) + slack
            off = np.abs(value - exact) > np.where(np.isnan(room), np.inf, room)
            off &= np.isfinite(value) & np.isfinite(sound) & np.isfinite(exact)
            bad = ((nan | infinite) & stable) | off
    if not bad.any():
        return None
    places = np.argwhere(bad)
    at = tuple(places[0].tolist())
    text = f"{len(places)} of {sound.size} elements are wrong, the first at {at}: "
    text += f"{value[at]!r}, not {sound[at]!r}"
    if sound.dtype.kind in "fc":
        text += f" (exactly {exact[at]!r}, slack {float(np.real(slack[at])):.3g})"
    return text

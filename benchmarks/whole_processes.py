"""What is measured in a process from its start: chains of adds, first calls, memory, imports."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.lineup import Entry, Lineup, Member
from benchmarks.remote import ROOT, RemoteError
from benchmarks.results import Row
from benchmarks.sides import SIDES
from benchmarks.timing import Timing

#: The workload whose first call and memory are measured, and its steps before memory is read.
FIRST, STEPS = "W3", 50
#: What tells those who keep compiled code where to: minigrad, PyTorch, tinygrad.
CACHE_VARIABLES = ("MINIGRAD_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME")
#: Milliseconds that a chain with its gradient is meant to take until it has run once.
CHAIN_BARS = {10_000: 600.0, 100_000: 6000.0}
COLD_BAR, WARM_BAR = 1000.0, 500.0


def _summary(times: list[float]) -> Timing:
    return Timing(statistics.median(times), min(times))


def _entries(lineup: Lineup) -> Iterable[tuple[Member, Entry]]:
    for member in lineup.members:
        for entry in member.entries:
            if entry.variant not in member.about["only_steps"]:
                yield member, entry


class _Columns:
    """Figures by label, for several rows that come from the same processes."""

    def __init__(self, *rows: Row, say: Callable[[str], None]) -> None:
        self.rows = rows
        self.say = say
        self._figures: list[dict[str, list[float]]] = [{} for _ in rows]

    def add(self, label: str, *figures: float | None) -> None:
        """One figure for each row; None for nothing."""
        for column, figure in zip(self._figures, figures, strict=True):
            if figure is not None:
                column.setdefault(label, []).append(figure)

    def fail(self, label: str, error: RemoteError) -> None:
        """Note why there is none."""
        for row in self.rows:
            row.left_out[label] = str(error)
        self.say(f"{self.rows[0].workload}: {label} is left out: {error}")

    def failed(self, label: str) -> bool:
        """Whether it has failed before."""
        return label in self.rows[0].left_out

    def finished(self) -> list[Row]:
        """The rows, with their medians."""
        for row, column in zip(self.rows, self._figures, strict=True):
            row.found = {
                label: _summary(figures)
                for label, figures in column.items()
                if label not in row.left_out
            }
        return list(self.rows)


def chains(
    lineup: Lineup,
    lengths: Iterable[int],
    *,
    rounds: int,
    slow: bool,
    say: Callable[[str], None],
) -> list[Row]:
    """W9: chains of adds, by those that can build them; two rows for each length."""
    rows = []
    for length in lengths:
        columns = _Columns(
            Row(f"W9/{length} first", "build, differentiate, run", bar_ms=CHAIN_BARS.get(length)),
            Row(f"W9/{length} steady", "run again"),
            say=say,
        )
        for number in range(rounds):
            for member, entry in _entries(lineup):
                limits = member.about["longest_slow_chain" if slow else "longest_chain"]
                if length > limits.get(entry.variant, 0) or columns.failed(entry.label):
                    continue
                try:
                    with member.start() as remote:
                        found = remote.ask("adds", variant=entry.variant, length=length)
                except RemoteError as error:
                    columns.fail(entry.label, error)
                else:
                    columns.add(entry.label, found["first"], found["steady"])
            say(f"W9: {length} adds: round {number + 1} of {rounds}")
        rows += columns.finished()
    return rows


def first_calls(
    lineup: Lineup, *, rounds: int, small: bool, say: Callable[[str], None]
) -> list[Row]:
    """From the start of a process to the first result of W3, and the most memory it then held.

    Cold: without compiled code of earlier processes. Warm: with it, for those that keep it; the
    others do the same again.
    """
    not_peers = frozenset(
        entry.label for member, entry in _entries(lineup) if not member.is_framework
    )
    columns = _Columns(
        Row("first cold", f"call of {FIRST}", bar=1.0, bar_ms=COLD_BAR, no_peers=not_peers),
        Row("first warm", f"call of {FIRST}", bar=1.0, bar_ms=WARM_BAR, no_peers=not_peers),
        Row("memory", f"peak of {FIRST}", bar=0.5, no_peers=not_peers, in_bytes=True),
        say=say,
    )
    for number in range(rounds):
        for member, entry in _entries(lineup):
            if columns.failed(entry.label):
                continue
            with tempfile.TemporaryDirectory() as folder:
                variables = cached_in(folder)
                try:
                    cold, peak = _first_call(member, entry, variables, small)
                    warm, _ = _first_call(member, entry, variables, small)
                except RemoteError as error:
                    columns.fail(entry.label, error)
                else:
                    columns.add(entry.label, cold, warm, peak)
        say(f"first calls: round {number + 1} of {rounds}")
    return columns.finished()


def cached_in(folder: str) -> dict[str, str]:
    """Variables of an environment in which all compiled code is kept in a folder."""
    flags = [os.environ.get("PYTENSOR_FLAGS"), f"base_compiledir={folder}"]
    pytensor = {"PYTENSOR_FLAGS": ",".join(filter(None, flags))}
    return {**dict.fromkeys(CACHE_VARIABLES, folder), **pytensor}


def _first_call(
    member: Member, entry: Entry, variables: Mapping[str, str], small: bool
) -> tuple[float, float]:
    """Seconds, and bytes."""
    what: dict[str, Any] = {"workload": FIRST, "variant": entry.variant}
    began = time.perf_counter()
    with member.start(variables) as remote:
        remote.ask("first", **what, small=small)
        seconds = time.perf_counter() - began
        return seconds, remote.ask("peak", **what, steps=STEPS)["bytes"]


def imports(lineup: Lineup, *, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Importing each package in a fresh process; NumPy's own import is what counts as a peer."""
    pythons = {"numpy": sys.executable, **{m.name: m.python for m in lineup.members}}
    others = frozenset(name for name in pythons if name != "numpy")
    row = Row("import", "against NumPy's", bar=1.5, no_peers=others)
    columns = _Columns(row, say=say)
    for number in range(rounds):
        for name, python in pythons.items():
            columns.add(name, _import_seconds(python, SIDES[name].package))
        say(f"imports: round {number + 1} of {rounds}")
    return columns.finished()


def _import_seconds(python: str, package: str) -> float:
    code = (
        "import time; began = time.perf_counter(); "
        f"import {package}; print(time.perf_counter() - began)"
    )
    done = subprocess.run(
        [python, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])

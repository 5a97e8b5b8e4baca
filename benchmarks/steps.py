"""W1 to W8: a step of each workload, by all who take part in turn."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.lineup import Entry, Lineup
from benchmarks.remote import Remote, RemoteError
from benchmarks.results import Row
from benchmarks.timing import Timing
from benchmarks.workloads import WORKLOADS, Workload


def measure(
    lineup: Lineup,
    names: Iterable[str],
    *,
    rounds: int,
    seconds: float,
    small: bool,
    say: Callable[[str], None],
) -> list[Row]:
    """A row for each workload.

    Each side has one process for all of them. In a round everyone runs for `seconds`, one after
    the other, so that a slow minute of the machine hits all; who begins changes from round to
    round.

    Args:
        lineup: who takes part.
        names: of the workloads.
        rounds: how many rounds.
        seconds: how long each is timed in a round.
        small: whether to use the sizes that are meant for tests.
        say: is told what is going on.
    """
    with _Contest(lineup, small, say) as contest:
        return [contest.row(WORKLOADS[name], rounds, seconds) for name in names]


class _Contest:
    """The processes, and what is done with them."""

    def __init__(self, lineup: Lineup, small: bool, say: Callable[[str], None]) -> None:
        self.lineup = lineup
        self.small = small
        self.say = say
        self.remotes: dict[str, Remote] = {}

    def __enter__(self) -> _Contest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for remote in self.remotes.values():
            remote.close()

    def row(self, workload: Workload, rounds: int, seconds: float) -> Row:
        """All rounds of one workload."""
        for member in self.lineup.members:
            if member.name not in self.remotes:
                self.remotes[member.name] = member.start()
        row = Row(workload.name, workload.title, bar=workload.bar)
        self.say(f"{workload.name}: preparing")
        self._prepare(workload, row)
        times: dict[str, list[float]] = {label: [] for label in row.errors}
        for number in range(rounds):
            for entry in _rotated(self.lineup.entries, number):
                if entry.label not in row.left_out:
                    found = self._ask(row, entry, "round", seconds=seconds)
                    times[entry.label] += [found["seconds"]] if found else []
            self.say(f"{workload.name}: round {number + 1} of {rounds}")
        for label, measured in times.items():
            if label not in row.left_out:
                row.found[label] = Timing(statistics.median(measured), min(measured))
        for remote in self.remotes.values():
            remote.ask("forget")
        return row

    def _prepare(self, workload: Workload, row: Row) -> None:
        """Let all make their cases, and check them."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "reference.npz")
            workload.reference(workload.values(small=self.small)).save(path)
            for entry in self.lineup.entries:
                if entry.label not in row.left_out:
                    found = self._ask(row, entry, "prepare", reference=path, small=self.small)
                    if found:
                        row.errors[entry.label] = found["error"]

    def _ask(self, row: Row, entry: Entry, do: str, **arguments: Any) -> dict[str, Any] | None:
        """The answer; None if there is none, which is noted."""
        remote = self.remotes[entry.side]
        try:
            return remote.ask(do, workload=row.workload, variant=entry.variant, **arguments)
        except RemoteError as error:
            row.left_out[entry.label] = str(error)
            self.say(f"{row.workload}: {entry.label} is left out: {error}")
            if remote.has_ended():  # With it go its other cases; the next workload starts anew.
                remote.close()
                del self.remotes[entry.side]
                for other in self.lineup.entries:
                    if other.side == entry.side:
                        row.left_out.setdefault(other.label, f"ended with {entry.label}")
            return None


def _rotated(entries: Sequence[Entry], by: int) -> list[Entry]:
    shift = by % len(entries)
    return [*entries[shift:], *entries[:shift]]

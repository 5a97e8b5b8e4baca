"""What was measured: rows of figures, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.lineup import OURS
from benchmarks.timing import Timing


@dataclass
class Row:
    """One thing that was measured for all who took part.

    Attributes:
        workload: its name.
        title: what it is.
        found: by label, the median over the rounds and the best round: seconds, or bytes.
        bar: what minigrad is meant to stay below, in multiples of the best peer; or None.
        bar_ms: the same in milliseconds; or None.
        errors: by label, the largest relative error in the check.
        left_out: by label, why something was not measured.
        no_peers: labels that do not count as peers in this row.
        in_bytes: whether the figures are bytes.
    """

    workload: str
    title: str
    found: dict[str, Timing] = field(default_factory=dict)
    bar: float | None = None
    bar_ms: float | None = None
    errors: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    no_peers: frozenset[str] = frozenset()
    in_bytes: bool = False

    @property
    def best_peer(self) -> str | None:
        """The label of the peer with the smallest median."""
        peers = {
            label: timing.median
            for label, timing in self.found.items()
            if label.partition(".")[0] != OURS and label not in self.no_peers
        }
        return min(peers, key=peers.__getitem__) if peers else None

    @property
    def ratio(self) -> float | None:
        """minigrad's median in multiples of the best peer's."""
        peer = self.best_peer
        if peer is None or OURS not in self.found:
            return None
        return self.found[OURS].median / self.found[peer].median

    def to_json(self) -> dict[str, Any]:
        """The row as it is printed with --json."""
        unit, scale = ("mb", 1e-6) if self.in_bytes else ("ms", 1e3)
        ours, peer = self.found.get(OURS), self.best_peer
        made: dict[str, Any] = {
            "workload": self.workload,
            "minigrad_ms": None,
            "best_peer": peer,
            "best_peer_ms": None,
            "ratio": self.ratio,
            "bar": self.bar,
            f"minigrad_{unit}": None if ours is None else ours.median * scale,
            f"best_peer_{unit}": None if peer is None else self.found[peer].median * scale,
            "all": {
                label: {
                    f"median_{unit}": timing.median * scale,
                    f"best_{unit}": timing.best * scale,
                    **({"error": self.errors[label]} if label in self.errors else {}),
                }
                for label, timing in self.found.items()
            },
        }
        if self.bar_ms is not None:
            made["bar_ms"] = self.bar_ms
        if self.left_out:
            made["left_out"] = self.left_out
        return made


def table(rows: Sequence[Row], labels: Sequence[str], machine: Mapping[str, Any]) -> str:
    """The rows as text, a column for each label."""
    first = max([len(_name(row)) for row in rows] + [8])
    heads = [label.removeprefix(f"{OURS}.") for label in labels]
    widths = [max(len(head), 11) for head in heads]
    peer_width = max([len(row.best_peer or "") for row in rows] + [9])
    lines = [
        "  ".join(
            [
                " " * first,
                *[f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)],
                f"{'best peer':{peer_width}}",
                f"{'ratio':>6}  bar",
            ]
        )
    ]
    for row in rows:
        cells = [
            f"{_cell(row, label):>{width}}" for label, width in zip(labels, widths, strict=True)
        ]
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
        line = [f"{_name(row):{first}}", *cells, f"{row.best_peer or '–':{peer_width}}"]
        lines.append("  ".join([*line, f"{ratio:>6}  {_bar(row)}"]).rstrip())
    notes = [
        f"{row.workload}: {label}: {why}" for row in rows for label, why in row.left_out.items()
    ]
    lines += [
        "",
        "Milliseconds (memory: megabytes): the median over the rounds / the best round. ratio:",
        "minigrad, as fed to make_callable, by the best peer. bar: what it is meant to stay below.",
        *(["", "Not measured:", *notes] if notes else []),
        "",
        *[f"{key}: {_shown(value)}" for key, value in machine.items()],
    ]
    return "\n".join(lines)


def _name(row: Row) -> str:
    return f"{row.workload} {row.title}"


def _cell(row: Row, label: str) -> str:
    timing = row.found.get(label)
    if timing is None:
        return "–"
    scale = 1e-6 if row.in_bytes else 1e3
    return f"{_short(timing.median * scale)}/{_short(timing.best * scale)}"


def _short(number: float) -> str:
    """Three digits that count."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.{1 if number >= 10 else 2 if number >= 1 else 3 if number >= 0.1 else 4}f}"


def _bar(row: Row) -> str:
    bars = [] if row.bar is None else [f"{row.bar:g}"]
    bars += [] if row.bar_ms is None else [f"{row.bar_ms:g} ms"]
    return ", ".join(bars) or "–"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown}" for key, shown in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)

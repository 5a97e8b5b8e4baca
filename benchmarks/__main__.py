"""What minigrad takes, beside others.

``python -m benchmarks`` times the workloads W1 to W9, first calls, imports and memory, minigrad's
beside those of the peers that can be imported: PyTorch, JAX, TensorFlow (in the style of version
1), and NumPy with the backward passes written by hand. Where they are named in --peers, also
PyTensor (by Numba) and tinygrad (with TinyJit; it needs clang), which compile for minutes.
``python -m benchmarks core chain`` times single operations, and memory and time per node of a long
chain.

What is not to be had is left out, and named below the table. It exits with 1 if minigrad failed at
something that was to be measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks import chain, core, steps, whole_processes
from benchmarks.lineup import OURS, PYTHONS_VARIABLE, Lineup, gather, parse_pythons
from benchmarks.machine import describe
from benchmarks.remote import RemoteError
from benchmarks.results import Row, table
from benchmarks.sides import SIDES
from benchmarks.sides.base import Options
from benchmarks.workloads import WORKLOADS

SMALL_SUITES: dict[str, Callable[[], object]] = {"core": core.run, "chain": chain.run}
SUITES = ("workloads", *SMALL_SUITES)
#: The exit status of what is interrupted from the keyboard.
INTERRUPTED = 130
#: What --only takes: the workloads, and what is measured of whole processes.
MEASURES = (*WORKLOADS, "W9", "first", "memory", "import")
#: Rounds of what needs fresh processes, at most.
FEW = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, and run what it names; 1 if minigrad has failed at something."""
    parser = _parser()
    options = parser.parse_args(arguments)
    suites = [*itertools.chain(*options.suites)] or ["workloads"]
    if options.json and suites != ["workloads"]:
        parser.error("--json goes with the workloads alone")
    status = 0
    try:
        for name in suites:
            if name == "workloads":
                status = _workloads(parser, options)
            else:
                SMALL_SUITES[name]()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "suites",
        nargs="*",
        metavar="suite",
        type=_names(SUITES),
        help=f"some of {', '.join(SUITES)}; by default workloads",
    )
    add("--only", metavar="W1,W4", type=_names(MEASURES), help=f"some of {', '.join(MEASURES)}")
    peers = tuple(name for name in SIDES if name != OURS)
    usual = tuple(name for name in peers if not SIDES[name].on_request)
    add(
        "--peers",
        metavar="torch,jax",
        type=_names(peers),
        default=usual,
        help=f"some of {', '.join(peers)}; by default {', '.join(usual)}",
    )
    add(
        "--python",
        metavar="torch=PATH,…",
        type=_pythons,
        default={},
        help=f"interpreters of peers, by default this one; also in {PYTHONS_VARIABLE}",
    )
    add("--rounds", type=_positive(int), default=7, help="how often everyone has a turn (7)")
    add("--seconds", type=_positive(float), default=0.5, help="how long a turn is (0.5)")
    add("--threads", type=_positive(int), default=2, help="for everyone (2)")
    add("--executor", help="the argument of mg.Session")
    add("--slow", action="store_true", help="also torch.compile, eager minigrad, long chains")
    add(
        "--lengths",
        metavar="1000,…",
        type=lambda text: [_positive(int)(part) for part in text.split(",")],
        default=[1000, 10_000, 100_000],
        help="adds in the chains of W9 (1000,10000,100000)",
    )
    add("--small", action="store_true", help="tiny sizes, to see that everything runs")
    add("--json", action="store_true", help="print JSON, and nothing else")
    return parser


def _names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names between commas, whatever their case."""
    by_lower = {name.lower(): name for name in known}

    def read(text: str) -> tuple[str, ...]:
        unknown = [part for part in text.split(",") if part.lower() not in by_lower]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(map(repr, unknown))}; choose from {', '.join(known)}"
            )
        return tuple(dict.fromkeys(by_lower[part.lower()] for part in text.split(",")))

    return read


def _pythons(text: str) -> dict[str, str]:
    try:
        return parse_pythons(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(kind: Callable[[str], float]) -> Callable[[str], Any]:
    """Reads a number above zero."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = kind("0")
        if not number > 0:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"expected a {what} above 0, got {text!r}")
        return number

    return read


def _workloads(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Measure what was asked for, and print it."""
    say = partial(print, file=sys.stderr, flush=True)
    wanted = options.only or MEASURES
    how = Options(options.threads, options.executor)
    try:
        lineup = gather(options.peers, options.python, how, slow=options.slow, say=say)
    except ValueError as error:
        parser.error(f"{PYTHONS_VARIABLE}: {error}")
    except RemoteError as error:
        say(f"minigrad cannot be run: {error}")
        return 1
    machine = describe(lineup, options.threads)
    rows = _measured(lineup, wanted, options, say)
    if options.json:
        print(json.dumps({"ratios": [row.to_json() for row in rows], "machine": machine}, indent=1))
    else:
        labels = [entry.label for entry in lineup.entries]
        print(table(rows, labels, machine))
    failed = {label for row in rows for label in row.left_out if label.split(".")[0] == OURS}
    return 1 if failed else 0


def _measured(
    lineup: Lineup, wanted: Sequence[str], options: argparse.Namespace, say: Callable[[str], None]
) -> list[Row]:
    few = min(options.rounds, FEW)
    rows = steps.measure(
        lineup,
        [name for name in WORKLOADS if name in wanted],
        rounds=options.rounds,
        seconds=options.seconds,
        small=options.small,
        say=say,
    )
    if "W9" in wanted:
        rows += whole_processes.chains(
            lineup, options.lengths, rounds=few, slow=options.slow, say=say
        )
    if "first" in wanted or "memory" in wanted:
        found = whole_processes.first_calls(lineup, rounds=few, small=options.small, say=say)
        rows += [row for row in found if row.workload.split()[0] in wanted]
    if "import" in wanted:
        rows += whole_processes.imports(lineup, rounds=options.rounds, say=say)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())

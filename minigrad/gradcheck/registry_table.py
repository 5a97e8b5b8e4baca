"""The table of all primitives that ``python -m minigrad gradcheck`` prints."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from minigrad.core.primitive import Primitive
from minigrad.core.registry import REGISTRY, primitive_of
from minigrad.errors import RegistryError
from minigrad.gradcheck.primitives import PrimitiveReport, check_primitive

_HEADINGS = ("op", "node", "samples", "order 1", "order 2", "verdict")


def print_table(names: Sequence[str] = (), out: TextIO | None = None) -> int:
    """Check primitives and composites, and print a row for each; 0 if all are right, else 1.

    Args:
        names: public names or graph op names; none means every registered one.
        out: where to print; by default standard output.

    >>> print_table(["exp2"])
    no primitive is called 'exp2'; did you mean 'exp'?
    1
    """
    out = sys.stdout if out is None else out
    chosen: list[Primitive[..., Any]] = []
    for name in names:
        try:
            chosen.append(primitive_of(name))
        except RegistryError:
            print(_unknown(name), file=out)
            return 1
    if not names:
        chosen = sorted(REGISTRY.values(), key=lambda p: (p.name.lower(), p.op))
    widths = [
        max([len(_HEADINGS[0]), *[len(p.name) for p in chosen]]),
        max([len(_HEADINGS[1]), *[len(p.op) for p in chosen]]),
    ]
    print(_row(_HEADINGS, widths), file=out)
    reports: list[PrimitiveReport] = []
    for p in chosen:
        report = check_primitive(p)
        reports.append(report)
        print(_row(_cells(report), widths), file=out, flush=True)
    _print_rest(reports, out)
    wrong = sum(not r.ok for r in reports)
    print(f"{len(reports)} primitives: {len(reports) - wrong} right, {wrong} wrong", file=out)
    return 1 if wrong else 0


def _unknown(name: str) -> str:
    known = [n for p in REGISTRY.values() for n in (p.name, p.op)]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "; run without names to see all"
    return f"no primitive is called {name!r}{hint}"


def _cells(report: PrimitiveReport) -> tuple[str, ...]:
    verdict = report.verdict
    if report.reason:
        verdict = f"{'no gradient' if report.ok else 'wrong; no gradient'}: {report.reason}"
    figures = [_figure(report.first), _figure(report.second)]
    return (report.name, report.op, str(report.samples), *figures, verdict)


def _figure(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, op, samples, first, second, verdict = cells
    return f"{name:{widths[0]}}  {op:{widths[1]}}  {samples:>7}  {first:>7}  {second:>7}  {verdict}"


def _print_rest(reports: Sequence[PrimitiveReport], out: TextIO) -> None:
    """What is wrong, and the exceptions with their reasons."""
    exceptions = [line for r in reports for line in r.exceptions]
    if exceptions:
        print("\nExceptions, checked less strictly for the reasons given:", file=out)
        for line in exceptions:
            print(f"  {line}", file=out)
    problems = [f"{r.name}: {problem}" for r in reports for problem in r.problems]
    if problems:
        print("\nWrong:", file=out)
        for line in problems:
            print(f"  {line}", file=out)
    print(file=out)

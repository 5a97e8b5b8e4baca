"""Makes a graph on which executors differ as small as possible."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tools.fuzzing.checking import EXECUTORS, Verdict, check
from tools.fuzzing.programs import Line, Program, renamed

_PLAIN = re.compile(r"^np\.asarray\(")
_SHAPE = re.compile(r"mg\.placeholder\('(\w+)', (.*)\)$")


def apart(program: Program, executors: Sequence[str] = EXECUTORS) -> Verdict:
    """What `check` says, computed in a process of its own, which may crash."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        verdict = Verdict("agree")
        try:
            os.close(reader)
            verdict = check(program, executors)
        except BaseException as error:  # noqa: BLE001 - a program that cannot be built
            verdict = Verdict("redrawn", f"{type(error).__name__}: {error}")
        finally:
            os.write(writer, pickle.dumps(verdict._replace(what=verdict.what[:2000])))
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if not said:
        return Verdict("differ", f"the process ended with status {status}", "crash")
    verdict = pickle.loads(said)
    assert isinstance(verdict, Verdict)
    return verdict


def shrink(
    program: Program,
    verdict: Verdict,
    judge: Callable[[Program], Verdict] = apart,
    most: int = 400,
) -> tuple[Program, Verdict]:
    """A smaller program on which the same executor is wrong, and what is wrong there.

    Args:
        program: the program.
        verdict: what was said of it.
        judge: what says whether a program's executors agree.
        most: how many programs are tried.
    """
    tried = 0
    improved = True
    while improved:
        improved = False
        for candidate in _smaller(program, verdict):
            if tried >= most:
                return program, verdict
            tried += 1
            found = judge(candidate)
            if found.outcome == "differ" and found.executor == verdict.executor:
                program, verdict, improved = candidate, found, True
                break
    return program, verdict


def _smaller(program: Program, verdict: Verdict) -> Iterator[Program]:
    """Programs to try in place of one, those that are smallest first."""
    if program.sets > 1:
        yield program.only_set(verdict.set)
    if len(program.fetches) > 1:
        chosen = program.fetches[verdict.fetch] if verdict.fetch < len(program.fetches) else None
        for name in dict.fromkeys([chosen, *program.fetches]):
            if name is not None:
                yield replace(program, fetches=(name,)).pruned()
        for i in range(len(program.fetches)):
            rest = program.fetches[:i] + program.fetches[i + 1 :]
            yield replace(program, fetches=rest).pruned()
    if program.sets > 1:
        return
    for i in reversed(range(len(program.lines))):
        yield from _without(program, i)
    for name, n in program.sizes.items():
        for smaller in dict.fromkeys((1, 2, 3, n // 2, n - 1)):
            if smaller < n:
                yield replace(program, sizes={**program.sizes, name: smaller})
    for name, (text,) in program.arrays.items():
        line = next(line for line in program.lines if line.name == name)
        found = _SHAPE.match(line.text)
        if found is None:
            continue
        dtype, shape = found.groups()
        for simple in (
            f"np.ones({shape}, {dtype!r})",
            f"np.asarray(np.random.default_rng(0).normal(size={shape}), {dtype!r})",
        ):
            if len(simple) < len(text):
                yield replace(program, arrays={**program.arrays, name: (simple,)})


def _without(program: Program, i: int) -> Iterator[Program]:
    """Programs with something in place of a line: one of its operands, or a feed."""
    line = program.lines[i]
    if line.name[0] == "u":
        return
    for name in sorted(line.uses, reverse=True):
        yield _replaced(program, i, name)
    if line.name[0] == "v":
        for other in program.lines[:i]:
            if other.name[0] == "p" and other.name not in line.uses:
                yield _replaced(program, i, other.name)
        inner = _simpler(line)
        for text in inner:
            lines = (*program.lines[:i], Line(line.name, text), *program.lines[i + 1 :])
            yield replace(program, lines=lines).pruned()


def _replaced(program: Program, i: int, name: str) -> Program:
    old = program.lines[i].name
    lines = [
        Line(line.name, renamed(line.text, old, name))
        for k, line in enumerate(program.lines)
        if k != i
    ]
    fetches = tuple([name if fetch == old else fetch for fetch in program.fetches])
    arrays = {key: value for key, value in program.arrays.items() if key != old}
    return replace(program, lines=tuple(lines), fetches=fetches, arrays=arrays).pruned()


def _simpler(line: Line) -> list[str]:
    """Texts that do less than a line's."""
    found = []
    for whole in re.finditer(r"(?:mg|nn)\.\w+\(([pv]\d+)\)", line.text):
        if whole.group(0) != line.text:
            found.append(line.text.replace(whole.group(0), whole.group(1)))
    return found

"""Branches and loops in programs: their bodies are programs themselves.

The instruction stays a call of the kernel, which runs bodies node by node; its `form` says what it
is, for those who can do better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.compile.program import Operand, Program, Sizes, own_results
from minigrad.control_flow.case_layout import Layout as CaseLayout
from minigrad.control_flow.case_layout import taken
from minigrad.control_flow.loop_layout import Layout as LoopLayout
from minigrad.core.body import Body, bodies_of
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.executor.plan import Plan

#: Makes the program of a body's plan, for inputs of these shapes and dtypes.
Lower: TypeAlias = Callable[[Plan, Sequence[tuple[Sizes, np.dtype[Any]]]], Program]


class Given(NamedTuple):
    """The inputs of a loop by kind: operands, or what stands for them."""

    limit: Any
    carries: list[Any]
    slices: list[Any]
    asked: list[Any]
    captured: list[Any]

    def flat(self) -> list[Any]:
        """All, in order."""
        rest = [*self.carries, *self.slices, *self.asked, *self.captured]
        return rest if self.limit is None else [self.limit, *rest]


class Made(NamedTuple):
    """The outputs of a loop by kind: operands, or what stands for them."""

    carries: list[Any]
    results: list[Any]
    count: Any
    histories: list[Any]

    def flat(self) -> list[Any]:
        """All, in order."""
        return [*self.carries, *self.results, self.count, *self.histories]


class LoopForm(NamedTuple):
    """A loop whose shapes are the same in every run.

    Attributes:
        limited: whether the first input is the greatest number of runs.
        carries: how many values are carried.
        slices: how many inputs are sliced.
        asked: how many inputs the condition captures.
        reverse: whether the positions are gone through from the last to the first.
        body: from carried values, slices and captured ones to carried values, then the results
            that somebody reads.
        cond: from carried values and captured ones to one bool; or None.
        runs: how many runs there are, where that is known beforehand.
        results: which results somebody reads.
        histories: for which carried values somebody reads what they were in each run.
        changed: whether the loop is no longer what the kernel of its primitive computes.
    """

    limited: bool
    carries: int
    slices: int
    asked: int
    reverse: bool
    body: Program
    cond: Program | None
    runs: int | None
    results: tuple[bool, ...]
    histories: tuple[bool, ...]
    changed: bool = False

    def split(self, inputs: Sequence[Any]) -> Given:
        """The inputs by kind."""
        feed = iter(inputs)
        limit = next(feed) if self.limited else None
        carries = [next(feed) for _ in range(self.carries)]
        slices = [next(feed) for _ in range(self.slices)]
        asked = [next(feed) for _ in range(self.asked)]
        return Given(limit, carries, slices, asked, list(feed))

    def outputs(self, made: Sequence[Any]) -> Made:
        """The outputs by kind; those that nobody reads too."""
        feed = iter(made)
        carries = [next(feed) for _ in range(self.carries)]
        results = [next(feed) for _ in self.results]
        return Made(carries, results, next(feed), [next(feed) for _ in self.histories])

    def shapes(self, inputs: Sequence[Operand]) -> list[Sizes]:
        """The shapes of the outputs; those that nobody reads are empty."""
        given = self.split(inputs)
        count = self.runs or 0
        fetched = iter(self.body.fetches[self.carries :])
        return [
            *[x.shape for x in given.carries],
            *[(count, *next(fetched).shape) if seen else (0,) for seen in self.results],
            (),
            *[
                (count, *x.shape) if seen else (0,)
                for x, seen in zip(given.carries, self.histories, strict=True)
            ],
        ]


class CaseForm(NamedTuple):
    """A choice between bodies that give the same shapes.

    Attributes:
        layout: which input is whose.
        branches: from what each captures to the outputs that somebody reads.
        wanted: which outputs somebody reads.
    """

    layout: CaseLayout
    branches: tuple[Program, ...]
    wanted: tuple[bool, ...]

    def shapes(self, inputs: Sequence[Operand]) -> list[Sizes]:
        """The shapes of the outputs; those that nobody reads are empty."""
        fetched = iter(self.branches[0].fetches)
        return [next(fetched).shape if seen else (0,) for seen in self.wanted]


def loop_form(
    op: Operation, inputs: Sequence[Operand], wanted: tuple[bool, ...], lower: Lower
) -> LoopForm | None:
    """What a loop is, if it is a plain one: pure, and with one shape for each value."""
    layout = LoopLayout(**op.attrs)
    if op.effect != "pure" or any((*layout.carries, *layout.slices, *layout.results)):
        return None
    if layout.effects or layout.refreshed or layout.asked_refreshed:
        return None
    given = layout.split(inputs)
    read = layout.outputs(wanted)
    results = tuple([group[0] for group in read.results])
    histories = tuple([group[0] for group in read.histories])
    limit = None if given.limit is None else given.limit.constant
    if layout.cond is not None or (given.limit is not None and limit is None):
        if any((*results, *histories)) or given.slices:
            return None
        count = None
    else:
        most = None if limit is None else int(limit)
        count = layout.most_runs(most, [group[0].shape[0] for group in given.slices])
        if not count:
            return None
    carries = [(x.shape, x.dtype) for x in given.carries]
    slices = [(group[0].shape[1:], group[0].dtype) for group in given.slices]
    captured = [(x.shape, x.dtype) for x in given.captured]
    split = len(carries)
    fetched = [t for t, seen in zip(layout.body.outputs[split:], results, strict=True) if seen]
    body = _program(
        layout.body,
        (*layout.body.outputs[:split], *fetched),
        [*carries, *slices, *captured],
        lower,
    )
    if [(x.shape, x.dtype) for x in body.fetches[:split]] != carries:
        return None
    cond = None
    if layout.cond is not None:
        asked = [(x.shape, x.dtype) for x in given.asked]
        cond = _program(layout.cond, tuple(layout.cond.outputs), [*carries, *asked], lower)
    return LoopForm(
        layout.limited,
        len(carries),
        len(slices),
        len(given.asked),
        layout.reverse,
        body,
        cond,
        count,
        results,
        histories,
    )


def case_form(
    op: Operation, inputs: Sequence[Operand], wanted: tuple[bool, ...], lower: Lower
) -> CaseForm | None:
    """What a choice is, if it is a plain one."""
    branches: tuple[Body, ...] = op.attrs["branches"]
    layout = CaseLayout(branches)
    if op.effect != "pure" or any(group for group in layout.effects):
        return None
    given = layout.captured(inputs)
    read = wanted[: layout.count]
    programs = []
    for body, captured in zip(branches, given, strict=True):
        fetched = tuple([t for t, seen in zip(body.outputs, read, strict=True) if seen])
        specs = [(x.shape, x.dtype) for x in captured]
        programs.append(_program(body, fetched, specs, lower))
    shapes = {tuple([x.shape for x in program.fetches]) for program in programs}
    return CaseForm(layout, tuple(programs), read) if len(shapes) == 1 else None


def calls_python(op: Operation) -> bool:
    """Whether a node calls a Python function, itself or in a body."""
    if op.primitive.effect == "host" or not op.primitive.has_bodies:
        return op.primitive.effect == "host"
    inner = [step for body in bodies_of(op.attrs) for step in body.get_operations()]
    return any(map(calls_python, inner))


def loops_over_python(op: Operation) -> bool:
    """Whether a branch or loop calls a Python function again and again."""
    if op.type == "Loop":
        return calls_python(op)
    inner = [step for body in bodies_of(op.attrs) for step in body.get_operations()]
    return any(map(loops_over_python, inner))


def chosen(op: Operation, index: Operand) -> int | None:
    """Which branch is taken, where that is known beforehand."""
    if index.constant is None:
        return None
    return taken(int(index.constant), len(op.attrs["branches"]))


def _program(
    body: Body,
    outputs: tuple[SymbolicTensor, ...],
    specs: Sequence[tuple[Sizes, np.dtype[Any]]],
    lower: Lower,
) -> Program:
    program = lower(Plan(body, outputs, body.targets, body.inputs), specs)
    own_results(program)
    return program

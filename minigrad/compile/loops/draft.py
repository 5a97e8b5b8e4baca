"""A loop that is being changed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from minigrad.compile.bodies import Given, LoopForm, Made
from minigrad.compile.program import Instruction, Operand, Program, own_results
from minigrad.compile.rewrite.dead import drop_dead
from minigrad.compile.rewrite.keys import key_of, key_of_step


class Draft:
    """The parts of a loop, in lists that can be changed.

    Attributes:
        step: its instruction, as it was.
        form: its form, as it was; the body is changed in place.
        given: the instruction's inputs.
        made: its outputs, without the results that nobody reads.
        histories: for which carried values somebody reads what they were in each run.
        arguments: the body's feeds, as inputs of a loop: carried values, slices, captured ones.
        after: what the body gives for the carried values.
        collected: what it gives for the results that somebody reads, in their order.
        changed: whether anything has been changed.
    """

    def __init__(self, step: Instruction, form: LoopForm) -> None:
        self.step = step
        self.form = form
        self.given: Given = form.split(step.inputs)
        self.made: Made = form.outputs(step.outputs)
        body = form.body
        self.body: Program = body
        split, cut = form.carries, form.carries + form.slices
        feeds = body.feeds
        self.arguments = Given(None, feeds[:split], feeds[split:cut], [], feeds[cut:])
        self.after = body.fetches[:split]
        self.collected = body.fetches[split:]
        # Results that nobody reads are of no use, here as in the body.
        self.made = self.made._replace(
            results=[x for x, seen in zip(self.made.results, form.results, strict=True) if seen]
        )
        self.histories = list(form.histories)
        self.changed = False

    @property
    def runs(self) -> int:
        """How many runs there are; only asked of loops where that is known."""
        assert self.form.runs is not None
        return self.form.runs

    @cached_property
    def steps_by_key(self) -> dict[Any, Instruction]:
        """The pure steps of the body by what they compute; for when no more are taken out."""
        table: dict[Any, Instruction] = {}
        for step in self.body.instructions:
            if step.pure and step.kind != "check":
                table.setdefault(key_of_step(step, [key_of(x) for x in step.inputs]), step)
        return table

    # -- what may be done ------------------------------------------------------------------

    def collect(self, x: Operand) -> Operand:
        """All that an operand of the body is in the runs, one after the other by position."""
        stacks: list[Operand] = self.made.results
        for own, stack in zip(self.collected, stacks, strict=True):
            if own is x:
                return stack
        stack = Operand((self.runs, *x.shape), x.dtype, label=x.label)
        self.collected.append(x)
        stacks.append(stack)
        self.changed = True
        return stack

    def remember(self, carry: int) -> Operand:
        """What a carried value is at the start of the runs, one after the other by position."""
        if not self.histories[carry]:
            x = self.given.carries[carry]
            self.made.histories[carry] = Operand((self.runs, *x.shape), x.dtype, label=x.label)
            self.histories[carry] = True
            self.changed = True
        stack: Operand = self.made.histories[carry]
        return stack

    def slice(self, stack: Operand, x: Operand) -> None:
        """Let the body be given `x`, which it computes so far, as slices of `stack`."""
        step = x.producer
        assert step is not None
        left = tuple([Operand(y.shape, y.dtype) if y is x else y for y in step.outputs])
        step.outputs = left
        for y in left:
            y.producer = step
        x.producer = None
        self.given.slices.append(stack)
        self.arguments.slices.append(x)
        self.changed = True

    def capture(self, outer: Operand, x: Operand) -> None:
        """Let the body be given `outer`, as `x`, in every run."""
        self.given.captured.append(outer)
        self.arguments.captured.append(x)
        self.changed = True

    def drop_carry(self, carry: int) -> None:
        """Carry a value no more."""
        for of_carries in (
            self.given.carries,
            self.arguments.carries,
            self.after,
            self.made.carries,
            self.made.histories,
            self.histories,
        ):
            del of_carries[carry]
        self.changed = True

    # -- the end ---------------------------------------------------------------------------

    def finish(self, used: Iterable[Operand]) -> Instruction:
        """The new instruction, without what nobody needs.

        Args:
            used: the roots that other instructions read, and the program's results.
        """
        body, roots = self.body, set(used)
        seen = [x in roots for x in self.made.results]
        self.collected = [x for x, s in zip(self.collected, seen, strict=True) if s]
        results = [x for x, s in zip(self.made.results, seen, strict=True) if s]
        for i, x in enumerate(self.made.histories):
            if self.histories[i] and x not in roots:
                self.histories[i] = False
                self.made.histories[i] = Operand((0,), x.dtype, label=x.label)
        body.fetches = [*self.after, *self.collected]
        drop_dead(body)
        read = {x.root for step in body.instructions for x in step.inputs if x is not None}
        read.update([x.root for x in body.fetches])
        slices = _read(self.given.slices, self.arguments.slices, read)
        captured = _read(self.given.captured, self.arguments.captured, read)
        body.feeds = [
            *self.arguments.carries,
            *[x for _, x in slices],
            *[x for _, x in captured],
        ]
        own_results(body)
        given = self.given._replace(
            slices=[x for x, _ in slices], captured=[x for x, _ in captured]
        )
        made = self.made._replace(results=results)
        step = self.step
        new = Instruction(
            step.kind,
            step.name,
            given.flat(),
            made.flat(),
            step.attrs,
            step.primitive,
            step.operation,
        )
        new.form = self.form._replace(
            limited=given.limit is not None,
            carries=len(given.carries),
            slices=len(slices),
            results=(True,) * len(results),
            histories=tuple(self.histories),
            changed=True,
        )
        return new


def _read(
    given: list[Operand], arguments: list[Operand], read: set[Operand]
) -> list[tuple[Operand, Operand]]:
    """The inputs whose arguments the body reads, with these."""
    return [(x, y) for x, y in zip(given, arguments, strict=True) if y in read]

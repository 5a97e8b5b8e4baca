"""A loop run as its form says, with NumPy: what is done where it has no native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad.compile.bodies import LoopForm
from minigrad.compile.kernels import Repeat
from minigrad.compile.program import Program
from minigrad.core.tensor import Array

#: Computes a program without variables and effects: the fetches, for these feeds.
RunBody: TypeAlias = Callable[[Program, Sequence[Array]], list[Array]]


def run_loop(form: LoopForm, inputs: Sequence[Array | None], run: RunBody) -> list[Any]:
    """The outputs of a loop; those that nobody reads are None.

    Args:
        form: the loop.
        inputs: an array for each input.
        run: computes bodies; it returns arrays that are its caller's own.

    Raises:
        Repeat: a body has failed; the reference executor says where.
    """
    given = form.split(inputs)
    limit = form.runs if given.limit is None else int(given.limit)
    carries, split = list(given.carries), form.carries
    stacks = [_Stack(form.runs or 0) if seen else None for seen in (*form.results, *form.histories)]
    collecting = [s for s, seen in zip(stacks, form.results, strict=False) if seen]
    histories = stacks[len(form.results) :]
    count = 0
    try:
        while limit is None or count < limit:
            if form.cond is not None and not run(form.cond, [*carries, *given.asked])[0]:
                break
            position = limit - 1 - count if form.reverse and limit is not None else count
            for stack, value in zip(histories, carries, strict=True):
                if stack is not None:
                    stack.put(position, value)
            slices = [x[position] for x in given.slices]
            made = run(form.body, [*carries, *slices, *given.captured])
            carries = made[:split]
            for stack, value in zip(collecting, made[split:], strict=True):
                if stack is not None:
                    stack.put(position, value)
            count += 1
    except Repeat:
        raise
    except Exception as error:
        raise Repeat(f"run {count} of a loop failed: {error}") from error
    collected = [None if s is None else s.array for s in stacks]
    split = len(form.results)
    return [*carries, *collected[:split], np.asarray(count), *collected[split:]]


class _Stack:
    """One array of what each run gives."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self.array: Array | None = None

    def put(self, position: int, value: Array) -> None:
        if self.array is None:
            self.array = np.empty((self._runs, *value.shape), value.dtype)
        self.array[position] = value

"""A program prepared for NumPy, and how it is run."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.kernels import Repeat, failure, fitting, is_plain, used_outputs
from minigrad.compile.lock import lock
from minigrad.compile.numpy_backend.emitting import Emitter
from minigrad.compile.numpy_backend.rules import for_numpy
from minigrad.compile.program import Operand, Program, own_results
from minigrad.compile.recycling import LEAST_BYTES, GroupRecycler, Recycler
from minigrad.core.floating import NUMPY_ERRSTATE, POLICY
from minigrad.core.tensor import Array
from minigrad.executor.reference import GENERIC, Way

#: The slots of what every run brings: its state, and how it runs.
TRANSACTION, WAY = 0, 1
#: So many frames are kept for later runs; more were only needed by as many threads at one time.
_MOST_FRAMES = 8


class NumpyCode:
    """A program as a row of calls of NumPy functions on prepared arrays.

    Many threads may run it at once: every run takes a frame, which has an arena, of its own.

    Args:
        program: what to compute.
    """

    def __init__(self, program: Program) -> None:
        self.program = for_numpy(program)
        own_results(program, views=True)
        emitter = Emitter(program, used_outputs(program), Bodies())
        self.steps = emitter.steps
        self._places = emitter.places
        self.arena = emitter.places.plan()
        self._operands = [*program.feeds, *program.cells.values()]
        #: Where feeds and variables go, and whether they are copied there.
        self._given = [(emitter.slot(x), x, emitter.is_staged(x)) for x in self._operands]
        fetched = {x.root for x in program.fetches}
        written = dict.fromkeys([x.root for x in program.writes.values()])
        assigned = [x for x in written if x in emitter.fresh and x not in fetched and _is_kept(x)]
        #: Large values of variables: where they are, and what gives the memory for all.
        self._assigned_at = [emitter.slot(x) for x in assigned]
        self._assigned = GroupRecycler([(x.shape, x.dtype) for x in assigned], together=True)
        #: The other results that are made in memory of their own, and what gives it.
        self._fresh = [(emitter.slot(x), _giver(x)) for x in emitter.fresh if x not in assigned]
        results = [*program.fetches, *program.writes.values()]
        #: Where results are, and whether they are to be copied from there.
        self._results = [self._result(emitter, x) for x in results]
        #: The shapes of those that are a view of what has been made.
        self._reshaped = [(i, x.shape) for i, x in enumerate(results) if x is not x.root]
        #: Where they stand among what `direct` returns.
        self.fetched = list(range(len(program.fetches)))
        self.written = list(
            zip(program.writes, range(len(self.fetched), len(results)), strict=True)
        )
        self._is_plain = all(map(is_plain, program.instructions))
        self._free_slots = [i for i, slot in enumerate(self._places.slots) if not slot.fixed]
        self._frames: list[_Frame] = []

    @staticmethod
    def _result(emitter: Emitter, x: Operand) -> tuple[int, bool]:
        at = emitter.slot(x.root)
        return at, emitter.places.is_fixed(at)

    def run(
        self, feeds: Sequence[Array], cells: Mapping[int, Array], transaction: Any, way: Way
    ) -> tuple[list[Array], dict[int, Array]]:
        """Compute the program once.

        Args:
            feeds: an array for each feed, of its shape and dtype.
            cells: by cell key, the value of each variable that is read.
            transaction: the state that kernels with effects read and write.
            way: how bodies run.

        Returns:
            The fetched arrays, and by cell key those to be assigned: all new.

        Raises:
            Repeat: a check has failed; the reference executor has to repeat the run.
            MinigradError: a node failed; the message names it and the user's line.
        """
        given = [*feeds, *[cells[key] for key in self.program.cells]]
        results = self._compute(given, transaction, way)
        return results[: len(self.fetched)], {key: results[at] for key, at in self.written}

    def direct(self, feeds: Sequence[Any], cells: Iterable[Any]) -> list[Any] | None:
        """The same for whatever was fed; None if `run` has to be taken.

        Args:
            feeds: what the caller gave, whatever it is.
            cells: the values of the variables in `program.cells`.

        Returns:
            The arrays that `fetched` and `written` give positions in.
        """
        if not self._is_plain:
            return None
        given = [*feeds, *cells]
        for value, x in zip(given, self._operands, strict=True):
            if (
                type(value) is not np.ndarray
                or value.dtype is not x.dtype
                or value.shape != x.shape
            ):
                return None
        try:
            return self._compute(given, None, GENERIC)
        except Repeat:
            return None

    def _compute(self, given: Sequence[Array], transaction: Any, way: Way) -> list[Array]:
        """The results, for the values of feeds and variables."""
        try:
            frame = self._frames.pop()
        except IndexError:
            try:
                frame = _Frame(self)
            except MemoryError as error:
                # One node may need less, or is to be named.
                raise Repeat(str(error)) from error
        arrays = frame.arrays
        steps = iter(frame.steps)
        token = NUMPY_ERRSTATE.set(POLICY.get())
        try:
            for (at, operand, staged), value in zip(self._given, given, strict=True):
                if not staged:
                    arrays[at] = fitting(value, operand)
                elif value.shape == operand.shape:
                    np.copyto(arrays[at], value)
                else:
                    raise Repeat(f"{operand!r} was to come, and an array of shape {value.shape}")
            for at, give in self._fresh:
                arrays[at] = give()
            if self._assigned_at:
                for at, array in zip(self._assigned_at, self._assigned.take(), strict=True):
                    arrays[at] = array
            arrays[TRANSACTION], arrays[WAY] = transaction, way
            for function, args in steps:
                function(*args)
            made = [arrays[at].copy() if copied else arrays[at] for at, copied in self._results]
            for i, shape in self._reshaped:
                made[i] = made[i].reshape(shape)
        except Repeat:
            raise
        except Exception as error:
            done = len(frame.steps) - operator.length_hint(steps)
            found = self._failure(done - 1, arrays, error)
            if found is error:
                raise
            raise found from error
        finally:
            NUMPY_ERRSTATE.reset(token)
            for at in self._free_slots:
                arrays[at] = None
            if len(self._frames) < _MOST_FRAMES:
                self._frames.append(frame)
        return made

    def _failure(self, position: int, arrays: list[Any], error: Exception) -> Exception:
        """What to raise for an error in a step."""
        step = self.steps[position] if position >= 0 else None
        if step is None or step.instruction is None:
            return Repeat(f"{error}")
        inputs = [None if at is None else arrays[at] for at in step.inputs]
        return failure(step.instruction, inputs, error)


def _is_kept(x: Operand) -> bool:
    """Whether a result's memory is used again when it is dropped."""
    return x.nbytes >= LEAST_BYTES and x.dtype.kind != "O"


def _giver(x: Operand) -> Callable[[], Array]:
    """Gives arrays for a result."""
    if _is_kept(x):
        return Recycler(x.shape, x.dtype).take
    return functools.partial(np.empty, x.shape, x.dtype)


class Bodies:
    """Computes the bodies of loops, each by code that is made when it is first run."""

    def __init__(self) -> None:
        self._codes: dict[Program, NumpyCode] = {}

    def __call__(self, body: Program, inputs: Sequence[Array]) -> list[Array]:
        """The fetches of a body: arrays that nobody else has."""
        code = self._codes.get(body)
        if code is None:
            # Making code changes the program: two threads must not do so at once.
            with lock:
                code = self._codes.get(body)
                if code is None:
                    code = self._codes[body] = NumpyCode(body)
        return code.run(inputs, {}, None, GENERIC)[0]


class _Frame:
    """What one run at a time needs: the arrays, and the steps bound to them."""

    __slots__ = ("arrays", "steps")

    def __init__(self, code: NumpyCode) -> None:
        self.arrays = code._places.arrays(code.arena)
        self.steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            step.bound(self.arrays, code._places) for step in code.steps
        ]

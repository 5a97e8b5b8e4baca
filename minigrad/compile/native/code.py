"""A program compiled to native code: how it is laid out, and how it is run."""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.arena import ALIGNMENT, Arena, Lifetime, plan_arena
from minigrad.compile.bodies import LoopForm
from minigrad.compile.body_runs import BodyCodes
from minigrad.compile.finishing import Finished
from minigrad.compile.fuse import Piece
from minigrad.compile.kernels import (
    Repeat,
    call,
    failure,
    fitting,
    is_plain,
    pure_kernel,
    seen,
    used_outputs,
)
from minigrad.compile.lock import lock
from minigrad.compile.loop_runs import run_loop
from minigrad.compile.native import blas, engine, host
from minigrad.compile.native.kernel import Arg, PieceCode
from minigrad.compile.native.linker import Code
from minigrad.compile.native.pieces import emit_pieces
from minigrad.compile.native.stretch import FAILED, UNFIT, Call, Place, emit_stretch, frame_of
from minigrad.compile.native.writer import Module
from minigrad.compile.numpy_backend import Bodies
from minigrad.compile.program import Instruction, Operand, Program, Sizes, own_results
from minigrad.compile.recycling import LEAST_BYTES, GroupRecycler, Recycler
from minigrad.core.floating import kernel_errstate
from minigrad.core.tensor import Array
from minigrad.executor.reference import Way

_empty = np.empty
#: In this run of a program it is compiled well; until then, quickly.
PATIENCE = 3
#: Programs that take longer, in nanoseconds, are compiled well at once: products that are compiled
#: quickly take ten times as long.
LONG_WORK = 2e6


class Stretch(NamedTuple):
    """Consecutive pieces that one native function computes.

    Attributes:
        name: the function's name.
        pieces: positions of the first piece and of the one after the last.
        blas: whether it calls BLAS.
    """

    name: str
    first: int
    stop: int


class NativeCode:
    """A program as native functions, with calls of NumPy kernels between them where need be.

    Many threads may run it at once: every run takes an arena of its own.

    Args:
        program: what to compute; it is changed so that its results own their memory.
        apart: make a function of every piece, so that each can be timed.
    """

    def __init__(self, program: Program, *, apart: bool = False) -> None:
        own_results(program, views=True)
        self.program = program
        self._apart = apart
        module = Module(host.vector_bytes())
        self.pieces, self.codes = emit_pieces(module, program)
        self._objects = _Objects(program, self.pieces, self.codes)
        self.arena = self._plan_arena()
        self.steps: list[Stretch | Instruction] = []
        self._cut(module)
        self.text = module.text()
        self._uses_blas = "@mg_sgemm" in self.text or "@mg_dgemm" in self.text
        #: The machine code in use, and what was in use before: a thread may still be in it.
        self._loaded: list[Code] = []
        self._runs = 0
        work = sum([phase.work for c in self.codes if c is not None for phase in c.kernel.phases])
        self._load(quick=not apart and work < LONG_WORK)
        self._wanted = used_outputs(program)
        self._run_body = Bodies()
        self._bodies = BodyCodes(NativeCode)
        self._free: list[_Memory] = []
        places = self._objects.places
        #: Where the results stand among the arrays of a run.
        self.fetched = [places[x.root] for x in program.fetches]
        self.written = [(key, places[x.root]) for key, x in program.writes.items()]
        self._given_away = {*self.fetched, *[at for _, at in self.written]}

    def _load(self, *, quick: bool) -> None:
        """Make machine code, quickly or well; both give the same results."""
        names = [s.name for s in self.steps if isinstance(s, Stretch)]
        entries: list[Callable[..., int] | Instruction] = []
        if names:
            code = engine.load(self.text, names, quick=quick)
            self._loaded.append(code)
        for step in self.steps:
            if isinstance(step, Stretch):
                entries.append(_entry(code.address(step.name)))
            else:
                entries.append(step)
        self._entries = entries
        #: The one function that does it all, if there is one; once it is worth entering directly.
        self._only: Callable[..., int] | None = None
        alone = len(entries) == 1 and not self._uses_blas and not quick
        if alone and not isinstance(entries[0], Instruction):
            self._only = entries[0]
        self._quick = quick

    def improve(self) -> None:
        """Make better machine code, for a program that is run again and again."""
        with lock:
            if self._quick:
                self._load(quick=False)

    # -- planning --------------------------------------------------------------------------

    def _plan_arena(self) -> Arena:
        """Give every value that is no object's a place in the arena, and scratch to kernels."""
        first: dict[Operand, int] = {}
        last: dict[Operand, int] = {}
        values: list[Lifetime] = []
        for i, (piece, code) in enumerate(zip(self.pieces, self.codes, strict=True)):
            for root in _roots(piece, code):
                if root not in self._objects.places:
                    first.setdefault(root, i)
                    last[root] = i
            if code is not None and code.kernel.scratch_bytes:
                values.append(Lifetime(i, code.kernel.scratch_bytes, i, i))
        values += [Lifetime(root, root.nbytes, first[root], last[root]) for root in first]
        return plan_arena(values)

    def _cut(self, module: Module) -> None:
        """Cut the pieces into stretches of native code and calls."""
        objects = self._objects
        calls: list[Call] = []
        start = 0

        def finish(stop: int) -> None:
            if calls:
                name = f"stretch{len(self.steps)}"
                emit_stretch(module, name, calls, len(objects.all))
                self.steps.append(Stretch(name, start, stop))
                calls.clear()

        for i, (piece, code) in enumerate(zip(self.pieces, self.codes, strict=True)):
            if code is None:
                finish(i)
                assert isinstance(piece, Instruction)
                self.steps.append(piece)
                start = i + 1
                continue
            if not calls:
                start = i
            places = [self._place(arg) for arg in (*code.reads, *code.writes)]
            more = [self._place(arg) for arg in code.more]
            calls.append(Call(code.kernel, places, self.arena.offsets.get(i, 0), more))
            if self._apart:
                finish(i + 1)
        finish(len(self.pieces))

    def _place(self, arg: Arg) -> Place:
        at = self._objects.places.get(arg.root)
        if at is not None:
            return Place(at, arg.offset)
        return Place(-1, self.arena.offsets[arg.root] + arg.offset)

    # -- running ---------------------------------------------------------------------------

    def run(
        self, feeds: Sequence[Array], cells: Mapping[int, Array], transaction: Any, way: Way
    ) -> tuple[list[Array], dict[int, Array]]:
        """Compute the program once.

        Args:
            feeds: an array for each feed, of its shape and dtype.
            cells: by cell key, the value of each variable that is read.
            transaction: the state that kernels with effects read and write.
            way: how kernels and bodies that are called run.

        Returns:
            The fetched arrays, and by cell key those to be assigned: all new.

        Raises:
            Repeat: a check has failed; the reference executor has to repeat the run.
        """
        if self._quick:
            self._runs += 1
            if self._runs >= PATIENCE:
                self.improve()
        try:
            arrays = self._arrays(feeds, [cells[key] for key in self.program.cells])
            memory = self._memory()
        except MemoryError as error:
            # One node may need less, or is to be named.
            raise Repeat(str(error)) from error
        try:
            if self._uses_blas:
                with blas.limited():
                    self._steps(arrays, memory, transaction, way)
            else:
                self._steps(arrays, memory, transaction, way)
        finally:
            self._free.append(memory)
        results = self.program.fetches
        return (
            [arrays[at].reshape(x.shape) for at, x in zip(self.fetched, results, strict=True)],
            {key: arrays[at].reshape(self.program.writes[key].shape) for key, at in self.written},
        )

    def direct(self, feeds: Sequence[Any], cells: Iterable[Any]) -> list[Any] | None:
        """The same with as little around it as can be, where one native function does it all.

        Args:
            feeds: what the caller gave, whatever it is.
            cells: the values of the variables in `program.cells`.

        Returns:
            The arrays that `fetched` and `written` give positions in; None if `run` has to be
            taken: a feed is no array of the right shape and dtype, say, or a check has failed.
        """
        entry = self._only
        if entry is None:
            # Whoever asks for this means to run it often.
            if not self._quick:
                return None
            self.improve()
            entry = self._only
            if entry is None:
                return None
        try:
            arrays = self._arrays(feeds, cells)
            memory = self._memory()
        except MemoryError:
            return None
        try:
            code = entry(arrays, memory.frame)
        finally:
            self._free.append(memory)
        return None if code else arrays

    def _arrays(self, feeds: Sequence[Any], cells: Iterable[Any]) -> list[Any]:
        objects = self._objects
        arrays = objects.all.copy()
        arrays[objects.given] = [*feeds, *cells]
        for at, shape, dtype in objects.small:
            arrays[at] = _empty(shape, dtype)
        for at, recycler in objects.large:
            arrays[at] = recycler.take()
        if objects.assigned is not None:
            arrays[objects.assigned_at] = objects.assigned.take()
        return arrays

    def _memory(self) -> _Memory:
        try:
            return self._free.pop()
        except IndexError:
            return _Memory(self.arena.size, self._objects.checked)

    def timed(
        self, feeds: Sequence[Array], cells: Mapping[int, Array], transaction: Any, way: Way
    ) -> list[float]:
        """The seconds that each piece takes in one run, of code made with ``apart=True``."""
        memory = self._memory()
        arrays = self._arrays(feeds, [cells[key] for key in self.program.cells])
        moments = [time.perf_counter()]
        with blas.limited():
            self._steps(arrays, memory, transaction, way, moments)
        self._free.append(memory)
        return [b - a for a, b in itertools.pairwise(moments)]

    def _steps(
        self,
        arrays: list[Any],
        memory: _Memory,
        transaction: Any,
        way: Way,
        moments: list[float] | None = None,
    ) -> None:
        for step in self._entries:
            self._step(step, arrays, memory, transaction, way)
            if moments is not None:
                moments.append(time.perf_counter())

    def _step(
        self, step: Any, arrays: list[Any], memory: _Memory, transaction: Any, way: Way
    ) -> None:
        """Compute a stretch, or one instruction."""
        if isinstance(step, Instruction):
            self._call(step, arrays, memory, transaction, way)
            return
        code = step(arrays, memory.frame)
        if code == UNFIT:
            # Feeds need not be in C order, aligned, or in this machine's order of bytes.
            for at, operand in self._objects.checked_operands:
                arrays[at] = np.require(
                    fitting(arrays[at], operand), operand.dtype, ["C", "A", "E"]
                )
            code = step(arrays, memory.frame)
        if code == FAILED:
            raise Repeat("a check has failed")
        if code == UNFIT:
            raise Repeat("an array is not laid out as NumPy's are")

    def _call(
        self, step: Instruction, arrays: list[Any], memory: _Memory, transaction: Any, way: Way
    ) -> None:
        """Compute one instruction with its NumPy kernel."""
        inputs = [None if x is None else self._array(x, arrays, memory) for x in step.inputs]
        used = self._wanted.get(step, ())
        try:
            with kernel_errstate():
                if isinstance(step.form, LoopForm):
                    made: Any = run_loop(step.form, inputs, self._run_body)
                elif is_plain(step):
                    made = pure_kernel(step, way)(*inputs)
                else:
                    runner = self._bodies.runner
                    made = call(self.program, step, inputs, used, transaction, way, runner)
        except Repeat:
            raise
        except Exception as error:
            found = failure(step, inputs, error)
            if found is error:
                raise
            raise found from error
        if step.primitive is None or step.primitive.single:
            made = (made,)
        for i, (operand, array) in enumerate(zip(step.outputs, made, strict=True)):
            if used and not used[i]:
                continue
            at = self._objects.places.get(operand)
            if at is not None:
                array = fitting(array, operand)
                # A kernel may return an input, a view, or what it keeps for the next time; and
                # the arena's memory is soon used again.
                given = at in self._given_away or np.may_share_memory(array, memory.block)
                arrays[at] = np.array(array) if given else array

    def _array(self, x: Operand, arrays: list[Any], memory: _Memory) -> Array:
        if x.constant is not None:
            return x.constant
        root = x.root
        at = self._objects.places.get(root)
        if at is not None and self._objects.given.start <= at < self._objects.given.stop:
            array = arrays[at] = fitting(arrays[at], root)
        elif at is not None:
            # A result may have been given the shape of the view that is fetched.
            array = arrays[at].reshape(root.shape)
        else:
            start = self.arena.offsets[root]
            array = np.ndarray(root.shape, root.dtype, memory.block, memory.start + start)
        return seen(x, array)


class _Objects:
    """The arrays that native code is handed: what each is, and where it stands among them."""

    def __init__(
        self,
        program: Program,
        pieces: Sequence[Piece | Finished],
        codes: Sequence[PieceCode | None],
    ) -> None:
        self.all: list[Any] = []
        self.places: dict[Operand, int] = {}
        for piece, code in zip(pieces, codes, strict=True):
            for root in _roots(piece, code):
                if root.constant is not None:
                    self._add(root, root.constant)
        start = len(self.all)
        given = [*program.feeds, *program.cells.values()]
        for x in given:
            self._add(x)
        #: Where feeds and variables stand.
        self.given = slice(start, len(self.all))
        #: What is checked in every run: positions, and what is expected there.
        self.checked_operands = [(self.places[x], x) for x in given]
        self.checked = [(at, x.dtype, x.shape) for at, x in self.checked_operands]
        called = [
            x
            for piece, code in zip(pieces, codes, strict=True)
            if code is None and isinstance(piece, Instruction)
            for x in piece.outputs
        ]
        for x in called:
            self._add(x)
        #: What native code makes and the run gives away.
        self.small: list[tuple[int, Sizes, np.dtype[Any]]] = []
        self.large: list[tuple[int, Recycler]] = []
        for x in program.fetches:
            if x.root not in self.places:
                at = self._add(x.root)
                if x.nbytes < LEAST_BYTES:
                    self.small.append((at, x.shape, x.dtype))
                else:
                    self.large.append((at, Recycler(x.shape, x.dtype)))
        start = len(self.all)
        assigned = [x for x in program.writes.values() if x.root not in self.places]
        for x in assigned:
            self._add(x.root)
        #: What is assigned to variables, and where it stands.
        self.assigned_at = slice(start, len(self.all))
        self.assigned: GroupRecycler | None = None
        if assigned:
            self.assigned = GroupRecycler([(x.shape, x.dtype) for x in assigned])

    def _add(self, operand: Operand, array: Array | None = None) -> int:
        at = self.places.get(operand)
        if at is None:
            at = self.places[operand] = len(self.all)
            self.all.append(array)
        return at


class _Memory:
    """One arena, and the frame that tells native code where it is."""

    __slots__ = ("_frame", "block", "frame", "start")

    def __init__(self, size: int, checked: Sequence[tuple[int, np.dtype[Any], Sizes]]) -> None:
        self.block = np.empty(size + ALIGNMENT, np.uint8)
        address = self.block.ctypes.data
        self.start = -address % ALIGNMENT
        self._frame = frame_of(address + self.start, checked)
        self.frame = self._frame.ctypes.data


def _roots(piece: Piece | Finished, code: PieceCode | None) -> list[Operand]:
    """What a piece reads and writes in memory; of constants the operand itself."""
    if code is not None:
        return [arg.root for arg in code.args]
    assert isinstance(piece, Instruction)
    read = [x.root for x in piece.inputs if x is not None and x.constant is None]
    return [*read, *piece.outputs]


def _entry(address: int) -> Callable[..., int]:
    """The function at an address, entered with the GIL, which raises what it has set."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.py_object, ctypes.c_void_p)
    return prototype(address)

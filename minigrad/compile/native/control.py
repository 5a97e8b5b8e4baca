"""Branches and loops in native code: functions that run the kernels of bodies.

A body is laid out like a program of its own: what it is given and what it returns are pointers in
a table, what is between lies in the scratch memory of the branch or loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.arena import ALIGNMENT, Lifetime, plan_arena
from minigrad.compile.bodies import CaseForm, LoopForm
from minigrad.compile.loops.rows import by_rows
from minigrad.compile.native.kernel import (
    Arg,
    Kernel,
    Phase,
    PieceCode,
    kernel_function,
    operand,
)
from minigrad.compile.native.stretch import PARALLEL_WORK, STOPPED, Call, Place, emit_part
from minigrad.compile.native.types import BOOL, I8, I32, I64, PTR, Type, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.program import Instruction, Operand, Program

#: Of a loop whose number of runs is not known beforehand, the nanoseconds it is taken to need.
_UNKNOWN_WORK = 1e9
#: Of runs that take longer, in nanoseconds, the threads share each one, not the rows of all.
_LONG_RUN = 1e6
#: Loops that take longer look for signals, which they cannot where threads go through all runs.
_LONGEST_WORK = 2e8
#: How many short runs of a body there are between two looks for signals.
_RUNS_A_POLL = 64

#: Cuts a program and writes its functions; see `minigrad.compile.native.pieces.emit_pieces`.
EmitPieces = Callable[[Module, Program], tuple[Any, "list[PieceCode | None]"]]


class _Block(NamedTuple):
    """The code of a body.

    Attributes:
        function: ``i32 @f(ptr table, ptr scratch, ptr flag, ptr state)``.
        table: what the pointers in the table point to: feeds, then fetches, then constants.
        scratch: bytes of memory that it needs.
        work: nanoseconds of one run.
        pieces: what it consists of.
    """

    function: str
    table: list[Operand]
    scratch: int
    work: float
    pieces: Sequence[Any]


def _emit_block(
    module: Module, program: Program, emit_pieces: EmitPieces, *, alone: bool = False
) -> _Block | None:
    """Write the code of a body, for one thread or all; None if a part of it has no native form."""
    pieces, made = emit_pieces(module, program)
    codes = [code for code in made if code is not None]
    if len(codes) < len(made):
        return None
    table = [*program.feeds, *program.fetches]
    places = {x: Place(i, 0) for i, x in enumerate(table)}
    lifetimes = []
    last: dict[Operand, int] = {}
    first: dict[Operand, int] = {}
    for i, code in enumerate(codes):
        for arg in code.args:
            if arg.root.constant is not None and arg.root not in places:
                places[arg.root] = Place(len(table), 0)
                table.append(arg.root)
            if arg.root not in places:
                first.setdefault(arg.root, i)
                last[arg.root] = i
        if code.kernel.scratch_bytes:
            lifetimes.append(Lifetime(i, code.kernel.scratch_bytes, i, i))
    lifetimes += [Lifetime(x, x.nbytes, first[x], last[x]) for x in first]
    arena = plan_arena(lifetimes)
    for x in first:
        places[x] = Place(-1, arena.offsets[x])

    def placed(args: Sequence[Arg]) -> list[Place]:
        found = [(places[arg.root], arg.offset) for arg in args]
        return [Place(at.object, at.offset + offset) for at, offset in found]

    calls = [
        Call(
            code.kernel,
            placed([*code.reads, *code.writes]),
            arena.offsets.get(i, 0),
            placed(code.more),
        )
        for i, code in enumerate(codes)
    ]
    name = module.shared(
        ("block", program),
        lambda name: emit_part(module, name, calls, polling=False, alone=alone),
    )
    work = sum([phase.work for code in codes for phase in code.kernel.phases])
    return _Block(name, table, arena.size, work + 5.0 * len(calls), pieces)


def _estimate(body: Program) -> float:
    """About how many nanoseconds a body takes, before there is code of it."""
    work = 0.0
    for step in body.instructions:
        each = 0.5
        if step.kind == "product":
            (a, _) = step.inputs
            each = 0.02 * a.shape[-1]  # type: ignore[union-attr]
        work += each * sum([x.size for x in step.outputs])
    return work


# -- loops -------------------------------------------------------------------------------------


def emit_loop(
    module: Module, step: Instruction, form: LoopForm, emit_pieces: EmitPieces
) -> PieceCode | None:
    """Write the function of a loop; None if it must be run by its kernel."""
    inputs = _whole(step)
    if inputs is None:
        return None
    rows = by_rows(form)
    if rows is not None and form.runs is not None:
        work = _estimate(rows.body)
        if work < _LONG_RUN and PARALLEL_WORK < work * form.runs * rows.blocks < _LONGEST_WORK:
            block = _emit_block(module, rows.body, emit_pieces, alone=True)
            if block is None:
                return None
            outputs = step.outputs
            return _LoopWriter(module, inputs, outputs, form, block, None, rows.blocks).run()
    body = _emit_block(module, form.body, emit_pieces)
    cond = None if form.cond is None else _emit_block(module, form.cond, emit_pieces)
    if body is None or (form.cond is not None and cond is None):
        return None
    return _LoopWriter(module, inputs, step.outputs, form, body, cond).run()


class _LoopWriter:
    """The state of writing one loop."""

    def __init__(
        self,
        module: Module,
        inputs: Sequence[Operand],
        outputs: Sequence[Operand],
        form: LoopForm,
        body: _Block,
        cond: _Block | None,
        blocks: int = 1,
    ) -> None:
        self.module = module
        #: The rows are cut into so many parts, each of which goes through all runs by itself.
        self.blocks = blocks
        self.form = form
        self.body = body
        self.cond = cond
        self.given = form.split(inputs)
        made = form.outputs(outputs)
        constants = [x for block in (body, cond) if block for x in _constants(block)]
        self.reads = _distinct([*inputs, *constants])
        self.carries = made.carries
        self.results = [x for x, seen in zip(made.results, form.results, strict=True) if seen]
        self.histories = [
            x if seen else None for x, seen in zip(made.histories, form.histories, strict=True)
        ]
        histories = [x for x in self.histories if x is not None]
        self.count = made.count
        self.writes = [*self.carries, *self.results, self.count, *histories]
        self.args = {x: i for i, x in enumerate([*self.reads, *self.writes])}
        #: Two buffers for every carried value, then the memory of the bodies.
        self.buffers: list[tuple[int, int]] = []
        at = 0
        for x in self.given.carries:
            size = -(-x.nbytes // blocks // ALIGNMENT) * ALIGNMENT
            self.buffers.append((at, at + size))
            at += 2 * size
        self.answer = at
        self.memory = at + ALIGNMENT
        self.scratch = self.memory + max(body.scratch, cond.scratch if cond else 0)

    def run(self) -> PieceCode:
        """Write it."""
        w = self.w = kernel_function(self.module)
        self.pointers = {x: operand(w, i) for x, i in self.args.items()}
        n = len(self.args)
        self.base, self.flag = operand(w, n), operand(w, n + 1)
        self.table = w.reserve(max(len(self.body.table), 1), PTR)
        self.asked = w.reserve(max(len(self.cond.table) if self.cond else 0, 1), PTR)
        if self.blocks == 1:
            self.state = operand(w, n + 2)
            self._fixed_pointers()
            w.store(self._loop(), self.pointers[self.count])
        else:
            self._blocks()
        count = self.form.runs
        work = self.body.work * count * self.blocks if count is not None else _UNKNOWN_WORK
        phase = Phase(w.finish_once(), self.blocks, work)
        scratch = self.scratch * self.blocks
        kernel = Kernel((phase,), scratch, stops=self.blocks == 1)
        asked = self.cond.pieces if self.cond else ()
        inside = [*[("condition", p) for p in asked], *[("each run", p) for p in self.body.pieces]]
        writes = [Arg(x) for x in self.writes]
        return PieceCode(kernel, _args(self.reads), writes, inside=inside)

    def _blocks(self) -> None:
        """Write a loop over blocks of rows, each of which goes through all runs."""
        w = self.w
        self.state = w.const(0, PTR)
        base = self.base
        with w.loop(w.parameters[1], w.parameters[2]) as unit:
            self.unit = unit.index
            self.base = w.at(base, w.mul(unit.index, w.index(self.scratch)), I8)
            self._fixed_pointers()
            self._loop()
            with w.when(w.compare("==", unit.index, w.index(0))):
                w.store(w.index(self.form.runs or 0), self.pointers[self.count])

    def _rows(self, x: Operand, size: int) -> Value:
        """Where the rows of the current block begin, in an operand with `size` bytes of all."""
        pointer = self.pointers[x]
        if self.blocks == 1:
            return pointer
        return self.w.at(pointer, self.w.mul(self.unit, self.w.index(size // self.blocks)), I8)

    def _fixed_pointers(self) -> None:
        """Fill in what the tables hold that is the same in every run."""
        w, given = self.w, self.given
        self.place = w.at(self.base, self.memory, I8)
        split = len(given.carries) + len(given.slices)
        for k, x in enumerate(given.captured):
            self._put(self.table, split + k, self.pointers[x])
        for k, x in enumerate(self.body.table):
            if x.constant is not None:
                self._put(self.table, k, self.pointers[x])
        if self.cond is not None:
            for k, x in enumerate(given.asked):
                self._put(self.asked, len(given.carries) + k, self.pointers[x])
            for k, x in enumerate(self.cond.table):
                if x.constant is not None:
                    self._put(self.asked, k, self.pointers[x])
            answer = w.at(self.base, self.answer, I8)
            self._put(self.asked, len(self.form.cond.feeds), answer)  # type: ignore[union-attr]

    def _put(self, table: Value, position: int, pointer: Value) -> None:
        self.w.store(pointer, self.w.at(table, position, PTR))

    def _loop(self) -> Value:
        """Write the runs; how many there were."""
        w, given = self.w, self.given
        head, start, done = w.label("head"), w.label("start"), w.label("done")
        last = self._limit()
        before = w.block
        first = [self._rows(x, x.nbytes) for x in given.carries]
        self._remember_first(first, last)
        before = w.block
        w.put(f"br label %{head}")
        w.begin(head)
        place = w.size
        index = w.later(I64)
        carried = [w.later(PTR) for _ in given.carries]
        on = w.make(BOOL, f"icmp slt {index.typed}, {last.text}") if last else w.const(True, BOOL)
        if self.cond is not None:
            for k, pointer in enumerate(carried):
                self._put(self.asked, k, pointer)
            w.call(self.cond.function, self.asked, self.place, self.flag, self.state, result=I32)
            on = w.and_(on, w.load(w.at(self.base, self.answer, I8), BOOL))
        on = w.and_(on, w.compare("==", w.load(self.flag, I32), w.const(0, I32)))
        w.put(f"br i1 {on.text}, label %{start}, label %{done}")
        w.begin(start)
        following = self._run(index, carried, last)
        w.call(self.body.function, self.table, self.place, self.flag, self.state, result=I32)
        if self.blocks == 1:
            self._poll(index)
        after = w.add(index, w.index(1))
        end = w.block
        w.put(f"br label %{head}")
        phis = [f"{index.text} = phi i64 [0, %{before}], [{after.text}, %{end}]"]
        for pointer, old, new in zip(carried, first, following, strict=True):
            phis.append(f"{pointer.text} = phi ptr [{old.text}, %{before}], [{new.text}, %{end}]")
        w.put_in(place, phis)
        w.begin(done)
        for x, out, pointer in zip(given.carries, self.carries, carried, strict=True):
            if out.shape == x.shape:  # Others are read by nobody.
                _copy(w, self._rows(out, x.nbytes), pointer, x.nbytes // self.blocks)
        return index

    def _limit(self) -> Value | None:
        w = self.w
        if self.form.runs is not None:
            return w.index(self.form.runs)
        limit = self.given.limit
        if limit is None:
            return None
        t = I32 if limit.dtype.itemsize == 4 else I64
        return w.convert(w.load(self.pointers[limit], t), I64)

    def _position(self, run: Value, last: Value | None) -> Value:
        """Where a run's slices and results lie."""
        w = self.w
        if not self.form.reverse or last is None:
            return run
        return w.sub(w.sub(last, w.index(1)), run)

    def _remember_first(self, first: list[Value], last: Value | None) -> None:
        w = self.w
        for x, history, pointer in zip(self.given.carries, self.histories, first, strict=True):
            if history is not None:
                at = w.mul(self._position(w.index(0), last), w.index(x.nbytes))
                target = w.at(self._rows(history, x.nbytes), at, I8)
                _copy(w, target, pointer, x.nbytes // self.blocks)

    def _run(self, index: Value, carried: list[Value], last: Value | None) -> list[Value]:
        """Fill the table for one run; where the carried values will be after it."""
        w, given = self.w, self.given
        position = self._position(index, last)
        odd = w.make(BOOL, f"trunc i64 {index.text} to i1")
        for k, pointer in enumerate(carried):
            self._put(self.table, k, pointer)
        for k, x in enumerate(given.slices):
            size = x.nbytes // x.shape[0]
            at = w.mul(position, w.index(size))
            self._put(self.table, len(carried) + k, w.at(self._rows(x, size), at, I8))
        outputs = len(self.form.body.feeds)
        following = []
        for k, (x, history) in enumerate(zip(given.carries, self.histories, strict=True)):
            one, two = self.buffers[k]
            target = w.select(odd, w.at(self.base, two, I8), w.at(self.base, one, I8))
            if history is not None and last is not None:
                after = w.add(index, w.index(1))
                at = w.mul(self._position(after, last), w.index(x.nbytes))
                inside = w.at(self._rows(history, x.nbytes), at, I8)
                target = w.select(w.compare("<", after, last), inside, target)
            following.append(target)
            self._put(self.table, outputs + k, target)
        for k, x in enumerate(self.results):
            size = x.nbytes // x.shape[0]
            at = w.mul(position, w.index(size))
            place = w.at(self._rows(x, size), at, I8)
            self._put(self.table, outputs + len(carried) + k, place)
        return following

    def _poll(self, index: Value) -> None:
        """Look for signals now and then, where the GIL is released."""
        w = self.w
        w.module.declare("i32 @mg_poll(ptr)")
        every = 1 if self.body.work > 1e5 else _RUNS_A_POLL
        due = w.compare("==", w.and_(index, w.index(every - 1)), w.index(0))
        held = w.make(BOOL, f"icmp ne ptr {self.state.text}, null")
        with w.when(w.and_(due, held)):
            code = w.call("mg_poll", self.state, result=I32)
            assert code is not None
            with w.when(w.compare("!=", code, w.const(0, I32))):
                w.store(w.const(STOPPED, I32), self.flag)


# -- branches ----------------------------------------------------------------------------------


def emit_case(
    module: Module, step: Instruction, form: CaseForm, emit_pieces: EmitPieces
) -> PieceCode | None:
    """Write the function of a choice between bodies; None if it must be run by its kernel."""
    inputs = _whole(step)
    if inputs is None:
        return None
    blocks = []
    for program in form.branches:
        block = _emit_block(module, program, emit_pieces)
        if block is None:
            return None
        blocks.append(block)
    index = inputs[0]
    given = form.layout.captured(inputs)
    reads = _distinct([*inputs, *[x for block in blocks for x in _constants(block)]])
    writes = [x for x, seen in zip(step.outputs, form.wanted, strict=False) if seen]
    args = {x: i for i, x in enumerate([*reads, *writes])}
    w = kernel_function(module)
    base, flag, state = [operand(w, len(args) + i) for i in range(3)]
    table = w.reserve(max([len(block.table) for block in blocks]), PTR)
    chosen = w.convert(w.load(operand(w, args[index]), _integer(index)), I64)
    labels = [w.label("branch") for _ in blocks]
    done = w.label("done")
    cases = " ".join([f"i64 {i}, label %{labels[i]}" for i in range(len(blocks) - 1)])
    w.put(f"switch {chosen.typed}, label %{labels[-1]} [{cases}]")
    for label, block, captured in zip(labels, blocks, given, strict=True):
        w.begin(label)
        for k, x in enumerate([*captured, *writes, *_constants(block)]):
            w.store(operand(w, args[x]), w.at(table, k, PTR))
        w.call(block.function, table, base, flag, state, result=I32)
        w.put(f"br label %{done}")
    w.begin(done)
    scratch = max([block.scratch for block in blocks])
    work = max([block.work for block in blocks])
    kernel = Kernel((Phase(w.finish_once(), 1, work),), max(scratch, 1), stops=True)
    inside = [(f"branch {i}", p) for i, block in enumerate(blocks) for p in block.pieces]
    return PieceCode(kernel, _args(reads), [Arg(x) for x in writes], inside=inside)


def _whole(step: Instruction) -> list[Operand] | None:
    """The inputs with their elements in C order, constants too; None if one lies otherwise."""
    inputs = []
    for x in step.inputs:
        if x is None or (x.constant is None and not x.is_contiguous):
            return None
        if x.constant is not None and not x.constant.flags.c_contiguous:
            x = Operand(x.shape, x.dtype, constant=np.array(x.constant, order="C"), label=x.label)
        inputs.append(x)
    return inputs


def _distinct(operands: Sequence[Operand | None]) -> list[Operand]:
    """Every operand that is there, once."""
    return [x for x in dict.fromkeys(operands) if x is not None]


def _args(operands: Sequence[Operand]) -> list[Arg]:
    return [Arg(x.root, x.offset * x.dtype.itemsize) for x in operands]


def _integer(x: Operand) -> Type:
    return type_of(x.dtype)


def _constants(block: _Block) -> list[Operand]:
    return [x for x in block.table if x.constant is not None]


def _copy(w: Writer, target: Value, source: Value, size: int) -> None:
    w.module.declare("void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)")
    w.put(
        f"call void @llvm.memmove.p0.p0.i64(ptr {target.text}, ptr {source.text}, i64 {size}, "
        "i1 false)"
    )

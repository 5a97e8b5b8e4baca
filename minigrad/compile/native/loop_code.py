"""Writes the function of a loop, around that of its body."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.compile.arena import ALIGNMENT
from minigrad.compile.bodies import LoopForm
from minigrad.compile.native.body_code import BodyCode, args_of, constants_of, distinct
from minigrad.compile.native.kernel import Arg, Kernel, Phase, PieceCode, kernel_function, operand
from minigrad.compile.native.stretch import STOPPED
from minigrad.compile.native.types import BOOL, I8, I32, I64, PTR
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.program import Operand

#: Of a loop whose number of runs is not known beforehand, the nanoseconds it is taken to need.
_UNKNOWN_WORK = 1e9
#: Of blocks of rows that go through runs apart, the nanoseconds of one core after which the threads
#: meet, and signals are looked for. The estimate may be a hundred times too low.
_MEETING_WORK = 4e6
#: How many short runs of a body there are between two looks for signals.
_RUNS_A_POLL = 64


class LoopWriter:
    """The state of writing one loop."""

    def __init__(
        self,
        module: Module,
        inputs: Sequence[Operand],
        outputs: Sequence[Operand],
        form: LoopForm,
        body: BodyCode,
        cond: BodyCode | None,
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
        constants = [x for block in (body, cond) if block for x in constants_of(block)]
        self.reads = distinct([*inputs, *constants])
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
        #: Where the first run of those that blocks of rows go through is written.
        self.start = self.scratch * blocks

    def run(self) -> PieceCode:
        """Write it."""
        name = self._whole_rows() if self.blocks == 1 else self._meetings(self._blocks())
        count = self.form.runs
        work = self.body.work * count * self.blocks if count is not None else _UNKNOWN_WORK
        scratch = self.scratch if self.blocks == 1 else self.start + ALIGNMENT
        kernel = Kernel((Phase(name, 1, work),), scratch, stops=True)
        asked = self.cond.pieces if self.cond else ()
        inside = [*[("condition", p) for p in asked], *[("each run", p) for p in self.body.pieces]]
        writes = [Arg(x) for x in self.writes]
        return PieceCode(kernel, args_of(self.reads), writes, inside=inside, blocks=self.blocks)

    def _begin(self) -> Writer:
        """Begin a function with the loop's args."""
        w = self.w = kernel_function(self.module)
        self.pointers = {x: operand(w, i) for x, i in self.args.items()}
        n = len(self.args)
        self.base, self.flag, self.state = [operand(w, n + i) for i in range(3)]
        return w

    def _tables(self) -> None:
        self.table = self.w.reserve(max(len(self.body.table), 1), PTR)
        self.asked = self.w.reserve(max(len(self.cond.table) if self.cond else 0, 1), PTR)

    def _whole_rows(self) -> str:
        """Write a function of all runs."""
        w = self._begin()
        self._tables()
        self._fixed_pointers()
        count, carried = self._loop(w.index(0), self._limit())
        self._give_out(carried)
        w.store(count, self.pointers[self.count])
        return w.finish_once()

    def _blocks(self) -> str:
        """Write a function of blocks of rows, each of which goes through some runs by itself."""
        w = self._begin()
        self._tables()
        base = self.base
        self.state = w.const(0, PTR)
        begin = w.load(w.at(base, self.start, I8), I64)
        runs = w.index(self.form.runs or 0)
        end = w.minimum(w.add(begin, w.index(self._runs_together())), runs)
        with w.loop(w.parameters[1], w.parameters[2]) as unit:
            self.unit = unit.index
            self.base = w.at(base, w.mul(unit.index, w.index(self.scratch)), I8)
            self._fixed_pointers()
            _, carried = self._loop(begin, end)
            with w.when(w.compare("==", end, runs)):
                self._give_out(carried)
        return w.finish_once()

    def _meetings(self, blocks: str) -> str:
        """Write a function that lets threads go through some runs, looks for signals, and so on."""
        w = self._begin()
        w.module.declare("void @mg_parallel(ptr, ptr, i64)")
        runs = self.form.runs or 0
        with w.loop(0, runs, self._runs_together()) as loop:
            good = w.compare("==", w.load(self.flag, I32), w.const(0, I32))
            with w.when(good):
                w.store(loop.index, w.at(self.base, self.start, I8))
                args = w.parameters[0]
                w.put(f"call void @mg_parallel(ptr @{blocks}, {args.typed}, i64 {self.blocks})")
                with w.when(w.make(BOOL, f"icmp ne ptr {self.state.text}, null")):
                    self._poll()
        w.store(w.index(runs), self.pointers[self.count])
        return w.finish_once()

    def _runs_together(self) -> int:
        """How many runs blocks of rows go through before the threads meet."""
        return max(1, int(_MEETING_WORK / (self.body.work * self.blocks)))

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

    def _loop(self, begin: Value, last: Value | None) -> tuple[Value, list[Value]]:
        """Write the runs from one to before another; the run after them, and the carried values."""
        w, given = self.w, self.given
        head, start, done = w.label("head"), w.label("start"), w.label("done")
        first = [self._rows(x, x.nbytes) for x in given.carries]
        if self.blocks == 1:
            self._remember_first(first)
        else:
            fresh = w.compare("==", begin, w.index(0))
            with w.when(fresh):
                self._remember_first(first)
            later = self._carried_after(w.sub(begin, w.index(1)))
            first = [w.select(fresh, x, y) for x, y in zip(first, later, strict=True)]
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
        following = self._run(index, carried)
        w.call(self.body.function, self.table, self.place, self.flag, self.state, result=I32)
        if self.blocks == 1:
            self._poll_in(index)
        after = w.add(index, w.index(1))
        end = w.block
        w.put(f"br label %{head}")
        phis = [f"{index.text} = phi i64 [{begin.text}, %{before}], [{after.text}, %{end}]"]
        for pointer, old, new in zip(carried, first, following, strict=True):
            phis.append(f"{pointer.text} = phi ptr [{old.text}, %{before}], [{new.text}, %{end}]")
        w.put_in(place, phis)
        w.begin(done)
        return index, carried

    def _give_out(self, carried: list[Value]) -> None:
        """Copy the carried values to where they are read after the loop."""
        for x, out, pointer in zip(self.given.carries, self.carries, carried, strict=True):
            if out.shape == x.shape:  # Others are read by nobody.
                _copy(self.w, self._rows(out, x.nbytes), pointer, x.nbytes // self.blocks)

    def _limit(self) -> Value | None:
        w = self.w
        if self.form.runs is not None:
            return w.index(self.form.runs)
        limit = self.given.limit
        if limit is None:
            return None
        t = I32 if limit.dtype.itemsize == 4 else I64
        return w.convert(w.load(self.pointers[limit], t), I64)

    def _position(self, run: Value) -> Value:
        """Where a run's slices and results lie."""
        w, runs = self.w, self.form.runs
        if not self.form.reverse or runs is None:
            return run
        return w.sub(w.index(runs - 1), run)

    def _remember_first(self, first: list[Value]) -> None:
        w = self.w
        for x, history, pointer in zip(self.given.carries, self.histories, first, strict=True):
            if history is not None:
                at = w.mul(self._position(w.index(0)), w.index(x.nbytes))
                target = w.at(self._rows(history, x.nbytes), at, I8)
                _copy(w, target, pointer, x.nbytes // self.blocks)

    def _run(self, index: Value, carried: list[Value]) -> list[Value]:
        """Fill the table for one run; where the carried values will be after it."""
        w, given = self.w, self.given
        position = self._position(index)
        for k, pointer in enumerate(carried):
            self._put(self.table, k, pointer)
        for k, x in enumerate(given.slices):
            size = x.nbytes // x.shape[0]
            at = w.mul(position, w.index(size))
            self._put(self.table, len(carried) + k, w.at(self._rows(x, size), at, I8))
        outputs = len(self.form.body.feeds)
        following = self._carried_after(index)
        for k, target in enumerate(following):
            self._put(self.table, outputs + k, target)
        for k, x in enumerate(self.results):
            size = x.nbytes // x.shape[0]
            at = w.mul(position, w.index(size))
            place = w.at(self._rows(x, size), at, I8)
            self._put(self.table, outputs + len(carried) + k, place)
        return following

    def _carried_after(self, run: Value) -> list[Value]:
        """Where a run leaves the carried values: in their histories, or in one buffer of two."""
        w, runs = self.w, self.form.runs
        odd = w.make(BOOL, f"trunc i64 {run.text} to i1")
        after = w.add(run, w.index(1))
        targets = []
        for (one, two), x, history in zip(
            self.buffers, self.given.carries, self.histories, strict=True
        ):
            target = w.select(odd, w.at(self.base, two, I8), w.at(self.base, one, I8))
            if history is not None and runs is not None:
                at = w.mul(self._position(after), w.index(x.nbytes))
                inside = w.at(self._rows(history, x.nbytes), at, I8)
                target = w.select(w.compare("<", after, w.index(runs)), inside, target)
            targets.append(target)
        return targets

    def _poll_in(self, index: Value) -> None:
        """Look for signals now and then, where the GIL is released."""
        w = self.w
        every = 1 if self.body.work > 1e5 else _RUNS_A_POLL
        due = w.compare("==", w.and_(index, w.index(every - 1)), w.index(0))
        held = w.make(BOOL, f"icmp ne ptr {self.state.text}, null")
        with w.when(w.and_(due, held)):
            self._poll()

    def _poll(self) -> None:
        w = self.w
        w.module.declare("i32 @mg_poll(ptr)")
        code = w.call("mg_poll", self.state, result=I32)
        assert code is not None
        with w.when(w.compare("!=", code, w.const(0, I32))):
            w.store(w.const(STOPPED, I32), self.flag)


def _copy(w: Writer, target: Value, source: Value, size: int) -> None:
    w.module.declare("void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)")
    w.put(
        f"call void @llvm.memmove.p0.p0.i64(ptr {target.text}, ptr {source.text}, i64 {size}, "
        "i1 false)"
    )

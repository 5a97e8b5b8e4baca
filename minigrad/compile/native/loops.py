"""Native code of a fused group: a loop over rows, and in each row sweeps over its elements.

The rows are the outer dimensions of the group's domain, joined into one; units of work are blocks
of rows. A reduction over rows leaves one partial result for every unit; a last function joins them
in the order of the units, so that results do not depend on who computed which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from minigrad.compile.fuse import Access, Group
from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.loop_space import Space
from minigrad.compile.native.partial_results import Places, join_all, join_columns, joining_of
from minigrad.compile.native.scalars import Scalars
from minigrad.compile.native.sweeps import (
    SEGMENT,
    STRAIGHT,
    Joining,
    rounded_up,
    sweep,
    total,
)
from minigrad.compile.native.types import BOOL, I32, PTR, Type, memory_bytes, type_of
from minigrad.compile.native.writer import Module, Value
from minigrad.compile.phases import DEAR, Phases
from minigrad.compile.program import Instruction, Operand, Sizes

#: Values kept between sweeps lie on the stack, up to this many bytes of them: threads may have
#: little of it, 512 KB where a system gives the least.
STACK_BYTES = 131072
#: Bodies with more of these ops call functions for them instead of holding their code.
INLINED_DEAR = 6


class GroupCode(NamedTuple):
    """The kernel of a group, and what its args are.

    Attributes:
        kernel: its functions.
        reads: the operands whose memory it reads, in the order of the args.
        writes: those that it writes, which follow. Then come scratch memory, if any, and the
            flag that a failed check sets.
    """

    kernel: Kernel
    reads: list[Operand]
    writes: list[Operand]


def emit_group(module: Module, group: Group, needed: Collection[Operand]) -> GroupCode:
    """Write the functions of a group.

    Args:
        module: where to.
        group: what to compute.
        needed: which of its values must be in memory afterwards.
    """
    return _GroupEmitter(module, group, needed).run()


class _GroupEmitter:
    """The state of writing one group."""

    def __init__(self, module: Module, group: Group, needed: Collection[Operand]) -> None:
        self.module = module
        self.group = group
        self.phases = Phases(group, needed)
        levels = group.levels
        self.late = [s for s in group.steps if s.kind == "reduce" and levels[s.output] == "late"]
        self.columns = [s for s in self.late if s.output.size != 1]
        self.totals = [s for s in self.late if s.output.size == 1]
        self.space = Space(module.vector_bytes, group, self.phases, reduces_rows=bool(self.late))
        #: Values kept between sweeps that fit the stack; others get memory of their own.
        self.spilled: list[Operand] = []
        room = STACK_BYTES
        for out in self.phases.kept:
            size = self.space.row_elements * out.dtype.itemsize
            if size <= room:
                self.spilled.append(out)
                room -= size
        spilled = set(self.spilled)
        self.full_writes = [out for out in self.phases.stored if out not in spilled]
        row_writes = [out for out, level in levels.items() if level == "row" and out in needed]
        self.writes = [*self.full_writes, *row_writes, *[s.output for s in self.late]]
        self._write_at = {out: len(self.space.reads) + i for i, out in enumerate(self.writes)}
        self._scratch_at = len(self.space.reads) + len(self.writes)
        self._flag_at = self._scratch_at + 1
        dear = sum([s.name in DEAR for sweep_ in self.phases.sweeps for s in sweep_])
        self.inline = dear <= INLINED_DEAR

    # -- writing ---------------------------------------------------------------------------

    def run(self) -> GroupCode:
        """Write everything."""
        self.scratch: dict[Instruction, int] = {}
        size = 0
        for step in self.late:
            each = (
                self.space.row_elements * step.output.dtype.itemsize if step in self.columns else 8
            )
            if step in self.totals or self.space.units_of_batch > 1:
                self.scratch[step] = size
                size += -(-self.space.units * each // 64) * 64
        phases = [Phase(self._main(), self.space.units, self.space.work)]
        if self.space.units_of_batch > 1:
            work = self.space.units * self.space.row_elements * 0.1
            phases += [Phase(self._joined(join_columns, step), 1, work) for step in self.columns]
        phases += [
            Phase(self._joined(join_all, step), 1, self.space.units * 0.5) for step in self.totals
        ]
        return GroupCode(Kernel(tuple(phases), size), self.space.reads, self.writes)

    def _joined(self, write: Callable[..., str], step: Instruction) -> str:
        """The function that joins what the units left of a reduction."""
        places = Places(self._scratch_at, self.scratch[step], self._write_at[step.output])
        return write(self.module, step, self.space, places)

    def _main(self) -> str:
        w = self.w = kernel_function(self.module)
        _, lo, hi = w.parameters
        self.bases = [operand(w, i) for i in range(len(self.space.reads))]
        self.targets = {out: operand(w, at) for out, at in self._write_at.items()}
        self.scratch_base = operand(w, self._scratch_at) if self.scratch else w.const(0, PTR)
        has_check = any(s.kind == "check" for s in self.group.steps)
        self.flag = operand(w, self._flag_at) if has_check else None
        self.spills: dict[Operand, Value] = {}
        for out in self.spilled:
            t = type_of(out.dtype)
            memory = Type("uint", 8) if t.kind == "bool" else t
            self.spills[out] = w.reserve(
                rounded_up(self.space.row_elements, self.space.lanes), memory
            )
        straight = len(self.space.inner.lengths) == 1 and not self.space.cut
        vectors = -(-self.space.count // self.space.lanes)
        #: Sums over rows stay in registers where a row is short.
        self.in_registers = (
            bool(self.columns) and straight and (vectors * len(self.columns) <= STRAIGHT)
        )
        with w.loop(lo, hi) as units:
            self._unit(units.index)
        return w.finish_once()

    def _unit(self, unit: Value) -> None:
        w = self.w
        if self.space.units_of_batch == 1:
            first = w.mul(unit, w.index(self.space.block)) if self.space.units > 1 else w.index(0)
            last: Value = w.add(first, w.index(self.space.block))
        else:
            batch = w.make(unit.type, f"sdiv {unit.typed}, {self.space.units_of_batch}")
            within = w.make(unit.type, f"srem {unit.typed}, {self.space.units_of_batch}")
            start = w.mul(batch, w.index(self.space.rows_of_batch))
            first = w.add(start, w.mul(within, w.index(self.space.block)))
            end = w.add(start, w.index(self.space.rows_of_batch))
            last = w.minimum(w.add(first, w.index(self.space.block)), end)
        carried = [joining_of(s).identity(w, joining_of(s).wide) for s in self.totals]
        self.partials = {s: self._partial(s, unit) for s in self.columns}
        if self.in_registers:
            vectors = -(-self.space.count // self.space.lanes)
            for step in self.columns:
                j = joining_of(step)
                carried += [j.identity(w, j.type.of(self.space.lanes))] * vectors
        else:
            for step in self.columns:
                self._clear(step)
        if self.space.rows == 1:
            after = self._row(w.index(0), carried)
        else:
            with w.loop(first, last, 1, carried) as rows:
                rows.next = tuple(self._row(rows.index, list(rows.values)))
            after = list(rows.results)
        for step, value in zip(self.totals, after, strict=False):
            place = w.at(self.scratch_base, self.scratch[step], Type("int", 8))
            w.store(value, w.at(place, unit, value.type))
        if self.in_registers:
            lanes = self.space.lanes
            registers = after[len(self.totals) :]
            vectors = -(-self.space.count // self.space.lanes)
            for i, step in enumerate(self.columns):
                for k in range(vectors):
                    left = self.space.count - k * lanes
                    self._put(
                        registers[i * vectors + k],
                        w.at(self.partials[step], k * self.space.lanes, joining_of(step).type),
                        w.mask(w.index(left), self.space.lanes)
                        if left < self.space.lanes
                        else None,
                    )

    def _partial(self, step: Instruction, unit: Value) -> Value:
        """Where a unit leaves its sums over rows: the result itself if nobody else adds to it."""
        w = self.w
        t = joining_of(step).type
        if self.space.units_of_batch == 1:
            base = self.targets[step.output]
        else:
            base = w.at(self.scratch_base, self.scratch[step], Type("int", 8))
        return w.at(base, w.mul(unit, w.index(self.space.row_elements)), t)

    def _clear(self, step: Instruction) -> None:
        w = self.w
        j = joining_of(step)
        place = self.partials[step]

        def body(index: Value, mask: Value | None) -> list[Value]:
            self._put(j.identity(w, j.type.of(self.space.lanes)), w.at(place, index, j.type), mask)
            return []

        sweep(w, self.space.row_elements, self.space.lanes, (), body)

    def _put(self, value: Value, address: Value, mask: Value | None) -> None:
        if mask is None:
            self.w.store(value, address)
        else:
            self.w.store_masked(value, address, mask)

    # -- a row -----------------------------------------------------------------------------

    def _row(self, row: Value, carried: list[Value]) -> list[Value]:
        """Write the code of one row; the carried values after it."""
        w = self.w
        self.row = row
        self.carried = carried
        self.row_values: dict[Operand, Value] = {}
        position = self._positions(row)
        #: The address of a row's first element, for every walk, and last for plain order.
        self.starts: list[Value | None] = []
        for i, (root, offset, _) in enumerate(self.space.walks):
            t = type_of(root.dtype)
            base = self.bases[self.space.read_at[root]]
            self.starts.append(w.at(base, position(i, offset), t))
        self.plain_start = position(len(self.space.walks), 0)
        self.fixed: dict[int, Value] = {}
        for i, (root, _, _) in enumerate(self.space.walks):
            if not any(self.space.inner.strides[i]):
                start = self.starts[i]
                assert start is not None
                self.fixed[i] = w.load(start, type_of(root.dtype))
        if self.space.cut:
            full = self.space.inner.lengths[0]
            chunk = self.space.cut
            if full % chunk == 0:
                self.row_count: int | Value = chunk
            else:
                begin = w.mul(row, w.index(chunk))
                self.row_count = w.minimum(w.sub(w.index(full), begin), w.index(chunk))
        else:
            self.row_count = self.space.count
        for phase in range(self.phases.count + 1):
            for step in self.phases.rows[phase]:
                self._row_step(step)
            if phase < self.phases.count:
                self._sweep(phase)
        return self.carried

    def _positions(self, row: Value) -> Callable[[int, int], Value | int]:
        """How to find the element at which a walk begins its row."""
        w = self.w
        lengths = self.space.outer.lengths
        indices: list[Value] = []
        if self.space.rows > 1:
            rest = row
            for n in reversed(lengths[1:]):
                indices.append(w.make(rest.type, f"srem {rest.typed}, {n}"))
                rest = w.make(rest.type, f"sdiv {rest.typed}, {n}")
            indices.append(rest)
            indices.reverse()

        def position(walk: int, offset: int) -> Value | int:
            where: Value | None = None
            if self.space.rows > 1:
                for index, stride in zip(indices, self.space.outer.strides[walk], strict=True):
                    if stride:
                        step = w.mul(index, w.index(stride)) if stride != 1 else index
                        where = step if where is None else w.add(where, step)
            if where is None:
                return offset
            return w.add(where, w.index(offset)) if offset else where

        return position

    def _row_step(self, step: Instruction) -> None:
        """A step on one value a row."""
        values = [None if x is None else self._row_input(x) for x in step.inputs]
        if step.kind == "check":
            self._check(values[0])
            return
        value = self._compute(step, values, 1)
        self.row_values[step.output] = value
        self._store_row(step.output, value)

    def _store_row(self, out: Operand, value: Value) -> None:
        if out in self._write_at and self.group.levels[out] == "row":
            w = self.w
            w.store(value, w.at(self.targets[out], self.row, type_of(out.dtype)))

    def _row_input(self, x: Operand) -> Value:
        if x.uniform is not None:
            return self.w.const(x.uniform, type_of(x.dtype))
        made = self.row_values.get(x.root)
        if made is not None:
            return made
        access = self.group.accesses[x, "row"]
        walk = self.space.walks[access.root, access.offset, access.strides]
        return self.fixed[walk]

    def _compute(self, step: Instruction, values: list[Any], lanes: int) -> Value:
        if step.name == "copy":
            return values[0]  # type: ignore[no-any-return]
        assert step.primitive is not None and step.primitive.scalar_form is not None
        scalars = Scalars(self.w, inline=self.inline)
        made: Value = step.primitive.scalar_form(scalars, *values, **step.attrs)
        return made

    def _check(self, holds: Value | None) -> None:
        w = self.w
        assert holds is not None and self.flag is not None
        with w.when(w.any(w.not_(holds))):
            w.store(w.const(1, I32), self.flag)

    # -- a sweep ---------------------------------------------------------------------------

    def _sweep(self, phase: int) -> None:
        """Write one sweep over the row, and what its reductions come to."""
        w = self.w
        steps = self.phases.sweeps[phase]
        reductions = [s for s in steps if s.kind == "reduce" and s not in self.columns]
        columns = [s for s in steps if s.kind == "reduce" and s in self.columns]
        joinings = [joining_of(s) for s in reductions]
        outer_inner = self.space.inner.lengths[:-1]

        def at_offsets(offsets: dict[int, Value], plain: Value | None) -> list[Value]:
            def body(index: Value, mask: Value | None) -> list[Value]:
                return self._vector(phase, steps, reductions, columns, index, mask, offsets, plain)

            return sweep(w, self.row_count, self.space.lanes, joinings, body)

        if not outer_inner:
            scalars = [total(w, j, v) for j, v in zip(joinings, at_offsets({}, None), strict=True)]
        else:
            scalars = self._nested(joinings, outer_inner, at_offsets)
        for step, joining, value in zip(reductions, joinings, scalars, strict=True):
            if step in self.totals:
                i = self.totals.index(step)
                self.carried[i] = joining.join(w, self.carried[i], value)
            else:
                value = w.convert(value, joining.type)
                self.row_values[step.output] = value
                self._store_row(step.output, value)

    def _nested(
        self, joinings: list[Joining], lengths: Sizes, at_offsets: Callable[..., list[Value]]
    ) -> list[Value]:
        """Sweeps over rows of several dimensions: the last in vectors, the others one by one."""
        w = self.w
        many = math.prod(lengths)
        first = [j.identity(w, j.wide) for j in joinings]
        with w.loop(0, many, 1, first) as loop:
            rest = loop.index
            indices = []
            for n in reversed(lengths[1:]):
                indices.append(w.make(rest.type, f"srem {rest.typed}, {n}"))
                rest = w.make(rest.type, f"sdiv {rest.typed}, {n}")
            indices.append(rest)
            indices.reverse()
            offsets: dict[int, Value] = {}
            plain: Value | None = None
            for walk, strides in enumerate(self.space.inner.strides):
                where: Value | None = None
                for index, stride in zip(indices, strides[:-1], strict=True):
                    if stride:
                        step = w.mul(index, w.index(stride))
                        where = step if where is None else w.add(where, step)
                if where is not None:
                    if walk == len(self.space.walks):
                        plain = where
                    else:
                        offsets[walk] = where
            vectors = at_offsets(offsets, plain)
            loop.next = tuple(
                [
                    total(w, j, v, before)
                    for j, v, before in zip(joinings, vectors, loop.values, strict=True)
                ]
            )
        return list(loop.results)

    def _segments(
        self, joinings: list[Joining], count: int, at_offsets: Callable[..., list[Value]]
    ) -> list[Value]:
        """Sweeps over the segments of a long row, so that long sums stay accurate."""
        w = self.w
        first = [j.identity(w, j.wide) for j in joinings]
        with w.loop(0, count, SEGMENT, first) as loop:
            left = w.sub(w.index(count), loop.index)
            length = SEGMENT if count % SEGMENT == 0 else w.minimum(left, w.index(SEGMENT))
            vectors = at_offsets({}, None, length, loop.index)
            loop.next = tuple(
                [
                    total(w, j, v, before)
                    for j, v, before in zip(joinings, vectors, loop.values, strict=True)
                ]
            )
        return list(loop.results)

    def _vector(
        self,
        phase: int,
        steps: list[Instruction],
        reductions: list[Instruction],
        columns: list[Instruction],
        index: Value,
        mask: Value | None,
        offsets: dict[int, Value],
        plain: Value | None,
    ) -> list[Value]:
        """Write the code for one vector of elements; what each reduction joins."""
        w = self.w
        values: dict[Operand, Value] = {}
        # Apart from those, because a group may read an operand and other views of it.
        loaded: dict[Operand, Value] = {}
        in_row = index if plain is None else w.add(index, plain)
        lanes = self.space.lanes

        def get(x: Operand | None) -> Value | None:
            if x is None:
                return None
            if x.uniform is not None:
                return w.const(x.uniform, type_of(x.dtype).of(lanes))
            root = x.root
            found = values.get(root)
            if found is not None:
                return found
            if root in self.row_values:
                return w.splat(self.row_values[root], lanes)
            if root in self.group.levels:
                made = self._reload(root, in_row, mask)
                values[root] = made
                return made
            found = loaded.get(x)
            if found is None:
                found = loaded[x] = self._load(self.group.accesses[x, "full"], index, mask, offsets)
            return found

        joined: dict[Instruction, Value] = {}
        for step in steps:
            inputs = [get(x) for x in step.inputs]
            if step.kind == "reduce":
                value = inputs[0]
                assert value is not None
                joined[step] = value
            elif step.kind == "check":
                holds = inputs[0]
                assert holds is not None
                if mask is not None:
                    holds = w.or_(holds, w.not_(mask))
                self._check(holds)
            else:
                out = step.output
                if self.phases.stored.get(out, phase) < phase:
                    continue
                value = values[out] = self._compute(step, inputs, lanes)
                if self.phases.stored.get(out) == phase:
                    self._put(value, self._place(out, in_row), mask)
        for step in columns:
            self._add_to_column(step, joined[step], index, in_row, mask)
        return [joined[step] for step in reductions]

    def _place(self, out: Operand, in_row: Value) -> Value:
        """The address of an element that this group has written, in plain order."""
        w = self.w
        t = type_of(out.dtype)
        spill = self.spills.get(out)
        if spill is not None:
            return w.at(spill, in_row, t)
        start = self.plain_start
        where = in_row
        if not (isinstance(start, int) and start == 0):
            begin = w.index(start) if isinstance(start, int) else start
            where = w.add(begin, in_row)
        return w.at(self.targets[out], where, t)

    def _reload(self, out: Operand, in_row: Value, mask: Value | None) -> Value:
        w = self.w
        t = type_of(out.dtype).of(self.space.lanes)
        place = self._place(out, in_row)
        return w.load(place, t) if mask is None else w.load_masked(place, t, mask)

    def _load(
        self, access: Access, index: Value, mask: Value | None, offsets: dict[int, Value]
    ) -> Value:
        w = self.w
        walk = self.space.walks[access.root, access.offset, access.strides]
        if walk in self.fixed:
            return w.splat(self.fixed[walk], self.space.lanes)
        t = type_of(access.root.dtype)
        start = self.starts[walk]
        assert start is not None
        if walk in offsets:
            start = w.at(start, offsets[walk], t)
        stride = self.space.inner.strides[walk][-1]
        if stride == 1:
            place = w.at(start, index, t)
            vector = t.of(self.space.lanes)
            return w.load(place, vector) if mask is None else w.load_masked(place, vector, mask)
        if stride == 0:
            return w.splat(w.load(start, t), self.space.lanes)
        return self._gather(w.at(start, w.mul(index, w.index(stride)), t), t, stride, mask)

    def _gather(self, start: Value, t: Type, stride: int, mask: Value | None) -> Value:
        """Elements that lie apart, one to a lane."""
        w = self.w
        raw = Type("uint", 8) if t.kind == "bool" else t
        vector = raw.of(self.space.lanes)
        steps = w.iota(Type("int", 64, self.space.lanes))
        where = w.mul(steps, w.like(stride, steps))
        pointers = w.make(
            Type("ptr", 64, self.space.lanes),
            f"getelementptr {raw.text}, ptr {start.text}, {where.typed}",
        )
        name = f"llvm.masked.gather.{vector.suffix}.v{self.space.lanes}p0"
        lanes = mask or w.const(True, BOOL.of(self.space.lanes))
        self.module.declare(
            f"{vector.text} @{name}({pointers.type.text}, {lanes.type.text}, {vector.text})"
        )
        made = w.make(
            vector,
            f"call {vector.text} @{name}({pointers.type.text} align {memory_bytes(raw)} "
            f"{pointers.text}, {lanes.typed}, {w.const(0, vector).typed})",
        )
        return w.compare("!=", made, w.like(0, made)) if t.kind == "bool" else made

    def _add_to_column(
        self, step: Instruction, value: Value, index: Value, in_row: Value, mask: Value | None
    ) -> None:
        w = self.w
        joining = joining_of(step)
        if self.in_registers:
            vectors = -(-self.space.count // self.space.lanes)
            k = int(index.text) // self.space.lanes
            i = len(self.totals) + self.columns.index(step) * vectors + k
            self.carried[i] = joining.join(w, self.carried[i], value)
            return
        place = w.at(self.partials[step], in_row, joining.type)
        vector = joining.type.of(self.space.lanes)
        old = w.load(place, vector) if mask is None else w.load_masked(place, vector, mask)
        self._put(joining.join(w, old, value), place, mask)


__all__ = ["GroupCode", "emit_group"]

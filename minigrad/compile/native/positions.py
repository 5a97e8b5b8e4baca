"""Where the largest or smallest elements along an axis are: the first of those that tie.

As in NumPy a NaN counts for more than any number, and the first one for more than the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import pieces, plus, split_index, times
from minigrad.compile.native.types import BOOL, I8, I32, I64, Type, memory_bytes, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.program import Instruction

#: A long row is cut into blocks of so many elements, for several threads.
_BLOCK = 16384
#: So many vectors of columns are searched side by side.
_ABREAST = 4
#: Indices are counted in 32 bits.
_LONGEST = 2**31 - 1
_BYTE = Type("uint", 8)


class _Best(NamedTuple):
    """The best element so far, and where it is; or several of both."""

    value: Value
    place: Value


def emit_argmax(module: Module, step: Instruction) -> Kernel | None:
    """Of x (outer, count, inner): (outer, inner)."""
    return _emit(module, step, ">")


def emit_argmin(module: Module, step: Instruction) -> Kernel | None:
    """Likewise."""
    return _emit(module, step, "<")


def _emit(module: Module, step: Instruction, order: str) -> Kernel | None:
    x = step.inputs[0]
    assert x is not None
    outer, count, inner = x.shape
    if count > _LONGEST:
        return None
    search = _Search(module, type_of(x.dtype), order, outer, count, inner)
    if inner > 1:
        return Kernel(search.columns())
    return search.rows()


class _Search:
    """The code of one search."""

    def __init__(
        self, module: Module, t: Type, order: str, outer: int, count: int, inner: int
    ) -> None:
        self.module, self.order = module, order
        self.memory = t
        #: What bools are compared as, and as which they are kept.
        self.type = _BYTE if t == BOOL else t
        self.lanes = min(module.lanes(t), module.lanes(I32))
        self.outer, self.count, self.inner = outer, count, inner
        self.work = outer * count * inner * (0.05 + memory_bytes(t) / 20)

    # -- comparing -------------------------------------------------------------------------

    def _load(self, w: Writer, place: Value, lanes: int, mask: Value | None = None) -> Value:
        t = self.memory.of(lanes)
        value = w.load(place, t) if mask is None else w.load_masked(place, t, mask)
        return w.convert(value, self.type)

    def _beats(self, w: Writer, later: Value, best: Value) -> Value:
        """Whether an element is better than one before it."""
        if not self.type.is_float:
            return w.compare(self.order, later, best)
        # Not worse and not equal: true of NaN, too.
        better = w.not_(w.compare("<=" if self.order == ">" else ">=", later, best))
        return w.and_(better, w.compare("==", best, best))

    def _better(
        self, w: Writer, best: _Best, later: Value, index: Value, mask: Value | None = None
    ) -> _Best:
        """The better of what there is and of what comes later."""
        wins = self._beats(w, later, best.value)
        if mask is not None:
            wins = w.and_(wins, mask)
        value = w.select(wins, later, best.value)
        return _Best(value, w.select(wins, index, best.place))

    def _best_lane(self, w: Writer, best: _Best) -> _Best:
        """The best of all lanes, whose indices are in no order."""
        value, index = best
        while value.lanes > 1:
            a, b = (w.half(value, upper) for upper in (False, True))
            i, j = (w.half(index, upper) for upper in (False, True))
            # Neither beats the other: they tie, or both are NaN.
            wins = self._beats(w, b, a)
            ties = w.not_(w.or_(wins, self._beats(w, a, b)))
            wins = w.or_(wins, w.and_(ties, w.compare("<", j, i)))
            value, index = w.select(wins, b, a), w.select(wins, j, i)
        return _Best(value, index)

    # -- rows ------------------------------------------------------------------------------

    def rows(self) -> Kernel:
        """Each row's elements follow each other."""
        if self.count < 2 * _BLOCK:
            return Kernel((self._row_phase(self.outer, self._whole),))
        blocks = -(-self.count // _BLOCK)
        units = self.outer * blocks
        values = -(-units * 8 // 64) * 64
        parts = self._row_phase(units, lambda w, unit: self._block(w, unit, blocks, values))
        joined = self._row_phase(self.outer, lambda w, unit: self._join(w, unit, blocks, values))
        return Kernel((parts, joined._replace(work=units * 2.0)), 2 * values)

    def _row_phase(self, units: int, write: Callable[[Writer, Value], None]) -> Phase:
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        with w.loop(lo, hi) as unit:
            write(w, unit.index)
        return Phase(w.finish_once(), units, self.work + units * 10)

    def _whole(self, w: Writer, unit: Value) -> None:
        row = w.at(operand(w, 0), times(w, unit, self.count), self.memory)
        best = self._of_row(w, row, w.index(self.count))
        w.store(w.convert(best.place, I64), w.at(operand(w, 1), unit, I64))

    def _block(self, w: Writer, unit: Value, blocks: int, values: int) -> None:
        """A part of a row: its best goes to the scratch memory."""
        row, block = split_index(w, unit, self.outer, blocks)
        start = times(w, block, _BLOCK)
        stop = w.minimum(w.add(start, w.index(_BLOCK)), w.index(self.count))
        at = w.at(operand(w, 0), w.add(times(w, row, self.count), start), self.memory)
        best = self._of_row(w, at, w.sub(stop, start))
        scratch = operand(w, 2)
        w.store(best.value, w.at(scratch, unit, self.type))
        index = w.add(start, w.convert(best.place, I64))
        w.store(index, w.at(w.at(scratch, values, I8), unit, I64))

    def _join(self, w: Writer, unit: Value, blocks: int, values: int) -> None:
        scratch, first = operand(w, 2), times(w, unit, blocks)
        found = w.at(scratch, first, self.type)
        places = w.at(w.at(scratch, values, I8), first, I64)
        start = _Best(w.load(found, self.type), w.load(places, I64))
        with w.loop(1, blocks, 1, start) as loop:
            value = w.load(w.at(found, loop.index, self.type), self.type)
            index = w.load(w.at(places, loop.index, I64), I64)
            loop.next = self._better(w, _Best(*loop.values), value, index)
        w.store(_Best(*loop.results).place, w.at(operand(w, 1), unit, I64))

    def _of_row(self, w: Writer, row: Value, count: Value) -> _Best:
        """The best of so many elements; at first in every lane it is the first one."""
        lanes = self.lanes
        first = w.splat(self._load(w, row, 1), lanes)
        index = I32.of(lanes)
        whole = w.and_(count, w.index(-lanes))
        carried = (first, w.const(0, index), w.iota(index))
        with w.loop(0, whole, lanes, carried) as loop:
            value, at, now = loop.values
            later = self._load(w, w.at(row, loop.index, self.memory), lanes)
            best = self._better(w, _Best(value, at), later, now)
            loop.next = (*best, w.add(now, w.const(lanes, index)))
        value, at, now = loop.results
        mask = w.mask(w.sub(count, whole), lanes)
        later = self._load(w, w.at(row, whole, self.memory), lanes, mask)
        return self._best_lane(w, self._better(w, _Best(value, at), later, now, mask))

    # -- columns ---------------------------------------------------------------------------

    def columns(self) -> tuple[Phase, ...]:
        """Elements along the axis lie `inner` apart: lanes are columns."""
        width = _ABREAST * self.lanes
        full = self.inner // width
        phases = [self._column_phase(0, full, width)] if full else []
        for start, some in pieces(self.inner - full * width, self.lanes):
            phases.append(self._column_phase(full * width + start, 1, some))
        return tuple(phases)

    def _column_phase(self, start: int, blocks: int, width: int) -> Phase:
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        given, made = operand(w, 0), operand(w, 1)
        lanes = min(width, self.lanes)
        columns = range(0, width, lanes)
        index = I32.of(lanes)
        with w.loop(lo, hi) as unit:
            o, block = split_index(w, unit.index, self.outer, blocks)
            column = plus(w, start, times(w, block, width))
            top = plus(w, times(w, o, self.count * self.inner), column)
            there = w.at(given, top, self.memory)
            firsts = [self._load(w, w.at(there, c, self.memory), lanes) for c in columns]
            zero = w.const(0, index)
            bests = [x for value in firsts for x in (value, zero)]
            with w.loop(1, self.count, 1, bests) as loop:
                line = w.at(there, times(w, loop.index, self.inner), self.memory)
                short = w.make(I32, f"trunc i64 {loop.index.text} to i32")
                now = w.splat(short, lanes)
                following: list[Value] = []
                for k, c in enumerate(columns):
                    later = self._load(w, w.at(line, c, self.memory), lanes)
                    best = _Best(*loop.values[2 * k : 2 * k + 2])
                    following += self._better(w, best, later, now)
                loop.next = tuple(following)
            place = w.at(made, plus(w, times(w, o, self.inner), column), I64)
            for k, c in enumerate(columns):
                found = w.convert(loop.results[2 * k + 1], I64)
                w.store(found, w.at(place, c, I64))
        units = self.outer * blocks
        return Phase(w.finish_once(), units, self.work * blocks * width / self.inner + units * 5)

"""The kernel's elements in the order in which the sums read them.

Packed, the elements that one step of a tile needs lie side by side: for each group, block of
results, tap and channel of the sum one row, a block wide. Each unit of packing also notes whether
it met Inf or NaN: only then do products with the zeros around the input matter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.convolution.notes import note
from minigrad.compile.native.convolution.tiles import Blocks
from minigrad.compile.native.kernel import Phase, kernel_function, operand
from minigrad.compile.native.memory import (
    byte,
    load_some,
    plus,
    split_index,
    times,
    transpose,
)
from minigrad.compile.native.types import I32, Type, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

Ints = tuple[int, ...]


class Packing(NamedTuple):
    """How a kernel ``(*window, inner, groups * outer)`` is packed.

    Attributes:
        type: of its elements.
        window: its sizes along the three axes.
        inner: channels of each group of the convolution's input.
        outer: channels of each group of the convolution's output.
        groups: how many groups.
        first: for each axis, the first tap that is packed.
        step: for each axis, from one tap to the next.
        taps: for each axis, how many.
        blocks: the channels of a group's results.
        transposed: whether results are the convolution's input (and sums run over its output).
    """

    type: Type
    window: Ints
    inner: int
    outer: int
    groups: int
    first: Ints
    step: Ints
    taps: Ints
    blocks: Blocks
    transposed: bool

    @property
    def units(self) -> int:
        """How many units of work packing takes: one for each group, block and tap."""
        return self.groups * self.blocks.number * math.prod(self.taps)

    @property
    def depth(self) -> int:
        """How many channels a sum runs over."""
        return self.outer if self.transposed else self.inner

    @property
    def block(self) -> int:
        """Elements of a packed block."""
        return math.prod(self.taps) * self.depth * self.blocks.width

    @property
    def bytes(self) -> int:
        """Bytes of all packed blocks."""
        return self.groups * self.blocks.number * self.block * memory_bytes(self.type)

    @property
    def flag_bytes(self) -> int:
        """Bytes of the notes about Inf and NaN."""
        return 4 * self.units


def emit_packing(
    module: Module, packing: Packing, kernel: int, scratch: int, start: int, flags: int
) -> Phase:
    """Pack the operand `kernel` into the operand `scratch`, from byte `start` on.

    The notes begin at byte `flags`.
    """
    t, blocks = packing.type, packing.blocks
    w = kernel_function(module)
    _, lo, hi = w.parameters
    source, memory = operand(w, kernel), operand(w, scratch)
    target, notes = byte(w, memory, start), byte(w, memory, flags)
    columns = packing.groups * packing.outer
    with w.loop(lo, hi) as loop:
        counts = (packing.groups, blocks.number, *packing.taps)
        group, block, *at = split_index(w, loop.index, *counts)
        tap: Value = w.index(0)
        for i, (index, first, step) in enumerate(zip(at, packing.first, packing.step, strict=True)):
            place = plus(w, times(w, index, step), first)
            tap = plus(w, times(w, tap, packing.window[i]), place)
        begin = w.at(target, times(w, loop.index, packing.depth * blocks.width), t)
        base = plus(w, times(w, tap, packing.inner * columns), times(w, group, packing.outer))
        step = columns if packing.transposed else 1
        base = plus(w, base, times(w, block, blocks.width * step))

        address = w.at(source, base, t)

        def pack(channels: int) -> None:
            move = _transposed if packing.transposed else _straight
            seen = move(w, packing, address, begin, channels, columns)
            note(w, seen, w.at(notes, loop.index, I32))

        if not blocks.last:
            pack(blocks.width)
        elif blocks.number == 1:
            pack(blocks.last)
        else:
            whole = w.compare("<", block, w.index(blocks.whole))
            with w.when(whole):
                pack(blocks.width)
            with w.when(w.not_(whole)):
                pack(blocks.last)
    elements = packing.units * packing.depth * blocks.width
    return Phase(w.finish_once(), packing.units, packing.units * 10 + elements * 0.2)


def _straight(
    w: Writer, packing: Packing, source: Value, target: Value, channels: int, columns: int
) -> Value:
    """Copy rows of one block."""
    t, blocks = packing.type, packing.blocks
    v = t.of(blocks.lanes)
    zero = w.const(0, v)
    with w.loop(0, packing.depth, carried=[zero]) as loop:
        (seen,) = loop.values
        row = w.at(source, times(w, loop.index, columns), t)
        to = w.at(target, times(w, loop.index, blocks.width), t)
        for i, count in enumerate(blocks.vectors_of(channels)):
            x = load_some(w, w.at(row, i * blocks.lanes, t), v, count)
            w.store(x, w.at(to, i * blocks.lanes, t))
            seen = w.fma(x, zero, seen)
        loop.next = (seen,)
    return loop.results[0]


def _transposed(
    w: Writer, packing: Packing, source: Value, target: Value, channels: int, columns: int
) -> Value:
    """Copy columns of one block, by squares of which the rows are loaded and the columns stored."""
    t, blocks = packing.type, packing.blocks
    v = t.of(blocks.lanes)
    zero = w.const(0, v)

    def square(start: Value | int, steps: int, seen: Value) -> Value:
        for i, count in enumerate(blocks.vectors_of(channels)):
            rows = [zero] * blocks.lanes
            for j in range(count):
                at = plus(w, start, (i * blocks.lanes + j) * columns)
                rows[j] = load_some(w, w.at(source, at, t), v, steps)
                seen = w.fma(rows[j], zero, seen)
            for k, column in enumerate(transpose(w, rows)[:steps]):
                to = plus(w, times(w, plus(w, start, k), blocks.width), i * blocks.lanes)
                w.store(column, w.at(target, to, t))
        return seen

    rest = packing.depth % blocks.lanes
    with w.loop(0, packing.depth - rest, blocks.lanes, carried=[zero]) as loop:
        loop.next = (square(loop.index, blocks.lanes, loop.values[0]),)
    seen = loop.results[0]
    return square(packing.depth - rest, rest, seen) if rest else seen

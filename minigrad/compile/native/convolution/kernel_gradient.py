"""The convolution's gradient for its kernel.

Each element of it is a sum over all places of all examples. The rows of places are cut into a few
chunks; each sums by itself, and the chunks' sums are added in order. Inside a chunk a tile of the
kernel stays in registers while a loop goes through places: some (tap, channel) elements, side by
side in the input, times one or two vectors of the output's channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from minigrad.compile.native.convolution.padding import Padded, emit_padding
from minigrad.compile.native.convolution.spec import ConvolutionSpec
from minigrad.compile.native.convolution.tiles import (
    Blocks,
    channel_blocks,
    cut_line,
    most_rows,
    tile_cost,
)
from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import (
    Scratch,
    byte,
    load_some,
    pieces,
    plus,
    split_index,
    store_some,
    times,
)
from minigrad.compile.native.types import BOOL, I64, PTR, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

#: The most chunks, and the most bytes that all their sums may take.
_CHUNKS = 16
_SUM_BYTES = 1 << 25
#: What a chunk reads before it goes on to the next tile should stay in the cache.
_CACHED = 384 * 1024
#: A chunk does at least so many products for each sum that it makes.
_LEAST_ROWS = 64
#: Elements that one unit of joining adds.
_JOINED = 4096


def emit_convolution_kernel_gradient(module: Module, spec: ConvolutionSpec) -> Kernel | None:
    """The gradient for the kernel. Args: x, g; dkernel; scratch.

    Args:
        module: where the functions go.
        spec: the convolution whose gradient this is.
    """
    s = spec.volume
    scratch = Scratch()
    elements = s.taps * s.inner * s.outputs
    if not elements:
        return Kernel((), scratch.bytes)
    padded = Padded(s.type, s.batch, s.sizes, s.padding, s.channels)
    image = scratch.take(padded.bytes)
    work = _Work(module, s, padded)
    sums = scratch.take(elements * memory_bytes(s.type) * work.chunks) if work.chunks > 1 else 0
    phases = [emit_padding(module, padded, 0, 3, image)] if padded.any else []
    phases.append(work.emit((3, image) if padded.any else (0, 0), sums))
    if work.chunks > 1:
        phases.append(_join(module, s, elements, work.chunks, sums))
    return Kernel(tuple(phases), scratch.bytes)


class _Tile(NamedTuple):
    """A tile of the kernel: rows of (tap, channel) elements, and channels of the output."""

    tall: int
    wide: int
    channels: int


class _Work:
    """Writes the sums over places."""

    def __init__(self, module: Module, spec: ConvolutionSpec, padded: Padded) -> None:
        self.module = module
        self.spec = spec
        self.padded = padded
        self.blocks: Blocks = channel_blocks(module, spec.type, spec.outer)
        vectors = self.blocks.vectors
        most = most_rows(module, vectors)
        # Along the last axis taps lie beside each other, as channels do, if nothing is in between.
        self.joined = spec.dilation[2] == 1 and spec.inner == spec.channels
        self.line = spec.inner * (spec.window[2] if self.joined else 1)
        #: Lines of such elements: taps along height, or along the last axis.
        self.lines = spec.window[1] if self.joined else spec.window[2]
        self.line_step = (
            spec.dilation[1] * padded.units[1] if self.joined else spec.dilation[2] * spec.channels
        )
        self.wide = cut_line(self.line, most, vectors)
        self.tall = 1
        if self.wide == self.line:
            self.tall = cut_line(self.lines, max(most // self.line, 1), vectors * self.line)
        self.outer_taps = spec.taps * spec.inner // (self.line * self.lines)
        self.groups_of_lines = -(-self.lines // self.tall)
        self.places = spec.places
        self.rows = spec.batch * self.places[0] * self.places[1]
        self.chunks, self.chunk, self.part = self._cut()

    def _cut(self) -> tuple[int, int, int]:
        """How many chunks there are, rows of places of each, and rows that stay in the cache."""
        s = self.spec
        size = memory_bytes(s.type)
        elements = s.taps * s.inner * s.outputs
        row = self.places[2] * (s.outputs + s.stride[2] * s.stride[1] * s.channels) * size
        part = max(_CACHED // max(row, 1), 1)
        # Rows of one example stay together, if all of them fit.
        example = max(self.places[0] * self.places[1], 1)
        if part > example:
            part -= part % example
        most = min(_CHUNKS, max(_SUM_BYTES // (elements * size), 1))
        least = -(-_LEAST_ROWS // max(self.places[2], 1))
        chunk = max(-(-self.rows // most), least, 1)
        if chunk > example:
            chunk = -(-chunk // example) * example
        chunks = max(-(-self.rows // chunk), 1)
        return chunks, chunk, min(part, chunk)

    def emit(self, source: tuple[int, int], sums: int) -> Phase:
        s, t = self.spec, self.spec.type
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        x = byte(w, operand(w, source[0]), source[1])
        g = operand(w, 1)
        made = operand(w, 2)
        if self.chunks > 1:
            made = byte(w, operand(w, 3), sums)
        counts = (
            self.chunks,
            *(s.groups, self.blocks.number, self.outer_taps, self.groups_of_lines),
        )
        elements = s.taps * s.inner * s.outputs
        with w.loop(lo, hi) as loop:
            chunk, group, block, tap, line = split_index(w, loop.index, *counts)
            first = times(w, chunk, self.chunk)
            last = w.minimum(plus(w, first, self.chunk), w.index(self.rows))
            to = plus(
                w,
                times(w, chunk, elements),
                times(w, tap, self.lines * self.line * s.outputs),
                times(w, line, self.tall * self.line * s.outputs),
                times(w, group, s.outer),
                times(w, block, self.blocks.width),
            )
            start = plus(w, self._tap_offset(w, tap), times(w, line, self.tall * self.line_step))
            start = plus(w, start, times(w, group, s.inner))
            column = plus(w, times(w, group, s.outer), times(w, block, self.blocks.width))
            where = (w.at(x, start, t), w.at(g, column, t), w.at(made, to, t))

            def parts(tall: int, channels: int) -> None:
                self._parts(w, *where, first, last, tall, channels)

            self._choose(w, line, block, parts)
        return Phase(w.finish_once(), math.prod(counts), self._work())

    def _tap_offset(self, w: Writer, tap: Value) -> Value:
        """Where the lines of a tap of the outer axes begin."""
        s, units = self.spec, self.padded.units
        if self.joined:
            return times(w, tap, s.dilation[0] * units[0])
        d, h = split_index(w, tap, s.window[0], s.window[1])
        return plus(w, times(w, d, s.dilation[0] * units[0]), times(w, h, s.dilation[1] * units[1]))

    def _choose(
        self, w: Writer, line: Value, block: Value, write: Callable[[int, int], None]
    ) -> None:
        """Write the code of whole tiles, and that of the smaller ones at the ends."""
        blocks = self.blocks
        cases = [(self.tall, self.lines // self.tall), (self.lines % self.tall, 1)]
        sizes = [(blocks.width, blocks.whole), (blocks.last, 1)]
        for i, (tall, count) in enumerate(cases):
            for j, (channels, times_) in enumerate(sizes):
                if not (tall and count and channels and times_):
                    continue
                tests = []
                for at, n, total, rest in (
                    (line, i, self.lines // self.tall, cases[1][0]),
                    (block, j, blocks.whole, blocks.last),
                ):
                    if total and rest:
                        tests.append(w.compare(">=" if n else "<", at, w.index(total)))
                if not tests:
                    write(tall, channels)
                    continue
                test = tests[0] if len(tests) == 1 else w.and_(*tests)
                with w.when(test):
                    write(tall, channels)

    def _parts(
        self,
        w: Writer,
        x: Value,
        g: Value,
        made: Value,
        first: Value,
        last: Value,
        tall: int,
        channels: int,
    ) -> None:
        """All tiles of some lines, for one part of a chunk after the other."""
        whole, rest = divmod(self.line, self.wide)
        t, outputs = self.spec.type, self.spec.outputs

        def tiles(begin: Value, fresh: Value) -> None:
            end = begin
            if self.part < self.chunk:
                end = w.minimum(plus(w, begin, self.part), last)
            else:
                end = last
            for wide, count, start in ((self.wide, whole, 0), (rest, 1, whole * self.wide)):
                if not (wide and count):
                    continue
                name = self._tile(_Tile(tall, wide, channels))

                def call(at: Value | int, name: str = name) -> None:
                    index = w.index(at) if isinstance(at, int) else at
                    to = w.at(made, times(w, index, outputs), t)
                    w.call(name, w.at(x, at, t), g, to, begin, end, fresh)

                if count == 1:
                    call(start)
                else:
                    with w.loop(0, count) as loop:
                        call(times(w, loop.index, wide))

        if self.part < self.chunk:
            # A chunk without rows still has to write its zeros.
            stop = w.maximum(last, plus(w, first, 1))
            with w.loop(first, stop, self.part) as loop:
                tiles(loop.index, w.compare("==", loop.index, first))
        else:
            tiles(first, w.const(True, BOOL))

    def _tile(self, tile: _Tile) -> str:
        """The function that adds rows of places to one tile."""
        s, t, units = self.spec, self.spec.type, self.padded.units
        lanes = self.blocks.lanes
        counts = self.blocks.vectors_of(tile.channels)
        w = self.module.function(
            "NAME",
            [("x", PTR), ("g", PTR), ("y", PTR), ("first", I64), ("last", I64), ("fresh", BOOL)],
        )
        x, g, y, first, last, fresh = w.parameters
        v = t.of(lanes)
        elements = [(i, j) for i in range(tile.tall) for j in range(tile.wide)]
        offsets = [i * self.line_step + j for i, j in elements]
        outs = [
            (i * self.line + j) * s.outputs + k * lanes
            for i, j in elements
            for k in range(len(counts))
        ]
        zero = w.const(0, v)
        sums = []
        many = [count for _ in elements for count in counts]
        for to, count in zip(outs, many, strict=True):
            sums.append(w.select(fresh, zero, load_some(w, w.at(y, to, t), v, count)))
        deep, high, wide = self.places
        steps = [stride * unit for stride, unit in zip(s.stride, units, strict=True)]

        def step(at_x: Value, at_g: Value, n: int, sums: list[Value]) -> list[Value]:
            row = [
                load_some(w, w.at(at_g, n * s.outputs + k * lanes, t), v, count)
                for k, count in enumerate(counts)
            ]
            made = list(sums)
            for m, offset in enumerate(offsets):
                a = w.splat(w.load(w.at(at_x, offset + n * steps[2], t), t), lanes)
                for k, b in enumerate(row):
                    made[m * len(row) + k] = w.fma(a, b, made[m * len(row) + k])
            return made

        unroll = 1 if len(sums) > 12 else 4
        with w.loop(first, last, carried=sums) as rows:
            example, d, h = split_index(w, rows.index, s.batch, deep, high)
            place = plus(
                w,
                times(w, example, self.padded.image),
                times(w, d, steps[0]),
                times(w, h, steps[1]),
            )
            a = w.at(x, place, t)
            b = w.at(g, times(w, rows.index, wide * s.outputs), t)
            looped = wide - wide % unroll
            with w.loop(0, looped, unroll, carried=rows.values) as loop:
                to_a = w.at(a, times(w, loop.index, steps[2]), t)
                to_b = w.at(b, times(w, loop.index, s.outputs), t)
                values = list(loop.values)
                for n in range(unroll):
                    values = step(to_a, to_b, n, values)
                loop.next = tuple(values)
            values = list(loop.results)
            to_a, to_b = w.at(a, looped * steps[2], t), w.at(b, looped * s.outputs, t)
            for n in range(wide - looped):
                values = step(to_a, to_b, n, values)
            rows.next = tuple(values)
        for value, to, count in zip(rows.results, outs, many, strict=True):
            store_some(w, value, w.at(y, to, t), count)
        return w.finish_once()

    def _work(self) -> float:
        s = self.spec
        a_tile = tile_cost(self.tall * self.wide, self.blocks.vectors)
        tiles = (self.line / self.wide) * (self.lines / self.tall) * self.outer_taps
        cycles = a_tile * tiles * s.groups * self.blocks.number * self.rows * self.places[2]
        return cycles / 3.0


def _join(module: Module, s: ConvolutionSpec, elements: int, chunks: int, sums: int) -> Phase:
    """Add the sums of all chunks, in their order."""
    t = s.type
    lanes = module.lanes(t)
    w = kernel_function(module)
    _, lo, hi = w.parameters
    source = byte(w, operand(w, 3), sums)
    target = operand(w, 2)

    def one(at: Value, width: int) -> None:
        total = w.load(w.at(source, at, t), t.of(width))
        for chunk in range(1, chunks):
            total = w.add(
                total, w.load(w.at(source, plus(w, at, chunk * elements), t), t.of(width))
            )
        w.store(total, w.at(target, at, t))

    unit = min(_JOINED, max(elements // lanes * lanes, lanes))
    vectors = elements // lanes * lanes
    with w.loop(lo, hi) as loop:
        first = times(w, loop.index, unit)
        stop = w.minimum(plus(w, first, unit), w.index(vectors))
        with w.loop(first, stop, lanes) as inner:
            one(inner.index, lanes)
        if elements > vectors:
            with w.when(w.compare("==", loop.index, w.index((elements - 1) // unit))):
                for start, width in pieces(elements - vectors, lanes):
                    one(w.index(vectors + start), width)
    units = -(-elements // unit)
    return Phase(w.finish_once(), units, elements * chunks * memory_bytes(t) / 20)

"""The convolution's gradient for its kernel.

Each element of it is a sum over all places of all examples. The rows of places are cut into a few
chunks; each sums by itself, and the chunks' sums are added in order. Inside a chunk one tile of the
kernel is computed after the other (see `kernel_tile`), for as many places as the cache holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.channelwise_gradient import (
    ChannelwiseGradient,
    emit_channelwise_gradient,
    together,
)
from minigrad.compile.native.convolution.kernel_cut import Cut
from minigrad.compile.native.convolution.kernel_tile import KernelTile, kernel_tile_function
from minigrad.compile.native.convolution.notes import any_flag, emit_notes
from minigrad.compile.native.convolution.padding import Padded, emit_padding
from minigrad.compile.native.convolution.spec import ConvolutionSpec
from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import Scratch, byte, pieces, plus, split_index, times
from minigrad.compile.native.types import BOOL, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

#: Units of work for noting Inf and NaN.
_NOTES = 16
#: Elements that one unit of joining adds.
_JOINED = 4096


def emit_convolution_kernel_gradient(module: Module, spec: ConvolutionSpec) -> Kernel | None:
    """The gradient for the kernel. Args: x, g; dkernel; scratch.

    Args:
        module: where the functions go.
        spec: the convolution whose gradient this is.
    """
    s = spec.raised
    t = s.type
    scratch = Scratch()
    if not s.taps * s.inner * s.outputs:
        return Kernel((), scratch.bytes)
    if spec.depthwise and together(module, s.window):
        return _depthwise(module, s)
    padded = Padded(t, s.batch, s.sizes, s.padding, s.channels)
    cut = Cut(module, s, padded)
    places = s.batch * math.prod(s.places)
    phases = []
    x = (0, 0)
    if padded.any:
        x = (3, scratch.take(padded.bytes))
        phases.append(emit_padding(module, padded, 0, *x))
    notes = None
    if cut.trimmed:
        notes = scratch.take(4 * _NOTES)
        phases.append(emit_notes(module, t, places * s.outputs, _NOTES, 1, 3, notes))
    y = (3, scratch.take(cut.elements * cut.size * cut.chunks)) if cut.chunks > 1 else (2, 0)
    phases.append(_Work(module, cut).emit(x, y, notes))
    if cut.chunks > 1:
        phases.append(_join(module, s, cut.elements, cut.chunks, y[1]))
    return Kernel(tuple(phases), scratch.bytes)


def _depthwise(module: Module, s: ConvolutionSpec) -> Kernel:
    """The same where every channel is convolved by itself."""
    axes = [
        Axis(m, k, stride, d, -before, n, unit, 0)
        for m, k, stride, d, (before, _), n, unit in zip(
            *(s.places, s.window, s.stride, s.dilation, s.padding, s.sizes, s.units), strict=True
        )
    ]
    c = ChannelwiseGradient(s.type, s.batch, (axes[0], axes[1], axes[2]), s.channels, s.image)
    scratch = Scratch()
    if c.chunks == 1:
        return Kernel((emit_channelwise_gradient(module, c, (2, 0)),), scratch.bytes)
    sums = scratch.take(c.chunks * c.elements * memory_bytes(s.type))
    work = emit_channelwise_gradient(module, c, (3, sums))
    return Kernel((work, _join(module, s, c.elements, c.chunks, sums)), scratch.bytes)


class _Work:
    """Writes the sums over places."""

    def __init__(self, module: Module, cut: Cut) -> None:
        self.module = module
        self.cut = cut

    def emit(self, x: tuple[int, int], y: tuple[int, int], notes: int | None) -> Phase:
        """The phase; x and y are given by their positions, and bytes from there."""
        cut, s, t = self.cut, self.cut.spec, self.cut.spec.type
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        from_x, to_y = (byte(w, operand(w, at), start) for at, start in (x, y))
        g = operand(w, 1)
        bad = None if notes is None else any_flag(w, byte(w, operand(w, 3), notes), _NOTES)
        counts = (
            *(cut.chunks, s.groups, cut.blocks.number, cut.outer_taps),
            -(-cut.lines // cut.tall),
        )
        with w.loop(lo, hi) as loop:
            chunk, group, block, tap, line = split_index(w, loop.index, *counts)
            first = times(w, chunk, cut.chunk)
            last = w.minimum(plus(w, first, cut.chunk), w.index(cut.rows))
            column = plus(w, times(w, group, s.outer), times(w, block, cut.blocks.width))
            to = plus(
                *(w, column, times(w, chunk, cut.elements)),
                times(w, tap, cut.lines * cut.line * s.outputs),
                times(w, line, cut.tall * cut.line * s.outputs),
            )
            start = plus(
                *(w, self._tap_offset(w, tap), times(w, group, s.inner)),
                times(w, line, cut.tall * cut.line_step),
            )
            where = (w.at(from_x, start, t), w.at(g, column, t), w.at(to_y, to, t))

            def parts(tall: int, channels: int) -> None:
                seen = _Seen(cut, w, bad, tap, times(w, line, cut.tall), tall)
                self._parts(w, *where, first, last, seen, channels)

            self._choose(w, line, block, parts)
        return Phase(w.finish_once(), math.prod(counts), cut.work)

    def _tap_offset(self, w: Writer, tap: Value) -> Value:
        """Where the lines of a tap of the outer axes begin."""
        s, units = self.cut.spec, self.cut.padded.units
        if self.cut.joined:
            return times(w, tap, s.dilation[0] * units[0])
        d, h = split_index(w, tap, s.window[0], s.window[1])
        return plus(w, times(w, d, s.dilation[0] * units[0]), times(w, h, s.dilation[1] * units[1]))

    def _choose(
        self, w: Writer, line: Value, block: Value, write: Callable[[int, int], None]
    ) -> None:
        """Write the code of whole tiles, and that of the smaller ones at the ends."""
        cut, blocks = self.cut, self.cut.blocks
        cases = [(cut.tall, cut.lines // cut.tall), (cut.lines % cut.tall, 1)]
        sizes = [(blocks.width, blocks.whole), (blocks.last, 1)]
        for i, (tall, count) in enumerate(cases):
            for j, (channels, times_) in enumerate(sizes):
                if not (tall and count and channels and times_):
                    continue
                tests = []
                for at, n, total, rest in (
                    (line, i, cut.lines // cut.tall, cases[1][0]),
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
        y: Value,
        first: Value,
        last: Value,
        seen: _Seen,
        channels: int,
    ) -> None:
        """All tiles of some lines, for one part of a chunk after the other."""
        cut, t = self.cut, self.cut.spec.type
        whole, rest = divmod(cut.line, cut.wide)

        def tiles(begin: Value, end: Value, fresh: Value) -> None:
            for wide, count, start in ((cut.wide, whole, 0), (rest, 1, whole * cut.wide)):
                if not (wide and count):
                    continue
                tile = KernelTile(seen.tall, wide, channels)
                name = kernel_tile_function(self.module, cut, tile)

                def call(at: Value, name: str = name, wide: int = wide) -> None:
                    to = w.at(y, times(w, at, cut.spec.outputs), t)
                    bounds = seen.bounds(at, wide)
                    w.call(name, w.at(x, at, t), g, to, begin, end, fresh, *bounds)

                if count == 1:
                    call(w.index(start))
                else:
                    with w.loop(0, count) as loop:
                        call(times(w, loop.index, wide))

        if cut.part >= cut.chunk:
            tiles(first, last, w.const(True, BOOL))
            return
        # A chunk without rows still has to write its zeros.
        stop = w.maximum(last, plus(w, first, 1))
        with w.loop(first, stop, cut.part) as loop:
            end = w.minimum(plus(w, loop.index, cut.part), last)
            tiles(loop.index, end, w.compare("==", loop.index, first))


class _Seen:
    """Which places have to be gone through for some lines of (tap, channel) elements."""

    def __init__(
        self, cut: Cut, w: Writer, bad: Value | None, tap: Value, line: Value, tall: int
    ) -> None:
        self.cut = cut
        self.w = w
        self.bad = bad
        self.tall = tall
        last = plus(w, line, tall - 1)
        window = cut.spec.window
        if cut.joined:
            self.rows = self._places(cut.height, line, last)
            self.columns = None
        else:
            _, high = split_index(w, tap, window[0], window[1])
            self.rows = self._places(cut.height, high, high)
            self.columns = self._places(cut.width, line, last)

    def _places(self, axis: Axis, first: Value, last: Value) -> tuple[Value, Value]:
        w, bad = self.w, self.bad
        if bad is None:
            return w.index(0), w.index(axis.places)
        lo, hi = axis.places_seeing(w, first, last)
        return w.select(bad, w.index(0), lo), w.select(bad, w.index(axis.places), hi)

    def bounds(self, element: Value, wide: int) -> tuple[Value, Value, Value, Value]:
        """From and to which place, along height and width, for some elements of the lines."""
        if self.columns is not None:
            return (*self.rows, *self.columns)
        w, inner = self.w, self.cut.spec.inner
        first = w.div(element, w.index(inner))
        last = w.div(plus(w, element, wide - 1), w.index(inner))
        return (*self.rows, *self._places(self.cut.width, first, last))


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

"""The depthwise convolution's gradient for its kernel.

Vectors run along channels. The taps' sums of one vector of channels stay in registers while a loop
goes through places; the rows of places are cut into a few chunks, which are added in order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.channelwise import each_vector, edges, line_of
from minigrad.compile.native.kernel import Phase, kernel_function, operand
from minigrad.compile.native.memory import byte, load_some, plus, split_index, store_some, times
from minigrad.compile.native.types import I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer

#: The most chunks, and the fewest places of each.
_CHUNKS = 16
_LEAST_PLACES = 512


class ChannelwiseGradient(NamedTuple):
    """The sums over places for a kernel ``(*window, channels)``.

    Attributes:
        type: of the elements.
        batch: how many examples.
        axes: depth, height and width; their units are those of the input without padding.
        channels: how many.
        image: elements of an example of the input.
    """

    type: Type
    batch: int
    axes: tuple[Axis, Axis, Axis]
    channels: int
    image: int

    @property
    def rows(self) -> int:
        """Rows of places of all examples."""
        return self.batch * self.axes[0].places * self.axes[1].places

    @property
    def elements(self) -> int:
        """Elements of the kernel."""
        return math.prod([a.taps for a in self.axes]) * self.channels

    @property
    def chunk(self) -> int:
        """Rows of places of a chunk."""
        least = -(-_LEAST_PLACES // max(self.axes[2].places, 1))
        return max(-(-self.rows // _CHUNKS), least, 1)

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return max(-(-self.rows // self.chunk), 1)


def together(module: Module, window: tuple[int, ...]) -> int:
    """How many lines of taps have all their sums in registers; 0 if not even one has."""
    most = 25 if module.vector_bytes == 64 else 10
    lines = most // window[2]
    return window[1] if lines >= window[1] else min(lines, 1)


def emit_channelwise_gradient(module: Module, c: ChannelwiseGradient, y: tuple[int, int]) -> Phase:
    """The phase that computes the sums of all chunks; x and g are the first two operands.

    `y` is the position of the operand to which they go, and from which byte on. There must be
    positions of the input.
    """
    t = c.type
    deep, height, width = c.axes
    lines = together(module, (deep.taps, height.taps, width.taps))
    w = kernel_function(module)
    _, lo, hi = w.parameters
    x, g, made = operand(w, 0), operand(w, 1), byte(w, operand(w, y[0]), y[1])
    groups = height.taps // lines
    with w.loop(lo, hi) as loop:
        chunk, d, h = split_index(w, loop.index, c.chunks, deep.taps, groups)
        first = times(w, chunk, c.chunk)
        last = w.minimum(plus(w, first, c.chunk), w.index(c.rows))
        tap = plus(w, times(w, d, height.taps), times(w, h, lines))
        to = plus(w, times(w, chunk, c.elements), times(w, tap, width.taps * c.channels))

        def vector(column: Value, v: Type, count: int) -> None:
            w.call(
                _vector(module, c, lines, v, count),
                *(w.at(x, column, t), w.at(g, column, t), w.at(made, plus(w, to, column), t)),
                *(d, times(w, h, lines), first, last),
            )

        each_vector(w, t, c.channels, vector)
    units = c.chunks * deep.taps * groups
    work = c.rows * width.places * c.elements / 40
    return Phase(w.finish_once(), units, work)


def _vector(module: Module, c: ChannelwiseGradient, lines: int, v: Type, count: int) -> str:
    """The function that computes a chunk's sums of some lines of taps, for a vector of channels."""
    t = c.type
    deep, height, width = c.axes
    names = [("x", PTR), ("g", PTR), ("y", PTR)]
    names += [(name, I64) for name in ("d", "h", "first", "last")]
    w: Writer = module.function("NAME", names)
    x, g, y, d, h, first, last = w.parameters
    outside, between = edges(width)
    zero = w.const(0, v)
    taps = [(i, j) for i in range(lines) for j in range(width.taps)]
    with w.loop(first, last, carried=[zero] * len(taps)) as rows:
        example, deep_place, place = split_index(w, rows.index, c.batch, deep.places, height.places)
        image = w.at(x, times(w, example, c.image), t)
        seen = [
            line_of(w, image, t, (deep, height), (deep_place, place), (d, plus(w, h, i)))
            for i in range(lines)
        ]
        line = w.at(g, times(w, rows.index, width.places * c.channels), t)

        def add(place: Value | int, sums: list[Value]) -> list[Value]:
            known = isinstance(place, int)
            index = w.index(place) if isinstance(place, int) else place
            upstream = load_some(w, w.at(line, times(w, index, c.channels), t), v, count)
            here = [
                s._replace(address=w.at(s.address, times(w, index, width.stride * width.unit), t))
                for s in seen
            ]
            made = []
            for (i, j), value in zip(taps, sums, strict=True):
                if known and not width.sees(int(index.text), j):
                    made.append(w.fma(zero, upstream, value))
                    continue
                at = (width.first + j * width.dilation) * width.unit
                made.append(w.fma(here[i].load(w, at, v, count), upstream, value))
            return made

        sums = list(rows.values)
        for at in outside:
            sums = add(at, sums)
        with w.loop(between.start, between.stop, carried=sums) as loop:
            loop.next = tuple(add(loop.index, list(loop.values)))
        rows.next = loop.results
    for (i, j), value in zip(taps, rows.results, strict=True):
        to = (i * width.taps + j) * c.channels
        store_some(w, value, w.at(y, to, t), count)
    return w.finish_once()

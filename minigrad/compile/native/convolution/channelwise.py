"""Depthwise convolutions: every channel by itself, so that vectors run along channels.

Results are computed a tile at a time: some places, side by side, of one vector of channels. What a
tile sees along width is known when its code is written: it loads each vector of the input once, and
has no part for padding. Along height and depth that is found out for each row of places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.tiles import cut_line
from minigrad.compile.native.kernel import Epilogue, Phase, kernel_function, operand
from minigrad.compile.native.memory import (
    first_lanes,
    load_some,
    plus,
    split_index,
    store_some,
    times,
)
from minigrad.compile.native.types import I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer

Ints = tuple[int, ...]

#: Places of a tile, at most.
_WIDE = 8


class Channelwise(NamedTuple):
    """A depthwise convolution of an input and a kernel ``(*window, channels)``.

    Attributes:
        type: of the elements.
        batch: how many examples.
        axes: depth, height and width; their units are those of the input without padding.
        channels: how many.
        image: elements of an example of the input.
        rows: rows of results of an example.
        row: the first of them.
        window: sizes of the kernel.
        first: for each axis the tap of the kernel that comes first.
        step: for each axis from one tap to the next.
        zeros: whether zeros around the input count as elements, so that 0 times Inf is NaN; else
            results have no part of what is outside.
    """

    type: Type
    batch: int
    axes: tuple[Axis, Axis, Axis]
    channels: int
    image: int
    rows: int
    row: int
    window: Ints
    first: Ints
    step: Ints
    zeros: bool

    def tap(self, w: Writer, d: Value, h: Value, across: int) -> Value:
        """Where a tap's channels begin in the kernel."""
        _, tall, wide = self.window
        at = plus(
            *(w, times(w, d, self.step[0] * tall * wide), times(w, h, self.step[1] * wide)),
            (self.first[0] * tall + self.first[1]) * wide + self.first[2] + across * self.step[2],
        )
        return times(w, at, self.channels)


def edges(axis: Axis) -> tuple[list[int], range]:
    """The places along an axis that see padding, and the range of those between that see none."""
    between = axis.whole
    return [*range(between.start), *range(between.stop, axis.places)], between


def each_vector(
    w: Writer, t: Type, channels: int, write: Callable[[Value, Type, int], None]
) -> None:
    """Write code for all vectors of channels: ``write(first channel, type, lanes that exist)``."""
    lanes = w.module.lanes(t)
    while lanes > 1 and lanes // 2 >= channels:
        lanes //= 2
    rest = channels % lanes
    if channels >= lanes:
        with w.loop(0, channels - rest, lanes) as loop:
            write(loop.index, t.of(lanes), lanes)
    if rest:
        write(w.index(channels - rest), t.of(lanes), rest)


class Line(NamedTuple):
    """A line of the input, along width.

    Attributes:
        address: of position 0; that of the nearest line, if this one lies outside.
        inside: whether it lies inside; None if all do.
    """

    address: Value
    inside: Value | None

    def load(self, w: Writer, offset: int, v: Type, count: int) -> Value:
        """The elements so far along the line; zeros if it lies outside."""
        x = load_some(w, w.at(self.address, offset, v.scalar), v, count)
        if self.inside is None:
            return x
        return w.select(self.inside, x, w.like(0, x))


def line_of(
    w: Writer,
    x: Value,
    t: Type,
    axes: tuple[Axis, Axis],
    places: tuple[Value, Value],
    taps: tuple[Value, Value],
    checked: bool = True,
) -> Line:
    """The line of the example at address `x` that places along depth and height see with taps.

    It is known to lie inside if it is not to be `checked`.
    """
    inside: Value | None = None
    offset = w.index(0)
    for axis, place, tap in zip(axes, places, taps, strict=True):
        at = plus(w, times(w, place, axis.stride), times(w, tap, axis.dilation), axis.first)
        if checked and axis.padded:
            zero, last = w.index(0), w.index(axis.size - 1)
            here = w.and_(w.compare(">=", at, zero), w.compare("<=", at, last))
            inside = here if inside is None else w.and_(inside, here)
            at = w.maximum(w.minimum(at, last), zero)
        offset = plus(w, offset, times(w, at, axis.unit))
    return Line(w.at(x, offset, t), inside)


def emit_channelwise(
    module: Module, c: Channelwise, operands: Ints, epilogue: Epilogue | None = None
) -> Phase:
    """The phase that computes all results; `operands` are positions of the input, kernel, result.

    There must be results, and positions of the input.
    """
    return _Driver(module, c, operands, epilogue).emit()


class _Driver:
    def __init__(
        self, module: Module, c: Channelwise, operands: Ints, epilogue: Epilogue | None
    ) -> None:
        self.module = module
        self.c = c
        self.operands = operands
        self.epilogue = epilogue

    def emit(self) -> Phase:
        """Write the function that goes through all rows of places."""
        c = self.c
        deep, height, width = c.axes
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        x, k, y = (operand(w, at) for at in self.operands)
        outside, between = edges(width)
        wide = cut_line(max(len(between), 1), _WIDE, 1)
        with w.loop(lo, hi) as loop:
            example, d, h = split_index(w, loop.index, c.batch, deep.places, height.places)
            image = times(w, example, c.image)
            row = plus(
                *(w, times(w, example, c.rows), times(w, d, deep.rows)),
                *(times(w, h, height.rows), c.row),
            )

            def vector(column: Value, v: Type, count: int) -> None:
                here = (
                    *(w.at(x, plus(w, image, column), c.type), w.at(k, column, c.type)),
                    *(w.at(y, column, c.type), row, column, d, h),
                )
                rest = len(between) % wide
                end = between.stop - rest
                if between.start < end:
                    name = self._tile(v, count, list(range(wide)), known=False)
                    with w.loop(between.start, end, wide) as tiles:
                        w.call(name, w.parameters[0], *here, tiles.index)
                if rest:
                    name = self._tile(v, count, list(range(rest)), known=False)
                    w.call(name, w.parameters[0], *here, w.index(end))
                for i in range(0, len(outside), _WIDE):
                    name = self._tile(v, count, outside[i : i + _WIDE], known=True)
                    w.call(name, w.parameters[0], *here, w.index(0))

            each_vector(w, c.type, c.channels, vector)
        units = c.batch * deep.places * height.places
        taps = math.prod([a.taps for a in c.axes])
        work = units * width.places * c.channels * (taps / 40 + c.type.bits / 100)
        return Phase(w.finish_once(), units, work)

    def _tile(self, v: Type, count: int, places: list[int], known: bool) -> str:
        """The function that computes some places of a row, of one vector of channels.

        The places along width are those in the list if they are `known`; else they are counted
        from that which is the function's last parameter, and see no padding along width.
        """
        c, t = self.c, self.c.type
        deep, height, width = c.axes
        names = [("args", PTR), ("x", PTR), ("k", PTR), ("y", PTR)]
        names += [(name, I64) for name in ("row", "column", "d", "h", "first")]
        w = self.module.function("NAME", names)
        _, x, k, y, row, column, d, h, first = w.parameters
        x = w.at(x, times(w, first, width.stride * width.unit), t)
        zero = w.const(0, v)

        def add(taps: tuple[Value, Value], sums: list[Value]) -> list[Value]:
            made = list(sums)
            line = line_of(w, x, t, (deep, height), (d, h), taps, checked=c.zeros)
            seen: dict[int, list[tuple[int, int]]] = {}
            weights = [
                load_some(w, w.at(k, c.tap(w, *taps, j), t), v, count) for j in range(width.taps)
            ]
            for n, place in enumerate(places):
                for j, weight in enumerate(weights):
                    if not known or width.sees(place, j):
                        position = width.first + place * width.stride + j * width.dilation
                        seen.setdefault(position, []).append((n, j))
                    elif c.zeros:
                        made[n] = w.fma(zero, weight, made[n])
            # By position: so each place has its taps in order, and each element is loaded once.
            for position, pairs in sorted(seen.items()):
                value = line.load(w, position * width.unit, v, count)
                for n, j in pairs:
                    made[n] = w.fma(value, weights[j], made[n])
            return made

        bounds = [
            (w.index(0), w.index(a.taps)) if c.zeros else a.bounds(w, place)
            for a, place in ((deep, d), (height, h))
        ]
        with w.loop(*bounds[0], carried=[zero] * len(places)) as outer:
            with w.loop(*bounds[1], carried=outer.values) as loop:
                loop.next = tuple(add((outer.index, loop.index), list(loop.values)))
            outer.next = loop.results
        made = []
        for place, value in zip(places, outer.results, strict=True):
            at = plus(w, row, times(w, first, width.rows), place * width.rows)
            if self.epilogue is not None:
                value = self.epilogue(w, value, at, column, first_lanes(count, v.lanes))
            made.append((value, at))
        for value, at in made:
            store_some(w, value, w.at(y, times(w, at, c.channels), t), count)
        return w.finish_once()

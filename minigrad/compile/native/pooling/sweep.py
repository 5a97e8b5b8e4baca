"""Going through channels, taps of a window, and windows that see a place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.kernel import Epilogue, Phase, kernel_function
from minigrad.compile.native.memory import (
    first_lanes,
    load_some,
    plus,
    split_index,
    store_some,
    times,
)
from minigrad.compile.native.pooling.spec import PoolingSpec
from minigrad.compile.native.types import I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer

#: Vectors of channels that are computed side by side.
_SIDE_BY_SIDE = 4
#: Axes up to this length are gone through with tables.
LONGEST = 1 << 16
#: Windows up to this many taps are written out, if none of them can lie outside.
WRITTEN_OUT = 16


class Columns(NamedTuple):
    """Some neighbouring channels: where they begin, and the vectors that hold them.

    Attributes:
        start: the first channel.
        vectors: (channel from there, type, lanes that exist) of each.
    """

    start: Value
    vectors: tuple[tuple[int, Type, int], ...]

    def load(self, w: Writer, address: Value) -> list[Value]:
        """The vectors at the address of a row of channels."""
        t = self.vectors[0][1].scalar
        here = w.at(address, self.start, t)
        return [load_some(w, w.at(here, at, t), v, count) for at, v, count in self.vectors]

    def store(
        self,
        w: Writer,
        values: Sequence[Value],
        address: Value,
        row: Value,
        epilogue: Epilogue | None = None,
    ) -> None:
        """Store vectors in the row of channels at an address, after the epilogue."""
        t = self.vectors[0][1].scalar
        here = w.at(address, self.start, t)
        made = list(values)
        if epilogue is not None:
            for i, (at, v, count) in enumerate(self.vectors):
                mask = first_lanes(count, v.lanes)
                made[i] = epilogue(w, made[i], row, plus(w, self.start, at), mask)
        for value, (at, _, count) in zip(made, self.vectors, strict=True):
            store_some(w, value, w.at(here, at, t), count)

    def const(self, w: Writer, value: object) -> list[Value]:
        """A constant in all vectors."""
        return [w.const(value, v) for _, v, _ in self.vectors]


def each_column(w: Writer, t: Type, channels: int, write: Callable[[Columns], None]) -> None:
    """Write the code of all channels: some vectors at a time, in a loop if there are many."""
    lanes = w.module.lanes(t)
    while lanes > 1 and lanes // 2 >= channels:
        lanes //= 2
    v = t.of(lanes)
    total = channels // lanes
    rest = channels % lanes
    looped = 0
    if total > _SIDE_BY_SIDE:
        looped = total - total % _SIDE_BY_SIDE
        step = _SIDE_BY_SIDE * lanes
        with w.loop(0, looped * lanes, step) as loop:
            write(Columns(loop.index, tuple((i, v, lanes) for i in range(0, step, lanes))))
    tail = [(i * lanes, v, lanes) for i in range(total - looped)]
    if rest:
        tail.append((len(tail) * lanes, v, rest))
    if tail:
        write(Columns(w.index(looped * lanes), tuple(tail)))


#: Given the offset of a tap's element and carried values, their next ones.
Step = Callable[[Value, list[Value]], list[Value]]


def over_taps(
    w: Writer,
    axes: Sequence[Axis],
    bounds: Sequence[tuple[Value, Value]],
    carried: list[Value],
    step: Step,
) -> list[Value]:
    """Carry values through the taps between bounds, those of the last axis fastest."""
    if not any(a.padded for a in axes) and math.prod([a.taps for a in axes]) <= WRITTEN_OUT:
        offsets = [0]
        for a in axes:
            offsets = [o + j * a.dilation * a.unit for o in offsets for j in range(a.taps)]
        for offset in offsets:
            carried = step(w.index(offset), carried)
        return carried

    def nest(depth: int, offset: Value, values: list[Value]) -> list[Value]:
        if depth == len(axes):
            return step(offset, values)
        axis = axes[depth]
        if axis.taps == 1:
            # Every window sees something, so the only tap lies inside.
            return nest(depth + 1, offset, values)
        with w.loop(*bounds[depth], carried=values) as loop:
            here = plus(w, offset, times(w, loop.index, axis.dilation * axis.unit))
            loop.next = tuple(nest(depth + 1, here, list(loop.values)))
        return list(loop.results)

    return nest(0, w.index(0), carried)


class Place(NamedTuple):
    """A window: its row of results, what it sees first, and its taps that lie inside.

    Attributes:
        row: of the result.
        source: offset of its first tap in the input; it may lie in the padding.
        bounds: from and to which tap, along each axis.
    """

    row: Value
    source: Value
    bounds: list[tuple[Value, Value]]


@contextmanager
def each_window(module: Module, s: PoolingSpec) -> Iterator[tuple[Writer, Place, list[str]]]:
    """Write a function that goes through all windows; a unit is a line of them.

    Gives the writer, the window, and a list to which the function's name is added at the end.
    """
    axes = s.axes
    deep, height, width = axes
    w = kernel_function(module)
    _, lo, hi = w.parameters
    name: list[str] = []
    with w.loop(lo, hi) as lines:
        example, d, h = split_index(w, lines.index, s.batch, deep.places, height.places)
        start = plus(
            w,
            times(w, example, math.prod(s.sizes) * s.channels),
            times(w, d, deep.stride * deep.unit),
            times(w, h, height.stride * height.unit),
            sum(a.first * a.unit for a in axes),
        )
        row = times(w, lines.index, width.places)
        outer = [deep.bounds(w, d), height.bounds(w, h)]
        with w.loop(0, width.places) as loop:
            place = Place(
                plus(w, row, loop.index),
                plus(w, start, times(w, loop.index, width.stride * width.unit)),
                [*outer, width.bounds(w, loop.index)],
            )
            yield w, place, name
    name.append(w.finish_once())


def window_phase(name: list[str], s: PoolingSpec) -> Phase:
    """The phase of a function that `each_window` wrote."""
    deep, height, width = s.places
    units = s.batch * deep * height
    return Phase(name[0], units, units * width * (3 + s.taps * s.channels * s.type.bits / 250))


class _Seeing(NamedTuple):
    """Which windows see the positions of an axis: tables, one number a position."""

    first: list[int]
    number: list[int]
    step: int


def _seeing(axis: Axis) -> _Seeing:
    """The windows that see each position, by their taps in order: later taps, earlier windows."""
    stride, dilation = axis.stride, axis.dilation
    common = math.gcd(stride, dilation)
    # From one tap that sees a position to the next, and between the windows that see it so.
    period, step = stride // common, dilation // common
    taps = {j * dilation % stride: j for j in reversed(range(min(period, axis.taps)))}
    first, number = [], []
    for position in range(axis.size):
        at = position - axis.first
        tap = taps.get(at % stride)
        window, seen = 0, range(0)
        if tap is not None:
            window = (at - tap * dilation) // stride
            least = max(-((axis.places - 1 - window) // step), 0)
            most = min((axis.taps - 1 - tap) // period, window // step)
            seen = range(least, max(least, most + 1))
        first.append(window - seen.start * step if seen else 0)
        number.append(len(seen))
    return _Seeing(first, number, step)


def table(module: Module, numbers: Sequence[int]) -> Value:
    """A constant array of 64-bit integers in the module."""
    held = tuple(numbers)

    def make(name: str) -> None:
        items = ", ".join([f"i64 {n}" for n in held])
        kind = f"[{len(held)} x i64]"
        module.add(f"@{name} = internal unnamed_addr constant {kind} [{items}], align 8")

    return Value(f"@{module.shared(('table', held), make)}", PTR)


#: Given the row of a window's result, its places along the axes, and carried values, the next ones.
Visit = Callable[[Value, list[Value], list[Value]], list[Value]]


class Gathering:
    """Goes through all positions of the input, and for each through the windows that see it."""

    def __init__(self, module: Module, s: PoolingSpec) -> None:
        self.module = module
        self.s = s
        self.axes = s.axes
        self.tables: list[tuple[_Seeing, Value | None, Value | None]] = []
        for axis in self.axes:
            seeing = _seeing(axis)
            plain = seeing.first == [0] and seeing.number == [1]
            self.tables.append(
                (
                    seeing,
                    None if plain else table(module, seeing.first),
                    None if plain or set(seeing.number) == {1} else table(module, seeing.number),
                )
            )

    @contextmanager
    def positions(self) -> Iterator[tuple[Writer, Value, list[tuple[Value, Value]], list[str]]]:
        """Write a function that goes through all positions; a unit is a line of them.

        Gives the writer, the row of the position, for each axis the first window that sees it and
        how many do, and a list to which the function's name is added at the end.
        """
        s = self.s
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        name: list[str] = []
        with w.loop(lo, hi) as lines:
            example, d, h = split_index(w, lines.index, s.batch, s.sizes[0], s.sizes[1])
            row = times(w, lines.index, s.sizes[2])
            outer = [self._windows(w, 0, d), self._windows(w, 1, h)]
            first = plus(w, outer[0][0], times(w, example, self.axes[0].places))
            outer[0] = (first, outer[0][1])
            with w.loop(0, s.sizes[2]) as loop:
                seen = [*outer, self._windows(w, 2, loop.index)]
                yield w, plus(w, row, loop.index), seen, name
        name.append(w.finish_once())

    def _windows(self, w: Writer, axis: int, position: Value) -> tuple[Value, Value]:
        _, first, count = self.tables[axis]
        zero, one = w.index(0), w.index(1)
        return (
            zero if first is None else w.load(w.at(first, position, I64), I64),
            one if count is None else w.load(w.at(count, position, I64), I64),
        )

    def over_windows(
        self,
        w: Writer,
        seen: Sequence[tuple[Value, Value]],
        carried: list[Value],
        visit: Visit,
    ) -> list[Value]:
        """Carry values through the windows that see a position, by their taps in order."""

        def nest(depth: int, row: Value, at: list[Value], values: list[Value]) -> list[Value]:
            if depth == 3:
                return visit(row, at, values)
            first, count = seen[depth]
            axis, step = self.axes[depth], self.tables[depth][0].step
            if count.text == "1":
                return nest(
                    depth + 1, plus(w, row, times(w, first, axis.rows)), [*at, first], values
                )
            with w.loop(0, count, carried=values) as loop:
                here = w.sub(first, times(w, loop.index, step))
                there = plus(w, row, times(w, here, axis.rows))
                loop.next = tuple(nest(depth + 1, there, [*at, here], list(loop.values)))
            return list(loop.results)

        return nest(0, w.index(0), [], carried)

    def phase(self, name: list[str]) -> Phase:
        """The phase of a function that `positions` wrote."""
        s = self.s
        units = s.batch * s.sizes[0] * s.sizes[1]
        seen = math.prod(
            [max(k // stride, 1) for k, stride in zip(s.window, s.stride, strict=True)]
        )
        return Phase(
            name[0], units, units * s.sizes[2] * (5 + (1 + seen) * s.channels * s.type.bits / 200)
        )

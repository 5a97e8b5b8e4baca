"""One tile of a direct convolution's results.

Some places, side by side, of one or two vectors of channels: their sums stay in registers while a
loop goes through taps and channels. A step of it loads one row of the packed kernel, broadcasts one
element of the input for each place, and multiplies all with all. Each sum runs over taps and
channels in one fixed order, whatever the tile.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.tiles import Blocks
from minigrad.compile.native.kernel import Epilogue
from minigrad.compile.native.memory import first_lanes, plus, store_some, times
from minigrad.compile.native.types import I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer

#: A loop's body holds about so many products of vectors.
_BODY = 56

#: Adds to sums, from addresses in the input and in the packed kernel.
_Add = Callable[[Value, Value, "list[Value]"], "list[Value]"]


class Gather(NamedTuple):
    """A direct convolution of an input with its padding and a packed kernel.

    Attributes:
        type: of the elements.
        batch: how many examples.
        axes: depth, height and width.
        image: elements of the input from one example to the next.
        start: where the first place sees the first tap, in elements.
        depth: channels that each sum runs over.
        groups: independent convolutions side by side.
        blocks: the channels of a group's results.
        rows: rows of results of one example.
        row: that of the first place.
        zeros: whether zeros around the input count as elements, so that 0 times Inf is NaN; else
            results have no part of what is outside.
    """

    type: Type
    batch: int
    axes: tuple[Axis, Axis, Axis]
    image: int
    start: int
    depth: int
    groups: int
    blocks: Blocks
    rows: int
    row: int
    zeros: bool

    @property
    def columns(self) -> int:
        """Channels of the results."""
        return self.groups * self.blocks.channels

    @property
    def block(self) -> int:
        """Elements of a packed block."""
        return math.prod([a.taps for a in self.axes]) * self.depth * self.blocks.width


class Tile(NamedTuple):
    """A tile of results.

    Attributes:
        tall: places along height.
        wide: places along width.
        channels: how many of a block.
        column: the first place along width, if some taps of the tile are to be left out because
            they see only padding; else None.
    """

    tall: int
    wide: int
    channels: int
    column: int | None = None


def tile_function(
    module: Module, g: Gather, tile: Tile, epilogue: Epilogue | None, each: bool
) -> str:
    """The function that computes one tile.

    Its parameters are the args; where the first place sees the first tap, the packed block, where
    the first result goes, its row and column; and for depth and height from and to which tap the
    sums run. `each` says that they have such bounds for the last axis, too.
    """
    return _Tile(module, g, tile, epilogue, each).emit()


class _Tile:
    def __init__(
        self, module: Module, g: Gather, tile: Tile, epilogue: Epilogue | None, each: bool
    ) -> None:
        names = [("args", PTR), ("a", PTR), ("b", PTR), ("y", PTR), ("row", I64), ("column", I64)]
        names += [(f"{axis}{end}", I64) for axis in "dhw"[: 2 + each] for end in ("lo", "hi")]
        self.w: Writer = module.function("NAME", names)
        self.g = g
        self.epilogue = epilogue
        self.each = each
        self.tile = tile
        _, height, width = g.axes
        self.places = [(i, j) for i in range(tile.tall) for j in range(tile.wide)]
        #: Where each place lies in the input, from the first on.
        self.offsets = [
            i * height.stride * height.unit + j * width.stride * width.unit for i, j in self.places
        ]
        #: So many steps load no element twice. If they did, LLVM would keep all of them for later,
        #: more than there are registers.
        self.apart = width.stride * width.unit if tile.wide > 1 else 8
        #: For each vector of channels, how many lanes there are.
        self.counts = g.blocks.vectors_of(tile.channels)

    def emit(self) -> str:
        """Write the function; its name."""
        g, w = self.g, self.w
        _, a, b, *_ = w.parameters
        bounds = w.parameters[6:]
        deep, height, width = g.axes
        zero = w.const(0, g.type.of(g.blocks.lanes))
        sums = [zero] * (len(self.places) * len(self.counts))
        line = g.depth * g.blocks.width

        def channels(a: Value, b: Value, sums: list[Value]) -> list[Value]:
            return self._steps(a, b, g.depth, sums, self.offsets)

        def across(a: Value, b: Value, sums: list[Value]) -> list[Value]:
            beside = width.dilation * width.unit == g.depth
            if self.tile.column is not None:
                return self._seen(a, b, sums, beside)
            if not self.each and beside:
                # The channels of neighbouring taps lie side by side.
                return self._steps(a, b, width.taps * g.depth, sums, self.offsets)
            given = (bounds[4], bounds[5]) if self.each else None
            return self._taps(width, given, line, a, b, sums, channels)

        def down(a: Value, b: Value, sums: list[Value]) -> list[Value]:
            given = (bounds[2], bounds[3])
            return self._taps(height, given, width.taps * line, a, b, sums, across)

        plane = height.taps * width.taps * line
        self._store(self._taps(deep, (bounds[0], bounds[1]), plane, a, b, sums, down))
        return w.finish_once()

    def _taps(
        self,
        axis: Axis,
        bounds: tuple[Value, Value] | None,
        step: int,
        a: Value,
        b: Value,
        sums: list[Value],
        add: _Add,
    ) -> list[Value]:
        """Add what the taps of one axis see, which lie `step` elements apart in the kernel."""
        w, t = self.w, self.g.type
        start, stop = (0, axis.taps) if bounds is None or not axis.padded else bounds
        if (start, stop) == (0, 1):
            return add(a, b, sums)
        with w.loop(start, stop, carried=sums) as loop:
            to_a = w.at(a, times(w, loop.index, axis.dilation * axis.unit), t)
            to_b = w.at(b, times(w, loop.index, step), t)
            loop.next = tuple(add(to_a, to_b, list(loop.values)))
        return list(loop.results)

    def _seen(self, a: Value, b: Value, sums: list[Value], beside: bool) -> list[Value]:
        """Add what the taps along width see, each to the places that see no padding with it."""
        g, w, many = self.g, self.w, len(self.counts)
        width = g.axes[2]
        made = list(sums)
        groups = [
            (list(taps), places)
            for places, taps in itertools.groupby(range(width.taps), self._places_that_see)
        ]
        if not beside:
            groups = [([tap], places) for taps, places in groups for tap in taps]
        for taps, places in groups:
            to_a = w.at(a, taps[0] * width.dilation * width.unit, g.type)
            to_b = w.at(b, taps[0] * g.depth * g.blocks.width, g.type)
            chosen = [n * many + k for n in places for k in range(many)]
            some = self._steps(
                *(to_a, to_b, len(taps) * g.depth, [made[i] for i in chosen]),
                [self.offsets[n] for n in places],
                body=_BODY // 2,
            )
            for i, value in zip(chosen, some, strict=True):
                made[i] = value
        return made

    def _places_that_see(self, tap: int) -> list[int]:
        """Which places of the tile see no padding with a tap along width."""
        width, first = self.g.axes[2], self.tile.column
        assert first is not None
        return [n for n, (_, j) in enumerate(self.places) if width.sees(first + j, tap)]

    def _steps(
        self,
        a: Value,
        b: Value,
        length: int,
        sums: list[Value],
        offsets: list[int],
        body: int = _BODY,
    ) -> list[Value]:
        """Add `length` products to each sum."""
        w, t, width = self.w, self.g.type, self.g.blocks.width
        if not sums:
            return sums
        size = len(sums)
        if length * size <= 2 * body and length <= self.apart:
            return self._some(a, b, length, sums, offsets)
        unroll = max(min(body // size, 8, self.apart), 1)
        looped = length - length % unroll
        with w.loop(0, looped, unroll, carried=sums) as loop:
            to_a, to_b = w.at(a, loop.index, t), w.at(b, times(w, loop.index, width), t)
            loop.next = tuple(self._some(to_a, to_b, unroll, list(loop.values), offsets))
        made = list(loop.results)
        rest = length - looped
        if rest:
            to_a, to_b = w.at(a, looped, t), w.at(b, looped * width, t)
            made = self._some(to_a, to_b, rest, made, offsets)
        return made

    def _some(
        self, a: Value, b: Value, length: int, sums: list[Value], offsets: list[int]
    ) -> list[Value]:
        w, g = self.w, self.g
        t, lanes = g.type, g.blocks.lanes
        made = list(sums)
        for k in range(length):
            row = [
                w.load(w.at(b, k * g.blocks.width + i * lanes, t), t.of(lanes))
                for i in range(len(self.counts))
            ]
            for n, offset in enumerate(offsets):
                x = w.splat(w.load(w.at(a, offset + k, t), t), lanes)
                for i, y in enumerate(row):
                    place = n * len(row) + i
                    made[place] = w.fma(x, y, made[place])
        return made

    def _store(self, sums: list[Value]) -> None:
        """The epilogue of all sums, then their stores: so what it loads is loaded once."""
        g, w = self.g, self.w
        y, row, column = w.parameters[3:6]
        _, height, width = g.axes
        stores = []
        values = iter(sums)
        for i, j in self.places:
            down = i * height.rows + j * width.rows
            at_row = plus(w, row, down)
            for k, count in enumerate(self.counts):
                value = next(values)
                right = k * g.blocks.lanes
                if self.epilogue is not None:
                    mask = first_lanes(count, g.blocks.lanes)
                    value = self.epilogue(w, value, at_row, plus(w, column, right), mask)
                stores.append((value, down * g.columns + right, count))
        for value, to, count in stores:
            store_some(w, value, w.at(y, to, g.type), count)

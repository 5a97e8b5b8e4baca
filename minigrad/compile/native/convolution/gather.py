"""The sums of a direct convolution: each result gathers from the taps of its window.

Results are computed a tile at a time (see `tile`). Here are the functions that go through all
tiles, with units of work for threads: some rows of places of one example.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from minigrad.compile.native.convolution.notes import any_flag
from minigrad.compile.native.convolution.tile import Gather, Tile, tile_function
from minigrad.compile.native.convolution.tiles import cut_line, cut_plane, most_rows, tile_cost
from minigrad.compile.native.kernel import Epilogue, Phase, kernel_function, operand
from minigrad.compile.native.memory import byte, plus, split_index, times
from minigrad.compile.native.types import memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

#: Packed kernels up to this size stay in the cache while all blocks of one place are computed.
_CACHED = 384 * 1024
#: With so many channels it is worth to leave out taps that see padding along width.
_DEEP = 8
#: So many tiles are written out for that, at most.
_MOST_EDGES = 4
#: Units of work, at least, and tiles of each, at most.
_UNITS = 16
_TILES = 16


class Operands(NamedTuple):
    """Where a gather finds its operands: positions among the args, and bytes from there."""

    source: int
    source_start: int
    weights: int
    weights_start: int
    flags: int
    flag_units: int
    target: int


class _Unit(NamedTuple):
    """A unit of work: some columns of some rows of places, of one block of channels or of all.

    Attributes:
        source: what the first place sees with the first tap.
        weights: the packed blocks of the group.
        row: of the first result.
        column: of the group's first result.
        bad: whether the kernel has Inf or NaN; None if it does not matter.
        d: the place along depth.
        h: the first place along height.
        block: which block; None for all.
        segment: which columns.
    """

    source: Value
    weights: Value
    target: Value
    row: Value
    column: Value
    bad: Value | None
    d: Value
    h: Value
    block: Value | None
    segment: Value


def emit_gather(
    module: Module, g: Gather, at: Operands, epilogue: Epilogue | None = None
) -> Phase | None:
    """The phase that computes all results; None if there are none."""
    if not g.columns or not g.batch * math.prod([a.places for a in g.axes]):
        return None
    return _Driver(module, g, at, epilogue).emit()


class _Driver:
    """Writes the function that goes through all tiles."""

    def __init__(self, module: Module, g: Gather, at: Operands, epilogue: Epilogue | None) -> None:
        self.module = module
        self.g = g
        self.at = at
        self.epilogue = epilogue
        vectors = g.blocks.vectors
        most = most_rows(module, vectors)
        _, height, width = g.axes
        self.tall, self.wide = cut_plane(height.places, width.places, most, vectors)
        if height.places == 1:
            self.tall, self.wide = 1, cut_line(width.places, most, vectors)
        packed = g.groups * g.blocks.number * g.block * memory_bytes(g.type)
        #: Whether a unit computes one block of channels, all places of which come first.
        self.apart = packed > _CACHED
        self.lines = -(-height.places // self.tall)
        self.tiles = -(-width.places // self.wide)
        others = g.groups * g.batch * g.axes[0].places * self.lines
        self.segment = max(min(self.tiles, _TILES, self.tiles * others // _UNITS), 1)
        self.segments = -(-self.tiles // self.segment)

    def emit(self) -> Phase:
        """The phase."""
        g, at = self.g, self.at
        deep, height, _ = g.axes
        w = kernel_function(self.module)
        _, lo, hi = w.parameters
        source = byte(w, operand(w, at.source), at.source_start)
        weights = byte(w, operand(w, at.weights), at.weights_start)
        target = operand(w, at.target)
        bad: Value | None = None
        if any(a.padded for a in g.axes):
            bad = any_flag(w, byte(w, operand(w, at.weights), at.flags), at.flag_units)
        blocks = g.blocks.number if self.apart else 1
        counts = (g.groups, blocks, g.batch, deep.places, self.lines, self.segments)
        with w.loop(lo, hi) as loop:
            group, block, example, d, line, segment = split_index(w, loop.index, *counts)
            h = times(w, line, self.tall)
            start = plus(
                w,
                times(w, example, g.image),
                times(w, d, deep.stride * deep.unit),
                times(w, h, height.stride * height.unit),
                times(w, group, g.depth),
                g.start,
            )
            row = plus(
                *(w, times(w, example, g.rows), times(w, d, deep.rows)),
                *(times(w, h, height.rows), g.row),
            )
            packed = times(w, group, g.blocks.number * g.block)
            unit = _Unit(
                source=w.at(source, start, g.type),
                weights=w.at(weights, packed, g.type),
                target=target,
                row=row,
                column=times(w, group, g.blocks.channels),
                bad=bad,
                d=d,
                h=h,
                block=block if self.apart else None,
                segment=segment,
            )
            self._unit(w, unit, line)
        return Phase(w.finish_once(), math.prod(counts), self._work())

    def _work(self) -> float:
        g = self.g
        deep, height, width = g.axes
        tile = tile_cost(self.tall * self.wide, g.blocks.vectors) * g.blocks.number
        tiles = height.places / self.tall * width.places / self.wide
        steps = math.prod([a.taps for a in g.axes]) * g.depth
        return g.groups * g.batch * deep.places * tiles * tile * (steps + 10) / 4.0

    def _unit(self, w: Writer, unit: _Unit, line: Value) -> None:
        """A unit, whose last line of tiles may be less tall."""
        places = self.g.axes[1].places
        whole, rest = divmod(places, self.tall)

        def tiles(tall: int) -> None:
            if unit.bad is None:
                self._tiles(w, unit, tall)
                return
            with w.when(w.not_(unit.bad)):
                self._tiles(w, unit, tall)
            with w.when(unit.bad):
                self._places(w, unit, tall)

        if not rest:
            tiles(self.tall)
            return
        full = w.compare("<", line, w.index(whole))
        with w.when(full):
            tiles(self.tall)
        with w.when(w.not_(full)):
            tiles(rest)

    def _tiles(self, w: Writer, unit: _Unit, tall: int) -> None:
        """The tiles of a unit: those at the ends that see padding, and those between."""
        deep, height, width = self.g.axes
        bounds = [*deep.bounds(w, unit.d), *height.bounds(w, unit.h, tall)]
        whole, rest = divmod(width.places, self.wide)
        zero = w.index(0)

        def one(wide: int, first: Value, column: int | None = None) -> None:
            self._tile(w, unit, Tile(tall, wide, 0, column), (zero, first), bounds, each=False)

        edges = self._edges()
        for tile in edges:
            first = tile * self.wide
            one(min(self.wide, width.places - first), w.index(first), first)
        before = next((i for i in range(whole + 1) if i not in edges), 0)
        after = next((i for i in range(whole, 0, -1) if i - 1 not in edges), 0)
        if before < after:
            start = plus(w, times(w, unit.segment, self.segment), before)
            stop = plus(w, start, self.segment)
            if self.segments > 1 or rest or edges:
                stop = w.minimum(stop, w.index(after))
            with w.loop(start, stop) as loop:
                one(self.wide, times(w, loop.index, self.wide))
        if rest and whole not in edges:
            last = w.index(whole * self.wide)
            if self.segments == 1:
                one(rest, last)
            else:
                with w.when(w.compare("==", unit.segment, w.index(self.segments - 1))):
                    one(rest, last)

    def _edges(self) -> list[int]:
        """The tiles along width that are written out, without the taps that see padding."""
        width = self.g.axes[2]
        if self.segments > 1 or self.g.depth < _DEEP:
            return []
        whole = width.whole
        edges = [
            i
            for i in range(self.tiles)
            if i * self.wide < whole.start or min((i + 1) * self.wide, width.places) > whole.stop
        ]
        between = [i for i in range(self.tiles) if i not in edges]
        if len(edges) > _MOST_EDGES or (between and between[-1] - between[0] >= len(between)):
            return []
        return edges

    def _places(self, w: Writer, unit: _Unit, tall: int) -> None:
        """The same one place at a time: all taps, or those of each that see no padding."""
        deep, height, width = self.g.axes
        start = times(w, unit.segment, self.segment * self.wide)
        stop = w.minimum(plus(w, start, self.segment * self.wide), w.index(width.places))
        with w.loop(0, tall) as down, w.loop(start, stop) as across:
            bounds: list[Value] = []
            here = plus(w, unit.h, down.index)
            for axis, place in ((deep, unit.d), (height, here), (width, across.index)):
                if self.g.zeros:
                    bounds += [w.index(0), w.index(axis.taps)]
                else:
                    bounds += axis.bounds(w, place)
            self._tile(w, unit, Tile(1, 1, 0), (down.index, across.index), bounds, each=True)

    def _tile(
        self,
        w: Writer,
        unit: _Unit,
        tile: Tile,
        place: tuple[Value, Value],
        bounds: list[Value],
        each: bool,
    ) -> None:
        """One tile, of all blocks of channels that belong to the unit."""
        g = self.g
        _, height, width = g.axes
        down, right = place
        start = plus(
            *(w, times(w, down, height.stride * height.unit)),
            times(w, right, width.stride * width.unit),
        )
        row = plus(w, unit.row, times(w, down, height.rows), times(w, right, width.rows))
        a = w.at(unit.source, start, g.type)

        def one(block: Value, channels: int) -> None:
            full = tile._replace(channels=channels)
            made = tile_function(self.module, g, full, self.epilogue, each=each)
            column = plus(w, unit.column, times(w, block, g.blocks.width))
            y = w.at(unit.target, plus(w, times(w, row, g.columns), column), g.type)
            b = w.at(unit.weights, times(w, block, g.block), g.type)
            w.call(made, w.parameters[0], a, b, y, row, column, *bounds)

        self._blocks(w, unit.block, one)

    def _blocks(self, w: Writer, block: Value | None, one: Callable[[Value, int], None]) -> None:
        """Call ``one(block, channels)`` for one block, or for all."""
        blocks = self.g.blocks
        if block is None:
            if blocks.whole == 1:
                one(w.index(0), blocks.width)
            elif blocks.whole:
                with w.loop(0, blocks.whole) as loop:
                    one(loop.index, blocks.width)
            if blocks.last:
                one(w.index(blocks.whole), blocks.last)
        elif not blocks.last:
            one(block, blocks.width)
        else:
            whole = w.compare("<", block, w.index(blocks.whole))
            if blocks.whole:
                with w.when(whole):
                    one(block, blocks.width)
            with w.when(w.not_(whole)):
                one(block, blocks.last)

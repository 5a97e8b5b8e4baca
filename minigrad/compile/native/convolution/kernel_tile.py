"""One tile of a kernel's gradient: its sums over some rows of places.

Some (tap, channel) elements, side by side in the input, of one or two vectors of the output's
channels: their sums stay in registers while a loop goes through places.
"""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.convolution.kernel_cut import Cut
from minigrad.compile.native.memory import load_some, plus, split_index, store_some, times
from minigrad.compile.native.types import BOOL, I64, PTR
from minigrad.compile.native.writer import Module, Value


class KernelTile(NamedTuple):
    """A tile of the kernel: lines of (tap, channel) elements, and channels of the output."""

    tall: int
    wide: int
    channels: int


def kernel_tile_function(module: Module, cut: Cut, tile: KernelTile) -> str:
    """The function that adds rows of places to the sums of one tile.

    Its parameters are what the tile's first element sees at the first place of all, the block of
    the upstream gradient there, where the sums are kept; from and to which row; whether the sums
    begin at 0; and from and to which place along height and width the tile sees the input.
    """
    s, t, units = cut.spec, cut.spec.type, cut.padded.units
    lanes = cut.blocks.lanes
    counts = cut.blocks.vectors_of(tile.channels)
    w = module.function(
        "NAME",
        [
            *(("x", PTR), ("g", PTR), ("y", PTR), ("first", I64), ("last", I64)),
            *(("fresh", BOOL), ("top", I64), ("bottom", I64), ("left", I64), ("right", I64)),
        ],
    )
    x, g, y, first, last, fresh, top, bottom, left, right = w.parameters
    if not cut.trimmed:
        left, right = w.index(0), w.index(cut.places[2])
    v = t.of(lanes)
    elements = [(i, j) for i in range(tile.tall) for j in range(tile.wide)]
    offsets = [i * cut.line_step + j for i, j in elements]
    outs = [
        (i * cut.line + j) * s.outputs + k * lanes for i, j in elements for k in range(len(counts))
    ]
    zero = w.const(0, v)
    sums = []
    many = [count for _ in elements for count in counts]
    for to, count in zip(outs, many, strict=True):
        sums.append(w.select(fresh, zero, load_some(w, w.at(y, to, t), v, count)))
    deep, high, wide = cut.places
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
            times(w, example, cut.padded.image),
            times(w, d, steps[0]),
            times(w, h, steps[1]),
        )
        a = w.at(x, place, t)
        b = w.at(g, times(w, rows.index, wide * s.outputs), t)
        stop = right
        if cut.trimmed:
            inside = w.and_(w.compare(">=", h, top), w.compare("<", h, bottom))
            stop = w.select(inside, right, left)
        values: tuple[Value, ...] = rows.values
        begin = left
        if unroll > 1:
            rest = w.rem(w.sub(stop, left), w.index(unroll))
            middle = w.sub(stop, rest)
            with w.loop(begin, middle, unroll, carried=values) as loop:
                to_a = w.at(a, times(w, loop.index, steps[2]), t)
                to_b = w.at(b, times(w, loop.index, s.outputs), t)
                some = list(loop.values)
                for n in range(unroll):
                    some = step(to_a, to_b, n, some)
                loop.next = tuple(some)
            values, begin = loop.results, middle
        with w.loop(begin, stop, carried=values) as loop:
            to_a = w.at(a, times(w, loop.index, steps[2]), t)
            to_b = w.at(b, times(w, loop.index, s.outputs), t)
            loop.next = tuple(step(to_a, to_b, 0, list(loop.values)))
        rows.next = loop.results
    for value, to, count in zip(rows.results, outs, many, strict=True):
        store_some(w, value, w.at(y, to, t), count)
    return w.finish_once()

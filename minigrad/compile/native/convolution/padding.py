"""The input with zeros around it, so that every window lies inside."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.kernel import Phase, kernel_function, operand
from minigrad.compile.native.memory import byte, copy, fill, plus, split_index, times
from minigrad.compile.native.types import Type, memory_bytes
from minigrad.compile.native.writer import Module

Ints = tuple[int, ...]


class Padded(NamedTuple):
    """A channels-last array with three spatial axes and zeros around them.

    Attributes:
        type: of its elements.
        batch: how many examples.
        sizes: without the zeros.
        padding: (before, after) of each axis.
        channels: how many.
    """

    type: Type
    batch: int
    sizes: Ints
    padding: tuple[tuple[int, int], ...]
    channels: int

    @property
    def full(self) -> Ints:
        """The sizes with the zeros."""
        return tuple(n + b + a for n, (b, a) in zip(self.sizes, self.padding, strict=True))

    @property
    def any(self) -> bool:
        """Whether there are zeros."""
        return any(map(any, self.padding))

    @property
    def units(self) -> Ints:
        """How many elements lie between two positions along each axis."""
        _, height, width = self.full
        return (height * width * self.channels, width * self.channels, self.channels)

    @property
    def image(self) -> int:
        """Elements of an example."""
        return math.prod(self.full) * self.channels

    @property
    def bytes(self) -> int:
        """Bytes of scratch memory that it takes."""
        return self.batch * self.image * memory_bytes(self.type) if self.any else 0


def emit_padding(module: Module, padded: Padded, source: int, scratch: int, start: int) -> Phase:
    """Copy the operand `source` into the operand `scratch`, from byte `start` on."""
    t, channels = padded.type, padded.channels
    depth, height, width = padded.full
    (front, _), (top, _), (left, right) = padded.padding
    w = kernel_function(module)
    _, lo, hi = w.parameters
    given = operand(w, source)
    made = byte(w, operand(w, scratch), start)
    with w.loop(lo, hi) as loop:
        example, d, h = split_index(w, loop.index, padded.batch, depth, height)
        line = w.at(made, times(w, loop.index, width * channels), t)
        d, h = plus(w, d, -front), plus(w, h, -top)
        inside = None
        for at, size, count in ((d, padded.sizes[0], depth), (h, padded.sizes[1], height)):
            if count > size:
                for test in (w.compare(">=", at, w.index(0)), w.compare("<", at, w.index(size))):
                    inside = test if inside is None else w.and_(inside, test)

        def move() -> None:
            size = padded.sizes
            row = plus(w, times(w, plus(w, times(w, example, size[0]), d), size[1]), h)
            fill(w, line, left * channels, t)
            source_line = w.at(given, times(w, row, size[2] * channels), t)
            copy(w, source_line, w.at(line, left * channels, t), size[2] * channels, t)
            after = w.at(line, (left + size[2]) * channels, t)
            fill(w, after, right * channels, t)

        if inside is None:
            move()
        else:
            with w.when(inside):
                move()
            with w.when(w.not_(inside)):
                fill(w, line, width * channels, t)
    units = padded.batch * depth * height
    return Phase(w.finish_once(), units, units * (5 + width * channels * memory_bytes(t) / 25))

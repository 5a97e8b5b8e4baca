"""Along which axes a direct convolution gathers, and how they lie in memory."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.convolution.memory import plus, times
from minigrad.compile.native.convolution.tiles import Blocks
from minigrad.compile.native.types import Type
from minigrad.compile.native.writer import Value, Writer


class Axis(NamedTuple):
    """One axis along which results gather.

    Attributes:
        places: how many results.
        taps: of the window.
        stride: positions of the input from one place to the next.
        dilation: positions from one tap to the next.
        first: the position that the first place sees with the first tap; below 0 it is padding.
        size: how many positions there are.
        unit: elements from one position to the next, in memory with its padding.
        rows: rows of results from one place to the next.
        padded: whether any tap falls outside.
    """

    places: int
    taps: int
    stride: int
    dilation: int
    first: int
    size: int
    unit: int
    rows: int

    @property
    def padded(self) -> bool:
        """Whether a tap of any place falls outside the input."""
        reach = self.first + (self.places - 1) * self.stride + (self.taps - 1) * self.dilation
        return self.first < 0 or reach >= self.size

    def bounds(self, w: Writer, place: Value, count: int = 1) -> tuple[Value, Value]:
        """From and to which tap any of `count` places, beginning with `place`, see the input."""
        if not self.padded:
            return w.index(0), w.index(self.taps)
        at = plus(w, times(w, place, self.stride), self.first)
        d = self.dilation
        before = w.sub(w.index(d - 1 - (count - 1) * self.stride), at)
        after = w.sub(w.index(self.size - 1 + d), at)
        zero, most = w.index(0), w.index(self.taps)
        lo = w.div(w.maximum(before, zero), w.index(d))
        hi = w.div(w.maximum(after, zero), w.index(d))
        return lo, w.minimum(hi, most)


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

"""An axis along which windows slide, and how it lies in memory."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.memory import plus, times
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

    def sees(self, place: int, tap: int) -> bool:
        """Whether a place sees the input, and no padding, with a tap."""
        return 0 <= self.first + place * self.stride + tap * self.dilation < self.size

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

    def places_seeing(self, w: Writer, first: Value, last: Value) -> tuple[Value, Value]:
        """From and to which place the input is seen with any of the taps `first` to `last`."""
        if not self.padded:
            return w.index(0), w.index(self.places)
        s, zero = self.stride, w.index(0)
        before = w.sub(w.index(s - 1 - self.first), times(w, last, self.dilation))
        after = w.sub(w.index(self.size - 1 - self.first + s), times(w, first, self.dilation))
        lo = w.div(w.maximum(before, zero), w.index(s))
        hi = w.div(w.maximum(after, zero), w.index(s))
        return lo, w.minimum(hi, w.index(self.places))

    def taps_inside(self, place: int) -> range:
        """The taps with which a place sees the input, and no padding."""
        at = self.first + place * self.stride
        lo = min(max(-(at // self.dilation), 0), self.taps)
        hi = min((self.size - 1 - at) // self.dilation + 1, self.taps)
        return range(lo, max(lo, hi))

    def places_inside(self, tap: int) -> range:
        """The places that see the input, and no padding, with a tap."""
        at = self.first + tap * self.dilation
        lo = min(max(-(at // self.stride), 0), self.places)
        hi = min((self.size - 1 - at) // self.stride + 1, self.places)
        return range(lo, max(lo, hi))

    @property
    def seen(self) -> float:
        """Which part of all pairs of places and taps lies inside the input."""
        inside = sum([len(self.places_inside(tap)) for tap in range(self.taps)])
        return inside / max(self.places * self.taps, 1)

    @property
    def whole(self) -> range:
        """The places that see no padding with any tap."""
        if not self.taps:
            return range(self.places)
        lo, hi = self.places_inside(0).start, self.places_inside(self.taps - 1).stop
        return range(lo, max(lo, hi))

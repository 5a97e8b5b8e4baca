"""What pooling is to native code: concrete sizes, all of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.types import Type

Ints = tuple[int, ...]


class PoolingSpec(NamedTuple):
    """Windows over a channels-last array of known shape.

    Attributes:
        type: of all elements: floats, or for the largest also integers.
        batch: how many examples.
        sizes: along each spatial axis.
        channels: how many.
        window: along each spatial axis.
        stride: positions from one window to the next.
        padding: (before, after) of each spatial axis; every window sees more than padding.
        dilation: positions from one element of a window to the next.
    """

    type: Type
    batch: int
    sizes: Ints
    channels: int
    window: Ints
    stride: Ints
    padding: tuple[tuple[int, int], ...]
    dilation: Ints

    @property
    def taps(self) -> int:
        """Elements of a window."""
        return math.prod(self.window)

    @property
    def places(self) -> Ints:
        """How many windows fit each axis."""
        return tuple(
            (n + before + after - (k - 1) * d - 1) // s + 1
            for n, k, s, d, (before, after) in zip(
                self.sizes, self.window, self.stride, self.dilation, self.padding, strict=True
            )
        )

    @property
    def volume(self) -> PoolingSpec:
        """The same with three spatial axes."""
        rank = len(self.sizes)
        ones = (1,) * (3 - rank)
        return self._replace(
            sizes=ones + self.sizes,
            window=ones + self.window,
            stride=ones + self.stride,
            dilation=ones + self.dilation,
            padding=((0, 0),) * (3 - rank) + self.padding,
        )

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes along which windows slide, of three."""
        _, height, width = self.sizes
        units = (height * width * self.channels, width * self.channels, self.channels)
        _, tall, wide = self.places
        rows = (tall * wide, wide, 1)
        return tuple(
            Axis(m, k, s, d, -before, n, unit, row)
            for m, k, s, d, (before, _), n, unit, row in zip(
                *(self.places, self.window, self.stride, self.dilation, self.padding),
                *(self.sizes, units, rows),
                strict=True,
            )
        )

    @property
    def apart(self) -> bool:
        """Whether windows are blocks: without padding or gaps, and none sees what another does."""
        return (
            max(self.dilation) == 1
            and not any(map(any, self.padding))
            and all(s >= k for s, k in zip(self.stride, self.window, strict=True))
        )

"""What a convolution is to native code: concrete sizes, all of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.types import Type

Ints = tuple[int, ...]


class ConvolutionSpec(NamedTuple):
    """A convolution of channels-last arrays of known shapes.

    Attributes:
        type: the type of all elements, float32 or float64.
        batch: how many examples.
        sizes: of the input, along each spatial axis.
        channels: of the input.
        window: of the kernel, along each spatial axis.
        outputs: channels of the result.
        stride: positions from one window to the next.
        padding: (before, after) of each spatial axis.
        dilation: positions from one element of a window to the next.
        groups: independent convolutions side by side; of a depthwise one as many as channels.
    """

    type: Type
    batch: int
    sizes: Ints
    channels: int
    window: Ints
    outputs: int
    stride: Ints
    padding: tuple[tuple[int, int], ...]
    dilation: Ints
    groups: int = 1

    @property
    def inner(self) -> int:
        """Channels of the input, of each group."""
        return self.channels // self.groups

    @property
    def outer(self) -> int:
        """Channels of the result, of each group."""
        return self.outputs // self.groups

    @property
    def taps(self) -> int:
        """Elements of a window."""
        return math.prod(self.window)

    @property
    def depthwise(self) -> bool:
        """Whether every channel has a result of its own, and there is something to compute."""
        some = min((self.batch, *self.sizes, *self.places)) > 0
        return self.groups == self.channels == self.outputs > 1 and some

    @property
    def image(self) -> int:
        """Elements of an example of the input."""
        return math.prod(self.sizes) * self.channels

    @property
    def units(self) -> Ints:
        """Elements of the input from one position to the next along each of three axes."""
        _, height, width = self.sizes
        return (height * width * self.channels, width * self.channels, self.channels)

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
    def raised(self) -> ConvolutionSpec:
        """The same with three spatial axes."""
        ones = (1,) * (3 - len(self.sizes))
        return self._replace(
            sizes=ones + self.sizes,
            window=ones + self.window,
            stride=ones + self.stride,
            dilation=ones + self.dilation,
            padding=((0, 0),) * len(ones) + self.padding,
        )

    @property
    def merged(self) -> ConvolutionSpec:
        """The same with three spatial axes; with a window of 1 all places lie along the last."""
        if self.taps > 1 or max(self.stride) > 1 or any(map(any, self.padding)):
            return self.raised
        plain: Ints = (1, 1, 1)
        return self._replace(
            batch=1,
            sizes=(1, 1, self.batch * math.prod(self.sizes)),
            window=plain,
            stride=plain,
            dilation=plain,
            padding=((0, 0),) * 3,
        )

"""Convolutions and pooling in plans, whose native kernels know one data format and plain padding.

The kernels are called `convolution`, `convolution_transpose`, `convolution_kernel_gradient`,
`max_pool`, `max_pool_gradient`, `avg_pool` and `avg_pool_gradient`. They are given what the
primitives are given, but channels last, and with the padding as pairs of numbers.
"""

from __future__ import annotations

from typing import Any

from minigrad.nn.functional.windows import FORMATS, Geometry, Ints, Windows

__all__: list[str] = []


def channels_last(b: Any, x: Any, geometry: Geometry) -> Any:
    """In a plan, the operand with its channels as the last axis."""
    return x if geometry.channels_last else b.transpose(x, (0, *range(2, x.rank), 1))


def in_format(b: Any, x: Any, geometry: Geometry) -> Any:
    """In a plan, a channels-last operand in the data format."""
    if geometry.channels_last:
        return x
    return b.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))


def plain_attributes(windows: Windows) -> dict[str, Any]:
    """The attributes of windows over channels-last arrays of known sizes."""
    return {
        "stride": windows.stride,
        "padding": windows.padding,
        "dilation": windows.dilation,
        "data_format": FORMATS[len(windows.sizes)][0],
    }


def last_shape(shape: Ints, geometry: Geometry) -> Ints:
    """The channels-last shape of a shape in the data format."""
    batch, sizes, channels = geometry.split(shape)
    return (batch, *sizes, channels)

"""Convolutions in plans."""

from __future__ import annotations

from typing import Any

from minigrad.nn.functional.convolution.kernels import convolution_shape, layout
from minigrad.nn.functional.window_plans import (
    channels_last,
    in_format,
    last_shape,
    plain_attributes,
)
from minigrad.nn.functional.windows import Geometry

__all__: list[str] = []


def convolved(
    b: Any, primitive: Any, x: Any, kernel: Any, groups: int | None, geometry: Geometry
) -> Any:
    """The convolution by a native kernel, or NotImplemented where there is nothing to compute."""
    shape: Any = convolution_shape(x.shape, kernel.shape, groups, geometry)
    if not x.size or not kernel.size:
        return NotImplemented
    attrs = plain_attributes(layout(x.shape, kernel.shape, groups, geometry).windows)
    (made,) = b.special(
        "convolution",
        [channels_last(b, x, geometry), kernel],
        [(last_shape(shape, geometry), x.dtype)],
        {**attrs, "groups": groups},
        primitive,
    )
    return in_format(b, made, geometry)


def transposed(
    b: Any,
    primitive: Any,
    x: Any,
    kernel: Any,
    shape: Any,
    groups: int | None,
    geometry: Geometry,
) -> Any:
    """The transposed convolution with a result of this shape; its inputs are x and the kernel."""
    if not x.size or not kernel.size:
        return NotImplemented
    attrs = plain_attributes(layout(shape, kernel.shape, groups, geometry).windows)
    full = last_shape(shape, geometry)
    none = (0,) * geometry.rank
    (made,) = b.special(
        "convolution_transpose",
        [channels_last(b, x, geometry), kernel, None, None],
        [(full, x.dtype)],
        {**attrs, "groups": groups, "output_padding": none, "sizes": full},
        primitive,
    )
    return in_format(b, made, geometry)


def kernel_gradient(
    b: Any, primitive: Any, x: Any, g: Any, kernel: Any, groups: int | None, geometry: Geometry
) -> Any:
    """The gradient for the kernel; its inputs are x, g, and zeros of the kernel's shape."""
    if not x.size or not kernel.size:
        return NotImplemented
    attrs = plain_attributes(layout(x.shape, kernel.shape, groups, geometry).windows)
    shape = b.full(kernel.shape, 0, kernel.dtype)
    (made,) = b.special(
        "convolution_kernel_gradient",
        [channels_last(b, x, geometry), channels_last(b, g, geometry), shape],
        [(kernel.shape, x.dtype)],
        {**attrs, "groups": groups},
        primitive,
    )
    return made

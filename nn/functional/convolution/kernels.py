"""The convolution's reference kernels: sums over the elements of the window, in any namespace.

Each works on channels-last arrays. They need no im2col matrix and write into no array, so they run
under any array namespace. `convolution_numpy` has the fast ones.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from minigrad.core.tensor import Array
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.windows import (
    Geometry,
    Ints,
    Windows,
    pad_sizes,
    places,
    require_rank,
    shifted,
    upsample,
    windows_over,
)
from minigrad.shapes import Dim, Shape, compatible, show

__all__: list[str] = []


# -- what fits together -----------------------------------------------------------------------


def convolution_shape(x: Shape, kernel: Shape, groups: int | None, geometry: Geometry) -> Shape:
    """The shape of a convolution. Raises `ShapeError` or `ArgumentError` where there is none.

    Args:
        x: the shape of the input, in the geometry's data format.
        kernel: ``(*window, channels // groups, outputs)``; of a depthwise convolution
            ``(*window, channels, multiplier)``.
        groups: None for a depthwise convolution.
        geometry: strides, padding and the like.
    """
    rank = geometry.rank
    require_rank(x, geometry)
    require_kernel(kernel, geometry)
    x = (None,) * (rank + 2) if x is None else x
    kernel = (None,) * (rank + 2) if kernel is None else kernel
    batch, sizes, channels = geometry.split(x)
    taken, outputs = kernel_channels(kernel, groups)
    for what, count in (("input", channels), ("output", outputs)):
        if groups is not None and count is not None and count % groups:
            raise ArgumentError(
                f"groups={groups} does not divide the {count} {what} channels of an input of shape "
                f"{show(x)} ({geometry.data_format}) and a kernel of shape {show(kernel)}"
            )
    if None not in (channels, taken) and channels != taken:
        with_groups = " (depthwise)" if groups is None else f" with groups={groups}"
        raise ShapeError(
            f"an input of shape {show(x)} ({geometry.data_format}) has {channels} channels, but a "
            f"kernel of shape {show(kernel)}{with_groups} takes {taken}; the kernel's "
            f"second-to-last dimension must be {channels // (groups or 1)}"
        )
    return geometry.join(batch, places(sizes, kernel[:rank], geometry), outputs)


def require_kernel(kernel: Shape, geometry: Geometry) -> None:
    """Raise `ShapeError` unless a kernel could have this shape."""
    if kernel is not None and len(kernel) != geometry.rank + 2:
        raise ShapeError(
            f"the kernel must have rank {geometry.rank + 2}: {geometry.rank} sizes of the window, "
            f"then channels of each group, and outputs; got shape {show(kernel)}"
        )


def kernel_channels(kernel: tuple[Dim, ...], groups: int | None) -> tuple[Dim, Dim]:
    """How many channels the input and the output of a convolution have, by its kernel."""
    inner, outer = kernel[-2:]
    if groups is None:
        return inner, None if inner is None or outer is None else inner * outer
    return None if inner is None else inner * groups, outer


class Layout(NamedTuple):
    """A convolution of arrays of known shapes: its windows, and the channels of each group."""

    windows: Windows
    groups: int
    #: Channels of the input, for each group.
    inner: int
    #: Channels of the output, for each group.
    outer: int


@lru_cache(maxsize=256)
def layout(x: Ints, kernel: Ints, groups: int | None, geometry: Geometry) -> Layout:
    """The layout for an input and a kernel of these shapes; checks them."""
    convolution_shape(x, kernel, groups, geometry)
    windows = windows_over(geometry.split(x)[1], kernel[:-2], geometry)
    inner, outer = kernel[-2:]
    if groups is None:
        return Layout(windows, inner, 1, outer)
    return Layout(windows, groups, inner, outer // groups)


def transposed_shape(
    x: Shape,
    kernel: Shape,
    groups: int | None,
    geometry: Geometry,
    output_padding: Ints,
    wanted: Shape = None,
) -> tuple[Dim, ...]:
    """The shape of a transposed convolution. Raises `ShapeError` where there is none.

    Args:
        x: the shape of the input, in the geometry's data format.
        kernel: ``(*window, outputs // groups, channels)``.
        groups: None for the transposed depthwise convolution.
        geometry: of the convolution that leads back.
        output_padding: added to the smallest size.
        wanted: what is asked for: spatial sizes, or a whole shape; None for the smallest.
    """
    rank = geometry.rank
    require_rank(x, geometry)
    require_kernel(kernel, geometry)
    x = (None,) * (rank + 2) if x is None else x
    kernel = (None,) * (rank + 2) if kernel is None else kernel
    batch, sizes, channels = geometry.split(x)
    outputs, taken = kernel_channels(kernel, groups)
    if None not in (channels, taken) and channels != taken:
        raise ShapeError(
            f"an input of shape {show(x)} ({geometry.data_format}) has {channels} channels, but a "
            f"kernel of shape {show(kernel)} takes {taken}; the kernel of a transposed convolution "
            "is (*window, outputs // groups, channels)"
        )
    if wanted is None:
        window = (None,) * rank if kernel is None else kernel[:rank]
        made = geometry.join(batch, _smallest(x, sizes, window, geometry, output_padding), outputs)
    elif len(wanted) == rank:
        made = geometry.join(batch, wanted, outputs)
    elif len(wanted) == rank + 2:
        made = wanted
    else:
        raise ShapeError(
            f"output_shape must hold {rank} spatial sizes, or a whole shape of {rank + 2}, got "
            f"{show(wanted)}"
        )
    back = convolution_shape(made, kernel, groups, geometry)
    if not compatible(back, x):
        raise ShapeError(
            f"a transposed convolution of an input of shape {show(x)} and a kernel of shape "
            f"{show(kernel)} cannot have shape {show(made)}, because a convolution of that shape "
            f"gives {show(back)}; leave output_shape out for the smallest that fits"
        )
    return made


def _smallest(
    x: Shape,
    sizes: tuple[Dim, ...],
    window: tuple[Dim, ...],
    geometry: Geometry,
    output_padding: Ints,
) -> list[Dim]:
    """Spatial sizes where none are asked for."""
    made: list[Dim] = []
    for i, (n, k) in enumerate(zip(sizes, window, strict=True)):
        stride, padding = geometry.stride[i], geometry.padding
        if n is None or (k is None and padding != "SAME"):
            made.append(None)
        elif n == 0:
            raise ShapeError(f"an input of shape {show(x)} has no elements to transpose from")
        elif padding == "SAME":
            made.append(n * stride)
        else:
            before, after = (0, 0) if isinstance(padding, str) else padding[i]
            reach = (k - 1) * geometry.dilation[i] + 1 if k else 0
            size = (n - 1) * stride + reach - before - after + output_padding[i]
            if size < 1:
                raise ShapeError(
                    f"padding of {before} and {after} leaves nothing of spatial axis {i} of an "
                    f"input of shape {show(x)} and a window of {k}; use less padding"
                )
            made.append(size)
    return made


# -- kernels ----------------------------------------------------------------------------------


def grouped(xp: Any, x: Array, groups: int, channels: int) -> Array:
    """An array ``(..., groups * channels)`` as ``(groups, rows, channels)``."""
    rows = math.prod(x.shape[:-1])
    made: Array = xp.moveaxis(xp.reshape(x, (rows, groups, channels)), 1, 0)
    return made


def ungrouped(xp: Any, x: Array, leading: Ints) -> Array:
    """What `grouped` takes, from what it gives."""
    groups, _, channels = x.shape
    made: Array = xp.reshape(xp.moveaxis(x, 0, 1), (*leading, groups * channels))
    return made


def convolve(xp: Any, x: Array, kernel: Array, plan: Layout) -> Array:
    """Each window's elements times the kernel's, summed one element of the window at a time."""
    w, total = plan.windows, None
    padded = pad_sizes(xp, x, w)
    for offset, place in w.offsets():
        rows = grouped(xp, padded[(slice(None), *place)], plan.groups, plan.inner)
        part = product(xp, rows, xp.moveaxis(_weights(xp, kernel, offset, plan), 1, 0))
        total = part if total is None else total + part
    return ungrouped(xp, total, (x.shape[0], *w.places))  # type: ignore[arg-type]


def convolve_transposed(xp: Any, g: Array, kernel: Array, plan: Layout) -> Array:
    """Each place gathers from the windows that see it: the adjoint of `convolve` in the input."""
    w, total = plan.windows, None
    up = upsample(xp, g, w)
    there = None
    if not xp.all(xp.isfinite(kernel)):
        # Where no window sees a place so, nothing is added: not even 0 times Inf, which is NaN.
        there = upsample(xp, xp.ones((1, *w.places, 1), dtype=g.dtype), w)
    for offset, _ in w.offsets():
        rows = grouped(xp, shifted(up, w, offset), plan.groups, plan.outer)
        part = product(xp, rows, xp.permute_dims(_weights(xp, kernel, offset, plan), (1, 2, 0)))
        if there is not None:
            seen = xp.broadcast_to(shifted(there, w, offset), (g.shape[0], *w.sizes, 1))
            part = xp.where(xp.reshape(seen, (1, rows.shape[1], 1)) != 0, part, xp.zeros_like(part))
        total = part if total is None else total + part
    return ungrouped(xp, total, (g.shape[0], *w.sizes))  # type: ignore[arg-type]


def kernel_gradient(xp: Any, x: Array, g: Array, plan: Layout) -> Array:
    """The input's elements times the output's: the adjoint of `convolve` in the kernel."""
    w, parts = plan.windows, []
    padded = pad_sizes(xp, x, w)
    upstream = grouped(xp, g, plan.groups, plan.outer)
    for _, place in w.offsets():
        rows = grouped(xp, padded[(slice(None), *place)], plan.groups, plan.inner)
        if plan.inner == 1 < plan.groups:
            part = xp.sum(rows * upstream, axis=1, keepdims=True)
        else:
            part = xp.matmul(xp.matrix_transpose(rows), upstream)
        parts.append(xp.moveaxis(part, 0, 1))
    made: Array = xp.stack(parts)
    return made


def product(xp: Any, a: Array, b: Array) -> Array:
    """The matrix product; over one element it is plain multiplication, and that is faster."""
    made: Array = a * b if a.shape[-1] == 1 else xp.matmul(a, b)
    return made


def _weights(xp: Any, kernel: Array, offset: Ints, plan: Layout) -> Array:
    """One element of the kernel's window: (inner, groups, outer)."""
    made: Array = xp.reshape(kernel[offset], (plan.inner, plan.groups, plan.outer))
    return made

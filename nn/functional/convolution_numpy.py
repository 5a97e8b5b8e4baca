"""The convolution's kernels for NumPy: windows as strided views, one BLAS product a block.

The matrix of windows (im2col) is made for as many images as `BLOCK` elements hold, so that its
memory stays bounded. Its long side is the one along which copying is fast: with few channels the
places, else the channels. Depthwise convolutions, which have nothing to multiply as matrices, and
gradients for inputs of many channels go through the elements of the window instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.core.tensor import Array
from minigrad.nn.functional.convolution_kernels import Layout, grouped, ungrouped
from minigrad.nn.functional.windows import pad_sizes

__all__: list[str] = []

#: Elements of a block of windows.
BLOCK = 1 << 20
#: Below this many channels a group, copies run along places rather than channels.
FEW = 5


def convolve(x: Array, kernel: Array, plan: Layout) -> Array:
    """Windows times the kernel; see `convolution_kernels.convolve`."""
    w, padded = plan.windows, pad_sizes(np, x, plan.windows)
    channels = plan.groups * plan.outer
    y = np.empty((x.shape[0], *w.places, channels), x.dtype)
    if plan.inner == 1 and plan.groups > 1:
        return _depthwise(padded, kernel, plan, y)
    weights = _weights(kernel, plan)
    for block, columns in _blocks(padded, plan):
        out = y[block]
        if plan.groups == 1:
            np.matmul(columns[0], weights[0], out=out.reshape(-1, channels))
        else:
            out[...] = ungrouped(np, columns @ weights, out.shape[:-1])
    return y


def convolve_transposed(g: Array, kernel: Array, plan: Layout) -> Array:
    """The adjoint of `convolve` in the input; see `convolution_kernels.convolve_transposed`."""
    w = plan.windows
    if plan.inner == 1 and plan.groups > 1:
        spread = _spread_depthwise(g, kernel, plan)
    elif plan.inner < FEW and w.elements > 1:
        spread = _spread_narrow(g, kernel, plan)
    else:
        spread = _spread_wide(g, kernel, plan)
    return spread[(slice(None), *w.inside)]


def kernel_gradient(x: Array, g: Array, plan: Layout) -> Array:
    """The adjoint of `convolve` in the kernel; see `convolution_kernels.kernel_gradient`."""
    w, padded = plan.windows, pad_sizes(np, x, plan.windows)
    if plan.inner == 1 and plan.groups > 1:
        return _depthwise_kernel(padded, g, plan)
    total = np.zeros((plan.groups, w.elements * plan.inner, plan.outer), x.dtype)
    for block, columns in _blocks(padded, plan):
        total += columns.transpose(0, 2, 1) @ grouped(np, g[block], plan.groups)
    split = total.reshape(plan.groups, w.elements, plan.inner, plan.outer)
    return split.transpose(1, 2, 0, 3)


def _weights(kernel: Array, plan: Layout) -> Array:
    """The kernel as one matrix a group: (groups, elements * inner, outer)."""
    split = kernel.reshape(plan.windows.elements, plan.inner, plan.groups, plan.outer)
    return split.transpose(2, 0, 1, 3).reshape(plan.groups, -1, plan.outer)


def _blocks(padded: Array, plan: Layout) -> Iterator[tuple[slice, Array]]:
    """Blocks of images, and for each the matrix of windows: (groups, rows, elements * inner)."""
    w = plan.windows
    rank, batch = len(w.window), padded.shape[0]
    size = w.elements * plan.inner
    steps = padded.strides
    view = as_strided(
        padded,
        (batch, *w.places, *w.window, plan.groups, plan.inner),
        (
            steps[0],
            *(n * s for n, s in zip(steps[1:-1], w.stride, strict=True)),
            *(n * d for n, d in zip(steps[1:-1], w.dilation, strict=True)),
            steps[-1] * plan.inner,
            steps[-1],
        ),
        writeable=False,
    )
    along_places = tuple(range(1 + rank))
    along_window = (*range(1 + rank, 1 + 2 * rank), 2 + 2 * rank)
    group = 1 + 2 * rank
    places = math.prod(w.places)
    step = max(1, BLOCK // max(1, places * size * plan.groups))
    # Channels that lie far apart (channels first in memory) are slow to copy together.
    narrow = w.elements > 1 and (plan.inner < FEW or steps[-1] > steps[-2])
    for start in range(0, batch, step):
        part = view[start : start + step]
        rows = len(part) * places
        if narrow:
            turned = part.transpose(group, *along_window, *along_places)
            columns = turned.reshape(plan.groups, size, rows).transpose(0, 2, 1)
        else:
            turned = part.transpose(group, *along_places, *along_window)
            columns = turned.reshape(plan.groups, rows, size)
        yield slice(start, start + step), columns


# -- the gradient for the input ---------------------------------------------------------------


def _spread_wide(g: Array, kernel: Array, plan: Layout) -> Array:
    """Add each element of the windows to its place, by one product an element."""
    w, batch = plan.windows, g.shape[0]
    spread = np.zeros((batch, *w.padded, plan.groups * plan.inner), g.dtype)
    rows = grouped(np, g, plan.groups)
    weights = kernel.reshape(*w.window, plan.inner, plan.groups, plan.outer)
    for offset, place in w.offsets():
        part = rows @ weights[offset].transpose(1, 2, 0)
        spread[(slice(None), *place)] += ungrouped(np, part, (batch, *w.places))
    return spread


def _spread_narrow(g: Array, kernel: Array, plan: Layout) -> Array:
    """All products at once, channels first, so that the sums run along the places."""
    w, batch = plan.windows, g.shape[0]
    channels = plan.groups * plan.inner
    spread = np.zeros((plan.groups, plan.inner, batch, *w.padded), g.dtype)
    weights = _weights(kernel, plan)
    step = max(1, BLOCK // max(1, math.prod(w.places) * w.elements * channels))
    for start in range(0, batch, step):
        part = g[start : start + step]
        made = weights @ grouped(np, part, plan.groups).transpose(0, 2, 1)
        made = made.reshape(plan.groups, *w.window, plan.inner, len(part), *w.places)
        block = spread[:, :, start : start + step]
        for offset, place in w.offsets():
            element: tuple[Any, ...] = (slice(None), *offset)
            block[(slice(None), slice(None), slice(None), *place)] += made[element]
    flat = spread.reshape(channels, batch, *w.padded)
    return np.ascontiguousarray(np.moveaxis(flat, 0, -1))


# -- depthwise: one input channel a group -----------------------------------------------------


def _depthwise(padded: Array, kernel: Array, plan: Layout, y: Array) -> Array:
    w, weights = plan.windows, _depthwise_weights(kernel, plan)
    split = y.reshape(*y.shape[:-1], plan.groups, plan.outer)
    split[...] = 0
    term = np.empty_like(split)
    for offset, place in w.offsets():
        seen = padded[(slice(None), *place)]
        np.multiply(seen[..., None], weights[offset], out=term)
        split += term
    return y


def _spread_depthwise(g: Array, kernel: Array, plan: Layout) -> Array:
    w, weights = plan.windows, _depthwise_weights(kernel, plan)
    spread = np.zeros((g.shape[0], *w.padded, plan.groups), g.dtype)
    upstream = g.reshape(*g.shape[:-1], plan.groups, plan.outer)
    for offset, place in w.offsets():
        spread[(slice(None), *place)] += np.einsum("...go,go->...g", upstream, weights[offset])
    return spread


def _depthwise_kernel(padded: Array, g: Array, plan: Layout) -> Array:
    w = plan.windows
    total = np.empty((*w.window, plan.groups, plan.outer), g.dtype)
    upstream = g.reshape(*g.shape[:-1], plan.groups, plan.outer)
    axes = "abcd"[: g.ndim - 1]
    for offset, place in w.offsets():
        seen = padded[(slice(None), *place)]
        total[offset] = np.einsum(f"{axes}g,{axes}go->go", seen, upstream)
    return total


def _depthwise_weights(kernel: Array, plan: Layout) -> Array:
    return kernel.reshape(*plan.windows.window, plan.groups, plan.outer)

"""The convolution's kernels for NumPy: windows as strided views, one BLAS product a block.

The matrix of windows (im2col) is made for as many images as `BLOCK` elements hold, so that its
memory stays bounded. Its long side is the one along which copying is fast: with few channels the
places, else the channels. With several groups, whose matrices are small, the generic kernels are as
fast: they go through the elements of the window instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.core.tensor import Array
from minigrad.nn.functional.convolution import kernels as generic
from minigrad.nn.functional.convolution.kernels import Layout
from minigrad.nn.functional.windows import Windows, pad_sizes

__all__: list[str] = []

#: Elements of a block of windows: few enough to stay in the cache between copy and product.
BLOCK = 1 << 16
#: Below this many channels, copies run along places rather than channels.
FEW = 5


def convolve(x: Array, kernel: Array, plan: Layout) -> Array:
    """Windows times the kernel; see `convolution_kernels.convolve`."""
    if plan.groups != 1:
        return generic.convolve(np, x, kernel, plan)
    w = plan.windows
    y = np.empty((x.shape[0], *w.places, plan.outer), x.dtype)
    weights = kernel.reshape(w.elements * plan.inner, plan.outer)
    for block, columns in _blocks(pad_sizes(np, x, w), w):
        np.matmul(columns, weights, out=y[block].reshape(len(columns), plan.outer))
    return y


def convolve_transposed(g: Array, kernel: Array, plan: Layout) -> Array:
    """The adjoint of `convolve` in the input; see `convolution_kernels.convolve_transposed`."""
    w = plan.windows
    if plan.groups != 1 and max(w.stride) == 1:
        return generic.convolve_transposed(np, g, kernel, plan)
    narrow = plan.groups == 1 and plan.inner < FEW and w.elements > 1
    spread = (_spread_narrow if narrow else _spread_wide)(g, kernel, plan)
    return spread[(slice(None), *w.inside)]


def kernel_gradient(x: Array, g: Array, plan: Layout) -> Array:
    """The adjoint of `convolve` in the kernel; see `convolution_kernels.kernel_gradient`."""
    if plan.groups != 1:
        return generic.kernel_gradient(np, x, g, plan)
    w = plan.windows
    total = np.zeros((w.elements * plan.inner, plan.outer), x.dtype)
    for block, columns in _blocks(pad_sizes(np, x, w), w):
        total += columns.T @ g[block].reshape(len(columns), plan.outer)
    return total


def _blocks(padded: Array, w: Windows) -> Iterator[tuple[slice, Array]]:
    """Blocks of images, and for each the matrix of windows: (rows, elements * channels)."""
    rank, (batch, *_, channels), steps = len(w.window), padded.shape, padded.strides
    view = as_strided(
        padded,
        (batch, *w.places, *w.window, channels),
        (
            steps[0],
            *(n * s for n, s in zip(steps[1:-1], w.stride, strict=True)),
            *(n * d for n, d in zip(steps[1:-1], w.dilation, strict=True)),
            steps[-1],
        ),
        writeable=False,
    )
    along_window = (*range(1 + rank, 2 + 2 * rank), *range(1 + rank))
    places, size = math.prod(w.places), w.elements * channels
    step = max(1, BLOCK // max(1, places * size))
    # Channels that lie far apart (channels first in memory) are slow to copy together.
    narrow = w.elements > 1 and (channels < FEW or steps[-1] > steps[-2])
    for start in range(0, batch, step):
        part = view[start : start + step]
        rows = len(part) * places
        if narrow:
            yield slice(start, start + step), part.transpose(along_window).reshape(size, rows).T
        else:
            yield slice(start, start + step), part.reshape(rows, size)


def _spread_wide(g: Array, kernel: Array, plan: Layout) -> Array:
    """Add each element of the windows to its place, by one product an element."""
    w, batch = plan.windows, g.shape[0]
    spread = np.zeros((batch, *w.padded, plan.groups * plan.inner), g.dtype)
    rows = generic.grouped(np, g, plan.groups, plan.outer)
    weights = kernel.reshape(*w.window, plan.inner, plan.groups, plan.outer)
    for offset, place in w.offsets():
        part = generic.product(np, rows, weights[offset].transpose(1, 2, 0))
        spread[(slice(None), *place)] += generic.ungrouped(np, part, (batch, *w.places))
    return spread


def _spread_narrow(g: Array, kernel: Array, plan: Layout) -> Array:
    """All products at once, channels first, so that the sums run along the places."""
    w, batch, channels = plan.windows, g.shape[0], plan.inner
    spread = np.zeros((channels, batch, *w.padded), g.dtype)
    weights = kernel.reshape(w.elements * channels, plan.outer)
    step = max(1, BLOCK // max(1, math.prod(w.places) * w.elements * channels))
    for start in range(0, batch, step):
        part = g[start : start + step]
        made = weights @ part.reshape(len(part) * math.prod(w.places), plan.outer).T
        made = made.reshape(*w.window, channels, len(part), *w.places)
        block: Any = spread[:, start : start + step]
        for offset, place in w.offsets():
            block[(slice(None), slice(None), *place)] += made[offset]
    return np.ascontiguousarray(np.moveaxis(spread, 0, -1))

"""Pooling's kernels: the reference ones, and those that write into arrays, for NumPy.

Each works on channels-last arrays.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.core.tensor import Array
from minigrad.errors import ShapeError
from minigrad.nn.functional.windows import (
    Geometry,
    Ints,
    Windows,
    pad_sizes,
    places,
    require_rank,
    seen,
    shifted,
    upsample,
    windows_over,
)
from minigrad.shapes import Shape

__all__: list[str] = []


@lru_cache(maxsize=256)
def pool_windows(sizes: Ints, window: Ints, geometry: Geometry) -> Windows:
    """The windows over axes of known sizes. Raises `ShapeError` if one sees nothing but padding."""
    w = windows_over(sizes, window, geometry)
    for axis in range(len(sizes)):
        if any(w.padding[axis]) and not seen(w, axis).all():
            raise ShapeError(
                f"with padding {w.padding[axis]} a window of {window[axis]} over spatial axis "
                f"{axis} of length {sizes[axis]} sees nothing but padding; use less padding"
            )
    return w


def pooled_shape(x: Shape, window: Ints, geometry: Geometry) -> Shape:
    """The shape after pooling. Raises `ShapeError` where there is none."""
    require_rank(x, geometry)
    batch, sizes, channels = geometry.split((None,) * (geometry.rank + 2) if x is None else x)
    if None not in sizes:
        pool_windows(sizes, window, geometry)
    return geometry.join(batch, places(sizes, window, geometry), channels)


def _reduce(combine: Any, x: Array, w: Windows) -> Array:
    """Combine the elements of each window: along one axis after the other."""
    for axis, (k, s, d, m) in enumerate(
        zip(w.window, w.stride, w.dilation, w.places, strict=True), start=1
    ):
        before = (slice(None),) * axis
        parts = [x[(*before, slice(j * d, j * d + max((m - 1) * s + 1, 0), s))] for j in range(k)]
        x = parts[0]
        for part in parts[1:]:
            x = combine(x, part)
    return x


def largest(xp: Any, x: Array, w: Windows) -> Array:
    """The largest element of each window; padding never is."""
    lowest: Any = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _reduce(xp.maximum, pad_sizes(xp, x, w, lowest), w)


def mean(xp: Any, x: Array, w: Windows, include_padding: bool) -> Array:
    """The mean of each window."""
    made: Array = _reduce(xp.add, pad_sizes(xp, x, w), w) / _counts(xp, x, w, include_padding)
    return made


@lru_cache(maxsize=64)
def _seen_places(w: Windows) -> Array:
    """For each window, of how many elements it is the mean, without padding."""
    total = np.ones((1,) * (len(w.sizes) + 1))
    for axis in range(len(w.sizes)):
        shape = [1] * total.ndim
        shape[axis] = w.places[axis]
        total = total * seen(w, axis).reshape(shape)
    return total


def _counts(xp: Any, x: Array, w: Windows, include_padding: bool) -> Array:
    """By what sums are divided: a scalar, or one number a window."""
    plain = include_padding or not any(map(any, w.padding))
    made: Array = xp.asarray(w.elements if plain else _seen_places(w), dtype=x.dtype)
    return made


def mean_gradient(xp: Any, g: Array, w: Windows, include_padding: bool) -> Array:
    """Each place gathers its share from the windows that see it: the adjoint of `mean`."""
    up = upsample(xp, g / _counts(xp, g, w, include_padding), w)
    total: Any = None
    for offset, _ in w.offsets():
        part = shifted(up, w, offset)
        total = part if total is None else total + part
    made: Array = total
    return made


def largest_gradient(xp: Any, g: Array, x: Array, y: Array, w: Windows) -> Array:
    """Each place that is its window's largest gets its share of that window's gradient."""
    count: Any = 0
    padded = pad_sizes(xp, x, w, np.nan)  # Padding equals nothing, not even itself.
    for _, place in w.offsets():
        count = count + xp.astype(padded[(slice(None), *place)] == y, g.dtype)
    share, peak = upsample(xp, g / count, w), upsample(xp, y, w)
    total: Any = None
    for offset, _ in w.offsets():
        part = xp.astype(x == shifted(peak, w, offset), g.dtype) * shifted(share, w, offset)
        total = part if total is None else total + part
    made: Array = total
    return made


def at_largest(xp: Any, v: Array, x: Array, y: Array, w: Windows) -> Array:
    """The mean of `v` where `x` is its window's largest: the adjoint of `largest_gradient`."""
    padded, values = pad_sizes(xp, x, w, np.nan), pad_sizes(xp, v, w)
    count: Any = 0
    total: Any = 0
    for _, place in w.offsets():
        chosen = xp.astype(padded[(slice(None), *place)] == y, v.dtype)
        count = count + chosen
        total = total + chosen * values[(slice(None), *place)]
    made: Array = total / count
    return made


# -- for NumPy --------------------------------------------------------------------------------


def mean_gradient_numpy(g: Array, w: Windows, include_padding: bool) -> Array:
    """The same as `mean_gradient`, added up in place."""
    share = g / _counts(np, g, w, include_padding)
    spread = np.zeros((g.shape[0], *w.padded, g.shape[-1]), g.dtype)
    for _, place in w.offsets():
        spread[(slice(None), *place)] += share
    return spread[(slice(None), *w.inside)]


def largest_gradient_numpy(g: Array, x: Array, y: Array, w: Windows) -> Array:
    """The same as `largest_gradient`, added up in place."""
    padded = pad_sizes(np, x, w, np.nan)
    chosen = [padded[(slice(None), *place)] == y for _, place in w.offsets()]
    count = np.zeros(y.shape, g.dtype)
    for part in chosen:
        count += part
    share = g / count
    spread = np.zeros(padded.shape, g.dtype)
    for (_, place), part in zip(w.offsets(), chosen, strict=True):
        spread[(slice(None), *place)] += part * share
    return spread[(slice(None), *w.inside)]

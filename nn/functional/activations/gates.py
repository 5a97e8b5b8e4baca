"""Activations that choose or gate between features: maxout and gated linear units."""

from __future__ import annotations

import operator

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.ops.elementwise import floor_divide, multiply
from minigrad.ops.exponential import sigmoid
from minigrad.ops.indexing import getitem
from minigrad.ops.joining import concat, split
from minigrad.ops.manipulation import reshape
from minigrad.ops.reductions import max as reduce_max
from minigrad.ops.shaping import shape as shape_of
from minigrad.shapes import Dim, Shape, axis_argument_int, normalize_axis

__all__ = ["glu", "maxout"]


def _length(shape: Shape, axis: int) -> Dim:
    """The length of an axis, or None. Raises `ShapeError` for an axis out of range."""
    return None if shape is None else shape[normalize_axis(axis, len(shape))]


@primitive(
    "Glu",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 4))),
        Sample(rng.normal(size=(4, 2)), axis=0),
        Sample(np.array([2.0, 3.0, -1e4, 1e4])).named("closed and open"),
        Sample(rng.normal(size=(0, 2))).named("empty"),
        Sample(np.array([1.0, 0.0], np.float32)).named("float32"),
    ],
    errors=[
        Fails(ShapeError, "glu: axis -1 has length 3.*even", np.ones((2, 3))),
        Fails(ShapeError, "out of range", np.ones((2, 4)), axis=2),
    ],
)
def glu(x: TensorLike, /, *, axis: int = -1) -> Tensor:
    """a · sigmoid(b), where a and b are the first and second half of x along an axis.

    Source: Y. N. Dauphin et al., Language Modeling with Gated Convolutional Networks (2017).
    PyTorch and Keras have the same.

    Args:
        x: a real tensor whose length along the axis is even.
        axis: the axis of features.

    Returns:
        A tensor with half the length along the axis.

    Raises:
        ShapeError: the length is odd, or the axis out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.glu([3.0, 5.0, 0.0, -1e4])
    Tensor([1.5, 0. ], shape=(2,), dtype=float32)
    """
    points, at = tensor_of(x), axis_argument_int(axis)
    length = _length(points.shape, at)
    if length is not None and length % 2:
        raise ShapeError(
            f"glu: axis {axis} has length {length}; it must be even, to be cut into halves"
        )
    values, gates = split(points, 2, axis=at)
    return multiply(values, sigmoid(gates))


@primitive(
    "Maxout",
    samples=lambda rng: [
        Sample(rng.permuted(np.arange(8.0)).reshape(2, 4), 2),
        Sample(rng.permuted(np.arange(12.0)).reshape(6, 2), 3, axis=0),
        Sample(rng.permuted(np.arange(8.0)).reshape(2, 2, 2), 2, axis=-2),
        Sample(np.array([1.0, 1.0, 3.0, 2.0]), 2).expecting([0.5, 0.5, 1.0, 0.0]).named("tie"),
        Sample(np.zeros((0, 4)), 2).named("empty"),
        Sample(np.array([1, 2, 3, 4]), 2).named("integers"),
    ],
    errors=[
        Fails(ShapeError, "maxout: axis -1 has length 4.*multiple of 3", np.ones((2, 4)), 3),
        Fails(ShapeError, "out of range", np.ones((2, 4)), 2, axis=2),
        Fails(ArgumentError, "pieces must be at least 1, got 0", np.ones((2, 4)), 0),
        Fails(ArgumentTypeError, "pieces must be an integer, got 0.5", np.ones((2, 4)), 0.5),
    ],
)
def maxout(x: TensorLike, /, pieces: int, *, axis: int = -1) -> Tensor:
    """The largest of each group of `pieces` neighbouring features.

    Source: I. Goodfellow et al., Maxout Networks (2013). Equally large ones share the gradient.
    TensorFlow Addons' Maxout takes the number of groups instead, and groups in the same way;
    PyTorch has none.

    Args:
        x: a real tensor whose length along the axis is a multiple of `pieces`.
        pieces: how many features make a group.
        axis: the axis of features.

    Returns:
        A tensor with 1/pieces of the length along the axis.

    Raises:
        ShapeError: the length is no multiple, or the axis out of range.
        ArgumentTypeError, ArgumentError: `pieces` is not a positive integer.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.maxout([1.0, 3.0, -2.0, -4.0], 2)
    Tensor([ 3., -2.], shape=(2,), dtype=float32)
    """
    points, at = tensor_of(x), axis_argument_int(axis)
    try:
        count = operator.index(pieces)
    except TypeError as error:
        raise ArgumentTypeError(f"maxout: pieces must be an integer, got {pieces!r}") from error
    if count < 1:
        raise ArgumentError(f"maxout: pieces must be at least 1, got {count}")
    length = _length(points.shape, at)
    if length is not None and length % count:
        raise ShapeError(
            f"maxout: axis {axis} has length {length}; it must be a multiple of {count}, the "
            "number of pieces"
        )
    sizes = shape_of(points)
    groups = floor_divide(getitem(sizes, slice(at, at + 1 or None)), count)
    before, after = getitem(sizes, slice(None, at)), getitem(sizes, slice(at + 1 or None, None))
    if at == -1:
        after = getitem(sizes, slice(0, 0))
    grouped = reshape(points, concat([before, groups, [count], after]))
    return reduce_max(grouped, axis=at if at < 0 else at + 1)

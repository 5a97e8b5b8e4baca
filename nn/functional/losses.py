"""Losses as ops."""

from __future__ import annotations

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import IndexOutOfRangeError, ShapeError
from minigrad.nn.functional.softmax import log_softmax
from minigrad.ops.along_axis import take_along_axis
from minigrad.ops.broadcasting import expand_dims, squeeze
from minigrad.ops.elementwise import multiply, negative
from minigrad.ops.gathering import gather
from minigrad.ops.ranges import arange
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.shaping import shape as shape_of
from minigrad.shapes import compatible, show

__all__ = ["softmax_cross_entropy"]


def _probabilities(rng: np.random.Generator) -> Array:
    p: Array = rng.uniform(0.1, 1.0, size=(2, 3))
    total: Array = p.sum(axis=1, keepdims=True)
    return np.divide(p, total)


@primitive(
    "SoftmaxCrossEntropy",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.array([2, 0])),
        Sample(rng.normal(size=(2, 3)), _probabilities(rng)),
        Sample(np.array([[1e4, -1e4, 0.0]]), np.array([1])).order(
            1, "the softmax is saturated, so the second derivative is zero"
        ),
    ],
    errors=[
        Fails(ShapeError, "rank", np.zeros(()), 0),
        Fails(ShapeError, "labels", np.zeros((2, 3)), np.array([0, 1, 2])),
        Fails(IndexOutOfRangeError, "index 3 .* of size 3", np.zeros((2, 3)), np.array([0, 3])),
        Fails(IndexOutOfRangeError, "index -1", np.zeros((2, 3)), np.array([0, -1])),
    ],
)
def softmax_cross_entropy(logits: TensorLike, labels: TensorLike) -> Tensor:
    """Cross-entropy of the softmax of `logits`, one loss for each example: -sum(p · log softmax).

    Unlike PyTorch's `cross_entropy` it is not averaged: take `minigrad.mean` of it.

    Args:
        logits: scores of shape ``(..., classes)``, of any size: ±1e4 gives no overflow.
        labels: class numbers of an integer dtype and shape ``(...)``, or probabilities of the
            shape of `logits`.

    Returns:
        Losses of shape ``(...)``.

    Raises:
        ShapeError: the labels do not fit the logits.
        IndexOutOfRangeError: a class number is negative, or not below the number of classes.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.softmax_cross_entropy([[0.0, 0.0]], [1]).tolist()
    [0.6931471824645996]
    """
    scores, targets = tensor_of(logits), tensor_of(labels)
    if scores.shape == ():
        raise ShapeError("softmax_cross_entropy: logits need a rank of at least 1, got a scalar")
    log_p = log_softmax(scores)
    expected = scores.shape
    if targets.dtype.is_integer:
        expected = None if expected is None else expected[:-1]
    if not compatible(targets.shape, expected):
        raise ShapeError(
            f"softmax_cross_entropy: labels of shape {show(targets.shape)} do not fit logits of "
            f"shape {show(scores.shape)}; expected {show(expected)}"
        )
    if targets.dtype.is_integer:
        # Read from a list of the classes, each label is checked; negative ones are refused too.
        checked = gather(arange(shape_of(scores)[-1]), targets)
        return negative(squeeze(take_along_axis(log_p, expand_dims(checked, -1)), -1))
    return negative(reduce_sum(multiply(targets, log_p), axis=-1))

"""Losses as ops."""

from __future__ import annotations

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.nn.activations import log_softmax
from minigrad.ops.elementwise import multiply, negative
from minigrad.ops.encoding import one_hot
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.shapes import compatible, show


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
    ],
)
def softmax_cross_entropy(logits: TensorLike, labels: TensorLike, /) -> Tensor:
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
        if scores.shape is None or scores.shape[-1] is None:
            raise ShapeError("softmax_cross_entropy: the number of classes must be known")
    if not compatible(targets.shape, expected):
        raise ShapeError(
            f"softmax_cross_entropy: labels of shape {show(targets.shape)} do not fit logits of "
            f"shape {show(scores.shape)}; expected {show(expected)}"
        )
    if targets.dtype.is_integer:
        targets = one_hot(targets, scores.shape[-1], dtype=scores.dtype)
    return negative(reduce_sum(multiply(targets, log_p), axis=-1))

"""Losses of how alike vectors are: cosine similarity and triplets."""

from __future__ import annotations

import math

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.activations.rectifiers import relu
from minigrad.nn.functional.arguments import not_negative, number, positive
from minigrad.nn.functional.losses.labels import sign_labels
from minigrad.nn.functional.losses.reducing import (
    Reduction,
    paired,
    reduced_losses,
)
from minigrad.ops.comparison import greater
from minigrad.ops.elementwise import add, divide, multiply, subtract
from minigrad.ops.linalg.norms import vector_norm
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import clip, minimum, where
from minigrad.shapes import axis_argument_int

__all__ = ["cosine_embedding_loss", "cosine_similarity", "triplet_margin_loss"]

_A = np.array([[1.0, 2.0, -1.0], [0.5, -1.5, 2.0]])
_B = np.array([[0.5, 1.0, 1.5], [-1.0, 2.0, 0.25]])
_C = np.array([[2.0, -0.5, 1.0], [0.75, -1.0, 1.0]])
_ROWS = np.array([True, False])


@primitive(
    "CosineSimilarity",
    samples=[
        Sample(_A, _B),
        Sample(_A, _B, axis=0),
        Sample(_A, np.array([1.0, 2.0, 3.0])).named("broadcast"),
        Sample(np.zeros(2), np.array([3.0, 4.0]), epsilon=0.5)
        .expecting([1.2, 1.6], [0.0, 0.0])
        .named("zero vector"),
    ],
    errors=[
        Fails(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones((2, 2))),
        Fails(ShapeError, "out of range", np.ones(3), np.ones(3), axis=1),
        Fails(ArgumentError, "epsilon must be positive", np.ones(3), np.ones(3), epsilon=0),
    ],
)
def cosine_similarity(
    x1: TensorLike, x2: TensorLike, /, *, axis: int = -1, epsilon: float = 1e-8
) -> Tensor:
    """x1 · x2 / (max(‖x1‖, epsilon) · max(‖x2‖, epsilon)) along an axis, in [-1, 1].

    PyTorch has the same formula, on axis 1. Keras normalizes by √max(‖x‖², 1e-12), and its loss
    `cosine_similarity` is minus this.

    Args:
        x1, x2: real tensors whose shapes broadcast.
        axis: the axis that the vectors lie along.
        epsilon: a positive number; a vector shorter than that counts as one divided by it. The
            zero vector has similarity 0.

    Returns:
        A tensor of the broadcast shape without the axis.

    Raises:
        ShapeError: the shapes do not broadcast, or the axis is out of range.
        ArgumentError: epsilon is not positive.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.cosine_similarity([[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 2.0]]).tolist()
    [1.0, 0.0]
    """
    at, least = axis_argument_int(axis), positive(epsilon, "cosine_similarity: epsilon")
    units = []
    for x in (tensor_of(x1), tensor_of(x2)):
        # Each is divided before the product, which otherwise could overflow.
        units.append(divide(x, clip(vector_norm(x, axis=at, keepdims=True), least)))
    return reduce_sum(multiply(*units), axis=at)


@primitive(
    "CosineEmbeddingLoss",
    samples=[
        Sample(_A, _B, np.array([1, -1])),
        Sample(_A, -_B, np.array([-1, -1]), margin=0.1, reduction="sum"),
        Sample(_A, _B, np.array([1, 1]), reduction="none"),
        Sample(_A, _B, np.array([1, 1]), mask=_ROWS),
    ],
    errors=[
        Fails(ShapeError, "same shape", np.ones((2, 3)), np.ones((1, 3)), np.ones(2)),
        Fails(ShapeError, "same shape", np.ones((2, 3)), np.ones((2, 3)), np.ones(1)),
        Fails(ArgumentError, "-1 or 1, got 0", np.ones((1, 3)), np.ones((1, 3)), np.array([0])),
        Fails(
            ArgumentError,
            "got 'avg'",
            np.ones((1, 3)),
            np.ones((1, 3)),
            np.array([1]),
            reduction="avg",
        ),
    ],
)
def cosine_embedding_loss(
    x1: TensorLike,
    x2: TensorLike,
    labels: TensorLike,
    *,
    margin: float = 0.0,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """1 - cos(x1, x2) for pairs with label 1, and max(0, cos(x1, x2) - margin) for those with -1.

    PyTorch has the same formula, but adds 1e-12 to the squared norms where here norms are at least
    1e-8. Keras has only minus the similarity.

    Args:
        x1, x2: real tensors of one shape ``(..., features)``.
        labels: 1 (alike) or -1, of shape ``(...)``.
        margin: a number.
        mask, reduction: as in `mse_loss`, for losses of shape ``(...)``.

    Returns:
        A scalar; with "none", losses of shape ``(...)``.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: a label is neither -1 nor 1, or there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> a, b = [[1.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0]]
    >>> nn.cosine_embedding_loss(a, b, [1, -1], reduction="none").tolist()
    [1.0, 1.0]
    """
    what = "cosine_embedding_loss"
    limit = number(margin, f"{what}: margin")
    cosines = cosine_similarity(*paired(what, x1, x2, mask))
    cosines, signs = paired(what, cosines, tensor_of(labels), mask, filler=1)
    alike = greater(sign_labels(signs), 0)
    losses = where(alike, subtract(1, cosines), relu(subtract(cosines, limit)))
    return reduced_losses(what, losses, reduction, mask=mask)


def distance_order(value: object, what: str) -> float:
    """The order of a norm that measures distances: a positive number, or infinity."""
    return math.inf if value == math.inf else positive(value, what)


@primitive(
    "TripletMarginLoss",
    samples=[
        Sample(_A, _B, _C),
        Sample(_A, _B, _C, margin=5.0, swap=True, reduction="sum"),
        Sample(_A, _B, _C, margin=4.0, p=1.0, mask=np.array([0.5, 2.0])),
        Sample(_A, _B, _C, margin=4.0, p=3, reduction="none"),
        Sample(np.ones(2), np.ones(2), np.ones(2), epsilon=0.0)
        .expecting([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
        .named("the same point"),
    ],
    errors=[
        Fails(ShapeError, "same shape", np.ones((2, 3)), np.ones((1, 3)), np.ones((2, 3))),
        Fails(ShapeError, "same shape", np.ones((2, 3)), np.ones((2, 3)), np.ones(3)),
        Fails(ArgumentError, "margin must be positive", _A, _B, _C, margin=0),
        Fails(ArgumentError, "p must be positive", _A, _B, _C, p=0),
        Fails(ArgumentError, "got 'avg'", _A, _B, _C, reduction="avg"),
    ],
)
def triplet_margin_loss(
    anchors: TensorLike,
    positives: TensorLike,
    negatives: TensorLike,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    epsilon: float = 1e-6,
    swap: bool = False,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin), where d(x, y) = ‖x - y + epsilon‖_p.

    Source: V. Balntas et al., Learning Local Feature Descriptors with Triplets (2016), also for
    `swap`, which takes d(p, n) where that is smaller than d(a, n). PyTorch has the same formula,
    epsilon included; TensorFlow Addons' mines its triplets from a batch and has no epsilon.

    Args:
        anchors, positives, negatives: real tensors of one shape ``(..., features)``.
        margin: a positive number.
        p: the order of the norm: a positive number, or ``inf``.
        epsilon: a number of at least 0, added to each difference.
        swap: see there.
        mask, reduction: as in `mse_loss`, for losses of shape ``(...)``.

    Returns:
        A scalar; with "none", losses of shape ``(...)``. The gradient at the corner, and that of a
        distance of 0, is 0.

    Raises:
        ShapeError: the shapes differ.
        ArgumentError: a number is out of range, or there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.triplet_margin_loss([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 2.0]], epsilon=0.0)
    Tensor(4., shape=(), dtype=float32)
    """
    what = "triplet_margin_loss"
    room, shift = positive(margin, f"{what}: margin"), not_negative(epsilon, f"{what}: epsilon")
    order = distance_order(p, f"{what}: p")
    a, near = paired(what, anchors, positives, mask)
    a, far = paired(what, a, negatives, mask)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return vector_norm(add(subtract(x, y), shift), axis=-1, ord=order)

    apart = distance(a, far)
    if swap:
        apart = minimum(apart, distance(near, far))
    losses = relu(add(subtract(distance(a, near), apart), room))
    return reduced_losses(what, losses, reduction, mask=mask)

"""Losses of classification: cross-entropy, and minus the log-likelihood of classes."""

from __future__ import annotations

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from minigrad.nn.functional.activations.softmax import log_softmax
from minigrad.nn.functional.arguments import along_axis, fraction
from minigrad.nn.functional.losses.labels import class_numbers, probabilities
from minigrad.nn.functional.losses.reducing import (
    Reduction,
    fitted_mask,
    multiply_no_nan,
    paired,
    reduced_losses,
)
from minigrad.ops.along_axis import take_along_axis
from minigrad.ops.basic import astype
from minigrad.ops.broadcasting import expand_dims, squeeze
from minigrad.ops.comparison import not_equal
from minigrad.ops.elementwise import add, multiply, negative
from minigrad.ops.gathering import gather
from minigrad.ops.logic import logical_and
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import where
from minigrad.ops.statistics import mean
from minigrad.shapes import Shape, axis_argument_int, compatible, normalize_axis, show

__all__ = ["cross_entropy", "nll_loss", "softmax_cross_entropy"]


def _entropies(
    what: str,
    scores: Tensor,
    labels: TensorLike,
    *,
    axis: int,
    normalize: bool = True,
    label_smoothing: float = 0.0,
    weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    ignore_index: int | None = None,
) -> tuple[Tensor, TensorLike | None, Tensor | None]:
    """One loss an example, what masks examples, and the weights of their classes.

    The weights are in the losses already, the mask is not. Scores are logits, or with
    ``normalize=False`` logarithms of probabilities.
    """
    smoothing = fraction(label_smoothing, f"{what}: label_smoothing")
    if scores.shape == ():
        raise ShapeError(f"{what}: logits need a rank of at least 1, for the classes; got a scalar")
    rest: Shape = None
    if scores.shape is not None:
        at = normalize_axis(axis, len(scores.shape))
        rest = scores.shape[:at] + scores.shape[at + 1 :]
    targets = tensor_of(labels)
    keep = None if mask is None else not_equal(fitted_mask(what, mask, rest), 0)
    if targets.dtype.is_integer:
        if ignore_index is not None:
            counts = not_equal(targets, ignore_index)
            keep = counts if keep is None else logical_and(keep, counts)
            weights = astype(counts, scores.dtype)
            mask = weights if mask is None else multiply(weights, _as(what, mask, weights))
        targets = class_numbers(targets, scores, keep, axis=axis)
    elif targets.dtype.is_floating:
        if ignore_index is not None:
            raise ArgumentError(f"{what}: ignore_index is for class numbers, not for probabilities")
        if not compatible(targets.shape, scores.shape):
            raise ShapeError(
                f"{what}: labels of dtype {targets.dtype} are probabilities, of the same shape as "
                f"the predictions, {show(scores.shape)}, got {show(targets.shape)}; class numbers "
                "must be integers"
            )
        scores, targets = paired(what, scores, targets)
    else:
        raise DTypeError(
            f"{what}: labels must be class numbers (integers) or probabilities (floats), got "
            f"{targets.dtype}"
        )
    if keep is not None:
        # So that the gradient of what is masked out is 0 whatever it holds, nan included.
        across = expand_dims(keep, axis) if keep.shape != () else keep
        scores = where(across, scores, 0)
        if targets.dtype.is_floating:
            targets = where(across, targets, 0)
    log_p = log_softmax(scores, axis=axis) if normalize else scores
    vector = None if weight is None else _class_weights(what, weight, log_p, axis)
    if vector is not None:
        log_p = multiply_no_nan(log_p, along_axis(vector, axis, log_p.shape, what))
    scale: Tensor | None = None
    if targets.dtype.is_integer:
        picked = take_along_axis(log_p, expand_dims(targets, axis), axis=axis)
        losses = negative(squeeze(picked, axis))
        scale = None if vector is None else gather(vector, targets)
    else:
        losses = negative(reduce_sum(multiply_no_nan(log_p, targets), axis=axis))
    if smoothing:
        spread = negative(mean(log_p, axis=axis))
        losses = add(multiply(losses, 1 - smoothing), multiply(spread, smoothing))
    return losses, mask, scale


def _as(what: str, mask: TensorLike, like: Tensor) -> Tensor:
    return astype(fitted_mask(what, mask, like.shape), like.dtype)


def _class_weights(what: str, weight: TensorLike, log_p: Tensor, axis: int) -> Tensor:
    plain = isinstance(weight, list | tuple)
    vector = tensor_of(weight, log_p.dtype if plain else None)
    classes = None
    if log_p.shape is not None:
        classes = log_p.shape[normalize_axis(axis, len(log_p.shape))]
    if not compatible(vector.shape, (classes,)):
        raise ShapeError(
            f"{what}: weight must hold one number a class, shape {show((classes,))}, got shape "
            f"{show(vector.shape)}"
        )
    return astype(vector, log_p.dtype)


# -- cross-entropy -----------------------------------------------------------------------------

_LABEL_ERRORS = [
    Fails(ShapeError, "rank", np.zeros(()), 0),
    Fails(ShapeError, "labels", np.zeros((2, 3)), np.array([0, 1, 2])),
    Fails(ShapeError, "same shape", np.zeros((2, 3)), np.array([0.5, 0.5, 0.5])),
    Fails(IndexOutOfRangeError, "label 3 at .1. .*3 classes", np.zeros((2, 3)), np.array([0, 3])),
    Fails(IndexOutOfRangeError, "label -1 at .1.", np.zeros((2, 3)), np.array([0, -1])),
    Fails(DTypeError, "class numbers .* got bool", np.zeros((2, 3)), np.array([True, False])),
    Fails(ShapeError, "out of range", np.zeros((2, 3)), np.array([0, 1]), axis=2),
]
_SMOOTHING_ERRORS = [
    Fails(ShapeError, "numbers must be integers", np.zeros((2, 3)), np.array([0.0, 1.0])),
    Fails(ArgumentError, r"in \[0, 1\]", np.zeros((1, 3)), np.array([0]), label_smoothing=1.5),
]


@primitive(
    "SoftmaxCrossEntropy",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.array([2, 0])),
        Sample(rng.normal(size=(2, 3)), probabilities(rng, 2, 3)),
        Sample(rng.normal(size=(3,)), np.array(1)).named("one example"),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0, 1]) % 2, axis=0).named("classes in front"),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0]), label_smoothing=0.1),
        Sample(rng.normal(size=(2, 3)), np.array([2, -1]), mask=np.array([True, False])),
        Sample(np.array([[1e4, -1e4, 0.0]]), np.array([1])).order(
            1, "the softmax is saturated, so the second derivative is zero"
        ),
        Sample(np.array([[-np.inf, 0.0, 0.0]]), np.array([[0.0, 0.5, 0.5]]))
        .fixed(1)
        .expecting([[0.0, 0.0, 0.0]])
        .named("a class ruled out"),
    ],
    errors=[*_LABEL_ERRORS, *_SMOOTHING_ERRORS],
)
def softmax_cross_entropy(
    logits: TensorLike,
    labels: TensorLike,
    *,
    axis: int = -1,
    label_smoothing: float = 0.0,
    mask: TensorLike | None = None,
) -> Tensor:
    """Cross-entropy of the softmax of `logits`, one loss for each example: -Σ q · log softmax.

    Unlike PyTorch's `cross_entropy` it is not averaged: take `minigrad.mean` of it, or
    `minigrad.nn.cross_entropy`. In TensorFlow it is `tf.nn.softmax_cross_entropy_with_logits` and
    `tf.nn.sparse_softmax_cross_entropy_with_logits`.

    Args:
        logits: scores of shape ``(..., classes)``, of any size: ±1e4 gives no overflow.
        labels: class numbers of an integer dtype and shape ``(...)``, or probabilities of the
            shape of `logits`.
        axis: the axis of classes.
        label_smoothing: ε: the probabilities become (1 - ε) q + ε / classes.
        mask: bools or weights of shape ``(...)``; where 0 the loss is 0 and the label is not read.

    Returns:
        Losses of shape ``(...)``. A class whose logit is -inf has probability 0 and, where its
        label is 0 too, adds nothing.

    Raises:
        ShapeError: the labels do not fit the logits.
        IndexOutOfRangeError: a class number is negative, or not below the number of classes.
        DTypeError: the labels are neither integers nor floats.
        ArgumentError: the smoothing is outside [0, 1].

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.softmax_cross_entropy([[0.0, 0.0]], [1]).tolist()
    [0.6931471824645996]
    """
    what, at = "softmax_cross_entropy", axis_argument_int(axis)
    losses, mask, _ = _entropies(
        what,
        tensor_of(logits),
        labels,
        axis=at,
        label_smoothing=label_smoothing,
        mask=mask,
    )
    return reduced_losses(what, losses, "none", mask=mask)


@primitive(
    "CrossEntropy",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.array([2, 0])),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0]), reduction="sum", label_smoothing=0.2),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0]), weight=np.array([1.0, 2.0, 0.5])),
        Sample(
            rng.normal(size=(2, 3, 2)),
            np.array([[2, 0], [-100, 1]]),
            axis=1,
            weight=[1.0, 2.0, 0.5],
            label_smoothing=0.1,
            ignore_index=-100,
        ).named("everything"),
        Sample(
            rng.normal(size=(2, 3)),
            np.array([5, 0]),
            mask=np.array([0.0, 2.0], np.float32),
            ignore_index=7,
        ),
        Sample(rng.normal(size=(2, 3)), np.array([0, 0]), mask=np.zeros(2, bool)).named(
            "no weight"
        ),
        Sample(rng.normal(size=(2, 3)), probabilities(rng, 2, 3), label_smoothing=0.1),
        Sample(
            rng.normal(size=(2, 3)),
            probabilities(rng, 2, 3),
            weight=np.array([1.0, 2.0, 0.5]),
            mask=np.array([True, False]),
        ),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0]), reduction="none"),
        Sample(np.zeros((0, 3)), np.zeros(0, np.int64), reduction="sum").named("empty"),
    ],
    errors=[
        *_LABEL_ERRORS,
        *_SMOOTHING_ERRORS,
        Fails(ArgumentError, "got 'avg'", np.zeros((1, 3)), np.array([0]), reduction="avg"),
        Fails(ShapeError, "one number a class", np.zeros((1, 3)), np.array([0]), weight=[1.0]),
        Fails(ShapeError, "mask of shape", np.zeros((1, 3)), np.array([0]), mask=np.ones(2)),
        Fails(
            ArgumentError, "class numbers, not", np.ones((1, 1)), np.ones((1, 1)), ignore_index=0
        ),
    ],
)
def cross_entropy(
    logits: TensorLike,
    labels: TensorLike,
    *,
    axis: int = -1,
    label_smoothing: float = 0.0,
    weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of the softmax of `logits` with labels: -Σ_c w_c · q_c · log softmax(logits)_c.

    q is 1 for the class of the label, or the probabilities given; smoothed (C. Szegedy et al.,
    Rethinking the Inception Architecture, 2016) it becomes (1 - ε) q + ε / classes. The mean
    divides by the sum of the mask times, for class numbers, w of the label; it is 0 where that
    is 0 (in PyTorch nan). For probabilities it divides by the sum of the mask alone.

    PyTorch's `cross_entropy` is the same, except that it has no masks, its axis of classes is 1,
    and its ignore_index is -100 unless given. TensorFlow's ops are those that
    `softmax_cross_entropy` names; Keras' losses divide by the number of examples, masked or not.

    Args:
        logits: scores of any size, the classes along `axis`.
        labels: class numbers, of the shape of the logits without that axis; or probabilities, of
            the shape of the logits.
        axis: the axis of classes.
        label_smoothing: ε, in [0, 1].
        weight: w, a number for each class.
        mask: bools or weights, of the shape of the losses or of their first axes. Labels where it
            is 0 are not read.
        ignore_index: a class number that masks the examples that have it; any integer.
        reduction: "mean", "sum", or "none" for one loss an example.

    Returns:
        A scalar; with "none", losses of the shape of the logits without the axis of classes.

    Raises:
        ShapeError: labels, weights or mask do not fit the logits.
        IndexOutOfRangeError: a class number is negative, or not below the number of classes.
        DTypeError: the labels are neither integers nor floats.
        ArgumentError: the smoothing is outside [0, 1]; ignore_index beside probabilities; or
            there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.cross_entropy([[0.0, 0.0], [9.0, 9.0]], [1, -1], ignore_index=-1)
    Tensor(0.6931472, shape=(), dtype=float32)
    """
    at, scores = axis_argument_int(axis), tensor_of(logits)
    losses, mask, scale = _entropies(
        "cross_entropy",
        scores,
        labels,
        axis=at,
        label_smoothing=label_smoothing,
        weight=weight,
        mask=mask,
        ignore_index=ignore_index,
    )
    return reduced_losses("cross_entropy", losses, reduction, mask=mask, scale=scale)


@primitive(
    "NLLLoss",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.array([2, 0])),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0]), weight=np.array([1.0, 2.0, 0.5])),
        Sample(
            rng.normal(size=(2, 3, 2)), np.array([[2, 0], [-100, 1]]), axis=1, ignore_index=-100
        ),
        Sample(rng.normal(size=(2, 3)), np.array([2, 0]), reduction="none"),
    ],
    errors=[
        *[f for f in _LABEL_ERRORS if "same shape" not in f.match and "bool" not in f.match],
        Fails(DTypeError, "class numbers.*integers, got float64", np.ones((1, 2)), np.ones((1, 2))),
    ],
)
def nll_loss(
    log_predictions: TensorLike,
    labels: TensorLike,
    *,
    axis: int = -1,
    weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-w_y · log p_y: minus the log-likelihood of class numbers y; after `log_softmax`, say.

    PyTorch has the same (the classes on axis 1); TensorFlow only together with the softmax.

    Args:
        log_predictions: logarithms of probabilities, the classes along `axis`.
        labels: class numbers, of that shape without the axis.
        axis, weight, mask, ignore_index, reduction: as in `cross_entropy`.

    Returns:
        As in `cross_entropy`.

    Raises:
        ShapeError: labels, weights or mask do not fit.
        IndexOutOfRangeError: a class number is negative, or not below the number of classes.
        DTypeError: the labels are no integers.
        ArgumentError: there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.nll_loss([[-1.0, -2.0], [-3.0, -4.0]], [1, 0])
    Tensor(2.5, shape=(), dtype=float32)
    """
    targets = tensor_of(labels)
    if not targets.dtype.is_integer:
        raise DTypeError(f"nll_loss: labels must be class numbers, integers, got {targets.dtype}")
    losses, mask, scale = _entropies(
        "nll_loss",
        tensor_of(log_predictions),
        targets,
        axis=axis_argument_int(axis),
        normalize=False,
        weight=weight,
        mask=mask,
        ignore_index=ignore_index,
    )
    return reduced_losses("nll_loss", losses, reduction, mask=mask, scale=scale)

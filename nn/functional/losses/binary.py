"""Losses of yes and no: cross-entropy of two classes, and hinges.

``mask`` and "mean" are those of `minigrad.nn.mse_loss`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import float16
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.activations.rectifiers import relu
from minigrad.nn.functional.losses.labels import sign_labels
from minigrad.nn.functional.losses.reducing import (
    BAD_PAIRS,
    BAD_REDUCTION,
    Reduction,
    multiply_no_nan,
    paired,
    reduced_losses,
)
from minigrad.ops.elementwise import multiply, subtract
from minigrad.ops.exponential import log, log1p, sigmoid, softplus
from minigrad.ops.powers import square
from minigrad.ops.selection import clip

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "hinge_loss",
    "sigmoid_cross_entropy",
    "squared_hinge_loss",
]

_CHANCES = np.array([[0.2, 0.7, 0.5], [0.9, 0.4, 0.3]])
_ANSWERS = np.array([[0.0, 1.0, 0.25], [1.0, 0.0, 0.5]])
_ROWS = np.array([True, False])


# -- probabilities -----------------------------------------------------------------------------


@primitive(
    "BinaryEntropy",
    elementwise=True,
    accepts="real_float",
    samples=[
        Sample(_CHANCES, _ANSWERS),
        Sample(np.array([0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0]))
        .expecting([0.0, 0.0, -2.0], [100.0, -100.0, 0.0])
        .named("certain and right"),
        Sample(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
        .expecting([-1e12, 1e12], [100.0, -100.0])
        .named("certain and wrong"),
        Sample(np.array([0.0, 0.5], np.float16), np.array([1.0, 0.0], np.float16)),
        Sample(np.zeros((0, 2)), np.zeros((0, 2))).named("empty"),
    ],
    errors=[Fails(ArgumentError, r"in \[0, 1\], got 1.5", np.array([0.5, 1.5]), np.ones(2))],
)
def binary_entropy(p: TensorLike, t: TensorLike, /) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)), elementwise; see `minigrad.nn.binary_cross_entropy`.

    Raises:
        ArgumentError: a probability is outside [0, 1].

    >>> from minigrad.nn.functional.losses.binary import binary_entropy
    >>> binary_entropy([0.0, 1.0], [0.0, 0.0]).tolist()
    [0.0, 100.0]
    """
    return bind(binary_entropy, p, t)


@binary_entropy.kernel
def _(xp: Any, p: Array, t: Array) -> Any:
    if xp is np:
        wrong = p[(p < 0) | (p > 1)]
        if wrong.size:
            raise ArgumentError(
                f"probabilities must lie in [0, 1], got {wrong.ravel()[0]}; logits are for "
                "binary_cross_entropy_with_logits"
            )
    yes, no = xp.maximum(xp.log(p), -100.0), xp.maximum(xp.log1p(-p), -100.0)
    return -(t * yes + (1 - t) * no)


@binary_entropy.lowering
def _(b: Any, p: Any, t: Any) -> Any:
    inside = (b.map("Less", p, 0), b.map("Greater", p, 1))
    b.check(b.map("LogicalNot", b.map("LogicalOr", *inside)))
    return NotImplemented


@binary_entropy.scalar
def _(s: Any, p: Any, t: Any) -> Any:
    yes, no = s.at_least(s.log(p), -100.0), s.at_least(s.log1p(s.neg(p)), -100.0)
    return s.neg(s.add(s.mul(t, yes), s.mul(s.sub(1.0, t), no)))


@binary_entropy.gradient(saves=("p", "t"))
def _(c: Ctx) -> Grads:
    (g,), (p, t) = c.grads, c.inputs
    for_p = for_t = None
    if c.needs[0]:
        # As large as leaves quotients finite.
        least = 2.0**-15 if p.dtype is float16 else 1e-12
        for_p = g * ((p - t) / clip(p * (1 - p), least))
    if c.needs[1]:
        for_t = g * (clip(log1p(-p), -100.0) - clip(log(p), -100.0))
    return for_p, for_t


@primitive(
    "BinaryCrossEntropy",
    samples=[
        Sample(_CHANCES, _ANSWERS),
        Sample(_CHANCES, _ANSWERS, mask=_ROWS, reduction="sum"),
        Sample(_CHANCES, _ANSWERS, mask=np.array([[0.5], [2.0]])),
        Sample(_CHANCES[0], np.array([0, 1, 1]), reduction="none").named("integer targets"),
        Sample(_CHANCES[0], np.array([True, False, True])).named("truth values"),
    ],
    errors=[
        *BAD_PAIRS,
        Fails(ArgumentError, r"in \[0, 1\], got -0.5", np.array([-0.5]), np.ones(1)),
    ],
)
def binary_cross_entropy(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-(t · log p + (1 - t) · log(1 - p)) for probabilities p.

    Logarithms are held at -100, so that the loss of what is certain and wrong is 100; the
    gradient is (p - t) / max(p (1 - p), 1e-12), in float16 with 2^-15, so it is finite, points the
    right way, and is 0 for what is certain and right. All this is as in PyTorch. Keras holds p
    in [1e-7, 1 - 1e-7] instead, where the gradient is 0 outside. With logits
    `binary_cross_entropy_with_logits` needs none of it.

    Args:
        predictions: probabilities, of any shape.
        targets: of the same shape: 0 and 1, bools, or probabilities.
        mask, reduction: as in `mse_loss`.

    Returns:
        As in `mse_loss`.

    Raises:
        ArgumentError: a probability is outside [0, 1], or there is no such reduction.
        ShapeError: the shapes differ, or the mask does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.binary_cross_entropy([0.5, 1.0], [1, 0], reduction="none").tolist()
    [0.6931471824645996, 100.0]
    """
    losses = binary_entropy(*paired("binary_cross_entropy", predictions, targets, mask))
    return reduced_losses("binary_cross_entropy", losses, reduction, mask=mask)


# -- logits ------------------------------------------------------------------------------------

_LOGITS = np.array([[-1.0, 2.0, 0.5], [0.0, -3.0, 1.5]])
_FAR = np.array([-np.inf, -1e4, 1e4, np.inf])


@primitive(
    "SigmoidCrossEntropy",
    elementwise=True,
    accepts="real_float",
    samples=[
        Sample(_LOGITS, _ANSWERS),
        Sample(_LOGITS, _ANSWERS, pos_weight=np.array([2.0, 0.5, 1.0])),
        Sample(_LOGITS[0], np.array([0, 1, 1])).named("integer targets"),
        Sample(_FAR, np.array([0.0, 0.0, 1.0, 1.0]))
        .fixed(1)
        .expecting([0.0, 0.0, 0.0, 0.0])
        .named("sure and right"),
        Sample(_FAR, np.array([1.0, 1.0, 0.0, 0.0]))
        .fixed(1)
        .expecting([-1.0, -1.0, 1.0, 1.0])
        .named("sure and wrong"),
        Sample(np.zeros((0, 2)), np.zeros((0, 2))).named("empty"),
    ],
    errors=[
        BAD_PAIRS[0],
        Fails(ShapeError, "do not broadcast", np.ones(2), np.ones(2), pos_weight=np.ones(3)),
    ],
)
def sigmoid_cross_entropy(
    logits: TensorLike, targets: TensorLike, *, pos_weight: TensorLike | None = None
) -> Tensor:
    """Cross-entropy of sigmoid(x) with targets t, one loss an element, without overflow.

    The formula is w · t · softplus(-x) + (1 - t) · softplus(x), in which nothing cancels, and a
    term with weight 0 is 0 though x be infinite. TensorFlow's
    `tf.nn.sigmoid_cross_entropy_with_logits` and `tf.nn.weighted_cross_entropy_with_logits` have
    the same values.

    Args:
        logits: x, real, of any shape.
        targets: t, of the same shape: 0 and 1, or probabilities.
        pos_weight: w, a weight of the positive targets; its shape broadcasts with that of the
            logits (one for each label along the last axis, say).

    Returns:
        A tensor of that shape.

    Raises:
        ShapeError: the shapes do not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.sigmoid_cross_entropy([1e4, 0.0], [0.0, 1.0]).tolist()
    [10000.0, 0.6931471824645996]
    """
    x, t = paired("sigmoid_cross_entropy", logits, targets)
    return bind(sigmoid_cross_entropy, x, t, pos_weight)


@sigmoid_cross_entropy.kernel
def _(xp: Any, logits: Array, targets: Array, pos_weight: Array | None = None) -> Any:
    size = xp.abs(logits)
    tail = xp.log1p(xp.exp(-size))
    over, under = xp.maximum(logits, 0), xp.maximum(-logits, 0)
    yes = xp.where(targets == 0, 0.0, targets * (under + tail))
    no = xp.where(targets == 1, 0.0, (1 - targets) * (over + tail))
    return (yes if pos_weight is None else yes * pos_weight) + no


@sigmoid_cross_entropy.scalar
def _(s: Any, logits: Any, targets: Any, pos_weight: Any = None) -> Any:
    tail = s.softplus(s.neg(s.abs(logits)))
    over, under = s.at_least(logits, 0.0), s.at_least(s.neg(logits), 0.0)
    yes = s.mul(targets, s.add(under, tail))
    yes = s.select(s.compare("==", targets, 0.0), 0.0, yes)
    no = s.mul(s.sub(1.0, targets), s.add(over, tail))
    no = s.select(s.compare("==", targets, 1.0), 0.0, no)
    return s.add(yes if pos_weight is None else s.mul(yes, pos_weight), no)


@sigmoid_cross_entropy.gradient(saves=("logits", "targets", "pos_weight"))
def _(c: Ctx) -> Grads:
    (g,), (x, t, w) = c.grads, c.inputs
    positive = t if w is None else t * w
    for_x = for_t = for_w = None
    if c.needs[0]:
        for_x = g * ((1 - t) * sigmoid(x) - positive * sigmoid(-x))
    if c.needs[1]:
        if w is None:
            for_t = multiply_no_nan(-x, g)
        else:
            for_t = multiply_no_nan(w * softplus(-x) - softplus(x), g)
    if w is not None and c.needs[2]:
        for_w = multiply_no_nan(softplus(-x), g * t)
    return for_x, for_t, for_w


@primitive(
    "BinaryCrossEntropyWithLogits",
    samples=[
        Sample(_LOGITS, _ANSWERS),
        Sample(_LOGITS, _ANSWERS, mask=_ROWS, reduction="sum"),
        Sample(_LOGITS, _ANSWERS, pos_weight=[2.0, 0.5, 1.0], mask=np.array([[0.5], [2.0]])),
        Sample(_LOGITS[0], np.array([0, 1, 1]), reduction="none").named("integer targets"),
    ],
    errors=BAD_PAIRS,
)
def binary_cross_entropy_with_logits(
    logits: TensorLike,
    targets: TensorLike,
    *,
    pos_weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The losses of `sigmoid_cross_entropy`, put together. PyTorch has the same formula.

    Args:
        logits, targets, pos_weight: as there.
        mask, reduction: as in `mse_loss`; `pos_weight` does not count in the mean.

    Returns:
        As in `mse_loss`.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.binary_cross_entropy_with_logits([0.0, 0.0], [1, 0])
    Tensor(0.6931472, shape=(), dtype=float32)
    """
    what = "binary_cross_entropy_with_logits"
    x, t = paired(what, logits, targets, mask)
    losses = sigmoid_cross_entropy(x, t, pos_weight=pos_weight)
    return reduced_losses(what, losses, reduction, mask=mask)


# -- hinges ------------------------------------------------------------------------------------

_SCORES = np.array([[-1.5, 2.0, 0.5], [0.0, -3.0, 1.5]])
_SIDES = np.array([[-1, 1, 1], [1, -1, 1]])
_HINGE_ERRORS = [
    Fails(ShapeError, r"\(2, 1\).*\(2,\).*same shape", np.ones((2, 1)), np.ones(2)),
    Fails(ArgumentError, "must be -1 or 1, got 0", np.ones(2), np.array([1, 0])),
    BAD_REDUCTION,
]


@primitive(
    "HingeLoss",
    samples=[
        Sample(_SCORES, _SIDES),
        Sample(_SCORES, _SIDES, mask=_ROWS, reduction="sum"),
        Sample(_SCORES[0], _SIDES[0], reduction="none"),
        Sample(np.array([1.0, 0.0]), np.array([1, 1]), reduction="sum")
        .expecting([0.0, -1.0])
        .named("corner"),
    ],
    errors=_HINGE_ERRORS,
)
def hinge_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """max(0, 1 - t · p) for labels t of -1 and 1; the gradient at the corner is 0.

    Source: C. Cortes and V. Vapnik, Support-Vector Networks (1995). Keras has the same, and turns
    labels of 0 into -1 by itself. PyTorch has it for several classes only (MultiMarginLoss); its
    HingeEmbeddingLoss is something else.

    Args:
        predictions: scores of any shape.
        targets: of the same shape, each -1 or 1.
        mask, reduction: as in `mse_loss`.

    Returns:
        As in `mse_loss`.

    Raises:
        ArgumentError: a label is neither -1 nor 1, or there is no such reduction.
        ShapeError: the shapes differ, or the mask does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.hinge_loss([0.5, -3.0], [1, 1], reduction="none").tolist()
    [0.5, 4.0]
    """
    losses = _hinges("hinge_loss", predictions, targets, mask)
    return reduced_losses("hinge_loss", losses, reduction, mask=mask)


def _hinges(
    what: str, predictions: TensorLike, targets: TensorLike, mask: TensorLike | None
) -> Tensor:
    p, t = paired(what, predictions, targets, mask, filler=1)
    return relu(subtract(1, multiply(sign_labels(t), p)))


@primitive(
    "SquaredHingeLoss",
    samples=[
        Sample(_SCORES, _SIDES),
        Sample(_SCORES, _SIDES, mask=_ROWS, reduction="sum"),
        Sample(_SCORES[0], _SIDES[0], reduction="none"),
    ],
    errors=_HINGE_ERRORS,
)
def squared_hinge_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """max(0, 1 - t · p)² for labels t of -1 and 1. Keras has the same, PyTorch none.

    Arguments, result and errors as in `hinge_loss`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.squared_hinge_loss([0.5, -3.0], [1, 1], reduction="none").tolist()
    [0.25, 16.0]
    """
    losses = square(_hinges("squared_hinge_loss", predictions, targets, mask))
    return reduced_losses("squared_hinge_loss", losses, reduction, mask=mask)

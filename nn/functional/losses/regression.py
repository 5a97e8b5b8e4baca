"""Losses of numbers: how far predictions are from targets.

Each is taken element by element. ``mask`` holds bools or weights, for elements or (with fewer axes)
for whole rows; "mean" divides by the sum of the weights, and is 0 where that is 0. Keras divides by
the number of elements instead; PyTorch's losses of numbers have no masks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import SampleMaker, primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError
from minigrad.nn.functional.arguments import not_negative, positive
from minigrad.nn.functional.losses.reducing import BAD_PAIRS, Reduction, paired, reduced_losses
from minigrad.ops.elementwise import subtract
from minigrad.ops.elementwise_samples import REFUSES_TEXT, unary
from minigrad.ops.hyperbolic import tanh
from minigrad.ops.powers import square
from minigrad.ops.selection import clip
from minigrad.ops.signs import abs

__all__ = [
    "huber_loss",
    "l1_loss",
    "log_cosh_loss",
    "mae_loss",
    "mse_loss",
    "smooth_l1_loss",
]

PREDICTED = np.array([[1.0, -2.0, 0.5], [4.0, 0.25, -3.0]])
TARGET = np.array([[0.5, 1.0, 0.75], [3.75, -2.0, -3.5]])


def regression_samples(*more: Sample) -> SampleMaker:
    """Every reduction, masks, an empty batch; then `more`."""

    def make(_rng: np.random.Generator) -> list[Sample]:
        infinite = np.array([[1.0, np.inf, 0.5]], np.float32)
        return [
            Sample(PREDICTED, TARGET),
            Sample(PREDICTED, TARGET, reduction="sum"),
            Sample(PREDICTED[0], TARGET[0], reduction="none"),
            Sample(PREDICTED, TARGET, mask=np.array([True, False])).named("rows masked"),
            Sample(PREDICTED, TARGET, mask=np.array([[0.5], [2.0]])).named("rows weighed"),
            Sample(PREDICTED, TARGET, mask=np.zeros(2, bool)).named("no weight"),
            Sample(infinite, [[2.0, 1.0, 0.0]], mask=np.array([[True, False, True]])).named(
                "infinity masked"
            ),
            Sample(np.zeros((0, 3)), np.zeros((0, 3)), reduction="sum").named("empty"),
            Sample(np.array([1.0, 2.0], np.float32), [0.5, 4.0]).named("float32, a list"),
            Sample(np.array([1.5, -2.25]), np.array([0, 1])).named("integer targets"),
            *more,
        ]

    return make


@primitive("MeanSquaredError", samples=regression_samples(), errors=BAD_PAIRS)
def mse_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """(p - t)², without a factor 1/2.

    PyTorch's `mse_loss` is the same; Keras' `mse` is averaged over the last axis first, which
    makes no difference to the mean. TensorFlow's `tf.nn.l2_loss` is half the sum.

    Args:
        predictions: a real tensor of any shape.
        targets: a tensor of the same shape; nothing is broadcast.
        mask: bools or weights, of the shape of the losses or of their first axes; see above.
        reduction: "mean", "sum", or "none" for one loss an element.

    Returns:
        A scalar; with "none", a tensor of the shape of `predictions`. The mean of no elements is
        nan, but 0 where the weights of a mask add up to 0.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
        ArgumentError: there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.mse_loss([1.0, 2.0], [1.0, 4.0])
    Tensor(2., shape=(), dtype=float32)
    """
    losses = square(subtract(*paired("mse_loss", predictions, targets, mask)))
    return reduced_losses("mse_loss", losses, reduction, mask=mask)


@primitive(
    "MeanAbsoluteError",
    samples=regression_samples(
        Sample(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
        .expecting([0.0, 0.5], [0.0, -0.5])
        .named("kink")
    ),
    errors=BAD_PAIRS,
)
def mae_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """|p - t|, whose gradient at 0 is 0; also called `l1_loss`, as in PyTorch.

    Arguments, result and errors as in `mse_loss`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.mae_loss([1.0, 2.0], [1.0, 4.0])
    Tensor(1., shape=(), dtype=float32)
    """
    losses = abs(subtract(*paired("mae_loss", predictions, targets, mask)))
    return reduced_losses("mae_loss", losses, reduction, mask=mask)


l1_loss = mae_loss


@primitive(
    "Huber",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        -0.8,
        0.8,
        Sample(np.array([-2.5, 0.5, 1.5])),
        Sample(np.array([-2.5, 0.5, 1.5]), delta=2.0),
        Sample(np.array([-1.0, 0.0, 1.0])).expecting([-1.0, 0.0, 1.0]).named("joints"),
        Sample(np.array([-np.inf, -1e30, 1e30, np.inf])).expecting([-1.0, -1.0, 1.0, 1.0]),
    ),
    errors=REFUSES_TEXT,
)
def huber(x: TensorLike, /, *, delta: float = 1.0) -> Tensor:
    """x²/2 where |x| <= delta, and delta · (|x| - delta/2) beyond.

    Its derivative is x held between -delta and delta; the second, which jumps at ±delta, is 1
    there.

    >>> from minigrad.nn.functional.losses.regression import huber
    >>> huber([1.0, 10.0], delta=2.0).tolist()
    [0.5, 18.0]
    """
    return bind(huber, x, delta=delta)


@huber.kernel
def _(xp: Any, x: Array, *, delta: float) -> Any:
    size = xp.abs(x)
    inner = xp.minimum(size, delta)
    return inner * (size - 0.5 * inner)


@huber.scalar
def _(s: Any, x: Any, *, delta: float) -> Any:
    size = s.abs(x)
    inner = s.at_most(size, delta)
    return s.mul(inner, s.sub(size, s.mul(inner, 0.5)))


@huber.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    return g * clip(x, -c.attrs.delta, c.attrs.delta)


@primitive(
    "HuberLoss",
    samples=regression_samples(Sample(PREDICTED, TARGET, delta=2.0)),
    errors=[
        *BAD_PAIRS,
        Fails(ArgumentError, "delta must be positive", np.ones(2), np.ones(2), delta=0),
    ],
)
def huber_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    delta: float = 1.0,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """r²/2 where |r| <= delta, and delta · (|r| - delta/2) beyond; r = p - t.

    Source: P. J. Huber, Robust Estimation of a Location Parameter (1964). PyTorch and Keras have
    the same formula.

    Args:
        predictions, targets, mask, reduction: as in `mse_loss`.
        delta: a positive number.

    Returns:
        As in `mse_loss`.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
        ArgumentError: delta is not positive, or there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.huber_loss([1.0, 10.0], [0.0, 0.0], delta=2.0, reduction="none").tolist()
    [0.5, 18.0]
    """
    width = positive(delta, "huber_loss: delta")
    residuals = subtract(*paired("huber_loss", predictions, targets, mask))
    return reduced_losses("huber_loss", huber(residuals, delta=width), reduction, mask=mask)


@primitive(
    "SmoothL1Loss",
    samples=regression_samples(
        Sample(PREDICTED, TARGET, beta=2.0), Sample(PREDICTED, TARGET, beta=0.0)
    ),
    errors=[
        *BAD_PAIRS,
        Fails(ArgumentError, "beta must not be negative", np.ones(2), np.ones(2), beta=-1),
    ],
)
def smooth_l1_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    beta: float = 1.0,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """r²/(2 beta) where |r| <= beta, and |r| - beta/2 beyond; r = p - t. It is huber_loss / beta.

    Source: R. Girshick, Fast R-CNN (2015). PyTorch has the same formula; TensorFlow only Huber's.

    Args:
        predictions, targets, mask, reduction: as in `mse_loss`.
        beta: a number of at least 0; with 0 the loss is `mae_loss`.

    Returns:
        As in `mse_loss`.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
        ArgumentError: beta is negative, or there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.smooth_l1_loss([1.0, 10.0], [0.0, 0.0], beta=2.0, reduction="none").tolist()
    [0.25, 9.0]
    """
    width = not_negative(beta, "smooth_l1_loss: beta")
    residuals = subtract(*paired("smooth_l1_loss", predictions, targets, mask))
    losses = huber(residuals, delta=width) / width if width else abs(residuals)
    return reduced_losses("smooth_l1_loss", losses, reduction, mask=mask)


@primitive(
    "LogCosh",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        -0.8,
        0.8,
        Sample(np.array([-2.5, 1.5, 0.0])),
        Sample(np.array([-np.inf, -1e4, 1e4, np.inf])).expecting([-1.0, -1.0, 1.0, 1.0]),
    ),
    errors=REFUSES_TEXT,
)
def log_cosh(x: TensorLike, /) -> Tensor:
    """log(cosh(x)), elementwise, to full accuracy near 0 and without overflow.

    >>> from minigrad.nn.functional.losses.regression import log_cosh
    >>> log_cosh([0.0, 1000.0]).tolist()
    [0.0, 999.3068237304688]
    """
    return bind(log_cosh, x)


@log_cosh.kernel
def _(xp: Any, x: Array) -> Any:
    size = xp.abs(x)
    # cosh(x) = 1 + 2 sinh(x/2)², whose logarithm does not cancel near 0.
    half = xp.sinh(xp.minimum(size, 1.0) * 0.5)
    near = xp.log1p(2 * half * half)
    return xp.where(size < 1, near, size + xp.log1p(xp.exp(-2 * size)) - math.log(2))


@log_cosh.scalar
def _(s: Any, x: Any) -> Any:
    size = s.abs(x)
    half = s.sinh(s.mul(s.at_most(size, 1.0), 0.5))
    near = s.log1p(s.mul(s.square(half), 2.0))
    far = s.sub(s.add(size, s.softplus(s.mul(size, -2.0))), math.log(2))
    return s.select(s.compare("<", size, 1.0), near, far)


@log_cosh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * tanh(c.inputs[0])


@primitive("LogCoshLoss", samples=regression_samples(), errors=BAD_PAIRS)
def log_cosh_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """log(cosh(p - t)): about r²/2 for small errors r, and |r| - log 2 for large ones.

    Keras has the same formula, PyTorch none. Arguments, result and errors as in `mse_loss`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.log_cosh_loss([1000.0], [0.0])
    Tensor(999.3068, shape=(), dtype=float32)
    """
    losses = log_cosh(subtract(*paired("log_cosh_loss", predictions, targets, mask)))
    return reduced_losses("log_cosh_loss", losses, reduction, mask=mask)

"""Minus the logarithms of likelihoods: of counts, and of numbers with a predicted variance."""

from __future__ import annotations

import math

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.arguments import not_negative, positive
from minigrad.nn.functional.losses.reducing import BAD_PAIRS, Reduction, paired, reduced_losses
from minigrad.nn.functional.losses.regression import PREDICTED, TARGET, regression_samples
from minigrad.ops.comparison import greater
from minigrad.ops.elementwise import add, divide, multiply, subtract
from minigrad.ops.exponential import exp, log, xlogy
from minigrad.ops.powers import square
from minigrad.ops.selection import clip, where

__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]

_COUNTS = np.array([[0.0, 0.75, 2.5], [3.0, 4.0, 0.5]])


@primitive(
    "PoissonNLLLoss",
    samples=regression_samples(
        Sample(PREDICTED, _COUNTS, full=True),
        Sample(np.exp(PREDICTED), _COUNTS, log_input=False),
        Sample(np.zeros(2), np.array([0.0, 1.0]), log_input=False, reduction="sum")
        .fixed(1)
        .expecting([1.0, 1 - 1e8])
        .named("no rate"),
    ),
    errors=[
        *BAD_PAIRS,
        Fails(ArgumentError, "epsilon must not be", np.ones(2), np.ones(2), epsilon=-1),
    ],
)
def poisson_nll_loss(
    predictions: TensorLike,
    targets: TensorLike,
    *,
    log_input: bool = True,
    full: bool = False,
    epsilon: float = 1e-8,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """exp(p) - t · p: minus the log-likelihood of counts t whose rate has the logarithm p.

    With ``log_input=False`` the prediction is the rate itself: p - t · log(p + epsilon). Left out
    is log(t!); ``full=True`` adds Stirling's approximation where t > 1: t log t - t + log(2πt)/2.
    PyTorch has the same formulas; Keras has the second without `full`, and epsilon = 1e-7.

    Args:
        predictions, targets, mask, reduction: as in `mse_loss`.
        log_input: whether predictions are logarithms of rates.
        full: whether to add the approximation.
        epsilon: keeps the logarithm of a rate finite.

    Returns:
        As in `mse_loss`.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
        ArgumentError: epsilon is negative, or there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.poisson_nll_loss([0.0], [3.0])
    Tensor(1., shape=(), dtype=float32)
    """
    shift = not_negative(epsilon, "poisson_nll_loss: epsilon")
    p, t = paired("poisson_nll_loss", predictions, targets, mask)
    losses = (exp(p) - t * p) if log_input else p - xlogy(t, p + shift)
    if full:
        many = greater(t, 1)
        count = where(many, t, 1)
        stirling = xlogy(count, count) - count + log(count * (2 * math.pi)) * 0.5
        losses = add(losses, where(many, stirling, 0))
    return reduced_losses("poisson_nll_loss", losses, reduction, mask=mask)


_VARIANCE = np.array([[1.0, 0.5, 2.0], [0.25, 4.0, 1.5]])


@primitive(
    "GaussianNLLLoss",
    samples=[
        Sample(PREDICTED, TARGET, _VARIANCE),
        Sample(PREDICTED, TARGET, _VARIANCE, full=True, reduction="sum"),
        Sample(PREDICTED, TARGET, _VARIANCE, mask=np.array([0.5, 2.0])),
        Sample(np.array([1.0]), np.array([1.0]), np.array([0.0])).expecting([0.0], [0.0], [0.0]),
    ],
    errors=[
        Fails(ShapeError, r"\(2, 1\).*\(2,\)", np.ones((2, 1)), np.ones(2), np.ones(2)),
        Fails(ShapeError, r"\(2,\).*\(1,\)", np.ones(2), np.ones(2), np.ones(1)),
        Fails(ArgumentError, "epsilon must be", np.ones(2), np.ones(2), np.ones(2), epsilon=0),
    ],
)
def gaussian_nll_loss(
    predictions: TensorLike,
    targets: TensorLike,
    variances: TensorLike,
    *,
    full: bool = False,
    epsilon: float = 1e-6,
    mask: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """(log v + (p - t)²/v) / 2, where v is the variance, but at least epsilon.

    Minus the log-likelihood of a normal distribution whose mean and variance were predicted
    (D. Nix and A. Weigend, 1994), without log(2π)/2 unless ``full=True``. PyTorch has the same
    formula; there a variance below epsilon is refused if negative, and otherwise has the gradient
    of epsilon, where here it has 0.

    Args:
        predictions, targets, mask, reduction: as in `mse_loss`.
        variances: a tensor of the same shape.
        full: whether to add log(2π)/2.
        epsilon: a positive number.

    Returns:
        As in `mse_loss`.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
        ArgumentError: epsilon is not positive, or there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.gaussian_nll_loss([3.0], [1.0], [1.0])
    Tensor(2., shape=(), dtype=float32)
    """
    low = positive(epsilon, "gaussian_nll_loss: epsilon")
    p, t = paired("gaussian_nll_loss", predictions, targets, mask)
    _, given = paired("gaussian_nll_loss", p, variances, mask, filler=1)
    v = clip(given, low)
    losses = multiply(add(log(v), divide(square(subtract(p, t)), v)), 0.5)
    if full:
        losses = add(losses, 0.5 * math.log(2 * math.pi))
    return reduced_losses("gaussian_nll_loss", losses, reduction, mask=mask)

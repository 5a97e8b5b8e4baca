"""Divergences between distributions."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.losses.labels import probabilities
from minigrad.nn.functional.losses.reducing import (
    Reduction,
    multiply_no_nan,
    paired,
    reduced_losses,
)
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal
from minigrad.ops.elementwise import divide, multiply, subtract
from minigrad.ops.exponential import exp, xlogy
from minigrad.ops.indexing import getitem
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import where
from minigrad.ops.shaping import shape as shape_of

__all__ = ["kl_divergence"]


@primitive(
    "KLDivergence",
    samples=lambda rng: [
        Sample(np.log(probabilities(rng, 2, 3)), probabilities(rng, 2, 3)),
        Sample(np.log(probabilities(rng, 2, 3)), probabilities(rng, 2, 3), reduction="batchmean"),
        Sample(np.log(probabilities(rng, 2, 3)), np.log(probabilities(rng, 2, 3)), log_target=True),
        Sample(rng.normal(size=(2, 3)), probabilities(rng, 2, 3), mask=np.array([True, False])),
        Sample(rng.normal(size=(3,)), probabilities(rng, 3), reduction="none"),
        Sample(np.array([-np.inf, 0.0]), np.array([0.0, 1.0]), reduction="sum")
        .fixed(1)
        .expecting([0.0, -1.0])
        .named("impossible on both sides"),
        Sample(np.array([-np.inf, 0.0]), np.array([-np.inf, 0.0]), log_target=True, reduction="sum")
        .expecting([0.0, -1.0], [0.0, 1.0])
        .named("impossible on both sides, logarithms"),
    ],
    errors=[
        Fails(ShapeError, r"\(2, 1\).*\(2,\).*same shape", np.ones((2, 1)), np.ones(2)),
        Fails(ArgumentError, "'batchmean'.*got 'avg'", np.ones(2), np.ones(2), reduction="avg"),
        Fails(ShapeError, "batchmean.*scalar", np.ones(()), np.ones(()), reduction="batchmean"),
        Fails(
            ArgumentError,
            "batchmean.*mask",
            np.ones(2),
            np.ones(2),
            reduction="batchmean",
            mask=np.ones(2),
        ),
    ],
)
def kl_divergence(
    log_predictions: TensorLike,
    targets: TensorLike,
    *,
    log_target: bool = False,
    mask: TensorLike | None = None,
    reduction: Reduction | Literal["batchmean"] = "mean",
) -> Tensor:
    """t · (log t - log p), element by element: how far the distribution p is from t.

    Source: S. Kullback and R. Leibler, On Information and Sufficiency (1951). The divergence itself
    is the sum over the classes; "batchmean" gives it, averaged over the first axis. "mean"
    averages over the classes too. That is as in PyTorch's `kl_div`; Keras' takes two
    distributions, clips them to [1e-7, 1] and sums over the last axis.

    Args:
        log_predictions: logarithms of probabilities, of any shape.
        targets: probabilities of the same shape; or their logarithms, with ``log_target=True``.
            Where a target is 0 the term is 0, whatever the prediction.
        log_target: see there.
        mask: as in `mse_loss`; not with "batchmean".
        reduction: "mean", "sum", "none", or "batchmean": the sum over the length of axis 0.

    Returns:
        A scalar; with "none", a tensor of that shape. The gradient for a target of 0 is
        -log p; for one given by its logarithm, 0.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
        ArgumentError: there is no such reduction.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> p, t = mg.log([[0.5, 0.5]]), [[1.0, 0.0]]
    >>> nn.kl_divergence(p, t, reduction="batchmean")
    Tensor(0.6931472, shape=(), dtype=float32)
    """
    what = "kl_divergence"
    log_p, t = paired(what, log_predictions, targets, mask)
    if log_target:
        # Where t is 0 the difference may be infinite or nan; it does not count.
        terms = multiply(where(equal(t, -math.inf), 0, subtract(t, log_p)), exp(t))
    else:
        terms = subtract(xlogy(t, t), multiply_no_nan(log_p, t))
    if reduction != "batchmean":
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(
                f"{what}: reduction must be 'mean', 'batchmean', 'sum' or 'none', got {reduction!r}"
            )
        return reduced_losses(what, terms, reduction, mask=mask)
    if mask is not None:
        raise ArgumentError(f"{what}: batchmean takes no mask; use 'sum' and divide")
    if terms.shape == ():
        raise ShapeError(f"{what}: batchmean needs an axis to average over, got scalars")
    return divide(reduce_sum(terms), astype(getitem(shape_of(terms), 0), terms.dtype))

"""Losses of predictions and targets as modules: regression, likelihoods, divergence, hinges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.nn.functional.arguments import not_negative, positive
from minigrad.nn.functional.losses.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    squared_hinge_loss,
)
from minigrad.nn.functional.losses.divergences import kl_divergence
from minigrad.nn.functional.losses.likelihood import gaussian_nll_loss, poisson_nll_loss
from minigrad.nn.functional.losses.reducing import Reduction, check_reduction
from minigrad.nn.functional.losses.regression import (
    huber_loss,
    log_cosh_loss,
    mae_loss,
    mse_loss,
    smooth_l1_loss,
)
from minigrad.nn.modules.base.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "GaussianNLLLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LogCoshLoss",
    "MSELoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SquaredHingeLoss",
]


class Loss(Module):
    """A loss function, with options that are fixed when the module is made."""

    function: ClassVar[Callable[..., Tensor]]
    #: Whether there is a reduction "batchmean", which the function looks at.
    batchmean: ClassVar[bool] = False

    def __init__(self, reduction: Any, name: str | None, **options: Any) -> None:
        super().__init__(name=name)
        if not (self.batchmean and reduction == "batchmean"):
            check_reduction(type(self).__name__, reduction)
        self.options = {**options, "reduction": reduction}

    def extra_repr(self) -> str:
        """The options that were given."""
        given = [(k, v) for k, v in self.options.items() if v is not None and v is not False]
        return ", ".join(f"{name}={value!r}" for name, value in given)


class Paired(Loss):
    """A loss of predictions and targets."""

    def __init__(
        self, *, reduction: Reduction = "mean", name: str | None = None, **options: Any
    ) -> None:
        super().__init__(reduction, name, **options)

    def forward(
        self, predictions: TensorLike, targets: TensorLike, *, mask: TensorLike | None = None
    ) -> Tensor:
        """The loss.

        Args:
            predictions: what the model says.
            targets: what it should say.
            mask: bools or weights of the losses, see the function.
        """
        return type(self).function(predictions, targets, mask=mask, **self.options)


class _Plain(Paired):
    def __init__(self, *, reduction: Reduction = "mean", name: str | None = None) -> None:
        super().__init__(reduction=reduction, name=name)


class MSELoss(_Plain):
    """The mean squared error: `mse_loss` as a module.

    Args:
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss an element.
        name: see `Module`.

    Raises:
        ArgumentError: there is no such reduction.
        ShapeError: (from a call) predictions and targets differ in shape.

    >>> import minigrad.nn as nn
    >>> nn.MSELoss()([1.0, 2.0], [1.0, 4.0]).tolist()
    2.0
    """

    function = staticmethod(mse_loss)


class L1Loss(_Plain):
    """The mean absolute error: `mae_loss` as a module. Arguments and errors as for `MSELoss`.

    >>> import minigrad.nn as nn
    >>> nn.L1Loss()([1.0, 2.0], [1.0, 4.0]).tolist()
    1.0
    """

    function = staticmethod(mae_loss)


class LogCoshLoss(_Plain):
    """The logarithm of cosh(error): `log_cosh_loss` as a module; see `MSELoss`.

    >>> import minigrad.nn as nn
    >>> nn.LogCoshLoss(reduction="none")([1.0, 2.0], [1.0, 2.0]).tolist()
    [0.0, 0.0]
    """

    function = staticmethod(log_cosh_loss)


class BCELoss(_Plain):
    """Cross-entropy of probabilities of yes or no: `binary_cross_entropy`; see `MSELoss`.

    `BCEWithLogitsLoss` of what goes into the sigmoid is more accurate.

    >>> import minigrad.nn as nn
    >>> round(float(nn.BCELoss()([0.5, 0.5], [1.0, 0.0])), 4)
    0.6931
    """

    function = staticmethod(binary_cross_entropy)


class HingeLoss(_Plain):
    """max(0, 1 - target · prediction), targets being ±1: `hinge_loss` as a module; see `MSELoss`.

    >>> import minigrad.nn as nn
    >>> nn.HingeLoss()([0.5, 2.0], [1.0, 1.0]).tolist()
    0.25
    """

    function = staticmethod(hinge_loss)


class SquaredHingeLoss(_Plain):
    """The square of the hinge: `squared_hinge_loss` as a module; see `MSELoss`.

    >>> import minigrad.nn as nn
    >>> nn.SquaredHingeLoss()([0.5, 2.0], [1.0, 1.0]).tolist()
    0.125
    """

    function = staticmethod(squared_hinge_loss)


class HuberLoss(Paired):
    """Squares of small errors, multiples of large ones: `huber_loss` as a module.

    Args:
        delta: where the one becomes the other.
        reduction: see `MSELoss`.
        name: see `Module`.

    Raises:
        ArgumentError: delta is not positive; or there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.HuberLoss(2.0, reduction="sum")([1.0, 4.0], [0.0, 0.0]).tolist()
    6.5
    """

    function = staticmethod(huber_loss)

    def __init__(
        self, delta: float = 1.0, *, reduction: Reduction = "mean", name: str | None = None
    ) -> None:
        width = positive(delta, "HuberLoss: delta")
        super().__init__(reduction=reduction, name=name, delta=width)


class SmoothL1Loss(Paired):
    """The absolute error, rounded off at 0: `smooth_l1_loss` as a module.

    Args:
        beta: how wide the round part is; 0 for none.
        reduction: see `MSELoss`.
        name: see `Module`.

    Raises:
        ArgumentError: beta is negative; or there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.SmoothL1Loss(2.0, reduction="sum")([1.0, 4.0], [0.0, 0.0]).tolist()
    3.25
    """

    function = staticmethod(smooth_l1_loss)

    def __init__(
        self, beta: float = 1.0, *, reduction: Reduction = "mean", name: str | None = None
    ) -> None:
        width = not_negative(beta, "SmoothL1Loss: beta")
        super().__init__(reduction=reduction, name=name, beta=width)


class BCEWithLogitsLoss(Paired):
    """Cross-entropy of yes or no, from logits: `binary_cross_entropy_with_logits` as a module.

    Args:
        pos_weight: how much positive targets count more, see the function.
        reduction: see `MSELoss`.
        name: see `Module`.

    Raises:
        ArgumentError: there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.BCEWithLogitsLoss()([1e4, -1e4], [1.0, 0.0]).tolist()
    0.0
    """

    function = staticmethod(binary_cross_entropy_with_logits)

    def __init__(
        self,
        *,
        pos_weight: TensorLike | None = None,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name, pos_weight=pos_weight)


class KLDivLoss(Loss):
    """The divergence of predictions, given as logarithms, from targets: `kl_divergence`.

    Args:
        log_target: whether the targets are logarithms too.
        reduction: see `MSELoss`; or ``"batchmean"``, the sum divided by the length of axis 0.
        name: see `Module`.

    Raises:
        ArgumentError: there is no such reduction.

    >>> import minigrad.nn as nn
    >>> round(float(nn.KLDivLoss(reduction="batchmean")([[0.0, 0.0]], [[0.5, 0.5]])), 4)
    -0.6931
    """

    function = staticmethod(kl_divergence)
    batchmean = True

    def __init__(
        self,
        *,
        log_target: bool = False,
        reduction: Reduction | Literal["batchmean"] = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name, log_target=bool(log_target))

    def forward(
        self, log_predictions: TensorLike, targets: TensorLike, *, mask: TensorLike | None = None
    ) -> Tensor:
        """The divergence.

        Args:
            log_predictions: logarithms of probabilities.
            targets: probabilities, or with `log_target` their logarithms.
            mask: bools or weights of the losses.
        """
        return type(self).function(log_predictions, targets, mask=mask, **self.options)


class PoissonNLLLoss(Paired):
    """-log of the probability of counts, for Poisson distributions: `poisson_nll_loss`.

    Args:
        log_input: whether predictions are logarithms of rates.
        full: whether log(target!) is added, by Stirling's formula.
        epsilon: keeps the logarithm of a rate finite.
        reduction: see `MSELoss`.
        name: see `Module`.

    Raises:
        ArgumentError: epsilon is negative; or there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.PoissonNLLLoss()([0.0], [3.0]).tolist()
    1.0
    """

    function = staticmethod(poisson_nll_loss)

    def __init__(
        self,
        *,
        log_input: bool = True,
        full: bool = False,
        epsilon: float = 1e-8,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        options = {"log_input": bool(log_input), "full": bool(full)}
        least = not_negative(epsilon, "PoissonNLLLoss: epsilon")
        super().__init__(reduction=reduction, name=name, epsilon=least, **options)

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class GaussianNLLLoss(Loss):
    """-log of the density of normal distributions with given variances: `gaussian_nll_loss`.

    Args:
        full: whether the constant log(2π)/2 is added.
        epsilon: the least variance.
        reduction: see `MSELoss`.
        name: see `Module`.

    Raises:
        ArgumentError: epsilon is not positive; or there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.GaussianNLLLoss()([1.0], [3.0], [1.0]).tolist()
    2.0
    """

    function = staticmethod(gaussian_nll_loss)

    def __init__(
        self,
        *,
        full: bool = False,
        epsilon: float = 1e-6,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        low = positive(epsilon, "GaussianNLLLoss: epsilon")
        super().__init__(reduction, name, full=bool(full), epsilon=low)

    def forward(
        self,
        predictions: TensorLike,
        targets: TensorLike,
        variances: TensorLike,
        *,
        mask: TensorLike | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            predictions: the means.
            targets: what was found.
            variances: of the distributions.
            mask: bools or weights of the losses.
        """
        return type(self).function(predictions, targets, variances, mask=mask, **self.options)

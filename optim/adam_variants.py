"""Adam with another momentum or another start: NAdam, RAdam."""

from __future__ import annotations

from typing import Unpack

from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import float64
from minigrad.ops.comparison import greater
from minigrad.ops.powers import sqrt
from minigrad.ops.selection import where
from minigrad.optim.adam import Moments
from minigrad.optim.arguments import Rate, nonnegative
from minigrad.optim.slots import SlotSpec
from minigrad.optim.step import OptimizerOptions, Step, cast_to

__all__ = ["NAdam", "RAdam"]

#: The base of the momentum's schedule in the paper.
_WARMING = 0.96


class NAdam(Moments):
    """NAdam: Adam with Nesterov's momentum.

    μₜ = β₁·(1 − 0.96^(t·ψ)/2), Πₜ = μ₁·…·μₜ; m and v as in `Adam`;
    w ← w − rate · ((1 − μₜ)/(1 − Πₜ) · g + μₜ₊₁/(1 − Πₜ₊₁) · m) / (√v̂ + ε).

    Source: T. Dozat, "Incorporating Nesterov momentum into Adam", 2016. PyTorch computes the same.
    Keras has ψ = 1 (before version 2.11: 0.004), a rate of 0.001 and ε = 1e-7.

    Args:
        learning_rate: see `Optimizer`.
        beta1, beta2: β₁, β₂ in [0, 1).
        epsilon: ε.
        momentum_decay: ψ, how fast the momentum warms up.
        options: see `Optimizer`.

    Slots: ``m``, ``v``, and the float64 scalar ``product``, Πₜ.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.NAdam(0.1, momentum_decay=0.0)
    >>> optimizer.apply_gradients([([4.0], w)])
    >>> float(optimizer.get_slot(w, "product"))
    0.45
    """

    def __init__(
        self,
        learning_rate: Rate = 0.002,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 0.004,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, **options)
        self.momentum_decay = nonnegative(self.name, "momentum_decay", momentum_decay)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``m``, ``v`` and ``product``."""
        return super().slots(variable) | {"product": SlotSpec((), float64, 1.0)}

    def _momentum(self, t: Tensor) -> Tensor:
        return self.beta1 * (1.0 - 0.5 * _WARMING ** (t * self.momentum_decay))

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A step along the gradient, and one along the average with the next step's momentum."""
        m, v = self.moments(g, slots, step)
        own = (self.beta1, self.momentum_decay)
        now = step.once(("now", *own), lambda: self._momentum(step.number))
        following = step.once(("following", *own), lambda: self._momentum(step.number + 1.0))
        product = slots["product"] * now
        for_gradient = cast_to((1.0 - now) / (1.0 - product), w.dtype)
        for_average = cast_to(following / (1.0 - product * following), w.dtype)
        direction = for_gradient * g + for_average * m
        size = sqrt(v) / self.root2(step) + step.constant(self.epsilon)
        return w - step.rate * direction / size, {"m": m, "v": v, "product": product}


class RAdam(Moments):
    """RAdam: Adam that leaves out the division as long as its estimate is too uncertain.

    ρ∞ = 2/(1 − β₂) − 1, ρₜ = ρ∞ − 2·t·β₂ᵗ/(1 − β₂ᵗ);
    if ρₜ > 5: w ← w − rate · rₜ · m̂ · √(1 − β₂ᵗ)/(√v + ε) with
    rₜ = √((ρₜ − 4)(ρₜ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₜ)); else w ← w − rate·m̂.

    Source: L. Liu et al., "On the variance of the adaptive learning rate and beyond", 2020, which
    has no ε and takes ρₜ > 4; this is what PyTorch computes, with 5 as in the authors' code. Keras
    has no RAdam; TensorFlow Addons' has 5 too.

    Args:
        learning_rate: see `Optimizer`.
        beta1, beta2: β₁, β₂ in [0, 1).
        epsilon: ε.
        options: see `Optimizer`.

    Slots: ``m``, ``v``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optim.RAdam(0.125).apply_gradients([([4.0], w)])
    >>> w.numpy().round(4).tolist()  # The first steps are not divided.
    [0.5]
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, **options)

    def _rectified(self, t: Tensor) -> Tensor:
        """rₜ·√(1 − β₂ᵗ), or 0 where it is not used."""
        beta2 = self.beta2
        limit = 2.0 / (1.0 - beta2) - 1.0
        power = beta2**t
        rho = limit - 2.0 * t * power / (1.0 - power)
        used = greater(rho, 5.0)
        rho = where(used, rho, 6.0)
        r = sqrt((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho))
        return where(used, r * sqrt(1.0 - power), 0.0)

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """w -= rate · m̂, divided by the root mean square once that can be trusted."""
        m, v = self.moments(g, slots, step)
        scale = step.scalar(("rectified", self.beta2), self._rectified)
        used = step.once(("used", self.beta2, step.dtype), lambda: greater(scale, 0.0))
        size = sqrt(v) + step.constant(self.epsilon)
        factor = where(used, scale / size, step.constant(1.0))
        return w - step.unbiased_rate(self.beta1) * m * factor, {"m": m, "v": v}

"""Rates adapted to each weight without momentum of the gradient: AdaGrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Unpack

from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.ops.powers import sqrt, square
from minigrad.ops.selection import maximum
from minigrad.optim.arguments import Rate, flag, fraction, nonnegative
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.slots import SlotSpec
from minigrad.optim.step import OptimizerOptions, Step

__all__ = ["AdaGrad", "Adadelta", "RMSprop"]


class AdaGrad(Optimizer):
    """AdaGrad: each weight's rate shrinks with the sum of its squared gradients.

    s ← s + g², w ← w − rate · g/(√s + ε).

    Source: J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods", 2011, in PyTorch's
    form. TensorFlow 1 and Keras start s at 0.1, and TensorFlow 1 has no ε; Keras has √(s + 1e-7)
    and a rate of 0.001. PyTorch's `lr_decay` is the schedule `InverseTimeDecay`.

    Args:
        learning_rate: see `Optimizer`.
        initial_accumulator: where s starts.
        epsilon: ε.
        options: see `Optimizer`.

    Slots: ``sum``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.AdaGrad(0.5)
    >>> optimizer.apply_gradients([([3.0], w)])
    >>> w.tolist(), optimizer.get_slot(w, "sum").tolist()
    ([0.5], [9.0])
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        initial_accumulator: float = 0.0,
        epsilon: float = 1e-10,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator = nonnegative(
            self.name, "initial_accumulator", initial_accumulator
        )
        self.epsilon = nonnegative(self.name, "epsilon", epsilon)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``sum``."""
        return {"sum": SlotSpec(variable.shape, variable.dtype, self.initial_accumulator)}

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """s += g², w -= rate · g/(√s + ε)."""
        s = slots["sum"] + square(g)
        return w - step.rate * g / (sqrt(s) + step.constant(self.epsilon)), {"sum": s}


class Adadelta(Optimizer):
    """Adadelta: steps in the units of the weights, with no rate to choose.

    s ← ρ·s + (1 − ρ)·g², Δ = √(d + ε)/√(s + ε) · g, d ← ρ·d + (1 − ρ)·Δ², w ← w − rate·Δ.

    Source: M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, where the rate is 1 and
    ρ 0.95; PyTorch has ρ = 0.9, as here. Keras and TensorFlow 1 have a rate of 0.001, which makes
    it very slow, ρ = 0.95, and ε = 1e-7 and 1e-8.

    Args:
        learning_rate: see `Optimizer`.
        rho: ρ in [0, 1).
        epsilon: ε; it decides how large the first steps are.
        options: see `Optimizer`.

    Slots: ``square``, ``delta``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.Adadelta(rho=0.5)
    >>> optimizer.apply_gradients([([2.0], w)])
    >>> optimizer.get_slot(w, "square").tolist()
    [2.0]
    """

    def __init__(
        self,
        learning_rate: Rate = 1.0,
        *,
        rho: float = 0.9,
        epsilon: float = 1e-6,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = fraction(self.name, "rho", rho)
        self.epsilon = nonnegative(self.name, "epsilon", epsilon)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``square`` and ``delta``."""
        zero = SlotSpec(variable.shape, variable.dtype)
        return {"square": zero, "delta": zero}

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Δ = √(d + ε)/√(s + ε) · g, w -= rate·Δ."""
        epsilon = step.constant(self.epsilon)
        s = step.average(self.rho, slots["square"], square(g))
        delta = sqrt(slots["delta"] + epsilon) / sqrt(s + epsilon) * g
        d = step.average(self.rho, slots["delta"], square(delta))
        return w - step.rate * delta, {"square": s, "delta": d}


class RMSprop(Optimizer):
    """RMSprop: gradients divided by the root of a running average of their squares.

    s ← ρ·s + (1 − ρ)·g², w ← w − rate · g/(√s + ε);
    centred: c ← ρ·c + (1 − ρ)·g, and √(s − c²) in the place of √s;
    with momentum μ: v ← μ·v + g/(√s + ε), w ← w − rate·v.

    Source: G. Hinton, "Neural networks for machine learning", lecture 6e, 2012; centred: A.
    Graves, "Generating sequences with recurrent neural networks", 2013. ε stands outside the root,
    s starts at 0, and the defaults are ρ = 0.99, rate 0.01 and ε = 1e-8, all as in PyTorch.
    TensorFlow 1 has √(s + ε) with ε = 1e-10, starts s at ones, multiplies the rate into v, and has
    ρ = 0.9. Keras has √(s + ε) with ε = 1e-7, a rate of 0.001 and ρ = 0.9.

    Args:
        learning_rate: see `Optimizer`.
        rho: ρ in [0, 1); β₂ in the course.
        epsilon: ε.
        momentum: μ in [0, 1).
        centered: divide by the standard deviation instead.
        options: see `Optimizer`.

    Slots: ``square``; ``mean`` if centred; ``momentum`` if μ is not 0.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optim.RMSprop(0.25, rho=0.75).apply_gradients([([4.0], w)])
    >>> w.tolist()
    [0.5]
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        rho: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = fraction(self.name, "rho", rho)
        self.epsilon = nonnegative(self.name, "epsilon", epsilon)
        self.momentum = fraction(self.name, "momentum", momentum)
        self.centered = flag(self.name, "centered", centered)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``square``, and ``mean`` and ``momentum`` where they are used."""
        zero = SlotSpec(variable.shape, variable.dtype)
        made = {"square": zero}
        if self.centered:
            made["mean"] = zero
        if self.momentum:
            made["momentum"] = zero
        return made

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """w -= rate · g/(√s + ε)."""
        s = step.average(self.rho, slots["square"], square(g))
        new = {"square": s}
        variance = s
        if self.centered:
            c = new["mean"] = step.average(self.rho, slots["mean"], g)
            # Rounding may bring it below zero.
            variance = maximum(s - square(c), step.constant(0.0))
        direction = g / (sqrt(variance) + step.constant(self.epsilon))
        if self.momentum:
            kept = step.constant(self.momentum) * slots["momentum"]
            direction = new["momentum"] = kept + direction
        return w - step.rate * direction, new

"""Gradient descent, plain and with momentum in its three forms."""

from __future__ import annotations

from typing import Unpack

from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError
from minigrad.ops.comparison import equal
from minigrad.ops.updates import index_add
from minigrad.optim.arguments import Rate, flag, fraction, nonnegative
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.slots import SlotSpec
from minigrad.optim.step import OptimizerOptions, Step, choose

__all__ = ["EWMomentum", "Momentum", "SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with classical or Nesterov momentum if wanted.

    Plain: w ← w − rate·g.
    With momentum μ: v ← μ·v + (1 − dampening)·g, w ← w − rate·v. The first step takes v = g
    whatever the dampening, as in PyTorch.
    With Nesterov momentum: w ← w − rate·(g + μ·v) with the new v; it allows no dampening.

    Sources: B. Polyak, 1964; Y. Nesterov, 1983; I. Sutskever et al., "On the importance of
    initialization and momentum in deep learning", 2013, in PyTorch's form; TensorFlow 1 has it too,
    without dampening. Keras keeps v ← μ·v − rate·g, w ← w + v (Nesterov: w ← w + μ·v − rate·g).
    That is the same while the rate is constant; when it changes, Keras leaves old steps their old
    rate, and here the new one applies to all of v. For the exponentially weighted form of the
    course, see `EWMomentum`.

    A gradient of some rows (`IndexedSlices`) changes only those rows where there is no momentum.

    Args:
        learning_rate: see `Optimizer`.
        momentum: μ in [0, 1).
        dampening: how much less a new gradient counts, in [0, 1].
        nesterov: use Nesterov's form.
        options: see `Optimizer`.

    Raises:
        ArgumentError: a factor is out of its range, or Nesterov's form was asked for without a
            momentum or with a dampening.
        ArgumentTypeError: a factor is no number, or `nesterov` no bool.

    Slots: ``momentum``, if μ is not 0.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.SGD(0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.apply_gradients([([1.0], w)])
    >>> w.tolist()
    [-0.25]
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = fraction(self.name, "momentum", momentum)
        self.dampening = nonnegative(self.name, "dampening", dampening)
        if self.dampening > 1:
            raise ArgumentError(f"{self.name}: dampening must lie in [0, 1], got {dampening!r}")
        self.nesterov = flag(self.name, "nesterov", nesterov)
        if self.nesterov and (not self.momentum or self.dampening):
            raise ArgumentError(
                f"{self.name}: Nesterov momentum needs a momentum and no dampening, got "
                f"momentum={momentum!r}, dampening={dampening!r}"
            )

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``momentum``, if there is one."""
        return {"momentum": SlotSpec(variable.shape, variable.dtype)} if self.momentum else {}

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """v = μ·v + (1 - dampening)·g, w -= rate·v."""
        if not self.momentum:
            return w - step.rate * g, {}
        momentum = step.constant(self.momentum)
        v = momentum * slots["momentum"]
        if self.dampening:
            first = step.once("first", lambda: equal(step.number, 1.0))
            v = choose(first, g, v + step.constant(1.0 - self.dampening) * g)
        else:
            v = v + g
        direction = g + momentum * v if self.nesterov else v
        return w - step.rate * direction, {"momentum": v}

    def update_rows(
        self, w: Tensor, g: IndexedSlices, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Only the rows that have a gradient; repeated ones add up."""
        if self.momentum:
            return None
        return index_add(w, g.indices, -(step.rate * g.values)), {}


class Momentum(SGD):
    """`SGD` with a classical momentum of 0.9: v ← μ·v + g, w ← w − rate·v.

    In steady motion the step is 1/(1 − μ) times that of plain descent at the same rate; with
    `EWMomentum` it is the same. PyTorch's SGD computes the same but has a momentum of 0 by default;
    so has Keras', which keeps the rate in v, see `SGD`; TensorFlow 1's has no default.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.Momentum(0.5)
    >>> optimizer.apply_gradients([([1.0], w)])
    >>> w.tolist(), optimizer.get_slot(w, "momentum").tolist()
    ([0.5], [1.0])
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(
            learning_rate, momentum=momentum, dampening=dampening, nesterov=nesterov, **options
        )


class EWMomentum(Optimizer):
    """Momentum as an exponentially weighted average: v ← β·v + (1 − β)·g, w ← w − rate·v.

    This is the form of Andrew Ng's course. It is classical momentum (`Momentum`) with μ = β and a
    rate 1 − β times as large, so a rate for one must not be used for the other. PyTorch's
    dampening = β gives the same but for the first step; TensorFlow 1 and Keras
    have the classical form only. With `bias_correction`, w loses
    rate·v/(1 − βᵗ), so that the first steps are not too small.

    Args:
        learning_rate: see `Optimizer`.
        beta: β in [0, 1): the weight of the past.
        bias_correction: divide v by 1 − βᵗ.
        options: see `Optimizer`.

    Slots: ``average``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.EWMomentum(0.5, beta=0.5)
    >>> optimizer.apply_gradients([([1.0], w)])
    >>> w.tolist(), optimizer.get_slot(w, "average").tolist()
    ([0.75], [0.5])
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        beta: float = 0.9,
        bias_correction: bool = False,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta = fraction(self.name, "beta", beta)
        self.bias_correction = flag(self.name, "bias_correction", bias_correction)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``average``."""
        return {"average": SlotSpec(variable.shape, variable.dtype)}

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """v = β·v + (1 - β)·g, w -= rate·v."""
        v = step.average(self.beta, slots["average"], g)
        rate = step.unbiased_rate(self.beta) if self.bias_correction else step.rate
        return w - rate * v, {"average": v}

"""Schedules that decay: inverse time, exponential, 1/√t, steps, polynomial, cosine, Noam's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from minigrad.core.tensor import Tensor
from minigrad.ops.elementwise import divide, multiply, subtract
from minigrad.ops.powers import pow as power_of
from minigrad.ops.powers import rsqrt, sqrt
from minigrad.ops.rounding import ceil
from minigrad.ops.selection import maximum, minimum
from minigrad.ops.trigonometric import cos
from minigrad.optim.schedule_base import (
    Schedule,
    blend,
    checked_number,
    checked_range,
    checked_steps,
    epochs,
    exact,
)

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "NoamSchedule",
    "PolynomialDecay",
    "RootDecay",
    "StepDecay",
]


@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """``rate / (1 + decay·epoch)``, with ``epoch = step / steps_per_epoch``, counted from 0.

    The formula of Ng's course "Improving Deep Neural Networks" (α₀/(1 + decay_rate·epoch_num)).
    The same as Keras' ``InverseTimeDecay(rate, steps_per_epoch, decay, staircase)``. PyTorch has
    none of its own.

    Args:
        rate: α₀.
        decay: how fast; at least 0.
        steps_per_epoch: steps in an epoch; with 1, "epoch" means step.
        staircase: count whole epochs only, so that the rate is constant within each.

    Raises:
        ArgumentError: an argument is negative or not finite, or an epoch has no steps.

    >>> import minigrad.optim as optim
    >>> schedule = optim.InverseTimeDecay(0.2, decay=1.0, steps_per_epoch=100, staircase=True)
    >>> [schedule(t) for t in (0, 99, 100, 300)]
    [0.2, 0.2, 0.1, 0.05]
    """

    rate: float
    decay: float
    steps_per_epoch: float = 1
    staircase: bool = False

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)
        checked_number("decay", self.decay)
        checked_steps("steps_per_epoch", self.steps_per_epoch)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        epoch = epochs(step, self.steps_per_epoch, self.staircase)
        return divide(float(self.rate), 1.0 + multiply(float(self.decay), epoch))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """``rate · decay^(step / decay_steps)``.

    The same as TensorFlow's ``exponential_decay(rate, step, decay_steps, decay, staircase)`` and
    Keras' class. PyTorch's ``ExponentialLR(gamma=decay)`` has ``decay_steps=1``.

    Args:
        rate: the rate at step 0.
        decay: the factor, greater than 0 and at most 1.
        decay_steps: after how many steps it has been applied once.
        staircase: apply it all at once after every `decay_steps` steps, not gradually.

    Raises:
        ArgumentError: the rate is negative or not finite, `decay` is out of its range, or
            `decay_steps` is not positive.

    >>> import minigrad.optim as optim
    >>> optim.ExponentialDecay(1.0, 0.25, decay_steps=2)(1)
    0.5
    """

    rate: float
    decay: float
    decay_steps: float = 1
    staircase: bool = False

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)
        checked_range("decay", self.decay, 0.0, 1.0)
        checked_steps("decay_steps", self.decay_steps)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        count = epochs(step, self.decay_steps, self.staircase)
        return multiply(float(self.rate), power_of(exact(self.decay), count))


@dataclass(frozen=True)
class RootDecay(Schedule):
    """``k / √t``, where t counts epochs, or steps, from 1: ``t = 1 + step / steps_per_epoch``.

    The formula of Ng's course (k/√epoch_num·α₀, or k/√t·α₀; k stands for both factors here). At
    step 0 the rate is k. PyTorch and Keras have none of their own.

    Args:
        k: the rate at the first step.
        steps_per_epoch: steps in an epoch.
        staircase: count whole epochs only.

    Raises:
        ArgumentError: k is negative or not finite, or an epoch has no steps.

    >>> import minigrad.optim as optim
    >>> [optim.RootDecay(0.8)(t) for t in (0, 3, 15)]
    [0.8, 0.4, 0.2]
    """

    k: float
    steps_per_epoch: float = 1
    staircase: bool = False

    def __post_init__(self) -> None:
        checked_number("k", self.k)
        checked_steps("steps_per_epoch", self.steps_per_epoch)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        t = 1.0 + epochs(step, self.steps_per_epoch, self.staircase)
        return divide(float(self.k), sqrt(t))


@dataclass(frozen=True)
class StepDecay(Schedule):
    """A staircase: ``rate · factor^⌊step / every⌋``.

    The same as PyTorch's ``StepLR(step_size=every, gamma=factor)`` (whose default is 0.1 too), and
    as `ExponentialDecay` with ``staircase=True``.

    Args:
        rate: the rate of the first `every` steps.
        every: the length of a stair in steps.
        factor: what the rate is multiplied by at the end of each, greater than 0 and at most 1.

    Raises:
        ArgumentError: the rate is negative or not finite, `every` is not positive, or `factor` is
            out of its range.

    >>> import minigrad.optim as optim
    >>> [optim.StepDecay(0.8, every=10, factor=0.5)(t) for t in (9, 10, 25)]
    [0.8, 0.4, 0.2]
    """

    rate: float
    every: float
    factor: float = 0.1

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)
        checked_steps("every", self.every)
        checked_range("factor", self.factor, 0.0, 1.0)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        stairs = epochs(step, self.every, staircase=True)
        return multiply(float(self.rate), power_of(exact(self.factor), stairs))


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """``end + (rate - end)·(1 - t/T)^power`` with ``t = min(step, T)``.

    TensorFlow's ``polynomial_decay`` and Keras' ``PolynomialDecay``, whose end rate is 0.0001 by
    default (0 here). PyTorch's ``PolynomialLR(total_iters=T, power)`` has an end rate of 0 and no
    cycles; its ``LinearLR`` goes between two factors of the rate.

    Args:
        rate: the rate at step 0.
        decay_steps: T.
        end_rate: the rate from step T on.
        power: 1 for a straight line.
        cycle: start anew after the end, with T grown to the next multiple of `decay_steps` that
            is not below the step.

    Raises:
        ArgumentError: a rate is negative or not finite, `decay_steps` or `power` not positive.

    >>> import minigrad.optim as optim
    >>> [optim.PolynomialDecay(0.5, 4, power=2.0)(t) for t in (0, 2, 4, 9)]
    [0.5, 0.125, 0.0, 0.0]
    """

    rate: float
    decay_steps: float
    end_rate: float = 0.0
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)
        checked_steps("decay_steps", self.decay_steps)
        checked_number("end_rate", self.end_rate)
        checked_range("power", self.power, 0.0, math.inf)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        length = float(self.decay_steps)
        if self.cycle:
            done = divide(step, length * maximum(ceil(divide(step, length)), 1.0))
        else:
            done = divide(minimum(step, length), length)
        return blend(self.rate, self.end_rate, power_of(subtract(1.0, done), float(self.power)))


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine: ``end + (rate - end)·(1 + cos(π·t/T))/2`` with ``t = min(step, T)``.

    Source: I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    2017, without the restarts. Keras' ``CosineDecay(alpha=…)`` gives the end as a fraction:
    ``end_rate = alpha·rate``. PyTorch's ``CosineAnnealingLR(T_max=T, eta_min=end_rate)`` is equal
    up to step T, and rises again after it; here the rate stays.

    Args:
        rate: the rate at step 0.
        decay_steps: T.
        end_rate: the rate from step T on.

    Raises:
        ArgumentError: a rate is negative or not finite, or `decay_steps` not positive.

    >>> import minigrad.optim as optim
    >>> [optim.CosineDecay(0.5, 10)(t) for t in (0, 5, 10, 11)]
    [0.5, 0.25, 0.0, 0.0]
    """

    rate: float
    decay_steps: float
    end_rate: float = 0.0

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)
        checked_steps("decay_steps", self.decay_steps)
        checked_number("end_rate", self.end_rate)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        length = float(self.decay_steps)
        done = divide(minimum(step, length), length)
        return blend(self.rate, self.end_rate, half_cosine(done))


@dataclass(frozen=True)
class NoamSchedule(Schedule):
    """The transformer's: ``scale · model_size^-½ · min(t^-½, t·warmup^-1.5)``, ``t = step + 1``.

    Source: A. Vaswani et al., "Attention is all you need", 2017, whose steps count from 1. It
    rises in a straight line for `warmup_steps`, and falls with 1/√t after that. PyTorch and Keras
    have none of their own.

    Args:
        model_size: the width of the model (d_model).
        warmup_steps: the step (counted from 1) of the highest rate.
        scale: a factor.

    Raises:
        ArgumentError: an argument is not positive (the scale: negative), or not finite.

    >>> import minigrad.optim as optim
    >>> [optim.NoamSchedule(64, warmup_steps=4)(t) for t in (0, 3, 15)]
    [0.015625, 0.0625, 0.03125]
    """

    model_size: float
    warmup_steps: float = 4000
    scale: float = 1.0

    def __post_init__(self) -> None:
        checked_range("model_size", self.model_size, 0.0, math.inf)
        checked_steps("warmup_steps", self.warmup_steps)
        checked_number("scale", self.scale)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        t = 1.0 + step
        factor = float(self.scale) / math.sqrt(self.model_size)
        rising = multiply(t, float(self.warmup_steps) ** -1.5)
        return multiply(factor, minimum(rsqrt(t), rising))


def half_cosine(fraction: Tensor) -> Tensor:
    """``(1 + cos(π·fraction))/2``: from 1 at fraction 0 to 0 at fraction 1."""
    return 0.5 + 0.5 * cos(multiply(math.pi, fraction))

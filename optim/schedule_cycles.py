"""Schedules that go up and down: warm restarts, one cycle, triangles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from minigrad.core.tensor import Tensor
from minigrad.errors import ArgumentError
from minigrad.ops.comparison import greater, greater_equal, less
from minigrad.ops.elementwise import divide, multiply, subtract
from minigrad.ops.exponential import log
from minigrad.ops.powers import pow as power_of
from minigrad.ops.rounding import floor
from minigrad.ops.selection import maximum, minimum, where
from minigrad.ops.signs import abs as absolute
from minigrad.optim.schedule_base import (
    Schedule,
    blend,
    checked_number,
    checked_range,
    checked_steps,
    exact,
)
from minigrad.optim.schedules import half_cosine

__all__ = ["CosineDecayRestarts", "CyclicalRate", "OneCycle"]


@dataclass(frozen=True)
class CosineDecayRestarts(Schedule):
    """`CosineDecay` again and again, each time longer (SGDR).

    Period i has ``first_decay_steps·t_mul^i`` steps and falls from
    ``end + (rate - end)·m_mul^i`` to ``end``.

    Source: I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    2017. Keras' ``CosineDecayRestarts(rate, first_decay_steps, t_mul, m_mul, alpha)`` is the same
    with ``end_rate = alpha·rate``. PyTorch's ``CosineAnnealingWarmRestarts(T_0, T_mult, eta_min)``
    has ``T_mult=1`` by default and no `m_mul`.

    Args:
        rate: the rate at step 0.
        first_decay_steps: the length of the first period.
        t_mul: how much longer each period is than the one before, at least 1.
        m_mul: how much lower each starts, greater than 0 and at most 1.
        end_rate: what each period falls to; its own first step is at the top again.

    Raises:
        ArgumentError: a rate is negative or not finite, `first_decay_steps` is not positive, or
            `t_mul` or `m_mul` is out of its range.

    >>> import minigrad.optim as optim
    >>> schedule = optim.CosineDecayRestarts(0.8, 10, t_mul=2.0, m_mul=0.5)
    >>> [schedule(t) for t in (0, 5, 10, 20, 30)]
    [0.8, 0.4, 0.4, 0.2, 0.2]
    """

    rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    end_rate: float = 0.0

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)
        checked_steps("first_decay_steps", self.first_decay_steps)
        if checked_number("t_mul", self.t_mul) < 1.0:
            raise ArgumentError(f"t_mul must be at least 1, got {self.t_mul!r}")
        checked_range("m_mul", self.m_mul, 0.0, 1.0)
        checked_number("end_rate", self.end_rate)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        # In units of the first period: period i is [start(i), start(i + 1)).
        t = divide(step, float(self.first_decay_steps))
        if self.t_mul == 1:
            period = floor(t)
            done = subtract(t, period)
        else:
            period = self._period(t)
            done = divide(subtract(t, self._start(period)), power_of(exact(self.t_mul), period))
        weight = multiply(half_cosine(done), power_of(exact(self.m_mul), period))
        return blend(self.rate, self.end_rate, weight)

    def _start(self, period: Tensor) -> Tensor:
        """Where a period starts: the sum of the geometric series of lengths before it."""
        grown = subtract(power_of(exact(self.t_mul), period), 1.0)
        return divide(grown, float(self.t_mul) - 1.0)

    def _period(self, t: Tensor) -> Tensor:
        """The period that t is in."""
        ratio = float(self.t_mul)
        guess = floor(divide(log(1.0 + multiply(ratio - 1.0, t)), math.log(ratio)))
        # The logarithms are rounded, which matters where a period starts.
        guess = where(greater(self._start(guess), t), guess - 1.0, guess)
        return where(greater_equal(t, self._start(guess + 1.0)), guess + 1.0, guess)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to a high rate and down to a very low one, once over the whole training.

    Source: L. N. Smith, "A disciplined approach to neural network hyper-parameters", 2018, in the
    two-phase form of PyTorch's ``OneCycleLR``, with which it agrees: from ``max_rate /
    start_divisor`` at step 0 to `max_rate` at step ``warmup_fraction·total_steps - 1`` (which need
    not be whole), then to ``max_rate / start_divisor / end_divisor`` at step ``total_steps - 1``.
    After that PyTorch raises, and here the rate stays. PyTorch cycles the momentum as well; here
    only the rate. Keras has none of its own.

    Args:
        max_rate: the highest rate.
        total_steps: the length of the training in steps.
        warmup_fraction: the part of it that rises (PyTorch's ``pct_start``).
        start_divisor: how far below `max_rate` it starts (``div_factor``).
        end_divisor: how far below its start it ends (``final_div_factor``).
        anneal: the form of both phases, ``"cosine"`` or ``"linear"``.

    Raises:
        ArgumentError: a rate is negative or not finite, a divisor or number of steps is not
            positive, the rising part is not longer than one step or not shorter than the whole,
            or `anneal` is neither.

    >>> import minigrad.optim as optim
    >>> schedule = optim.OneCycle(1.0, 101, warmup_fraction=51 / 101, start_divisor=4)
    >>> [round(schedule(t), 6) for t in (0, 25, 50, 100)]
    [0.25, 0.625, 1.0, 2.5e-05]
    """

    max_rate: float
    total_steps: float
    warmup_fraction: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4
    anneal: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        checked_number("max_rate", self.max_rate)
        checked_steps("total_steps", self.total_steps)
        checked_range("warmup_fraction", self.warmup_fraction, 0.0, 1.0)
        checked_range("start_divisor", self.start_divisor, 0.0, math.inf)
        checked_range("end_divisor", self.end_divisor, 0.0, math.inf)
        if self.anneal not in ("cosine", "linear"):
            raise ArgumentError(f"anneal must be 'cosine' or 'linear', got {self.anneal!r}")
        rising = self.warmup_fraction * self.total_steps
        if not 1.0 < rising < self.total_steps:
            raise ArgumentError(
                "warmup_fraction * total_steps must be greater than 1 and less than total_steps, "
                f"got {self.warmup_fraction!r} * {self.total_steps!r} = {rising:g}"
            )

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        peak = float(self.warmup_fraction * self.total_steps) - 1.0
        last = float(self.total_steps) - 1.0
        start = float(self.max_rate) / float(self.start_divisor)
        end = start / float(self.end_divisor)
        risen = self._weight(divide(minimum(step, peak), peak))
        fallen = self._weight(divide(minimum(maximum(step - peak, 0.0), last - peak), last - peak))
        rising = blend(start, self.max_rate, risen)
        return where(less(step, peak), rising, blend(self.max_rate, end, fallen))

    def _weight(self, done: Tensor) -> Tensor:
        """How much is left of a phase's first rate."""
        return half_cosine(done) if self.anneal == "cosine" else subtract(1.0, done)


@dataclass(frozen=True)
class CyclicalRate(Schedule):
    """Up and down in straight lines between two rates, again and again.

    Source: L. N. Smith, "Cyclical learning rates for training neural networks", 2017. The same as
    PyTorch's ``CyclicLR(base_lr, max_lr, step_size_up=half_cycle)``, which cycles the momentum by
    default as well. Keras has none of its own.

    Args:
        base_rate: the low rate, that of step 0.
        max_rate: the high rate, first reached at step `half_cycle`.
        half_cycle: steps from one to the other.
        mode: ``"triangular"``, or ``"triangular2"``: each triangle half as high as the one before.

    Raises:
        ArgumentError: a rate is negative or not finite, `max_rate` is below `base_rate`,
            `half_cycle` is not positive, or `mode` is neither.

    >>> import minigrad.optim as optim
    >>> schedule = optim.CyclicalRate(0.25, 0.75, half_cycle=2, mode="triangular2")
    >>> [schedule(t) for t in range(7)]
    [0.25, 0.5, 0.75, 0.5, 0.25, 0.375, 0.5]
    """

    base_rate: float
    max_rate: float
    half_cycle: float
    mode: Literal["triangular", "triangular2"] = "triangular"

    def __post_init__(self) -> None:
        base = checked_number("base_rate", self.base_rate)
        if checked_number("max_rate", self.max_rate) < base:
            raise ArgumentError(
                f"max_rate must be at least base_rate, got {self.max_rate!r} and {base!r}"
            )
        checked_steps("half_cycle", self.half_cycle)
        if self.mode not in ("triangular", "triangular2"):
            raise ArgumentError(f"mode must be 'triangular' or 'triangular2', got {self.mode!r}")

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        t = divide(step, float(self.half_cycle))
        cycle = floor(0.5 * t)
        height = subtract(1.0, absolute(t - 2.0 * cycle - 1.0))
        if self.mode == "triangular2":
            height = multiply(height, power_of(exact(0.5), cycle))
        return blend(self.max_rate, self.base_rate, height)

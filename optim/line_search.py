"""A line search for the strong Wolfe conditions.

Source: J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006: Algorithms 3.5
(bracketing) and 3.6 (zoom), with the cubic interpolation of equation 3.59. PyTorch's
``strong_wolfe`` follows the same scheme by way of Schmidt's minFunc, and bounds its trial steps
somewhat differently; SciPy's L-BFGS-B uses Moré and Thuente's search.

Near a minimum the values differ by rounding alone, and the slopes say more. There a trial is also
taken by the approximate Wolfe conditions of W. W. Hager and H. Zhang, "A new conjugate gradient
method with guaranteed descent and an efficient line search", 2005, equations 4.1 and 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigrad.core.tensor import Array

__all__: list[str] = []

#: Trial points of one search. Bisection alone would narrow an interval to 2**-25 of its width.
MOST_TRIALS = 25
#: A step grows to at most this multiple from one trial to the next.
_GROWTH = 10.0
#: A trial inside an interval keeps this part of its width away from both ends.
_MARGIN = 0.1


@dataclass(frozen=True, eq=False)
class Trial:
    """What is known at a step along the line."""

    step: float
    #: The point itself, flat.
    x: Array
    value: float
    gradient: Array
    #: The derivative along the line.
    slope: float

    @property
    def is_finite(self) -> bool:
        """Whether the value and the whole gradient are finite."""
        return math.isfinite(self.value) and math.isfinite(self.slope)


def strong_wolfe(
    evaluate: Callable[[float], Trial],
    start: Trial,
    first_step: float,
    *,
    decrease: float,
    curvature: float,
    most_trials: int,
    noise: float = 0.0,
) -> Trial | None:
    """A step with enough decrease, where the line is flat enough.

    Args:
        evaluate: from a step to what is there. Where the value or gradient is not finite, the
            step counts as too long.
        start: step 0, with a negative slope.
        first_step: the first step to try.
        decrease: c1 of ``f(a) <= f(0) + c1·a·f'(0)``.
        curvature: c2 of ``|f'(a)| <= c2·|f'(0)|``.
        most_trials: calls of `evaluate` that are allowed, at least 1.
        noise: how far values may be off by rounding. A value that is higher by no more than this
            will do where the slopes show a decrease and the gradient is smaller.

    Returns:
        A trial that fulfils both, up to the noise; or when there are no trials left, the best
        that fulfils the first; or None where there was none.
    """
    search = _Search(evaluate, start, decrease, curvature, most_trials, noise)
    return search.bracket(first_step)


class _Search:
    """One search: its conditions, and the trials that are left."""

    def __init__(
        self,
        evaluate: Callable[[float], Trial],
        start: Trial,
        decrease: float,
        curvature: float,
        trials: int,
        noise: float,
    ) -> None:
        self.evaluate = evaluate
        self.start = start
        self.decrease = decrease
        self.curvature = curvature
        self.trials = trials
        self.noise = noise
        self.size = euclidean_norm(start.gradient)

    def is_too_long(self, trial: Trial, best: Trial) -> bool:
        """Whether a trial lacks the decrease, or is no better than the best one."""
        if not trial.is_finite:
            return True
        line = self.start.value + self.decrease * trial.step * self.start.slope
        return trial.value > line or trial.value >= best.value

    def is_flat(self, trial: Trial) -> bool:
        """The condition on the slope."""
        return abs(trial.slope) <= -self.curvature * self.start.slope

    def is_good_in_noise(self, trial: Trial) -> bool:
        """The approximate conditions; the first is the decrease of a parabola with these slopes."""
        return (
            trial.is_finite
            and abs(trial.value - self.start.value) < self.noise
            and trial.slope <= (2.0 * self.decrease - 1.0) * self.start.slope
            and self.is_flat(trial)
            and euclidean_norm(trial.gradient) < self.size
        )

    def bracket(self, step: float) -> Trial | None:
        """Algorithm 3.5: longer steps, until one fits or an interval holds one that does."""
        best = self.start
        while self.trials > 0:
            self.trials -= 1
            trial = self.evaluate(step)
            if self.is_too_long(trial, best):
                return trial if self.is_good_in_noise(trial) else self.zoom(best, trial)
            if self.is_flat(trial):
                return trial
            if trial.slope >= 0:
                return self.zoom(trial, best)
            step = _extrapolate(best, trial)
            best = trial
        return self.found(best)

    def zoom(self, low: Trial, high: Trial) -> Trial | None:
        """Algorithm 3.6: narrow an interval; `low` is the best end, and falls towards `high`."""
        older = width = math.inf
        while self.trials > 0:
            older, width = width, abs(high.step - low.step)
            if low.step + _MARGIN * (high.step - low.step) == low.step:
                break  # Nothing lies between them.
            # Interpolation from one side can be slow; then halve.
            step = _between(low, high, halve=width > 0.5 * older)
            self.trials -= 1
            trial = self.evaluate(step)
            if self.is_too_long(trial, low):
                if self.is_good_in_noise(trial):
                    return trial
                high = trial
                continue
            if self.is_flat(trial):
                return trial
            if trial.slope * (high.step - low.step) >= 0:
                high = low
            low = trial
        return self.found(low)

    def found(self, best: Trial) -> Trial | None:
        """The best trial, unless it is the start."""
        return None if best is self.start else best


def _extrapolate(previous: Trial, trial: Trial) -> float:
    """The next longer step: the cubic's minimum, if it is not too near and not too far."""
    nearest = trial.step + _MARGIN * (trial.step - previous.step)
    farthest = _GROWTH * trial.step
    minimum = cubic_minimum(previous, trial)
    return farthest if math.isnan(minimum) else min(max(minimum, nearest), farthest)


def _between(low: Trial, high: Trial, *, halve: bool) -> float:
    """A step inside an interval."""
    width = high.step - low.step
    if not high.is_finite:
        return low.step + _MARGIN * width
    minimum = math.nan if halve else cubic_minimum(low, high)
    if math.isnan(minimum):
        return low.step + 0.5 * width
    ends = sorted((low.step + _MARGIN * width, high.step - _MARGIN * width))
    return min(max(minimum, ends[0]), ends[1])


def cubic_minimum(a: Trial, b: Trial) -> float:
    """Where the cubic through two values and slopes has its minimum; NaN where it has none.

    Equation 3.59 of Nocedal and Wright.
    """
    if not (a.is_finite and b.is_finite) or a.step == b.step:
        return math.nan
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.step - b.step)
    root = d1 * d1 - a.slope * b.slope
    if not 0.0 <= root < math.inf:
        return math.nan
    d2 = math.copysign(math.sqrt(root), b.step - a.step)
    below = b.slope - a.slope + 2.0 * d2
    if below == 0.0:
        return math.nan
    minimum = b.step - (b.step - a.step) * (b.slope + d2 - d1) / below
    return minimum if math.isfinite(minimum) else math.nan


def euclidean_norm(gradient: Array) -> float:
    """The Euclidean norm, without an overflow on the way."""
    largest = float(np.max(np.abs(gradient), initial=0.0))
    return largest * float(np.linalg.norm(gradient / largest)) if largest else 0.0

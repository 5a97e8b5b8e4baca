"""Derivatives by differences, with an estimate of their own error; and kinks told from bugs.

A derivative along a line is the central difference at two steps, extrapolated to step 0
(Richardson): the error of order h² cancels, so that at the first step of 2^-13 both truncation and
rounding stay far below 1e-9 for well-scaled functions. Where that does not agree with the expected
slope, other steps are tried, larger ones (against rounding) and smaller ones (against curvature and
kinks nearby), and the one that is least in doubt counts. What casts doubt on a step, besides the
extrapolation and rounding, is that the slopes from the left and from the right do not come nearer
to each other in proportion when it is halved: then the function is not smooth within it.

Source: C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", 1982.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from minigrad.core.tensor import Array

#: A function of the position on a line, 0 being the point where the slope is wanted.
Line = Callable[[float], Array]

EPSILON = 2.0**-52
FIRST_STEP = 2.0**-13
#: All steps, relative to the first.
_LADDER = (2.0**8, 2.0**4, 1.0, 2.0**-4, 2.0**-9, 2.0**-14, 2.0**-19)
#: Values are trusted to this many units in the last place.
_ULPS = 8.0
#: One-sided slopes that differ by less than this, relatively, are no kink.
_SMALLEST_KINK = 1e-4
#: Below this scale, steps are tried that are relative to it.
_SMALL = 2.0**-4


@dataclass(frozen=True, slots=True)
class Slope:
    """The derivative of each output along a line.

    Attributes:
        value: the derivative, by differences.
        error: how far it may be from the true one.
        left: the slope from the left, at the smallest step that was tried.
        right: the slope from the right.
        kink: where these two disagree at every step.
    """

    value: Array
    error: Array
    left: Array
    right: Array
    kink: Array


def measure(numeric: Array, analytic: Array) -> float:
    """The relative error of a gradient: ‖numeric − analytic‖ / (‖numeric‖ + ‖analytic‖).

    Two zero gradients agree; anything that is not finite does not.

    Source: Andrew Ng et al., "Improving Deep Neural Networks", week 1, gradient checking.

    >>> import numpy as np
    >>> measure(np.array([3.0, 4.0]), np.array([3.0, 4.0])), measure(np.zeros(2), np.zeros(2))
    (0.0, 0.0)
    >>> measure(np.array([1.0]), np.array([-1.0]))
    1.0
    """
    if not (np.isfinite(numeric).all() and np.isfinite(analytic).all()):
        return float("inf")
    scale = max(np.abs(numeric).max(initial=0.0), np.abs(analytic).max(initial=0.0))
    if scale == 0.0:
        return 0.0
    a, b = np.ravel(numeric) / scale, np.ravel(analytic) / scale
    return float(np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b)))


def step_for(x: float, relative: float = FIRST_STEP) -> float:
    """The first step at `x`: a power of two, so that ``x + step`` is exact or nearly so.

    >>> step_for(0.0) == step_for(1.0) == 2.0**-13, step_for(3.0) == 2.0**-11
    (True, True)
    """
    return relative * max(1.0, scale_of(abs(x)))


def scale_of(size: float) -> float:
    """The power of two next above a size; 1 for zero and for what is not finite.

    >>> scale_of(3.0), scale_of(0.2), scale_of(0.0)
    (4.0, 0.25, 1.0)
    """
    if not size or not np.isfinite(size):
        return 1.0
    return float(2.0 ** np.clip(np.ceil(np.log2(size)), -900.0, 900.0))


def slope(
    line: Line,
    base: Array,
    step: float,
    expected: Array | None = None,
    within: float = 0.0,
    scale: float = 1.0,
) -> Slope:
    """The derivative of `line` at 0.

    Args:
        line: gives a vector of outputs for a position.
        base: ``line(0)``.
        step: the step to begin with.
        expected: the analytic slopes; the first step counts at once where it agrees with them.
        within: the absolute difference up to which it agrees.
        scale: where this is far below 1, steps that much smaller are tried too.
    """
    with np.errstate(all="ignore"):
        first = _estimate(line, base, step)
        if expected is None or _agrees(first.value, first.error, expected, within):
            return _slope(first, first, np.zeros(first.value.shape, bool))
        tried = [first if f == 1.0 else _estimate(line, base, step * f) for f in _LADDER]
        last = tried[-1]
        noise = _ULPS * EPSILON * np.abs(base) / (step * _LADDER[-1])
        gap = np.abs(last.bend)
        visible = gap > _SMALLEST_KINK * (np.abs(last.left) + np.abs(last.right)) + 8.0 * noise
        one_sided = np.isfinite(last.left) != np.isfinite(last.right)
        kink = (_lasting(tried[-3:]) & visible) | one_sided
        gap = np.min([np.abs(e.bend) for e in tried], axis=0)
        if scale < _SMALL:
            small = [step * scale * f for f in _LADDER]
            tried = sorted(
                [*tried, *[_estimate(line, base, h) for h in small]], key=lambda e: -e.step
            )
        best = tried[0]
        for other in tried[1:]:
            best = best.or_better(other)
        # No step sees a slope at a kink; one that does was small enough to stay beside it.
        kink &= ~(best.doubt < 0.1 * np.where(one_sided, np.abs(best.value), gap))
        # Rounding may look like a jump or kink, but a tiny one that explains no such difference.
        kink &= ~(np.abs(best.value - expected) > 10.0 * np.abs(best.bend))
        return _slope(best, last, kink)


def _slope(best: _Estimate, last: _Estimate, kink: Array) -> Slope:
    return Slope(best.value, best.error, last.left, last.right, kink)


def _lasting(tried: Sequence[_Estimate]) -> Array:
    """Whether one-sided slopes differ as they do at a kink or jump, and not as rounding does.

    Their difference keeps its sign from one step to the next. At a kink it stays about the same,
    where a slope is infinite it grows, at a jump as fast as the step shrinks; where the function
    is smooth, it shrinks.
    """
    found = np.ones(tried[0].value.shape, bool)
    for e in tried:
        growth = e.bend / e.coarse_bend  # The step was halved between them.
        found &= (growth > 0.8) & (growth < 2.1)
    for before, after in pairwise(tried):
        growth = after.bend / before.bend
        found &= (growth > 0.5) & (growth < 33.0)
    return found


def _agrees(value: Array, error: Array, expected: Array, within: float) -> bool:
    gap = np.abs(value - expected)
    close = gap <= 1e-9 * (np.abs(value) + np.abs(expected)) + within
    zero = (expected == 0.0) & (np.abs(value) <= error)
    return bool(((close | zero) & np.isfinite(error)).all())


@dataclass(frozen=True, slots=True)
class _Estimate:
    """The slope at one step.

    Attributes:
        step: the step.
        value: the extrapolated slope.
        error: how far it is from the true one where the function is smooth.
        doubt: the same, and more where the function is not smooth at this step.
        left: the slope from the left.
        right: the slope from the right.
        bend: right minus left.
        coarse_bend: the same at twice the step.
    """

    step: float
    value: Array
    error: Array
    doubt: Array
    left: Array
    right: Array
    bend: Array
    coarse_bend: Array

    def or_better(self, finer: _Estimate) -> _Estimate:
        """For each output the better of two estimates, `finer` being at a smaller step.

        That is the one less in doubt; but where they contradict each other the larger step missed
        what the function does within it, unless it is sure: then the smaller one sees rounding.
        """
        contradict = np.abs(self.value - finer.value) > 10.0 * (self.doubt + finer.doubt)
        unsure = self.doubt > 0.01 * np.abs(self.value)
        better = np.where(contradict, unsure, finer.doubt < self.doubt)
        pairs = zip(
            (finer.value, finer.error, finer.doubt, finer.bend),
            (self.value, self.error, self.doubt, self.bend),
            strict=True,
        )
        value, error, doubt, bend = [np.where(better, theirs, own) for theirs, own in pairs]
        return replace(self, value=value, error=error, doubt=doubt, bend=bend)


def _estimate(line: Line, base: Array, step: float) -> _Estimate:
    """The slope at one step, extrapolated from it and its half."""
    half = step / 2
    far_up, far_down, up, down = line(step), line(-step), line(half), line(-half)
    coarse = (far_up - far_down) / (2 * step)
    fine = (up - down) / step
    value = (4.0 * fine - coarse) / 3.0
    largest = np.maximum(np.abs(base), np.maximum(np.abs(far_up), np.abs(far_down)))
    # The extrapolated value is better than its distance from the unextrapolated one by order h².
    error = np.abs(fine - coarse) / 3.0 + _ULPS * EPSILON * largest / step
    left, right = (base - down) / half, (up - base) / half
    bend = right - left
    coarse_bend = (far_up - base) / step - (base - far_down) / step
    # Half the step halves the bend of a smooth function, up to order h³. At a kink within the
    # step `fine` and `coarse` may agree on the mean of both sides.
    doubt = error + np.abs(2.0 * bend - coarse_bend)
    lost = ~(np.isfinite(value) & np.isfinite(error))
    error, doubt = np.where(lost, np.inf, error), np.where(lost, np.inf, doubt)
    return _Estimate(step, value, error, doubt, left, right, bend, coarse_bend)

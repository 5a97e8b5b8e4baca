"""Derivatives by differences, with an estimate of their own error; and kinks told from bugs.

A derivative along a line is the central difference at two steps, extrapolated to step 0
(Richardson): the error of order h² cancels, so that at the first step of 2^-13 both truncation and
rounding stay far below 1e-9 for well-scaled functions. Where that does not agree with the expected
slope, other steps are tried, larger ones (against rounding) and smaller ones (against curvature and
kinks nearby), and the one with the least estimated error counts.

Source: C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", 1982.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigrad.core.tensor import Array

#: A function of the position on a line, 0 being the point where the slope is wanted.
Line = Callable[[float], Array]

EPSILON = 2.0**-52
FIRST_STEP = 2.0**-13
#: The other steps, relative to the first.
_LADDER = (2.0**4, 2.0**8, 2.0**-4, 2.0**-9, 2.0**-14, 2.0**-19)
#: Values are trusted to this many units in the last place.
_ULPS = 8.0
#: One-sided slopes that differ by less than this, relatively, are no kink.
_SMALLEST_KINK = 1e-4


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
    size = abs(x)
    if not np.isfinite(size) or size <= 1.0:
        return relative
    return float(relative * 2.0 ** np.ceil(np.log2(size)))


def slope(
    line: Line, base: Array, step: float, expected: Array | None = None, within: float = 0.0
) -> Slope:
    """The derivative of `line` at 0.

    Args:
        line: gives a vector of outputs for a position.
        base: ``line(0)``.
        step: the step to begin with.
        expected: the analytic slopes; the first step counts at once where it agrees with them.
        within: the absolute difference up to which it agrees.
    """
    with np.errstate(all="ignore"):
        value, error, left, right = _estimate(line, base, step)
        kink = np.zeros(value.shape, bool)
        if expected is None or _agrees(value, error, expected, within):
            return Slope(value, error, left, right, kink)
        gaps: list[Array] = []
        for factor in _LADDER:
            other, its_error, left, right = _estimate(line, base, step * factor)
            better = its_error < error
            value, error = np.where(better, other, value), np.where(better, its_error, error)
            gaps.append(np.abs(right - left))
        noise = _ULPS * EPSILON * np.abs(base) / (step * _LADDER[-1])
        lasting = _lasting(gaps[-2] / gaps[-3]) & _lasting(gaps[-1] / gaps[-2])
        visible = gaps[-1] > _SMALLEST_KINK * (np.abs(left) + np.abs(right)) + 8.0 * noise
        one_sided = np.isfinite(left) != np.isfinite(right)
        return Slope(value, error, left, right, (lasting & visible) | one_sided)


def _lasting(growth: Array) -> Array:
    """Whether one-sided slopes differ as they do at a kink or jump, and not as rounding does.

    From one step to the next, smaller by 2^5, their difference stays about the same at a kink,
    grows by 2^2.5 where a slope is infinite, and by 2^5 at a jump; where the function is smooth,
    it shrinks.
    """
    return ((growth > 0.5) & (growth < 8.0)) | (np.abs(growth - 32.0) < 0.5)


def _agrees(value: Array, error: Array, expected: Array, within: float) -> bool:
    gap = np.abs(value - expected)
    close = gap <= 1e-9 * (np.abs(value) + np.abs(expected)) + within
    zero = (expected == 0.0) & (np.abs(value) <= error)
    return bool((close | zero).all())


def _estimate(line: Line, base: Array, step: float) -> tuple[Array, Array, Array, Array]:
    """The extrapolated slope at one step, its error, and the one-sided slopes."""
    half = step / 2
    far_up, far_down, up, down = line(step), line(-step), line(half), line(-half)
    coarse = (far_up - far_down) / (2 * step)
    fine = (up - down) / step
    value = (4.0 * fine - coarse) / 3.0
    largest = np.maximum(np.abs(base), np.maximum(np.abs(far_up), np.abs(far_down)))
    # The extrapolated value is better than its distance from the unextrapolated one by order h².
    error = np.abs(fine - coarse) / 3.0 + _ULPS * EPSILON * largest / step
    error = np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)
    return value, error, (base - down) / half, (up - base) / half

"""From slopes by the rules and by differences to the check of one argument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.core.tensor import Array
from minigrad.gradcheck.numeric import Slope, measure
from minigrad.gradcheck.report import ArgumentCheck, Component, verdict_of

#: How many of the worst components a report names.
_WORST = 5


def summarize(
    name: str,
    shape: tuple[int, ...],
    order: int,
    limit: float,
    analytic: Array,
    slopes: Sequence[Slope],
    places: Sequence[int],
) -> ArgumentCheck:
    """The check of one argument; `analytic` and `slopes` have an entry for each of `places`."""
    if not slopes or not analytic.size:
        return ArgumentCheck(name, shape, order, 0, 0.0, "right")
    numeric = np.stack([s.value for s in slopes])
    error = np.stack([s.error for s in slopes])
    kink = np.stack([s.kink for s in slopes])
    # Where kinked rules and one-sided slopes agree there is nothing to tell.
    kink &= ~(np.abs(numeric - analytic) <= limit * (np.abs(numeric) + np.abs(analytic)))
    # No rule means to give nan, on a kink either.
    kink &= ~np.isnan(analytic)
    smooth_numeric, smooth_analytic = numeric[~kink], analytic[~kink]
    figure = measure(smooth_numeric, smooth_analytic)
    if figure and _both_zero(smooth_numeric, smooth_analytic, error[~kink]):
        figure = 0.0
    components = [_component(shape, places[i], analytic[i], slopes[i]) for i in range(len(places))]
    kinked = [c for c, row in zip(components, kink, strict=True) if row.any()]
    others = [c for c, row in zip(components, kink, strict=True) if not row.any()]
    others.sort(key=_badness, reverse=True)
    verdict = "kink" if kink.all() else verdict_of(figure, limit)
    return ArgumentCheck(
        name, shape, order, len(places), figure, verdict, tuple(others[:_WORST]), tuple(kinked)
    )


def _badness(component: Component) -> float:
    difference = component.difference
    return float("inf") if np.isnan(difference) else difference


def _both_zero(numeric: Array, analytic: Array, error: Array) -> bool:
    """Whether both are zero as far as differences can see."""
    blur = float(np.linalg.norm(error))
    return bool(np.linalg.norm(numeric) <= blur < np.inf and np.linalg.norm(analytic) <= blur)


def _component(shape: tuple[int, ...], place: int, analytic: Array, found: Slope) -> Component:
    """One entry; of several projections the one that differs most."""
    gap = np.abs(found.value - analytic)
    row = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
    index = tuple(int(i) for i in np.unravel_index(place, shape)) if shape else ()
    return Component(
        index,
        float(analytic[row]),
        float(found.value[row]),
        float(found.left[row]),
        float(found.right[row]),
    )

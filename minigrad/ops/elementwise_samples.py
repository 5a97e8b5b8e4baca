"""Samples that elementwise primitives share: the same few shapes over each one's own domain."""

from __future__ import annotations

import numpy as np

from minigrad.core.primitive import SampleMaker
from minigrad.core.samples import Fails, Sample
from minigrad.errors import DTypeError, ShapeError

#: Text, which no arithmetic takes.
TEXT = np.array(["a"], object)

#: What every unary function of numbers must refuse.
REFUSES_TEXT = (Fails(DTypeError, "does not take string", TEXT),)

#: What every binary function of numbers must refuse.
BINARY_REFUSALS = (
    Fails(ShapeError, "do not broadcast", np.ones(2), np.ones(3)),
    Fails(DTypeError, "text", TEXT, 1.0),
)


def unary(low: float, high: float, *more: Sample) -> SampleMaker:
    """A matrix, a scalar, an empty and a float32 tensor, uniform in [low, high); then `more`."""

    def make(rng: np.random.Generator) -> list[Sample]:
        return [
            Sample(rng.uniform(low, high, (2, 3))),
            Sample(rng.uniform(low, high, ())).named("scalar"),
            Sample(np.zeros((0, 3))).named("empty"),
            Sample(rng.uniform(low, high, 3).astype(np.float32)).named("float32"),
            *more,
        ]

    return make


def binary(
    low: float, high: float, low2: float | None = None, high2: float | None = None, *more: Sample
) -> SampleMaker:
    """Equal shapes, broadcasting, a scalar and an empty tensor; the ranges as in `unary`."""
    low2, high2 = low if low2 is None else low2, high if high2 is None else high2

    def make(rng: np.random.Generator) -> list[Sample]:
        return [
            Sample(rng.uniform(low, high, (2, 3)), rng.uniform(low2, high2, (2, 3))),
            Sample(rng.uniform(low, high, (2, 3)), rng.uniform(low2, high2, 3)).named("broadcast"),
            Sample(rng.uniform(low, high, (2, 1)), rng.uniform(low2, high2, ())).named("scalar"),
            Sample(rng.uniform(low, high, (0, 3)), rng.uniform(low2, high2, (1, 3))).named("empty"),
            Sample(rng.uniform(low, high, 2).astype(np.float32), 1).named("float32, weak number"),
            *more,
        ]

    return make

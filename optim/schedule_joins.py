"""Schedules made of pieces: constants between boundaries, a warm-up, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.core.tensor import Array, Tensor
from minigrad.errors import ArgumentError
from minigrad.ops.comparison import less
from minigrad.ops.elementwise import divide, subtract
from minigrad.ops.selection import where
from minigrad.optim.schedule_base import (
    Schedule,
    as_schedule,
    check_entries,
    checked_list,
    checked_number,
    checked_steps,
    chosen,
    exact,
    since,
    sorted_boundaries,
)
from minigrad.session import Session

__all__ = ["JoinSchedules", "LinearWarmup", "PiecewiseConstant"]


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """Constant between boundaries: ``values[i]`` while ``boundaries[i-1] <= step < boundaries[i]``.

    A boundary is the first step of the next value, as in PyTorch's ``MultiStepLR`` (which
    multiplies by one factor). TensorFlow's ``piecewise_constant`` and Keras'
    ``PiecewiseConstantDecay`` change one step later: there ``step <= boundary`` still has the
    value before it.

    Args:
        boundaries: steps, increasing.
        values: rates, one more than boundaries.

    Raises:
        ArgumentError: the boundaries do not increase, the counts do not fit, or a rate is
            negative or not finite.

    >>> import minigrad.optim as optim
    >>> schedule = optim.PiecewiseConstant([10, 20], [0.1, 0.05, 0.01])
    >>> [schedule(t) for t in (9, 10, 20)]
    [0.1, 0.05, 0.01]
    """

    boundaries: Sequence[float]
    values: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundaries", sorted_boundaries(self.boundaries))
        object.__setattr__(self, "values", checked_list("values", self.values))
        for i, value in enumerate(self.values):
            checked_number(f"values[{i}]", value)
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, "
                f"got {len(self.values)}"
            )

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        rates = [exact(value) for value in self.values]
        return chosen(step, self.boundaries, rates)


@dataclass(frozen=True)
class JoinSchedules(Schedule):
    """Schedules one after the other, each counting from its own step 0.

    The first runs for steps below ``boundaries[0]``, the next one from there on, and so on; as
    PyTorch's ``SequentialLR`` with ``milestones`` and Optax' ``join_schedules``.

    Args:
        schedules: schedules, or numbers for constant rates.
        boundaries: the first steps of all but the first, increasing.

    Raises:
        ArgumentError: the boundaries do not increase, or the counts do not fit.

    >>> import minigrad.optim as optim
    >>> schedule = optim.JoinSchedules([0.1, optim.ExponentialDecay(0.08, 0.5)], [5])
    >>> [schedule(t) for t in (4, 5, 6)]
    [0.1, 0.08, 0.04]
    """

    schedules: Sequence[float | Schedule]
    boundaries: Sequence[float]

    def __post_init__(self) -> None:
        parts = checked_list("schedules", self.schedules)
        object.__setattr__(self, "schedules", tuple([as_schedule(s) for s in parts]))
        object.__setattr__(self, "boundaries", sorted_boundaries(self.boundaries))
        if len(self.schedules) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"{len(self.schedules)} schedules need {len(self.schedules) - 1} boundaries, "
                f"got {len(self.boundaries)}"
            )

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        rates = [
            as_schedule(schedule).formula(since(step, start))
            for schedule, start in zip(self.schedules, (0, *self.boundaries), strict=True)
        ]
        return chosen(step, self.boundaries, rates)

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The states of the parts, as ``schedules.0.…``."""
        return joined_state(_parts("schedules", self.schedules), session)

    def load_state_dict(self, state: Mapping[str, Any], *, session: Session | None = None) -> None:
        """See `Schedule.load_state_dict`."""
        load_joined(type(self).__name__, _parts("schedules", self.schedules), state, session)


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """Rise in a straight line to where another schedule starts, then follow it.

    With s the other schedule and W `warmup_steps`: ``start + (s(0) - start)·step/W`` while
    ``step < W``, then ``s(step - W)``. So the rate of step 0 is `start_rate`, and step W is the
    first at the full rate.

    Keras' ``CosineDecay(warmup_target=…, warmup_steps=W)`` is the same with a cosine. PyTorch's
    ``LinearLR(start_factor=1/3, total_iters=W)`` multiplies instead: it rises from a third of the
    rate, and the other scheduler, chained to it, counts from the beginning; in a ``SequentialLR``
    with ``milestones=[W]`` it is the same as here.

    Args:
        schedule: what comes after, or a number for a constant rate.
        warmup_steps: W, at least 1.
        start_rate: the rate at step 0.

    Raises:
        ArgumentError: `warmup_steps` is not positive, or a rate is negative.

    >>> import minigrad.optim as optim
    >>> schedule = optim.LinearWarmup(0.1, warmup_steps=4)
    >>> [schedule(t) for t in (0, 1, 2, 4, 100)]
    [0.0, 0.025, 0.05, 0.1, 0.1]
    """

    schedule: float | Schedule
    warmup_steps: int
    start_rate: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", as_schedule(self.schedule))
        checked_steps("warmup_steps", self.warmup_steps)
        checked_number("start_rate", self.start_rate)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        schedule = as_schedule(self.schedule)
        start = exact(self.start_rate)
        rise = subtract(schedule.formula(exact(0.0)), start)
        warming = start + rise * divide(step, float(self.warmup_steps))
        after = schedule.formula(since(step, self.warmup_steps))
        return where(less(step, float(self.warmup_steps)), warming, after)

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The state of the schedule that follows, as ``schedule.…``."""
        return joined_state({"schedule": as_schedule(self.schedule)}, session)

    def load_state_dict(self, state: Mapping[str, Any], *, session: Session | None = None) -> None:
        """See `Schedule.load_state_dict`."""
        parts = {"schedule": as_schedule(self.schedule)}
        load_joined(type(self).__name__, parts, state, session)


def _parts(name: str, schedules: Sequence[float | Schedule]) -> dict[str, Schedule]:
    return {f"{name}.{i}": as_schedule(s) for i, s in enumerate(schedules)}


def joined_state(parts: Mapping[str, Schedule], session: Session | None) -> dict[str, Array]:
    """The states of several schedules, with the names of the parts before theirs."""
    return {
        f"{name}.{key}": value
        for name, part in parts.items()
        for key, value in part.state_dict(session=session).items()
    }


def load_joined(
    kind: str, parts: Mapping[str, Schedule], state: Mapping[str, Any], session: Session | None
) -> None:
    """Load what `joined_state` made."""
    check_entries(kind, state, list(joined_state(parts, session)))
    for name, part in parts.items():
        start = name + "."
        own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
        part.load_state_dict(own, session=session)

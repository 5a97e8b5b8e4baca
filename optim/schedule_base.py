"""Learning-rate schedules: the rate as a function of the step. What all of them share.

A schedule is written once, as a formula of ops on the step in float64. Called with a number it
gives a number, called with a tensor it gives a tensor of the step's graph.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, overload

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.composites import call_composite
from minigrad.core.context import changed
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike, as_dtype, float32, float64
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.ops.basic import astype
from minigrad.ops.comparison import less
from minigrad.ops.elementwise import divide, multiply, subtract
from minigrad.ops.rounding import floor
from minigrad.ops.selection import maximum, where
from minigrad.session import Session
from minigrad.shapes import compatible, show

__all__ = [
    "ConstantSchedule",
    "Schedule",
    "as_schedule",
]

Number: TypeAlias = "int | float | np.integer[Any] | np.floating[Any]"


class Schedule(ABC):
    """A learning rate that depends on the step: ``schedule(step)``.

    Steps count from 0: the first update of the weights is step 0. A schedule of one's own derives
    from this class and writes `formula` with ops; it then works in all the ways of the others.

    Raises:
        ArgumentError: (from a call) a step given as a number is negative or not finite.
        ArgumentTypeError: (from a call) it is no number, or the dtype is not floating.
        ShapeError: (from a call) it is not a scalar.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> class Halving(optim.Schedule):
    ...     def formula(self, step):
    ...         return 0.5**step
    >>> Halving()(3)
    0.125
    """

    @overload
    def __call__(self, step: Number) -> float: ...
    @overload
    def __call__(self, step: Tensor | Variable | Array, *, dtype: DTypeLike = ...) -> Tensor: ...
    def __call__(self, step: Any, *, dtype: DTypeLike = float32) -> float | Tensor:
        """The rate at a step.

        Args:
            step: at least 0. A Python or NumPy number, or a scalar tensor, array or variable,
                concrete or symbolic.
            dtype: the dtype of the result where it is a tensor.

        Returns:
            For a number, a Python float. For a tensor, a scalar tensor; in a graph, a node that
            is computed from `step` in every run. Both are computed in float64, so that the tensor
            is the number rounded to `dtype`, also for steps that float32 cannot tell apart
            (beyond 2**24).

        Raises:
            ArgumentError: a number that is negative or not finite.
            ArgumentTypeError: `step` is no number, or `dtype` is not floating.
            ShapeError: it is not a scalar.

        >>> import minigrad as mg
        >>> schedule = mg.optim.ExponentialDecay(0.1, 0.5)
        >>> schedule(2)
        0.025
        >>> schedule(mg.constant(2))
        Tensor(0.025, shape=(), dtype=float32)
        """
        if isinstance(step, Tensor | Variable | np.ndarray):
            wanted = as_dtype(dtype)
            if not wanted.is_floating:
                raise ArgumentTypeError(f"dtype must be a floating dtype, got {wanted}")
            if not compatible(step.shape, ()):
                raise ShapeError(f"step must be a scalar, got shape {show(step.shape)}")
            kind = type(self).__name__
            return call_composite(self._rate, kind, (step,), {"dtype": wanted})
        number = checked_number("step", step)
        # At once and unrecorded, also where a graph is the default: a number asks for a number.
        with changed(graph=None, tapes=()):
            rate = tensor_of(self.formula(ConcreteTensor(np.array(number, np.float64))))
        return float(rate.item())

    def _rate(self, step: Any, *, dtype: Any) -> Tensor:
        rate = tensor_of(self.formula(astype(tensor_of(step), float64)))
        return astype(rate, dtype)

    @abstractmethod
    def formula(self, step: Tensor) -> Tensor:
        """The rate, made by ops from the step, a float64 scalar."""

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """What a checkpoint must hold beside the step, by name; nothing for a pure formula."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], *, session: Session | None = None) -> None:
        """Set the state to one that `state_dict` gave.

        Raises:
            ArgumentError: entries are missing or unexpected.
            ArgumentTypeError: `state` is no dictionary.
        """
        check_entries(type(self).__name__, state, ())


def as_schedule(rate: float | Schedule) -> Schedule:
    """A schedule as it is; a number as a constant one.

    Raises:
        ArgumentError: the number is negative or not finite.
        ArgumentTypeError: it is neither.

    >>> import minigrad.optim as optim
    >>> optim.as_schedule(0.1)
    ConstantSchedule(rate=0.1)
    """
    return rate if isinstance(rate, Schedule) else ConstantSchedule(rate)


@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """The same rate at every step.

    Raises:
        ArgumentError: the rate is negative or not finite.

    >>> import minigrad.optim as optim
    >>> optim.ConstantSchedule(0.1)(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        checked_number("rate", self.rate)

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        return exact(self.rate)


# -- what formulas are made of ----------------------------------------------------------------


def exact(number: float) -> Tensor:
    """A number as a float64 tensor; a Python float alone would become float32."""
    return tensor_of(np.float64(number))


def since(step: Tensor, start: float) -> Tensor:
    """Steps since a start, 0 before it."""
    return step if start == 0 else maximum(subtract(step, float(start)), 0.0)


def epochs(step: Tensor, length: float, staircase: bool) -> Tensor:
    """Steps in units of `length`; only whole ones if `staircase`."""
    # NumPy divides float64 exactly where it can, so a whole number of epochs is one.
    count = step if length == 1 else divide(step, float(length))
    return floor(count) if staircase else count


def chosen(step: Tensor, boundaries: Sequence[float], rates: Sequence[Tensor]) -> Tensor:
    """The rate whose piece between the boundaries the step is in."""
    rate = rates[-1]
    for boundary, earlier in zip(reversed(boundaries), reversed(rates[:-1]), strict=True):
        rate = where(less(step, float(boundary)), earlier, rate)
    return rate


def blend(high: float, low: float, weight: Tensor) -> Tensor:
    """``low + (high - low)·weight``: `high` for a weight of 1, `low` for 0, both exactly."""
    return multiply(float(high), weight) + multiply(float(low), subtract(1.0, weight))


# -- checking arguments -----------------------------------------------------------------------


def checked_number(name: str, value: Any) -> float:
    """A rate or a step: a finite number that is not negative."""
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise ArgumentTypeError(
            f"{name} must be a number, got {value!r} of type {type(value).__name__}"
        )
    if not math.isfinite(value) or value < 0:
        raise ArgumentError(f"{name} must be finite and not negative, got {value!r}")
    return float(value)


def checked_steps(name: str, value: Any) -> float:
    """A number of steps that is positive."""
    number = checked_number(name, value)
    if number == 0:
        raise ArgumentError(f"{name} must be a positive number of steps, got {value!r}")
    return number


def checked_range(name: str, value: Any, low: float, high: float) -> float:
    """A number with ``low < value <= high``."""
    number = checked_number(name, value)
    if not low < number <= high:
        bound = f"greater than {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
        raise ArgumentError(f"{name} must be {bound}, got {value!r}")
    return number


def checked_list(name: str, values: Any) -> tuple[Any, ...]:
    """A list or tuple as a tuple."""
    if not isinstance(values, list | tuple):
        raise ArgumentTypeError(f"{name} must be a list, got {values!r}")
    return tuple(values)


def sorted_boundaries(boundaries: Any) -> tuple[float, ...]:
    """Boundaries as a tuple, if they are positive and increase."""
    steps = checked_list("boundaries", boundaries)
    for i, step in enumerate(steps):
        checked_steps(f"boundaries[{i}]", step)
    if any(a >= b for a, b in pairwise(steps)):
        raise ArgumentError(f"boundaries must increase, got {list(steps)}")
    return steps


# -- state ------------------------------------------------------------------------------------


def check_entries(kind: str, state: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise unless a state has exactly these entries."""
    if not isinstance(state, Mapping):
        raise ArgumentTypeError(f"{kind} loads a dictionary of names to values, got {state!r}")
    missing = sorted(set(names) - set(state))
    unexpected = sorted(set(state) - set(names))
    if missing or unexpected:
        raise ArgumentError(
            f"the state does not fit {kind}: missing {missing}, unexpected {unexpected}"
        )

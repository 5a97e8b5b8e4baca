"""The learning rates of one step, each computed once for all variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DType, float64
from minigrad.errors import ShapeError
from minigrad.optim.arguments import Rate, nonnegative
from minigrad.optim.schedule_base import Schedule
from minigrad.optim.step import cast_to
from minigrad.shapes import show

__all__: list[str] = []


class StepRates:
    """Learning rates at one step.

    Args:
        owner: the optimizer's name, for messages.
        before: the number of updates made so far, which schedules go by.
    """

    def __init__(self, owner: str, before: Tensor) -> None:
        self.owner = owner
        self.before = before
        self._known: dict[Any, Tensor] = {}

    def of(self, rate: Rate, dtype: DType) -> Tensor:
        """A rate as a scalar of a dtype.

        Raises:
            ArgumentError: in eager code, a rate that is negative or not finite.
            ShapeError: a function of the step did not give a scalar.
        """
        key = (id(rate), dtype)
        if key not in self._known:
            if isinstance(rate, Tensor | Variable):
                made = cast_to(tensor_of(rate), dtype)
            elif isinstance(rate, Schedule):
                made = rate(self.before, dtype=dtype)
            elif callable(rate):
                made = cast_to(self._called(rate), dtype)
            else:
                made = tensor_of(rate, dtype, name="learning_rate")
            if isinstance(made, ConcreteTensor) and not isinstance(rate, float):
                nonnegative(self.owner, "the learning rate of this step", float(made))
            self._known[key] = made
        return self._known[key]

    def _called(self, rate: Callable[[Any], Any]) -> Tensor:
        """What a function of the step gives, called once a step."""
        key = (id(rate), None)
        if key not in self._known:
            value = rate(self.before)
            made = tensor_of(value, float64 if isinstance(value, float | int) else None)
            if made.shape not in ((), None):
                raise ShapeError(
                    f"{self.owner}: the learning rate must be a scalar, got shape "
                    f"{show(made.shape)} from {rate!r}"
                )
            self._known[key] = made
        return self._known[key]

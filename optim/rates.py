"""The learning rates of one step, each computed once for all variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DType, float64
from minigrad.errors import ArgumentError, ShapeError
from minigrad.optim.arguments import Rate, nonnegative
from minigrad.optim.schedule_base import Schedule
from minigrad.optim.step import cast_to
from minigrad.shapes import Spec, show

__all__: list[str] = []


@primitive(
    "LearningRate",
    accepts="real_float",
    not_differentiable="a learning rate is a setting of the step, not a part of the loss",
    samples=[Sample(0.25, owner="SGD"), Sample(np.array(0.0), owner="SGD")],
    errors=[
        Fails(ArgumentError, "SGD: the learning rate .* got -1.0", np.array(-1.0), owner="SGD"),
        Fails(ArgumentError, "SGD: the learning rate .* got nan", np.array(np.nan), owner="SGD"),
        Fails(ShapeError, "scalar, got shape .2,.", np.ones(2), owner="SGD"),
    ],
)
def valid_rate(rate: TensorLike, /, *, owner: str) -> Tensor:
    """A learning rate, of which each run makes sure that it is finite and not negative.

    Args:
        rate: a floating scalar.
        owner: the optimizer's name, for the message.

    Raises:
        ArgumentError: (in a run) it is negative, infinite or NaN.
        ShapeError: it is no scalar.

    >>> from minigrad.optim.rates import valid_rate
    >>> valid_rate(0.5, owner="SGD")
    Tensor(0.5, shape=(), dtype=float32)
    """
    return bind(valid_rate, rate, owner=owner)


@valid_rate.kernel
def _(xp: Any, rate: Array, *, owner: str) -> Array:
    _require_scalar(rate.shape)
    if xp is np:  # Where the kernel is traced there are no numbers to look at.
        nonnegative(owner, "the learning rate of this step", float(rate))
    return rate


@valid_rate.lowering
def _(b: Any, rate: Any, *, owner: str) -> Any:
    if rate.dtype.kind != "f":
        return NotImplemented
    valid = (b.map("GreaterEqual", rate, 0), b.map("Less", rate, math.inf))
    b.check(b.map("LogicalAnd", *valid))
    return rate


@valid_rate.shape
def _(rate: Spec, *, owner: str) -> Spec:
    _require_scalar(rate.shape)
    return Spec((), rate.dtype)


def _require_scalar(shape: Any) -> None:
    if shape not in ((), None):
        raise ShapeError(f"the learning rate must be a scalar, got shape {show(shape)}")


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
            ArgumentError: a rate is negative or not finite; in a graph, when a run comes to it.
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
            if not isinstance(rate, float):
                made = valid_rate(made, owner=self.owner)
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

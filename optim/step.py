"""What update rules are made with: the step they belong to, options, and choices by a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from minigrad.autodiff import Gradient
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.dtypes import DType, float64
from minigrad.ops.basic import astype
from minigrad.ops.comparison import isfinite
from minigrad.ops.counting import all as reduce_all
from minigrad.ops.logic import logical_and
from minigrad.ops.selection import where
from minigrad.optim.groups import ParameterGroup

__all__ = ["OptimizerOptions", "Step"]


class OptimizerOptions(TypedDict, total=False):
    """The options that every optimizer takes beside its own; see `Optimizer`."""

    weight_decay: float
    decoupled_weight_decay: float
    l1: float
    clip_value: float | None
    clip_norm: float | None
    clip_global_norm: float | None
    skip_nonfinite: bool
    accumulate_steps: int
    groups: Iterable[ParameterGroup | Mapping[str, Any]]
    name: str | None


class Step:
    """What an update rule knows beside the variable, its gradient and its slots.

    Attributes:
        rate: the learning rate, a scalar of the variable's dtype.
        number: which update this is, counted from 1: a float64 scalar.
        decay: the factor λ of decoupled weight decay, for rules that apply it themselves.
    """

    __slots__ = ("_shared", "decay", "dtype", "number", "rate")

    def __init__(
        self, number: Tensor, rate: Tensor, decay: float, dtype: DType, shared: dict[Any, Tensor]
    ) -> None:
        self.number = number
        self.rate = rate
        self.decay = decay
        self.dtype = dtype
        self._shared = shared

    def scalar(self, key: Any, formula: Callable[[Tensor], Tensor]) -> Tensor:
        """``formula(number)`` in the variable's dtype, computed in float64.

        It is computed once in a step for all variables; `key` tells formulas apart.
        """
        if (key, self.dtype) not in self._shared:
            if (key, float64) not in self._shared:
                self._shared[key, float64] = formula(self.number)
            self._shared[key, self.dtype] = cast_to(self._shared[key, float64], self.dtype)
        return self._shared[key, self.dtype]

    def unbias(self, beta: float) -> Tensor:
        """1 - beta**number: what an average that began at zero is divided by."""
        return self.scalar(("unbias", beta), lambda t: 1.0 - beta**t)


def cast_to(x: Tensor, dtype: DType) -> Tensor:
    """`x` in a dtype; itself if it has it."""
    return x if x.dtype is dtype else astype(x, dtype)


def choose(condition: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    """`new` where a scalar condition holds (None: always), else `old`."""
    if condition is None:
        return new
    if isinstance(condition, ConcreteTensor) and isinstance(new, ConcreteTensor):
        return new if condition else old
    return where(condition, new, old)


def all_finite(gradients: Sequence[Gradient]) -> Tensor:
    """Whether there is no NaN and no infinity in any of the gradients."""
    parts = [
        reduce_all(isfinite(g.values if isinstance(g, IndexedSlices) else g)) for g in gradients
    ]
    total = parts[0]
    for part in parts[1:]:
        total = logical_and(total, part)
    return total

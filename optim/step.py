"""What update rules are made with: the step they belong to, options, and choices by a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from minigrad.autodiff import Gradient
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, changed
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
    """The options that every optimizer takes beside its own; see `Optimizer`.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> options: optim.OptimizerOptions = {"clip_value": 1.0, "name": "clipped"}
    >>> w = mg.Variable([1.0], name="w")
    >>> optim.SGD(0.5, **options).apply_gradients([([9.0], w)])
    >>> w.tolist()
    [0.5]
    """

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

    What is the same for all variables is computed once in a step, by `once`, `scalar` and
    `constant`; in a graph that is one node.

    Attributes:
        rate: the learning rate, a scalar of the variable's dtype.
        number: which update this is, counted from 1: a float64 scalar.
        decay: the factor λ of decoupled weight decay, for rules that apply it themselves.
        dtype: the variable's.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> class Fading(optim.Optimizer):
    ...     def update(self, w, g, slots, step):
    ...         return w - step.rate * step.scalar("fading", lambda t: 1.0 / t) * g, {}
    >>> w, optimizer = mg.Variable([4.0], name="w"), Fading(1.0)
    >>> for _ in range(2):
    ...     optimizer.apply_gradients([([2.0], w)])
    >>> w.tolist()  # 4 - 2/1 - 2/2
    [1.0]
    """

    __slots__ = ("_scope", "_shared", "decay", "dtype", "number", "rate")

    def __init__(
        self, number: Tensor, rate: Tensor, decay: float, dtype: DType, shared: dict[Any, Tensor]
    ) -> None:
        self.number = number
        self.rate = rate
        self.decay = decay
        self.dtype = dtype
        self._shared = shared
        self._scope = STATE.get().scope

    def once(self, key: Any, make: Callable[[], Tensor]) -> Tensor:
        """``make()``, called for the first variable only; `key` tells values apart."""
        found = self._shared.get(key)
        if found is None:
            with changed(scope=self._scope):  # It is not this variable's alone.
                found = self._shared[key] = make()
        return found

    def constant(self, number: float) -> Tensor:
        """A number as a scalar of the variable's dtype."""
        return self.once((number, self.dtype), lambda: tensor_of(number, self.dtype))

    def scalar(self, key: Any, formula: Callable[[Tensor], Tensor]) -> Tensor:
        """``formula(number)`` in the variable's dtype, computed in float64."""

        def exact() -> Tensor:
            return self.once((key, float64), lambda: formula(self.number))

        return self.once((key, self.dtype), lambda: cast_to(exact(), self.dtype))

    def unbias(self, beta: float) -> Tensor:
        """1 - beta**number: what an average that began at zero is divided by."""
        return self.scalar(("unbias", beta), lambda t: 1.0 - beta**t)

    def unbiased_rate(self, beta: float) -> Tensor:
        """The rate for such an average: divided by `unbias`."""
        return self.once(("unbiased", id(self.rate), beta), lambda: self.rate / self.unbias(beta))

    def shrinkage(self) -> Tensor:
        """1 - rate·decay: what decoupled weight decay multiplies the variable by."""
        return self.once(
            ("shrinkage", id(self.rate), self.decay),
            lambda: self.constant(1.0) - self.rate * self.constant(self.decay),
        )

    def average(self, beta: float, old: Tensor, new: Tensor) -> Tensor:
        """``beta·old + (1 - beta)·new``: an exponentially weighted average, one value further."""
        return self.constant(beta) * old + self.constant(1.0 - beta) * new


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

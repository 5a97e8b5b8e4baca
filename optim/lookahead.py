"""Lookahead: a second, slower set of weights around any optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.ops.comparison import equal, greater
from minigrad.ops.elementwise import add, remainder
from minigrad.ops.logic import logical_and
from minigrad.optim.arguments import count, positive
from minigrad.optim.commit import Update
from minigrad.optim.minimizer import Minimizer, Pairs
from minigrad.optim.slots import SlotTable
from minigrad.optim.step import choose

__all__ = ["Lookahead"]


class Lookahead(Minimizer):
    """Every k steps of an optimizer, go a part of the way and start again from there.

    After each k updates: slow ← slow + α·(w − slow), w ← slow. The slow weights start where the
    weights are before the first step.

    Source: M. Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", 2019. As in
    TensorFlow Addons, the inner optimizer keeps its slots when it starts again; neither PyTorch
    nor Keras has it.

    Args:
        optimizer: the inner optimizer, of any kind.
        k: how many updates it makes at a time.
        alpha: α in (0, 1].
        name: by default ``"Lookahead"``.

    Raises:
        ArgumentError: k or α is out of range.
        ArgumentTypeError: `optimizer` is none.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([0.0], name="w")
    >>> optimizer = optim.Lookahead(optim.SGD(1.0), k=2, alpha=0.5)
    >>> for _ in range(2):
    ...     optimizer.apply_gradients([([-1.0], w)])
    ...     w.tolist()
    [1.0]
    [1.0]
    """

    def __init__(
        self, optimizer: Minimizer, *, k: int = 5, alpha: float = 0.5, name: str | None = None
    ) -> None:
        super().__init__(type(self).__name__ if name is None else name)
        if not isinstance(optimizer, Minimizer):
            raise ArgumentTypeError(f"{self.name}: expected an optimizer, got {optimizer!r}")
        if optimizer.name == self.name:
            raise ArgumentError(f"{self.name}: the optimizer inside has this name too; give name=")
        self.optimizer = optimizer
        self.k = count(self.name, "k", k)
        self.alpha = positive(self.name, "alpha", alpha)
        if self.alpha > 1:
            raise ArgumentError(f"{self.name}: alpha must be in (0, 1], got {alpha!r}")
        self._slots = SlotTable(self.name)

    @property
    def iterations(self) -> Variable:
        """How often the inner optimizer has updated the variables."""
        return self.optimizer.iterations

    def state(self) -> dict[str, Variable]:
        """The inner optimizer's variables and the slow weights, by name."""
        return self.optimizer.state() | self._slots.named()

    def get_slot(self, variable: Variable, name: str) -> Variable:
        """A slot of its own: ``slow``. Raises `ArgumentError` if there is none of that name."""
        return self._slots.get(variable, name)

    def operands(self) -> list[Any]:
        """What the inner optimizer reads."""
        return self.optimizer.operands()

    def collecting(self) -> list[Variable]:
        """As the inner optimizer."""
        return self.optimizer.collecting()

    def prepare(self, variables: Sequence[Variable]) -> list[Variable]:
        """Make the slow weights, and the inner optimizer's state."""
        written = self.optimizer.prepare(variables)
        return written + [self._slots.copy(v, "slow") for v in variables]

    def updates(self, pairs: Pairs, global_step: Variable | None) -> list[Update]:
        """The inner optimizer's updates; every k-th pulled towards the slow weights."""
        inner = self.optimizer.updates(pairs, global_step)
        before = tensor_of(self.iterations)
        made_steps = [u.value for u in inner if u.variable is self.iterations]
        after = before
        for steps in made_steps:
            after = add(after, steps)
        # Not a second time while a step is skipped or gradients are still collected.
        due = logical_and(equal(remainder(after, self.k), 0), greater(after, before))
        first = equal(before, 0)
        updates: list[Update] = []
        for update in inner:
            v = update.variable
            if v not in self._slots:
                updates.append(update)
                continue
            slot = self._slots[v]["slow"]
            # In a graph, the slot's initializer may not have seen the weights that training began
            # with, such as restored ones.
            slow = choose(first, tensor_of(v), tensor_of(slot))
            pulled: Tensor = slow + self.alpha * (update.value - slow)
            updates.append(Update(v, choose(due, pulled, update.value)))
            updates.append(Update(slot, choose(due, pulled, slow)))
        return updates

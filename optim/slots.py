"""The state that optimizers and averages keep beside variables: making, naming, saving it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.context import changed, home
from minigrad.core.convert import array_of
from minigrad.core.graph import Graph
from minigrad.core.tensor import Array, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DType
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    StateError,
)
from minigrad.held_values import write_values
from minigrad.ops.creation import full
from minigrad.session import Session
from minigrad.shapes import show

__all__ = ["SlotSpec"]

#: Held while state is made, so that two threads in their first step make the same.
_making = threading.RLock()


class SlotSpec(NamedTuple):
    """How a slot starts: filled with one number.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> optim.SlotSpec((2, 3), mg.float32).fill
    0.0
    """

    shape: tuple[int, ...]
    dtype: DType
    fill: float = 0.0


def make_state(
    home: Graph | None, initial: TensorLike | Callable[[], TensorLike], name: str
) -> Variable:
    """A variable that is not trainable, eager or owned by the graph `home`."""
    with changed(graph=home, scope="", control=(), tapes=(), origin=None, log=None):
        return Variable(initial, trainable=False, name=name)


def _start_value(variable: Variable) -> TensorLike:
    """What a slot that starts as a copy of a variable is initialized with."""
    if variable.initializer is None:
        return variable.numpy()
    initial = variable.initializer.inputs[0]
    if initial is None:
        raise StateError(f"the initializer of variable {variable.name!r} has no value")
    return initial


class Counters:
    """Scalars that belong to no variable, such as the number of steps, by name.

    Args:
        owner: part of their names: ``Adam/iterations``.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._made: dict[str, Variable] = {}

    def get(self, name: str, beside: Variable | None = None, *, start: int | bool = 0) -> Variable:
        """A counter, made beside a variable (or in the default graph) if it is not there yet."""
        if name not in self._made:
            with _making:
                if name not in self._made:
                    place = home() if beside is None else beside.graph
                    initial = np.bool_(start) if isinstance(start, bool) else np.int64(start)
                    self._made[name] = make_state(place, initial, f"{self.owner}/{name}")
        return self._made[name]

    def named(self) -> dict[str, Variable]:
        """Those made so far, by their full names."""
        return {f"{self.owner}/{name}": v for name, v in list(self._made.items())}


class SlotTable:
    """Slots by variable and slot name. They live where their variable lives.

    Args:
        owner: part of the slots' names: ``weight/Adam/m``.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._slots: dict[Variable, dict[str, Variable]] = {}
        self._prefixes: dict[Variable, str] = {}

    def __contains__(self, variable: Variable) -> bool:
        return variable in self._slots

    def __iter__(self) -> Iterator[Variable]:
        """The variables, in the order of their first slots."""
        return iter(list(self._slots))

    def __getitem__(self, variable: Variable) -> dict[str, Variable]:
        return self._slots[variable]

    def get(self, variable: Variable, slot: str) -> Variable:
        """One slot. Raises `ArgumentError` if there is none of that name."""
        if not isinstance(variable, Variable):
            raise ArgumentTypeError(f"{self.owner}: expected a variable, got {variable!r}")
        if variable not in self._slots:
            raise ArgumentError(
                f"{self.owner} has no slots for variable {variable.name!r}; they are made by the "
                "first step, or by build"
            )
        found = self._slots[variable]
        if slot not in found:
            have = ", ".join(map(repr, found)) or "none"
            raise ArgumentError(
                f"{self.owner} has no slot {slot!r} for variable {variable.name!r}, only {have}"
            )
        return found[slot]

    def fill(self, variable: Variable, specs: Mapping[str, SlotSpec]) -> None:
        """Make the slots that a variable does not have yet, each filled with a number."""
        for slot, spec in specs.items():
            self.make(
                variable,
                slot,
                lambda s=spec: full(s.shape, s.fill, dtype=s.dtype),  # type: ignore[misc]
            )
        self._slots.setdefault(variable, {})

    def copy(self, variable: Variable, slot: str) -> Variable:
        """A slot that starts as a copy of the variable, made now if need be."""
        return self.make(variable, slot, lambda: _start_value(variable))

    def make(self, variable: Variable, slot: str, initial: Callable[[], TensorLike]) -> Variable:
        """A slot, made now if the variable does not have it yet."""
        mine = self._slots.setdefault(variable, {})
        if slot not in mine:
            with _making:
                if slot not in mine:
                    name = f"{self._prefix(variable)}/{slot}"
                    mine[slot] = make_state(variable.graph, initial, name)
        return mine[slot]

    def _prefix(self, variable: Variable) -> str:
        """``name/owner``, with a number if another variable has that already."""
        if variable not in self._prefixes:
            taken = set(self._prefixes.values())
            base = name = variable.name
            number = 0
            while f"{name}/{self.owner}" in taken:
                number += 1
                name = f"{base}_{number}"
            self._prefixes[variable] = f"{name}/{self.owner}"
        return self._prefixes[variable]

    def named(self) -> dict[str, Variable]:
        """All slots by the names that they have in a state dict."""
        return {
            f"{self._prefix(variable)}/{slot}": value
            for variable, slots in self._slots.items()
            for slot, value in slots.items()
        }


def load_state(
    owner: str,
    named: Mapping[str, Variable],
    state: Mapping[str, Any],
    session: Session | None,
    *,
    strict: bool,
) -> None:
    """Set variables from a state dict, all together.

    Raises:
        ArgumentError: it does not fit; the message lists every missing, unexpected and misshapen
            entry, and nothing is loaded.
        StateError: one belongs to a graph, and there is no session.
    """
    if not isinstance(state, Mapping):
        raise ArgumentTypeError(
            f"{owner}: load_state_dict takes a dict of names to arrays, got {type(state).__name__}"
        )
    problems: list[str] = []
    if strict:
        problems += [f"missing: {name!r}" for name in named if name not in state]
        problems += [f"unexpected: {name!r}" for name in state if name not in named]
    values: dict[str, Array] = {}
    for name, v in named.items():
        if name not in state:
            continue
        array = array_of(state[name])
        if array.shape != v.shape or not np.can_cast(array.dtype, v.dtype.dtype, "same_kind"):
            problems.append(
                f"misshapen: {name!r} is {array.dtype} of shape {show(array.shape)}, expected "
                f"{v.dtype} of shape {show(v.shape)}"
            )
        else:
            values[name] = np.array(array, v.dtype.dtype)
    if problems:
        hint = ""
        if not named:
            hint = f"\n{owner} has no state yet: call build(variables) before loading"
        raise ArgumentError(
            f"{owner}: the state does not fit; nothing was loaded:\n  "
            + "\n  ".join(problems)
            + hint
        )
    write_values([named[name] for name in values], values.values(), session)

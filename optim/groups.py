"""Parameter groups: variables with a learning rate or penalties of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from minigrad.core.observing import CHANGES
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.optim.arguments import (
    HasParameters,
    Rate,
    Variables,
    nonnegative,
    variable_list,
)
from minigrad.optim.arguments import (
    learning_rate as checked_rate,
)

__all__ = ["ParameterGroup"]

#: How many variables' names a group shows.
_SHOWN = 4


class Settings(NamedTuple):
    """What may differ from group to group."""

    learning_rate: Rate
    weight_decay: float
    decoupled_weight_decay: float
    l1: float


class ParameterGroup:
    """Variables that an optimizer treats differently from the others.

    The attributes `learning_rate`, `weight_decay`, `decoupled_weight_decay` and `l1` may be set
    between eager steps. Nodes that were built keep what they had.

    Args:
        variables: a list of variables, a function that returns one, or a module.
        learning_rate, weight_decay, decoupled_weight_decay, l1: as for the optimizer; what is
            left out is the optimizer's.

    Raises:
        ArgumentError: no variables, one twice, or a value out of range.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> weight, bias = mg.Variable([1.0], name="weight"), mg.Variable([1.0], name="bias")
    >>> no_decay = optim.ParameterGroup([bias], weight_decay=0.0)
    >>> optimizer = optim.SGD(0.1, weight_decay=0.5, groups=[no_decay])
    >>> optimizer.apply_gradients([([0.0], weight), ([0.0], bias)])
    >>> weight.tolist(), bias.tolist()
    ([0.949999988079071], [1.0])
    """

    def __init__(
        self,
        variables: Variables,
        *,
        learning_rate: Rate | None = None,
        weight_decay: float | None = None,
        decoupled_weight_decay: float | None = None,
        l1: float | None = None,
    ) -> None:
        self._source: Any = variables
        if isinstance(variables, Iterable) and not isinstance(variables, HasParameters):
            self._source = list(variables)
        #: Whether the variables are final; a module may still have to find out its parameters.
        self.is_known = not isinstance(variables, HasParameters) and not callable(variables)
        if self.is_known:
            self.variables()
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.decoupled_weight_decay = decoupled_weight_decay
        self.l1 = l1

    def __setattr__(self, name: str, value: Any) -> None:
        if value is not None and name == "learning_rate":
            value = checked_rate("ParameterGroup", value)
        elif value is not None and name in ("weight_decay", "decoupled_weight_decay", "l1"):
            value = nonnegative("ParameterGroup", name, value)
        object.__setattr__(self, name, value)
        CHANGES.note()

    def __repr__(self) -> str:
        if self.is_known:
            found = [v.name for v in self.variables()]
            shown = ", ".join(found[:_SHOWN])
            more = f", … {len(found)} variables" if len(found) > _SHOWN else ""
            what = f"[{shown}{more}]"
        elif isinstance(self._source, HasParameters):
            # Its variables are not looked up: that may be what makes them.
            what = type(self._source).__name__
        else:
            what = getattr(self._source, "__name__", repr(self._source))
        options = ("learning_rate", "weight_decay", "decoupled_weight_decay", "l1")
        given = [(key, getattr(self, key)) for key in options]
        own = [f"{key}={value!r}" for key, value in given if value is not None]
        return f"ParameterGroup({', '.join([what, *own])})"

    def variables(self) -> list[Variable]:
        """The group's variables."""
        return variable_list("ParameterGroup", self._source)

    def over(self, defaults: Settings, *, decoupled: bool) -> Settings:
        """The group's settings, with those left out taken from `defaults`.

        With `decoupled`, `weight_decay` means the decoupled kind.

        Raises:
            ArgumentError: so it does, and the group has a `decoupled_weight_decay` beside it.
        """
        coupled, apart = self.weight_decay, self.decoupled_weight_decay
        if decoupled and coupled is not None:
            if apart is not None:
                raise ArgumentError(
                    "ParameterGroup: this optimizer's weight_decay is decoupled; give it or "
                    "decoupled_weight_decay, not both"
                )
            coupled, apart = None, coupled
        return Settings(
            defaults.learning_rate if self.learning_rate is None else self.learning_rate,
            defaults.weight_decay if coupled is None else coupled,
            defaults.decoupled_weight_decay if apart is None else apart,
            defaults.l1 if self.l1 is None else self.l1,
        )


def group_tuple(owner: str, groups: Any) -> tuple[ParameterGroup, ...]:
    """Groups, from a list of groups or of dicts of their arguments.

    Raises:
        ArgumentTypeError: it is no list.
    """
    if isinstance(groups, ParameterGroup | Mapping | str) or not isinstance(groups, Iterable):
        raise ArgumentTypeError(
            f"{owner}: groups takes a list of ParameterGroups or dicts, got {groups!r}"
        )
    return tuple([group_of(item) for item in groups])


def group_of(item: Any) -> ParameterGroup:
    """A group, from itself or from a dict of its arguments.

    Raises:
        ArgumentTypeError: it is neither.
        ArgumentError: the dict has unknown keys, or lacks the variables.
    """
    if isinstance(item, ParameterGroup):
        return item
    if not isinstance(item, Mapping):
        raise ArgumentTypeError(f"groups takes ParameterGroups or dicts, got {item!r}")
    options = dict(item)
    if "variables" not in options:
        raise ArgumentError(f"a group needs 'variables', got the keys {sorted(options)}")
    known = {"variables", "learning_rate", "weight_decay", "decoupled_weight_decay", "l1"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ArgumentError(f"a group has no {unknown}; it has {sorted(known)}")
    return ParameterGroup(options.pop("variables"), **options)

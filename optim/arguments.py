"""Checks of what users pass to optimizers: numbers in range, variables that can be trained."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError
from minigrad.shapes import show

__all__: list[str] = []


@runtime_checkable
class HasParameters(Protocol):
    """Something like a module, whose parameters are to be trained."""

    def parameters(self) -> Any: ...


#: A learning rate: a number, a function of the step (a schedule), a scalar tensor or variable.
Rate: TypeAlias = "float | Tensor | Variable | Callable[[Any], Any]"
#: Variables to train: a list, a function that returns one, or a module.
Variables: TypeAlias = (
    "Iterable[Variable] | Variable | Callable[[], Iterable[Variable]] | HasParameters"
)


def real_number(owner: str, name: str, value: Any) -> float:
    """A Python float. Raises `ArgumentTypeError` for anything that is not a real number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | np.number):
        raise ArgumentTypeError(f"{owner}: {name} must be a number, got {value!r}")
    return float(value)


def nonnegative(owner: str, name: str, value: Any) -> float:
    """A finite number that is not negative. Raises `ArgumentError` naming the value."""
    number = real_number(owner, name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ArgumentError(f"{owner}: {name} must be finite and not negative, got {value!r}")
    return number


def positive(owner: str, name: str, value: Any) -> float:
    """A finite number above zero. Raises `ArgumentError` naming the value."""
    number = real_number(owner, name, value)
    if not (math.isfinite(number) and number > 0):
        raise ArgumentError(f"{owner}: {name} must be finite and positive, got {value!r}")
    return number


def fraction(owner: str, name: str, value: Any) -> float:
    """A number in [0, 1), as decay factors are. Raises `ArgumentError` naming the value."""
    number = real_number(owner, name, value)
    if not 0 <= number < 1:
        raise ArgumentError(f"{owner}: {name} must be in [0, 1), got {value!r}")
    return number


def count(owner: str, name: str, value: Any, *, least: int = 1) -> int:
    """An integer of at least `least`. Raises `ArgumentError` or `ArgumentTypeError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentTypeError(f"{owner}: {name} must be an integer, got {value!r}")
    if value < least:
        raise ArgumentError(f"{owner}: {name} must be at least {least}, got {value}")
    return int(value)


def learning_rate(owner: str, value: Any) -> Rate:
    """A checked learning rate; numbers become floats.

    Raises:
        ArgumentError: it is negative, infinite or NaN, or a tensor that is no scalar.
        ArgumentTypeError: it is none of the kinds of a `Rate`.
        DTypeError: a tensor or variable that is not of a floating dtype.
    """
    if isinstance(value, Tensor | Variable):
        if value.shape not in ((), None):
            raise ArgumentError(
                f"{owner}: learning_rate must be a scalar, got shape {show(value.shape)}"
            )
        if not value.dtype.is_floating:
            raise DTypeError(f"{owner}: learning_rate must be of a floating dtype, got {value!r}")
        if isinstance(value, ConcreteTensor):
            nonnegative(owner, "learning_rate", float(value._value))
        return value
    if isinstance(value, type):
        raise ArgumentTypeError(
            f"{owner}: learning_rate is the class {value.__name__}; make a schedule with it first, "
            f"{value.__name__}(…)"
        )
    if _is_module(value) or _holds_variables(value):
        raise ArgumentTypeError(
            f"{owner}: an optimizer's first argument is the learning rate, got {_kind(value)}; "
            "variables go to minimize(loss, variables) or apply_gradients"
        )
    if callable(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str) or not isinstance(value, numbers.Real | np.number):
        raise ArgumentTypeError(
            f"{owner}: learning_rate must be a number, a schedule (a function of the step), a "
            f"tensor or a variable, got {value!r}"
        )
    return nonnegative(owner, "learning_rate", value)


def _holds_variables(value: Any) -> bool:
    items = list(value.values()) if isinstance(value, Mapping) else value
    return isinstance(items, list | tuple | set | frozenset) and any(
        isinstance(v, Variable) or _is_module(v) for v in items
    )


def _kind(value: Any) -> str:
    if _is_module(value):
        return f"the module {type(value).__name__}"
    return f"a {type(value).__name__} of variables"


def flag(owner: str, name: str, value: Any) -> bool:
    """A bool. Raises `ArgumentTypeError` for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentTypeError(f"{owner}: {name} must be True or False, got {value!r}")
    return bool(value)


def names(variables: Iterable[Variable]) -> str:
    """The variables' names, for messages."""
    return ", ".join(repr(v.name) for v in variables)


def trainable_list(owner: str, variables: Any) -> list[Variable]:
    """The variables to train that `variables` stands for, each checked.

    Of a module, those that are trainable (frozen ones are left out); of a list, all.

    Raises:
        ArgumentError: there are none, one is given twice, or one is not trainable.
        ArgumentTypeError: one is not a variable.
        DTypeError: one is not of a floating dtype.
    """
    found = variable_list(owner, variables)
    if _is_module(variables):
        found = [v for v in found if v.trainable]
        if not found:
            raise ArgumentError(
                f"{owner}: there are no variables to train; all parameters of "
                f"{type(variables).__name__} are frozen"
            )
    check_trainable(owner, found)
    return found


def _is_module(variables: Any) -> bool:
    return isinstance(variables, HasParameters) and not isinstance(variables, Variable | type)


def variable_list(owner: str, variables: Any) -> list[Variable]:
    """The variables that `variables` stands for, trainable or not.

    Raises:
        ArgumentError: there are none, or one is given twice.
        ArgumentTypeError: one is not a variable.
        DTypeError: one is not of a floating dtype.
    """
    source: Any = variables
    if isinstance(variables, type):
        raise ArgumentTypeError(
            f"{owner}: expected variables, got the class {variables.__name__}; make a module with "
            f"it first, {variables.__name__}(…)"
        )
    if _is_module(variables):
        source = variables.parameters()
    elif isinstance(variables, Variable):
        source = [variables]
    elif callable(variables):
        source = variables()
    if isinstance(source, Mapping):
        source = source.values()
    if isinstance(source, str | bytes | Tensor) or not isinstance(source, Iterable):
        raise ArgumentTypeError(
            f"{owner}: expected a list of variables, a function that returns one, or a module, "
            f"got {variables!r}"
        )
    found = list(source)
    if not found:
        raise ArgumentError(
            f"{owner}: there are no variables to train"
            + (f"; {type(variables).__name__} has no parameters" if source is not variables else "")
        )
    check_variables(owner, found)
    return found


def check_variables(owner: str, variables: Iterable[Any]) -> None:
    """Raise unless all are different variables of floating dtypes."""
    seen: set[Variable] = set()
    for v in variables:
        if not isinstance(v, Variable):
            raise ArgumentTypeError(f"{owner}: expected a variable, got {v!r}")
        if v in seen:
            raise ArgumentError(f"{owner}: variable {v.name!r} is given twice")
        seen.add(v)
        if not v.dtype.is_floating:
            raise DTypeError(
                f"{owner}: variable {v.name!r} is of {v.dtype}; only floating dtypes can be trained"
            )


def check_trainable(owner: str, variables: Iterable[Variable]) -> None:
    """Raise `ArgumentError` for one that is not trainable."""
    for v in variables:
        if not v.trainable:
            raise ArgumentError(
                f"{owner}: variable {v.name!r} is not trainable; leave it out, or make it with "
                "trainable=True"
            )

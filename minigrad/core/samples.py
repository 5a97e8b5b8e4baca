"""Sample calls that come with every primitive: what it is tested on, and what it must refuse."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

__all__ = ["Fails", "Sample", "VariableArgument"]


class Sample:
    """One call of a primitive: ``Sample(x, axis=1)`` stands for ``p(x, axis=1)``.

    Float64 NumPy arrays among the arguments (also inside lists and tuples) are the ones the
    gradient is checked for. The call must lie inside the domain, away from kinks and ties; a
    sample *at* a kink states the gradient it expects.

    >>> Sample([1.0, -2.0], axis=0).named("mixed signs").order(1, "second derivative is zero")
    Sample([1.0, -2.0], axis=0)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self.label = ""
        #: Highest order of derivative that is checked, and why it is below 2.
        self.max_order = 2
        #: (order one, order two) bounds on the relative error where the usual ones cannot hold.
        self.tolerance: tuple[float, float] | None = None
        self.reason = ""
        #: Expected gradients of the sum of the outputs, at a kink or tie; one an argument.
        self.expected: tuple[Any, ...] | None = None
        #: Positions of float arguments that are not differentiated.
        self.fixed_args: tuple[int, ...] = ()

    def _changed(self, **changes: Any) -> Sample:
        made = copy.copy(self)
        made.__dict__.update(changes)
        return made

    def named(self, label: str) -> Sample:
        """The sample with a label for reports."""
        return self._changed(label=label)

    def order(self, highest: int, reason: str) -> Sample:
        """The sample checked to `highest` order only (0: values only), for a stated reason."""
        return self._changed(max_order=highest, reason=reason)

    def within(self, first: float, second: float, reason: str) -> Sample:
        """The sample with its own bounds on the relative error, for a stated reason."""
        return self._changed(tolerance=(first, second), reason=reason)

    def expecting(self, *gradients: Any) -> Sample:
        """The sample at a kink or tie, with the gradient of ``sum(output)`` for each argument."""
        return self._changed(expected=gradients, max_order=1)

    def fixed(self, *positions: int) -> Sample:
        """The sample with float arguments at these positions not differentiated."""
        return self._changed(fixed_args=positions)

    def __repr__(self) -> str:
        parts = [_short(a) for a in self.args]
        parts += [f"{k}={_short(v)}" for k, v in self.kwargs.items()]
        return f"Sample({', '.join(parts)})"


class Fails:
    """A call that must raise: the error class, a regular expression for its message, the call.

    >>> Fails(ValueError, "do not broadcast", [1.0, 2.0], [1.0, 2.0, 3.0])
    Fails(ValueError, [1.0, 2.0], [1.0, 2.0, 3.0])
    """

    def __init__(self, error: type[Exception], match: str, /, *args: Any, **kwargs: Any) -> None:
        self.error = error
        self.match = match
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        parts = [_short(a) for a in self.args]
        parts += [f"{k}={_short(v)}" for k, v in self.kwargs.items()]
        return f"Fails({', '.join([self.error.__name__, *parts])})"


class VariableArgument:
    """Stands for a fresh variable with this initial value, in whichever mode the sample runs."""

    def __init__(self, value: Any, dtype: Any = None) -> None:
        self.value = value
        self.dtype = dtype

    def __repr__(self) -> str:
        return f"VariableArgument({_short(self.value)})"


def _short(value: Any) -> str:
    """An array by shape and dtype, a function by name, anything else by its repr."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Sequence) and any(hasattr(v, "dtype") for v in value):
        return f"[{', '.join(_short(v) for v in value)}]"
    name = getattr(value, "__name__", None)
    return name if callable(value) and name else repr(value)

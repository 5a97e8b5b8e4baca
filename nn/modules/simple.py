"""Modules without parameters of their own that shape a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentTypeError, ShapeError
from minigrad.nn.functional.sizes import sizes_of
from minigrad.nn.modules.base.module import Module
from minigrad.ops.elementwise import add, multiply
from minigrad.ops.manipulation import reshape
from minigrad.shapes import compatible, normalize_axis, show

__all__ = ["Flatten", "Identity", "Lambda", "Residual"]


class Identity(Module):
    """Its input, unchanged: for a place where another module might stand.

    >>> import minigrad.nn as nn
    >>> nn.Identity()(3.0)
    3.0
    """

    def forward(self, x: Any) -> Any:
        """The input."""
        return x


class Lambda(Module):
    """A function as a module; it has no parameters, and any arguments.

    Args:
        function: of tensors.
        name: the name in graphs; by default the function's.

    Raises:
        ArgumentTypeError: `function` cannot be called.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Lambda(mg.sqrt)(4.0)
    Tensor(2., shape=(), dtype=float32)
    """

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        if not callable(function):
            raise ArgumentTypeError(f"Lambda takes a function, got {function!r:.80}")
        own = getattr(function, "__name__", "")
        super().__init__(name=name or (own if own.isidentifier() else None))
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", repr(self.function))


class Residual(Module):
    """``inner(x) + shortcut(x)``: K. He et al., "Deep Residual Learning", 2015.

    Args:
        inner: the module around which the shortcut leads.
        shortcut: a module that gives x the shape of ``inner(x)``; by default x itself.
        name: see `Module`.

    Raises:
        ArgumentTypeError: a part is no module.
        ShapeError: (from a call) the two do not have the same shape.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Residual(nn.Linear(3, 3))(mg.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(
        self, inner: Module, shortcut: Module | None = None, *, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        for part in (inner, shortcut):
            if part is not None and not isinstance(part, Module):
                raise ArgumentTypeError(
                    f"Residual takes modules, got {part!r:.80}; make one of a function with "
                    "nn.Lambda(function)"
                )
        self.inner = inner
        self.shortcut = shortcut

    def forward(self, x: TensorLike) -> Tensor:
        """The sum.

        Raises:
            ShapeError: the results of `inner` and `shortcut` do not have the same shape.
        """
        y = self.inner(x)
        past = tensor_of(x) if self.shortcut is None else self.shortcut(x)
        if not compatible(past.spec.shape, y.spec.shape):
            raise ShapeError(
                f"Residual: the inner module gives {show(y.spec.shape)}, the shortcut "
                f"{show(past.spec.shape)}; give a shortcut module that makes them equal"
            )
        return add(y, past)


class Flatten(Module):
    """All axes from `start` to `end` as one; by default all but the first, the batch.

    Args:
        start: first of the axes.
        end: last of them.
        name: see `Module`.

    Raises:
        ShapeError: (from a call) an axis is out of range, or `start` comes after `end`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Flatten()(mg.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start: int = 1, end: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.start = start
        self.end = end

    def forward(self, x: TensorLike) -> Tensor:
        """The reshaped input; sizes may be unknown, the rank must be known.

        Raises:
            ShapeError: the rank is not known, an axis is out of range, or `start` comes after
                `end`.
            ArgumentTypeError: an axis is no integer.
        """
        x = tensor_of(x)
        shape = x.spec.shape
        if shape is None:
            raise ShapeError("Flatten needs an input of known rank")
        sizes = sizes_of(x)
        if len(shape) == 1 and (self.start, self.end) == (1, -1):
            return reshape(x, (*sizes, 1))  # A batch of scalars.
        first, last = normalize_axis(self.start, len(shape)), normalize_axis(self.end, len(shape))
        if first > last:
            raise ShapeError(f"Flatten from axis {first} to {last} of shape {show(shape)} is empty")
        merged: Any = 1
        for size in sizes[first : last + 1]:
            merged = (
                merged * size
                if isinstance(merged, int) and isinstance(size, int)
                else multiply(merged, size)
            )
        return reshape(x, (*sizes[:first], merged, *sizes[last + 1 :]))

    def extra_repr(self) -> str:
        """The axes, where they are not the usual ones."""
        usual = (self.start, self.end) == (1, -1)
        return "" if usual else f"start={self.start}, end={self.end}"

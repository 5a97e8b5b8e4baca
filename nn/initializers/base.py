"""What an initializer is, and those that give a constant."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.convert import array_of
from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike, as_dtype
from minigrad.errors import ArgumentTypeError, ShapeError
from minigrad.ops.creation import eye, full
from minigrad.shapes import as_shape, show

__all__ = ["Constant", "Identity", "Initializer", "Ones", "Zeros", "as_initializer"]


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape whose dimensions are all known."""
    dims = as_shape(shape)
    if dims is None or None in dims:
        raise ShapeError(f"an initializer needs a known shape, got {show(dims)}")
    return dims  # type: ignore[return-value]


class Initializer(ABC):
    """Base of initializers. A subclass defines `__call__`, and says whether it draws.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> class Halves(nn.initializers.Initializer):
    ...     def __call__(self, shape, dtype="float32", *, generator=None):
    ...         return mg.full(shape, 0.5, dtype=dtype)
    >>> nn.Linear(2, 1, weight_initializer=Halves()).weight.tolist()
    [[0.5], [0.5]]
    """

    #: Whether it draws random numbers. A parameter keeps a key for those that do.
    draws: bool = False

    @abstractmethod
    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The initial value.

        Args:
            shape: of known dimensions.
            dtype: of the result.
            generator: where random numbers come from; without one, see `minigrad.random`.
        """


@dataclass(frozen=True, eq=False)
class Constant(Initializer):
    """One number everywhere, or a given array of exactly the parameter's shape.

    Raises:
        ShapeError: (from a call) an array of another shape, or a shape that is not known.

    >>> from minigrad.nn.initializers import Constant
    >>> Constant(0.1)((2,))
    Tensor([0.1, 0.1], shape=(2,), dtype=float32)
    """

    value: Any = 0.0

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The value. Raises `ShapeError` if it has another shape, and is not a single number."""
        dims, kind = sizes(shape), as_dtype(dtype)
        given = self.value
        if not isinstance(given, Tensor | Variable):
            given = array_of(given, kind)
        found = tuple(given.shape)
        if found == dims:
            return tensor_of(given, kind)
        if found != ():
            raise ShapeError(
                f"a parameter of shape {show(dims)} cannot start as a value of shape {show(found)}"
            )
        return full(dims, given, dtype=kind)


@dataclass(frozen=True, eq=False)
class Zeros(Initializer):
    """Zeros everywhere: for biases. Equal weights would never become different.

    >>> from minigrad.nn.initializers import Zeros
    >>> Zeros()((2,))
    Tensor([0., 0.], shape=(2,), dtype=float32)
    """

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """Zeros (False for a boolean dtype)."""
        kind = as_dtype(dtype)
        return full(sizes(shape), False if kind.is_bool else 0, dtype=kind)


@dataclass(frozen=True, eq=False)
class Ones(Initializer):
    """Ones everywhere: for the factors of a normalisation.

    >>> from minigrad.nn.initializers import Ones
    >>> Ones()((2,))
    Tensor([1., 1.], shape=(2,), dtype=float32)
    """

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """Ones (True for a boolean dtype)."""
        kind = as_dtype(dtype)
        return full(sizes(shape), True if kind.is_bool else 1, dtype=kind)


@dataclass(frozen=True, eq=False)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere; the matrix need not be square.

    Raises:
        ShapeError: the shape has not exactly 2 axes.

    >>> from minigrad.nn.initializers import Identity
    >>> Identity()((2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    gain: float = 1.0

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The matrix."""
        dims = sizes(shape)
        if len(dims) != 2:
            raise ShapeError(f"Identity needs 2 axes, got shape {show(dims)}")
        made = eye(*dims, dtype=dtype)
        return made if self.gain == 1 else made * self.gain


class _FromFunction(Initializer):
    """A user's own function as an initializer."""

    def __init__(self, function: Callable[..., TensorLike]) -> None:
        self.function = function
        try:
            taken = inspect.signature(function).parameters
        except ValueError:  # A function written in C may have none.
            taken = inspect.signature(lambda shape: None).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
        self.takes = [name for name in ("dtype", "generator") if anything or name in taken]
        self.draws = "generator" in self.takes

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """What the function returns, in the wanted dtype."""
        kind = as_dtype(dtype)
        offered = {"dtype": kind, "generator": generator}
        made = self.function(sizes(shape), **{name: offered[name] for name in self.takes})
        if isinstance(made, np.ndarray | np.generic) and made.dtype.kind == "f":
            made = np.asarray(made, kind.dtype) if kind.is_floating else made
        return tensor_of(made, kind)

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


def as_initializer(value: Any) -> Initializer:
    """An initializer from one, from its class, a function, an array or a number.

    A function is called with the shape, and with `dtype` and `generator` if it takes arguments of
    these names. Functions that draw from NumPy's generators work; their numbers are not ours to
    make reproducible.

    Raises:
        ArgumentTypeError: anything else.

    >>> from minigrad.nn.initializers import as_initializer
    >>> as_initializer(0.5), as_initializer(lambda shape: np.ones(shape))((2,)).tolist()
    (Constant(value=0.5), [1.0, 1.0])
    """
    if isinstance(value, type) and issubclass(value, Initializer):
        value = value()
    if isinstance(value, Initializer):
        return value
    if isinstance(value, np.ndarray):
        return Constant(value.copy())  # Whatever becomes of the caller's array before it is used.
    if isinstance(value, bool | int | float | complex | np.generic | list | tuple):
        return Constant(value)
    if isinstance(value, Tensor | Variable):
        return Constant(value)
    if callable(value):
        return _FromFunction(value)
    raise ArgumentTypeError(
        "an initializer is one of minigrad.nn.initializers, a function of the shape, an array or a "
        f"number; got {value!r}"
    )

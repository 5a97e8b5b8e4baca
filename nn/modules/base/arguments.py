"""Checks of what layers are made of and called with."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, ArgumentTypeError, MinigradError, ShapeError
from minigrad.shapes import as_dim, show

__all__: list[str] = []


def size_argument(what: str, name: str, value: Any) -> int:
    """A number of features or the like: 1 or more.

    Raises:
        ArgumentTypeError: it is not an integer.
        ArgumentError: it is less than 1.

    >>> size_argument("Linear", "out_features", 3)
    3
    """
    try:
        size = 0 if isinstance(value, bool) else as_dim(value)
    except MinigradError as error:
        kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentError
        raise kind(f"{what}: {name} is an integer of 1 or more, got {value!r:.80}") from error
    if size < 1:
        raise ArgumentError(f"{what}: {name} is an integer of 1 or more, got {value}")
    return size


def open_size_argument(what: str, name: str, value: Any) -> int | None:
    """The same, or None for a size that the first call will tell."""
    return None if value is None else size_argument(what, name, value)


def check_size(what: str, name: str, x: Any, expected: int | None, axis: int = -1) -> None:
    """Check the size of an axis of an input, as far as both are known.

    Args:
        what: the layer's class.
        name: the layer's argument that says the size, such as ``"in_features"``.
        x: a tensor; anything else is left to the ops that follow.
        expected: the size, or None.
        axis: which axis of `x`.

    Raises:
        ShapeError: it differs, or `x` has no such axis.
    """
    spec = getattr(x, "spec", None)
    if spec is None or spec.shape is None:
        return
    if not -len(spec.shape) <= axis < len(spec.shape):
        raise ShapeError(
            f"{what} reads axis {axis} of its input ({name}={expected}), got shape "
            f"{show(spec.shape)}"
        )
    found = spec.shape[axis]
    if expected is not None and found is not None and found != expected:
        raise ShapeError(
            f"{what} was made with {name}={expected}, got an input of shape {show(spec.shape)}, "
            f"whose axis {axis} has {found}"
        )

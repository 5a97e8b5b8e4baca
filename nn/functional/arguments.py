"""Checks of the plain arguments that functions of this package share."""

from __future__ import annotations

import math

import numpy as np

from minigrad.core.tensor import Tensor
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.ops.manipulation import reshape
from minigrad.shapes import Shape, normalize_axis

__all__: list[str] = []


def number(value: object, what: str) -> float:
    """A finite Python number as a float; `what` names it in messages."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ArgumentTypeError(f"{what} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ArgumentError(f"{what} must be finite, got {value!r}")
    return float(value)


def positive(value: object, what: str) -> float:
    """A number above 0."""
    made = number(value, what)
    if made <= 0:
        raise ArgumentError(f"{what} must be positive, got {value!r}")
    return made


def not_negative(value: object, what: str) -> float:
    """A number of at least 0."""
    made = number(value, what)
    if made < 0:
        raise ArgumentError(f"{what} must not be negative, got {value!r}")
    return made


def fraction(value: object, what: str) -> float:
    """A number in [0, 1]."""
    made = number(value, what)
    if not 0 <= made <= 1:
        raise ArgumentError(f"{what} must lie in [0, 1], got {value!r}")
    return made


def along_axis(vector: Tensor, axis: int, shape: Shape, what: str) -> Tensor:
    """A vector with trailing axes of size 1, so that it broadcasts along `axis` of a tensor.

    Args:
        vector: a tensor of rank 1.
        axis: the axis.
        shape: what is known of the tensor's shape.
        what: names the vector in messages.
    """
    if shape is not None:
        axis = normalize_axis(axis, len(shape)) - len(shape)
    if axis >= 0:
        raise ShapeError(
            f"{what}: axis {axis} of a tensor whose rank is not known when the graph is built; "
            "count the axis from the end, as -1"
        )
    return vector if axis == -1 else reshape(vector, (-1,) + (1,) * (-1 - axis))

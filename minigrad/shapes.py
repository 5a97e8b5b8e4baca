"""Static shapes: tuples whose dimensions may be unknown (None), or None for an unknown rank."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from minigrad.dtypes import DType
from minigrad.errors import ArgumentTypeError, ShapeError

__all__ = ["Spec"]

Dim: TypeAlias = "int | None"
Shape: TypeAlias = "tuple[Dim, ...] | None"


class Spec(NamedTuple):
    """What is known about a tensor before it has a value: what shape rules read and return.

    `shape` holds None for an unknown dimension and is None for an unknown rank. `value` holds the
    elements of a small integer tensor (a scalar's as an int, a vector's as a tuple, unknown ones
    None) where they are known when the graph is built, so that ``reshape(x, shape(y))`` has a
    static shape.
    """

    shape: Shape
    dtype: DType
    value: Any = None

    @property
    def rank(self) -> int | None:
        """Number of dimensions, or None."""
        return None if self.shape is None else len(self.shape)

    def known(self) -> bool:
        """True when every dimension is known."""
        return self.shape is not None and None not in self.shape


def show(shape: Shape) -> str:
    """A shape as error messages and listings print it.

    >>> show((None, 3)), show((None,)), show(()), show(None)
    ('(?, 3)', '(?,)', '()', '<unknown>')
    """
    if shape is None:
        return "<unknown>"
    dims = ["?" if d is None else str(d) for d in shape]
    return f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"


def as_shape(value: Any) -> Shape:
    """A static shape from an int, or a sequence of ints and Nones, or None.

    >>> as_shape([None, 3]), as_shape(4)
    ((None, 3), (4,))
    """
    if value is None:
        return None
    if not isinstance(value, Iterable):
        value = (value,)
    return tuple(None if d is None else as_dim(d) for d in value)


def as_dim(value: Any) -> int:
    """One dimension as a non-negative int. Raises `ShapeError` or `ArgumentTypeError`."""
    try:
        dim = operator.index(value)
    except TypeError as error:
        raise ArgumentTypeError(
            f"a dimension must be an integer or None, not {value!r} ({type(value).__name__})"
        ) from error
    if dim < 0:
        raise ShapeError(f"a dimension cannot be negative, got {dim}; use None where unknown")
    return dim


def broadcast(*shapes: Shape) -> Shape:
    """The shape that arrays of these shapes broadcast to, by NumPy's rule.

    An unknown dimension beside one larger than 1 is taken to fit it.

    Raises:
        ShapeError: two known dimensions differ and neither is 1.

    >>> broadcast((None, 1), (3,)), broadcast((2, 3), None)
    ((None, 3), None)
    """
    rank = 0
    for s in shapes:
        if s is None:
            return None
        rank = max(rank, len(s))
    result: list[Dim] = []
    for i in range(-rank, 0):
        dim: Dim = 1
        for s in shapes:
            if s is None or -i > len(s):
                continue
            d = s[i]
            if d == 1 or d == dim:
                continue
            if dim == 1:
                dim = d
            elif dim is None:
                dim = d
            elif d is not None:
                raise ShapeError(
                    f"shapes {' and '.join(map(show, shapes))} do not broadcast: dimension "
                    f"{i} is {dim} in one and {d} in another; they must be equal, or one of them 1"
                )
        result.append(dim)
    return tuple(result)


def compatible(a: Shape, b: Shape) -> bool:
    """True when a tensor could have both shapes.

    >>> compatible((None, 3), (2, 3)), compatible((2,), (2, 1))
    (True, False)
    """
    if a is None or b is None:
        return True
    return len(a) == len(b) and all(
        x is None or y is None or x == y for x, y in zip(a, b, strict=True)
    )


def merge(a: Shape, b: Shape) -> Shape:
    """What is known when a tensor has both shapes. Raises `ShapeError` if it cannot.

    >>> merge((None, 3), (2, None))
    (2, 3)
    """
    if a is None or b is None:
        return b if a is None else a
    if not compatible(a, b):
        raise ShapeError(f"shapes {show(a)} and {show(b)} cannot both hold")
    return tuple(y if x is None else x for x, y in zip(a, b, strict=True))


def normalize_axis(axis: int, rank: int, *, what: str = "axis") -> int:
    """An axis counted from the front. Raises `ShapeError` when it is outside ``[-rank, rank)``.

    >>> normalize_axis(-1, 3)
    2
    """
    try:
        index = operator.index(axis)
    except TypeError as error:
        raise ArgumentTypeError(f"{what} must be an integer, got {axis!r}") from error
    if not -rank <= index < rank:
        raise ShapeError(
            f"{what} {index} is out of range for a tensor of rank {rank}; "
            f"it must lie in [{-rank}, {rank})"
        )
    return index + rank if index < 0 else index


def normalize_axes(axis: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, None meaning all. Raises `ShapeError` for a repeated one.

    >>> normalize_axes((-1, 0), 3), normalize_axes(None, 2)
    ((2, 0), (0, 1))
    """
    if axis is None:
        return tuple(range(rank))
    if not isinstance(axis, Sequence):
        return (normalize_axis(axis, rank),)
    axes = tuple(normalize_axis(a, rank) for a in axis)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis {tuple(axis)} names a dimension twice in a tensor of rank {rank}")
    return axes


def axis_argument(axis: Any) -> int | tuple[int, ...] | None:
    """An `axis` argument as a hashable attribute: an int, a tuple of ints, or None."""
    # A scalar tensor is iterable by its type, but counts as an integer.
    if axis is None or not isinstance(axis, Iterable) or getattr(axis, "shape", None) == ():
        return None if axis is None else axis_argument_int(axis)
    return tuple(axis_argument_int(a) for a in axis)


def axis_argument_int(axis: Any) -> int:
    """One axis as an int; an axis must be known when the graph is built."""
    try:
        return operator.index(axis)
    except TypeError as error:
        raise ArgumentTypeError(
            f"axis must be an integer, a tuple of integers or None, got {axis!r}"
        ) from error


def reduced(shape: Shape, axis: int | tuple[int, ...] | None, keepdims: bool) -> Shape:
    """The shape after a reduction over `axis`.

    >>> reduced((2, None, 4), -1, False), reduced((2, 3), None, True)
    ((2, None), (1, 1))
    """
    if shape is None:
        return () if axis is None and not keepdims else None
    axes = set(normalize_axes(axis, len(shape)))
    if keepdims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def element_count(shape: Shape) -> int | None:
    """Number of elements, or None when a dimension is unknown (and none is 0).

    >>> element_count((2, 3)), element_count((None, 3)), element_count((None, 0))
    (6, None, 0)
    """
    if shape is None:
        return None
    if 0 in shape:
        return 0
    total = 1
    for d in shape:
        if d is None:
            return None
        total *= d
    return total

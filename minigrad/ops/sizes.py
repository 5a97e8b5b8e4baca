"""Shape, size and count arguments: numbers where they are known, integer tensors where not.

A function with such an argument keeps the numbers as an attribute of its node. Where a tensor
decides in the run, it becomes an input. `static_sizes` gives shape rules what is known of either,
`actual_sizes` gives kernels the numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.core.registry import primitive_of
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.dtypes import DType
from minigrad.errors import ArgumentTypeError, DTypeError, ShapeError
from minigrad.shapes import Shape, Spec, normalize_axis, show

#: Sizes that are known when the graph is built.
Sizes = tuple[int, ...]

#: Static values are kept for integer tensors up to this many elements.
SMALL = 64


def decided_in_run(value: Any) -> bool:
    """True for a tensor or variable whose value is not fixed now: it must become an input."""
    return isinstance(value, Tensor | StateOwner) and not isinstance(value, ConcreteTensor)


def sizes_argument(value: Any, what: str = "shape") -> tuple[Sizes | None, Any]:
    """Split an argument into numbers for an attribute and a tensor for an input; one is None.

    Args:
        value: an integer, a sequence of integers and scalar integer tensors, or an integer
            tensor.
        what: the argument's name in error messages.

    Raises:
        ArgumentTypeError: an element is no integer.
        DTypeError: a tensor or array is not of an integer dtype.

    >>> sizes_argument([2, -1]), sizes_argument(3)
    (((2, -1), None), ((3,), None))
    """
    if type(value) is tuple:
        for v in value:
            if type(v) is not int:
                break
        else:
            return value, None
    if decided_in_run(value):
        return None, value
    if isinstance(value, np.ndarray | ConcreteTensor):
        array = value if isinstance(value, np.ndarray) else value._value
        if array.size and array.dtype.kind not in "iu":
            raise DTypeError(f"{what} must be an integer tensor, got {array.dtype}")
    if isinstance(value, Iterable) and getattr(value, "shape", None) != ():
        items = list(value)
        if any(decided_in_run(v) for v in items):
            return None, primitive_of("Pack")(items)
        return tuple([size_argument(v, what) for v in items]), None
    return (size_argument(value, what),), None


def count_argument(value: Any, what: str) -> tuple[int | None, Any]:
    """The same for a single number, such as the depth of `one_hot`.

    >>> count_argument(3, "depth")
    (3, None)
    """
    if decided_in_run(value):
        return None, value
    return size_argument(value, what), None


def length_of(x: Any, axis: int, op: str, hint: str) -> int:
    """The length of an axis where it must be known when the graph is built."""
    shape: Shape = x.spec.shape if isinstance(x, Tensor) else x.shape
    length = None if shape is None else shape[normalize_axis(axis, len(shape))]
    if length is None:
        raise ShapeError(
            f"{op}: the length of axis {axis} of a tensor of shape {show(shape)} is not known "
            f"while the graph is built; {hint}"
        )
    return length


def size_argument(value: Any, what: str) -> int:
    """One size that must be known now. Raises `ArgumentTypeError` where it is no integer."""
    try:
        return operator.index(value)
    except TypeError as error:
        raise ArgumentTypeError(
            f"{what} must consist of integers or integer tensors, got {value!r} "
            f"({type(value).__name__})"
        ) from error


def not_negative(sizes: Sizes | Shape, what: str = "shape") -> None:
    """Raise `ShapeError` if a size is negative."""
    if sizes is not None and any(d is not None and d < 0 for d in sizes):
        raise ShapeError(f"{what} cannot be negative, got {show(sizes)}")


def static_sizes(sizes: Sizes | None, given: Spec | None, what: str = "shape") -> Shape:
    """What a shape rule knows of the sizes: from the attribute, or from the tensor's spec.

    Returns:
        The sizes, None for unknown ones; None when not even their number is known.

    Raises:
        DTypeError: the tensor is not of an integer dtype.
        ShapeError: the tensor is no vector (or scalar, which counts as a vector of one).
    """
    if sizes is not None or given is None:
        return sizes
    if not given.dtype.is_integer:
        raise DTypeError(f"{what} must be an integer tensor, got {given.dtype}")
    if given.shape is None:
        return None
    if len(given.shape) > 1:
        raise ShapeError(f"{what} must be a vector of integers, got shape {show(given.shape)}")
    if not given.shape:
        return (given.value,)
    if given.value is not None:
        return tuple(given.value)
    length = given.shape[0]
    return None if length is None else (None,) * length


def actual_sizes(sizes: Sizes | None, given: Array | None, what: str = "shape") -> Sizes:
    """The numbers, in a kernel: the attribute, or the tensor's value."""
    if sizes is not None or given is None:
        return sizes or ()
    if given.dtype.kind not in "iu":
        raise DTypeError(f"{what} must be an integer tensor, got {given.dtype}")
    if given.ndim > 1:
        raise ShapeError(f"{what} must be a vector of integers, got shape {show(given.shape)}")
    return tuple([int(d) for d in np.ravel(given)])


# -- static values of integer tensors ----------------------------------------------------------


def known_elements(x: Spec) -> tuple[int | None, ...] | None:
    """The elements of a small integer scalar or vector, None for unknown ones; else None.

    >>> from minigrad.dtypes import int32
    >>> known_elements(Spec((), int32, 7)), known_elements(Spec((2,), int32))
    ((7,), (None, None))
    """
    if not x.dtype.is_integer or x.shape is None or len(x.shape) > 1:
        return None
    if not x.shape:
        return (x.value,)
    if x.value is not None:
        return tuple(x.value)
    length = x.shape[0]
    return (None,) * length if length is not None and length <= SMALL else None


def with_elements(shape: Shape, dtype: DType, elements: Sequence[int | None] | None) -> Spec:
    """A spec whose value holds these elements, as far as they are known and shape is small."""
    if elements is None or shape is None or len(shape) > 1 or len(elements) > SMALL:
        return Spec(shape, dtype)
    if not shape:
        return Spec(shape, dtype, elements[0])
    known = elements if any(v is not None for v in elements) else None
    return Spec(shape, dtype, None if known is None else tuple(known))

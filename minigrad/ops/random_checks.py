"""What random draws are asked for, checked: sizes, keys, counters, dtypes; and draws in plans."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.tensor import Array
from minigrad.dtypes import DType, DTypeLike, as_dtype, float16, float32, float64
from minigrad.errors import ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.sizes import Sizes, actual_sizes, not_negative, static_sizes
from minigrad.philox import Key, as_integer
from minigrad.shapes import Shape, Spec, show

__all__ = [
    "as_key",
    "check_counter",
    "float_dtype",
    "native_draw",
    "restricted_dtype",
    "sizes_of_draw",
    "static_draw_sizes",
]


def sizes_of_draw(given: Array, what: str = "shape") -> Sizes:
    """The numbers in an integer scalar or vector, none negative."""
    sizes = actual_sizes(None, given, what)
    not_negative(sizes, what)
    return sizes


def static_draw_sizes(given: Spec, what: str = "shape") -> Shape:
    """What is known of them while the graph is built."""
    sizes = static_sizes(None, given, what)
    not_negative(sizes, what)
    return sizes


def check_counter(counter: Spec) -> None:
    """Raise `ShapeError` for a counter that is no integer scalar."""
    if not counter.dtype.is_integer or counter.shape not in ((), None):
        raise ShapeError(
            f"the counter must be an integer scalar, got shape={show(counter.shape)} "
            f"dtype={counter.dtype}; reserve_random gives one"
        )


def as_key(key: Key) -> Key:
    """A key as a hashable pair of Python integers. Raises `ArgumentTypeError`.

    >>> as_key([1, 2])
    (1, 2)
    """
    try:
        first, second = key
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"a key is two integers (seed, seed2), got {key!r}") from error
    return as_integer("a key", "its seed", first), as_integer("a key", "its seed2", second)


def restricted_dtype(what: str, dtype: DTypeLike, *allowed: DType) -> DType:
    """A dtype that must be one of a few. Raises `DTypeError`."""
    made = as_dtype(dtype)
    if made in allowed:
        return made
    names = ", ".join(d.name for d in allowed)
    raise DTypeError(
        f"{what} draws {names}, got dtype {made}; draw in one of these and cast with mg.astype"
    )


def float_dtype(what: str, dtype: DTypeLike) -> DType:
    """A dtype that must be float16, float32 or float64. Raises `DTypeError`."""
    return restricted_dtype(what, dtype, float16, float32, float64)


def native_draw(
    b: Any, name: str, what: Any, counter: Any, shape: Any, *more: Any, key: Key, dtype: DType
) -> Any:
    """In a plan a native kernel's result, or NotImplemented; uniform to the last bit the same."""
    if dtype is float16 or shape.constant is None:
        return NotImplemented
    if counter.dtype.kind == "i" and (counter.constant is None or counter.constant < 0):
        return NotImplemented  # It would borrow from the key.
    sizes = sizes_of_draw(shape.constant)
    if 0 in sizes:
        return b.full(sizes, 0, dtype.dtype)
    start = b.cast(counter, np.dtype(np.uint64))
    attrs = {"key": key, "dtype": dtype}
    return b.special(name, [start, shape, *more], [(sizes, dtype.dtype)], attrs, what)

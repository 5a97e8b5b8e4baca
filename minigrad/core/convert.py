"""From what a user writes (numbers, lists, arrays) to arrays with a dtype of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.tensor import Array, ConcreteTensor, Tensor, symbolic_refusal
from minigrad.dtypes import DType, default_dtype, from_numpy, string
from minigrad.errors import ArgumentTypeError, DTypeError

_PYTHON_NUMBERS = (bool, int, float, complex)


def is_weak(value: object) -> bool:
    """True for exactly Python's own numbers, whose dtype gives way to a tensor's."""
    return type(value) in _PYTHON_NUMBERS


def array_of(value: Any, dtype: DType | None = None) -> Array:
    """A fresh array from numbers, nested lists, arrays or anything with `__array__` or DLPack.

    Without `dtype`, Python floats give float32 and ints int32 (int64 where one does not fit);
    NumPy values keep their dtype.

    Raises:
        DTypeError: a number does not fit `dtype`, or the values have no dtype of ours.
        ArgumentTypeError: `value` is not array-like.
        SymbolicTensorError: it contains a symbolic tensor.
    """
    if type(value) in _PYTHON_NUMBERS:
        return scalar_array(value, default_dtype(value) if dtype is None else dtype)
    if isinstance(value, Tensor) and not isinstance(value, ConcreteTensor):
        raise symbolic_refusal("it cannot become an array", "run it in a Session, or keep to ops")
    if isinstance(value, np.ndarray | np.generic):
        array = np.array(value)
    elif isinstance(value, ConcreteTensor):
        array = np.array(value._value)
    elif hasattr(value, "__array__"):
        array = np.array(value.__array__())
    elif hasattr(value, "__dlpack__"):
        array = np.from_dlpack(value).copy()
    else:
        return _from_python(value, dtype)
    own = from_numpy(array.dtype)
    if own is string:
        array = array.astype(object)
        if not _all_text(array):
            raise ArgumentTypeError(
                "expected an array of numbers or text, got one of Python objects; give it a "
                "numeric dtype first: x.astype(float)"
            )
    elif not array.dtype.isnative:
        array = array.astype(own.dtype)
    return array if dtype is None or own is dtype else cast_array(array, dtype)


def _from_python(value: Any, dtype: DType | None) -> Array:
    """An array from nested sequences of numbers, arrays and concrete tensors, or from text."""
    try:
        array = np.array(value)
    except (ValueError, TypeError) as error:
        raise ArgumentTypeError(
            f"cannot make a tensor from {type(value).__name__} {value!r:.80}: {error}"
        ) from error
    if array.dtype.kind in "US":
        array = np.array(value, object)
    elif array.dtype == object and not _all_text(array):
        raise ArgumentTypeError(
            f"cannot make a tensor from {type(value).__name__} {value!r:.80}: "
            "expected numbers, text, arrays, or nested lists of equal lengths"
        )
    if dtype is not None:
        return cast_array(array, dtype, exact=True)
    if _contains_array(value):
        return array
    with np.errstate(over="ignore"):
        if array.dtype == np.float64:
            return array.astype(np.float32)
        if array.dtype == np.complex128:
            return array.astype(np.complex64)
    if array.dtype == np.int64 and (
        not array.size or (array.min() >= -(2**31) and array.max() < 2**31)
    ):
        # An empty list is a list of floats, as in NumPy and TensorFlow; NumPy says so by float64.
        return array.astype(np.int32)
    return array


def _all_text(array: Array) -> bool:
    return all(isinstance(v, str | bytes) for v in array.flat)


def _contains_array(value: Any) -> bool:
    """True when a nested sequence holds NumPy values or tensors, whose dtype is then kept."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(item)
        elif hasattr(item, "dtype"):
            return True
    return False


def scalar_array(value: bool | int | float | complex, dtype: DType) -> Array:
    """A 0-d array of a Python number. Raises `DTypeError` where it would lose its value."""
    kind = type(value)
    if dtype is string:
        raise DTypeError(f"the number {value!r} is not text")
    if kind is float and not dtype.is_inexact:
        raise DTypeError(f"expected {dtype}, got the float {value!r}; round it, or use float32")
    if kind is complex and not dtype.is_complex:
        raise DTypeError(f"expected {dtype}, got the complex number {value!r}")
    if kind is int and dtype.is_bool:
        raise DTypeError(f"expected bool, got the integer {value!r}; write True or False")
    try:
        with np.errstate(over="ignore"):
            return np.array(value, dtype.dtype)
    except OverflowError as error:
        raise DTypeError(f"the integer {value} does not fit {dtype}") from error


def cast_array(array: Array, dtype: DType, *, exact: bool = False) -> Array:
    """An array converted within its kind or upwards; never float to integer, nor to text.

    With `exact`, integers that do not fit are refused too (they came from a user's own literals).

    Raises:
        DTypeError: the conversion would lose more than precision.
    """
    own = from_numpy(array.dtype)
    if own is dtype:
        return array if array.dtype.isnative else array.astype(dtype.dtype)
    if dtype is string or own is string or not np.can_cast(array.dtype, dtype.dtype, "same_kind"):
        if not (own.is_integer and dtype.is_integer and exact):
            if array.size or own is string or dtype is string:
                raise DTypeError(
                    f"expected {dtype}, got {own}, which does not convert without loss; "
                    f"cast it on purpose first, e.g. np.asarray(x).astype({dtype.name!r})"
                )
    if own.is_integer and dtype.is_integer and array.size:
        info = np.iinfo(dtype.dtype)
        low, high = int(array.min()), int(array.max())
        if low < info.min or high > info.max:
            raise DTypeError(
                f"values from {low} to {high} do not fit {dtype} ({info.min} to {info.max})"
            )
    with np.errstate(over="ignore"):
        return array.astype(dtype.dtype)

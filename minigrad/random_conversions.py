"""How 32-bit random words become numbers: TensorFlow's conversions, on whole arrays.

Every function takes the words of some Philox blocks, uint32 of shape ``[blocks, 4]``, and returns
their numbers in order: four per block, or two per block for 64-bit types.

Source: TensorFlow's ``random_distributions.h`` and ``random_distributions_utils.h``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import ArgumentError

__all__ = [
    "NORMALS",
    "UNIFORMS",
    "Array",
    "Conversion",
    "Words",
    "integer_conversion",
    "normal32",
    "normal64",
    "uniform16",
    "uniform32",
    "uniform64",
]

Words: TypeAlias = NDArray[np.uint32]
Array: TypeAlias = NDArray[Any]
Conversion: TypeAlias = Callable[[Words], Array]

_LOG_FLOOR = 1e-7  # keeps log() away from 0, where it would give an infinite normal number


def uniform16(words: Words) -> NDArray[np.float16]:
    """Uniform float16 in [0, 1): the low 10 bits of a word as the mantissa of 1.x, less 1.

    >>> uniform16(np.array([[0, 512, 1023, 1024]], dtype=np.uint32))
    array([0.   , 0.5  , 0.999, 0.   ], dtype=float16)
    """
    mantissa = words.reshape(-1).astype(np.uint16) & np.uint16(0x3FF)
    mantissa |= np.uint16(15 << 10)
    return mantissa.view(np.float16) - np.float16(1)


def uniform32(words: Words) -> NDArray[np.float32]:
    """Uniform float32 in [0, 1): the low 23 bits of a word as the mantissa of 1.x, less 1.

    >>> uniform32(np.array([[0, 2**22, 2**21, 2**23]], dtype=np.uint32))
    array([0.  , 0.5 , 0.25, 0.  ], dtype=float32)
    """
    mantissa = words.reshape(-1) & np.uint32(0x7FFFFF)
    mantissa |= np.uint32(127 << 23)
    return mantissa.view(np.float32) - np.float32(1)


def uniform64(words: Words) -> NDArray[np.float64]:
    """Uniform float64 in [0, 1): 20 bits of a word above 32 of the next as the mantissa of 1.x.

    >>> uniform64(np.array([[2**19, 0, 2**18, 2**31]], dtype=np.uint32))
    array([0.5       , 0.25000048])
    """
    pairs = words.reshape(-1, 2)
    mantissa = (pairs[:, 0] & np.uint32(0xFFFFF)).astype(np.uint64)
    mantissa <<= np.uint64(32)
    mantissa |= pairs[:, 1]
    mantissa |= np.uint64(1023 << 52)
    return mantissa.view(np.float64) - 1.0


def normal32(words: Words) -> NDArray[np.float32]:
    """Standard normal float32: the Box-Muller transform of pairs of words.

    Each step (log, root, angle, sine and cosine, product) is computed in double precision or
    exactly and rounded to float32. That is what a good single-precision library returns, and
    unlike NumPy's float32 functions it hardly ever depends on the processor.

    >>> normal32(np.array([[2**22, 0, 0, 0]], dtype=np.uint32))
    array([0.       , 1.17741  , 0.       , 5.6776924], dtype=float32)
    """
    pairs = uniform32(words).reshape(-1, 2)
    u = np.maximum(pairs[:, 0], np.float32(_LOG_FLOOR))
    angle = (2.0 * math.pi * pairs[:, 1].astype(np.float64)).astype(np.float32)
    radius = np.sqrt(np.float32(-2) * np.log(u.astype(np.float64)).astype(np.float32))
    wide = angle.astype(np.float64)
    out = np.empty_like(pairs)
    np.multiply(np.sin(wide).astype(np.float32), radius, out=out[:, 0])
    np.multiply(np.cos(wide).astype(np.float32), radius, out=out[:, 1])
    return out.reshape(-1)


def normal64(words: Words) -> NDArray[np.float64]:
    """Standard normal float64: the Box-Muller transform of pairs of pairs of words.

    >>> normal64(np.array([[2**19, 0, 0, 0]], dtype=np.uint32))
    array([0.        , 1.17741002])
    """
    pairs = uniform64(words).reshape(-1, 2)
    radius = np.sqrt(-2.0 * np.log(np.maximum(pairs[:, 0], _LOG_FLOOR)))
    angle = 2.0 * math.pi * pairs[:, 1]
    out = np.empty_like(pairs)
    np.multiply(np.sin(angle), radius, out=out[:, 0])
    np.multiply(np.cos(angle), radius, out=out[:, 1])
    return out.reshape(-1)


def integer_conversion(low: int, high: int, dtype: np.dtype[Any]) -> Conversion:
    """Make the conversion to integers ``low + bits % (high - low)``.

    Args:
        low: lowest value.
        high: one more than the highest value; may be one past the dtype's range.
        dtype: int32 (a word each) or int64 (a pair of words, the low half first).

    Returns:
        A function of words.

    Raises:
        ArgumentError: ``low >= high``, or a bound lies outside the dtype.

    >>> convert = integer_conversion(-1, 4, np.dtype(np.int32))
    >>> convert(np.array([[0, 4, 5, 4294967295]], dtype=np.uint32))
    array([-1,  3, -1, -1], dtype=int32)
    """
    limits = np.iinfo(dtype)
    if low >= high:
        raise ArgumentError(
            f"random integers expected low < high, got low={low} and high={high}; high is the "
            "first value that cannot come"
        )
    if low < limits.min or high > int(limits.max) + 1:
        raise ArgumentError(
            f"random integers expected bounds within {dtype} [{limits.min}, {limits.max}], got "
            f"low={low} and high={high}; use a smaller range or a wider dtype"
        )
    unsigned: type[np.unsignedinteger[Any]] = np.uint32 if limits.bits == 32 else np.uint64
    span, start = high - low, unsigned(low % 2**limits.bits)

    def convert(words: Words) -> Array:
        values: Array = words.reshape(-1) if limits.bits == 32 else _pairs(words)
        if span < 2**limits.bits:
            values = values % unsigned(span)
        # Two's complement: the sum modulo 2**bits, read as signed, is the right one.
        result: Array = (values + start).view(dtype)
        return result

    return convert


def _pairs(words: Words) -> NDArray[np.uint64]:
    pairs = words.reshape(-1, 2)
    return (pairs[:, 1].astype(np.uint64) << np.uint64(32)) | pairs[:, 0]


_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))

UNIFORMS: Mapping[np.dtype[Any], Conversion] = MappingProxyType(
    dict(zip(_FLOATS, (uniform16, uniform32, uniform64), strict=True))
)
"""The conversion to uniform numbers of each dtype."""

NORMALS: Mapping[np.dtype[Any], Conversion] = MappingProxyType(
    dict(zip(_FLOATS, (normal32, normal32, normal64), strict=True))
)
"""The conversion to normal numbers; float16 ones are float32 numbers for the caller to round."""

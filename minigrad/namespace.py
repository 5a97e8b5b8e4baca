"""What the array API standard has about dtypes and the namespace itself.

Source: Python array API standard 2024.12, "Data type functions" and "Inspection".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.core.tensor import API_VERSIONS, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.devices import check_device
from minigrad.dtypes import (
    ALL,
    DType,
    DTypeLike,
    as_dtype,
    complex64,
    default_dtype,
    float32,
    int32,
    int64,
    promote_types,
    string,
    weak_dtype,
)
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError

__all__ = [
    "FInfo",
    "IInfo",
    "NamespaceInfo",
    "__array_api_version__",
    "__array_namespace_info__",
    "can_cast",
    "finfo",
    "iinfo",
    "isdtype",
    "result_type",
]

__array_api_version__ = API_VERSIONS[-1]

_KINDS: dict[str, str] = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


class FInfo(NamedTuple):
    """Limits of a floating dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IInfo(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def _dtype_of(x: Any) -> DType:
    """The dtype that `x` has, or means."""
    if isinstance(x, Tensor | Variable | np.ndarray | np.generic):
        return as_dtype(x.dtype)
    return as_dtype(x)


def finfo(type: DTypeLike | TensorLike, /) -> FInfo:
    """The limits of a floating dtype; of a complex one, those of its parts.

    Args:
        type: a dtype, or a tensor or array of it.

    Raises:
        DTypeError: it is neither floating nor complex.

    >>> import minigrad as mg
    >>> mg.finfo(mg.float32).bits, mg.finfo("float64").eps
    (32, 2.220446049250313e-16)
    """
    dtype = _dtype_of(type)
    if not dtype.is_inexact:
        raise DTypeError(f"finfo expected a floating or complex dtype, got {dtype}; see mg.iinfo")
    info = np.finfo(dtype.dtype)
    return FInfo(
        int(info.bits),
        float(info.eps),
        float(info.max),
        float(info.min),
        float(info.smallest_normal),
        as_dtype(info.dtype),
    )


def iinfo(type: DTypeLike | TensorLike, /) -> IInfo:
    """The limits of an integer dtype.

    Args:
        type: a dtype, or a tensor or array of it.

    Raises:
        DTypeError: it is not an integer dtype.

    >>> import minigrad as mg
    >>> mg.iinfo(mg.int8).max
    127
    """
    dtype = _dtype_of(type)
    if not dtype.is_integer:
        raise DTypeError(f"iinfo expected an integer dtype, got {dtype}; see mg.finfo")
    info = np.iinfo(dtype.dtype)
    return IInfo(int(info.bits), int(info.max), int(info.min), dtype)


def isdtype(dtype: DTypeLike, kind: Any) -> bool:
    """Whether a dtype is of a kind.

    Args:
        dtype: a dtype.
        kind: a dtype; or ``"bool"``, ``"signed integer"``, ``"unsigned integer"``,
            ``"integral"``, ``"real floating"``, ``"complex floating"`` or ``"numeric"``; or a
            tuple of any of these, of which one must hold.

    Raises:
        ArgumentError: a string that names no kind.
        DTypeError: what is no dtype.

    >>> import minigrad as mg
    >>> mg.isdtype(mg.int32, "integral"), mg.isdtype(mg.int32, (mg.int64, "real floating"))
    (True, False)
    """
    given = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(given, part) for part in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            names = ", ".join(repr(name) for name in _KINDS)
            raise ArgumentError(f"kind must be a dtype or one of {names}, got {kind!r}")
        return given.kind in _KINDS[kind]
    return given is as_dtype(kind)


def can_cast(from_: DTypeLike | TensorLike, to: DTypeLike, /) -> bool:
    """Whether promotion may turn one dtype into another: whether together they give `to`.

    Args:
        from_: a dtype, or a tensor or array of it.
        to: a dtype.

    Raises:
        DTypeError: what is no dtype.

    >>> import minigrad as mg
    >>> mg.can_cast(mg.float32, mg.float64), mg.can_cast(mg.float64, mg.float32)
    (True, False)
    """
    source, target = _dtype_of(from_), as_dtype(to)
    try:
        return promote_types(source, target) is target
    except DTypeError:
        return False


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype of an op on these operands.

    Args:
        arrays_and_dtypes: tensors, variables, arrays, dtypes, and Python numbers, which are weak.

    Raises:
        ArgumentTypeError: there is no operand.
        DTypeError: they have no common dtype, or an integer does not fit.

    >>> import minigrad as mg
    >>> mg.result_type(mg.float64, mg.asarray([1.0]), 2), mg.result_type(mg.int8, 0.5)
    (minigrad.float64, minigrad.float32)
    """
    if not arrays_and_dtypes:
        raise ArgumentTypeError("result_type needs at least one tensor, dtype or number")
    weak = [x for x in arrays_and_dtypes if type(x) in (bool, int, float, complex)]
    strong = [_dtype_of(x) for x in arrays_and_dtypes if type(x) not in (bool, int, float, complex)]
    result = strong.pop() if strong else default_dtype(weak.pop())
    for dtype in strong:
        result = promote_types(result, dtype)
    for number in weak:
        result = weak_dtype(number, result)
    return result


class NamespaceInfo:
    """What can be asked of the namespace: see `__array_namespace_info__`."""

    def capabilities(self) -> dict[str, Any]:
        """What the standard leaves to libraries."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": 64,
        }

    def default_device(self) -> str:
        """Where tensors are made."""
        return "cpu"

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The dtypes of what is made without naming one."""
        check_device(device)
        return {
            "real floating": float32,
            "complex floating": complex64,
            "integral": int32,
            "indexing": int64,
        }

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes by name, all of them or those of a kind (see `isdtype`)."""
        check_device(device)
        return {d.name: d for d in ALL if d is not string and (kind is None or isdtype(d, kind))}


def __array_namespace_info__() -> NamespaceInfo:
    """Devices, dtypes and capabilities, as the array API standard has them.

    >>> import minigrad as mg
    >>> mg.__array_namespace_info__().default_dtypes()["integral"]
    minigrad.int32
    """
    return NamespaceInfo()

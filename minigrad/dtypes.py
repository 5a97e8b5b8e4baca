"""Element types, and the rules by which operands of different types meet.

The rules (they are the engine's, applied before a kernel sees its operands):

* two tensors follow the array API's promotion table; an integer or bool with a float takes the
  float's dtype;
* exactly Python's `bool`, `int`, `float` and `complex` are *weak*: they take the dtype of the
  tensor they meet. Alone, a float becomes float32 and an int becomes int32 (int64 where it does
  not fit), as in TensorFlow. NumPy values are never weak.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np

from minigrad.errors import DTypeError

__all__ = [
    "DType",
    "as_dtype",
    "bool_",
    "complex128",
    "complex64",
    "float16",
    "float32",
    "float64",
    "int16",
    "int32",
    "int64",
    "int8",
    "string",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
]


class DType:
    """An element type. There is one object for each, so `is` works; NumPy understands it too.

    >>> import numpy as np
    >>> float32 == np.float32, np.zeros(2, float32).dtype, float32.itemsize
    (True, dtype('float32'), 4)
    """

    __slots__ = ("dtype", "is_bool", "is_complex", "is_floating", "is_integer", "kind", "name")

    def __init__(self, name: str, dtype: Any) -> None:
        self.name = name
        #: The NumPy dtype; NumPy reads this attribute when it is given a `DType`.
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.kind = self.dtype.kind
        self.is_floating: bool = self.kind == "f"
        self.is_complex: bool = self.kind == "c"
        self.is_integer: bool = self.kind in "iu"
        self.is_bool: bool = self.kind == "b"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def is_inexact(self) -> bool:
        """True for floating and complex types, the ones that can have gradients."""
        return self.is_floating or self.is_complex

    @property
    def is_numeric(self) -> bool:
        """True for all but bool and string."""
        return self.is_inexact or self.is_integer

    def __repr__(self) -> str:
        return f"minigrad.{self.name}"

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType):
            return self is other
        try:
            return bool(as_dtype(other) is self)
        except DTypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return (as_dtype, (self.name,))


DTypeLike: TypeAlias = "DType | np.dtype[Any] | type | str"

bool_ = DType("bool", np.bool_)
int8, int16, int32, int64 = (DType(f"int{n}", f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (DType(f"uint{n}", f"uint{n}") for n in (8, 16, 32, 64))
float16, float32, float64 = (DType(f"float{n}", f"float{n}") for n in (16, 32, 64))
complex64, complex128 = (DType(f"complex{n}", f"complex{n}") for n in (64, 128))
#: Text, held as Python objects; it can be passed around, but not computed with.
string = DType("string", object)

ALL: tuple[DType, ...] = (
    bool_,
    *(int8, int16, int32, int64, uint8, uint16, uint32, uint64),
    *(float16, float32, float64, complex64, complex128),
    string,
)
_BY_NAME: dict[str, DType] = {d.name: d for d in ALL}
_BY_NAME |= {"float": float32, "double": float64, "half": float16, "int": int32, "str": string}
_BY_NUMPY: dict[np.dtype[Any], DType] = {d.dtype: d for d in ALL}
_BY_TYPE: dict[type, DType] = {
    bool: bool_,
    int: int32,
    float: float32,
    complex: complex64,
    str: string,
}


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """The `DType` of a NumPy array; byte order is not part of it. Raises `DTypeError`."""
    found = _BY_NUMPY.get(dtype)
    if found is None:
        if dtype.kind in "USO":
            found = string
        else:
            found = _BY_NUMPY.get(dtype.newbyteorder("="))
    if found is None:
        names = ", ".join(d.name for d in ALL)
        raise DTypeError(f"NumPy's dtype {dtype} has no counterpart here; use one of {names}")
    return found


def as_dtype(value: object) -> DType:
    """The `DType` meant by a name, a NumPy dtype or scalar type, or a Python type.

    Python's own types mean the defaults: `float` is float32 and `int` is int32.

    Raises:
        DTypeError: `value` means no dtype.

    >>> as_dtype("float64"), as_dtype(float)
    (minigrad.float64, minigrad.float32)
    """
    if isinstance(value, DType):
        return value
    if value is None:  # To NumPy it means float64.
        raise DTypeError("None is not a dtype; leave the argument out, or name one")
    if isinstance(value, str) and value in _BY_NAME:
        return _BY_NAME[value]
    if isinstance(value, type) and value in _BY_TYPE:
        return _BY_TYPE[value]
    try:
        return from_numpy(np.dtype(value))  # type: ignore[call-overload]
    except TypeError as error:
        names = ", ".join(d.name for d in ALL)
        raise DTypeError(f"{value!r} is not a dtype; use one of {names}") from error


@cache
def promote_types(a: DType, b: DType) -> DType:
    """The common dtype of two tensors.

    Raises:
        DTypeError: there is none (text with numbers, uint64 with a signed integer).

    >>> promote_types(int64, float32), promote_types(float32, float64)
    (minigrad.float32, minigrad.float64)
    """
    if a is b:
        return a
    if a is string or b is string:
        raise DTypeError(f"{a} and {b} have no common dtype: text does not mix with numbers")
    if a.is_bool or b.is_bool:
        return b if a.is_bool else a
    if a.is_integer and b.is_inexact:
        return b
    if b.is_integer and a.is_inexact:
        return a
    result = from_numpy(np.promote_types(a.dtype, b.dtype))
    if a.is_integer and not result.is_integer:
        raise DTypeError(f"{a} and {b} have no common integer dtype; cast one with mg.astype")
    return result


def default_dtype(value: bool | int | float | complex) -> DType:
    """The dtype of a Python number that meets no tensor.

    >>> default_dtype(1), default_dtype(2**40), default_dtype(1.5)
    (minigrad.int32, minigrad.int64, minigrad.float32)
    """
    kind = type(value)
    if kind is bool:
        return bool_
    if kind is float:
        return float32
    if kind is complex:
        return complex64
    if -(2**31) <= value < 2**31:  # type: ignore[operator]
        return int32
    if -(2**63) <= value < 2**63:  # type: ignore[operator]
        return int64
    if 0 <= value < 2**64:  # type: ignore[operator]
        return uint64
    raise DTypeError(f"the integer {value} does not fit any integer dtype; write it as a float")


def weak_dtype(value: bool | int | float | complex, other: DType) -> DType:
    """The dtype that a Python number takes beside a tensor of dtype `other`.

    Raises:
        DTypeError: an integer does not fit the tensor's integer dtype.

    >>> weak_dtype(2, float64), weak_dtype(0.5, int32)
    (minigrad.float64, minigrad.float32)
    """
    kind = type(value)
    if other is string:
        raise DTypeError(f"the number {value!r} cannot be combined with text")
    if kind is bool:
        return other
    if kind is int:
        if other.is_bool:
            return default_dtype(value)
        if other.is_integer:
            info = np.iinfo(other.dtype)
            if not info.min <= value <= info.max:  # type: ignore[operator]
                raise DTypeError(
                    f"the integer {value} does not fit {other} ({info.min} to {info.max}); "
                    "cast the tensor with mg.astype first"
                )
        return other
    if kind is float:
        return other if other.is_inexact else float32
    if other.is_complex:
        return other
    return complex128 if other is float64 else complex64

"""The types of values in native code, and the constants of those types."""

from __future__ import annotations

import functools
import struct
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

Kind: TypeAlias = Literal["float", "int", "uint", "bool", "ptr"]

_NAMES = {"f": "float", "i": "int", "u": "uint", "b": "bool"}
_FLOATS = {16: "half", 32: "float", 64: "double"}


class Type(NamedTuple):
    """A scalar type, or a vector of `lanes` of them. Signedness belongs to it, unlike in LLVM."""

    kind: Kind
    bits: int
    lanes: int = 1

    @property
    def text(self) -> str:
        """How LLVM writes it."""
        return _text(self)

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point type."""
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer type; bool is none."""
        return self.kind in ("int", "uint")

    def of(self, lanes: int) -> Type:
        """The same elements, in another number of lanes."""
        return Type(self.kind, self.bits, lanes)

    @property
    def scalar(self) -> Type:
        """The type of one lane."""
        return Type(self.kind, self.bits)

    @property
    def suffix(self) -> str:
        """How LLVM's intrinsics name it: ``v16f32``."""
        letter = "f" if self.kind == "float" else "i"
        return f"v{self.lanes}{letter}{self.bits}" if self.lanes > 1 else f"{letter}{self.bits}"


@functools.cache
def _text(t: Type) -> str:
    if t.kind == "ptr":
        base = "ptr"
    elif t.kind == "float":
        base = _FLOATS[t.bits]
    else:
        base = f"i{t.bits}"
    return base if t.lanes == 1 else f"<{t.lanes} x {base}>"


F32 = Type("float", 32)
F64 = Type("float", 64)
I8 = Type("int", 8)
I32 = Type("int", 32)
I64 = Type("int", 64)
U32 = Type("uint", 32)
U64 = Type("uint", 64)
BOOL = Type("bool", 1)
PTR = Type("ptr", 64)


@functools.cache
def type_of(dtype: np.dtype[Any]) -> Type:
    """The register type of an array's elements; a bool is one bit here and a byte in memory."""
    if dtype.kind == "b":
        return BOOL
    return Type(_NAMES[dtype.kind], dtype.itemsize * 8)  # type: ignore[arg-type]


def has_type(dtype: np.dtype[Any]) -> bool:
    """Whether native code computes with arrays of this dtype."""
    return dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def memory_bytes(t: Type) -> int:
    """Bytes of one element in memory."""
    return max(t.bits // 8, 1)


def literal(value: Any, t: Type) -> str:
    """A constant of a type, in all its lanes, as LLVM writes it."""
    one = _scalar_literal(value, t)
    return one if t.lanes == 1 else f"splat ({t.scalar.text} {one})"


def _scalar_literal(value: Any, t: Type) -> str:
    if t.kind == "float":
        # LLVM writes a float as the double of the same value.
        exact = float(np.float32(value)) if t.bits == 32 else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', exact))[0]:016X}"
    if t.kind == "bool":
        return "true" if value else "false"
    if t.kind == "ptr":
        return "null"
    return str(int(value))


def numpy_type(t: Type) -> np.dtype[Any]:
    """The dtype of an array of such elements."""
    letters = {"float": "f", "int": "i", "uint": "u"}
    return np.dtype(bool) if t.kind == "bool" else np.dtype(f"{letters[t.kind]}{t.bits // 8}")

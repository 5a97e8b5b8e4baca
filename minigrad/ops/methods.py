"""Installs Python's operators and the methods on tensors and variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operators import Operators
from minigrad.core.primitive import Primitive
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Tensor
from minigrad.dtypes import string
from minigrad.ops import comparison, elementwise, logic, powers, signs

#: Operators that have a reflection.
BINARY: dict[str, Primitive[..., Any]] = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.remainder,
    "pow": powers.pow,
    "and": logic.bitwise_and,
    "or": logic.bitwise_or,
    "xor": logic.bitwise_xor,
    "lshift": logic.bitwise_left_shift,
    "rshift": logic.bitwise_right_shift,
}

#: Comparisons; Python itself swaps the operands where needed.
COMPARISONS: dict[str, Primitive[..., Any]] = {
    "eq": comparison.equal,
    "ne": comparison.not_equal,
    "lt": comparison.less,
    "le": comparison.less_equal,
    "gt": comparison.greater,
    "ge": comparison.greater_equal,
}

UNARY: dict[str, Primitive[..., Any]] = {
    "neg": elementwise.negative,
    "pos": elementwise.positive,
    "abs": signs.abs,
    "invert": logic.bitwise_invert,
}

_NUMBERS_AND_TENSORS = (
    Tensor,
    StateOwner,
    IndexedSlices,
    np.ndarray,
    np.generic,
    int,
    float,
    complex,
    list,
    tuple,
)


def _is_operand(own: Any, other: Any) -> bool:
    """Whether `other` can be meant as a tensor beside `own`; text only beside text."""
    if isinstance(other, str):
        return bool(own.dtype is string)
    return (
        isinstance(other, _NUMBERS_AND_TENSORS)
        or hasattr(other, "__array__")
        or hasattr(other, "__dlpack__")
    )


def _binary(primitive: Primitive[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The operator and its reflection.

    What is no operand at all is left to Python, by `NotImplemented`: it then asks the other
    object, and raises its usual TypeError in the end (or says False, for ``==``). Tensors come
    first, and so do not pay for that question.
    """

    def forward(self: Any, other: Any) -> Any:
        if other is None:
            return NotImplemented
        try:
            return bind(primitive, self, other)
        except TypeError:
            if _is_operand(self, other):
                raise
            return NotImplemented

    def reflected(self: Any, other: Any) -> Any:
        if other is None:
            return NotImplemented
        try:
            return bind(primitive, other, self)
        except TypeError:
            if _is_operand(self, other):
                raise
            return NotImplemented

    return forward, reflected


def _unary(primitive: Primitive[..., Any]) -> Callable[[Any], Any]:
    def operator(self: Any) -> Any:
        return bind(primitive, self)

    return operator


def _put(name: str, function: Callable[..., Any]) -> None:
    function.__name__ = name
    function.__qualname__ = f"Operators.{name}"
    setattr(Operators, name, function)


def install() -> None:
    """Give `Tensor` and `Variable` their operators and methods."""
    for name, primitive in BINARY.items():
        forward, reflected = _binary(primitive)
        _put(f"__{name}__", forward)
        _put(f"__r{name}__", reflected)
    for name, primitive in COMPARISONS.items():
        _put(f"__{name}__", _binary(primitive)[0])
    for name, primitive in UNARY.items():
        _put(f"__{name}__", _unary(primitive))

"""Installs Python's operators and the methods on tensors and variables."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operators import Operators
from minigrad.core.primitive import Primitive
from minigrad.core.state import StateOwner
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.dtypes import DTypeLike, string
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops import (
    basic,
    comparison,
    counting,
    elementwise,
    indexing,
    logic,
    manipulation,
    powers,
    products,
    reductions,
    rounding,
    signs,
    statistics,
)
from minigrad.shapes import element_count, show

#: Operators that have a reflection.
BINARY: dict[str, Primitive[..., Any]] = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.remainder,
    "matmul": products.matmul,
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


def _getitem(self: Any, key: Any) -> Tensor:
    """The elements that a key selects, by NumPy's rules; see `minigrad.getitem`."""
    return indexing.getitem(self, key)


def _transpose(self: Any) -> Tensor:
    """The transposed matrix. Raises `ShapeError` unless it is one."""
    shape = self.spec.shape
    if shape is None or len(shape) != 2:
        raise ShapeError(
            f"x.T is for matrices, this tensor has shape {show(shape)}; use x.mT for stacks of "
            "matrices, or mg.permute_dims(x, axes)"
        )
    return manipulation.matrix_transpose(self)


def _matrix_transpose(self: Any) -> Tensor:
    """The tensor with its last two axes exchanged."""
    return manipulation.matrix_transpose(self)


def _size(self: Any) -> int | None:
    """Number of elements; None while a dimension is unknown (mg.size(x) gives it in a run)."""
    return element_count(self.spec.shape)


def _astype(self: Any, dtype: DTypeLike) -> Tensor:
    """The tensor cast to another dtype; see `minigrad.astype`."""
    return basic.astype(self, dtype)


def _reshape(self: Any, *shape: Any) -> Tensor:
    """The elements in another shape: ``x.reshape(2, -1)`` or ``x.reshape((2, -1))``."""
    return manipulation.reshape(self, shape[0] if len(shape) == 1 else shape)


def _over_axis(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method for a function of ``(x, axis=…, keepdims=…)``; here `axis` may be positional."""

    def method(self: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return op(self, axis=axis, keepdims=keepdims)

    method.__doc__ = f"``mg.{op.__name__}(x, axis=axis, keepdims=keepdims)``."
    return method


def _array_function(
    self: Any,
    function: Callable[..., Any],
    types: Sequence[type],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """What a function of NumPy gives on tensors: see `minigrad.ops.numpy_functions`.

    That module is loaded here, because it knows nearly all ops.
    """
    counterparts = importlib.import_module("minigrad.ops.numpy_functions")
    return counterparts.dispatch(function, types, args, kwargs)


def _round(self: Any, digits: int | None = None) -> Any:
    """Python's `round`: to whole numbers, half to even; to digits, of one number, as a number."""
    if digits is None:
        return rounding.round(self)
    value = tensor_of(self)
    if not isinstance(value, ConcreteTensor) or value._value.size != 1:
        raise ArgumentError(
            f"round(x, {digits}) makes a Python number of a concrete tensor of one element, got "
            f"{self!r}; for tensors write mg.round(x * 10**n) / 10**n"
        )
    value._warn_lost("round()")
    return round(value.item(), digits)


METHODS: dict[str, Callable[..., Any]] = {
    "__array_function__": _array_function,
    "__getitem__": _getitem,
    "astype": _astype,
    "reshape": _reshape,
    "__round__": _round,
    "sum": _over_axis(reductions.sum),
    "prod": _over_axis(reductions.prod),
    "max": _over_axis(reductions.max),
    "min": _over_axis(reductions.min),
    "mean": _over_axis(statistics.mean),
    "var": _over_axis(statistics.var),
    "std": _over_axis(statistics.std),
    "any": _over_axis(counting.any),
    "all": _over_axis(counting.all),
    "argmax": _over_axis(counting.argmax),
    "argmin": _over_axis(counting.argmin),
}

PROPERTIES: dict[str, Callable[[Any], Any]] = {
    "T": _transpose,
    "mT": _matrix_transpose,
    "size": _size,
}


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
    for name, method in METHODS.items():
        _put(name, method)
    for name, getter in PROPERTIES.items():
        setattr(Operators, name, property(getter))

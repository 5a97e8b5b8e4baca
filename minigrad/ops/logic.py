"""Logic on bool tensors, and bitwise operations on integer ones; no gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import SampleMaker, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import DTypeError, ShapeError

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
]

_BOOLEAN = "the arguments and the result are bool"
_INTEGRAL = "the arguments and the result are integers or bools"

_LOGICAL = [
    Sample(np.array([False, False, True, True]), np.array([False, True, False, True])),
    Sample(np.array([[True], [False]]), np.array([True, False])).named("broadcast"),
    Sample(np.array([True, False]), True).named("weak bool"),
    Sample(np.zeros((0, 3), bool), np.array(True)).named("empty"),
]
_NOT_BOOL = (
    Fails(DTypeError, "takes bool", np.array([1.0]), np.array([0.0])),
    Fails(ShapeError, "do not broadcast", np.ones(2, bool), np.ones(3, bool)),
)
_NOT_INTEGER = (
    Fails(DTypeError, "does not take float64", np.array([1.0]), np.array([2.0])),
    Fails(ShapeError, "do not broadcast", np.ones(2, int), np.ones(3, int)),
)


def _bits(*more: Sample) -> SampleMaker:
    return lambda rng: [
        Sample(rng.integers(0, 7, (2, 3)), rng.integers(0, 7, 3)),
        Sample(np.array([-5, 12], np.int8), np.array(3, np.int8)).named("scalar"),
        Sample(np.array([5, 12], np.uint32), 3).named("weak number"),
        Sample(np.zeros((0, 3), int), np.array([[1]])).named("empty"),
        *more,
    ]


@primitive(
    "LogicalAnd",
    elementwise=True,
    accepts="bool",
    numpy=np.logical_and,
    not_differentiable=_BOOLEAN,
    samples=_LOGICAL,
    errors=_NOT_BOOL,
)
def logical_and(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether both x1 and x2 hold, elementwise; on bool tensors ``&`` gives the same.

    Args:
        x1, x2: bool tensors whose shapes broadcast. NumPy takes numbers too; write ``x != 0``.

    Raises:
        DTypeError: an argument is not bool.
        ShapeError: the shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.logical_and([True, False], True)
    Tensor([ True, False], shape=(2,), dtype=bool)
    """
    return bind(logical_and, x1, x2)


@logical_and.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.logical_and(x1, x2)


@logical_and.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.and_(x1, x2)


@primitive(
    "LogicalOr",
    elementwise=True,
    accepts="bool",
    numpy=np.logical_or,
    not_differentiable=_BOOLEAN,
    samples=_LOGICAL,
    errors=_NOT_BOOL,
)
def logical_or(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 or x2 or both hold, elementwise; on bool tensors ``|`` gives the same.

    Shapes, dtypes and errors as in `logical_and`.

    >>> import minigrad as mg
    >>> mg.logical_or([True, False], False)
    Tensor([ True, False], shape=(2,), dtype=bool)
    """
    return bind(logical_or, x1, x2)


@logical_or.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.logical_or(x1, x2)


@logical_or.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.or_(x1, x2)


@primitive(
    "LogicalXor",
    elementwise=True,
    accepts="bool",
    numpy=np.logical_xor,
    not_differentiable=_BOOLEAN,
    samples=_LOGICAL,
    errors=_NOT_BOOL,
)
def logical_xor(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether exactly one of x1 and x2 holds, elementwise; on bool tensors ``^`` gives the same.

    Shapes, dtypes and errors as in `logical_and`.

    >>> import minigrad as mg
    >>> mg.logical_xor([True, False], True)
    Tensor([False,  True], shape=(2,), dtype=bool)
    """
    return bind(logical_xor, x1, x2)


@logical_xor.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.logical_xor(x1, x2)


@logical_xor.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.xor(x1, x2)


@primitive(
    "LogicalNot",
    elementwise=True,
    accepts="bool",
    numpy=np.logical_not,
    not_differentiable=_BOOLEAN,
    samples=[Sample(np.array([True, False])), Sample(True), Sample(np.zeros((0, 3), bool))],
    errors=[Fails(DTypeError, "takes bool", np.array([1.0]))],
)
def logical_not(x: TensorLike, /) -> Tensor:
    """Whether x does not hold, elementwise; on bool tensors ``~`` gives the same.

    Raises:
        DTypeError: `x` is not bool; write ``x == 0`` for numbers.

    >>> import minigrad as mg
    >>> mg.logical_not([True, False])
    Tensor([False,  True], shape=(2,), dtype=bool)
    """
    return bind(logical_not, x)


@logical_not.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.logical_not(x)


@logical_not.scalar
def _(s: Any, x: Any) -> Any:
    return s.not_(x)


@primitive(
    "BitwiseAnd",
    elementwise=True,
    accepts="integral",
    numpy=np.bitwise_and,
    not_differentiable=_INTEGRAL,
    samples=_bits(*_LOGICAL),
    errors=_NOT_INTEGER,
)
def bitwise_and(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The bits that x1 and x2 have in common, elementwise; also the operator ``&``.

    Args:
        x1, x2: integer or bool tensors whose shapes broadcast.

    Raises:
        DTypeError: an argument is neither.
        ShapeError: the shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.bitwise_and([12, 10], 6)
    Tensor([4, 2], shape=(2,), dtype=int32)
    """
    return bind(bitwise_and, x1, x2)


@bitwise_and.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.bitwise_and(x1, x2)


@bitwise_and.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.and_(x1, x2)


@primitive(
    "BitwiseOr",
    elementwise=True,
    accepts="integral",
    numpy=np.bitwise_or,
    not_differentiable=_INTEGRAL,
    samples=_bits(*_LOGICAL),
    errors=_NOT_INTEGER,
)
def bitwise_or(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The bits that x1 or x2 has, elementwise; also the operator ``|``. See `bitwise_and`.

    >>> import minigrad as mg
    >>> mg.bitwise_or([12, 10], 6)
    Tensor([14, 14], shape=(2,), dtype=int32)
    """
    return bind(bitwise_or, x1, x2)


@bitwise_or.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.bitwise_or(x1, x2)


@bitwise_or.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.or_(x1, x2)


@primitive(
    "BitwiseXor",
    elementwise=True,
    accepts="integral",
    numpy=np.bitwise_xor,
    not_differentiable=_INTEGRAL,
    samples=_bits(*_LOGICAL),
    errors=_NOT_INTEGER,
)
def bitwise_xor(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The bits in which x1 and x2 differ, elementwise; also the operator ``^``. See `bitwise_and`.

    >>> import minigrad as mg
    >>> mg.bitwise_xor([12, 10], 6)
    Tensor([10, 12], shape=(2,), dtype=int32)
    """
    return bind(bitwise_xor, x1, x2)


@bitwise_xor.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.bitwise_xor(x1, x2)


@bitwise_xor.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.xor(x1, x2)


@primitive(
    "Invert",
    elementwise=True,
    accepts="integral",
    numpy=np.bitwise_invert,
    not_differentiable=_INTEGRAL,
    samples=[
        Sample(np.array([0, 5, -1])),
        Sample(np.array([0, 5], np.uint8)),
        Sample(np.array([True, False])),
        Sample(np.zeros((0, 3), int)),
    ],
    errors=[Fails(DTypeError, "does not take float64", np.array([1.0]))],
)
def bitwise_invert(x: TensorLike, /) -> Tensor:
    """Every bit of x flipped, elementwise; also the operator ``~``. Logical not for bools.

    Raises:
        DTypeError: `x` is neither integer nor bool.

    >>> import minigrad as mg
    >>> mg.bitwise_invert([0, 5])
    Tensor([-1, -6], shape=(2,), dtype=int32)
    """
    return bind(bitwise_invert, x)


@bitwise_invert.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.bitwise_invert(x)


@bitwise_invert.scalar
def _(s: Any, x: Any) -> Any:
    return s.not_(x)


@primitive(
    "LeftShift",
    elementwise=True,
    accepts="integer",
    numpy=np.bitwise_left_shift,
    not_differentiable=_INTEGRAL,
    samples=_bits(),
    errors=_NOT_INTEGER,
)
def bitwise_left_shift(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 * 2**x2 in the dtype's bits, elementwise; also the operator ``<<``.

    Args:
        x1, x2: integer tensors whose shapes broadcast. A shift by all bits or more gives 0; one
            by a negative number has no defined result, as in NumPy.

    Raises:
        DTypeError: an argument is not integer.
        ShapeError: the shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.bitwise_left_shift([1, 3], 4)
    Tensor([16, 48], shape=(2,), dtype=int32)
    """
    return bind(bitwise_left_shift, x1, x2)


@bitwise_left_shift.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.bitwise_left_shift(x1, x2)


@bitwise_left_shift.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.left_shift(x1, x2)


@primitive(
    "RightShift",
    elementwise=True,
    accepts="integer",
    numpy=np.bitwise_right_shift,
    not_differentiable=_INTEGRAL,
    samples=_bits(),
    errors=_NOT_INTEGER,
)
def bitwise_right_shift(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 / 2**x2 rounded down, elementwise; also the operator ``>>``. See `bitwise_left_shift`.

    >>> import minigrad as mg
    >>> mg.bitwise_right_shift([16, -3], 1)
    Tensor([ 8, -2], shape=(2,), dtype=int32)
    """
    return bind(bitwise_right_shift, x1, x2)


@bitwise_right_shift.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.bitwise_right_shift(x1, x2)


@bitwise_right_shift.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.right_shift(x1, x2)

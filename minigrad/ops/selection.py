"""Choosing between elements: where, maximum, minimum, clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, from_numpy
from minigrad.errors import DTypeError, ShapeError
from minigrad.ops.comparison import greater, less
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, TEXT, binary
from minigrad.shapes import Spec, broadcast

__all__ = ["clip", "maximum", "minimum", "where"]

_CONDITION = np.array([[True, False, True], [False, False, True]])

_BITS: dict[Any, Any] = {
    np.dtype(t): np.dtype(f"i{np.dtype(t).itemsize}") for t in ("f2", "f4", "f8")
}
#: With fewer elements NumPy's own is faster.
_MANY = 4096


def _numpy_where(condition: Array, x1: Array, x2: Array) -> Any:
    """Choose by arithmetic on the bits: NumPy's own mispredicts a branch at half the elements.

    It is exact for all floats, NaN and -0.0 included.
    """
    _check_condition_of(condition)
    bits = _BITS.get(x1.dtype)
    if bits is None or x1.dtype != x2.dtype or max(condition.size, x1.size, x2.size) < _MANY:
        return np.where(condition, x1, x2)
    a, b = x1.view(bits), x2.view(bits)
    if not b.shape and not b:
        return np.multiply(a, condition).view(x1.dtype)
    if not a.shape and not a:
        return np.multiply(b, ~condition).view(x1.dtype)
    chosen = np.multiply(np.bitwise_xor(a, b), condition)
    chosen ^= b
    return chosen.view(x1.dtype)


@primitive(
    "Select",
    elementwise=True,
    promote=(1, 2),
    numpy=_numpy_where,
    samples=lambda rng: [
        Sample(_CONDITION, rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        Sample(_CONDITION, rng.normal(size=3), rng.normal(size=())).named("broadcast"),
        Sample(np.array([[True], [False]]), rng.normal(size=(2, 3)), 0.0).named("weak number"),
        Sample(True, rng.normal(size=3), rng.normal(size=(2, 1))).named("scalar condition"),
        Sample(np.zeros((0, 3), bool), rng.normal(size=3), rng.normal(size=3)).named("empty"),
        Sample(_CONDITION, np.array([1, 2, 3]), np.array([0.5, 0.5, 0.5], np.float32)),
        Sample(np.array([True, False]), TEXT, np.array(["b"], object)).named("text"),
    ],
    errors=[
        Fails(ShapeError, "do not broadcast", np.ones(2, bool), np.ones(3), np.ones(3)),
        Fails(DTypeError, "must be bool, got int64.*!= 0", np.array([1, 0]), np.ones(2), 0.0),
        Fails(DTypeError, "text", np.array([True]), TEXT, np.ones(1)),
    ],
)
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 where the condition holds and x2 elsewhere.

    The gradient goes to the chosen argument only. What the other one computed may be nan or
    infinite, but its own gradient then is 0 times infinity in general; `sqrt` and `log` keep the
    0, for others make the argument harmless first: ``where(ok, f(where(ok, x, 1)), 0)``.

    Args:
        condition: a bool tensor. There is no one-argument form; that is `nonzero`.
        x1, x2: tensors of any dtypes that have a common one. All three shapes broadcast.

    Returns:
        A tensor of the broadcast shape and the common dtype of `x1` and `x2`.

    Raises:
        DTypeError: the condition is not bool (NumPy takes numbers too; write ``x != 0``), or `x1`
            and `x2` have no common dtype.
        ShapeError: the shapes do not broadcast.

    >>> import minigrad as mg
    >>> mg.where([True, False], [1.0, 2.0], -1)
    Tensor([ 1., -1.], shape=(2,), dtype=float32)
    """
    return bind(where, condition, x1, x2)


def _check_condition(dtype: DType) -> None:
    if not dtype.is_bool:
        raise DTypeError(f"the condition of where must be bool, got {dtype}; write x != 0")


def _check_condition_of(condition: Array) -> None:
    if condition.dtype != bool:
        _check_condition(from_numpy(condition.dtype))


@where.kernel
def _(xp: Any, condition: Array, x1: Array, x2: Array) -> Any:
    _check_condition_of(condition)
    return xp.where(condition, x1, x2)


@where.scalar
def _(s: Any, condition: Any, x1: Any, x2: Any) -> Any:
    return s.select(condition, x1, x2)


@where.shape
def _(condition: Spec, x1: Spec, x2: Spec) -> Spec:
    _check_condition(condition.dtype)
    shape = x1.shape
    if not shape == x2.shape == condition.shape:
        shape = broadcast(condition.shape, x1.shape, x2.shape)
    return Spec(shape, x1.dtype)


@where.gradient(saves=("condition",))
def _(c: Ctx) -> Grads:
    (g,), condition = c.grads, c.inputs[0]
    return (
        None,
        where(condition, g, 0) if c.needs[1] else None,
        where(condition, 0, g) if c.needs[2] else None,
    )


_TIE = Sample(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]))
_INTEGERS = Sample(np.array([1, 2, 3]), np.array([3, 2, 1])).named("integers")


@primitive(
    "Maximum",
    elementwise=True,
    accepts="real",
    numpy=np.maximum,
    samples=binary(
        0, 2, -1, 1, _INTEGERS, _TIE.expecting([0.0, 0.5, 1.0], [1.0, 0.5, 0.0]).named("tie")
    ),
    errors=BINARY_REFUSALS,
)
def maximum(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The larger of x1 and x2, elementwise; nan if either is. Ties halve the gradient.

    Args:
        x1, x2: tensors of real dtypes whose shapes broadcast.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: a dtype has no order.

    >>> import minigrad as mg
    >>> mg.maximum([1.0, -2.0], 0)
    Tensor([1., 0.], shape=(2,), dtype=float32)
    """
    return bind(maximum, x1, x2)


@maximum.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.maximum(x1, x2)


@maximum.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.maximum(x1, x2)


@maximum.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    x1, x2 = c.inputs
    return _split(c, greater(x1, x2), less(x1, x2))


def _split(c: Ctx, first: Tensor, second: Tensor) -> Grads:
    """The gradient to the argument that was chosen, and half to each where neither stands out."""
    (g,) = c.grads
    half = g * 0.5
    return (
        where(first, g, where(second, 0, half)) if c.needs[0] else None,
        where(second, g, where(first, 0, half)) if c.needs[1] else None,
    )


@primitive(
    "Minimum",
    elementwise=True,
    accepts="real",
    numpy=np.minimum,
    samples=binary(
        0, 2, -1, 1, _INTEGERS, _TIE.expecting([1.0, 0.5, 0.0], [0.0, 0.5, 1.0]).named("tie")
    ),
    errors=BINARY_REFUSALS,
)
def minimum(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The smaller of x1 and x2, elementwise; nan if either is. Ties halve the gradient.

    Shapes, dtypes and errors as in `maximum`.

    >>> import minigrad as mg
    >>> mg.minimum([1.0, -2.0], 0)
    Tensor([ 0., -2.], shape=(2,), dtype=float32)
    """
    return bind(minimum, x1, x2)


@minimum.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.minimum(x1, x2)


@minimum.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.minimum(x1, x2)


@minimum.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    x1, x2 = c.inputs
    return _split(c, less(x1, x2), greater(x1, x2))


_SPREAD = np.array([[-2.5, 0.25, 2.5], [0.75, -1.5, 3.5]])


@primitive(
    "ClipByValue",
    elementwise=True,
    accepts="real",
    samples=[
        Sample(_SPREAD, np.array(-1.0), np.array(1.0)),
        Sample(_SPREAD, np.array([-2.0, 0.5, 1.0]), np.array([[2.0], [3.0]])).named("broadcast"),
        Sample(_SPREAD, -1, max=1).named("weak numbers"),
        Sample(_SPREAD, max=np.array(0.5)).named("no min"),
        Sample(_SPREAD, np.array(0.5)).named("no max"),
        Sample(_SPREAD).named("no bounds"),
        Sample(np.zeros((0, 3)), -1.0, 1.0).named("empty"),
        Sample(np.array([1, 5, 9]), 2, 7).named("integers"),
        Sample(np.array([-1.0, 0.5, 1.0]), np.array(-1.0), np.array(1.0))
        .named("on the bounds")
        .expecting([1.0, 1.0, 1.0], 0.0, 0.0),
        Sample(np.array([-2.0, 0.5, 4.0]), np.array(3.0), np.array(1.0))
        .named("min above max")
        .expecting([0.0, 0.0, 0.0], 0.0, 3.0),
    ],
    errors=[
        Fails(ShapeError, "do not broadcast", np.ones(2), np.ones(3), 2.0),
        Fails(DTypeError, "text", TEXT, 0.0, 1.0),
    ],
)
def clip(x: TensorLike, /, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """x held between two bounds, elementwise: ``minimum(maximum(x, min), max)``.

    Args:
        x: a tensor of a real dtype.
        min, max: numbers or tensors, broadcast with `x`; None for no bound. Python numbers take
            the dtype of `x`, except that a float beside integers makes the result float32. Where
            min > max, the result is max.

    Returns:
        A tensor of the broadcast shape and the common dtype. Its gradient goes to `x` inside the
        closed interval, bounds included (so it is not halved as in `maximum`), and to the bound
        outside.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common real dtype.

    >>> import minigrad as mg
    >>> mg.clip([-2.0, 0.5, 3.0], -1, 1)
    Tensor([-1. ,  0.5,  1. ], shape=(3,), dtype=float32)
    """
    return bind(clip, x, min, max)


@clip.kernel
def _(xp: Any, x: Array, min: Array | None = None, max: Array | None = None) -> Any:
    if min is not None:
        x = xp.maximum(x, min)
    return x if max is None else xp.minimum(x, max)


@clip.scalar
def _(s: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = s.maximum(x, min)
    return x if max is None else s.minimum(x, max)


@clip.gradient(saves=("x", "min", "max"))
def _(c: Ctx) -> Grads:
    (g,), (x, low, high) = c.grads, c.inputs
    for_low = for_high = None
    if high is not None:
        over = (x if low is None else maximum(x, low)) > high
        for_high = where(over, g, 0) if c.needs[2] else None
        g = where(over, 0, g)
    if low is not None:
        under = x < low
        for_low = where(under, g, 0) if c.needs[1] else None
        g = where(under, 0, g)
    return g, for_low, for_high

"""Rounding to whole numbers. The gradients are zero, which they are wherever they exist."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.ops.elementwise_samples import REFUSES_TEXT, unary

__all__ = ["ceil", "floor", "round", "trunc"]

_INTEGERS = Sample(np.array([3, -2])).named("integers")
_KINK = Sample(np.array([-1.0, 0.0, 2.0])).expecting([0.0, 0.0, 0.0]).named("whole numbers")


@primitive(
    "Floor",
    elementwise=True,
    accepts="real",
    numpy=np.floor,
    samples=unary(0.1, 0.9, _INTEGERS, _KINK),
    errors=REFUSES_TEXT,
)
def floor(x: TensorLike, /) -> Tensor:
    """The largest whole number not above x, elementwise. Integers are returned as they are.

    Args:
        x: a tensor of a real dtype, which the result keeps.

    >>> import minigrad as mg
    >>> mg.floor([1.7, -1.2])
    Tensor([ 1., -2.], shape=(2,), dtype=float32)
    """
    return bind(floor, x)


@floor.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.floor(x)


@floor.scalar
def _(s: Any, x: Any) -> Any:
    return s.floor(x)


@floor.gradient()
def _(c: Ctx) -> Grads:
    return None


@primitive(
    "Ceil",
    elementwise=True,
    accepts="real",
    numpy=np.ceil,
    samples=unary(0.1, 0.9, _INTEGERS, _KINK),
    errors=REFUSES_TEXT,
)
def ceil(x: TensorLike, /) -> Tensor:
    """The smallest whole number not below x, elementwise. Integers are returned as they are.

    Args:
        x: a tensor of a real dtype, which the result keeps.

    >>> import minigrad as mg
    >>> mg.ceil([1.2, -1.7])
    Tensor([ 2., -1.], shape=(2,), dtype=float32)
    """
    return bind(ceil, x)


@ceil.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.ceil(x)


@ceil.scalar
def _(s: Any, x: Any) -> Any:
    return s.ceil(x)


@ceil.gradient()
def _(c: Ctx) -> Grads:
    return None


@primitive(
    "Trunc",
    elementwise=True,
    accepts="real",
    numpy=np.trunc,
    samples=unary(0.1, 0.9, _INTEGERS, _KINK),
    errors=REFUSES_TEXT,
)
def trunc(x: TensorLike, /) -> Tensor:
    """x without its fraction, elementwise: rounded toward zero. Integers are returned as they are.

    Args:
        x: a tensor of a real dtype, which the result keeps.

    >>> import minigrad as mg
    >>> mg.trunc([1.7, -1.7])
    Tensor([ 1., -1.], shape=(2,), dtype=float32)
    """
    return bind(trunc, x)


@trunc.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.trunc(x)


@trunc.scalar
def _(s: Any, x: Any) -> Any:
    return s.trunc(x)


@trunc.gradient()
def _(c: Ctx) -> Grads:
    return None


@primitive(
    "Round",
    elementwise=True,
    accepts="numeric",
    # Not np.rint, which turns integers into floats.
    numpy=np.round,
    samples=unary(0.6, 1.4, _INTEGERS, Sample(np.array([1.5 - 2.5j]))),
    errors=REFUSES_TEXT,
)
def round(x: TensorLike, /) -> Tensor:
    """The nearest whole number, elementwise; a half goes to the even one (2.5 to 2, 3.5 to 4).

    Args:
        x: a tensor of a numeric dtype, which the result keeps. Integers are returned as they are,
            complex numbers are rounded in both parts.

    >>> import minigrad as mg
    >>> mg.round([0.5, 1.5, 2.5, -1.7])
    Tensor([ 0.,  2.,  2., -2.], shape=(4,), dtype=float32)
    """
    return bind(round, x)


@round.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.round(x)


@round.scalar
def _(s: Any, x: Any) -> Any:
    return s.rint(x)


@round.gradient()
def _(c: Ctx) -> Grads:
    return None

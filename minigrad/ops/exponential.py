"""Exponentials and logarithms, and functions made of them that must not overflow on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import special
from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.ops.comparison import isnan
from minigrad.ops.elementwise import xdivy
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, REFUSES_TEXT, binary, unary
from minigrad.ops.selection import where

__all__ = [
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "sigmoid",
    "softplus",
    "xlogy",
]

_INTEGERS = Sample(np.array([1, 2])).named("integers")
_FAR = np.array([-1000.0, 0.0, 1000.0])


@primitive(
    "Exp",
    elementwise=True,
    accepts="float",
    numpy=np.exp,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def exp(x: TensorLike, /) -> Tensor:
    """e to the power of x, elementwise.

    Args:
        x: a tensor of a floating or complex dtype, which the result keeps; integers and bools
            become float32.

    >>> import minigrad as mg
    >>> f"{mg.exp(1.0):.5f}"
    '2.71828'
    """
    return bind(exp, x)


@exp.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.exp(x)


@exp.scalar
def _(s: Any, x: Any) -> Any:
    return s.exp(x)


@exp.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * c.outputs[0]


@primitive(
    "Expm1",
    elementwise=True,
    accepts="float",
    numpy=np.expm1,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def expm1(x: TensorLike, /) -> Tensor:
    """exp(x) - 1, elementwise, to full accuracy also near 0. Dtypes as in `exp`.

    >>> import minigrad as mg
    >>> mg.expm1([0.0, 1e-10])
    Tensor([0.e+00, 1.e-10], shape=(2,), dtype=float32)
    """
    return bind(expm1, x)


@expm1.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.expm1(x)


@expm1.scalar
def _(s: Any, x: Any) -> Any:
    return s.expm1(x)


@expm1.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * (c.outputs[0] + 1)


def _at_zero(slope: float) -> Sample:
    """A logarithm at 0, where its gradient is infinite."""
    return Sample(np.array([0.0, 2.0])).named("zero").expecting([np.inf, slope])


@primitive(
    "Log",
    elementwise=True,
    accepts="float",
    numpy=np.log,
    samples=unary(0.5, 2, _INTEGERS, _at_zero(0.5)),
    errors=REFUSES_TEXT,
)
def log(x: TensorLike, /) -> Tensor:
    """The natural logarithm, elementwise; -inf at 0, nan for negative numbers. Dtypes as in `exp`.

    The gradient is 1/x; where the upstream gradient is 0 (masked elements) it is 0 also at x = 0,
    where TensorFlow's is nan.

    >>> import minigrad as mg
    >>> f"{mg.log(10.0):.5f}"
    '2.30259'
    """
    return bind(log, x)


@log.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.log(x)


@log.scalar
def _(s: Any, x: Any) -> Any:
    return s.log(x)


@log.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return xdivy(c.grads[0], c.inputs[0])


@primitive(
    "Log1p",
    elementwise=True,
    accepts="float",
    numpy=np.log1p,
    samples=unary(
        -0.5, 2, _INTEGERS, Sample(np.array([-1.0, 1.0])).named("pole").expecting([np.inf, 0.5])
    ),
    errors=REFUSES_TEXT,
)
def log1p(x: TensorLike, /) -> Tensor:
    """log(1 + x), elementwise, to full accuracy also near 0. Dtypes and masking as in `log`.

    >>> import minigrad as mg
    >>> mg.log1p([0.0, 1e-10])
    Tensor([0.e+00, 1.e-10], shape=(2,), dtype=float32)
    """
    return bind(log1p, x)


@log1p.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.log1p(x)


@log1p.scalar
def _(s: Any, x: Any) -> Any:
    return s.log1p(x)


@log1p.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return xdivy(c.grads[0], c.inputs[0] + 1)


@primitive(
    "Log2",
    elementwise=True,
    accepts="float",
    numpy=np.log2,
    samples=unary(0.5, 2, _INTEGERS, _at_zero(0.5 / math.log(2))),
    errors=REFUSES_TEXT,
)
def log2(x: TensorLike, /) -> Tensor:
    """The logarithm to base 2, elementwise. Dtypes, zeros and masking as in `log`.

    >>> import minigrad as mg
    >>> mg.log2([1, 8])
    Tensor([0., 3.], shape=(2,), dtype=float32)
    """
    return bind(log2, x)


@log2.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.log2(x)


@log2.scalar
def _(s: Any, x: Any) -> Any:
    return s.log2(x)


@log2.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return xdivy(c.grads[0] * (1 / math.log(2)), c.inputs[0])


@primitive(
    "Log10",
    elementwise=True,
    accepts="float",
    numpy=np.log10,
    samples=unary(0.5, 2, _INTEGERS, _at_zero(0.5 / math.log(10))),
    errors=REFUSES_TEXT,
)
def log10(x: TensorLike, /) -> Tensor:
    """The logarithm to base 10, elementwise. Dtypes, zeros and masking as in `log`.

    >>> import minigrad as mg
    >>> f"{mg.log10(1000.0):.5f}"
    '3.00000'
    """
    return bind(log10, x)


@log10.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.log10(x)


@log10.scalar
def _(s: Any, x: Any) -> Any:
    return s.log10(x)


@log10.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return xdivy(c.grads[0] * (1 / math.log(10)), c.inputs[0])


def _numpy_sigmoid(x: Array) -> Any:
    """The kernel's formula in the dtype of `x`, which is fast, and good to 4 ulp in float32."""
    below = np.asarray(np.abs(x))
    np.negative(below, out=below)
    np.exp(below, out=below)
    below += 1
    made = np.asarray(np.minimum(x, 0))
    np.exp(made, out=made)
    made /= below
    return made


@primitive(
    "Sigmoid",
    elementwise=True,
    accepts="real_float",
    numpy=_numpy_sigmoid,
    samples=unary(
        -2, 2, _INTEGERS, Sample(_FAR).named("saturated").expecting(np.array([0.0, 0.25, 0.0]))
    ),
    errors=REFUSES_TEXT,
)
def sigmoid(x: TensorLike, /) -> Tensor:
    """1 / (1 + exp(-x)), elementwise; no intermediate result overflows.

    Args:
        x: a tensor of a real floating dtype, which the result keeps; integers become float32.

    >>> import minigrad as mg
    >>> mg.sigmoid([-1000.0, 0.0, 1000.0])
    Tensor([0. , 0.5, 1. ], shape=(3,), dtype=float32)
    """
    return bind(sigmoid, x)


@sigmoid.kernel
def _(xp: Any, x: Array) -> Any:
    return special.sigmoid(xp, x)


@sigmoid.scalar
def _(s: Any, x: Any) -> Any:
    return s.sigmoid(x)


@sigmoid.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return c.grads[0] * (y * (1 - y))


@primitive(
    "Softplus",
    elementwise=True,
    accepts="real_float",
    numpy=lambda x: np.logaddexp(x, x.dtype.type(0)),
    samples=unary(
        -2, 2, _INTEGERS, Sample(_FAR).named("saturated").expecting(np.array([0.0, 0.5, 1.0]))
    ),
    errors=REFUSES_TEXT,
)
def softplus(x: TensorLike, /) -> Tensor:
    """log(1 + exp(x)), elementwise; no intermediate result overflows. Dtypes as in `sigmoid`.

    >>> import minigrad as mg
    >>> f"{mg.softplus(0.0):.5f}"
    '0.69315'
    """
    return bind(softplus, x)


@softplus.kernel
def _(xp: Any, x: Array) -> Any:
    return special.softplus(xp, x)


@softplus.scalar
def _(s: Any, x: Any) -> Any:
    return s.softplus(x)


@softplus.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * sigmoid(c.inputs[0])


@primitive(
    "LogAddExp",
    elementwise=True,
    accepts="real_float",
    numpy=np.logaddexp,
    samples=binary(
        -2,
        2,
        -2,
        2,
        Sample(np.array([1, 2]), np.array([2, 1])).named("integers"),
        Sample(
            np.array([-np.inf, -np.inf, np.inf, np.inf, 1000.0]),
            np.array([-np.inf, 0.0, 0.0, np.inf, -1000.0]),
        )
        .named("infinities")
        .expecting([0.5, 0.0, 1.0, 0.5, 1.0], [0.5, 1.0, 0.0, 0.5, 0.0]),
    ),
    errors=BINARY_REFUSALS,
)
def logaddexp(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """log(exp(x1) + exp(x2)), elementwise; no intermediate result overflows.

    The gradient is sigmoid(x1 - x2) for `x1` and the rest for `x2`; two equal infinities share it
    equally.

    Args:
        x1, x2: tensors of real dtypes whose shapes broadcast; integers become float32.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common real dtype.

    >>> import minigrad as mg
    >>> f"{mg.logaddexp(0.0, 1.0):.5f}"
    '1.31326'
    """
    return bind(logaddexp, x1, x2)


@logaddexp.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return special.logaddexp(xp, x1, x2)


@logaddexp.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.logaddexp(x1, x2)


@logaddexp.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    distance = x1 - x2
    # Equal infinities. At finite ties the distance must stay, for the second derivative.
    distance = where(isnan(distance), 0, distance)
    return (
        g * sigmoid(distance) if c.needs[0] else None,
        g * sigmoid(-distance) if c.needs[1] else None,
    )


def _numpy_xlogy(x1: Array, x2: Array) -> Array:
    """The plain formula in the dtype of the operands, which is fast, and good to 4 ulp."""
    return np.where((x1 == 0) & ~np.isnan(x2), x1.dtype.type(0), x1 * np.log(x2))


@primitive(
    "Xlogy",
    elementwise=True,
    accepts="real_float",
    numpy=_numpy_xlogy,
    samples=binary(
        -2,
        2,
        0.5,
        2,
        Sample(np.array([0, 2]), np.array([0, 1])).named("integers"),
        Sample(np.zeros(3), np.array([0.0, -1.0, 2.0]))
        .named("zero")
        .expecting([0.0, 0.0, np.log(2.0)], np.zeros(3)),
        Sample(np.array([2.0]), np.array([0.0])).named("pole").expecting([-np.inf], [np.inf]),
    ),
    errors=BINARY_REFUSALS,
)
def xlogy(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 * log(x2), elementwise, and 0 where x1 = 0, as entropies want it.

    The gradients are log(x2) and x1 / x2; where x1 = 0 and x2 <= 0 both are 0. Shapes, dtypes and
    errors as in `logaddexp`.

    >>> import minigrad as mg
    >>> f"{mg.xlogy(0.5, 0.5):.5f}"
    '-0.34657'
    """
    return bind(xlogy, x1, x2)


@xlogy.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return special.xlogy(xp, x1, x2)


@xlogy.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    zero = s.and_(s.compare("==", x1, 0.0), s.compare("==", x2, x2))
    return s.select(zero, 0.0, s.mul(x1, s.log(x2)))


@xlogy.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    first = None
    if c.needs[0]:
        first = xlogy(g, where((x1 == 0) & (x2 <= 0), 1, x2))
    return first, xdivy(g * x1, x2) if c.needs[1] else None

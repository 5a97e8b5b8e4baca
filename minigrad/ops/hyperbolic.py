"""Hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.ops.elementwise import xdivy
from minigrad.ops.elementwise_samples import REFUSES_TEXT, unary
from minigrad.ops.powers import sqrt
from minigrad.ops.trigonometric import one_minus_square

__all__ = ["acosh", "asinh", "atanh", "cosh", "sinh", "tanh"]

_INTEGERS = Sample(np.array([1, 1])).named("integers")


@primitive(
    "Sinh",
    elementwise=True,
    accepts="float",
    numpy=np.sinh,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def sinh(x: TensorLike, /) -> Tensor:
    """The hyperbolic sine, (exp(x) - exp(-x)) / 2, elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.sinh(1.0):.5f}"
    '1.17520'
    """
    return bind(sinh, x)


@sinh.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.sinh(x)


@sinh.scalar
def _(s: Any, x: Any) -> Any:
    return s.sinh(x)


@sinh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * cosh(c.inputs[0])


@primitive(
    "Cosh",
    elementwise=True,
    accepts="float",
    numpy=np.cosh,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def cosh(x: TensorLike, /) -> Tensor:
    """The hyperbolic cosine, (exp(x) + exp(-x)) / 2, elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.cosh(1.0):.5f}"
    '1.54308'
    """
    return bind(cosh, x)


@cosh.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.cosh(x)


@cosh.scalar
def _(s: Any, x: Any) -> Any:
    return s.cosh(x)


@cosh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * sinh(c.inputs[0])


@primitive(
    "Tanh",
    elementwise=True,
    accepts="float",
    numpy=np.tanh,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def tanh(x: TensorLike, /) -> Tensor:
    """The hyperbolic tangent, sinh(x) / cosh(x), elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.tanh(1.0):.5f}"
    '0.76159'
    """
    return bind(tanh, x)


@tanh.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.tanh(x)


@tanh.scalar
def _(s: Any, x: Any) -> Any:
    return s.tanh(x)


@tanh.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return c.grads[0] * (1 - y * y)


@primitive(
    "Asinh",
    elementwise=True,
    accepts="float",
    numpy=np.arcsinh,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def asinh(x: TensorLike, /) -> Tensor:
    """The number whose hyperbolic sine is x, elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.asinh(1.0):.5f}"
    '0.88137'
    """
    return bind(asinh, x)


@asinh.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.asinh(x)


@asinh.scalar
def _(s: Any, x: Any) -> Any:
    return s.asinh(x)


@asinh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    return c.grads[0] / sqrt(x * x + 1)


@primitive(
    "Acosh",
    elementwise=True,
    accepts="float",
    numpy=np.arccosh,
    samples=unary(
        1.5, 3, _INTEGERS, Sample(np.array([1.0, np.sqrt(2)])).named("end").expecting([np.inf, 1.0])
    ),
    errors=REFUSES_TEXT,
)
def acosh(x: TensorLike, /) -> Tensor:
    """The number >= 0 whose hyperbolic cosine is x, elementwise; nan below 1.

    Dtypes as in `sin`. The gradient at 1 is infinite, but 0 where the upstream gradient is 0 (as
    for `sqrt`).

    >>> import minigrad as mg
    >>> f"{mg.acosh(2.0):.5f}"
    '1.31696'
    """
    return bind(acosh, x)


@acosh.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.acosh(x)


@acosh.scalar
def _(s: Any, x: Any) -> Any:
    return s.acosh(x)


@acosh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    # Two roots, because x * x could overflow; one after the other, because at 1 the derivative of
    # their product would be inf * 0.
    return xdivy(xdivy(c.grads[0], sqrt(x - 1)), sqrt(x + 1))


@primitive(
    "Atanh",
    elementwise=True,
    accepts="float",
    numpy=np.arctanh,
    samples=unary(
        -0.8,
        0.8,
        Sample(np.array([0, 1])).named("integers"),
        Sample(np.array([-1.0, 0.0, 1.0])).named("ends").expecting([np.inf, 1.0, np.inf]),
    ),
    errors=REFUSES_TEXT,
)
def atanh(x: TensorLike, /) -> Tensor:
    """The number whose hyperbolic tangent is x, elementwise; nan outside [-1, 1].

    Dtypes as in `sin`. The gradient at -1 and 1 is infinite, but 0 where the upstream gradient is
    0 (as for `sqrt`).

    >>> import minigrad as mg
    >>> f"{mg.atanh(0.5):.5f}"
    '0.54931'
    """
    return bind(atanh, x)


@atanh.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.atanh(x)


@atanh.scalar
def _(s: Any, x: Any) -> Any:
    return s.atanh(x)


@atanh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    return xdivy(c.grads[0], one_minus_square(x))

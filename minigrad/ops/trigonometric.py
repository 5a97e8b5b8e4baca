"""Trigonometric functions and their inverses. Angles are in radians."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.ops.elementwise import xdivy
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, REFUSES_TEXT, binary, unary
from minigrad.ops.powers import hypot, sqrt

__all__ = ["acos", "asin", "atan", "atan2", "cos", "sin", "tan"]

_INTEGERS = Sample(np.array([1, 1])).named("integers")


@primitive(
    "OneMinusSquare",
    elementwise=True,
    accepts="float",
    numpy=lambda x: (1 - x) * (1 + x),
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def one_minus_square(x: TensorLike, /) -> Tensor:
    """1 - x², without the rounding error of x² near 1; gradients of the inverses divide by it.

    It is an op of its own for its derivative: by the rule of products that of (1 - x) (1 + x)
    comes in two parts, and where what flows back is infinite one of them is inf * 0, at -1 and 1.

    >>> import minigrad as mg
    >>> from minigrad.ops.trigonometric import one_minus_square
    >>> one_minus_square(0.5)
    Tensor(0.75, shape=(), dtype=float32)
    """
    return bind(one_minus_square, x)


@one_minus_square.kernel
def _(xp: Any, x: Array) -> Any:
    return (1 - x) * (1 + x)


@one_minus_square.scalar
def _(s: Any, x: Any) -> Any:
    return s.mul(s.sub(1.0, x), s.add(x, 1.0))


@one_minus_square.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    x: Tensor = c.inputs[0]
    return c.grads[0] * (x * -2)


@primitive(
    "Sin",
    elementwise=True,
    accepts="float",
    numpy=np.sin,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def sin(x: TensorLike, /) -> Tensor:
    """The sine, elementwise.

    Args:
        x: a tensor of a floating or complex dtype, which the result keeps; integers and bools
            become float32.

    >>> import minigrad as mg
    >>> f"{mg.sin(1.0):.5f}"
    '0.84147'
    """
    return bind(sin, x)


@sin.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.sin(x)


@sin.scalar
def _(s: Any, x: Any) -> Any:
    return s.sin(x)


@sin.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * cos(c.inputs[0])


@primitive(
    "Cos",
    elementwise=True,
    accepts="float",
    numpy=np.cos,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def cos(x: TensorLike, /) -> Tensor:
    """The cosine, elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.cos(1.0):.5f}"
    '0.54030'
    """
    return bind(cos, x)


@cos.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.cos(x)


@cos.scalar
def _(s: Any, x: Any) -> Any:
    return s.cos(x)


@cos.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return -c.grads[0] * sin(c.inputs[0])


@primitive(
    "Tan",
    elementwise=True,
    accepts="float",
    numpy=np.tan,
    samples=unary(-1, 1, _INTEGERS),
    errors=REFUSES_TEXT,
)
def tan(x: TensorLike, /) -> Tensor:
    """The tangent, elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.tan(1.0):.5f}"
    '1.55741'
    """
    return bind(tan, x)


@tan.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.tan(x)


@tan.scalar
def _(s: Any, x: Any) -> Any:
    return s.tan(x)


@tan.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return c.grads[0] * (y * y + 1)


@primitive(
    "Asin",
    elementwise=True,
    accepts="float",
    numpy=np.arcsin,
    samples=unary(
        -0.8,
        0.8,
        _INTEGERS,
        Sample(np.array([-1.0, 0.0, 1.0])).named("ends").expecting([np.inf, 1.0, np.inf]),
    ),
    errors=REFUSES_TEXT,
)
def asin(x: TensorLike, /) -> Tensor:
    """The angle in [-pi/2, pi/2] whose sine is x, elementwise; nan outside [-1, 1].

    Dtypes as in `sin`. The gradient at -1 and 1 is infinite, but 0 where the upstream gradient is
    0 (as for `sqrt`).

    >>> import minigrad as mg
    >>> f"{mg.asin(1.0):.5f}"
    '1.57080'
    """
    return bind(asin, x)


@asin.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.asin(x)


@asin.scalar
def _(s: Any, x: Any) -> Any:
    return s.asin(x)


@asin.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    return xdivy(c.grads[0], sqrt(one_minus_square(x)))


@primitive(
    "Acos",
    elementwise=True,
    accepts="float",
    numpy=np.arccos,
    samples=unary(
        -0.8,
        0.8,
        _INTEGERS,
        Sample(np.array([-1.0, 0.0, 1.0])).named("ends").expecting([-np.inf, -1.0, -np.inf]),
    ),
    errors=REFUSES_TEXT,
)
def acos(x: TensorLike, /) -> Tensor:
    """The angle in [0, pi] whose cosine is x, elementwise; nan outside [-1, 1].

    Dtypes as in `sin`. The gradient at -1 and 1 is infinite, but 0 where the upstream gradient is
    0 (as for `sqrt`).

    >>> import minigrad as mg
    >>> f"{mg.acos(0.0):.5f}"
    '1.57080'
    """
    return bind(acos, x)


@acos.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.acos(x)


@acos.scalar
def _(s: Any, x: Any) -> Any:
    return s.acos(x)


@acos.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    return -xdivy(c.grads[0], sqrt(one_minus_square(x)))


@primitive(
    "Atan",
    elementwise=True,
    accepts="float",
    numpy=np.arctan,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def atan(x: TensorLike, /) -> Tensor:
    """The angle in [-pi/2, pi/2] whose tangent is x, elementwise. Dtypes as in `sin`.

    >>> import minigrad as mg
    >>> f"{mg.atan(1.0):.5f}"
    '0.78540'
    """
    return bind(atan, x)


@atan.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.atan(x)


@atan.scalar
def _(s: Any, x: Any) -> Any:
    return s.atan(x)


@atan.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    x: Tensor = c.inputs[0]
    return c.grads[0] / (x * x + 1)


@primitive(
    "Atan2",
    elementwise=True,
    accepts="real_float",
    numpy=np.arctan2,
    samples=binary(
        -2,
        2,
        0.5,
        2,
        Sample(np.array([1, -1]), np.array([-1, -1])).named("integers"),
        Sample(np.zeros(2), np.array([0.0, 1.0])).named("origin").expecting([0.0, 1.0], [0.0, 0.0]),
    ),
    errors=BINARY_REFUSALS,
)
def atan2(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The angle of the point with ordinate x1 and abscissa x2, in [-pi, pi], elementwise.

    The gradient at the origin, where no angle exists, is 0.

    Args:
        x1, x2: tensors of real dtypes whose shapes broadcast; integers become float32.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common real dtype.

    >>> import minigrad as mg
    >>> f"{mg.atan2(1.0, -1.0):.5f}"
    '2.35619'
    """
    return bind(atan2, x1, x2)


@atan2.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.atan2(x1, x2)


@atan2.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.atan2(x1, x2)


@atan2.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    # Divided twice by the distance: its square may overflow, or vanish, where the slope does not.
    distance = hypot(x1, x2)
    return (
        xdivy(g * xdivy(x2, distance), distance) if c.needs[0] else None,
        -xdivy(g * xdivy(x1, distance), distance) if c.needs[1] else None,
    )

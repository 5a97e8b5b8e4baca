"""Powers and roots."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.ops.elementwise import xdivy
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, REFUSES_TEXT, binary, unary
from minigrad.ops.exponential import log
from minigrad.ops.selection import where

__all__ = ["cbrt", "hypot", "pow", "reciprocal", "rsqrt", "sqrt", "square"]

_INTEGERS = Sample(np.array([1, 4])).named("integers")


@primitive(
    "Pow",
    elementwise=True,
    accepts="numeric",
    numpy=np.power,
    samples=binary(
        0.5,
        2,
        -2,
        2,
        Sample(np.array([-1.5, 0.0, 2.0]), 3).named("negative base, whole exponent"),
        Sample(np.array([-1.5, 0.0, 2.0]), 2.0).named("square"),
        Sample(np.array([2, -3]), np.array([3, 2])).named("integers"),
        Sample(np.zeros(5), np.array([3.0, 2.0, 1.0, 0.5, 0.0]))
        .named("zero base")
        .expecting([0.0, 0.0, 1.0, np.inf, 0.0], np.zeros(5)),
        Sample(np.array([-2.0, 0.0, 3.0]), 0).named("zero exponent").expecting(np.zeros(3)),
    ),
    errors=BINARY_REFUSALS,
)
def pow(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 to the power of x2, elementwise; also the operator ``**``.

    The gradient for `x1` is ``x2 * x1**(x2 - 1)``, and 0 where x2 = 0 (also at x1 = 0). For `x2`
    it is ``x1**x2 * log(x1)``, 0 where x1 = 0 and x2 >= 0, and nan where x1 < 0: between two whole
    exponents such a power does not exist.

    Args:
        x1, x2: numeric tensors whose shapes broadcast. An integer and a float give a float; two
            integers give an integer, and the exponent must then not be negative.

    Returns:
        A tensor of the broadcast shape and the common dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common numeric dtype.
        ValueError: an integer to a negative integer power; write ``x ** -1.0``.

    >>> import minigrad as mg
    >>> mg.pow([1.0, 2.0, 3.0], 2)
    Tensor([1., 4., 9.], shape=(3,), dtype=float32)
    """
    return bind(pow, x1, x2)


@pow.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.pow(x1, x2)


@pow.lowering
def _(b: Any, x1: Any, x2: Any) -> Any:
    if x2.dtype.kind == "i":
        b.check(b.map("GreaterEqual", x2, 0))
    return NotImplemented


@pow.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.pow(x1, x2)


@pow.gradient(saves=("x1", "x2", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2), (y,) = c.grads, c.inputs, c.outputs
    for_base = for_exponent = None
    if c.needs[0]:
        base = x1
        if not _at_least_one(x2):
            # Where the slope at 0 is infinite, but multiplied by 0: any other base will do.
            vanishes = (x2 == 0) | ((g == 0) & (x2 < 1))
            base = where((x1 == 0) & vanishes, 1, x1)
        for_base = g * (x2 * base ** (x2 - 1))
    if c.needs[1]:
        for_exponent = g * (y * log(where((x1 == 0) & (x2 >= 0), 1, x1)))
    return for_base, for_exponent


def _at_least_one(exponent: Tensor) -> bool:
    """Whether an exponent is known to be 1 or more, where the slope at 0 is finite."""
    if isinstance(exponent, ConcreteTensor):
        return bool((exponent._value >= 1).all())
    if isinstance(exponent, SymbolicTensor) and exponent.op.type == "Const":
        return bool((exponent.op.attrs["value"].array >= 1).all())
    return False


@primitive(
    "Square",
    elementwise=True,
    accepts="numeric",
    numpy=np.square,
    samples=unary(-2, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def square(x: TensorLike, /) -> Tensor:
    """x * x, elementwise, for a tensor of any numeric dtype, which the result keeps.

    >>> import minigrad as mg
    >>> mg.square([1.0, -3.0])
    Tensor([1., 9.], shape=(2,), dtype=float32)
    """
    return bind(square, x)


@square.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.square(x)


@square.scalar
def _(s: Any, x: Any) -> Any:
    return s.square(x)


@square.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    x: Tensor = c.inputs[0]
    return c.grads[0] * (x * 2)


@primitive(
    "Reciprocal",
    elementwise=True,
    accepts="float",
    numpy=np.reciprocal,
    samples=unary(0.5, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def reciprocal(x: TensorLike, /) -> Tensor:
    """1 / x, elementwise. Integers become float32 (NumPy rounds them to 0).

    >>> import minigrad as mg
    >>> mg.reciprocal([1, 4])
    Tensor([1.  , 0.25], shape=(2,), dtype=float32)
    """
    return bind(reciprocal, x)


@reciprocal.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.reciprocal(x)


@reciprocal.scalar
def _(s: Any, x: Any) -> Any:
    return s.reciprocal(x)


@reciprocal.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return -c.grads[0] * (y * y)


@primitive(
    "Sqrt",
    elementwise=True,
    accepts="float",
    numpy=np.sqrt,
    samples=unary(
        0.5, 2, _INTEGERS, Sample(np.array([0.0, 4.0])).named("zero").expecting([np.inf, 0.25])
    ),
    errors=REFUSES_TEXT,
)
def sqrt(x: TensorLike, /) -> Tensor:
    """The square root, elementwise; nan for negative numbers. Integers become float32.

    The gradient at 0 is inf, as calculus has it; but where the upstream gradient is 0 (masked
    elements) it is 0 and never nan, unlike TensorFlow's.

    >>> import minigrad as mg
    >>> mg.sqrt([1, 4])
    Tensor([1., 2.], shape=(2,), dtype=float32)
    """
    return bind(sqrt, x)


@sqrt.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.sqrt(x)


@sqrt.scalar
def _(s: Any, x: Any) -> Any:
    return s.sqrt(x)


@sqrt.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    return xdivy(c.grads[0] * 0.5, c.outputs[0])


@primitive(
    "Rsqrt",
    elementwise=True,
    accepts="float",
    numpy=lambda x: np.reciprocal(np.sqrt(x)),
    samples=unary(0.5, 2, _INTEGERS),
    errors=REFUSES_TEXT,
)
def rsqrt(x: TensorLike, /) -> Tensor:
    """1 / sqrt(x), elementwise; inf at 0 and nan for negative numbers. Integers become float32.

    >>> import minigrad as mg
    >>> mg.rsqrt([1, 4])
    Tensor([1. , 0.5], shape=(2,), dtype=float32)
    """
    return bind(rsqrt, x)


@rsqrt.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.reciprocal(xp.sqrt(x))


@rsqrt.scalar
def _(s: Any, x: Any) -> Any:
    return s.rsqrt(x)


@rsqrt.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return c.grads[0] * -0.5 * (y * y * y)


@primitive(
    "Cbrt",
    elementwise=True,
    accepts="real_float",
    numpy=np.cbrt,
    samples=unary(
        -2,
        -0.5,
        _INTEGERS,
        Sample(np.array([0.0, 8.0])).named("zero").expecting([np.inf, 1 / 12]),
    ),
    errors=REFUSES_TEXT,
)
def cbrt(x: TensorLike, /) -> Tensor:
    """The real cube root, elementwise, also of negative numbers. Integers become float32.

    The gradient at 0 is inf, and 0 where the upstream gradient is 0, as in `sqrt`.

    >>> import minigrad as mg
    >>> f"{mg.cbrt(-27.0):.5f}"
    '-3.00000'
    """
    return bind(cbrt, x)


@cbrt.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.cbrt(x)


@cbrt.scalar
def _(s: Any, x: Any) -> Any:
    return s.cbrt(x)


@cbrt.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return xdivy(c.grads[0] / 3, y * y)


@primitive(
    "Hypot",
    elementwise=True,
    accepts="real_float",
    numpy=np.hypot,
    samples=binary(
        0.5,
        2,
        -2,
        -0.5,
        Sample(np.array([3, 5]), np.array([4, 12])).named("integers"),
        Sample(np.array([0.0, 3.0]), np.array([0.0, 0.0]))
        .named("zero")
        .expecting([0.0, 1.0], [0.0, 0.0]),
    ),
    errors=BINARY_REFUSALS,
)
def hypot(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """sqrt(x1**2 + x2**2) without overflow on the way, elementwise. Integers become float32.

    The gradient where both are 0 is 0, as for every norm here.

    Args:
        x1, x2: tensors of real dtypes whose shapes broadcast.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common real dtype.

    >>> import minigrad as mg
    >>> mg.hypot([3.0, 5.0], [4.0, 12.0])
    Tensor([ 5., 13.], shape=(2,), dtype=float32)
    """
    return bind(hypot, x1, x2)


@hypot.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.hypot(x1, x2)


@hypot.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.hypot(x1, x2)


@hypot.gradient(saves=("x1", "x2", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2), (y,) = c.grads, c.inputs, c.outputs
    return (
        g * xdivy(x1, y) if c.needs[0] else None,
        g * xdivy(x2, y) if c.needs[1] else None,
    )

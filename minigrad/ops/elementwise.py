"""Arithmetic on elements: sums, products, quotients and remainders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, REFUSES_TEXT, binary, unary
from minigrad.ops.rounding import round
from minigrad.shapes import Shape, Spec, compatible, merge, show

__all__ = [
    "add",
    "add_n",
    "divide",
    "floor_divide",
    "fmod",
    "multiply",
    "negative",
    "positive",
    "remainder",
    "subtract",
    "xdivy",
]

_INTEGERS = Sample(np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])).named("integers")
#: Numerators that keep away from the multiples of the denominators, where remainders jump.
_QUOTIENT = Sample(np.array([5.3, -5.3, 0.4]), np.array([2.0, 1.9, -3.0])).named("signs")


@primitive(
    "Add",
    elementwise=True,
    accepts="numeric",
    numpy=np.add,
    samples=binary(-2, 2, -2, 2, _INTEGERS),
    errors=BINARY_REFUSALS,
)
def add(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 + x2, elementwise; also the operator ``+``.

    Args:
        x1, x2: numeric tensors whose shapes broadcast. Integers wrap around.

    Returns:
        A tensor of the broadcast shape and the common dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common numeric dtype.

    >>> import minigrad as mg
    >>> mg.add([1.0, 2.0], 10)
    Tensor([11., 12.], shape=(2,), dtype=float32)
    """
    return bind(add, x1, x2)


@add.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.add(x1, x2)


@add.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.add(x1, x2)


@add.gradient()
def _(c: Ctx) -> Grads:
    (g,) = c.grads
    return g, g


@primitive(
    "Sub",
    elementwise=True,
    accepts="numeric",
    numpy=np.subtract,
    samples=binary(-2, 2, -2, 2, _INTEGERS),
    errors=BINARY_REFUSALS,
)
def subtract(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 - x2, elementwise; also the operator ``-``. Shapes, dtypes and errors as in `add`.

    >>> import minigrad as mg
    >>> mg.subtract([1.0, 2.0], 10)
    Tensor([-9., -8.], shape=(2,), dtype=float32)
    """
    return bind(subtract, x1, x2)


@subtract.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.subtract(x1, x2)


@subtract.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.sub(x1, x2)


@subtract.gradient()
def _(c: Ctx) -> Grads:
    (g,) = c.grads
    return g, -g if c.needs[1] else None


@primitive(
    "Mul",
    elementwise=True,
    accepts="numeric",
    numpy=np.multiply,
    samples=binary(-2, 2, -2, 2, _INTEGERS),
    errors=BINARY_REFUSALS,
)
def multiply(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 * x2, elementwise; also the operator ``*``. Shapes, dtypes and errors as in `add`.

    >>> import minigrad as mg
    >>> mg.multiply([1.0, 2.0], 10)
    Tensor([10., 20.], shape=(2,), dtype=float32)
    """
    return bind(multiply, x1, x2)


@multiply.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.multiply(x1, x2)


@multiply.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.mul(x1, x2)


@multiply.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    return g * x2 if c.needs[0] else None, g * x1 if c.needs[1] else None


@primitive(
    "RealDiv",
    elementwise=True,
    accepts="float",
    numpy=np.divide,
    samples=binary(-2, 2, 0.5, 2, _INTEGERS),
    errors=BINARY_REFUSALS,
)
def divide(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 / x2, elementwise; also the operator ``/``. Shapes and errors as in `add`.

    Two integers are divided in float32 (NumPy uses float64). A division by zero gives inf or nan,
    silently unless `errstate` says otherwise; its gradient is then not finite either.

    >>> import minigrad as mg
    >>> mg.divide([1, 2], 4)
    Tensor([0.25, 0.5 ], shape=(2,), dtype=float32)
    """
    return bind(divide, x1, x2)


@divide.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.divide(x1, x2)


@divide.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.div(x1, x2)


@divide.gradient(saves=("x2", "y"))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    first = g / c.inputs[1]
    return first, -first * y if c.needs[1] else None


@primitive(
    "Xdivy",
    elementwise=True,
    accepts="float",
    numpy=lambda x1, x2: np.where(x1 == 0, x1, np.divide(x1, x2)),
    samples=binary(
        0.5,
        2,
        -2,
        -0.5,
        Sample(np.zeros(2), np.array([0.0, 2.0])).expecting([np.inf, 0.5], [0.0, 0.0]),
    ),
    errors=BINARY_REFUSALS,
)
def xdivy(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 / x2, elementwise, and 0 where x1 is 0, whatever x2 is (also 0 or nan).

    Gradients of functions with a vertical tangent (`sqrt` and `log` at 0) are written with it, so
    that what is masked out there (upstream gradient 0) stays 0 and does not become nan. The
    gradient for `x1` is upstream / x2 throughout, unlike TensorFlow's, which is 0 where x1 is 0.
    Shapes, dtypes and errors as in `divide`.

    >>> import minigrad as mg
    >>> mg.xdivy([0.0, 1.0, 1.0], [0.0, 0.0, 2.0])
    Tensor([0. , inf, 0.5], shape=(3,), dtype=float32)
    """
    return bind(xdivy, x1, x2)


@xdivy.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.where(x1 == 0, x1, xp.divide(x1, x2))


@xdivy.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.select(s.compare("==", x1, 0), x1, s.div(x1, x2))


@xdivy.gradient(saves=("x2", "y"))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    x2 = c.inputs[1]
    first = xdivy(g, x2) if c.needs[0] else None
    return first, xdivy(-g * y, x2) if c.needs[1] else None


@primitive(
    "FloorDiv",
    elementwise=True,
    accepts="real",
    numpy=np.floor_divide,
    samples=binary(2.1, 2.9, 0.6, 0.7, _INTEGERS, _QUOTIENT),
    errors=BINARY_REFUSALS,
)
def floor_divide(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 / x2 rounded down, elementwise; also the operator ``//``. Its gradient is zero.

    Signs follow Python's ``//``, also for integers. An integer division by zero gives 0, without
    a warning, as in NumPy; of floats it gives inf or nan. Shapes and errors as in `add`.

    >>> import minigrad as mg
    >>> mg.floor_divide([7, -7, 7], [2, 2, 0])
    Tensor([ 3, -4,  0], shape=(3,), dtype=int32)
    """
    return bind(floor_divide, x1, x2)


@floor_divide.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.floor_divide(x1, x2)


@floor_divide.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.floor_divide(x1, x2)


@floor_divide.gradient()
def _(c: Ctx) -> Grads:
    return None, None


@primitive(
    "FloorMod",
    elementwise=True,
    accepts="real",
    numpy=np.remainder,
    samples=binary(2.1, 2.3, 0.6, 0.7, _INTEGERS, _QUOTIENT),
    errors=BINARY_REFUSALS,
)
def remainder(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 - floor(x1 / x2) * x2, elementwise: has the sign of x2; also the operator ``%``.

    By zero it gives 0 for integers, without a warning, as in NumPy, and nan for floats. The
    gradient is 1 for x1 and -floor(x1 / x2) for x2. Shapes and errors as in `add`.

    >>> import minigrad as mg
    >>> mg.remainder([7, -7, 7], [3, 3, -3])
    Tensor([ 1,  2, -2], shape=(3,), dtype=int32)
    """
    return bind(remainder, x1, x2)


@remainder.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.remainder(x1, x2)


@remainder.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.remainder(x1, x2)


@remainder.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    return g, -g * floor_divide(x1, x2) if c.needs[1] else None


@primitive(
    "TruncateMod",
    elementwise=True,
    accepts="real",
    numpy=np.fmod,
    samples=binary(2.1, 2.3, 0.6, 0.7, _INTEGERS, _QUOTIENT),
    errors=BINARY_REFUSALS,
)
def fmod(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 - trunc(x1 / x2) * x2, elementwise: C's remainder, with the sign of x1.

    By zero as in `remainder`. The gradient is 1 for x1 and -trunc(x1 / x2) for x2. Shapes and
    errors as in `add`.

    >>> import minigrad as mg
    >>> mg.fmod([7, -7, 7], [3, 3, -3])
    Tensor([ 1, -1,  1], shape=(3,), dtype=int32)
    """
    return bind(fmod, x1, x2)


@fmod.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.fmod(x1, x2)


@fmod.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.fmod(x1, x2)


@fmod.gradient(saves=("x1", "x2", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2), (y,) = c.grads, c.inputs, c.outputs
    # trunc(x1 / x2) would be 10 for fmod(1, 0.1), whose value says 9.
    return g, -g * round((x1 - y) / x2) if c.needs[1] else None


@primitive(
    "Neg",
    elementwise=True,
    accepts="numeric",
    numpy=np.negative,
    samples=unary(-2, 2, Sample(np.array([3, -2]))),
    errors=REFUSES_TEXT,
)
def negative(x: TensorLike, /) -> Tensor:
    """-x, elementwise; also the operator ``-``. Unsigned integers wrap around.

    >>> import minigrad as mg
    >>> mg.negative([1.0, -2.0])
    Tensor([-1.,  2.], shape=(2,), dtype=float32)
    """
    return bind(negative, x)


@negative.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.negative(x)


@negative.scalar
def _(s: Any, x: Any) -> Any:
    return s.neg(x)


@negative.gradient()
def _(c: Ctx) -> Grads:
    return -c.grads[0]


@primitive(
    "Positive",
    elementwise=True,
    accepts="numeric",
    numpy=np.positive,
    samples=unary(-2, 2, Sample(np.array([3, -2]))),
    errors=REFUSES_TEXT,
)
def positive(x: TensorLike, /) -> Tensor:
    """x itself, elementwise; also the operator ``+``.

    >>> import minigrad as mg
    >>> mg.positive([1.0, -2.0])
    Tensor([ 1., -2.], shape=(2,), dtype=float32)
    """
    return bind(positive, x)


@positive.kernel
def _(xp: Any, x: Array) -> Any:
    return x


@positive.scalar
def _(s: Any, x: Any) -> Any:
    return x


@positive.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]


@primitive(
    "AddN",
    accepts="numeric",
    samples=lambda rng: [
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))]),
        Sample([rng.normal(size=())]).named("one"),
        Sample([np.zeros((0, 3)), np.zeros((0, 3))]).named("empty"),
        Sample([np.array([1, 2]), np.array([0.5, 0.5], np.float32)]).named("mixed dtypes"),
    ],
    errors=[
        Fails(ShapeError, r"same shape.*\(2,\).*\(1,\)", [np.ones(2), np.ones(1)]),
        Fails(DTypeError, "text", [np.array(["a"], object), np.ones(1)]),
        Fails(ArgumentError, "at least one", []),
    ],
)
def add_n(inputs: Sequence[TensorLike], /) -> Tensor:
    """The sum of a list of tensors of one shape, as a single node.

    Args:
        inputs: a non-empty list or tuple of numeric tensors. Unlike `add` it does not broadcast.

    Returns:
        A tensor of their shape and common dtype.

    Raises:
        ShapeError: their shapes differ.
        ArgumentError: the list is empty.

    >>> import minigrad as mg
    >>> mg.add_n([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    Tensor([ 9., 12.], shape=(2,), dtype=float32)
    """
    if not isinstance(inputs, Sequence) or isinstance(inputs, str):
        raise ArgumentTypeError(f"add_n takes a list of tensors, got {type(inputs).__name__}")
    if not inputs:
        raise ArgumentError("add_n needs at least one tensor, got an empty list")
    return bind(add_n, *inputs)


def _unequal(a: Shape, b: Shape) -> ShapeError:
    return ShapeError(f"add_n needs tensors of the same shape, got {show(a)} and {show(b)}")


@add_n.kernel
def _(xp: Any, *inputs: Array) -> Any:
    total = inputs[0]
    for x in inputs[1:]:
        if x.shape != total.shape:
            raise _unequal(total.shape, x.shape)
        total = xp.add(total, x)
    return total


@add_n.lowering
def _(b: Any, *inputs: Any) -> Any:
    total = inputs[0]
    for x in inputs[1:]:
        total = b.map("Add", total, x)
    return total


@add_n.shape
def _(*inputs: Spec) -> Spec:
    shape = inputs[0].shape
    for x in inputs[1:]:
        if not compatible(shape, x.shape):
            raise _unequal(shape, x.shape)
        shape = merge(shape, x.shape)
    return Spec(shape, inputs[0].dtype)


@add_n.gradient()
def _(c: Ctx) -> Grads:
    return [c.grads[0]] * len(c.inputs)

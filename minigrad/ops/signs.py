"""Magnitudes and signs, and the parts of complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, bool_, complex64, complex128, float32, float64
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, REFUSES_TEXT, binary, unary

__all__ = ["abs", "conj", "copysign", "imag", "nextafter", "real", "sign", "signbit"]

_INTEGERS = Sample(np.array([3, -2, 0])).named("integers")
_COMPLEX = Sample(np.array([3 - 4j, 0j])).named("complex")


def real_dtype(dtype: DType) -> DType:
    """The dtype of the parts of a number."""
    return {complex64: float32, complex128: float64}.get(dtype, dtype)


@primitive(
    "Abs",
    elementwise=True,
    accepts="numeric",
    result=real_dtype,
    numpy=np.absolute,
    samples=unary(
        -2,
        -0.5,
        _INTEGERS,
        _COMPLEX,
        Sample(np.array([-1.0, 0.0, -0.0])).named("kink").expecting([-1.0, 0.0, 0.0]),
    ),
    errors=REFUSES_TEXT,
)
def abs(x: TensorLike, /) -> Tensor:
    """The absolute value, elementwise; also Python's `abs`. The gradient at 0 is 0.

    Args:
        x: a tensor of a numeric dtype, which the result keeps; for complex numbers it is that of
            their parts.

    >>> import minigrad as mg
    >>> mg.abs([-1.0, 2.0])
    Tensor([1., 2.], shape=(2,), dtype=float32)
    """
    return bind(abs, x)


@abs.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.abs(x)


@abs.scalar
def _(s: Any, x: Any) -> Any:
    return s.abs(x)


@abs.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * sign(c.inputs[0])


@primitive(
    "Sign",
    elementwise=True,
    accepts="numeric",
    numpy=np.sign,
    samples=unary(0.5, 2, _INTEGERS, _COMPLEX, Sample(np.zeros(2)).expecting(np.zeros(2))),
    errors=REFUSES_TEXT,
)
def sign(x: TensorLike, /) -> Tensor:
    """-1, 0 or 1 by the sign, elementwise; nan for nan. The gradient is zero, also at 0.

    Args:
        x: a tensor of a numeric dtype, which the result keeps; for complex numbers the result is
            x / abs(x).

    >>> import minigrad as mg
    >>> mg.sign([-3.0, 0.0, 2.0])
    Tensor([-1.,  0.,  1.], shape=(3,), dtype=float32)
    """
    return bind(sign, x)


@sign.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.sign(x)


@sign.scalar
def _(s: Any, x: Any) -> Any:
    return s.sign(x)


@sign.gradient()
def _(c: Ctx) -> Grads:
    return None


@primitive(
    "SignBit",
    elementwise=True,
    accepts="real_float",
    result=bool_,
    numpy=np.signbit,
    not_differentiable="the result is bool",
    samples=unary(-2, 2, _INTEGERS, Sample(np.array([-0.0, 0.0, -np.nan, -np.inf]))),
    errors=REFUSES_TEXT,
)
def signbit(x: TensorLike, /) -> Tensor:
    """Whether the sign bit is set, elementwise: true for negative numbers and also for -0.0.

    Args:
        x: a tensor of a real floating dtype; integers become float32 first.

    >>> import minigrad as mg
    >>> mg.signbit([-1.0, -0.0, 0.0])
    Tensor([ True,  True, False], shape=(3,), dtype=bool)
    """
    return bind(signbit, x)


@signbit.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.signbit(x)


@signbit.scalar
def _(s: Any, x: Any) -> Any:
    return s.compare("<", s.copysign(1.0, x), 0.0)


@primitive(
    "CopySign",
    elementwise=True,
    accepts="real_float",
    numpy=np.copysign,
    samples=binary(
        -2,
        -0.5,
        0.5,
        2,
        Sample(np.array([3, 2]), np.array([-1, 1])).named("integers"),
        Sample(np.array([0.0, 2.0, 2.0]), np.array([-1.0, -0.0, 0.0]))
        .named("kinks")
        .expecting([0.0, -1.0, 1.0], np.zeros(3)),
    ),
    errors=BINARY_REFUSALS,
)
def copysign(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The magnitude of x1 with the sign of x2, elementwise; a -0.0 counts as negative.

    The gradient for `x1` is 1 where the sign is kept, -1 where it is changed, and 0 at 0 (as for
    `abs`); for `x2` it is zero.

    Args:
        x1, x2: tensors of real dtypes whose shapes broadcast; integers become float32.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: there is no common real dtype.

    >>> import minigrad as mg
    >>> mg.copysign([1.0, -2.0], [-0.0, 3.0])
    Tensor([-1.,  2.], shape=(2,), dtype=float32)
    """
    return bind(copysign, x1, x2)


@copysign.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.copysign(x1, x2)


@copysign.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.copysign(x1, x2)


@copysign.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    before = sign(c.inputs[0])
    return c.grads[0] * (before * copysign(before, c.inputs[1])), None


@primitive(
    "NextAfter",
    elementwise=True,
    accepts="real_float",
    numpy=np.nextafter,
    samples=binary(-2, 2, -2, 2),
    errors=BINARY_REFUSALS,
)
def nextafter(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The next number of the dtype after x1 toward x2, elementwise; x2 where they are equal.

    The gradient is 1 for `x1` and zero for `x2`. Shapes, dtypes and errors as in `copysign`.

    >>> import minigrad as mg
    >>> (mg.nextafter(mg.asarray(1.0), 2.0) - 1).item()
    1.1920928955078125e-07
    """
    return bind(nextafter, x1, x2)


@nextafter.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.nextafter(x1, x2)


@nextafter.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.nextafter(x1, x2)


@nextafter.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0], None


@primitive(
    "Real",
    elementwise=True,
    accepts="numeric",
    result=real_dtype,
    numpy=np.real,
    samples=unary(-2, 2, _INTEGERS, _COMPLEX),
    errors=REFUSES_TEXT,
)
def real(x: TensorLike, /) -> Tensor:
    """The real part, elementwise; a real tensor is returned as it is.

    Args:
        x: a tensor of a numeric dtype. Gradients do not flow into complex tensors.

    >>> import minigrad as mg
    >>> mg.real([1 + 2j, 3j])
    Tensor([1., 0.], shape=(2,), dtype=float32)
    """
    return bind(real, x)


@real.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.real(x)


@real.scalar
def _(s: Any, x: Any) -> Any:
    return x


@real.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]


@primitive(
    "Imag",
    elementwise=True,
    accepts="numeric",
    result=real_dtype,
    numpy=np.imag,
    samples=unary(-2, 2, _INTEGERS, _COMPLEX),
    errors=REFUSES_TEXT,
)
def imag(x: TensorLike, /) -> Tensor:
    """The imaginary part, elementwise; zeros for a real tensor, and so is the gradient.

    Args:
        x: a tensor of a numeric dtype. Gradients do not flow into complex tensors.

    >>> import minigrad as mg
    >>> mg.imag([1 + 2j, 3j])
    Tensor([2., 3.], shape=(2,), dtype=float32)
    """
    return bind(imag, x)


@imag.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.imag(x)


@imag.scalar
def _(s: Any, x: Any) -> Any:
    return s.like(0, x)


@imag.gradient()
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    # For a complex tensor the engine must see a gradient, so that it can refuse.
    return c.grads[0] if x.dtype.is_complex else None


@primitive(
    "Conj",
    elementwise=True,
    accepts="numeric",
    numpy=np.conjugate,
    samples=unary(-2, 2, _INTEGERS, _COMPLEX),
    errors=REFUSES_TEXT,
)
def conj(x: TensorLike, /) -> Tensor:
    """The complex conjugate, elementwise; a real tensor is returned as it is.

    Args:
        x: a tensor of a numeric dtype, which the result keeps. Gradients do not flow into complex
            tensors.

    >>> import minigrad as mg
    >>> mg.conj([1 + 2j, 3j])
    Tensor([1.-2.j, 0.-3.j], shape=(2,), dtype=complex64)
    """
    return bind(conj, x)


@conj.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.conj(x)


@conj.scalar
def _(s: Any, x: Any) -> Any:
    return x


@conj.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]

"""Activation functions as ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.comparison import greater
from minigrad.ops.elementwise import multiply, subtract
from minigrad.ops.exponential import exp
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import where
from minigrad.shapes import Spec, axis_argument_int, normalize_axis

__all__ = ["log_softmax", "relu"]


@primitive(
    "Relu",
    elementwise=True,
    accepts="real",
    samples=lambda rng: [
        Sample(np.array([[-1.5, 0.3, 2.0], [0.7, -0.2, -3.0]])),
        Sample(np.array([0.0, 1.0, -1.0])).expecting(np.array([0.0, 1.0, 0.0])).named("at 0"),
        Sample(np.zeros((0, 3))),
    ],
)
def relu(x: TensorLike, /) -> Tensor:
    """max(x, 0), elementwise. The gradient at 0 is 0, as in PyTorch and TensorFlow.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.relu([-1.0, 2.0])
    Tensor([0., 2.], shape=(2,), dtype=float32)
    """
    return bind(relu, x)


@relu.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.maximum(x, xp.zeros((), dtype=x.dtype))


@relu.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    return where(greater(y, 0), g, 0)


def _softmax_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(4,))),
        Sample(np.array([1e4, 1e4 - 1.0, -1e4])).named("large logits"),
        Sample(np.zeros((0, 3))),
    ]


_SOFTMAX_ERRORS = [Fails(ShapeError, "out of range", np.zeros((2, 3)), axis=2)]


def _softmax_spec(x: Spec, axis: int) -> Spec:
    """The spec of a result of the same shape, once the axis is checked."""
    if x.shape is not None:
        normalize_axis(axis, len(x.shape))
    return Spec(x.shape, x.dtype)


@primitive("LogSoftmax", accepts="real_float", samples=_softmax_samples, errors=_SOFTMAX_ERRORS)
def log_softmax(x: TensorLike, /, *, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `axis`; exact also where the softmax itself underflows.

    Args:
        x: logits of any shape of rank 1 or more.
        axis: the axis along which the exponentials sum to 1.

    Raises:
        ShapeError: the axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.log_softmax([0.0, 1e4])
    Tensor([-10000.,      0.], shape=(2,), dtype=float32)
    """
    return bind(log_softmax, x, axis=axis_argument_int(axis))


@log_softmax.kernel
def _(xp: Any, x: Array, *, axis: int) -> Any:
    if not x.size:
        return x
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@log_softmax.shape
def _(x: Spec, *, axis: int) -> Spec:
    return _softmax_spec(x, axis)


@log_softmax.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    return subtract(g, multiply(exp(y), reduce_sum(g, axis=c.attrs.axis, keepdims=True)))

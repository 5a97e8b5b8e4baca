"""The softmax and its relatives: logarithm, mirror image and limit."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.elementwise import multiply, negative, subtract
from minigrad.ops.exponential import exp
from minigrad.ops.reducing import (
    Axis,
    array_dtype,
    narrowed,
    require_axes,
    require_elements,
    widened,
)
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.statistics import lowered_distance, softmax
from minigrad.shapes import (
    Spec,
    axis_argument,
    axis_argument_int,
    normalize_axes,
    normalize_axis,
    reduced,
)

__all__ = ["hardmax", "log_softmax", "softmax", "softmin"]

_ERRORS = [Fails(ShapeError, "out of range", np.zeros((2, 3)), axis=2)]


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(4,))),
        Sample(rng.normal(size=(2, 2, 2)), axis=(0, -1)).named("two axes"),
        Sample(rng.normal(size=(2, 2)), axis=None).named("all axes"),
        Sample(np.array([1e4, 1e4 - 1.0, -1e4])).named("large logits"),
        Sample(np.array([1, 2])).named("integers"),
        Sample(np.array([60000.0, 1.0], np.float16)),
        Sample(np.zeros((0, 3))),
        Sample(np.zeros((3, 0))).named("no classes"),
    ]


@primitive(
    "LogSoftmax",
    accepts="real_float",
    samples=lambda rng: [
        *_samples(rng),
        Sample(np.array([-np.inf, 0.0, 0.0])).expecting([1.0, -0.5, -0.5]).named("one ruled out"),
        Sample(np.array([np.inf, 0.0, np.inf])).expecting([-0.5, 1.0, -0.5]).named("infinite"),
    ],
    errors=_ERRORS,
)
def log_softmax(x: TensorLike, /, *, axis: Any = -1) -> Tensor:
    """x - log(sum(exp(x))) along `axis`; exact also where the softmax itself underflows.

    Args:
        x: logits: a real tensor of rank 1 or more; integers become float32.
        axis: the axis along which the exponentials sum to 1; a tuple of them; or None for all.

    Returns:
        A tensor of that shape. As in `minigrad.nn.softmax`, those that equal an infinite largest
        logit share the probability 1; PyTorch and TensorFlow give nan.

    Raises:
        ShapeError: the axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.log_softmax([0.0, 1e4])
    Tensor([-10000.,      0.], shape=(2,), dtype=float32)
    """
    return bind(log_softmax, x, axis=axis_argument(axis))


@log_softmax.kernel
def _(xp: Any, x: Array, *, axis: Axis) -> Any:
    require_axes(x, axis)
    logits = widened(x)
    top = xp.max(logits, axis=axis, keepdims=True, initial=-xp.inf)
    shifted = logits - top
    if xp is not np or not np.isfinite(top).all():
        shifted = xp.where(logits == top, 0, shifted)
    result = shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
    return narrowed(result, array_dtype(x))


@log_softmax.lowering
def _(b: Any, x: Any, *, axis: Axis) -> Any:
    if not x.size:
        return x
    axes = normalize_axes(axis, x.rank)
    shifted = lowered_distance(b, x, b.reduce("max", x, axes, keepdims=True))
    total = b.reduce("sum", b.map("Exp", shifted), axes, keepdims=True)
    return b.map("Sub", shifted, b.map("Log", total))


@log_softmax.shape
def _(x: Spec, *, axis: Axis) -> Spec:
    reduced(x.shape, axis, True)  # Refuses a wrong axis.
    return x._replace(value=None)


@log_softmax.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    return subtract(g, multiply(exp(y), reduce_sum(g, axis=c.attrs.axis, keepdims=True)))


@primitive("Softmin", samples=_samples, errors=_ERRORS)
def softmin(x: TensorLike, /, *, axis: Any = -1) -> Tensor:
    """softmax(-x): the smallest element has the largest share. PyTorch has the same.

    Arguments, result and errors as in `log_softmax`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.softmin([0.0, 1e4])
    Tensor([1., 0.], shape=(2,), dtype=float32)
    """
    return softmax(negative(x), axis=axis)


@primitive(
    "Hardmax",
    accepts="real",
    samples=lambda rng: [
        Sample(rng.permuted(np.arange(6.0)).reshape(2, 3)),
        Sample(rng.permuted(np.arange(6.0)).reshape(2, 3), axis=0),
        Sample(np.array([1.0, 2.0, 2.0])).expecting([0.0, 0.0, 0.0]).named("tie"),
        Sample(np.array([[3, 1], [1, 3]])).named("integers"),
        Sample(np.zeros((0, 3))).named("empty"),
    ],
    errors=[*_ERRORS, Fails(ShapeError, "no elements along axis -1", np.zeros((2, 0)))],
)
def hardmax(x: TensorLike, /, *, axis: int = -1) -> Tensor:
    """1 at the largest element along an axis, the first of equal ones, and 0 elsewhere.

    The limit of softmax(x / t) for t → 0, as ONNX defines it; PyTorch and TensorFlow have only
    one_hot(argmax(x)). Its gradient is 0.

    Args:
        x: a real tensor of rank 1 or more.
        axis: the axis.

    Returns:
        A tensor of the shape and dtype of `x`.

    Raises:
        ShapeError: the axis is out of range, or has no elements.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.hardmax([1.0, 3.0, 3.0])
    Tensor([0., 1., 0.], shape=(3,), dtype=float32)
    """
    return bind(hardmax, x, axis=axis_argument_int(axis))


@hardmax.kernel
def _(xp: Any, x: Array, *, axis: int) -> Any:
    require_axes(x, axis)
    require_elements(x.shape, axis)
    at = normalize_axis(axis, x.ndim)
    if not x.size:
        return x
    first = xp.argmax(x, axis=at, keepdims=True)
    places = xp.reshape(xp.arange(x.shape[at]), (-1,) + (1,) * (x.ndim - 1 - at))
    return xp.astype(places == first, x.dtype)


@hardmax.shape
def _(x: Spec, *, axis: int) -> Spec:
    if x.shape is not None:
        normalize_axis(axis, len(x.shape))
        require_elements(x.shape, axis)
    return x._replace(value=None)


@hardmax.gradient()
def _(c: Ctx) -> Grads:
    return None

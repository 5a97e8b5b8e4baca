"""Local response normalisation, and the sums over neighbours that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.ops.elementwise import multiply
from minigrad.ops.powers import pow as power
from minigrad.ops.powers import square
from minigrad.ops.reducing import array_dtype, narrowed, widened
from minigrad.ops.sizes import size_argument
from minigrad.shapes import Spec, axis_argument_int, normalize_axis

__all__ = ["local_response_normalization", "window_sum"]

#: Wider windows are not written out term by term in plans.
_MOST_TERMS = 32


@primitive(
    "WindowSum",
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 4)), before=1, after=2),
        Sample(rng.normal(size=(3, 2)), before=1, axis=0),
        Sample(rng.normal(size=(3,)), before=5, after=5).named("wider than the axis"),
        Sample(rng.normal(size=(2, 3))).named("each element alone"),
        Sample(rng.normal(size=(2, 0)), before=1, after=1).named("empty"),
        Sample(np.array([60000.0, 50000.0, -60000.0], np.float16), before=2).named("float16"),
        Sample(np.array([1, 2, 3]), after=1).named("integers"),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones(3), axis=1),
        Fails(ArgumentError, "before must be 0 or more, got -1", np.ones(3), before=-1),
    ],
)
def window_sum(x: TensorLike, /, *, before: int = 0, after: int = 0, axis: int = -1) -> Tensor:
    """The sum of each element and its neighbours along an axis, ``x[i - before : i + after + 1]``.

    Args:
        x: a numeric tensor.
        before: how many neighbours in front count, where there are so many.
        after: how many behind.
        axis: the axis.

    Returns:
        A tensor of the shape and dtype of `x`.

    Raises:
        ShapeError: the axis is out of range.
        ArgumentError: `before` or `after` is negative.

    >>> import minigrad.nn as nn
    >>> nn.window_sum([1, 2, 3, 4], before=1, after=1).tolist()
    [3, 6, 9, 7]
    """
    reach = {"before": size_argument(before, "before"), "after": size_argument(after, "after")}
    for name, value in reach.items():
        if value < 0:
            raise ArgumentError(f"window_sum: {name} must be 0 or more, got {value}")
    return bind(window_sum, x, axis=axis_argument_int(axis), **reach)


@window_sum.kernel
def _(xp: Any, x: Array, *, before: int, after: int, axis: int) -> Any:
    place = normalize_axis(axis, x.ndim)
    length = x.shape[place]
    before, after = min(before, length), min(after, length)
    v = widened(x)

    def zeros(n: int) -> Any:
        return xp.zeros((*x.shape[:place], n, *x.shape[place + 1 :]), dtype=v.dtype)

    padded = xp.concat([zeros(before), v, zeros(after)], axis=place)
    lead = (slice(None),) * place
    # Differences of running sums would take one pass, but lose digits.
    total = padded[(*lead, slice(0, length))]
    for i in range(1, before + after + 1):
        total = total + padded[(*lead, slice(i, i + length))]
    return narrowed(total, array_dtype(x))


@window_sum.lowering
def _(b: Any, x: Any, *, before: int, after: int, axis: int) -> Any:
    place = normalize_axis(axis, x.rank)
    length = x.shape[place]
    before, after = min(before, length), min(after, length)
    if before + after > _MOST_TERMS:
        return NotImplemented
    widths = [(before, after) if i == place else (0, 0) for i in range(x.rank)]
    padded = b.pad(x, widths, b.constant(0, x.dtype))
    parts = []
    for first in range(before + after + 1):
        starts = [first if i == place else 0 for i in range(x.rank)]
        parts.append(b.slice(padded, starts, [1] * x.rank, x.shape))
    total = parts[0]
    for part in parts[1:]:
        total = b.map("Add", total, part)
    return total


@window_sum.shape
def _(x: Spec, *, before: int, after: int, axis: int) -> Spec:
    if x.shape is not None:
        normalize_axis(axis, len(x.shape))
    return Spec(x.shape, x.dtype)


@window_sum.gradient()
def _(c: Ctx) -> Grads:
    a = c.attrs
    return window_sum(c.grads[0], before=a.after, after=a.before, axis=a.axis)


@primitive(
    "LRN",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 4)), size=3, alpha=0.5),
        Sample(rng.normal(size=(1, 5, 2)), size=2, alpha=1.0, beta=0.5, bias=1.0, axis=1),
        Sample(rng.normal(size=(2, 3))).named("the paper's constants"),
        Sample(rng.normal(size=(0, 3))).named("empty"),
        Sample(np.zeros((1, 3)), alpha=1.0, beta=1.0).expecting([[0.5, 0.5, 0.5]]).named("at 0"),
        Sample(np.array([[1.0, 2.0]], np.float16)),
        Sample(np.array([[1, 2]])).named("integers"),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones((2, 3)), axis=2),
        Fails(ArgumentError, "size must be at least 1, got 0", np.ones((2, 3)), size=0),
        Fails(ArgumentError, "bias must be more than 0", np.ones((2, 3)), bias=0.0),
        Fails(ArgumentError, "alpha must not be negative", np.ones((2, 3)), alpha=-1.0),
        Fails(ArgumentTypeError, "beta must be a number", np.ones((2, 3)), beta="half"),
    ],
)
def local_response_normalization(
    x: TensorLike,
    *,
    size: int = 5,
    bias: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
    axis: int = -1,
) -> Tensor:
    """Each channel divided by a power of the activity of those around it, at the same place.

    ``x / (bias + alpha * sum(x²))**beta``, the sum over `size` channels around each (Krizhevsky,
    Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
    section 3.3, whose constants are the defaults: n, k, α, β). Elsewhere:

    * TensorFlow's `depth_radius` r is ``size=2 * r + 1``; its defaults are 5, 1, 1 and 0.5.
    * PyTorch takes the mean over the window: its alpha is `size` times the one here. Its default
      bias k is 1.

    Args:
        x: a real tensor; integers become float32.
        size: how many channels count. With an even one, the one more is in front, as in PyTorch.
        bias: k, more than 0.
        alpha: 0 or more.
        beta: the exponent, 0 or more.
        axis: where the channels are.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: the axis is out of range.
        ArgumentError: a constant is not in its range.

    >>> import minigrad.nn as nn
    >>> nn.local_response_normalization([1.0, 2.0, 3.0], size=3, bias=1, alpha=1, beta=1).tolist()
    [0.1666666716337204, 0.13333334028720856, 0.2142857313156128]
    """
    what = "local_response_normalization"
    count = size_argument(size, f"{what}: size")
    if count < 1:
        raise ArgumentError(f"{what}: size must be at least 1, got {count}")
    k, a, b = (
        not_negative(v, f"{what}: {n}")
        for v, n in ((bias, "bias"), (alpha, "alpha"), (beta, "beta"))
    )
    if not k:
        raise ArgumentError(f"{what}: bias must be more than 0, got {bias!r}")
    tensor = tensor_of(x)
    around = window_sum(square(tensor), before=count // 2, after=(count - 1) // 2, axis=axis)
    return multiply(tensor, power(around * a + k, -b))

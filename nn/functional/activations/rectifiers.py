"""Rectifiers: the identity for positive arguments, something flatter for negative ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import SampleMaker, primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.arguments import along_axis, number, positive
from minigrad.ops.comparison import greater, less
from minigrad.ops.elementwise_samples import REFUSES_TEXT
from minigrad.ops.exponential import exp
from minigrad.ops.logic import logical_and
from minigrad.ops.selection import where
from minigrad.shapes import Shape, Spec, axis_argument_int, broadcast, compatible, show

__all__ = ["celu", "elu", "leaky_relu", "prelu", "relu", "relu6", "selu"]

_BOTH_SIDES = np.array([[-1.5, 0.3, 2.0], [0.7, -0.2, -3.0]])
_FAR = np.array([-1e4, -750.0, 750.0, 1e4])
_ENDS = np.array([-np.inf, np.inf])


def _samples(*more: Sample, **attrs: Any) -> SampleMaker:
    """Both sides of 0, a scalar, an empty and a float32 tensor, integers; then `more`."""

    def make(_rng: np.random.Generator) -> list[Sample]:
        return [
            Sample(_BOTH_SIDES, **attrs),
            Sample(np.array(-0.4), **attrs).named("scalar"),
            Sample(np.zeros((0, 3)), **attrs).named("empty"),
            Sample(np.array([-1.5, 2.5], np.float32), **attrs).named("float32"),
            Sample(np.array([-1, 2]), **attrs).named("integers"),
            *more,
        ]

    return make


@primitive(
    "Relu",
    elementwise=True,
    accepts="real",
    samples=_samples(
        Sample(np.array([0.0, 1.0, -1.0])).expecting(np.array([0.0, 1.0, 0.0])).named("at 0"),
        Sample(_ENDS).expecting([0.0, 1.0]).named("infinite"),
    ),
    errors=REFUSES_TEXT,
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


@relu.scalar
def _(s: Any, x: Any) -> Any:
    return s.at_least(x, 0)


@relu.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    return where(greater(y, 0), g, 0)


@primitive(
    "Relu6",
    elementwise=True,
    accepts="real",
    samples=_samples(
        Sample(np.array([5.5, 6.5, 1e4])),
        Sample(np.array([0.0, 3.0, 6.0])).expecting([0.0, 1.0, 0.0]).named("corners"),
        Sample(_ENDS).expecting([0.0, 0.0]).named("infinite"),
    ),
    errors=REFUSES_TEXT,
)
def relu6(x: TensorLike, /) -> Tensor:
    """min(max(x, 0), 6), elementwise. The gradient at 0 and at 6 is 0.

    Source: A. Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10 (2010). PyTorch and
    TensorFlow have the same formula and the same gradients at the corners.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.relu6([-1.0, 2.0, 8.0])
    Tensor([0., 2., 6.], shape=(3,), dtype=float32)
    """
    return bind(relu6, x)


@relu6.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.minimum(xp.maximum(x, 0), 6)


@relu6.scalar
def _(s: Any, x: Any) -> Any:
    return s.at_most(s.at_least(x, 0), 6)


@relu6.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (g,), (y,) = c.grads, c.outputs
    return where(logical_and(greater(y, 0), less(y, 6)), g, 0)


@primitive(
    "LeakyRelu",
    elementwise=True,
    accepts="real_float",
    samples=_samples(
        Sample(_BOTH_SIDES, 0.2),
        Sample(_BOTH_SIDES, slope=-0.5).named("negative slope"),
        Sample(np.array([0.0, 1.0])).expecting([0.01, 1.0]).named("at 0"),
        Sample(_ENDS).expecting([0.01, 1.0]).named("infinite"),
        Sample(_ENDS, slope=0.0).expecting([0.0, 1.0]).named("infinite, no slope"),
    ),
    errors=[
        *REFUSES_TEXT,
        Fails(ArgumentTypeError, "slope must be a number, got 'a'", np.ones(2), "a"),
        Fails(ArgumentError, "slope must be finite", np.ones(2), slope=np.inf),
    ],
)
def leaky_relu(x: TensorLike, /, slope: float = 0.01) -> Tensor:
    """x where x > 0 and slope · x elsewhere. The gradient at 0 is `slope`.

    Source: A. L. Maas et al., Rectifier Nonlinearities Improve Neural Network Acoustic Models
    (2013), with 0.01. That is PyTorch's default too; TensorFlow's and Keras 3's is 0.2. Both have
    the same gradient at 0.

    Args:
        x: a real tensor of any shape; integers become float32.
        slope: a number. A learnt one is what `prelu` takes.

    Raises:
        ArgumentTypeError, ArgumentError: the slope is not a finite number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.leaky_relu([-1.0, 2.0], 0.5)
    Tensor([-0.5,  2. ], shape=(2,), dtype=float32)
    """
    return bind(leaky_relu, x, slope=number(slope, "leaky_relu: slope"))


@leaky_relu.kernel
def _(xp: Any, x: Array, *, slope: float) -> Any:
    # Without a slope -inf gives 0, not nan.
    return xp.where(x > 0, x, x * slope) if slope else xp.maximum(x, 0)


@leaky_relu.scalar
def _(s: Any, x: Any, *, slope: float) -> Any:
    low = s.mul(x, slope) if slope else s.like(0.0, x)
    return s.select(s.compare("<=", x, 0.0), low, x)


@leaky_relu.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    return where(greater(x, 0), g, g * c.attrs.slope)


@primitive(
    "PRelu",
    elementwise=True,
    accepts="real_float",
    samples=lambda rng: [
        Sample(_BOTH_SIDES, np.array([0.1, 0.25, -0.3])),
        Sample(_BOTH_SIDES, np.array(0.25)).named("one slope"),
        Sample(_BOTH_SIDES, np.array([0.1, 0.25]), axis=0).named("axis from the front"),
        Sample(rng.uniform(0.2, 1, (2, 3, 2)) * -1, np.array([0.1, 0.2, 0.3]), axis=-2),
        Sample(_BOTH_SIDES, np.array([[0.1], [0.25]])).named("a column"),
        Sample(np.array([0.0, 1.0]), np.array([0.25])).expecting([0.25, 1.0], [0.0]).named("at 0"),
        Sample(np.zeros((0, 3)), np.ones(3)).named("empty"),
        Sample(np.array([-1.0, 1.0], np.float32), 0.5).named("float32, weak number"),
    ],
    errors=[
        Fails(ShapeError, "do not broadcast", np.ones((2, 3)), np.ones(2)),
        Fails(ShapeError, r"slope of shape \(1, 3\).*\(3,\)", np.ones(3), np.ones((1, 3))),
        Fails(ShapeError, r"slope of shape \(3,\).*\(2, 1\)", np.ones((2, 1)), np.ones(3)),
        Fails(ShapeError, "out of range", np.ones((2, 3)), np.ones(3), axis=2),
    ],
)
def prelu(x: TensorLike, slope: TensorLike, /, *, axis: int = -1) -> Tensor:
    """x where x > 0 and slope · x elsewhere, with a slope that is learnt.

    Source: K. He et al., Delving Deep into Rectifiers (2015). At 0 the gradient is `slope` for x,
    and 0 for the slope. PyTorch has the channels on axis 1; Keras a slope for each element
    unless `shared_axes` says otherwise.

    Args:
        x: a real tensor of any shape.
        slope: a scalar; or a vector with a slope for each channel; or a tensor that broadcasts
            to the shape of `x`.
        axis: the axis of channels, which a vector of slopes runs along.

    Returns:
        A tensor of the shape of `x` and the common dtype.

    Raises:
        ShapeError: the slope does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.prelu([[-1.0, -2.0], [1.0, -4.0]], [0.5, 0.25]).tolist()
    [[-0.5, -0.5], [1.0, -1.0]]
    """
    at = axis_argument_int(axis)
    if at != -1:
        points, slopes = tensor_of(x), tensor_of(slope)
        if slopes.shape is None:
            raise ShapeError("prelu: the rank of the slope must be known where axis is not -1")
        if len(slopes.shape) == 1:
            slope = along_axis(slopes, at, points.shape, "prelu")
    return bind(prelu, x, slope)


def _require_fitting(x: Shape, slope: Shape) -> Shape:
    """The shape of `x`, which that of the slope must broadcast to."""
    made = broadcast(x, slope)
    if x is not None and not compatible(made, x):
        raise ShapeError(f"a slope of shape {show(slope)} does not fit x of shape {show(x)}")
    return x


@prelu.kernel
def _(xp: Any, x: Array, slope: Array) -> Any:
    _require_fitting(x.shape, slope.shape)
    return xp.where(x > 0, x, x * slope)


@prelu.scalar
def _(s: Any, x: Any, slope: Any) -> Any:
    return s.select(s.compare(">", x, 0.0), x, s.mul(x, slope))


@prelu.shape
def _(x: Spec, slope: Spec) -> Spec:
    return Spec(_require_fitting(x.shape, slope.shape), x.dtype)


@prelu.gradient(saves=("x", "slope"))
def _(c: Ctx) -> Grads:
    (g,), (x, slope) = c.grads, c.inputs
    above = greater(x, 0)
    return (
        where(above, g, g * slope) if c.needs[0] else None,
        where(above, 0, g * x) if c.needs[1] else None,
    )


@primitive(
    "Elu",
    elementwise=True,
    accepts="real_float",
    samples=_samples(
        Sample(_BOTH_SIDES, 0.5),
        Sample(np.array([0.0, 1.0]), alpha=0.5).expecting([0.5, 1.0]).named("at 0"),
        Sample(_FAR).expecting([0.0, np.exp(-750.0), 1.0, 1.0]).named("far"),
        Sample(_ENDS).expecting([0.0, 1.0]).named("infinite"),
    ),
    errors=[
        *REFUSES_TEXT,
        Fails(ArgumentTypeError, "alpha must be a number, got 'a'", np.ones(2), "a"),
    ],
)
def elu(x: TensorLike, /, alpha: float = 1.0) -> Tensor:
    """x where x > 0 and alpha · (exp(x) - 1) elsewhere. The gradient at 0 is `alpha`.

    Source: D.-A. Clevert et al., Fast and Accurate Deep Network Learning by Exponential Linear
    Units (2016). PyTorch has the same; TensorFlow's `tf.nn.elu` has alpha = 1 only.

    Args:
        x: a real tensor of any shape; integers become float32.
        alpha: minus the limit at -inf.

    Raises:
        ArgumentTypeError, ArgumentError: alpha is not a finite number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.elu([-1e4, 2.0])
    Tensor([-1.,  2.], shape=(2,), dtype=float32)
    """
    return bind(elu, x, alpha=number(alpha, "elu: alpha"))


@elu.kernel
def _(xp: Any, x: Array, *, alpha: float) -> Any:
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


@elu.scalar
def _(s: Any, x: Any, *, alpha: float) -> Any:
    low = s.mul(s.expm1(s.at_most(x, 0.0)), alpha)
    return s.select(s.compare(">", x, 0.0), x, low)


@elu.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    # From x, not from the result: alpha + y would cancel to 0 where the slope is small.
    above = greater(x, 0)
    return where(above, g, g * (c.attrs.alpha * exp(where(above, 0, x))))


@primitive(
    "Celu",
    elementwise=True,
    accepts="real_float",
    samples=_samples(
        Sample(_BOTH_SIDES, 0.5),
        Sample(_BOTH_SIDES, alpha=2.0),
        Sample(np.array([0.0, 1.0]), alpha=0.5).expecting([1.0, 1.0]).named("at 0"),
        Sample(_FAR).expecting([0.0, np.exp(-750.0), 1.0, 1.0]).named("far"),
        Sample(_ENDS).expecting([0.0, 1.0]).named("infinite"),
    ),
    errors=[
        *REFUSES_TEXT,
        Fails(ArgumentError, "alpha must be positive, got 0", np.ones(2), 0),
        Fails(ArgumentTypeError, "alpha must be a number, got 'a'", np.ones(2), "a"),
    ],
)
def celu(x: TensorLike, /, alpha: float = 1.0) -> Tensor:
    """x where x > 0 and alpha · (exp(x / alpha) - 1) elsewhere, which has slope 1 at 0.

    Source: J. T. Barron, Continuously Differentiable Exponential Linear Units (2017). The second
    derivative at 0 is that from the left, 1 / alpha. PyTorch and Keras have the same formula;
    PyTorch takes a negative alpha too.

    Args:
        x: a real tensor of any shape; integers become float32.
        alpha: a positive number, minus the limit at -inf.

    Raises:
        ArgumentTypeError, ArgumentError: alpha is not a positive number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.celu([-1e4, 2.0], alpha=0.5)
    Tensor([-0.5,  2. ], shape=(2,), dtype=float32)
    """
    return bind(celu, x, alpha=positive(alpha, "celu: alpha"))


@celu.kernel
def _(xp: Any, x: Array, *, alpha: float) -> Any:
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0) / alpha))


@celu.scalar
def _(s: Any, x: Any, *, alpha: float) -> Any:
    low = s.mul(s.expm1(s.div(s.at_most(x, 0.0), alpha)), alpha)
    return s.select(s.compare(">", x, 0.0), x, low)


@celu.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    above = greater(x, 0)
    return where(above, g, g * exp(where(above, 0, x) / c.attrs.alpha))


#: They make mean 0 and variance 1 a fixed point of a layer of normal inputs (equation 14).
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@primitive(
    "Selu",
    samples=_samples(
        Sample(np.array([0.0, 1.0]))
        .expecting([_SELU_SCALE * _SELU_ALPHA, _SELU_SCALE])
        .named("at 0"),
        Sample(_ENDS).expecting([0.0, _SELU_SCALE]).named("infinite"),
    ),
    errors=REFUSES_TEXT,
)
def selu(x: TensorLike, /) -> Tensor:
    """scale · elu(x, alpha) with scale = 1.0507009873554805 and alpha = 1.6732632423543772.

    Source: G. Klambauer et al., Self-Normalizing Neural Networks (2017). The gradient at 0 is that
    from the left, scale · alpha, as in PyTorch; in TensorFlow it is `scale`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.selu([-1e4, 2.0])
    Tensor([-1.7580993,  2.101402 ], shape=(2,), dtype=float32)
    """
    return elu(x, _SELU_ALPHA) * _SELU_SCALE

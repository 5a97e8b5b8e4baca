"""Activations made of straight pieces: hard versions of smooth ones, and shrinkage.

Where the slope on one side of a corner is 0, the gradient at the corner is 0, as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError
from minigrad.nn.functional.activations.rectifiers import relu6
from minigrad.nn.functional.arguments import not_negative, number
from minigrad.ops.comparison import greater, greater_equal, less, less_equal
from minigrad.ops.elementwise_samples import REFUSES_TEXT, TEXT, unary
from minigrad.ops.logic import logical_and
from minigrad.ops.selection import clip, where
from minigrad.ops.signs import abs

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "softshrink",
    "threshold",
]

_INTEGERS = Sample(np.array([1, -2])).named("integers")
_ENDS = np.array([-np.inf, np.inf])


@primitive(
    "HardTanh",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        -0.9,
        0.9,
        _INTEGERS,
        Sample(np.array([-2.5, 0.5, 1.5])),
        Sample(np.array([-2.5, 0.5, 1.5]), -2.0, 3.0).named("other bounds"),
        Sample(np.array([-1.0, 0.0, 1.0])).expecting([0.0, 1.0, 0.0]).named("corners"),
        Sample(_ENDS).expecting([0.0, 0.0]).named("infinite"),
    ),
    errors=[
        *REFUSES_TEXT,
        Fails(ArgumentError, "min must be below max, got 1 and 1", np.ones(2), 1, 1),
        Fails(ArgumentTypeError, "min must be a number", np.ones(2), "a"),
    ],
)
def hardtanh(x: TensorLike, /, min: float = -1.0, max: float = 1.0) -> Tensor:
    """x held between two numbers. The gradient is 1 inside the open interval, and 0 at its ends.

    Source: R. Collobert, Large Scale Machine Learning (2004). PyTorch has the same, also at the
    ends; in TensorFlow it is `tf.clip_by_value`, whose gradient at the ends is 1, as that of
    `minigrad.clip`.

    Args:
        x: a real tensor of any shape; integers become float32.
        min, max: numbers, the first below the second.

    Raises:
        ArgumentError: min is not below max.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.hardtanh([-3.0, 0.5, 3.0])
    Tensor([-1. ,  0.5,  1. ], shape=(3,), dtype=float32)
    """
    low, high = number(min, "hardtanh: min"), number(max, "hardtanh: max")
    if not low < high:
        raise ArgumentError(f"hardtanh: min must be below max, got {min} and {max}")
    return bind(hardtanh, x, low=low, high=high)


@hardtanh.kernel
def _(xp: Any, x: Array, *, low: float, high: float) -> Any:
    return xp.minimum(xp.maximum(x, low), high)


@hardtanh.scalar
def _(s: Any, x: Any, *, low: float, high: float) -> Any:
    return s.at_most(s.at_least(x, low), high)


@hardtanh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    return where(logical_and(greater(x, c.attrs.low), less(x, c.attrs.high)), g, 0)


@primitive(
    "HardSigmoid",
    samples=unary(
        -2.5,
        2.5,
        _INTEGERS,
        Sample(np.array([-3.5, 3.5])),
        Sample(np.array([-3.0, 0.0, 3.0])).expecting([0.0, 1 / 6, 0.0]).named("corners"),
        Sample(_ENDS).expecting([0.0, 0.0]).named("infinite"),
    ),
    errors=[Fails(DTypeError, "text", TEXT)],
)
def hardsigmoid(x: TensorLike, /) -> Tensor:
    """relu6(x + 3) / 6: 0 up to -3, 1 from 3 on, a straight line between.

    Source: A. Howard et al., Searching for MobileNetV3 (2019). PyTorch and Keras 3 have the same;
    Keras before version 3 has clip(0.2 x + 0.5, 0, 1). The gradient at -3 and 3 is 0.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.hardsigmoid([-3.0, 0.0, 1.5, 3.0])
    Tensor([0.  , 0.5 , 0.75, 1.  ], shape=(4,), dtype=float32)
    """
    return relu6(tensor_of(x) + 3) / 6


@primitive(
    "HardSwish",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        -2.5,
        2.5,
        _INTEGERS,
        Sample(np.array([-3.5, 3.5])),
        Sample(np.array([-3.0, 0.0, 3.0])).expecting([0.0, 0.5, 1.0]).named("corners"),
        Sample(_ENDS).expecting([0.0, 1.0]).named("infinite"),
    ),
    errors=REFUSES_TEXT,
)
def hardswish(x: TensorLike, /) -> Tensor:
    """x · relu6(x + 3) / 6, elementwise; 0 up to -3 and x from 3 on.

    Source: A. Howard et al., Searching for MobileNetV3 (2019). The gradient at the corners is that
    of the straight side: 0 at -3 and 1 at 3, as in PyTorch. Keras calls it hard_silu.

    Args:
        x: a real tensor of any shape; integers become float32.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.hardswish([-4.0, -1.5, 0.0, 4.0])
    Tensor([-0.   , -0.375,  0.   ,  4.   ], shape=(4,), dtype=float32)
    """
    return bind(hardswish, x)


@hardswish.kernel
def _(xp: Any, x: Array) -> Any:
    bent = x * (xp.clip(x, -3.0, 3.0) + 3) / 6
    # -inf would give nan.
    return xp.where(x <= -3, -0.0, xp.where(x >= 3, x, bent))


@hardswish.scalar
def _(s: Any, x: Any) -> Any:
    bent = s.div(s.mul(x, s.add(s.at_most(s.at_least(x, -3.0), 3.0), 3.0)), 6.0)
    bent = s.select(s.compare(">=", x, 3.0), x, bent)
    return s.select(s.compare("<=", x, -3.0), -0.0, bent)


@hardswish.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    return g * where(less_equal(x, -3), 0, where(greater_equal(x, 3), 1, x / 3 + 0.5))


_BOUND_ERRORS = [
    Fails(DTypeError, "text|string", TEXT),
    Fails(ArgumentError, "bound must not be negative, got -1", np.ones(2), -1),
    Fails(ArgumentTypeError, "bound must be a number, got 'a'", np.ones(2), "a"),
]


@primitive(
    "SoftShrink",
    samples=unary(
        -0.4,
        0.4,
        Sample(np.array([-2.5, 0.3, 1.5])),
        Sample(np.array([-2.5, 0.3, 1.5]), 1.0),
        Sample(np.array([-0.5, 0.0, 0.5])).expecting([0.0, 0.0, 0.0]).named("corners"),
        Sample(_ENDS).expecting([1.0, 1.0]).named("infinite"),
    ),
    errors=_BOUND_ERRORS,
)
def softshrink(x: TensorLike, /, bound: float = 0.5) -> Tensor:
    """x moved towards 0 by `bound`, and 0 where it is nearer than that.

    It is the proximal map of bound · |x| (D. Donoho, De-noising by soft-thresholding, 1995). The
    gradient at the corners is 0. PyTorch has the same; TensorFlow Addons had it.

    Args:
        x: a real tensor of any shape.
        bound: a number of at least 0.

    Raises:
        ArgumentTypeError, ArgumentError: the bound is no such number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.softshrink([-2.0, 0.25, 2.0])
    Tensor([-1.5,  0. ,  1.5], shape=(3,), dtype=float32)
    """
    limit, points = not_negative(bound, "softshrink: bound"), tensor_of(x)
    return points - clip(points, -limit, limit)


@primitive(
    "HardShrink",
    samples=unary(
        -0.4,
        0.4,
        Sample(np.array([-2.5, 0.3, 1.5])),
        Sample(np.array([-2.5, 0.3, 1.5]), 1.0),
        Sample(np.array([-0.5, 0.0, 0.5])).expecting([0.0, 0.0, 0.0]).named("jumps"),
        Sample(_ENDS).expecting([1.0, 1.0]).named("infinite"),
    ),
    errors=_BOUND_ERRORS,
)
def hardshrink(x: TensorLike, /, bound: float = 0.5) -> Tensor:
    """x where |x| > bound, and 0 elsewhere; there the gradient is 0 too, also at ±bound.

    Source and arguments as for `softshrink`. PyTorch has the same.

    Raises:
        ArgumentTypeError, ArgumentError: the bound is not a number of at least 0.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.hardshrink([-2.0, 0.25, 2.0])
    Tensor([-2.,  0.,  2.], shape=(3,), dtype=float32)
    """
    limit, points = not_negative(bound, "hardshrink: bound"), tensor_of(x)
    return where(less_equal(abs(points), limit), 0, points)


@primitive(
    "Threshold",
    samples=[
        Sample(np.array([[-1.5, 0.3, 2.0], [0.7, -0.2, -3.0]]), 0.5, -7.0),
        Sample(np.array([0.5, 1.0]), 0.5, 2.0).expecting([0.0, 1.0]).named("jump"),
        Sample(_ENDS, 0.0, 0.0).expecting([0.0, 1.0]).named("infinite"),
        Sample(np.zeros((0, 2)), 0.0, 0.0).named("empty"),
    ],
    errors=[
        Fails(ArgumentTypeError, "level must be a number", np.ones(2), "a", 0.0),
        Fails(ArgumentTypeError, "value must be a number", np.ones(2), 0.0, None),
    ],
)
def threshold(x: TensorLike, /, level: float, value: float) -> Tensor:
    """x where x > level, and `value` elsewhere; there, also at the level, the gradient is 0.

    PyTorch has the same. Keras' `threshold` takes the level as `threshold`.

    Args:
        x: a real tensor of any shape.
        level, value: numbers.

    Raises:
        ArgumentTypeError, ArgumentError: one of them is not a finite number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.threshold([0.5, 2.0], 1.0, -1.0)
    Tensor([-1.,  2.], shape=(2,), dtype=float32)
    """
    low, other = number(level, "threshold: level"), number(value, "threshold: value")
    points = tensor_of(x)
    return where(less_equal(points, low), other, points)

"""Smooth activations. Those of `minigrad` itself (sigmoid, softplus, tanh) are exported here too.

Several are x times a gate that goes to 0 at -inf. There 0 · inf would be nan, so the kernels give
the limit, and the gradients read x within bounds outside of which the gate is exactly 0 or 1 in
every dtype.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from minigrad import special
from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError
from minigrad.ops.elementwise import negative, subtract
from minigrad.ops.elementwise_samples import REFUSES_TEXT, unary
from minigrad.ops.exponential import exp, sigmoid, softplus
from minigrad.ops.hyperbolic import tanh
from minigrad.ops.powers import reciprocal, square
from minigrad.ops.selection import clip
from minigrad.ops.signs import abs
from minigrad.ops.special_functions import erfc

__all__ = [
    "gelu",
    "log_sigmoid",
    "mish",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "swish",
    "tanh",
    "tanhshrink",
]

_INTEGERS = Sample(np.array([1, -2])).named("integers")
_FAR = np.array([-np.inf, -1e4, 1e4, np.inf])
_UP = [0.0, 0.0, 1.0, 1.0]


def _gated(xp: Any, x: Array, gate: Array) -> Any:
    """x · gate, and 0 where the gate is 0, though x be infinite."""
    return xp.where(gate == 0, gate, x * gate)


def _scalar_gated(s: Any, x: Any, gate: Any) -> Any:
    """The same for one element."""
    return s.select(s.compare("==", gate, 0.0), gate, s.mul(x, gate))


# -- gelu --------------------------------------------------------------------------------------

_ROOT_HALF = math.sqrt(0.5)
_ROOT_2_BY_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


@primitive(
    "Gelu",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        -2,
        2,
        _INTEGERS,
        Sample(np.array([-3.0, 0.0, 0.5]), approximate="tanh"),
        Sample(np.array([-3.0, 0.0, 0.5]), approximate=False),
        Sample(_FAR).expecting(_UP).named("far"),
        Sample(_FAR, approximate=True).expecting(_UP).named("far, with tanh"),
    ),
    errors=[
        *REFUSES_TEXT,
        Fails(ArgumentError, "'none'.*'tanh'.*got 'erf'", np.ones(2), approximate="erf"),
    ],
)
def gelu(x: TensorLike, /, *, approximate: Literal["none", "tanh"] | bool = "none") -> Tensor:
    """x · Φ(x), where Φ is the distribution function of the standard normal distribution.

    Source: D. Hendrycks and K. Gimpel, Gaussian Error Linear Units (2016). The approximation is
    theirs: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))). By default the exact formula is used, as
    in PyTorch and TensorFlow (`tf.nn.gelu`), which have both. Here both are accurate for large
    negative x too.

    Args:
        x: a real tensor of any shape; integers become float32.
        approximate: ``"none"`` or False for the exact formula, ``"tanh"`` or True for the other.

    Raises:
        ArgumentError: `approximate` is none of these.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.gelu([-1e4, 0.0, 1.0])
    Tensor([0.       , 0.       , 0.8413447], shape=(3,), dtype=float32)
    """
    if not isinstance(approximate, bool | str) or approximate not in ("none", "tanh", False, True):
        raise ArgumentError(
            f"gelu: approximate must be 'none', 'tanh' or a bool, got {approximate!r}"
        )
    return bind(gelu, x, approximate=approximate in ("tanh", True))


@gelu.kernel
def _(xp: Any, x: Array, *, approximate: bool) -> Any:
    if approximate:
        # 1/2 + tanh(u)/2 is sigmoid(2u), which does not cancel for negative u.
        gate = special.sigmoid(xp, 2 * _ROOT_2_BY_PI * x * (1 + _CUBIC * (x * x)))
    else:
        gate = special.erfc(xp, x * -_ROOT_HALF) * 0.5
    return _gated(xp, x, gate)


@gelu.lowering
def _(b: Any, x: Any, *, approximate: bool) -> Any:
    # Term by term as in the gradient, so that a plan computes the gate once.
    if approximate:
        z = b.map("ClipByValue", x, -30.0, 30.0)
        cube = b.map("Add", 1.0, b.map("Mul", _CUBIC, b.map("Square", z)))
        gate = b.map("Sigmoid", b.map("Mul", b.map("Mul", 2 * _ROOT_2_BY_PI, z), cube))
        return b.map("Mul", b.map("Maximum", x, -30.0), gate)
    z = b.map("ClipByValue", x, -40.0, 40.0)
    gate = b.map("Mul", b.map("Erfc", b.map("Mul", z, -_ROOT_HALF)), 0.5)
    return b.map("Mul", b.map("Maximum", x, -40.0), gate)


@gelu.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    if c.attrs.approximate:
        z = clip(x, -30.0, 30.0)
        z2 = square(z)
        gate = sigmoid(2 * _ROOT_2_BY_PI * z * (1 + _CUBIC * z2))
        steepness = 2 * _ROOT_2_BY_PI * (1 + 3 * _CUBIC * z2)
        return g * (gate + z * gate * (1 - gate) * steepness)
    z = clip(x, -40.0, 40.0)
    density = exp(square(z) * -0.5) * (0.5 * _ROOT_2_BY_PI)
    return g * (erfc(z * -_ROOT_HALF) * 0.5 + z * density)


# -- silu and mish -----------------------------------------------------------------------------


@primitive(
    "Silu",
    elementwise=True,
    accepts="real_float",
    samples=unary(-3, 3, _INTEGERS, Sample(_FAR).expecting(_UP).named("far")),
    errors=REFUSES_TEXT,
)
def silu(x: TensorLike, /) -> Tensor:
    """x · sigmoid(x), elementwise; also called swish.

    Source: S. Elfwing et al., Sigmoid-Weighted Linear Units (2017); P. Ramachandran et al.,
    Searching for Activation Functions (2017), whose swish has sigmoid(beta · x). PyTorch and
    TensorFlow have the same formula (`tf.nn.silu` takes beta too).

    Args:
        x: a real tensor of any shape; integers become float32.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.silu([-1e4, 0.0, 1e4])
    Tensor([    0.,     0., 10000.], shape=(3,), dtype=float32)
    """
    return bind(silu, x)


@silu.kernel
def _(xp: Any, x: Array) -> Any:
    e = xp.exp(-xp.abs(x))
    return _gated(xp, x, xp.where(x < 0, e, 1.0) / (1 + e))


@silu.lowering
def _(b: Any, x: Any) -> Any:
    # Term by term as in the gradient, so that a plan computes the gate once.
    gate = b.map("Sigmoid", b.map("ClipByValue", x, -1000.0, 1000.0))
    return b.map("Mul", b.map("Maximum", x, -1000.0), gate)


@silu.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    z = clip(x, -1000.0, 1000.0)
    return g * (sigmoid(z) * (1 + z * sigmoid(-z)))


swish = silu


@primitive(
    "Mish",
    elementwise=True,
    accepts="real_float",
    samples=unary(-3, 3, _INTEGERS, Sample(_FAR).expecting(_UP).named("far")),
    errors=REFUSES_TEXT,
)
def mish(x: TensorLike, /) -> Tensor:
    """x · tanh(softplus(x)), elementwise.

    Source: D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function (2019). PyTorch and
    Keras have the same formula.

    Args:
        x: a real tensor of any shape; integers become float32.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.mish([-1e4, 0.0, 1e4])
    Tensor([    0.,     0., 10000.], shape=(3,), dtype=float32)
    """
    return bind(mish, x)


@mish.kernel
def _(xp: Any, x: Array) -> Any:
    # With n = e^x (e^x + 2) the gate is n / (n + 2); multiplied by e^-2x where x > 0.
    e = xp.exp(-xp.abs(x))
    left, right = e * (e + 2), 1 + 2 * e
    return _gated(xp, x, xp.where(x < 0, left / (left + 2), right / (right + 2 * (e * e))))


@mish.scalar
def _(s: Any, x: Any) -> Any:
    e = s.exp(s.neg(s.abs(x)))
    left, right = s.mul(e, s.add(e, 2.0)), s.add(s.add(e, e), 1.0)
    below = s.compare("<", x, 0.0)
    more = s.select(below, 2.0, s.mul(s.square(e), 2.0))
    part = s.select(below, left, right)
    return _scalar_gated(s, x, s.div(part, s.add(part, more)))


@mish.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    z = clip(x, -1000.0, 1000.0)
    gate = tanh(softplus(z))
    return g * (gate + z * (1 - square(gate)) * sigmoid(z))


# -- others ------------------------------------------------------------------------------------


@primitive(
    "Softsign",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        0.2,
        3,
        _INTEGERS,
        Sample(np.array([-0.5, -2.0])),
        Sample(np.array([0.0, -0.0])).expecting([1.0, 1.0]).named("at 0"),
        Sample(np.array([-np.inf, np.inf])).expecting([0.0, 0.0]).named("infinite"),
    ),
    errors=REFUSES_TEXT,
)
def softsign(x: TensorLike, /) -> Tensor:
    """x / (1 + |x|), elementwise; ±1 at ±inf.

    Source: J. Turian et al., Quadratic Features and Deep Architectures for Chunking (2009). The
    second derivative, which jumps at 0, is 0 there. PyTorch and TensorFlow have the same formula.

    Args:
        x: a real tensor of any shape; integers become float32.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.softsign([-3.0, 0.0, float("inf")])
    Tensor([-0.75,  0.  ,  1.  ], shape=(3,), dtype=float32)
    """
    return bind(softsign, x)


@softsign.kernel
def _(xp: Any, x: Array) -> Any:
    size = xp.abs(x)
    return xp.where(size == xp.inf, xp.sign(x), x / (1 + size))


@softsign.scalar
def _(s: Any, x: Any) -> Any:
    size = s.abs(x)
    return s.select(s.is_inf(x), s.sign(x), s.div(x, s.add(size, 1.0)))


@softsign.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    return g * square(reciprocal(abs(x) + 1))


@primitive(
    "LogSigmoid",
    samples=unary(
        -3,
        3,
        _INTEGERS,
        Sample(_FAR).expecting([1.0, 1.0, 0.0, 0.0]).named("far"),
    ),
    errors=REFUSES_TEXT,
)
def log_sigmoid(x: TensorLike, /) -> Tensor:
    """log(sigmoid(x)) = -softplus(-x), elementwise; exact where the sigmoid itself underflows.

    PyTorch calls it logsigmoid.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.log_sigmoid([-1e4, 0.0, 1e4])
    Tensor([-1.000000e+04, -6.931472e-01, -0.000000e+00], shape=(3,), dtype=float32)
    """
    return negative(softplus(negative(x)))


@primitive(
    "TanhShrink",
    samples=unary(-3, 3, _INTEGERS, Sample(_FAR).expecting([1.0, 1.0, 1.0, 1.0]).named("far")),
    errors=REFUSES_TEXT,
)
def tanhshrink(x: TensorLike, /) -> Tensor:
    """x - tanh(x), elementwise. PyTorch has the same.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.tanhshrink([0.0, 100.0])
    Tensor([ 0., 99.], shape=(2,), dtype=float32)
    """
    points = tensor_of(x)
    return subtract(points, tanh(points))

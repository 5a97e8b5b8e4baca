"""Special functions. What computes them is the package `minigrad.special`, which needs no SciPy."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from minigrad import special
from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError
from minigrad.ops.elementwise_samples import REFUSES_TEXT, TEXT, unary
from minigrad.ops.exponential import exp
from minigrad.shapes import Spec

__all__ = ["digamma", "erf", "erfc", "erfinv", "lgamma", "polygamma", "sinc"]

_INTEGERS = Sample(np.array([1, 2])).named("integers")
_FAR = np.array([-30.0, 30.0])


@primitive(
    "Erf",
    elementwise=True,
    accepts="real_float",
    numpy=functools.partial(special.erf, np),
    samples=unary(-2, 2, _INTEGERS, Sample(_FAR).named("saturated").expecting(np.zeros(2))),
    errors=REFUSES_TEXT,
)
def erf(x: TensorLike, /) -> Tensor:
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x, elementwise.

    Args:
        x: a tensor of a real floating dtype, which the result keeps; integers become float32.

    >>> import minigrad as mg
    >>> f"{mg.erf(0.5):.5f}"
    '0.52050'
    """
    return bind(erf, x)


@erf.kernel
def _(xp: Any, x: Array) -> Any:
    return special.erf(xp, x)


@erf.scalar
def _(s: Any, x: Any) -> Any:
    return s.erf(x)


@erf.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    return c.grads[0] * (exp(-x * x) * (2 / math.sqrt(math.pi)))


@primitive(
    "Erfc",
    elementwise=True,
    accepts="real_float",
    numpy=functools.partial(special.erfc, np),
    samples=unary(-2, 2, _INTEGERS, Sample(_FAR).named("saturated").expecting(np.zeros(2))),
    errors=REFUSES_TEXT,
)
def erfc(x: TensorLike, /) -> Tensor:
    """1 - erf(x), elementwise, to full accuracy also where that is tiny. Dtypes as in `erf`.

    >>> import minigrad as mg
    >>> f"{mg.erfc(0.5):.5f}"
    '0.47950'
    """
    return bind(erfc, x)


@erfc.kernel
def _(xp: Any, x: Array) -> Any:
    return special.erfc(xp, x)


@erfc.scalar
def _(s: Any, x: Any) -> Any:
    return s.erfc(x)


@erfc.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,) = c.inputs
    return c.grads[0] * (exp(-x * x) * (-2 / math.sqrt(math.pi)))


@primitive(
    "Erfinv",
    elementwise=True,
    accepts="real_float",
    numpy=functools.partial(special.erfinv, np),
    samples=unary(
        -0.9,
        0.9,
        Sample(np.array([0, 0])).named("integers"),
        Sample(np.array([-1.0, 1.0])).named("ends").expecting([np.inf, np.inf]),
    ),
    errors=REFUSES_TEXT,
)
def erfinv(x: TensorLike, /) -> Tensor:
    """The number whose error function is x, elementwise; nan outside [-1, 1]. Dtypes as in `erf`.

    >>> import minigrad as mg
    >>> f"{mg.erfinv(0.5):.5f}"
    '0.47694'
    """
    return bind(erfinv, x)


@erfinv.kernel
def _(xp: Any, x: Array) -> Any:
    return special.erfinv(xp, x)


@erfinv.scalar
def _(s: Any, x: Any) -> Any:
    return s.erfinv(x)


@erfinv.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,) = c.outputs
    return c.grads[0] * (exp(y * y) * (math.sqrt(math.pi) / 2))


@primitive(
    "Lgamma",
    elementwise=True,
    accepts="real_float",
    numpy=functools.partial(special.lgamma, np),
    samples=unary(2.5, 5, _INTEGERS, Sample(np.array([-1.25, -0.5, 0.25])).named("negative")),
    errors=REFUSES_TEXT,
)
def lgamma(x: TensorLike, /) -> Tensor:
    """The logarithm of the gamma function's magnitude, elementwise; inf at 0, -1, -2, ….

    Dtypes as in `erf`. The gradient is `digamma`, which is nan at the poles -1, -2, …

    >>> import minigrad as mg
    >>> f"{mg.lgamma(5.0):.5f}"
    '3.17805'
    """
    return bind(lgamma, x)


@lgamma.kernel
def _(xp: Any, x: Array) -> Any:
    return special.lgamma(xp, x)


@lgamma.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * digamma(c.inputs[0])


@primitive(
    "Digamma",
    elementwise=True,
    accepts="real_float",
    numpy=functools.partial(special.digamma, np),
    samples=unary(2.5, 5, _INTEGERS, Sample(np.array([-1.25, -0.4, 0.25])).named("negative")),
    errors=REFUSES_TEXT,
)
def digamma(x: TensorLike, /) -> Tensor:
    """The derivative of `lgamma`, elementwise. Dtypes as in `erf`.

    >>> import minigrad as mg
    >>> f"{mg.digamma(1.0):.5f}"
    '-0.57722'
    """
    return bind(digamma, x)


@digamma.kernel
def _(xp: Any, x: Array) -> Any:
    return special.digamma(xp, x)


@digamma.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * polygamma(1, c.inputs[0])


def _polygamma_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.uniform(1.5, 4, (2, 3))
    return [
        Sample(0, x),
        Sample(1, x),
        Sample(2, x[0]),
        Sample(1, np.array([-1.25, -0.4, 0.25])).named("negative"),
        Sample(3, np.array(2.5)).named("scalar"),
        Sample(1, np.zeros((0, 3))).named("empty"),
        Sample(1, np.array([1, 2])).named("integers"),
    ]


@primitive(
    "Polygamma",
    elementwise=True,
    accepts="real_float",
    samples=_polygamma_samples,
    errors=[
        Fails(ArgumentError, "0 or more", -1, np.ones(2)),
        Fails(ArgumentTypeError, "must be a Python integer", 1.5, np.ones(2)),
        Fails(DTypeError, "does not take string", 1, TEXT),
    ],
)
def polygamma(n: int, x: TensorLike, /) -> Tensor:
    """The n-th derivative of `digamma`, elementwise.

    Args:
        n: the order, an integer known when the graph is built; 0 gives `digamma` itself.
        x: a tensor of a real floating dtype, which the result keeps; integers become float32.

    Raises:
        ArgumentError: `n` is negative.
        ArgumentTypeError: `n` is not an integer.

    >>> import minigrad as mg
    >>> f"{mg.polygamma(1, 1.0):.5f}"
    '1.64493'
    """
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise ArgumentTypeError(f"the order n of polygamma must be a Python integer, got {n!r}")
    order = operator.index(n)
    if order < 0:
        raise ArgumentError(f"the order n of polygamma must be 0 or more, got {order}")
    return bind(polygamma, x, n=order)


@polygamma.kernel
def _(xp: Any, x: Array, *, n: int) -> Any:
    return special.polygamma(xp, n, x)


@polygamma.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * polygamma(c.attrs.n + 1, c.inputs[0])


@primitive(
    "Sinc",
    elementwise=True,
    accepts="real_float",
    samples=unary(
        -2,
        2,
        _INTEGERS,
        Sample(np.array([0.0, 1e-5, 0.3, 1.0, -7.6])).named("near zero and far"),
    ),
    errors=REFUSES_TEXT,
)
def sinc(x: TensorLike, /) -> Tensor:
    """sin(pi x) / (pi x), elementwise, and 1 at 0: NumPy's and PyTorch's convention.

    Dtypes as in `erf`. Derivatives of every order are accurate also near 0.

    >>> import minigrad as mg
    >>> f"{mg.sinc(0.5):.5f}"
    '0.63662'
    """
    return bind(sinc, x, order=0)


@sinc.kernel
def _(xp: Any, x: Array, *, order: int) -> Any:
    return special.sinc(xp, x) if order == 0 else _sinc_derivative(xp, x, order)


@sinc.lowering
def _(b: Any, x: Any, *, order: int) -> Any:
    return b.call(sinc, (x,), {"order": order})[0] if order else NotImplemented


@sinc.scalar
def _(s: Any, x: Any, *, order: int) -> Any:
    return s.sinc(x)


@sinc.shape
def _(x: Spec, *, order: int) -> Spec:
    return x


@sinc.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return c.grads[0] * bind(sinc, c.inputs[0], order=c.attrs.order + 1)


def _sinc_derivative(xp: Any, x: Array, order: int) -> Any:
    """The derivative of an order n >= 1 of sinc.

    With z = pi x and s = sin(z)/z, differentiating z s = sin(z) n times gives
    z s(n) + n s(n-1) = sin(z + n pi/2), which is stable upwards for |z| > n. Below that the Taylor
    series of s(n) is summed.
    """
    given, dtype = x, x.dtype
    x = xp.where(xp.isfinite(given), given.astype(xp.float64), 1.0)
    z = math.pi * x
    turns = math.pi * (x - 2 * xp.round(x / 2))
    bound = order + 1.0
    far = xp.abs(z) > bound
    big = xp.where(far, z, bound)
    value = special.sinc(xp, xp.where(far, x, 1.0))
    waves = (xp.sin(turns), xp.cos(turns))
    for n in range(1, order + 1):
        wave = waves[n % 2] if n % 4 < 2 else -waves[n % 2]
        value = (wave - n * value) / big
    small = xp.where(far, 0.0, z)
    square = -small * small
    # The terms (-1)^k z^(2k-n) / ((2k+1) (2k-n)!) from 2k >= n on; 1/(2k-n)! soon beats z^(2k-n).
    start = (order + 1) // 2
    power = xp.ones_like(small) if order % 2 == 0 else small
    term = power * (-1.0) ** start
    series = xp.zeros_like(small)
    for k in range(start, start + 16 + order):
        series = series + term / (2 * k + 1)
        p = 2 * k - order
        term = term * square / ((p + 1) * (p + 2))
    result = math.pi**order * xp.where(far, value, series)
    # It dies out toward infinity.
    result = xp.where(xp.isinf(given), 0.0, xp.where(xp.isnan(given), xp.nan, result))
    return xp.asarray(result, dtype=dtype)

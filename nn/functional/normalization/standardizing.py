"""Mean 0 and variance 1 along axes: the primitives that every normalisation is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind_all
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import from_numpy
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.ops.basic import astype
from minigrad.ops.powers import rsqrt
from minigrad.ops.reducing import BAD_AXES, Axis, narrowed, reduced_count, require_axes, wide
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.statistics import inverse_count
from minigrad.shapes import Spec, axis_argument, normalize_axes, reduced

__all__ = ["MeanSquareNormalized", "Standardized", "mean_square_normalize", "standardize"]


class Standardized(NamedTuple):
    """What `standardize` returns: the result, and the statistics that it was made with.

    >>> import minigrad.nn as nn
    >>> made = nn.standardize([1.0, 3.0], epsilon=0.0)
    >>> made.y.tolist(), made.mean.tolist(), made.variance.tolist()
    ([-1.0, 1.0], [2.0], [1.0])
    """

    y: Tensor
    mean: Tensor
    variance: Tensor


class MeanSquareNormalized(NamedTuple):
    """What `mean_square_normalize` returns: the result, and the mean square it was made with.

    >>> import minigrad.nn as nn
    >>> nn.mean_square_normalize([1.0, 7.0]).mean_square.tolist()
    [25.0]
    """

    y: Tensor
    mean_square: Tensor


# -- mean 0, variance 1 ------------------------------------------------------------------------


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(3, 2)), axis=0, epsilon=0.1),
        Sample(rng.normal(size=(2, 2, 3)), axis=(0, -1)),
        Sample(rng.normal(size=(2, 3)), axis=None, epsilon=1.0),
        Sample(rng.normal(size=(0, 3))).named("empty"),
        Sample(np.zeros((3, 0))).named("of nothing: NaN").order(0, "the statistics are NaN"),
        Sample(np.array([[1.0, 2.0, 4.0]], np.float32) + np.float32(1e4)).named("far from 0"),
        Sample(np.array([[200.0, -200.0, 100.0]], np.float16)).named("more than float16 squares"),
        Sample(np.array([[1, 2, 4]])).named("integers"),
    ]


_ERRORS = [
    *BAD_AXES,
    Fails(ArgumentError, "epsilon must not be negative", np.ones(2), epsilon=-1e-5),
    Fails(ArgumentError, "epsilon must be finite", np.ones(2), epsilon=float("nan")),
    Fails(ArgumentTypeError, "epsilon must be a number", np.ones(2), epsilon="small"),
]


def _mean(xp: Any, x: Array, axis: Axis) -> Array:
    total: Array = xp.sum(x, axis=axis, keepdims=True)
    average: Array = total / x.dtype.type(reduced_count(x.shape, axis))
    return average


def _numpy_standardize(x: Array, *, axis: Axis, epsilon: float) -> tuple[Array, ...]:
    """The kernel with two arrays of the size of `x` instead of five."""
    require_axes(x, axis)
    dtype = from_numpy(x.dtype)
    v = x if wide(dtype) is dtype else x.astype(np.float32)
    rough = _mean(np, v, axis)
    apart = np.asarray(v - rough)
    rest = _mean(np, apart, axis)
    apart -= rest
    squares = np.asarray(np.multiply(apart, apart))
    variance = _mean(np, squares, axis)
    y = np.divide(apart, np.sqrt(variance + v.dtype.type(epsilon)), out=squares)
    return narrowed(y, dtype), rough + rest, variance


@primitive(
    "Standardize",
    outputs=("y", "mean", "variance"),
    accepts="real_float",
    numpy=_numpy_standardize,
    samples=lambda rng: [
        *_samples(rng),
        Sample(np.array([[2.0], [3.0]]))
        .expecting([[1.0], [1.0]])
        .named("one element: the result is 0, and only the mean depends on it"),
        Sample(np.array(2.0), axis=None).expecting(1.0).named("a scalar"),
    ],
    errors=_ERRORS,
)
def standardize(x: TensorLike, /, *, axis: Any = -1, epsilon: float = 1e-5) -> Standardized:
    """(x - mean) / sqrt(variance + epsilon), with the mean and biased variance along axes.

    The heart of layer, group, instance and batch normalisation. The mean is corrected once, by
    the mean of what is left after subtracting it, so that values far from 0 lose no digits
    (Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983).

    Args:
        x: a real tensor; integers become float32. Float16 is computed in float32.
        axis: the axis, or axes together, along which the statistics are taken; None for all.
        epsilon: keeps the divisor from 0.

    Returns:
        A named tuple: `y` of the shape and dtype of `x`; `mean` and the biased `variance`, with
        the axes kept as size 1, in float32 where `x` is float16. Where the elements are equal, y
        is 0 and so is its gradient. Statistics of nothing are NaN.

    Raises:
        ShapeError: an axis is out of range or repeated.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> y, mean, variance = nn.standardize([1.0, 3.0], epsilon=0.0)
    >>> y.tolist(), mean.tolist(), variance.tolist()
    ([-1.0, 1.0], [2.0], [1.0])
    """
    attrs = {"axis": axis_argument(axis), "epsilon": not_negative(epsilon, "epsilon")}
    return Standardized(*bind_all(standardize, x, **attrs))


@standardize.kernel
def _(xp: Any, x: Array, *, axis: Axis, epsilon: float) -> tuple[Array, ...]:
    require_axes(x, axis)
    dtype = from_numpy(x.dtype)
    v = x.astype(wide(dtype).dtype)
    rough = _mean(xp, v, axis)
    apart = v - rough
    rest = _mean(xp, apart, axis)
    apart = apart - rest
    variance = _mean(xp, apart * apart, axis)
    y = apart / xp.sqrt(variance + v.dtype.type(epsilon))
    return narrowed(y, dtype), rough + rest, variance


@standardize.lowering
def _(b: Any, x: Any, *, axis: Axis, epsilon: float) -> Any:
    rough = _lowered_mean(b, x, axis)
    apart = b.map("Sub", x, rough)
    rest = _lowered_mean(b, apart, axis)
    apart = b.map("Sub", apart, rest)
    variance = _lowered_mean(b, b.map("Mul", apart, apart), axis)
    y = b.map("RealDiv", apart, b.map("Sqrt", b.map("Add", variance, epsilon)))
    return y, b.map("Add", rough, rest), variance


def _lowered_mean(b: Any, x: Any, axis: Axis) -> Any:
    """`_mean` in a plan."""
    total = b.reduce("sum", x, normalize_axes(axis, x.rank), keepdims=True)
    return b.map("RealDiv", total, reduced_count(x.shape, axis))


@standardize.shape
def _(x: Spec, *, axis: Axis, epsilon: float) -> tuple[Spec, ...]:
    statistics = Spec(reduced(x.shape, axis, True), wide(x.dtype))
    return Spec(x.shape, x.dtype), statistics, statistics


@standardize.gradient(saves=("y", "variance"))
def _(c: Ctx) -> Grads:
    y, _, variance = c.outputs
    g, for_mean, for_variance = c.grads
    # y takes no part in the mean's gradient; 1/n of it goes to every element.
    return _pull_back(c, y, variance, g, for_variance, for_mean)


def _pull_back(
    c: Ctx, y: Tensor, spread: Tensor, g: Tensor, for_spread: Tensor, for_mean: Tensor | None
) -> Tensor:
    """The gradient for x of ``y = (x - mean) · r`` with ``r = 1/sqrt(spread + epsilon)``.

    It is r·g + y·b + a, a and b having one number for each group of n elements:
    b = 2/(n·r)·for_spread - r/n·Σ(g·y), and a = (for_mean - r·Σg)/n; without a mean there is no a.
    """
    x, axis = c.inputs[0], c.attrs.axis
    g, y = astype(g, wide(x.dtype)), astype(y, wide(x.dtype))
    share: Any = _share(x, axis)
    shifted = spread + c.attrs.epsilon
    r = rsqrt(shifted)
    b = (for_spread * (shifted * 2.0) - reduce_sum(g * y, axis=axis, keepdims=True)) * (r * share)
    made = r * g + y * b
    if for_mean is not None:
        made = made + (for_mean - r * reduce_sum(g, axis=axis, keepdims=True)) * share
    return astype(made, x.dtype)


def _share(x: Any, axis: Axis) -> Any:
    """1 / (number of elements that share a statistic)."""
    if x.spec.known():
        count = reduced_count(x.shape, axis)
        return 1.0 / count if count else 0.0
    return astype(inverse_count(x, axis=axis), wide(x.dtype))


# -- mean square 1 -----------------------------------------------------------------------------


def _numpy_mean_square(x: Array, *, axis: Axis, epsilon: float) -> tuple[Array, ...]:
    """The kernel with one array of the size of `x` instead of two."""
    require_axes(x, axis)
    dtype = from_numpy(x.dtype)
    v = x if wide(dtype) is dtype else x.astype(np.float32)
    squares = np.asarray(np.multiply(v, v))
    mean_square = _mean(np, squares, axis)
    y = np.divide(v, np.sqrt(mean_square + v.dtype.type(epsilon)), out=squares)
    return narrowed(y, dtype), mean_square


@primitive(
    "MeanSquareNormalize",
    outputs=("y", "mean_square"),
    accepts="real_float",
    numpy=_numpy_mean_square,
    samples=lambda rng: [
        *_samples(rng),
        Sample(np.zeros((1, 2)), epsilon=0.25).expecting([[2.0, 2.0]]).named("at 0"),
    ],
    errors=_ERRORS,
)
def mean_square_normalize(
    x: TensorLike, /, *, axis: Any = -1, epsilon: float = 1e-5
) -> MeanSquareNormalized:
    """x / sqrt(mean(x²) + epsilon), with the mean along axes: `rms_norm` without its scale.

    Args:
        x: a real tensor; integers become float32. Float16 is computed in float32.
        axis: the axis, or axes together, along which the mean is taken; None for all.
        epsilon: keeps the divisor from 0.

    Returns:
        A named tuple: `y` of the shape and dtype of `x`, and `mean_square`, with the axes kept as
        size 1, in float32 where `x` is float16.

    Raises:
        ShapeError: an axis is out of range or repeated.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> y, mean_square = nn.mean_square_normalize([1.0, 7.0], epsilon=0.0)
    >>> y.tolist(), mean_square.tolist()
    ([0.20000000298023224, 1.399999976158142], [25.0])
    """
    attrs = {"axis": axis_argument(axis), "epsilon": not_negative(epsilon, "epsilon")}
    return MeanSquareNormalized(*bind_all(mean_square_normalize, x, **attrs))


@mean_square_normalize.kernel
def _(xp: Any, x: Array, *, axis: Axis, epsilon: float) -> tuple[Array, ...]:
    require_axes(x, axis)
    dtype = from_numpy(x.dtype)
    v = x.astype(wide(dtype).dtype)
    square = _mean(xp, v * v, axis)
    return narrowed(v / xp.sqrt(square + v.dtype.type(epsilon)), dtype), square


@mean_square_normalize.lowering
def _(b: Any, x: Any, *, axis: Axis, epsilon: float) -> Any:
    square = _lowered_mean(b, b.map("Mul", x, x), axis)
    return b.map("RealDiv", x, b.map("Sqrt", b.map("Add", square, epsilon))), square


@mean_square_normalize.shape
def _(x: Spec, *, axis: Axis, epsilon: float) -> tuple[Spec, ...]:
    return Spec(x.shape, x.dtype), Spec(reduced(x.shape, axis, True), wide(x.dtype))


@mean_square_normalize.gradient(saves=("y", "mean_square"))
def _(c: Ctx) -> Grads:
    (y, mean_square), (g, for_square) = c.outputs, c.grads
    return _pull_back(c, y, mean_square, g, for_square, None)

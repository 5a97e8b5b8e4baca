"""Means, variances, and sums of exponentials."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentTypeError, DTypeError
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal
from minigrad.ops.reducing import (
    BAD_AXES,
    TEXT,
    Axis,
    array_dtype,
    narrowed,
    reduced_count,
    require_axes,
    spread,
    widened,
)
from minigrad.ops.reductions import sum
from minigrad.shapes import Spec, axis_argument, normalize_axes, reduced

__all__ = ["logsumexp", "mean", "std", "var"]

_COMPLEX = Fails(DTypeError, "does not take complex", np.ones(2) * 1j)


def _reduced_spec(x: Spec, *, axis: Axis, keepdims: bool, **_attrs: Any) -> Spec:
    return Spec(reduced(x.shape, axis, keepdims), x.dtype)


def _inverse_count(c: Ctx, correction: float = 0.0) -> Any:
    """1 / (number of elements a result is made of - correction): a number where that is known."""
    x = c.inputs[0]
    if x.spec.known():
        return _one_by(reduced_count(x.shape, c.attrs.axis), correction)
    return inverse_count(x, axis=c.attrs.axis, correction=correction)


def _one_by(count: int, correction: float) -> float:
    return 1.0 / (count - correction) if count > correction else float("inf")


@primitive(
    "InverseCount",
    accepts="real_float",
    shape_only=(0,),
    not_differentiable="the result depends on nothing but the argument's shape",
    samples=[
        Sample(np.zeros((2, 3)), axis=1),
        Sample(np.zeros((2, 3), np.float32), axis=None, correction=1.0),
        Sample(np.zeros((2, 0)), axis=(0, 1)).named("of nothing"),
    ],
    errors=BAD_AXES[:1],
)
def inverse_count(x: TensorLike, /, *, axis: Any = None, correction: float = 0.0) -> Tensor:
    """1 / (number of elements along `axis` - correction), as the gradients of means need it.

    Args:
        x: a tensor, whose values are not read.
        axis: an int, a tuple of ints, or None for all.
        correction: taken off the number of elements.

    Returns:
        A scalar of the dtype of `x`; infinity where the difference is not positive.

    >>> from minigrad.ops.statistics import inverse_count
    >>> inverse_count([[1.0, 2.0]], axis=1)
    Tensor(0.5, shape=(), dtype=float32)
    """
    return bind(inverse_count, x, axis=axis_argument(axis), correction=correction)


@inverse_count.kernel
def _(xp: Any, x: Array, *, axis: Axis, correction: float) -> Array:
    require_axes(x, axis)
    made: Array = xp.asarray(_one_by(reduced_count(x.shape, axis), correction), dtype=x.dtype)
    return made


@inverse_count.lowering
def _(b: Any, x: Any, *, axis: Axis, correction: float) -> Any:
    return b.constant(_one_by(reduced_count(x.shape, axis), correction), x.dtype)


@inverse_count.shape
def _(x: Spec, *, axis: Axis, correction: float) -> Spec:
    reduced(x.shape, axis, True)  # Refuses a wrong axis.
    return Spec((), x.dtype)


@primitive(
    "Mean",
    accepts="float",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0)),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True),
        Sample(rng.normal(size=())),
        Sample(rng.normal(size=(0, 3)), axis=1).named("empty result"),
        Sample(np.zeros((0, 3)), axis=0).fixed(0).named("of nothing: NaN"),
        Sample(np.array([40000.0, 50000.0], np.float16)).named("more than float16 sums"),
        Sample(np.array([1, 2])).named("integers give float32"),
        Sample(np.array([True, False])),
        Sample(np.array([1 + 2j, 3])),
    ],
    errors=[*BAD_AXES, Fails(DTypeError, "does not take string", TEXT)],
)
def mean(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean over axes.

    Args:
        x: a tensor; bools and integers become float32 (in TensorFlow a mean of integers is an
            integer; in NumPy, float64).
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes. The mean of nothing is NaN.

    Raises:
        ShapeError: an axis is out of range or repeated.

    >>> import minigrad as mg
    >>> mg.mean([[1.0, 2.0], [3.0, 4.0]], axis=0)
    Tensor([2., 3.], shape=(2,), dtype=float32)
    """
    return bind(mean, x, axis=axis_argument(axis), keepdims=bool(keepdims))


@mean.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    require_axes(x, axis)
    return narrowed(_mean(xp, widened(x), axis, keepdims), array_dtype(x))


@mean.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    return _lowered_mean(b, x, axis, keepdims)


def _lowered_mean(b: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    total = b.reduce("sum", x, normalize_axes(axis, x.rank), keepdims)
    return b.map("RealDiv", total, reduced_count(x.shape, axis))


def _mean(xp: Any, x: Array, axis: Axis, keepdims: bool) -> Array:
    total: Array = xp.sum(x, axis=axis, keepdims=keepdims)
    average: Array = total / x.dtype.type(reduced_count(x.shape, axis))
    return average


mean.shape(_reduced_spec)


@mean.gradient()
def _(c: Ctx) -> Grads:
    return spread(c, c.grads[0] * _inverse_count(c))


def _correction(value: Any) -> float:
    if isinstance(value, int | float | np.integer | np.floating):
        return float(value)
    raise ArgumentTypeError(f"correction must be a number, got {value!r}")


@primitive(
    "Var",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0), correction=1),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True, correction=0.5),
        Sample(np.array([2.0, 2.0])).expecting([0.0, 0.0]),
        Sample(rng.normal(size=(0, 3)), axis=1).named("empty result"),
        Sample(np.array([1.0]), correction=1).fixed(0).named("none left: NaN"),
        Sample(np.array([300.0, -300.0], np.float16)).named("more than float16 squares"),
        Sample(np.array([1, 2])),
    ],
    errors=[
        *BAD_AXES,
        _COMPLEX,
        Fails(ArgumentTypeError, "correction must be a number", np.ones(2), correction="n"),
    ],
)
def var(
    x: TensorLike, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Variance over axes: the sum of squared distances from the mean, over ``n - correction``.

    Args:
        x: a real tensor; bools and integers become float32.
        axis: an int, a tuple of ints, or None for all.
        correction: what to subtract from the number of elements; 1 for the unbiased estimate
            (NumPy's ``ddof``; PyTorch's default).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes; NaN where ``n - correction`` is 0 or less and the
        elements are equal.

    Raises:
        ShapeError: an axis is out of range or repeated.

    >>> import minigrad as mg
    >>> mg.var([1.0, 2.0, 3.0, 4.0])
    Tensor(1.25, shape=(), dtype=float32)
    """
    attrs = {"correction": _correction(correction), "keepdims": bool(keepdims)}
    return bind(var, x, axis=axis_argument(axis), **attrs)


@var.kernel
def _(xp: Any, x: Array, *, axis: Axis, correction: float, keepdims: bool) -> Array:
    require_axes(x, axis)
    return narrowed(_var(xp, widened(x), axis, correction, keepdims), array_dtype(x))


@var.lowering
def _(b: Any, x: Any, *, axis: Axis, correction: float, keepdims: bool) -> Any:
    return _lowered_var(b, x, axis, correction, keepdims)


def _lowered_var(b: Any, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    apart = b.map("Sub", x, _lowered_mean(b, x, axis, True))
    squares = b.map("Mul", apart, apart)
    total = b.reduce("sum", squares, normalize_axes(axis, x.rank), keepdims)
    return b.map("RealDiv", total, max(reduced_count(x.shape, axis) - correction, 0))


def _var(xp: Any, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    apart = x - _mean(xp, x, axis, True)
    total: Array = xp.sum(apart * apart, axis=axis, keepdims=keepdims)
    free = max(reduced_count(x.shape, axis) - correction, 0)
    variance: Array = total / x.dtype.type(free)
    return variance


var.shape(_reduced_spec)


@var.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,), a = c.inputs, c.attrs
    apart: Tensor = x - mean(x, axis=a.axis, keepdims=True)
    return spread(c, c.grads[0] * (2.0 * _inverse_count(c, a.correction))) * apart


@primitive(
    "Std",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0), correction=1),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True, correction=0.5),
        Sample(np.array([2.0, 2.0])).expecting([0.0, 0.0]),
        Sample(rng.normal(size=(0, 3)), axis=1).named("empty result"),
        Sample(np.array([300.0, -300.0], np.float16)).named("more than float16 squares"),
        Sample(np.array([1, 2])),
    ],
    errors=[
        *BAD_AXES,
        _COMPLEX,
        Fails(ArgumentTypeError, "correction must be a number", np.ones(2), correction="n"),
    ],
)
def std(
    x: TensorLike, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Standard deviation over axes: the square root of the variance.

    Args:
        x: a real tensor; bools and integers become float32.
        axis: an int, a tuple of ints, or None for all.
        correction: what to subtract from the number of elements; 1 as in PyTorch's default.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes. Where it is exactly 0 the gradient is 0, as that of a
        norm at 0 (TensorFlow and PyTorch have NaN there).

    Raises:
        ShapeError: an axis is out of range or repeated.

    >>> import minigrad as mg
    >>> mg.std([1.0, 3.0])
    Tensor(1., shape=(), dtype=float32)
    """
    attrs = {"correction": _correction(correction), "keepdims": bool(keepdims)}
    return bind(std, x, axis=axis_argument(axis), **attrs)


@std.kernel
def _(xp: Any, x: Array, *, axis: Axis, correction: float, keepdims: bool) -> Array:
    require_axes(x, axis)
    spreads = xp.sqrt(_var(xp, widened(x), axis, correction, keepdims))
    return narrowed(spreads, array_dtype(x))


@std.lowering
def _(b: Any, x: Any, *, axis: Axis, correction: float, keepdims: bool) -> Any:
    return b.map("Sqrt", _lowered_var(b, x, axis, correction, keepdims))


std.shape(_reduced_spec)


@std.gradient(saves=("x", "y"))
def _(c: Ctx) -> Grads:
    (x,), (y,), (g,), a = c.inputs, c.outputs, c.grads, c.attrs
    apart: Tensor = x - mean(x, axis=a.axis, keepdims=True)
    flat = astype(equal(y, 0.0), x.dtype)
    inverse = (1.0 - flat) / (y + flat)  # 1/y, and 0 where y is 0.
    return spread(c, g * inverse * _inverse_count(c, a.correction)) * apart


_NOTHING_LIKELY = np.array([-np.inf, -np.inf])
_INFINITE = np.array([np.inf, 1.0, np.inf])


@primitive(
    "LogSumExp",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3, 2)), axis=(-1, 0)),
        Sample(rng.normal(size=(2, 3)), axis=-1, keepdims=True),
        Sample(rng.normal(size=())),
        Sample(np.array([100.0, 99.0], np.float32)).named("exp would overflow"),
        Sample(np.array([-200.0, -199.0], np.float32)).named("exp would underflow"),
        Sample(_NOTHING_LIKELY).expecting([0.5, 0.5]).named("all -inf"),
        Sample(_INFINITE).expecting([0.5, 0.0, 0.5]).named("inf"),
        Sample(np.zeros((0, 3)), axis=0).named("of nothing: -inf"),
        Sample(rng.normal(size=(0, 3)), axis=1).named("empty result"),
        Sample(np.array([60000.0, 1.0], np.float16)),
        Sample(np.array([1, 2])),
    ],
    errors=[*BAD_AXES, _COMPLEX],
)
def logsumexp(x: TensorLike, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over axes, without overflow.

    Args:
        x: a real tensor; bools and integers become float32.
        axis: an int, a tuple of ints, or None for all.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A tensor without the reduced axes; -inf of nothing or of -inf only, inf where an element
        is. The gradient is `softmax(x)`.

    Raises:
        ShapeError: an axis is out of range or repeated.

    >>> import minigrad as mg
    >>> mg.logsumexp([1000.0, 1000.0])
    Tensor(1000.6932, shape=(), dtype=float32)
    """
    return bind(logsumexp, x, axis=axis_argument(axis), keepdims=bool(keepdims))


def _relative(xp: Any, x: Array, axis: Axis) -> tuple[Array, Array]:
    """exp(x - largest), and the largest; elements that equal an infinite largest count as 1."""
    top: Array = xp.max(x, axis=axis, keepdims=True, initial=-xp.inf)
    if xp is np and np.isfinite(top).all():
        return np.exp(x - top), top
    return xp.exp(xp.where(x == top, 0, x - top)), top


@logsumexp.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool) -> Array:
    require_axes(x, axis)
    relative, top = _relative(xp, widened(x), axis)
    result = xp.log(xp.sum(relative, axis=axis, keepdims=True)) + top
    result = xp.reshape(result, reduced(x.shape, axis, keepdims))
    return narrowed(result, array_dtype(x))


@logsumexp.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
    shape = reduced(x.shape, axis, keepdims)
    if not x.size:
        return b.full(shape, -np.inf, x.dtype)
    axes = normalize_axes(axis, x.rank)
    top = b.reduce("max", x, axes, keepdims=True)
    relative = b.map("Exp", lowered_distance(b, x, top))
    total = b.reduce("sum", relative, axes, keepdims=True)
    return b.reshape(b.map("Add", b.map("Log", total), top), shape)


def lowered_distance(b: Any, x: Any, top: Any) -> Any:
    """In a plan, ``x - top``, and 0 where they are the same infinity."""
    return b.map("Select", b.map("Equal", x, top), b.constant(0, x.dtype), b.map("Sub", x, top))


logsumexp.shape(_reduced_spec)


@logsumexp.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return spread(c, c.grads[0]) * softmax(c.inputs[0], axis=c.attrs.axis)


@primitive(
    "Softmax",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3)), axis=None),
        Sample(rng.normal(size=(2, 2, 3)), axis=(0, -1)),
        Sample(rng.normal(size=(0, 3)), axis=0).named("empty"),
        Sample(np.array([100.0, 99.0], np.float32)).named("exp would overflow"),
        Sample(_INFINITE).expecting([0.0, 0.0, 0.0]).named("inf"),
        Sample(np.array([60000.0, 1.0], np.float16)),
        Sample(np.array([1, 2])),
    ],
    errors=[f for f in BAD_AXES if "()" not in f.match] + [_COMPLEX],
)
def softmax(x: TensorLike, /, *, axis: Any = -1) -> Tensor:
    """exp(x) / sum(exp(x)) over axes, without overflow.

    Args:
        x: a real tensor; bools and integers become float32.
        axis: an int, a tuple of ints, or None for all.

    Returns:
        A tensor of the shape of `x`. Where the largest is infinite, those that equal it share 1.

    Raises:
        ShapeError: an axis is out of range or repeated.

    >>> from minigrad.ops.statistics import softmax
    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    return bind(softmax, x, axis=axis_argument(axis))


@softmax.kernel
def _(xp: Any, x: Array, *, axis: Axis) -> Array:
    require_axes(x, axis)
    relative, _top = _relative(xp, widened(x), axis)
    result = relative / xp.sum(relative, axis=axis, keepdims=True)
    return narrowed(result, array_dtype(x))


@softmax.lowering
def _(b: Any, x: Any, *, axis: Axis) -> Any:
    if not x.size:
        return x
    axes = normalize_axes(axis, x.rank)
    top = b.reduce("max", x, axes, keepdims=True)
    relative = b.map("Exp", lowered_distance(b, x, top))
    return b.map("RealDiv", relative, b.reduce("sum", relative, axes, keepdims=True))


@softmax.shape
def _(x: Spec, *, axis: Axis) -> Spec:
    reduced(x.shape, axis, True)  # Refuses a wrong axis.
    return x._replace(value=None)


@softmax.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (y,), (g,) = c.outputs, c.grads
    return y * (g - sum(g * y, axis=c.attrs.axis, keepdims=True))

"""Max pooling as a primitive of any rank.

Where it has a derivative, the largest element of a window is a linear function of the input. So two
ops, which are each other's adjoints, give its gradients of every order.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.pooling import kernels as kernels
from minigrad.nn.functional.pooling.kernels import pool_windows, pooled_shape
from minigrad.nn.functional.pooling.plans import pooled
from minigrad.nn.functional.windows import (
    Geometry,
    IntOrInts,
    Ints,
    Padding,
    PaddingLike,
    from_channels_last,
    geometry_argument,
    per_axis,
    to_channels_last,
)
from minigrad.ops.reducing import array_dtype, narrowed, widened
from minigrad.shapes import Shape, Spec, compatible, show

__all__: list[str] = []


def pooling_attributes(
    rank: int | None, window: Any, stride: Any, padding: Any, dilation: Any, data_format: Any
) -> dict[str, Any]:
    """The attributes of a pooling; `stride` None means the window's size."""
    steps = window if stride is None else stride
    geometry = geometry_argument(rank, 1, padding, dilation, data_format)
    return {
        **geometry._asdict(),
        "window": per_axis(window, geometry.rank, "window"),
        "stride": per_axis(steps, geometry.rank, "stride"),
    }


def pool(
    xp: Any, compute: Any, over: Shape, window: Ints, geometry: Geometry, *arrays: Array
) -> Array:
    """Run a kernel on channels-last arrays, for windows over a tensor of shape `over`."""
    pooled_shape(over, window, geometry)
    w = pool_windows(geometry.split(over or ())[1], window, geometry)
    moved = [widened(to_channels_last(xp, a, geometry)) for a in arrays]
    y = from_channels_last(xp, compute(*moved, w), geometry)
    return narrowed(y, array_dtype(arrays[0]))


def _unpack(
    *, window: Ints, stride: Ints, padding: Padding, dilation: Ints, data_format: str
) -> tuple[Ints, Geometry]:
    return window, Geometry(stride, padding, dilation, data_format)


def require_pooled(x: Shape, y: Shape, window: Ints, geometry: Geometry) -> None:
    """Raise `ShapeError` unless pooling `x` could give the shape of `y`."""
    shape = pooled_shape(x, window, geometry)
    if not compatible(shape, y):
        raise ShapeError(f"the gradient has shape {show(y)}, the result of pooling {show(shape)}")


# -- the largest element ----------------------------------------------------------------------


def _max_samples(rng: np.random.Generator) -> list[Sample]:
    wide = {"data_format": "NWC"}
    return [
        Sample(rng.normal(size=(1, 5, 3, 1)), 2),
        Sample(rng.normal(size=(2, 5, 2)), 3, stride=1, **wide).named("overlapping"),
        Sample(rng.normal(size=(1, 6, 1)), 2, stride=3, padding="SAME", dilation=2, **wide),
        Sample(rng.normal(size=(1, 5, 2)) - 9, 3, padding=[(0, 1)], **wide).named("negative"),
        Sample(rng.normal(size=(1, 2, 3, 3)), (2, 1), stride=(1, 2), data_format="NCHW"),
        Sample(rng.normal(size=(1, 2, 2, 3, 1)), (2, 1, 2), data_format="NDHWC"),
        Sample(np.array([[[1.0], [3.0], [3.0], [3.0]]]), 2, stride=1, **wide)
        .expecting([[[0.0], [1.5], [1.0], [0.5]]])
        .named("ties"),
        Sample(np.full((1, 1, 1), -np.inf), 2, padding="SAME", **wide)
        .expecting([[[1.0]]])
        .named("no tie with padding"),
        Sample(rng.normal(size=(0, 3, 2)), 2, **wide).named("no examples"),
        Sample(np.array([[[-3], [-1], [-2]]]), 2, padding=1, **wide).named("integers"),
        Sample(rng.normal(size=(1, 4, 1)).astype("float16"), 2, **wide),
    ]


_LINE = np.ones((1, 3, 1))
_WIDE: dict[str, Any] = {"data_format": "NWC"}
_ERRORS = [
    Fails(ShapeError, "must have rank 4", _LINE, 2),
    Fails(ShapeError, "window of 4 does not fit", _LINE, 4, **_WIDE),
    Fails(ShapeError, "nothing but padding", _LINE, 2, padding=2, **_WIDE),
    Fails(ArgumentError, "window must be at least 1", _LINE, 0, **_WIDE),
    Fails(ArgumentError, "stride must be at least 1", _LINE, 2, stride=-1, **_WIDE),
    Fails(ArgumentError, "window has 2 values", _LINE, (2, 2), **_WIDE),
    Fails(ArgumentError, "padding must be", _LINE, 2, padding="REFLECT", **_WIDE),
    Fails(ArgumentError, "data_format must be", _LINE, 2, data_format="NXC"),
]


@primitive("MaxPool", accepts="real", samples=_max_samples, errors=_ERRORS)
def max_pool(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """The largest element of each window, of any rank; `data_format` tells which.

    See `max_pool2d`.

    >>> from minigrad.nn.functional.pooling.largest import max_pool
    >>> max_pool([[[1.0], [3.0], [2.0], [0.0]]], 2, data_format="NWC").tolist()
    [[[3.0], [2.0]]]
    """
    attrs = pooling_attributes(None, window, stride, padding, dilation, data_format)
    return bind(max_pool, x, **attrs)


@max_pool.kernel
def _(
    xp: Any,
    x: Array,
    *,
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    return pool(xp, partial(kernels.largest, xp), x.shape, window, geometry, x)


@max_pool.lowering
def _(b: Any, x: Any, **attrs: Any) -> Any:
    return pooled(b, max_pool, "max_pool", (x,), x.shape, *_unpack(**attrs))


@max_pool.shape
def _(x: Spec, **attrs: Any) -> Spec:
    return Spec(pooled_shape(x.shape, *_unpack(**attrs)), x.dtype)


@max_pool.gradient(saves=("x", "y"))
def _(c: Ctx) -> Grads:
    return bind(max_pool_gradient, c.grads[0], c.inputs[0], c.outputs[0], **vars(c.attrs))


def _max_gradient_samples(rng: np.random.Generator) -> list[Sample]:
    def call(x: Array, places: int, **attrs: Any) -> Sample:
        g = rng.normal(size=(x.shape[0], places, x.shape[2]))
        y = np.asarray(max_pool(x, 2, **attrs, **_WIDE))
        return Sample(g, x, y, 2, **attrs, **_WIDE).fixed(1, 2)

    return [
        call(rng.normal(size=(2, 5, 2)), 2),
        call(rng.normal(size=(1, 4, 1)), 3, stride=1),
        call(np.array([[[1.0], [3.0], [3.0]]]), 2, stride=1).named("ties"),
        call(rng.normal(size=(1, 5, 1)), 2, stride=3, dilation=2, padding="SAME"),
        call(rng.normal(size=(0, 4, 1)), 2).named("no examples"),
    ]


_BAD_GRADIENT = Fails(
    *(ShapeError, r"has shape \(1, 3, 1\), the result of pooling \(1, 1, 1\)"),
    *(_LINE, _LINE, np.ones((1, 1, 1)), 2),
    **_WIDE,
)


@primitive(
    "MaxPoolGrad",
    accepts="real_float",
    samples=_max_gradient_samples,
    errors=[_BAD_GRADIENT],
    numpy=lambda g, x, y, **attrs: pool(
        *(np, kernels.largest_gradient_numpy, x.shape, *_upstream(g, x, y, **attrs), g, x, y)
    ),
)
def max_pool_gradient(
    g: TensorLike,
    x: TensorLike,
    y: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """The gradient of `max_pool`: each window's goes to its largest element, ties share it.

    Args:
        g: the upstream gradient.
        x: what was pooled.
        y: the result of pooling, of the shape of `g`.
        window: the window's size, as the other arguments those of the pooling.
        stride: see `max_pool2d`.
        padding: see `max_pool2d`.
        dilation: see `max_pool2d`.
        data_format: see `max_pool`.

    Raises:
        ShapeError: `g` or `y` has not the shape that pooling `x` gives.

    >>> from minigrad.nn.functional.pooling.largest import max_pool_gradient
    >>> max_pool_gradient([[[6.0]]], [[[1.0], [3.0]]], [[[3.0]]], 2, data_format="NWC").tolist()
    [[[0.0], [6.0]]]
    """
    attrs = pooling_attributes(None, window, stride, padding, dilation, data_format)
    return bind(max_pool_gradient, g, x, y, **attrs)


def _upstream(g: Any, x: Any, y: Any, **attrs: Any) -> tuple[Ints, Geometry]:
    """The geometry, once `g` and `y` are seen to have the pooled shape."""
    window, geometry = _unpack(**attrs)
    require_pooled(x.shape, g.shape, window, geometry)
    require_pooled(x.shape, y.shape, window, geometry)
    return window, geometry


@max_pool_gradient.kernel
def _(
    xp: Any,
    g: Array,
    x: Array,
    y: Array,
    *,
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    _upstream(g, x, y, window=window, **geometry._asdict())
    return pool(xp, partial(kernels.largest_gradient, xp), x.shape, window, geometry, g, x, y)


@max_pool_gradient.lowering
def _(b: Any, g: Any, x: Any, y: Any, **attrs: Any) -> Any:
    name, how = "max_pool_gradient", _unpack(**attrs)
    return pooled(b, max_pool_gradient, name, (g, x, y), x.shape, *how, back=True)


@max_pool_gradient.shape
def _(g: Spec, x: Spec, y: Spec, **attrs: Any) -> Spec:
    _upstream(g, x, y, **attrs)
    return Spec(x.shape, x.dtype)


@max_pool_gradient.gradient(saves=("x", "y"))
def _(c: Ctx) -> Grads:
    _, x, y = c.inputs
    return bind(at_max_pool, c.grads[0], x, y, **vars(c.attrs)), None, None


def _at_max_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=s.args[1].shape), *s.args[1:], **s.kwargs).fixed(1, 2)
        for s in _max_gradient_samples(rng)
    ]


@primitive(
    "MaxPoolGradGrad",
    accepts="real_float",
    samples=_at_max_samples,
    errors=[
        Fails(
            *(ShapeError, "where"),
            *(np.ones((1, 2, 1)), _LINE, np.ones((1, 1, 1)), 2),
            **_WIDE,
        ),
    ],
)
def at_max_pool(
    v: TensorLike,
    x: TensorLike,
    y: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """What `v` is where `x` is its window's largest (the mean over ties).

    This is the adjoint of `max_pool_gradient`, and the derivative of `max_pool` in direction `v`.

    Args:
        v: a tensor of the shape of `x`.
        x: what was pooled.
        y: the result of pooling.
        window: the window's size, as the other arguments those of the pooling.
        stride: see `max_pool2d`.
        padding: see `max_pool2d`.
        dilation: see `max_pool2d`.
        data_format: see `max_pool`.

    Raises:
        ShapeError: `v` has not the shape of `x`, or `y` not that which pooling `x` gives.

    >>> from minigrad.nn.functional.pooling.largest import at_max_pool
    >>> at_max_pool([[[7.0], [8.0]]], [[[1.0], [3.0]]], [[[3.0]]], 2, data_format="NWC").tolist()
    [[[8.0]]]
    """
    attrs = pooling_attributes(None, window, stride, padding, dilation, data_format)
    return bind(at_max_pool, v, x, y, **attrs)


def _require_same(v: Any, x: Any) -> None:
    if not compatible(v.shape, x.shape):
        raise ShapeError(f"v has shape {show(v.shape)} where x has {show(x.shape)}")


@at_max_pool.kernel
def _(
    xp: Any,
    v: Array,
    x: Array,
    y: Array,
    *,
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    _require_same(v, x)
    require_pooled(x.shape, y.shape, window, geometry)
    return pool(xp, partial(kernels.at_largest, xp), x.shape, window, geometry, v, x, y)


@at_max_pool.shape
def _(v: Spec, x: Spec, y: Spec, **attrs: Any) -> Spec:
    _require_same(v, x)
    require_pooled(x.shape, y.shape, *_unpack(**attrs))
    return Spec(y.shape, x.dtype)


@at_max_pool.gradient(saves=("x", "y"))
def _(c: Ctx) -> Grads:
    _, x, y = c.inputs
    return bind(max_pool_gradient, c.grads[0], x, y, **vars(c.attrs)), None, None

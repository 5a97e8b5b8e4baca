"""Average pooling as a primitive of any rank, and its adjoint."""

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
from minigrad.nn.functional.pooling.kernels import pooled_shape
from minigrad.nn.functional.pooling.largest import pool, pooling_attributes, require_pooled
from minigrad.nn.functional.pooling.plans import pooled
from minigrad.nn.functional.windows import Geometry, IntOrInts, Ints, Padding, PaddingLike
from minigrad.shapes import Spec

__all__: list[str] = []

_WIDE = {"data_format": "NWC"}
_LINE = np.ones((1, 3, 1))


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(rng.normal(size=(1, 5, 3, 1)), 2),
        Sample(rng.normal(size=(2, 5, 2)), 3, stride=1, **_WIDE).named("overlapping"),
        Sample(rng.normal(size=(1, 5, 1)), 3, stride=2, padding="SAME", **_WIDE),
        Sample(rng.normal(size=(1, 4, 1)), 3, padding=[(0, 2)], count_include_pad=True, **_WIDE),
        Sample(rng.normal(size=(1, 2, 3, 3)), (2, 1), padding=(1, 0), data_format="NCHW"),
        Sample(rng.normal(size=(1, 2, 2, 3, 1)), (2, 1, 2), data_format="NDHWC"),
        Sample(rng.normal(size=(0, 3, 2)), 2, **_WIDE).named("no examples"),
        Sample(np.array([[[1], [2], [4]]]), 2, **_WIDE).named("integers"),
        Sample(rng.normal(size=(1, 4, 1)).astype("float16"), 2, **_WIDE),
    ]


def _unpack(
    *,
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
    count_include_pad: bool,
) -> tuple[Ints, Geometry]:
    return window, Geometry(stride, padding, dilation, data_format)


@primitive(
    "AvgPool",
    accepts="real_float",
    samples=_samples,
    errors=[
        Fails(ShapeError, "must have rank 4", _LINE, 2),
        Fails(ShapeError, "window of 4 does not fit", _LINE, 4, **_WIDE),
        Fails(ShapeError, "nothing but padding", _LINE, 2, padding=2, **_WIDE),
        Fails(ArgumentError, "window must be at least 1", _LINE, 0, **_WIDE),
    ],
)
def avg_pool(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    count_include_pad: bool = False,
    data_format: str = "NHWC",
) -> Tensor:
    """The mean of each window, of any rank; `data_format` tells which. See `avg_pool2d`.

    >>> from minigrad.nn.functional.pooling.mean import avg_pool
    >>> avg_pool([[[1.0], [3.0], [2.0], [0.0]]], 2, data_format="NWC").tolist()
    [[[2.0], [1.0]]]
    """
    attrs = pooling_attributes(None, window, stride, padding, 1, data_format)
    return bind(avg_pool, x, **attrs, count_include_pad=bool(count_include_pad))


@avg_pool.kernel
def _(
    xp: Any,
    x: Array,
    *,
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
    count_include_pad: bool,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    compute = partial(kernels.mean, xp, include_padding=count_include_pad)
    return pool(xp, compute, x.shape, window, geometry, x)


@avg_pool.lowering
def _(b: Any, x: Any, **attrs: Any) -> Any:
    counted = {"count_include_pad": attrs["count_include_pad"]}
    return pooled(b, avg_pool, "avg_pool", (x,), x.shape, *_unpack(**attrs), **counted)


@avg_pool.shape
def _(x: Spec, **attrs: Any) -> Spec:
    return Spec(pooled_shape(x.shape, *_unpack(**attrs)), x.dtype)


@avg_pool.gradient()
def _(c: Ctx) -> Grads:
    return bind(avg_pool_gradient, c.grads[0], c.inputs[0], **vars(c.attrs))


def _gradient_samples(rng: np.random.Generator) -> list[Sample]:
    def call(x: tuple[int, ...], places: int, **attrs: Any) -> Sample:
        g = rng.normal(size=(x[0], places, x[2]))
        return Sample(g, np.zeros(x), 2, **attrs, **_WIDE).fixed(1)

    return [
        call((2, 5, 2), 2),
        call((1, 4, 1), 3, stride=1),
        call((1, 3, 1), 2, padding="SAME"),
        call((1, 3, 1), 2, padding=[(1, 0)], count_include_pad=True),
        call((0, 4, 1), 2).named("no examples"),
    ]


@primitive(
    "AvgPoolGrad",
    accepts="real_float",
    promote=(0,),
    shape_only=(1,),
    samples=_gradient_samples,
    errors=[
        Fails(
            *(ShapeError, r"has shape \(1, 3, 1\), the result of pooling \(1, 1, 1\)"),
            *(_LINE, _LINE, 2),
            **_WIDE,
        )
    ],
    numpy=lambda g, x, *, count_include_pad, **attrs: _spread(
        *(np, partial(kernels.mean_gradient_numpy, include_padding=count_include_pad), g, x),
        *_unpack(**attrs, count_include_pad=count_include_pad),
    ),
)
def avg_pool_gradient(
    g: TensorLike,
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    count_include_pad: bool = False,
    data_format: str = "NHWC",
) -> Tensor:
    """The gradient of `avg_pool`: each window's is shared equally by its elements.

    Args:
        g: the upstream gradient.
        x: what was pooled, of which only the shape is read.
        window: the window's size, as the other arguments those of the pooling.
        stride: see `avg_pool2d`.
        padding: see `avg_pool2d`.
        count_include_pad: see `avg_pool2d`.
        data_format: see `avg_pool`.

    Raises:
        ShapeError: `g` has not the shape that pooling `x` gives.

    >>> import minigrad as mg
    >>> from minigrad.nn.functional.pooling.mean import avg_pool_gradient
    >>> avg_pool_gradient([[[6.0]]], mg.zeros((1, 3, 1)), 2, data_format="NWC").tolist()
    [[[3.0], [3.0], [0.0]]]
    """
    attrs = pooling_attributes(None, window, stride, padding, 1, data_format)
    return bind(avg_pool_gradient, g, x, **attrs, count_include_pad=bool(count_include_pad))


def _spread(xp: Any, compute: Any, g: Array, x: Array, window: Ints, geometry: Geometry) -> Array:
    require_pooled(x.shape, g.shape, window, geometry)
    return pool(xp, compute, x.shape, window, geometry, g)


@avg_pool_gradient.kernel
def _(
    xp: Any,
    g: Array,
    x: Array,
    *,
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
    count_include_pad: bool,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    compute = partial(kernels.mean_gradient, xp, include_padding=count_include_pad)
    return _spread(xp, compute, g, x, window, geometry)


@avg_pool_gradient.lowering
def _(b: Any, g: Any, x: Any, **attrs: Any) -> Any:
    # Of x only the shape is read.
    operands = (g, b.full(x.shape, 0, x.dtype))
    counted = {"count_include_pad": attrs["count_include_pad"]}
    name, how = "avg_pool_gradient", _unpack(**attrs)
    return pooled(b, avg_pool_gradient, name, operands, x.shape, *how, back=True, **counted)


@avg_pool_gradient.shape
def _(g: Spec, x: Spec, **attrs: Any) -> Spec:
    require_pooled(x.shape, g.shape, *_unpack(**attrs))
    return Spec(x.shape, g.dtype)


@avg_pool_gradient.gradient()
def _(c: Ctx) -> Grads:
    return bind(avg_pool, c.grads[0], **vars(c.attrs)), None

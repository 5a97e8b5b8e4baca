"""Pooling: the largest or the mean element of each window, or of all places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.pooling.largest import max_pool, pooling_attributes
from minigrad.nn.functional.pooling.mean import avg_pool
from minigrad.nn.functional.windows import IntOrInts, PaddingLike, geometry_argument, require_rank
from minigrad.ops.basic import ensure_shape
from minigrad.ops.reductions import max as reduce_max
from minigrad.ops.statistics import mean as reduce_mean

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "global_avg_pool",
    "global_max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


@primitive(
    "MaxPool1D",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 5, 2)), 2),
        Sample(rng.normal(size=(1, 2, 3)), 2, stride=1, padding="SAME", data_format="NCW"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 3", np.ones((1, 3, 3, 1)), 2),
        Fails(ArgumentError, "'NWC', 'NCW'", np.ones((1, 3, 1)), 2, data_format="NHWC"),
    ],
)
def max_pool1d(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NWC",
) -> Tensor:
    """The largest element of each window along one axis, as `max_pool2d` along two.

    Args:
        x: of shape ``(batch, length, channels)``, or the channels second.
        window: see `max_pool2d`, as for the other arguments.
        stride: see `max_pool2d`.
        padding: see `max_pool2d`.
        dilation: see `max_pool2d`.
        data_format: ``"NWC"`` or ``"NCW"``.

    Raises:
        ShapeError: see `max_pool2d`.
        ArgumentError: see `max_pool2d`.

    >>> import minigrad.nn as nn
    >>> nn.max_pool1d([[[1.0], [3.0], [2.0], [0.0]]], 2).tolist()
    [[[3.0], [2.0]]]
    """
    attrs = pooling_attributes(1, window, stride, padding, dilation, data_format)
    return bind(max_pool, x, **attrs)


@primitive(
    "MaxPool2D",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3, 4, 1)), 2, stride=1),
        Sample(
            *(rng.normal(size=(1, 1, 4, 3)), (2, 1)),
            stride=2,
            padding=[(1, 0), 0],
            dilation=(2, 1),
            data_format="NCHW",
        ),
        Sample(np.ones((1, 2, 2, 1)), 2).expecting(np.full((1, 2, 2, 1), 0.25)).named("ties"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 4", np.ones((1, 3, 1)), 2),
        Fails(ShapeError, "window of 3 does not fit", np.ones((1, 3, 2, 1)), 3),
    ],
)
def max_pool2d(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """The largest element of each window of images, for each channel.

    Args:
        x: real numbers of shape ``(batch, height, width, channels)``, or ``(batch, channels,
            height, width)`` with ``data_format="NCHW"``.
        window: its size: an int, or one for each spatial axis.
        stride: steps from one window to the next; by default the window's size, so that windows
            lie side by side.
        padding: ``"VALID"``, ``"SAME"``, an int, or an int or pair (before, after) for each
            spatial axis, as for `conv2d`. Padding is never the largest.
        dilation: steps from one element of a window to the next.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Returns:
        A tensor of the data format and dtype of `x`, with the sizes that `conv2d` gives: a
        remainder at the end is not looked at. Elements that tie for the largest share its gradient
        equally. (PyTorch and TensorFlow give all of it to the first.)

    Raises:
        ShapeError: `x` has the wrong rank; the window is larger than the padded input, or sees
            nothing but padding.
        ArgumentError: a window, stride or dilation below 1; an unknown padding or data format.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> x = mg.reshape(mg.arange(16, dtype="float32"), (1, 4, 4, 1))
    >>> nn.max_pool2d(x, 2)[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    attrs = pooling_attributes(2, window, stride, padding, dilation, data_format)
    return bind(max_pool, x, **attrs)


@primitive(
    "MaxPool3D",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 2, 3, 2, 1)), 2),
        Sample(rng.normal(size=(1, 1, 3, 2, 2)), (2, 1, 2), stride=1, data_format="NCDHW"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 5", np.ones((1, 3, 1)), 2),
    ],
)
def max_pool3d(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NDHWC",
) -> Tensor:
    """The largest element of each window along three axes, as `max_pool2d` along two.

    Args:
        x: of shape ``(batch, depth, height, width, channels)``, or the channels second.
        window: see `max_pool2d`, as for the other arguments.
        stride: see `max_pool2d`.
        padding: see `max_pool2d`.
        dilation: see `max_pool2d`.
        data_format: ``"NDHWC"`` or ``"NCDHW"``.

    Raises:
        ShapeError: see `max_pool2d`.
        ArgumentError: see `max_pool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.max_pool3d(mg.ones((1, 2, 4, 4, 3)), 2).shape
    (1, 1, 2, 2, 3)
    """
    attrs = pooling_attributes(3, window, stride, padding, dilation, data_format)
    return bind(max_pool, x, **attrs)


@primitive(
    "AvgPool1D",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 5, 2)), 2),
        Sample(rng.normal(size=(1, 2, 3)), 2, stride=1, padding="SAME", data_format="NCW"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 3", np.ones((1, 3, 3, 1)), 2),
        Fails(ArgumentError, "'NWC', 'NCW'", np.ones((1, 3, 1)), 2, data_format="NHWC"),
    ],
)
def avg_pool1d(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    count_include_pad: bool = False,
    data_format: str = "NWC",
) -> Tensor:
    """The mean of each window along one axis, as `avg_pool2d` along two.

    Args:
        x: of shape ``(batch, length, channels)``, or the channels second.
        window: see `avg_pool2d`, as for the other arguments.
        stride: see `avg_pool2d`.
        padding: see `avg_pool2d`.
        count_include_pad: see `avg_pool2d`.
        data_format: ``"NWC"`` or ``"NCW"``.

    Raises:
        ShapeError: see `avg_pool2d`.
        ArgumentError: see `avg_pool2d`.

    >>> import minigrad.nn as nn
    >>> nn.avg_pool1d([[[1.0], [3.0], [2.0]]], 2, padding="SAME").tolist()
    [[[2.0], [2.0]]]
    """
    attrs = pooling_attributes(1, window, stride, padding, 1, data_format)
    return bind(avg_pool, x, **attrs, count_include_pad=bool(count_include_pad))


@primitive(
    "AvgPool2D",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3, 4, 1)), 2, stride=1),
        Sample(
            *(rng.normal(size=(1, 1, 4, 3)), (2, 1)),
            stride=2,
            padding=[(1, 0), 0],
            count_include_pad=True,
            data_format="NCHW",
        ),
    ],
    errors=[
        Fails(ShapeError, "must have rank 4", np.ones((1, 3, 1)), 2),
        Fails(ShapeError, "window of 3 does not fit", np.ones((1, 3, 2, 1)), 3),
    ],
)
def avg_pool2d(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    count_include_pad: bool = False,
    data_format: str = "NHWC",
) -> Tensor:
    """The mean of each window of images, for each channel.

    Args:
        x: numbers of shape ``(batch, height, width, channels)``, or ``(batch, channels,
            height, width)`` with ``data_format="NCHW"``. Integers give float32; float16 is
            summed in float32.
        window: its size: an int, or one for each spatial axis.
        stride: steps from one window to the next; by default the window's size.
        padding: as for `max_pool2d`.
        count_include_pad: whether padding counts as zeros in the mean. TensorFlow never counts it,
            PyTorch does unless told otherwise.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Raises:
        ShapeError: see `max_pool2d`.
        ArgumentError: see `max_pool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> x = mg.reshape(mg.arange(16, dtype="float32"), (1, 4, 4, 1))
    >>> nn.avg_pool2d(x, 2)[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    attrs = pooling_attributes(2, window, stride, padding, 1, data_format)
    return bind(avg_pool, x, **attrs, count_include_pad=bool(count_include_pad))


@primitive(
    "AvgPool3D",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 2, 3, 2, 1)), 2),
        Sample(rng.normal(size=(1, 1, 3, 2, 2)), (2, 1, 2), stride=1, data_format="NCDHW"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 5", np.ones((1, 3, 1)), 2),
    ],
)
def avg_pool3d(
    x: TensorLike,
    window: IntOrInts,
    /,
    *,
    stride: IntOrInts | None = None,
    padding: PaddingLike = "VALID",
    count_include_pad: bool = False,
    data_format: str = "NDHWC",
) -> Tensor:
    """The mean of each window along three axes, as `avg_pool2d` along two.

    Args:
        x: of shape ``(batch, depth, height, width, channels)``, or the channels second.
        window: see `avg_pool2d`, as for the other arguments.
        stride: see `avg_pool2d`.
        padding: see `avg_pool2d`.
        count_include_pad: see `avg_pool2d`.
        data_format: ``"NDHWC"`` or ``"NCDHW"``.

    Raises:
        ShapeError: see `avg_pool2d`.
        ArgumentError: see `avg_pool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.avg_pool3d(mg.ones((1, 2, 4, 4, 3)), 2).shape
    (1, 1, 2, 2, 3)
    """
    attrs = pooling_attributes(3, window, stride, padding, 1, data_format)
    return bind(avg_pool, x, **attrs, count_include_pad=bool(count_include_pad))


def _over_places(
    reduce: Callable[..., Tensor], x: TensorLike, data_format: str, keepdims: bool
) -> Tensor:
    """Reduce over the spatial axes, once it is sure that these are the spatial ones."""
    geometry = geometry_argument(None, 1, "VALID", 1, data_format)
    tensor = tensor_of(x)
    require_rank(tensor.shape, geometry)
    if tensor.shape is None:
        tensor = ensure_shape(tensor, (None,) * (geometry.rank + 2))
    return reduce(tensor, axis=geometry.spatial_axes, keepdims=keepdims)


_NO_PLACES: Any = np.ones((1, 0, 2))


@primitive(
    "GlobalMaxPool",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2, 2, 2))),
        Sample(rng.normal(size=(2, 2, 3)), data_format="NCW", keepdims=True),
        Sample(rng.normal(size=(1, 2, 1, 2, 1)), data_format="NDHWC"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 4", np.ones((1, 3, 2))),
        Fails(ShapeError, "no elements", _NO_PLACES, data_format="NWC"),
        Fails(ArgumentError, "data_format must be one of", np.ones((1, 3, 2)), data_format="NXC"),
    ],
)
def global_max_pool(
    x: TensorLike, /, *, data_format: str = "NHWC", keepdims: bool = False
) -> Tensor:
    """The largest element over all places, for each example and channel.

    Args:
        x: real numbers in the data format.
        data_format: ``"NWC"``, ``"NHWC"``, ``"NDHWC"``, ``"NCW"``, ``"NCHW"`` or ``"NCDHW"``.
        keepdims: keep the spatial axes, with size 1.

    Returns:
        A tensor of shape ``(batch, channels)``. Ties share the gradient equally.

    Raises:
        ShapeError: `x` has not the rank of the data format, or no places.
        ArgumentError: the data format is unknown.

    >>> import minigrad.nn as nn
    >>> nn.global_max_pool([[[1.0, 5.0], [3.0, 2.0]]], data_format="NWC").tolist()
    [[3.0, 5.0]]
    """
    return _over_places(reduce_max, x, data_format, keepdims)


@primitive(
    "GlobalAvgPool",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2, 2, 2))),
        Sample(rng.normal(size=(2, 2, 3)), data_format="NCW", keepdims=True),
        Sample(rng.normal(size=(1, 2, 1, 2, 1)), data_format="NDHWC"),
    ],
    errors=[Fails(ShapeError, "must have rank 4", np.ones((1, 3, 2)))],
)
def global_avg_pool(
    x: TensorLike, /, *, data_format: str = "NHWC", keepdims: bool = False
) -> Tensor:
    """The mean over all places, for each example and channel.

    Args:
        x: numbers in the data format.
        data_format: ``"NWC"``, ``"NHWC"``, ``"NDHWC"``, ``"NCW"``, ``"NCHW"`` or ``"NCDHW"``.
        keepdims: keep the spatial axes, with size 1.

    Returns:
        A tensor of shape ``(batch, channels)``; NaN where there are no places.

    Raises:
        ShapeError: `x` has not the rank of the data format.
        ArgumentError: the data format is unknown.

    >>> import minigrad.nn as nn
    >>> nn.global_avg_pool([[[1.0, 5.0], [3.0, 2.0]]], data_format="NWC").tolist()
    [[2.0, 3.5]]
    """
    return _over_places(reduce_mean, x, data_format, keepdims)

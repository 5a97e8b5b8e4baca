"""Convolutions of one, two and three spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.convolution.primitives import convolution
from minigrad.nn.functional.convolution.samples import normal
from minigrad.nn.functional.windows import (
    IntOrInts,
    PaddingLike,
    geometry_argument,
    group_count,
)
from minigrad.ops.elementwise import add
from minigrad.ops.shaping import broadcast_like
from minigrad.shapes import compatible, show

__all__ = ["conv1d", "conv2d", "conv3d"]


def add_bias(y: Tensor, bias: TensorLike | None, data_format: str) -> Tensor:
    """Add one number a channel; None adds nothing. Raises `ShapeError` for another shape."""
    if bias is None:
        return y
    b = tensor_of(bias)
    channel = len(data_format) - 1 if data_format.endswith("C") else 1
    channels = None if y.shape is None else y.shape[channel]
    if not compatible(b.shape, (channels,)):
        raise ShapeError(
            f"the bias must have one element for each of the output channels, shape "
            f"{show((channels,))}, got {show(b.shape)}"
        )
    others = tuple(axis for axis in range(len(data_format)) if axis != channel)
    return add(y, broadcast_like(b, y, axis=others))


def convolve(
    rank: int,
    x: TensorLike,
    kernel: TensorLike,
    bias: TensorLike | None,
    groups: int | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    data_format: str,
) -> Tensor:
    """A convolution of a certain rank; `groups` None means a depthwise one."""
    geometry = geometry_argument(rank, stride, padding, dilation, data_format)
    y = bind(convolution, x, kernel, **geometry._asdict(), groups=groups)
    return add_bias(y, bias, data_format)


@primitive(
    "Conv1D",
    samples=lambda rng: [
        Sample(normal(rng, 2, 4, 2), normal(rng, 2, 2, 2), normal(rng, 2), stride=2),
        Sample(normal(rng, 1, 2, 4), normal(rng, 2, 2, 1), data_format="NCW", padding="SAME"),
    ],
    errors=[
        Fails(ShapeError, "must have rank 3", np.ones((1, 3, 3, 1)), np.ones((2, 1, 1))),
        Fails(
            *(ArgumentError, "'NWC', 'NCW', got 'NHWC'"),
            *(np.ones((1, 3, 1)), np.ones((2, 1, 1))),
            data_format="NHWC",
        ),
    ],
)
def conv1d(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    groups: int = 1,
    data_format: str = "NWC",
) -> Tensor:
    """Convolution along one axis, such as time. See `conv2d`, of which it is the like.

    Args:
        x: of shape ``(batch, length, channels)``, or ``(batch, channels, length)`` with
            ``data_format="NCW"``.
        kernel: of shape ``(window, channels // groups, outputs)``.
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: see `conv2d`, as for the other arguments.
        padding: ``"VALID"``, ``"SAME"``, an int, or ``[(before, after)]``.
        dilation: see `conv2d`.
        groups: see `conv2d`.
        data_format: ``"NWC"`` or ``"NCW"``.

    Raises:
        ShapeError: see `conv2d`.
        ArgumentError: see `conv2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> x = mg.reshape(mg.arange(5, dtype="float32"), (1, 5, 1))
    >>> nn.conv1d(x, [[[1.0]], [[-1.0]]], stride=2).tolist()
    [[[-1.0], [-1.0]]]
    """
    return convolve(1, x, kernel, bias, group_count(groups), stride, padding, dilation, data_format)


@primitive(
    "Conv2D",
    samples=lambda rng: [
        Sample(normal(rng, 1, 3, 3, 2), normal(rng, 2, 2, 2, 2), normal(rng, 2)),
        Sample(
            *(normal(rng, 2, 2, 2, 3), normal(rng, 2, 2, 1, 2)),
            bias=normal(rng, 2),
            groups=2,
            padding=[1, (0, 1)],
            data_format="NCHW",
        ),
    ],
    errors=[
        Fails(ShapeError, "must have rank 4", np.ones((3, 3, 1)), np.ones((2, 2, 1, 1))),
        Fails(ShapeError, "has 3 channels.* takes 1", np.ones((1, 4, 4, 3)), np.ones((2, 2, 1, 1))),
        Fails(ShapeError, "window of 5 does", np.ones((1, 4, 4, 1)), np.ones((2, 5, 1, 1))),
        Fails(
            *(ShapeError, r"bias .* \(2,\), got \(1,\)"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 2)), np.ones(1)),
        ),
        Fails(
            *(ArgumentError, "padding must be 'SAME'"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))),
            padding="FULL",
        ),
        Fails(
            *(ArgumentError, "2 entries|3 entries"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))),
            padding=(1, 1, 1),
        ),
        Fails(
            *(ArgumentError, "stride must be at least 1, got 0"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))),
            stride=0,
        ),
        Fails(
            *(ArgumentError, "dilation has 3 values"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))),
            dilation=(1, 1, 1),
        ),
        Fails(
            *(ArgumentError, "at least 0"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))),
            padding=-1,
        ),
        Fails(
            *(ArgumentTypeError, "groups must be an integer, got None"),
            *(np.ones((1, 2, 2, 2)), np.ones((2, 2, 2, 1))),
            groups=None,
        ),
        Fails(
            *(ArgumentError, "groups=2 does not divide the 3 output"),
            *(np.ones((1, 2, 2, 2)), np.ones((2, 2, 1, 3))),
            groups=2,
        ),
    ],
)
def conv2d(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    groups: int = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """Convolution of images: at each place the products of a window with the kernel, summed.

    As in all neural-network libraries the kernel is not flipped, which makes it what signal
    processing calls a cross-correlation:
    ``y[b, i, j, o] = sum(x[b, i s + u d, j s + v d, c] kernel[u, v, c, o])`` over u, v and c, for
    stride s and dilation d.

    Args:
        x: of shape ``(batch, height, width, channels)``, or ``(batch, channels, height, width)``
            with ``data_format="NCHW"``. Integers are computed with as float32; float16 is
            accumulated in float32.
        kernel: of shape ``(height, width, channels // groups, outputs)`` with either data format,
            as in TensorFlow. (PyTorch's is ``(outputs, channels // groups, height, width)``.)
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: steps from one window to the next: an int, or one for each spatial axis.
        padding: zeros around the input: ``"VALID"`` none; ``"SAME"`` as many as make the output
            ``ceil(size / stride)`` large, the odd one at the end, as in TensorFlow (PyTorch allows
            it only for stride 1); an int; or an int or a pair (before, after) for each spatial
            axis.
        dilation: steps from one element of a window to the next: an int, or one an axis.
        groups: the channels, and the outputs, are cut into this many groups, and each group of
            outputs sees only its group of channels.
        data_format: ``"NHWC"`` or ``"NCHW"``, of `x` and the result.

    Returns:
        A tensor of the data format of `x`, with sizes ``(size + padding - (window - 1) * dilation
        - 1) // stride + 1``: a remainder at the end is not looked at.

    Raises:
        ShapeError: `x`, `kernel` or `bias` has the wrong rank, their channels do not fit, or the
            window is larger than the padded input.
        ArgumentError: `groups` does not divide the channels or the outputs; a stride or dilation
            below 1; an unknown padding or data format.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> x = mg.reshape(mg.arange(9, dtype="float32"), (1, 3, 3, 1))
    >>> nn.conv2d(x, mg.ones((2, 2, 1, 1)))[0, :, :, 0].tolist()
    [[8.0, 12.0], [20.0, 24.0]]
    >>> nn.conv2d(x, mg.ones((2, 2, 1, 1)), stride=2, padding="SAME")[0, :, :, 0].tolist()
    [[8.0, 7.0], [13.0, 8.0]]
    """
    return convolve(2, x, kernel, bias, group_count(groups), stride, padding, dilation, data_format)


@primitive(
    "Conv3D",
    samples=lambda rng: [
        Sample(normal(rng, 1, 2, 3, 2, 1), normal(rng, 2, 2, 1, 1, 2), normal(rng, 2)),
        Sample(
            *(normal(rng, 1, 2, 3, 1, 2), normal(rng, 2, 1, 2, 2, 1)),
            stride=(2, 1, 1),
            dilation=(2, 1, 1),
            data_format="NCDHW",
        ),
    ],
    errors=[
        Fails(ShapeError, "must have rank 5", np.ones((1, 3, 3, 1)), np.ones((2, 2, 2, 1, 1))),
        Fails(ShapeError, "kernel must", np.ones((1, 3, 3, 3, 1)), np.ones((2, 2, 1, 1))),
    ],
)
def conv3d(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    groups: int = 1,
    data_format: str = "NDHWC",
) -> Tensor:
    """Convolution of volumes, or of images in time. See `conv2d`, of which it is the like.

    Args:
        x: of shape ``(batch, depth, height, width, channels)``, or ``(batch, channels, depth,
            height, width)`` with ``data_format="NCDHW"``.
        kernel: of shape ``(depth, height, width, channels // groups, outputs)``.
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: see `conv2d`, as for the other arguments.
        padding: see `conv2d`.
        dilation: see `conv2d`.
        groups: see `conv2d`.
        data_format: ``"NDHWC"`` or ``"NCDHW"``.

    Raises:
        ShapeError: see `conv2d`.
        ArgumentError: see `conv2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.conv3d(mg.ones((1, 2, 2, 2, 1)), mg.ones((2, 2, 2, 1, 3))).tolist()
    [[[[[8.0, 8.0, 8.0]]]]]
    """
    return convolve(3, x, kernel, bias, group_count(groups), stride, padding, dilation, data_format)

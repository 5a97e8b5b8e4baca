"""Transposed convolutions: from small to large, the way a convolution's gradient goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.convolution.functions import add_bias
from minigrad.nn.functional.convolution.primitives import convolution_transpose
from minigrad.nn.functional.convolution.samples import normal
from minigrad.nn.functional.windows import (
    IntOrInts,
    PaddingLike,
    geometry_argument,
    group_count,
)

__all__ = ["conv1d_transpose", "conv2d_transpose", "conv3d_transpose"]


def _transpose(
    rank: int, x: TensorLike, kernel: TensorLike, bias: TensorLike | None, **given: Any
) -> Tensor:
    """A transposed convolution of a certain rank."""
    keywords = ("stride", "padding", "dilation", "data_format")
    geometry = geometry_argument(rank, *(given.pop(k) for k in keywords))
    groups = group_count(given.pop("groups"))
    y = convolution_transpose(x, kernel, **geometry._asdict(), groups=groups, **given)
    return add_bias(y, bias, geometry.data_format)


@primitive(
    "Conv1DTranspose",
    samples=lambda rng: [
        Sample(normal(rng, 1, 2, 2), normal(rng, 2, 1, 2), normal(rng, 1), stride=2),
        Sample(
            *(normal(rng, 1, 4, 2), normal(rng, 3, 1, 4)),
            groups=2,
            stride=2,
            padding=1,
            output_padding=1,
            data_format="NCW",
        ),
    ],
    errors=[
        Fails(ShapeError, "must have rank 3", np.ones((1, 3, 3, 1)), np.ones((2, 1, 1))),
        Fails(ArgumentError, "'NWC'", np.ones((1, 3, 1)), np.ones((2, 1, 1)), data_format="NHWC"),
    ],
)
def conv1d_transpose(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    output_padding: IntOrInts = 0,
    output_shape: Any = None,
    dilation: IntOrInts = 1,
    groups: int = 1,
    data_format: str = "NWC",
) -> Tensor:
    """Transposed convolution along one axis. See `conv2d_transpose`, of which it is the like.

    Args:
        x: of shape ``(batch, length, channels)``, or ``(batch, channels, length)``
            with ``data_format="NCW"``.
        kernel: of shape ``(window, outputs // groups, channels)``.
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: see `conv2d_transpose`, as for the other arguments.
        padding: see `conv2d_transpose`.
        output_padding: see `conv2d_transpose`.
        output_shape: see `conv2d_transpose`.
        dilation: see `conv2d_transpose`.
        groups: see `conv2d_transpose`.
        data_format: ``"NWC"`` or ``"NCW"``.

    Raises:
        ShapeError: see `conv2d_transpose`.
        ArgumentError: see `conv2d_transpose`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.conv1d_transpose([[[1.0], [2.0]]], [[[1.0]], [[10.0]]], stride=2).tolist()
    [[[1.0], [10.0], [2.0], [20.0]]]
    """
    return _transpose(
        *(1, x, kernel, bias),
        stride=stride,
        padding=padding,
        dilation=dilation,
        data_format=data_format,
        groups=groups,
        output_padding=output_padding,
        output_shape=output_shape,
    )


@primitive(
    "Conv2DTranspose",
    samples=lambda rng: [
        Sample(normal(rng, 1, 2, 2, 1), normal(rng, 2, 2, 2, 1), normal(rng, 2), stride=2),
        Sample(
            *(normal(rng, 1, 2, 1, 2), normal(rng, 3, 2, 1, 2)),
            stride=(1, 2),
            padding="SAME",
            output_shape=np.array([1, 1, 1, 3]),
            data_format="NCHW",
        ),
    ],
    errors=[
        Fails(ShapeError, "must have rank 4", np.ones((1, 3, 1)), np.ones((2, 2, 1, 1))),
        Fails(
            *(ShapeError, "has 3 channels.* takes 2"),
            *(np.ones((1, 2, 2, 3)), np.ones((2, 2, 3, 2))),
        ),
        Fails(
            *(ShapeError, "cannot have shape"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))),
            output_shape=(2, 2, 3, 1),
        ),
        Fails(
            *(ShapeError, "bias"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 3, 1)), np.ones(1)),
        ),
    ],
)
def conv2d_transpose(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    output_padding: IntOrInts = 0,
    output_shape: Any = None,
    dilation: IntOrInts = 1,
    groups: int = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """Transposed convolution of images, which enlarges by the stride.

    Each input element adds its multiple of the kernel to a window of the output, and windows lie as
    those of the convolution with the same arguments that leads back: this is the gradient of
    `conv2d` for its input. (It is no inverse, though often called deconvolution.)

    Args:
        x: of shape ``(batch, height, width, channels)``, or ``(batch, channels, height, width)``
            with ``data_format="NCHW"``.
        kernel: of shape ``(height, width, outputs // groups, channels)``, as in TensorFlow.
            (PyTorch's is ``(channels, outputs // groups, height, width)``.)
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: steps from one window to the next, so about how many times larger the output is.
        padding: what the convolution back would add, and so what is cut off here: as for `conv2d`.
        output_padding: added to the size at the end, below the stride, because several sizes lead
            back to the same one. (PyTorch also allows it below the dilation.)
        output_shape: the spatial sizes, or the whole shape as in TensorFlow, which requires it; as
            integers or an integer tensor.
        dilation: steps from one element of a window to the next.
        groups: see `conv2d`.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Returns:
        A tensor with sizes ``(size - 1) * stride + (window - 1) * dilation + 1 - padding +
        output_padding``, as in PyTorch; with padding ``"SAME"`` ``size * stride``, as in
        TensorFlow and Keras. (Keras' ``"VALID"`` gives ``size * stride`` where the window is
        smaller than the stride.)

    Raises:
        ShapeError: ranks or channels do not fit; a convolution of `output_shape` would not give
            the shape of `x`; or the padding leaves nothing.
        ArgumentError: `output_padding` is not below the stride, or given beside `output_shape` or
            padding ``"SAME"``; also see `conv2d`.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.conv2d_transpose(mg.ones((1, 2, 2, 1)), mg.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
    [[1.0, 2.0, 2.0, 1.0], [2.0, 4.0, 4.0, 2.0], [2.0, 4.0, 4.0, 2.0], [1.0, 2.0, 2.0, 1.0]]
    """
    return _transpose(
        *(2, x, kernel, bias),
        stride=stride,
        padding=padding,
        dilation=dilation,
        data_format=data_format,
        groups=groups,
        output_padding=output_padding,
        output_shape=output_shape,
    )


@primitive(
    "Conv3DTranspose",
    samples=lambda rng: [
        Sample(normal(rng, 1, 1, 2, 1, 1), normal(rng, 2, 2, 1, 2, 1), normal(rng, 2)),
        Sample(
            *(normal(rng, 1, 1, 1, 2, 1), normal(rng, 1, 2, 2, 1, 1)),
            dilation=2,
            stride=(1, 2, 1),
            data_format="NCDHW",
        ),
    ],
    errors=[
        Fails(ShapeError, "must have rank 5", np.ones((1, 3, 1)), np.ones((2, 2, 2, 1, 1))),
    ],
)
def conv3d_transpose(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    output_padding: IntOrInts = 0,
    output_shape: Any = None,
    dilation: IntOrInts = 1,
    groups: int = 1,
    data_format: str = "NDHWC",
) -> Tensor:
    """Transposed convolution of volumes. See `conv2d_transpose`, of which it is the like.

    Args:
        x: of shape ``(batch, depth, height, width, channels)``, or ``(batch, channels,
            depth, height, width)`` with ``data_format="NCDHW"``.
        kernel: of shape ``(depth, height, width, outputs // groups, channels)``.
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: see `conv2d_transpose`, as for the other arguments.
        padding: see `conv2d_transpose`.
        output_padding: see `conv2d_transpose`.
        output_shape: see `conv2d_transpose`.
        dilation: see `conv2d_transpose`.
        groups: see `conv2d_transpose`.
        data_format: ``"NDHWC"`` or ``"NCDHW"``.

    Raises:
        ShapeError: see `conv2d_transpose`.
        ArgumentError: see `conv2d_transpose`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.conv3d_transpose(mg.ones((1, 1, 1, 1, 1)), mg.ones((1, 2, 2, 1, 1))).shape
    (1, 1, 2, 2, 1)
    """
    return _transpose(
        *(3, x, kernel, bias),
        stride=stride,
        padding=padding,
        dilation=dilation,
        data_format=data_format,
        groups=groups,
        output_padding=output_padding,
        output_shape=output_shape,
    )

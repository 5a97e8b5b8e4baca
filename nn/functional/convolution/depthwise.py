"""Convolutions of each channel by itself: depthwise and separable ones."""

from __future__ import annotations

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.nn.functional.convolution.functions import convolve
from minigrad.nn.functional.convolution.samples import normal
from minigrad.nn.functional.windows import IntOrInts, PaddingLike
from minigrad.shapes import compatible, show

__all__ = ["depthwise_conv2d", "separable_conv2d"]


@primitive(
    "DepthwiseConv2D",
    samples=lambda rng: [
        Sample(normal(rng, 1, 2, 3, 2), normal(rng, 2, 2, 2, 2), normal(rng, 4)),
        Sample(
            *(normal(rng, 1, 2, 3, 3), normal(rng, 2, 2, 2, 1)),
            stride=2,
            padding="SAME",
            data_format="NCHW",
        ),
    ],
    errors=[
        Fails(
            *(ShapeError, r"has 3 channels.*\(depthwise\) takes 2"),
            *(np.ones((1, 2, 2, 3)), np.ones((2, 2, 2, 3))),
        )
    ],
)
def depthwise_conv2d(
    x: TensorLike,
    kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """Convolution of each channel by itself, with one or more kernels of its own.

    Args:
        x: see `conv2d`.
        kernel: of shape ``(height, width, channels, multiplier)``, as in TensorFlow. (PyTorch has
            no such function: there it is a convolution with as many groups as channels.)
        bias: of shape ``(channels * multiplier,)``; None adds nothing.
        stride: see `conv2d`, as for the other arguments; it may differ between the axes, which
            TensorFlow does not allow.
        padding: see `conv2d`.
        dilation: see `conv2d`.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Returns:
        A tensor with ``channels * multiplier`` channels; those of channel c begin at
        ``c * multiplier``.

    Raises:
        ShapeError: see `conv2d`.
        ArgumentError: see `conv2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.depthwise_conv2d(mg.ones((1, 2, 2, 2)), [[[[1.0], [10.0]]]])[0, 0].tolist()
    [[1.0, 10.0], [1.0, 10.0]]
    """
    return convolve(2, x, kernel, bias, None, stride, padding, dilation, data_format)


@primitive(
    "SeparableConv2D",
    samples=lambda rng: [
        Sample(
            *(normal(rng, 1, 2, 3, 2), normal(rng, 2, 2, 2, 2)),
            *(normal(rng, 1, 1, 4, 2), normal(rng, 2)),
        ),
        Sample(
            *(normal(rng, 1, 2, 3, 2), normal(rng, 2, 2, 2, 1), normal(rng, 1, 1, 2, 3)),
            padding="SAME",
            data_format="NCHW",
        ),
    ],
    errors=[
        Fails(
            *(ShapeError, "pointwise kernel must have shape"),
            *(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), np.ones((2, 1, 1, 1))),
        )
    ],
)
def separable_conv2d(
    x: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    /,
    bias: TensorLike | None = None,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """A depthwise convolution, then a mixture of its channels at each place.

    Args:
        x: see `conv2d`.
        depthwise_kernel: of shape ``(height, width, channels, multiplier)``.
        pointwise_kernel: of shape ``(1, 1, channels * multiplier, outputs)``.
        bias: of shape ``(outputs,)``; None adds nothing.
        stride: of the depthwise convolution, as are the other arguments; see `conv2d`.
        padding: see `conv2d`.
        dilation: see `conv2d`.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Raises:
        ShapeError: the pointwise kernel's window is not 1 by 1; also see `conv2d`.
        ArgumentError: see `conv2d`.

    Source: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (2017).
    TensorFlow's function takes kernels of the same shapes, and no bias. PyTorch has none: there it
    is a convolution with ``groups=channels``, then one with a 1 by 1 kernel.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> x, depthwise = mg.ones((1, 2, 2, 2)), mg.ones((2, 2, 2, 1))
    >>> nn.separable_conv2d(x, depthwise, mg.ones((1, 1, 2, 1))).tolist()
    [[[[8.0]]]]
    """
    mixture = tensor_of(pointwise_kernel)
    if not compatible(mixture.shape, (1, 1, None, None)):
        raise ShapeError(
            "the pointwise kernel must have shape (1, 1, channels * multiplier, outputs), got "
            f"{show(mixture.shape)}"
        )
    y = convolve(2, x, depthwise_kernel, None, None, stride, padding, dilation, data_format)
    return convolve(2, y, mixture, bias, 1, 1, "VALID", 1, data_format)

"""Modules of depthwise and separable convolutions."""

from __future__ import annotations

from typing import Any

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.nn.functional.convolution.depthwise import depthwise_conv2d, separable_conv2d
from minigrad.nn.functional.windows import IntOrInts, PaddingLike
from minigrad.nn.initializers import GlorotUniform
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.nn.modules.convolution.base import Convolution

__all__ = ["DepthwiseConv2d", "SeparableConv2d"]


class DepthwiseConv2d(Convolution):
    """Convolution of each channel by itself by `depthwise_conv2d`, with kernels of its own.

    `weight` has shape ``(*kernel_size, in_channels, multiplier)``, as in TensorFlow. (PyTorch has a
    `Conv2d` with as many groups as channels in its place.) Starts are those of `Conv2d`.

    Args:
        in_channels: channels of the input; None to take them from the first one.
        kernel_size: of the window: an int, or one for each spatial axis.
        multiplier: how many channels of the result each channel gives.
        stride: see `Conv2d`, as for the other arguments.
        padding: see `Conv2d`.
        dilation: see `Conv2d`.
        bias: see `Conv2d`.
        data_format: see `Conv2d`.
        weight_initializer: see `Conv2d`.
        bias_initializer: see `Conv2d`.
        dtype: see `Conv2d`.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, or as `depthwise_conv2d` says.
        ShapeError: (from a call) the input has other channels or another rank.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.DepthwiseConv2d(3, 3, multiplier=2)(mg.ones((1, 5, 5, 3))).shape
    (1, 3, 3, 6)
    """

    weight: Variable

    def __init__(
        self,
        in_channels: int | None,
        kernel_size: IntOrInts,
        *,
        multiplier: int = 1,
        stride: IntOrInts = 1,
        padding: PaddingLike = "VALID",
        dilation: IntOrInts = 1,
        bias: bool = True,
        data_format: str | None = None,
        weight_initializer: Any = GlorotUniform,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(in_channels, kernel_size, stride, padding, dilation, 1, data_format, name)
        self.multiplier = size_argument("DepthwiseConv2d", "multiplier", multiplier)
        shape = (*self.kernel_size, self.given, self.multiplier)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)
        outputs = None if self.given is None else self.given * self.multiplier
        self.add_bias(bias, outputs, bias_initializer, dtype)

    def infer_sizes(self, x: TensorLike) -> None:
        """Take `in_channels` from the input."""
        inputs = self.input_channels(x)
        self.set_shape("weight", (*self.kernel_size, inputs, self.multiplier))
        if "bias" in self._declared:
            self.set_shape("bias", (inputs * self.multiplier,))

    def forward(self, x: TensorLike) -> Tensor:
        """The convolution of each channel, with the bias."""
        self.check_input(x)
        return depthwise_conv2d(x, self.weight, self.bias, **self.geometry._asdict())

    def more_repr(self) -> list[str]:
        """The multiplier."""
        return [f"multiplier={self.multiplier}"] * (self.multiplier != 1)


class SeparableConv2d(Convolution):
    """A depthwise convolution, then a mixture of its channels at each place: `separable_conv2d`.

    `depthwise_weight` has shape ``(*kernel_size, in_channels, multiplier)``, `pointwise_weight`
    ``(1, 1, in_channels * multiplier, out_channels)``. Starts are those of `Conv2d`.

    Args:
        in_channels: channels of the input; None to take them from the first one.
        out_channels: channels of the result.
        kernel_size: of the window: an int, or one for each spatial axis.
        multiplier: how many channels the depthwise part gives for each channel.
        stride: of the depthwise part; see `Conv2d`, as for the other arguments.
        padding: see `Conv2d`.
        dilation: see `Conv2d`.
        bias: see `Conv2d`.
        data_format: see `Conv2d`.
        weight_initializer: of both weights; see `Conv2d`.
        bias_initializer: see `Conv2d`.
        dtype: see `Conv2d`.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, or as `separable_conv2d` says.
        ShapeError: (from a call) the input has other channels or another rank.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.SeparableConv2d(16, 32, 3)
    >>> layer(mg.ones((1, 5, 5, 16))).shape, layer.count_parameters()
    ((1, 3, 3, 32), 688)
    """

    met = ("depthwise_weight", -2)
    depthwise_weight: Variable
    pointwise_weight: Variable

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: IntOrInts,
        *,
        multiplier: int = 1,
        stride: IntOrInts = 1,
        padding: PaddingLike = "VALID",
        dilation: IntOrInts = 1,
        bias: bool = True,
        data_format: str | None = None,
        weight_initializer: Any = GlorotUniform,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(in_channels, kernel_size, stride, padding, dilation, 1, data_format, name)
        self.multiplier = size_argument("SeparableConv2d", "multiplier", multiplier)
        self.out_channels = size_argument("SeparableConv2d", "out_channels", out_channels)
        depthwise, pointwise = self._shapes(self.given)
        self.add_parameter("depthwise_weight", depthwise, weight_initializer, dtype=dtype)
        self.add_parameter("pointwise_weight", pointwise, weight_initializer, dtype=dtype)
        self.add_bias(bias, self.out_channels, bias_initializer, dtype)

    def _shapes(self, inputs: int | None) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        middle = None if inputs is None else inputs * self.multiplier
        depthwise = (*self.kernel_size, inputs, self.multiplier)
        return depthwise, (1, 1, middle, self.out_channels)

    def infer_sizes(self, x: TensorLike) -> None:
        """Take `in_channels` from the input."""
        depthwise, pointwise = self._shapes(self.input_channels(x))
        self.set_shape("depthwise_weight", depthwise)
        self.set_shape("pointwise_weight", pointwise)

    def forward(self, x: TensorLike) -> Tensor:
        """Both convolutions, with the bias."""
        self.check_input(x)
        return separable_conv2d(
            *(x, self.depthwise_weight, self.pointwise_weight, self.bias),
            **self.geometry._asdict(),
        )

    def more_repr(self) -> list[str]:
        """The channels of the output, and the multiplier."""
        extra = [f"multiplier={self.multiplier}"] * (self.multiplier != 1)
        return [f"out_channels={self.out_channels}", *extra]

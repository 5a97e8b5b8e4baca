"""Modules of transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.nn.functional.convolution.transposed import (
    conv1d_transpose,
    conv2d_transpose,
    conv3d_transpose,
)
from minigrad.nn.functional.windows import IntOrInts, PaddingLike, per_axis
from minigrad.nn.initializers import GlorotUniform
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.nn.modules.convolution.base import Convolution

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class _Transposed(Convolution):
    """`ConvTranspose1d`, `ConvTranspose2d`, `ConvTranspose3d`."""

    met = ("weight", -1)
    function: ClassVar[Callable[..., Tensor]]
    weight: Variable

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: IntOrInts,
        *,
        stride: IntOrInts = 1,
        padding: PaddingLike = "VALID",
        output_padding: IntOrInts = 0,
        dilation: IntOrInts = 1,
        groups: int = 1,
        bias: bool = True,
        data_format: str | None = None,
        weight_initializer: Any = GlorotUniform,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            in_channels, kernel_size, stride, padding, dilation, groups, data_format, name
        )
        what = type(self).__name__
        self.output_padding = per_axis(output_padding, self.rank, f"{what}: output_padding", 0)
        self.out_channels = size_argument(what, "out_channels", out_channels)
        outputs = self.divided("out_channels", self.out_channels)
        self.divided("in_channels", self.given)
        shape = (*self.kernel_size, outputs, self.given)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)
        self.add_bias(bias, self.out_channels, bias_initializer, dtype)

    def infer_sizes(self, x: TensorLike, output_shape: Any = None) -> None:
        """Take `in_channels` from the input."""
        outputs = self.out_channels // self.groups
        self.set_shape("weight", (*self.kernel_size, outputs, self.input_channels(x)))

    def forward(self, x: TensorLike, output_shape: Any = None) -> Tensor:
        """The transposed convolution, with the bias.

        Args:
            x: the input.
            output_shape: the spatial sizes of the result, or all of its shape, in place of
                `output_padding`.
        """
        self.check_input(x)
        padding = 0 if output_shape is not None else self.output_padding
        return type(self).function(
            *(x, self.weight, self.bias),
            output_padding=padding,
            output_shape=output_shape,
            **self.options(),
        )

    def more_repr(self) -> list[str]:
        """The channels of the output, and its padding if there is any."""
        extra = [f"output_padding={self.output_padding}"] * any(self.output_padding)
        return [f"out_channels={self.out_channels}", *extra]


class ConvTranspose2d(_Transposed):
    """Transposed convolution of images by `conv2d_transpose`, which enlarges by the stride.

    `weight` has shape ``(*kernel_size, out_channels // groups, in_channels)``, as in TensorFlow;
    PyTorch's is ``(in_channels, out_channels // groups, *kernel_size)``. Starts are those of
    `Conv2d`.

    Args:
        in_channels: channels of the input; None to take them from the first one.
        out_channels: channels of the result.
        kernel_size: of the window: an int, or one for each spatial axis.
        stride: see `conv2d_transpose`, as for the other arguments.
        padding: what is cut off; ``"SAME"`` makes sizes ``size * stride``.
        output_padding: added to the sizes at the end.
        dilation: see `conv2d_transpose`.
        groups: see `Conv2d`, as for those that follow.
        bias: see `Conv2d`.
        data_format: see `Conv2d`.
        weight_initializer: see `Conv2d`.
        bias_initializer: see `Conv2d`.
        dtype: see `Conv2d`.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, channels cannot be divided into the groups, or (from
            a call) as `conv2d_transpose` says.
        ShapeError: (from a call) the input has other channels or another rank.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.ConvTranspose2d(3, 8, 3, stride=2, padding="SAME")
    >>> layer(mg.ones((1, 5, 5, 3))).shape, layer.weight.shape
    ((1, 10, 10, 8), (3, 3, 8, 3))
    """

    rank = 2
    function = staticmethod(conv2d_transpose)


class ConvTranspose1d(_Transposed):
    """Transposed convolution along one axis by `conv1d_transpose`; see `ConvTranspose2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ConvTranspose1d(4, 2, 2, stride=2)(mg.ones((1, 3, 4))).shape
    (1, 6, 2)
    """

    rank = 1
    function = staticmethod(conv1d_transpose)


class ConvTranspose3d(_Transposed):
    """Transposed convolution of volumes by `conv3d_transpose`; see `ConvTranspose2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ConvTranspose3d(1, 2, 2)(mg.ones((1, 2, 3, 4, 1))).shape
    (1, 3, 4, 5, 2)
    """

    rank = 3
    function = staticmethod(conv3d_transpose)

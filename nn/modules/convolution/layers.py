"""Modules of convolutions: `Conv1d`, `Conv2d`, `Conv3d`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.nn.functional.convolution.functions import conv1d, conv2d, conv3d
from minigrad.nn.functional.windows import IntOrInts, PaddingLike
from minigrad.nn.initializers import GlorotUniform
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.nn.modules.convolution.base import Convolution

__all__ = ["Conv1d", "Conv2d", "Conv3d"]


class _Plain(Convolution):
    """`Conv1d`, `Conv2d`, `Conv3d`; the function is all that differs."""

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
        self.out_channels = size_argument(type(self).__name__, "out_channels", out_channels)
        self.divided("out_channels", self.out_channels)
        inputs = self.divided("in_channels", self.given)
        shape = (*self.kernel_size, inputs, self.out_channels)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)
        self.add_bias(bias, self.out_channels, bias_initializer, dtype)

    def infer_sizes(self, x: TensorLike) -> None:
        """Take `in_channels` from the input."""
        inputs = self.input_channels(x) // self.groups
        self.set_shape("weight", (*self.kernel_size, inputs, self.out_channels))

    def forward(self, x: TensorLike) -> Tensor:
        """The convolution, with the bias."""
        self.check_input(x)
        return type(self).function(x, self.weight, self.bias, **self.options())

    def more_repr(self) -> list[str]:
        """The channels of the output."""
        return [f"out_channels={self.out_channels}"]


class Conv2d(_Plain):
    """Convolution of images by `conv2d`, with a kernel and a bias that are learnt.

    `weight` has shape ``(*kernel_size, in_channels // groups, out_channels)`` with either data
    format, as in TensorFlow; PyTorch's is ``(out_channels, in_channels // groups, *kernel_size)``.
    It starts as `GlorotUniform`, as in Keras, and the bias at 0; PyTorch draws both from
    ±sqrt(1 / fan-in). Channels are last by default, as in TensorFlow; in PyTorch they are second.

    Args:
        in_channels: channels of the input; None to take them from the first one.
        out_channels: channels of the result.
        kernel_size: of the window: an int, or one for each spatial axis.
        stride: see `conv2d`, as for `padding`, `dilation` and `groups`.
        padding: ``"VALID"``, ``"SAME"``, an int, or an int or pair for each spatial axis.
        dilation: steps from one element of a window to the next.
        groups: into how many the channels are cut, each convolved by itself.
        bias: whether a bias is added; False for a layer before a normalisation.
        data_format: ``"NHWC"`` or ``"NCHW"``; None for channels last.
        weight_initializer: one of `minigrad.nn.initializers`, or what `add_parameter` takes.
        bias_initializer: likewise.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, channels cannot be divided into the groups, or as
            `conv2d` says.
        ShapeError: (from a call) the input has other channels or another rank, or is smaller than
            the window.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.Conv2d(None, 8, 3, padding="SAME", stride=2)
    >>> layer(mg.ones((1, 28, 28, 3))).shape, layer.weight.shape
    ((1, 14, 14, 8), (3, 3, 3, 8))
    >>> layer
    Conv2d(in_channels=3, out_channels=8, kernel_size=(3, 3), stride=(2, 2), padding='SAME')
    """

    rank = 2
    function = staticmethod(conv2d)


class Conv1d(_Plain):
    """Convolution along one axis by `conv1d`; arguments, parameters and errors as for `Conv2d`.

    Data formats are ``"NWC"`` and ``"NCW"``.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Conv1d(4, 6, 3)(mg.ones((2, 10, 4))).shape
    (2, 8, 6)
    """

    rank = 1
    function = staticmethod(conv1d)


class Conv3d(_Plain):
    """Convolution of volumes by `conv3d`; arguments, parameters and errors as for `Conv2d`.

    Data formats are ``"NDHWC"`` and ``"NCDHW"``.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Conv3d(1, 2, (1, 2, 2), data_format="NCDHW")(mg.ones((1, 1, 3, 4, 4))).shape
    (1, 2, 3, 3, 3)
    """

    rank = 3
    function = staticmethod(conv3d)

"""Pooling as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.nn.functional.pooling.functions import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool,
    global_max_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from minigrad.nn.functional.windows import (
    FORMATS,
    Geometry,
    IntOrInts,
    PaddingLike,
    geometry_argument,
    per_axis,
)
from minigrad.nn.modules.base.module import Module
from minigrad.shapes import show

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


class _Pool(Module):
    """Pooling by windows."""

    rank: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        window: IntOrInts,
        stride: IntOrInts | None,
        padding: PaddingLike,
        dilation: IntOrInts,
        data_format: str | None,
        name: str | None,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        self.window = per_axis(window, self.rank, f"{what}: window")
        self.geometry: Geometry = geometry_argument(
            self.rank,
            self.window if stride is None else stride,
            padding,
            dilation,
            data_format or FORMATS[self.rank][0],
        )

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the function."""
        return self.geometry._asdict()

    def forward(self, x: TensorLike) -> Tensor:
        """One value for each window and channel."""
        return type(self).function(x, self.window, **self.options())

    def extra_repr(self) -> str:
        """The window, and those arguments that are not the usual ones."""
        g = self.geometry
        parts = [f"window={self.window}"]
        parts += [f"stride={g.stride}"] * (g.stride != self.window)
        parts += [f"padding={g.padding!r}"] * (g.padding != "VALID")
        parts += [f"dilation={g.dilation}"] * any(d != 1 for d in g.dilation)
        parts += [f"data_format={g.data_format!r}"] * (not g.channels_last)
        return ", ".join(parts)


class _MaxPool(_Pool):
    def __init__(
        self,
        window: IntOrInts,
        *,
        stride: IntOrInts | None = None,
        padding: PaddingLike = "VALID",
        dilation: IntOrInts = 1,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(window, stride, padding, dilation, data_format, name)


class MaxPool2d(_MaxPool):
    """The largest element of each window of images, for each channel: `max_pool2d`.

    Args:
        window: its size: an int, or one for each spatial axis.
        stride: steps from one window to the next; by default the window's size.
        padding: see `max_pool2d`.
        dilation: steps from one element of a window to the next.
        data_format: ``"NHWC"`` or ``"NCHW"``; None for channels last.
        name: see `Module`.

    Raises:
        ArgumentError: as `max_pool2d` says.
        ShapeError: (from a call) the input has another rank, or is smaller than the window.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.MaxPool2d(2)(mg.reshape(mg.arange(16.0), (1, 4, 4, 1)))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """

    rank = 2
    function = staticmethod(max_pool2d)


class MaxPool1d(_MaxPool):
    """The largest element of each window along one axis: `max_pool1d`. See `MaxPool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.MaxPool1d(2)(mg.constant([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[3.0], [2.0]]]
    """

    rank = 1
    function = staticmethod(max_pool1d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of volumes: `max_pool3d`. See `MaxPool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.MaxPool3d(2)(mg.ones((1, 2, 4, 4, 3))).shape
    (1, 1, 2, 2, 3)
    """

    rank = 3
    function = staticmethod(max_pool3d)


class _AvgPool(_Pool):
    def __init__(
        self,
        window: IntOrInts,
        *,
        stride: IntOrInts | None = None,
        padding: PaddingLike = "VALID",
        count_include_pad: bool = False,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(window, stride, padding, 1, data_format, name)
        self.count_include_pad = bool(count_include_pad)

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the function."""
        given = {**super().options(), "count_include_pad": self.count_include_pad}
        del given["dilation"]
        return given

    def extra_repr(self) -> str:
        """The window, and those arguments that are not the usual ones."""
        return super().extra_repr() + ", count_include_pad=True" * self.count_include_pad


class AvgPool2d(_AvgPool):
    """The mean of each window of images, for each channel: `avg_pool2d`.

    Args:
        window: its size: an int, or one for each spatial axis.
        stride: steps from one window to the next; by default the window's size.
        padding: see `avg_pool2d`.
        count_include_pad: whether padding counts as zeros. It does by default in PyTorch, never in
            TensorFlow.
        data_format: ``"NHWC"`` or ``"NCHW"``; None for channels last.
        name: see `Module`.

    Raises:
        ArgumentError: as `avg_pool2d` says.
        ShapeError: (from a call) the input has another rank, or is smaller than the window.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.AvgPool2d(2)(mg.reshape(mg.arange(16.0), (1, 4, 4, 1)))[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """

    rank = 2
    function = staticmethod(avg_pool2d)


class AvgPool1d(_AvgPool):
    """The mean of each window along one axis: `avg_pool1d`. See `AvgPool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.AvgPool1d(2, padding="SAME")(mg.constant([[[1.0], [3.0], [2.0]]])).tolist()
    [[[2.0], [2.0]]]
    """

    rank = 1
    function = staticmethod(avg_pool1d)


class AvgPool3d(_AvgPool):
    """The mean of each window of volumes: `avg_pool3d`. See `AvgPool2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.AvgPool3d(2)(mg.ones((1, 2, 4, 4, 3))).shape
    (1, 1, 2, 2, 3)
    """

    rank = 3
    function = staticmethod(avg_pool3d)


def format_of(what: str, x: Tensor, data_format: str | None) -> str:
    """The data format, or the one of the tensor's rank with its channels last."""
    if data_format is not None:
        return data_format
    shape = x.spec.shape
    if shape is None or len(shape) - 2 not in FORMATS:
        raise ShapeError(
            f"{what} takes an input of rank 3, 4 or 5, (batch, *positions, channels), got shape "
            f"{show(shape)}"
        )
    return FORMATS[len(shape) - 2][0]


class _Global(Module):
    """Pooling over all places."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        *,
        data_format: str | None = None,
        keepdims: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if data_format is not None:
            geometry_argument(None, 1, "VALID", 1, data_format)
        self.data_format = data_format
        self.keepdims = bool(keepdims)

    def forward(self, x: TensorLike) -> Tensor:
        """One value for each example and channel."""
        x = tensor_of(x)
        layout = format_of(type(self).__name__, x, self.data_format)
        return type(self).function(x, data_format=layout, keepdims=self.keepdims)

    def extra_repr(self) -> str:
        """The arguments that were given."""
        parts = [f"data_format={self.data_format!r}"] * (self.data_format is not None)
        return ", ".join([*parts, *["keepdims=True"] * self.keepdims])


class GlobalMaxPool(_Global):
    """The largest element over all places, for each example and channel: `global_max_pool`.

    Args:
        data_format: such as ``"NHWC"`` or ``"NCHW"``; by default the channels are last, whatever
            the rank.
        keepdims: keep the spatial axes, with size 1.
        name: see `Module`.

    Raises:
        ArgumentError: the data format is unknown.
        ShapeError: (from a call) the input has another rank, or no places.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.GlobalMaxPool()(mg.constant([[[1.0, 5.0], [3.0, 2.0]]])).tolist()
    [[3.0, 5.0]]
    """

    function = staticmethod(global_max_pool)


class GlobalAvgPool(_Global):
    """The mean over all places, for each example and channel: `global_avg_pool`.

    Arguments and errors are those of `GlobalMaxPool`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.GlobalAvgPool()(mg.constant([[[1.0, 5.0], [3.0, 2.0]]])).tolist()
    [[2.0, 3.5]]
    """

    function = staticmethod(global_avg_pool)

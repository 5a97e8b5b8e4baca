"""Resizing and padding of grids as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError
from minigrad.nn.functional.resizing.resize import resize
from minigrad.nn.functional.windows import (
    FORMATS,
    PaddingLike,
    geometry_argument,
    padding_argument,
    require_rank,
)
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.pooling import format_of
from minigrad.ops.padding import pad

__all__ = ["Resize", "Upsample", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d"]

Method = Literal["nearest", "bilinear"]


class _Resizing(Module):
    def __init__(
        self,
        size: Any,
        scale: Any,
        method: Method,
        align_corners: bool,
        data_format: str | None,
        name: str | None,
    ) -> None:
        super().__init__(name=name)
        if (size is None) == (scale is None):
            raise ArgumentError(f"{type(self).__name__} takes either a size or a scale")
        if data_format is not None:
            geometry_argument(None, 1, "VALID", 1, data_format)
        self.size = size
        self.scale = scale
        self.method: Method = method
        self.align_corners = align_corners
        self.data_format = data_format

    def forward(self, x: TensorLike) -> Tensor:
        """The resized input."""
        x = tensor_of(x)
        return resize(
            x,
            self.size,
            scale=self.scale,
            method=self.method,
            align_corners=self.align_corners,
            data_format=format_of(type(self).__name__, x, self.data_format),
        )

    def extra_repr(self) -> str:
        """The arguments that matter."""
        target = f"size={self.size}" if self.scale is None else f"scale={self.scale}"
        parts = [target, f"method={self.method!r}"]
        parts += ["align_corners=True"] * self.align_corners
        parts += [f"data_format={self.data_format!r}"] * (self.data_format is not None)
        return ", ".join(parts)


class Resize(_Resizing):
    """Images, or grids of one or three dimensions, brought to a size: `resize`.

    Args:
        size: the new size of each spatial axis: an int, or one an axis.
        method: ``"nearest"`` or ``"bilinear"``.
        align_corners: see `resize`.
        data_format: such as ``"NHWC"`` or ``"NCHW"``; by default the channels are last, whatever
            the rank.
        name: see `Module`.

    Raises:
        ArgumentError: as `resize` says; mostly from a call.
        ShapeError: (from a call) the input has another rank.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Resize((2, 6), method="bilinear")(mg.ones((1, 4, 4, 3))).shape
    (1, 2, 6, 3)
    """

    def __init__(
        self,
        size: Any,
        *,
        method: Method = "nearest",
        align_corners: bool = False,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(size, None, method, align_corners, data_format, name)


class Upsample(_Resizing):
    """Images, or grids of one or three dimensions, enlarged by a factor: `resize`.

    Args:
        scale: how many times larger: a number, or one for each spatial axis.
        method: see `Resize`, as for the other arguments.
        align_corners: see `Resize`.
        data_format: see `Resize`.
        name: see `Module`.

    Raises:
        ArgumentError: see `Resize`.
        ShapeError: see `Resize`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Upsample(2)(mg.constant([[[1.0], [3.0]]])).tolist()
    [[[1.0], [1.0], [3.0], [3.0]]]
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        *,
        method: Method = "nearest",
        align_corners: bool = False,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(None, scale, method, align_corners, data_format, name)


class ZeroPad2d(Module):
    """Zeros around images.

    Args:
        padding: an int, or an int or pair (before, after) for each spatial axis. (PyTorch counts
            the axes from the last: left, right, top, bottom.)
        data_format: ``"NHWC"`` or ``"NCHW"``; None for channels last.
        name: see `Module`.

    Raises:
        ArgumentError: the padding is negative, or not one for each axis.
        ShapeError: (from a call) the input has another rank.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ZeroPad2d([(1, 0), 2])(mg.ones((1, 4, 4, 3))).shape
    (1, 5, 8, 3)
    """

    rank: ClassVar[int] = 2

    def __init__(
        self, padding: PaddingLike, *, data_format: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.geometry = geometry_argument(
            self.rank, 1, "VALID", 1, data_format or FORMATS[self.rank][0]
        )
        pairs = padding_argument(padding, self.rank)
        if isinstance(pairs, str):
            raise ArgumentError(
                f"{type(self).__name__}: padding is an integer, or an integer or pair "
                f"(before, after) for each spatial axis, got {padding!r}"
            )
        self.padding = pairs

    def forward(self, x: TensorLike) -> Tensor:
        """The padded input."""
        x = tensor_of(x)
        require_rank(x.spec.shape, self.geometry)
        none = (0, 0)
        return pad(x, self.geometry.join(none, self.padding, none))

    def extra_repr(self) -> str:
        """The padding."""
        return f"padding={self.padding}, data_format={self.geometry.data_format!r}"


class ZeroPad1d(ZeroPad2d):
    """Zeros around sequences, see `ZeroPad2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ZeroPad1d(1)(mg.constant([[[5.0]]])).tolist()
    [[[0.0], [5.0], [0.0]]]
    """

    rank = 1


class ZeroPad3d(ZeroPad2d):
    """Zeros around volumes, see `ZeroPad2d`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ZeroPad3d(1)(mg.ones((1, 2, 3, 4, 1))).shape
    (1, 4, 5, 6, 1)
    """

    rank = 3

"""The base of all modules of convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.core.tensor import TensorLike
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.windows import (
    FORMATS,
    Geometry,
    IntOrInts,
    PaddingLike,
    geometry_argument,
    group_count,
    per_axis,
)
from minigrad.nn.modules.base.arguments import check_size, open_size_argument
from minigrad.nn.modules.base.module import Module

__all__: list[str] = []


class Convolution(Module):
    """What all convolutions have: how windows lie, the channels of the input, a bias."""

    rank: ClassVar[int] = 2
    #: The parameter that the input's channels meet, and the axis along which it has them.
    met: ClassVar[tuple[str, int]] = ("weight", -2)

    bias: Variable | None

    def __init__(
        self,
        in_channels: int | None,
        kernel_size: IntOrInts,
        stride: IntOrInts,
        padding: PaddingLike,
        dilation: IntOrInts,
        groups: int,
        data_format: str | None,
        name: str | None,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        self.given = open_size_argument(what, "in_channels", in_channels)
        self.kernel_size = per_axis(kernel_size, self.rank, f"{what}: kernel_size")
        self.geometry: Geometry = geometry_argument(
            self.rank, stride, padding, dilation, data_format or FORMATS[self.rank][0]
        )
        self.groups = group_count(groups)

    def divided(self, name: str, channels: int | None) -> int | None:
        """How many of some channels a group has.

        Raises:
            ArgumentError: the groups would not be equal.
        """
        if channels is not None and channels % self.groups:
            raise ArgumentError(
                f"{type(self).__name__}: {name}={channels} cannot be divided into "
                f"groups={self.groups} of equal size"
            )
        return None if channels is None else channels // self.groups

    def add_bias(self, bias: bool, channels: int | None, initializer: Any, dtype: Any) -> None:
        """Declare the bias, or say that there is none."""
        if bias:
            self.add_parameter("bias", (channels,), initializer, dtype=dtype)
        else:
            self.bias = None

    @property
    def channel_axis(self) -> int:
        """The axis of the channels in inputs and outputs."""
        return -1 if self.geometry.channels_last else 1

    @property
    def in_channels(self) -> int | None:
        """Channels of the input; None while that is not known."""
        name, axis = self.met
        shape = self.shape_of(name)
        size = None if shape is None else shape[axis]
        # A transposed convolution's kernel has all the input's channels, not those of a group.
        return size if size is None or axis == -1 else size * self.groups

    def input_channels(self, x: TensorLike) -> int:
        """The channels that an input has, for `infer_sizes`.

        Raises:
            ShapeError: it has not the rank of the data format, or its channels are not known.
        """
        self.check_input(x)
        found = self.size_of(x, self.channel_axis)
        if found % self.groups:
            raise ShapeError(
                f"{type(self).__name__}: an input of {found} channels cannot be divided into "
                f"groups={self.groups} of equal size"
            )
        return found

    def check_input(self, x: TensorLike) -> None:
        """Raise `ShapeError` where an input has other channels; ranks are for the functions."""
        spec = getattr(x, "spec", None)
        if spec is not None and spec.shape is not None and len(spec.shape) == self.rank + 2:
            check_size(
                type(self).__name__, "in_channels", x, self.in_channels, axis=self.channel_axis
            )

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the function."""
        return {**self.geometry._asdict(), "groups": self.groups}

    def more_repr(self) -> list[str]:
        """Further arguments for `extra_repr`."""
        return []

    def extra_repr(self) -> str:
        """The sizes, and those arguments that are not the usual ones."""
        inputs = "?" if self.in_channels is None else self.in_channels
        g, ones = self.geometry, (1,) * self.rank
        parts = [f"in_channels={inputs}", *self.more_repr(), f"kernel_size={self.kernel_size}"]
        parts += [f"stride={g.stride}"] * (g.stride != ones)
        parts += [f"padding={g.padding!r}"] * (g.padding != "VALID")
        parts += [f"dilation={g.dilation}"] * (g.dilation != ones)
        parts += [f"groups={self.groups}"] * (self.groups != 1)
        parts += ["bias=False"] * ("bias" not in self._declared)
        parts += [f"data_format={g.data_format!r}"] * (not g.channels_last)
        return ", ".join(parts)

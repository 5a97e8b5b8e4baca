"""Layer, RMS, group, instance and local response normalisation as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.nn.functional.normalization.layers import (
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
)
from minigrad.nn.functional.normalization.response import local_response_normalization
from minigrad.nn.initializers import Ones, Zeros
from minigrad.nn.modules.base.arguments import check_size, open_size_argument, size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.shapes import axis_argument, axis_argument_int, show

__all__ = ["GroupNorm", "InstanceNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class Affine(Module):
    """A module with a learnt `scale`, which starts at 1, and a learnt `shift`, at 0; or neither."""

    scale: Variable | None
    shift: Variable | None
    axis: Any

    def add_affine(self, shape: Any, scale: bool, shift: bool, dtype: DTypeLike) -> None:
        """Declare them."""
        for name, wanted, start in (("scale", scale, Ones), ("shift", shift, Zeros)):
            if wanted:
                self.add_parameter(name, shape, start, dtype=dtype)
            else:
                setattr(self, name, None)

    def settle(self, shape: tuple[int, ...]) -> None:
        """Set the shape of what was declared without one."""
        for name in self._declared:
            self.set_shape(name, shape)

    def declared_shape(self) -> tuple[int | None, ...] | None:
        """The shape of what is declared, as far as it is known; None if nothing is."""
        for name in self._declared:
            return self.shape_of(name)
        return None

    def missing(self) -> str:
        """What `extra_repr` says of a scale or shift that is left out."""
        return "".join(
            f", {n}=False" for n in ("scale", "shift") if self.__dict__.get(n, 0) is None
        )


class _OverShape(Affine):
    """Normalisation of each example along axes, with a scale of their shape."""

    def __init__(
        self,
        normalized_shape: int | None | Sequence[int | None],
        axis: Any,
        epsilon: float,
        scale: bool,
        shift: bool,
        dtype: DTypeLike,
        name: str | None,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        given = (
            (normalized_shape,)
            if normalized_shape is None or not isinstance(normalized_shape, Sequence)
            else tuple(normalized_shape)
        )
        self.given = tuple(open_size_argument(what, "normalized_shape", n) for n in given)
        if not given:
            raise ArgumentError(f"{what}: normalized_shape has no sizes; give one for each axis")
        chosen = tuple(range(-len(given), 0)) if axis is None else axis_argument(axis)
        self.axis = (chosen,) if isinstance(chosen, int) else chosen
        if self.axis is None or len(self.axis) != len(given):
            raise ArgumentError(
                f"{what}: normalized_shape {show(self.given)} and axis {axis!r} must have as many "
                "entries"
            )
        self.epsilon = not_negative(epsilon, f"{what}: epsilon")
        self.add_affine(self.given, scale, shift, dtype)

    @property
    def normalized_shape(self) -> tuple[int | None, ...]:
        """The sizes of the normalised axes; None for those not known."""
        return self.declared_shape() or self.given

    def infer_sizes(self, x: TensorLike) -> None:
        """Take the sizes left open from the input."""
        self.settle(tuple([self.size_of(x, axis) for axis in self.axis]))

    def check_input(self, x: TensorLike) -> None:
        """Raise `ShapeError` where the input has other sizes."""
        for axis, size in zip(self.axis, self.normalized_shape, strict=True):
            check_size(type(self).__name__, "normalized_shape", x, size, axis=axis)

    def extra_repr(self) -> str:
        """The sizes, the axes where they are not the last, and what is left out."""
        sizes = ", ".join("?" if n is None else str(n) for n in self.normalized_shape)
        usual = self.axis == tuple(range(-len(self.axis), 0))
        places = "" if usual else f", axis={self.axis}"
        return f"({sizes}){places}, epsilon={self.epsilon:g}{self.missing()}"


class LayerNorm(_OverShape):
    """Each example brought to mean 0 and variance 1 along axes, then scaled and shifted.

    See `layer_norm` for the formula. `scale` and `shift` have the shape `normalized_shape`; PyTorch
    calls them weight and bias, Keras gamma and beta. Keras' epsilon is 1e-3.

    Args:
        normalized_shape: the size of the normalised axis, or sizes of several; None for one that
            the first input tells.
        axis: the axis, or axes in the order of the sizes; by default the last ones.
        epsilon: added to the variance.
        scale: whether there is a scale.
        shift: whether there is a shift.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, `epsilon` is negative, or there are not as many axes
            as sizes.
        ShapeError: (from a call) the input has other sizes along the axes.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.LayerNorm(None)
    >>> layer(mg.constant([[1.0, 3.0]])).tolist()
    [[-0.9999949932098389, 0.9999949932098389]]
    >>> layer
    LayerNorm((2), epsilon=1e-05)
    """

    def __init__(
        self,
        normalized_shape: int | None | Sequence[int | None],
        *,
        axis: Any = None,
        epsilon: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(normalized_shape, axis, epsilon, scale, shift, dtype, name)

    def forward(self, x: TensorLike) -> Tensor:
        """The normalised input."""
        self.check_input(x)
        return layer_norm(x, self.scale, self.shift, axis=self.axis, epsilon=self.epsilon)


class RMSNorm(_OverShape):
    """Each example divided by its root mean square along axes, then scaled: `rms_norm`.

    Arguments are those of `LayerNorm`, but there is no shift.

    Args:
        normalized_shape: see `LayerNorm`.
        axis: see `LayerNorm`.
        epsilon: added to the mean square, inside the root. (PyTorch's default is the smallest
            step of the dtype at 1.)
        scale: whether there is a scale.
        dtype: of the scale.
        name: see `Module`.

    Raises:
        ArgumentError: see `LayerNorm`.
        ShapeError: see `LayerNorm`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> [round(v, 4) for v in nn.RMSNorm(2)(mg.constant([1.0, 7.0])).tolist()]
    [0.2, 1.4]
    """

    def __init__(
        self,
        normalized_shape: int | None | Sequence[int | None],
        *,
        axis: Any = None,
        epsilon: float = 1e-5,
        scale: bool = True,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(normalized_shape, axis, epsilon, scale, False, dtype, name)

    def forward(self, x: TensorLike) -> Tensor:
        """The normalised input."""
        self.check_input(x)
        return rms_norm(x, self.scale, axis=self.axis, epsilon=self.epsilon)

    def missing(self) -> str:
        """What `extra_repr` says of a scale that is left out."""
        return "" if "scale" in self._declared else ", scale=False"


class OverChannels(Affine):
    """Normalisation with a number for each channel."""

    def __init__(
        self,
        channels_name: str,
        channels: int | None,
        axis: int,
        epsilon: float,
        scale: bool,
        shift: bool,
        dtype: DTypeLike,
        name: str | None,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        self.channels_name = channels_name
        self.given = open_size_argument(what, channels_name, channels)
        self.axis: int = axis_argument_int(axis)
        self.epsilon = not_negative(epsilon, f"{what}: epsilon")
        self.add_affine((self.given,), scale, shift, dtype)

    def channels(self) -> int | None:
        """The number of channels; None while it is not known."""
        shape = self.declared_shape()
        return self.given if shape is None else shape[0]

    def infer_sizes(self, x: TensorLike) -> None:
        """Take the number of channels from the input."""
        self.settle((self.size_of(x, self.axis),))

    def check_input(self, x: TensorLike) -> None:
        """Raise `ShapeError` where the input has another number of channels."""
        check_size(type(self).__name__, self.channels_name, x, self.channels(), axis=self.axis)

    def extra_repr(self) -> str:
        """The channels, their axis where it is not the last, and what is left out."""
        channels = "?" if self.channels() is None else self.channels()
        place = "" if self.axis == -1 else f", axis={self.axis}"
        return f"{self.channels_name}={channels}{place}, epsilon={self.epsilon:g}{self.missing()}"


class GroupNorm(OverChannels):
    """Groups of channels of each example brought to mean 0, variance 1; then scale and shift.

    See `group_norm`. `scale` and `shift` have a number for each channel.

    Args:
        groups: how many groups of equal size.
        num_channels: of the input; None to take it from the first one.
        axis: where the channels are; 1 for PyTorch's layout.
        epsilon: added to the variance.
        scale: whether there is a scale.
        shift: whether there is a shift.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, the channels cannot be divided into the groups, or
            `epsilon` is negative.
        ShapeError: (from a call) the input has another number of channels, or none.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.GroupNorm(2, 4, epsilon=0.0)
    >>> layer(mg.constant([[1.0, 3.0, 10.0, 30.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        groups: int,
        num_channels: int | None,
        *,
        axis: int = -1,
        epsilon: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__("num_channels", num_channels, axis, epsilon, scale, shift, dtype, name)
        self.groups = size_argument("GroupNorm", "groups", groups)
        if self.given is not None and self.given % self.groups:
            raise ArgumentError(
                f"GroupNorm: num_channels={self.given} cannot be divided into "
                f"groups={self.groups} of equal size"
            )

    def forward(self, x: TensorLike) -> Tensor:
        """The normalised input."""
        self.check_input(x)
        return group_norm(
            x, self.groups, self.scale, self.shift, axis=self.axis, epsilon=self.epsilon
        )

    def extra_repr(self) -> str:
        """The groups and channels, and what is left out."""
        return f"groups={self.groups}, {super().extra_repr()}"


class InstanceNorm(OverChannels):
    """Each channel of each example brought to mean 0, variance 1; then scaled and shifted.

    See `instance_norm`. By default there are a scale and a shift with a number for each channel;
    PyTorch has them only with ``affine=True``, and can average statistics, which the paper does
    not do.

    Args:
        num_features: the number of channels; None to take it from the first input.
        axis: where the channels are; 1 for PyTorch's layout.
        epsilon: added to the variance.
        scale: whether there is a scale.
        shift: whether there is a shift.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, or `epsilon` is negative.
        ShapeError: (from a call) the input has another number of channels, or none.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.InstanceNorm(2, epsilon=0.0)(mg.constant([[[1.0, 30.0], [3.0, 10.0]]])).tolist()
    [[[-1.0, 1.0], [1.0, -1.0]]]
    """

    def __init__(
        self,
        num_features: int | None,
        *,
        axis: int = -1,
        epsilon: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__("num_features", num_features, axis, epsilon, scale, shift, dtype, name)

    def forward(self, x: TensorLike) -> Tensor:
        """The normalised input."""
        self.check_input(x)
        return instance_norm(x, self.scale, self.shift, axis=self.axis, epsilon=self.epsilon)


class LocalResponseNorm(Module):
    """Each channel divided by a power of the activity of those around it: AlexNet's.

    ``x / (bias + alpha * sum(x²))**beta``; the formula and the constants are those of
    `local_response_normalization`, which see. PyTorch's ``alpha`` is divided by `size`, and its
    ``k`` is the `bias`.

    Args:
        size: how many channels count, half of them on each side.
        bias: keeps the divisor from 0.
        alpha: the weight of the activity.
        beta: the power.
        axis: where the channels are.
        name: see `Module`.

    Raises:
        ArgumentError: `size` is less than 1; or (from a call) a constant is not in its range.
        ArgumentTypeError: `size` is no integer; or (from a call) a constant is no number.
        ShapeError: (from a call) the input is a scalar, or the axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.LocalResponseNorm(size=3, bias=1.0, alpha=1.0, beta=1.0)(mg.ones((1, 1, 3))).tolist()
    [[[0.3333333432674408, 0.25, 0.3333333432674408]]]
    """

    def __init__(
        self,
        *,
        size: int = 5,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        axis: int = -1,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        size_argument("LocalResponseNorm", "size", size)
        self.options = {"size": size, "bias": bias, "alpha": alpha, "beta": beta, "axis": axis}

    def forward(self, x: TensorLike) -> Tensor:
        """The normalised input."""
        x = tensor_of(x)
        if x.spec.shape == ():
            raise ShapeError("LocalResponseNorm needs an axis of channels, got a scalar")
        return local_response_normalization(x, **self.options)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        """The constants."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items())

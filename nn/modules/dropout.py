"""Dropout and noise as modules, each with random numbers of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.nn.functional.noise.dropout import alpha_dropout, dropout, spatial_dropout
from minigrad.nn.functional.noise.gaussian import gaussian_dropout, gaussian_noise
from minigrad.nn.functional.noise.masks import rate_argument
from minigrad.nn.functional.windows import FORMATS
from minigrad.nn.modules.base.module import Module

__all__ = [
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout",
    "SpatialDropout1d",
    "SpatialDropout2d",
    "SpatialDropout3d",
]


class _Noisy(Module):
    """Applies a function that draws where `training` holds.

    The module owns a generator, so that its t-th call in eager code and the t-th run of a graph
    that it was called in once draw the same numbers.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, amount: Any, seed: int | None, name: str | None) -> None:
        super().__init__(name=name)
        self.amount = amount
        self.generator = Generator(seed)

    def options(self) -> dict[str, Any]:
        """Further keyword arguments of the function."""
        return {}

    def forward(self, x: TensorLike) -> Tensor:
        """In training the changed input, else the input."""
        return type(self).function(
            x, self.amount, training=self.training, generator=self.generator, **self.options()
        )


class _WithRate(_Noisy):
    def __init__(self, rate: TensorLike, seed: int | None, name: str | None) -> None:
        super().__init__(rate_argument(type(self).__name__, rate), seed, name)

    @property
    def rate(self) -> Any:
        """The fraction that is dropped."""
        return self.amount

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.amount}"


class Dropout(_WithRate):
    """In training, sets a fraction of the elements to 0, and divides the others by 1 - rate.

    See `dropout`. PyTorch's ``p`` is the `rate`; TensorFlow 1's ``keep_prob`` is ``1 - rate``.

    Args:
        rate: the fraction that is dropped, a number or scalar tensor.
        noise_shape: of the mask, see `dropout`.
        seed: decides the masks with the seed of `minigrad.random.seed`; without one the module
            counts as one random op of that seed, at construction.
        name: see `Module`.

    Raises:
        ArgumentError: the rate does not lie between 0 and 1.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.Dropout(0.5, seed=2)
    >>> layer(mg.constant([1.0, 2.0, 3.0, 4.0])).tolist()
    [2.0, 4.0, 0.0, 0.0]
    >>> layer.eval()(mg.constant([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    function = staticmethod(dropout)

    def __init__(
        self,
        rate: TensorLike = 0.5,
        *,
        noise_shape: Any = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(rate, seed, name)
        self.noise_shape = noise_shape

    def options(self) -> dict[str, Any]:
        """The shape of the mask."""
        return {"noise_shape": self.noise_shape}

    def extra_repr(self) -> str:
        """The rate, and the shape of the mask if it is given."""
        noise = "" if self.noise_shape is None else f", noise_shape={self.noise_shape}"
        return super().extra_repr() + noise


class SpatialDropout(_WithRate):
    """Dropout of whole channels, see `spatial_dropout`: PyTorch's ``Dropout1d`` to ``Dropout3d``.

    Args:
        rate: see `Dropout`.
        data_format: such as ``"NHWC"`` or ``"NCHW"``; by default the channels are last, whatever
            the rank.
        seed: see `Dropout`.
        name: see `Module`.

    Raises:
        ArgumentError: the rate does not lie between 0 and 1, or there is no such format.
        ShapeError: (from a call) the rank is not that of the format.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.SpatialDropout(0.5, seed=2)(mg.ones((1, 2, 4))).tolist()
    [[[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]]
    """

    function = staticmethod(spatial_dropout)
    #: The number of spatial axes; None for any.
    axes: ClassVar[int | None] = None

    def __init__(
        self,
        rate: TensorLike = 0.5,
        *,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(rate, seed, name)
        known = [f for n, formats in FORMATS.items() if self.axes in (None, n) for f in formats]
        if data_format is not None and data_format not in known:
            raise ArgumentError(
                f"{type(self).__name__}: data_format must be one of "
                f"{', '.join(map(repr, known))}, got {data_format!r}"
            )
        self.data_format = known[0] if data_format is None and self.axes else data_format

    def options(self) -> dict[str, Any]:
        """The data format."""
        return {"data_format": self.data_format}


class SpatialDropout1d(SpatialDropout):
    """`SpatialDropout` of sequences, ``"NWC"`` (or ``"NCW"``).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.SpatialDropout1d(0.5)(mg.ones((2, 3, 4))).shape
    (2, 3, 4)
    """

    axes = 1


class SpatialDropout2d(SpatialDropout):
    """`SpatialDropout` of images, ``"NHWC"`` (or ``"NCHW"``).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.SpatialDropout2d(0.5)(mg.ones((2, 3, 3, 4))).shape
    (2, 3, 3, 4)
    """

    axes = 2


class SpatialDropout3d(SpatialDropout):
    """`SpatialDropout` of volumes, ``"NDHWC"`` (or ``"NCDHW"``).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.SpatialDropout3d(0.5)(mg.ones((2, 3, 3, 3, 4))).shape
    (2, 3, 3, 3, 4)
    """

    axes = 3


class AlphaDropout(_WithRate):
    """Dropout that keeps mean 0 and variance 1, for networks of SELUs; see `alpha_dropout`.

    Args:
        rate: see `Dropout`.
        seed: see `Dropout`.
        name: see `Module`.

    Raises:
        ArgumentError: the rate does not lie between 0 and 1.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> y = nn.AlphaDropout(0.5, seed=2)(mg.constant([1.0, 2.0, 3.0, 4.0]))
    >>> [round(v, 4) for v in y.tolist()]
    [1.6656, 2.552, -0.7792, -0.7792]
    """

    function = staticmethod(alpha_dropout)

    def __init__(
        self, rate: TensorLike = 0.5, *, seed: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(rate, seed, name)


class GaussianDropout(_WithRate):
    """In training, multiplies by normal numbers of mean 1, variance rate/(1-rate).

    See `gaussian_dropout`.

    Args:
        rate: a number of 0 or more, below 1.
        seed: see `Dropout`.
        name: see `Module`.

    Raises:
        ArgumentError: the rate is not in its range.
        ArgumentTypeError: the rate is no number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.GaussianDropout(0.25).eval()(mg.constant([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    function = staticmethod(gaussian_dropout)

    def __init__(
        self, rate: float = 0.5, *, seed: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(rate, seed, name)
        if not isinstance(self.amount, float):
            raise ArgumentTypeError(f"GaussianDropout: the rate must be a number, got {rate!r}")
        if self.amount == 1:
            raise ArgumentError("GaussianDropout: the rate must be below 1, got 1.0")


class GaussianNoise(_Noisy):
    """In training, adds normal numbers of mean 0; see `gaussian_noise`.

    Args:
        stddev: their standard deviation, 0 or more.
        seed: see `Dropout`.
        name: see `Module`.

    Raises:
        ArgumentError: `stddev` is negative or not finite.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.GaussianNoise(0.1).eval()(mg.constant([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    function = staticmethod(gaussian_noise)

    def __init__(self, stddev: float, *, seed: int | None = None, name: str | None = None) -> None:
        super().__init__(not_negative(stddev, "GaussianNoise: stddev"), seed, name)

    @property
    def stddev(self) -> float:
        """The standard deviation."""
        return float(self.amount)

    def extra_repr(self) -> str:
        """The standard deviation."""
        return f"stddev={self.amount:g}"

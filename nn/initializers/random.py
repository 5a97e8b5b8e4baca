"""Random initial values: of given distributions, scaled by a weight's fans, and orthogonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor
from minigrad.dtypes import DTypeLike, as_dtype
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.initializers.base import Initializer, sizes
from minigrad.ops.basic import astype
from minigrad.ops.diagonals import diagonal
from minigrad.ops.elementwise import multiply
from minigrad.ops.linalg.factorizations import qr
from minigrad.ops.manipulation import matrix_transpose, reshape
from minigrad.ops.random_continuous import normal, truncated_normal, uniform
from minigrad.ops.selection import where
from minigrad.shapes import show

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "XavierFanIn",
    "XavierNormal",
    "XavierUniform",
    "fans",
]

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["normal", "truncated_normal", "uniform"]

#: Standard deviation of the standard normal distribution truncated at ±2:
#: sqrt(1 - 4 φ(2) / (2 Φ(2) - 1)).
_TRUNCATED_STDDEV = 0.87962566103423978


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Fan-in and fan-out of a weight of this shape.

    A matrix ``(inputs, outputs)`` has ``(inputs, outputs)``. A convolution kernel
    ``(*window, in_channels, out_channels)`` has each of the two channel numbers times the size of
    the window. A vector of n has ``(n, n)``, a scalar ``(1, 1)``. This is TensorFlow's rule;
    PyTorch's differs in the order of the axes, and it has none for vectors. The kernel of a
    transposed convolution has its channels the other way round, so its fans are swapped.

    Raises:
        ShapeError: a dimension is unknown or negative.

    >>> from minigrad.nn.initializers import fans
    >>> fans((300, 100)), fans((3, 3, 16, 32))
    ((300, 100), (144, 288))
    """
    dims = sizes(shape)
    if not dims:
        return 1, 1
    if len(dims) == 1:
        return dims[0], dims[0]
    window = math.prod(dims[:-2])
    return window * dims[-2], window * dims[-1]


@dataclass(frozen=True, eq=False)
class Uniform(Initializer):
    """Uniform numbers in [low, high). The default is that of TensorFlow's ``RandomUniform``.

    PyTorch's ``uniform_`` draws from [0, 1) by default.

    Raises:
        ArgumentError: a bound is not finite, or `low` is above `high`.
        ArgumentTypeError: a bound is no number.

    >>> from minigrad.nn.initializers import Uniform
    >>> drawn = Uniform(2.0, 3.0)((100,)).numpy()
    >>> bool(drawn.min() >= 2.0), bool(drawn.max() < 3.0)
    (True, True)
    """

    low: float = -0.05
    high: float = 0.05
    draws = True

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            _check_finite("Uniform", name, getattr(self, name))
        if not self.low <= self.high:
            raise ArgumentError(f"Uniform needs low <= high, got {self.low} and {self.high}")

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        return uniform(sizes(shape), self.low, self.high, dtype=dtype, generator=generator)


def _check_finite(what: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ArgumentTypeError(f"{what}: {name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ArgumentError(f"{what}: {name} must be finite, got {value!r}")


def _check_normal(what: str, mean: Any, stddev: Any) -> None:
    _check_finite(what, "mean", mean)
    _check_finite(what, "stddev", stddev)
    if stddev < 0:
        raise ArgumentError(f"{what} needs a standard deviation of 0 or more, got {stddev}")


@dataclass(frozen=True, eq=False)
class Normal(Initializer):
    """Normal numbers. The default is that of TensorFlow's ``RandomNormal``.

    Raises:
        ArgumentError: a number is not finite, or `stddev` is negative.
        ArgumentTypeError: one is no number.

    >>> from minigrad.nn.initializers import Normal
    >>> float(Normal(stddev=2.0)((10000,)).numpy().std().round(1))
    2.0
    """

    mean: float = 0.0
    stddev: float = 0.05
    draws = True

    def __post_init__(self) -> None:
        _check_normal("Normal", self.mean, self.stddev)

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        return normal(sizes(shape), self.mean, self.stddev, dtype=dtype, generator=generator)


@dataclass(frozen=True, eq=False)
class TruncatedNormal(Initializer):
    """Normal numbers within two standard deviations of the mean.

    `stddev` is that before truncation, as in TensorFlow; the numbers' own is 0.8796 times it.
    PyTorch's ``trunc_normal_`` truncates at fixed bounds, by default ±2 whatever `stddev` is.

    Raises:
        ArgumentError: a number is not finite, or `stddev` is negative.
        ArgumentTypeError: one is no number.

    >>> from minigrad.nn.initializers import TruncatedNormal
    >>> bool(abs(TruncatedNormal(stddev=0.5)((1000,)).numpy()).max() <= 1.0)
    True
    """

    mean: float = 0.0
    stddev: float = 0.05
    draws = True

    def __post_init__(self) -> None:
        _check_normal("TruncatedNormal", self.mean, self.stddev)

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        dims = sizes(shape)
        return truncated_normal(dims, self.mean, self.stddev, dtype=dtype, generator=generator)


@dataclass(frozen=True, eq=False)
class VarianceScaling(Initializer):
    """Mean 0 and variance ``scale / n``, where n is the fan-in, the fan-out or their average.

    ``"normal"`` has standard deviation sqrt(scale/n); ``"truncated_normal"`` is drawn with
    sqrt(scale/n) / 0.87962566, which truncation brings back to sqrt(scale/n); ``"uniform"`` lies
    within ±sqrt(3 scale/n). The same as Keras' (whose ``"untruncated_normal"`` is ``"normal"``).

    Raises:
        ArgumentError: `scale` is not positive, or `mode` or `distribution` is none of those named.

    >>> from minigrad.nn.initializers import VarianceScaling
    >>> w = VarianceScaling(2.0, "fan_in", "uniform")((6, 1000)).numpy()
    >>> bool(abs(w).max() <= 1.0)   # sqrt(3 · 2 / 6)
    True
    """

    scale: float = 1.0
    mode: Mode = "fan_in"
    distribution: Distribution = "truncated_normal"
    draws = True

    def __post_init__(self) -> None:
        _check_finite("VarianceScaling", "scale", self.scale)
        if not self.scale > 0:
            raise ArgumentError(f"VarianceScaling needs a positive scale, got {self.scale}")
        if self.mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(f"mode is 'fan_in', 'fan_out' or 'fan_avg', got {self.mode!r}")
        if self.distribution not in ("normal", "truncated_normal", "uniform"):
            raise ArgumentError(
                "distribution is 'normal', 'truncated_normal' or 'uniform', got "
                f"{self.distribution!r}"
            )

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        dims = sizes(shape)
        fan_in, fan_out = fans(dims)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return uniform(dims, -limit, limit, dtype=dtype, generator=generator)
        stddev = math.sqrt(variance)
        if self.distribution == "normal":
            return normal(dims, 0.0, stddev, dtype=dtype, generator=generator)
        stddev /= _TRUNCATED_STDDEV
        return truncated_normal(dims, 0.0, stddev, dtype=dtype, generator=generator)


class _Scaled(VarianceScaling):
    """A named case of `VarianceScaling`, which shows its own arguments."""

    def __init__(
        self, scale: float, mode: Mode, distribution: Distribution, own: dict[str, Any]
    ) -> None:
        super().__init__(scale, mode, distribution)
        object.__setattr__(self, "_own", own)

    def __repr__(self) -> str:
        own: dict[str, Any] = getattr(self, "_own", {})
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in own.items())})"


def _squared(gain: float) -> float:
    _check_finite("an initializer", "gain", gain)
    if not gain > 0:
        raise ArgumentError(f"gain is a positive number, got {gain}")
    return gain * gain


class GlorotUniform(_Scaled):
    """Uniform within ±gain · sqrt(6 / (fan_in + fan_out)); also called Xavier uniform.

    >>> from minigrad.nn.initializers import GlorotUniform
    >>> bool(abs(GlorotUniform()((2, 4)).numpy()).max() <= 1.0)
    True
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(_squared(gain), "fan_avg", "uniform", {"gain": gain})


class GlorotNormal(_Scaled):
    """Truncated normal with variance gain² · 2 / (fan_in + fan_out); also called Xavier normal.

    >>> from minigrad.nn.initializers import GlorotNormal
    >>> round(float(GlorotNormal()((100, 100)).numpy().std()), 2)
    0.1
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(_squared(gain), "fan_avg", "truncated_normal", {"gain": gain})


class XavierFanIn(_Scaled):
    """Normal with variance gain² / fan_in: what many courses call Xavier initialisation.

    ``np.random.randn(n_in, n_out) * np.sqrt(1 / n_in)``. Glorot and Bengio's own variance also
    counts the fan-out, see `GlorotNormal`.

    >>> from minigrad.nn.initializers import XavierFanIn
    >>> round(float(XavierFanIn()((100, 200)).numpy().std()), 2)
    0.1
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(_squared(gain), "fan_in", "normal", {"gain": gain})


def _rectifier(negative_slope: float) -> float:
    """Twice the reciprocal of 1 + a²: He et al., equation 15."""
    _check_finite("He's initializer", "negative_slope", negative_slope)
    return 2.0 / (1.0 + negative_slope**2)


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / ((1 + a²) fan_in), for layers before a rectifier.

    Args:
        negative_slope: a, the slope of a leaky rectifier below 0; 0 for `relu`.
        mode: ``"fan_in"`` keeps the variance of the signal, ``"fan_out"`` that of the gradient.

    >>> from minigrad.nn.initializers import HeNormal
    >>> round(float(HeNormal()((200, 100)).numpy().std()), 2)
    0.1
    """

    def __init__(self, negative_slope: float = 0.0, mode: Mode = "fan_in") -> None:
        scale = _rectifier(negative_slope)
        own = {"negative_slope": negative_slope, "mode": mode}
        super().__init__(scale, mode, "truncated_normal", own)


class HeUniform(_Scaled):
    """Uniform with variance 2 / ((1 + a²) fan_in); the arguments are those of `HeNormal`.

    PyTorch's own layers start with ``HeUniform(sqrt(5))``, which is ±sqrt(1 / fan_in).

    >>> from minigrad.nn.initializers import HeUniform
    >>> bool(abs(HeUniform()((6, 100)).numpy()).max() <= 1.0)   # sqrt(6 / 6)
    True
    """

    def __init__(self, negative_slope: float = 0.0, mode: Mode = "fan_in") -> None:
        scale = _rectifier(negative_slope)
        own = {"negative_slope": negative_slope, "mode": mode}
        super().__init__(scale, mode, "uniform", own)


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in: for `selu`, and for layers of tanh.

    >>> from minigrad.nn.initializers import LecunNormal
    >>> round(float(LecunNormal()((100, 200)).numpy().std()), 2)
    0.1
    """

    def __init__(self) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", {})


class LecunUniform(_Scaled):
    """Uniform within ±sqrt(3 / fan_in).

    >>> from minigrad.nn.initializers import LecunUniform
    >>> bool(abs(LecunUniform()((3, 100)).numpy()).max() <= 1.0)
    True
    """

    def __init__(self) -> None:
        super().__init__(1.0, "fan_in", "uniform", {})


XavierUniform = GlorotUniform
XavierNormal = GlorotNormal
KaimingUniform = HeUniform
KaimingNormal = HeNormal


@dataclass(frozen=True, eq=False)
class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    All axes but the last are taken as one, as in Keras. The matrix is the Q of the QR
    decomposition of a normal one, its columns' signs set by the diagonal of R, which makes it
    uniformly distributed (Mezzadri, "How to generate random matrices from the classical compact
    groups", 2007). Source: A. Saxe et al., "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2013.

    Raises:
        ShapeError: the shape has less than 2 axes.

    >>> import minigrad as mg
    >>> from minigrad.nn.initializers import Orthogonal
    >>> w = Orthogonal()((4, 2))
    >>> bool(mg.max(abs(w.T @ w - mg.eye(2))) < 1e-6)
    True
    """

    gain: float = 1.0
    draws = True

    def __post_init__(self) -> None:
        _check_finite("Orthogonal", "gain", self.gain)

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The matrix."""
        dims, kind = sizes(shape), as_dtype(dtype)
        if len(dims) < 2:
            raise ShapeError(f"Orthogonal needs 2 axes or more, got shape {show(dims)}")
        rows, columns = math.prod(dims[:-1]), dims[-1]
        # LAPACK has no float16.
        work = "float64" if kind.name == "float64" else "float32"
        tall = (max(rows, columns), min(rows, columns))
        q, r = qr(normal(tall, dtype=work, generator=generator))
        q = multiply(q, where(diagonal(r) < 0, -self.gain, self.gain))
        if rows < columns:
            q = matrix_transpose(q)
        return astype(reshape(q, dims), kind)

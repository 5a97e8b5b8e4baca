"""Initial values of parameters: ``initializer(shape, dtype) -> Tensor``.

Where signals should neither grow nor fade from layer to layer, the variance of a weight is a
constant over the number of numbers that are summed: the fan-in (going forward), the fan-out (going
back) or their average. `fans` counts them.

| class | variance | source |
| --- | --- | --- |
| `GlorotUniform`, `GlorotNormal` (= Xavier) | 2 / (fan_in + fan_out) | [1] |
| `XavierFanIn` | 1 / fan_in | the "Xavier" of many courses |
| `HeUniform`, `HeNormal` (= Kaiming) | 2 / fan_in | [2] |
| `LecunUniform`, `LecunNormal` | 1 / fan_in | [3] |

[1] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", 2010. [2] K. He et al., "Delving Deep into Rectifiers", 2015. [3] Y. LeCun et al.,
"Efficient BackProp", 1998.

The papers fix variances, not shapes. As in Keras the normal ones here are truncated at two standard
deviations and scaled up by 1/0.87962566…, so that the variance is exactly as stated. PyTorch's
``xavier_normal_`` and ``kaiming_normal_`` are not truncated; for those write
``VarianceScaling(scale, mode, "normal")``.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.convert import array_of
from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike, as_dtype
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.ops.basic import astype
from minigrad.ops.creation import eye, full
from minigrad.ops.diagonals import diagonal
from minigrad.ops.elementwise import multiply
from minigrad.ops.linalg.factorizations import qr
from minigrad.ops.manipulation import matrix_transpose, reshape
from minigrad.ops.random_continuous import normal, truncated_normal, uniform
from minigrad.ops.selection import where
from minigrad.shapes import as_shape, show

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "XavierFanIn",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "as_initializer",
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
    dims = _sizes(shape)
    if not dims:
        return 1, 1
    if len(dims) == 1:
        return dims[0], dims[0]
    window = math.prod(dims[:-2])
    return window * dims[-2], window * dims[-1]


def _sizes(shape: Any) -> tuple[int, ...]:
    """A shape whose dimensions are all known."""
    dims = as_shape(shape)
    if dims is None or None in dims:
        raise ShapeError(f"an initializer needs a known shape, got {show(dims)}")
    return dims  # type: ignore[return-value]


class Initializer(ABC):
    """Base of initializers. A subclass defines `__call__`, and says whether it draws.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> class Halves(nn.initializers.Initializer):
    ...     def __call__(self, shape, dtype="float32", *, generator=None):
    ...         return mg.full(shape, 0.5, dtype=dtype)
    >>> nn.Linear(2, 1, weight_initializer=Halves()).weight.tolist()
    [[0.5], [0.5]]
    """

    #: Whether it draws random numbers. A parameter keeps a key for those that do.
    draws: bool = False

    @abstractmethod
    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The initial value.

        Args:
            shape: of known dimensions.
            dtype: of the result.
            generator: where random numbers come from; without one, see `minigrad.random`.
        """


@dataclass(frozen=True, eq=False)
class Constant(Initializer):
    """One number everywhere, or a given array of exactly the parameter's shape.

    >>> from minigrad.nn.initializers import Constant
    >>> Constant(0.1)((2,))
    Tensor([0.1, 0.1], shape=(2,), dtype=float32)
    """

    value: Any = 0.0

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The value. Raises `ShapeError` if it has another shape, and is not a single number."""
        dims, kind = _sizes(shape), as_dtype(dtype)
        given = self.value
        if not isinstance(given, Tensor | Variable):
            given = array_of(given, kind)
        found = tuple(given.shape)
        if found == dims:
            return tensor_of(given, kind)
        if found != ():
            raise ShapeError(
                f"a parameter of shape {show(dims)} cannot start as a value of shape {show(found)}"
            )
        return full(dims, given, dtype=kind)


@dataclass(frozen=True, eq=False)
class Zeros(Initializer):
    """Zeros everywhere: for biases. Equal weights would never become different."""

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """Zeros (False for a boolean dtype)."""
        kind = as_dtype(dtype)
        return full(_sizes(shape), False if kind.is_bool else 0, dtype=kind)


@dataclass(frozen=True, eq=False)
class Ones(Initializer):
    """Ones everywhere: for the factors of a normalisation."""

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """Ones (True for a boolean dtype)."""
        kind = as_dtype(dtype)
        return full(_sizes(shape), True if kind.is_bool else 1, dtype=kind)


@dataclass(frozen=True, eq=False)
class Uniform(Initializer):
    """Uniform numbers in [low, high). The default is that of TensorFlow's ``RandomUniform``."""

    low: float = -0.05
    high: float = 0.05
    draws = True

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ArgumentError(f"Uniform needs low <= high, got {self.low} and {self.high}")

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        return uniform(_sizes(shape), self.low, self.high, dtype=dtype, generator=generator)


def _check_stddev(what: str, stddev: float) -> None:
    if not stddev >= 0:
        raise ArgumentError(f"{what} needs a standard deviation of 0 or more, got {stddev}")


@dataclass(frozen=True, eq=False)
class Normal(Initializer):
    """Normal numbers. The default is that of TensorFlow's ``RandomNormal``.

    >>> from minigrad.nn.initializers import Normal
    >>> float(Normal(stddev=2.0)((10000,)).numpy().std().round(1))
    2.0
    """

    mean: float = 0.0
    stddev: float = 0.05
    draws = True

    def __post_init__(self) -> None:
        _check_stddev("Normal", self.stddev)

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        return normal(_sizes(shape), self.mean, self.stddev, dtype=dtype, generator=generator)


@dataclass(frozen=True, eq=False)
class TruncatedNormal(Initializer):
    """Normal numbers within two standard deviations of the mean.

    `stddev` is that before truncation, as in TensorFlow; the numbers' own is 0.8796 times it.
    PyTorch's ``trunc_normal_`` truncates at fixed bounds, by default ±2 whatever `stddev` is.
    """

    mean: float = 0.0
    stddev: float = 0.05
    draws = True

    def __post_init__(self) -> None:
        _check_stddev("TruncatedNormal", self.stddev)

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The numbers."""
        dims = _sizes(shape)
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
        if not 0 < self.scale < math.inf:
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
        dims = _sizes(shape)
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
    if not 0 < gain < math.inf:
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
    """Truncated normal with variance gain² · 2 / (fan_in + fan_out); also called Xavier normal."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(_squared(gain), "fan_avg", "truncated_normal", {"gain": gain})


class XavierFanIn(_Scaled):
    """Normal with variance gain² / fan_in: what many courses call Xavier initialisation.

    ``np.random.randn(n_in, n_out) * np.sqrt(1 / n_in)``. Glorot and Bengio's own variance also
    counts the fan-out, see `GlorotNormal`.
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(_squared(gain), "fan_in", "normal", {"gain": gain})


def _rectifier(negative_slope: float) -> float:
    """Twice the reciprocal of 1 + a²: He et al., equation 15."""
    return 2.0 / (1.0 + negative_slope**2)


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / ((1 + a²) fan_in), for layers before a rectifier.

    Args:
        negative_slope: a, the slope of a leaky rectifier below 0; 0 for `relu`.
        mode: ``"fan_in"`` keeps the variance of the signal, ``"fan_out"`` that of the gradient.
    """

    def __init__(self, negative_slope: float = 0.0, mode: Mode = "fan_in") -> None:
        scale = _rectifier(negative_slope)
        own = {"negative_slope": negative_slope, "mode": mode}
        super().__init__(scale, mode, "truncated_normal", own)


class HeUniform(_Scaled):
    """Uniform with variance 2 / ((1 + a²) fan_in); the arguments are those of `HeNormal`.

    PyTorch's own layers start with ``HeUniform(sqrt(5))``, which is ±sqrt(1 / fan_in).
    """

    def __init__(self, negative_slope: float = 0.0, mode: Mode = "fan_in") -> None:
        scale = _rectifier(negative_slope)
        own = {"negative_slope": negative_slope, "mode": mode}
        super().__init__(scale, mode, "uniform", own)


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in: for `selu`, and for layers of tanh."""

    def __init__(self) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", {})


class LecunUniform(_Scaled):
    """Uniform within ±sqrt(3 / fan_in)."""

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

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The matrix."""
        dims, kind = _sizes(shape), as_dtype(dtype)
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


@dataclass(frozen=True, eq=False)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere; the matrix need not be square.

    Raises:
        ShapeError: the shape has not exactly 2 axes.

    >>> from minigrad.nn.initializers import Identity
    >>> Identity()((2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    gain: float = 1.0

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The matrix."""
        dims = _sizes(shape)
        if len(dims) != 2:
            raise ShapeError(f"Identity needs 2 axes, got shape {show(dims)}")
        made = eye(*dims, dtype=dtype)
        return made if self.gain == 1 else made * self.gain


class _FromFunction(Initializer):
    """A user's own function as an initializer."""

    def __init__(self, function: Callable[..., TensorLike]) -> None:
        self.function = function
        try:
            taken = inspect.signature(function).parameters
        except ValueError:  # A function written in C may have none.
            taken = inspect.signature(lambda shape: None).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
        self.takes = [name for name in ("dtype", "generator") if anything or name in taken]
        self.draws = "generator" in self.takes

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """What the function returns, in the wanted dtype."""
        kind = as_dtype(dtype)
        offered = {"dtype": kind, "generator": generator}
        made = self.function(_sizes(shape), **{name: offered[name] for name in self.takes})
        if isinstance(made, np.ndarray | np.generic) and made.dtype.kind == "f":
            made = np.asarray(made, kind.dtype) if kind.is_floating else made
        return tensor_of(made, kind)

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


def as_initializer(value: Any) -> Initializer:
    """An initializer from one, from its class, a function, an array or a number.

    A function is called with the shape, and with `dtype` and `generator` if it takes arguments of
    these names. Functions that draw from NumPy's generators work; their numbers are not ours to
    make reproducible.

    Raises:
        ArgumentTypeError: anything else.

    >>> from minigrad.nn.initializers import as_initializer
    >>> as_initializer(0.5), as_initializer(lambda shape: np.ones(shape))((2,)).tolist()
    (Constant(value=0.5), [1.0, 1.0])
    """
    if isinstance(value, type) and issubclass(value, Initializer):
        value = value()
    if isinstance(value, Initializer):
        return value
    if isinstance(value, np.ndarray):
        return Constant(value.copy())  # Whatever becomes of the caller's array before it is used.
    if isinstance(value, bool | int | float | complex | np.generic | list | tuple):
        return Constant(value)
    if isinstance(value, Tensor | Variable):
        return Constant(value)
    if callable(value):
        return _FromFunction(value)
    raise ArgumentTypeError(
        "an initializer is one of minigrad.nn.initializers, a function of the shape, an array or a "
        f"number; got {value!r}"
    )

"""Normal, truncated normal and uniform numbers, differentiable in their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.convert import is_weak
from minigrad.core.generator import Generator
from minigrad.core.primitive import Primitive, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DTypeLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.random_arguments import Parameter, dims_of, reserve
from minigrad.ops.random_checks import float_dtype
from minigrad.ops.random_ops import (
    philox_normal,
    philox_truncated_normal,
    philox_uniform,
)

__all__ = ["normal", "truncated_normal", "uniform"]


def _location_scale(
    what: str,
    standard: Primitive[..., Tensor],
    shape: Any,
    mean: TensorLike,
    stddev: TensorLike,
    dtype: DTypeLike,
    seed: int | None,
    generator: Generator | None,
) -> Tensor:
    """``standard * stddev + mean``, in TensorFlow's order."""
    kind = float_dtype(what, dtype)
    dims, static = dims_of(shape)
    centre = Parameter(what, "mean", mean, kind, static)
    width = Parameter(what, "stddev", stddev, kind, static)
    if width.known is not None and (width.known < 0).any():
        raise ArgumentError(
            f"{what} expected a standard deviation of 0 or more, got {width.known.min()}; "
            "take its absolute value, or its square root if it is a variance"
        )
    key, counter = reserve(what, dims, seed=seed, generator=generator)
    draw = standard(counter, dims, key=key, dtype=kind)
    if not width.is_exactly(1):
        draw = draw * width.beside(draw)
    if not centre.is_exactly(0):
        draw = draw + centre.beside(draw)
    return draw


def _normal_samples(rng: np.random.Generator) -> list[Sample]:
    one, two = rng.normal(size=(2, 3)), rng.uniform(0.5, 2, size=3)
    return [
        Sample((2, 3), one, two, dtype="float64", seed=1),
        Sample(
            (2, 3), rng.normal(size=()), rng.uniform(0.5, 2, size=(2, 1)), dtype="float64", seed=2
        ),
        Sample(4, seed=3).named("standard"),
        Sample((), 1.0, 0.5, dtype="float16", seed=4).named("a scalar"),
        Sample((0, 3), rng.normal(size=3), 1.0, dtype="float64", seed=5).named("empty"),
        Sample(np.array([2, 2]), seed=6).named("shape as an array"),
    ]


_NORMAL_ERRORS = [
    Fails(ArgumentError, "standard deviation", (2,), 0.0, -1.0),
    Fails(DTypeError, "float16, float32, float64", (2,), dtype="int32"),
    Fails(ShapeError, "cannot be negative", (2, -1)),
    Fails(ShapeError, "mean of shape", (2,), np.zeros(3, np.float32)),
    Fails(ArgumentTypeError, "must consist of integers", (2, None)),
    Fails(ArgumentTypeError, "must consist of integers", 2.5),
    Fails(ArgumentTypeError, "seed", 2, seed=1.5),
    Fails(ArgumentTypeError, "Generator", 2, generator=3),
    Fails(ArgumentError, "not both", 2, seed=1, generator=Generator.from_key((0, 1))),
]


@primitive("random_normal", samples=_normal_samples, errors=_NORMAL_ERRORS)
def normal(
    shape: Any,
    mean: TensorLike = 0.0,
    stddev: TensorLike = 1.0,
    *,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers ``mean + stddev * z``, z standard normal.

    Gradients flow to `mean` and `stddev`, with z held fixed (the reparameterisation of Kingma and
    Welling, "Auto-Encoding Variational Bayes", 2013).

    Args:
        shape: an integer, a sequence of integers and integer scalar tensors, or an integer vector
            (such as ``mg.shape(x)``).
        mean: of any shape that broadcasts to `shape`.
        stddev: likewise; 0 or more.
        dtype: float16, float32 or float64; the parameters are converted to it.
        seed: decides the numbers, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        A tensor of that shape and dtype.

    Raises:
        ShapeError: a dimension is negative, or a parameter does not broadcast to `shape`.
        DTypeError: another dtype.
        ArgumentError: `stddev` is known to be negative, or both `seed` and `generator` are given.
        ArgumentTypeError: a dimension or the seed is not an integer.

    >>> import minigrad as mg
    >>> mg.random.normal(3, seed=2)
    Tensor([-0.85811085, -0.19662298,  0.13895045], shape=(3,), dtype=float32)
    """
    return _location_scale("normal", philox_normal, shape, mean, stddev, dtype, seed, generator)


@primitive("truncated_normal", samples=_normal_samples, errors=_NORMAL_ERRORS)
def truncated_normal(
    shape: Any,
    mean: TensorLike = 0.0,
    stddev: TensorLike = 1.0,
    *,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers within two standard deviations of the mean; others are drawn again.

    `stddev` is that of the normal distribution before truncation; the numbers' own is 0.88 times
    it. Arguments, errors and gradients are those of `normal`.

    >>> import minigrad as mg
    >>> z = mg.random.truncated_normal(1000, stddev=0.1, seed=1).numpy()
    >>> bool(abs(z).max() < 0.2)
    True
    """
    return _location_scale(
        "truncated_normal", philox_truncated_normal, shape, mean, stddev, dtype, seed, generator
    )


@primitive(
    "random_uniform",
    samples=lambda rng: [
        Sample((2, 3), rng.normal(size=(2, 3)), rng.uniform(4, 5, size=3), dtype="float64", seed=1),
        Sample((2, 3), rng.normal(size=()), 9.0, dtype="float64", seed=2),
        Sample(4, seed=3).named("standard"),
        Sample((), -10, 10, seed=2).named("a scalar"),
        Sample((0, 2), seed=5, dtype="float16").named("empty"),
    ],
    errors=[
        Fails(ArgumentError, "low <= high", (2,), 1.0, 0.0),
        Fails(ArgumentError, "finite", (2,), 0.0, 1e9, dtype="float16"),
        Fails(DTypeError, "float16, float32, float64", (2,), dtype="int32"),
        Fails(ShapeError, "cannot be negative", (2, -1)),
        Fails(ShapeError, "low of shape", (2,), np.zeros(3, np.float32)),
    ],
)
def uniform(
    shape: Any,
    low: TensorLike = 0.0,
    high: TensorLike = 1.0,
    *,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers ``u * (high - low) + low``, u uniform in [0, 1).

    `high` itself does not come, but for rounding. Gradients flow to `low` and `high`, with u held
    fixed.

    Args:
        shape: see `normal`.
        low: of any shape that broadcasts to `shape`.
        high: likewise.
        dtype: float16, float32 or float64; the parameters are converted to it.
        seed: decides the numbers, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        A tensor of that shape and dtype.

    Raises:
        ShapeError: a dimension is negative, or a parameter does not broadcast to `shape`.
        DTypeError: another dtype; `integers` draws integers.
        ArgumentError: ``low > high``, or ``high - low`` is not finite, as far as they are known;
            or both `seed` and `generator` are given.
        ArgumentTypeError: a dimension or the seed is not an integer.

    >>> import minigrad as mg
    >>> mg.random.uniform((), -10, 10, seed=2)
    Tensor(3.574932, shape=(), dtype=float32)
    """
    kind = float_dtype("uniform", dtype)
    dims, static = dims_of(shape)
    start = Parameter("uniform", "low", low, kind, static)
    end = Parameter("uniform", "high", high, kind, static)
    if start.known is not None and end.known is not None:
        _check_range(start.known, end.known)
    key, counter = reserve("uniform", dims, seed=seed, generator=generator)
    draw = philox_uniform(counter, dims, key=key, dtype=kind)
    if is_weak(start.operand) and is_weak(end.operand):
        # Rounded to the dtype before and after the subtraction, as a tensor's would be.
        width = float(end.known - start.known)  # type: ignore[operator]
        draw = draw if width == 1 else draw * width
    else:
        draw = draw * (end.beside(draw) - start.beside(draw))
    return draw if start.is_exactly(0) else draw + start.beside(draw)


def _check_range(low: Array, high: Array) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
    if (width < 0).any():
        raise ArgumentError(
            f"uniform expected low <= high, got low={low.tolist()!r:.60} and "
            f"high={high.tolist()!r:.60}; exchange them"
        )
    if not np.isfinite(width).all():
        raise ArgumentError(
            f"uniform expected high - low to be finite in {low.dtype}, got "
            f"low={low.tolist()!r:.60} and high={high.tolist()!r:.60}; use a wider dtype"
        )

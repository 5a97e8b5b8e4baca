"""Normal noise in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.generator import Generator
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.nn.functional.noise.masks import (
    noise_sizes,
    rate_argument,
    real_operand,
    when_training,
)
from minigrad.ops.basic import astype
from minigrad.ops.elementwise import add, multiply
from minigrad.ops.random_continuous import normal

__all__ = ["gaussian_dropout", "gaussian_noise"]

_X = np.array([[1.0, -2.0, 0.5, 3.0], [0.25, 4.0, -1.0, 2.0]])


@primitive(
    "GaussianDropout",
    samples=lambda rng: [
        Sample(_X, 0.25, seed=1),
        Sample(_X, 0.0),
        Sample(_X, 0.5, training=False),
    ],
    errors=[
        Fails(ArgumentError, "below 1", _X, 1.0),
        Fails(ArgumentError, "between 0 and 1, got -1", _X, -1),
    ],
)
def gaussian_dropout(
    x: TensorLike,
    rate: float,
    *,
    training: Any = True,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """In training, multiplies the elements by normal numbers of mean 1 and variance rate/(1-rate).

    The variance is that of dropout's own factors (Srivastava et al., 2014, section 10; Keras'
    layer of that name).

    Args:
        x: real; integers become float32.
        rate: a number of 0 or more, below 1.
        training: see `dropout`.
        seed: see `dropout`.
        generator: see `dropout`.

    Raises:
        ArgumentError: the rate is not in its range.

    >>> import minigrad.nn as nn
    >>> nn.gaussian_dropout([1.0, 2.0], 0.0).tolist()
    [1.0, 2.0]
    """
    tensor, p = real_operand("gaussian_dropout", x), rate_argument("gaussian_dropout", rate)
    if not isinstance(p, float):
        raise ArgumentTypeError(f"gaussian_dropout: the rate must be a number, got {rate!r}")
    if p == 1:
        raise ArgumentError("gaussian_dropout: the rate must be below 1, got 1.0")
    stddev = (p / (1.0 - p)) ** 0.5
    if not stddev:
        return tensor
    return when_training(
        training,
        lambda: multiply(tensor, _normal(tensor, 1.0, stddev, seed, generator)),
        lambda: tensor,
    )


def _normal(
    x: Tensor, mean: float, stddev: float, seed: int | None, generator: Generator | None
) -> Tensor:
    sizes = noise_sizes("", x, None)
    # Drawn in float32 whatever the dtype of x, so that the numbers do not depend on it.
    return astype(normal(sizes, mean, stddev, seed=seed, generator=generator), x.dtype)


@primitive(
    "GaussianNoise",
    samples=lambda rng: [
        Sample(_X, 0.25, seed=1),
        Sample(_X, 0.0),
        Sample(_X, 0.5, training=False),
    ],
    errors=[Fails(ArgumentError, "stddev must not be negative", _X, -1.0)],
)
def gaussian_noise(
    x: TensorLike,
    stddev: float,
    *,
    training: Any = True,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """In training, adds normal numbers of mean 0.

    Args:
        x: real; integers become float32.
        stddev: their standard deviation, 0 or more.
        training: see `dropout`.
        seed: see `dropout`.
        generator: see `dropout`.

    Raises:
        ArgumentError: `stddev` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> nn.gaussian_noise([1.0, 2.0], 0.5, training=False).tolist()
    [1.0, 2.0]
    """
    tensor, width = (
        real_operand("gaussian_noise", x),
        not_negative(stddev, "gaussian_noise: stddev"),
    )
    if not width:
        return tensor
    return when_training(
        training, lambda: add(tensor, _normal(tensor, 0.0, width, seed, generator)), lambda: tensor
    )

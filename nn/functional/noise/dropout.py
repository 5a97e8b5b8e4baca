"""Dropout of elements, of channels, and for networks of SELUs."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.generator import Generator
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nn.functional.fitting import needs_rank
from minigrad.nn.functional.noise.masks import (
    kept,
    rate_argument,
    real_operand,
    remaining,
    when_training,
)
from minigrad.nn.functional.windows import geometry_argument
from minigrad.ops.basic import astype
from minigrad.ops.elementwise import add, multiply
from minigrad.ops.selection import where
from minigrad.ops.shaping import zeros_like
from minigrad.shapes import show

__all__ = ["alpha_dropout", "dropout", "spatial_dropout"]

#: -λα of SELU: what it tends to far to the left (Klambauer et al.).
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717

_X = np.array([[1.0, -2.0, 0.5, 3.0], [0.25, 4.0, -1.0, 2.0]])
_ERRORS = [
    Fails(ArgumentError, "between 0 and 1, got -0.1", _X, -0.1),
    Fails(ArgumentError, "between 0 and 1, got 1.5", _X, 1.5),
    Fails(ArgumentError, "between 0 and 1, got nan", _X, float("nan")),
    Fails(ArgumentTypeError, "rate must be a number", _X, "half"),
    Fails(ArgumentTypeError, "training must be True, False or", _X, 0.5, training=1),
    Fails(ArgumentTypeError, "training must be", _X, 0.5, training=np.array([True])),
    Fails(DTypeError, "real numbers", _X * 1j, 0.5),
    Fails(ArgumentError, "not both", _X, 0.5, seed=1, generator=Generator.from_key((0, 1))),
]


@primitive(
    "Dropout",
    samples=lambda rng: [
        Sample(_X, 0.5, seed=1),
        Sample(_X, 0.25, seed=2, noise_shape=(2, 1)).named("rows"),
        Sample(_X, np.array(0.75), seed=3).fixed(1).named("the rate is a tensor"),
        Sample(_X, 0.5, training=np.array(True), seed=4).named("training is a tensor"),
        Sample(_X, 0.5, training=np.array(False), seed=4),
        Sample(_X, 0.5, training=False).named("not in training"),
        Sample(_X, 0.0),
        Sample(_X, 1.0),
        Sample(np.array([2.0, 1.0, np.inf, -np.inf]), 0.5, seed=2)
        .expecting([2.0, 2.0, 0.0, 0.0])
        .named("infinite elements can be dropped"),
        Sample(np.zeros((0, 3)), 0.5, seed=5).named("empty"),
        Sample(np.ones(4, np.float16), 0.25, seed=6),
        Sample(np.arange(4), 0.5, seed=7).named("integers"),
    ],
    errors=[
        *_ERRORS,
        Fails(ShapeError, r"noise_shape of .* broadcast", _X, 0.5, noise_shape=(3,)),
        Fails(ShapeError, "does not broadcast", _X[0], 0.5, noise_shape=(2, 4)),
        Fails(ShapeError, "has 1 lengths, and x of", _X, 0.5, noise_shape=(None,)),
    ],
)
def dropout(
    x: TensorLike,
    rate: TensorLike,
    *,
    training: Any = True,
    noise_shape: Any = None,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """In training, sets a fraction of the elements to 0, and divides the others by 1 - rate.

    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014,
    in the inverted form: because of the division the expected value is that of `x`, and outside
    training nothing is done. An element is kept where a uniform float32 in [0, 1) is `rate` or
    more, so that a seed gives the same mask for every dtype, for float32 the one that it gives in
    TensorFlow 1. The `keep_prob` of that is ``1 - rate``. PyTorch's
    `p` is the rate, its seeds give other masks, and it has no `noise_shape` but functions such as
    ``dropout2d``, for which see `spatial_dropout`.

    Args:
        x: real; integers become float32.
        rate: the fraction that is dropped, a number or scalar tensor; 0 changes nothing and 1
            leaves only zeros. No gradient flows to it.
        training: True, False, or a boolean scalar tensor, so that one graph serves both.
        noise_shape: of the mask, which broadcasts to `x`: lengths, where 1 makes the elements
            along an axis share one decision and None stands for the length that `x` has.
        seed: decides the mask, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ArgumentError: the rate does not lie between 0 and 1 (where it is fed, the run raises); or
            both `seed` and `generator` are given.
        ArgumentTypeError: the rate is no number, or `training` no boolean.
        ShapeError: `noise_shape` does not broadcast to the shape of `x`.
        DTypeError: `x` is not real.

    >>> import minigrad.nn as nn
    >>> nn.dropout([1.0, 2.0, 3.0, 4.0], 0.5, seed=2).tolist()
    [2.0, 4.0, 0.0, 0.0]
    >>> nn.dropout([1.0, 2.0], 0.5, training=False).tolist()
    [1.0, 2.0]
    """
    return _dropout("dropout", x, rate, training, noise_shape, seed, generator)


def _dropout(
    what: str,
    x: TensorLike,
    rate: Any,
    training: Any,
    noise_shape: Any,
    seed: int | None,
    generator: Generator | None,
) -> Tensor:
    tensor, p = real_operand(what, x), rate_argument(what, rate)

    def dropped() -> Tensor:
        if isinstance(p, float) and p in (0.0, 1.0):
            return zeros_like(tensor) if p else tensor
        keep = kept(what, tensor, p, noise_shape, seed, generator)
        # Chosen rather than multiplied: 0 times infinity would be NaN.
        return where(keep, multiply(tensor, 1.0 / remaining(p, tensor.dtype)), 0.0)

    return when_training(training, dropped, lambda: tensor)


@primitive(
    "SpatialDropout",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2, 3)), 0.5, seed=1),
        Sample(rng.normal(size=(1, 4, 2)), 0.5, seed=2, data_format="NCW"),
        Sample(rng.normal(size=(1, 2, 2, 2)), 0.25, seed=3, data_format="NHWC"),
        Sample(rng.normal(size=(1, 2, 3)), 0.25, training=False),
    ],
    errors=[
        Fails(ArgumentError, "between 0 and 1, got 2", _X, 2),
        Fails(ArgumentError, "data_format must be one of", _X, 0.5, data_format="CHW"),
        Fails(ShapeError, r"NHWC.*shape \(2, 4\)", _X, 0.5, data_format="NHWC"),
        Fails(ShapeError, "at least 2", _X[0], 0.5),
    ],
)
def spatial_dropout(
    x: TensorLike,
    rate: TensorLike,
    *,
    training: Any = True,
    data_format: str | None = None,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout of whole channels: all positions of one share the decision.

    Tompson et al., "Efficient Object Localization Using Convolutional Networks", 2015 (Keras'
    `SpatialDropout2D`, PyTorch's `dropout2d`). Neighbouring positions say nearly the same, so that
    dropping them one by one would regularise little.

    Args:
        x: real, of shape ``(examples, *positions, channels)``, or as `data_format` says.
        rate: the fraction of the channels that is dropped; see `dropout`.
        training: see `dropout`.
        data_format: ``"NWC"``, ``"NHWC"``, ``"NDHWC"`` or ``"NCW"``, ``"NCHW"``, ``"NCDHW"``; by
            default the channels are last, whatever the rank.
        seed: see `dropout`.
        generator: see `dropout`.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: the rank is not that of the format, or not known while the graph is built.
        ArgumentError: there is no such format; and as for `dropout`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.spatial_dropout(mg.ones((1, 2, 4)), 0.5, seed=2).tolist()
    [[[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]]
    """
    what, tensor = "spatial_dropout", tensor_of(x)
    if tensor.shape is None:
        raise needs_rank(what)
    rank = len(tensor.shape)
    channels, wanted = -1, rank
    if data_format is not None:
        layout = geometry_argument(None, 1, "VALID", 1, data_format)
        channels, wanted = (-1 if layout.channels_last else 1), layout.rank + 2
    if rank != wanted or rank < 2:
        raise ShapeError(
            f"{what}: expected x of rank {'at least 2' if data_format is None else wanted} "
            f"({data_format or 'examples, positions, channels'}), got shape {show(tensor.shape)}"
        )
    noise: list[int | None] = [1] * rank
    noise[0] = noise[channels] = None
    return _dropout(what, tensor, rate, training, noise, seed, generator)


@primitive(
    "AlphaDropout",
    samples=lambda rng: [
        Sample(_X, 0.5, seed=1),
        Sample(_X, np.array(0.25), seed=2).fixed(1).named("the rate is a tensor"),
        Sample(_X, 0.0),
        Sample(_X, 1.0),
        Sample(_X, 0.5, training=False),
    ],
    errors=_ERRORS,
)
def alpha_dropout(
    x: TensorLike,
    rate: TensorLike,
    *,
    training: Any = True,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks of SELUs.

    Klambauer et al., "Self-Normalizing Neural Networks", 2017: dropped elements get α' = -1.758,
    the value that SELU tends to on the left, and ``a * x + b`` then restores mean and variance,
    with ``a = (q + α'² q (1 - q))**-0.5``, ``b = -a (1 - q) α'`` and ``q = 1 - rate``.

    Args:
        x: real; integers become float32.
        rate: the fraction that is dropped; 1 leaves only zeros. See `dropout`.
        training: see `dropout`.
        seed: see `dropout`.
        generator: see `dropout`.

    Raises:
        ArgumentError: the rate does not lie between 0 and 1.

    >>> import minigrad.nn as nn
    >>> [round(v, 4) for v in nn.alpha_dropout([1.0, 2.0, 3.0, 4.0], 0.5, seed=2).tolist()]
    [1.6656, 2.552, -0.7792, -0.7792]
    """
    tensor, p = real_operand("alpha_dropout", x), rate_argument("alpha_dropout", rate)

    def dropped() -> Tensor:
        if isinstance(p, float) and p in (0.0, 1.0):
            return zeros_like(tensor) if p else tensor
        keep = kept("alpha_dropout", tensor, p, None, seed, generator)
        q = remaining(p, tensor.dtype)
        a = (q + _SELU_FLOOR**2 * q * (1.0 - q)) ** -0.5
        # At rate 1 there is only the floor, and nothing is left of it: a · α' (1 - rate).
        lost = p if isinstance(p, float) else astype(p, tensor.dtype)
        return add(multiply(where(keep, tensor, _SELU_FLOOR), a), a * lost * -_SELU_FLOOR)

    return when_training(training, dropped, lambda: tensor)

"""Batch normalisation: with the statistics of the batch, and with given ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import float32
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.namespace import result_type
from minigrad.nn.functional.arguments import not_negative
from minigrad.nn.functional.fitting import along_axes, needs_rank
from minigrad.nn.functional.normalization.layers import scale_and_shift
from minigrad.nn.functional.normalization.standardizing import standardize
from minigrad.ops.basic import astype
from minigrad.ops.broadcasting import squeeze
from minigrad.ops.elementwise import add, multiply, subtract
from minigrad.ops.powers import rsqrt
from minigrad.shapes import axis_argument_int, normalize_axis, show

__all__ = ["BatchNormalized", "batch_norm", "batch_norm_training"]


class BatchNormalized(NamedTuple):
    """What `batch_norm_training` returns: the result, and the statistics of the batch.

    >>> import minigrad.nn as nn
    >>> made = nn.batch_norm_training([[1.0], [3.0]], epsilon=0.0)
    >>> made.y.tolist(), made.mean.tolist(), made.variance.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """

    y: Tensor
    mean: Tensor
    variance: Tensor


_X = np.ones((2, 3))
_BAD = [
    Fails(ShapeError, "out of range", _X, axis=2),
    Fails(ShapeError, "scale of shape .4,. does not fit", _X, np.ones(4)),
    Fails(ShapeError, "shift must have a dimension", _X, None, np.ones((1, 3))),
    Fails(ArgumentError, "epsilon must not be negative", _X, epsilon=-1.0),
]


@primitive(
    "BatchNormTraining",
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 2)), rng.normal(size=2), rng.normal(size=2)),
        Sample(rng.normal(size=(3, 2, 2)), rng.normal(size=2), rng.normal(size=2), axis=1),
        Sample(rng.normal(size=(2, 1, 3, 1)), None, rng.normal(size=1), epsilon=0.1),
        Sample(rng.normal(size=(3, 2))).named("neither scale nor shift"),
        Sample(np.array([[2.0, 3.0]]), np.array([5.0, 7.0]), np.array([0.5, 0.25]))
        .expecting([[1.0, 1.0]], [0.0, 0.0], [1.0, 1.0])
        .named("one example: the result is the shift, only the mean depends on it"),
        Sample(np.array([[1.0, 2.0], [5.0, 2.0]], np.float16), np.ones(2, np.float16)),
        Sample(np.array([[1, 2], [5, 2]])).named("integers"),
    ],
    errors=[*_BAD, Fails(ShapeError, r"\(3,\) has channels only", np.ones(3))],
)
def batch_norm_training(
    x: TensorLike,
    scale: TensorLike | None = None,
    shift: TensorLike | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> BatchNormalized:
    """Each channel brought to mean 0 and variance 1 over the batch; then scaled and shifted.

    ``(x - mean) / sqrt(variance + epsilon) * scale + shift`` with the biased variance (Ioffe,
    Szegedy, "Batch Normalization", 2015). The statistics that it returns are for the averages
    which stand in for them outside training; gradients flow through them too.

    Args:
        x: a real tensor of shape ``(examples, *positions, channels)``, or with its channels along
            another axis; the statistics are taken over all others.
        scale: the paper's γ, a number for each channel.
        shift: the paper's β, likewise.
        axis: where the channels are: -1 by default; 1 for PyTorch's layout.
        epsilon: added to the variance (1e-3 by default in Keras).

    Returns:
        A named tuple: `y` of the shape of `x`; `mean` and the biased `variance`, of shape
        ``(channels,)``, in float32 where `x` is float16. (PyTorch averages the unbiased one.) Of
        one example y is the shift; of none the statistics are NaN.

    Raises:
        ShapeError: the axis is out of range, or the only one; `scale` or `shift` is no vector of
            as many channels; or the rank is not known while the graph is built.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> y, mean, variance = nn.batch_norm_training([[1.0, 5.0], [3.0, 9.0]], epsilon=0.0)
    >>> y.tolist(), mean.tolist(), variance.tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [2.0, 7.0], [1.0, 4.0])
    """
    tensor, channel = tensor_of(x), axis_argument_int(axis)
    not_negative(epsilon, "batch_norm_training: epsilon")
    if tensor.shape is None:
        raise needs_rank("batch_norm_training")
    place = normalize_axis(channel, len(tensor.shape))
    others = tuple([i for i in range(len(tensor.shape)) if i != place])
    if not others:
        raise ShapeError(
            f"batch_norm_training: x of shape {show(tensor.shape)} has channels only; it needs an "
            "axis of examples too, to take statistics over"
        )
    y, mean, variance = standardize(tensor, axis=others, epsilon=epsilon)
    y = scale_and_shift("batch_norm_training", y, scale, shift, place)
    return BatchNormalized(y, squeeze(mean, others), squeeze(variance, others))


@primitive(
    "BatchNorm",
    samples=lambda rng: [
        Sample(
            rng.normal(size=(3, 2)),
            rng.normal(size=2),
            rng.uniform(0.5, 2.0, size=2),
            rng.normal(size=2),
            rng.normal(size=2),
        ),
        Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=2), np.array([0.5, 2.0]), axis=1),
        Sample(
            rng.normal(size=(0, 2)), np.zeros(2), np.ones(2), None, rng.normal(size=2), epsilon=0.1
        ).named("empty"),
        Sample(np.ones((1, 2), np.float16), np.zeros(2, np.float32), np.ones(2, np.float32)),
        Sample(np.array([[1, 2]]), np.zeros(2, np.float32), np.ones(2, np.float32)),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones((2, 3)), np.ones(3), np.ones(3), axis=2),
        Fails(
            ShapeError, "mean of shape .2,. does not fit", np.ones((2, 3)), np.ones(2), np.ones(3)
        ),
        Fails(ShapeError, "variance must have a dimension", np.ones((2, 3)), np.ones(3), 1.0),
        Fails(ShapeError, "scale of", np.ones((2, 3)), np.ones(3), np.ones(3), np.ones(4)),
        Fails(
            ArgumentError,
            "epsilon must not be negative",
            np.ones((2, 3)),
            np.ones(3),
            np.ones(3),
            epsilon=-1,
        ),
        Fails(DTypeError, "real", np.ones((2, 3)) * 1j, np.ones(3), np.ones(3)),
    ],
)
def batch_norm(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    scale: TensorLike | None = None,
    shift: TensorLike | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Channels normalised with given statistics, as batch normalisation does outside training.

    ``(x - mean) / sqrt(variance + epsilon) * scale + shift``; see `batch_norm_training`.
    PyTorch's function has the channels along axis 1 and the same default epsilon; TensorFlow's
    ``tf.nn.batch_normalization`` has no default for it, Keras' layer has 1e-3.

    Args:
        x: a real tensor; integers become float32.
        mean: a number for each channel: usually an average of the means of batches.
        variance: likewise, 0 or more.
        scale: likewise, γ.
        shift: likewise, β.
        axis: where the channels are: -1 by default; 1 for PyTorch's layout.
        epsilon: added to the variance.

    Returns:
        A tensor of the shape of `x`, of the common dtype of `x`, `scale` and `shift`; the
        statistics, float32 beside float16, do not change it.

    Raises:
        ShapeError: the axis is out of range, or a parameter is no vector of as many channels.
        DTypeError: `x` is not real.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> nn.batch_norm([[1.0, 5.0]], [0.0, 1.0], [1.0, 4.0], epsilon=0.0).tolist()
    [[1.0, 2.0]]
    """
    what, channel = "batch_norm", axis_argument_int(axis)
    least = not_negative(epsilon, "batch_norm: epsilon")
    tensor = tensor_of(x)
    if not tensor.dtype.is_floating:
        if not (tensor.dtype.is_integer or tensor.dtype.is_bool):
            raise DTypeError(f"batch_norm takes real numbers, got x of dtype {tensor.dtype}")
        tensor = astype(tensor, float32)
    # One factor for each channel, so that x is passed over as seldom as possible.
    factor = rsqrt(add(along_axes(what, "variance", variance, tensor, channel), least))
    kinds = [tensor.dtype]
    if scale is not None:
        along = along_axes(what, "scale", scale, tensor, channel)
        factor, kinds = multiply(factor, along), [*kinds, along.dtype]
    y = multiply(subtract(tensor, along_axes(what, "mean", mean, tensor, channel)), factor)
    return scale_and_shift(what, astype(y, result_type(*kinds)), None, shift, channel)

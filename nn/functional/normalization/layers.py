"""Layer, RMS, group and instance normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.nn.functional.fitting import along_axes, needs_rank
from minigrad.nn.functional.normalization.standardizing import mean_square_normalize, standardize
from minigrad.nn.functional.sizes import sizes_of
from minigrad.ops.elementwise import add, divide, multiply
from minigrad.ops.linalg.norms import vector_norm
from minigrad.ops.manipulation import reshape
from minigrad.ops.reducing import BAD_AXES
from minigrad.ops.selection import maximum
from minigrad.ops.shaping import reshape_like
from minigrad.ops.sizes import size_argument
from minigrad.shapes import axis_argument, axis_argument_int, normalize_axis, show

__all__ = ["group_norm", "instance_norm", "l2_normalize", "layer_norm", "rms_norm"]


def scale_and_shift(
    what: str, y: Tensor, scale: TensorLike | None, shift: TensorLike | None, axis: Any
) -> Tensor:
    """y · scale + shift, where either may be missing; they have a dimension for each axis."""
    if scale is not None:
        y = multiply(y, along_axes(what, "scale", scale, y, axis))
    if shift is not None:
        y = add(y, along_axes(what, "shift", shift, y, axis))
    return y


_X = np.array([[1.0, 2.0, 4.0], [0.5, -1.0, 2.0]])
_AFFINE_ERRORS = [
    Fails(ShapeError, "scale of shape .4,. does not fit", np.ones((2, 3)), np.ones(4)),
    Fails(ShapeError, "shift must have a dimension for", np.ones((2, 3)), None, np.ones((1, 3))),
    Fails(ArgumentError, "epsilon must not be negative", np.ones((2, 3)), epsilon=-1.0),
]


@primitive(
    "LayerNorm",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=3)),
        Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 3)), axis=(-1, -2)),
        Sample(rng.normal(size=(2, 3, 2)), rng.normal(size=3), rng.normal(size=3), axis=1),
        Sample(rng.normal(size=(2, 3)), None, rng.normal(size=3), epsilon=0.1),
        Sample(rng.normal(size=(2, 3))).named("neither scale nor shift"),
        Sample(rng.normal(size=(0, 3)), rng.normal(size=3), rng.normal(size=3)).named("empty"),
        Sample(_X.astype(np.float16), np.ones(3, np.float16)),
        Sample(np.array([[1, 2, 4]])).named("integers"),
    ],
    errors=[*BAD_AXES, *_AFFINE_ERRORS],
)
def layer_norm(
    x: TensorLike,
    scale: TensorLike | None = None,
    shift: TensorLike | None = None,
    *,
    axis: Any = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Each example brought to mean 0 and variance 1 along axes, then scaled and shifted.

    ``(x - mean) / sqrt(variance + epsilon) * scale + shift`` with the biased variance (Ba, Kiros,
    Hinton, "Layer Normalization", 2016; the same as PyTorch's and Keras', whose epsilon is 1e-3).

    Args:
        x: a real tensor; integers become float32.
        scale: what the paper calls g and others γ, of the shape that `x` has along `axis`.
        shift: likewise, b or β.
        axis: the axis, or axes together, that are normalised; by default the last.
        epsilon: added to the variance.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: an axis is out of range, or `scale` or `shift` has another shape.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> nn.layer_norm([[1.0, 3.0]], [1.0, 10.0], epsilon=0.0).tolist()
    [[-1.0, 10.0]]
    """
    over = axis_argument(axis)
    y = standardize(x, axis=over, epsilon=not_negative(epsilon, "layer_norm: epsilon")).y
    return scale_and_shift("layer_norm", y, scale, shift, over)


@primitive(
    "RMSNorm",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3)),
        Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 3)), axis=(-2, -1)),
        Sample(rng.normal(size=(2, 3, 2)), rng.normal(size=3), axis=1, epsilon=0.1),
        Sample(rng.normal(size=(2, 3))).named("no scale"),
        Sample(_X.astype(np.float16), np.ones(3, np.float16)),
    ],
    errors=[
        *BAD_AXES,
        Fails(ShapeError, "scale of shape .4,. does not fit", np.ones((2, 3)), np.ones(4)),
        Fails(ArgumentError, "epsilon must not be negative", np.ones((2, 3)), epsilon=-1.0),
    ],
)
def rms_norm(
    x: TensorLike, scale: TensorLike | None = None, *, axis: Any = -1, epsilon: float = 1e-5
) -> Tensor:
    """Each example divided by its root mean square along axes: x / sqrt(mean(x²) + ε) · scale.

    Zhang, Sennrich, "Root Mean Square Layer Normalization", 2019. PyTorch's default epsilon is
    the dtype's; it is added inside the root there too, as in Keras' ``RMSNormalization``,
    whose default is 1e-6.

    Args:
        x: a real tensor; integers become float32.
        scale: of the shape that `x` has along `axis`.
        axis: the axis, or axes together, that are normalised; by default the last.
        epsilon: added to the mean square.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: an axis is out of range, or `scale` has another shape.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> [round(v, 4) for v in nn.rms_norm([1.0, 7.0], epsilon=0.0).tolist()]
    [0.2, 1.4]
    """
    over = axis_argument(axis)
    y = mean_square_normalize(x, axis=over, epsilon=not_negative(epsilon, "rms_norm: epsilon")).y
    return scale_and_shift("rms_norm", y, scale, None, over)


def _channel(what: str, x: Tensor, axis: Any) -> tuple[int, int]:
    """The rank, and the channel axis counted from the front; axis 0 holds the examples."""
    wanted = axis_argument_int(axis)
    if x.shape is None:
        raise needs_rank(what)
    rank = len(x.shape)
    place = normalize_axis(wanted, rank, what=f"{what}: axis")
    if place == 0:
        raise ShapeError(
            f"{what}: x of shape {show(x.shape)} has its channels along axis {wanted}, which is "
            "axis 0 and holds the examples; give x a leading dimension for them"
        )
    return rank, place


@primitive(
    "GroupNorm",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2, 4)), 2, rng.normal(size=4), rng.normal(size=4)),
        Sample(rng.normal(size=(2, 4, 2)), 2, rng.normal(size=4), rng.normal(size=4), axis=1),
        Sample(rng.normal(size=(2, 4)), 2).named("no positions"),
        Sample(rng.normal(size=(1, 2, 2)), 1, None, rng.normal(size=2)).named("one group"),
        Sample(rng.normal(size=(0, 4)), 2, rng.normal(size=4)).named("empty"),
        Sample(np.array([[1.0, 2.0]]), 2, np.array([3.0, 4.0]), np.array([0.5, 0.25]))
        .expecting([[0.0, 0.0]], [0.0, 0.0], [1.0, 1.0])
        .named("groups of one element: the result is the shift"),
    ],
    errors=[
        Fails(ShapeError, "4 channels.* cannot be divided into 3", np.ones((2, 4)), 3),
        Fails(ArgumentError, "groups must be at least 1, got 0", np.ones((2, 4)), 0),
        Fails(ArgumentTypeError, "groups must", np.ones((2, 4)), 1.5),
        Fails(ShapeError, "holds the examples", np.ones((2, 4)), 2, axis=0),
        Fails(ShapeError, "out of range", np.ones((2, 4)), 2, axis=2),
        Fails(ShapeError, "scale of shape .3,. does not fit", np.ones((2, 4)), 2, np.ones(3)),
        Fails(ArgumentError, "epsilon must not be negative", np.ones((2, 4)), 2, epsilon=-1.0),
    ],
)
def group_norm(
    x: TensorLike,
    groups: int,
    scale: TensorLike | None = None,
    shift: TensorLike | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Groups of channels of each example brought to mean 0, variance 1; then scale and shift.

    Wu, He, "Group Normalization", 2018. Channels that follow each other make a group, as in
    PyTorch and Keras.

    Args:
        x: a real tensor of shape ``(examples, *positions, channels)``, or with its channels
            along another axis but the first.
        groups: how many groups of equal size the channels are divided into; 1 is layer
            normalisation over all but the examples, the number of channels `instance_norm`.
        scale: a number for each channel.
        shift: likewise.
        axis: where the channels are: -1 by default; 1 for PyTorch's layout.
        epsilon: added to the variance.

    Returns:
        A tensor of the shape of `x`. A group of one element gives 0 (then the shift).

    Raises:
        ShapeError: the channels cannot be divided so, `scale` or `shift` has another shape, or
            the rank or number of channels is not known while the graph is built.
        ArgumentError: `groups` is less than 1, or `epsilon` negative or not finite.

    >>> import minigrad.nn as nn
    >>> nn.group_norm([[1.0, 3.0, 10.0, 30.0]], 2, epsilon=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    tensor, count = tensor_of(x), size_argument(groups, "group_norm: groups")
    not_negative(epsilon, "group_norm: epsilon")
    if count < 1:
        raise ArgumentError(f"group_norm: groups must be at least 1, got {count}")
    rank, place = _channel("group_norm", tensor, axis)
    channels = (tensor.shape or ())[place]
    if channels is None:
        raise ShapeError(
            f"group_norm: the number of channels, axis {axis} of {show(tensor.shape)}, must be "
            "known while the graph is built; state it with mg.ensure_shape"
        )
    if channels % count:
        raise ShapeError(
            f"group_norm: {channels} channels, of x of shape {show(tensor.shape)}, cannot be "
            f"divided into {count} groups of equal size"
        )
    lengths = sizes_of(tensor)
    apart = reshape(tensor, [*lengths[:place], count, channels // count, *lengths[place + 1 :]])
    over = tuple([i for i in range(1, rank + 1) if i != place])
    y = reshape_like(standardize(apart, axis=over, epsilon=epsilon).y, tensor)
    return scale_and_shift("group_norm", y, scale, shift, place)


@primitive(
    "InstanceNorm",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3, 2)), rng.normal(size=2), rng.normal(size=2)),
        Sample(rng.normal(size=(1, 2, 2, 2)), rng.normal(size=2), axis=1),
        Sample(rng.normal(size=(1, 3, 1)), epsilon=0.1),
        Sample(np.array([[1.0, 2.0]]), None, np.array([0.5, 0.25]))
        .expecting([[0.0, 0.0]], [1.0, 1.0])
        .named("no positions: the result is the shift"),
    ],
    errors=[
        Fails(ShapeError, "holds the examples", np.ones((2, 3, 4)), axis=-3),
        Fails(ShapeError, "out of range", np.ones((2, 4)), axis=2),
        Fails(ShapeError, "scale of shape .3,. does not fit", np.ones((2, 3, 4)), np.ones(3)),
        Fails(ArgumentError, "epsilon must not be negative", np.ones((2, 4)), epsilon=-1.0),
    ],
)
def instance_norm(
    x: TensorLike,
    scale: TensorLike | None = None,
    shift: TensorLike | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """Each channel of each example brought to mean 0, variance 1; then scaled and shifted.

    Ulyanov, Vedaldi, Lempitsky, "Instance Normalization", 2016. PyTorch's can also
    normalise with running averages, which this has none of; Keras spells it
    ``GroupNormalization(groups=-1)``, whose default epsilon is 1e-3.

    Args:
        x: a real tensor of shape ``(examples, *positions, channels)``, or with its channels
            along another axis but the first.
        scale: a number for each channel.
        shift: likewise.
        axis: where the channels are: -1 by default; 1 for PyTorch's layout.
        epsilon: added to the variance.

    Returns:
        A tensor of the shape of `x`. Where there is one position, or none, the normalised value
        is 0 (PyTorch refuses that).

    Raises:
        ShapeError: `scale` or `shift` has another shape, or the rank is not known while the graph
            is built.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> nn.instance_norm([[[1.0, 30.0], [3.0, 10.0]]], epsilon=0.0).tolist()
    [[[-1.0, 1.0], [1.0, -1.0]]]
    """
    tensor = tensor_of(x)
    rank, place = _channel("instance_norm", tensor, axis)
    over = tuple([i for i in range(1, rank) if i != place])
    y = standardize(tensor, axis=over, epsilon=not_negative(epsilon, "instance_norm: epsilon")).y
    return scale_and_shift("instance_norm", y, scale, shift, place)


@primitive(
    "L2Normalize",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 2, 2)), axis=(0, -1)),
        Sample(rng.normal(size=(2, 3)), axis=None),
        Sample(rng.normal(size=(2, 3)), epsilon=100.0).named("short vectors"),
        Sample(np.zeros(2), epsilon=0.25).expecting([2.0, 2.0]).named("the zero vector"),
        Sample(np.array([3, 4])).named("integers"),
        Sample(np.zeros((0, 3))).named("empty"),
    ],
    errors=[
        *BAD_AXES,
        Fails(ArgumentError, "epsilon must not be negative", np.ones(2), epsilon=-1.0),
    ],
)
def l2_normalize(x: TensorLike, /, *, axis: Any = -1, epsilon: float = 1e-12) -> Tensor:
    """Vectors along axes divided by their Euclidean length: x / sqrt(max(sum(x²), epsilon)).

    TensorFlow's formula. In PyTorch's `normalize`, epsilon bounds the length itself, not its
    square.

    Args:
        x: a real tensor; integers become float32.
        axis: the axis, or axes together, that make up a vector; None for all.
        epsilon: the square of the length below which vectors are not brought to length 1.

    Returns:
        A tensor of the shape of `x`; the zero vector stays 0.

    Raises:
        ShapeError: an axis is out of range or repeated.
        ArgumentError: `epsilon` is negative or not finite.

    >>> import minigrad.nn as nn
    >>> [round(v, 4) for v in nn.l2_normalize([3.0, 4.0]).tolist()]
    [0.6, 0.8]
    """
    least = not_negative(epsilon, "l2_normalize: epsilon") ** 0.5
    length = vector_norm(x, axis=axis_argument(axis), keepdims=True)
    return divide(x, maximum(length, least))

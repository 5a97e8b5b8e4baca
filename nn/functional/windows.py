"""Where windows lie: what convolutions and pooling share about strides, padding and sizes.

Along one axis of length n, window number i covers the places ``i * stride + j * dilation - before``
for j below the window's size. Places outside ``[0, n)`` are padding.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.core.tensor import Array
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.shapes import Dim, Shape, show

__all__: list[str] = []

Ints: TypeAlias = "tuple[int, ...]"
#: As an attribute: "SAME", "VALID", or a pair (before, after) for each spatial axis.
Padding: TypeAlias = "str | tuple[tuple[int, int], ...]"
#: As users give them: one for all axes, or one an axis.
IntOrInts: TypeAlias = "int | Sequence[int]"
PaddingLike: TypeAlias = "str | int | Sequence[int | tuple[int, int]]"

#: By number of spatial axes: channels last, channels first.
FORMATS = {1: ("NWC", "NCW"), 2: ("NHWC", "NCHW"), 3: ("NDHWC", "NCDHW")}
_RANKS = {name: rank for rank, names in FORMATS.items() for name in names}


class Geometry(NamedTuple):
    """How windows lie, as normalised attributes; whatever the sizes are."""

    stride: Ints
    padding: Padding
    dilation: Ints
    data_format: str

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return _RANKS[self.data_format]

    @property
    def channels_last(self) -> bool:
        """Whether the channels are the last axis, rather than the second."""
        return self.data_format.endswith("C")

    @property
    def spatial_axes(self) -> Ints:
        """The axes over which windows slide."""
        return tuple(range(1, self.rank + 1) if self.channels_last else range(2, self.rank + 2))

    def split(self, shape: Sequence[Any]) -> tuple[Any, tuple[Any, ...], Any]:
        """A shape as batch, spatial sizes and channels."""
        if self.channels_last:
            return shape[0], tuple(shape[1:-1]), shape[-1]
        return shape[0], tuple(shape[2:]), shape[1]

    def join(self, batch: Any, sizes: Iterable[Any], channels: Any) -> tuple[Any, ...]:
        """The shape of a batch, spatial sizes and channels."""
        return (batch, *sizes, channels) if self.channels_last else (batch, channels, *sizes)


# -- arguments --------------------------------------------------------------------------------


def geometry_argument(
    rank: int | None, stride: Any, padding: Any, dilation: Any, data_format: Any
) -> Geometry:
    """Attributes from what a user gives; `rank` None takes the rank from the data format.

    Raises:
        ArgumentError: an unknown data format or padding, a stride or dilation below 1, a number
            of values that is not that of the axes.
        ArgumentTypeError: a value that is no integer.
    """
    known = list(_RANKS) if rank is None else list(FORMATS[rank])
    if data_format not in known:
        raise ArgumentError(
            f"data_format must be one of {', '.join(map(repr, known))}, got {data_format!r}"
        )
    rank = _RANKS[data_format]
    return Geometry(
        per_axis(stride, rank, "stride"),
        padding_argument(padding, rank),
        per_axis(dilation, rank, "dilation"),
        data_format,
    )


def per_axis(value: Any, rank: int, what: str, least: int = 1) -> Ints:
    """One integer an axis, from one integer or one an axis.

    >>> per_axis(2, 3, "stride")
    (2, 2, 2)
    """
    given = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    try:
        made = tuple(operator.index(v) for v in given)
    except TypeError as error:
        raise ArgumentTypeError(
            f"{what} must be an integer or one for each of the {rank} spatial axes, got {value!r}"
        ) from error
    if len(made) == 1:
        made *= rank
    if len(made) != rank:
        raise ArgumentError(
            f"{what} has {len(made)} values, but there are {rank} spatial axes; got {value!r}"
        )
    if any(v < least for v in made):
        raise ArgumentError(f"{what} must be at least {least}, got {value!r}")
    return made


def padding_argument(padding: Any, rank: int) -> Padding:
    """The attribute from a name, an int, or an int or pair an axis.

    >>> padding_argument(1, 2), padding_argument([(0, 1), 2], 2), padding_argument("same", 2)
    (((1, 1), (1, 1)), ((0, 1), (2, 2)), 'SAME')
    """
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise ArgumentError(
                f"padding must be 'SAME', 'VALID', an integer, or an integer or pair "
                f"(before, after) for each spatial axis, got {padding!r}"
            )
        return padding.upper()
    items = list(padding) if isinstance(padding, Iterable) else [padding] * rank
    if len(items) != rank:
        raise ArgumentError(
            f"padding has {len(items)} entries, but there are {rank} spatial axes; give one "
            f"integer or one pair (before, after) for each, got {padding!r}"
        )
    pairs = [per_axis(item, 2, "padding of an axis", least=0) for item in items]
    return tuple((before, after) for before, after in pairs)


def groups_argument(groups: Any) -> int | None:
    """The attribute: a number of groups, or None for one a channel."""
    return None if groups is None else group_count(groups)


def group_count(groups: Any) -> int:
    """A number of groups, of at least 1."""
    try:
        made = operator.index(groups)
    except TypeError as error:
        raise ArgumentTypeError(f"groups must be an integer, got {groups!r}") from error
    if made < 1:
        raise ArgumentError(f"groups must be at least 1, got {made}")
    return made


def convolution_attributes(
    stride: Any, padding: Any, dilation: Any, groups: Any, data_format: Any
) -> dict[str, Any]:
    """The attributes that the primitives of convolution share."""
    geometry = geometry_argument(None, stride, padding, dilation, data_format)
    return {**geometry._asdict(), "groups": groups_argument(groups)}


def check_output_padding(extra: Ints, attrs: dict[str, Any], output_shape: Any) -> None:
    """Raise `ArgumentError` where `output_padding` is too large, or does not count."""
    if output_shape is not None:
        raise ArgumentError("output_padding and output_shape both set the size; not both")
    if attrs["padding"] == "SAME":
        raise ArgumentError(
            "padding='SAME' gives stride times the size, without output_padding; for another "
            "size use output_shape"
        )
    if any(e >= s for e, s in zip(extra, attrs["stride"], strict=True)):
        raise ArgumentError(
            f"output_padding must be below the stride, got {extra} and {attrs['stride']}"
        )


# -- sizes along one axis ---------------------------------------------------------------------


def extent(window: int, dilation: int) -> int:
    """From the first to the last place of a window, both included."""
    return (window - 1) * dilation + 1


def axis_padding(
    size: int, window: int, stride: int, dilation: int, padding: str | tuple[int, int]
) -> tuple[int, int]:
    """How much padding is before and after; "SAME" by TensorFlow's rule, the odd one at the end.

    >>> axis_padding(5, 2, 2, 1, "SAME"), axis_padding(5, 4, 1, 1, "SAME")
    ((0, 1), (1, 2))
    """
    if padding == "VALID":
        return 0, 0
    if isinstance(padding, tuple):
        return padding
    total = max((-(-size // stride) - 1) * stride + extent(window, dilation) - size, 0)
    return total // 2, total - total // 2


def axis_places(
    size: Dim, window: Dim, stride: int, dilation: int, padding: str | tuple[int, int]
) -> Dim:
    """How many windows fit an axis; None where it is not known. Raises `ShapeError` for none.

    >>> axis_places(5, 2, 2, 1, "SAME"), axis_places(5, 2, 2, 1, "VALID")
    (3, 2)
    """
    if window == 0:
        raise ShapeError("a window needs at least one element along each axis, got 0")
    if size is None:
        return None
    if padding == "SAME":
        return -(-size // stride)
    if window is None:
        return None
    before, after = padding if isinstance(padding, tuple) else (0, 0)
    room = size + before + after - extent(window, dilation)
    if room < 0:
        dilated = f", {extent(window, dilation)} with dilation {dilation}" if dilation > 1 else ""
        padded = f", {size + before + after} with padding" if before + after else ""
        raise ShapeError(
            f"a window of {window}{dilated} does not fit an axis of length {size}{padded}; "
            "use a smaller window, or more padding (padding='SAME')"
        )
    return room // stride + 1


def places(sizes: Sequence[Dim], window: Sequence[Dim], geometry: Geometry) -> tuple[Dim, ...]:
    """How many windows fit each spatial axis."""
    return tuple(
        axis_places(n, k, s, d, p)
        for n, k, s, d, p in zip(
            sizes, window, geometry.stride, geometry.dilation, _each(geometry), strict=True
        )
    )


def _each(geometry: Geometry) -> tuple[str | tuple[int, int], ...]:
    """The padding of each axis."""
    padding = geometry.padding
    return (padding,) * geometry.rank if isinstance(padding, str) else padding


def require_rank(shape: Shape, geometry: Geometry, what: str = "x") -> None:
    """Raise `ShapeError` unless a tensor could have this data format."""
    if shape is not None and len(shape) != geometry.rank + 2:
        raise ShapeError(
            f"{what} of data format {geometry.data_format} must have rank {geometry.rank + 2}, "
            f"got shape {show(shape)}"
        )


# -- windows over arrays of known sizes -------------------------------------------------------


class Windows(NamedTuple):
    """Windows over spatial axes of known sizes."""

    sizes: Ints
    window: Ints
    stride: Ints
    dilation: Ints
    #: (before, after) for each axis.
    padding: tuple[tuple[int, int], ...]
    #: How many windows fit each axis.
    places: Ints

    @property
    def padded(self) -> Ints:
        """The sizes with padding."""
        return tuple(n + b + a for n, (b, a) in zip(self.sizes, self.padding, strict=True))

    @property
    def inside(self) -> tuple[slice, ...]:
        """The part of the padded axes that is not padding."""
        return tuple(slice(b, b + n) for n, (b, _) in zip(self.sizes, self.padding, strict=True))

    @property
    def elements(self) -> int:
        """How many elements a window has."""
        return math.prod(self.window)

    def offsets(self) -> Iterable[tuple[Ints, tuple[slice, ...]]]:
        """For each element of the window, its index, and where it lies in the padded axes."""
        axes = [
            [(j, slice(j * d, j * d + max((m - 1) * s + 1, 0), s)) for j in range(k)]
            for k, s, d, m in zip(self.window, self.stride, self.dilation, self.places, strict=True)
        ]
        for chosen in product(*axes):
            yield tuple(j for j, _ in chosen), tuple(part for _, part in chosen)


def windows_over(sizes: Ints, window: Ints, geometry: Geometry) -> Windows:
    """Windows over axes of known sizes. Raises `ShapeError` where none fits."""
    made: Any = places(sizes, window, geometry)
    padding = tuple(
        axis_padding(n, k, s, d, p)
        for n, k, s, d, p in zip(
            sizes, window, geometry.stride, geometry.dilation, _each(geometry), strict=True
        )
    )
    return Windows(sizes, window, geometry.stride, geometry.dilation, padding, made)


def to_channels_last(xp: Any, x: Array, geometry: Geometry) -> Array:
    """The array with its channels as the last axis, as a view."""
    moved: Array = x if geometry.channels_last else xp.moveaxis(x, 1, -1)
    return moved


def from_channels_last(xp: Any, x: Array, geometry: Geometry) -> Array:
    """The array with its channels where the data format wants them, as a view."""
    moved: Array = x if geometry.channels_last else xp.moveaxis(x, -1, 1)
    return moved


def pad_sizes(xp: Any, x: Array, w: Windows, value: float = 0.0) -> Array:
    """A channels-last array with its padding."""
    if not any(map(any, w.padding)):
        return x
    padded: Array = xp.pad(x, ((0, 0), *w.padding, (0, 0)), constant_values=value)
    return padded


def upsample(xp: Any, g: Array, w: Windows) -> Array:
    """One value a window, moved to the first place of the window, with zeros between and around.

    In the result, ``shifted(up, w, offset)`` has at each place the value of the window whose
    element `offset` lies there. So what windows do to places is a sum over offsets, without
    writing into an array.
    """
    for axis, (k, s, d, m, n) in enumerate(
        zip(w.window, w.stride, w.dilation, w.places, w.padded, strict=True), start=1
    ):
        shape = g.shape
        if s > 1 and m:
            g = xp.expand_dims(g, axis=axis + 1)
            gaps = xp.zeros((*shape[: axis + 1], s - 1, *shape[axis + 1 :]), dtype=g.dtype)
            g = xp.concat([g, gaps], axis=axis + 1)
            g = xp.reshape(g, (*shape[:axis], m * s, *shape[axis + 1 :]))
            g = g[(slice(None),) * axis + (slice(0, (m - 1) * s + 1),)]
        around = ((k - 1) * d, n - g.shape[axis])
        if any(around):
            g = xp.pad(g, [(0, 0)] * axis + [around] + [(0, 0)] * (g.ndim - axis - 1))
    return g


def shifted(up: Array, w: Windows, offset: Ints) -> Array:
    """For each place that is not padding, the `upsample`d value of the window that sees it so."""
    parts = []
    for j, k, d, n, (before, _) in zip(
        offset, w.window, w.dilation, w.sizes, w.padding, strict=True
    ):
        start = (k - 1 - j) * d + before
        parts.append(slice(start, start + n))
    made: Array = up[(slice(None), *parts)]
    return made


def seen(w: Windows, axis: int) -> Array:
    """How many places of each window, along one axis, are not padding."""
    s, d, before = w.stride[axis], w.dilation[axis], w.padding[axis][0]
    first = np.arange(w.places[axis])[:, None] * s - before
    at = first + np.arange(w.window[axis]) * d
    total: Array = ((at >= 0) & (at < w.sizes[axis])).sum(axis=1)
    return total

"""Images and other grids in another resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import ConcreteTensor, Tensor, TensorLike
from minigrad.dtypes import float32
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.arguments import positive
from minigrad.nn.functional.resizing.one_axis import METHODS, resize_axis
from minigrad.nn.functional.sizes import sizes_of
from minigrad.nn.functional.windows import geometry_argument, require_rank
from minigrad.ops.basic import astype
from minigrad.ops.indexing import getitem
from minigrad.ops.manipulation import permute_dims, reshape
from minigrad.ops.sizes import size_argument
from minigrad.shapes import show

__all__ = ["pixel_shuffle", "pixel_unshuffle", "resize"]


def _each(what: str, name: str, value: Any, count: int) -> list[Any]:
    """One item an axis, from one or from as many."""
    if isinstance(value, np.ndarray | ConcreteTensor):
        value = np.asarray(value).tolist()
    if isinstance(value, Tensor) and value.shape != ():
        if value.shape != (count,):
            raise ShapeError(
                f"{what}: {name} must be one number or {count}, got a tensor of shape "
                f"{show(value.shape)}"
            )
        return [getitem(value, i) for i in range(count)]
    if isinstance(value, Tensor) or not isinstance(value, Sequence) or isinstance(value, str):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(
            f"{what}: {name} must be one number or {count}, one a spatial axis, got {value!r}"
        )
    return list(value)


_IMAGE = np.ones((1, 2, 3, 1))


@primitive(
    "Resize",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 2, 3, 1)), (3, 4), method="bilinear"),
        Sample(rng.normal(size=(1, 2, 2, 2)), scale=2, data_format="NCHW"),
        Sample(rng.normal(size=(2, 3, 1)), 5, method="bilinear", data_format="NWC"),
        Sample(rng.normal(size=(1, 1, 3, 2)), (2, 3), method="bilinear", align_corners=True),
        Sample(rng.normal(size=(1, 1, 2, 1, 2)), scale=(2.0, 1.5, 3), data_format="NCDHW"),
        Sample(rng.normal(size=(1, 2, 3, 1)), (2, 3)).named("the same size"),
        Sample(rng.normal(size=(0, 2, 3, 1)), 4).named("no examples"),
        Sample(np.arange(4).reshape(1, 2, 2, 1), 3).named("integers"),
        Sample(np.arange(4).reshape(1, 2, 2, 1), 3, method="bilinear"),
    ],
    errors=[
        Fails(ArgumentError, "size or scale", _IMAGE),
        Fails(ArgumentError, "size or scale", _IMAGE, 2, scale=2),
        Fails(ArgumentError, "one number or 2", _IMAGE, (2, 3, 4)),
        Fails(ArgumentError, "size must be at least 1, got 0", _IMAGE, (2, 0)),
        Fails(ArgumentError, "scale must be positive, got -1", _IMAGE, scale=-1),
        Fails(ArgumentError, "without any element", _IMAGE, scale=0.4),
        Fails(ArgumentError, "method must be one of nearest, bilinear", _IMAGE, 2, method="area"),
        Fails(ArgumentError, "align_corners", _IMAGE, 2, align_corners=True),
        Fails(ArgumentError, "data_format must be one of", _IMAGE, 2, data_format="HWC"),
        Fails(ShapeError, "NWC", _IMAGE, 2, data_format="NWC"),
        Fails(ArgumentTypeError, "size must", _IMAGE, 2.5),
    ],
)
def resize(
    x: TensorLike,
    size: Any = None,
    *,
    scale: float | Sequence[float] | None = None,
    method: Literal["nearest", "bilinear"] = "nearest",
    align_corners: bool = False,
    data_format: str = "NHWC",
) -> Tensor:
    """Images, or grids of one or three dimensions, with another number of elements.

    Elements stand for cells, whose centres are compared: the centre of new cell i of m lies at
    ``(i + 1/2) · n/m - 1/2`` among the n old ones. This is `tf.image.resize` of TensorFlow 2
    without antialiasing; in PyTorch `interpolate` with ``align_corners=False``, where
    ``"nearest"`` is called ``"nearest-exact"`` (its own ``"nearest"`` leaves out the halves, and
    differs for other than whole multiples).

    Args:
        x: a tensor of the rank of `data_format`.
        size: the new size of each spatial axis: an int, one an axis, or an integer tensor.
        scale: or how many times the old one, rounded down: a number, or one an axis. Places are
            computed from the sizes, so that it only decides these.
        method: ``"nearest"`` copies the element whose cell the centre lies in (where it lies
            between two, the latter); ``"bilinear"`` takes the mean of those to its left and right,
            weighted by how near they are, along each spatial axis, however many there are; beyond
            the outermost centres it is constant. Then integers become float32.
        align_corners: for ``"bilinear"``: the outermost centres are laid upon each other instead,
            ``i · (n - 1)/(m - 1)``; a single new element is the first old one.
        data_format: ``"NWC"``, ``"NHWC"``, ``"NDHWC"`` or ``"NCW"``, ``"NCHW"``, ``"NCDHW"``.

    Returns:
        A tensor like `x` with the new sizes.

    Raises:
        ArgumentError: not exactly one of `size` and `scale` is given, one is not positive or not
            one an axis; or there is no such method or format.
        ShapeError: `x` has another rank, or a spatial axis has no elements.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> row = mg.asarray([[[0.0], [4.0]]])
    >>> nn.resize(row, 4, data_format="NWC")[0, :, 0].tolist()
    [0.0, 0.0, 4.0, 4.0]
    >>> nn.resize(row, scale=2, method="bilinear", data_format="NWC")[0, :, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    if (size is None) == (scale is None):
        raise ArgumentError(f"resize takes size or scale, got size={size!r} and scale={scale!r}")
    if method not in METHODS:
        raise ArgumentError(f"resize: method must be one of {', '.join(METHODS)}, got {method!r}")
    if align_corners and method == "nearest":
        raise ArgumentError("resize: align_corners is for method 'bilinear' only")
    layout = geometry_argument(None, 1, "VALID", 1, data_format)
    tensor = tensor_of(x)
    require_rank(tensor.shape, layout)
    if method == "bilinear" and not tensor.dtype.is_inexact:
        tensor = astype(tensor, float32)
    rules: dict[str, Any] = {"method": method, "align_corners": align_corners}
    if size is not None:
        sizes = [_checked_size(s) for s in _each("resize", "size", size, layout.rank)]
        for axis, length in zip(layout.spatial_axes, sizes, strict=True):
            tensor = resize_axis(tensor, length, axis=axis, **rules)
        return tensor
    scales = [positive(s, "resize: scale") for s in _each("resize", "scale", scale, layout.rank)]
    for axis, factor in zip(layout.spatial_axes, scales, strict=True):
        before = tensor.shape
        tensor = resize_axis(tensor, scale=factor, axis=axis, **rules)
        if tensor.shape is not None and tensor.shape[axis] == 0 != (before or ())[axis]:
            raise ArgumentError(
                f"resize: scale {factor} leaves axis {axis} of shape {show(before)} without any "
                "element"
            )
    return tensor


def _checked_size(size: Any) -> Any:
    if isinstance(size, Tensor) and not isinstance(size, ConcreteTensor):
        return size
    number = size_argument(size, "resize: size")
    if number < 1:
        raise ArgumentError(f"resize: size must be at least 1, got {number}")
    return number


# -- channels to positions ---------------------------------------------------------------------


def _factor_argument(what: str, factor: Any) -> int:
    made = size_argument(factor, f"{what}: factor")
    if made < 1:
        raise ArgumentError(f"{what}: factor must be at least 1, got {made}")
    return made


def _lengths(what: str, x: Tensor, data_format: str) -> tuple[Any, Any, Any, Any]:
    """Examples, channels, height and width: numbers where known, else tensors."""
    layout = geometry_argument(2, 1, "VALID", 1, data_format)
    require_rank(x.shape, layout)
    known = x.shape or (None,) * 4
    n, *rest = sizes_of(x, range(4))
    height, width = rest[:2] if layout.channels_last else rest[1:]
    channels = known[-1] if layout.channels_last else known[1]
    if channels is None:
        raise ShapeError(
            f"{what}: the number of channels of x of shape {show(x.shape)} must be known while the "
            "graph is built; state it with mg.ensure_shape"
        )
    return n, channels, height, width


_PLANES = np.arange(16.0).reshape(1, 2, 2, 4)


@primitive(
    "PixelShuffle",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 1, 2, 8)), 2),
        Sample(rng.normal(size=(1, 4, 1, 2)), 2, data_format="NCHW"),
        Sample(rng.normal(size=(1, 1, 2, 2)), 1).named("nothing to do"),
    ],
    errors=[
        Fails(ShapeError, "4 channels .* multiple of factor² = 9", _PLANES, 3),
        Fails(ArgumentError, "factor must be at least 1, got 0", _PLANES, 0),
        Fails(ArgumentError, "data_format", _PLANES, 2, data_format="NWC"),
        Fails(ShapeError, "NHWC", _PLANES[0], 2),
    ],
)
def pixel_shuffle(x: TensorLike, factor: int, *, data_format: str = "NHWC") -> Tensor:
    """Groups of factor² channels laid out as squares of pixels: a higher resolution.

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", 2016. Channel ``c · factor² + i · factor + j`` goes to row i and
    column j of channel c, as in PyTorch, in both data formats. (TensorFlow's `depth_to_space` takes
    channel ``(i · factor + j) · channels + c``.)

    Args:
        x: an image batch with a multiple of factor² channels.
        factor: by how much height and width grow.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Raises:
        ShapeError: the channels are no such multiple, or their number is not known.
        ArgumentError: the factor is less than 1.

    >>> import minigrad.nn as nn
    >>> nn.pixel_shuffle([[[[1.0, 2.0, 3.0, 4.0]]]], 2)[0, :, :, 0].tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    tensor, r = tensor_of(x), _factor_argument("pixel_shuffle", factor)
    n, channels, height, width = _lengths("pixel_shuffle", tensor, data_format)
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {channels} channels of x of shape {show(tensor.shape)} are no "
            f"multiple of factor² = {r * r}"
        )
    c = channels // (r * r)
    if data_format == "NHWC":
        apart = permute_dims(reshape(tensor, [n, height, width, c, r, r]), (0, 1, 4, 2, 5, 3))
        return reshape(apart, [n, height * r, width * r, c])
    apart = permute_dims(reshape(tensor, [n, c, r, r, height, width]), (0, 1, 4, 2, 5, 3))
    return reshape(apart, [n, c, height * r, width * r])


@primitive(
    "PixelUnshuffle",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 2, 4, 1)), 2),
        Sample(rng.normal(size=(1, 2, 2, 2)), 2, data_format="NCHW"),
    ],
    errors=[
        Fails(ShapeError, "height 2 .* multiple of factor 3", _PLANES, 3),
        Fails(ArgumentError, "factor must be at least 1, got 0", _PLANES, 0),
    ],
)
def pixel_unshuffle(x: TensorLike, factor: int, *, data_format: str = "NHWC") -> Tensor:
    """Squares of pixels laid out as channels: what undoes `pixel_shuffle`.

    Args:
        x: an image batch whose height and width are multiples of `factor`.
        factor: by how much height and width shrink.
        data_format: ``"NHWC"`` or ``"NCHW"``.

    Raises:
        ShapeError: the height or width is no such multiple.
        ArgumentError: the factor is less than 1.

    >>> import minigrad.nn as nn
    >>> nn.pixel_unshuffle([[[[1.0], [2.0]], [[3.0], [4.0]]]], 2).tolist()
    [[[[1.0, 2.0, 3.0, 4.0]]]]
    """
    tensor, r = tensor_of(x), _factor_argument("pixel_unshuffle", factor)
    n, c, height, width = _lengths("pixel_unshuffle", tensor, data_format)
    for name, length in (("height", height), ("width", width)):
        if isinstance(length, int) and length % r:
            raise ShapeError(
                f"pixel_unshuffle: the {name} {length} of x of shape {show(tensor.shape)} is no "
                f"multiple of factor {r}"
            )
    rows, columns = height // r, width // r
    if data_format == "NHWC":
        apart = permute_dims(reshape(tensor, [n, rows, r, columns, r, c]), (0, 1, 3, 5, 2, 4))
        return reshape(apart, [n, rows, columns, c * r * r])
    apart = permute_dims(reshape(tensor, [n, c, rows, r, columns, r]), (0, 1, 3, 5, 2, 4))
    return reshape(apart, [n, c * r * r, rows, columns])

"""Resizing one axis by interpolation, and its adjoint: the primitives of `resize`.

Elements are cells of equal width, which their centres stand for. Cell i of m new ones has its
centre at ``(i + 1/2) · n/m - 1/2``, counted in old cells. All places are computed in integers, so
that no rounding decides which cell is nearest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.sizes import sizes_of
from minigrad.ops.reducing import array_dtype, narrowed, widened
from minigrad.ops.sizes import Sizes, actual_sizes, count_argument, static_sizes
from minigrad.shapes import Dim, Spec, axis_argument_int, normalize_axis, show

__all__: list[str] = []

METHODS = ("nearest", "bilinear")


def resized_length(old: int, scale: float) -> int:
    """How many elements `scale` times as many are, rounded down."""
    return math.floor(old * scale)


def _places(old: int, new: int, method: str, align_corners: bool) -> tuple[Any, Any, Any]:
    """For each new element the old ones to its left and right, and the share of the latter.

    For "nearest" both are the same one, and the share is 0.
    """
    i = np.arange(new)
    if method == "nearest":
        at = (2 * i + 1) * old // max(2 * new, 1)
        return at, at, np.zeros(new)
    if align_corners:
        above, below = i * (old - 1), max(new - 1, 1)
    else:
        above, below = np.maximum((2 * i + 1) * old - new, 0), max(2 * new, 1)
    left = above // below
    return left, np.minimum(left + 1, old - 1), above % below / below


def _check(old: Dim, new: Dim, shape: Any) -> None:
    if old == 0 and new:
        raise ShapeError(
            f"an axis without elements cannot be resized to {new}; the shape is {show(shape)}"
        )


def _checked_length(known: Any) -> Dim:
    """The one length that there must be, not negative; None where it is not known."""
    if known is None:
        return None
    if len(known) != 1:
        raise ShapeError(f"a length must be a scalar, got {len(known)} numbers")
    if known[0] is not None and known[0] < 0:
        raise ShapeError(f"a length cannot be negative, got {known[0]}")
    return known[0]  # type: ignore[no-any-return]


@primitive(
    "ResizeAxis",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), 5, method="bilinear"),
        Sample(rng.normal(size=(4, 2)), 3, axis=0, method="bilinear"),
        Sample(rng.normal(size=(2, 3)), 4, method="bilinear", align_corners=True),
        Sample(rng.normal(size=(2, 3)), 1, method="bilinear", align_corners=True),
        Sample(rng.normal(size=(2, 3)), 5),
        Sample(rng.normal(size=(1, 5)), np.array(2)).named("the length as an array"),
        Sample(rng.normal(size=(2, 3)), scale=1.5, method="bilinear"),
        Sample(rng.normal(size=(2, 0)), 0).named("empty"),
        Sample(rng.normal(size=(2, 3)), 0, method="bilinear").named("to nothing"),
        Sample(np.arange(3), 6).named("integers"),
        Sample(np.array([60000.0, 1.0], np.float16), 3, method="bilinear"),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones(3), 2, axis=1),
        Fails(ShapeError, "without elements", np.ones((2, 0)), 3),
        Fails(ShapeError, "negative, got -1", np.ones(3), -1),
        Fails(ArgumentError, "method must be", np.ones(3), 2, method="cubic"),
    ],
)
def resize_axis(
    x: TensorLike,
    length: Any = None,
    *,
    scale: float | None = None,
    axis: int = -1,
    method: str = "nearest",
    align_corners: bool = False,
) -> Tensor:
    """Give an axis another number of elements, by interpolation.

    Args:
        x: a tensor; for ``"bilinear"`` of a floating dtype.
        length: how many elements, an int or a scalar integer tensor.
        scale: how many times as many, rounded down, where there is no length.
        axis: the axis.
        method: ``"nearest"`` or ``"bilinear"``, see `resize`.
        align_corners: see `resize`.

    Raises:
        ShapeError: the axis is out of range, or has no elements; the length is negative.
        ArgumentError: there is no such method.

    >>> from minigrad.nn.functional.resizing.one_axis import resize_axis
    >>> resize_axis([0.0, 4.0], 4, method="bilinear").tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    count, given = (None, None) if length is None else count_argument(length, "length")
    return bind(
        resize_axis,
        x,
        given,
        sizes=None if count is None else (count,),
        scale=scale,
        axis=axis_argument_int(axis),
        method=method,
        align_corners=bool(align_corners),
    )


@resize_axis.kernel
def _(
    xp: Any,
    x: Array,
    length: Array | None = None,
    *,
    sizes: Sizes | None,
    scale: float | None,
    axis: int,
    method: str,
    align_corners: bool,
) -> Any:
    place = normalize_axis(axis, x.ndim)
    old = x.shape[place]
    if scale is not None:
        new = resized_length(old, scale)
    else:
        new = _checked_length(actual_sizes(sizes, length, "length")) or 0
    _check(old, new, x.shape)
    left, right, share = _places(old, new, method, align_corners)
    if method == "nearest":
        return xp.take(x, xp.asarray(left), axis=place)
    v = widened(x)
    shares = xp.reshape(xp.asarray(share, dtype=v.dtype), (-1,) + (1,) * (x.ndim - place - 1))
    one, other = (xp.take(v, xp.asarray(at), axis=place) for at in (left, right))
    return narrowed(one * (1 - shares) + other * shares, array_dtype(x))


@resize_axis.lowering
def _(
    b: Any,
    x: Any,
    length: Any = None,
    *,
    sizes: Sizes | None,
    scale: float | None,
    axis: int,
    method: str,
    align_corners: bool,
) -> Any:
    place = normalize_axis(axis, x.rank)
    if not x.size or (length is not None and length.constant is None):
        return NotImplemented
    if scale is not None:
        new = resized_length(x.shape[place], scale)
    else:
        given = None if length is None else length.constant
        new = _checked_length(actual_sizes(sizes, given, "length")) or 0
    if not new:
        return NotImplemented
    left, right, share = _places(x.shape[place], new, method, align_corners)
    one = b.gather(x, b.constant(left), place)
    if method == "nearest":
        return one
    other = b.gather(x, b.constant(right), place)
    shares = share.astype(x.dtype).reshape((-1,) + (1,) * (x.rank - place - 1))
    kept, taken = b.constant(1 - shares), b.constant(shares)
    return b.map("Add", b.map("Mul", one, kept), b.map("Mul", other, taken))


@resize_axis.shape
def _(
    x: Spec,
    length: Spec | None,
    *,
    sizes: Sizes | None,
    scale: float | None,
    axis: int,
    method: str,
    align_corners: bool,
) -> Spec:
    new = None if scale is not None else _checked_length(static_sizes(sizes, length, "length"))
    if x.shape is None:
        return Spec(None, x.dtype)
    place = normalize_axis(axis, len(x.shape))
    old = x.shape[place]
    if scale is not None and old is not None:
        new = resized_length(old, scale)
    _check(old, new, x.shape)
    return Spec((*x.shape[:place], new, *x.shape[place + 1 :]), x.dtype)


@resize_axis.gradient()
def _(c: Ctx) -> Grads:
    a = c.attrs
    back = resize_axis_adjoint(
        c.grads[0], c.inputs[0], axis=a.axis, method=a.method, align_corners=a.align_corners
    )
    return back, None


# -- the adjoint -------------------------------------------------------------------------------


def _numpy_adjoint(g: Array, like: Array, **attrs: Any) -> Array:
    """The adjoint in time proportional to the number of elements.

    The places are in ascending order, so that what belongs to one of them is a stretch.
    """
    place = _check_adjoint(g, like, attrs["axis"])
    old, new = like.shape[place], g.shape[place]
    left, right, share = _places(old, new, attrs["method"], attrs["align_corners"])
    v = widened(g)
    out = np.zeros((*g.shape[:place], old, *g.shape[place + 1 :]), v.dtype)
    if not v.size:
        return narrowed(out, array_dtype(g))
    shares = share.astype(v.dtype).reshape((-1,) + (1,) * (g.ndim - place - 1))
    parts = [(left, v)]
    if attrs["method"] != "nearest":
        parts = [(left, v * (1 - shares)), (right, v * shares)]
    lead = (slice(None),) * place
    for at, part in parts:
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        out[(*lead, at[starts])] += np.add.reduceat(part, starts, axis=place)
    return narrowed(out, array_dtype(g))


def _check_adjoint(g: Any, like: Any, axis: int) -> int:
    """The axis counted from the front, once the two tensors differ along it alone."""
    if len(g.shape) != len(like.shape):
        raise ShapeError(
            f"shapes {show(g.shape)} and {show(like.shape)} must have the same number of dimensions"
        )
    place = normalize_axis(axis, len(g.shape))
    for i, (m, n) in enumerate(zip(g.shape, like.shape, strict=True)):
        if i != place and m is not None and n is not None and m != n:
            raise ShapeError(
                f"shapes {show(g.shape)} and {show(like.shape)} must differ along axis {axis} only"
            )
    _check(like.shape[place], g.shape[place], like.shape)
    return place


@primitive(
    "ResizeAxisAdjoint",
    promote=(0,),
    shape_only=(1,),
    numpy=_numpy_adjoint,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 5)), np.zeros((2, 3)), method="bilinear").fixed(1),
        Sample(rng.normal(size=(3, 2)), np.zeros((4, 2)), axis=0, method="bilinear").fixed(1),
        Sample(
            rng.normal(size=(2, 2)), np.zeros((2, 5)), method="bilinear", align_corners=True
        ).fixed(1),
        Sample(rng.normal(size=(2, 5)), np.zeros((2, 3))).fixed(1),
        Sample(rng.normal(size=(2, 2)), np.zeros((2, 5))).fixed(1),
        Sample(np.zeros((2, 0)), np.zeros((2, 3))).fixed(1).named("of nothing"),
        Sample(np.array([40000.0, 20000.0, -40000.0], np.float16), np.zeros(1, np.float16)),
    ],
    errors=[
        Fails(ShapeError, "differ along axis -1 only", np.ones((3, 2)), np.ones((2, 2))),
        Fails(ShapeError, "same number of dimensions", np.ones(2), np.ones((2, 2))),
    ],
)
def resize_axis_adjoint(
    g: TensorLike,
    like: TensorLike,
    /,
    *,
    axis: int = -1,
    method: str = "nearest",
    align_corners: bool = False,
) -> Tensor:
    """The adjoint of `resize_axis`: what each old element gets from the new ones it went into.

    Args:
        g: a tensor of the shape of a resized one.
        like: a tensor of the shape before; its values are not read.
        axis: see `resize_axis`.
        method: see `resize_axis`.
        align_corners: see `resize_axis`.

    Raises:
        ShapeError: the shapes differ elsewhere too.

    >>> from minigrad.nn.functional.resizing.one_axis import resize_axis_adjoint
    >>> resize_axis_adjoint([1.0, 1.0, 1.0], [0.0, 0.0]).tolist()
    [1.0, 2.0]
    """
    attrs = {"method": method, "align_corners": bool(align_corners)}
    return bind(resize_axis_adjoint, g, like, axis=axis_argument_int(axis), **attrs)


@resize_axis_adjoint.kernel
def _(xp: Any, g: Array, like: Array, *, axis: int, method: str, align_corners: bool) -> Any:
    place = _check_adjoint(g, like, axis)
    old, new = like.shape[place], g.shape[place]
    left, right, share = _places(old, new, method, align_corners)
    v = widened(g)
    # The product with the transposed matrix of the interpolation.
    cells = np.arange(old)
    matrix = (left[:, None] == cells) * (1 - share[:, None])
    matrix = matrix + (right[:, None] == cells) * share[:, None]
    last = xp.moveaxis(v, place, -1) @ xp.asarray(matrix, dtype=v.dtype)
    return narrowed(xp.moveaxis(last, -1, place), array_dtype(g))


@resize_axis_adjoint.lowering
def _(b: Any, g: Any, like: Any, *, axis: int, method: str, align_corners: bool) -> Any:
    place = normalize_axis(axis, g.rank)
    old, new = like.shape[place], g.shape[place]
    if not g.size:
        return NotImplemented
    left, right, share = _places(old, new, method, align_corners)
    if method == "nearest":
        return b.scatter_add(g, b.constant(left), place, old)
    shares = share.astype(g.dtype).reshape((-1,) + (1,) * (g.rank - place - 1))
    one = b.scatter_add(b.map("Mul", g, b.constant(1 - shares)), b.constant(left), place, old)
    other = b.scatter_add(b.map("Mul", g, b.constant(shares)), b.constant(right), place, old)
    return b.map("Add", one, other)


@resize_axis_adjoint.shape
def _(g: Spec, like: Spec, *, axis: int, method: str, align_corners: bool) -> Spec:
    if g.shape is not None and like.shape is not None:
        _check_adjoint(g, like, axis)
    return Spec(like.shape, g.dtype)


@resize_axis_adjoint.gradient()
def _(c: Ctx) -> Grads:
    g, a = c.inputs[0], c.attrs
    again = resize_axis(
        c.grads[0],
        sizes_of(g, [a.axis])[0],
        axis=a.axis,
        method=a.method,
        align_corners=a.align_corners,
    )
    return again, None

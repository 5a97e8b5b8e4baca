"""Sorting, the k largest, and searching in what is sorted."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind, bind_all
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import int64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.along_axis import add_along_axis
from minigrad.ops.reducing import UNORDERED, array_dtype, require_ordered
from minigrad.shapes import Spec, axis_argument_int, compatible, normalize_axis, show

__all__ = ["TopK", "argsort", "searchsorted", "sort", "top_k"]

_AXIS_ERRORS = [
    Fails(ShapeError, "out of range", np.ones((2, 3)), axis=2),
    Fails(ShapeError, "rank 0", np.ones(())),
    *UNORDERED,
]


def _sorted_spec(x: Spec, axis: int) -> Spec:
    require_ordered(x.dtype)
    if x.shape is not None:
        normalize_axis(axis, len(x.shape))
    return Spec(x.shape, x.dtype)


@primitive(
    "Sort",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(3, 2)), axis=0, descending=True),
        Sample(np.array([2.0, 1.0, 2.0, 1.0])).expecting([1.0, 1.0, 1.0, 1.0]).named("ties"),
        Sample(rng.normal(size=(0, 2)), axis=0).named("empty"),
        Sample(np.array([1.0, np.nan, 0.0])).fixed(0).named("NaN counts as the largest"),
        Sample(np.array([3, 1, 2]), stable=False),
        Sample(np.array([True, False])),
    ],
    errors=_AXIS_ERRORS,
)
def sort(
    x: TensorLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """The elements in order along an axis.

    Args:
        x: a tensor of real numbers or bools. NaN counts as the largest.
        axis: the axis.
        descending: the largest first.
        stable: equal elements keep their order; it makes no difference to the values.

    Returns:
        A tensor like `x`. The gradient goes back to where each element came from; with equal
        elements, in the order that `argsort` gives, which is stable.

    Raises:
        ShapeError: the axis is out of range.
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.sort([3.0, 1.0, 2.0], descending=True)
    Tensor([3., 2., 1.], shape=(3,), dtype=float32)
    """
    return bind(sort, x, axis=axis_argument_int(axis), descending=bool(descending))


@sort.kernel
def _(xp: Any, x: Array, *, axis: int, descending: bool) -> Array:
    require_ordered(array_dtype(x))
    axis = normalize_axis(axis, x.ndim)
    y: Array = xp.sort(x, axis=axis)
    return xp.flip(y, axis=axis) if descending else y


@sort.shape
def _(x: Spec, *, axis: int, descending: bool) -> Spec:
    return _sorted_spec(x, axis)


@sort.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    (x,), a = c.inputs, c.attrs
    order = argsort(x, axis=a.axis, descending=a.descending)
    return add_along_axis(c.grads[0], order, x, axis=a.axis)


@primitive(
    "ArgSort",
    not_differentiable="an index is an integer",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(3, 2)), axis=0, descending=True),
        Sample(np.array([2, 1, 2, 1])).named("ties"),
        Sample(np.array([2, 1, 2, 1]), descending=True).named("ties"),
        Sample(np.zeros((0, 2)), axis=0).named("empty"),
        Sample(np.array([1.0, np.nan, 0.0]), descending=True),
        Sample(np.array([True, False])),
    ],
    errors=_AXIS_ERRORS,
)
def argsort(
    x: TensorLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """The indices that put the elements in order along an axis.

    Args:
        x: a tensor of real numbers or bools. NaN counts as the largest.
        axis: the axis.
        descending: the largest first.
        stable: equal elements keep their order, also when descending.

    Returns:
        An int64 tensor of the shape of `x`.

    Raises:
        ShapeError: the axis is out of range.
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.argsort([2.0, 3.0, 2.0], descending=True)
    Tensor([1, 0, 2], shape=(3,), dtype=int64)
    """
    attrs = {"descending": bool(descending), "stable": bool(stable)}
    return bind(argsort, x, axis=axis_argument_int(axis), **attrs)


@argsort.kernel
def _(xp: Any, x: Array, *, axis: int, descending: bool, stable: bool) -> Array:
    require_ordered(array_dtype(x))
    return _order(xp, x, normalize_axis(axis, x.ndim), descending, stable)


def _order(xp: Any, x: Array, axis: int, descending: bool, stable: bool = True) -> Array:
    order: Array
    if descending:
        # Turned twice, so that equal elements keep their order.
        order = xp.argsort(xp.flip(x, axis=axis), axis=axis, stable=stable)
        order = x.shape[axis] - 1 - xp.flip(order, axis=axis)
    else:
        order = xp.argsort(x, axis=axis, stable=stable)
    return order.astype(int64.dtype, copy=False)


@argsort.shape
def _(x: Spec, *, axis: int, descending: bool, stable: bool) -> Spec:
    return _sorted_spec(x, axis)._replace(dtype=int64)


class TopK(NamedTuple):
    """The k largest (or smallest) elements and where they are."""

    values: Tensor
    indices: Tensor


@primitive(
    "TopKV2",
    outputs=("values", "indices"),
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 4)), 2),
        Sample(rng.normal(size=(4, 2)), 3, axis=0, largest=False),
        Sample(rng.normal(size=(3,)), np.array(2)).named("k in a tensor"),
        Sample(np.array([1.0, 2.0, 2.0]), 1).expecting([0.0, 1.0, 0.0]).named("the first of ties"),
        Sample(rng.normal(size=(3,)), 0).named("none"),
        Sample(np.array([3, 1, 2]), 2),
        Sample(rng.integers(0, 4, size=(2, 17)), 2, largest=False).named("few of many"),
    ],
    errors=[
        Fails(ShapeError, "k=4", np.ones(3), 4),
        Fails(ShapeError, "k=4", np.ones(3), np.array(4)),
        Fails(ArgumentError, "negative", np.ones(3), -1),
        Fails(DTypeError, "integer", np.ones(3), np.array(1.5)),
        Fails(ArgumentTypeError, "k must be", np.ones(3), 1.5),
        Fails(ShapeError, "scalar", np.ones(3), np.array([1, 2])),
        Fails(ShapeError, "out of range", np.ones(3), 1, axis=1),
        Fails(DTypeError, "order", np.ones(2) * 1j, 1),
    ],
)
def top_k(x: TensorLike, k: Any, /, *, axis: int = -1, largest: bool = True) -> TopK:
    """The k largest elements along an axis, the largest first, and where they are.

    Args:
        x: a tensor of real numbers or bools. NaN counts as the largest.
        k: how many: an int, or an integer scalar tensor.
        axis: the axis.
        largest: False for the k smallest, the smallest first.

    Returns:
        `TopK(values, indices)`: tensors of the shape of `x` with `k` along the axis; the indices
        are int64. Of equal elements the first comes first, and has the gradient.

    Raises:
        ShapeError: `k` is more than the size of the axis, or no scalar; the axis is out of range.
        ArgumentError: `k` is negative.
        DTypeError: `x` is complex or text, or `k` is not an integer.

    >>> import minigrad as mg
    >>> values, indices = mg.top_k([1.0, 5.0, 3.0], 2)
    >>> values.tolist(), indices.tolist()
    ([5.0, 3.0], [1, 2])
    """
    if isinstance(k, Tensor | StateOwner | np.ndarray | np.generic):
        count, number = k, None
    else:
        count, number = None, _checked_k(k)
    attrs = {"axis": axis_argument_int(axis), "k": number, "largest": bool(largest)}
    return TopK(*bind_all(top_k, x, count, **attrs))


def _checked_k(k: Any) -> int:
    try:
        number = operator.index(k)
    except TypeError as error:
        raise ArgumentTypeError(f"k must be an integer or an integer tensor, got {k!r}") from error
    if number < 0:
        raise ArgumentError(f"k must not be negative, got {number}")
    return number


def _require_k(k: int, length: int | None, axis: int) -> None:
    if k < 0:
        raise ArgumentError(f"k must not be negative, got {k}")
    if length is not None and k > length:
        raise ShapeError(f"k={k} is more than the size {length} of axis {axis}")


def _require_count(count: Spec) -> None:
    if not count.dtype.is_integer:
        raise DTypeError(f"k must be of an integer dtype, got {count.dtype}")
    if count.shape not in ((), None):
        raise ShapeError(f"k must be a scalar, got shape {show(count.shape)}")


@top_k.kernel
def _(
    xp: Any, x: Array, count: Array | None = None, *, k: int | None, axis: int, largest: bool
) -> tuple[Array, Array]:
    require_ordered(array_dtype(x))
    if count is not None:
        _require_count(Spec(count.shape, array_dtype(count)))
        k = int(count)
    axis = normalize_axis(axis, x.ndim)
    _require_k(k or 0, x.shape[axis], axis)
    order = None
    if xp is np and k and 8 * k <= x.shape[axis]:
        order = _selected(np.moveaxis(x, axis, -1), k, largest)
    if order is None:
        order = _order(xp, x, axis, largest)[(slice(None),) * axis + (slice(k),)]
    else:
        order = np.moveaxis(order, -1, axis)
    return xp.take_along_axis(x, order, axis=axis), order


def _selected(x: Array, k: int, largest: bool) -> Array | None:
    """The order of the first k along the last axis, where few of many are faster selected.

    Those beyond the k-th value are in, and of those that equal it, the first; then only these are
    sorted. None where the k-th value is NaN, which compares with nothing.
    """
    place = x.shape[-1] - k if largest else k - 1
    last = np.partition(x, place, axis=-1)[..., place : place + 1]
    if np.any(last != last):
        return None
    beyond = ~(x <= last) if largest else x < last  # NaN counts as the largest.
    ties = x == last
    missing = k - np.count_nonzero(beyond, axis=-1, keepdims=True)
    if np.any(np.count_nonzero(ties, axis=-1, keepdims=True) != missing):
        ties &= np.cumsum(ties, axis=-1) <= missing
    chosen = np.nonzero(beyond | ties)[-1].reshape(*x.shape[:-1], k)
    order = _order(np, np.take_along_axis(x, chosen, axis=-1), x.ndim - 1, largest)
    return np.take_along_axis(chosen, order, axis=-1).astype(int64.dtype, copy=False)


@top_k.shape
def _(x: Spec, count: Spec | None, *, k: int | None, axis: int, largest: bool) -> tuple[Spec, Spec]:
    require_ordered(x.dtype)
    if count is not None:
        _require_count(count)
        k = count.value
    if x.shape is None:
        return Spec(None, x.dtype), Spec(None, int64)
    i = normalize_axis(axis, len(x.shape))
    if k is not None:
        _require_k(k, x.shape[i], i)
    shape = (*x.shape[:i], k, *x.shape[i + 1 :])
    return Spec(shape, x.dtype), Spec(shape, int64)


@top_k.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    x, _count = c.inputs
    return add_along_axis(c.grads[0], c.outputs[1], x, axis=c.attrs.axis), None


@primitive(
    "SearchSorted",
    promote=(0, 1),
    not_differentiable="an index is an integer",
    samples=lambda rng: [
        Sample(np.array([1.0, 2.0, 2.0, 3.0]), np.array([[2.0, 0.0], [3.5, 2.5]])),
        Sample(np.array([1, 2, 2, 3]), 2, side="right"),
        Sample(np.array([3, 1, 2]), np.array([2, 9]), sorter=np.array([1, 2, 0])),
        Sample(np.zeros(0), np.array([1.0])).named("in nothing"),
        Sample(np.array([1, 2]), np.array([1.5])).named("dtypes meet"),
    ],
    errors=[
        Fails(ShapeError, "rank 1", np.ones((2, 2)), np.ones(2)),
        Fails(ShapeError, "sorter", np.ones(2), np.ones(2), sorter=np.array([0, 1, 2])),
        Fails(DTypeError, "sorter", np.ones(2), np.ones(2), sorter=np.ones(2)),
        Fails(ArgumentError, "side", np.ones(2), np.ones(2), side="middle"),
        *[Fails(f.error, f.match, f.args[0], f.args[0]) for f in UNORDERED],
    ],
)
def searchsorted(
    x1: TensorLike,
    x2: TensorLike,
    /,
    *,
    side: str = "left",
    sorter: TensorLike | None = None,
) -> Tensor:
    """Where elements would have to be put into a sorted tensor to keep it sorted.

    Args:
        x1: a tensor of rank 1 in ascending order (or put in order by `sorter`).
        x2: the elements, in any shape.
        side: ``"left"`` for the first such place, ``"right"`` for the last.
        sorter: indices that put `x1` in order, as from `argsort`.

    Returns:
        An int64 tensor of the shape of `x2`.

    Raises:
        ShapeError: `x1` is not of rank 1, or the sorter has another shape.
        ArgumentError: `side` is something else.
        DTypeError: complex numbers or text, or a sorter that is not of integers.

    >>> import minigrad as mg
    >>> mg.searchsorted([1.0, 2.0, 3.0], [2.5, 0.0])
    Tensor([2, 0], shape=(2,), dtype=int64)
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"side must be 'left' or 'right', got {side!r}")
    return bind(searchsorted, x1, x2, sorter, side=side)


@searchsorted.kernel
def _(xp: Any, x1: Array, x2: Array, sorter: Array | None = None, *, side: str) -> Array:
    given = [None if a is None else Spec(a.shape, array_dtype(a)) for a in (x1, sorter)]
    _require_searchable(given[0], given[1])
    places = xp.searchsorted(x1, x2, side=side, sorter=sorter)
    return xp.asarray(places, dtype=int64.dtype)  # type: ignore[no-any-return]


def _require_searchable(x1: Spec | None, sorter: Spec | None) -> None:
    if x1 is None:
        return
    require_ordered(x1.dtype)
    if x1.shape is not None and len(x1.shape) != 1:
        raise ShapeError(f"what is searched must have rank 1, got shape {show(x1.shape)}")
    if sorter is None:
        return
    if not sorter.dtype.is_integer:
        raise DTypeError(f"the sorter must be of an integer dtype, got {sorter.dtype}")
    if not compatible(sorter.shape, x1.shape):
        raise ShapeError(
            f"the sorter has shape {show(sorter.shape)}, expected {show(x1.shape)} as of x1"
        )


@searchsorted.shape
def _(x1: Spec, x2: Spec, sorter: Spec | None, *, side: str) -> Spec:
    _require_searchable(x1, sorter)
    return Spec(x2.shape, int64)

"""Rows of tables: gather, and its gradient of only the rows that were used."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.convert import is_weak
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import ConcreteTensor, Tensor, TensorLike
from minigrad.dtypes import DType
from minigrad.errors import DTypeError, IndexOutOfRangeError, ShapeError
from minigrad.nest import flatten
from minigrad.ops.index_plans import checked_index
from minigrad.ops.indexing import getitem
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import reshape
from minigrad.ops.scatter_kernels import add_rows, zero_rows
from minigrad.ops.shaping import shape as shape_of
from minigrad.shapes import (
    Dim,
    Shape,
    Spec,
    compatible,
    show,
)

__all__ = ["gather", "slices_to_dense"]


def check_indices(dtype: DType) -> None:
    """Raise `DTypeError` unless indices are integers."""
    if not dtype.is_integer:
        raise DTypeError(f"indices must be integers, got {dtype}")


def check_rows(indices: Any, count: Dim, what: str = "axis 0") -> Any:
    """The indices as positions. Raises unless all lie in ``[0, count)``."""
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"indices must be integers, got {indices.dtype}")
    if indices.size and count is not None:
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= count:
            raise IndexOutOfRangeError(
                f"index {low if low < 0 else high} is out of range for {what} of size {count}; "
                f"it must lie in [0, {count})"
            )
    return indices.astype("int64") if indices.dtype.kind == "u" else indices


def check_now(table: Any, indices: Any, axes: int | None) -> None:
    """Raise `IndexOutOfRangeError` where constant indices leave a symbolic table.

    Args:
        table: what is indexed; concrete ones are left to the kernel.
        indices: the indices: of axis 0 if `axes` is 1, index vectors if it is None.
        axes: see there.
    """
    if isinstance(table, Tensor | StateOwner) and not isinstance(table, ConcreteTensor):
        check_constant(indices, getattr(table, "shape", None), axes)


def check_constant(indices: Any, shape: Shape, axes: int | None) -> None:
    """Raise `IndexOutOfRangeError` where constant indices leave a tensor of this shape."""
    if not isinstance(indices, np.ndarray | ConcreteTensor):
        if not isinstance(indices, list) or any(not is_weak(v) for v in flatten(indices)):
            return
    array = np.asarray(indices)
    if shape is None or array.dtype.kind not in "iu":
        return
    if axes is not None:
        array = array[..., None]
    if array.ndim and array.shape[-1] <= len(shape):
        for axis in range(array.shape[-1]):
            check_rows(array[..., axis], shape[axis], f"axis {axis}")


def _check_known(indices: Spec, count: Dim) -> None:
    """The same in a shape rule, for small constant indices."""
    check_indices(indices.dtype)
    if indices.value is not None:
        values = np.ravel(np.asarray(indices.value, object))
        check_rows(np.asarray([v for v in values if v is not None], np.int64), count)


# -- gather ------------------------------------------------------------------------------------


@primitive(
    "GatherV2",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 2)), [3, 1, 3]),
        Sample(rng.normal(size=(3, 2)), np.array([[0, 2], [1, 1]])).named("a matrix of indices"),
        Sample(rng.normal(size=(3,)), 2).named("one index"),
        Sample(rng.normal(size=(3, 2)), np.zeros((0,), np.int64)).named("nothing"),
        Sample(np.arange(6).reshape(3, 2), np.array([2], np.uint8)),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* axis 0 of size 3", np.ones((3, 2)), [0, 3]),
        Fails(IndexOutOfRangeError, "index -1 .* axis 0 of size 3", np.ones((3, 2)), [-1]),
        Fails(DTypeError, "integers", np.ones((3, 2)), [0.5]),
        Fails(ShapeError, "at least 1 dimension", np.ones(()), [0]),
    ],
)
def gather(params: TensorLike, indices: TensorLike, /) -> Tensor:
    """Rows of a table: ``params[indices]``, with a gradient of only the rows that were used.

    Args:
        params: a tensor of at least one dimension; its rows are along axis 0.
        indices: integers of any shape, each in ``[0, rows)``. Negative ones are refused, as in
            TensorFlow, so that each row has one number; `take` counts them from the end.

    Returns:
        A tensor of shape ``indices.shape + params.shape[1:]``.

    Raises:
        IndexOutOfRangeError: an index lies outside the table.
        DTypeError: the indices are not integers.

    The gradient with respect to `params` is a `minigrad.IndexedSlices`, which costs as much as
    the rows that were looked up, not as much as the table.

    >>> import minigrad as mg
    >>> mg.gather([[1, 2], [3, 4]], [1, 1]).tolist()
    [[3, 4], [3, 4]]
    """
    check_now(params, indices, 1)
    return bind(gather, params, indices)


@gather.kernel
def _(xp: Any, params: Any, indices: Any) -> Any:
    if not params.ndim:
        raise ShapeError("at least 1 dimension is needed, got shape ()")
    return xp.take(params, check_rows(indices, params.shape[0]), axis=0)


@gather.lowering
def _(b: Any, params: Any, indices: Any) -> Any:
    if not params.size or not indices.size:
        return NotImplemented
    return b.gather(params, checked_index(b, indices, params.shape[0], wraps=False), 0)


@gather.shape
def _(params: Spec, indices: Spec) -> Spec:
    if params.shape == ():
        raise ShapeError("at least 1 dimension is needed, got shape ()")
    _check_known(indices, None if params.shape is None else params.shape[0])
    if params.shape is None or indices.shape is None:
        return Spec(None, params.dtype)
    return Spec((*indices.shape, *params.shape[1:]), params.dtype)


@gather.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    (g,), (params, indices) = c.grads, c.inputs
    flat = reshape(indices, (-1,))
    # The number of rows is named, not left to be inferred: there may be no elements.
    if params.spec.known() and indices.spec.known():
        rows = reshape(g, (math.prod(indices.shape), *params.shape[1:]))
    else:
        rows = reshape(g, concat([shape_of(flat), getitem(shape_of(params), slice(1, None))]))
    return IndexedSlices(rows, flat, params), None


@primitive(
    "SlicesToDense",
    promote=(0,),
    shape_only=(2,),
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), [2, 0, 2], np.zeros((3, 2))).fixed(2),
        Sample(rng.normal(size=(2,)), [1, 1], np.zeros((3,))).fixed(2),
        Sample(rng.normal(size=(0, 2)), np.zeros(0, np.int64), np.zeros((3, 2))).fixed(2),
    ],
    errors=[
        Fails(ShapeError, r"\(2, 3\)", np.ones((2, 3)), [0, 1], np.ones((3, 2))),
        Fails(IndexOutOfRangeError, "index 3", np.ones((1, 2)), [3], np.ones((3, 2))),
    ],
)
def slices_to_dense(values: TensorLike, indices: TensorLike, like: TensorLike, /) -> Tensor:
    """Zeros of the shape of `like`, with rows added: the adjoint of `gather`.

    Args:
        values: rows, of shape ``(n, *like.shape[1:])``.
        indices: integers of shape ``(n,)``; rows of repeated ones add up.
        like: the tensor whose shape the result has; its values are not read.

    Raises:
        ShapeError: the rows do not fit.
        IndexOutOfRangeError: an index lies outside the tensor.

    >>> import minigrad as mg
    >>> mg.slices_to_dense([[1, 1], [2, 2]], [2, 2], mg.zeros((3, 2))).tolist()
    [[0, 0], [0, 0], [3, 3]]
    """
    return bind(slices_to_dense, values, indices, like)


def _check_slices(values: Shape, indices: Shape, like: Shape) -> None:
    if indices is None or like is None:
        return
    if len(indices) != 1 or not like or not compatible(values, (*indices, *like[1:])):
        raise ShapeError(
            f"values of shape {show(values)} at indices of shape {show(indices)} are no rows of a "
            f"tensor of shape {show(like)}"
        )


@slices_to_dense.kernel
def _(xp: Any, values: Any, indices: Any, like: Any) -> Any:
    _check_slices(values.shape, indices.shape, like.shape)
    count, width = like.shape[0], math.prod(like.shape[1:])
    rows = check_rows(indices, count)
    flat = xp.reshape(values, (rows.size, width))
    return xp.reshape(
        add_rows(xp, zero_rows(xp, count, width, values.dtype), rows, flat), like.shape
    )


@slices_to_dense.lowering
def _(b: Any, values: Any, indices: Any, like: Any) -> Any:
    if not values.size:
        return b.full(like.shape, 0, values.dtype)
    rows = checked_index(b, indices, like.shape[0], wraps=False)
    return b.scatter_add(values, rows, 0, like.shape[0])


@slices_to_dense.shape
def _(values: Spec, indices: Spec, like: Spec) -> Spec:
    _check_slices(values.shape, indices.shape, like.shape)
    _check_known(indices, like.shape[0] if like.shape else None)
    return Spec(like.shape, values.dtype)


@slices_to_dense.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    return gather(c.grads[0], c.inputs[1]), None, None

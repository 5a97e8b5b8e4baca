"""Elements and blocks at index vectors: gather_nd, and scatter, its adjoint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import DTypeError, IndexOutOfRangeError, ShapeError
from minigrad.ops.gathering import check_constant, check_indices, check_now, check_rows
from minigrad.ops.index_plans import joined_index
from minigrad.ops.scatter_kernels import add_rows, zero_rows
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    not_negative,
    sizes_argument,
    static_sizes,
)
from minigrad.shapes import (
    Shape,
    Spec,
    compatible,
    show,
)

__all__ = ["gather_nd", "scatter"]


def _nd_shapes(indices: Shape, table: Shape) -> tuple[Shape, Shape]:
    """Shapes of the places that index vectors name, and of the block at each place."""
    if indices is None:
        return None, None
    if not indices:
        raise ShapeError("the indices must be vectors along the last axis, got a scalar")
    depth = indices[-1]
    if depth is None or table is None:
        return indices[:-1], None
    if depth > len(table):
        raise ShapeError(
            f"index vectors of length {depth} are too long for a tensor of shape {show(table)}"
        )
    return indices[:-1], table[depth:]


def _joined(indices: Shape, table: Shape) -> Shape:
    places, block = _nd_shapes(indices, table)
    return None if places is None or block is None else (*places, *block)


def _flat_rows(indices: Any, table: tuple[int, ...]) -> Any:
    """The row, of a table of blocks, that each index vector names."""
    rows = np.zeros(indices.shape[:-1], np.int64)
    for axis in range(indices.shape[-1]):
        line = check_rows(indices[..., axis], table[axis], f"axis {axis}")
        rows = rows * table[axis] + line
    return rows


@primitive(
    "GatherNd",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), [[0, 1], [1, 2], [0, 1]]),
        Sample(rng.normal(size=(2, 3)), np.array([[[1]], [[0]]])).named("rows"),
        Sample(rng.normal(size=(2, 2)), np.zeros((1, 0), np.int64)).named("all of it"),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* axis 1 of size 3", np.ones((2, 3)), [[0, 3]]),
        Fails(ShapeError, "too long", np.ones(2), [[0, 0]]),
        Fails(DTypeError, "integers", np.ones(2), [[0.5]]),
    ],
)
def gather_nd(params: TensorLike, indices: TensorLike, /) -> Tensor:
    """Elements or blocks at index vectors.

    Args:
        params: a tensor.
        indices: integers of shape (…, k), each vector naming a place by its first k axes; none
            may be negative.

    Returns:
        A tensor of shape ``indices.shape[:-1] + params.shape[k:]``.

    Raises:
        IndexOutOfRangeError: an index lies outside its axis.
        ShapeError: the vectors are longer than `params` has axes.

    >>> import minigrad as mg
    >>> mg.gather_nd([[1, 2], [3, 4]], [[0, 1], [1, 0]]).tolist()
    [2, 3]
    """
    check_now(params, indices, None)
    return bind(gather_nd, params, indices)


@gather_nd.kernel
def _(xp: Any, params: Any, indices: Any) -> Any:
    shape = _joined(indices.shape, params.shape)
    depth = indices.shape[-1]
    table = xp.reshape(params, (math.prod(params.shape[:depth]), *params.shape[depth:]))
    rows = _flat_rows(indices, params.shape)
    return xp.reshape(xp.take(table, rows, axis=0), shape)


@gather_nd.lowering
def _(b: Any, params: Any, indices: Any) -> Any:
    depth = indices.shape[-1]
    if not params.size or not indices.size:
        return NotImplemented
    rows = _lowered_rows(b, indices, params.shape)
    count = math.prod(params.shape[:depth])
    return b.gather(b.reshape(params, (count, *params.shape[depth:])), rows, 0)


def _lowered_rows(b: Any, indices: Any, table: tuple[int, ...]) -> Any:
    """`_flat_rows` in a plan."""
    shape, columns = indices.shape[:-1], []
    for axis in range(indices.shape[-1]):
        starts = [*[0] * len(shape), axis]
        column = b.slice(indices, starts, [1] * indices.rank, (*shape, 1))
        columns.append(b.reshape(column, shape))
    return joined_index(b, columns, table[: len(columns)], wraps=False)


@gather_nd.shape
def _(params: Spec, indices: Spec) -> Spec:
    check_indices(indices.dtype)
    return Spec(_joined(indices.shape, params.shape), params.dtype)


@gather_nd.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    (g,), (params, indices) = c.grads, c.inputs
    if params.spec.known():
        return scatter(indices, g, params.shape), None
    return scatter(indices, g, shape_of(params)), None


@primitive(
    "ScatterNd",
    promote=(1,),
    accepts="numeric",
    samples=lambda rng: [
        Sample([[0], [2], [0]], rng.normal(size=(3,)), (4,)),
        Sample([[1], [1]], rng.normal(size=(2, 2)), (3, 2)).named("rows"),
        Sample(np.array([[[0, 1]], [[1, 1]]]), rng.normal(size=(2, 1)), (2, 2)),
        Sample(np.zeros((0, 1), np.int64), rng.normal(size=(0, 2)), (3, 2)).named("nothing"),
        Sample([[0]], rng.normal(size=(1,)), np.array([2])).named("shape as an array"),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 4 .* axis 0 of size 4", [[4]], [1.0], (4,)),
        Fails(ShapeError, r"expected updates of shape \(1,\)", [[0]], [1.0, 2.0], (4,)),
        Fails(ShapeError, "negative", [[0]], [1.0], (-4,)),
        Fails(DTypeError, "integers", [[0.5]], [1.0], (4,)),
    ],
)
def scatter(indices: TensorLike, updates: TensorLike, shape: Any, /) -> Tensor:
    """Zeros with updates added at index vectors: the adjoint of `gather_nd`.

    Args:
        indices: integers of shape (…, k), each vector naming a place by the first k axes.
        updates: a tensor of shape ``indices.shape[:-1] + shape[k:]``.
        shape: the result's shape: a sequence of ints and scalar integer tensors, or an integer
            tensor.

    Returns:
        A tensor of that shape. Updates at the same place add up.

    Raises:
        IndexOutOfRangeError: an index lies outside its axis.
        ShapeError: the updates do not have the right shape.

    This is TensorFlow's ``scatter_nd``.

    >>> import minigrad as mg
    >>> mg.scatter([[1], [3], [1]], [1, 2, 10], (4,)).tolist()
    [0, 11, 0, 2]
    """
    sizes, given = sizes_argument(shape)
    not_negative(sizes)
    if sizes is not None:
        check_constant(indices, sizes, None)
    return bind(scatter, indices, updates, given, sizes=sizes)


def _check_updates(indices: Shape, updates: Shape, shape: Shape) -> None:
    not_negative(shape)
    wanted = _joined(indices, shape)
    if not compatible(updates, wanted):
        raise ShapeError(
            f"expected updates of shape {show(wanted)} for indices of shape {show(indices)} into "
            f"shape {show(shape)}, got {show(updates)}"
        )


@scatter.kernel
def _(xp: Any, indices: Any, updates: Any, shape: Any = None, *, sizes: Sizes | None) -> Any:
    wanted = actual_sizes(sizes, shape)
    _check_updates(indices.shape, updates.shape, wanted)
    depth = indices.shape[-1]
    count, width = math.prod(wanted[:depth]), math.prod(wanted[depth:])
    rows = _flat_rows(indices, wanted).reshape(-1)
    flat = xp.reshape(updates, (rows.size, width))
    return xp.reshape(add_rows(xp, zero_rows(xp, count, width, updates.dtype), rows, flat), wanted)


@scatter.lowering
def _(b: Any, indices: Any, updates: Any, shape: Any = None, *, sizes: Sizes | None) -> Any:
    if sizes is None and shape.constant is None:
        return NotImplemented
    wanted = actual_sizes(sizes, None if shape is None else shape.constant)
    if not updates.size or not indices.size:
        return b.full(wanted, 0, updates.dtype) if not updates.size else NotImplemented
    rows = _lowered_rows(b, indices, wanted)
    count = math.prod(wanted[: indices.shape[-1]])
    return b.reshape(b.scatter_add(updates, rows, 0, count), wanted)


@scatter.shape
def _(indices: Spec, updates: Spec, shape: Spec | None, *, sizes: Sizes | None) -> Spec:
    check_indices(indices.dtype)
    wanted = static_sizes(sizes, shape)
    _check_updates(indices.shape, updates.shape, wanted)
    return Spec(wanted, updates.dtype)


@scatter.gradient(saves=("indices",))
def _(c: Ctx) -> Grads:
    return None, gather_nd(c.grads[0], c.inputs[0]), None

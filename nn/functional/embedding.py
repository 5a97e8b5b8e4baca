"""Embeddings: rows of a table, one by one or summed up in bags."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import float32
from minigrad.errors import (
    ArgumentError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
)
from minigrad.nn.functional.fitting import fitted
from minigrad.ops.basic import stop_gradient
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.comparison import equal
from minigrad.ops.elementwise import divide, multiply
from minigrad.ops.gathering import gather
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import where
from minigrad.ops.shaping import ones_like
from minigrad.ops.sizes import size_argument
from minigrad.shapes import show

__all__ = ["embedding", "embedding_bag"]

_TABLE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def _row_axes(what: str, table: Tensor) -> int:
    """How many axes a row of the table has."""
    if table.shape is None:
        raise ShapeError(
            f"{what}: the rank of the table must be known while the graph is built; state it with "
            "mg.ensure_shape(table, (None, …))"
        )
    if not table.shape:
        raise ShapeError(f"{what}: the table needs at least 1 dimension, got shape ()")
    return len(table.shape) - 1


def _padding(what: str, index: Any, table: Tensor) -> int:
    """A number of a row that stands for padding. Raises unless the table has such a row."""
    number, rows = size_argument(index, f"{what}: padding_index"), (table.shape or (None,))[0]
    if number < 0 or (rows is not None and number >= rows):
        raise IndexOutOfRangeError(
            f"{what}: padding_index {number} is out of range for a table of shape "
            f"{show(table.shape)}; it must be the number of a row"
        )
    return number


@primitive(
    "Embedding",
    samples=lambda rng: [
        Sample(np.array([[0, 2], [2, 1]]), rng.normal(size=(3, 2))),
        Sample(np.array([1, 2, 2]), rng.normal(size=(3, 2)), padding_index=0),
        Sample(1, rng.normal(size=(3, 2))).named("one"),
        Sample(np.array([1, 1]), rng.normal(size=(2,)), padding_index=0).named("rows of rank 0"),
        Sample(np.zeros((0,), np.int64), rng.normal(size=(3, 2))).named("none"),
        Sample(np.array([0, 1, 0]), _TABLE, padding_index=0)
        .expecting([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
        .named("padding has no gradient"),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* of size 3", np.array([0, 3]), _TABLE),
        Fails(IndexOutOfRangeError, "index -1 .* of size 3", np.array([-1]), _TABLE),
        Fails(DTypeError, "integers", np.array([0.5]), _TABLE),
        Fails(ShapeError, "at least 1 dimension", np.array([0]), np.ones(())),
        Fails(IndexOutOfRangeError, "padding_index 3", np.array([0]), _TABLE, padding_index=3),
    ],
)
def embedding(ids: TensorLike, table: TensorLike, *, padding_index: int | None = None) -> Tensor:
    """Rows of a table, by their numbers.

    The gradient for the table is a `minigrad.IndexedSlices`: only of the rows that were looked up.

    Args:
        ids: integers of any shape, each in ``[0, rows)``.
        table: of shape ``(rows, *row)``.
        padding_index: a row that stands for padding: it is looked up like others, but no gradient
            flows to it, so that it stays what it is (as in PyTorch; Keras hides padding by masks).

    Returns:
        A tensor of shape ``(*ids.shape, *row)``.

    Raises:
        IndexOutOfRangeError: an id lies outside the table; the message names both.
        DTypeError: the ids are not integers.
        ShapeError: the table is a scalar.

    >>> import minigrad.nn as nn
    >>> nn.embedding([2, 0], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).tolist()
    [[5.0, 6.0], [1.0, 2.0]]
    """
    numbers, rows = tensor_of(ids), tensor_of(table)
    found = gather(rows, numbers)
    if padding_index is None:
        return found
    row_axes = _row_axes("embedding", rows)
    padded = equal(numbers, _padding("embedding", padding_index, rows))
    if row_axes:
        padded = expand_dims(padded, tuple(range(-row_axes, 0)))
    return where(padded, stop_gradient(found), found)


@primitive(
    "EmbeddingBag",
    samples=lambda rng: [
        Sample(np.array([[0, 2], [2, 1]]), rng.normal(size=(3, 2))),
        Sample(np.array([[0, 2], [2, 2]]), rng.normal(size=(3, 2)), mode="sum"),
        Sample(np.array([[0, 2], [0, 0]]), rng.normal(size=(3, 2)), padding_index=0),
        Sample(np.array([[0, 2]]), rng.normal(size=(3, 2)), rng.uniform(0.5, 2.0, size=(1, 2))),
        Sample(np.array([0, 2]), rng.normal(size=(3,)), rng.normal(size=2), mode="sum"),
        Sample(np.zeros((2, 0), np.int64), rng.normal(size=(3, 2))).named("empty bags"),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* of size 3", np.array([0, 3]), _TABLE),
        Fails(ArgumentError, "mode must be 'mean' or 'sum'", np.array([0]), _TABLE, mode="max"),
        Fails(ShapeError, "one number has no bag", 1, _TABLE),
        Fails(ShapeError, "weights of shape .3,. does not", np.array([0]), _TABLE, np.ones(3)),
        Fails(IndexOutOfRangeError, "padding_index 3", np.array([0]), _TABLE, padding_index=3),
    ],
)
def embedding_bag(
    ids: TensorLike,
    table: TensorLike,
    weights: TensorLike | None = None,
    *,
    mode: Literal["mean", "sum"] = "mean",
    padding_index: int | None = None,
) -> Tensor:
    """The mean or sum of the rows of a table that the ids of a bag name.

    Args:
        ids: integers of shape ``(..., n)``: bags of n ids each.
        table: of shape ``(rows, *row)``.
        weights: of the shape of `ids`, or broadcasting to it: what each row counts. A mean is
            divided by their sum (as in TensorFlow; PyTorch takes them for sums only).
        mode: ``"mean"`` or ``"sum"``.
        padding_index: an id that fills up bags with fewer members: it does not count.

    Returns:
        A tensor of shape ``(..., *row)``; 0 for a bag without members.

    Raises:
        IndexOutOfRangeError: an id lies outside the table.
        ArgumentError: there is no such mode.
        ShapeError: `ids` is a scalar, or the weights do not broadcast to it.

    >>> import minigrad.nn as nn
    >>> nn.embedding_bag([[0, 1], [2, 2]], [[1.0], [3.0], [5.0]]).tolist()
    [[2.0], [5.0]]
    """
    if mode not in ("mean", "sum"):
        raise ArgumentError(f"embedding_bag: mode must be 'mean' or 'sum', got {mode!r}")
    numbers, rows = tensor_of(ids), tensor_of(table)
    if numbers.shape == ():
        raise ShapeError("embedding_bag: expected ids of shape (..., n), but one number has no bag")
    row_axes = _row_axes("embedding_bag", rows)
    found = gather(rows, numbers)
    kind = rows.dtype if rows.dtype.is_inexact else float32
    counts = ones_like(numbers, dtype=kind)
    if weights is not None:
        given = fitted("embedding_bag", "weights", tensor_of(weights, name="weights"), numbers)
        counts = multiply(counts, given)
    if padding_index is not None:
        number = _padding("embedding_bag", padding_index, rows)
        counts = where(equal(numbers, number), 0.0, counts)
    if mode == "mean":
        total = reduce_sum(counts, axis=-1, keepdims=True)
        counts = divide(counts, where(equal(total, 0.0), 1.0, total))
    if row_axes:
        counts = expand_dims(counts, tuple(range(-row_axes, 0)))
    return reduce_sum(multiply(found, counts), axis=-1 - row_axes)

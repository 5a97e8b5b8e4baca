"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.sizes import size_argument
from minigrad.shapes import Dim, Shape, Spec, axis_argument_int, compatible, normalize_axis, show

__all__ = ["diag", "diagonal", "tril", "triu"]


def _matrices(x: Spec) -> Spec:
    """The spec of a result of the same shape; raises unless `x` has two axes."""
    if x.shape is not None and len(x.shape) < 2:
        raise ShapeError(f"at least 2 dimensions are needed, got shape {show(x.shape)}")
    return Spec(x.shape, x.dtype)


# -- triangles ---------------------------------------------------------------------------------


@primitive(
    "Tril",
    accepts="any",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 2, 3)), k=1).named("stacked"),
        Sample(rng.normal(size=(3, 2)), k=-1),
        Sample(rng.normal(size=(0, 2))).named("empty"),
        Sample(np.ones((2, 2), bool)),
    ],
    errors=[Fails(ShapeError, "at least 2 dimensions", np.ones(2))],
)
def tril(x: TensorLike, /, *, k: int = 0) -> Tensor:
    """The lower triangle of each matrix; the elements above diagonal `k` become zero.

    Args:
        x: a tensor of shape (…, rows, columns).
        k: the last diagonal that stays: 0 is the main one, negative ones lie below it.

    Raises:
        ShapeError: `x` has fewer than two dimensions.

    >>> import minigrad as mg
    >>> mg.tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    return bind(tril, x, k=size_argument(k, "k"))


def _triangle(b: Any, x: Any, comparison: str, k: int) -> Any:
    """In a plan, where column - row compares so with k."""
    rows, columns = x.shape[-2:]
    row = b.constant(np.arange(rows).reshape(rows, 1) + k)
    return b.map(comparison, b.constant(np.arange(columns)), row)


@tril.kernel
def _(xp: Any, x: Any, *, k: int) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"at least 2 dimensions are needed, got shape {show(x.shape)}")
    return xp.tril(x, k=k)


@tril.lowering
def _(b: Any, x: Any, *, k: int) -> Any:
    return b.map("Select", _triangle(b, x, "LessEqual", k), x, b.constant(0, x.dtype))


@tril.shape
def _(x: Spec, *, k: int) -> Spec:
    return _matrices(x)


@tril.gradient()
def _(c: Ctx) -> Grads:
    return tril(c.grads[0], k=c.attrs.k)


@primitive(
    "Triu",
    accepts="any",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 2, 3)), k=1).named("stacked"),
        Sample(rng.normal(size=(3, 2)), k=-1),
        Sample(rng.normal(size=(0, 2))).named("empty"),
    ],
    errors=[Fails(ShapeError, "at least 2 dimensions", np.ones(2))],
)
def triu(x: TensorLike, /, *, k: int = 0) -> Tensor:
    """The upper triangle of each matrix; the elements below diagonal `k` become zero.

    Args:
        x: a tensor of shape (…, rows, columns).
        k: the first diagonal that stays: 0 is the main one, positive ones lie above it.

    Raises:
        ShapeError: `x` has fewer than two dimensions.

    >>> import minigrad as mg
    >>> mg.triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    return bind(triu, x, k=size_argument(k, "k"))


@triu.kernel
def _(xp: Any, x: Any, *, k: int) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"at least 2 dimensions are needed, got shape {show(x.shape)}")
    return xp.triu(x, k=k)


@triu.lowering
def _(b: Any, x: Any, *, k: int) -> Any:
    return b.map("Select", _triangle(b, x, "GreaterEqual", k), x, b.constant(0, x.dtype))


@triu.shape
def _(x: Spec, *, k: int) -> Spec:
    return _matrices(x)


@triu.gradient()
def _(c: Ctx) -> Grads:
    return triu(c.grads[0], k=c.attrs.k)


# -- diagonals ---------------------------------------------------------------------------------


def _diagonal_length(rows: Dim, columns: Dim, offset: int) -> Dim:
    if rows is None or columns is None:
        return None
    return max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))


def _diagonal_shape(shape: Shape, offset: int, axis1: int, axis2: int) -> Shape:
    """The shape of the diagonals: the other axes, then one along the diagonal."""
    if shape is None:
        return None
    if len(shape) < 2:
        raise ShapeError(f"at least 2 dimensions are needed, got shape {show(shape)}")
    i, j = normalize_axis(axis1, len(shape)), normalize_axis(axis2, len(shape))
    if i == j:
        raise ShapeError(f"a diagonal needs two different axes, got {axis1} and {axis2}")
    rest = [d for n, d in enumerate(shape) if n not in (i, j)]
    return (*rest, _diagonal_length(shape[i], shape[j], offset))


@primitive(
    "MatrixDiagPart",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 3, 2)), offset=-1).named("stacked"),
        Sample(rng.normal(size=(2, 3, 2)), offset=1, axis1=1, axis2=0),
        Sample(rng.normal(size=(2, 3)), offset=5).named("beyond the matrix"),
        Sample(rng.normal(size=(0, 2))).named("empty"),
        Sample(np.arange(4).reshape(2, 2)),
    ],
    errors=[
        Fails(ShapeError, "at least 2 dimensions", np.ones(2)),
        Fails(ShapeError, "different axes", np.ones((2, 2)), axis1=0, axis2=-2),
        Fails(ShapeError, "out of range", np.ones((2, 2)), axis1=2),
    ],
)
def diagonal(x: TensorLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonal of each matrix.

    Args:
        x: a tensor of at least two dimensions.
        offset: which diagonal: 0 is the main one, positive ones lie above it.
        axis1: the axis of rows.
        axis2: the axis of columns. By default the matrices are in the last two axes, as in the
            array API; NumPy takes the first two.

    Returns:
        A tensor without those two axes, and a new last one along the diagonal.

    Raises:
        ShapeError: `x` has fewer than two dimensions, or an axis is out of range.

    >>> import minigrad as mg
    >>> mg.diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    return bind(
        diagonal,
        x,
        offset=size_argument(offset, "offset"),
        axis1=axis_argument_int(axis1),
        axis2=axis_argument_int(axis2),
    )


@diagonal.kernel
def _(xp: Any, x: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    return xp.linalg.diagonal(xp.moveaxis(x, (axis1, axis2), (-2, -1)), offset=offset)


@diagonal.lowering
def _(b: Any, x: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    i, j = normalize_axis(axis1, x.rank), normalize_axis(axis2, x.rank)
    rest = [a for a in range(x.rank) if a not in (i, j)]
    return b.diagonal(b.transpose(x, [*rest, i, j]), offset)


@diagonal.shape
def _(x: Spec, *, offset: int, axis1: int, axis2: int) -> Spec:
    return Spec(_diagonal_shape(x.shape, offset, axis1, axis2), x.dtype)


@diagonal.gradient()
def _(c: Ctx) -> Grads:
    a = c.attrs
    return diagonal_like(c.grads[0], c.inputs[0], offset=a.offset, axis1=a.axis1, axis2=a.axis2)


def _place(xp: Any, x: Any, rows: int, columns: int, offset: int) -> Any:
    """Matrices of this size that hold the last axis of `x` on a diagonal, and zeros."""
    length = x.shape[-1]
    if length == 0:
        return xp.zeros((*x.shape[:-1], rows, columns), dtype=x.dtype)
    row, column = xp.arange(rows)[:, None], xp.arange(columns)[None, :]
    # The place along the diagonal is the smaller of the two indices; elsewhere any will do.
    along = xp.clip(row if offset >= 0 else column, 0, length - 1)
    spread = xp.take(x, xp.reshape(along, (-1,)), axis=-1)
    spread = xp.reshape(spread, (*x.shape[:-1], *along.shape))
    return xp.where(column - row == offset, spread, xp.zeros((), dtype=x.dtype))


def _placed(b: Any, x: Any, rows: int, columns: int, offset: int) -> Any:
    """`_place` in a plan."""
    shape = (*x.shape[:-1], rows, columns)
    if not x.size:
        return b.full(shape, 0, x.dtype)
    if x.shape[-1] != (rows if offset >= 0 else columns):
        strides = b.strides(shape)
        first = max(offset, 0) + max(-offset, 0) * columns
        zeros = b.full(shape, 0, x.dtype)
        return b.place(shape, [(zeros, (0, strides)), (x, (first, (*strides[:-2], columns + 1)))])
    spread = b.expand(x, [x.rank if offset >= 0 else x.rank - 1])
    spread = b.broadcast(spread, shape)
    return b.map("Select", _triangle(b, spread, "Equal", offset), spread, b.constant(0, x.dtype))


@primitive(
    "DiagonalLike",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2,)), np.zeros((2, 3))).fixed(1),
        Sample(rng.normal(size=(2, 1)), np.zeros((2, 2, 2)), offset=-1).fixed(1),
        Sample(rng.normal(size=(3, 2)), np.zeros((2, 3, 2)), axis1=0, axis2=-1).fixed(1),
        Sample(rng.normal(size=(0,)), np.zeros((2, 3)), offset=3).fixed(1).named("empty"),
    ],
    errors=[Fails(ShapeError, r"expected shape \(2,\)", np.ones(3), np.ones((2, 3)))],
)
def diagonal_like(
    x: TensorLike, like: TensorLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1
) -> Tensor:
    """Zeros of the shape of `like`, with `x` on a diagonal: the adjoint of `diagonal`.

    Args:
        x: what ``diagonal(like, …)`` would have the shape of.
        like: the tensor whose shape the result has; its values are not read.
        offset: which diagonal.
        axis1: the axis of rows.
        axis2: the axis of columns.

    Raises:
        ShapeError: `x` does not have the shape of that diagonal.

    >>> import minigrad as mg
    >>> from minigrad.ops.diagonals import diagonal_like
    >>> diagonal_like([1, 2], mg.zeros((2, 3))).tolist()
    [[1, 0, 0], [0, 2, 0]]
    """
    return bind(
        diagonal_like,
        x,
        like,
        offset=size_argument(offset, "offset"),
        axis1=axis_argument_int(axis1),
        axis2=axis_argument_int(axis2),
    )


def _check_diagonal(shape: Shape, like: Shape, offset: int, axis1: int, axis2: int) -> None:
    wanted = _diagonal_shape(like, offset, axis1, axis2)
    if not compatible(shape, wanted):
        raise ShapeError(
            f"expected shape {show(wanted)}, that of the diagonal of a tensor of shape "
            f"{show(like)}, got {show(shape)}"
        )


@diagonal_like.kernel
def _(xp: Any, x: Any, like: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    _check_diagonal(x.shape, like.shape, offset, axis1, axis2)
    made = _place(xp, x, like.shape[axis1], like.shape[axis2], offset)
    return xp.moveaxis(made, (-2, -1), (axis1, axis2))


@diagonal_like.lowering
def _(b: Any, x: Any, like: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    i, j = normalize_axis(axis1, like.rank), normalize_axis(axis2, like.rank)
    made = _placed(b, x, like.shape[i], like.shape[j], offset)
    order = [a for a in range(like.rank) if a not in (i, j)]
    order += [i, j]
    return b.transpose(made, [order.index(a) for a in range(like.rank)])


@diagonal_like.shape
def _(x: Spec, like: Spec, *, offset: int, axis1: int, axis2: int) -> Spec:
    _check_diagonal(x.shape, like.shape, offset, axis1, axis2)
    return Spec(like.shape, x.dtype)


@diagonal_like.gradient()
def _(c: Ctx) -> Grads:
    a = c.attrs
    return diagonal(c.grads[0], offset=a.offset, axis1=a.axis1, axis2=a.axis2), None


@primitive(
    "MatrixDiag",
    samples=lambda rng: [
        Sample(rng.normal(size=(3,))),
        Sample(rng.normal(size=(2, 2)), offset=1).named("stacked"),
        Sample(rng.normal(size=(1,)), offset=-2),
        Sample(rng.normal(size=(0,)), offset=1).named("empty"),
        Sample(np.arange(2)),
    ],
    errors=[Fails(ShapeError, "at least 1 dimension", np.ones(()))],
)
def diag(x: TensorLike, /, *, offset: int = 0) -> Tensor:
    """Square matrices with the last axis of `x` on a diagonal, and zeros elsewhere.

    Args:
        x: a tensor of shape (…, n).
        offset: which diagonal: 0 is the main one, positive ones lie above it.

    Returns:
        A tensor of shape (…, n + |offset|, n + |offset|).

    Raises:
        ShapeError: `x` is 0-d.

    `numpy.diag` of a matrix takes its diagonal; here that is `diagonal`.

    >>> import minigrad as mg
    >>> mg.diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    return bind(diag, x, offset=size_argument(offset, "offset"))


@diag.kernel
def _(xp: Any, x: Any, *, offset: int) -> Any:
    size = x.shape[-1] + abs(offset)
    return _place(xp, x, size, size, offset)


@diag.lowering
def _(b: Any, x: Any, *, offset: int) -> Any:
    size = x.shape[-1] + abs(offset)
    return _placed(b, x, size, size, offset)


@diag.shape
def _(x: Spec, *, offset: int) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    if not x.shape:
        raise ShapeError("at least 1 dimension is needed, got shape ()")
    last = x.shape[-1]
    size = None if last is None else last + abs(offset)
    return Spec((*x.shape[:-1], size, size), x.dtype)


@diag.gradient()
def _(c: Ctx) -> Grads:
    return diagonal(c.grads[0], offset=c.attrs.offset)

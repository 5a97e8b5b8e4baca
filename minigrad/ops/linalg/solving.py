"""Inverses and systems of linear equations."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import DTypeError, ShapeError
from minigrad.ops.broadcasting import squeeze
from minigrad.ops.diagonals import tril, triu
from minigrad.ops.elementwise import negative
from minigrad.ops.elementwise_samples import TEXT
from minigrad.ops.linalg.common import (
    as_columns,
    fitted,
    lapack,
    product_with_transpose,
    square_shape,
    stacked,
)
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.products import matmul
from minigrad.ops.shaping import reshape_like
from minigrad.shapes import Shape, Spec, broadcast, show


def well_conditioned(rng: np.random.Generator, *shape: int) -> Array:
    """Random square matrices, for samples, that are far from singular."""
    return rng.normal(size=shape) * 0.5 + 2.0 * np.eye(shape[-1])


def complex_normal(rng: np.random.Generator, *shape: int) -> Array:
    """Random complex numbers, for samples."""
    made: Array = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return made


def complex_regular(rng: np.random.Generator, *shape: int) -> Array:
    """Random complex square matrices, for samples, that are far from singular."""
    made: Array = complex_normal(rng, *shape) * 0.5 + 2.0 * np.eye(shape[-1])
    return made


@primitive(
    "MatrixInverse",
    accepts="float",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2)),
        Sample(well_conditioned(rng, 3, 3)),
        Sample(well_conditioned(rng, 2, 2, 2)).named("batch"),
        Sample(np.zeros((0, 2, 2))).named("empty"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_regular(rng, 2, 2, 2)).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3))),
        Fails(ShapeError, "matrices", np.ones(3)),
        Fails(DTypeError, "does not take string", TEXT),
    ],
)
def inv(x: TensorLike, /) -> Tensor:
    """Inverse of square matrices.

    Args:
        x: float or complex, of shape ``(..., n, n)``.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: one is singular.

    The gradient is ``−yᵀ g yᵀ`` (Giles 2008, "Collected matrix derivative results", 2.2.3). To
    multiply by an inverse, `solve` is faster and more accurate.

    >>> import minigrad as mg
    >>> mg.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return bind(inv, x)


@inv.kernel
def _(xp: Any, x: Array) -> Array:
    made: Array = lapack(
        xp.linalg.inv,
        x,
        failure="inv: the matrix is singular, so it has no inverse; "
        "mg.linalg.pinv gives the pseudo-inverse",
    )
    return made


@inv.shape
def _(x: Spec) -> Spec:
    leading, n = square_shape(x.shape, "inv")
    return Spec(stacked(leading, n, n), x.dtype)


@inv.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    transposed = matrix_transpose(c.outputs[0])
    return negative(matmul(transposed, matmul(c.grads[0], transposed)))


def _solution_shape(name: str, a: Shape, b: Shape) -> Shape:
    """The shape of the solution of a x = b."""
    leading, n = square_shape(a, name)
    if b == ():
        raise ShapeError(f"{name} takes a vector or matrices on the right, got a scalar")
    if b is None:
        return None
    rows = b[0] if len(b) == 1 else b[-2]
    if n is not None and rows is not None and n != rows:
        raise ShapeError(
            f"{name}: matrices of shape {show(a)} do not fit a right-hand side of shape "
            f"{show(b)}: {n} equations, but {rows} rows"
        )
    size = rows if n is None else n
    if len(b) == 1:
        return stacked(leading, size)
    return None if leading is None else stacked(broadcast(leading, b[:-2]), size, b[-1])


def _for_right_side(h: Tensor, g: Tensor, right: Tensor) -> Tensor:
    """The gradient for the right-hand side, from h in columns, in the shape of `right`."""
    if right.shape is None:
        h = reshape_like(h, g)
    elif len(right.shape) == 1:
        h = squeeze(h, axis=-1)
    return fitted(h, right)


@primitive(
    "MatrixSolve",
    accepts="float",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2), rng.normal(size=2)).named("vector"),
        Sample(well_conditioned(rng, 3, 3), rng.normal(size=(3, 2))),
        Sample(well_conditioned(rng, 2, 2, 2), rng.normal(size=(2, 2, 1))).named("batch"),
        Sample(well_conditioned(rng, 2, 2, 2), rng.normal(size=2)).named("batch, one vector"),
        Sample(well_conditioned(rng, 2, 2), rng.normal(size=(2, 2, 1))).named("shared matrix"),
        Sample(well_conditioned(rng, 2, 1, 2, 2), rng.normal(size=(2, 2, 1))).named("broadcast"),
        Sample(np.array([[2, 1], [1, 1]]), np.array([1, 0])).named("integers"),
        Sample(complex_regular(rng, 2, 2), complex_normal(rng, 2)).named("complex"),
        Sample(np.eye(2), complex_normal(rng, 2, 1)).fixed(0).named("real and complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3)), np.ones(2)),
        Fails(ShapeError, "2 equations, but 3 rows", np.eye(2), np.ones(3)),
        Fails(ShapeError, "do not broadcast", np.ones((2, 2, 2)), np.ones((3, 2, 1))),
        Fails(ShapeError, "scalar", np.eye(2), 1.0),
    ],
)
def solve(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """The solution y of the linear equations x1 y = x2.

    Args:
        x1: float or complex, of shape ``(..., n, n)``.
        x2: float or complex, of shape ``(n,)`` (one vector for all of `x1`) or ``(..., n, k)``;
            leading dimensions broadcast.

    Returns:
        A tensor of shape ``(..., n)`` or ``(..., n, k)``.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        LinAlgError: a matrix is singular.

    With h = x1⁻ᵀ g, the gradients are ``−h yᵀ`` and ``h`` (Giles 2008, 2.3.1).

    >>> import minigrad as mg
    >>> mg.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0]).tolist()
    [0.5, 0.25]
    """
    return bind(solve, x1, x2)


@solve.kernel
def _(xp: Any, x1: Array, x2: Array) -> Array:
    made: Array = lapack(
        xp.linalg.solve,
        *(x1, x2),
        failure="solve: the matrix is singular, so the equations have no single solution; "
        "mg.linalg.pinv(x1) @ x2 gives the one of least squares",
    )
    return made


@solve.shape
def _(x1: Spec, x2: Spec) -> Spec:
    return Spec(_solution_shape("solve", x1.shape, x2.shape), x1.dtype)


@solve.gradient(saves=("x1", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2), (y,) = c.grads, c.inputs, c.outputs
    columns, y = as_columns(x2, g, y)
    h = solve(matrix_transpose(x1), columns)
    return (
        fitted(negative(product_with_transpose(h, y)), x1) if c.needs[0] else None,
        _for_right_side(h, g, x2) if c.needs[1] else None,
    )


@primitive(
    "MatrixTriangularSolve",
    accepts="float",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 3, 3), rng.normal(size=(3, 1))),
        Sample(well_conditioned(rng, 2, 2), rng.normal(size=2), lower=False),
        Sample(well_conditioned(rng, 2, 2), rng.normal(size=(2, 1)), transpose=True),
        Sample(
            *(well_conditioned(rng, 2, 2), rng.normal(size=(2, 2, 1))),
            lower=False,
            transpose=True,
        ).named("shared matrix"),
        Sample(well_conditioned(rng, 2, 2, 2), rng.normal(size=2)).named("batch, one vector"),
        Sample(complex_regular(rng, 2, 2), complex_normal(rng, 2, 1)).named("complex"),
        Sample(complex_regular(rng, 2, 2), complex_normal(rng, 2), transpose=True, lower=False),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3)), np.ones(2)),
        Fails(ShapeError, "2 equations, but 3 rows", np.eye(2), np.ones(3)),
    ],
)
def triangular_solve(
    x1: TensorLike, x2: TensorLike, /, *, lower: bool = True, transpose: bool = False
) -> Tensor:
    """The solution y of triangular linear equations x1 y = x2.

    Args:
        x1: float or complex, of shape ``(..., n, n)``; only one triangle is read.
        x2: float or complex, of shape ``(n,)`` or ``(..., n, k)``; leading dimensions broadcast.
        lower: whether the triangle is the lower one.
        transpose: solve x1ᵀ y = x2 instead; complex numbers are not conjugated.

    Returns:
        A tensor of shape ``(..., n)`` or ``(..., n, k)``.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        LinAlgError: a number on the diagonal is zero.

    The gradient for `x1` is that of `solve`, in the triangle that is read; 0 elsewhere.

    >>> import minigrad as mg
    >>> mg.linalg.triangular_solve([[2.0, 0.0], [1.0, 1.0]], [2.0, 3.0]).tolist()
    [1.0, 2.0]
    """
    return bind(triangular_solve, x1, x2, lower=bool(lower), transpose=bool(transpose))


@triangular_solve.kernel
def _(xp: Any, x1: Array, x2: Array, *, lower: bool, transpose: bool) -> Array:
    def substitute(a: Array, b: Array) -> Array:
        a = xp.tril(a) if lower else xp.triu(a)
        if transpose:
            a = xp.matrix_transpose(a)
        vector = b.ndim == 1
        b = xp.expand_dims(b, axis=-1) if vector else b
        # LU factors of an upper triangle are itself and 1, without any exchange of rows. A lower
        # one is an upper one read backwards.
        backwards = lower is not transpose
        if backwards:
            a, b = xp.flip(a, axis=(-2, -1)), xp.flip(b, axis=-2)
        y = xp.linalg.solve(a, b)
        y = xp.flip(y, axis=-2) if backwards else y
        made: Array = xp.squeeze(y, axis=-1) if vector else y
        return made

    square_shape(x1.shape, "triangular_solve")
    made: Array = lapack(
        substitute,
        *(x1, x2),
        failure="triangular_solve: the triangular matrix has a zero on its diagonal, so it is "
        "singular",
    )
    return made


@triangular_solve.shape
def _(x1: Spec, x2: Spec, *, lower: bool, transpose: bool) -> Spec:
    return Spec(_solution_shape("triangular_solve", x1.shape, x2.shape), x1.dtype)


@triangular_solve.gradient(saves=("x1", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2), (y,) = c.grads, c.inputs, c.outputs
    lower, transpose = c.attrs.lower, c.attrs.transpose
    columns, y = as_columns(x2, g, y)
    h = triangular_solve(x1, columns, lower=lower, transpose=not transpose)
    for_matrix = None
    if c.needs[0]:
        full = product_with_transpose(*((y, h) if transpose else (h, y)))
        for_matrix = fitted(negative(tril(full) if lower else triu(full)), x1)
    return for_matrix, _for_right_side(h, g, x2) if c.needs[1] else None

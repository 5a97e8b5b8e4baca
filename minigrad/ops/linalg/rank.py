"""The pseudo-inverse, the rank, and powers of matrices."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import int64
from minigrad.errors import ArgumentTypeError, ShapeError
from minigrad.ops.diagonals import diagonal, diagonal_like
from minigrad.ops.elementwise import negative
from minigrad.ops.linalg.common import (
    lapack,
    matrix_shape,
    product_with_transpose,
    require_finite,
    square_shape,
    stacked,
)
from minigrad.ops.linalg.solving import complex_normal, complex_regular, inv, well_conditioned
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.products import matmul
from minigrad.ops.shaping import ones_like
from minigrad.shapes import Spec


def _tolerance(rtol: Any) -> float | None:
    if rtol is None:
        return None
    try:
        return float(rtol)
    except TypeError as error:
        raise ArgumentTypeError(f"rtol must be a number or None, got {rtol!r}") from error


def _cutoff(x: Array, rtol: float | None) -> float:
    """The array API's default: max(m, n) times the spacing of numbers at 1."""
    if rtol is not None:
        return rtol
    longest: int = max(x.shape[-2:])
    return longest * float(np.finfo(x.dtype).eps)


@primitive(
    "PseudoInverse",
    accepts="float",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2)),
        Sample(rng.normal(size=(3, 2)) + 2 * np.eye(3, 2)),
        Sample(rng.normal(size=(2, 3)) + 2 * np.eye(2, 3)),
        Sample(rng.normal(size=(2, 1, 2))).named("batch"),
        Sample(np.array([[1.0, 2.0], [2.0, 4.0]])).order(0, "rank 1: not continuous there"),
        Sample(np.zeros((2, 0))).named("empty"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_normal(rng, 2, 3, 2)).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "matrices", np.ones(3)),
        Fails(ArgumentTypeError, "rtol", np.ones((2, 2)), rtol=[1.0]),
    ],
)
def pinv(x: TensorLike, /, *, rtol: float | None = None) -> Tensor:
    """Pseudo-inverse (of Moore and Penrose) of matrices: ``pinv(x) @ b`` solves least squares.

    Args:
        x: float or complex, of shape ``(..., m, n)``.
        rtol: singular values up to `rtol` times the largest count as 0; by default max(m, n)
            times the dtype's precision.

    Returns:
        A tensor of shape ``(..., n, m)``.

    Raises:
        ShapeError: `x` is not made of matrices.
        LinAlgError: `x` holds NaN or infinity.

    With P = pinv(x), the gradient is −Pᵀ g Pᵀ + (1 − x P) gᵀ P Pᵀ + Pᵀ P gᵀ (1 − P x) (Golub and
    Pereyra 1973, "The differentiation of pseudo-inverses"). It takes for granted that the rank
    stays; where a small change of `x` raises it, the pseudo-inverse jumps.

    >>> import minigrad as mg
    >>> mg.linalg.pinv([[2.0, 0.0], [0.0, 0.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    return bind(pinv, x, rtol=_tolerance(rtol))


@pinv.kernel
def _(xp: Any, x: Array, *, rtol: float | None) -> Any:
    matrix_shape(x.shape, "pinv")
    require_finite(xp, x, "pinv")
    if x.size == 0:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
    return lapack(
        lambda a: xp.linalg.pinv(a, rtol=_cutoff(a, rtol)),
        x,
        failure="pinv: the singular values did not converge",
    )


@pinv.shape
def _(x: Spec, *, rtol: float | None) -> Spec:
    leading, m, n = matrix_shape(x.shape, "pinv")
    return Spec(stacked(leading, n, m), x.dtype)


@pinv.gradient(saves=("x", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x,), (p,) = c.grads, c.inputs, c.outputs
    turned = matrix_transpose(g)
    columns = matmul(turned - matmul(x, matmul(p, turned)), product_with_transpose(p, p))
    rows = turned - matmul(matmul(turned, p), x)
    transposed = matrix_transpose(p)
    main = matmul(matmul(transposed, g), transposed)
    return negative(main) + columns + matmul(matmul(transposed, p), rows)


@primitive(
    "MatrixRank",
    accepts="float",
    not_differentiable="a rank is an integer",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(np.array([[1.0, 2.0], [2.0, 4.0]])),
        Sample(np.stack([np.eye(2), np.zeros((2, 2))])).named("batch"),
        Sample(np.diag([1.0, 1e-3]), rtol=0.1),
        Sample(np.zeros((0, 2))).named("empty"),
        Sample(np.array([[1, 1j], [1j, -1]])).named("complex"),
    ],
    errors=[Fails(ShapeError, "matrices", np.ones(3))],
)
def matrix_rank(x: TensorLike, /, *, rtol: float | None = None) -> Tensor:
    """Rank of matrices: the number of singular values that are not 0.

    Args:
        x: float or complex, of shape ``(..., m, n)``.
        rtol: singular values up to `rtol` times the largest count as 0; by default max(m, n)
            times the dtype's precision.

    Returns:
        An int64 tensor of shape ``(...)``.

    Raises:
        ShapeError: `x` is not made of matrices.
        LinAlgError: `x` holds NaN or infinity.

    >>> import minigrad as mg
    >>> mg.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    Tensor(1, shape=(), dtype=int64)
    """
    return bind(matrix_rank, x, rtol=_tolerance(rtol))


@matrix_rank.kernel
def _(xp: Any, x: Array, *, rtol: float | None) -> Any:
    matrix_shape(x.shape, "matrix_rank")
    require_finite(xp, x, "matrix_rank")
    if x.size == 0:
        return xp.zeros(x.shape[:-2], dtype=np.int64)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    values = lapack(
        lambda a: xp.linalg.svd(a, compute_uv=False),
        wide,
        failure="matrix_rank: the singular values did not converge",
    )
    largest = xp.max(values, axis=-1, keepdims=True)
    return xp.sum(values > largest * _cutoff(wide, rtol), axis=-1, dtype=np.int64)


@matrix_rank.shape
def _(x: Spec, *, rtol: float | None) -> Spec:
    return Spec(matrix_shape(x.shape, "matrix_rank")[0], int64)


@primitive(
    "MatrixPower",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2), 3),
        Sample(well_conditioned(rng, 2, 2), -2),
        Sample(well_conditioned(rng, 2, 2), 1),
        Sample(well_conditioned(rng, 2, 2), 0),
        Sample(well_conditioned(rng, 2, 2, 2), 4).named("batch"),
        Sample(np.array([[1, 1], [1, 0]]), 5).named("integers"),
        Sample(complex_regular(rng, 2, 2), -3).named("complex"),
        Sample(complex_regular(rng, 2, 2), 0).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3)), 2),
        Fails(ArgumentTypeError, "integer", np.ones((2, 2)), 0.5),
    ],
)
def matrix_power(x: TensorLike, n: int, /) -> Tensor:
    """Square matrices multiplied by themselves, in about 2 log₂(n) products.

    Args:
        x: numeric, of shape ``(..., m, m)``; float or complex where `n` is negative.
        n: the exponent; 0 gives the identity, a negative one powers of the inverse.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: the matrices are not square.
        ArgumentTypeError: `n` is no integer.
        LinAlgError: one is singular, and `n` negative.

    >>> import minigrad as mg
    >>> mg.linalg.matrix_power([[1, 1], [1, 0]], 5).tolist()
    [[8, 5], [5, 3]]
    """
    try:
        exponent = operator.index(n)
    except TypeError as error:
        raise ArgumentTypeError(f"the power of a matrix must be an integer, got {n!r}") from error
    square = tensor_of(x)
    square_shape(square.shape, "matrix_power")
    if exponent == 0:
        return diagonal_like(ones_like(diagonal(square)), square)
    if exponent < 0:
        square, exponent = inv(square), -exponent
    made: Tensor | None = None
    while True:
        if exponent & 1:
            made = square if made is None else matmul(made, square)
        exponent >>= 1
        if not exponent:
            return square if made is None else made
        square = matmul(square, square)

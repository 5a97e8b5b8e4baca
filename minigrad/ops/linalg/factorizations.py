"""Cholesky and QR factorizations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind, bind_all
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, NotDifferentiableError, ShapeError
from minigrad.ops.diagonals import tril
from minigrad.ops.joining import concat, split
from minigrad.ops.linalg.common import (
    lapack,
    matrix_shape,
    product_with_transpose,
    require_finite,
    smaller,
    square_shape,
    stacked,
    symmetric_part,
    symmetrized,
)
from minigrad.ops.linalg.solving import complex_normal, triangular_solve
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.products import matmul
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.signs import conj
from minigrad.shapes import Spec

#: Makes a matrix that is not symmetric.
_SKEW = np.array([[0.0, 0.1], [-0.2, 0.0]])


def _positive_definite(rng: np.random.Generator, *shape: int) -> Array:
    """Random symmetric matrices with eigenvalues above 1."""
    half = rng.normal(size=shape)
    made: Array = half @ np.swapaxes(half, -1, -2) * 0.5 + np.eye(shape[-1])
    return made


@primitive(
    "Cholesky",
    accepts="float",
    samples=lambda rng: [
        Sample(_positive_definite(rng, 2, 2)),
        Sample(_positive_definite(rng, 3, 3)),
        Sample(_positive_definite(rng, 2, 2), upper=True),
        Sample(_positive_definite(rng, 2, 2, 2)).named("batch"),
        Sample(_positive_definite(rng, 2, 2) + _SKEW).named("not symmetric"),
        Sample(np.zeros((0, 2, 2))).named("empty"),
        Sample(np.array([[4, 2], [2, 3]])).named("integers"),
        Sample(np.array([[4, 1 - 2j], [1 + 2j, 3]])).named("complex"),
        Sample(np.array([[4, 1 - 2j], [1 + 2j, 3]]), upper=True).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3))),
        Fails(ShapeError, "matrices", np.ones(3)),
    ],
)
def cholesky(x: TensorLike, /, *, upper: bool = False) -> Tensor:
    """The triangular factor of positive definite matrices: x = L Lᵀ, or Uᵀ U.

    Args:
        x: float or complex, of shape ``(..., n, n)``, symmetric (complex: Hermitian) and positive
            definite. For complex matrices read the conjugate transpose for ᵀ.
        upper: give U instead of L.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: one is not positive definite, or holds NaN or infinity.

    Its symmetric part (x + xᵀ)/2 is what is factored (as in JAX; NumPy reads one triangle), so
    the gradient is symmetric. The rule is that of Murray 2016, "Differentiation of the Cholesky
    decomposition", eq. 10: with Φ taking the lower triangle and half the diagonal, it is the
    symmetric part of L⁻ᵀ Φ(Lᵀ g) L⁻¹.

    >>> import minigrad as mg
    >>> mg.linalg.cholesky([[4.0, 2.0], [2.0, 2.0]]).tolist()
    [[2.0, 0.0], [1.0, 1.0]]
    """
    factor = bind(cholesky, x)
    if not upper:
        return factor
    turned = matrix_transpose(factor)
    return conj(turned) if turned.dtype.is_complex else turned


@cholesky.kernel
def _(xp: Any, x: Array) -> Array:
    require_finite(xp, x, "cholesky")
    made: Array = lapack(
        lambda a: xp.linalg.cholesky(symmetric_part(xp, a)),
        x,
        failure="cholesky: the matrix is not positive definite; a small multiple of the identity "
        "added to it helps where rounding is the cause",
    )
    return made


@cholesky.shape
def _(x: Spec) -> Spec:
    leading, n = square_shape(x.shape, "cholesky")
    return Spec(stacked(leading, n, n), x.dtype)


@cholesky.gradient(saves=("y",))
def _(c: Ctx) -> Grads:
    (g,), (factor,) = c.grads, c.outputs
    inner = matmul(matrix_transpose(factor), g)
    inner = (tril(inner) + tril(inner, k=-1)) * 0.5
    half = triangular_solve(factor, inner, transpose=True)
    full = triangular_solve(factor, matrix_transpose(half), transpose=True)
    return symmetrized(full)


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangle."""

    Q: Tensor
    R: Tensor


@primitive(
    "Qr",
    accepts="float",
    outputs=("Q", "R"),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2)) + 2 * np.eye(2)),
        Sample(rng.normal(size=(3, 2)) + 2 * np.eye(3, 2)),
        Sample(rng.normal(size=(2, 3)) + 2 * np.eye(2, 3)).named("wide"),
        Sample(rng.normal(size=(2, 2, 2)) + 2 * np.eye(2)).named("batch"),
        Sample(rng.normal(size=(2, 3)) + 2 * np.eye(2, 3), mode="complete"),
        Sample(rng.normal(size=(3, 2)), mode="complete").order(0, "Q's last column is arbitrary"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_normal(rng, 2, 3, 2)).named("complex"),
        Sample(complex_normal(rng, 3, 2), mode="complete").named("complex"),
    ],
    errors=[
        Fails(ShapeError, "matrices", np.ones(3)),
        Fails(ArgumentError, "reduced", np.ones((2, 2)), mode="raw"),
    ],
)
def qr(x: TensorLike, /, *, mode: str = "reduced") -> QRResult:
    """Factor matrices into orthonormal columns and an upper triangle: x = Q R.

    Args:
        x: float or complex, of shape ``(..., m, n)``.
        mode: "reduced": Q has k = min(m, n) columns; "complete": Q is square.

    Returns:
        A named tuple: `Q` of shape ``(..., m, k)`` or ``(..., m, m)``, and `R` of shape
        ``(..., k, n)`` or ``(..., m, n)``. Signs are LAPACK's: R's diagonal may be negative.

    Raises:
        ShapeError: `x` is not made of matrices.
        ArgumentError: another mode.
        LinAlgError: the gradient is asked for where the first k columns are linearly dependent.
        NotDifferentiableError: the gradient is asked for in complete mode with m > n, where the
            last columns of Q are arbitrary.

    The gradient is that of Liao et al. 2019, "Differentiable programming tensor networks",
    eq. 5; for wide matrices that of Roberts and Roberts 2020, "QR and LQ decomposition matrix
    backpropagation algorithms".

    >>> import minigrad as mg
    >>> q, r = mg.linalg.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> mg.round(q @ r).tolist()
    [[3.0, 1.0], [4.0, 2.0]]
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"mode must be 'reduced' or 'complete', got {mode!r}")
    return QRResult(*bind_all(qr, x, mode=mode))


@qr.kernel
def _(xp: Any, x: Array, *, mode: str) -> tuple[Array, Array]:
    matrix_shape(x.shape, "qr")
    q, r = lapack(lambda a: tuple(xp.linalg.qr(a, mode=mode)), x, failure="qr failed")
    return q, r


@qr.shape
def _(x: Spec, *, mode: str) -> tuple[Spec, Spec]:
    leading, m, n = matrix_shape(x.shape, "qr")
    k = m if mode == "complete" else smaller(m, n)
    return Spec(stacked(leading, m, k), x.dtype), Spec(stacked(leading, k, n), x.dtype)


@qr.gradient(saves=("Q", "R"))
def _(c: Ctx) -> Grads:
    (gq, gr), (q, r) = c.grads, c.outputs
    _, m, n = matrix_shape(c.inputs[0].shape, "qr")
    if c.attrs.mode == "complete" and (m is None or n is None or m > n):
        raise NotDifferentiableError(
            "qr with mode='complete' has a gradient only where the static shape says that the "
            "matrices have no more rows than columns; use mode='reduced', or mg.ensure_shape"
        )
    if m is not None and n is not None and m >= n:
        return _tall_gradient(q, r, gq, gr)
    # x = [X Y] and R = [U V]: X = Q U is a factorization of its own, and V = Qᵀ Y. Where only the
    # run knows the sizes, Y and V may turn out empty, which leaves the gradient of tall matrices.
    k = shape_of(q)[-1] if m is None or n is None else m
    (u, v), (gu, gv) = split(r, (k, -1), axis=-1), split(gr, (k, -1), axis=-1)
    left = _tall_gradient(q, u, gq + matmul(q, product_with_transpose(v, gv)), gu)
    return concat([left, matmul(q, gv)], axis=-1)


def _tall_gradient(q: Tensor, r: Tensor, gq: Tensor, gr: Tensor) -> Tensor:
    """The gradient where R is square."""
    inner = product_with_transpose(r, gr) - matmul(matrix_transpose(gq), q)
    inner = tril(inner) + matrix_transpose(tril(inner, k=-1))
    full = gq + matmul(q, inner)
    return matrix_transpose(triangular_solve(r, matrix_transpose(full), lower=False))

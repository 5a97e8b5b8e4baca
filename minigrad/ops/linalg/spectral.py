"""Eigenvalues of symmetric matrices, and singular values.

Of complex matrices, symmetric means Hermitian, ᵀ the conjugate transpose, and the values are real.
Where eigenvalues (or singular values) coincide, up to rounding, their vectors are arbitrary, and a
gradient that comes through them is NaN. One that comes through the values alone is not harmed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind, bind_all
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import NotDifferentiableError, ShapeError
from minigrad.ops import reductions, signs
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.linalg.common import (
    divided,
    lapack,
    matrix_shape,
    off_diagonal,
    product_with_transpose,
    refuse_complex,
    require_finite,
    scaled_columns,
    smaller,
    square_shape,
    stacked,
    symmetric_part,
    symmetrized,
)
from minigrad.ops.linalg.solving import complex_normal
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.products import matmul
from minigrad.ops.shaping import zeros_like
from minigrad.shapes import Spec

#: Makes a matrix that is not symmetric.
_SKEW = np.array([[0.0, 0.1], [-0.2, 0.0]])

_HERMITIAN = np.array([[2, 1 - 1j], [1 + 1j, -1]])


def _apart(rng: np.random.Generator, *shape: int) -> Array:
    """Random symmetric matrices whose eigenvalues lie well apart."""
    half = rng.normal(size=shape) * 0.3
    spread = np.diag(np.arange(shape[-1]) * 1.5 - 1.0)
    made: Array = half + np.swapaxes(half, -1, -2) + spread
    return made


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and an eigenvector a column."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@primitive(
    "SelfAdjointEigV2",
    accepts="float",
    outputs=("eigenvalues", "eigenvectors"),
    samples=lambda rng: [
        Sample(_apart(rng, 2, 2)),
        Sample(_apart(rng, 3, 3)),
        Sample(_apart(rng, 2, 2, 2)).named("batch"),
        Sample(_apart(rng, 2, 2) + _SKEW).named("not symmetric"),
        Sample(np.zeros((0, 2, 2))).named("empty"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(_HERMITIAN).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3))),
        Fails(ShapeError, "matrices", np.ones(3)),
    ],
)
def eigh(x: TensorLike, /) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric matrices: x = V diag(λ) Vᵀ.

    Args:
        x: float or complex, of shape ``(..., n, n)``, symmetric (complex: Hermitian).

    Returns:
        A named tuple: `eigenvalues` of shape ``(..., n)`` in ascending order, which are real, and
        `eigenvectors` of shape ``(..., n, n)``, one a column. Their signs (complex: phases) are
        LAPACK's, and arbitrary.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: `x` holds NaN or infinity.

    The symmetric part (x + xᵀ)/2 is what is decomposed (as in JAX; NumPy reads one triangle), so
    the gradient is symmetric: that part of V (diag(g_λ) + F∘(Vᵀ g_V)) Vᵀ, with
    F = 1/(λⱼ − λᵢ) (Giles 2008, 3.1; Seeger et al. 2017, "Auto-differentiating linear algebra").
    Where two eigenvalues coincide, their vectors are arbitrary: a gradient that comes through
    these is NaN, one that comes through eigenvalues alone is V diag(g_λ) Vᵀ. Second derivatives
    need distinct eigenvalues.

    >>> import minigrad as mg
    >>> mg.linalg.eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues.tolist()
    [1.0, 2.0]
    """
    return EighResult(*bind_all(eigh, x))


@eigh.kernel
def _(xp: Any, x: Array) -> tuple[Array, Array]:
    require_finite(xp, x, "eigh")
    values, vectors = lapack(
        lambda a: tuple(xp.linalg.eigh(symmetric_part(xp, a))),
        x,
        failure="eigh: the eigenvalues did not converge",
    )
    return values, vectors


@eigh.shape
def _(x: Spec) -> tuple[Spec, Spec]:
    leading, n = square_shape(x.shape, "eigh")
    values = Spec(stacked(leading, n), signs.real_dtype(x.dtype))
    return values, Spec(stacked(leading, n, n), x.dtype)


@eigh.gradient(saves=("eigenvalues", "eigenvectors"))
def _(c: Ctx) -> Grads:
    refuse_complex(c, "eigh")
    (g_values, g_vectors), (values, vectors) = c.grads, c.outputs
    if values.shape is not None and values.shape[-1] == 0:
        return zeros_like(vectors)
    # Of 1/(λⱼ − λᵢ) times Vᵀ g the symmetric part is what counts.
    product = off_diagonal(matmul(matrix_transpose(vectors), g_vectors))
    mirrored = matrix_transpose(product)
    inner = divided(
        (product - mirrored) * 0.5,
        expand_dims(values, axis=-2) - expand_dims(values, axis=-1),
        _largest(values),
        signs.abs(product) + signs.abs(mirrored),
    )
    full = scaled_columns(vectors, g_values) + matmul(vectors, inner)
    return symmetrized(product_with_transpose(full, vectors))


def _largest(values: Tensor) -> Tensor:
    """The largest absolute value of each matrix, as matrices of one element."""
    return expand_dims(reductions.max(signs.abs(values), axis=-1, keepdims=True), axis=-1)


@primitive(
    "SelfAdjointEigenvalues",
    accepts="float",
    samples=lambda rng: [
        Sample(_apart(rng, 3, 3)),
        Sample(_apart(rng, 2, 2, 2)).named("batch"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(_HERMITIAN).named("complex"),
        Sample(_HERMITIAN + 1j * _SKEW).named("complex, not Hermitian"),
    ],
    errors=[Fails(ShapeError, "square matrices", np.ones((2, 3)))],
)
def eigvalsh(x: TensorLike, /) -> Tensor:
    """Eigenvalues of symmetric matrices, in ascending order.

    Args:
        x: float or complex, of shape ``(..., n, n)``; its symmetric (complex: Hermitian) part is
            what counts.

    Returns:
        A real tensor of shape ``(..., n)``.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: `x` holds NaN or infinity.

    The gradient is V diag(g) Vᵀ, with the eigenvectors V computed when it is asked for. The second
    derivative needs distinct eigenvalues.

    >>> import minigrad as mg
    >>> mg.linalg.eigvalsh([[2.0, 0.0], [0.0, 1.0]]).tolist()
    [1.0, 2.0]
    """
    return bind(eigvalsh, x)


@eigvalsh.kernel
def _(xp: Any, x: Array) -> Array:
    require_finite(xp, x, "eigvalsh")
    made: Array = lapack(
        lambda a: xp.linalg.eigvalsh(symmetric_part(xp, a)),
        x,
        failure="eigvalsh: the eigenvalues did not converge",
    )
    return made


@eigvalsh.shape
def _(x: Spec) -> Spec:
    leading, n = square_shape(x.shape, "eigvalsh")
    return Spec(stacked(leading, n), signs.real_dtype(x.dtype))


@eigvalsh.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    refuse_complex(c, "eigvalsh")
    vectors = eigh(c.inputs[0]).eigenvectors
    return product_with_transpose(scaled_columns(vectors, c.grads[0]), vectors)


class SVDResult(NamedTuple):
    """Left singular vectors, singular values in descending order, right singular vectors."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _separated(rng: np.random.Generator, *shape: int) -> Array:
    """Random matrices whose singular values lie well apart, and from 0."""
    k = min(shape[-2:])
    made: Array = rng.normal(size=shape) * 0.3
    made[..., range(k), range(k)] += 1.5 * np.arange(1, k + 1)
    return made


@primitive(
    "Svd",
    accepts="float",
    outputs=("U", "S", "Vh"),
    samples=lambda rng: [
        Sample(_separated(rng, 2, 2)),
        Sample(_separated(rng, 3, 2), full_matrices=False),
        Sample(_separated(rng, 2, 3), full_matrices=False),
        Sample(_separated(rng, 2, 2, 2), full_matrices=False).named("batch"),
        Sample(_separated(rng, 3, 2)).order(0, "U's last column is arbitrary"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_normal(rng, 2, 3, 2)).named("complex"),
        Sample(complex_normal(rng, 2, 3), full_matrices=False).named("complex"),
    ],
    errors=[Fails(ShapeError, "matrices", np.ones(3))],
)
def svd(x: TensorLike, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular value decomposition: x = U diag(S) Vᵀ.

    Args:
        x: float or complex, of shape ``(..., m, n)``.
        full_matrices: U and Vh are square; otherwise they hold only the k = min(m, n) vectors
            that belong to singular values.

    Returns:
        A named tuple: `U` of shape ``(..., m, m)`` or ``(..., m, k)``, `S` of shape ``(..., k)``
        in descending order, which is real, `Vh` of shape ``(..., n, n)`` or ``(..., k, n)``,
        which is Vᵀ (complex: the conjugate transpose of V). The common sign of a column of U and
        its row of Vh is LAPACK's, and arbitrary.

    Raises:
        ShapeError: `x` is not made of matrices.
        LinAlgError: `x` holds NaN or infinity.
        NotDifferentiableError: the gradient is asked for with ``full_matrices=True`` where the
            matrices are not, by their static shape, square: the additional vectors are arbitrary.

    The gradient is that of Townsend 2016, "Differentiating the singular value decomposition"
    (Giles 2008, 3.2; Ionescu et al. 2015, "Matrix backpropagation"). Where two singular values
    coincide, or one is 0 and the matrix not square, their vectors are arbitrary: a gradient that
    comes through these is NaN, one that comes through `S` alone is U diag(g) Vᵀ. Second
    derivatives need distinct singular values.

    >>> import minigrad as mg
    >>> mg.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S.tolist()
    [4.0, 3.0]
    """
    return SVDResult(*bind_all(svd, x, full_matrices=bool(full_matrices)))


@svd.kernel
def _(xp: Any, x: Array, *, full_matrices: bool) -> tuple[Array, Array, Array]:
    matrix_shape(x.shape, "svd")
    require_finite(xp, x, "svd")
    u, s, vh = lapack(
        lambda a: tuple(xp.linalg.svd(a, full_matrices=full_matrices)),
        x,
        failure="svd: the singular values did not converge",
    )
    return u, s, vh


@svd.shape
def _(x: Spec, *, full_matrices: bool) -> tuple[Spec, Spec, Spec]:
    leading, m, n = matrix_shape(x.shape, "svd")
    k = smaller(m, n)
    left, right = (m, n) if full_matrices else (k, k)
    return (
        Spec(stacked(leading, m, left), x.dtype),
        Spec(stacked(leading, k), signs.real_dtype(x.dtype)),
        Spec(stacked(leading, right, n), x.dtype),
    )


@svd.gradient(saves=("U", "S", "Vh"))
def _(c: Ctx) -> Grads:
    refuse_complex(c, "svd")
    (gu, gs, gvh), (u, s, vh) = c.grads, c.outputs
    _, m, n = matrix_shape(c.inputs[0].shape, "svd")
    if 0 in (m, n):
        return zeros_like(c.inputs[0])
    square = m is not None and m == n
    if c.attrs.full_matrices and not square:
        raise NotDifferentiableError(
            "svd with full_matrices=True has a gradient only where the static shape says that the "
            "matrices are square; use full_matrices=False, or mg.ensure_shape"
        )
    scale = _largest(s)
    column, row = expand_dims(s, axis=-1), expand_dims(s, axis=-2)
    by_u, by_v = matmul(matrix_transpose(u), gu), product_with_transpose(vh, gvh)
    # With A and B the antisymmetric parts of Uᵀ g and Vᵀ g (twice), what the vectors contribute,
    # (A sⱼ + sᵢ B)/(sⱼ² − sᵢ²), is half of (A + B)/(sⱼ − sᵢ) + (A − B)/(sⱼ + sᵢ).
    weight = off_diagonal(signs.abs(by_u) + signs.abs(by_v))
    weight = weight + matrix_transpose(weight)
    twice_a, twice_b = by_u - matrix_transpose(by_u), by_v - matrix_transpose(by_v)
    inner = divided((twice_a + twice_b) * 0.5, row - column, scale, weight)
    inner = inner + divided((twice_a - twice_b) * 0.5, row + column, scale, weight)
    full = matmul(scaled_columns(u, gs) + matmul(u, inner), vh)
    if square:
        return full
    if m is None or n is None or m > n:
        beyond = gu - matmul(u, by_u)
        full = full + matmul(divided(beyond, row, scale, gu), vh)
    if m is None or n is None or m < n:
        beyond = gvh - matmul(matrix_transpose(by_v), vh)
        full = full + matmul(u, divided(beyond, column, scale, gvh))
    return full


@primitive(
    "SingularValues",
    accepts="float",
    samples=lambda rng: [
        Sample(_separated(rng, 2, 2)),
        Sample(_separated(rng, 3, 2)),
        Sample(_separated(rng, 2, 2, 3)).named("batch"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_normal(rng, 2, 3, 2)).named("complex"),
    ],
    errors=[Fails(ShapeError, "matrices", np.ones(3))],
)
def svdvals(x: TensorLike, /) -> Tensor:
    """Singular values of matrices, in descending order.

    Args:
        x: float or complex, of shape ``(..., m, n)``.

    Returns:
        A real tensor of shape ``(..., min(m, n))``.

    Raises:
        ShapeError: `x` is not made of matrices.
        LinAlgError: `x` holds NaN or infinity.

    The gradient is U diag(g) Vᵀ, with the singular vectors computed when it is asked for; at a
    singular value of 0 that is one of many subgradients. The second derivative needs distinct
    singular values.

    >>> import minigrad as mg
    >>> mg.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]]).tolist()
    [4.0, 3.0]
    """
    return bind(svdvals, x)


@svdvals.kernel
def _(xp: Any, x: Array) -> Array:
    matrix_shape(x.shape, "svdvals")
    require_finite(xp, x, "svdvals")
    made: Array = lapack(
        lambda a: xp.linalg.svd(a, compute_uv=False),
        x,
        failure="svdvals: the singular values did not converge",
    )
    return made


@svdvals.shape
def _(x: Spec) -> Spec:
    leading, m, n = matrix_shape(x.shape, "svdvals")
    return Spec(stacked(leading, smaller(m, n)), signs.real_dtype(x.dtype))


@svdvals.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    refuse_complex(c, "svdvals")
    u, _, vh = svd(c.inputs[0], full_matrices=False)
    return matmul(scaled_columns(u, c.grads[0]), vh)

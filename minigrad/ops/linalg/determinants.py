"""Determinants.

The gradient of a determinant is the matrix of cofactors, and that is a polynomial: it exists at
singular matrices too, where det(x) x⁻ᵀ has no value. So cofactors are an op of their own, computed
from the singular values, as are their derivatives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind, bind_all
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops import reductions, signs
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.linalg.common import (
    all_finite,
    lapack,
    product_with_transpose,
    refuse_complex,
    square_shape,
)
from minigrad.ops.linalg.solving import complex_regular, inv, well_conditioned
from minigrad.ops.manipulation import matrix_transpose
from minigrad.ops.products import matmul
from minigrad.shapes import Shape, Spec, compatible, merge, show


@primitive(
    "MatrixDeterminant",
    accepts="float",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2)),
        Sample(well_conditioned(rng, 3, 3)),
        Sample(well_conditioned(rng, 2, 2, 2)).named("batch"),
        Sample(np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0], [0.5, -1.0, 2.0]])).named("rank 2"),
        Sample(np.eye(2)).named("equal singular values"),
        Sample(np.zeros((2, 2))).expecting(np.zeros((2, 2))).named("zero"),
        Sample(np.zeros((0, 0))).named("empty"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_regular(rng, 2, 2, 2)).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3))),
        Fails(ShapeError, "matrices", np.ones(3)),
    ],
)
def det(x: TensorLike, /) -> Tensor:
    """Determinant of square matrices.

    Args:
        x: float or complex, of shape ``(..., n, n)``.

    Returns:
        A tensor of shape ``(...)``.

    Raises:
        ShapeError: the matrices are not square.

    The gradient is the matrix of cofactors (Jacobi's formula; Giles 2008, 2.2.4). It and the
    second derivative are right at singular matrices too; third derivatives need a regular one.
    Large determinants overflow; `slogdet` gives their logarithm.

    >>> import minigrad as mg
    >>> mg.round(mg.linalg.det([[1.0, 2.0], [3.0, 5.0]]))
    Tensor(-1., shape=(), dtype=float32)
    """
    return bind(det, x)


@det.kernel
def _(xp: Any, x: Array) -> Array:
    made: Array = lapack(lambda a: xp.asarray(xp.linalg.det(a)), x, failure="det failed")
    return made


@det.shape
def _(x: Spec) -> Spec:
    return Spec(square_shape(x.shape, "det")[0], x.dtype)


@det.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return _as_matrices(c.grads[0]) * cofactors(c.inputs[0])


def _as_matrices(x: Tensor) -> Tensor:
    """Numbers as matrices of one element."""
    return expand_dims(expand_dims(x, axis=-1), axis=-1)


@primitive(
    "MatrixCofactors",
    accepts="float",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2)),
        Sample(well_conditioned(rng, 2, 3, 3)),
        Sample(np.array([[1.0, 2.0], [2.0, 4.0]])).order(1, "third derivative of det, singular"),
        Sample(complex_regular(rng, 2, 3, 3)).named("complex"),
        Sample(np.array([[1, 1j], [1j, -1]])).named("complex, singular"),
    ],
    errors=[Fails(ShapeError, "square matrices", np.ones((2, 3)))],
)
def cofactors(x: TensorLike, /) -> Tensor:
    """The matrix of cofactors, det(x) x⁻ᵀ where x is regular; transposed it is the adjugate.

    Args:
        x: float or complex, of shape ``(..., n, n)``; it may be singular.

    Returns:
        A tensor of the shape of `x`. NaN where `x` holds NaN or infinity.

    Raises:
        ShapeError: the matrices are not square.

    With x = U diag(s) Vᵀ it is det(U) det(V) U diag(∏ of the other s) Vᵀ; of complex matrices
    both factors are conjugated. Its second derivative needs a regular matrix.

    >>> import minigrad as mg
    >>> mg.round(mg.linalg.cofactors([[1.0, 2.0], [2.0, 4.0]])).tolist()
    [[4.0, -2.0], [-2.0, 1.0]]
    """
    return bind(cofactors, x)


def _others_product(xp: Any, s: Array) -> Array:
    """For each number along the last axis, the product of the others; no division by zero."""
    ones = xp.ones((*s.shape[:-1], 1), dtype=s.dtype)
    before = xp.cumprod(xp.concat([ones, s[..., :-1]], axis=-1), axis=-1)
    after = xp.cumprod(xp.concat([ones, xp.flip(s[..., 1:], axis=-1)], axis=-1), axis=-1)
    made: Array = before * xp.flip(after, axis=-1)
    return made


def _signed_svd(xp: Any, x: Array) -> tuple[Array, Array, Array, Array]:
    """U, the singular values, Vᵀ, and det(U) det(V) as matrices of one element.

    Of a complex matrix, U and Vᵀ are conjugated, but not their determinants.
    """
    u, s, vh = xp.linalg.svd(x)
    sign = xp.asarray(xp.linalg.det(u) * xp.linalg.det(vh), dtype=x.dtype)[..., None, None]
    if x.dtype.kind == "c":
        return xp.conj(u), s, xp.conj(vh), sign / xp.abs(sign)
    return u, s, vh, xp.round(sign)


def _or_nan(xp: Any, function: Any, x: Array, *more: Array) -> Array:
    """LAPACK's answer, or NaN where a number is not finite."""
    if x.shape[-1] == 0 or x.size == 0:
        return xp.zeros(x.shape, dtype=x.dtype)  # type: ignore[no-any-return]
    if not all(all_finite(xp, a) for a in (x, *more)):
        return xp.full(x.shape, xp.nan, dtype=x.dtype)  # type: ignore[no-any-return]
    made: Array = lapack(function, x, *more, failure="the singular values did not converge")
    return made


@cofactors.kernel
def _(xp: Any, x: Array) -> Array:
    def compute(a: Array) -> Array:
        u, s, vh, sign = _signed_svd(xp, a)
        made: Array = sign * xp.matmul(u * _others_product(xp, s)[..., None, :], vh)
        return made

    square_shape(x.shape, "cofactors")
    return _or_nan(xp, compute, x)


@cofactors.shape
def _(x: Spec) -> Spec:
    square_shape(x.shape, "cofactors")
    return x


@cofactors.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    return cofactors_gradient(c.grads[0], c.inputs[0])


@primitive(
    "MatrixCofactorsGrad",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3)), well_conditioned(rng, 3, 3)),
        Sample(rng.normal(size=(2, 3, 3)), well_conditioned(rng, 2, 3, 3)).named("batch"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3)), np.ones((2, 3))),
        Fails(ShapeError, "same shape", np.ones((2, 2)), np.ones((3, 3))),
    ],
)
def cofactors_gradient(g: TensorLike, x: TensorLike, /) -> Tensor:
    """The gradient of `cofactors`: the second derivative of the determinant, in direction `g`.

    Args:
        g: float, of shape ``(..., n, n)``.
        x: float, of the same shape; it may be singular.

    Returns:
        A tensor of that shape. With C = cofactors(x) it is (⟨g, C⟩ C − C gᵀ C)/det(x) where x is
        regular.

    Raises:
        ShapeError: the shapes differ or are not those of square matrices.

    For x = diag(s) the derivative of the i-th cofactor on the diagonal by ``x[j, j]``, and minus
    that of ``C[i, j]`` by ``x[j, i]``, is the product of all s but the i-th and j-th; other
    matrices are turned into that form by their singular vectors.

    >>> import minigrad as mg
    >>> from minigrad.ops.linalg.determinants import cofactors_gradient
    >>> cofactors_gradient([[1.0, 2.0], [3.0, 4.0]], mg.zeros((2, 2))).tolist()
    [[4.0, -3.0], [-2.0, 1.0]]
    """
    return bind(cofactors_gradient, g, x)


@cofactors_gradient.kernel
def _(xp: Any, g: Array, x: Array) -> Array:
    def compute(a: Array, direction: Array) -> Array:
        u, s, vh, sign = _signed_svd(xp, a)
        turned = xp.matmul(xp.matrix_transpose(u), xp.matmul(direction, xp.matrix_transpose(vh)))
        own = xp.eye(s.shape[-1], dtype=a.dtype)
        # Row i holds the numbers with the i-th set to 1, so that it drops out of every product.
        rest = _others_product(xp, s[..., None, :] * (1 - own) + own) * (1 - own)
        diagonal = xp.sum(rest * xp.linalg.diagonal(turned)[..., None, :], axis=-1)
        inner = diagonal[..., None] * own - rest * xp.matrix_transpose(turned)
        made: Array = sign * xp.matmul(u, xp.matmul(inner, vh))
        return made

    _require_same(g.shape, x.shape)
    return _or_nan(xp, compute, x, g)


def _require_same(g: Shape, x: Shape) -> None:
    square_shape(x, "cofactors_gradient")
    if not compatible(g, x):
        raise ShapeError(f"g and x must have the same shape, got {show(g)} and {show(x)}")


@cofactors_gradient.shape
def _(g: Spec, x: Spec) -> Spec:
    _require_same(g.shape, x.shape)
    return Spec(merge(g.shape, x.shape), x.dtype)


@cofactors_gradient.gradient(saves=("g", "x"))
def _(c: Ctx) -> Grads:
    (w,), (g, x) = c.grads, c.inputs
    for_direction = cofactors_gradient(w, x) if c.needs[0] else None
    if not c.needs[1]:
        return for_direction, None
    # With C the cofactors and d the determinant of a regular x, what is differentiated is
    # (⟨C, g⟩⟨C, w⟩ − ⟨w, C gᵀ C⟩)/d.
    cof, d = cofactors(x), _as_matrices(det(x))
    along_g, along_w = _inner(cof, g), _inner(cof, w)
    triple = matmul(product_with_transpose(cof, g), cof)
    value = (along_g * along_w - _inner(w, triple)) / d
    by_cofactors = g * along_w + w * along_g
    by_cofactors = by_cofactors - matmul(w, matmul(matrix_transpose(cof), g))
    by_cofactors = by_cofactors - matmul(g, matmul(matrix_transpose(cof), w))
    return for_direction, cofactors_gradient(by_cofactors / d, x) - value / d * cof


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """The sum of a b over each matrix, as matrices of one element."""
    return reductions.sum(a * b, axis=(-2, -1), keepdims=True)


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Tensor
    logabsdet: Tensor


@primitive(
    "LogMatrixDeterminant",
    accepts="float",
    outputs=("sign", "logabsdet"),
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2)),
        Sample(-well_conditioned(rng, 3, 3)).named("negative"),
        Sample(well_conditioned(rng, 2, 2, 2)).named("batch"),
        Sample(np.zeros((2, 2))).order(0, "the logarithm of 0 has no gradient").named("singular"),
        Sample(np.array([[2, 1], [1, 1]])).named("integers"),
        Sample(complex_regular(rng, 2, 2, 2)).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "square matrices", np.ones((2, 3))),
        Fails(ShapeError, "matrices", np.ones(3)),
    ],
)
def slogdet(x: TensorLike, /) -> SlogdetResult:
    """Sign and logarithm of the absolute value of a determinant; safe from overflow.

    Args:
        x: float or complex, of shape ``(..., n, n)``.

    Returns:
        A named tuple of `sign` (−1, 0 or 1; of complex matrices a number of size 1, or 0) and
        `logabsdet`, which is real, both of shape ``(...)``; 0 and −inf for a singular matrix.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: the gradient is asked for at a singular matrix.

    The gradient of `logabsdet` is x⁻ᵀ (Giles 2008, 2.2.4); `sign` is constant.

    >>> import minigrad as mg
    >>> sign, logabsdet = mg.linalg.slogdet([[2.0, 0.0], [0.0, -0.5]])
    >>> sign.item(), logabsdet.item()
    (-1.0, 0.0)
    """
    return SlogdetResult(*bind_all(slogdet, x))


@slogdet.kernel
def _(xp: Any, x: Array) -> tuple[Array, Array]:
    sign, log = lapack(lambda a: tuple(xp.linalg.slogdet(a)), x, failure="slogdet failed")
    return xp.asarray(sign), xp.asarray(log)


@slogdet.shape
def _(x: Spec) -> tuple[Spec, Spec]:
    sign = Spec(square_shape(x.shape, "slogdet")[0], x.dtype)
    return sign, Spec(sign.shape, signs.real_dtype(x.dtype)) if x.dtype.is_complex else sign


@slogdet.gradient(saves=("x",))
def _(c: Ctx) -> Grads:
    refuse_complex(c, "slogdet")
    return _as_matrices(c.grads[1]) * matrix_transpose(inv(c.inputs[0]))

"""What the ops of linear algebra share: calls of LAPACK, shape rules, parts of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core.rules import Ctx
from minigrad.core.tensor import Array, Tensor
from minigrad.errors import LinAlgError, NotDifferentiableError, ShapeError
from minigrad.ops import signs
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.comparison import less_equal, not_equal
from minigrad.ops.diagonals import tril, triu
from minigrad.ops.elementwise import divide
from minigrad.ops.indexing import getitem
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import matrix_transpose, reshape
from minigrad.ops.products import matmul
from minigrad.ops.selection import where
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.shaping import size as size_of
from minigrad.ops.shaping import sum_to_like, zeros_like
from minigrad.shapes import Dim, Shape, show


def lapack(function: Callable[..., Any], *arrays: Array, failure: str) -> Any:
    """Call LAPACK in float32 or wider, and name what its failure means.

    Args:
        function: of arrays; returns an array or a tuple of them.
        arrays: of one dtype; the first holds the matrices.
        failure: the message where LAPACK gives up.

    Raises:
        LinAlgError: the matrices have no answer.
    """
    kind = arrays[0].dtype
    half = kind == np.float16
    wide = [a.astype(np.float32) for a in arrays] if half else arrays
    try:
        made = function(*wide)
    except np.linalg.LinAlgError as error:
        if _bad_shape(arrays[0].shape):
            raise  # The shape rule says it better.
        where_ = _first_failure(function, wide)
        raise LinAlgError(f"{failure}{where_}") from error
    if not half:
        return made
    if isinstance(made, tuple):
        return tuple(m.astype(kind) for m in made)
    return made.astype(kind)


def _bad_shape(shape: tuple[int, ...]) -> bool:
    return len(shape) < 2 or shape[-1] != shape[-2]


def _first_failure(function: Callable[..., Any], arrays: Any) -> str:
    """Which matrix of a stack failed; a stack is tried again one by one."""
    x = arrays[0]
    for index in np.ndindex(x.shape[:-2] if x.ndim > 2 else ()):
        try:
            function(x[index], *(np.zeros((x.shape[-1], 1), x.dtype) for _ in arrays[1:]))
        except np.linalg.LinAlgError:
            return f" (the first such matrix is the one at {index})" if index else ""
    return ""


def all_finite(xp: Any, x: Array) -> bool:
    """Whether an array holds neither NaN nor infinity; taken for granted where it is traced."""
    return xp is not np or bool(np.isfinite(x).all())


def require_finite(xp: Any, x: Array, name: str) -> None:
    """Iterative LAPACK routines may fail obscurely, or not end, on NaN and infinity."""
    if not all_finite(xp, x):
        raise LinAlgError(
            f"{name} needs finite numbers, but its input holds NaN or infinity; "
            "Session(check_numerics=True) finds the node that makes the first one"
        )


def matrix_shape(shape: Shape, name: str) -> tuple[Shape, Dim, Dim]:
    """Leading dimensions (None where the rank is unknown), rows and columns.

    Raises:
        ShapeError: the rank is below 2.
    """
    if shape is None:
        return None, None, None
    if len(shape) < 2:
        raise ShapeError(f"{name} takes matrices, of shape (..., m, n); got shape {show(shape)}")
    return shape[:-2], shape[-2], shape[-1]


def square_shape(shape: Shape, name: str) -> tuple[Shape, Dim]:
    """Leading dimensions (None where the rank is unknown) and the size of square matrices.

    Raises:
        ShapeError: the last two dimensions differ, or the rank is below 2.
    """
    leading, rows, columns = matrix_shape(shape, name)
    if rows is not None and columns is not None and rows != columns:
        raise ShapeError(
            f"{name} takes square matrices, of shape (..., n, n); got shape {show(shape)}"
        )
    return leading, columns if rows is None else rows


def stacked(leading: Shape, *dims: Dim) -> Shape:
    """A shape from leading dimensions, of which the rank may be unknown, and the last ones."""
    return None if leading is None else (*leading, *dims)


def smaller(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions, where known."""
    if a is None or b is None:
        return 0 if 0 in (a, b) else None
    return min(a, b)


def refuse_complex(c: Ctx, name: str) -> None:
    """Raise where a rule, which holds for real matrices, is asked about complex ones.

    Ops with real results of complex matrices need it: the engine refuses complex gradients only
    once a rule has returned them.

    Raises:
        NotDifferentiableError: the input is complex.
    """
    if c.inputs[0].dtype.is_complex:
        raise NotDifferentiableError(
            f"{name}: gradients of complex tensors are not supported; "
            "put mg.stop_gradient around it if none should flow"
        )


def symmetric_part(xp: Any, x: Array) -> Array:
    """(x + xᵀ)/2 of arrays; the Hermitian part, with the conjugate of xᵀ, of complex ones."""
    turned = xp.matrix_transpose(x)
    turned = xp.conj(turned) if x.dtype.kind == "c" else turned
    made: Array = (x + turned) * xp.asarray(0.5, dtype=x.dtype)
    return made


def symmetrized(x: Tensor) -> Tensor:
    """(x + xᵀ)/2."""
    return (x + matrix_transpose(x)) * 0.5


def scaled_columns(x: Tensor, factors: Tensor) -> Tensor:
    """x diag(factors)."""
    return x * expand_dims(factors, axis=-2)


def off_diagonal(x: Tensor) -> Tensor:
    """Matrices with 0 on the diagonal."""
    return tril(x, k=-1) + triu(x, k=1)


def divided(x: Tensor, gap: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """x/gap, where `gap` is a difference of eigenvalues or the like.

    Where `gap` is lost in the rounding error of numbers as large as `scale`, the result is 0 if
    `weight` is 0, so that nothing asks for the quotient, and NaN otherwise. (A 0 there would be a
    wrong gradient that nobody notices: for vᵢ f(λᵢ) vᵢᵀ, summed, the limit depends on f'.)
    """
    epsilon = float(np.finfo(x.dtype.dtype).eps)
    lost = less_equal(signs.abs(gap), scale * (16 * epsilon))
    quotient = divide(x, where(lost, 1.0, gap))
    unknown = where(not_equal(weight, 0.0), math.nan, zeros_like(x))
    return where(lost, unknown, quotient)


def fitted(g: Tensor, like: Tensor) -> Tensor:
    """`g` summed over the axes that broadcasting added to `like`."""
    if g.spec.known() and g.shape == like.shape:
        return g
    return sum_to_like(g, like)


def as_columns(like: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors with a last axis of size 1 where `like` is a vector; as they are where it is not."""
    if like.shape is not None:
        if len(like.shape) != 1:
            return tensors
        return tuple(expand_dims(t, axis=-1) for t in tensors)
    # Only the run knows the rank: [1, 1][rank:] is what a vector's shape lacks.
    lacking = getitem(np.ones(2, np.int64), slice(size_of(shape_of(like)), None))
    return tuple(reshape(t, concat([shape_of(t), lacking])) for t in tensors)


def product_with_transpose(a: Tensor, b: Tensor) -> Tensor:
    """a bᵀ."""
    return matmul(a, matrix_transpose(b))

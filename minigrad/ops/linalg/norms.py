"""Norms of vectors and matrices, the trace, the condition number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DTypeLike, float32
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops import reductions, signs
from minigrad.ops.basic import astype
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.comparison import equal, not_equal
from minigrad.ops.diagonals import diagonal
from minigrad.ops.elementwise import divide, multiply
from minigrad.ops.elementwise_samples import TEXT
from minigrad.ops.linalg.common import matrix_shape, refuse_complex
from minigrad.ops.linalg.solving import complex_normal, complex_regular, inv, well_conditioned
from minigrad.ops.linalg.spectral import svdvals
from minigrad.ops.manipulation import moveaxis
from minigrad.ops.powers import pow as power
from minigrad.ops.reducing import Axis, require_axes, spread, widened
from minigrad.ops.selection import where
from minigrad.ops.shaping import ones_like, zeros_like
from minigrad.shapes import Spec, axis_argument, normalize_axes, reduced, show


def _float_tensor(x: TensorLike, name: str) -> Tensor:
    """A float or complex tensor; integers and bools become float32."""
    made = tensor_of(x)
    if made.dtype.is_integer or made.dtype.is_bool:
        return astype(made, float32)
    if not made.dtype.is_inexact:
        raise DTypeError(f"{name} takes numbers, got {made.dtype}")
    return made


@primitive(
    "VectorNorm",
    accepts="float",
    samples=lambda rng: [
        Sample(rng.normal(size=4)),
        Sample(rng.normal(size=(2, 3)), axis=1),
        Sample(rng.normal(size=(2, 3)), axis=-2, keepdims=True),
        Sample(rng.normal(size=(2, 2, 2)), axis=(0, -1)),
        Sample(rng.normal(size=(2, 3)), keepdims=True),
        Sample(rng.normal(size=()) + 2.0).named("scalar"),
        Sample(rng.normal(size=(2, 3)), axis=1, ord=1),
        Sample(rng.normal(size=(2, 3)), axis=1, ord=3),
        Sample(rng.uniform(0.5, 2.0, size=(2, 3)), axis=0, ord=0.5),
        Sample(rng.uniform(0.5, 2.0, size=(2, 3)), axis=0, ord=-2.0),
        Sample(np.array([[1.0, -2.0, 0.5], [0.1, 0.7, -0.3]]), axis=1, ord=math.inf),
        Sample(np.array([[1.0, -2.0, 0.5], [0.1, 0.7, -0.3]]), axis=1, ord=-math.inf),
        Sample(np.array([1.0, 0.0, -2.0]), ord=0).expecting(np.zeros(3)).named("nonzeros"),
        Sample(np.zeros(3)).expecting(np.zeros(3)).named("zero"),
        Sample(np.zeros(3), ord=1).expecting(np.zeros(3)).named("zero, ord 1"),
        Sample(np.zeros(3), ord=3).expecting(np.zeros(3)).named("zero, ord 3"),
        Sample(np.zeros(3), ord=math.inf).expecting(np.zeros(3)).named("zero, largest"),
        Sample(np.array([-2.0, 2.0]), ord=math.inf).expecting([-0.5, 0.5]).named("tie"),
        Sample(np.zeros((0, 2)), axis=0).named("empty"),
        Sample(np.array([3, 4])).named("integers"),
        Sample(complex_normal(rng, 2, 3), axis=1).named("complex"),
        Sample(complex_normal(rng, 2, 3), axis=0, ord=3).named("complex"),
        Sample(complex_normal(rng, 2, 3), axis=0, ord=math.inf).named("complex"),
        Sample(np.array([0, 3j]), ord=0).named("complex"),
    ],
    errors=[
        Fails(ShapeError, "out of range", np.ones(3), axis=1),
        Fails(ShapeError, "no elements", np.ones(0), ord=math.inf),
        Fails(ArgumentTypeError, "ord", np.ones(3), ord="fro"),
        Fails(DTypeError, "takes numbers, got string", TEXT),
    ],
)
def vector_norm(
    x: TensorLike, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Norm of the vectors along axes: (Σ|x|^ord)^(1/ord).

    Args:
        x: real or complex, of any shape.
        axis: an int, a tuple of ints (the elements along them make one vector), or None for all.
        keepdims: keep the reduced axes, with size 1.
        ord: 2 for the Euclidean norm, 1 for the sum of absolute values, ``inf`` and ``-inf`` for
            the largest and smallest, 0 for the number of elements other than 0, or any number.

    Returns:
        A float tensor, real also for a complex `x`, without the reduced axes.

    Raises:
        ShapeError: an axis is out of range, or there is no largest or smallest element.
        ArgumentTypeError: `ord` is no number.

    Where a norm has a corner, the gradient is 0: at the zero vector, and at an element that is 0
    for ``ord <= 1``. Equally large elements share the gradient of ``ord=inf``.

    >>> import minigrad as mg
    >>> mg.linalg.vector_norm([3.0, 4.0])
    Tensor(5., shape=(), dtype=float32)
    >>> mg.grad(mg.linalg.vector_norm)(mg.zeros(2)).tolist()
    [0.0, 0.0]
    """
    if isinstance(ord, str) or not isinstance(ord, int | float | np.number):
        raise ArgumentTypeError(f"ord must be a number, inf or -inf, got {ord!r}")
    v, over = _float_tensor(x, "vector_norm"), axis_argument(axis)
    if ord == 0:
        counted = astype(not_equal(v, 0.0), signs.real_dtype(v.dtype))
        return reductions.sum(counted, axis=over, keepdims=keepdims)
    if ord == 1:
        return reductions.sum(signs.abs(v), axis=over, keepdims=keepdims)
    if math.isinf(ord):
        extreme = reductions.max if ord > 0 else reductions.min
        return extreme(signs.abs(v), axis=over, keepdims=keepdims)
    return bind(vector_norm, v, axis=over, keepdims=bool(keepdims), ord=float(ord))


@vector_norm.kernel
def _(xp: Any, x: Array, *, axis: Axis, keepdims: bool, ord: float) -> Any:
    require_axes(x, axis)
    x = xp.abs(x) if x.dtype.kind == "c" else x
    v = widened(x)
    if ord == 2:
        made = xp.sqrt(xp.sum(xp.square(v), axis=axis, keepdims=keepdims))
    else:
        made = xp.sum(xp.abs(v) ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    return xp.asarray(made, dtype=x.dtype)


@vector_norm.lowering
def _(b: Any, x: Any, *, axis: Axis, keepdims: bool, ord: float) -> Any:
    axes = normalize_axes(axis, x.rank)
    if ord == 2:
        return b.map("Sqrt", b.reduce("sum", b.map("Mul", x, x), axes, keepdims))
    powers = b.map("Pow", b.map("Abs", x), ord)
    return b.map("Pow", b.reduce("sum", powers, axes, keepdims), 1 / ord)


@vector_norm.shape
def _(x: Spec, *, axis: Axis, keepdims: bool, ord: float) -> Spec:
    return Spec(reduced(x.shape, axis, keepdims), signs.real_dtype(x.dtype))


@vector_norm.gradient(saves=("x", "y"))
def _(c: Ctx) -> Grads:
    refuse_complex(c, "vector_norm")
    (g,), (x,), (y,) = c.grads, c.inputs, c.outputs
    at_zero = equal(y, 0.0)
    safe = where(at_zero, ones_like(y), y)
    if c.attrs.ord == 2:
        return multiply(x, spread(c, where(at_zero, zeros_like(g), divide(g, safe))))
    # sign(x) (|x|/y)^(ord − 1); the base is 1 where x is 0, and the sign 0.
    ratio = divide(signs.abs(x), spread(c, safe))
    ratio = where(equal(x, 0.0), ones_like(x), ratio)
    return spread(c, g) * signs.sign(x) * power(ratio, c.attrs.ord - 1.0)


_MATRIX_ORDS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


@primitive(
    "MatrixNorm",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        *(Sample(rng.normal(size=(2, 3)), ord=o) for o in _MATRIX_ORDS),
        Sample(rng.normal(size=(2, 2, 2)), ord=1, keepdims=True).named("batch"),
        Sample(rng.normal(size=(2, 2, 2)), ord=2, keepdims=True).named("batch"),
        Sample(np.zeros((2, 2))).expecting(np.zeros((2, 2))).named("zero"),
        Sample(np.array([[3, 0], [0, 4]])).named("integers"),
        *(Sample(complex_normal(rng, 2, 3), ord=o).named("complex") for o in ("fro", "nuc", 1, 2)),
    ],
    errors=[
        Fails(ShapeError, "matrices", np.ones(3)),
        Fails(ArgumentError, "'fro', 'nuc'", np.ones((2, 2)), ord=3),
    ],
)
def matrix_norm(
    x: TensorLike, /, *, keepdims: bool = False, ord: float | str | None = "fro"
) -> Tensor:
    """Norm of matrices.

    Args:
        x: real or complex, of shape ``(..., m, n)``.
        keepdims: keep the last two axes, with size 1.
        ord: "fro" (or None) for the Frobenius norm; "nuc" for the sum of the singular values; 2
            and -2 for the largest and smallest; 1 and -1 for the largest and smallest sum of
            absolute values of a column; ``inf`` and ``-inf`` for those of a row.

    Returns:
        A float tensor of shape ``(...)``.

    Raises:
        ShapeError: `x` is not made of matrices.
        ArgumentError: another `ord`.
        LinAlgError: singular values of NaN or infinity.

    The gradient of the Frobenius norm at 0 is 0; equal maxima share theirs.

    >>> import minigrad as mg
    >>> mg.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]], ord="nuc")
    Tensor(7., shape=(), dtype=float32)
    """
    if ord is not None and ord not in _MATRIX_ORDS:
        raise ArgumentError(
            f"the ord of a matrix norm is one of {', '.join(map(repr, _MATRIX_ORDS))}; got {ord!r}"
        )
    m = _float_tensor(x, "matrix_norm")
    matrix_shape(m.shape, "matrix_norm")
    if ord is None or ord == "fro":
        return vector_norm(m, axis=(-2, -1), keepdims=keepdims)
    if ord == "nuc":
        made = reductions.sum(svdvals(m), axis=-1)
    else:
        if ord in (2, -2):
            candidates = svdvals(m)
        else:
            rows = ord in (math.inf, -math.inf)
            candidates = reductions.sum(signs.abs(m), axis=-1 if rows else -2)
        made = (reductions.min if float(ord) < 0 else reductions.max)(candidates, axis=-1)
    return expand_dims(made, axis=(-2, -1)) if keepdims else made


@primitive(
    "Norm",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 1, 2)), keepdims=True).named("all elements"),
        Sample(rng.normal(size=3), 1),
        Sample(rng.normal(size=(2, 3)), "nuc"),
        Sample(rng.normal(size=(2, 3)), 3, axis=0),
        Sample(rng.normal(size=(2, 2, 2)), 2, axis=(0, 2), keepdims=True),
        Sample(rng.normal(size=(2, 2, 2)), axis=(-1, 0)),
        Sample(complex_normal(rng, 2, 3)).named("complex"),
    ],
    errors=[
        Fails(ArgumentError, "3 dimensions", np.ones((2, 2, 2)), 2),
        Fails(ArgumentError, "one or two axes", np.ones((2, 2, 2)), axis=(0, 1, 2)),
        Fails(ShapeError, "out of range", np.ones(3), axis=1),
    ],
)
def norm(
    x: TensorLike, /, ord: float | str | None = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """Norm of vectors or matrices, with NumPy's conventions.

    Args:
        x: real or complex.
        ord: as in `vector_norm` or `matrix_norm`; None for the square root of the sum of squares.
        axis: an int for vectors along it; a pair of ints for matrices; None for all of `x`, which
            is then a vector or a matrix unless `ord` is None too.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        A float tensor without the reduced axes.

    Raises:
        ShapeError: an axis is out of range.
        ArgumentError: `ord` does not go with the number of dimensions or axes.

    >>> import minigrad as mg
    >>> mg.linalg.norm([[3.0, 0.0], [0.0, 4.0]])
    Tensor(5., shape=(), dtype=float32)
    """
    v = _float_tensor(x, "norm")
    over = axis_argument(axis)
    if ord is None and over is None:
        return vector_norm(v, keepdims=keepdims)
    if over is None:
        rank = None if v.shape is None else len(v.shape)
        if rank not in (1, 2):
            raise ArgumentError(
                f"norm with ord={ord!r} and no axis takes a vector or a matrix, but shape "
                f"{show(v.shape)} has {'unknown' if rank is None else rank} dimensions; give axis"
            )
        over = (-1,) if rank == 1 else (-2, -1)
    axes = tuple(over) if isinstance(over, Iterable) else (over,)
    if len(axes) == 1:
        return vector_norm(v, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)  # type: ignore[arg-type]
    if len(axes) != 2:
        raise ArgumentError(f"norm takes one or two axes, got {axes}")
    if ord in (None, "fro"):
        return vector_norm(v, axis=axes, keepdims=keepdims)
    made = matrix_norm(moveaxis(v, axes, (-2, -1)), ord=ord)
    return expand_dims(made, axis=axes) if keepdims else made


@primitive(
    "Trace",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 3))),
        Sample(rng.normal(size=(2, 3)), offset=1),
        Sample(rng.normal(size=(2, 2, 2)), offset=-1).named("batch"),
        Sample(np.array([[1, 2], [3, 4]])).named("integers"),
        Sample(complex_normal(rng, 2, 2)).named("complex"),
    ],
    errors=[Fails(ShapeError, "dimensions", np.ones(3))],
)
def trace(x: TensorLike, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Sum of the diagonal of matrices.

    Args:
        x: numeric, of shape ``(..., m, n)``.
        offset: which diagonal: 0 for the main one, positive above it, negative below.
        dtype: dtype of the result; by default that of `x`, and int64 for smaller integers.

    Returns:
        A tensor of shape ``(...)``.

    Raises:
        ShapeError: `x` has fewer than two dimensions.

    >>> import minigrad as mg
    >>> mg.linalg.trace([[1.0, 2.0], [3.0, 4.0]])
    Tensor(5., shape=(), dtype=float32)
    """
    return reductions.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


@primitive(
    "ConditionNumber",
    samples=lambda rng: [
        Sample(well_conditioned(rng, 2, 2)),
        Sample(well_conditioned(rng, 2, 2), -2),
        Sample(well_conditioned(rng, 2, 2), "fro"),
        Sample(well_conditioned(rng, 2, 2, 2), 1).named("batch"),
        Sample(complex_regular(rng, 2, 2)).named("complex"),
        Sample(complex_regular(rng, 2, 2), "fro").named("complex"),
    ],
    errors=[
        Fails(ShapeError, "matrices", np.ones(3)),
        Fails(ShapeError, "square matrices", np.ones((2, 3)), 1),
    ],
)
def condition_number(x: TensorLike, /, p: float | str | None = None) -> Tensor:
    """Condition number of matrices: how much solving with them may magnify errors.

    Args:
        x: real or complex, of shape ``(..., m, n)``; square unless `p` is None, 2 or -2.
        p: the norm, as `matrix_norm` takes it. None or 2: the largest singular value by the
            smallest.

    Returns:
        A float tensor of shape ``(...)``; infinity for a singular matrix, where `p` is None or 2.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: one is singular, for another `p`.

    >>> import minigrad as mg
    >>> mg.linalg.cond([[4.0, 0.0], [0.0, 2.0]])
    Tensor(2., shape=(), dtype=float32)
    """
    if p in (None, 2, -2):
        values = svdvals(x)
        largest, least = reductions.max(values, axis=-1), reductions.min(values, axis=-1)
        return divide(least, largest) if p == -2 else divide(largest, least)
    return matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)

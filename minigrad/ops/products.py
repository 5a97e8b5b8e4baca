"""The matrix product."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.ops.manipulation import matrix_transpose
from minigrad.shapes import Dim, Shape, Spec, broadcast, compatible, show

__all__ = ["matmul"]


@primitive(
    "MatMul",
    accepts="numeric",
    numpy=np.matmul,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 2))),
        Sample(rng.normal(size=3), rng.normal(size=3)).named("vectors"),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=3)).named("matrix, vector"),
        Sample(rng.normal(size=2), rng.normal(size=(2, 3))).named("vector, matrix"),
        Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 3, 1))).named("batch"),
        Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(3, 2))).named("shared right"),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 2))).named("shared left"),
        Sample(rng.normal(size=(2, 1, 1, 2)), rng.normal(size=(3, 2, 1))).named("broadcast"),
        Sample(rng.normal(size=2), rng.normal(size=(2, 2, 2))).named("vector, batch"),
        Sample(rng.normal(size=(2, 0)), rng.normal(size=(0, 3))).named("empty"),
        Sample(np.arange(6).reshape(2, 3), np.arange(3)).named("integers"),
    ],
    errors=[
        Fails(ShapeError, "do not multiply", np.ones((2, 3)), np.ones((2, 3))),
        Fails(ShapeError, "do not multiply", np.ones(3), np.ones((4, 2))),
        Fails(ShapeError, "do not broadcast", np.ones((2, 2, 3)), np.ones((3, 3, 2))),
        Fails(ShapeError, "multiply", np.ones((2, 3)), 2.0),
        Fails(DTypeError, "bool", np.ones((2, 2), bool), np.ones((2, 2), bool)),
    ],
)
def matmul(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Matrix product, over the last two dimensions; the others broadcast.

    Args:
        x1: numeric, of shape ``(..., n, k)`` or ``(k,)``.
        x2: numeric, of shape ``(..., k, m)`` or ``(k,)``.

    Returns:
        A tensor of shape ``(..., n, m)``; the dimension of a vector operand is left out.

    Raises:
        ShapeError: the dimensions ``k`` differ, the leading ones do not broadcast, or an operand
            is a scalar.
        DTypeError: the operands are bools or text.

    The gradients are ``g x2ᵀ`` and ``x1ᵀ g``, summed over the leading dimensions that were
    broadcast.

    >>> import minigrad as mg
    >>> mg.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    Tensor([3., 7.], shape=(2,), dtype=float32)
    """
    return bind(matmul, x1, x2)


@matmul.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.matmul(x1, x2)


@matmul.lowering
def _(b: Any, x1: Any, x2: Any) -> Any:
    if x1.dtype.itemsize < 4:
        return NotImplemented
    shape = _product_shape(x1.shape, x2.shape)
    left = b.expand(x1, [0]) if x1.rank == 1 else x1
    right = b.expand(x2, [1]) if x2.rank == 1 else x2
    if not left.size or not right.size:
        return b.full(shape, 0, x1.dtype)
    return b.reshape(_lowered_product(b, left, right), shape)


def _lowered_product(b: Any, left: Any, right: Any) -> Any:
    """In a plan, a product of matrices or stacks of them, of any ranks."""
    if right.rank == 2 and left.rank > 2:
        # One large product instead of one for each matrix of the stack.
        rows = b.reshape(left, (left.size // left.shape[-1], left.shape[-1]))
        return b.reshape(b.product(rows, right), (*left.shape[:-1], right.shape[-1]))
    rank = max(left.rank, right.rank)
    return b.product(
        b.expand(left, range(rank - left.rank)), b.expand(right, range(rank - right.rank))
    )


@matmul.shape
def _(x1: Spec, x2: Spec) -> Spec:
    return Spec(_product_shape(x1.shape, x2.shape), x1.dtype)


def _product_shape(a: Shape, b: Shape) -> Shape:
    """The shape of a matrix product."""
    if a == () or b == ():
        raise ShapeError(
            f"a scalar cannot take part in a matrix product, got shapes {show(a)} and {show(b)}; "
            "use mg.multiply"
        )
    if a is None or b is None:
        return None
    inner, own = a[-1], b[-2] if len(b) > 1 else b[-1]
    if inner is not None and own is not None and inner != own:
        place = "second-to-last" if len(b) > 1 else "only"
        raise ShapeError(
            f"shapes {show(a)} and {show(b)} do not multiply: the last dimension of the first is "
            f"{inner}, the {place} one of the second {own}; they must be equal"
        )
    rows: tuple[Dim, ...] = a[-2:-1]
    columns: tuple[Dim, ...] = b[-1:] if len(b) > 1 else ()
    leading = broadcast(a[:-2], b[:-2]) or ()
    return (*leading, *rows, *columns)


@matmul.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    if _same_leading(x1.shape, x2.shape):
        return (
            matmul(g, matrix_transpose(x2)) if c.needs[0] else None,
            matmul(matrix_transpose(x1), g) if c.needs[1] else None,
        )
    return (
        matmul_gradient(g, x2, x1, position=0) if c.needs[0] else None,
        matmul_gradient(g, x1, x2, position=1) if c.needs[1] else None,
    )


def _same_leading(a: Shape, b: Shape) -> bool:
    """Whether both are matrices, or stacks of them that surely do not broadcast."""
    if a is None or b is None or len(a) != len(b) or len(a) < 2:
        return False
    return a[:-2] == b[:-2] and None not in a[:-2]


@primitive(
    "MatMulGrad",
    accepts="numeric",
    shape_only=(2,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 2)), rng.normal(size=(3, 2)), np.zeros((2, 3)), position=0)
        .fixed(2)
        .named("matrices"),
        Sample(rng.normal(size=(2, 2)), rng.normal(size=(2, 3)), np.zeros((3, 2)), position=1)
        .fixed(2)
        .named("matrices, second"),
        Sample(rng.normal(size=()), rng.normal(size=3), np.zeros(3), position=1)
        .fixed(2)
        .named("vectors"),
        Sample(rng.normal(size=(2, 2, 1)), rng.normal(size=(2, 2, 3)), np.zeros((3, 1)), position=1)
        .fixed(2)
        .named("shared right"),
        Sample(rng.normal(size=(2, 2)), rng.normal(size=(2, 3, 2)), np.zeros(3), position=0)
        .fixed(2)
        .named("vector, batch"),
    ],
    errors=[
        Fails(
            ShapeError,
            "do not multiply",
            *(np.ones((2, 2)), np.ones((3, 2)), np.ones((2, 4))),
            position=0,
        ),
        Fails(ArgumentError, "0 or 1", np.ones(()), np.ones(2), np.ones(2), position=2),
    ],
)
def matmul_gradient(
    g: TensorLike, other: TensorLike, like: TensorLike, /, *, position: int
) -> Tensor:
    """The gradient of `matmul` for one operand, where vectors or broadcasting may be involved.

    `matmul` is linear in each operand, so this op and `matmul` are each other's derivatives.
    A weight matrix shared by a batch gets its gradient by one product, not one for each element.

    Args:
        g: the upstream gradient, of the product's shape.
        other: the other operand.
        like: the operand itself; only its shape is read.
        position: 0 if `like` is the first operand, 1 if the second.

    Returns:
        A tensor of the shape of `like`.

    Raises:
        ShapeError: `like` and `other` do not multiply, or `g` has not the product's shape.
        ArgumentError: `position` is neither 0 nor 1.

    >>> import minigrad as mg
    >>> from minigrad.ops.products import matmul_gradient
    >>> matmul_gradient(1.0, [3.0, 4.0], mg.zeros((2,)), position=0).tolist()
    [3.0, 4.0]
    """
    if position not in (0, 1):
        raise ArgumentError(f"position must be 0 or 1, got {position!r}")
    return bind(matmul_gradient, g, other, like, position=operator.index(position))


@matmul_gradient.kernel
def _(xp: Any, g: Array, other: Array, like: Array, *, position: int) -> Any:
    shapes = (like.shape, other.shape) if position == 0 else (other.shape, like.shape)
    if g.shape != _product_shape(*shapes):
        raise ShapeError(f"the gradient has shape {g.shape}, the product {_product_shape(*shapes)}")
    shape = like.shape
    if other.ndim == 1 and like.ndim == 1:
        return g * other
    # Vectors become matrices; then the second operand's case is the first one's, transposed.
    if like.ndim == 1:
        g = xp.expand_dims(g, axis=-2 if position == 0 else -1)
        matrix = (1, *shape) if position == 0 else (*shape, 1)
    else:
        matrix = shape
    if other.ndim == 1:
        g = xp.expand_dims(g, axis=-1 if position == 0 else -2)
        other = xp.expand_dims(other, axis=-1 if position == 0 else 0)
    if position == 1:
        g, other = xp.matrix_transpose(g), xp.matrix_transpose(other)
        matrix = (*matrix[:-2], matrix[-1], matrix[-2])
    made = _left_gradient(xp, g, other, matrix)
    if position == 1:
        made = xp.matrix_transpose(made)
    return xp.reshape(made, shape)


@matmul_gradient.lowering
def _(b: Any, g: Any, other: Any, like: Any, *, position: int) -> Any:
    if g.dtype.kind != "f":
        return NotImplemented
    shape = like.shape
    if other.rank == 1 and like.rank == 1:
        return b.map("Mul", other, g)
    if not g.size or not other.size:
        return b.full(shape, 0, g.dtype)
    # As in the kernel: everything becomes matrices, and the second operand's case the first's.
    matrix = shape
    if like.rank == 1:
        g = b.expand(g, [g.rank - 1 if position == 0 else g.rank])
        matrix = (1, *shape) if position == 0 else (*shape, 1)
    if other.rank == 1:
        g = b.expand(g, [g.rank if position == 0 else g.rank - 1])
        other = b.expand(other, [1 if position == 0 else 0])
    if position == 1:
        g, other = b.swap_last(g), b.swap_last(other)
        matrix = (*matrix[:-2], matrix[-1], matrix[-2])
    made = _lowered_left_gradient(b, g, other, matrix)
    return b.reshape(b.swap_last(made) if position == 1 else made, shape)


def _lowered_left_gradient(b: Any, g: Any, right: Any, shape: tuple[int, ...]) -> Any:
    """`_left_gradient` in a plan."""
    if len(shape) == 2 and g.rank > 2:
        right = b.broadcast(right, (*g.shape[:-2], *right.shape[-2:]))
        wide, tall = [_rows_first(b, x) for x in (g, right)]
        return b.product(wide, b.swap_last(tall))
    full = _lowered_product(b, g, b.swap_last(right))
    extra = full.rank - len(shape)
    stretched = [
        i for i, n in enumerate(full.shape[:-2]) if i < extra or (shape[i - extra] == 1 and n != 1)
    ]
    return b.reduce("sum", full, stretched)


def _rows_first(b: Any, x: Any) -> Any:
    """In a plan, a stack of matrices side by side, as one matrix."""
    order = [x.rank - 2, *range(x.rank - 2), x.rank - 1]
    rows = x.shape[-2]
    return b.reshape(b.transpose(x, order), (rows, x.size // rows))


def _left_gradient(xp: Any, g: Array, right: Array, shape: tuple[int, ...]) -> Any:
    """g rightᵀ, summed to `shape`; all are matrices or stacks of them."""
    if len(shape) == 2 and g.ndim > 2:
        # The sum over the stack is part of one large product.
        right = xp.broadcast_to(right, (*g.shape[:-2], *right.shape[-2:]))
        count = math.prod(g.shape[:-2]) * g.shape[-1]
        wide = xp.reshape(xp.moveaxis(g, -2, 0), (shape[0], count))
        tall = xp.reshape(xp.moveaxis(right, -2, 0), (shape[1], count))
        return xp.matmul(wide, xp.matrix_transpose(tall))
    full = xp.matmul(g, xp.matrix_transpose(right))
    extra = full.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i in range(len(shape) - 2) if shape[i] == 1 and full.shape[i + extra] != 1
    )
    return xp.sum(full, axis=axes, dtype=full.dtype) if axes else full


@matmul_gradient.shape
def _(g: Spec, other: Spec, like: Spec, *, position: int) -> Spec:
    shapes = (like.shape, other.shape) if position == 0 else (other.shape, like.shape)
    product = _product_shape(*shapes)
    if not compatible(product, g.shape):
        raise ShapeError(f"the gradient has shape {show(g.shape)}, the product {show(product)}")
    return Spec(like.shape, like.dtype)


@matmul_gradient.gradient(saves=("g", "other"))
def _(c: Ctx) -> Grads:
    (v,), (g, other, _like), position = c.grads, c.inputs, c.attrs.position
    pair = (v, other) if position == 0 else (other, v)
    return (
        matmul(*pair) if c.needs[0] else None,
        matmul_gradient(g, v, other, position=1 - position) if c.needs[1] else None,
        None,
    )

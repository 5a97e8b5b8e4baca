"""Clipping gradients, so that one bad batch cannot throw the parameters far away."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.autodiff import Gradient, dense
from minigrad.core.bind import tensor_of
from minigrad.core.composites import composite
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError
from minigrad.ops.comparison import greater
from minigrad.ops.elementwise import add, divide, multiply
from minigrad.ops.powers import sqrt, square
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import where

__all__ = ["clip_by_global_norm", "global_norm"]


def _tensors(gradients: Sequence[Gradient | TensorLike]) -> list[Tensor]:
    if not gradients:
        raise ArgumentError("expected at least one gradient, got an empty list")
    return [dense(g) if isinstance(g, IndexedSlices) else tensor_of(g) for g in gradients]


@composite
def global_norm(gradients: Sequence[Gradient | TensorLike]) -> Tensor:
    """The Euclidean norm of all gradients together: sqrt(sum of all squares).

    Args:
        gradients: tensors (or `IndexedSlices`) of floating dtypes.

    Raises:
        ArgumentError: the list is empty.

    >>> import minigrad.optim as optim
    >>> optim.global_norm([[3.0], [[4.0]]])
    Tensor(5., shape=(), dtype=float32)
    """
    parts = [reduce_sum(square(g)) for g in _tensors(gradients)]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return sqrt(total)


@composite
def clip_by_global_norm(
    gradients: Sequence[Gradient | TensorLike], limit: TensorLike
) -> tuple[list[Tensor], Tensor]:
    """Scale all gradients by one factor so that their global norm is at most `limit`.

    Source: R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    Args:
        gradients: tensors (or `IndexedSlices`) of floating dtypes.
        limit: a positive scalar.

    Returns:
        The scaled gradients, and the norm before scaling.

    Raises:
        ArgumentError: the list is empty.

    >>> import minigrad.optim as optim
    >>> clipped, norm = optim.clip_by_global_norm([[3.0], [4.0]], 1.0)
    >>> [g.tolist() for g in clipped], float(norm)
    ([[0.6000000238418579], [0.800000011920929]], 5.0)
    """
    tensors = _tensors(gradients)
    norm = global_norm(tensors)
    scale = where(greater(norm, limit), divide(limit, norm), 1.0)
    return [multiply(g, scale) for g in tensors], norm

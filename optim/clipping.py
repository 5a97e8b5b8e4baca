"""Clipping gradients, so that one bad batch cannot throw the parameters far away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.autodiff import Gradient, dense
from minigrad.core.bind import tensor_of
from minigrad.core.composites import composite
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import float16, float32
from minigrad.errors import ArgumentError
from minigrad.ops.basic import astype
from minigrad.ops.comparison import greater
from minigrad.ops.elementwise import add, divide, multiply
from minigrad.ops.powers import sqrt, square
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import clip, where

__all__ = ["clip_by_global_norm", "clip_by_norm", "clip_by_value", "global_norm"]


def _tensors(gradients: Sequence[Gradient | TensorLike | None]) -> list[Tensor | None]:
    """The gradients as dense tensors; None stays. Raises `ArgumentError` if there are none."""
    found = [
        None if g is None else dense(g) if isinstance(g, IndexedSlices) else tensor_of(g)
        for g in gradients
    ]
    if all(g is None for g in found):
        raise ArgumentError(
            "expected at least one gradient, got "
            + ("only None: the loss depends on none of the variables" if found else "an empty list")
        )
    return found


@composite
def global_norm(gradients: Sequence[Gradient | TensorLike | None]) -> Tensor:
    """The Euclidean norm of all gradients together: sqrt(sum of all squares).

    Args:
        gradients: tensors (or `IndexedSlices`) of floating dtypes; None entries are left out.

    Returns:
        A scalar of their common dtype; float32 if that is float16, whose squares overflow.

    Raises:
        ArgumentError: the list is empty.

    >>> import minigrad.optim as optim
    >>> optim.global_norm([[3.0], [[4.0]]])
    Tensor(5., shape=(), dtype=float32)
    """
    found = [g for g in _tensors(gradients) if g is not None]
    # Squares of float16 overflow from 256 on.
    wide = [astype(g, float32) if g.dtype is float16 else g for g in found]
    parts = [reduce_sum(square(g)) for g in wide]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return sqrt(total)


@composite
def clip_by_global_norm(
    gradients: Sequence[Gradient | TensorLike | None], limit: TensorLike
) -> tuple[list[Any], Tensor]:
    """Scale all gradients by one factor so that their global norm is at most `limit`.

    Source: R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
    PyTorch's `clip_grad_norm_` divides by the norm plus 1e-6, this and TensorFlow's do not.

    Args:
        gradients: tensors (or `IndexedSlices`) of floating dtypes; None entries stay None.
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
    return [None if g is None else multiply(g, astype(scale, g.dtype)) for g in tensors], norm


@composite
def clip_by_norm(gradients: Sequence[Gradient | TensorLike | None], limit: TensorLike) -> list[Any]:
    """Scale each gradient on its own so that its Euclidean norm is at most `limit`.

    TensorFlow's function of this name computes the same for one tensor, or along `axes` of it;
    PyTorch only has a norm of all together, `clip_grad_norm_`.

    Args:
        gradients: tensors (or `IndexedSlices`) of floating dtypes; None entries stay None.
        limit: a positive scalar.

    Returns:
        The scaled gradients.

    Raises:
        ArgumentError: the list is empty.

    >>> import minigrad.optim as optim
    >>> [g.tolist() for g in optim.clip_by_norm([[3.0, 4.0], [0.5]], 1.0)]
    [[0.6000000238418579, 0.800000011920929], [0.5]]
    """
    return [
        None if g is None else clip_by_global_norm([g], limit)[0][0] for g in _tensors(gradients)
    ]


@composite
def clip_by_value(
    gradients: Sequence[Gradient | TensorLike | None], low: TensorLike, high: TensorLike
) -> list[Any]:
    """Bring every element of every gradient into the range from `low` to `high`.

    TensorFlow's function of this name does so for one tensor; PyTorch's `clip_grad_value_` takes
    one bound for both sides, and changes the gradients in place.

    Args:
        gradients: tensors (or `IndexedSlices`) of floating dtypes; None entries stay None.
        low, high: scalars, the first not above the second.

    Returns:
        The clipped gradients.

    Raises:
        ArgumentError: the list is empty.

    >>> import minigrad.optim as optim
    >>> [g.tolist() for g in optim.clip_by_value([[3.0, -4.0], [0.5]], -1.0, 1.0)]
    [[1.0, -1.0], [0.5]]
    """
    return [None if g is None else clip(g, low, high) for g in _tensors(gradients)]

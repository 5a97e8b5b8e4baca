"""Ops of which the result's size depends on values: distinct elements, and where nonzeros are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind_all
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import int64
from minigrad.errors import DTypeError, ShapeError
from minigrad.ops.reducing import (
    TEXT,
    UNORDERED,
    array_dtype,
    require_numbers,
    require_ordered,
)
from minigrad.shapes import Spec, element_count

__all__ = [
    "UniqueAll",
    "UniqueCounts",
    "UniqueInverse",
    "nonzero",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]

_JUMPS = "which elements are distinct jumps with their values; gather x at the indices instead"


class UniqueAll(NamedTuple):
    """Distinct elements, where each is first, which one each element is, and how often it is."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Distinct elements, and how often each is there."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Distinct elements, and which of them each element is."""

    values: Tensor
    inverse_indices: Tensor


def _samples() -> list[Sample]:
    return [
        Sample(np.array([[3, 1], [1, 2]])),
        Sample(np.array([2.0, 1.0, 2.0])).fixed(0),
        Sample(np.array([np.nan, 1.0, np.nan])).fixed(0).named("every NaN is distinct"),
        Sample(np.array([True, False, True])),
        Sample(np.zeros((0, 2))).fixed(0).named("empty"),
        Sample(7),
    ]


@primitive(
    "Unique",
    outputs=None,
    not_differentiable=_JUMPS,
    samples=[
        *_samples(),
        Sample(np.array([3, 1, 1]), return_index=True),
        Sample(np.array([[3, 1, 1]]), return_inverse=True, return_counts=True),
    ],
    errors=UNORDERED,
)
def unique(
    x: TensorLike,
    /,
    *,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Any:
    """The distinct elements in ascending order, as in NumPy; of any shape, flattened.

    Args:
        x: a tensor of real numbers or bools. Every NaN is distinct, as the array API has it.
        return_index: also return where each is first, in the flattened tensor.
        return_inverse: also return, in the shape of `x`, which distinct element each one is.
        return_counts: also return how often each is there.

    Returns:
        A vector, or a tuple of it and what was asked for; positions and counts are int64.
        (TensorFlow's ``unique`` keeps the order of first appearance.)

    Raises:
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> values, counts = mg.unique([3, 1, 3], return_counts=True)
    >>> values.tolist(), counts.tolist()
    ([1, 3], [1, 2])
    """
    made = _unique(x, return_index, return_inverse, return_counts)
    return made if len(made) > 1 else made[0]


def _unique(x: TensorLike, index: bool, inverse: bool, counts: bool) -> tuple[Tensor, ...]:
    return bind_all(unique, x, index=bool(index), inverse=bool(inverse), counts=bool(counts))


@unique.kernel
def _(xp: Any, x: Array, *, index: bool, inverse: bool, counts: bool) -> tuple[Array, ...]:
    require_ordered(array_dtype(x))
    made = xp.unique(
        x, return_index=index, return_inverse=inverse, return_counts=counts, equal_nan=False
    )
    if not (index or inverse or counts):
        return (made,)
    values, *rest = made
    if inverse:
        rest[int(index)] = xp.reshape(rest[int(index)], x.shape)
    return (values, *(r.astype(int64.dtype, copy=False) for r in rest))


@unique.shape
def _(x: Spec, *, index: bool, inverse: bool, counts: bool) -> tuple[Spec, ...]:
    require_ordered(x.dtype)
    few = element_count(x.shape)
    size = few if few in (0, 1) else None
    lengths = Spec((size,), int64)
    rest = [lengths] * index + [Spec(x.shape, int64)] * inverse + [lengths] * counts
    return (Spec((size,), x.dtype), *rest)


@primitive("UniqueValues", samples=_samples(), errors=UNORDERED, not_differentiable=_JUMPS)
def unique_values(x: TensorLike, /) -> Tensor:
    """The distinct elements in ascending order; see `unique`.

    Raises:
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.unique_values([[3, 1], [3, 2]])
    Tensor([1, 2, 3], shape=(3,), dtype=int32)
    """
    return _unique(x, False, False, False)[0]


@primitive("UniqueCounts", samples=_samples(), errors=UNORDERED, not_differentiable=_JUMPS)
def unique_counts(x: TensorLike, /) -> UniqueCounts:
    """The distinct elements in ascending order, and how often each is there; see `unique`.

    Returns:
        `UniqueCounts(values, counts)`.

    Raises:
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.unique_counts([3, 1, 3]).counts.tolist()
    [1, 2]
    """
    return UniqueCounts(*_unique(x, False, False, True))


@primitive("UniqueInverse", samples=_samples(), errors=UNORDERED, not_differentiable=_JUMPS)
def unique_inverse(x: TensorLike, /) -> UniqueInverse:
    """The distinct elements in ascending order, and which of them each element is; see `unique`.

    Returns:
        `UniqueInverse(values, inverse_indices)`; the second has the shape of `x`.

    Raises:
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.unique_inverse([3, 1, 3]).inverse_indices.tolist()
    [1, 0, 1]
    """
    return UniqueInverse(*_unique(x, False, True, False))


@primitive("UniqueAll", samples=_samples(), errors=UNORDERED, not_differentiable=_JUMPS)
def unique_all(x: TensorLike, /) -> UniqueAll:
    """The distinct elements in ascending order, with all that is known of them; see `unique`.

    Returns:
        `UniqueAll(values, indices, inverse_indices, counts)`; the indices are those of the first
        of each in the flattened tensor.

    Raises:
        DTypeError: `x` is complex or text.

    >>> import minigrad as mg
    >>> mg.unique_all([3, 1, 3]).indices.tolist()
    [1, 0]
    """
    return UniqueAll(*_unique(x, True, True, True))


@primitive(
    "NonZero",
    outputs=None,
    not_differentiable="an index is an integer",
    samples=[
        Sample(np.array([[1, 0, 2], [0, 3, 0]])),
        Sample(np.array([0.0, np.nan, -1.0])).fixed(0),
        Sample(np.array([True, False])),
        Sample(np.zeros((2, 0))).fixed(0).named("empty"),
    ],
    errors=[
        Fails(ShapeError, "at least one axis", np.array(3.0)),
        Fails(DTypeError, "numbers or bools", TEXT),
    ],
)
def nonzero(x: TensorLike, /) -> tuple[Tensor, ...]:
    """Where the elements are that are not 0, in row-major order.

    Args:
        x: a tensor of numbers or bools, of a known rank of at least 1.

    Returns:
        One int64 vector for each axis of `x`, which is what indexing takes. Their length is known
        only in a run.

    Raises:
        ShapeError: the rank is 0, or not known when the graph is built.
        DTypeError: `x` holds text.

    >>> import minigrad as mg
    >>> [i.tolist() for i in mg.nonzero([[1, 0], [2, 3]])]
    [[0, 1, 1], [0, 0, 1]]
    """
    return bind_all(nonzero, x)


@nonzero.kernel
def _(xp: Any, x: Array) -> tuple[Array, ...]:
    require_numbers(array_dtype(x))
    _require_rank(x.ndim)
    return tuple(i.astype(int64.dtype, copy=False) for i in xp.nonzero(x))


def _require_rank(rank: int) -> None:
    if not rank:
        raise ShapeError("nonzero needs a tensor of at least one axis; compare a scalar with 0")


@nonzero.shape
def _(x: Spec) -> tuple[Spec, ...]:
    require_numbers(x.dtype)
    if x.shape is None:
        raise ShapeError(
            "nonzero returns a tensor for each axis, so the rank must be known when the graph is "
            "built; give the placeholder a shape, or use mg.ensure_shape(x, (None, …))"
        )
    _require_rank(len(x.shape))
    length = 0 if 0 in x.shape else None
    return (Spec((length,), int64),) * len(x.shape)

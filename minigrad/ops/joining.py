"""Joining tensors along an axis, and cutting them again; each is the other's gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind, bind_all, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.shaping import reshape_like
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.shaping import size as size_of
from minigrad.ops.sizes import (
    actual_sizes,
    length_of,
    size_argument,
    sizes_argument,
    static_sizes,
)
from minigrad.ops.stacking import joined_spec, stack, tensor_list
from minigrad.shapes import (
    Dim,
    Shape,
    Spec,
    axis_argument_int,
    compatible,
    element_count,
    merge,
    normalize_axis,
    show,
)

__all__ = ["concat", "split"]

# -- concat ------------------------------------------------------------------------------------


@primitive(
    "ConcatV2",
    samples=lambda rng: [
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(1, 3))], axis=0),
        Sample([rng.normal(size=(2, 1)), rng.normal(size=(2, 2))], axis=-1),
        Sample([rng.normal(size=(0, 2)), rng.normal(size=(2, 2))]).named("an empty part"),
        Sample([rng.normal(size=(2, 2)), rng.normal(size=(3,))], axis=None).named("flattened"),
        Sample([rng.normal(size=(2,)), np.array([1, 2], np.int32)]).named("promoted"),
        Sample([np.arange(3), np.arange(2)]),
    ],
    errors=[
        Fails(ShapeError, r"\(2, 3\) and \(2, 2\)", [np.ones((2, 3)), np.ones((2, 2))], axis=0),
        Fails(ShapeError, "rank", [np.ones((2, 3)), np.ones(2)]),
        Fails(ShapeError, "out of range", [np.ones(2), np.ones(2)], axis=1),
        Fails(ShapeError, "0-d", [np.ones(()), np.ones(())]),
        Fails(ArgumentError, "at least one", []),
    ],
)
def concat(arrays: Sequence[TensorLike], /, *, axis: int | None = 0) -> Tensor:
    """Join tensors along an axis that they have.

    Args:
        arrays: tensors of one rank, equal in every dimension but `axis`; of different dtypes,
            they are promoted to the common one.
        axis: the axis to join along; None flattens the tensors first.

    Raises:
        ShapeError: the shapes do not fit, or a tensor is 0-d (join those with `stack`).
        ArgumentError: there are no tensors.

    >>> import minigrad as mg
    >>> mg.concat([[[1, 2]], [[3, 4]]], axis=0).tolist()
    [[1, 2], [3, 4]]
    """
    items = tensor_list(arrays, "concat")
    if axis is not None:
        return bind(concat, *items, axis=axis_argument_int(axis))
    return bind(concat, *items, axis=None)


@concat.kernel
def _(xp: Any, *arrays: Array, axis: int | None) -> Any:
    return xp.concat(arrays, axis=axis)


@concat.lowering
def _(b: Any, *arrays: Any, axis: int | None) -> Any:
    if axis is None:
        return b.concat([b.reshape(a, (a.size,)) for a in arrays], 0)
    return b.concat(arrays, normalize_axis(axis, arrays[0].rank))


@concat.shape
def _(*arrays: Spec, axis: int | None) -> Spec:
    total: Dim = 0
    if axis is None:
        for a in arrays:
            count = element_count(a.shape)
            total = None if total is None or count is None else total + count
        return joined_spec(arrays, (total,))
    if any(a.shape == () for a in arrays):
        raise ShapeError("0-d tensors have no axis to be joined along; use mg.stack")
    known = [a.shape for a in arrays if a.shape is not None]
    if not known:
        return Spec(None, arrays[0].dtype)
    first = known[0]
    at = normalize_axis(axis, len(first))
    if len(known) < len(arrays):
        total = None
    rest: Shape = None
    for s in known:
        if len(s) != len(first):
            raise ShapeError(
                f"tensors of one rank are needed, got shapes {show(first)} and {show(s)}"
            )
        others = (*s[:at], None, *s[at + 1 :])
        if not compatible(rest, others):
            raise ShapeError(
                f"shapes {show(first)} and {show(s)} may differ only in axis {axis}, "
                "along which the tensors are joined"
            )
        rest = merge(rest, others)
        length = s[at]
        total = None if total is None or length is None else total + length
    rest = rest or ()
    return joined_spec(arrays, (*rest[:at], total, *rest[at + 1 :]))


@concat.gradient()
def _(c: Ctx) -> Grads:
    (g,) = c.grads
    axis = c.attrs.axis
    if axis is None:
        from_flat = split(g, [size_of(x) for x in c.inputs])
        return [reshape_like(p, x) for p, x in zip(from_flat, c.inputs, strict=True)]
    dims = [None if x.shape is None else x.shape[axis] for x in c.inputs]
    if None in dims:
        return split(g, stack([shape_of(x)[axis] for x in c.inputs]), axis=axis)
    return split(g, dims, axis=axis)


# -- split -------------------------------------------------------------------------------------


@primitive(
    "Split",
    outputs=None,
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 2)), 2),
        Sample(rng.normal(size=(2, 5)), [1, 4], axis=-1).named("sizes"),
        Sample(rng.normal(size=(5,)), [2, -1, 0]).named("one size inferred, one empty"),
        Sample(rng.normal(size=(3,)), np.array([1, 2])).named("sizes as an array"),
        Sample(np.arange(4), 4),
    ],
    errors=[
        Fails(ShapeError, "3 equal parts", np.ones(4), 3),
        Fails(ShapeError, "add up to 3", np.ones(4), [1, 2]),
        Fails(ShapeError, "negative", np.ones(4), [6, -2]),
        Fails(ShapeError, "one size may be -1", np.ones(4), [-1, -1]),
        Fails(ShapeError, "at least one", np.ones(4), 0),
        Fails(ShapeError, "out of range", np.ones(4), 2, axis=1),
    ],
)
def split(x: TensorLike, sizes: Any, /, axis: int = 0) -> tuple[Tensor, ...]:
    """Cut a tensor into consecutive parts along an axis: the inverse of `concat`.

    Args:
        x: a tensor of at least one dimension.
        sizes: the number of equal parts as an int; or the length of each part as a sequence or
            an integer tensor of known length, of which one may be -1 for "the rest".
        axis: the axis to cut.

    Returns:
        A tuple of tensors.

    Raises:
        ShapeError: the axis does not divide, or the sizes do not add up to its length.

    As in TensorFlow and PyTorch a sequence holds sizes; `numpy.split` takes positions.

    >>> import minigrad as mg
    >>> [part.tolist() for part in mg.split([1, 2, 3, 4, 5], [2, 3])]
    [[1, 2], [3, 4, 5]]
    """
    at = axis_argument_int(axis)
    if not isinstance(sizes, Iterable | StateOwner) or getattr(sizes, "shape", None) == ():
        count = size_argument(sizes, "sizes")
        return bind_all(split, x, None, axis=at, sizes=None, count=count)
    known, given = sizes_argument(sizes, "sizes")
    if known is None:
        if not isinstance(given, Tensor | StateOwner):
            given = tensor_of(given)
        count = length_of(given, 0, "split", "give the sizes in a list")
    else:
        count = len(known)
    return bind_all(split, x, given, axis=at, sizes=known, count=count)


def part_sizes(length: Dim, sizes: Shape, count: int, given: bool) -> list[Dim]:
    """The length of each part. Raises `ShapeError` unless the parts make up the axis.

    Args:
        length: length of the axis, or None.
        sizes: the sizes asked for, or None.
        count: the number of parts.
        given: whether sizes were given at all, though they may not be known yet.
    """
    if count < 1:
        raise ShapeError(f"at least one part is needed, got {count}")
    if sizes is None:
        if given or length is None:
            return [None] * count
        if length % count:
            raise ShapeError(f"an axis of length {length} does not split into {count} equal parts")
        return [length // count] * count
    known = [d for d in sizes if d is not None]
    if any(d < -1 for d in known):
        raise ShapeError(f"a size cannot be negative (but for one -1), got {list(sizes)}")
    if known.count(-1) > 1:
        raise ShapeError(f"only one size may be -1, got {list(sizes)}")
    if length is None or len(known) < len(sizes):
        return [None if d == -1 else d for d in sizes]
    rest = length - sum(d for d in known if d != -1)
    if rest < 0 or (rest > 0 and -1 not in known):
        raise ShapeError(
            f"the sizes {list(sizes)} add up to {length - rest}, but the axis has length {length}"
        )
    return [rest if d == -1 else d for d in known]


@split.kernel
def _(
    xp: Any,
    x: Array,
    given: Array | None = None,
    *,
    axis: int,
    sizes: tuple[int, ...] | None,
    count: int,
) -> Any:
    at = normalize_axis(axis, x.ndim)
    if given is not None:
        sizes = actual_sizes(None, given, "sizes")
    parts = []
    start = 0
    for length in part_sizes(x.shape[at], sizes, count, given is not None):
        stop = start + (length or 0)
        parts.append(x[(slice(None),) * at + (slice(start, stop),)])
        start = stop
    return tuple(parts)


@split.lowering
def _(
    b: Any, x: Any, given: Any = None, *, axis: int, sizes: tuple[int, ...] | None, count: int
) -> Any:
    if given is not None:
        if given.constant is None:
            return NotImplemented
        sizes = actual_sizes(None, given.constant, "sizes")
    at = normalize_axis(axis, x.rank)
    parts = []
    start = 0
    for length in part_sizes(x.shape[at], sizes, count, given is not None):
        starts = [start if i == at else 0 for i in range(x.rank)]
        shape = (*x.shape[:at], length, *x.shape[at + 1 :])
        parts.append(b.slice(x, starts, [1] * x.rank, shape))
        start += length or 0
    return tuple(parts)


@split.shape
def _(
    x: Spec,
    given: Spec | None,
    *,
    axis: int,
    sizes: tuple[int, ...] | None,
    count: int,
) -> tuple[Spec, ...]:
    known = static_sizes(sizes, given, "sizes")
    if x.shape is None:
        part_sizes(None, known, count, given is not None)
        return (Spec(None, x.dtype),) * count
    at = normalize_axis(axis, len(x.shape))
    return tuple(
        Spec((*x.shape[:at], d, *x.shape[at + 1 :]), x.dtype)
        for d in part_sizes(x.shape[at], known, count, given is not None)
    )


@split.gradient()
def _(c: Ctx) -> Grads:
    return bind(concat, *c.grads, axis=c.attrs.axis), None

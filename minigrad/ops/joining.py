"""Ops that join tensors and take them apart again; each is another's gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind, bind_all, tensor_of
from minigrad.core.convert import array_of, is_weak
from minigrad.core.primitive import Ctx, Grads, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.dtypes import DType, as_dtype, default_dtype, promote_types, weak_dtype
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.ops.shaping import reshape_like
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.shaping import size as size_of
from minigrad.ops.sizes import (
    SMALL,
    actual_sizes,
    known_elements,
    length_of,
    size_argument,
    sizes_argument,
    static_sizes,
    with_elements,
)
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


def _sequence(arrays: Any, what: str) -> list[Any]:
    """The arguments of `concat` and `stack` as a list. Raises for none, and for a lone number."""
    if not isinstance(arrays, Iterable):
        raise ArgumentTypeError(
            f"{what} takes a sequence of tensors, got {type(arrays).__name__}; write {what}([a, b])"
        )
    items = list(arrays)
    if not items:
        raise ArgumentError(f"{what} needs at least one tensor, got an empty sequence")
    return items


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
    items = _sequence(arrays, "concat")
    if axis is not None:
        return bind(concat, *items, axis=axis_argument_int(axis))
    return bind(concat, *items, axis=None)


@concat.kernel
def _(xp: Any, *arrays: Array, axis: int | None) -> Any:
    return xp.concat(arrays, axis=axis)


@concat.shape
def _(*arrays: Spec, axis: int | None) -> Spec:
    total: Dim = 0
    if axis is None:
        for a in arrays:
            count = element_count(a.shape)
            total = None if total is None or count is None else total + count
        return _joined(arrays, (total,))
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
    return _joined(arrays, (*rest[:at], total, *rest[at + 1 :]))


def _joined(arrays: Sequence[Spec], shape: Shape) -> Spec:
    """The spec of joined integer vectors or stacked scalars, with what is known of the values."""
    elements: list[int | None] = []
    for a in arrays:
        part = known_elements(a)
        if part is None or len(elements) > SMALL:
            return Spec(shape, a.dtype)
        elements.extend(part)
    return with_elements(shape, arrays[0].dtype, elements)


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


# -- stack and unstack -------------------------------------------------------------------------


@primitive(
    "Pack",
    samples=lambda rng: [
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))]),
        Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], axis=-1),
        Sample([rng.normal(size=()), rng.normal(size=()), 1.0]).named("scalars"),
        Sample([[rng.normal(size=()), 2.0], [3, rng.normal(size=())]]).named("nested"),
        Sample([rng.normal(size=(0, 2))], axis=1).named("empty"),
        Sample([np.array([1, 2]), np.array([3, 4])]),
    ],
    errors=[
        Fails(ShapeError, r"\(2,\) and \(3,\)", [np.ones(2), np.ones(3)]),
        Fails(ShapeError, "out of range", [np.ones(2), np.ones(2)], axis=2),
        Fails(ArgumentError, "at least one", []),
    ],
)
def stack(arrays: Sequence[TensorLike], /, *, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Args:
        arrays: tensors of one shape, promoted to their common dtype; also nested lists of
            tensors and numbers, which are stacked themselves first.
        axis: where the new axis goes, counted in the result.

    Raises:
        ShapeError: the shapes differ, or `axis` is out of range.
        ArgumentError: there are no tensors.

    >>> import minigrad as mg
    >>> mg.stack([mg.ones(2), mg.zeros(2)], axis=1).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    items = _sequence(arrays, "stack")
    if any(isinstance(v, list | tuple) for v in items):
        dtype = _nested_dtype(items)
        items = [_with_dtype(v, dtype) for v in items]
    return bind(stack, *items, axis=axis_argument_int(axis))


def _nested_dtype(items: Sequence[Any]) -> DType:
    """The common dtype of all tensors and numbers in nested lists."""
    strong: DType | None = None
    weak: list[Any] = []
    todo = list(items)
    while todo:
        item = todo.pop()
        if isinstance(item, list | tuple):
            todo.extend(item)
        elif is_weak(item):
            weak.append(item)
        else:
            own = _dtype_of(item)
            strong = own if strong is None else promote_types(strong, own)
    for number in weak:
        strong = default_dtype(number) if strong is None else weak_dtype(number, strong)
    if strong is None:
        raise ArgumentError("stack needs at least one tensor, got only empty lists")
    return strong


def _dtype_of(item: Any) -> DType:
    if isinstance(item, Tensor | StateOwner | np.ndarray | np.generic):
        return as_dtype(item.dtype)  # type: ignore[union-attr]
    return as_dtype(array_of(item).dtype)


def _with_dtype(item: Any, dtype: DType) -> Any:
    """A nested list without tensors as an array; one with tensors, with its lists so converted."""
    if not isinstance(item, list | tuple):
        return item
    inner = [_with_dtype(v, dtype) for v in item]
    if any(isinstance(v, Tensor | StateOwner) for v in inner):
        return stack(inner)
    return ConcreteTensor(array_of(inner, dtype))


@stack.kernel
def _(xp: Any, *arrays: Array, axis: int) -> Any:
    return xp.stack(arrays, axis=axis)


@stack.shape
def _(*arrays: Spec, axis: int) -> Spec:
    shape: Shape = None
    for a in arrays:
        if not compatible(shape, a.shape):
            raise ShapeError(
                f"tensors of one shape are needed, got {show(shape)} and {show(a.shape)}; "
                "mg.concat joins along an axis that they have"
            )
        shape = merge(shape, a.shape)
    if shape is None:
        return Spec(None, arrays[0].dtype)
    at = normalize_axis(axis, len(shape) + 1)
    return _joined(arrays, (*shape[:at], len(arrays), *shape[at:]))


@stack.gradient()
def _(c: Ctx) -> Grads:
    return bind_all(unstack, c.grads[0], axis=c.attrs.axis, num=len(c.inputs))


@primitive(
    "Unpack",
    outputs=None,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), axis=-1),
        Sample(rng.normal(size=(3,)), num=3).named("to scalars"),
        Sample(rng.normal(size=(2, 0)), axis=0).named("empty parts"),
        Sample(np.arange(4)),
    ],
    errors=[
        Fails(ShapeError, "rank 0", np.ones(())),
        Fails(ShapeError, "3 parts", np.ones(2), num=3),
        Fails(ShapeError, "out of range", np.ones(2), axis=1),
    ],
)
def unstack(x: TensorLike, /, *, axis: int = 0, num: int | None = None) -> tuple[Tensor, ...]:
    """Take a tensor apart along an axis, which the parts lack: the inverse of `stack`.

    Args:
        x: a tensor of at least one dimension.
        axis: the axis.
        num: how many parts there are; needed where the static shape does not say.

    Returns:
        A tuple of tensors of rank one less.

    Raises:
        ShapeError: `axis` is out of range, or its length is not known or not `num`.

    >>> import minigrad as mg
    >>> a, b = mg.unstack([[1, 2], [3, 4]])
    >>> b.tolist()
    [3, 4]
    """
    from_axis = axis_argument_int(axis)
    if num is None:
        if not isinstance(x, Tensor | StateOwner):
            x = tensor_of(x)
        num = length_of(x, from_axis, "unstack", "pass num=")
    return bind_all(unstack, x, axis=from_axis, num=size_argument(num, "num"))


@unstack.kernel
def _(xp: Any, x: Array, *, axis: int, num: int) -> Any:
    moved = xp.moveaxis(x, axis, 0)
    if moved.shape[0] != num:
        raise ShapeError(f"expected {num} parts along axis {axis}, got shape {show(x.shape)}")
    return tuple([moved[i, ...] for i in range(num)])


@unstack.shape
def _(x: Spec, *, axis: int, num: int) -> tuple[Spec, ...]:
    if x.shape is None:
        return (Spec(None, x.dtype),) * num
    at = normalize_axis(axis, len(x.shape))
    if x.shape[at] not in (None, num):
        raise ShapeError(f"expected {num} parts along axis {axis}, got shape {show(x.shape)}")
    rest = (*x.shape[:at], *x.shape[at + 1 :])
    if x.value is not None and not rest:
        return tuple(Spec((), x.dtype, v) for v in x.value)
    return (Spec(rest, x.dtype),) * num


@unstack.gradient()
def _(c: Ctx) -> Grads:
    return bind(stack, *c.grads, axis=c.attrs.axis)


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

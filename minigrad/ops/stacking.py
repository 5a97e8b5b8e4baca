"""Stacking tensors along a new axis, and taking them apart again; each is the other's gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind, bind_all, tensor_of
from minigrad.core.convert import array_of, is_weak
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.dtypes import DType, as_dtype, default_dtype, promote_types, weak_dtype
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.ops.sizes import (
    SMALL,
    known_elements,
    length_of,
    size_argument,
    with_elements,
)
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument_int,
    compatible,
    merge,
    normalize_axis,
    show,
)

__all__ = ["stack", "unstack"]


def tensor_list(arrays: Any, what: str) -> list[Any]:
    """The arguments of `concat` and `stack` as a list. Raises for none, and for a lone number."""
    if not isinstance(arrays, Iterable):
        raise ArgumentTypeError(
            f"{what} takes a sequence of tensors, got {type(arrays).__name__}; write {what}([a, b])"
        )
    items = list(arrays)
    if not items:
        raise ArgumentError(f"{what} needs at least one tensor, got an empty sequence")
    return items


def joined_spec(arrays: Sequence[Spec], shape: Shape) -> Spec:
    """The spec of joined integer vectors or stacked scalars, with what is known of the values."""
    elements: list[int | None] = []
    for a in arrays:
        part = known_elements(a)
        if part is None or len(elements) > SMALL:
            return Spec(shape, a.dtype)
        elements.extend(part)
    return with_elements(shape, arrays[0].dtype, elements)


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
    items = tensor_list(arrays, "stack")
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


@stack.lowering
def _(b: Any, *arrays: Any, axis: int) -> Any:
    at = normalize_axis(axis, arrays[0].rank + 1)
    return b.concat([b.expand(a, [at]) for a in arrays], at)


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
    return joined_spec(arrays, (*shape[:at], len(arrays), *shape[at:]))


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


@unstack.lowering
def _(b: Any, x: Any, *, axis: int, num: int) -> Any:
    at = normalize_axis(axis, x.rank)
    rest = (*x.shape[:at], *x.shape[at + 1 :])
    one = (*x.shape[:at], 1, *x.shape[at + 1 :])
    parts = []
    for i in range(num):
        starts = [i if axis == at else 0 for axis in range(x.rank)]
        parts.append(b.reshape(b.slice(x, starts, [1] * x.rank, one), rest))
    return tuple(parts)


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

"""Changed copies: a tensor with values added or set at an index key."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import bool_, from_numpy
from minigrad.errors import IndexOutOfRangeError, ShapeError
from minigrad.ops.index_key import Key, assemble, indexed, is_basic, region
from minigrad.ops.indexing import advanced_index, checked_key, explain_index, getitem
from minigrad.ops.scatter_kernels import add_at, last_writers, set_at
from minigrad.ops.selection import where
from minigrad.ops.shaping import sum_to_like
from minigrad.shapes import Shape, Spec, broadcast, compatible, show

__all__ = ["index_add", "index_set", "last_writer"]


def _check_values(values: Shape, place: Shape) -> None:
    """Raise `ShapeError` unless values broadcast to the place they go to."""
    if values is None or place is None:
        return
    try:
        fits = compatible(broadcast(values, place), place)
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"values of shape {show(values)} do not broadcast to the selected shape {show(place)}"
        )


def _place(x: Any, parts: tuple[Any, ...], key: Key, values: Any) -> tuple[Any, tuple[int, ...]]:
    """The key for arrays, and the shape it selects. Raises where it, or the values, do not fit."""
    try:
        taken = assemble(key, parts)
        shape = np.broadcast_to(np.zeros((), bool), x.shape)[taken].shape
    except IndexError as error:
        return explain_index(x.shape, key, parts, error), ()
    _check_values(values.shape, shape)
    return taken, shape


def _lowered_change(
    b: Any, x: Any, values: Any, parts: tuple[Any, ...], key: Key, join: str | None
) -> Any:
    """In a plan, `x` with the part that a basic key selects joined with values, or replaced."""
    if x.dtype != values.dtype:
        return NotImplemented
    if not is_basic(key):
        return _lowered_additions(b, x, values, parts, key) if join else NotImplemented
    if any(p.constant is None for p in parts):
        return NotImplemented
    taken = region(x.shape, key, [p.constant for p in parts])
    part = b.reshape(b.broadcast(values, taken.shape), taken.lengths)
    if join is not None:
        part = b.map(join, b.slice(x, *taken[:3]), part)
    strides = b.strides(x.shape)
    return b.place(x.shape, [(x, (0, strides)), (part, taken.place_in(strides))])


def _lowered_additions(b: Any, x: Any, values: Any, parts: tuple[Any, ...], key: Key) -> Any:
    """In a plan, `x` with values added where index arrays say."""
    given = [Spec(p.shape, from_numpy(p.dtype)) for p in parts]
    shape = indexed(x.shape, key, given)
    if shape is None or None in shape or 0 in shape:
        return NotImplemented
    spread = b.broadcast(values, shape)
    added = b.op("StridedSliceGrad", spread, x, *parts, key=key)
    return b.map("Add", x, added)


def _changed(x: Spec, values: Spec, parts: tuple[Spec, ...], key: Key) -> Spec:
    """The spec of a changed copy. Raises where the key or the values do not fit."""
    _check_values(values.shape, indexed(x.shape, key, parts))
    return Spec(x.shape, x.dtype)


def _select(x: Tensor, parts: list[Any], key: Key) -> Tensor:
    """``x[key]`` for a key in parts."""
    return bind(getitem if is_basic(key) else advanced_index, x, *parts, key=key)


# -- adding ------------------------------------------------------------------------------------


@primitive(
    "IndexAdd",
    promote=(0, 1),
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), [0, 2, 0], rng.normal(size=(3, 2))).named("repeated"),
        Sample(rng.normal(size=(3, 2)), 1, rng.normal(size=(2,))),
        Sample(rng.normal(size=(3, 2)), (slice(None), -1), rng.normal(size=())),
        Sample(rng.normal(size=(4,)), slice(None, None, -2), rng.normal(size=(1,))),
        Sample(rng.normal(size=(2, 2)), ([[0], [0]], [0, 1]), rng.normal(size=(2,))),
        Sample(rng.normal(size=(3,)), np.array([True, False, True]), rng.normal(size=(2,))),
        Sample(rng.normal(size=(3,)), [], rng.normal(size=(0,))).named("nothing"),
        Sample(np.arange(3), [1, 1], 5),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* axis 0 of size 3", np.ones(3), [3], 1.0),
        Fails(ShapeError, r"\(3,\) do not broadcast .*\(2,\)", np.ones(4), [0, 1], np.ones(3)),
    ],
)
def index_add(x: TensorLike, key: Any, values: TensorLike, /) -> Tensor:
    """A copy of `x` with values added at a key.

    Args:
        x: a tensor.
        key: a key as for `getitem`: integers, slices, arrays, masks, tensors, tuples of these.
        values: what is added; it broadcasts to the shape of ``x[key]``.

    Returns:
        A tensor of the shape of `x`. Where the key selects an element more than once, the values
        add up (as with `numpy.add.at`, not ``x[key] += values``).

    Raises:
        IndexOutOfRangeError: an index lies outside its axis.
        ShapeError: the values do not broadcast.

    >>> import minigrad as mg
    >>> mg.index_add([0, 0, 0], [0, 2, 0], [1, 10, 100]).tolist()
    [101, 0, 10]
    """
    entries, operands = checked_key(x, key)
    return bind(index_add, x, values, *operands, key=entries)


@index_add.kernel
def _(xp: Any, x: Any, values: Any, *parts: Any, key: Key) -> Any:
    taken, shape = _place(x, parts, key, values)
    if is_basic(key):
        if hasattr(x, "at"):
            return x.at[taken].add(values)
        out = x.copy()
        out[taken] += values
        return out
    return add_at(xp, x, taken, xp.broadcast_to(values, shape))


@index_add.lowering
def _(b: Any, x: Any, values: Any, *parts: Any, key: Key) -> Any:
    return _lowered_change(b, x, values, parts, key, "Add")


@index_add.shape
def _(x: Spec, values: Spec, *parts: Spec, key: Key) -> Spec:
    return _changed(x, values, parts, key)


@index_add.gradient(saves=("parts",))
def _(c: Ctx) -> Grads:
    (g,), (_, values, *parts) = c.grads, c.inputs
    taken = sum_to_like(_select(g, parts, c.attrs.key), values) if c.needs[1] else None
    return [g, taken, *[None] * len(parts)]


# -- setting -----------------------------------------------------------------------------------


@primitive(
    "LastWriter",
    promote=(),
    shape_only=(0,),
    not_differentiable="the result is made of bools",
    samples=[
        Sample(np.zeros(3), [0, 2, 0]),
        Sample(np.zeros((2, 2)), ([[0], [0]], [0, 1])),
        Sample(np.zeros((2, 3)), (slice(None), [1, 1])),
        Sample(np.zeros(3), slice(1, None)).named("nothing repeated"),
        Sample(np.zeros((3, 2)), []).named("nothing"),
    ],
    errors=[Fails(IndexOutOfRangeError, "index 3", np.zeros(3), [3])],
)
def last_writer(x: TensorLike, key: Any, /) -> Tensor:
    """Which of the elements that a key selects would be written last, if they were set in order.

    Args:
        x: a tensor; its values are not read.
        key: a key as for `getitem`.

    Returns:
        Bools in the shape of ``x[key]``: false where a later one selects the same element.

    Raises:
        IndexOutOfRangeError: an index lies outside its axis.

    >>> import minigrad as mg
    >>> from minigrad.ops.updates import last_writer
    >>> last_writer(mg.zeros(3), [0, 2, 0]).tolist()
    [False, True, True]
    """
    entries, operands = checked_key(x, key)
    return bind(last_writer, x, *operands, key=entries)


@last_writer.kernel
def _(xp: Any, x: Any, *parts: Any, key: Key) -> Any:
    try:
        taken = assemble(key, parts)
        return last_writers(xp, x.shape, taken)
    except IndexError as error:
        return explain_index(x.shape, key, parts, error)


@last_writer.shape
def _(x: Spec, *parts: Spec, key: Key) -> Spec:
    return Spec(indexed(x.shape, key, parts), bool_)


@primitive(
    "IndexSet",
    promote=(0, 1),
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), [0, 2, 0], rng.normal(size=(3, 2))).named("repeated"),
        Sample(rng.normal(size=(3, 2)), [1, 1], rng.normal(size=(2,))).named("repeated rows"),
        Sample(rng.normal(size=(3, 2)), 1, rng.normal(size=(2,))),
        Sample(rng.normal(size=(3, 2)), (slice(None), -1), rng.normal(size=())),
        Sample(rng.normal(size=(4,)), slice(None, None, -2), rng.normal(size=(1,))),
        Sample(rng.normal(size=(2, 2)), ([[0], [0]], [0, 1]), rng.normal(size=(2, 2))),
        Sample(rng.normal(size=(3,)), np.array([True, False, True]), rng.normal(size=(2,))),
        Sample(rng.normal(size=(3,)), [], rng.normal(size=(0,))).named("nothing"),
        Sample(np.arange(3), [1, 1], [5, 6]),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* axis 0 of size 3", np.ones(3), [3], 1.0),
        Fails(ShapeError, r"\(3,\) do not broadcast .*\(2,\)", np.ones(4), [0, 1], np.ones(3)),
    ],
)
def index_set(x: TensorLike, key: Any, values: TensorLike, /) -> Tensor:
    """A copy of `x` with values set at a key; what ``x[key] = values`` does to an array.

    Args:
        x: a tensor.
        key: a key as for `getitem`: integers, slices, arrays, masks, tensors, tuples of these.
        values: what is set; it broadcasts to the shape of ``x[key]``.

    Returns:
        A tensor of the shape of `x`. Where the key selects an element more than once, the last
        one in row-major order wins, and only that one gets a gradient.

    Raises:
        IndexOutOfRangeError: an index lies outside its axis.
        ShapeError: the values do not broadcast.

    >>> import minigrad as mg
    >>> mg.index_set([0, 0, 0], [0, 2, 0], [1, 10, 100]).tolist()
    [100, 0, 10]
    """
    entries, operands = checked_key(x, key)
    return bind(index_set, x, values, *operands, key=entries)


@index_set.kernel
def _(xp: Any, x: Any, values: Any, *parts: Any, key: Key) -> Any:
    taken, shape = _place(x, parts, key, values)
    if not is_basic(key):
        return set_at(xp, x, taken, xp.broadcast_to(values, shape))
    if hasattr(x, "at"):
        return x.at[taken].set(values)
    out = x.copy()
    out[taken] = values
    return out


@index_set.lowering
def _(b: Any, x: Any, values: Any, *parts: Any, key: Key) -> Any:
    return _lowered_change(b, x, values, parts, key, None)


@index_set.shape
def _(x: Spec, values: Spec, *parts: Spec, key: Key) -> Spec:
    return _changed(x, values, parts, key)


@index_set.gradient(saves=("parts",))
def _(c: Ctx) -> Grads:
    (g,), (_, values, *parts), key = c.grads, c.inputs, c.attrs.key
    kept = bind(index_set, g, 0, *parts, key=key) if c.needs[0] else None
    given = None
    if c.needs[1]:
        given = _select(g, parts, key)
        if not is_basic(key):
            given = where(bind(last_writer, g, *parts, key=key), given, 0)
        given = sum_to_like(given, values)
    return [kept, given, *[None] * len(parts)]

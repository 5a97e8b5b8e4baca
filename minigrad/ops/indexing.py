"""Indexing: ``x[key]`` with all of NumPy's keys, its adjoint, `take` and `boolean_mask`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.literal import constant_spec
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import ConcreteTensor, Tensor, TensorLike
from minigrad.errors import (
    ArgumentTypeError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
)
from minigrad.ops.basic import asarray
from minigrad.ops.index_key import (
    Key,
    assemble,
    check_arrays,
    indexed,
    is_basic,
    parse,
    region,
)
from minigrad.ops.index_plans import picked
from minigrad.ops.scatter_kernels import add_at
from minigrad.ops.sizes import known_elements, with_elements
from minigrad.shapes import Shape, Spec, axis_argument_int, compatible, normalize_axis, show

__all__ = ["boolean_mask", "getitem", "take"]


def checked_key(x: Any, key: Any) -> tuple[Key, list[Any]]:
    """The entries and operands of a key; raises where an array in it is known to leave `x`."""
    entries, operands = parse(key)
    if operands and not isinstance(x, ConcreteTensor):
        shape: Shape = getattr(x, "shape", None)
        known = [t._value if isinstance(t, ConcreteTensor) else None for t in operands]
        check_arrays(shape, entries, known)
    return entries, operands


def explain_index(shape: tuple[int, ...], key: Key, arrays: Sequence[Any], error: Exception) -> Any:
    """Raise the error that says best why arrays could not be indexed."""
    indexed(shape, key, [constant_spec(np.asarray(a)) for a in arrays])
    check_arrays(shape, key, arrays)
    raise IndexOutOfRangeError(str(error)) from error


# -- getitem -----------------------------------------------------------------------------------


@primitive(
    "StridedSlice",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), 1),
        Sample(rng.normal(size=(5, 2)), (slice(1, None, 2), -1)),
        Sample(rng.normal(size=(4,)), slice(None, None, -1)).named("reversed"),
        Sample(rng.normal(size=(4,)), slice(3, 0, -2)).named("negative step"),
        Sample(rng.normal(size=(2, 2, 2)), (..., None, 0)).named("ellipsis and new axis"),
        Sample(rng.normal(size=(3,)), slice(2, 1)).named("nothing"),
        Sample(rng.normal(size=(3,)), np.array(-1)).named("0-d array"),
        Sample(rng.normal(size=()), ()).named("scalar"),
        Sample(rng.normal(size=(3, 2)), [0, 2, 0]).named("an array"),
        Sample(np.arange(6).reshape(2, 3), (slice(None), 1)),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* axis 0 of size 3", np.ones(3), 3),
        Fails(IndexOutOfRangeError, "index -3 .* axis 1 of size 2", np.ones((3, 2)), (0, -3)),
        Fails(IndexOutOfRangeError, "too many indices", np.ones(3), (0, 0)),
        Fails(DTypeError, "integers or bools", np.ones(3), 1.0),
        Fails(ArgumentTypeError, "bounds of a slice", np.ones(3), slice(0.5)),
    ],
)
def getitem(x: TensorLike, key: Any, /) -> Tensor:
    """The elements that a key selects: what ``x[key]`` computes.

    Args:
        x: a tensor.
        key: as in NumPy: integers, slices (with steps, negative ones too), ``None`` for a new
            axis, ``...``, arrays or tensors of integers or bools, and tuples of these. Integers
            and the bounds of slices may be scalar integer tensors, symbolic ones too.

    Returns:
        A tensor of the shape that NumPy gives. Where the key holds a mask whose value is not
        known yet, the length of its axis is not known either.

    Raises:
        IndexOutOfRangeError: an index lies outside its axis, or there are too many.
        ShapeError: a mask does not fit, or arrays do not broadcast.
        DTypeError: an array is neither of integers nor of bools.
        ArgumentTypeError: a part of the key is nothing one can index with.

    >>> import minigrad as mg
    >>> x = mg.asarray([[1, 2, 3], [4, 5, 6]])
    >>> mg.getitem(x, (slice(None), 0)).tolist(), x[1, ::-1].tolist(), x[x > 4].tolist()
    ([1, 4], [6, 5, 4], [5, 6])
    """
    entries, operands = checked_key(x, key)
    if is_basic(entries):
        return bind(getitem, x, *operands, key=entries)
    return bind(advanced_index, x, *operands, key=entries)


@getitem.kernel
def _(xp: Any, x: Any, *parts: Any, key: Key) -> Any:
    try:
        return x[assemble(key, parts)]
    except IndexError as error:
        return explain_index(x.shape, key, parts, error)


@getitem.lowering
def _(b: Any, x: Any, *parts: Any, key: Key) -> Any:
    if any(p.constant is None for p in parts):
        return NotImplemented
    taken = region(x.shape, key, [p.constant for p in parts])
    return b.reshape(b.slice(x, *taken[:3]), taken.shape)


@getitem.shape
def _(x: Spec, *parts: Spec, key: Key) -> Spec:
    shape = indexed(x.shape, key, parts)
    return with_elements(shape, x.dtype, _selected(x, shape, key, parts))


def _selected(x: Spec, shape: Shape, key: Key, parts: Sequence[Spec]) -> Any:
    """The elements that a key selects from a small integer vector, as far as they are known."""
    elements = known_elements(x)
    if elements is None or shape is None or len(shape) > 1 or None in shape:
        return None
    known = [p.value for p in parts]
    if None in known:
        return None
    source: Any = np.empty(len(elements), object)
    source[:] = elements
    if not x.shape:
        source = source.reshape(())
    return source[assemble(key, known)].reshape(-1).tolist()


@getitem.gradient(saves=("parts",))
def _(c: Ctx) -> Grads:
    x, *parts = c.inputs
    made = bind(scatter_like, c.grads[0], x, *parts, key=c.attrs.key)
    return [made, *[None] * len(parts)]


@primitive(
    "AdvancedIndex",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), [0, 2, 0]).named("repeated rows"),
        Sample(rng.normal(size=(3, 2)), ([[0], [-1]], [0, 1])).named("broadcast"),
        Sample(rng.normal(size=(2, 3, 2)), (0, slice(None), [1, 0, 1])).named("to the front"),
        Sample(rng.normal(size=(2, 3, 2)), (slice(None), [2, 0], 0)).named("in place"),
        Sample(rng.normal(size=(2, 3)), np.array([[True, False, True], [False, True, False]])),
        Sample(rng.normal(size=(2, 3)), (slice(None), [True, False, True])),
        Sample(rng.normal(size=(2, 3)), (None, [1, 1], slice(0, 2))),
        Sample(rng.normal(size=(2, 2)), (True, [0])).named("0-d mask"),
        Sample(rng.normal(size=(3,)), []).named("nothing"),
        Sample(np.arange(6).reshape(2, 3), ([0, 1], [2, 0])),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 3 .* axis 0 of size 3", np.ones((3, 2)), [0, 3]),
        Fails(
            IndexOutOfRangeError,
            "index -3 .* axis 1 of size 2",
            np.ones((3, 2)),
            (slice(None), np.array([[0, -3]])),
        ),
        Fails(IndexOutOfRangeError, "too many indices", np.ones(3), ([0], [0])),
        Fails(ShapeError, "mask of shape", np.ones(3), [True, False]),
        Fails(ShapeError, "do not fit together", np.ones((3, 3)), ([0, 1], [0, 1, 2])),
        Fails(DTypeError, "integers or bools", np.ones(3), [0.5]),
    ],
)
def advanced_index(x: TensorLike, key: Any, /) -> Tensor:
    """``x[key]`` where arrays of integers or bools are in the key; `getitem` chooses it by itself.

    Args:
        x: a tensor.
        key: a key as for `getitem`.

    Raises:
        IndexOutOfRangeError: an index lies outside its axis, or there are too many.
        ShapeError: a mask does not fit, or arrays do not broadcast.
        DTypeError: an array is neither of integers nor of bools.

    >>> from minigrad.ops.indexing import advanced_index
    >>> advanced_index([10, 20, 30], [2, 0]).tolist()
    [30, 10]
    """
    entries, operands = checked_key(x, key)
    return bind(advanced_index, x, *operands, key=entries)


@advanced_index.kernel
def _(xp: Any, x: Any, *parts: Any, key: Key) -> Any:
    try:
        return x[assemble(key, parts)]
    except IndexError as error:
        return explain_index(x.shape, key, parts, error)


@advanced_index.lowering
def _(b: Any, x: Any, *parts: Any, key: Key) -> Any:
    found = picked(b, x.shape, key, parts) if x.size else None
    if found is None or not found.rows.size:
        return NotImplemented
    part = b.reshape(b.slice(x, *found.within[:3]), found.merged)
    return b.gather(part, found.rows, found.axis) if part.size else NotImplemented


@advanced_index.shape
def _(x: Spec, *parts: Spec, key: Key) -> Spec:
    return Spec(indexed(x.shape, key, parts), x.dtype)


@advanced_index.gradient(saves=("parts",))
def _(c: Ctx) -> Grads:
    x, *parts = c.inputs
    made = bind(scatter_like, c.grads[0], x, *parts, key=c.attrs.key)
    return [made, *[None] * len(parts)]


# -- the adjoint -------------------------------------------------------------------------------


@primitive(
    "StridedSliceGrad",
    promote=(0,),
    shape_only=(1,),
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(2,)), np.zeros((3, 2)), 1).fixed(1),
        Sample(rng.normal(size=(2, 2)), np.zeros((4, 2)), slice(3, 0, -2)).fixed(1),
        Sample(rng.normal(size=(3, 2)), np.zeros((3, 2)), [0, 2, 0]).fixed(1),
        Sample(rng.normal(size=(2, 2)), np.zeros((3, 2)), ([[0], [1]], [0, 0])).fixed(1),
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 3, 2)), (0, slice(None), [1, 1])).fixed(1),
        Sample(rng.normal(size=(2, 2)), np.zeros((2, 3)), (..., [True, False, True])).fixed(1),
        Sample(rng.normal(size=(0, 2)), np.zeros((3, 2)), []).fixed(1).named("nothing"),
    ],
    errors=[Fails(ShapeError, r"expected shape \(2,\)", np.ones(3), np.zeros(4), slice(2))],
)
def scatter_like(values: TensorLike, like: TensorLike, key: Any, /) -> Tensor:
    """Zeros of the shape of `like`, with `values` added at a key: the adjoint of `getitem`.

    Args:
        values: a tensor of the shape of ``like[key]``.
        like: the tensor whose shape the result has; its values are not read.
        key: a key as for `getitem`. Where it selects an element more than once, the values add
            up.

    Raises:
        ShapeError: `values` does not have that shape.
        IndexOutOfRangeError: an index lies outside its axis.

    >>> import minigrad as mg
    >>> from minigrad.ops.indexing import scatter_like
    >>> scatter_like([1, 10, 100], mg.zeros(4), [0, 2, 0]).tolist()
    [101, 0, 10, 0]
    """
    entries, operands = checked_key(like, key)
    return bind(scatter_like, values, like, *operands, key=entries)


@scatter_like.kernel
def _(xp: Any, values: Any, like: Any, *parts: Any, key: Key) -> Any:
    try:
        taken = assemble(key, parts)
        shape = like[taken].shape
    except IndexError as error:
        return explain_index(like.shape, key, parts, error)
    if shape != values.shape:
        raise ShapeError(f"expected shape {show(shape)}, got {show(values.shape)}")
    zeros = xp.zeros(like.shape, dtype=values.dtype)
    if not is_basic(key):
        return add_at(xp, zeros, taken, values)
    if hasattr(zeros, "at"):
        return zeros.at[taken].set(values)
    zeros[taken] = values
    return zeros


@scatter_like.lowering
def _(b: Any, values: Any, like: Any, *parts: Any, key: Key) -> Any:
    if not values.size:
        return b.full(like.shape, 0, values.dtype)
    if not is_basic(key):
        found = picked(b, like.shape, key, parts)
        if found is None:
            return NotImplemented
        taken = found.within
        values = b.scatter_add(values, found.rows, found.axis, found.length)
    elif any(p.constant is None for p in parts):
        return NotImplemented
    else:
        taken = region(like.shape, key, [p.constant for p in parts])
    part = b.reshape(values, taken.lengths)
    zero = b.constant(0, values.dtype)
    if all(step == 1 for step in taken.steps):
        each = zip(taken.starts, taken.lengths, like.shape, strict=True)
        return b.pad(part, [(start, n - start - length) for start, length, n in each], zero)
    whole = b.broadcast(zero, like.shape)
    strides = b.strides(like.shape)
    return b.place(like.shape, [(whole, (0, strides)), (part, taken.place_in(strides))])


@scatter_like.shape
def _(values: Spec, like: Spec, *parts: Spec, key: Key) -> Spec:
    wanted = indexed(like.shape, key, parts)
    if not compatible(values.shape, wanted):
        raise ShapeError(f"expected shape {show(wanted)}, got {show(values.shape)}")
    return Spec(like.shape, values.dtype)


@scatter_like.gradient(saves=("parts",))
def _(c: Ctx) -> Grads:
    _, _, *parts = c.inputs
    select = getitem if is_basic(c.attrs.key) else advanced_index
    made = bind(select, c.grads[0], *parts, key=c.attrs.key)
    return [made, None, *[None] * len(parts)]


# -- along one axis ----------------------------------------------------------------------------


def shape_of(x: Any) -> Shape:
    """The static shape of a tensor, variable, array or nested list."""
    shape: Shape = x.shape if hasattr(x, "shape") else np.shape(x)
    return shape


def _along(index: Any, axis: int) -> tuple[Any, ...]:
    """The key that applies an index to one axis, which may be counted from the end."""
    if axis >= 0:
        return (*[slice(None)] * axis, index)
    return (..., index, *[slice(None)] * (-axis - 1))


@primitive(
    "Take",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), [2, 0, 2], axis=0),
        Sample(rng.normal(size=(2, 3)), np.array([[0, -1], [1, 1]]), axis=-1),
        Sample(rng.normal(size=(2, 3)), 1, axis=1).named("one index"),
        Sample(rng.normal(size=(3,)), [1]),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "index 2 .* axis 1 of size 2", np.ones((3, 2)), [2], axis=1),
        Fails(ShapeError, "axis=", np.ones((3, 2)), [0]),
    ],
)
def take(x: TensorLike, indices: TensorLike, /, *, axis: int | None = None) -> Tensor:
    """Elements at some indices of an axis.

    Args:
        x: a tensor.
        indices: integers of any shape; negative ones count from the end.
        axis: the axis; it may be left out only for a vector.

    Returns:
        A tensor in whose shape that of `indices` stands in the place of the axis.

    Raises:
        IndexOutOfRangeError: an index lies outside the axis.
        ShapeError: `axis` is missing or out of range.

    See `gather` for rows of a large table: its gradient holds only the rows that were used.

    >>> import minigrad as mg
    >>> mg.take([[1, 2], [3, 4]], [1, 1, 0], axis=0).tolist()
    [[3, 4], [3, 4], [1, 2]]
    """
    if axis is None:
        shape = shape_of(x)
        if shape is None or len(shape) != 1:
            raise ShapeError(f"take needs axis= for a tensor of shape {show(shape)}")
        axis = 0
    return getitem(x, _along(indices, axis_argument_int(axis)))


@primitive(
    "BooleanMask",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 2)), [True, False, True]),
        Sample(rng.normal(size=(2, 3)), [True, False, True], axis=1),
        Sample(rng.normal(size=(2, 2)), np.array([[True, False], [True, True]])),
        Sample(rng.normal(size=(2,)), [False, False]).named("nothing"),
    ],
    errors=[
        Fails(ShapeError, "mask of shape", np.ones(3), [True, False]),
        Fails(DTypeError, "bool", np.ones(3), [1, 0, 1]),
    ],
)
def boolean_mask(x: TensorLike, mask: TensorLike, /, *, axis: int = 0) -> Tensor:
    """The elements where a mask is true.

    Args:
        x: a tensor.
        mask: bools, of the shape of the axes of `x` from `axis` on that it covers.
        axis: the first axis that it covers.

    Returns:
        A tensor with one axis in place of those covered, as long as there are true elements: a
        length that is not known while a graph is built.

    Raises:
        ShapeError: the mask does not fit.
        DTypeError: the mask is not of bools.

    >>> import minigrad as mg
    >>> mg.boolean_mask([1, 2, 3], [True, False, True]).tolist()
    [1, 3]
    """
    tensor = mask if isinstance(mask, Tensor | StateOwner) else asarray(mask)
    if not tensor.dtype.is_bool:
        raise DTypeError(f"a mask must be of dtype bool, got {tensor.dtype}")
    at = axis_argument_int(axis)
    if at < 0:
        shape = shape_of(x)
        if shape is None:
            raise ShapeError("boolean_mask needs a non-negative axis where the rank is not known")
        at = normalize_axis(at, len(shape))
    return getitem(x, _along(tensor, at))

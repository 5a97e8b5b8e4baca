"""Linear recurrences along an axis, of which the gradients of running products are made."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.axes import fit_axis_like
from minigrad.ops.reducing import around, widened
from minigrad.shapes import (
    Shape,
    Spec,
    axis_argument_int,
    compatible,
    merge,
    normalize_axis,
    show,
)

__all__ = ["linear_recurrence", "native_scan", "shifted"]


def shifted(x: Tensor, axis: int, to_end: bool) -> Tensor:
    """Every element one place nearer to the start of the axis, or to its end; 0 moves in."""
    return fit_axis_like(x, x, before=1 if to_end else -1, axis=axis)


def native_scan(b: Any, name: str, what: Any, operands: list[Any], axis: int, **attrs: Any) -> Any:
    """In a plan a native kernel's result, of operands of one shape and dtype."""
    shape, dtype = operands[0].shape, operands[0].dtype
    if not operands[0].size:
        return b.full(shape, 0, dtype)
    folded = around(shape, axis)
    given = [b.reshape(x, folded) for x in operands]
    (made,) = b.special(name, given, [(folded, dtype)], {"axis": 1, **attrs}, what)
    return b.reshape(made, shape)


@primitive(
    "LinearRecurrence",
    accepts="float",
    numpy=lambda a, b, *, axis, reverse: _recurrence_loop(a, b, axis, reverse),
    samples=lambda rng: [
        Sample(rng.normal(size=(4,)), rng.normal(size=(4,))),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), axis=0),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), reverse=True),
        Sample(np.array([0.5, 0.0, 2.0]), rng.normal(size=(3,))).named("a zero"),
        Sample(rng.normal(size=(0, 2)), rng.normal(size=(0, 2)), axis=0).named("empty"),
        Sample(np.array([1, 2]), np.array([3, 4], np.float16)),
    ],
    errors=[Fails(ShapeError, "same shape", np.zeros(2), np.zeros(3))],
)
def linear_recurrence(
    a: TensorLike, b: TensorLike, /, *, axis: int = -1, reverse: bool = False
) -> Tensor:
    """The sequence ``h[i] = a[i] * h[i-1] + b[i]`` along an axis, from ``h[-1] = 0``.

    Args:
        a: the factors; the first one is not read.
        b: what is added; of the same shape.
        axis: the axis.
        reverse: run from the end: ``h[i] = a[i] * h[i+1] + b[i]``.

    Returns:
        A tensor of that shape.

    Raises:
        ShapeError: the shapes differ, or the axis is out of range.

    >>> from minigrad.ops.recurrences import linear_recurrence
    >>> linear_recurrence([0.5, 0.5, 0.5], [1.0, 1.0, 1.0]).tolist()
    [1.0, 1.5, 1.75]
    """
    return bind(linear_recurrence, a, b, axis=axis_argument_int(axis), reverse=bool(reverse))


@linear_recurrence.kernel
def _(xp: Any, a: Array, b: Array, *, axis: int, reverse: bool) -> Array:
    # By doubling: after each round, h and factor stand for twice as many steps.
    _require_same_shape(a.shape, b.shape)
    factor, h = (_to_front(xp, v, axis, reverse) for v in (a, b))
    length, step = h.shape[0], 1

    def later(v: Array) -> Array:
        made: Array = xp.concat([xp.zeros_like(v[:step]), v[: length - step]], axis=0)
        return made

    factor = xp.concat([xp.zeros_like(factor[:1]), factor[1:]], axis=0)
    while step < length:
        h, factor = h + factor * later(h), factor * later(factor)
        step *= 2
    return _from_front(xp, h, axis, reverse).astype(b.dtype)


def _recurrence_loop(a: Array, b: Array, axis: int, reverse: bool) -> Array:
    """The same, element after element, so that no product is formed that is not needed."""
    _require_same_shape(a.shape, b.shape)
    factor, added = (_to_front(np, v, axis, reverse) for v in (a, b))
    h = np.empty(added.shape, added.dtype)
    if added.ndim == 1 and added.dtype.kind == "f":
        now, made = 0.0, []
        for i, (f, v) in enumerate(zip(factor.tolist(), added.tolist(), strict=True)):
            now = f * now + v if i else v
            made.append(now)
        h[:] = made
    else:
        for i in range(len(h)):
            h[i] = added[i] + factor[i] * h[i - 1] if i else added[i]
    return _from_front(np, h, axis, reverse).astype(b.dtype, copy=False)


def _to_front(xp: Any, x: Array, axis: int, reverse: bool) -> Array:
    """The array with the axis first, running forward, in the dtype to accumulate in."""
    moved: Array = xp.moveaxis(widened(x), normalize_axis(axis, x.ndim), 0)
    return moved[::-1] if reverse else moved


def _from_front(xp: Any, x: Array, axis: int, reverse: bool) -> Array:
    """Undo `_to_front`, but for the dtype."""
    back: Array = xp.moveaxis(x[::-1] if reverse else x, 0, axis)
    return back


def _require_same_shape(a: Shape, b: Shape) -> None:
    if not compatible(a, b):
        raise ShapeError(f"a and b must have the same shape, got {show(a)} and {show(b)}")


@linear_recurrence.shape
def _(a: Spec, b: Spec, *, axis: int, reverse: bool) -> Spec:
    _require_same_shape(a.shape, b.shape)
    shape = merge(a.shape, b.shape)
    if shape is not None:
        normalize_axis(axis, len(shape))
    return Spec(shape, b.dtype)


@linear_recurrence.lowering
def _(b: Any, a: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    if a.dtype != x.dtype:
        return NotImplemented
    at = normalize_axis(axis, x.rank)
    return native_scan(b, "linear_recurrence", linear_recurrence, [a, x], at, reverse=reverse)


@linear_recurrence.gradient(saves=("a", "y"))
def _(c: Ctx) -> Grads:
    (a, _b), (h,), (g,) = c.inputs, c.outputs, c.grads
    axis, reverse = c.attrs.axis, c.attrs.reverse
    t = linear_recurrence(shifted(a, axis, reverse), g, axis=axis, reverse=not reverse)
    return t * shifted(h, axis, not reverse) if c.needs[0] else None, t

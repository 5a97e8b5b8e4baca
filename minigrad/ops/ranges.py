"""Evenly spaced numbers: arange and linspace."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.convert import is_weak
from minigrad.core.operands import common_dtype
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import ConcreteTensor, Tensor, TensorLike
from minigrad.devices import check_device
from minigrad.dtypes import DType, DTypeLike, as_dtype
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.ops.basic import asarray, astype
from minigrad.ops.elementwise import multiply
from minigrad.ops.shaping import size, sum_to_like
from minigrad.ops.sizes import (
    SMALL,
    Sizes,
    actual_sizes,
    count_argument,
    not_negative,
    static_sizes,
    with_elements,
)
from minigrad.shapes import Spec, show

__all__ = ["arange", "linspace"]

#: Start, stop and step as Python numbers.
Bounds = tuple[Any, Any, Any]


@primitive(
    "Range",
    accepts="real",
    samples=lambda rng: [
        Sample(5),
        Sample(2, 9, 3),
        Sample(5, 0, -2, dtype="int64"),
        Sample(0.0, 1.0, 0.25, dtype="float64"),
        Sample(3, 3).named("empty"),
        Sample(np.array(0.3), np.array(2.6), np.array(0.5)).named("with a gradient"),
        Sample(np.array(2), 7.5),
    ],
    errors=[
        Fails(ArgumentError, "step must not be 0", 0, 3, 0),
        Fails(ArgumentError, "finite", 0.0, float("inf")),
        Fails(DTypeError, "bool", 3, dtype=bool),
        Fails(ShapeError, "scalars", [1, 2], 3),
    ],
)
def arange(
    start: TensorLike,
    /,
    stop: TensorLike | None = None,
    step: TensorLike = 1,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Numbers from `start` up to but not including `stop`, in steps.

    Args:
        start: the first number, a scalar; with no `stop`, the end, and the first is 0.
        stop: where to end, a scalar.
        step: the distance, a scalar.
        dtype: element type; by default the common one of the bounds: int32 for Python ints,
            float32 for Python floats. Floats are computed in float64 and then rounded.
        device: None or ``"cpu"``.

    Returns:
        A vector of ⌈(stop − start) / step⌉ elements, or none. Where a bound is a symbolic tensor,
        the static length is not known, except where the bound's value is.

    Raises:
        ArgumentError: the step is 0, or a bound is not finite.
        ShapeError: a bound is no scalar.

    The gradient counts the number of elements as fixed, so none flows to `stop`.

    >>> import minigrad as mg
    >>> mg.arange(1, 10, 3)
    Tensor([1, 4, 7], shape=(3,), dtype=int32)
    """
    check_device(device)
    if stop is None:
        start, stop = 0, start
    target = None if dtype is None else as_dtype(dtype)
    if target is not None and not (target.is_integer or target.is_floating):
        raise DTypeError(f"arange makes integers or floats, not {target}")
    given: tuple[Any, ...] = (start, stop, step)
    if not all(is_weak(b) or _is_plain(b) for b in given):
        return bind(arange, start, stop, step, bounds=None, dtype=target)
    strong = [asarray(b).dtype for b in given if not is_weak(b)]
    common = common_dtype(arange, strong, [b for b in given if is_weak(b)])
    bounds = tuple([b if is_weak(b) else b.item() for b in given])
    return bind(arange, None, None, None, bounds=bounds, dtype=target or common)


def _is_plain(bound: Any) -> bool:
    """True for a scalar whose value is known now, and which needs no gradient."""
    if isinstance(bound, np.ndarray | np.generic):
        return bound.shape == ()
    return isinstance(bound, ConcreteTensor) and bound.shape == () and bound.dtype.is_integer


def _length(start: float, stop: float, step: float) -> int:
    """How many numbers there are."""
    if step == 0:
        raise ArgumentError("the step must not be 0")
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return len(range(start, stop, step))
    count = (stop - start) / step
    if not math.isfinite(count):
        raise ArgumentError(f"the bounds must be finite, got {start}, {stop}, {step}")
    return max(0, math.ceil(count))


@arange.kernel
def _(
    xp: Any,
    start: Any = None,
    stop: Any = None,
    step: Any = None,
    *,
    bounds: Bounds | None,
    dtype: DType | None,
) -> Any:
    if bounds is None:
        if any(b.shape != () for b in (start, stop, step)):
            raise ShapeError("the bounds must be scalars")
        target = start.dtype if dtype is None else dtype.dtype
        first, last, by = start.item(), stop.item(), step.item()
    else:
        target = dtype.dtype if dtype is not None else None
        first, last, by = bounds
    count = _length(first, last, by)
    if all(isinstance(b, int) for b in (first, last, by)):
        return xp.arange(first, first + count * by, by, dtype=target)
    return (xp.arange(count, dtype="float64") * by + first).astype(target)


@arange.shape
def _(
    start: Spec | None,
    stop: Spec | None,
    step: Spec | None,
    *,
    bounds: Bounds | None,
    dtype: DType | None,
) -> Spec:
    if bounds is None:
        if start is None or stop is None or step is None:
            raise ArgumentError("arange needs a start, a stop and a step")
        for b in (start, stop, step):
            if b.shape not in ((), None):
                raise ShapeError(f"the bounds must be scalars, got shape {show(b.shape)}")
        bounds = (start.value, stop.value, step.value)
        if None in bounds:
            return Spec((None,), dtype or start.dtype)
        dtype = dtype or start.dtype
    if dtype is None:
        raise ArgumentError("arange of numbers needs a dtype")
    count = _length(*bounds)
    first, _, by = bounds
    known = dtype.is_integer and isinstance(first, int) and isinstance(by, int)
    elements = [first + i * by for i in range(count)] if known and count <= SMALL else None
    return with_elements((count,), dtype, elements)


@arange.gradient()
def _(c: Ctx) -> Grads:
    (g,), (start, _, step) = c.grads, c.inputs
    if start is None:
        return None, None, None
    steps = arange(size(g), dtype=g.dtype) if c.needs[2] else None
    return (
        astype(sum_to_like(g, start), start.dtype) if c.needs[0] else None,
        None,
        None if steps is None else astype(sum_to_like(multiply(g, steps), step), step.dtype),
    )


@primitive(
    "LinSpace",
    accepts="real_float",
    promote=(0, 1),
    samples=lambda rng: [
        Sample(rng.normal(size=()), rng.normal(size=()), 4),
        Sample(rng.normal(size=()), rng.normal(size=()), 3, endpoint=False),
        Sample(rng.normal(size=()), 2.0, 1).named("one point"),
        Sample(rng.normal(size=()), 2.0, 0).named("none"),
        Sample(0, 1, 5, dtype="float64"),
    ],
    errors=[
        Fails(ShapeError, "negative", 0.0, 1.0, -1),
        Fails(ShapeError, "scalars", [0.0, 1.0], 1.0, 3),
        Fails(DTypeError, "does not take|floating", 0.0, 1.0, 3, dtype=int),
    ],
)
def linspace(
    start: TensorLike,
    stop: TensorLike,
    /,
    num: Any,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """Numbers evenly spaced between two ends.

    Args:
        start: the first, a scalar.
        stop: the last, a scalar.
        num: how many: an int or a scalar integer tensor.
        dtype: a floating dtype; by default that of the ends, float32 for Python numbers.
        device: None or ``"cpu"``.
        endpoint: whether `stop` itself is included.

    Returns:
        A vector of `num` elements.

    Raises:
        ShapeError: an end is no scalar, or `num` is negative.
        DTypeError: `dtype` is not a floating one.

    >>> import minigrad as mg
    >>> mg.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    check_device(device)
    if dtype is not None:
        target = as_dtype(dtype)
        if not target.is_floating:
            raise DTypeError(f"linspace makes a floating dtype, not {target}")
        start, stop = asarray(start, dtype=target), asarray(stop, dtype=target)
    count, given = count_argument(num, "num")
    sizes = None if count is None else (count,)
    return bind(linspace, start, stop, given, sizes=sizes, endpoint=bool(endpoint))


@linspace.kernel
def _(
    xp: Any, start: Any, stop: Any, num: Any = None, *, sizes: Sizes | None, endpoint: bool
) -> Any:
    if start.shape != () or stop.shape != ():
        raise ShapeError("the ends must be scalars")
    (count,) = actual_sizes(sizes, num, "num")
    not_negative((count,), "num")
    exact = xp.linspace(
        start.astype("float64"), stop.astype("float64"), num=count, endpoint=endpoint
    )
    return exact.astype(start.dtype)


@linspace.shape
def _(start: Spec, stop: Spec, num: Spec | None, *, sizes: Sizes | None, endpoint: bool) -> Spec:
    for b in (start, stop):
        if b.shape not in ((), None):
            raise ShapeError(f"the ends must be scalars, got shape {show(b.shape)}")
    known = static_sizes(sizes, num, "num")
    if known is not None and len(known) != 1:
        raise ShapeError(f"num must be a scalar, got {len(known)} numbers")
    not_negative(known, "num")
    return Spec(known or (None,), start.dtype)


@linspace.gradient(saves=("num",))
def _(c: Ctx) -> Grads:
    (g,), (start, stop, num), a = c.grads, c.inputs, c.attrs
    made: list[Tensor | None] = []
    for x, need, first in ((start, c.needs[0], 1.0), (stop, c.needs[1], 0.0)):
        if not need:
            made.append(None)
            continue
        ends = (asarray(first, dtype=g.dtype), asarray(1.0 - first, dtype=g.dtype))
        share = bind(linspace, *ends, num, sizes=a.sizes, endpoint=a.endpoint)
        made.append(sum_to_like(multiply(g, share), x))
    return [*made, None]

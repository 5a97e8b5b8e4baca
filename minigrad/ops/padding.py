"""Padding, by a constant or by what is at the border, and the adjoint that folds it back."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nest import flatten
from minigrad.ops.elementwise import multiply
from minigrad.ops.scatter_kernels import add_rows, zero_rows
from minigrad.ops.shaping import sum_to_like, zeros_like
from minigrad.ops.sizes import decided_in_run
from minigrad.ops.stacking import stack
from minigrad.shapes import Dim, Shape, Spec, show

__all__ = ["pad"]

Mode: TypeAlias = Literal["constant", "reflect", "symmetric", "edge", "wrap"]
_MODES = ("constant", "reflect", "symmetric", "edge", "wrap")

#: (before, after) for each axis; a single pair counts for every axis.
Widths: TypeAlias = "tuple[tuple[int, int], ...]"

#: Of more pieces than this a plan does not put a padded axis together; it picks its elements.
_MOST_RUNS = 16


@primitive(
    "Pad",
    promote=(0, 1),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), [[1, 0], [2, 1]]),
        Sample(rng.normal(size=(2,)), 1, constant_values=2.5).named("one width for all"),
        Sample(rng.normal(size=(2,)), (1, 2), "constant", rng.normal(size=())),
        Sample(rng.normal(size=(3, 2)), [(2, 1), (1, 0)], mode="reflect"),
        Sample(rng.normal(size=(2,)), (3, 4), mode="reflect").named("longer than the tensor"),
        Sample(rng.normal(size=(3, 2)), [(2, 1), (1, 2)], mode="symmetric"),
        Sample(rng.normal(size=(3, 2)), [(2, 1), (1, 0)], mode="edge"),
        Sample(rng.normal(size=(3, 2)), [(2, 1), (1, 3)], mode="wrap"),
        Sample(rng.normal(size=()), np.zeros((0, 2), int)).named("scalar"),
        Sample(rng.normal(size=(0, 2)), [(1, 0), (0, 1)]).named("empty"),
        Sample(np.arange(3), 1),
        Sample(np.array([True, False]), 1).named("bools"),
    ],
    errors=[
        Fails(ArgumentError, "mode must be", np.ones(2), 1, mode="mirror"),
        Fails(ShapeError, "negative", np.ones(2), [(1, -1)]),
        Fails(ShapeError, "3 pairs", np.ones((2, 2)), [(1, 1), (1, 1), (1, 1)]),
        Fails(ShapeError, "without elements", np.ones((0, 2)), 1, mode="edge"),
        Fails(ShapeError, "scalar", np.ones(2), 1, constant_values=np.ones(2)),
        Fails(ArgumentTypeError, "integers", np.ones(2), 1.5),
    ],
)
def pad(
    x: TensorLike,
    pad_width: Any,
    /,
    mode: Mode = "constant",
    constant_values: TensorLike = 0,
) -> Tensor:
    """Add elements before and after, along each axis.

    Args:
        x: a tensor.
        pad_width: a pair (before, after) for each axis; one pair or one int for all axes; or an
            integer tensor of such pairs, of shape (rank, 2). Its integers may be scalar tensors.
        mode: what is added: ``"constant"``; ``"reflect"``, the elements mirrored about the
            outermost one; ``"symmetric"``, mirrored about the border; ``"edge"``, the outermost
            element; or ``"wrap"``, the elements from the other end.
        constant_values: the constant, a scalar; the default also stands for False.

    Raises:
        ArgumentError: there is no such mode.
        ShapeError: a width is negative, their number is not that of the axes, or there is
            nothing to mirror.

    >>> import minigrad as mg
    >>> mg.pad([1, 2, 3], (1, 2)).tolist()
    [0, 1, 2, 3, 0, 0]
    >>> mg.pad([1, 2, 3], (1, 2), mode="reflect").tolist()
    [2, 1, 2, 3, 2, 1]
    """
    if mode not in _MODES:
        raise ArgumentError(f"mode must be one of {', '.join(_MODES)}, got {mode!r}")
    widths, given = _width_argument(pad_width)
    value: TensorLike | None = constant_values if mode == "constant" else None
    if type(value) is int and value == 0:
        value = False  # Python's False takes the dtype of every tensor, its 0 not that of bools.
    return bind(pad, x, value, given, widths=widths, mode=mode)


def _width_argument(value: Any) -> tuple[Widths | None, Any]:
    """The widths as an attribute, or as a tensor; the other one is None."""
    if decided_in_run(value):
        return None, value
    if isinstance(value, list | tuple) and any(decided_in_run(v) for v in flatten(list(value))):
        return None, stack(value)
    array = np.asarray(value)
    if array.dtype.kind not in "iu" and array.size:
        raise ArgumentTypeError(f"pad_width must consist of integers, got {value!r}")
    return _pairs(array), None


def _pairs(array: Any) -> Widths:
    """Pairs from an int, a pair, or pairs. Raises `ShapeError` for anything else."""
    if array.ndim > 2 or (array.ndim and array.shape[-1] not in (1, 2)):
        raise ShapeError(
            "pad_width must be an int, a pair, or a pair (before, after) for each axis, "
            f"got shape {show(array.shape)}"
        )
    if array.ndim < 2:
        array = array.reshape(1, -1)
    made = tuple((int(row[0]), int(row[-1])) for row in array)
    for pair in made:
        _check_width(pair)
    return made


def _check_width(pair: tuple[Dim, Dim]) -> None:
    if any(n is not None and n < 0 for n in pair):
        raise ShapeError(f"a width cannot be negative, got {pair}")


def _for_axes(widths: Widths, rank: int) -> Widths:
    """One pair for each axis."""
    if len(widths) == rank:
        return widths
    if len(widths) != 1:
        raise ShapeError(f"{len(widths)} pairs of widths do not fit a tensor of rank {rank}")
    return widths * rank


def _actual(widths: Widths | None, given: Any, rank: int) -> Widths:
    """The pairs, in a kernel."""
    if widths is None:
        if given.dtype.kind not in "iu":
            raise DTypeError(f"pad_width must be an integer tensor, got {given.dtype}")
        widths = _pairs(np.asarray(given))
    return _for_axes(widths, rank)


def _static(widths: Widths | None, given: Spec | None, rank: int) -> Widths | None:
    """The pairs in a shape rule, None where they are not known."""
    if widths is None:
        if given is not None and not given.dtype.is_integer:
            raise DTypeError(f"pad_width must be an integer tensor, got {given.dtype}")
        return None
    return _for_axes(widths, rank)


def _check_source(shape: Shape, widths: Widths, mode: str) -> None:
    """Raise `ShapeError` where an axis without elements would have to be continued."""
    if mode != "constant" and shape is not None:
        for length, pair in zip(shape, widths, strict=True):
            if length == 0 and pair != (0, 0):
                raise ShapeError(
                    f"an axis without elements can only be padded by a constant, got shape "
                    f"{show(shape)} and mode {mode!r}"
                )


def _sources(length: int, pair: tuple[int, int], mode: str) -> Any:
    """For each place of a padded axis, the index of the element that it repeats."""
    before, after = pair
    i = np.arange(-before, length + after)
    if mode == "edge" or length == 1:
        return np.clip(i, 0, length - 1)
    if mode == "wrap":
        return i % length
    if mode == "reflect":
        period = 2 * length - 2
        i = i % period
        return np.minimum(i, period - i)
    i = i % (2 * length)
    return np.minimum(i, 2 * length - 1 - i)


@pad.kernel
def _(
    xp: Any, x: Any, value: Any = None, given: Any = None, *, widths: Widths | None, mode: str
) -> Any:
    pairs = _actual(widths, given, x.ndim)
    _check_source(x.shape, pairs, mode)
    if mode == "constant":
        if value.shape != ():
            raise ShapeError(f"the constant must be a scalar, got shape {show(value.shape)}")
        for axis, pair in enumerate(pairs):
            if pair != (0, 0):
                blocks = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in pair]
                first, last = (xp.broadcast_to(value, shape) for shape in blocks)
                x = xp.concat([first, x, last], axis=axis)
        return x
    for axis, pair in enumerate(pairs):
        if pair != (0, 0):
            x = xp.take(x, xp.asarray(_sources(x.shape[axis], pair, mode)), axis=axis)
    return x


@pad.lowering
def _(
    b: Any, x: Any, value: Any = None, given: Any = None, *, widths: Widths | None, mode: str
) -> Any:
    if widths is None and given.constant is None:
        return NotImplemented
    pairs = _actual(widths, None if given is None else given.constant, x.rank)
    if mode == "constant":
        return b.pad(x, pairs, value)
    if not x.size:
        return NotImplemented
    for axis, pair in enumerate(pairs):
        if pair != (0, 0):
            runs = _runs(_sources(x.shape[axis], pair, mode))
            if len(runs) > _MOST_RUNS:
                x = b.gather(x, b.constant(_sources(x.shape[axis], pair, mode)), axis)
            else:
                x = b.concat([_run(b, x, axis, *run) for run in runs], axis)
    return x


def _runs(sources: Any) -> list[tuple[int, int, int]]:
    """Indices as runs of the same step: where each begins, its step and its length."""
    runs: list[tuple[int, int, int]] = []
    at = 0
    while at < len(sources):
        step = int(sources[at + 1] - sources[at]) if at + 1 < len(sources) else 1
        end = at + 1
        while end < len(sources) and sources[end] - sources[end - 1] == step:
            end += 1
        runs.append((int(sources[at]), step, end - at))
        at = end
    return runs


def _run(b: Any, x: Any, axis: int, start: int, step: int, length: int) -> Any:
    """In a plan, a run of indices along an axis."""
    starts = [start if i == axis else 0 for i in range(x.rank)]
    steps = [step or 1 if i == axis else 1 for i in range(x.rank)]
    shape = (*x.shape[:axis], length if step else 1, *x.shape[axis + 1 :])
    part = b.slice(x, starts, steps, shape)
    return part if step else b.broadcast(part, (*shape[:axis], length, *shape[axis + 1 :]))


@pad.shape
def _(x: Spec, value: Spec | None, given: Spec | None, *, widths: Widths | None, mode: str) -> Spec:
    if value is not None and value.shape not in ((), None):
        raise ShapeError(f"the constant must be a scalar, got shape {show(value.shape)}")
    if x.shape is None:
        return Spec(None, x.dtype)
    pairs = _static(widths, given, len(x.shape))
    if pairs is None:
        return Spec((None,) * len(x.shape), x.dtype)
    _check_source(x.shape, pairs, mode)
    shape = tuple(
        None if d is None else d + before + after
        for d, (before, after) in zip(x.shape, pairs, strict=True)
    )
    return Spec(shape, x.dtype)


@pad.gradient(saves=("given",))
def _(c: Ctx) -> Grads:
    (g,), (x, value, given), a = c.grads, c.inputs, c.attrs
    dx = bind(unpad, g, given, widths=a.widths, mode=a.mode) if c.needs[0] else None
    if value is None or not c.needs[1]:
        return dx, None, None
    padding = bind(pad, zeros_like(x), 1.0, given, widths=a.widths, mode="constant")
    return dx, sum_to_like(multiply(g, padding), value), None


@primitive(
    "PadGrad",
    promote=(0,),
    accepts="numeric",
    samples=lambda rng: [
        Sample(rng.normal(size=(3, 4)), [[1, 0], [2, 1]]),
        Sample(rng.normal(size=(4, 3)), [(1, 1), (1, 0)], mode="reflect"),
        Sample(rng.normal(size=(6,)), (2, 2), mode="symmetric"),
        Sample(rng.normal(size=(4,)), (2, 1), mode="edge"),
        Sample(rng.normal(size=(7,)), (3, 2), mode="wrap"),
        Sample(rng.normal(size=(2,)), (1, 1)).named("to empty"),
    ],
    errors=[
        Fails(ShapeError, "at least 3", np.ones(2), (1, 2)),
        Fails(ArgumentError, "mode must be", np.ones(2), 1, mode="mirror"),
    ],
)
def unpad(x: TensorLike, pad_width: Any, /, mode: Mode = "constant") -> Tensor:
    """Cut padding off and add it to the elements that `pad` repeated: the adjoint of `pad`.

    Args:
        x: a padded tensor.
        pad_width: the widths, as for `pad`.
        mode: the mode it was padded in; with ``"constant"`` the padding is only cut off.

    Raises:
        ShapeError: the tensor is smaller than the padding.
        ArgumentError: there is no such mode.

    >>> from minigrad.ops.padding import unpad
    >>> unpad([10, 1, 2, 100], (1, 1)).tolist()
    [1, 2]
    >>> unpad([10, 1, 2, 100], (1, 1), mode="edge").tolist()
    [11, 102]
    """
    if mode not in _MODES:
        raise ArgumentError(f"mode must be one of {', '.join(_MODES)}, got {mode!r}")
    widths, given = _width_argument(pad_width)
    return bind(unpad, x, given, widths=widths, mode=mode)


def _unpadded(shape: Shape, widths: Widths) -> tuple[Dim, ...]:
    lengths: list[Dim] = []
    for d, (before, after) in zip(shape or (), widths, strict=True):
        if d is not None and d < before + after:
            raise ShapeError(
                f"an axis padded by {before} and {after} has at least {before + after} elements, "
                f"got shape {show(shape)}"
            )
        lengths.append(None if d is None else d - before - after)
    return tuple(lengths)


@unpad.kernel
def _(xp: Any, x: Any, given: Any = None, *, widths: Widths | None, mode: str) -> Any:
    pairs = _actual(widths, given, x.ndim)
    lengths = _unpadded(x.shape, pairs)
    if mode == "constant":
        inside = [
            slice(before, before + (length or 0))
            for (before, _), length in zip(pairs, lengths, strict=True)
        ]
        return x[tuple(inside)]
    _check_source(lengths, pairs, mode)
    for axis, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        if pair != (0, 0) and length:
            moved = xp.moveaxis(x, axis, 0)
            rest = moved.shape[1:]
            rows = xp.reshape(moved, (moved.shape[0], int(np.prod(rest, dtype=np.int64))))
            zeros = zero_rows(xp, length, rows.shape[1], x.dtype)
            total = add_rows(xp, zeros, _sources(length, pair, mode), rows)
            x = xp.moveaxis(xp.reshape(total, (length, *rest)), 0, axis)
    return x


@unpad.lowering
def _(b: Any, x: Any, given: Any = None, *, widths: Widths | None, mode: str) -> Any:
    if given is not None and given.constant is None:
        return NotImplemented
    pairs = _actual(widths, None if given is None else given.constant, x.rank)
    if mode != "constant":
        lengths = _unpadded(x.shape, pairs)
        if not x.size or 0 in lengths:
            return NotImplemented
        for axis, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
            if pair != (0, 0) and length:
                x = b.scatter_add(x, b.constant(_sources(length, pair, mode)), axis, length)
        return x
    starts = [before for before, _after in pairs]
    return b.slice(x, starts, [1] * x.rank, _unpadded(x.shape, pairs))


@unpad.shape
def _(x: Spec, given: Spec | None, *, widths: Widths | None, mode: str) -> Spec:
    if x.shape is None:
        return Spec(None, x.dtype)
    pairs = _static(widths, given, len(x.shape))
    if pairs is None:
        return Spec((None,) * len(x.shape), x.dtype)
    lengths = _unpadded(x.shape, pairs)
    _check_source(lengths, pairs, mode)
    return Spec(lengths, x.dtype)


@unpad.gradient(saves=("given",))
def _(c: Ctx) -> Grads:
    (g,), a = c.grads, c.attrs
    value = 0 if a.mode == "constant" else None
    return bind(pad, g, value, c.inputs[1], widths=a.widths, mode=a.mode), None

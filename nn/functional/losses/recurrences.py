"""Recurrences over time between neighbouring states, as alignments need them.

A state s is reached from the states s, s - 1 and s - 2 of the step before. Tensors are of shape
``(batch, time, states)``; what belongs to a transition has one axis more, of length 3: entry
``[..., t, s, k]`` is about the way from state s - k at t - 1 to state s at t.

`log_recurrence` adds up the probabilities of all paths, in logarithms. Its derivative is a linear
recurrence backward in time, `banded_recurrence`, with the probabilities of the transitions as
coefficients; the derivative of that is one in the other direction. So there are derivatives of
every order, and in none of them does anything overflow: all coefficients lie in [0, 1].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.comparison import not_equal
from minigrad.ops.elementwise import add, multiply, subtract
from minigrad.ops.exponential import exp
from minigrad.ops.logic import logical_and
from minigrad.ops.reducing import array_dtype, narrowed, widened
from minigrad.ops.selection import where
from minigrad.shapes import Shape, Spec, compatible, merge, show

__all__: list[str] = []

#: From how many states a state can be reached.
WAYS = 3


def _require_rank(shape: Shape, rank: int, what: str) -> None:
    if shape is not None and len(shape) != rank:
        raise ShapeError(f"{what} must have rank {rank}, got shape {show(shape)}")


def _require_fit(x: Shape, other: Shape, what: str) -> None:
    """Raise `ShapeError` unless `other` is the shape of transitions between the states of `x`."""
    _require_rank(x, 3, "the states over time")
    _require_rank(other, 4, what)
    expected = None if x is None else (*x, WAYS)
    if not compatible(other, expected):
        raise ShapeError(
            f"{what} of shape {show(other)} do not fit states of shape {show(x)}; expected "
            f"{show(expected)}"
        )


# -- lags --------------------------------------------------------------------------------------


@primitive(
    "Lagged",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3, 2))),
        Sample(rng.normal(size=(1, 2, 4)), fill=-7.0),
        Sample(rng.normal(size=(1, 1, 1))).named("nothing before"),
        Sample(np.zeros((0, 2, 3))).named("empty"),
    ],
    accepts="real_float",
    errors=[Fails(ShapeError, "rank 3", np.ones((2, 3)))],
)
def lagged(x: TensorLike, /, *, fill: float = 0.0) -> Tensor:
    """What is at the beginning of each transition: ``y[b, t, s, k] = x[b, t - 1, s - k]``.

    Args:
        x: of shape ``(batch, time, states)``.
        fill: what stands where there is none.

    Returns:
        A tensor of shape ``(batch, time, states, 3)``.

    Raises:
        ShapeError: the rank is not 3.

    >>> from minigrad.nn.functional.losses.recurrences import lagged
    >>> lagged([[[1.0, 2.0], [3.0, 4.0]]]).tolist()[0][1]
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0]]
    """
    return bind(lagged, x, fill=float(fill))


def _shifted(xp: Any, x: Array, lag: int, fill: float) -> Array:
    """Moved towards later places of the last axis."""
    lag = min(lag, x.shape[-1])
    lead = xp.full((*x.shape[:-1], lag), fill, dtype=x.dtype)
    made: Array = xp.concat([lead, x[..., : x.shape[-1] - lag]], axis=-1)
    return made


@lagged.kernel
def _(xp: Any, x: Array, *, fill: float) -> Any:
    _require_rank(x.shape, 3, "the states over time")
    first = xp.full((x.shape[0], min(1, x.shape[1]), x.shape[2]), fill, dtype=x.dtype)
    before = xp.concat([first, x[:, :-1]], axis=1)
    return xp.stack([_shifted(xp, before, k, fill) for k in range(WAYS)], axis=-1)


@lagged.shape
def _(x: Spec, *, fill: float) -> Spec:
    _require_rank(x.shape, 3, "the states over time")
    return Spec((*(x.shape or (None, None, None)), WAYS), x.dtype)


@lagged.gradient()
def _(c: Ctx) -> Grads:
    return lag_sum(c.grads[0])


@primitive(
    "LagSum",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3, 2, 3))),
        Sample(rng.normal(size=(2, 1, 1, 3))).named("nothing after"),
        Sample(np.zeros((0, 2, 3, 3))).named("empty"),
    ],
    accepts="real_float",
    errors=[
        Fails(ShapeError, "rank 4", np.ones((2, 2, 3))),
        Fails(ShapeError, "length 3, got", np.ones((1, 2, 2, 2))),
    ],
)
def lag_sum(x: TensorLike, /) -> Tensor:
    """The sum over transitions that begin at a place: the adjoint of `lagged`.

    Raises:
        ShapeError: the shape is not ``(batch, time, states, 3)``.

    >>> from minigrad.nn.functional.losses.recurrences import lag_sum
    >>> lag_sum([[[[5.0, 5.0, 5.0]] * 2, [[1.0, 2.0, 3.0]] * 2]]).tolist()
    [[[3.0, 1.0], [0.0, 0.0]]]
    """
    return bind(lag_sum, x)


def _require_ways(shape: Shape) -> None:
    _require_rank(shape, 4, "transitions")
    if shape is not None and shape[-1] not in (WAYS, None):
        raise ShapeError(f"the last axis of transitions has length 3, got shape {show(shape)}")


@lag_sum.kernel
def _(xp: Any, x: Array) -> Any:
    _require_ways(x.shape)
    last = xp.zeros((x.shape[0], min(1, x.shape[1]), *x.shape[2:]), dtype=x.dtype)
    after = xp.concat([x[:, 1:], last], axis=1)
    return sum(_advanced(xp, after[..., k], k) for k in range(WAYS))


def _advanced(xp: Any, x: Array, lead: int) -> Array:
    """Moved towards earlier places of the last axis; 0 moves in."""
    return _shifted(xp, x[..., ::-1], lead, 0.0)[..., ::-1]


@lag_sum.shape
def _(x: Spec) -> Spec:
    _require_ways(x.shape)
    return Spec(None if x.shape is None else x.shape[:-1], x.dtype)


@lag_sum.gradient()
def _(c: Ctx) -> Grads:
    return lagged(c.grads[0])


# -- linear ------------------------------------------------------------------------------------


@primitive(
    "BandedRecurrence",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 3, 2, 3))),
        Sample(rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 3, 2, 3)), transposed=True),
        Sample(rng.normal(size=(2, 2, 1)), rng.normal(size=(2, 2, 1, 3))).named("one state"),
        Sample(np.zeros((1, 0, 2)), np.zeros((1, 0, 2, 3))).named("no time"),
    ],
    errors=[
        Fails(ShapeError, "do not fit", np.ones((1, 2, 2)), np.ones((1, 2, 3, 3))),
        Fails(ShapeError, "rank 4", np.ones((1, 2, 2)), np.ones((1, 2, 2))),
    ],
)
def banded_recurrence(b: TensorLike, w: TensorLike, /, *, transposed: bool = False) -> Tensor:
    """The sequence ``h[t, s] = b[t, s] + Σ_k w[t, s, k] · h[t - 1, s - k]``.

    Args:
        b: what is added, of shape ``(batch, time, states)``.
        w: coefficients of shape ``(batch, time, states, 3)``; those at t = 0 are not read.
        transposed: run backward, over what each state leads to:
            ``h[t, s] = b[t, s] + Σ_k w[t + 1, s + k, k] · h[t + 1, s + k]``.

    Returns:
        A tensor of the shape of `b`.

    Raises:
        ShapeError: the shapes do not fit.

    >>> from minigrad.nn.functional.losses.recurrences import banded_recurrence
    >>> banded_recurrence([[[1.0], [0.0], [0.0]]], [[[[0.5, 0.0, 0.0]]] * 3]).tolist()
    [[[1.0], [0.5], [0.25]]]
    """
    return bind(banded_recurrence, b, w, transposed=bool(transposed))


@banded_recurrence.kernel
def _(xp: Any, b: Array, w: Array, *, transposed: bool) -> Any:
    _require_fit(b.shape, w.shape, "coefficients")
    added, factors = widened(b), widened(w)
    length = b.shape[1]
    if not length:
        return b
    rows: list[Array] = []
    for t in reversed(range(length)) if transposed else range(length):
        row = added[:, t]
        if rows and transposed:
            for k in range(WAYS):
                row = row + _advanced(xp, factors[:, t + 1, :, k] * rows[-1], k)
        elif rows:
            for k in range(WAYS):
                row = row + factors[:, t, :, k] * _shifted(xp, rows[-1], k, 0.0)
        rows.append(row)
    return narrowed(xp.stack(rows[::-1] if transposed else rows, axis=1), array_dtype(b))


@banded_recurrence.shape
def _(b: Spec, w: Spec, *, transposed: bool) -> Spec:
    _require_fit(b.shape, w.shape, "coefficients")
    return Spec(merge(b.shape, None if w.shape is None else w.shape[:-1]), b.dtype)


@banded_recurrence.gradient(saves=("w", "y"))
def _(c: Ctx) -> Grads:
    (_b, w), (y,), (g,), transposed = c.inputs, c.outputs, c.grads, c.attrs.transposed
    dual = banded_recurrence(g, w, transposed=not transposed)
    for_w = None
    if c.needs[1]:
        before, after = (dual, y) if transposed else (y, dual)
        for_w = multiply(lagged(before), expand_dims(after, -1))
    return dual, for_w


# -- logarithmic -------------------------------------------------------------------------------

_MOVES = np.array([[[True, False, False], [True, True, False], [True, True, True]]])


@primitive(
    "LogRecurrence",
    accepts="real_float",
    promote=(0,),
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3, 3)), _MOVES),
        Sample(rng.normal(size=(2, 2, 2)), np.ones((2, 2, 3), bool)).named("from outside too"),
        Sample(rng.normal(size=(1, 3, 3)) * 100, _MOVES).order(
            1, "one path has all the probability, so the second derivative is zero"
        ),
        Sample(np.zeros((1, 0, 3)), _MOVES).named("no time"),
        Sample(np.zeros((0, 2, 3)), _MOVES[:0]).named("no batch"),
    ],
    errors=[
        Fails(ShapeError, "moves of shape", np.ones((1, 2, 3)), np.ones((1, 2, 3), bool)),
        Fails(ShapeError, "rank 3", np.ones((2, 3)), np.ones((1, 3, 3), bool)),
    ],
)
def log_recurrence(x: TensorLike, moves: TensorLike, /) -> Tensor:
    """Logarithms of the summed probabilities of all paths to each state.

    ``y[0, s] = x[0, s]`` and ``y[t, s] = x[t, s] + log Σ_k exp(y[t - 1, s - k])``, over the k for
    which there is a move; states before the first do not exist.

    Args:
        x: logarithms of the probabilities of being in a state; -inf where it cannot be. Of shape
            ``(batch, time, states)``.
        moves: ``moves[b, s, k]`` says whether s can be reached from s - k; bools.

    Returns:
        A tensor of the shape of `x`; -inf where no path leads, where the gradient is 0.

    Raises:
        ShapeError: the shapes do not fit.

    >>> from minigrad.nn.functional.losses.recurrences import log_recurrence
    >>> paths = log_recurrence(mg.zeros((1, 3, 2)), [[[True, False, False], [True, True, False]]])
    >>> mg.round(mg.exp(paths[0, -1])).tolist()
    [1.0, 3.0]
    """
    return bind(log_recurrence, x, moves)


def _require_moves(x: Shape, moves: Shape) -> None:
    _require_rank(x, 3, "the states over time")
    _require_rank(moves, 3, "moves")
    expected = None if x is None else (x[0], x[2], WAYS)
    if not compatible(moves, expected):
        raise ShapeError(
            f"moves of shape {show(moves)} do not fit states of shape {show(x)}; expected "
            f"{show(expected)}"
        )


@log_recurrence.kernel
def _(xp: Any, x: Array, moves: Array) -> Any:
    _require_moves(x.shape, moves.shape)
    if not x.size:
        return x
    here, ways = widened(x), xp.moveaxis(moves, -1, 0)
    rows: list[Array] = [here[:, 0]]
    for t in range(1, x.shape[1]):
        before = xp.stack([_shifted(xp, rows[-1], k, -xp.inf) for k in range(WAYS)])
        before = xp.where(ways, before, -xp.inf)
        top = xp.max(before, axis=0)
        base = xp.where(top == -xp.inf, 0, top)
        rows.append(here[:, t] + (base + xp.log(xp.sum(xp.exp(before - base), axis=0))))
    return narrowed(xp.stack(rows, axis=1), array_dtype(x))


@log_recurrence.shape
def _(x: Spec, moves: Spec) -> Spec:
    _require_moves(x.shape, moves.shape)
    return x._replace(value=None)


@log_recurrence.gradient(saves=("x", "moves", "y"))
def _(c: Ctx) -> Grads:
    (g,), (x, moves), (y,) = c.grads, c.inputs, c.outputs
    reached = not_equal(y, -math.inf)
    allowed = logical_and(expand_dims(moves, 1), expand_dims(reached, -1))
    # x - y is minus the logarithm of the sum; where there is no sum it would be nan.
    beyond = expand_dims(where(reached, subtract(x, y), 0), -1)
    transitions = exp(where(allowed, add(lagged(y, fill=-math.inf), beyond), -math.inf))
    return where(reached, banded_recurrence(g, transitions, transposed=True), 0), None

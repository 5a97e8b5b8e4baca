"""Reading and assigning variables.

An assignment stages its value in the run's transaction; it shows when the run is over, or to reads
that a control dependency orders after it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample, VariableArgument
from minigrad.core.state import Transaction
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.errors import (
    DTypeError,
    FailedPreconditionError,
    IndexOutOfRangeError,
    ShapeError,
)
from minigrad.shapes import Spec, broadcast, compatible, show

__all__ = [
    "assign",
    "assign_add",
    "assign_sub",
    "read_variable",
    "scatter_add",
    "scatter_assign",
    "scatter_sub",
]

_NO_GRADIENT = "an assignment changes state; differentiate what is assigned instead"


def current(run: Transaction, variable: Variable) -> Any:
    """The value in a run. Raises `FailedPreconditionError` before the initializer has run."""
    value = run.read(variable.cell)
    if value is None:
        raise FailedPreconditionError(
            f"variable {variable.name!r} was used before it was initialized; run "
            "mg.global_variables_initializer() in this session first (if an initial value "
            "reads it, initialize it in a run of its own before)"
        )
    return value


@primitive(
    "VariableV2",
    effect="read",
    not_differentiable="a variable is an input; ask for the gradient with respect to it",
    samples=lambda rng: [Sample(VariableArgument(rng.normal(size=(2, 3))))],
)
def read_variable(variable: Variable, /) -> Tensor:
    """The variable's value: now in eager code, at the start of each run in a graph.

    Inside `control_dependencies` it is the value after the assignments among them.

    Raises:
        FailedPreconditionError: in a run, before the variable's initializer has run.

    >>> import minigrad as mg
    >>> mg.read_variable(mg.Variable(2.0))
    Tensor(2., shape=(), dtype=float32)
    """
    return tensor_of(variable)


@read_variable.kernel
def _(xp: Any, run: Transaction, *, variable: Variable) -> Array:
    return current(run, variable)  # type: ignore[no-any-return]


@read_variable.shape
def _(*, variable: Variable) -> Spec:
    return variable.spec


def check_value(value: Spec, variable: Variable, *, exact: bool) -> Spec:
    """The variable's spec, if a value of this spec can be assigned to it."""
    if value.dtype is not variable.dtype:
        raise DTypeError(
            f"variable {variable.name!r} has dtype {variable.dtype}, got a value of {value.dtype}"
        )
    fits = compatible(value.shape, variable.shape)
    if not fits and not exact:
        try:
            fits = compatible(broadcast(value.shape, variable.shape), variable.shape)
        except ShapeError:
            fits = False
    if not fits:
        raise ShapeError(
            f"variable {variable.name!r} has shape {show(variable.shape)}, "
            f"got a value of shape {show(value.shape)}"
        )
    return variable.spec


@primitive(
    "Assign",
    effect="write",
    not_differentiable=_NO_GRADIENT,
    samples=lambda rng: [
        Sample(VariableArgument(np.zeros((2, 3))), rng.normal(size=(2, 3))),
        Sample(VariableArgument(np.zeros(3, np.float32)), rng.normal(size=3)),
    ],
    errors=[
        Fails(ShapeError, "has shape", VariableArgument(np.zeros(3)), np.zeros(2)),
        Fails(DTypeError, "has dtype int32", VariableArgument(np.zeros(2, np.int32)), np.ones(2)),
    ],
)
def assign(variable: Variable, value: TensorLike, /) -> Tensor:
    """Set a variable, and return the value it now has.

    Raises:
        ShapeError: the value does not have the variable's shape.
        DTypeError: the value does not convert to the variable's dtype.

    >>> import minigrad as mg
    >>> v = mg.Variable([1.0, 2.0])
    >>> mg.assign(v, [3.0, 4.0])
    Tensor([3., 4.], shape=(2,), dtype=float32)
    """
    return variable.assign(value)


@assign.kernel
def _(xp: Any, run: Transaction, value: Array, *, variable: Variable) -> Array:
    check_value(constant_like(value, variable), variable, exact=True)
    # A copy, because the value may be the caller's own feed.
    staged = xp.array(value)
    run.write(variable.cell, staged)
    return staged  # type: ignore[no-any-return]


def constant_like(value: Array, variable: Variable) -> Spec:
    """The spec of an array that is about to be assigned."""
    return Spec(value.shape, variable.dtype)


@assign.shape
def _(value: Spec, *, variable: Variable) -> Spec:
    return check_value(value, variable, exact=True)


@primitive(
    "AssignAdd",
    effect="write",
    not_differentiable=_NO_GRADIENT,
    samples=lambda rng: [
        Sample(VariableArgument(rng.normal(size=(2, 3))), rng.normal(size=(2, 3))),
        Sample(VariableArgument(rng.normal(size=(2, 3))), rng.normal(size=3)).named("broadcast"),
        Sample(VariableArgument(np.zeros((), np.int32)), 1),
    ],
    errors=[Fails(ShapeError, "has shape", VariableArgument(np.zeros(3)), np.zeros(2))],
)
def assign_add(variable: Variable, value: TensorLike, /) -> Tensor:
    """Add to a variable, and return the sum. Two in one run both count.

    Raises:
        ShapeError: the value does not broadcast to the variable's shape.
        DTypeError: the value does not convert to the variable's dtype.

    >>> import minigrad as mg
    >>> mg.assign_add(mg.Variable(1), 2)
    Tensor(3, shape=(), dtype=int32)
    """
    return variable.assign_add(value)


@assign_add.kernel
def _(xp: Any, run: Transaction, value: Array, *, variable: Variable) -> Array:
    check_value(constant_like(value, variable), variable, exact=False)
    staged = xp.asarray(xp.add(current(run, variable), value))
    run.write(variable.cell, staged)
    return staged  # type: ignore[no-any-return]


@assign_add.shape
def _(value: Spec, *, variable: Variable) -> Spec:
    return check_value(value, variable, exact=False)


@primitive(
    "AssignSub",
    effect="write",
    not_differentiable=_NO_GRADIENT,
    samples=lambda rng: [
        Sample(VariableArgument(rng.normal(size=(2, 3))), rng.normal(size=(2, 3))),
    ],
    errors=[Fails(ShapeError, "has shape", VariableArgument(np.zeros(3)), np.zeros(2))],
)
def assign_sub(variable: Variable, value: TensorLike, /) -> Tensor:
    """Subtract from a variable, and return the difference. See `assign_add`.

    >>> import minigrad as mg
    >>> mg.assign_sub(mg.Variable(1), 2)
    Tensor(-1, shape=(), dtype=int32)
    """
    return variable.assign_sub(value)


@assign_sub.kernel
def _(xp: Any, run: Transaction, value: Array, *, variable: Variable) -> Array:
    check_value(constant_like(value, variable), variable, exact=False)
    staged = xp.asarray(xp.subtract(current(run, variable), value))
    run.write(variable.cell, staged)
    return staged  # type: ignore[no-any-return]


@assign_sub.shape
def _(value: Spec, *, variable: Variable) -> Spec:
    return check_value(value, variable, exact=False)


def _check_rows(indices: Spec, value: Spec, variable: Variable) -> Spec:
    """The variable's spec, if rows of `value` can go to `indices` of it."""
    if not indices.dtype.is_integer:
        raise DTypeError(f"indices must be integers, got {indices.dtype}")
    if not variable.shape:
        raise ShapeError(f"variable {variable.name!r} is a scalar and has no rows")
    if indices.shape is not None:
        rows = (*indices.shape, *variable.shape[1:])
        if not compatible(broadcast(value.shape, rows), rows):
            raise ShapeError(
                f"variable {variable.name!r} of shape {show(variable.shape)} at indices of shape "
                f"{show(indices.shape)} takes values of shape {show(rows)}, "
                f"got {show(value.shape)}"
            )
    return variable.spec


def _rows(indices: Array, variable: Variable) -> Array:
    """Indices checked against the number of rows."""
    count = variable.shape[0]
    if indices.size and (indices.min() < -count or indices.max() >= count):
        raise IndexOutOfRangeError(
            f"indices from {indices.min()} to {indices.max()} are out of range for variable "
            f"{variable.name!r} with {count} rows"
        )
    return indices


def _stage_rows(
    run: Transaction,
    variable: Variable,
    indices: Array,
    value: Array,
    put: Callable[..., None],
) -> Array:
    """Stage a copy of the variable, once `put` has brought `value` into its rows."""
    staged: Array = np.array(current(run, variable))
    put(staged, _rows(indices, variable), value)
    run.write(variable.cell, staged)
    return staged


_SCATTER_ERRORS = [
    Fails(
        IndexOutOfRangeError,
        "out of range",
        VariableArgument(np.zeros((2, 3))),
        np.array([2]),
        np.ones((1, 3)),
    ),
    Fails(
        DTypeError,
        "must be integers",
        VariableArgument(np.zeros((2, 3))),
        np.array([0.5]),
        np.ones((1, 3)),
    ),
]


def _scatter_samples(rng: np.random.Generator) -> list[Sample]:
    start = rng.normal(size=(4, 3))
    return [
        Sample(VariableArgument(start), np.array([0, 2]), rng.normal(size=(2, 3))),
        Sample(VariableArgument(start), np.array([1, 1, -1]), rng.normal(size=(3, 3))),
        Sample(VariableArgument(start), 3, rng.normal(size=3)),
    ]


@primitive(
    "ScatterUpdate",
    effect="write",
    promote=(),
    not_differentiable=_NO_GRADIENT,
    samples=_scatter_samples,
    errors=_SCATTER_ERRORS,
)
def scatter_assign(variable: Variable, indices: TensorLike, value: TensorLike, /) -> Tensor:
    """Set rows of a variable; of repeated indices the last wins. Returns the whole new value.

    Raises:
        IndexOutOfRangeError: an index is outside the first axis.
        ShapeError: `value` does not broadcast to ``indices.shape + variable.shape[1:]``.

    >>> import minigrad as mg
    >>> mg.scatter_assign(mg.Variable([1.0, 2.0]), [1], [9.0]).tolist()
    [1.0, 9.0]
    """
    return variable.scatter_assign(indices, value)


@scatter_assign.kernel
def _(xp: Any, run: Transaction, indices: Array, value: Array, *, variable: Variable) -> Array:
    return _stage_rows(run, variable, indices, value, operator.setitem)


@scatter_assign.shape
def _(indices: Spec, value: Spec, *, variable: Variable) -> Spec:
    return _check_rows(indices, value, variable)


@primitive(
    "ScatterAdd",
    effect="write",
    promote=(),
    not_differentiable=_NO_GRADIENT,
    samples=_scatter_samples,
    errors=_SCATTER_ERRORS,
)
def scatter_add(variable: Variable, indices: TensorLike, value: TensorLike, /) -> Tensor:
    """Add to rows of a variable; repeated indices add up. Returns the whole new value.

    Raises:
        IndexOutOfRangeError: an index is outside the first axis.
        ShapeError: `value` does not broadcast to ``indices.shape + variable.shape[1:]``.

    >>> import minigrad as mg
    >>> mg.scatter_add(mg.Variable([1.0, 2.0]), [1, 1], [9.0, 9.0]).tolist()
    [1.0, 20.0]
    """
    return variable.scatter_add(indices, value)


@scatter_add.kernel
def _(xp: Any, run: Transaction, indices: Array, value: Array, *, variable: Variable) -> Array:
    return _stage_rows(run, variable, indices, value, np.add.at)


@scatter_add.shape
def _(indices: Spec, value: Spec, *, variable: Variable) -> Spec:
    return _check_rows(indices, value, variable)


@primitive(
    "ScatterSub",
    effect="write",
    promote=(),
    not_differentiable=_NO_GRADIENT,
    samples=_scatter_samples,
    errors=_SCATTER_ERRORS,
)
def scatter_sub(variable: Variable, indices: TensorLike, value: TensorLike, /) -> Tensor:
    """Subtract from rows of a variable; repeated indices add up. Returns the whole new value.

    >>> import minigrad as mg
    >>> mg.scatter_sub(mg.Variable([1.0, 2.0]), [1], [9.0]).tolist()
    [1.0, -7.0]
    """
    return variable.scatter_sub(indices, value)


@scatter_sub.kernel
def _(xp: Any, run: Transaction, indices: Array, value: Array, *, variable: Variable) -> Array:
    return _stage_rows(run, variable, indices, value, np.subtract.at)


@scatter_sub.shape
def _(indices: Spec, value: Spec, *, variable: Variable) -> Spec:
    return _check_rows(indices, value, variable)

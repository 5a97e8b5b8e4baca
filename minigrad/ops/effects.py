"""What happens beside a computation: effects added to tensors, and moving averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.core.bind import apply
from minigrad.core.context import STATE, changed, in_graph
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample, VariableArgument
from minigrad.core.state import Transaction
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.state_ops import check_value, current
from minigrad.shapes import Spec

__all__ = ["add_effect", "assign_moving_average"]


def add_effect(tensor: Tensor, effect: Callable[[], Any]) -> None:
    """Do something whenever a tensor is computed, exactly once: batch norm's averages, say.

    In a graph, `effect` is called once, and every run that computes `tensor` runs the operation
    that it returns; a run that is fed `tensor` does not. In eager code `effect` is called at once.
    Recomputation (`checkpoint`, the backward pass of a loop) and gradient checks never repeat it.

    Args:
        tensor: the tensor.
        effect: takes nothing; makes an assignment, or several with `group`, and returns it.

    Raises:
        ArgumentTypeError: in a graph, `effect` returned no operation or tensor.

    >>> import minigrad as mg
    >>> calls = mg.Variable(0)
    >>> with mg.Graph().as_default():
    ...     y = mg.constant(2.0) * 3.0
    ...     mg.add_effect(y, lambda: calls.assign_add(1))
    >>> sess = mg.Session(graph=y.graph)
    >>> sess.run([y, y * 2.0]), calls.numpy()
    ([np.float32(6.0), np.float32(12.0)], array(1, dtype=int32))
    """
    if not callable(effect):
        raise ArgumentTypeError(
            f"add_effect takes a function that makes the effect, got {effect!r}; write lambda: …"
        )
    log = STATE.get().log
    if log is not None and log.skips_added:
        return
    # Not part of what a log replays: a second run leaves it out.
    if not isinstance(tensor, SymbolicTensor):
        with changed(log=None, tapes=()):
            effect()
        return
    graph = tensor.graph
    with in_graph(graph), changed(log=None):
        done = effect()
    if not isinstance(done, Operation | SymbolicTensor):
        raise ArgumentTypeError(
            f"add_effect: the effect must return an operation, such as an assignment, got {done!r}"
        )
    graph.add_effect(tensor, done)


@primitive(
    "AssignMovingAverage",
    effect="write",
    not_differentiable="an assignment changes state; differentiate what is assigned instead",
    samples=lambda rng: [
        Sample(VariableArgument(rng.normal(size=(2, 3))), rng.normal(size=(2, 3)), 0.9),
        Sample(VariableArgument(np.zeros(3, np.float32)), rng.normal(size=3), 0.5),
    ],
    errors=[
        Fails(ShapeError, "has shape", VariableArgument(np.zeros(3)), np.zeros(2), 0.9),
        Fails(DTypeError, "float", VariableArgument(np.zeros(3, np.int32)), 1, 0.9),
        Fails(ArgumentError, "between 0 and 1", VariableArgument(np.zeros(3)), np.zeros(3), 1.5),
    ],
)
def assign_moving_average(variable: Variable, value: TensorLike, momentum: float, /) -> Tensor:
    """Set ``v = momentum * v + (1 - momentum) * value``, and return it. Two in one run both count.

    Args:
        variable: of a floating dtype.
        value: of the variable's shape.
        momentum: the weight of the old average, from 0 to 1.

    Raises:
        ShapeError: the value does not have the variable's shape.
        DTypeError: the variable is not of a floating dtype.
        ArgumentError: `momentum` is not between 0 and 1.

    >>> import minigrad as mg
    >>> mg.assign_moving_average(mg.Variable(1.0), 3.0, 0.75)
    Tensor(1.5, shape=(), dtype=float32)
    """
    if not 0 <= momentum <= 1:
        raise ArgumentError(f"momentum must be between 0 and 1, got {momentum}")
    if not variable.dtype.is_floating:
        raise DTypeError(f"an average must be of a floating dtype, got {variable!r}")
    fitted = variable.fit(value)
    attrs = {"variable": variable, "momentum": float(momentum)}
    return apply(assign_moving_average, (fitted,), attrs)  # type: ignore[return-value]


@assign_moving_average.kernel
def _(xp: Any, run: Transaction, value: Array, *, variable: Variable, momentum: float) -> Array:
    check_value(Spec(value.shape, variable.dtype), variable, exact=True)
    old = current(run, variable)
    # As a step towards the value, so that an average of equal values stays exactly what it is.
    staged = xp.asarray(old + (value - old) * xp.asarray(1 - momentum, dtype=old.dtype))
    run.write(variable.cell, staged)
    return staged  # type: ignore[no-any-return]


@assign_moving_average.shape
def _(value: Spec, *, variable: Variable, momentum: float) -> Spec:
    return check_value(value, variable, exact=True)

"""Computing new values of variables and assigning them all together, in both modes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, changed, in_graph
from minigrad.core.current_graph import name_scope
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation
from minigrad.core.state import EAGER, Slot, Transaction, hold
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ShapeError, StateError
from minigrad.ops.control import group
from minigrad.ops.elementwise import add
from minigrad.shapes import show

__all__: list[str] = []


class Update(NamedTuple):
    """A new value of a variable, or with `add` what is added to it.

    Counters are added to, so that two steps in one run both count.
    """

    variable: Variable
    value: Tensor
    add: bool = False


def commit(
    graph: Graph | None,
    written: Sequence[Variable],
    compute: Callable[[], list[Update]],
    name: str,
    given: Iterable[Any] = (),
) -> Operation | None:
    """Compute updates and make them: as one operation of `graph`, or at once if that is None.

    Args:
        graph: where nodes go.
        written: all variables that `compute` may update.
        compute: reads variables and returns their updates; made of ops.
        name: the name scope of the nodes.
        given: what came from the caller, whose arrays no variable may keep.

    Returns:
        The operation that makes all updates when it runs; None in eager code.
    """
    if graph is None:
        _commit_now(written, compute, given)
        return None
    with in_graph(graph), changed(tapes=()), name_scope(name):
        nodes = []
        for u in compute():
            with scope_of(u.variable):
                nodes.append(
                    u.variable.assign_add(u.value) if u.add else u.variable.assign(u.value)
                )
        return group(nodes, name="step")


def scope_of(variable: Variable) -> AbstractContextManager[Any]:
    """A name scope inside the current one for what is done to one variable; none in eager code."""
    state = STATE.get()
    if state.graph is None:
        return nullcontext()
    return name_scope(f"{state.scope}{variable.name}/")


def _commit_now(
    written: Sequence[Variable], compute: Callable[[], list[Update]], given: Iterable[Any]
) -> None:
    """All or nothing: an error or an interrupt at any place leaves every variable as before.

    The variables are held from before they are read until they are written, so that no other
    thread's assignment is lost in between.
    """
    for v in written:
        if v.graph is not None:
            raise StateError(
                f"variable {v.name!r} belongs to {v.graph!r} and cannot change in eager code; "
                "build the step inside that graph and run it in a session"
            )
    slots = [Slot(v.cell, EAGER) for v in written]
    foreign = {id(g._value) for g in given if isinstance(g, ConcreteTensor)}
    guard = threading.Lock()
    with guard, changed(tapes=()):
        hold(slots, guard)
        transaction = Transaction(slots)
        for update in compute():
            v = update.variable
            value = add(v, update.value) if update.add else update.value
            transaction.write(v.cell, _array(value, v, foreign))
        transaction.commit()


def _array(value: Tensor, variable: Variable, foreign: set[int]) -> Array:
    """A value's array, for a variable to keep."""
    if type(value) is not ConcreteTensor or value.dtype is not variable.dtype:
        value = tensor_of(value, variable.dtype)
    array = cast(ConcreteTensor, value)._value
    if array.shape != variable.shape:
        raise ShapeError(
            f"variable {variable.name!r} has shape {show(variable.shape)}, got a value of shape "
            f"{show(array.shape)}"
        )
    # A gradient's array, or one that this is a view of, may change later.
    return np.array(array) if id(array) in foreign or not array.flags.owndata else array

"""Running a plan of a traced graph, and what tapes call that."""

from __future__ import annotations

from typing import Any

from minigrad.core.primitive import Primitive
from minigrad.core.state import EAGER, Cell, Slot, Transaction
from minigrad.core.tensor import Array
from minigrad.running import Running


def _call(*inputs: Any) -> Any:
    """A whole computation, of `mg.function`."""


#: What tapes know such a record by. It is in no registry, because it stands on tapes alone.
CALL: Primitive[..., Any] = Primitive(
    _call,
    op="FunctionCall",
    outputs=None,
    effect="pure",
    elementwise=False,
    accepts="any",
    result=None,
    promote=(),
    shape_only=(),
    numpy=None,
    samples=(),
    errors=(),
    not_differentiable=None,
)


def eager_slot(cell: Cell) -> Slot:
    """The place of an eager cell."""
    return Slot(cell, EAGER)


def run(running: Running, arrays: list[Array]) -> list[Array]:
    """The values of a plan's fetches, which may share memory with what it was given."""
    values = running.direct(arrays, allowed)
    return running(arrays, as_they_are) if values is None else values


def allowed() -> None:
    """Nothing speaks against committing a run."""


def as_they_are(values: list[Array], transaction: Transaction) -> list[Array]:
    """The results of a run, which may share memory with what it was given."""
    return values

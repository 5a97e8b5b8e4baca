"""The reference executor: one node after the other, by the generic kernels. The oracle.

It is kept simple on purpose: every other executor is tested against it. The same loop with the
kernels that NumPy computes faster, where a primitive names one, is what a session uses by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.body import Body
from minigrad.core.floating import kernel_errstate
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.state import Cell, Transaction
from minigrad.core.tensor import Array
from minigrad.dtypes import from_numpy
from minigrad.errors import MinigradError, NumericsError, operation_error
from minigrad.executor.plan import Plan
from minigrad.shapes import Spec, show


class AtStart:
    """The run's state as it was at the start: what a read that follows no assignment sees."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction | Iterations) -> None:
        self._transaction = transaction

    def read(self, cell: Cell) -> Any:
        """The value at the start of the run, or None."""
        return self._transaction.start(cell)


class Iterations:
    """The run's state inside a loop: a read at the start of an iteration sees earlier ones."""

    __slots__ = ("_transaction", "_visible", "_written")

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction
        self._visible: dict[int, Any] = {}
        self._written: dict[int, Any] = {}

    def next(self) -> None:
        """Begin another iteration."""
        self._visible.update(self._written)

    def start(self, cell: Cell) -> Any:
        """The value at the start of this iteration, or None."""
        found = self._visible.get(cell.key)
        return self._transaction.start(cell) if found is None else found

    def assigned(self, cell: Cell) -> Any:
        """What earlier iterations have assigned, or None."""
        return self._visible.get(cell.key)

    def read(self, cell: Cell) -> Any:
        """The value with this run's writes so far, or None."""
        return self._transaction.read(cell)

    def write(self, cell: Cell, value: Any) -> None:
        """Stage a value."""
        self._written[cell.key] = value
        self._transaction.write(cell, value)


class Way(NamedTuple):
    """How to run.

    Attributes:
        generic: use the generic kernels alone, not those for NumPy beside them.
        check_numerics: stop at the first NaN or infinity.
        called: what the Python functions of nodes have returned: no node calls its own again. None
            where they may be called many times, as in a loop.
    """

    generic: bool = True
    check_numerics: bool = False
    called: dict[Operation, Any] | None = None


GENERIC = Way()


class Runner:
    """What the kernel of a branch or loop runs its bodies with.

    Attributes:
        wanted: which of the kernel's outputs are read; the others may be anything.
    """

    __slots__ = ("_transaction", "_way", "wanted")

    def __init__(self, transaction: Any, wanted: tuple[bool, ...], way: Way = GENERIC) -> None:
        self._transaction = transaction
        self._way = way
        self.wanted = wanted

    def looping(self) -> Runner:
        """A runner for the iterations of one loop."""
        return Runner(Iterations(self._transaction), self.wanted, self._way)

    def next_iteration(self) -> None:
        """Let reads see what was assigned until now. Only of a `looping` runner."""
        self._transaction.next()

    def assigned(self, cell: Cell) -> Any:
        """What earlier iterations have assigned to a cell, or None. Only of a `looping` runner."""
        return self._transaction.assigned(cell)

    def call(
        self, body: Body, inputs: Sequence[Array], outputs: tuple[SymbolicTensor, ...]
    ) -> list[Array]:
        """The values of some tensors of a body, for these values of its inputs."""
        return self.prepared(body, outputs)(inputs)

    def prepared(
        self, body: Body, outputs: tuple[SymbolicTensor, ...]
    ) -> Callable[[Sequence[Array]], list[Array]]:
        """The same as a function of the inputs, for a body that is run many times."""
        plan = body.plans.get(outputs)
        if plan is None:
            plan = body.plans[outputs] = Plan(body, outputs, body.targets, body.inputs)
        keys, transaction, way = body.inputs, self._transaction, self._way
        # The run around it has set the floating-point policy already.
        return lambda inputs: _steps(plan, zip(keys, inputs, strict=True), transaction, way)


def execute(
    plan: Plan,
    feeds: Mapping[SymbolicTensor, Array],
    transaction: Transaction | Iterations,
    way: Way = GENERIC,
) -> list[Array]:
    """Run a plan's steps; the values of its fetches.

    Raises:
        MinigradError: a node failed; the message names it and the user's line.
    """
    with kernel_errstate():
        return _steps(plan, feeds.items(), transaction, way)


def _steps(
    plan: Plan,
    feeds: Iterable[tuple[SymbolicTensor, Array]],
    transaction: Transaction | Iterations,
    way: Way,
) -> list[Array]:
    """The same, under the floating-point policy in force."""
    values = dict(plan.constants)
    values.update(feeds)
    fed = plan.fed
    if way.check_numerics:
        for t, value in plan.constants.items():
            _check_numerics(t.op, [], [value])
    for op, done in zip(plan.steps, plan.release, strict=True):
        primitive, attrs, outputs = op.primitive, op.attrs, op.outputs
        inputs = [None if t is None else values[t] for t in op.inputs]
        kernel: Any = primitive.compute
        effect = primitive.effect
        try:
            if primitive.numpy is not None and not way.generic:
                made = primitive.numpy(*inputs, **attrs)
            elif effect == "host" and way.called is not None and op in way.called:
                made = way.called[op]
            elif effect == "host" and way.called is not None:
                made = way.called[op] = kernel(np, *inputs, **attrs)
            elif effect == "pure" or effect == "host":
                made = kernel(np, *inputs, **attrs)
            elif effect == "body":
                made = kernel(np, Runner(transaction, plan.wanted[op], way), *inputs, **attrs)
            elif effect == "read" and op not in plan.staged_reads:
                made = kernel(np, AtStart(transaction), *inputs, **attrs)
            else:
                made = kernel(np, transaction, *inputs, **attrs)
        except Exception as error:
            if effect in ("host", "body") and not isinstance(error, MinigradError):
                error.add_note(f"raised {place(op)}")
                raise
            raise node_error(op, inputs, error) from error
        if primitive.single:
            made = (made,)
        for t, value in zip(outputs, made, strict=True):
            if t not in fed:
                values[t] = value if type(value) is np.ndarray else np.asarray(value)
        if way.check_numerics:
            _check_numerics(op, inputs, [values[t] for t in outputs])
        for t in done:
            del values[t]
    return [values[t] for t in plan.fetches]


def node_error(op: Operation, inputs: list[Array | None], error: Exception) -> MinigradError:
    """The error to raise when a node's kernel failed: names the node and the user's line."""
    if not isinstance(error, MinigradError):
        specs = [None if x is None else Spec(x.shape, from_numpy(x.dtype)) for x in inputs]
        try:
            op.primitive.infer(specs, op.attrs)
        except MinigradError as better:
            error = better
    return operation_error(error, f"{error}\n  {place(op)}\n  {_inputs(op, inputs)}")


def place(op: Operation) -> str:
    """Which node it is, and the user's line that made it; for messages."""
    return f"in node {op.name!r} ({op.type}), made at {op.line_in_full}"


def _inputs(op: Operation, inputs: list[Array | None]) -> str:
    parts = [
        f"{t.name} shape={show(x.shape)} dtype={x.dtype}"
        for t, x in zip(op.inputs, inputs, strict=True)
        if t is not None and x is not None
    ]
    return f"inputs: {'; '.join(parts) or 'none'}"


def _check_numerics(op: Operation, inputs: list[Array | None], outputs: list[Array]) -> None:
    """Raise `NumericsError` if a node made a NaN or an infinity."""
    for t, value in zip(op.outputs, outputs, strict=True):
        if value.dtype.kind in "fc" and not np.isfinite(value).all():
            bad = np.argwhere(~np.isfinite(value))
            nans = int(np.isnan(value).sum())
            first = tuple(bad[0].tolist())
            raise NumericsError(
                f"{t.name} has {nans} NaN and {len(bad) - nans} infinite elements of "
                f"{value.size}, the first at index {first}\n  {place(op)}\n  {_inputs(op, inputs)}"
            )

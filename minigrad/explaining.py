"""`explain`: what a session makes of a graph before it runs it."""

from __future__ import annotations

import importlib
import statistics
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from minigrad.core.state import Cell, Transaction
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.errors import FeedError
from minigrad.executor.plan import Plan
from minigrad.feeds import convert_feeds
from minigrad.fetches import Fetches
from minigrad.nest import flatten
from minigrad.session import Session, get_default_session

if TYPE_CHECKING:
    from minigrad.core.operation import SymbolicTensor

__all__ = ["explain"]

#: How often a run is timed; the medians are shown.
_RUNS = 15


def explain(
    fetches: Any,
    feed_dict: Mapping[Any, Any] | None = None,
    *,
    session: Session | None = None,
    file: TextIO | None = None,
) -> None:
    """Print what becomes of a graph when it is compiled, and what each step of it costs.

    First come the nodes that the fetches need; then how often which rewrite has been applied; then
    the pieces of code: what is fused into one loop, what is called as NumPy's kernel, what they
    read and write and where that lies in memory.

    Args:
        fetches: what would be run: a tensor, operation or variable, or a nest of them.
        feed_dict: values to run it with, as for `Session.run`. With them every piece is timed:
            the median of several runs, of which none changes a variable. They may be left out
            where all placeholders have known shapes: then nothing is run.
        session: the session whose variables and executor are used; by default the one of the
            ``with`` block around, or a new one.
        file: where to print; by default `sys.stdout`.

    Raises:
        FeedError: a placeholder of unknown shape is not fed.
        FetchError: a fetch is of a wrong type or does not exist.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", (4,), name="x")
    ...     y = mg.tanh(x * 2.0) + 1.0
    >>> mg.explain(y, session=mg.Session(y.graph))
    The graph: 6 nodes that the fetches need
      Placeholder  x ...
    """
    items = flatten(fetches)
    graph = next((x.graph for x in items if getattr(x, "graph", None) is not None), None)
    chosen = session or get_default_session() or Session(graph)
    graph = chosen.graph
    feeds = {} if feed_dict is None else convert_feeds(graph, feed_dict)
    leaves = Fetches(graph, items, len(items) == 1 and items[0] is fetches)
    bare = Plan(graph, leaves.tensors, leaves.operations, tuple(feeds), leaves.variables)
    timed = feed_dict is not None
    for op in bare.steps:
        if op.type == "Placeholder":
            feeds[op.outputs[0]] = _like(op.outputs[0])
            timed = False
    plan = Plan(graph, leaves.tensors, leaves.operations, tuple(feeds), leaves.variables)
    text = _text(chosen, plan, bare, list(feeds.values()), timed=timed)
    print(text, file=file or sys.stdout)


def _like(tensor: SymbolicTensor) -> Array:
    """An array like one that might be fed."""
    shape = tensor.spec.shape
    if shape is None or None in shape:
        raise FeedError(
            f"placeholder {tensor.name!r} has the shape {tensor.shape}, and plans are made for "
            "known shapes: pass a feed_dict with a value for it"
        )
    return np.zeros(shape, tensor.dtype.dtype)  # type: ignore[arg-type]


def _text(session: Session, plan: Plan, bare: Plan, arrays: list[Array], *, timed: bool) -> str:
    # What compiles is loaded when it is first used.
    lower = importlib.import_module("minigrad.compile.lower")
    simplify = importlib.import_module("minigrad.compile.simplifying").simplify
    layouts = importlib.import_module("minigrad.compile.explain")
    slots = [session.slot(cell) for cell in plan.cells.values()]
    transaction = Transaction(slots)
    cells = {key: _value(cell, transaction, plan) for key, cell in plan.cells.items()}
    nodes = [*[t.op for t in bare.constants], *bare.steps]
    nodes.sort(key=lambda op: op.index)
    try:
        program = lower.lower(plan, [(a.shape, a.dtype) for a in arrays], cells)
    except lower.NotPlanned as reason:
        return f"This is run node by node, and not compiled: {reason}"
    lowered = len(program.instructions)
    simplify(program)
    timed = timed and all(transaction.value(key) is not None for key in program.cells)
    layout = layouts.laid_out(program, session.executor)
    if timed and layout.code is not None:
        times = [layout.code.timed(arrays, cells, transaction, session.way) for _ in range(_RUNS)]
        layout = layout.with_times([statistics.median(t) for t in zip(*times, strict=True)])
    made: str = layouts.describe(nodes, program, lowered, layout)
    return made


def _value(cell: Cell, transaction: Transaction, plan: Plan) -> Any:
    """A cell's value, or an array like it before its variable is initialized."""
    value = transaction.value(cell.key)
    if value is not None:
        return value
    for op in plan.steps:
        for found in op.attrs.values():
            if isinstance(found, Variable) and found.cell is cell and found.spec.known():
                return np.zeros(found.spec.shape, found.dtype.dtype)
    return None

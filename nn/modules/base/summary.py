"""`Module.summary`: a table of layers, found by running the module on placeholders."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.core.context import changed
from minigrad.core.graph import Graph
from minigrad.core.scratch import scratch
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike, as_dtype
from minigrad.errors import ArgumentTypeError, GraphError
from minigrad.nest import flatten
from minigrad.nn.modules.base.calls import CALL, Call, DryRun, training_flag
from minigrad.nn.modules.base.declared import Declared, same
from minigrad.ops.basic import placeholder
from minigrad.shapes import Spec, as_shape, show

if TYPE_CHECKING:
    from minigrad.nn.modules.base.module import Module

__all__ = ["Summary"]


@dataclass(frozen=True)
class Row:
    """One module in a `Summary`."""

    #: The path of attributes; empty for the module itself.
    path: str
    #: The name of its class.
    kind: str
    #: The shapes it returned when it was first called; None if it was not called.
    outputs: tuple[Any, ...] | None
    #: How often it was called.
    calls: int
    #: Number of elements of its own parameters, without those of the modules it holds; None where
    #: a size is not known, because the module was not called.
    parameters: int | None


@dataclass(frozen=True)
class Summary:
    """What `Module.summary` returns; as text, a table.

    >>> import minigrad.nn as nn
    >>> made = nn.Linear(2, 3).summary((None, 2))
    >>> made.total, made.trainable, made.nbytes
    (9, 9, 36)
    """

    rows: list[Row] = field(default_factory=list)
    #: Number of elements of all parameters, each counted once.
    total: int = 0
    #: Of those, the ones that are not frozen.
    trainable: int = 0
    #: Number of elements of all buffers.
    buffers: int = 0
    #: Size of parameters and buffers in bytes.
    nbytes: int = 0

    def __str__(self) -> str:
        table = [("layer", "class", "output shape", "parameters")]
        above: list[str] = []  # The row's own path, and those of the rows that it lies under.
        for row in self.rows:
            while above and not f"{row.path}.".startswith(f"{above[-1]}." if above[-1] else ""):
                above.pop()
            inside = above[-1] if above else ""
            name = "  " * len(above) + (row.path[len(inside) :].lstrip(".") or "(this)")
            above.append(row.path)
            shapes = "-" if row.outputs is None else ", ".join(map(show, row.outputs)) or "-"
            times = f" ×{row.calls}" if row.calls > 1 else ""
            table.append((name, row.kind, shapes + times, _count(row.parameters)))
        widths = [max(len(line[i]) for line in table) for i in range(4)]
        lines = [
            "  ".join(
                [
                    *[cell.ljust(w) for cell, w in zip(line[:3], widths, strict=False)],
                    line[3].rjust(widths[3]),
                ]
            )
            for line in table
        ]
        rule = "-" * len(lines[0])
        last = f"{self.total:,} parameters ({_bytes(self.nbytes)}"
        last += f" with {self.buffers:,} in buffers), " if self.buffers else "), "
        last += f"{self.trainable:,} trainable"
        unknown = [row.path or "(this)" for row in self.rows if row.parameters is None]
        if unknown:
            last += f"; not counted, because never called: {', '.join(unknown)}"
        return "\n".join([lines[0], rule, *lines[1:], rule, last])

    __repr__ = __str__


def _count(number: int | None) -> str:
    if number is None:
        return "?"
    return f"{number:,}" if number else "-"


def _bytes(number: int) -> str:
    """A size in bytes, as people read it.

    >>> _bytes(60), _bytes(1536), _bytes(3 * 2**20)
    ('60 bytes', '1.5 KiB', '3.0 MiB')
    """
    if number < 1024:
        return f"{number} bytes"
    size, unit = number / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}"


def _input(given: Any, dtype: DTypeLike) -> Tensor:
    """A placeholder for an input: given by a shape, a spec or a sample."""
    if isinstance(given, Spec):
        spec = given
    elif isinstance(given, Tensor | Variable):
        spec = given.spec
    elif isinstance(given, np.ndarray | np.generic):
        spec = Spec(given.shape, as_dtype(given.dtype))
    elif given is None or isinstance(given, int | list | tuple):
        spec = Spec(as_shape(given), as_dtype(dtype))
    else:
        raise ArgumentTypeError(
            "summary takes a shape such as (None, 4), a minigrad.Spec or a sample array for each "
            f"input, got {given!r:.80}"
        )
    return placeholder(spec.dtype, spec.shape, name="input")


def _graph(module: Module) -> tuple[Graph, AbstractContextManager[None]]:
    """A graph to build in, and what makes it forget."""
    homes = {home for m in module.modules() if (home := m._place.home) is not None}
    if not homes:
        return Graph("summary"), nullcontext()
    if len(homes) > 1:
        raise GraphError(f"the modules belong to {len(homes)} graphs, so nothing can call them all")
    (home,) = homes
    return home, scratch(home)


def summarize(
    module: Module, inputs: Sequence[Any], dtype: DTypeLike, training: Any, kwargs: dict[str, Any]
) -> Summary:
    """See `Module.summary`."""
    dry = DryRun()
    graph, forgotten = _graph(module)
    quiet = {"scope": "", "control": (), "tapes": (), "log": None, "origin": None}
    token = CALL.set(Call(training_flag(training), dry))
    try:
        with forgotten, changed(graph=graph, **quiet):
            module(*[_input(given, dtype) for given in inputs], **kwargs)
    finally:
        CALL.reset(token)
    outputs: dict[int, tuple[Any, ...]] = {}
    calls: dict[int, int] = {}
    for called, result in dry.results:
        shapes = [t.spec.shape for t in flatten(result) if isinstance(t, Tensor | Variable)]
        outputs.setdefault(id(called), tuple(shapes))
        calls[id(called)] = calls.get(id(called), 0) + 1
    seen: set[int] = set()
    rows, total, trainable, buffers, nbytes = [], 0, 0, 0, 0
    for path, part in module.named_modules():
        entries = []
        for name, state in part._own_state():
            if id(same(state)) not in seen:
                seen.add(id(same(state)))
                entries.append(
                    state
                    if isinstance(state, Declared)
                    else Declared.around(state, is_buffer=part._is_buffer(name, state))
                )
        own: int | None = None
        if all(entry.known() for entry in entries):
            sizes = [(entry, entry.size() or 0) for entry in entries]
            own = sum(n for e, n in sizes if not e.is_buffer)
            total += own
            trainable += sum(n for e, n in sizes if not e.is_buffer and e.is_trainable())
            buffers += sum(n for e, n in sizes if e.is_buffer)
            nbytes += sum(n * e.dtype.itemsize for e, n in sizes)
        identity = id(part)
        rows.append(
            Row(path, type(part).__name__, outputs.get(identity), calls.get(identity, 0), own)
        )
    return Summary(rows, total, trainable, buffers, nbytes)

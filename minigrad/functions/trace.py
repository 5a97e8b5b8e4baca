"""One tracing of a Python function: the graph it became, and how a call runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.context import changed
from minigrad.core.observing import CHANGES, Observed
from minigrad.core.operation import SymbolicTensor
from minigrad.core.tensor import Array, ConcreteTensor
from minigrad.core.traced import TracedGraph
from minigrad.errors import MinigradError, StateError
from minigrad.executor.plan import Plan
from minigrad.functions.outputs import Outputs
from minigrad.functions.piece import Piece
from minigrad.functions.runs import allowed, as_they_are, eager_slot
from minigrad.functions.signature import Call, Key, ObjectLeaf, SlicesLeaf, TensorLeaf, ValueLeaf
from minigrad.nest import is_nest
from minigrad.running import Executor
from minigrad.shapes import Spec, compatible


class Trace:
    """A graph made of a Python function, for one signature.

    Args:
        function: the Python function.
        label: how messages call it.
        call: the arguments that it is traced for.
        key: the signature that the trace is to serve; that of the call, or one that covers it.
        names: for each leaf of the arguments what the function calls it.
        executor: how to run.
        may_create: whether the function may make variables.

    Attributes:
        graph: the graph.
        key: the signature.
        piece: what a call runs.
        outputs: from its results to those of the function.
        calls: how many calls it has served.

    Raises:
        MinigradError: the function cannot be traced. Nothing of the trace remains.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        label: str,
        call: Call,
        key: Key,
        names: Sequence[str],
        executor: Executor,
        *,
        may_create: bool,
    ) -> None:
        self.graph = TracedGraph(label, _evaluate, may_create=may_create)
        self.key = key
        self.calls = 0
        with self.graph.tracing():
            inputs = _arguments(self.graph, key, names)
            args, kwargs = call.rebuild(inputs)
            try:
                result = function(*args, **kwargs)
            except MinigradError as error:
                if not hasattr(error, "__notes__"):
                    error.add_note(f"while {label} was traced")
                raise
            self.outputs = Outputs(self.graph, result)
        targets = [op for op in self.graph.get_operations() if op.effect not in ("pure", "read")]
        self.piece = Piece(self.graph, inputs, self.outputs.tensors, targets, executor)
        self._observed = list(self.graph.observed.values())
        self.number = CHANGES.number
        for observed in self._observed:
            observed.settle()
        self.contexts = _contexts(self._observed)

    def changed(self) -> Observed | None:
        """Something that the trace has read and that is different now, or None."""
        number, contexts = CHANGES.number, _contexts(self._observed)
        for observed in self._observed:
            if not observed.holds():
                return observed
        self.number, self.contexts = number, contexts
        return None

    def run(self, arrays: list[Array]) -> Any:
        """The result for these values of the arguments, where no tape records."""
        self.calls += 1
        running = self.piece.run
        values = running.direct(arrays, allowed)
        if values is None:
            values = running(arrays, as_they_are)
            for i, value in enumerate(values):
                # The caller's own array, or a view of one, may change later.
                if value.base is not None or any(value is given for given in arrays):
                    values[i] = np.array(value)
        return self.outputs.pack([ConcreteTensor(value) for value in values])

    def record(self, tensors: Sequence[ConcreteTensor | Array]) -> Any:
        """The same where tapes record."""
        self.calls += 1
        # Copies of arrays, as eager ops make them, because the caller may change his.
        given = [
            t if isinstance(t, ConcreteTensor) else ConcreteTensor(np.array(t)) for t in tensors
        ]
        return self.outputs.pack(self.piece(given))


def _contexts(observed: Sequence[Observed]) -> list[tuple[Any, Any]]:
    """The context variables that decide what was read, with their values now."""
    found = dict.fromkeys([o.context for o in observed if o.context is not None])
    return [(context, context.get()) for context in found]


def _arguments(graph: TracedGraph, key: Key, names: Sequence[str]) -> list[SymbolicTensor]:
    """The nodes that stand for the tensors among the arguments."""
    made: list[SymbolicTensor] = []
    for name, leaf in zip(names, key.leaves, strict=True):
        base = name.lstrip("_") if name.lstrip("_").isascii() else ""
        if isinstance(leaf, TensorLeaf):
            made.append(graph.argument(Spec(leaf.shape, leaf.dtype), base or "x"))
        elif isinstance(leaf, SlicesLeaf):
            shape = leaf.dense.shape
            rows = None if shape is None else (None, *shape[1:])
            made.append(graph.argument(Spec(rows, leaf.dense.dtype), f"{base}_values"))
            made.append(graph.argument(Spec((None,), leaf.indices), f"{base}_indices"))
    return made


def _evaluate(graph: TracedGraph, tensor: SymbolicTensor) -> Array:
    """The value of a tensor that a trace has built, for the initial value of a variable."""
    plan = Plan(graph, [tensor], (), ())
    if plan.unfed is not None:
        raise StateError(
            f"the initial value of a variable that {graph.label} makes depends on the function's "
            f"argument {plan.unfed.name!r}; a variable is made once, so give it a value that does "
            "not change from call to call"
        )
    with changed(graph=None):
        return Executor("numpy").running(plan, eager_slot)((), as_they_are)[0]


class Fast:
    """The usual call: arguments like those of the last one, looked at one by one.

    Attributes:
        trace: the trace that serves them.
    """

    __slots__ = ("_checks", "trace")

    def __init__(self, trace: Trace, checks: list[Any]) -> None:
        self.trace = trace
        self._checks = checks

    @classmethod
    def of(cls, trace: Trace, args: tuple[Any, ...]) -> Fast | None:
        """What knows calls like this one; None if there are arguments that it cannot look at."""
        leaves = iter(trace.key.leaves)
        checks = [_check(x, leaves, 0) for x in args]
        # After the arguments given come defaults, which are always the same.
        if None in checks or any(isinstance(leaf, TensorLeaf | SlicesLeaf) for leaf in leaves):
            return None
        return cls(trace, checks)

    def match(self, args: tuple[Any, ...]) -> list[Array] | None:
        """The arrays of a call's tensors, if the trace serves it; None if it may not."""
        trace = self.trace
        if trace.number != CHANGES.number or len(args) != len(self._checks):
            return None
        arrays: list[Array] = []
        if not _match(args, self._checks, arrays):
            return None
        for context, value in trace.contexts:
            if context.get() is not value:
                return None
        return arrays

    def tensors(self, args: tuple[Any, ...]) -> list[Any]:
        """The tensors and arrays of a call that matches, as they were given."""
        found: list[Any] = []
        stack = list(reversed(args))
        while stack:
            x = stack.pop()
            kind = type(x)
            if kind is ConcreteTensor or kind is np.ndarray:
                found.append(x)
            elif kind in (list, tuple):
                stack.extend(reversed(x))
            elif kind is dict:
                stack.extend(reversed(list(x.values())))
        return found


class NestCheck(NamedTuple):
    """How to look at a list, tuple or dictionary."""

    kind: type
    keys: list[Any] | None
    checks: list[Any]


#: How deep arguments are looked into.
_DEEPEST = 6


def _check(x: Any, leaves: Iterator[Any], depth: int) -> Any:
    """How to look at an argument, or None if that takes the long way.

    For a tensor its dtype, its shape, and the shape that it may have; else a `NestCheck` or a leaf.
    """
    kind = type(x)
    if kind in (list, tuple, dict):
        if depth == _DEEPEST:
            return None
        parts = list(x.values()) if kind is dict else x
        checks = [_check(part, leaves, depth + 1) for part in parts]
        keys = list(x) if kind is dict else None
        return None if None in checks else NestCheck(kind, keys, checks)
    leaf = next(leaves, None)
    if is_nest(x) and not (isinstance(leaf, ObjectLeaf) and leaf.stands_for(x)):
        return None
    if isinstance(leaf, TensorLeaf):
        array = x._value if kind is ConcreteTensor else x
        if type(array) is not np.ndarray or array.dtype is not leaf.dtype.dtype:
            return None  # It must be converted first.
        return array.dtype, array.shape, leaf.shape
    if isinstance(leaf, ObjectLeaf) or (isinstance(leaf, ValueLeaf) and leaf.kind in _COMPARED):
        return leaf
    return None


#: The types of values that are compared as they are.
_COMPARED = (bool, int, str, type(None))


def _match(items: Any, checks: list[Any], arrays: list[Array]) -> bool:
    """Whether items are as they were when the checks were made; their arrays are added."""
    for x, check in zip(items, checks):  # noqa: B905  (the lengths are equal; strict takes time)
        kind = type(x)
        if kind is ConcreteTensor:
            x = x._value
        elif kind is not np.ndarray:
            if check.__class__ is NestCheck:
                if kind is not check.kind or len(x) != len(check.checks):
                    return False
                if check.keys is not None:
                    if list(x) != check.keys:
                        return False
                    x = x.values()
                if not _match(x, check.checks, arrays):
                    return False
            elif check.__class__ is tuple or not check.stands_for(x):
                return False
            continue
        if check.__class__ is not tuple or x.dtype is not check[0]:
            return False
        if x.shape != check[1] and not compatible(x.shape, check[2]):
            return False
        arrays.append(x)
    return True

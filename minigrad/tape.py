"""`GradientTape`: write down what eager code does, then walk back over it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token
from types import TracebackType
from typing import Any

from minigrad.autodiff import (
    Unconnected,
    backward,
    check_differentiable,
    collect,
    gradients,
    graph_gradients,
    seed,
)
from minigrad.core.ancestry import ancestors
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, State, changed
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import SymbolicTensor
from minigrad.core.record import Recorder, key_of
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.traced import TracedGraph
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentTypeError,
    GradientError,
    LostGradientWarning,
    StateError,
)
from minigrad.jacobians import jacobian_rows
from minigrad.nest import flatten, unflatten

__all__ = ["GradientTape"]


class GradientTape:
    """Records the ops of a ``with`` block, so that gradients can be asked for afterwards.

    Trainable variables are watched by themselves, other tensors by `watch`. Tapes nest: an inner
    tape's `gradient` inside an outer tape is recorded there, for higher derivatives. Inside a
    graph, `gradient` adds the same nodes as `minigrad.gradients`.

    Args:
        persistent: allow `gradient` more than once; the records live until the tape is dropped.
            Such a tape also keeps the constants that it met, so that `minigrad.gradcheck` can
            compute it again.
        watch_accessed_variables: watch trainable variables when they are read.

    >>> import minigrad as mg
    >>> x = mg.asarray(3.0)
    >>> with mg.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = x * x
    >>> tape.gradient(y, x)
    Tensor(6., shape=(), dtype=float32)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._recorder: Recorder | None = Recorder(watch_accessed_variables, keep=persistent)
        self._persistent = persistent
        self._token: Token[State] | None = None
        self._state: State | None = None
        #: The graph of the traced function that the tape was opened in last.
        self._traced: TracedGraph | None = None

    def __enter__(self) -> GradientTape:
        if self._token is not None:
            raise StateError("this tape is recording already; use another GradientTape inside it")
        state = STATE.get()
        self._traced = None if state.graph is None else state.graph.traced
        self._state = state.replace(tapes=(*state.tapes, self._live()))
        self._token = STATE.set(self._state)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is None or self._state is None:
            return
        state, mine = STATE.get(), self._state.tapes[-1]
        if state is self._state:
            STATE.reset(self._token)
        else:
            # Blocks that overlap instead of nesting: only this tape stops.
            STATE.set(state.replace(tapes=tuple([t for t in state.tapes if t is not mine])))
        self._token = self._state = None

    @property
    def recorder(self) -> Recorder:
        """What was recorded, for tools that check or draw it.

        Raises:
            StateError: the tape is not persistent, and its gradient was taken already.
        """
        return self._live()

    def _live(self) -> Recorder:
        if self._recorder is None:
            raise StateError(
                "this tape's gradient was taken already, which freed it; make it with "
                "GradientTape(persistent=True) to ask more than once"
            )
        return self._recorder

    def watch(self, tensors: Any) -> None:
        """Treat tensors or variables (one, or a nest) as inputs to differentiate for.

        Raises:
            NotDifferentiableError: one is not of a floating dtype.
        """
        recorder = self._live()
        for item in flatten(tensors):
            if isinstance(item, Variable):
                check_differentiable(item, "x")
                recorder.tracked.add(item._key)
                recorder.variables[item._key] = item
            elif isinstance(item, ConcreteTensor):
                check_differentiable(item, "x")
                recorder.tracked.add(key_of(item))
            elif not isinstance(item, SymbolicTensor):
                raise ArgumentTypeError(
                    f"watch takes tensors and variables, got {type(item).__name__}; "
                    "make a tensor with mg.asarray first"
                )

    def watched_variables(self) -> list[Variable]:
        """The variables watched so far, in the order of their creation."""
        variables = self._live().variables
        return [variables[key] for key in sorted(variables)]

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """A context whose ops this tape does not record."""
        mine = self._live()
        tapes = tuple([t for t in STATE.get().tapes if t is not mine])
        with changed(tapes=tapes):
            yield

    def reset(self) -> None:
        """Forget everything recorded and watched so far."""
        recorder = self._live()
        recorder.records.clear()
        recorder.tracked.clear()
        recorder.variables.clear()
        recorder.made.clear()
        recorder.nodes.clear()
        if recorder.kept is not None:
            recorder.kept.clear()

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        *,
        unconnected: Unconnected | None = None,
    ) -> Any:
        """The gradient of the sum of `target` for each of `sources`.

        A target that the tape did not follow, because it was computed outside of the block or from
        plain numbers, has zero gradients, and a `LostGradientWarning` says so.

        Args:
            target: a tensor, or a nest of them.
            sources: a watched tensor or variable, or a nest of them.
            output_gradients: upstream gradients, a nest like `target`; by default ones.
            unconnected: ``"zero"``, ``"none"`` or ``"error"``; see `minigrad.gradients`. By
                default zeros; to give it silences the warning.

        Returns:
            A nest like `sources`.

        Raises:
            StateError: the tape is not persistent and was asked before.
            GradientError: a source was not watched, or became a constant of a graph.
            NotDifferentiableError: the way leads through an op without a gradient.
        """
        missing: Unconnected = "zero" if unconnected is None else unconnected
        recorder = self._live()
        targets = self._targets(recorder, target)
        wanted = flatten(sources)
        upstream = None if output_gradients is None else flatten(output_gradients)
        symbolic = next((t for t in targets if isinstance(t, SymbolicTensor)), None)
        if symbolic is not None:
            if symbolic.graph.traced is None:
                _refuse_captured(recorder, targets, wanted)
                made = gradients(targets, wanted, upstream, unconnected=missing)
            else:
                self._check_opened(symbolic.graph.traced)
                made = graph_gradients(targets, wanted, upstream, missing, recorder.nodes)
            return unflatten(sources, made)
        keys = [[self._source_key(recorder, x)] for x in wanted]
        if not self._persistent:
            self._recorder = None
        tapes = STATE.get().tapes
        if not self._persistent:
            tapes = tuple([t for t in tapes if t is not recorder])
        with changed(tapes=tapes):
            found = backward(
                list(recorder.records),
                seed(targets, upstream),
                [group[0] for group in keys],
                _key_of_target,
            )
            results = [
                collect(found, group, x, missing) for group, x in zip(keys, wanted, strict=True)
            ]
        if unconnected is None:
            _warn_of_lost(recorder, targets, {group[0] for group in keys})
        return unflatten(sources, results)

    def _check_opened(self, traced: TracedGraph) -> None:
        """Raise `GradientError` unless the tape was opened in a function that is being traced."""
        if self._traced is not traced:
            raise GradientError(
                f"this tape was opened outside of {traced.label}, and cannot see into it; open the "
                "tape in the function, or take the gradient outside, of what the function returns"
            )

    def _targets(self, recorder: Recorder, target: Any) -> list[Tensor]:
        """The leaves of a nest as tensors; sparse rows become dense on the tape's own record."""
        leaves = flatten(target)
        tapes = STATE.get().tapes
        if recorder in tapes or not any(isinstance(t, IndexedSlices) for t in leaves):
            return [tensor_of(t) for t in leaves]
        with changed(tapes=(*tapes, recorder)):
            return [tensor_of(t) for t in leaves]

    def _source_key(self, recorder: Recorder, x: Any) -> int:
        """The key of a source; an error where it cannot have been recorded."""
        if isinstance(x, SymbolicTensor):
            raise GradientError(f"the target is concrete and cannot depend on {x!r}")
        if not isinstance(x, ConcreteTensor | Variable):
            raise ArgumentTypeError(
                f"gradient takes tensors and variables as sources, got {type(x).__name__}"
            )
        check_differentiable(x, "x")
        by_itself = isinstance(x, Variable) and x.trainable and recorder.watch_variables
        if x._key not in recorder.tracked and not by_itself:
            raise GradientError(
                f"{x!r} was not watched by this tape; call tape.watch(x) before it is used"
            )
        return x._key

    def jacobian(self, target: Tensor, sources: Any) -> Any:
        """The derivative of each element of `target` for each of `sources`.

        The tape must be persistent, and the shape of `target` known.

        Returns:
            A nest like `sources`, of tensors of shape ``target.shape + source.shape``.

        Raises:
            StateError: the tape is not persistent.

        >>> import minigrad as mg
        >>> x = mg.asarray([1.0, 2.0])
        >>> with mg.GradientTape(persistent=True) as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.jacobian(y, x).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
        """
        if not self._persistent:
            raise StateError("jacobian needs GradientTape(persistent=True): it walks back often")

        def row(target: Any, sources: Any, upstream: Any) -> Any:
            return self.gradient(target, sources, upstream, unconnected="zero")

        return jacobian_rows(target, sources, row)


def _warn_of_lost(recorder: Recorder, targets: Sequence[Tensor], sources: set[int]) -> None:
    """Warn if the tape follows no target, and none is a source itself."""
    found = {_key_of_target(t) for t in targets}
    if found and sources and found.isdisjoint(sources) and found.isdisjoint(recorder.tracked):
        warnings.warn(
            "the target was not computed under this tape from what it watches, so its gradient is "
            "zero for all sources; compute the loss inside `with tape:` and without numpy() or "
            'float(). If it is meant to be zero, pass unconnected="zero" (or "none")',
            LostGradientWarning,
            stacklevel=3,
        )


def _key_of_target(tensor: Tensor) -> int:
    return tensor._key if isinstance(tensor, ConcreteTensor) else -1


def _refuse_captured(recorder: Recorder, targets: Sequence[Tensor], sources: Sequence[Any]) -> None:
    """Raise for a source whose value, or what came of it eagerly, is a constant in the graph."""
    live: set[int] = set()
    for x in sources:
        if isinstance(x, ConcreteTensor):
            raise GradientError(
                f"{x!r} is concrete, but the target is symbolic: its value became a constant of "
                "the graph, and no gradient flows there. Use a Variable or a placeholder"
            )
        if isinstance(x, Variable):
            live.add(x._key)
    for record in recorder.records:
        if not live.isdisjoint(record.in_keys):
            live.update(record.out_keys)
    for op in ancestors([t for t in targets if isinstance(t, SymbolicTensor)]):
        if op.type == "Const" and op.attrs["value"].captured in live:
            raise GradientError(
                f"the target depends on a variable through the constant {op.name!r}, which was "
                f"computed before it came into the graph ({op.line}); no gradient flows there. "
                "Compute it inside the graph"
            )

"""The traces of one function: looked up by signature, made when there is none, dropped in time."""

from __future__ import annotations

import functools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.core.observing import Observed
from minigrad.functions.history import FunctionStats, History, explain
from minigrad.functions.signature import (
    Call,
    Key,
    ObjectLeaf,
    Parameters,
    covers,
    relaxed,
    show_leaf,
)
from minigrad.functions.trace import Fast, Trace
from minigrad.running import Executor


class Traces:
    """The traces of one function.

    Args:
        function: the Python function.
        label: how messages call it.
        executor: how to run.
        most: how many to keep.
        relaxes: whether sizes that vary become unknown.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        label: str,
        executor: Executor,
        *,
        most: int,
        relaxes: bool,
    ) -> None:
        self.parameters = Parameters(function)
        self.history = History()
        self._function = function
        self._label = label
        self._executor = executor
        self._most = most
        self._relaxes = relaxes
        self._lock = threading.RLock()
        #: By signature, the least recently used first; of one signature there are several where
        #: something that the function reads has changed in between.
        self._by_key: OrderedDict[Key, list[Trace]] = OrderedDict()
        #: What tells that an object in a signature is gone.
        self._owners: dict[Key, list[Any]] = {}
        self._creates = False
        #: What knows calls like the last one.
        self.last: Fast | None = None

    def serving(self, call: Call, stacklevel: int) -> Trace:
        """The trace that serves a call, made now if there is none.

        Args:
            call: the call.
            stacklevel: of a warning, as seen from the caller.
        """
        found = self._find(call.key)
        if found is not None:
            return found
        with self._lock:
            found = self._find(call.key)
            return self._make(call, stacklevel + 1) if found is None else found

    def _find(self, key: Key) -> Trace | None:
        """A trace that serves a signature, with nothing changed since it was made."""
        groups = [self._by_key.get(key, [])]
        if self._relaxes and not groups[0]:
            groups = [
                group
                for other, group in list(self._by_key.items())
                if other.structure == key.structure and covers(other.leaves, key.leaves)
            ]
        for group in groups:
            for trace in group:
                if trace.changed() is None:
                    self._use(trace.key)
                    return trace
        return None

    def _use(self, key: Key) -> None:
        """Count a signature as used last."""
        try:
            self._by_key.move_to_end(key)
        except KeyError:
            return  # Another thread has dropped it.

    # -- making one ------------------------------------------------------------------------

    def _make(self, call: Call, stacklevel: int) -> Trace:
        names = list(self.parameters.names(call.nest))
        reason, advice = explain(call.key, self._kept(), names)
        made = self._traced(call, self._relaxed(call.key), names)
        calls = self._calls()
        self._store(made)
        self.history.note(self._label, reason, advice, calls, stacklevel + 1)
        return made

    def _traced(self, call: Call, key: Key, names: Sequence[str]) -> Trace:
        make = functools.partial(
            Trace, self._function, self._label, call, key, names, self._executor
        )
        made = make(may_create=not self.history.traces and not self._creates)
        if made.graph.created:
            # As in later calls, when what it makes is there.
            self._creates = True
            made = make(may_create=False)
        return made

    def _relaxed(self, key: Key) -> Key:
        """The signature to trace for: with `reduce_retracing` one for all sizes seen so far."""
        if self._relaxes:
            for other in reversed(list(self._by_key)):
                if other.structure == key.structure:
                    leaves = relaxed(other.leaves, key.leaves)
                    if leaves is not None:
                        return Key(key.structure, leaves)
        return key

    def _all(self) -> list[Trace]:
        return [trace for group in list(self._by_key.values()) for trace in group]

    def _calls(self) -> int:
        return self.history.calls_before + sum([trace.calls for trace in self._all()])

    def _kept(self) -> list[tuple[Key, Observed | None]]:
        return [(trace.key, trace.changed()) for trace in self._all()]

    # -- keeping them ----------------------------------------------------------------------

    def _store(self, trace: Trace) -> None:
        """Keep a trace, and drop the least recently used ones beyond the limit."""
        key = trace.key
        group = [trace]
        for old in reversed(self._by_key.get(key, [])):
            changed = old.changed()
            if changed is not None and changed.counts:
                self.history.calls_before += old.calls  # It will serve no call any more.
            else:
                group.insert(0, old)
        self._by_key[key] = group
        self._by_key.move_to_end(key)
        me = weakref.ref(self)

        def forget(_: Any) -> None:
            traces = me()
            if traces is not None:
                traces._forget(key)

        watched = [leaf.when_gone(forget) for leaf in key.leaves if isinstance(leaf, ObjectLeaf)]
        self._owners[key] = [ref for ref in watched if ref is not None]
        while len(self._all()) > self._most:
            oldest, traces = next(iter(self._by_key.items()))
            self.history.calls_before += traces.pop(0).calls
            if not traces:
                self._forget(oldest)

    def _forget(self, key: Key) -> None:
        """Drop what serves a signature: its time has come, or an object in it is gone."""
        for trace in self._by_key.pop(key, []):
            self.history.calls_before += trace.calls
        self._owners.pop(key, None)
        last = self.last
        if last is not None and last.trace.key == key:
            self.last = None

    def stats(self) -> FunctionStats:
        """How often the function was traced, why, and what the traces serve."""
        kept = self._all()
        return FunctionStats(
            self.history.traces,
            len(kept),
            self._calls(),
            tuple([f"({', '.join(map(show_leaf, trace.key.leaves))})" for trace in kept]),
            self.history.last_reason,
        )

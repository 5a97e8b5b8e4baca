"""What traced code has read of Python objects, and whether any of it has changed since.

While a function is traced (`mg.function`), whatever it reads of the objects around it becomes part
of the graph: whether a module is in training, an optimizer's learning rate. Such objects tell the
trace what was read of them, by `observe`, and tell everybody when it changes, by `CHANGES.note`.
So a call of the function needs to look at one number only, unless something has changed somewhere.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from minigrad.core.context import STATE

__all__: list[str] = []

_numbers = itertools.count(1)
_PLAIN = (bool, int, float, str, tuple, type(None))


class Changes:
    """A number that is another one after each change of anything that traces may have read."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def note(self) -> None:
        """Called after each change."""
        self.number = next(_numbers)


CHANGES = Changes()


class Observed:
    """Something that a trace has read.

    Attributes:
        what: how messages call it.
        context: a context variable that also decides it, or None.
        counts: whether it is a count of changes, which never returns to what it was.
        value: what was read.
    """

    __slots__ = ("_owner", "_read", "context", "counts", "value", "what")

    def __init__(
        self,
        owner: Any,
        what: str,
        read: Callable[[Any], Any],
        context: ContextVar[Any] | None,
        *,
        counts: bool,
    ) -> None:
        self._owner = weakref.ref(owner)
        self._read = read
        self.what = f"{what} of {getattr(owner, 'name', None) or type(owner).__name__}"
        self.context = context
        self.counts = counts
        self.value: Any = None

    def settle(self) -> None:
        """Take the value that counts: that at the end of the trace, which may itself change it."""
        self.value = self.now()

    def now(self) -> Any:
        """What would be read now; of an owner that is gone, what was read."""
        owner = self._owner()
        return self.value if owner is None else self._read(owner)

    def holds(self) -> bool:
        """Whether the same would be read now."""
        now, value = self.now(), self.value
        return now is value or (
            type(now) is type(value) and isinstance(now, _PLAIN) and bool(now == value)
        )


def observe(
    owner: Any,
    what: str,
    read: Callable[[Any], Any],
    context: ContextVar[Any] | None = None,
    *,
    counts: bool = False,
) -> None:
    """Note that traced code reads something of an object; otherwise do nothing.

    Args:
        owner: the object; it is not kept alive.
        what: how messages call it, beside the owner's name.
        read: from the owner to what is read.
        context: a context variable that also decides what is read.
        counts: whether it is a count of changes, which never returns to what it was.
    """
    graph = STATE.get().graph
    if graph is None or graph.traced is None:
        return
    seen = graph.traced.observed
    key = (id(owner), what)
    if key not in seen:
        seen[key] = Observed(owner, what, read, context, counts=counts)

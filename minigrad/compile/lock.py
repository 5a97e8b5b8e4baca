"""The lock of all that is compiled, and things that are made once."""

from __future__ import annotations

import functools
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")

#: Held while a plan is compiled, and around all that goes on inside LLVM; and while the process
#: forks, so that a child finds no work half done by a thread that it does not have. It is taken
#: again where a signal's handler runs the plan that is just being compiled.
lock = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )


@contextmanager
def compiling() -> Iterator[None]:
    """Hold the lock, and have no garbage collected: what is made meanwhile is in use to the end.

    Collecting it again and again would take a fifth of the time that long plans are compiled in.
    """
    with lock:
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()


def once(make: Callable[[], _T]) -> Callable[[], _T]:
    """A function that calls `make` when it is first called, and never in two threads at once.

    >>> once(lambda: [])() == []
    True
    """
    made: list[_T] = []

    @functools.wraps(make)
    def get() -> _T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get

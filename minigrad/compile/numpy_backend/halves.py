"""A second thread for long work on blocks.

NumPy lets go of the global interpreter lock inside ufuncs. Handing over costs some 50 to 100
microseconds, so only work of milliseconds is shared, between two threads: with more, they mostly
wait for the lock between ufuncs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from minigrad.threads import get_num_threads


class _Helper:
    """The second thread, made when it is first needed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a process just forked, which has only one thread."""
        self.busy = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "minigrad")
        return self._pool


_helper = _Helper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helper.reset)


def both(first: Callable[[], Any], second: Callable[[], Any]) -> None:
    """Do two things, at the same time if there may be two threads and the other one is free.

    Raises whatever one of them raises, once both have ended.
    """
    if get_num_threads() < 2 or not _helper.busy.acquire(blocking=False):
        first()
        second()
        return
    helper = _helper
    try:
        # NumPy's handling of floating-point errors is a part of the context.
        other = helper.pool.submit(copy_context().run, second)
        try:
            first()
        finally:
            error = other.exception()
        if error is not None:
            raise error
    finally:
        helper.busy.release()

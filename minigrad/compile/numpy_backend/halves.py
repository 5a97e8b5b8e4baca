"""A second thread for long work on blocks.

NumPy lets go of the global interpreter lock inside ufuncs. Handing over costs some 50 to 100
microseconds, so only work of milliseconds is shared, between two threads: with more, they mostly
wait for the lock between ufuncs.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
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


def shared(pieces: deque[Any], first: Callable[[], Any], second: Callable[[], Any]) -> None:
    """Have pieces of work done, by two threads if there may be two and the other one is free.

    Args:
        pieces: what is to be done.
        first: takes pieces from there and does them, until there are none.
        second: the same for the other thread.

    Raises whatever one of them raises, once both have ended.
    """
    if get_num_threads() < 2 or not _helper.busy.acquire(blocking=False):
        first()
        return
    helper = _helper
    try:
        # NumPy's handling of floating-point errors is a part of the context.
        other = helper.pool.submit(copy_context().run, second)
        failure: BaseException | None = None
        try:
            first()
        except BaseException as error:  # noqa: BLE001  (raised below)
            pieces.clear()
            failure = error
        # It need not begin if it has not: there is nothing left. Else the memory is in use until it
        # ends, Ctrl-C or not.
        while not (other.done() or other.cancel()):
            try:
                wait((other,))
            except BaseException as error:  # noqa: BLE001  (raised below)
                pieces.clear()
                failure = error
        if failure is None and not other.cancelled():
            failure = other.exception()
        if failure is not None:
            try:
                raise failure
            finally:
                # It refers to this frame.
                del failure
    finally:
        helper.busy.release()

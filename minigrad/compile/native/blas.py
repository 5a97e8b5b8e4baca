"""NumPy's and SciPy's BLAS held at one thread while a plan runs that multiplies on threads of ours.

Each of these libraries has threads of its own, which go on spinning for a while when a product is
done: on few cores they would be in each other's way, and in ours, for milliseconds.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from minigrad.compile.lock import once
from minigrad.compile.native.process import blas_address


class _Library(NamedTuple):
    get: Callable[[], int]
    set: Callable[[int], Any]


class _Limit:
    """The one context of `limited`: counts who is inside, under a lock."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                libraries = _libraries()
                self._before = [library.get() for library in libraries]
                for library in libraries:
                    library.set(1)
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._inside == 1:
                self._restore()
            # None are inside where the process was forked inside: the child has been set free.
            self._inside = max(self._inside - 1, 0)

    def forked(self) -> None:
        """In a child process: whoever was inside is not here, or will leave without harm."""
        inside = self._inside
        self._lock = threading.Lock()
        self._inside = 0
        if inside:
            self._restore()

    def _restore(self) -> None:
        for library, threads in zip(_libraries(), self._before, strict=True):
            library.set(threads)


_limit = _Limit()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.forked)


def limited() -> _Limit:
    """A context in which every BLAS of the process runs on one thread, whoever calls it.

    Any number of threads may be inside, the last one to leave sets back what was before. Enter it
    for plans that call BLAS or that run for long on several threads: it costs some 2 µs.

    >>> with limited():
    ...     pass
    """
    return _limit


@once
def _libraries() -> tuple[_Library, ...]:
    """What of BLAS is loaded; SciPy's is loaded for it, as a plan may do so at any moment."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return ()
    import threadpoolctl

    blas_address("sgemm")
    found = threadpoolctl.ThreadpoolController().lib_controllers
    return tuple(_library(each) for each in found if each.user_api == "blas")


# The two functions of each kind, whose names builds decorate. Not through threadpoolctl, which is
# slower, and which for a BLAS on OpenMP limits only the thread that asks.
_NAMES = [
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
    *(
        (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
        for prefix in ("", "scipy_")
        for suffix in ("", "64_", "_64", "64")
    ),
]


def _library(controller: Any) -> _Library:
    for get, set_ in _NAMES:
        if hasattr(controller.dynlib, get) and hasattr(controller.dynlib, set_):
            # Without giving the GIL away: it takes less time than that.
            return _Library(
                ctypes.PYFUNCTYPE(ctypes.c_int)((get, controller.dynlib)),
                ctypes.PYFUNCTYPE(None, ctypes.c_int)((set_, controller.dynlib)),
            )
    return _Library(controller.get_num_threads, controller.set_num_threads)

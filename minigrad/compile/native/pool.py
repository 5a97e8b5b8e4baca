"""The one thread pool of all plans: native code calls it through ``mg_parallel``.

``void mg_parallel(ptr task, ptr args, i64 units)`` calls ``task(args, lo, hi)`` for parts of
[0, units), on several threads where the pool is free, and returns when all is done. A call made
from inside a task, or while another thread has the pool, does all of it on its own thread. Threads
are started by the first call that wants them, and again after a fork.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time

from minigrad.compile.lock import once
from minigrad.compile.native.assembler import assemble
from minigrad.compile.native.linker import link
from minigrad.compile.native.pool_code import NAMES, pool_code
from minigrad.threads import get_num_threads, watch_num_threads

# How long a worker that has nothing to do looks out for more before it goes to sleep.
_PATIENCE = 20e-6


class Pool:
    """The native pool, held by its functions' addresses; never freed, for threads sleep in it."""

    def __init__(self, futex: bool = True) -> None:
        text = pool_code(sys.platform, platform.machine(), futex)
        code = link([assemble(text)], NAMES, {})
        self._addresses = {name: code.address(name) for name in NAMES}
        code.keep()
        self.workers = ctypes.PYFUNCTYPE(ctypes.c_int32)(self._addresses["pool_workers"])
        # Not PYFUNCTYPE: it waits for the pool, whose user may be waiting for the GIL.
        self._resize = ctypes.CFUNCTYPE(None, ctypes.c_int32)(self._addresses["pool_resize"])
        self._forked = ctypes.PYFUNCTYPE(None)(self._addresses["pool_forked"])
        prepare = ctypes.PYFUNCTYPE(None, ctypes.c_int64)(self._addresses["pool_prepare"])
        prepare(self._spins())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @property
    def parallel(self) -> int:
        """Where ``mg_parallel`` lies."""
        return self._addresses["mg_parallel"]

    def resize(self, threads: int) -> None:
        """Let `threads` threads work, the caller's own among them, from the next call on."""
        self._resize(threads)

    def _spins(self) -> int:
        relax = ctypes.PYFUNCTYPE(None, ctypes.c_int64)(self._addresses["pool_relax"])
        times = 200
        shortest = float("inf")
        for _ in range(10):
            begin = time.perf_counter()
            relax(times)
            shortest = min(shortest, time.perf_counter() - begin)
        return max(int(times * _PATIENCE / shortest), 10)


@once
def pool() -> Pool:
    """The pool of plans, made at the first call; `mg.set_num_threads` says how many threads."""
    made = Pool()
    watch_num_threads(made.resize)
    made.resize(get_num_threads())
    return made

"""How many threads compiled plans run on."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable

from minigrad.errors import ArgumentError, ArgumentTypeError

__all__ = ["get_num_threads", "set_num_threads"]

#: More than this are never used.
MAX_THREADS = 256

_VARIABLE = "MINIGRAD_NUM_THREADS"
_chosen: int | None = None
_listeners: list[Callable[[int], None]] = []


def set_num_threads(threads: int) -> None:
    """Let compiled plans run on so many threads, the calling one among them.

    Results do not depend on it, not by a bit. Without it, the environment variable
    ``MINIGRAD_NUM_THREADS`` says how many, else ``OMP_NUM_THREADS``, else there is one for each CPU
    that this process may use. NumPy's own kernels, and its BLAS outside plans, are not touched.
    A plan that runs in another thread is waited for. PyTorch: ``torch.set_num_threads``.

    Args:
        threads: 1 to 256.

    Raises:
        ArgumentError: it is less than 1 or more than 256.
        ArgumentTypeError: it is not an integer.

    >>> import minigrad as mg
    >>> before = mg.get_num_threads()
    >>> mg.set_num_threads(2)
    >>> mg.get_num_threads()
    2
    >>> mg.set_num_threads(before)
    """
    global _chosen
    try:
        count = operator.index(threads)
    except TypeError:
        raise ArgumentTypeError(
            f"a number of threads is an integer, got {threads!r} of type {type(threads).__name__}"
        ) from None
    if not 1 <= count <= MAX_THREADS:
        raise ArgumentError(f"a number of threads is 1 to {MAX_THREADS}, got {count}")
    _chosen = count
    for listener in _listeners:
        listener(count)


def get_num_threads() -> int:
    """How many threads compiled plans run on, at most; see `set_num_threads`.

    Raises:
        ArgumentError: ``MINIGRAD_NUM_THREADS`` is set to something else than a number above 0.

    >>> import minigrad as mg
    >>> mg.get_num_threads() >= 1
    True
    """
    if _chosen is not None:
        return _chosen
    own = os.environ.get(_VARIABLE)
    if own:
        if not own.isdecimal() or int(own) < 1:
            raise ArgumentError(
                f"{_VARIABLE} should be a number of threads, 1 or more; got {own!r}"
            )
        return min(int(own), MAX_THREADS)
    # OpenMP allows a list here, with one number for each level of nesting.
    general = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if general.isdecimal() and int(general) >= 1:
        return min(int(general), MAX_THREADS)
    return min(_cpus(), MAX_THREADS)


def watch_num_threads(listener: Callable[[int], None]) -> None:
    """Have a function called with each number that `set_num_threads` is given from now on."""
    _listeners.append(listener)


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

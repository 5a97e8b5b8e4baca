"""What happens at floating-point exceptions inside kernels; by default, nothing.

NumPy keeps its own setting (`np.errstate`) in a context variable. Entering `np.errstate` costs
more than a small op, so the variable is found once and set directly around kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

import numpy as np

__all__ = ["errstate"]


def _capture(**kinds: Any) -> tuple[ContextVar[Any], Any]:
    """NumPy's context variable, and its value under ``np.errstate(**kinds)``."""

    def probe() -> tuple[ContextVar[Any], Any]:
        before = copy_context()
        with np.errstate(**kinds):
            for variable, value in copy_context().items():
                if variable not in before or before[variable] is not value:
                    return variable, value
        # A NumPy that keeps its setting elsewhere: kernels then follow NumPy's own setting.
        return ContextVar("minigrad.no_errstate"), None

    return copy_context().run(probe)


NUMPY_ERRSTATE, _quiet = _capture(all="ignore")
#: The value that NumPy's variable has while kernels run.
POLICY: ContextVar[Any] = ContextVar("minigrad.errstate", default=_quiet)


@contextmanager
def errstate(**kinds: Any) -> Iterator[None]:
    """Decide what kernels do at division by zero, overflow, underflow and invalid operations.

    Takes the arguments of `numpy.errstate` (``divide=``, ``over=``, ``under=``, ``invalid=``,
    ``all=``). Outside such a block kernels are silent, whatever NumPy's own setting is.

    >>> import minigrad as mg
    >>> with mg.errstate(divide="raise"):
    ...     mg.divide(1.0, 0.0)
    Traceback (most recent call last):
    ...
    minigrad.errors.OperationFloatingPointError: RealDiv failed: divide by zero encountered in divide
      inputs: shape=() dtype=float32; shape=() dtype=float32
    """  # noqa: E501  (a doctest cannot break the message)
    token = POLICY.set(_capture(**kinds)[1])
    try:
        yield
    finally:
        POLICY.reset(token)


@contextmanager
def kernel_errstate() -> Iterator[None]:
    """Run a block of kernels under the policy in force."""
    token = NUMPY_ERRSTATE.set(POLICY.get())
    try:
        yield
    finally:
        NUMPY_ERRSTATE.reset(token)

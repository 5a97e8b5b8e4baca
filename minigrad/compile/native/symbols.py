"""Addresses of what native code declares: the runtime's own functions, BLAS and Python's API.

No address is ever written into code: each process that links it resolves the names anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from minigrad.compile.native.interrupts import poll_address
from minigrad.compile.native.pool import pool
from minigrad.compile.native.process import blas_address, python_address
from minigrad.errors import OperationError

_BLAS = ("sgemm", "dgemm", "sgemv", "dgemv")
# Each is called for the first module that declares the name. mg_sgemm is Fortran's SGEMM, and so
# on: every argument is a pointer, and those to sizes point to an i32.
_RUNTIME: dict[str, Callable[[], int]] = {
    "mg_parallel": lambda: pool().parallel,
    "mg_poll": poll_address,
    **{f"mg_{name}": functools.partial(blas_address, name) for name in _BLAS},
}


def addresses(names: Iterable[str]) -> dict[str, int]:
    """Where those of `names` lie that are known here; libm's and their like the linker finds.

    Raises:
        OperationError: one of them is BLAS, and SciPy's cannot be had.
    """
    found: dict[str, int] = {}
    for name in names:
        if name in _RUNTIME:
            found[name] = _RUNTIME[name]()
            if not found[name]:
                raise OperationError(
                    f"native code needs {name}, which is SciPy's BLAS with 32-bit sizes, and it "
                    'could not be loaded; install it (pip install "minigrad[jit]"), or ask '
                    "has_blas() before native code is written that needs it"
                )
        elif name.startswith("Py"):
            found[name] = python_address(name)
    return {name: address for name, address in found.items() if address}


@functools.cache
def has_blas() -> bool:
    """Whether modules may declare ``mg_sgemm``, ``mg_dgemm``, ``mg_sgemv`` and ``mg_dgemv``."""
    return all(blas_address(name) for name in _BLAS)

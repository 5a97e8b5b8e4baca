"""Which way plans are compiled: to native code where llvmlite is installed, else for NumPy.

The compilers are loaded when the first plan is compiled: ``import minigrad`` should cost little.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from minigrad.compile.native.host import available
from minigrad.errors import ArgumentError

if TYPE_CHECKING:
    from minigrad.compile.compiled import Compiled
    from minigrad.compile.stats import Stats
    from minigrad.executor.plan import Plan

#: What plans are compiled to.
Backend: TypeAlias = Literal["native", "numpy"]

_CODE = {"native": ("native.code", "NativeCode"), "numpy": ("numpy_backend", "NumpyCode")}


def choose(executor: str | None) -> str:
    """The executor that a name means; None means the fastest that there is.

    The environment variable MINIGRAD_EXECUTOR may name another default.

    Raises:
        ArgumentError: there is none of this name, or llvmlite is missing for it.
    """
    executor = executor or os.environ.get("MINIGRAD_EXECUTOR")
    if executor is None:
        return "native" if available() else "numpy"
    if executor not in ("native", "numpy", "reference"):
        raise ArgumentError(
            f"executor must be 'native', 'numpy', 'reference' or None, got {executor!r}"
        )
    if executor == "native" and not available():
        raise ArgumentError(
            "executor='native' needs llvmlite: pip install 'minigrad[jit]' (and MINIGRAD_JIT must "
            "not be 0); without executor= the fastest one that is there is used"
        )
    return executor


def compiled(plan: Plan, backend: str, stats: Stats) -> Compiled:
    """A plan to be run by compiled code."""
    module, name = _CODE[backend]
    make: Callable[..., Any] = getattr(_load(module), name)
    made: Compiled = _load("compiled").Compiled(plan, make, stats)
    return made


def _load(name: str) -> Any:
    return importlib.import_module(f"minigrad.compile.{name}")

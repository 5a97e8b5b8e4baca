"""What the machine offers: whether native code can be made here, for which CPU, how wide."""

from __future__ import annotations

import functools
import importlib.util
import os
from dataclasses import dataclass

from minigrad.compile.native.objects import layout_is_known


@dataclass(frozen=True)
class Host:
    """A CPU as LLVM names it, its features as LLVM's ``+avx2,-avx512f`` string."""

    cpu: str
    features: str
    vector_bytes: int


def available() -> bool:
    """Whether native code can be made: with llvmlite, on CPython, unless ``MINIGRAD_JIT`` is ``0``.

    llvmlite is not imported to find out, and the environment is read at each call.

    >>> import os
    >>> os.environ["MINIGRAD_JIT"] = "0"
    >>> available()
    False
    >>> del os.environ["MINIGRAD_JIT"]
    """
    return os.environ.get("MINIGRAD_JIT", "1") != "0" and _has_llvmlite() and layout_is_known()


@functools.cache
def _has_llvmlite() -> bool:
    return importlib.util.find_spec("llvmlite") is not None


@functools.cache
def host() -> Host:
    """The CPU this process runs on; asks LLVM once."""
    import llvmlite.binding as llvm

    found = llvm.get_host_cpu_features()
    return Host(llvm.get_host_cpu_name(), found.flatten(), _width(dict(found)))


def vector_bytes() -> int:
    """How many bytes an explicit vector should hold: 64 with AVX-512, 32 with AVX2, else 16."""
    return host().vector_bytes


def _width(features: dict[str, bool]) -> int:
    # Masks over bytes and shorter vectors come with bw, dq and vl, which the first such chips lack.
    if all(features.get(name, False) for name in ("avx512f", "avx512bw", "avx512dq", "avx512vl")):
        return 64
    return 32 if features.get("avx2", False) else 16

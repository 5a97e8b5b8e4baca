"""Addresses of functions in other libraries of this process: Python's API and SciPy's BLAS."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path
from typing import Any

from minigrad.compile.lock import once

_CYTHON_BLAS = "scipy.linalg.cython_blas"


def python_address(name: str) -> int:
    """Where Python's own C function `name` lies; 0 if there is none."""
    function = getattr(ctypes.pythonapi, name, None)
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0


def blas_address(name: str) -> int:
    """Where SciPy's `name` (``sgemm``, ``dgemv``, …) lies; 0 without SciPy or with 64-bit sizes."""
    module = _cython_blas()
    capsule = None if module is None else module.__pyx_capi__.get(name)
    if capsule is None:
        return 0
    get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    # A capsule's name is its function's C signature.
    signature = get_name(("PyCapsule_GetName", ctypes.pythonapi))(capsule)
    if b"int *" not in signature or b"long" in signature:
        return 0
    return int(get_pointer(("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, signature) or 0)


@once
def _cython_blas() -> Any:
    """SciPy's module of BLAS pointers, without the rest of scipy.linalg; None without SciPy.

    The import system would bring in all of scipy.linalg first, which takes some .25 s.
    """
    if _CYTHON_BLAS in sys.modules:
        return sys.modules[_CYTHON_BLAS]
    package = importlib.util.find_spec("scipy")
    if package is None:
        return None
    for folder in package.submodule_search_locations or ():
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder, "linalg", "cython_blas" + suffix)
            if path.is_file():
                return _load_extension(path)
    return _import_whole()


def _load_extension(path: Path) -> Any:
    loader = ExtensionFileLoader(_CYTHON_BLAS, str(path))
    spec = importlib.util.spec_from_file_location(_CYTHON_BLAS, path, loader=loader)
    if spec is None:
        return _import_whole()
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError:  # What it is linked with, SciPy's own start may have to find.
        return _import_whole()
    return module


def _import_whole() -> Any:
    try:
        return importlib.import_module(_CYTHON_BLAS)
    except ImportError:
        return None

"""Native kernels, compiled and run with any cut of their units; for several test files."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.compile.native.engine import load
from minigrad.compile.native.kernel import Kernel
from minigrad.compile.native.types import I64, PTR
from minigrad.compile.native.writer import Module

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class KernelRun:
    """A kernel that can be called on arrays: inputs, outputs, and what its epilogue needs.

    Before each run the scratch memory is full of NaN.
    """

    def __init__(self, module: Module, kernel: Kernel) -> None:
        self.kernel = kernel
        names = [f"phase{i}" for i in range(len(kernel.phases))]
        for name, phase in zip(names, kernel.phases, strict=True):
            parameters = [("args", PTR), ("lo", I64), ("hi", I64)]
            w = module.function(name, parameters, linkage="")
            w.call(phase.function, *w.parameters)
            w.finish()
        if names:
            self.code = load(module.text(), names)
        self.functions = [_FUNCTION(self.code.address(name)) for name in names]

    def __call__(
        self, *arrays: Any, extra: Sequence[Any] = (), cuts: np.random.Generator | None = None
    ) -> None:
        """Run all phases; with `cuts`, in pieces that it draws, and in an order that it draws."""
        size = self.kernel.scratch_bytes
        memory = np.full(size + 64, 0xFF, np.uint8)
        scratch = [memory.ctypes.data + -memory.ctypes.data % 64] if size else []
        for a in (*arrays, *extra):
            assert a.flags.c_contiguous
        pointers = [*[a.ctypes.data for a in arrays], *scratch, *[a.ctypes.data for a in extra]]
        args = (ctypes.c_void_p * len(pointers))(*pointers)
        for function, phase in zip(self.functions, self.kernel.phases, strict=True):
            places = {0, phase.units}
            if cuts is not None:
                places |= set(cuts.integers(0, phase.units + 1, 4).tolist())
            ordered = sorted(places)
            pieces = list(itertools.pairwise(ordered))
            if cuts is not None:
                cuts.shuffle(pieces)
            for lo, hi in pieces:
                function(args, lo, hi)


def compiled(emit: Any, vector_bytes: int, *given: Any, **options: Any) -> KernelRun:
    """What ``emit(module, *given, **options)`` gives, ready to run."""
    module = Module(vector_bytes)
    kernel = emit(module, *given, **options)
    assert kernel is not None
    return KernelRun(module, kernel)

"""What an op costs: eager, on a tape, as a node of a graph; PyTorch beside it if it is there."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.timing import Timing, interleaved

_CALLS = 2000


def _loop(function: Callable[[], object]) -> Callable[[], float]:
    """Seconds for one of many calls."""

    def case() -> float:
        began = time.perf_counter()
        for _ in range(_CALLS):
            function()
        return (time.perf_counter() - began) / _CALLS

    return case


def _minigrad_cases() -> dict[str, Callable[[], float]]:
    a = mg.asarray(np.ones(16, np.float32))
    b = mg.asarray(np.ones(16, np.float32))
    plain = _loop(lambda: mg.add(a, b))

    def taped() -> float:
        with mg.GradientTape() as tape:
            tape.watch([a, b])
            return plain()

    def built() -> float:
        with mg.Graph().as_default():
            x = mg.placeholder("float32", (None, 3))
            y: Any = mg.placeholder("float32", (None, 3))
            began = time.perf_counter()
            for _ in range(_CALLS):
                y = mg.add(y, x)
            return (time.perf_counter() - began) / _CALLS

    return {"eager add": plain, "eager add on a tape": taped, "node built": built}


def _torch_cases(torch: Any) -> dict[str, Callable[[], float]]:
    a, b = torch.ones(16), torch.ones(16)
    c = torch.ones(16, requires_grad=True)
    return {
        "PyTorch: eager add": _loop(lambda: torch.add(a, b)),
        "PyTorch: eager add with autograd": _loop(lambda: torch.add(c, b)),
    }


#: What PyTorch 2.13.0 (CPU build, Python 3.11, AMD EPYC) takes, in multiples of NumPy's own add.
RECORDED = {"PyTorch: eager add": 3.3, "PyTorch: eager add with autograd": 4.8}

#: Microseconds that each is meant to stay below.
BARS = {"eager add": 2.5, "eager add on a tape": 3.5, "node built": 6.0}


def run() -> dict[str, Timing]:
    """Measure, and print a table."""
    cases = {"NumPy: add": _loop(_numpy_add()), **_minigrad_cases()}
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        torch = None
    if torch is not None:
        torch.set_num_threads(1)
        cases |= _torch_cases(torch)
    found = interleaved(cases)
    print("Two 16-vectors of float32; microseconds")
    print(f"{'':34s} {'median':>8s} {'best':>8s} {'bar':>6s}")
    for name, timing in found.items():
        bar = f"{BARS[name]:6.1f}" if name in BARS else ""
        print(f"{name:34s} {timing.median * 1e6:8.2f} {timing.best * 1e6:8.2f} {bar}")
    if torch is None:
        numpy_here = found["NumPy: add"].median
        print("PyTorch is not installed here. Recorded elsewhere, scaled by NumPy's add:")
        for name, times in RECORDED.items():
            print(f"{name:34s} {times * numpy_here * 1e6:8.2f}")
    print("bar: what each is meant to stay below, on a machine with nothing else to do")
    return found


def _numpy_add() -> Callable[[], object]:
    a, b = np.ones(16, np.float32), np.ones(16, np.float32)
    return lambda: np.add(a, b)

"""A chain of adds: time a node, and memory, must not grow with its length."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import minigrad as mg
from benchmarks.timing import peak_bytes

PHASES = ("build", "differentiate", "run")


def once(length: int) -> dict[str, float]:
    """Build, differentiate and run one chain; microseconds a node for each, bytes a node."""
    before = peak_bytes()
    with mg.Graph().as_default():
        t0 = time.perf_counter()
        x = mg.placeholder("float32", ())
        y: Any = x
        for _ in range(length):
            y = y + x
        t1 = time.perf_counter()
        (slope,) = mg.gradients(y, [x])
        t2 = time.perf_counter()
        value, derivative = mg.Session().run([y, slope], {x: 1.0})
        t3 = time.perf_counter()
    if not value == derivative == length + 1:
        raise ArithmeticError(f"expected {length + 1} twice, got {value} and {derivative}")
    times = (t1 - t0, t2 - t1, t3 - t2)
    found = {name: t / length * 1e6 for name, t in zip(PHASES, times, strict=True)}
    return {**found, "bytes": (peak_bytes() - before) / length}


def run(lengths: tuple[int, ...] = (100_000, 1_000_000)) -> dict[int, dict[str, float]]:
    """Measure each length in a fresh process, and print a table."""
    found: dict[int, dict[str, float]] = {}
    print("\nA chain of adds and its gradient; microseconds a forward node")
    print(f"{'nodes':>10s} " + " ".join(f"{p:>14s}" for p in PHASES) + f" {'bytes a node':>14s}")
    for length in lengths:
        code = f"import json; from benchmarks.chain import once; print(json.dumps(once({length})))"
        output = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
        found[length] = json.loads(output)
        row = found[length]
        times = " ".join(f"{row[p]:14.2f}" for p in PHASES)
        print(f"{length:10,d} {times} {row['bytes']:14.0f}")
    return found

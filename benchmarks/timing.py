"""Timing on a machine that is shared and noisy: rounds, medians, everything in one run."""

from __future__ import annotations

import gc
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Timing(NamedTuple):
    """Seconds for one call: the median over the rounds, and the best of them."""

    median: float
    best: float


def measure(function: Callable[[], object], calls: int, rounds: int = 15) -> Timing:
    """Time one call, from `rounds` rounds of `calls` calls each."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            function()
        times.append((time.perf_counter() - began) / calls)
    return Timing(statistics.median(times), min(times))


def interleaved(cases: dict[str, Callable[[], float]], rounds: int = 15) -> dict[str, Timing]:
    """Time several cases in turn, so that a slow minute hits all; each returns seconds a call."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            gc.collect()
            times[name].append(case())
    return {name: Timing(statistics.median(t), min(t)) for name, t in times.items()}


def timed(step: Callable[[], object], seconds: float, at_least: int = 3) -> list[float]:
    """Seconds of every call, over a stretch of time; a tenth of it goes by unmeasured first."""
    gc.collect()
    clock = time.perf_counter
    end = clock() + seconds / 10
    step()
    while clock() < end:
        step()
    times: list[float] = []
    end = clock() + seconds
    while len(times) < at_least or clock() < end:
        began = clock()
        step()
        times.append(clock() - began)
    return times


def peak_bytes() -> int:
    """The most memory this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux's ru_maxrss is at least that of the process that started this one; VmHWM is not.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

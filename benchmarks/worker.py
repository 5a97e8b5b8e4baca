"""The process in which one side runs: ``python -m benchmarks.worker '{"side": "jax", …}'``.

It reads requests, a line of JSON each, from its input, and answers each with a line. It ends when
its input does, so that none is left behind when the process that started it dies.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from benchmarks.sides import load
from benchmarks.sides.base import ADDS_SIZE, ADDS_SUMMAND, Case, Options
from benchmarks.timing import peak_bytes, timed
from benchmarks.workloads import WORKLOADS, Found, check

#: Runs of a chain of adds, after the first.
STEADY_RUNS = 7


class Worker:
    """Answers requests for one side."""

    def __init__(self, name: str, options: Options) -> None:
        self.side = load(name, options)
        self.cases: dict[tuple[str, str], Case] = {}

    def about(self) -> dict[str, Any]:
        """What the side is."""
        side = self.side
        return {
            "version": side.version(),
            "python": sys.version.split()[0],
            "variants": list(side.variants),
            "slow": sorted(side.slow),
            "only_steps": sorted(side.only_steps),
            "longest_chain": side.longest_chain,
            "longest_slow_chain": {**side.longest_chain, **side.longest_slow_chain},
        }

    def prepare(self, workload: str, variant: str, reference: str, small: bool) -> dict[str, Any]:
        """Make a case, and check it against the reference in a file."""
        chosen = WORKLOADS[workload]
        case = self.side.case(chosen, chosen.values(small=small).cast("float32"), variant)
        error = check(f"{workload}, {variant}", case.found(), Found.load(reference))
        self.cases[workload, variant] = case
        return {"error": error}

    def round(self, workload: str, variant: str, seconds: float) -> dict[str, Any]:
        """Time a case that was prepared."""
        times = timed(self.cases[workload, variant].step, seconds)
        return {"seconds": statistics.median(times), "calls": len(times)}

    def forget(self) -> dict[str, Any]:
        """Drop all cases."""
        self.cases.clear()
        return {}

    def first(self, workload: str, variant: str, small: bool) -> dict[str, Any]:
        """Make a case, and a first step, without a check and on one batch if it trains."""
        chosen = WORKLOADS[workload]
        values = chosen.draw(**(chosen.small if small else {}), batches=1).cast("float32")
        case = self.side.case(chosen, values, variant)
        case.step()
        self.cases[workload, variant] = case
        return {}

    def peak(self, workload: str, variant: str, steps: int) -> dict[str, Any]:
        """The most memory this process has held, after some more steps."""
        for _ in range(steps):
            self.cases[workload, variant].step()
        return {"bytes": peak_bytes()}

    def adds(self, variant: str, length: int) -> dict[str, Any]:
        """The chain of adds: seconds until it has run once, and seconds of a later run."""
        self.side.warm_up()
        began = time.perf_counter()
        chain = self.side.adds(length, variant)
        first = time.perf_counter() - began
        expected = ADDS_SIZE * (1 + ADDS_SUMMAND * length)
        if not (abs(chain.value - expected) <= 1e-3 * expected and (chain.gradient == 1).all()):
            raise ArithmeticError(
                f"a chain of {length} adds: expected {expected} and a gradient of ones, got "
                f"{chain.value} and {chain.gradient}"
            )
        steady = []
        for _ in range(STEADY_RUNS):
            began = time.perf_counter()
            chain.step()
            steady.append(time.perf_counter() - began)
        return {"first": first, "steady": statistics.median(steady)}


def keep_to_cores(threads: int) -> None:
    """Let this process use so many cores, where the system can say so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def answer(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request says; a failure is an answer too."""
    method: Callable[..., dict[str, Any]] = getattr(worker, request.pop("do"))
    try:
        return method(**request)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported.
        return {"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def main() -> None:
    """Answer until the input ends."""
    setup = json.loads(sys.argv[1])
    # What frameworks print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    options = Options(setup["threads"], setup["executor"])
    keep_to_cores(options.threads)
    worker = Worker(setup["side"], options)
    for line in sys.stdin:
        print(json.dumps(answer(worker, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

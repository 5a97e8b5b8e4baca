"""Random graphs on every executor: ``python tools/fuzz.py --count 10000 --seed 0``.

Each graph is fed three times: with ordinary numbers, with NaN, infinities and subnormal numbers
among them, and from arrays that are laid out oddly. An executor is wrong where its error is more
than 8 times the reference executor's plus what 16 units of rounding in every intermediate value may
do, or where NaN and infinities are not at the same places; see `tools.fuzzing`. What is found is
made smaller, and printed as a script of its own. The exit status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import pickle
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# Graphs are all different: what is compiled of them is of no use to anybody.
os.environ.setdefault("MINIGRAD_CACHE_DIR", tempfile.mkdtemp(prefix="minigrad-fuzz-"))

from tools.fuzzing.checking import EXECUTORS, Verdict, check
from tools.fuzzing.drawing import draw
from tools.fuzzing.shrinking import apart, shrink

#: So many graphs are run by one process: what it has compiled goes with it.
BATCH = 100


def verdicts(seeds: Sequence[int], executors: Sequence[str]) -> Iterator[tuple[int, Verdict]]:
    """What is said of the graphs of these seeds, each process doing some of them."""
    todo = list(seeds)
    while todo:
        batch = todo[:BATCH]
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _work(batch, executors, writer)
        os.close(writer)
        done = 0
        with os.fdopen(reader, "rb") as pipe:
            while size := pipe.read(4):
                verdict = pickle.loads(pipe.read(struct.unpack("i", size)[0]))
                yield batch[done], verdict
                done += 1
        _, status = os.waitpid(child, 0)
        if done < len(batch):
            yield batch[done], Verdict("differ", f"ends the process: {status}", "crash")
            done += 1
        todo = todo[done:]


def _work(seeds: Sequence[int], executors: Sequence[str], writer: int) -> None:
    try:
        for seed in seeds:
            said = pickle.dumps(check(draw(seed), executors))
            os.write(writer, struct.pack("i", len(said)) + said)
    finally:
        sys.stderr.flush()
        os._exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="how many graphs")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed")
    parser.add_argument("--executors", default=",".join(EXECUTORS[1:]), help="which to compare")
    parser.add_argument("--no-shrink", action="store_true", help="print graphs as they are")
    options = parser.parse_args(arguments)
    executors = ("reference", *options.executors.split(","))
    faulthandler.enable()
    began = time.perf_counter()
    outcomes: Counter[str] = Counter()
    for seed, verdict in verdicts(range(options.seed, options.seed + options.count), executors):
        outcomes[verdict.outcome] += 1
        if verdict.outcome == "differ":
            program = draw(seed)
            print(f"seed {seed}: {verdict.executor}: {verdict.what}", flush=True)
            if not options.no_shrink:
                program, verdict = shrink(program, verdict, lambda p: apart(p, executors))
            print(
                f"\n{program.script(executors)}\n# {verdict.executor}: {verdict.what}\n", flush=True
            )
        total = outcomes.total()
        if total % BATCH == 0:
            seconds = time.perf_counter() - began
            print(
                f"{total} graphs in {seconds:.0f} s: {dict(outcomes)}", file=sys.stderr, flush=True
            )
    print(f"{outcomes.total()} graphs: {dict(outcomes)}")
    return int(outcomes["differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Run the benchmarks: ``python -m benchmarks [core] [chain]``; by default all."""

from __future__ import annotations

import argparse

from benchmarks import chain, core

SUITES = {"core": core.run, "chain": chain.run}


def main() -> None:
    """Parse the command line, and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="which; by default all")
    chosen = parser.parse_args().suites or list(SUITES)
    for name in chosen:
        SUITES[name]()


if __name__ == "__main__":
    main()

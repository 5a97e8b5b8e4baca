"""The command line: ``python -m minigrad gradcheck [names…]`` and ``… ops [names…]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import minigrad.nn as nn
import minigrad.optim as optim
from minigrad.gradcheck.registry_table import print_table
from minigrad.reference import print_reference

#: The packages whose primitives and composites are checked besides the core's.
PACKAGES = (nn, optim)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    Args:
        arguments: the words after ``python -m minigrad``; by default those of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m minigrad", description="minigrad's tools for the command line"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    check = commands.add_parser(
        "gradcheck",
        help="check the gradient of every primitive, and all else its definition promises",
        description=(
            "Check primitives and composites on their own samples: gradients at orders one and "
            "two against central differences in float64, shapes, dtypes, error messages, and that "
            "eager code and sessions agree. The exit status is 1 if something is wrong."
        ),
    )
    check.add_argument(
        "names", nargs="*", help="public names (exp) or op names (Exp); all if none is given"
    )
    ops = commands.add_parser(
        "ops",
        help="list all ops, or show the reference entries of some",
        description="List all ops with a line each; with names, all that is known of these.",
    )
    ops.add_argument("names", nargs="*", help="public names (exp) or op names (Exp)")
    for command, run in ((check, print_table), (ops, print_reference)):
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options.names))
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; Python must not complain at its exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())

"""The sides of the comparison, a module each: minigrad and the frameworks it is compared with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmarks.sides.base import Options, Side


class About(NamedTuple):
    """What is known of a side without importing it.

    Attributes:
        module: the module here.
        package: what it imports, and what an interpreter must have.
        is_framework: whether it differentiates by itself, and so is a peer in what is measured of
            whole processes; NumPy does not.
        on_request: whether it takes part only where it is named, because it takes so long.
    """

    module: str
    package: str
    is_framework: bool = True
    on_request: bool = False


#: By the names on the command line.
SIDES = {
    "minigrad": About("minigrad", "minigrad"),
    "torch": About("torch", "torch"),
    "jax": About("jax", "jax"),
    "tensorflow": About("tensorflow", "tensorflow"),
    "pytensor": About("pytensor", "pytensor", on_request=True),
    "tinygrad": About("tinygrad", "tinygrad", on_request=True),
    "numpy": About("numpy_by_hand", "numpy", is_framework=False),
}


def load(name: str, options: Options) -> Side:
    """Import a side, in the process that is to run it."""
    made: Side = import_module(f"benchmarks.sides.{SIDES[name].module}").side(options)
    return made

"""Graphs as text: what builds them, and the arrays that they are fed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import nn, optim

_NAME = re.compile(r"\b[pvwu]\d+\b")
_SIZE = re.compile(r"\bD\d+\b")


class Line(NamedTuple):
    """``name = text``, one step of building a graph."""

    name: str
    text: str

    @property
    def uses(self) -> set[str]:
        """The names of lines before it that it reads."""
        return set(_NAME.findall(self.text)) - {self.name}


@dataclass(frozen=True)
class Program:
    """A graph, what is fetched from it, and what it is fed.

    Attributes:
        sizes: the lengths that lines and arrays name as ``D0``, ``D1``, ….
        lines: how the graph is built, in order. Placeholders begin with p, variables with w,
            operations without a value with u, everything else with v.
        arrays: for each placeholder that is fed, an expression for each set of feeds.
        fetches: what is fetched; a name may occur twice.
        seed: what it was drawn from.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    arrays: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fetches: tuple[str, ...] = ()
    seed: int = 0

    @property
    def sets(self) -> int:
        """How many sets of feeds there are."""
        return max([len(expressions) for expressions in self.arrays.values()], default=1)

    def pruned(self) -> Program:
        """The same without what no fetch needs."""
        wanted = set(self.fetches)
        kept = []
        for line in reversed(self.lines):
            if line.name in wanted:
                wanted |= line.uses
                kept.append(line)
        kept.reverse()
        arrays = {name: given for name, given in self.arrays.items() if name in wanted}
        texts = [*[line.text for line in kept], *[t for given in arrays.values() for t in given]]
        sizes = {name: n for name, n in self.sizes.items() if any(_has(t, name) for t in texts)}
        return replace(self, lines=tuple(kept), arrays=arrays, sizes=sizes)

    def only_set(self, number: int) -> Program:
        """The same with one set of feeds."""
        return replace(self, arrays={name: (x[number],) for name, x in self.arrays.items()})

    def building(self) -> str:
        """The text that builds the graph."""
        indented = "".join([f"    {line.name} = {line.text}\n" for line in self.lines])
        return (
            f"{self._sizes()}with mg.Graph().as_default() as graph:\n{indented}"
            "    variables = mg.global_variables()\n"
        )

    def script(self, executors: Iterable[str] = ("reference", "numpy", "native")) -> str:
        """A program of its own that builds the graph and prints what each executor makes of it."""
        feeds = ", ".join([f"{name}: {given[0]}" for name, given in self.arrays.items()])
        return (
            "import numpy as np\n\n"
            "import minigrad as mg\nfrom minigrad import nn, optim\n\n"
            f"{self.building()}"
            f"fetches = [{', '.join(self.fetches)}]\n"
            f"feeds = {{{feeds}}}\n"
            f"for name in {tuple(executors)}:\n"
            "    session = mg.Session(graph, executor=name)\n"
            "    session.run([v.initializer for v in variables])\n"
            "    print(name, *session.run(fetches, feeds), sep='\\n')\n"
        )

    def _sizes(self) -> str:
        return "".join([f"{name} = {n}\n" for name, n in self.sizes.items()])


class Built(NamedTuple):
    """A program's graph.

    Attributes:
        graph: the graph.
        names: by name, what each line has made.
        fetches: what is fetched.
        feeds: for every set of feeds, the arrays by placeholder.
        variables: the graph's variables.
    """

    graph: mg.Graph
    names: dict[str, Any]
    fetches: list[Any]
    feeds: list[dict[Any, Any]]
    variables: list[Any]


def build(program: Program) -> Built:
    """Build a program's graph and its feeds. Raises whatever its lines raise."""
    names: dict[str, Any] = {"mg": mg, "nn": nn, "np": np, "optim": optim}
    with np.errstate(all="ignore"):
        exec(program.building(), names)
        feeds = [
            {names[name]: eval(given[k], names) for name, given in program.arrays.items()}
            for k in range(program.sets)
        ]
    graph = names["graph"]
    fetches = [names[name] for name in program.fetches]
    return Built(graph, names, fetches, feeds, names["variables"])


def renamed(text: str, old: str, new: str) -> str:
    """A text with one name in place of another."""
    return re.sub(rf"\b{old}\b", new, text)


def _has(text: str, name: str) -> bool:
    return name in _SIZE.findall(text)

"""Where a module lives: its graph, its name, and the name scope it has in each graph."""

from __future__ import annotations

import functools
import re
import weakref
from typing import TYPE_CHECKING

from minigrad.core.context import STATE, home

if TYPE_CHECKING:
    from minigrad.core.graph import Graph

__all__: list[str] = []

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UNFIT = re.compile(r"[^A-Za-z0-9_.>-]")


@functools.cache
def snake_case(name: str) -> str:
    """A class name as the names of nodes are written.

    >>> snake_case("MLP"), snake_case("ResNetBlock"), snake_case("Conv2d")
    ('mlp', 'res_net_block', 'conv2d')
    """
    return _WORD.sub("_", name).lower().strip("_") or "module"


class Place:
    """The place of one module: made when the module is constructed, completed by its parent."""

    __slots__ = ("__weakref__", "attribute", "home", "name", "owner", "prefix", "scopes")

    def __init__(self, name: str) -> None:
        state = STATE.get()
        if state.graph is not None and state.graph.traced is not None:
            state.graph.traced.create(f"module {name!r}")
        #: The graph that the module's variables belong to; None for eager ones.
        self.home: Graph | None = home()
        #: The name scope around a module without an owner.
        self.prefix = state.scope
        self.name = name
        #: The place of the module that this one is a part of, and its name there.
        self.owner: weakref.ref[Place] | None = None
        self.attribute = ""
        self.scopes: weakref.WeakKeyDictionary[Graph, str] = weakref.WeakKeyDictionary()

    def adopt(self, part: Place, attribute: str) -> None:
        """Name a part after its attribute here, unless another module has done so already."""
        if part.above() is not None:
            return
        place: Place | None = self
        while place is not None:
            if place is part:
                return  # A module that holds one of those it is itself a part of.
            place = place.above()
        part.owner = weakref.ref(self)
        part.attribute = "/".join([_UNFIT.sub("_", word) or "_" for word in attribute.split(".")])

    def above(self) -> Place | None:
        """The owner's place, or None."""
        return None if self.owner is None else self.owner()

    def path(self) -> str:
        """The name in eager code, such as ``mlp/hidden``."""
        above = self.above()
        return self.prefix + self.name if above is None else f"{above.path()}/{self.attribute}"

    def scope_in(self, graph: Graph) -> str:
        """The name scope in a graph, ending in "/": chosen at the first need, then kept."""
        graph = graph.root
        found = self.scopes.get(graph)
        if found is None:
            with graph.lock:
                found = self.scopes.get(graph)
                if found is None:
                    above = self.above()
                    if above is None:
                        base = self.prefix + self.name
                    else:
                        base = above.scope_in(graph) + self.attribute
                    found = self.scopes[graph] = graph.unique_name(base) + "/"
        return found

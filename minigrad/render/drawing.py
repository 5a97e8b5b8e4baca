"""`render` and `to_dot`: pictures of graphs and tapes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias, overload

from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.record import Recorder
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError, GraphError
from minigrad.files import write_file
from minigrad.nest import flatten
from minigrad.render.dot import Direction, dot_text
from minigrad.render.from_graph import picture_of_graph
from minigrad.render.from_tape import picture_of_tape
from minigrad.render.layout import other_format, svg_text
from minigrad.render.picture import Picture
from minigrad.tape import GradientTape

__all__ = ["Drawing", "render", "to_dot"]

StrPath: TypeAlias = "str | os.PathLike[str]"

_TEXT_SUFFIXES = (".dot", ".gv")
_PROGRAM_SUFFIXES = (".png", ".pdf")
_SUFFIXES = (".svg", *_TEXT_SUFFIXES, *_PROGRAM_SUFFIXES)


class Drawing:
    """A picture that a notebook shows, and that can be saved; made by `render` without a path.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     y = mg.placeholder("float32", (), name="x") + 1.0
    >>> drawing = mg.render(y)
    >>> drawing
    <minigrad.Drawing of 3 nodes>
    >>> drawing.svg.startswith("<svg")
    True
    """

    __slots__ = ("_nodes", "_svg", "dot")

    def __init__(self, dot: str, nodes: int) -> None:
        #: The picture in DOT, Graphviz's language.
        self.dot = dot
        self._nodes = nodes
        self._svg: str | None = None

    @property
    def svg(self) -> str:
        """The picture in SVG, laid out when it is first asked for. Raises like `render`."""
        if self._svg is None:
            self._svg = svg_text(self.dot)
        return self._svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: StrPath) -> Path:
        """Write a ``.svg``, ``.dot``, ``.gv``, ``.png`` or ``.pdf`` file; see `render`."""
        target = Path(path)
        suffix = _suffix(target)
        if suffix in _TEXT_SUFFIXES:
            content = self.dot.encode()
        elif suffix in _PROGRAM_SUFFIXES:
            content = other_format(self.dot, suffix[1:])
        else:
            content = self.svg.encode()
        write_file(target, content)
        return target

    def __repr__(self) -> str:
        return f"<minigrad.Drawing of {self._nodes} node{'' if self._nodes == 1 else 's'}>"


@overload
def render(
    what: Any,
    path: None = None,
    *,
    direction: Direction = "TB",
    constants: bool = True,
    gradients: bool = True,
    title: str | None = None,
    legend: bool = True,
    max_nodes: int = 2000,
) -> Drawing: ...
@overload
def render(
    what: Any,
    path: StrPath,
    *,
    direction: Direction = "TB",
    constants: bool = True,
    gradients: bool = True,
    title: str | None = None,
    legend: bool = True,
    max_nodes: int = 2000,
) -> Path: ...
def render(
    what: Any,
    path: StrPath | None = None,
    *,
    direction: Direction = "TB",
    constants: bool = True,
    gradients: bool = True,
    title: str | None = None,
    legend: bool = True,
    max_nodes: int = 2000,
) -> Drawing | Path:
    """Draw a graph, what some tensors are computed from, or what a tape recorded.

    Kinds of nodes differ in shape and colour, name scopes are boxes, dashed arrows are control
    dependencies and dotted ones effects. What was asked for has a double outline. In a picture
    with gradients the backward pass runs back up beside the forward pass. In SVG each node's
    tooltip shows the line of yours that made it.

    SVG needs Graphviz's `dot` on PATH, or ``pip install "minigrad[viz]"``, which draws without it.

    Args:
        what: a `Graph`; a symbolic tensor, an operation, a variable, or a nest of them, and then
            only what they are computed from is drawn; or a `GradientTape` that recorded eager ops.
        path: a file to write, ``.svg``, ``.dot`` or ``.gv``; also ``.png`` or ``.pdf`` where
            `dot` is on PATH. It is replaced at once, or not at all.
        direction: ``"TB"``, from top to bottom, or ``"LR"``, from left to right.
        constants: whether to draw constants.
        gradients: whether to draw the nodes of `minigrad.gradients`. If not, one node stands for
            those of a backward pass that others read.
        title: a line above the picture.
        legend: whether to explain the kinds of nodes and arrows that occur.
        max_nodes: refuse to lay out more nodes than this.

    Returns:
        The path; without one, a `Drawing`.

    Raises:
        ArgumentError: there is nothing to draw, there are more than `max_nodes` nodes, or the
            path's suffix or folder does not do.
        ArgumentTypeError: `what` is nothing that can be drawn.
        GraphError: the tensors belong to different graphs.
        StateError: the tape's gradient was taken already, which freed it.
        OperationError: nothing that lays out pictures is installed (this one is an `ImportError`
            too), or it failed.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", (None, 3), name="x")
    ...     y = x * 2.0
    >>> mg.render(y)
    <minigrad.Drawing of 3 nodes>
    >>> mg.render(y, constants=False)
    <minigrad.Drawing of 2 nodes>
    """
    target = None if path is None else Path(path)
    suffix = None if target is None else _suffix(target)
    limit = None if suffix in _TEXT_SUFFIXES else max_nodes
    picture = _picture(what, constants=constants, gradients=gradients, limit=limit)
    dot = dot_text(picture, direction=_direction(direction), title=title, legend=legend)
    drawing = Drawing(dot, len(picture.nodes))
    return drawing if target is None else drawing.save(target)


def to_dot(
    what: Any,
    *,
    direction: Direction = "TB",
    constants: bool = True,
    gradients: bool = True,
    title: str | None = None,
    legend: bool = True,
) -> str:
    """The picture that `render` draws, as DOT text for Graphviz; it needs nothing installed.

    See `render` for the arguments and errors.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     y = mg.placeholder("float32", ()) * 2.0
    >>> mg.to_dot(y).splitlines()[0]
    'digraph minigrad {'
    """
    picture = _picture(what, constants=constants, gradients=gradients, limit=None)
    return dot_text(picture, direction=_direction(direction), title=title, legend=legend)


def _direction(direction: Direction) -> Direction:
    if direction not in ("TB", "LR"):
        raise ArgumentError(f"direction must be 'TB' or 'LR', got {direction!r}")
    return direction


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ArgumentError(f"the path must end in {', '.join(_SUFFIXES)}; got {str(path)!r}")
    return suffix


# -- what is to be drawn -----------------------------------------------------------------------


def _picture(what: Any, *, constants: bool, gradients: bool, limit: int | None) -> Picture:
    if isinstance(what, GradientTape | Recorder):
        recorder = what._live() if isinstance(what, GradientTape) else what
        if not recorder.records:
            raise ArgumentError(
                "there is nothing to draw: the tape recorded no op. It records eager ops on "
                "tensors that are watched (tape.watch(x)) and on trainable variables; in a graph, "
                "draw the tensors instead"
            )
        return picture_of_tape(recorder, constants=constants, limit=limit)
    graph, targets = (what, None) if isinstance(what, Graph) else _targets(what)
    picture = picture_of_graph(
        graph, targets, constants=constants, gradients=gradients, limit=limit
    )
    if not picture.nodes:
        raise ArgumentError(
            f"there is nothing to draw: {graph!r} is empty"
            if not len(graph)
            else "there is nothing to draw but what constants=False or gradients=False leaves out"
        )
    return picture


def _targets(what: Any) -> tuple[Graph, list[Operation]]:
    """The operations that a nest asks for, and their graph."""
    leaves: list[Any] = []
    for item in flatten(what):
        if isinstance(item, IndexedSlices):
            leaves += [item.values, item.indices]
        elif item is not None:  # As mg.gradients(unconnected="none") gives.
            leaves.append(item)
    if not leaves:
        raise ArgumentError("there is nothing to draw: the nest holds no tensor")
    graph: Graph | None = None
    for item in leaves:
        found = _graph_of(item)
        if found is None:
            continue
        if graph is not None and found is not graph:
            raise GraphError(
                f"these belong to two graphs, {graph!r} and {found!r}; draw one at a time"
            )
        graph = found
    if graph is None:
        raise ArgumentError(
            f"{leaves[0]!r} is an eager variable and by itself part of no graph; draw a tensor "
            "that is computed from it, or the tape that recorded its use"
        )
    targets: dict[Operation, None] = {}
    for item in leaves:
        for op in _operations_of(item, graph):
            targets[op] = None
    return graph, list(targets)


def _graph_of(item: Any) -> Graph | None:
    """The graph of something drawable; None for an eager variable, which any may read."""
    if isinstance(item, SymbolicTensor | Operation | Variable):
        return item.graph
    if isinstance(item, Tensor):
        raise ArgumentTypeError(
            f"{item!r} is concrete, and keeps no trace of how it was computed; compute it under "
            "a GradientTape and draw the tape, or in a graph"
        )
    if isinstance(item, Graph | GradientTape | Recorder):
        raise ArgumentTypeError(
            f"a {type(item).__name__} is drawn by itself, not inside a list or another nest"
        )
    raise ArgumentTypeError(
        "render draws a Graph, a GradientTape, or symbolic tensors, operations and variables (or "
        f"a nest of them), got {type(item).__name__}"
    )


def _operations_of(item: Any, graph: Graph) -> list[Operation]:
    if isinstance(item, Operation):
        return [item]
    if isinstance(item, SymbolicTensor):
        return [item.op]
    reads = graph.reads_of(item)
    if not reads:
        raise ArgumentError(f"nothing in {graph!r} reads {item!r}; there is no node to draw")
    return [read.op for read in reads]

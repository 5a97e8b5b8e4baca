"""DOT text, the language of Graphviz, for a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import graphviz

from minigrad.render.picture import STYLES, Edge, EdgeKind, Kind, Node, Picture, Style

Direction: TypeAlias = Literal["TB", "LR"]

#: Of the same widths on most systems, so that text fits its node wherever the picture is shown.
FONT = "Helvetica,Arial,Liberation Sans,sans-serif"
#: A grey with equal contrast to black and to white, for all that lies on the page itself.
GREY = "#7a7a7a"
_BACKWARD = "#a8447f"
_EFFECT = "#c55300"
_EDGES: dict[EdgeKind, tuple[dict[str, str], str]] = {
    "data": ({}, ""),
    "control": ({"style": "dashed", "arrowhead": "empty"}, "runs before"),
    "effect": ({"style": "dotted", "penwidth": "1.8", "color": _EFFECT}, "runs along"),
}
_TARGET = {"peripheries": "2", "penwidth": "1.6"}
#: Above this many nodes the layout stops looking for the very best places.
_LARGE = 150
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


def dot_text(
    picture: Picture, *, direction: Direction = "TB", title: str | None = None, legend: bool = True
) -> str:
    """The picture in DOT."""
    dot = graphviz.Digraph("minigrad")
    dot.attr(
        "graph",
        rankdir=direction,
        bgcolor="transparent",
        fontname=FONT,
        fontcolor=GREY,
        fontsize="11",
        nodesep="0.22",
        ranksep="0.32",
        pad="0.1",
        pack="18",
        packmode="array_t2" if direction == "TB" else "array_b2",
        tooltip=" ",
    )
    if title is not None:
        dot.attr("graph", label=_escape(str(title)), labelloc="t", fontsize="18")
    if len(picture.nodes) > _LARGE:
        dot.attr("graph", nslimit="2", nslimit1="2", mclimit="0.5")
    dot.attr("node", fontname=FONT, fontsize="11", fontcolor="#1a1a1a", margin="0.16,0.07")
    dot.attr("node", height="0.3", width="0.5", penwidth="1.3")
    dot.attr("edge", fontname=FONT, fontsize="9", fontcolor=GREY, color=GREY, arrowsize="0.7")
    main = graphviz.Digraph("cluster main")
    main.attr("graph", peripheries="0", label="", margin="0", tooltip=" ")
    _put_clusters(main, picture.nodes)
    dot.subgraph(main)
    backward = {node.id for node in picture.nodes if node.backward}
    for edge in picture.edges:
        _put_edge(dot, edge, backward)
    if legend:
        _put_legend(dot, picture, direction)
    return str(dot.source)


# -- text --------------------------------------------------------------------------------------


def _clean(text: str) -> str:
    """The text without what XML cannot hold, and with nothing that DOT takes for an entity."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).replace("&", "&amp;")


def _escape(text: str) -> str:
    """Text from the user as the value of an attribute; each of its lines is centred."""
    return _lines(text.split("\n"))


def _lines(lines: Iterable[str]) -> str:
    escaped = [_clean(line).replace("\\", "\\\\") for line in lines]
    text: str = graphviz.nohtml("\\n".join(escaped))
    return text


# -- nodes and clusters ------------------------------------------------------------------------


def _put_clusters(dot: Any, nodes: list[Node]) -> None:
    """Write the nodes, in nested clusters, one a name scope, without recursion."""
    inside: dict[str, list[Node]] = {"": []}
    children: dict[str, list[str]] = {"": []}
    for node in nodes:
        around = ""
        for inner in node.scopes:
            if inner not in inside:
                inside[inner] = []
                children[inner] = []
                children[around].append(inner)
            around = inner
        inside[around].append(node)
    # Each entry is a scope to open, or None where the last opened one ends.
    stack: list[str | None] = [""]
    open_scopes: list[Any] = []
    while stack:
        scope = stack.pop()
        if scope is None:
            cluster = open_scopes.pop()
            (open_scopes[-1] if open_scopes else dot).subgraph(cluster)
            continue
        target = dot
        if scope:
            target = _cluster(f"cluster_{scope}", scope.rpartition("/")[2], scope)
            open_scopes.append(target)
            stack.append(None)
        for node in inside[scope]:
            _put_node(target, node)
        stack.extend(reversed(children[scope]))


def _cluster(name: str, label: str, tooltip: str) -> Any:
    cluster = graphviz.Digraph(_escape(name))
    cluster.attr(
        "graph",
        label=_escape(label),
        tooltip=_escape(tooltip),
        peripheries="1",
        style="filled,rounded",
        fillcolor="#80808016",
        color="#80808070",
        fontsize="11",
        labeljust="l",
        margin="9",
    )
    return cluster


def _put_node(dot: Any, node: Node) -> None:
    style = STYLES[node.kind]
    more = {"width": f"{_headline_width(node.lines[0]):.2f}"}
    if node.target:
        more |= _TARGET
    dot.node(
        node.id,
        _lines(node.lines),
        tooltip=_escape(node.tooltip),
        **_look(style),
        **{"class": node.kind},
        **more,
    )


def _headline_width(text: str) -> float:
    """The least width of a node, in inches: its headline will be bold, which no layout knows."""
    narrow = sum(letter in "ijlt.,:;'|!()[]/" for letter in text)
    wide = sum(letter.isupper() or letter in "mw@%—…" for letter in text)
    ems = 0.56 * len(text) - 0.24 * narrow + 0.16 * wide
    return max(0.5, (11 * ems + 20) / 72)


def _look(style: Style) -> dict[str, str]:
    return {
        "shape": style.shape,
        "style": style.style,
        "fillcolor": style.fill,
        "color": style.line,
    }


# -- edges -------------------------------------------------------------------------------------


def _put_edge(dot: Any, edge: Edge, backward: set[str]) -> None:
    look = dict(_EDGES[edge.kind][0])
    tail, head = edge.tail, edge.head
    if edge.kind == "data" and tail in backward:
        look["color"] = _BACKWARD
    if tail in backward and head in backward:
        tail, head = head, tail
        look["dir"] = "back"
        if "arrowhead" in look:
            look["arrowtail"] = look.pop("arrowhead")
    if edge.label:
        look["label"] = _escape(edge.label)
    tooltip = _escape(edge.tooltip)
    dot.edge(tail, head, edgetooltip=tooltip, labeltooltip=tooltip, **look)


# -- the legend --------------------------------------------------------------------------------


def _put_legend(dot: Any, picture: Picture, direction: Direction) -> None:
    """A cluster with a node for each kind that occurs: a column, or a row from left to right."""
    kinds: list[Kind] = [k for k in STYLES if any(n.kind == k for n in picture.nodes)]
    legend = _cluster("cluster legend", "legend", "legend")
    chain: list[str] = []
    small = {"fontsize": "10", "margin": "0.14,0.05", "tooltip": " "}
    for kind in kinds:
        name = f"legend {kind}"
        chain.append(name)
        text = picture.legend.get(kind, STYLES[kind].legend)
        legend.node(name, _escape(text), **_look(STYLES[kind]), **small)
    if any(node.target for node in picture.nodes):
        chain.append("legend target")
        text = picture.legend.get("target", "target")
        legend.node(chain[-1], _escape(text), **_look(STYLES["op"]), **small, **_TARGET)
    for a, b in pairwise(chain):
        legend.edge(a, b, style="invis")
    for arrow, (look, text) in _EDGES.items():
        if text and any(edge.kind == arrow for edge in picture.edges):
            start, end = f"legend {arrow} from", f"legend {arrow} to"
            legend.node(start, "", shape="point", width="0.05", color=GREY, tooltip=" ")
            legend.node(end, text, shape="plaintext", fontcolor=GREY, **small)
            if chain:
                legend.edge(chain[-1], start, style="invis")
            legend.edge(start, end, edgetooltip=" ", minlen="2", **look)
            chain.append(end)
    dot.subgraph(legend)

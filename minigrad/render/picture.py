"""What is drawn, before any drawing: nodes, edges and how each kind of node looks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from minigrad.core.literal import Literal as ConstantValue
from minigrad.core.primitive import Primitive
from minigrad.core.tensor import Array
from minigrad.errors import ArgumentError
from minigrad.shapes import Spec, show

Kind: TypeAlias = Literal[
    "input", "variable", "constant", "op", "gradient", "random", "assign", "host", "body"
]
#: Data flows; one runs after the other; computing one makes the other run.
EdgeKind: TypeAlias = Literal["data", "control", "effect"]

#: Longer pieces of text are cut in the middle; the tooltip has all of it.
_LONGEST = 30
_SHOWN_OUTPUTS = 4
_SMALL_VALUE = 24
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_INPUT_OPS = ("Placeholder", "PlaceholderWithDefault")


class Style(NamedTuple):
    """How a kind of node looks. Kinds differ in shape and in colour, for the colour-blind."""

    shape: str
    style: str
    fill: str
    line: str
    legend: str


#: Lines from the palette of Okabe and Ito, darkened where thin lines need it; fills are its tints.
STYLES: dict[Kind, Style] = {
    "input": Style("invhouse", "filled", "#d3e8f8", "#0072b2", "placeholder"),
    "variable": Style("cylinder", "filled", "#c8eadf", "#00805d", "variable"),
    "constant": Style("note", "filled", "#fbf5bf", "#8f8400", "constant"),
    "op": Style("box", "filled,rounded", "#ffffff", "#6e6e6e", "operation"),
    "gradient": Style("octagon", "filled", "#f6dcea", "#a8447f", "gradient"),
    "random": Style("hexagon", "filled", "#fde7bd", "#b87f00", "random"),
    "assign": Style("tab", "filled", "#fbd9c5", "#c55300", "assignment"),
    "host": Style("component", "filled", "#dcdcdc", "#333333", "Python call"),
    "body": Style("box3d", "filled", "#e3defa", "#5b4bb3", "branch or loop"),
}


@dataclass(slots=True)
class Node:
    """A node of the picture: the lines of its label, the first one being the headline."""

    id: str
    kind: Kind
    lines: list[str]
    tooltip: str
    #: The name scopes around it, outermost first, each with its full name.
    scopes: tuple[str, ...] = ()
    #: Asked for by the user, and so emphasised.
    target: bool = False
    #: Part of a backward pass. Edges between such nodes are laid out against their direction, so
    #: that a gradient lies beside what it is the gradient of, and no edge spans the whole picture.
    backward: bool = False


@dataclass(slots=True)
class Edge:
    """An arrow of the picture."""

    tail: str
    head: str
    kind: EdgeKind
    tooltip: str
    label: str = ""


@dataclass(slots=True)
class Picture:
    """Everything that is drawn."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    #: What the legend calls kinds that here mean something more special than in `STYLES`.
    legend: dict[str, str] = field(default_factory=dict)


def check_size(count: int, limit: int | None) -> None:
    """Raise `ArgumentError` when a picture would have more nodes than may be laid out."""
    if limit is not None and count > limit:
        raise ArgumentError(
            f"this picture has {count} nodes, more than max_nodes={limit}; draw only the tensors "
            "of interest, leave out some with gradients=False or constants=False, write a .dot "
            "file, or raise max_nodes and wait"
        )


def kind_of(primitive: Primitive[..., Any], *, backward: bool = False, drawn: bool = False) -> Kind:
    """How an operation is drawn; `drawn` if it turns what a random generator gave into numbers."""
    if primitive.op in _INPUT_OPS:
        return "input"
    if primitive.op == "Const":
        return "constant"
    match primitive.effect:
        case "read":
            return "variable"
        case "write":
            return "assign"
        case "draw":
            return "random"
        case "host":
            return "host"
        case "body":
            return "gradient" if backward else "body"
        case "pure":
            return "gradient" if backward else "random" if drawn else "op"


# -- text --------------------------------------------------------------------------------------


def short(text: str, limit: int = _LONGEST) -> str:
    """The text, with an ellipsis in the middle if it is long.

    >>> short("a_variable_with_a_very_long_name_indeed", 20)
    'a_variable…me_indeed'
    """
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}…{text[-(limit - limit // 2 - 1) :]}"


def spec_text(spec: Spec) -> str:
    """Dtype and shape as they stand on a node.

    >>> from minigrad.dtypes import float32
    >>> spec_text(Spec((None, 3), float32)), spec_text(Spec(None, float32))
    ('float32 (?, 3)', 'float32, unknown shape')
    """
    return (
        f"{spec.dtype}, unknown shape" if spec.shape is None else f"{spec.dtype} {show(spec.shape)}"
    )


def spec_lines(specs: list[Spec]) -> list[str]:
    """A line for each output; of many outputs only the first few."""
    if len(specs) == 1:
        return [spec_text(specs[0])]
    lines = [f":{i} {spec_text(s)}" for i, s in enumerate(specs[:_SHOWN_OUTPUTS])]
    if len(specs) > _SHOWN_OUTPUTS:
        lines.append(f"… and {len(specs) - _SHOWN_OUTPUTS} more")
    return lines


def value_text(array: Array) -> str | None:
    """The value of a constant if it is short enough to stand on a node, else None.

    >>> value_text(np.float32(0.1)[()]), value_text(np.arange(3)), value_text(np.zeros(100))
    ('0.1', '[0, 1, 2]', None)
    """
    if array.size > _SMALL_VALUE // 2:
        return None
    if array.dtype.kind in "OSU":
        text = repr(array.tolist())
        return text if len(text) <= _SMALL_VALUE or array.ndim else short(text, _SMALL_VALUE)
    if not array.ndim:
        return str(array[()])
    text = " ".join(np.array2string(array, separator=", ", precision=4).split())
    return text if len(text) <= _SMALL_VALUE else None


def attribute_text(attrs: dict[str, Any]) -> str:
    """Attributes for a tooltip: short, and the same in every process."""
    parts = []
    for key, value in attrs.items():
        if isinstance(value, ConstantValue):
            text = value_text(value.array) or repr(value)
        else:
            named = getattr(value, "name", None) or getattr(value, "__qualname__", None)
            text = named if isinstance(named, str) else _ADDRESS.sub("", repr(value))
        parts.append(f"{key}={short(text, 60)}")
    return ", ".join(parts)


def attribute_lines(primitive: Primitive[..., Any], attrs: dict[str, Any]) -> list[str]:
    """What of the attributes stands on the node itself: the variable that is assigned."""
    if primitive.effect != "write":
        return []
    names = [getattr(value, "name", None) for value in attrs.values()]
    return [f"→ {short(name)}" for name in names if isinstance(name, str)]

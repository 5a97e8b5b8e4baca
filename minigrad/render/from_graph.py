"""The picture of a graph, or of what some of its tensors are computed from."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable
from dataclasses import dataclass

from minigrad.core import origin
from minigrad.core.graph import Graph
from minigrad.core.literal import Literal
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.render.picture import (
    Edge,
    EdgeKind,
    Node,
    Picture,
    attribute_lines,
    attribute_text,
    check_size,
    kind_of,
    short,
    spec_lines,
    spec_text,
    value_text,
)

_GRADIENT_SCOPE = re.compile(r"gradients(_\d+)?$")


@dataclass(slots=True)
class _Parts:
    """What the functions below need to know about the operations that are drawn."""

    names: set[str]
    backward: set[Operation]
    targets: set[Operation]


def picture_of_graph(
    graph: Graph,
    targets: list[Operation] | None,
    *,
    constants: bool,
    gradients: bool,
    limit: int | None,
) -> Picture:
    """The picture of `targets` and all that a run computes for them; of the whole graph if None."""
    everything = graph.get_operations()
    chosen = everything if targets is None else ancestors(graph, targets)
    parts = _Parts({op.name for op in everything}, _backward_operations(chosen), set(targets or ()))
    picture = Picture()
    if targets is not None:
        picture.legend["target"] = "requested"
    shown = {
        op: f"n{op.index}"
        for op in chosen
        if (constants or op.type != "Const") and (gradients or op not in parts.backward)
    }
    check_size(len(shown), limit)
    picture.nodes += [_node(op, parts) for op in shown]
    if not gradients:
        _add_summaries(picture, shown, [op for op in chosen if op not in shown], parts)
    for op in shown:
        _add_edges(picture, graph, op, shown)
    return picture


def ancestors(graph: Graph, targets: Iterable[Operation]) -> list[Operation]:
    """All that a run computes for `targets`, in creation order: inputs, controls and effects."""
    seen: set[Operation] = set()
    stack = list(targets)
    while stack:
        op = stack.pop()
        if op in seen:
            continue
        seen.add(op)
        stack.extend(t.op for t in op.inputs if t is not None)
        stack.extend(op.control_inputs)
        for t in op.outputs:
            stack.extend(graph.effects_of(t))
    return sorted(seen, key=lambda op: op.index)


def _backward_operations(operations: list[Operation]) -> set[Operation]:
    """The gradient nodes; also the seeds of a backward pass, which have no forward operation."""
    found = {op for op in operations if op.forward is not None}
    scopes = {scope for op in found for scope in _prefixes(op.name) if _is_gradient_scope(scope)}
    found.update(op for op in operations if any(p in scopes for p in _prefixes(op.name)))
    return found


def _is_gradient_scope(scope: str) -> bool:
    return _GRADIENT_SCOPE.match(scope.rpartition("/")[2]) is not None


def _prefixes(name: str) -> list[str]:
    """The scopes that a name lies in, outermost first.

    >>> _prefixes("a/b/c")
    ['a', 'a/b']
    """
    return [name[:i] for i, letter in enumerate(name) if letter == "/"]


# -- nodes -------------------------------------------------------------------------------------


def _node(op: Operation, parts: _Parts) -> Node:
    backward = op in parts.backward
    drawn = any(t is not None and t.op.primitive.effect == "draw" for t in op.inputs)
    return Node(
        id=f"n{op.index}",
        kind=kind_of(op.primitive, backward=backward, drawn=drawn),
        lines=_lines(op),
        tooltip=_tooltip(op),
        # An operation's own name is no scope: the constants and casts made for its operands are
        # called after it, and would each stand in a box of their own.
        scopes=tuple(p for p in _prefixes(op.name) if p not in parts.names),
        target=op in parts.targets,
        backward=backward,
    )


def _lines(op: Operation) -> list[str]:
    """Headline, name or op, shape and dtype."""
    last = op.name.rpartition("/")[2]
    named = re.fullmatch(rf"{re.escape(op.type)}(_\d+)?", last) is None
    specs = spec_lines([t.spec for t in op.visible_outputs])
    kind = kind_of(op.primitive)
    if kind == "constant":
        value = op.attrs.get("value")
        text = value_text(value.array) if isinstance(value, Literal) else None
        label = f"{op.type} {short(last)}" if named else last
        return [*([text] if text else []), label, *specs]
    if kind == "input":
        return [short(last), *([op.type] if named else []), *specs]
    if kind == "variable":
        name = getattr(op.attrs.get("variable"), "name", op.name)
        label = op.type if name == op.name else f"{op.type} {short(last)}"
        return [short(name.rpartition("/")[2]), label, *specs]
    head = [op.type, short(last)] if named else [last]
    return [*head, *attribute_lines(op.primitive, op.attrs), *specs]


def _tooltip(op: Operation) -> str:
    """Name, op, attributes, outputs, and the user's line."""
    attributes = attribute_text(op.attrs)
    lines = [op.name, f"{op.type}({attributes})" if attributes else op.type]
    lines += [f"{t.name}  {spec_text(t.spec)}" for t in op.visible_outputs]
    if op.forward is not None:
        lines.append(f"gradient of {op.forward.name}")
    source = _source(op)
    lines.append(f"{op.line}: {source}" if source else op.line)
    return "\n".join(lines)


def _source(op: Operation) -> str:
    """The text of the user's line. Not the path: a picture is shown to others."""
    code = op._code
    if isinstance(code, str):
        return ""  # The graph was loaded from a file.
    return linecache.getline(code.co_filename, origin.line_number(code, op._offset)).strip()


# -- edges -------------------------------------------------------------------------------------


def _add_edges(picture: Picture, graph: Graph, op: Operation, shown: dict[Operation, str]) -> None:
    """The edges into an operation, and those to its effects."""
    for i, t in enumerate(op.inputs):
        if t is not None and t.op in shown:
            picture.edges.append(_data_edge(t, op, i, shown))
    for before in op.control_inputs:
        if before in shown:
            text = f"{op.name} runs after {before.name}"
            picture.edges.append(_plain_edge(before, op, "control", text, shown))
    for t in op.outputs:
        for effect in graph.effects_of(t):
            if effect in shown:
                text = f"computing {t.name} runs {effect.name} too"
                picture.edges.append(_plain_edge(op, effect, "effect", text, shown))


def _data_edge(
    t: SymbolicTensor, op: Operation, position: int, shown: dict[Operation, str]
) -> Edge:
    names = op.primitive.input_names
    role = f" as {op.primitive.input_name(position)}" if names else ""
    tooltip = f"{t.name} → {op.name}{role}\n{spec_text(t.spec)}"
    label = f":{t.index}" if len(t.op.outputs) > 1 else ""
    return Edge(shown[t.op], shown[op], "data", tooltip, label)


def _plain_edge(
    tail: Operation, head: Operation, kind: EdgeKind, text: str, shown: dict[Operation, str]
) -> Edge:
    return Edge(shown[tail], shown[head], kind, text)


# -- what stands for hidden gradients ----------------------------------------------------------


def _add_summaries(
    picture: Picture, shown: dict[Operation, str], hidden: list[Operation], parts: _Parts
) -> None:
    """One node for each hidden backward pass that something in the picture reads from."""
    groups: dict[str, list[Operation]] = {}
    for op in hidden:
        if op in parts.backward:
            inside = [p for p in _prefixes(op.name) if _is_gradient_scope(p)]
            groups.setdefault(inside[-1] if inside else "gradients", []).append(op)
    readers: dict[Operation, list[Operation]] = {}
    for op in shown:
        for before in {*(t.op for t in op.inputs if t is not None), *op.control_inputs}:
            readers.setdefault(before, []).append(op)
    for number, (scope, members) in enumerate(groups.items()):
        heads = {shown[reader]: None for op in members for reader in readers.get(op, ())}
        if not heads:
            continue
        name = f"g{number}"
        last = scope.rpartition("/")[2]
        count = f"{len(members)} hidden node{'s' if len(members) > 1 else ''}"
        scopes = tuple(p for p in _prefixes(scope) if p not in parts.names)
        picture.nodes.append(
            Node(name, "gradient", [short(last), count], f"{scope}: {count}", scopes, backward=True)
        )
        tooltip = f"through {count} of {scope}"
        picture.edges += [Edge(tail, name, "data", tooltip) for tail in _entries(members, shown)]
        picture.edges += [Edge(name, head, "data", tooltip) for head in heads]


def _entries(members: list[Operation], shown: dict[Operation, str]) -> list[str]:
    """Where a backward pass begins: what its seeds read, else the last of all that it reads."""
    seeds = [op for op in members if op.forward is None]
    read = _read_by(seeds, shown) or _read_by(members, shown)[-1:]
    return [shown[op] for op in read]


def _read_by(operations: list[Operation], shown: dict[Operation, str]) -> list[Operation]:
    """Those of the operations in the picture that some operations read, in creation order."""
    read = {t.op for op in operations for t in op.inputs if t is not None and t.op in shown}
    return sorted(read, key=lambda op: op.index)

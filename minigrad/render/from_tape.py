"""The picture of what a tape recorded."""

from __future__ import annotations

import numpy as np

from minigrad.core.record import Record, Recorder
from minigrad.core.tensor import Array
from minigrad.render.picture import (
    Edge,
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
from minigrad.shapes import Spec


def picture_of_tape(recorder: Recorder, *, constants: bool, limit: int | None) -> Picture:
    """The recorded ops, and the tensors and variables that no record made."""
    records = list(recorder.records)
    check_size(len(records), limit)
    picture = Picture(legend={"input": "watched tensor", "target": "result"})
    #: Key -> the node that makes it, and which of how many outputs it is.
    makers: dict[int, tuple[str, int, int]] = {}
    leaves = _Leaves(recorder, records, picture, constants=constants)
    read: set[str] = set()
    for number, record in enumerate(records):
        name = f"r{number}"
        inputs, outputs = record.tensors()
        specs = [t.spec for t in outputs]
        for key, t in zip(record.in_keys, inputs, strict=True):
            if t is None:
                continue
            tail, index, count = makers.get(key) or (leaves.node(key, t.spec), 0, 1)
            if tail:
                read.add(tail)
                label = f":{index}" if count > 1 else ""
                picture.edges.append(Edge(tail, name, "data", spec_text(t.spec), label))
        attributes = attribute_text(record.attrs)
        op = record.primitive.op
        lines = [op, *attribute_lines(record.primitive, record.attrs), *spec_lines(specs)]
        tooltip = "\n".join(
            [f"{op}({attributes})" if attributes else op, *[spec_text(s) for s in specs]]
        )
        picture.nodes.append(Node(name, kind_of(record.primitive), lines, tooltip))
        for i, key in enumerate(record.out_keys):
            makers[key] = (name, i, len(record.out_keys))
    for node in picture.nodes:
        node.target = node.id.startswith("r") and node.id not in read
    leaves.number_inputs()
    check_size(len(picture.nodes), limit)
    return picture


class _Leaves:
    """The nodes for what the tape was given: variables, watched tensors, constants."""

    def __init__(
        self, recorder: Recorder, records: list[Record], picture: Picture, *, constants: bool
    ) -> None:
        self._recorder = recorder
        self._picture = picture
        self._constants = constants
        self._made: dict[int, str] = {}
        self._inputs: list[Node] = []
        # Not every record keeps the values of its inputs, so each is looked for in all of them.
        self._values: dict[int, Array] = {
            key: value
            for record in records
            for key, value in zip(record.in_keys, record.ins, strict=True)
            if isinstance(value, np.ndarray)
        }

    def node(self, key: int, spec: Spec) -> str:
        """The id of the node, which is made at the first need; empty if it is not to be drawn."""
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(key, spec)
        return made

    def _make(self, key: int, spec: Spec) -> str:
        name = f"k{len(self._made)}"
        text = spec_text(spec)
        variable = self._recorder.variables.get(key)
        if variable is not None:
            lines = [short(variable.name), "Variable", text]
            node = Node(name, "variable", lines, f"variable {variable.name}\n{text}")
        elif key in self._recorder.tracked:
            node = Node(name, "input", ["input", text], f"watched tensor\n{text}")
            self._inputs.append(node)
        elif self._constants:
            array = self._values.get(key)
            value = None if array is None else value_text(array)
            lines = [value, text] if value else ["constant", text]
            node = Node(name, "constant", lines, f"a tensor that is not watched\n{text}")
        else:
            return ""
        self._picture.nodes.append(node)
        return name

    def number_inputs(self) -> None:
        """Tell several watched tensors apart, which have no names."""
        if len(self._inputs) > 1:
            for number, node in enumerate(self._inputs, 1):
                node.lines[0] = f"input {number}"

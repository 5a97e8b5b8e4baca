"""The code that finishes the vectors which a kernel makes, before they are stored."""

from __future__ import annotations

from typing import Any

from minigrad.compile.finishing import Finished
from minigrad.compile.native.kernel import Arg, operand
from minigrad.compile.native.scalars import Scalars
from minigrad.compile.native.types import type_of
from minigrad.compile.native.writer import Value, Writer
from minigrad.compile.program import Operand


class Finisher:
    """An `Epilogue` that computes the steps of a finished piece.

    Args:
        piece: the piece.
        first: the position, among the kernel's args, of the first that is the epilogue's.
    """

    def __init__(self, piece: Finished, first: int) -> None:
        self._piece = piece
        self._reads = list(dict.fromkeys([access.root for access in piece.walks]))
        places = [*self._reads, *piece.writes]
        self._place = {x: first + i for i, x in enumerate(places)}

    @property
    def stored(self) -> Operand:
        """What it gives to be stored."""
        return self._piece.stored

    @property
    def in_order(self) -> bool:
        """Whether all that is read is one number, or lies as the results do: rows do not matter."""
        columns = self._piece.group.domain[-1]
        return all(walk in ((0, 0), (columns, 1)) for walk in self._piece.walks.values())

    @property
    def args(self) -> list[Arg]:
        """What the epilogue's args point to."""
        return [Arg(x) for x in (*self._reads, *self._piece.writes)]

    def __call__(
        self, w: Writer, value: Value, row: Value, column: Value, mask: Value | None
    ) -> Value:
        """Write the steps for one vector; the vector to store in its place."""
        piece = self._piece
        lanes = value.lanes
        values: dict[Operand, Value] = {piece.kernel.output: value}
        loaded: dict[Operand, Value] = {}
        scalars = Scalars(w)

        def get(x: Operand | None) -> Value | None:
            if x is None:
                return None
            if x.uniform is not None:
                return w.const(x.uniform, type_of(x.dtype).of(lanes))
            found = values.get(x.root)
            if found is not None:
                return found
            # What is loaded of an operand is not what is loaded of a view of it.
            found = loaded.get(x)
            if found is None:
                found = loaded[x] = self._load(w, x, row, column, lanes, mask)
            return found

        for step in piece.group.steps:
            inputs: list[Any] = [get(x) for x in step.inputs]
            if step.name == "copy":
                made = inputs[0]
            else:
                assert step.primitive is not None and step.primitive.scalar_form is not None
                made = step.primitive.scalar_form(scalars, *inputs, **step.attrs)
            values[step.output] = made
        columns = w.index(piece.group.domain[-1])
        for x in piece.writes:
            at = w.add(w.mul(row, columns), column)
            place = w.at(operand(w, self._place[x]), at, type_of(x.dtype))
            if mask is None:
                w.store(values[x], place)
            else:
                w.store_masked(values[x], place, mask)
        return values[piece.stored]

    def _load(
        self, w: Writer, x: Operand, row: Value, column: Value, lanes: int, mask: Value | None
    ) -> Value:
        access = self._piece.group.accesses[x, "full"]
        by_row, by_column = self._piece.walks[access]
        t = type_of(x.dtype)
        at = w.index(access.offset)
        if by_row:
            at = w.add(at, row if by_row == 1 else w.mul(row, w.index(by_row)))
        if by_column:
            at = w.add(at, column)
        place = w.at(operand(w, self._place[access.root]), at, t)
        if not by_column:
            return w.splat(w.load(place, t), lanes)
        if mask is None:
            return w.load(place, t.of(lanes))
        return w.load_masked(place, t.of(lanes), mask)

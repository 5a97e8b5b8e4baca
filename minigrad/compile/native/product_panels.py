"""Products by register blocks: panel of columns after panel, and part of k after part."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.packing import Order, packer
from minigrad.compile.native.product_blocks import Block, column_of_blocks
from minigrad.compile.native.product_cut import PANEL_BYTES
from minigrad.compile.native.product_loops import index_min
from minigrad.compile.native.types import I64, PTR, memory_bytes
from minigrad.compile.native.writer import Module, Value


class Panels(NamedTuple):
    """What the code for panels depends on; all else are arguments.

    Attributes:
        width: columns of a panel.
        rest: what the number of rows leaves when divided by a block's, if it leaves anything.
        full: the blocks of full panels, or None if there are no such.
        last: the blocks of a last panel that is narrower, or None if there is none.
        packs: how b lies in memory if full panels are packed, else None.
        packs_last: likewise for the last one.
    """

    width: int
    rest: int
    full: Block | None
    last: Block | None
    packs: Order | None
    packs_last: Order | None


PARAMETERS = [
    ("a", PTR),
    ("a_row", I64),
    ("a_column", I64),
    ("b", PTR),
    ("b_row", I64),
    ("b_column", I64),
    ("c", PTR),
    ("c_row", I64),
    ("k", I64),
    ("k_block", I64),
    ("rows", I64),
    ("n", I64),
    ("first", I64),
    ("end", I64),
]


def panels_function(module: Module, panels: Panels) -> str:
    """The name of the function that multiplies by panels, made once a module.

    ``void @panels(`` `PARAMETERS` ``)`` computes the columns of c = a · b that lie in the panels
    from `first` to before `end`, of the matrix's `n` columns. Longer sums than `k_block` are
    made in parts, which are added up in c.
    """
    return module.shared(("panels", panels), lambda name: _Writer(module, name, panels).write())


class _Writer:
    def __init__(self, module: Module, name: str, panels: Panels) -> None:
        self.module, self.panels = module, panels
        self.w = module.function(name, PARAMETERS, attributes="noinline nounwind")
        self.given = {
            name: value for (name, _), value in zip(PARAMETERS, self.w.parameters, strict=True)
        }
        some = panels.full or panels.last
        if some is None:
            raise ValueError("A product has panels.")
        self.t = some.t.scalar
        self.space: Value | None = None
        if panels.packs or panels.packs_last:
            self.space = self.w.reserve(PANEL_BYTES // memory_bytes(self.t), self.t)

    def write(self) -> None:
        w, given, panels = self.w, self.given, self.panels
        k, end = given["k"], given["end"]
        whole = w.div(given["n"], w.index(panels.width))
        step = w.maximum(given["k_block"], w.index(1))
        parts = w.div(w.add(k, w.sub(step, w.index(1))), step)
        with w.loop(0, parts) as part:
            start = w.mul(part.index, step)
            length = w.sub(index_min(w, w.add(start, step), k), start)
            more = w.compare(">", start, w.index(0))
            a = w.at(given["a"], w.mul(start, given["a_column"]), self.t)
            b = w.at(given["b"], w.mul(start, given["b_row"]), self.t)
            if panels.full is not None:
                with w.loop(given["first"], index_min(w, end, whole)) as loop:
                    columns = w.index(panels.width)
                    self._one(panels.full, panels.packs, a, b, loop.index, length, more, columns)
            if panels.last is not None:
                with w.when(w.compare("<", whole, end)):
                    columns = w.sub(given["n"], w.mul(whole, w.index(panels.width)))
                    self._one(panels.last, panels.packs_last, a, b, whole, length, more, columns)
        w.finish()

    def _one(
        self,
        block: Block,
        packs: Order | None,
        a: Value,
        b: Value,
        panel: Value,
        length: Value,
        more: Value,
        columns: Value,
    ) -> None:
        w, given = self.w, self.given
        column = w.mul(panel, w.index(self.panels.width))
        b, b_row = w.at(b, w.mul(column, given["b_column"]), self.t), given["b_row"]
        if packs and self.space is not None:
            width = w.index(block.vectors * block.t.lanes)
            strides = given["b_row"], given["b_column"]
            pack = packer(self.module, self.t, packs)
            w.call(pack, b, *strides, length, columns, self.space, width)
            b, b_row = self.space, width
        w.call(
            column_of_blocks(self.module, block, self.panels.rest),
            *(a, given["a_row"], given["a_column"]),
            *(b, b_row),
            *(w.at(given["c"], column, self.t), given["c_row"]),
            *(length, more, columns, given["rows"]),
        )

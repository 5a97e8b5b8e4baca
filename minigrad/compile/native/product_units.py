"""Products by register blocks: the loops around them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.packing import pack
from minigrad.compile.native.product_blocks import Block, column_of_blocks
from minigrad.compile.native.product_cut import Cut, cut, turns
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    finish_rows,
    index_min,
    join,
    lanes_for,
    split,
    step,
    work,
)
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.types import BOOL, memory_bytes
from minigrad.compile.native.writer import Module, Value

#: Rows of a that are turned by a unit of that phase.
_TURNED = 64


class Panel(NamedTuple):
    """Columns that are computed at a time: where they begin, how many, in what kind of vectors."""

    start: Value
    columns: int
    lanes: int
    vectors: int


class Place(NamedTuple):
    """Where a unit is: its matrices, its rows, its part of k, and its first row over the batch."""

    a: Value
    b: Value
    c: Value
    top: Value
    bottom: Value
    k: Value
    row: Value


def product_by_blocks(
    module: Module, spec: ProductSpec, epilogue: Epilogue | None, packed: bool
) -> Kernel:
    """A kernel that multiplies by register blocks; with `packed`, b was packed in panels before."""
    plan = cut(module, spec)
    size = memory_bytes(spec.dtype)
    parts = ceil_div(spec.k, plan.part)
    units, time = plan.units(spec), work(module, spec)
    if parts > 1:
        function = _Units(module, spec, plan, None, packed).write()
        phases = (Phase(function, units, time), join(module, spec, parts, epilogue))
        return Kernel(phases, parts * spec.matrices * spec.m * spec.n * size)
    if turns(spec):
        first, turned = _turn(module, spec)
        function = _Units(module, turned, plan, epilogue, packed, turned=True).write()
        scratch = spec.matrices * spec.m * turned.a_row * size
        return Kernel((first, Phase(function, units, time)), scratch)
    return Kernel((Phase(_Units(module, spec, plan, epilogue, packed).write(), units, time),))


def _turn(module: Module, spec: ProductSpec) -> tuple[Phase, ProductSpec]:
    """The phase that writes a by rows into the scratch memory, and the product that reads it there.

    The rows get some elements more than k: at a distance of a power of two they would all want the
    same places in the cache.
    """
    length = ceil_div(spec.k, 16) * 16 + 16
    w = kernel_function(module)
    _, lo, hi = w.parameters
    a, scratch = operand(w, 0), operand(w, 3)
    with w.loop(lo, hi) as unit:
        batch, group = split(w, unit.index, ceil_div(spec.m, _TURNED))
        top = step(w, group, _TURNED)
        at = w.add(batch_offsets(w, spec, batch)[0], step(w, top, spec.a_row))
        rows = w.sub(bounded(w, top, _TURNED, spec.m), top)
        target = w.at(scratch, step(w, w.add(step(w, batch, spec.m), top), length), spec.dtype)
        strides = spec.a_row, spec.a_column
        source = w.at(a, at, spec.dtype)
        pack(w, spec.dtype, source, strides, rows, w.index(spec.k), target, length)
    strides_of_a: list[int] = []
    extent = spec.m * length
    for dimension in reversed(spec.batch):
        strides_of_a.insert(0, extent)
        extent *= dimension
    units = spec.matrices * ceil_div(spec.m, _TURNED)
    phase = Phase(w.finish_once(), units, spec.matrices * spec.m * spec.k * 0.3)
    return phase, spec._replace(a_strides=(*strides_of_a, length, 1))


class _Units:
    """Writes the function over units of a product."""

    def __init__(
        self,
        module: Module,
        spec: ProductSpec,
        plan: Cut,
        epilogue: Epilogue | None,
        packed: bool,
        turned: bool = False,
    ) -> None:
        self.module, self.spec, self.plan = module, spec, plan
        self.epilogue, self.packed, self.turned = epilogue, packed, turned
        self.t = spec.dtype
        self.parts = ceil_div(spec.k, plan.part)
        self.w = kernel_function(module)
        self._panel: Value | None = None

    def write(self) -> str:
        w, spec, plan = self.w, self.spec, self.plan
        _, lo, hi = w.parameters
        a, b = operand(w, 3 if self.turned else 0), operand(w, 1)
        c = operand(w, 3 if self.parts > 1 else 2)
        with w.loop(lo, hi) as unit:
            rest, part = split(w, unit.index, self.parts)
            rest, columns = split(w, rest, ceil_div(plan.panels, plan.panel_group))
            group, rows = split(w, rest, ceil_div(spec.m, plan.row_group))
            first = step(w, group, plan.batch_group)
            with w.loop(first, bounded(w, first, plan.batch_group, spec.matrices)) as batch:
                self._matrix(self._place(a, b, c, batch.index, rows, part), columns)
        return w.finish_once()

    def _place(self, a: Value, b: Value, c: Value, batch: Value, rows: Value, part: Value) -> Place:
        w, spec, plan = self.w, self.spec, self.plan
        start = step(w, part, plan.part)
        at_a, at_b = batch_offsets(w, spec, batch)
        at_a = w.add(at_a, step(w, start, spec.a_column))
        at_b = w.add(at_b, step(w, start, plan.width if self.packed else spec.b_row))
        piece = w.add(step(w, batch, self.parts), part)
        top = step(w, rows, plan.row_group)
        return Place(
            w.at(a, at_a, self.t),
            w.at(b, at_b, self.t),
            w.at(c, step(w, piece, spec.m * spec.n), self.t),
            top,
            bounded(w, top, plan.row_group, spec.m),
            w.sub(bounded(w, start, plan.part, spec.k), start),
            step(w, batch, spec.m),
        )

    def _matrix(self, place: Place, columns: Value) -> None:
        """The part of one matrix that belongs to a unit, piece of k by piece."""
        plan = self.plan
        if plan.k_block >= plan.part:
            self._panels(place, columns, Value("false", BOOL), None)
            return
        w = self.w
        with w.loop(0, place.k, plan.k_block) as loop:
            length = w.sub(bounded(w, loop.index, plan.k_block, place.k), loop.index)
            b_row = plan.width if self.packed else self.spec.b_row
            inner = place._replace(
                a=w.at(place.a, step(w, loop.index, self.spec.a_column), self.t),
                b=w.at(place.b, step(w, loop.index, b_row), self.t),
                k=length,
            )
            more = w.compare(">", loop.index, w.index(0))
            last = w.compare("==", w.add(loop.index, length), place.k)
            self._panels(inner, columns, more, last)

    def _panels(self, place: Place, columns: Value, more: Value, last: Value | None) -> None:
        w, spec, plan = self.w, self.spec, self.plan
        first = step(w, columns, plan.panel_group)
        end = bounded(w, first, plan.panel_group, plan.panels)
        full = spec.n // plan.width
        if full:
            with w.loop(first, index_min(w, end, full)) as loop:
                start = step(w, loop.index, plan.width)
                panel = Panel(start, plan.width, plan.lanes, plan.vectors)
                self._one_panel(place, panel, more, last)
        if plan.panels > full:
            left = spec.n - full * plan.width
            lanes = lanes_for(self.module, self.t, left)
            with w.when(w.compare("==", end, w.index(plan.panels))):
                panel = Panel(w.index(full * plan.width), left, lanes, ceil_div(left, lanes))
                self._one_panel(place, panel, more, last)

    def _one_panel(self, place: Place, panel: Panel, more: Value, last: Value | None) -> None:
        w, spec, plan = self.w, self.spec, self.plan
        masked = panel.columns != panel.vectors * panel.lanes
        b, b_row, whole = self._columns(place, panel, masked)
        c = w.at(place.c, w.add(step(w, place.top, spec.n), panel.start), self.t)
        rows = w.sub(place.bottom, place.top)
        block = Block(
            self.t.of(panel.lanes), plan.rows, panel.vectors, masked and not whole, masked
        )
        w.call(
            column_of_blocks(self.module, block, spec.m % plan.rows),
            w.at(place.a, step(w, place.top, spec.a_row), self.t),
            w.index(spec.a_row),
            w.index(spec.a_column),
            b,
            w.index(b_row),
            c,
            w.index(spec.n),
            place.k,
            more,
            w.index(panel.columns),
            rows,
        )
        if self.epilogue is None:
            return
        row = w.add(place.row, place.top)
        with nullcontext() if last is None else w.when(last):
            area = rows, panel.columns, row, panel.start
            finish_rows(w, spec, panel.lanes, self.epilogue, c, *area)

    def _columns(self, place: Place, panel: Panel, masked: bool) -> tuple[Value, int, bool]:
        """Where a panel's columns are, the stride of their rows, and whether all vectors are full.

        Where the machine has no masked loads, what would need them is packed.
        """
        w, spec, plan = self.w, self.spec, self.plan
        if self.packed:
            # Panels of k rows follow one another; the panel's number is its start over its width.
            return w.at(place.b, step(w, panel.start, spec.k), self.t), plan.width, True
        source = w.at(place.b, step(w, panel.start, spec.b_column), self.t)
        if not plan.packs and not (masked and self.module.vector_bytes < 32):
            return source, spec.b_row, False
        if self._panel is None:
            self._panel = w.reserve(plan.k_block * plan.width, self.t)
        width = panel.vectors * panel.lanes
        strides = spec.b_row, spec.b_column
        columns = w.index(panel.columns)
        pack(w, self.t, source, strides, place.k, columns, self._panel, width)
        return self._panel, width, True

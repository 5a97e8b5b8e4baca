"""Products by register blocks: the loops around them."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.packing import packer
from minigrad.compile.native.product_blocks import register_block
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    index_min,
    join,
    split,
    step,
)
from minigrad.compile.native.product_spec import Cut, ProductSpec, ceil_div, cut
from minigrad.compile.native.types import BOOL, memory_bytes
from minigrad.compile.native.writer import Module, Value

#: With so few rows in a unit, b is read where it lies: packing would take longer than it saves.
_DIRECT_ROWS = 16
_FALSE = Value("false", BOOL)


class Panel(NamedTuple):
    """Columns that a block computes at a time."""

    vectors: int
    columns: int

    def masked(self, lanes: int) -> bool:
        """Whether its last vector is not full."""
        return self.columns != self.vectors * lanes


class Place(NamedTuple):
    """Where a unit is: pointers to its matrices, and the first row of c counted over the batch."""

    a: Value
    b: Value
    c: Value
    row: Value
    k: Value


def product_by_blocks(
    module: Module, spec: ProductSpec, epilogue: Epilogue | None, packed: bool
) -> Kernel:
    """A kernel that multiplies by register blocks; with `packed`, b was packed by `pack_whole`."""
    plan = cut(module, spec)
    parts = ceil_div(spec.k, plan.part)
    if parts == 1:
        function = _Units(module, spec, plan, epilogue, packed).write()
        return Kernel((Phase(function, _units(spec, plan), work(module, spec)),))
    first = _Units(module, spec, plan, None, packed).write()
    phases = (
        Phase(first, _units(spec, plan), work(module, spec)),
        join(module, spec, parts, epilogue),
    )
    scratch = parts * spec.matrices * spec.m * spec.n * memory_bytes(spec.dtype)
    return Kernel(phases, scratch)


def work(module: Module, spec: ProductSpec) -> float:
    """Nanoseconds that a product takes on one core, roughly."""
    size = memory_bytes(spec.dtype)
    elements = spec.matrices * (spec.m * spec.n + spec.m * spec.k + spec.k * spec.n)
    return max(spec.operations / (module.lanes(spec.dtype) * 6), elements * size / 20)


def _units(spec: ProductSpec, plan: Cut) -> int:
    return (
        ceil_div(spec.matrices, plan.batch_group)
        * ceil_div(spec.m, plan.row_group)
        * ceil_div(plan.panels, plan.panel_group)
        * ceil_div(spec.k, plan.part)
    )


class _Units:
    """Writes the function over units of a product."""

    def __init__(
        self,
        module: Module,
        spec: ProductSpec,
        plan: Cut,
        epilogue: Epilogue | None,
        packed: bool,
    ) -> None:
        self.module, self.spec, self.plan = module, spec, plan
        self.epilogue, self.packed = epilogue, packed
        self.t = spec.dtype
        self.lanes = module.lanes(spec.dtype)
        self.parts = ceil_div(spec.k, plan.part)
        self.w = kernel_function(module)
        self._panel: Value | None = None
        self._tile: Value | None = None

    def write(self) -> str:
        w, spec, plan = self.w, self.spec, self.plan
        _, lo, hi = w.parameters
        a, b = operand(w, 0), operand(w, 1)
        c = operand(w, 3 if self.parts > 1 else 2)
        with w.loop(lo, hi) as loop:
            rest, part = split(w, loop.index, self.parts)
            rest, columns = split(w, rest, ceil_div(plan.panels, plan.panel_group))
            group, rows = split(w, rest, ceil_div(spec.m, plan.row_group))
            first = step(w, group, plan.batch_group)
            with w.loop(first, bounded(w, first, plan.batch_group, spec.matrices)) as batch:
                place = self._place(a, b, c, batch.index, part)
                self._panels(place, rows, columns)
        return w.finish_once()

    def _place(self, a: Value, b: Value, c: Value, batch: Value, part: Value) -> Place:
        w, spec, plan = self.w, self.spec, self.plan
        start = step(w, part, plan.part)
        at_a, at_b = batch_offsets(w, spec, batch)
        at_a = w.add(at_a, step(w, start, spec.a_column))
        at_b = w.add(at_b, step(w, start, plan.width if self.packed else spec.b_row))
        piece = w.add(step(w, batch, self.parts), part)
        k = w.sub(bounded(w, start, plan.part, spec.k), start)
        return Place(
            w.at(a, at_a, self.t),
            w.at(b, at_b, self.t),
            w.at(c, step(w, piece, spec.m * spec.n), self.t),
            step(w, batch, spec.m),
            k,
        )

    def _panels(self, place: Place, rows: Value, columns: Value) -> None:
        """All blocks of a unit: panel by panel."""
        w, spec, plan = self.w, self.spec, self.plan
        top = step(w, rows, plan.row_group)
        bottom = bounded(w, top, plan.row_group, spec.m)
        first = step(w, columns, plan.panel_group)
        last = bounded(w, first, plan.panel_group, plan.panels)
        full = spec.n // plan.width
        if full:
            with w.loop(first, index_min(w, last, full)) as loop:
                column = step(w, loop.index, plan.width)
                self._panel_of(place, top, bottom, column, Panel(plan.vectors, plan.width))
        if plan.panels > full:
            left = spec.n - full * plan.width
            # A narrower block of its own for a narrow rest, where it matters.
            vectors = ceil_div(left, self.lanes) if full <= 4 else plan.vectors
            with w.when(w.compare("==", last, w.index(plan.panels))):
                column = w.index(full * plan.width)
                self._panel_of(place, top, bottom, column, Panel(vectors, left))

    def _panel_of(
        self, place: Place, top: Value, bottom: Value, column: Value, panel: Panel
    ) -> None:
        w, plan = self.w, self.plan
        with w.loop(0, place.k, plan.k_block) as loop:
            length = w.sub(bounded(w, loop.index, plan.k_block, place.k), loop.index)
            b, b_row = self._columns(place, loop.index, length, column, panel)
            a = w.at(place.a, step(w, loop.index, self.spec.a_column), self.t)
            more = w.compare(">", loop.index, w.index(0))
            last = w.compare("==", w.add(loop.index, length), place.k)
            inner = place._replace(a=a, b=b, k=length)
            whole = w.sub(bottom, w.rem(w.sub(bottom, top), w.index(plan.rows)))
            with w.loop(top, whole, plan.rows) as block:
                self._block(inner, block.index, column, panel, plan.rows, b_row, more, last)
            rest = self.spec.m % plan.rows
            if rest:
                with w.when(w.compare("<", whole, bottom)):
                    self._block(inner, whole, column, panel, rest, b_row, more, last)

    def _columns(
        self, place: Place, start: Value, length: Value, column: Value, panel: Panel
    ) -> tuple[Value, int]:
        """Where a block finds the panel's columns, and the stride of their rows."""
        w, spec, plan = self.w, self.spec, self.plan
        if self.packed:
            # Whole panels of k rows; the unit's part of k was added to the pointer before.
            at = w.add(step(w, w.div(column, w.index(plan.width)), spec.k * plan.width),
                       step(w, start, plan.width))  # fmt: skip
            return w.at(place.b, at, self.t), plan.width
        at = w.add(step(w, start, spec.b_row), step(w, column, spec.b_column))
        source = w.at(place.b, at, self.t)
        width = panel.vectors * self.lanes
        few = min(plan.row_group, spec.m) <= _DIRECT_ROWS
        if spec.b_column == 1 and not panel.masked(self.lanes) and (few or spec.b_row == width):
            return source, spec.b_row
        if self._panel is None:
            self._panel = w.reserve(plan.k_block * plan.width, self.t)
        pack = packer(self.module, self.t, width, spec.b_row, spec.b_column)
        w.call(
            pack,
            source,
            w.index(spec.b_row),
            w.index(spec.b_column),
            length,
            w.index(panel.columns),
            self._panel,
        )
        return self._panel, width

    def _block(
        self,
        place: Place,
        row: Value,
        column: Value,
        panel: Panel,
        rows: int,
        b_row: int,
        more: Value,
        last: Value,
    ) -> None:
        """One register block, and what is done with its results."""
        w, spec = self.w, self.spec
        function = register_block(self.module, self.t, rows, panel.vectors)
        a = w.at(place.a, step(w, row, spec.a_row), self.t)
        c = w.at(place.c, w.add(step(w, row, spec.n), column), self.t)
        masked = panel.masked(self.lanes)
        width = panel.vectors * self.lanes
        if masked and self._tile is None:
            self._tile = w.reserve(self.plan.rows * self.plan.width, self.t)
        target, c_row = (self._tile, width) if masked and self._tile else (c, spec.n)
        w.call(
            function,
            a,
            w.index(spec.a_row),
            w.index(spec.a_column),
            place.b,
            w.index(b_row),
            target,
            w.index(c_row),
            place.k,
            _FALSE if masked else more,
        )
        if masked:
            self._finish_masked(place, row, column, panel, rows, c, target, more, last)
        elif self.epilogue is not None:
            with w.when(last):
                self._finish_full(self.epilogue, place, row, column, panel, rows, c)

    def _finish_full(
        self,
        epilogue: Epilogue,
        place: Place,
        row: Value,
        column: Value,
        panel: Panel,
        rows: int,
        c: Value,
    ) -> None:
        w = self.w
        with w.loop(0, rows) as r, w.loop(0, panel.vectors * self.lanes, self.lanes) as v:
            at = w.at(c, w.add(step(w, r.index, self.spec.n), v.index), self.t)
            value = w.load(at, self.t.of(self.lanes))
            here = w.add(w.add(place.row, row), r.index)
            w.store(epilogue(w, value, here, w.add(column, v.index), None), at)

    def _finish_masked(
        self,
        place: Place,
        row: Value,
        column: Value,
        panel: Panel,
        rows: int,
        c: Value,
        tile: Value,
        more: Value,
        last: Value,
    ) -> None:
        """From the tile, which has room for whole vectors, to the columns that exist."""
        w = self.w
        width = panel.vectors * self.lanes
        vt = self.t.of(self.lanes)
        with w.loop(0, rows) as r, w.loop(0, width, self.lanes) as v:
            mask = w.mask(w.sub(w.index(panel.columns), v.index), self.lanes)
            at = w.at(c, w.add(step(w, r.index, self.spec.n), v.index), self.t)
            source = w.at(tile, w.add(step(w, r.index, width), v.index), self.t)
            here = w.add(w.add(place.row, row), r.index)
            # Neither k_block nor part being shorter than k, there is nothing to add to.
            if self.plan.k_block < self.plan.part:
                with w.when(more):
                    held = w.load_masked(at, vt, mask)
                    w.store(w.add(held, w.load(source, vt)), source)
            if self.epilogue is None:
                w.store_masked(w.load(source, vt), at, mask)
            else:
                self._apply(
                    self.epilogue, w.load(source, vt), here, w.add(column, v.index), at, mask, last
                )

    def _apply(
        self,
        epilogue: Epilogue,
        value: Value,
        row: Value,
        column: Value,
        at: Value,
        mask: Value,
        last: Value,
    ) -> None:
        """Store masked lanes: through the epilogue once their sums are whole."""
        w = self.w
        if self.plan.k_block < self.plan.part:
            with w.when(w.not_(last)):
                w.store_masked(value, at, mask)
        with w.when(last):
            w.store_masked(epilogue(w, value, row, column, mask), at, mask)

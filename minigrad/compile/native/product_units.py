"""Products by register blocks: the loops around them."""

from __future__ import annotations

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.packing import Order, order_of, packer
from minigrad.compile.native.product_blocks import Block
from minigrad.compile.native.product_cut import Cut, cut, turns
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    finish_rows,
    join,
    lanes_for,
    split,
    step,
    work,
)
from minigrad.compile.native.product_panels import Panels, panels_function
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.types import memory_bytes
from minigrad.compile.native.writer import Module, Value

#: Rows of a that are turned by a unit of that phase.
_TURNED = 64


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
    pack = packer(module, spec.dtype, order_of(spec.a_row, spec.a_column))
    with w.loop(lo, hi) as unit:
        batch, group = split(w, unit.index, ceil_div(spec.m, _TURNED))
        top = step(w, group, _TURNED)
        at = w.add(batch_offsets(w, spec, batch)[0], step(w, top, spec.a_row))
        rows = w.sub(bounded(w, top, _TURNED, spec.m), top)
        target = w.at(scratch, step(w, w.add(step(w, batch, spec.m), top), length), spec.dtype)
        source = w.at(a, at, spec.dtype)
        strides = w.index(spec.a_row), w.index(spec.a_column)
        w.call(pack, source, *strides, rows, w.index(spec.k), target, w.index(length))
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
                self._matrix(a, b, c, batch.index, rows, columns, part)
        return w.finish_once()

    def _matrix(
        self,
        a: Value,
        b: Value,
        c: Value,
        batch: Value,
        rows: Value,
        columns: Value,
        part: Value,
    ) -> None:
        """What of one matrix belongs to a unit."""
        w, spec, plan = self.w, self.spec, self.plan
        # Panels that were packed before follow one another, each of k rows.
        b_row, b_column = (plan.width, spec.k) if self.packed else (spec.b_row, spec.b_column)
        start, top = step(w, part, plan.part), step(w, rows, plan.row_group)
        height = w.sub(bounded(w, top, plan.row_group, spec.m), top)
        first = step(w, columns, plan.panel_group)
        end = bounded(w, first, plan.panel_group, plan.panels)
        at_a, at_b = batch_offsets(w, spec, batch)
        at_a = w.add(at_a, w.add(step(w, start, spec.a_column), step(w, top, spec.a_row)))
        at_b = w.add(at_b, step(w, start, b_row))
        piece = w.add(step(w, batch, self.parts), part)
        out = w.at(c, w.add(step(w, piece, spec.m * spec.n), step(w, top, spec.n)), self.t)
        w.call(
            panels_function(self.module, self._panels()),
            *(w.at(a, at_a, self.t), w.index(spec.a_row), w.index(spec.a_column)),
            *(w.at(b, at_b, self.t), w.index(b_row), w.index(b_column)),
            *(out, w.index(spec.n)),
            *(w.sub(bounded(w, start, plan.part, spec.k), start), w.index(plan.k_block)),
            *(height, w.index(spec.n), first, end),
        )
        if self.epilogue is not None:
            left = step(w, first, plan.width)
            across: Value | int = spec.n
            if plan.panel_group < plan.panels:
                across = w.sub(bounded(w, left, plan.panel_group * plan.width, spec.n), left)
            row = w.add(step(w, batch, spec.m), top)
            area = height, across, row, left
            finish_rows(w, spec, plan.lanes, self.epilogue, w.at(out, left, self.t), *area)

    def _panels(self) -> Panels:
        """The kind of panels, of which narrow ones have narrower blocks.

        Where the machine has no masked loads, what would need them is packed.
        """
        spec, plan = self.spec, self.plan
        order = order_of(spec.b_row, spec.b_column)
        rest = spec.m % plan.rows
        full = Block(self.t.of(plan.lanes), plan.rows, plan.vectors)
        packs: Order | None = order if plan.packs and not self.packed else None
        left = spec.n % plan.width
        if not left:
            return Panels(plan.width, rest, full, None, packs, None)
        lanes = lanes_for(self.module, self.t, left)
        vectors = ceil_div(left, lanes)
        masked = left != vectors * lanes
        packs_last = packs
        if masked and self.module.vector_bytes < 32 and not self.packed:
            packs_last = order
        masked_b = masked and not packs_last and not self.packed
        last = Block(self.t.of(lanes), plan.rows, vectors, masked_b, masked)
        some = full if spec.n > plan.width else None
        return Panels(plan.width, rest, some, last, packs if some else None, packs_last)

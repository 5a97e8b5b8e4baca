"""How products are cut into units of work: by their shapes alone, whatever threads there are."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.product_loops import lanes_for
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.types import memory_bytes
from minigrad.compile.native.writer import Module

#: Operations that are worth handing to another thread: some 10 microseconds.
UNIT_WORK = 1_000_000
#: About as many units are made of a large product.
_UNITS = 32
#: Operations of a unit at most: a run can be interrupted only between units, some 20 milliseconds.
_LARGEST_UNIT = 2_000_000_000
#: Bytes of a packed panel: it lies on the stack, and in the cache of second level.
PANEL_BYTES = 64 * 1024
#: What the cache of second level holds for sure. Operands whose rows lie so far apart that as many
#: as are used at a time reach further than this would often be read from beyond it.
_NEAR_BYTES = 1024 * 1024
#: Rows of b at a multiple of this distance in bytes want the same few places in a cache: a panel
#: that is small enough for the nearest one is thrown out of it, and fetched again by each block.
_SAME_PLACES = 2048
#: Rows that are multiplied with a panel of b before packing it, which costs as much as 4 to 12 rows
#: do, is forgotten.
_MANY_ROWS = 256
#: Fewer rows than these are not shared by several units: each would fetch the same columns of b.
_SOME_ROWS = 32
#: Rows that a large b is hardly worth fetching for: it is walked a few of its own rows at a time,
#: along them, as memory likes best.
_FEW_ROWS = 16
#: Columns for which turning all of a costs little.
_MANY_COLUMNS = 256
#: The longest sum that is made in one chain.
_CHAIN = 512
#: The longest sum that one unit makes when its units would otherwise be too few.
_PART = 1024
#: With fewer units than this, a long sum is cut into parts.
_FEW_UNITS = 8


class Cut(NamedTuple):
    """How a product is cut into panels of columns, groups of rows, parts of k, and units of these.

    Attributes:
        rows: rows of a block in registers.
        lanes: of the vectors that are computed with.
        vectors: vectors of columns in a block, and so in a panel.
        width: columns of a panel.
        panels: how many panels there are, the last perhaps narrower.
        panel_group: panels of a unit.
        row_group: rows of a unit, a multiple of `rows` unless it is all of them.
        batch_group: products of a unit.
        part: length of the part of the sums that a unit makes.
        k_block: length of the part that is made in one chain, and packed at a time.
        packs: whether full panels of b are packed, too.
    """

    rows: int
    lanes: int
    vectors: int
    width: int
    panels: int
    panel_group: int
    row_group: int
    batch_group: int
    part: int
    k_block: int
    packs: bool

    def units(self, spec: ProductSpec) -> int:
        """How many units there are."""
        return (
            ceil_div(spec.matrices, self.batch_group)
            * ceil_div(spec.m, self.row_group)
            * ceil_div(self.panels, self.panel_group)
            * ceil_div(spec.k, self.part)
        )


def cut(module: Module, spec: ProductSpec) -> Cut:
    """Cut a product with m, n, k above 0 into units for the register blocks of a module.

    A block is two vectors wide. AVX-512 has 32 registers, of which 8 rows take 16, and the current
    columns of b two; narrower machines have 16, and 6 rows take 12. Few rows leave registers for
    more columns.
    """
    lanes = lanes_for(module, spec.dtype, spec.n)
    wide = module.vector_bytes >= 64
    rows = min(spec.m, 8 if wide else 6)
    vectors = 2 if rows > 4 else min(4, (24 if wide else 12) // rows)
    vectors = min(vectors, ceil_div(spec.n, lanes))
    width = vectors * lanes
    panels = ceil_div(spec.n, width)
    one = spec.operations // spec.matrices
    unit = min(max(UNIT_WORK, spec.operations // _UNITS), _LARGEST_UNIT)
    batch_group = ceil_div(spec.matrices, ceil_div(spec.matrices, max(1, unit // one)))
    row_group, panel_group = spec.m, panels
    if one >= 2 * unit:
        row_group, panel_group = _tile(spec, rows, width, panels, one // unit)
    groups = row_group, batch_group
    plan = Cut(rows, lanes, vectors, width, panels, panel_group, *groups, spec.k, spec.k, False)
    part, units = spec.k, plan.units(spec)
    if units < _FEW_UNITS and spec.k >= 2 * _PART and spec.operations >= 4 * UNIT_WORK:
        part = ceil_div(spec.k, min(spec.k // _PART, 2 * _FEW_UNITS // units))
    size = memory_bytes(spec.dtype)
    reach = abs(spec.b_row) * size
    far = reach * min(part, _CHAIN) > _NEAR_BYTES
    clash = reach > 0 and reach % _SAME_PLACES == 0
    many = _MANY_ROWS // 2 if far and clash else _MANY_ROWS
    packs = spec.b_column != 1 or (row_group >= many and (far or clash))
    longest = min(_CHAIN, PANEL_BYTES // (width * size))
    if not packs:
        if spec.m <= _FEW_ROWS and spec.n * spec.k * size > 4 * _NEAR_BYTES:
            # So many short chains would add up to more error than one: their number is bounded.
            longest = _CHAIN // 8
            part = ceil_div(part, ceil_div(part, 4 * _PART))
        elif reach * longest > _NEAR_BYTES:
            longest = _CHAIN // 2
    return plan._replace(part=part, k_block=ceil_div(part, ceil_div(part, longest)), packs=packs)


def turns(spec: ProductSpec) -> bool:
    """Whether a is stored by columns so far apart that its transpose is made first."""
    reach = abs(spec.a_column) * memory_bytes(spec.dtype) * min(spec.k, _CHAIN)
    return (
        spec.a_row == 1
        and reach > _NEAR_BYTES
        and spec.n >= _MANY_COLUMNS
        and spec.m >= _MANY_ROWS // 4
        and all(spec.a_strides[:-2])
    )


def _tile(spec: ProductSpec, rows: int, width: int, panels: int, pieces: int) -> tuple[int, int]:
    """Rows and panels of a unit, of which there should be about so many a matrix.

    Of the ways to make them, the one with the least to be paid for: work in vain when units do not
    come out even on a few threads, and panels of b that serve few rows.
    """
    blocks = ceil_div(spec.m, rows)
    best: tuple[float, int, int] | None = None
    for columns in range(1, min(panels, pieces) + 1):
        group = ceil_div(panels, columns)
        groups = min(max(1, spec.m // _SOME_ROWS), max(1, pieces // columns))
        row_group = ceil_div(blocks, groups) * rows
        units = ceil_div(panels, group) * ceil_div(spec.m, row_group)
        padded = group * width * row_group / (spec.n * spec.m)
        uneven = sum(ceil_div(units, threads) * threads * padded for threads in (2, 4, 8)) / 3
        cost = uneven * (1 + (4 if spec.b_column == 1 else 12) / row_group)
        if best is None or cost < best[0]:
            best = cost, min(row_group, spec.m), group
    if best is None:
        return spec.m, panels
    return best[1:]

"""What a product of matrices is, and how it is cut into units of work: by its shape alone."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.types import Type, memory_bytes
from minigrad.compile.native.writer import Module

#: Work of one unit that is worth handing to another thread, in operations: some 10 microseconds.
UNIT_WORK = 1_000_000
#: More units than this would only cost time.
_MOST_UNITS = 64
#: Rows of a unit for which packing a panel of b is well paid.
_FEWEST_ROWS = 64
#: Bytes of a packed panel: it lies on the stack, and in the cache of second level.
_PANEL_BYTES = 64 * 1024
#: The longest sum that one unit makes when its units would otherwise be too few.
_PART = 1024
#: With fewer units than this, a long sum is cut into parts.
_FEW_UNITS = 8


class ProductSpec(NamedTuple):
    """c[..., i, j] = sum over p of a[..., i, p] · b[..., p, j].

    Strides are in elements and may be 0 (an operand that is broadcast) or negative; c is
    contiguous.

    Attributes:
        dtype: `F32` or `F64`; of anything else `emit_product` makes no kernel.
        batch: the dimensions before the last two, after broadcasting.
        m: rows of a and c.
        n: columns of b and c.
        k: length of the sums.
        a_strides: of a, one for each dimension of `batch`, then of its rows and columns.
        b_strides: of b, likewise.
    """

    dtype: Type
    batch: tuple[int, ...]
    m: int
    n: int
    k: int
    a_strides: tuple[int, ...]
    b_strides: tuple[int, ...]

    @property
    def a_row(self) -> int:
        """The stride of a from row to row."""
        return self.a_strides[-2]

    @property
    def a_column(self) -> int:
        """The stride of a from column to column."""
        return self.a_strides[-1]

    @property
    def b_row(self) -> int:
        """The stride of b from row to row."""
        return self.b_strides[-2]

    @property
    def b_column(self) -> int:
        """The stride of b from column to column."""
        return self.b_strides[-1]

    @property
    def matrices(self) -> int:
        """How many products of matrices there are."""
        return math.prod(self.batch)

    @property
    def operations(self) -> int:
        """Multiplications and additions of all of them."""
        return 2 * self.matrices * self.m * self.n * self.k

    def collapsed(self) -> ProductSpec:
        """The same product with as few dimensions in the batch as its strides allow.

        Dimensions that are walked like one are joined. A batch that shares b, and whose rows follow
        one another, is one taller matrix.
        """
        dims = [
            (size, a, b)
            for size, a, b in zip(self.batch, self.a_strides, self.b_strides, strict=False)
            if size != 1
        ]
        joined: list[tuple[int, int, int]] = []
        for size, a, b in dims:
            if joined and joined[-1][1:] == (a * size, b * size):
                size *= joined.pop()[0]
            joined.append((size, a, b))
        m, a_row = self.m, self.a_row
        if joined:
            size, a, b = joined[-1]
            if b == 0 and (m == 1 or a == m * a_row):
                a_row = a if m == 1 else a_row
                m *= size
                joined.pop()
        return self._replace(
            batch=tuple([size for size, _, _ in joined]),
            m=m,
            a_strides=(*[a for _, a, _ in joined], a_row, self.a_column),
            b_strides=(*[b for _, _, b in joined], self.b_row, self.b_column),
        )


class Cut(NamedTuple):
    """How a product is cut into panels of columns, groups of rows, parts of k, and units of these.

    Attributes:
        rows: rows of a block in registers.
        vectors: vectors of columns in a block, and so in a panel.
        width: columns of a panel.
        panels: how many panels there are, the last perhaps narrower.
        panel_group: panels of a unit.
        row_group: rows of a unit, a multiple of `rows` unless it is all of them.
        batch_group: products of a unit.
        part: length of the part of the sums that a unit makes.
        k_block: length of the part that is packed at a time.
    """

    rows: int
    vectors: int
    width: int
    panels: int
    panel_group: int
    row_group: int
    batch_group: int
    part: int
    k_block: int


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def cut(module: Module, spec: ProductSpec) -> Cut:
    """Cut a product with m, n, k above 0 into units for the register blocks of a module."""
    lanes = module.lanes(spec.dtype)
    wide = module.vector_bytes >= 64
    rows = min(spec.m, 8 if wide else 6)
    # Few rows leave registers for more columns; b is then read along longer rows, too.
    vectors = 2 if rows > 4 else min(4, (24 if wide else 12) // rows)
    vectors = min(vectors, ceil_div(spec.n, lanes))
    width = vectors * lanes
    panels = ceil_div(spec.n, width)
    one = spec.operations // spec.matrices
    wanted = min(max(spec.operations // UNIT_WORK, 1), _MOST_UNITS)
    batch_group = min(spec.matrices, max(1, UNIT_WORK // one, spec.matrices // _MOST_UNITS))
    each = ceil_div(wanted, ceil_div(spec.matrices, batch_group))
    panel_group = max(1, panels // each)
    row_group = _rows_of_unit(spec.m, rows, ceil_div(each, ceil_div(panels, panel_group)))
    units = (
        ceil_div(spec.matrices, batch_group)
        * ceil_div(panels, panel_group)
        * ceil_div(spec.m, row_group)
    )
    part = spec.k
    if units < _FEW_UNITS and spec.k >= 2 * _PART and spec.operations >= 4 * UNIT_WORK:
        pieces = min(spec.k // _PART, 2 * _FEW_UNITS // units)
        part = ceil_div(spec.k, pieces)
    block = _PANEL_BYTES // (width * memory_bytes(spec.dtype)) // lanes * lanes
    return Cut(
        rows, vectors, width, panels, panel_group, row_group, batch_group, part, min(part, block)
    )


def _rows_of_unit(m: int, rows: int, wanted: int) -> int:
    blocks = ceil_div(m, rows)
    group = max(ceil_div(blocks, wanted), min(blocks, _FEWEST_ROWS // rows))
    return min(group * rows, m)

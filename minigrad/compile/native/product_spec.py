"""What a product of matrices is."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.types import Type


class ProductSpec(NamedTuple):
    """c[..., i, j] = sum over p of a[..., i, p] · b[..., p, j].

    Strides are in elements and may be 0 (an operand that is broadcast) or negative; c is
    contiguous.

    Attributes:
        dtype: floats or integers of 32 or 64 bits; of others `emit_product` makes no kernel.
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

        >>> from minigrad.compile.native.types import F32
        >>> ProductSpec(F32, (8, 4), 2, 3, 5, (40, 10, 5, 1), (0, 0, 3, 1)).collapsed()[1:5]
        ((), 64, 3, 5)
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


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)

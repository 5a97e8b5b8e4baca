"""The iteration space of a fused loop: its rows, what is within a row, and units of work."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.fuse import Group
from minigrad.compile.native.types import memory_bytes, type_of
from minigrad.compile.phases import DEAR, Phases
from minigrad.compile.program import Operand, Sizes, contiguous

#: A unit of work is some rows that take about so many nanoseconds, with at most so many elements.
UNIT_WORK = 8000.0
UNIT_ELEMENTS = 16384
#: Rows of a domain that is one long row.
CHUNK = 4096
#: At most so many partial results of a reduction over rows.
MOST_UNITS = 64


class Dims(NamedTuple):
    """Dimensions of a loop, and for each access its strides over them."""

    lengths: Sizes
    strides: tuple[Sizes, ...]


class Space:
    """How the domain of a group is walked.

    Args:
        vector_bytes: width of the vectors that code uses.
        group: the group.
        phases: its phases.
        reduces_rows: whether a reduction goes over rows: then there are not too many units.

    Attributes:
        reads: the operands that are read from memory.
        read_at: the position of each of them.
        walks: the distinct ways in which memory is walked: an operand, where it begins, strides.
        outer: the dimensions of rows, and each walk's strides over them; last those of plain order.
        inner: the same within a row.
        cut: elements in a row when the domain is one long row that is cut; 0 otherwise.
        rows: how many rows there are.
        row_elements: how many elements a row has.
        count: the length of the last dimension within a row, which is walked in vectors.
        lanes: how many elements make a vector.
        cost: nanoseconds for one element, roughly.
        block: how many rows make a unit of work.
        units: how many units there are; `units_of_batch` of them for each batch of rows.
    """

    def __init__(
        self, vector_bytes: int, group: Group, phases: Phases, *, reduces_rows: bool
    ) -> None:
        self.group = group
        self.phases = phases
        self._reduces_rows = reduces_rows
        domain = group.domain
        self.reads: list[Operand] = []
        self.read_at: dict[Operand, int] = {}
        for access in group.accesses.values():
            if access.root not in self.read_at:
                self.read_at[access.root] = len(self.reads)
                self.reads.append(access.root)
        self.cost = self._cost()
        #: The distinct ways in which memory is walked over the domain.
        self.walks: dict[tuple[Operand, int, Sizes], int] = {}
        for access in group.accesses.values():
            self.walks.setdefault((access.root, access.offset, access.strides), len(self.walks))
        strides = [key[2] for key in self.walks]
        plain = contiguous(domain)
        split = group.split
        #: Elements in a row when the domain is one long row that is cut; 0 otherwise.
        self.cut = 0
        if split is None:
            dims = joined(domain, [*strides, plain])
            chunk = CHUNK if self.cost * CHUNK < UNIT_WORK else CHUNK // 4
            if len(dims.lengths) == 1 and dims.lengths[0] > chunk:
                self.cut = chunk
                rows = -(-dims.lengths[0] // chunk)
                self.outer = Dims((rows,), tuple([(s[0] * chunk,) for s in dims.strides]))
                self.inner = dims
            else:
                self.outer = Dims(dims.lengths[:-1], tuple([s[:-1] for s in dims.strides]))
                self.inner = Dims(dims.lengths[-1:], tuple([s[-1:] for s in dims.strides]))
        else:
            self.outer = joined(domain[:split], [s[:split] for s in [*strides, plain]])
            self.inner = joined(domain[split:], [s[split:] for s in [*strides, plain]])
        self.rows = math.prod(self.outer.lengths)
        self.row_elements = self.cut or math.prod(self.inner.lengths)
        self.count = self.inner.lengths[-1]
        sizes = [memory_bytes(type_of(x.dtype)) for x in [*self.reads, *group.levels]]
        floats = [n for n in sizes if n >= 4]
        width = 4 if 4 in floats else max(floats, default=1)
        self.lanes = 1 if self.count == 1 else max(vector_bytes // width, 1)
        self._units()

    def _units(self) -> None:
        """How many rows make a unit of work; the rows of one batch stay together."""
        batch = self.group.batch
        batches = math.prod(self.group.domain[:batch]) if batch else 1
        of_batch = self.rows // max(batches, 1)
        elements = min(UNIT_ELEMENTS, int(UNIT_WORK / self.cost))
        block = max(1, elements // max(self.row_elements, 1))
        if self._reduces_rows:
            over = 1 if batch else MOST_UNITS
            block = max(block, -(-of_batch // over))
        self.block = min(block, max(of_batch, 1))
        self.units_of_batch = -(-of_batch // self.block)
        self.rows_of_batch = of_batch
        self.units = batches * self.units_of_batch

    @property
    def work(self) -> float:
        """Nanoseconds for all elements, roughly."""
        return self.cost * self.group.size + self.rows * 4.0

    def _cost(self) -> float:
        """Nanoseconds for one element, roughly."""
        cost = 0.01
        for steps in self.phases.sweeps:
            cost += sum([0.4 if s.name in DEAR else 0.04 for s in steps])
        for x in [*self.reads, *self.phases.stored]:
            if x.size * 2 > self.group.size:
                cost += 0.03 * x.dtype.itemsize
        return cost


def joined(lengths: Sizes, strides: list[Sizes]) -> Dims:
    """Dimensions that every access walks as one, joined; those of length 1 dropped."""
    kept = [i for i, n in enumerate(lengths) if n != 1]
    joined: list[int] = []
    walks: list[list[int]] = [[] for _ in strides]
    for i in kept:
        n = lengths[i]
        if joined and all(walk[-1] == s[i] * n for walk, s in zip(walks, strides, strict=True)):
            joined[-1] *= n
            for walk, s in zip(walks, strides, strict=True):
                walk[-1] = s[i]
        else:
            joined.append(n)
            for walk, s in zip(walks, strides, strict=True):
                walk.append(s[i])
    if not joined:
        joined = [1]
        walks = [[0] for _ in strides]
        walks[-1] = [1]
    return Dims(tuple(joined), tuple([tuple(walk) for walk in walks]))

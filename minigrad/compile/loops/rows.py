"""Loops whose rows have nothing to do with each other: each thread takes some through all runs.

So threads need not meet in every run; and what a thread reads, it has written itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minigrad.compile.bodies import LoopForm
from minigrad.compile.program import Instruction, Operand, Program, View, contiguous

#: Rows of a block: fewer make products slower, more leave too few blocks.
_FEWEST, _MOST = 8, 32
#: Rows that products take together.
_TOGETHER = 8
#: What all rows share is read again for every block; it should lie in a cache of second level.
_SHARED_BYTES = 1 << 20


class Rows(NamedTuple):
    """A loop cut into blocks of rows.

    Attributes:
        blocks: how many there are.
        body: the loop's body for the rows of one block.
    """

    blocks: int
    body: Program


def by_rows(form: LoopForm) -> Rows | None:
    """Cut a loop into blocks of rows, by shapes alone; None if it cannot be, or should not."""
    if form.cond is not None or form.runs is None or not form.carries:
        return None
    feeds = form.body.feeds
    apart = form.carries + form.slices
    if any(not x.rank for x in feeds[:apart]):
        return None
    lengths = {x.shape[0] for x in feeds[:apart]}
    shared = sum([x.nbytes for x in feeds[apart:]])
    if len(lengths) != 1 or shared > _SHARED_BYTES:
        return None
    (rows,) = lengths
    block = _block(rows)
    if block is None:
        return None
    body = _Cutting(rows, block).run(form.body, apart)
    return None if body is None else Rows(rows // block, body)


def _block(rows: int) -> int | None:
    """How many rows a block has: such that blocks are equal, and products fast."""
    best = None
    for block in range(_FEWEST, min(_MOST, rows // 2) + 1):
        if rows % block == 0:
            full = -(-block // _TOGETHER) * _TOGETHER
            value = block / full * min(1.0, (block + _TOGETHER) / 24)
            if best is None or value > best[0]:
                best = value, block
    return None if best is None else best[1]


class _Apart(Exception):
    """Something that is not computed row by row."""


class _Cutting:
    """Makes the program of a block of rows."""

    def __init__(self, rows: int, block: int) -> None:
        self.rows = rows
        self.block = block
        #: What stands for each operand that has rows.
        self.cut: dict[Operand, Operand] = {}

    def run(self, body: Program, apart: int) -> Program | None:
        """The program; None if rows are not computed one by one.

        Args:
            body: the body for all rows.
            apart: how many of its feeds have rows.
        """
        made = Program()
        try:
            made.feeds = [*[self._own(x) for x in body.feeds[:apart]], *body.feeds[apart:]]
            made.instructions = [self._step(step) for step in body.instructions]
            made.fetches = [self.cut[x] for x in body.fetches]
        except (_Apart, KeyError):
            return None
        return made

    def _own(self, x: Operand) -> Operand:
        """The rows of a block of an operand that has its own elements."""
        if x.shape[0] != self.rows:
            raise _Apart
        made = self.cut[x] = Operand((self.block, *x.shape[1:]), x.dtype, label=x.label)
        return made

    def _step(self, step: Instruction) -> Instruction:
        read = [x for x in step.inputs if x is not None]
        if not any(x.root in self.cut for x in read):
            # It is the same for all rows, and a loop computes it before.
            raise _Apart
        attrs = step.attrs
        if step.kind == "product" and step.output.rank == 2:
            a, b = read
            if b.root in self.cut:
                raise _Apart
            inputs = [self._seen(a, 2), b]
        elif step.kind in ("map", "product", "reduce", "check") or step.name == "place":
            rank = step.output.rank if step.outputs else read[0].rank
            inputs = [self._seen(x, rank) for x in read]
        else:
            raise _Apart
        if len(read) < len(step.inputs) or any(not x.rank for x in step.outputs):
            raise _Apart
        if step.kind == "reduce" and step.attrs["axes"][0] == 0:
            raise _Apart
        if step.name == "place":
            self._check_regions(step)
            attrs = {**attrs, "shape": (self.block, *attrs["shape"][1:])}
        outputs = [self._own(x) for x in step.outputs]
        return Instruction(
            step.kind, step.name, inputs, outputs, attrs, step.primitive, step.operation
        )

    def _seen(self, x: Operand, rank: int) -> Operand:
        """The rows of a block of what a step with results of this rank reads."""
        root = self.cut.get(x.root)
        if root is None:
            return self._shared(x, rank)
        if x.rank != rank or x.shape[0] != self.rows:
            raise _Apart
        if x.view is None:
            return root
        row = contiguous(x.root.shape)[0]
        strides = x.view.strides
        if strides[0] != row or not _lies_in(x.view.offset, x.shape[1:], strides[1:], row):
            raise _Apart
        view = View(root, x.view.offset, strides)
        return Operand((self.block, *x.shape[1:]), x.dtype, view=view, label=x.label)

    def _shared(self, x: Operand, rank: int) -> Operand:
        """What is the same for all rows."""
        if x.rank < rank or x.shape[0] == 1:
            return x
        strides = x.strides if x.constant is None else x.constant.strides
        if strides[0] != 0:
            raise _Apart
        shape = (self.block, *x.shape[1:])
        if x.constant is not None:
            return Operand(shape, x.dtype, constant=x.constant[: self.block], label=x.label)
        return Operand(shape, x.dtype, view=View(x.root, x.offset, x.strides), label=x.label)

    def _check_regions(self, step: Instruction) -> None:
        row = contiguous(step.output.shape)[0]
        for x, region in zip(step.inputs, step.attrs["regions"], strict=True):
            assert x is not None
            if region.strides[0] != row or not _lies_in(
                region.offset, x.shape[1:], region.strides[1:], row
            ):
                raise _Apart


def _lies_in(offset: int, shape: Sequence[int], strides: Sequence[int], row: int) -> bool:
    """Whether what a view shows of its first row lies in that row."""
    reach = sum([(n - 1) * s for n, s in zip(shape, strides, strict=True) if n > 1])
    return all(s >= 0 for s in strides) and offset >= 0 and offset + reach < row

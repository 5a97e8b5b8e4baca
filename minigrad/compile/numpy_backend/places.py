"""Where a program's arrays are in a run: in the arena, with the caller, or wherever they are made.

Every operand has a slot in a list of arrays. *Fixed* slots hold the same array in every run of a
frame: constants, and what lies in the arena, with all views of these. The others are filled anew in
every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.arena import ALIGNMENT, Arena, Lifetime, plan_arena
from minigrad.compile.kernels import seen
from minigrad.compile.numpy_backend.recipes import BITS, Ref
from minigrad.compile.program import Operand, Sizes
from minigrad.core.tensor import Array

#: Feeds, variables and results of at most so many bytes are copied from or to the arena.
SMALL_BYTES = 1 << 14


class Slot(NamedTuple):
    """What is known of a slot.

    Attributes:
        operand: what it is.
        fixed: whether the array is the same in every run of a frame.
        base: for a view, the slot of what it is a view of; else -1.
        bits: whether it is the base, seen as integers.
        block: what its memory in the arena is called, if it has some.
    """

    operand: Operand
    fixed: bool
    base: int = -1
    bits: bool = False
    block: int = -1


class Places:
    """The slots of a program, and when blocks of the arena are in use."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self._found: dict[Any, int] = {}
        #: For each block of memory: bytes, and the first and last step that use it.
        self._blocks: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.slots)

    # -- roots -----------------------------------------------------------------------------

    def is_known(self, root: Operand) -> bool:
        """Whether an operand has a slot."""
        return root in self._found

    def add_free(self, root: Operand) -> int:
        """A slot that every run fills."""
        return self._add(root, Slot(root, fixed=False))

    def add_block(self, root: Operand, step: int, last: int) -> int:
        """A slot in the arena, in use from one step to another."""
        self._blocks.append([root.nbytes, step, last])
        return self._add(root, Slot(root, fixed=True, block=len(self._blocks) - 1))

    def add_in_place(self, root: Operand, of: Operand, last: int) -> int:
        """A slot in the memory of another, which is in use no longer."""
        block = self.slots[self._found[of]].block
        self._blocks[block][2] = max(self._blocks[block][2], last)
        return self._add(root, Slot(root, fixed=True, block=block))

    def may_be_overwritten(self, root: Operand) -> bool:
        """Whether it lies in the arena, and nowhere else."""
        at = self._found.get(root)
        return at is not None and self.slots[at].block >= 0

    def is_fixed(self, at: int) -> bool:
        """Whether a slot's array is the same in every run."""
        return self.slots[at].fixed

    # -- references ------------------------------------------------------------------------

    def find(self, x: Operand) -> tuple[int, bool]:
        """The slot of an operand, of a constant, or of a view; and whether it is new."""
        key: Any = x if x.view is None else (x.view, x.shape)
        at = self._found.get(key)
        if at is not None:
            return at, False
        if x.constant is not None:
            return self._add(key, Slot(x, fixed=True)), True
        if x.view is None:
            raise KeyError(f"{x!r} is read before it is made")
        base = self._found[x.view.base]
        return self._add(key, Slot(x, self.slots[base].fixed, base)), True

    def as_bits(self, at: int) -> tuple[int, bool]:
        """The slot of the same array seen as integers; and whether it is new."""
        key = ("bits", at)
        found = self._found.get(key)
        if found is not None:
            return found, False
        slot = self.slots[at]
        return self._add(key, Slot(slot.operand, slot.fixed, at, True)), True

    def _add(self, key: Any, slot: Slot) -> int:
        at = self._found[key] = len(self.slots)
        self.slots.append(slot)
        return at

    # -- memory ----------------------------------------------------------------------------

    def scratch(self, shape: Sizes, dtype: np.dtype[Any], step: int) -> Ref:
        """Memory for one step."""
        return Ref(self.add_block(Operand(shape, dtype, label="scratch"), step, step))

    def plan(self) -> Arena:
        """Lay the blocks out."""
        return plan_arena(
            [Lifetime(i, size, first, last) for i, (size, first, last) in enumerate(self._blocks)]
        )

    def arrays(self, arena: Arena) -> list[Any]:
        """The arrays of a new frame; None in the slots that runs fill."""
        memory = np.empty(arena.size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        made: list[Any] = []
        for slot in self.slots:
            x = slot.operand
            if not slot.fixed:
                made.append(None)
            elif slot.base >= 0:
                made.append(look(slot, made[slot.base]))
            elif x.constant is not None:
                made.append(x.constant)
            else:
                offset = start + arena.offsets[slot.block]
                made.append(np.ndarray(x.shape, x.dtype, memory, offset))
        return made


def look(slot: Slot, base: Array) -> Array:
    """The array of a view's slot."""
    return base.view(BITS[base.dtype]) if slot.bits else seen(slot.operand, base)


def filled(args: Sequence[Any], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Arguments with arrays in place of references."""
    return tuple([arrays[a.slot] if type(a) is Ref else a for a in args])

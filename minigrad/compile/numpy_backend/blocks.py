"""Groups of instructions over large arrays, in blocks: what is between stays in the cache."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.compile.fuse import Access, Group
from minigrad.compile.kernels import JOINING, Repeat
from minigrad.compile.numpy_backend.block_writer import Writer
from minigrad.compile.numpy_backend.buffering import buffer_for, buffered
from minigrad.compile.numpy_backend.halves import shared
from minigrad.compile.numpy_backend.own_kernels import ON_ROWS
from minigrad.compile.numpy_backend.recipes import Ref
from minigrad.compile.program import Instruction, Operand, Sizes
from minigrad.core.floating import NUMPY_ERRSTATE, POLICY
from minigrad.core.tensor import Array

#: Arrays of more bytes are computed in blocks.
LARGE_BYTES = 1 << 18
#: All arrays of a block together have about so many bytes. That is more than a core's own cache
#: holds, but smaller blocks lose more by the calls than they gain.
CACHE_BYTES = 1 << 22
#: No array of a block has more bytes, or fewer if there are so many.
BLOCK_BYTES = (1 << 15, 1 << 19)
#: So many times as large are blocks that two threads share. Between ufuncs they may have to wait
#: for each other, and be woken up; so there should be few.
SHARED_FACTOR = 2
#: But no fewer than so many, as the threads need not be equally fast.
SHARED_BLOCKS = 12
#: Elements times steps from which two threads share the work: about two milliseconds of it.
SHARED_WORK = 1 << 24


class Unfit(Exception):
    """A group that cannot be computed in blocks."""


def cut(group: Group, needed: set[Operand]) -> BlockCode | None:
    """The code of a group in blocks; None if it is too small, or has a shape for which it is not.

    Args:
        group: the instructions.
        needed: the values that are read outside of groups that make them.
    """
    widest = max([x.dtype.itemsize for step in group.steps for x in step.outputs], default=1)
    steps = sum(step.kind != "check" for step in group.steps)
    if group.size * widest <= LARGE_BYTES or steps < 2 or group.batch not in (None, 0):
        return None
    if any(x.dtype.kind == "O" for step in group.steps for x in step.outputs):
        return None
    try:
        return BlockCode(group, needed, widest)
    except Unfit:
        return None


class BlockCode:
    """A group as a function over blocks of its domain.

    The function is written as text, because calls with local variables take the least time there
    is. Blocks are cut by shape alone, and partial sums are joined in their order.

    Attributes:
        reads: the operands from outside that it reads.
        outputs: the operands that it makes for others.
    """

    def __init__(self, group: Group, needed: set[Operand], widest: int) -> None:
        self._group = group
        self._axes = self._outer_axes()
        self._late = [step for step in group.steps if self._level(step) == "late"]
        needed = needed.union([step.output for step in self._late])
        self.outputs = [x for step in group.steps for x in step.outputs if x in needed]
        found = [access.root for access in group.accesses.values()]
        self.reads = list(dict.fromkeys([x for x in found if x.constant is None]))
        #: Where arrays from outside are, once `place` has been called; and how they are seen.
        self._ins: list[tuple[int, Access, Sizes]] = []
        self._outs: list[tuple[int, Sizes]] = []
        self._joins: list[tuple[int, np.ufunc, Any]] = []
        levels = [self._level(step) for step in group.steps]
        late = {step: self._late_axes(step) for step in self._late}
        writer = Writer(group, levels, self.outputs, late)
        self._accesses = writer.accesses
        self._stored = writer.stored
        self._run: Callable[..., None] = writer.function()
        self._scratch = writer.scratch
        levels_held = [level for level, _ in writer.scratch]
        levels_held += [level for _, level in (*writer.accesses, *writer.stored)]
        self._cut(widest, levels_held.count("full"))

    def _level(self, step: Instruction) -> str:
        if step.outputs:
            return self._group.levels[step.output]
        (x,) = step.inputs
        assert x is not None
        made = self._group.levels.get(x.root)
        if made is not None:
            return made
        return "full" if (x, "full") in self._group.accesses else "row"

    def _outer_axes(self) -> int:
        """How many axes may be cut: rows that steps need whole are not."""
        group = self._group
        axes = len(group.domain) if group.split is None else group.split
        on_rows = [step for step in group.steps if step.name in ON_ROWS]
        if on_rows:
            axes = min(axes, len(group.domain) - 1)
        if axes == 0 or any(step.output.shape != group.domain for step in on_rows):
            raise Unfit
        return axes

    def _cut(self, widest: int, arrays: int) -> None:
        """Choose the axis to cut along, and how long blocks are, for so many arrays of a block."""
        domain, axes, group_size = self._group.domain, self._axes, self._group.size
        least, greatest = BLOCK_BYTES
        most = max(min(max(CACHE_BYTES // max(arrays, 1), least), greatest) // widest, 1)
        if self._has_shared_work():
            most = max(most, min(most * SHARED_FACTOR, group_size // SHARED_BLOCKS))
        axis = next((i for i in range(axes) if math.prod(domain[i + 1 :]) <= most), axes - 1)
        size = max(1, most // max(1, math.prod(domain[axis + 1 :])))
        before = [[slice(i, i + 1) for i in range(n)] for n in domain[:axis]]
        along = [slice(i, min(i + size, domain[axis])) for i in range(0, domain[axis], size)]
        self._keys = list(itertools.product(*before, along))

    def _block_shape(self, key: tuple[slice, ...], level: str) -> Sizes:
        """The shape of a value of some level in a block."""
        group = self._group
        shape = [k.stop - k.start for k in key] + list(group.domain[len(key) :])
        if level == "row":
            assert group.split is not None
            shape[group.split :] = [1] * (len(shape) - group.split)
        return tuple(shape)

    def _target(self, level: str) -> Sizes:
        """The shape of the whole of a value of some level, seen over the domain."""
        group = self._group
        if level == "full":
            return group.domain
        return (*group.outer, *[1] * len(group.inner))

    # -- placing and running ---------------------------------------------------------------

    def place(self, ref: Callable[[Operand], Ref | None]) -> None:
        """Learn where the arrays from outside are."""

        def slot(x: Operand) -> int:
            found = ref(x)
            assert found is not None
            return found.slot

        self._ins = [(slot(a.root), a, self._target(level)) for a, level in self._accesses]
        self._outs = [(slot(x), self._target(level)) for x, level in self._stored]
        self._joins = [
            (slot(step.output), JOINING[step.name], step.output.dtype) for step in self._late
        ]

    def for_frame(self) -> Callable[[list[Any]], None]:
        """A function of a frame's arrays, with memory of its own for what is between."""
        shapes = [self._block_shape(key, "full") for key in self._keys]
        work = list(zip(range(len(shapes)), self._keys, shapes, strict=True))
        is_shared = self._has_shared_work() and len(work) > 1
        mine, others = self._scratch_arrays(), self._scratch_arrays() if is_shared else {}
        alone = [(n, key, mine[shape]) for n, key, shape in work]
        parts = [
            np.empty((len(work), *self._part_shape(step)), step.output.dtype) for step in self._late
        ]

        one = self._run
        buffer = buffer_for(self._group.domain[-1])

        def run(arrays: list[Any]) -> None:
            given = [_seen(arrays[at], access, shape) for at, access, shape in self._ins]
            given += [arrays[at].reshape(shape) for at, shape in self._outs]
            token = NUMPY_ERRSTATE.set(buffered(POLICY.get(), buffer))
            try:
                if is_shared:
                    left = deque(work)
                    shared(
                        left,
                        lambda: one(_taken(left, mine), given, parts),
                        lambda: one(_taken(left, others), given, parts),
                    )
                else:
                    one(alone, given, parts)
            except Repeat:
                raise
            except Exception as error:
                raise Repeat(f"{error}") from error
            finally:
                NUMPY_ERRSTATE.reset(token)
            for (at, ufunc, dtype), part in zip(self._joins, parts, strict=True):
                whole = arrays[at].reshape(part.shape[1:])
                ufunc.reduce(part, 0, dtype if ufunc in _TOTALS else None, whole)

        return run

    def _has_shared_work(self) -> bool:
        """Whether the work is worth a second thread."""
        return self._group.size * len(self._group.steps) >= SHARED_WORK

    def _scratch_arrays(self) -> dict[Sizes, tuple[Array, ...]]:
        """The arrays for what is between, by the shape of a block."""
        return {
            self._block_shape(key, "full"): tuple(
                [np.empty(self._block_shape(key, level), d) for level, d in self._scratch]
            )
            for key in {self._block_shape(key, "full"): key for key in self._keys}.values()
        }

    def _part_shape(self, step: Instruction) -> Sizes:
        """The shape of one block's part of a reduction that needs all blocks."""
        group = self._group
        if step.output.size == 1:
            return (1,) * len(group.domain)
        return (*[1] * len(group.outer), *group.inner)

    def _late_axes(self, step: Instruction) -> tuple[int, ...]:
        """The axes of a block that such a reduction joins."""
        group = self._group
        if step.output.size == 1:
            return tuple(range(len(group.domain)))
        return tuple(range(len(group.outer)))


def _taken(
    left: deque[tuple[int, Any, Sizes]], scratch: dict[Sizes, tuple[Array, ...]]
) -> Iterator[tuple[int, Any, tuple[Array, ...]]]:
    """The blocks that one of two threads does: the next one as long as any is left."""
    while left:
        try:
            n, key, shape = left.popleft()
        except IndexError:  # The other thread has taken the last one just now.
            return
        yield n, key, scratch[shape]


_TOTALS = (np.add, np.multiply)


def _seen(array: Array, access: Access, shape: Sizes) -> Array:
    """An array over the domain."""
    if access.root.constant is not None:
        return array
    size = array.dtype.itemsize
    strides = tuple([s * size for s in access.strides])
    return np.ndarray(shape, array.dtype, array, access.offset * size, strides)

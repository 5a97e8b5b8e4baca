"""Fusion: which instructions run as one loop, with nothing between them but registers.

A `Group` is a set of instructions over one *domain*: an iteration space of some shape. Values in
it are *full*, one for each point of the domain, or *rows*, one for each index of its outer
dimensions, as a reduction over the inner ones makes them. A reduction over outer dimensions, or
over all, is ready only when the loop has ended: what reads it belongs to a later group.

Instructions keep an order in which they can run: one may join an earlier group only if all that it
reads is made there or before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from minigrad.compile import views
from minigrad.compile.program import Instruction, Operand, Program, Sizes, contiguous

if TYPE_CHECKING:
    from minigrad.compile.finishing import Finished

#: More instructions than this are not put into one loop: compilers take longer than linearly.
MOST_STEPS = 200

Level: TypeAlias = Literal["full", "row", "late"]


class Access(NamedTuple):
    """How a group reads an operand: its strides over the domain, and where it begins."""

    root: Operand
    offset: int
    strides: Sizes


class Group:
    """Instructions that run as one loop nest.

    Attributes:
        domain: the lengths of the iteration space.
        split: how many of its dimensions are outer ones, once a reduction has fixed that.
        batch: how many lead the dimensions that reductions over outer dimensions join.
        steps: the instructions in order.
        levels: for every value made here, what it is one of.
        accesses: for every operand read from memory, and what reads it, how.
    """

    def __init__(self, domain: Sizes) -> None:
        self.domain = domain
        self.size = math.prod(domain)
        self.split: int | None = None
        self.batch: int | None = None
        self.steps: list[Instruction] = []
        self.levels: dict[Operand, Level] = {}
        self.accesses: dict[tuple[Operand, Level], Access] = {}

    @property
    def outer(self) -> Sizes:
        """The outer lengths."""
        return self.domain[: self.split]

    @property
    def inner(self) -> Sizes:
        """The inner lengths."""
        return self.domain[self.split :]

    # -- joining ---------------------------------------------------------------------------

    def join(self, step: Instruction) -> bool:
        """Add an instruction if it fits; otherwise change nothing."""
        if len(self.steps) >= MOST_STEPS:
            return False
        if step.kind == "reduce":
            return self._join_reduction(step)
        shape = step.inputs[0].shape if step.kind == "check" else step.output.shape  # type: ignore[union-attr]
        size = math.prod(shape)
        if size == self.size and self._join_map(step, shape, "full"):
            return True
        return (
            self.split is not None
            and size == math.prod(self.outer)
            and self._join_map(step, shape, "row")
        )

    def _join_map(self, step: Instruction, shape: Sizes, level: Level) -> bool:
        found: dict[tuple[Operand, Level], Access] = {}
        for x in step.inputs:
            if x is not None and not self._reads(x, shape, level, found):
                return False
        self.accesses.update(found)
        self.steps.append(step)
        for output in step.outputs:
            self.levels[output] = level
        return True

    def _reads(
        self,
        x: Operand,
        shape: Sizes,
        level: Level,
        found: dict[tuple[Operand, Level], Access],
    ) -> bool:
        """Whether `x`, stretched to a shape, can be read in this domain."""
        root = x.root
        made = self.levels.get(root)
        if made is None:
            if x.uniform is not None:
                return True
            known = found.get((x, level)) or self.accesses.get((x, level))
            if known is not None:
                # Stretched to another shape of as many elements, it would be read otherwise.
                return x.size == self.size or known == self._access(x, shape, level)
            access = self._access(x, shape, level)
            if access is None:
                return False
            found[x, level] = access
            return True
        if made == "late":
            return False
        if made == level:
            return x.size == root.size and x.is_contiguous and _plain(x.shape) == _plain(shape)
        if made == "full":
            return False
        # A row's value, the same along the inner dimensions.
        view = views.reshaped(views.broadcast(x, shape), self.domain)
        if view is None or view.constant is not None or view.offset:
            return False
        split = len(self.outer)
        return _same_strides(view.strides[:split], contiguous(self.outer), self.outer) and all(
            s == 0 or n == 1 for s, n in zip(view.strides[split:], self.inner, strict=True)
        )

    def _access(self, x: Operand, shape: Sizes, level: Level) -> Access | None:
        target = self.domain if level == "full" else (*self.outer, *[1] * len(self.inner))
        view = views.reshaped(views.broadcast(x, shape), target)
        if view is None:
            return None
        value = view.constant
        if value is not None:
            if any(n < 0 for n in value.strides):
                value = np.ascontiguousarray(value)
                view = Operand(view.shape, view.dtype, constant=value, label=view.label)
            size = view.dtype.itemsize
            steps = zip(target, value.strides, strict=True)
            return Access(view, 0, tuple([0 if n == 1 else s // size for n, s in steps]))
        strides = tuple([0 if n == 1 else s for n, s in zip(target, view.strides, strict=True)])
        return Access(x.root, view.offset, strides)

    def _join_reduction(self, step: Instruction) -> bool:
        (x,) = step.inputs
        assert x is not None
        first, stop = step.attrs["axes"]
        if _plain(x.shape) != _plain(self.domain):
            return False
        if x.shape != self.domain:
            # The same lengths but for ones: find the axes among the domain's.
            first, stop = _matching_axes(x.shape, first, stop, self.domain)
        level: Level
        rest = math.prod(self.domain[stop:])
        before = math.prod(self.domain[:first])
        if rest == 1 and before == 1:
            level = "late"
        elif rest == 1:
            if self.split is not None and _lengths(self.domain[first:]) != _lengths(self.inner):
                return False
            level = "row"
        else:
            if self.split is not None and _lengths(self.domain[stop:]) != _lengths(self.inner):
                return False
            if self.batch is not None and math.prod(self.domain[: self.batch]) != before:
                return False
            level = "late"
        found: dict[tuple[Operand, Level], Access] = {}
        if not self._reads(x, x.shape, "full", found):
            return False
        if level == "row":
            self.split = first if self.split is None else self.split
        elif rest > 1:
            self.split = stop if self.split is None else self.split
            self.batch = first
        self.accesses.update(found)
        self.steps.append(step)
        self.levels[step.output] = level
        return True


#: What a program is cut into: a group, or one instruction of another kind.
Piece: TypeAlias = "Group | Instruction"


def steps_of(piece: Piece | Finished) -> Sequence[Instruction]:
    """The instructions of a piece."""
    if isinstance(piece, Instruction):
        return [piece]
    if isinstance(piece, Group):
        return piece.steps
    return [piece.kernel, *piece.group.steps]


def fuse(program: Program) -> list[Piece]:
    """A program's instructions in groups, in an order in which they can run."""
    pieces: list[Piece] = []
    made_in: dict[Operand, int] = {}
    read_in: dict[Operand, int] = {}
    for step in program.instructions:
        roots = [x.root for x in step.inputs if x is not None and x.constant is None]
        earliest = max([made_in.get(root, -1) for root in roots], default=-1)
        if step.kind not in ("map", "reduce", "check"):
            place = len(pieces)
            pieces.append(step)
        else:
            place = _place(pieces, step, roots, earliest, made_in, read_in)
        for root in roots:
            read_in[root] = max(place, read_in.get(root, -1))
        for output in step.outputs:
            made_in[output] = place
    return _merged(pieces, made_in)


def _merged(pieces: list[Piece], made_in: dict[Operand, int]) -> list[Piece]:
    """The same with groups over one domain joined, where the order of the others allows it.

    Steps come in the order in which the graph was built, so what belongs together may have begun
    in two places: a moment and a weight, say, whose update reads both.
    """
    places: list[Piece | None] = list(pieces)
    readers: dict[Operand, set[int]] = {}
    for i, piece in enumerate(pieces):
        for root in reads_of(piece):
            readers.setdefault(root, set()).add(i)
    for i in reversed(range(len(pieces))):
        group = places[i]
        if not isinstance(group, Group):
            continue
        tried: set[int] = set()
        while True:
            near = {made_in[root] for root in reads_of(group) if root in made_in}
            for root in reads_of(group):
                near.update(readers.get(root, ()))
            candidates = sorted([a for a in near if a < i and a not in tried], reverse=True)
            found = None
            for a in candidates[:8]:
                tried.add(a)
                found = _joined(places, a, i, made_in, readers)
                if found is not None:
                    break
            if found is None:
                break
            other = places[a]
            assert isinstance(other, Group)
            group = found
            places[i], places[a] = found, None
            for step in other.steps:
                for output in step.outputs:
                    made_in[output] = i
            for root in reads_of(other):
                readers[root].discard(a)
                readers[root].add(i)
    return [piece for piece in places if piece is not None]


def _joined(
    places: list[Piece | None],
    a: int,
    b: int,
    made_in: dict[Operand, int],
    readers: dict[Operand, set[int]],
) -> Group | None:
    """The groups at two places as one at the later of them, or None if that cannot be."""
    first, second = places[a], places[b]
    if (
        not isinstance(first, Group)
        or not isinstance(second, Group)
        or first.size != second.size
        or len(first.steps) + len(second.steps) > MOST_STEPS
    ):
        return None
    for step in first.steps:
        for output in step.outputs:
            if any(a < reader < b for reader in readers.get(output, ())):
                return None
    group = Group(second.domain if len(second.domain) >= len(first.domain) else first.domain)
    for step in (*first.steps, *second.steps):
        if not group.join(step):
            return None
    return group


def reads_of(piece: Piece) -> list[Operand]:
    """The operands that a piece reads and does not make."""
    steps = steps_of(piece)
    made = {out for step in steps for out in step.outputs}
    found: dict[Operand, None] = {}
    for step in steps:
        for x in step.inputs:
            if x is not None and x.constant is None and x.root not in made:
                found[x.root] = None
    return list(found)


def _place(
    pieces: list[Piece],
    step: Instruction,
    roots: list[Operand],
    earliest: int,
    made_in: dict[Operand, int],
    read_in: dict[Operand, int],
) -> int:
    """Put a step into the latest group that it is connected with and fits, or into a new one."""
    tried = set()
    for index in sorted({earliest, *[read_in.get(root, -1) for root in roots]}, reverse=True):
        if index >= earliest and index >= 0 and index not in tried:
            tried.add(index)
            group = pieces[index]
            if isinstance(group, Group) and group.join(step):
                return index
    domain = step.inputs[0].shape if step.kind != "map" else step.output.shape  # type: ignore[union-attr]
    group = Group(domain)
    pieces.append(group)
    joined = group.join(step)
    assert joined, step
    return len(pieces) - 1


def _plain(shape: Sizes) -> Sizes:
    """The lengths other than 1."""
    return tuple([n for n in shape if n != 1])


def _lengths(shape: Sizes) -> Sizes:
    return _plain(shape)


def _same_strides(have: Sizes, want: Sizes, shape: Sizes) -> bool:
    return all(n == 1 or h == w for h, w, n in zip(have, want, shape, strict=True))


def _matching_axes(shape: Sizes, first: int, stop: int, domain: Sizes) -> tuple[int, int]:
    """The range of axes in `domain` that holds what the range holds in `shape`."""
    skipped = len(_plain(shape[:first]))
    held = len(_plain(shape[first:stop]))
    places = [i for i, n in enumerate(domain) if n != 1]
    if held == 0:
        return 0, 0
    return places[skipped], places[skipped + held - 1] + 1

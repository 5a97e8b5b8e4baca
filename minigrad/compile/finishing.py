"""Loops that finish what a product or a convolution makes, while it is still in registers.

A bias that is added and an activation need not read the results again: the kernel applies them to
every vector before it stores it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from minigrad.compile.fuse import Access, Group, Piece, reads_of, steps_of
from minigrad.compile.program import Instruction, Operand, Program, contiguous, needed_by

#: The kernels that keep numbers in memory of their own until they are finished.
_DRAWS = frozenset(["random_uniform", "random_normal", "truncated_normal", "random_integers"])
#: The kernels that let others finish their results.
_FINISHED = _DRAWS | {"product", "convolution", "convolution_transpose", "max_pool_gradient"}
#: Longer loops are better off on their own.
_MOST_STEPS = 24


class Finished(NamedTuple):
    """A kernel and the steps that finish its results.

    Attributes:
        kernel: the instruction that makes the results.
        group: the steps.
        stored: the value that lies where the kernel's result would, were it not finished.
        writes: the other values that must be in memory.
        walks: for every operand that the steps read, its strides over rows and columns.
    """

    kernel: Instruction
    group: Group
    stored: Operand
    writes: list[Operand]
    walks: dict[Access, tuple[int, int]]


def finished(pieces: Sequence[Piece], program: Program) -> list[Piece | Finished]:
    """The pieces with loops joined to the kernels whose results they finish, where that can be."""
    needed = needed_by([steps_of(piece) for piece in pieces], program)
    made_in = {
        out: i for i, piece in enumerate(pieces) for step in steps_of(piece) for out in step.outputs
    }
    readers: dict[Operand, list[int]] = {}
    for i, piece in enumerate(pieces):
        for root in reads_of(piece):
            readers.setdefault(root, []).append(i)
    results = {x.root for x in program.results}
    made: list[Piece | Finished | None] = list(pieces)
    for i, piece in enumerate(pieces):
        if isinstance(piece, Group) or piece.name not in _FINISHED or len(piece.outputs) != 1:
            continue
        out = piece.output
        for j in readers.get(out, ()):
            group = made[j]
            if not isinstance(group, Group) or any(
                made_in.get(root, -1) >= i for root in reads_of(group) if root is not out
            ):
                continue
            kept = out in results or len(readers[out]) > 1
            found = _finished(piece, group, needed, kept)
            if found is not None:
                made[i], made[j] = found, None
                for step in group.steps:
                    for x in step.outputs:
                        made_in[x] = i
                break
    return [piece for piece in made if piece is not None]


def _finished(
    kernel: Instruction, group: Group, needed: set[Operand], kept: bool
) -> Finished | None:
    """A kernel with a group that finishes its results; None if that cannot be."""
    out = kernel.output
    domain = group.domain
    columns = out.shape[-1] if out.shape else 1
    if (
        group.split is not None
        or group.size != out.size
        or not domain
        or domain[-1] != columns
        or len(group.steps) > _MOST_STEPS
        or any(step.kind != "map" for step in group.steps)
    ):
        return None
    walks: dict[Access, tuple[int, int]] = {}
    for access in group.accesses.values():
        if access.root is out:
            if access.offset or access.strides != _plain_strides(domain):
                return None
            continue
        walk = _walk(domain, access)
        if walk is None:
            return None
        walks[access] = walk
    writes = [x for step in group.steps for x in step.outputs if x in needed]
    if kept:
        return Finished(kernel, group, out, writes, walks)
    # What lies in the place of the results must be as wide, unless they never lie there.
    stored = next((x for x in writes if x.dtype == out.dtype or kernel.name in _DRAWS), None)
    if stored is None:
        return None
    return Finished(kernel, group, stored, [x for x in writes if x is not stored], walks)


def _plain_strides(domain: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([0 if n == 1 else s for n, s in zip(domain, contiguous(domain), strict=True)])


def _walk(domain: tuple[int, ...], access: Access) -> tuple[int, int] | None:
    """The strides of an access over rows and columns; None if the rows lie irregularly."""
    *outer, columns = zip(domain, access.strides, strict=True)
    if columns[1] not in (0, 1):
        return None
    rows = [(n, s) for n, s in outer if n != 1]
    for (_, stride), (n, inner) in itertools.pairwise(rows):
        if stride != inner * n:
            return None
    return (rows[-1][1] if rows else 0), columns[1]

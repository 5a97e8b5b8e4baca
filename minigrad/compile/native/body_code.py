"""The code of bodies of branches and loops.

A body is laid out like a program of its own: what it is given and what it returns are pointers in
a table, what is between lies in the scratch memory of the branch or loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minigrad.compile.arena import Lifetime, plan_arena
from minigrad.compile.native.kernel import Arg, PieceCode
from minigrad.compile.native.stretch import Call, Place, emit_part
from minigrad.compile.native.writer import Module
from minigrad.compile.program import Operand, Program

#: Cuts a program and writes its functions; see `minigrad.compile.native.pieces.emit_pieces`.
EmitPieces = Callable[[Module, Program], tuple[Any, "list[PieceCode | None]"]]


class BodyCode(NamedTuple):
    """The code of a body.

    Attributes:
        function: ``i32 @f(ptr table, ptr scratch, ptr flag, ptr state)``.
        table: what the pointers in the table point to: feeds, then fetches, then constants.
        scratch: bytes of memory that it needs.
        work: nanoseconds of one run.
        pieces: what it consists of.
    """

    function: str
    table: list[Operand]
    scratch: int
    work: float
    pieces: Sequence[Any]


def emit_body(
    module: Module, program: Program, emit_pieces: EmitPieces, *, alone: bool = False
) -> BodyCode | None:
    """Write the code of a body, for one thread or all; None if a part of it has no native form."""
    pieces, made = emit_pieces(module, program)
    codes = [code for code in made if code is not None]
    if len(codes) < len(made):
        return None
    table = [*program.feeds, *program.fetches]
    places = {x: Place(i, 0) for i, x in enumerate(table)}
    lifetimes = []
    last: dict[Operand, int] = {}
    first: dict[Operand, int] = {}
    for i, code in enumerate(codes):
        for arg in code.args:
            if arg.root.constant is not None and arg.root not in places:
                places[arg.root] = Place(len(table), 0)
                table.append(arg.root)
            if arg.root not in places:
                first.setdefault(arg.root, i)
                last[arg.root] = i
        if code.kernel.scratch_bytes:
            lifetimes.append(Lifetime(i, code.kernel.scratch_bytes, i, i))
    lifetimes += [Lifetime(x, x.nbytes, first[x], last[x]) for x in first]
    arena = plan_arena(lifetimes)
    for x in first:
        places[x] = Place(-1, arena.offsets[x])

    def placed(args: Sequence[Arg]) -> list[Place]:
        found = [(places[arg.root], arg.offset) for arg in args]
        return [Place(at.object, at.offset + offset) for at, offset in found]

    calls = [
        Call(
            code.kernel,
            placed([*code.reads, *code.writes]),
            arena.offsets.get(i, 0),
            placed(code.more),
        )
        for i, code in enumerate(codes)
    ]
    name = module.shared(
        ("block", program),
        lambda name: emit_part(module, name, calls, polling=False, alone=alone),
    )
    work = sum([phase.work for code in codes for phase in code.kernel.phases])
    return BodyCode(name, table, arena.size, work + 5.0 * len(calls), pieces)


def distinct(operands: Sequence[Operand | None]) -> list[Operand]:
    """Every operand that is there, once."""
    return [x for x in dict.fromkeys(operands) if x is not None]


def args_of(operands: Sequence[Operand]) -> list[Arg]:
    """The args by which a function is given operands."""
    return [Arg(x.root, x.offset * x.dtype.itemsize) for x in operands]


def constants_of(body: BodyCode) -> list[Operand]:
    """The constants that a body reads."""
    return [x for x in body.table if x.constant is not None]

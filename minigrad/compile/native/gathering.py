"""Rows picked from an array, and added to the rows of one."""

from __future__ import annotations

from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import copy, fill, pieces, plus, split_index, times
from minigrad.compile.native.types import I64, Type, memory_bytes, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.program import Instruction

#: Rows are cut into blocks of so many elements, for several threads.
_BLOCK = 16384
#: Sums are made by at most so many units of rows, each of which reads all the row numbers.
_MOST_UNITS = 64
#: So many vectors are added without a loop.
_UNROLLED = 4


def emit_gather(module: Module, step: Instruction) -> Kernel:
    """Of x (outer, count, inner) and row numbers (n,): (outer, n, inner)."""
    x = step.inputs[0]
    assert x is not None
    outer, count, inner = x.shape
    n = step.output.shape[1]
    t = type_of(step.output.dtype)
    if t.kind == "bool":
        t = Type("uint", 8)
    full = inner // _BLOCK if inner >= 2 * _BLOCK else 0
    phases = []
    for start, blocks, length in ((0, full, _BLOCK), (full * _BLOCK, 1, inner - full * _BLOCK)):
        if not blocks * length:
            continue
        w = kernel_function(module)
        given, rows, made = operand(w, 0), operand(w, 1), operand(w, 2)
        _, lo, hi = w.parameters
        with w.loop(lo, hi) as loop:
            o, i, block = split_index(w, loop.index, outer, n, blocks)
            row = plus(w, times(w, o, count), _row(w, rows, i, count))
            at = plus(w, start, times(w, block, length))
            source = w.at(given, plus(w, times(w, row, inner), at), t)
            place = plus(w, times(w, plus(w, times(w, o, n), i), inner), at)
            copy(w, source, w.at(made, place, t), length, t)
        units = outer * n * blocks
        phases.append(Phase(w.finish_once(), units, units * (5 + length * memory_bytes(t) / 20)))
    return Kernel(tuple(phases))


def emit_scatter_add(module: Module, step: Instruction) -> Kernel:
    """Of values (outer, n, inner) and row numbers (n,): (outer, count, inner), in their order.

    A unit of work has some rows of the result to itself and looks for their numbers among all.
    """
    outer, count, inner = step.output.shape
    values = step.inputs[0]
    assert values is not None
    n = values.shape[1]
    t = type_of(step.output.dtype)
    wanted = min(count * inner // _BLOCK, inner // 8, count, _MOST_UNITS)
    rows_of_unit = -(-count // max(wanted, 1))
    parts = -(-count // rows_of_unit)
    w = kernel_function(module)
    given, rows, made = operand(w, 0), operand(w, 1), operand(w, 2)
    _, lo, hi = w.parameters
    with w.loop(lo, hi) as loop:
        o, part = split_index(w, loop.index, outer, parts)
        first = times(w, part, rows_of_unit)
        stop = w.minimum(plus(w, first, rows_of_unit), w.index(count))
        base = times(w, o, count)
        with w.loop(first, stop) as row:
            place = times(w, plus(w, base, row.index), inner)
            fill(w, w.at(made, place, t), inner, t)
        with w.loop(0, n) as each:
            number = _row(w, rows, each.index, count)
            mine = w.and_(w.compare(">=", number, first), w.compare("<", number, stop))
            with w.when(mine):
                source = times(w, plus(w, times(w, o, n), each.index), inner)
                target = times(w, plus(w, base, number), inner)
                _add(w, w.at(given, source, t), w.at(made, target, t), inner, t)
    units = outer * parts
    moved = 0.15 * memory_bytes(t) * outer * inner * (n + count / 2)
    return Kernel((Phase(w.finish_once(), units, units * n + moved),))


def _row(w: Writer, rows: Value, index: Value, count: int) -> Value:
    """A row's number; one out of range, which a check has seen, is the nearest that exists."""
    found = w.load(w.at(rows, index, I64), I64)
    return w.maximum(w.minimum(found, w.index(count - 1)), w.index(0))


def _add(w: Writer, source: Value, target: Value, count: int, t: Type) -> None:
    """Add `count` elements to those at the target."""

    def one(at: Value | int, lanes: int) -> None:
        there = w.at(target, at, t)
        total = w.add(w.load(there, t.of(lanes)), w.load(w.at(source, at, t), t.of(lanes)))
        w.store(total, there)

    lanes = w.module.lanes(t)
    looped = 0
    if count > 2 * _UNROLLED * lanes:
        looped = count - count % (_UNROLLED * lanes)
        with w.loop(0, looped, _UNROLLED * lanes) as loop:
            for i in range(_UNROLLED):
                one(plus(w, loop.index, i * lanes), lanes)
    for start, some in pieces(count - looped, lanes):
        one(looped + start, some)

"""An array put together from parts, each of them copied to where it belongs."""

from __future__ import annotations

import math
from typing import NamedTuple

from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import copy, plus, split_index, times
from minigrad.compile.native.types import Type, memory_bytes, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.placing import Region
from minigrad.compile.program import Instruction, Operand

#: With more parts than this the code would be too much.
_MOST_PARTS = 256
#: A long row is cut into blocks of so many elements, for several threads.
_BLOCK = 16384
#: Elements moved one by one are moved so many at a turn of the loop.
_UNROLLED = 4


class _Axis(NamedTuple):
    """One axis of a copy: its length, and the elements from one index to the next."""

    length: int
    source: int
    target: int


def emit_place(module: Module, step: Instruction) -> Kernel | None:
    """The parts are the inputs, where they go is the attribute ``regions``; later ones count."""
    parts = [x for x in step.inputs if x is not None]
    if len(parts) > _MOST_PARTS:
        return None
    t = type_of(step.output.dtype)
    if t.kind == "bool":
        t = Type("uint", 8)
    phases: list[Phase] = []
    for i, (x, region) in enumerate(zip(parts, step.attrs["regions"], strict=True)):
        axes = _axes(x, region)
        *outer, row = axes
        full = row.length - row.length % _BLOCK
        if math.prod([a.length for a in outer]) > 1 or full < 2 * _BLOCK:
            phases.append(_copy(module, t, (i, 0), (len(parts), region.offset), axes))
            continue
        blocks = _Axis(full // _BLOCK, row.source * _BLOCK, row.target * _BLOCK)
        source, target = (i, 0), (len(parts), region.offset)
        phases.append(_copy(module, t, source, target, [blocks, row._replace(length=_BLOCK)]))
        if full < row.length:
            source = (i, full * row.source)
            target = (len(parts), region.offset + full * row.target)
            rest = row._replace(length=row.length - full)
            phases.append(_copy(module, t, source, target, [rest]))
    return Kernel(tuple(phases))


def _axes(x: Operand, region: Region) -> list[_Axis]:
    """The axes of a part, in the order of the whole, joined where they can be; at least one."""
    strides = x.strides
    if x.constant is not None:
        size = x.dtype.itemsize
        strides = tuple([s // size for s in x.constant.strides])
    axes = [
        _Axis(*axis) for axis in zip(x.shape, strides, region.strides, strict=True) if axis[0] != 1
    ]
    axes.sort(key=lambda a: abs(a.target), reverse=True)
    joined: list[_Axis] = []
    for a in axes:
        if joined:
            over = joined[-1]
            if (over.source, over.target) == (a.length * a.source, a.length * a.target):
                joined[-1] = a._replace(length=over.length * a.length)
                continue
        joined.append(a)
    return joined or [_Axis(1, 1, 1)]


def _copy(
    module: Module, t: Type, source: tuple[int, int], target: tuple[int, int], axes: list[_Axis]
) -> Phase:
    """Copy from an operand, from an element on, to another; units are all but the last axis."""
    *outer, row = axes
    units = math.prod([a.length for a in outer])
    w = kernel_function(module)
    _, lo, hi = w.parameters
    given, made = operand(w, source[0]), operand(w, target[0])
    with w.loop(lo, hi) as loop:
        index = split_index(w, loop.index, *[a.length for a in outer]) if outer else []
        from_ = [times(w, i, a.source) for i, a in zip(index, outer, strict=True)]
        to = [times(w, i, a.target) for i, a in zip(index, outer, strict=True)]
        here = w.at(given, plus(w, source[1], *from_), t)
        there = w.at(made, plus(w, target[1], *to), t)
        _move(w, here, there, row, t)
    stepped = 1 if row.target == 1 and row.source in (0, 1) else 8
    work = row.length * memory_bytes(t) * stepped / 20
    return Phase(w.finish_once(), units, units * (4 + work))


def _move(w: Writer, source: Value, target: Value, row: _Axis, t: Type) -> None:
    """Copy the elements of one axis."""
    if row.source == 1 and row.target == 1:
        copy(w, source, target, row.length, t)
        return
    value = w.load(source, t) if row.source == 0 else None
    lanes = w.module.lanes(t) if value is not None and row.target == 1 else 1
    wide = None if value is None else w.splat(value, lanes) if lanes > 1 else value

    def one(index: Value) -> None:
        found = wide
        if found is None:
            found = w.load(w.at(source, times(w, index, row.source), t), t)
        w.store(found, w.at(target, times(w, index, row.target), t))

    step = lanes * _UNROLLED
    whole = row.length - row.length % step
    if whole:
        with w.loop(0, whole, step) as loop:
            for i in range(_UNROLLED):
                one(plus(w, loop.index, i * lanes))
    for i in range(whole, row.length - row.length % lanes, lanes):
        one(w.index(i))
    wide = value
    for i in range(row.length - row.length % lanes, row.length):
        one(w.index(i))

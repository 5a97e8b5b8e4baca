"""One native function for a stretch of a program: it calls kernel after kernel.

``i64 @name(ptr objects, ptr frame)`` is entered with a Python list of arrays, whose data pointers
it reads itself, because from Python that takes a microsecond an array. The frame holds addresses:
of the arena, of the type ndarray, and of the dtype of each array that is to be checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.native.kernel import Kernel
from minigrad.compile.native.objects import (
    BEHAVED,
    DATA,
    DTYPE,
    FLAGS,
    LENGTHS,
    LIST_ITEMS,
    RANK,
    TYPE,
)
from minigrad.compile.native.types import BOOL, I32, I64, PTR
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.core.tensor import Array

#: What a stretch returns, other than 0: a check has failed; Ctrl-C was pressed; or an array is no
#: ndarray of the shape and dtype that was compiled for, aligned and in C order: nothing was done.
FAILED = 1
STOPPED = 2
UNFIT = 3

#: Kernels that take longer (nanoseconds) are given to all threads.
PARALLEL_WORK = 10_000.0
#: Stretches that take longer release the GIL; those that take still longer look for signals.
RELEASING_WORK = 100_000.0
POLLING_WORK = 2_000_000.0
#: Kernels called from one function: compilers take longer than linearly.
_CALLS = 40


class Place(NamedTuple):
    """Where an operand's elements lie.

    Attributes:
        object: the position of its array among the objects, or -1: it lies in the arena.
        offset: bytes from the start of the array, or of the arena.
    """

    object: int
    offset: int


class Call(NamedTuple):
    """One kernel to be called.

    Attributes:
        kernel: its functions.
        args: where its operands lie.
        scratch: where its scratch memory begins in the arena.
        more: where its epilogue's operands lie.
    """

    kernel: Kernel
    args: Sequence[Place]
    scratch: int
    more: Sequence[Place] = ()


def emit_stretch(
    module: Module,
    name: str,
    calls: Sequence[Call],
    objects: int,
) -> None:
    """Write the function of a stretch.

    Args:
        module: where to; it holds the kernels' functions.
        name: how to call it.
        calls: the kernels in order.
        objects: how many arrays there are.
    """
    work = sum([phase.work for call in calls for phase in call.kernel.phases])
    polling = work > POLLING_WORK
    parts = [calls[i : i + _CALLS] for i in range(0, len(calls), _CALLS)]
    names = [f"{name}_{i}" for i in range(len(parts))]
    for part_name, part in zip(names, parts, strict=True):
        emit_part(module, part_name, part, polling=polling)
    w = module.function(name, [("objects", PTR), ("frame", PTR)], I64, linkage="")
    listed, frame = w.parameters
    arena = w.load(frame, PTR)
    pointers = w.reserve(max(objects, 1), PTR)
    flag = w.reserve(1, I32)
    w.store(w.const(0, I32), flag)
    items = _pointer_at(w, listed, LIST_ITEMS)
    check = module.shared("check arrays", lambda name: _emit_check(module, name))
    unfit = w.call(check, items, frame, result=I64)
    assert unfit is not None
    _require(w, w.compare("==", unfit, w.index(0)))
    with w.loop(0, objects) as loop:
        item = w.load(w.at(items, loop.index, PTR), PTR)
        w.store(_pointer_at(w, item, DATA), w.at(pointers, loop.index, PTR))
    released = work > RELEASING_WORK
    state: Value = w.const(0, PTR)
    if released:
        module.declare("ptr @PyEval_SaveThread()")
        module.declare("void @PyEval_RestoreThread(ptr)")
        state = w.reserve(2, I64)
        saved = w.make(PTR, "call ptr @PyEval_SaveThread()")
        w.store(saved, state)
        w.store(w.const(0, I64), w.at(state, 1, I64))
    end = w.label("end")
    stopped = w.const(0, I32)
    ways: list[tuple[Value, str]] = []
    for part_name in names:
        made = w.call(part_name, pointers, arena, flag, state, result=I32)
        assert made is not None
        if polling or any(call.kernel.stops for call in calls):
            following = w.label("on")
            bad = w.compare("!=", made, w.const(0, I32))
            ways.append((made, w.block))
            w.put(f"br i1 {bad.text}, label %{end}, label %{following}")
            w.begin(following)
    ways.append((stopped, w.block))
    w.put(f"br label %{end}")
    w.begin(end)
    incoming = ", ".join([f"[{value.text}, %{block}]" for value, block in ways])
    halted = w.make(I32, f"phi i32 {incoming}")
    if released:
        w.call("PyEval_RestoreThread", w.load(state, PTR))
    failed = w.load(flag, I32)
    code = w.select(
        w.compare("!=", halted, w.const(0, I32)),
        w.const(STOPPED, I64),
        w.convert(failed, I64),
    )
    w.finish(code)


def _emit_check(module: Module, name: str) -> None:
    """Write a function that looks at arrays: 0 if all are what was compiled for, else `UNFIT`.

    What is expected stands in the frame, as `frame_of` lays it out.
    """
    w = module.function(name, [("items", PTR), ("frame", PTR)], I64, attributes="noinline")
    items, frame = w.parameters
    ndarray = _pointer_at(w, frame, 8)
    count = w.load(_offset(w, frame, 16), I64)
    with w.loop(0, count, 1, [_offset(w, frame, 24)]) as loop:
        (expected,) = loop.values
        position = w.load(expected, I64)
        item = w.load(w.at(items, position, PTR), PTR)
        _require(w, w.make(BOOL, f"icmp eq ptr {_pointer_at(w, item, TYPE).text}, {ndarray.text}"))
        dtype = _pointer_at(w, expected, 8)
        good = w.make(BOOL, f"icmp eq ptr {_pointer_at(w, item, DTYPE).text}, {dtype.text}")
        flags = w.and_(w.load(_offset(w, item, FLAGS), I32), w.const(BEHAVED, I32))
        good = w.and_(good, w.compare("==", flags, w.const(BEHAVED, I32)))
        rank = w.load(_offset(w, expected, 16), I64)
        found = w.convert(w.load(_offset(w, item, RANK), I32), I64)
        _require(w, w.and_(good, w.compare("==", rank, found)))
        lengths = _pointer_at(w, item, LENGTHS)
        shape = _offset(w, expected, 24)
        with w.loop(0, rank) as axes:
            length = w.load(w.at(lengths, axes.index, I64), I64)
            _require(w, w.compare("==", length, w.load(w.at(shape, axes.index, I64), I64)))
        loop.next = (w.at(shape, rank, I64),)
    w.finish(w.index(0))


def frame_of(arena: int, checked: Sequence[tuple[int, np.dtype[Any], Sequence[int]]]) -> Array:
    """What native code reads at its entry.

    Args:
        arena: the arena's address.
        checked: position, dtype and shape of every array that must be looked at before use.
    """
    words = [arena, id(np.ndarray), len(checked)]
    for position, dtype, shape in checked:
        words += [position, id(dtype), len(shape), *shape]
    return np.array(words, np.int64)


def _require(w: Writer, condition: Value) -> None:
    unfit, on = w.label("unfit"), w.label("on")
    w.put(f"br i1 {condition.text}, label %{on}, label %{unfit}")
    w.begin(unfit)
    w.put(f"ret i64 {UNFIT}")
    w.begin(on)


def emit_part(
    module: Module, name: str, calls: Sequence[Call], *, polling: bool, alone: bool = False
) -> None:
    """Write a function that calls some of the kernels; non-zero when it was told to stop.

    Args:
        module: where to.
        name: how to call it.
        calls: the kernels in order.
        polling: whether it looks for signals.
        alone: whether one thread does it all.
    """
    w = module.function(
        name,
        [("objects", PTR), ("arena", PTR), ("flag", PTR), ("state", PTR)],
        I32,
        attributes="noinline",
    )
    objects, arena, flag, state = w.parameters
    most = max([len(call.args) + len(call.more) for call in calls], default=0) + 3
    args = w.reserve(most, PTR)
    base: dict[int, Value] = {-1: arena}

    def address(place: Place) -> Value:
        start = base.get(place.object)
        if start is None:
            start = base[place.object] = w.load(w.at(objects, place.object, PTR), PTR)
        return _offset(w, start, place.offset)

    since = 0.0
    for call in calls:
        places = [*call.args, Place(-1, call.scratch), *call.more]
        for i, place in enumerate(places):
            w.store(address(place), w.at(args, i, PTR))
        w.store(flag, w.at(args, len(places), PTR))
        if call.kernel.stops:
            w.store(state, w.at(args, len(places) + 1, PTR))
        for phase in call.kernel.phases:
            if phase.units <= 0:
                continue
            if not alone and phase.units > 1 and phase.work > PARALLEL_WORK:
                module.declare("void @mg_parallel(ptr, ptr, i64)")
                w.put(
                    f"call void @mg_parallel(ptr @{phase.function}, {args.typed}, "
                    f"i64 {phase.units})"
                )
            else:
                w.call(phase.function, args, w.index(0), w.index(phase.units))
            since += phase.work
            if polling and since > POLLING_WORK:
                since = 0.0
                _poll(w, state)
        if call.kernel.stops:
            _leave_if(w, w.compare("==", w.load(flag, I32), w.const(STOPPED, I32)), STOPPED)
    if polling:
        _poll(w, state)
    w.finish(w.const(0, I32))


def _poll(w: Writer, state: Value) -> None:
    """Look for signals; leave the function if there is one."""
    w.module.declare("i32 @mg_poll(ptr)")
    code = w.call("mg_poll", state, result=I32)
    assert code is not None
    _leave_if(w, w.compare("!=", code, w.const(0, I32)), STOPPED)


def _leave_if(w: Writer, condition: Value, code: int) -> None:
    stop, on = w.label("stop"), w.label("on")
    w.put(f"br i1 {condition.text}, label %{stop}, label %{on}")
    w.begin(stop)
    w.put(f"ret i32 {code}")
    w.begin(on)


def _pointer_at(w: Writer, base: Value, offset: int) -> Value:
    return w.load(_offset(w, base, offset), PTR)


def _offset(w: Writer, base: Value, offset: int) -> Value:
    if offset == 0:
        return base
    return w.make(PTR, f"getelementptr i8, ptr {base.text}, i64 {offset}")


__all__ = [
    "FAILED",
    "STOPPED",
    "UNFIT",
    "Call",
    "Place",
    "emit_part",
    "emit_stretch",
    "frame_of",
]

"""Notes about Inf and NaN: only then do products with the zeros of the padding matter."""

from __future__ import annotations

from minigrad.compile.native.kernel import Phase, kernel_function, operand
from minigrad.compile.native.memory import byte, load_some, times
from minigrad.compile.native.types import BOOL, I32, Type, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

#: Vectors that are looked at side by side.
_UNROLLED = 4


def emit_notes(
    module: Module, t: Type, count: int, units: int, source: int, scratch: int, start: int
) -> Phase:
    """Note for each of `units` parts of the operand `source` whether it has Inf or NaN.

    The notes go to the operand `scratch`, from byte `start` on.
    """
    lanes = module.lanes(t)
    step = lanes * _UNROLLED
    part = -(-count // (units * step)) * step
    rest = count % step
    whole = count - rest
    w = kernel_function(module)
    _, lo, hi = w.parameters
    x, notes = operand(w, source), byte(w, operand(w, scratch), start)
    zero = w.const(0, t.of(lanes))
    with w.loop(lo, hi) as loop:
        first = times(w, loop.index, part)
        stop = w.minimum(w.add(first, w.index(part)), w.index(whole))
        with w.loop(first, stop, step, carried=[zero] * _UNROLLED) as vectors:
            here = w.at(x, vectors.index, t)
            vectors.next = tuple(
                w.fma(w.load(w.at(here, i * lanes, t), zero.type), zero, seen)
                for i, seen in enumerate(vectors.values)
            )
        seen, *others = vectors.results
        for other in others:
            seen = w.add(seen, other)
        note(w, seen, w.at(notes, loop.index, I32))
        if rest:
            with w.when(w.compare("==", loop.index, w.index(whole // part))):
                tail = w.at(x, whole, t)
                for i in range(0, rest, lanes):
                    some = load_some(w, w.at(tail, i, t), zero.type, min(lanes, rest - i))
                    seen = w.fma(some, zero, seen)
                note(w, seen, w.at(notes, loop.index, I32))
    return Phase(w.finish_once(), units, count * memory_bytes(t) / 25)


def note(w: Writer, seen: Value, address: Value) -> None:
    """Write whether the sum of 0 times the elements, which is 0 or NaN, is NaN."""
    bad = w.any(w.is_nan(seen))
    w.store(w.make(I32, f"zext i1 {bad.text} to i32"), address)


def any_flag(w: Writer, notes: Value, units: int) -> Value:
    """Whether any unit of packing met Inf or NaN."""
    with w.loop(0, units, carried=[w.const(0, I32)]) as loop:
        note = w.load(w.at(notes, loop.index, I32), I32)
        loop.next = (w.or_(loop.values[0], note),)
    return w.make(BOOL, f"icmp ne i32 {loop.results[0].text}, 0")

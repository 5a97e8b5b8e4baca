"""Moving elements: copies, fills, transposes of squares, and the parts of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigrad.compile.native.types import PTR, Type
from minigrad.compile.native.writer import Value, Writer

#: So many vectors are moved without a loop.
_UNROLLED = 8


def split_index(w: Writer, index: Value, *counts: int) -> list[Value]:
    """The parts of an index that counts through axes of these lengths, the last one fastest."""
    parts: list[Value] = []
    for count in reversed(counts[1:]):
        if count == 1:
            parts.append(w.index(0))
            continue
        over = w.div(index, w.index(count))
        parts.append(w.sub(index, times(w, over, count)))
        index = over
    return [index, *reversed(parts)]


def times(w: Writer, index: Value, factor: int) -> Value:
    """An index times a constant."""
    if index.text == "0" or factor == 0:
        return w.index(0)
    return index if factor == 1 else w.mul(index, w.index(factor))


def plus(w: Writer, *terms: Value | int) -> Value:
    """The sum of indices, without the zeros."""
    known = sum([t for t in terms if isinstance(t, int)])
    values = [t for t in terms if not isinstance(t, int) and t.text != "0"]
    total = values[0] if values else w.index(known)
    for value in values[1:]:
        total = w.add(total, value)
    return w.add(total, w.index(known)) if values and known else total


def pieces(count: int, lanes: int) -> list[tuple[int, int]]:
    """(start, lanes) of the vectors that hold `count` elements; the last ones are shorter."""
    made = []
    start = 0
    while start < count:
        while lanes > count - start:
            lanes //= 2
        made.append((start, lanes))
        start += lanes
    return made


def copy(w: Writer, source: Value, target: Value, count: int, t: Type) -> None:
    """Copy `count` elements."""

    def one(at: Value | int, lanes: int) -> None:
        w.store(w.load(w.at(source, at, t), t.of(lanes)), w.at(target, at, t))

    _over(w, count, t, one)


def fill(w: Writer, target: Value, count: int, t: Type) -> None:
    """Write `count` zeros."""

    def one(at: Value | int, lanes: int) -> None:
        w.store(w.const(0, t.of(lanes)), w.at(target, at, t))

    _over(w, count, t, one)


def _over(w: Writer, count: int, t: Type, one: Callable[[Value | int, int], None]) -> None:
    lanes = w.module.lanes(t)
    looped = 0
    if count > _UNROLLED * lanes:
        looped = count - count % (4 * lanes)
        with w.loop(0, looped, 4 * lanes) as loop:
            for i in range(4):
                one(plus(w, loop.index, i * lanes), lanes)
    for start, some in pieces(count - looped, lanes):
        one(looped + start, some)


def transpose(w: Writer, rows: Sequence[Value]) -> list[Value]:
    """The columns of a square whose rows are vectors of a power of two of lanes."""
    lanes = len(rows)
    made = list(rows)
    step = 1
    while step < lanes:
        first = [i if not i & step else i - step + lanes for i in range(lanes)]
        second = [i + step if not i & step else i + lanes for i in range(lanes)]
        for i in range(lanes):
            if not i & step:
                a, b = made[i], made[i + step]
                made[i] = shuffle(w, a, b, first)
                made[i + step] = shuffle(w, a, b, second)
        step *= 2
    return made


def shuffle(w: Writer, a: Value, b: Value, lanes: Sequence[int]) -> Value:
    """Lanes chosen from two vectors, those of the second counted on from the first's."""
    chosen = ", ".join([f"i32 {i}" for i in lanes])
    t = a.type.of(len(lanes))
    return w.make(t, f"shufflevector {a.typed}, {b.typed}, <{len(lanes)} x i32> <{chosen}>")


def first_lanes(count: int, lanes: int) -> Value | None:
    """A mask that holds in the first `count` lanes; None if that is all."""
    if count == lanes:
        return None
    text = ", ".join([f"i1 {'true' if i < count else 'false'}" for i in range(lanes)])
    return Value(f"<{text}>", Type("bool", 1, lanes))


def load_some(w: Writer, address: Value, t: Type, count: int) -> Value:
    """The first `count` lanes of a vector; the others are 0, and their memory is not touched."""
    mask = first_lanes(count, t.lanes)
    return w.load(address, t) if mask is None else w.load_masked(address, t, mask)


def store_some(w: Writer, value: Value, address: Value, count: int) -> None:
    """Write the first `count` lanes of a vector."""
    mask = first_lanes(count, value.lanes)
    if mask is None:
        w.store(value, address)
    else:
        w.store_masked(value, address, mask)


def byte(w: Writer, pointer: Value, offset: int) -> Value:
    """A pointer, so many bytes on."""
    if not offset:
        return pointer
    return w.make(PTR, f"getelementptr i8, ptr {pointer.text}, i64 {offset}")


class Scratch:
    """Scratch memory, taken piece by piece; there is always some, so that args keep their place."""

    def __init__(self) -> None:
        self.bytes = 64

    def take(self, count: int) -> int:
        """Where the next piece begins."""
        start = self.bytes
        self.bytes += -(-count // 64) * 64
        return start

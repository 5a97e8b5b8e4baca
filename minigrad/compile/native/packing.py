"""Columns of a product's second operand, copied so that a block of results reads them in a row."""

from __future__ import annotations

from typing import Literal, TypeAlias

from minigrad.compile.native.product_loops import step
from minigrad.compile.native.types import I64, PTR, Type, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

#: How b lies in memory: its rows contiguous, or its columns, or neither.
Order: TypeAlias = Literal["rows", "columns", "any"]


def order_of(row: int, column: int) -> Order:
    """How a matrix of such strides lies in memory."""
    return "rows" if column == 1 else "columns" if row == 1 else "any"


def packer(module: Module, t: Type, order: Order) -> str:
    """The name of the function that packs a panel of columns, made once a module.

    ``void @pack(ptr b, i64 row, i64 column, i64 k, i64 columns, ptr panel, i64 width)`` writes k
    rows of `columns` elements one after the other, at a distance of `width`, with zeros where
    columns are missing. `row` and `column` are the strides of b, in elements.
    """
    write = {"rows": _write_rows, "columns": _write_columns, "any": _write_any}[order]
    return module.shared((write, t), lambda name: write(module, name, t))


def _begin(module: Module, name: str) -> Writer:
    parameters = [("b", PTR), ("row", I64), ("column", I64), ("k", I64), ("columns", I64)]
    parameters += [("panel", PTR), ("width", I64)]
    return module.function(name, parameters, attributes="noinline nounwind")


def _write_rows(module: Module, name: str, t: Type) -> None:
    """Each row of b is contiguous: copied by vectors, the last one masked."""
    w = _begin(module, name)
    b, row, _, k, columns, panel, width = w.parameters
    lanes = module.lanes(t)
    vt = t.of(lanes)
    whole = w.sub(columns, w.rem(columns, w.index(lanes)))
    with w.loop(0, k) as down:
        source = w.at(b, step(w, down.index, row), t)
        target = w.at(panel, step(w, down.index, width), t)
        with w.loop(0, whole, lanes) as loop:
            w.store(w.load(w.at(source, loop.index, t), vt), w.at(target, loop.index, t))
        with w.loop(whole, width, lanes) as loop:
            exist = w.mask(w.maximum(w.sub(columns, loop.index), w.index(0)), lanes)
            wanted = w.mask(w.sub(width, loop.index), lanes)
            value = w.load_masked(w.at(source, loop.index, t), vt, exist)
            w.store_masked(value, w.at(target, loop.index, t), wanted)
    w.finish()


def _write_any(module: Module, name: str, t: Type) -> None:
    """Any strides: one element after the other."""
    w = _begin(module, name)
    _copy_rest(w, t, w.index(0), w.index(0))
    w.finish()


def _write_columns(module: Module, name: str, t: Type) -> None:
    """Each column of b is contiguous: pieces of 16 bytes are turned in registers."""
    w = _begin(module, name)
    b, _, column, k, columns, panel, width = w.parameters
    piece = 16 // memory_bytes(t)
    rows = w.and_(k, w.index(-piece))
    done = w.index(0)
    # Twice as many columns at a time as a piece has elements, where the machine has such vectors.
    for lanes in sorted({piece, min(2 * piece, module.lanes(t))}, reverse=True):
        stop = w.and_(columns, w.index(-lanes))
        with w.loop(done, stop, lanes) as across:
            top = w.at(b, step(w, across.index, column), t)
            left = w.at(panel, across.index, t)
            with w.loop(0, rows, piece) as down:
                source = w.at(top, down.index, t)
                target = w.at(left, step(w, down.index, width), t)
                for i, value in enumerate(_turned(w, t, source, column, lanes, piece)):
                    w.store(value, w.at(target, step(w, width, i), t))
        done = stop
    _copy_rest(w, t, rows, done)
    w.finish()


def _copy_rest(w: Writer, t: Type, rows: Value, done: Value) -> None:
    """Copy one element after the other but for the first `done` columns of the first `rows` rows.

    Columns that are not there become zeros.
    """
    b, row, column, k, columns, panel, width = w.parameters
    first = w.select(w.compare("==", done, width), rows, w.index(0))
    with w.loop(first, k) as down:
        source = w.at(b, step(w, down.index, row), t)
        target = w.at(panel, step(w, down.index, width), t)
        start = w.select(w.compare("<", down.index, rows), done, w.index(0))
        with w.loop(start, columns) as loop:
            value = w.load(w.at(source, step(w, loop.index, column), t), t)
            w.store(value, w.at(target, loop.index, t))
        with w.loop(columns, width) as loop:
            w.store(w.const(0, t), w.at(target, loop.index, t))


def _turned(
    w: Writer, t: Type, source: Value, column: Value, lanes: int, piece: int
) -> list[Value]:
    """The first `piece` elements of `lanes` columns, as that many rows.

    Each 16 bytes of a vector take a piece of another column, so that the squares they make side by
    side are turned without anything crossing from one to the other.
    """
    starts = [w.at(source, step(w, w.index(i), column), t) if i else source for i in range(lanes)]
    pieces = [w.load(start, t.of(piece)) for start in starts]
    rows = [_joined(w, pieces[i::piece]) for i in range(piece)]
    for _ in range(piece.bit_length() - 1):
        mixed = []
        for i in range(piece // 2):
            for half in (0, piece // 2):
                mixed.append(_interleaved(w, rows[i], rows[i + piece // 2], piece, half))
        rows = mixed
    return rows


def _joined(w: Writer, pieces: list[Value]) -> Value:
    """Vectors one after the other in a longer one."""
    while len(pieces) > 1:
        n = 2 * pieces[0].lanes
        order = ", ".join([f"i32 {i}" for i in range(n)])
        pieces = [
            w.make(a.type.of(n), f"shufflevector {a.typed}, {b.typed}, <{n} x i32> <{order}>")
            for a, b in zip(pieces[::2], pieces[1::2], strict=True)
        ]
    return pieces[0]


def _interleaved(w: Writer, a: Value, b: Value, piece: int, half: int) -> Value:
    """Of each piece, the elements of one half of a and of b in turns."""
    n = a.lanes
    order = ", ".join(
        [
            f"i32 {start + half + i + which * n}"
            for start in range(0, n, piece)
            for i in range(piece // 2)
            for which in (0, 1)
        ]
    )
    return w.make(a.type, f"shufflevector {a.typed}, {b.typed}, <{n} x i32> <{order}>")

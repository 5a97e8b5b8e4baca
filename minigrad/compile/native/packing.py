"""Columns of a product's second operand, copied so that a block of results reads them in a row."""

from __future__ import annotations

from minigrad.compile.native.product_loops import step
from minigrad.compile.native.types import I64, PTR, Type, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer


def pack(
    w: Writer,
    t: Type,
    b: Value,
    strides: tuple[int, int],
    k: Value,
    columns: Value,
    panel: Value,
    width: int,
) -> None:
    """Write a call that packs a panel of columns.

    Args:
        w: where the call is written.
        t: the elements' type.
        b: where the first column begins.
        strides: of b from row to row and from column to column, in elements.
        k: how many rows there are.
        columns: how many columns, at most `width`.
        panel: where the rows are put one after the other, with zeros where columns are missing.
        width: length of a row of the panel.
    """
    row, column = strides
    given = w.index(row), w.index(column), k, columns, panel, w.index(width)
    w.call(_packer(w.module, t, row, column), b, *given)


def _packer(module: Module, t: Type, row: int, column: int) -> str:
    write = _write_rows if column == 1 else _write_columns if row == 1 else _write_any
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
        with w.when(w.compare("<", whole, columns)):
            source, target = w.at(source, whole, t), w.at(target, whole, t)
            exist = w.mask(w.sub(columns, whole), lanes)
            wanted = w.mask(w.sub(width, whole), lanes)
            w.store_masked(w.load_masked(source, vt, exist), target, wanted)
    _fill(w, t, k, w.add(whole, w.index(lanes)), panel, width)
    w.finish()


def _write_any(module: Module, name: str, t: Type) -> None:
    """Any strides: one element after the other."""
    w = _begin(module, name)
    b, row, column, k, columns, panel, width = w.parameters
    _copy_elements(w, t, b, row, column, k, w.index(0), columns, panel, width)
    _fill(w, t, k, columns, panel, width)
    w.finish()


def _copy_elements(
    w: Writer,
    t: Type,
    b: Value,
    row: Value,
    column: Value,
    k: Value,
    first: Value,
    columns: Value,
    panel: Value,
    width: Value,
) -> None:
    """Copy the columns from `first` on."""
    with w.loop(0, k) as rows:
        source = w.at(b, step(w, rows.index, row), t)
        target = w.at(panel, step(w, rows.index, width), t)
        with w.loop(first, columns) as loop:
            value = w.load(w.at(source, step(w, loop.index, column), t), t)
            w.store(value, w.at(target, loop.index, t))


def _fill(w: Writer, t: Type, k: Value, columns: Value, panel: Value, width: Value) -> None:
    """Zeros in the columns that are not there."""
    with w.loop(0, k) as rows:
        target = w.at(panel, step(w, rows.index, width), t)
        with w.loop(columns, width) as loop:
            w.store(w.const(0, t), w.at(target, loop.index, t))


def _write_columns(module: Module, name: str, t: Type) -> None:
    """Each column of b is contiguous: pieces of 16 bytes are turned in registers."""
    w = _begin(module, name)
    b, _, column, k, columns, panel, width = w.parameters
    piece = 16 // memory_bytes(t)
    one, none = w.index(1), w.index(0)
    rows = w.and_(k, w.index(-piece))
    start = none
    # By whole vectors of columns, then by as few as a piece has elements.
    for lanes in sorted({module.lanes(t), piece}, reverse=True):
        stop = w.and_(columns, w.index(-lanes))
        with w.loop(start, stop, lanes) as across:
            top = w.at(b, step(w, across.index, column), t)
            left = w.at(panel, across.index, t)
            with w.loop(0, rows, piece) as down:
                source = w.at(top, down.index, t)
                target = w.at(left, step(w, down.index, width), t)
                for i, value in enumerate(_turned(w, t, source, column, lanes, piece)):
                    w.store(value, w.at(target, step(w, width, i), t))
        start = stop
    # What is left: rows below the pieces, then columns beside them.
    below = w.at(panel, step(w, rows, width), t)
    rest = w.sub(k, rows)
    _copy_elements(w, t, w.at(b, rows, t), one, column, rest, none, start, below, width)
    _copy_elements(w, t, b, one, column, k, start, columns, panel, width)
    _fill(w, t, k, columns, panel, width)
    w.finish()


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

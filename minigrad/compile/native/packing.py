"""Columns of a product's second operand, copied so that a block of results reads them in a row."""

from __future__ import annotations

from minigrad.compile.native.product_loops import step
from minigrad.compile.native.types import I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer


def packer(module: Module, t: Type, width: int, row: int | None, column: int) -> str:
    """The name of a function that packs a panel of columns, made once a module.

    ``void @pack(ptr b, i64 row, i64 column, i64 k, i64 columns, ptr panel)`` copies `columns` (at
    most `width`) columns of k elements, so that each row of the panel is `width` elements long;
    what lies beyond `columns` is filled with zeros. The panel must have room for k rows.

    Args:
        module: where the function is written.
        t: the elements' type.
        width: length of a row of the panel, a multiple of the vector's.
        row: the stride from row to row if the function should be made for that one, else None.
        column: the stride from column to column likewise; 0 stands for any other than 1.
    """
    if column == 1:
        return module.shared(
            ("pack_rows", t, width), lambda name: _write_rows(module, name, t, width)
        )
    if row == 1:
        return module.shared(
            ("pack_columns", t, width), lambda name: _write_columns(module, name, t, width)
        )
    return module.shared(("pack_any", t, width), lambda name: _write_any(module, name, t, width))


def _begin(module: Module, name: str) -> Writer:
    parameters = [("b", PTR), ("row", I64), ("column", I64), ("k", I64), ("columns", I64)]
    return module.function(
        name, [*parameters, ("panel", PTR)], attributes="noinline nounwind", linkage="internal"
    )


def _write_rows(module: Module, name: str, t: Type, width: int) -> None:
    """Each row of b is contiguous: copied by vectors, the last one masked."""
    w = _begin(module, name)
    b, row, _, k, columns, panel = w.parameters
    lanes = module.lanes(t)
    vt = t.of(lanes)
    with w.loop(0, width, lanes) as part:
        count = w.sub(columns, part.index)
        source, target = w.at(b, part.index, t), w.at(panel, part.index, t)
        whole = w.compare(">=", count, w.index(lanes))
        with w.when(whole), w.loop(0, k) as loop:
            value = w.load(w.at(source, step(w, loop.index, row), t), vt)
            w.store(value, w.at(target, step(w, loop.index, width), t))
        with w.when(w.not_(whole)):
            mask = w.mask(w.maximum(count, w.index(0)), lanes)
            with w.loop(0, k) as loop:
                value = w.load_masked(w.at(source, step(w, loop.index, row), t), vt, mask)
                w.store(value, w.at(target, step(w, loop.index, width), t))
    w.finish()


def _write_any(module: Module, name: str, t: Type, width: int) -> None:
    """Any strides: one element after the other."""
    w = _begin(module, name)
    b, row, column, k, columns, panel = w.parameters
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
    width: int,
) -> None:
    """Copy the columns from `first` on."""
    with w.loop(0, k) as rows:
        source = w.at(b, step(w, rows.index, row), t)
        target = w.at(panel, step(w, rows.index, width), t)
        with w.loop(first, columns) as loop:
            value = w.load(w.at(source, step(w, loop.index, column), t), t)
            w.store(value, w.at(target, loop.index, t))


def _fill(w: Writer, t: Type, k: Value, columns: Value, panel: Value, width: int) -> None:
    """Zeros in the columns that are not there."""
    with w.loop(0, k) as rows:
        target = w.at(panel, step(w, rows.index, width), t)
        with w.loop(columns, width) as loop:
            w.store(w.const(0, t), w.at(target, loop.index, t))


def _write_columns(module: Module, name: str, t: Type, width: int) -> None:
    """Each column of b is contiguous: squares of them are turned in registers."""
    w = _begin(module, name)
    b, _, column, k, columns, panel = w.parameters
    lanes = module.lanes(t)
    vt = t.of(lanes)
    one = w.index(1)
    whole_rows = w.and_(k, w.index(-lanes))
    whole_columns = w.and_(columns, w.index(-lanes))
    with w.loop(0, whole_columns, lanes) as across:
        top = w.at(b, step(w, across.index, column), t)
        left = w.at(panel, across.index, t)
        with w.loop(0, whole_rows, lanes) as down:
            start = w.at(top, down.index, t)
            turned = transpose(
                w,
                [
                    w.load(w.at(start, step(w, w.index(i), column), t) if i else start, vt)
                    for i in range(lanes)
                ],
            )
            target = w.at(left, step(w, down.index, width), t)
            for i, value in enumerate(turned):
                w.store(value, w.at(target, i * width, t))
    # What is left: rows below the squares, then columns beside them.
    rest = w.sub(k, whole_rows)
    below = w.at(panel, step(w, whole_rows, width), t)
    source = w.at(b, whole_rows, t)
    _copy_elements(w, t, source, one, column, rest, w.index(0), whole_columns, below, width)
    _copy_elements(w, t, b, one, column, k, whole_columns, columns, panel, width)
    _fill(w, t, k, columns, panel, width)
    w.finish()


def transpose(w: Writer, rows: list[Value]) -> list[Value]:
    """The columns of a square of as many vectors as each has lanes, a power of two.

    Rows half a square apart are interleaved, and so on for as many times as halves can be taken:
    the perfect shuffle, which after log2(lanes) rounds is the transpose.
    """
    n = len(rows)
    if n == 1:
        return rows
    t = rows[0].type
    low = ", ".join([f"i32 {i // 2 + n * (i % 2)}" for i in range(n)])
    high = ", ".join([f"i32 {n // 2 + i // 2 + n * (i % 2)}" for i in range(n)])
    for _ in range(n.bit_length() - 1):
        mixed = []
        for i in range(n // 2):
            pair = f"{rows[i].typed}, {rows[i + n // 2].typed}"
            for order in (low, high):
                mixed.append(w.make(t, f"shufflevector {pair}, <{n} x i32> <{order}>"))
        rows = mixed
    return rows

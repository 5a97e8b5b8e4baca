"""The innermost part of every product: a block of results held in registers."""

from __future__ import annotations

from minigrad.compile.native.product_loops import step
from minigrad.compile.native.types import BOOL, I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer


def block_rows(module: Module) -> int:
    """How many rows of results a block holds: as many as there are registers for.

    A block is two vectors wide. AVX-512 has 32 registers, of which 8 rows take 16 and the current
    columns of b two; narrower machines have 16, and 6 rows take 12.
    """
    return 8 if module.vector_bytes >= 64 else 6


def multiply_add(w: Writer, a: Value, b: Value, c: Value) -> Value:
    """a · b + c in one operation where the machine has one that is fast, else in two."""
    return w.intrinsic("fmuladd", a, b, c)


def register_block(module: Module, t: Type, rows: int, vectors: int) -> str:
    """The name of the function for one block of results, made once a module.

    ``void @block(ptr a, i64 a_row, i64 a_column, ptr b, i64 b_row, ptr c, i64 c_row, i64 k,
    i1 more)`` computes `rows` rows of `vectors` full vectors of columns: c = a · b, or with `more`
    c + a · b.
    Strides are in elements; the columns of b and c are neighbours. The sum over k is one chain of
    multiply-adds from zero, to which what c held is added last.
    """
    return module.shared(
        ("register_block", t, rows, vectors),
        lambda name: _write_block(module, name, t, rows, vectors),
    )


def _write_block(module: Module, name: str, t: Type, rows: int, vectors: int) -> None:
    lanes = module.lanes(t)
    vt = t.of(lanes)
    parameters = [
        ("a", PTR),
        ("a_row", I64),
        ("a_column", I64),
        ("b", PTR),
        ("b_row", I64),
        ("c", PTR),
        ("c_row", I64),
        ("k", I64),
        ("more", BOOL),
    ]
    w = module.function(name, parameters, attributes="noinline nounwind")
    a, a_row, a_column, b, b_row, c, c_row, k, more = w.parameters
    lines = [w.at(a, step(w, w.index(r), a_row), t) if r else a for r in range(rows)]
    zeros = [w.const(0, vt)] * (rows * vectors)
    with w.loop(0, k, carried=[*zeros, w.index(0), b]) as loop:
        *sums, at, here = loop.values
        columns = [w.load(w.at(here, v * lanes, t), vt) for v in range(vectors)]
        for r in range(rows):
            factor = w.splat(w.load(w.at(lines[r], at, t), t), lanes)
            for v in range(vectors):
                i = r * vectors + v
                sums[i] = multiply_add(w, factor, columns[v], sums[i])
        loop.next = (*sums, w.add(at, a_column), w.at(here, b_row, t))
    results = loop.results[: rows * vectors]
    places = [
        w.at(w.at(c, step(w, w.index(r), c_row), t) if r else c, v * lanes, t)
        for r in range(rows)
        for v in range(vectors)
    ]
    with w.when(more):
        for place, value in zip(places, results, strict=True):
            w.store(w.add(w.load(place, vt), value), place)
    with w.when(w.not_(more)):
        for place, value in zip(places, results, strict=True):
            w.store(value, place)
    w.finish()

"""The innermost part of every product: blocks of results held in registers."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.product_loops import load, step, store
from minigrad.compile.native.types import BOOL, I64, PTR, Type
from minigrad.compile.native.writer import Module, Value, Writer


class Block(NamedTuple):
    """A block of results.

    Attributes:
        t: the vectors it consists of.
        rows: how many rows it has.
        vectors: how many vectors each row has.
        masked_b: whether the last vector of b's rows is not all there.
        masked_c: whether the last vector of c's rows is not all there.
    """

    t: Type
    rows: int
    vectors: int
    masked_b: bool = False
    masked_c: bool = False


_PARAMETERS = [
    ("a", PTR),
    ("a_row", I64),
    ("a_column", I64),
    ("b", PTR),
    ("b_row", I64),
    ("c", PTR),
    ("c_row", I64),
    ("k", I64),
    ("more", BOOL),
    ("columns", I64),
]


def multiply_add(w: Writer, a: Value, b: Value, c: Value) -> Value:
    """a · b + c in one operation where the machine has one that is fast, else in two."""
    if not a.type.is_float:
        return w.add(w.mul(a, b), c)
    return w.intrinsic("fmuladd", a, b, c)


def column_of_blocks(module: Module, block: Block, rest: int) -> str:
    """The name of the function for all rows of a panel of columns, made once a module.

    ``void @column(ptr a, i64 a_row, i64 a_column, ptr b, i64 b_row, ptr c, i64 c_row, i64 k,
    i1 more, i64 columns, i64 rows)`` computes c = a · b, or with `more` c + a · b, where b and c
    have `columns` columns, which are neighbours. Strides are in elements.

    Args:
        module: where the function is written.
        block: the blocks.
        rest: what `rows` leaves when divided by a block's rows, if it leaves anything.
    """
    key = ("column_of_blocks", block, rest)
    return module.shared(key, lambda name: _write_column(module, name, block, rest))


def _write_column(module: Module, name: str, block: Block, rest: int) -> None:
    parameters = [*_PARAMETERS, ("rows", I64)]
    w = module.function(name, parameters, attributes="noinline nounwind")
    a, a_row, a_column, b, b_row, c, c_row, k, more, columns, rows = w.parameters

    def one(first: Value, height: int) -> None:
        source = w.at(a, w.mul(first, a_row), block.t)
        target = w.at(c, w.mul(first, c_row), block.t)
        function = register_block(module, block._replace(rows=height))
        w.call(function, source, a_row, a_column, b, b_row, target, c_row, k, more, columns)

    whole = w.sub(rows, w.rem(rows, w.index(block.rows)))
    with w.loop(0, whole, block.rows) as loop:
        one(loop.index, block.rows)
    if rest:
        with w.when(w.compare("<", whole, rows)):
            one(whole, rest)
    w.finish()


def register_block(module: Module, block: Block) -> str:
    """The name of the function for one block of results, made once a module.

    Its parameters are those of `column_of_blocks` without the last. The sum over k is one chain of
    multiply-adds from zero, to which what c held is added last.
    """
    return module.shared(("register_block", block), lambda name: _write_block(module, name, block))


def _write_block(module: Module, name: str, block: Block) -> None:
    w = module.function(name, _PARAMETERS, attributes="noinline nounwind")
    a, a_row, a_column, b, b_row, c, c_row, k, more, columns = w.parameters
    vt, rows, vectors = block.t, block.rows, block.vectors
    t, lanes = vt.scalar, vt.lanes
    last = vectors - 1
    mask = None
    if block.masked_b or block.masked_c:
        mask = w.mask(w.sub(columns, w.index(last * lanes)), lanes)

    lines = [w.at(a, step(w, w.index(r), a_row), t) if r else a for r in range(rows)]
    zeros = [w.const(0, vt)] * (rows * vectors)
    with w.loop(0, k, carried=[*zeros, w.index(0), b]) as loop:
        *sums, at, here = loop.values
        found = [
            load(w, w.at(here, v * lanes, t), vt, mask if block.masked_b and v == last else None)
            for v in range(vectors)
        ]
        for r in range(rows):
            factor = w.splat(w.load(w.at(lines[r], at, t), t), lanes)
            for v in range(vectors):
                i = r * vectors + v
                sums[i] = multiply_add(w, factor, found[v], sums[i])
        loop.next = (*sums, w.add(at, a_column), w.at(here, b_row, t))
    places = [
        (w.at(line, v * lanes, t), mask if block.masked_c and v == last else None)
        for line in [w.at(c, step(w, w.index(r), c_row), t) if r else c for r in range(rows)]
        for v in range(vectors)
    ]
    results = loop.results[: rows * vectors]
    with w.when(more):
        for (place, exist), value in zip(places, results, strict=True):
            store(w, w.add(load(w, place, vt, exist), value), place, exist)
    with w.when(w.not_(more)):
        for (place, exist), value in zip(places, results, strict=True):
            store(w, value, place, exist)
    w.finish()

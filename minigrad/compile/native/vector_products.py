"""Products of a matrix and a vector."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.product_blocks import multiply_add
from minigrad.compile.native.product_cut import UNIT_WORK
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    finish_rows,
    join,
    lanes_for,
    load,
    over_columns,
    split,
    step,
    store,
    work,
)
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.types import Type, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer

#: Bytes of the result that rows of the matrix are added to at a time: it stays in the first cache.
#: Shorter pieces of long rows would be fetched slowly from memory.
_RESULT_BYTES = 16 * 1024
#: Sums over columns that are made at a time, in two vectors each.
_COLUMNS = 4
#: A multiple of the lanes of any vector: pieces of so many columns begin where vectors do.
_WHOLE = 16
#: Units of a large product.
_UNITS = 16
#: The least part of a sum that is a unit's.
_PART = 512


class _Cut(NamedTuple):
    """Columns, parts of k and products of a unit."""

    width: int
    part: int
    group: int


class _Piece(NamedTuple):
    """What a unit computes: its part of the vector, of the matrix and of the result."""

    x: Value
    y: Value
    out: Value
    start: Value
    stop: Value
    k: Value


def suits(spec: ProductSpec) -> bool:
    """Whether `vector_product` is the way: one row, or one column, and a matrix in some order."""
    row = as_row(spec)
    return row.m == 1 and (row.b_column == 1 or (row.b_row == 1 and row.a_column == 1))


def as_row(spec: ProductSpec) -> ProductSpec:
    """A matrix times a column as a row times the matrix transposed: c is the same in memory."""
    if spec.n != 1 or spec.m == 1:
        return spec
    return spec._replace(
        m=1,
        n=spec.m,
        a_strides=(*spec.b_strides[:-2], 0, spec.b_row),
        b_strides=(*spec.a_strides[:-2], spec.a_column, spec.a_row),
    )


def vector_product(module: Module, spec: ProductSpec, epilogue: Epilogue | None) -> Kernel:
    """A kernel for one row times a matrix, or a matrix times one column."""
    row = as_row(spec)
    by_rows = row.b_column == 1
    plan = _cut(row, by_rows)
    parts = ceil_div(row.k, plan.part)
    w = kernel_function(module)
    _, lo, hi = w.parameters
    vector, matrix = operand(w, 0), operand(w, 1)
    if row is not spec:
        vector, matrix = matrix, vector
    c = operand(w, 2 if parts == 1 else 3)
    t = row.dtype
    with w.loop(lo, hi) as unit:
        rest, part = split(w, unit.index, parts)
        batches, piece = split(w, rest, ceil_div(row.n, plan.width))
        first = step(w, batches, plan.group)
        start = step(w, piece, plan.width)
        stop = bounded(w, start, plan.width, row.n)
        top = step(w, part, plan.part)
        with w.loop(first, bounded(w, first, plan.group, row.matrices)) as batch:
            at_x, at_y = batch_offsets(w, row, batch.index)
            at_c = w.add(step(w, batch.index, parts), part)
            place = _Piece(
                w.at(vector, w.add(at_x, step(w, top, row.a_column)), t),
                w.at(matrix, w.add(at_y, step(w, top, row.b_row)), t),
                w.at(c, step(w, at_c, row.n), t),
                start,
                stop,
                w.sub(bounded(w, top, plan.part, row.k), top),
            )
            if by_rows:
                _add_rows(w, row, place)
            else:
                _sum_columns(w, row, place)
            if epilogue is not None and parts == 1:
                _finish(w, spec, epilogue, batch.index, place)
    units = ceil_div(row.matrices, plan.group) * ceil_div(row.n, plan.width) * parts
    phase = Phase(w.finish_once(), units, work(module, spec))
    if parts == 1:
        return Kernel((phase,))
    # Without an epilogue it does not matter what is a row of c and what a column.
    last = join(module, row if epilogue is None else spec, parts, epilogue)
    return Kernel((phase, last), row.matrices * parts * row.n * memory_bytes(t))


def _cut(row: ProductSpec, by_rows: bool) -> _Cut:
    group = min(row.matrices, max(1, UNIT_WORK // 4 // (row.n * row.k)))
    # Memory is what bounds these: a unit does less than one that computes from the cache.
    wanted = min(_UNITS, max(1, 4 * row.operations // UNIT_WORK)) // row.matrices
    if by_rows:
        width = min(row.n, _RESULT_BYTES // memory_bytes(row.dtype))
    else:
        width = ceil_div(ceil_div(row.n, max(wanted, 1)), _WHOLE) * _WHOLE
    parts = min(wanted // ceil_div(row.n, width), row.k // _PART)
    part = row.k if parts < 2 else ceil_div(ceil_div(row.k, parts), _PART // 4) * (_PART // 4)
    return _Cut(min(width, row.n), part, group)


def _add_rows(w: Writer, row: ProductSpec, place: _Piece) -> None:
    """The matrix's rows are contiguous: they are added to the result, some at a time."""
    t = row.dtype
    lanes = lanes_for(w.module, t, row.n)
    for column, mask in over_columns(w, place.start, place.stop, lanes):
        store(w, w.const(0, t.of(lanes)), w.at(place.out, column, t), mask)
    done = w.index(0)
    # Of a narrow matrix more rows at a time, for the result is fetched and stored each time.
    for rows in (16 if row.n <= 2 * lanes else 8, 4, 1):
        stop = w.and_(place.k, w.index(-rows))
        with w.loop(done, stop, rows) as loop:
            _add_group(w, row, lanes, place, loop.index, rows)
        done = stop


def _add_group(
    w: Writer, row: ProductSpec, lanes: int, place: _Piece, top: Value, rows: int
) -> None:
    t = row.dtype
    here = w.at(place.x, step(w, top, row.a_column), t)
    line = w.at(place.y, step(w, top, row.b_row), t)
    factors = [w.splat(w.load(w.at(here, p * row.a_column, t), t), lanes) for p in range(rows)]
    for column, mask in over_columns(w, place.start, place.stop, lanes):
        target = w.at(place.out, column, t)
        # Two chains, so that one vector need not wait for all.
        chains = [load(w, target, t.of(lanes), mask), w.const(0, t.of(lanes))]
        for p, factor in enumerate(factors):
            at = w.add(w.index(p * row.b_row), column)
            value = load(w, w.at(line, at, t), t.of(lanes), mask)
            chains[p % 2] = multiply_add(w, factor, value, chains[p % 2])
        store(w, w.add(*chains) if rows > 1 else chains[0], target, mask)


def _sum_columns(w: Writer, row: ProductSpec, place: _Piece) -> None:
    """The matrix's columns are contiguous: each is multiplied with the vector and summed."""
    vt = row.dtype.of(max(2, lanes_for(w.module, row.dtype, row.k)))
    length = w.sub(place.stop, place.start)
    whole = w.sub(place.stop, w.rem(length, w.index(_COLUMNS)))
    for start, stop, columns in ((place.start, whole, _COLUMNS), (whole, place.stop, 1)):
        with w.loop(start, stop, columns) as loop:
            _sum_group(w, row, vt, place, loop.index, columns)


def _sum_group(
    w: Writer, row: ProductSpec, vt: Type, place: _Piece, column: Value, columns: int
) -> None:
    t, lanes = row.dtype, vt.lanes
    bases = [
        w.at(place.y, w.add(step(w, column, row.b_column), w.index(i * row.b_column)), t)
        for i in range(columns)
    ]
    whole = w.sub(place.k, w.rem(place.k, w.index(2 * lanes)))
    with w.loop(0, whole, 2 * lanes, carried=[w.const(0, vt)] * (2 * columns)) as loop:
        sums = list(loop.values)
        for half in range(2):
            at = w.add(loop.index, w.index(half * lanes))
            factor = w.load(w.at(place.x, at, t), vt)
            for i, base in enumerate(bases):
                s = 2 * i + half
                sums[s] = multiply_add(w, factor, w.load(w.at(base, at, t), vt), sums[s])
        loop.next = tuple(sums)
    joined = [w.add(*loop.results[2 * i : 2 * i + 2]) for i in range(columns)]
    with w.loop(whole, place.k, lanes, carried=joined) as rest:
        sums = list(rest.values)
        mask = w.mask(w.sub(place.k, rest.index), lanes)
        factor = load(w, w.at(place.x, rest.index, t), vt, mask)
        for i, base in enumerate(bases):
            value = load(w, w.at(base, rest.index, t), vt, mask)
            sums[i] = multiply_add(w, factor, value, sums[i])
        rest.next = tuple(sums)
    for i in range(columns):
        total = w.fold(rest.results[i], w.add)
        w.store(total, w.at(place.out, w.add(column, w.index(i)), t))


def _finish(w: Writer, spec: ProductSpec, epilogue: Epilogue, batch: Value, place: _Piece) -> None:
    """The epilogue over what a unit made."""
    length = w.sub(place.stop, place.start)
    c = w.at(place.out, place.start, spec.dtype)
    row, zero, one = step(w, batch, spec.m), w.index(0), w.index(1)
    lanes = lanes_for(w.module, spec.dtype, spec.n)
    if spec.m == 1:
        finish_rows(w, spec, lanes, epilogue, c, one, length, row, place.start)
    else:
        finish_rows(w, spec, lanes, epilogue, c, length, 1, w.add(row, place.start), zero)

"""Products of a matrix and a vector."""

from __future__ import annotations

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.product_blocks import multiply_add
from minigrad.compile.native.product_cut import UNIT_WORK
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    load,
    over_columns,
    split,
    step,
    store,
    work,
)
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.writer import Module, Value, Writer

#: Rows of the matrix that are added to the result at a time.
_ROWS = 8
#: Sums over columns that are made at a time, in two vectors each.
_COLUMNS = 4


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
    w = kernel_function(module)
    _, lo, hi = w.parameters
    vector, matrix = (
        (operand(w, 0), operand(w, 1)) if row is spec else (operand(w, 1), operand(w, 0))
    )
    c = operand(w, 2)
    t, lanes = row.dtype, module.lanes(row.dtype)
    group = min(row.matrices, max(1, UNIT_WORK // 4 // max(1, row.n * row.k)))
    width = _columns_of_unit(row, lanes)
    with w.loop(lo, hi) as unit:
        batches, piece = split(w, unit.index, ceil_div(row.n, width))
        first = step(w, batches, group)
        start = step(w, piece, width)
        stop = bounded(w, start, width, row.n)
        with w.loop(first, bounded(w, first, group, row.matrices)) as batch:
            at_a, at_b = batch_offsets(w, row, batch.index)
            x, y = w.at(vector, at_a, t), w.at(matrix, at_b, t)
            out = w.at(c, step(w, batch.index, row.n), t)
            if row.b_column == 1:
                _add_rows(w, row, lanes, x, y, out, start, stop)
            else:
                _sum_columns(w, row, lanes, x, y, out, start, stop)
            if epilogue is not None:
                _finish(w, spec, row is spec, lanes, epilogue, batch.index, out, start, stop)
    units = ceil_div(row.matrices, group) * ceil_div(row.n, width)
    return Kernel((Phase(w.finish_once(), units, work(module, spec)),))


def _columns_of_unit(row: ProductSpec, lanes: int) -> int:
    pieces = min(64, max(1, 4 * row.operations // UNIT_WORK // row.matrices))
    return min(row.n, max(ceil_div(ceil_div(row.n, pieces), lanes) * lanes, 4 * lanes))


def _add_rows(
    w: Writer,
    row: ProductSpec,
    lanes: int,
    x: Value,
    y: Value,
    out: Value,
    start: Value,
    stop: Value,
) -> None:
    """The matrix's rows are contiguous: they are added to the result, some at a time."""
    left = row.k % _ROWS or min(_ROWS, row.k)
    _add_group(w, row, lanes, x, y, out, start, stop, w.index(0), left, True)
    if row.k > left:
        with w.loop(left, row.k, _ROWS) as loop:
            _add_group(w, row, lanes, x, y, out, start, stop, loop.index, _ROWS, False)


def _add_group(
    w: Writer,
    row: ProductSpec,
    lanes: int,
    x: Value,
    y: Value,
    out: Value,
    start: Value,
    stop: Value,
    top: Value,
    rows: int,
    begin: bool,
) -> None:
    t = row.dtype
    here = w.at(x, step(w, top, row.a_column), t)
    factors = [w.splat(w.load(w.at(here, p * row.a_column, t), t), lanes) for p in range(rows)]
    for column, mask in over_columns(w, start, stop, lanes):
        target = w.at(out, column, t)
        # Two chains, so that one vector need not wait for all.
        chains = [w.const(0, t.of(lanes)) if begin else load(w, target, t.of(lanes), mask)]
        chains.append(w.const(0, t.of(lanes)))
        for p, factor in enumerate(factors):
            at = w.add(w.add(step(w, top, row.b_row), w.index(p * row.b_row)), column)
            value = load(w, w.at(y, at, t), t.of(lanes), mask)
            chains[p % 2] = multiply_add(w, factor, value, chains[p % 2])
        store(w, w.add(*chains) if rows > 1 else chains[0], target, mask)


def _sum_columns(
    w: Writer,
    row: ProductSpec,
    lanes: int,
    x: Value,
    y: Value,
    out: Value,
    start: Value,
    stop: Value,
) -> None:
    """The matrix's columns are contiguous: each is multiplied with the vector and summed."""
    whole = w.sub(stop, w.rem(w.sub(stop, start), w.index(_COLUMNS)))
    with w.loop(start, whole, _COLUMNS) as loop:
        _sum_group(w, row, lanes, x, y, out, loop.index, _COLUMNS)
    with w.loop(whole, stop) as loop:
        _sum_group(w, row, lanes, x, y, out, loop.index, 1)


def _sum_group(
    w: Writer,
    row: ProductSpec,
    lanes: int,
    x: Value,
    y: Value,
    out: Value,
    column: Value,
    columns: int,
) -> None:
    t = row.dtype
    vt = t.of(lanes)
    bases = [
        w.at(y, w.add(step(w, column, row.b_column), w.index(i * row.b_column)), t)
        for i in range(columns)
    ]
    pairs = row.k // (2 * lanes) * 2 * lanes
    sums = [w.const(0, vt)] * (2 * columns)
    if pairs:
        with w.loop(0, pairs, 2 * lanes, carried=sums) as loop:
            sums = list(loop.values)
            for half in range(2):
                at = w.add(loop.index, w.index(half * lanes))
                factor = w.load(w.at(x, at, t), vt)
                for i, base in enumerate(bases):
                    value = w.load(w.at(base, at, t), vt)
                    s = 2 * i + half
                    sums[s] = multiply_add(w, factor, value, sums[s])
            loop.next = tuple(sums)
        sums = list(loop.results)
    for n, at_left in enumerate(range(pairs, row.k, lanes)):
        mask = None if row.k - at_left >= lanes else w.mask(w.index(row.k - at_left), lanes)
        factor = load(w, w.at(x, at_left, t), t.of(lanes), mask)
        for i, base in enumerate(bases):
            value = load(w, w.at(base, at_left, t), t.of(lanes), mask)
            sums[2 * i + n] = multiply_add(w, factor, value, sums[2 * i + n])
    for i in range(columns):
        total = w.fold(w.add(sums[2 * i], sums[2 * i + 1]), w.add)
        w.store(total, w.at(out, w.add(column, w.index(i)), t))


def _finish(
    w: Writer,
    spec: ProductSpec,
    is_row: bool,
    lanes: int,
    epilogue: Epilogue,
    batch: Value,
    out: Value,
    start: Value,
    stop: Value,
) -> None:
    """The epilogue over what a unit made; down a column its vectors have one lane."""
    t = spec.dtype
    if is_row:
        for column, mask in over_columns(w, start, stop, lanes):
            at = w.at(out, column, t)
            store(w, epilogue(w, load(w, at, t.of(lanes), mask), batch, column, mask), at, mask)
        return
    with w.loop(start, stop) as loop:
        at = w.at(out, loop.index, t)
        here = w.add(step(w, batch, spec.m), loop.index)
        w.store(epilogue(w, w.load(at, t), here, w.index(0), None), at)

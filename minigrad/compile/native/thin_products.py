"""Products of short sums: tiny matrices, outer products."""

from __future__ import annotations

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.packing import order_of, packer
from minigrad.compile.native.product_blocks import multiply_add
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    lanes_for,
    load,
    over_columns,
    split,
    step,
    store,
)
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.writer import Module, Value

#: The longest sums that are written out in full.
LONGEST = 8
#: Elements of a b that is turned on the stack when its rows are not contiguous.
_TURNED = 4096
#: Elements of c in a unit.
_UNIT = 65536


def suits(module: Module, spec: ProductSpec) -> bool:
    """Whether `thin_product` is the way: short sums, and rows of b contiguous or soon made so."""
    return spec.k <= LONGEST and (
        spec.b_column == 1 or spec.n == 1 or _width(module, spec) * spec.k <= _TURNED
    )


def thin_product(module: Module, spec: ProductSpec, epilogue: Epilogue | None) -> Kernel:
    """A kernel that computes c row by row, each vector of it in one expression."""
    w = kernel_function(module)
    _, lo, hi = w.parameters
    a, b, c = operand(w, 0), operand(w, 1), operand(w, 2)
    t, lanes = spec.dtype, lanes_for(module, spec.dtype, spec.n)
    size = spec.m * spec.n
    group = min(spec.matrices, max(1, _UNIT // size))
    height = min(spec.m, max(1, _UNIT // spec.n))
    width = _width(module, spec)
    turned = None
    if spec.b_column != 1 and spec.n > 1 and spec.k:
        turned = w.reserve(width * spec.k, t)
    with w.loop(lo, hi) as unit:
        batches, rows = split(w, unit.index, ceil_div(spec.m, height))
        first = step(w, batches, group)
        with w.loop(first, bounded(w, first, group, spec.matrices)) as batch:
            at_a, at_b = batch_offsets(w, spec, batch.index)
            matrix, b_row = w.at(b, at_b, t), spec.b_row
            if turned is not None:
                order = order_of(spec.b_row, spec.b_column)
                given = (spec.b_row, spec.b_column, spec.k, spec.n)
                given_values = [w.index(x) for x in given]
                w.call(packer(module, t, order), matrix, *given_values, turned, w.index(width))
                matrix, b_row = turned, width
            top = step(w, rows, height)
            with w.loop(top, bounded(w, top, height, spec.m)) as row:
                line = w.at(a, w.add(at_a, step(w, row.index, spec.a_row)), t)
                factors = [
                    w.splat(w.load(w.at(line, p * spec.a_column, t), t), lanes)
                    for p in range(spec.k)
                ]
                here = w.add(step(w, batch.index, spec.m), row.index)
                for column, mask in over_columns(w, 0, spec.n, lanes):
                    value: Value = w.const(0, t.of(lanes))
                    for p, factor in enumerate(factors):
                        source = w.at(matrix, w.add(w.index(p * b_row), column), t)
                        value = multiply_add(w, factor, load(w, source, t.of(lanes), mask), value)
                    if epilogue is not None:
                        value = epilogue(w, value, here, column, mask)
                    target = w.at(c, w.add(step(w, here, spec.n), column), t)
                    store(w, value, target, mask)
    units = ceil_div(spec.matrices, group) * ceil_div(spec.m, height)
    vectors = spec.matrices * spec.m * ceil_div(spec.n, lanes)
    return Kernel((Phase(w.finish_once(), units, vectors * (2 + spec.k) * 0.5),))


def _width(module: Module, spec: ProductSpec) -> int:
    """Columns of b, filled up to whole vectors."""
    lanes = lanes_for(module, spec.dtype, spec.n)
    return ceil_div(spec.n, lanes) * lanes

"""What the functions of all products are written with: indices, pieces, loops over columns."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.compile.native.kernel import Epilogue, Phase, kernel_function, operand
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.types import Type, memory_bytes
from minigrad.compile.native.writer import Module, Value, Writer


def lanes_for(module: Module, t: Type, columns: int) -> int:
    """Lanes of the vectors for so many columns: few enough to be of use.

    Narrower vectors cost less to load and store, and some machines compute more of them at a time.
    """
    lanes = module.lanes(t)
    while lanes >= 2 * columns and lanes > 1:
        lanes //= 2
    return lanes


def index_min(w: Writer, a: Value, b: Value | int) -> Value:
    """The smaller of two indices."""
    return w.minimum(a, w.index(b) if isinstance(b, int) else b)


def step(w: Writer, index: Value, stride: Value | int) -> Value:
    """index · stride; a literal 0 or 1 takes no instruction."""
    if stride == 1:
        return index
    if stride == 0:
        return w.index(0)
    return w.mul(index, w.index(stride) if isinstance(stride, int) else stride)


def split(w: Writer, index: Value, count: int) -> tuple[Value, Value]:
    """Quotient and rest of an index by the extent of its fastest dimension."""
    if count == 1:
        return index, w.index(0)
    return w.div(index, w.index(count)), w.rem(index, w.index(count))


def bounded(w: Writer, start: Value, length: int, end: Value | int) -> Value:
    """The end of a piece of some length, but at most the end of all."""
    if isinstance(end, int) and length >= end:
        return w.index(end)
    return index_min(w, w.add(start, w.index(length)), end)


def batch_offsets(w: Writer, spec: ProductSpec, batch: Value) -> tuple[Value, Value]:
    """Where the matrices of a and b begin that an index over the batch means, in elements."""
    a = b = w.index(0)
    for axis in reversed(range(len(spec.batch))):
        rest, digit = split(w, batch, spec.batch[axis]) if axis else (batch, batch)
        a = w.add(a, step(w, digit, spec.a_strides[axis]))
        b = w.add(b, step(w, digit, spec.b_strides[axis]))
        batch = rest
    return a, b


def over_columns(
    w: Writer, start: Value | int, stop: Value | int, lanes: int, whole: bool = False
) -> Iterator[tuple[Value, Value | None]]:
    """Write a loop over the columns from start to stop by vectors: ``for column, mask in …``.

    The block after it is written twice, for the full vectors and for the masked one at the end (or
    once, when it is known that there are only such: with `whole` only full ones).
    """
    first = w.index(start) if isinstance(start, int) else start
    if isinstance(start, int) and isinstance(stop, int):
        end = start + (stop - start) // lanes * lanes
        if end > start:
            with w.loop(start, end, lanes) as loop:
                yield loop.index, None
        if end < stop:
            yield w.index(end), w.mask(w.index(stop - end), lanes)
        return
    last = w.index(stop) if isinstance(stop, int) else stop
    if whole or lanes == 1:
        with w.loop(first, last, lanes) as loop:
            yield loop.index, None
        return
    end_of_full = w.sub(last, w.rem(w.sub(last, first), w.index(lanes)))
    with w.loop(first, end_of_full, lanes) as loop:
        yield loop.index, None
    with w.when(w.compare("<", end_of_full, last)):
        yield end_of_full, w.mask(w.sub(last, end_of_full), lanes)


def load(w: Writer, at: Value, t: Type, mask: Value | None) -> Value:
    """A vector of a type, masked or not."""
    return w.load(at, t) if mask is None else w.load_masked(at, t, mask)


def store(w: Writer, value: Value, at: Value, mask: Value | None) -> None:
    """Write a vector, masked or not."""
    if mask is None:
        w.store(value, at)
    else:
        w.store_masked(value, at, mask)


def finish_rows(
    w: Writer,
    spec: ProductSpec,
    lanes: int,
    epilogue: Epilogue,
    c: Value,
    rows: Value,
    columns: Value | int,
    row: Value,
    column: Value,
) -> None:
    """The epilogue over some rows and columns of c, whose first element is at (row, column).

    The columns begin where a vector of the whole row would, and end so or with the row.
    """
    with w.loop(0, rows) as r:
        line = w.at(c, step(w, r.index, spec.n), spec.dtype)
        here = w.add(row, r.index)
        for at, mask in over_columns(w, 0, columns, lanes, whole=spec.n % lanes == 0):
            place = w.at(line, at, spec.dtype)
            value = load(w, place, spec.dtype.of(lanes), mask)
            store(w, epilogue(w, value, here, w.add(column, at), mask), place, mask)


def work(module: Module, spec: ProductSpec) -> float:
    """Nanoseconds that a product takes on one core, roughly."""
    size = memory_bytes(spec.dtype)
    elements = spec.matrices * (spec.m * spec.n + spec.m * spec.k + spec.k * spec.n)
    return max(spec.operations / (module.lanes(spec.dtype) * 6), elements * size / 20)


def join(module: Module, spec: ProductSpec, parts: int, epilogue: Epilogue | None) -> Phase:
    """The phase that adds the parts of all sums, which lie in scratch memory, in their order."""
    w = kernel_function(module)
    _, lo, hi = w.parameters
    c, scratch = operand(w, 2), operand(w, 3)
    t, lanes = spec.dtype, lanes_for(module, spec.dtype, spec.n)
    size, total = spec.m * spec.n, spec.matrices * spec.m
    height = max(1, 4096 // spec.n)
    with w.loop(lo, hi) as unit:
        first = step(w, unit.index, height)
        with w.loop(first, bounded(w, first, height, total)) as row:
            batch, inner = split(w, row.index, spec.m)
            start = w.add(step(w, batch, parts * size), step(w, inner, spec.n))
            for column, mask in over_columns(w, 0, spec.n, lanes):
                source = w.at(scratch, w.add(start, column), t)
                value = load(w, source, t.of(lanes), mask)
                for part in range(1, parts):
                    other = load(w, w.at(source, part * size, t), t.of(lanes), mask)
                    value = w.add(value, other)
                if epilogue is not None:
                    value = epilogue(w, value, row.index, column, mask)
                store(w, value, w.at(c, w.add(step(w, row.index, spec.n), column), t), mask)
    return Phase(w.finish_once(), ceil_div(total, height), total * spec.n * parts / 4)

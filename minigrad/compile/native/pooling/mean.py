"""The mean of each window, and its gradient."""

from __future__ import annotations

import math

from minigrad.compile.native.kernel import Epilogue, Kernel, operand
from minigrad.compile.native.memory import times
from minigrad.compile.native.pooling.spec import PoolingSpec
from minigrad.compile.native.pooling.sweep import (
    LONGEST,
    Columns,
    Gathering,
    each_column,
    each_window,
    over_taps,
    table,
    window_phase,
)
from minigrad.compile.native.types import I64
from minigrad.compile.native.writer import Module, Value, Writer


def emit_avg_pool(
    module: Module,
    spec: PoolingSpec,
    include_padding: bool = False,
    epilogue: Epilogue | None = None,
) -> Kernel | None:
    """The mean of each window. Args: x; y; then what the epilogue needs.

    Args:
        module: where the functions go.
        spec: the pooling, of floats.
        include_padding: whether zeros of the padding count as elements.
        epilogue: what is done to each vector of y before it is stored; its row counts the windows
            of all examples, its column is the channel.

    Returns:
        None for elements that are no floats.
    """
    s = spec.volume
    t = s.type
    if not t.is_float:
        return None
    if not s.batch * s.channels * math.prod(s.places):
        return Kernel(())
    with each_window(module, s) as (w, place, name):
        x = w.at(operand(w, 0), place.source, t)
        y = w.at(operand(w, 1), times(w, place.row, s.channels), t)
        count: Value
        if _all_count(s, include_padding):
            count = w.const(s.taps, t)
        else:
            total = w.index(1)
            for lo, hi in place.bounds:
                total = w.mul(total, w.sub(hi, lo))
            count = w.convert(total, t)

        def columns(c: Columns) -> None:
            def column(offset: Value, values: list[Value]) -> list[Value]:
                # Depth first, then height, then width: in the order of NumPy's kernel.
                def step(inner: Value, sums: list[Value]) -> list[Value]:
                    seen = c.load(w, w.at(w.at(x, offset, t), inner, t))
                    return [w.add(a, b) for a, b in zip(sums, seen, strict=True)]

                def line(inner: Value, sums: list[Value]) -> list[Value]:
                    def deep(deeper: Value, some: list[Value]) -> list[Value]:
                        return step(w.add(inner, deeper), some)

                    part = over_taps(w, s.axes[:1], place.bounds[:1], c.const(w, 0), deep)
                    return [w.add(a, b) for a, b in zip(sums, part, strict=True)]

                part = over_taps(w, s.axes[1:2], place.bounds[1:2], c.const(w, 0), line)
                return [w.add(a, b) for a, b in zip(values, part, strict=True)]

            made = over_taps(w, s.axes[2:], place.bounds[2:], c.const(w, 0), column)
            made = [w.div(v, w.splat(count, v.lanes)) for v in made]
            c.store(w, made, y, place.row, epilogue)

        each_column(w, t, s.channels, columns)
    return Kernel((window_phase(name, s),))


def emit_avg_pool_gradient(
    module: Module,
    spec: PoolingSpec,
    include_padding: bool = False,
    epilogue: Epilogue | None = None,
) -> Kernel | None:
    """The gradient of `emit_avg_pool`. Args: g; dx; then what the epilogue needs.

    Args:
        module: where the functions go.
        spec: the pooling, of floats.
        include_padding: whether zeros of the padding count as elements.
        epilogue: what is done to each vector of dx before it is stored; its row counts the
            positions of all examples, its column is the channel.

    Returns:
        None for elements that are no floats, and for very long axes.
    """
    s = spec.volume
    t = s.type
    if not t.is_float or max(s.sizes) > LONGEST:
        return None
    if not s.batch * s.channels * math.prod(s.sizes):
        return Kernel(())
    gathering = Gathering(module, s)
    constant = _all_count(s, include_padding)
    with gathering.positions() as (w, row, seen, name):
        g = operand(w, 0)
        dx = w.at(operand(w, 1), times(w, row, s.channels), t)

        def columns(c: Columns) -> None:
            def visit(row: Value, at: list[Value], values: list[Value]) -> list[Value]:
                count = w.const(s.taps, t) if constant else _count(w, s, at)
                given = c.load(w, w.at(g, times(w, row, s.channels), t))
                parts = [w.div(v, w.splat(count, v.lanes)) for v in given]
                return [w.add(v, part) for v, part in zip(values, parts, strict=True)]

            made = gathering.over_windows(w, seen, c.const(w, 0), visit)
            c.store(w, made, dx, row, epilogue)

        each_column(w, t, s.channels, columns)
    return Kernel((gathering.phase(name),))


def _all_count(s: PoolingSpec, include_padding: bool) -> bool:
    """Whether every window is a mean of all its elements."""
    return include_padding or not any(map(any, s.padding))


def _count(w: Writer, s: PoolingSpec, at: list[Value]) -> Value:
    """Of how many elements the window at a place is the mean; depth counts on over examples."""
    total = w.index(1)
    for i, (axis, place) in enumerate(zip(s.axes, at, strict=True)):
        if not axis.padded:
            total = w.mul(total, w.index(axis.taps))
            continue
        numbers = [len(axis.taps_inside(p)) for p in range(axis.places)]
        here = place
        if i == 0:
            here = w.rem(place, w.index(axis.places))
        total = w.mul(total, w.load(w.at(table(w.module, numbers), here, I64), I64))
    return w.convert(total, s.type)

"""The largest element of each window, and its gradient."""

from __future__ import annotations

import itertools
import math

import numpy as np

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import plus, split_index, times
from minigrad.compile.native.pooling.spec import PoolingSpec
from minigrad.compile.native.pooling.sweep import (
    LONGEST,
    WRITTEN_OUT,
    Columns,
    Gathering,
    each_column,
    each_window,
    over_taps,
    window_phase,
)
from minigrad.compile.native.types import Type, memory_bytes, numpy_type
from minigrad.compile.native.writer import Module, Value, Writer


def emit_max_pool(
    module: Module, spec: PoolingSpec, epilogue: Epilogue | None = None
) -> Kernel | None:
    """The largest element of each window. Args: x; y; then what the epilogue needs.

    NaN is larger than all.

    Args:
        module: where the functions go.
        spec: the pooling, of floats or integers.
        epilogue: what is done to each vector of y before it is stored; its row counts the windows
            of all examples, its column is the channel.

    Returns:
        None for elements that are neither floats nor integers.
    """
    s = spec.volume
    t = s.type
    if not (t.is_float or t.is_integer):
        return None
    if not s.batch * s.channels * math.prod(s.places):
        return Kernel(())
    with each_window(module, s) as (w, place, name):
        x = w.at(operand(w, 0), place.source, t)
        y = w.at(operand(w, 1), times(w, place.row, s.channels), t)

        def columns(c: Columns) -> None:
            def step(offset: Value, values: list[Value]) -> list[Value]:
                seen = c.load(w, w.at(x, offset, t))
                return [w.maximum(m, v) for m, v in zip(values, seen, strict=True)]

            made = over_taps(w, s.axes, place.bounds, c.const(w, _lowest(t)), step)
            c.store(w, made, y, place.row, epilogue)

        each_column(w, t, s.channels, columns)
    return Kernel((window_phase(name, s),))


def _lowest(t: Type) -> object:
    """What no element is below."""
    return -np.inf if t.is_float else np.iinfo(numpy_type(t)).min


def emit_max_pool_gradient(
    module: Module, spec: PoolingSpec, epilogue: Epilogue | None = None
) -> Kernel | None:
    """The gradient of `emit_max_pool`. Args: g, x, y; dx; scratch; then what the epilogue needs.

    Each element of a window that equals its largest gets an equal share of the window's gradient;
    all others get 0 times the share, which is NaN where the share is infinite or NaN.

    Args:
        module: where the functions go.
        spec: the pooling, of floats.
        epilogue: what is done to each vector of dx before it is stored; its row counts the
            positions of all examples, its column is the channel.

    Returns:
        None for elements that are no floats, and for very long axes if windows overlap.
    """
    s = spec.volume
    if not s.type.is_float:
        return None
    places = s.batch * s.channels * math.prod(s.places)
    if not s.batch * s.channels * math.prod(s.sizes):
        return Kernel((), 64)
    if s.apart and places and s.taps <= WRITTEN_OUT:
        return Kernel((_blocks(module, s, epilogue),), 64)
    if max(s.sizes) > LONGEST:
        return None
    phases = [_shares(module, s)] if places else []
    phases.append(_gathered(module, s, epilogue))
    return Kernel(tuple(phases), max(places * memory_bytes(s.type), 64))


def _equal(w: Writer, a: Value, b: Value) -> Value:
    """1 where elements are equal, else 0."""
    return w.select(w.compare("==", a, b), w.like(1, a), w.like(0, a))


def _shares(module: Module, s: PoolingSpec) -> Phase:
    """For each window its gradient, divided by how many elements are its largest."""
    t = s.type
    with each_window(module, s) as (w, place, name):
        row = times(w, place.row, s.channels)
        g, y, share = (w.at(operand(w, i), row, t) for i in (0, 2, 4))
        x = w.at(operand(w, 1), place.source, t)

        def columns(c: Columns) -> None:
            largest = c.load(w, y)

            def step(offset: Value, values: list[Value]) -> list[Value]:
                seen = c.load(w, w.at(x, offset, t))
                return [
                    w.add(n, _equal(w, v, m)) for n, v, m in zip(values, seen, largest, strict=True)
                ]

            count = over_taps(w, s.axes, place.bounds, c.const(w, 0), step)
            parts = [w.div(a, n) for a, n in zip(c.load(w, g), count, strict=True)]
            c.store(w, parts, share, place.row)

        each_column(w, t, s.channels, columns)
    return window_phase(name, s)


def _gathered(module: Module, s: PoolingSpec, epilogue: Epilogue | None) -> Phase:
    """For each position the sum of its shares, over the windows that see it."""
    t = s.type
    gathering = Gathering(module, s)
    with gathering.positions() as (w, row, seen, name):
        here = times(w, row, s.channels)
        x, dx = w.at(operand(w, 1), here, t), w.at(operand(w, 3), here, t)
        y, share = operand(w, 2), operand(w, 4)

        def columns(c: Columns) -> None:
            own = c.load(w, x)

            def visit(row: Value, at: list[Value], values: list[Value]) -> list[Value]:
                place = times(w, row, s.channels)
                parts = zip(
                    *(values, own, c.load(w, w.at(y, place, t)), c.load(w, w.at(share, place, t))),
                    strict=True,
                )
                return [w.add(v, w.mul(_equal(w, a, m), part)) for v, a, m, part in parts]

            made = gathering.over_windows(w, seen, c.const(w, 0), visit)
            c.store(w, made, dx, row, epilogue)

        each_column(w, t, s.channels, columns)
    return gathering.phase(name)


def _blocks(module: Module, s: PoolingSpec, epilogue: Epilogue | None) -> Phase:
    """The same where each position belongs to at most one window, in one go.

    A unit is a line of windows with all positions that are nearer to none after it.
    """
    t = s.type
    axes = s.axes
    deep, height, width = axes
    w = kernel_function(module)
    _, lo, hi = w.parameters
    g, x, y, dx = (operand(w, i) for i in range(4))
    with w.loop(lo, hi) as lines:
        example, d, h = split_index(w, lines.index, s.batch, deep.places, height.places)
        row = times(w, lines.index, width.places)
        first = plus(
            w,
            times(w, example, math.prod(s.sizes)),
            times(w, d, deep.stride * s.sizes[1] * s.sizes[2]),
            times(w, h, height.stride * s.sizes[2]),
        )

        def window(place: Value | int) -> None:
            index = w.index(place) if isinstance(place, int) else place
            at = times(w, plus(w, row, index), s.channels)
            start = plus(w, first, times(w, index, width.stride))
            _block(w, s, (w.at(g, at, t), x, w.at(y, at, t), dx), start, epilogue)

        with w.loop(0, width.places) as loop:
            window(loop.index)
        zeros = _Zeros(w, s, dx, epilogue)
        zeros.around(first, d, h)
    units = s.batch * deep.places * height.places
    work = math.prod(s.sizes) * s.batch * (2 + s.channels * t.bits / 150)
    return Phase(w.finish_once(), units, work)


def _block(
    w: Writer,
    s: PoolingSpec,
    arrays: tuple[Value, Value, Value, Value],
    start: Value,
    epilogue: Epilogue | None,
) -> None:
    """One window, all of whose positions are written; the first of them is the row `start`."""
    t = s.type
    g, x, y, dx = arrays
    _, tall, wide = s.sizes
    rows = [
        (i * tall + j) * wide + k for i, j, k in itertools.product(*[range(n) for n in s.window])
    ]

    def columns(c: Columns) -> None:
        largest = c.load(w, y)
        count = c.const(w, 0)
        equal = []
        for down in rows:
            here = times(w, plus(w, start, down), s.channels)
            own = c.load(w, w.at(x, here, t))
            equal.append([_equal(w, a, m) for a, m in zip(own, largest, strict=True)])
            count = [w.add(n, e) for n, e in zip(count, equal[-1], strict=True)]
        share = [w.div(a, n) for a, n in zip(c.load(w, g), count, strict=True)]
        for down, chosen in zip(rows, equal, strict=True):
            at = plus(w, start, down)
            parts = [w.mul(e, a) for e, a in zip(chosen, share, strict=True)]
            c.store(w, parts, w.at(dx, times(w, at, s.channels), t), at, epilogue)

    each_column(w, t, s.channels, columns)


class _Zeros:
    """Writes zeros to the positions that no window sees."""

    def __init__(self, w: Writer, s: PoolingSpec, dx: Value, epilogue: Epilogue | None) -> None:
        self.w = w
        self.s = s
        self.dx = dx
        self.epilogue = epilogue

    def around(self, first: Value, d: Value, h: Value) -> None:
        """Those of a line of windows, from the row `first` on, and those after it."""
        w, s = self.w, self.s
        width = s.axes[2]
        _, tall, wide = s.sizes
        depth, lines = self._extent(0, d), self._extent(1, h)
        with w.loop(0, depth) as i, w.loop(0, lines) as j:
            start = plus(w, first, times(w, i.index, tall * wide), times(w, j.index, wide))
            inside = w.and_(
                w.compare("<", i.index, w.index(s.window[0])),
                w.compare("<", j.index, w.index(s.window[1])),
            )
            with w.when(w.not_(inside)), w.loop(0, wide) as loop:
                self._zero(plus(w, start, loop.index))
            gap = width.stride - s.window[2]
            end = width.places * width.stride
            if gap or end < wide:
                with w.when(inside):
                    if gap:
                        with w.loop(0, width.places) as loop:
                            after = plus(w, times(w, loop.index, width.stride), s.window[2])
                            stop = w.minimum(plus(w, after, gap), w.index(wide))
                            with w.loop(after, stop) as k:
                                self._zero(plus(w, start, k.index))
                    with w.loop(min(end, wide), wide) as loop:
                        self._zero(plus(w, start, loop.index))

    def _extent(self, axis: int, place: Value) -> Value:
        """How many positions of an axis belong to a window: the last one has all that are left."""
        w, s = self.w, self.s
        places, stride, size = s.places[axis], s.stride[axis], s.sizes[axis]
        if places == 1:
            return w.index(size)
        last = w.compare("==", place, w.index(places - 1))
        return w.select(last, w.index(size - (places - 1) * stride), w.index(stride))

    def _zero(self, row: Value) -> None:
        w, s = self.w, self.s

        def columns(c: Columns) -> None:
            here = w.at(self.dx, times(w, row, s.channels), s.type)
            c.store(w, c.const(w, 0), here, row, self.epilogue)

        each_column(w, s.type, s.channels, columns)

"""Kernels that draw random numbers, and finish them while they are in the cache."""

from __future__ import annotations

from minigrad.compile.native.epilogues import Finisher
from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import times
from minigrad.compile.native.philox import (
    Distribution,
    Integers,
    accepting,
    counter_at,
    generator,
    is_rejected,
    per_block,
    per_vector,
)
from minigrad.compile.native.types import U64, Type, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.program import Instruction
from minigrad.random_kernels import RESERVED_PER_OUTPUT

#: A unit of work draws so many numbers; they stay in the fastest cache.
_UNIT = 2048
#: Nanoseconds a number on one core, roughly.
_COST = {"uniform": 0.5, "normal": 2.5, "truncated normal": 6.0}
_COST_OF_INTEGERS = 1.0
_MASK64 = 2**64 - 1


def emit_uniform(
    module: Module, step: Instruction, finisher: Finisher | None = None
) -> Kernel | None:
    """Of the counter and a shape that is known."""
    return _emit(module, step, "uniform", finisher)


def emit_normal(
    module: Module, step: Instruction, finisher: Finisher | None = None
) -> Kernel | None:
    """Likewise."""
    return _emit(module, step, "normal", finisher)


def emit_truncated_normal(
    module: Module, step: Instruction, finisher: Finisher | None = None
) -> Kernel | None:
    """Likewise."""
    return _emit(module, step, "truncated normal", finisher)


def emit_integers(
    module: Module, step: Instruction, finisher: Finisher | None = None
) -> Kernel | None:
    """Of the counter, a shape, the lowest number and one more than the highest, all known."""
    low, high = [
        None if x is None or x.constant is None else int(x.constant) for x in step.inputs[2:]
    ]
    if low is None or high is None:
        return None
    return _emit(module, step, Integers(low, high - low), finisher)


def _emit(
    module: Module, step: Instruction, distribution: Distribution, finisher: Finisher | None
) -> Kernel:
    out = step.output
    t, n = type_of(out.dtype), out.size
    w = kernel_function(module)
    _, lo, hi = w.parameters
    made = operand(w, len(step.inputs))
    draw = _Draw(w, distribution, t, step.attrs["key"])
    held = w.reserve(_UNIT, t)
    # What is finished in C order without regard to rows is one row.
    columns = n if finisher is None or finisher.in_order else out.shape[-1]
    with w.loop(lo, hi) as unit:
        start = times(w, unit.index, _UNIT)
        stop = w.minimum(w.add(start, w.index(_UNIT)), w.index(n))
        count = w.sub(stop, start)
        if finisher is None:
            there = w.at(made, start, t)
            short = w.compare("<", count, w.index(_UNIT))
            draw.write(w.select(short, held, there), unit.index, count)
            with w.when(short):
                _copy(w, held, there, count, t)
        else:
            draw.write(held, unit.index, count)
            _finish(w, finisher, held, made, start, stop, columns, t)
    units = -(-n // _UNIT)
    each = _COST[distribution] if isinstance(distribution, str) else _COST_OF_INTEGERS
    work = n * each * t.bits / 32
    return Kernel((Phase(w.finish_once(), units, work),))


class _Draw:
    """The code that draws the numbers of a unit."""

    def __init__(
        self, w: Writer, distribution: Distribution, t: Type, key: tuple[int, int]
    ) -> None:
        self.w, self.t = w, t
        self.truncated = distribution == "truncated normal"
        seed, seed2 = key
        self.key = w.const(seed & _MASK64, U64)
        self.low = w.load(operand(w, 0), U64)
        self.high = w.const(seed2 & _MASK64, U64)
        self.name = generator(w.module, "normal" if self.truncated else distribution, t)
        self.size = per_block(t)
        # A group of truncated numbers has so many blocks to itself; another kind has but one.
        self.step = self.size * RESERVED_PER_OUTPUT // 4 if self.truncated else 1

    def write(self, place: Value, unit: Value, count: Value) -> None:
        """Draw at least the first `count` numbers of a unit, in whole vectors of blocks."""
        w, t = self.w, self.t
        low, high = counter_at(w, self.low, self.high, unit, _UNIT // self.size * self.step)
        some = per_vector(w.module, t)
        vectors = w.div(w.add(count, w.index(some - 1)), w.index(some))
        w.call(self.name, place, low, high, self.key, w.const(self.step, U64), vectors)
        if self.truncated:
            groups = w.div(w.add(count, w.index(self.size - 1)), w.index(self.size))
            with w.loop(0, groups) as group:
                here = w.at(place, times(w, group.index, self.size), t)
                with w.when(is_rejected(w, w.load(here, t.of(self.size)))):
                    start = counter_at(w, low, high, group.index, self.step)
                    w.call(accepting(w.module, t), here, *start, self.key)


def _copy(w: Writer, source: Value, target: Value, count: Value, t: Type) -> None:
    """Copy so many numbers."""
    lanes = w.module.lanes(t)
    with w.loop(0, count, lanes) as loop:
        mask = w.mask(w.sub(count, loop.index), lanes)
        value = w.load(w.at(source, loop.index, t), t.of(lanes))
        w.store_masked(value, w.at(target, loop.index, t), mask)


def _finish(
    w: Writer,
    finisher: Finisher,
    held: Value,
    made: Value,
    start: Value,
    stop: Value,
    columns: int,
    t: Type,
) -> None:
    """Finish the numbers from `start` to `stop` of all, which lie at `held`, row by row."""
    lanes, stored = w.module.lanes(t), type_of(finisher.stored.dtype)

    def one(row: Value, base: Value, column: Value, mask: Value | None) -> None:
        at = w.add(base, column)
        value = w.load(w.at(held, w.sub(at, start), t), t.of(lanes))
        value = finisher(w, value, row, column, mask)
        place = w.at(made, at, stored)
        if mask is None:
            w.store(value, place)
        else:
            w.store_masked(value, place, mask)

    whole = w.index(columns)
    last = w.div(w.sub(stop, w.index(1)), whole)
    with w.loop(w.div(start, whole), w.add(last, w.index(1))) as row:
        base = times(w, row.index, columns)
        first = w.maximum(w.sub(start, base), w.index(0))
        end = w.minimum(w.sub(stop, base), whole)
        rest = w.add(first, w.and_(w.sub(end, first), w.index(-lanes)))
        with w.loop(first, rest, lanes) as loop:
            one(row.index, base, loop.index, None)
        with w.when(w.compare("<", rest, end)):
            one(row.index, base, rest, w.mask(w.sub(end, rest), lanes))

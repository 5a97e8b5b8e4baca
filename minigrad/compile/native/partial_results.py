"""Joining what the units of a loop leave of a reduction over rows, in the order of the units."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.kernel import kernel_function, operand
from minigrad.compile.native.loop_space import Space
from minigrad.compile.native.sweeps import Joining, sweep
from minigrad.compile.native.types import I8, type_of
from minigrad.compile.native.writer import Module, Value
from minigrad.compile.program import Instruction


class Places(NamedTuple):
    """Where the partial results are, and where the result goes.

    Attributes:
        scratch: the position of the scratch memory among the args.
        offset: bytes from its start to the partial results.
        result: the position of the result among the args.
    """

    scratch: int
    offset: int
    result: int


def joining_of(step: Instruction) -> Joining:
    """How a reduction joins."""
    return Joining(step.name, type_of(step.output.dtype))


def join_columns(module: Module, step: Instruction, space: Space, places: Places) -> str:
    """Add up the sums over rows that the units of each batch left, in order."""
    w = kernel_function(module)
    joining = joining_of(step)
    scratch = w.at(operand(w, places.scratch), places.offset, I8)
    target = operand(w, places.result)
    n = space.row_elements
    batches = space.units // space.units_of_batch
    with w.loop(0, batches) as batch:
        base = w.at(scratch, w.mul(batch.index, w.index(space.units_of_batch * n)), joining.type)
        out = w.at(target, w.mul(batch.index, w.index(n)), joining.type)

        def body(index: Value, mask: Value | None) -> list[Value]:
            vector = joining.type.of(space.lanes)
            place = w.at(base, index, joining.type)

            def load(address: Value) -> Value:
                return (
                    w.load(address, vector)
                    if mask is None
                    else w.load_masked(address, vector, mask)
                )

            with w.loop(1, space.units_of_batch, 1, [load(place)]) as units:
                more = load(w.at(place, w.mul(units.index, w.index(n)), joining.type))
                units.next = (joining.join(w, units.values[0], more),)
            value = units.results[0]
            if mask is None:
                w.store(value, w.at(out, index, joining.type))
            else:
                w.store_masked(value, w.at(out, index, joining.type), mask)
            return []

        sweep(w, n, space.lanes, (), body)
    return w.finish_once()


def join_all(module: Module, step: Instruction, space: Space, places: Places) -> str:
    """Join the scalars that the units left, in order and in the wide type."""
    w = kernel_function(module)
    joining = joining_of(step)
    scratch = w.at(operand(w, places.scratch), places.offset, I8)
    first = joining.identity(w, joining.wide)
    with w.loop(0, space.units, 1, [first]) as loop:
        more = w.load(w.at(scratch, loop.index, joining.wide), joining.wide)
        loop.next = (joining.join(w, loop.values[0], more),)
    value = w.convert(loop.results[0], joining.type)
    w.store(value, operand(w, places.result))
    return w.finish_once()

"""Loops over the elements of a row, in vectors, with reductions on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from minigrad.compile.native.types import F64, Type
from minigrad.compile.native.writer import Value, Writer

#: Rows of up to this many vectors are written without a loop.
STRAIGHT = 8
#: How many partial results a reduction keeps apart, so that it need not wait for the last one.
APART = 4
#: Longer rows are summed in segments of so many elements, whose sums are added in higher precision.
SEGMENT = 4096


class Joining(NamedTuple):
    """How a reduction joins two values.

    Attributes:
        name: ``"sum"``, ``"prod"``, ``"max"``, ``"min"``, ``"any"`` or ``"all"``.
        type: the type of its elements.
    """

    name: str
    type: Type

    @property
    def wide(self) -> Type:
        """The type in which long sums are continued."""
        return F64 if self.type.kind == "float" and self.name == "sum" else self.type

    def join(self, w: Writer, a: Value, b: Value) -> Value:
        """Join two values."""
        if self.name == "sum":
            return w.add(a, b)
        if self.name == "prod":
            return w.mul(a, b)
        if self.name == "max":
            return w.maximum(a, b)
        if self.name == "min":
            return w.minimum(a, b)
        return w.or_(a, b) if self.name == "any" else w.and_(a, b)

    def identity(self, w: Writer, t: Type) -> Value:
        """What joined with any value gives that value."""
        if self.name in ("sum", "any"):
            # The sum of nothing but -0 is -0 only if the sum starts there; NumPy's starts at +0.
            return w.const(0, t)
        if self.name in ("prod", "all"):
            return w.const(1, t)
        if t.kind == "float":
            return w.const(-np.inf if self.name == "max" else np.inf, t)
        if t.kind == "bool":
            return w.const(self.name == "min", t)
        least = -(1 << (t.bits - 1)) if t.kind == "int" else 0
        most = (1 << (t.bits - (t.kind == "int"))) - 1
        return w.const(least if self.name == "max" else most, t)


#: Writes the code for one vector: ``(index of its first element, mask or None)`` gives what each
#: reduction joins.
Body: TypeAlias = Callable[[Value, "Value | None"], Sequence[Value]]


def sweep(
    w: Writer,
    count: int | Value,
    lanes: int,
    joinings: Sequence[Joining],
    body: Body,
) -> list[Value]:
    """Write a loop over `count` elements; a vector of partial results for each reduction.

    Full vectors come in groups of `APART` where something is reduced, then alone, and last comes a
    masked one for the rest.
    """
    if isinstance(count, int) and count <= STRAIGHT * lanes:
        return _straight(w, count, lanes, joinings, body)
    apart = APART if joinings else 1
    partial = [[j.identity(w, j.type.of(lanes)) for _ in range(apart)] for j in joinings]
    if isinstance(count, int):
        whole: int | Value = count - count % lanes
        grouped: int | Value = count - count % (lanes * apart)
    else:
        whole = _floor(w, count, lanes)
        grouped = _floor(w, count, lanes * apart)
    with w.loop(0, grouped, lanes * apart, [p for parts in partial for p in parts]) as loop:
        now = list(loop.values)
        for k in range(apart):
            index = w.add(loop.index, w.index(k * lanes)) if k else loop.index
            _join(w, joinings, now, apart, k, body(index, None), None)
        loop.next = tuple(now)
    now = list(loop.results)
    if apart > 1 and not (isinstance(whole, int) and whole == grouped):
        with w.loop(grouped, whole, lanes, now) as loop:
            now = list(loop.values)
            _join(w, joinings, now, apart, 0, body(loop.index, None), None)
            loop.next = tuple(now)
        now = list(loop.results)
    if not (isinstance(count, int) and whole == count):
        start = w.index(whole) if isinstance(whole, int) else whole
        stop = w.index(count) if isinstance(count, int) else count
        if isinstance(count, int):
            mask = w.mask(w.index(count - count // lanes * lanes), lanes)
            _join(w, joinings, now, apart, 0, body(start, mask), mask)
        else:
            # No lane may be left: then nothing is read, and what is joined changes nothing.
            mask = w.mask(w.sub(stop, start), lanes)
            _join(w, joinings, now, apart, 0, body(start, mask), mask)
    return _together(w, joinings, now, apart)


def _straight(
    w: Writer, count: int, lanes: int, joinings: Sequence[Joining], body: Body
) -> list[Value]:
    vectors = -(-count // lanes)
    apart = min(APART, max(vectors, 1))
    now = [j.identity(w, j.type.of(lanes)) for j in joinings for _ in range(apart)]
    for k in range(vectors):
        left = count - k * lanes
        mask = w.mask(w.index(left), lanes) if left < lanes else None
        _join(w, joinings, now, apart, k % apart, body(w.index(k * lanes), mask), mask)
    return _together(w, joinings, now, apart)


def _join(
    w: Writer,
    joinings: Sequence[Joining],
    now: list[Value],
    apart: int,
    k: int,
    values: Sequence[Value],
    mask: Value | None,
) -> None:
    for i, (joining, value) in enumerate(zip(joinings, values, strict=True)):
        if mask is not None:
            value = w.select(mask, value, joining.identity(w, value.type))
        place = i * apart + k
        now[place] = joining.join(w, now[place], value)


def _together(w: Writer, joinings: Sequence[Joining], now: list[Value], apart: int) -> list[Value]:
    results = []
    for i, joining in enumerate(joinings):
        parts = now[i * apart : (i + 1) * apart]
        while len(parts) > 1:
            parts = [
                joining.join(w, parts[k], parts[k + 1]) if k + 1 < len(parts) else parts[k]
                for k in range(0, len(parts), 2)
            ]
        results.append(parts[0])
    return results


def _floor(w: Writer, count: Value, step: int) -> Value:
    return w.and_(count, w.index(-step))


def total(w: Writer, joining: Joining, vector: Value, before: Value | None = None) -> Value:
    """A vector of partial results joined to a scalar of the wide type, and to one from before."""
    scalar = w.fold(vector, lambda a, b: joining.join(w, a, b))
    scalar = w.convert(scalar, joining.wide)
    return scalar if before is None else joining.join(w, before, scalar)


def rounded_up(count: int, step: int) -> int:
    """The least multiple of `step` that is not less than `count`."""
    return -(-count // step) * step

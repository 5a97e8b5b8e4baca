"""Running sums and products along an axis, one element after the other as NumPy adds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minigrad.compile.native.kernel import Kernel, Phase, kernel_function, operand
from minigrad.compile.native.memory import pieces, plus, split_index, times
from minigrad.compile.native.types import Type, memory_bytes, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.compile.program import Instruction

#: So many are in work side by side: each waits for its own last sum.
_ABREAST = 8
#: Of long lines of columns so many vectors are taken at a time.
_WIDE = 4


class _Strand(NamedTuple):
    """Neighbours that run side by side in one vector: where the first is, and how many."""

    offset: int
    lanes: int


class _Part(NamedTuple):
    """Some of the strands: as often as there are groups and blocks."""

    start: int
    groups: int
    apart: int
    blocks: int
    width: int
    strands: Sequence[_Strand]


def emit_scan(module: Module, step: Instruction) -> Kernel:
    """Of x (outer, count, inner), or of the factors and what is added: the same shape."""
    x = step.inputs[0]
    assert x is not None
    outer, count, inner = x.shape
    t = type_of(x.dtype)
    scan = _Scan(step, count, inner, t)
    work = outer * count * inner * (0.4 + memory_bytes(t) / 10)
    share = 1 / (outer * inner)
    phases = []
    for part in _parts(outer, count, inner, module.lanes(t)):
        units = part.groups * part.blocks
        each = sum([strand.lanes for strand in part.strands])
        phases.append(Phase(scan.write(module, part), units, work * share * units * each))
    return Kernel(tuple(phases))


def _parts(outer: int, count: int, inner: int, lanes: int) -> list[_Part]:
    """All that runs along the axis."""
    whole = count * inner
    wide = inner // (_WIDE * lanes)
    done = wide * _WIDE * lanes
    made = []
    if wide:
        strands = [_Strand(k * lanes, lanes) for k in range(_WIDE)]
        made.append(_Part(0, outer, whole, wide, _WIDE * lanes, strands))
    rest = pieces(inner - done, lanes)
    if rest:
        abreast = max(_ABREAST // len(rest), 1)
        last = outer % abreast
        for first, groups, some in ((0, outer // abreast, abreast), (outer - last, 1, last)):
            strands = [
                _Strand(row * whole + done + start, width)
                for row in range(some)
                for start, width in rest
            ]
            if groups and strands:
                made.append(_Part(first * whole, groups, some * whole, 1, 0, strands))
    return made


class _Scan:
    """What is computed along the axis."""

    def __init__(self, step: Instruction, count: int, inner: int, t: Type) -> None:
        self.name = step.name
        self.exclusive = step.attrs.get("exclusive", False)
        self.reverse = step.attrs["reverse"]
        self.count, self.inner, self.type = count, inner, t
        self.inputs = len(step.inputs)

    def write(self, module: Module, part: _Part) -> str:
        """Write the function of a part."""
        w = kernel_function(module)
        _, lo, hi = w.parameters
        arrays = [operand(w, i) for i in range(self.inputs + 1)]
        identity = 1 if self.name == "cumulative_prod" else 0
        with w.loop(lo, hi) as unit:
            group, block = split_index(w, unit.index, part.groups, part.blocks)
            at = plus(w, part.start, times(w, group, part.apart), times(w, block, part.width))
            *given, made = [w.at(array, at, self.type) for array in arrays]
            if self.exclusive:
                now = [w.const(identity, self.type.of(s.lanes)) for s in part.strands]
                first = 0
            else:
                # The first element as it is: a sum of 0 and -0 would be 0.
                start = self._line(w, w.index(0))
                now = [self._load(w, given[-1], start, s) for s in part.strands]
                self._store(w, now, made, start, part)
                first = 1
            with w.loop(first, self.count, 1, now) as loop:
                line = self._line(w, loop.index)
                if self.exclusive:
                    self._store(w, loop.values, made, line, part)
                following = []
                for strand, before in zip(part.strands, loop.values, strict=True):
                    found = [self._load(w, array, line, strand) for array in given]
                    following.append(self._next(w, before, found))
                if not self.exclusive:
                    self._store(w, following, made, line, part)
                loop.next = tuple(following)
        return w.finish_once()

    def _next(self, w: Writer, before: Value, found: Sequence[Value]) -> Value:
        if self.name == "cumulative_sum":
            return w.add(before, found[0])
        if self.name == "cumulative_prod":
            return w.mul(before, found[0])
        factor, added = found
        return w.add(added, w.mul(factor, before))

    def _line(self, w: Writer, index: Value) -> Value:
        """Where the elements of a place along the axis begin."""
        if self.reverse:
            index = w.sub(w.index(self.count - 1), index)
        return times(w, index, self.inner)

    def _load(self, w: Writer, array: Value, line: Value, strand: _Strand) -> Value:
        place = w.at(array, plus(w, strand.offset, line), self.type)
        return w.load(place, self.type.of(strand.lanes))

    def _store(
        self, w: Writer, values: Sequence[Value], made: Value, line: Value, part: _Part
    ) -> None:
        for value, strand in zip(values, part.strands, strict=True):
            w.store(value, w.at(made, plus(w, strand.offset, line), self.type))

"""Groups of instructions over large arrays, in blocks: what is between stays in the cache."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.compile.fuse import Access, Group
from minigrad.compile.kernels import JOINING, Repeat, pure_kernel
from minigrad.compile.numpy_backend.own_kernels import ON_ROWS, OWN
from minigrad.compile.numpy_backend.recipes import BITS, Call, Recipe, Ref, recipe_of, reduction
from minigrad.compile.program import Instruction, Operand, Sizes
from minigrad.core.tensor import Array
from minigrad.executor.reference import Way

#: Arrays of more bytes are computed in blocks.
LARGE_BYTES = 1 << 18
#: So many bytes of each array are a block.
BLOCK_BYTES = 1 << 16


class Unfit(Exception):
    """A group that cannot be computed in blocks."""


def cut(group: Group, needed: set[Operand]) -> BlockCode | None:
    """The code of a group in blocks; None if it is too small, or has a shape for which it is not.

    Args:
        group: the instructions.
        needed: the values that are read outside of groups that make them.
    """
    widest = max([x.dtype.itemsize for step in group.steps for x in step.outputs], default=1)
    steps = sum(step.kind != "check" for step in group.steps)
    if group.size * widest <= LARGE_BYTES or steps < 2 or group.batch not in (None, 0):
        return None
    if any(x.dtype.kind == "O" for step in group.steps for x in step.outputs):
        return None
    try:
        return BlockCode(group, needed, widest)
    except Unfit:
        return None


class BlockCode:
    """A group as a function over blocks of its domain.

    The function is written as text, because calls with local variables take the least time there
    is. Blocks are cut by shape alone, and partial sums are joined in their order.

    Attributes:
        reads: the operands from outside that it reads.
        outputs: the operands that it makes for others.
    """

    def __init__(self, group: Group, needed: set[Operand], widest: int) -> None:
        self._group = group
        self._cut(widest)
        self._late = [step for step in group.steps if self._level(step) == "late"]
        needed = needed.union([step.output for step in self._late])
        self.outputs = [x for step in group.steps for x in step.outputs if x in needed]
        found = [access.root for access in group.accesses.values()]
        self.reads = list(dict.fromkeys([x for x in found if x.constant is None]))
        #: Where arrays from outside are, once `place` has been called; and how they are seen.
        self._ins: list[tuple[int, Access, Sizes]] = []
        self._outs: list[tuple[int, Sizes]] = []
        self._joins: list[tuple[int, np.ufunc, Any]] = []
        writer = _Writer(self)
        self._accesses = writer.accesses
        self._stored = writer.stored
        self._run: Callable[..., None] = writer.function()
        self._scratch = writer.scratch

    def _level(self, step: Instruction) -> str:
        if step.outputs:
            return self._group.levels[step.output]
        (x,) = step.inputs
        assert x is not None
        made = self._group.levels.get(x.root)
        if made is not None:
            return made
        return "full" if (x, "full") in self._group.accesses else "row"

    def _cut(self, widest: int) -> None:
        """Choose the axis to cut along: blocks are as large as fits, and hold whole rows."""
        group = self._group
        domain = group.domain
        most = max(BLOCK_BYTES // widest, 1)
        axes = len(domain) if group.split is None else group.split
        if any(step.name in ON_ROWS for step in group.steps):
            axes = min(axes, len(domain) - 1)
            if any(s.name in ON_ROWS and s.output.shape != domain for s in group.steps):
                raise Unfit
        if axes == 0:
            raise Unfit
        axis = next((i for i in range(axes) if math.prod(domain[i + 1 :]) <= most), axes - 1)
        size = max(1, most // max(1, math.prod(domain[axis + 1 :])))
        before = [[slice(i, i + 1) for i in range(n)] for n in domain[:axis]]
        along = [slice(i, min(i + size, domain[axis])) for i in range(0, domain[axis], size)]
        self.keys = list(itertools.product(*before, along))
        self.shape = (*[1] * axis, size, *domain[axis + 1 :])

    def block_shape(self, key: tuple[slice, ...], level: str) -> Sizes:
        """The shape of a value of some level in a block."""
        group = self._group
        shape = [k.stop - k.start for k in key] + list(group.domain[len(key) :])
        if level == "row":
            assert group.split is not None
            shape[group.split :] = [1] * (len(shape) - group.split)
        return tuple(shape)

    def target(self, level: str) -> Sizes:
        """The shape of the whole of a value of some level, seen over the domain."""
        group = self._group
        if level == "full":
            return group.domain
        return (*group.outer, *[1] * len(group.inner))

    # -- placing and running ---------------------------------------------------------------

    def place(self, ref: Callable[[Operand], Ref | None]) -> None:
        """Learn where the arrays from outside are."""

        def slot(x: Operand) -> int:
            found = ref(x)
            assert found is not None
            return found.slot

        self._ins = [(slot(a.root), a, self.target(level)) for a, level in self._accesses]
        self._outs = [(slot(x), self.target(level)) for x, level in self._stored]
        self._joins = [
            (slot(step.output), JOINING[step.name], step.output.dtype) for step in self._late
        ]

    def for_frame(self) -> Callable[[list[Any]], None]:
        """A function of a frame's arrays, with memory of its own for what is between."""
        by_shape: dict[Sizes, tuple[Array, ...]] = {}
        work = []
        for i, key in enumerate(self.keys):
            shape = self.block_shape(key, "full")
            if shape not in by_shape:
                by_shape[shape] = tuple(
                    [np.empty(self.block_shape(key, level), d) for level, d in self._scratch]
                )
            work.append((i, key, by_shape[shape]))
        parts = [
            np.empty((len(work), *self._part_shape(step)), step.output.dtype) for step in self._late
        ]

        def run(arrays: list[Any]) -> None:
            given = [_seen(arrays[at], access, shape) for at, access, shape in self._ins]
            given += [arrays[at].reshape(shape) for at, shape in self._outs]
            try:
                self._run(work, given, parts)
            except Repeat:
                raise
            except Exception as error:
                raise Repeat(f"{error}") from error
            for (at, ufunc, dtype), part in zip(self._joins, parts, strict=True):
                whole = arrays[at].reshape(part.shape[1:])
                ufunc.reduce(part, 0, dtype if ufunc in _TOTALS else None, whole)

        return run

    def _part_shape(self, step: Instruction) -> Sizes:
        """The shape of one block's part of a reduction that needs all blocks."""
        group = self._group
        if step.output.size == 1:
            return (1,) * len(group.domain)
        return (*[1] * len(group.outer), *group.inner)

    def late_axes(self, step: Instruction) -> tuple[int, ...]:
        """The axes of a block that such a reduction joins."""
        group = self._group
        if step.output.size == 1:
            return tuple(range(len(group.domain)))
        return tuple(range(len(group.outer)))


_TOTALS = (np.add, np.multiply)


def _seen(array: Array, access: Access, shape: Sizes) -> Array:
    """An array over the domain."""
    if access.root.constant is not None:
        return array
    size = array.dtype.itemsize
    strides = tuple([s * size for s in access.strides])
    return np.ndarray(shape, array.dtype, array, access.offset * size, strides)


class _Writer:
    """Writes the function of a group."""

    def __init__(self, code: BlockCode) -> None:
        self.code = code
        self.group = code._group
        self.accesses: list[tuple[Access, str]] = []
        self.stored: list[tuple[Operand, str]] = []
        #: Level and dtype of each array for what is between.
        self.scratch: list[tuple[str, np.dtype[Any]]] = []
        self._names: dict[Operand, str] = {}
        self._inputs: dict[tuple[Operand, str], str] = {}
        self._values: dict[str, Any] = {"Repeat": Repeat}
        self._lines: list[str] = []
        self._free: list[int] = []
        self._refs: list[str] = []
        self._held: dict[Operand, int] = {}
        self._last = {
            x.root: i
            for i, step in enumerate(self.group.steps)
            for x in (*step.inputs, *step.outputs)
            if x is not None
        }
        parts = 0
        self._now = -1
        for step in self.group.steps:
            self._now += 1
            level = code._level(step)
            if level == "late":
                self._part(step, parts)
                parts += 1
            elif step.kind == "check":
                self._lines.append(f"if not {self._read(step.inputs[0], level)}.all():")
                self._lines.append("    raise Repeat('a check has failed')")
            else:
                self._step(step, level)
            self._let_go()

    # -- names -----------------------------------------------------------------------------

    def _value(self, value: Any) -> str:
        """A name for something that is always the same."""
        for name, known in self._values.items():
            if known is value:
                return name
        name = f"v{len(self._values)}"
        self._values[name] = value
        return name

    def _read(self, x: Operand | None, level: str) -> str:
        """The name of what a step of some level reads."""
        assert x is not None
        name = self._names.get(x.root)
        if name is not None:
            return name
        value = x.uniform
        if value is not None:
            return self._value(np.asarray(value, x.dtype))
        name = self._inputs.get((x, level))
        if name is None:
            access = self.group.accesses[x, level]  # type: ignore[index]
            name = self._inputs[x, level] = f"x{len(self.accesses)}"
            self.accesses.append((access, level))
        return name

    def _ref(self, name: str) -> Ref:
        self._refs.append(name)
        return Ref(len(self._refs) - 1)

    def _text(self, argument: Any) -> str:
        if type(argument) is not Ref:
            return self._value(argument)
        name = self._refs[argument.slot]
        return f"{name}.view(bits{name})" if argument.bits else name

    # -- memory for what is between --------------------------------------------------------

    def _take(self, level: str, dtype: np.dtype[Any]) -> int:
        for i in self._free:
            if self.scratch[i] == (level, dtype):
                self._free.remove(i)
                return i
        self.scratch.append((level, dtype))
        return len(self.scratch) - 1

    def _let_go(self) -> None:
        """Free what no later step reads."""
        for x in [x for x in self._held if self._last[x] == self._now]:
            self._free.append(self._held.pop(x))

    # -- steps -----------------------------------------------------------------------------

    def _step(self, step: Instruction, level: str) -> None:
        out = step.output
        seen = "full" if step.kind == "reduce" else level
        names = [None if x is None else self._read(x, seen) for x in step.inputs]
        inputs = [None if n is None else self._bits_known(n, x) for n, x in _pairs(names, step)]
        borrowed: list[int] = []

        def scratch(shape: Sizes, dtype: np.dtype[Any]) -> Ref:
            taken = self._take(level, dtype)
            borrowed.append(taken)
            return self._ref(f"s{taken}")

        recipe = self._recipe(step, inputs, self._output(step, level, out), scratch, level)
        if recipe is None:
            self._kernel(step, names, level)
            return
        for c in recipe.calls:
            args = [self._text(a) for a in c.args]
            if c.out is not None:
                args.append(f"out={self._text(c.out)}")
            self._lines.append(f"{self._value(c.function)}({', '.join(args)})")
        self._free += borrowed

    def _bits_known(self, name: str, x: Operand) -> Ref:
        if x.dtype in BITS:
            self._values[f"bits{name}"] = BITS[x.dtype]
        return self._ref(name)

    def _recipe(
        self, step: Instruction, inputs: Sequence[Ref | None], out: Ref, scratch: Any, level: str
    ) -> Recipe | None:
        if step.kind == "reduce":
            assert self.group.split is not None
            axes = tuple(range(self.group.split, len(self.group.domain)))
            return Recipe([reduction(step, inputs[0], out, axes)])
        if step.name in OWN:
            return Recipe([Call(OWN[step.name], (*inputs, out))])
        return recipe_of(step, inputs, out, scratch)

    def _output(self, step: Instruction, level: str, out: Operand) -> Ref:
        """The place for an output: of the array outside, of an input that ends here, or new."""
        if out in self.code.outputs:
            name = f"y{len(self.stored)}"
            self.stored.append((out, level))
        else:
            taken = self._in_place(step, level)
            if taken is None:
                taken = self._take(level, out.dtype)
            self._held[out] = taken
            name = f"s{taken}"
        self._names[out] = name
        return self._bits_known(name, out)

    def _in_place(self, step: Instruction, level: str) -> int | None:
        if step.kind != "map" or step.name in OWN:
            return None
        nothing = Ref(-1)
        trial = recipe_of(step, [nothing] * len(step.inputs), nothing, lambda s, d: nothing)
        for i in () if trial is None else trial.aliases:
            x = step.inputs[i]
            if (
                x is not None
                and x.root in self._held
                and self._last[x.root] == self._now
                and self.scratch[self._held[x.root]] == (level, step.output.dtype)
                and sum([y is not None and y.root is x.root for y in step.inputs]) == 1
            ):
                return self._held.pop(x.root)
        return None

    def _kernel(self, step: Instruction, names: Sequence[str | None], level: str) -> None:
        """A step whose kernel makes new arrays."""
        out = step.output
        kernel = self._value(pure_kernel(step, Way(generic=False)))
        given = ", ".join(["None" if n is None else n for n in names])
        if out in self.code.outputs:
            copyto = self._value(np.copyto)
            self._lines.append(f"{copyto}({self._names[out]}, {kernel}({given}))")
            return
        # A value of its own, not the memory that has been taken for it.
        self._free.append(self._held.pop(out))
        self._names[out] = f"t{self._now}"
        self._values[f"bitst{self._now}"] = BITS.get(out.dtype)
        self._lines.append(f"t{self._now} = {kernel}({given})")

    def _part(self, step: Instruction, number: int) -> None:
        """A reduction that needs all blocks: this block's part."""
        x = self._ref(self._read(step.inputs[0], "full"))
        out = self._ref(f"p{number}[n]")
        call = reduction(step, x, out, self.code.late_axes(step))
        args = ", ".join([self._text(a) for a in call.args])
        self._lines.append(f"{self._value(call.function)}({args})")

    def function(self) -> Callable[..., None]:
        """The function, of the blocks, the arrays outside, and the parts of reductions."""
        ins = [f"x{i}" for i in range(len(self.accesses))]
        outs = [f"y{i}" for i in range(len(self.stored))]
        parts = [f"p{i}" for i in range(len(self.code._late))]
        scratch = "".join([f"s{i}, " for i in range(len(self.scratch))])
        lines = ["def run(work, given, parts):"]
        if ins or outs:
            lines.append(f"    {', '.join(['_' + a for a in ins + outs])}, = given")
        if parts:
            lines.append(f"    {', '.join(parts)}, = parts")
        lines.append(f"    for n, k, ({scratch}) in work:")
        lines += [f"        {a} = _{a}[k]" for a in ins + outs]
        lines += [f"        {line}" for line in self._lines]
        values = dict(self._values)
        exec(compile("\n".join(lines), "<blocks>", "exec"), values)
        made: Callable[..., None] = values["run"]
        return made


def _pairs(names: Sequence[str | None], step: Instruction) -> Any:
    return zip(names, step.inputs, strict=True)

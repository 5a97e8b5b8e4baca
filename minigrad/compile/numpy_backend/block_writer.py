"""Writes what is done with one block of a group, as a Python function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.fuse import Access, Group
from minigrad.compile.kernels import Repeat, pure_kernel
from minigrad.compile.numpy_backend.own_kernels import CHANGING, OWN
from minigrad.compile.numpy_backend.recipes import BITS, Call, Recipe, Ref, recipe_of, reduction
from minigrad.compile.program import Instruction, Operand, Sizes
from minigrad.executor.reference import Way


class Writer:
    """Writes the function of a group.

    Args:
        group: the group.
        levels: for every step, what it is one value for: an element, a row, or all blocks.
        outputs: the values that others read.
        late: for the steps that all blocks have a part in, the axes of a block that they join.

    Attributes:
        accesses: how arrays from outside are read, and at which level.
        stored: the values that go to arrays outside, and their levels.
        scratch: level and dtype of each array for what is between.
    """

    def __init__(
        self,
        group: Group,
        levels: Sequence[str],
        outputs: Collection[Operand],
        late: Mapping[Instruction, tuple[int, ...]],
    ) -> None:
        self.group = group
        self._outputs = outputs
        self._late = late
        self.accesses: list[tuple[Access, str]] = []
        self.stored: list[tuple[Operand, str]] = []
        self.scratch: list[tuple[str, np.dtype[Any]]] = []
        self._names: dict[Operand, str] = {}
        self._inputs: dict[tuple[Operand, str], str] = {}
        self._values: dict[str, Any] = {"Repeat": Repeat}
        self._lines: list[str] = []
        self._refs: list[str] = []
        #: Arrays for what is between: level and dtype by name; those not in use; whose they are.
        self._kinds: dict[str, tuple[str, np.dtype[Any]]] = {}
        self._free: list[str] = []
        self._held: dict[Operand, str] = {}
        self._last = {
            x.root: i
            for i, step in enumerate(self.group.steps)
            for x in (*step.inputs, *step.outputs)
            if x is not None
        }
        #: Values that a later step changes in place and gives away.
        self._changed = {
            step.inputs[0].root: step.output
            for i, step in enumerate(group.steps)
            if step.name in CHANGING
            and step.output in outputs
            and step.inputs[0] is not None
            and self._last[step.inputs[0].root] == i
            and step.inputs[0].root.producer in group.steps
            and step.inputs[0].root not in outputs
        }
        #: For each array outside that can serve until then, the first step that writes there.
        self._due: dict[str, int] = {}
        for i, (step, level) in enumerate(zip(group.steps, levels, strict=True)):
            if level == "full" and step.kind == "map":
                self._lend(i, step.output)
        parts = 0
        self._now = -1
        for step, level in zip(group.steps, levels, strict=True):
            self._now += 1
            if step in late:
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

    def _lend(self, number: int, out: Operand) -> None:
        """Let what is between lie where a step will write a result, which is one array less."""
        if out in self._outputs or out in self._changed:
            name = self._store(out, "full")
            self._kinds[name] = "full", out.dtype
            self._due[name] = number
            self._free.append(name)

    def _store(self, out: Operand, level: str) -> str:
        """The name of the array outside that a value goes to."""
        stored = self._changed.get(out, out)
        name = self._names.get(stored)
        if name is None:
            name = f"y{len(self.stored)}"
            self.stored.append((stored, level))
            self._names[stored] = name
        return name

    def _take(self, level: str, dtype: np.dtype[Any], value: Operand | None = None) -> str:
        """An array for a value, or for this step only."""
        for name in self._free:
            if self._kinds[name] == (level, dtype) and self._may_lie(value, name):
                self._free.remove(name)
                return name
        name = f"s{len(self.scratch)}"
        self.scratch.append((level, dtype))
        self._kinds[name] = level, dtype
        return name

    def _may_lie(self, value: Operand | None, name: str) -> bool:
        """Whether an array is not needed for something else before a value's last use."""
        due = self._due.get(name)
        if due is None:
            return True
        last = self._now if value is None else self._last[value]
        if last != due or value is None:
            return last < due
        step = self.group.steps[due]
        return any(step.inputs[i] is value for i in self._replaceable(step))

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
        borrowed: list[str] = []

        def scratch(shape: Sizes, dtype: np.dtype[Any]) -> Ref:
            taken = self._take(level, dtype)
            borrowed.append(taken)
            return self._ref(taken)

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
        if out in self._outputs or out in self._changed:
            name = self._store(out, level)
        else:
            name = self._in_place(step, level) or self._take(level, out.dtype, out)
            self._held[out] = name
        self._names[out] = name
        return self._bits_known(name, out)

    def _replaceable(self, step: Instruction) -> list[int]:
        """The inputs whose memory a step's output may take if they end here."""
        if step.kind != "map" or step.name in OWN:
            return []
        nothing = Ref(-1)
        trial = recipe_of(step, [nothing] * len(step.inputs), nothing, lambda s, d: nothing)
        roots = [None if x is None else x.root for x in step.inputs]
        return [] if trial is None else [i for i in trial.aliases if roots.count(roots[i]) == 1]

    def _in_place(self, step: Instruction, level: str) -> str | None:
        """The array of an input that ends here, for the output."""
        for i in self._replaceable(step):
            x = step.inputs[i]
            name = None if x is None else self._held.get(x.root)
            if (
                x is not None
                and name is not None
                and self._last[x.root] == self._now
                and self._kinds[name] == (level, step.output.dtype)
                and self._may_lie(step.output, name)
            ):
                del self._held[x.root]
                return name
        return None

    def _kernel(self, step: Instruction, names: Sequence[str | None], level: str) -> None:
        """A step whose kernel makes new arrays."""
        out = step.output
        kernel = self._value(pure_kernel(step, Way(generic=False)))
        given = ", ".join(["None" if n is None else n for n in names])
        if out not in self._held:
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
        call = reduction(step, x, out, self._late[step])
        args = ", ".join([self._text(a) for a in call.args])
        self._lines.append(f"{self._value(call.function)}({args})")

    def function(self) -> Callable[..., None]:
        """The function, of the blocks, the arrays outside, and the parts of reductions."""
        ins = [f"x{i}" for i in range(len(self.accesses))]
        outs = [f"y{i}" for i in range(len(self.stored))]
        parts = [f"p{i}" for i in range(len(self._late))]
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

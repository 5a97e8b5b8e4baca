"""In what order a fused loop computes its values, and which of them lie in memory.

A reduction along a row is ready only when the row has been swept once; what depends on it belongs
to the next sweep, a later *phase*. A value that a later phase reads is computed again there if
that is cheap, and kept in memory otherwise.
"""

from __future__ import annotations

from collections.abc import Collection

from minigrad.compile.fuse import Group
from minigrad.compile.program import Instruction, Operand

#: Ops that take many instructions: their values are kept rather than computed twice.
DEAR = frozenset(
    [
        "Exp",
        "Exp2",
        "Expm1",
        "Log",
        "Log2",
        "Log10",
        "Log1p",
        "Tanh",
        "Sigmoid",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Atan2",
        "Sinh",
        "Cosh",
        "Asinh",
        "Acosh",
        "Atanh",
        "Erf",
        "Erfc",
        "Erfinv",
        "Pow",
        "Cbrt",
        "Hypot",
        "LogAddExp",
        "Softplus",
        "LogSigmoid",
        "Gelu",
        "Silu",
        "Mish",
        "Selu",
        "Elu",
        "Celu",
        "FloorDiv",
        "FloorMod",
        "Mod",
        "TruncateMod",
        "Lgamma",
        "Digamma",
        "Xlogy",
        "Xdivy",
        "LogCosh",
    ]
)
#: Up to this many cheap steps are done again rather than kept.
_CHEAP_STEPS = 6


class Phases:
    """The phases of a group.

    Attributes:
        group: the group.
        count: how many sweeps over each row there are.
        sweeps: for each of them, the steps on elements, in order.
        rows: for each of them, the steps on rows after it; those before the first come first.
        kept: values that must lie in memory though nothing outside reads them.
        stored: by value, the phase in which it is written to memory.
    """

    def __init__(self, group: Group, needed: Collection[Operand]) -> None:
        self.group = group
        self._made = {out: step for step in group.steps for out in step.outputs}
        self._phase: dict[Instruction, int] = {}
        for step in group.steps:
            self._phase[step] = self._phase_of(step)
        full = [step for step in group.steps if self._is_sweep(step)]
        self.count = max([self._phase[step] for step in full], default=-1) + 1
        self.rows: list[list[Instruction]] = [[] for _ in range(self.count + 1)]
        for step in group.steps:
            if not self._is_sweep(step):
                self.rows[self._phase[step]].append(step)
        self.kept: dict[Operand, None] = {}
        self.stored: dict[Operand, int] = {}
        self._roots = [
            step
            for step in full
            if step.kind != "map" or any(out in needed for out in step.outputs)
        ]
        for step in self._roots:
            if step.kind == "map":
                self.stored[step.output] = self._phase[step]
        self.sweeps = self._sweeps(full)

    def _is_sweep(self, step: Instruction) -> bool:
        """Whether a step works on elements, rather than on one value a row."""
        if step.kind == "reduce":
            return True
        if step.outputs:
            return self.group.levels[step.output] == "full"
        (x,) = step.inputs
        assert x is not None
        level = self.group.levels.get(x.root)
        return level == "full" or (level is None and x.size == self.group.size)

    def _phase_of(self, step: Instruction) -> int:
        """For a step on elements, its sweep; for one on rows, how many sweeps precede it."""
        levels = self.group.levels
        sweep = self._is_sweep(step)
        phase = 0
        for x in step.inputs:
            made = None if x is None else self._made.get(x.root)
            if made is None:
                continue
            before = self._phase[made]
            if made.kind == "reduce" and levels[made.output] == "row":
                before += 1
            elif sweep and not self._is_sweep(made):
                pass  # made between the sweeps before and this one
            phase = max(phase, before)
        return phase

    def _sweeps(self, full: list[Instruction]) -> list[list[Instruction]]:
        """The steps of every sweep, those that are done again among them."""
        order = {step: i for i, step in enumerate(full)}
        wanted: list[set[Instruction]] = [set() for _ in range(self.count)]
        for step in self._roots:
            wanted[self._phase[step]].add(step)
        for phase in reversed(range(self.count)):
            stack = list(wanted[phase])
            while stack:
                step = stack.pop()
                for x in step.inputs:
                    made = None if x is None else self._made.get(x.root)
                    if made is None or made.kind != "map" or not self._is_sweep(made):
                        continue
                    if made in wanted[phase]:
                        continue
                    own = self._phase[made]
                    if own < phase:
                        if made.output in self.stored:
                            continue
                        if not self._cheap(made):
                            self.kept[made.output] = None
                            self.stored[made.output] = own
                            wanted[own].add(made)
                            continue
                    wanted[phase].add(made)
                    stack.append(made)
        return [sorted(steps, key=order.__getitem__) for steps in wanted]

    def _cheap(self, step: Instruction) -> bool:
        """Whether computing a value again, from memory on, costs less than keeping it."""
        seen: set[Instruction] = set()
        stack = [step]
        while stack:
            one = stack.pop()
            if one in seen:
                continue
            seen.add(one)
            if one.name in DEAR or len(seen) > _CHEAP_STEPS:
                return False
            for x in one.inputs:
                made = None if x is None else self._made.get(x.root)
                if (
                    made is not None
                    and made.kind == "map"
                    and self._is_sweep(made)
                    and made.output not in self.stored
                ):
                    stack.append(made)
        return True

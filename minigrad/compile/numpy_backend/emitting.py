"""From instructions to steps: what is called, with which arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.bodies import LoopForm
from minigrad.compile.fuse import Group, fuse
from minigrad.compile.kernels import is_plain, pure_kernel
from minigrad.compile.loop_runs import RunBody, run_loop
from minigrad.compile.numpy_backend.blocks import LARGE_BYTES, BlockCode, cut
from minigrad.compile.numpy_backend.own_kernels import OWN
from minigrad.compile.numpy_backend.places import SMALL_BYTES, Places
from minigrad.compile.numpy_backend.recipes import (
    Call,
    Recipe,
    Ref,
    call_of,
    copying,
    recipe_of,
    reduction,
    ufunc_of,
)
from minigrad.compile.numpy_backend.steps import (
    KernelCall,
    Step,
    check,
    effect,
    let_go,
    looking,
)
from minigrad.compile.program import Instruction, Operand, Program, Sizes, needed_by
from minigrad.compile.rewrite.matrices import is_plain_matrix
from minigrad.core.tensor import Array
from minigrad.executor.reference import Way

#: Pure kernels are run as sessions run them on NumPy.
_FAST = Way(generic=False)


class Emitter:
    """Makes the steps of a program, and gives every array its place.

    Attributes:
        steps: the steps.
        places: the places.
        fresh: results that are made in memory of their own in every run.
    """

    def __init__(
        self,
        program: Program,
        wanted: Mapping[Instruction, tuple[bool, ...]],
        run_body: RunBody,
    ) -> None:
        self.program = program
        self._run_body = run_body
        self.places = Places()
        self.steps: list[Step] = []
        self._wanted = wanted
        #: Whether kernels have made arrays of their own.
        self._made = False
        for name in ("transaction", "way"):
            self.places.add_free(Operand((), np.dtype(object), label=name))
        self._results = {x.root for x in program.results}
        units = list(_units(program))
        self._last = self._last_uses(units)
        in_blocks = {x for unit in units if isinstance(unit, BlockCode) for x in unit.outputs}
        self.fresh = [
            x
            for x in self._results
            if x.nbytes > SMALL_BYTES
            and x.producer is not None
            and (x in in_blocks or self._is_computed(x.producer))
        ]
        self._given = {*program.feeds, *program.cells.values()}
        for x in self._given:
            if self.is_staged(x):
                self.places.add_block(x, -1, self._last.get(x, -1))
            else:
                self.places.add_free(x)
        for x in self.fresh:
            self.places.add_free(x)
        self._now = -1
        for unit in units:
            self._now += 1
            if isinstance(unit, BlockCode):
                self._blocks(unit)
            else:
                self._instruction(unit)
            self._release(unit)

    # -- what the code asks ----------------------------------------------------------------

    def slot(self, x: Operand) -> int:
        """Where an operand is."""
        return self.places.find(x)[0]

    def is_known(self, x: Operand) -> bool:
        """Whether an operand has a place."""
        return self.places.is_known(x)

    def is_staged(self, x: Operand) -> bool:
        """Whether a feed or variable is copied into the arena."""
        return x.nbytes <= SMALL_BYTES and x.dtype.kind != "O"

    # -- places ----------------------------------------------------------------------------

    def _last_uses(self, units: Sequence[Instruction | BlockCode]) -> dict[Operand, int]:
        last: dict[Operand, int] = {}
        for i, unit in enumerate(units):
            for root in (*unit_reads(unit), *unit.outputs):
                last[root] = i
        for x in self._results:
            last[x] = len(units)
        return last

    def _is_computed(self, step: Instruction) -> bool:
        """Whether an instruction writes into memory that it is given."""
        if step.kind in ("reduce", "product") or step.name in OWN:
            return True
        return step.kind == "map" and self._trial(step) is not None

    def _trial(self, step: Instruction) -> Recipe | None:
        """What a step's recipe is like."""
        nothing = Ref(-1)
        inputs = [None if x is None else nothing for x in step.inputs]
        return recipe_of(step, inputs, nothing, lambda shape, dtype: nothing)

    def _ref(self, x: Operand | None) -> Ref | None:
        """The place of an operand; of a view too, which is made if need be."""
        if x is None:
            return None
        at, is_new = self.places.find(x)
        if is_new:
            self._look(at)
        return Ref(at)

    def _look(self, at: int) -> None:
        slot = self.places.slots[at]
        if not slot.fixed:
            self._add(Step(looking(at, slot), takes_arrays=True))

    def _resolved(self, place: Any) -> Any:
        """A reference without `bits`."""
        if type(place) is not Ref or not place.bits:
            return place
        at, is_new = self.places.as_bits(place.slot)
        if is_new:
            self._look(at)
        return Ref(at)

    def _add(self, step: Step) -> None:
        self.steps.append(step)

    def _add_calls(
        self, calls: Sequence[Call], step: Instruction, inputs: Sequence[Ref | None]
    ) -> None:
        slots = tuple([None if ref is None else ref.slot for ref in inputs])
        for c in calls:
            args = tuple([self._resolved(a) for a in c.args])
            self._add(Step(c.function, args, self._resolved(c.out), False, step, slots))

    def _scratch(self, shape: Sizes, dtype: np.dtype[Any]) -> Ref:
        return self.places.scratch(shape, dtype, self._now)

    def _target(self, x: Operand) -> Ref:
        """The place for an output: memory of its own, or in the arena."""
        if not self.places.is_known(x):
            self.places.add_block(x, self._now, self._last[x])
        return Ref(self.slot(x))

    def _release(self, unit: Instruction | BlockCode) -> None:
        """Let go of arrays that kernels have made, once nobody needs them."""
        if not self._made:
            return
        done = [
            self.slot(x)
            for x in {*unit_reads(unit), *unit.outputs}
            if self._last[x] == self._now
            and x not in self._given
            and self.places.is_known(x)
            and not self.places.is_fixed(self.slot(x))
        ]
        if done:
            self._add(Step(functools.partial(let_go, done), takes_arrays=True))

    # -- instructions ----------------------------------------------------------------------

    def _instruction(self, step: Instruction) -> None:
        inputs = [self._ref(x) for x in step.inputs]
        if step.kind == "check":
            self._add(Step(check, tuple(inputs)))
        elif step.kind == "reduce":
            axes = tuple(range(*step.attrs["axes"]))
            out = self._target(step.output)
            self._add_calls([reduction(step, inputs[0], out, axes)], step, inputs)
        elif step.kind == "product":
            self._product(step)
        elif step.name in OWN:
            out = self._target(step.output)
            self._add_calls([Call(OWN[step.name], (*inputs, out))], step, inputs)
        elif step.kind != "map" or not self._map(step, inputs):
            self._kernel(step, inputs)

    def _map(self, step: Instruction, inputs: Sequence[Ref | None]) -> bool:
        """An elementwise step that writes where it is told to; whether there is a way."""
        ufunc = ufunc_of(step)
        if ufunc is not None:
            out = self._elementwise_target(step, range(len(inputs)))
            self._add_calls([call_of(ufunc, *inputs, out=out)], step, inputs)
            return True
        trial = self._trial(step)
        if trial is None:
            return False
        out = self._elementwise_target(step, trial.aliases)
        recipe = recipe_of(step, inputs, out, self._scratch)
        assert recipe is not None
        self._add_calls(recipe.calls, step, inputs)
        return True

    def _elementwise_target(self, step: Instruction, aliases: Sequence[int]) -> Ref:
        """The place for an output: where an input lies that is not needed any more, if it can."""
        out = step.output
        if not self.places.is_known(out):
            for i in aliases:
                if self._may_take(step, i):
                    x = step.inputs[i]
                    assert x is not None
                    self.places.add_in_place(out, x, self._last[out])
                    break
        return self._target(out)

    def _may_take(self, step: Instruction, position: int) -> bool:
        """Whether an output may lie where an input does, which nobody needs any more."""
        x, out = step.inputs[position], step.output
        return (
            x is not None
            and x.view is None
            and x.constant is None
            and self._last[x] == self._now
            and x.shape == out.shape
            and x.dtype.itemsize == out.dtype.itemsize
            and self.places.may_be_overwritten(x)
            and sum([y is not None and y.root is x for y in step.inputs]) == 1
        )

    def _product(self, step: Instruction) -> None:
        inputs: list[Ref | None] = []
        for x in step.inputs:
            assert x is not None
            ref = self._ref(x)
            if x.constant is None and not is_plain_matrix(x):
                plain = self._scratch(x.shape, x.dtype)
                self._add_calls([copying(ref, plain)], step, [])
                ref = plain
            inputs.append(ref)
        function = np.dot if step.output.rank == 2 else np.matmul
        out = self._target(step.output)
        self._add_calls([Call(function, (*inputs, out))], step, inputs)

    def _kernel(self, step: Instruction, inputs: Sequence[Ref | None]) -> None:
        """A step that calls a kernel, which makes new arrays."""
        used = self._wanted.get(step, ())
        outputs: list[tuple[int, Operand] | None] = []
        for i, x in enumerate(step.outputs):
            if used and not used[i]:
                outputs.append(None)
                continue
            if not self.places.is_known(x):
                if x.nbytes <= SMALL_BYTES and x.dtype.kind != "O":
                    self.places.add_block(x, self._now, self._last[x])
                else:
                    self.places.add_free(x)
                    self._made = True
            outputs.append((self.slot(x), x))
        slots = tuple([None if ref is None else ref.slot for ref in inputs])
        single = step.primitive is None or step.primitive.single
        plain = is_plain(step)
        kernel: Callable[..., Any]
        if plain:
            kernel = pure_kernel(step, _FAST)
        elif isinstance(step.form, LoopForm):
            plain = True
            kernel = functools.partial(_run_loop, step.form, self._run_body)
        else:
            kernel = functools.partial(effect, self.program, step, used)
        fixed = [o is not None and self.places.is_fixed(o[0]) for o in outputs]
        owned = [o is not None and o[1] in self._results for o in outputs]
        run = KernelCall(
            kernel, slots, list(zip(outputs, fixed, owned, strict=True)), single, plain
        )
        self._add(Step(run, takes_arrays=True, instruction=step, inputs=slots))

    def _blocks(self, code: BlockCode) -> None:
        for x in code.outputs:
            self._target(x)
        code.place(self._ref)
        self._add(Step(code.for_frame, of_frame=True))


def _run_loop(form: LoopForm, run: RunBody, *inputs: Array | None) -> list[Any]:
    return run_loop(form, inputs, run)


def unit_reads(unit: Instruction | BlockCode) -> list[Operand]:
    """The operands, no views, that a unit reads."""
    if isinstance(unit, BlockCode):
        return unit.reads
    return [x.root for x in unit.inputs if x is not None and x.constant is None]


def _units(program: Program) -> Sequence[Instruction | BlockCode]:
    """The program in pieces: groups over large arrays in blocks, all else one by one."""
    if not any(x.nbytes > LARGE_BYTES for step in program.instructions for x in step.outputs):
        return program.instructions
    pieces = fuse(program)
    needed = needed_by([p.steps if isinstance(p, Group) else [p] for p in pieces], program)
    units: list[Instruction | BlockCode] = []
    for piece in pieces:
        if not isinstance(piece, Group):
            units.append(piece)
            continue
        blocks = cut(piece, needed)
        if blocks is None:
            units += piece.steps
        else:
            units.append(blocks)
    return units

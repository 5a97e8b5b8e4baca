"""From a graph's plan to a program: every shape known, every op in its simplest terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.bodies import (
    CaseForm,
    LoopForm,
    case_form,
    loop_form,
    loops_over_python,
)
from minigrad.compile.builder import Builder, NotPlanned, spec_of
from minigrad.compile.program import Instruction, Operand, Program, Sizes
from minigrad.compile.simplifying import simplify
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.state import cells_of, written_cells
from minigrad.core.tensor import Array
from minigrad.errors import MinigradError
from minigrad.executor.plan import Plan
from minigrad.shapes import broadcast, compatible

__all__ = ["NotPlanned", "lower"]

#: Assignments of a whole variable, and the op that makes the new value from the old one.
_ASSIGNMENTS = {"Assign": None, "AssignAdd": "Add", "AssignSub": "Sub"}

#: What can be addressed. Code need not deal with larger numbers.
MOST_BYTES = 1 << 47


def lower(
    plan: Plan, feeds: Sequence[tuple[Sizes, np.dtype[Any]]], cells: Mapping[int, Array]
) -> Program:
    """The program of a plan for feeds of these shapes and dtypes.

    Args:
        plan: which part of the graph is run.
        feeds: shape and dtype of each of the plan's feeds.
        cells: by cell key, an array like the variable's value at the start.

    Raises:
        NotPlanned: it cannot be made into one; the reason is its message.
    """
    try:
        return _Lowering(plan, cells).run(feeds)
    except MinigradError as error:
        # The run itself will say so better, with the values at hand.
        raise NotPlanned(str(error)) from error


class _Lowering:
    """The state of one lowering."""

    def __init__(self, plan: Plan, cells: Mapping[int, Array]) -> None:
        self.plan = plan
        self.program = Program()
        self.builder = Builder(self.program)
        self.operands: dict[SymbolicTensor, Operand] = {}
        self.given = cells
        #: By cell key, what the run has assigned so far.
        self.staged: dict[int, Operand] = {}
        #: The cells that kernels called by name read or write, past this lowering.
        self.opaque: set[int] = set()

    def run(self, feeds: Sequence[tuple[Sizes, np.dtype[Any]]]) -> Program:
        """Lower every step."""
        plan, program, operands = self.plan, self.program, self.operands
        for t, (shape, dtype) in zip(plan.feeds, feeds, strict=True):
            operand = operands[t] = Operand(shape, dtype, label=t.name)
            program.feeds.append(operand)
        for t, array in plan.constants.items():
            if t not in operands:
                operands[t] = Operand(array.shape, array.dtype, constant=array, label=t.name)
        fed = plan.fed
        for op in plan.steps:
            self.builder.operation = op
            made = self._step(op)
            for t, operand in zip(op.outputs, made, strict=True):
                if t not in fed:
                    operands[t] = operand
                    if not operand.label or operand.producer is not None:
                        operand.label = t.name
        if any(x.nbytes > MOST_BYTES for step in program.instructions for x in step.outputs):
            raise NotPlanned("a value is larger than any memory")
        program.fetches = [operands[t] for t in plan.fetches]
        program.writes = self.staged
        program.staged_reads = plan.staged_reads
        if not self.opaque.isdisjoint(self.staged):
            raise NotPlanned("a variable is assigned both as a whole and by a kernel of its own")
        return program

    def _step(self, op: Operation) -> tuple[Operand, ...]:
        inputs = [None if t is None else self.operands[t] for t in op.inputs]
        primitive, attrs = op.primitive, op.attrs
        effect = primitive.effect
        if effect == "pure":
            return self.builder.apply(primitive, inputs, attrs)
        if op.type == "VariableV2":
            return (self._read(attrs["variable"], staged=op in self.plan.staged_reads),)
        if op.type in _ASSIGNMENTS:
            return (self._assign(op, inputs[0]),)
        if not op.outputs and op.type == "NoOp":
            return ()
        if effect == "body":
            return self._bodies(op, inputs)
        self._note_cells(op)
        return self.builder.call(primitive, inputs, attrs)

    def _note_cells(self, op: Operation) -> None:
        self.opaque.update([cell.key for cell in cells_of(op.attrs)])
        self.opaque.update([cell.key for cell in written_cells(op.primitive.effect, op.attrs)])

    def _bodies(self, op: Operation, inputs: list[Any]) -> tuple[Operand, ...]:
        """A branch or loop. Outputs that nobody reads may have any shape."""
        if loops_over_python(op):
            # Should a check fail later on, all those calls could not be made undone.
            raise NotPlanned("a loop calls a Python function")
        self._note_cells(op)
        wanted = self.plan.wanted[op]
        inputs = [self.builder.whole(x) for x in inputs]
        form = self._form(op, inputs, wanted)
        if form is not None:
            shapes: list[Any] = form.shapes(inputs)
        else:
            specs = op.primitive.infer([spec_of(x) for x in inputs], op.attrs)
            shapes = [spec.shape for spec in specs]
        outs = []
        for t, shape, read in zip(op.outputs, shapes, wanted, strict=True):
            if not read:
                shape = (0,)
            elif shape is None or None in shape:
                raise NotPlanned(f"the shape of what {op.name!r} returns depends on values")
            outs.append(Operand(shape, t.dtype.dtype))
        step = Instruction("call", op.type, inputs, outs, op.attrs, op.primitive, op)
        step.form = form
        self.program.instructions.append(step)
        if isinstance(form, LoopForm) and form.runs is not None:
            # How often a loop runs is known; the loops of its gradient run as often.
            place = form.carries + len(form.results)
            outs[place] = self.builder.constant(form.runs, outs[place].dtype)
        return tuple(outs)

    def _form(
        self, op: Operation, inputs: list[Any], wanted: tuple[bool, ...]
    ) -> LoopForm | CaseForm | None:
        """What a branch or loop is, if it is a plain one."""
        try:
            if op.type == "Loop":
                return loop_form(op, inputs, wanted, self._lower_body)
            if op.type == "Case":
                return case_form(op, inputs, wanted, self._lower_body)
        except NotPlanned:
            pass
        return None

    def _lower_body(self, plan: Plan, feeds: Sequence[tuple[Sizes, np.dtype[Any]]]) -> Program:
        return simplify(lower(plan, feeds, self.given))

    def _read(self, variable: Any, *, staged: bool) -> Operand:
        key = variable.cell.key
        if staged and key in self.staged:
            return self.staged[key]
        if staged and key in self.opaque:
            raise NotPlanned("a variable is read after a kernel of its own has assigned it")
        found = self.program.cells.get(key)
        if found is None:
            value = self.given.get(key)
            if value is None:
                raise NotPlanned(f"variable {variable.name!r} has no value yet")
            found = Operand(value.shape, value.dtype, label=variable.name)
            self.program.cells[key] = found
        return found

    def _assign(self, op: Operation, value: Operand | None) -> Operand:
        variable = op.attrs["variable"]
        join = _ASSIGNMENTS[op.type]
        assert value is not None
        dtype = variable.dtype.dtype
        if join is not None:
            old = self._read(variable, staged=True)
            if broadcast(value.shape, old.shape) != old.shape:
                raise NotPlanned("a value that does not broadcast to its variable is added")
            value = self.builder.broadcast(self.builder.cast(value, dtype), old.shape)
            value = self.builder.map(join, old, value)
        elif value.dtype != dtype or not compatible(value.shape, variable.shape):
            # Shapes that were open when the graph was built are known only now.
            raise NotPlanned("a value of another dtype or shape is assigned")
        self.staged[variable.cell.key] = value
        return value

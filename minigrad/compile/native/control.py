"""Branches and loops in native code: functions that run the kernels of bodies."""

from __future__ import annotations

import numpy as np

from minigrad.compile.bodies import CaseForm, LoopForm
from minigrad.compile.loops.rows import by_rows
from minigrad.compile.native.body_code import (
    EmitPieces,
    args_of,
    constants_of,
    distinct,
    emit_body,
)
from minigrad.compile.native.kernel import Arg, Kernel, Phase, PieceCode, kernel_function, operand
from minigrad.compile.native.loop_code import LoopWriter
from minigrad.compile.native.stretch import PARALLEL_WORK
from minigrad.compile.native.types import I32, I64, PTR, type_of
from minigrad.compile.native.writer import Module
from minigrad.compile.program import Instruction, Operand, Program

#: Of runs that take longer, in nanoseconds, the threads share each one, not the rows of all.
_LONG_RUN = 1e6


def emit_loop(
    module: Module, step: Instruction, form: LoopForm, emit_pieces: EmitPieces
) -> PieceCode | None:
    """Write the function of a loop; None if it must be run by its kernel."""
    inputs = _whole(step)
    if inputs is None:
        return None
    rows = by_rows(form)
    if rows is not None and form.runs is not None:
        work = _estimate(rows.body)
        if work < _LONG_RUN and work * form.runs * rows.blocks > PARALLEL_WORK:
            body = emit_body(module, rows.body, emit_pieces, alone=True)
            if body is None:
                return None
            outputs = step.outputs
            return LoopWriter(module, inputs, outputs, form, body, None, rows.blocks).run()
    body = emit_body(module, form.body, emit_pieces)
    cond = None if form.cond is None else emit_body(module, form.cond, emit_pieces)
    if body is None or (form.cond is not None and cond is None):
        return None
    return LoopWriter(module, inputs, step.outputs, form, body, cond).run()


def _estimate(body: Program) -> float:
    """About how many nanoseconds a body takes, before there is code of it."""
    work = 0.0
    for step in body.instructions:
        if step.kind == "product":
            (a, _) = step.inputs
            work += 0.02 * step.output.size * a.shape[-1]  # type: ignore[union-attr]
        else:
            work += 0.5 * max([x.size for x in (*step.inputs, *step.outputs) if x is not None])
    return work


def emit_case(
    module: Module, step: Instruction, form: CaseForm, emit_pieces: EmitPieces
) -> PieceCode | None:
    """Write the function of a choice between bodies; None if it must be run by its kernel."""
    inputs = _whole(step)
    if inputs is None:
        return None
    bodies = []
    for program in form.branches:
        body = emit_body(module, program, emit_pieces)
        if body is None:
            return None
        bodies.append(body)
    index = inputs[0]
    given = form.layout.captured(inputs)
    reads = distinct([*inputs, *[x for body in bodies for x in constants_of(body)]])
    writes = [x for x, seen in zip(step.outputs, form.wanted, strict=False) if seen]
    args = {x: i for i, x in enumerate([*reads, *writes])}
    w = kernel_function(module)
    base, flag, state = [operand(w, len(args) + i) for i in range(3)]
    table = w.reserve(max([len(body.table) for body in bodies]), PTR)
    chosen = w.convert(w.load(operand(w, args[index]), type_of(index.dtype)), I64)
    labels = [w.label("branch") for _ in bodies]
    done = w.label("done")
    cases = " ".join([f"i64 {i}, label %{labels[i]}" for i in range(len(bodies) - 1)])
    w.put(f"switch {chosen.typed}, label %{labels[-1]} [{cases}]")
    for label, body, captured in zip(labels, bodies, given, strict=True):
        w.begin(label)
        for k, x in enumerate([*captured, *writes, *constants_of(body)]):
            w.store(operand(w, args[x]), w.at(table, k, PTR))
        w.call(body.function, table, base, flag, state, result=I32)
        w.put(f"br label %{done}")
    w.begin(done)
    scratch = max([body.scratch for body in bodies])
    work = max([body.work for body in bodies])
    kernel = Kernel((Phase(w.finish_once(), 1, work),), max(scratch, 1), stops=True)
    inside = [(f"branch {i}", p) for i, body in enumerate(bodies) for p in body.pieces]
    return PieceCode(kernel, args_of(reads), [Arg(x) for x in writes], inside=inside)


def _whole(step: Instruction) -> list[Operand] | None:
    """The inputs with their elements in C order, constants too; None if one lies otherwise."""
    inputs = []
    for x in step.inputs:
        if x is None or (x.constant is None and not x.is_contiguous):
            return None
        if x.constant is not None and not x.constant.flags.c_contiguous:
            x = Operand(x.shape, x.dtype, constant=np.array(x.constant, order="C"), label=x.label)
        inputs.append(x)
    return inputs

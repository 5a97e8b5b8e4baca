"""Runs a program as it is written, instruction by instruction: what faster ways are tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.compile.bodies import LoopForm
from minigrad.compile.kernels import (
    Repeat,
    call,
    failure,
    fitting,
    is_plain,
    pure_kernel,
    seen,
    used_outputs,
)
from minigrad.compile.loop_runs import run_loop
from minigrad.compile.program import Instruction, Operand, Program
from minigrad.core.floating import kernel_errstate
from minigrad.core.tensor import Array
from minigrad.executor.reference import Way

__all__ = ["Repeat", "interpret"]


def interpret(
    program: Program,
    feeds: Sequence[Array],
    cells: Mapping[int, Array],
    transaction: Any,
    way: Way,
) -> tuple[list[Array], dict[int, Array]]:
    """Compute a program with NumPy.

    Args:
        program: what to compute.
        feeds: an array for each of the program's feeds, of its shape and dtype.
        cells: by cell key, the value of each variable in `program.cells`.
        transaction: the state that kernels with effects read and write.
        way: whether pure kernels are the generic ones; how bodies run.

    Returns:
        The fetched arrays, and by cell key the arrays to be assigned: arrays of the caller's own.

    Raises:
        Repeat: a check has failed; the reference executor has to repeat the run.
        MinigradError: a node failed; the message names it and the user's line.
    """

    def run_body(body: Program, given: Sequence[Array]) -> list[Array]:
        return interpret(body, given, {}, transaction, way)[0]

    values: dict[Operand, Array] = {}
    for operand, array in zip(program.feeds, feeds, strict=True):
        values[operand] = fitting(array, operand)
    for key, operand in program.cells.items():
        values[operand] = fitting(cells[key], operand)
    wanted = used_outputs(program)
    with kernel_errstate():
        for instruction, done in zip(program.instructions, _releases(program), strict=True):
            inputs = [None if x is None else _value(x, values) for x in instruction.inputs]
            used = wanted.get(instruction, ())
            try:
                if instruction.kind == "check":
                    _check(instruction, inputs)
                    made: Any = ()
                elif isinstance(instruction.form, LoopForm):
                    made = run_loop(instruction.form, inputs, run_body)
                elif is_plain(instruction):
                    made = pure_kernel(instruction, way)(*inputs)
                else:
                    made = call(program, instruction, inputs, used, transaction, way)
            except Repeat:
                raise
            except Exception as error:
                found = failure(instruction, inputs, error)
                if found is error:
                    raise
                raise found from error
            primitive = instruction.primitive
            if instruction.kind != "check" and (primitive is None or primitive.single):
                made = (made,)
            for i, (operand, array) in enumerate(zip(instruction.outputs, made, strict=True)):
                # What a branch or loop gives for an output that nobody reads may be anything.
                if not used or used[i]:
                    values[operand] = fitting(array, operand)
            for operand in done:
                values.pop(operand, None)
    fetched = [np.array(_value(x, values), order="C") for x in program.fetches]
    writes = {key: np.array(_value(x, values), order="C") for key, x in program.writes.items()}
    return fetched, writes


def _check(instruction: Instruction, inputs: Sequence[Array | None]) -> None:
    for array in inputs:
        if array is not None and not array.all():
            raise Repeat(f"{instruction!r} failed")


def _value(operand: Operand, values: Mapping[Operand, Array]) -> Array:
    if operand.constant is not None:
        return operand.constant
    return seen(operand, values[operand.root])


def _releases(program: Program) -> list[list[Operand]]:
    """For each instruction, the operands that nothing reads after it."""
    needed = {x.root for x in program.results}
    needed.update(program.feeds)
    needed.update(program.cells.values())
    release = []
    for instruction in reversed(program.instructions):
        done = []
        for x in (*instruction.inputs, *instruction.outputs):
            if x is not None and x.constant is None and x.root not in needed:
                needed.add(x.root)
                done.append(x.root)
        release.append(done)
    release.reverse()
    return release

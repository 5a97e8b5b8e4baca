"""How one instruction is computed on NumPy arrays, whoever runs the program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.compile.program import Instruction, Operand, Program
from minigrad.core.tensor import Array
from minigrad.errors import MinigradError
from minigrad.executor.reference import AtStart, Runner, Way, node_error, place

#: How a reduction joins elements.
JOINING: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


class Repeat(Exception):
    """A run must be repeated on the reference executor, which computes it, or says what is wrong.

    Raised where a check fails, and where a program cannot say as well as the graph what failed.
    """


def pure_kernel(instruction: Instruction, way: Way) -> Callable[..., Any]:
    """A function of an instruction's inputs that gives its outputs: an array, or several.

    Not for calls that need more than their inputs; see `call`.
    """
    kind, name, attrs = instruction.kind, instruction.name, instruction.attrs
    if kind == "reduce":
        return _reduction(instruction)
    if kind == "product":
        return np.matmul
    if instruction.primitive is None:
        if kind == "map" and name == "copy":
            return lambda x: np.array(x, order="C")
        raise NotImplementedError(f"an instruction of an unknown kind: {instruction!r}")
    fast = None if way.generic else instruction.primitive.numpy
    if fast is not None:
        return _with(fast, attrs)
    generic: Any = instruction.primitive.compute
    return lambda *inputs: generic(np, *inputs, **attrs)


def _with(function: Callable[..., Any], attrs: dict[str, Any]) -> Callable[..., Any]:
    return (lambda *inputs: function(*inputs, **attrs)) if attrs else function


def _reduction(instruction: Instruction) -> Callable[[Array], Array]:
    ufunc = JOINING[instruction.name]
    dtype = instruction.output.dtype
    axes = tuple(range(*instruction.attrs["axes"]))
    if ufunc in (np.maximum, np.minimum):
        return lambda x: ufunc.reduce(x, axis=axes, keepdims=True)
    if ufunc in (np.logical_or, np.logical_and):
        return lambda x: ufunc.reduce(x, axis=axes, keepdims=True).astype(dtype, copy=False)
    return lambda x: ufunc.reduce(x, axis=axes, dtype=dtype, keepdims=True)


def is_plain(instruction: Instruction) -> bool:
    """Whether an instruction needs no more than its inputs, and does no more than compute."""
    return instruction.kind != "call" or instruction.pure


def call(
    program: Program,
    instruction: Instruction,
    inputs: Sequence[Array | None],
    wanted: tuple[bool, ...],
    transaction: Any,
    way: Way,
    runner: Callable[[Any, tuple[bool, ...], Way], Runner] = Runner,
) -> Any:
    """What the kernel of an instruction with an effect returns, given what it asks for.

    Args:
        program: the instruction's program.
        instruction: a call of a primitive that is not pure.
        inputs: its inputs.
        wanted: for each output, whether it is of use.
        transaction: the run's state.
        way: how bodies are run.
        runner: makes what they are run with.
    """
    primitive, attrs = instruction.primitive, instruction.attrs
    assert primitive is not None
    kernel: Any = primitive.compute
    effect = primitive.effect
    if effect == "host":
        made = kernel(np, *inputs, **attrs)
        if way.called is not None and instruction.operation is not None:
            way.called[instruction.operation] = made
        return made
    if effect == "body":
        return kernel(np, runner(transaction, wanted, way), *inputs, **attrs)
    if effect == "read" and instruction.operation not in program.staged_reads:
        return kernel(np, AtStart(transaction), *inputs, **attrs)
    return kernel(np, transaction, *inputs, **attrs)


def failure(
    instruction: Instruction, inputs: Sequence[Array | None], error: Exception
) -> Exception:
    """What to raise when an instruction's kernel has raised `error`; the same if it is to pass."""
    op, primitive = instruction.operation, instruction.primitive
    effect = "pure" if primitive is None else primitive.effect
    if op is None or op.primitive is not primitive or len(op.inputs) != len(inputs):
        return Repeat(f"{instruction!r} failed: {error}")
    if effect in ("host", "body") and not isinstance(error, MinigradError):
        error.add_note(f"raised {place(op)}")
        return error
    return node_error(op, list(inputs), error)


def used_outputs(program: Program) -> dict[Instruction, tuple[bool, ...]]:
    """For each branch and loop of a program, which of its outputs are of use."""
    holders = [
        i for i in program.instructions if i.primitive is not None and i.primitive.has_bodies
    ]
    if not holders:
        return {}
    used = {x.root for i in program.instructions for x in i.inputs if x is not None}
    used.update([x.root for x in program.results])
    return {i: tuple([x in used for x in i.outputs]) for i in holders}


def fitting(array: Any, operand: Operand) -> Array:
    """An array in C order with an operand's shape and dtype, from what is given or computed.

    Raises:
        Repeat: it has another shape, or a dtype of another kind.
    """
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    if array.shape != operand.shape or (
        array.dtype != operand.dtype and array.dtype.kind != operand.dtype.kind
    ):
        raise Repeat(
            f"{operand!r} was to come, and {array.dtype}{list(array.shape)} came; "
            "the plan does not hold"
        )
    if array.dtype is not operand.dtype or not array.flags.c_contiguous:
        array = np.asarray(array, operand.dtype, order="C")
    return array  # type: ignore[no-any-return]


def seen(operand: Operand, root: Array) -> Array:
    """The elements of a view, in the array of its base; `root` is in C order."""
    view = operand.view
    if view is None:
        return root
    size = root.dtype.itemsize
    strides = tuple([s * size for s in view.strides])
    if root.dtype.kind == "O":
        flat = root.reshape(-1)[view.offset :]
        return as_strided(flat, operand.shape, strides)
    if math.prod(operand.shape) == 0:
        return np.empty(operand.shape, root.dtype)
    return np.ndarray(operand.shape, root.dtype, root, view.offset * size, strides)

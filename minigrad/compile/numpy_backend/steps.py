"""What a run does, one call after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.compile.kernels import Repeat, call, fitting
from minigrad.compile.numpy_backend.places import Places, Slot, filled, look
from minigrad.compile.numpy_backend.recipes import Ref
from minigrad.compile.program import Instruction, Operand, Program
from minigrad.core.tensor import Array
from minigrad.executor.reference import Way

Bound = tuple[Callable[..., Any], tuple[Any, ...]]


class Step(NamedTuple):
    """One call in a run.

    Attributes:
        function: what is called.
        args: its arguments; arrays by their places.
        out: the array given as ``out=``, if there is one.
        takes_arrays: whether it takes the list of all arrays instead.
        of_frame: whether it makes, for a frame, a function of the list of all arrays.
        instruction: what it belongs to, if an error in it is that instruction's.
        inputs: the slots of the instruction's inputs.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    out: Ref | None = None
    takes_arrays: bool = False
    instruction: Instruction | None = None
    inputs: tuple[int | None, ...] = ()
    of_frame: bool = False

    def bound(self, arrays: list[Any], places: Places) -> Bound:
        """The function and arguments for the arrays of a frame."""
        if self.takes_arrays:
            return self.function, (arrays,)
        if self.of_frame:
            return self.function(), (arrays,)
        refs = [a for a in (*self.args, self.out) if type(a) is Ref]
        if all(places.is_fixed(ref.slot) for ref in refs):
            args = filled(self.args, arrays)
            if self.out is None:
                return self.function, args
            return functools.partial(self.function, out=arrays[self.out.slot]), args
        return _late(self), (arrays,)


def _late(step: Step) -> Callable[[list[Any]], None]:
    """A call whose arrays are there only in the run."""
    function, args, out = step.function, step.args, step.out
    if out is not None:
        return lambda arrays: function(*filled(args, arrays), out=arrays[out.slot])
    return lambda arrays: function(*filled(args, arrays))


class KernelCall:
    """Calls a kernel on arrays, and puts what it returns where it belongs."""

    __slots__ = ("inputs", "kernel", "outputs", "plain", "single")

    def __init__(
        self,
        kernel: Callable[..., Any],
        inputs: tuple[int | None, ...],
        outputs: list[tuple[tuple[int, Operand] | None, bool, bool]],
        single: bool,
        plain: bool,
    ) -> None:
        self.kernel = kernel
        self.inputs = inputs
        self.outputs = outputs
        self.single = single
        self.plain = plain

    def __call__(self, arrays: list[Any]) -> None:
        given = [None if at is None else arrays[at] for at in self.inputs]
        made = self.kernel(*given) if self.plain else self.kernel(arrays[0], arrays[1], given)
        if self.single:
            made = (made,)
        for (place, fixed, owned), array in zip(self.outputs, made, strict=True):
            if place is None:
                continue
            at, operand = place
            array = fitting(array, operand)
            if fixed:
                np.copyto(arrays[at], array)
            elif owned or any(x is not None and np.may_share_memory(array, x) for x in given):
                arrays[at] = np.array(array, order="C")
            else:
                arrays[at] = array


def effect(
    program: Program,
    step: Instruction,
    used: tuple[bool, ...],
    transaction: Any,
    way: Way,
    inputs: Sequence[Array | None],
) -> Any:
    """What a kernel with an effect returns."""
    return call(program, step, inputs, used, transaction, way)


def check(condition: Array) -> None:
    """Raise `Repeat` unless all elements are True."""
    if not condition.all():
        raise Repeat("a check has failed")


def looking(at: int, slot: Slot) -> Callable[[list[Any]], None]:
    """Fills the slot of a view whose base changes from run to run."""
    x, base = slot.operand, slot.base
    if slot.bits or x.view is None or x.dtype.kind == "O" or x.size == 0:

        def look_again(arrays: list[Any]) -> None:
            arrays[at] = look(slot, arrays[base])

        return look_again
    shape, dtype, size = x.shape, x.dtype, x.dtype.itemsize
    offset, strides = x.view.offset * size, tuple([s * size for s in x.view.strides])

    def see_again(arrays: list[Any]) -> None:
        arrays[at] = np.ndarray(shape, dtype, arrays[base], offset, strides)

    return see_again


def let_go(slots: Sequence[int], arrays: list[Any]) -> None:
    """Empty slots: the memory is needed no longer."""
    for at in slots:
        arrays[at] = None

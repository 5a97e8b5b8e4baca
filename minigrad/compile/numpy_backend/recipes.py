"""How instructions are computed by NumPy functions that write into given arrays.

A recipe is a row of calls. Without one an instruction is computed by its kernel, which returns new
arrays.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from minigrad.compile.kernels import JOINING
from minigrad.compile.program import Instruction, Operand, Sizes
from minigrad.compile.rewrite.rule import number
from minigrad.core.tensor import Array


class Ref(NamedTuple):
    """A place for an array; `bits`: the array seen as integers of the same size."""

    slot: int
    bits: bool = False


class Call(NamedTuple):
    """A call of a NumPy function.

    Attributes:
        function: what is called.
        args: its arguments: arrays by their places, anything else as it is.
        out: where it writes; None if that is among the arguments.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    #: The array given as ``out=``, as `np.maximum` wants it; by position takes less time.
    out: Ref | None = None


class Recipe(NamedTuple):
    """Calls that compute an instruction.

    Attributes:
        calls: one after the other.
        aliases: the inputs whose memory the output may take, if no other input lies there.
    """

    calls: list[Call]
    aliases: tuple[int, ...] = ()


class Scratch(Protocol):
    """Gives recipes memory for a moment: an array of a shape and dtype."""

    def __call__(self, shape: Sizes, dtype: np.dtype[Any]) -> Ref: ...


Maker: TypeAlias = "Callable[[Instruction, Sequence[Any], Ref, Scratch], Recipe | None]"

_MAKERS: dict[str, Maker] = {}


def ufunc_of(step: Instruction) -> np.ufunc | None:
    """The ufunc that computes an elementwise step as it is, if there is one."""
    primitive = step.primitive
    if primitive is None or step.attrs or step.name in _MAKERS:
        return None
    ufunc = primitive.numpy
    if not isinstance(ufunc, np.ufunc) or ufunc.nout != 1:
        return None
    dtypes = tuple([None if x is None else x.dtype for x in step.inputs])
    return ufunc if _result(ufunc, dtypes) == step.output.dtype else None


def recipe_of(
    step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch
) -> Recipe | None:
    """How an elementwise step is computed into `out`; None if its kernel has to be called.

    Args:
        step: an elementwise instruction.
        inputs: the places of its inputs; None for one left out.
        out: the place of its output.
        scratch: gives memory for intermediate results.
    """
    ufunc = ufunc_of(step)
    if ufunc is not None:
        return Recipe([call_of(ufunc, *inputs, out=out)], tuple(range(len(inputs))))
    maker = _MAKERS.get(step.name)
    if maker is None or any(
        x is not None and x.dtype.kind == "O" for x in (*step.inputs, *step.outputs)
    ):
        return None
    return maker(step, inputs, out, scratch)


@functools.cache
def _result(ufunc: np.ufunc, dtypes: tuple[np.dtype[Any] | None, ...]) -> np.dtype[Any] | None:
    """The dtype that a ufunc gives for these, if it takes them as they are."""
    if any(dtype is None or dtype.kind == "O" for dtype in dtypes):
        return None
    try:
        found: Any = ufunc.resolve_dtypes((*dtypes, None))
    except TypeError:
        return None
    return found[-1] if found[:-1] == dtypes else None


def call_of(function: Callable[..., Any], *args: Any, out: Ref) -> Call:
    """The call of a function whose last argument is where it writes."""
    if function in (np.maximum, np.minimum):
        return Call(function, args, out)
    return Call(function, (*args, out))


def reduction(step: Instruction, x: Any, out: Ref, axes: tuple[int, ...]) -> Call:
    """The call that joins elements over axes, keeping these with length 1."""
    dtype = step.output.dtype if step.name in ("sum", "prod") else None
    return Call(JOINING[step.name].reduce, (x, axes, dtype, out, True))


# -- single ops --------------------------------------------------------------------------------


def _maker(name: str) -> Callable[[Maker], Maker]:
    def put(maker: Maker) -> Maker:
        _MAKERS[name] = maker
        return maker

    return put


def copying(x: Any, out: Ref) -> Call:
    """The call that puts the elements of one array into another, whatever its dtype."""
    return Call(np.copyto, (out, x, "unsafe"))


@_maker("copy")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe:
    return Recipe([copying(inputs[0], out)])


@_maker("Cast")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe | None:
    (x,) = step.inputs
    if x is None or "c" in x.dtype.kind + step.output.dtype.kind:
        return None
    return Recipe([copying(inputs[0], out)])


#: NumPy's ufunc behind `np.clip`, which does without the wrapper. It takes a third of the time of
#: `np.maximum` and `np.minimum`, and treats NaN like them.
_clip: Any = getattr(getattr(np, "_core", None), "umath", np)
_clip = getattr(_clip, "clip", np.clip)


def _limited(x: Any, low: float, high: float, out: Ref, dtype: np.dtype[Any]) -> Call:
    """The call that limits floating numbers."""
    return Call(_clip, (x, _scalar(low, dtype), _scalar(high, dtype), out))


@_maker("Relu")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe:
    dtype = step.output.dtype
    if dtype.kind == "f":
        return Recipe([_limited(inputs[0], 0, math.inf, out, dtype)], (0,))
    return Recipe([call_of(np.maximum, inputs[0], _number(step, 0), out=out)], (0,))


@_maker("Maximum")
@_maker("Minimum")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe | None:
    dtype = step.output.dtype
    for i, x in enumerate(step.inputs):
        limit = number(x)
        if limit is not None and dtype.kind == "f" and not math.isnan(limit):
            low, high = (limit, math.inf) if step.name == "Maximum" else (-math.inf, limit)
            return Recipe([_limited(inputs[1 - i], low, high, out, dtype)], (1 - i,))
    function = np.maximum if step.name == "Maximum" else np.minimum
    return Recipe([call_of(function, *inputs, out=out)], (0, 1))


@_maker("ClipByValue")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe | None:
    dtype = step.output.dtype
    if any(x is not None and x.dtype != dtype for x in step.inputs):
        return None
    x, low, high = (*inputs, None, None)[:3]
    bounds = [number(y) for y in step.inputs[1:]]
    if dtype.kind == "f" and len(bounds) == 2 and None not in bounds and bounds[0] <= bounds[1]:
        return Recipe([_limited(x, bounds[0], bounds[1], out, dtype)], (0,))
    calls = []
    if low is not None:
        calls.append(call_of(np.maximum, x, low, out=out))
        x = out
    if high is not None:
        calls.append(call_of(np.minimum, x, high, out=out))
    if not calls:
        calls.append(copying(x, out))
    return Recipe(calls, (0,))


@_maker("Sigmoid")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe | None:
    """e / (1 + e) with e = exp(min(x, 40)): from there on, that is 1 in every dtype."""
    if not _is_single_or_double(step):
        return None
    below = scratch(step.output.shape, step.output.dtype)
    calls = [
        _limited(inputs[0], -math.inf, 40, out, step.output.dtype),
        call_of(np.exp, out, out=out),
        call_of(np.add, out, _number(step, 1), out=below),
        call_of(np.divide, out, below, out=out),
    ]
    return Recipe(calls, (0,))


@_maker("Softplus")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe | None:
    """max(x, 0) + log1p(exp(-abs(x)))."""
    if not _is_single_or_double(step):
        return None
    (x,) = inputs
    rest = scratch(step.output.shape, step.output.dtype)
    calls = [
        call_of(np.absolute, x, out=rest),
        call_of(np.negative, rest, out=rest),
        call_of(np.exp, rest, out=rest),
        call_of(np.log1p, rest, out=rest),
        _limited(x, 0, math.inf, out, step.output.dtype),
        call_of(np.add, out, rest, out=out),
    ]
    return Recipe(calls, (0,))


@_maker("OneMinusSquare")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe:
    """(1 - x) (1 + x)."""
    (x,) = inputs
    rest = scratch(step.output.shape, step.output.dtype)
    calls = [
        call_of(np.subtract, _number(step, 1), x, out=rest),
        call_of(np.add, x, _number(step, 1), out=out),
        call_of(np.multiply, rest, out, out=out),
    ]
    return Recipe(calls, (0,))


@_maker("Rsqrt")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe:
    calls = [call_of(np.sqrt, inputs[0], out=out), call_of(np.reciprocal, out, out=out)]
    return Recipe(calls, (0,))


@_maker("Select")
def _(step: Instruction, inputs: Sequence[Any], out: Ref, scratch: Scratch) -> Recipe | None:
    """By arithmetic on the bits: NumPy's own mispredicts a branch at half the elements.

    Exact for all elements, NaN and -0.0 included.
    """
    _, x, y = step.inputs
    dtype = step.output.dtype
    if dtype not in BITS or x is None or y is None or not x.dtype == y.dtype == dtype:
        return None
    condition, a, b = inputs
    a, b, bits = [_seen_as_bits(ref) for ref in (a, b, out)]
    if _is_zero(y):
        return Recipe([call_of(np.multiply, a, condition, out=bits)], (1,))
    if _is_zero(x):
        calls = [
            call_of(np.multiply, b, condition, out=bits),
            call_of(np.subtract, b, bits, out=bits),
        ]
        return Recipe(calls)
    calls = [
        call_of(np.bitwise_xor, a, b, out=bits),
        call_of(np.multiply, bits, condition, out=bits),
        call_of(np.bitwise_xor, bits, b, out=bits),
    ]
    return Recipe(calls, (1,))


#: Integers of the same size.
BITS = {
    np.dtype(t): np.dtype(f"i{np.dtype(t).itemsize}")
    for t in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
}


def _seen_as_bits(place: Any) -> Any:
    return place._replace(bits=True)


def _is_zero(x: Operand) -> bool:
    """Whether all bits of a constant are 0."""
    value = x.uniform
    return value is not None and not any(value.tobytes())


def _is_single_or_double(step: Instruction) -> bool:
    (x,) = step.inputs
    dtype = step.output.dtype
    return x is not None and x.dtype == dtype and dtype.kind == "f" and dtype.itemsize in (4, 8)


@functools.cache
def _scalar(value: float, dtype: np.dtype[Any]) -> Array:
    made = np.array(value, dtype)
    made.setflags(write=False)
    return made


def _number(step: Instruction, value: int) -> Array:
    return _scalar(value, step.output.dtype)

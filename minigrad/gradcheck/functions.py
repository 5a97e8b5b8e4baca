"""A Python function of tensors and nests of them, as a function of its float64 leaves."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.context import changed
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import Primitive
from minigrad.core.record import EffectLog, Recorder, key_of
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import float64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, GradientError
from minigrad.gradcheck.engine import Function, eagerly
from minigrad.nest import children, flatten, is_nest, unflatten

#: How to check a loss for variables that a function reads by itself.
BY_TAPE = (
    "to check variables, record the loss with mg.GradientTape(persistent=True) as tape, and call "
    "mg.gradcheck(tape, loss, variables)"
)


class _NoEffects(EffectLog):
    """Refuses what must not happen once for every difference."""

    @property
    def skips_added(self) -> bool:
        return True

    def admit(self, primitive: Primitive[..., Any]) -> None:
        if primitive.effect == "draw":
            raise GradientError(
                f"the function draws random numbers ({primitive.name}), so differences would "
                "compare different draws; draw outside of it, and pass the numbers in"
            )
        if primitive.effect == "write":
            raise GradientError(
                f"the function changes a variable ({primitive.name}), which a check would do again "
                "for every difference; check what a tape recorded of it: "
                "mg.gradcheck(tape, loss, sources)"
            )


def eager_function(
    function: Callable[..., Any], args: Sequence[Any], argnums: int | Sequence[int] | None
) -> tuple[Function, list[Array], list[str]]:
    """A function of the float64 leaves of the chosen arguments, where they are, and their names.

    Every floating array, tensor or variable among the arguments becomes a float64 tensor; Python
    floats do so in the chosen arguments only.

    Raises:
        ArgumentError: an argument number is out of range, or there is nothing to differentiate.
    """
    chosen = _positions(argnums, len(args))
    leaves = flatten(list(args))
    labels = _labels(function, args)
    points: list[Array] = []
    names: list[str] = []
    places: list[int] = []
    fixed: list[Any] = []
    for place, (leaf, (position, label)) in enumerate(zip(leaves, labels, strict=True)):
        array = _float_array(leaf, weak=position in chosen)
        fixed.append(leaf if array is None else ConcreteTensor(array))
        if array is not None and position in chosen:
            points.append(array)
            names.append(label)
            places.append(place)
    if not points:
        raise ArgumentError(
            "no argument holds a floating array or tensor, so there is nothing to differentiate "
            f"for; {BY_TAPE}"
        )

    def run(tensors: Sequence[Tensor], log: EffectLog) -> list[Tensor]:
        given = list(fixed)
        for place, tensor in zip(places, tensors, strict=True):
            given[place] = tensor
        with changed(log=log):
            result = function(*unflatten(list(args), given))
            return [
                tensor_of(r, float64 if type(r) is float else None)
                for r in flatten(result)
                if r is not None
            ]

    def call(tensors: list[Tensor]) -> list[Tensor]:
        made = run(tensors, _NoEffects())
        for t in made:
            if t.dtype.is_floating and t.dtype.dtype != np.float64:
                raise DTypeError(
                    f"the function was given float64 and returned {t.dtype}, in which "
                    "differences have too few digits; look for a cast inside it"
                )
        return made

    _refuse_unread(run, [ConcreteTensor(p) for p in points])
    return call, points, names


def _refuse_unread(
    run: Callable[[Sequence[Tensor], EffectLog], list[Tensor]], arguments: list[ConcreteTensor]
) -> None:
    """Raise if a function has read variables, but none of the arguments to differentiate for.

    Differences would then all be zero, and agree with gradients that are zero too.
    """
    keys = {key_of(t) for t in arguments}
    onlooker, log = Recorder(watch_variables=False), _NoEffects()
    read: dict[int, ConcreteTensor] = {}
    onlooker.captures = read
    with eagerly(onlooker):
        results = run(arguments, log)
    used = {*read, *[t._key for t in results if isinstance(t, ConcreteTensor)]}
    if keys.isdisjoint(used) and any(isinstance(t, ConcreteTensor) and t._key for t in log.results):
        raise GradientError(
            "no operation of the function takes the arguments that it is differentiated for, only "
            f"variables, so there is nothing to compare; {BY_TAPE}"
        )


def _positions(argnums: int | Sequence[int] | None, count: int) -> set[int]:
    if argnums is None:
        return set(range(count))
    try:
        given = argnums if isinstance(argnums, Sequence) else [argnums]
        numbers = [operator.index(n) for n in given]
    except TypeError:
        raise ArgumentTypeError(
            f"argnums must be an integer or a sequence of integers, got {argnums!r}"
        ) from None
    for n in numbers:
        if not -count <= n < count:
            raise ArgumentError(f"argnums holds {n}, but the function was given {count} arguments")
    return {n % count for n in numbers}


def _float_array(leaf: Any, *, weak: bool) -> Array | None:
    """A leaf as a float64 array of its own, or None if it is not floating."""
    if isinstance(leaf, SymbolicTensor):
        raise ArgumentTypeError(
            f"an argument is symbolic: {leaf!r}; to check a loss of a graph use "
            "mg.gradcheck(loss, feed_dict=…, session=…)"
        )
    if type(leaf) is float:
        return np.array(leaf) if weak else None
    if isinstance(leaf, ConcreteTensor | Variable | np.ndarray | np.generic):
        array = np.asarray(leaf)
        if array.dtype.kind == "f":
            return np.array(array, np.float64)
    return None


def _labels(function: Callable[..., Any], args: Sequence[Any]) -> list[tuple[int, str]]:
    """For each leaf the number of its argument, and its name, as in ``params['w'][0]``."""
    labels: list[tuple[int, str]] = []
    stack: list[tuple[Any, int, str]] = []
    names = _parameter_names(function, len(args))
    for position in reversed(range(len(args))):
        stack.append((args[position], position, names[position]))
    while stack:
        item, position, label = stack.pop()
        if not is_nest(item):
            labels.append((position, label))
            continue
        parts = children(item)
        tags = _tags(item, len(parts))
        for part, tag in reversed(list(zip(parts, tags, strict=True))):
            stack.append((part, position, label + tag))
    return labels


def _tags(nest: Any, count: int) -> list[str]:
    """How the parts of a nest are reached."""
    if isinstance(nest, Mapping):
        return [f"[{key!r}]" for key in nest]
    if hasattr(nest, "_fields"):
        return [f".{name}" for name in nest._fields]
    if isinstance(nest, list | tuple):
        return [f"[{i}]" for i in range(count)]
    return [f".{name}" for name in nest.__dataclass_fields__]


def _parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the function's positional parameters, as far as they can be found out."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL:
            names += [f"{p.name}[{i}]" for i in range(count - len(names))]
        elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
    names += [f"argument {i}" for i in range(len(names), count)]
    return names[:count]

"""A recorded computation, from a graph or a tape, computed again in float64."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.core.bind import apply
from minigrad.core.body import Body
from minigrad.core.literal import Literal
from minigrad.core.primitive import Primitive
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.dtypes import DType, complex64, complex128, float16, float32, float64
from minigrad.errors import MinigradError, operation_error
from minigrad.ops.basic import astype
from minigrad.ops.elementwise import add
from minigrad.shapes import Spec

#: What a value is known by: a node's output, or a number on a tape.
Key = Hashable
#: A custom gradient rule, given the values that the replay has computed.
RuleMaker = Callable[[Mapping[Any, Tensor]], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One op to compute again.

    Attributes:
        primitive: the op.
        attrs: its attributes; floating dtypes among them have become float64.
        inputs: keys of what it reads; None for an input left out.
        outputs: keys of what it makes.
        place: where it comes from, for error messages.
        make_rule: makes the rule of an op with a gradient of its own.
    """

    primitive: Primitive[..., Any]
    attrs: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    place: str
    make_rule: RuleMaker | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What is moved to see the change: all keys that stand for one variable or tensor."""

    name: str
    keys: tuple[Any, ...]
    point: Array


class Program:
    """Steps in order, as a function of float64 tensors: one for each source.

    A source is moved wherever it is read. One that a step makes is moved after that step, so that
    everything before it still counts.

    Args:
        steps: the computation.
        constants: the values that no step makes.
        sources: what the tensors given to the program stand for.
        targets: keys of the results.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        constants: Mapping[Any, Array],
        sources: Sequence[Source],
        targets: Sequence[Any],
    ) -> None:
        self._steps = steps
        self._fixed: dict[Any, Tensor] = {
            k: ConcreteTensor(widened(v)) for k, v in constants.items()
        }
        self._targets = targets
        self._minus = [ConcreteTensor(-s.point) for s in sources]
        self._moved: dict[Any, int] = {k: i for i, s in enumerate(sources) for k in s.keys}
        #: The leaves among the sources; those whose value is the point itself need no addition.
        self._leaves = [(k, i) for k, i in self._moved.items() if k in self._fixed]
        self._exact = {k for k, i in self._leaves if np.array_equal(constants[k], sources[i].point)}

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        values = self.values(tensors)
        return [values[key] for key in self._targets]

    def values(self, tensors: Sequence[Tensor]) -> dict[Any, Tensor]:
        """All values by key, with the sources at `tensors`."""
        values = dict(self._fixed)
        for key, i in self._leaves:
            values[key] = tensors[i] if key in self._exact else self._move(values[key], i, tensors)
        run_steps(self._steps, values, lambda key, v: self._follow(key, v, tensors))
        return values

    def _follow(self, key: Any, value: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        i = self._moved.get(key)
        return value if i is None else self._move(value, i, tensors)

    def _move(self, value: Tensor, i: int, tensors: Sequence[Tensor]) -> Tensor:
        return add(value, add(tensors[i], self._minus[i]))


def run_steps(
    steps: Iterable[Step],
    values: dict[Any, Tensor],
    follow: Callable[[Any, Tensor], Tensor] | None = None,
) -> None:
    """Compute the steps, entering their results into `values`, each passed through `follow`."""
    for step in steps:
        attrs = step.attrs
        if step.make_rule is not None:
            attrs = attrs | {"rule": step.make_rule(values)}
        inputs = [None if key is None else values[key] for key in step.inputs]
        try:
            made = apply(step.primitive, inputs, attrs)
        except MinigradError as error:
            raise operation_error(error, f"{error}\n  {step.place}") from error
        outputs = (made,) if isinstance(made, Tensor) else made
        for key, value in zip(step.outputs, outputs, strict=True):
            if value.dtype in (float16, float32):
                value = astype(value, float64)
            values[key] = value if follow is None else follow(key, value)


def widened(array: Array) -> Array:
    """An array in float64 (complex128) if it is floating (complex), else itself."""
    if array.dtype.kind == "f":
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "c":
        return array.astype(np.complex128, copy=False)
    return array


def widened_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with every floating dtype, also inside tuples and specs, made float64."""
    return {name: _widened_attr(value) for name, value in attrs.items()}


def _widened_attr(value: Any) -> Any:
    if isinstance(value, DType):
        if value in (float16, float32):
            return float64
        return complex128 if value is complex64 else value
    if isinstance(value, Body):
        return value.converted(_widened_inside)
    if isinstance(value, Literal):
        return Literal(widened(value.array), value.captured)
    if isinstance(value, Spec):
        return value._replace(dtype=_widened_attr(value.dtype))
    if type(value) is tuple:
        return tuple([_widened_attr(v) for v in value])
    return value


def _widened_inside(primitive: Primitive[..., Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What a body's operations are computed with in float64."""
    return widened_host_attrs(attrs) if primitive.op == "PyFunc" else widened_attrs(attrs)


def widened_host_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a Python function as a node, whose results are widened too."""
    function = attrs["function"]

    def wider(*arrays: Array) -> list[Array]:
        made = function(*arrays)
        results = made if isinstance(made, list | tuple) else [made]
        return [widened(np.asarray(r)) for r in results]

    return widened_attrs(attrs) | {"function": wider}

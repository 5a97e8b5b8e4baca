"""What a tape writes down, and what a checkpointed function replays."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from minigrad.core.tensor import ConcreteTensor, Ghost, Tensor
from minigrad.shapes import Spec

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive
    from minigrad.core.variable import Variable

#: Identities of concrete tensors and variables on tapes; 0 means not yet given.
_keys = itertools.count(1)


def next_key() -> int:
    """A number that no tensor or variable has had before."""
    return next(_keys)


def key_of(tensor: ConcreteTensor) -> int:
    """The tensor's identity on tapes, given at the first need."""
    key = tensor._key
    if not key:
        key = tensor._key = next_key()
    return key


class Node(Protocol):
    """One step of a computation, on a tape or in a graph: what the backward walk reads."""

    @property
    def primitive(self) -> Primitive[..., Any]: ...
    @property
    def attrs(self) -> dict[str, Any]: ...
    @property
    def in_keys(self) -> tuple[Any, ...]: ...
    @property
    def out_keys(self) -> tuple[Any, ...]: ...
    def tensors(self) -> tuple[tuple[Tensor | None, ...], tuple[Tensor, ...]]: ...


class Record:
    """One op on a tape. It holds arrays and keys, never tensors, so no chain of owners forms."""

    __slots__ = ("attrs", "in_keys", "ins", "out_keys", "outs", "primitive")

    def __init__(
        self,
        primitive: Primitive[..., Any],
        attrs: dict[str, Any],
        inputs: tuple[ConcreteTensor | None, ...],
        outputs: tuple[ConcreteTensor, ...],
    ) -> None:
        self.primitive = primitive
        self.attrs = attrs
        self.in_keys = tuple([0 if t is None else t._key or key_of(t) for t in inputs])
        self.out_keys = tuple([t._key or key_of(t) for t in outputs])
        keep_in = primitive.keeps_input
        keep_out = primitive.keeps_output
        self.ins = tuple(
            [
                None if t is None else t._value if keep_in(i) else t.spec
                for i, t in enumerate(inputs)
            ]
        )
        self.outs = tuple([t._value if keep_out(i) else t.spec for i, t in enumerate(outputs)])

    def tensors(self) -> tuple[tuple[Tensor | None, ...], tuple[Tensor, ...]]:
        """The inputs and outputs as tensors; one that was not kept shows only shape and dtype."""
        name = self.primitive.name
        ins = tuple(
            [
                None if v is None else revive(v, k, name)
                for v, k in zip(self.ins, self.in_keys, strict=True)
            ]
        )
        outs = tuple([revive(v, k, name) for v, k in zip(self.outs, self.out_keys, strict=True)])
        return ins, outs


def revive(value: np.ndarray[Any, Any] | Spec, key: int, name: str) -> Tensor:
    """A tensor with the identity `key` around a kept array, or a `Ghost` where none was kept."""
    if isinstance(value, Spec):
        return Ghost(value, name)
    tensor = ConcreteTensor(value)
    tensor._key = key
    return tensor


class Recorder:
    """The list that a tape keeps: records in creation order, and the keys that matter."""

    __slots__ = ("records", "tracked", "variables", "watch_variables")

    def __init__(self, watch_variables: bool = True) -> None:
        self.tracked: set[int] = set()
        self.records: list[Record] = []
        self.watch_variables = watch_variables
        self.variables: dict[int, Variable] = {}


def record(
    tapes: tuple[Recorder, ...],
    primitive: Primitive[..., Any],
    attrs: dict[str, Any],
    inputs: tuple[ConcreteTensor | None, ...],
    outputs: tuple[ConcreteTensor, ...],
) -> None:
    """Write one op down on every tape that tracks one of its inputs."""
    made: Record | None = None
    for tape in tapes:
        tracked = tape.tracked
        for t in inputs:
            if t is not None and t._key in tracked:
                break
        else:
            continue
        if made is None:
            made = Record(primitive, attrs, inputs, outputs)
        tape.records.append(made)
        for t in outputs:
            if t._value.dtype.kind in "fc":
                tracked.add(t._key)


class EffectLog:
    """The results of a function's effects, in order: written first, read back in a second run.

    Recomputing a function in the backward pass must draw the same numbers, see the same variable
    values and assign nothing twice. So the second run takes every effect's result from here.
    """

    __slots__ = ("position", "replaying", "results")

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.position = 0
        self.replaying = False

    def replay(self) -> EffectLog:
        """A reader of the same results from the start."""
        reader = EffectLog()
        reader.results = self.results
        reader.replaying = True
        return reader

    def take(self) -> Any:
        """The next logged result."""
        result = self.results[self.position]
        self.position += 1
        return result

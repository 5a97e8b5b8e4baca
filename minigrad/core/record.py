"""What a tape writes down, and what a checkpointed function replays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np

from minigrad.core.tensor import Array, ConcreteTensor, Ghost, Tensor
from minigrad.shapes import Spec

if TYPE_CHECKING:
    from minigrad.core.operation import Operation
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
    """One op on a tape. It holds arrays and keys, never tensors, so no chain of owners forms.

    Of what the gradient rule does not read, only shape and dtype are held.
    """

    __slots__ = ("attrs", "in_keys", "ins", "out_keys", "outs", "primitive")

    def __init__(
        self,
        primitive: Primitive[..., Any],
        attrs: dict[str, Any],
        inputs: Sequence[ConcreteTensor | None],
        outputs: Sequence[ConcreteTensor],
    ) -> None:
        self.primitive = primitive
        self.attrs = attrs
        mask = primitive.input_mask(len(inputs))
        if len(inputs) == 2 and inputs[0] is not None and inputs[1] is not None:
            # Most ops on a tape: written out, because a loop takes as long as the op itself.
            a, b = inputs[0], inputs[1]
            self.in_keys: tuple[int, ...] = (a._key or key_of(a), b._key or key_of(b))
            self.ins: tuple[Kept, ...] = (
                a._value if mask[0] else a._spec or a.spec,
                b._value if mask[1] else b._spec or b.spec,
            )
        else:
            self.in_keys, self.ins = _keep(inputs, mask)
        mask = primitive.output_mask(len(outputs))
        if len(outputs) == 1:
            a = outputs[0]
            self.out_keys: tuple[int, ...] = (a._key or key_of(a),)
            self.outs: tuple[Kept, ...] = (a._value if mask[0] else a._spec or a.spec,)
        else:
            self.out_keys, self.outs = _keep(outputs, mask)

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


class CallRecord(Record):
    """A whole computation on a tape, which knows its own way back.

    Args:
        back: from the gradients of the outputs (None where none arrives), and for each input
            whether its gradient is wanted, to the gradients of the inputs.
    """

    __slots__ = ("pull",)

    def __init__(
        self,
        primitive: Primitive[..., Any],
        in_keys: tuple[int, ...],
        ins: tuple[Spec, ...],
        outputs: Sequence[ConcreteTensor],
        outs: tuple[Spec, ...],
        back: Callable[[Sequence[Any], tuple[bool, ...]], list[Any]],
    ) -> None:
        self.primitive = primitive
        self.attrs = {}
        self.in_keys = in_keys
        self.ins = ins
        self.out_keys = tuple([t._key or key_of(t) for t in outputs])
        self.outs = outs
        self.pull = back


def _keep(
    tensors: Sequence[ConcreteTensor | None], mask: tuple[bool, ...]
) -> tuple[tuple[int, ...], tuple[Kept, ...]]:
    """The keys of some tensors, and of each its array or, where not wanted, its spec."""
    keys = [0 if t is None else t._key or key_of(t) for t in tensors]
    values = [
        None if t is None else t._value if wanted else t.spec
        for t, wanted in zip(tensors, mask, strict=True)
    ]
    return tuple(keys), tuple(values)


#: What a record holds of a tensor: its array, or only its spec.
Kept: TypeAlias = "Array | Spec | None"


def revive(kept: Kept, key: int, name: str) -> Tensor:
    """A tensor with the identity `key` around a kept array, or a `Ghost` where none was kept."""
    if isinstance(kept, np.ndarray):
        tensor = ConcreteTensor(kept)
        tensor._key = key
        return tensor
    return Ghost(cast(Spec, kept), name)


class Recorder:
    """The list that a tape keeps: records in creation order, and the keys that matter."""

    __slots__ = (
        "captures",
        "kept",
        "made",
        "nodes",
        "records",
        "tracked",
        "variables",
        "watch_variables",
    )

    def __init__(self, watch_variables: bool = True, keep: bool = False) -> None:
        #: Where a recorder that only looks on collects what ops read; None for a real tape.
        self.captures: dict[int, ConcreteTensor] | None = None
        #: For each record the values of those inputs that no record made, so that the tape can be
        #: computed again elsewhere; None where that is not wanted.
        self.kept: list[tuple[np.ndarray[Any, Any] | None, ...]] | None = [] if keep else None
        #: What the records made.
        self.made: set[int] = set()
        #: The nodes that were added under the tape to the graph of a traced function.
        self.nodes: set[Operation] = set()
        self.tracked: set[int] = set()
        self.records: list[Record] = []
        self.watch_variables = watch_variables
        self.variables: dict[int, Variable] = {}


def record(
    tapes: tuple[Recorder, ...],
    primitive: Primitive[..., Any],
    attrs: dict[str, Any],
    inputs: Sequence[ConcreteTensor | None],
    outputs: Sequence[ConcreteTensor],
) -> None:
    """Write one op down on every tape that tracks one of its inputs."""
    made: Record | None = None
    for tape in tapes:
        if tape.captures is not None:
            tape.captures.update({t._key: t for t in inputs if t is not None and t._key})
            continue
        tracked = tape.tracked
        for t in inputs:
            if t is not None and t._key in tracked:
                break
        else:
            continue
        if made is None:
            made = Record(primitive, attrs, inputs, outputs)
        tape.records.append(made)
        if tape.kept is not None:
            have = tape.made
            tape.kept.append(
                tuple([None if t is None or t._key in have else t._value for t in inputs])
            )
            have.update(made.out_keys)
        for out in outputs:
            if out._value.dtype.kind in "fc":
                tracked.add(out._key)


class Choices:
    """What a function has decided while it ran, in order: keys of random ops, training or not."""

    __slots__ = ("position", "replaying", "values")

    def __init__(self, values: list[Any], replaying: bool) -> None:
        self.values = values
        self.position = 0
        self.replaying = replaying


class EffectLog:
    """The results of a function's effects, in order: written first, read back in a second run.

    Recomputing a function in the backward pass must draw the same numbers, see the same variable
    values and assign nothing twice. So the second run takes every effect's result from here.
    """

    __slots__ = ("_choices", "position", "replaying", "results")

    @property
    def skips_added(self) -> bool:
        """Whether effects that were added to tensors are left out."""
        return self.replaying

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.position = 0
        self.replaying = False
        self._choices = Choices([], replaying=False)

    def replay(self) -> EffectLog:
        """A reader of the same results from the start."""
        reader = EffectLog()
        reader.results = self.results
        reader.replaying = True
        reader._choices = Choices(self._choices.values, replaying=True)
        return reader

    def inside(self) -> EffectLog:
        """The log for the body of a branch or loop that is built now.

        Its effects happen in every run of the body, and are no effects of the function; but what
        is decided while it is built is.
        """
        part = EffectLog()
        part._choices = self._choices
        return part

    def choose(self, make: Callable[[], Any]) -> Any:
        """What `make` returns; in a second run, what it returned in the first."""
        choices = self._choices
        if not choices.replaying:
            choices.values.append(make())
            return choices.values[-1]
        choices.position += 1
        return choices.values[choices.position - 1]

    def admit(self, primitive: Primitive[..., Any]) -> None:
        """Called before an effect happens; a log that allows not all of them raises here."""

    def mark(self) -> tuple[int, int]:
        """How many effects and choices have passed so far; for `since`."""
        choices = self._choices
        return (
            self.position if self.replaying else len(self.results),
            choices.position if choices.replaying else len(choices.values),
        )

    def since(self, mark: tuple[int, int]) -> EffectLog:
        """A log of the effects and choices that passed after `mark`."""
        part = EffectLog()
        end = self.mark()
        part.results = self.results[mark[0] : end[0]]
        part._choices.values = self._choices.values[mark[1] : end[1]]
        return part

    def take(self) -> Any:
        """The next logged result."""
        result = self.results[self.position]
        self.position += 1
        return result

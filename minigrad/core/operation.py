"""Nodes of graphs, and the symbolic tensors that are their outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import CodeType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from minigrad.core import origin
from minigrad.core.state import state_users
from minigrad.core.tensor import Tensor, symbolic_refusal
from minigrad.errors import GraphError
from minigrad.shapes import Spec, show

if TYPE_CHECKING:
    from minigrad.core.graph import Graph
    from minigrad.core.primitive import Primitive
    from minigrad.core.rules import Effect

__all__ = ["Operation"]


class Operation:
    """A node of a graph.

    Attributes:
        graph: the graph it belongs to.
        name: its unique name there.
        inputs: the tensors it reads; None for an optional one left out.
        outputs: the tensors it makes.
        control_inputs: operations that run before it.
        index: its position in the graph; inputs and control inputs have smaller ones.
        attrs: its attributes.
        forward: the operation whose gradient it helps to compute, or None.
    """

    __slots__ = (
        "_code",
        "_offset",
        "attrs",
        "control_inputs",
        "forward",
        "graph",
        "index",
        "inputs",
        "name",
        "outputs",
        "primitive",
    )

    graph: Graph
    primitive: Primitive[..., Any]
    name: str
    attrs: dict[str, Any]
    inputs: tuple[SymbolicTensor | None, ...]
    outputs: tuple[SymbolicTensor, ...]
    control_inputs: tuple[Operation, ...]
    index: int
    forward: Operation | None
    _code: CodeType | str
    _offset: int

    @property
    def type(self) -> str:
        """The op, such as ``"MatMul"``."""
        return self.primitive.op

    @property
    def effect(self) -> Effect:
        """What it does beside computing; see `minigrad.primitive`."""
        return self.primitive.effect_of(self.attrs)

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """The bodies of a branch or loop, for a look inside: ``mg.render(op.bodies[0], path)``."""
        return cast("tuple[Graph, ...]", tuple(state_users(self.attrs)))

    @property
    def visible_outputs(self) -> tuple[SymbolicTensor, ...]:
        """The outputs without those of a branch or loop that only gradients read."""
        if not self.primitive.has_bodies:
            return self.outputs
        attrs = self.attrs
        if "branches" in attrs:
            return self.outputs[: len(attrs["branches"][0].outputs)]
        return self.outputs[: len(attrs["carries"]) + sum(1 + r for r in attrs["results"])]

    @property
    def in_keys(self) -> tuple[SymbolicTensor | None, ...]:
        """The inputs; what the backward walk knows them by."""
        return self.inputs

    @property
    def out_keys(self) -> tuple[SymbolicTensor, ...]:
        """The outputs; what the backward walk knows them by."""
        return self.outputs

    def tensors(self) -> tuple[tuple[Tensor | None, ...], tuple[Tensor, ...]]:
        """Inputs and outputs."""
        return self.inputs, self.outputs

    @property
    def line(self) -> str:
        """Where the user created it, as ``file.py:12``."""
        return origin.describe(self._code, self._offset)

    @property
    def line_in_full(self) -> str:
        """Where the user created it, with the path and the source text."""
        return origin.describe_long(self._code, self._offset)

    def __reduce__(self) -> NoReturn:
        raise GraphError("an operation cannot be pickled; save its graph: Graph.to_dict")

    def __copy__(self) -> Operation:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        return self

    def __repr__(self) -> str:
        return f"<minigrad.Operation {self.name!r} type={self.type}>"


class SymbolicTensor(Tensor):
    """One output of an operation of a graph. It has a value only inside a run."""

    __slots__ = ("index", "op", "spec")

    spec: Spec

    def __init__(self, op: Operation, index: int, spec: Spec) -> None:
        #: The operation that makes it.
        self.op = op
        #: Which of the operation's outputs it is.
        self.index = index
        self.spec = spec

    @property
    def name(self) -> str:
        """``"operation:output"``."""
        return f"{self.op.name}:{self.index}"

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        return self.op.graph

    def consumers(self) -> list[Operation]:
        """The operations that read it."""
        later = self.op.graph.get_operations()[self.op.index + 1 :]
        return [op for op in later if any(t is self for t in op.inputs)]

    def __repr__(self) -> str:
        shape = "" if self.spec.shape is None else f"shape={show(self.spec.shape)}, "
        return f'Tensor("{self.name}", {shape}dtype={self.spec.dtype})'

    def __bool__(self) -> NoReturn:
        raise symbolic_refusal(
            "it cannot decide a Python `if`, `while`, `and`, `or` or `not`",
            "use mg.where(condition, a, b), mg.logical_and and kin, or run it in a Session first",
        )

    def __iter__(self) -> NoReturn:
        raise symbolic_refusal(
            "it cannot be iterated over",
            "use mg.unstack(x, axis=0) where the length is known, or ops on the whole tensor",
        )

    def __contains__(self, item: object) -> NoReturn:
        # Python would turn the refusal of __iter__ into "argument is not iterable".
        raise symbolic_refusal(
            "it cannot be searched by `in`", "use mg.any(mg.equal(x, value)), or mg.unstack"
        )

    def __len__(self) -> int:
        shape = self.spec.shape
        if shape and shape[0] is not None:
            return shape[0]
        raise symbolic_refusal("its length is not known", "use mg.shape(x)[0]")

    def _no_number(self, *_: Any) -> NoReturn:
        raise symbolic_refusal(
            "it cannot become a Python number or a NumPy array",
            "run it: mg.Session().run(x)",
        )

    __float__ = __int__ = __complex__ = __index__ = _no_number

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._no_number()

    def numpy(self) -> NoReturn:
        """Refused: a symbolic tensor has no value."""
        self._no_number()

    def __reduce__(self) -> NoReturn:
        raise GraphError(
            "a symbolic tensor cannot be pickled or copied; save the graph: Graph.to_dict"
        )

    def __copy__(self) -> SymbolicTensor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SymbolicTensor:
        return self


def computed_from(
    operations: Iterable[Operation],
    known: Collection[SymbolicTensor] = frozenset(),
    *,
    control: bool = False,
) -> list[Operation]:
    """Some operations, and all of their graph that they are computed from, in creation order.

    Args:
        operations: where to begin.
        known: a set or dictionary of tensors that have their values already.
        control: whether the operations that one waits for count too.
    """
    seen = set(operations)
    stack = list(seen)
    while stack:
        op = stack.pop()
        for t in op.inputs:
            if t is not None and t.op not in seen and t not in known:
                seen.add(t.op)
                stack.append(t.op)
        if control:
            for before in op.control_inputs:
                given = before.outputs and all(t in known for t in before.outputs)
                if before not in seen and not given:
                    seen.add(before)
                    stack.append(before)
    return sorted(seen, key=lambda op: op.index)

"""What a run computes, as a flat list of instructions on operands of known shapes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from minigrad.core import registry
from minigrad.core.tensor import Array

if TYPE_CHECKING:
    from minigrad.compile.bodies import CaseForm, LoopForm
    from minigrad.core.operation import Operation
    from minigrad.core.primitive import Primitive

Sizes: TypeAlias = tuple[int, ...]

#: map: elements from elements of inputs that broadcast. reduce: elements joined over axes.
#: product: matrix products. special: another native kernel. call: the primitive's kernel.
#: check: nothing is made; if an element of its input is False, the run is repeated elsewhere.
Kind: TypeAlias = Literal["map", "reduce", "product", "special", "call", "check"]

#: The special kernels whose inputs may be views of any strides; others take them in C order.
STRIDED = frozenset({"place"})


class View(NamedTuple):
    """Another look at an operand's elements.

    Attributes:
        base: the operand that has the elements, C-contiguous; itself no view.
        offset: where the first element is, counted in elements.
        strides: elements from one index to the next, for every dimension.
    """

    base: Operand
    offset: int
    strides: Sizes


class Operand:
    """An array that a program reads or makes.

    Attributes:
        shape: its lengths, all known.
        dtype: NumPy's dtype.
        constant: its value, if that is known; it may have strides of 0.
        view: the operand whose elements these are, or None if it has its own.
        producer: the instruction that makes it; None for constants, views and what is given.
        label: what it is, for people: a tensor's name.
    """

    __slots__ = ("__weakref__", "constant", "dtype", "label", "producer", "shape", "view")

    def __init__(
        self,
        shape: Sizes,
        dtype: np.dtype[Any],
        *,
        constant: Array | None = None,
        view: View | None = None,
        label: str = "",
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.constant = constant
        self.view = view
        self.producer: Instruction | None = None
        self.label = label

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, laid out one after the other."""
        return self.size * self.dtype.itemsize

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def root(self) -> Operand:
        """The operand that has the elements: itself, or the base of a view."""
        return self if self.view is None else self.view.base

    @property
    def strides(self) -> Sizes:
        """Elements from one index to the next, for every dimension."""
        return contiguous(self.shape) if self.view is None else self.view.strides

    @property
    def offset(self) -> int:
        """Where the first element lies among those of `root`."""
        return 0 if self.view is None else self.view.offset

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements follow each other in C order."""
        if self.view is None:
            return True
        return all(
            n == 1 or s == c
            for n, s, c in zip(self.shape, self.view.strides, contiguous(self.shape), strict=True)
        )

    @property
    def uniform(self) -> Any:
        """The one value of a constant whose elements are all alike, as a NumPy scalar, or None."""
        value = self.constant
        if value is None or value.size == 0:
            return None
        first = value[(0,) * value.ndim]
        if value.size == 1 or not any(value.strides):
            return first
        return None

    def __repr__(self) -> str:
        kind = "constant" if self.constant is not None else "view" if self.view else "operand"
        return f"<{kind} {self.label} {self.dtype}{list(self.shape)}>"


class Instruction:
    """One step of a program.

    Attributes:
        kind: how it is computed.
        name: the op, or the joining of a reduction (``"sum"``, …), or a special kernel's name.
        inputs: what it reads; None for an optional input left out.
        outputs: what it makes.
        attrs: the primitive's attributes; a reduction's ``axes``.
        primitive: the primitive whose kernel or scalar form computes it, if one does.
        operation: the graph's node that it comes from.
        form: of a branch or loop, what it is, if it is a plain one (`minigrad.compile.bodies`).
    """

    __slots__ = ("attrs", "form", "inputs", "kind", "name", "operation", "outputs", "primitive")

    def __init__(
        self,
        kind: Kind,
        name: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
        attrs: dict[str, Any],
        primitive: Primitive[..., Any] | None = None,
        operation: Operation | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.name = name
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.attrs = attrs
        self.primitive = primitive
        self.operation = operation
        self.form: LoopForm | CaseForm | None = None
        for operand in self.outputs:
            operand.producer = self

    @property
    def output(self) -> Operand:
        """The only output."""
        return self.outputs[0]

    @property
    def pure(self) -> bool:
        """Whether it may be left out, merged with an equal one, and moved."""
        return self.kind != "call" or (
            self.primitive is not None and self.primitive.effect == "pure"
        )

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} {list(self.inputs)} -> {list(self.outputs)}>"


class Program:
    """The instructions of one kind of run, in an order in which they can be run.

    Attributes:
        instructions: the steps.
        feeds: the operands that the caller gives, in the order of the plan's feeds.
        cells: by a variable's cell key, the operand that holds its value at the start.
        fetches: the operands whose values are wanted.
        writes: by cell key, the operand that is the variable's value after the run.
        staged_reads: the nodes whose reads see what this run has assigned before.
        notes: what has been done to it: how often, by the names of rewrites.
    """

    __slots__ = ("cells", "feeds", "fetches", "instructions", "notes", "staged_reads", "writes")

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.feeds: list[Operand] = []
        self.cells: dict[int, Operand] = {}
        self.fetches: list[Operand] = []
        self.writes: dict[int, Operand] = {}
        self.staged_reads: frozenset[Operation] = frozenset()
        self.notes: Counter[str] = Counter()

    @property
    def results(self) -> list[Operand]:
        """The operands that must have their values when the program ends."""
        return [*self.fetches, *self.writes.values()]


def contiguous(shape: Sizes) -> Sizes:
    """The strides, in elements, of an array in C order."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def has_native_type(dtype: np.dtype[Any]) -> bool:
    """Whether elements of a dtype are computed with one by one, natively: no half or complex."""
    return dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def copying(x: Operand, out: Operand) -> Instruction:
    """An instruction that gives `out` the elements of `x`."""
    if has_native_type(x.dtype):
        return Instruction("map", "copy", [x], [out], {})
    return Instruction("call", "Identity", [x], [out], {}, registry.primitive_of("Identity"))


def own_results(program: Program, *, views: bool = False) -> None:
    """Let every fetch and assigned value be an operand that an instruction makes for it alone.

    Args:
        program: the program; it is changed.
        views: whether it may also be a view of all elements of one, in their order.
    """
    taken: set[Operand] = set()

    def own(x: Operand) -> Operand:
        root = x.root
        whole = x is root or (views and x.size == root.size and x.is_contiguous)
        if whole and root.producer is not None and root not in taken:
            taken.add(root)
            return x
        made = Operand(x.shape, x.dtype, label=x.label)
        program.instructions.append(copying(x, made))
        taken.add(made)
        return made

    for key, x in program.writes.items():
        program.writes[key] = own(x)
    program.fetches = [own(x) for x in program.fetches]


def needed_by(pieces: Sequence[Sequence[Instruction]], program: Program) -> set[Operand]:
    """The values that more than the piece that makes them reads, and the results."""
    made_in: dict[Operand, int] = {}
    needed = {x.root for x in program.results}
    for i, steps in enumerate(pieces):
        for step in steps:
            for x in step.inputs:
                if x is not None and made_in.get(x.root, i) != i:
                    needed.add(x.root)
            for out in step.outputs:
                made_in[out] = i
    return needed

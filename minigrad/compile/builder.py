"""What lowerings write with: adds instructions to a program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.compile import placing, views
from minigrad.compile.gathering import folded, gather_rows, scatter_add_rows
from minigrad.compile.placing import Region, put_together
from minigrad.compile.program import Instruction, Kind, Operand, Program, Sizes, contiguous
from minigrad.core import registry
from minigrad.dtypes import DType, from_numpy
from minigrad.shapes import Spec

if TYPE_CHECKING:
    from minigrad.core.operation import Operation
    from minigrad.core.primitive import Primitive

#: Constants are computed beforehand up to this many elements.
FOLDED_ELEMENTS = 1 << 16


class NotPlanned(Exception):
    """A program cannot be made: something's shape is known in the run only, say."""


class Builder:
    """Adds instructions to a program; given to the lowerings of primitives as `b`.

    Operands are immutable: every method returns one, new or old.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        #: The node that is being lowered.
        self.operation: Operation | None = None
        self._constants: dict[tuple[Any, ...], Operand] = {}

    # -- constants -------------------------------------------------------------------------

    def constant(self, value: Any, dtype: Any = None) -> Operand:
        """An operand of a known value."""
        array = np.asarray(value, dtype)
        return Operand(array.shape, array.dtype, constant=array, label="constant")

    def full(self, shape: Sizes, value: Any, dtype: Any) -> Operand:
        """An operand filled with one value."""
        array = np.broadcast_to(np.asarray(value, dtype), shape)
        return Operand(shape, array.dtype, constant=array, label="constant")

    # -- layout ----------------------------------------------------------------------------

    def reshape(self, x: Operand, shape: Sequence[int]) -> Operand:
        """`x` in another shape of as many elements."""
        made = views.reshaped(x, tuple(shape))
        return made if made is not None else views.reshaped(self.copy(x), tuple(shape))  # type: ignore[return-value]

    def transpose(self, x: Operand, axes: Sequence[int]) -> Operand:
        """`x` with its axes in another order."""
        return views.transposed(x, axes)

    def swap_last(self, x: Operand) -> Operand:
        """`x` with its last two axes exchanged."""
        axes = list(range(x.rank))
        axes[-2:] = [axes[-1], axes[-2]]
        return views.transposed(x, axes)

    def broadcast(self, x: Operand, shape: Sequence[int]) -> Operand:
        """`x` repeated to a shape by NumPy's rule."""
        return views.broadcast(x, tuple(shape))

    def slice(
        self, x: Operand, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]
    ) -> Operand:
        """Every `steps`-th element from `starts`, `shape` of them; steps may be negative."""
        return views.sliced(x, starts, steps, tuple(shape))

    def diagonal(self, x: Operand, offset: int) -> Operand:
        """The diagonals of matrices in the last two axes, `offset` columns to the right."""
        return views.diagonal(x, offset)

    def expand(self, x: Operand, axes: Sequence[int]) -> Operand:
        """`x` with dimensions of length 1 at these axes (not negative) of the result."""
        shape = list(x.shape)
        for axis in sorted(axes):
            shape.insert(axis, 1)
        return self.reshape(x, shape)

    def copy(self, x: Operand) -> Operand:
        """The elements of `x` laid out in C order of their own."""
        if x.is_contiguous and x.constant is None:
            return x
        out = Operand(x.shape, x.dtype, label=x.label)
        self._add("map", "copy", [x], [out], {})
        return out

    def whole(self, x: Operand) -> Operand:
        """`x` with its elements in C order, those of constants too: what bodies are handed."""
        if x.constant is None:
            return self.copy(x)
        return Operand(x.shape, x.dtype, constant=np.array(x.constant, order="C"), label=x.label)

    # -- computing -------------------------------------------------------------------------

    def op(self, name: str, *inputs: Operand | None, **attrs: Any) -> Any:
        """Another primitive by its op name: an operand, or a tuple for several outputs.

        Operands are brought to a common dtype beforehand, as the engine does for nodes.
        """
        primitive = registry.primitive_of(name)
        made = self.apply(primitive, inputs, attrs)
        return made[0] if primitive.single else made

    def map(self, name: str, *inputs: Operand | Any) -> Operand:
        """An elementwise op by its op name; numbers take the dtype of the first operand."""
        first = next(x for x in inputs if isinstance(x, Operand))
        operands = [x if isinstance(x, Operand) else self.constant(x, first.dtype) for x in inputs]
        return self.apply(registry.primitive_of(name), operands, {})[0]

    def cast(self, x: Operand, dtype: np.dtype[Any]) -> Operand:
        """`x` in another dtype."""
        return x if x.dtype == dtype else self.op("Cast", x, dtype=from_numpy(dtype))

    def reduce(
        self, joining: str, x: Operand, axes: Sequence[int] | None = None, keepdims: bool = False
    ) -> Operand:
        """Elements joined over axes (not negative; None for all).

        Args:
            joining: ``"sum"``, ``"prod"``, ``"max"``, ``"min"``, ``"any"`` or ``"all"``. A sum or
                product keeps the dtype; nothing is summed in a narrower one than that.
            x: what to reduce. For max and min it must not be empty along the axes.
            axes: which.
            keepdims: keep the axes, with length 1.
        """
        chosen = sorted(range(x.rank) if axes is None else axes)
        kept = tuple([1 if i in chosen else n for i, n in enumerate(x.shape)])
        short = tuple([n for i, n in enumerate(x.shape) if i not in chosen])
        if not x.size:
            # What nothing joins to.
            return self.full(kept if keepdims else short, joining in ("prod", "all"), x.dtype)
        result = x
        moving = [i for i in chosen if x.shape[i] != 1]
        # Axes side by side are joined at once; the last ones first.
        while moving:
            last = moving.pop()
            first = last
            while moving and (moving[-1] == first - 1 or _all_one(x.shape, moving[-1] + 1, first)):
                first = moving.pop()
            shape = tuple([1 if first <= i <= last else n for i, n in enumerate(result.shape)])
            out = Operand(shape, x.dtype, label=x.label)
            self._add("reduce", joining, [result], [out], {"axes": (first, last + 1)})
            result = out
        return self.reshape(result, kept if keepdims else short)

    def product(self, x: Operand, y: Operand) -> Operand:
        """Matrix products ``x @ y`` of equal rank, batch dimensions broadcast."""
        batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        out = Operand((*batch, x.shape[-2], y.shape[-1]), x.dtype, label="product")
        x = views.broadcast(x, (*batch, *x.shape[-2:]))
        y = views.broadcast(y, (*batch, *y.shape[-2:]))
        self._add("product", "product", [x, y], [out], {})
        return out

    def special(
        self,
        name: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[tuple[Sizes, np.dtype[Any]]],
        attrs: dict[str, Any],
        primitive: Primitive[..., Any],
    ) -> tuple[Operand, ...]:
        """A kernel of its own; inputs that are views without C order are copied.

        Of the primitive's shape-only inputs nothing is copied; constants of one value will do.

        Args:
            name: which, in `minigrad.compile.native.specials`.
            inputs: its inputs.
            outputs: shape and dtype of each output.
            attrs: the primitive's attributes.
            primitive: what computes the same on NumPy, with these inputs and attributes.
        """
        unread = primitive.shape_only
        given = [x if x is None or i in unread else self.copy(x) for i, x in enumerate(inputs)]
        made = [Operand(shape, dtype, label=name) for shape, dtype in outputs]
        self._add("special", name, given, made, attrs, primitive)
        return tuple(made)

    # -- putting together ------------------------------------------------------------------

    def place(
        self, shape: Sizes, parts: Sequence[tuple[Operand, tuple[int, Sequence[int]]]]
    ) -> Operand:
        """An array of a shape, put together from parts of one dtype.

        Args:
            shape: of the whole.
            parts: operands; and for each where its first element goes, counted in elements of the
                whole, and how far apart they are along each of its axes. Where parts overlap the
                later one counts. Together they must cover the whole.
        """
        dtype = parts[0][0].dtype
        there = [(x, Region(at, tuple(strides))) for x, (at, strides) in parts if x.size]
        if not there:
            return self.full(shape, 0, dtype)
        last, region = there[-1]
        if last.size == math.prod(shape) and region == Region(0, contiguous(last.shape)):
            return self.reshape(last, shape)
        attrs = {"shape": shape, "dtype": dtype, "regions": tuple([r for _, r in there])}
        out = Operand(shape, dtype, label="place")
        self._add("special", "place", [x for x, _ in there], [out], attrs, put_together)
        return out

    def strides(self, shape: Sizes) -> Sizes:
        """The strides, in elements, of a whole of this shape."""
        return contiguous(shape)

    def concat(self, operands: Sequence[Operand], axis: int) -> Operand:
        """Operands of one dtype one after the other along an axis (not negative)."""
        return self.place(*placing.joined(operands, axis))

    def pad(self, x: Operand, widths: Sequence[tuple[int, int]], value: Operand) -> Operand:
        """`x` with so many elements before and after along each axis, all of them `value`."""
        return self.place(*placing.padded(x, widths, value))

    def gather(self, x: Operand, rows: Operand, axis: int) -> Operand:
        """The slices of `x` at these numbers along an axis (not negative), in their place.

        A check has failed where numbers are below 0 or too large.
        """
        outer, count, inner = folded(x.shape, axis, axis + 1)
        (made,) = self.special(
            "gather",
            [self.reshape(x, (outer, count, inner)), self._row_numbers(rows)],
            [((outer, rows.size, inner), x.dtype)],
            {},
            gather_rows,
        )
        return self.reshape(made, (*x.shape[:axis], *rows.shape, *x.shape[axis + 1 :]))

    def scatter_add(self, values: Operand, rows: Operand, axis: int, count: int) -> Operand:
        """The adjoint of `gather` from `count` slices: the sums of those of the same number.

        Args:
            values: slices; their numbers' axes begin at `axis`.
            rows: the numbers.
            axis: where the `count` sums are in the result.
            count: how many there are.
        """
        outer, n, inner = folded(values.shape, axis, axis + rows.rank)
        (made,) = self.special(
            "scatter_add",
            [self.reshape(values, (outer, n, inner)), self._row_numbers(rows)],
            [((outer, count, inner), values.dtype)],
            {"count": count},
            scatter_add_rows,
        )
        shape = values.shape
        return self.reshape(made, (*shape[:axis], count, *shape[axis + rows.rank :]))

    def _row_numbers(self, rows: Operand) -> Operand:
        return self.reshape(self.cast(rows, np.dtype(np.int64)), (rows.size,))

    def iota(self, shape: Sizes, axis: int, dtype: Any) -> Operand:
        """The index along an axis, at every element."""
        values = np.arange(shape[axis], dtype=dtype)
        ones = [1] * len(shape)
        ones[axis] = shape[axis]
        return self.broadcast(self.constant(values.reshape(ones)), shape)

    def check(self, condition: Operand) -> None:
        """Unless all elements are True, the run is repeated on the reference executor.

        That is what raises the error. What the program computes afterwards counts for nothing,
        but must not fail or read past the end of anything.

        Raises:
            NotPlanned: it is known already that they are not.
        """
        if condition.constant is None:
            self._add("check", "check", [condition], [], {})
        elif not condition.constant.all():
            raise NotPlanned("a check fails whatever is fed")

    def call(
        self,
        primitive: Primitive[..., Any],
        inputs: Sequence[Operand | None],
        attrs: dict[str, Any],
    ) -> tuple[Operand, ...]:
        """The primitive's kernel, whatever it is."""
        outs = [Operand(s, d, label=primitive.name) for s, d in infer(primitive, inputs, attrs)]
        self._add("call", primitive.op, inputs, outs, attrs, primitive)
        return tuple(outs)

    # -- lowering --------------------------------------------------------------------------

    def apply(
        self,
        primitive: Primitive[..., Any],
        inputs: Sequence[Operand | None],
        attrs: dict[str, Any],
    ) -> tuple[Operand, ...]:
        """A pure primitive by the simplest means: folded, lowered, as a map, or as a call."""
        if all(x is None or x.constant is not None for x in inputs) or primitive.shape_only:
            folded = self._folded(primitive, inputs, attrs)
            if folded is not None:
                return folded
        if primitive.lowering_form is not None and self._native(inputs):
            infer(primitive, inputs, attrs)  # What does not fit is refused here.
            made = primitive.lowering_form(self, *inputs, **attrs)
            if made is not NotImplemented:
                return made if isinstance(made, tuple) else (made,)
        if primitive.scalar_form is not None and self._native(inputs):
            ((shape, dtype),) = infer(primitive, inputs, attrs)
            if _has_native_type(dtype):
                out = Operand(shape, dtype, label=primitive.name)
                self._add("map", primitive.op, inputs, [out], attrs, primitive)
                return (out,)
        return self.call(primitive, inputs, attrs)

    def _native(self, inputs: Sequence[Operand | None]) -> bool:
        return all(x is None or _has_native_type(x.dtype) for x in inputs)

    def _folded(
        self,
        primitive: Primitive[..., Any],
        inputs: Sequence[Operand | None],
        attrs: dict[str, Any],
    ) -> tuple[Operand, ...] | None:
        """The outputs as constants, where the inputs are and they are small or uniform."""
        arrays: list[Any] = []
        for i, x in enumerate(inputs):
            if x is None:
                arrays.append(None)
            elif x.constant is not None:
                arrays.append(x.constant)
            elif i in primitive.shape_only:
                arrays.append(np.broadcast_to(np.zeros((), x.dtype), x.shape))
            else:
                return None
        if primitive.compute is None or primitive.effect != "pure":
            return None
        outs = infer(primitive, inputs, attrs)
        if primitive.op in _FILLS:
            # As small as the value, whatever the shape.
            value = {"ZerosLike": 0, "OnesLike": 1}[primitive.op]
            return tuple([self.full(shape, value, dtype) for shape, dtype in outs])
        if any(math.prod(shape) > FOLDED_ELEMENTS for shape, _ in outs):
            return None
        with np.errstate(all="ignore"):
            made = primitive.compute(np, *arrays, **attrs)
        return tuple([self.constant(a) for a in ((made,) if primitive.single else made)])

    def _add(
        self,
        kind: Kind,
        name: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
        attrs: dict[str, Any],
        primitive: Primitive[..., Any] | None = None,
    ) -> None:
        self.program.instructions.append(
            Instruction(kind, name, inputs, outputs, attrs, primitive, self.operation)
        )


_FILLS = frozenset({"ZerosLike", "OnesLike"})


def infer(
    primitive: Primitive[..., Any], inputs: Sequence[Operand | None], attrs: dict[str, Any]
) -> list[tuple[Sizes, np.dtype[Any]]]:
    """Shape and dtype of each output. Raises `NotPlanned` where they depend on values."""
    specs = [None if x is None else spec_of(x) for x in inputs]
    found = []
    for spec in primitive.infer(specs, attrs):
        if spec.shape is None or None in spec.shape:
            raise NotPlanned(f"the shape of what {primitive.name} returns depends on values")
        found.append((spec.shape, spec.dtype.dtype))
    return found  # type: ignore[return-value]


def spec_of(x: Operand) -> Spec:
    """What shape rules see of an operand: with its value if it is a small integer constant."""
    value = None
    if x.constant is not None and x.rank < 2 and x.size <= 64 and x.dtype.kind in "iu":
        value = x.constant.item() if x.rank == 0 else tuple(x.constant.tolist())
    return Spec(x.shape, _dtype(x.dtype), value)


_dtypes: dict[np.dtype[Any], DType] = {}


def _dtype(dtype: np.dtype[Any]) -> DType:
    found = _dtypes.get(dtype)
    if found is None:
        found = _dtypes[dtype] = from_numpy(dtype)
    return found


def _has_native_type(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def _all_one(shape: Sizes, start: int, stop: int) -> bool:
    return all(n == 1 for n in shape[start:stop])

"""Calls a primitive on one of its samples, with other values in place of the sample's arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.core.primitive import Primitive
from minigrad.core.samples import Fails, Sample, VariableArgument
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DType
from minigrad.gradcheck.engine import eagerly
from minigrad.nest import flatten, unflatten


class SampleCall:
    """One call of a primitive, as a function of the arrays among its arguments.

    Args:
        primitive: what is called.
        sample: the arguments: a `Sample`, or a `Fails`.

    Attributes:
        arrays: every array among the arguments, in order, also inside lists, tuples and dicts.
        free: positions in `arrays` of those that are differentiated: float64, and not `fixed`.
    """

    def __init__(self, primitive: Primitive[..., Any], sample: Sample | Fails) -> None:
        self._primitive = primitive
        self._nest: tuple[Any, ...] = (sample.args, sample.kwargs)
        self._leaves = flatten(self._nest)
        fixed = sample.fixed_args if isinstance(sample, Sample) else ()
        counts = [len(flatten(a)) for a in (*sample.args, sample.kwargs)]
        arguments = [i for i, count in enumerate(counts) for _ in range(count)]
        self.arrays: list[Array] = []
        self.free: list[int] = []
        self._places: list[int] = []
        for place, (leaf, argument) in enumerate(zip(self._leaves, arguments, strict=True)):
            if isinstance(leaf, np.float64):
                leaf = np.asarray(leaf)  # As when a sample picks an element of an array.
            if not isinstance(leaf, np.ndarray):
                continue
            if leaf.dtype == np.float64 and argument not in fixed:
                self.free.append(len(self.arrays))
            self.arrays.append(leaf)
            self._places.append(place)

    @property
    def graph_only(self) -> bool:
        """Whether the primitive always adds a node, in eager code to the default graph."""
        return self._primitive.op in ("Placeholder", "PlaceholderWithDefault")

    @property
    def points(self) -> list[Array]:
        """The arrays that are differentiated."""
        return [self.arrays[i] for i in self.free]

    def __call__(self, values: Sequence[Any], *, narrow: bool = False) -> list[Tensor]:
        """Call the primitive with `values` in place of `arrays`; the tensors that it returns.

        Stand-ins for variables become fresh ones, in whichever mode this is; with `narrow`, those
        of float64 become float32.
        """
        leaves = [
            _variable(v, narrow) if isinstance(v, VariableArgument) else v for v in self._leaves
        ]
        for place, value in zip(self._places, values, strict=True):
            leaves[place] = value
        args, kwargs = unflatten(self._nest, leaves)
        made = self._primitive(*args, **kwargs)
        return [t for t in flatten(made) if isinstance(t, Tensor)]

    def with_free(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Call it with these tensors in place of the arrays that are differentiated."""
        values: list[Any] = [ConcreteTensor(a) for a in self.arrays]
        for place, tensor in zip(self.free, tensors, strict=True):
            values[place] = tensor
        return self(values)

    def eager(self, *, narrow: bool = False) -> list[Array]:
        """The results in eager code; with `narrow`, for float32 in place of float64."""
        if self.graph_only:
            return []
        arrays = self.narrowed() if narrow else self.arrays
        with eagerly():
            made = self([ConcreteTensor(a) for a in arrays], narrow=narrow)
        return [np.asarray(t._value) for t in made if isinstance(t, ConcreteTensor)]

    def narrowed(self) -> list[Array]:
        """The arrays with float64 made float32, and complex128 complex64."""
        kinds = {"float64": np.float32, "complex128": np.complex64}
        return [a.astype(kinds.get(a.dtype.name, a.dtype)) for a in self.arrays]

    @property
    def names_float64(self) -> bool:
        """Whether an argument asks for float64, so that float32 need not stay float32."""
        return any(
            leaf == "float64" or (isinstance(leaf, DType) and leaf.dtype == np.float64)
            for leaf in self._leaves
            if isinstance(leaf, str | DType)
        )


def _variable(stand_in: VariableArgument, narrow: bool) -> Variable:
    made = Variable(stand_in.value, dtype=stand_in.dtype)
    if narrow and made.dtype.dtype == np.float64:
        return Variable(stand_in.value, dtype="float32")
    return made


def partly_unknown(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int | None, ...]:
    """A shape with some dimensions forgotten, at least one where there is one."""
    if not shape:
        return ()
    forget = rng.random(len(shape)) < 0.5
    forget[rng.integers(len(shape))] = True
    return tuple([None if gone else d for d, gone in zip(shape, forget, strict=True)])


def describe(sample: Sample | Fails) -> str:
    """How messages call a sample."""
    label = getattr(sample, "label", "")
    return f"{sample!r} ({label})" if label else repr(sample)


def calls(primitive: Primitive[..., Any]) -> Iterator[tuple[Sample, SampleCall]]:
    """Every sample of a primitive, ready to call."""
    for sample in primitive.make_samples():
        yield sample, SampleCall(primitive, sample)

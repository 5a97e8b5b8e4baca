"""What the random functions share: a draw's place in a stream, its shape, its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE
from minigrad.core.convert import is_weak, scalar_array
from minigrad.core.generator import Generator, choose_source
from minigrad.core.literal import constant_spec
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.dtypes import DType
from minigrad.errors import ArgumentError, ArgumentTypeError, GraphError, ShapeError
from minigrad.ops.random_reserve import reserve_random
from minigrad.ops.shaping import broadcast_like
from minigrad.ops.sizes import not_negative, sizes_argument, static_sizes
from minigrad.philox import Key
from minigrad.shapes import Shape, broadcast, compatible, show

__all__ = ["Parameter", "dims_of", "reserve", "static_shape"]


def reserve(
    what: str,
    *sizes: TensorLike,
    seed: int | None,
    generator: Generator | None,
    draw: str = "outputs",
) -> tuple[Key, TensorLike]:
    """Key and counter of one draw."""
    source = _source(what, seed, generator)
    if isinstance(source, Generator):
        return source.key, reserve_random(*sizes, generator=source, draw=draw)
    return source, 0


def _source(what: str, seed: int | None, generator: Generator | None) -> Generator | Key:
    """The generator to draw from, or the key of a draw that is made once."""
    state = STATE.get()
    if generator is not None:
        if seed is not None:
            raise ArgumentError(
                f"{what} takes seed= or generator=, not both: a generator has a key"
            )
        if not isinstance(generator, Generator):
            raise ArgumentTypeError(
                f"{what} expected a minigrad.random.Generator, got {generator!r}; make one with "
                "mg.random.Generator(seed=…), or pass an integer as seed="
            )
        graph = None if state.graph is None else state.graph.root
        if generator.graph not in (None, graph):
            raise GraphError(
                f"{what}: {generator!r} belongs to {generator.graph!r}, not to {graph!r}; "
                "make it inside this graph, or in eager code to share it"
            )
        return generator

    # Choosing a key counts one random op: a recomputed function must find the key it had.
    if state.log is None:
        return choose_source(seed)
    chosen: Generator | Key = state.log.choose(lambda: choose_source(seed))
    return chosen


def dims_of(shape: Any) -> tuple[Tensor, Shape]:
    """A `shape` argument as an integer tensor, and what is known of it now.

    Raises:
        ArgumentTypeError: a dimension is not an integer.
        ShapeError: a dimension is negative.
    """
    numbers, given = (None, shape) if isinstance(shape, Tensor) else sizes_argument(shape)
    not_negative(numbers)
    if numbers is not None:
        return tensor_of(ConcreteTensor(np.array(numbers, dtype=np.int64)), name="shape"), numbers
    dims = tensor_of(given)
    return dims, static_shape(dims)


def static_shape(dims: Tensor) -> Shape:
    """What is known now of the shape that an integer tensor stands for."""
    spec = constant_spec(dims._value) if isinstance(dims, ConcreteTensor) else dims.spec
    known = static_sizes(None, spec)
    not_negative(known)
    return known


def _known(value: Any) -> Array | None:
    """The value of a concrete tensor, or of a constant of a graph; None if a run decides it."""
    if isinstance(value, ConcreteTensor):
        return value._value
    op = getattr(value, "op", None)
    if op is None:
        return None
    if op.type == "Cast":  # A constant of another dtype has been cast to that of the draw.
        known = _known(op.inputs[0])
        with np.errstate(over="ignore"):
            return None if known is None else known.astype(op.attrs["dtype"].dtype)
    constant: Array | None = op.attrs["value"].array if op.type == "Const" else None
    return constant


class Parameter:
    """A parameter of a distribution: a Python number, which stays one, or a tensor."""

    def __init__(self, what: str, name: str, value: TensorLike, dtype: DType, shape: Shape) -> None:
        self.operand: Any = value
        self.known: Array | None
        if is_weak(value):
            with np.errstate(over="ignore"):
                self.known = scalar_array(value, dtype)  # type: ignore[arg-type]
            return
        self.operand = tensor_of(value, dtype, name=name)
        self.known = _known(self.operand)
        own = self.operand.spec.shape
        try:
            fits = compatible(broadcast(own, shape), shape)
        except ShapeError:
            fits = False
        if not fits:
            raise ShapeError(
                f"{what}: {name} of shape {show(own)} does not broadcast to the draw's shape "
                f"{show(shape)}; give one number, or a shape that it broadcasts to"
            )

    def is_exactly(self, number: float) -> bool:
        """Whether it is this number, and so needs no arithmetic."""
        return is_weak(self.operand) and self.operand == number

    def beside(self, draw: Tensor) -> Any:
        """The operand to combine with a draw; a run checks what could not be checked before."""
        if is_weak(self.operand) or (draw.spec.known() and self.operand.spec.known()):
            return self.operand
        return broadcast_like(self.operand, draw)

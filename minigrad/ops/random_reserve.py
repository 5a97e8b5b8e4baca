"""Reserving a piece of a stream of random numbers: the one random op with an effect.

It advances a generator's counter. The numbers themselves are a pure function of key and counter
(`minigrad.ops.random_ops`), so a backward pass, a recomputation or a second derivative that reads
the same reservation sees the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import random_kernels
from minigrad.core.bind import bind
from minigrad.core.generator import Generator
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import Transaction
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import uint64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.sizes import actual_sizes, not_negative, static_sizes
from minigrad.shapes import Spec

__all__ = ["reserve_random"]

#: What a draw of certain sizes uses up, by the draw's kind.
_BLOCKS: dict[str, Callable[..., int]] = {
    "outputs": lambda *sizes: random_kernels.blocks_reserved(math.prod(sizes)),
    # A scalar has no first size; the draw itself refuses it, and says why.
    "permutation": lambda *sizes: random_kernels.permutation_blocks_reserved(*sizes[:1] or (0,)),
    "categorical": lambda batch, *rest: random_kernels.categorical_blocks_reserved(batch, rest[-1]),
}


@primitive(
    "RandomReserve",
    effect="draw",
    promote=(),
    not_differentiable="a reservation is a place in a stream of random numbers",
    # Of size 0, so that the generator stands where it stood however often a sample is used.
    samples=lambda rng: [
        Sample(np.array([0, 3]), generator=Generator(1)),
        Sample(np.array([0, 3]), 5, generator=Generator(2), draw="categorical"),
    ],
    errors=[
        Fails(ShapeError, "negative", np.array([2, -3]), generator=Generator.from_key((0, 1))),
        Fails(DTypeError, "integer", np.array([2.0]), generator=Generator.from_key((0, 1))),
        Fails(ArgumentError, "draw", 3, generator=Generator.from_key((0, 1)), draw="normal"),
        Fails(ArgumentTypeError, "Generator", 3, generator=4),
    ],
)
def reserve_random(*sizes: TensorLike, generator: Generator, draw: str = "outputs") -> Tensor:
    """Advance a generator past one draw, and return the counter that the draw starts at.

    Args:
        sizes: integer scalars and vectors; together the sizes of the draw.
        generator: the generator.
        draw: ``"outputs"``: as many numbers as the product of the sizes; ``"permutation"``: the
            first size is the number of items; ``"categorical"``: the first size is the number of
            rows, the last the number of samples of each.

    Returns:
        uint64 scalar.

    Raises:
        ArgumentTypeError: `generator` is not a `Generator`.
        ArgumentError: there is no such `draw`.
        ShapeError: a size is negative.
        DTypeError: a size is not an integer.

    >>> from minigrad.ops.random_reserve import reserve_random
    >>> import minigrad as mg
    >>> g = mg.random.Generator(seed=1)
    >>> int(reserve_random(2, generator=g)), int(reserve_random(2, generator=g))
    (0, 512)
    """
    if not isinstance(generator, Generator):
        raise ArgumentTypeError(
            f"reserve_random expected a minigrad.random.Generator, got {generator!r}; "
            "make one with mg.random.Generator(seed=…)"
        )
    if draw not in _BLOCKS:
        raise ArgumentError(f"draw must be one of {', '.join(_BLOCKS)}, got {draw!r}")
    return bind(reserve_random, *sizes, generator=generator, draw=draw)


@reserve_random.kernel
def _(xp: Any, run: Transaction, *sizes: Array, generator: Generator, draw: str) -> Array:
    together = [size for part in sizes for size in actual_sizes(None, part, "sizes")]
    not_negative(tuple(together), "sizes")
    blocks = _BLOCKS[draw](*together)
    start, after = generator.advance(run.read(generator.cell), blocks)
    run.write(generator.cell, after)
    return np.asarray(start, dtype=np.uint64)


@reserve_random.shape
def _(*sizes: Spec, generator: Generator, draw: str) -> Spec:
    for part in sizes:
        not_negative(static_sizes(None, part, "sizes"), "sizes")
    return Spec((), uint64)

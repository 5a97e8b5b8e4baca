"""Arithmetic on elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import Ctx, Grads, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import DTypeError, ShapeError


@primitive(
    "Add",
    elementwise=True,
    accepts="numeric",
    numpy=np.add,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,))).named("broadcast"),
        Sample(rng.normal(size=(2, 1)), rng.normal(size=())).named("scalar"),
        Sample(rng.normal(size=(0, 3)), rng.normal(size=(1, 3))).named("empty"),
    ],
    errors=[
        Fails(ShapeError, "do not broadcast", np.ones(2), np.ones(3)),
        Fails(DTypeError, "text", np.array(["a"], object), 1.0),
    ],
)
def add(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 + x2, elementwise.

    >>> import minigrad as mg
    >>> mg.add([1.0, 2.0], 10)
    Tensor([11., 12.], shape=(2,), dtype=float32)
    """
    return bind(add, x1, x2)


@add.kernel
def _(xp: Any, x1: Array, x2: Array) -> Array:
    return xp.add(x1, x2)


@add.gradient()
def _(c: Ctx) -> Grads:
    (g,) = c.grads
    return g, g


@primitive(
    "Mul",
    elementwise=True,
    accepts="numeric",
    numpy=np.multiply,
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,))).named("broadcast"),
        Sample(rng.normal(size=(2, 1)), rng.normal(size=())).named("scalar"),
        Sample(rng.normal(size=(0, 3)), rng.normal(size=(1, 3))).named("empty"),
    ],
    errors=[
        Fails(ShapeError, "do not broadcast", np.ones(2), np.ones(3)),
        Fails(DTypeError, "text", np.array(["a"], object), 1.0),
    ],
)
def multiply(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """x1 * x2, elementwise.

    >>> import minigrad as mg
    >>> mg.multiply([1.0, 2.0], 10)
    Tensor([10., 20.], shape=(2,), dtype=float32)
    """
    return bind(multiply, x1, x2)


@multiply.kernel
def _(xp: Any, x1: Array, x2: Array) -> Array:
    return xp.multiply(x1, x2)


@multiply.gradient(saves=("x1", "x2"))
def _(c: Ctx) -> Grads:
    (g,), (x1, x2) = c.grads, c.inputs
    return g * x2 if c.needs[0] else None, g * x1 if c.needs[1] else None

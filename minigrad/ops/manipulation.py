"""Ops that rearrange elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import Ctx, Grads, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.shaping import reshape_like
from minigrad.shapes import Spec, normalize_axis, show


@primitive(
    "ConcatV2",
    samples=lambda rng: [Sample([rng.normal(size=(2, 3)), rng.normal(size=(1, 3))], axis=0)],
    not_differentiable="to be written",
)
def concat(arrays: Sequence[TensorLike], /, *, axis: int | None = 0) -> Tensor:
    """Join along an axis."""
    return bind(concat, *arrays, axis=axis)


@concat.kernel
def _(xp: Any, *arrays: Array, axis: int | None) -> Array:
    return xp.concat(arrays, axis=axis)


@concat.shape
def _(*arrays: Spec, axis: int | None) -> Spec:
    return Spec(None, arrays[0].dtype)

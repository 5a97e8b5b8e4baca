"""Jacobians, row by row: the backward walk once for every element of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.autodiff import dense
from minigrad.core.bind import tensor_of
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.dtypes import DType
from minigrad.errors import GradientError
from minigrad.nest import flatten, unflatten
from minigrad.ops.manipulation import reshape
from minigrad.ops.stacking import stack


def jacobian_rows(target: Tensor, sources: Any, gradient: Callable[..., Any]) -> Any:
    """Stack the gradients of every element of `target`.

    Args:
        target: a tensor of known shape.
        sources: a nest of tensors and variables of known shapes.
        gradient: ``gradient(target, sources, upstream)`` gives one row.

    Returns:
        A nest like `sources`, of tensors of shape ``target.shape + source.shape``.

    Raises:
        GradientError: a shape is not known.
    """
    leaves = flatten(sources)
    for x in (target, *leaves):
        if not x.spec.known():
            raise GradientError(f"a Jacobian needs known shapes, got {x!r}")
    rows = [
        [dense(g) for g in flatten(gradient(target, sources, row))]
        for row in unit_tensors(target.shape, target.dtype)
    ]
    results: list[Tensor] = []
    for i, x in enumerate(leaves):
        shape = (*target.shape, *x.shape)
        if rows:
            results.append(reshape(stack([row[i] for row in rows]), shape))
        else:
            results.append(tensor_of(ConcreteTensor(np.zeros(shape, x.dtype.dtype))))
    return unflatten(sources, results)


def unit_tensors(shape: tuple[int, ...], dtype: DType) -> Iterator[Tensor]:
    """For each element, a tensor that is one there and zero elsewhere."""
    for index in np.ndindex(shape):
        array = np.zeros(shape, dtype.dtype)
        array[index] = 1
        yield ConcreteTensor(array)

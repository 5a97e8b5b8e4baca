"""Checks of what a step is given: gradients that fit their variables, a counter of steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.autodiff import Gradient
from minigrad.core.bind import tensor_of
from minigrad.core.context import changed
from minigrad.core.current_graph import graph_of
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentTypeError, DTypeError, ShapeError
from minigrad.shapes import compatible, show

__all__: list[str] = []


def checked_gradient(owner: str, gradient: Any, variable: Variable) -> Gradient:
    """A gradient, if it fits its variable. Raises `ShapeError` or `DTypeError` if not."""
    g: Gradient
    if isinstance(gradient, Tensor | IndexedSlices):
        g = gradient
    elif isinstance(gradient, Variable | np.ndarray | np.generic):
        g = tensor_of(gradient)
    elif graph_of(gradient) is not None:
        g = tensor_of(gradient, variable.dtype)
    else:
        with changed(graph=None):
            g = tensor_of(gradient, variable.dtype)
    spec = g.spec
    if not compatible(spec.shape, variable.shape):
        raise ShapeError(
            f"{owner}: variable {variable.name!r} has shape {show(variable.shape)}, its gradient "
            f"{show(spec.shape)}"
        )
    if spec.dtype is not variable.dtype:
        raise DTypeError(
            f"{owner}: variable {variable.name!r} is of {variable.dtype}, its gradient of "
            f"{spec.dtype}; cast it with mg.astype(gradient, mg.{variable.dtype})"
        )
    return g


def check_global_step(owner: str, global_step: Any) -> None:
    """Raise unless it is None or an integer scalar variable."""
    if global_step is None:
        return
    if not isinstance(global_step, Variable):
        raise ArgumentTypeError(f"{owner}: global_step must be a variable, got {global_step!r}")
    if not global_step.dtype.is_integer or global_step.shape != ():
        raise DTypeError(
            f"{owner}: global_step must be an integer scalar such as "
            f"mg.Variable(0, trainable=False), got {global_step!r}"
        )

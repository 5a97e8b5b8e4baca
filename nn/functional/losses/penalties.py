"""Penalties on parameters: what regularization adds to a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample, VariableArgument
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional.arguments import not_negative
from minigrad.ops.elementwise import add_n, multiply
from minigrad.ops.powers import square
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.signs import abs

__all__ = ["l1_penalty", "l2_penalty"]

_ERRORS = [
    Fails(ArgumentError, "no parameters", [], 0.1),
    Fails(ArgumentTypeError, "list of parameters, got", np.ones(2), 0.1),
    Fails(ArgumentTypeError, "list of parameters, got None", None, 0.1),
    Fails(ArgumentError, "factor must not be negative", [np.ones(2)], -0.1),
]


def _penalty(
    what: str,
    parameters: Iterable[TensorLike],
    factor: float,
    measure: Callable[[Tensor], Tensor],
) -> Tensor:
    scale = not_negative(factor, f"{what}: factor")
    if isinstance(parameters, Tensor | StateOwner | np.ndarray | str | float | int):
        raise ArgumentTypeError(
            f"{what} takes a list of parameters, got {type(parameters).__name__}; put it in a list"
        )
    if not isinstance(parameters, Iterable):
        raise ArgumentTypeError(f"{what} takes a list of parameters, got {parameters!r:.80}")
    sums = [reduce_sum(measure(tensor_of(p))) for p in parameters]
    if not sums:
        raise ArgumentError(
            f"{what}: there are no parameters in the list; it must have at least one"
        )
    return multiply(add_n(sums), scale)


@primitive(
    "L1Penalty",
    samples=[
        Sample([np.array([1.0, -2.0]), np.array([[0.5], [3.0]])], 0.1),
        Sample([np.array(-2.0)]).named("factor 1"),
        Sample([VariableArgument([1.0, -2.0])], 0.5).named("a variable"),
        Sample([np.array([0.0, -1.0])], 2.0).expecting([0.0, -2.0]).named("kink"),
    ],
    errors=_ERRORS,
)
def l1_penalty(parameters: Iterable[TensorLike], factor: float = 1.0) -> Tensor:
    """factor · Σ |w| over all elements of all parameters. The gradient at 0 is 0.

    Keras' `L1(factor)` is the same for one weight.

    Args:
        parameters: a list of variables or real tensors, at least one.
        factor: a number of at least 0.

    Returns:
        A scalar of their common dtype.

    Raises:
        ArgumentError: the list is empty, or the factor negative.
        ArgumentTypeError: it is no list.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.l1_penalty([mg.asarray([1.0, -2.0]), mg.asarray(3.0)], 0.5)
    Tensor(3., shape=(), dtype=float32)
    """
    return _penalty("l1_penalty", parameters, factor, abs)


@primitive(
    "L2Penalty",
    samples=[
        Sample([np.array([1.0, -2.0]), np.array([[0.5], [3.0]])], 0.1),
        Sample([np.array(-2.0)]).named("factor 1"),
        Sample([VariableArgument([1.0, -2.0])], 0.5).named("a variable"),
    ],
    errors=_ERRORS,
)
def l2_penalty(parameters: Iterable[TensorLike], factor: float = 1.0) -> Tensor:
    """factor · Σ w² over all elements of all parameters, so that the gradient is 2 · factor · w.

    Keras' `L2(factor)` is the same for one weight. TensorFlow's `tf.nn.l2_loss` is half the sum,
    and PyTorch's ``weight_decay=d`` adds d · w to the gradient: both are a factor of d/2 here.

    Arguments, result and errors as in `l1_penalty`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.l2_penalty([mg.asarray([1.0, -2.0]), mg.asarray(3.0)], 0.5)
    Tensor(7., shape=(), dtype=float32)
    """
    return _penalty("l2_penalty", parameters, factor, square)

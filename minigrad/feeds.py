"""Checking what a run is fed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.core.convert import array_of, cast_array
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import DTypeError, FeedError, FeedTypeError, GraphError, MinigradError
from minigrad.shapes import compatible, show


def convert_feeds(graph: Graph, feed_dict: Mapping[Any, Any]) -> dict[SymbolicTensor, Array]:
    """A feed dict by tensor, with the values as arrays of the right dtype and shape.

    Raises:
        FeedError: a key or value does not fit, or a tensor is fed twice.
        FeedTypeError: a key or value is of a wrong type.
    """
    if not isinstance(feed_dict, Mapping):
        raise FeedTypeError(
            f"feed_dict must be a dictionary of values by tensor, got {feed_dict!r}"
        )
    feeds: dict[SymbolicTensor, Array] = {}
    for key, value in feed_dict.items():
        for tensor in fed_tensors(graph, key):
            if tensor in feeds:
                raise FeedError(f"{tensor.name!r} is fed twice")
            feeds[tensor] = feed_value(tensor, value)
    return feeds


def fed_tensors(graph: Graph, key: Any) -> list[SymbolicTensor]:
    """The tensors that a key of a feed dict means: one, or all that read a variable.

    Raises:
        FeedError: there is no such tensor in the graph.
        FeedTypeError: the key is nothing that can be fed.
    """
    if isinstance(key, str):
        try:
            return [graph.get_tensor_by_name(key)]
        except GraphError as error:
            raise FeedError(f"cannot feed {key!r}: {error}") from None
    if isinstance(key, Variable):
        reads = graph.reads_of(key)
        if not reads:
            raise FeedError(f"cannot feed {key!r}: nothing in {graph!r} reads it")
        return reads
    if isinstance(key, SymbolicTensor):
        if key.graph.outer is not None:
            raise FeedError(
                f"cannot feed {key!r}: it is inside the body of a branch or loop; feed what the "
                "branch or loop reads"
            )
        if key.graph is not graph:
            raise FeedError(f"cannot feed {key!r}: it belongs to {key.graph!r}, not to {graph!r}")
        return [key]
    if isinstance(key, Operation):
        raise FeedTypeError(f"cannot feed the operation {key.name!r}; feed one of its outputs")
    if isinstance(key, ConcreteTensor):
        raise FeedTypeError(
            f"cannot feed {key!r}: it is concrete, so its value is in the graph as a constant; "
            "use mg.placeholder"
        )
    raise FeedTypeError(
        f"cannot feed {key!r} ({type(key).__name__}); keys are tensors, variables or names"
    )


def feed_value(tensor: SymbolicTensor | Variable, value: Any) -> Array:
    """A fed value as an array of the tensor's dtype and a shape that fits.

    Raises:
        FeedTypeError: the value is symbolic, or its dtype does not convert within its kind.
        FeedError: the shape does not fit.
    """
    dtype = tensor.dtype
    if type(value) is np.ndarray and value.dtype is dtype.dtype:
        array: Array = value
    elif isinstance(value, Tensor) and not isinstance(value, ConcreteTensor):
        raise FeedTypeError(
            f"{tensor.name!r} is fed with {value!r}, which is symbolic; run it first, "
            "and feed the result"
        )
    else:
        try:
            if isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "USO":
                array = cast_array(np.asarray(value), dtype)
            else:
                array = array_of(value, dtype)
        except DTypeError as error:
            raise FeedTypeError(f"cannot feed {tensor.name!r} of {dtype}: {error}") from error
        except MinigradError as error:
            raise FeedError(f"cannot feed {tensor.name!r}: {error}") from error
    if not compatible(array.shape, tensor.shape):
        raise FeedError(_wrong_shape(tensor, array))
    return array


def _wrong_shape(tensor: SymbolicTensor | Variable, array: Array) -> str:
    shape = tensor.shape
    start = f"cannot feed a value of shape {array.shape} for {tensor.name!r} of shape {show(shape)}"
    if len(array.shape) != len(shape):
        return f"{start}: expected rank {len(shape)}, got {len(array.shape)}"
    wrong = [
        f"dimension {i} is {got}, expected {want}"
        for i, (got, want) in enumerate(zip(array.shape, shape, strict=True))
        if want is not None and got != want
    ]
    return f"{start}: {'; '.join(wrong)}"


def missing_feed(op: Operation) -> str:
    """The message for a placeholder that a run needs and was not fed."""
    (tensor,) = op.outputs
    return (
        f"placeholder {op.name!r} was not fed: this run needs a value for {tensor!r}; "
        f"pass feed_dict={{{op.name}: …}} (made at {op.line_in_full})"
    )

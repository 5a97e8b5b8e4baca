"""A loss over variables as a function of one flat vector, as full-batch methods need it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.autodiff import dense, gradients
from minigrad.core.bind import tensor_of
from minigrad.core.context import changed, in_graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.state import EAGER, Slot, write_all
from minigrad.core.tensor import Array, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentTypeError,
    GradientError,
    GraphError,
)
from minigrad.session import Session
from minigrad.shapes import compatible, show
from minigrad.tape import GradientTape

__all__: list[str] = []


class FlatProblem(ABC):
    """A loss and its gradient as functions of all variables' elements in one float64 vector."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = variables
        #: The relative precision of the loss's dtype; known once it has been computed.
        self.epsilon = 0.0

    @abstractmethod
    def read(self) -> list[Array]:
        """The variables' values."""

    @abstractmethod
    def write(self, x: Array) -> None:
        """Set the variables, all at once."""

    @abstractmethod
    def gradient_at(self, x: Array) -> tuple[float, Array]:
        """The loss and its gradient at a point. The variables may be left there."""

    def start(self) -> Array:
        """The variables' values as a vector."""
        return flat(self.read())

    def split(self, x: Array) -> list[Array]:
        """The parts of a vector, each in its variable's shape and dtype."""
        ends = np.cumsum([int(np.prod(v.shape)) for v in self.variables])
        with np.errstate(over="ignore"):  # A step too long is noticed by its loss.
            return [
                part.reshape(v.shape).astype(v.dtype.dtype)
                for part, v in zip(np.split(x, ends[:-1]), self.variables, strict=True)
            ]

    def rounded(self, x: Array) -> Array:
        """The nearest point that the variables can hold."""
        return flat(self.split(x))


def flat(arrays: Sequence[Array]) -> Array:
    """Arrays as one float64 vector."""
    return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])


class EagerProblem(FlatProblem):
    """A function of no arguments that reads eager variables."""

    def __init__(self, function: Callable[[], Any], variables: Sequence[Variable]) -> None:
        super().__init__(variables)
        self.function = function
        for v in variables:
            if v.graph is not None:
                raise ArgumentTypeError(
                    f"variable {v.name!r} belongs to a graph, but the loss is a function to be "
                    "called; pass the loss as a tensor of that graph, and session="
                )

    def read(self) -> list[Array]:
        """The variables' values."""
        return [v.numpy() for v in self.variables]

    def write(self, x: Array) -> None:
        """Set the variables, all at once."""
        write_all([Slot(v.cell, EAGER) for v in self.variables], self.split(x))

    def gradient_at(self, x: Array) -> tuple[float, Array]:
        """The loss and its gradient; the variables are left at the point."""
        self.write(x)
        # At once, and unseen by the caller's own tapes.
        with changed(graph=None, tapes=()):
            with GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(self.variables)
                loss = self.function()
            if not isinstance(loss, Tensor | Variable):
                raise ArgumentTypeError(
                    f"the function must return a scalar tensor, got {type(loss).__name__}; a "
                    "plain number or array has left minigrad, and its gradient with it"
                )
            loss = tensor_of(loss)
            _check_scalar(loss)
            found = tape.gradient(loss, list(self.variables), unconnected="none")
            _check_connected(found, self.variables)
            grads = [
                np.zeros(v.shape) if g is None else dense(g).numpy()
                for g, v in zip(found, self.variables, strict=True)
            ]
        self.epsilon = float(np.finfo(loss.dtype.dtype).eps)
        return float(loss.item()), flat(grads)


class SessionProblem(FlatProblem):
    """A tensor of a graph, run in a session."""

    def __init__(
        self,
        loss: Tensor,
        grads: Sequence[Tensor],
        variables: Sequence[Variable],
        session: Session,
        feed_dict: Mapping[Any, Any] | None,
    ) -> None:
        super().__init__(variables)
        self.session = session
        feeds = {} if feed_dict is None else dict(feed_dict)
        self._run = session.make_callable([loss, *grads], list(feeds))
        self._feeds = list(feeds.values())

    def read(self) -> list[Array]:
        """The variables' values."""
        return [self.session.value_of(v) for v in self.variables]

    def write(self, x: Array) -> None:
        """Set the variables, all at once."""
        self.session.load_all(dict(zip(self.variables, self.split(x), strict=True)))

    def gradient_at(self, x: Array) -> tuple[float, Array]:
        """The loss and its gradient; the variables are left at the point."""
        self.write(x)
        loss, *grads = self._run(*self._feeds)
        if np.shape(loss) != ():
            raise GradientError(f"the loss must be a scalar, got shape {show(np.shape(loss))}")
        self.epsilon = float(np.finfo(loss.dtype).eps)
        return float(loss), flat(grads)


def gradient_nodes(loss: SymbolicTensor, variables: Sequence[Variable]) -> list[Tensor]:
    """Add nodes for the dense gradients of a scalar loss.

    Raises:
        GradientError: the loss is not a scalar, or depends on none of the variables.
    """
    graph = loss.graph
    _check_scalar(loss)
    for v in variables:
        if v.graph is not None and v.graph is not graph:
            raise GraphError(f"variable {v.name!r} belongs to {v.graph!r}, the loss to {graph!r}")
    found = gradients(loss, list(variables), unconnected="none")
    _check_connected(found, variables)
    with in_graph(graph):
        return [
            tensor_of(np.zeros(v.shape, v.dtype.dtype)) if g is None else dense(g)
            for g, v in zip(found, variables, strict=True)
        ]


def _check_scalar(loss: Tensor) -> None:
    if not compatible(loss.shape, ()):
        raise GradientError(
            f"the loss must be a scalar, got shape {show(loss.shape)}; take its mean or sum"
        )


def _check_connected(found: Sequence[Any], variables: Sequence[Variable]) -> None:
    if all(g is None for g in found):
        names = ", ".join([repr(v.name) for v in variables])
        raise GradientError(f"the loss does not depend on any of the variables: {names}")

"""Composites: functions of ops whose whole body joins the graph of a symbolic argument."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from minigrad.core.context import STATE, in_graph
from minigrad.core.current_graph import graph_of_arguments, name_scope

__all__ = ["composite"]

P = ParamSpec("P")
R = TypeVar("R")


def call_composite(
    function: Callable[..., R], scope: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> R:
    """Run a composite's body: in a name scope of the graph of a symbolic argument, or eagerly."""
    graph = graph_of_arguments(args, kwargs) or STATE.get().graph
    if graph is None:
        return function(*args, **kwargs)
    with in_graph(graph), name_scope(scope):
        return function(*args, **kwargs)


def composite(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of ops so that all of its body joins the graph of a symbolic argument.

    Without it, an op in the body that has no symbolic operand (a random draw, an arithmetic step
    on an eager variable) would compute at once and become a constant of the graph. The nodes get
    the function's name as their name scope. In eager code it changes nothing.

    >>> import minigrad as mg
    >>> @mg.composite
    ... def noisy(x):
    ...     return x + mg.random.normal((2,))
    >>> with mg.Graph().as_default():
    ...     noisy(mg.placeholder("float32", (2,))).op.name
    'noisy/Add'
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return call_composite(function, function.__name__, args, kwargs)

    return wrapper

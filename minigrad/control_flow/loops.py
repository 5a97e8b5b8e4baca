"""`while_loop` and `fori_loop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.control_flow.carried import (
    Carried,
    bind_loop,
    check_function,
    check_length,
    current_graph,
    graph_to_join,
    run_body,
)
from minigrad.control_flow.tracing import Traced, argument_names
from minigrad.core.bind import tensor_of
from minigrad.core.context import in_graph
from minigrad.core.current_graph import name_scope
from minigrad.core.graph import Graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import bool_, int64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nest import flatten, unflatten
from minigrad.ops.elementwise import add, subtract
from minigrad.shapes import show

__all__ = ["fori_loop", "while_loop"]


# -- while -------------------------------------------------------------------------------------


def _is_small(x: Any, y: Any) -> Any:
    return (x * x).sum() < 40.0


def _grow(x: Any, y: Any) -> Any:
    return x * y + x, y


@primitive(
    "While",
    samples=lambda rng: [
        Sample(_is_small, _grow, (np.array([1.0, -2.0]), np.array([1.5, 0.5]))),
        Sample(_is_small, _grow, (np.array([9.0, 9.0]), np.ones(2))).named("no run"),
        Sample(_is_small, _grow, (np.array([1.0, -2.0]), np.ones(2)), maximum_iterations=1),
        Sample(lambda x: x < 9.0, lambda x: x * x, np.array(2.0)).named("one variable"),
    ],
    errors=[
        Fails(
            ShapeError,
            "shape_invariants",
            lambda x: True,
            lambda x: (x.reshape((1, 2)),),
            (np.ones(2),),
        ),
        Fails(
            DTypeError,
            "is float64, got int32",
            lambda x: True,
            lambda x: (np.int32(1),),
            (np.ones(()),),
        ),
        Fails(DTypeError, "bool", lambda x: x, lambda x: (x,), (np.ones(()),)),
        Fails(ArgumentError, "structure", lambda x: True, lambda x: (x, x), (np.ones(()),)),
    ],
)
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    *,
    shape_invariants: Any = None,
    maximum_iterations: TensorLike | None = None,
) -> Any:
    """Replace `loop_vars` by what `body` makes of them, as long as `cond` says so.

    In a graph it is one node, and each function is called once, to build the body; the number of
    runs is decided in the run. Gradients flow through all loop variables, and through tensors that
    the functions use from around them; they take time in proportion to the number of runs. In
    eager code it is a Python loop.

    Args:
        cond: from loop variables to a bool scalar.
        body: from loop variables to their next values.
        loop_vars: a list or tuple of tensors or nests, whose members are the arguments of the
            functions; or one tensor or dictionary, which is the only argument.
        shape_invariants: shapes in the structure of `loop_vars`, with None for dimensions that may
            change from run to run; None for a variable whose shape does not.
        maximum_iterations: integer: stop after so many runs.

    Returns:
        The last values, in the structure of `loop_vars`.

    Raises:
        DTypeError: a variable changes its dtype, or `cond` does not return a bool.
        ShapeError: a variable changes its shape, and no invariant allows it.
        ArgumentError: the body returns another structure.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", ())
    ...     n, y = mg.while_loop(lambda n, y: y < 100.0, lambda n, y: (n + 1, y * x), (0, x))
    ...     (dx,) = mg.gradients(y, [x])
    >>> mg.Session(graph=x.graph).run([n, y, dx], {x: 3.0})
    [np.int32(4), np.float32(243.0), np.float32(405.0)]
    """
    check_function("while_loop", "cond", cond)
    check_function("while_loop", "body", body)
    carried = Carried(loop_vars, "while_loop", shape_invariants)
    limit = None
    if maximum_iterations is not None:
        limit = check_length("while_loop", "maximum_iterations", maximum_iterations)
    graph = current_graph()
    if graph is None:
        done, graph = _while_eagerly(cond, body, carried, limit)
        if graph is None:
            return unflatten(loop_vars, done)
    with in_graph(graph):
        return _while_lazily(graph, cond, body, carried, limit)


def _while_lazily(
    graph: Graph,
    cond: Callable[..., Any],
    body: Callable[..., Any],
    carried: Carried,
    limit: Any,
) -> Any:
    """Add the node; the last values."""
    pack, names = packer(carried.nest), loop_names(body, carried.nest)
    with name_scope("cond") as scope:
        asked = Traced(graph, scope, cond, carried.specs, names, pack)
        if len(asked.leaves) != 1:
            raise ArgumentError(f"while_loop: cond must return one bool, got {asked.result!r}")
        (answer,) = asked.tensors([bool_])
        _check_answer(answer)
        asked.body.close([answer])
    with name_scope("body") as scope:
        traced = Traced(graph, scope, body, carried.specs, names, pack)
        carried.close(traced, carried.next(traced.result))
    return unflatten(carried.nest, bind_loop(carried, traced, cond=asked, limit=limit))


def _while_eagerly(
    cond: Callable[..., Any], body: Callable[..., Any], carried: Carried, limit: Any
) -> tuple[list[Tensor], Graph | None]:
    """The last values; and the graph to add a loop to, if the functions use its tensors."""
    pack, tensors = packer(carried.nest), carried.tensors
    runs = 0
    while limit is None or runs < limit:
        answer = tensor_of(cond(*pack(tensors)))
        _check_answer(answer)
        if isinstance(answer, SymbolicTensor):
            return [], answer.graph
        if not answer:
            break
        result, acted = run_body(runs, body, *pack(tensors))
        made = carried.fitted(carried.next(result))
        graph = graph_to_join("while_loop", made, runs, acted)
        if graph is not None:
            return [], graph
        carried.check_unchanged(tensors, made)
        tensors = made
        runs += 1
    return tensors, None


def _check_answer(answer: Tensor) -> None:
    if answer.dtype is not bool_:
        raise DTypeError(f"while_loop: cond must return a bool, got {answer.dtype}")
    if answer.shape not in ((), None):
        raise ShapeError(
            f"while_loop: cond must return a scalar, got shape {show(answer.shape)}; reduce it "
            "with mg.all or mg.any"
        )


def packer(nest: Any) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """From the leaves of loop variables to the arguments of a function of them."""

    def pack(leaves: Sequence[Any]) -> Sequence[Any]:
        whole = unflatten(nest, leaves)
        return list(whole) if isinstance(nest, list | tuple) else [whole]

    return pack


def loop_names(function: Callable[..., Any], nest: Any) -> list[str]:
    """A name for each leaf of the arguments of a function."""
    parts = list(nest) if isinstance(nest, list | tuple) else [nest]
    names = argument_names(function, len(parts))
    return [n for n, part in zip(names, parts, strict=True) for _ in flatten(part)]


# -- for ---------------------------------------------------------------------------------------


@primitive(
    "ForLoop",
    samples=lambda rng: [
        Sample(0, 3, lambda i, x: x * 1.5 + 1.0, rng.normal(size=2)),
        Sample(
            np.array(1),
            np.array(4),
            lambda i, x: (x[0] * x[1], x[1]),
            (rng.normal(size=2), rng.normal(size=2)),
        ),
        Sample(5, 2, lambda i, x: x * 2.0, rng.normal(size=2)).named("no run"),
    ],
    errors=[
        Fails(ArgumentTypeError, "upper must be an integer", 0, 1.5, lambda i, x: x, 1.0),
        Fails(ShapeError, "shape_invariants", 0, 2, lambda i, x: x[None], np.ones(2)),
    ],
)
def fori_loop(
    lower: TensorLike,
    upper: TensorLike,
    body: Callable[[Tensor, Any], Any],
    init: Any,
    *,
    shape_invariants: Any = None,
) -> Any:
    """``for i in range(lower, upper): value = body(i, value)``, from `init`; as in JAX.

    Args:
        lower: integer scalar; the counter has its dtype.
        upper: integer scalar; the bounds may be tensors whose value only the run knows.
        body: from the counter and the value to the next value.
        init: the first value: a tensor or a nest.
        shape_invariants: as for `while_loop`.

    Returns:
        The last value, in the structure of `init`.

    Raises:
        ArgumentTypeError: a bound is not an integer.
        DTypeError, ShapeError, ArgumentError: as for `while_loop`.

    >>> import minigrad as mg
    >>> mg.fori_loop(1, 5, lambda i, x: x * mg.astype(i, "float32"), 1.0)
    Tensor(24., shape=(), dtype=float32)
    """
    check_function("fori_loop", "body", body)
    first = check_length("fori_loop", "lower", lower)
    last = check_length("fori_loop", "upper", upper)
    carried = Carried(init, "fori_loop", shape_invariants)
    start = tensor_of(lower)
    graph = current_graph()
    if graph is None:
        tensors = carried.tensors
        for i in range(first, last):
            value = unflatten(init, tensors)
            result, acted = run_body(i - first, body, tensor_of(i, start.dtype), value)
            made = carried.fitted(carried.leaves(result))
            graph = graph_to_join("fori_loop", made, i - first, acted)
            if graph is not None:
                break
            carried.check_unchanged(tensors, made)
            tensors = made
        else:
            return unflatten(init, tensors)
    with in_graph(graph):
        limit = tensor_of(subtract(last, first), int64)
        counted = Carried([start, init], "fori_loop")
        counted.specs[1:], counted.changing[1:] = carried.specs, carried.changing
        names = argument_names(body, 2)
        names = [names[0], *[names[1]] * len(carried.tensors)]
        with name_scope("body") as scope:
            traced = Traced(
                graph,
                scope,
                lambda i, *leaves: (add(i, 1), body(i, unflatten(init, leaves))),
                counted.specs,
                names,
            )
            counter, result = traced.result
            counted.close(traced, [counter, *carried.leaves(result)])
        _, *made = bind_loop(counted, traced, limit=limit)
        return unflatten(init, made)

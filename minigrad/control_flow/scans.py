"""`scan` and `map_fn`: loops over the first axis of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

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
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nest import children, flatten, is_nest, rebuild, unflatten
from minigrad.ops.basic import constant
from minigrad.ops.stacking import stack, unstack
from minigrad.shapes import Spec

__all__ = ["map_fn", "scan"]


def _step(total: Any, x: Any) -> Any:
    return total * 0.5 + x, total * x


def _pairs(state: Any, x: Any) -> Any:
    a, b = state["a"], state["b"]
    return {"a": a * x[0], "b": b + x[1] * a}, {"sum": a + b, "none": None}


@primitive(
    "Scan",
    samples=lambda rng: [
        Sample(_step, rng.normal(size=2), rng.normal(size=(3, 2))),
        Sample(_step, rng.normal(size=2), rng.normal(size=(3, 2)), reverse=True),
        Sample(_step, rng.normal(size=2), np.zeros((0, 2))).named("no run"),
        Sample(
            _pairs,
            {"a": np.array(1.5), "b": np.array(-0.5)},
            (rng.normal(size=2), rng.normal(size=2)),
        ).named("nests"),
        Sample(lambda x, _: (x * x, x), np.array(1.25), length=3).named("nothing to slice"),
    ],
    errors=[
        Fails(ShapeError, "lengths", _step, np.ones(2), (np.ones((2, 2)), np.ones((3, 2)))),
        Fails(ShapeError, "scalar", _step, np.ones(2), np.ones(())),
        Fails(ArgumentError, "length", _step, np.ones(2)),
        Fails(ArgumentError, "two", lambda c, x: c, np.ones(2), np.ones((3, 2))),
        Fails(ShapeError, "declared", lambda c, x: (c[None], x), np.ones(2), np.ones((3, 2))),
    ],
)
def scan(
    function: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    *,
    length: TensorLike | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Carry a value along the first axis of `xs`, and collect a result at each place; as in JAX.

    ``carry, y = function(carry, x)`` for every slice `x`. In a graph it is one node, also where
    the length is known only in the run. (TensorFlow's `scan` returns the collected carries: let
    the function return its new carry twice.)

    Args:
        function: from the carried value and one slice to the next value and a result.
        init: the first value: a tensor or a nest.
        xs: a tensor or a nest of them, of one length along axis 0; None to count only. A list of
            numbers is a tensor.
        length: integer: how often, where `xs` is None.
        reverse: go from the last slice to the first; results stay at the places of their slices.

    Returns:
        The last carried value, and the results stacked along a new first axis.

    Raises:
        ShapeError: the lengths differ, or the carried value or a result changes its shape.
        DTypeError: the carried value changes its dtype.
        ArgumentError: the function returns another structure, or no length is given.

    >>> import minigrad as mg
    >>> total, sums = mg.scan(lambda c, x: (c + x, c + x), 0.0, [1.0, 2.0, 3.0])
    >>> float(total), sums.tolist()
    (6.0, [1.0, 3.0, 6.0])
    """
    check_function("scan", "the first argument", function)
    carried = Carried(init, "scan")
    xs = _lists_as_tensors(xs)
    slices = [tensor_of(x) for x in flatten(xs)] if xs is not None else []
    for x in slices:
        if x.shape == ():
            raise ShapeError("scan: a scalar in xs has no axis to go along")
    if not slices and length is None:
        raise ArgumentError("scan needs xs, or length=")
    limit = None if length is None else check_length("scan", "length", length)
    known = {x.shape[0] for x in slices if x.shape and x.shape[0] is not None}
    known |= {limit} if isinstance(limit, int) else set()
    if len(known) > 1:
        raise ShapeError(f"scan: xs and length have different lengths: {sorted(known)}")
    graph = current_graph()
    if graph is None:
        done, graph = _eagerly(function, carried, xs, slices, limit, reverse)
        if graph is None:
            return cast("tuple[Any, Any]", done)
    with in_graph(graph):
        return _lazily(graph, function, carried, xs, slices, limit, reverse)


def _lists_as_tensors(nest: Any) -> Any:
    """A nest with each list of numbers, which stands for a tensor, made one."""
    if isinstance(nest, list) and nest:
        parts = list(nest)
        while parts and isinstance(parts[-1], bool | int | float | complex | np.generic | list):
            part = parts.pop()
            parts.extend(part if isinstance(part, list) else ())
        if not parts:
            return tensor_of(nest)
    return rebuild(nest, [_lists_as_tensors(p) for p in children(nest)]) if is_nest(nest) else nest


def _call(function: Callable[[Any, Any], Any], carry: Any, x: Any) -> tuple[Any, Any]:
    """The function's two results. Raises `ArgumentError` if it returns anything else."""
    result = function(carry, x)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise ArgumentError(
            f"scan: the function must return two values, (carry, result), got {result!r}"
        )
    return result[0], result[1]


def _eagerly(
    function: Callable[[Any, Any], Any],
    carried: Carried,
    xs: Any,
    slices: Sequence[Tensor],
    limit: int | None,
    reverse: bool,
) -> tuple[Any, Graph | None]:
    """What the scan returns; or the graph to add it to, if the function uses its tensors."""
    runs = slices[0].shape[0] if slices else max(limit or 0, 0)
    if not runs:
        return _without_runs(function, carried, xs, slices), None
    # Taken apart at once: a gradient for each slice alone would be as large as the whole.
    columns = [unstack(x, axis=0) for x in slices]
    tensors, ys = carried.tensors, None
    collected: list[list[Any]] = []
    for k in reversed(range(runs)) if reverse else range(runs):
        x = None if xs is None else unflatten(xs, [column[k] for column in columns])
        carry = unflatten(carried.nest, tensors)
        (result, ys), acted = run_body(len(collected), _call, function, carry, x)
        made = carried.fitted(carried.leaves(result))
        graph = graph_to_join("scan", [made, ys], len(collected), acted)
        if graph is not None:
            return None, graph
        carried.check_unchanged(tensors, made)
        tensors = made
        collected.append(flatten(ys))
    rows = collected[::-1] if reverse else collected
    stacked = [None if row[0] is None else stack(row) for row in zip(*rows, strict=True)]
    return (unflatten(carried.nest, tensors), unflatten(ys, stacked)), None


def _without_runs(
    function: Callable[[Any, Any], Any], carried: Carried, xs: Any, slices: Sequence[Tensor]
) -> tuple[Any, Any]:
    """The carried values as they are, and results of length 0, in shapes found by a trace."""
    traced = _trace(Graph(), "scan/", function, carried, xs, slices)
    _, ys = traced.result
    with traced.body.building():
        specs = [None if leaf is None else tensor_of(leaf).spec for leaf in flatten(ys)]
    empty = [
        None
        if s is None
        else constant(np.zeros((0, *[d or 0 for d in s.shape or ()]), s.dtype.dtype))
        for s in specs
    ]
    return unflatten(carried.nest, carried.tensors), unflatten(ys, empty)


def _trace(
    graph: Graph,
    scope: str,
    function: Callable[[Any, Any], Any],
    carried: Carried,
    xs: Any,
    slices: Sequence[Tensor],
) -> Traced:
    """The body of the loop."""
    rows = [Spec(None if x.shape is None else x.shape[1:], x.dtype) for x in slices]
    count = len(carried.tensors)
    carry_name, slice_name = argument_names(function, 2)
    return Traced(
        graph,
        scope,
        lambda *leaves: _call(
            function,
            unflatten(carried.nest, leaves[:count]),
            None if xs is None else unflatten(xs, leaves[count:]),
        ),
        [*carried.specs, *rows],
        [*[carry_name] * count, *[slice_name] * len(rows)],
    )


def _lazily(
    graph: Graph,
    function: Callable[[Any, Any], Any],
    carried: Carried,
    xs: Any,
    slices: Sequence[Tensor],
    limit: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    with name_scope("body") as scope:
        traced = _trace(graph, scope, function, carried, xs, slices)
        result, ys = traced.result
        leaves = flatten(ys)
        valued = [leaf for leaf in leaves if leaf is not None]
        carried.close(traced, carried.leaves(result), valued)
    made = bind_loop(
        carried,
        traced,
        slices,
        limit=None if slices else tensor_of(limit),
        results=len(valued),
        reverse=reverse,
    )
    count = len(carried.tensors)
    results = iter(made[count:])
    stacked = [None if leaf is None else next(results) for leaf in leaves]
    return unflatten(carried.nest, made[:count]), unflatten(ys, stacked)


@primitive(
    "MapFn",
    samples=lambda rng: [
        Sample(lambda x: x * x, rng.normal(size=(3, 2))),
        Sample(lambda p: {"a": p[0] * p[1]}, (rng.normal(size=3), rng.normal(size=3))),
    ],
    errors=[Fails(ShapeError, "scalar", lambda x: x, 1.0)],
)
def map_fn(function: Callable[[Any], Any], elems: Any) -> Any:
    """Apply a function to each slice along the first axis, and stack the results.

    A function that works on whole tensors is faster where there is one.

    Args:
        function: from one slice, in the structure of `elems`, to a tensor or a nest.
        elems: a tensor or a nest of them, of one length along axis 0.

    Raises:
        ShapeError: the lengths differ, or the results differ in shape.

    >>> import minigrad as mg
    >>> mg.map_fn(lambda x: mg.sum(x * x), [[1.0, 2.0], [3.0, 4.0]]).tolist()
    [5.0, 25.0]
    """
    return scan(lambda _, x: ((), function(x)), (), elems)[1]

"""`checkpoint`: forget a function's intermediate results, and compute them again going back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.autodiff import backward, dense
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, changed, in_graph, innermost
from minigrad.core.current_graph import control_dependencies, graph_of_arguments
from minigrad.core.graph import Graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.record import EffectLog, Recorder, key_of
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.nest import flatten, unflatten
from minigrad.ops.basic import identity
from minigrad.ops.custom import with_gradient

__all__ = ["checkpoint"]


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of tensors so that the backward pass recomputes it.

    Its intermediate results are not kept between the forward and the backward pass; that saves
    memory for one more evaluation. The second evaluation has no effects: it draws the same random
    numbers, sees the same variable values, and assigns nothing. It works lazily and eagerly, also
    for captured tensors and variables and for higher derivatives. Positional arguments are tensors
    or nests of them; keyword arguments reach the function as they are.

    Source: T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

    >>> import minigrad as mg
    >>> layer = mg.checkpoint(lambda x: mg.tanh(mg.tanh(x)))
    >>> bool(mg.grad(layer)(0.5) == mg.grad(lambda x: mg.tanh(mg.tanh(x)))(0.5))
    True
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        graph = graph_of_arguments(args, options) or STATE.get().graph
        body = functools.partial(function, **options)
        if graph is None:
            return _eager(body, args)
        with in_graph(graph):
            return _lazy(body, args, graph)

    return wrapper


def _eager(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Run the function, looking on at what it reads; then one record stands for all of it."""
    state = STATE.get()
    flat = [tensor_of(a) for a in flatten(args)]
    log = EffectLog() if state.log is None else state.log
    position = log.mark()
    onlooker = Recorder()
    onlooker.captures = {}
    with changed(tapes=(onlooker,), log=log):
        result = function(*unflatten(args, flat))
    mine = log.since(position)
    # A result may be a captured tensor itself.
    results = flatten(result)
    onlooker.captures.update({t._key: t for t in results if _key(t) > 0})
    for tape in state.tapes:
        if tape.captures is not None:
            tape.captures.update(onlooker.captures)  # What is captured here, that one captures.
        if tape.watch_variables:
            tape.tracked.update(onlooker.variables)
            tape.variables.update(onlooker.variables)
    own = {t._key for t in flat if isinstance(t, ConcreteTensor) and t._key}
    captured = [
        t
        for key, t in onlooker.captures.items()
        if key not in own and any(key in tape.tracked for tape in state.tapes)
    ]
    inputs = [t for t in (*flat, *captured) if isinstance(t, ConcreteTensor)]

    def rule(*upstream: Tensor) -> list[Any]:
        tape = Recorder(watch_variables=False)
        keys = [key_of(t) for t in inputs]
        tape.tracked.update(keys)
        outer = STATE.get().tapes
        with changed(tapes=(*outer, tape), log=mine.replay()):
            again = flatten(function(*unflatten(args, flat)))
        found = backward(list(tape.records), list(zip(again, upstream, strict=True)), keys, _key)
        return [dense(found[k]) if k in found else None for k in keys]

    return unflatten(result, with_gradient(inputs, results, rule=rule))


def _key(tensor: Any) -> int:
    return tensor._key if isinstance(tensor, ConcreteTensor) else -1


def _lazy(function: Callable[..., Any], args: Sequence[Any], graph: Graph) -> Any:
    """Build the function's nodes; the gradient builds them again, behind the upstream gradient."""
    flat = [tensor_of(a) for a in flatten(args)]
    outer = STATE.get().log
    log = EffectLog() if outer is None else outer
    position = log.mark()
    with graph.lock:
        start = len(graph)
        with changed(log=log):
            result = function(*unflatten(args, flat))
        captured = _captured(graph, start, flatten(result))
    mine = log.since(position)

    def rule(*upstream: Tensor) -> list[Any]:
        # The gradient of what the body of a loop has captured is built in the body.
        place = innermost(graph)
        with place.lock:
            # Copies that wait for the upstream gradient keep the second evaluation late.
            with control_dependencies(upstream):
                fresh = [identity(t) for t in flat]
            begin = len(place)
            with changed(log=mine.replay()):
                again = function(*unflatten(args, fresh))
            nodes = place.get_operations()[begin:]
        sources = [*fresh, *[place.bring(t) for t in captured]]
        found = backward(nodes, list(zip(flatten(again), upstream, strict=True)), sources)
        return [dense(found[t]) if t in found else None for t in sources]

    return unflatten(result, with_gradient([*flat, *captured], flatten(result), rule=rule))


def _captured(graph: Graph, start: int, results: Sequence[Any]) -> list[SymbolicTensor]:
    """The tensors from before `start` that later nodes read, or that are results themselves.

    An argument is among them where the function reads it; that counts only if the function has
    captured the same tensor, because it is computed again from copies of its arguments.
    """
    found: dict[SymbolicTensor, None] = {}
    for t in results:
        if isinstance(t, SymbolicTensor):
            found[t] = None
    for op in graph.get_operations()[start:]:
        found.update(dict.fromkeys([t for t in op.inputs if t is not None]))
    # The reads of variables, and what the body of a loop captures, are leaves wherever they stand.
    # So are the constants that stand for eager tensors in a traced function.
    leaves = ("VariableV2", "Placeholder")
    traced = {} if graph.traced is None else {node: x for x, node in graph.traced.captured.values()}
    return [
        t
        for t in found
        if t.dtype.is_inexact and (t.op.index < start or t.op.type in leaves or t in traced)
    ]

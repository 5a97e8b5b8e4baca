"""The backward walk: one function for graphs and tapes.

Nodes are visited once, in reverse creation order, which is a topological order. Each node's rule
gets the gradients of its outputs and returns those of its inputs, as ops; so in a graph the walk
adds nodes, and in eager code it computes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

from minigrad.core.ancestry import ancestors as ancestors
from minigrad.core.ancestry import dependents, levels
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, in_graph
from minigrad.core.current_graph import name_scope
from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.primitive import Primitive
from minigrad.core.record import CallRecord, Node
from minigrad.core.rules import Ctx
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    GradientError,
    MinigradError,
    NotDifferentiableError,
)
from minigrad.ops.creation import zeros
from minigrad.ops.elementwise import add
from minigrad.ops.joining import concat
from minigrad.ops.shaping import ones_like, sum_to_like, zeros_like
from minigrad.shapes import Spec, compatible, show

__all__ = ["gradients"]

Gradient: TypeAlias = "Tensor | IndexedSlices"
Unconnected: TypeAlias = Literal["zero", "none", "error"]


def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    *,
    unconnected: Unconnected = "zero",
) -> list[Any]:
    """Add nodes for the gradient of the sum of `ys` with respect to each of `xs`.

    Args:
        ys: a symbolic tensor or a list of them, of floating dtypes.
        xs: a tensor or variable or a list of them: inputs or intermediate results of `ys`.
        grad_ys: upstream gradients, one a `y`, each of its shape; by default ones.
        unconnected: what stands for an `x` that no `y` depends on: ``"zero"`` (zeros),
            ``"none"`` (None) or ``"error"``.

    Returns:
        One gradient an `x`, in order, of its shape and dtype; an `IndexedSlices` where the only
        use is a look-up of rows.

    Raises:
        NotDifferentiableError: a `y` or `x` is not of a floating dtype, or the way leads through
            an op that has no gradient.
        GradientError: `unconnected="error"`, and an `x` is.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", ())
    ...     (dx,) = mg.gradients(x * x, [x])
    >>> mg.Session(graph=x.graph).run(dx, {x: 3.0})
    np.float32(6.0)
    """
    return graph_gradients(ys, xs, grad_ys, unconnected)


def graph_gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any,
    unconnected: Unconnected,
    within: Collection[Operation] | None = None,
) -> list[Any]:
    """The same, through the nodes `within` alone; None for all."""
    targets = [tensor_of(y) for y in _as_list(ys)]
    sources = _as_list(xs)
    graph: Graph | None = None
    for y in targets:
        if not isinstance(y, SymbolicTensor):
            raise ArgumentTypeError(
                f"mg.gradients takes symbolic tensors, got {y!r}; in eager code use "
                "mg.GradientTape or mg.grad"
            )
        graph = graph or y.graph
        graph.own(y)
    if graph is None:
        raise ArgumentError("mg.gradients needs at least one y")
    keys: list[list[Any]] = []
    for i, x in enumerate(sources):
        if isinstance(x, ConcreteTensor) and graph.traced is not None:
            x = sources[i] = graph.traced.capture(x)
        if isinstance(x, Variable):
            keys.append(list(graph.root.reads_of(x)) or [x])
        elif isinstance(x, SymbolicTensor):
            graph.bring(x)  # Checks that it can be one.
            keys.append([x])
        else:
            raise ArgumentTypeError(
                f"mg.gradients differentiates for symbolic tensors and variables, got {x!r}"
            )
        check_differentiable(x, "x")
    with in_graph(graph), name_scope("gradients"):
        seeds = seed(targets, grad_ys)
        found = _outwards(seeds, [k for group in keys for k in group], within)
        return [
            collect(found, group, x, unconnected) for group, x in zip(keys, sources, strict=True)
        ]


def _outwards(
    seeds: list[tuple[Tensor, Gradient]],
    sources: list[Any],
    within: Collection[Operation] | None = None,
) -> dict[Any, Gradient]:
    """Walk back through a graph; from the body of a branch or loop, on through those around it.

    What the body captures may depend on the sources outside. The gradient is the body's all the
    same: it is a value of one run of the body.
    """
    around = levels([t for t, _ in seeds if isinstance(t, SymbolicTensor)])
    if within is not None:
        around = [
            level._replace(nodes=[op for op in level.nodes if op in within]) for level in around
        ]
    if len(around) == 1:
        return backward(around[0].nodes, seeds, sources)
    live = dependents(around, sources)
    found: dict[Any, Gradient] = {}
    for nodes, captured in around:
        through = [t for t in captured if t in live]
        made = backward(nodes, seeds, [*sources, *through])
        found.update({key: g for key, g in made.items() if key not in captured})
        seeds = [(captured[t], made[t]) for t in through if t in made]
        if not seeds:
            break
    return found


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def check_differentiable(x: Tensor | Variable, role: str) -> None:
    """Raise `NotDifferentiableError` unless the dtype can have a gradient."""
    dtype = x.dtype
    if dtype.is_floating:
        return
    if dtype.is_complex:
        raise NotDifferentiableError(
            f"gradients of complex tensors are not supported: {x!r}; split it into real parts"
        )
    raise NotDifferentiableError(
        f"the gradient of an integer or bool tensor does not exist: {role} is {x!r}; "
        "use a floating dtype (write 2.0, or mg.astype(x, mg.float32))"
    )


def seed(targets: Sequence[Tensor], grad_ys: Any) -> list[tuple[Tensor, Gradient]]:
    """Pairs of a target and its upstream gradient: the given one, or ones."""
    for y in targets:
        check_differentiable(y, "y")
    given = [None] * len(targets) if grad_ys is None else _as_list(grad_ys)
    if len(given) != len(targets):
        raise ArgumentError(f"{len(targets)} ys need as many grad_ys, got {len(given)}")
    pairs: list[tuple[Tensor, Gradient]] = []
    for y, g in zip(targets, given, strict=True):
        if g is None:
            pairs.append((y, ones_like(y)))
            continue
        if isinstance(g, IndexedSlices):
            g = g.dense()
        g = tensor_of(g, y.dtype)
        if not compatible(g.shape, y.shape):
            raise GradientError(
                f"the upstream gradient of {y!r} has shape {show(g.shape)}, "
                f"expected {show(y.shape)}"
            )
        pairs.append((y, g))
    return pairs


def collect(found: dict[Any, Gradient], keys: list[Any], x: Any, unconnected: Unconnected) -> Any:
    """The gradient for one source, summed over its keys, or what stands for none."""
    if unconnected not in ("zero", "none", "error"):
        raise ArgumentError(f"unconnected must be 'zero', 'none' or 'error', got {unconnected!r}")
    total: Gradient | None = None
    for key in keys:
        g = found.get(key)
        if g is not None:
            total = g if total is None else accumulate(total, g)
    if total is not None:
        return total
    if unconnected == "none":
        return None
    if unconnected == "error":
        raise GradientError(f"the result does not depend on {x!r}")
    # A variable is not read for its shape, because it may not be initialized yet.
    return zeros(x.shape, dtype=x.dtype) if isinstance(x, Variable) else zeros_like(x)


def accumulate(a: Gradient, b: Gradient) -> Gradient:
    """The sum of two gradients; sparse as long as both are."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return add(a, b)
    if isinstance(a, IndexedSlices) and isinstance(b, IndexedSlices):
        values = concat([a.values, b.values], axis=0)
        return IndexedSlices(values, concat([a.indices, b.indices], axis=0), a.like)
    return add(dense(a), dense(b))


def dense(g: Gradient) -> Tensor:
    """A gradient as a dense tensor."""
    return g.dense() if isinstance(g, IndexedSlices) else g


def backward(
    nodes: Iterable[Node],
    seeds: Iterable[tuple[Tensor, Gradient]],
    sources: Iterable[Any],
    key_of: Any = None,
) -> dict[Any, Gradient]:
    """Walk back from the seeds to the sources.

    Args:
        nodes: the computation, in creation order.
        seeds: pairs of an output and its upstream gradient.
        sources: keys (see `Node.in_keys`) whose gradients are wanted.
        key_of: from a seed's tensor to its key; by default the tensor itself.

    Returns:
        Gradients by key, of the sources that are reached.
    """
    wanted = set(sources)
    live = set(wanted)
    path: list[Node] = []
    for node in nodes:
        for key in node.in_keys:
            if key in live:
                break
        else:
            continue
        path.append(node)
        live.update(node.out_keys)
    grads: dict[Any, Gradient] = {}
    for y, g in seeds:
        key = y if key_of is None else key_of(y)
        if key in live:
            grads[key] = accumulate(grads[key], g) if key in grads else g
    # The walk's own copy: its `origin` changes from node to node, so that the nodes a rule adds
    # inherit the user's line from the forward node.
    state = STATE.get().replace()
    token = STATE.set(state)
    try:
        while path:
            node = path.pop()
            upstream = [grads.get(k) if k in wanted else grads.pop(k, None) for k in node.out_keys]
            if upstream.count(None) == len(upstream):
                continue
            if isinstance(node, Operation):
                state.origin = node
            in_keys = node.in_keys
            needs = tuple([key in live for key in in_keys])
            for key, need, made in zip(in_keys, needs, pull(node, upstream, needs), strict=True):
                if need and made is not None:
                    old = grads.get(key)
                    grads[key] = made if old is None else accumulate(old, made)
    finally:
        STATE.reset(token)
    return {key: grads[key] for key in wanted if key in grads}


_NO_ATTRS = SimpleNamespace()


def pull(
    node: Node, upstream: Sequence[Gradient | None], needs: tuple[bool, ...]
) -> list[Gradient | None]:
    """The gradients of a node's inputs from those of its outputs; checked, broadcasting undone."""
    if isinstance(node, CallRecord):
        return node.pull(upstream, needs)
    primitive = node.primitive
    inputs, outputs = node.tensors()
    rule = primitive.gradient_rule
    if rule is None:
        _refuse(node, inputs, outputs, needs)
        return [None] * len(inputs)
    grads = tuple(
        [
            g if isinstance(g, Tensor) else zeros_like(y) if g is None else g.dense()
            for g, y in zip(upstream, outputs, strict=True)
        ]
    )
    attrs = SimpleNamespace(**node.attrs) if node.attrs else _NO_ATTRS
    reached = tuple([g is not None for g in upstream])
    returned: Any = rule(Ctx(inputs, outputs, grads, attrs, needs, reached))
    made: Sequence[Gradient | None] = (
        returned if isinstance(returned, list | tuple) else (returned,)
    )
    if len(made) != len(inputs):
        raise GradientError(
            f"the gradient rule of {primitive.name!r} returned {len(made)} gradients "
            f"for {len(inputs)} inputs"
        )
    results: list[Gradient | None] = []
    for i, g in enumerate(made):
        x = inputs[i]
        if g is None or x is None or not needs[i]:
            results.append(None)
        elif g.spec is x.spec:
            results.append(g)
        else:
            results.append(_fit(primitive, i, g, inputs))
    return results


def _refuse(
    node: Node, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], needs: Sequence[bool]
) -> None:
    """Raise for a node without a gradient rule, if a gradient would have flowed through it."""
    wanted = any(
        need and x is not None and x.spec.dtype.is_inexact and i not in node.primitive.shape_only
        for i, (need, x) in enumerate(zip(needs, inputs, strict=True))
    )
    if not wanted or not any(y.spec.dtype.is_inexact for y in outputs):
        return
    reason = node.primitive.not_differentiable or (
        f"its definition gives none; decorate a rule with @{node.primitive.name}.gradient()"
    )
    where = f" (node {node.name!r}, {node.line})" if isinstance(node, Operation) else ""
    raise NotDifferentiableError(
        f"{node.primitive.name} has no gradient{where}: {reason}; "
        "put mg.stop_gradient around it if none should flow"
    )


def _fit(
    primitive: Primitive[..., Any],
    position: int,
    g: Gradient,
    inputs: tuple[Tensor | None, ...],
) -> Gradient | None:
    """A rule's result for one input, summed over broadcast axes, with dtype and shape checked."""
    x = inputs[position]
    if x is None or not x.spec.dtype.is_inexact:
        return None
    want, got = x.spec, g.spec
    if want.dtype.is_complex:
        raise NotDifferentiableError(
            f"{primitive.name}: gradients of complex tensors are not supported"
        )
    if got.dtype is not want.dtype:
        raise GradientError(
            f"the gradient rule of {primitive.name!r} returned {got.dtype} for input "
            f"{primitive.input_name(position)!r} of {want.dtype}"
        )
    if primitive.elementwise and isinstance(g, Tensor):
        if got.shape == want.shape and got.known():
            return g
        specs = [t.spec for t in inputs if t is not None]
        if (got.known() and want.known()) or _may_broadcast(want, specs):
            try:
                return sum_to_like(g, x)
            except MinigradError as error:
                raise GradientError(
                    f"the gradient rule of {primitive.name!r} returned shape {show(got.shape)} "
                    f"for input {primitive.input_name(position)!r} of {show(want.shape)}"
                ) from error
        return g
    if not compatible(got.shape, want.shape):
        raise GradientError(
            f"the gradient rule of {primitive.name!r} returned shape {show(got.shape)} for input "
            f"{primitive.input_name(position)!r} of {show(want.shape)}"
        )
    return g


def _may_broadcast(spec: Spec, specs: Sequence[Spec]) -> bool:
    """Whether an operand could have been stretched to meet the others."""
    if len(specs) == 1:
        return False
    if spec.shape is None or any(s.shape is None for s in specs):
        return True
    rank = len(spec.shape)
    for other in specs:
        if other is spec or other.shape is None:
            continue
        if len(other.shape) > rank:
            return True
        for i in range(1, len(other.shape) + 1):
            own, theirs = spec.shape[-i], other.shape[-i]
            if theirs != 1 and (own is None or own == 1):
                return True
    return False

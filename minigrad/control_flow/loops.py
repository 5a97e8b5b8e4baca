"""`while_loop` and `fori_loop`, and what all loops share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.control_flow.loop import loop, misfit
from minigrad.control_flow.tracing import Traced, argument_names, check_structure
from minigrad.core.bind import tensor_of
from minigrad.core.body import fits
from minigrad.core.context import STATE, in_graph
from minigrad.core.convert import is_weak
from minigrad.core.current_graph import control_dependencies, name_scope
from minigrad.core.graph import Graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import bool_, int64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nest import flatten, is_nest, unflatten
from minigrad.ops.basic import astype
from minigrad.ops.elementwise import add, subtract
from minigrad.shapes import Shape, Spec, as_shape, compatible, show

__all__ = ["fori_loop", "while_loop"]


class Carried:
    """The tensors that a loop carries, and what their shapes may become.

    Args:
        nest: the initial values.
        what: how errors call the loop.
        invariants: shapes in the same structure, where some may change.
    """

    def __init__(self, nest: Any, what: str, invariants: Any = None) -> None:
        self.nest = nest
        self.what = what
        self.tensors = [tensor_of(leaf) for leaf in flatten(nest)]
        declared = [None] * len(self.tensors) if invariants is None else _shapes(nest, invariants)
        self.specs: list[Spec] = []
        self.changing: list[bool] = []
        for t, shape in zip(self.tensors, declared, strict=True):
            if shape is None:
                self.specs.append(Spec(t.shape, t.dtype))
                self.changing.append(False)
                continue
            (dims,) = shape
            if not compatible(t.shape, dims):
                raise ShapeError(
                    f"{what}: a loop variable of shape {show(t.shape)} does not fit its invariant "
                    f"{show(dims)}"
                )
            self.specs.append(Spec(dims, t.dtype))
            self.changing.append(dims is None or None in dims)

    def leaves(self, result: Any) -> list[Any]:
        """The leaves of what a body returned, once their structure is checked."""
        check_structure(self.nest, result, f"{self.what}: the body returns another structure")
        leaves = flatten(result)
        if any(leaf is None for leaf in leaves):
            raise ArgumentError(
                f"{self.what}: the body returned None where a tensor is carried; is a `return` "
                "missing?"
            )
        return leaves

    def next(self, result: Any) -> list[Any]:
        """The same, where one loop variable may be returned without the list around it."""
        if isinstance(self.nest, list | tuple) and not isinstance(result, list | tuple):
            result = (result,)
        return self.leaves(result)

    def fitted(self, leaves: Sequence[Any]) -> list[Tensor]:
        """Leaves as tensors, of the declared dtypes and shapes."""
        made: list[Tensor] = []
        for i, (leaf, spec) in enumerate(zip(leaves, self.specs, strict=True)):
            t = tensor_of(leaf, spec.dtype if is_weak(leaf) else None)
            if not fits(t.spec, spec):
                raise misfit(i, None, spec, t.spec)
            made.append(t)
        return made

    def check_unchanged(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
        """Raise `ShapeError` where a shape has changed that may not."""
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            if a.shape != b.shape and not self.changing[i]:
                raise misfit(i, None, a.spec, b.spec)

    def close(self, traced: Traced, leaves: Sequence[Any], results: Sequence[Any] = ()) -> None:
        """Fix the outputs of a traced body: what is carried on, and results."""
        dtypes = [*[spec.dtype for spec in self.specs], *[None] * len(results)]
        tensors = traced.tensors(dtypes, [*leaves, *results])
        for i, (t, spec) in enumerate(zip(tensors, self.specs, strict=False)):
            if not fits(t.spec, spec):
                name = traced.body.arguments[i].op.name.rpartition("/")[2]
                raise misfit(i, name, spec, t.spec)
        traced.body.close(tensors)


def _shapes(nest: Any, invariants: Any) -> list[tuple[Shape] | None]:
    """For each leaf of a nest its invariant, wrapped; None where there is none."""
    if not is_nest(nest):
        return [None if invariants is None else (as_shape(invariants),)]
    if not is_nest(invariants):
        raise ArgumentError(
            f"shape_invariants must be a structure like loop_vars, got {invariants!r}"
        )
    keys: Any = nest.keys() if isinstance(nest, dict) else range(len(nest))
    if len(nest) != len(invariants):
        raise ArgumentError(
            "shape_invariants must have an entry for each loop variable, got "
            f"{len(invariants)} for {len(nest)}"
        )
    return [shape for key in keys for shape in _shapes(nest[key], invariants[key])]


def bind_loop(
    carried: Carried,
    body: Traced,
    slices: Sequence[Tensor] = (),
    *,
    cond: Traced | None = None,
    limit: Any = None,
    results: int = 0,
    reverse: bool = False,
) -> list[Tensor]:
    """Add the node of a loop; the carried tensors after it, and the collected results."""
    asked = [] if cond is None else list(cond.body.captured)
    first = [] if limit is None else [limit]
    waits = [*body.body.waits, *([] if cond is None else cond.body.waits)]
    with control_dependencies(waits):
        made = loop(
            *first,
            *carried.tensors,
            *slices,
            *asked,
            *body.body.captured,
            cond=None if cond is None else cond.body,
            body=body.body,
            limited=limit is not None,
            carries=tuple(carried.changing),
            slices=(False,) * len(slices),
            results=(False,) * results,
            reverse=reverse,
        )
    return list(made[: len(carried.tensors) + results])


def current_graph() -> Graph | None:
    """The graph that a loop called now joins."""
    return STATE.get().graph


def symbolic_graph(result: Any) -> Graph | None:
    """The graph of the first symbolic tensor in a nest."""
    for leaf in flatten(result):
        if isinstance(leaf, SymbolicTensor):
            return leaf.graph
    return None


def check_function(name: str, what: str, function: Any) -> None:
    """Raise `ArgumentTypeError` unless it can be called."""
    if not callable(function):
        raise ArgumentTypeError(f"{name}: {what} must be a function, got {function!r}")


def check_length(name: str, what: str, value: Any) -> Any:
    """A number of runs as an int, or an int64 scalar tensor.

    Raises:
        ArgumentTypeError, ShapeError: it is not an integer scalar.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    tensor = tensor_of(value)
    if not tensor.dtype.is_integer:
        raise ArgumentTypeError(f"{name}: {what} must be an integer, got {tensor.dtype}")
    if tensor.shape not in ((), None):
        raise ShapeError(f"{name}: {what} must be a scalar, got shape {show(tensor.shape)}")
    return astype(tensor, int64) if isinstance(tensor, SymbolicTensor) else int(tensor)


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
    /,
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
        made = carried.fitted(carried.next(body(*pack(tensors))))
        graph = symbolic_graph(made)
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
    /,
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
            result = body(tensor_of(i, start.dtype), unflatten(init, tensors))
            made = carried.fitted(carried.leaves(result))
            graph = symbolic_graph(made)
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

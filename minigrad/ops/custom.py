"""Functions with a gradient of their own, and Python functions as nodes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import bind_all, tensor_of
from minigrad.core.context import STATE, changed, in_graph
from minigrad.core.convert import array_of, is_weak
from minigrad.core.current_graph import graph_of_arguments
from minigrad.core.graph import Graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.record import Recorder
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import as_dtype, from_numpy
from minigrad.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    NotDifferentiableError,
    ShapeError,
)
from minigrad.nest import flatten, unflatten
from minigrad.ops.elementwise import multiply
from minigrad.shapes import Spec, as_shape, compatible, show

__all__ = ["custom_gradient", "host_call", "with_gradient"]


def _double(*grads: Tensor) -> list[Tensor]:
    return [2.0 * g for g in grads]


@primitive(
    "CustomGradient",
    outputs=None,
    promote=(),
    samples=lambda rng: [
        Sample([x := rng.normal(size=(2, 3))], [2.0 * x], rule=_double).order(
            0, "the rule is the caller's own, and need not be the derivative"
        )
    ],
    errors=[Fails(ArgumentError, "one result", [np.ones(2)], [], rule=_double)],
)
def with_gradient(
    inputs: Sequence[TensorLike], results: Sequence[TensorLike], /, *, rule: Callable[..., Any]
) -> tuple[Tensor, ...]:
    """The `results`, as if they were a function of `inputs` whose gradient is `rule`.

    No gradient flows back through the results themselves. `custom_gradient` is built on this.

    Args:
        inputs: what gradients are for.
        results: what is returned.
        rule: from the gradients of the results to a list of those of the inputs.

    Raises:
        ArgumentError: there are no results.

    >>> import minigrad as mg
    >>> x = mg.asarray(3.0)
    >>> mg.grad(lambda x: mg.with_gradient([x], [x * x], rule=lambda g: [g * 100.0])[0])(x)
    Tensor(100., shape=(), dtype=float32)
    """
    if not results:
        raise ArgumentError("with_gradient needs at least one result")
    return bind_all(with_gradient, *inputs, *results, count=len(inputs), rule=rule)


@with_gradient.kernel
def _(xp: Any, *tensors: Array, count: int, rule: Any) -> tuple[Array, ...]:
    return tensors[count:]


@with_gradient.shape
def _(*tensors: Spec, count: int, rule: Any) -> tuple[Spec, ...]:
    return tensors[count:]


@with_gradient.gradient()
def _(c: Ctx) -> Grads:
    made = c.attrs.rule(*c.grads)
    grads = list(made) if isinstance(made, list | tuple) else [made]
    if len(grads) != c.attrs.count:
        raise GradientError(
            f"a custom gradient returned {len(grads)} gradients for {c.attrs.count} arguments"
        )
    made_tensors = [
        None if g is None else tensor_of(g, x.dtype) for g, x in zip(grads, c.inputs, strict=False)
    ]
    return [*made_tensors, *[None] * len(c.grads)]


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that returns its result and its own gradient function.

    The function takes tensors and returns ``(result, grad)``; `grad` takes the upstream gradient
    of each result and returns the gradient of each argument. Gradients flow to the arguments only.
    It works lazily and eagerly, and `grad`, being made of ops, can be differentiated again.

    Raises:
        GradientError: the function reads a trainable variable that is not an argument, whose
            gradient would be lost.

    >>> import minigrad as mg
    >>> @mg.custom_gradient
    ... def clipped_square(x):
    ...     def grad(upstream):
    ...         return upstream * mg.clip(2.0 * x, -1.0, 1.0)
    ...     return x * x, grad
    >>> mg.grad(clipped_square)(3.0)
    Tensor(1., shape=(), dtype=float32)
    """

    @functools.wraps(function)
    def wrapper(*args: TensorLike) -> Any:
        graph = graph_of_arguments(args, {}) or STATE.get().graph
        if graph is not None:
            with in_graph(graph):
                return _custom(function, args, graph)
        return _custom(function, args, None)

    return wrapper


def _custom(function: Callable[..., Any], args: Sequence[Any], graph: Graph | None) -> Any:
    tensors = [tensor_of(a) for a in args]
    watcher = Recorder()
    watcher.captures = {}
    start = 0 if graph is None else len(graph)
    with changed(tapes=(*STATE.get().tapes, watcher)):
        returned = function(*tensors)
    if not isinstance(returned, tuple) or len(returned) != 2 or not callable(returned[1]):
        raise GradientError(
            "a function under @custom_gradient must return (result, gradient function), "
            f"got {returned!r}"
        )
    result, rule = returned
    own = {a._key for a in args if isinstance(a, Variable)}
    lost: list[Variable] = [v for k, v in watcher.variables.items() if k not in own]
    if graph is not None:
        lost = [v for v in _variables_read(graph, start, tensors) if v._key not in own]
    if lost:
        names = ", ".join(repr(v.name) for v in lost)
        raise GradientError(
            f"a function under @custom_gradient reads variable {names}, whose gradient would be "
            "lost; pass it as an argument"
        )
    outputs = with_gradient(tensors, flatten(result), rule=rule)
    return unflatten(result, outputs)


def _variables_read(graph: Graph, start: int, given: Sequence[Tensor]) -> list[Variable]:
    """The trainable variables whose read nodes are used by the nodes added since `start`."""
    known = {t for t in given if isinstance(t, SymbolicTensor)}
    found: dict[int, Variable] = {}
    for op in graph.get_operations()[start:]:
        for t in op.inputs:
            if t is not None and t not in known and t.op.type == "VariableV2":
                variable: Variable = t.op.attrs["variable"]
                if variable.trainable:
                    found[variable._key] = variable
    return list(found.values())


def _cube(x: Array) -> Array:
    return x**3


def _cube_gradient(c: Ctx) -> Grads:
    (x,) = c.inputs
    return multiply(c.grads[0], 3.0 * x * x)


@primitive(
    "PyFunc",
    outputs=None,
    effect="host",
    promote=(),
    samples=lambda rng: [
        Sample(_cube, rng.normal(size=(2, 3)), out=((2, 3), "float64"), gradient=_cube_gradient),
    ],
    errors=[
        Fails(ShapeError, "returned shape", _cube, np.ones(2), out=((3,), "float64")),
        Fails(DTypeError, "returned dtype", _cube, np.ones(2), out=((2,), "int32")),
    ],
)
def host_call(
    function: Callable[..., Any],
    /,
    *inputs: TensorLike,
    out: Any,
    gradient: Callable[[Ctx], Grads] | None = None,
) -> Any:
    """Call a Python function on NumPy arrays, as a node where the graph is symbolic.

    It runs once in every run that needs it, in creation order with other effects.

    Args:
        function: takes a read-only array for each input; returns an array, or a list of them.
        inputs: tensors.
        out: ``(shape, dtype)`` of the result, with None for unknown dimensions; or a list of
            such pairs, and then the call returns a tuple. A Python number that the function
            returns takes the dtype given here; arrays must have it.
        gradient: a rule as for primitives: from a `Ctx` (with all inputs and outputs) to the
            gradients of the inputs.

    Raises:
        ShapeError, DTypeError: the function returned something else than `out` says.

    >>> import minigrad as mg
    >>> mg.host_call(lambda x: x[::-1], [1.0, 2.0], out=((None,), "float32"))
    Tensor([2., 1.], shape=(2,), dtype=float32)
    """
    many = isinstance(out, list)
    specs = tuple(
        Spec(as_shape(shape), as_dtype(dtype)) for shape, dtype in (out if many else [out])
    )
    made = bind_all(host_call, *inputs, function=function, out=specs, gradient=gradient)
    return made if many else made[0]


@host_call.kernel
def _(xp: Any, *arrays: Array, function: Any, out: tuple[Spec, ...], gradient: Any) -> list[Array]:
    views = []
    for x in arrays:
        view = np.asarray(x).view()
        view.flags.writeable = False
        views.append(view)
    # The function is the user's own eager code, whatever is being built or recorded around it.
    with changed(graph=None, scope="", control=(), tapes=(), origin=None, log=None):
        made = function(*views)
    results = list(made) if isinstance(made, list | tuple) else [made]
    if len(results) != len(out):
        raise ArgumentError(f"host_call: expected {len(out)} results, got {len(results)}")
    # Copies, because the function may keep, and change, what it returned.
    return [
        _check_result(array_of(r, spec.dtype if is_weak(r) else None), spec)
        for r, spec in zip(results, out, strict=True)
    ]


def _check_result(array: Array, spec: Spec) -> Array:
    if not compatible(array.shape, spec.shape):
        raise ShapeError(
            f"host_call: the function returned shape {array.shape}, `out` says {show(spec.shape)}"
        )
    if from_numpy(array.dtype) is not spec.dtype:
        raise DTypeError(
            f"host_call: the function returned dtype {array.dtype}, `out` says {spec.dtype}"
        )
    return array


@host_call.shape
def _(*arrays: Spec, function: Any, out: tuple[Spec, ...], gradient: Any) -> tuple[Spec, ...]:
    return out


@host_call.gradient(saves=("arrays", "outputs"))
def _(c: Ctx) -> Grads:
    if c.attrs.gradient is None:
        raise NotDifferentiableError(
            "host_call has no gradient unless it is given one: pass gradient=rule, or put "
            "mg.stop_gradient around it"
        )
    made: Grads = c.attrs.gradient(c)
    return made

"""Derivatives of functions: `grad`, `value_and_grad`, `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`.

They work on concrete tensors at once, and on symbolic ones by adding nodes; so they nest. Those
that give a function make a `minigrad.function` of one.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.autodiff import check_differentiable, dense, gradients
from minigrad.core.bind import tensor_of
from minigrad.core.context import in_graph
from minigrad.core.current_graph import graph_of_arguments
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError, GradientError
from minigrad.functions.api import Function, Method
from minigrad.jacobians import jacobian_rows
from minigrad.nest import flatten, map_structure, unflatten
from minigrad.ops.basic import identity
from minigrad.ops.elementwise import add, multiply
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.shaping import zeros_like
from minigrad.shapes import compatible, show
from minigrad.tape import GradientTape

AnyFunction = Callable[..., Any]
Argnums = int | Sequence[int]


class _Traced:
    """A function's result, with what is needed to walk back to some of its arguments."""

    def __init__(self, function: AnyFunction, args: Sequence[Any], argnums: Argnums) -> None:
        self.single = not isinstance(argnums, Sequence)
        try:
            given: Any = [argnums] if self.single else argnums
            self.positions = tuple([operator.index(i) for i in given])
        except TypeError as error:
            raise ArgumentTypeError(
                f"argnums must be an integer or a sequence of them, got {argnums!r}"
            ) from error
        for i in self.positions:
            if not -len(args) <= i < len(args):
                raise ArgumentError(
                    f"argnums {i} is out of range for {len(args)} positional arguments"
                )
        full = list(args)
        # Fresh identities: a tensor passed twice must be told apart.
        given = flatten([args[i] for i in self.positions])
        counts = Counter([x._key for x in given if isinstance(x, Variable)])
        repeated = {key for key, count in counts.items() if count > 1}
        for i in self.positions:
            full[i] = map_structure(lambda x: _fresh(x, repeated), args[i])
        chosen = [full[i] for i in self.positions]
        self.arguments: Any = chosen[0] if self.single else tuple(chosen)
        self.sources = flatten(self.arguments)
        for x in self.sources:
            check_differentiable(x, "the argument")
        self.tape = GradientTape(persistent=True, watch_accessed_variables=False)
        with self.tape:
            self.tape.watch(self.sources)
            self.result = function(*full)

    def pull(self, target: Any, sources: Any, upstream: Any = None) -> Any:
        """Gradients of `target` for a nest of sources, dense."""
        targets = [tensor_of(t) for t in flatten(target)]
        if any(isinstance(t, ConcreteTensor) for t in targets):
            made = self.tape.gradient(target, sources, upstream, unconnected="zero")
        else:
            given = None if upstream is None else flatten(upstream)
            made = unflatten(sources, gradients(targets, flatten(sources), given))
        return map_structure(dense, made)


def _fresh(x: Any, repeated: set[int]) -> Any:
    """An argument as a tensor with an identity of its own; a variable only if passed twice."""
    if isinstance(x, Variable) and x._key not in repeated:
        return x
    tensor = tensor_of(x)
    if not isinstance(tensor, ConcreteTensor):
        return identity(tensor)
    if tensor.is_recorded():
        return identity(tensor)
    return ConcreteTensor(tensor._value)


def _joined(transform: AnyFunction) -> AnyFunction:
    """Run a transformed function in the graph of a symbolic argument, all of it."""

    @functools.wraps(transform)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        graph = graph_of_arguments(args, kwargs)
        if graph is None:
            return transform(*args, **kwargs)
        with in_graph(graph):
            return transform(*args, **kwargs)

    return wrapper


def _scalar(result: Any) -> Tensor:
    """The result, if it is a scalar. Raises `GradientError` otherwise."""
    if not isinstance(result, Tensor | Variable):
        raise ArgumentTypeError(
            f"the function must return a scalar tensor, got {type(result).__name__}. A plain "
            "number or array has left minigrad (by math.sin, float(x), x.numpy(), …), and its "
            "gradient with it; with has_aux=True the function returns (scalar, anything)"
        )
    tensor = tensor_of(result)
    if not compatible(tensor.shape, ()):
        raise GradientError(
            f"the function must return a scalar, got shape {show(tensor.shape)}; sum it, or use "
            "mg.jacobian or mg.vjp"
        )
    return tensor


def grad(function: AnyFunction, argnums: Argnums = 0, *, has_aux: bool = False) -> AnyFunction:
    """The gradient function of a scalar function.

    Args:
        function: takes tensors (or nests of them) and returns a scalar tensor.
        argnums: which positional arguments to differentiate for.
        has_aux: the function returns ``(scalar, anything)``, and the result is a pair too.

    Returns:
        A function of the same arguments: the gradient, a nest like the argument; a tuple of them
        if `argnums` is a sequence. Gradients are dense, and zero where nothing depends.

    Raises:
        GradientError: the result is not a scalar.
        NotDifferentiableError: an argument is not of a floating dtype.

    >>> import minigrad as mg
    >>> mg.grad(lambda w: w**2 - 10.0 * w + 25.0)(4.0)
    Tensor(-2., shape=(), dtype=float32)
    >>> mg.grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": 3.0})["a"]
    Tensor(3., shape=(), dtype=float32)
    """
    if isinstance(function, Function | Method):
        return function.transformed(grad, argnums, has_aux=has_aux)
    both = value_and_grad(function, argnums, has_aux=has_aux)

    @functools.wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return gradient


def value_and_grad(
    function: AnyFunction, argnums: Argnums = 0, *, has_aux: bool = False
) -> AnyFunction:
    """Like `grad`, but the result is ``(value, gradient)``.

    >>> import minigrad as mg
    >>> mg.value_and_grad(lambda x: x * x)(3.0)
    (Tensor(9., shape=(), dtype=float32), Tensor(6., shape=(), dtype=float32))
    """
    if isinstance(function, Function | Method):
        return function.transformed(value_and_grad, argnums, has_aux=has_aux)

    @functools.wraps(function)
    @_joined
    def both(*args: Any, **kwargs: Any) -> Any:
        traced = _Traced(functools.partial(function, **kwargs), args, argnums)
        result = traced.result
        value = _scalar(result[0] if has_aux else result)
        grads = traced.pull(value, traced.arguments)
        return ((value, result[1]) if has_aux else value), grads

    return both


def vjp(function: AnyFunction, *primals: Any) -> tuple[Any, AnyFunction]:
    """The result, and the function that pulls gradients back through it.

    Args:
        function: takes the primals, returns a tensor or a nest of them.
        primals: tensors or nests of them.

    Returns:
        ``(result, pullback)``: `pullback` takes a nest like the result and returns a tuple with
        a nest like each primal. It may be called any number of times.

    >>> import minigrad as mg
    >>> y, pullback = mg.vjp(lambda x: x * x, mg.asarray([1.0, 2.0]))
    >>> pullback(mg.asarray([1.0, 10.0]))[0].tolist()
    [2.0, 40.0]
    """
    traced = _joined(_Traced)(function, primals, tuple(range(len(primals))))

    @_joined
    def pullback(upstream: Any) -> Any:
        return traced.pull(traced.result, traced.arguments, upstream)

    return traced.result, pullback


def _sequence(what: str, value: Any) -> tuple[Any, ...]:
    """One entry an argument of the function. Raises `ArgumentTypeError` for a bare array."""
    if not isinstance(value, list | tuple):
        raise ArgumentTypeError(
            f"{what} must be a tuple with an entry for each argument of the function, such as "
            f"(x,); got {type(value).__name__}"
        )
    return tuple(value)


def jvp(function: AnyFunction, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The result, and its derivative in the direction of `tangents`.

    The pullback is linear in the upstream gradient; its own pullback is the derivative forward.
    Source: J. Townsend, "A new trick for calculating Jacobian vector products", 2017.

    Args:
        function: takes the primals, returns a tensor or a nest of them.
        primals: a sequence of tensors or nests of them.
        tangents: directions, of the same structure and shapes.

    >>> import minigrad as mg
    >>> mg.jvp(lambda x: x * x, (3.0,), (1.0,))
    (Tensor(9., shape=(), dtype=float32), Tensor(6., shape=(), dtype=float32))
    """
    return _jvp(function, _sequence("primals", primals), _sequence("tangents", tangents))  # type: ignore[no-any-return]


@_joined
def _jvp(function: AnyFunction, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    if len(primals) != len(tangents):
        raise ArgumentError(f"{len(primals)} primals need as many tangents, got {len(tangents)}")
    outer = GradientTape(persistent=True, watch_accessed_variables=False)
    with outer:
        result, pullback = vjp(function, *primals)
        # The direction in which the pullback is evaluated does not matter: it is linear.
        dummy = map_structure(lambda y: identity(zeros_like(y)), result)
        for leaf in flatten(dummy):
            outer.watch(leaf)
        pulled = pullback(dummy)
    leaves, directions = flatten(pulled), flatten(tangents)
    directions = [tensor_of(d, p.dtype) for d, p in zip(directions, leaves, strict=True)]
    sources = flatten(dummy)
    if any(isinstance(t, ConcreteTensor) for t in leaves):
        found = outer.gradient(leaves, sources, directions, unconnected="zero")
    else:
        found = gradients(leaves, sources, directions)
    return result, unflatten(result, [dense(g) for g in found])


def jacobian(function: AnyFunction, argnums: Argnums = 0) -> AnyFunction:
    """The Jacobian function: one backward walk for every element of the result.

    Args:
        function: takes tensors (or nests of them), returns a tensor of known shape, or a nest of
            them.
        argnums: which positional arguments to differentiate for.

    Returns:
        A function of the same arguments: a nest like the result of `function`, in which each
        tensor is replaced by a nest like the argument (a tuple of them if `argnums` is a
        sequence), of tensors of shape ``result.shape + argument.shape``.

    Raises:
        GradientError: a shape is not known.
        NotDifferentiableError: an argument is not of a floating dtype.

    >>> import minigrad as mg
    >>> mg.jacobian(lambda x: x * x)(mg.asarray([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    >>> mg.jacobian(lambda p: {"double": 2.0 * p["x"]})({"x": 3.0})
    {'double': {'x': Tensor(2., shape=(), dtype=float32)}}
    """
    if isinstance(function, Function | Method):
        return function.transformed(jacobian, argnums)

    @functools.wraps(function)
    @_joined
    def rows(*args: Any, **kwargs: Any) -> Any:
        traced = _Traced(functools.partial(function, **kwargs), args, argnums)
        blocks = [
            jacobian_rows(tensor_of(target), traced.arguments, traced.pull)
            for target in flatten(traced.result)
        ]
        return unflatten(traced.result, blocks)

    return rows


def hessian(function: AnyFunction, argnums: Argnums = 0) -> AnyFunction:
    """The Hessian function of a scalar function: the Jacobian of its gradient.

    Args:
        function: takes tensors (or nests of them) of known shapes, returns a scalar.
        argnums: which positional arguments to differentiate for.

    Returns:
        A function of the same arguments. For one array `x` its result has the shape
        ``x.shape + x.shape``; for a nest it is a nest of nests of blocks, so that
        ``result["a"]["b"]``, of shape ``a.shape + b.shape``, holds ∂²f/∂a∂b. If `argnums` is a
        sequence, the nest is a tuple of the arguments.

    Raises:
        GradientError: the result is not a scalar, or a shape is not known.
        NotDifferentiableError: an argument is not of a floating dtype.

    >>> import minigrad as mg
    >>> mg.hessian(lambda x: mg.sum(x**3))(mg.asarray([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    >>> blocks = mg.hessian(lambda a, b: a * b**2, argnums=(0, 1))(1.0, 2.0)
    >>> [[float(block) for block in row] for row in blocks]
    [[0.0, 4.0], [4.0, 2.0]]
    """
    if isinstance(function, Function | Method):
        return function.transformed(hessian, argnums)
    return jacobian(grad(function, argnums), argnums)


def hvp(function: AnyFunction, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The product of a scalar function's Hessian with a vector, without forming the Hessian.

    Source: B. Pearlmutter, "Fast exact multiplication by the Hessian", 1994.

    Args:
        function: takes the primals, returns a scalar.
        primals: a sequence of tensors or nests of them.
        tangents: the vector, of the same structure and shapes.

    Returns:
        A tuple with a nest like each primal.

    >>> import minigrad as mg
    >>> x = mg.asarray([1.0, 2.0])
    >>> mg.hvp(lambda x: mg.sum(x**3), (x,), (mg.ones(2),))[0].tolist()
    [6.0, 12.0]
    """
    return _hvp(function, _sequence("primals", primals), _sequence("tangents", tangents))


@_joined
def _hvp(function: AnyFunction, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    positions = tuple(range(len(primals)))

    def slope(*args: Any) -> Tensor:
        grads = flatten(grad(function, positions)(*args))
        total: Tensor | None = None
        for g, t in zip(grads, flatten(tangents), strict=True):
            part = reduce_sum(multiply(g, tensor_of(t, g.dtype)))
            total = part if total is None else add(total, part)
        if total is None:
            raise ArgumentError("hvp needs at least one primal")
        return total

    return grad(slope, positions)(*primals)


__all__ = [
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "value_and_grad",
    "vjp",
]

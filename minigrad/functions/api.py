"""`function`: a Python function of tensors that is traced once and then runs as a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.context import EAGER_STATE, STATE, in_graph
from minigrad.core.current_graph import name_scope
from minigrad.core.graph import Graph
from minigrad.core.tensor import ConcreteTensor
from minigrad.errors import ArgumentError, ArgumentTypeError, GraphError
from minigrad.functions.history import FunctionStats
from minigrad.functions.input_signature import InputSignature
from minigrad.functions.signature import (
    Call,
    Opaque,
)
from minigrad.functions.trace import Fast
from minigrad.functions.traces import Traces
from minigrad.nest import map_structure
from minigrad.running import Executor

__all__ = ["function"]

P = ParamSpec("P")
R = TypeVar("R")


class Function(Generic[P, R]):
    """A function that `mg.function` has made; see there.

    Attributes:
        python_function: the Python function.
    """

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        python_function: Callable[P, R],
        *,
        name: str | None = None,
        input_signature: Any = None,
        reduce_retracing: bool = False,
        max_traces: int = 64,
        executor: Literal["native", "numpy", "reference"] | None = None,
        check_numerics: bool = False,
    ) -> None:
        if not callable(python_function):
            raise ArgumentTypeError(
                f"mg.function takes a Python function, got {python_function!r}; options are given "
                "by name: @mg.function(input_signature=…)"
            )
        if max_traces < 1:
            raise ArgumentError(f"max_traces must be 1 or more, got {max_traces!r}")
        functools.update_wrapper(self, python_function)
        self.python_function = python_function
        own = getattr(python_function, "__name__", type(python_function).__name__)
        self.name = name or own
        self._label = f"function {self.name!r}"
        self._options: dict[str, Any] = {
            "input_signature": input_signature,
            "reduce_retracing": reduce_retracing,
            "max_traces": max_traces,
            "executor": executor,
            "check_numerics": check_numerics,
        }
        self._wanted = None if input_signature is None else InputSignature(input_signature)
        self._traces = Traces(
            python_function,
            self._label,
            Executor(executor, check_numerics=check_numerics),
            most=max_traces,
            relaxes=reduce_retracing,
        )
        #: What `mg.grad` and its kin have made of it.
        self._derived: dict[Any, Function[..., Any]] = {}
        #: Whether the first argument is an instance.
        self._is_method = False

    # -- calling ---------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the trace for these arguments, made now if there is none."""
        last = self._traces.last
        if last is not None and not kwargs:
            state = STATE.get()
            if state is EAGER_STATE:
                arrays = last.match(args)
                if arrays is not None:
                    return last.trace.run(arrays)  # type: ignore[no-any-return]
            elif state.graph is None and state.log is None and last.match(args) is not None:
                return last.trace.record(last.tensors(args))  # type: ignore[no-any-return]
        return self._call(args, kwargs)  # type: ignore[no-any-return]

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same without short cuts."""
        state = STATE.get()
        call = self._taken_apart(args, kwargs)
        graph = call.graph or state.graph
        if graph is not None or state.log is not None:
            return self._inline(graph, args, kwargs)
        trace = self._traces.serving(call, stacklevel=3)
        self._traces.last = None if kwargs else Fast.of(trace, args)
        if state.tapes:
            return trace.record(call.tensors)
        return trace.run([t._value if isinstance(t, ConcreteTensor) else t for t in call.tensors])

    def _taken_apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        args, kwargs = self._traces.parameters.bind(args, kwargs)
        if self._is_method and args:
            args = (Opaque(args[0]), *args[1:])
        if self._wanted is None:
            return Call((args, kwargs))
        return Call(*self._wanted.fit(args, kwargs, self._label))

    def _inline(self, graph: Graph | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the Python function as part of what goes on: a graph, a recomputation."""
        if graph is None:
            return self.python_function(*args, **kwargs)
        if graph.traced is not None and not graph.traced.is_open:
            raise GraphError(f"{self._label}: {graph.traced.leaked('one of its arguments')}")
        with in_graph(graph), name_scope(_scope(self.name)):
            own = args[:1] if self._is_method else ()
            args, kwargs = map_structure(
                lambda x: tensor_of(x) if isinstance(x, np.ndarray | np.generic) else x,
                (args[len(own) :], kwargs),
            )
            return self.python_function(*own, *args, **kwargs)

    # -- looking inside --------------------------------------------------------------------

    def graph_for(self, *args: P.args, **kwargs: P.kwargs) -> Graph:
        """The graph of the trace that serves such a call, made now if there is none.

        `mg.render` draws it. Taking gradients through the function adds nodes to it.

        Raises:
            ArgumentError: an argument is symbolic: such a call adds nodes to that graph.

        >>> import minigrad as mg
        >>> double = mg.function(lambda x: x + x)
        >>> [op.type for op in double.graph_for(mg.ones(3)).get_operations()]
        ['Placeholder', 'Add']
        """
        call = self._taken_apart(args, kwargs)
        if call.graph is not None:
            raise ArgumentError(
                f"{self._label}: an argument is symbolic; such a call adds its nodes to "
                f"{call.graph!r}"
            )
        return self._traces.serving(call, stacklevel=2).graph

    def stats(self) -> FunctionStats:
        """How often it was traced, why, and what the traces serve.

        >>> import minigrad as mg
        >>> double = mg.function(lambda x: x + x)
        >>> for n in (2, 3, 3):
        ...     _ = double(mg.ones(n))
        >>> double.stats().traces, double.stats().calls
        (2, 3)
        >>> double.stats().signatures[0]
        '(float32 tensor of shape (2,))'
        """
        return self._traces.stats()

    # -- as part of other things -----------------------------------------------------------

    def transformed(
        self, transform: Callable[..., Any], argnums: Any, **options: Any
    ) -> Function[..., Any]:
        """What `mg.grad` and its kin make of it: the derivative, traced as a whole."""
        positions = tuple(argnums) if isinstance(argnums, list) else argnums
        key = (transform, positions, *options.items())
        found = self._derived.get(key)
        if found is None:
            made = transform(self.python_function, argnums, **options)
            found = Function(made, name=f"{transform.__name__}({self.name})", **self._options)
            found._is_method = self._is_method
            found = self._derived.setdefault(key, found)
        return found

    def __set_name__(self, owner: type, name: str) -> None:
        self._is_method = True

    @overload
    def __get__(self, instance: None, owner: type) -> Function[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Method[R]: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        return self if instance is None else Method(self, instance)

    def __repr__(self) -> str:
        return f"<minigrad.function {self.name!r}, traced {self._traces.history.traces} times>"

    def __copy__(self) -> Function[P, R]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Function[P, R]:
        return self

    def __reduce__(self) -> Any:
        # By its name, as Python's functions are.
        return self.python_function.__qualname__


class Method(functools.partial[R]):
    """A function that `mg.function` has made, as a method of an instance."""

    func: Function[..., R]

    def graph_for(self, *args: Any, **kwargs: Any) -> Graph:
        """See `Function.graph_for`."""
        return self.func.graph_for(*self.args, *args, **kwargs)

    def stats(self) -> FunctionStats:
        """See `Function.stats`."""
        return self.func.stats()

    def transformed(
        self, transform: Callable[..., Any], argnums: Any, **options: Any
    ) -> Method[Any]:
        """See `Function.transformed`; the instance does not count among the arguments."""
        single = isinstance(argnums, int)
        given = [argnums] if single else list(argnums)
        moved = tuple([i + 1 if i >= 0 else i for i in given])
        made = self.func.transformed(transform, moved[0] if single else moved, **options)
        return Method(made, *self.args)

    def __repr__(self) -> str:
        return f"<{self.func!r} of {self.args[0]!r}>"


def _scope(name: str) -> str:
    """A function's name as a name scope."""
    fit = "".join([c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in name])
    return fit.strip("_.-") or "function"


@overload
def function(python_function: Callable[P, R], /) -> Function[P, R]: ...
@overload
def function(
    python_function: None = None,
    /,
    *,
    name: str | None = None,
    input_signature: Sequence[Any] | None = None,
    reduce_retracing: bool = False,
    max_traces: int = 64,
    executor: Literal["native", "numpy", "reference"] | None = None,
    check_numerics: bool = False,
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
@overload
def function(
    python_function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    input_signature: Sequence[Any] | None = None,
    reduce_retracing: bool = False,
    max_traces: int = 64,
    executor: Literal["native", "numpy", "reference"] | None = None,
    check_numerics: bool = False,
) -> Function[P, R]: ...
def function(python_function: Any = None, /, **options: Any) -> Any:
    """Trace a Python function of tensors once, and run it as a plan from then on.

    Use it as a decorator, plain or with options. The first call runs the Python code on symbolic
    tensors and keeps the graph; later calls run that. They give what the code gives in eager
    code, faster.

    *Signatures.* A trace serves all calls of the same signature: the structure of the arguments
    (nests of lists, tuples, dicts and dataclasses), the shapes and dtypes of tensors and NumPy
    arrays, the values of Python numbers, strings and the like, and the identity of other objects:
    modules, optimizers, variables. It is also traced anew when something else that the code has
    read has changed: a module's `training` or an attribute of it, whether a variable is trainable,
    an optimizer's rate, the seed of `mg.random.seed`. A `RuntimeWarning` tells when that happens
    too often, and why.

    *State.* Variables are read when the function is called. What is assigned shows all at once
    when the call is over, or not at all if it fails. Within the code a read sees the assignments
    that stand before it. Draws come from the generators that eager code would use; one without
    `generator=` or `seed=` gets its key in the trace, as in eager code, and draws on from there.
    A variable, generator or module may be made in the first call only, by code that keeps it.

    *Gradients.* A tape sees a call as one step, whose way back is compiled as well; gradients flow
    to arguments, to variables, and to eager tensors that the code mentions. Inside, tapes work as
    in eager code. `mg.grad` and its kin make a `mg.function` of one.

    *What differs from eager code.* Other effects of Python code (`print`, appending to a list, what
    it reads of globals, of arrays and of objects) happen when it is traced, not in each call:
    `mg.host_call` runs Python code in each call. A tensor decides no Python `if` or `while`: use
    `mg.cond` and `mg.while_loop`. No tensor of the code may be kept beyond it, but for what it
    returns; of that, what is no tensor is returned as it is.

    Inside ``with graph.as_default():``, on symbolic arguments, and within another such function,
    a call adds the nodes of the code there, as if it were not decorated.

    Args:
        python_function: the function; also a method, or any object that can be called.
        name: what messages call it; by default its own name.
        input_signature: a list with a `mg.Spec` for each tensor among the arguments, in a nest like
            theirs. None stands for sizes that may vary: one trace serves them all. Numbers and
            lists become tensors; arrays convert within their kind.
        reduce_retracing: let sizes that have varied be unknown in later traces.
        max_traces: how many traces to keep; the least recently used go first.
        executor: as for `mg.Session`.
        check_numerics: as for `mg.Session`.

    Returns:
        A function with the methods `graph_for` (the graph of a call, for `mg.render`) and `stats`,
        and the attribute `python_function`. Any number of threads may call it.

    Raises:
        ArgumentTypeError: what is decorated cannot be called.
        SymbolicTensorError: (from a call) the code asks a tensor for its value.
        StateError: (from a call) the code makes a variable in a later trace.
        GraphError: (from a call) the code uses a tensor that an earlier trace has leaked.

    >>> import minigrad as mg
    >>> w = mg.Variable(2.0)
    >>> @mg.function
    ... def step(x):
    ...     print("traced")
    ...     with mg.GradientTape() as tape:
    ...         loss = (w * x - 6.0) ** 2
    ...     w.assign_sub(0.25 * tape.gradient(loss, w))
    ...     return loss
    >>> float(step(mg.asarray(1.0))), float(w)
    traced
    (16.0, 4.0)
    >>> float(step(mg.asarray(1.0)))
    4.0
    """
    if python_function is None:
        return lambda f: Function(f, **options)
    return Function(python_function, **options)

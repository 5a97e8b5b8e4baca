"""`cond` and `switch_case`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from minigrad.control_flow.case import case
from minigrad.control_flow.tracing import Traced, check_structure
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE
from minigrad.core.current_graph import control_dependencies, name_scope
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import DType, bool_, default_dtype, int32, promote_types, weak_dtype
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nest import is_nest, unflatten
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal
from minigrad.ops.selection import where
from minigrad.shapes import show

__all__ = ["cond", "switch_case"]


def _square_sum(x: Any, y: Any) -> Any:
    return x * x + y


def _product(x: Any, y: Any) -> Any:
    return x * y


@primitive(
    "Cond",
    samples=lambda rng: [
        Sample(np.array(True), _square_sum, _product, rng.normal(size=2), rng.normal(size=2)),
        Sample(np.array(False), _square_sum, _product, rng.normal(size=2), rng.normal(size=2)),
    ],
    errors=[
        Fails(DTypeError, "bool", np.array(1), _square_sum, _product, 1.0, 2.0),
        Fails(ShapeError, "scalar", np.array([True]), _square_sum, _product, 1.0, 2.0),
        Fails(ArgumentTypeError, "function", np.array(True), 1.0, 2.0),
    ],
)
def cond(
    pred: TensorLike,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    *operands: Any,
) -> Any:
    """What `true_fn` returns where `pred` is true, else what `false_fn` returns.

    Only the taken branch runs: nothing is computed, drawn or assigned by the other. In a graph
    both functions are called once, to build the branches; in eager code, and for a Python bool,
    only the one that is taken. The functions may use any tensor around them; what is computed
    outside of them is computed whichever is taken.

    Args:
        pred: a bool scalar.
        true_fn: takes the operands, and returns a tensor, or a nest of tensors; or an operation,
            such as an assignment, to do.
        false_fn: likewise; it returns a nest of the same structure and dtypes.
        operands: passed to the functions.

    Returns:
        A nest of tensors. Where the functions return operations, the operation that does one.

    Raises:
        DTypeError, ShapeError: `pred` is not a bool scalar, or the results differ in dtype.
        ArgumentError: the results differ in structure.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", ())
    ...     y = mg.cond(x > 0.0, lambda: mg.log(x), lambda: x * 0.0)
    ...     (dx,) = mg.gradients(y, [x])
    >>> mg.Session(graph=x.graph).run([y, dx], {x: 1.0})
    [np.float32(0.0), np.float32(1.0)]
    """
    for function in (true_fn, false_fn):
        _check_function("cond", function)
    if isinstance(pred, bool | np.bool_):
        return (true_fn if pred else false_fn)(*operands)
    chosen = tensor_of(pred)
    if chosen.dtype is not bool_:
        raise DTypeError(f"cond: pred must be bool, got {chosen.dtype}; compare it with something")
    if chosen.shape not in ((), None):
        raise ShapeError(
            f"cond: pred must be a scalar, got shape {show(chosen.shape)}; reduce it with mg.all "
            "or mg.any, or choose by element with mg.where"
        )
    if not isinstance(chosen, SymbolicTensor):
        return (true_fn if chosen else false_fn)(*operands)
    functions = {"true": lambda: true_fn(*operands), "false": lambda: false_fn(*operands)}
    return _build(astype(chosen, int32), functions, last_first=True)


@primitive(
    "SwitchCase",
    samples=lambda rng: [
        Sample(np.array(0), [_square_sum, _product], rng.normal(size=2), rng.normal(size=2)),
        Sample(np.array(5), {3: _square_sum, 5: _product}, rng.normal(size=2), rng.normal(size=2)),
        Sample(np.array(9), [_square_sum, _product], rng.normal(size=2), rng.normal(size=2)),
    ],
    errors=[
        Fails(DTypeError, "integer", np.array(0.5), [_square_sum], 1.0, 2.0),
        Fails(ArgumentError, "at least one", np.array(0), [], 1.0, 2.0),
    ],
)
def switch_case(
    index: TensorLike,
    branches: Sequence[Callable[..., Any]] | Mapping[int, Callable[..., Any]],
    /,
    *operands: Any,
    default: Callable[..., Any] | None = None,
) -> Any:
    """What the branch of number `index` returns; see `cond`.

    Args:
        index: integer scalar.
        branches: functions by number, as a list or a dictionary.
        operands: passed to the function.
        default: for any other number; if left out, the last of the branches.

    Raises:
        DTypeError, ShapeError: `index` is not an integer scalar, or results differ in dtype.
        ArgumentError: the results differ in structure, or there are no branches.

    >>> import minigrad as mg
    >>> mg.switch_case(1, [lambda: 10.0, lambda: 20.0, lambda: 30.0])
    20.0
    """
    table = dict(branches) if isinstance(branches, Mapping) else dict(enumerate(branches))
    if not table:
        raise ArgumentError("switch_case needs at least one branch")
    for function in (*table.values(), *([default] if default is not None else [])):
        _check_function("switch_case", function)
    other = default or list(table.values())[-1]
    chosen = tensor_of(index)
    if not chosen.dtype.is_integer:
        raise DTypeError(f"switch_case: the index must be an integer, got {chosen.dtype}")
    if chosen.shape not in ((), None):
        raise ShapeError(f"switch_case: the index must be a scalar, got shape {show(chosen.shape)}")
    if not isinstance(chosen, SymbolicTensor):
        return table.get(int(chosen), other)(*operands)
    functions = {f"branch_{k}": _with_operands(f, operands) for k, f in table.items()}
    if default is not None:
        functions["default"] = _with_operands(default, operands)
    if list(table) != list(range(len(table))):
        # The node counts from 0, and takes its last branch for any other number.
        place: Tensor = tensor_of(len(functions) - 1)
        for position, key in enumerate(table):
            place = where(equal(chosen, key), position, place)
        chosen = place
    return _build(chosen, functions)


def _with_operands(function: Callable[..., Any], operands: Sequence[Any]) -> Callable[[], Any]:
    return lambda: function(*operands)


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        raise ArgumentTypeError(
            f"{name}: a branch must be a function, got {function!r}; write lambda: …"
        )


def _build(
    index: Tensor, functions: Mapping[str, Callable[[], Any]], *, last_first: bool = False
) -> Any:
    """Add the node that runs one of the functions; with `last_first`, index 0 means the last."""
    graph = cast(Graph, STATE.get().graph)  # The composite around has set it.
    traced: list[Traced] = []
    for name, function in functions.items():
        with name_scope(name) as scope:
            traced.append(Traced(graph, scope, function))
    first, *others = traced
    for other in others:
        check_structure(first.result, other.result, "the branches return different structures")
    columns = list(zip(*[t.leaves for t in traced], strict=True))
    # An operation, or None, is run and gives no value.
    valued = [not any(leaf is None or isinstance(leaf, Operation) for leaf in c) for c in columns]
    dtypes = [_dtype(traced, c) for c, v in zip(columns, valued, strict=True) if v]
    for t in traced:
        leaves = [leaf for leaf, v in zip(t.leaves, valued, strict=True) if v]
        outputs = t.tensors(dtypes, leaves)
        done = [_operation(leaf) for leaf, v in zip(t.leaves, valued, strict=True) if not v]
        t.body.close(outputs, [op for op in done if op is not None])
    if last_first:
        traced.reverse()
    captured = [source for t in traced for source in t.body.captured]
    waits = [op for t in traced for op in t.body.waits]
    with graph.lock, control_dependencies(waits):
        made = iter(case(index, *captured, branches=tuple(t.body for t in traced)))
        node = graph.get_operations()[-1]
    # A None in a nest is one of the results; one alone stands for an operation.
    alone = not is_nest(first.result)
    return unflatten(
        first.result,
        [
            next(made) if v else node if alone or any(x is not None for x in column) else None
            for v, column in zip(valued, columns, strict=True)
        ],
    )


def _operation(leaf: Any) -> Operation | None:
    """What a branch does for a result that has no value."""
    if isinstance(leaf, SymbolicTensor):
        if leaf.op.effect == "pure":
            raise ArgumentError(
                f"one branch returns {leaf!r}, another None or an operation, which has no value; "
                "let all return tensors, or all return what is to be done"
            )
        return leaf.op
    return leaf if isinstance(leaf, Operation) else None


def _dtype(traced: Sequence[Traced], column: Sequence[Any]) -> DType:
    """The dtype of a result, as the branches that return a tensor for it say."""
    own = [t.own_dtype(leaf) for t, leaf in zip(traced, column, strict=True)]
    strong = [dtype for dtype in own if dtype is not None]
    if strong:
        first: DType = strong[0]
        for leaf, dtype in zip(column, own, strict=True):
            if dtype is None and weak_dtype(leaf, first) is not first:
                raise DTypeError(
                    f"the branches differ: one returns the number {leaf!r}, another a tensor of "
                    f"{first}; they must be of one dtype: cast with mg.astype"
                )
        return first
    result = default_dtype(column[0])
    for number in column[1:]:
        result = promote_types(result, default_dtype(number))
    return result

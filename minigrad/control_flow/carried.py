"""What all loops share: the values they carry, checks of arguments, and adding the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.control_flow.loop import loop, misfit, name_of
from minigrad.control_flow.tracing import Traced, check_structure
from minigrad.core.bind import tensor_of
from minigrad.core.body import fits
from minigrad.core.context import STATE, changed
from minigrad.core.convert import is_weak
from minigrad.core.current_graph import control_dependencies
from minigrad.core.graph import Graph
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import Primitive
from minigrad.core.record import EffectLog
from minigrad.core.tensor import Tensor
from minigrad.dtypes import int64
from minigrad.errors import ArgumentError, ArgumentTypeError, GraphError, ShapeError
from minigrad.nest import flatten, is_nest
from minigrad.ops.basic import astype
from minigrad.shapes import Shape, Spec, as_shape, compatible, show


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
                raise misfit(i, name_of(traced.body.arguments[i]), spec, t.spec)
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


class _Witness(EffectLog):
    """Notices whether anything was drawn, assigned or called."""

    __slots__ = ("acted",)

    def __init__(self) -> None:
        super().__init__()
        self.acted = False

    def admit(self, primitive: Primitive[..., Any]) -> None:
        """Note an effect that a second run would repeat."""
        self.acted = self.acted or primitive.effect != "read"


def run_body(run: int, function: Callable[..., Any], *args: Any) -> tuple[Any, bool]:
    """What a body returns in eager code, and whether its first run has drawn or assigned."""
    if run or STATE.get().log is not None:
        return function(*args), False
    witness = _Witness()
    with changed(log=witness):
        return function(*args), witness.acted


def graph_to_join(what: str, result: Any, run: int, acted: bool) -> Graph | None:
    """The graph that a loop belongs to after all: that of a symbolic tensor its body has used.

    Args:
        what: how errors call the loop.
        result: what the body returned.
        run: how often it ran before.
        acted: whether it has drawn or assigned.

    Raises:
        GraphError: it cannot be run again there, because something has happened already.
    """
    for leaf in flatten(result):
        if isinstance(leaf, SymbolicTensor):
            if run or acted:
                raise GraphError(
                    f"{what}: the body uses {leaf!r} or what it comes from, so the loop belongs "
                    f"into {leaf.graph!r}, but has begun to run in eager code; call it inside "
                    "`with graph.as_default():`"
                )
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

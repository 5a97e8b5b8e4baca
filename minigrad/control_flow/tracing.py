"""From a Python function to a body: the function is called once, on symbolic arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.body import Body
from minigrad.core.convert import is_weak
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.errors import ArgumentError
from minigrad.nest import flatten, is_nest
from minigrad.shapes import Spec


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """What a function calls its positional arguments, as far as it says."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name.lstrip("_") for p in parameters if p.kind in kinds]
    return [
        names[i] if i < len(names) and names[i].isascii() and names[i] else f"x{i}"
        for i in range(count)
    ]


class Traced:
    """A body under construction, with what the function returned.

    Args:
        outer: the graph around it.
        scope: the name scope of its nodes.
        function: takes the arguments and returns a nest.
        specs: of the arguments.
        names: of the arguments.
        pack: makes the function's positional arguments of the symbolic tensors.
    """

    def __init__(
        self,
        outer: Graph,
        scope: str,
        function: Callable[..., Any],
        specs: Sequence[Spec] = (),
        names: Sequence[str] = (),
        pack: Callable[[list[SymbolicTensor]], Sequence[Any]] = lambda tensors: tensors,
    ) -> None:
        self.body = Body(outer, scope.rstrip("/").rpartition("/")[2] or "body")
        self._scope = scope
        with self.body.building(scope):
            arguments = [
                self.body.argument(Spec(spec.shape, spec.dtype), name)
                for spec, name in zip(specs, names, strict=True)
            ]
            self.result = function(*pack(arguments))
        self.leaves = flatten(self.result)

    def tensors(
        self, dtypes: Sequence[Any], leaves: Sequence[Any] | None = None
    ) -> list[SymbolicTensor]:
        """Leaves of the result as tensors of the body; a Python number takes the dtype given."""
        made: list[SymbolicTensor] = []
        with self.body.building(self._scope):
            for leaf, dtype in zip(self.leaves if leaves is None else leaves, dtypes, strict=True):
                tensor = tensor_of(leaf, dtype if is_weak(leaf) else None, graph=self.body)
                made.append(self.body.bring(tensor))  # type: ignore[arg-type]
        return made

    def own_dtype(self, leaf: Any) -> Any:
        """The dtype that a leaf decides itself, or None for a Python number."""
        if is_weak(leaf) or leaf is None or isinstance(leaf, Operation):
            return None
        with self.body.building(self._scope):
            return tensor_of(leaf, graph=self.body).dtype


def same_structure(a: Any, b: Any) -> bool:
    """Whether two nests have leaves in the same places; a list may stand for a tuple."""
    stack = [(a, b)]
    while stack:
        x, y = stack.pop()
        if is_nest(x) != is_nest(y):
            return False
        if not is_nest(x):
            continue
        if isinstance(x, dict) or isinstance(y, dict):
            if not (isinstance(x, dict) and isinstance(y, dict)) or list(x) != list(y):
                return False
            stack += [(x[key], y[key]) for key in x]
        elif isinstance(x, list | tuple) and isinstance(y, list | tuple):
            if len(x) != len(y):
                return False
            stack += list(zip(x, y, strict=True))
        elif type(x) is not type(y):
            return False
        else:
            parts = flatten(x), flatten(y)
            if len(parts[0]) != len(parts[1]):
                return False
    return True


def check_structure(expected: Any, got: Any, what: str) -> None:
    """Raise `ArgumentError` unless two nests have the same structure."""
    if not same_structure(expected, got):
        raise ArgumentError(
            f"{what}: expected a structure like {sketch(expected)}, got {sketch(got)}"
        )


def sketch(nest: Any) -> str:
    """A nest as text, with a star for each leaf."""
    if isinstance(nest, dict):
        return "{" + ", ".join(f"{k!r}: {sketch(v)}" for k, v in nest.items()) + "}"
    if isinstance(nest, list | tuple):
        inner = ", ".join(sketch(v) for v in nest)
        return f"[{inner}]" if isinstance(nest, list) else f"({inner}{',' * (len(nest) == 1)})"
    return type(nest).__name__ if is_nest(nest) else "*"

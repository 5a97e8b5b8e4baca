"""The values of a module's parameters and buffers, in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.core.convert import array_of
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.dtypes import from_numpy
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.held_values import write_values
from minigrad.nn.modules.base.declared import Declared, same
from minigrad.session import Session
from minigrad.shapes import compatible, show

if TYPE_CHECKING:
    from minigrad.nn.modules.base.module import Module

__all__: list[str] = []


class LoadResult(NamedTuple):
    """What `Module.load_state_dict` passed over."""

    missing: list[str]
    unexpected: list[str]


def _entries(module: Module) -> Iterator[tuple[str, Module, str, Declared | Variable]]:
    """Path, owner, name there and declaration of all parameters and buffers, under every path."""
    for path, owner in module._all_paths():
        dot = f"{path}." if path else ""
        for name, part in owner._own_state():
            yield dot + name, owner, name, part


def load_state(
    module: Module, values: Mapping[str, Any], *, strict: bool, session: Session | None
) -> LoadResult:
    """See `Module.load_state_dict`."""
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(
            f"load_state_dict takes a dict of paths to arrays, got {type(values).__name__}"
        )
    entries = {path: (owner, name, part) for path, owner, name, part in _entries(module)}
    missing = [path for path in entries if path not in values]
    unexpected = [str(path) for path in values if path not in entries]
    arrays = {path: array_of(values[path]) for path in entries if path in values}
    problems = []
    if strict:
        problems += [
            f"missing: {path!r} of shape {show(entries[path][2].shape)}" for path in missing
        ]
        problems += [f"unexpected: {path!r}" for path in unexpected]
    problems += [
        problem
        for path, array in arrays.items()
        if (problem := _misfit(path, array, entries[path][2])) is not None
    ]
    problems += _conflicts(entries, arrays)
    if problems:
        raise ArgumentError(
            f"the state does not fit this {type(module).__name__}; nothing was loaded:\n  "
            + "\n  ".join(problems)
        )
    variables: dict[str, Variable] = {}
    for path, array in arrays.items():
        owner, name, part = entries[path]
        if isinstance(part, Declared):
            part.set_shape(array.shape, path)
            part = owner._variable(name, part)
        variables[path] = part
    new = [arrays[path].astype(v.dtype.dtype) for path, v in variables.items()]
    write_values(variables.values(), new, session)
    return LoadResult([] if strict else missing, [] if strict else unexpected)


def _conflicts(
    entries: Mapping[str, tuple[Module, str, Declared | Variable]], arrays: Mapping[str, Array]
) -> Iterator[str]:
    """Different values for one parameter that is shared."""
    first: dict[int, str] = {}
    for path, array in arrays.items():
        other = first.setdefault(id(same(entries[path][2])), path)
        if other != path and not np.array_equal(array, arrays[other], equal_nan=_is_float(array)):
            yield f"values: {other!r} and {path!r} are one parameter, the state has two values"


def _is_float(array: Array) -> bool:
    return bool(array.dtype.kind in "fc")


def _misfit(path: str, array: Array, part: Declared | Variable) -> str | None:
    """What is wrong with a value, or None."""
    own = from_numpy(array.dtype)
    if not compatible(part.shape, array.shape):
        return f"shape: {path!r} has {show(part.shape)}, the state {show(array.shape)}"
    wanted = part.dtype
    same_kind = (own.is_bool, own.is_integer, own.is_floating, own.is_complex) == (
        wanted.is_bool,
        wanted.is_integer,
        wanted.is_floating,
        wanted.is_complex,
    )
    if not same_kind or not np.can_cast(own.dtype, wanted.dtype, "same_kind"):
        return f"dtype: {path!r} is {wanted}, the state {own}"
    return None

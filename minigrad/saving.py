"""Saving variables to a file and restoring them, in the safetensors format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as encode

from minigrad.core.current_graph import get_default_graph
from minigrad.core.graph import GraphKeys
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.dtypes import complex128, string
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
)
from minigrad.files import write_file
from minigrad.held_values import read_values, write_values
from minigrad.session import Session, get_default_session
from minigrad.shapes import show

__all__ = ["restore", "save"]

#: The one name that a safetensors file has for something else.
_METADATA = "__metadata__"


class Holder(Protocol):
    """What has variables of its own with names: a module, an optimizer."""

    def named_variables(self) -> Iterable[tuple[str, Variable]]: ...


Variables = Holder | Iterable[Variable] | Mapping[str, "Variable | Holder"]


def save(
    path: str | os.PathLike[str],
    variables: Variables | None = None,
    *,
    session: Session | None = None,
) -> Path:
    """Write variables' values to a safetensors file, all of one moment.

    Args:
        path: the file; an existing one is replaced only once the new one is complete.
        variables: a module or an optimizer, with all that is part of its state; variables, as a
            list or as ``{name in the file: variable}``; or ``{prefix: module or optimizer}``. By
            default all that belong to the session's graph.
        session: holds the values of graph-owned variables; by default the one whose ``with``
            block this is. Eager variables need none.

    Returns:
        The path.

    Raises:
        FailedPreconditionError: a variable is not initialized; nothing is written.
        StateError: a variable belongs to a graph, and there is no session, or a closed one.
        ArgumentError: two variables have one name, or there are none.
        DTypeError: a variable is of complex128 or of strings.

    A model and its optimizer, in one file::

        mg.save("run.safetensors", {"model": model, "optimizer": optimizer})

    >>> import minigrad as mg, tempfile, os
    >>> v = mg.Variable([1.0, 2.0], name="v")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = mg.save(os.path.join(folder, "model.safetensors"), [v])
    ...     _ = v.assign([0.0, 0.0])
    ...     mg.restore(path, [v])
    >>> v.numpy()
    array([1., 2.], dtype=float32)
    """
    target = _path(path)
    session = session or get_default_session()
    named = _named(variables, session)
    for name, v in named.items():
        if v.dtype in (complex128, string):
            raise DTypeError(
                f"variable {name!r} is of {v.dtype}, which a safetensors file cannot hold; leave "
                "it out, or cast its value with mg.astype and save a variable of that"
            )
    values = read_values(named, session)
    data = encode(
        {name: np.asarray(value, order="C") for name, value in values.items()},
        metadata={"format": "minigrad"},
    )
    write_file(target, data)
    return target


def restore(
    path: str | os.PathLike[str],
    variables: Variables | None = None,
    *,
    session: Session | None = None,
) -> None:
    """Set variables to the values in a file that `save` wrote. They need no initializer.

    Args:
        path: the file.
        variables: as for `save`; the names, shapes and dtypes must be those in the file. A value
            in the file that nothing is named for is an error where it would belong to a module or
            optimizer, or when `variables` is left out. An optimizer needs its slots first: see
            ``optimizer.build``.
        session: as for `save`.

    Raises:
        ArgumentError: the file is none, or does not match: the message lists every missing,
            unexpected and misshapen entry, and nothing is set.
        FileNotFoundError: there is no such file.

    >>> import minigrad as mg, os, tempfile
    >>> v, other = mg.Variable([1.0, 2.0]), mg.Variable([0.0, 0.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = mg.save(os.path.join(folder, "v.safetensors"), {"v": v})
    ...     mg.restore(path, {"v": other})
    >>> other.tolist()
    [1.0, 2.0]
    """
    _path(path)
    session = session or get_default_session()
    named = _named(variables, session)
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r} to restore from")
    try:
        values: dict[str, Array] = load_file(path)
    except SafetensorError as error:
        raise ArgumentError(f"{os.fspath(path)!r} is not a safetensors file: {error}") from error
    except (AttributeError, TypeError) as error:
        # What the library raises for bfloat16 and its like, which NumPy does not have.
        raise ArgumentError(
            f"{os.fspath(path)!r} holds numbers of a dtype that NumPy lacks: {error}"
        ) from error
    problems = _mismatches(named, values, _whole(variables))
    if problems:
        raise ArgumentError(
            f"{os.fspath(path)!r} does not fit these variables; nothing was restored:\n  "
            + "\n  ".join(problems)
        )
    write_values(named.values(), [np.array(values[name]) for name in named], session)


def _path(path: Any) -> Path:
    """The path. Raises `ArgumentTypeError` for anything else, such as another order."""
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(
            f"expected a path first, got {type(path).__name__}: mg.save(path, variables, session=…)"
        )
    return Path(path)


def _mismatches(
    named: Mapping[str, Variable], values: Mapping[str, Array], whole: Sequence[str]
) -> list[str]:
    """One line for every entry that is missing, unexpected or of another shape or dtype.

    Args:
        named: the variables.
        values: what is in the file.
        whole: beginnings of names under which nothing is unexpected but what `named` has.
    """
    lines = [f"missing in the file: {name!r}" for name in named if name not in values]
    extra = [n for n in values if n not in named and n.startswith(tuple(whole))]
    lines += [f"unexpected in the file: {name!r}" for name in extra]
    if extra:
        lines.append(
            "(an optimizer that has made no step yet has no slots: call its build(variables) first)"
        )
    for name, v in named.items():
        if name in values:
            found = values[name]
            if found.shape != v.shape or found.dtype != v.dtype.dtype:
                lines.append(
                    f"{name!r} is {found.dtype} of shape {show(found.shape)} in the file, "
                    f"the variable is {v.dtype} of shape {show(v.shape)}"
                )
    return lines


def _named(variables: Variables | None, session: Session | None) -> dict[str, Variable]:
    """The variables by their names in the file."""
    if variables is None:
        graph = get_default_graph() if session is None else session.graph
        variables = graph.get_collection(GraphKeys.GLOBAL_VARIABLES)
    pairs = _pairs(variables)
    named: dict[str, Variable] = {}
    for name, v in pairs:
        if not isinstance(v, Variable):
            raise ArgumentTypeError(
                f"expected a variable, got {v!r:.200}; save several modules as a dict: "
                '{"model": model, "optimizer": optimizer}'
            )
        if not isinstance(name, str) or name == _METADATA:
            raise ArgumentError(f"{name!r} cannot be the name of a variable in a file")
        if name in named:
            raise ArgumentError(
                f"two variables are called {name!r}; pass a dict of names to variables"
            )
        named[name] = v
    if not named:
        raise ArgumentError("there are no variables; eager ones must be passed explicitly")
    return named


def _whole(variables: Any) -> list[str]:
    """How the names begin that must all be restored: those of whole modules and optimizers."""
    if variables is None or hasattr(variables, "named_variables"):
        return [""]
    if isinstance(variables, Mapping):
        return [f"{name}." for name, v in variables.items() if hasattr(v, "named_variables")]
    return []


def _pairs(variables: Any) -> list[tuple[Any, Any]]:
    """Names and variables, of modules and optimizers too."""
    own = isinstance(variables, type | Variable | Session)
    if not own and hasattr(variables, "named_variables"):
        return list(variables.named_variables())
    if own or not isinstance(variables, Iterable):
        raise ArgumentTypeError(
            "expected a module, an optimizer, or variables as a list or as a dict of names to "
            f"variables, got {variables!r}: mg.save(path, [v, …], session=…)"
        )
    if not isinstance(variables, Mapping):
        return [(getattr(v, "name", None), v) for v in variables]
    made: list[tuple[Any, Any]] = []
    for name, v in variables.items():
        if hasattr(v, "named_variables"):
            made += [(f"{name}.{path}", part) for path, part in v.named_variables()]
        else:
            made.append((name, v))
    return made

"""All primitives by graph op name, and the check that each definition is complete.

Most modules that define primitives are loaded when one of their names is first used. Nobody need
care: a primitive that is missed here, and a list of all, loads the rest of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from minigrad.errors import RegistryError

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive

__all__ = ["verify"]

#: Those that have been defined so far, by graph op name (`"Mul"`).
_defined: dict[str, Primitive[..., Any]] = {}
_names: dict[str, str] = {}
_verified: set[str] = set()
#: Modules that define more, and are not loaded yet.
_waiting: list[str] = []


class _Registry(Mapping[str, "Primitive[..., Any]"]):
    """All primitives of minigrad, and all others that have been defined so far."""

    def __getitem__(self, op: str) -> Primitive[..., Any]:
        if op not in _defined:
            load_all()
        return _defined[op]

    def __iter__(self) -> Iterator[str]:
        load_all()
        return iter(_defined)

    def __len__(self) -> int:
        load_all()
        return len(_defined)


#: Graph op name (`"Mul"`) -> primitive.
REGISTRY: Mapping[str, Primitive[..., Any]] = _Registry()


def later(modules: Iterable[str]) -> None:
    """Name modules that define primitives, for the day that one is missed."""
    _waiting.extend(modules)


def load_all() -> None:
    """Load the modules that are waiting."""
    for module in list(_waiting):
        importlib.import_module(module)
    # Not before: until all are there, another thread has to wait for them too, in its own imports.
    _waiting.clear()


def register(primitive: Primitive[..., Any]) -> None:
    """Enter a primitive. Raises `RegistryError` when its op or public name is taken.

    A definition that is run again, as in a notebook or on a reload, replaces the one before.
    """
    if not _is_own(primitive):
        load_all()  # Who defines one more should learn at once that its name is taken.
    for old in (_defined.get(primitive.op), _defined.get(_names.get(primitive.name, ""))):
        if old is not None and _is_same_place(old, primitive):
            unregister(old)
    taken = _defined.get(primitive.op)
    if taken is not None:
        raise RegistryError(
            f"op {primitive.op!r} is defined twice: {taken!r} has that name already"
        )
    other = _names.get(primitive.name)
    if other is not None:
        raise RegistryError(f"{primitive.name!r} is defined twice: as op {other!r} already")
    _defined[primitive.op] = primitive
    _names[primitive.name] = primitive.op


def _is_own(primitive: Primitive[..., Any]) -> bool:
    return (primitive.__wrapped__.__module__ or "").startswith("minigrad.")


def _is_same_place(old: Primitive[..., Any], new: Primitive[..., Any]) -> bool:
    """Whether a definition stands where the older one stood, which it may replace.

    One of ours only if its module is executed anew, since its first import was interrupted.
    """
    before, now = old.__wrapped__, new.__wrapped__
    if (before.__module__, before.__qualname__) != (now.__module__, now.__qualname__):
        return False
    return not _is_own(new) or before.__globals__ is not now.__globals__


def unregister(primitive: Primitive[..., Any]) -> None:
    """Remove a primitive again, as a test of a third party's definition wants to."""
    _defined.pop(primitive.op, None)
    _names.pop(primitive.name, None)
    _verified.discard(primitive.op)


def primitive_of(name: str) -> Primitive[..., Any]:
    """The primitive with a graph op name (``"Mul"``) or a public name (``"multiply"``).

    Raises:
        RegistryError: there is none.
    """
    found = _defined.get(name) or _defined.get(_names.get(name, ""))
    if found is None and _waiting:
        load_all()
        return primitive_of(name)
    if found is None:
        raise RegistryError(f"no primitive is called {name!r}; registered: {', '.join(_names)}")
    return found


def verify() -> None:
    """Check that every primitive defined so far is complete.

    Called at the end of ``import minigrad``; call it again after defining your own.

    Raises:
        RegistryError: one has no samples, no shape rule, or neither a gradient nor a reason.

    >>> verify()
    """
    for op, primitive in _defined.items():
        if op not in _verified:
            problem = primitive.problem()
            if problem:
                raise RegistryError(f"primitive {primitive.name!r} (op {op!r}) {problem}")
            _verified.add(op)

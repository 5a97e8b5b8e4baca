"""All primitives by graph op name, and the check that each definition is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.errors import RegistryError

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive

__all__ = ["verify"]

#: Graph op name (`"Mul"`) -> primitive.
REGISTRY: dict[str, Primitive[..., Any]] = {}
_names: dict[str, str] = {}
_verified: set[str] = set()


def register(primitive: Primitive[..., Any]) -> None:
    """Enter a primitive. Raises `RegistryError` when its op or public name is taken.

    A definition that is run again, as in a notebook or on a reload, replaces the one before.
    """
    for old in (REGISTRY.get(primitive.op), REGISTRY.get(_names.get(primitive.name, ""))):
        if old is not None and _is_same_place(old, primitive):
            unregister(old)
    taken = REGISTRY.get(primitive.op)
    if taken is not None:
        raise RegistryError(
            f"op {primitive.op!r} is defined twice: {taken!r} has that name already"
        )
    other = _names.get(primitive.name)
    if other is not None:
        raise RegistryError(f"{primitive.name!r} is defined twice: as op {other!r} already")
    REGISTRY[primitive.op] = primitive
    _names[primitive.name] = primitive.op


def _is_same_place(old: Primitive[..., Any], new: Primitive[..., Any]) -> bool:
    """Whether a definition outside the package stands where the older one stood."""
    place = new.__wrapped__.__module__, new.__wrapped__.__qualname__
    own = place[0].startswith("minigrad.")
    return not own and place == (old.__wrapped__.__module__, old.__wrapped__.__qualname__)


def unregister(primitive: Primitive[..., Any]) -> None:
    """Remove a primitive again, as a test of a third party's definition wants to."""
    REGISTRY.pop(primitive.op, None)
    _names.pop(primitive.name, None)
    _verified.discard(primitive.op)


def primitive_of(name: str) -> Primitive[..., Any]:
    """The primitive with a graph op name (``"Mul"``) or a public name (``"multiply"``).

    Raises:
        RegistryError: there is none.
    """
    found = REGISTRY.get(name) or REGISTRY.get(_names.get(name, ""))
    if found is None:
        raise RegistryError(f"no primitive is called {name!r}; registered: {', '.join(_names)}")
    return found


def verify() -> None:
    """Check that every primitive registered so far is complete.

    Called at the end of ``import minigrad``; call it again after registering your own.

    Raises:
        RegistryError: one has no samples, no shape rule, or neither a gradient nor a reason.

    >>> verify()
    """
    for op, primitive in REGISTRY.items():
        if op not in _verified:
            problem = primitive.problem()
            if problem:
                raise RegistryError(f"primitive {primitive.name!r} (op {op!r}) {problem}")
            _verified.add(op)

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
    """Enter a primitive. Raises `RegistryError` when its op or public name is taken."""
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

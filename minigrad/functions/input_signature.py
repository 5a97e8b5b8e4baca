"""`input_signature`: what a function's arguments are brought to before they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.core.convert import array_of
from minigrad.core.current_graph import graph_of
from minigrad.dtypes import as_dtype
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.functions.signature import Opaque
from minigrad.nest import children, is_nest, rebuild
from minigrad.shapes import Spec, as_shape


class InputSignature:
    """A list with an entry for each argument: a `Spec`, or a nest of them.

    Raises:
        ArgumentTypeError: it is none.
    """

    def __init__(self, signature: Any) -> None:
        if not isinstance(signature, list | tuple) or isinstance(signature, Spec):
            raise ArgumentTypeError(
                "input_signature is a list with an entry for each argument, such as "
                f"[mg.Spec((None, 3), mg.float32)]; got {signature!r}"
            )
        self._entries = [_normal(entry) for entry in signature]

    def fit(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], label: str
    ) -> tuple[Any, list[Spec | None]]:
        """The arguments ``(args, kwargs)`` with lists of numbers made arrays; a spec each leaf.

        The instance that a method is called on has no entry, and no spec.

        Raises:
            ArgumentError: they have another structure.
        """
        entries: list[Any] = list(self._entries)
        if args and isinstance(args[0], Opaque):
            entries.insert(0, None)
        if kwargs or len(args) != len(entries):
            raise ArgumentError(
                f"{label}: input_signature describes {len(self._entries)} arguments, the call has "
                f"{len(args) + len(kwargs)}; each argument that can be positional needs an entry, "
                "and others there must not be"
            )
        specs: list[Spec | None] = []
        made = [
            _fitted(entry, x, specs, f"{label}, argument {i}")
            for i, (entry, x) in enumerate(zip(entries, args, strict=True))
        ]
        return (tuple(made), {}), specs


def _normal(entry: Any) -> Any:
    """An entry with proper shapes and dtypes."""
    if isinstance(entry, Spec):
        return Spec(as_shape(entry.shape), as_dtype(entry.dtype))
    if is_nest(entry):
        return rebuild(entry, [_normal(part) for part in children(entry)])
    raise ArgumentTypeError(
        f"input_signature holds a mg.Spec(shape, dtype) for each tensor, got {entry!r}"
    )


def _fitted(entry: Any, x: Any, specs: list[Spec | None], place: str) -> Any:
    """An argument as its entry wants it; the specs of its leaves are added."""
    if entry is None or isinstance(entry, Spec):
        specs.append(entry)
        if entry is not None and is_nest(x) and graph_of(x) is None:
            return array_of(x, entry.dtype)
        return x
    same = type(x) is type(entry) and len(children(x)) == len(children(entry))
    if not same or (isinstance(x, Mapping) and list(x) != list(entry)):
        raise ArgumentError(
            f"{place}: input_signature expects a nest like {entry!r}, got {x!r:.80}"
        )
    pairs = zip(children(entry), children(x), strict=True)
    return rebuild(x, [_fitted(part, item, specs, place) for part, item in pairs])

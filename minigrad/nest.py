"""Nests: any arrangement of lists, tuples, named tuples, dicts and dataclasses around leaves.

The walks are iterative, so a deeply nested structure cannot exhaust the stack.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minigrad.errors import ArgumentError


def is_nest(value: object) -> bool:
    """True for a list, tuple, mapping or dataclass instance.

    >>> is_nest([1]), is_nest({"a": 1}), is_nest("text")
    (True, True, False)
    """
    return _is_nest_type(type(value))  # type: ignore[arg-type]


@functools.lru_cache(1024)
def _is_nest_type(kind: type) -> bool:
    return issubclass(kind, list | tuple | Mapping) or dataclasses.is_dataclass(kind)


def children(value: Any) -> list[Any]:
    """The direct parts of a nest, in order."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return [getattr(value, f.name) for f in dataclasses.fields(value)]


def rebuild(like: Any, parts: list[Any]) -> Any:
    """A nest of the same kind as `like` around new parts."""
    if isinstance(like, Mapping):
        pairs = zip(like, parts, strict=True)
        if hasattr(like, "default_factory"):
            return type(like)(like.default_factory, pairs)  # type: ignore[call-arg]
        return type(like)(pairs)  # type: ignore[call-arg]
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*parts)
    if isinstance(like, list | tuple):
        return type(like)(parts)
    made = copy.copy(like)
    for field, part in zip(dataclasses.fields(like), parts, strict=True):
        # Not through __init__, which may lack a field or refuse other values; nor __setattr__,
        # which a frozen class refuses.
        object.__setattr__(made, field.name, part)
    return made


def flatten(value: Any) -> list[Any]:
    """The leaves of a nest, in order; None counts as a leaf.

    >>> flatten({"a": [1, 2], "b": (3,)})
    [1, 2, 3]
    """
    leaves: list[Any] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if is_nest(item):
            stack.extend(reversed(children(item)))
        else:
            leaves.append(item)
    return leaves


def unflatten(like: Any, leaves: Iterable[Any]) -> Any:
    """A nest shaped like `like` whose leaves are `leaves`.

    Raises:
        ArgumentError: the number of leaves differs.

    >>> unflatten({"a": [0, 0], "b": (0,)}, [1, 2, 3])
    {'a': [1, 2], 'b': (3,)}
    """
    source = list(leaves)
    expected = len(flatten(like))
    if len(source) != expected:
        raise ArgumentError(f"expected {expected} leaves for this nest, got {len(source)}")
    done: list[Any] = []
    # Each entry is (nest, number of children) on the way up, or a value on the way down.
    stack: list[tuple[Any, int | None]] = [(like, None)]
    feed = iter(source)
    while stack:
        item, count = stack.pop()
        if count is not None:
            parts = done[len(done) - count :]
            del done[len(done) - count :]
            done.append(rebuild(item, parts))
        elif is_nest(item):
            parts = children(item)
            stack.append((item, len(parts)))
            stack.extend((part, None) for part in reversed(parts))
        else:
            done.append(next(feed))
    return done[0]


def packer(like: Any) -> Callable[[list[Any]], Any]:
    """A function that does `unflatten` for one nest again and again, from a list of leaves.

    >>> packer([0, (0, 0)])(["a", "b", "c"])
    ['a', ('b', 'c')]
    """
    places = list(range(len(flatten(like))))
    text = None
    if len(places) <= _PACKED and _is_plain(like):
        text = repr(unflatten(like, [_Place(at) for at in places]))
    if text is None:
        return lambda leaves: unflatten(like, leaves)
    # Nothing but brackets, commas and the words of _Place: a tenth of the time of a walk.
    made: Callable[[list[Any]], Any] = eval(f"lambda leaves: {text}")
    return made


#: Larger nests are walked: the walk is not what takes the time there.
_PACKED = 500


class _Place(int):
    """Stands for a leaf while the text of a packing function is made."""

    def __repr__(self) -> str:
        return f"leaves[{int(self)}]"


def _is_plain(value: Any) -> bool:
    """Whether a nest consists of lists and tuples that are not deep."""
    level = [value]
    for _ in range(8):
        inner = [item for item in level if is_nest(item)]
        if not inner:
            return True
        if any(type(item) not in (list, tuple) for item in inner):
            return False
        level = [part for item in inner for part in item]
    return False


def map_structure(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """Apply `function` to the leaves of one nest, or of several of the same structure.

    >>> map_structure(lambda a, b: a + b, [1, {"x": 2}], [10, {"x": 20}])
    [11, {'x': 22}]
    """
    columns = [flatten(n) for n in (nest, *others)]
    if len({len(c) for c in columns}) > 1:
        raise ArgumentError(f"the nests have {[len(c) for c in columns]} leaves; they must match")
    return unflatten(nest, [function(*row) for row in zip(*columns, strict=True)])

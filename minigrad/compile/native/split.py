"""Long modules cut into shorter ones that mean the same, to be compiled one after the other.

A call into LLVM cannot be interrupted; between two modules Ctrl-C is heeded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

#: A module of fewer lines is not cut.
LONG = 3000
_PART = 1500

_NAME = re.compile(r'@("[^"]+"|[\w.$-]+)')
_LOCAL = re.compile(r"^define\s+(?:internal|private)\b")
_CONSTANT = re.compile(r"^@\S+ = (?:internal|private)\b[^=]*?\bconstant\b")


class _Item(NamedTuple):
    """What stands at the top level of a module: its name, its text, the names it refers to."""

    name: str
    text: str
    uses: frozenset[str]


class _Items(NamedTuple):
    declarations: dict[str, _Item]
    copied: dict[str, _Item]
    functions: dict[str, _Item]
    types: list[str]


def split(ir: str) -> list[str]:
    """A module cut between its functions, each of which sees the others as before.

    One that is short stays whole, and so does one that holds what cannot be cut: variables, or
    anything but functions, constants and types.

    >>> split("define void @f() { ret void }")
    ['define void @f() { ret void }']
    """
    if ir.count("\n") < LONG:
        return [ir]
    items = _read(ir)
    if items is None:
        return [ir]
    return [_module(part, items) for part in _parts(items.functions.values())]


def _read(ir: str) -> _Items | None:
    items = _Items({}, {}, {}, [])
    for text in _top_level(ir):
        if text.startswith("%"):
            items.types.append(text)
            continue
        named = _NAME.search(text)
        if named is None:
            return None
        name = named[1]
        item = _Item(name, text, frozenset(_NAME.findall(text)) - {name})
        if text.startswith("declare"):
            items.declarations[name] = item
        elif text.startswith("define"):
            # A body that is put in place of its calls has to be where these are.
            inline = "alwaysinline" in text.split("\n", 1)[0]
            (items.copied if inline and _LOCAL.match(text) else items.functions)[name] = item
        elif _CONSTANT.match(text):
            items.copied[name] = item
        else:
            return None
    return items


def _top_level(ir: str) -> Iterator[str]:
    """The texts of a module's functions, and its other lines, without comments and blank lines."""
    body: list[str] = []
    for line in ir.split("\n"):
        if body:
            body.append(line)
            if line.startswith("}"):
                yield "\n".join(body)
                body = []
        elif line.startswith("define") and not line.rstrip().endswith("}"):
            body.append(line)
        elif line.strip() and not line.lstrip().startswith(";"):
            yield line.strip()


def _parts(functions: Iterable[_Item]) -> Iterator[list[_Item]]:
    part: list[_Item] = []
    lines = 0
    for function in functions:
        part.append(function)
        lines += function.text.count("\n")
        if lines >= _PART:
            yield part
            part, lines = [], 0
    if part:
        yield part


def _module(part: Sequence[_Item], items: _Items) -> str:
    """A module of some of the functions, with all that these need."""
    needed: dict[str, str] = {function.name: _public(function.text) for function in part}
    waiting = sorted(frozenset[str]().union(*(function.uses for function in part)))
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        if name in items.copied:
            needed[name] = items.copied[name].text
            waiting.extend(sorted(items.copied[name].uses))
        elif name in items.declarations:
            needed[name] = items.declarations[name].text
        elif name in items.functions:
            needed[name] = _declaration(items.functions[name].text)
    return "\n".join([*items.types, *needed.values()]) + "\n"


def _public(text: str) -> str:
    """A function that other modules of the same library see, and nobody else."""
    return _LOCAL.sub("define hidden", text, count=1)


def _declaration(text: str) -> str:
    """What declares a function that is defined so: all before the brace that opens its body."""
    text = _public(text)
    end = text.index("(", text.index("@"))
    depth = 1
    while depth:
        end += 1
        depth += {"(": 1, ")": -1}.get(text[end], 0)
    return "declare" + text[len("define") : text.index("{", end)]

"""The reference entry of a primitive, made from its definition."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from minigrad.core.primitive import Primitive
from minigrad.core.registry import REGISTRY, primitive_of
from minigrad.errors import RegistryError

_DTYPES = {
    "any": "all",
    "numeric": "integers, floats and complex",
    "real": "integers and floats",
    "float": "floats and complex; bools and integers become float32",
    "real_float": "floats; bools and integers become float32",
    "integral": "bools and integers",
    "integer": "integers",
    "bool": "bools",
}


def signature(primitive: Primitive[..., Any]) -> str:
    """The call as its user writes it, without annotations.

    >>> import minigrad as mg
    >>> signature(mg.sum)
    'sum(x, /, *, axis=None, dtype=None, keepdims=False)'
    """
    whole = inspect.signature(primitive.__wrapped__)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in whole.parameters.values()]
    plain = whole.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    return f"{primitive.name}{plain}"


def entry(primitive: Primitive[..., Any]) -> str:
    """All that the definition says of a primitive or composite: one page of text."""
    if primitive.is_composite:
        gradient = "that of the ops it is made of"
    else:
        gradient = f"none: {primitive.not_differentiable}"
    if primitive.gradient_rule is not None:
        gradient = "yes"
    facts = {
        "node": primitive.op,
        "kind": "composite" if primitive.is_composite else "primitive",
        "dtypes": "those of the ops it is made of"
        if primitive.is_composite
        else _DTYPES[primitive.accepts],
        "gradient": gradient,
        "effect": primitive.effect,
        "checked on": f"{len(primitive.make_samples())} samples",
    }
    lines = [f"{key + ':':12}{value}" for key, value in facts.items()]
    return "\n".join([signature(primitive), "", inspect.getdoc(primitive) or "", "", *lines])


def print_reference(names: Sequence[str] = (), out: TextIO | None = None) -> int:
    """Print the entries of some primitives, or a line for each of all; 1 for an unknown name.

    >>> print_reference(["no_such_op"])
    no primitive is called 'no_such_op'; run without names to see all
    1
    """
    out = sys.stdout if out is None else out
    if not names:
        every = sorted(REGISTRY.values(), key=lambda p: p.name.lower())
        width = max(len(p.name) for p in every)
        for p in every:
            first = (inspect.getdoc(p) or "").partition("\n")[0]
            print(f"{p.name:{width}}  {first}", file=out)
        return 0
    for i, name in enumerate(names):
        try:
            found = primitive_of(name)
        except RegistryError:
            print(f"no primitive is called {name!r}; run without names to see all", file=out)
            return 1
        print(("\n" if i else "") + entry(found), file=out)
    return 0

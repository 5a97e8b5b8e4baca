"""Installs Python's operators and the methods on tensors and variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.core.bind import bind
from minigrad.core.operators import Operators
from minigrad.core.primitive import Primitive
from minigrad.ops.elementwise import add, multiply


def _binary(primitive: Primitive[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The operator and its reflection."""

    def forward(self: Any, other: Any) -> Any:
        return bind(primitive, self, other)

    def reflected(self: Any, other: Any) -> Any:
        return bind(primitive, other, self)

    return forward, reflected


def install() -> None:
    """Give `Tensor` and `Variable` their operators."""
    for name, primitive in {"add": add, "mul": multiply}.items():
        forward, reflected = _binary(primitive)
        setattr(Operators, f"__{name}__", forward)
        setattr(Operators, f"__r{name}__", reflected)

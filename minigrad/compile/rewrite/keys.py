"""What instructions that compute the same have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.compile.program import Instruction, Operand


def key_of_step(step: Instruction, inputs: Sequence[Any]) -> Any:
    """What two pure steps share if they compute the same, given the keys of their inputs."""
    return step.kind, step.name, tuple(inputs), _key_of_attrs(step.attrs)


def key_of(x: Operand | None) -> Any:
    """What two operands share if they have the same elements."""
    if x is None:
        return None
    constant = x.constant
    if constant is not None:
        # Larger ones are all different; see `Rewriter.now`.
        return (x.dtype, x.shape, constant.tobytes()) if constant.size <= 1 else x
    view = x.view
    return x if view is None else (view, x.shape)


def _key_of_attrs(attrs: dict[str, Any]) -> Any:
    if not attrs:
        return ()
    return tuple([(name, _key_of_value(value)) for name, value in attrs.items()])


def _key_of_value(value: Any) -> Any:
    """A key that tells 1 from 1.0 and 0.0 from -0.0; anything unusual by its identity."""
    kind = type(value)
    if kind in (int, str, bool) or value is None:
        return (kind, value)
    if kind is float:
        return (kind, value.hex())
    if kind is tuple:
        return tuple([_key_of_value(v) for v in value])
    return (kind, id(value))

"""Constant arrays as attributes of nodes."""

from __future__ import annotations

from typing import Any

from minigrad.core.tensor import Array
from minigrad.dtypes import from_numpy
from minigrad.shapes import Spec

#: Integer tensors up to this size keep their value in their static spec.
_SMALL = 64


class Literal:
    """An array that can be an attribute: hashable by identity, never written to."""

    __slots__ = ("array", "captured")

    def __init__(self, array: Array, captured: int = 0) -> None:
        self.array = array
        #: Identity on tapes of the watched eager tensor that this constant came from, or 0.
        self.captured = captured

    def __repr__(self) -> str:
        if self.array.size <= 4:
            return str(self.array.tolist())
        return f"<{self.array.dtype} array of shape {self.array.shape}>"


def constant_spec(array: Array) -> Spec:
    """The spec of a constant; small integer ones carry their value, for shape rules."""
    value: Any = None
    if array.dtype.kind in "iu" and array.ndim <= 1 and array.size <= _SMALL:
        value = tuple(array.tolist()) if array.ndim else array.item()
    return Spec(array.shape, from_numpy(array.dtype), value)

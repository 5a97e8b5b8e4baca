"""What gradient rules see and return; effects; the categories of dtypes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from minigrad.dtypes import DType, from_numpy

if TYPE_CHECKING:
    from minigrad.core.indexed_slices import IndexedSlices
    from minigrad.core.tensor import Tensor

__all__ = ["Ctx", "Grads"]

#: What a gradient rule returns: one entry an input, None where nothing flows.
Grads: TypeAlias = "Tensor | IndexedSlices | None | Sequence[Tensor | IndexedSlices | None]"

#: What an op does beside computing. Only pure nodes may be folded or merged. "body": what the ops
#: in the bodies among its attributes do.
Effect: TypeAlias = Literal["pure", "draw", "read", "write", "host", "body"]

#: Effects, the weakest first.
STRENGTH: tuple[Effect, ...] = ("pure", "read", "draw", "host", "write")

#: A gradient rule.
Rule: TypeAlias = "Callable[[Ctx], Grads]"

#: The dtypes that a primitive computes with. "float" turns integers and bools into float32.
Accepts: TypeAlias = Literal[
    "any", "numeric", "real", "float", "real_float", "integral", "integer", "bool"
]


class Ctx:
    """What a gradient rule sees: one call's inputs, outputs, upstream gradients and attributes."""

    __slots__ = ("attrs", "grads", "inputs", "needs", "outputs", "reached")

    def __init__(
        self,
        inputs: tuple[Any, ...],
        outputs: tuple[Any, ...],
        grads: tuple[Any, ...],
        attrs: SimpleNamespace,
        needs: tuple[bool, ...],
        reached: tuple[bool, ...] = (),
    ) -> None:
        #: The inputs; None for one left out. Values only of those named in `saves`.
        self.inputs: tuple[Any, ...] = inputs
        #: The outputs. Values only of those named in `saves`.
        self.outputs: tuple[Tensor, ...] = outputs
        #: The gradient for each output; zeros where nothing flows.
        self.grads: tuple[Tensor, ...] = grads
        self.attrs = attrs
        #: For each input, whether its gradient is wanted; the others may be None.
        self.needs = needs
        #: For each output, whether a gradient arrived there; `grads` holds zeros for the others.
        self.reached = reached or (True,) * len(outputs)


@functools.cache
def accepted_dtypes(accepts: Accepts) -> tuple[DType, ...]:
    """The dtypes of a category."""
    from_names: Callable[..., list[DType]] = lambda *names: [from_numpy(np.dtype(n)) for n in names]  # noqa: E731
    floats = from_names("float16", "float32", "float64")
    complexes = from_names("complex64", "complex128")
    signs = [f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)]
    integers = from_names(*signs)
    truth = from_names("bool")
    text = from_names("object")
    return tuple(
        {
            "any": [*truth, *integers, *floats, *complexes, *text],
            "numeric": [*integers, *floats, *complexes],
            "real": [*integers, *floats],
            "float": [*floats, *complexes],
            "real_float": floats,
            "integral": [*truth, *integers],
            "integer": integers,
            "bool": truth,
        }[accepts]
    )

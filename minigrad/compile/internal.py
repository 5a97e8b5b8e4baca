"""Steps that only plans have: no graph holds them, and no user calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.core.primitive import Primitive


def internal(op: str) -> Callable[[Callable[..., Any]], Primitive[..., Any]]:
    """Decorate the kernel of such a step: of arrays and attributes, with one result."""

    def put(kernel: Callable[..., Any]) -> Primitive[..., Any]:
        made: Primitive[..., Any] = Primitive(
            kernel,
            op=op,
            outputs=1,
            effect="pure",
            elementwise=False,
            accepts="any",
            result=None,
            promote=(),
            shape_only=(),
            numpy=None,
            samples=[],
            errors=[],
            not_differentiable="plans are made after gradients",
        )
        made.kernel(kernel)
        return made

    return put

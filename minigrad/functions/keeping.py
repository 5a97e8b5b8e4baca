"""What to keep of a forward run for the way back, and what to compute again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from minigrad.core.operation import Operation, SymbolicTensor

#: Tensors of at most so many elements are computed again rather than kept: that takes less time
#: than handing out an array.
_SMALL = 1024
#: Beside elementwise ops, those that take time in proportion to what they read and make.
_LINEAR = frozenset(
    [
        "Identity",
        "StopGradient",
        "Cast",
        "Reshape",
        "ReshapeLike",
        "Transpose",
        "MatrixTranspose",
        "ExpandDims",
        "Squeeze",
        "BroadcastTo",
        "BroadcastLike",
        "SumToLike",
        "Sum",
        "Mean",
    ]
)


def without_cheap(
    tensors: Sequence[SymbolicTensor], given: set[SymbolicTensor]
) -> list[SymbolicTensor]:
    """What to keep, so that these tensors are there or are computed from it in no time."""
    kept: dict[SymbolicTensor, None] = {}
    seen = set(tensors)
    stack = list(tensors)
    while stack:
        t = stack.pop()
        if t in given or not _is_cheap(t.op):
            kept[t] = None
            continue
        for x in t.op.inputs:
            if x is not None and x not in seen:
                seen.add(x)
                stack.append(x)
    return sorted(kept, key=lambda t: (t.op.index, t.index))


def _is_cheap(op: Operation) -> bool:
    primitive = op.primitive
    if primitive.effect != "pure" or op.control_inputs:
        return False
    if not (primitive.elementwise or op.type in _LINEAR):
        return False
    return all(
        t is None or (t.spec.known() and math.prod(cast("tuple[int, ...]", t.spec.shape)) <= _SMALL)
        for t in (*op.inputs, *op.outputs)
    )

"""What the check of a loss in a session refuses: what cannot be computed, or not twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minigrad.control_flow.case_layout import taken
from minigrad.core.body import bodies_of
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.tensor import Array
from minigrad.errors import FeedError, GradientError
from minigrad.feeds import missing_feed


def check_needed(needed: Sequence[Operation]) -> None:
    """Refuse what cannot be computed, or not twice."""
    for op in needed:
        if op.type == "Placeholder":
            raise FeedError(missing_feed(op))
        if op.primitive.effect == "draw":
            raise GradientError(
                f"the loss draws random numbers in node {op.name!r} ({op.type}, {op.line}), so "
                "differences would compare different draws; switch dropout and noise off for the "
                "check, or feed the drawn tensor a fixed value"
            )


def check_bodies(op: Operation, index: Array | None = None) -> None:
    """Refuse a branch or loop that draws, assigns or calls Python, naming the node that does.

    Args:
        op: the branch or loop.
        index: which of several branches is taken, where that is known; the others may do anything.
    """
    bodies = bodies_of(op.attrs)
    if op.type == "Case" and index is not None:
        bodies = [bodies[taken(index, len(bodies))]]
    for body in bodies:
        for inner in body.computing():
            if inner.primitive.has_bodies:
                check_bodies(inner)
            elif inner.effect in ("draw", "write", "host"):
                does = {"draw": "draws random numbers", "write": "assigns a variable"}.get(
                    inner.effect, "calls a Python function"
                )
                raise GradientError(
                    f"node {inner.name!r} ({inner.type}, {inner.line}), in the body of "
                    f"{op.name!r}, {does}; a check would do that again for every difference"
                )


def taken_index(
    op: Operation, depends: set[Operation], values: Mapping[SymbolicTensor, Array]
) -> Array | None:
    """The index of the branch that all differences take; None where it may vary, or for a loop."""
    index = op.inputs[0] if op.type == "Case" else None
    return None if index is None or index.op in depends else values[index]

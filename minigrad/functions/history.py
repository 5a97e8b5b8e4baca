"""How often a function was traced, why, and the warning that it is too often."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from minigrad.core.observing import Observed
from minigrad.functions.signature import Key, ObjectLeaf, TensorLeaf, ValueLeaf, show_leaf

#: How many traces are made before a warning, if they serve too few calls each.
_MANY, _CALLS_EACH = 8, 4


class FunctionStats(NamedTuple):
    """What `Function.stats` gives.

    Attributes:
        traces: how often the function was traced.
        kept: how many traces there are now; the others were dropped.
        calls: how many calls traces have served.
        signatures: for each trace that is kept what it serves.
        last_reason: why the last trace was made.
    """

    traces: int
    kept: int
    calls: int
    signatures: tuple[str, ...]
    last_reason: str


class History:
    """The tracings of one function so far."""

    def __init__(self) -> None:
        self.traces = 0
        #: Calls served by traces that were dropped.
        self.calls_before = 0
        self.last_reason = "it was not called yet"

    def note(self, label: str, reason: str, advice: str, calls: int, stacklevel: int) -> None:
        """Count one more trace, and warn when there are too many.

        Args:
            label: how messages call the function.
            reason: why it was traced.
            advice: what to do about it.
            calls: how many calls all traces have served.
            stacklevel: of the warning, as seen from the caller.
        """
        self.traces += 1
        self.last_reason = reason
        if self.traces % _MANY == 0 and calls < _CALLS_EACH * self.traces:
            warnings.warn(
                f"{label} has been traced {self.traces} times for {calls + 1} calls; a trace takes "
                f"far longer than a call. This time because {reason}. {advice}",
                RuntimeWarning,
                stacklevel=stacklevel + 1,
            )


def explain(
    key: Key, kept: Sequence[tuple[Key, Observed | None]], names: Sequence[str]
) -> tuple[str, str]:
    """Why a call needs a trace of its own, and what to do if that happens often.

    Args:
        key: the call's signature.
        kept: those of the traces there are, with what has changed since for one that would serve.
        names: for each leaf of the call what the function calls it.
    """
    if not kept:
        return "it was called for the first time", ""
    for other, observed in kept:
        if observed is not None and other == key:
            return (
                f"{observed.what} has changed",
                "Such attributes are part of a trace; a variable or schedule in their place is not",
            )
    alike = [other for other, _ in kept if other.structure == key.structure]
    if not alike:
        return (
            "the arguments have another structure",
            "Pass nests of the same lengths and keys each time",
        )

    def differing(other: Key) -> list[int]:
        return [i for i, leaf in enumerate(key.leaves) if leaf != other.leaves[i]]

    nearest = min(reversed(alike), key=lambda other: len(differing(other)))
    place = differing(nearest)[0]
    new, old = key.leaves[place], nearest.leaves[place]
    reason = f"argument {names[place]!r} is {show_leaf(new)}, not {show_leaf(old)} as before"
    if isinstance(new, TensorLeaf) and isinstance(old, TensorLeaf):
        if new.dtype is not old.dtype:
            return reason, "Convert arguments to one dtype before the call"
        return reason, (
            "Let sizes that vary be unknown: input_signature=[mg.Spec((None, …), dtype)], or "
            "reduce_retracing=True; or pad to a few sizes"
        )
    if isinstance(new, ValueLeaf) and new.kind in (int, float, complex):
        return reason, (
            "Python numbers are part of the signature: pass a tensor, such as mg.asarray(n), if it "
            "may be one"
        )
    if isinstance(new, ObjectLeaf):
        return reason, "Objects are part of the signature: pass the same one each time"
    return reason, "Values that are no tensors are part of the signature"

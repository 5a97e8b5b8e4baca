"""What a side of the comparison is: the workloads, written as its own users would."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from benchmarks.workloads import CHECKED_STEPS, Array, Found, Values, Workload

#: The vector, and what is added to it, in the chain of adds.
ADDS_SIZE, ADDS_SUMMAND = 16, 0.5


class Case(NamedTuple):
    """A workload that is ready to run.

    Attributes:
        step: runs it once, and waits for the result.
        found: what comes out, to be checked; asked once, before the first step.
    """

    step: Callable[[], Any]
    found: Callable[[], Found]


class Adds(NamedTuple):
    """A chain of adds with its gradient, which has run once.

    Attributes:
        step: runs it again.
        value: the sum that came out.
        gradient: its gradient for the vector.
    """

    step: Callable[[], Any]
    value: float
    gradient: Array


class Options(NamedTuple):
    """How a side is to run.

    Attributes:
        threads: how many.
        executor: the argument of minigrad's `Session`; None for its default.
    """

    threads: int = 2
    executor: str | None = None


class Side(ABC):
    """One side. Values come in float32; parameters and gradients keep the workloads' layouts.

    Attributes:
        variants: the ways that it can be run, the usual one first.
        slow: those of them that are timed only on request.
        only_steps: those that are the usual one but for how a call is made: nothing but steps of
            W1 to W8 is measured of them.
        longest_chain: adds of the longest chain that it builds in reasonable time, by variant;
            for those that are not named here, none.
        longest_slow_chain: the same where there is much time.
    """

    variants: ClassVar[tuple[str, ...]]
    slow: ClassVar[frozenset[str]] = frozenset()
    only_steps: ClassVar[frozenset[str]] = frozenset()
    longest_chain: ClassVar[dict[str, int]] = {}
    longest_slow_chain: ClassVar[dict[str, int]] = {}

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def version(self) -> str:
        """The version of what is measured."""

    def case(self, workload: Workload, values: Values, variant: str) -> Case:
        """A workload, ready to run."""
        made: Case = getattr(self, workload.method)(values, variant)
        return made

    @abstractmethod
    def elementwise_chain(self, values: Values, variant: str) -> Case:
        """W1."""

    @abstractmethod
    def classifier(self, values: Values, variant: str) -> Case:
        """W2, W3."""

    @abstractmethod
    def gelu(self, values: Values, variant: str) -> Case:
        """W4."""

    @abstractmethod
    def cross_entropy(self, values: Values, variant: str) -> Case:
        """W5."""

    @abstractmethod
    def lenet(self, values: Values, variant: str) -> Case:
        """W6."""

    @abstractmethod
    def lstm(self, values: Values, variant: str) -> Case:
        """W7."""

    @abstractmethod
    def transformer_block(self, values: Values, variant: str) -> Case:
        """W8."""

    def warm_up(self) -> None:
        """What a framework does once in a process; it is not to count for the chain of adds."""
        return None

    def adds(self, length: int, variant: str) -> Adds:
        """Build ``h = h + 0.5``, so often, on a vector of ones; sum, differentiate, and run it."""
        raise NotImplementedError(f"{type(self).__name__} takes no part in the chain of adds")


def gradient_case(call: Callable[[], tuple[Any, Iterable[Any]]]) -> Case:
    """A case from a function that returns the loss and the gradients, as arrays or like them."""

    def found() -> Found:
        loss, gradients = call()
        return Found([float(np.asarray(loss))], [np.array(g) for g in gradients])

    return Case(call, found)


def training_case(
    step_on: Callable[[int], Any], first_gradients: Callable[[], Sequence[Any]], batches: int
) -> Case:
    """A case from a function that makes a step on the batch of a number, and returns its loss."""
    numbers = itertools.cycle(range(batches))

    def step() -> Any:
        return step_on(next(numbers))

    def found() -> Found:
        gradients = [np.array(g) for g in first_gradients()]
        return Found([float(np.asarray(step())) for _ in range(CHECKED_STEPS)], gradients)

    return Case(step, found)

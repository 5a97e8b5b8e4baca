"""Bodies of branches and loops that draw random numbers, each run by code of its own.

Such a branch or loop stays a call of its kernel, and numbers are reserved in the run's transaction
as it goes; only what a body computes is compiled, for the shapes that it is first run with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from minigrad.compile.lock import lock
from minigrad.compile.lower import NotPlanned, lower
from minigrad.compile.program import Program
from minigrad.compile.simplifying import simplify
from minigrad.core.body import Body
from minigrad.core.operation import SymbolicTensor
from minigrad.core.tensor import Array
from minigrad.executor.plan import Plan
from minigrad.executor.reference import Runner, Way

#: A body is compiled for so many combinations of shapes. Those of a loop may change in every run.
_MOST_CODES = 2


class _Code(Protocol):
    def run(
        self, feeds: Sequence[Array], cells: dict[int, Array], transaction: Any, way: Way
    ) -> tuple[list[Array], dict[int, Array]]: ...


class BodyCodes:
    """The code of the bodies of one program, made when they are first run.

    Args:
        make: from a program to its code.
    """

    def __init__(self, make: Callable[[Program], _Code]) -> None:
        self._make = make
        self._codes: dict[Any, dict[Any, _Code | None]] = {}

    def runner(self, transaction: Any, wanted: tuple[bool, ...], way: Way) -> Runner:
        """What the kernel of a branch or loop runs its bodies with."""
        return _CompiledRunner(self, transaction, wanted, way)

    def code(self, plan: Plan, inputs: Sequence[Array]) -> _Code | None:
        """The code of a body's plan for inputs like these; None if it runs node by node."""
        codes = self._codes.get(plan)
        if codes is None:
            codes = self._codes.setdefault(plan, {})
        key = tuple([(x.shape, x.dtype) for x in inputs])
        try:
            return codes[key]
        except KeyError:
            with lock:
                if key not in codes:
                    if len(codes) >= _MOST_CODES:
                        return None
                    codes[key] = self._compiled(plan, key)
                return codes[key]

    def _compiled(self, plan: Plan, specs: Any) -> _Code | None:
        try:
            return self._make(simplify(lower(plan, specs, {})))
        except NotPlanned:
            return None


class _CompiledRunner(Runner):
    """A runner that runs bodies with draws, and no other effects, by their code."""

    __slots__ = ("_codes",)

    def __init__(
        self, codes: BodyCodes, transaction: Any, wanted: tuple[bool, ...], way: Way
    ) -> None:
        super().__init__(transaction, wanted, way)
        self._codes = codes

    def looping(self) -> Runner:
        """A runner for the iterations of one loop."""
        state = super().looping()._transaction
        return _CompiledRunner(self._codes, state, self.wanted, self._way)

    def prepared(
        self, body: Body, outputs: tuple[SymbolicTensor, ...]
    ) -> Callable[[Sequence[Array]], list[Array]]:
        """A function of the body's inputs that gives the values of some of its tensors."""
        node_by_node = super().prepared(body, outputs)
        plan = body.plans[outputs]
        if not _draws(plan) or self._way.check_numerics:
            return node_by_node
        codes, transaction, way = self._codes, self._transaction, self._way

        def run(inputs: Sequence[Array]) -> list[Array]:
            code = codes.code(plan, inputs)
            if code is None:
                return node_by_node(inputs)
            return code.run(inputs, {}, transaction, way)[0]

        return run


def _draws(plan: Plan) -> bool:
    """Whether a plan draws random numbers and does nothing else beside computing."""
    return {op.primitive.effect for op in plan.steps} - {"pure"} == {"draw"}

"""What is special about the calls of modules under way: a training flag, or a dry run."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.core.context import changed
from minigrad.core.current_graph import get_default_graph
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentTypeError
from minigrad.nn.initializers import Zeros
from minigrad.shapes import show

if TYPE_CHECKING:
    from minigrad.nn.modules.base.declared import Declared

__all__: list[str] = []


class DryRun:
    """A run that only finds shapes: stand-ins for variables not made yet, and what was returned."""

    def __init__(self) -> None:
        self._stand_ins: dict[Declared, Variable] = {}
        #: Each module called, in order of the calls' ends, and what it returned.
        self.results: list[tuple[Any, Any]] = []

    def variable(self, declared: Declared) -> Variable:
        """A variable of the graph of the moment, of the declared shape and dtype."""
        found = self._stand_ins.get(declared)
        if found is None:
            # A variable is not made in the body of a loop, but in the graph around it.
            root = get_default_graph().root
            with changed(graph=root, control=(), tapes=(), log=None):
                zeros = Zeros()(declared.shape, declared.dtype)
                found = Variable(zeros, trainable=declared.trainable, name="parameter")
            self._stand_ins[declared] = found
        return found


class Call(NamedTuple):
    """What holds for a call of a module and for all calls inside it."""

    #: What stands in for every module's own `training`, or None.
    training: Any = None
    dry: DryRun | None = None


_NOTHING = Call()
CALL: ContextVar[Call] = ContextVar("minigrad.nn.call", default=_NOTHING)


def training_flag(value: Any) -> Any:
    """A checked value for `training`: a bool, or a boolean scalar tensor.

    Raises:
        ArgumentTypeError: anything else.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Tensor | Variable):
        spec = value.spec
        if spec.dtype.is_bool and spec.shape in ((), None):
            return value
        raise ArgumentTypeError(
            "training is True, False or a boolean scalar tensor, got a tensor of "
            f"{spec.dtype} and shape {show(spec.shape)}"
        )
    raise ArgumentTypeError(f"training is True, False or a boolean scalar tensor, got {value!r}")

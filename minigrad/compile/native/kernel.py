"""What a native kernel is to the rest: functions to be called one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from minigrad.compile.native.types import I64, PTR
from minigrad.compile.native.writer import Module, Value, Writer

if TYPE_CHECKING:
    from minigrad.compile.program import Operand


class Phase(NamedTuple):
    """One function ``void @f(ptr args, i64 lo, i64 hi)``, to be run over all its units.

    Attributes:
        function: its name in the module.
        units: how many units of work there are, cut by shape alone; they may run in any order.
        work: an estimate of the nanoseconds that all of them take on one core.
    """

    function: str
    units: int
    work: float


class Kernel(NamedTuple):
    """The phases of a kernel; each begins when all units of the one before are done.

    The args are pointers: to the inputs, the outputs, the scratch memory if any, and last to what
    an epilogue reads or writes.
    """

    phases: tuple[Phase, ...]
    scratch_bytes: int = 0
    #: Whether it may set the flag that says that the run is to stop.
    stops: bool = False


class Arg(NamedTuple):
    """An arg of a kernel: an operand that has elements, and how many bytes into them it points."""

    root: Operand
    offset: int = 0


class PieceCode(NamedTuple):
    """The kernel of a piece, the args it reads, and those it writes, which follow them.

    After the scratch memory come what an epilogue reads and writes: `more`.

    Attributes:
        inside: the pieces of the bodies of a branch or loop, each with what it belongs to.
        blocks: in how many blocks of rows a loop goes through its runs.
    """

    kernel: Kernel
    reads: list[Arg]
    writes: list[Arg]
    more: Sequence[Arg] = ()
    inside: Sequence[tuple[str, Any]] = ()
    blocks: int = 1

    @property
    def args(self) -> list[Arg]:
        """All of them."""
        return [*self.reads, *self.writes, *self.more]


#: Called for every vector of results before it is stored: ``(w, value, row, column, mask)`` gives
#: the vector to store in its place. `row` and `column` are the indices of its first element in the
#: result seen as a matrix, `mask` the lanes that exist, or None when all do.
Epilogue: TypeAlias = Callable[[Writer, Value, Value, Value, Value | None], Value]


def kernel_function(module: Module) -> Writer:
    """Begin a function of a kernel; end it with `Writer.finish_once`, which names it."""
    return module.function("NAME", [("args", PTR), ("lo", I64), ("hi", I64)])


def operand(w: Writer, position: int) -> Value:
    """The pointer at a position of the args."""
    return w.make(PTR, f"load ptr, ptr {w.at(w.parameters[0], position, PTR).text}, align 8")

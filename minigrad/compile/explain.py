"""What becomes of a graph when it is compiled, in words."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minigrad.compile.bodies import LoopForm
from minigrad.compile.finishing import Finished
from minigrad.compile.fuse import Group, Piece, steps_of
from minigrad.compile.program import Instruction, Operand, Program
from minigrad.core.operation import Operation
from minigrad.dtypes import from_numpy
from minigrad.shapes import show
from minigrad.threads import get_num_threads


class Laid(NamedTuple):
    """One piece of a compiled program.

    Attributes:
        piece: its instructions.
        native: whether it runs in native code.
        reads: what it reads from memory.
        writes: what it leaves in memory.
        seconds: what it took, where a run was given.
        inside: of a branch or loop, the pieces of the bodies, each with what it belongs to.
        blocks: in how many blocks of rows a loop goes through its runs.
    """

    piece: Piece | Finished
    native: bool
    reads: Sequence[Operand]
    writes: Sequence[Operand]
    seconds: float | None = None
    inside: Sequence[tuple[str, Any]] = ()
    blocks: int = 1


class Layout(NamedTuple):
    """How a program was compiled.

    Attributes:
        pieces: in the order in which they run.
        arena: where each intermediate value begins.
        arena_bytes: how large the arena is.
        code: the native code of it, a function for every piece; None without native code.
    """

    pieces: Sequence[Laid]
    arena: dict[Any, int]
    arena_bytes: int
    code: Any = None

    @property
    def intermediate_bytes(self) -> int:
        """How large all intermediate values are together."""
        return sum([x.nbytes for x in self.arena if isinstance(x, Operand)])

    def with_times(self, seconds: Sequence[float]) -> Layout:
        """The same with what each piece took."""
        pieces = [p._replace(seconds=s) for p, s in zip(self.pieces, seconds, strict=True)]
        return self._replace(pieces=pieces)


def laid_out(program: Program, executor: str) -> Layout:
    """How an executor lays a program out; for native code, compiled piece by piece."""
    if executor != "native":
        pieces = [Laid(step, False, _inputs(step), step.outputs) for step in program.instructions]
        return Layout(pieces, {}, 0)
    code = importlib.import_module("minigrad.compile.native.code").NativeCode(program, apart=True)
    pieces = []
    for piece, made in zip(code.pieces, code.codes, strict=True):
        if made is None:
            pieces.append(Laid(piece, False, _inputs(piece), piece.outputs))
        else:
            writes = {x for step in steps_of(piece) for x in step.outputs}
            roots = dict.fromkeys([arg.root for arg in made.args])
            reads = [x for x in roots if x not in writes]
            written = [x for x in roots if x in writes]
            pieces.append(Laid(piece, True, reads, written, inside=made.inside, blocks=made.blocks))
    return Layout(pieces, code.arena.offsets, code.arena.size, code)


def _inputs(step: Instruction) -> list[Operand]:
    return [x.root for x in step.inputs if x is not None]


def describe(nodes: Sequence[Operation], program: Program, lowered: int, layout: Layout) -> str:
    """The text that `minigrad.explain` prints."""
    return "\n".join(
        [
            *_nodes(nodes),
            "",
            *_rewrites(program, lowered),
            "",
            *_pieces(layout),
            "",
            *_memory(layout),
        ]
    )


def _nodes(nodes: Sequence[Operation]) -> Iterable[str]:
    yield f"The graph: {_many(len(nodes), 'node')} that the fetches need"
    rows = [
        (op.type, op.name, ", ".join([_spec(t.shape, t.dtype.name) for t in op.outputs]))
        for op in nodes
    ]
    yield from _table(rows)


def _rewrites(program: Program, lowered: int) -> Iterable[str]:
    count = len(program.instructions)
    yield f"As a program: {_many(lowered, 'instruction')}, {count} after rewriting"
    for name, times in sorted(program.notes.items()):
        yield f"  {times} × {name}"


def _pieces(layout: Layout) -> Iterable[str]:
    native = sum([laid.native for laid in layout.pieces])
    calls = len(layout.pieces) - native
    yield (
        f"As code: {_many(native, 'native kernel')}, {_many(calls, 'call')} of NumPy; "
        f"{_many(get_num_threads(), 'thread')}"
    )
    total = sum([laid.seconds or 0.0 for laid in layout.pieces])
    for i, laid in enumerate(layout.pieces):
        cost = "" if laid.seconds is None else f"{laid.seconds * 1e6:9.1f} us "
        if laid.seconds is not None and total:
            cost += f"{100 * laid.seconds / total:4.0f} %  "
        yield f"  {i:3} {cost}{_what(laid.piece, laid.native)}{_in_blocks(laid)}"
        for part, inner in laid.inside:
            yield f"        {part}: {_what(inner, native=True)}"
        for word, operands in (("reads", laid.reads), ("writes", laid.writes)):
            for x in operands:
                yield f"        {word:6} {_operand(x, layout.arena)}"
    if total:
        yield f"  {'':3} {total * 1e6:9.1f} us in all, one piece at a time"


def _in_blocks(laid: Laid) -> str:
    return f", in {laid.blocks} blocks of rows" if laid.blocks > 1 else ""


def _memory(layout: Layout) -> Iterable[str]:
    if layout.code is None:
        return
    yield (
        f"Memory: an arena of {layout.arena_bytes:,} bytes holds intermediate values of "
        f"{layout.intermediate_bytes:,} bytes"
    )


def _what(piece: Piece | Finished, native: bool) -> str:
    if isinstance(piece, Group):
        names = Counter([step.name for step in piece.steps])
        listed = " ".join([name if n == 1 else f"{name}×{n}" for name, n in names.items()])
        rows = f", row by row over {show(piece.inner)}" if piece.split is not None else ""
        steps = _many(len(piece.steps), "step")
        return f"loop over {show(piece.domain)}{rows}: {steps}: {listed}"
    if isinstance(piece, Finished):
        finishing = " ".join([step.name for step in piece.group.steps])
        return f"{_what(piece.kernel, native)}, finished by {finishing}"
    if piece.kind == "product":
        a, b = piece.inputs
        assert a is not None and b is not None
        return f"product {show(a.shape)} @ {show(b.shape)}"
    return _other(piece, native)


def _other(step: Instruction, native: bool) -> str:
    form = step.form
    if form is not None:
        if isinstance(form, LoopForm):
            what = "loop" if form.runs is None else f"loop of {_many(form.runs, 'run')}"
        else:
            what = f"choice of {_many(len(form.branches), 'branch')}"
        return what if native else f"call of a {what}: NumPy's kernels"
    if step.primitive is not None and step.primitive.has_bodies:
        return f"call {step.name}: its bodies are run one by one"
    if native:
        return f"kernel {step.name}"
    return f"call {step.name}: NumPy's kernel"


def _operand(x: Operand, arena: dict[Any, int]) -> str:
    text = f"{x.label or 'a value'} {_spec(x.shape, from_numpy(x.dtype).name)}"
    if x.constant is not None:
        return f"{text}, a constant"
    at = arena.get(x)
    return text if at is None else f"{text} in the arena at {at:,}"


def _spec(shape: Any, dtype: str) -> str:
    return f"{dtype} {show(shape)}"


def _many(count: int, what: str) -> str:
    plural = "es" if what.endswith("ch") else "s"
    return f"{count:,} {what}{'' if count == 1 else plural}"


def _table(rows: Sequence[tuple[str, str, str]]) -> Iterable[str]:
    widths = [max([len(row[i]) for row in rows], default=0) for i in range(2)]
    for row in rows:
        yield f"  {row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip()

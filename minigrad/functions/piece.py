"""A part of a traced graph that runs at once, and the way back through it.

A piece takes tensors, runs as one plan, and gives tensors. Under a tape it stands there as one
record. The way back is another piece of the same graph: the backward walk adds its nodes there,
and it is fed what the forward run has kept for it. Being a piece, it can itself be recorded, and
walked back through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minigrad.autodiff import Gradient, accumulate, backward, dense
from minigrad.core.context import STATE, State
from minigrad.core.operands import watch_read
from minigrad.core.operation import Operation, SymbolicTensor, computed_from
from minigrad.core.record import CallRecord, key_of
from minigrad.core.state import Transaction
from minigrad.core.tensor import Array, ConcreteTensor
from minigrad.core.traced import TracedGraph
from minigrad.core.variable import Variable
from minigrad.errors import GradientError
from minigrad.executor.plan import Plan
from minigrad.functions.keeping import without_cheap
from minigrad.functions.outputs import Outputs
from minigrad.functions.runs import CALL, eager_slot, run
from minigrad.running import Executor, Running
from minigrad.shapes import Spec


class Source(NamedTuple):
    """Something that a piece depends on.

    Attributes:
        nodes: the tensors that stand for it in the graph.
        spec: shape and dtype.
        variable: the variable, if it is one.
        tensor: the eager tensor that the traced code mentions, if it is one.
    """

    nodes: list[SymbolicTensor]
    spec: Spec
    variable: Variable | None = None
    tensor: ConcreteTensor | None = None


class Piece:
    """Outputs of a traced graph, computed from inputs in one run.

    Args:
        graph: the graph.
        inputs: the tensors that are given.
        outputs: the tensors that are wanted.
        targets: the operations that every run does.
        executor: how to run.

    Attributes:
        nodes: the operations that run, in creation order.
        sources: what gradients may be for: the inputs; then variables, and eager tensors that the
            code mentions.
    """

    def __init__(
        self,
        graph: TracedGraph,
        inputs: Sequence[SymbolicTensor],
        outputs: Sequence[SymbolicTensor],
        targets: Sequence[Operation],
        executor: Executor,
    ) -> None:
        self.graph = graph
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.targets = tuple(targets)
        self.executor = executor
        given = set(inputs)
        begin = [*[t.op for t in outputs if t not in given], *targets]
        self.nodes = computed_from(begin, known=given, control=True)
        self.sources = [Source([t], t.spec) for t in inputs]
        self.sources += self._variables(given)
        constants = {op.outputs[0] for op in self.nodes if op.type == "Const"}
        self.sources += [
            Source([node], node.spec, tensor=tensor)
            for tensor, node in graph.captured.values()
            if node in constants
        ]
        self._in_specs = tuple([source.spec for source in self.sources])
        self._forms: dict[tuple[bool, ...], Taped] = {}
        self.run = self.running(())

    def _variables(self, given: set[SymbolicTensor]) -> list[Source]:
        """The variables that are read, each with its reads."""
        reads: dict[int, tuple[Variable, list[SymbolicTensor]]] = {}
        for op in self.nodes:
            if op.type == "VariableV2" and op.outputs[0] not in given:
                variable: Variable = op.attrs["variable"]
                reads.setdefault(variable._key, (variable, []))[1].append(op.outputs[0])
        return [Source(nodes, v.spec, variable=v) for v, nodes in reads.values()]

    def running(self, more: Sequence[SymbolicTensor]) -> Running:
        """What computes the outputs, and further tensors."""
        with self.graph.lock:
            plan = Plan(self.graph, (*self.outputs, *more), self.targets, self.inputs)
        return self.executor.running(plan, eager_slot)

    # -- running ---------------------------------------------------------------------------

    def __call__(self, tensors: Sequence[ConcreteTensor]) -> list[ConcreteTensor]:
        """The outputs for these inputs, written down on the tapes that follow one of them."""
        state = STATE.get()
        if state.tapes:
            form = self._followed(tensors, state)
            if form is not None:
                return form.call(tensors, state)
        values = run(self.run, [t._value for t in tensors])
        return [ConcreteTensor(value) for value in values]

    def _followed(self, tensors: Sequence[ConcreteTensor], state: State) -> Taped | None:
        """How to run for the tapes; None if they follow nothing of what the piece reads."""
        keys = [t._key for t in tensors]
        for source in self.sources[len(tensors) :]:
            if source.variable is not None:
                watch_read(state, source.variable)
                keys.append(source.variable._key)
            elif source.tensor is not None:
                keys.append(source.tensor._key)
        given = [*tensors, *[s.tensor for s in self.sources if s.tensor is not None]]
        for tape in state.tapes:
            if tape.captures is not None:
                tape.captures.update({t._key: t for t in given if t._key})
        tapes = [tape.tracked for tape in state.tapes if tape.captures is None]
        needs = tuple(
            [
                bool(key) and spec.dtype.is_inexact and any(key in tracked for tracked in tapes)
                for key, spec in zip(keys, self._in_specs, strict=True)
            ]
        )
        if True not in needs:
            return None
        form = self._forms.get(needs)
        if form is None:
            with self.graph.lock:
                form = self._forms.get(needs)
                if form is None:
                    form = self._forms[needs] = Taped(self, needs)
        return form

    def in_keys(self, tensors: Sequence[ConcreteTensor]) -> tuple[int, ...]:
        """What tapes know the sources by."""
        keys = [t._key or key_of(t) for t in tensors]
        for source in self.sources[len(tensors) :]:
            if source.variable is not None:
                keys.append(source.variable._key)
            elif source.tensor is not None:
                keys.append(key_of(source.tensor))
        return tuple(keys)

    @property
    def in_specs(self) -> tuple[Spec, ...]:
        """Shapes and dtypes of the sources."""
        return self._in_specs


class Taped:
    """How a piece runs where a tape follows it: what it keeps for the way back.

    Args:
        piece: the piece.
        needs: for each of its sources, whether a gradient may be wanted.

    Attributes:
        saved: the tensors that the way back reads.
    """

    def __init__(self, piece: Piece, needs: tuple[bool, ...]) -> None:
        self.piece = piece
        reached, first = _likely_back(piece, needs)
        self.saved = first.reads
        origins = [_origin(piece, t) for t in self.saved]
        fetched = [t for t, origin in zip(self.saved, origins, strict=True) if origin is None]
        # Gradients that arrive at a read are the variable's, and do not come back here.
        self._reads = [t for t in fetched if t.op.type == "VariableV2"]
        hidden = [t for t in fetched if t.op.type != "VariableV2"]
        #: What the record makes: the outputs, and whatever else gradients may arrive at.
        self._outputs = (*piece.outputs, *hidden)
        self._specs = tuple([t.spec for t in self._outputs])
        self._run = piece.running((*hidden, *self._reads))
        self._variables = [o for o in origins if isinstance(o, Variable)]
        self._places = self._placed(origins)
        self._backs: dict[tuple[tuple[bool, ...], tuple[bool, ...]], Back] = {}
        self._backs[needs, reached] = first

    def _placed(self, origins: Sequence[int | Variable | None]) -> list[int]:
        """For each kept tensor its place among inputs, what is computed, and variables, in turn."""
        first = len(self.piece.inputs)
        last = first + len(self._outputs) + len(self._reads)
        computed = dict(zip((*self._outputs, *self._reads), range(first, last), strict=True))
        variables = iter(range(last, last + len(self._variables)))
        return [
            origin
            if isinstance(origin, int)
            else computed[t]
            if origin is None
            else next(variables)
            for t, origin in zip(self.saved, origins, strict=True)
        ]

    def call(self, tensors: Sequence[ConcreteTensor], state: State) -> list[ConcreteTensor]:
        """Run, and write it down on the tapes."""
        piece = self.piece
        started: list[ConcreteTensor] = []

        def finish(values: list[Array], transaction: Transaction) -> list[Array]:
            for v in self._variables:
                started.append(_known_as(ConcreteTensor(transaction.start(v.cell)), v))
            return values

        arrays = [t._value for t in tensors]
        values = self._run(arrays, finish) if self._variables else run(self._run, arrays)
        made = [ConcreteTensor(value) for value in values]
        for read, tensor in zip(self._reads, made[len(self._outputs) :], strict=True):
            _known_as(tensor, read.op.attrs["variable"])
        have = [*tensors, *made, *started]
        saved = [have[i] for i in self._places]

        def back(upstream: Sequence[Gradient | None], needs: tuple[bool, ...]) -> list[Any]:
            return self.back(saved, upstream, needs)

        tapes = [tape for tape in state.tapes if tape.captures is None]
        # Only where another tape sees the way back can gradients arrive at what has been kept.
        deep = len(tapes) > 1 or tapes[0].kept is not None
        count = len(self._outputs if deep else piece.outputs)
        outputs, specs = made[:count], self._specs[:count]
        record = CallRecord(CALL, piece.in_keys(tensors), piece.in_specs, outputs, specs, back)
        for tape in tapes:
            tracked = tape.tracked
            if not tracked.isdisjoint(record.in_keys):
                tape.records.append(record)
                if tape.kept is not None:
                    tape.kept.append(tuple([None] * len(record.in_keys)))
                    tape.made.update(record.out_keys)
                tracked.update([t._key for t in outputs if t._value.dtype.kind in "fc"])
        return made[: len(piece.outputs)]

    def back(
        self,
        saved: Sequence[ConcreteTensor],
        upstream: Sequence[Gradient | None],
        needs: tuple[bool, ...],
    ) -> list[Any]:
        """The gradients of the sources, None where none flows."""
        reached = tuple([g is not None for g in upstream])
        found = self._backs.get((needs, reached))
        if found is None:
            with self.piece.graph.lock:
                outputs = self._outputs[: len(reached)]
                found = Back(self.piece, outputs, needs, reached, self.saved)
                self._backs[needs, reached] = found
        given = [saved[i] for i in found.places]
        grads = [dense(g) for g in upstream if g is not None]
        made = found.piece([*given, *grads])  # type: ignore[list-item]
        results: list[Any] = found.pack(made)
        return results


def _likely_back(piece: Piece, needs: tuple[bool, ...]) -> tuple[tuple[bool, ...], Back]:
    """The way back from all outputs that there is one from, and which these are."""
    floating = tuple([t.spec.dtype.is_floating for t in piece.outputs])
    try:
        return floating, Back(piece, piece.outputs, needs, floating, None)
    except GradientError:
        # Whoever asks for the gradient of one of the others is told why there is none.
        places = range(len(floating))
        each = [tuple([j == i and f for j, f in enumerate(floating)]) for i in places]
        found = tuple([_has_back(piece, needs, only) for only in each])
        return found, Back(piece, piece.outputs, needs, found, None)


def _has_back(piece: Piece, needs: tuple[bool, ...], reached: tuple[bool, ...]) -> bool:
    """Whether there is a way back from some outputs."""
    if True not in reached:
        return False
    try:
        Back(piece, piece.outputs, needs, reached, None)
    except GradientError:
        return False
    return True


def _origin(piece: Piece, tensor: SymbolicTensor) -> int | Variable | None:
    """Where the value of a tensor is without computing it: in an input, or in a variable."""
    for i, t in enumerate(piece.inputs):
        if t is tensor:
            return i
    if tensor.op.type == "VariableV2" and not tensor.op.control_inputs:
        found: Variable = tensor.op.attrs["variable"]
        return found
    return None


def _known_as(tensor: ConcreteTensor, variable: Variable) -> ConcreteTensor:
    """A tensor that tapes take for a variable's value."""
    tensor._key = variable._key
    return tensor


class Back:
    """The way back through a piece, for some of its outputs and sources: a piece itself.

    Args:
        piece: the piece.
        outputs: its outputs, and further tensors that gradients may arrive at.
        needs: for each source, whether its gradient is wanted.
        reached: for each output, whether a gradient arrives there.
        kept: the tensors of the forward run that there are; None to have any.

    Attributes:
        reads: the tensors of the forward run that it is given, before the upstream gradients.
        places: where among those that were kept each of them is.
        piece: what computes it.
        pack: from the piece's outputs to a gradient for each source, or None.
    """

    def __init__(
        self,
        piece: Piece,
        outputs: Sequence[SymbolicTensor],
        needs: tuple[bool, ...],
        reached: tuple[bool, ...],
        kept: Sequence[SymbolicTensor] | None,
    ) -> None:
        graph = piece.graph
        sources = [s.nodes if need else [] for s, need in zip(piece.sources, needs, strict=True)]
        start = len(graph)
        with graph.tracing("gradients/"):
            arriving = [t for t, is_reached in zip(outputs, reached, strict=True) if is_reached]
            upstream = [graph.argument(t.spec, "gradients/upstream") for t in arriving]
            seeds = list(zip(arriving, upstream, strict=True))
            found = backward(piece.nodes, seeds, [t for nodes in sources for t in nodes])
            grads = [_total([found[t] for t in nodes if t in found]) for nodes in sources]
        made = Outputs(graph, grads)
        self.pack = made.pack
        if kept is None:
            reads = self._read(piece, made.tensors, start)
            self.places = list(range(len(reads)))
        else:
            # Whatever has been kept is there for the asking; what has not is computed again.
            ends = [t.op for t in made.tensors]
            needed = computed_from(ends, known=set(kept), control=True)
            read = {t for op in needed for t in op.inputs}.union(made.tensors)
            self.places = [i for i, t in enumerate(kept) if t in read]
            reads = [kept[i] for i in self.places]
        self.reads = reads
        self.piece = Piece(graph, [*reads, *upstream], made.tensors, (), piece.executor)
        self._check(self.piece)

    def _read(
        self, piece: Piece, outputs: Sequence[SymbolicTensor], start: int
    ) -> list[SymbolicTensor]:
        """The tensors of the forward run that it reads; and effects that others may need."""
        nodes = computed_from([t.op for t in outputs], control=True)
        own = [op for op in nodes if op.index >= start]
        found = dict.fromkeys([t for op in own for t in op.inputs if t is not None])
        found.update(dict.fromkeys(outputs))
        # A way back with other gradients wanted may compute some tensors again, but no effects.
        pure = [op for op in piece.nodes if op.effect == "pure"]
        done = {op for op in piece.nodes if op.effect not in ("pure", "read")}
        results = {t for op in done for t in op.outputs}
        found.update(dict.fromkeys([t for op in pure for t in op.inputs if t in results]))
        before = [t for t in found if t.op.index < start]
        if piece.executor.name == "native":
            before = without_cheap(before, set(piece.inputs))
        return [t for t in before if t.op.type != "Const"]

    def _check(self, piece: Piece) -> None:
        for op in piece.nodes:
            if op.effect not in ("pure", "read"):
                raise GradientError(
                    f"the gradient of {piece.graph.label} depends on {op.name!r} ({op.line}), "
                    "which has effects beyond its result and so cannot be computed again; put "
                    "mg.stop_gradient around it, or leave it outside of the function"
                )


def _total(grads: Sequence[Gradient]) -> Gradient | None:
    total: Gradient | None = None
    for g in grads:
        total = g if total is None else accumulate(total, g)
    return total

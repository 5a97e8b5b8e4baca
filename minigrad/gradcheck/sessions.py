"""A loss in a session, as a function of its variables in float64.

What does not depend on the variables is computed once, as a run of the session would compute it;
what does is computed again in float64 for every difference. Nothing is committed: assignments and
random counters go to a transaction that is dropped, effects added to tensors do not happen, and a
Python function in the graph runs again only where its input depends on a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.current_graph import control_dependencies, name_scope
from minigrad.core.floating import kernel_errstate
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor, computed_from
from minigrad.core.state import Transaction, cells_of
from minigrad.core.tensor import Array, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    GradientError,
    GraphError,
    NotDifferentiableError,
)
from minigrad.executor.plan import Plan
from minigrad.executor.reference import AtStart, Runner, node_error
from minigrad.feeds import convert_feeds
from minigrad.gradcheck.engine import eagerly
from minigrad.gradcheck.refusals import check_bodies, check_needed, taken_index
from minigrad.gradcheck.replay import (
    Program,
    Source,
    Step,
    run_steps,
    widened,
    widened_attrs,
    widened_host_attrs,
)
from minigrad.ops.basic import placeholder
from minigrad.session import Session, get_default_session

#: The op that carries a gradient rule of the user's own.
_CUSTOM = "CustomGradient"


def session_of(loss: SymbolicTensor, session: Session | None) -> Session:
    """The session to take variables' values from: the given one, the default one, or a new one.

    Raises:
        GraphError: it runs another graph.
        StateError: it is closed.
    """
    found = session or get_default_session() or Session(graph=loss.graph)
    if found.graph is not loss.graph:
        raise GraphError(f"the loss belongs to {loss.graph!r}, the session runs {found.graph!r}")
    found._check_open()
    return found


class LossReplay:
    """The pruned graph of a loss, with the values that a run would start from.

    Args:
        loss: a symbolic tensor of a floating dtype.
        session: holds the variables' values.
        feed_dict: as for `Session.run`.
        variables: variables and symbolic tensors to differentiate for; None for every trainable
            variable that the loss reads.

    Raises:
        GradientError: the loss draws random numbers.
        NotDifferentiableError: it leads through an assignment.
        FeedError: a placeholder was not fed, or wrongly.
        FailedPreconditionError: a variable is not initialized.
    """

    def __init__(
        self,
        loss: SymbolicTensor,
        session: Session,
        feed_dict: Mapping[Any, Any] | None,
        variables: Iterable[Any] | Variable | SymbolicTensor | None,
    ) -> None:
        self.graph: Graph = loss.graph
        feeds = convert_feeds(self.graph, feed_dict or {})
        plan = Plan(self.graph, [loss], (), tuple(feeds))
        self._ancestors = _ancestors([loss], feeds)
        needed = _with_writes(_needed([loss], feeds), self._ancestors, feeds)
        check_needed(needed)
        wanted = _wanted(loss, needed, variables)
        keys = {i: _keys_of(x, self.graph) for i, x in enumerate(wanted)}
        depends = _dependents(loss, needed, [k for group in keys.values() for k in group])
        every = [k for group in keys.values() for k in group]
        if len(set(every)) != len(every):
            raise ArgumentError("a variable or tensor is named twice among `variables`")
        #: Whether a `scratch` of the graph must be held while this is checked.
        self.has_custom_rules = any(op.type == _CUSTOM for op in needed)
        values = _run(needed, plan, feeds, _transaction(session, needed))
        for op in needed:
            if op.primitive.has_bodies:
                check_bodies(op, taken_index(op, depends, values))
        steps = [op for op in needed if op in depends and op.type != "StopGradient"]
        made = {t for op in steps for t in op.outputs if t not in feeds}
        self._steps = [_step(op, self._rule_maker(op)) for op in steps]
        read = {
            loss,
            *[t for op in steps for t in op.inputs],
            *[k for g in keys.values() for k in g],
        }
        self._constants = {
            t: v
            for t, v in values.items()
            # A custom rule may read anything.
            if t not in made and (t in read or self.has_custom_rules)
        }
        #: The programs of custom rules, by op, made when they are first called.
        self._rules: dict[Operation, Callable[..., list[Tensor | None]]] = {}
        self.sources = [
            Source(
                x.name, tuple([k for k in group if k in values]), _point(x, group, values, session)
            )
            for x, group in zip(wanted, keys.values(), strict=True)
        ]
        self.program = Program(self._steps, self._constants, self.sources, [loss])

    # -- custom gradients ------------------------------------------------------------------

    def _rule_maker(self, op: Operation) -> Any:
        if op.type != _CUSTOM:
            return None
        return lambda values: lambda *upstream: self._pull(op, values, upstream)

    def _pull(
        self, op: Operation, values: Mapping[Any, Tensor], upstream: Sequence[Tensor]
    ) -> list[Tensor | None]:
        """What a rule that was written for the graph gives for these upstream gradients."""
        if op not in self._rules:
            self._rules[op] = self._compile(op)
        return self._rules[op](values, upstream)

    def _compile(self, op: Operation) -> Callable[..., list[Tensor | None]]:
        """Build the rule's nodes, and see which of them have to be computed again.

        The rule's function holds tensors of the graph, so it can only be called there; the caller
        holds a `scratch` of the graph, from which its nodes go again.
        """
        with eagerly(), self.graph.as_default(), name_scope(None), control_dependencies(None):
            seeds = [placeholder(t.dtype, t.shape, name="upstream") for t in op.outputs]
            returned = op.attrs["rule"](*seeds)
            rows = list(returned) if isinstance(returned, list | tuple) else [returned]
            made = [
                None if g is None else tensor_of(g, None if x is None else x.dtype)
                for g, x in zip(rows, op.inputs, strict=False)
            ]
        results = [g for g in made if isinstance(g, SymbolicTensor)]
        steps = [_step(o, self._rule_maker(o)) for o in _needed(results, ())]

        def pull(values: Mapping[Any, Tensor], upstream: Sequence[Tensor]) -> list[Tensor | None]:
            known = dict(values)
            known.update(zip(seeds, upstream, strict=True))
            missing = [s for s in steps if any(key not in known for key in s.outputs)]
            for step in missing:
                if step.primitive.stateful or step.primitive.op == "Placeholder":
                    raise GradientError(
                        f"the custom gradient of node {op.name!r} ({op.line}) reads what the loss "
                        f"does not, {step.place}; pass it to the function as an argument"
                    )
            run_steps(missing, known)
            return [None if g is None else known[g] for g in made]

        return pull


def _step(op: Operation, make_rule: Any) -> Step:
    widen = widened_host_attrs if op.type == "PyFunc" else widened_attrs
    where = f"in node {op.name!r} ({op.type}), made at {op.line}"
    return Step(op.primitive, widen(op.attrs), op.inputs, op.outputs, where, make_rule)


# -- what is needed ---------------------------------------------------------------------------


def _needed(targets: Iterable[SymbolicTensor], fed: Any) -> list[Operation]:
    """What the targets are computed from."""
    return computed_from([t.op for t in targets if t not in fed], fed)


def _ancestors(targets: Iterable[SymbolicTensor], fed: Any) -> list[Operation]:
    """What the targets are computed from or wait for."""
    return computed_from([t.op for t in targets if t not in fed], fed, control=True)


def _with_writes(needed: list[Operation], ancestors: list[Operation], fed: Any) -> list[Operation]:
    """The operations, and the assignments whose effect they see, with what these need."""
    chosen = set(needed)
    while True:
        cells = {cell.key for op in chosen if op.primitive.stateful for cell in cells_of(op.attrs)}
        writes = [
            op
            for op in ancestors
            if op not in chosen
            and op.primitive.effect == "write"
            and any(cell.key in cells for cell in cells_of(op.attrs))
        ]
        if not writes:
            return sorted(chosen, key=lambda op: op.index)
        chosen.update(writes)
        inputs = [t for op in writes for t in op.inputs if t is not None]
        chosen.update(_needed(inputs, fed))


def _wanted(
    loss: SymbolicTensor,
    needed: Sequence[Operation],
    variables: Iterable[Any] | Variable | SymbolicTensor | None,
) -> list[Any]:
    """What to differentiate for."""
    if variables is None:
        read: dict[int, Variable] = {}
        for op in needed:
            if op.primitive.effect == "read":
                variable = op.attrs["variable"]
                if variable.trainable and variable.dtype.is_floating:
                    read[variable._key] = variable
        if not read:
            raise ArgumentError(
                f"{loss!r} reads no trainable variable; name what to differentiate for: "
                "mg.gradcheck(loss, variables=[x], …)"
            )
        return list(read.values())
    wanted = [variables] if isinstance(variables, Variable | SymbolicTensor) else list(variables)
    if not wanted:
        raise ArgumentError("variables is empty; name what to differentiate for, or leave it out")
    for x in wanted:
        if not isinstance(x, Variable | SymbolicTensor):
            raise ArgumentTypeError(
                f"variables must be variables or symbolic tensors of the graph, got {x!r}"
            )
        if isinstance(x, SymbolicTensor):
            loss.graph.own(x)
        if not x.dtype.is_floating:
            raise NotDifferentiableError(f"{x!r} is not of a floating dtype and has no gradient")
    return wanted


def _keys_of(x: Variable | SymbolicTensor, graph: Graph) -> list[SymbolicTensor]:
    return graph.reads_of(x) if isinstance(x, Variable) else [x]


def _dependents(
    loss: SymbolicTensor, needed: Sequence[Operation], sources: Iterable[SymbolicTensor]
) -> set[Operation]:
    """The operations downstream of the sources; `stop_gradient` ends it, as it does the gradient.

    Raises:
        NotDifferentiableError: an assignment's result is one of them.
    """
    live: set[SymbolicTensor] = set(sources)
    found: set[Operation] = set()
    consumed = {loss, *[t for op in needed for t in op.inputs]}
    for op in needed:
        if op.type == "StopGradient" or not any(t in live for t in op.inputs):
            continue
        if op.primitive.stateful:
            if any(t in consumed and t.dtype.is_inexact for t in op.outputs):
                raise NotDifferentiableError(
                    f"the loss uses the result of {op.name!r} ({op.type}, {op.line}), which has no "
                    f"gradient: {op.primitive.not_differentiable}"
                )
            continue
        found.add(op)
        live.update(op.outputs)
    return found


# -- the values of a run ----------------------------------------------------------------------


def _transaction(session: Session, needed: Sequence[Operation]) -> Transaction:
    """A transaction over the state that is needed. It is never committed."""
    cells = {
        cell.key: cell
        for op in needed
        if op.primitive.stateful or op.primitive.has_bodies
        for cell in cells_of(op.attrs)
    }
    return Transaction([session.slot(cell) for cell in cells.values()])


def _run(
    needed: Sequence[Operation],
    plan: Plan,
    feeds: Mapping[SymbolicTensor, Array],
    transaction: Transaction,
) -> dict[SymbolicTensor, Array]:
    """The value of every tensor, as the session's run would compute it."""
    values: dict[SymbolicTensor, Array] = dict(feeds)
    at_start = AtStart(transaction)
    with kernel_errstate():
        for op in needed:
            inputs = [None if t is None else values[t] for t in op.inputs]
            kernel: Any = op.primitive.compute
            try:
                if op.primitive.has_bodies:
                    runner = Runner(transaction, (True,) * len(op.outputs))
                    made = kernel(np, runner, *inputs, **op.attrs)
                elif op.primitive.stateful:
                    ordered = op.primitive.effect != "read" or op in plan.staged_reads
                    made = kernel(np, transaction if ordered else at_start, *inputs, **op.attrs)
                else:
                    made = kernel(np, *inputs, **op.attrs)
            except Exception as error:
                raise node_error(op, inputs, error) from error
            for t, value in zip(op.outputs, (made,) if op.primitive.single else made, strict=True):
                if t not in feeds:
                    values[t] = np.asarray(value)
    return values


def _point(
    x: Variable | SymbolicTensor,
    keys: Sequence[SymbolicTensor],
    values: Mapping[SymbolicTensor, Array],
    session: Session,
) -> Array:
    """Where a source stands."""
    for key in keys:
        if key in values:
            return widened(values[key])
    if isinstance(x, Variable):
        return widened(session.value_of(x))
    return np.zeros([d or 0 for d in x.shape or ()])

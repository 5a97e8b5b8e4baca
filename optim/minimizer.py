"""What everything that minimizes has in common: from a loss to a step, in both modes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, overload

from minigrad.autodiff import Gradient, ancestors, gradients
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, changed
from minigrad.core.current_graph import graph_of_arguments
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    GradientError,
    GraphError,
)
from minigrad.held_values import read_values
from minigrad.optim.arguments import (
    Variables,
    check_trainable,
    check_variables,
    names,
    trainable_list,
)
from minigrad.optim.commit import Update, commit
from minigrad.optim.gradients import check_global_step, checked_gradient
from minigrad.optim.slots import load_state
from minigrad.session import Session
from minigrad.tape import GradientTape

__all__ = ["Minimizer"]

#: Gradients with their variables, as `compute_gradients` gives them.
Pairs: TypeAlias = "list[tuple[Gradient | None, Variable]]"


class Minimizer(ABC):
    """Base of optimizers and of wrappers around them.

    Args:
        name: part of the names of its variables, and the name scope of its nodes.

    Raises:
        ArgumentTypeError: the name is no text, or empty.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> def halved(minimizer: optim.Minimizer) -> float:
    ...     w = mg.Variable(1.0, name="w")
    ...     minimizer.minimize(lambda: w * w, [w])
    ...     return float(w)
    >>> halved(optim.SGD(0.25)), halved(optim.Lookahead(optim.SGD(0.25)))
    (0.5, 0.5)
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ArgumentTypeError(f"{type(self).__name__}: name must be text, got {name!r}")
        self.name = name

    # -- what a subclass gives -------------------------------------------------------------

    @property
    @abstractmethod
    def iterations(self) -> Variable:
        """How often the variables have been updated: an int64 variable."""

    @abstractmethod
    def state(self) -> dict[str, Variable]:
        """All variables of its own, by name."""

    @abstractmethod
    def prepare(self, variables: Sequence[Variable]) -> list[Variable]:
        """Make the state that a step over `variables` needs; all that such a step may write."""

    @abstractmethod
    def updates(self, pairs: Pairs, global_step: Variable | None) -> list[Update]:
        """The new values that one step gives. Reads variables, assigns none."""

    @abstractmethod
    def operands(self) -> list[Any]:
        """Tensors and variables that every step reads, such as the learning rate."""

    def collecting(self) -> list[Variable]:
        """Variables that a step needs even if it is given no gradient for them."""
        return []

    # -- gradients -------------------------------------------------------------------------

    def compute_gradients(self, loss: Any, variables: Variables | None = None) -> Pairs:
        """The gradients of a loss, each with its variable.

        Args:
            loss: a symbolic tensor; or, in eager code, a function without arguments that computes
                it. One that is no scalar is summed up.
            variables: a list of variables, a function that returns one, or a module; by default
                all trainable variables that the loss reads.

        Returns:
            Pairs of a gradient and its variable. The gradient is None where the loss does not
            depend on the variable, and an `IndexedSlices` where it only looks up rows.

        Raises:
            GradientError: the loss depends on none of the variables.
            ArgumentError: there are no variables, one is given twice or is not trainable.
            ArgumentTypeError: the loss is a concrete tensor.
        """
        return self._gradients(loss, variables)[0]

    def _gradients(self, loss: Any, variables: Variables | None) -> tuple[Pairs, Tensor]:
        """The pairs, and the loss itself."""
        if isinstance(loss, SymbolicTensor):
            return self._graph_gradients(loss, variables), loss
        if isinstance(loss, Tensor | Variable) or not callable(loss):
            raise ArgumentTypeError(
                f"{self.name}: in eager code the loss is a function without arguments, so that a "
                f"tape can record it, got {loss!r}; or use mg.GradientTape and apply_gradients"
            )
        with GradientTape() as tape:
            returned = loss()
            if returned is None:
                raise ArgumentTypeError(f"{self.name}: the loss {loss!r} returned None")
            value = tensor_of(returned)
        if isinstance(value, SymbolicTensor) and value.graph.traced is None:
            return self._graph_gradients(value, variables), value
        # Looked up after the call, which may be what makes a module's parameters.
        if variables is None:
            found = tape.watched_variables()
            if not found:
                raise GradientError(f"{self.name}: the loss reads no trainable variable")
        else:
            found = trainable_list(self.name, variables)
            _refuse_owned(self.name, found)
        made = tape.gradient(value, found, unconnected="none")
        return self._checked_reach(made, found, repr(value)), value

    def _graph_gradients(self, loss: SymbolicTensor, variables: Variables | None) -> Pairs:
        if variables is None:
            found = reachable(loss)
            if not found:
                still = reachable(loss, trainable=False)
                why = (
                    f"; it reads {names(still)}, which are not trainable (frozen?)" if still else ""
                )
                raise GradientError(f"{self.name}: {loss!r} depends on no trainable variable{why}")
        else:
            found = trainable_list(self.name, variables)
        for v in found:
            if v.graph not in (None, loss.graph.root):
                raise GraphError(
                    f"{self.name}: variable {v.name!r} belongs to {v.graph!r}, the loss to "
                    f"{loss.graph!r}"
                )
        made = gradients(loss, found, unconnected="none")
        return self._checked_reach(made, found, repr(loss))

    def _checked_reach(self, made: list[Any], found: list[Variable], loss: str) -> Pairs:
        if all(g is None for g in made):
            raise GradientError(
                f"{self.name}: the loss {loss} depends on none of the variables {names(found)}"
            )
        return list(zip(made, found, strict=True))

    # -- steps -----------------------------------------------------------------------------

    @overload
    def minimize(
        self,
        loss: SymbolicTensor | Tensor,
        variables: Variables | None = ...,
        *,
        global_step: Variable | None = ...,
    ) -> Operation: ...
    @overload
    def minimize(
        self,
        loss: Callable[[], TensorLike],
        variables: Variables | None = ...,
        *,
        global_step: Variable | None = ...,
    ) -> Any: ...
    def minimize(
        self, loss: Any, variables: Variables | None = None, *, global_step: Variable | None = None
    ) -> Any:
        """One step against the gradient of a loss.

        Variables that the loss does not depend on are left alone, with a warning that names them.

        Args:
            loss: a symbolic tensor; or, in eager code, a function without arguments that computes
                the loss. One that is no scalar is summed up.
            variables: a list of variables, a function that returns one, or a module (its
                trainable parameters); by default all trainable variables that the loss reads.
            global_step: an integer variable to count the updates in, beside `iterations`.

        Returns:
            In a graph, the operation that makes the step when it runs. In eager code, and in
            `minigrad.function`, the step is made at once, and the loss before it is returned.

        Raises:
            GradientError: the loss depends on none of the variables.
            ArgumentError: there are no variables, one is given twice or is not trainable.
            ArgumentTypeError: the loss is a concrete tensor.

        >>> import minigrad as mg, minigrad.optim as optim
        >>> w = mg.Variable(1.0, name="w")
        >>> loss = optim.SGD(0.25).minimize(lambda: w * w, [w])
        >>> float(loss), float(w)
        (1.0, 0.5)
        """
        pairs, value = self._gradients(loss, variables)
        unreached = [v for g, v in pairs if g is None]
        if unreached:
            warnings.warn(
                f"{self.name}: the loss does not depend on {names(unreached)}; left unchanged",
                UserWarning,
                stacklevel=2,
            )
        made = self.apply_gradients(pairs, global_step=global_step)
        graph = STATE.get().graph
        if made is None or (callable(loss) and graph is not None and graph.traced is not None):
            return value
        return made

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, Variable]],
        *,
        global_step: Variable | None = None,
    ) -> Operation | None:
        """One step with given gradients.

        All variables, slots and counters change together or, after an error or an interrupt,
        not at all.

        Args:
            grads_and_vars: pairs of a gradient and its variable, such as
                ``zip(gradients, variables)``. Pairs whose gradient is None are left out. An
                `IndexedSlices` counts as the dense tensor that it stands for.
            global_step: an integer variable to count the updates in, beside `iterations`.

        Returns:
            In a graph, the operation that makes the step; None in eager code.

        Raises:
            ArgumentError: there are no pairs, a variable comes twice or is not trainable.
            GradientError: all gradients are None.
            ShapeError: a gradient does not have its variable's shape.
            DTypeError: nor its dtype.

        >>> import minigrad as mg, minigrad.optim as optim
        >>> v = mg.Variable([1.0, 2.0], name="v")
        >>> optim.SGD(0.5).apply_gradients([([2.0, 0.0], v)])
        >>> v.tolist()
        [0.0, 2.0]
        """
        pairs = self._checked_pairs(grads_and_vars)
        check_global_step(self.name, global_step)
        variables = [v for _, v in pairs]
        given: list[Any] = [g for g, _ in pairs]
        graph = graph_of_arguments([given, variables, global_step, self.operands()], {})
        graph = graph or STATE.get().graph
        home = None if graph is None else graph.root  # A step may lie in the body of a loop.
        chosen = set(variables)
        for v in self.collecting():
            if v not in chosen and v.trainable and v.graph in (None, home):
                pairs.append((None, v))
        with changed(graph=variables[0].graph):  # Where `prepare` would make the counter too.
            _check_home(self.name, self.iterations, home)
        written = self.prepare([v for _, v in pairs])
        if global_step is not None:
            written.append(global_step)
        return commit(graph, written, lambda: self.updates(pairs, global_step), self.name, given)

    def _checked_pairs(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Pairs:
        """The pairs of a step, with gradients that fit their variables."""
        if not isinstance(grads_and_vars, Iterable):
            raise ArgumentTypeError(
                f"{self.name}: expected pairs of a gradient and its variable, got "
                f"{grads_and_vars!r}"
            )
        given = list(grads_and_vars)
        if not given:
            raise ArgumentError(
                f"{self.name}: there are no gradients to apply; expected pairs of a gradient and "
                "its variable"
            )
        for pair in given:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ArgumentTypeError(
                    f"{self.name}: expected pairs of a gradient and its variable, got {pair!r}; "
                    "write zip(gradients, variables)"
                )
            if isinstance(pair[0], Variable) and not isinstance(pair[1], Variable):
                raise ArgumentTypeError(
                    f"{self.name}: each pair is (gradient, variable), got the variable "
                    f"{pair[0].name!r} first; write zip(gradients, variables)"
                )
        variables = [v for _, v in given]
        check_variables(self.name, variables)
        check_trainable(self.name, variables)
        pairs: Pairs = [(checked_gradient(self.name, g, v), v) for g, v in given if g is not None]
        if not pairs:
            raise GradientError(
                f"{self.name}: there is no gradient for any of the variables "
                f"{names([v for _, v in given])}; the loss does not depend on them"
            )
        return pairs

    # -- state -----------------------------------------------------------------------------

    def build(self, variables: Variables) -> None:
        """Make all state for these variables now, as loading a saved state needs it.

        >>> import minigrad as mg, minigrad.optim as optim
        >>> optimizer = optim.Adam()
        >>> optimizer.build([mg.Variable([1.0], name="w")])
        >>> [v.name for v in optimizer.variables()]
        ['Adam/iterations', 'w/Adam/m', 'w/Adam/v']
        """
        self.prepare(trainable_list(self.name, variables))

    def named_variables(self) -> list[tuple[str, Variable]]:
        """Its own variables with their names: what `minigrad.save` writes."""
        return list(self.state().items())

    def variables(self) -> list[Variable]:
        """Its own variables: counters and slots, those made so far. `minigrad.save` takes them."""
        return list(self.state().values())

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The values of its own variables by name, all of one moment.

        Args:
            session: holds the values of those that belong to a graph; by default the session
                whose ``with`` block this is.

        Raises:
            StateError: one belongs to a graph, and there is no session.
            FailedPreconditionError: one is not initialized in the session.
        """
        return read_values(self.state(), session)

    def load_state_dict(
        self, state: Mapping[str, Any], *, strict: bool = True, session: Session | None = None
    ) -> None:
        """Set its own variables to the values of a `state_dict`.

        An optimizer that has made no step yet has no slots: call `build` first.

        Args:
            state: values by name.
            strict: refuse missing and unexpected entries; misshapen ones always are.
            session: as for `state_dict`.

        Raises:
            ArgumentError: the state does not fit. The message lists every missing, unexpected and
                misshapen entry, and nothing is loaded.
        """
        load_state(self.name, self.state(), state, session, strict=strict)


def reachable(loss: SymbolicTensor, *, trainable: bool = True) -> list[Variable]:
    """The (un)trainable variables that a tensor is computed from, in order of their creation."""
    found: dict[int, Variable] = {}
    for op in ancestors([loss]):
        for value in op.attrs.values():
            if not isinstance(value, Variable) or not value.dtype.is_floating:
                continue
            if value.trainable == trainable:
                found[value.cell.key] = value
    return [found[key] for key in sorted(found)]


def _check_home(owner: str, counter: Variable, graph: Graph | None) -> None:
    if counter.graph not in (None, graph):
        raise GraphError(
            f"{owner}: this optimizer counts its steps in {counter.graph!r}; use another one "
            + ("for eager variables" if graph is None else f"for {graph!r}")
        )


def _refuse_owned(owner: str, variables: Iterable[Variable]) -> None:
    """Raise for graph-owned variables beside a loss that was computed at once."""
    for v in variables:
        if v.graph is not None:
            raise GraphError(
                f"{owner}: variable {v.name!r} belongs to {v.graph!r}, but the loss was computed "
                "in eager code; build it inside that graph"
            )

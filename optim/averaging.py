"""Averages of the weights over training, which often generalize better than the last ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.composites import call_composite
from minigrad.core.context import STATE, changed
from minigrad.core.current_graph import graph_of_arguments
from minigrad.core.graph import Graph
from minigrad.core.operation import Operation
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import bool_, float64, int64
from minigrad.errors import ArgumentError, GraphError, StateError
from minigrad.held_values import read_values
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal, greater_equal
from minigrad.ops.elementwise import remainder
from minigrad.ops.logic import logical_and, logical_not
from minigrad.ops.selection import minimum, where
from minigrad.optim.arguments import Variables, count, flag, fraction, trainable_list
from minigrad.optim.commit import Update, commit
from minigrad.optim.slots import (
    Counters,
    SlotSpec,
    SlotTable,
    load_state,
)
from minigrad.optim.step import cast_to, choose
from minigrad.session import Session

__all__ = ["ExponentialMovingAverage", "StochasticWeightAveraging", "WeightAverage"]


class WeightAverage(ABC):
    """Base of averages of weights: keeping them, and trying them out.

    The first update takes the weights as they are. Before it, the average of a variable is the
    variable's own value.

    Args:
        name: part of the names of its variables.

    Raises:
        ArgumentError: (from `update`, `swapped`, `swap_in` and `swap_out`) there are no variables.
        GraphError: (from the same) the averages belong to another graph.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> def tried(average: optim.WeightAverage) -> list[float]:
    ...     w = mg.Variable([0.0], name="w")
    ...     for value in ([1.0], [2.0]):
    ...         _ = w.assign(value)
    ...         average.update([w])
    ...     with average.swapped():
    ...         return w.tolist()
    >>> tried(optim.StochasticWeightAveraging()), tried(optim.ExponentialMovingAverage(0.75))
    ([1.5], [1.25])
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._slots = SlotTable(name)
        self._counters = Counters(name)

    # -- what a subclass gives -------------------------------------------------------------

    @abstractmethod
    def _next(self, average: Tensor, w: Tensor, n: Tensor) -> Tensor:
        """The stored average with one more value; `n` (float64) is how many it holds."""

    def _shown(self, average: Tensor, n: Tensor) -> Tensor:
        """The average, from what is stored for `n` values."""
        return average

    def _due(self, calls: Tensor) -> Tensor | None:
        """Whether this call of `update` takes the weights in; None for always."""
        return None

    # -- state -----------------------------------------------------------------------------

    @property
    def updates(self) -> Variable:
        """How many values the averages hold: an int64 variable."""
        return self._counters.get("updates")

    @property
    def _calls(self) -> Variable:
        return self._counters.get("calls")

    @property
    def _swapped(self) -> Variable:
        return self._counters.get("swapped", start=False)

    def build(self, variables: Variables) -> None:
        """Make all state for these variables now, as loading a saved state needs it."""
        self._track(trainable_list(self.name, variables))

    def _track(self, variables: Sequence[Variable]) -> None:
        for v in variables:
            self._slots.copy(v, "average")
            self._slots.fill(v, {"backup": SlotSpec(v.shape, v.dtype)})
        for name in ("updates", "calls"):
            self._counters.get(name, variables[0])
        self._counters.get("swapped", variables[0], start=False)

    def state(self) -> dict[str, Variable]:
        """Averages and counters, by name."""
        return self._counters.named() | self._slots.named()

    def variables(self) -> list[Variable]:
        """Its own variables. `minigrad.save` takes them."""
        return list(self.state().values())

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The values of its own variables by name; see `Minimizer.state_dict`."""
        return read_values(self.state(), session)

    def load_state_dict(
        self, state: Mapping[str, Any], *, strict: bool = True, session: Session | None = None
    ) -> None:
        """Set its own variables; see `Minimizer.load_state_dict`. Call `build` first.

        Raises:
            ArgumentError: the state does not fit; nothing is loaded.
        """
        load_state(self.name, self.state(), state, session, strict=strict)

    # -- averaging -------------------------------------------------------------------------

    def update(self, variables: Variables | None = None) -> Operation | None:
        """Take the weights as they are now into the averages.

        In a graph it is an operation; make it under ``control_dependencies([train])`` to see the
        weights after the step. While the averages are swapped in, it does nothing when it runs.

        Args:
            variables: a list, a function that returns one, or a module; by default those of the
                calls before.

        Raises:
            ArgumentError: there are none.
            StateError: in eager code, while the averages are swapped in.
        """
        if variables is not None:
            self._track(trainable_list(self.name, variables))
        tracked = self._known()
        graph = self._graph(tracked)
        if graph is None and self._swapped.item():
            raise StateError(f"{self.name}: update was called while the averages are swapped in")
        slots = [self._slots[v]["average"] for v in tracked]
        written = [*slots, self.updates, self._calls]
        return commit(graph, written, lambda: self._updated(tracked), self.name)

    apply = update

    def _known(self) -> list[Variable]:
        tracked = list(self._slots)
        if not tracked:
            raise ArgumentError(
                f"{self.name} has no variables to average yet; write update(variables)"
            )
        return tracked

    def _graph(self, variables: Sequence[Variable]) -> Graph | None:
        """The graph to work in."""
        graph = graph_of_arguments([list(variables)], {}) or STATE.get().graph
        counter = self.updates
        if counter.graph not in (None, graph):
            raise GraphError(f"{self.name}: its averages belong to {counter.graph!r}")
        return graph

    def _updated(self, variables: Sequence[Variable]) -> list[Update]:
        updates, calls = tensor_of(self.updates), tensor_of(self._calls)
        due = logical_not(self._swapped)
        more = self._due(calls)
        if more is not None:
            due = logical_and(due, more)
        n = astype(updates, float64)
        made = [
            Update(self._calls, tensor_of(1, int64), add=True),
            Update(self.updates, astype(due, int64), add=True),
        ]
        for v in variables:
            slot = self._slots[v]["average"]
            old = tensor_of(slot)
            made.append(Update(slot, choose(due, self._next(old, tensor_of(v), n), old)))
        return made

    def average(self, variable: Variable) -> Tensor:
        """The average of a variable; a node that computes it in a graph.

        Raises:
            ArgumentError: the variable is not among those averaged.
        """
        if variable not in self._slots:
            raise ArgumentError(
                f"{self.name} keeps no average of variable {variable.name!r}; write "
                "update([variable])"
            )
        return call_composite(self._average, self.name, (variable,), {})

    def _average(self, variable: Variable) -> Tensor:
        slots = self._slots[variable]
        w = choose(tensor_of(self._swapped), tensor_of(slots["backup"]), tensor_of(variable))
        updates = tensor_of(self.updates)
        if isinstance(updates, ConcreteTensor) and not updates:
            return w
        shown = self._shown(tensor_of(slots["average"]), astype(updates, float64))
        return choose(equal(updates, 0), w, shown)

    # -- trying the averages out -----------------------------------------------------------

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """A context in which eager variables hold their averages; afterwards their own values.

        What is assigned to them inside is lost. In a graph, run `swap_in` and `swap_out`.

        Raises:
            StateError: the variables belong to a graph, or the averages are swapped in already.
        """
        with changed(graph=None):
            if any(v.graph is not None for v in self._known()):
                raise StateError(
                    f"{self.name}: the variables belong to a graph; run the operations that "
                    "swap_in() and swap_out() return instead"
                )
            if self._swapped.item():
                raise StateError(f"{self.name}: the averages are swapped in already")
            self.swap_in()
        try:
            yield
        finally:
            with changed(graph=None):
                self.swap_out()

    def swap_in(self) -> Operation | None:
        """Put the averages in the variables' place and keep the variables' own values.

        In a graph, an operation. It does nothing if they are swapped in already.
        """
        return self._swap(self._all_in)

    def swap_out(self) -> Operation | None:
        """Give the variables their own values back. It does nothing if they have them."""
        return self._swap(self._all_out)

    def _swap(self, compute: Any) -> Operation | None:
        tracked = self._known()
        backups = [self._slots[v]["backup"] for v in tracked]
        written = [*tracked, *backups, self._swapped]
        return commit(self._graph(tracked), written, compute, self.name)

    def _all_in(self) -> list[Update]:
        active = tensor_of(self._swapped)
        made = [Update(self._swapped, tensor_of(True, bool_))]
        for v in self._slots:
            backup = self._slots[v]["backup"]
            made.append(Update(backup, choose(active, tensor_of(backup), tensor_of(v))))
            made.append(Update(v, choose(active, tensor_of(v), self._average(v))))
        return made

    def _all_out(self) -> list[Update]:
        active = tensor_of(self._swapped)
        made = [Update(self._swapped, tensor_of(False, bool_))]
        for v in self._slots:
            own = tensor_of(self._slots[v]["backup"])
            made.append(Update(v, choose(active, own, tensor_of(v))))
        return made


class ExponentialMovingAverage(WeightAverage):
    """An exponentially weighted average of the weights: a ← d·a + (1 − d)·w.

    The first update sets a = w, as in PyTorch's `AveragedModel`. TensorFlow 1 starts from the
    variables' initial values; update once before training for that. With `bias_correction`, a
    starts at 0 and counts as a/(1 − dⁿ) after n updates, as in Adam, so that the first weights
    do not count more than the others.

    Args:
        decay: d in [0, 1).
        bias_correction: start at 0 and correct for it.
        ramp: use min(d, (1 + n)/(10 + n)) in update n, counted from 0, as TensorFlow 1 does with
            its `num_updates`: a short memory at first. Not together with `bias_correction`.
        name: by default the class's.

    Raises:
        ArgumentError: the decay is out of range, or both options were asked for.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> average = optim.ExponentialMovingAverage(0.75)
    >>> for value in ([4.0], [8.0]):
    ...     _ = w.assign(value)
    ...     average.update([w])
    >>> average.average(w).tolist()
    [5.0]
    >>> with average.swapped():
    ...     w.tolist()
    [5.0]
    >>> w.tolist()
    [8.0]
    """

    def __init__(
        self,
        decay: float = 0.999,
        *,
        bias_correction: bool = False,
        ramp: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name or type(self).__name__)
        self.decay = fraction(self.name, "decay", decay)
        self.bias_correction = flag(self.name, "bias_correction", bias_correction)
        self.ramp = flag(self.name, "ramp", ramp)
        if self.ramp and self.bias_correction:
            raise ArgumentError(f"{self.name}: give only one of bias_correction and ramp")

    def _next(self, average: Tensor, w: Tensor, n: Tensor) -> Tensor:
        d = tensor_of(self.decay, float64)
        if self.ramp:
            d = minimum((1.0 + n) / (10.0 + n), d)
        keep = where(equal(n, 0.0), 0.0, d)
        weight = 1.0 - (d if self.bias_correction else keep)
        return cast_to(keep, w.dtype) * average + cast_to(weight, w.dtype) * w

    def _shown(self, average: Tensor, n: Tensor) -> Tensor:
        if not self.bias_correction:
            return average
        return average / cast_to(1.0 - tensor_of(self.decay, float64) ** n, average.dtype)


class StochasticWeightAveraging(WeightAverage):
    """The plain mean of the weights from some step on.

    Source: P. Izmailov et al., "Averaging weights leads to wider optima and better
    generalization", 2018. Batch-norm averages do not fit the mean of the weights: run some
    training batches through the model after `swap_in` before it is tested.
    PyTorch's ``AveragedModel`` takes the weights in at every call, and its ``update_bn`` is for the
    batch-norm averages; TensorFlow Addons' ``SWA`` wraps an optimizer and has an `every` of 10.

    Args:
        start: how many calls of `update` to let pass first.
        every: take the weights in every that many calls from then on, such as once an epoch.
        name: by default the class's.

    Raises:
        ArgumentError: a number is too small.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([0.0], name="w")
    >>> mean = optim.StochasticWeightAveraging(start=1)
    >>> for value in ([9.0], [1.0], [3.0]):
    ...     _ = w.assign(value)
    ...     mean.update([w])
    >>> mean.average(w).tolist()
    [2.0]
    """

    def __init__(self, start: int = 0, *, every: int = 1, name: str | None = None) -> None:
        super().__init__(name or type(self).__name__)
        self.start = count(self.name, "start", start, least=0)
        self.every = count(self.name, "every", every)

    def _due(self, calls: Tensor) -> Tensor | None:
        since = calls - self.start
        return logical_and(greater_equal(since, 0), equal(remainder(since, self.every), 0))

    def _next(self, average: Tensor, w: Tensor, n: Tensor) -> Tensor:
        return average + (w - average) * cast_to(1.0 / (n + 1.0), w.dtype)

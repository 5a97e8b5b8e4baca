"""Rates that are set while training goes on: by hand, or when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.context import changed
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import float64
from minigrad.errors import ArgumentError, ArgumentTypeError, StateError
from minigrad.ops.basic import astype
from minigrad.optim.schedule_base import (
    Schedule,
    check_entries,
    checked_number,
    exact,
)
from minigrad.session import Session, get_default_session

__all__ = ["ManualSchedule", "ReduceOnPlateau"]


class ManualSchedule(Schedule):
    """A rate that is set by hand: the value of a variable, at every step.

    The variable is not trainable. Made in eager code it is shared by eager code and all sessions,
    so that setting it changes the next run of a graph that reads it. Made inside a graph, each
    session has its own value, and its initializer must be run. PyTorch does this by writing to
    ``optimizer.param_groups[i]["lr"]``, Keras by ``optimizer.learning_rate.assign``.

    Args:
        rate: the first rate.

    Raises:
        ArgumentError: the rate is negative or not finite.

    >>> import minigrad.optim as optim
    >>> schedule = optim.ManualSchedule(0.1)
    >>> _ = schedule.set(0.05)
    >>> schedule(step=7)
    0.05
    """

    def __init__(self, rate: float) -> None:
        first = checked_number("rate", rate)
        #: The rate, in float64, so that a number that is set comes out as it went in.
        self.variable = Variable(first, trainable=False, name="learning_rate", dtype=float64)

    def __repr__(self) -> str:
        if self.variable.graph is None:
            return f"{type(self).__name__}(rate={self.variable.item()!r})"
        return f"{type(self).__name__}(variable={self.variable!r})"

    def formula(self, step: Tensor) -> Tensor:
        """See `Schedule.formula`."""
        if self.variable.graph is not None and isinstance(step, ConcreteTensor):
            return exact(self.value())
        return tensor_of(self.variable)

    def value(self, *, session: Session | None = None) -> float:
        """The rate now.

        Args:
            session: holds the value of a graph-owned variable; by default the one whose ``with``
                block this is.

        Raises:
            StateError: the variable belongs to a graph, and there is no session.
        """
        if self.variable.graph is None:
            return float(self.variable.item())
        return float(self._session(session).value_of(self.variable))

    def set(self, rate: TensorLike, *, session: Session | None = None) -> Tensor:
        """Set the rate.

        Args:
            rate: a number; or a scalar tensor, where an assignment by the graph is wanted.
            session: set a graph-owned variable in this session, now, with no node in the graph.

        Returns:
            The rate: concrete if it was set now. If the variable belongs to a graph and no session
            is given, or `rate` is symbolic, a node that sets it whenever it runs.

        Raises:
            ArgumentError: a number that is negative or not finite.
        """
        if isinstance(rate, Tensor | Variable):
            return self.variable.assign(astype(rate, float64))
        number = checked_number("rate", rate)
        if self.variable.graph is not None and session is None:
            return self.variable.assign(number)
        self._write(number, session)
        return ConcreteTensor(np.array(number))

    def _write(self, rate: float, session: Session | None) -> None:
        """Set the variable's value now."""
        if self.variable.graph is not None:
            self._session(session).load(self.variable, rate)
            return
        with changed(graph=None, tapes=()):
            self.variable.assign(rate)

    def _session(self, session: Session | None) -> Session:
        found = session or get_default_session()
        if found is None or found.graph is not self.variable.graph:
            raise StateError(
                f"the rate is variable {self.variable.name!r} of a graph and has a value in each "
                "session of that graph; pass session=, call this inside `with session:`, or make "
                "the schedule in eager code, which all sessions share"
            )
        return found

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The rate, as ``rate``. See `value` for the session."""
        return {"rate": np.array(self.value(session=session))}

    def load_state_dict(self, state: Mapping[str, Any], *, session: Session | None = None) -> None:
        """See `Schedule.load_state_dict`."""
        check_entries(type(self).__name__, state, ("rate",))
        self._write(checked_number("rate", _number("rate", state["rate"])), session)


class ReduceOnPlateau(ManualSchedule):
    """Lower the rate when a metric has stopped improving; `update` is given the metric.

    A metric is better than the best so far b if it is below ``b - threshold·|b|`` (mode "min"), or
    above ``b + threshold·|b|`` (mode "max"); with ``relative=False``, `threshold` itself is the
    difference. After more than `patience` updates in a row without an improvement, the rate is
    multiplied by `factor`, and the next `cooldown` updates do not count as bad. A metric that is
    not finite is no improvement.

    PyTorch's ``ReduceLROnPlateau`` is the same (and its "relative" uses ``b·(1 - threshold)``,
    which for a negative b goes the wrong way; and it leaves a rate alone whose change would be
    below 1e-8). Keras reduces one update earlier (after `patience` bad ones), and its
    ``min_delta`` is a difference.

    Args:
        rate: the first rate.
        factor: what it is multiplied by; between 0 and 1.
        patience: how many bad updates in a row are tolerated.
        threshold: what counts as an improvement; at least 0.
        relative: `threshold` is a fraction of the best metric.
        cooldown: updates after a reduction during which bad ones are not counted.
        min_rate: the rate is not reduced below this.
        mode: ``"min"`` for a loss, ``"max"`` for an accuracy.

    Raises:
        ArgumentError: an argument is out of its range.

    >>> import minigrad.optim as optim
    >>> schedule = optim.ReduceOnPlateau(0.8, factor=0.5, patience=1)
    >>> [schedule.update(loss) for loss in (3.0, 2.0, 2.0, 2.0, 1.0)]
    [0.8, 0.8, 0.8, 0.4, 0.4]
    """

    def __init__(
        self,
        rate: float,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        relative: bool = True,
        cooldown: int = 0,
        min_rate: float = 0.0,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        if not 0.0 < checked_number("factor", factor) < 1.0:
            raise ArgumentError(f"factor must be greater than 0 and less than 1, got {factor!r}")
        if checked_number("threshold", threshold) >= 1.0 and relative:
            raise ArgumentError(f"a relative threshold must be less than 1, got {threshold!r}")
        if mode not in ("min", "max"):
            raise ArgumentError(f"mode must be 'min' or 'max', got {mode!r}")
        self.factor = float(factor)
        self.patience = checked_number("patience", patience)
        self.threshold = float(threshold)
        self.relative = relative
        self.cooldown = checked_number("cooldown", cooldown)
        self.min_rate = checked_number("min_rate", min_rate)
        self.mode = mode
        super().__init__(rate)
        #: The best metric so far (as if to be minimized), bad updates in a row, cooldown left.
        self._seen: tuple[float, int, int] = (math.inf, 0, 0)

    @property
    def best(self) -> float:
        """The best metric so far; an infinity before the first."""
        return self._seen[0] if self.mode == "min" else -self._seen[0]

    def update(self, metric: Any, *, session: Session | None = None) -> float:
        """Note a metric, and reduce the rate if it is time to.

        Args:
            metric: a number or a concrete scalar.
            session: holds the rate of a schedule made inside a graph; see `ManualSchedule.value`.

        Returns:
            The rate from now on.

        Raises:
            ArgumentTypeError: the metric is symbolic or no number.
            StateError: the rate belongs to a graph, and there is no session.
        """
        number = _number("metric", metric)
        signed = number if self.mode == "min" else -number
        rate = self.value(session=session)
        best, bad, cooling = self._seen
        if self._improves(signed, best):
            best, bad = signed, 0
        else:
            bad += 1
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > self.patience:
            cooling, bad = int(self.cooldown), 0
            reduced = max(rate * self.factor, min(rate, self.min_rate))
            if reduced != rate:
                self._write(reduced, session)
                rate = reduced
        self._seen = (best, bad, cooling)
        return rate

    def _improves(self, metric: float, best: float) -> bool:
        if not math.isfinite(metric):
            return False
        margin = self.threshold * abs(best) if self.relative else self.threshold
        return math.isinf(best) or metric < best - margin

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The rate and what was seen: ``rate``, ``best``, ``bad_updates``, ``cooldown_left``."""
        _, bad, cooling = self._seen
        return {
            "rate": np.array(self.value(session=session)),
            "best": np.array(self.best),
            "bad_updates": np.array(bad),
            "cooldown_left": np.array(cooling),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, session: Session | None = None) -> None:
        """See `Schedule.load_state_dict`."""
        names = ("rate", "best", "bad_updates", "cooldown_left")
        check_entries(type(self).__name__, state, names)
        rate, best, bad, cooling = [_number(name, state[name]) for name in names]
        checked_number("bad_updates", bad)
        checked_number("cooldown_left", cooling)
        self._write(checked_number("rate", rate), session)
        self._seen = (best if self.mode == "min" else -best, int(bad), int(cooling))


def _number(name: str, value: Any) -> float:
    """A Python float of a number, or of a concrete array or tensor of one element."""
    if isinstance(value, ConcreteTensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    elif isinstance(value, Variable) and value.graph is None and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise ArgumentTypeError(
            f"{name} must be a number or a concrete scalar, got {value!r}; fetch a symbolic one "
            "from a session first"
        )
    return float(value)

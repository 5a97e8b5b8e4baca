"""L-BFGS: a quasi-Newton method for losses that are computed on all the data."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.core.graph import GraphKeys
from minigrad.core.operation import SymbolicTensor
from minigrad.core.tensor import Array, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    GraphError,
    NumericsError,
    StateError,
)
from minigrad.optim.arguments import Variables, trainable_list
from minigrad.optim.full_batch import (
    EagerProblem,
    FlatProblem,
    SessionProblem,
    gradient_nodes,
)
from minigrad.optim.line_search import MOST_TRIALS, Trial, euclidean_norm, strong_wolfe
from minigrad.session import Session, get_default_session

__all__ = ["LBFGS", "LBFGSResult"]

#: By how many roundings of its dtype a loss may be off.
_ROUNDINGS = 4.0


@dataclass(frozen=True)
class LBFGSResult:
    """How a minimization went; the variables have the values that it speaks of.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([3.0], dtype="float64")
    >>> result = optim.LBFGS().minimize(lambda: mg.sum((w - 1.0) ** 2), [w])
    >>> result.converged, result.loss < 1e-9, result.gradient_norm < 1e-6
    (True, True, True)
    """

    #: The loss at the end.
    loss: float
    #: The Euclidean norm of the gradient of all variables together.
    gradient_norm: float
    #: Line searches that found a better point; by the gradient, where losses differ by rounding.
    iterations: int
    #: How often the loss and its gradient were computed.
    evaluations: int
    #: Whether a tolerance, or the loss's precision, was reached; not a limit.
    converged: bool
    #: Why it stopped.
    message: str


class LBFGS:
    """Limited-memory BFGS with a line search for the strong Wolfe conditions.

    For smooth losses computed on all the data, without randomness (no dropout, no batches): there
    it needs far fewer evaluations than the optimizers that take one step per gradient.

    Source: J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006: Algorithms
    7.4 (the two-loop recursion) and 7.5, with the search of 3.5 and 3.6; where losses differ by
    rounding alone, with Hager and Zhang's approximate conditions. The first step tried has at most
    length 1, later it is the quasi-Newton step.

    PyTorch's ``LBFGS`` does `max_iter` = 20 iterations in each ``step(closure)``, by default with
    a fixed step and no search (``line_search_fn="strong_wolfe"`` has one), a history of 100, and
    stops by the largest component of the gradient. SciPy's ``L-BFGS-B`` has a history of 10 and
    stops by the largest component too (1e-5), or by a relative decrease of 2.2e-9. TensorFlow
    Probability's ``lbfgs_minimize`` uses Hager and Zhang's search.

    Args:
        max_iterations: line searches at most.
        max_evaluations: computations of loss and gradient at most; None for no limit.
        history: how many past steps the curvature is estimated from (m).
        gradient_tolerance: stop when the gradient's Euclidean norm is at most this. In float32
            that may be out of reach; then it stops where the loss cannot fall any more.
        loss_tolerance: stop when an iteration lowers the loss by at most this part of it; 0 for
            never.
        decrease: c1 of the Wolfe conditions.
        curvature: c2 of the Wolfe conditions.

    Raises:
        ArgumentError: a limit or the history is not positive, a tolerance is negative or not
            finite, or not ``0 < decrease < curvature < 1``.

    >>> import minigrad as mg
    >>> w = mg.Variable([0.0, 0.0], dtype="float64")
    >>> result = mg.optim.LBFGS().minimize(lambda: mg.sum((w - [1.0, 2.0]) ** 2), [w])
    >>> w.numpy().round(6), result.converged
    (array([1., 2.]), True)
    """

    def __init__(
        self,
        *,
        max_iterations: int = 200,
        max_evaluations: int | None = None,
        history: int = 10,
        gradient_tolerance: float = 1e-6,
        loss_tolerance: float = 0.0,
        decrease: float = 1e-4,
        curvature: float = 0.9,
    ) -> None:
        limits = {"max_iterations": max_iterations, "history": history}
        if max_evaluations is not None:
            limits["max_evaluations"] = max_evaluations
        for name, limit in limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | np.integer):
                raise ArgumentTypeError(f"{name} must be an integer, got {limit!r}")
            if limit < 1:
                raise ArgumentError(f"{name} must be at least 1, got {limit!r}")
        tolerances = {"gradient_tolerance": gradient_tolerance, "loss_tolerance": loss_tolerance}
        for name, tolerance in tolerances.items():
            if not 0.0 <= tolerance < math.inf:
                raise ArgumentError(f"{name} must be finite and not negative, got {tolerance!r}")
        if not 0.0 < decrease < curvature < 1.0:
            raise ArgumentError(
                "decrease and curvature must fulfil 0 < decrease < curvature < 1, got "
                f"{decrease!r} and {curvature!r}"
            )
        self.max_iterations = max_iterations
        self.max_evaluations = max_evaluations
        self.history = history
        self.gradient_tolerance = gradient_tolerance
        self.loss_tolerance = loss_tolerance
        self.decrease = decrease
        self.curvature = curvature
        #: The gradient nodes of the last graph, so that a second call adds none.
        self._built: tuple[Tensor, list[Variable], list[Tensor]] | None = None

    def __repr__(self) -> str:
        return (
            f"LBFGS(max_iterations={self.max_iterations}, max_evaluations={self.max_evaluations}, "
            f"history={self.history}, gradient_tolerance={self.gradient_tolerance}, "
            f"loss_tolerance={self.loss_tolerance}, decrease={self.decrease}, "
            f"curvature={self.curvature})"
        )

    def minimize(
        self,
        loss: Callable[[], Any] | Tensor,
        variables: Variables | None = None,
        *,
        session: Session | None = None,
        feed_dict: Mapping[Any, Any] | None = None,
    ) -> LBFGSResult:
        """Change variables so that a loss becomes small.

        Whatever happens, an error or an interrupt too, all variables together are left at the
        best point that an iteration reached.

        Args:
            loss: eagerly a function without arguments that computes the scalar loss from the
                variables; in a graph, the scalar tensor.
            variables: what to change: a list of variables, a function that returns one, or a
                module; of floating dtypes, which they keep. In a graph, by default its trainable
                variables. One that the loss does not depend on stays.
            session: runs the graph and holds its variables; by default the one whose ``with``
                block this is.
            feed_dict: what the graph is fed in every run.

        Returns:
            The loss, the gradient's norm, the counts, and why it stopped.

        Raises:
            ArgumentError: there are no variables, or one is given twice or is not trainable.
            DTypeError: a variable is not of a floating dtype.
            GradientError: the loss is not a scalar, or depends on none of the variables.
            NumericsError: the loss or its gradient is not finite where it starts. Where that
                happens later on, the step is shortened.
            StateError: the loss is symbolic, and there is no session.
        """
        problem = self._problem(loss, variables, session, feed_dict)
        best = start = problem.start()

        def keep(x: Array) -> None:
            nonlocal best
            best = x

        try:
            return _minimize(problem, start, self, keep)
        finally:
            problem.write(best)

    def _problem(
        self, loss: Any, variables: Any, session: Session | None, feed_dict: Any
    ) -> FlatProblem:
        """The loss as a function of a flat vector."""
        if not isinstance(loss, SymbolicTensor):
            if isinstance(loss, Tensor | Variable) or not callable(loss):
                raise ArgumentTypeError(
                    "in eager code the loss must be a function that computes it, got "
                    f"{loss!r}; write minimize(lambda: …, variables)"
                )
            if session is not None or feed_dict is not None:
                raise ArgumentError("session and feed_dict are for a loss that is a graph's tensor")
            if variables is None:
                raise ArgumentError("in eager code, minimize needs a list of variables")
            return EagerProblem(loss, trainable_list("LBFGS", variables))
        session = session or get_default_session()
        if session is None:
            raise StateError(
                f"the loss {loss.name!r} belongs to a graph; pass session=, or call this inside "
                "`with session:`"
            )
        if session.graph is not loss.graph:
            raise GraphError(
                f"the loss belongs to {loss.graph!r}, the session to {session.graph!r}"
            )
        if variables is None:
            variables = loss.graph.get_collection(GraphKeys.TRAINABLE_VARIABLES)
        chosen = trainable_list("LBFGS", variables)
        return SessionProblem(loss, self._gradients(loss, chosen), chosen, session, feed_dict)

    def _gradients(self, loss: SymbolicTensor, variables: list[Variable]) -> list[Tensor]:
        if self._built is not None and self._built[0] is loss:
            if [id(v) for v in self._built[1]] == [id(v) for v in variables]:
                return self._built[2]
        grads = gradient_nodes(loss, variables)
        self._built = (loss, variables, grads)
        return grads


def _minimize(
    problem: FlatProblem, x: Array, settings: LBFGS, keep: Callable[[Array], None]
) -> LBFGSResult:
    """The iterations. `keep` is told every better point."""
    evaluations = 0

    def evaluate(origin: Array, direction: Array, step: float) -> Trial:
        nonlocal evaluations
        evaluations += 1
        point = problem.rounded(origin + step * direction)
        value, gradient = problem.gradient_at(point)
        with np.errstate(over="ignore", invalid="ignore"):
            slope = float(gradient @ direction)
        # One NaN or infinity anywhere makes the slope so, unless the direction is 0 there.
        if not np.isfinite(gradient).all():
            slope = math.nan
        return Trial(step, point, value, gradient, slope)

    def result(here: Trial, iterations: int, converged: bool, message: str) -> LBFGSResult:
        norm = euclidean_norm(here.gradient)
        return LBFGSResult(here.value, norm, iterations, evaluations, converged, message)

    here = evaluate(x, np.zeros_like(x), 0.0)
    if not here.is_finite:
        raise NumericsError(
            f"the loss where the minimization starts is {here.value}, or its gradient is not "
            "finite; start from other values"
        )
    memory = _Memory(settings.history)
    iterations = 0
    while True:
        norm = euclidean_norm(here.gradient)
        if norm <= settings.gradient_tolerance:
            return result(here, iterations, True, "the gradient is within its tolerance")
        if iterations == settings.max_iterations:
            return result(here, iterations, False, "max_iterations was reached")
        left = MOST_TRIALS
        if settings.max_evaluations is not None:
            left = min(left, settings.max_evaluations - evaluations)
        if left < 1:
            return result(here, iterations, False, "max_evaluations was reached")
        with np.errstate(over="ignore", invalid="ignore"):
            direction = memory.direction(here.gradient)
            slope = float(direction @ here.gradient)
        if not -math.inf < slope < 0.0:
            # Rounding or an overflow; the steepest descent is a way down in any case.
            memory.clear()
            direction, slope = -here.gradient, -norm * norm
        first_step = 1.0 if memory else min(1.0, 1.0 / norm)
        origin, along = here.x, direction
        found = strong_wolfe(
            lambda step: evaluate(origin, along, step),  # noqa: B023  (used up in this turn)
            Trial(0.0, here.x, here.value, here.gradient, slope),
            first_step,
            decrease=settings.decrease,
            curvature=settings.curvature,
            most_trials=left,
            noise=_ROUNDINGS * problem.epsilon * abs(here.value),
        )
        if found is None:
            # What a parabola would fall by, against what the loss can tell apart.
            if -slope * first_step <= 2.0 * _ROUNDINGS * problem.epsilon * abs(here.value):
                message = "the loss cannot fall any more in its precision"
                return result(here, iterations, True, message)
            if memory:
                memory.clear()
                continue
            spent = settings.max_evaluations is not None and evaluations >= settings.max_evaluations
            if spent:
                return result(here, iterations, False, "max_evaluations was reached")
            message = (
                "no step down the gradient lowers the loss: it is not smooth here, has no lower "
                "bound, or its gradient is wrong"
            )
            return result(here, iterations, False, message)
        keep(found.x)
        memory.add(found.x - here.x, found.gradient - here.gradient)
        fall = here.value - found.value
        size = max(abs(here.value), abs(found.value))
        here = found
        iterations += 1
        if settings.loss_tolerance and fall <= settings.loss_tolerance * size:
            return result(here, iterations, True, "the loss changes less than its tolerance")


class _Memory:
    """The last steps and the changes of the gradient over them."""

    def __init__(self, length: int) -> None:
        self._pairs: deque[tuple[Array, Array, float]] = deque(maxlen=length)

    def __len__(self) -> int:
        return len(self._pairs)

    def clear(self) -> None:
        """Forget all."""
        self._pairs.clear()

    def add(self, step: Array, change: Array) -> None:
        """Note a step, if the gradient changed along it as that of a convex function does.

        The Wolfe conditions see to that, unless the search ran out of trials or of precision.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # Then it is left out.
            product, size = float(step @ change), float(change @ change)
        if np.finfo(np.float64).eps * size < product < math.inf:
            self._pairs.append((step, change, 1.0 / product))

    def direction(self, gradient: Array) -> Array:
        """Minus the estimated inverse Hessian times the gradient (Algorithm 7.4)."""
        q = gradient.copy()
        weights: list[float] = []
        for step, change, scale in reversed(self._pairs):
            weight = scale * float(step @ q)
            weights.append(weight)
            q -= weight * change
        if self._pairs:
            step, change, _ = self._pairs[-1]
            q *= float(step @ change) / float(change @ change)
        for (step, change, scale), weight in zip(self._pairs, reversed(weights), strict=True):
            q += (weight - scale * float(change @ q)) * step
        return -q

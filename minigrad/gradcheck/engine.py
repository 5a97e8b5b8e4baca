"""Checks a function of float64 tensors: its gradient, and the derivative of its gradient.

Functions, tapes, session losses and the samples of primitives all come here as a function from a
list of concrete tensors to a list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from minigrad.autodiff import backward, dense
from minigrad.core.context import State, changed
from minigrad.core.operation import SymbolicTensor
from minigrad.core.record import Recorder, key_of
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.errors import GradientError, NotDifferentiableError
from minigrad.gradcheck.numeric import FIRST_STEP, Slope, scale_of, slope, step_for
from minigrad.gradcheck.report import RIGHT, ArgumentCheck
from minigrad.gradcheck.summary import summarize

#: What is checked. It returns the same number of tensors each time.
Function = Callable[[list[Tensor]], Sequence[Tensor]]

#: After so many confirmed differences the others are not confirmed any more.
_ENOUGH = 16


@dataclass(frozen=True, slots=True)
class Options:
    """How to check.

    Attributes:
        limits: relative errors below which order one and order two are right.
        step: the first relative step of the differences.
        components: how many components of each argument to check, drawn at random; None for all.
        seed: of the random projection, directions and components.
    """

    limits: tuple[float, float] = RIGHT
    step: float = FIRST_STEP
    components: int | None = None
    seed: int = 0


DEFAULTS = Options()


@contextmanager
def eagerly(*tapes: Recorder) -> Iterator[State]:
    """Compute at once, on these tapes alone, whatever the caller is building or recording."""
    with changed(graph=None, scope="", control=(), tapes=tapes, origin=None, log=None) as state:
        yield state


class Subject:
    """A function at a point: what is differentiated, and the projections of its outputs.

    Args:
        function: from float64 tensors to tensors; those outputs that are not float64 are left out.
        points: the arguments.
        names: what reports call them.
        options: how to check.

    Raises:
        GradientError: the function gives a symbolic tensor, or does not give the same twice.
        NotDifferentiableError: it has no float64 output.
    """

    def __init__(
        self,
        function: Function,
        points: Sequence[Array],
        names: Sequence[str],
        options: Options = DEFAULTS,
    ) -> None:
        self._function = function
        self.points = [np.array(p, np.float64) for p in points]
        self.names = list(names)
        self.options = options
        self.rng = np.random.default_rng(options.seed)
        with eagerly():
            made = function([ConcreteTensor(p) for p in self.points])
        for t in made:
            if isinstance(t, SymbolicTensor):
                raise GradientError(
                    f"the function returned {t!r}, which is symbolic; to check a loss of a graph "
                    "use mg.gradcheck(loss, feed_dict=…, session=…)"
                )
        #: Positions of the outputs that are differentiated.
        self.chosen = [i for i, t in enumerate(made) if t.dtype.dtype == np.float64]
        if not self.chosen:
            raise NotDifferentiableError(
                "there is no float64 result to differentiate; the function returned "
                f"{', '.join(repr(t) for t in made) or 'nothing'}"
            )
        self.base = [_array(made[i]) for i in self.chosen]
        again = self.values(self.points)
        if not all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(self.base, again, strict=True)
        ):
            raise GradientError(
                "the function gave two different results for the same arguments: it draws random "
                "numbers or depends on something that changes, and differences say nothing then; "
                "draw outside of it, or with seed=, and pass what changes as an argument"
            )

    @property
    def size(self) -> int:
        """How many numbers the outputs hold."""
        return sum(y.size for y in self.base)

    def outputs(self, tensors: list[Tensor]) -> list[Tensor]:
        """The chosen outputs, computed on whichever tapes record."""
        made = self._function(tensors)
        return [made[i] for i in self.chosen]

    def values(self, points: Sequence[Array]) -> list[Array]:
        """The chosen outputs as arrays."""
        with eagerly():
            return [_array(y) for y in self.outputs([ConcreteTensor(p) for p in points])]

    def projection(self) -> list[Array]:
        """Weights for the outputs: 1 for a single number, else random and the same every time."""
        if self.size == 1:
            return [np.ones(y.shape) for y in self.base]
        return [np.asarray(self.rng.normal(size=y.shape)) for y in self.base]

    def unit_probes(self) -> list[list[Array]]:
        """One projection for each number among the outputs: together they give the Jacobian."""
        flat = np.eye(self.size)
        return [self._split(row) for row in flat]

    def _split(self, row: Array) -> list[Array]:
        parts, start = [], 0
        for y in self.base:
            parts.append(row[start : start + y.size].reshape(y.shape))
            start += y.size
        return parts

    def pull(self, points: Sequence[Array], probes: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """The gradients of the projected outputs for every argument, by the rules."""
        tensors = _tracked(points)
        tape, outputs = self._record(tensors)
        return [
            [_array(g) for g in _pull(tape, outputs, [ConcreteTensor(w) for w in probe], tensors)]
            for probe in probes
        ]

    def _record(self, tensors: list[Tensor], *outer: Recorder) -> tuple[Recorder, list[Tensor]]:
        tape = Recorder(watch_variables=False)
        tape.tracked.update(_keys(tensors))
        with eagerly(*outer, tape):
            return tape, self.outputs(tensors)

    # -- order one -------------------------------------------------------------------------

    def first_order(self, probes: Sequence[Sequence[Array]]) -> list[ArgumentCheck]:
        """Compare the gradients of the projected outputs with differences, entry by entry."""
        analytic = self.pull(self.points, probes)
        base = _project(probes, self.base)
        checks = []
        for k, point in enumerate(self.points):
            rows = np.stack([np.ravel(g[k]) for g in analytic]) if analytic else np.zeros((0, 0))
            checks.append(self._compare(k, point, probes, base, rows))
        return checks

    def _compare(
        self,
        k: int,
        point: Array,
        probes: Sequence[Sequence[Array]],
        base: Array,
        analytic: Array,
    ) -> ArgumentCheck:
        """One argument; `analytic` has a row for each projection."""
        places = self._places(point)
        limit = self.options.limits[0]
        chosen = analytic[:, places]
        # Smaller differences do not move the relative error by a hundredth of its limit.
        within = 0.01 * limit * float(np.linalg.norm(chosen)) / max(1.0, chosen.size**0.5)
        largest = float(np.abs(point).max(initial=0.0))
        slopes: list[Slope] = []
        confirmed = 0
        for column, place in enumerate(places):
            expected = chosen[:, column] if confirmed < _ENOUGH else None
            x = float(point.flat[place])
            step, scale = step_for(x, self.options.step), scale_of(abs(x) or largest)
            found = slope(self._line(k, place, probes), base, step, expected, within, scale)
            slopes.append(found)
            if expected is not None:
                gap = np.abs(found.value - expected)
                wrong = gap > limit * (np.abs(found.value) + np.abs(expected)) + found.error
                confirmed += bool((wrong & ~found.kink).any())
        return summarize(
            self.names[k], point.shape, 1, limit, chosen.T, slopes, [int(p) for p in places]
        )

    def _places(self, point: Array) -> Array:
        """The components to check, as flat indices."""
        count = self.options.components
        if count is None or count >= point.size:
            return np.arange(point.size)
        return np.sort(self.rng.choice(point.size, count, replace=False))

    def _line(
        self, k: int, place: int, probes: Sequence[Sequence[Array]]
    ) -> Callable[[float], Array]:
        def line(t: float) -> Array:
            moved = np.array(self.points[k])
            moved.flat[place] += t
            points = [*self.points[:k], moved, *self.points[k + 1 :]]
            return _project(probes, self.values(points))

        return line

    # -- order two -------------------------------------------------------------------------

    def second_order(
        self, probe: Sequence[Array], *, upstream: bool = False
    ) -> list[ArgumentCheck]:
        """Compare the derivative of the gradient in a random direction with differences.

        The gradient of ⟨gradient, direction⟩ is the Hessian times the direction; differences of
        the gradient along the direction give the same vector. With `upstream`, the derivative of
        ⟨gradient, direction⟩ for the upstream gradient is checked as well: it is the derivative of
        the outputs along the direction.
        """
        direction = [self._direction(p) for p in self.points]
        analytic = self._double_pull(probe, direction)
        names = [*self.names, *[f"upstream of output {i}" for i in self.chosen]]
        wanted = len(self.points) + (len(self.base) if upstream else 0)
        analytic, names = analytic[:wanted], names[:wanted]
        for i, y in enumerate(self.base, len(self.points)):
            analytic[i : i + 1] = [_finite(g, y) for g in analytic[i : i + 1]]

        def line(t: float) -> Array:
            points = [np.asarray(p + t * u) for p, u in zip(self.points, direction, strict=True)]
            parts = self.pull(points, [probe])[0]
            if upstream:
                parts = [*parts, *map(_finite, self.values(points), self.base)]
            return np.concatenate([np.ravel(g) for g in parts])

        expected = np.concatenate([np.ravel(g) for g in analytic])
        limit = self.options.limits[1]
        within = 0.01 * limit * float(np.linalg.norm(expected)) / max(1.0, expected.size**0.5)
        found = slope(line, line(0.0), self.options.step, expected, within)
        checks, start = [], 0
        for name, g in zip(names, analytic, strict=True):
            part = slice(start, start + g.size)
            start += g.size
            slopes = [_entry(found, i) for i in range(part.start, part.stop)]
            rows = np.reshape(g, (g.size, 1))
            checks.append(summarize(name, g.shape, 2, limit, rows, slopes, list(range(g.size))))
        return checks

    def _direction(self, point: Array) -> Array:
        """A random direction, of the point's own order of magnitude."""
        drawn = np.asarray(self.rng.normal(size=point.shape))
        size = float(np.abs(point).max(initial=0.0))
        return drawn if 1e-3 < size < 1e3 else np.asarray(drawn * scale_of(size))

    def _double_pull(self, probe: Sequence[Array], direction: Sequence[Array]) -> list[Array]:
        """The gradient of ⟨gradient, direction⟩, for the arguments and the upstream gradients."""
        tensors = _tracked(self.points)
        seeds = _tracked(probe)
        sources = [*tensors, *seeds]
        outer = Recorder(watch_variables=False)
        outer.tracked.update(_keys(sources))
        tape, outputs = self._record(tensors, outer)
        slopes = _pull(tape, outputs, seeds, tensors, outer)
        along: list[Tensor] = [ConcreteTensor(u) for u in direction]
        return [_array(g) for g in _pull(outer, slopes, along, sources)]


# -- parts ------------------------------------------------------------------------------------


def _array(tensor: Tensor) -> Array:
    if not isinstance(tensor, ConcreteTensor):
        raise GradientError(
            f"a gradient rule gave {tensor!r}, which is symbolic, in eager code; a rule must use "
            "the tensors that it is given"
        )
    return tensor._value


def _tracked(arrays: Sequence[Array]) -> list[Tensor]:
    return [ConcreteTensor(a) for a in arrays]


def _keys(tensors: Sequence[Tensor]) -> list[int]:
    return [key_of(t) if isinstance(t, ConcreteTensor) else 0 for t in tensors]


def _key(tensor: Tensor) -> int:
    return key_of(tensor) if isinstance(tensor, ConcreteTensor) else -1


def _pull(
    tape: Recorder,
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    sources: Sequence[Tensor],
    *outer: Recorder,
) -> list[Tensor]:
    """The gradients of the sources, zeros where none arrives; recorded on the outer tapes."""
    keys = _keys(sources)
    with eagerly(*outer):
        found = backward(list(tape.records), list(zip(outputs, seeds, strict=True)), keys, _key)
        pulled = [dense(found[k]) if k in found else None for k in keys]
    made: list[Tensor] = []
    for g, x in zip(pulled, sources, strict=True):
        if g is None:
            g = ConcreteTensor(np.zeros(x.shape))
        elif g.shape != x.shape or g.dtype is not x.dtype:
            raise GradientError(
                f"a gradient of shape {g.shape} and dtype {g.dtype} came for an argument of "
                f"shape {x.shape} and dtype {x.dtype}"
            )
        made.append(g)
    return made


def _project(probes: Sequence[Sequence[Array]], outputs: Sequence[Array]) -> Array:
    """The sum of the outputs under each set of weights."""
    made = np.zeros(len(probes))
    for i, probe in enumerate(probes):
        made[i] = sum(np.vdot(w, y) for w, y in zip(probe, outputs, strict=True) if y.size)
    return made


def _finite(values: Array, base: Array) -> Array:
    """Values with zeros where an output is infinite, of which there are no differences."""
    return np.where(np.isfinite(base), values, 0.0)


def _entry(found: Slope, i: int) -> Slope:
    part = slice(i, i + 1)
    return Slope(
        found.value[part], found.error[part], found.left[part], found.right[part], found.kink[part]
    )

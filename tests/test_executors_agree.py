"""Every primitive's samples, and their gradients, on every executor."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn
import minigrad.optim
from minigrad.compile.lower import NotPlanned, lower
from minigrad.compile.native import code
from minigrad.core.primitive import Primitive
from minigrad.core.registry import REGISTRY
from minigrad.core.state import EAGER, Transaction
from minigrad.errors import DTypeError, GradientError, MinigradError
from minigrad.executor.plan import Plan
from minigrad.gradcheck.contracts import is_differentiated
from minigrad.gradcheck.engine import eagerly
from minigrad.gradcheck.samples import SampleCall, calls, describe
from tools.fuzzing.checking import close, difference
from tools.fuzzing.oracle import Expected, expected

pytest.importorskip("llvmlite")

EXECUTORS = ("numpy", "native")
#: So many primitives share a graph: one plan takes less time to compile than many.
SHARED = 12
OPS = sorted(REGISTRY)
#: The generic kernels of these put zeros between or around elements and multiply them too, where
#: others skip them: infinities times those zeros are NaN.
FILLING_WITH_ZEROS = frozenset({"ConvolutionTranspose", "LinearRecurrence", "ResizeAxisAdjoint"})
CHUNKS = [OPS[i : i + SHARED] for i in range(0, len(OPS), SHARED)]


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are compiled well at once, not again when they have been run some times."""
    monkeypatch.setattr(code, "PATIENCE", 1)


def distinct(tensors: Sequence[Any]) -> list[Any]:
    return list({id(t): t for t in tensors}.values())


class Called:
    """A sample in a graph: its placeholders and arrays, what it returns and its gradients."""

    def __init__(
        self, primitive: Primitive[..., Any], sample: Any, call: SampleCall, narrow: bool
    ) -> None:
        self.name = f"{primitive.op}: {describe(sample)}"
        self.inputs = [mg.placeholder(a.dtype, a.shape) for a in call.arrays]
        self.arrays = call.arrays
        outputs = [t for t in call(self.inputs, narrow=narrow) if not isinstance(t, mg.Variable)]
        self.fetches = list(outputs)
        if is_differentiated(primitive, sample, call):
            rng = np.random.default_rng(1)
            floating = [t for t in outputs if t.dtype.is_floating]
            weights: Any = None
            if all(t.spec.known() for t in floating):
                weights = [np.asarray(rng.normal(size=t.shape), t.dtype.dtype) for t in floating]
            sources = [self.inputs[i] for i in call.free]
            if floating:
                slopes = mg.gradients(floating, sources, weights)
                self.fetches += [mg.convert_to_tensor(g) for g in slopes]
        self.plan = Plan(mg.get_default_graph(), distinct(self.fetches), [], self.inputs)

    def draws(self, variables: Sequence[Any]) -> bool:
        """Whether it draws random numbers: state that is no variable is a generator's."""
        return not self.plan.cells.keys() <= {v.cell.key for v in variables}

    @property
    def takes_unusual(self) -> bool:
        """Whether it may be given NaN and infinities: loops might run for ever."""
        return not any(
            op.primitive.has_bodies or op.type in FILLING_WITH_ZEROS for op in self.plan.steps
        )

    def is_planned(self, session: mg.Session) -> bool:
        """Whether a plan can be made of it, whose shapes are known before it is run."""
        specs = [(a.shape, a.dtype) for a in self.arrays]
        guard = threading.Lock()
        with guard:
            cells = Transaction([session.slot(c) for c in self.plan.cells.values()])
            try:
                lower(self.plan, specs, cells._snapshot)
            except NotPlanned:
                return False
        return True

    def feeds(self, arrays: Sequence[Any]) -> dict[Any, Any]:
        return dict(zip(self.inputs, arrays, strict=True))


class Samples:
    """The samples of some primitives in one graph, and a session for every executor."""

    def __init__(self, ops: Sequence[str], narrow: bool = False) -> None:
        self.graph = mg.Graph()
        self.called: list[Called] = []
        given = [(op, *both) for op in ops for both in calls(REGISTRY[op])]
        with eagerly(), self.graph.as_default():
            for op, sample, call in given:
                if call.graph_only or (narrow and call.names_float64):
                    continue
                if narrow:
                    call.arrays = call.narrowed()
                try:
                    self.called.append(Called(REGISTRY[op], sample, call, narrow))
                except (DTypeError, GradientError):
                    assert narrow, describe(sample)  # A function in it names float64.
            self.variables = mg.global_variables()
        self.sessions = {name: self._session(name) for name in ("reference", *EXECUTORS)}
        sound = self.sessions["reference"]
        everything = range(len(self.called))
        drawing = [i for i in everything if self.called[i].draws(self.variables)]
        planned = [i for i in everything if self.called[i].is_planned(sound)]
        #: Samples that are run together: all those of which a plan can be made, and those whose
        #: shapes depend on values. What is drawn depends on what has been drawn before.
        self.groups = [
            [i for i in planned if i not in drawing],
            [i for i in everything if i not in planned and i not in drawing],
            *[[i] for i in drawing],
        ]

    def _session(self, name: Any) -> mg.Session:
        session = mg.Session(self.graph, executor=name)
        session.run([v.initializer for v in self.variables])
        return session

    def _run(self, name: str, fetches: Any, feeds: dict[Any, Any]) -> Any:
        """A run from the first state, which is there again afterwards."""
        session = self.sessions[name]
        stores = (session._store.values, EAGER.values)
        before = [dict(values) for values in stores]
        try:
            return session.run(fetches, feeds)
        finally:
            for values, old in zip(stores, before, strict=True):
                values.clear()
                values.update(old)

    def sound(self, called: Called, arrays: Sequence[Any]) -> list[Any] | None:
        """What the reference executor makes of a sample; None if it raises."""
        try:
            made: list[Any] = self._run("reference", called.fetches, called.feeds(arrays))
        except MinigradError:
            return None
        return made

    def compare(self, arrays: Sequence[Sequence[Any]]) -> Iterator[str]:
        """In what executors differ, for these arrays for the samples."""
        wanted = [self.sound(c, a) for c, a in zip(self.called, arrays, strict=True)]
        for values, called in zip(wanted, self.called, strict=True):
            assert values is not None, called.name
        for name, group in itertools.product(EXECUTORS, self.groups):
            feeds = {t: a for i in group for t, a in self.called[i].feeds(arrays[i]).items()}
            stats = self.sessions[name].stats()
            results = self._run(name, [self.called[i].fetches for i in group], feeds)
            # What is asked of a plan is asked of all its nodes: one that says no would spoil it.
            if group is self.groups[0]:
                assert self.sessions[name].stats()["unplanned"] == stats["unplanned"]
            for i, found in zip(group, results, strict=True):
                called = self.called[i]
                for wrong in self._differences(called, arrays[i], wanted[i], found):
                    yield f"{name}, {called.name} {wrong}"

    def _differences(
        self, called: Called, arrays: Sequence[Any], sound: Any, found: Any
    ) -> Iterator[str]:
        hope: Expected | None = None
        places = {id(t): i for i, t in enumerate(called.plan.fetches)}
        for k, (a, b) in enumerate(zip(sound, found, strict=True)):
            a, b = np.asarray(a), np.asarray(b)
            if close(a, b):
                continue
            hope = self._expected(called, arrays) if hope is None else hope
            if hope.tied or hope.overflows:
                return
            at = places[id(called.fetches[k])]
            wrong = difference(b, a, hope.values[at], hope.slack[at], hope.stable[at])
            if wrong is not None:
                yield f"result {k}: {wrong}"

    def _expected(self, called: Called, arrays: Sequence[Any]) -> Expected:
        session = self.sessions["reference"]
        cells = {v.cell.key: session.value_of(v) for v in self.variables}
        return expected(called.plan, list(arrays), cells, 24)


def unusual(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An array with NaN, infinities, zeros and subnormal numbers among its elements."""
    if array.dtype.kind != "f" or not array.size:
        return array
    info = np.finfo(array.dtype)
    odd = [np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, -info.tiny / 4, 1.0]
    chosen = rng.random(array.shape) < max(0.2, 1.0 / array.size)
    made = np.where(chosen, rng.choice(np.array(odd, array.dtype), array.shape), array)
    return np.asarray(made, array.dtype)


LAYOUTS = {
    "every other element": lambda a: np.repeat(a[..., None], 2, -1)[..., 0],
    "Fortran's order": np.asfortranarray,
    "backwards": lambda a: np.flip(np.ascontiguousarray(np.flip(a))),
    "the other order of bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "misaligned": lambda a: (
        np.frombuffer(b"x" + a.tobytes(), a.dtype, a.size, 1).reshape(a.shape) if a.size else a
    ),
}


@pytest.mark.parametrize("ops", CHUNKS, ids=lambda ops: f"{ops[0]} to {ops[-1]}")
def test_samples(ops: list[str]) -> None:
    samples = Samples(ops)
    plain = [called.arrays for called in samples.called]
    problems = list(samples.compare(plain))
    rng = np.random.default_rng(len(ops))
    for _ in range(3):
        # Where unusual numbers are refused, the usual ones stay.
        odd = [
            [unusual(a, rng) for a in arrays] if called.takes_unusual else arrays
            for called, arrays in zip(samples.called, plain, strict=True)
        ]
        fit = [samples.sound(c, a) is not None for c, a in zip(samples.called, odd, strict=True)]
        chosen = [a if ok else b for ok, a, b in zip(fit, odd, plain, strict=True)]
        problems += [f"with unusual numbers: {p}" for p in samples.compare(chosen)]
    for name, lay_out in LAYOUTS.items():
        there = [
            [lay_out(a) if a.ndim and a.dtype != object else a for a in arrays] for arrays in plain
        ]
        problems += [f"laid out {name}: {p}" for p in samples.compare(there)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("ops", CHUNKS, ids=lambda ops: f"{ops[0]} to {ops[-1]}")
def test_samples_in_float32(ops: list[str]) -> None:
    samples = Samples(ops, narrow=True)
    problems = list(samples.compare([called.arrays for called in samples.called]))
    assert not problems, "\n".join(problems)

"""What a plan should give: its nodes computed in a wider type than they ask for.

float16 and float32 are computed in float64, float64 in NumPy's longdouble, where kernels can. Run
once more with every computed number moved a little, it says how much rounding may change results:
values are moved by 16 units of rounding of the type that the graph asks for, equal values by as
much, and those that are only passed on not again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.body import Body
from minigrad.core.floating import kernel_errstate
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.state import Cell
from minigrad.executor.plan import Plan

Array = Any

#: Numbers are moved by so many units of rounding.
UNITS = 16
#: What each type is computed in.
WIDE = {
    np.dtype(np.float16): np.dtype(np.float64),
    np.dtype(np.float32): np.dtype(np.float64),
    np.dtype(np.float64): np.dtype(np.longdouble),
    np.dtype(np.complex64): np.dtype(np.complex128),
    np.dtype(np.complex128): np.dtype(np.clongdouble),
}

#: Ops that add up, in an order of their own: their inputs are moved every one apart.
ADDING = frozenset(
    {
        "AddAlongAxis", "AddN", "AvgPool", "AvgPoolGrad", "BandedRecurrence", "Convolution",
        "ConvolutionKernelGradient", "ConvolutionTranspose", "Cumsum", "Einsum", "EinsumGrad",
        "IndexAdd", "LinearRecurrence", "LogSoftmax", "LogSumExp", "MatMul", "MatMulGrad", "Mean",
        "MeanSquareNormalize", "PadGrad", "Prod", "RepeatGrad", "ScatterNd", "SlicesToDense",
        "Softmax", "Standardize", "Std", "StridedSliceGrad", "Sum", "SumToLike", "TileGrad", "Var",
        "VecDot", "VectorNorm", "WindowSum",
    }
)  # fmt: skip

#: Ops whose results are what is added to a logarithm of a number of 1 or more: this is moved too.
LOGARITHMS = frozenset({"LogSoftmax", "LogSumExp"})

#: What ops compare with 0, or with one another, to choose what they give. Where rounding decides on
#: which side of 0 such a number lies, it may also be 0.
ASKED: dict[str, Callable[..., Array]] = {
    "Cast": lambda x: x,
    "Equal": lambda x, y: x - y,
    "NotEqual": lambda x, y: x - y,
    # Factors of 0 give 0 whatever the other is; that matters for what is not finite only.
    "MulNoNan": lambda x, weight: np.where(np.isfinite(x), 1, weight),
    "SigmoidCrossEntropy": lambda x, t, *_: np.where(np.isfinite(x), 1, t * (1 - t)),
    "Xdivy": lambda x, y: np.where(np.isfinite(y) & (y != 0), 1, x),
    "Xlogy": lambda x, y: np.where(np.isfinite(y) & (y > 0), 1, x),
}


class Expected(NamedTuple):
    """What is expected of a run.

    Attributes:
        values: of every fetch, in a wide type.
        slack: for every fetch, how far each element may be off without being wrong.
        stable: for every fetch, which elements are NaN, infinite or finite however numbers are
            rounded.
        tied: whether rounding decides a comparison, a branch, a choice of the largest, or another
            value that is no floating-point number.
        overflows: whether a value is about the largest of its type.
    """

    values: list[Array]
    slack: list[Array]
    stable: list[Array]
    tied: bool
    overflows: bool


def expected(
    plan: Plan, feeds: Sequence[Array], cells: Mapping[int, Array], moves: int = 6
) -> Expected:
    """What a plan should give for feeds, and values of variables by the keys of their cells.

    Values assigned to variables follow those of the fetches, in the order of their cells' keys.

    Args:
        plan: what is run.
        feeds: an array for each feed of the plan.
        cells: the variables' values at the start.
        moves: how many runs with moved numbers there are; the first moves all the same way.
    """
    base = _Run(plan, feeds, cells, 0)
    runs = [_Run(plan, feeds, cells, seed) for seed in range(1, moves + 1)]
    slack, stable = [], []
    for i, value in enumerate(base.values):
        others = [run.values[i] for run in runs]
        kind = value.dtype.kind
        steady = np.ones(value.shape, bool)
        room = np.zeros(value.shape, np.longdouble if kind in "fc" else np.float64)
        if kind in "fc" and not any(other.shape != value.shape for other in others):
            with np.errstate(all="ignore"):
                for other in others:
                    steady &= _classes(other) == _classes(value)
                    room = np.fmax(room, np.abs(other - value))
                # What is a number here and no number there may be anything.
                room = np.where(steady, room, np.inf)
        slack.append(room)
        stable.append(steady)
    tied = any(run.decisions != base.decisions for run in runs)
    overflows = any(run.overflows for run in [base, *runs])
    return Expected(base.values, slack, stable, tied, overflows)


def _classes(x: Array) -> Array:
    """0 for finite elements, others for NaN and the infinities."""
    if x.dtype.kind == "c":
        return _classes(x.real) * 4 + _classes(x.imag)
    return np.where(np.isnan(x), 3, np.where(np.isposinf(x), 1, np.where(np.isneginf(x), 2, 0)))


class _State:
    """The variables of a run, as a `minigrad.core.state.Transaction` shows them."""

    def __init__(self, start: Mapping[int, Array]) -> None:
        self._start = dict(start)
        self.staged: dict[int, Array] = {}

    def start(self, cell: Cell) -> Any:
        return self._start.get(cell.key)

    def read(self, cell: Cell) -> Any:
        return self.staged.get(cell.key, self._start.get(cell.key))

    def write(self, cell: Cell, value: Any) -> None:
        self.staged[cell.key] = value


class _AtStart:
    """The same, read as it was at the start."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def read(self, cell: Cell) -> Any:
        return self._state.start(cell)


class _Iterations:
    """The same inside a loop: the start is that of the iteration."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._visible: dict[int, Any] = {}
        self._written: dict[int, Any] = {}

    def next(self) -> None:
        self._visible.update(self._written)

    def start(self, cell: Cell) -> Any:
        found = self._visible.get(cell.key)
        return self._state.start(cell) if found is None else found

    def assigned(self, cell: Cell) -> Any:
        return self._visible.get(cell.key)

    def read(self, cell: Cell) -> Any:
        return self._state.read(cell)

    def write(self, cell: Cell, value: Any) -> None:
        self._written[cell.key] = value
        self._state.write(cell, value)


class _Run:
    """One run of a plan in wide types; `seed` 0 moves nothing."""

    def __init__(
        self, plan: Plan, feeds: Sequence[Array], cells: Mapping[int, Array], seed: int
    ) -> None:
        self.seed = seed
        self.overflows = False
        self._rng = np.random.default_rng(seed)
        self._decisions = hashlib.blake2b(digest_size=16)
        state = _State({key: self._given(value) for key, value in cells.items()})
        with kernel_errstate(), np.errstate(all="ignore"):
            given = [
                (t, self._given(np.asarray(a), t.dtype.dtype))
                for t, a in zip(plan.feeds, feeds, strict=True)
            ]
            self.values = [np.asarray(v) for v in self.steps(plan, given, state)]
        written = sorted(plan.written)
        self.values += [np.asarray(state.read(plan.written[key])) for key in written]

    @property
    def decisions(self) -> bytes:
        """A digest of all values that are no floating-point numbers."""
        return self._decisions.digest()

    def _given(self, x: Array, dtype: Any = None) -> Array:
        dtype = x.dtype if dtype is None else dtype
        return self._moved(x.astype(WIDE.get(dtype, dtype)), (), dtype)

    def steps(
        self, plan: Plan, feeds: Iterable[tuple[SymbolicTensor, Array]], state: Any
    ) -> list[Array]:
        """Compute the steps of a plan or body; the values of its fetches."""
        values = {t: a.astype(WIDE.get(a.dtype, a.dtype)) for t, a in plan.constants.items()}
        values.update(feeds)
        for op in plan.steps:
            inputs = [None if t is None else values[t] for t in op.inputs]
            made = self._compute(plan, op, inputs, state)
            for t, value in zip(op.outputs, made, strict=True):
                if t not in plan.fed:
                    values[t] = self._result(np.asarray(value), inputs, t.dtype.dtype)
        return [values[t] for t in plan.fetches]

    def _compute(
        self, plan: Plan, op: Operation, inputs: list[Array | None], state: Any
    ) -> Sequence[Array]:
        primitive, attrs, effect = op.primitive, op.attrs, op.primitive.effect
        if self.seed and op.type in ADDING:
            terms = self._terms(op, inputs) if self.seed == 2 else 1.0
            inputs = [
                x if t is None or x is None else self._jittered(x, t.dtype.dtype, terms)
                for t, x in zip(op.inputs, inputs, strict=True)
            ]
        if op.type in ASKED:
            self._note_signs(op, inputs)
        kernel: Any = primitive.compute
        given: tuple[Any, ...] = ()
        if op.type == "Cast" and op.outputs[0].dtype.dtype in WIDE:
            return [inputs[0]]
        if effect == "body":
            given = (_Bodies(self, state, plan.wanted[op]),)
        elif effect == "read" and op not in plan.staged_reads:
            given = (_AtStart(state),)
        elif effect not in ("pure", "host"):
            given = (state,)
        try:
            made = kernel(np, *given, *inputs, **attrs)
        except Exception:  # noqa: BLE001 - kernels that know no wide types
            made = kernel(np, *given, *_narrowed(op, inputs), **attrs)
        made = [made] if primitive.single else made
        if self.seed and op.type in ADDING:
            # The sign of a sum that is 0 depends on the order as well.
            sign = 1.0 if self.seed % 2 else -1.0
            made = [_signed(np.asarray(y), sign) for y in made]
        if self.seed and op.type in LOGARITHMS:
            dtype = op.outputs[0].dtype.dtype
            made = [y + (self._jittered(np.ones_like(y), dtype) - 1) for y in made]
        return made

    def _note_signs(self, op: Operation, inputs: list[Array | None]) -> None:
        """Note what rounding must not decide, where an op chooses by what is 0 or equal."""
        if op.type == "Cast" and op.outputs[0].dtype.dtype != np.bool_:
            return
        given = [x for x in inputs if x is not None]
        if all(x.dtype.kind == "f" for x in given):
            asked = np.asarray(ASKED[op.type](*given))
            self._decisions.update((asked > 0).tobytes() + (asked < 0).tobytes())

    def _terms(self, op: Operation, inputs: list[Array | None]) -> float:
        """About how many numbers an op adds up for each that it gives."""
        narrow = _narrowed(op, inputs)
        made: Any = op.primitive.compute(np, *narrow, **op.attrs)  # type: ignore[misc]
        first = made if op.primitive.single else made[0]
        return max([x.size for x in narrow if x is not None]) / max(np.size(first), 1)

    def _jittered(self, x: Array, dtype: np.dtype[Any], terms: float = 1.0) -> Array:
        """An input whose elements are moved, each in its own way.

        For seed 2 all are moved upwards: what is added up in an order of one's own is rounded by as
        much as what has been added so far is large, which may be all that has one sign; and where
        many terms are alike, always in the same direction.
        """
        if dtype not in WIDE:
            return x
        if self.seed == 2:
            signs, units = np.sign(x.real), max(UNITS, terms / 3)
        else:
            signs, units = self._rng.choice([-1.0, 1.0], x.shape), UNITS
        steps = signs * (units * float(np.finfo(dtype).eps))
        return np.where(np.isfinite(x), x + x * steps.astype(x.dtype), x).astype(x.dtype)

    def _result(self, value: Array, inputs: Sequence[Array | None], dtype: np.dtype[Any]) -> Array:
        wide = WIDE.get(dtype)
        if wide is None:
            if value.dtype != dtype:
                value = value.astype(dtype)
            if dtype.kind != "O":
                self._decisions.update(np.ascontiguousarray(value).tobytes())
            return value
        return self._moved(value.astype(wide), inputs, dtype)

    def _moved(self, value: Array, inputs: Sequence[Array | None], dtype: Any) -> Array:
        """A value whose new numbers are moved by what rounding to a type may do."""
        if dtype not in WIDE or not value.size:
            return value
        if value.dtype.kind == "c":
            parts = [
                self._moved(part, _parts(inputs), dtype.type(0).real.dtype)
                for part in (value.real, value.imag)
            ]
            return (parts[0] + 1j * parts[1]).astype(value.dtype)
        info = np.finfo(dtype)
        size = np.abs(value)
        finite = np.isfinite(value)
        if np.any(finite & (size > info.max / 64)):
            self.overflows = True
        if not self.seed:
            return value
        if not finite.all():
            # What sign a NaN has, nothing says.
            sign = 1.0 if self.seed % 2 else -1.0
            value = np.where(
                np.isnan(value), np.copysign(np.asarray(np.nan, value.dtype), sign), value
            )
        new = finite & (size != 0) & (size != 1)
        sizes = size.astype(np.float64)  # Which sorts much faster.
        for x in _parts(inputs):
            if x is not None and x.dtype.kind in "fiu" and x.size:
                new &= ~np.isin(sizes, np.abs(x).astype(np.float64))
        if not new.any():
            return value
        signs = _signs(size, self.seed)
        step = size * (UNITS * float(info.eps))
        step = np.where(size < float(info.tiny), UNITS * float(info.smallest_subnormal), step)
        moved = np.where(new, value + np.sign(value) * signs * step, value)
        if self.seed == 3:
            # Where a function tends to 1 or -1, it may be rounded to just that.
            moved = np.where(np.abs(size - 1) <= UNITS * float(info.eps), np.sign(value), moved)
        return moved


def _narrowed(op: Operation, inputs: Sequence[Array | None]) -> list[Array | None]:
    """Inputs in the dtypes that the graph asks for."""
    return [
        None if t is None or x is None else x.astype(t.dtype.dtype)
        for t, x in zip(op.inputs, inputs, strict=True)
    ]


def _signed(x: Array, sign: float) -> Array:
    """An array whose zeros have this sign."""
    if x.dtype.kind != "f":
        return x
    return np.where(x == 0, np.copysign(np.zeros((), x.dtype), sign), x)


def _parts(inputs: Sequence[Array | None]) -> list[Array | None]:
    """Inputs with complex ones replaced by their parts."""
    found: list[Array | None] = []
    for x in inputs:
        if x is not None and x.dtype.kind == "c":
            found += [x.real, x.imag]
        else:
            found.append(x)
    return found


def _signs(size: Array, seed: int) -> Array:
    """1 or -1 for every number, equal ones alike; for seed 1 always 1."""
    if seed == 1:
        return np.ones(size.shape)
    bits = np.ascontiguousarray(size, np.float64).reshape(size.shape).view(np.uint64)
    mixed = (bits ^ np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0x94D049BB133111EB)
    return np.where(mixed >> np.uint64(63), 1.0, -1.0)


class _Bodies:
    """What kernels of branches and loops run their bodies with: see `reference.Runner`."""

    def __init__(self, run: _Run, state: Any, wanted: tuple[bool, ...]) -> None:
        self._run = run
        self._state = state
        self.wanted = wanted

    def looping(self) -> _Bodies:
        return _Bodies(self._run, _Iterations(self._state), self.wanted)

    def next_iteration(self) -> None:
        self._state.next()

    def assigned(self, cell: Cell) -> Any:
        return self._state.assigned(cell)

    def call(
        self, body: Body, inputs: Sequence[Array], outputs: tuple[SymbolicTensor, ...]
    ) -> list[Array]:
        return self.prepared(body, outputs)(inputs)

    def prepared(
        self, body: Body, outputs: tuple[SymbolicTensor, ...]
    ) -> Callable[[Sequence[Array]], list[Array]]:
        plan = Plan(body, outputs, body.targets, body.inputs)
        return lambda inputs: self._run.steps(
            plan, zip(body.inputs, inputs, strict=True), self._state
        )

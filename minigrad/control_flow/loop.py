"""`Loop`: the node of every loop. It carries tensors from one run of its body to the next.

One run of the body takes the carried tensors, a slice of each sliced input, and what it captures;
it gives the carried tensors for the next, and results that are collected. There are four kinds of
outputs: the carried tensors after the last run, the collected results, the number of runs, and the
history: what each carried tensor was at the start of each run, and the results of draws, reads and
other effects. The gradient reads the history. A kernel computes only what is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np

from minigrad.control_flow.inlining import inline
from minigrad.control_flow.loop_history import Collector, Slices, gathered, items_of
from minigrad.control_flow.loop_layout import Inputs, Layout, Outputs
from minigrad.core.bind import bind_all
from minigrad.core.body import Body, fits, infer_outputs
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import Cell
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.dtypes import from_numpy, int64
from minigrad.errors import ArgumentError, DTypeError, MinigradError, ShapeError, operation_error
from minigrad.ops.basic import constant
from minigrad.ops.comparison import less
from minigrad.ops.elementwise import add, multiply
from minigrad.shapes import Spec, show


def _sample_bodies() -> tuple[Body, Body, Body]:
    """The bodies of ``while x < 20: x = x * x``, and of ``i, x = i + 1, x * w + s`` for each s."""
    number, pair = (Spec(shape, from_numpy(np.dtype("float64"))) for shape in ((), (2,)))
    cond, square, body = Body(None), Body(None), Body(None)
    with cond.building("sample/"):
        x = cond.argument(number, "x")
        cond.close([cast(SymbolicTensor, less(x, 20.0))])
    with square.building("sample/"):
        x = square.argument(number, "x")
        square.close([cast(SymbolicTensor, multiply(x, x))])
    with body.building("sample/"):
        i = body.argument(Spec((), int64), "i")
        x, s = body.argument(pair, "x"), body.argument(pair, "s")
        w = body.placeholder(pair, "sample/w")
        body.captured = {w: w}
        outputs = [add(i, np.int64(1)), add(multiply(x, w), s), multiply(x, s)]
        body.close(cast("list[SymbolicTensor]", outputs))
    return cond, square, body


def _samples(rng: np.random.Generator) -> list[Sample]:
    cond, square, body = _sample_bodies()
    count, start, one = np.array(0), np.array([1.0, 2.0]), np.array([0.5, -0.5])
    rows = rng.normal(size=(4, 2))
    options = {"carries": (False, False), "slices": (False,), "results": (False,)}
    counted = {"carries": (False,), "limited": True}
    return [
        Sample(count, start, rows, one, body=body, **options),
        Sample(count, start, rows, one, body=body, reverse=True, **options),
        Sample(np.array(4), count, start, rows, one, body=body, limited=True, **options),
        Sample(np.array(3), np.array(2.0), body=square, **counted),
        Sample(np.array(9), np.array(2.0), body=square, cond=cond, **counted),
        Sample(np.array(0), np.array(2.0), body=square, **counted).named("no run"),
    ]


@primitive(
    "Loop",
    outputs=None,
    effect="body",
    promote=(),
    samples=_samples,
    errors=[
        Fails(
            ArgumentError,
            "a condition, a limit",
            np.array(0),
            np.ones(2),
            np.ones(2),
            body=_sample_bodies()[2],
            carries=(False, False),
        )
    ],
)
def loop(
    *inputs: Any,
    body: Body,
    cond: Body | None = None,
    limited: bool = False,
    carries: tuple[bool, ...] = (),
    slices: tuple[bool, ...] = (),
    results: tuple[bool, ...] = (),
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """Run a body again and again; what `while_loop`, `fori_loop`, `scan` and `map_fn` add.

    Args:
        inputs: the limit if there is one, the carried tensors, the sliced ones (two each where
            ragged), what `cond` captures, and what `body` captures.
        body: from carried tensors, slices and captured ones to carried ones and results.
        cond: from carried tensors and captured ones to a bool scalar; without it the loop has as
            many runs as there are slices, or as the limit says.
        limited: whether there is a limit.
        carries: for each carried tensor, whether its shape may change.
        slices: for each sliced input, whether it is ragged.
        results: for each result, whether it is ragged.
        reverse: whether slices are taken from the last to the first.

    Returns:
        Carried tensors, collected results, the number of runs, the history.

    Raises:
        ShapeError: a carried tensor has, or comes to have, another shape than declared.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", ())
    ...     (y,) = mg.while_loop(lambda x: x < 100.0, lambda x: (x * 2.0,), (x,))
    ...     y.op.type, len(y.op.outputs)
    ('Loop', 3)
    >>> mg.Session(graph=y.graph).run(y, {x: 3.0})
    np.float32(192.0)
    """
    return bind_all(
        loop,
        *inputs,
        cond=cond,
        body=body,
        limited=limited,
        carries=carries,
        slices=slices,
        results=results,
        reverse=reverse,
    )


# -- shapes ------------------------------------------------------------------------------------


@loop.shape
def _(*inputs: Spec, **attrs: Any) -> tuple[Spec, ...]:
    layout = Layout(**attrs)
    given = layout.split(inputs)
    arguments = layout.body.arguments
    for i, (spec, argument) in enumerate(zip(given.carries, arguments, strict=False)):
        if not fits(spec, argument.spec):
            raise misfit(i, name_of(argument), argument.spec, spec)
    count = _static_count(layout, given)
    known = None if count is None else np.asarray(count, np.int64)
    made = [Spec(t.spec.shape, t.spec.dtype) for t in arguments[: len(layout.carries)]]
    collected = [_collected_specs(spec, ragged, count) for spec, ragged in layout.collected()]
    results, history = collected[: len(layout.results)], collected[len(layout.results) :]
    return (
        *made,
        *[s for group in results for s in group],
        Spec((), int64, known),
        *[s for group in history for s in group],
    )


def misfit(i: int, name: str | None, declared: Spec, got: Spec) -> MinigradError:
    """The error for a carried tensor that is not what was declared."""
    called = f"loop variable {i}" if name is None else f"loop variable {i} ({name!r})"
    if got.dtype is not declared.dtype:
        return DTypeError(
            f"{called} is {declared.dtype}, got {got.dtype} for its next value; "
            "cast it with mg.astype"
        )
    return ShapeError(
        f"{called} was declared with shape {show(declared.shape)}, got {show(got.shape)}; a shape "
        "that changes must be declared in shape_invariants, with None for what changes"
    )


def name_of(argument: SymbolicTensor) -> str:
    """What a function calls its argument."""
    return argument.op.name.rpartition("/")[2]


def _static_count(layout: Layout, given: Inputs) -> int | None:
    """The number of runs, where the graph knows it."""
    lengths = [g[-1].shape[0] for g in given.slices if g[-1].shape]
    limit = None if given.limit is None or given.limit.value is None else int(given.limit.value)
    most = layout.most_runs(limit, [n for n in lengths if n is not None])
    return None if layout.cond is not None else most


def _collected_specs(spec: Spec, ragged: bool, count: int | None) -> tuple[Spec, ...]:
    shape = spec.shape
    if ragged:
        rank = None if shape is None else len(shape)
        return Spec((None,), spec.dtype), Spec((count, rank), int64)
    return (Spec(None if shape is None else (count, *shape), spec.dtype),)


# -- the kernel --------------------------------------------------------------------------------

#: Stands for an output that nobody reads.
_NOTHING = np.zeros(0)


def _positions(count: int | None, reverse: bool) -> Iterator[int]:
    if count is None:
        position = 0
        while True:
            yield position
            position += 1
    yield from range(count - 1, -1, -1) if reverse else range(count)


@loop.kernel
def _(xp: Any, runner: Any, *inputs: Array, **attrs: Any) -> tuple[Array, ...]:
    return _Runs(Layout(**attrs), inputs, runner).outputs()


class _Runs:
    """The runs of a loop's body on arrays.

    Args:
        layout: what the inputs are.
        inputs: arrays.
        runner: runs bodies.
    """

    def __init__(self, layout: Layout, inputs: Sequence[Array], runner: Any) -> None:
        self.layout = layout
        self.given = layout.split(inputs)
        self.runner = runner.looping()
        body, self.split, cut = layout.body, len(layout.carries), len(layout.results)
        wanted = layout.outputs(runner.wanted)
        #: For all that may be collected, whether somebody reads it.
        self.read = [any(g) for g in (*wanted.results, *wanted.histories, *wanted.effects)]
        self.collectors = [Collector(spec, ragged) for spec, ragged in layout.collected()]
        sources = dict(enumerate(body.outputs[self.split :]))
        sources |= {cut + self.split + e: t for e, t in enumerate(layout.effects)}
        fetched = [i for i in sources if self.read[i]]
        self.remembered = [
            (j, self.collectors[cut + j]) for j in range(self.split) if self.read[cut + j]
        ]
        self.collected = [self.collectors[i] for i in fetched]
        # Of what the body computes, only what is carried on or read by somebody.
        outputs = (*body.outputs[: self.split], *[sources[i] for i in fetched])
        self.step = self.runner.prepared(body, outputs)
        cond = layout.cond
        self.ask = None if cond is None else self.runner.prepared(cond, cond.outputs)

    def outputs(self) -> tuple[Array, ...]:
        """The outputs of the node; those that nobody reads are empty."""
        layout, cut = self.layout, len(self.layout.results)
        carries, runs = self.go()
        empty = [spec for spec, _ in layout.collected()]
        if not runs and any(self.read):
            empty = _specs_without_runs(layout, self.given)
        groups = [
            c.arrays(layout.reverse, spec) if is_read else [_NOTHING] * (1 + ragged)
            for c, spec, is_read, (_, ragged) in zip(
                self.collectors, empty, self.read, layout.collected(), strict=True
            )
        ]
        histories, effects = groups[cut : cut + self.split], groups[cut + self.split :]
        return Outputs(carries, groups[:cut], np.asarray(runs), histories, effects).flat()

    def go(self) -> tuple[list[Array], int]:
        """Do all runs; the carried arrays after the last one, and how many there were."""
        layout, given, split = self.layout, self.given, self.split
        slices = [Slices(group) for group in given.slices]
        limit = None if given.limit is None else int(given.limit)
        count = layout.most_runs(limit, [s.length for s in slices])
        carries, runs = given.carries, 0
        try:
            for position in _positions(count, layout.reverse):
                if not self._goes_on(carries):
                    break
                for j, history in self.remembered:
                    history.add(carries[j])
                captured = self._refreshed(given.captured, layout.refreshed)
                made = self.step([*carries, *[s[position] for s in slices], *captured])
                self._check_shapes(carries, made)
                carries = made[:split]
                for collector, value in zip(self.collected, made[split:], strict=True):
                    collector.add(value)
                self.runner.next_iteration()
                runs += 1
        except Exception as error:
            if isinstance(error, MinigradError):
                raise operation_error(error, f"{error}\n  in run {runs} of the loop") from error
            error.add_note(f"in run {runs} of the loop (from 0)")
            raise
        return list(carries), runs

    def _goes_on(self, carries: Sequence[Array]) -> bool:
        """What the condition says."""
        if self.ask is None:
            return True
        asked = self._refreshed(self.given.asked, self.layout.asked_refreshed)
        (answer,) = self.ask([*carries, *asked])
        return bool(answer)

    def _refreshed(self, captured: list[Array], places: list[tuple[int, Cell]]) -> list[Array]:
        """Captured arrays, with the newest values of the variables that earlier runs assigned."""
        if not places:
            return captured
        fresh = list(captured)
        for place, cell in places:
            value = self.runner.assigned(cell)
            if value is not None:
                fresh[place] = value
        return fresh

    def _check_shapes(self, before: Sequence[Array], after: Sequence[Array]) -> None:
        """Raise `ShapeError` where a carried array has changed its shape, and may not."""
        for j, may_change in enumerate(self.layout.carries):
            if after[j].shape != before[j].shape and not may_change:
                argument = self.layout.body.arguments[j]
                specs = [Spec(x.shape, argument.dtype) for x in (before[j], after[j])]
                raise misfit(j, name_of(argument), *specs)


def _specs_without_runs(layout: Layout, given: Inputs) -> list[Spec]:
    """The specs of one of everything that is collected, for inputs that gave no run."""
    of = [Spec(a.shape, from_numpy(a.dtype)) for a in given.carries]
    captured = [Spec(a.shape, from_numpy(a.dtype)) for a in given.captured]
    sliced = [
        Spec(g[0].shape[1:] if len(g) == 1 else (None,) * g[1].shape[1], from_numpy(g[0].dtype))
        for g in given.slices
    ]
    made = infer_outputs(layout.body, [*of, *sliced, *captured])
    effects = [t.spec for t in layout.effects]
    return [*made[len(of) :], *of, *effects]


# -- on concrete tensors -----------------------------------------------------------------------


@loop.eagerly
def _(*inputs: Tensor, **attrs: Any) -> tuple[Tensor, ...]:
    """The same by ops, so that tapes record it and other dtypes may come in."""
    layout = Layout(**attrs)
    given = layout.split(inputs)
    body, split, cut = layout.body, len(layout.carries), len(layout.results)
    slices = [items_of(group) for group in given.slices]
    limit = None if given.limit is None else int(given.limit)
    count = layout.most_runs(limit, [len(items) for items in slices])
    collected: list[list[Tensor]] = [[] for _ in layout.collected()]
    carries = given.carries
    runs = 0
    for position in _positions(count, layout.reverse):
        if layout.cond is not None:
            values = inline(layout.cond, [*carries, *given.asked], targets=True)
            if not values[layout.cond.outputs[0]]:
                break
        arguments = [*carries, *[items[position] for items in slices]]
        values = inline(body, [*arguments, *given.captured], targets=True)
        made = [values[t] for t in body.outputs]
        for items, value in zip(collected, [*made[split:], *carries], strict=False):
            items.append(value)
        for items, effect in zip(collected[cut + split :], layout.effects, strict=True):
            if effect in values:  # A draw that nothing needs is not made.
                items.append(values[effect])
        carries = made[:split]
        runs += 1
    empty = [spec for spec, _ in layout.collected()]
    if not runs:
        arrays = [cast(ConcreteTensor, t)._value for t in inputs]
        empty = _specs_without_runs(layout, layout.split(arrays))
    groups = [
        gathered(items[::-1] if layout.reverse else items, spec, ragged)
        for items, spec, (_, ragged) in zip(collected, empty, layout.collected(), strict=True)
    ]
    results, histories, rest = groups[:cut], groups[cut : cut + split], groups[cut + split :]
    return Outputs(list(carries), results, constant(np.int64(runs)), histories, rest).flat()

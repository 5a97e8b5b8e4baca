"""`Loop`: the node of every loop. It carries tensors from one run of its body to the next.

One run of the body takes the carried tensors, a slice of each sliced input, and what it captures;
it gives the carried tensors for the next, and results that are collected. There are four kinds of
outputs: the carried tensors after the last run, the collected results, the number of runs, and the
history: what each carried tensor was at the start of each run, and the results of draws, reads and
other effects. The gradient reads the history. A kernel computes only what is read.

Whatever is collected lies in one tensor, by the position of the run: stacked, where all runs give
the same shape; else *ragged*, as all elements in one row, with a table of the shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minigrad.control_flow.inlining import inline
from minigrad.core.bind import bind_all
from minigrad.core.body import Body, fits, infer_outputs
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor
from minigrad.dtypes import from_numpy, int64
from minigrad.errors import ArgumentError, DTypeError, MinigradError, ShapeError
from minigrad.ops.basic import constant
from minigrad.ops.comparison import less
from minigrad.ops.elementwise import add, multiply
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import reshape
from minigrad.ops.stacking import stack, unstack
from minigrad.shapes import Spec, show


@dataclass(frozen=True)
class Layout:
    """Which input and output of a loop is what.

    Attributes:
        cond: the body that says whether to go on, or None.
        body: what is done in each run.
        limited: whether the first input is the greatest number of runs.
        carries: for each carried tensor, whether its shape may change.
        slices: for each sliced input, whether it is ragged.
        results: for each collected result, whether it is ragged.
        reverse: whether the positions are gone through from the last to the first.
    """

    cond: Body | None
    body: Body
    limited: bool
    carries: tuple[bool, ...]
    slices: tuple[bool, ...]
    results: tuple[bool, ...]
    reverse: bool

    @property
    def effects(self) -> list[SymbolicTensor]:
        """The results of effects, which are part of the history."""
        return [t for op in self.body.stateful_ops for t in op.outputs]

    def split(self, inputs: Sequence[Any]) -> Inputs:
        """The inputs by kind."""
        feed = iter(inputs)
        limit = next(feed) if self.limited else None
        carries = [next(feed) for _ in self.carries]
        slices = [[next(feed) for _ in range(1 + ragged)] for ragged in self.slices]
        asked = [next(feed) for _ in self.cond.captured] if self.cond is not None else []
        return Inputs(limit, carries, slices, asked, list(feed))

    def collected(self) -> list[tuple[Spec, bool]]:
        """For each collected thing, the spec of one of it, and whether it is ragged."""
        results = self.body.outputs[len(self.carries) :]
        carries = self.body.arguments[: len(self.carries)]
        return [
            *[(t.spec, ragged) for t, ragged in zip(results, self.results, strict=True)],
            *[(t.spec, ragged) for t, ragged in zip(carries, self.carries, strict=True)],
            *[(t.spec, not t.spec.known()) for t in self.effects],
        ]

    def outputs(self, made: Sequence[Any]) -> Outputs:
        """The outputs by kind."""
        feed = iter(made)
        carries = [next(feed) for _ in self.carries]
        groups = self.collected()
        results = [[next(feed) for _ in range(1 + r)] for _, r in groups[: len(self.results)]]
        count = next(feed)
        history = [[next(feed) for _ in range(1 + r)] for _, r in groups[len(self.results) :]]
        split = len(self.carries)
        return Outputs(carries, results, count, history[:split], history[split:])


@dataclass
class Inputs:
    """The inputs of a loop, by kind; a slice is one tensor, or two where it is ragged."""

    limit: Any
    carries: list[Any]
    slices: list[list[Any]]
    asked: list[Any]
    captured: list[Any]


@dataclass
class Outputs:
    """The outputs of a loop, by kind; what is collected is one tensor, or two where ragged."""

    carries: list[Any]
    results: list[list[Any]]
    count: Any
    histories: list[list[Any]]
    effects: list[list[Any]]

    def flat(self) -> tuple[Any, ...]:
        """All, in order."""
        groups = (*self.histories, *self.effects)
        return (
            *self.carries,
            *[t for g in self.results for t in g],
            self.count,
            *[t for g in groups for t in g],
        )


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
            raise misfit(i, _name(argument), argument.spec, spec)
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


def _name(argument: SymbolicTensor) -> str:
    return argument.op.name.rpartition("/")[2]


def _static_count(layout: Layout, given: Inputs) -> int | None:
    """The number of runs, where the graph knows it."""
    lengths = [g[-1].shape[0] for g in given.slices if g[-1].shape]
    limit = None if given.limit is None or given.limit.value is None else int(given.limit.value)
    most = _most_runs(layout, limit, [n for n in lengths if n is not None])
    return None if layout.cond is not None else most


def _collected_specs(spec: Spec, ragged: bool, count: int | None) -> tuple[Spec, ...]:
    shape = spec.shape
    if ragged:
        rank = None if shape is None else len(shape)
        return Spec((None,), spec.dtype), Spec((count, rank), int64)
    return (Spec(None if shape is None else (count, *shape), spec.dtype),)


# -- collecting and slicing arrays -------------------------------------------------------------


class Collector:
    """Collects one array a run, and gives them all by position."""

    def __init__(self, spec: Spec, ragged: bool) -> None:
        self._spec = spec
        self._ragged = ragged
        self._items: list[Array] = []

    def add(self, item: Array) -> None:
        """Keep what one run gave."""
        self._items.append(item)

    def arrays(self, reverse: bool, empty: Spec) -> list[Array]:
        """One stacked array; or all elements in a row, and the table of shapes.

        Args:
            reverse: whether the first run has the last position.
            empty: the spec of one item, for a loop without runs.
        """
        items = self._items[::-1] if reverse else self._items
        dtype = self._spec.dtype.dtype
        dims = tuple([d or 0 for d in empty.shape or ()])
        if not self._ragged:
            if len({item.shape for item in items}) > 1:
                shapes = sorted({item.shape for item in items})
                raise ShapeError(f"the results of the runs have different shapes: {shapes[:3]}")
            return [np.stack(items) if items else np.zeros((0, *dims), dtype)]
        rows = [np.ravel(item) for item in items]
        flat = np.concatenate(rows) if rows else np.zeros(0, dtype)
        table = np.array([item.shape for item in items], np.int64)
        return [flat, table.reshape(len(items), -1 if items else len(dims))]


class _Slices:
    """The slice for each position of one sliced input."""

    def __init__(self, group: Sequence[Array]) -> None:
        self._flat = group[0]
        self._shapes: Array | None = None
        if len(group) == 2:
            self._shapes = group[1]
            sizes = np.prod(group[1], axis=1, dtype=np.int64)
            self._ends = np.cumsum(sizes)
            self._sizes = sizes
        self.length = len(group[-1])

    def __getitem__(self, position: int) -> Array:
        if self._shapes is None:
            item: Array = self._flat[position, ...]
            return item
        end = int(self._ends[position])
        part = self._flat[end - int(self._sizes[position]) : end]
        return part.reshape(self._shapes[position])


def _positions(count: int | None, reverse: bool) -> Iterator[int]:
    if count is None:
        position = 0
        while True:
            yield position
            position += 1
    yield from range(count - 1, -1, -1) if reverse else range(count)


def _most_runs(layout: Layout, limit: int | None, lengths: list[int]) -> int | None:
    """The number of runs, or the greatest if there is a condition; None for no limit."""
    if layout.cond is None and not layout.limited and not layout.slices:
        raise ArgumentError("a loop needs a condition, a limit, or something to slice")
    if layout.cond is not None and layout.slices:
        raise ArgumentError("a loop with a condition slices nothing")
    if limit is not None:
        lengths = [*lengths, max(limit, 0)]
    if len(set(lengths)) > 1:
        raise ShapeError(f"what is sliced, and the limit, have different lengths: {lengths}")
    return lengths[0] if lengths else None


# -- the kernel --------------------------------------------------------------------------------

#: Stands for an output that nobody reads.
_NOTHING = np.zeros(0)


@loop.kernel
def _(xp: Any, runner: Any, *inputs: Array, **attrs: Any) -> tuple[Array, ...]:
    layout = Layout(**attrs)
    given = layout.split(inputs)
    body, split, cut = layout.body, len(layout.carries), len(layout.results)
    slices = [_Slices(group) for group in given.slices]
    limit = None if given.limit is None else int(given.limit)
    count = _most_runs(layout, limit, [s.length for s in slices])
    wanted = layout.outputs(runner.wanted)
    read = [any(group) for group in (*wanted.results, *wanted.histories, *wanted.effects)]
    collectors = [Collector(spec, ragged) for spec, ragged in layout.collected()]
    # Of what the body computes, only what is carried on or read by somebody.
    sources = dict(enumerate(body.outputs[split:]))
    sources |= {cut + split + e: t for e, t in enumerate(layout.effects)}
    fetched = [i for i in sources if read[i]]
    outputs = (*body.outputs[:split], *[sources[i] for i in fetched])
    remembered = [j for j in range(split) if read[cut + j]]

    runner = runner.looping()
    carries = given.carries
    runs = 0
    for position in _positions(count, layout.reverse):
        if layout.cond is not None:
            asked = _refreshed(layout.cond, body, given.asked, runner)
            (go_on,) = runner.call(layout.cond, [*carries, *asked], layout.cond.outputs)
            if not go_on:
                break
        for j in remembered:
            collectors[cut + j].add(carries[j])
        captured = _refreshed(body, body, given.captured, runner)
        made = runner.call(body, [*carries, *[s[position] for s in slices], *captured], outputs)
        for j, may_change in enumerate(layout.carries):
            if made[j].shape != carries[j].shape and not may_change:
                before = Spec(carries[j].shape, body.arguments[j].dtype)
                after = Spec(made[j].shape, body.arguments[j].dtype)
                raise misfit(j, _name(body.arguments[j]), before, after)
        carries = made[:split]
        for i, value in zip(fetched, made[split:], strict=True):
            collectors[i].add(value)
        runner.next_iteration()
        runs += 1

    empty = [spec for spec, _ in layout.collected()]
    if not runs and any(read):
        empty = _specs_without_runs(layout, given)
    groups = [
        c.arrays(layout.reverse, spec) if is_read else [_NOTHING] * (1 + ragged)
        for c, spec, is_read, (_, ragged) in zip(
            collectors, empty, read, layout.collected(), strict=True
        )
    ]
    results, histories, effects = groups[:cut], groups[cut : cut + split], groups[cut + split :]
    return Outputs(list(carries), results, np.asarray(runs), histories, effects).flat()


def _refreshed(reader: Body, writer: Body, captured: list[Array], runner: Any) -> list[Array]:
    """Captured arrays, with the newest values of the variables that earlier runs assigned."""
    if not writer.written:
        return captured
    fresh = list(captured)
    for place, cell in reader.captured_variables():
        value = runner.assigned(cell)
        if value is not None:
            fresh[place] = value
    return fresh


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
    body, split = layout.body, len(layout.carries)
    slices = [_items(group) for group in given.slices]
    limit = None if given.limit is None else int(given.limit)
    count = _most_runs(layout, limit, [len(items) for items in slices])
    collected: list[list[Tensor]] = [[] for _ in layout.collected()]
    carries = given.carries
    runs = 0
    for position in _positions(count, layout.reverse):
        if layout.cond is not None:
            values = inline(layout.cond, [*carries, *given.asked])
            if not values[layout.cond.outputs[0]]:
                break
        arguments = [*carries, *[items[position] for items in slices]]
        values = inline(body, [*arguments, *given.captured], targets=True)
        made = [values[t] for t in body.outputs]
        effects = [values[t] for t in layout.effects if t in values]
        for items, value in zip(collected, [*made[split:], *carries, *effects], strict=False):
            items.append(value)
        carries = made[:split]
        runs += 1
    empty = [spec for spec, _ in layout.collected()]
    if not runs:
        arrays = given.carries, [[t._value for t in g] for g in given.slices], given.captured
        empty = _specs_without_runs(
            layout,
            Inputs(
                None, [t._value for t in arrays[0]], arrays[1], [], [t._value for t in arrays[2]]
            ),
        )
    groups = [
        _gathered(items[::-1] if layout.reverse else items, spec, ragged)
        for items, spec, (_, ragged) in zip(collected, empty, layout.collected(), strict=True)
    ]
    cut = len(layout.results)
    results, histories, rest = groups[:cut], groups[cut : cut + split], groups[cut + split :]
    return Outputs(list(carries), results, constant(np.int64(runs)), histories, rest).flat()


def _items(group: Sequence[Tensor]) -> Sequence[Tensor]:
    """One slice for each position, as tensors."""
    if len(group) == 1:
        return unstack(group[0], axis=0) if group[0].shape[0] else []
    flat, table = group[0], group[1].numpy()
    ends = np.cumsum(np.prod(table, axis=1, dtype=np.int64))
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    return [
        reshape(flat[int(a) : int(b)], tuple(shape))
        for a, b, shape in zip(starts, ends, table.tolist(), strict=True)
    ]


def _gathered(items: Sequence[Tensor], spec: Spec, ragged: bool) -> list[Tensor]:
    """What `Collector.arrays` gives, by ops."""
    if not items:
        empty = Collector(spec, ragged).arrays(False, spec)
        return [constant(a) for a in empty]
    if not ragged:
        return [stack(items)]
    table = np.array([t.shape for t in items], np.int64).reshape(len(items), -1)
    return [concat([reshape(t, (-1,)) for t in items], axis=0), constant(table)]

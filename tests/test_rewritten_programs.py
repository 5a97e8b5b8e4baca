"""What rewriting does to whole programs: what is merged, dropped, kept in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from built_programs import (
    MATRICES,
    SMALL,
    SPECIALS,
    built,
    names,
    run,
    same_bits,
    softmax_of,
)
from plan_runs import Case, assert_runs_agree, interpreted

import minigrad as mg
import minigrad.nn
from minigrad.compile.builder import Builder, NotPlanned
from minigrad.compile.program import Operand, Program
from minigrad.compile.rewrite import rewrite
from minigrad.compile.rewrite.seeing import seen_in
from minigrad.core.registry import REGISTRY
from minigrad.gradcheck.contracts import Lazy, is_differentiated
from minigrad.gradcheck.samples import calls

PRIMITIVES = sorted(REGISTRY.values(), key=lambda p: p.op)


# -- common subexpressions, dead code, checks --------------------------------------------------


def test_common_subexpressions_are_computed_once():
    def build(b, x, y):
        row = b.reshape(x, (1, 12))
        return (
            b.map("Add", b.map("Exp", x), b.map("Exp", x)),
            b.map("Mul", b.transpose(row, (1, 0)), y),
            b.map("Mul", b.transpose(row, (1, 0)), y),
            b.reduce("sum", b.broadcast(row, (5, 12)), [1]),
            b.reduce("sum", b.broadcast(row, (5, 12)), [1]),
        )

    arrays = (SPECIALS, SPECIALS[:5].copy())
    after = rewrite(built(build, *arrays))
    assert names(after) == ["Exp", "Add", "Mul", "sum"]
    assert after.notes["common subexpressions"] == 3
    for a, b in zip(run(built(build, *arrays), *arrays), run(after, *arrays), strict=True):
        same_bits(a, b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda b, x: b.map("Add", x, 0.0), lambda b, x: b.map("Add", x, np.float64(-1.0))),
        (lambda b, x: b.map("Mul", x, 0.0), lambda b, x: b.map("Mul", x, -0.0)),
        (lambda b, x: b.reduce("sum", x), lambda b, x: b.reduce("max", x)),
        (
            lambda b, x: b.op("Sort", x, axis=0, descending=True),
            lambda b, x: b.op("Sort", x, axis=0, descending=False),
        ),
        (
            lambda b, x: b.op("LeakyRelu", x, slope=0.0),
            lambda b, x: b.op("LeakyRelu", x, slope=-0.0),
        ),
        (
            lambda b, x: b.reduce("sum", b.reshape(x, (3, 4)), [0]),
            lambda b, x: b.reduce("sum", b.reshape(x, (3, 4)), [1]),
        ),
        (
            lambda b, x: b.map("Neg", b.slice(x, (0,), (2,), (6,))),
            lambda b, x: b.map("Neg", b.slice(x, (1,), (2,), (6,))),
        ),
    ],
)
def test_what_differs_stays_apart(one, other):
    def build(b, x):
        return (one(b, x), other(b, x))

    after = rewrite(built(build, SPECIALS))
    assert "common subexpressions" not in after.notes
    for a, b in zip(run(built(build, SPECIALS), SPECIALS), run(after, SPECIALS), strict=True):
        same_bits(a, b)


def test_equal_constants_are_one_constant():
    table = np.arange(12.0)

    def build(b, x):
        small = (b.map("Mul", x, 0.5), b.map("Mul", x, 0.5))
        tables = (b.map("Add", x, b.constant(table)), b.map("Add", x, b.constant(table.copy())))
        alike = b.map("Mul", x, b.constant(np.full(12, 0.5)))
        ones = b.map("Mul", x, b.constant(np.ones(12)))
        return (*small, *tables, alike, ones)

    program = rewrite(built(build, SPECIALS))
    assert names(program) == ["Mul", "Add", "Mul"]
    assert program.notes["times one"] == 1


def test_nan_constants_are_one_constant():
    program = rewrite(
        built(lambda b, x: (b.map("Add", x, np.nan), b.map("Add", x, np.nan)), SPECIALS)
    )
    assert names(program) == ["Add"]


def test_draws_are_not_merged_and_stay():
    with mg.Graph().as_default() as graph:
        first, second = mg.random.normal((3,)), mg.random.normal((3,))
    program = rewrite(Case(graph, [first, second], {}).program())
    assert names(program).count("RandomReserve") == 2
    with graph.as_default():
        unread = first * 0.0
    program = rewrite(Case(graph, [unread], {}).program())
    program.fetches = []
    rewrite(program)
    assert names(program) == ["RandomReserve"]
    assert program.notes["dead code"]


def test_feeds_fetches_and_writes_keep_their_places():
    program = Program()
    b = Builder(program)
    x, y = (Operand((3,), np.dtype(float)) for _ in range(2))
    program.feeds, program.cells = [x], {7: y}
    program.fetches = [b.map("Mul", x, 1), b.map("Add", y, -0.0), x, b.constant([1.0, 2.0])]
    program.writes = {7: b.map("Neg", b.map("Neg", x)), 9: b.map("Abs", b.map("Abs", y))}
    assert rewrite(program) is program
    assert program.feeds == [x] and program.cells == {7: y}
    assert program.fetches[:3] == [x, y, x]
    assert program.writes[7] is x
    assert names(program) == ["Abs"]
    assert program.writes[9] is program.instructions[0].output


def test_checks_stay_once_until_they_are_met():
    def build(b, x):
        b.check(b.map("Less", x, 9.0))
        b.check(b.map("Less", x, 9.0))
        b.check(b.map("LogicalOr", b.map("Less", x, 0.0), b.constant(True)))
        return b.map("Neg", x)

    program = rewrite(built(build, SMALL))
    assert [step.kind for step in program.instructions].count("check") == 1
    assert program.notes["checks that are always met"] == 1

    def fails(b, x):
        b.check(b.map("LogicalAnd", b.map("Less", x, 0.0), b.constant(False)))
        return x

    with pytest.raises(NotPlanned, match="fails whatever is fed"):
        rewrite(built(fails, SMALL))


def test_large_constants_that_are_all_alike_are_folded():
    def build(b, x):
        ones = b.map("Pow", b.broadcast(x, (1000, 1000)), 0)
        return b.map("Exp", b.map("Neg", ones))

    (x,) = rewrite(built(build, np.ones(1))).fetches
    assert x.shape == (1000, 1000) and x.constant is not None
    assert x.uniform == np.exp(-1.0)


def test_a_softmax_that_underflows_has_a_finite_logarithm():
    x = np.array([[0.0, -800.0]])
    program = rewrite(built(lambda b, x: b.map("Log", softmax_of(b, x, 1)), x))
    np.testing.assert_array_equal(run(program, x)[0], x)


def test_the_softmax_of_graphs_is_recognised():
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (3, 5))
        y = mg.log(minigrad.nn.softmax(x))
    case = Case(graph, [y], {x: MATRICES[:, 0] * 300})
    program = rewrite(case.program())
    assert sum(program.notes[name] for name in program.notes if name.startswith("log of")) == 1
    ((found,), _) = case.run(program, interpreted(program))
    rows = MATRICES[:, 0].astype(np.longdouble) * 300
    rows -= rows.max(-1, keepdims=True)
    expected = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-13)


# -- views -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(200))
def test_views_of_copies_are_views_of_the_original(seed):
    rng = np.random.default_rng(seed)
    b = Builder(Program())
    array = rng.normal(size=rng.choice([1, 2, 3, 4, 6], rng.integers(1, 5)))
    root = Operand(array.shape, array.dtype)

    def looked(x: Operand) -> Operand:
        for _ in range(rng.integers(1, 4)):
            way = rng.integers(4)
            if way == 0:
                x = b.transpose(x, rng.permutation(x.rank))
            elif way == 1:
                starts = [int(rng.integers(n)) for n in x.shape]
                steps = [int(rng.choice([-2, -1, 1, 2])) for _ in x.shape]
                shape = [
                    max(1, (n - 1 - at) // s + 1 if s > 0 else at // -s + 1)
                    for n, at, s in zip(x.shape, starts, steps, strict=True)
                ]
                x = b.slice(x, starts, steps, [int(rng.integers(1, n + 1)) for n in shape])
            elif way == 2 and x.rank < 5:
                x = b.broadcast(x, (2, *x.shape))
            else:
                made = [-1] if rng.random() < 0.5 else [x.shape[0], -1]
                made[-1] = x.size // int(np.prod(made[:-1]))
                x = b.reshape(x, made)
        return x

    source = looked(root)
    copied = Operand(source.shape, source.dtype)
    view = looked(copied)
    if view.root is not copied or source.root is not root:
        return  # A reshape on the way has needed a copy.
    direct = seen_in(view, source)

    def values(x: Operand, data: np.ndarray) -> np.ndarray:
        program = Program()
        program.feeds, program.fetches = [x.root], [x]
        return run(program, data)[0]

    elements = values(source, array)
    expected = values(view, elements)
    if direct is not None:
        np.testing.assert_array_equal(values(direct, array), expected)


# -- whole graphs ------------------------------------------------------------------------------


def rewritten(program: Program) -> Any:
    return interpreted(rewrite(program))


@pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)
def test_rewritten_programs_of_every_primitive(primitive):
    for sample, call in calls(primitive):
        lazy = Lazy(call, lambda a: a.shape)
        session = mg.Session(graph=lazy.graph)
        session.run(lazy._initializers)
        fetches = list(lazy.outputs)
        if is_differentiated(primitive, sample, call):
            with lazy.graph.as_default():
                found = mg.gradients(
                    [t for t in lazy.outputs if t.dtype.is_floating],
                    [lazy.inputs[i] for i in call.free],
                    unconnected="zero",
                )
            fetches += [g.dense() if isinstance(g, mg.IndexedSlices) else g for g in found]
        assert_runs_agree(Case(lazy.graph, fetches, lazy.feeds, session), rewritten)

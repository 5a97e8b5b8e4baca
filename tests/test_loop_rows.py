"""Loops whose rows go through all runs apart from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from test_loop_programs import Built, loops_of, values

import minigrad as mg
from minigrad import nn
from minigrad.compile.bodies import LoopForm
from minigrad.compile.interpret import interpret
from minigrad.compile.loops.rows import Rows, by_rows
from minigrad.compile.native import loop_code
from minigrad.executor.reference import Way

pytest.importorskip("llvmlite")

W, U = values(4, 6, seed=1) * 0.5, values(6, 6, seed=2) * 0.5


def network(x: Any, w: Any, u: Any, start: Any) -> list[Any]:
    """A network with gates side by side, and its gradients."""

    def step(state: Any, row: Any) -> Any:
        h, c = state[:, :3], state[:, 3:]
        gates = row @ w + mg.concat([h, c], axis=1) @ u
        c = mg.sigmoid(gates[:, :3]) * c + mg.tanh(gates[:, 3:])
        h = mg.tanh(c) / (1.0 + mg.sum(c * c, axis=1, keepdims=True))
        return mg.concat([h, c], axis=1), h * 2.0

    last, outputs = mg.scan(step, start, x)
    loss = mg.sum(last * last) + mg.sum(outputs)
    return [loss, last, outputs, *mg.gradients(loss, [w, u, start, x])]


def cut(built: Built) -> list[Rows | None]:
    return [by_rows(step.form) for step in loops_of(built.program())]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "blocks"), [(32, 2), (16, 2), (100, 5), (96, 6), (50, 2), (17, None), (8, None)]
)
def test_equal_blocks_of_rows(rows: int, blocks: int | None) -> None:
    built = Built(network, values(5, rows, 4), W, U, values(rows, 6, seed=3))
    found = cut(built)
    assert len(found) == 2
    assert [None if r is None else r.blocks for r in found] == [blocks, blocks]
    built.check()


def test_a_block_computes_what_the_whole_does_for_its_rows() -> None:
    built = Built(network, values(5, 32, 4), W, U, values(32, 6, seed=3))
    for step in loops_of(built.program()):
        form = step.form
        assert isinstance(form, LoopForm)
        found = by_rows(form)
        assert found is not None
        rng = np.random.default_rng(4)
        feeds = [rng.normal(size=x.shape) for x in form.body.feeds]
        apart = form.carries + form.slices
        whole, _ = interpret(form.body, feeds, {}, None, Way())
        part = [x[16:] if i < apart else x for i, x in enumerate(feeds)]
        made, _ = interpret(found.body, part, {}, None, Way())
        for want, got in zip(whole, made, strict=True):
            np.testing.assert_allclose(got, want[16:], rtol=1e-12)


@pytest.mark.parametrize(
    "body",
    [
        lambda h, a: h[::-1] + a,
        lambda h, a: mg.roll(h, 1, axis=0) + a,
        lambda h, a: h + mg.sum(a, axis=0),
        lambda h, a: h + mg.cumulative_sum(a, axis=0),
        lambda h, a: h + mg.reshape(mg.reshape(a, (6, 32)) * 2.0, (32, 6)),
        lambda h, a: h + a[:1],
        lambda h, a: h + mg.concat([a[1:], a[:1]], axis=0),
        lambda h, a: mg.tanh(a @ mg.matrix_transpose(a) @ h),
        lambda h, a: nn.softmax(h, axis=0) + a,
        lambda h, a: h + mg.sort(a, axis=1),
    ],
)
def test_rows_that_see_each_other_stay_together(body: Callable[..., Any]) -> None:
    def build(x: Any, start: Any) -> list[Any]:
        h, _ = mg.scan(lambda h, a: (body(h, a), None), start, x)
        return [h, *mg.gradients(mg.sum(h * h), [x, start])]

    built = Built(build, values(4, 32, 6), values(32, 6, seed=1))
    assert cut(built)[0] is None
    built.check()


@pytest.mark.parametrize(
    "body",
    [
        lambda h, a, v: nn.softmax(h + a, axis=1) * v,
        lambda h, a, v: mg.logsumexp(h, axis=1, keepdims=True) + a - v,
        lambda h, a, v: h * 0.5 + mg.pad(a[:, 1:4] * v[1:4], ((0, 0), (1, 2))),
        lambda h, a, v: mg.where(a > v, h, mg.cos(a)),
        lambda h, a, v: mg.stack([h[:, 0], a[:, 1]] * 3, axis=1) + v,
        lambda h, a, v: mg.squeeze(mg.expand_dims(h, 1) @ mg.ones((6, 6), dtype="float64"), 1) + a,
    ],
)
def test_rows_that_do_not_go_apart(body: Callable[..., Any]) -> None:
    def build(x: Any, start: Any, v: Any) -> list[Any]:
        h, ys = mg.scan(lambda h, a: (body(h, a, v),) * 2, start, x)
        return [h, ys, *mg.gradients(mg.sum(h * h) + mg.sum(ys), [x, start, v])]

    built = Built(build, values(4, 48, 6), values(48, 6, seed=1), values(6, seed=2))
    assert cut(built)[0] is not None
    built.check()


def test_backwards_in_place_and_without_results() -> None:
    def build(x: Any, start: Any) -> list[Any]:
        h, _ = mg.scan(lambda h, a: (mg.tanh(h + a), None), start, x, reverse=True)
        return [h]

    built = Built(build, values(64, 256, 33), values(256, 33, seed=1))
    (found,) = cut(built)
    assert found is not None
    built.check()


def test_several_loops_in_one_plan() -> None:
    def build(x: Any, start: Any) -> list[Any]:
        bodies: list[Callable[..., Any]] = [
            lambda h, a: mg.tanh(a @ W + h @ U),
            lambda h, a: mg.sin(a @ W - h @ U) * 0.5,
            lambda h, a: mg.sin(a @ W) + h * 0.5,
        ]
        return [mg.scan(lambda h, a, body=body: (body(h, a), None), start, x)[0] for body in bodies]

    built = Built(build, values(40, 64, 4), values(64, 6, seed=3))
    assert all(cut(built))
    built.check()


@pytest.mark.parametrize("work", [1.0, 1e5])
@pytest.mark.parametrize("reverse", [False, True])
def test_threads_that_meet_now_and_then(
    work: float, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(x: Any, start: Any) -> list[Any]:
        def step(state: Any, a: Any) -> Any:
            h, count, free = state
            after = mg.tanh(h + a)
            return (after, count + 1, mg.logical_not(free)), mg.where(free, after, mg.sin(h))

        counts = mg.zeros_like(start, dtype="int32")
        state, outputs = mg.scan(step, (start, counts, start > 0.0), x, reverse=reverse)
        slopes = mg.gradients(mg.sum(state[0]) + mg.sum(outputs), [x, start])
        return [*state, outputs, *slopes]

    monkeypatch.setattr(loop_code, "_MEETING_WORK", work)
    for runs in (2, 61):
        built = Built(build, values(runs, 64, 33), values(64, 33, seed=1))
        assert all(cut(built))
        built.check()


@pytest.fixture
def threads() -> Iterator[None]:
    before = mg.get_num_threads()
    yield
    mg.set_num_threads(before)


def test_the_number_of_threads_changes_nothing(threads: None) -> None:
    arrays = (values(60, 96, 4), W, U, values(96, 6, seed=3))
    built = Built(network, *[a.astype("float32") for a in arrays])
    session = mg.Session(built.graph, executor="native")
    runs = []
    for count in (1, 2, 3, 4):
        mg.set_num_threads(count)
        runs += [session.run(built.fetches, built.feeds) for _ in range(5)]
    for run in runs[1:]:
        for first, other in zip(runs[0], run, strict=True):
            np.testing.assert_array_equal(other, first)

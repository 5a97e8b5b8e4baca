"""Branches and loops that draw: their bodies run as code, and draw what the reference draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import IndexOutOfRangeError, LinAlgError

pytest.importorskip("llvmlite")

from minigrad.compile import body_runs

X = np.random.default_rng(0).normal(size=(40, 33)).astype("float32")


@pytest.fixture
def compiled_bodies(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The programs of the bodies that code is made of."""
    made: list[Any] = []
    simplify = body_runs.simplify

    def noted(program: Any) -> Any:
        made.append(program)
        return simplify(program)

    monkeypatch.setattr(body_runs, "simplify", noted)
    return made


def executors(build: Callable[..., Any], *feeds: list[Any]) -> list[list[list[Any]]]:
    """What a graph gives on both executors, run with each of some lists of arrays in turn."""
    results = []
    for executor in ("reference", "native"):
        with mg.Graph().as_default() as graph:
            mg.random.seed(7)
            inputs = [mg.placeholder(a.dtype, a.shape) for a in map(np.asarray, feeds[0])]
            made = build(*inputs)
        with mg.Session(graph=graph, executor=executor) as sess:
            given = [dict(zip(inputs, arrays, strict=True)) for arrays in feeds]
            results.append([sess.run(made, one) for one in given])
    return results


def assert_agree(results: list[list[list[Any]]]) -> None:
    for expected, found in zip(*results, strict=True):
        for a, b in zip(expected, found, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(b, a)


def test_training_that_is_fed(compiled_bodies: list[Any]) -> None:
    def build(x: Any, training: Any) -> Any:
        y = nn.dropout(x, 0.3, training=training)
        return [y, mg.gradients(y * y, x)[0], mg.random.uniform(3)]

    results = executors(build, *[[X, training] for training in (True, False, True, True)])
    assert_agree(results)
    assert (results[1][0][0] != results[1][2][0]).any()
    np.testing.assert_array_equal(results[1][1][0], X)
    assert any(s.name == "random_uniform" for p in compiled_bodies for s in p.instructions)


def test_loops(compiled_bodies: list[Any]) -> None:
    def build(x: Any) -> Any:
        def step(state: Any, row: Any) -> Any:
            state = nn.dropout(state + row, 0.25) * 0.5
            return state, state + mg.random.uniform(33)

        last, rows = mg.scan(step, mg.zeros(33), x)
        slope = mg.gradients(mg.sum(last) + mg.sum(rows * rows), x)[0]
        return [last, rows, slope, mg.random.uniform(2)]

    expected, found = executors(build, [X], [X])
    assert compiled_bodies
    for a, b in zip(expected, found, strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(b[3], a[3])
    assert (found[0][0] != found[1][0]).any()


def test_shapes_that_change_from_run_to_run(compiled_bodies: list[Any]) -> None:
    def build(x: Any) -> Any:
        def grow(i: Any, y: Any) -> Any:
            return i + 1, mg.concat([y, mg.random.uniform(mg.shape(y))], axis=0)

        return mg.while_loop(lambda i, y: i < 6, grow, (0, x), shape_invariants=[(), (None,)])

    results = executors(build, [X[0]], [X[0]])
    assert_agree(results)
    assert results[1][0][1].shape == (33 * 64,)
    assert len(compiled_bodies) <= 2


def test_what_fails_in_a_branch_consumes_nothing() -> None:
    def build(x: Any, i: Any) -> Any:
        def drawn() -> Any:
            return mg.gather(nn.dropout(x, 0.5), i)

        return [mg.cond(mg.sum(x) > -1e9, drawn, lambda: x[:1]), mg.random.uniform(2)]

    with mg.Graph().as_default() as graph:
        mg.random.seed(7)
        x, i = mg.placeholder("float32", X.shape), mg.placeholder("int64", (1,))
        made = build(x, i)
    with mg.Session(graph=graph, executor="native") as sess:
        first = sess.run(made, {x: X, i: [3]})
        for _ in range(2):
            with pytest.raises(IndexOutOfRangeError, match="in node"):
                sess.run(made, {x: X, i: [40]})
        second = sess.run(made, {x: X, i: [3]})
    assert_agree([[first, second], executors(build, [X, np.array([3])], [X, np.array([3])])[0]])


def test_an_error_of_a_kernel_in_a_branch_names_its_node() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (2, 2))

        def drawn() -> Any:
            return mg.linalg.cholesky(x) + mg.random.uniform((2, 2))

        made = mg.cond(mg.sum(x) < 1e9, drawn, lambda: x)
    said = []
    for executor in ("reference", "native"):
        with mg.Session(graph=graph, executor=executor) as sess, pytest.raises(LinAlgError) as e:
            sess.run(made, {x: -np.eye(2)})
        said.append(str(e.value))
    assert said[0] == said[1]

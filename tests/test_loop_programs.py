"""Loops that do less than their graphs say: what they keep for each other, sums made after them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from plan_runs import Case, interpreted

import minigrad as mg
from minigrad import nn
from minigrad.compile.bodies import LoopForm
from minigrad.compile.loops import keeping, sums
from minigrad.compile.numpy_backend import code
from minigrad.compile.program import Instruction, Program
from minigrad.compile.simplifying import simplify

KEPT = "kept for the loop of a gradient"
SUMS = "sum of products after a loop"


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def loops_of(program: Program) -> list[Instruction]:
    return [step for step in program.instructions if isinstance(step.form, LoopForm)]


def names(step: Instruction) -> list[str]:
    assert isinstance(step.form, LoopForm)
    return [inner.name for inner in step.form.body.instructions]


class Built:
    """A graph of one function of placeholders, with its fetches."""

    def __init__(self, build: Callable[..., Sequence[Any]], *arrays: Any) -> None:
        self.graph = mg.Graph()
        with self.graph.as_default():
            fed = [mg.placeholder(a.dtype, a.shape) for a in arrays]
            self.fetches = list(build(*fed))
        self.feeds = dict(zip(fed, arrays, strict=True))

    def program(self) -> Program:
        return simplify(Case(self.graph, self.fetches, self.feeds).program())

    def check(self, rtol: float = 1e-10) -> None:
        """Compare the interpreter and all executors with the reference executor."""
        case = Case(self.graph, self.fetches, self.feeds)
        expected, _ = case.reference()
        program = self.program()
        found, _ = case.run(program, interpreted(program))
        runs = [found]
        for executor in ("numpy", "native"):
            session = mg.Session(self.graph, executor=executor)
            runs.append(session.run(self.fetches, self.feeds))
            assert session.stats()["unplanned"] == 0
        for run in runs:
            for want, got in zip(expected, run, strict=True):
                np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-12)
                assert got.dtype == want.dtype


def recurrent(x: Any, w: Any, u: Any, start: Any, *, reverse: bool = False) -> list[Any]:
    """The gradients of a plain recurrent network: ``h = tanh(x w + h u)`` at every step."""

    def step(h: Any, row: Any) -> Any:
        after = mg.tanh(row @ w + h @ u)
        return after, mg.sin(after)

    last, outputs = mg.scan(step, start, x, reverse=reverse)
    loss = mg.sum(last * last) + mg.sum(outputs)
    return [loss, *mg.gradients(loss, [w, u, start, x])]


ARRAYS = (values(7, 3, 4), values(4, 5, seed=1), values(5, 5, seed=2), values(3, 5, seed=3))


@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradient_of_a_loop_computes_no_product_again(reverse: bool) -> None:
    built = Built(lambda *args: recurrent(*args, reverse=reverse), *ARRAYS)
    program = built.program()
    first, second = loops_of(program)
    assert names(first).count("product") == 2
    # What flows back to the values before, and to the row: nothing else.
    assert names(second).count("product") == 2
    assert "Tanh" not in names(second)
    assert program.notes[KEPT] == 1
    assert program.notes[SUMS] == 2
    built.check()


def test_one_run_is_enough() -> None:
    Built(recurrent, values(1, 3, 4), *ARRAYS[1:]).check()


def test_sums_begin_with_what_was_carried_in() -> None:
    def build(x: Any, y: Any, start: Any) -> list[Any]:
        def step(total: Any, pair: Any) -> Any:
            a, b = pair
            return total + mg.exp(a) @ b, None

        total, _ = mg.scan(step, start, (x, y))
        return [total]

    built = Built(build, values(6, 2, 3), values(6, 3, 4, seed=1), values(2, 4, seed=2))
    program = built.program()
    assert program.notes[SUMS] == 1
    (loop,) = loops_of(program)
    assert names(loop) == ["Exp"]
    built.check()


def test_sums_of_transposed_and_carried_factors() -> None:
    def build(x: Any, h: Any, start: Any) -> list[Any]:
        def step(state: Any, a: Any) -> Any:
            h, total = state
            return (mg.cos(h) + a, total + mg.matrix_transpose(h) @ a), None

        (h, total), _ = mg.scan(step, (h, start), x)
        return [h, total]

    built = Built(build, values(6, 3, 4), values(3, 4, seed=1), np.zeros((4, 4)))
    program = built.program()
    assert program.notes[SUMS] == 1
    built.check()


@pytest.mark.parametrize(
    "body",
    [
        lambda total, a, b: mg.sin(total) + a @ b,
        lambda total, a, b: total + total @ b,
        lambda total, a, b: total + (a @ b) * mg.sum(total),
        lambda total, a, b: total - a @ b,
        lambda total, a, b: total + a @ b + mg.sum(a @ b),
    ],
)
def test_other_sums_stay_in_the_loop(body: Callable[..., Any]) -> None:
    def build(x: Any, y: Any, start: Any) -> list[Any]:
        def step(total: Any, pair: Any) -> Any:
            return body(total, *pair), None

        total, _ = mg.scan(step, start, (x, y))
        return [total]

    built = Built(build, values(4, 3, 3), values(4, 3, 3, seed=1), values(3, 3, seed=2))
    assert built.program().notes[SUMS] == 0
    built.check()


def test_sums_whose_course_is_read_stay_in_the_loop() -> None:
    def build(x: Any, start: Any) -> list[Any]:
        def step(total: Any, a: Any) -> Any:
            after = total + a @ a
            return after, after * 2.0

        total, course = mg.scan(step, start, x)
        return [total, course]

    built = Built(build, values(4, 3, 3), values(3, 3, seed=2))
    assert built.program().notes[SUMS] == 0
    built.check()


def test_much_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_BYTES", 100)
    monkeypatch.setattr(sums, "MOST_BYTES", 100)
    built = Built(recurrent, *ARRAYS)
    notes = built.program().notes
    assert notes[KEPT] == 0
    # Those whose factors are there anyway.
    assert notes[SUMS] < 2
    built.check()


def test_what_is_the_same_in_every_run_is_computed_once() -> None:
    def build(x: Any, w: Any, start: Any) -> list[Any]:
        def step(h: Any, a: Any) -> Any:
            decay = mg.exp(-mg.abs(w))
            return mg.tanh(h @ (decay @ decay) + a + mg.ones((3, 4)) * mg.sum(w)), None

        h, _ = mg.scan(step, start, x)
        return [h, *mg.gradients(mg.sum(h), [x, w, start])]

    built = Built(build, values(5, 3, 4), values(4, 4, seed=1), values(3, 4, seed=2))
    program = built.program()
    first = loops_of(program)[0]
    assert names(first).count("product") == 1
    assert not {"Exp", "Abs", "sum"} & set(names(first))
    assert program.notes["computed before a loop"] > 0
    built.check()


def test_what_a_single_run_computes_stays_where_it_is() -> None:
    def build(x: Any, w: Any) -> list[Any]:
        h, _ = mg.scan(lambda h, a: (h + a @ mg.exp(w), None), mg.zeros((3, 4), dtype="float64"), x)
        return [h]

    built = Built(build, values(1, 3, 4), values(4, 4, seed=1))
    assert built.program().notes["computed before a loop"] == 0
    built.check()


def test_second_derivatives() -> None:
    def build(x: Any, w: Any, u: Any, start: Any) -> list[Any]:
        _, *slopes = recurrent(x, w, u, start)
        total = mg.sum(slopes[0] * slopes[0]) + mg.sum(slopes[1])
        return mg.gradients(total, [w, u, start, x])

    Built(build, *ARRAYS).check()


def test_loops_within_loops() -> None:
    def build(x: Any, w: Any, start: Any) -> list[Any]:
        def outer(h: Any, row: Any) -> Any:
            inner, _ = mg.scan(lambda c, a: (mg.tanh(c @ w + a), None), h, row)
            return inner, None

        h, _ = mg.scan(outer, start, x)
        return [h, *mg.gradients(mg.sum(h), [x, w, start])]

    Built(build, values(3, 4, 2, 5), values(5, 5, seed=1), values(2, 5, seed=2)).check()


def test_a_bounded_loop_with_a_condition() -> None:
    def build(x: Any, w: Any) -> list[Any]:
        (h,) = mg.while_loop(
            lambda h: mg.sum(h * h) > 1e-3, lambda h: (mg.tanh(h @ w),), (x,), maximum_iterations=9
        )
        return [h, *mg.gradients(mg.sum(h), [x, w])]

    case = Built(build, values(2, 4), 0.3 * values(4, 4, seed=1))
    expected, _ = Case(case.graph, case.fetches, case.feeds).reference()
    for executor in ("numpy", "native"):
        found = mg.Session(case.graph, executor=executor).run(case.fetches, case.feeds)
        for want, got in zip(expected, found, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10)


def test_bodies_without_native_code_read_what_was_kept() -> None:
    def build(x: Any, w: Any, start: Any) -> list[Any]:
        def step(h: Any, a: Any) -> Any:
            # No machine code is made for sorting and inverses.
            after = mg.tanh(mg.sort(h @ w, axis=-1) + a)
            return after, mg.linalg.inv(after @ mg.matrix_transpose(after) + 3.0 * mg.eye(2))

        h, outputs = mg.scan(step, start, x)
        loss = mg.sum(h) + mg.sum(outputs)
        return [loss, *mg.gradients(loss, [x, w, start])]

    built = Built(build, values(5, 2, 4), values(4, 4, seed=1), values(2, 4, seed=2))
    program = built.program()
    assert program.notes[KEPT] > 0
    assert "Sort" not in names(loops_of(program)[1])
    built.check(1e-8)


def test_bodies_without_native_code_are_prepared_by_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(x: Any, start: Any) -> list[Any]:
        return list(mg.scan(lambda h, a: (mg.sort(h) + a, mg.sum(h)), start, x))

    def slowly(program: Program) -> code.NumpyCode:
        made.append(program)
        time.sleep(0.05)
        return prepare(program)

    program = Built(build, values(3, 4), values(4, seed=1)).program()
    (step,) = loops_of(program)
    assert isinstance(step.form, LoopForm)
    body, made, prepare = step.form.body, list[Program](), code.NumpyCode
    monkeypatch.setattr(code, "NumpyCode", slowly)
    bodies, feeds = code.Bodies(), [values(4), values(4, seed=1)]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(bodies, body, feeds) for _ in range(4)]
    for run in runs:
        np.testing.assert_allclose(run.result()[0], np.sort(feeds[0]) + feeds[1])
    assert made == [body]


def test_an_error_in_a_run_names_the_node_and_the_run() -> None:
    def build(x: Any, start: Any) -> list[Any]:
        def step(h: Any, a: Any) -> Any:
            return mg.tanh(h) + mg.linalg.inv(a), None

        h, _ = mg.scan(step, start, x)
        return [h, *mg.gradients(mg.sum(h), [x])]

    singular = np.stack([np.eye(2), np.eye(2), np.zeros((2, 2)), np.eye(2)])
    built = Built(build, singular, np.zeros((2, 2)))
    for executor in ("numpy", "native"):
        with pytest.raises(mg.errors.MinigradError, match=r"(?s)inv.*run 2 of the loop"):
            mg.Session(built.graph, executor=executor).run(built.fetches, built.feeds)


def test_an_error_in_what_is_computed_before_a_loop_names_the_run_too() -> None:
    def build(x: Any, w: Any, start: Any) -> list[Any]:
        h, _ = mg.scan(lambda h, a: (mg.tanh(h) + mg.linalg.inv(w) + a, None), start, x)
        return [h]

    built = Built(build, values(4, 2, 2), np.zeros((2, 2)), values(2, 2, seed=1))
    assert built.program().notes["computed before a loop"] == 1
    messages = []
    for executor in ("reference", "numpy", "native"):
        with pytest.raises(mg.errors.LinAlgError, match="run 0 of the loop") as caught:
            mg.Session(built.graph, executor=executor).run(built.fetches, built.feeds)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1


def test_an_lstm_in_training_computes_three_products_a_step() -> None:
    graph = mg.Graph()
    with graph.as_default():
        network = nn.LSTM(3, 4, seed=1)
        x = mg.placeholder("float64", (2, 6, 3))
        network = nn.LSTM(3, 4, dtype="float64")
        outputs, _ = network(x)
        loss = mg.sum(outputs * outputs)
        fetches = [loss, *mg.gradients(loss, network.parameters())]
        session = mg.Session()
        session.run(mg.global_variables_initializer())
    feeds = {x: values(2, 6, 3)}
    program = simplify(Case(graph, fetches, feeds, session).program())
    first, second = loops_of(program)
    assert names(first).count("product") == names(second).count("product") == 1
    expected, _ = Case(graph, fetches, feeds, session).reference()
    for want, got in zip(expected, session.run(fetches, feeds), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10)

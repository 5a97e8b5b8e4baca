"""Ctrl-C ends long runs of compiled plans soon, and loses nothing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

pytest.importorskip("llvmlite")

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs alarms")

#: Seconds after which the signal comes, and within which the run has to end: generously, because
#: other processes take their time too. On an idle machine it takes 0.05.
AFTER, WITHIN = 0.3, 5.0


@pytest.fixture(autouse=True)
def interrupting() -> Iterator[None]:
    """Alarms are delivered as Ctrl-C is."""
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def interrupted(run: Callable[[], Any]) -> float:
    """Run something that must be interrupted; the seconds from the signal to its end."""
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, AFTER)
    with pytest.raises(KeyboardInterrupt):
        run()
    return time.monotonic() - began - AFTER


class Counting:
    """A loop of as many steps as are asked for, which ends in assignments."""

    def __init__(self) -> None:
        self.graph = mg.Graph()
        with self.graph.as_default():
            self.steps = mg.placeholder("int64", ())
            self.total = mg.Variable(np.zeros(3), name="total")
            self.count = mg.Variable(np.int64(0), name="count")
            start = (mg.constant(np.int64(0)), mg.constant(np.ones(3)))
            done, x = mg.while_loop(
                lambda i, x: i < self.steps, lambda i, x: (i + 1, x * 0.5 + 1.0), start
            )
            self.train = [self.total.assign_add(x), self.count.assign_add(done)]
            self.session = mg.Session(executor="native")
            self.session.run([v.initializer for v in (self.total, self.count)])

    def run(self, steps: int) -> Any:
        return self.session.run(self.train, {self.steps: steps})

    def values(self) -> list[Any]:
        return [self.session.value_of(v).tolist() for v in (self.total, self.count)]


def test_a_long_loop_whose_rows_go_apart() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (64, 64))
        # Large angles take long, which no estimate knows.
        y, _ = mg.scan(lambda h, _: (mg.sin(h * 1e10), None), x, length=10**6)
    session = mg.Session(graph, executor="native")
    for _ in range(2):
        assert interrupted(lambda: session.run(y, {x: np.ones((64, 64))})) < WITHIN


def test_a_loop_of_a_billion_steps() -> None:
    loop = Counting()
    unplanned = loop.session.stats()["unplanned"]
    loop.run(2)
    assert loop.session.stats()["unplanned"] == unplanned
    before = loop.values()
    for _ in range(3):
        assert interrupted(lambda: loop.run(10**9)) < WITHIN
        assert loop.values() == before
    loop.run(3)
    assert loop.values() == [[1.75 + 1.875] * 3, 5]


def test_a_loop_of_a_billion_steps_in_a_callable() -> None:
    loop = Counting()
    call = loop.session.make_callable(loop.train, [loop.steps])
    for _ in range(3):  # Compiled well by now.
        call(np.int64(2))
    before = loop.values()
    assert interrupted(lambda: call(np.int64(10**9))) < WITHIN
    assert loop.values() == before
    call(np.int64(2))
    assert loop.values()[1] == before[1] + 2


def test_a_loop_of_large_steps() -> None:
    with mg.Graph().as_default(), mg.Session(executor="native") as session:
        steps = mg.placeholder("int64", ())
        w = mg.Variable(np.eye(300, dtype="float32") * 0.5)
        start = (mg.constant(np.int64(0)), mg.ones((300, 300)))
        _, x = mg.while_loop(lambda i, x: i < steps, lambda i, x: (i + 1, x @ w), start)
        step = w.assign(w + mg.max(x))
        session.run(w.initializer)
        session.run(step, {steps: 0})
        before = session.value_of(w)
        assert interrupted(lambda: session.run(step, {steps: 10**9})) < WITHIN
        np.testing.assert_array_equal(session.value_of(w), before)
        session.run(step, {steps: 1})


def test_long_runs_of_large_kernels() -> None:
    size = 500
    with mg.Graph().as_default(), mg.Session(executor="native") as session:
        x = mg.placeholder("float32", (size, size))
        w = mg.Variable(np.eye(size, dtype="float32"))
        first, last = (mg.Variable(np.zeros(2)) for _ in range(2))
        y: Any = x
        for i in range(60):
            y = mg.tanh(y @ w) + nn.softmax(y * (1.0 + i))
        moved = mg.astype(mg.mean(y), "float64")
        added = moved + np.array([1.0, 2.0])
        step = [first.assign_add(added), last.assign_add(added)]
        session.run([v.initializer for v in (w, first, last)])
        given = np.zeros((size, size), "float32")
        call = session.make_callable(step, [x])
        for _ in range(2):  # Compiled, and compiled well.
            call(given)

        def for_ever() -> None:
            while True:
                call(given)

        for _ in range(3):
            assert interrupted(for_ever) < WITHIN
            values = session.run([first, last])
            np.testing.assert_array_equal(*values)
        call(given)
        assert session.value_of(first)[1] > values[0][1]


def test_eager_state_is_unharmed() -> None:
    v = mg.Variable(1.0, dtype="float64")
    loop = Counting()
    with loop.graph.as_default():
        with mg.control_dependencies([loop.train[0]]):
            update = v.assign_add(1.0)
    loop.session.run([*loop.train, update], {loop.steps: 1})
    assert v.item() == 2.0
    run = lambda: loop.session.run([*loop.train, update], {loop.steps: 10**9})  # noqa: E731
    assert interrupted(run) < WITHIN
    assert v.item() == 2.0
    v.assign(5.0)
    loop.session.run([*loop.train, update], {loop.steps: 1})
    assert v.item() == 6.0


def test_a_function_is_interrupted() -> None:
    @mg.function(executor="native")
    def count(steps: Any) -> Any:
        one = (mg.constant(np.int64(0)), mg.constant(np.float64(1.0)))
        return mg.while_loop(lambda i, x: i < steps, lambda i, x: (i + 1, x * 0.999), one)[1]

    assert count(np.int64(2)).item() == pytest.approx(0.999**2)
    assert interrupted(lambda: count(np.int64(10**9))) < WITHIN
    assert count(np.int64(2)).item() == pytest.approx(0.999**2)


def test_other_threads_go_on_during_a_long_run() -> None:
    loop = Counting()
    loop.run(2)
    ticks = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.001)

    other = threading.Thread(target=tick)
    other.start()
    try:
        assert interrupted(lambda: loop.run(10**9)) < WITHIN
    finally:
        stop.set()
        other.join()
    assert ticks > 20

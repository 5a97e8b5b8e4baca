"""A run is a transaction: errors, signals and threads never leave variables between two states."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


class Step:
    """A small training step over several variables that must always move together."""

    def __init__(self, count: int = 6, executor: Any = None) -> None:
        self.graph = mg.Graph()
        with self.graph.as_default():
            self.x = mg.placeholder("float64", (None, 4), name="x")
            self.variables = [
                mg.Variable(np.full((4, 4), 0.1 * (i + 1)), name=f"w{i}") for i in range(count)
            ]
            h: Any = self.x
            for w in self.variables:
                h = mg.tanh(mg.matmul(h, w))
            self.loss = mg.mean(mg.square(h))
            gradients = mg.gradients(self.loss, self.variables)
            updates = [
                w.assign_sub(0.1 * g) for w, g in zip(self.variables, gradients, strict=True)
            ]
            self.count = mg.Variable(np.int64(0), name="count")
            self.train = mg.group(updates, self.count.assign_add(1))
            self.session = mg.Session(executor=executor)
            self.session.run(mg.global_variables_initializer())
        self.feed = {self.x: np.random.default_rng(0).normal(size=(8, 4))}

    def values(self) -> list[bytes]:
        return [self.session.value_of(v).tobytes() for v in (*self.variables, self.count)]

    def run(self) -> None:
        self.session.run([self.train, self.loss], self.feed)


def test_a_failure_at_any_node_leaves_all_variables_as_before() -> None:
    # Compiled plans run no kernels of nodes that could fail.
    step = Step(3, "reference")
    step.run()
    before = step.values()
    operations = step.graph.get_operations()
    needed = 0
    for op in operations:
        original = op.primitive

        class Failing:
            """The op's primitive, but its kernel fails after it has done its work."""

            def __init__(self, primitive: Any) -> None:
                self.primitive = primitive

            def __getattr__(self, name: str) -> Any:
                return getattr(self.primitive, name)

            def compute(self, *args: Any, **kwargs: Any) -> Any:
                self.primitive.compute(*args, **kwargs)
                raise RuntimeError("injected")

            @property
            def numpy(self) -> Any:
                return None if self.primitive.numpy is None else self._numpy

            def _numpy(self, *args: Any, **kwargs: Any) -> Any:
                self.primitive.numpy(*args, **kwargs)
                raise RuntimeError("injected")

        op.primitive = Failing(original)  # type: ignore[assignment]
        try:
            step.run()
        except RuntimeError as error:
            assert "injected" in str(error)
            needed += 1
            assert step.values() == before
        else:
            before = step.values()  # The step does not need this node.
        finally:
            op.primitive = original
    assert needed > 40
    step.run()
    assert step.values() != before


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """Deliver alarms as KeyboardInterrupt.

    Without garbage collection, because Python drops an exception raised in a callback of it.
    """

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_interrupts_at_a_thousand_moments_leave_no_state_between() -> None:
    step, mirror = Step(), Step()
    for _ in range(3):  # There is not time enough to compile it between two interrupts.
        step.run()
        mirror.run()
    expected = {0: [], 1: [], 2: [], 3: mirror.values()}
    rng = np.random.default_rng(1)
    hits = done = 0

    def known(count: int) -> list[bytes]:
        """The values after `count` undisturbed steps."""
        while len(expected) <= count:
            mirror.run()
            expected[len(expected)] = mirror.values()
        return expected[count]

    with interrupting():
        for _ in range(1000):
            try:
                signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-5, 4e-4)))
                for _ in range(5_000):  # Far more steps than there is time for.
                    step.run()
            except KeyboardInterrupt:
                hits += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            done = int(step.session.value_of(step.count))
            assert step.values() == known(done)
    assert hits >= 990
    assert done > 50


def test_an_error_in_user_code_inside_a_run_rolls_everything_back() -> None:
    v = mg.Variable(1.0)
    with mg.Graph().as_default():
        w = mg.Variable(1.0)
        first = mg.group(v.assign(5.0), w.assign(5.0))

        def fail() -> Any:
            raise LookupError("no such record")

        with mg.control_dependencies([first]):
            late = mg.host_call(fail, out=((), "float32"))
        sess = mg.Session()
        sess.run(w.initializer)
        with pytest.raises(LookupError, match="no such record") as caught:
            sess.run([first, late])
        assert any("node 'PyFunc'" in note for note in caught.value.__notes__)
        assert (v.numpy(), sess.run(w)) == (1.0, 1.0)


def test_a_failed_run_consumes_no_random_draws() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None,))
        noise = mg.random.normal((3,), seed=7)
        total = noise + x
        sess, other = mg.Session(), mg.Session()
        first = other.run(noise)
        second = other.run(noise)
        np.testing.assert_array_equal(sess.run(noise), first)
        with pytest.raises(errors.ShapeError):
            sess.run(total, {x: [1.0, 2.0]})
        np.testing.assert_array_equal(sess.run(noise), second)


def in_threads(count: int, work: Any) -> None:
    """Run `work` in several threads at once; errors come out."""
    problems: list[Exception] = []
    barrier = threading.Barrier(count)

    def body(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except Exception as error:  # noqa: BLE001  (comes out in the main thread)
            problems.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def test_eight_threads_run_one_session() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (3,))
        w = mg.Variable(np.array([1.0, 2.0, 3.0]))
        y = mg.sum(x * w)
        sess = mg.Session()
        sess.run(w.initializer)

    def work(number: int) -> None:
        for i in range(1000):
            value = float(number * 1000 + i)
            assert sess.run(y, {x: [value, value, value]}) == 6.0 * value

    in_threads(8, work)


def test_eight_threads_of_additions_lose_none() -> None:
    with mg.Graph().as_default():
        v = mg.Variable(np.int64(0))
        grow = v.assign_add(1)
        sess = mg.Session()
        sess.run(v.initializer)
    in_threads(8, lambda _: [sess.run(grow) for _ in range(1000)])
    assert sess.run(v) == 8000


def test_two_sessions_and_eager_code_add_to_one_eager_variable() -> None:
    v = mg.Variable(np.int64(0))
    with mg.Graph().as_default() as g:
        grow = v.assign_add(1)
    sessions = [mg.Session(graph=g), mg.Session(graph=g)]

    def work(number: int) -> None:
        for _ in range(1000):
            if number < 6:
                sessions[number % 2].run(grow)
            else:
                v.assign_add(1)

    in_threads(8, work)
    assert v.numpy() == 8000


def test_a_reader_never_sees_half_of_a_commit() -> None:
    eager = mg.Variable(np.zeros(4))
    with mg.Graph().as_default() as g:
        own = mg.Variable(np.zeros(4))
        grow = mg.group(eager.assign_add(np.ones(4)), own.assign_add(np.ones(4)))
        both = [eager.value(), own.value()]
        sess = mg.Session(graph=g)
        sess.run(own.initializer)
    stop = threading.Event()
    seen: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            for _ in range(2000):
                sess.run(grow)
            stop.set()
        else:
            while not stop.is_set():
                a, b = sess.run(both)
                np.testing.assert_array_equal(a, b)
                seen.append(int(a[0]))

    in_threads(4, work)
    assert len(set(seen)) > 1


def test_a_nested_run_that_writes_what_the_outer_run_writes_is_refused() -> None:
    v = mg.Variable(1.0, name="counter")
    with mg.Graph().as_default() as inner:
        grow = v.assign_add(1.0)
        read = v + 0.0
    nested = mg.Session(graph=inner)

    def write() -> Any:
        return np.float32(nested.run(grow))

    def look() -> Any:
        return np.float32(nested.run(read))

    with mg.Graph().as_default():
        update = v.assign(100.0)
        with mg.control_dependencies([update]):
            bad = mg.host_call(write, out=((), "float32"))
            good = mg.host_call(look, out=((), "float32"))
        sess = mg.Session()
        with pytest.raises(errors.StateError, match="nested run writes variable 'counter'"):
            sess.run([update, bad])
        assert v.numpy() == 1.0
        assert sess.run([update, good]) == [100.0, 1.0]
    assert v.numpy() == 100.0

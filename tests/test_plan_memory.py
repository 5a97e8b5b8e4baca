"""Compiled plans: what memory they keep, and whose arrays are whose."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

pytest.importorskip("llvmlite")

every_executor = pytest.mark.parametrize("executor", ["numpy", "native"])


def floats(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(dtype)


class Step:
    """A small network with an update, as a callable."""

    def __init__(self, executor: Any, size: int = 8) -> None:
        self.graph = mg.Graph()
        with self.graph.as_default():
            self.x = mg.placeholder("float32", (size, 4))
            self.w = mg.Variable(floats(4, 3))
            y = nn.softmax(mg.tanh(self.x @ self.w))
            self.sums = mg.sum(y, axis=0)
            self.fetches = [
                y,
                self.sums,
                mg.matrix_transpose(y),
                self.w.assign_add(mg.ones((4, 3)) * 0.0),
            ]
        self.session = mg.Session(self.graph, executor=executor)
        self.session.run(self.w.initializer)
        self.call = self.session.make_callable(self.fetches, [self.x])


# -- how much ----------------------------------------------------------------------------------

GROWTH = """
import sys
import numpy as np
sys.path.insert(0, "tests")
from test_plan_memory import resident, {name}
{name}({argument!r}, {few})
before = resident()
{name}({argument!r}, {many})
print(resident() - before)
"""


def resident() -> int:
    """Bytes of memory of this process."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_often(executor: str, count: int) -> None:
    """Run one plan many times, in both of the ways there are."""
    step = Step(executor)
    given = floats(8, 4)
    for _ in range(count):
        step.call(given)
        step.session.run(step.sums, {step.x: given})


def run_differently(executor: str, count: int) -> None:
    """Run so many different plans, all but some of which are evicted."""
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float32", (None, 3))
        y = [mg.sum(mg.tanh(x) * 2.0, axis=0), nn.softmax(x), x[::-1] @ mg.ones((3, 2))]
        for n in range(1, count + 1):
            session.run(y, {x: np.ones((n, 3), "float32")})
        assert session.stats()["evicted"] >= count - 16


def growth(name: str, argument: str, few: int, many: int) -> int:
    """By how many bytes a fresh process grows from `few` runs to `few + many`."""
    script = GROWTH.format(name=name, argument=argument, few=few, many=many)
    # Fixed thresholds: glibc's own would let the heap grow while it learns.
    env = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "131072"}
    made = subprocess.run(
        [sys.executable, "-c", script],
        env=env,
        cwd=os.path.dirname(os.path.dirname(__file__)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return int(made.stdout)


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")


@needs_proc
@every_executor
def test_runs_of_one_plan_keep_no_memory(executor: str) -> None:
    assert growth("run_often", executor, 500, 4000) < 300_000


@needs_proc
@every_executor
def test_plans_that_are_evicted_keep_little_memory(executor: str) -> None:
    # A page here or there must not count: 60 plans of 10 kB, and some room.
    assert growth("run_differently", executor, 80, 60) < 60 * 10_000 + 500_000


@every_executor
def test_plans_of_a_session_that_is_gone_are_gone(executor: str) -> None:
    step = Step(executor)
    step.call(floats(8, 4))
    running = weakref.ref(step.session)
    plans = [weakref.ref(compiled) for compiled in compiled_plans(step)]
    assert plans
    del step
    gc.collect()
    assert running() is None
    assert all(plan() is None for plan in plans)


def compiled_plans(step: Step) -> list[Any]:
    """The codes of a session's plans."""
    found = []
    for running, _ in step.session._plans.values():
        if running.compiled is not None:
            found += [code for code in running.compiled._codes.values() if code is not None]
    return found


# -- whose arrays ------------------------------------------------------------------------------


@every_executor
def test_no_fetch_shares_memory_with_anything(executor: str) -> None:
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float32", (6, 5))
        w = mg.Variable(floats(5, 6))
        three = mg.constant(floats(7))
        y = mg.tanh(x @ w)
        update = w.assign(w * 1.5)
        fetches = [
            *(x, x, x[1:], mg.matrix_transpose(x), mg.reshape(x, -1)),
            *(w, mg.matrix_transpose(w), three, three[::-1], mg.zeros((3,)), mg.shape(x)),
            *(y, y, y[0], mg.reshape(y, (4, 9)), mg.broadcast_to(y[0], (3, 6))),
            *(mg.stop_gradient(y), update, update, mg.sum(x), mg.sum(x)),
        ]
        session.run(w.initializer)
        feed = floats(6, 5)
        call = session.make_callable(fetches, [x])
        for run in (lambda: session.run(fetches, {x: feed}), lambda: call(feed)):
            kept: list[np.ndarray] = []
            for _ in range(4):
                again = [np.asarray(value) for value in run()]
                kept += [value for value in again if value.ndim]
                for array in kept:
                    assert not np.shares_memory(array, feed)
                    assert array.flags.writeable
            for i, array in enumerate(kept):
                for other in kept[:i]:
                    assert not np.shares_memory(array, other)
            # What the caller writes into his arrays, nobody else sees.
            before, whole = session.value_of(w), [np.array(a) for a in kept]
            for array in kept:
                array.fill(77)
            np.testing.assert_array_equal(session.value_of(w), before)
            for old, new in zip(whole[-len(again) :], run(), strict=False):
                assert new is not old
            np.testing.assert_array_equal(run()[0], feed)


@every_executor
def test_what_a_variable_gets_is_its_own(executor: str) -> None:
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float32", (3,))
        v, w = (mg.Variable(np.zeros(3, "float32")) for _ in range(2))
        both = [v.assign(x), w.assign(x)]
        session.run([v.initializer, w.initializer])
        given = np.ones(3, "float32")
        for _ in range(3):
            one, two = session.run(both, {x: given})
            one.fill(5)
            given.fill(6)
            assert session.run([v, w])[0].tolist() == [1, 1, 1]
            session.run(v.assign_add(np.ones(3, "float32")))
            assert session.value_of(w).tolist() == [1, 1, 1]
            assert two.tolist() == [1, 1, 1]
            given.fill(1)


@every_executor
def test_what_runs_give_stays_as_it_is(executor: str) -> None:
    # Large results take the memory of those that were dropped, and of no others.
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float32", (200, 300))
        y = [x * 2.0, mg.matrix_transpose(x + 1.0)]
        call = session.make_callable(y, [x])
        given = floats(200, 300)
        kept = []
        for i in range(12):
            kept.append((i, call(given + i)))
            if i % 3 == 2:
                kept.pop(0)
        for i, (double, more) in kept:
            np.testing.assert_array_equal(double, (given + i) * 2)
            np.testing.assert_array_equal(more, (given + i + 1).T)


@every_executor
@pytest.mark.parametrize("layout", ["plain", "read-only", "transposed", "swapped", "odd"])
def test_feeds_are_neither_written_nor_kept(executor: str, layout: str) -> None:
    step = Step(executor)
    values = floats(8, 4)
    expected = Step("reference").call(values)
    for _ in range(3):
        given = laid_out(values, layout)
        before = given.tobytes()
        count = sys.getrefcount(given)
        for run in (
            lambda given=given: step.call(given),
            lambda given=given: step.session.run(step.fetches, {step.x: given}),
        ):
            for a, b in zip(run(), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        del run
        assert given.tobytes() == before
        assert sys.getrefcount(given) == count
        there = weakref.ref(given)
        del given
        gc.collect()
        assert there() is None


def laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """A new array of these values."""
    if layout == "plain":
        return values.copy()
    if layout == "read-only":
        made = values.copy()
        made.flags.writeable = False
        return made
    if layout == "transposed":
        return np.asfortranarray(values)
    if layout == "swapped":
        return values.astype(values.dtype.newbyteorder())
    memory = b"x" + values.tobytes()
    return np.frombuffer(memory, values.dtype, values.size, 1).reshape(values.shape)


# -- threads and processes -----------------------------------------------------------------------


@every_executor
def test_many_threads_run_one_callable(executor: str) -> None:
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float32", (64, 48))
        w = mg.constant(floats(48, 32))
        y = [nn.softmax(x @ w), mg.sum(mg.tanh(x)), mg.cumulative_sum(x, axis=0)]
        call = session.make_callable(y, [x])
        given = [floats(64, 48) * i for i in range(6)]
        expected = [[a.tobytes() for a in map(np.asarray, call(a))] for a in given]
        wrong: list[Any] = []

        def work(number: int) -> None:
            for i in range(60):
                k = (number + i) % len(given)
                found = [np.asarray(a).tobytes() for a in call(given[k])]
                if found != expected[k]:
                    wrong.append((number, i))

        run_threads(work, 8)
        assert not wrong


@every_executor
def test_many_threads_add_to_one_variable(executor: str) -> None:
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float64", (50,))
        v = mg.Variable(np.zeros(50))
        call = session.make_callable(v.assign_add(x), [x])
        session.run(v.initializer)
        run_threads(lambda number: [call(np.full(50, float(number))) for _ in range(50)], 6)
        np.testing.assert_array_equal(session.value_of(v), np.full(50, 50.0 * 15))


def run_threads(work: Callable[[int], Any], count: int) -> None:
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_executor
def test_a_child_process_goes_on_with_the_plans_of_its_parent(executor: str) -> None:
    with mg.Graph().as_default(), mg.Session(executor=executor) as session:  # type: ignore[arg-type]
        x = mg.placeholder("float32", (600, 500))
        w = mg.Variable(floats(500, 40))
        y = [mg.sum(mg.tanh(x @ w)), w.assign_add(mg.ones((500, 40)))]
        session.run(w.initializer)
        given = floats(600, 500)
        call = session.make_callable(y, [x])
        for _ in range(3):
            call(given)
        start = session.value_of(w)
        first, _ = call(given)
        session.load(w, start)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                same, _ = call(given)
                other = session.run(mg.mean(mg.exp(x[:5])), {x: given})  # A plan of its own.
                status = int(not (same == first and np.isfinite(other)))
            finally:
                os.write(writer, bytes([status]))
                os._exit(0)
        os.close(writer)
        # A child that hangs closes the pipe at last when this process kills it.
        timer = threading.Timer(120, lambda: os.kill(child, 9))
        timer.start()
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        timer.cancel()
        assert said == b"\0"
        assert call(given)[0] == first

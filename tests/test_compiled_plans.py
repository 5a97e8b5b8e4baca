"""Compiled plans: what a run may and may not do beside computing the right numbers."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections import deque
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.compiled import MOST_CODES, Code
from minigrad.compile.native.host import available
from minigrad.compile.program import Program
from minigrad.compile.recycling import GroupRecycler
from minigrad.errors import MinigradError, ShapeError
from minigrad.feeds import fed_tensors

EXECUTORS: list[Any] = ["reference", "numpy", *(["native"] if available() else [])]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("assign", [mg.assign, mg.assign_add, mg.assign_sub])
def test_a_value_of_an_open_shape_does_not_change_the_shape_of_a_variable(
    executor: Any, assign: Any
) -> None:
    with mg.Graph().as_default():
        v = mg.Variable(np.ones(3, np.float32), name="v")
        x = mg.placeholder("float32", (None,))
        wrong = np.ones(5, np.float32)
        changed = assign(v, x * 2.0)
        session = mg.Session(executor=executor)
        session.run(mg.global_variables_initializer())
        session.run(changed, {x: np.ones(3, np.float32)})
        before = session.run(v)
        with pytest.raises(ShapeError, match="variable 'v' has shape"):
            session.run(changed, {x: wrong})
        with pytest.raises(ShapeError, match="variable 'v' has shape"):
            session.make_callable(changed, [x])(wrong)
        np.testing.assert_array_equal(session.run(v), before)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("size", [2**25, 2**31, 2**40])
def test_values_that_fit_no_memory_are_named(executor: Any, size: int) -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (1,))
        wide = mg.broadcast_to(x, (size, size))
        feeds = {x: np.ones(1, np.float32)}
        session = mg.Session(executor=executor)
        for large in (wide * 2.0, mg.sort(wide + 1.0)[:1, :1]):
            with pytest.raises(MinigradError, match="in node"):
                session.run(large, feeds)
            with pytest.raises(MinigradError, match="in node"):
                session.make_callable(large, [x])(feeds[x])


def test_two_threads_are_never_given_the_same_arrays_to_assign() -> None:
    group = GroupRecycler([((8,), np.dtype(np.float32))])

    class Watched(deque[list[Any]]):
        """Stands for another thread, which takes just after this one has given back."""

        def append(self, arrays: list[Any]) -> None:
            super().append(arrays)
            if not others:
                others.append([])
                others[0] = group.take()

    others: list[list[Any]] = []
    kept = group.take()
    del kept
    group._given = Watched(group._given)
    own = group.take()
    assert own[0] is not others[0][0]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_that_fails_calls_python_once(executor: Any) -> None:
    calls: list[float] = []

    def counted(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        calls.append(float(x[0]))
        return np.full(3, len(calls), np.float32)

    with mg.Graph().as_default():
        x = mg.placeholder("float32", (3,))
        at = mg.placeholder("int64", ())
        drawn = mg.gather(mg.host_call(counted, x, out=((3,), "float32")), at)
        session = mg.Session(executor=executor)
        feed = np.ones(3, np.float32)
        assert session.run(drawn, {x: feed, at: 2}) == 1.0
        with pytest.raises(MinigradError, match="in node"):
            session.run(drawn, {x: feed, at: 3})
        assert session.run(drawn, {x: feed, at: 0}) == 3.0
        assert len(calls) == 3


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("looping", [False, True])
def test_a_run_that_fails_calls_python_in_bodies_once(executor: Any, looping: bool) -> None:
    calls: list[float] = []

    def counted(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        calls.append(float(x[0]))
        return x + 1

    def call(x: Any) -> Any:
        return mg.host_call(counted, x, out=((3,), "float32"))

    with mg.Graph().as_default():
        x = mg.placeholder("float32", (3,))
        at = mg.placeholder("int64", ())
        if looping:
            (made,) = mg.while_loop(lambda y: y[0] < 4.0, lambda y: (call(y),), (x,))
        else:
            made = mg.cond(x[0] > 0.0, lambda: call(x), lambda: x)
        drawn = mg.gather(made, at)
        session = mg.Session(executor=executor)
        feed = np.ones(3, np.float32)
        expected = [1.0, 2.0, 3.0] if looping else [1.0]
        assert session.run(drawn, {x: feed, at: 2}) == expected[-1] + 1
        assert calls == expected
        with pytest.raises(MinigradError, match="in node"):
            session.run(drawn, {x: feed, at: 3})
        assert calls == 2 * expected


@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "reference"])
def test_shapes_that_come_again_and_again_are_compiled_once(executor: Any) -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None,))
        session = mg.Session(executor=executor)
        doubled = x * 2.0
        for n in range(3 * MOST_CODES):
            session.run(doubled, {x: np.ones(1000, np.float32)})
            session.run(doubled, {x: np.ones(n, np.float32)})
        stats = session.stats()
        assert stats["compiled"] == 3 * MOST_CODES + 1
        assert stats["evicted"] == stats["compiled"] - MOST_CODES


@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "reference"])
def test_many_long_rows_that_are_swept_twice_need_little_stack(executor: Any) -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (2, 16000))
        powers = [mg.exp(x * (0.01 * k)) for k in range(20)]
        total = mg.add_n([e / mg.sum(e, axis=1, keepdims=True) for e in powers])
        run = mg.Session(executor=executor).make_callable(mg.sum(total, axis=1), [x])
        feed = np.random.default_rng(0).normal(size=(2, 16000)).astype(np.float32)
        sums: list[Any] = []
        before = threading.stack_size(512 * 1024)
        try:
            thread = threading.Thread(target=lambda: sums.append(run(feed)))
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join()
        np.testing.assert_allclose(sums, [[20.0, 20.0]], rtol=1e-4)


@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "reference"])
def test_a_signal_handler_may_run_what_is_being_compiled(executor: Any) -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (2,))
        doubled = x * 2.0
        session = mg.Session(executor=executor)
        running, _ = session._plan(doubled, tuple(fed_tensors(session.graph, x)))
        compiled = running.compiled
        assert compiled is not None
        make = compiled._make
        inside: list[Any] = []

        def interrupted(program: Program) -> Code:
            compiled._make = make
            inside.append(session.run(doubled, {x: [1.0, 2.0]}))
            return make(program)

        compiled._make = interrupted
        np.testing.assert_array_equal(session.run(doubled, {x: [3.0, 4.0]}), [6.0, 8.0])
        np.testing.assert_array_equal(inside, [[2.0, 4.0]])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "reference"])
def test_a_child_forked_while_a_thread_compiles_can_compile_itself(executor: str) -> None:
    script = f"""
    import os, signal, threading
    import numpy as np
    import minigrad as mg

    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None,))
        y = mg.tanh(x) * 2.0
        session = mg.Session(executor={executor!r})
        lengths = iter(range(1, 10**6))
        session.run(y, {{x: np.ones(10**6)}})  # Modules are loaded before: Python has locks too.
        stop = False
        def compile():
            while not stop:
                session.run(y, {{x: np.ones(next(lengths))}})
        thread = threading.Thread(target=compile)
        thread.start()
        good = 0
        for _ in range(20):
            child = os.fork()
            if not child:
                signal.alarm(30)
                made = session.run(y, {{x: np.zeros(10**6 + 1)}})
                os._exit(0 if not made.any() else 1)
            good += os.waitpid(child, 0)[1] == 0
        stop = True
        thread.join()
        print(good)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["20"]


@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "reference"])
@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_collected_after_compiling_as_before(executor: Any, collecting: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with mg.Graph().as_default():
            x = mg.placeholder("float32", (2,))
            mg.Session(executor=executor).run(x * 2.0, {x: [1.0, 2.0]})
        assert gc.isenabled() == collecting
        with mg.Graph().as_default():
            x = mg.placeholder("float32", (2,))
            mg.Session(executor=executor).run(x * mg.constant(3.0), {x: [1.0, 2.0]})
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()

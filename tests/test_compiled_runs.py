"""Runs of compiled plans: feeds of any layout, and arrays that stay their owners' own."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

pytest.importorskip("llvmlite")


RNG = np.random.default_rng(0)


def square_and_sum():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (200, 300))
        y = x * x
        return x, y, mg.Session(executor="native").make_callable([y, mg.sum(y)], [x])


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1, ::-1][::-1, ::-1],
        lambda a: a.astype(">f4"),
        lambda a: a.astype("float64"),
        lambda a: a.tolist(),
    ],
    ids=["plain", "Fortran", "apart", "negative strides", "swapped", "float64", "list"],
)
def test_feeds_of_any_layout_work_and_are_not_written(change):
    _, _, call = square_and_sum()
    array = RNG.normal(size=(200, 300)).astype("float32")
    fed = change(array)
    if isinstance(fed, np.ndarray):
        fed.flags.writeable = False
    before = np.array(fed)
    y, total = call(fed)
    np.testing.assert_array_equal(y, array * array)
    np.testing.assert_allclose(total, np.square(array, dtype=float).sum(), rtol=1e-6)
    np.testing.assert_array_equal(before, fed)


def test_a_misaligned_feed_works():
    _, _, call = square_and_sum()
    raw = np.zeros(200 * 300 * 4 + 1, np.uint8)
    fed = raw[1:].view("float32").reshape(200, 300)
    fed[...] = 3.0
    assert not fed.flags.aligned
    assert (call(fed)[0] == 9.0).all()


def test_what_was_fetched_never_changes():
    _, _, call = square_and_sum()
    kept = [call(np.full((200, 300), float(i), "float32"))[0] for i in range(6)]
    for i, array in enumerate(kept):
        assert (array == i * i).all()
    view = call(np.full((200, 300), 7.0, "float32"))[0][3:5]
    for _ in range(6):
        call(np.zeros((200, 300), "float32"))
    assert (view == 49.0).all()


def test_many_threads_run_one_callable():
    _, _, call = square_and_sum()
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            a = rng.normal(size=(200, 300)).astype("float32")
            y, _ = call(a)
            if not np.array_equal(y, a * a):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_variable_read_elsewhere_keeps_the_value_that_was_read():
    v = mg.Variable(np.zeros((100, 100), "float32"))
    with mg.Graph().as_default():
        step = mg.Session(executor="native").make_callable(v.assign_add(mg.ones((100, 100))))
    seen = []
    for i in range(6):
        seen.append(v.value())  # Shares memory with the variable's array.
        assert (step() == i + 1).all()
    for i, value in enumerate(seen):
        assert (value.numpy() == i).all()


def test_a_check_that_fails_names_the_node_and_changes_nothing():
    with mg.Graph().as_default():
        scores = mg.placeholder("float32", (4, 3))
        labels = mg.placeholder("int64", (4,))
        count = mg.Variable(0)
        session = mg.Session(executor="native")
        session.run(count.initializer)
        loss = nn.cross_entropy(scores, labels)
        call = session.make_callable([loss, count.assign_add(1)], [scores, labels])
    fed = np.zeros((4, 3), "float32")
    call(fed, np.array([0, 1, 2, 0]))
    for _ in range(2):
        with pytest.raises(mg.errors.IndexOutOfRangeError, match="label 3"):
            call(fed, np.array([0, 1, 3, 0]))
    assert session.run(count) == 1

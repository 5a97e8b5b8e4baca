"""Runs of compiled plans: the same bits on any number of threads, arrays that stay their own."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

pytest.importorskip("llvmlite")


@pytest.fixture(autouse=True)
def threads():
    before = mg.get_num_threads()
    yield
    mg.set_num_threads(before)


def lenet(x, labels):
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 32, 10),
    )
    return network, nn.cross_entropy(network(x), labels)


def lstm(x):
    network = nn.LSTM(32, 64)
    return network, mg.mean(mg.square(network(x)[0]))


def rows_and_columns(x):
    network = nn.LayerNorm((700,))
    y = network(x)
    return network, mg.sum(nn.softmax(y) * y) + mg.mean(mg.tanh(mg.sum(y, axis=0)))


RNG = np.random.default_rng(0)
CASES = [
    (lenet, [RNG.normal(size=(16, 28, 28, 1)).astype("float32"), RNG.integers(0, 10, 16)]),
    (lstm, [RNG.normal(size=(32, 12, 32)).astype("float32")]),
    (rows_and_columns, [RNG.normal(size=(900, 700)).astype("float32")]),
]


@pytest.mark.parametrize(("build", "values"), CASES, ids=["lenet", "lstm", "rows and columns"])
def test_results_are_the_same_bits_on_any_number_of_threads(build, values):
    with mg.Graph().as_default():
        inputs = [mg.placeholder(str(v.dtype), v.shape) for v in values]
        network, loss = build(*inputs)
        fetches = [loss, *mg.gradients(loss, [*network.parameters(), inputs[0]])]
        session = mg.Session(executor="native")
        session.run(mg.global_variables_initializer())
    call = session.make_callable(fetches, inputs)
    found = []
    for count in (1, 2, 4, 2, 1):
        mg.set_num_threads(count)
        found.append([np.asarray(a).tobytes() for a in call(*values)])
        # Until a plan has been run a few times, its code is another.
        made = session.run(fetches, dict(zip(inputs, values, strict=True)))
        found.append([np.asarray(a).tobytes() for a in made])
    assert all(bits == found[0] for bits in found)


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

"""What `mg.explain` prints, and what sessions count."""

from __future__ import annotations

import io

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

native = pytest.importorskip("llvmlite") is not None


def explained(fetches, feed_dict=None, **options):
    file = io.StringIO()
    mg.explain(fetches, feed_dict, file=file, **options)
    return file.getvalue()


@pytest.fixture
def network():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (8, 20), name="x")
        network = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))
        y = nn.softmax(network(x))
        session = mg.Session(executor="native")
        session.run(mg.global_variables_initializer())
    return x, y, session


def test_nodes_rewrites_pieces_and_memory_are_shown(network):
    _x, y, session = network
    text = explained(y, session=session)
    assert text.startswith("The graph: 11 nodes that the fetches need\n")
    assert "Placeholder" in text and "float32 (8, 20)" in text
    assert "product (8, 20) @ (20, 30), finished by Add Relu" in text
    assert "loop over (8, 4), row by row over (4,)" in text
    assert "0 calls of NumPy" in text
    assert "Memory: an arena of" in text
    assert " us " not in text  # Nothing has been run.


def test_with_a_run_every_piece_has_its_cost(network):
    x, y, session = network
    text = explained(y, {x: np.ones((8, 20))}, session=session)
    assert text.count("us ") >= 4
    assert "us in all, one piece at a time" in text


def test_bodies_are_shown_inside_what_runs_them():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (40, 32, 64))
        w = mg.ones((64, 64))
        h, _ = mg.scan(lambda h, a: (mg.tanh(h @ w + a), None), mg.zeros((32, 64)), x)
        y = mg.cond(mg.sum(h) > 0.0, lambda: mg.exp(h), lambda: mg.sort(h))
        z = mg.cond(mg.sum(h) > 0.0, lambda: mg.exp(h), lambda: h - 1.0)
        slopes = mg.gradients(mg.sum(h), x)
        session = mg.Session(executor="native")
        text = explained([y, z, *slopes], session=session)
    assert "loop of 40 runs, in 2 blocks of rows\n        each run: product (16, 64)" in text
    assert "choice of 2 branches\n        branch 0: loop over (32, 64): 1 step: Sub" in text
    assert "call of a choice of 2 branches: NumPy's kernels" in text
    assert "1 × kept for the loop of a gradient" in text


def test_a_run_for_an_explanation_assigns_nothing():
    with mg.Graph().as_default():
        v = mg.Variable([1.0, 2.0])
        grown = v.assign_add([1.0, 1.0])
        session = mg.Session()
        session.run(v.initializer)
        explained(grown, {}, session=session)
        assert session.run(v).tolist() == [1.0, 2.0]


def test_an_unknown_shape_must_be_fed():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None,))
        y = x * 2.0
        with pytest.raises(mg.errors.FeedError, match="known shapes: pass a feed_dict"):
            explained(y)
        assert "float32 (3,)" in explained(y, {x: [1.0, 2.0, 3.0]})


def test_what_cannot_be_compiled_says_why():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (4,))
        text = explained(mg.nonzero(x))
    assert "node by node" in text and "depends on values" in text


def test_a_smaller_last_batch_is_one_more_program():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, 3))
        y = mg.sum(x * 2.0, axis=1)
        session = mg.Session()
        for n in (32, 32, 32, 7, 32, 7):
            assert session.run(y, {x: np.ones((n, 3))}).tolist() == [6.0] * n
    stats = session.stats()
    assert stats["plans"] == 1 and stats["compiled"] == 2
    assert stats["hits"] == 4 and stats["unplanned"] == 0


def test_old_plans_make_room(monkeypatch):
    monkeypatch.setattr("minigrad.session.MOST_PLANS", 3)
    with mg.Graph().as_default():
        x = mg.placeholder("float32", ())
        results = [x + float(i) for i in range(5)]
        session = mg.Session()
        for i, y in enumerate(results):
            assert session.run(y, {x: 1.0}) == 1.0 + i
        assert session.run(results[0], {x: 1.0}) == 1.0
    assert session.stats()["plans"] == 3
    assert session.stats()["evicted"] == 3

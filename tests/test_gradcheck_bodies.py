"""Gradient checks of losses in a session that lead through branches and loops."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn


def batch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(6, 4)).astype(np.float32), rng.integers(0, 3, 6)


def test_a_branch_that_is_not_taken_may_draw():
    inputs, labels = batch(np.random.default_rng(0))
    with mg.Graph().as_default():
        mg.random.seed(1)
        x, y = mg.placeholder("float32", (None, 4)), mg.placeholder("int64", (None,))
        training = mg.placeholder("bool", ())
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.Dropout(0.5), nn.Linear(5, 3))
        loss = mg.mean(nn.softmax_cross_entropy(model(x, training=training), y))
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            feeds = {x: inputs, y: labels}
            report = mg.gradcheck(loss, feed_dict={**feeds, training: False}, session=session)
            assert report.ok, str(report)
            with pytest.raises(mg.errors.GradientError, match="draws random numbers"):
                mg.gradcheck(loss, feed_dict={**feeds, training: True}, session=session)


def test_averages_in_a_branch_or_loop_are_left_alone():
    inputs, labels = batch(np.random.default_rng(0))
    with mg.Graph().as_default():
        mg.random.seed(1)
        x, y = mg.placeholder("float32", (None, 4)), mg.placeholder("int64", (None,))
        training = mg.placeholder("bool", ())
        norm, dense = nn.BatchNorm(4), nn.Linear(4, 3)
        once = norm(x, training=training)
        parts = mg.map_fn(norm, mg.reshape(once, (2, 3, 4)))
        scores = dense(mg.reshape(parts, (6, 4)))
        loss = mg.mean(nn.softmax_cross_entropy(scores, y))
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            before = session.run(norm.moving_mean)
            feeds = {x: inputs, y: labels, training: True}
            report = mg.gradcheck(loss, feed_dict=feeds, session=session)
            assert report.ok, str(report)
            np.testing.assert_array_equal(session.run(norm.moving_mean), before)
            session.run(loss, feeds)
            assert not np.array_equal(session.run(norm.moving_mean), before)


def test_an_assignment_that_the_loss_reads_is_refused():
    with mg.Graph().as_default():
        w = mg.Variable(2.0)
        v = mg.Variable(1.0, trainable=False)
        loss = mg.fori_loop(0, 3, lambda i, a: a * v.assign_add(1.0), w + 0.0)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            with pytest.raises(mg.errors.GradientError, match=r"ForLoop/body/AssignAdd.* assigns"):
                mg.gradcheck(loss, session=session)
            assert session.run(v) == 1.0

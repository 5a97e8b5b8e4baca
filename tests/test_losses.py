"""Losses: the labels that they take, and what they do at the limits of the logits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import IndexOutOfRangeError


def test_class_numbers_are_checked_and_the_number_of_classes_may_be_unknown() -> None:
    with mg.Graph().as_default():
        logits, labels = mg.placeholder("float64"), mg.placeholder("int64")
        loss = nn.softmax_cross_entropy(logits, labels)
        slope = mg.gradients(loss, logits)[0]
        with mg.Session() as session:
            values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
            got = session.run([loss, slope], {logits: values, labels: [0, 2]})
            for wrong in (3, -1):
                with pytest.raises(IndexOutOfRangeError, match=rf"label {wrong} .* 3 classes"):
                    session.run(loss, {logits: values, labels: [0, wrong]})
    p = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    assert_allclose(got[0], -np.log(p[[0, 2]]), rtol=1e-14)
    assert_allclose(got[1], p - np.eye(3)[[0, 2]], rtol=1e-14)


def test_a_class_that_is_ruled_out_does_not_spoil_the_loss_of_the_others() -> None:
    losses = nn.softmax_cross_entropy(np.array([[-np.inf, 0.0, 0.0]]), np.array([1]))
    assert_allclose(np.asarray(losses), [np.log(2.0)], rtol=1e-15)

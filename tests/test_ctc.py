"""The CTC loss against the sum over all alignments, written out; its corners; its errors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, IndexOutOfRangeError, ShapeError


def reads(alignment: tuple[int, ...], blank: int) -> list[int]:
    """What an alignment reads as: repetitions merged, blanks dropped."""
    return [c for c, _ in itertools.groupby(alignment) if c != blank]


def by_enumeration(logits: np.ndarray, labels: list[int], blank: int = 0) -> tuple[float, Any]:
    """The loss of one sequence, and its gradient for the logits, from all alignments."""
    steps, classes = logits.shape
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    total, used = 0.0, np.zeros_like(p)
    for alignment in itertools.product(range(classes), repeat=steps):
        if reads(alignment, blank) == labels:
            chance = math.prod(p[t, c] for t, c in enumerate(alignment))
            total += chance
            for t, c in enumerate(alignment):
                used[t, c] += chance
    if not total:
        return math.inf, np.zeros_like(p)
    return -math.log(total), p - used / total


CASES = [
    ([1], 1, 0),
    ([1], 4, 0),
    ([1, 2], 4, 0),
    ([1, 1], 4, 0),
    ([1, 1], 3, 0),
    ([2, 2, 1], 5, 0),
    ([], 3, 0),
    ([0, 1], 4, 2),
    ([0, 0], 5, 1),
]


@pytest.mark.parametrize(("labels", "steps", "blank"), CASES)
def test_loss_and_gradient_are_those_of_all_alignments(
    labels: list[int], steps: int, blank: int
) -> None:
    logits = np.random.default_rng(steps).normal(size=(1, steps, 3))
    padded = np.array([[*labels, 0, 0]])  # Behind the labels stands what is not read.

    def loss(x: Any) -> Any:
        return nn.ctc_loss(x, padded, [steps], [len(labels)], blank=blank, reduction="sum")

    expected, slope = by_enumeration(logits[0], labels, blank)
    value, gradient = mg.value_and_grad(loss)(mg.asarray(logits))
    assert_allclose(float(value), expected, rtol=1e-13)
    assert_allclose(np.asarray(gradient)[0], slope, rtol=1e-12, atol=1e-15)


def test_by_hand() -> None:
    # Two steps, two classes, each with probability 1/2: "1" reads from 11, 01 and 10.
    even = np.zeros((1, 2, 2))
    assert_allclose(float(nn.ctc_loss(even, [[1]], [2], [1])), -math.log(3 / 4), rtol=1e-15)
    assert_allclose(float(nn.ctc_loss(even, [[1]], [2], [0])), -math.log(1 / 4), rtol=1e-15)
    # "11" needs a blank between: of three steps, only 101 reads so. The mean
    # is one over the number of labels.
    even = np.zeros((1, 3, 2))
    assert_allclose(float(nn.ctc_loss(even, [[1, 1]], [3], [2])), math.log(8) / 2, rtol=1e-15)


def test_sequences_of_a_batch_have_their_own_lengths() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 3)), np.array([[1, 2], [2, 7], [-1, 9]])
    steps, counts = [5, 3, 4], [2, 1, 0]

    def losses(x: Any) -> Any:
        return nn.ctc_loss(x, labels, steps, counts, reduction="none")

    got = np.asarray(losses(logits))
    gradient = np.asarray(mg.grad(lambda x: mg.sum(losses(x)))(mg.asarray(logits)))
    for i in range(3):
        value, slope = by_enumeration(logits[i, : steps[i]], labels[i, : counts[i]].tolist())
        assert_allclose(got[i], value, rtol=1e-13)
        assert_allclose(gradient[i, : steps[i]], slope, rtol=1e-12, atol=1e-15)
        assert_array_equal(gradient[i, steps[i] :], 0.0)
    mean = nn.ctc_loss(logits, labels, steps, counts)
    assert_allclose(float(mean), (got[0] / 2 + got[1] + got[2]) / 3, rtol=1e-14)
    total = nn.ctc_loss(logits, labels, steps, counts, reduction="sum")
    assert_allclose(float(total), got.sum(), rtol=1e-14)


def test_without_an_alignment_the_loss_is_infinite_and_the_gradient_zero() -> None:
    logits = np.random.default_rng(1).normal(size=(2, 2, 3))
    labels, steps, counts = np.array([[1, 1], [1, 2]]), [2, 2], [2, 2]
    losses = np.asarray(nn.ctc_loss(logits, labels, steps, counts, reduction="none"))
    possible, slope = by_enumeration(logits[1], [1, 2])
    assert_allclose(losses, [math.inf, possible], rtol=1e-13)
    for zero in (False, True):

        def loss(x: Any, zero: bool = zero) -> Any:
            return nn.ctc_loss(x, labels, steps, counts, reduction="sum", zero_infinity=zero)

        value, gradient = mg.value_and_grad(loss)(mg.asarray(logits))
        assert_allclose(float(value), possible if zero else math.inf, rtol=1e-13)
        assert_array_equal(np.asarray(gradient)[0], 0.0)
        assert_allclose(np.asarray(gradient)[1], slope, rtol=1e-12, atol=1e-15)


def test_no_steps_read_as_no_labels() -> None:
    losses = nn.ctc_loss(np.zeros((2, 1, 2)), [[1], [1]], [0, 0], [0, 1], reduction="none")
    assert losses.tolist() == [0.0, math.inf]


def test_logits_of_any_size_and_classes_ruled_out() -> None:
    sure = np.full((1, 3, 3), -1e4)
    sure[0, [0, 1, 2], [1, 0, 1]] = 1e4

    def loss(x: Any) -> Any:
        return nn.ctc_loss(x, [[1, 1]], [3], [2])

    value, gradient = mg.value_and_grad(loss)(mg.asarray(sure))
    assert float(value) == 0.0
    assert_array_equal(np.asarray(gradient), 0.0)
    out = np.zeros((1, 3, 3))
    out[..., 2] = -math.inf  # What is left is as with two classes of probability 1/2.
    value, gradient = mg.value_and_grad(loss)(mg.asarray(out))
    assert_allclose(float(value), math.log(8) / 2, rtol=1e-15)
    assert np.isfinite(np.asarray(gradient)).all()
    assert np.isnan(float(loss(np.full((1, 3, 3), np.nan))))


def test_long_sequences_do_not_underflow() -> None:
    # Every step names class 0 or 1 with probability 1/2, and nothing else.
    steps = 2000
    logits = np.full((1, steps, 3), -math.inf)
    logits[..., :2] = 0.0
    loss = nn.ctc_loss(logits, [[1]], [steps], [1])
    # "1" reads from every run of ones: steps (steps + 1) / 2 alignments of 2^steps.
    expected = steps * math.log(2) - math.log(steps * (steps + 1) / 2)
    assert_allclose(float(loss), expected, rtol=1e-12)
    narrow = nn.ctc_loss(logits.astype(np.float32), [[1]], [steps], [1])
    assert narrow.dtype is mg.float32
    assert_allclose(float(narrow), expected, rtol=1e-5)


def test_logarithms_of_probabilities_serve_as_logits() -> None:
    x = np.random.default_rng(2).normal(size=(2, 4, 3))
    log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
    losses = [nn.ctc_loss(v, [[1, 2], [2, 0]], [4, 4], [2, 1]) for v in (x, log_p)]
    assert_allclose(float(losses[0]), float(losses[1]), rtol=1e-14)


def test_derivatives_of_third_order_agree_with_differences() -> None:
    rng = np.random.default_rng(3)
    x, u, v = (rng.normal(size=(1, 4, 3)) for _ in range(3))

    def loss(a: Any) -> Any:
        return nn.ctc_loss(a, [[1, 1]], [4], [2], reduction="sum")

    def along(function: Any, direction: np.ndarray) -> Any:
        return lambda a: mg.sum(mg.grad(function)(a) * mg.asarray(direction))

    bend = along(along(loss, u), v)
    third = np.asarray(mg.grad(bend)(mg.asarray(x)))
    step = 1e-5
    for index in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[index] = step
        sides = [float(bend(mg.asarray(x + s))) for s in (shift, -shift)]
        assert_allclose(third[index], (sides[0] - sides[1]) / (2 * step), rtol=1e-6, atol=1e-8)


def test_a_graph_need_not_know_batch_time_labels_or_classes() -> None:
    logits = np.random.default_rng(4).normal(size=(2, 4, 3))
    labels, steps, counts = np.array([[1, 2], [2, 0]]), np.array([4, 3]), np.array([2, 1])
    expected = [
        by_enumeration(logits[i, : steps[i]], labels[i, : counts[i]].tolist()) for i in (0, 1)
    ]
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (None, None, None))
        y = mg.placeholder("int64", (None, None))
        lengths = [mg.placeholder("int32", (None,)) for _ in range(2)]
        losses = nn.ctc_loss(x, y, *lengths, reduction="none")
        with mg.Session() as session:
            feeds = {x: logits, y: labels, lengths[0]: steps, lengths[1]: counts}
            got, slopes = session.run([losses, mg.gradients(losses, x)[0]], feeds)
            with pytest.raises(IndexOutOfRangeError, match=r"label 5 at \[0, 1\].*3 classes"):
                session.run(losses, feeds | {y: [[1, 5], [2, 0]]})
    assert_allclose(got, [e[0] for e in expected], rtol=1e-13)
    for i, (_, slope) in enumerate(expected):
        assert_allclose(slopes[i, : steps[i]], slope, rtol=1e-12, atol=1e-15)


def test_what_is_refused() -> None:
    logits, labels = np.zeros((2, 4, 3)), np.array([[1, 2], [2, 1]])
    with pytest.raises(ArgumentError, match=r"label 2 at \[0, 1\] is the blank"):
        nn.ctc_loss(logits, labels, [4, 4], [2, 2], blank=-1)
    with pytest.raises(ArgumentError, match=r"logit_lengths must lie in \[0, 4\], got 5"):
        nn.ctc_loss(logits, labels, [4, 5], [2, 2])
    with pytest.raises(ArgumentError, match=r"label_lengths must lie in \[0, 2\], got -1"):
        nn.ctc_loss(logits, labels, [4, 4], [2, -1])
    with pytest.raises(ShapeError, match=r"the batch of labels must have shape \(2,\), got \(1,\)"):
        nn.ctc_loss(logits, labels[:1], [4, 4], [2, 2])
    with mg.Graph().as_default(), pytest.raises(ShapeError, match="rank of the logits must be kn"):
        nn.ctc_loss(mg.placeholder("float64"), labels, [4, 4], [2, 2])

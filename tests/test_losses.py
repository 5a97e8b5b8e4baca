"""Losses: numbers worked out by hand, limits, masks, labels, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
)

INF = math.inf
Function = Callable[..., Any]


def slope(function: Function, x: Any) -> Any:
    """The gradient of the sum of what the function gives."""
    return np.asarray(mg.grad(lambda v: mg.sum(function(v)))(mg.asarray(np.asarray(x))))


# -- losses of numbers -------------------------------------------------------------------------

# The errors are 0.5, -2 and 4.
P, T = np.array([1.5, 1.0, 3.0]), np.array([1.0, 3.0, -1.0])


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (nn.mse_loss, [0.25, 4.0, 16.0]),
        (nn.mae_loss, [0.5, 2.0, 4.0]),
        (nn.huber_loss, [0.125, 1.5, 3.5]),
        (lambda *a, **k: nn.huber_loss(*a, delta=3.0, **k), [0.125, 2.0, 7.5]),
        (nn.smooth_l1_loss, [0.125, 1.5, 3.5]),
        (lambda *a, **k: nn.smooth_l1_loss(*a, beta=0.5, **k), [0.25, 1.75, 3.75]),
        (lambda *a, **k: nn.smooth_l1_loss(*a, beta=0, **k), [0.5, 2.0, 4.0]),
        (nn.log_cosh_loss, [math.log(math.cosh(r)) for r in (0.5, 2.0, 4.0)]),
        (nn.poisson_nll_loss, [math.exp(1.5) - 1.5, math.e - 3.0, math.exp(3.0) + 3.0]),
    ],
)
def test_losses_of_numbers_and_their_reductions(loss: Function, by_hand: list[float]) -> None:
    assert_allclose(np.asarray(loss(P, T, reduction="none")), by_hand, rtol=1e-14)
    assert_allclose(float(loss(P, T, reduction="sum")), sum(by_hand), rtol=1e-14)
    assert_allclose(float(loss(P, T)), sum(by_hand) / 3, rtol=1e-14)
    weights = np.array([2.0, 0.0, 1.0])
    weighed = (2 * by_hand[0] + by_hand[2]) / 3
    assert_allclose(float(loss(P, T, mask=weights)), weighed, rtol=1e-14)
    chosen = np.array([True, False, True])
    assert_allclose(float(loss(P, T, mask=chosen)), (by_hand[0] + by_hand[2]) / 2, rtol=1e-14)
    assert float(loss(P, T, mask=np.zeros(3, bool))) == 0.0


@pytest.mark.parametrize("loss", [nn.mse_loss, nn.mae_loss, nn.huber_loss, nn.log_cosh_loss])
def test_what_is_masked_out_may_be_missing(loss: Function) -> None:
    p, t = np.array([[1.0, np.nan], [INF, 4.0]]), np.array([[np.nan, 2.0], [2.0, 1.0]])
    mask = np.array([[False, False], [False, True]])
    assert_allclose(float(loss(p, t, mask=mask)), float(loss([4.0], [1.0])), rtol=1e-6)
    gradient = slope(lambda v: loss(v, t, mask=mask), p)
    assert_array_equal(gradient != 0, mask)
    assert np.isfinite(gradient).all()


def test_a_mask_has_the_first_axes_of_the_losses() -> None:
    p, t = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2))
    rows = np.array([False, True])
    for mask in (rows, rows[:, None], np.repeat(rows[:, None], 2, 1)):
        assert float(nn.mae_loss(p, t, mask=mask)) == 3.5
    assert float(nn.mae_loss(p, t, mask=rows[None, :])) == 3.0
    with mg.Graph().as_default():
        fed, given = mg.placeholder("float64", (None, 2)), mg.placeholder("bool", (None,))
        loss = nn.mae_loss(fed, t, mask=given)
        with mg.Session() as session:
            assert session.run(loss, {fed: p, given: rows}) == 3.5


def test_nothing_is_broadcast_whether_shapes_are_known_or_not() -> None:
    column, row = np.ones((3, 1)), np.ones(3)
    for loss in (nn.mse_loss, nn.hinge_loss, nn.binary_cross_entropy, nn.kl_divergence):
        with pytest.raises(ShapeError, match=r"\(3, 1\) and \(3,\).*same shape"):
            loss(column, row)
    with mg.Graph().as_default():
        p, t = mg.placeholder("float64"), mg.placeholder("float64")
        loss = nn.mse_loss(p, t)
        with mg.Session() as session:
            assert session.run(loss, {p: row, t: row}) == 0.0
            with pytest.raises(ShapeError, match=r"\(3, 1\) and \(3,\).*same shape"):
                session.run(loss, {p: column, t: row})


def test_losses_far_out_neither_overflow_nor_cancel() -> None:
    far = np.array([-INF, -1e200, 1e200, INF])
    zeros = np.zeros(4)
    bound = np.array([-1.0, -1.0, 1.0, 1.0])
    for loss in (nn.huber_loss, nn.smooth_l1_loss, nn.log_cosh_loss):
        losses = np.asarray(loss(far, zeros, reduction="none"))
        assert_allclose(losses, np.abs(far), rtol=1e-15)
        assert_array_equal(slope(lambda v, f=loss: f(v, zeros, reduction="sum"), far), bound)
    tiny = np.array([1e-9, 1e-5])
    small = np.asarray(nn.log_cosh_loss(tiny, np.zeros(2), reduction="none"))
    assert_allclose(small, tiny**2 / 2, rtol=1e-10)


def test_poisson_with_rates_and_stirlings_approximation() -> None:
    rate, count = np.array([2.0, 3.0]), np.array([1.0, 4.0])
    plain = rate - count * np.log(rate)
    options: dict[str, Any] = {"log_input": False, "epsilon": 0.0, "reduction": "none"}
    assert_allclose(np.asarray(nn.poisson_nll_loss(rate, count, **options)), plain, rtol=1e-14)
    stirling = 4 * math.log(4) - 4 + 0.5 * math.log(2 * math.pi * 4)
    full = nn.poisson_nll_loss(rate, count, full=True, **options)
    assert_allclose(np.asarray(full), plain + np.array([0.0, stirling]), rtol=1e-14)


def test_gaussian_likelihood_by_hand() -> None:
    mean, target, variance = np.array([1.0, 2.0]), np.array([3.0, 2.0]), np.array([4.0, 0.0])
    by_hand = [0.5 * (math.log(4) + 1), 0.5 * math.log(1e-6)]
    losses = nn.gaussian_nll_loss(mean, target, variance, reduction="none")
    assert_allclose(np.asarray(losses), by_hand, rtol=1e-14)
    full = nn.gaussian_nll_loss(mean, target, variance, full=True, reduction="sum")
    assert_allclose(float(full), sum(by_hand) + math.log(2 * math.pi), rtol=1e-14)
    # d/dv of (log v + 4/v) / 2 at v = 4 is (1/4 - 4/16) / 2 = 0; below epsilon it is 0.
    gradient = slope(lambda v: nn.gaussian_nll_loss(mean, target, v, reduction="sum"), variance)
    assert_array_equal(gradient, [0.0, 0.0])


# -- losses of yes and no ----------------------------------------------------------------------


def test_binary_cross_entropy_by_hand() -> None:
    p, t = np.array([0.25, 0.5, 0.9]), np.array([1.0, 0.0, 0.5])
    by_hand = [math.log(4), math.log(2), -0.5 * (math.log(0.9) + math.log(0.1))]
    assert_allclose(np.asarray(nn.binary_cross_entropy(p, t, reduction="none")), by_hand)
    logits = np.log(p / (1 - p))
    losses = nn.binary_cross_entropy_with_logits(logits, t, reduction="none")
    assert_allclose(np.asarray(losses), by_hand, rtol=1e-14)
    assert_allclose(np.asarray(nn.sigmoid_cross_entropy(logits, t)), by_hand, rtol=1e-14)


def test_certain_probabilities_have_finite_losses_and_gradients() -> None:
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    losses = nn.binary_cross_entropy(p, t, reduction="none")
    assert losses.tolist() == [0.0, 0.0, 100.0, 100.0]
    for dtype, most in ((np.float64, 1e12), (np.float32, 1e12), (np.float16, 2.0**15)):
        right = t.astype(dtype)
        loss = lambda v, t=right: nn.binary_cross_entropy(v, t, reduction="sum")  # noqa: E731
        assert_allclose(slope(loss, p.astype(dtype)), [0.0, 0.0, -most, most], rtol=1e-6)


def test_logits_of_any_size() -> None:
    x, t = np.array([-INF, -1e4, 1e4, INF]), np.array([0.0, 0.0, 1.0, 1.0])
    assert_array_equal(np.asarray(nn.sigmoid_cross_entropy(x, t)), np.zeros(4))
    assert_array_equal(np.asarray(nn.sigmoid_cross_entropy(-x, t)), np.abs(x))
    assert_array_equal(slope(lambda v: nn.sigmoid_cross_entropy(v, t), x), np.zeros(4))
    assert_array_equal(slope(lambda v: nn.sigmoid_cross_entropy(v, t), -x), [1, 1, -1, -1])
    # A small loss is not the difference of large numbers.
    small = nn.sigmoid_cross_entropy(np.array([-40.0]), np.array([0.0]))
    assert_allclose(np.asarray(small), [math.exp(-40)], rtol=1e-14)


def test_the_weight_of_positive_targets() -> None:
    x, t = np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])
    losses = nn.sigmoid_cross_entropy(x, t, pos_weight=[3.0, 5.0])
    assert_allclose(np.asarray(losses), [[3 * math.log(2), math.log(2)]], rtol=1e-14)


def test_targets_may_be_integers_or_bools() -> None:
    x = np.array([0.5, -1.0])
    expected = np.asarray(nn.sigmoid_cross_entropy(x, np.array([1.0, 0.0])))
    for t in ([1, 0], np.array([1, 0]), np.array([True, False])):
        losses = nn.sigmoid_cross_entropy(x, t)
        assert losses.dtype is mg.float64
        assert_array_equal(np.asarray(losses), expected)


def test_hinges_by_hand() -> None:
    p, t = np.array([0.5, -3.0, 2.0, 1.0]), np.array([1, 1, 1, -1])
    assert nn.hinge_loss(p, t, reduction="none").tolist() == [0.5, 4.0, 0.0, 2.0]
    assert nn.squared_hinge_loss(p, t, reduction="none").tolist() == [0.25, 16.0, 0.0, 4.0]
    assert slope(lambda v: nn.hinge_loss(v, t, reduction="sum"), p).tolist() == [-1, -1, 0, 1]
    at_the_corner = slope(lambda v: nn.hinge_loss(v, np.array([1])), np.array([1.0]))
    assert at_the_corner.tolist() == [0.0]


# -- losses of classes -------------------------------------------------------------------------

LOGITS = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])) + 3.0


def test_cross_entropy_by_hand() -> None:
    by_hand = [math.log(4), -math.log(0.7)]
    assert_allclose(np.asarray(nn.softmax_cross_entropy(LOGITS, [1, 2])), by_hand, rtol=1e-14)
    assert_allclose(float(nn.cross_entropy(LOGITS, [1, 2])), sum(by_hand) / 2, rtol=1e-14)
    total = nn.cross_entropy(LOGITS, np.eye(3)[[1, 2]], reduction="sum")
    assert_allclose(float(total), sum(by_hand), rtol=1e-14)
    log_p = nn.log_softmax(LOGITS)
    assert_allclose(float(nn.nll_loss(log_p, [1, 2])), sum(by_hand) / 2, rtol=1e-14)


def test_smoothing_moves_probability_to_all_classes() -> None:
    q = np.array([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])  # 0.3 of smoothing in three parts.
    expected = -(q * np.log([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])).sum(1)
    smoothed = nn.softmax_cross_entropy(LOGITS, [1, 2], label_smoothing=0.3)
    assert_allclose(np.asarray(smoothed), expected, rtol=1e-14)
    given = nn.softmax_cross_entropy(LOGITS, np.eye(3)[[1, 2]], label_smoothing=0.3)
    assert_allclose(np.asarray(given), expected, rtol=1e-14)


def test_class_weights_count_in_the_mean_of_class_numbers() -> None:
    a, b = math.log(4), -math.log(0.7)
    weight = [1.0, 2.0, 0.5]
    mean = nn.cross_entropy(LOGITS, [1, 2], weight=weight)
    assert_allclose(float(mean), (2 * a + 0.5 * b) / 2.5, rtol=1e-14)
    masked = nn.cross_entropy(LOGITS, [1, 2], weight=weight, mask=[3.0, 4.0])
    assert_allclose(float(masked), (6 * a + 2 * b) / 8, rtol=1e-14)
    dense = nn.cross_entropy(LOGITS, np.eye(3)[[1, 2]], weight=weight)
    assert_allclose(float(dense), (2 * a + 0.5 * b) / 2, rtol=1e-14)


def test_masked_and_ignored_labels_are_not_read() -> None:
    logits = np.array([*LOGITS, [np.nan, INF, 0.0]])
    expected = [math.log(4), -math.log(0.7)]
    ignored = nn.cross_entropy(logits, [1, 2, -100], ignore_index=-100)
    assert_allclose(float(ignored), sum(expected) / 2, rtol=1e-14)
    mask = np.array([True, True, False])
    masked = nn.cross_entropy(logits, [1, 2, 77], mask=mask)
    assert_allclose(float(masked), sum(expected) / 2, rtol=1e-14)
    each = nn.softmax_cross_entropy(logits, [1, 2, 77], mask=mask)
    assert_allclose(np.asarray(each), [*expected, 0.0], rtol=1e-14)
    gradient = slope(lambda v: nn.cross_entropy(v, [1, 2, 77], mask=mask), logits)
    assert np.isfinite(gradient).all()
    assert_array_equal(gradient[2], np.zeros(3))
    assert float(nn.cross_entropy(logits, [9, 9, 9], ignore_index=9)) == 0.0


def test_classes_may_lie_along_any_axis() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    y = np.array([[0, 1, 2, 0], [2, -1, 1, 1]])
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    picked = [-log_p[i, y[i, j], j] for i in range(2) for j in range(4) if y[i, j] >= 0]
    for axis in (1, -2):
        loss = nn.cross_entropy(x, y, axis=axis, ignore_index=-1)
        assert_allclose(float(loss), np.mean(picked), rtol=1e-14)


def test_class_numbers_are_checked_and_the_number_of_classes_may_be_unknown() -> None:
    with mg.Graph().as_default():
        logits, labels = mg.placeholder("float64"), mg.placeholder("int64")
        loss = nn.softmax_cross_entropy(logits, labels)
        slopes = mg.gradients(loss, logits)[0]
        with mg.Session() as session:
            values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
            got = session.run([loss, slopes], {logits: values, labels: [0, 2]})
            for wrong in (3, -1):
                with pytest.raises(IndexOutOfRangeError, match=rf"label {wrong} at \[1\] .* 3 cl"):
                    session.run(loss, {logits: values, labels: [0, wrong]})
    p = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    assert_allclose(got[0], -np.log(p[[0, 2]]), rtol=1e-14)
    assert_allclose(got[1], p - np.eye(3)[[0, 2]], rtol=1e-14)


def test_a_class_that_is_ruled_out_does_not_spoil_the_loss_of_the_others() -> None:
    logits = np.array([[-np.inf, 0.0, 0.0]])
    for labels in (np.array([1]), np.array([[0.0, 0.5, 0.5]])):
        losses = nn.softmax_cross_entropy(logits, labels)
        assert_allclose(np.asarray(losses), [np.log(2.0)], rtol=1e-15)
        gradient = slope(lambda v, y=labels: nn.softmax_cross_entropy(v, y), logits)
        assert gradient[0, 0] == 0.0
        assert np.isfinite(gradient).all()


def test_large_logits() -> None:
    logits = np.array([[1e4, -1e4, 0.0]])
    losses = [float(nn.cross_entropy(logits, [k])) for k in range(3)]
    assert losses == [0.0, 2e4, 1e4]
    assert_array_equal(slope(lambda v: nn.cross_entropy(v, [1]), logits), [[1.0, -1.0, 0.0]])


# -- divergence, similarity --------------------------------------------------------------------


def test_divergence_by_hand() -> None:
    t, p = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    rows = [0.5 * math.log(2) + 0.5 * math.log(2 / 3), math.log(2)]
    log_p = np.log(p)
    total = sum(rows)
    for reduction, expected in (("sum", total), ("batchmean", total / 2), ("mean", total / 4)):
        loss = nn.kl_divergence(log_p, t, reduction=reduction)
        assert_allclose(float(loss), expected, rtol=1e-14)
    with np.errstate(divide="ignore"):
        log_t = np.log(t)
    loss = nn.kl_divergence(log_p, log_t, log_target=True, reduction="batchmean")
    assert_allclose(float(loss), total / 2, rtol=1e-14)


def test_what_is_impossible_on_both_sides_diverges_by_nothing() -> None:
    log_p, t = np.array([-INF, 0.0]), np.array([0.0, 1.0])
    assert float(nn.kl_divergence(log_p, t, reduction="sum")) == 0.0
    assert float(nn.kl_divergence(log_p, log_p, log_target=True, reduction="sum")) == 0.0
    assert float(nn.kl_divergence(log_p, t[::-1].copy(), reduction="sum")) == INF


def test_cosine_similarity_by_hand() -> None:
    a = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
    b = np.array([[4.0, 3.0], [-2.0, 0.0], [1.0, 1.0]])
    assert_allclose(np.asarray(nn.cosine_similarity(a, b)), [24 / 25, -1.0, 0.0], rtol=1e-15)
    assert_allclose(np.asarray(nn.cosine_similarity(a * 1e150, b * 1e150)), [0.96, -1.0, 0.0])
    losses = nn.cosine_embedding_loss(a, b, [1, -1, -1], reduction="none")
    assert_allclose(np.asarray(losses), [0.04, 0.0, 0.0], atol=1e-15)
    losses = nn.cosine_embedding_loss(a, b, [-1, 1, 1], margin=0.5, reduction="none")
    assert_allclose(np.asarray(losses), [0.46, 2.0, 1.0], rtol=1e-14)


def test_triplets_by_hand() -> None:
    anchor, near, far = np.zeros((1, 2)), np.array([[3.0, 4.0]]), np.array([[0.0, 5.5]])
    loss = lambda **k: float(nn.triplet_margin_loss(anchor, near, far, epsilon=0.0, **k))  # noqa: E731
    assert loss() == 0.5
    assert loss(p=1.0) == 7.0 - 5.5 + 1.0
    assert loss(p=INF) == 0.0
    # From near to far is √(9 + 2.25), shorter than 5.5.
    assert_allclose(loss(swap=True), 6.0 - math.sqrt(11.25), rtol=1e-15)


# -- penalties ---------------------------------------------------------------------------------


def test_penalties_over_variables_in_both_modes() -> None:
    w, b = mg.Variable(np.array([[1.0, -2.0]])), mg.Variable(np.array([3.0]))
    assert float(nn.l1_penalty([w, b], 0.5)) == 3.0
    assert float(nn.l2_penalty([w, b], 0.5)) == 7.0
    with mg.GradientTape() as tape:
        penalty = nn.l2_penalty([w, b], 0.5) + nn.l1_penalty([w, b])
    for_w, for_b = tape.gradient(penalty, [w, b])
    assert for_w.tolist() == [[1.0 + 1.0, -2.0 - 1.0]]
    assert for_b.tolist() == [3.0 + 1.0]
    with mg.Graph().as_default():
        w = mg.Variable(np.array([1.0, -2.0]))
        penalty = nn.l2_penalty([w], 0.5)
        with mg.Session() as session:
            session.run(w.initializer)
            assert session.run(penalty) == 2.5


# -- dtypes and errors -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept(dtype: Any) -> None:
    p, t = np.array([[0.25, 0.75]], dtype), np.array([[0.5, 0.5]], dtype)
    for loss in (
        nn.mse_loss,
        nn.huber_loss,
        nn.log_cosh_loss,
        nn.binary_cross_entropy,
        nn.binary_cross_entropy_with_logits,
        nn.cross_entropy,
        nn.kl_divergence,
    ):
        for mask in (None, np.array([True]), np.array([2.0])):
            assert loss(p, t, mask=mask).dtype.dtype == dtype
    assert nn.cross_entropy(p, [1], weight=[1.0, 2.0], label_smoothing=0.1).dtype.dtype == dtype


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.mse_loss(ONES, ONES, reduction="avg"), ArgumentError, "got 'avg'"),
        (lambda: nn.mse_loss(ONES, ONES, mask=np.ones(3)), ShapeError, "mask of shape"),
        (lambda: nn.huber_loss(ONES, ONES, delta=0), ArgumentError, "delta must be positive"),
        (lambda: nn.smooth_l1_loss(ONES, ONES, beta=-1), ArgumentError, "beta must not be"),
        (lambda: nn.binary_cross_entropy(2 * ONES, ONES), ArgumentError, r"\[0, 1\], got 2.0"),
        (lambda: nn.hinge_loss(ONES, 0 * ONES), ArgumentError, r"-1 or 1, got 0.0; from 0 and 1"),
        (lambda: nn.cross_entropy(ONES, [0, 3]), IndexOutOfRangeError, r"label 3 at \[1\]"),
        (lambda: nn.cross_entropy(ONES, [0]), ShapeError, r"labels of shape \(1,\)"),
        (lambda: nn.cross_entropy(ONES, [[0.5, 0.5]]), ShapeError, "same shape"),
        (lambda: nn.cross_entropy(1.0, 0), ShapeError, "rank of at least 1"),
        (lambda: nn.cross_entropy(ONES, [0, 1], label_smoothing=2), ArgumentError, r"\[0, 1\]"),
        (lambda: nn.cross_entropy(ONES, [0, 1], weight=[1, 2]), ShapeError, "number a class"),
        (lambda: nn.cross_entropy(ONES, ONES, ignore_index=0), ArgumentError, "class numbers"),
        (lambda: nn.cross_entropy(ONES, [True, False]), DTypeError, "got bool"),
        (lambda: nn.nll_loss(ONES, ONES), DTypeError, "integers, got float64"),
        (lambda: nn.kl_divergence(ONES, ONES, reduction="x"), ArgumentError, "'batchmean'"),
        (lambda: nn.cosine_embedding_loss(ONES, ONES, [1, 0]), ArgumentError, "got 0"),
        (lambda: nn.triplet_margin_loss(ONES, ONES, ONES[:1]), ShapeError, "same shape"),
        (lambda: nn.triplet_margin_loss(ONES, ONES, ONES, p=-1), ArgumentError, "p must be"),
        (lambda: nn.l2_penalty([], 0.1), ArgumentError, "no parameters"),
        (lambda: nn.l1_penalty([ONES], -1), ArgumentError, "factor must not be negative"),
        (lambda: nn.l1_penalty(ONES), ArgumentTypeError, "list of parameters"),
    ],
)
def test_wrong_arguments(call: Function, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

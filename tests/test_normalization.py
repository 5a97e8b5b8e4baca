"""Normalisations: numbers worked out by hand, values far from 0, unknown shapes, both modes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError


def far_from_zero(rng, shape):
    return (1e4 + rng.normal(size=shape)).astype(np.float32)


def standardized(x, axis):
    """The definition in float64; float32 numbers are exact there."""
    wide = np.asarray(x, np.float64)
    mean = wide.mean(axis=axis, keepdims=True)
    return (wide - mean) / np.sqrt(wide.var(axis=axis, keepdims=True) + 1e-5)


def test_layer_norm_by_hand() -> None:
    # Mean 5, variance ((-4)² + (-2)² + 0² + 6²) / 4 = 14; epsilon 2 makes the divisor 4.
    y = nn.layer_norm(
        [[1.0, 3.0, 5.0, 11.0]], [1.0, 1.0, 2.0, 2.0], [0.5, 0.0, 0.0, 1.0], epsilon=2
    )
    assert y.tolist() == [[-0.5, -0.5, 0.0, 4.0]]


def test_rms_norm_by_hand() -> None:
    # (1 + 49 + 25 + 25) / 4 = 25.
    y = nn.rms_norm(np.array([1.0, 7.0, -5.0, 5.0]), np.array([1.0, 1.0, 1.0, 3.0]), epsilon=0.0)
    assert_allclose(y.numpy(), [0.2, 1.4, -1.0, 3.0], rtol=1e-15)


def test_batch_norm_statistics_by_hand() -> None:
    x = np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0], [7.0, 8.0]])
    y, mean, variance = nn.batch_norm_training(x, [2.0, 1.0], [0.0, 10.0], epsilon=0.0)
    assert mean.tolist() == [4.0, 5.0]
    assert variance.tolist() == [5.0, 9.0]  # Biased: (9 + 1 + 1 + 9) / 4 and 4 · 9 / 4.
    assert_allclose(y[:, 0].numpy(), np.array([-6.0, -2.0, 2.0, 6.0]) / np.sqrt(5.0), rtol=1e-15)
    assert y[:, 1].tolist() == [9.0, 9.0, 11.0, 11.0]
    # With these statistics, inference gives the same.
    again = nn.batch_norm(x, mean, variance, [2.0, 1.0], [0.0, 10.0], epsilon=0.0)
    assert_allclose(again.numpy(), y.numpy(), rtol=1e-15)


def test_batch_norm_with_given_statistics_by_hand() -> None:
    y = nn.batch_norm([[3.0], [7.0]], [1.0], [3.0], [5.0], [0.5], epsilon=1.0)
    assert y.tolist() == [[5.5], [15.5]]  # (3 - 1) / 2 · 5 + 0.5, (7 - 1) / 2 · 5 + 0.5.


def test_channels_may_lie_along_any_axis() -> None:
    rng = np.random.default_rng(0)
    x, scale, shift = rng.normal(size=(3, 4, 5, 2)), rng.normal(size=4), rng.normal(size=4)
    last = np.moveaxis(x, 1, -1)
    for norm in (
        lambda v, axis: nn.batch_norm_training(v, scale, shift, axis=axis).y,
        lambda v, axis: nn.batch_norm(v, shift, scale**2, scale, shift, axis=axis),
        lambda v, axis: nn.instance_norm(v, scale, shift, axis=axis),
        lambda v, axis: nn.group_norm(v, 2, scale, shift, axis=axis),
        lambda v, axis: nn.layer_norm(v, scale, shift, axis=axis),
        lambda v, axis: nn.rms_norm(v, scale, axis=axis),
        lambda v, axis: nn.local_response_normalization(v, axis=axis),
    ):
        expected = norm(last, -1).numpy()
        for axis in (1, -3):
            assert_allclose(np.moveaxis(norm(x, axis).numpy(), 1, -1), expected, rtol=1e-12)


def test_group_norm_lies_between_instance_norm_and_layer_norm() -> None:
    x = np.random.default_rng(1).normal(size=(2, 5, 6))
    assert_allclose(nn.group_norm(x, 6).numpy(), nn.instance_norm(x).numpy(), rtol=1e-13)
    over_all = nn.layer_norm(x, axis=(1, 2)).numpy()
    assert_allclose(nn.group_norm(x, 1).numpy(), over_all, rtol=1e-13)
    halves = np.concatenate([standardized(h, (1, 2)) for h in np.split(x, 2, axis=2)], axis=2)
    assert_allclose(nn.group_norm(x, 2).numpy(), halves, rtol=1e-13)


def test_layer_norm_over_several_axes_takes_parameters_of_their_shape() -> None:
    rng = np.random.default_rng(2)
    x, scale = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4))
    y = nn.layer_norm(x, scale, axis=(2, 0))
    assert_allclose(y.numpy(), standardized(x, (0, 2)) * scale[:, None, :], rtol=1e-13)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_values_far_from_zero_lose_no_digits(axis) -> None:
    x = far_from_zero(np.random.default_rng(3), (300, 200))
    y, mean, variance = nn.standardize(x, axis=axis)
    assert_allclose(y.numpy(), standardized(x, axis), atol=1e-5)
    wide = x.astype(np.float64)
    assert_allclose(mean.numpy(), wide.mean(axis=axis, keepdims=True), rtol=1e-7)
    assert_allclose(variance.numpy(), wide.var(axis=axis, keepdims=True), rtol=1e-5)


def test_gradients_far_from_zero_are_as_exact() -> None:
    rng = np.random.default_rng(4)
    x, weights = far_from_zero(rng, (4, 50)), rng.normal(size=(4, 50))

    def loss(v):
        return mg.sum(nn.layer_norm(v) * mg.astype(weights, v.dtype))

    narrow, wide = mg.grad(loss)(x), mg.grad(loss)(x.astype(np.float64))
    assert narrow.dtype is mg.float32
    assert_allclose(narrow.numpy(), wide.numpy(), atol=1e-5)


def test_float16_is_computed_in_float32() -> None:
    x = np.array([[600.0, -600.0, 300.0, 0.0]], np.float16)  # Squares beyond float16's range.
    y, mean, variance = nn.standardize(x)
    assert (y.dtype, mean.dtype, variance.dtype) == (mg.float16, mg.float32, mg.float32)
    assert variance.tolist() == [[196875.0]]
    assert_allclose(y.numpy(), standardized(x, -1), rtol=1e-3)
    slope = mg.grad(lambda v: mg.sum(nn.layer_norm(v) * np.array([1, 0, 0, 0], np.float16)))(x)
    assert slope.dtype is mg.float16
    exact = mg.grad(lambda v: nn.layer_norm(v)[0, 0])(x.astype(np.float64))
    assert_allclose(slope.numpy(), exact.numpy(), rtol=2e-3, atol=1e-7)
    for norm in (nn.rms_norm, nn.instance_norm, nn.l2_normalize, nn.local_response_normalization):
        assert norm(x).dtype is mg.float16


def test_statistics_of_higher_precision_do_not_widen_the_result() -> None:
    x, one = np.ones((2, 3), np.float16), np.ones(3, np.float32)
    assert nn.batch_norm(x, one, one).dtype is mg.float16
    assert nn.batch_norm(x, one, one, one).dtype is mg.float32
    assert nn.batch_norm_training(x).y.dtype is mg.float16


def test_single_elements_give_the_shift_and_no_gradient() -> None:
    x = np.array([[2.0, 5.0]])
    for norm in (
        lambda v: nn.group_norm(v, 2, None, [1.0, 2.0]),
        lambda v: nn.instance_norm(v, None, [1.0, 2.0]),
        lambda v: nn.batch_norm_training(v, None, [1.0, 2.0]).y,
    ):
        assert norm(x).tolist() == [[1.0, 2.0]]
        assert mg.grad(lambda v: mg.sum(norm(v)))(x).tolist() == [[0.0, 0.0]]  # noqa: B023


def test_gradients_flow_through_the_statistics_of_the_batch() -> None:
    x = np.array([[1.0, 0.0], [3.0, 4.0]])
    of_mean = mg.grad(lambda v: nn.batch_norm_training(v).mean[1])(x)
    assert of_mean.tolist() == [[0.0, 0.5], [0.0, 0.5]]
    of_variance = mg.grad(lambda v: nn.batch_norm_training(v).variance[1])(x)
    assert_allclose(of_variance.numpy(), [[0.0, -2.0], [0.0, 2.0]], rtol=1e-12)  # 2 (x - mean) / n.


def test_the_gradient_of_a_scaled_input_vanishes() -> None:
    # The result does not depend on the input's scale: the gradient is orthogonal to the input.
    x = np.random.default_rng(5).normal(size=8)
    w = np.random.default_rng(6).normal(size=8)
    for norm in (nn.layer_norm, nn.rms_norm, nn.l2_normalize):
        slope = mg.grad(lambda v: mg.sum(norm(v, epsilon=0.0) * w))(x)  # noqa: B023
        assert abs(float(mg.sum(slope * x))) < 1e-12


def test_nothing_is_known_of_the_shapes_until_the_run() -> None:
    rng = np.random.default_rng(7)
    values, scale = rng.normal(size=(2, 3, 4)), rng.normal(size=4)
    with mg.Graph().as_default():
        free = mg.placeholder("float64")
        ranked = mg.placeholder("float64", (None, None, None))
        channels = mg.placeholder("float64", (None, None, 4))
        parameter = mg.placeholder("float64")
        made = {
            free: [
                nn.layer_norm(free, scale),
                nn.layer_norm(free, axis=(-1, -2)),
                nn.rms_norm(free, parameter),
                nn.batch_norm(free, scale, scale**2, scale, scale),
                nn.l2_normalize(free),
                nn.local_response_normalization(free),
            ],
            ranked: [nn.instance_norm(ranked, scale), nn.batch_norm_training(ranked, parameter).y],
            channels: [nn.group_norm(channels, 2, scale)],
        }
        fetches, expected = [], []
        for x, results in made.items():
            fetches += [[y, mg.gradients(mg.sum(y * y * y), x)[0]] for y in results]
        with mg.Session() as session:
            feeds = dict.fromkeys(made, values) | {parameter: scale}
            got = session.run(fetches, feeds)
            with pytest.raises(ShapeError, match=r"\(2, 3, 4\)"):
                session.run(made[free][2], feeds | {parameter: np.ones(3)})
    for f in (
        lambda x: nn.layer_norm(x, scale),
        lambda x: nn.layer_norm(x, axis=(-1, -2)),
        lambda x: nn.rms_norm(x, scale),
        lambda x: nn.batch_norm(x, scale, scale**2, scale, scale),
        nn.l2_normalize,
        nn.local_response_normalization,
        lambda x: nn.instance_norm(x, scale),
        lambda x: nn.batch_norm_training(x, scale).y,
        lambda x: nn.group_norm(x, 2, scale),
    ):
        cubed = mg.grad(lambda x: mg.sum(f(x) ** 3))(values)  # noqa: B023
        expected.append([f(values).numpy(), cubed.numpy()])
    for (y, slope), (y_eager, slope_eager) in zip(got, expected, strict=True):
        assert_allclose(y, y_eager, rtol=1e-13)
        assert_allclose(slope, slope_eager, rtol=1e-9, atol=1e-12)


def test_what_a_graph_must_know_is_said() -> None:
    with mg.Graph().as_default():
        free = mg.placeholder("float32")
        for call in (
            lambda: nn.batch_norm_training(free),
            lambda: nn.instance_norm(free),
            lambda: nn.group_norm(free, 2),
            lambda: nn.layer_norm(free, [1.0], axis=1),
        ):
            with pytest.raises(ShapeError, match=r"rank of x must be known.*ensure_shape"):
                call()
        with pytest.raises(ShapeError, match=r"number of channels, axis -1 .* must be known"):
            nn.group_norm(mg.placeholder("float32", (None, None)), 2)


def test_local_response_normalization_by_hand() -> None:
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    y = nn.local_response_normalization(x, size=3, bias=1.0, alpha=1.0, beta=1.0)
    sums = np.array([1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16.0])
    assert_allclose(y.numpy(), x / (1 + sums), rtol=1e-15)
    even = nn.local_response_normalization(x, size=2, bias=1.0, alpha=1.0, beta=1.0)
    assert_allclose(even.numpy(), x / (1 + np.array([1, 1 + 4, 4 + 9, 9 + 16.0])), rtol=1e-15)


def test_l2_normalize_by_hand() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0], [3e-7, 4e-7]])
    y = nn.l2_normalize(x).numpy()
    assert_allclose(y, [[0.6, 0.8], [0.0, 0.0], [0.3, 0.4]], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.layer_norm(np.ones((2, 3)), np.ones(2)),
            ShapeError,
            r"\(2,\).*expected \(3,\)",
        ),
        (lambda: nn.layer_norm(np.ones((2, 3)), axis=(0, 0)), ShapeError, "twice"),
        (lambda: nn.layer_norm(np.ones(3), epsilon=-1), ArgumentError, "layer_norm: epsilon"),
        (lambda: nn.rms_norm(np.ones(3), epsilon=True), ArgumentTypeError, "rms_norm: epsilon"),
        (lambda: nn.group_norm(np.ones((2, 4)), 3), ShapeError, "4 channels.* 3 groups"),
        (lambda: nn.batch_norm(np.ones((2, 4)), [0.0], 1.0), ShapeError, "variance must have"),
        (lambda: nn.window_sum([1.0], after=-2), ArgumentError, "after must be 0 or more, got -2"),
    ],
)
def test_bad_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()

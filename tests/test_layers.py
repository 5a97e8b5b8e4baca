"""Convolutions, pooling, resizing and normalisations as modules: sizes, parameters, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError

RNG = np.random.default_rng(0)

#: A layer that takes its sizes from the first input, an input, the output's shape, the parameters.
OPEN: list[tuple[Any, tuple[int, ...], tuple[int, ...], dict[str, tuple[int, ...]]]] = [
    (
        lambda: nn.Conv1d(None, 6, 3),
        (2, 8, 4),
        (2, 6, 6),
        {"weight": (3, 4, 6), "bias": (6,)},
    ),
    (
        lambda: nn.Conv2d(None, 6, (2, 3), groups=2, bias=False, padding="SAME"),
        (2, 5, 5, 4),
        (2, 5, 5, 6),
        {"weight": (2, 3, 2, 6)},
    ),
    (
        lambda: nn.Conv2d(None, 6, 3, data_format="NCHW", stride=2, padding=1),
        (2, 4, 5, 5),
        (2, 6, 3, 3),
        {"weight": (3, 3, 4, 6), "bias": (6,)},
    ),
    (
        lambda: nn.Conv3d(None, 2, 2),
        (1, 3, 3, 3, 4),
        (1, 2, 2, 2, 2),
        {"weight": (2, 2, 2, 4, 2), "bias": (2,)},
    ),
    (
        lambda: nn.ConvTranspose1d(None, 2, 2, stride=2),
        (1, 3, 4),
        (1, 6, 2),
        {"weight": (2, 2, 4), "bias": (2,)},
    ),
    (
        lambda: nn.ConvTranspose2d(None, 6, 3, groups=2, stride=2, padding="SAME"),
        (1, 3, 3, 4),
        (1, 6, 6, 6),
        {"weight": (3, 3, 3, 4), "bias": (6,)},
    ),
    (
        lambda: nn.ConvTranspose3d(None, 1, 2, bias=False, data_format="NCDHW"),
        (1, 4, 2, 2, 2),
        (1, 1, 3, 3, 3),
        {"weight": (2, 2, 2, 1, 4)},
    ),
    (
        lambda: nn.DepthwiseConv2d(None, 2, multiplier=3),
        (1, 3, 3, 4),
        (1, 2, 2, 12),
        {"weight": (2, 2, 4, 3), "bias": (12,)},
    ),
    (
        lambda: nn.SeparableConv2d(None, 5, 2, multiplier=3),
        (1, 3, 3, 4),
        (1, 2, 2, 5),
        {"depthwise_weight": (2, 2, 4, 3), "pointwise_weight": (1, 1, 12, 5), "bias": (5,)},
    ),
    (lambda: nn.LayerNorm(None), (2, 3, 4), (2, 3, 4), {"scale": (4,), "shift": (4,)}),
    (lambda: nn.LayerNorm((3, None)), (2, 3, 4), (2, 3, 4), {"scale": (3, 4), "shift": (3, 4)}),
    (lambda: nn.LayerNorm(None, axis=1), (2, 3, 4), (2, 3, 4), {"scale": (3,), "shift": (3,)}),
    (lambda: nn.RMSNorm(None), (2, 3, 4), (2, 3, 4), {"scale": (4,)}),
    (lambda: nn.GroupNorm(2, None), (2, 3, 4), (2, 3, 4), {"scale": (4,), "shift": (4,)}),
    (lambda: nn.InstanceNorm(None, axis=1), (2, 3, 4), (2, 3, 4), {"scale": (3,), "shift": (3,)}),
    (lambda: nn.BatchNorm(None, axis=1), (2, 3, 4), (2, 3, 4), {"scale": (3,), "shift": (3,)}),
]


@pytest.mark.parametrize(("make", "given", "result", "shapes"), OPEN)
def test_sizes_come_from_the_first_input_whatever_the_batch(
    make: Any, given: tuple[int, ...], result: tuple[int, ...], shapes: dict[str, tuple[int, ...]]
) -> None:
    layer = make()
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, *given[1:]))
        y = layer(x)
        assert y.spec.shape == (None, *result[1:])
    assert {name: p.shape for name, p in layer.named_parameters()} == shapes
    values = RNG.normal(size=given).astype(np.float32)
    got = mg.Session(graph=x.graph).run(y, {x: values})
    assert got.shape == result
    other = make()
    other.load_state_dict({name: p.numpy() for name, p in layer.named_parameters()}, strict=False)
    assert_allclose(other(values).numpy(), got, rtol=1e-5, atol=1e-6)
    assert "?" not in repr(layer)
    assert "?" in repr(make())
    empty = np.zeros((0, *given[1:]), np.float32)
    assert layer(empty, training=False).shape == (0, *result[1:])


@pytest.mark.parametrize(("make", "given", "result", "shapes"), OPEN)
def test_another_number_of_channels_is_refused(
    make: Any, given: tuple[int, ...], result: tuple[int, ...], shapes: dict[str, tuple[int, ...]]
) -> None:
    layer = make()
    layer(np.ones(given, np.float32))
    wrong = np.ones([2 * n for n in given], np.float32)
    with pytest.raises(ShapeError, match=r"=\d+, got an input of shape") as caught:
        layer(wrong)
    assert type(layer).__name__ in str(caught.value)


def test_a_convolution_by_hand() -> None:
    layer = nn.Conv1d(1, 1, 2, weight_initializer=[[[1.0]], [[-2.0]]], bias_initializer=0.5)
    y = layer(np.array([[[1.0], [4.0], [9.0]]], np.float32))
    assert y.tolist() == [[[1.0 - 8.0 + 0.5], [4.0 - 18.0 + 0.5]]]
    back = nn.ConvTranspose1d(1, 1, 2, weight_initializer=[[[1.0]], [[-2.0]]], bias=False)
    assert back(np.array([[[1.0], [3.0]]], np.float32)).tolist() == [[[1.0], [1.0], [-6.0]]]


def test_starts_use_the_fans_of_convolutions() -> None:
    weight = nn.Conv2d(8, 16, 3).weight.numpy()
    bound = np.sqrt(6 / (9 * 8 + 9 * 16))
    assert 0.95 * bound < abs(weight).max() <= bound
    he = nn.Conv2d(64, 32, 3, weight_initializer=nn.initializers.HeNormal).weight.numpy()
    assert_allclose(he.std(), np.sqrt(2 / (9 * 64)), rtol=0.05)
    assert not nn.Conv2d(8, 16, 3).bias.numpy().any()


def test_transposed_convolution_to_a_shape() -> None:
    layer = nn.ConvTranspose2d(3, 2, 3, stride=2, padding="SAME")
    x = RNG.normal(size=(1, 3, 4, 3)).astype(np.float32)
    assert layer(x).shape == (1, 6, 8, 2)
    assert layer(x, (5, 7)).shape == (1, 5, 7, 2)
    assert layer(x, output_shape=(1, 5, 8, 2)).shape == (1, 5, 8, 2)
    with pytest.raises(ShapeError, match="cannot have shape"):
        layer(x, (9, 9))


@pytest.mark.parametrize(
    ("layer", "function", "options"),
    [
        (nn.MaxPool2d(2, stride=1), nn.max_pool2d, {"stride": 1}),
        (nn.AvgPool2d(2, padding="SAME"), nn.avg_pool2d, {"padding": "SAME"}),
    ],
)
def test_pools_compute_their_functions(layer: Any, function: Any, options: Any) -> None:
    x = RNG.normal(size=(2, 5, 5, 3))
    expected = function(x, 2, **options).numpy()
    assert_array_equal(layer(x).numpy(), expected)
    with mg.Graph().as_default(), mg.Session() as session:
        p = mg.placeholder("float64", (None, None, None, 3))
        assert_array_equal(session.run(layer(p), {p: x}), expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_pools_take_any_rank(rank: int) -> None:
    x = RNG.normal(size=(2, *range(2, 2 + rank), 3))
    places = tuple(range(1, rank + 1))
    assert_array_equal(nn.GlobalMaxPool()(x).numpy(), x.max(places))
    assert_allclose(nn.GlobalAvgPool(keepdims=True)(x).numpy(), x.mean(places, keepdims=True))
    first = ("NCW", "NCHW", "NCDHW")[rank - 1]
    moved = np.moveaxis(x, -1, 1)
    assert_array_equal(nn.GlobalMaxPool(data_format=first)(moved).numpy(), x.max(places))


def test_zero_padding_and_resizing() -> None:
    x = RNG.normal(size=(1, 2, 3, 2))
    assert_array_equal(
        nn.ZeroPad2d([(1, 0), 2])(x).numpy(), np.pad(x, [(0, 0), (1, 0), (2, 2), (0, 0)])
    )
    first = nn.ZeroPad2d(1, data_format="NCHW")(x).numpy()
    assert_array_equal(first, np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]))
    assert_array_equal(nn.ZeroPad1d(1)(x[0]).numpy(), np.pad(x[0], [(0, 0), (1, 1), (0, 0)]))
    assert nn.ZeroPad3d(1)(x[None]).shape == (1, 3, 4, 5, 2)
    assert_array_equal(nn.Upsample(2)(x).numpy(), x.repeat(2, 1).repeat(2, 2))
    with mg.Graph().as_default(), mg.Session() as session:
        p = mg.placeholder("float64", (None, None, None, 2))
        got = session.run(nn.Resize((4, 6))(p), {p: x})
    assert_array_equal(got, x.repeat(2, 1).repeat(2, 2))


def test_normalisations_by_hand() -> None:
    x = np.array([[1.0, 3.0, 10.0, 30.0]])
    exact: dict[str, Any] = {"epsilon": 0.0, "dtype": "float64"}
    assert_allclose(nn.GroupNorm(2, 4, **exact)(x).numpy(), [[-1.0, 1.0, -1.0, 1.0]])
    assert_allclose(
        nn.LayerNorm(4, **exact)(x).numpy(), (x - 11.0) / np.sqrt((100 + 64 + 1 + 361) / 4)
    )
    assert_allclose(nn.RMSNorm(4, **exact)(x).numpy(), x / np.sqrt((1 + 9 + 100 + 900) / 4))
    plain = nn.LayerNorm(4, scale=False, shift=False, epsilon=0.0)
    assert plain.parameters() == []
    assert_allclose(plain(x).numpy(), nn.LayerNorm(4, **exact)(x).numpy())
    response = nn.LocalResponseNorm(size=3, alpha=1.0, beta=1.0, bias=1.0)
    assert_allclose(response(x).numpy(), [[1 / 11, 3 / 111, 10 / 1010, 30 / 1001]], rtol=1e-14)


def test_reprs() -> None:
    assert repr(nn.Conv2d(3, 8, 3, groups=1, bias=False, data_format="NCHW")) == (
        "Conv2d(in_channels=3, out_channels=8, kernel_size=(3, 3), bias=False, data_format='NCHW')"
    )
    assert repr(nn.MaxPool2d(2, padding="SAME")) == "MaxPool2d(window=(2, 2), padding='SAME')"
    assert repr(nn.AvgPool1d(2, count_include_pad=True)) == (
        "AvgPool1d(window=(2,), count_include_pad=True)"
    )
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(groups=2, num_channels=4, epsilon=1e-05)"
    assert (
        repr(nn.LayerNorm((2, 3), shift=False)) == "LayerNorm((2, 3), epsilon=1e-05, shift=False)"
    )
    assert repr(nn.RMSNorm(2)) == "RMSNorm((2), epsilon=1e-05)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Conv2d(0, 3, 3), ArgumentError, "Conv2d: in_channels is an integer of 1"),
        (lambda: nn.Conv2d(3, 0, 3), ArgumentError, "Conv2d: out_channels is an integer of 1"),
        (lambda: nn.Conv2d(3, 2.5, 3), ArgumentTypeError, "out_channels is an integer"),  # type: ignore[arg-type]
        (lambda: nn.Conv2d(3, 4, 0), ArgumentError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, (3,) * 3), ArgumentError, "kernel_size has 3 values"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ArgumentError, "in_channels=3 cannot be divided"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ArgumentError, "out_channels=3 cannot be divided"),
        (lambda: nn.Conv2d(3, 4, 3, padding="FULL"), ArgumentError, "padding must be 'SAME'"),
        (lambda: nn.Conv2d(3, 4, 3, data_format="NWC"), ArgumentError, "'NHWC', 'NCHW', got 'NWC'"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ArgumentError, "stride must be at least 1"),
        (
            lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=-1),
            ArgumentError,
            "output_padding must be at least 0",
        ),
        (lambda: nn.DepthwiseConv2d(3, 3, multiplier=0), ArgumentError, "multiplier"),
        (lambda: nn.MaxPool2d(0), ArgumentError, "MaxPool2d: window must be at least 1"),
        (lambda: nn.GlobalMaxPool(data_format="N"), ArgumentError, "data_format must be one of"),
        (lambda: nn.ZeroPad2d("SAME"), ArgumentError, "ZeroPad2d: padding is an integer"),
        (lambda: nn.Upsample(None), ArgumentError, "either a size or a scale"),  # type: ignore[arg-type]
        (lambda: nn.LayerNorm(()), ArgumentError, "normalized_shape has no sizes"),
        (lambda: nn.LayerNorm((2, 3), axis=1), ArgumentError, "must have as many entries"),
        (lambda: nn.LayerNorm(0), ArgumentError, "normalized_shape is an integer of 1"),
        (lambda: nn.GroupNorm(3, 4), ArgumentError, "num_channels=4 cannot be divided"),
        (lambda: nn.RMSNorm(3, epsilon=-1.0), ArgumentError, "RMSNorm: epsilon"),
        (lambda: nn.LocalResponseNorm(size=0), ArgumentError, "LocalResponseNorm: size"),
    ],
)
def test_arguments_are_checked_when_a_layer_is_made(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_inputs_are_checked() -> None:
    with pytest.raises(ShapeError, match="window of 5 does not fit an axis of length 4"):
        nn.Conv2d(3, 2, 5)(np.ones((1, 4, 4, 3)))
    for layer in (nn.Conv2d(3, 2, 2), nn.Conv2d(None, 2, 2)):
        with pytest.raises(ShapeError, match="rank 4"):
            layer(np.ones((4, 4, 3)))
    with pytest.raises(ShapeError, match="3 channels cannot be divided into groups=2"):
        nn.Conv2d(None, 2, 2, groups=2)(np.ones((1, 4, 4, 3)))
    with pytest.raises(ShapeError, match=r"4 channels.*cannot be divided into 3 groups"):
        nn.GroupNorm(3, None)(np.ones((2, 4)))
    with pytest.raises(ShapeError, match="rank 3, 4 or 5"):
        nn.GlobalAvgPool()(np.ones((2, 3)))
    with mg.Graph().as_default():
        unknown = mg.placeholder("float32", (None, None, None, None))
        with pytest.raises(ShapeError, match=r"needs to know the size of axis -1.*in_channels="):
            nn.Conv2d(None, 2, 3)(unknown)
        assert nn.Conv2d(3, 2, 3)(unknown).spec.shape == (None, None, None, 2)

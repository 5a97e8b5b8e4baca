"""Resizing: numbers worked out by hand, adjoints, sizes that only the run knows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ShapeError


def row(values, *args, **kwargs):
    x = np.asarray(values)[None, :, None]
    return nn.resize(x, *args, data_format="NWC", **kwargs).numpy()[0, :, 0].tolist()


def test_nearest_by_hand() -> None:
    assert row([1, 2, 3], 6) == [1, 1, 2, 2, 3, 3]
    # Centres at (i + 1/2) · 3/5 - 1/2 = -0.2, 0.4, 1, 1.6, 2.2.
    assert row([1, 2, 3], 5) == [1, 1, 2, 3, 3]
    # Half-way between cells, the latter: centres at 0.5 and 2.5.
    assert row([1, 2, 3, 4], 2) == [2, 4]
    assert row([1, 2, 3], scale=1.5) == [1, 2, 2, 3]  # Four: centres at -1/8, 5/8, 11/8, 17/8.


def test_bilinear_by_hand() -> None:
    assert row([0.0, 4.0], 4, method="bilinear") == [0.0, 1.0, 3.0, 4.0]
    assert row([0.0, 2.0, 6.0, 8.0], 2, method="bilinear") == [1.0, 7.0]
    aligned = row([0.0, 3.0, 9.0], 5, method="bilinear", align_corners=True)
    assert aligned == [0.0, 1.5, 3.0, 6.0, 9.0]
    assert row([5.0, 7.0], 1, method="bilinear", align_corners=True) == [5.0]
    assert row([1, 2], 3, method="bilinear") == [1.0, 1.5, 2.0]


def test_each_axis_is_resized_for_itself() -> None:
    x = np.arange(4.0).reshape(1, 2, 2, 1)
    y = nn.resize(x, (2, 4), method="bilinear").numpy()[0, :, :, 0]
    assert y.tolist() == [[0.0, 0.25, 0.75, 1.0], [2.0, 2.25, 2.75, 3.0]]
    first = nn.resize(np.moveaxis(x, -1, 1), (2, 4), method="bilinear", data_format="NCHW")
    assert first.numpy()[0, 0].tolist() == y.tolist()
    cube = np.random.default_rng(0).normal(size=(1, 2, 2, 2, 3))
    grown = nn.resize(cube, scale=(1, 2, 3), data_format="NDHWC").numpy()
    assert (grown == cube.repeat(2, axis=2).repeat(3, axis=3)).all()


def test_the_gradient_is_the_adjoint() -> None:
    rng = np.random.default_rng(1)
    for size in ((7, 3), (2, 9), (1, 1)):
        for rules in ({}, {"method": "bilinear"}, {"method": "bilinear", "align_corners": True}):

            def f(x, size=size, rules=rules):
                return nn.resize(x, size, **rules)

            x, g = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(2, *size, 3))
            slope = mg.grad(lambda v: mg.sum(f(v) * g))(x).numpy()  # noqa: B023
            assert_allclose(np.sum(slope * x), np.sum(f(x).numpy() * g), rtol=1e-11)


def test_constants_stay_constant_in_every_dtype() -> None:
    for dtype in ("float16", "float32", "float64"):
        y = nn.resize(np.full((1, 3, 4, 2), 60000.0, dtype), (7, 5), method="bilinear")
        assert y.dtype is mg.as_dtype(dtype)
        assert_allclose(y.numpy().astype(float), 60000.0, rtol=1e-6)


def test_sizes_may_be_known_in_the_run_only() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 3, 5, 1))
    with mg.Graph().as_default():
        x, free = mg.placeholder("float64", (None, None, None, 1)), mg.placeholder("float64")
        size = mg.placeholder("int32", (2,))
        made = [
            nn.resize(x, size, method="bilinear"),
            nn.resize(free, scale=1.4, method="bilinear"),
            nn.resize(x, (size[0], 4)),
        ]
        slope = mg.gradients(mg.sum(made[0] ** 3) + mg.sum(made[2] ** 3), x)[0]
        assert made[0].shape == (None, None, None, 1)
        assert made[2].shape == (None, None, 4, 1)
        with mg.Session() as session:
            feed = {x: values, free: values, size: [6, 2]}
            got, got_slope = session.run([made, slope], feed)
            with pytest.raises(ShapeError, match="without elements"):
                session.run(made[0], feed | {x: values[:, :0]})
    eager = [
        nn.resize(values, (6, 2), method="bilinear"),
        nn.resize(values, (4, 7), method="bilinear"),
        nn.resize(values, (6, 4)),
    ]
    for a, b in zip(got, eager, strict=True):
        assert_allclose(a, b.numpy(), rtol=1e-14)

    def both(v):
        bilinear, nearest = nn.resize(v, (6, 2), method="bilinear"), nn.resize(v, (6, 4))
        return mg.sum(bilinear**3) + mg.sum(nearest**3)

    assert_allclose(got_slope, mg.grad(both)(values).numpy(), rtol=1e-12)


def test_pixels_are_shuffled_and_back() -> None:
    x = np.arange(8.0).reshape(1, 8, 1, 1)
    y = nn.pixel_shuffle(x, 2, data_format="NCHW").numpy()
    assert y.tolist() == [[[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]]
    last = nn.pixel_shuffle(np.moveaxis(x, 1, -1), 2).numpy()
    assert (np.moveaxis(last, -1, 1) == y).all()
    image = np.random.default_rng(3).normal(size=(2, 4, 6, 3))
    again = nn.pixel_shuffle(nn.pixel_unshuffle(image, 2), 2).numpy()
    assert (again == image).all()
    with mg.Graph().as_default():
        free = mg.placeholder("float64", (None, None, None, 12))
        shuffled = nn.pixel_unshuffle(nn.pixel_shuffle(free, 2), 2)
        with mg.Session() as session:
            some = np.random.default_rng(4).normal(size=(1, 2, 3, 12))
            assert (session.run(shuffled, {free: some}) == some).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nn.resize(x), ArgumentError, "size or scale, got size=None"),
        (lambda x: nn.resize(x, 2, scale=2), ArgumentError, "size or scale"),
        (lambda x: nn.resize(x, (2, 2, 2)), ArgumentError, "one number or 2"),
        (lambda x: nn.resize(x, -2), ArgumentError, "size must be at least 1, got -2"),
        (lambda x: nn.resize(x, scale=0.1), ArgumentError, r"scale 0\.1 leaves axis 1 .* without"),
        (lambda x: nn.resize(x, 2, method="cubic"), ArgumentError, "nearest, bilinear"),
        (lambda x: nn.resize(x, 2, align_corners=True), ArgumentError, "'bilinear' only"),
        (lambda x: nn.resize(x[0], 2), ShapeError, r"NHWC.*\(2, 3, 4\)"),
        (lambda x: nn.pixel_shuffle(x, 3), ShapeError, "4 channels .* factor² = 9"),
        (lambda x: nn.pixel_unshuffle(x, 2), ShapeError, "width 3 .* factor 2"),
    ],
)
def test_bad_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(np.ones((1, 2, 3, 4)))

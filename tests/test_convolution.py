"""Convolutions: against plain loops, against numbers worked out by hand, and what they refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, MinigradError, ShapeError
from minigrad.nn.functional.convolution import kernels as reference
from minigrad.nn.functional.convolution import numpy_kernels as fast
from minigrad.nn.functional.windows import FORMATS, Geometry

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape)


def each(value: Any, rank: int) -> Any:
    return (value,) * rank if isinstance(value, int) else value


def loops(x: Any, kernel: Any, stride: Any, pads: Any, dilation: Any, groups: int = 1) -> Any:
    """A convolution of a channels-last array, one product after the other."""
    rank = x.ndim - 2
    stride, dilation = each(stride, rank), each(dilation, rank)
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    window, (inner, outputs) = kernel.shape[:rank], kernel.shape[rank:]
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    sizes = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, stride, strict=True)]
    y = np.zeros((x.shape[0], *sizes, outputs))
    for batch, o in itertools.product(range(x.shape[0]), range(outputs)):
        first = o // (outputs // groups) * inner
        for place in np.ndindex(*sizes):
            for at in np.ndindex(*window):
                where = [
                    p * s + a * d for p, s, a, d in zip(place, stride, at, dilation, strict=True)
                ]
                for c in range(inner):
                    y[(batch, *place, o)] += x[(batch, *where, first + c)] * kernel[(*at, c, o)]
    return y


def scatter_loops(x: Any, kernel: Any, stride: Any, dilation: Any, groups: int = 1) -> Any:
    """A transposed convolution without padding: each element adds its multiple of the kernel."""
    rank = x.ndim - 2
    stride, dilation = each(stride, rank), each(dilation, rank)
    window, (inner, channels) = kernel.shape[:rank], kernel.shape[rank:]
    sizes = [
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(x.shape[1:-1], stride, window, dilation, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, inner * groups))
    for place in np.ndindex(*x.shape[:-1]):
        for c in range(channels):
            first = c // (channels // groups) * inner
            for at in np.ndindex(*window):
                where = [
                    p * s + a * d
                    for p, s, a, d in zip(place[1:], stride, at, dilation, strict=True)
                ]
                for i in range(inner):
                    y[(place[0], *where, first + i)] += x[(*place, c)] * kernel[(*at, i, c)]
    return y


CONV = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
TRANSPOSE = {1: nn.conv1d_transpose, 2: nn.conv2d_transpose, 3: nn.conv3d_transpose}

CASES: list[Any] = [
    ((2, 7, 3), (3, 3, 2), {"stride": 2}),
    ((2, 8, 4), (2, 2, 6), {"groups": 2, "dilation": 3, "padding": [(0, 2)]}),
    ((2, 5, 6, 2), (3, 2, 2, 3), {}),
    ((1, 6, 5, 6), (2, 3, 2, 3), {"groups": 3, "stride": (2, 1), "padding": 1}),
    ((1, 6, 7, 7), (2, 3, 7, 2), {"dilation": (2, 1), "padding": [(2, 0), (1, 3)]}),
    ((1, 3, 4, 3, 2), (2, 2, 1, 2, 2), {"stride": (1, 2, 1)}),
]


@pytest.mark.parametrize(("x", "kernel", "options"), CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_are_those_of_plain_loops(x: Any, kernel: Any, options: Any, dtype: str) -> None:
    rank = len(x) - 2
    x, kernel, bias = numbers(*x), numbers(*kernel), numbers(kernel[-1])
    pads = options.get("padding", 0)
    pads = [(p, p) if isinstance(p, int) else p for p in each(pads, rank)]
    rest = [options.get(k, 1) for k in ("dilation", "groups")]
    expected = loops(x, kernel, options.get("stride", 1), pads, *rest) + bias
    made = CONV[rank](x.astype(dtype), kernel.astype(dtype), bias.astype(dtype), **options)
    assert made.dtype == dtype
    assert_allclose(made, expected, rtol=0, atol=1e-12 if dtype == "float64" else 1e-4)


def test_by_hand() -> None:
    image = np.arange(9.0).reshape(1, 3, 3, 1)
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    # 0·1 + 1·2 + 3·3 + 4·4 = 27, and each place further right adds 1 + 2 + 3 + 4, further down 30.
    assert nn.conv2d(image, kernel)[0, :, :, 0].tolist() == [[27, 37], [57, 67]]
    assert nn.conv2d(image, kernel, [0.5])[0, :, :, 0].tolist() == [[27.5, 37.5], [57.5, 67.5]]
    assert nn.conv2d(image, kernel, dilation=2)[0, :, :, 0].tolist() == [[0 + 4 + 18 + 32]]
    small = np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    made = nn.conv2d_transpose(small, kernel, stride=2)
    assert made[0, :, :, 0].tolist() == [[1, 2, 2, 4], [3, 4, 6, 8]]
    made = nn.conv2d_transpose(small, kernel)
    assert made[0, :, :, 0].tolist() == [[1, 2 + 2, 4], [3, 4 + 6, 8]]


@pytest.mark.parametrize(
    ("size", "window", "stride", "dilation", "places", "before"),
    [
        # "SAME": ceil(5/1) = 5 places need 5 + 2 elements, so one before and one after.
        (5, 3, 1, 1, 5, 1),
        # 5 places need 5 + 3: one before, two after.
        (5, 4, 1, 1, 5, 1),
        # ceil(5/2) = 3 places reach 2·2 + 2 = 6: none before, one after.
        (5, 2, 2, 1, 3, 0),
        # ceil(6/2) = 3 places reach 2·2 + 5 = 9: one before, two after.
        (6, 5, 2, 1, 3, 1),
        # ceil(7/3) = 3 places reach 2·3 + 1 = 7: nothing to add.
        (7, 1, 3, 1, 3, 0),
        # The window of 2 spans 4 elements: 5 places reach 8, one before and two after.
        (5, 2, 1, 3, 5, 1),
        # Fewer are needed than there are: ceil(4/4) = 1 place reaches 2.
        (4, 2, 4, 1, 1, 0),
    ],
)
def test_same_padding_is_tensorflows(
    size: int, window: int, stride: int, dilation: int, places: int, before: int
) -> None:
    # A kernel that picks its first element shows where the windows begin.
    line = np.arange(1.0, size + 1).reshape(1, size, 1)
    kernel = np.zeros((window, 1, 1))
    kernel[0] = 1.0
    made = nn.conv1d(line, kernel, stride=stride, dilation=dilation, padding="SAME")
    begins = [i * stride - before for i in range(places)]
    assert made[0, :, 0].tolist() == [float(b + 1) if 0 <= b < size else 0.0 for b in begins]
    back = nn.conv1d_transpose(made, kernel, stride=stride, dilation=dilation, padding="SAME")
    assert back.shape == (1, places * stride, 1)


def test_valid_padding_leaves_a_remainder_out() -> None:
    line = np.arange(8.0).reshape(1, 8, 1)
    assert nn.conv1d(line, np.ones((3, 1, 1)), stride=3)[0, :, 0].tolist() == [3, 12]
    with mg.GradientTape() as tape:
        x = mg.asarray(line)
        tape.watch(x)
        y = nn.conv1d(x, np.ones((3, 1, 1)), stride=3)
    assert tape.gradient(y, x)[0, :, 0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("x", "kernel", "options"), CASES)
def test_gradients_are_those_of_plain_loops(x: Any, kernel: Any, options: Any) -> None:
    rank = len(x) - 2
    x, kernel = numbers(*x), numbers(*kernel)
    given = [(p, p) if isinstance(p, int) else p for p in each(options.get("padding", 0), rank)]
    stride, dilation = (each(options.get(k, 1), rank) for k in ("stride", "dilation"))
    groups = options.get("groups", 1)
    with mg.GradientTape() as tape:
        tensors = mg.asarray(x), mg.asarray(kernel)
        tape.watch(tensors)
        y = CONV[rank](*tensors, **options)
    g = numbers(*y.shape)
    dx, dk = tape.gradient(y, tensors, g)
    # For the input: scatter, then cut the padding off; where windows do not reach it stays 0.
    wide = np.zeros((x.shape[0], *(n + sum(p) for n, p in zip(x.shape[1:], given, strict=False)),
                     x.shape[-1]))  # fmt: skip
    made = scatter_loops(g, kernel, stride, dilation, groups)
    wide[tuple(slice(0, n) for n in made.shape)] = made
    inside = [slice(b, b + n) for n, (b, _) in zip(x.shape[1:-1], given, strict=True)]
    assert_allclose(dx, wide[(slice(None), *inside)], atol=1e-12)
    # For the kernel: the convolution is linear in it, so the slope is its value at unit kernels.
    for at in [(0,) * kernel.ndim, tuple(n - 1 for n in kernel.shape)]:
        unit = np.zeros_like(kernel)
        unit[at] = 1.0
        assert_allclose(
            dk.numpy()[at],
            (loops(x, unit, stride, given, dilation, groups) * g).sum(),
            atol=1e-11,
        )


@pytest.mark.parametrize(
    ("x", "kernel", "options"),
    [
        ((2, 3, 2), (2, 3, 2), {"stride": 3}),
        ((1, 3, 4), (3, 2, 4), {"groups": 2, "stride": 2, "dilation": 2}),
        ((1, 2, 3, 2), (3, 2, 1, 2), {"stride": (2, 1)}),
        ((1, 2, 1, 2, 1), (1, 2, 2, 2, 1), {"stride": (1, 2, 2)}),
    ],
)
@pytest.mark.parametrize("extra", ["none", "padding", "output_padding"])
def test_transposed_values_are_those_of_plain_loops(
    x: Any, kernel: Any, options: Any, extra: str
) -> None:
    rank = len(x) - 2
    x, kernel = numbers(*x), numbers(*kernel)
    full = scatter_loops(x, kernel, options["stride"], options.get("dilation", 1),
                         options.get("groups", 1))  # fmt: skip
    if extra == "padding":
        options = options | {"padding": [(0, 1)] + [0] * (rank - 1)}
        full = full[:, :-1]
    if extra == "output_padding":
        more = [s - 1 for s in each(options["stride"], rank)]
        options = options | {"output_padding": more}
        full = np.pad(full, [(0, 0), *((0, m) for m in more), (0, 0)])
    bias = numbers(full.shape[-1])
    made = TRANSPOSE[rank](x, kernel, bias, **options)
    assert made.shape == full.shape
    assert_allclose(made, full + bias, atol=1e-12)
    sizes = full.shape[1:-1]
    options.pop("output_padding", None)
    for shape in (sizes, full.shape, np.array(sizes), mg.asarray(list(sizes))):
        again = TRANSPOSE[rank](x, kernel, bias, output_shape=shape, **options)
        assert_allclose(again, made, atol=1e-14)


def test_transposed_shape_from_a_tensor_known_in_the_run() -> None:
    with mg.Graph().as_default():
        x, like = mg.placeholder("float64"), mg.placeholder("float64", (None, None, 1))
        kernel = numbers(2, 1, 3)
        y = nn.conv1d_transpose(x, kernel, stride=3, output_shape=mg.shape(like))
        assert y.shape == (None, None, 1)
        (dx,) = mg.gradients(y, [x])
        with mg.Session() as session:
            feed = {x: numbers(1, 2, 3), like: numbers(1, 7, 1)}
            made, slope = session.run([y, dx], feed)
            with pytest.raises(ShapeError, match=r"cannot have shape \(1, 9, 1\)"):
                session.run(y, {**feed, like: numbers(1, 9, 1)})
    assert made.shape == (1, 7, 1)
    assert_allclose(made[:, :5], scatter_loops(feed[x], kernel, 3, 1), atol=1e-12)
    assert made[0, 5:].tolist() == [[0.0], [0.0]]
    assert_allclose(slope, np.broadcast_to(kernel.sum((0, 1)), (1, 2, 3)), atol=1e-12)


def test_depthwise_and_separable_values_are_those_of_plain_loops() -> None:
    x, kernel, mixture = numbers(2, 5, 4, 3), numbers(2, 3, 3, 2), numbers(1, 1, 6, 4)
    expected = np.concatenate(
        [loops(x[..., c : c + 1], kernel[:, :, c : c + 1], 2, [(1, 1)] * 2, 1) for c in range(3)],
        axis=-1,
    )
    bias = numbers(6)
    made = nn.depthwise_conv2d(x, kernel, bias, stride=2, padding=1)
    assert_allclose(made, expected + bias, atol=1e-12)
    made = nn.separable_conv2d(x, kernel, mixture, stride=2, padding=1)
    assert_allclose(made, expected @ mixture[0, 0], atol=1e-12)


def first(x: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_channels_first_is_channels_last_with_axes_moved(rank: int, transposed: bool) -> None:
    x, kernel = numbers(2, *(5, 4, 3)[:rank], 4), numbers(*(2, 3, 1)[:rank], 2, 4)
    function = TRANSPOSE[rank] if transposed else CONV[rank]
    bias = numbers(4)
    made = []
    for place, own in enumerate((x, first(x))):
        with mg.GradientTape() as tape:
            tensors = mg.asarray(own), mg.asarray(kernel), mg.asarray(bias)
            tape.watch(tensors)
            y = function(*tensors, stride=2, padding=1, groups=2, data_format=FORMATS[rank][place])
            loss = mg.sum(y * y)
        made.append([np.asarray(t) for t in (y, *tape.gradient(loss, tensors))])
    for a, b, moved in zip(*made, (True, True, False, False), strict=True):
        assert_allclose(first(a) if moved else a, b, atol=1e-11)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[Any, Any, int | None, Geometry]:
    rank = draw(st.integers(1, 3))
    ints = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    window, stride, dilation = ints(1, 3), ints(1, 3), ints(1, 3)
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    padding = draw(st.sampled_from(["SAME", "VALID", pads]))
    groups = draw(st.sampled_from([1, 1, 2, 3, None]))
    inner, outer = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    sizes = tuple(
        max(1, (k - 1) * d + 1) + draw(st.integers(0, 3))
        for k, d in zip(window, dilation, strict=True)
    )
    x = (draw(st.integers(0, 2)), *sizes, inner * (groups or 1))
    kernel = (*window, inner, outer * (groups or 1))
    return x, kernel, groups, Geometry(stride, padding, dilation, FORMATS[rank][0])


@settings(max_examples=60)
@given(configurations(), st.sampled_from([1, 40, 1 << 20]), st.booleans())
def test_fast_kernels_agree_with_the_reference_ones(
    configuration: Any, block: int, turned: bool
) -> None:
    x_shape, kernel_shape, groups, geometry = configuration
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=x_shape), rng.normal(size=kernel_shape)
    if turned:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 1)), 1, -1)
    plan = reference.layout(x_shape, kernel_shape, groups, geometry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "BLOCK", block)
        y = reference.convolve(np, x, kernel, plan)
        assert_allclose(fast.convolve(x, kernel, plan), y, atol=1e-11)
        g = rng.normal(size=y.shape)
        back = reference.convolve_transposed(np, g, kernel, plan)
        assert_allclose(fast.convolve_transposed(g, kernel, plan), back, atol=1e-11)
        slope = reference.kernel_gradient(np, x, g, plan).reshape(kernel_shape)
        assert_allclose(fast.kernel_gradient(x, g, plan).reshape(kernel_shape), slope, atol=1e-11)
    # The three are adjoint to one another.
    assert_allclose((back * x).sum(), (y * g).sum(), atol=1e-9)
    assert_allclose((slope * kernel).sum(), (y * g).sum(), atol=1e-9)
    if groups is not None:
        pads = plan.windows.padding
        expected = loops(x, kernel, geometry.stride, pads, geometry.dilation, groups)
        assert_allclose(y, expected, atol=1e-11)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_transposed_convolution_adds_only_what_there_is(
    stride: int, groups: int, bad: float
) -> None:
    # Not what is not there times the kernel: 0 times Inf would be NaN.
    g, kernel = numbers(2, 3, 4, 2 * groups), numbers(3, 2, 3, 2 * groups)
    kernel[0, 1, 0, 0] = bad
    expected = scatter_loops(g, kernel, stride, 1, groups)
    geometry = Geometry((stride, stride), "VALID", (1, 1), "NHWC")
    plan = reference.layout(expected.shape, kernel.shape, groups, geometry)
    with np.errstate(invalid="ignore"):
        made = reference.convolve_transposed(np, g, kernel, plan)
        quick = fast.convolve_transposed(g, kernel, plan)
    assert_allclose(made, expected, atol=1e-12)
    assert_allclose(quick, expected, atol=1e-12)
    assert np.isfinite(expected).any()


# -- dtypes, shapes, modes --------------------------------------------------------------------


def test_float16_is_summed_in_float32_and_integers_become_float32() -> None:
    ones = np.ones((1, 4096, 1), np.float16)
    # Float16 counts no further than 2048 by ones.
    for made in (
        nn.conv1d(ones, np.ones((4096, 1, 1), np.float16)),
        nn.conv1d_transpose(np.ones((1, 1, 4096), np.float16), np.ones((1, 1, 4096), np.float16)),
    ):
        assert made.dtype == "float16"
        assert made.tolist() == [[[4096.0]]]
    assert nn.conv1d([[[1], [2]]], [[[3]]]).dtype == "float32"


def test_nothing_in_gives_nothing_out_or_zeros() -> None:
    kernel = np.ones((2, 2, 3, 4))
    assert nn.conv2d(np.ones((0, 5, 5, 3)), kernel).shape == (0, 4, 4, 4)
    assert nn.conv2d(np.ones((1, 0, 5, 3)), kernel, padding="SAME").shape == (1, 0, 5, 4)
    assert nn.conv2d_transpose(np.ones((0, 5, 5, 4)), kernel).shape == (0, 6, 6, 3)
    assert nn.conv1d(np.ones((1, 2, 0)), np.ones((2, 0, 1))).tolist() == [[[0.0]]]
    assert nn.conv1d_transpose(np.ones((1, 1, 0)), np.ones((2, 1, 0))).tolist() == [[[0.0], [0.0]]]
    assert nn.depthwise_conv2d(np.ones((1, 2, 2, 0)), np.ones((2, 2, 0, 3))).shape == (1, 1, 1, 0)
    with mg.GradientTape() as tape:
        x, weights = mg.ones((0, 5, 5, 3)), mg.ones((2, 2, 3, 4))
        tape.watch([x, weights])
        y = nn.conv2d(x, weights)
    dx, dk = tape.gradient(y, [x, weights])
    assert dx.shape == (0, 5, 5, 3)
    assert_array_equal(dk, np.zeros((2, 2, 3, 4)))


@pytest.mark.parametrize(
    ("x", "kernel", "options", "expected"),
    [
        ((None, 28, 28, 1), (5, 5, 1, 6), {}, (None, 24, 24, 6)),
        ((None, None, 28, 1), (5, 5, 1, 6), {"stride": 2}, (None, None, 12, 6)),
        ((8, 28, 28, 1), None, {}, (8, None, None, None)),
        ((8, 28, 27, 1), None, {"padding": "SAME", "stride": 2}, (8, 14, 14, None)),
        (None, (5, 5, 1, 6), {}, (None, None, None, 6)),
        (None, None, {"data_format": "NCHW"}, (None, None, None, None)),
        ((None, 1, 28, None), (5, 5, 1, 6), {"data_format": "NCHW"}, (None, 6, 24, None)),
    ],
)
def test_static_shapes_are_known_as_far_as_the_operands_are(
    x: Any, kernel: Any, options: Any, expected: Any
) -> None:
    with mg.Graph().as_default():
        y = nn.conv2d(mg.placeholder("float32", x), mg.placeholder("float32", kernel), **options)
        assert y.shape == expected


def test_a_graph_with_unknown_shapes_computes_what_eager_code_does() -> None:
    x, kernel = numbers(2, 5, 4, 3), numbers(2, 2, 3, 2)
    with mg.Graph().as_default():
        xs, ks = mg.placeholder("float64"), mg.placeholder("float64")
        y = nn.conv2d(xs, ks, stride=2, padding="SAME")
        loss = mg.sum(y * y)
        slopes = mg.gradients(loss, [xs, ks])
        curvature = mg.gradients(mg.sum(slopes[0] * slopes[0]), [ks])
        with mg.Session() as session:
            found = session.run([y, *slopes, *curvature], {xs: x, ks: kernel})
    with mg.GradientTape() as outer:
        tensors = mg.asarray(x), mg.asarray(kernel)
        outer.watch(tensors)
        with mg.GradientTape() as tape:
            tape.watch(tensors)
            y = nn.conv2d(*tensors, stride=2, padding="SAME")
            loss = mg.sum(y * y)
        slopes = tape.gradient(loss, tensors)
        norm = mg.sum(slopes[0] * slopes[0])
    expected = [y, *slopes, outer.gradient(norm, tensors[1])]
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-11)


# -- what is refused --------------------------------------------------------------------------

IMAGE = np.ones((1, 4, 4, 4))
REFUSED: list[Any] = [
    (np.ones((4, 4, 4)), (2, 2, 4, 1), {}, ShapeError, r"rank 4, got shape \(4, 4, 4\)"),
    (IMAGE, (2, 4, 1), {}, ShapeError, r"kernel must have rank 4.*got shape \(2, 4, 1\)"),
    (IMAGE, (2, 2, 3, 1), {}, ShapeError, r"\(1, 4, 4, 4\).*4 channels.*\(2, 2, 3, 1\).*takes 3"),
    (IMAGE, (2, 2, 4, 2), {"groups": 2}, ShapeError, "groups=2 takes 8"),
    (IMAGE, (2, 2, 1, 3), {"groups": 3}, ArgumentError, "groups=3 does not divide the 4 input"),
    (IMAGE, (2, 2, 1, 6), {"groups": 4}, ArgumentError, "groups=4 does not divide the 6 output"),
    (IMAGE, (5, 2, 4, 1), {}, ShapeError, "window of 5 does not fit an axis of length 4;"),
    (IMAGE, (3, 3, 4, 1), {"dilation": 3, "padding": 1}, ShapeError, "7 with dilation 3.*6 with"),
    (IMAGE, (0, 2, 4, 1), {}, ShapeError, "at least one element"),
]


@pytest.mark.parametrize(("x", "kernel", "options", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused_in_every_mode(
    x: Any, kernel: Any, options: Any, error: type[MinigradError], message: str
) -> None:
    weights = np.ones(kernel)
    with pytest.raises(error, match=message):
        nn.conv2d(x, weights, **options)
    with mg.Graph().as_default():
        with pytest.raises(error, match=message):
            nn.conv2d(mg.placeholder("float64", x.shape), weights, **options)
        unknown = mg.placeholder("float64"), mg.placeholder("float64")
        y = nn.conv2d(*unknown, **options)
        with mg.Session() as session, pytest.raises(error, match=message):
            session.run(y, dict(zip(unknown, (x, weights), strict=True)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"stride": 0}, ArgumentError, "stride must be at least 1, got 0"),
        ({"stride": (1, 2, 3)}, ArgumentError, "stride has 3 values, but there are 2"),
        ({"stride": 1.5}, ArgumentTypeError, "stride must be an integer"),
        ({"dilation": (1, 0)}, ArgumentError, "dilation must be at least 1"),
        ({"groups": 0}, ArgumentError, "groups must be at least 1"),
        ({"groups": "two"}, ArgumentTypeError, "groups must be an integer"),
        ({"padding": "FULL"}, ArgumentError, "padding must be 'SAME', 'VALID'"),
        ({"padding": -1}, ArgumentError, "at least 0, got -1"),
        ({"padding": [(1, 2)]}, ArgumentError, "padding has 1 entries"),
        ({"data_format": "NWC"}, ArgumentError, "one of 'NHWC', 'NCHW', got 'NWC'"),
        ({"bias": np.ones(2)}, ShapeError, r"shape \(3,\), got \(2,\)"),
        ({"bias": np.ones((1, 3))}, ShapeError, r"shape \(3,\), got \(1, 3\)"),
    ],
)
@pytest.mark.parametrize("function", [nn.conv2d, nn.conv2d_transpose])
def test_arguments_out_of_range_are_refused(
    function: Any, options: Any, error: type[MinigradError], message: str
) -> None:
    kernel = (2, 2, 4, 3) if function is nn.conv2d else (2, 2, 3, 4)
    with pytest.raises(error, match=message):
        function(IMAGE, np.ones(kernel), **options)


@pytest.mark.parametrize(
    ("kernel", "options", "error", "message"),
    [
        ((2, 2, 1, 3), {}, ShapeError, r"has 4 channels.*\(2, 2, 1, 3\) takes 3"),
        ((2, 2, 1), {}, ShapeError, "kernel must have rank 4"),
        ((2, 2, 1, 4), {"groups": 3}, ArgumentError, "groups=3 does not divide the 4"),
        ((2, 2, 1, 4), {"padding": 3}, ShapeError, "leaves nothing"),
        ((2, 2, 1, 4), {"output_padding": 1}, ArgumentError, "below the stride"),
        (
            (2, 2, 1, 4),
            {"output_padding": 1, "stride": 2, "output_shape": (9, 9)},
            ArgumentError,
            "not both",
        ),
        (
            (2, 2, 1, 4),
            {"output_padding": 1, "stride": 2, "padding": "SAME"},
            ArgumentError,
            "use output_shape",
        ),
        ((2, 2, 1, 4), {"output_shape": (5, 6)}, ShapeError, r"cannot have shape \(1, 5, 6, 1\)"),
        ((2, 2, 1, 4), {"output_shape": (5,)}, ShapeError, "must hold 2 spatial sizes"),
    ],
)
def test_transposed_convolutions_refuse_what_does_not_fit(
    kernel: Any, options: Any, error: type[MinigradError], message: str
) -> None:
    with pytest.raises(error, match=message):
        nn.conv2d_transpose(IMAGE, np.ones(kernel), **options)
    with mg.Graph().as_default(), pytest.raises(error, match=message):
        nn.conv2d_transpose(mg.placeholder("float64", IMAGE.shape), np.ones(kernel), **options)


def test_depthwise_kernels_must_have_the_channels_of_the_input() -> None:
    with pytest.raises(ShapeError, match=r"has 4 channels.*\(2, 2, 2, 2\) \(depthwise\) takes 2"):
        nn.depthwise_conv2d(IMAGE, np.ones((2, 2, 2, 2)))
    with pytest.raises(ShapeError, match="pointwise kernel must have shape"):
        nn.separable_conv2d(IMAGE, np.ones((2, 2, 4, 1)), np.ones((2, 2, 4, 1)))

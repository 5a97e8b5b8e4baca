"""Pooling: against plain loops, against numbers worked out by hand, ties, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, MinigradError, ShapeError
from minigrad.nn.functional.pooling import kernels as kernels
from minigrad.nn.functional.windows import FORMATS, Geometry

RNG = np.random.default_rng(0)
MAX = {1: nn.max_pool1d, 2: nn.max_pool2d, 3: nn.max_pool3d}
AVG = {1: nn.avg_pool1d, 2: nn.avg_pool2d, 3: nn.avg_pool3d}


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape)


def each(value: Any, rank: int) -> Any:
    return (value,) * rank if isinstance(value, int) else value


def members(
    sizes: Any, window: Any, stride: Any, pads: Any, dilation: Any
) -> Iterator[tuple[Any, list[Any]]]:
    """Each window's place, and the places of its elements that are not padding."""
    places = [
        (n + b + a - (k - 1) * d - 1) // s + 1
        for n, k, s, (b, a), d in zip(sizes, window, stride, pads, dilation, strict=True)
    ]
    for place in np.ndindex(*places):
        inside = []
        for at in np.ndindex(*window):
            where = tuple(
                p * s + a * d - b
                for p, s, a, d, (b, _) in zip(place, stride, at, dilation, pads, strict=True)
            )
            if all(0 <= w < n for w, n in zip(where, sizes, strict=True)):
                inside.append(where)
        yield place, inside


CASES: list[Any] = [
    ((2, 7, 3), 2, {}),
    ((1, 7, 2), 3, {"stride": 2, "padding": [(0, 1)]}),
    ((2, 5, 6, 2), (2, 3), {}),
    ((1, 5, 6, 3), 3, {"stride": 1, "padding": 1}),
    ((1, 4, 3, 5, 2), 2, {"stride": (1, 2, 3)}),
]


@pytest.mark.parametrize(("shape", "window", "options"), CASES)
@pytest.mark.parametrize("kind", ["max", "dilated max", "mean", "mean with padding"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_are_those_of_plain_loops(
    shape: Any, window: Any, options: Any, kind: str, dtype: str
) -> None:
    rank, x = len(shape) - 2, numbers(*shape)
    sizes, window = shape[1:-1], each(window, rank)
    stride = each(options.get("stride", window), rank)
    pads = [(p, p) if isinstance(p, int) else p for p in each(options.get("padding", 0), rank)]
    dilation = (2,) * rank if kind == "dilated max" else (1,) * rank
    if kind == "dilated max":
        x, options = numbers(2, *(n + 2 for n in sizes), 2), options | {"dilation": 2}
        sizes = x.shape[1:-1]
    windows = list(members(sizes, window, stride, pads, dilation))
    y = np.zeros((x.shape[0], *(n + 1 for n in windows[-1][0]), x.shape[-1]))
    g = numbers(*y.shape)
    slope = np.zeros_like(x)
    for place, inside in windows:
        for batch in range(x.shape[0]):
            for c in range(x.shape[-1]):
                found = [x[(batch, *where, c)] for where in inside]
                at = (batch, *place, c)
                if "max" in kind:
                    y[at] = max(found)
                    slope[(batch, *inside[int(np.argmax(found))], c)] += g[at]
                else:
                    count = np.prod(window) if kind == "mean with padding" else len(found)
                    y[at] = sum(found) / count
                    for where in inside:
                        slope[(batch, *where, c)] += g[at] / count
    if kind == "mean with padding":
        options = options | {"count_include_pad": True}
    with mg.GradientTape() as tape:
        tensor = mg.asarray(x.astype(dtype))
        tape.watch(tensor)
        made = (MAX if "max" in kind else AVG)[rank](tensor, window, **options)
    close = 1e-13 if dtype == "float64" else 1e-5
    assert made.dtype == dtype
    assert_allclose(made, y, atol=close)
    assert_allclose(tape.gradient(made, tensor, g.astype(dtype)), slope, atol=close)


def test_by_hand() -> None:
    image = np.array([[1.0, 2.0, 5.0], [4.0, 3.0, 0.0], [7.0, 8.0, 9.0]]).reshape(1, 3, 3, 1)
    # The remainder at the end is left out, unless padding takes it in.
    assert nn.max_pool2d(image, 2)[0, :, :, 0].tolist() == [[4]]
    assert nn.max_pool2d(image, 2, padding="SAME")[0, :, :, 0].tolist() == [[4, 5], [8, 9]]
    assert nn.max_pool2d(image, 2, stride=1)[0, :, :, 0].tolist() == [[4, 5], [8, 9]]
    assert nn.max_pool2d(image, 2, dilation=2, stride=1)[0, :, :, 0].tolist() == [[9]]
    # Padding is not counted: (5 + 0) / 2 at the right, 9 / 1 in the corner.
    made = nn.avg_pool2d(image, 2, padding="SAME")
    assert made[0, :, :, 0].tolist() == [[2.5, 2.5], [7.5, 9]]
    made = nn.avg_pool2d(image, 2, padding="SAME", count_include_pad=True)
    assert made[0, :, :, 0].tolist() == [[2.5, 1.25], [3.75, 2.25]]
    assert nn.global_max_pool(image).tolist() == [[9]]
    assert nn.global_avg_pool(image, keepdims=True).tolist() == [[[[39 / 9]]]]


def slope(function: Any, x: Any) -> Any:
    return mg.grad(lambda t: mg.sum(function(t)))(mg.asarray(x))


def test_ties_share_the_gradient_equally() -> None:
    line = np.array([2.0, 2.0, 1.0, 2.0]).reshape(1, 4, 1)
    found = slope(lambda t: nn.max_pool1d(t, 2), line)
    assert found[0, :, 0].tolist() == [0.5, 0.5, 0, 1]
    # Windows (2, 2), (2, 1) and (1, 2): the second element has half of the first, all of the next.
    found = slope(lambda t: nn.max_pool1d(t, 2, stride=1), line)
    assert found[0, :, 0].tolist() == [0.5, 1.5, 0, 1]
    found = slope(lambda t: nn.global_max_pool(t, data_format="NWC"), line)
    assert_allclose(found[0, :, 0], [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-15)


def test_padding_is_never_the_largest_nor_ties_with_it() -> None:
    line = np.array([-5.0, -np.inf, -np.inf]).reshape(1, 3, 1)
    assert nn.max_pool1d(line, 3, stride=2, padding=1)[0, :, 0].tolist() == [-5, -np.inf]
    found = slope(lambda t: nn.max_pool1d(t, 3, stride=2, padding=1), line)
    assert found[0, :, 0].tolist() == [1, 0.5, 0.5]
    low = np.full((1, 1, 1), np.iinfo(np.int8).min, np.int8)
    assert nn.max_pool1d(low, 2, padding="SAME").tolist() == [[[-128]]]
    assert nn.max_pool1d(low, 2, padding="SAME").dtype == "int8"


def test_a_nan_is_the_largest_of_its_windows() -> None:
    line = np.array([1.0, np.nan, 2.0, 3.0]).reshape(1, 4, 1)
    assert_array_equal(nn.max_pool1d(line, 2)[0, :, 0], [np.nan, 3.0])
    assert_array_equal(nn.avg_pool1d(line, 2)[0, :, 0], [np.nan, 2.5])


def test_float16_is_summed_in_float32_and_means_of_integers_are_float32() -> None:
    tall = np.full((1, 4, 1), 60000.0, np.float16)
    assert nn.avg_pool1d(tall, 4).tolist() == [[[60000.0]]]
    assert nn.avg_pool1d(tall, 4).dtype == "float16"
    made = nn.avg_pool1d(np.array([[[1], [2]]]), 2)
    assert (made.dtype, made.tolist()) == ("float32", [[[1.5]]])


def first(x: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("functions", [MAX, AVG])
def test_channels_first_is_channels_last_with_axes_moved(rank: int, functions: Any) -> None:
    x = numbers(2, *(5, 4, 3)[:rank], 3)
    made = []
    for place, own in enumerate((x, first(x))):
        with mg.GradientTape() as tape:
            tensor = mg.asarray(own)
            tape.watch(tensor)
            y = functions[rank](tensor, 2, padding="SAME", data_format=FORMATS[rank][place])
            loss = mg.sum(y * y)
        made.append((y, tape.gradient(loss, tensor)))
    for a, b in zip(*made, strict=True):
        assert_allclose(first(a), b, atol=1e-14)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_is_over_all_places(rank: int, keepdims: bool) -> None:
    x, axes = numbers(2, *(3, 2, 4)[:rank], 3), tuple(range(1, rank + 1))
    for function, expected in (
        (nn.global_max_pool, x.max(axis=axes, keepdims=keepdims)),
        (nn.global_avg_pool, x.mean(axis=axes, keepdims=keepdims)),
    ):
        last, leading = FORMATS[rank]
        assert_allclose(function(x, data_format=last, keepdims=keepdims), expected, rtol=1e-13)
        moved = function(first(x), data_format=leading, keepdims=keepdims)
        assert_allclose(moved, first(expected) if keepdims else expected, rtol=1e-13)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[Any, Any, Geometry]:
    rank = draw(st.integers(1, 3))
    ints = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))  # noqa: E731
    window, stride, dilation = ints(1, 3), ints(1, 3), ints(1, 2)
    pads = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in window)
    sizes = tuple(
        (k - 1) * d + 1 + draw(st.integers(0, 3)) for k, d in zip(window, dilation, strict=True)
    )
    padding = draw(st.sampled_from(["SAME", "VALID", pads]))
    shape = (draw(st.integers(0, 2)), *sizes, draw(st.integers(1, 3)))
    return shape, window, Geometry(stride, padding, dilation, FORMATS[rank][0])


@settings(max_examples=60)
@given(configurations(), st.booleans(), st.booleans())
def test_fast_kernels_agree_with_the_reference_ones(
    configuration: Any, ties: bool, include: bool
) -> None:
    shape, window, geometry = configuration
    try:
        w = kernels.pool_windows(shape[1:-1], window, geometry)
    except ShapeError:
        assume(False)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 3, size=shape).astype(float) if ties else rng.normal(size=shape)
    y = kernels.largest(np, x, w)
    g, v = rng.normal(size=y.shape), rng.normal(size=shape)
    slope = kernels.largest_gradient(np, g, x, y, w)
    assert_allclose(kernels.largest_gradient_numpy(g, x, y, w), slope, atol=1e-13)
    assert_allclose((slope * v).sum(), (kernels.at_largest(np, v, x, y, w) * g).sum(), atol=1e-11)
    assert_allclose(slope.sum(), g.sum(), atol=1e-11)
    slope = kernels.mean_gradient(np, g, w, include)
    assert_allclose(kernels.mean_gradient_numpy(g, w, include), slope, atol=1e-13)
    assert_allclose((slope * v).sum(), (kernels.mean(np, v, w, include) * g).sum(), atol=1e-11)


# -- shapes and modes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((None, 24, 24, 6), {}, (None, 12, 12, 6)),
        ((None, None, 5, 6), {"padding": "SAME"}, (None, None, 3, 6)),
        (None, {}, (None, None, None, None)),
        ((2, 3, None, 5), {"data_format": "NCHW"}, (2, 3, None, 2)),
    ],
)
def test_static_shapes_are_known_as_far_as_the_operand_is(
    shape: Any, options: Any, expected: Any
) -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", shape)
        assert nn.max_pool2d(x, 2, **options).shape == expected
        assert nn.avg_pool2d(x, 2, **options).shape == expected


@pytest.mark.parametrize("function", [nn.max_pool2d, nn.avg_pool2d])
def test_a_graph_with_unknown_shapes_computes_what_eager_code_does(function: Any) -> None:
    value = numbers(2, 5, 4, 3)
    with mg.Graph().as_default():
        x = mg.placeholder("float64")
        y = mg.sum(function(x * x, 3, stride=2, padding="SAME") ** 2)
        (dx,) = mg.gradients(y, [x])
        (second,) = mg.gradients(mg.sum(dx * dx), [x])
        with mg.Session() as session:
            found = session.run([y, dx, second], {x: value})

    def loss(t: Any) -> Any:
        return mg.sum(function(t * t, 3, stride=2, padding="SAME") ** 2)

    tensor = mg.asarray(value)
    norm = mg.grad(lambda t: mg.sum(mg.grad(loss)(t) ** 2))
    expected = [loss(tensor), mg.grad(loss)(tensor), norm(tensor)]
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# -- what is refused --------------------------------------------------------------------------

IMAGE = np.ones((1, 3, 4, 1))


@pytest.mark.parametrize("function", [nn.max_pool2d, nn.avg_pool2d])
@pytest.mark.parametrize(
    ("x", "window", "options", "error", "message"),
    [
        (np.ones((3, 4, 1)), 2, {}, ShapeError, r"rank 4, got shape \(3, 4, 1\)"),
        (IMAGE, 4, {}, ShapeError, "window of 4 does not fit an axis of length 3; use"),
        (IMAGE, (2, 6), {"padding": [0, (0, 1)]}, ShapeError, "window of 6.*4, 5 with padding"),
        (IMAGE, 2, {"padding": 2}, ShapeError, "spatial axis 0 of length 3 sees nothing but"),
    ],
)
def test_what_does_not_fit_is_refused_in_every_mode(
    function: Any, x: Any, window: Any, options: Any, error: type[MinigradError], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(x, window, **options)
    with mg.Graph().as_default():
        with pytest.raises(error, match=message):
            function(mg.placeholder("float64", x.shape), window, **options)
        unknown = mg.placeholder("float64")
        y = function(unknown, window, **options)
        with mg.Session() as session, pytest.raises(error, match=message):
            session.run(y, {unknown: x})


@pytest.mark.parametrize("function", [nn.max_pool2d, nn.avg_pool2d])
@pytest.mark.parametrize(
    ("window", "options", "message"),
    [
        (0, {}, "window must be at least 1, got 0"),
        ((1, 2, 3), {}, "window has 3 values, but there are 2"),
        (2, {"stride": 0}, "stride must be at least 1"),
        (2, {"padding": "REFLECT"}, "padding must be 'SAME', 'VALID'"),
        (2, {"data_format": "NHCW"}, "one of 'NHWC', 'NCHW', got 'NHCW'"),
    ],
)
def test_arguments_out_of_range_are_refused(
    function: Any, window: Any, options: Any, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        function(IMAGE, window, **options)
    with pytest.raises(ArgumentError, match="dilation must be at least 1"):
        nn.max_pool2d(IMAGE, 2, dilation=0)


@pytest.mark.parametrize("function", [nn.global_max_pool, nn.global_avg_pool])
def test_global_pooling_refuses_another_rank_also_in_a_run(function: Any) -> None:
    with pytest.raises(ShapeError, match=r"NHWC must have rank 4, got shape \(1, 3, 4\)"):
        function(IMAGE[..., 0])
    with mg.Graph().as_default():
        x = mg.placeholder("float64")
        y = function(x)
        with mg.Session() as session:
            assert session.run(y, {x: IMAGE}).tolist() == [[1.0]]
            with pytest.raises(ShapeError, match=r"got \(1, 3, 4\)"):
                session.run(y, {x: IMAGE[..., 0]})
    with pytest.raises(ArgumentError, match="data_format must be one of 'NWC'"):
        function(IMAGE, data_format="channels_last")

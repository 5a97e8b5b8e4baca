"""Native convolutions and their gradients, beside the NumPy kernels in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runs import compiled

from minigrad.compile.native.convolution import (
    ConvolutionSpec,
    emit_convolution,
    emit_convolution_input_gradient,
    emit_convolution_kernel_gradient,
)
from minigrad.compile.native.kernel import operand
from minigrad.compile.native.types import F32, F64
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.nn.functional.convolution import numpy_kernels
from minigrad.nn.functional.convolution.kernels import Layout, layout
from minigrad.nn.functional.convolution.primitives import convolution_transpose
from minigrad.nn.functional.convolution.samples import kernel_samples, samples, transposed_samples
from minigrad.nn.functional.windows import Geometry, Windows, convolution_attributes

WIDTHS = (64, 32, 16)
TYPES = {np.float32: F32, np.float64: F64}
#: What is computed, by its native form: the NumPy kernel, and which of x, kernel, g it takes.
FORMS = {
    emit_convolution: (numpy_kernels.convolve, "xk"),
    emit_convolution_input_gradient: (numpy_kernels.convolve_transposed, "gk"),
    emit_convolution_kernel_gradient: (numpy_kernels.kernel_gradient, "xg"),
}


def spec_of(plan: Layout, batch: int, dtype: Any) -> ConvolutionSpec:
    w, groups = plan.windows, plan.groups
    return ConvolutionSpec(
        TYPES[np.dtype(dtype).type],
        batch,
        w.sizes,
        groups * plan.inner,
        w.window,
        groups * plan.outer,
        w.stride,
        w.padding,
        w.dilation,
        groups,
    )


def plan_of(s: ConvolutionSpec) -> Layout:
    windows = Windows(s.sizes, s.window, s.stride, s.dilation, s.padding, s.places)
    return Layout(windows, s.groups, s.inner, s.outer)


def arrays_of(s: ConvolutionSpec, rng: np.random.Generator) -> dict[str, Any]:
    dtype = np.float32 if s.type == F32 else np.float64
    shapes = {
        "x": (s.batch, *s.sizes, s.channels),
        "k": (*s.window, s.inner, s.outputs),
        "g": (s.batch, *s.places, s.outputs),
    }
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def expected(emit: Any, s: ConvolutionSpec, arrays: dict[str, Any]) -> tuple[Any, Any]:
    """The result in float64, and the same of absolute values: that bounds what rounding does."""
    reference, names = FORMS[emit]
    (missing,) = set("xkg") - set(names)
    wide = [arrays[name].astype(np.float64) for name in names]
    shape = arrays[missing].shape
    with np.errstate(invalid="ignore", over="ignore"):
        value, bound = (reference(*given, plan_of(s)) for given in (wide, map(np.abs, wide)))
    return value.reshape(shape), bound.reshape(shape)


def check(emit: Any, s: ConvolutionSpec, arrays: dict[str, Any], width: int, seed: int = 0) -> None:
    run = compiled(emit, width, s)
    names = FORMS[emit][1]
    want, bound = expected(emit, s, arrays)
    dtype = arrays["x"].dtype
    made = np.full(want.shape, 77, dtype)
    run(*[arrays[name] for name in names], made)
    terms = max(s.taps * s.channels, s.taps * s.outputs, s.batch * int(np.prod(s.places)), 1)
    room = (terms**0.5 + 4) * np.finfo(dtype).eps * bound
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(want))
    assert (made[~finite & ~np.isnan(want)] == want[~finite & ~np.isnan(want)]).all()
    assert (np.abs(made[finite] - want[finite]) <= room[finite]).all()
    again = np.full(want.shape, 55, dtype)
    run(*[arrays[name] for name in names], again, cuts=np.random.default_rng(seed))
    assert made.tobytes() == again.tobytes()


@st.composite
def specs(draw: st.DrawFn) -> ConvolutionSpec:
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    each = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    window, stride, dilation = draw(each), draw(each), draw(each)
    pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.lists(pairs, min_size=rank, max_size=rank).map(tuple))
    sizes = []
    for k, d, (before, after) in zip(window, dilation, padding, strict=True):
        least = max((k - 1) * d + 1 - before - after, 0)
        sizes.append(draw(st.integers(least, least + (9 if rank < 3 else 4))))
    channels = st.sampled_from([0, 1, 2, 3, 5, 8, 17, 33] if rank < 3 else [1, 2, 5])
    inner, outer = draw(channels), draw(channels)
    if draw(st.integers(0, 3)) == 0:
        groups, inner, outer = draw(st.sampled_from([2, 5, 17, 33])), 1, 1
    return ConvolutionSpec(
        draw(st.sampled_from([F32, F64])),
        draw(st.integers(0, 3)),
        tuple(sizes),
        groups * inner,
        window,
        groups * outer,
        stride,
        padding,
        dilation,
        groups,
    )


@pytest.mark.parametrize("emit", FORMS)
@settings(max_examples=40)
@given(s=specs(), width=st.sampled_from(WIDTHS), seed=st.integers(0, 99))
def test_any_convolution(emit: Any, s: ConvolutionSpec, width: int, seed: int) -> None:
    check(emit, s, arrays_of(s, np.random.default_rng(seed)), width, seed)


@pytest.mark.parametrize("emit", FORMS)
@pytest.mark.parametrize(("t", "width"), [(F32, 64), (F32, 32), (F32, 16), (F64, 64)])
@pytest.mark.parametrize(
    "layer",
    [
        ((28, 28), 1, (5, 5), 32, (1, 1), ((2, 2), (2, 2)), (1, 1)),
        ((14, 14), 32, (5, 5), 64, (1, 1), ((2, 2), (2, 2)), (1, 1)),
        ((7, 7), 160, (3, 3), 96, (1, 1), ((1, 1), (1, 1)), (1, 1)),
        ((33, 40), 3, (7, 7), 24, (2, 2), ((3, 3), (2, 3)), (1, 1)),
        ((30, 9), 40, (1, 1), 70, (1, 1), ((0, 0), (0, 0)), (1, 1)),
        ((600,), 4, (9,), 20, (1,), ((4, 4),), (1,)),
        ((30, 21), 40, (5, 3), 40, (1, 2), ((2, 2), (1, 1)), (1, 1), 40),
    ],
)
def test_layers_of_networks(emit: Any, width: int, t: Any, layer: Any) -> None:
    s = ConvolutionSpec(t, 3, *layer)
    check(emit, s, arrays_of(s, np.random.default_rng(0)), width)


@pytest.mark.parametrize("emit", FORMS)
@settings(max_examples=25)
@given(
    s=specs(),
    seed=st.integers(0, 99),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    where=st.sampled_from("xkg"),
)
def test_nan_and_infinity_go_where_they_go_in_numpy(
    emit: Any, s: ConvolutionSpec, seed: int, bad: float, where: str
) -> None:
    rng = np.random.default_rng(seed)
    arrays = arrays_of(s, rng)
    if arrays[where].size:
        arrays[where].flat[rng.integers(arrays[where].size)] = bad
    check(emit, s, arrays, 64)


@pytest.mark.parametrize(("groups", "outputs"), [(1, 6), (2, 6), (4, 4)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("emit", FORMS)
def test_zeros_around_times_infinity(emit: Any, stride: int, groups: int, outputs: int) -> None:
    pads = ((2, 1), (1, 2))
    s = ConvolutionSpec(
        *(F64, 2, (9, 8), 4, (3, 3), outputs, (stride, stride), pads, (1, 1), groups)
    )
    for name in FORMS[emit][1]:
        for at in (0, -1):
            arrays = arrays_of(s, np.random.default_rng(1))
            arrays[name].flat[at] = np.inf
            check(emit, s, arrays, 64)


def sample_specs() -> list[Any]:
    """The shapes and attributes of all samples of the primitives, channels last."""
    made = []
    for emit, kind in zip(FORMS, (samples, transposed_samples, kernel_samples), strict=True):
        for i, sample in enumerate(kind(np.random.default_rng(0))):
            given = {"groups": 1, "data_format": "NHWC", **sample.kwargs}
            chosen = [given.get("stride", 1), given.get("padding", "VALID")]
            attrs = convolution_attributes(
                *chosen, given.get("dilation", 1), given["groups"], given["data_format"]
            )
            groups = attrs.pop("groups")
            geometry = Geometry(**attrs)
            shapes = [np.shape(a) for a in sample.args]
            x, kernel = (shapes[0], shapes[2]) if kind is kernel_samples else shapes[:2]
            if kind is transposed_samples:
                x = np.shape(convolution_transpose(*sample.args, **sample.kwargs))
            s = spec_of(layout(x, kernel, groups, geometry), x[0], np.float64)
            made.append(pytest.param(emit, s, id=f"{kind.__name__}-{i}"))
    return made


@pytest.mark.parametrize("t", [F32, F64])
@pytest.mark.parametrize(("emit", "s"), sample_specs())
def test_samples_of_the_primitives(emit: Any, s: ConvolutionSpec, t: Any) -> None:
    check(emit, s._replace(type=t), arrays_of(s._replace(type=t), np.random.default_rng(0)), 64)


def bias_and_rectifier(w: Writer, value: Value, row: Value, column: Value, mask: Any) -> Value:
    t = value.type
    address = w.at(operand(w, 4), column, t.scalar)
    bias = w.load(address, t) if mask is None else w.load_masked(address, t, mask)
    return w.maximum(w.add(value, bias), w.const(0, t))


def add_array(w: Writer, value: Value, row: Value, column: Value, mask: Any) -> Value:
    """Adds an array of the result's shape; the number of channels stands in the one after it."""
    t = value.type
    width = w.load(operand(w, 5), column.type)
    address = w.at(operand(w, 4), w.add(w.mul(row, width), column), t.scalar)
    other = w.load(address, t) if mask is None else w.load_masked(address, t, mask)
    return w.add(value, other)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("outputs", "groups"), [(64, 1), (40, 1), (3, 1), (21, 21)])
@pytest.mark.parametrize("emit", [emit_convolution, emit_convolution_input_gradient])
@pytest.mark.parametrize("stride", [1, 2])
def test_epilogues(emit: Any, outputs: int, groups: int, width: int, stride: int) -> None:
    inputs = outputs if groups > 1 else 5
    shape = (outputs, inputs) if emit is emit_convolution_input_gradient else (inputs, outputs)
    pads = ((1, 2), (0, 1))
    s = ConvolutionSpec(
        F32, 2, (9, 7), shape[0], (3, 2), shape[1], (stride, stride), pads, (1, 1), groups
    )
    rng = np.random.default_rng(0)
    arrays = arrays_of(s, rng)
    names = FORMS[emit][1]
    given_arrays = [arrays[name] for name in names]
    out = arrays["g" if emit is emit_convolution else "x"]
    plain, made = np.empty_like(out), np.empty_like(out)
    compiled(emit, width, s)(*given_arrays, plain)
    bias = rng.normal(size=outputs).astype(np.float32)
    compiled(emit, width, s, epilogue=bias_and_rectifier)(*given_arrays, made, extra=[bias])
    np.testing.assert_array_equal(made, np.maximum(plain + bias, np.float32(0)))
    other = rng.normal(size=out.shape).astype(np.float32)
    extra = [other, np.array([outputs])]
    compiled(emit, width, s, epilogue=add_array)(*given_arrays, made, extra=extra)
    np.testing.assert_array_equal(made, plain + other)


def test_very_large_strides_of_an_input_gradient_are_declined() -> None:
    s = ConvolutionSpec(F32, 1, (20, 20), 1, (2, 2), 1, (9, 9), ((0, 0), (0, 0)), (1, 1))
    assert emit_convolution_input_gradient(Module(64), s) is None

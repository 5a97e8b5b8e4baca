"""Native pooling and its gradients, beside the NumPy kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_runs import compiled

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.kernel import operand
from minigrad.compile.native.pooling import (
    PoolingSpec,
    emit_avg_pool,
    emit_avg_pool_gradient,
    emit_max_pool,
    emit_max_pool_gradient,
)
from minigrad.compile.native.types import BOOL, F32, F64, type_of
from minigrad.compile.native.writer import Module, Value, Writer
from minigrad.nn.functional.pooling import kernels
from minigrad.nn.functional.windows import Windows, seen

WIDTHS = (64, 32, 16)


def test_what_lies_inside_an_axis() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        low, high = [0, 1, 1, 1, -9, 0], [10, 6, 5, 5, 6, 13]
        a = Axis(*rng.integers(low, high).tolist(), unit=1, rows=1)
        places, taps = range(a.places), range(a.taps)
        inside = np.array([[a.sees(p, j) for j in taps] for p in places], bool)
        inside = inside.reshape(a.places, a.taps)
        assert [list(a.taps_inside(p)) for p in places] == [
            np.flatnonzero(row).tolist() for row in inside
        ]
        assert [list(a.places_inside(j)) for j in taps] == [
            np.flatnonzero(column).tolist() for column in inside.T
        ]
        assert list(a.whole) == np.flatnonzero(inside.all(axis=1)).tolist()
        assert 0 <= a.whole.start <= a.whole.stop <= a.places
        assert a.seen == (inside.mean() if a.places else 0)


def windows_of(s: PoolingSpec) -> Windows:
    return Windows(s.sizes, s.window, s.stride, s.dilation, s.padding, s.places)


def sees_enough(s: PoolingSpec) -> bool:
    """Whether every window sees more than padding, as pooling requires."""
    return all(seen(windows_of(s), axis).all() for axis in range(len(s.sizes)))


@st.composite
def specs(draw: st.DrawFn, dilated: bool = True) -> PoolingSpec:
    rank = draw(st.integers(1, 3))
    each = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    window = draw(each)
    stride = draw(st.one_of(each, st.just(window)))
    dilation = draw(each) if dilated and draw(st.booleans()) else (1,) * rank
    pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))
    if draw(st.booleans()):
        pairs = st.just((0, 0))
    padding = draw(st.lists(pairs, min_size=rank, max_size=rank).map(tuple))
    sizes = []
    for k, d, (before, after) in zip(window, dilation, padding, strict=True):
        least = max((k - 1) * d + 1 - before - after, 0)
        sizes.append(draw(st.integers(least, least + (9 if rank < 3 else 4))))
    s = PoolingSpec(
        draw(st.sampled_from([F32, F64])),
        draw(st.integers(0, 3)),
        tuple(sizes),
        draw(st.sampled_from([0, 1, 2, 3, 5, 8, 17, 70, 150] if rank < 3 else [1, 2, 5])),
        window,
        stride,
        padding,
        dilation,
    )
    assume(sees_enough(s))
    return s


def numbers(
    s: PoolingSpec, shape: Any, rng: np.random.Generator, ties: bool, bad: float | None
) -> Any:
    dtype = np.float32 if s.type == F32 else np.float64
    made = rng.integers(-2, 3, size=shape) if ties else rng.normal(size=shape)
    made = np.asarray(made, dtype)
    if bad is not None and made.size:
        made.flat[rng.integers(made.size, size=1 + made.size // 9)] = bad
    return made


def run_twice(run: Any, inputs: list[Any], shape: Any, dtype: Any, seed: int) -> Any:
    made, again = np.full(shape, 77, dtype), np.full(shape, 55, dtype)
    run(*inputs, made)
    run(*inputs, again, cuts=np.random.default_rng(seed))
    assert made.tobytes() == again.tobytes()
    return made


KINDS = {"ties": (True, None), "plain": (False, None), "nan": (True, np.nan)}
KINDS |= {"inf": (True, np.inf), "-inf": (True, -np.inf)}


@settings(max_examples=60)
@given(
    s=specs(),
    width=st.sampled_from(WIDTHS),
    seed=st.integers(0, 99),
    kind=st.sampled_from([*KINDS]),
)
def test_the_largest_and_its_gradient(s: PoolingSpec, width: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x = numbers(s, (s.batch, *s.sizes, s.channels), rng, *KINDS[kind])
    w = windows_of(s)
    y = np.ascontiguousarray(kernels.largest(np, x, w))
    made = run_twice(compiled(emit_max_pool, width, s), [x], y.shape, x.dtype, seed)
    np.testing.assert_array_equal(made, y)
    g = numbers(s, y.shape, rng, False, KINDS[kind][1] if seed % 2 else None)
    with np.errstate(divide="ignore", invalid="ignore"):
        want = kernels.largest_gradient_numpy(g, x, y, w)
    run = compiled(emit_max_pool_gradient, width, s)
    np.testing.assert_array_equal(run_twice(run, [g, x, y], x.shape, x.dtype, seed), want)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("padding", [0, 1])
def test_the_largest_integers(dtype: str, padding: int) -> None:
    t = type_of(np.dtype(dtype))
    pads = ((padding, padding),) * 2
    s = PoolingSpec(t, 2, (6, 7), 70, (2, 3), (2, 2), pads, (1, 1))
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    x = rng.integers(info.min, info.max, size=(2, 6, 7, 70), dtype=dtype, endpoint=True)
    x[:, :3] = info.min
    want = kernels.largest(np, x, windows_of(s))
    made = run_twice(compiled(emit_max_pool, 64, s), [x], want.shape, dtype, 0)
    np.testing.assert_array_equal(made, want)


@settings(max_examples=60)
@given(
    s=specs(dilated=False),
    width=st.sampled_from(WIDTHS),
    seed=st.integers(0, 99),
    include=st.booleans(),
    kind=st.sampled_from([*KINDS]),
)
def test_the_mean_and_its_gradient(
    s: PoolingSpec, width: int, seed: int, include: bool, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    x = numbers(s, (s.batch, *s.sizes, s.channels), rng, *KINDS[kind])
    w = windows_of(s)
    y = kernels.mean(np, x, w, include)
    run = compiled(emit_avg_pool, width, s, include)
    np.testing.assert_array_equal(run_twice(run, [x], y.shape, x.dtype, seed), y)
    g = numbers(s, y.shape, rng, *KINDS[kind])
    want = kernels.mean_gradient_numpy(g, w, include)
    run = compiled(emit_avg_pool_gradient, width, s, include)
    np.testing.assert_array_equal(run_twice(run, [g], x.shape, x.dtype, seed), want)


@pytest.mark.parametrize("window", [7, 3])
def test_many_channels_and_large_windows(window: int) -> None:
    s = PoolingSpec(F32, 2, (14, 15), 100, (window,) * 2, (window,) * 2, ((0, 0),) * 2, (1, 1))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 14, 15, 100)).astype(np.float32)
    w = windows_of(s)
    y = np.ascontiguousarray(kernels.largest(np, x, w))
    np.testing.assert_array_equal(
        run_twice(compiled(emit_max_pool, 64, s), [x], y.shape, x.dtype, 0), y
    )
    g = rng.normal(size=y.shape).astype(np.float32)
    want = kernels.largest_gradient_numpy(g, x, y, w)
    run = compiled(emit_max_pool_gradient, 64, s)
    np.testing.assert_array_equal(run_twice(run, [g, x, y], x.shape, x.dtype, 0), want)


def where_positive(w: Writer, value: Value, row: Value, column: Value, mask: Any) -> Value:
    """The value where an array of the result's shape is above 0; channels stand after it."""
    t, (array, width) = value.type, where_positive.at  # type: ignore[attr-defined]
    count = w.load(operand(w, width), column.type)
    address = w.at(operand(w, array), w.add(w.mul(row, count), column), t.scalar)
    other = w.load(address, t) if mask is None else w.load_masked(address, t, mask)
    return w.select(w.compare(">", other, w.like(0, other)), value, w.like(0, value))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("channels", [40, 3])
@pytest.mark.parametrize(("stride", "pad"), [(2, 0), (3, 0), (1, 0), (2, 1)])
@pytest.mark.parametrize(
    ("emit", "inputs", "extra"),
    [
        (emit_max_pool, "x", 2),
        (emit_max_pool_gradient, "gxy", 5),
        (emit_avg_pool, "x", 2),
        (emit_avg_pool_gradient, "g", 2),
    ],
)
def test_epilogues(
    emit: Any, inputs: str, extra: int, stride: int, pad: int, channels: int, width: int
) -> None:
    s = PoolingSpec(F32, 2, (8, 9), channels, (2, 2), (stride,) * 2, ((pad, pad),) * 2, (1, 1))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 9, channels)).astype(np.float32)
    y = np.ascontiguousarray(kernels.largest(np, x, windows_of(s)))
    arrays = {"x": x, "y": y, "g": rng.normal(size=y.shape).astype(np.float32)}
    shape = y.shape if inputs == "x" else x.shape
    plain, made = np.empty(shape, np.float32), np.empty(shape, np.float32)
    given_arrays = [arrays[name] for name in inputs]
    compiled(emit, width, s)(*given_arrays, plain)
    other = rng.normal(size=shape).astype(np.float32)
    where_positive.at = (extra, extra + 1)  # type: ignore[attr-defined]
    run = compiled(emit, width, s, epilogue=where_positive)
    run(*given_arrays, made, extra=[other, np.array([channels])])
    np.testing.assert_array_equal(made, np.where(other > 0, plain, np.float32(0)))


def test_what_has_no_native_form() -> None:
    s = PoolingSpec(BOOL, 1, (4,), 1, (2,), (2,), ((0, 0),), (1,))
    assert emit_max_pool(Module(64), s) is None
    integers = s._replace(type=type_of(np.dtype("i4")))
    for emit in (emit_max_pool_gradient, emit_avg_pool, emit_avg_pool_gradient):
        assert emit(Module(64), integers) is None
    assert math.prod(integers.places) == 2

"""Native functions of numbers against mpmath, and against NumPy where it is the rule."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_loops import element_loop

from minigrad.compile.native.math import division, rounding, sigmoids
from minigrad.compile.native.scalars import Scalars
from minigrad.compile.native.types import F32, type_of
from minigrad.compile.native.writer import Module

FLOATS = [np.dtype(np.float32), np.dtype(np.float64)]
INTEGERS = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]

#: Function, its reference, and where it is sampled most densely.
ONE: dict[str, tuple[Callable[..., Any], float, float]] = {
    "exp": (mp.exp, -110, 92),
    "exp2": (lambda x: mp.power(2, x), -152, 130),
    "expm1": (mp.expm1, -30, 92),
    "log": (mp.log, 0, 4),
    "log1p": (mp.log1p, -1, 4),
    "log2": (lambda x: mp.log(x) / mp.log(2), 0, 4),
    "log10": (mp.log10, 0, 4),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), -110, 50),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), -110, 50),
    "log_sigmoid": (lambda x: -mp.log1p(mp.exp(-x)), -50, 110),
    "sin": (mp.sin, -30, 30),
    "cos": (mp.cos, -30, 30),
    "tan": (mp.tan, -30, 30),
    "asin": (mp.asin, -1, 1),
    "acos": (mp.acos, -1, 1),
    "atan": (mp.atan, -5, 5),
    "sinh": (mp.sinh, -90, 90),
    "cosh": (mp.cosh, -90, 90),
    "tanh": (mp.tanh, -20, 20),
    "asinh": (mp.asinh, -5, 5),
    "acosh": (mp.acosh, 1, 5),
    "atanh": (mp.atanh, -1, 1),
    "erf": (mp.erf, -6, 6),
    "erfc": (mp.erfc, -6, 28),
    "erfinv": (mp.erfinv, -1, 1),
    "sinc": (lambda x: mp.sincpi(x), -4, 4),
    "cbrt": (lambda x: mp.sign(x) * mp.cbrt(abs(x)), -8, 8),
}
TWO: dict[str, Callable[..., Any]] = {
    "pow": mp.power,
    "hypot": mp.hypot,
    "atan2": mp.atan2,
}


def extreme(dtype: np.dtype[Any]) -> Any:
    """Numbers at the ends of a format."""
    info = np.finfo(dtype)
    sizes = [0.0, info.smallest_subnormal, 5 * info.smallest_subnormal, info.tiny / 3, info.tiny]
    sizes += [info.eps / 8, 1e-3, 1.0, 1 - info.epsneg, 1 + info.eps, 5.0, 1e5, 1e9, info.max]
    return np.array([s * x for x in sizes for s in (1, -1)], dtype)


def sampled(dtype: np.dtype[Any], low: float, high: float, seed: int = 0) -> Any:
    """Numbers in a range, small ones, any others, and extreme ones, mixed."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 1 << 62, 150, dtype=np.uint64) << np.uint64(2)
    anything = (bits >> np.uint64(64 - 8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)
    anything = np.where(rng.random(150) < 0.5, anything, -anything)
    scale = 8.5 if dtype.itemsize == 8 else 1.0
    wide = rng.uniform(low * scale, high * scale, 300 * (high > 20))
    small = 2.0 ** rng.uniform(-40, 0, 200) * rng.choice([1, -1], 200)
    parts = [rng.uniform(low, high, 900), wide, small]
    made = np.concatenate([np.concatenate(parts).astype(dtype), anything, extreme(dtype)])
    made = made[np.isfinite(made)]
    rng.shuffle(made)
    return made


def exactly(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The function's values in 50 digits, None where it has no real one."""
    made = []
    with mp.workdps(50):
        for xs in zip(*arrays, strict=True):
            try:
                value = function(*[mp.mpf(float(x)) for x in xs])
            except (ZeroDivisionError, ValueError):
                value = None
            made.append(None if isinstance(value, mp.mpc) else value)
    return made


def errors(made: Any, exact: list[Any]) -> Any:
    """Errors in units of the last place; infinite where a result is not what it must be."""
    info = np.finfo(made.dtype)
    limit = mp.mpf(float(info.max)) * (1 + mp.mpf(2) ** (-info.nmant - 2))
    found = []
    for y, want in zip(made.tolist(), exact, strict=True):
        if want is None or mp.isnan(want):
            found.append(0.0 if np.isnan(y) else np.inf)
        elif mp.isinf(want) or abs(want) >= limit:
            right = np.isinf(y) and (y > 0) == (want > 0)
            near = np.isfinite(y) and mp.isfinite(want) and abs(want) < limit * (1 + 8 * info.eps)
            found.append(0.0 if right or near else np.inf)
        elif not np.isfinite(y):
            found.append(0.0 if abs(want) > info.max * (1 - 8 * float(info.eps)) else np.inf)
        else:
            unit = float(np.spacing(min(np.abs(made.dtype.type(float(want))), info.max / 2)))
            found.append(float(abs(mp.mpf(y) - want) / unit))
    return np.array(found)


def check(name: str, made: Any, exact: list[Any], *arrays: Any, bound: float = 4.0) -> None:
    found = errors(made, exact)
    worst = int(np.argmax(found))
    at = [a[worst] for a in arrays]
    assert found[worst] <= bound, f"{name}{at}: {made[worst]!r}, {found[worst]} ulp off"


@functools.cache
def native(name: str, *dtypes: np.dtype[Any], lanes: int | None = None) -> Any:
    return element_loop(lambda w, *xs: getattr(Scalars(w), name)(*xs), dtypes, lanes=lanes)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_number(name: str, dtype: np.dtype[Any]) -> None:
    function, low, high = ONE[name]
    x = sampled(dtype, low, high)
    if name == "erfinv":
        x = x[np.abs(x) < 1]
    if name in ("sin", "cos", "tan", "sinc"):
        x = x[np.abs(x) < 1e18]
    if name in ("erf", "erfc"):
        x = x[np.abs(x) < 1e6]
    check(name, native(name, dtype)(x), exactly(function, x), x)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_numbers(name: str, dtype: np.dtype[Any]) -> None:
    x, y = sampled(dtype, -5, 5, 1), sampled(dtype, -60, 60, 2)
    n = min(x.size, y.size)
    x, y = x[:n], y[:n]
    if name == "pow":
        x = np.abs(x)
        # As many again whose powers are within range.
        rng = np.random.default_rng(3)
        base = (2.0 ** rng.uniform(-0.9, 0.9, 600) ** 3).astype(dtype)
        limit = 88 if dtype == np.float32 else 709
        with np.errstate(all="ignore"):
            power = (rng.uniform(-limit, limit, 600) / np.log(base.astype(float))).astype(dtype)
        x, y = np.concatenate([x, base]), np.concatenate([y, power])
        # What is far out of range would take forever.
        with np.errstate(all="ignore"):
            near = np.abs(y.astype(float) * np.log2(x.astype(float))) < 1100
        x, y = x[near & (x > 0)], y[near & (x > 0)]
    if name == "atan2":
        # mpmath has no -0.
        x, y = x[x != 0], y[x != 0]
    check(name, native(name, dtype, dtype)(x, y), exactly(TWO[name], x, y), x, y)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", [*ONE, "floor", "ceil", "trunc", "rint"])
def test_infinities_nan_and_zeros(name: str, dtype: np.dtype[Any]) -> None:
    theirs: dict[str, Any] = {
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.logaddexp(x, 0),
        "log_sigmoid": lambda x: -np.logaddexp(-x, 0),
        "erf": lambda x: np.copysign(np.where(x == 0, 0, np.where(np.isnan(x), x, 1)), x),
        "erfc": lambda x: np.where(x == 0, 1, np.where(np.isnan(x), x, np.where(x > 0, 0, 2))),
        "erfinv": lambda x: np.where(x == 0, x, np.nan),
        "sinc": lambda x: np.where(x == 0, 1, np.where(np.isnan(x), x, 0)),
    }
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    with np.errstate(all="ignore"):
        expected = theirs.get(name, getattr(np, name, None))(x).astype(dtype)
    made = native(name, dtype)(x)
    np.testing.assert_array_max_ulp(made, expected, 2)
    zero = (expected == 0) & (name != "erfc")
    np.testing.assert_array_equal(np.signbit(made[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_powers_at_the_corners_are_those_of_numpy(dtype: np.dtype[Any]) -> None:
    info = np.finfo(dtype)
    some = [np.nan, np.inf, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 1e10, 1e30, 2.0**24 + 2]
    some += [float(size) for size in (info.max, info.tiny, info.smallest_subnormal)]
    x, y = [a.ravel() for a in np.meshgrid(*[np.array([*some, *[-s for s in some]], dtype)] * 2)]
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    made = native("pow", dtype, dtype)(x, y)
    np.testing.assert_array_max_ulp(made, expected, 2)
    np.testing.assert_array_equal(np.signbit(made[made == 0]), np.signbit(expected[made == 0]))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_angles_of_corners_are_those_of_numpy(dtype: np.dtype[Any]) -> None:
    info = np.finfo(dtype)
    some = np.array([0, 1, 2, np.inf, info.max, info.smallest_subnormal, np.nan])
    some = np.concatenate([some, -some]).astype(dtype)
    y, x = [a.ravel() for a in np.meshgrid(some, some)]
    made, expected = native("atan2", dtype, dtype)(y, x), np.arctan2(y, x)
    np.testing.assert_array_max_ulp(made, expected, 2)
    np.testing.assert_array_equal(np.signbit(made[made == 0]), np.signbit(expected[made == 0]))


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "log", "erfc", "cbrt"])
def test_any_number_of_lanes_gives_the_same(name: str, lanes: int) -> None:
    x = np.concatenate([sampled(FLOATS[0], -5, 5), np.array([np.nan, np.inf, -np.inf], np.float32)])
    usual = native(name, FLOATS[0])(x)
    np.testing.assert_array_equal(native(name, FLOATS[0], lanes=lanes)(x), usual)


def test_far_angles_are_left_to_libm_by_the_lane() -> None:
    x = np.array([1.0, 1e30, np.nan, -2.5, 1e7, np.inf] * 7, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for name in ("sin", "cos", "tan"):
            made, expected = native(name, FLOATS[0])(x), getattr(np, name)(x.astype(np.float64))
            np.testing.assert_allclose(made, expected, rtol=3e-7)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_subnormal_results_are_kept(dtype: np.dtype[Any]) -> None:
    x = np.array([-100.0 if dtype == np.float32 else -740.0], dtype)
    for name in ("exp", "sigmoid", "softplus"):
        made = native(name, dtype)(x)
        assert 0 < made[0] < np.finfo(dtype).tiny
        check(name, made, exactly(ONE[name][0], x), x)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sum_of_exponentials(dtype: np.dtype[Any]) -> None:
    a, b = sampled(dtype, -90, 90, 4), sampled(dtype, -90, 90, 5)
    a, b = a[: b.size], b[: a.size]
    made = element_loop(sigmoids.logaddexp, [dtype, dtype])(a, b)
    expected = np.logaddexp(a.astype(np.longdouble), b.astype(np.longdouble))
    # Relative to the terms of the sum that it is, which may cancel.
    larger = np.maximum(a, b)
    size = np.maximum(np.abs(larger), np.abs(expected - larger).astype(dtype))
    size = np.minimum(np.maximum(size, np.abs(made)), np.finfo(dtype).max / 2)
    finite = np.isfinite(made)
    assert np.max((np.abs(made - expected) / np.spacing(size))[finite]) <= 4


@pytest.mark.parametrize("name", ["exp", "tanh", "log", "floor", "pow"])
def test_a_function_that_is_not_inlined_is_written_once_for_each_type(name: str) -> None:
    module = Module(64)
    count = 2 if name == "pow" else 1
    w = module.function("f", [("x", F32.of(16))], F32.of(16), linkage="")
    s, (x,) = Scalars(w, inline=False), w.parameters
    once = getattr(s, name)(*[x] * count)
    w.finish(getattr(s, name)(*[once] * count))
    assert module.text().count("noinline nounwind") == 1
    values = np.linspace(0.5, 2, 40).astype(np.float32)
    loop = element_loop(
        lambda w, x: getattr(Scalars(w, inline=False), name)(*[x] * count), [FLOATS[0]]
    )
    inlined = element_loop(lambda w, x: getattr(Scalars(w), name)(*[x] * count), [FLOATS[0]])
    np.testing.assert_array_equal(loop(values), inlined(values))


# -- where NumPy is the rule -------------------------------------------------------------------


def whole_numbers(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """All pairs of corners of an integer type, and random pairs."""
    info = np.iinfo(dtype)
    some = [info.min, info.min + 1, info.max, info.max - 1, info.max // 2, 0, 1, 2, 3, 5, 7, 31, 64]
    some += [-1, -2, -3, -7] if info.min else [200]
    corners = np.array([c % (1 << info.bits) for c in some], f"u{dtype.itemsize}").view(dtype)
    rng = np.random.default_rng(6)
    x, y = (rng.integers(info.min, info.max, 500, dtype, endpoint=True) for _ in range(2))
    y[::2] >>= info.bits // 2
    pairs = [a.ravel() for a in np.meshgrid(corners, corners)]
    return np.concatenate([pairs[0], x]), np.concatenate([pairs[1], y])


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("floor_divide", np.floor_divide),
        ("remainder", np.remainder),
        ("fmod", np.fmod),
        ("left_shift", np.left_shift),
        ("right_shift", np.right_shift),
        ("pow", np.power),
    ],
)
def test_integers_as_in_numpy(name: str, theirs: Any, dtype: np.dtype[Any]) -> None:
    x, y = whole_numbers(dtype)
    if name == "pow":
        x, y = x[y >= 0], y[y >= 0]
    with np.errstate(all="ignore"):
        expected = theirs(x, y)
    np.testing.assert_array_equal(native(name, dtype, dtype)(x, y), expected)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    ("form", "theirs"),
    [
        (division.floor_divide, np.floor_divide),
        (division.remainder, np.remainder),
        (division.fmod, np.fmod),
        (rounding.nextafter, np.nextafter),
    ],
)
def test_floats_as_in_numpy(form: Any, theirs: Any, dtype: np.dtype[Any]) -> None:
    special = np.concatenate([extreme(dtype), np.array([np.nan, np.inf, -np.inf], dtype)])
    pairs = [a.ravel() for a in np.meshgrid(special, special)]
    x = np.concatenate([pairs[0], sampled(dtype, -9, 9, 7)[:1200]])
    y = np.concatenate([pairs[1], sampled(dtype, -9, 9, 8)[:1200]])
    with np.errstate(all="ignore"):
        expected = theirs(x, y)
    made = element_loop(form, [dtype, dtype])(x, y)
    np.testing.assert_array_equal(made, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(made[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("to", [np.dtype(bool), *INTEGERS, *FLOATS], ids=str)
@pytest.mark.parametrize("source", [np.dtype(bool), *INTEGERS, *FLOATS], ids=str)
def test_conversions_as_in_numpy(source: np.dtype[Any], to: np.dtype[Any]) -> None:
    if source.kind == "f":
        some = np.concatenate([sampled(source, -300, 300), np.array([np.nan, np.inf, -np.inf])])
        powers_of_two = 2.0 ** np.arange(6, 66)
        near = np.concatenate([powers_of_two, powers_of_two - 1, powers_of_two * 1.001])
        with np.errstate(all="ignore"):
            x = np.concatenate([some, near, -near]).astype(source)
    elif source.kind == "b":
        x = np.array([True, False] * 20)
    else:
        x = whole_numbers(source)[0]
    made = element_loop(lambda w, v: w.convert(v, type_of(to)), [source])(x)
    with np.errstate(all="ignore"):
        # One by one: of several at once NumPy converts some in another way, where out of range.
        expected = np.array([x[i : i + 1].astype(to)[0] for i in range(x.size)])
    np.testing.assert_array_equal(made, expected)

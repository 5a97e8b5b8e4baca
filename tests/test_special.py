"""The special functions: reference values, special values, dtypes, shapes and traceability."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import special

Kernel = Callable[..., Any]

REFERENCE: dict[str, list[list[float]]] = json.loads(
    (Path(__file__).parent / "fixtures" / "special.json").read_text(encoding="utf-8")
)
UNARY = ["erf", "erfc", "erfinv", "lgamma", "digamma", "trigamma", "sigmoid", "softplus", "sinc"]
BINARY = ["logaddexp", "xlogy"]
INF, NAN = math.inf, math.nan


def kernel(name: str) -> Kernel:
    found: Kernel = getattr(special, name)
    return found


def columns(name: str) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    table = np.array(REFERENCE[name])
    return list(table.T[:-2]), table[:, -2], table[:, -1]


def ulps(got: Any, high: np.ndarray, low: np.ndarray | float, dtype: Any) -> np.ndarray:
    """The error of `got` against high + low, in units in the last place of `dtype`."""
    unit = np.spacing(np.abs(high).astype(dtype)).astype(np.float64)
    error: np.ndarray = np.abs((np.asarray(got, np.float64) - high) - low) / unit
    return error


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_float64_is_within_two_ulp_of_the_reference(name: str) -> None:
    arguments, high, low = columns(name)
    got = kernel(name)(np, *arguments)
    assert got.dtype == np.float64
    error = ulps(got, high, low, np.float64)
    worst = int(np.argmax(error))
    assert error[worst] <= 2, (name, [a[worst] for a in arguments], error[worst])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", UNARY)
def test_narrow_floats_are_within_two_ulp_and_keep_their_dtype(name: str, dtype: Any) -> None:
    limit = float(np.finfo(dtype).max) / 2
    (wide,), high, _ = columns(name)
    sound = (np.abs(wide) < limit) & (np.abs(wide) > np.finfo(dtype).tiny) & (np.abs(high) < limit)
    x = wide[sound].astype(dtype)
    # float64 is checked above; here it serves as the reference for the rounded argument.
    expected = kernel(name)(np, x.astype(np.float64))
    got = kernel(name)(np, x)
    assert got.dtype == dtype
    regular = np.isfinite(expected) & (np.abs(expected) < limit)
    assert regular.sum() > 20
    # A float16 result was rounded twice.
    bound = 2 if dtype is np.float32 else 0.51
    assert ulps(got[regular], expected[regular], 0.0, dtype).max() <= bound


def test_polygamma_agrees_with_the_reference() -> None:
    for order, x, high, low in REFERENCE["polygamma"]:
        got = float(special.polygamma(np, int(order), np.array(x)))
        assert abs((got - high) - low) <= 1e-14 * abs(high), (order, x)


@pytest.mark.parametrize(
    ("name", "oracle", "low", "high"),
    [("erf", math.erf, -6, 6), ("erfc", math.erfc, -6, 25), ("lgamma", math.lgamma, 0, 200)],
)
def test_agrees_with_the_standard_library(
    name: str, oracle: Callable[[float], float], low: float, high: float
) -> None:
    x = np.random.default_rng(0).uniform(low, high, 20_000)
    expected = np.array([oracle(v) for v in x])
    # The C library has errors of its own, of a few ulp.
    np.testing.assert_allclose(kernel(name)(np, x), expected, rtol=3e-15, atol=1e-15)


SPECIAL_VALUES = [
    ("erf", [0.0, -0.0, INF, -INF, NAN, 1e30, -1e30], [0.0, -0.0, 1.0, -1.0, NAN, 1.0, -1.0]),
    ("erfc", [0.0, -0.0, INF, -INF, NAN, 30.0, -30.0], [1.0, 1.0, 0.0, 2.0, NAN, 0.0, 2.0]),
    ("erfinv", [0.0, -0.0, 1.0, -1.0, 1.5, -INF, NAN], [0.0, -0.0, INF, -INF, NAN, NAN, NAN]),
    ("lgamma", [0.0, -0.0, -3.0, -1e30, INF, -INF], [INF] * 6),
    ("lgamma", [1.0, 2.0, NAN], [0.0, 0.0, NAN]),
    ("digamma", [0.0, -0.0, -3.0, INF, -INF, NAN, -1e30], [NAN, NAN, NAN, INF, NAN, NAN, NAN]),
    ("trigamma", [0.0, -0.0, -3.0, INF, -INF, NAN, -1e30], [INF, INF, INF, 0.0, NAN, NAN, INF]),
    ("sigmoid", [0.0, -0.0, INF, -INF, NAN, 1e30, -1e30], [0.5, 0.5, 1.0, 0.0, NAN, 1.0, 0.0]),
    ("softplus", [INF, -INF, NAN, 1e30, -1e30], [INF, 0.0, NAN, 1e30, 0.0]),
    ("sinc", [1.0, -2.0, 3.0, INF, -INF, 1e30], [0.0] * 6),
    ("sinc", [0.0, -0.0, NAN], [1.0, 1.0, NAN]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "arguments", "expected"), SPECIAL_VALUES)
def test_special_values_come_without_warnings(
    name: str, arguments: list[float], expected: list[float], dtype: Any
) -> None:
    with np.errstate(all="ignore"):
        x = np.array(arguments).astype(dtype)
        right = np.array(expected).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        got = kernel(name)(np, x)
        for v, r in zip(x, right, strict=True):
            np.testing.assert_array_equal(kernel(name)(np, v), r)
    np.testing.assert_array_equal(got, right)
    zeros = right == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(right[zeros]))


@pytest.mark.parametrize("name", ["erf", "erfinv", "sinc", "sigmoid", "softplus", "erfc"])
def test_subnormals_are_taken_as_what_they_are(name: str) -> None:
    x = np.array([5e-324, -5e-324, 1e-310, -1e-310])
    with np.errstate(all="raise", under="ignore"):
        got = kernel(name)(np, x)
    slope = {"erf": 2 / math.sqrt(math.pi), "erfinv": math.sqrt(math.pi) / 2}
    at_zero = {"sinc": 1.0, "sigmoid": 0.5, "softplus": math.log(2), "erfc": 1.0}
    if name in slope:
        np.testing.assert_allclose(got, slope[name] * x, rtol=1e-12, atol=5e-324)
    else:
        np.testing.assert_allclose(got, at_zero[name], rtol=1e-15)


def test_lgamma_of_subnormals_is_minus_their_logarithm() -> None:
    x = np.array([5e-324, -5e-324, 1e-310])
    np.testing.assert_allclose(special.lgamma(np, x), -np.log(np.abs(x)), rtol=1e-15)


def test_erfc_reaches_down_to_the_smallest_subnormal() -> None:
    assert special.erfc(np, np.array([27.22, 27.24, 40.0])).tolist() == [5e-324, 0.0, 0.0]


def test_whole_numbers_of_any_size_are_zeros_of_sinc_and_poles_of_lgamma() -> None:
    n = np.concatenate([np.arange(1.0, 50.0), 2.0 ** np.arange(6, 1000)])
    assert not special.sinc(np, n).any()
    assert np.isposinf(special.lgamma(np, -n)).all()
    assert np.isnan(special.digamma(np, -n)).all()
    assert np.isposinf(special.trigamma(np, -n)).all()


def test_lgamma_and_digamma_below_minus_two_are_as_good_as_their_terms() -> None:
    # Reflection and recurrence lead to the same value by different roads.
    x = -np.random.default_rng(1).uniform(2, 20, 5000)
    step = special.lgamma(np, x + 1) - np.log(np.abs(x))
    scale = np.maximum(1, special.lgamma(np, -x))
    assert (np.abs(special.lgamma(np, x) - step) < 4e-15 * scale).all()
    raised = special.digamma(np, x + 1) - 1 / x
    scale = np.maximum(3, np.abs(raised))
    # x + 1 is rounded, which a steep function shows.
    bound = 4e-15 * scale + 1e-15 * special.trigamma(np, x) * np.abs(x)
    assert (np.abs(special.digamma(np, x) - raised) < bound).all()


def test_logaddexp_at_infinities_and_extremes() -> None:
    a = np.array([-INF, -INF, INF, INF, NAN, 3.0, 1.7e308, -1.7e308, INF])
    b = np.array([-INF, INF, -INF, INF, 1.0, -INF, -1.7e308, -1.7e308, NAN])
    right = np.array([-INF, INF, INF, INF, NAN, 3.0, 1.7e308, -1.7e308, NAN])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(special.logaddexp(np, a, b), right)
        np.testing.assert_array_equal(special.logaddexp(np, b, a), right)


def test_logaddexp_near_a_result_of_zero_is_good_to_an_ulp_of_its_arguments() -> None:
    a = np.random.default_rng(2).uniform(-1, 0, 2000)
    b = np.log1p(-np.exp(a))
    assert np.abs(special.logaddexp(np, a, b)).max() < 1e-15


def test_xlogy_corner_rules() -> None:
    x = np.array([0.0, -0.0, 0.0, 0.0, 2.0, -2.0, 1.0, 0.0, NAN, 0.0, INF, INF, -INF, INF])
    y = np.array([0.0, 0.0, -1.0, INF, 0.0, 0.0, -1.0, NAN, 1.0, 1.0, 1.0, 2.0, 0.0, INF])
    right = np.array([0.0, 0.0, 0.0, 0.0, -INF, INF, NAN, NAN, NAN, 0.0, NAN, INF, INF, INF])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(special.xlogy(np, x, y), right)


@pytest.mark.parametrize("name", BINARY)
def test_two_arguments_broadcast_and_promote(name: str) -> None:
    a = np.array([[1.0], [2.0]], np.float32)
    b = np.array([3.0, 4.0, 5.0], np.float32)
    got = kernel(name)(np, a, b)
    assert got.shape == (2, 3) and got.dtype == np.float32
    assert kernel(name)(np, a, b.astype(np.float64)).dtype == np.float64
    assert kernel(name)(np, a.astype(np.float16), b.astype(np.float16)).dtype == np.float16
    assert kernel(name)(np, a, np.zeros((0,), np.float32)[:, None, None]).shape == (0, 2, 1)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3), (1, 1, 1)])
@pytest.mark.parametrize("name", UNARY)
def test_shapes_are_kept(name: str, shape: tuple[int, ...]) -> None:
    for dtype in (np.float64, np.float32, np.float16):
        got = kernel(name)(np, np.full(shape, 0.3, dtype))
        assert isinstance(got, np.ndarray)
        assert got.shape == shape and got.dtype == dtype


@pytest.mark.parametrize("name", UNARY)
def test_large_arrays_equal_their_pieces(name: str) -> None:
    x = np.random.default_rng(3).uniform(-0.99, 0.99, (3, 9001))
    got = kernel(name)(np, x.T)
    np.testing.assert_array_equal(got, np.stack([kernel(name)(np, row[::1]) for row in x]).T)
    assert special.polygamma(np, 3, x).shape == x.shape


@pytest.mark.parametrize("name", UNARY)
def test_other_dtypes_are_refused(name: str) -> None:
    for x in (np.array([1, 2]), np.array([1j]), np.array([True])):
        with pytest.raises(TypeError, match=f"float16, float32 or float64, got {x.dtype}"):
            kernel(name)(np, x)


def test_polygamma_of_low_orders_and_its_errors() -> None:
    x = np.array([0.3, 2.0, -1.7])
    np.testing.assert_array_equal(special.polygamma(np, 0, x), special.digamma(np, x))
    np.testing.assert_array_equal(special.polygamma(np, 1, x), special.trigamma(np, x))
    np.testing.assert_array_equal(special.polygamma1(np, x), special.trigamma(np, x))
    with pytest.raises(ValueError, match="0 or more, got -1"):
        special.polygamma(np, -1, x)
    with pytest.raises(ValueError, match="at most 1000, got 1001"):
        special.polygamma(np, 1001, x)
    with pytest.raises(TypeError, match="got a bool"):
        special.polygamma(np, True, x)
    with pytest.raises(TypeError):
        special.polygamma(np, 1.5, x)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [2, 3, 24, 25])
def test_polygamma_at_poles_and_infinities(order: int) -> None:
    x = np.array([0.0, -0.0, -1.0, -2.0, INF, -INF, NAN])
    pole = INF if order % 2 else NAN
    with np.errstate(all="raise", under="ignore"):
        got = special.polygamma(np, order, x)
    np.testing.assert_array_equal(got, [pole, pole, pole, pole, 0.0, NAN, NAN])
    assert special.polygamma(np, order, x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("order", range(8))
def test_each_polygamma_is_the_derivative_of_the_one_before(order: int) -> None:
    x = np.array([0.4, 1.3, 3.7, 11.0, -0.6, -1.3, -4.45])
    h = 1e-4
    before: Kernel = special.lgamma if order == 0 else special.digamma

    def f(v: np.ndarray) -> Any:
        return before(np, v) if order < 2 else special.polygamma(np, order - 1, v)

    # Fourth-order central differences.
    numeric = (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)
    np.testing.assert_allclose(special.polygamma(np, order, x), numeric, rtol=2e-8)


class Traced:
    """An array as a tracing compiler sees it: arithmetic only, no truth value, no writing."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)
        self.value.setflags(write=False)

    dtype = property(lambda self: self.value.dtype)
    shape = property(lambda self: self.value.shape)
    __array__ = None
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = None

    def astype(self, dtype: Any) -> Traced:
        return Traced(self.value.astype(dtype))

    def __bool__(self) -> bool:
        raise TypeError("a kernel asked for the truth value of an array")

    def __getitem__(self, key: Any) -> Any:
        raise TypeError("a kernel indexed an array")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("a kernel wrote into an array")


def unwrap(v: Any) -> Any:
    return v.value if isinstance(v, Traced) else v


def _method(symbol: str) -> Callable[..., Traced]:
    def method(self: Traced, *others: Any) -> Traced:
        return Traced(getattr(self.value, symbol)(*map(unwrap, others)))

    return method


_ARITHMETIC = ["add", "sub", "mul", "truediv", "pow", "and", "or"]
for _symbol in [
    *_ARITHMETIC,
    *("r" + name for name in _ARITHMETIC),
    *("neg", "abs", "invert", "lt", "le", "gt", "ge", "eq", "ne"),
]:
    setattr(Traced, f"__{_symbol}__", _method(f"__{_symbol}__"))


class Namespace:
    """What the kernels may use: names that NumPy, jax.numpy and CuPy all have."""

    ARITHMETIC = ("abs", "clip", "exp", "floor", "ldexp", "log", "log1p", "round", "sqrt")
    OTHER = ("maximum", "minimum", "isfinite", "isinf", "isnan", "where", "broadcast_arrays")
    float32, int32 = np.float32, np.int32
    inf, nan = np.inf, np.nan

    @staticmethod
    def asarray(x: Any, dtype: Any = None) -> Traced:
        return Traced(np.asarray(unwrap(x), dtype=dtype))

    @staticmethod
    def isdtype(dtype: Any, kind: str) -> bool:
        return bool(np.isdtype(dtype, kind))

    @staticmethod
    def result_type(*dtypes: Any) -> Any:
        return np.result_type(*dtypes)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.ARITHMETIC + self.OTHER:
            raise AttributeError(f"a kernel used xp.{name}")

        def call(*args: Any) -> Any:
            result = getattr(np, name)(*map(unwrap, args))
            return [Traced(r) for r in result] if isinstance(result, tuple) else Traced(result)

        return call


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", [*UNARY, *BINARY, "polygamma"])
def test_kernels_can_be_traced(name: str, dtype: Any) -> None:
    x = np.array([0.3, 0.8, -0.4, -0.9], dtype)
    arguments: list[Any] = [x] if name in UNARY else [3, x] if name == "polygamma" else [x, x + 1]
    traced = [Traced(a) if isinstance(a, np.ndarray) else a for a in arguments]
    with np.errstate(all="ignore"):
        got = kernel(name)(Namespace(), *traced)
        expected = kernel(name)(np, *arguments)
    assert isinstance(got, Traced)
    assert got.value.dtype == dtype
    np.testing.assert_array_equal(got.value, expected)

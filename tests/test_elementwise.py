"""Values of the elementwise functions against NumPy and SciPy, and their rules at corners."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

import minigrad as mg

inf, nan = np.inf, np.nan

#: name -> (NumPy's or SciPy's function, arguments inside the domain)
UNARY: dict[str, tuple[Callable[..., Any], Any]] = {
    "abs": (np.abs, [-1.5, -0.0, 2.5, -inf, nan]),
    "acos": (np.arccos, [-1.0, -0.3, 0.0, 0.9, 1.0]),
    "acosh": (np.arccosh, [1.0, 1.5, 30.0]),
    "asin": (np.arcsin, [-1.0, -0.3, 0.0, 0.9, 1.0]),
    "asinh": (np.arcsinh, [-3.0, 0.0, 1e-3, 20.0]),
    "atan": (np.arctan, [-inf, -3.0, 0.0, 1e-3, 20.0]),
    "atanh": (np.arctanh, [-1.0, -0.3, 0.0, 0.9]),
    "cbrt": (np.cbrt, [-8.0, 0.0, 2.0]),
    "ceil": (np.ceil, [-1.5, -0.2, 0.0, 1.2]),
    "cos": (np.cos, [-3.0, 0.0, 1.2]),
    "cosh": (np.cosh, [-3.0, 0.0, 1.2]),
    "digamma": (scipy.special.digamma, [0.1, 1.0, 1.5, 12.0, -0.3]),
    "erf": (scipy.special.erf, [-3.0, -0.1, 0.0, 0.7, inf]),
    "erfc": (scipy.special.erfc, [-3.0, -0.1, 0.0, 0.7, 5.0]),
    "erfinv": (scipy.special.erfinv, [-0.99, -0.1, 0.0, 0.7, 1.0]),
    "exp": (np.exp, [-inf, -3.0, 0.0, 1.2]),
    "expm1": (np.expm1, [-3.0, 0.0, 1e-6, 1.2]),
    "floor": (np.floor, [-1.5, -0.2, 0.0, 1.2]),
    "isfinite": (np.isfinite, [0.0, inf, -inf, nan]),
    "isinf": (np.isinf, [0.0, inf, -inf, nan]),
    "isnan": (np.isnan, [0.0, inf, -inf, nan]),
    "lgamma": (scipy.special.gammaln, [0.1, 1.0, 1.5, 12.0, -0.3, 0.0]),
    "log": (np.log, [0.0, 0.1, 1.0, 20.0, inf]),
    "log10": (np.log10, [0.0, 0.1, 1.0, 20.0]),
    "log1p": (np.log1p, [-1.0, 0.0, 1e-6, 20.0]),
    "log2": (np.log2, [0.0, 0.1, 1.0, 20.0]),
    "negative": (np.negative, [-1.5, 0.0, inf]),
    "positive": (np.positive, [-1.5, 0.0, inf]),
    "reciprocal": (np.reciprocal, [-1.5, 0.0, 4.0]),
    "round": (np.round, [-1.5, -0.5, 0.5, 1.5, 2.5, 1.2]),
    "rsqrt": (lambda x: 1 / np.sqrt(x), [0.0, 0.3, 4.0]),
    "sigmoid": (scipy.special.expit, [-80.0, -3.0, 0.0, 0.2, 80.0]),
    "sign": (np.sign, [-1.5, 0.0, 2.5, nan]),
    "signbit": (np.signbit, [-1.5, -0.0, 0.0, 2.5]),
    "sin": (np.sin, [-3.0, 0.0, 1.2]),
    "sinc": (np.sinc, [-3.3, 0.0, 1.2]),
    "sinh": (np.sinh, [-3.0, 0.0, 1.2]),
    "softplus": (lambda x: np.logaddexp(x, 0), [-80.0, -3.0, 0.0, 0.2, 80.0]),
    "sqrt": (np.sqrt, [0.0, 0.3, 4.0]),
    "square": (np.square, [-1.5, 0.0, 4.0]),
    "tan": (np.tan, [-3.0, 0.0, 1.2]),
    "tanh": (np.tanh, [-30.0, 0.0, 1.2]),
    "trunc": (np.trunc, [-1.5, -0.2, 0.0, 1.2]),
}

BINARY: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "add": (np.add, [1.5, -2.0, inf], [2.0, 0.5, 1.0]),
    "atan2": (np.arctan2, [1.5, -2.0, 0.0, 0.0], [2.0, -0.5, -1.0, 0.0]),
    "copysign": (np.copysign, [1.5, -2.0, 0.0], [-0.0, 3.0, -1.0]),
    "divide": (np.divide, [1.5, -2.0, 0.0, 1.0], [2.0, 0.5, 0.0, 0.0]),
    "equal": (np.equal, [1.5, 2.0, nan], [1.5, 1.0, nan]),
    "floor_divide": (np.floor_divide, [7.5, -7.5, 7.5, -7.5, 1.0], [2.0, 2.0, -2.0, -2.0, 0.1]),
    "fmod": (np.fmod, [7.5, -7.5, 7.5, -7.5, 1.0], [2.0, 2.0, -2.0, -2.0, 0.1]),
    "greater": (np.greater, [1.5, 2.0, nan], [1.5, 1.0, nan]),
    "greater_equal": (np.greater_equal, [1.5, 2.0, nan], [1.5, 1.0, nan]),
    "hypot": (np.hypot, [3.0, -1e30, 0.0], [4.0, 1e30, 0.0]),
    "less": (np.less, [1.5, 2.0, nan], [1.5, 3.0, nan]),
    "less_equal": (np.less_equal, [1.5, 2.0, nan], [1.5, 3.0, nan]),
    "logaddexp": (np.logaddexp, [0.0, 80.0, -inf, inf, -inf], [0.0, -80.0, 1.0, -inf, -inf]),
    "maximum": (np.maximum, [1.5, 2.0, nan], [1.5, 3.0, 1.0]),
    "minimum": (np.minimum, [1.5, 2.0, nan], [1.5, 3.0, 1.0]),
    "multiply": (np.multiply, [1.5, -2.0, inf], [2.0, 0.5, 1.0]),
    "nextafter": (np.nextafter, [1.0, 1.0, 0.0], [2.0, 1.0, -1.0]),
    "not_equal": (np.not_equal, [1.5, 2.0, nan], [1.5, 1.0, nan]),
    "pow": (np.power, [1.5, -2.0, 0.0, 0.0, -8.0], [2.0, 3.0, 0.0, -1.0, 1 / 3]),
    "remainder": (np.remainder, [7.5, -7.5, 7.5, -7.5, 1.0], [2.0, 2.0, -2.0, -2.0, 0.1]),
    "subtract": (np.subtract, [1.5, -2.0, inf], [2.0, 0.5, 1.0]),
    "xlogy": (scipy.special.xlogy, [0.0, 0.0, 2.0, 2.0], [0.0, 3.0, 0.0, 3.0]),
}


def run(function: Callable[..., Any], *arrays: Any) -> Any:
    """The value of a function of placeholders in a session."""
    with mg.Graph().as_default() as graph:
        places = [mg.placeholder(a.dtype) for a in arrays]
        result = function(*places)
    with mg.Session(graph=graph) as sess:
        return sess.run(result, dict(zip(places, arrays, strict=True)))


def agree(name: str, oracle: Callable[..., Any], *arrays: Any) -> None:
    """Eagerly and in a session: the oracle's values, in the expected dtype."""
    function = getattr(mg, name)
    with np.errstate(all="ignore"):
        want = np.asarray(oracle(*arrays))
    dtype = want.dtype if want.dtype.kind == "b" else arrays[0].dtype
    for got in (function(*arrays).numpy(), run(function, *arrays)):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=8 * np.finfo(arrays[0].dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary_values(name: str, dtype: str) -> None:
    oracle, x = UNARY[name]
    agree(name, oracle, np.array(x, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_values(name: str, dtype: str) -> None:
    oracle, x1, x2 = BINARY[name]
    agree(name, oracle, np.array(x1, dtype), np.array(x2, dtype))


@pytest.mark.parametrize("name", UNARY)
def test_integers_become_float32_where_the_result_is_not_whole(name: str) -> None:
    n = np.array([0, 0] if name == "atanh" else [1, 1], np.int64)
    got = getattr(mg, name)(n)
    if name.startswith("is") or name == "signbit":
        assert got.dtype == "bool"
    elif name in [
        "abs",
        "ceil",
        "floor",
        "negative",
        "positive",
        "round",
        "sign",
        "square",
        "trunc",
    ]:
        assert got.dtype == "int64"
    else:
        assert got.dtype == "float32"
    np.testing.assert_allclose(got.numpy(), UNARY[name][0](n.astype(float)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "subtract",
        "multiply",
        "floor_divide",
        "remainder",
        "fmod",
        "maximum",
        "minimum",
        "pow",
    ],
)
def test_integer_arithmetic(name: str) -> None:
    a, b = np.array([7, 8, 9], np.int32), np.array([2, 3, 4], np.int32)
    want = BINARY[name][0](a, b)
    for got in (getattr(mg, name)(a, b).numpy(), run(getattr(mg, name), a, b)):
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, want)


def test_division_of_integers_gives_float32() -> None:
    got = mg.divide(np.array([1, 2]), np.array([2, 0]))
    assert got.dtype == "float32"
    assert got.tolist() == [0.5, inf]
    assert (mg.asarray([1]) / mg.asarray([4])).tolist() == [0.25]


def test_floor_division_and_remainder_follow_python() -> None:
    pairs = [(a, b) for a in (7, -7, 6, -6, 0) for b in (3, -3, 2, -2)]
    for dtype in ("int32", "int64", "float32", "float64"):
        a, b = (np.array(side, dtype) for side in zip(*pairs, strict=True))
        assert mg.floor_divide(a, b).tolist() == [x // y for x, y in pairs]
        assert mg.remainder(a, b).tolist() == [x % y for x, y in pairs]


@pytest.mark.filterwarnings("error")
def test_integer_division_by_zero_is_silent() -> None:
    a, zero = np.array([7, -7, 0]), np.array([0, 0, 0])
    for function in (mg.floor_divide, mg.remainder, mg.fmod):
        assert function(a, zero).tolist() == [0, 0, 0]
        assert run(function, a, zero).tolist() == [0, 0, 0]
    assert mg.divide(1.0, 0.0).item() == inf


def test_integer_to_a_negative_power_says_so() -> None:
    with pytest.raises(ValueError, match="to negative integer powers"):
        mg.pow(mg.asarray([2, 3]), -1)
    assert (mg.asarray([2, 4]) ** -1.0).tolist() == [0.5, 0.25]


def test_complex_numbers_go_forward() -> None:
    z = np.array([3 - 4j, 1j], np.complex64)
    for name in ["exp", "log", "sqrt", "sin", "cos", "tanh", "square", "conj"]:
        got = getattr(mg, name)(z)
        assert got.dtype == "complex64"
        np.testing.assert_allclose(got.numpy(), getattr(np, name)(z), rtol=1e-6)
    for name in ["abs", "real", "imag"]:
        got = getattr(mg, name)(z)
        assert got.dtype == "float32"
        np.testing.assert_array_equal(got.numpy(), getattr(np, name)(z))


@pytest.mark.parametrize("name", ["real", "imag", "conj", "abs"])
def test_complex_numbers_refuse_to_go_backward(name: str) -> None:
    with mg.GradientTape() as tape:
        z = mg.asarray(np.array([3 - 4j, 1j]))
        with pytest.raises(mg.errors.NotDifferentiableError, match="complex"):
            tape.watch(z)
            tape.gradient(mg.abs(getattr(mg, name)(z)), z)


@pytest.mark.parametrize(
    ("name", "points", "first", "second"),
    [
        ("asin", [-1.0, 0.0, 1.0], [np.inf, 1.0, np.inf], [-np.inf, 0.0, np.inf]),
        ("acos", [-1.0, 0.0, 1.0], [-np.inf, -1.0, -np.inf], [np.inf, 0.0, -np.inf]),
        ("atanh", [-1.0, 0.0, 1.0], [np.inf, 1.0, np.inf], [-np.inf, 0.0, np.inf]),
        ("acosh", [1.0, np.sqrt(2)], [np.inf, 1.0], [-np.inf, -np.sqrt(2)]),
    ],
)
def test_inverses_have_infinite_derivatives_at_their_ends(
    name: str, points: list[float], first: list[float], second: list[float]
) -> None:
    function, x = getattr(mg, name), np.array(points)
    slope = mg.grad(lambda v: mg.sum(function(v)))
    np.testing.assert_allclose(slope(x), first)
    np.testing.assert_allclose(mg.grad(lambda v: mg.sum(slope(v)))(x), second)
    # What is masked out there stays 0.
    masked = mg.grad(lambda v: mg.sum(mg.where(mg.abs(v) == 1, 0.0, function(v))))
    expected = np.where(np.isinf(second), 0.0, second)
    np.testing.assert_allclose(mg.grad(lambda v: mg.sum(masked(v)))(x), expected)


# -- where, clip, maximum, minimum ---------------------------------------------------------------


def test_where_broadcasts_and_promotes() -> None:
    mask = np.array([[True], [False]])
    got = mg.where(mask, np.array([1, 2, 3]), np.float32(0.5))
    assert got.dtype == "float32"
    assert got.tolist() == [[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]]
    assert mg.where(True, ["yes"], ["no"]).tolist() == ["yes"]
    assert mg.where([True, False], 1, 2.0).dtype == "float32"
    assert mg.where(mg.asarray([1.0, -1.0]) > 0, 1, 0).tolist() == [1, 0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("condition", "x1", "x2"),
    [
        ((100, 50), (100, 50), (100, 50)),
        ((100, 1), (100, 50), ()),
        ((100, 50), (), (50,)),
        ((100, 50), (), ()),
        ((), (100, 50), (1, 50)),
    ],
)
def test_where_keeps_every_bit_of_large_arrays(
    dtype: str, condition: tuple[int, ...], x1: tuple[int, ...], x2: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    values = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-7, -3.5])
    for other in (None, 0.0, -0.0):
        c = rng.random(condition) < 0.5
        a, b = (
            np.asarray(rng.choice(values, s) if s or other is None else other, dtype)
            for s in (x1, x2)
        )
        expected = np.ascontiguousarray(np.where(c, a, b))
        got = mg.where(c, a, b).numpy()
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("condition", [[1, 0], [1.0, 0.0], 1])
def test_where_wants_a_bool(condition: Any) -> None:
    with pytest.raises(
        mg.errors.DTypeError, match=r"condition of where must be bool.*write x != 0"
    ):
        mg.where(condition, 1.0, 2.0)
    with mg.Graph().as_default():
        with pytest.raises(mg.errors.DTypeError, match="condition of where must be bool"):
            mg.where(condition, 1.0, 2.0)


def test_the_gradient_of_where_goes_to_the_chosen_side() -> None:
    mask = np.array([True, False, True])
    a, b = mg.grad(lambda a, b: mg.sum(mg.where(mask, a * a, 3 * b)), argnums=(0, 1))(
        np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    )
    assert a.tolist() == [2.0, 0.0, 6.0]
    assert b.tolist() == [0.0, 3.0, 0.0]


@pytest.mark.parametrize("function", [mg.sqrt, mg.log, lambda x: x**0.5, lambda x: mg.xlogy(x, x)])
def test_masking_an_infinite_slope_gives_zero(function: Any) -> None:
    x = np.array([0.0, 4.0])
    (g,) = [mg.grad(lambda x: mg.sum(mg.where(x > 0, function(x), 0)))(x).numpy()]
    assert g[0] == 0.0
    assert np.isfinite(g[1])
    places = mg.Graph()
    with places.as_default():
        p = mg.placeholder("float64", (2,))
        (dx,) = mg.gradients(mg.where(p > 0, function(p), 0), [p])
    np.testing.assert_array_equal(mg.Session(graph=places).run(dx, {p: x}), g)


def test_clip_against_numpy() -> None:
    x = np.array([[-3.0, 0.5, 3.0], [1.0, -1.0, nan]])
    np.testing.assert_array_equal(mg.clip(x, -1, 1).numpy(), np.clip(x, -1, 1))
    np.testing.assert_array_equal(mg.clip(x, min=0.0).numpy(), np.clip(x, 0, None))
    np.testing.assert_array_equal(mg.clip(x, max=0.0).numpy(), np.clip(x, None, 0))
    np.testing.assert_array_equal(mg.clip(x).numpy(), x)
    low = np.array([-2.0, 0.7, -1.0])
    np.testing.assert_array_equal(mg.clip(x, low, 2.0).numpy(), np.clip(x, low, 2.0))
    assert mg.clip(1.0, 3.0, 2.0).item() == 2.0
    assert mg.clip(np.array([1, 5, 9], np.int8), 2, 7).dtype == "int8"
    assert mg.clip(np.array([1.0], np.float16), 0, 0.5).dtype == "float16"
    assert mg.clip(mg.asarray([1, 5]), 1.5).tolist() == [1.5, 5.0]


def test_ties_split_the_gradient() -> None:
    x = np.array([1.0, 2.0, 3.0])
    for function in (mg.maximum, mg.minimum):
        a, b = mg.grad(lambda a, b, f=function: mg.sum(f(a, b)), argnums=(0, 1))(x, x)
        assert a.tolist() == b.tolist() == [0.5, 0.5, 0.5]
    both = mg.grad(lambda x: mg.sum(mg.maximum(x, x)))(x)
    assert both.tolist() == [1.0, 1.0, 1.0]


# -- corners -------------------------------------------------------------------------------------


def slopes(function: Callable[..., Any], *args: float) -> list[float]:
    """The partial derivatives of a function of float64 scalars."""
    found = mg.grad(function, argnums=tuple(range(len(args))))(*[np.float64(a) for a in args])
    return [g.item() for g in found]


def test_slopes_of_powers_at_zero() -> None:
    assert slopes(mg.pow, 0.0, 2.0) == [0.0, 0.0]
    assert slopes(mg.pow, 0.0, 1.0) == [1.0, 0.0]
    assert slopes(mg.pow, 0.0, 0.5) == [inf, 0.0]
    assert slopes(mg.pow, 0.0, 0.0) == [0.0, 0.0]
    assert slopes(mg.pow, 5.0, 0.0) == [0.0, np.log(5.0)]
    assert slopes(mg.pow, 0.0, -1.0) == [-inf, -inf]
    assert slopes(lambda x: x**0, 0.0) == [0.0]
    first, second = slopes(mg.pow, -2.0, 3.0)
    assert first == 12.0
    assert np.isnan(second)


def test_second_derivatives_of_powers() -> None:
    def second(f: Callable[[Any], Any], x: float) -> float:
        return mg.grad(mg.grad(f))(np.float64(x)).item()  # type: ignore[no-any-return]

    assert second(lambda x: x**2, 0.0) == 2.0
    assert second(lambda x: x**3, 0.0) == 0.0
    assert second(lambda x: x**1, 0.0) == 0.0
    assert second(lambda x: x**0, 0.0) == 0.0
    assert second(lambda x: x**3, -2.0) == -12.0
    # d/dy d/dx x**y at y = 0 is 1/x, although d/dx itself is 0 there.
    mixed = mg.grad(lambda y: mg.grad(mg.pow)(np.float64(4.0), y))(np.float64(0.0))
    assert mixed.item() == 0.25
    # The slope of w x**2 at x = w = 0, once more by w.
    both = mg.grad(lambda w: mg.grad(lambda x: w * x**2)(np.float64(0.0)))(np.float64(0.0))
    assert both.item() == 0.0


def test_slopes_at_kinks() -> None:
    assert slopes(mg.abs, 0.0) == [0.0]
    assert slopes(mg.sign, 0.0) == [0.0]
    assert slopes(mg.sqrt, 0.0) == [inf]
    assert slopes(lambda x: 0.0 * mg.sqrt(x), 0.0) == [0.0]
    assert slopes(mg.hypot, 0.0, 0.0) == [0.0, 0.0]
    assert slopes(mg.atan2, 0.0, 0.0) == [0.0, 0.0]
    for scale in (1e-200, 1e200):  # The squares of these are 0 and inf.
        np.testing.assert_allclose(
            slopes(mg.atan2, 3 * scale, 4 * scale), [0.16 / scale, -0.12 / scale]
        )
    assert slopes(mg.clip, 1.0, 1.0, 2.0) == [1.0, 0.0, 0.0]
    assert slopes(mg.clip, 3.0, 1.0, 2.0) == [0.0, 0.0, 1.0]
    for function in (mg.floor, mg.ceil, mg.trunc, mg.round):
        assert slopes(function, 2.0) == slopes(function, 0.3) == [0.0]
    assert slopes(mg.floor_divide, 7.0, 2.0) == [0.0, 0.0]
    assert slopes(mg.remainder, -7.0, 2.0) == [1.0, 4.0]
    assert slopes(mg.fmod, 1.0, 0.1) == [1.0, -9.0]


def test_slopes_of_logarithms_of_sums() -> None:
    assert slopes(mg.logaddexp, -inf, -inf) == [0.5, 0.5]
    assert slopes(mg.logaddexp, inf, inf) == [0.5, 0.5]
    assert slopes(mg.logaddexp, -inf, 0.0) == [0.0, 1.0]
    assert slopes(mg.logaddexp, 1000.0, -1000.0) == [1.0, 0.0]
    # Ties must not lose the second derivative.
    second = mg.grad(mg.grad(mg.logaddexp))(np.float64(1.0), np.float64(1.0))
    assert second.item() == 0.25


def test_slopes_of_x_log_y() -> None:
    assert slopes(mg.xlogy, 0.0, 0.0) == [0.0, 0.0]
    assert slopes(mg.xlogy, 0.0, 3.0) == [np.log(3.0), 0.0]
    assert slopes(mg.xlogy, 2.0, 0.0) == [-inf, inf]
    p = np.array([0.0, 0.5, 0.5])
    entropy = mg.grad(lambda p: -mg.sum(mg.xlogy(p, p)))(p)
    np.testing.assert_allclose(entropy.numpy(), [0.0, np.log(2) - 1, np.log(2) - 1], rtol=1e-15)


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_saturated_functions_have_finite_slopes(name: str, dtype: str) -> None:
    x = np.array([-inf, -1e4, 0.0, 1e4, inf], dtype)
    f = getattr(mg, name)
    first = mg.grad(lambda x: mg.sum(f(x)))(x)
    second = mg.grad(lambda x: mg.sum(mg.grad(lambda x: mg.sum(f(x)))(x)))(x)
    assert np.isfinite(first.numpy()).all()
    assert np.isfinite(second.numpy()).all()


def test_double_backward_where_the_upstream_gradient_is_zero() -> None:
    # Masking a zero upstream must not hide that it may change: (log x)**2 at x = 1.
    def f(x: Any) -> Any:
        return mg.log(x) ** 2

    assert mg.grad(f)(np.float64(1.0)).item() == 0.0
    assert mg.grad(mg.grad(f))(np.float64(1.0)).item() == 2.0


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_sinc(order: int) -> None:
    points = [0.0, 1e-6, 0.3, 0.64, 1.0, -2.2, 7.5]

    def derivative(x: Any) -> Any:
        f = mg.sinc
        for _ in range(order):
            f = mg.grad(f)
        return f(x)

    for x in points:
        want = mpmath.pi**order * mpmath.quad(
            lambda t, x=x: t**order * mpmath.cos(mpmath.pi * x * t + order * mpmath.pi / 2),
            mpmath.linspace(0, 1, 9),
        )
        assert derivative(np.float64(x)).item() == pytest.approx(float(want), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma_against_scipy(n: int) -> None:
    x = np.array([0.2, 1.0, 3.7])
    np.testing.assert_allclose(
        mg.polygamma(n, x).numpy(), scipy.special.polygamma(n, x), rtol=1e-14
    )
    np.testing.assert_allclose(
        mg.grad(lambda x: mg.sum(mg.polygamma(n, x)))(x).numpy(),
        scipy.special.polygamma(n + 1, x),
        rtol=1e-14,
    )


# -- lists, shapes, errors -------------------------------------------------------------------------


def test_add_n() -> None:
    a, b, c = (np.full((2,), v) for v in (1.0, 2.0, 3.5))
    assert mg.add_n([a, b, c]).tolist() == [6.5, 6.5]
    with mg.Graph().as_default():
        p = mg.placeholder("float64", (None,))
        total = mg.add_n([p, mg.constant(a), p])
        assert total.op.type == "AddN"
        assert total.shape == (2,)
        (dp,) = mg.gradients(total, [p])
    assert mg.Session(graph=dp.graph).run([total, dp], {p: b})[1].tolist() == [2.0, 2.0]
    with pytest.raises(mg.errors.ShapeError, match="same shape"):
        mg.add_n([a, 1.0])
    with pytest.raises(mg.errors.ArgumentError, match="at least one"):
        mg.add_n([])
    with pytest.raises(mg.errors.ArgumentTypeError, match="a list of tensors"):
        mg.add_n(mg.asarray(a))  # type: ignore[arg-type]


def test_broadcasting_against_nothing() -> None:
    empty = np.zeros((0, 3))
    assert mg.add(empty, [1.0, 2.0, 3.0]).shape == (0, 3)
    row = mg.grad(lambda row: mg.sum(empty * row))(np.array([1.0, 2.0, 3.0]))
    assert row.tolist() == [0.0, 0.0, 0.0]


def test_gradients_undo_broadcasting_with_unknown_shapes() -> None:
    with mg.Graph().as_default() as graph:
        x, row = mg.placeholder("float64", (None, 3)), mg.placeholder("float64", (None,))
        anything = mg.placeholder("float64")
        y = x * row / anything
        grads = mg.gradients(y, [x, row, anything])
    values = {x: np.ones((2, 3)), row: np.array([1.0, 2.0, 4.0]), anything: np.float64(2.0)}
    dx, drow, danything = mg.Session(graph=graph).run(grads, values)
    assert dx.tolist() == [[0.5, 1.0, 2.0]] * 2
    assert drow.tolist() == [1.0, 1.0, 1.0]
    assert danything == -3.5


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logical_functions_want_bools(name: str) -> None:
    with pytest.raises(mg.errors.DTypeError, match=f"{name} does not take float32; it takes bool"):
        getattr(mg, name)([1.0, 0.0], [True, True])
    with pytest.raises(mg.errors.DTypeError, match="cast with mg"):
        mg.logical_not([1])


def test_constants_of_polygamma_are_checked() -> None:
    with pytest.raises(mg.errors.ArgumentTypeError, match="must be a Python integer"):
        mg.polygamma(True, 1.0)
    with pytest.raises(mg.errors.ArgumentError, match="0 or more"):
        mg.polygamma(-1, 1.0)

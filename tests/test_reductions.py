"""Reductions, statistics and scans: values against NumPy, and the corners."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

import minigrad as mg
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.ops.recurrences import linear_recurrence

AXES = [None, 0, -1, (0, 2), (-1, 1), ()]
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
    "var": np.var,
    "std": np.std,
    "logsumexp": special.logsumexp,
    "all": np.all,
    "any": np.any,
    "count_nonzero": np.count_nonzero,
}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_values_are_those_of_numpy(name: str, axis: Any, keepdims: bool) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)) + 1
    x[0, 1, 2] = 0
    if name == "logsumexp" and axis == ():
        want: Any = x  # SciPy refuses
    else:
        want = REDUCTIONS[name](x, axis=axis, keepdims=keepdims)
    for dtype, tolerance in [("float64", 1e-14), ("float32", 2e-6)]:
        got = getattr(mg, name)(x.astype(dtype), axis=axis, keepdims=keepdims).numpy()
        assert got.shape == want.shape
        assert got.dtype == (dtype if want.dtype.kind == "f" else want.dtype)
        assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_positions_are_those_of_numpy(name: str, axis: int | None) -> None:
    x = np.random.default_rng(0).integers(0, 4, size=(5, 6))  # Many ties: the first counts.
    for keepdims in (False, True):
        for dtype in ("int32", "float32"):
            got = getattr(mg, name)(x.astype(dtype), axis=axis, keepdims=keepdims)
            want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
            assert got.dtype is mg.int64
            assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint8", "uint64"])
@pytest.mark.parametrize("name", ["sum", "prod"])
def test_totals_of_integers_have_64_bits(name: str, dtype: str) -> None:
    x = np.array([[1, 100], [100, 1]]).astype(dtype)
    got, want = getattr(mg, name)(x, axis=0), getattr(np, name)(x, axis=0)
    assert got.numpy().dtype == want.dtype
    assert_array_equal(got, want)
    with mg.Graph().as_default():
        assert getattr(mg, name)(mg.constant(x), axis=0).dtype is got.dtype


def test_a_dtype_asked_for_is_used_throughout() -> None:
    small = mg.sum(np.array([100, 100], np.int8), dtype="int8")
    assert (small.dtype, int(small)) == (mg.int8, -56)
    assert float(mg.prod([2, 3], dtype="float64")) == 6.0
    x = mg.asarray([1.0, 2.0])
    assert mg.grad(lambda x: mg.sum(x, dtype="float64"))(x).dtype is mg.float32


def test_float16_accumulates_in_float32() -> None:
    ones = np.ones(5000, np.float16)
    assert mg.sum(ones).item() == 5000  # Adding 1 to 2048 is lost in float16.
    assert mg.cumulative_sum(ones).numpy()[-1] == 5000
    assert mg.mean(np.full(10, 60000, np.float16)).item() == 60000
    assert mg.std(np.array([500, -500], np.float16)).item() == 500
    assert mg.prod(np.array([1000, 1000, 0.001], np.float16)).item() == pytest.approx(1000, 1e-2)
    for name in ("sum", "mean", "std", "logsumexp", "cumulative_sum", "max"):
        assert getattr(mg, name)(ones).dtype is mg.float16
    assert mg.grad(mg.mean)(mg.asarray(np.ones(70000, np.float16))).numpy()[0] > 0


def test_reductions_of_nothing() -> None:
    x = np.zeros((0, 3))
    assert mg.sum(x).item() == 0
    assert mg.prod(x, axis=0).tolist() == [1, 1, 1]
    assert math.isnan(mg.mean(x).item())
    assert math.isnan(mg.var(x).item())
    assert mg.logsumexp(x).item() == -math.inf
    assert mg.all(x).item() is True
    assert mg.any(x).item() is False
    assert mg.max(x, axis=1).shape == mg.argmax(x, axis=1).shape == (0,)
    assert mg.max(np.zeros((0, 0)), axis=0).shape == (0,)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_choosing_among_nothing_names_the_shape(name: str) -> None:
    function = getattr(mg, name)
    with pytest.raises(ShapeError, match=r"shape \(0, 3\) has no elements along axis 0"):
        function(np.zeros((0, 3)), axis=0)
    with mg.Graph().as_default() as graph:
        with pytest.raises(ShapeError, match=r"shape \(0, 3\) has no elements"):
            function(mg.zeros((0, 3)))
        x = mg.placeholder("float32", (None, 3))
        y = function(x, axis=0)
    with mg.Session(graph=graph) as session:
        assert session.run(y, {x: np.ones((2, 3))}).shape == (3,)
        with pytest.raises(ShapeError, match=r"shape \(0, 3\) has no elements"):
            session.run(y, {x: np.ones((0, 3))})


def test_nan_and_infinity() -> None:
    x = [1.0, math.nan, 3.0]
    assert math.isnan(mg.max(x).item())
    assert math.isnan(mg.min(x).item())
    assert mg.argmax(x).item() == mg.argmin(x).item() == 1
    assert mg.logsumexp([-math.inf, 2.0]).item() == 2.0
    assert mg.logsumexp([math.inf, -math.inf, 2.0]).item() == math.inf
    assert mg.logsumexp([-math.inf, -math.inf]).item() == -math.inf
    assert math.isnan(mg.logsumexp(x).item())


def test_logsumexp_neither_overflows_nor_underflows() -> None:
    rows = np.array([[1000.0, 1001.0], [-1000.0, -1001.0], [0.0, 700.0], [-math.inf, 5.0]])
    assert_allclose(mg.logsumexp(rows, axis=1), special.logsumexp(rows, axis=1), rtol=1e-15)
    gradient = mg.grad(lambda x: mg.sum(mg.logsumexp(x, axis=1)))(rows)
    assert_allclose(gradient, special.softmax(rows, axis=1), rtol=1e-14)


def test_variance_far_from_zero_is_accurate() -> None:
    x = np.array([1e8, 1e8 + 1, 1e8 + 2])
    assert mg.var(x).item() == pytest.approx(2 / 3, rel=1e-12)
    assert mg.var(x, correction=1).item() == pytest.approx(1.0, rel=1e-12)


def test_more_correction_than_elements() -> None:
    assert math.isnan(mg.var([1.0], correction=1).item())
    assert mg.var([1.0, 2.0], correction=3).item() == math.inf


def test_constant_columns_can_be_standardised() -> None:
    def standardised(x: Any) -> Any:
        spread = mg.std(x, axis=0)
        return mg.sum((x - mg.mean(x, axis=0)) / (spread + 1e-8) * x)

    gradient = mg.grad(standardised)(np.array([[0.0, 1.0], [0.0, 2.0]]))
    assert np.isfinite(np.asarray(gradient)).all()


# -- gradients at corners ---------------------------------------------------------------------


def test_ties_share_the_gradient() -> None:
    assert mg.grad(mg.max)(np.array([2.0, 1.0, 2.0])).tolist() == [0.5, 0, 0.5]
    assert mg.grad(mg.min)(np.ones((2, 2))).tolist() == [[0.25, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("zeros", [[], [1], [0, 2], [0, 1, 3]])
def test_product_gradient_and_hessian_are_exact_with_zeros(zeros: list[int]) -> None:
    x = np.array([2.0, -3.0, 0.5, 4.0])
    x[zeros] = 0
    n = len(x)
    gradient = [math.prod(x[k] for k in range(n) if k != i) for i in range(n)]
    hessian = [
        [0 if i == j else math.prod(x[k] for k in range(n) if k not in (i, j)) for j in range(n)]
        for i in range(n)
    ]
    assert_array_equal(mg.grad(mg.prod)(x), gradient)
    assert_array_equal(mg.hessian(mg.prod)(x), hessian)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_running_product_jacobian_is_exact_with_zeros(reverse: bool, exclusive: bool) -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0, -1.5])
    n = len(x)

    def factors(j: int) -> list[int]:
        """Which elements the j-th product is made of."""
        if reverse:
            return list(range(j + exclusive, n))
        return list(range(j + 1 - exclusive))

    want = [
        [math.prod(x[k] for k in factors(j) if k != i) if i in factors(j) else 0 for i in range(n)]
        for j in range(n)
    ]

    def scan(x: Any) -> Any:
        return mg.cumulative_prod(x, reverse=reverse, exclusive=exclusive)

    assert_array_equal(mg.jacobian(scan)(x), want)


# -- scans ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scans_are_those_of_numpy(name: str, axis: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    ours, numpys = getattr(mg, f"cumulative_{name}"), getattr(np, f"cum{name}")
    total = numpys(x, axis=axis)
    assert_allclose(ours(x, axis=axis), total, rtol=1e-15)
    backward = np.flip(numpys(np.flip(x, axis), axis=axis), axis)
    assert_allclose(ours(x, axis=axis, reverse=True), backward, rtol=1e-15)
    first = np.full_like(np.take(x, [0], axis), 0 if name == "sum" else 1)
    whole = np.concatenate([first, total], axis)
    assert_allclose(ours(x, axis=axis, include_initial=True), whole, rtol=1e-15)
    n = x.shape[axis]
    assert_allclose(ours(x, axis=axis, exclusive=True), np.take(whole, range(n), axis), rtol=1e-15)


def test_scans_as_tensorflow_has_them() -> None:
    x = [2, 3, 4]
    assert mg.cumulative_sum(x, exclusive=True).tolist() == [0, 2, 5]
    assert mg.cumulative_sum(x, reverse=True).tolist() == [9, 7, 4]
    assert mg.cumulative_sum(x, exclusive=True, reverse=True).tolist() == [7, 4, 0]
    assert mg.cumulative_prod(x, exclusive=True, reverse=True).tolist() == [12, 4, 1]
    assert mg.cumulative_prod(x, include_initial=True, reverse=True).tolist() == [24, 12, 4, 1]


def test_scans_of_nothing() -> None:
    assert mg.cumulative_sum(np.zeros(0)).shape == (0,)
    assert mg.cumulative_prod(np.zeros(0), exclusive=True).shape == (0,)
    assert mg.cumulative_prod(np.zeros(0), include_initial=True).tolist() == [1]


def test_scans_refuse() -> None:
    with pytest.raises(ShapeError, match="rank 2 needs an axis"):
        mg.cumulative_sum(np.zeros((2, 2)))
    with pytest.raises(ArgumentError, match="not both"):
        mg.cumulative_prod([1.0], include_initial=True, exclusive=True)


@pytest.mark.parametrize("shape", [(1,), (2,), (9,), (4, 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_recurrence_by_doubling_is_the_loop(shape: tuple[int, ...], reverse: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    want, state = np.empty(shape), np.zeros(shape[1:])
    for i in range(shape[0])[:: -1 if reverse else 1]:
        want[i] = state = a[i] * state + b[i]
    assert_allclose(linear_recurrence(a, b, axis=0, reverse=reverse), want, rtol=1e-14)
    assert linear_recurrence.compute is not None
    generic = linear_recurrence.compute(np, a, b, axis=0, reverse=reverse)
    assert_allclose(generic, want, rtol=1e-12)


# -- what is not known when the graph is built ------------------------------------------------

SMOOTH = ["sum", "prod", "max", "min", "mean", "var", "std", "logsumexp"]


@pytest.mark.parametrize("shape", [None, (None, None, 4), (2, None, None)])
@pytest.mark.parametrize("axis", [None, 1, (-1, 0)])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_unknown_shapes(name: str, axis: Any, shape: Any) -> None:
    value = np.random.default_rng(0).normal(size=(2, 3, 4))

    def f(x: Any, keepdims: bool) -> Any:
        return mg.sum(mg.square(getattr(mg, name)(x, axis=axis, keepdims=keepdims)))

    want = mg.grad(lambda x: f(x, False))(value)
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", shape)
        gradients = [mg.gradients(f(x, keepdims), [x])[0] for keepdims in (False, True)]
        second = mg.gradients(gradients[0], [x])[0]
    with mg.Session(graph=graph) as session:
        for gradient in session.run(gradients, {x: value}):
            assert_allclose(gradient, want, rtol=1e-13)
        assert session.run(second, {x: value}).shape == value.shape


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_gradients_of_scans_of_unknown_shapes(name: str) -> None:
    value = np.random.default_rng(0).normal(size=(2, 3))

    def f(x: Any) -> Any:
        return mg.sum(mg.square(getattr(mg, name)(x, axis=-1, include_initial=True)))

    want = mg.grad(f)(value)
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64")
        gradient = mg.gradients(f(x), [x])[0]
    with mg.Session(graph=graph) as session:
        assert_allclose(session.run(gradient, {x: value}), want, rtol=1e-13)


def test_static_shapes() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, 3))
        assert mg.sum(x).shape == ()
        assert mg.mean(x, axis=0).shape == (3,)
        assert mg.max(x, axis=-1, keepdims=True).shape == (None, 1)
        assert mg.argmax(x, axis=1).shape == (None,)
        assert mg.cumulative_sum(x, axis=1, include_initial=True).shape == (None, 4)
        with pytest.raises(ShapeError, match="axis 2 is out of range"):
            mg.sum(x, axis=2)


def test_scalars_have_no_axis_to_reduce() -> None:
    for name in ("sum", "max", "mean", "all", "argmax", "logsumexp"):
        with pytest.raises(ShapeError, match="out of range"):
            getattr(mg, name)(3.0, axis=0)  # NumPy lets this pass.
        getattr(mg, name)(3.0)


def test_text_and_complex_are_refused() -> None:
    with pytest.raises(DTypeError, match="numbers"):
        mg.sum(np.array(["a", "b"], object))
    with pytest.raises(DTypeError, match="order"):
        mg.max(np.array([1j]))
    assert mg.sum(np.array([1j, 2])).item() == 2 + 1j

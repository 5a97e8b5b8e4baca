"""Linear algebra: values beside NumPy's, gradients beside closed forms, and every refusal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import minigrad as mg
from minigrad import errors

RNG = np.random.default_rng(1)
CLOSE = {"float32": 2e-5, "float64": 1e-12}
SQUARE = [(2, 2), (5, 5), (3, 2, 2), (2, 3, 4, 4), (1, 1), (0, 0), (0, 3, 3), (2, 0, 0)]
AXES: list[Any] = [None, 0, -1, (0, 2)]
MATRIX_ORDERS: list[Any] = ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]
ANY = [(3, 3), (5, 2), (2, 5), (4, 3, 2), (2, 2, 2, 3), (0, 3, 2), (3, 0), (0, 3)]


def regular(*shape: int, dtype: str = "float64") -> Any:
    return (RNG.normal(size=shape) * 0.4 + 2 * np.eye(shape[-1])).astype(dtype)


def rectangular(*shape: int, dtype: str = "float64") -> Any:
    return (RNG.normal(size=shape) + 2 * np.eye(shape[-2], shape[-1])).astype(dtype)


def symmetric(*shape: int, dtype: str = "float64") -> Any:
    x = RNG.normal(size=shape)
    return (x + np.swapaxes(x, -1, -2)).astype(dtype)


def positive(*shape: int, dtype: str = "float64") -> Any:
    x = RNG.normal(size=shape)
    return (x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])).astype(dtype)


def same(made: Any, expected: Any, dtype: str) -> None:
    assert made.dtype == dtype
    assert made.shape == np.shape(expected)
    np.testing.assert_allclose(made, expected, rtol=CLOSE[dtype], atol=CLOSE[dtype])


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize("dtype", CLOSE)
def test_functions_of_square_matrices_give_numpys_values(shape: Any, dtype: str) -> None:
    x = regular(*shape, dtype=dtype)
    same(mg.linalg.inv(x), np.linalg.inv(x), dtype)
    same(mg.linalg.det(x), np.linalg.det(x), dtype)
    for made, expected in zip(mg.linalg.slogdet(x), np.linalg.slogdet(x), strict=True):
        same(made, expected, dtype)
    same(mg.linalg.matrix_power(x, 3), np.linalg.matrix_power(x, 3), dtype)
    same(mg.linalg.matrix_power(x, -1), np.linalg.matrix_power(x, -1), dtype)
    same(mg.linalg.matrix_power(x, 0), np.linalg.matrix_power(x, 0), dtype)
    cofactors = np.linalg.det(x)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)
    same(mg.linalg.cofactors(x), cofactors, dtype)


@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.parametrize("dtype", CLOSE)
def test_functions_of_symmetric_matrices_give_numpys_values(shape: Any, dtype: str) -> None:
    x = symmetric(*shape, dtype=dtype)
    values, vectors = mg.linalg.eigh(x)
    same(values, np.linalg.eigh(x)[0], dtype)
    same(mg.linalg.eigvalsh(x), np.linalg.eigvalsh(x), dtype)
    rebuilt = mg.einsum("...ij,...j,...kj->...ik", vectors, values, vectors)
    np.testing.assert_allclose(rebuilt, x, atol=20 * CLOSE[dtype])
    p = positive(*shape, dtype=dtype)
    lower = np.linalg.cholesky(p)
    same(mg.linalg.cholesky(p), lower, dtype)
    same(mg.linalg.cholesky(p, upper=True), np.swapaxes(lower, -1, -2), dtype)


@pytest.mark.parametrize("shape", ANY)
@pytest.mark.parametrize("dtype", CLOSE)
def test_decompositions_of_any_matrices_give_numpys_values(shape: Any, dtype: str) -> None:
    x = rectangular(*shape, dtype=dtype)
    for full in (True, False):
        for made, expected in zip(
            mg.linalg.svd(x, full_matrices=full),
            np.linalg.svd(x, full_matrices=full),
            strict=True,
        ):
            same(made, expected, dtype)
    same(mg.linalg.svdvals(x), np.linalg.svdvals(x), dtype)
    for mode in ("reduced", "complete"):
        if x.size or mode == "reduced":
            for made, expected in zip(
                mg.linalg.qr(x, mode=mode), np.linalg.qr(x, mode=mode), strict=True
            ):
                same(made, expected, dtype)
    same(mg.linalg.pinv(x), np.linalg.pinv(x, rtol=1e-6), dtype)
    rank = mg.linalg.matrix_rank(x)
    assert rank.dtype == "int64"
    assert np.all(np.asarray(rank) == min(shape[-2:]))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (2, 3, 2)),
        ((2, 3, 3), (3, 2)),
        ((3, 3), (2, 3, 2)),
        ((2, 1, 3, 3), (4, 3, 1)),
        ((0, 0), (0, 2)),
    ],
)
@pytest.mark.parametrize("dtype", CLOSE)
def test_solving_gives_numpys_values(a: Any, b: Any, dtype: str) -> None:
    x, y = regular(*a, dtype=dtype), RNG.normal(size=b).astype(dtype)
    same(mg.linalg.solve(x, y), np.linalg.solve(x, y), dtype)
    for lower in (True, False):
        triangle = np.tril(x) if lower else np.triu(x)
        made = mg.linalg.triangular_solve(x, y, lower=lower)
        same(made, np.linalg.solve(triangle, y), dtype)
        made = mg.linalg.triangular_solve(x, y, lower=lower, transpose=True)
        same(made, np.linalg.solve(np.swapaxes(triangle, -1, -2), y), dtype)


def test_triangular_solving_is_as_accurate_as_substitution() -> None:
    """A triangle with a condition number near 1e13, where a plain LU would lose digits."""
    n = 12
    a = np.tril(RNG.normal(size=(n, n)))
    np.fill_diagonal(a, np.logspace(0, -6, n))
    b = RNG.normal(size=n)
    for lower, transpose in [(True, False), (True, True), (False, False), (False, True)]:
        matrix = a if lower else a.T
        expected = scipy.linalg.solve_triangular(matrix, b, lower=lower, trans=int(transpose))
        made = mg.linalg.triangular_solve(matrix, b, lower=lower, transpose=transpose)
        np.testing.assert_allclose(made, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", CLOSE)
def test_norms_give_numpys_values(dtype: str) -> None:
    x = RNG.normal(size=(2, 3, 4)).astype(dtype)
    for order in (2, 1, 0, 3, 0.5, -1, -2, math.inf, -math.inf):
        for axis in AXES:
            made = mg.linalg.vector_norm(x, axis=axis, ord=order, keepdims=True)
            expected = np.linalg.vector_norm(x, axis=axis, ord=order, keepdims=True)
            same(made, expected, dtype)
    for which in MATRIX_ORDERS:
        for keepdims in (True, False):
            made = mg.linalg.matrix_norm(x, ord=which, keepdims=keepdims)
            expected = np.linalg.matrix_norm(x, ord=which, keepdims=keepdims)
            same(made, expected, dtype)
            made = mg.linalg.norm(x, which, (0, 2), keepdims)
            expected = np.linalg.norm(x, which, (0, 2), keepdims)
            same(made, expected, dtype)
        same(mg.linalg.norm(x[0], which), np.linalg.norm(x[0], which), dtype)
    same(mg.linalg.norm(x), np.linalg.norm(x), dtype)
    same(mg.linalg.norm(x[0, 0], 3), np.linalg.norm(x[0, 0], 3), dtype)
    same(mg.linalg.trace(x, offset=1), np.trace(x, 1, -2, -1), dtype)
    square = regular(3, 3, dtype=dtype)
    for p in (None, "fro", 1, -1, 2, -2, math.inf):
        same(mg.linalg.cond(square, p), np.linalg.cond(square, p), dtype)


def test_integers_are_computed_in_float32() -> None:
    x = np.array([[2, 1], [1, 1]])
    assert mg.linalg.inv(x).dtype == "float32"
    assert mg.linalg.vector_norm(x, ord=1).dtype == "float32"
    assert mg.linalg.matrix_norm(x, ord=1).dtype == "float32"
    np.testing.assert_allclose(mg.linalg.inv(x), [[1, -1], [-1, 2]], rtol=1e-6)


FLOAT_FUNCTIONS: list[Callable[[Any], Any]] = [
    mg.linalg.inv,
    mg.linalg.det,
    mg.linalg.slogdet,
    mg.linalg.cholesky,
    mg.linalg.eigh,
    mg.linalg.eigvalsh,
    mg.linalg.svd,
    mg.linalg.svdvals,
    mg.linalg.qr,
    mg.linalg.pinv,
    mg.linalg.vector_norm,
    mg.linalg.matrix_norm,
    lambda x: mg.linalg.solve(x, x),
    lambda x: mg.linalg.triangular_solve(x, x),
    mg.linalg.cofactors,
]


@pytest.mark.parametrize("function", FLOAT_FUNCTIONS)
def test_half_precision_is_computed_in_single(function: Callable[[Any], Any]) -> None:
    x = np.array([[2.0, 0.5], [0.5, 1.0]], np.float16)
    half, single = function(x), function(x.astype(np.float32))
    if not isinstance(half, tuple):
        half, single = (half,), (single,)
    for h, s in zip(half, single, strict=True):
        assert h.dtype == "float16"
        np.testing.assert_array_equal(h, np.asarray(s).astype(np.float16))
    gradient = mg.grad(lambda v: mg.sum(mg.linalg.inv(v)))(x)
    assert gradient.dtype == "float16"


# -- gradients ---------------------------------------------------------------------------------


def test_gradients_beside_closed_forms() -> None:
    x = regular(2, 3, 3)
    transposed_inverse = np.swapaxes(np.linalg.inv(x), -1, -2)
    found = mg.grad(lambda v: mg.sum(mg.linalg.det(v)))(x)
    np.testing.assert_allclose(found, np.linalg.det(x)[:, None, None] * transposed_inverse)
    found = mg.grad(lambda v: mg.sum(mg.linalg.slogdet(v).logabsdet))(x)
    np.testing.assert_allclose(found, transposed_inverse)
    found = mg.grad(lambda v: mg.sum(mg.linalg.trace(mg.linalg.inv(v))))(x)
    np.testing.assert_allclose(found, -transposed_inverse @ transposed_inverse, rtol=1e-12)
    p = positive(3, 3)
    found = mg.grad(lambda v: mg.sum(mg.log(mg.linalg.diagonal(mg.linalg.cholesky(v)))))(p)
    np.testing.assert_allclose(found, 0.5 * np.linalg.inv(p), rtol=1e-10)
    found = mg.grad(lambda v: mg.sum(mg.linalg.eigvalsh(v) ** 2))(p)
    np.testing.assert_allclose(found, 2 * p, rtol=1e-10)
    r = rectangular(4, 3)
    u, _, vh = np.linalg.svd(r, full_matrices=False)
    found = mg.grad(lambda v: mg.linalg.matrix_norm(v, ord="nuc"))(r)
    np.testing.assert_allclose(found, u @ vh, atol=1e-12)
    found = mg.grad(lambda v: mg.linalg.matrix_norm(v, ord=2))(r)
    np.testing.assert_allclose(found, np.outer(u[:, 0], vh[0]), atol=1e-12)


def test_a_gradient_of_a_batch_is_that_of_each_matrix() -> None:
    a, b = positive(2, 3, 3), RNG.normal(size=(2, 3, 2))

    def loss(x: Any, y: Any) -> Any:
        s = mg.linalg.svd(mg.linalg.solve(x, y), full_matrices=False)
        q = mg.linalg.qr(mg.linalg.cholesky(x)).Q
        w = mg.linalg.eigh(x).eigenvectors
        return mg.sum(s.U**3) + mg.sum(s.Vh * s.S[..., None]) + mg.sum(q @ w) + mg.sum(s.S)

    together = mg.grad(loss, argnums=(0, 1))(a, b)
    for i in range(2):
        alone = mg.grad(loss, argnums=(0, 1))(a[i], b[i])
        for t, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(np.asarray(t)[i], one, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("known", ["rank", "nothing"])
def test_gradients_in_a_graph_with_unknown_dimensions(known: str) -> None:
    x = positive(2, 3, 3)

    def loss(v: Any) -> Any:
        total = mg.sum(mg.linalg.inv(v)) + mg.sum(mg.linalg.det(v))
        total = total + mg.sum(mg.linalg.slogdet(v).logabsdet)
        total = total + mg.sum(mg.linalg.cholesky(v)) + mg.sum(mg.linalg.eigvalsh(v) ** 2)
        total = total + mg.sum(mg.linalg.svd(v, full_matrices=False).U ** 3)
        total = total + mg.sum(mg.linalg.qr(v).Q ** 3) + mg.sum(mg.linalg.pinv(v))
        total = total + mg.sum(mg.linalg.solve(v, np.ones(3)))
        return total + mg.sum(mg.linalg.matrix_norm(v)) + mg.sum(mg.linalg.eigh(v)[1] ** 3)

    with mg.Graph().as_default() as graph:
        p = mg.placeholder("float64", (None,) * 3 if known == "rank" else None)
        gradient = mg.gradients(loss(p), p)[0]
    with mg.Session(graph=graph) as session:
        found = session.run(gradient, {p: x})
    np.testing.assert_allclose(found, mg.grad(loss)(x), rtol=1e-9)


def ways_to_know(shape: tuple[int, ...]) -> list[Any]:
    """All that a graph may know of a shape but the whole of it: each dimension, and the rank."""
    kept = [tuple(d if i == j else None for j, d in enumerate(shape)) for i in range(len(shape))]
    return [shape, *kept, (None,) * len(shape), None]


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (2, 2), (2, 2, 4), (2, 3, 1), (0, 2), (2, 0)])
def test_gradients_of_qr_hold_for_wide_and_tall_matrices(shape: tuple[int, ...]) -> None:
    """However much a graph knows of the shape; beside differences at orders one and two."""
    x, w = rectangular(*shape), RNG.normal(size=shape)

    def loss(v: Any) -> Any:
        q, r = mg.linalg.qr(v)
        return mg.sum(q**3) + mg.sum(mg.sin(q)) + mg.sum(mg.cos(r)) + mg.sum(r**3)

    def plain(v: Any) -> Any:
        q, r = np.linalg.qr(v)
        return np.sum(q**3) + np.sum(np.sin(q)) + np.sum(np.cos(r)) + np.sum(r**3)

    step = 1e-5 * w
    slope = (plain(x + step) - plain(x - step)) / 2e-5
    first = np.asarray(mg.grad(loss)(x))
    np.testing.assert_allclose(np.sum(first * w), slope, rtol=1e-7)
    bend = (np.asarray(mg.grad(loss)(x + step)) - np.asarray(mg.grad(loss)(x - step))) / 2e-5
    for static in ways_to_know(shape):
        with mg.Graph().as_default() as graph:
            p = mg.placeholder("float64", static)
            (once,) = mg.gradients(loss(p), p)
            (twice,) = mg.gradients(mg.sum(once * w), p)
        with mg.Session(graph=graph) as session:
            found = session.run([once, twice], {p: x})
        np.testing.assert_allclose(found[0], first, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found[1], bend, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("a", "b"), [((2, 2), (2,)), ((2, 2), (2, 3)), ((3, 2, 2), (2,)), ((2, 2), (3, 2, 1))]
)
def test_right_hand_sides_of_unknown_rank_have_gradients(a: Any, b: Any) -> None:
    x, y, w = regular(*a), RNG.normal(size=b), RNG.normal(size=b)
    for solve in (mg.linalg.solve, mg.linalg.triangular_solve):

        def loss(u: Any, v: Any, solve: Any = solve) -> Any:
            return mg.sum(solve(u, v) ** 3)

        with mg.Graph().as_default() as graph:
            p, q = mg.placeholder("float64"), mg.placeholder("float64")
            once = mg.gradients(loss(p, q), [p, q])
            twice = mg.gradients(mg.sum(once[1] * w), [p, q])
        with mg.Session(graph=graph) as session:
            found = session.run([*once, *twice], {p: x, q: y})
        first = mg.grad(loss, argnums=(0, 1))

        def projected(u: Any, v: Any, first: Any = first) -> Any:
            return mg.sum(first(u, v)[1] * w)

        expected = [*first(x, y), *mg.grad(projected, argnums=(0, 1))(x, y)]
        for made, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(made, wanted, rtol=1e-10)


def test_det_has_gradients_at_singular_matrices() -> None:
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    minors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(mg.grad(mg.linalg.det)(x), minors, atol=1e-12)
    # The second derivative of a polynomial, by differences that are exact for it.
    hessian = np.asarray(mg.hessian(mg.linalg.det)(x))
    for index in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[index] = 1.0
        difference = np.asarray(mg.grad(mg.linalg.det)(x + step)) - mg.grad(mg.linalg.det)(x - step)
        np.testing.assert_allclose(hessian[index], difference / 2, atol=1e-11)


def test_a_gradient_through_arbitrary_eigenvectors_is_nan_and_not_wrong() -> None:
    q = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    x = q @ np.diag([1.0, 1.0, 1.0, 2.0]) @ q.T
    w = symmetric(4, 4)

    def square(v: Any) -> Any:
        values, vectors = mg.linalg.eigh(v)
        return mg.sum(mg.einsum("ij,j,kj->ik", vectors, values**2, vectors) * w)

    assert np.isnan(np.asarray(mg.grad(square)(x))).all()
    assert np.isnan(np.asarray(mg.grad(lambda v: mg.sum(mg.linalg.svd(v).U))(np.eye(3)))).all()
    apart = q @ np.diag([1.0, 2.0, 3.0, 4.0]) @ q.T
    np.testing.assert_allclose(mg.grad(square)(apart), apart @ w + w @ apart, rtol=1e-10)


def test_repeated_values_do_not_harm_functions_of_the_values() -> None:
    q = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    x = q @ np.diag([1.0, 1.0, 1.0, 2.0]) @ q.T
    for function in (mg.linalg.eigvalsh, lambda v: mg.linalg.eigh(v).eigenvalues):
        found = mg.grad(lambda v, f=function: mg.sum(f(v) ** 2))(x)
        np.testing.assert_allclose(found, 2 * x, atol=1e-12)
    low = np.outer(np.arange(1.0, 4.0), [3.0, 4.0])
    expected = low / np.linalg.norm(low)
    for function in (mg.linalg.svdvals, lambda v: mg.linalg.svd(v, full_matrices=False).S):
        found = mg.grad(lambda v, f=function: mg.max(f(v)))(low)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    found = mg.grad(lambda v: mg.linalg.matrix_norm(v, ord="nuc"))(np.eye(3))
    np.testing.assert_array_equal(found, np.eye(3))


def test_gradients_of_symmetric_functions_are_symmetric() -> None:
    x, w = positive(3, 3), RNG.normal(size=(3, 3))
    for function in (mg.linalg.cholesky, lambda v: mg.linalg.eigh(v).eigenvectors):
        found = np.asarray(mg.grad(lambda v, f=function: mg.sum(f(v) * w))(x))
        np.testing.assert_allclose(found, found.T, rtol=1e-12)


def test_norms_have_gradient_zero_at_zero() -> None:
    for order in (2, 1, 3, 0.5, math.inf, -math.inf, 0):
        found = mg.grad(lambda v, o=order: mg.linalg.vector_norm(v, ord=o))(np.zeros(3))
        np.testing.assert_array_equal(found, np.zeros(3))
    found = mg.grad(lambda v: mg.sum(mg.linalg.vector_norm(v, axis=1)))(
        np.array([[0.0, 0.0], [3.0, 4.0]])
    )
    np.testing.assert_allclose(found, np.array([[0, 0], [0.6, 0.8]]))


def test_the_gradient_of_empty_matrices_is_empty() -> None:
    for shape in ((0, 0), (0, 2, 2)):
        x = np.zeros(shape)
        for function in FLOAT_FUNCTIONS:

            def loss(v: Any, f: Callable[[Any], Any] = function) -> Any:
                out = f(v)
                parts = out if isinstance(out, tuple) else (out,)
                return sum(mg.sum(p) for p in parts)

            assert mg.grad(loss)(x).shape == shape


def test_arbitrary_vectors_have_no_gradient() -> None:
    x = rectangular(3, 2)
    with pytest.raises(errors.NotDifferentiableError, match="full_matrices=False"):
        mg.grad(lambda v: mg.sum(mg.linalg.svd(v).S))(x)
    with pytest.raises(errors.NotDifferentiableError, match="mode='reduced'"):
        mg.grad(lambda v: mg.sum(mg.linalg.qr(v, mode="complete").R))(x)
    assert mg.grad(lambda v: mg.sum(mg.linalg.svd(v).S))(x[:2]).shape == (2, 2)


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "x", "message"),
    [
        (mg.linalg.inv, np.ones((2, 2)), "singular.*pinv"),
        (lambda x: mg.linalg.solve(x, np.ones(2)), np.zeros((2, 2)), "singular.*least squares"),
        (lambda x: mg.linalg.triangular_solve(x, np.ones(2)), np.zeros((2, 2)), "diagonal"),
        (mg.linalg.cholesky, -np.eye(2), "not positive definite.*identity"),
        (mg.linalg.cholesky, np.full((2, 2), np.nan), "finite"),
        (mg.linalg.eigh, np.full((2, 2), np.nan), "eigh needs finite numbers.*check_numerics"),
        (mg.linalg.eigvalsh, np.full((2, 2), np.inf), "finite"),
        (mg.linalg.svd, np.full((2, 2), np.inf), "finite"),
        (mg.linalg.svdvals, np.full((2, 3), np.nan), "finite"),
        (mg.linalg.pinv, np.full((2, 3), np.nan), "finite"),
        (mg.linalg.matrix_rank, np.full((2, 3), np.inf), "finite"),
    ],
)
def test_matrices_without_an_answer_raise(function: Any, x: Any, message: str) -> None:
    with pytest.raises(errors.LinAlgError, match=message):
        function(x)
    with mg.Graph().as_default() as graph:
        p = mg.placeholder("float64")
        y = function(p)
    with mg.Session(graph=graph) as session, pytest.raises(errors.LinAlgError, match=message):
        session.run(y, {p: x})


def test_the_error_names_the_matrix_of_a_batch() -> None:
    x = np.stack([np.eye(2), np.ones((2, 2))])
    with pytest.raises(errors.LinAlgError, match=r"at \(1,\)"):
        mg.linalg.inv(x)
    with pytest.raises(errors.LinAlgError, match=r"at \(1,\)"):
        mg.linalg.solve(x, np.ones(2))


def test_a_singular_matrix_has_a_logarithm_of_minus_infinity_but_no_gradient() -> None:
    sign, logabsdet = mg.linalg.slogdet(np.zeros((2, 2)))
    assert (sign.item(), logabsdet.item()) == (0.0, -math.inf)
    with pytest.raises(errors.LinAlgError, match="singular"):
        mg.grad(lambda v: mg.linalg.slogdet(v).logabsdet)(np.zeros((2, 2)))


def test_nan_goes_through_where_lapack_lets_it() -> None:
    x = np.full((2, 2), np.nan)
    for function in (mg.linalg.inv, mg.linalg.det, mg.linalg.cofactors):
        assert np.isnan(np.asarray(function(x))).all()
    assert np.isnan(np.asarray(mg.grad(mg.linalg.det)(x))).all()


@pytest.mark.parametrize("function", [f for f in FLOAT_FUNCTIONS if f is not mg.linalg.vector_norm])
def test_shapes_are_refused_in_both_modes(function: Callable[[Any], Any]) -> None:
    with pytest.raises(errors.ShapeError, match=r"takes .*matrices.*got shape \(3,\)"):
        function(np.ones(3))
    with mg.Graph().as_default(), pytest.raises(errors.ShapeError, match=r"takes .*matrices"):
        function(mg.placeholder("float64", (3,)))
    with pytest.raises(errors.DTypeError, match="string"):
        function(np.array([["a"]]))


def test_a_wrong_shape_is_named_in_a_run_too() -> None:
    with mg.Graph().as_default() as graph:
        p = mg.placeholder("float64")
        y = mg.linalg.inv(p)
    with mg.Session(graph=graph) as session, pytest.raises(ValueError, match="square matrices"):
        session.run(y, {p: np.ones((2, 3))})


def test_the_namespace_has_the_standards_names() -> None:
    standard = (
        "cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank "
        "matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot "
        "vector_norm"
    )
    assert set(standard.split()) <= set(mg.linalg.__all__)
    assert all(hasattr(mg.linalg, name) for name in mg.linalg.__all__)

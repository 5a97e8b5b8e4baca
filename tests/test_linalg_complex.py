"""Linear algebra of complex matrices: values and dtypes beside NumPy's, and no gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import minigrad as mg
from minigrad import errors

RNG = np.random.default_rng(2)
SHAPES = [(2, 2), (4, 4), (3, 2, 2), (0, 0), (0, 2, 2)]
DTYPES = {"complex64": "float32", "complex128": "float64"}
CLOSE = {"complex64": 5e-5, "complex128": 1e-12}
ORDERS: list[Any] = ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]

every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def normal(*shape: int, dtype: str = "complex128") -> Any:
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def regular(*shape: int, dtype: str = "complex128") -> Any:
    return (normal(*shape) * 0.4 + 2 * np.eye(shape[-1])).astype(dtype)


def adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def both(function: Callable[..., Any], *arrays: Any) -> tuple[Any, ...]:
    """The results in eager code; a session gives the same, however much its graph knows."""
    made = function(*arrays)
    parts = made if isinstance(made, tuple) else (made,)
    for known in (True, False):
        with mg.Graph().as_default() as graph:
            fed = [mg.placeholder(a.dtype.name, a.shape if known else None) for a in arrays]
            lazy = function(*fed)
        nodes = lazy if isinstance(lazy, tuple) else (lazy,)
        assert [n.dtype for n in nodes] == [p.dtype for p in parts]
        with mg.Session(graph=graph) as session:
            found = session.run(list(nodes), dict(zip(fed, arrays, strict=True)))
        for p, f in zip(parts, found, strict=True):
            assert f.dtype == p.dtype.dtype
            close = 8 * np.finfo(f.dtype).eps if f.dtype.kind in "fc" else 0
            np.testing.assert_allclose(f, p, rtol=close, atol=close)
    return tuple(np.asarray(p) for p in parts)


def same(function: Callable[..., Any], expected: Any, dtype: str, *arrays: Any) -> None:
    """Equal to NumPy's, in value and dtype."""
    parts = expected if isinstance(expected, tuple) else (expected,)
    close = next(c for d, c in CLOSE.items() if dtype in (d, DTYPES[d]))
    for made, wanted in zip(both(function, *arrays), parts, strict=True):
        assert made.dtype == np.asarray(wanted).dtype
        assert made.shape == np.shape(wanted)
        np.testing.assert_allclose(made, wanted, rtol=close, atol=close)


@pytest.mark.parametrize("shape", SHAPES)
@every_dtype
def test_functions_of_square_matrices(shape: Any, dtype: str) -> None:
    x = regular(*shape, dtype=dtype)
    same(mg.linalg.inv, np.linalg.inv(x), dtype, x)
    same(mg.linalg.det, np.asarray(np.linalg.det(x)), dtype, x)
    same(mg.linalg.slogdet, tuple(np.linalg.slogdet(x)), dtype, x)
    for n in (3, -2, 0):
        same(lambda v, n=n: mg.linalg.matrix_power(v, n), np.linalg.matrix_power(x, n), dtype, x)
    minors = np.linalg.det(x)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)
    same(mg.linalg.cofactors, minors.astype(dtype), dtype, x)
    same(mg.linalg.trace, np.linalg.trace(x), dtype, x)


def test_cofactors_of_a_singular_matrix_are_its_minors() -> None:
    x = normal(3, 2) @ normal(2, 3)
    minors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ]
    np.testing.assert_allclose(mg.linalg.cofactors(x), minors, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@every_dtype
def test_functions_of_hermitian_matrices(shape: Any, dtype: str) -> None:
    x = normal(*shape, dtype=dtype)
    hermitian, positive = x + adjoint(x), x @ adjoint(x) + np.eye(shape[-1], dtype=dtype)
    same(mg.linalg.eigvalsh, np.linalg.eigvalsh(hermitian), dtype, hermitian)
    same(mg.linalg.eigvalsh, np.linalg.eigvalsh(hermitian / 2), dtype, x)
    values, vectors = both(mg.linalg.eigh, hermitian)
    assert (values.dtype.name, vectors.dtype.name) == (DTYPES[dtype], dtype)
    rebuilt = (vectors * values[..., None, :]) @ adjoint(vectors)
    np.testing.assert_allclose(rebuilt, hermitian, atol=20 * CLOSE[dtype])
    same(mg.linalg.cholesky, np.linalg.cholesky(positive), dtype, positive)
    upper = both(lambda v: mg.linalg.cholesky(v, upper=True), positive)[0]
    np.testing.assert_allclose(upper, adjoint(np.linalg.cholesky(positive)), atol=CLOSE[dtype])


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 2, 3), (3, 0), (0, 3, 2)])
@every_dtype
def test_functions_of_any_matrices(shape: Any, dtype: str) -> None:
    x = normal(*shape, dtype=dtype)
    for full in (True, False):

        def svd(v: Any, full: bool = full) -> Any:
            return mg.linalg.svd(v, full_matrices=full)

        same(svd, tuple(np.linalg.svd(x, full_matrices=full)), dtype, x)
    same(mg.linalg.svdvals, np.linalg.svdvals(x), dtype, x)
    same(mg.linalg.qr, tuple(np.linalg.qr(x)), dtype, x)
    same(mg.linalg.pinv, np.linalg.pinv(x), dtype, x)
    same(mg.linalg.matrix_rank, np.asarray(np.linalg.matrix_rank(x)), dtype, x)
    if x.size:
        complete = tuple(np.linalg.qr(x, mode="complete"))
        same(lambda v: mg.linalg.qr(v, mode="complete"), complete, dtype, x)


def test_the_rank_of_complex_matrices_counts_what_is_not_zero() -> None:
    x = normal(5, 2) @ normal(2, 4)
    assert mg.linalg.matrix_rank(x).item() == 2
    np.testing.assert_allclose(mg.linalg.pinv(x), np.linalg.pinv(x), rtol=1e-10)


@pytest.mark.parametrize(("a", "b"), [((3, 3), (3,)), ((2, 3, 3), (3, 2)), ((3, 3), (2, 3, 1))])
@every_dtype
def test_solving(a: Any, b: Any, dtype: str) -> None:
    x, y = regular(*a, dtype=dtype), normal(*b, dtype=dtype)
    same(mg.linalg.solve, np.linalg.solve(x, y), dtype, x, y)
    real = x.real.copy()
    same(mg.linalg.solve, np.linalg.solve(real, y), dtype, real, y)
    same(mg.linalg.solve, np.linalg.solve(x, y.real), dtype, x, y.real.copy())


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_solving_with_triangles_does_not_conjugate(lower: bool, transpose: bool) -> None:
    x, y = regular(3, 3), normal(3)
    expected = scipy.linalg.solve_triangular(x, y, lower=lower, trans=int(transpose))
    same(
        lambda u, v: mg.linalg.triangular_solve(u, v, lower=lower, transpose=transpose),
        *(expected, "complex128", x, y),
    )


@every_dtype
def test_norms(dtype: str) -> None:
    x = normal(2, 3, 3, dtype=dtype)
    for order in (2, 1, 0, 3, 0.5, -1, math.inf, -math.inf):
        for axis in (None, 0, (0, 2)):
            same(
                lambda v, o=order, a=axis: mg.linalg.vector_norm(v, ord=o, axis=a),
                np.asarray(np.linalg.vector_norm(x, ord=order, axis=axis)).astype(DTYPES[dtype]),
                *(dtype, x),
            )
    for which in ORDERS:
        expected: Any = np.linalg.matrix_norm(x, ord=which)
        same(lambda v, o=which: mg.linalg.matrix_norm(v, ord=o), expected, dtype, x)
        square = regular(3, 3, dtype=dtype)
        expected = np.asarray(np.linalg.norm(square, which))
        with mg.Graph().as_default():
            node = mg.linalg.norm(mg.placeholder(dtype, (3, 3)), which)
        assert node.dtype == DTYPES[dtype]
        np.testing.assert_allclose(mg.linalg.norm(square, which), expected, rtol=CLOSE[dtype])
        expected = np.asarray(np.linalg.cond(square, which)).astype(DTYPES[dtype])
        same(lambda v, o=which: mg.linalg.cond(v, o), expected, dtype, square)
    same(mg.linalg.norm, np.asarray(np.linalg.norm(x)), dtype, x)


# -- what is refused ---------------------------------------------------------------------------

FUNCTIONS: list[Callable[[Any], Any]] = [
    mg.linalg.inv,
    lambda x: mg.linalg.solve(x, np.ones(2)),
    lambda x: mg.linalg.solve(np.eye(2), x),
    lambda x: mg.linalg.triangular_solve(x, np.ones(2)),
    mg.linalg.det,
    mg.linalg.slogdet,
    mg.linalg.cofactors,
    mg.linalg.cholesky,
    lambda x: mg.linalg.cholesky(x, upper=True),
    mg.linalg.qr,
    lambda x: mg.linalg.qr(x, mode="complete"),
    mg.linalg.eigh,
    mg.linalg.eigvalsh,
    mg.linalg.svd,
    lambda x: mg.linalg.svd(x, full_matrices=False),
    mg.linalg.svdvals,
    mg.linalg.pinv,
    lambda x: mg.linalg.matrix_power(x, -3),
    mg.linalg.trace,
    mg.linalg.cond,
    lambda x: mg.linalg.cond(x, 1),
    *(lambda x, o=o: mg.linalg.vector_norm(x, ord=o) for o in (1, 2, 3, math.inf)),
    *(lambda x, o=o: mg.linalg.matrix_norm(x, ord=o) for o in ORDERS),
    mg.linalg.norm,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_gradient_that_leads_through_complex_matrices_is_refused(
    function: Callable[[Any], Any],
) -> None:
    """Also where it starts and ends at real numbers."""

    def loss(v: Any, part: Callable[[Any], Any]) -> Any:
        made = function(v + np.array([[0, -1j], [1j, 0]]))
        parts = made if isinstance(made, tuple) else (made,)
        return sum(mg.sum(part(p)) for p in parts)

    x = np.array([[2.0, 0.0], [0.0, 3.0]])
    for part in (mg.abs, mg.real, lambda p: mg.linalg.vector_norm(p)):
        with pytest.raises(errors.NotDifferentiableError, match="complex"):
            mg.grad(loss)(x, part)
        for shape in ((2, 2), None):
            with mg.Graph().as_default():
                p = mg.placeholder("float64", shape)
                with pytest.raises(errors.NotDifferentiableError, match="complex"):
                    mg.gradients(loss(p, part), p)
    with pytest.raises(errors.NotDifferentiableError, match="complex"):
        mg.grad(lambda v: loss(v, mg.abs))(x + 0j)


def test_the_number_of_nonzero_elements_is_constant() -> None:
    found = mg.grad(lambda v: mg.linalg.vector_norm(v * 1j, ord=0))(np.array([1.0, 0.0]))
    np.testing.assert_array_equal(found, np.zeros(2))


def test_complex_matrices_without_an_answer_raise() -> None:
    with pytest.raises(errors.LinAlgError, match="singular"):
        mg.linalg.inv(np.array([[1, 1j], [1j, -1]]))
    with pytest.raises(errors.LinAlgError, match="positive definite"):
        mg.linalg.cholesky(np.array([[1, 2j], [-2j, 1]]))
    with pytest.raises(errors.LinAlgError, match="finite"):
        mg.linalg.eigh(np.array([[1, complex(0, math.nan)], [0, 1]]))
    with pytest.raises(errors.ShapeError, match="square matrices"):
        mg.linalg.det(normal(2, 3))

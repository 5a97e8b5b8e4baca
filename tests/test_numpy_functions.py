"""NumPy's functions on tensors: the same values, and the gradient is kept or the call refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.ops.numpy_functions import COUNTERPARTS

A = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -0.75]])
S = np.array([[3.0, 1.0], [1.0, 2.0]])
CUBE = np.arange(1.0, 9.0).reshape(2, 2, 2)

CALLS: dict[Callable[..., Any], list[Callable[[Any], Any]]] = {
    np.sum: [np.sum, lambda x: np.sum(x, 0), lambda x: np.sum(x, axis=-1, keepdims=True)],
    np.prod: [lambda x: np.prod(x, axis=1)],
    np.max: [np.max, lambda x: np.max(x, 1)],
    np.amax: [np.amax],
    np.min: [np.min, lambda x: np.min(x, axis=0)],
    np.amin: [np.amin],
    np.mean: [np.mean, lambda x: np.mean(x, axis=(0, 1), keepdims=True)],
    np.var: [np.var, lambda x: np.var(x, axis=1, ddof=1)],
    np.std: [np.std, lambda x: np.std(x, 0, ddof=1, keepdims=True)],
    np.any: [lambda x: np.any(x > 2.5, axis=0)],
    np.all: [lambda x: np.all(x > -2.0)],
    np.argmax: [np.argmax, lambda x: np.argmax(x, 1)],
    np.argmin: [lambda x: np.argmin(x, axis=0)],
    np.count_nonzero: [lambda x: np.count_nonzero(x > 0, axis=1)],
    np.cumsum: [np.cumsum, lambda x: np.cumsum(x, 1)],
    np.cumprod: [np.cumprod, lambda x: np.cumprod(x, axis=0)],
    np.concatenate: [
        lambda x: np.concatenate([x, A]),
        lambda x: np.concatenate((A, x, x), axis=1),
        lambda x: np.concatenate([x, x], axis=None),
    ],
    np.stack: [lambda x: np.stack([x, 2.0 * x]), lambda x: np.stack([x, A], axis=-1)],
    np.where: [lambda x: np.where(x > 0.0, x, x * x)],
    np.clip: [lambda x: np.clip(x, -0.7, 1.0), lambda x: np.clip(x, None, 1.0)],
    np.dot: [
        lambda x: np.dot(x, A.T),
        lambda x: np.dot(x, 2.0),
        lambda x: np.dot(x[0], x[1]),
        lambda x: np.dot(x[:, :2], CUBE),
        lambda x: np.dot(CUBE, x),
    ],
    np.tensordot: [lambda x: np.tensordot(x, A, axes=([1], [1])), lambda x: np.tensordot(x, A)],
    np.outer: [lambda x: np.outer(x, A)],
    np.kron: [lambda x: np.kron(x, S)],
    np.einsum: [lambda x: np.einsum("ij,kj->ik", x, A)],
    np.transpose: [np.transpose, lambda x: np.transpose(x, (1, 0))],
    np.reshape: [lambda x: np.reshape(x, (3, -1)), lambda x: np.reshape(x, 6)],
    np.ravel: [np.ravel],
    np.swapaxes: [lambda x: np.swapaxes(x, 0, -1)],
    np.moveaxis: [lambda x: np.moveaxis(x, 0, -1)],
    np.expand_dims: [lambda x: np.expand_dims(x, 1), lambda x: np.expand_dims(x, axis=(0, -1))],
    np.squeeze: [lambda x: np.squeeze(x[:1]), lambda x: np.squeeze(x[:, :1], axis=1)],
    np.broadcast_to: [lambda x: np.broadcast_to(x, (2, 2, 3))],
    np.tile: [lambda x: np.tile(x, 2), lambda x: np.tile(x, (2, 1, 2))],
    np.repeat: [lambda x: np.repeat(x, 2), lambda x: np.repeat(x, [1, 2], axis=0)],
    np.roll: [lambda x: np.roll(x, 1), lambda x: np.roll(x, -1, axis=1)],
    np.flip: [np.flip, lambda x: np.flip(x, 1)],
    np.pad: [
        lambda x: np.pad(x, 1),
        lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3.0),
        lambda x: np.pad(x, ((0, 1), (1, 1)), "reflect"),
    ],
    np.diff: [np.diff, lambda x: np.diff(x, n=2), lambda x: np.diff(x, axis=0)],
    np.round: [np.round, lambda x: np.round(x * 1.234, 1)],
    np.around: [np.around],
    np.sinc: [np.sinc],
    np.cross: [lambda x: np.cross(x, A)],
    np.inner: [lambda x: np.inner(x, A), lambda x: np.inner(x, 2.0)],
    np.vstack: [lambda x: np.vstack([x, A]), lambda x: np.vstack((x[0], A[1]))],
    np.hstack: [lambda x: np.hstack([x, A]), lambda x: np.hstack((x[0], x[1, 0]))],
    np.meshgrid: [
        lambda x: np.meshgrid(x[0], x[1])[0],
        lambda x: np.meshgrid(x[0], A[1], indexing="ij")[1],
    ],
    np.sort: [np.sort, lambda x: np.sort(x, axis=0), lambda x: np.sort(x, axis=None)],
    np.argsort: [np.argsort, lambda x: np.argsort(x, axis=0)],
    np.take: [lambda x: np.take(x, [0, 5, 1]), lambda x: np.take(x, [2, 2], axis=1)],
    np.take_along_axis: [
        lambda x: np.take_along_axis(x, np.argsort(A, axis=1), 1),
        lambda x: np.take_along_axis(x, np.array([3, 0]), None),
    ],
    np.diag: [np.diag, lambda x: np.diag(x[0], k=1), lambda x: np.diag(x[1], -2)],
    np.diagonal: [np.diagonal, lambda x: np.diagonal(CUBE[:, :, :1] * x, 1, axis1=0, axis2=2)],
    np.trace: [np.trace, lambda x: np.trace(x[None] * CUBE[:, :, :1])],
    np.tril: [np.tril, lambda x: np.tril(x, -1)],
    np.triu: [np.triu, lambda x: np.triu(x, k=1)],
    np.zeros_like: [np.zeros_like],
    np.ones_like: [np.ones_like, lambda x: np.ones_like(x, dtype=np.float32)],
    np.linalg.norm: [np.linalg.norm, lambda x: np.linalg.norm(x, axis=1, keepdims=True)],
    np.linalg.inv: [lambda x: np.linalg.inv(x @ x.T)],
    np.linalg.solve: [lambda x: np.linalg.solve(x @ x.T, x)],
    np.linalg.det: [lambda x: np.linalg.det(x @ x.T)],
    np.linalg.slogdet: [lambda x: np.linalg.slogdet(x @ x.T)[1]],
    np.linalg.cholesky: [lambda x: np.linalg.cholesky(x @ x.T)],
    np.linalg.qr: [lambda x: np.linalg.qr(x.T)[1]],
    np.linalg.eigvalsh: [lambda x: np.linalg.eigvalsh(x @ x.T)],
    np.linalg.eigh: [lambda x: np.linalg.eigh(x @ x.T)[0]],
    np.linalg.svd: [lambda x: np.linalg.svd(x, full_matrices=False)[1]],
    np.linalg.pinv: [np.linalg.pinv],
    np.shape: [np.shape],
    np.ndim: [np.ndim],
    np.size: [np.size],
}
EVERY = [(f, call) for f, calls in CALLS.items() for call in calls]


def test_every_counterpart_is_tested() -> None:
    assert set(CALLS) == set(COUNTERPARTS)


@pytest.mark.parametrize(
    ("function", "call"), EVERY, ids=[f"{f.__name__}-{i}" for i, (f, _) in enumerate(EVERY)]
)
def test_values_and_gradients(function: Any, call: Any) -> None:
    expected = call(A)
    got = call(mg.asarray(A))
    if not isinstance(got, mg.Tensor):  # np.shape and its kin
        assert got == expected
        return
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)
    assert got.dtype == expected.dtype
    if got.dtype.is_floating and got.dtype is mg.float64:
        assert mg.gradcheck(call, A).ok
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (2, 3))
        fetched = mg.Session(graph=graph).run(mg.identity(call(x)), {x: A})
    np.testing.assert_allclose(fetched, expected, rtol=1e-12, atol=1e-14)


def test_a_loss_written_with_numpy_keeps_its_gradient() -> None:
    def loss(w: Any) -> Any:
        scores = np.tanh(np.dot(A, w))
        return np.mean(np.where(scores > 0, scores, 0.1 * scores) ** 2) + np.sum(np.abs(w))

    w = np.array([0.3, -0.2, 0.7])
    gradient = mg.grad(loss)(w)
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-6
        slope = (loss(w + step) - loss(w - step)) / 2e-6
        assert float(gradient[i]) == pytest.approx(slope, rel=1e-6)


def test_a_function_without_a_counterpart_computes_on_values() -> None:
    x = mg.asarray(A)
    got = np.median(x, axis=0)
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got, np.median(A, axis=0))
    assert [i.tolist() for i in np.where(x > 2.0)] == [[1], [1]]
    out = np.zeros(3)
    np.sum(x, axis=0, out=out)
    np.testing.assert_array_equal(out, A.sum(axis=0))
    assert np.median(mg.Variable([3.0, 1.0, 2.0])) == 2.0


def test_decompositions_read_the_triangle_that_numpys_do() -> None:
    lopsided = np.array([[3.0, 9.0], [1.0, 2.0]])
    x = mg.asarray(lopsided)
    np.testing.assert_allclose(np.linalg.cholesky(x), np.linalg.cholesky(lopsided))
    for part in ("L", "U"):
        np.testing.assert_allclose(
            np.linalg.eigvalsh(x, part), np.linalg.eigvalsh(lopsided, part), rtol=1e-12
        )
        np.testing.assert_allclose(
            np.linalg.eigh(x, UPLO=part)[0], np.linalg.eigh(lopsided, UPLO=part)[0], rtol=1e-12
        )
    slope = mg.grad(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2))(lopsided)
    assert slope.tolist()[0][1] == 0.0


def test_where_the_gradient_would_be_lost_the_call_is_refused() -> None:
    with pytest.raises(errors.ArgumentTypeError, match=r"np.median .*recorded on a tape.*x\.numpy"):
        mg.grad(lambda x: np.median(x * 2.0))(A)
    with pytest.raises(errors.ArgumentTypeError, match=r"np.linalg.matrix_power .*recorded"):
        mg.grad(lambda x: np.sum(np.linalg.matrix_power(x, 2)))(S)
    v = mg.Variable([3.0, 1.0])
    with mg.GradientTape(), pytest.raises(errors.ArgumentTypeError, match="recorded on a tape"):
        np.median(v)
    x = mg.placeholder("float64", (3,))
    with pytest.raises(errors.ArgumentTypeError, match=r"np.median .*one of them is symbolic"):
        np.median(x)
    # What only looks at values is no loss.
    mg.grad(lambda x: mg.sum(x) if np.allclose(x, A) else mg.sum(-x))(A)
    # And on purpose it may be done.
    assert mg.grad(lambda x: mg.sum(x) * np.median(x.numpy()))(np.ones(3)).tolist() == [1.0] * 3

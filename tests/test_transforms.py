"""Derivatives of functions: values against calculus, nests, nesting, and use inside graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


def cubic(x: Any) -> Any:
    return mg.sum(x**3)


X = np.array([1.0, -2.0, 0.5])


def test_grad_and_value_and_grad() -> None:
    np.testing.assert_allclose(mg.grad(cubic)(X), 3 * X**2)
    value, slope = mg.value_and_grad(cubic)(X)
    assert float(value) == np.sum(X**3)
    np.testing.assert_allclose(slope, 3 * X**2)


def test_argnums_and_keyword_arguments() -> None:
    def f(a: Any, b: Any, *, scale: float) -> Any:
        return scale * a * b

    assert mg.grad(f, argnums=1)(2.0, 3.0, scale=10.0) == 20.0
    assert [float(g) for g in mg.grad(f, argnums=(0, 1))(2.0, 3.0, scale=10.0)] == [30.0, 20.0]
    assert mg.grad(f, argnums=-1)(2.0, 3.0, scale=1.0) == 2.0
    with pytest.raises(errors.ArgumentError, match="argnums 2 is out of range"):
        mg.grad(f, argnums=2)(2.0, 3.0, scale=1.0)


def test_nests_of_arguments() -> None:
    params = {"w": np.array([1.0, 2.0]), "b": [np.array(3.0)]}
    grads = mg.grad(lambda p: mg.sum(p["w"] ** 2) * p["b"][0])(params)
    np.testing.assert_allclose(grads["w"], [6.0, 12.0])
    assert grads["b"][0] == 5.0


def test_the_same_tensor_twice_is_told_apart() -> None:
    x = mg.asarray(3.0)
    first, second = mg.grad(lambda a, b: a * a * b, argnums=(0, 1))(x, x)
    assert (first, second) == (18.0, 9.0)


def test_has_aux() -> None:
    grads, aux = mg.grad(lambda x: (x * x, "note"), has_aux=True)(3.0)
    assert (grads, aux) == (6.0, "note")
    (value, aux), grads = mg.value_and_grad(lambda x: (x * x, [1]), has_aux=True)(3.0)
    assert (value, aux, grads) == (9.0, [1], 6.0)


def test_grad_for_a_variable() -> None:
    v = mg.Variable(3.0)
    assert mg.grad(lambda w: w * w)(v) == 6.0


def test_grads_nest() -> None:
    f = mg.tanh
    x = 0.3
    third = mg.grad(mg.grad(mg.grad(f)))(np.float64(x))
    t = np.tanh(x)
    assert float(third) == pytest.approx((1 - t**2) * (6 * t**2 - 2), rel=1e-12)


def test_vjp_and_jvp_agree_with_the_jacobian() -> None:
    def f(x: Any, y: Any) -> Any:
        return mg.sin(x) * mg.sum(y), mg.exp(y[0]) * x

    x, y = np.array([0.1, 0.2, 0.3]), np.array([0.5, -1.0])
    jx = [np.asarray(mg.jacobian(lambda x, y, k=k: f(x, y)[k], 0)(x, y)) for k in (0, 1)]
    jy = [np.asarray(mg.jacobian(lambda x, y, k=k: f(x, y)[k], 1)(x, y)) for k in (0, 1)]
    tx, ty = np.array([1.0, -1.0, 2.0]), np.array([0.5, 3.0])
    _, out = mg.jvp(f, (x, y), (tx, ty))
    for k in (0, 1):
        np.testing.assert_allclose(out[k], jx[k] @ tx + jy[k] @ ty, rtol=1e-12)
    _, pullback = mg.vjp(f, x, y)
    u = (np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.0, 1.0]))
    for _ in range(2):
        gx, gy = pullback(u)
        np.testing.assert_allclose(gx, u[0] @ jx[0] + u[1] @ jx[1], rtol=1e-12)
        np.testing.assert_allclose(gy, u[0] @ jy[0] + u[1] @ jy[1], rtol=1e-12)


def test_hessian_and_hvp() -> None:
    np.testing.assert_allclose(mg.hessian(cubic)(X), np.diag(6 * X), atol=1e-14)
    v = np.array([1.0, 2.0, 3.0])
    (product,) = mg.hvp(cubic, (X,), (v,))
    np.testing.assert_allclose(product, 6 * X * v)


def test_jacobian_shapes() -> None:
    x = np.arange(6.0).reshape(2, 3)
    j = mg.jacobian(lambda x: mg.sum(x * x, axis=1))(x)
    assert j.shape == (2, 2, 3)
    empty = mg.jacobian(lambda x: x[:0])(np.ones(3))
    assert empty.shape == (0, 3)


def test_jacobian_of_a_nest_of_results() -> None:
    def both(p: dict[str, mg.Tensor], y: mg.Tensor) -> dict[str, mg.Tensor]:
        return {"product": p["x"] * y, "squares": mg.square(p["x"])}

    y = np.array([4.0, 5.0, 6.0])
    blocks = mg.jacobian(both, argnums=(0, 1))({"x": X}, y)
    np.testing.assert_allclose(blocks["product"][0]["x"], np.diag(y))
    np.testing.assert_allclose(blocks["product"][1], np.diag(X))
    np.testing.assert_allclose(blocks["squares"][0]["x"], np.diag(2 * X))
    np.testing.assert_allclose(blocks["squares"][1], np.zeros((3, 3)))


def test_hessian_of_nests_and_of_several_arguments() -> None:
    blocks = mg.hessian(lambda p: mg.sum(p["x"] ** 2) * p["s"])({"x": X, "s": np.float64(3.0)})
    np.testing.assert_allclose(blocks["x"]["x"], 6.0 * np.eye(3))
    np.testing.assert_allclose(blocks["x"]["s"], 2 * X)
    np.testing.assert_allclose(blocks["s"]["x"], 2 * X)
    assert float(blocks["s"]["s"]) == 0.0
    (aa, ab), (ba, bb) = mg.hessian(lambda a, b: a * b * b, argnums=(0, 1))(1.0, 2.0)
    assert [float(t) for t in (aa, ab, ba, bb)] == [0.0, 4.0, 4.0, 2.0]
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (2,))
        rows = mg.hessian(lambda a, b: mg.sum(a * b * b), argnums=[0, 1])(x, x)
    got = mg.Session(graph=x.graph).run(rows, {x: [1.0, 2.0]})
    np.testing.assert_allclose(got[0][1], np.diag([2.0, 4.0]))
    np.testing.assert_allclose(got[1][1], np.diag([2.0, 4.0]))


def test_transforms_work_on_symbolic_tensors() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (3,))
        slope = mg.grad(cubic)(x)
        curve = mg.hessian(cubic)(x)
        (product,) = mg.hvp(cubic, (x,), (mg.ones(3, dtype="float64"),))
        _, forward = mg.jvp(cubic, (x,), (mg.ones(3, dtype="float64"),))
    got = mg.Session(graph=x.graph).run([slope, curve, product, forward], {x: X})
    np.testing.assert_allclose(got[0], 3 * X**2)
    np.testing.assert_allclose(got[1], np.diag(6 * X), atol=1e-14)
    np.testing.assert_allclose(got[2], 6 * X)
    assert got[3] == pytest.approx(np.sum(3 * X**2))


def test_outside_any_with_a_transform_joins_the_arguments_graph() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float64", (3,))
    slope = mg.grad(cubic)(x)
    np.testing.assert_allclose(mg.Session(graph=x.graph).run(slope, {x: X}), 3 * X**2)


def test_what_is_not_a_scalar_function_is_refused() -> None:
    with pytest.raises(errors.GradientError, match=r"must return a scalar, got shape \(3,\)"):
        mg.grad(lambda x: x * x)(X)
    with pytest.raises(errors.ArgumentTypeError, match="must return a scalar tensor, got tuple"):
        mg.grad(lambda x: (x, x))(1.0)
    with pytest.raises(errors.NotDifferentiableError, match="complex"):
        mg.grad(lambda x: x)(1j)


def test_numpy_functions_on_tensors_keep_the_gradient() -> None:
    slope = mg.grad(lambda x: np.sin(x) * np.float64(2.0) + np.ones(()) * x)(np.float64(0.3))
    assert float(slope) == pytest.approx(2 * np.cos(0.3) + 1)


def test_a_variable_passed_twice_is_told_apart() -> None:
    v = mg.Variable(3.0)
    first, second = mg.grad(lambda a, b: a * a * b, (0, 1))(v, v)
    assert (float(first), float(second)) == (18.0, 9.0)
    with mg.Graph().as_default():
        slopes = mg.grad(lambda a, b: a * a * b, (0, 1))(v, v)
        assert mg.Session().run(slopes) == (18.0, 9.0)


def test_argnums_may_be_numpy_integers_and_nothing_else() -> None:
    assert mg.grad(lambda a, b: a * b, argnums=np.int64(1))(2.0, 3.0) == 2.0
    with pytest.raises(errors.ArgumentTypeError, match="argnums must be an integer"):
        mg.grad(lambda a: a, argnums="a")(2.0)  # type: ignore[arg-type]

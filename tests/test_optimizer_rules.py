"""The optimizers' rules: recorded runs of PyTorch and of the papers' formulas, and by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim

FIXTURE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "fixtures" / "optimizers.json").read_text(encoding="utf-8")
)
PROBLEM = {name: np.array(value) for name, value in FIXTURE["problem"].items()}
ROWS: dict[str, dict[str, Any]] = FIXTURE["rows"]
NAMES = ("weight", "bias", "out")
STEPS = FIXTURE["after"][-1]
RULES = [
    optim.SGD, optim.Momentum, optim.EWMomentum, optim.AdaGrad, optim.Adadelta, optim.RMSprop,
    optim.Adam, optim.AMSGrad, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.Lion,
    optim.LAMB, optim.Adafactor,
]  # fmt: skip


def made(row: dict[str, Any]) -> optim.Optimizer:
    kind: type[optim.Optimizer] = getattr(optim, row["class"])
    return kind(**row["arguments"])


def parameters(dtype: Any = np.float64) -> list[mg.Variable]:
    return [mg.Variable(PROBLEM[name].astype(dtype), name=name) for name in NAMES]


def loss_of(variables: list[mg.Variable], dtype: Any = np.float64) -> mg.Tensor:
    weight, bias, out = variables
    hidden = mg.tanh(PROBLEM["x"].astype(dtype) @ weight + bias)
    return mg.mean(mg.square(hidden @ out - PROBLEM["y"].astype(dtype)))


def flat(arrays: list[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(a).reshape(-1) for a in arrays])


def eager_run(optimizer: Any, steps: int, dtype: Any = np.float64) -> list[np.ndarray]:
    """The weights after every step."""
    variables = parameters(dtype)
    history = []
    for _ in range(steps):
        optimizer.minimize(lambda: loss_of(variables, dtype), variables)
        history.append(flat([v.numpy() for v in variables]))
    return history


def lazy_run(optimizer: Any, steps: int, dtype: Any = np.float64) -> list[np.ndarray]:
    with mg.Graph().as_default() as graph:
        variables = parameters(dtype)
        train = optimizer.minimize(loss_of(variables, dtype))
        initialize = mg.global_variables_initializer()
    with mg.Session(graph=graph) as session:
        session.run(initialize)
        return [flat(session.run([train, variables])[1]) for _ in range(steps)]


@pytest.mark.parametrize("run", [eager_run, lazy_run])
@pytest.mark.parametrize("name", ROWS)
def test_weights_agree_with_the_recorded_ones(name: str, run: Callable[..., Any]) -> None:
    history = run(made(ROWS[name]), STEPS)
    for step, expected in zip(FIXTURE["after"], ROWS[name]["weights"], strict=True):
        # Near a minimum the last bits of a gradient say where a normalized step goes.
        close = 1e-10 if step < STEPS else 1e-8
        np.testing.assert_allclose(history[step - 1], expected, rtol=close, atol=close / 100)


@pytest.mark.parametrize("name", ROWS)
def test_float32_agrees_to_its_precision(name: str) -> None:
    got = eager_run(made(ROWS[name]), 10, np.float32)[-1]
    assert got.dtype == np.float32
    expected = ROWS[name]["weights"][FIXTURE["after"].index(10)]
    # The absolute part is for the few weights near zero.
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.__name__)
def test_graphs_and_eager_code_agree_step_by_step(kind: Callable[[], optim.Optimizer]) -> None:
    eager, lazy = eager_run(kind(), 6, np.float32), lazy_run(kind(), 6, np.float32)
    for a, b in zip(eager, lazy, strict=True):
        # The absolute part is for the few weights near zero.
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 2)])
def test_variables_of_any_shape_keep_shape_and_dtype(kind: Any, shape: tuple[int, ...]) -> None:
    for dtype in (np.float16, np.float32):
        v = mg.Variable(np.ones(shape, dtype), name="v")
        kind(0.1).apply_gradients([(np.ones(shape, dtype), v)])
        assert v.shape == shape
        assert v.dtype == dtype
        assert np.isfinite(v.numpy()).all()


def stepped(optimizer: Any, gradients: list[float], start: float = 1.0) -> list[float]:
    """The values of one weight after each of some given gradients."""
    v = mg.Variable(np.float64(start), name="v")
    values = []
    for g in gradients:
        optimizer.apply_gradients([(np.float64(g), v)])
        values.append(v.item())
    return values


def test_momentum_by_hand() -> None:
    # v: 2, 0.5*2 - 1 = 0, 0.5*0 + 4 = 4; steps of 0.1*v.
    got = stepped(optim.Momentum(0.1, momentum=0.5), [2.0, -1.0, 4.0])
    assert got == pytest.approx([0.8, 0.8, 0.4], rel=1e-14)


def test_the_average_form_of_momentum_by_hand() -> None:
    # v: 0.5*2 = 1, 0.5*1 - 0.5 = 0, 0 + 2 = 2; steps of 0.1*v: half of the classical ones here.
    got = stepped(optim.EWMomentum(0.1, beta=0.5), [2.0, -1.0, 4.0])
    assert got == pytest.approx([0.9, 0.9, 0.7], rel=1e-14)
    # With the bias undone v is divided by 0.5, 0.75, 0.875: the first step is the gradient's own.
    got = stepped(optim.EWMomentum(0.1, beta=0.5, bias_correction=True), [2.0, -1.0, 4.0])
    assert got == pytest.approx([0.8, 0.8, 0.8 - 0.1 * 2 / 0.875], rel=1e-14)


def test_the_two_forms_of_momentum_differ_by_the_factor_of_the_rate() -> None:
    gradients = [1.0, 2.0, -3.0, 0.5]
    classical = stepped(optim.Momentum(0.1 * (1 - 0.9), momentum=0.9), gradients)
    average = stepped(optim.EWMomentum(0.1, beta=0.9), gradients)
    assert classical == pytest.approx(average, rel=1e-13)


def test_nesterov_by_hand() -> None:
    # v = 2, step g + 0.5*v = 3; v = 1 + 4 = 5, step 4 + 2.5 = 6.5.
    got = stepped(optim.SGD(0.1, momentum=0.5, nesterov=True), [2.0, 4.0])
    assert got == pytest.approx([0.7, 0.05], rel=1e-13)


def test_bias_correction_of_adam_by_hand() -> None:
    optimizer = optim.Adam(0.1, beta1=0.5, beta2=0.75, epsilon=0.0)
    v = mg.Variable(np.float64(1.0), name="v")
    optimizer.apply_gradients([(np.float64(4.0), v)])
    # m = 2, v = 4 are half and a quarter of what they estimate: 4 and 16. The step is 0.1*4/4.
    assert optimizer.get_slot(v, "m").item() == 2.0
    assert optimizer.get_slot(v, "v").item() == 4.0
    assert v.item() == pytest.approx(0.9, rel=1e-14)
    optimizer.apply_gradients([(np.float64(0.0), v)])
    # m = 1, v = 3; 1 - 0.5² = 0.75, 1 - 0.75² = 0.4375.
    assert v.item() == pytest.approx(0.9 - 0.1 * (1 / 0.75) / math.sqrt(3 / 0.4375), rel=1e-14)


def test_the_epsilon_of_adam_is_added_to_the_corrected_root() -> None:
    got = stepped(optim.Adam(0.1, epsilon=1.0), [3.0])
    assert got == pytest.approx([1 - 0.1 * 3 / (3 + 1)], rel=1e-13)


def test_amsgrad_keeps_the_largest_square() -> None:
    optimizer = optim.AMSGrad(0.1, beta1=0.0, beta2=0.5, epsilon=0.0)
    v = mg.Variable(np.float64(0.0), name="v")
    for g in (4.0, 0.0, 1.0):
        optimizer.apply_gradients([(np.float64(g), v)])
    # Averages of squares: 8, 4, 2.5; the largest stays 8.
    assert optimizer.get_slot(v, "v").item() == 2.5
    assert optimizer.get_slot(v, "v_max").item() == 8.0
    expected = -0.1 * 4 / math.sqrt(8 / 0.5) - 0.1 / math.sqrt(8 / 0.875)
    assert v.item() == pytest.approx(expected, rel=1e-13)


def test_adagrad_and_rmsprop_by_hand() -> None:
    got = stepped(optim.AdaGrad(0.5, epsilon=0.0), [3.0, 4.0])
    assert got == pytest.approx([0.5, 0.5 - 0.5 * 4 / 5], rel=1e-14)
    # s = 0.25*16 = 4, then 3 + 0.25*4 = 4; epsilon outside of the root.
    got = stepped(optim.RMSprop(0.5, rho=0.75, epsilon=1.0), [4.0, 2.0])
    assert got == pytest.approx([1 - 0.5 * 4 / 3, 1 - 0.5 * 4 / 3 - 0.5 * 2 / 3], rel=1e-13)


def test_adadelta_by_hand() -> None:
    # s = 0.5*4 = 2; Δ = sqrt(1)/sqrt(3) * 2.
    got = stepped(optim.Adadelta(1.0, rho=0.5, epsilon=1.0), [2.0], start=0.0)
    assert got == pytest.approx([-2 / math.sqrt(3)], rel=1e-14)


def test_radam_divides_only_once_the_estimate_is_good() -> None:
    # With beta2 = 0.999, rho_t passes 5 in step 6: until then plain (corrected) momentum.
    got = stepped(optim.RAdam(0.1, beta1=0.0), [2.0] * 6, start=0.0)
    assert got[:5] == pytest.approx([-0.2, -0.4, -0.6, -0.8, -1.0], rel=1e-13)
    limit = 2 / 0.001 - 1
    rho = limit - 2 * 6 * 0.999**6 / (1 - 0.999**6)
    r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    assert got[5] == pytest.approx(-1.0 - 0.1 * r * 2 / 2, rel=1e-7)


def test_the_products_of_nadam_by_hand() -> None:
    optimizer = optim.NAdam(0.1, beta1=0.8, momentum_decay=1.0)
    v = mg.Variable(np.float64(0.0), name="v")
    for _ in range(2):
        optimizer.apply_gradients([(np.float64(1.0), v)])
    first, second = 0.8 * (1 - 0.5 * 0.96), 0.8 * (1 - 0.5 * 0.96**2)
    assert optimizer.get_slot(v, "product").item() == pytest.approx(first * second, rel=1e-14)


def test_lion_takes_the_sign_of_the_fresh_average() -> None:
    # m = 0.01*10 = 0.1 after the first step; then 0.9*0.1 - 0.1*2 < 0, though m stays positive.
    got = stepped(optim.Lion(0.25), [10.0, -2.0])
    assert got == [0.75, 1.0]


def test_the_ratio_of_lamb_is_one_where_a_norm_is_zero() -> None:
    v = mg.Variable(np.zeros(2), name="v")
    optim.LAMB(0.1, epsilon=0.0).apply_gradients([(np.array([3.0, 4.0]), v)])
    np.testing.assert_allclose(v.numpy(), [-0.1, -0.1], rtol=1e-13)
    optim.LAMB(0.1, weight_decay=0.0).apply_gradients([(np.zeros(2), v)])
    np.testing.assert_allclose(v.numpy(), [-0.1, -0.1], rtol=1e-13)


def test_adafactor_keeps_rows_and_columns_only() -> None:
    optimizer = optim.Adafactor()
    v = mg.Variable(np.ones((2, 3, 4)), name="v")
    optimizer.build([v])
    shapes = [slot.shape for slot in optimizer.variables()]
    assert shapes == [(), (2, 3, 1), (2, 1, 4)]


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.__name__)
def test_every_optimizer_finds_the_bottom_of_a_bowl(kind: type[optim.Optimizer]) -> None:
    rates: dict[Any, float] = {optim.Adadelta: 1.0, optim.AdaGrad: 0.5}
    optimizer = kind(rates.get(kind, 0.05))
    v = mg.Variable(np.array([3.0, -2.0]), name="v")
    start = float(mg.sum(mg.square(v)))
    for _ in range(60):
        optimizer.minimize(lambda: mg.sum(mg.square(v)), [v])
    assert float(mg.sum(mg.square(v))) < (0.99 if kind is optim.Adadelta else 0.5) * start

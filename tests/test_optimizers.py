"""What optimizers do around their rules: finding variables, counting, rates, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optimizer_runs import MODES, Mode, variable

import minigrad as mg
from minigrad import errors, optim

# -- minimize ------------------------------------------------------------------------------


def test_minimize_in_a_graph_is_one_operation() -> None:
    with mg.Graph().as_default():
        w = variable([1.0, 2.0], "w")
        train = optim.SGD(0.25).minimize(mg.sum(mg.square(w)))
        assert isinstance(train, mg.Operation)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            assert session.run(train) is None
            np.testing.assert_array_equal(session.run(w), [0.5, 1.0])


def test_minimize_works_on_the_default_graph_outside_of_any_with() -> None:
    x = mg.placeholder("float64", ())
    w = variable(1.0, "w")
    train = optim.Adam(0.5).minimize(w * x)
    mg.Session(graph=x.graph).run(train, {x: 3.0})  # type: ignore[attr-defined]
    assert w.item() == pytest.approx(0.5)


def test_a_function_that_builds_the_loss_gives_an_operation_in_a_graph() -> None:
    with mg.Graph().as_default():
        w = variable(1.0, "w")
        train = optim.SGD(0.25).minimize(lambda: w * w, [w])
        assert isinstance(train, mg.Operation)


def test_minimize_in_eager_code_returns_the_loss_before_the_step() -> None:
    w = variable(3.0)
    loss = optim.SGD(0.5).minimize(lambda: w * w, [w])
    assert (float(loss), w.item()) == (9.0, 0.0)


def test_minimize_finds_the_trainable_variables_that_the_loss_reads() -> None:
    shared = variable(1.0, "shared")
    with mg.Graph().as_default():
        own, unused = variable(2.0, "own"), variable(5.0, "unused")
        fixed = mg.Variable(np.float64(7.0), trainable=False, name="fixed")
        optimizer = optim.SGD(0.5)
        train = optimizer.minimize(shared * own * fixed)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            session.run(train)
            assert session.run([own, unused, fixed]) == [2 - 0.5 * 7, 5.0, 7.0]
    assert shared.item() == 1 - 0.5 * 14
    optim.SGD(0.5).minimize(lambda: shared * 2.0)
    assert shared.item() == -7.0


def test_variables_may_be_a_list_a_function_or_something_with_parameters() -> None:
    class Model:
        def __init__(self) -> None:
            self.w = variable(1.0, "w")
            self.frozen = mg.Variable(1.0, trainable=False, name="frozen")

        def parameters(self) -> list[mg.Variable]:
            return [self.w, self.frozen]

    model = Model()
    optimizer = optim.SGD(0.25)
    optimizer.minimize(lambda: model.w * 1.0, model)
    optimizer.minimize(lambda: model.w * 1.0, lambda: [model.w])
    optimizer.minimize(lambda: model.w * 1.0, model.w)
    assert model.w.item() == 0.25


def test_parameters_made_by_the_loss_are_found() -> None:
    made: list[mg.Variable] = []

    def loss() -> mg.Tensor:
        if not made:
            made.append(variable(1.0))
        return made[0] * 2.0

    optim.SGD(0.25).minimize(loss, lambda: made)
    assert made[0].item() == 0.5


def test_a_loss_that_reaches_no_variable_is_refused_by_name() -> None:
    a, b = variable(1.0, "alpha"), variable(1.0, "beta")
    with pytest.raises(errors.GradientError, match="none of the variables 'alpha'"):
        optim.SGD(0.1).minimize(lambda: b * 1.0, [a])
    with mg.Graph().as_default():
        w = variable(1.0, "gamma")
        x = mg.placeholder("float64", ())
        with pytest.raises(errors.GradientError, match="none of the variables 'gamma'"):
            optim.SGD(0.1).minimize(x * 2.0, [w])
        with pytest.raises(errors.GradientError, match="depends on no trainable variable"):
            optim.SGD(0.1).minimize(x * 2.0)
    with pytest.raises(errors.GradientError, match="reads no trainable variable"):
        optim.SGD(0.1).minimize(lambda: mg.asarray(1.0))


def test_variables_that_the_loss_does_not_reach_are_named_in_a_warning() -> None:
    a, b = variable(1.0, "alpha"), variable(1.0, "beta")
    optimizer = optim.SGD(0.5)
    with pytest.warns(UserWarning, match="does not depend on 'beta'"):
        optimizer.minimize(lambda: a * 1.0, [a, b])
    assert (a.item(), b.item()) == (0.5, 1.0)


def test_a_concrete_loss_is_refused_with_advice() -> None:
    w = variable(1.0)
    with pytest.raises(errors.ArgumentTypeError, match=r"function without arguments.*GradientTape"):
        optim.SGD(0.1).minimize(w * 2.0, [w])


def test_compute_gradients_keeps_none_and_apply_gradients_leaves_it_out() -> None:
    with mg.Graph().as_default():
        a, b = variable(1.0, "a"), variable(1.0, "b")
        optimizer = optim.Adam(0.1)
        pairs = optimizer.compute_gradients(a * 3.0, [a, b])
        assert [v.name for _, v in pairs] == ["a", "b"]
        assert pairs[1][0] is None
        optimizer.apply_gradients(pairs)
        assert [v.name for v in optimizer.variables()] == [
            "Adam/iterations", "a/Adam/m", "a/Adam/v",
        ]  # fmt: skip
    c = variable(1.0, "c")
    (pair,) = optim.SGD(0.1).compute_gradients(lambda: c * 4.0, [c])
    assert float(pair[0]) == 4.0  # type: ignore[arg-type]


def test_gradients_can_be_changed_between_computing_and_applying() -> None:
    w = variable([3.0, 4.0])
    optimizer = optim.SGD(1.0)
    with mg.GradientTape() as tape:
        loss = mg.sum(mg.square(w)) / 2.0
    gradients = tape.gradient(loss, [w])
    clipped, _ = optim.clip_by_global_norm(gradients, 1.0)
    optimizer.apply_gradients(zip(clipped, [w], strict=True))
    np.testing.assert_allclose(w.numpy(), [2.4, 3.2], rtol=1e-14)


def test_an_eager_variable_may_be_trained_in_a_graph_and_keeps_its_slots() -> None:
    w = variable(1.0, "w")
    optimizer = optim.Momentum(0.1, momentum=0.5)
    optimizer.apply_gradients([(np.float64(1.0), w)])
    with mg.Graph().as_default():
        train = optimizer.minimize(w * 1.0)
        with mg.Session() as session:
            session.run(train)
    assert w.item() == pytest.approx(0.9 - 0.15)
    assert optimizer.get_slot(w, "momentum").item() == 1.5
    assert optimizer.iterations.item() == 2


def test_a_graphs_variable_cannot_be_trained_in_eager_code() -> None:
    with mg.Graph().as_default():
        w = variable(1.0, "w")
    other = variable(1.0)
    with pytest.raises(errors.GraphError, match="'w' belongs to"):
        optim.SGD(0.1).minimize(lambda: other * 1.0, [w])


def test_one_optimizer_serves_one_graph() -> None:
    optimizer = optim.SGD(0.1)
    with mg.Graph().as_default():
        optimizer.minimize(variable(1.0) * 1.0)
    with mg.Graph().as_default(), pytest.raises(errors.GraphError, match="use another one"):
        optimizer.minimize(variable(1.0) * 1.0)


def test_a_step_is_not_recorded_by_an_outer_tape() -> None:
    w = variable(2.0)
    with mg.GradientTape() as tape:
        optim.SGD(0.25).minimize(lambda: w * w, [w])
        y = w * 3.0
    assert float(tape.gradient(y, w)) == 3.0


# -- counting ------------------------------------------------------------------------------


def test_iterations_and_global_step_count_updates() -> None:
    w, total = variable(1.0), mg.Variable(10, trainable=False, name="total")
    optimizer = optim.SGD(0.1)
    for _ in range(3):
        optimizer.apply_gradients([(np.float64(0.0), w)], global_step=total)
    assert optimizer.iterations.item() == 3
    assert optimizer.iterations.dtype == mg.int64
    assert total.item() == 13
    with mg.Graph().as_default():
        v, step = variable(1.0), mg.Variable(np.int64(0), trainable=False)
        train = optim.SGD(0.1).minimize(v * v, global_step=step)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            for _ in range(2):
                session.run(train)
            assert session.run(step) == 2


def test_a_global_step_must_be_an_integer_variable() -> None:
    w = variable(1.0)
    with pytest.raises(errors.DTypeError, match="integer scalar"):
        optim.SGD(0.1).apply_gradients([(np.float64(0.0), w)], global_step=variable(0.0))
    with pytest.raises(errors.ArgumentTypeError, match="must be a variable"):
        optim.SGD(0.1).apply_gradients([(np.float64(0.0), w)], global_step=3)  # type: ignore[arg-type]


# -- learning rates ------------------------------------------------------------------------


@pytest.mark.parametrize("run", MODES)
def test_a_schedule_is_asked_with_the_number_of_updates_made(run: Mode) -> None:
    schedule = optim.PiecewiseConstant([1, 2], [1.0, 0.5, 0.25])
    optimizer = optim.SGD(schedule)
    history = run(optimizer, [0.0], [[1.0]] * 3)
    expected = -np.cumsum([schedule(0), schedule(1), schedule(2)])
    np.testing.assert_allclose([h[0] for h in history], expected, rtol=1e-14)


@pytest.mark.parametrize("run", MODES)
def test_any_function_of_the_step_is_a_schedule(run: Mode) -> None:
    optimizer = optim.SGD(lambda step: 1.0 / (mg.astype(step, mg.float64) + 1.0))
    history = run(optimizer, [0.0], [[1.0]] * 3)
    np.testing.assert_allclose([h[0] for h in history], [-1, -1.5, -1.5 - 1 / 3], rtol=1e-14)


def test_a_schedule_is_exact_for_float64_variables() -> None:
    w = variable(0.0)
    optim.SGD(optim.ExponentialDecay(0.1, 0.5)).apply_gradients([(np.float64(1.0), w)])
    assert w.item() == -0.1


def test_a_variable_as_rate_can_be_changed_between_steps() -> None:
    rate = mg.Variable(1.0, trainable=False, name="rate")
    w = variable(0.0)
    optimizer = optim.SGD(rate)
    optimizer.apply_gradients([(np.float64(1.0), w)])
    rate.assign(0.5)
    optimizer.apply_gradients([(np.float64(1.0), w)])
    assert w.item() == -1.5
    optimizer.learning_rate = 0.25
    optimizer.apply_gradients([(np.float64(1.0), w)])
    assert w.item() == -1.75


def test_a_fed_rate_makes_the_step_lazy() -> None:
    w = variable(0.0)
    with mg.Graph().as_default() as graph:
        rate = mg.placeholder("float64", ())
    train = optim.SGD(rate).apply_gradients([(np.float64(1.0), w)])
    with mg.Session(graph=graph) as session:
        session.run(train, {rate: 0.5})
        session.run(train, {rate: 0.25})
    assert w.item() == -0.75


# -- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_bad_rates_are_refused(rate: float) -> None:
    with pytest.raises(errors.ArgumentError, match=f"learning_rate .* got {rate}"):
        optim.Adam(rate)


@pytest.mark.parametrize("rate", ["0.1", None, [0.1], 1j])
def test_rates_of_wrong_types_are_refused(rate: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="learning_rate must be a number"):
        optim.SGD(rate)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.SGD(momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: optim.SGD(momentum=-0.5), r"momentum must be in \[0, 1\), got -0.5"),
        (lambda: optim.SGD(dampening=2.0), "dampening .* got 2.0"),
        (lambda: optim.SGD(nesterov=True), "needs a momentum"),
        (lambda: optim.SGD(momentum=0.9, dampening=0.5, nesterov=True), "no dampening"),
        (lambda: optim.EWMomentum(beta=1.0), "beta .* got 1.0"),
        (lambda: optim.Adam(beta1=1.5), "Adam: beta1 .* got 1.5"),
        (lambda: optim.Adam(beta2=math.nan), "beta2 .* got nan"),
        (lambda: optim.Adam(epsilon=-1.0), "epsilon .* got -1.0"),
        (lambda: optim.RMSprop(rho=-0.1), "rho .* got -0.1"),
        (lambda: optim.AdaGrad(initial_accumulator=-1.0), "initial_accumulator .* got -1.0"),
        (lambda: optim.NAdam(momentum_decay=-1.0), "momentum_decay .* got -1.0"),
        (lambda: optim.Adafactor(beta2_decay=0.5), "beta2_decay must be at most 0, got 0.5"),
        (lambda: optim.Adafactor(clip_threshold=0.0), "clip_threshold .* got 0.0"),
        (lambda: optim.SGD(weight_decay=-0.1), "weight_decay .* got -0.1"),
        (lambda: optim.SGD(l1=math.inf), "l1 .* got inf"),
        (lambda: optim.SGD(clip_norm=0.0), "clip_norm .* got 0.0"),
        (lambda: optim.SGD(clip_norm=1.0, clip_value=1.0), "only one of clip_value and clip_norm"),
        (lambda: optim.SGD(accumulate_steps=0), "accumulate_steps must be at least 1, got 0"),
        (lambda: optim.AdamW(weight_decay=0.1, decoupled_weight_decay=0.1), "not both"),
        (lambda: optim.Lookahead(optim.SGD(), k=0), "k must be at least 1"),
        (lambda: optim.Lookahead(optim.SGD(), alpha=1.5), "alpha .* got 1.5"),
    ],
)
def test_values_out_of_range_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.Adam(decoupled_weight_decay=True), "must be a number, got True"),
        (lambda: optim.SGD(nesterov="yes"), "must be True or False"),  # type: ignore[arg-type]
        (lambda: optim.SGD(accumulate_steps=1.5), "must be an integer"),  # type: ignore[arg-type]
        (lambda: optim.Lookahead(0.1), "expected an optimizer"),  # type: ignore[arg-type]
    ],
)
def test_values_of_wrong_types_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.ArgumentTypeError, match=message):
        make()


def test_bad_lists_of_variables_are_refused() -> None:
    w = variable(1.0, "w")
    optimizer = optim.SGD(0.1)
    with pytest.raises(errors.ArgumentError, match="no variables to train"):
        optimizer.minimize(lambda: w * 1.0, [])
    with pytest.raises(errors.ArgumentError, match="no gradients to apply"):
        optimizer.apply_gradients([])
    with pytest.raises(errors.ArgumentError, match="'w' is given twice"):
        optimizer.minimize(lambda: w * 1.0, [w, w])
    with pytest.raises(errors.ArgumentTypeError, match="expected a variable"):
        optimizer.minimize(lambda: w * 1.0, [1.0])  # type: ignore[list-item]
    with pytest.raises(errors.ArgumentTypeError, match="pairs of a gradient"):
        optimizer.apply_gradients([w])  # type: ignore[list-item]
    with pytest.raises(errors.GradientError, match="no gradient for any of the variables 'w'"):
        optimizer.apply_gradients([(None, w)])
    frozen = mg.Variable(1.0, trainable=False, name="frozen")
    with pytest.raises(errors.ArgumentError, match="'frozen' is not trainable"):
        optimizer.apply_gradients([(1.0, frozen)])
    whole = mg.Variable(1, name="whole")
    with pytest.raises(errors.DTypeError, match="'whole' is of int32"):
        optimizer.apply_gradients([(1, whole)])
    assert w.item() == 1.0


@pytest.mark.parametrize("lazy", [False, True])
def test_gradients_that_do_not_fit_their_variable_are_refused(lazy: bool) -> None:
    with mg.Graph().as_default() if lazy else mg.name_scope("eager"):
        w = variable([1.0, 2.0], "w")
        optimizer = optim.SGD(0.1)
        with pytest.raises(errors.ShapeError, match=r"'w' has shape \(2,?\), its gradient \(3,?\)"):
            optimizer.apply_gradients([(np.ones(3), w)])
        with pytest.raises(errors.DTypeError, match="'w' is of float64, its gradient of float32"):
            optimizer.apply_gradients([(np.ones(2, np.float32), w)])


def test_a_negative_rate_from_a_schedule_is_refused_before_anything_changes() -> None:
    w = variable(1.0)
    optimizer = optim.SGD(lambda step: -1.0)
    with pytest.raises(errors.ArgumentError, match=r"rate of this step .* got -1.0"):
        optimizer.apply_gradients([(np.float64(1.0), w)])
    assert (w.item(), optimizer.iterations.item()) == (1.0, 0)


# -- all or nothing ------------------------------------------------------------------------


class Failing(optim.SGD):
    """Plain descent that fails at one variable, or is interrupted there."""

    at = "b"
    error: type[BaseException] = ZeroDivisionError

    def update(self, w: Any, g: Any, slots: Any, step: Any) -> Any:
        if w.shape == (2,):
            raise self.error
        return super().update(w, g, slots, step)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_in_a_step_leaves_everything_as_before(error: type[BaseException]) -> None:
    a, b = variable([1.0], "a"), variable([1.0, 2.0], "b")
    optimizer = Failing(0.1, momentum=0.9)
    optimizer.error = error
    with pytest.raises(error):
        optimizer.apply_gradients([(np.ones(1), a), (np.ones(2), b)])
    assert (a.tolist(), b.tolist(), optimizer.iterations.item()) == ([1.0], [1.0, 2.0], 0)
    assert optimizer.get_slot(a, "momentum").tolist() == [0.0]
    optim.SGD(0.5).apply_gradients([(np.ones(1), a)])  # Nothing stays locked.
    assert a.tolist() == [0.5]


def test_a_rule_of_the_wrong_shape_is_refused() -> None:
    class Wrong(optim.Optimizer):
        def update(self, w: Any, g: Any, slots: Any, step: Any) -> Any:
            return mg.sum(w), {}

    w = variable([1.0, 2.0], "w")
    with pytest.raises(errors.ShapeError, match="'w' has shape"):
        Wrong(0.1).apply_gradients([(np.ones(2), w)])
    assert w.tolist() == [1.0, 2.0]


def test_slots_do_not_share_memory_with_the_callers_gradient() -> None:
    w = variable([1.0, 2.0])
    gradient = np.ones(2)
    optimizer = optim.SGD(0.1, momentum=0.5, dampening=0.5)
    optimizer.apply_gradients([(mg.asarray(gradient, copy=False), w)])
    gradient[:] = 100.0
    assert optimizer.get_slot(w, "momentum").tolist() == [1.0, 1.0]


def test_two_steps_in_one_run_both_count() -> None:
    with mg.Graph().as_default():
        a, b = variable(1.0, "a"), variable(1.0, "b")
        optimizer = optim.SGD(0.5)
        trains = [optimizer.minimize(a * 1.0), optimizer.minimize(b * 1.0)]
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            session.run(trains)
            assert session.run([a, b, optimizer.iterations]) == [0.5, 0.5, 2]

"""What optimizers do around their rules: finding variables, counting, rates, errors."""

from __future__ import annotations

from collections.abc import Callable

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
        with pytest.raises(errors.GradientError, match=r"depends on no trainable variable$"):
            optim.SGD(0.1).minimize(x * 2.0)
        w.trainable = False
        with pytest.raises(errors.GradientError, match="it reads 'gamma', which are not trainable"):
            optim.SGD(0.1).minimize(w * 2.0)
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


def test_an_optimizer_refused_by_its_home_makes_no_state() -> None:
    optimizer = optim.Adam()
    with mg.Graph().as_default():
        optimizer.build([variable(1.0, "w")])
    eager = variable(1.0, "eager")
    with pytest.raises(errors.GraphError, match="counts its steps in"):
        optimizer.apply_gradients([(np.float64(1.0), eager)])
    assert not [name for name in optimizer.state() if name.startswith("eager")]


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


# -- nodes ---------------------------------------------------------------------------------


def names_of_step(optimizer: optim.Optimizer) -> list[str]:
    """The nodes that one step over two variables adds to a graph."""
    with mg.Graph().as_default() as graph:
        variables = [variable(np.ones((2, 2)), name) for name in ("first", "other")]
        fed = [mg.placeholder("float64", (2, 2)) for _ in variables]
        optimizer.build(variables)
        before = len(graph.get_operations())
        optimizer.apply_gradients(zip(fed, variables, strict=True))
        return [op.name for op in graph.get_operations()[before:]]


def test_a_further_variable_adds_only_the_nodes_of_its_own_rule() -> None:
    names = names_of_step(optim.Adam(0.1))
    # m and v are averages of two products each; v has the square, and w the step.
    rule = ["Mul", "Mul_1", "Add", "Square", "Mul_2", "Mul_3", "Add_1"]
    rule += ["Sqrt", "RealDiv", "Add_2", "Mul_4", "RealDiv_1", "Sub", "Assign"]
    rule += ["Adam/m/Assign", "Adam/v/Assign"]
    own = [name.removeprefix("Adam/other/") for name in names if name.startswith("Adam/other/")]
    assert own == rule
    shared = [name for name in names if "first" not in name and "other" not in name]
    assert len(names) == len(shared) + 2 * len(rule)
    assert {"Adam/learning_rate", "Adam/Pow", "Adam/step"} < set(shared)


@pytest.mark.parametrize("make", [optim.AdamW, optim.RAdam, optim.RMSprop, optim.Adamax])
def test_no_scalar_is_computed_for_each_variable(make: Callable[[float], optim.Optimizer]) -> None:
    own = [name for name in names_of_step(make(0.1)) if "/first/" in name]
    assert own
    assert not [name for name in own if name.split("/")[-1].startswith(("Const", "Cast", "Pow"))]

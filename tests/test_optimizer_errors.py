"""What optimizers refuse, and that a step that fails leaves everything as before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optimizer_runs import variable

import minigrad as mg
from minigrad import errors, nn, optim


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.Adam(lr=0.1), "^Adam has no .* 'lr'; .* write learning_rate; there are l"),
        (lambda: optim.AMSGrad(eps=1e-7), "^AMSGrad .* write epsilon; "),
        (lambda: optim.AdamW(0.1, betas=(0.9, 0.99)), "^AdamW .* write beta1 and beta2; "),
        (lambda: optim.Adam(0.1, momentum=0.9), "instead of momentum write beta1; "),
        (lambda: optim.EWMomentum(momentum=0.9), "instead of momentum write beta; "),
        (lambda: optim.RMSprop(alpha=0.9), "instead of alpha write rho; "),
        (lambda: optim.SGD(weigth_decay=0.1), "instead of weigth_decay write weight_decay; "),
        (lambda: optim.Adafactor(eps=1e-7), "write epsilon1 and epsilon2; "),
        (lambda: optim.SGD(params=[]), r"variables go to minimize\(loss, variables\)"),
        (lambda: optim.SGD(colour=1), "^SGD has no option 'colour'; there are .*momentum.*, name$"),
    ],
)
def test_options_that_there_are_not(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.ArgumentTypeError, match=message):
        make()


def test_the_options_named_are_those_that_the_class_takes() -> None:
    class Halving(optim.Adam):
        def __init__(self, factor: float = 0.5, **options: Any) -> None:
            super().__init__(**options)
            self.factor = factor

    with pytest.raises(errors.ArgumentTypeError, match=r"^Halving .* factor, .* beta1, .* amsgrad"):
        Halving(lr=1.0)
    with pytest.raises(errors.ArgumentTypeError) as refused:
        optim.AMSGrad(lr=1.0)  # type: ignore[call-arg]
    assert "amsgrad" not in str(refused.value)
    assert "unknown" not in str(refused.value)


def test_variables_are_no_learning_rate() -> None:
    model = nn.Linear(2, 2)
    w = mg.Variable(1.0)
    refused = "first argument is the learning rate, got {}; variables go to minimize"
    for given, shown in ((model, "the module Linear"), ([w], "a list of v"), ({"w": w}, "a dict")):
        with pytest.raises(errors.ArgumentTypeError, match=refused.format(f"{shown}.*")):
            optim.Adam(given)  # type: ignore[arg-type]
        with pytest.raises(errors.ArgumentTypeError, match=shown):
            optim.ParameterGroup([w], learning_rate=given)  # type: ignore[arg-type]
    assert optim.Adam(mg.Variable(0.5)).learning_rate.item() == 0.5  # type: ignore[union-attr]


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o, w: o.apply_gradients([(w, [1.0])]), "got the variable 'w' first; write zip"),
        (lambda o, w: o.apply_gradients(None), "expected pairs .* got None"),
        (lambda o, w: o.minimize(lambda: None, [w]), "returned None"),
        (lambda o, w: o.minimize(lambda: w * w, nn.Linear), r"the class Linear; make .* Linear\("),
        (lambda o, w: o.get_slot("w", "m"), "expected a variable, got 'w'"),
        (lambda o, w: o.load_state_dict(None), "takes a dict of names to arrays, got NoneType"),
        (lambda o, w: o.load_state_dict([1]), "takes a dict of names to arrays, got list"),
        (lambda o, w: optim.Adam(optim.CosineDecay), r"is the class CosineDecay; make a schedule"),
        (lambda o, w: optim.Adam(groups=optim.ParameterGroup([w])), "takes a list of Param"),
        (lambda o, w: optim.Adam(groups={"variables": [w]}), "takes a list of ParameterGroups"),
        (lambda o, w: optim.Adam(groups=3), "takes a list of ParameterGroups or dicts, got 3"),
        (lambda o, w: optim.Adam(name=3), "name must be text, got 3"),
    ],
)
def test_what_is_easily_confused_is_explained(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(errors.ArgumentTypeError, match=message):
        call(optim.Adam(), variable([1.0], "w"))


def test_a_lookahead_around_another_needs_a_name_of_its_own() -> None:
    inner = optim.Lookahead(optim.SGD(0.1))
    with pytest.raises(errors.ArgumentError, match="has this name too; give name="):
        optim.Lookahead(inner)
    w = variable([1.0], "w")
    optim.Lookahead(inner, name="outer").build([w])


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_run_refuses_a_bad_rate_and_changes_nothing(rate: float) -> None:
    with mg.Graph().as_default(), mg.Session() as session:
        v = mg.Variable(2.0)
        fed = mg.placeholder("float32", ())
        step = optim.SGD(fed).minimize(v * v)
        later = optim.SGD(lambda t: 0.5 - 0.5 * mg.astype(t, "float64")).minimize(v * v)
        session.run(mg.global_variables_initializer())
        with pytest.raises(errors.ArgumentError, match="SGD: the learning rate of this step"):
            session.run(step, {fed: rate})
        assert session.run(v) == 2.0
        for _ in range(2):
            session.run(later)
        with pytest.raises(errors.ArgumentError, match=r"got -0\.5"):
            session.run(later)


def test_odd_settings_say_what_they_may_be() -> None:
    with pytest.raises(errors.ArgumentError, match=r"dampening must lie in \[0, 1\], got 2\.0"):
        optim.SGD(0.1, momentum=0.9, dampening=2.0)
    with pytest.raises(errors.ArgumentTypeError, match="beta2_decay must be a number, got 'a'"):
        optim.Adafactor(beta2_decay="a")  # type: ignore[arg-type]

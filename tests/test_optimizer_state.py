"""Slots and counters of optimizers: names, homes, saving, loading, copying."""

from __future__ import annotations

import copy
import pickle
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optimizer_runs import variable

import minigrad as mg
from minigrad import errors, optim


def step(optimizer: Any, *variables: mg.Variable, by: float = 1.0) -> None:
    optimizer.apply_gradients([(np.full(v.shape, by), v) for v in variables])


def test_slots_are_named_after_their_variable_and_optimizer() -> None:
    w = variable([1.0], "layer/weight")
    optimizer = optim.Adam(0.1, skip_nonfinite=True, accumulate_steps=2)
    optimizer.build([w])
    assert [v.name for v in optimizer.variables()] == [
        "Adam/iterations",
        "Adam/skipped",
        "Adam/collected",
        "layer/weight/Adam/m",
        "layer/weight/Adam/v",
        "layer/weight/Adam/gradients",
    ]
    assert not any(v.trainable for v in optimizer.variables())
    named = optim.Adam(0.1, name="slow")
    named.build([w])
    assert named.get_slot(w, "m").name == "layer/weight/slow/m"


def test_variables_of_one_name_have_slots_of_different_names() -> None:
    variables = [variable([1.0], "w"), variable([1.0, 2.0], "w"), variable([1.0], "w")]
    optimizer = optim.Momentum(0.1)
    step(optimizer, *variables)
    assert [v.name for v in optimizer.variables()] == [
        "Momentum/iterations",
        "w/Momentum/momentum",
        "w_1/Momentum/momentum",
        "w_2/Momentum/momentum",
    ]


def test_slots_live_where_their_variable_lives() -> None:
    shared = variable(1.0, "shared")
    with mg.Graph().as_default() as graph:
        own = variable(1.0, "own")
        optimizer = optim.Momentum(0.1)
        with mg.name_scope("training"):
            optimizer.minimize(own * shared)
        slot = optimizer.get_slot(own, "momentum")
        assert slot.graph is graph
        assert slot.name == "own/Momentum/momentum"
        assert optimizer.get_slot(shared, "momentum").graph is None
        assert any(v is slot for v in mg.global_variables())
        assert not any(v is slot for v in mg.trainable_variables())


def test_the_counter_lives_beside_the_first_variable() -> None:
    with mg.Graph().as_default() as graph:
        optimizer = optim.SGD(0.1)
        optimizer.build([variable(1.0)])
    assert optimizer.iterations.graph is graph
    with mg.Graph().as_default():
        early = optim.SGD(0.1)
        early.minimize(mg.square(variable(1.0)))
        assert early.iterations.graph is mg.get_default_graph()
    assert optim.SGD(0.1).iterations.item() == 0


def test_slots_that_do_not_exist_are_refused_by_name() -> None:
    w = variable([1.0], "w")
    optimizer = optim.Adam()
    with pytest.raises(errors.ArgumentError, match="no slots for variable 'w'"):
        optimizer.get_slot(w, "m")
    step(optimizer, w)
    with pytest.raises(errors.ArgumentError, match=r"no slot 'momentum' .* only 'm', 'v'"):
        optimizer.get_slot(w, "momentum")


def test_uninitialized_slots_are_named_when_the_step_runs() -> None:
    with mg.Graph().as_default():
        w = variable(1.0, "w")
        initialize = mg.global_variables_initializer()
        train = optim.Momentum(0.1).minimize(w * w)
        with mg.Session() as session:
            session.run(initialize)
            with pytest.raises(errors.FailedPreconditionError, match="Momentum/"):
                session.run(train)


MAKERS = [
    lambda: optim.Momentum(0.1),
    lambda: optim.Adam(0.1, accumulate_steps=2, skip_nonfinite=True),
    lambda: optim.NAdam(0.1),
    lambda: optim.Adafactor(0.1),
    lambda: optim.Lookahead(optim.RMSprop(0.1, centered=True, momentum=0.5), k=3),
]


@pytest.mark.parametrize("make", MAKERS)
def test_training_goes_on_from_a_loaded_state_as_if_never_stopped(make: Any) -> None:
    start = np.array([[1.0, -2.0], [0.5, 3.0]])
    through, w = make(), variable(start, "w")
    for i in range(7):
        step(through, w, by=i - 2.5)
    first, before = make(), variable(start, "w")
    for i in range(3):
        step(first, before, by=i - 2.5)
    second, after = make(), variable(before.numpy(), "w")
    second.build([after])
    second.load_state_dict(first.state_dict())
    for i in range(3, 7):
        step(second, after, by=i - 2.5)
    np.testing.assert_array_equal(after.numpy(), w.numpy())


def test_the_state_of_a_graph_is_its_sessions(tmp_path: Path) -> None:
    with mg.Graph().as_default() as graph:
        w = variable([1.0, 2.0], "w")
        optimizer = optim.Adam(0.1)
        train = optimizer.minimize(mg.sum(mg.square(w)))
        initialize = mg.global_variables_initializer()
    with pytest.raises(errors.StateError, match="session="):
        optimizer.state_dict()
    with mg.Session(graph=graph) as one, mg.Session(graph=graph) as two:
        one.run(initialize)
        with pytest.raises(errors.FailedPreconditionError, match="not initialized"):
            optimizer.state_dict(session=two)
        for _ in range(3):
            one.run(train)
        state = optimizer.state_dict(session=one)
        assert state["Adam/iterations"] == 3
        two.run(initialize)
        two.load(w, one.run(w))
        optimizer.load_state_dict(state, session=two)
        one.run(train)
        two.run(train)
        np.testing.assert_array_equal(one.run(w), two.run(w))
        # Saved and restored with the model, by the same names as eager ones have.
        path = mg.save(tmp_path / "all.safetensors", session=one)
        two.run(train)
        mg.restore(path, session=two)
        one.run(train)
        two.run(train)
        np.testing.assert_array_equal(one.run(w), two.run(w))
    eager, own = optim.Adam(0.1), variable([0.0, 0.0], "w")
    eager.build([own])
    mg.restore(path, [own, *eager.variables()])
    assert eager.iterations.item() == 4


def test_a_state_that_does_not_fit_names_every_problem_and_loads_nothing() -> None:
    a, b = variable([1.0, 2.0], "a"), variable([3.0], "b")
    optimizer = optim.Adam(0.1)
    step(optimizer, a, b)
    before = optimizer.state_dict()
    bad = dict(before)
    del bad["b/Adam/v"]
    bad["c/Adam/m"] = np.zeros(1)
    bad["a/Adam/m"] = np.zeros((2, 2))
    bad["a/Adam/v"] = np.zeros(2)
    with pytest.raises(errors.ArgumentError) as caught:
        optimizer.load_state_dict(bad)
    message = str(caught.value)
    assert "missing: 'b/Adam/v'" in message
    assert "unexpected: 'c/Adam/m'" in message
    assert re.search(
        r"misshapen: 'a/Adam/m' is float64 of shape \(2, 2\), expected .* \(2,?\)", message
    )
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    # Not strict: what is missing stays, what is unexpected is left out; shapes still count.
    with pytest.raises(errors.ArgumentError, match="misshapen: 'a/Adam/m'"):
        optimizer.load_state_dict(bad, strict=False)
    bad["a/Adam/m"] = np.ones(2)
    optimizer.load_state_dict(bad, strict=False)
    np.testing.assert_array_equal(optimizer.get_slot(a, "m").numpy(), [1.0, 1.0])
    np.testing.assert_array_equal(optimizer.get_slot(b, "v").numpy(), before["b/Adam/v"])


def test_loading_before_the_slots_exist_says_what_to_do() -> None:
    w = variable([1.0], "w")
    trained = optim.Adam(0.1)
    step(trained, w)
    with pytest.raises(errors.ArgumentError, match=r"call build\(variables\)"):
        optim.Adam(0.1).load_state_dict(trained.state_dict())


def test_a_loaded_state_is_a_copy() -> None:
    w = variable([1.0], "w")
    optimizer = optim.Momentum(0.1)
    step(optimizer, w)
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    state["w/Momentum/momentum"][:] = 100.0
    assert optimizer.get_slot(w, "momentum").tolist() == [1.0]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_model_and_its_optimizer_can_be_copied_together(duplicate: Any) -> None:
    w = variable([1.0, 2.0], "w")
    optimizer = optim.Adam(0.1, groups=[optim.ParameterGroup([w], weight_decay=0.1)])
    step(optimizer, w)
    v, other = duplicate((w, optimizer))
    step(optimizer, w)
    assert v.tolist() != w.tolist()
    step(other, v)
    np.testing.assert_array_equal(v.numpy(), w.numpy())
    assert other.iterations.item() == 2


def test_steps_of_many_threads_all_count() -> None:
    w = variable(0.0)
    optimizer = optim.SGD(1.0)
    optimizer.build([w])

    def work() -> None:
        for _ in range(50):
            step(optimizer, w, by=-1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (w.item(), optimizer.iterations.item()) == (200.0, 200)


def test_threads_that_make_the_first_step_together_make_one_state() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            w = variable(0.0)
            optimizer = optim.SGD(1.0, momentum=0.5)
            average = optim.ExponentialMovingAverage(0.5)
            together = threading.Barrier(4)

            def work() -> None:
                together.wait()  # noqa: B023  (used up in this turn)
                step(optimizer, w, by=-1.0)  # noqa: B023
                average.update([w])  # noqa: B023

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Momentum after n steps with gradient 1 adds up to the same, whoever made them.
            assert w.item() == 1.0 + 1.5 + 1.75 + 1.875
            assert (optimizer.iterations.item(), average.updates.item()) == (4, 4)
            assert len(optimizer.variables()) == 2
    finally:
        sys.setswitchinterval(interval)

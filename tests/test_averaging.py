"""Averages of weights: their numbers, trying them out, their state; both modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizer_runs import variable

import minigrad as mg
from minigrad import errors, optim

Average = optim.ExponentialMovingAverage
Mean = optim.StochasticWeightAveraging


def eager_averages(average: Any, values: list[float]) -> list[float]:
    """The average after each update, for a variable with these values."""
    v = variable(0.0)
    shown = []
    for value in values:
        v.assign(value)
        average.update([v])
        shown.append(float(average.average(v)))
    return shown


def lazy_averages(average: Any, values: list[float]) -> list[float]:
    with mg.Graph().as_default() as graph:
        v = variable(0.0)
        x = mg.placeholder("float64", ())
        with mg.control_dependencies([v.assign(x)]):
            update = average.update([v])
        shown = average.average(v)
        initialize = mg.global_variables_initializer()
    with mg.Session(graph=graph) as session:
        session.run(initialize)
        made = []
        for value in values:
            session.run(update, {x: value})
            made.append(float(session.run(shown)))
        return made


MODES = [eager_averages, lazy_averages]


@pytest.mark.parametrize("run", MODES)
def test_the_moving_average_by_hand(run: Any) -> None:
    # 4; 0.75*4 + 0.25*8 = 5; 0.75*5 + 0 = 3.75.
    assert run(Average(0.75), [4.0, 8.0, 0.0]) == [4.0, 5.0, 3.75]


@pytest.mark.parametrize("run", MODES)
def test_the_bias_corrected_average_by_hand(run: Any) -> None:
    # a: 2, 0.5*2 + 4 = 5, 2.5 + 0; divided by 1/2, 3/4, 7/8.
    got = run(Average(0.5, bias_correction=True), [4.0, 8.0, 0.0])
    assert got == pytest.approx([4.0, 5 / 0.75, 2.5 / 0.875], rel=1e-14)


@pytest.mark.parametrize("run", MODES)
def test_the_ramp_shortens_the_memory_at_first(run: Any) -> None:
    # Decays (1 + n)/(10 + n): the first value is taken whole, then 2/11, then min(3/12, 0.2).
    got = run(Average(0.2, ramp=True), [11.0, 22.0, 0.0])
    assert got == pytest.approx([11.0, 2 + 18, 0.2 * 20], rel=1e-14)


@pytest.mark.parametrize("run", MODES)
def test_the_plain_mean_from_a_step_on_by_hand(run: Any) -> None:
    # Calls 1, 3 and 5 count; before them the average is the weight itself.
    got = run(Mean(start=1, every=2), [9.0, 1.0, 50.0, 5.0, 50.0, 9.0])
    assert got == [9.0, 1.0, 1.0, 3.0, 3.0, 5.0]


def test_averages_keep_the_dtype() -> None:
    for kind in (Average(0.5), Average(0.5, bias_correction=True), Mean()):
        v = mg.Variable(np.ones(3, np.float32), name="v")
        kind.update([v])
        assert kind.average(v).dtype == mg.float32
        assert kind.average(v).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("bias_correction", [False, True])
def test_averages_can_be_tried_out_in_eager_code(bias_correction: bool) -> None:
    v = variable([0.0, 2.0])
    average = Average(0.5, bias_correction=bias_correction)
    average.update([v])
    v.assign([4.0, 2.0])
    average.update()
    expected = average.average(v).tolist()
    with average.swapped():
        assert v.tolist() == expected
        with pytest.raises(errors.StateError, match="swapped in"):
            average.update()
        with pytest.raises(errors.StateError, match="swapped in already"):
            with average.swapped():
                pass
        assert v.tolist() == expected
    assert v.tolist() == [4.0, 2.0]
    with pytest.raises(ZeroDivisionError):
        with average.swapped():
            1 / 0
    assert v.tolist() == [4.0, 2.0]


def test_averages_can_be_tried_out_in_a_graph() -> None:
    with mg.Graph().as_default():
        v = variable([0.0, 2.0])
        average = Average(0.5)
        with mg.control_dependencies([v.assign_add([4.0, 0.0])]):
            update = average.update([v])
        into, out = average.swap_in(), average.swap_out()
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            session.run(update)
            session.run(update)
            assert session.run(v).tolist() == [8.0, 2.0]
            for _ in range(2):  # The second time, nothing happens.
                session.run(into)
                assert session.run(v).tolist() == [6.0, 2.0]
            for _ in range(2):
                session.run(out)
                assert session.run(v).tolist() == [8.0, 2.0]
        with pytest.raises(errors.StateError, match="swap_in"):
            with average.swapped():
                pass


def test_an_average_follows_training_in_both_modes() -> None:
    start = np.array([3.0, -1.0])
    w, eager = variable(start, "w"), Average(0.9)
    optimizer = optim.Adam(0.1)
    for _ in range(5):
        optimizer.minimize(lambda: mg.sum(mg.square(w)), [w])
        eager.update([w])
    expected = eager.average(w).numpy()
    with mg.Graph().as_default():
        v, lazy = variable(start, "w"), Average(0.9)
        train = optim.Adam(0.1).minimize(mg.sum(mg.square(v)))
        with mg.control_dependencies([train]):
            step = lazy.update([v])
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            for _ in range(5):
                session.run(step)
            np.testing.assert_allclose(session.run(v), w.numpy(), rtol=1e-14)
            np.testing.assert_allclose(session.run(lazy.average(v)), expected, rtol=1e-14)
            state = lazy.state_dict()
    other, x = Average(0.9), variable(start, "w")
    other.build([x])
    other.load_state_dict(state)
    np.testing.assert_allclose(other.average(x).numpy(), expected, rtol=1e-14)


def test_before_the_first_update_the_average_is_the_value() -> None:
    v = variable(7.0)
    for average in (Average(0.5), Average(0.5, bias_correction=True), Mean()):
        average.build([v])
        assert float(average.average(v)) == 7.0


def test_bad_averages_are_refused() -> None:
    v = variable(1.0, "v")
    with pytest.raises(errors.ArgumentError, match=r"decay must be in \[0, 1\), got 1.0"):
        Average(1.0)
    with pytest.raises(errors.ArgumentError, match="only one of bias_correction and ramp"):
        Average(0.5, bias_correction=True, ramp=True)
    with pytest.raises(errors.ArgumentError, match="start must be at least 0"):
        Mean(start=-1)
    with pytest.raises(errors.ArgumentError, match="every must be at least 1"):
        Mean(every=0)
    with pytest.raises(errors.ArgumentError, match="no variables to average"):
        Average(0.5).update()
    with pytest.raises(errors.ArgumentError, match="no average of variable 'v'"):
        Average(0.5).average(v)


def test_clipping_lists_of_gradients() -> None:
    gradients: list[Any] = [np.array([3.0, 4.0]), None, np.array([[0.5]])]
    clipped, norm = optim.clip_by_global_norm(gradients, 1.0)
    total = np.sqrt(25.25)
    assert float(norm) == pytest.approx(total)
    np.testing.assert_allclose(clipped[0].numpy(), np.array([3.0, 4.0]) / total, rtol=1e-14)
    assert clipped[1] is None
    each = optim.clip_by_norm(gradients, 1.0)
    np.testing.assert_allclose(each[0].numpy(), [0.6, 0.8], rtol=1e-14)
    assert each[2].tolist() == [[0.5]]
    held = optim.clip_by_value(gradients, -1.0, 3.5)
    assert (held[0].tolist(), held[1], held[2].tolist()) == ([3.0, 3.5], None, [[0.5]])
    with pytest.raises(errors.ArgumentError, match="an empty list"):
        optim.global_norm([])
    with pytest.raises(errors.ArgumentError, match="only None"):
        optim.clip_by_norm([None], 1.0)

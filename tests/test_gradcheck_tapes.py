"""Gradient checks of what a tape recorded."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentTypeError, GradientError, StateError


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return mg.asarray(rng.normal(size=(6, 4)).astype("float32"))


def test_a_float32_tape_scores_as_float64(data):
    rng = np.random.default_rng(1)
    w = mg.Variable(rng.normal(size=(4, 3)).astype("float32"), name="w")
    b = mg.Variable(np.zeros(3, "float32"), name="b")
    with mg.GradientTape(persistent=True) as tape:
        # `3.0` and the data are constants that no gradient rule reads.
        loss = mg.mean(mg.tanh(data @ w + b) + 3.0) + 0.01 * mg.sum(w**2.0)
    report = mg.gradcheck(tape, loss, [w, b], order=2)
    assert report.verdict == "right"
    assert report.error(1) < 1e-9
    assert [c.name for c in report.checks] == ["w", "b", "w", "b"]


def test_watched_tensors_and_intermediate_results():
    x = mg.asarray(2.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        h = mg.exp(x)
        y = h * h + x
    report = mg.gradcheck(tape, y, {"x": x, "h": h})
    assert report.verdict == "right"
    numeric = [c.worst[0].numeric for c in report.checks]
    assert numeric == pytest.approx([2 * np.exp(4.0) + 1.0, 2 * np.exp(2.0)])


def test_integer_results_and_choices_are_part_of_it(data):
    x = mg.asarray(np.array([0.3, -1.0, 2.0]))
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        best = mg.take(x, mg.argmax(x))
        y = mg.sum(mg.where(x > 0, x * x, -x)) * best
    assert mg.gradcheck(tape, y, x).verdict == "right"


def test_the_variable_may_have_changed_since():
    v = mg.Variable([1.0, 2.0])
    with mg.GradientTape(persistent=True) as tape:
        y = mg.sum(v * v * v)
    v.assign([50.0, 60.0])
    report = mg.gradcheck(tape, y, [v])
    assert report.verdict == "right"
    assert sorted(c.numeric for c in report.checks[0].worst) == pytest.approx([3.0, 12.0])


def test_a_variable_assigned_between_two_reads():
    v = mg.Variable(2.0)
    with mg.GradientTape(persistent=True) as tape:
        y = v * v
        v.assign(5.0)
        z = y + v * v
    report = mg.gradcheck(tape, z, [v])
    assert report.verdict == "right"
    assert report.checks[0].worst[0].numeric == pytest.approx(2 * 2.0 + 2 * 5.0)
    assert float(v.numpy()) == 5.0


def test_nested_tapes():
    x = mg.asarray(1.5)
    with mg.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with mg.GradientTape() as inner:
            inner.watch(x)
            y = x**4.0
        slope = inner.gradient(y, x)
    report = mg.gradcheck(outer, slope, x)
    assert report.verdict == "right"
    assert report.checks[0].worst[0].numeric == pytest.approx(12 * 1.5**2)


def test_effects_are_not_repeated():
    counter, v = mg.Variable(0, trainable=False), mg.Variable(2.0)
    generator = mg.random.Generator(seed=1)
    with mg.GradientTape(persistent=True) as tape:
        counter.assign_add(1)
        noise = mg.random.uniform((3,), generator=generator)
        y = mg.sum(noise * v)
    drawn = generator.counter
    report = mg.gradcheck(tape, y, [v])
    assert report.verdict == "right"
    assert report.checks[0].worst[0].numeric == pytest.approx(float(mg.sum(noise)))
    assert int(counter.numpy()) == 1
    assert generator.counter == drawn


def test_stop_gradient_is_held_fixed():
    v = mg.Variable(2.0)
    with mg.GradientTape(persistent=True) as tape:
        y = v * mg.stop_gradient(v * v)
    report = mg.gradcheck(tape, y, [v])
    assert report.verdict == "right"
    assert report.checks[0].worst[0].numeric == pytest.approx(4.0)


def test_python_functions_on_the_tape():
    x = mg.asarray(np.array([1.0, 2.0], "float32"))
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mg.host_call(
            lambda a: a**3,
            x,
            out=((2,), "float32"),
            gradient=lambda c: c.grads[0] * 3.0 * c.inputs[0] ** 2.0,
        )
    assert mg.gradcheck(tape, y, x).verdict == "right"


def test_a_wrong_gradient_is_found():
    @mg.custom_gradient
    def cube(x):
        return x**3.0, lambda g: g * 2.0 * x**2.0

    x = mg.asarray(np.array([1.0, 2.0]))
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mg.sum(cube(x))
    assert mg.gradcheck(tape, y, x).verdict == "bug"


def test_a_checkpoint_is_refused():
    x = mg.asarray(np.array([1.0, 2.0]))
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mg.sum(mg.checkpoint(mg.tanh)(x))
    with pytest.raises(GradientError, match=r"check the function itself: mg.gradcheck\(f, x\)"):
        mg.gradcheck(tape, y, x)
    assert mg.gradcheck(mg.checkpoint(mg.tanh), x, order=2).verdict == "right"


def test_a_custom_gradient_in_float32_is_refused():
    square = mg.custom_gradient(lambda x: (x * x, lambda g: g * 2.0 * x))
    x = mg.asarray([1.0, 2.0])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mg.sum(square(x))
    with pytest.raises(GradientError, match="record the tape in float64"):
        mg.gradcheck(tape, y, x)


def test_the_target_may_be_a_source():
    x = mg.asarray(2.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
    report = mg.gradcheck(tape, x, x)
    assert report.verdict == "right"
    assert report.checks[0].relative_error < 1e-9


def test_a_source_that_does_not_matter():
    x, v = mg.asarray(2.0), mg.Variable(3.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    report = mg.gradcheck(tape, y, [x, v])
    assert [c.relative_error < 1e-9 for c in report.checks] == [True, True]


def test_the_tape_must_have_kept_what_is_needed():
    x = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    with pytest.raises(GradientError, match="persistent=True"):
        mg.gradcheck(tape, y, x)
    tape.gradient(y, x)
    with pytest.raises(StateError, match="persistent=True"):
        mg.gradcheck(tape, y, x)


def test_targets_and_sources_must_be_on_the_tape():
    x = mg.asarray(2.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    with pytest.raises(GradientError, match="did not record how"):
        mg.gradcheck(tape, mg.asarray(1.0), x)
    with pytest.raises(GradientError, match="was not watched"):
        mg.gradcheck(tape, y, mg.asarray(1.0))
    with pytest.raises(ArgumentTypeError, match="got 1 further"):
        mg.gradcheck(tape, y)
    with mg.Graph().as_default(), pytest.raises(ArgumentTypeError, match="concrete tensor"):
        mg.gradcheck(tape, mg.constant(1.0), x)


def test_a_tape_that_is_not_persistent_keeps_nothing_more():
    x = mg.asarray(np.ones(3))
    with mg.GradientTape() as plain, mg.GradientTape(persistent=True) as keeping:
        plain.watch(x)
        keeping.watch(x)
        x + mg.asarray(np.ones(3))
    assert plain.recorder.kept is None
    assert not plain.recorder.made
    assert len(keeping.recorder.kept) == 1


def test_no_sources_are_no_check():
    x = mg.asarray(2.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    with pytest.raises(mg.errors.ArgumentError, match="there are no sources"):
        mg.gradcheck(tape, y, [])

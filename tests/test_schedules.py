"""Learning-rate schedules against numbers worked out by hand, called in every way there is."""

import math
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError

COS_QUARTER = math.sqrt(0.5)  # cos(π/4)

#: A schedule, and its rates by step, worked out in the line.
BY_HAND: list[tuple[optim.Schedule, dict[int, float]]] = [
    (optim.ConstantSchedule(0.3), {0: 0.3, 7: 0.3}),
    # α₀ = 0.2, decay = 1: the table of the course for epochs 0 to 3.
    (optim.InverseTimeDecay(0.2, 1.0), {0: 0.2, 1: 0.2 / 2, 2: 0.2 / 3, 3: 0.05}),
    (
        optim.InverseTimeDecay(0.2, 0.5, steps_per_epoch=10),
        {0: 0.2, 5: 0.2 / (1 + 0.5 * 0.5), 10: 0.2 / 1.5, 20: 0.1},
    ),
    (
        optim.InverseTimeDecay(0.2, 1.0, steps_per_epoch=10, staircase=True),
        {9: 0.2, 10: 0.1, 19: 0.1, 20: 0.2 / 3},
    ),
    (optim.ExponentialDecay(0.4, 0.95), {0: 0.4, 1: 0.38, 2: 0.361}),
    (optim.ExponentialDecay(0.4, 0.25, 10), {5: 0.2, 10: 0.1, 20: 0.025}),
    (optim.ExponentialDecay(0.4, 0.25, 10, staircase=True), {5: 0.4, 9: 0.4, 10: 0.1, 29: 0.025}),
    (optim.RootDecay(0.6), {0: 0.6, 1: 0.6 / math.sqrt(2), 3: 0.3, 8: 0.2, 99: 0.06}),
    (optim.RootDecay(0.6, 10, staircase=True), {9: 0.6, 30: 0.3, 39: 0.3}),
    (optim.RootDecay(0.6, steps_per_epoch=2), {6: 0.3}),
    (optim.StepDecay(0.8, every=10, factor=0.5), {0: 0.8, 9: 0.8, 10: 0.4, 35: 0.1}),
    # (0.5 - 0.1)(1 - 2/4) + 0.1 = 0.3; squared: 0.4 · 0.25 + 0.1 = 0.2.
    (optim.PolynomialDecay(0.5, 4, end_rate=0.1), {0: 0.5, 2: 0.3, 3: 0.2, 4: 0.1, 9: 0.1}),
    (optim.PolynomialDecay(0.5, 4, end_rate=0.1, power=2.0), {2: 0.2, 4: 0.1}),
    # Cycling, T is 4 up to step 4, 8 up to step 8: at step 6, 0.4(1 - 6/8) + 0.1 = 0.2.
    (
        optim.PolynomialDecay(0.5, 4, end_rate=0.1, cycle=True),
        {0: 0.5, 4: 0.1, 5: 0.4 * 3 / 8 + 0.1, 6: 0.2, 8: 0.1, 9: 0.4 * 3 / 12 + 0.1},
    ),
    (
        optim.PiecewiseConstant([3, 5], [1.0, 0.5, 0.1]),
        {0: 1.0, 2: 1.0, 3: 0.5, 4: 0.5, 5: 0.1, 99: 0.1},
    ),
    # (1 + cos(π/4))/2 of 0.8 above 0.2, a half of it at the middle.
    (
        optim.CosineDecay(1.0, 8, end_rate=0.2),
        {0: 1.0, 2: 0.2 + 0.4 * (1 + COS_QUARTER), 4: 0.6, 8: 0.2, 50: 0.2},
    ),
    # Periods of 4, 8, 16 steps start at 0, 4, 12, 28, with tops of 1, 1/2, 1/4, 1/8.
    (
        optim.CosineDecayRestarts(1.0, 4, t_mul=2.0, m_mul=0.5),
        {0: 1.0, 1: (1 + COS_QUARTER) / 2, 2: 0.5, 4: 0.5, 8: 0.25, 12: 0.25, 20: 0.125, 28: 0.125},
    ),
    (
        optim.CosineDecayRestarts(1.0, 4, t_mul=1.0, end_rate=0.2),
        {0: 1.0, 2: 0.6, 3: 0.2 + 0.4 * (1 - COS_QUARTER), 4: 1.0, 6: 0.6, 400: 1.0},
    ),
    (
        optim.LinearWarmup(optim.ExponentialDecay(0.4, 0.5), 4),
        {0: 0.0, 1: 0.1, 3: 0.3, 4: 0.4, 5: 0.2, 6: 0.1},
    ),
    (optim.LinearWarmup(0.5, 4, start_rate=0.1), {0: 0.1, 1: 0.2, 2: 0.3, 4: 0.5, 9: 0.5}),
    # 64^-½ = 1/8; the top is at t = 4: 1/8 · 1/2. Before it t/8 of that a step (4^1.5 = 8).
    (
        optim.NoamSchedule(64, warmup_steps=4),
        {0: 1 / 64, 1: 2 / 64, 3: 1 / 16, 15: 1 / 32, 35: 1 / 48},
    ),
    # Starts at 1/4, is at the top at step 0.5·10 - 1 = 4, ends at step 9 at 1/4/10.
    (
        optim.OneCycle(1.0, 10, warmup_fraction=0.5, start_divisor=4.0, end_divisor=10.0),
        {
            0: 0.25,
            1: 0.25 + 0.75 * (1 - COS_QUARTER) / 2,
            2: 0.625,
            4: 1.0,
            9: 0.025,
            20: 0.025,
        },
    ),
    (
        optim.OneCycle(
            1.0, 10, warmup_fraction=0.5, start_divisor=4, end_divisor=10, anneal="linear"
        ),
        {1: 0.25 + 0.75 / 4, 3: 0.25 + 0.75 * 3 / 4, 5: 1 - 0.975 / 5, 8: 0.025 + 0.975 / 5},
    ),
    (
        optim.CyclicalRate(0.1, 0.5, half_cycle=4),
        {0: 0.1, 1: 0.2, 4: 0.5, 6: 0.3, 8: 0.1, 12: 0.5},
    ),
    (
        optim.CyclicalRate(0.1, 0.5, half_cycle=4, mode="triangular2"),
        {4: 0.5, 8: 0.1, 12: 0.3, 20: 0.2},
    ),
    (
        optim.JoinSchedules([0.1, optim.StepDecay(0.8, 2, 0.5), 0.05], [3, 7]),
        {0: 0.1, 2: 0.1, 3: 0.8, 4: 0.8, 5: 0.4, 6: 0.4, 7: 0.05, 70: 0.05},
    ),
    (optim.ManualSchedule(0.7), {0: 0.7, 5: 0.7}),
    (optim.ReduceOnPlateau(0.7), {0: 0.7, 5: 0.7}),
]

CASES = [
    pytest.param(schedule, step, rate, id=f"{type(schedule).__name__}-{i}-{step}")
    for i, (schedule, rates) in enumerate(BY_HAND)
    for step, rate in rates.items()
]
SCHEDULES = [
    pytest.param(schedule, id=f"{type(schedule).__name__}-{i}")
    for i, (schedule, _) in enumerate(BY_HAND)
]
#: Steps around every boundary above, and beyond what int32 and float32 hold.
STEPS = [0, 1, 2, 3, 4, 5, 9, 10, 11, 28, 1000, 2**24 + 1, 2**31 + 7, 2**40 + 1]


@pytest.mark.parametrize(("schedule", "step", "rate"), CASES)
def test_a_number_of_steps_gives_a_number(schedule: optim.Schedule, step: int, rate: float) -> None:
    made = schedule(step)
    assert type(made) is float
    assert made == pytest.approx(rate, rel=1e-14, abs=1e-16)
    assert schedule(np.int32(step)) == schedule(np.uint64(step)) == schedule(float(step)) == made


@pytest.mark.parametrize(("schedule", "step", "rate"), CASES)
def test_a_tensor_gives_a_tensor(schedule: optim.Schedule, step: int, rate: float) -> None:
    made = schedule(mg.constant(step))
    assert made.shape == () and made.dtype is mg.float32
    assert float(made) == pytest.approx(rate, rel=1e-7, abs=1e-16)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_ways_of_calling_agree(schedule: optim.Schedule) -> None:
    with mg.Graph().as_default() as graph:
        step = mg.placeholder("int64", ())
        rate = schedule(step)
        # A number asks for a number, also here.
        numbers = [schedule(t) for t in STEPS]
    assert rate.shape == () and rate.dtype is mg.float32
    nodes = len(graph)
    counter = mg.Variable(np.int64(0), trainable=False)
    session = mg.Session(graph=graph)
    for t, number in zip(STEPS, numbers, strict=True):
        rounded = np.float32(number)
        assert session.run(rate, {step: t}) == rounded
        assert schedule(mg.asarray(np.int64(t))).numpy() == rounded
        assert schedule(np.array(t)).numpy() == rounded
        counter.assign(t)
        assert schedule(counter).numpy() == rounded
        assert schedule(t) == number
    assert len(graph) == nodes


def test_large_steps_are_not_rounded_to_float32() -> None:
    schedule = optim.StepDecay(1.0, every=2**24 + 1, factor=0.5)
    for t, rate in [(2**24, 1.0), (2**24 + 1, 0.5)]:
        assert schedule(t) == schedule(mg.constant(t)).item() == rate


def test_a_graph_counts_its_own_steps() -> None:
    with mg.Graph().as_default():
        step = mg.Variable(0, trainable=False, name="global_step")
        rate = optim.ExponentialDecay(1.0, 0.5)(step)
        advance = step.assign_add(1)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            assert [session.run([rate, advance])[0] for _ in range(4)] == [1, 0.5, 0.25, 0.125]
    assert rate.op.name.startswith("ExponentialDecay/")


def test_the_dtype_of_the_tensor_can_be_chosen() -> None:
    schedule = optim.ExponentialDecay(0.1, 0.7)
    rate = schedule(mg.constant(3), dtype="float64")
    assert rate.dtype is mg.float64
    assert rate.item() == schedule(3)


def test_restarts_begin_where_they_should_for_every_ratio() -> None:
    # The sum of the lengths before period i, in exact integers.
    for ratio in (2, 3, 5, 10):
        schedule = optim.CosineDecayRestarts(1.0, 3, t_mul=ratio)
        start, length = 0, 3
        for _ in range(12):
            assert schedule(start) == 1.0
            assert schedule(start + length - 1) < 1.0
            start, length = start + length, length * ratio


def test_a_schedule_of_ones_own() -> None:
    class Wave(optim.Schedule):
        def formula(self, step: mg.Tensor) -> mg.Tensor:
            return 1.0 + mg.sin(step)

    assert Wave()(2) == pytest.approx(1 + math.sin(2), rel=1e-15)
    assert float(Wave()(mg.constant(2))) == pytest.approx(1 + math.sin(2), rel=1e-7)


def test_schedules_print_compare_and_pickle() -> None:
    schedule = optim.LinearWarmup(optim.CosineDecay(0.1, 100), 10)
    assert repr(schedule) == (
        "LinearWarmup(schedule=CosineDecay(rate=0.1, decay_steps=100, end_rate=0.0), "
        "warmup_steps=10, start_rate=0.0)"
    )
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert optim.PiecewiseConstant([1], [0.1, 0.2]) == optim.PiecewiseConstant((1,), (0.1, 0.2))
    assert repr(optim.ManualSchedule(0.5)) == "ManualSchedule(rate=0.5)"


# -- bad arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.ConstantSchedule(-0.1), r"rate must be finite and not negative, got -0\.1"),
        (lambda: optim.ConstantSchedule(math.nan), "rate must be finite .* got nan"),
        (lambda: optim.InverseTimeDecay(math.inf, 1.0), "rate must be finite .* got inf"),
        (lambda: optim.InverseTimeDecay(0.1, -1.0), r"decay must be .* got -1\.0"),
        (lambda: optim.InverseTimeDecay(0.1, 1.0, 0), "steps_per_epoch must be .* got 0"),
        (lambda: optim.ExponentialDecay(0.1, 1.5), r"decay must be .* at most 1, got 1\.5"),
        (lambda: optim.ExponentialDecay(0.1, 0.0), r"decay must be greater than 0 .* got 0\.0"),
        (lambda: optim.ExponentialDecay(0.1, 0.5, -3), "decay_steps must be .* got -3"),
        (lambda: optim.RootDecay(-1.0), r"k must be .* got -1\.0"),
        (lambda: optim.StepDecay(0.1, every=0), "every must be a positive .* got 0"),
        (lambda: optim.StepDecay(0.1, 10, factor=2.0), r"factor must be .* got 2\.0"),
        (lambda: optim.PolynomialDecay(0.1, 0), "decay_steps must be .* got 0"),
        (lambda: optim.PolynomialDecay(0.1, 5, end_rate=-1), "end_rate must be .* got -1"),
        (lambda: optim.PolynomialDecay(0.1, 5, power=0.0), r"power must be .* got 0\.0"),
        (lambda: optim.PiecewiseConstant([5, 3], [1, 2, 3]), r"must increase, got \[5, 3\]"),
        (lambda: optim.PiecewiseConstant([3, 3], [1, 2, 3]), r"must increase, got \[3, 3\]"),
        (lambda: optim.PiecewiseConstant([-1], [1, 2]), r"boundaries\[0\] must be .* got -1"),
        (lambda: optim.PiecewiseConstant([3], [1]), "1 boundaries need 2 values, got 1"),
        (lambda: optim.PiecewiseConstant([3], [1, -1]), r"values\[1\] must be .* got -1"),
        (lambda: optim.CosineDecay(0.1, -5), "decay_steps must be .* got -5"),
        (lambda: optim.CosineDecayRestarts(0.1, 5, t_mul=0.5), r"t_mul must be .* got 0\.5"),
        (lambda: optim.CosineDecayRestarts(0.1, 5, m_mul=1.5), r"m_mul must be .* got 1\.5"),
        (lambda: optim.LinearWarmup(0.1, 0), "warmup_steps must be .* got 0"),
        (lambda: optim.LinearWarmup(-0.1, 5), r"rate must be .* got -0\.1"),
        (lambda: optim.NoamSchedule(0), "model_size must be .* got 0"),
        (lambda: optim.OneCycle(0.1, 0), "total_steps must be .* got 0"),
        (lambda: optim.OneCycle(0.1, 100, warmup_fraction=1.5), r"warmup_fraction .* got 1\.5"),
        (lambda: optim.OneCycle(0.1, 3), r"greater than 1 and less.* got 0\.3 \* 3 = 0\.9"),
        (lambda: optim.OneCycle(0.1, 100, anneal="cos"), "anneal must be .* got 'cos'"),
        (lambda: optim.CyclicalRate(0.5, 0.1, 4), r"max_rate must be .* got 0\.1 and 0\.5"),
        (lambda: optim.CyclicalRate(0.1, 0.5, 0), "half_cycle must be .* got 0"),
        (lambda: optim.CyclicalRate(0.1, 0.5, 4, mode="x"), "mode must be .* got 'x'"),
        (lambda: optim.JoinSchedules([0.1], [5]), "1 schedules need 0 boundaries, got 1"),
        (lambda: optim.JoinSchedules([1, 2, 3], [5, 4]), r"must increase, got \[5, 4\]"),
        (lambda: optim.ManualSchedule(-1.0), r"rate must be .* got -1\.0"),
        (lambda: optim.ManualSchedule(0.1).set(math.nan), "rate must be .* got nan"),
        (lambda: optim.ReduceOnPlateau(0.1, factor=1.0), r"factor must be .* got 1\.0"),
        (lambda: optim.ReduceOnPlateau(0.1, patience=-1), "patience must be .* got -1"),
        (lambda: optim.ReduceOnPlateau(0.1, threshold=1.0), r"threshold must be .* got 1\.0"),
        (lambda: optim.ReduceOnPlateau(0.1, mode="low"), "mode must be .* got 'low'"),
        (lambda: optim.ConstantSchedule(0.1)(-1), "step must be .* got -1"),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="rate must be a number, got '0'"):
        optim.ConstantSchedule("0")
    with pytest.raises(ArgumentTypeError, match="rate must be a number, got True"):
        optim.ConstantSchedule(True)
    with pytest.raises(ArgumentTypeError, match="step must be a number, got None"):
        optim.ConstantSchedule(0.1)(None)
    with pytest.raises(ArgumentTypeError, match="boundaries must be a list, got 5"):
        optim.PiecewiseConstant(5, [1, 2])
    with pytest.raises(ShapeError, match=r"step must be a scalar, got shape \(2,\)"):
        optim.ConstantSchedule(0.1)(mg.constant([1, 2]))
    with pytest.raises(ArgumentTypeError, match="dtype must be a floating dtype, got int32"):
        optim.ConstantSchedule(0.1)(mg.constant(1), dtype="int32")


# -- rates that are set -----------------------------------------------------------------------


def test_an_eager_rate_is_seen_by_eager_code_and_by_graphs() -> None:
    schedule = optim.ManualSchedule(0.1)
    with mg.Graph().as_default() as graph:
        rate = schedule(mg.placeholder("int64", ()))
        with mg.Session() as session:
            assert session.run(rate) == np.float32(0.1)
            nodes = len(graph)
            assert schedule.set(0.05).item() == 0.05
            assert session.run(rate) == np.float32(0.05)
            assert len(graph) == nodes
    assert schedule(3) == schedule.value() == 0.05
    assert not schedule.variable.trainable
    assert "rate=0.05" in repr(schedule)


def test_a_rate_of_a_graph_has_a_value_in_each_session() -> None:
    with mg.Graph().as_default() as graph:
        schedule = optim.ManualSchedule(0.1)
        rate = schedule(mg.placeholder("int64", ()))
        lower = schedule.set(rate * 0.5)
        fixed = schedule.set(0.3)
        start = mg.global_variables_initializer()
    one, two = mg.Session(graph=graph), mg.Session(graph=graph)
    for session in (one, two):
        session.run(start)
    one.run(lower)
    nodes = len(graph)
    assert one.run(rate) == np.float32(0.05) and two.run(rate) == np.float32(0.1)
    schedule.set(0.2, session=two)
    assert schedule.value(session=two) == 0.2
    assert schedule.state_dict(session=two) == {"rate": 0.2}
    two.run(fixed)
    with two:
        assert schedule(7) == schedule.value() == 0.3
    assert len(graph) == nodes
    with pytest.raises(StateError, match="pass session="):
        schedule(7)
    with pytest.raises(StateError, match="pass session="):
        schedule.value(session=mg.Session(graph=mg.Graph()))


def test_a_manual_rate_after_a_warm_up_is_saved_with_it() -> None:
    def make(rate: float) -> optim.Schedule:
        return optim.JoinSchedules([optim.LinearWarmup(optim.ManualSchedule(rate), 2), 0.5], [8])

    old = make(0.4)
    state = old.state_dict()
    assert state == {"schedules.0.schedule.rate": 0.4}
    new = make(0.9)
    new.load_state_dict(state)
    assert [new(t) for t in (1, 2, 7, 8)] == [0.2, 0.4, 0.4, 0.5]
    with pytest.raises(ArgumentError, match=r"JoinSchedules: missing \['schedules.0.* \['x'\]"):
        new.load_state_dict({"x": 1.0})
    assert optim.ConstantSchedule(0.1).state_dict() == {}
    with pytest.raises(ArgumentError, match=r"unexpected \['rate'\]"):
        optim.ConstantSchedule(0.1).load_state_dict({"rate": 0.2})


# -- reduce on plateau ------------------------------------------------------------------------


def test_the_rate_falls_after_more_than_patience_bad_updates() -> None:
    schedule = optim.ReduceOnPlateau(0.8, factor=0.5, patience=2)
    # 1.0 is the best; three bad ones in a row reduce; an improvement starts the count anew.
    metrics = [1.0, 1.0, 1.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    rates = [0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]
    assert [schedule.update(m) for m in metrics] == rates
    assert schedule.best == 0.9 and schedule(123) == 0.2


def test_the_threshold_is_a_fraction_or_a_difference() -> None:
    def rates(metrics: list[float], **options: Any) -> list[float]:
        schedule = optim.ReduceOnPlateau(1.0, factor=0.5, patience=0, **options)
        return [schedule.update(m) for m in metrics]

    # A tenth of 2.0 is 0.2: 1.85 is no improvement, 1.75 is; then 1.6 > 1.575 is not.
    assert rates([2.0, 1.85, 1.75, 1.6], threshold=0.1) == [1, 0.5, 0.5, 0.25]
    assert rates([2.0, 1.85, 1.6], threshold=0.1, relative=False) == [1, 1, 1]
    # Below zero, better is still lower: -2 - 0.2.
    assert rates([-2.0, -2.1, -2.3], threshold=0.1) == [1, 0.5, 0.5]
    assert rates([0.5, 0.54, 0.6, 0.6], threshold=0.1, mode="max") == [1, 0.5, 0.5, 0.25]


def test_cooldown_and_the_lowest_rate() -> None:
    schedule = optim.ReduceOnPlateau(0.8, factor=0.5, patience=0, cooldown=2, min_rate=0.3)
    # After a reduction two updates do not count, so the third reduces again: to 0.3, not 0.2.
    assert [schedule.update(1.0) for _ in range(8)] == [0.8, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3]
    low = optim.ReduceOnPlateau(0.1, patience=0, min_rate=0.3)
    assert [low.update(1.0) for _ in range(3)] == [0.1, 0.1, 0.1]


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_no_improvement(metric: float) -> None:
    schedule = optim.ReduceOnPlateau(0.8, factor=0.5, patience=1)
    assert [schedule.update(m) for m in (1.0, metric, metric, 0.5)] == [0.8, 0.8, 0.4, 0.4]
    assert schedule.best == 0.5


def test_metrics_may_be_arrays_and_concrete_tensors_only() -> None:
    schedule = optim.ReduceOnPlateau(0.8)
    for metric in (1, np.float32(0.9), np.array([0.8]), mg.constant(0.75), mg.Variable(0.5)):
        schedule.update(metric)
    assert schedule.best == 0.5
    with mg.Graph().as_default():
        for metric in (mg.constant(0.5), "0.5", True, None):
            with pytest.raises(ArgumentTypeError, match="metric must be a number or a concrete"):
                schedule.update(metric)


def test_a_plateau_goes_on_from_its_state() -> None:
    def make() -> optim.ReduceOnPlateau:
        return optim.ReduceOnPlateau(0.8, factor=0.5, patience=2, cooldown=1, mode="max")

    metrics = [0.5, 0.5, 0.6, 0.6, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5, 0.9, 0.1, 0.1, 0.1]
    whole = make()
    rates = [whole.update(m) for m in metrics]
    assert rates[-1] < rates[7] < rates[0]
    for cut in range(len(metrics)):
        first, second = make(), make()
        begun = [first.update(m) for m in metrics[:cut]]
        second.load_state_dict(first.state_dict())
        assert begun + [second.update(m) for m in metrics[cut:]] == rates
    with pytest.raises(ArgumentError, match=r"missing \['best', 'cooldown_left'\]"):
        make().load_state_dict({"rate": 1.0, "bad_updates": 0})


def test_a_plateau_of_a_graph_takes_a_session() -> None:
    with mg.Graph().as_default() as graph:
        schedule = optim.ReduceOnPlateau(0.8, factor=0.5, patience=0)
        rate = schedule(mg.placeholder("int64", ()))
        start = mg.global_variables_initializer()
    with pytest.raises(StateError, match="pass session="):
        schedule.update(1.0)
    session = mg.Session(graph=graph)
    session.run(start)
    nodes = len(graph)
    assert [schedule.update(1.0, session=session) for _ in range(3)] == [0.8, 0.4, 0.2]
    assert session.run(rate) == np.float32(0.2)
    with session:
        assert schedule.update(1.0) == 0.1
    assert len(graph) == nodes

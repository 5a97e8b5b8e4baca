"""Gradient checks of Python functions: measure, verdicts, kinks, arguments, the printed report."""

import dataclasses

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    GradientError,
    NotDifferentiableError,
)
from minigrad.gradcheck.numeric import measure, slope, step_for
from minigrad.gradcheck.report import verdict_of


def wrong_by(factor):
    """x³ with a gradient that is wrong by a factor."""

    @mg.custom_gradient
    def cube(x):
        return x**3.0, lambda g: g * 3.0 * x**2.0 * factor

    return cube


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 4))


# -- the measure and the verdicts ---------------------------------------------------------------


def test_the_measure_is_the_courses():
    numeric, analytic = np.array([3.0, 4.0]), np.array([3.0, 3.0])
    assert measure(numeric, analytic) == pytest.approx(1.0 / (5.0 + np.sqrt(18.0)))


def test_two_zero_gradients_are_right():
    assert measure(np.zeros(3), np.zeros(3)) == 0.0
    report = mg.gradcheck(lambda x: mg.sum(0.0 * x), np.ones(3))
    assert report.verdict == "right"
    assert report.relative_error == 0.0


def test_a_gradient_that_is_zero_but_for_rounding_is_right(x):
    # The sum of probabilities is 1 whatever x is; differences see rounding only.
    report = mg.gradcheck(lambda x: mg.sum(mg.exp(x - mg.logsumexp(x))), x)
    assert report.verdict == "right"


def test_nan_is_never_right():
    assert measure(np.array([np.nan]), np.array([np.nan])) == np.inf
    assert not mg.gradcheck(mg.log, np.array(-1.0))


def test_the_measure_neither_overflows_nor_underflows():
    assert measure(np.array([1e300]), np.array([-1e300])) == 1.0
    assert measure(np.array([1e-300]), np.array([1e-300])) == 0.0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(1e-9, "right"), (1e-7, "look closer"), (1e-5, "look closer"), (2e-3, "bug")],
)
def test_the_verdicts_are_the_courses(error, verdict):
    assert verdict_of(error, 1e-7) == verdict


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.0, "right"),
        (1.0 + 1e-5, "look closer"),
        (1.001, "look closer"),
        (1.01, "bug"),
        (-1.0, "bug"),
    ],
)
def test_a_gradient_wrong_by_a_factor(x, factor, verdict):
    report = mg.gradcheck(wrong_by(factor), x)
    assert report.verdict == verdict
    assert bool(report) is report.ok is (factor == 1.0)
    expected = abs(factor - 1.0) / (abs(factor) + 1.0)
    assert report.relative_error == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_rtol_decides_what_is_right(x):
    assert mg.gradcheck(wrong_by(1.001), x, rtol=1e-2).ok
    assert not mg.gradcheck(lambda x: mg.sum(x**2.0), x, rtol=1e-30).ok


# -- functions and arguments --------------------------------------------------------------------


def test_a_right_gradient_scores_far_below_the_limit(x):
    w = np.random.default_rng(1).normal(size=(4, 2))
    report = mg.gradcheck(lambda x, w: mg.mean(mg.tanh(x @ w) ** 2.0), x, w, order=2)
    assert report.verdict == "right"
    assert report.error(1) < 1e-9
    assert report.error(2) < 1e-8
    assert [(c.name, c.shape, c.order, c.checked) for c in report.checks] == [
        ("x", (3, 4), 1, 12),
        ("w", (4, 2), 1, 8),
        ("x", (3, 4), 2, 12),
        ("w", (4, 2), 2, 8),
    ]


def test_float32_arguments_are_checked_in_float64():
    x = np.random.default_rng(0).normal(size=5).astype(np.float32)
    dtypes = []

    def f(x):
        dtypes.append(x.dtype)
        return mg.sum(mg.exp(x))

    assert mg.gradcheck(f, mg.asarray(x)).relative_error < 1e-9
    assert set(dtypes) == {mg.float64}


def test_arguments_are_nests():
    params = {"w": np.array([1.0, 2.0]), "b": [np.array(0.5), np.array([0.1, 0.2])]}

    def f(params, scale, count):
        assert count == 3
        return mg.sum(params["w"] * params["b"][1] + params["b"][0]) * scale

    report = mg.gradcheck(f, params, 2.0, 3)
    assert [c.name for c in report.checks] == [
        "params['w']",
        "params['b'][0]",
        "params['b'][1]",
        "scale",
    ]
    assert report.verdict == "right"


def test_dataclasses_and_named_tuples_among_the_arguments():
    @dataclasses.dataclass
    class Layer:
        w: object
        name: str

    report = mg.gradcheck(lambda layer: layer.w * layer.w, Layer(mg.asarray(3.0), "first"))
    assert [c.name for c in report.checks] == ["layer.w"]


def test_argnums_choose_what_is_checked(x):
    def f(a, b, rate):
        assert isinstance(rate, float)
        return mg.sum(a * b) * rate

    report = mg.gradcheck(f, x, x, 0.5, argnums=1)
    assert [c.name for c in report.checks] == ["b"]
    assert [c.name for c in mg.gradcheck(f, x, x, 0.5, argnums=(0, -2)).checks] == ["a", "b"]
    with pytest.raises(ArgumentError, match="argnums holds 3"):
        mg.gradcheck(f, x, x, 0.5, argnums=3)


def test_results_of_several_numbers_and_nests_are_projected(x):
    report = mg.gradcheck(lambda x: {"a": mg.exp(x), "b": (mg.sum(x), mg.argmax(x))}, x)
    assert report.projected
    assert report.verdict == "right"
    assert report.checks == mg.gradcheck(lambda x: [mg.exp(x), mg.sum(x)], x).checks


def test_empty_arguments_are_right():
    assert mg.gradcheck(mg.sum, np.zeros((0, 3))).verdict == "right"


def test_only_some_components_of_large_arguments():
    x = np.random.default_rng(0).normal(size=1000)
    report = mg.gradcheck(lambda x: mg.sum(x**3.0), x, components=7)
    assert report.checks[0].checked == 7
    assert report.verdict == "right"


def test_components_of_very_different_size():
    x = np.array([1e-6, 1.0, 1e6])
    assert mg.gradcheck(mg.log, x).verdict == "right"
    assert mg.gradcheck(lambda x: mg.sum(1.0 / x), np.array([1e-5])).verdict == "right"


def test_a_small_gradient_of_a_large_value():
    assert mg.gradcheck(lambda x: 1e3 + 1e-4 * mg.sin(x), np.array(0.5)).verdict == "right"


def test_the_caller_may_be_recording_or_building_a_graph(x):
    t = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        tape.watch(t)
        y = t * t
        assert mg.gradcheck(lambda x: mg.sum(x**2.0), x)
    assert float(tape.gradient(y, t)) == 4.0
    g = mg.Graph()
    with g.as_default():
        assert mg.gradcheck(lambda x: mg.sum(x**2.0), x)
    assert len(g) == 0


# -- kinks --------------------------------------------------------------------------------------


def test_a_kink_is_no_bug():
    report = mg.gradcheck(lambda x: mg.sum(mg.where(x > 0, x, 0.0)), np.array([-1.0, 0.0, 2.0]))
    assert report.verdict == "right"
    assert report.kinks == 1
    (kink,) = report.checks[0].kinks
    assert kink.index == (1,)
    assert (kink.analytic, kink.left, kink.right) == (0.0, 0.0, pytest.approx(1.0))
    assert "no derivative there" in str(report)


def test_a_bug_beside_a_kink_is_still_a_bug():
    @mg.custom_gradient
    def relu(x):
        return mg.maximum(x, 0.0), lambda g: mg.where(x > 0, 1.01 * g, 0.0)

    report = mg.gradcheck(relu, np.array([0.0, 2.0]))
    assert report.verdict == "bug"
    assert report.kinks == 1


def test_only_kinks():
    report = mg.gradcheck(lambda x: mg.sum(mg.where(x < 0, -2.0 * x, x)), np.zeros(2))
    assert report.verdict == "kink"
    assert report.ok


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7])
def test_a_kink_nearby_does_not_disturb(distance):
    report = mg.gradcheck(lambda x: mg.maximum(x, 0.0), np.array([distance, -distance]))
    assert report.verdict == "right"
    assert report.kinks == 0


def test_an_equal_split_at_a_tie_agrees_with_central_differences():
    report = mg.gradcheck(mg.max, np.array([1.0, 1.0]))
    assert report.verdict == "right"


def test_the_edge_of_the_domain_is_a_kink():
    report = mg.gradcheck(lambda x: mg.sum(mg.pow(x, 1.5)), np.array([0.0, 1.0]))
    assert report.verdict == "right"
    assert report.checks[0].kinks[0].index == (0,)


def test_curvature_is_no_kink():
    # A wrong gradient of a strongly curved function must not pass as a kink.
    @mg.custom_gradient
    def f(x):
        return mg.exp(50.0 * x), lambda g: g * 51.0 * mg.exp(50.0 * x)

    report = mg.gradcheck(f, np.array([0.0, 0.1]))
    assert report.verdict == "bug"
    assert report.kinks == 0


def test_slopes_by_differences():
    found = slope(lambda t: np.array([np.sin(1.0 + t)]), np.array([np.sin(1.0)]), 2.0**-13)
    assert found.value[0] == pytest.approx(np.cos(1.0), rel=1e-11)
    assert abs(found.value[0] - np.cos(1.0)) <= found.error[0]
    assert step_for(1000.0) == 2.0**-3


@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e-4, 1e4, 1e8])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.01, "bug")])
def test_arguments_of_any_size(scale, factor, verdict):
    @mg.custom_gradient
    def f(x):
        t = x / scale
        rule = mg.exp(t) * (mg.sin(t) + mg.cos(t)) / scale
        return mg.exp(t) * mg.sin(t), lambda g: g * factor * rule

    report = mg.gradcheck(f, np.array([0.3, 0.4, 0.5]) * scale, order=2)
    assert report.verdict == verdict
    assert report.kinks == 0
    assert report.error(2) < 1e-9


@pytest.mark.parametrize("f", [mg.log, lambda x: 1.0 / x, mg.sqrt])
@pytest.mark.parametrize("place", [1e-4, 1e-6, 1e-10, 1e-30])
def test_beside_the_edge_of_the_domain_there_is_a_derivative(f, place):
    report = mg.gradcheck(f, np.array([place, 2.0 * place]))
    assert report.verdict == "right"
    assert report.kinks == 0


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("distance", [1e-6, 1e-8, 1e-9])
def test_a_kink_close_by_does_not_disturb_beside_larger_terms(distance, offset):
    x = np.array([distance, -distance, 0.5])
    report = mg.gradcheck(lambda x: mg.sum(mg.maximum(x, 0.0)) + offset, x, rtol=1e-4)
    assert report.verdict == "right"
    assert report.kinks == 0


def test_a_kink_at_a_small_argument_is_a_kink():
    report = mg.gradcheck(lambda x: mg.nn.relu(x - 1e-8) + 1.0, np.array(1e-8))
    assert report.verdict == "kink"


@pytest.mark.parametrize("size", [1e3, 1e5, 1e7])
def test_a_bug_is_no_kink_where_values_are_rounded(size):
    @mg.custom_gradient
    def f(x):
        return mg.sin(x), lambda g: 1.5 * g * mg.cos(x)

    for x in np.linspace(-1.0, 1.0, 20):
        assert mg.gradcheck(lambda x: (f(x) + size) - size, x).verdict == "bug"


def test_a_bug_shows_where_differences_overflow():
    @mg.custom_gradient
    def f(x):
        return mg.exp(1e8 * x), lambda g: 1.5e8 * g * mg.exp(1e8 * x)

    assert mg.gradcheck(f, np.array([1e-9, 2e-9])).verdict == "bug"
    assert slope(lambda t: np.array([np.inf * t]), np.zeros(1), 1.0, np.ones(1)).error[0] == np.inf


def test_a_gradient_that_is_nan_at_a_kink_is_a_bug():
    report = mg.gradcheck(lambda x: mg.sqrt(x * x), np.array(0.0))
    assert report.verdict == "bug"


# -- what is refused ----------------------------------------------------------------------------


def test_draws_are_refused(x):
    with pytest.raises(GradientError, match="draws random numbers"):
        mg.gradcheck(lambda x: mg.sum(x * mg.random.uniform((3, 4))), x)
    generator = mg.random.Generator(seed=1)
    with pytest.raises(GradientError, match=r"draws random numbers \(reserve_random\)"):
        mg.gradcheck(lambda x: mg.sum(x * mg.random.uniform((3, 4), generator=generator)), x)
    assert generator.counter == 0


def test_draws_with_a_seed_are_the_same_every_time(x):
    assert mg.gradcheck(lambda x: mg.sum(x * mg.random.uniform((3, 4), seed=1)), x).ok


def test_assignments_are_refused_and_do_not_happen():
    v = mg.Variable(1.0)
    with pytest.raises(GradientError, match=r"changes a variable \(assign_add\)"):
        mg.gradcheck(lambda x: x * v.assign_add(1.0), np.array(2.0))
    assert float(v.numpy()) == 1.0


def test_a_function_that_changes_its_mind_is_refused():
    calls = []

    def f(x):
        calls.append(1)
        return x * float(len(calls))

    with pytest.raises(GradientError, match="two different results"):
        mg.gradcheck(f, np.array(1.0))


def test_reading_a_variable_is_allowed():
    v = mg.Variable(3.0)
    assert mg.gradcheck(lambda x: x * v, np.array(2.0)).verdict == "right"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variables_that_a_function_reads_by_itself_are_checked_by_a_tape(dtype):
    v = mg.Variable([3.0, 4.0], dtype=dtype)

    def loss():
        return mg.sum(v * v)

    by_tape = r"GradientTape\(persistent=True\) as tape, and call mg\.gradcheck\(tape, loss, variab"
    with pytest.raises(GradientError, match="no operation of the function .*" + by_tape):
        mg.gradcheck(lambda *ignored: loss(), v)
    with pytest.raises(ArgumentTypeError, match=r"^variables= goes with .* only; .*" + by_tape):
        mg.gradcheck(loss, variables=[v])
    with pytest.raises(ArgumentError, match="nothing to differentiate for; .*" + by_tape):
        mg.gradcheck(loss)
    with mg.GradientTape(persistent=True) as tape:
        recorded = loss()
    assert mg.gradcheck(tape, recorded, [v]).ok
    # One of two arguments is enough, and so is one that is only handed through.
    assert mg.gradcheck(lambda x, y: mg.sum(v * x), np.ones(2), np.ones(2)).ok
    assert mg.gradcheck(lambda x: (x, mg.astype(loss(), "float64")), np.ones(2)).ok


def test_a_cast_to_float32_inside_is_reported():
    with pytest.raises(DTypeError, match="returned float32"):
        mg.gradcheck(lambda x: mg.astype(x, "float32"), np.array(2.0))


def test_nothing_to_differentiate():
    with pytest.raises(ArgumentError, match="nothing to differentiate"):
        mg.gradcheck(lambda n: mg.asarray(1.0), 3)
    with pytest.raises(NotDifferentiableError, match="no float64 result"):
        mg.gradcheck(mg.argmax, np.ones(3))
    with pytest.raises(NotDifferentiableError, match="host_call has no gradient"):
        mg.gradcheck(lambda x: mg.host_call(np.sin, x, out=((3,), "float64")), np.ones(3))


def test_arguments_that_belong_to_another_kind_of_subject(x):
    with pytest.raises(ArgumentTypeError, match="feed_dict= goes with a symbolic loss only"):
        mg.gradcheck(lambda x: x, x, feed_dict={})
    with pytest.raises(ArgumentTypeError, match="function, a GradientTape or a symbolic loss"):
        mg.gradcheck(x)
    with pytest.raises(ArgumentError, match="order must be 1 or 2"):
        mg.gradcheck(lambda x: x, x, order=3)


@pytest.mark.parametrize("option", ["rtol", "eps", "components"])
@pytest.mark.parametrize("value", [0, -1])
def test_options_that_would_check_nothing(x, option, value):
    with pytest.raises(ArgumentError, match=f"{option} must be greater than 0"):
        mg.gradcheck(mg.exp, x, **{option: value})


def test_argument_numbers_are_integers_of_any_kind(x):
    assert [c.name for c in mg.gradcheck(mg.matmul, x, x.T, argnums=np.int64(1)).checks] == ["x2"]
    for wrong in ("x", 0.0, [None]):
        with pytest.raises(ArgumentTypeError, match="integer or a sequence of integers"):
            mg.gradcheck(mg.exp, x, argnums=wrong)


def test_a_python_number_as_the_result_is_a_constant(x):
    assert mg.gradcheck(lambda x: (mg.sum(x), 2.0), x).verdict == "right"


def test_symbolic_arguments_and_results():
    with mg.Graph().as_default():
        p = mg.placeholder("float32", ())
    with pytest.raises(ArgumentTypeError, match="symbolic"):
        mg.gradcheck(lambda x: x, p)
    with pytest.raises(GradientError, match="which is symbolic"):
        mg.gradcheck(lambda x: x * p, np.array(1.0))


def test_raise_on_bug(x):
    with pytest.raises(GradientError, match="worst components of x"):
        mg.gradcheck(wrong_by(-1.0), x, raise_on_bug=True)
    assert mg.gradcheck(wrong_by(1.0), x, raise_on_bug=True).ok


# -- the printed report -------------------------------------------------------------------------


def test_the_report_names_the_worst_components():
    @mg.custom_gradient
    def f(w):
        def grad(g):
            return g * (2.0 * w + mg.asarray(np.array([[0.0, 0.0], [0.5, 0.0]])))

        return mg.sum(w * w), grad

    report = mg.gradcheck(f, np.array([[1.0, 2.0], [3.0, 4.0]]))
    (check,) = report.checks
    assert check.worst[0].index == (1, 0)
    assert check.worst[0].analytic == 6.5
    assert check.worst[0].numeric == pytest.approx(6.0)
    assert check.worst[0].difference == pytest.approx(0.5)
    text = str(report)
    assert text.startswith("gradient check: bug (worst relative error")
    assert "(1, 0)" in text
    assert "6.5" in text


def test_second_order_bugs_are_found_at_order_two_only():
    # The gradient is right, but has itself no right gradient.
    @mg.custom_gradient
    def f(x):
        return x**3.0, lambda g: g * 3.0 * mg.stop_gradient(x) * x

    report = mg.gradcheck(f, np.array([1.0, 2.0]), order=2)
    assert report.error(1) < 1e-7
    assert report.error(2) > 1e-3
    assert report.verdict == "bug"

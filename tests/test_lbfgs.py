"""L-BFGS against SciPy's and known minima, eagerly and in sessions; its line search on its own."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize
from scipy.optimize import rosen, rosen_der

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    FailedPreconditionError,
    FeedError,
    GradientError,
    GraphError,
    NumericsError,
    StateError,
)
from minigrad.optim.line_search import Trial, cubic_minimum, strong_wolfe

Array = np.ndarray[Any, Any]


def rosenbrock(x: mg.Variable | mg.Tensor) -> mg.Tensor:
    return mg.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def classification() -> tuple[Array, Array]:
    """Two overlapping classes, so that the weights stay finite."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = (x @ rng.normal(size=5) + rng.normal(size=200) > 0).astype(np.float64)
    return x, y


def logistic_loss(x: Any, y: Any, weights: Any, bias: Any) -> mg.Tensor:
    z = x @ weights + bias
    return mg.mean(mg.logaddexp(z, 0.0) - y * z)


def scipy_logistic() -> tuple[Array, float]:
    """SciPy's minimum of the same loss, in its own arithmetic."""
    x, y = classification()

    def both(p: Array) -> tuple[float, Array]:
        z = x @ p[:5] + p[5]
        error = 1 / (1 + np.exp(-z)) - y
        loss = np.mean(np.logaddexp(z, 0.0) - y * z)
        return loss, np.append(x.T @ error, error.sum()) / len(y)

    options = {"ftol": 0.0, "gtol": 1e-9}
    found = scipy_minimize(both, np.zeros(6), jac=True, method="L-BFGS-B", options=options)
    return found.x, found.fun


# -- known minima -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 10])
def test_rosenbrock_is_minimized(size: int) -> None:
    start = np.tile([-1.2, 1.0], size // 2)
    x = mg.Variable(start)
    result = optim.LBFGS(gradient_tolerance=1e-9).minimize(lambda: rosenbrock(x), [x])
    assert result.converged and "gradient" in result.message
    np.testing.assert_allclose(x.numpy(), np.ones(size), rtol=0, atol=1e-8)
    assert result.loss == rosen(x.numpy())
    assert result.gradient_norm == pytest.approx(np.linalg.norm(rosen_der(x.numpy())), abs=1e-12)
    assert result.gradient_norm <= 1e-9
    # About as many evaluations as SciPy needs.
    theirs = scipy_minimize(
        rosen, start, jac=rosen_der, method="L-BFGS-B", options={"ftol": 0.0, "gtol": 1e-9}
    )
    assert result.evaluations <= 1.5 * theirs.nfev


def test_logistic_regression_finds_scipys_minimum() -> None:
    x, y = classification()
    weights = mg.Variable(np.zeros(5), name="weights")
    bias = mg.Variable(np.float64(0.0), name="bias")
    result = optim.LBFGS(gradient_tolerance=1e-8).minimize(
        lambda: logistic_loss(x, y, weights, bias), [weights, bias]
    )
    best, loss = scipy_logistic()
    assert result.converged and result.gradient_norm <= 1e-8
    np.testing.assert_allclose(np.append(weights.numpy(), bias.numpy()), best, atol=1e-6)
    assert result.loss == pytest.approx(loss, rel=1e-13)


def test_the_same_in_a_session() -> None:
    x, y = classification()
    with mg.Graph().as_default() as graph:
        inputs = mg.placeholder("float64", (None, 5))
        labels = mg.placeholder("float64", (None,))
        weights = mg.Variable(np.zeros(5), name="weights")
        bias = mg.Variable(np.float64(0.0), name="bias")
        loss = logistic_loss(inputs, labels, weights, bias)
        start = mg.global_variables_initializer()
    feeds = {inputs: x, labels: y}
    session = mg.Session(graph=graph)
    session.run(start)
    lbfgs = optim.LBFGS(gradient_tolerance=1e-8)
    result = lbfgs.minimize(loss, session=session, feed_dict=feeds)
    best, _ = scipy_logistic()
    assert result.converged and result.gradient_norm <= 1e-8
    found = np.append(*session.run([weights, bias]))
    np.testing.assert_allclose(found, best, atol=1e-6)
    assert session.run(loss, feeds) == result.loss

    # The same path as in eager code, to rounding.
    eager = [mg.Variable(np.zeros(5)), mg.Variable(np.float64(0.0))]
    same = optim.LBFGS(gradient_tolerance=1e-8).minimize(lambda: logistic_loss(x, y, *eager), eager)
    assert (same.iterations, same.evaluations) == (result.iterations, result.evaluations)

    # From there nothing is left to do, and nothing is added to the graph.
    nodes = len(graph)
    with session:
        again = lbfgs.minimize(loss, [weights, bias], feed_dict=feeds)
    assert (again.iterations, again.evaluations, len(graph)) == (0, 1, nodes)


def test_float32_variables_keep_their_dtype() -> None:
    x, y = (a.astype(np.float32) for a in classification())
    weights, bias = mg.Variable(np.zeros(5, np.float32)), mg.Variable(0.0)
    result = optim.LBFGS(gradient_tolerance=0.0).minimize(
        lambda: logistic_loss(x, y, weights, bias), [weights, bias]
    )
    assert weights.dtype is mg.float32 and bias.dtype is mg.float32
    # As good as the dtype allows: the losses alone would leave the gradient at about 1e-5.
    assert result.gradient_norm < 1e-6
    best, _ = scipy_logistic()
    np.testing.assert_allclose(np.append(weights.numpy(), bias.numpy()), best, rtol=1e-4)


def test_variables_of_several_dtypes_and_shapes() -> None:
    a = mg.Variable(np.full((2, 3), 4.0))
    b = mg.Variable(np.float32(-3.0))
    empty = mg.Variable(np.zeros((0, 2)))
    still = mg.Variable(7.0)

    def loss() -> mg.Tensor:
        return mg.sum((a - 1.0) ** 2) + (mg.astype(b, "float64") - 2.0) ** 4 + mg.sum(empty)

    result = optim.LBFGS(gradient_tolerance=1e-7).minimize(loss, [a, b, empty, still])
    assert result.converged
    np.testing.assert_allclose(a.numpy(), np.ones((2, 3)), atol=1e-6)
    assert b.numpy() == pytest.approx(2.0, abs=1e-2) and still.numpy() == 7.0


def test_a_quadratic_takes_few_steps() -> None:
    scales = np.array([1.0, 10.0, 100.0])
    x = mg.Variable(np.array([3.0, -2.0, 1.0]))
    result = optim.LBFGS(gradient_tolerance=1e-10).minimize(lambda: mg.sum(scales * x * x), [x])
    assert result.converged and result.iterations <= 20


def test_rows_that_were_looked_up_get_their_gradient() -> None:
    targets = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    expected = np.array([[9.0, 9.0], [1.0, 2.0], [9.0, 9.0], [3.0, 4.0]])

    def loss(table: mg.Variable) -> mg.Tensor:
        return mg.sum((mg.gather(table, np.array([1, 3, 1])) - targets) ** 2)

    table = mg.Variable(np.full((4, 2), 9.0))
    assert optim.LBFGS().minimize(lambda: loss(table), [table]).converged
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-6)
    with mg.Graph().as_default():
        table = mg.Variable(np.full((4, 2), 9.0))
        total = loss(table)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            assert optim.LBFGS().minimize(total).converged
            np.testing.assert_allclose(session.run(table), expected, atol=1e-6)


def test_a_graph_may_use_eager_variables() -> None:
    x = mg.Variable(np.array([-1.2, 1.0]))
    with mg.Graph().as_default() as graph:
        loss = rosenbrock(x)
    session = mg.Session(graph=graph)
    assert optim.LBFGS().minimize(loss, [x], session=session).converged
    np.testing.assert_allclose(x.numpy(), [1.0, 1.0], atol=1e-6)


def test_outer_tapes_and_graphs_are_left_alone() -> None:
    x = mg.Variable(np.array([3.0]))
    with mg.Graph().as_default() as graph, mg.GradientTape(persistent=True) as tape:
        result = optim.LBFGS().minimize(lambda: mg.sum(x * x), [x])
        assert not tape.recorder.records
    assert result.converged and len(graph) == 0


# -- stopping ---------------------------------------------------------------------------------


def test_limits_stop_it_and_say_so() -> None:
    def run(**options: Any) -> optim.LBFGSResult:
        x = mg.Variable(np.array([-1.2, 1.0]))
        result = optim.LBFGS(**options).minimize(lambda: rosenbrock(x), [x])
        assert result.loss == rosen(x.numpy())
        return result

    short = run(max_iterations=3)
    assert (short.iterations, short.converged) == (3, False)
    assert short.message == "max_iterations was reached"
    for most in range(1, 12):
        few = run(max_evaluations=most)
        assert few.evaluations == most and not few.converged
        assert few.message == "max_evaluations was reached"
        assert few.loss <= 24.2
    flat = run(loss_tolerance=0.5)
    assert flat.converged and flat.message == "the loss changes less than its tolerance"
    assert run(history=1).converged


def test_no_evaluations_are_wasted_at_the_limit_of_precision() -> None:
    x, y = classification()
    weights = mg.Variable(np.zeros(5))
    result = optim.LBFGS(gradient_tolerance=1e-11).minimize(
        lambda: logistic_loss(x, y, weights, 0.0), [weights]
    )
    assert result.converged and result.evaluations <= 25
    flat = mg.Variable(np.array([1.0]))
    result = optim.LBFGS().minimize(lambda: 1e12 + mg.sum(1e-5 * flat), [flat])
    assert result.converged and result.message == "the loss cannot fall any more in its precision"


def test_a_kink_is_no_convergence() -> None:
    x = mg.Variable(np.array([1.0, 2.5]))
    result = optim.LBFGS().minimize(lambda: mg.sum(mg.abs(x)), [x])
    assert not result.converged and "not smooth" in result.message
    assert result.loss == np.abs(x.numpy()).sum() < 3.5


def test_steps_out_of_the_domain_are_shortened() -> None:
    # Logarithms of negative numbers are NaN; the minimum is at 1.
    x = mg.Variable(np.array([8.0, 0.05]))
    tried: list[float] = []

    def loss() -> mg.Tensor:
        value = mg.sum(x) - mg.sum(mg.log(x))
        tried.append(value.item())
        return value

    result = optim.LBFGS().minimize(loss, [x])
    assert result.converged
    assert any(math.isnan(value) for value in tried)
    np.testing.assert_allclose(x.numpy(), [1.0, 1.0], atol=1e-6)


def test_overflow_shortens_the_step_too() -> None:
    x = mg.Variable(np.array([0.0], np.float32))
    result = optim.LBFGS(gradient_tolerance=1e-2).minimize(
        lambda: mg.sum(mg.exp(mg.exp(x)) - 1000.0 * x), [x]
    )
    # e^x · e^(e^x) = 1000.
    assert result.converged
    e = math.exp(x.numpy()[0])
    assert e * math.exp(e) == pytest.approx(1000.0, rel=1e-4)


def test_an_unbounded_loss_ends() -> None:
    x = mg.Variable(np.array([1.0]))
    result = optim.LBFGS().minimize(lambda: -mg.sum(mg.exp(x)), [x])
    assert math.isfinite(result.loss) and result.loss < -1e100
    assert np.isfinite(x.numpy()).all()


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [1, 2, 5, 12])
def test_an_interrupt_leaves_the_best_point(kind: type[BaseException], at: int) -> None:
    x = mg.Variable(np.array([-1.2, 1.0]))
    seen: list[float] = []

    def loss() -> mg.Tensor:
        seen.append(rosen(x.numpy()))
        if len(seen) == at:
            raise kind("now")
        return rosenbrock(x)

    with pytest.raises(kind, match="now"):
        optim.LBFGS().minimize(loss, [x])
    # What was tried when it happened is taken back.
    assert rosen(x.numpy()) == pytest.approx(min([*seen[:-1], 24.2]), rel=1e-12)
    assert at < 3 or rosen(x.numpy()) < 24.2


def test_an_error_in_a_run_leaves_the_best_point() -> None:
    with mg.Graph().as_default():
        x = mg.Variable(np.array([-1.2, 1.0]))
        loss = rosenbrock(x)
        session = FailingSession(runs=8)
        session.run(mg.global_variables_initializer())
        with pytest.raises(RuntimeError, match="no more runs"):
            optim.LBFGS().minimize(loss, session=session)
        reached = session.run(loss)
    short = mg.Variable(np.array([-1.2, 1.0]))
    optim.LBFGS(max_evaluations=8).minimize(lambda: rosenbrock(short), [short])
    assert reached == session.losses[-1] == min(session.losses) == rosen(short.numpy())


class FailingSession(mg.Session):
    """A session whose callables work a few times only."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.runs = runs
        self.losses: list[float] = []

    def make_callable(self, fetches: Any, feed_list: Any = ()) -> Callable[..., Any]:
        call = super().make_callable(fetches, feed_list)

        def limited(*values: Any) -> Any:
            if len(self.losses) == self.runs:
                raise RuntimeError("no more runs")
            results = call(*values)
            self.losses.append(results[0])
            return results

        return limited


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iterations": 0}, "max_iterations must be at least 1, got 0"),
        ({"max_evaluations": -1}, "max_evaluations must be at least 1, got -1"),
        ({"history": 0}, "history must be at least 1, got 0"),
        ({"gradient_tolerance": -1.0}, r"gradient_tolerance must be .* got -1\.0"),
        ({"loss_tolerance": math.nan}, "loss_tolerance must be .* got nan"),
        ({"decrease": 0.95}, r"0 < decrease < curvature < 1, got 0\.95 and 0\.9"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        optim.LBFGS(**options)


def test_an_option_of_a_wrong_type_is_named() -> None:
    with pytest.raises(ArgumentTypeError, match=r"history must be an integer, got 2\.5"):
        optim.LBFGS(history=2.5)  # type: ignore[arg-type]
    assert repr(optim.LBFGS(history=3)).startswith("LBFGS(max_iterations=200, max_evaluations=None")


def test_bad_calls_of_eager_code() -> None:
    x, lbfgs = mg.Variable([1.0, 2.0], name="x"), optim.LBFGS()
    count = mg.Variable([1, 2], name="count")

    def total() -> mg.Tensor:
        return mg.sum(x * x)

    with pytest.raises(ArgumentError, match="no variables to train"):
        lbfgs.minimize(total, [])
    with pytest.raises(ArgumentError, match="needs a list of variables"):
        lbfgs.minimize(total)
    with pytest.raises(ArgumentError, match="'x' is given twice"):
        lbfgs.minimize(total, [x, x])
    with pytest.raises(ArgumentTypeError, match="expected a list of variables"):
        lbfgs.minimize(total, "x")  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="expected a variable, got Tensor"):
        lbfgs.minimize(total, [mg.constant(1.0)])  # type: ignore[list-item]
    with pytest.raises(DTypeError, match="'count' is of int32"):
        lbfgs.minimize(total, [x, count])
    with pytest.raises(GradientError, match=r"must be a scalar, got shape \(2,\)"):
        lbfgs.minimize(lambda: x * x, [x])
    with pytest.raises(ArgumentTypeError, match="must return a scalar tensor, got float"):
        lbfgs.minimize(lambda: 1.0, [x])
    other = mg.Variable(3.0, name="other")
    with pytest.raises(GradientError, match="does not depend on any of the variables: 'other'"):
        lbfgs.minimize(total, [other])
    with pytest.raises(ArgumentTypeError, match="must be a function that computes it"):
        lbfgs.minimize(total(), [x])
    with pytest.raises(ArgumentError, match="session and feed_dict are for"):
        lbfgs.minimize(total, [x], feed_dict={})
    with pytest.raises(NumericsError, match="starts is nan"):
        lbfgs.minimize(lambda: mg.sum(mg.log(-x)), [x])
    assert x.tolist() == [1.0, 2.0]


def test_bad_calls_of_a_graph() -> None:
    lbfgs = optim.LBFGS()
    with mg.Graph().as_default() as graph:
        x = mg.Variable([1.0, 2.0], name="x")
        fed = mg.placeholder("float32", (2,))
        loss = mg.sum(x * x * fed)
        other = mg.Variable(3.0, name="other")
        fixed = mg.sum(fed)
        start = mg.global_variables_initializer()
    with mg.Graph().as_default() as strange:
        outside = mg.Variable(1.0, name="outside")
    session = mg.Session(graph=graph)
    with pytest.raises(StateError, match="pass session="):
        lbfgs.minimize(loss, [x])
    with pytest.raises(GraphError, match="the session to"):
        lbfgs.minimize(loss, [x], session=mg.Session(graph=strange))
    with pytest.raises(GraphError, match="'outside' belongs to"):
        lbfgs.minimize(loss, [outside], session=session)
    with pytest.raises(FailedPreconditionError, match="'x' was used before"):
        lbfgs.minimize(loss, [x], session=session, feed_dict={fed: [1.0, 1.0]})
    session.run(start)
    with pytest.raises(FeedError, match="was not fed"):
        lbfgs.minimize(loss, [x], session=session)
    with pytest.raises(GradientError, match="does not depend on any of the variables: 'other'"):
        lbfgs.minimize(loss, [other], session=session)
    with pytest.raises(GradientError, match="any of the variables: 'x', 'other'"):
        lbfgs.minimize(fixed, session=session)
    with pytest.raises(GradientError, match=r"must be a scalar, got shape \(2,\)"):
        lbfgs.minimize(x * x, [x], session=session)
    with pytest.raises(ArgumentTypeError, match="belongs to a graph, but the loss is a function"):
        lbfgs.minimize(lambda: mg.sum(x), [x])
    assert session.run(x).tolist() == [1.0, 2.0]


# -- the line search --------------------------------------------------------------------------


def line(f: Callable[[float], float], slope: Callable[[float], float]) -> Callable[[float], Trial]:
    def evaluate(step: float) -> Trial:
        return Trial(step, np.array([step]), f(step), np.array([slope(step)]), slope(step))

    return evaluate


#: Two test functions like those of Moré and Thuente's paper (1994), and a wave; with c1 and c2.
LINES = [
    (
        lambda a: -a / (a * a + 2),
        lambda a: (a * a - 2) / (a * a + 2) ** 2,
        1e-3,
        0.1,
    ),
    (
        lambda a: (a + 0.04) ** 5 - 2 * (a + 0.04) ** 4,
        lambda a: 5 * (a + 0.04) ** 4 - 8 * (a + 0.04) ** 3,
        0.1,
        0.11,
    ),
    (
        lambda a: (a - 1.0) ** 4 + 0.3 * math.sin(6 * a),
        lambda a: 4 * (a - 1.0) ** 3 + 1.8 * math.cos(6 * a),
        1e-4,
        0.1,
    ),
]


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("case", range(len(LINES)))
def test_the_strong_wolfe_conditions_hold(case: int, first: float) -> None:
    f, slope, decrease, curvature = LINES[case]
    calls = 0

    def evaluate(step: float) -> Trial:
        nonlocal calls
        calls += 1
        return line(f, slope)(step)

    start = line(f, slope)(0.0)
    if start.slope >= 0:
        pytest.fail("the line must go down at first")
    found = strong_wolfe(
        evaluate, start, first, decrease=decrease, curvature=curvature, most_trials=40
    )
    assert found is not None and calls <= 40
    assert found.value <= start.value + decrease * found.step * start.slope
    assert abs(found.slope) <= curvature * abs(start.slope)


def test_the_cubic_is_exact_for_cubics() -> None:
    # x³ - 3x has its minimum at 1.
    cubic = line(lambda a: a**3 - 3 * a, lambda a: 3 * a * a - 3)
    assert cubic_minimum(cubic(0.0), cubic(3.0)) == pytest.approx(1.0, abs=1e-14)
    assert cubic_minimum(cubic(3.0), cubic(0.0)) == pytest.approx(1.0, abs=1e-14)
    # A straight line has none, nor has what is not finite.
    straight = line(lambda a: -a, lambda a: -1.0)
    assert math.isnan(cubic_minimum(straight(0.0), straight(1.0)))
    broken = line(lambda a: math.inf, lambda a: math.nan)
    assert math.isnan(cubic_minimum(cubic(0.0), broken(1.0)))


def test_a_search_without_luck_gives_nothing() -> None:
    rising = line(lambda a: a, lambda a: -1.0)
    options: dict[str, Any] = {"decrease": 1e-4, "curvature": 0.9}
    assert strong_wolfe(rising, rising(0.0), 1.0, most_trials=25, **options) is None
    # With no trials left, the best point with enough decrease is taken.
    falling = line(lambda a: -a, lambda a: -1.0)
    found = strong_wolfe(falling, falling(0.0), 1.0, most_trials=3, **options)
    assert found is not None and found.step == 100.0


def test_slopes_decide_where_values_are_noise() -> None:
    # (a - 1)²·1e-20 + 1 is 1 for all small a, to rounding.
    blurred = line(lambda a: 1.0 + 1e-20 * (a - 1) ** 2, lambda a: 2e-20 * (a - 1))
    options: dict[str, Any] = {"decrease": 1e-4, "curvature": 0.9, "most_trials": 25}
    assert strong_wolfe(blurred, blurred(0.0), 1.0, **options) is None
    found = strong_wolfe(blurred, blurred(0.0), 1.5, noise=1e-15, **options)
    assert found is not None and found.step == 1.5
    # A slope that is not smaller is none of it.
    steep = line(lambda a: 1.0, lambda a: -1e-20 if a == 0 else -2e-20)
    assert strong_wolfe(steep, steep(0.0), 1.0, noise=1e-15, **options) is None


def test_a_module_stands_for_its_trainable_parameters() -> None:
    model = nn.Linear(2, 1)
    x, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32), np.float32([[1], [2], [4]])
    model.bias.trainable = False
    result = optim.LBFGS().minimize(lambda: mg.mean((model(x) - y) ** 2), model)
    assert result.converged
    # The normal equations without a bias: [[2, 1], [1, 2]] w = [5, 6].
    np.testing.assert_allclose(model.weight.numpy(), [[4 / 3], [7 / 3]], rtol=1e-5)
    np.testing.assert_array_equal(model.bias.numpy(), [0.0])

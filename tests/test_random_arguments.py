"""What `mg.random` takes and refuses, and what its numbers look like."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import minigrad as mg
from minigrad.core.generator import Generator
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError


def test_shapes_may_be_tensors() -> None:
    expected = mg.random.normal((2, 3), seed=1).numpy()
    for shape in (
        [2, 3],
        np.array([2, 3]),
        mg.constant([2, 3]),
        (mg.constant(2), 3),
        mg.shape(np.zeros((2, 3))),
        mg.Variable([2, 3]),
    ):
        np.testing.assert_array_equal(mg.random.normal(shape, seed=1).numpy(), expected)
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (None, 3))
        n = mg.placeholder("int32", ())
        unknown = mg.placeholder("int64", (None,))
        by_shape = mg.random.normal(mg.shape(x), seed=1)
        by_pair = mg.random.normal((n, 3), seed=1)
        by_vector = mg.random.normal(unknown, seed=1)
    assert (by_shape.shape, by_pair.shape, by_vector.shape) == ((None, 3), (None, 3), None)
    feeds = {x: np.zeros((2, 3)), n: 2, unknown: [2, 3]}
    with mg.Session(graph=graph) as sess:
        for value in sess.run([by_shape, by_pair, by_vector], feeds):
            np.testing.assert_array_equal(value, expected)
        with pytest.raises(ShapeError, match="negative"):
            sess.run(by_pair, {n: -1})


def test_other_arguments_may_be_tensors() -> None:
    with mg.Graph().as_default() as graph:
        n = mg.placeholder("int32", ())
        rows = mg.placeholder("float32", (None, 2))
        logits = mg.placeholder("float32", (None, None))
        fetches = [
            mg.random.integers(-n, n, n, seed=1),
            mg.random.permutation(n, seed=1),
            mg.random.permutation(rows, seed=1),
            mg.random.categorical(logits, n, seed=1),
        ]
    assert [y.shape for y in fetches] == [(None,), (None,), (None, 2), (None, None)]
    x, scores = np.arange(10, dtype=np.float32).reshape(5, 2), np.eye(3, dtype=np.float32)
    with mg.Session(graph=graph) as sess:
        results = sess.run(fetches, {n: 5, rows: x, logits: scores})
        with pytest.raises(ArgumentError, match="low < high"):
            sess.run(fetches[0], {n: 0})
    expected = [
        mg.random.integers(-5, 5, 5, seed=1),
        mg.random.permutation(5, seed=1),
        mg.random.permutation(x, seed=1),
        mg.random.categorical(scores, 5, seed=1),
    ]
    for result, y in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, y.numpy())


def test_a_parameter_that_does_not_fit_is_refused_in_the_run_too() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (None,))
        y = mg.random.normal(mg.shape(x), mean=[0.0, 1.0, 2.0])
    with mg.Session(graph=graph) as sess:
        assert sess.run(y, {x: np.zeros(3)}).shape == (3,)
        with pytest.raises(ShapeError):
            sess.run(y, {x: np.zeros(1)})


def test_parameters_take_the_dtype_of_the_draw() -> None:
    y = mg.random.normal(3, np.zeros(3), mg.constant([1, 2, 3]), dtype="float16", seed=1)
    assert y.dtype == "float16"
    with pytest.raises(DTypeError):
        mg.random.normal(3, 1j)


def test_integers_read_as_numpys() -> None:
    draws = mg.random.integers(3, shape=1000, seed=1).numpy()
    assert set(draws.tolist()) == {0, 1, 2}
    assert mg.random.integers(5, 6, seed=1).numpy() == 5


def test_empty_draws() -> None:
    for y in (
        mg.random.normal((0, 3)),
        mg.random.truncated_normal((2, 0)),
        mg.random.bernoulli(np.zeros((0,))),
        mg.random.integers(5, shape=(0,)),
        mg.random.permutation(0),
        mg.random.permutation(np.zeros((0, 2))),
        mg.random.categorical(np.zeros((0, 3)), 4),
    ):
        assert 0 in y.shape
    generator = mg.random.Generator(seed=1)
    mg.random.normal((0, 3), generator=generator)
    assert generator.counter == 0


def test_bernoulli_at_the_ends() -> None:
    y = mg.random.bernoulli([0.0, 1.0], (1000, 2), seed=1).numpy()
    assert not y[:, 0].any()
    assert y[:, 1].all()


def test_what_is_no_probability_is_refused_when_its_value_is_known() -> None:
    """At once where it is a number or a constant, of any dtype; otherwise in the run."""
    with mg.Graph().as_default() as graph:
        for p in (1.5, np.array([0.5, 1.5]), mg.constant(2), mg.constant([[0.5, -1.0]])):
            with pytest.raises(ArgumentError, match=r"between 0 and 1, got (1\.5|2\.0|-1\.0)"):
                mg.random.bernoulli(p)
        fed = mg.placeholder("float64")
        variable = mg.Variable(0.5)
        generator = mg.random.Generator(seed=1)
        y = mg.random.bernoulli(fed, generator=generator)
        z = mg.random.bernoulli(variable, (3,))
        again = variable.assign(-0.5)
    with mg.Session(graph=graph) as sess:
        sess.run(mg.global_variables_initializer())
        first = sess.run(y, {fed: np.full(8, 0.5)})
        assert sess.run(y, {fed: [0.0, 1.0]}).tolist() == [False, True]
        message = r"(?s)got nan at index 0, 1; mg\.sigmoid.*in node 'random_bernoulli"
        with pytest.raises(ArgumentError, match=message):
            sess.run(y, {fed: [[0.5, np.nan]]})
        assert sess.run(z).shape == (3,)
        sess.run(again)
        with pytest.raises(ArgumentError, match=r"got -0\.5; mg\.sigmoid"):
            sess.run(z)
    with mg.Session(graph=graph) as sess:
        with pytest.raises(ArgumentError, match="between 0 and 1"):
            sess.run(y, {fed: 7.0})
        same = sess.run(y, {fed: np.full(8, 0.5)})
        np.testing.assert_array_equal(same, first, "a run that fails draws nothing")


def test_constants_are_checked_whatever_their_dtype() -> None:
    with mg.Graph().as_default():
        with pytest.raises(ArgumentError, match="standard deviation"):
            mg.random.normal(3, stddev=mg.constant(-1))
        with pytest.raises(ArgumentError, match="low <= high"):
            mg.random.uniform(3, mg.constant(2), mg.constant(1))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: mg.random.normal(3, stddev=-1), ArgumentError, "standard deviation of 0 or more"),
        (lambda: mg.random.normal(2, stddev=[1, -2]), ArgumentError, "got -2"),
        (lambda: mg.random.normal(3, dtype="int32"), DTypeError, "draws float16, float32, float64"),
        (lambda: mg.random.normal((2, None)), ArgumentTypeError, "got None"),
        (lambda: mg.random.normal(-1), ShapeError, r"cannot be negative, got \(-1,\)"),
        (lambda: mg.random.normal((), [1.0, 2.0]), ShapeError, r"mean of shape \(2,\)"),
        (lambda: mg.random.normal(2, seed="x"), ArgumentTypeError, "as seed, got 'x'"),
        (lambda: mg.random.seed(1.5), ArgumentTypeError, "the seed"),
        (lambda: mg.random.normal(2, generator=5), ArgumentTypeError, "integer as seed="),
        (
            lambda: mg.random.normal(2, seed=1, generator=Generator.from_key((0, 1))),
            ArgumentError,
            "not both",
        ),
        (lambda: mg.random.uniform(2, 1, 0), ArgumentError, "low <= high"),
        (lambda: mg.random.uniform(2, 0, 1e6, dtype="float16"), ArgumentError, "wider dtype"),
        (lambda: mg.random.uniform(2, -3e38, 3e38), ArgumentError, "wider dtype"),
        (lambda: mg.random.integers(3, 3), ArgumentError, "low < high"),
        (lambda: mg.random.integers(0, 1.5), ArgumentTypeError, "integer as high, got 1.5"),
        (lambda: mg.random.integers(0, 2**31 + 1), ArgumentError, "a wider dtype"),
        (lambda: mg.random.integers(5, dtype="uint8"), DTypeError, "draws int32, int64"),
        (lambda: mg.random.bernoulli(-0.1), ArgumentError, "mg.sigmoid"),
        (lambda: mg.random.bernoulli([0.1, 0.2], 3), ShapeError, r"p of shape \(2,\)"),
        (lambda: mg.random.permutation(2.0), ArgumentTypeError, "number of items"),
        (lambda: mg.random.permutation(-2), ShapeError, "cannot be negative"),
        (lambda: mg.random.shuffle(5), ShapeError, "rank 1 or more"),
        (lambda: mg.random.categorical([0.0, 1.0], 2), ShapeError, "for one distribution"),
        (lambda: mg.random.categorical([[0.0]], -1), ArgumentError, "0 or more"),
    ],
)
def test_errors_are_the_same_lazily_and_eagerly(
    call: Callable[[], Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        call()
    with mg.Graph().as_default(), pytest.raises(error, match=match):
        call()


def test_a_generator_stays_in_its_graph() -> None:
    with mg.Graph().as_default():
        generator = mg.random.Generator(seed=1)
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (3,))
    with pytest.raises(GraphError, match="belongs to"):
        mg.random.normal(mg.shape(x), generator=generator)
    y = mg.random.normal(3, generator=generator)
    assert y.graph is generator.graph, "outside any graph its own is meant"


# -- distributions ---------------------------------------------------------------------------------

SAMPLES = 20_000
# With fixed seeds these verdicts never change.
PASSES = 1e-3


def test_continuous_distributions() -> None:
    for dtype in ("float32", "float64"):
        z = mg.random.normal(SAMPLES, 3.0, 0.5, dtype=dtype, seed=1).numpy()
        assert stats.kstest(z, stats.norm(3, 0.5).cdf).pvalue > PASSES
        t = mg.random.truncated_normal(SAMPLES, 3.0, 0.5, dtype=dtype, seed=2).numpy()
        assert stats.kstest(t, stats.truncnorm(-2, 2, 3, 0.5).cdf).pvalue > PASSES
        u = mg.random.uniform(SAMPLES, -1.0, 3.0, dtype=dtype, seed=3).numpy()
        assert stats.kstest(u, stats.uniform(-1, 4).cdf).pvalue > PASSES


def test_discrete_distributions() -> None:
    hits = mg.random.bernoulli(0.3, SAMPLES, seed=1).numpy().sum()
    assert stats.binomtest(int(hits), SAMPLES, 0.3).pvalue > PASSES
    faces = np.bincount(mg.random.integers(6, shape=SAMPLES, seed=2).numpy(), minlength=6)
    assert stats.chisquare(faces).pvalue > PASSES
    p = np.array([0.1, 0.2, 0.7])
    drawn = mg.random.categorical(np.log(p)[None], SAMPLES, seed=3).numpy()
    assert stats.chisquare(np.bincount(drawn[0], minlength=3), SAMPLES * p).pvalue > PASSES
    generator = mg.random.Generator(seed=4)
    firsts = [int(mg.random.permutation(4, generator=generator).numpy()[0]) for _ in range(1000)]
    assert stats.chisquare(np.bincount(firsts, minlength=4)).pvalue > PASSES


def test_a_permutation_holds_every_row_once() -> None:
    x = np.arange(100).reshape(50, 2)
    y = mg.random.permutation(x, seed=1).numpy()
    np.testing.assert_array_equal(y[np.argsort(y[:, 0])], x)
    assert sorted(mg.random.permutation(50, seed=1).tolist()) == list(range(50))

"""`mg.random`: TensorFlow's numbers, seeds, generators, and gradients through draws.

The numbers of the streams themselves are tested in test_philox.py.
"""

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.generator import Generator
from minigrad.errors import ShapeError, StateError

# Every kind of draw, as a function of `seed=` or `generator=`.
DRAWS: dict[str, Callable[..., Any]] = {
    "normal": lambda **k: mg.random.normal((2, 3), 1.0, 2.0, **k),
    "normal64": lambda **k: mg.random.normal(5, dtype="float64", **k),
    "truncated_normal": lambda **k: mg.random.truncated_normal((7,), stddev=0.1, **k),
    "uniform": lambda **k: mg.random.uniform((3, 2), -10, 10, **k),
    "uniform16": lambda **k: mg.random.uniform(4, dtype="float16", **k),
    "bernoulli": lambda **k: mg.random.bernoulli([0.2, 0.5, 0.9], (4, 3), **k),
    "integers": lambda **k: mg.random.integers(0, 1000, (5,), **k),
    "integers64": lambda **k: mg.random.integers(-(2**63), 2**63, 3, dtype="int64", **k),
    "permutation": lambda **k: mg.random.permutation(20, **k),
    "shuffle": lambda **k: mg.random.shuffle(np.arange(24).reshape(12, 2), **k),
    "categorical": lambda **k: mg.random.categorical(np.zeros((2, 50)), 6, **k),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@pytest.fixture(autouse=True)
def unseeded() -> Any:
    yield
    mg.random.seed(None)


def runs(build: Callable[[], Any], count: int) -> list[Any]:
    """The results of `count` runs of one new graph in one new session."""
    with mg.Graph().as_default() as graph:
        y = build()
    with mg.Session(graph=graph) as sess:
        return [sess.run(y) for _ in range(count)]


# -- TensorFlow's numbers --------------------------------------------------------------------------


def test_the_course_prints_these_numbers() -> None:
    """CS20's 05_randomization: an op seed, run twice, in two sessions; two ops with one seed."""
    with mg.Graph().as_default() as graph:
        c = mg.random.uniform((), -10, 10, seed=2)
        d = mg.random.uniform((), -10, 10, seed=2)
    for _ in range(2):
        with mg.Session(graph=graph) as sess:
            assert str(sess.run(c)) == "3.574932"
            assert str(sess.run(c)) == "-5.9731865"
            assert str(sess.run(d)) == "3.574932"


def test_keys_that_tensorflow_makes_of_a_graph_seed() -> None:
    """The same script with tf.set_random_seed(2) and the node counts 31 and 38 as op seeds."""
    with mg.Graph().as_default() as graph:
        mg.random.seed(2)
        c = mg.random.uniform((), -10, 10, seed=31)
        d = mg.random.uniform((), -10, 10, seed=38)
    with mg.Session(graph=graph) as sess:
        assert [str(v) for v in sess.run([c, d])] == ["9.123926", "-4.5340395"]


def test_normal_scales_in_tensorflows_order() -> None:
    z = mg.random.normal(1000, seed=3).numpy()
    scaled = mg.random.normal(1000, 0.7, 0.3, seed=3).numpy()
    np.testing.assert_array_equal(scaled, z * np.float32(0.3) + np.float32(0.7))


def test_uniform_rounds_the_bounds_first() -> None:
    u = mg.random.uniform(1000, seed=3).numpy()
    low, high = np.float32(0.1), np.float32(0.7)
    scaled = mg.random.uniform(1000, 0.1, 0.7, seed=3).numpy()
    np.testing.assert_array_equal(scaled, u * (high - low) + low)
    by_tensor = mg.random.uniform(1000, mg.constant(0.1), 0.7, seed=3).numpy()
    np.testing.assert_array_equal(by_tensor, scaled)


# -- lazy and eager --------------------------------------------------------------------------------


@every_draw
def test_runs_of_a_graph_draw_what_an_eager_generator_draws(draw: Callable[..., Any]) -> None:
    generator = mg.random.Generator(seed=5)
    eager = [draw(generator=generator).numpy() for _ in range(3)]
    for lazy in (
        runs(lambda: draw(seed=5), 3),
        runs(lambda: draw(generator=mg.random.Generator(seed=5)), 3),
    ):
        for one, other in zip(eager, lazy, strict=True):
            assert one.dtype == other.dtype
            if draw is DRAWS["normal64"]:  # A compiled plan's logarithm and sine are its own.
                np.testing.assert_allclose(one, other, rtol=4 * np.finfo(np.float64).eps)
            else:
                np.testing.assert_array_equal(one, other)
    assert not np.array_equal(eager[0], eager[1])


@every_draw
def test_an_eager_draw_with_a_seed_is_a_function_of_it(draw: Callable[..., Any]) -> None:
    first = draw(seed=5).numpy()
    np.testing.assert_array_equal(draw(seed=5).numpy(), first)
    assert not np.array_equal(draw(seed=6).numpy(), first)


@every_draw
def test_static_shape_and_dtype_are_those_of_the_run(draw: Callable[..., Any]) -> None:
    with mg.Graph().as_default() as graph:
        y = draw(seed=1)
    with mg.Session(graph=graph) as sess:
        value = sess.run(y)
    assert (y.shape, y.dtype) == (value.shape, value.dtype)


def test_a_fresh_session_starts_again() -> None:
    with mg.Graph().as_default() as graph:
        y = mg.random.normal(4, seed=1)
    results = []
    for _ in range(2):
        with mg.Session(graph=graph) as sess:
            results.append([sess.run(y).tolist() for _ in range(2)])
    assert results[0] == results[1]
    assert results[0][0] != results[0][1]


def test_one_run_draws_once() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.random.normal(4)
        a, b = x * 2.0, x + 0.0
    with mg.Session(graph=graph) as sess:
        first, second = sess.run([a, b])
        np.testing.assert_array_equal(first, second * 2)


def test_a_failed_run_consumes_no_draws() -> None:
    expected = mg.random.normal(3, seed=1).numpy()
    with mg.Graph().as_default() as graph:
        p = mg.placeholder("float32", (None,))
        x = mg.random.normal(3, seed=1)
        y = x + p
    with mg.Session(graph=graph) as sess:
        with pytest.raises(ShapeError):
            sess.run(y, {p: np.zeros(2)})
        np.testing.assert_array_equal(sess.run(x), expected)


def test_a_reservation_can_be_fed_to_repeat_a_draw() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.random.normal(3, seed=1)
    place = graph.get_tensor_by_name("random_normal/RandomReserve:0")
    with mg.Session(graph=graph) as sess:
        start, first = sess.run([place, x])
        sess.run(x)
        np.testing.assert_array_equal(sess.run(x, {place: start}), first)


def test_nodes_carry_tensorflows_names() -> None:
    with mg.Graph().as_default() as graph:
        mg.random.normal(3)
        mg.random.uniform(3)
        mg.random.truncated_normal(3)
        mg.random.integers(5)
        mg.random.categorical([[0.0]], 2)
    names = [op.name for op in graph.get_operations()]
    for name in (
        "random_normal/RandomStandardNormal",
        "random_uniform/RandomUniform",
        "truncated_normal/TruncatedNormal",
        "random_integers/RandomUniformInt",
        "categorical/Multinomial",
    ):
        assert name in names


def test_outside_any_graph_a_symbolic_argument_decides() -> None:
    """Dropout as a layer would write it: the mask is drawn in each run, not once."""

    @mg.composite
    def dropout(x: Any, keep: float) -> Any:
        mask = mg.random.bernoulli(keep, mg.shape(x), dtype="float32", seed=7)
        return x * mask * (1 / keep)

    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (None, 4))
    y = dropout(x, 0.5)
    assert y.graph is graph
    with mg.Session(graph=graph) as sess:
        first, second = (sess.run(y, {x: np.ones((50, 4))}) for _ in range(2))
    assert set(np.unique(first)) == {0.0, 2.0}
    assert not np.array_equal(first, second)


# -- seeds -----------------------------------------------------------------------------------------


def test_ops_without_a_seed_are_counted() -> None:
    mg.random.seed(9)
    eager = [mg.random.uniform(3).tolist() for _ in range(3)]
    expected = [
        mg.random.uniform(3, generator=Generator.from_key((9, k))).tolist() for k in range(3)
    ]
    assert eager == expected
    mg.random.seed(9)
    assert mg.random.uniform(3).tolist() == eager[0]


def test_draws_with_a_seed_or_generator_do_not_count() -> None:
    mg.random.seed(9)
    first = mg.random.uniform(3).tolist()
    second = mg.random.uniform(3).tolist()
    mg.random.seed(9)
    generator = Generator.from_key((1, 2))
    assert mg.random.uniform(3).tolist() == first
    mg.random.uniform(3, seed=1)
    mg.random.uniform(3, generator=generator)
    assert mg.random.uniform(3).tolist() == second


def test_a_graph_counts_its_own_ops_and_follows_the_process_seed() -> None:
    def build() -> list[Any]:
        return [mg.random.uniform(3), mg.random.uniform(3)]

    mg.random.seed(9)
    eager = [y.tolist() for y in build()]
    (lazy,) = runs(build, 1)
    assert [y.tolist() for y in lazy] == eager


def test_a_graph_with_a_seed_does_not_follow_the_process() -> None:
    def build() -> Any:
        mg.random.seed(4)
        return mg.random.uniform(3)

    mg.random.seed(9)
    (lazy,) = runs(build, 1)
    expected = mg.random.uniform(3, generator=Generator.from_key((4, 0)))
    np.testing.assert_array_equal(lazy, expected.numpy())
    key = mg.random.Generator().key
    assert key == (9, 0), "seeding a graph leaves the process's count alone"


def test_seeding_a_graph_restarts_its_count() -> None:
    with mg.Graph().as_default():
        mg.random.seed(4)
        keys = [mg.random.Generator().key for _ in range(2)]
        mg.random.seed(4)
        assert keys == [(4, 0), (4, 1)]
        assert mg.random.Generator().key == (4, 0)


@pytest.mark.parametrize(
    ("process", "op", "key"),
    [(None, 2, (87654321, 2)), (3, 2, (3, 2)), (0, 0, (0, 2**31 - 1))],
)
def test_the_key_of_an_op_with_a_seed(process: int | None, op: int, key: tuple[int, int]) -> None:
    mg.random.seed(process)
    assert mg.random.Generator(seed=op).key == key
    with mg.Graph().as_default():
        assert mg.random.Generator(seed=op).key == key


def test_without_any_seed_nothing_repeats() -> None:
    """Not between draws, graphs, or sessions of one graph."""

    def build() -> Any:
        return mg.random.uniform(4)

    seen = [build().tolist() for _ in range(2)]
    seen += [y.tolist() for y in runs(build, 2)]
    with mg.Graph().as_default() as graph:
        y = build()
    for _ in range(2):
        with mg.Session(graph=graph) as sess:
            seen += [sess.run(y).tolist() for _ in range(2)]
    assert len({tuple(numbers) for numbers in seen}) == len(seen) == 8


# -- generators ------------------------------------------------------------------------------------


def test_an_eager_generator_serves_eager_code_and_sessions_in_turn() -> None:
    generator, twin = (mg.random.Generator(seed=3) for _ in range(2))
    expected = [mg.random.normal(2, generator=twin).tolist() for _ in range(4)]
    with mg.Graph().as_default() as graph:
        y = mg.random.normal(2, generator=generator)
    found = [mg.random.normal(2, generator=generator).tolist()]
    for _ in range(2):
        with mg.Session(graph=graph) as sess:
            found.append(sess.run(y).tolist())
    found.append(mg.random.normal(2, generator=generator).tolist())
    assert found == expected


def test_two_draws_from_one_generator_in_one_run_differ() -> None:
    def build() -> Any:
        generator = mg.random.Generator(seed=3)
        return [mg.random.normal(2, generator=generator) for _ in range(2)]

    twin = mg.random.Generator(seed=3)
    expected = [mg.random.normal(2, generator=twin).tolist() for _ in range(4)]
    results = runs(build, 2)
    assert [y.tolist() for result in results for y in result] == expected


def test_pickles_and_copies_keep_their_place() -> None:
    generator = mg.random.Generator(seed=3)
    mg.random.normal(2, generator=generator)
    copies = [
        pickle.loads(pickle.dumps(generator)),
        copy.deepcopy(generator),
        copy.copy(generator),
    ]
    expected = mg.random.normal(2, generator=generator).tolist()
    for made in copies:
        assert mg.random.normal(2, generator=made).tolist() == expected


def test_a_graphs_generator_is_not_copied_and_has_no_counter() -> None:
    with mg.Graph().as_default():
        generator = mg.random.Generator(seed=3)
    with pytest.raises(StateError, match=r"cannot be copied or pickled alone"):
        pickle.dumps(generator)
    with pytest.raises(StateError, match="a counter in each session"):
        generator.counter


def test_a_description_makes_the_generator_again() -> None:
    generator = mg.random.Generator(seed=3)
    mg.random.normal(2, generator=generator)
    again = Generator.from_description(generator.describe(), mg.Graph())
    assert (again.key, again.counter, again.graph) == ((87654321, 3), 512, None)
    with mg.Graph().as_default() as graph:
        unseeded = mg.random.Generator()
    other = mg.Graph()
    again = Generator.from_description(unseeded.describe(), other)
    assert (again.key, again.graph, again.seeded) == (unseeded.key, other, False)
    assert graph is unseeded.graph


def test_threads_share_a_generator_without_repeating() -> None:
    generator = mg.random.Generator(seed=3)
    rounds, threads = 50, 8
    found: list[tuple[float, ...]] = []

    def work() -> None:
        for _ in range(rounds):
            found.append(tuple(mg.random.uniform(3, generator=generator).tolist()))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    twin = mg.random.Generator(seed=3)
    alone = [tuple(mg.random.uniform(3, generator=twin).tolist()) for _ in range(rounds * threads)]
    assert sorted(found) == sorted(alone)
    assert generator.counter == twin.counter == 256 * 3 * rounds * threads


def test_threads_get_keys_of_their_own() -> None:
    mg.random.seed(1)
    found: list[tuple[float, ...]] = []

    def work() -> None:
        for _ in range(50):
            found.append(tuple(mg.random.uniform(3).tolist()))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    mg.random.seed(1)
    assert sorted(found) == sorted(tuple(mg.random.uniform(3).tolist()) for _ in range(200))


# -- gradients -------------------------------------------------------------------------------------


def test_gradients_flow_to_the_parameters() -> None:
    shape = (2, 3)
    z = mg.random.normal(shape, seed=1, dtype="float64").numpy()
    u = mg.random.uniform(shape, seed=1, dtype="float64").numpy()

    def total(draw: Callable[..., Any]) -> Callable[..., Any]:
        return lambda a, b: mg.sum_to_like(draw(shape, a, b, seed=1, dtype="float64"), np.zeros(()))

    mean, stddev = np.zeros(3), np.ones((2, 1))
    to_mean, to_stddev = mg.grad(total(mg.random.normal), argnums=(0, 1))(mean, stddev)
    np.testing.assert_allclose(to_mean.numpy(), [2.0, 2.0, 2.0])
    np.testing.assert_allclose(to_stddev.numpy(), z.sum(axis=1, keepdims=True))
    to_low, to_high = mg.grad(total(mg.random.uniform), argnums=(0, 1))(np.float64(0), stddev)
    np.testing.assert_allclose(to_low.numpy(), (1 - u).sum())
    np.testing.assert_allclose(to_high.numpy(), u.sum(axis=1, keepdims=True))


def test_a_run_and_its_gradient_see_the_same_numbers() -> None:
    with mg.Graph().as_default() as graph:
        stddev = mg.Variable(2.0)
        y = mg.random.normal(3, stddev=stddev)
        (g,) = mg.gradients(y, [stddev])
    with mg.Session(graph=graph) as sess:
        sess.run(stddev.initializer)
        for _ in range(2):
            value, slope = sess.run([y, g])
            np.testing.assert_allclose(slope, value.sum() / 2, rtol=1e-6, atol=1e-6)


def test_permutation_gives_the_gradient_back_to_each_row() -> None:
    weights = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    order = mg.random.permutation(3, seed=1).numpy()
    g = mg.grad(lambda x: mg.sum_to_like(mg.random.permutation(x, seed=1) * weights, 0.0))(
        np.zeros((3, 2))
    )
    expected = np.empty_like(weights)
    expected[order] = weights
    np.testing.assert_array_equal(g.numpy(), expected)


@pytest.mark.parametrize("how", ["key", "seed", "generator"])
def test_recomputation_draws_the_same_numbers_and_no_more(how: str) -> None:
    """A checkpointed function runs twice; its draws happen once."""

    def run(wrap: Callable[..., Any]) -> tuple[list[float], list[float]]:
        mg.random.seed(5)
        generator = Generator.from_key((1, 2))
        options: dict[str, dict[str, Any]] = {
            "key": {},
            "seed": {"seed": 3},
            "generator": {"generator": generator},
        }

        def noisy(x: Any) -> Any:
            return x * x * mg.random.normal(3, **options[how])

        g = mg.grad(lambda x: mg.sum_to_like(wrap(noisy)(x), 0.0))(2.0)
        after = mg.random.normal(3, **options[how])
        return [float(g)], after.tolist()

    assert run(mg.checkpoint) == run(lambda f: f)


def test_recomputation_in_a_graph_draws_the_same_numbers() -> None:
    with mg.Graph().as_default() as graph:
        mg.random.seed(5)
        x = mg.placeholder("float32", ())
        y = mg.checkpoint(lambda x: x * x * mg.random.normal(3))(x)
        (g,) = mg.gradients(y, [x])
        assert graph.random_count == 1
    with mg.Session(graph=graph) as sess:
        for _ in range(2):
            value, slope = sess.run([y, g], {x: 2.0})
            np.testing.assert_allclose(slope, value.sum(), rtol=1e-5)

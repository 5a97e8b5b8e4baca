"""Random numbers that native code draws: those of the reference executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
from minigrad import random_kernels
from minigrad.errors import IndexOutOfRangeError

pytest.importorskip("llvmlite")

from kernel_runs import compiled

from minigrad.compile.builder import Builder
from minigrad.compile.native.specials import SPECIALS
from minigrad.compile.program import Operand, Program
from minigrad.dtypes import as_dtype
from minigrad.ops.random_ops import philox_normal, philox_truncated_normal, philox_uniform

DRAWS: dict[str, tuple[Any, Callable[..., np.ndarray]]] = {
    "random_uniform": (philox_uniform, random_kernels.uniform),
    "random_normal": (philox_normal, random_kernels.normal),
    "truncated_normal": (philox_truncated_normal, random_kernels.truncated_normal),
}
KEYS = [(87654321, 1), (-1, 2**63), (2**64 - 1, -(2**63))]
COUNTERS = [0, 2**32 - 3, 2**63, 2**64 - 5, 2**64 - 1]


def distance(a: np.ndarray, b: np.ndarray) -> int:
    """How many numbers of their type lie between two arrays' at most, of one sign each."""
    integers = np.int32 if a.dtype == np.float32 else np.int64
    assert a.dtype == b.dtype and a.shape == b.shape
    assert (np.signbit(a) == np.signbit(b)).all()
    far = np.abs(a.view(integers).astype(object) - b.view(integers).astype(object))
    return int(far.max(initial=0))


def assert_drawn(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    if name == "random_uniform":
        np.testing.assert_array_equal(found, expected)
    else:
        assert distance(found, expected) <= (4 if found.dtype == np.float64 else 1)


def drawing(name: str, n: int, key: tuple[int, int], dtype: str, vector_bytes: int) -> Any:
    """A kernel compiled for vectors of this width, as a function of the counter and a cut."""
    program = Program()
    counter, shape = Operand((), np.dtype(np.uint64)), np.array([n])
    b = Builder(program)
    kind = as_dtype(dtype)
    attrs = {"key": key, "dtype": kind}
    b.special(name, [counter, b.constant(shape)], [((n,), kind.dtype)], attrs, DRAWS[name][0])
    run = compiled(SPECIALS[name], vector_bytes, program.instructions[-1])

    def drawn(at: int, cuts: Any = None) -> np.ndarray:
        out = np.full(n + 64, np.nan, kind.dtype)
        run(np.array(at, np.uint64), shape, out, cuts=cuts)
        assert np.isnan(out[n:]).all()
        return out[:n]

    return drawn


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DRAWS)
def test_numbers_of_every_place_of_a_stream(name: str, dtype: str, vector_bytes: int) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 64, 2047, 2048, 6151):
        for key in KEYS[: 3 if n == 64 else 1]:
            drawn = drawing(name, n, key, dtype, vector_bytes)
            for counter in COUNTERS if n == 64 else COUNTERS[-2:]:
                expected = DRAWS[name][1](key, counter, n, dtype)
                assert_drawn(name, drawn(counter), expected)
                np.testing.assert_array_equal(drawn(counter, rng), drawn(counter))


@pytest.mark.parametrize("name", ["random_normal", "truncated_normal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_normal_numbers(name: str, dtype: str) -> None:
    found = drawing(name, 400_001, KEYS[0], dtype, 64)(512)
    assert_drawn(name, found, DRAWS[name][1](KEYS[0], 512, 400_001, dtype))


def executors(build: Callable[..., Any], *arrays: np.ndarray, runs: int = 3) -> list[list[Any]]:
    """What several runs of a graph give on the reference executor and natively."""
    made = []
    for executor in ("reference", "native"):
        with mg.Graph().as_default() as graph:
            mg.random.seed(7)
            inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
            fetches = build(*inputs)
        with mg.Session(graph=graph, executor=executor) as sess:
            sess.run(mg.global_variables_initializer())
            feeds = dict(zip(inputs, arrays, strict=True))
            made.append([sess.run(fetches, feeds) for _ in range(runs)])
    return made


def assert_agree(build: Callable[..., Any], *arrays: np.ndarray) -> None:
    """Runs agree to the last bit, and the first two differ."""
    expected, found = executors(lambda *x: [mg.convert_to_tensor(y) for y in build(*x)], *arrays)
    for a, b in zip(expected, found, strict=True):
        for one, other in zip(a, b, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(other, one)
    assert any((a != b).any() for a, b in zip(found[0], found[1], strict=True))


def array(*shape: int, dtype: str = "float32") -> np.ndarray:
    made = np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)
    made.reshape(-1)[:3] = (np.inf, np.nan, -0.0)[: made.size]
    return made


def with_gradient(y: Any, x: Any) -> list[Any]:
    return [y, mg.gradients(y * y, x)[0]]


@pytest.mark.parametrize("shape", [(4, 3), (70, 33), (3000, 1), (1, 5000), (17, 6, 64), (9,)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout(shape: tuple[int, ...], dtype: str) -> None:
    assert_agree(lambda x: with_gradient(nn.dropout(x, 0.3), x), array(*shape, dtype=dtype))


def test_dropout_with_what_stands_beside_it() -> None:
    x, bias = array(130, 40), array(40)

    def biased(x: Any, bias: Any) -> list[Any]:
        return with_gradient(nn.dropout(nn.relu(x + bias), 0.25), bias)

    assert_agree(lambda x, b: [nn.dropout(nn.relu(x + b), 0.25)], x, bias)
    assert_agree(lambda x: [nn.dropout(x, 0.25, noise_shape=(130, 1))], x)
    assert_agree(lambda x: [nn.dropout(x, 0.25), nn.dropout(x, 0.5)], x)
    assert_agree(lambda x: [nn.dropout(x.T, 0.25)], x)
    assert_agree(lambda x: [nn.dropout(x[:, ::2] * x[:, :1], 0.25)], x)
    for a, b in zip(*executors(biased, x, bias), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_allclose(a[1], b[1], rtol=1e-5)


def test_uniform_numbers_that_are_fetched_too() -> None:
    def build(x: Any) -> list[Any]:
        u = mg.random.uniform((130, 40))
        return [u, mg.where(u < x, u, 2.0), u < x]

    assert_agree(build, array(130, 40))
    assert_agree(lambda x: [mg.random.uniform((3, 4), -1, 1) + x, mg.random.uniform(())], array(1))
    assert_agree(lambda x: [mg.random.bernoulli(0.3, (50, 90), dtype="bool")], array(1))
    assert_agree(lambda x: [mg.astype(mg.random.uniform((50, 9)) * x, "float64")], array(50, 1))
    assert_agree(lambda x: [mg.astype(mg.random.uniform((50, 9)) * 200, "int8")], array(1))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    ranges = [(0, 1), (0, 10), (-7, 250), (info.min, int(info.max) + 1), (info.min, info.max)]
    ranges += [(0, 2**31 - 1), (-(2**31), -(2**31) + 3)]

    def build(x: Any) -> list[Any]:
        made = [mg.random.integers(*r, (257,), dtype=dtype) for r in ranges]
        bits = mg.random.integers(0, 1000, (50, 90), dtype=dtype)
        return [*made, bits * 2 + 1, mg.where(bits > 500, x, 0.0)]

    assert_agree(build, array(50, 90))
    assert_agree(lambda n: [mg.random.integers(0, n, (9, 5), dtype=dtype)], np.array(77, dtype))


def test_normal_numbers_in_a_graph() -> None:
    def build() -> list[Any]:
        made = [mg.random.normal((50, 70), 1.0, 2.0), mg.random.truncated_normal((9, 5000))]
        return [*made, mg.random.normal(11, dtype="float64"), mg.random.normal((3, 0))]

    for a, b in zip(*executors(build), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6 if one.dtype == np.float32 else 1e-15)


def test_the_draw_is_one_kernel_with_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (64, 128))
        y = nn.dropout(mg.matmul(nn.dropout(x, 0.1), mg.ones((128, 32))), 0.5)
    with mg.Session(graph=graph):
        mg.explain([y])
    told = capsys.readouterr().out
    assert told.count("NumPy's kernel") == told.count("call RandomReserve") == 2
    assert told.count("kernel random_uniform, finished by") == 2
    assert told.rindex("call RandomReserve") < told.index("kernel random_uniform")


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_failed_run_consumes_nothing(executor: str) -> None:
    """The check fails natively; the reference executor draws the same and raises."""
    with mg.Graph().as_default() as graph:
        mg.random.seed(3)
        generator = mg.random.Generator(seed=5)
        i = mg.placeholder("int64", (2,))
        a = mg.random.uniform((2, 300), generator=generator)
        b = mg.gather(mg.random.normal((4, 2), generator=generator), i)
        c = mg.random.uniform(5, generator=generator)
    with mg.Session(graph=graph, executor=executor) as sess:
        first = sess.run([a, b, c], {i: [0, 3]})
        for _ in range(2):
            with pytest.raises(IndexOutOfRangeError):
                sess.run([a, b, c], {i: [0, 4]})
        second = sess.run([a, b, c], {i: [0, 3]})
    key, counter = generator.key, 0
    for values in (first, second):
        np.testing.assert_array_equal(
            values[0].reshape(-1), random_kernels.uniform(key, counter, 600)
        )
        counter += random_kernels.blocks_reserved(600) + random_kernels.blocks_reserved(8)
        np.testing.assert_array_equal(values[2], random_kernels.uniform(key, counter, 5))
        counter += random_kernels.blocks_reserved(5)


def test_loops_and_draws_around_them_take_turns() -> None:
    """One generator serves a draw, a loop and a draw: in the order in which they are written."""

    def build() -> Any:
        generator = mg.random.Generator(seed=5)
        before = mg.random.uniform(3, generator=generator)

        def step(total: Any, _: Any) -> Any:
            drawn = mg.random.uniform(3, generator=generator)
            return total + drawn, drawn

        with mg.control_dependencies([before]):
            total, drawn = mg.scan(step, mg.zeros(3), mg.zeros(4))
        with mg.control_dependencies([total]):
            after = mg.random.uniform(3, generator=generator)
        return [before, total, drawn, after]

    expected, found = executors(build)
    for a, b in zip(expected, found, strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(other, one)


def test_every_number_of_threads_draws_the_same() -> None:
    x = array(700, 311)

    def build(x: Any) -> list[Any]:
        parts = [nn.dropout(x, 0.3), mg.random.normal((700, 311)), mg.random.truncated_normal(9999)]
        return [mg.convert_to_tensor(p) for p in parts]

    before = mg.get_num_threads()
    made = []
    try:
        for threads in (1, 2, 4):
            mg.set_num_threads(threads)
            made.append(executors(build, x)[1])
    finally:
        mg.set_num_threads(before)
    for other in made[1:]:
        for a, b in zip(made[0], other, strict=True):
            for one, two in zip(a, b, strict=True):
                np.testing.assert_array_equal(two, one)


def test_a_function_draws_what_eager_code_draws() -> None:
    def step(x: Any) -> Any:
        return nn.dropout(x, 0.4) + mg.random.uniform((33, 65))

    x = array(33, 65)
    mg.random.seed(11)
    try:
        generator = mg.random.Generator()
        drawn = [mg.random.uniform((33, 65), generator=generator).numpy() for _ in range(3)]
        mg.random.seed(11)
        compiled_step = mg.function(lambda: mg.random.uniform((33, 65)) * 1.0)
        for expected in drawn:
            np.testing.assert_array_equal(compiled_step().numpy(), expected)
        mg.random.seed(12)
        once = mg.function(lambda x: nn.dropout(x, 0.5, seed=3))
        for _ in range(2):
            np.testing.assert_array_equal(once(x).numpy(), nn.dropout(x, 0.5, seed=3).numpy())
        assert mg.function(step)(x).shape == (33, 65)
    finally:
        mg.random.seed(None)

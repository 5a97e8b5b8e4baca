"""Compiled plans give the same, bit for bit, in every run and on any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim

pytest.importorskip("llvmlite")

Build = Callable[..., Any]


def normal(*shape: int, dtype: str = "float32", scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(abs(hash(shape)) % 1000)
    return (rng.normal(size=shape) * scale).astype(dtype)


def slopes(build: Build) -> Build:
    """What `build` makes, and the gradients of its sum by all inputs."""

    def both(*inputs: Any) -> Any:
        made = build(*inputs)
        return [made, *map(mg.convert_to_tensor, mg.gradients(mg.sum(made * made), list(inputs)))]

    return both


def lstm(x: Any, weight: Any, recurrent: Any) -> Any:
    zeros = mg.zeros((16, 24))

    def step(state: Any, row: Any) -> Any:
        state = nn.lstm_cell(row, state, weight, recurrent)
        return state, state[0]

    return mg.scan(step, (zeros, zeros), x)[1]


#: By name, what is computed and what it is fed: every kind of kernel, large enough for threads.
CASES: dict[str, tuple[Build, list[np.ndarray]]] = {
    "long sums": (
        lambda x: [mg.sum(x), mg.mean(x * x), mg.max(mg.sin(x)), mg.var(x)],
        [normal(1_000_003)],
    ),
    "a long sum in float64": (lambda x: mg.sum(x), [normal(300_007, dtype="float64")]),
    "column sums": (
        lambda x: [mg.sum(x, axis=0), mg.mean(mg.exp(x), axis=0), mg.std(x, axis=0)],
        [normal(5003, 97)],
    ),
    "sums of the middle axis": (lambda x: mg.sum(x * 0.3, axis=1), [normal(17, 301, 63)]),
    "rows": (
        slopes(lambda x: nn.softmax(x) + nn.log_softmax(x) + nn.layer_norm(x)),
        [normal(1003, 257)],
    ),
    "long rows": (lambda x: nn.softmax(x), [normal(3, 100_001)]),
    "elements": (lambda x: mg.tanh(x) * mg.erf(x) + mg.exp(-x * x), [normal(777, 1001)]),
    "cross entropy": (
        slopes(lambda x: nn.cross_entropy(x, np.arange(900) % 10)),
        [normal(900, 10)],
    ),
    "a large product": (slopes(mg.matmul), [normal(301, 403), normal(403, 257)]),
    "a skinny product": (slopes(mg.matmul), [normal(2048, 17), normal(17, 9)]),
    "a vector product": (slopes(mg.matmul), [normal(1500, 700), normal(700)]),
    "many small products": (slopes(mg.matmul), [normal(300, 15, 20), normal(300, 20, 13)]),
    "an inner product": (lambda x, y: mg.vecdot(x, y), [normal(50_001), normal(50_001)]),
    "a product in float64": (
        slopes(mg.matmul),
        [normal(130, 300, dtype="float64"), normal(300, 140, dtype="float64")],
    ),
    "a dense layer": (
        slopes(lambda x, w, b: nn.relu(x @ w + b)),
        [normal(256, 300), normal(300, 128), normal(128)],
    ),
    "convolution": (
        slopes(lambda x, k: nn.conv2d(x, k, padding="SAME")),
        [normal(8, 28, 28, 6), normal(5, 5, 6, 16)],
    ),
    "convolution with strides": (
        slopes(lambda x, k: nn.conv2d(x, k, stride=2)),
        [normal(4, 31, 30, 3), normal(3, 3, 3, 8)],
    ),
    "pooling": (
        slopes(lambda x: nn.max_pool2d(x, 2) + nn.avg_pool2d(x, 2)),
        [normal(16, 32, 30, 12)],
    ),
    "gathering": (
        slopes(lambda x: mg.take(x, np.arange(9000) * 7 % 500, axis=0)),
        [normal(500, 64)],
    ),
    "putting together": (
        slopes(lambda x: mg.concat([mg.pad(x, 3), mg.pad(x, 3)[:, ::-1]], axis=1)),
        [normal(400, 300)],
    ),
    "an LSTM": (
        slopes(lstm),
        [normal(20, 16, 12), normal(12, 96, scale=0.3), normal(24, 96, scale=0.3)],
    ),
    "attention": (
        slopes(lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, causal=True)),
        [normal(4, 6, 50, 16), normal(4, 6, 50, 16), normal(4, 6, 50, 16)],
    ),
}


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


def bits(values: Any) -> list[bytes]:
    return [np.asarray(value).tobytes() for value in values]


@pytest.mark.parametrize("name", CASES)
def test_results_are_the_same_in_every_run(name: str, threads: Callable[[int], None]) -> None:
    build, arrays = CASES[name]
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
    fetches = list(made) if isinstance(made, list) else [made]
    threads(2)
    with mg.Session(graph, executor="native") as session:
        call = session.make_callable(fetches, inputs)
        first = bits(call(*arrays))
        # The plan is compiled better by and by.
        for count in (2, 1, 2, 4, 1, 3):
            threads(count)
            assert bits(call(*arrays)) == first, f"with {count} threads"
        assert session.stats()["unplanned"] == 0
    threads(1)
    with mg.Session(graph, executor="native") as session:
        assert bits(session.run(fetches, dict(zip(inputs, arrays, strict=True)))) == first


def test_training_is_the_same_on_any_number_of_threads(threads: Callable[[int], None]) -> None:
    x, y = normal(128, 20), np.arange(128) % 7
    weights = [normal(20, 64, scale=0.2), normal(64, scale=0.1), normal(64, 7, scale=0.2)]
    found = []
    for count in (1, 2, 4):
        threads(count)
        with mg.Graph().as_default(), mg.Session(executor="native") as session:
            variables = [mg.Variable(w) for w in weights]
            hidden = mg.tanh(x @ variables[0] + variables[1])
            loss = nn.cross_entropy(hidden @ variables[2], y)
            train = optim.Adam(0.01).minimize(loss)
            session.run(mg.global_variables_initializer())
            losses = [session.run([loss, train])[0] for _ in range(30)]
            found.append(bits([*losses, *session.run(variables)]))
    assert found[0] == found[1] == found[2]
    assert losses[-1] < losses[0]

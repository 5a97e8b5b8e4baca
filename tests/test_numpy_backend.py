"""Programs prepared for NumPy give what the reference executor gives, on any array and thread."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plan_runs import FAST, Case, assert_runs_agree, assert_same

import minigrad as mg
import minigrad.nn
import minigrad.optim
from minigrad.compile.builder import Builder
from minigrad.compile.kernels import Repeat
from minigrad.compile.numpy_backend import NumpyCode, blocks, halves, places
from minigrad.compile.program import Operand, Program
from minigrad.compile.rewrite import rewrite
from minigrad.core.registry import REGISTRY
from minigrad.core.state import Transaction
from minigrad.errors import MinigradError
from minigrad.gradcheck.contracts import Lazy, is_differentiated
from minigrad.gradcheck.samples import calls

PRIMITIVES = sorted(REGISTRY.values(), key=lambda p: p.op)


@pytest.fixture(params=["as it is", "in blocks, nothing staged"])
def sizes(request, monkeypatch):
    """Run also with small arrays treated like large ones."""
    if request.param != "as it is":
        monkeypatch.setattr(blocks, "LARGE_BYTES", 0)
        monkeypatch.setattr("minigrad.compile.numpy_backend.emitting.LARGE_BYTES", 0)
        monkeypatch.setattr(blocks, "BLOCK_BYTES", (64, 64))
        monkeypatch.setattr(places, "SMALL_BYTES", 16)
        monkeypatch.setattr("minigrad.compile.numpy_backend.emitting.SMALL_BYTES", 16)


def prepared(program: Program) -> Any:
    return NumpyCode(rewrite(program)).run


@pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)
def test_every_primitive_on_its_samples(primitive, sizes):
    for sample, call in calls(primitive):
        lazy = Lazy(call, lambda a: a.shape)
        session = mg.Session(graph=lazy.graph)
        session.run(lazy._initializers)
        fetches = list(lazy.outputs)
        if is_differentiated(primitive, sample, call):
            with lazy.graph.as_default():
                found = mg.gradients(
                    [t for t in lazy.outputs if t.dtype.is_floating],
                    [lazy.inputs[i] for i in call.free],
                    unconnected="zero",
                )
            fetches += [g.dense() if isinstance(g, mg.IndexedSlices) else g for g in found]
        assert_runs_agree(Case(lazy.graph, fetches, lazy.feeds, session), prepared)


def made(build: Callable[..., Any], *arrays: np.ndarray) -> NumpyCode:
    """The code of what is built from feeds like these arrays."""
    program = Program()
    builder = Builder(program)
    program.feeds = [Operand(a.shape, a.dtype.newbyteorder("=")) for a in arrays]
    outputs = build(builder, *program.feeds)
    program.fetches = list(outputs) if isinstance(outputs, tuple) else [outputs]
    return NumpyCode(program)


def run(code: NumpyCode, *arrays: np.ndarray) -> list[np.ndarray]:
    return code.run(arrays, {}, Transaction([]), FAST)[0]


# -- arrays of all kinds -----------------------------------------------------------------------

LARGE = (300, 1000)


@pytest.mark.parametrize("shape", [(3, 4), LARGE])
def test_feeds_of_every_layout_stay_as_they_are(shape):
    rng = np.random.default_rng(0)
    plain = rng.normal(size=shape)
    frozen = plain.copy()
    frozen.setflags(write=False)
    wide = np.repeat(plain, 2, axis=1)
    odd = np.zeros(plain.nbytes + 1, np.uint8)[1:].view(plain.dtype).reshape(shape)
    odd[...] = plain
    kinds = [plain, frozen, wide[:, ::2], np.asfortranarray(plain), plain.astype(">f8"), odd]
    code = made(lambda b, x: (b.map("Exp", b.map("Neg", x)), b.map("Neg", x), x), plain)
    for kind in kinds:
        before = kind.copy()
        results = run(code, kind)
        expected = [np.exp(-plain), -plain, plain]
        for a, b in zip(expected, results, strict=True):
            assert_same(a, b)
        np.testing.assert_array_equal(kind, before)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1)])
def test_arrays_without_dimensions_or_elements(shape, sizes):
    x = np.ones(shape)
    code = made(
        lambda b, x: (b.map("Exp", x), b.reduce("sum", x), b.map("Mul", b.map("Neg", x), x)), x
    )
    for a, b in zip([np.exp(x), x.sum(), -x * x], run(code, x), strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("size", [4, 10_000])
def test_what_is_fetched_belongs_to_the_caller(size):
    x = np.ones(size)
    code = made(lambda b, x: (x, x, b.map("Neg", x), b.reshape(x, (size, 1)), b.map("Neg", x)), x)
    first, second = run(code, x), run(code, x)
    frames = [a for frame in code._frames for a in frame.arrays if isinstance(a, np.ndarray)]
    results = first + second
    for i, a in enumerate(results):
        assert a.flags.writeable
        for b in [x, *frames, *results[i + 1 :]]:
            assert not np.shares_memory(a, b)
    first[0][:] = 7
    assert x[0] == 1 and run(code, x)[0][0] == 1


def test_results_of_kernels_belong_to_the_caller():
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("complex128", (5000,))
        parts = [mg.real(x), mg.imag(x), mg.conj(x), mg.cumulative_sum(x)]
        v = mg.Variable(np.zeros(5000))
        kept = mg.assign_moving_average(v, mg.real(x), 0.5)
        later = kept * 2.0
    session = mg.Session(graph=graph)
    session.run(v.initializer)
    values = np.arange(5000) * (1 + 1j)
    case = Case(graph, [*parts, kept, later], {x: values}, session)
    program = case.program()
    run = prepared(program)
    fetched, staged = case.run(program, run)
    everything = [values, *fetched, *staged.values(), session.value_of(v)]
    for i, a in enumerate(everything):
        for b in everything[i + 1 :]:
            assert not np.shares_memory(a, b)
    assert_same(values.real / 2, staged[v.cell.key])
    assert_same(values.real, fetched[-1])


def test_memory_of_dropped_results_is_used_again():
    x = np.ones((300, 1000))
    code = made(lambda b, x: b.map("Neg", b.map("Exp", x)), x)
    first = run(code, x)[0]
    address = first.ctypes.data
    second = run(code, x)[0]
    assert not np.shares_memory(first, second)
    del first
    assert run(code, x)[0].ctypes.data == address


def test_nothing_is_kept_of_a_run():
    code = made(lambda b, x: (b.map("Neg", x), b.map("Exp", x)), np.ones(5000))
    run(code, np.ones(5000))
    (frame,) = code._frames
    for at, slot in enumerate(code._places.slots):
        assert slot.fixed or frame.arrays[at] is None


# -- blocks ------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
ROWS = RNG.normal(size=(257, 1003))
CUBE = RNG.normal(size=(7, 61, 211))


def softmax(b: Builder, x: Operand) -> Operand:
    e = b.map("Exp", b.map("Sub", x, b.reduce("max", x, [x.rank - 1], True)))
    return b.map("RealDiv", e, b.reduce("sum", e, [x.rank - 1], True))


def numpy_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


BLOCKED = [
    (lambda b, x: b.map("Mul", b.map("Exp", x), x), np.exp(ROWS) * ROWS, ROWS),
    (lambda b, x: softmax(b, x), numpy_softmax(ROWS), ROWS),
    (lambda b, x: softmax(b, x), numpy_softmax(CUBE), CUBE),
    (
        lambda b, x: b.reduce("sum", b.map("Square", b.map("Sin", x))),
        (np.sin(ROWS) ** 2).sum(),
        ROWS,
    ),
    (lambda b, x: b.reduce("max", b.map("Abs", b.map("Neg", x)), [0]), np.abs(ROWS).max(0), ROWS),
    (
        lambda b, x: b.map("Add", b.map("Exp", x), b.slice(x, (0, 0), (1, 1), (1, 1003))),
        np.exp(ROWS) + ROWS[:1],
        ROWS,
    ),
    (
        lambda b, x: b.map("Sigmoid", b.map("Mul", b.swap_last(x), b.swap_last(x))),
        1 / (1 + np.exp(-(ROWS.T**2))),
        ROWS,
    ),
    (
        lambda b, x: b.reduce("sum", b.map("Mul", softmax(b, x), b.constant(2.0)), [0]),
        2 * numpy_softmax(ROWS).sum(0),
        ROWS,
    ),
    (
        lambda b, x: b.map("Select", b.map("Less", b.map("Neg", x), 0.0), b.map("Exp", x), x),
        np.where(ROWS > 0, np.exp(ROWS), ROWS),
        ROWS,
    ),
    (
        lambda b, x: b.map("Lgamma", b.map("Abs", b.map("Lgamma", b.map("Square", x)))),
        None,
        ROWS[:40],
    ),
    (
        lambda b, x: b.map("Add", b.map("Exp", x), b.reshape(b.reduce("sum", x), (1, 1))),
        np.exp(ROWS) + ROWS.sum(),
        ROWS,
    ),
]


@pytest.mark.parametrize("number", range(len(BLOCKED)))
@pytest.mark.parametrize("block", [1 << 10, 1 << 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_large_arrays_in_blocks(number, block, threads, monkeypatch):
    build, expected, x = BLOCKED[number]
    monkeypatch.setattr(blocks, "BLOCK_BYTES", (block, block))
    monkeypatch.setattr(blocks, "SHARED_WORK", 0)
    monkeypatch.setattr("minigrad.threads._chosen", threads)
    code = made(build, x)
    (found,) = run(code, x)
    if expected is None:
        monkeypatch.setattr("minigrad.compile.numpy_backend.emitting.LARGE_BYTES", 1 << 40)
        (expected,) = run(made(build, x), x)
    assert_same(np.asarray(expected), found)


def test_results_serve_for_what_is_between_only_until_they_are_made():
    def build(b, x):
        one = b.map("Exp", b.map("Neg", x))
        two = b.map("Mul", b.map("Square", x), one)
        three = b.map("Sub", b.map("Add", two, x), b.map("Mul", one, one))
        return one, two, three

    code = made(build, ROWS)
    (blocked,) = [s.function.__self__ for s in code.steps if s.of_frame]
    assert len(blocked._stored) == 3 and len(blocked._scratch) <= 1
    one = np.exp(-ROWS)
    two = np.square(ROWS) * one
    for a, b in zip([one, two, two + ROWS - one * one], run(code, ROWS), strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("length", [100, 300, 1000, 9000])
def test_smaller_buffers_of_numpy_change_no_bit(length, monkeypatch):
    x = np.random.default_rng(0).normal(size=(400_000 // length, length))

    def build(b, x):
        y = b.map("Sub", x, b.reduce("max", x, [1], keepdims=True))
        return y, b.reduce("sum", y, [1]), b.map("Select", b.map("Less", x, 0.0), y, x)

    before = np.getbufsize()
    found = run(made(build, x), x)
    assert np.getbufsize() == before
    monkeypatch.setattr(blocks, "buffer_for", lambda length: 0)
    for a, b in zip(run(made(build, x), x), found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_blocks_are_used():
    code = made(BLOCKED[1][0], ROWS)
    assert any(step.of_frame for step in code.steps)


def test_specials_in_blocks_and_out_of_them():
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-310, 1e308, -1.0, 90.0, -800.0])
    x = np.tile(values, 10_000)

    def build(b, x):
        one = b.map("Select", b.map("Less", x, 0.0), b.map("Neg", x), b.constant(np.nan))
        two = b.map("Select", b.map("Less", x, 0.0), x, b.constant(0.0))
        three = b.map("Select", b.map("Less", x, 0.0), b.constant(0.0), x)
        return one, two, three, b.map("Sigmoid", x), b.map("Softplus", x), b.map("Relu", x)

    with np.errstate(all="ignore"):
        below = x < 0
        sigmoid = np.where(below, np.exp(x), 1) / (1 + np.exp(-np.abs(x)))
        expected = [
            np.where(below, -x, np.nan),
            np.where(below, x, 0.0),
            np.where(below, 0.0, x),
            np.where(np.isnan(x), np.nan, sigmoid),
            np.logaddexp(x, 0),
            np.maximum(x, 0),
        ]
    for size in (10, x.size):
        for a, b in zip(expected, run(made(build, x[:size]), x[:size]), strict=True):
            assert_same(a[:size], b)
    for a, b in zip(expected[:3], run(made(build, x), x), strict=False):
        np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


@pytest.mark.parametrize("shape", [(6, 5), (600, 500)])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_cross_entropy_with_look_ups(shape, dtype):
    rng = np.random.default_rng(2)
    logits = rng.normal(size=shape)
    logits[1] = [-np.inf] * (shape[1] - 1) + [3.0]
    labels = rng.integers(0, min(shape[1], 256), shape[0]).astype(dtype)
    labels[1] = min(shape[1] - 1, 255)
    logits[1, labels[1]] = 3.0
    with mg.Graph().as_default() as graph:
        x, t = mg.placeholder("float64", shape), mg.placeholder(dtype, shape[:1])
        loss = minigrad.nn.cross_entropy(x, t)
        (slope,) = mg.gradients(loss, [x])
    case = Case(graph, [loss, slope], {x: logits, t: labels})
    program = assert_runs_agree(case, prepared)
    assert program is not None
    assert program.notes["look-up in place of a sum"] == 1
    assert program.notes["difference at an index"] == 1


def test_a_label_out_of_range_asks_for_a_repetition():
    with mg.Graph().as_default() as graph:
        x, t = mg.placeholder("float64", (4, 3)), mg.placeholder("int64", (4,))
        loss = minigrad.nn.cross_entropy(x, t)
    case = Case(graph, [loss, *mg.gradients(loss, [x])], {x: np.ones((4, 3)), t: [0, 1, 3, 2]})
    program = case.program()
    with pytest.raises(Repeat):
        case.run(program, prepared(program))


# -- failures ----------------------------------------------------------------------------------


def test_an_error_names_the_node_and_leaves_the_code_usable():
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (2, 2))
        y = mg.linalg.inv(x * 2.0)
    case = Case(graph, [y], {x: np.zeros((2, 2))})
    with pytest.raises(MinigradError) as expected:
        case.reference()
    program = case.program()
    code = prepared(program)
    for _ in range(2):
        with pytest.raises(type(expected.value)) as found:
            case.run(program, code)
        assert str(found.value) == str(expected.value)
    case.feeds[x] = np.eye(2)
    assert_same(np.eye(2) / 2, case.run(program, code)[0][0])


def test_floating_point_errors_are_raised_where_they_are_asked_for():
    x = np.array([1.0, 0.0])
    code = made(lambda b, x: b.map("RealDiv", b.constant(1.0), x), x)
    assert run(code, x)[0].tolist() == [1.0, np.inf]
    with mg.errstate(divide="raise"), pytest.raises(Repeat):
        run(code, x)
    wide = np.zeros(100_000)
    code = made(lambda b, x: b.map("RealDiv", b.constant(1.0), b.map("Neg", x)), wide)
    with mg.errstate(divide="raise"), pytest.raises(Repeat):
        run(code, wide)


# -- state and threads -------------------------------------------------------------------------


def test_training_steps():
    with mg.Graph().as_default() as graph:
        x, t = mg.placeholder("float32", (32, 20)), mg.placeholder("int64", (32,))
        network = minigrad.nn.Sequential(
            minigrad.nn.Linear(20, 40), minigrad.nn.ReLU(), minigrad.nn.Linear(40, 5)
        )
        loss = minigrad.nn.cross_entropy(network(x), t)
        step = minigrad.optim.Adam(0.01).minimize(loss)
    session = mg.Session(graph=graph)
    with graph.as_default():
        session.run(mg.global_variables_initializer())
    rng = np.random.default_rng(3)
    feeds = {x: rng.normal(size=(32, 20)).astype("float32"), t: rng.integers(0, 5, 32)}
    program = assert_runs_agree(Case(graph, [loss, step], feeds, session), prepared)
    assert program is not None and program.writes


def test_draws_are_those_of_the_reference():
    with mg.Graph().as_default() as graph:
        mg.random.seed(5)
        drawn = mg.random.normal((100,)) * 2.0
    assert_runs_agree(Case(graph, [drawn], {}), prepared)


@pytest.mark.parametrize("size", [50, 50_000])
def test_many_threads_run_one_code(size):
    def build(b, x):
        y = b.map("Mul", b.map("Tanh", x), b.map("Exp", b.map("Neg", x)))
        return y, b.reduce("sum", y)

    code = made(build, np.ones(size))
    wrong = []

    def work(seed: int) -> None:
        for i in range(30):
            x = np.random.default_rng([seed, i]).normal(size=size)
            y, total = run(code, x)
            expected = np.tanh(x) * np.exp(-x)
            if not (np.allclose(y, expected) and np.isclose(total, expected.sum())):
                wrong.append((seed, i))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert 1 <= len(code._frames) <= 6


def test_runs_are_the_same_to_the_last_bit_on_one_thread_or_two(monkeypatch):
    monkeypatch.setattr(blocks, "SHARED_WORK", 0)
    code = made(lambda b, x: b.reduce("sum", b.map("Exp", b.map("Sin", x))), ROWS)
    found = set()
    for threads in (1, 2, 4):
        monkeypatch.setattr("minigrad.threads._chosen", threads)
        found |= {run(code, ROWS)[0].tobytes() for _ in range(5)}
    assert len(found) == 1


def test_an_interrupted_run_waits_for_the_second_thread(monkeypatch):
    monkeypatch.setattr("minigrad.threads._chosen", 2)
    begun, done = threading.Event(), []
    pieces = collections.deque(range(10))

    def first():
        begun.wait(10)
        raise KeyboardInterrupt

    def second():
        while pieces:
            pieces.popleft()
            begun.set()
            time.sleep(0.2)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        halves.shared(pieces, first, second)
    assert done == [True] and not pieces
    with pytest.raises(ZeroDivisionError):
        halves.shared(pieces, lambda: time.sleep(0.1), lambda: 1 // 0)
    finished = []
    halves.shared(pieces, lambda: finished.append(True), lambda: None)
    assert finished == [True]


def test_the_second_thread_has_the_policy_for_floating_point_errors(monkeypatch):
    monkeypatch.setattr(blocks, "SHARED_WORK", 0)
    monkeypatch.setattr("minigrad.threads._chosen", 2)
    x = np.ones((300, 1000))
    x[-1, -1] = 0
    code = made(lambda b, x: b.map("Neg", b.map("RealDiv", b.constant(1.0), x)), x)
    assert run(code, x)[0][-1, -1] == -np.inf
    with mg.errstate(divide="raise"), pytest.raises(Repeat):
        run(code, x)

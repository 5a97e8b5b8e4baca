"""Programs, run as they are written, give what the reference executor gives."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from plan_runs import FAST, Case, assert_runs_agree, assert_same

import minigrad as mg
import minigrad.nn
import minigrad.optim
from minigrad.compile.builder import Builder
from minigrad.compile.interpret import Repeat, interpret
from minigrad.compile.program import Instruction, Operand, Program
from minigrad.core.registry import REGISTRY
from minigrad.core.state import Transaction
from minigrad.errors import MinigradError
from minigrad.gradcheck.contracts import Lazy
from minigrad.gradcheck.samples import calls, describe

PRIMITIVES = sorted(REGISTRY.values(), key=lambda p: p.op)


@pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)
def test_every_primitive_on_its_samples(primitive):
    for sample, call in calls(primitive):
        lazy = Lazy(call, lambda a: a.shape)
        session = mg.Session(graph=lazy.graph)
        session.run(lazy._initializers)
        for feeds in ({}, lazy.feeds):
            if not feeds and lazy.inputs:
                continue
            print(describe(sample))
            assert_runs_agree(Case(lazy.graph, lazy.outputs, feeds, session))


def made(build, *arrays):
    """The fetched arrays of a program of feeds like these arrays."""
    program = Program()
    builder = Builder(program)
    program.feeds = [Operand(a.shape, a.dtype) for a in arrays]
    outputs = build(builder, *program.feeds)
    program.fetches = list(outputs) if isinstance(outputs, tuple) else [outputs]
    return interpret(program, arrays, {}, Transaction([]), FAST)[0]


X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda b, x: b.transpose(x, (2, 0, 1)), X.transpose(2, 0, 1)),
        (lambda b, x: b.reshape(b.transpose(x, (0, 2, 1)), (8, 3)), X.swapaxes(1, 2).reshape(8, 3)),
        (lambda b, x: b.slice(x, (1, 2, 3), (-1, -1, -2), (2, 2, 2)), X[::-1, 2:0:-1, 3:0:-2]),
        (lambda b, x: b.slice(x, (0, 3, 0), (1, 1, 1), (2, 0, 4)), X[:, 3:]),
        (lambda b, x: b.broadcast(b.slice(x, (1, 0, 0), (1, 1, 1), (1, 3, 1)), (5, 3, 4)),
         np.broadcast_to(X[1:, :, :1], (5, 3, 4))),
        (lambda b, x: b.reduce("sum", x, (0, 2)), X.sum((0, 2))),
        (lambda b, x: b.reduce("max", x, (1,), keepdims=True), X.max(1, keepdims=True)),
        (lambda b, x: b.reduce("prod", x), X.prod()),
        (lambda b, x: b.map("Mul", b.swap_last(x), 2.0), X.swapaxes(1, 2) * 2),
        (lambda b, x: b.product(x, b.swap_last(x)), X @ X.swapaxes(1, 2)),
        (lambda b, x: b.product(b.reshape(x, (6, 4)), b.transpose(b.reshape(x, (6, 4)), (1, 0))),
         X.reshape(6, 4) @ X.reshape(6, 4).T),
        (lambda b, x: b.copy(b.slice(x, (0, 0, 1), (1, 1, 2), (2, 3, 2))), X[:, :, 1::2]),
        (lambda b, x: b.full((2, 2), 7, "int32"), np.full((2, 2), 7, "int32")),
        (lambda b, x: b.cast(x, np.dtype("float32")), X.astype("float32")),
    ],
)  # fmt: skip
def test_views_reductions_and_products(build, expected):
    (found,) = made(build, X)
    assert_same(expected, found)
    assert found.flags.c_contiguous and found.flags.owndata


def test_views_of_text():
    text = np.array([["a", "b", "c"], ["d", "e", "f"]], object)
    (found,) = made(lambda b, x: b.transpose(b.slice(x, (0, 1), (1, 1), (2, 2)), (1, 0)), text)
    assert found.tolist() == text[:, 1:].T.tolist()


def test_feeds_of_every_layout():
    wide = np.arange(12.0).reshape(2, 6)[:, ::2]
    frozen = np.arange(6.0).reshape(2, 3)
    frozen.setflags(write=False)
    swapped = np.arange(6.0).reshape(2, 3).astype(">f8")
    for array in (wide, frozen, swapped, np.asfortranarray(frozen)):
        program = Program()
        program.feeds = [Operand((2, 3), np.dtype("float64"))]
        builder = Builder(program)
        program.fetches = [builder.map("Neg", builder.swap_last(program.feeds[0]))]
        ((found,), _) = interpret(program, [array], {}, Transaction([]), FAST)
        np.testing.assert_array_equal(found, -array.T)


def test_what_is_fetched_is_the_callers_own():
    x = np.ones(3)
    first, second, third = made(lambda b, x: (x, x, b.reshape(x, (3, 1))), x)
    arrays = [x, first, second, third]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


def test_a_failed_check_asks_for_a_repetition():
    program = Program()
    x = Operand((3,), np.dtype(bool))
    program.feeds = [x]
    program.instructions.append(Instruction("check", "check", [x], [], {}))
    run = lambda values: interpret(program, [np.array(values)], {}, Transaction([]), FAST)  # noqa: E731
    assert run([True] * 3) == ([], {})
    with pytest.raises(Repeat):
        run([True, False, True])


def test_an_error_names_the_node():
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (2, 2))
        y = mg.linalg.inv(x)
    case = Case(graph, [y], {x: np.zeros((2, 2))})
    with pytest.raises(MinigradError) as expected:
        case.reference()
    program = case.program()
    with pytest.raises(type(expected.value)) as found:
        case.run(program, lambda *args: interpret(program, *args))
    assert str(found.value) == str(expected.value)


def test_assignments_and_reads():
    with mg.Graph().as_default() as graph:
        v = mg.Variable(np.arange(3.0))
        before = v * 2.0
        step = v.assign_add([1.0, 1.0, 1.0])
        with mg.control_dependencies([step]):
            after = v.read() * 2.0
    session = mg.Session(graph=graph)
    session.run(v.initializer)
    program = assert_runs_agree(Case(graph, [before, after], {}, session))
    assert program is not None and list(program.writes) == [v.cell.key]
    assert session.value_of(v).tolist() == [0.0, 1.0, 2.0]


def test_many_threads_may_run_one_program():
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (50,))
        y = mg.sum(mg.tanh(x) * x)
    case = Case(graph, [y], {x: np.linspace(-1, 1, 50)})
    program = case.program()
    expected = float(case.reference()[0][0])
    found = []

    def work():
        for _ in range(20):
            ((value,), _) = case.run(program, lambda *args: interpret(program, *args))
            found.append(float(value))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == pytest.approx([expected] * 80)

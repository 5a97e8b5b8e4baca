"""Random graphs: eager code, sessions, and loaded graphs agree, in values and in gradients."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn

Shape: TypeAlias = tuple[int, ...]
#: Choose an op, then what it takes: positions in the list of values so far.
Step: TypeAlias = tuple[str, tuple[int, ...]]
Program: TypeAlias = tuple[Step, ...]

SIZES = st.sampled_from([1, 2, 3])
MOST_ELEMENTS = 100
#: None is the default one; native code takes long to compile, so it does not come every time.
EXECUTORS = st.sampled_from(["numpy", "numpy", "numpy", None])

#: Every op here is smooth near random numbers, or has a kink where they do not lie.
UNARY: dict[str, Callable[[Any], Any]] = {
    "abs": mg.abs,
    "astype": lambda x: mg.astype(mg.astype(x, "float64"), mg.float64),
    "atan": mg.atan,
    "broadcast_to": lambda x: mg.broadcast_to(x, mg.concat([[2], mg.shape(x)])),
    "checkpoint": mg.checkpoint(lambda x: mg.tanh(x) * mg.sin(x)),
    "clip": lambda x: mg.clip(x, -0.61, 0.63),
    "concat": lambda x: mg.concat([x[None], mg.sin(x)[None]], axis=0),
    "constant": lambda x: x * mg.constant(0.75, dtype="float64") + 1.0,
    "cumulative_sum": lambda x: mg.cumulative_sum(mg.reshape(x, -1)),
    "dynamic slice": lambda x: mg.reshape(x, -1)[: (mg.size(x) + 1) // 2],
    "erf": mg.erf,
    "exp": lambda x: mg.exp(-x * x),
    "expand_dims": lambda x: mg.expand_dims(x, axis=-1),
    "flip": mg.flip,
    "flatten": lambda x: mg.reshape(x, (-1,)),
    "log1p": lambda x: mg.log1p(x * x),
    "logsumexp": lambda x: mg.logsumexp(x, keepdims=True),
    "max": lambda x: mg.max(x[..., None], axis=(-1, -2)) if x.ndim else mg.max(x),
    "mean": lambda x: x - mg.mean(x),
    "newaxis": lambda x: x[..., None, :] if x.ndim else x[None],
    "permute_dims": mg.permute_dims,
    "prod": lambda x: mg.prod(x[..., None], axis=-1) * mg.prod(mg.tanh(x)),
    "relu": nn.relu,
    "roll": lambda x: mg.roll(x, 1),
    "sigmoid": mg.sigmoid,
    "size": lambda x: x / mg.astype(mg.size(x), "float64"),
    "softmax": lambda x: nn.softmax(x[None], axis=-1),
    "softplus": mg.softplus,
    "sort": lambda x: mg.sort(mg.reshape(x, -1), descending=True),
    "sqrt": lambda x: mg.sqrt(x * x + 0.5),
    "stack": lambda x: mg.stack([x, x * 2.0], axis=-1),
    "std": lambda x: x + mg.std(mg.reshape(mg.stack([x, mg.sin(x) + 2.0]), -1)),
    "stop_gradient": lambda x: x * mg.stop_gradient(mg.cos(x)) + mg.stop_gradient(x),
    "sum": lambda x: mg.sum(x, axis=-1, keepdims=True) if x.ndim else x,
    "sum all": mg.sum,
    "take": lambda x: mg.take(mg.reshape(x, -1), [0, -1, 0]),
    "tanh": mg.tanh,
    "tile": lambda x: mg.tile(mg.reshape(x, -1), 2),
    "where": lambda x: mg.where(x > 0.17, x * x, mg.sin(x)),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "divide": lambda a, b: a / (b * b + 1.0),
    "logaddexp": mg.logaddexp,
    "maximum": mg.maximum,
    "minimum": lambda a, b: mg.minimum(a, mg.cos(b)),
    "multiply": lambda a, b: a * b,
    "sub": lambda a, b: 2.0 - a - b,
    "where": lambda a, b: mg.where(a < b, mg.sin(a), b),
}
#: These take any two values, whatever their shapes.
PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "concat flat": lambda a, b: mg.concat([mg.reshape(a, -1), mg.reshape(b, -1)]),
    "outer": lambda a, b: mg.outer(mg.reshape(a, -1), mg.reshape(b, -1)),
    "matmul": lambda a, b: mg.matmul(mg.reshape(a, (-1, 1)), mg.reshape(b, (1, -1))),
    "einsum": lambda a, b: mg.einsum("i,j->ji", mg.reshape(a, -1), mg.reshape(b, -1)),
    "vecdot": lambda a, b: mg.vecdot(mg.reshape(a, -1), mg.reshape(a, -1)) * mg.mean(b),
}
OPS: dict[str, Callable[..., Any]] = {
    **{f"1 {name}": op for name, op in UNARY.items()},
    **{f"2 {name}": op for name, op in BINARY.items()},
    **{f"any 2 {name}": op for name, op in PAIRS.items()},
}


def _broadcast(a: Shape, b: Shape) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, list[np.ndarray]]:
    """A program, grown step by step, and arrays for its inputs."""
    shapes = draw(st.lists(st.lists(SIZES, max_size=3).map(tuple), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arrays = [rng.normal(size=shape) for shape in shapes]
    values: list[mg.Tensor] = [mg.asarray(array) for array in arrays]
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["1", "1", "2", "any 2"]))
        first = draw(st.integers(0, len(values) - 1))
        operands: tuple[int, ...] = (first,)
        if kind == "2":
            fit = [i for i, v in enumerate(values) if _broadcast(v.shape, values[first].shape)]
            operands = (first, draw(st.sampled_from(fit)))
        elif kind == "any 2":
            operands = (first, draw(st.integers(0, len(values) - 1)))
        name = draw(st.sampled_from([n for n in OPS if n.startswith(f"{kind} ")]))
        made = OPS[name](*(values[i] for i in operands))
        if made.size > MOST_ELEMENTS:
            continue
        steps.append((name, operands))
        values.append(made)
        if np.abs(made.numpy()).max() > 3.0:  # Keep away from where everything is saturated.
            steps.append(("1 tanh", (len(values) - 1,)))
            values.append(mg.tanh(made))
    return tuple(steps), arrays


def replay(program: Program, inputs: Sequence[Any]) -> Any:
    """The program's loss, which every value has a part in; `inputs` may be symbolic."""
    values = list(inputs)
    for name, operands in program:
        values.append(OPS[name](*(values[i] for i in operands)))
    terms = [mg.mean(mg.square(v - 0.25)) * (0.5 + 0.125 * i) for i, v in enumerate(values)]
    return mg.add_n(terms)


def eagerly(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Loss, and its gradients by the inputs."""
    inputs = [mg.asarray(a) for a in arrays]
    with mg.GradientTape() as tape:
        for x in inputs:
            tape.watch(x)
        loss = replay(program, inputs)
    return [np.asarray(t) for t in (loss, *tape.gradient(loss, inputs))]


def hidden(draw: st.DrawFn, shape: Shape) -> tuple[int | None, ...]:
    """The shape, of which some dimensions are unknown."""
    return tuple(draw(st.sampled_from([n, None])) for n in shape)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Program, list[np.ndarray], list[tuple[int | None, ...]]]:
    program, arrays = draw(programs())
    return program, arrays, [hidden(draw, a.shape) for a in arrays]


@settings(max_examples=150)
@given(cases(), EXECUTORS)
def test_a_session_gives_what_eager_code_gives(
    case: tuple[Program, list[np.ndarray], list[tuple[int | None, ...]]], executor: Any
) -> None:
    program, arrays, static = case
    expected = eagerly(program, arrays)

    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder("float64", shape, name="x") for shape in static]
        loss = replay(program, inputs)
        fetches = [loss, *mg.gradients(loss, inputs)]
    for symbolic, value in zip(fetches, expected, strict=True):
        assert symbolic.dtype is mg.float64
        assert symbolic.ndim == value.ndim
        assert all(m in (None, n) for m, n in zip(symbolic.shape, value.shape, strict=True))
    with mg.Session(graph=graph, executor=executor) as session:
        got = session.run(fetches, dict(zip(inputs, arrays, strict=True)))
        called = session.make_callable(fetches, inputs)(*arrays)
    with mg.Session(graph=graph, executor="reference") as session:
        oracle = session.run(fetches, dict(zip(inputs, arrays, strict=True)))

    loaded = mg.Graph.from_dict(json.loads(json.dumps(graph.to_dict())))
    assert str(loaded).splitlines()[1:] == str(graph).splitlines()[1:]
    with mg.Session(graph=loaded, executor=executor) as session:
        feeds = {x.name: a for x, a in zip(inputs, arrays, strict=True)}
        twin = session.run([f.name for f in fetches], feeds)

    for g, c, t, o, e in zip(got, called, twin, oracle, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(o, g, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(c, g)
        np.testing.assert_array_equal(t, g)


def test_what_two_unknown_shapes_make_is_none_of_the_two() -> None:
    with mg.Graph().as_default() as graph:
        p, q = (mg.placeholder("float64", (None,)) for _ in range(2))
        product = q * (q + p)
        slopes = mg.gradients(product, [p, q])
    with mg.Session(graph=graph) as session:
        longer = session.run(slopes, {p: [1.0, 2.0], q: [3.0]})
        assert [s.tolist() for s in longer] == [[3.0, 3.0], [15.0]]
        shorter = session.run(slopes, {p: [1.0], q: [3.0, 4.0]})
        assert [s.tolist() for s in shorter] == [[7.0], [7.0, 9.0]]


@settings(max_examples=60)
@given(cases())
def test_tensors_that_share_a_spec_have_the_same_shape_in_every_run(
    case: tuple[Program, list[np.ndarray], list[tuple[int | None, ...]]],
) -> None:
    # The backward walk relies on it: where specs are one object, nothing is summed.
    program, arrays, static = case
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder("float64", shape, name="x") for shape in static]
        mg.gradients(replay(program, inputs), inputs)
    tensors = [tensor for op in graph.get_operations() for tensor in op.outputs]
    with mg.Session(graph=graph, executor="reference") as session:
        values = session.run(tensors, dict(zip(inputs, arrays, strict=True)))
    shapes: dict[int, Shape] = {}
    for tensor, value in zip(tensors, values, strict=True):
        assert shapes.setdefault(id(tensor.spec), np.shape(value)) == np.shape(value), tensor


@settings(max_examples=60)
@given(programs())
def test_every_gradient_is_that_of_central_differences(
    drawn: tuple[Program, list[np.ndarray]],
) -> None:
    program, arrays = drawn
    if any("stop_gradient" in name for name, _ in program):
        program = tuple((n.replace("stop_gradient", "tanh"), i) for n, i in program)
    report = mg.gradcheck(
        lambda *inputs: replay(program, inputs), *arrays, argnums=range(len(arrays))
    )
    assert report.relative_error < 1e-6, f"{program}\n{report}"


@settings(max_examples=60)
@given(programs())
def test_forward_and_backward_derivatives_agree(drawn: tuple[Program, list[np.ndarray]]) -> None:
    program, arrays = drawn
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=a.shape) for a in arrays]
    _, slope = mg.jvp(lambda *inputs: replay(program, inputs), arrays, directions)
    gradients = eagerly(program, arrays)[1:]
    expected = sum(float(np.vdot(g, d)) for g, d in zip(gradients, directions, strict=True))
    assert float(slope) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=60)
@given(programs(), st.data())
def test_values_may_be_fed_anywhere(
    drawn: tuple[Program, list[np.ndarray]], data: st.DataObject
) -> None:
    executor = data.draw(EXECUTORS)
    program, arrays = drawn
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder("float64", a.shape, name="x") for a in arrays]
        loss = replay(program, inputs)
    candidates = [
        tensor for op in graph.get_operations() for tensor in op.outputs if tensor is not loss
    ]
    inside = data.draw(st.sampled_from(candidates))
    feeds: dict[Any, Any] = dict(zip(inputs, arrays, strict=True))
    with mg.Session(graph=graph, executor=executor) as session:
        value, whole = session.run([inside, loss], feeds)
        again = session.run(loss, {**feeds, inside: value})
        # Other plans may round otherwise.
        np.testing.assert_allclose(again, whole, rtol=1e-12, atol=1e-14)


def test_operands_that_only_a_run_shows_to_be_stretched_get_gradients_of_their_shape() -> None:
    with mg.Graph().as_default() as graph:
        x, y = (mg.placeholder("float64", (None,)) for _ in range(2))
        total = mg.tanh(x + mg.sin(x + y))  # Statically all of this has the shape (?,).
        slopes = mg.gradients(total, [x, y])
    ours = mg.Session(graph=graph).run(slopes, {x: [0.3], y: [0.1, 0.2]})
    inner = 0.3 + np.array([0.1, 0.2])
    outer = 1 / np.cosh(0.3 + np.sin(inner)) ** 2
    np.testing.assert_allclose(ours[0], [np.sum(outer * (1 + np.cos(inner)))], rtol=1e-14)
    np.testing.assert_allclose(ours[1], outer * np.cos(inner), rtol=1e-14)

"""Recurrent cells and networks: recorded figures, numbers worked out by hand, both modes."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

TABLE = json.loads((Path(__file__).parent / "fixtures" / "recurrent.json").read_text("utf-8"))
SHARED = {name: np.array(value) for name, value in TABLE["shared"].items()}
HIDDEN = SHARED["h"].shape[-1]
KINDS: list[Any] = [nn.RNN, nn.GRU, nn.LSTM]


# -- recorded figures --------------------------------------------------------------------------


def flat_state(state: Any) -> list[Any]:
    return list(state) if isinstance(state, tuple) else [state]


def packed_state(kind: str, parts: list[Any]) -> Any:
    return tuple(parts) if kind == "LSTM" else parts[0]


def loaded(module: nn.Module, case: dict[str, Any]) -> nn.Module:
    values = {name: np.array(value) for name, value in case["parameters"].items()}
    module.load_state_dict(values)
    return module


def network(case: dict[str, Any], dtype: str) -> nn.Module:
    made = getattr(nn, case["class"])(
        None,
        HIDDEN,
        case["layers"],
        bidirectional=case["bidirectional"],
        dtype=dtype,
        **case["options"],
    )
    return loaded(made, case)


def operands(case: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The input and the parts of the initial state, by name."""
    count = case["layers"] * (2 if case["bidirectional"] else 1)
    parts = ["h", "c"] if case["class"] == "LSTM" else ["h"]
    given = {"x": SHARED["x"]}
    if case["initial_state"]:
        given |= {part: SHARED[part][:count] for part in parts}
    return {name: value.astype(dtype) for name, value in given.items()}


def network_loss(outputs: Any, finals: list[Any]) -> Any:
    a = SHARED["a"][..., : 2 * (2 if outputs.shape[-1] == 4 else 1)]
    count = finals[0].shape[0]
    loss = mg.sum(outputs * mg.astype(a, outputs.dtype))
    for part in finals:
        loss = loss + mg.sum(part * mg.astype(SHARED["b"][:count], part.dtype))
    return loss


def call(module: nn.Module, case: dict[str, Any], given: dict[str, Any], lengths: Any) -> Any:
    x, *parts = given.values()
    start = packed_state(case["class"], parts) if parts else None
    outputs, state = module(x, start, lengths=lengths)
    return outputs, flat_state(state)


def eagerly(module: nn.Module, case: dict[str, Any], dtype: str) -> Any:
    given = {name: mg.constant(value) for name, value in operands(case, dtype).items()}
    with mg.GradientTape() as tape:
        for t in given.values():
            tape.watch(t)
        outputs, finals = call(module, case, given, TABLE["lengths"] if case["lengths"] else None)
        loss = network_loss(outputs, finals)
    sources = {**given, **dict(module.named_parameters())}
    found = tape.gradient(loss, list(sources.values()))
    named = dict(zip(sources, [g.numpy() for g in found], strict=True))
    return outputs.numpy(), [part.numpy() for part in finals], named


def lazily(module: nn.Module, case: dict[str, Any], dtype: str) -> Any:
    """In a graph that knows neither the number of sequences nor that of steps."""
    values = operands(case, dtype)
    with mg.Graph().as_default(), mg.Session() as session:
        given = {
            name: mg.placeholder(dtype, (None, None, v.shape[2]), name=name)
            for name, v in values.items()
        }
        feeds = {given[name]: value for name, value in values.items()}
        lengths = None
        if case["lengths"]:
            lengths = mg.placeholder("int32", (None,), name="lengths")
            feeds[lengths] = np.array(TABLE["lengths"], np.int32)
        outputs, finals = call(module, case, given, lengths)
        wide = 2 * (2 if case["bidirectional"] else 1)
        assert outputs.shape == (None, None, wide)
        sources = {**given, **dict(module.named_parameters())}
        found = mg.gradients(network_loss(outputs, finals), list(sources.values()))
        y, state, gradients = session.run([outputs, finals, found], feeds)
    return y, state, dict(zip(sources, gradients, strict=True))


def compare(found: Any, expected: Any, tolerance: float) -> None:
    expected = np.array(expected)
    assert np.shape(found) == expected.shape
    assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", [eagerly, lazily])
@pytest.mark.parametrize("name", TABLE["cases"])
def test_networks_agree_with_recorded_figures(name: str, mode: Any, dtype: str) -> None:
    case = TABLE["cases"][name]
    module = network(case, dtype)
    outputs, finals, gradients = mode(module, case, dtype)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    assert outputs.dtype == dtype
    compare(outputs, case["outputs"], tolerance)
    for part, expected in zip(finals, case["final"], strict=True):
        compare(part, expected, tolerance)
    assert gradients.keys() == case["gradients"].keys()
    for key, expected in case["gradients"].items():
        compare(gradients[key], expected, tolerance)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", TABLE["cells"])
def test_cells_agree_with_recorded_figures(name: str, lazy: bool) -> None:
    case = TABLE["cells"][name]
    module = getattr(nn, f"{case['class']}Cell")(None, 2, dtype="float64", **case["options"])
    loaded(module, case)
    parts = ["h", "c"] if case["class"] == "LSTM" else ["h"]
    values = [SHARED["x"][:, 0], *[SHARED[part][0] for part in parts]]

    def loss_of(x: Any, *state: Any) -> Any:
        made = flat_state(module(x, packed_state(case["class"], list(state))))
        return made, mg.sum(sum(p * b for p, b in zip(made, SHARED["b"], strict=False)))

    if lazy:
        with mg.Graph().as_default(), mg.Session() as session:
            given = [mg.placeholder("float64", (None, v.shape[1])) for v in values]
            made, loss = loss_of(*given)
            sources = [*given, *module.parameters()]
            fetched = [made, mg.gradients(loss, sources)]
            found, gradients = session.run(fetched, dict(zip(given, values, strict=True)))
    else:
        given = [mg.constant(v) for v in values]
        with mg.GradientTape() as tape:
            for t in given:
                tape.watch(t)
            made, loss = loss_of(*given)
        found = [t.numpy() for t in made]
        gradients = [g.numpy() for g in tape.gradient(loss, [*given, *module.parameters()])]
    for part, expected in zip(found, case["final"], strict=True):
        compare(part, expected, 1e-10)
    names = ["x", *parts, *[name for name, _ in module.named_parameters()]]
    assert sorted(names) == sorted(case["gradients"])
    for key, gradient in zip(names, gradients, strict=True):
        compare(gradient, case["gradients"][key], 1e-10)


# -- by hand -----------------------------------------------------------------------------------


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_one_step_of_an_lstm_by_hand() -> None:
    # The input is 1, so its weights are what the gates see; h adds -1 · 0.5 to the candidate.
    # i = 1/4, f = 1/2, o = 4/5, g = tanh(artanh(0.6)) = 0.6.
    w = [[logit(0.25), 0.0, np.arctanh(0.6) + 0.5, logit(0.8) - 1.0]]
    u = [[0.0, 0.0, 0.5, 0.0]]
    b = [0.0, 0.0, 0.0, 1.0]
    h, c = nn.lstm_cell(np.ones((1, 1)), (-np.ones((1, 1)), 3 * np.ones((1, 1))), w, u, b)
    assert_allclose(c.numpy(), [[0.5 * 3 + 0.25 * 0.6]], rtol=1e-6)
    assert_allclose(h.numpy(), [[0.8 * np.tanh(1.65)]], rtol=1e-6)


@pytest.mark.parametrize("reset_after", [True, False])
def test_one_step_of_a_gru_by_hand(reset_after: bool) -> None:
    # r = 1/4, z = 2/5; the state is 2, so that the reset gate leaves 1/4 · 2 of it, times U_n = 3.
    # The reset gate after the product also closes on the recurrent bias: 1/4 · (6 + 2) = 2.
    w = np.array([[logit(0.25), logit(0.4), -1.5]])
    u = np.array([[0.0, 0.0, 3.0]])
    recurrent_bias = np.array([2.0]) if reset_after else None
    n = np.tanh(-1.5 + (2.0 if reset_after else 1.5))
    h = nn.gru_cell(
        np.ones((1, 1)),
        np.full((1, 1), 2.0),
        w,
        u,
        recurrent_bias=recurrent_bias,
        reset_after=reset_after,
    )
    assert_allclose(h.numpy(), [[0.6 * n + 0.4 * 2]], rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_both_forms_of_a_gru_over_a_sequence(reset_after: bool) -> None:
    gru = nn.GRU(3, 2, reset_after=reset_after, bias_initializer=0.3, dtype="float64")
    layer = gru.layers[0]
    w, u, b = layer.weight.numpy(), layer.recurrent_weight.numpy(), layer.bias.numpy()
    assert (layer.recurrent_bias is not None) == reset_after
    h = np.zeros((3, 2))
    expected = []
    for t in range(4):
        wr, wz, wn = np.split(SHARED["x"][:, t] @ w + b, 3, axis=-1)
        ur, uz, un = np.split(u, 3, axis=-1)
        r, z = 1 / (1 + np.exp(-wr - h @ ur)), 1 / (1 + np.exp(-wz - h @ uz))
        n = np.tanh(wn + (r * (h @ un) if reset_after else (r * h) @ un))
        h = (1 - z) * n + z * h
        expected.append(h)
    outputs, final = gru(SHARED["x"])
    assert_allclose(outputs.numpy(), np.stack(expected, axis=1), rtol=1e-12)
    assert_allclose(final.numpy()[0], h, rtol=1e-12)


# -- sequences ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_pieces_is_the_sequence(kind: Any) -> None:
    model = kind(3, 2, 2, dtype="float64")
    whole, final = model(SHARED["x"])
    first, state = model(SHARED["x"][:, :3])
    second, last = model(SHARED["x"][:, 3:], state)
    assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
    for a, b in zip(flat_state(last), flat_state(final), strict=True):
        assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_take_the_steps_of_networks(kind: Any) -> None:
    model = kind(3, 2, dtype="float64")
    cell = getattr(nn, kind.__name__ + "Cell")(3, 2, dtype="float64")
    cell.load_state_dict({n: p.numpy() for n, p in model.layers[0].named_parameters()})
    state = None
    for t in range(4):
        state = cell(SHARED["x"][:, t], state)
    assert_allclose(flat_state(state)[0], model(SHARED["x"])[0].numpy()[:, -1], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_each_sequence_is_as_if_it_were_alone(kind: Any) -> None:
    model = kind(3, 2, 2, bidirectional=True, dtype="float64")
    lengths = [2, 4, 1]
    outputs, final = model(SHARED["x"], lengths=lengths)
    for i, n in enumerate(lengths):
        alone, state = model(SHARED["x"][i : i + 1, :n])
        assert_allclose(outputs.numpy()[i, :n], alone.numpy()[0], rtol=1e-12)
        assert not outputs.numpy()[i, n:].any()
        for a, b in zip(flat_state(final), flat_state(state), strict=True):
            assert_allclose(a.numpy()[:, i], b.numpy()[:, 0], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_behind_the_end_reaches_nothing(kind: Any) -> None:
    model = kind(3, 2, bidirectional=True, dtype="float64")
    x = SHARED["x"].copy()
    x[0, 2:] = np.nan
    x[2, 1:] = np.inf
    t = mg.constant(x)
    with mg.GradientTape() as tape:
        tape.watch(t)
        outputs, _ = model(t, lengths=[2, 4, 1])
        loss = mg.sum(outputs)
    assert np.isfinite(loss)
    gradients = tape.gradient(loss, [t, *model.parameters()])
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
    assert not gradients[0].numpy()[0, 2:].any()


def test_a_sequence_without_steps_keeps_its_state() -> None:
    model = nn.LSTM(3, 2, dtype="float64")
    start = (SHARED["h"][:1], SHARED["c"][:1])
    outputs, (h, c) = model(SHARED["x"], start, lengths=[0, 4, 0])
    assert not outputs.numpy()[[0, 2]].any()
    assert_array_equal(h.numpy()[:, [0, 2]], start[0][:, [0, 2]])
    assert_array_equal(c.numpy()[:, [0, 2]], start[1][:, [0, 2]])
    outputs, (h, c) = model(SHARED["x"][:, :0], start)
    assert outputs.shape == (3, 0, 2)
    assert_array_equal(h.numpy(), start[0])
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, None, 3))
        y, (h, _) = model(x)
        outputs, state = session.run([y, h], {x: SHARED["x"][:, :0]})
        assert outputs.shape == (3, 0, 2)
        assert state.shape == (1, 3, 2)


def test_time_first() -> None:
    model = nn.LSTM(3, 2, bidirectional=True, dtype="float64")
    other = nn.LSTM(3, 2, bidirectional=True, batch_first=False, dtype="float64")
    other.load_state_dict(model.state_dict())
    expected, (h, _) = model(SHARED["x"], lengths=[2, 4, 1])
    outputs, (state, _) = other(SHARED["x"].transpose(1, 0, 2), lengths=[2, 4, 1])
    assert_array_equal(outputs.numpy(), expected.numpy().transpose(1, 0, 2))
    assert_array_equal(state.numpy(), h.numpy())
    assert repr(other).splitlines()[1].endswith("bidirectional=True, batch_first=False")


def test_one_initial_state_may_serve_all_sequences() -> None:
    model = nn.GRU(3, 2, dtype="float64")
    start = SHARED["h"][:1, :1]
    expected, _ = model(SHARED["x"], np.repeat(start, 3, axis=1))
    assert_array_equal(model(SHARED["x"], start)[0].numpy(), expected.numpy())
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, 4, 3))
        y, _ = model(x, mg.constant(start))
        assert_allclose(session.run(y, {x: SHARED["x"]}), expected.numpy(), rtol=1e-12)


# -- modules -----------------------------------------------------------------------------------


def test_parameters_and_how_they_start() -> None:
    model = nn.LSTM(None, 5, 2, bidirectional=True, forget_bias=1.0)
    assert "input_size=?, hidden_size=5, num_layers=2, bidirectional=True" in repr(model)
    model.summary((None, None, 3))
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert shapes["layers.0.weight"] == shapes["reverse_layers.0.weight"] == (3, 20)
    assert shapes["layers.1.weight"] == (10, 20)
    assert len(shapes) == 12
    assert model.input_size == 3
    layer = model.layers[1]
    assert_array_equal(layer.bias.numpy(), [0] * 5 + [1] * 5 + [0] * 10)
    u = layer.recurrent_weight.numpy()
    assert_allclose(u @ u.T, np.eye(5), atol=1e-6)
    bound = np.sqrt(6 / 30)
    assert 0.8 * bound < abs(layer.weight.numpy()).max() <= bound
    assert nn.GRU(3, 2).count_parameters() == 3 * 6 + 2 * 6 + 6 + 2
    assert nn.GRU(3, 2, bias=False).count_parameters() == 3 * 6 + 2 * 6
    assert nn.LSTMCell(3, 2, bias=False).bias is None
    started = nn.LSTM(3, 1, bias_initializer=0.5, forget_bias=2.0).layers[0]
    assert_array_equal(started.bias.numpy(), [0.5, 2.5, 0.5, 0.5])
    plain = nn.RNN(3, 2, recurrent_initializer=nn.initializers.Identity)
    assert_array_equal(plain.layers[0].recurrent_weight.numpy(), np.eye(2))


def test_names_in_graphs() -> None:
    model = nn.GRU(3, 2, bidirectional=True)
    with mg.Graph().as_default() as graph:
        model(mg.placeholder("float32", (None, None, 3)))
    names = [op.name for op in graph.get_operations()]
    assert "gru/layers/0/MatMul" in names
    assert [name for name in names if name.endswith("Loop")] == [
        "gru/layers/0/Scan/Loop",
        "gru/reverse_layers/0/Scan/Loop",
    ]
    assert model.reverse_layers[0].weight.name.startswith("gru/reverse_layers/0/weight")


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_pickles(kind: Any) -> None:
    model = kind(3, 2, 2, dropout_rate=0.5)
    x = SHARED["x"].astype(np.float32)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    expected = model(x)[0].numpy()
    for other in copies:
        assert_array_equal(other(x)[0].numpy(), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_between_layers_in_training(kind: Any) -> None:
    model = kind(3, 2, 2, dropout_rate=0.5, seed=3, dtype="float64")
    plain = kind(3, 2, 2, dtype="float64")
    plain.load_state_dict(model.state_dict())
    still = model(SHARED["x"], training=False)[0].numpy()
    assert_array_equal(still, plain(SHARED["x"])[0].numpy())
    dropped = model(SHARED["x"])[0].numpy()
    assert (dropped != still).any()
    again = kind(3, 2, 2, dropout_rate=0.5, seed=3, dtype="float64")
    again.load_state_dict(model.state_dict())
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, None, 3))
        flag = mg.placeholder("bool", ())
        y = again(x, training=flag)[0]
        assert_allclose(session.run(y, {x: SHARED["x"], flag: True}), dropped, rtol=1e-12)
        assert_allclose(session.run(y, {x: SHARED["x"], flag: False}), still, rtol=1e-12)
    # Everything dropped: the second layer sees zeros, but the first one's final state is there.
    empty = kind(3, 2, 2, dropout_rate=1.0, dtype="float64")
    outputs, state = empty(SHARED["x"])
    assert not outputs.numpy().any()
    assert flat_state(state)[0].numpy()[0].any()


@pytest.mark.parametrize("lazy", [False, True])
def test_checkpointed(lazy: bool) -> None:
    model = nn.LSTM(3, 2, 2, dropout_rate=0.5, seed=1, dtype="float64")
    other = copy.deepcopy(model)
    results = []
    for module, wrap in ((model, lambda f: f), (other, mg.checkpoint)):
        function = wrap(lambda x, module=module: module(x, lengths=[2, 4, 1])[0])
        if lazy:
            with mg.Graph().as_default(), mg.Session() as session:
                x = mg.placeholder("float64", (None, None, 3))
                loss = mg.sum(function(x) ** 2)
                found = mg.gradients(loss, [x, *module.parameters()])
                results.append(session.run([loss, *found], {x: SHARED["x"]}))
        else:
            x = mg.constant(SHARED["x"])
            with mg.GradientTape() as tape:
                tape.watch(x)
                loss = mg.sum(function(x) ** 2)
            found = tape.gradient(loss, [x, *module.parameters()])
            results.append([loss.numpy(), *[g.numpy() for g in found]])
    for a, b in zip(*results, strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-14)


def test_second_derivatives() -> None:
    cell = nn.LSTM(2, 2, dtype="float64", bidirectional=True)
    x = np.random.default_rng(3).normal(size=(2, 3, 2))

    def slope(x: Any) -> Any:
        return mg.sum(mg.grad(lambda x: mg.sum(cell(x, lengths=[3, 1])[0] ** 2))(x) ** 2)

    found = mg.grad(slope)(mg.constant(x)).numpy()
    step = np.zeros_like(x)
    step[0, 1, 0] = 1e-6
    numeric = (float(slope(x + step)) - float(slope(x - step))) / 2e-6
    assert_allclose(found[0, 1, 0], numeric, rtol=1e-6)


# -- training ----------------------------------------------------------------------------------


class Tagger(nn.Module):
    """Says of each step whether the sum so far is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(None, 6, 2, dropout_rate=0.1, bidirectional=True)
        self.output = nn.Linear(None, 1)

    def forward(self, x: Any, lengths: Any) -> Any:
        return self.output(self.lstm(x, lengths=lengths)[0])


def batches() -> list[Any]:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(20, 8, 5, 1)).astype(np.float32)
    y = (x.cumsum(axis=2) > 0).astype(np.float32)
    return list(zip(x, y, rng.integers(1, 6, size=(20, 8)), strict=True))


def train(lazy: bool) -> list[float]:
    mg.random.seed(5)
    model = Tagger()
    optimizer = mg.optim.Adam(0.02)

    def cost(x: Any, y: Any, lengths: Any) -> Any:
        return mg.mean((model(x, lengths) - y) ** 2)

    if not lazy:
        losses = []
        for x, y, lengths in batches():
            with mg.GradientTape() as tape:
                loss = cost(x, y, lengths)
            variables = model.trainable_parameters()
            pairs = zip(tape.gradient(loss, variables), variables, strict=True)
            optimizer.apply_gradients(pairs)
            losses.append(float(loss))
        return losses
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float32", (None, None, 1))
        y = mg.placeholder("float32", (None, None, 1))
        lengths = mg.placeholder("int64", (None,))
        loss = cost(x, y, lengths)
        step = optimizer.minimize(loss, model.trainable_parameters())
        session.run(mg.global_variables_initializer())
        return [
            float(session.run([loss, step], {x: a, y: b, lengths: n})[0]) for a, b, n in batches()
        ]


def test_an_lstm_trains_alike_in_both_modes() -> None:
    eager = train(lazy=False)
    assert eager[-1] < 0.7 * eager[0]
    assert_allclose(train(lazy=True), eager, rtol=1e-5)


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_inputs(kind: Any) -> None:
    model = kind(3, 2)
    x = np.ones((4, 5, 3), np.float32)
    name = kind.__name__
    with pytest.raises(ShapeError, match=rf"{name} was made with input_size=3, .* \(4, 5, 2\)"):
        model(x[..., :2])
    with pytest.raises(ShapeError, match=r"must have shape \(batch, time, features\), got \(5, 3"):
        model(x[0])
    with pytest.raises(ShapeError, match=r"\(time, batch, features\)"):
        kind(3, 2, batch_first=False)(x[0])
    with mg.Graph().as_default(), pytest.raises(ShapeError, match=r"mg\.ensure_shape"):
        model(mg.placeholder("float32"))


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_lengths(kind: Any) -> None:
    model = kind(3, 2)
    x = np.ones((2, 5, 3), np.float32)
    for wrong, match in (
        ([6, 1], "between 0 and the number of steps, got 6 for 5 steps"),
        ([1, -1], "got -1 for 5 steps"),
        ([1, 2, 3], r"shape \(2,\), got \(3,\)"),
        (2, r"shape \(2,\), got \(\)"),
    ):
        with pytest.raises(ShapeError, match=match):
            model(x, lengths=wrong)
    with pytest.raises(ArgumentTypeError, match="must be integers, got float32"):
        model(x, lengths=[1.0, 2.0])
    with mg.Graph().as_default(), mg.Session() as session:
        fed = mg.placeholder("float32", (None, None, 3))
        lengths = mg.placeholder("int32", (None,))
        y = model(fed, lengths=lengths)[0]
        with pytest.raises(ShapeError, match="got 6 for 5 steps"):
            session.run(y, {fed: x, lengths: [6, 1]})
        with pytest.raises(ShapeError, match=r"shape \(2,\), got \(1,\)"):
            session.run(y, {fed: x, lengths: [1]})


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_states(kind: Any) -> None:
    x = np.ones((3, 5, 3), np.float32)
    model = kind(3, 2, 2)
    for shape in ((1, 3, 2), (2, 3, 4), (2, 2, 2), (3, 2)):
        wrong = np.ones(shape, np.float32)
        state = (wrong, wrong) if kind is nn.LSTM else wrong
        with pytest.raises(ShapeError, match=r"h of initial_state must have shape \(2, 3, 2\)"):
            model(x, state)
    cell = getattr(nn, kind.__name__ + "Cell")(3, 2)
    wrong = np.ones((2, 2), np.float32)
    with pytest.raises(ShapeError, match=r"h must have shape \(3, 2\), got \(2, 2\)"):
        cell(x[:, 0], (wrong, wrong) if kind is nn.LSTM else wrong)
    with pytest.raises(ShapeError, match=r"made with input_size=3"):
        cell(x[:, 0, :2])
    with mg.Graph().as_default(), pytest.raises(ShapeError, match="without a state the rank"):
        cell(mg.placeholder("float32"))
    if kind is nn.LSTM:
        with pytest.raises(ArgumentError, match=r"initial_state must be a pair \(h, c\)"):
            model(x, np.ones((2, 3, 2), np.float32))


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match='RNN: nonlinearity must be "tanh" or "relu"'):
        nn.RNN(3, 2, nonlinearity="sine")
    with pytest.raises(ArgumentError, match="num_layers"):
        nn.GRU(3, 2, 0)
    with pytest.raises(ArgumentError, match="hidden_size"):
        nn.LSTMCell(3, 0)
    with pytest.raises(ArgumentError, match=r"between 0 and 1, got 1\.5"):
        nn.LSTM(3, 2, 2, dropout_rate=1.5)
    with pytest.raises(ArgumentTypeError, match="forget_bias must be a number"):
        nn.LSTM(3, 2, forget_bias="one")  # type: ignore[arg-type]
    with pytest.raises(DTypeError):
        nn.RNN(3, 2)(np.array([[["a", "b", "c"]]]))


def test_dropout_between_layers_of_which_there_is_one_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="LSTM: dropout_rate acts between layers"):
        assert nn.LSTM(2, 3, dropout_rate=0.5).generator is None

"""Attention and transformers: PyTorch's recorded results, hand-worked ones, masks, errors."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
)

CASES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "fixtures" / "transformer.json").read_text(encoding="utf-8")
)
RNG = np.random.default_rng(0)


# -- against PyTorch ---------------------------------------------------------------------------


def module_of(case: dict[str, Any], dtype: str) -> nn.Module:
    module: nn.Module = getattr(nn, case["class"])(**case["arguments"], dtype=dtype)
    assert module.count_parameters() == sum(np.size(p) for p in case["parameters"].values())
    module.load_state_dict({name: np.array(p, dtype) for name, p in case["parameters"].items()})
    return module


def options_of(case: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The keyword arguments of the call, with arrays for masks."""
    options = {}
    for name, value in case["options"].items():
        array = np.array(value)
        options[name] = (
            value
            if array.ndim == 0
            else array.astype(dtype)
            if name == "mask" and (array.dtype == np.float64)
            else array
        )
    return options


def on_a_tape(case: dict[str, Any], dtype: str) -> list[Any]:
    """The result, and gradients for inputs and, by name, parameters; eagerly."""
    module, options = module_of(case, dtype), options_of(case, dtype)
    inputs = [mg.constant(np.array(x, dtype)) for x in case["inputs"]]
    with mg.GradientTape() as tape:
        tape.watch(inputs)
        y = module(*inputs, **options)
        loss = mg.sum(y * np.array(case["factors"], dtype))
    named = dict(module.named_parameters())
    own, theirs = tape.gradient(loss, [inputs, list(named.values())])
    return [y.numpy(), [g.numpy() for g in own], dict(zip(named, theirs, strict=True))]


def in_a_session(case: dict[str, Any], dtype: str) -> list[Any]:
    """The same in a graph that knows neither the batch nor the lengths."""
    with mg.Graph().as_default() as graph:
        module = getattr(nn, case["class"])(**case["arguments"], dtype=dtype)
        feed: dict[Any, Any] = {}

        def fed(value: Any, shape: Any) -> Any:
            node = mg.placeholder(value.dtype, shape)
            feed[node] = value
            return node

        arrays = [np.array(x, dtype) for x in case["inputs"]]
        inputs = [fed(x, (None, None, x.shape[-1])) for x in arrays]
        options = {
            name: fed(value, (None,) * value.ndim) if isinstance(value, np.ndarray) else value
            for name, value in options_of(case, dtype).items()
        }
        y = module(*inputs, **options)
        assert y.shape == (None, None, case["arguments"]["features"])
        named = dict(module.named_parameters())
        loss = mg.sum(y * np.array(case["factors"], dtype))
        own, theirs = mg.gradients(loss, inputs), mg.gradients(loss, list(named.values()))
    with mg.Session(graph=graph) as session:
        module.load_state_dict(
            {name: np.array(p, dtype) for name, p in case["parameters"].items()}, session=session
        )
        result: list[Any] = session.run([y, own, dict(zip(named, theirs, strict=True))], feed)
    return result


@pytest.mark.parametrize("run", [on_a_tape, in_a_session])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", {"rtol": 1e-10, "atol": 1e-13}), ("float32", {})]
)
@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_agree_with_pytorch(
    name: str, dtype: str, tolerance: dict[str, float], run: Any
) -> None:
    case = CASES[name]
    y, own, theirs = run(case, dtype)
    # Some gradients are 0 as sums of numbers as large as the others.
    everything = [*case["input_gradients"], *case["parameter_gradients"].values()]
    largest = max(np.abs(g).max() for g in everything)

    def same(got: Any, expected: Any, what: str) -> None:
        expected = np.array(expected)
        loose = {"rtol": 1e-4, "atol": 1e-5 * largest}
        np.testing.assert_allclose(np.asarray(got), expected, **(tolerance or loose), err_msg=what)

    assert y.dtype == dtype
    same(y, case["result"], "result")
    for i, (got, expected) in enumerate(zip(own, case["input_gradients"], strict=True)):
        same(got, expected, f"gradient for input {i}")
    assert sorted(theirs) == sorted(case["parameter_gradients"])
    for path, expected in case["parameter_gradients"].items():
        same(theirs[path], expected, f"gradient for {path}")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "weights" in case])
def test_weights_agree_with_pytorch(name: str) -> None:
    case = CASES[name]
    inputs = [np.array(x) for x in case["inputs"]]
    module = module_of(case, "float64")
    y, weights = module(*inputs, **options_of(case, "float64"), return_weights=True)
    np.testing.assert_allclose(y.numpy(), case["result"], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(weights.numpy(), case["weights"], rtol=1e-10, atol=1e-13)


# -- by hand -----------------------------------------------------------------------------------


def test_attention_of_two_tokens_by_hand() -> None:
    attention = nn.MultiHeadAttention(2, 1, dtype="float64")
    ln3 = np.log(3.0)
    attention.load_state_dict(
        {
            "query.weight": [[np.sqrt(2) * ln3, 0.0], [0.0, np.sqrt(2) * ln3]],
            "query.bias": [0.0, 0.0],
            "key.weight": [[1.0, 0.0], [0.0, 1.0]],
            "key.bias": [0.0, 0.0],
            "value.weight": [[4.0, 0.0], [0.0, 8.0]],
            "value.bias": [0.0, 4.0],
            "output.weight": [[0.0, 1.0], [1.0, 0.0]],
            "output.bias": [0.5, 0.0],
        }
    )
    # Each token matches itself: its logit is ln 3, the other's 0. The weights are 3 : 1.
    x = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    y, weights = attention(x, return_weights=True)
    np.testing.assert_allclose(weights.numpy(), [[[[0.75, 0.25], [0.25, 0.75]]]], rtol=1e-14)
    # The values are (4, 4) and (0, 12), so the mixtures (3, 6) and (1, 10); `output` swaps them.
    np.testing.assert_allclose(y.numpy(), [[[6.5, 3.0], [10.5, 1.0]]], rtol=1e-14)
    y = attention(x, causal=True)
    np.testing.assert_allclose(y.numpy(), [[[4.5, 4.0], [10.5, 1.0]]], rtol=1e-14)


def test_heads_attend_by_themselves() -> None:
    """Two heads are two attentions to halves of the features, side by side."""
    both = nn.MultiHeadAttention(6, 2, bias=False, dtype="float64")
    x = RNG.normal(size=(2, 4, 6))
    parts = []
    for columns in (slice(0, 3), slice(3, 6)):
        q, k, v = (x @ p.weight.numpy()[:, columns] for p in (both.query, both.key, both.value))
        parts.append(nn.scaled_dot_product_attention(q, k, v).numpy())
    expected = np.concatenate(parts, axis=-1) @ both.output.weight.numpy()
    np.testing.assert_allclose(both(x).numpy(), expected, rtol=1e-12)


# -- masks -------------------------------------------------------------------------------------


def test_masks_of_all_shapes_and_kinds_say_the_same() -> None:
    attention = nn.MultiHeadAttention(4, 2, dtype="float64")
    x = RNG.normal(size=(3, 5, 4))
    lengths = np.array([5, 2, 3])
    kept = nn.length_mask(lengths, 5).numpy()
    seen = kept[:, None, :] & np.tri(5, dtype=bool)
    added = np.where(seen, 0.0, -np.inf)
    expected = attention(x, mask=seen).numpy()
    for options in (
        {"mask": np.broadcast_to(seen[:, None], (3, 2, 5, 5))},
        {"mask": added},
        {"mask": added[:, None]},
        {"mask": np.tri(5, dtype=bool), "key_mask": kept},
        {"mask": np.where(np.tri(5, dtype=bool), 0.0, -np.inf), "key_mask": kept},
        {"mask": kept[:, None, :], "causal": True},
        {"key_mask": nn.length_mask(mg.constant(lengths), 5), "causal": True},
    ):
        np.testing.assert_allclose(attention(x, **options).numpy(), expected, rtol=1e-12)
    # Each sequence alone gives the same, so padding does not matter.
    for one, length, y in zip(x, lengths, expected, strict=True):
        alone = attention(one[None, :length], causal=True).numpy()
        np.testing.assert_allclose(y[:length], alone[0], rtol=1e-12)


def test_queries_that_see_nothing_get_zeros_and_finite_gradients() -> None:
    attention = nn.MultiHeadAttention(4, 2, dtype="float64", dropout_rate=0.5).eval()
    x = mg.constant(RNG.normal(size=(2, 3, 4)))
    mask = np.array([[True, True, True], [False, False, False], [True, False, False]])
    for given in (mask, np.where(mask, 0.0, -np.inf)):
        with mg.GradientTape() as tape:
            tape.watch(x)
            y, weights = attention(x, mask=given, return_weights=True)
            loss = mg.sum(y * y)
        assert (y.numpy()[:, 1] == 0).all()  # The bias of `output` is 0 at first.
        assert (weights.numpy()[:, :, 1] == 0).all()
        gradients = tape.gradient(loss, [x, *attention.parameters()])
        assert all(np.isfinite(g.numpy()).all() for g in gradients)
    layer = nn.TransformerEncoderLayer(4, 2, dtype="float64").eval()
    with mg.GradientTape() as tape:
        tape.watch(x)
        loss = mg.sum(layer(x, key_mask=np.array([[True] * 3, [False] * 3])) ** 2)
    gradients = tape.gradient(loss, [x, *layer.parameters()])
    assert all(np.isfinite(g.numpy()).all() for g in gradients)


def test_a_decoder_does_not_see_what_comes_after() -> None:
    decoder = nn.TransformerDecoder(2, 4, 2, dtype="float64").eval()
    x, memory = RNG.normal(size=(1, 5, 4)), RNG.normal(size=(1, 3, 4))
    before = decoder(x, memory).numpy()
    changed = np.concatenate([x[:, :3], RNG.normal(size=(1, 2, 4))], axis=1)
    after = decoder(changed, memory).numpy()
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-3
    open_ended = decoder(x, memory, causal=False).numpy()
    assert np.abs(before[:, :3] - open_ended[:, :3]).max() > 1e-3


# -- dropout -----------------------------------------------------------------------------------


def test_dropout_draws_the_same_in_the_tth_call_and_the_tth_run() -> None:
    mg.random.seed(5)
    layer = nn.TransformerDecoderLayer(4, 2, 6, dropout_rate=0.3, dtype="float64")
    x, memory = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4))
    twin = copy.deepcopy(layer)
    eager = [twin(x, memory).numpy() for _ in range(3)]
    assert np.abs(eager[0] - eager[1]).max() > 1e-3
    with mg.Graph().as_default():
        a, b = (mg.placeholder("float64", (None, None, 4)) for _ in range(2))
        training = mg.placeholder("bool", ())
        y = layer(a, b, training=training)
        with mg.Session() as session:
            feed = {a: x, b: memory, training: True}
            lazy = [session.run(y, feed) for _ in range(3)]
            quiet = session.run(y, feed | {training: False})
    np.testing.assert_allclose(lazy, eager, rtol=1e-12)
    np.testing.assert_allclose(quiet, twin.eval()(x, memory).numpy(), rtol=1e-12)


def test_dropout_acts_on_the_weights_of_attention() -> None:
    attention = nn.MultiHeadAttention(4, 2, dropout_rate=0.5, dtype="float64", seed=3)
    copies = [copy.deepcopy(attention) for _ in range(2)]
    x = RNG.normal(size=(2, 30, 4))
    y, weights = copies[0](x, return_weights=True)
    np.testing.assert_array_equal(copies[1](x).numpy(), y.numpy())
    np.testing.assert_allclose(weights.numpy().sum(axis=-1), 1.0)  # Those before dropout.
    keep = nn.dropout(np.ones((2, 2, 30, 30)), 0.5, generator=attention.generator).numpy()
    values = (x @ attention.value.weight.numpy()).reshape(2, 30, 2, 2).transpose(0, 2, 1, 3)
    mixed = (weights.numpy() * keep) @ values
    expected = mixed.transpose(0, 2, 1, 3).reshape(2, 30, 4) @ attention.output.weight.numpy()
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10, atol=1e-14)


# -- stacks ------------------------------------------------------------------------------------


def test_stacks() -> None:
    encoder = nn.TransformerEncoder(3, 4, 2, norm_first=True, epsilon=1e-3, dropout_rate=0.0)
    assert len({w.weight.numpy().tobytes() for w in [p.linear1 for p in encoder.layers]}) == 3
    x = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    y: Any = x
    for layer in encoder.layers:
        y = layer(y)
    np.testing.assert_array_equal(encoder(x).numpy(), encoder.norm(y).numpy())
    assert encoder.norm.epsilon == 1e-3
    assert nn.TransformerEncoder(1, 4, 2).norm is None
    assert nn.TransformerEncoder(1, 4, 2, final_norm=True).norm is not None
    y, weights = encoder(x, causal=True, return_weights=True)
    assert [w.shape for w in weights] == [(2, 2, 3, 3)] * 3
    assert all((w.numpy()[..., 0, 1:] == 0).all() for w in weights)
    decoder = nn.TransformerDecoder(2, 4, 2, memory_features=6, final_norm=True)
    y, pairs = decoder(x, RNG.normal(size=(2, 5, 6)), return_weights=True)
    assert y.shape == (2, 3, 4)
    assert [(a.shape, b.shape) for a, b in pairs] == [((2, 2, 3, 3), (2, 2, 3, 5))] * 2
    assert "layers.1.cross_attention.key.weight" in dict(decoder.named_parameters())
    assert decoder.summary((None, None, 4), (None, None, 6)).rows[0].outputs == ((None, None, 4),)


def test_nothing_but_the_number_of_features_need_be_known() -> None:
    encoder = nn.TransformerEncoder(1, 4, 2).eval()
    x = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    expected = encoder(x).numpy()
    with mg.Graph().as_default(), mg.Session() as session:
        anything = mg.placeholder("float32")
        y = encoder(anything)
        assert y.shape == (None, None, 4)
        np.testing.assert_allclose(session.run(y, {anything: x}), expected, rtol=1e-5, atol=1e-6)
        with pytest.raises(ShapeError, match=r"expected shape \(\?, \?, 4\), got \(3, 4\)"):
            session.run(y, {anything: x[0]})


# -- positions ---------------------------------------------------------------------------------


def test_positional_encoding() -> None:
    x = RNG.normal(size=(2, 3, 4))
    angles = np.array([[p, p / 100.0] for p in range(3)])
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(3, 4)
    encoding = nn.PositionalEncoding()
    np.testing.assert_allclose(encoding(x).numpy(), x + table, rtol=1e-14)
    with mg.Graph().as_default(), mg.Session() as session:
        fed = mg.placeholder("float64", (None, None, 4))
        np.testing.assert_allclose(session.run(encoding(fed), {fed: x}), x + table, rtol=1e-14)
        with pytest.raises(ShapeError, match="size of axis -1"):
            encoding(mg.placeholder("float64", (None, 3, None)))
    dropping = nn.PositionalEncoding(0.5, seed=1)
    y = dropping(x).numpy()
    kept = y != 0
    assert 0 < kept.sum() < y.size
    np.testing.assert_allclose(y[kept], 2 * (x + table)[kept], rtol=1e-14)
    np.testing.assert_allclose(dropping(x, training=False).numpy(), x + table, rtol=1e-14)
    with pytest.raises(ShapeError, match=r"sequences .* got \(4,\)"):
        encoding(x[0, 0])


def test_learned_positions() -> None:
    positions = nn.LearnedPositions(5, dtype="float64")
    x = RNG.normal(size=(2, 3, 4))
    y = positions(x).numpy()
    np.testing.assert_allclose(y, x + positions.weight.numpy()[:3], rtol=1e-14)
    assert positions.features == 4
    assert 0.005 < positions.weight.numpy().std() < 0.05
    with mg.GradientTape() as tape:
        loss = mg.sum(positions(x) * x)
    gradient = np.asarray(tape.gradient(loss, positions.weight))
    np.testing.assert_allclose(gradient[:3], x.sum(axis=0), rtol=1e-12)
    assert (gradient[3:] == 0).all()
    with pytest.raises(ShapeError, match="5 positions, got a sequence of length 6"):
        positions(np.zeros((1, 6, 4)))
    with mg.Graph().as_default(), mg.Session() as session:
        fed = mg.placeholder("float64", (None, None, 4))
        z = positions(fed)
        np.testing.assert_allclose(session.run(z, {fed: x}), y, rtol=1e-14)
        with pytest.raises(IndexOutOfRangeError):
            session.run(z, {fed: np.zeros((1, 6, 4))})


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_positions_let_attention_go_by_distances(interleaved: bool) -> None:
    rotary = nn.RotaryPositions(base=100.0, interleaved=interleaved)
    attention = nn.MultiHeadAttention(8, 2, rotary=rotary, dtype="float64")
    # All tokens are the same, so that only distances tell keys apart.
    x = np.broadcast_to(RNG.normal(size=8), (1, 6, 8))
    _, weights = attention(x, return_weights=True)
    logits = np.log(weights.numpy()[0])
    differences = logits - np.take_along_axis(logits, np.arange(6)[None, :, None], axis=2)
    for distance in (-2, 1, 3):
        along = np.diagonal(differences, distance, axis1=1, axis2=2)
        np.testing.assert_allclose(along, along[:, :1] + 0 * along, rtol=1e-9)
    assert np.abs(differences).max() > 1e-3
    layer = nn.TransformerEncoder(2, 8, 2, rotary=rotary)
    assert layer.layers[0].self_attention.rotary is layer.layers[1].self_attention.rotary


# -- errors ------------------------------------------------------------------------------------

X = np.zeros((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MultiHeadAttention(10, 4), ArgumentError, "features=10, heads=4"),
        (lambda: nn.TransformerEncoder(1, 10, 4), ArgumentError, "multiple of heads"),
        (lambda: nn.MultiHeadAttention(4, 0), ArgumentError, "heads is an integer of 1 or more"),
        (lambda: nn.MultiHeadAttention(None, 2), ArgumentTypeError, "features is an integer"),
        (lambda: nn.TransformerEncoder(0, 4, 2), ArgumentError, "num_layers is an integer"),
        (lambda: nn.TransformerEncoderLayer(4, 2, -1), ArgumentError, "hidden_features is an"),
        (lambda: nn.MultiHeadAttention(4, 2, dropout_rate=-0.1), ArgumentError, "got -0.1"),
        (lambda: nn.TransformerDecoderLayer(4, 2, dropout_rate=2), ArgumentError, "0 and 1"),
        (
            lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"),
            ArgumentError,
            "'gelu', 'relu' or a function, got 'tanh'",
        ),
        (lambda: nn.MultiHeadAttention(4, 2, rotary=True), ArgumentTypeError, "RotaryPositions"),
        (lambda: nn.RotaryPositions(base=0.0), ArgumentError, "base must be positive"),
        (lambda: nn.LearnedPositions(0), ArgumentError, "max_length is an integer"),
        (lambda: nn.PositionalEncoding(1.5), ArgumentError, "between 0 and 1, got 1.5"),
    ],
)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((X[0],), {}, ShapeError, r"query must have shape \(batch, length, features\), got \(3, 4"),
        ((np.zeros((2, 3, 5)),), {}, ShapeError, r"features=4, got an input of shape \(2, 3, 5\)"),
        ((X, np.zeros((2, 3, 5))), {}, ShapeError, r"\(key\) was made with key_features=4, got"),
        ((X, X, X[:, :2]), {}, ShapeError, "key and value must have the same length"),
        ((X,), {"value": X}, ArgumentError, "without key="),
        ((X,), {"mask": np.ones((3, 2), bool)}, ShapeError, r"\(queries, keys\) = \(3, 3\).*3, 2"),
        ((X,), {"mask": np.ones((4, 3, 3), bool)}, ShapeError, r"got shape \(4, 3, 3\)"),
        ((X,), {"mask": np.ones((2, 3, 3, 3))}, ShapeError, r"keys\) = \(2, 2, 3, 3\), got"),
        ((X,), {"mask": np.ones((3, 3), int)}, DTypeError, "write mask != 0"),
        ((X,), {"key_mask": np.ones((2, 4), bool)}, ShapeError, r"keys\) = \(2, 3\), got \(2, 4\)"),
        ((X,), {"key_mask": np.ones(3, bool)}, ShapeError, r"got \(3,\)"),
        ((X,), {"key_mask": np.ones((2, 3))}, DTypeError, "key_mask != 0"),
    ],
)
def test_bad_inputs_of_attention_are_named(
    args: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        nn.MultiHeadAttention(4, 2)(*args, **options)


def test_bad_inputs_of_layers_and_runs_are_named() -> None:
    with pytest.raises(ShapeError, match=r"TransformerEncoderLayer \(x\) was made with features=4"):
        nn.TransformerEncoder(1, 4, 2)(np.zeros((2, 3, 6)))
    with pytest.raises(ShapeError, match=r"\(key\) was made with key_features=6"):
        nn.TransformerDecoderLayer(4, 2, memory_features=6)(X, X)
    with mg.Graph().as_default(), mg.Session() as session:
        attention = nn.MultiHeadAttention(4, 2)
        x = mg.placeholder("float32", (None, None, 4))
        with pytest.raises(ShapeError, match="rank of the mask must be known"):
            attention(x, mask=mg.placeholder("bool"))
        mask = mg.placeholder("bool", (None, None))
        by_key, plain = attention(x, key_mask=mask), attention(x, mask=mask)
        session.run(mg.global_variables_initializer())
        for y in (by_key, plain):
            with pytest.raises(ShapeError, match="broadcast"):
                session.run(y, {x: X, mask: np.ones((4, 5), bool)})

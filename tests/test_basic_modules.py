"""Linear, Bilinear, Embedding, Flatten, Residual, Lambda and the containers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, IndexOutOfRangeError, ShapeError

RNG = np.random.default_rng(0)


def lazily(module: nn.Module, *arrays: Any, shapes: list[Any] | None = None) -> np.ndarray:
    """What an eager module computes for fed placeholders, of unknown batch size by default."""
    with mg.Graph().as_default(), mg.Session() as session:
        shapes = shapes or [(None, *a.shape[1:]) for a in arrays]
        inputs = [mg.placeholder(a.dtype, s) for a, s in zip(arrays, shapes, strict=True)]
        y = module(*inputs)
        return session.run(y, dict(zip(inputs, arrays, strict=True)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)])
def test_linear(shape: tuple[int, ...]) -> None:
    layer = nn.Linear(3, 2, dtype="float64", bias_initializer=[0.5, -1.0])
    x = RNG.normal(size=shape)
    expected = x @ layer.weight.numpy() + [0.5, -1.0]
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)
    if len(shape) > 1:
        np.testing.assert_allclose(lazily(layer, x), expected, rtol=1e-12)


def test_linear_starts_as_glorot_uniform_with_a_bias_of_zero() -> None:
    layer = nn.Linear(50, 70)
    bound = np.sqrt(6 / 120)
    assert 0.95 * bound < abs(layer.weight.numpy()).max() <= bound
    assert layer.bias is not None
    assert not layer.bias.numpy().any()


def test_linear_gradients() -> None:
    layer = nn.Linear(3, 2, dtype="float64")
    x = RNG.normal(size=(4, 3))
    with mg.GradientTape() as tape:
        loss = mg.sum(layer(x) ** 2)
    gw, gb = tape.gradient(loss, layer.parameters())
    y = x @ layer.weight.numpy()
    np.testing.assert_allclose(gw.numpy(), 2 * x.T @ y, rtol=1e-12)
    np.testing.assert_allclose(gb.numpy(), 2 * y.sum(0), rtol=1e-12)


def test_bilinear() -> None:
    layer = nn.Bilinear(None, 3, 4, dtype="float64", bias_initializer=1.5)
    a, b = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 3))
    y = layer(a, b).numpy()
    w = layer.weight.numpy()
    assert w.shape == (4, 2, 3)
    expected = [[x1 @ w[k] @ x2 + 1.5 for k in range(4)] for x1, x2 in zip(a, b, strict=True)]
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose(lazily(layer, a, b), expected, rtol=1e-12)
    assert repr(layer) == "Bilinear(in1_features=2, in2_features=3, out_features=4)"
    with pytest.raises(ShapeError, match=r"in2_features=3, got an input of shape \(5, 2\)"):
        layer(a, a)


def test_embedding() -> None:
    table = nn.Embedding(6, 3)
    ids = np.array([[0, 5], [5, 2]])
    np.testing.assert_array_equal(table(ids).numpy(), table.weight.numpy()[ids])
    np.testing.assert_array_equal(lazily(table, ids), table.weight.numpy()[ids])
    with mg.GradientTape() as tape:
        y = mg.sum(table(ids))
    g = tape.gradient(y, table.weight)
    assert isinstance(g, mg.IndexedSlices)
    np.testing.assert_array_equal(np.asarray(g)[:, 0], [1, 0, 1, 0, 0, 2])
    with pytest.raises(IndexOutOfRangeError):
        table(np.array([6]))
    assert 0.9 < nn.Embedding(300, 30).weight.numpy().std() < 1.1


def test_flatten() -> None:
    x = RNG.normal(size=(2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(1, 2)(x).shape == (2, 12, 5)
    assert nn.Flatten(0, -2)(x).shape == (24, 5)
    assert nn.Flatten()(x[:, 0, 0, 0]).shape == (2, 1)
    assert nn.Flatten()(np.ones((0, 2, 3))).shape == (0, 6)
    np.testing.assert_array_equal(lazily(nn.Flatten(), x), x.reshape(2, 60))
    unknown = lazily(nn.Flatten(1, 2), x, shapes=[(None, None, 4, None)])
    np.testing.assert_array_equal(unknown, x.reshape(2, 12, 5))
    with mg.Graph().as_default():
        assert nn.Flatten()(mg.placeholder("float32", (None, 3, 4))).shape == (None, 12)
        with pytest.raises(ShapeError, match="known rank"):
            nn.Flatten()(mg.placeholder("float32"))
    with pytest.raises(ShapeError, match="from axis 3 to 1"):
        nn.Flatten(3, 1)(x)
    assert repr(nn.Flatten(1, 2)) == "Flatten(start=1, end=2)"


def test_residual() -> None:
    inner = nn.Linear(3, 3)
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(nn.Residual(inner)(x).numpy(), inner(x).numpy() + x, rtol=1e-6)
    wide, short = nn.Linear(3, 5), nn.Linear(3, 5, bias=False)
    both = nn.Residual(wide, short)
    np.testing.assert_allclose(both(x).numpy(), wide(x).numpy() + short(x).numpy(), rtol=1e-5)
    with pytest.raises(ShapeError, match=r"inner module gives \(2, 5\), the shortcut \(2, 3\)"):
        nn.Residual(wide)(x)
    with pytest.raises(ArgumentTypeError, match=r"nn\.Lambda\(function\)"):
        nn.Residual(mg.tanh)  # type: ignore[arg-type]


def test_sequential() -> None:
    layers = [nn.Linear(4, 3), nn.Lambda(mg.tanh), nn.Linear(3, 2)]
    x = RNG.normal(size=(2, 4)).astype(np.float32)
    expected = layers[2](mg.tanh(layers[0](x))).numpy()
    for model in (nn.Sequential(*layers), nn.Sequential(layers), nn.Sequential(iter(layers))):
        np.testing.assert_array_equal(model(x).numpy(), expected)
    named = nn.Sequential({"in": layers[0], "squash": layers[1]})
    named.append(layers[2])
    np.testing.assert_array_equal(named(x).numpy(), expected)
    assert list(named.state_dict()) == ["in.weight", "in.bias", "2.weight", "2.bias"]
    assert isinstance(nn.Sequential(*layers)[:2], nn.Sequential)
    assert nn.Sequential()(3.0) == 3.0
    assert nn.Sequential(nn.Sequential(nn.Identity()))[0][0](1.0) == 1.0
    with pytest.raises(ArgumentTypeError, match=r"got <function.*nn\.Lambda\(function\)"):
        nn.Sequential(layers[0], lambda v: v)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"write Flatten\(…\)"):
        nn.Sequential(nn.Flatten)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="at its end only"):
        named.insert(0, layers[0])


def test_a_tuple_in_the_middle_of_a_sequential_is_explained() -> None:
    x = mg.ones((2, 5, 3))
    recurrent, last = nn.LSTM(3, 4), nn.Linear(4, 2)
    with pytest.raises(mg.errors.MinigradError) as error:
        nn.Sequential(recurrent, last)(x)
    assert error.value.__notes__[-1] == (
        "the module before, LSTM, returns a tuple; take one part with nn.Lambda(lambda r: r[0])"
    )
    assert nn.Sequential(recurrent, nn.Lambda(lambda r: r[0]), last)(x).shape == (2, 5, 2)
    with pytest.raises(mg.errors.MinigradError) as error:
        nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 4))(x)
    assert not any("tuple" in note for note in error.value.__notes__)


def test_sequential_deletes() -> None:
    layers = [nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh()]
    plain = nn.Sequential(*layers)
    del plain[0], plain[-1]
    assert list(plain) == layers[1:3]
    assert list(plain.state_dict()) == ["1.weight", "1.bias"]
    named = nn.Sequential({"a": layers[0], "b": layers[1], "c": layers[2]})
    named.append(layers[3])
    del named[3], named[:2]
    assert list(named.state_dict()) == ["c.weight", "c.bias"]


def test_a_part_of_a_sequential_keeps_its_names() -> None:
    model = nn.Sequential({"a": nn.Linear(2, 2), "b": nn.ReLU(), "c": nn.Linear(2, 2)})
    model.append(nn.Linear(2, 1))
    assert list(model[1:].state_dict()) == ["c.weight", "c.bias", "2.weight", "2.bias"]
    assert list(model[2::-2].state_dict()) == ["c.weight", "c.bias", "a.weight", "a.bias"]
    assert list(nn.Sequential(*model)[:1].state_dict()) == ["0.weight", "0.bias"]


def test_module_list() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2)])
    layers.append(nn.Identity())
    layers.insert(0, nn.Flatten())
    layers[1] = nn.Linear(2, 3)
    del layers[2]
    assert [type(m).__name__ for m in layers] == ["Flatten", "Linear"]
    assert [n for n, _ in layers.named_parameters()] == ["1.weight", "1.bias"]
    assert isinstance(layers[:1], nn.ModuleList)
    with pytest.raises(ArgumentTypeError, match="ModuleList holds modules, got 3"):
        layers.append(3)  # type: ignore[arg-type]


def test_module_dict() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b b"] = nn.Linear(2, 1)
    assert list(heads) == list(heads.keys()) == ["a", "b b"]
    assert "a" in heads
    assert len(heads.values()) == len(heads.items()) == len(heads) == 2
    with mg.Graph().as_default():
        y = heads["b b"](mg.placeholder("float32", (None, 2)))
        assert y.name == "module_dict/b_b/Add:0"
    del heads["a"]
    assert list(heads.state_dict()) == ["b b.weight", "b b.bias"]
    with pytest.raises(ArgumentError, match=r"text without a dot.*got 'x\.y'"):
        heads["x.y"] = nn.Identity()


def test_lambda() -> None:
    model = nn.Lambda(mg.tanh)
    assert repr(model) == "Lambda(tanh)"
    with mg.Graph().as_default():
        assert model(mg.placeholder("float32", ())).name == "tanh/Tanh:0"
    with pytest.raises(ArgumentTypeError, match="takes a function"):
        nn.Lambda(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_sizes_are_checked(value: Any) -> None:
    wanted = (ArgumentError, ArgumentTypeError)
    for make in (
        lambda: nn.Linear(value, 2),
        lambda: nn.Linear(2, value),
        lambda: nn.LazyLinear(value),
        lambda: nn.Bilinear(2, value, 2),
        lambda: nn.Embedding(value, 2),
    ):
        with pytest.raises(wanted, match="is an integer of 1 or more, got"):
            make()

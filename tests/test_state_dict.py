"""`state_dict` and `load_state_dict`: paths, both modes, strictness, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    FailedPreconditionError,
    StateError,
)


def mlp(inputs: int | None = 4, seed: int | None = None) -> nn.Sequential:
    if seed is not None:
        mg.random.seed(seed)
    model = nn.Sequential(nn.Linear(inputs, 3), nn.Lambda(mg.tanh), nn.Linear(3, 2))
    mg.random.seed(None)
    return model


X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


def test_a_round_trip_between_eager_modules() -> None:
    first, second = mlp(seed=1), mlp(seed=2)
    state = first.state_dict()
    assert {k: v.shape for k, v in state.items()} == {
        "0.weight": (4, 3),
        "0.bias": (3,),
        "2.weight": (3, 2),
        "2.bias": (2,),
    }
    assert second.load_state_dict(state) == ([], [])
    np.testing.assert_array_equal(second(X).numpy(), first(X).numpy())
    state["0.weight"][:] = 0  # The caller's own.
    np.testing.assert_array_equal(second(X).numpy(), first(X).numpy())


def test_graphs_keep_values_in_sessions() -> None:
    eager = mlp(seed=1)
    expected = eager(X).numpy()
    with mg.Graph().as_default():
        model = mlp()
        y = model(mg.constant(X))
        with pytest.raises(StateError, match="pass session="):
            model.state_dict()
        with mg.Session() as session:
            with pytest.raises(FailedPreconditionError, match=r"'0\.weight' has no value"):
                model.state_dict()
            model.load_state_dict(eager.state_dict())  # It needs no initializer.
            np.testing.assert_allclose(session.run(y), expected, rtol=1e-6)
            state = model.state_dict()
        other = mg.Session()
        model.load_state_dict({k: v + 1 for k, v in state.items()}, session=other)
        np.testing.assert_array_equal(
            model.state_dict(session=other)["2.bias"], eager.state_dict()["2.bias"] + 1
        )
        other.close()
        with pytest.raises(StateError, match="closed"):
            model.state_dict(session=other)


def test_loading_tells_the_sizes_that_were_left_open() -> None:
    source, target = mlp(4), mlp(None)
    with pytest.raises(StateError, match="not all is known"):
        target.state_dict()
    target.load_state_dict(source.state_dict())
    assert target[0].in_features == 4
    np.testing.assert_array_equal(target(X).numpy(), source(X).numpy())


def test_a_mismatch_names_everything_and_loads_nothing() -> None:
    model = mlp()
    before = model.state_dict()
    state: dict[str, Any] = model.state_dict()
    del state["0.bias"]
    state["extra"] = np.ones(3)
    state["2.weight"] = np.ones((2, 3))
    state["2.bias"] = np.ones(2, np.int64)
    state["0.weight"] = np.ones((4, 3))
    with pytest.raises(ArgumentError) as error:
        model.load_state_dict(state)
    assert str(error.value) == (
        "the state does not fit this Sequential; nothing was loaded:\n"
        "  missing: '0.bias' of shape (3,)\n"
        "  unexpected: 'extra'\n"
        "  shape: '2.weight' has (3, 2), the state (2, 3)\n"
        "  dtype: '2.bias' is float32, the state int64"
    )
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    with pytest.raises(ArgumentTypeError, match="takes a dict of paths to arrays, got list"):
        model.load_state_dict([1])  # type: ignore[arg-type]


def test_lenient_loading_reports_what_it_passed_over() -> None:
    model = mlp()
    result = model.load_state_dict({"0.bias": [1.0, 2.0, 3.0], "extra": 1.0}, strict=False)
    assert result.missing == ["0.weight", "2.weight", "2.bias"]
    assert result.unexpected == ["extra"]
    assert model[0].bias.tolist() == [1, 2, 3]
    with pytest.raises(ArgumentError, match=r"shape: '0\.bias'"):
        model.load_state_dict({"0.bias": [1.0]}, strict=False)


def test_precision_converts_and_tensors_are_accepted() -> None:
    model = mlp()
    wide = {k: v.astype(np.float64) for k, v in model.state_dict().items()}
    model.load_state_dict(wide)
    assert model[0].weight.dtype == "float32"
    model.load_state_dict({k: mg.constant(v) for k, v in wide.items()})


def test_buffers_are_part_of_the_state_generators_are_not() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = mg.random.Generator()
            self.add_buffer("count", (), 7, dtype="int64")

    model = Counter()
    assert list(model.state_dict()) == ["count"]
    model.load_state_dict({"count": 9})
    assert model.count.numpy() == 9


def test_shared_weights_stand_under_every_path() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    state = model.state_dict()
    assert list(state) == ["0.weight", "0.bias", "1.weight"]
    np.testing.assert_array_equal(state["0.weight"], state["1.weight"])
    model.load_state_dict(state)
    with pytest.raises(ArgumentError, match=r"missing: '1\.weight'"):
        model.load_state_dict({k: state[k] for k in ("0.weight", "0.bias")})


def test_mixed_homes_need_one_session() -> None:
    eager = nn.Linear(2, 2)
    with mg.Graph().as_default():
        model = nn.Sequential(eager, nn.Linear(2, 2))
        with mg.Session() as session:
            model.parameters()
            session.run(mg.global_variables_initializer())
            state = model.state_dict()
            model.load_state_dict({k: v * 0 for k, v in state.items()})
    assert not eager.weight.numpy().any()


def test_two_values_for_one_shared_parameter_are_refused() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

    model = Tied()
    before = model.a.weight.numpy()
    state = {"a.weight": np.ones((2, 2)), "b.weight": np.zeros((2, 2))}
    with pytest.raises(ArgumentError, match=r"'a\.weight' and 'b\.weight' are one parameter"):
        model.load_state_dict(state)
    np.testing.assert_array_equal(model.a.weight, before)
    model.load_state_dict(dict.fromkeys(state, np.full((2, 2), np.nan)))


def pair(seed: int) -> dict[str, Any]:
    mg.random.seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 1))
    return {"model": model, "optimizer": optim.Adam(0.1)}


INPUTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def test_a_model_and_its_optimizer_are_saved_and_restored(tmp_path: Path) -> None:
    def step(run: dict[str, Any]) -> float:
        model, optimizer = run["model"], run["optimizer"]
        return float(optimizer.minimize(lambda: mg.mean(model(INPUTS) ** 2), model))

    first, second = pair(1), pair(2)
    step(first)
    step(second)
    path = mg.save(tmp_path / "run.safetensors", first)
    mg.restore(path, second)
    assert [step(first) for _ in range(3)] == [step(second) for _ in range(3)]
    saved = load_file(mg.save(tmp_path / "model.safetensors", first["model"]))
    assert set(saved) == set(first["model"].state_dict()) > {"1.moving_mean", "2.bias"}
    with pytest.raises(ArgumentError, match=r"unexpected in the file: 'optimizer\.(.|\n)*build"):
        mg.restore(path, pair(3))
    with pytest.raises(ArgumentError, match=r"unexpected in the file: '2\.bias'"):
        mg.restore(tmp_path / "model.safetensors", nn.Sequential(*list(first["model"])[:2]))
    with pytest.raises(ArgumentError, match=r"missing in the file: 'optimizer\."):
        mg.restore(tmp_path / "model.safetensors", first)


def test_a_model_of_a_graph_is_saved_and_restored_in_its_session(tmp_path: Path) -> None:
    with mg.Graph().as_default(), mg.Session() as session:
        run = pair(1)
        scores = run["model"](mg.asarray(INPUTS))
        step = run["optimizer"].minimize(mg.mean(scores**2))
        session.run(mg.global_variables_initializer())
        session.run(step)
        path = mg.save(tmp_path / "run.safetensors", run, session=session)
        before = [session.run([scores, step])[0] for _ in range(2)]
        mg.restore(path, run, session=session)
        after = [session.run([scores, step])[0] for _ in range(2)]
    np.testing.assert_array_equal(before, after)

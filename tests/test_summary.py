"""`Module.summary`: the table, and that nothing but sizes changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentTypeError, ShapeError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(None, 100), nn.Lambda(mg.tanh))
        self.head = nn.Linear(100, 20)
        self.unused = nn.Linear(None, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x)), x


def test_the_table() -> None:
    text = """\
layer     class       output shape     parameters
-------------------------------------------------
(this)    Net         (?, 20), (?, 8)           -
  body    Sequential  (?, 100)                  -
    0     Linear      (?, 100)                900
    1     Lambda      (?, 100)                  -
  head    Linear      (?, 20)               2,020
  unused  Linear      -                         ?
-------------------------------------------------
2,920 parameters (11.4 KiB), 2,920 trainable; not counted, because never called: unused"""
    for graph in (None, mg.Graph()):
        if graph is None:
            assert str(Net().summary((None, 8))) == text
        else:
            with graph.as_default():
                assert repr(Net().summary((None, 8))) == text
            assert len(graph) == 0


def test_the_numbers() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    model[0].freeze()
    summary = model.summary((7, 4))
    assert summary.total == 27
    assert summary.trainable == 12
    assert summary.nbytes == 108
    assert [row.outputs for row in summary.rows] == [((7, 3),), ((7, 3),), ((7, 3),)]
    assert [row.parameters for row in summary.rows] == [0, 15, 12]


def test_shared_layers_count_once_and_show_their_calls() -> None:
    layer = nn.Linear(3, 3)
    summary = nn.Sequential(layer, layer).summary((None, 3))
    assert summary.total == 12
    assert len(summary.rows) == 2
    assert summary.rows[1].calls == 2
    assert "(?, 3) ×2" in str(summary)


def test_buffers_are_counted_apart() -> None:
    class Averages(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_parameter("scale", (5,), 1)
            self.add_buffer("average", (5,), dtype="float64")

        def forward(self, x: Any) -> Any:
            return x * self.scale

    summary = Averages().summary((None, 5))
    assert (summary.total, summary.buffers, summary.nbytes) == (5, 5, 60)
    assert "5 parameters (60 bytes with 5 in buffers), 5 trainable" in str(summary)


def test_nothing_changes_but_sizes() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = mg.random.Generator(seed=1)
            self.add_buffer("count", (), dtype="int32")
            self.layer = nn.Linear(None, 2)

        def forward(self, x: Any) -> Any:
            self.count.assign_add(1)
            return self.layer(x) + mg.random.normal((2,), generator=self.generator)

    model = Counts()
    model.count.assign(5)
    with mg.GradientTape() as tape:
        model.summary((None, 3))
    assert tape.watched_variables() == []
    assert model.count.numpy() == 5
    assert model.generator.counter == 0
    assert model.layer.in_features == 3
    assert "weight" not in vars(model.layer)  # Not even made.
    mg.random.seed(3)
    plain = nn.Linear(None, 2)
    mg.random.seed(3)
    seen = nn.Linear(None, 2)
    seen.summary((None, 4))
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(plain(x).numpy(), seen(x).numpy())


def test_a_graph_is_left_as_it_was() -> None:
    graph = mg.Graph()
    with graph.as_default():
        mg.random.seed(1)
        model = nn.Sequential(nn.Linear(None, 2), nn.Linear(2, 2))
        model[1].parameters()
        nodes, drawn = len(graph), graph.random_count
        model.summary((None, 4))
        assert (len(graph), graph.random_count) == (nodes, drawn)
        assert model(mg.ones((1, 4))).name == "sequential/1/Add:0"
        assert len(mg.global_variables()) == 4


def test_inputs_may_be_samples_or_specs() -> None:
    layer = nn.Linear(None, 2)
    assert layer.summary(np.ones((5, 3), np.float32)).rows[0].outputs == ((5, 2),)
    assert layer.summary(mg.ones((6, 3))).rows[0].outputs == ((6, 2),)
    assert layer.summary(mg.Spec((None, 3), mg.float32)).rows[0].outputs == ((None, 2),)
    table = nn.Embedding(10, 4)
    assert table.summary((None, 7), dtype="int64").rows[0].outputs == ((None, 7, 4),)
    with pytest.raises(ArgumentTypeError, match="takes a shape such as"):
        layer.summary("x")
    with pytest.raises(ShapeError, match="in_features=3"):
        layer.summary((None, 9))


def test_two_inputs() -> None:
    summary = nn.Bilinear(None, None, 5).summary((None, 2), (None, 3))
    assert summary.total == 35
    assert summary.rows[0].outputs == ((None, 5),)


def test_training_is_off_unless_asked_for() -> None:
    seen: list[Any] = []

    class Looks(nn.Module):
        def forward(self, x: Any) -> Any:
            seen.append(self.training)
            return x

    model = Looks()
    model.summary((2,))
    model.summary((2,), training=True)
    assert seen == [False, True]
    assert model.training is True


def test_modules_in_lists_show_their_place_in_them() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(2, 2), [nn.Sequential(nn.Linear(2, 2))]]

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            first, (second,) = self.layers
            return second(first(x))

    lines = str(Model().summary((None, 2))).splitlines()
    names = [line[: lines[0].index("class")].rstrip() for line in lines[2:6]]
    assert names == ["(this)", "  layers.0", "  layers.1.0", "    0"]

"""One module class each, trained in a session and eagerly: the same losses at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim

STEPS = 100
SEED = 7


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(None, 16)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(16, 3)

    def forward(self, x):
        return self.output(self.dropout(nn.relu(self.hidden(x))))


class LeNet(nn.Module):
    """Y. LeCun et al., 1998, with rectifiers and a dropout, for images of 12 by 12."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.second = nn.Conv2d(4, 6, 3, padding="SAME")
        self.classify = nn.Sequential(
            nn.Flatten(), nn.Linear(None, 12), nn.Dropout(0.3), nn.Linear(12, 3)
        )

    def forward(self, x):
        x = nn.max_pool2d(nn.relu(self.first(x)), 2)
        x = nn.avg_pool2d(nn.relu(self.second(x)), 2, padding="SAME")
        return self.classify(x)


class ResNet(nn.Module):
    """One residual block with batch normalisation (K. He et al., 2016) between two layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding="SAME", bias=False)
        self.block = nn.Residual(
            nn.Sequential(
                nn.BatchNorm(4),
                nn.ReLU(),
                nn.Conv2d(4, 4, 3, padding="SAME", bias=False),
                nn.BatchNorm(4),
                nn.ReLU(),
                nn.Conv2d(4, 4, 3, padding="SAME"),
            )
        )
        self.output = nn.Linear(4, 3)

    def forward(self, x):
        return self.output(mg.mean(self.block(self.stem(x)), axis=(1, 2)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(None, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, x):
        outputs, _ = self.lstm(x)
        return self.output(mg.mean(outputs, axis=1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(None, 8)
        self.positions = nn.PositionalEncoding(0.1)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout_rate=0.1)
        self.output = nn.Linear(8, 3)

    def forward(self, x):
        return self.output(mg.mean(self.encoder(self.positions(self.embed(x))), axis=1))


MODELS: list[tuple[Callable[[], Any], tuple[int, ...]]] = [
    (MLP, (5,)),
    (LeNet, (12, 12, 1)),
    (ResNet, (6, 6, 1)),
    (Recurrent, (7, 4)),
    (Transformer, (6, 4)),
]


def data(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Noise around one pattern for each of three classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 12)
    patterns = rng.normal(size=(3, *shape))
    return (patterns[labels] + 0.5 * rng.normal(size=(12, *shape))).astype(np.float32), labels


def in_a_session(make: Callable[[], Any], inputs: Any, labels: Any) -> tuple[Any, Any]:
    with mg.Graph().as_default():
        mg.random.seed(SEED)
        x = mg.placeholder("float32", (None, *inputs.shape[1:]))
        y = mg.placeholder("int64", (None,))
        training = mg.placeholder("bool", ())
        model = make()
        scores = model(x, training=training)
        loss = mg.mean(nn.softmax_cross_entropy(scores, y))
        step = optim.Momentum(0.05).minimize(loss)
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            feeds = {x: inputs, y: labels, training: True}
            losses = [session.run([loss, step], feeds)[0] for _ in range(STEPS)]
            return losses, session.run(scores, {x: inputs, training: False})


def eagerly(make: Callable[[], Any], inputs: Any, labels: Any) -> tuple[Any, Any]:
    mg.random.seed(SEED)
    model = make()
    optimizer = optim.Momentum(0.05)

    def loss() -> mg.Tensor:
        return mg.mean(nn.softmax_cross_entropy(model(inputs), labels))

    losses = [float(optimizer.minimize(loss, model)) for _ in range(STEPS)]
    return losses, model.eval()(inputs).numpy()


@pytest.mark.parametrize(("make", "shape"), MODELS, ids=lambda m: getattr(m, "__name__", ""))
def test_the_same_module_trains_alike_in_both_modes(make, shape):
    inputs, labels = data(shape)
    lazy, lazy_scores = in_a_session(make, inputs, labels)
    eager, eager_scores = eagerly(make, inputs, labels)
    mg.random.seed(None)
    assert len(lazy) == len(eager) == STEPS
    np.testing.assert_allclose(lazy, eager, rtol=0, atol=1e-5)
    assert np.mean(eager[-5:]) < 0.5 * eager[0]
    # With the averages of batch normalisation, and without dropout.
    np.testing.assert_allclose(lazy_scores, eager_scores, rtol=0, atol=1e-4)

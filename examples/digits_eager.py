"""The classifier of examples/digits.py, eagerly: the same model under a gradient tape.

python examples/digits_eager.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from digits import BATCH, EPOCHS, HIDDEN, MOMENTUM, PENALTY, RATE
from digits_data import Digits, Progress, batches, initial_weights, load

import minigrad as mg
from minigrad import nn


class Model:
    """Variables, and functions of them."""

    def __init__(self) -> None:
        start = initial_weights(HIDDEN)
        self.w1 = mg.Variable(start["hidden/weights"], name="hidden/weights")
        self.b1 = mg.Variable(start["hidden/bias"], name="hidden/bias")
        self.w2 = mg.Variable(start["output/weights"], name="output/weights")
        self.b2 = mg.Variable(start["output/bias"], name="output/bias")
        self.variables = [self.w1, self.b1, self.w2, self.b2]
        self.velocities = [
            mg.Variable(np.zeros(v.shape, np.float32), trainable=False) for v in self.variables
        ]

    def logits(self, images: Any) -> mg.Tensor:
        """Scores of the ten classes."""
        hidden = nn.relu(images @ self.w1 + self.b1)
        return hidden @ self.w2 + self.b2

    def loss(self, images: Any, labels: Any) -> mg.Tensor:
        """Mean cross-entropy and the penalty on large weights."""
        data = mg.mean(nn.softmax_cross_entropy(self.logits(images), labels))
        return data + PENALTY * (mg.sum(self.w1 * self.w1) + mg.sum(self.w2 * self.w2))

    def step(self, images: Any, labels: Any) -> float:
        """One training step; the loss before it."""
        with mg.GradientTape() as tape:
            loss = self.loss(images, labels)
        gradients = tape.gradient(loss, self.variables)
        for v, velocity, g in zip(self.variables, self.velocities, gradients, strict=True):
            v.assign_sub(RATE * velocity.assign(MOMENTUM * velocity + g))
        return float(loss)

    def accuracy(self, images: Any, labels: Any) -> float:
        """The share of images whose digit is found."""
        right = mg.equal(mg.argmax(self.logits(images), axis=-1), labels)
        return float(mg.mean(mg.astype(right, "float32")))


def fit(model: Model, data: Digits, epochs: int) -> list[float]:
    """Train, showing a progress bar; the loss of every step."""
    rng = np.random.default_rng(2)
    losses: list[float] = []
    with Progress(epochs) as progress:
        for _ in range(epochs):
            for images, labels in batches(data.train, BATCH, rng):
                losses.append(model.step(mg.asarray(images), mg.asarray(labels)))
            progress.epoch(losses, model.accuracy(*data.dev))
    return losses


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args(arguments)
    data = load()
    model = Model()
    began = time.perf_counter()
    losses = fit(model, data, options.epochs)
    seconds = time.perf_counter() - began
    accuracy = model.accuracy(*data.test)
    print(f"test accuracy {accuracy:.4f} after {len(losses)} steps in {seconds:.1f} s")
    return {"losses": losses, "accuracy": accuracy}


if __name__ == "__main__":
    main()

"""Measure what batch normalisation does for a network of ten layers.

    python examples/batchnorm.py            (about half a minute)

The claim: with it a deep network learns sooner, and puts up with a far wider range of learning
rates, because what a layer receives no longer shrinks or grows with all the layers before it. So
the same network, from the same weights and with the same mini-batches, is trained without and with
it at several learning rates. It has the usual initial weights, a little too small for ReLU: after
ten layers little is left of the input, nor of the gradient on its way back.
(With --activation sigmoid the gradient vanishes altogether, and only one of the two learns at all;
tanh, for which the weights are just right, needs the help least.)
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from digits_data import CLASSES, PIXELS, Digits, batches, load
from pictures import curves, panels
from progress import Progress

import minigrad as mg
from minigrad import nn, optim

LAYERS = 10
WIDTH = 64
BATCH = 64
EPOCHS = 20
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
GOAL = 0.3
ACTIVATIONS = {"relu": nn.relu, "tanh": mg.tanh, "sigmoid": mg.sigmoid}
NAMES = {False: "without batch norm", True: "with batch norm"}


class DeepNetwork(nn.Module):
    """Ten linear layers; after each but the last, perhaps a normalisation, then an activation."""

    def __init__(self, normalised: bool, activation: str) -> None:
        super().__init__()
        sizes = [PIXELS, *[WIDTH] * (LAYERS - 1)]
        # A normalisation subtracts the mean, and with it any bias; it adds a shift of its own.
        self.layers = [nn.Linear(size, WIDTH, bias=not normalised) for size in sizes[:-1]]
        self.norms = [nn.BatchNorm(WIDTH) if normalised else nn.Identity() for _ in self.layers]
        self.output = nn.Linear(WIDTH, CLASSES)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Any) -> tuple[mg.Tensor, list[mg.Tensor]]:
        """The scores of the classes, and what the hidden layers gave."""
        hidden = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.activation(norm(layer(x)))
            hidden.append(x)
        return self.output(x), hidden


class Run(NamedTuple):
    """What came out of one training."""

    losses: list[float]
    steps_to_goal: int | None
    accuracy: float
    silent: float


class Experiment:
    """The graph of one network, for training at any rate and for testing."""

    def __init__(self, normalised: bool, activation: str) -> None:
        self.name = NAMES[normalised]
        self.graph = mg.Graph("deep")
        with self.graph.as_default():
            mg.random.seed(1)  # So the weights are the same with and without normalisation.
            self.images = mg.placeholder("float32", (None, PIXELS), name="images")
            self.labels = mg.placeholder("int64", (None,), name="labels")
            self.rate = mg.placeholder("float32", (), name="rate")
            # In training the batch's own mean and variance normalise it; without, their averages.
            self.training = mg.placeholder_with_default(False, (), name="training")
            model = DeepNetwork(normalised, activation)
            scores, hidden = model(self.images, training=self.training)
            self.loss = mg.mean(nn.softmax_cross_entropy(scores, self.labels))
            right = mg.equal(mg.argmax(scores, axis=-1), self.labels)
            self.accuracy = mg.mean(mg.astype(right, "float32"))
            # A unit that gives (nearly) the same for every image is dead, or saturated.
            spread = mg.concat([mg.std(x, axis=0) for x in hidden], axis=0)
            self.silent = 1.0 - mg.mean(mg.astype(spread > 0.01, "float32"))
            self.weights = [layer.weight for layer in [*model.layers, model.output]]
            gradients = mg.gradients(self.loss, self.weights)
            self.gradient_norms = [mg.sqrt(mg.sum(g * g)) for g in gradients]
            self.step = optim.SGD(self.rate).minimize(self.loss)
            self.initialize = mg.global_variables_initializer()
        self.graph.finalize()

    def first_gradients(self, data: Digits) -> list[float]:
        """The norm of the gradient of every layer's weights, before the first step."""
        feed = {self.images: data.train.images, self.labels: data.train.labels, self.training: True}
        with mg.Session(graph=self.graph) as session:
            session.run(self.initialize)
            return [float(norm) for norm in session.run(self.gradient_norms, feed)]

    def run(self, data: Digits, rate: float, epochs: int, progress: Progress) -> Run:
        """Train from the start at a learning rate, and test."""
        rng = np.random.default_rng(2)
        losses: list[float] = []
        with mg.Session(graph=self.graph) as session:
            session.run(self.initialize)
            feeds = [self.images, self.labels, self.training, self.rate]
            step = session.make_callable([self.loss, self.step], feeds)
            for _ in range(epochs):
                for images, labels in batches(data.train, BATCH, rng):
                    losses.append(float(step(images, labels, True, rate)[0]))
                loss = float(np.mean(losses[-20:]))
                progress.update(network=self.name, rate=f"{rate:g}", loss=loss)
            test = {self.images: data.test.images, self.labels: data.test.labels}
            accuracy, silent = session.run([self.accuracy, self.silent], test)
        return Run(losses, steps_to(losses, GOAL), float(accuracy), float(silent))


def steps_to(losses: Sequence[float], goal: float) -> int | None:
    """After how many steps the mean of the last ten losses falls below the goal, if it does."""
    means = np.convolve(losses, np.full(10, 0.1), "valid")
    below = np.flatnonzero(means < goal)
    return int(below[0]) + 10 if len(below) else None


def show(runs: Mapping[str, Mapping[float, Run]]) -> None:
    """Print a table: a line for each learning rate."""
    columns = f"steps to {GOAL:g}  test accuracy  silent"
    print("\n" + " " * 8 + "   ".join([f"{name:^{len(columns)}}" for name in runs]))
    print(f"{'rate':>5}   " + "   ".join([columns for _ in runs]))
    for rate in RATES:
        cells = [
            f"{run.steps_to_goal or 'never':>12}  {run.accuracy:13.3f}  {run.silent:6.0%}"
            for run in [by_rate[rate] for by_rate in runs.values()]
        ]
        print(f"{rate:5g}   " + "   ".join(cells))
    print("(silent: the share of hidden units that give the same for every image)")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--activation", choices=list(ACTIVATIONS), default="relu")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    options = parser.parse_args(arguments)
    data = load()
    networks = [Experiment(normalised, options.activation) for normalised in NAMES]
    gradients = {network.name: network.first_gradients(data) for network in networks}
    runs: dict[str, dict[float, Run]] = {}
    began = time.perf_counter()
    trainings = len(networks) * len(RATES)
    with Progress(trainings * options.epochs, lines=trainings) as progress:
        for network in networks:
            runs[network.name] = {
                rate: network.run(data, rate, options.epochs, progress) for rate in RATES
            }
    seconds = time.perf_counter() - began
    show(runs)
    print("\nthe norm of the first gradient, layer by layer:")
    for name, norms in gradients.items():
        print(f"{name:>18}  " + "".join([f"{norm:8.1g}" for norm in norms]))
    print(f"\n{trainings} trainings in {seconds:.1f} s")
    drawings = [
        panels(
            options.out / "batchnorm.svg",
            {
                name: {f"rate {rate:g}": run.losses for rate, run in by_rate.items()}
                for name, by_rate in runs.items()
            },
            title=f"{LAYERS} layers learn handwritten digits",
            log=True,
        ),
        curves(
            options.out / "batchnorm_gradients.svg",
            gradients,
            title="The first gradient on its way back through the layers",
            x="layer",
            y="norm of the weights' gradient",
            log=True,
        ),
    ]
    print(f"pictures: {', '.join(str(path) for path in drawings)}")
    return {"runs": runs, "gradients": gradients, "drawings": drawings}


if __name__ == "__main__":
    main()

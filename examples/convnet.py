"""Train a convolutional network on handwritten digits.

    python examples/convnet.py            (about half a minute)

Two convolutions, each followed by batch normalisation and pooling, then a dense layer with dropout.
One graph serves training and testing: a placeholder says which it is. Some of the training images
are moved by a pixel, so that the network does not learn the place of every stroke by heart.
The loss, and the filters that the network has learnt, are drawn into out/.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from digits_data import CLASSES, Split, batches, load
from pictures import curves, images
from progress import Progress

import minigrad as mg
from minigrad import nn, optim

SIDE = 8
BATCH = 32
EPOCHS = 40
RATE = 0.003
MOVED = 0.3


class ConvNet(nn.Module):
    """Images of shape (n, 8, 8, 1) to the scores of the ten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding="SAME", bias=False)
        self.first_norm = nn.BatchNorm(16)
        self.second = nn.Conv2d(16, 32, 3, padding="SAME", bias=False)
        self.second_norm = nn.BatchNorm(32)
        self.hidden = nn.Linear(2 * 2 * 32, 64, weight_initializer=nn.initializers.HeNormal)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(64, CLASSES)

    def forward(self, x: Any) -> mg.Tensor:
        x = nn.max_pool2d(nn.relu(self.first_norm(self.first(x))), 2)
        x = nn.max_pool2d(nn.relu(self.second_norm(self.second(x))), 2)
        x = nn.relu(self.hidden(mg.reshape(x, (-1, 2 * 2 * 32))))
        scores: mg.Tensor = self.output(self.dropout(x))
        return scores


class Training:
    """The graph: placeholders, the network, its loss, and one step of Adam."""

    def __init__(self, steps: int) -> None:
        self.graph = mg.Graph("convnet")
        with self.graph.as_default():
            mg.random.seed(3)
            self.images = mg.placeholder("float32", (None, SIDE, SIDE, 1), name="images")
            self.labels = mg.placeholder("int64", (None,), name="labels")
            self.training = mg.placeholder_with_default(False, (), name="training")
            self.model = ConvNet()
            scores = self.model(self.images, training=self.training)
            self.loss = mg.mean(nn.softmax_cross_entropy(scores, self.labels))
            right = mg.equal(mg.argmax(scores, axis=-1), self.labels)
            self.accuracy = mg.mean(mg.astype(right, "float32"))
            rate = optim.CosineDecay(RATE, steps)
            self.step = optim.AdamW(rate, weight_decay=0.01).minimize(self.loss)
            self.initialize = mg.global_variables_initializer()
        self.graph.finalize()


def shifted(pictures: Any, rng: np.random.Generator) -> Any:
    """Some images moved by -1, 0 or 1 pixels along each axis; what comes in repeats the edge."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    moved = rng.random(len(pictures)) < MOVED
    down, right = np.where(moved, rng.integers(0, 3, (2, len(pictures))), 1)
    places = np.arange(SIDE)
    rows = (down[:, None] + places)[:, :, None]
    columns = (right[:, None] + places)[:, None, :]
    return padded[np.arange(len(pictures))[:, None, None], rows, columns]


def squares(data: Split) -> Split:
    """The same images as squares with one channel."""
    return Split(data.images.reshape(-1, SIDE, SIDE, 1), data.labels)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    options = parser.parse_args(arguments)
    train, dev, test = [squares(part) for part in load(standardise=False)]
    per_epoch = -(-len(train.labels) // BATCH)
    net = Training(options.epochs * per_epoch)
    print(net.model.summary((None, SIDE, SIDE, 1)))

    rng = np.random.default_rng(2)
    losses: list[float] = []
    with mg.Session(graph=net.graph) as session:
        session.run(net.initialize)
        feeds = [net.images, net.labels]
        step = session.make_callable([net.loss, net.step], [*feeds, net.training])
        score = session.make_callable(net.accuracy, feeds)
        began = time.perf_counter()
        with Progress(options.epochs) as progress:
            for _ in range(options.epochs):
                for pictures, labels in batches(train, BATCH, rng):
                    losses.append(float(step(shifted(pictures, rng), labels, True)[0]))
                progress.epoch(losses, float(score(*dev)))
        seconds = time.perf_counter() - began
        accuracy = float(score(*test))
        filters = session.run(net.model.first.weight)
    print(f"\ntest accuracy {accuracy:.4f} after {len(losses)} steps in {seconds:.1f} s")
    drawings = [
        curves(options.out / "convnet.svg", {"loss": losses}, title="A ConvNet learns", log=True),
        images(
            options.out / "convnet_filters.png",
            {"filters": np.moveaxis(filters[:, :, 0, :], -1, 0)},
            title="what the first convolution looks for",
        ),
    ]
    print(f"pictures: {', '.join(str(path) for path in drawings)}")
    return {"losses": losses, "accuracy": accuracy, "drawings": drawings}


if __name__ == "__main__":
    main()

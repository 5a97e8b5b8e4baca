"""Train an autoencoder that cleans noisy pictures of digits, and compare it with PCA.

    python examples/autoencoder.py            (about ten seconds)

The network squeezes 64 pixels through 8 numbers and restores the picture from them. It sees noisy
pictures and is asked for the clean ones, so the 8 numbers must say what is typical of digits.
Principal component analysis is the best that a linear network of this kind can do with clean
pictures; the curves that two more layers allow for must do better. All of it runs eagerly.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from digits_data import PIXELS, batches, load
from pictures import curves, images
from progress import Progress

import minigrad as mg
from minigrad import nn, optim

CODE = 8
HIDDEN = 128
NOISE = 0.3
BATCH = 32
EPOCHS = 80
RATE = 0.003


class Autoencoder(nn.Module):
    """Pictures of 64 pixels to a code of 8 numbers, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))

    def forward(self, pictures: Any) -> mg.Tensor:
        # A pixel lies between 0 and 1, and so does a sigmoid.
        return mg.sigmoid(self.decoder(self.encoder(pictures)))


def principal_components(pictures: Any, count: int) -> Callable[[Any], Any]:
    """A function that projects pictures to the directions in which the given ones vary most."""
    mean = pictures.mean(axis=0)
    directions = np.linalg.svd(pictures - mean, full_matrices=False)[2][:count]
    return lambda x: mean + (x - mean) @ directions.T @ directions


def noisy(pictures: Any, rng: np.random.Generator) -> Any:
    """The same pictures with normally distributed noise on every pixel."""
    return pictures + rng.normal(0.0, NOISE, pictures.shape).astype(pictures.dtype)


def error(restored: Any, originals: Any) -> float:
    """The mean of the squared differences of pixels."""
    return float(np.mean((restored - originals) ** 2))


def train_step(model: nn.Module, optimizer: optim.Optimizer, spoilt: Any, clean: Any) -> float:
    """Bring what the model makes of spoilt pictures closer to the clean ones; the loss before."""
    return float(optimizer.minimize(lambda: nn.mse_loss(model(spoilt), clean), model.parameters()))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    options = parser.parse_args(arguments)
    train, dev, test = load(standardise=False)
    rng = np.random.default_rng(2)
    noisy_dev, noisy_test = noisy(dev.images, rng), noisy(test.images, rng)

    mg.random.seed(1)  # The weights start from random numbers.
    model = Autoencoder()
    print(model.summary((None, PIXELS)))
    steps = options.epochs * -(-len(train.labels) // BATCH)
    optimizer = optim.Adam(optim.CosineDecay(RATE, steps))
    losses: list[float] = []
    dev_errors: list[float] = []
    began = time.perf_counter()
    with Progress(options.epochs) as progress:
        for _ in range(options.epochs):
            for clean, _labels in batches(train, BATCH, rng):
                # New noise every time: it cannot be learnt by heart.
                losses.append(train_step(model, optimizer, noisy(clean, rng), clean))
            dev_errors.append(error(model(noisy_dev).numpy(), dev.images))
            progress.update(loss=float(np.mean(losses[-20:])), dev_error=dev_errors[-1])
    seconds = time.perf_counter() - began

    # The same number of components, found at once by linear algebra.
    pca = principal_components(train.images, CODE)
    restored, projected = model(noisy_test).numpy(), pca(noisy_test)
    made = {
        "noisy": {"autoencoder": restored, "PCA": projected},
        "clean": {"autoencoder": model(test.images).numpy(), "PCA": pca(test.images)},
    }
    errors = {
        kind: {name: error(pictures, test.images) for name, pictures in row.items()}
        for kind, row in made.items()
    }
    print(f"\n{len(losses)} steps in {seconds:.1f} s; mean squared error on the test pictures:")
    print(f"{'from':>14}  {'autoencoder':>11}  {f'PCA, {CODE} components':>17}")
    for kind, row in errors.items():
        print(f"{kind + ' pictures':>14}  {row['autoencoder']:11.4f}  {row['PCA']:17.4f}")
    print(f"(the noisy pictures themselves: {error(noisy_test, test.images):.4f})")

    shown = [int(np.argmax(test.labels == digit)) for digit in range(10)]
    rows = {
        "original": test.images,
        "with noise": noisy_test,
        "autoencoder": restored,
        f"PCA, {CODE} components": projected,
    }
    drawings = [
        images(
            options.out / "autoencoder.png",
            {name: row[shown].reshape(-1, 8, 8) for name, row in rows.items()},
            title=f"Digits restored from {CODE} numbers each",
        ),
        curves(
            options.out / "autoencoder_error.svg",
            {
                "autoencoder": dev_errors,
                "PCA": [error(pca(noisy_dev), dev.images)] * len(dev_errors),
            },
            title="Cleaning noisy digits",
            x="epoch",
            y="mean squared error, dev set",
        ),
    ]
    print(f"pictures: {', '.join(str(path) for path in drawings)}")
    return {"losses": losses, "errors": errors, "drawings": drawings}


if __name__ == "__main__":
    main()

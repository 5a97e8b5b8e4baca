"""Scikit-learn's handwritten digits, split and normalised: 1,797 images of 8x8 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from progress import Progress as Progress
from sklearn.datasets import load_digits

PIXELS = 64
CLASSES = 10


class Split(NamedTuple):
    """Images of shape (n, 64), and the digits they show, of shape (n,)."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


class Digits(NamedTuple):
    """The three parts of the data."""

    train: Split
    dev: Split
    test: Split


def load(seed: int = 0, *, standardise: bool = True) -> Digits:
    """Shuffle, split 70/15/15, and normalise with the training set's mean and deviation.

    With standardise=False, pixels are left as they are: from 0, which is paper, to 1, which is ink.
    """
    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    images = bunch.data[order].astype(np.float32)
    labels = bunch.target[order].astype(np.int64)
    first, second = int(0.7 * len(order)), int(0.85 * len(order))
    if standardise:
        mean = images[:first].mean(axis=0)
        # Pixels that are the same in every training image would be divided by zero.
        deviation = np.maximum(images[:first].std(axis=0), 1e-3)
        images = np.clip((images - mean) / deviation, -5.0, 5.0)
    else:
        images = images / images.dtype.type(16)
    parts = [slice(0, first), slice(first, second), slice(second, None)]
    return Digits(*[Split(images[part], labels[part]) for part in parts])


def batches(
    data: Split, size: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """One epoch of shuffled mini-batches; the last one may be smaller."""
    order = rng.permutation(len(data.labels))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield data.images[chosen], data.labels[chosen]


def initial_weights(hidden: int, seed: int = 1) -> dict[str, NDArray[np.float32]]:
    """He-initialised weights and zero biases of a network with one hidden layer."""
    rng = np.random.default_rng(seed)

    def he(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.normal(0.0, np.sqrt(2.0 / rows), (rows, columns)).astype(np.float32)

    return {
        "hidden/weights": he(PIXELS, hidden),
        "hidden/bias": np.zeros(hidden, np.float32),
        "output/weights": he(hidden, CLASSES),
        "output/bias": np.zeros(CLASSES, np.float32),
    }

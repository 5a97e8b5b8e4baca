"""What is measured: eight computations, their data, and what must come out.

| | workload |
| --- | --- |
| W1 | the sum of a chain of 100 elementwise operations on 16 numbers; its gradient for the input |
| W2 | a step of Adam for a small classifier: 64-32-10, batches of 32 |
| W3 | a step of Adam for a classifier of the size of MNIST's: 784-512-256-10, batches of 128 |
| W4 | GELU (tanh form) of 4 Mi numbers, sum of squares; its gradient for the input |
| W5 | softmax cross-entropy of logits 4096 x 1000; its gradient for them |
| W6 | a step of Adam for LeNet on images 28 x 28, batches of 64 |
| W7 | an LSTM of 128 units over 64 steps, batch 32; the mean square of its last output |
| W8 | a pre-norm transformer block: width 256, 4 heads, 8 sequences of 128; mean square |

W7 and W8 take the gradients for the parameters. Data are drawn in float64 from fixed seeds; every
side gets them in float32, the reference computes with the float64 ones. Each is also there in a
small size, with the same code, for tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import references

Array = NDArray[Any]

#: How many batches a training step goes through before it begins again.
BATCHES = 8
#: How many steps of training have their losses checked.
CHECKED_STEPS = 5
#: The largest relative error, of a loss or of the norm of a gradient, that counts as right.
TOLERANCE = 1e-3


class Values(NamedTuple):
    """The data of a workload; for training, `x` and `labels` hold batches along the first axis."""

    parameters: list[Array]
    x: Array
    labels: Array | None = None

    def cast(self, dtype: str) -> Values:
        """The same with all floats in a dtype."""
        x = self.x.astype(dtype)
        return Values([p.astype(dtype) for p in self.parameters], x, self.labels)

    def batch_labels(self) -> Array:
        """The labels. Raises `ValueError` if the workload has none."""
        if self.labels is None:
            raise ValueError("this workload has no labels")
        return self.labels


class Found(NamedTuple):
    """What came out: losses (of the first steps, in training), and gradients (of the first)."""

    losses: list[float]
    gradients: list[Array]

    def save(self, path: str) -> None:
        """Write it to a file."""
        np.savez(path, *self.gradients, losses=np.array(self.losses))

    @classmethod
    def load(cls, path: str) -> Found:
        """Read what `save` wrote."""
        with np.load(path) as file:
            gradients = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
            return cls([float(loss) for loss in file["losses"]], gradients)


# -- data --------------------------------------------------------------------------------------


def elementwise_chain(size: int = 16) -> Values:
    """W1: the vector, and the factor and summand of the operations."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=size)
    return Values([rng.uniform(0.9, 1.3, size), rng.uniform(-0.2, 0.2, size)], x)


def classifier(sizes: Sequence[int], batch: int, seed: int, batches: int = BATCHES) -> Values:
    """W2, W3: weights and biases in turn, inputs, and labels."""
    rng = np.random.default_rng(seed)
    parameters: list[Array] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parameters.append(rng.normal(size=(inputs, outputs)) * np.sqrt(2.0 / inputs))
        parameters.append(rng.normal(size=outputs) * 0.01)
    x = rng.normal(size=(batches, batch, sizes[0]))
    return Values(parameters, x, rng.integers(0, sizes[-1], size=(batches, batch)))


def gelu(size: int = 4 * 1024 * 1024) -> Values:
    """W4: the input."""
    return Values([], np.random.default_rng(4).normal(size=size))


def cross_entropy(examples: int = 4096, classes: int = 1000) -> Values:
    """W5: logits and labels."""
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(examples, classes)) * 2
    return Values([], logits, rng.integers(0, classes, size=examples))


def lenet(
    side: int = 28,
    batch: int = 64,
    channels: tuple[int, int] = (32, 64),
    hidden: int = 1024,
    classes: int = 10,
) -> Values:
    """W6: kernels (height, width, in, out), matrices and biases; images (side, side, 1)."""
    rng = np.random.default_rng(6)
    first, second = channels
    flat = (side // 4) ** 2 * second
    parameters = [
        rng.normal(size=(5, 5, 1, first)) * np.sqrt(2 / 25),
        rng.normal(size=first) * 0.01,
        rng.normal(size=(5, 5, first, second)) * np.sqrt(2 / (25 * first)),
        rng.normal(size=second) * 0.01,
        rng.normal(size=(flat, hidden)) * np.sqrt(2 / flat),
        rng.normal(size=hidden) * 0.01,
        rng.normal(size=(hidden, classes)) * np.sqrt(1 / hidden),
        rng.normal(size=classes) * 0.01,
    ]
    x = rng.normal(size=(BATCHES, batch, side, side, 1))
    return Values(parameters, x, rng.integers(0, classes, size=(BATCHES, batch)))


def lstm(inputs: int = 64, hidden: int = 128, steps: int = 64, batch: int = 32) -> Values:
    """W7: the two weights and the bias, in blocks i, f, g, o; x of shape (steps, batch, inputs)."""
    rng = np.random.default_rng(7)
    limit = 1 / np.sqrt(hidden)
    shapes: list[Any] = [(inputs, 4 * hidden), (hidden, 4 * hidden), 4 * hidden]
    parameters = [rng.uniform(-limit, limit, shape) for shape in shapes]
    return Values(parameters, rng.normal(size=(steps, batch, inputs)))


def transformer_block(
    width: int = 256, sequence: int = 128, batch: int = 8, inner: int = 1024
) -> Values:
    """W8: scale, shift, query-key-value, bias, output, bias; scale, shift, up, bias, down, bias."""
    rng = np.random.default_rng(8)

    def small(*shape: int) -> Array:
        return rng.normal(size=shape) * 0.06

    parameters = [
        *(1 + small(width), small(width)),
        *(small(width, 3 * width), small(3 * width), small(width, width), small(width)),
        *(1 + small(width), small(width)),
        *(small(width, inner), small(inner), small(inner, width), small(width)),
    ]
    return Values(parameters, rng.normal(size=(batch, sequence, width)))


# -- workloads ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """One computation.

    Attributes:
        name: W1 to W8.
        title: what it is, in a few words.
        method: the name of the method of a `Side` that computes it.
        draw: makes the data; keywords are sizes.
        formula: the reference: from (parameters, x, labels) the loss and the gradients.
        small: sizes for tests.
        trains: whether it is a step of training, over `BATCHES` batches.
        bar: what minigrad's time is meant to stay below, in multiples of the best peer's.
    """

    name: str
    title: str
    method: str
    draw: Callable[..., Values]
    formula: Callable[..., tuple[Any, list[Array]]]
    small: Mapping[str, Any] = field(hash=False)
    trains: bool = False
    bar: float = 1.0

    def values(self, *, small: bool = False) -> Values:
        """The data, in float64."""
        return self.draw(**(self.small if small else {}))

    def reference(self, values: Values) -> Found:
        """What must come out, in float64, by a backward pass written by hand."""
        if not self.trains:
            loss, gradients = self.formula(*values)
            return Found([float(loss)], gradients)
        parameters = [p.copy() for p in values.parameters]
        labels = values.batch_labels()
        adam = references.Adam(parameters)
        losses, first = [], None
        for i in range(CHECKED_STEPS):
            batch = i % len(values.x)
            loss, gradients = self.formula(parameters, values.x[batch], labels[batch])
            losses.append(float(loss))
            first = gradients if first is None else first
            adam.apply(gradients)
        return Found(losses, first or [])


WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "W1",
            "100 tiny operations",
            "elementwise_chain",
            elementwise_chain,
            references.elementwise_chain,
            {"size": 5},
            bar=0.7,
        ),
        Workload(
            "W2",
            "small classifier, Adam",
            "classifier",
            partial(classifier, sizes=(64, 32, 10), batch=32, seed=2),
            references.classifier,
            {"sizes": (7, 5, 4), "batch": 6},
            trains=True,
            bar=0.7,
        ),
        Workload(
            "W3",
            "MNIST classifier, Adam",
            "classifier",
            partial(classifier, sizes=(784, 512, 256, 10), batch=128, seed=3),
            references.classifier,
            {"sizes": (20, 16, 12, 10), "batch": 8},
            trains=True,
            bar=0.9,
        ),
        Workload("W4", "GELU, 4 Mi", "gelu", gelu, references.gelu, {"size": 1000}, bar=0.4),
        Workload(
            "W5",
            "cross-entropy, 1000 classes",
            "cross_entropy",
            cross_entropy,
            references.cross_entropy,
            {"examples": 32, "classes": 50},
            bar=0.7,
        ),
        Workload(
            "W6",
            "LeNet, Adam",
            "lenet",
            lenet,
            references.lenet,
            {"side": 8, "batch": 4, "channels": (3, 4), "hidden": 10},
            trains=True,
            bar=1.0,
        ),
        Workload(
            "W7",
            "LSTM, 64 steps",
            "lstm",
            lstm,
            references.lstm,
            {"inputs": 4, "hidden": 8, "steps": 5, "batch": 3},
            bar=0.85,
        ),
        Workload(
            "W8",
            "transformer block",
            "transformer_block",
            transformer_block,
            references.transformer_block,
            {"width": 16, "sequence": 6, "batch": 2, "inner": 24},
            bar=1.0,
        ),
    )
}


# -- checking ----------------------------------------------------------------------------------


def check(what: str, found: Found, expected: Found) -> float:
    """The largest relative error, of a loss or of a gradient's norm.

    Raises:
        ArithmeticError: it is more than `TOLERANCE`, or something is missing.
    """
    for kind in ("losses", "gradients"):
        got, want = len(getattr(found, kind)), len(getattr(expected, kind))
        if got != want:
            raise ArithmeticError(f"{what}: expected {want} {kind}, got {got}")
    errors = [abs(a - b) / abs(b) for a, b in zip(found.losses, expected.losses, strict=True)] + [
        _distance(what, a, b) for a, b in zip(found.gradients, expected.gradients, strict=True)
    ]
    worst = float(np.max(errors))
    if not worst < TOLERANCE:  # Also where it is NaN.
        shown = ", ".join(f"{error:.1e}" for error in errors)
        raise ArithmeticError(
            f"{what}: expected relative errors below {TOLERANCE:g}, got {shown} (losses, then "
            "gradients)"
        )
    return worst


def _distance(what: str, found: Array, expected: Array) -> float:
    if found.shape != expected.shape:
        raise ArithmeticError(
            f"{what}: expected a gradient of shape {expected.shape}, got {found.shape}"
        )
    difference = found.astype(np.float64) - expected
    return float(np.linalg.norm(difference.ravel()) / np.linalg.norm(expected.ravel()))

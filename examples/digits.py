"""Train a classifier of handwritten digits: placeholders, variables, a session.

    python examples/digits.py            (or: make demo)

It trains a network with one hidden layer, checks the gradient of its whole loss, draws its graph
to out/digits.svg, and saves and restores its variables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from digits_data import PIXELS, Digits, Progress, batches, initial_weights, load

import minigrad as mg
from minigrad import nn

HIDDEN = 64
BATCH = 32
EPOCHS = 40
RATE = 0.05
MOMENTUM = 0.9
PENALTY = 1e-4


class Model:
    """The graph: inputs, loss, the accuracy, and one training step."""

    def __init__(self, rate: float = RATE) -> None:
        self.graph = mg.Graph("digits")
        start = initial_weights(HIDDEN)
        with self.graph.as_default():
            self.images = mg.placeholder("float32", (None, PIXELS), name="images")
            self.labels = mg.placeholder("int64", (None,), name="labels")
            with mg.name_scope("hidden"):
                w1 = mg.Variable(start["hidden/weights"], name="weights")
                b1 = mg.Variable(start["hidden/bias"], name="bias")
                hidden = nn.relu(self.images @ w1 + b1)
            with mg.name_scope("output"):
                w2 = mg.Variable(start["output/weights"], name="weights")
                b2 = mg.Variable(start["output/bias"], name="bias")
                self.logits = hidden @ w2 + b2
            with mg.name_scope("loss"):
                data = mg.mean(nn.softmax_cross_entropy(self.logits, self.labels))
                penalty = PENALTY * (mg.sum(w1 * w1) + mg.sum(w2 * w2))
                self.loss = data + penalty
            with mg.name_scope("accuracy"):
                self.predictions = mg.argmax(self.logits, axis=-1)
                right = mg.equal(self.predictions, self.labels)
                self.accuracy = mg.mean(mg.astype(right, "float32"))
            self.variables = [w1, b1, w2, b2]
            gradients = mg.gradients(self.loss, self.variables)
            with mg.name_scope("train"):
                self.train = mg.group(
                    [
                        momentum_step(variable, gradient, rate)
                        for variable, gradient in zip(self.variables, gradients, strict=True)
                    ]
                )
            self.initialize = mg.global_variables_initializer()
        self.graph.finalize()


def momentum_step(variable: mg.Variable, gradient: mg.Tensor, rate: float) -> mg.Tensor:
    """The assignment v = 0.9 v + g, w = w - rate * v."""
    velocity = mg.Variable(
        np.zeros(variable.shape, np.float32), trainable=False, name=f"{variable.name}/velocity"
    )
    faster = velocity.assign(MOMENTUM * velocity + gradient)
    return variable.assign_sub(rate * faster)


def fit(model: Model, session: mg.Session, data: Digits, epochs: int) -> list[float]:
    """Train, showing a progress bar; the loss of every step."""
    step = session.make_callable([model.loss, model.train], [model.images, model.labels])
    score = session.make_callable(model.accuracy, [model.images, model.labels])
    rng = np.random.default_rng(2)
    losses: list[float] = []
    with Progress(epochs) as progress:
        for _ in range(epochs):
            for images, labels in batches(data.train, BATCH, rng):
                losses.append(float(step(images, labels)[0]))
            progress.epoch(losses, float(score(*data.dev)))
    return losses


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    data = load()
    model = Model()
    print(
        f"{len(data.train.labels)} training, {len(data.dev.labels)} dev and "
        f"{len(data.test.labels)} test images; {model.graph!r}"
    )

    with mg.Session(graph=model.graph) as session:
        session.run(model.initialize)
        few = {model.images: data.train.images[:8], model.labels: data.train.labels[:8]}
        print("checking the gradient of the whole loss on 8 images, a few seconds …", flush=True)
        report = mg.gradcheck(model.loss, feed_dict=few, session=session)
        print(f"\n{report}\n")

        began = time.perf_counter()
        losses = fit(model, session, data, options.epochs)
        seconds = time.perf_counter() - began
        everything = {model.images: data.test.images, model.labels: data.test.labels}
        accuracy, predictions = session.run([model.accuracy, model.predictions], everything)
        print(f"\ntest accuracy {accuracy:.4f} after {len(losses)} steps in {seconds:.1f} s")
        saved = mg.save(options.out / "digits.safetensors", model.variables, session=session)

    with mg.Session(graph=model.graph) as second:
        mg.restore(saved, model.variables, session=second)
        again = second.run(model.predictions, {model.images: data.test.images})
    same = bool(np.array_equal(predictions, again))
    print(
        f"saved to {saved}; a second session that restored it "
        f"{'gives the same predictions' if same else 'DISAGREES'}"
    )

    drawing = mg.render([model.loss, model.accuracy], options.out / "digits.svg")
    print(f"the graph of the loss and the accuracy is drawn in {drawing}")
    return {
        "losses": losses,
        "accuracy": float(accuracy),
        "gradients_right": report.ok,
        "restored_same": same,
        "drawing": drawing,
    }


if __name__ == "__main__":
    outcome = main()
    if not (outcome["gradients_right"] and outcome["restored_same"]):
        raise SystemExit(1)

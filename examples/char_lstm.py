"""Train an LSTM to write, character by character.

    python examples/char_lstm.py            (about a minute)

It reads ten thousand small sentences that a grammar has made up, and learns to say which character
comes next. Asked again and again, it then writes sentences of its own. Nobody tells it what a word
is, nor that one fox hunts but two foxes hunt, whatever stands in between. Since the grammar is
known, we can count how many of its sentences are right, and how close its guesses come to the best
possible.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# One thread is sooner done with products as small as these than two that wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from grammar import information, made_up, pattern
from pictures import curves
from progress import Progress

import minigrad as mg
from minigrad import nn, optim

SENTENCES = 10_000
HIDDEN = 96
BATCH = 32
LENGTH = 48
STEPS = 1000
RATE = 0.01
END = "\n"


class Writer(nn.Module):
    """Characters to the scores of the characters that may come next."""

    def __init__(self, alphabet: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(alphabet, 16)
        # Gates that are open at first let the gradient reach far back: it learns to remember.
        self.lstm = nn.LSTM(16, HIDDEN, forget_bias=1.0)
        self.output = nn.Linear(HIDDEN, alphabet)

    def forward(self, characters: Any, state: Any) -> tuple[mg.Tensor, Any]:
        """The scores, of shape (texts, time, alphabet), and the state to go on with."""
        outputs, state = self.lstm(self.embedding(characters), state)
        return self.output(outputs), state


class Graph:
    """The graph: one step of training, and the drawing of one more character."""

    def __init__(self, alphabet: int, steps: int) -> None:
        self.graph = mg.Graph("char_lstm")
        with self.graph.as_default():
            mg.random.seed(1)
            self.characters = mg.placeholder("int64", (None, None), name="characters")
            self.following = mg.placeholder("int64", (None, None), name="following")
            self.temperature = mg.placeholder("float32", (), name="temperature")
            # An LSTM has two states, for each text: what it says, and what it keeps in mind.
            self.state = [mg.placeholder("float32", (1, None, HIDDEN), name=n) for n in "hc"]
            self.model = Writer(alphabet)
            scores, self.new_state = self.model(self.characters, tuple(self.state))
            self.loss = mg.mean(nn.softmax_cross_entropy(scores, self.following))
            optimizer = optim.Adam(optim.CosineDecay(RATE, steps), clip_global_norm=1.0)
            self.step = optimizer.minimize(self.loss)
            # Below 1 the temperature favours what is likely anyway; above, it levels the chances.
            self.next = mg.random.categorical(scores[:, -1, :] / self.temperature, 1)
            self.initialize = mg.global_variables_initializer()
        self.graph.finalize()


def windows(text: Any) -> Iterator[tuple[Any, Any, bool]]:
    """Pieces of 32 parts of the text side by side, what follows on them, and if the parts begin."""
    width = (len(text) - 1) // BATCH
    parts = text[: BATCH * width].reshape(BATCH, width)
    following = text[1 : BATCH * width + 1].reshape(BATCH, width)
    while True:
        for start in range(0, width - LENGTH + 1, LENGTH):
            piece = slice(start, start + LENGTH)
            yield parts[:, piece], following[:, piece], start == 0


def blank(texts: int) -> list[Any]:
    """The state of texts that have not begun."""
    return [np.zeros((1, texts, HIDDEN), np.float32)] * 2


def fit(net: Graph, session: mg.Session, text: Any, steps: int) -> list[float]:
    """Train; the loss of every step, in bits for a character."""
    step = session.make_callable(
        [net.loss, net.new_state, net.step], [net.characters, net.following, *net.state]
    )
    losses: list[float] = []
    pieces, state = windows(text), blank(BATCH)
    with Progress(steps, "step") as progress:
        for _ in range(steps):
            characters, following, begins = next(pieces)
            # The state goes on from piece to piece, though the gradient does not reach back.
            if begins:
                state = blank(BATCH)
            loss, state, _ = step(characters, following, *state)
            losses.append(float(loss) / math.log(2))
            progress.update(bits=float(np.mean(losses[-50:])))
    return losses


def write(
    net: Graph, session: mg.Session, alphabet: str, begin: str, texts: int, temperature: float
) -> list[str]:
    """Let the model read a text, and go on in different ways, each until a sentence ends."""
    draw = session.make_callable(
        [net.next, net.new_state], [net.characters, net.temperature, *net.state]
    )
    characters, state = np.array([[alphabet.index(c) for c in begin]] * texts), blank(texts)
    drawn = []
    for _ in range(120):
        characters, state = draw(characters, temperature, *state)
        drawn.append(characters[:, 0])
    lines = ["".join([alphabet[i] for i in row]) for row in np.transpose(drawn)]
    return [line.split(END)[0] for line in lines]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--temperature", type=float, default=0.7, help="of the sentences shown")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    options = parser.parse_args(arguments)
    rng = random.Random(0)
    sentences = [made_up(rng) for _ in range(SENTENCES)]
    joined = END + END.join(sentences) + END
    alphabet = "".join(sorted(set(joined)))
    text = np.array([alphabet.index(character) for character in joined])
    bits, characters = information()
    limit = bits / (characters + len(END))
    print(f"{len(text)} characters, {len(alphabet)} different ones, such as:")
    print("\n".join([f"    {sentence}" for sentence in sentences[:3]]) + "\n")

    net = Graph(len(alphabet), options.steps)
    right = re.compile(pattern())
    known = set(sentences)
    begin = END + sentences[0] + END
    with mg.Session(graph=net.graph) as session:
        session.run(net.initialize)
        began = time.perf_counter()
        losses = fit(net, session, text, options.steps)
        seconds = time.perf_counter() - began
        written = {
            temperature: write(net, session, alphabet, begin, 200, temperature)
            for temperature in (0.5, 1.0, 1.5)
        }
        shown = write(net, session, alphabet, begin, 10, options.temperature)
    print(f"\n{len(losses)} steps in {seconds:.1f} s: {np.mean(losses[-50:]):.3f} bits a character")
    print(f"(who knows the grammar needs {limit:.3f}, and nobody can do with less)\n")
    shares = {}
    for temperature, lines in written.items():
        good = [line for line in lines if right.fullmatch(line)]
        shares[temperature] = len(good) / len(lines)
        new = len([line for line in good if line not in known]) / len(lines)
        print(
            f"temperature {temperature}: {shares[temperature]:4.0%} right, {new:4.0%} right and new"
        )
    print(f"\nwritten at temperature {options.temperature}:")
    for line in shown:
        print(f"    {line}" + ("" if right.fullmatch(line) else "    (not by the grammar)"))
    drawing = curves(
        options.out / "char_lstm.svg",
        {"LSTM": losses, "best possible": [limit] * len(losses)},
        title="Learning to write",
        y="bits a character",
        log=True,
    )
    print(f"\npicture: {drawing}")
    return {"losses": losses, "limit": limit, "right": shares, "shown": shown, "drawing": drawing}


if __name__ == "__main__":
    main()

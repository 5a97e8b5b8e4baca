"""Train a transformer to write words backwards.

    python examples/transformer.py            (about half a minute)

An encoder reads a word of four to ten random letters; a decoder writes it backwards, letter by
letter, and sees what it has written so far. In training it is shown the right answer up to each
letter; in the test it goes by its own letters only. A word counts if all of it is right. The
decoder's attention to the word is drawn into out/: it reads from the end to the beginning.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pictures import curves, heat_maps
from progress import Progress

import minigrad as mg
from minigrad import nn, optim

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PAD, START, END = 0, 1, 2  # The tokens before those of the letters.
TOKENS = 3 + len(LETTERS)
SHORTEST, LONGEST = 4, 10
FEATURES, HEADS, LAYERS = 32, 2, 1
BATCH = 64
STEPS = 700
RATE = 0.005
HELD_OUT = 1000
SHOWN = "minigrad"  # The word whose attention is drawn.


class Reverser(nn.Module):
    """An encoder-decoder transformer, from tokens to the scores of the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, FEATURES)
        self.positions = nn.PositionalEncoding()
        self.encoder = nn.TransformerEncoder(
            LAYERS, FEATURES, HEADS, norm_first=True, dropout_rate=0.0
        )
        self.decoder = nn.TransformerDecoder(
            LAYERS, FEATURES, HEADS, norm_first=True, dropout_rate=0.0
        )
        self.output = nn.Linear(FEATURES, TOKENS)

    def forward(self, words: Any, written: Any) -> Any:
        """Scores of shape (batch, length, tokens), and the last layer's attention to the words."""
        letters = mg.not_equal(words, PAD)
        memory = self.encoder(self.positions(self.embedding(words)), key_mask=letters)
        y, weights = self.decoder(
            self.positions(self.embedding(written)),
            memory,
            memory_key_mask=letters,
            return_weights=True,
        )
        _, to_words = weights[-1]
        return self.output(y), to_words


class Training:
    """The graph: placeholders, the transformer, its loss, and one step of Adam."""

    def __init__(self, steps: int) -> None:
        self.graph = mg.Graph("transformer")
        with self.graph.as_default():
            mg.random.seed(1)
            # How many words there are, and how long they are, is open until a run.
            self.words = mg.placeholder("int64", (None, None), name="words")
            self.written = mg.placeholder("int64", (None, None), name="written")
            self.wanted = mg.placeholder("int64", (None, None), name="wanted")
            self.model = Reverser()
            scores, self.attention = self.model(self.words, self.written)
            asked = mg.not_equal(self.wanted, PAD)
            self.loss = nn.cross_entropy(scores, self.wanted, mask=asked)
            self.tokens = mg.argmax(scores, axis=-1)
            right = mg.logical_or(mg.equal(self.tokens, self.wanted), mg.logical_not(asked))
            # If each letter is right after the right letters, then all are right by themselves.
            self.exact = mg.mean(mg.astype(mg.all(right, axis=1), "float32"))
            rate = optim.LinearWarmup(optim.CosineDecay(RATE, steps), max(1, steps // 20))
            self.step = optim.Adam(rate, clip_global_norm=1.0).minimize(self.loss)
            self.initialize = mg.global_variables_initializer()
        self.graph.finalize()


def draw_words(count: int, rng: np.random.Generator, besides: set[str] | None = None) -> list[str]:
    """Random words that are not among some others."""
    words: list[str] = []
    while len(words) < count:
        word = "".join(rng.choice(list(LETTERS), rng.integers(SHORTEST, LONGEST + 1)))
        if word not in (besides or ()):
            words.append(word)
    return words


def tokens(words: Sequence[str]) -> Any:
    """One row for each word: its letters, END, and padding to the length of the longest."""
    table = np.full((len(words), max(map(len, words)) + 1), PAD, np.int64)
    for row, word in zip(table, words, strict=True):
        row[: len(word) + 1] = [*(3 + LETTERS.index(letter) for letter in word), END]
    return table


def example_of(words: Sequence[str]) -> tuple[Any, Any, Any]:
    """What is read, what is to be written, and the same delayed by one place."""
    wanted = tokens([word[::-1] for word in words])
    written = np.roll(wanted, 1, axis=1)
    written[:, 0] = START
    return tokens(words), written, wanted


def spelled(row: Any) -> str:
    """The letters of a row up to END."""
    ends = np.flatnonzero(row == END)
    return "".join(
        LETTERS[t - 3] if t > END else "?" for t in row[: ends[0] if len(ends) else None]
    )


def write(net: Training, session: mg.Session, words: Sequence[str]) -> list[str]:
    """What the transformer writes for words, each letter after those that it wrote itself."""
    following = session.make_callable(net.tokens, [net.words, net.written])
    read = tokens(words)
    written = np.full((len(words), 1), START, np.int64)
    for _ in range(read.shape[1]):
        # All is computed again for each letter. That is simple, and fast enough for short words.
        written = np.concatenate([written, following(read, written)[:, -1:]], axis=1)
    return [spelled(row[1:]) for row in written]


def fit(
    net: Training, session: mg.Session, steps: int, besides: set[str]
) -> tuple[list[float], list[float]]:
    """Train with new words in each step; the losses, and the fractions of words that were right."""
    rng = np.random.default_rng(2)
    feeds = [net.words, net.written, net.wanted]
    step = session.make_callable([net.loss, net.exact, net.step], feeds)
    losses: list[float] = []
    exact: list[float] = []
    with Progress(steps, "step", lines=12) as progress:
        for _ in range(steps):
            loss, right, _done = step(*example_of(draw_words(BATCH, rng, besides)))
            losses.append(float(loss))
            exact.append(float(right))
            accuracy = f"{np.mean(exact[-20:]):.3f}"
            progress.update(loss=float(np.mean(losses[-20:])), accuracy=accuracy)
    return losses, exact


def draw_attention(net: Training, session: mg.Session, word: str, path: Path) -> Path:
    """Draw where each head of the decoder looks while it writes a word."""
    read, written, _ = example_of([word])
    heads = session.run(net.attention, {net.words: read, net.written: written})[0]
    return heat_maps(
        path,
        {f"head {i}": weights for i, weights in enumerate(heads, 1)},
        title=f"Where the decoder looks in {word!r} (columns) while it writes (rows)",
        rows=[*word[::-1], "end"],
        columns=[*word, "end"],
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the whole example; what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    options = parser.parse_args(arguments)
    test = draw_words(HELD_OUT, np.random.default_rng(1), {SHOWN})
    net = Training(options.steps)
    print(net.model.summary((None, None), (None, None), dtype="int64"))
    with mg.Session(graph=net.graph) as session:
        session.run(net.initialize)
        began = time.perf_counter()
        losses, exact = fit(net, session, options.steps, {*test, SHOWN})
        seconds = time.perf_counter() - began
        answers = write(net, session, [SHOWN, *test])
        drawing = draw_attention(net, session, SHOWN, options.out / "transformer_attention.svg")
    results = [answer == word[::-1] for answer, word in zip(answers[1:], test, strict=True)]
    accuracy = sum(results) / len(results)
    print(f"\n{len(losses)} steps in {seconds:.1f} s")
    for word, answer in zip([SHOWN, *test[:4]], answers, strict=False):
        print(f"{word:>{LONGEST}} -> {answer:<{LONGEST}} {'' if answer == word[::-1] else 'wrong'}")
    print(f"test accuracy {accuracy:.4f}: all letters right of {len(test)} words not trained on")
    learnt = curves(
        options.out / "transformer.svg",
        {"loss of a letter": losses, "words not right": [1.0 - right for right in exact]},
        title="A transformer learns to write words backwards",
        y="loss, fraction",
    )
    print(f"pictures: {drawing}, {learnt}")
    return {"losses": losses, "accuracy": accuracy, "drawings": [drawing, learnt]}


if __name__ == "__main__":
    main()

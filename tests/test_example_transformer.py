"""The transformer example does what it says, in runs of a few seconds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg


@pytest.fixture
def transformer(example: Any) -> Any:
    """The example's module."""
    return example("transformer")


def test_words_become_tokens_and_words_again(transformer: Any) -> None:
    words, written, wanted = transformer.example_of(["abc", "zz"])
    assert words.tolist() == [[3, 4, 5, 2], [28, 28, 2, 0]]
    assert wanted.tolist() == [[5, 4, 3, 2], [28, 28, 2, 0]]
    assert written[:, 0].tolist() == [1, 1]
    assert (written[:, 1:] == wanted[:, :-1]).all()
    assert [transformer.spelled(row) for row in words] == ["abc", "zz"]
    assert transformer.spelled(np.array([3, 0, 4])) == "a?b"
    drawn = transformer.draw_words(50, np.random.default_rng(0))
    assert {len(word) for word in drawn} == set(range(4, 11))
    again = transformer.draw_words(49, np.random.default_rng(0), {drawn[7]})
    assert again == drawn[:7] + drawn[8:]


def test_the_example_does_all_it_says(
    transformer: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transformer, "HELD_OUT", 20)
    outcome = transformer.main(["--steps", "60", "--out", str(tmp_path)])
    assert np.mean(outcome["losses"][-5:]) < 0.75 * np.mean(outcome["losses"][:5])
    assert 0.0 <= outcome["accuracy"] <= 1.0
    printed = capsys.readouterr().out
    assert re.search(r"step +60 +loss \d\.\d+ +accuracy 0\.\d{3}\n", printed)
    assert re.search(r"  minigrad -> \w* ", printed)
    assert re.search(r"test accuracy \d\.\d{4}: all letters right of 20 words", printed)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "transformer.svg",
        "transformer_attention.svg",
    ]
    text = (tmp_path / "transformer_attention.svg").read_text(encoding="utf-8")
    assert text.count('<g id="axes_') == 2


def test_short_words_are_learnt_and_the_two_accuracies_are_the_same(
    transformer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer, "SHORTEST", 1)
    monkeypatch.setattr(transformer, "LONGEST", 4)
    monkeypatch.setattr(transformer, "LETTERS", "abcdef")
    words = transformer.draw_words(200, np.random.default_rng(1))
    net = transformer.Training(150)
    with mg.Session(graph=net.graph) as session:
        session.run(net.initialize)
        losses, exact = transformer.fit(net, session, 150, set())
        answers = transformer.write(net, session, words)
        shown = session.run(
            net.exact,
            dict(
                zip(
                    [net.words, net.written, net.wanted], transformer.example_of(words), strict=True
                )
            ),
        )
    assert len(losses) == len(exact) == 150
    alone = np.mean([answer == word[::-1] for answer, word in zip(answers, words, strict=True)])
    # Shown the right letters, it is right about whole words exactly where it is so by itself.
    assert alone == pytest.approx(shown)
    assert alone > 0.5

"""How far a training is: a bar in a terminal, lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm


class Progress:
    """A progress bar in a terminal; elsewhere, such as in a log, now and then a line.

    Args:
        total: how many epochs or steps there will be.
        unit: what is counted.
        name: what is going on.
        lines: about how many lines are printed where there is no terminal.
    """

    def __init__(
        self, total: int, unit: str = "epoch", *, name: str = "training", lines: int = 8
    ) -> None:
        self.total = total
        self.unit = unit
        self.done = 0
        self.every = max(1, total // lines)
        self.bar = tqdm(total=total, unit=unit, desc=name, disable=not sys.stderr.isatty())

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def update(self, **figures: float | str) -> None:
        """One more is done; shows the figures by their names (numbers with four decimals)."""
        self.done += 1
        if self.bar.disable:
            if self.done % self.every == 0 or self.done == self.total:
                shown = [f"{name.replace('_', ' ')} {_text(x)}" for name, x in figures.items()]
                print("  ".join([f"{self.unit} {self.done:3d}", *shown]), flush=True)
            return
        # The bar itself decides when it is drawn again: not a thousand times a second.
        self.bar.set_postfix({name: _text(x) for name, x in figures.items()}, refresh=False)
        self.bar.update()

    def epoch(self, losses: Sequence[float], dev_accuracy: float) -> None:
        """An epoch of a classifier is over: the mean of the last losses, and the accuracy."""
        self.update(loss=float(np.mean(losses[-20:])), dev_accuracy=f"{dev_accuracy:.3f}")


def _text(figure: float | str) -> str:
    return figure if isinstance(figure, str) else f"{figure:.4f}"

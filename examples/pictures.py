"""Pictures of what an example did: curves, rows of images, heat maps. Drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # Draws to files; no window is needed.

from matplotlib import pyplot as plt

SMOOTHING = 0.05


def curves(
    path: Path,
    series: Mapping[str, Sequence[float]],
    *,
    title: str,
    x: str = "step",
    y: str = "loss",
    log: bool = False,
) -> Path:
    """Draw some series of numbers into one diagram; long ones also as they are, in the background.

    Args:
        path: the file, whose ending says the format: .svg or .png.
        series: numbers by name.
        title: stands above the diagram.
        x: what is counted from left to right.
        y: what the numbers are.
        log: a logarithmic scale.
    """
    return panels(path, {"": series}, title=title, x=x, y=y, log=log)


def panels(
    path: Path,
    diagrams: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    title: str,
    x: str = "step",
    y: str = "loss",
    log: bool = False,
) -> Path:
    """Draw several diagrams like that of `curves` side by side, with the same scales.

    Args:
        path: the file, whose ending says the format: .svg or .png.
        diagrams: for each diagram, by its name, some series of numbers by their names.
        title: stands above all of it.
        x: what is counted from left to right.
        y: what the numbers are.
        log: a logarithmic scale.
    """
    figure, grid = plt.subplots(
        *(1, len(diagrams)),
        figsize=(2 + 5 * len(diagrams), 4),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, (name, series) in zip(grid[0], diagrams.items(), strict=True):
        _draw(axes, series)
        axes.set(title=name, xlabel=x, yscale="log" if log else "linear")
        axes.grid(alpha=0.3)
        if len(series) > 1:
            axes.legend()
    grid[0, 0].set_ylabel(y)
    figure.suptitle(title)
    return _save(figure, path)


def _draw(axes: Any, series: Mapping[str, Sequence[float]]) -> None:
    for name, values in series.items():
        numbers = np.asarray(values, float)
        steps = np.arange(1, len(numbers) + 1)
        if len(numbers) < 100:
            axes.plot(steps, numbers, label=name, marker="o", markersize=3)
            continue
        (line,) = axes.plot(steps, smoothed(numbers), label=name)
        axes.plot(steps, numbers, color=line.get_color(), alpha=0.2, linewidth=0.6, zorder=1)


def smoothed(values: Any) -> Any:
    """An exponentially weighted average, corrected for its start at zero."""
    total, weight, averages = 0.0, 0.0, []
    for value in values:
        total += SMOOTHING * (value - total)
        weight += SMOOTHING * (1.0 - weight)
        averages.append(total / weight)
    return np.array(averages)


def images(path: Path, rows: Mapping[str, Any], *, title: str) -> Path:
    """Draw rows of grey images, each with its name on the left.

    Args:
        path: the file.
        rows: arrays of shape (number, height, width) by name.
        title: stands above the picture.
    """
    columns = max(len(row) for row in rows.values())
    size = (0.7 * columns + 1.2, 0.8 * len(rows) + 0.5)
    figure, grid = plt.subplots(
        len(rows), columns, figsize=size, squeeze=False, layout="compressed"
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (name, row) in zip(grid, rows.items(), strict=True):
        line[0].text(-0.2, 0.5, name, ha="right", va="center", transform=line[0].transAxes)
        for axes, image in zip(line, row, strict=False):
            axes.imshow(image, cmap="gray_r")
    figure.suptitle(title)
    return _save(figure, path)


def heat_maps(
    path: Path,
    maps: Mapping[str, Any],
    *,
    title: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Path:
    """Draw matrices side by side, each under its name.

    Args:
        path: the file.
        maps: matrices by name.
        title: stands above the picture.
        rows: what the rows are, from above.
        columns: what the columns are, from the left.
    """
    figure, grid = plt.subplots(
        1, len(maps), figsize=(3.2 * len(maps) + 0.6, 3.6), squeeze=False, layout="constrained"
    )
    for axes, (name, matrix) in zip(grid[0], maps.items(), strict=True):
        axes.imshow(np.asarray(matrix), cmap="viridis", aspect="auto")
        axes.set_title(name, fontsize="medium")
        axes.set_xticks(*_ticks(columns, np.shape(matrix)[1]))
        axes.set_yticks(*_ticks(rows, np.shape(matrix)[0]))
    figure.suptitle(title)
    return _save(figure, path)


def _ticks(names: Sequence[str] | None, count: int) -> tuple[Any, ...]:
    return ([],) if names is None else (range(count), list(names))


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same numbers give the same file.
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return path

"""Running optimizers on given gradients, eagerly and in graphs; shared by their tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg


def variable(values: Any, name: str = "v", dtype: Any = np.float64) -> mg.Variable:
    return mg.Variable(np.array(values, dtype), name=name)


def lazily(
    optimizer: Any, starts: list[Any], gradients: list[list[Any]], **extra: Any
) -> list[list[np.ndarray]]:
    """Values of variables after steps with fed gradients."""
    with mg.Graph().as_default() as graph:
        variables = [variable(start, f"v{i}") for i, start in enumerate(starts)]
        fed = [mg.placeholder("float64", np.shape(start)) for start in starts]
        train = optimizer.apply_gradients(zip(fed, variables, strict=True), **extra)
        initialize = mg.global_variables_initializer()
    with mg.Session(graph=graph) as session:
        session.run(initialize)
        return [
            session.run([train, variables], dict(zip(fed, step, strict=True)))[1]
            for step in gradients
        ]


def eagerly(
    optimizer: Any, starts: list[Any], gradients: list[list[Any]]
) -> list[list[np.ndarray]]:
    variables = [variable(start, f"v{i}") for i, start in enumerate(starts)]
    history = []
    for step in gradients:
        pairs = [(np.array(g, np.float64), v) for g, v in zip(step, variables, strict=True)]
        optimizer.apply_gradients(pairs)
        history.append([v.numpy() for v in variables])
    return history


MODES = [eagerly, lazily]
Mode = Callable[..., list[list[np.ndarray]]]

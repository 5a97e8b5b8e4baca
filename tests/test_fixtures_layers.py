"""Layers and losses against figures recorded from PyTorch, in both modes and layouts."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn

ROWS: list[dict[str, Any]] = [
    row
    for name in ("layers.json", "losses.json")
    for row in json.loads((Path(__file__).parent / "fixtures" / name).read_text(encoding="utf-8"))[
        "rows"
    ]
]
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


def _name(row: dict[str, Any]) -> str:
    options = ",".join(f"{k}={v}" for k, v in row["options"].items())
    return f"{row['layer']}({row['arguments']},{options})".replace(" ", "")[:70]


class Case:
    """A row of the file, brought to a dtype and a layout.

    The file has channels second. Here they may be last instead.
    """

    def __init__(self, row: dict[str, Any], dtype: str, channels_last: bool) -> None:
        self.dtype = dtype
        self.last = channels_last
        options = dict(row["options"])
        if channels_last and "data_format" in options:
            del options["data_format"]
        if channels_last and options.get("axis") == 1:
            options["axis"] = -1
        make = getattr(nn, row["layer"])
        if not isinstance(make, type):  # A function that has no module.
            make, options = nn.Lambda, {"function": functools.partial(make, **options)}
        elif "dtype" in inspect.signature(make).parameters:
            options["dtype"] = dtype
        self.module: nn.Module = make(*row["arguments"], **options)
        state = row.get("parameters", {}) | row.get("buffers", {})
        for name, value in state.items():
            getattr(self.module, name).assign(value)
        self.training = row.get("training", True)
        self.options = {"mask": row["mask"]} if "mask" in row else {}
        self.inputs = [self._array(x) for x in row["inputs"]]
        output = np.array(row["output"])
        self.factors = self._moved(np.cos(np.arange(output.size)).reshape(output.shape))
        #: All that is compared, by name.
        self.expected = {"output": self._moved(output)}
        for i, g in enumerate(row["gradients"]):
            if g is not None:
                self.expected[f"gradient {i}"] = self._moved(np.array(g))
        self.places = [i for i, g in enumerate(row["gradients"]) if g is not None]
        self.names = list(row.get("parameters", {}))
        for name, g in row.get("parameter_gradients", {}).items():
            self.expected[name] = np.array(g)
        self.after = row.get("after", {})

    def _array(self, values: Any) -> np.ndarray:
        array = np.array(values)
        return self._moved(array.astype(self.dtype) if array.dtype.kind == "f" else array)

    def _moved(self, array: np.ndarray) -> np.ndarray:
        """Channels from the second to the last axis, if that is wanted."""
        if not self.last or array.ndim < 3:
            return array
        return np.ascontiguousarray(np.moveaxis(array, 1, -1))

    def results(self, y: Any, gradients: list[Any]) -> dict[str, np.ndarray]:
        """Named as in `expected`."""
        names = ["output", *[f"gradient {i}" for i in self.places], *self.names]
        return dict(zip(names, map(np.asarray, [y, *gradients]), strict=True))

    def eagerly(self) -> dict[str, np.ndarray]:
        inputs = [mg.constant(x) for x in self.inputs]
        sources = [inputs[i] for i in self.places]
        with mg.GradientTape() as tape:
            tape.watch(sources)
            y = self.module(*inputs, training=self.training, **self.options)
            loss = mg.sum(y * self.factors.astype(self.dtype))
        parameters = [getattr(self.module, name) for name in self.names]
        return self.results(y, tape.gradient(loss, [*sources, *parameters]))

    def lazily(self) -> dict[str, np.ndarray]:
        with mg.Graph().as_default(), mg.Session() as session:
            # An unknown batch size; a loss has none along axis 0 alone.
            inputs = [mg.placeholder(x.dtype, (None, *x.shape[1:])) for x in self.inputs]
            y = self.module(*inputs, training=self.training, **self.options)
            loss = mg.sum(y * self.factors.astype(self.dtype))
            parameters = [getattr(self.module, name) for name in self.names]
            gradients = mg.gradients(loss, [*[inputs[i] for i in self.places], *parameters])
            feeds = dict(zip(inputs, self.inputs, strict=True))
            got = session.run([y, *gradients], feeds)
        return self.results(got[0], got[1:])


def _moves(row: dict[str, Any]) -> bool:
    return "data_format" in row["options"] or row["options"].get("axis") == 1


CASES = [
    pytest.param(row, last, id=_name(row) + ("-last" if last else ""))
    for row in ROWS
    for last in ((False, True) if _moves(row) else (False,))
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", ["eagerly", "lazily"])
@pytest.mark.parametrize(("row", "channels_last"), CASES)
def test_outputs_and_gradients(
    row: dict[str, Any], channels_last: bool, mode: str, dtype: str
) -> None:
    case = Case(row, dtype, channels_last)
    got = getattr(case, mode)()
    tolerance = TOLERANCE[dtype]
    for name, expected in case.expected.items():
        assert got[name].dtype == dtype, name
        scale = max(float(np.abs(expected).max(initial=0.0)), 1e-3)
        np.testing.assert_allclose(
            got[name], expected, rtol=tolerance, atol=tolerance * scale, err_msg=name
        )
    for name, value in case.after.items():
        found = getattr(case.module, name).numpy()
        np.testing.assert_allclose(found, value, rtol=tolerance, err_msg=name)


def test_the_file_has_every_layer_that_pytorch_has() -> None:
    covered = {row["layer"] for row in ROWS}
    offered = {name for name, value in vars(nn).items() if _is_layer(value)}
    elsewhere = {
        # Recorded in other files, or random, or they only put others together.
        *("Module", "Sequential", "ModuleList", "ModuleDict", "Lambda", "Identity", "Residual"),
        *("Flatten", "LazyLinear", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
        *("SpatialDropout", "SpatialDropout1d", "SpatialDropout2d", "SpatialDropout3d"),
        # Not in PyTorch, and nothing but another of them.
        *("Hardmax", "ZeroPad1d", "ZeroPad3d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
    }
    assert offered - covered - elsewhere == set()


def _is_layer(value: Any) -> bool:
    families = ("attention", "transformer", "recurrent", "positions")
    return (
        isinstance(value, type)
        and issubclass(value, nn.Module)
        and not any(word in value.__module__ for word in families)
    )

"""Small graphs on which executors once disagreed; most were found by tools/fuzz.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plan_runs import assert_same

import minigrad as mg
from minigrad import nn

pytest.importorskip("llvmlite")

EXECUTORS = ("numpy", "native")


def agree(build: Callable[..., Any], *arrays: Any) -> list[Any]:
    """Compare executors on the graph that `build` makes of placeholders for these arrays."""
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
        fetches = list(made) if isinstance(made, list | tuple) else [made]
        variables = mg.global_variables()
    feeds = dict(zip(inputs, arrays, strict=True))
    expected: list[Any] = []
    for name in ("reference", *EXECUTORS):
        with mg.Session(graph, executor=name) as session:
            session.run([v.initializer for v in variables])
            found = session.run(fetches, feeds)
            found += [session.value_of(v) for v in variables]
        expected = expected or found
        for a, b in zip(expected, found, strict=True):
            assert_same(a, b)
    return expected


def floats(*shape: int, dtype: Any = "float32") -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


def test_an_operand_and_another_view_of_it_in_one_loop() -> None:
    agree(lambda x: [mg.tanh(x) + x[::-1], x * 2.0], floats(7))
    agree(lambda x: x @ mg.matrix_transpose(x), floats(1, 2, 1))
    agree(lambda x: [x, mg.flip(x)], floats(5))


def test_an_operand_and_another_view_of_it_where_a_product_is_finished() -> None:
    def build(x: Any, weight: Any, bias: Any) -> Any:
        row = mg.reshape(bias, (1, -1))
        return [mg.tanh(x @ weight + bias), mg.matrix_transpose(row) @ row]

    agree(build, floats(2, 9), floats(9, 2), np.array([0.5, 3.0], "float32"))


def test_kernels_that_want_elements_in_order_get_a_copy_of_a_view() -> None:
    def build(x: Any) -> Any:
        return mg.gradients(mg.vecdot(x[[0, -1, 0]], x), [x])[0]

    agree(lambda x: mg.convert_to_tensor(build(x)), np.ones((1, 1), "float32"))
    agree(lambda x: [mg.convert_to_tensor(build(x)) for _ in range(2)], np.ones((1, 1), "float32"))


def test_constants_that_are_read_backwards() -> None:
    agree(lambda x: mg.std(x, axis=(0, 1), keepdims=True)[:-1, ::-1], np.ones((0, 2)))
    values = floats(3, 40_000)
    agree(lambda x: x * mg.constant(values)[::-1, ::-2], floats(3, 20_000))


@pytest.mark.parametrize(
    "lay_out", [np.asfortranarray, lambda a: a[::-1], lambda a: a.astype(a.dtype.newbyteorder())]
)
def test_kernels_that_are_called_take_feeds_of_any_layout(lay_out: Callable[[Any], Any]) -> None:
    def build(x: Any) -> Any:
        turned = mg.moveaxis(x, 1, 0)
        return [mg.argsort(turned, axis=0), mg.sort(x[1:]), mg.cumulative_sum(turned, axis=1)]

    agree(build, lay_out(floats(4, 3)))


def test_kernels_that_are_called_and_return_an_input() -> None:
    def build(x: Any) -> Any:
        kept = mg.checkpoint(lambda x: mg.tanh(x) * mg.sin(x))(x)
        return [mg.sum(mg.square(kept - 0.25)), mg.sum(mg.square(x * mg.prod(mg.tanh(x)) - 0.25))]

    agree(build, floats(2, dtype="float64"))


def test_a_sum_of_reshaped_sums() -> None:
    def build(x: Any) -> list[Any]:
        return [
            mg.sum(mg.reshape(mg.sum(x, axis=0), (3, 2)), axis=0),
            mg.sum(mg.reshape(mg.sum(mg.reshape(x, (2, 3, 2)), axis=0), (2, 3)), axis=0),
            mg.max(mg.reshape(mg.max(mg.reshape(x, (3, 2, 2)), axis=1), (2, 3)), axis=1),
        ]

    agree(build, floats(2, 6, dtype="float64"))


_NARROW = """
import numpy as np
import minigrad as mg
from minigrad import nn
with mg.Graph().as_default() as graph:
    x, y = mg.placeholder("float32", (8, 17, 1)), mg.placeholder("float32", (8, 1, 1))
    fetches = [mg.astype(x, "int8"), x * y]
feeds = {x: np.ones((8, 17, 1), "float32"), y: np.ones((8, 1, 1), "float32")}
session = mg.Session(graph, executor="native")
for _ in range(200):
    session.run(fetches, feeds)
"""


@pytest.mark.parametrize("dtype", ["float32", "int32", "int8"])
@pytest.mark.parametrize("columns", [1, 9, 17, 33])
def test_narrowed_numbers_do_not_run_into_what_lies_behind(dtype: str, columns: int) -> None:
    def build(x: Any) -> list[Any]:
        scaled = mg.asinh(x) / mg.sqrt(mg.sum(x * x, axis=0, keepdims=True))
        summed = scaled * mg.sum(scaled, axis=-1, keepdims=True)
        return [mg.var(summed, axis=-2), mg.astype(scaled * 9.0, dtype)[::-1, :]]

    agree(build, floats(8, columns, dtype="float64"))


def test_narrow_integers_are_not_written_beyond_the_end() -> None:
    # The C library finds it when the memory is freed, and ends the process.
    command = [sys.executable, "-c", _NARROW]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize(
    "pick",
    [
        lambda x, rows, columns: mg.gather(x, rows),
        lambda x, rows, columns: mg.take(x, columns, axis=1),
        lambda x, rows, columns: x[rows, columns],
        lambda x, rows, columns: mg.gather_nd(x, mg.stack([rows, columns], axis=1)),
        lambda x, rows, columns: mg.take_along_axis(x, mg.reshape(rows, (-1, 1)), axis=0),
        lambda x, rows, columns: mg.scatter(mg.stack([rows, columns], axis=1), x[:9, 0], (99, 90)),
        lambda x, rows, columns: nn.cross_entropy(x[:9], columns),
    ],
)
def test_indices_of_a_narrow_dtype_reach_all_elements(dtype: str, pick: Any) -> None:
    x = np.random.default_rng(0).normal(size=(99, 90))
    rows, columns = np.arange(90, 99), np.arange(80, 89)

    def slope(dtype: str) -> Any:
        given = mg.asarray(x)
        with mg.GradientTape() as tape:
            tape.watch(given)
            made = pick(given, mg.asarray(rows.astype(dtype)), mg.asarray(columns.astype(dtype)))
            total = mg.sum(made * made)
        return mg.convert_to_tensor(tape.gradient(total, given)).numpy()

    np.testing.assert_array_equal(slope(dtype), slope("int64"))

    def build(given: Any) -> list[Any]:
        made = pick(given, mg.constant(rows.astype(dtype)), mg.constant(columns.astype(dtype)))
        return [made, mg.convert_to_tensor(mg.gradients(mg.sum(made * made), given)[0])]

    agree(build, x)

"""argmax and argmin in native code: NumPy's results, also where elements tie or are NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("llvmlite")

from kernel_runs import compiled

from minigrad.compile.builder import Builder
from minigrad.compile.native.specials import SPECIALS
from minigrad.compile.program import Operand, Program
from minigrad.ops.counting import argmax, argmin

FINDERS = {"argmax": (argmax, np.argmax), "argmin": (argmin, np.argmin)}
DTYPES = ["float32", "float64", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]


def finding(name: str, shape: tuple[int, int, int], dtype: str, vector_bytes: int) -> Any:
    """A kernel as a function of an array of this shape and a cut of its units."""
    program = Program()
    x = Operand(shape, np.dtype(dtype))
    made = (shape[0], shape[2])
    attrs = {"axis": 1, "keepdims": False}
    wanted = [(made, np.dtype(np.int64))]
    Builder(program).special(name, [x], wanted, attrs, FINDERS[name][0])
    run = compiled(SPECIALS[name], vector_bytes, program.instructions[0])

    def found(array: np.ndarray, cuts: Any = None) -> np.ndarray:
        out = np.full(made, -7, np.int64)
        run(np.ascontiguousarray(array), out, cuts=cuts)
        return out

    return found


def elements(shape: tuple[int, ...], dtype: str, most: int = 5) -> np.ndarray:
    """Many that tie; from floats some zeros of either sign."""
    made = np.random.default_rng(len(shape)).integers(0, most, size=shape)
    x = made.astype(dtype)
    return np.where(made % 2 == 0, -x, x) if x.dtype.kind in "fi" else x


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
@pytest.mark.parametrize("name", FINDERS)
def test_every_dtype(name: str, dtype: str, vector_bytes: int) -> None:
    for shape in ((3, 1, 1), (5, 7, 1), (4, 67, 1), (2, 5, 3), (3, 9, 85)):
        found = finding(name, shape, dtype, vector_bytes)
        for most in (2, 100):
            x = elements(shape, dtype, most)
            np.testing.assert_array_equal(found(x), FINDERS[name][1](x, axis=1))


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
@pytest.mark.parametrize("count", [16384, 32767, 32768, 50001, 200_000])
def test_long_rows_and_any_cut(name: str, dtype: str, count: int) -> None:
    rng = np.random.default_rng(1)
    found = finding(name, (2, count, 1), dtype, 64)
    x = elements((2, count, 1), dtype, 2 if dtype == "bool" else 9)
    np.testing.assert_array_equal(found(x, rng), FINDERS[name][1](x, axis=1))
    x[:] = 1
    for place in (count - 1, count // 2, 0):
        x[1, place] = 0 if name == "argmin" else 2
        np.testing.assert_array_equal(found(x, rng), FINDERS[name][1](x, axis=1))


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinities(name: str, dtype: str) -> None:
    rng = np.random.default_rng(2)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1e-40], dtype)
    special = np.append(special, np.copysign(np.nan, -1).astype(dtype))
    for shape in ((40, 33, 1), (300, 2, 1), (6, 21, 70), (2, 40000, 1)):
        found = finding(name, shape, dtype, 64)
        for chance in (0.02, 0.5, 1.0):
            x = rng.normal(size=shape).astype(dtype)
            x = np.where(rng.random(shape) < chance, rng.choice(special, size=shape), x)
            np.testing.assert_array_equal(found(x), FINDERS[name][1](x, axis=1))
            x[np.isnan(x)] = 0
            np.testing.assert_array_equal(found(x), FINDERS[name][1](x, axis=1))


def both(build: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
    feeds = dict(zip(inputs, arrays, strict=True))
    names = ("reference", "native")
    return [mg.Session(graph=graph, executor=e).run(made, feeds) for e in names]


@pytest.mark.parametrize("shape", [(), (1,), (9,), (3, 5), (4, 1, 6), (2, 0, 3), (0, 4)])
@pytest.mark.parametrize("find", [mg.argmax, mg.argmin])
def test_axes(find: Any, shape: tuple[int, ...]) -> None:
    x = elements(shape, "float32")
    axes = [a for a in range(-len(shape), len(shape)) if shape[a]]
    for axis in [*axes, *([None] if x.size else [])]:
        for keepdims in (False, True):

            def build(x: Any, axis: Any = axis, keepdims: bool = keepdims) -> Any:
                return find(x, axis=axis, keepdims=keepdims)

            a, b = both(build, x)
            assert a.dtype == b.dtype == np.int64 and a.shape == b.shape
            np.testing.assert_array_equal(a, b)


def test_views_and_what_stands_beside() -> None:
    x = elements((6, 40, 30), "float64")
    builds: list[Callable[..., Any]] = [
        lambda x: mg.argmax(x[::-1, 3::2, :7] * 2.0, axis=1),
        lambda x: mg.argmin(mg.permute_dims(x, (2, 0, 1)), axis=0),
        lambda x: mg.argmax(mg.broadcast_to(x[:, :1], (6, 5, 30)), axis=1),
        lambda x: mg.mean(mg.astype(mg.argmax(x, axis=-1) == 3, "float32")),
    ]
    for build in builds:
        a, b = both(build, x)
        np.testing.assert_array_equal(a, b)
    a, b = both(lambda x: mg.argmax(x, axis=1), np.asfortranarray(x[:, ::3]))
    np.testing.assert_array_equal(a, b)


def test_it_is_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    with mg.Graph().as_default() as graph:
        made = mg.argmax(mg.placeholder("float32", (64, 128)), axis=1)
    with mg.Session(graph=graph):
        mg.explain([made])
    told = capsys.readouterr().out
    assert "kernel argmax" in told and "NumPy's kernel" not in told

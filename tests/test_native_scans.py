"""Running sums and products in native code: NumPy's, to the last bit."""

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
from minigrad.dtypes import as_dtype
from minigrad.ops.recurrences import linear_recurrence
from minigrad.ops.scans import cumulative_prod, cumulative_sum

SCANS = {
    "cumulative_sum": (cumulative_sum, np.cumsum, 0),
    "cumulative_prod": (cumulative_prod, np.cumprod, 1),
}
WAYS = [(exclusive, reverse) for exclusive in (False, True) for reverse in (False, True)]
SHAPES = [(1, 9, 1), (8, 6, 1), (21, 30, 1), (5, 4, 3), (19, 7, 2), (2, 5, 64), (3, 4, 150)]


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """To the last bit, also of zeros; one NaN is as good as another."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        zeros = found == 0
        np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(expected[zeros]))


def scanned(name: str, x: np.ndarray, exclusive: bool, reverse: bool) -> np.ndarray:
    """What NumPy makes of the middle axis."""
    _, accumulate, identity = SCANS[name]
    x = x[:, ::-1] if reverse else x
    if exclusive:
        x = np.concatenate([np.full_like(x[:, :1], identity), x[:, :-1]], axis=1)
    with np.errstate(all="ignore"):
        y = accumulate(x, axis=1, dtype=x.dtype)
    return y[:, ::-1] if reverse else y


def scanning(
    name: str, shape: tuple[int, int, int], dtype: str, way: tuple[bool, bool], vector_bytes: int
) -> Callable[..., np.ndarray]:
    """A kernel as a function of an array and a cut of its units."""
    program = Program()
    x = Operand(shape, np.dtype(dtype))
    attrs = {"axis": 1, "dtype": as_dtype(dtype), "exclusive": way[0], "reverse": way[1]}
    Builder(program).special(name, [x], [(shape, x.dtype)], attrs, SCANS[name][0])
    run = compiled(SPECIALS[name], vector_bytes, program.instructions[0])

    def found(array: np.ndarray, cuts: Any = None) -> np.ndarray:
        out = np.empty(shape, dtype)
        run(np.ascontiguousarray(array, dtype), out, cuts=cuts)
        return out

    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint64"])
@pytest.mark.parametrize("name", SCANS)
def test_shapes_and_cuts(name: str, dtype: str, way: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        x = rng.normal(size=shape) * 3
        x = (x if dtype[0] == "f" else rng.integers(0, 1 << 30, size=shape)).astype(dtype)
        for vector_bytes in (16, 32, 64):
            found = scanning(name, shape, dtype, way, vector_bytes)
            same(found(x, rng), scanned(name, x, *way))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SCANS)
def test_nan_infinities_and_zeros(name: str, dtype: str, way: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(1)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-310]).astype(dtype)
    for shape in ((30, 9, 1), (4, 11, 70)):
        found = scanning(name, shape, dtype, way, 64)
        for chance in (0.05, 1.0):
            x = rng.normal(size=shape).astype(dtype)
            x = np.where(rng.random(shape) < chance, rng.choice(special, size=shape), x)
            same(found(x), scanned(name, x, *way))
        same(found(np.full(shape, -0.0)), scanned(name, np.full(shape, -0.0, dtype), *way))


def both(build: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
    feeds = dict(zip(inputs, arrays, strict=True))
    names = ("reference", "native")
    return [mg.Session(graph=graph, executor=e).run(made, feeds) for e in names]


@pytest.mark.parametrize("options", [{}, {"exclusive": True}, {"include_initial": True}])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("scan", [mg.cumulative_sum, mg.cumulative_prod])
def test_axes_and_options(scan: Any, reverse: bool, options: dict[str, bool]) -> None:
    rng = np.random.default_rng(2)
    for shape in ((7,), (3, 5), (4, 1, 6), (2, 0, 3), (3, 4, 33)):
        x = rng.normal(size=shape)
        for axis in range(-len(shape), len(shape)):

            def build(x: Any, axis: int = axis) -> Any:
                return scan(x, axis=axis, reverse=reverse, **options)

            for array in (x, x.astype("float32"), (x * 9).astype("int8"), x > 0):
                expected, found = both(build, array)
                same(found, expected)


def test_views_dtypes_and_gradients() -> None:
    x = np.random.default_rng(3).normal(size=(6, 20, 10)) + 1.5
    for dtype in ("float32", "float64"):
        builds: list[Callable[..., Any]] = [
            lambda x: mg.cumulative_sum(x[::-1, 3::2, :7] * 2.0, axis=1),
            lambda x: mg.cumulative_prod(mg.permute_dims(x, (2, 0, 1)), axis=0),
            lambda x: mg.cumulative_sum(mg.broadcast_to(x[:, :1], (6, 5, 10)), axis=1),
            lambda x: mg.cumulative_sum(mg.astype(x, "int32"), axis=0, dtype="int32"),
            lambda x: mg.cumulative_sum(mg.astype(x, "int32"), axis=2, dtype="float64"),
            lambda x: mg.cumulative_sum(x, axis=2, dtype="float16"),
            lambda x: mg.gradients(mg.cumulative_sum(x, axis=1), x)[0],
        ]
        for build in builds:
            expected, found = both(build, x.astype(dtype))
            same(found, expected)
    expected, found = both(
        lambda x: mg.gradients(mg.sum(mg.square(mg.cumulative_prod(x, axis=1))), x)[0], x
    )
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", [(9,), (5, 7), (7, 40), (1, 1)])
def test_linear_recurrences(shape: tuple[int, ...], reverse: bool) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, *shape))
    a.reshape(-1)[0 if not reverse else -1] = np.nan  # the first factor is not read
    for axis in range(len(shape)):

        def build(a: Any, b: Any, axis: int = axis) -> Any:
            return linear_recurrence(a, b, axis=axis, reverse=reverse)

        _, found = both(build, a, b)
        fast: Any = linear_recurrence.numpy
        same(found, fast(a, b, axis=axis, reverse=reverse))


def test_every_number_of_threads_gives_the_same() -> None:
    x = np.random.default_rng(5).normal(size=(301, 203)).astype("float32")
    before = mg.get_num_threads()
    made = []
    try:
        for threads in (1, 2, 4):
            mg.set_num_threads(threads)
            for axis in (0, 1):
                made.append(both(lambda x, a=axis: mg.cumulative_sum(x, axis=a), x))
    finally:
        mg.set_num_threads(before)
    for i, (expected, found) in enumerate(made):
        same(found, expected)
        same(found, made[i % 2][1])


def test_it_is_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    with mg.Graph().as_default() as graph:
        made = mg.cumulative_sum(mg.placeholder("float32", (64, 128)), axis=1)
    with mg.Session(graph=graph):
        mg.explain([made])
    told = capsys.readouterr().out
    assert "kernel cumulative_sum" in told and "NumPy's kernel" not in told

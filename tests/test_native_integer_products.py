"""Products of integers in native code: NumPy's, also where they wrap around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("llvmlite")

from test_native_products import Program, spec_of

from minigrad.compile.native.products import emit_product
from minigrad.compile.native.writer import Module

DTYPES = ["int32", "int64", "uint32", "uint64"]


def numbers(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    """Large ones, so that sums wrap around."""
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_shapes_and_strides(dtype: str, vector_bytes: int) -> None:
    rng = np.random.default_rng(0)
    sizes = [(1, 1, 1), (3, 5, 7), (1, 33, 40), (40, 1, 33), (64, 70, 65), (130, 17, 200)]
    for m, n, k in [*sizes, (5, 6, 0), (2, 300, 3), (300, 2, 3), (7, 9, 3000)]:
        module = Module(vector_bytes)
        cases = []
        for turned in range(4):
            a = numbers(rng, dtype, k, m).T if turned & 1 else numbers(rng, dtype, m, k)
            b = numbers(rng, dtype, n, k).T if turned & 2 else numbers(rng, dtype, k, n)
            kernel = emit_product(module, spec_of(a, b), blas=True)
            assert kernel is not None
            cases.append((a, b, kernel))
        program = Program(module, *[kernel for _, _, kernel in cases])
        for a, b, kernel in cases:
            c = np.empty((m, n), dtype)
            program.run(kernel, [a, b, c])
            np.testing.assert_array_equal(c, a @ b)


def run(executor: str, *arrays: np.ndarray) -> Any:
    with mg.Graph().as_default() as graph:
        a, b = [mg.placeholder(x.dtype, x.shape) for x in arrays]
        made = [mg.matmul(a, b), mg.matmul(a, b) * 3 + 1, mg.matmul(a[..., ::-1], b[::-1])]
    session = mg.Session(graph=graph, executor=executor)
    return session.run(made, dict(zip((a, b), arrays, strict=True)))


@pytest.mark.parametrize("dtype", [*DTYPES, "int8", "uint16"])
def test_in_a_graph(dtype: str) -> None:
    rng = np.random.default_rng(1)
    shapes = [((4, 5), (5, 6)), ((2, 3, 40, 50), (50, 33)), ((5,), (5, 7)), ((9,), (9,))]
    for left, right in [*shapes, ((3, 0), (0, 2)), ((0, 4), (4, 2)), ((100, 64), (64,))]:
        a, b = numbers(rng, dtype, *left), numbers(rng, dtype, *right)
        for one, other in zip(run("reference", a, b), run("native", a, b), strict=True):
            assert one.dtype == other.dtype == a.dtype
            np.testing.assert_array_equal(other, one)


def test_every_number_of_threads_gives_the_same() -> None:
    rng = np.random.default_rng(2)
    a, b = numbers(rng, "int32", 301, 200), numbers(rng, "int32", 200, 303)
    before = mg.get_num_threads()
    try:
        for threads in (1, 2, 4):
            mg.set_num_threads(threads)
            np.testing.assert_array_equal(run("native", a, b)[0], a @ b)
    finally:
        mg.set_num_threads(before)


def test_it_is_a_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("int64", (64, 32))
        made = mg.matmul(x, x.T)
    with mg.Session(graph=graph):
        mg.explain([made])
    assert "NumPy's kernel" not in capsys.readouterr().out

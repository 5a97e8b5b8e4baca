"""Products in native code, against NumPy's in a wider type."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from minigrad.compile.native import engine, products
from minigrad.compile.native.kernel import Epilogue, Kernel, operand
from minigrad.compile.native.process import blas_address
from minigrad.compile.native.product_cut import cut
from minigrad.compile.native.product_spec import ProductSpec
from minigrad.compile.native.products import emit_packing, emit_product
from minigrad.compile.native.types import F32, I64, PTR, Type, type_of
from minigrad.compile.native.writer import Module, Value, Writer

Array = np.ndarray[Any, np.dtype[Any]]
WIDTHS = (64, 32, 16)
_WIDER: dict[str, Any] = {"f4": np.float64, "f8": np.longdouble}


def spec_of(a: Array, b: Array) -> ProductSpec:
    """What `np.matmul` would be asked for."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    wide_a = np.broadcast_to(a, batch + a.shape[-2:])
    wide_b = np.broadcast_to(b, batch + b.shape[-2:])
    return ProductSpec(
        type_of(a.dtype),
        batch,
        a.shape[-2],
        b.shape[-1],
        a.shape[-1],
        tuple([s // a.itemsize for s in wide_a.strides]),
        tuple([s // b.itemsize for s in wide_b.strides]),
    )


class Program:
    """Kernels compiled together, run phase by phase."""

    def __init__(self, module: Module, *kernels: Kernel) -> None:
        names = sorted({phase.function for kernel in kernels for phase in kernel.phases})
        for name in names:
            parameters = [("args", PTR), ("lo", I64), ("hi", I64)]
            w = module.function(f"open_{name}", parameters, linkage="")
            w.call(name, *w.parameters)
            w.finish()
        self._code = engine.load(module.text(), [f"open_{name}" for name in names])
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._functions = {n: prototype(self._code.address(f"open_{n}")) for n in names}

    def run(
        self, kernel: Kernel, arrays: Sequence[Array], cuts: random.Random | None = None
    ) -> None:
        """Run a kernel on a, b, c and the epilogue's arrays; with `cuts` in pieces, reordered."""
        scratch = np.full(kernel.scratch_bytes + 64, 0xFF, np.uint8)
        pointers = [array.ctypes.data for array in arrays]
        if kernel.scratch_bytes:
            pointers.insert(3, -(-scratch.ctypes.data // 64) * 64)
        args = (ctypes.c_void_p * len(pointers))(*pointers)
        for phase in kernel.phases:
            pieces = [(0, phase.units)]
            if cuts is not None:
                inner = range(1, phase.units)
                at = sorted(cuts.sample(inner, min(len(inner), cuts.randrange(6))))
                pieces = list(zip([0, *at], [*at, phase.units], strict=True))
                cuts.shuffle(pieces)
            for lo, hi in pieces:
                self._functions[phase.function](ctypes.addressof(args), lo, hi)


def matmul(
    a: Array,
    b: Array,
    width: int = 64,
    epilogue: Epilogue | None = None,
    more: Sequence[Array] = (),
    blas: bool = False,
    cuts: random.Random | None = None,
) -> Array:
    """The product by native code; what lies around c must stay as it is."""
    module = Module(width)
    spec = spec_of(a, b)
    kernel = emit_product(module, spec, epilogue, blas=blas)
    assert kernel is not None
    size = spec.matrices * spec.m * spec.n
    guarded = np.full(size + 32, -777.0, a.dtype)
    c = guarded[16 : 16 + size]
    c[:] = np.nan
    if kernel.phases:
        Program(module, kernel).run(kernel, [a, b, c, *more], cuts)
    assert (guarded[:16] == -777).all()
    assert (guarded[16 + size :] == -777).all()
    return c.reshape(*spec.batch, spec.m, spec.n)


def check(a: Array, b: Array, got: Array, factor: float = 1.0) -> None:
    """Each element's error is within what any order of the sum can make."""
    wide = _WIDER[a.dtype.str[1:]]
    want = np.matmul(a.astype(wide), b.astype(wide))
    bound = np.matmul(np.abs(a).astype(wide), np.abs(b).astype(wide))
    eps = np.finfo(a.dtype).eps
    assert (np.abs(got - want) <= factor * (a.shape[-1] + 2) * eps * bound).all()


def stored(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, how: str) -> Array:
    """Random numbers of a shape that lie in memory in one of several ways."""
    x = rng.standard_normal(shape).astype(dtype)
    match how:
        case "transposed":
            return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
        case "wide rows":
            return np.concatenate([x, x], -1)[..., : shape[-1]]
        case "every other":
            return np.repeat(x, 2, -1)[..., ::2]
        case "backwards":
            return np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
        case "one row":
            return np.broadcast_to(x[..., :1, :], shape)
        case "one column":
            return np.broadcast_to(x[..., :1], shape)
    return x


_LAYOUTS = ("plain", "transposed", "wide rows", "every other", "backwards", "one row", "one column")
_HOW = st.sampled_from(("plain", "transposed", *_LAYOUTS))
_SIZE = st.integers(0, 70) | st.sampled_from([1, 2, 8, 16, 32, 64])


@settings(max_examples=60)
@given(_SIZE, _SIZE, _SIZE, _HOW, _HOW, st.sampled_from(WIDTHS), st.sampled_from(["f4", "f8"]))
def test_any_matrices(m: int, n: int, k: int, a: str, b: str, width: int, dtype: str) -> None:
    rng = np.random.default_rng(m + 71 * n + 71 * 71 * k)
    x, y = stored(rng, (m, k), dtype, a), stored(rng, (k, n), dtype, b)
    check(x, y, matmul(x, y, width))


_BATCHES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3,), (3,)),
    ((3,), ()),
    ((), (3,)),
    ((2, 3), (2, 3)),
    ((2, 1), (1, 3)),
    ((2, 3), (3,)),
    ((2, 3), (2, 1)),
    ((0,), (0,)),
    ((2, 2, 2), (2, 1, 2)),
]


@settings(max_examples=40)
@given(
    st.sampled_from(_BATCHES),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
    _HOW,
    _HOW,
    st.sampled_from(WIDTHS),
    st.sampled_from(["f4", "f8"]),
)
def test_batches(
    batch: tuple[tuple[int, ...], tuple[int, ...]],
    m: int,
    n: int,
    k: int,
    a: str,
    b: str,
    width: int,
    dtype: str,
) -> None:
    rng = np.random.default_rng(m + 71 * n + 71 * 71 * k)
    x = stored(rng, (*batch[0], m, k), dtype, a)
    y = stored(rng, (*batch[1], k, n), dtype, b)
    check(x, y, matmul(x, y, width))


@pytest.mark.parametrize("width", WIDTHS)
def test_heads_of_attention_are_read_where_they_lie(width: int) -> None:
    rng = np.random.default_rng(0)
    packed = rng.standard_normal((2, 24, 3, 4, 20)).astype("f4")
    q, k, v = (packed[:, :, i].swapaxes(1, 2) for i in range(3))
    scores = matmul(q, k.swapaxes(-1, -2), width)
    check(q, k.swapaxes(-1, -2), scores)
    check(scores, v, matmul(scores, v, width))
    check(scores.swapaxes(-1, -2), v, matmul(scores.swapaxes(-1, -2), v, width))


#: Shapes that take every kind of kernel, in several units each.
SHAPES = [
    (64, 40, 1100, "plain", "plain"),
    (130, 100, 300, "transposed", "transposed"),
    (300, 170, 90, "plain", "transposed"),
    (12, 10, 20000, "transposed", "plain"),
    (17, 30, 9000, "plain", "every other"),
    (3, 1000, 1500, "plain", "plain"),
    (2, 900, 700, "plain", "transposed"),
    (1, 3000, 300, "plain", "plain"),
    (1, 3000, 300, "plain", "transposed"),
    (3001, 1, 310, "plain", "plain"),
    (3001, 1, 310, "transposed", "plain"),
    (700, 500, 1, "plain", "plain"),
    (900, 300, 7, "plain", "transposed"),
    # Rows at multiples of 2048 and 4096 bytes: b packed, a turned, or neither.
    (520, 1024, 40, "transposed", "plain"),
    (1024, 512, 70, "plain", "plain"),
    (300, 256, 1024, "plain", "plain"),
    (256, 320, 1024, "transposed", "transposed"),
    (40, 1024, 1024, "plain", "plain"),
    (130, 1024, 600, "plain", "plain"),
]


def scaled(w: Writer, value: Value, row: Value, column: Value, mask: Value | None) -> Value:
    """max(value + bias[column], 0) · scale[row]; value + bias is kept in a matrix of its own."""
    t = value.type
    extent = operand(w, first_operand + 3)
    bias = w.at(operand(w, first_operand), column, t)
    shift = w.load(bias, t) if mask is None else w.load_masked(bias, t, mask)
    before = w.add(value, shift)
    columns = w.load(extent, I64)
    place = w.at(operand(w, first_operand + 2), w.add(w.mul(row, columns), column), t)
    if mask is None:
        w.store(before, place)
    else:
        w.store_masked(before, place, mask)
    scale = w.load(w.at(operand(w, first_operand + 1), row, t), t.scalar)
    return w.mul(w.maximum(before, w.like(0, before)), w.splat(scale, t.lanes))


#: Where the epilogue's arrays begin in the args: after the scratch memory, if there is any.
first_operand = 3


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_units_may_be_run_in_any_pieces(shape: tuple[int, int, int, str, str], width: int) -> None:
    m, n, k, first, second = shape
    rng = np.random.default_rng(1)
    a, b = stored(rng, (m, k), "f4", first), stored(rng, (k, n), "f4", second)
    whole = matmul(a, b, width)
    check(a, b, whole)
    for seed in range(3):
        pieces = matmul(a, b, width, cuts=random.Random(seed))
        assert np.array_equal(whole, pieces)


@pytest.mark.parametrize("blas", [False, True])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_epilogue_sees_every_element_once(
    shape: tuple[int, int, int, str, str],
    batch: tuple[int, ...],
    blas: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if blas and not blas_address("sgemm"):
        pytest.skip("SciPy gives no BLAS here")
    monkeypatch.setattr(products, "BLAS_FROM", 1)
    m, n, k, first, second = shape
    rng = np.random.default_rng(2)
    a = stored(rng, (*batch, m, k), "f4", first)
    b = stored(rng, (*batch, k, n), "f4", second)
    plain = matmul(a, b, blas=blas)
    rows = plain.size // n
    bias, scale = (rng.standard_normal(size).astype("f4") for size in (n, rows))
    kept = np.full((rows, n), np.nan, "f4")
    kernel = emit_product(Module(64), spec_of(a, b), blas=blas)
    assert kernel is not None
    monkeypatch.setitem(globals(), "first_operand", 4 if kernel.scratch_bytes else 3)
    more = [bias, scale, kept, np.array([n])]
    got = matmul(a, b, epilogue=scaled, more=more, blas=blas)
    before = plain.reshape(rows, n) + bias
    assert np.array_equal(kept, before)
    assert np.array_equal(got.reshape(rows, n), np.maximum(before, 0) * scale[:, None])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", [(5, 3, 2), (40, 40, 40), (1, 70, 30), (70, 1, 30), (9, 9, 1)])
def test_nan_and_infinity_come_through(shape: tuple[int, int, int], width: int) -> None:
    m, n, k = shape
    a, b = np.zeros((m, k), "f4"), np.zeros((k, n), "f4")
    a[m // 2, k // 2] = np.nan
    b[k - 1, n // 2] = np.inf
    got = matmul(a, b, width)
    with np.errstate(invalid="ignore"):
        want = np.matmul(a.astype("f8"), b.astype("f8"))
    assert np.array_equal(np.isnan(got), np.isnan(want))


@pytest.mark.parametrize(
    ("m", "n", "k", "packs"),
    [
        (1024, 1024, 256, True),
        (1024, 1000, 256, False),
        (3136, 1024, 64, True),
        (128, 1024, 1024, True),
        (128, 1024, 256, False),
        (64, 1024, 3136, False),
    ],
)
def test_rows_that_clash_in_the_cache_are_packed_where_enough_use_them(
    m: int, n: int, k: int, packs: bool
) -> None:
    assert cut(Module(64), ProductSpec(F32, (), m, n, k, (k, 1), (n, 1))).packs == packs


def test_long_sums_are_as_good_as_numpys() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.random(shape, dtype="f4") for shape in ((40, 30000), (30000, 40)))
    want = np.matmul(a.astype("f8"), b.astype("f8"))
    error = np.abs(matmul(a, b) - want).max()
    assert error <= 2 * np.abs(np.matmul(a, b) - want).max()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("letters", ["plain transposed", "transposed plain", "wide rows plain"])
def test_large_products_are_calls_of_blas(
    dtype: str, letters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not blas_address("sgemm"):
        pytest.skip("SciPy gives no BLAS here")
    monkeypatch.setattr(products, "BLAS_FROM", 1)
    *first, second = letters.split()
    rng = np.random.default_rng(4)
    for m, n in ((300, 50), (50, 300)):
        a = stored(rng, (2, m, 64), dtype, " ".join(first))
        b = stored(rng, (2, 64, n), dtype, second)
        module = Module(64)
        kernel = emit_product(module, spec_of(a, b), blas=True)
        assert kernel is not None
        assert "gemm" in module.text()
        whole = matmul(a, b, blas=True)
        check(a, b, whole)
        assert np.array_equal(whole, matmul(a, b, blas=True, cuts=random.Random(0)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("how", ["plain", "transposed", "every other"])
@pytest.mark.parametrize("shape", [(32, 512, 128), (7, 50, 33), (3, 100, 2100), (12, 10, 9000)])
def test_b_may_be_packed_before(shape: tuple[int, int, int], how: str, width: int) -> None:
    m, n, k = shape
    rng = np.random.default_rng(5)
    a, b = stored(rng, (m, k), "f4", "plain"), stored(rng, (k, n), "f4", how)
    module = Module(width)
    packing = emit_packing(module, spec_of(a, b))
    kernel = emit_product(module, spec_of(a, b), packed=True)
    assert packing is not None
    assert kernel is not None
    program = Program(module, packing[0], kernel)
    panels = np.full(packing[1] // 4 + 16, -777, "f4")
    c = np.full((m, n), np.nan, "f4")
    program.run(packing[0], [b, panels], random.Random(0))
    assert (panels[-16:] == -777).all()
    program.run(kernel, [a, panels, c], random.Random(1))
    check(a, b, c)


def test_equal_products_share_their_functions() -> None:
    module = Module(64)
    spec = ProductSpec(F32, (), 64, 48, 100, (100, 1), (48, 1))
    assert emit_product(module, spec) == emit_product(module, spec)
    before = len(module.text())
    other = emit_product(module, spec._replace(m=56))
    assert other is not None
    # The register block, which is most of it, is there already.
    assert len(module.text()) - before < before / 2


def test_other_dtypes_have_no_kernel() -> None:
    for t in (Type("int", 16), Type("uint", 8), Type("bool", 1)):
        spec = ProductSpec(t, (), 4, 4, 4, (4, 1), (4, 1))
        assert emit_product(Module(64), spec) is None
        assert emit_packing(Module(64), spec) is None


def test_long_products_can_be_interrupted_between_phases() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((700, 90)), rng.standard_normal((90, 300))
    whole = matmul(a, b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_LONGEST_PHASE", 1e5)
        kernel = emit_product(Module(64), spec_of(a, b))
        assert kernel is not None
        assert len(kernel.phases) > 4
        assert np.array_equal(matmul(a, b, cuts=random.Random(0)), whole)
    spec = ProductSpec(F32, (), 20_000, 20_000, 20_000, (20_000, 1), (20_000, 1))
    for blas in (False, True):
        kernel = emit_product(Module(64), spec, blas=blas)
        assert kernel is not None
        assert max(phase.work for phase in kernel.phases) < 3e8

"""Products by calls of BLAS, which is held at one thread: cut here, so that threads share them."""

from __future__ import annotations

from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.product_loops import (
    batch_offsets,
    bounded,
    finish_rows,
    split,
    step,
    work,
)
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.types import F64, I8, I32
from minigrad.compile.native.writer import Module, Value, Writer

#: Operations of one call, at most: a call cannot be interrupted.
_CALL = 10_000_000_000
#: Calls that a product is cut into at least, so that many threads share it.
_CALLS = 8
_LARGEST = 2**31 - 1


def suits(spec: ProductSpec) -> bool:
    """Whether BLAS can read the operands: one stride of each is 1, the other large enough."""
    return (
        min(spec.m, spec.n, spec.k) > 1
        and _leading(spec.a_row, spec.a_column, spec.m, spec.k) is not None
        and _leading(spec.b_row, spec.b_column, spec.k, spec.n) is not None
        and max(spec.m, spec.n, spec.k) <= _LARGEST
    )


def _leading(row: int, column: int, rows: int, columns: int) -> tuple[bool, int] | None:
    """Whether a matrix is transposed for BLAS, and its leading dimension."""
    if column == 1 and columns <= row <= _LARGEST:
        return False, row
    if row == 1 and rows <= column <= _LARGEST:
        return True, column
    return None


def blas_product(module: Module, spec: ProductSpec, epilogue: Epilogue | None) -> Kernel:
    """A kernel that calls BLAS for blocks of c, each of whole rows or whole columns."""
    by_columns = spec.n > spec.m
    extent = spec.n if by_columns else spec.m
    one = spec.operations // spec.matrices
    pieces = max(ceil_div(one, _CALL), ceil_div(_CALLS, spec.matrices))
    width = ceil_div(ceil_div(extent, pieces), 32) * 32
    w = kernel_function(module)
    _, lo, hi = w.parameters
    a, b, c = operand(w, 0), operand(w, 1), operand(w, 2)
    t = spec.dtype
    call = _Call(w, spec)
    with w.loop(lo, hi) as unit:
        batch, piece = split(w, unit.index, ceil_div(extent, width))
        start = step(w, piece, width)
        size = w.sub(bounded(w, start, width, extent), start)
        at_a, at_b = batch_offsets(w, spec, batch)
        at_c = step(w, batch, spec.m * spec.n)
        if by_columns:
            top, left, height = w.index(0), start, w.index(spec.m)
            at_b, at_c = w.add(at_b, step(w, start, spec.b_column)), w.add(at_c, start)
        else:
            top, left, height = start, w.index(0), size
            at_a = w.add(at_a, step(w, start, spec.a_row))
            at_c = w.add(at_c, step(w, start, spec.n))
        across = size if by_columns else w.index(spec.n)
        out = w.at(c, at_c, t)
        call.write(w.at(a, at_a, t), w.at(b, at_b, t), out, height, across)
        if epilogue is not None:
            first = w.add(step(w, batch, spec.m), top)
            finish_rows(w, spec, module.lanes(t), epilogue, out, height, across, first, left)
    units = spec.matrices * ceil_div(extent, width)
    return Kernel((Phase(w.finish_once(), units, work(module, spec)),))


class _Call:
    """A call of ``gemm``, whose arguments are all pointers: to places on the stack."""

    def __init__(self, w: Writer, spec: ProductSpec) -> None:
        self.w, self.spec = w, spec
        t = spec.dtype
        a = _leading(spec.a_row, spec.a_column, spec.m, spec.k)
        b = _leading(spec.b_row, spec.b_column, spec.k, spec.n)
        if a is None or b is None:
            raise ValueError(f"BLAS cannot read operands of such strides: {spec}.")
        self._a_letter, self._b_letter = self._letter(a[0]), self._letter(b[0])
        self._m, self._n, self._k = (w.reserve(1, I32, 4) for _ in range(3))
        self._a_leading, self._b_leading = w.reserve(1, I32, 4), w.reserve(1, I32, 4)
        self._c_leading = w.reserve(1, I32, 4)
        self._one, self._zero = w.reserve(1, t, 8), w.reserve(1, t, 8)
        self._function = "mg_dgemm" if t == F64 else "mg_sgemm"
        for place, value in [
            (self._k, spec.k),
            (self._a_leading, a[1]),
            (self._b_leading, b[1]),
            (self._c_leading, spec.n),
        ]:
            w.store(w.const(value, I32), place)
        w.store(w.const(1, t), self._one)
        w.store(w.const(0, t), self._zero)
        w.module.declare(f"void @{self._function}({', '.join(['ptr'] * 13)})")

    def _letter(self, transposed: bool) -> Value:
        place = self.w.reserve(1, I8, 1)
        self.w.store(self.w.const(ord("T" if transposed else "N"), I8), place)
        return place

    def write(self, a: Value, b: Value, c: Value, m: Value, n: Value) -> None:
        """c = a · b by rows, which by columns, as BLAS reads, is cᵀ = bᵀ · aᵀ."""
        w = self.w
        for value, place in ((m, self._m), (n, self._n)):
            w.store(w.make(I32, f"trunc i64 {value.text} to i32"), place)
        w.call(
            self._function,
            *(self._b_letter, self._a_letter, self._n, self._m, self._k, self._one),
            *(b, self._b_leading, a, self._a_leading, self._zero, c, self._c_leading),
        )

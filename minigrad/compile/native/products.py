"""Products of matrices in native code: which kind of kernel a shape takes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from minigrad.compile.native import blas_calls, thin_products, vector_products
from minigrad.compile.native.kernel import Epilogue, Kernel, Phase, kernel_function, operand
from minigrad.compile.native.packing import order_of, packer
from minigrad.compile.native.product_cut import cut
from minigrad.compile.native.product_loops import bounded, step
from minigrad.compile.native.product_spec import ProductSpec, ceil_div
from minigrad.compile.native.product_units import product_by_blocks
from minigrad.compile.native.types import Type, memory_bytes
from minigrad.compile.native.writer import Module

#: Operations of a product in float32 from which on BLAS is called: with so large operands it is
#: faster than the kernels here, by a tenth; with smaller ones slower, by up to a half.
BLAS_FROM = 4_000_000_000
#: Nanoseconds on one core that a phase may take: between phases a run can be interrupted.
_LONGEST_PHASE = 2e8


def emit_product(
    module: Module,
    spec: ProductSpec,
    epilogue: Epilogue | None = None,
    *,
    blas: bool = False,
    packed: bool = False,
) -> Kernel | None:
    """Write a kernel for ``c = a @ b``; its args are a, b, c, scratch if any, then the epilogue's.

    Every element is a sum in an order that depends on nothing but the shape, and no element is
    skipped, so that NaN and infinities come through as in NumPy.

    Args:
        module: where its functions are written.
        spec: shapes and strides.
        epilogue: what is done with each vector of results before it is stored; `row` counts over
            the batch, too. Of a matrix times a column its vectors have one lane.
        blas: whether ``mg_sgemm`` and ``mg_dgemm`` may be called, which large products then are.
        packed: the second argument holds b as the kernel of `emit_packing` left it.

    Returns:
        The kernel, without phases if c has no elements; None if there is none for the dtype.

    >>> from minigrad.compile.native.types import F32
    >>> module = Module(vector_bytes=32)
    >>> spec = ProductSpec(F32, (), 128, 512, 784, (784, 1), (512, 1))
    >>> [phase.units for phase in emit_product(module, spec).phases]
    [16]
    >>> emit_product(module, ProductSpec(F32, (), 0, 1, 1, (1, 1), (1, 1)))
    Kernel(phases=(), scratch_bytes=0, stops=False)
    """
    if not _has_kernel(spec.dtype):
        return None
    if not spec.matrices * spec.m * spec.n:
        return Kernel(())
    kernel = _choose(module, spec, epilogue, blas, packed)
    phases = [short for phase in kernel.phases for short in _shortened(module, phase)]
    return kernel._replace(phases=tuple(phases))


def _has_kernel(t: Type) -> bool:
    """Whether elements are numbers of 32 or 64 bits; integers wrap around."""
    return t.kind in ("float", "int", "uint") and t.bits in (32, 64)


def _choose(
    module: Module, spec: ProductSpec, epilogue: Epilogue | None, blas: bool, packed: bool
) -> Kernel:
    if packed:
        return product_by_blocks(module, spec, epilogue, packed=True)
    spec = spec.collapsed()
    if spec.k and vector_products.suits(spec):
        return vector_products.vector_product(module, spec, epilogue)
    if thin_products.suits(module, spec):
        return thin_products.thin_product(module, spec, epilogue)
    elements = memory_bytes(spec.dtype) // 4
    large = spec.operations // spec.matrices * elements >= BLAS_FROM and spec.dtype.is_float
    if blas and large and blas_calls.suits(spec):
        return blas_calls.blas_product(module, spec, epilogue)
    return product_by_blocks(module, spec, epilogue, packed=False)


def _shortened(module: Module, phase: Phase) -> Iterator[Phase]:
    """A long phase as several, each of some of its units."""
    pieces = min(phase.units, math.ceil(phase.work / _LONGEST_PHASE))
    if pieces <= 1:
        yield phase
        return
    each = ceil_div(phase.units, pieces)
    for start in range(0, phase.units, each):
        w = kernel_function(module)
        args, lo, hi = w.parameters
        w.call(phase.function, args, w.add(lo, w.index(start)), w.add(hi, w.index(start)))
        units = min(each, phase.units - start)
        yield Phase(w.finish_once(), units, phase.work * units / phase.units)


def emit_packing(module: Module, spec: ProductSpec) -> tuple[Kernel, int] | None:
    """Write a kernel that packs the b of a product that is computed many times, as in a scan.

    Its args are b and the memory it fills, whose size in bytes is the second result. None if there
    is nothing to be packed: a dtype without kernels, no elements, or one b for each of a batch.
    """
    if not _has_kernel(spec.dtype) or not spec.matrices * spec.m * spec.n * spec.k:
        return None
    if any(spec.b_strides[:-2]):
        return None
    plan = cut(module, spec)
    w = kernel_function(module)
    _, lo, hi = w.parameters
    b, panels = operand(w, 0), operand(w, 1)
    t = spec.dtype
    pack = packer(module, t, order_of(spec.b_row, spec.b_column))
    with w.loop(lo, hi) as unit:
        start = step(w, unit.index, plan.width)
        source = w.at(b, step(w, start, spec.b_column), t)
        columns = w.sub(bounded(w, start, plan.width, spec.n), start)
        target = w.at(panels, step(w, unit.index, spec.k * plan.width), t)
        strides = w.index(spec.b_row), w.index(spec.b_column)
        w.call(pack, source, *strides, w.index(spec.k), columns, target, w.index(plan.width))
    elements = spec.k * plan.width * plan.panels
    phase = Phase(w.finish_once(), plan.panels, elements / 4)
    return Kernel((phase,)), elements * memory_bytes(t)

"""Native kernels for the pieces that a program is cut into, where there are any."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from minigrad.compile.bodies import CaseForm, LoopForm
from minigrad.compile.fuse import Group, Piece
from minigrad.compile.native import symbols
from minigrad.compile.native.control import emit_case, emit_loop
from minigrad.compile.native.kernel import Arg, PieceCode
from minigrad.compile.native.loops import emit_group
from minigrad.compile.native.product_spec import ProductSpec
from minigrad.compile.native.products import emit_product
from minigrad.compile.native.specials import SPECIALS
from minigrad.compile.native.types import has_type, type_of
from minigrad.compile.native.writer import Module
from minigrad.compile.program import STRIDED, Instruction, Operand


def emit_piece(module: Module, piece: Piece, needed: Collection[Operand]) -> PieceCode | None:
    """Write the functions of a piece; None if it must be called as a NumPy kernel."""
    if isinstance(piece, Group):
        code = emit_group(module, piece, needed)
        return PieceCode(code.kernel, [Arg(x) for x in code.reads], [Arg(x) for x in code.writes])
    if piece.kind == "product":
        return _product(module, piece)
    if piece.kind == "special":
        kernel = SPECIALS[piece.name](module, piece) if piece.name in SPECIALS else None
        if kernel is not None:
            return PieceCode(kernel, _reads(piece), [Arg(x) for x in piece.outputs])
    if isinstance(piece.form, LoopForm):
        return emit_loop(module, piece, piece.form, emit_piece)
    if isinstance(piece.form, CaseForm):
        return emit_case(module, piece, piece.form, emit_piece)
    return None


def _reads(step: Instruction) -> list[Arg]:
    """The inputs of a special kernel: those that are there and whose elements it reads."""
    assert step.primitive is not None
    unread = step.primitive.shape_only
    read = [x for i, x in enumerate(step.inputs) if x is not None and i not in unread]
    if step.name not in STRIDED:
        read = [_laid_out(x) for x in read]
    return [Arg(x.root, x.offset * x.dtype.itemsize) for x in read]


def _laid_out(x: Operand) -> Operand:
    """`x`; in place of a constant that repeats elements in memory one that does not."""
    if x.constant is None or x.constant.flags.c_contiguous:
        return x
    return Operand(x.shape, x.dtype, constant=np.ascontiguousarray(x.constant), label=x.label)


def _product(module: Module, step: Instruction) -> PieceCode | None:
    a, b = step.inputs
    assert a is not None and b is not None
    dtype = step.output.dtype
    if dtype.kind != "f" or not has_type(dtype):
        return None
    *batch, m, n = step.output.shape
    spec = ProductSpec(type_of(dtype), tuple(batch), m, n, a.shape[-1], _strides(a), _strides(b))
    kernel = emit_product(module, spec, blas=symbols.has_blas())
    if kernel is None:
        return None
    size = dtype.itemsize
    reads = [Arg(x.root, x.offset * size) for x in (a, b)]
    return PieceCode(kernel, reads, [Arg(step.output)])


def _strides(x: Operand) -> tuple[int, ...]:
    if x.constant is not None:
        size = x.dtype.itemsize
        return tuple([s // size for s in x.constant.strides])
    return x.strides

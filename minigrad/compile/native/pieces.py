"""Native kernels for the pieces that a program is cut into, where there are any."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from minigrad.compile.bodies import CaseForm, LoopForm
from minigrad.compile.finishing import Finished, finished
from minigrad.compile.fuse import Group, Piece, fuse, steps_of
from minigrad.compile.native import symbols
from minigrad.compile.native.control import emit_case, emit_loop
from minigrad.compile.native.epilogues import Finisher
from minigrad.compile.native.kernel import Arg, Epilogue, PieceCode
from minigrad.compile.native.loops import emit_group
from minigrad.compile.native.product_spec import ProductSpec
from minigrad.compile.native.products import emit_product
from minigrad.compile.native.specials import FINISHED, SPECIALS
from minigrad.compile.native.types import has_type, type_of
from minigrad.compile.native.writer import Module
from minigrad.compile.program import STRIDED, Instruction, Operand, Program, needed_by


def emit_pieces(
    module: Module, program: Program
) -> tuple[list[Piece | Finished], list[PieceCode | None]]:
    """Cut a program into pieces and write their functions; None for those to be called."""
    cut = finished(fuse(program), program)
    needed = needed_by([steps_of(piece) for piece in cut], program)
    pieces: list[Piece | Finished] = []
    codes: list[PieceCode | None] = []
    for piece in cut:
        code = emit_piece(module, piece, needed)
        parts: list[Piece | Finished] = [piece]
        if code is None and isinstance(piece, Finished):
            parts = [piece.kernel, piece.group]
        pieces += parts
        codes += [code] if len(parts) == 1 else [emit_piece(module, p, needed) for p in parts]
    return pieces, codes


def emit_piece(
    module: Module, piece: Piece | Finished, needed: Collection[Operand]
) -> PieceCode | None:
    """Write the functions of a piece; None if it must be called as a NumPy kernel."""
    if isinstance(piece, Finished):
        return _finished(module, piece)
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
        return emit_loop(module, piece, piece.form, emit_pieces)
    if isinstance(piece.form, CaseForm):
        return emit_case(module, piece, piece.form, emit_pieces)
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


def _finished(module: Module, piece: Finished) -> PieceCode | None:
    step = piece.kernel
    reads = 2 if step.kind == "product" else len(_reads(step))
    # The args are what is read, the result, the scratch memory, then the epilogue's.
    finisher = Finisher(piece, reads + 2)
    if step.kind == "product":
        code = _product(module, step, finisher)
    else:
        kernel = FINISHED[step.name](module, step, finisher)
        code = None if kernel is None else PieceCode(kernel, _reads(step), [Arg(step.output)])
    if code is None:
        return None
    return code._replace(writes=[Arg(piece.stored)], more=finisher.args)


def _product(
    module: Module, step: Instruction, epilogue: Epilogue | None = None
) -> PieceCode | None:
    a, b = step.inputs
    assert a is not None and b is not None
    dtype = step.output.dtype
    if not has_type(dtype):
        return None
    *batch, m, n = step.output.shape
    spec = ProductSpec(type_of(dtype), tuple(batch), m, n, a.shape[-1], _strides(a), _strides(b))
    kernel = emit_product(module, spec, epilogue, blas=symbols.has_blas())
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

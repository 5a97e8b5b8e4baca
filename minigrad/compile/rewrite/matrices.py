"""Products of matrices: copies and batches folded into them."""

from __future__ import annotations

import math

from minigrad.compile import views
from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rewriter import Rewriter
from minigrad.compile.rewrite.rule import made_by, rule
from minigrad.compile.rewrite.seeing import seen_in


@rule("product")
def product_without_copies(b: Rewriter, step: Instruction) -> Operand | None:
    """A product reads the original of a copied operand, if BLAS can read that.

    Differs in the last places: another order of additions may be used for another layout.
    """
    for i, x in enumerate(step.inputs):
        before = None if x is None or x.constant is not None else made_by(x.root, "copy")
        if before is None:
            continue
        assert x is not None and before.inputs[0] is not None
        direct = seen_in(x, before.inputs[0])
        if direct is not None and direct.constant is None and is_plain_matrix(direct):
            inputs = list(step.inputs)
            inputs[i] = direct
            return b.like(step, inputs)
    return None


@rule("product")
def outer_product(b: Rewriter, step: Instruction) -> Operand | None:
    """A product of a column and a row is an elementwise product, which can be fused.

    Differs where an element is -0.0: as a sum that begins with 0.0 it would be 0.0.
    """
    x, y = step.inputs
    assert x is not None and y is not None
    if x.shape[-1] != 1 or not step.output.size or x.dtype.kind != "f":
        return None
    return b.map("Mul", x, y)


@rule("product")
def one_matrix_for_a_whole_batch(b: Rewriter, step: Instruction) -> Operand | None:
    """Many matrices times the same matrix are one tall matrix times it.

    Differs in the last places: another order of additions may be used for another shape.
    """
    x, y = step.inputs
    assert x is not None and y is not None
    batch = x.shape[:-2]
    count = math.prod(batch)
    if count <= 1 or not step.output.size or not x.shape[-1]:
        return None
    once = _without_batch(y)
    tall = views.reshaped(x, (count * x.shape[-2], x.shape[-1]))
    if once is None or tall is None or not is_plain_matrix(tall):
        return None
    return b.reshape(b.product(tall, once), step.output.shape)


@rule("sum")
def sum_of_a_batch_of_products(b: Rewriter, step: Instruction) -> Operand | None:
    """The sum of a batch of products x_i y_i is the product of the x_i side by side and the y_i.

    Differs in the last places: the sum is part of the product.
    """
    before = made_by(step.inputs[0], "product")
    if before is None or not b.is_read_once(before.output):
        return None
    x, y = before.inputs
    assert x is not None and y is not None
    *batch, rows, inner = x.shape
    first, stop = step.attrs["axes"]
    if stop > len(batch) or math.prod(batch[first:stop]) != math.prod(batch) or not x.size:
        return None
    order = [len(batch), *range(len(batch)), len(batch) + 1]
    wide = views.reshaped(views.transposed(x, order), (rows, math.prod(batch) * inner))
    tall = views.reshaped(y, (math.prod(batch) * inner, y.shape[-1]))
    if wide is None or tall is None or not (is_plain_matrix(wide) and is_plain_matrix(tall)):
        return None
    return b.reshape(b.product(wide, tall), step.output.shape)


def is_plain_matrix(x: Operand) -> bool:
    """Whether BLAS can read the matrices in the last two axes: rows or columns lie side by side."""
    rows, columns = x.shape[-2:]
    down, right = x.strides[-2:]
    by_rows = (right == 1 or columns == 1) and (down >= columns or rows == 1)
    by_columns = (down == 1 or rows == 1) and (right >= rows or columns == 1)
    return by_rows or by_columns


def _without_batch(y: Operand) -> Operand | None:
    """The one matrix that is repeated along all batch axes, or None."""
    if y.constant is not None:
        strides = y.constant.strides
        repeated = all(s == 0 or n == 1 for s, n in zip(strides[:-2], y.shape[:-2], strict=True))
        if not repeated:
            return None
        matrix = y.constant[(0,) * (y.rank - 2)]
        return Operand(matrix.shape, y.dtype, constant=matrix, label=y.label)
    strides = y.strides
    if any(s != 0 and n != 1 for s, n in zip(strides[:-2], y.shape[:-2], strict=True)):
        return None
    return views.view_of(y, y.shape[-2:], y.offset, strides[-2:])

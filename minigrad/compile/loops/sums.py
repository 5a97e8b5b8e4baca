"""Sums of products that a loop adds up run by run, as one product after the loop.

``c = c + a @ b`` in every run is ``c + [a₀ a₁ …] @ [b₀; b₁; …]`` in the end.
"""

from __future__ import annotations

from minigrad.compile import views
from minigrad.compile.builder import Builder
from minigrad.compile.loops.draft import Draft
from minigrad.compile.program import Instruction, Operand
from minigrad.compile.rewrite.rule import made_by

#: What is kept of all runs for this may have so many bytes.
MOST_BYTES = 1 << 26


def multiply_after(draft: Draft, builder: Builder) -> int:
    """Take sums of products out of a loop; the products, made after it, are added to `builder`.

    Differs in the order in which terms are added.

    Returns:
        How many sums were taken out.
    """
    done = 0
    if draft.form.runs is None or draft.form.cond is not None:
        return 0
    for carry in reversed(range(len(draft.after))):
        product = _summed(draft, carry)
        if product is None:
            continue
        stacks = [_stacked(draft, x) for x in product.inputs]
        if any(stack is None for stack in stacks):
            continue
        left, right = stacks
        start, out = draft.given.carries[carry], draft.made.carries[carry]
        draft.drop_carry(carry)
        _product(builder, left, right, start, out)  # type: ignore[arg-type]
        done += 1
    return done


def _summed(draft: Draft, carry: int) -> Instruction | None:
    """The product that a run adds to a carried value, if that is all that is done with it."""
    argument, after = draft.arguments.carries[carry], draft.after[carry]
    add = made_by(after, "Add")
    if add is None or after.shape != argument.shape or draft.histories[carry]:
        return None
    terms = [x for x in add.inputs if x is not argument]
    if len(terms) != 1 or terms[0] is None:
        return None
    term = terms[0]
    product = term.producer
    if product is None or product.kind != "product" or term.rank != 2:
        return None
    uses = [
        step
        for step in draft.body.instructions
        if any(x is not None and x.root in (argument, term, after) for x in step.inputs)
    ]
    fetched = [x.root for x in (*draft.after, *draft.collected)]
    if uses != [add] or fetched.count(after) != 1 or argument in fetched or term in fetched:
        return None
    return product


def _stacked(draft: Draft, x: Operand | None) -> Operand | None:
    """A factor of all runs: of shape (runs, rows, columns); None if it costs too much."""
    if x is None or x.constant is not None:
        return None
    root = x.root
    arguments = draft.arguments
    if root in arguments.captured:
        return None
    if root in arguments.slices:
        stack = draft.given.slices[arguments.slices.index(root)]
        if stack.constant is not None:
            return None
    else:
        if root.nbytes * draft.runs > MOST_BYTES:
            return None
        if root in arguments.carries:
            stack = draft.remember(arguments.carries.index(root))
        else:
            stack = draft.collect(root)
    return views.view_of(
        stack, (draft.runs, *x.shape), stack.offset + x.offset, (root.size, *x.strides)
    )


def _product(builder: Builder, left: Operand, right: Operand, start: Operand, out: Operand) -> None:
    runs, rows, inner = left.shape
    columns = right.shape[-1]
    wide = builder.reshape(builder.transpose(left, (1, 0, 2)), (rows, runs * inner))
    tall = builder.reshape(right, (runs * inner, columns))
    made = builder.product(wide, tall)
    if start.uniform is None or start.uniform != 0:
        made = builder.map("Add", start, made)
    last = builder.program.instructions[-1]
    assert last.outputs == (made,)
    last.outputs = (out,)
    out.producer = last

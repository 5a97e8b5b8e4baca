"""How plans compute sums of products over labelled axes: by views, products and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Labelled", "contracted", "transposed_to"]


class Labelled(NamedTuple):
    """An operand of a plan, and a letter for each of its axes."""

    value: Any
    labels: str


def contracted(
    b: Any, operands: Sequence[Labelled], output: str, path: Sequence[Sequence[int]]
) -> Labelled:
    """The sum, over the labels that `output` lacks, of the product of floating operands.

    Args:
        b: adds instructions to the plan.
        operands: what is multiplied. Where a label has length 1 in one and more in another, the
            one broadcasts; a label twice in one operand stands for its diagonal.
        output: the labels to be kept; each is in some operand.
        path: the positions of operands to multiply first, and so on; a result goes to the end.
            What is left is multiplied from the left.

    Returns:
        The result, its axes in some order.
    """
    sizes: dict[str, int] = {}
    for x in operands:
        for label, n in zip(x.labels, x.value.shape, strict=True):
            sizes[label] = n if sizes.get(label, 1) == 1 else sizes[label]
    todo = [_without_ones(b, _diagonal(b, x), sizes) for x in operands]
    for group in [*path, range(len(todo))]:
        if len(todo) == 1:
            break
        chosen = [todo[i] for i in group]
        todo = [x for i, x in enumerate(todo) if i not in group]
        made = chosen[0]
        for i, x in enumerate(chosen[1:], start=2):
            later = "".join([y.labels for y in (*chosen[i:], *todo)])
            made = _pair(b, made, x, output, later)
        todo.append(made)
    return _summed(b, todo[0], output)


def transposed_to(b: Any, x: Labelled, labels: str) -> Any:
    """The value with its axes in this order."""
    return b.transpose(x.value, [x.labels.index(label) for label in labels])


def _diagonal(b: Any, x: Labelled) -> Labelled:
    """`x` with every label once."""
    value, labels = x
    for label in labels:
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            rest = [k for k in range(len(labels)) if k not in (i, j)]
            value = b.diagonal(b.transpose(value, [*rest, i, j]), 0)
            labels = "".join([labels[k] for k in rest]) + label
    return Labelled(value, labels)


def _without_ones(b: Any, x: Labelled, sizes: dict[str, int]) -> Labelled:
    """`x` without the axes along which it broadcasts."""
    kept = [i for i, n in enumerate(x.value.shape) if n == sizes[x.labels[i]]]
    value = b.reshape(x.value, [x.value.shape[i] for i in kept])
    return Labelled(value, "".join([x.labels[i] for i in kept]))


def _summed(b: Any, x: Labelled, kept: str) -> Labelled:
    """`x` summed over all other labels."""
    gone = [i for i, label in enumerate(x.labels) if label not in kept]
    labels = "".join([label for label in x.labels if label in kept])
    return Labelled(b.reduce("sum", x.value, gone), labels)


def _pair(b: Any, x: Labelled, y: Labelled, output: str, later: str) -> Labelled:
    """The product of two operands, summed over what neither the output nor later ones have."""
    needed = output + later
    x, y = _summed(b, x, y.labels + needed), _summed(b, y, x.labels + needed)
    own = [label for label in y.labels if label not in x.labels]
    if (
        not later
        and own
        and output.index(own[0])
        < min(
            [
                output.index(label)
                for label in x.labels
                if label in output and label not in y.labels
            ],
            default=0,
        )
    ):
        x, y = y, x  # The product then has the output's order.
    shared = [label for label in x.labels if label in y.labels]
    batch = [label for label in shared if label in needed]
    inner = [label for label in shared if label not in needed]
    left = [label for label in x.labels if label not in y.labels]
    right = [label for label in y.labels if label not in x.labels]
    labels = "".join(batch + left + right)
    if not inner:
        a = transposed_to(b, x, "".join(batch + left))
        c = transposed_to(b, y, "".join(batch + right))
        a = b.reshape(a, (*a.shape, *(1,) * len(right)))
        c = b.expand(c, range(len(batch), len(batch) + len(left)))
        return Labelled(b.map("Mul", a, c), labels)
    a, rows = _as_matrices(b, x, batch, left, inner)
    c, columns = _as_matrices(b, y, batch, inner, right)
    shape = (*a.shape[: len(batch)], *rows[: len(left)], *columns[len(inner) :])
    if not a.size or not c.size:
        return Labelled(b.full(shape, 0, a.dtype), labels)
    return Labelled(b.reshape(b.product(a, c), shape), labels)


def _as_matrices(
    b: Any, x: Labelled, batch: list[str], rows: list[str], columns: list[str]
) -> tuple[Any, tuple[int, ...]]:
    """A stack of matrices, the labels joined to rows and to columns; and all their lengths."""
    value = transposed_to(b, x, "".join(batch + rows + columns))
    lengths = value.shape[len(batch) :]
    shape = list(value.shape[: len(batch)])
    for part in (lengths[: len(rows)], lengths[len(rows) :]):
        count = 1
        for n in part:
            count *= n
        shape.append(count)
    return b.reshape(value, shape), lengths

"""Einstein's summation: products of tensors, summed over named dimensions."""

from __future__ import annotations

import functools
import operator
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.contracting import Labelled, contracted, transposed_to
from minigrad.shapes import Dim, Shape, Spec, broadcast, compatible, show

__all__ = ["einsum"]


class Equation(NamedTuple):
    """A parsed equation: one term an operand, and the output's; ``...`` stays in them."""

    terms: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        return f"{','.join(self.terms)}->{self.output}"


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Equation:
    """An equation's terms; the implied output is written out.

    Raises:
        ArgumentError: the text is no equation.
    """
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = tuple(left.split(","))
    for term in (*terms, right):
        labels = term.replace("...", "", 1)
        wrong = next((c for c in labels if c not in string.ascii_letters), None)
        if wrong is not None:
            raise ArgumentError(
                f"equation {text!r} holds {wrong!r} where a label is expected; labels are letters, "
                "'...' stands for any dimensions (once in a term), ',' separates terms, and one "
                "'->' comes before the output"
            )
    ellipsis = "..." if any("..." in t for t in terms) else ""
    joined = "".join(terms).replace(".", "")
    if not arrow:
        right = ellipsis + "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    for label in right.replace(".", ""):
        if label not in joined:
            raise ArgumentError(
                f"equation {text!r}: output label {label!r} is in no operand's term"
            )
        if right.count(label) > 1:
            raise ArgumentError(f"equation {text!r} names {label!r} twice in the output")
    if ("..." in right) != bool(ellipsis):
        where = "in its operands" if ellipsis else "in its output"
        raise ArgumentError(
            f"equation {text!r} has '...' only {where}; give it on both sides, or sum over those "
            "dimensions by labels of their own"
        )
    return Equation(terms, right)


def expand(equation: Equation, shapes: tuple[Shape, ...]) -> Equation:
    """The equation with a label in place of each dimension that ``...`` stands for.

    Args:
        equation: the equation.
        shapes: the operands' shapes; of known rank.

    Raises:
        ShapeError: an operand has not as many dimensions as its term names.
        ArgumentError: there are more dimensions than labels.
    """
    used = set("".join(equation.terms))
    spare = [c for c in string.ascii_letters if c not in used]
    ranks = [0]
    for i, (term, shape) in enumerate(zip(equation.terms, shapes, strict=True)):
        rank = len(shape or ()) - len(term.replace("...", ""))
        if rank < 0 or (rank > 0 and "..." not in term):
            raise ShapeError(
                f"operand {i} of shape {show(shape)} has {len(shape or ())} dimensions, but its "
                f"term {term!r} in {str(equation)!r} names {len(term.replace('...', ''))}"
            )
        ranks.append(rank)
    most = max(ranks)
    if most > len(spare):
        raise ArgumentError(f"equation {str(equation)!r} needs more than the 52 letters as labels")
    dots = "".join(spare[:most])
    terms = [
        term.replace("...", dots[most - rank :])
        for term, rank in zip(equation.terms, ranks[1:], strict=True)
    ]
    return Equation(tuple(terms), equation.output.replace("...", dots))


def output_shape(equation: Equation, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of the result.

    Raises:
        ShapeError: the operands do not fit the equation or one another.
    """
    if any(s is None for s in shapes):
        return _partial_shape(equation, shapes)
    full = expand(equation, shapes)
    named = set("".join(equation.terms))
    sizes: dict[str, Dim] = {}
    for i, (term, shape) in enumerate(zip(full.terms, shapes, strict=True)):
        for label, size in zip(term, shape or (), strict=True):
            known = sizes.setdefault(label, size)
            if label not in named:
                stretched = broadcast((known,), (size,))
                sizes[label] = stretched[0] if stretched else None
            elif known is None:
                sizes[label] = size
            elif size is not None and size != known:
                raise ShapeError(
                    f"label {label!r} in {str(equation)!r} is {known} in one place and {size} in "
                    f"operand {i} of shape {show(shape)}; only dimensions under '...' broadcast"
                )
    return tuple(sizes[label] for label in full.output)


def _partial_shape(equation: Equation, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of the result where an operand's rank is unknown."""
    if "..." in equation.output:
        return None
    sizes: dict[str, Dim] = {}
    for term, shape in zip(equation.terms, shapes, strict=True):
        if shape is not None:
            expand(Equation((term,), ""), (shape,))
            sizes.update({c: d for c, d in zip(term, shape, strict=True) if d is not None})
    return tuple(sizes.get(label) for label in equation.output)


def contract(xp: Any, equation: str, *operands: Array) -> Array:
    """`xp.einsum`, in an order that NumPy finds once for each set of shapes."""
    kind = operands[0].dtype
    if kind == np.float16:
        operands = tuple(x.astype(np.float32) for x in operands)
    if xp is not np:
        made: Array = xp.einsum(equation, *operands).astype(kind)
        return made
    path = _path(equation, tuple([x.shape for x in operands]))
    made = np.einsum(equation, *operands, optimize=path)
    return made.astype(kind, copy=False)


@functools.lru_cache(maxsize=1024)
def _path(equation: str, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The order of the products; False (the plain loop) where finding one would cost more."""
    parsed = parse(equation)
    labels = expand(parsed, shapes)
    sizes: dict[str, int] = {}
    for term, shape in zip(labels.terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    if len(shapes) == 1 or np.prod(list(sizes.values()), dtype=float) < 4096:
        return False
    stand_ins = [np.broadcast_to(np.zeros(()), shape) for shape in shapes]
    return np.einsum_path(equation, *stand_ins, optimize="greedy")[0]


@primitive(
    "Einsum",
    accepts="numeric",
    samples=lambda rng: [
        Sample("ij,jk->ik", rng.normal(size=(2, 3)), rng.normal(size=(3, 2))),
        Sample("ij,jk", rng.normal(size=(2, 3)), rng.normal(size=(3, 2))).named("implied output"),
        Sample("bij,bjk->bik", rng.normal(size=(2, 1, 3)), rng.normal(size=(2, 3, 2))),
        Sample("...ij,jk->...ik", rng.normal(size=(2, 1, 2)), rng.normal(size=(2, 2))),
        Sample("i...,...i->...", rng.normal(size=(2, 3, 1)), rng.normal(size=(2, 2))),
        Sample("ii->i", rng.normal(size=(3, 3))).named("diagonal"),
        Sample("ii", rng.normal(size=(3, 3))).named("trace"),
        Sample("iij,ij->j", rng.normal(size=(2, 2, 2)), rng.normal(size=(2, 2))),
        Sample("ij->", rng.normal(size=(2, 3))).named("sum of all"),
        Sample("ij->ji", rng.normal(size=(2, 3))).named("transpose"),
        Sample("ij,k->i", rng.normal(size=(2, 3)), rng.normal(size=2)).named("summed alone"),
        Sample("i,j,k->ikj", *(rng.normal(size=n) for n in (2, 1, 3))).named("three operands"),
        Sample("ij,ij->ij", rng.normal(size=(0, 2)), rng.normal(size=(0, 2))).named("empty"),
        Sample(",i->i", rng.normal(size=()), rng.normal(size=2)).named("scalar"),
        Sample("ij,j->i", np.arange(6).reshape(2, 3), np.arange(3)).named("integers"),
    ],
    errors=[
        Fails(ArgumentError, r"holds '\$'", "i$,j", np.ones((2, 2)), np.ones(2)),
        Fails(ArgumentError, "no operand's term", "ij->ik", np.ones((2, 2))),
        Fails(ArgumentError, "twice in the output", "ij->ii", np.ones((2, 2))),
        Fails(ArgumentError, "2 terms but 1 operand", "ij,jk->ik", np.ones((2, 2))),
        Fails(ArgumentError, "only in its operands", "...i->i", np.ones((2, 2))),
        Fails(ArgumentTypeError, "text", np.ones((2, 2)), "ij->i"),
        Fails(ShapeError, "names 3", "ijk->i", np.ones((2, 2))),
        Fails(ShapeError, "is 3 in one place and 2", "ij,jk", np.ones((2, 3)), np.ones((2, 3))),
        Fails(ShapeError, "is 2 in one place and 3", "ii->i", np.ones((2, 3))),
        Fails(ShapeError, "is 1 in one place and 3", "ij,jk", np.ones((2, 1)), np.ones((3, 4))),
        Fails(ShapeError, "do not broadcast", "...,...", np.ones(2), np.ones(3)),
        Fails(DTypeError, "bool", "i->i", np.ones(2, bool)),
    ],
)
def einsum(equation: str, /, *operands: TensorLike) -> Tensor:
    """Products of tensors whose dimensions are named by letters, summed over some of them.

    Args:
        equation: a term of labels for each operand, separated by commas, then ``->`` and the
            labels of the output. A label that the output lacks is summed over. A label twice in
            a term takes the diagonal. ``...`` stands for dimensions without labels, which
            broadcast. Without ``->`` the output has, in alphabetical order, the labels that come
            up once.
        operands: numeric tensors.

    Returns:
        A tensor with a dimension for each label of the output.

    Raises:
        ArgumentError: the equation is malformed or has a different number of terms than operands.
        ShapeError: an operand's rank does not fit its term, or a label has two sizes.

    As in TensorFlow and JAX, and unlike in NumPy, a *labelled* dimension of size 1 does not
    stretch to meet another one: that hides mistakes. Those under ``...`` do.

    >>> import minigrad as mg
    >>> mg.einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0]).tolist()
    [21.0, 43.0]
    """
    if not isinstance(equation, str):
        raise ArgumentTypeError(
            "einsum takes the equation first, as text like 'ij,jk->ik'; "
            f"got {type(equation).__name__}"
        )
    parsed = parse(equation)
    if len(parsed.terms) != len(operands):
        raise ArgumentError(
            f"equation {equation!r} has {_count(len(parsed.terms), 'term')} but "
            f"{_count(len(operands), 'operand')} came"
        )
    return bind(einsum, *operands, equation=str(parsed))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@einsum.kernel
def _(xp: Any, *operands: Array, equation: str) -> Any:
    output_shape(parse(equation), tuple([x.shape for x in operands]))
    return contract(xp, equation, *operands)


@einsum.lowering
def _(b: Any, *operands: Any, equation: str) -> Any:
    if operands[0].dtype.kind != "f":
        return NotImplemented
    full = expand(parse(equation), tuple([x.shape for x in operands]))
    made = _lowered(b, equation, full.terms, full.output, operands)
    return transposed_to(b, made, full.output)


def _lowered(
    b: Any, equation: str, terms: Sequence[str], output: str, operands: Sequence[Any]
) -> Labelled:
    """`contract` in a plan."""
    path = _path(equation, tuple([x.shape for x in operands])) or [""]
    given = [Labelled(x, term) for x, term in zip(operands, terms, strict=True)]
    return contracted(b, given, output, path[1:])


@einsum.shape
def _(*operands: Spec, equation: str) -> Spec:
    return Spec(output_shape(parse(equation), tuple(x.shape for x in operands)), operands[0].dtype)


@einsum.gradient(saves=("operands",))
def _(c: Ctx) -> Grads:
    return [
        _gradient_of(c.grads[0], i, c.inputs, c.attrs.equation) if needed else None
        for i, needed in enumerate(c.needs)
    ]


def _gradient_of(g: Tensor, position: int, operands: tuple[Tensor, ...], equation: str) -> Tensor:
    """The gradient for one operand: another `einsum` where that can say it."""
    parsed = parse(equation)
    own = parsed.terms[position]
    others = operands[:position] + operands[position + 1 :]
    terms = (parsed.output, *parsed.terms[:position], *parsed.terms[position + 1 :])
    repeated = len(set(own)) < len(own)
    alone = any(label not in "".join(terms) for label in own)
    if "..." in equation or repeated or alone:
        return einsum_gradient(g, operands[position], *others, equation=equation, position=position)
    return einsum(str(Equation(terms, own)), g, *others)


@primitive(
    "EinsumGrad",
    accepts="numeric",
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=3), np.zeros((3, 3)), equation="ii->i", position=0).fixed(1),
        Sample(rng.normal(size=()), np.zeros((2, 2)), equation="ii->", position=0).fixed(1),
        Sample(
            *(rng.normal(size=2), np.zeros((2, 3)), rng.normal(size=2)),
            equation="ij,k->i",
            position=0,
        ).fixed(1),
        Sample(
            *(rng.normal(size=(2, 3)), np.zeros((1, 2)), rng.normal(size=(2, 2, 3))),
            equation="...i,...ij->...j",
            position=0,
        ).fixed(1),
    ],
    errors=[
        Fails(ShapeError, "upstream", np.ones(2), np.ones((3, 3)), equation="ii->i", position=0),
        Fails(ArgumentError, "position", np.ones(3), np.ones((3, 3)), equation="ii->i", position=1),
    ],
)
def einsum_gradient(
    g: TensorLike, like: TensorLike, /, *others: TensorLike, equation: str, position: int
) -> Tensor:
    """The gradient of `einsum` for one operand, where it is no `einsum` itself.

    That is so with diagonals, labels that no other term has, and broadcasting under ``...``.
    `einsum` is linear in each operand, so this op and `einsum` are each other's derivatives.

    Args:
        g: the upstream gradient, of the result's shape.
        like: the operand itself; only its shape is read.
        others: the other operands, in order.
        equation: as `einsum` takes it.
        position: which operand `like` is.

    Returns:
        A tensor of the shape of `like`.

    Raises:
        ShapeError: the operands do not fit the equation, or `g` has not the result's shape.
        ArgumentError: the equation is malformed, or there is no operand at `position`.

    >>> import minigrad as mg
    >>> from minigrad.ops.einsum import einsum_gradient
    >>> einsum_gradient([5.0, 7.0], mg.zeros((2, 2)), equation="ii->i", position=0).tolist()
    [[5.0, 0.0], [0.0, 7.0]]
    """
    parsed = parse(equation)
    place = operator.index(position)
    if not 0 <= place < len(parsed.terms) or len(others) + 1 != len(parsed.terms):
        raise ArgumentError(
            f"equation {equation!r} has {_count(len(parsed.terms), 'term')}; got position {place} "
            f"and {_count(len(others), 'other operand')}"
        )
    return bind(einsum_gradient, g, like, *others, equation=str(parsed), position=place)


@einsum_gradient.kernel
def _(xp: Any, g: Array, like: Array, *others: Array, equation: str, position: int) -> Any:
    shapes = [x.shape for x in others]
    shapes.insert(position, like.shape)
    _check_upstream(parse(equation), tuple(shapes), g.shape)
    full = expand(parse(equation), tuple(shapes))
    own = full.terms[position]
    terms = (full.output, *full.terms[:position], *full.terms[position + 1 :])
    unique = "".join(dict.fromkeys(own))
    present = "".join(label for label in unique if label in "".join(terms))
    made = contract(xp, f"{','.join(terms)}->{present}", g, *others)
    # Sum what was broadcast, and give the labels that no other term has an axis of size 1.
    sizes = dict(zip(own, like.shape, strict=True))
    axes = tuple(i for i, c in enumerate(present) if sizes[c] == 1 and made.shape[i] != 1)
    if axes:
        made = xp.sum(made, axis=axes, keepdims=True, dtype=made.dtype)
    column = dict(zip(present, made.shape, strict=True))
    # A repeated label has its extent at its first place; the mask keeps the diagonal.
    seen: set[str] = set()
    view: list[int] = []
    diagonal: Any = None
    for axis, label in enumerate(own):
        view.append(1 if label in seen else column.get(label, 1))
        if label in seen:
            first = own.index(label)
            on = _along(xp, first, sizes[label], len(own)) == _along(
                xp, axis, sizes[label], len(own)
            )
            diagonal = on if diagonal is None else xp.logical_and(diagonal, on)
        seen.add(label)
    made = xp.broadcast_to(xp.reshape(made, tuple(view)), like.shape)
    result: Array = made
    if diagonal is not None:
        result = xp.where(diagonal, made, xp.zeros((), dtype=made.dtype))
    return result


@einsum_gradient.lowering
def _(b: Any, g: Any, like: Any, *others: Any, equation: str, position: int) -> Any:
    if g.dtype.kind != "f":
        return NotImplemented
    shapes = [x.shape for x in others]
    shapes.insert(position, like.shape)
    full = expand(parse(equation), tuple(shapes))
    own = full.terms[position]
    terms = (full.output, *full.terms[:position], *full.terms[position + 1 :])
    present = "".join([c for c in dict.fromkeys(own) if c in "".join(terms)])
    sizes = dict(zip(own, like.shape, strict=True))
    kept = "".join([c for c in present if sizes[c] != 1])
    made = _lowered(b, f"{','.join(terms)}->{present}", terms, kept, (g, *others))
    value = transposed_to(b, made, kept)
    view = [sizes[c] if c in kept and c not in own[:i] else 1 for i, c in enumerate(own)]
    value = b.broadcast(b.reshape(value, view), like.shape)
    for axis, label in enumerate(own):
        first = own.index(label)
        if first != axis:
            places = [b.iota(like.shape, i, np.dtype(np.int64)) for i in (first, axis)]
            value = b.map("Select", b.map("Equal", *places), value, b.constant(0, value.dtype))
    return value


def _along(xp: Any, axis: int, size: int, rank: int) -> Any:
    """0, 1, 2, … along one axis."""
    return xp.reshape(xp.arange(size), tuple(size if i == axis else 1 for i in range(rank)))


def _check_upstream(equation: Equation, shapes: tuple[Shape, ...], upstream: Shape) -> None:
    expected = output_shape(equation, shapes)
    if not compatible(expected, upstream):
        raise ShapeError(
            f"the upstream gradient has shape {show(upstream)}, the result of {str(equation)!r} "
            f"has {show(expected)}"
        )


@einsum_gradient.shape
def _(g: Spec, like: Spec, *others: Spec, equation: str, position: int) -> Spec:
    shapes = [x.shape for x in others]
    shapes.insert(position, like.shape)
    _check_upstream(parse(equation), tuple(shapes), g.shape)
    return Spec(like.shape, like.dtype)


@einsum_gradient.gradient(saves=("g", "others"))
def _(c: Ctx) -> Grads:
    (v,), (g, _like, *others), equation = c.grads, c.inputs, c.attrs.equation
    operands = [*others[: c.attrs.position], v, *others[c.attrs.position :]]
    return [
        einsum(equation, *operands) if c.needs[0] else None,
        None,
        *(
            _gradient_of(g, j, tuple(operands), equation) if c.needs[2 + i] else None
            for i, j in enumerate(k for k in range(len(operands)) if k != c.attrs.position)
        ),
    ]

"""Tensors that are used beside another one, and must fit its shape."""

from __future__ import annotations

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.reducing import Axis
from minigrad.ops.shaping import broadcast_like
from minigrad.shapes import Shape, broadcast, compatible, normalize_axes, show

__all__: list[str] = []


def along_axes(what: str, name: str, p: TensorLike, x: Tensor, axis: Axis) -> Tensor:
    """A parameter that has a dimension for each of some axes of `x`, shaped to broadcast with it.

    Raises:
        ShapeError: it has another number of dimensions, or one of another length; or the rank of
            `x` would be needed and is not known.
    """
    given = tensor_of(p, name=name)
    places = _from_the_end(what, x.shape, axis)
    own = given.shape
    if own is not None and len(own) != len(places):
        raise ShapeError(
            f"{what}: {name} must have a dimension for each of the axes {places} of a tensor of "
            f"shape {show(x.shape)}, got shape {show(own)}"
        )
    if own is not None and x.shape is not None:
        lengths = tuple([x.shape[i] for i in places])
        pairs = zip(own, lengths, strict=True)
        if any(d not in (1, n) and d is not None and n is not None for d, n in pairs):
            raise ShapeError(
                f"{what}: {name} of shape {show(own)} does not fit axes {places} of a tensor of "
                f"shape {show(x.shape)}; expected {show(lengths)}"
            )
    between = tuple([i for i in range(places[0], 0) if i not in places]) if places else ()
    if between:
        given = expand_dims(given, between)
    return checked_in_run(given, x)


def checked_in_run(p: Tensor, x: Tensor) -> Tensor:
    """`p`, which may broadcast with `x` but not stretch it; where it could, the run checks that."""
    return p if p.spec.known() and x.spec.known() else broadcast_like(p, x)


def fitted(what: str, name: str, p: Tensor, x: Tensor) -> Tensor:
    """`p`, once it is known to broadcast to the shape of `x`; else the run checks it.

    Raises:
        ShapeError: it does not, or would make `x` larger.
    """
    try:
        fits = compatible(broadcast(p.shape, x.shape), x.shape)
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{what}: {name} of shape {show(p.shape)} does not broadcast to shape {show(x.shape)}; "
            "each of its lengths must be the same there, or 1"
        )
    return checked_in_run(p, x)


def _from_the_end(what: str, shape: Shape, axis: Axis) -> tuple[int, ...]:
    """Axes in ascending order, counted from the end."""
    if shape is not None:
        return tuple(sorted(i - len(shape) for i in normalize_axes(axis, len(shape))))
    axes = (axis,) if isinstance(axis, int) else axis
    if axes is None or any(i >= 0 for i in axes):
        raise needs_rank(what)
    return tuple(sorted(axes))


def needs_rank(what: str) -> ShapeError:
    """The error for a tensor of unknown rank whose axes must be counted."""
    return ShapeError(
        f"{what}: the rank of x must be known while the graph is built; state it with "
        "mg.ensure_shape(x, (None, …))"
    )

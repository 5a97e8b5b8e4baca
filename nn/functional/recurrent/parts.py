"""What recurrent cells and the loops over them share: input products, checks, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import bool_, int64
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.sizes import sizes_of
from minigrad.ops.basic import astype
from minigrad.ops.elementwise import add
from minigrad.ops.manipulation import reshape
from minigrad.ops.products import matmul
from minigrad.ops.sizes import static_sizes
from minigrad.shapes import Shape, Spec, compatible, show

__all__: list[str] = []


def projected(x: Tensor, weight: TensorLike, bias: TensorLike | None) -> Tensor:
    """``x @ weight + bias`` over the last axis: one product, however many axes x has."""
    if x.shape is None or len(x.shape) <= 2:
        made = matmul(x, weight)
    else:
        leading, last = sizes_of(x, slice(-1)), sizes_of(x, slice(-1, None))
        product = matmul(reshape(x, (-1, *last)), weight)
        made = reshape(product, (*leading, *sizes_of(product, slice(1, None))))
    return made if bias is None else add(made, bias)


def check_state(what: str, name: str, state: Tensor, leading: Shape, hidden: Any) -> None:
    """Raise `ShapeError` unless a state fits the leading axes of the input and has `hidden`."""
    wanted: Shape = None if leading is None else (*leading, hidden)
    last = state.shape[-1:] if state.shape else (None,)
    if state.shape == () or not compatible(state.shape, wanted) or not compatible(last, (hidden,)):
        shown = f"(…, {hidden})" if wanted is None else show(wanted)
        raise ShapeError(f"{what}: {name} must have shape {shown}, got {show(state.shape)}")


def check_weights(what: str, gates: int, weight: Tensor, recurrent: Tensor) -> Any:
    """The size of the state. Raises `ShapeError` unless the weights fit each other."""
    shapes = (weight.shape, recurrent.shape)
    for name, shape in zip(("weight", "recurrent_weight"), shapes, strict=True):
        if shape is not None and len(shape) != 2:
            raise ShapeError(f"{what}: {name} must be a matrix, got shape {show(shape)}")
    hidden, columns = (None, None) if recurrent.shape is None else recurrent.shape
    wide = None if weight.shape is None else weight.shape[1]
    if hidden is not None and columns is not None and columns != gates * hidden:
        many = "hidden" if gates == 1 else f"{gates} * hidden"
        raise ShapeError(
            f"{what}: recurrent_weight must have shape (hidden, {many}), got "
            f"{show(recurrent.shape)}"
        )
    if wide is not None and columns is not None and wide != columns:
        raise ShapeError(
            f"{what}: weight and recurrent_weight must have equally many columns, got shapes "
            f"{show(weight.shape)} and {show(recurrent.shape)}"
        )
    return hidden


def prepared(
    what: str,
    gates: int,
    x: TensorLike,
    states: dict[str, TensorLike],
    weights: tuple[TensorLike, TensorLike, TensorLike | None],
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The projected input, the states and the recurrent weight, all checked."""
    given, weight, recurrent = tensor_of(x), tensor_of(weights[0]), tensor_of(weights[1])
    hidden = check_weights(what, gates, weight, recurrent)
    tensors = [tensor_of(state) for state in states.values()]
    leading = None if given.shape is None else given.shape[:-1]
    for name, state in zip(states, tensors, strict=True):
        check_state(what, name, state, leading, hidden)
    return projected(given, weight, weights[2]), tensors, recurrent


def pair(what: str, name: str, value: Any) -> tuple[Any, Any]:
    """The two parts of the state of an LSTM. Raises `ArgumentError` if it is no pair."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    raise ArgumentError(f"{what}: {name} must be a pair (h, c), got {value!r:.80}")


# -- lengths -----------------------------------------------------------------------------------


@primitive(
    "ValidSteps",
    not_differentiable="the result is made of choices",
    samples=[
        Sample(np.array([1, 3, 0]), np.array([3, 3, 2])),
        Sample(np.zeros(0, np.int64), np.array([2, 0])).named("no sequence"),
    ],
    errors=[
        Fails(ShapeError, "lengths .* got 4 for 3 steps", np.array([1, 4]), np.array([3, 2])),
        Fails(ShapeError, "lengths .* got -1 for 3 steps", np.array([-1]), np.array([3, 1])),
        Fails(ShapeError, r"shape \(2,\), got \(3,\)", np.array([1, 1, 1]), np.array([3, 2])),
        Fails(ArgumentTypeError, "integers, got float64", np.array([1.0]), np.array([3, 1])),
    ],
)
def valid_steps(lengths: TensorLike, sizes: TensorLike, /) -> Tensor:
    """Which steps of padded sequences hold elements; lengths are checked.

    Args:
        lengths: integers: how many steps each sequence has.
        sizes: the shape of the sequences, ``(time, batch, ...)``.

    Returns:
        Bools of shape ``(time, batch, 1)``.

    Raises:
        ShapeError: there is not one length for each sequence, or one is negative or exceeds the
            number of steps.
        ArgumentTypeError: lengths are not integers.

    >>> from minigrad.nn.functional.recurrent.parts import valid_steps
    >>> valid_steps([1, 2], [2, 2, 3]).tolist()
    [[[True], [True]], [[False], [True]]]
    """
    counts = tensor_of(lengths, name="lengths")
    if not counts.dtype.is_integer:
        raise ArgumentTypeError(f"lengths of sequences must be integers, got {counts.dtype}")
    return bind(valid_steps, astype(counts, int64), astype(tensor_of(sizes), int64))


@valid_steps.kernel
def _(xp: Any, lengths: Array, sizes: Array) -> Any:
    steps = int(sizes[0])
    if xp is np:  # Where the kernel is traced there are no numbers to look at.
        _check_lengths(lengths.shape, int(sizes[1]))
        wrong = lengths[(lengths < 0) | (lengths > steps)]
        if wrong.size:
            raise ShapeError(
                f"lengths of sequences must lie between 0 and the number of steps, got {wrong[0]} "
                f"for {steps} steps"
            )
    return (xp.arange(steps)[:, None] < lengths)[:, :, None]


@valid_steps.lowering
def _(b: Any, lengths: Any, sizes: Any) -> Any:
    if sizes.constant is None:
        return NotImplemented
    steps, batch = int(sizes.constant[0]), lengths.shape[0]
    valid = (b.map("GreaterEqual", lengths, 0), b.map("LessEqual", lengths, steps))
    b.check(b.map("LogicalAnd", *valid))
    places = b.constant(np.arange(steps, dtype=lengths.dtype).reshape(steps, 1))
    return b.reshape(b.map("Less", places, lengths), (steps, batch, 1))


@valid_steps.shape
def _(lengths: Spec, sizes: Spec) -> Spec:
    steps, batch, *_ = static_sizes(None, sizes) or (None, None)
    _check_lengths(lengths.shape, batch)
    if batch is None and lengths.shape is not None:
        batch = lengths.shape[0]
    return Spec((steps, batch, 1), bool_)


def _check_lengths(shape: Shape, batch: Any) -> None:
    if not compatible(shape, (batch,)):
        raise ShapeError(
            f"lengths of sequences must be a vector with one for each, of shape {show((batch,))}, "
            f"got {show(shape)}"
        )

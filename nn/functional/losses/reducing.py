"""What losses share: pairing of predictions with targets, masks and reductions."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal, not_equal
from minigrad.ops.elementwise import divide, multiply
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, binary
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import reshape
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import where
from minigrad.ops.shaping import broadcast_like
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.statistics import mean
from minigrad.shapes import Shape, Spec, broadcast, compatible, merge, show

__all__: list[str] = []

#: How losses are put together.
Reduction: TypeAlias = Literal["mean", "sum", "none"]

#: The call of any loss with a reduction that there is not.
BAD_REDUCTION = Fails(
    ArgumentError, "'mean', 'sum' or 'none', got 'avg'", np.ones(2), np.ones(2), reduction="avg"
)
#: Calls of any loss of predictions and targets that do not belong together.
BAD_PAIRS = (
    Fails(ShapeError, r"\(2, 1\).*\(2,\).*same shape", np.ones((2, 1)), np.ones(2)),
    Fails(ShapeError, r"mask of shape \(3,\).*\(2,\)", np.ones(2), np.ones(2), mask=np.ones(3)),
    BAD_REDUCTION,
)


def check_reduction(what: str, reduction: object) -> None:
    """Raise `ArgumentError` unless there is such a reduction."""
    if reduction not in get_args(Reduction):
        raise ArgumentError(f"{what}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


# -- pairs -------------------------------------------------------------------------------------


@primitive(
    "SameShape",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 3))).fixed(1),
        Sample(rng.normal(size=(0,)), np.zeros((0,))).fixed(1).named("empty"),
    ],
    errors=[Fails(ShapeError, r"\(2, 1\) and \(2,\)", np.ones((2, 1)), np.ones(2))],
)
def same_shape(x: TensorLike, like: TensorLike, /) -> Tensor:
    """x itself, once it is sure that its shape is that of `like`.

    Losses refuse what would broadcast: predictions of shape ``(n, 1)`` beside targets of shape
    ``(n,)`` would silently become n² losses.

    Raises:
        ShapeError: the shapes differ.

    >>> from minigrad.nn.functional.losses.reducing import same_shape
    >>> same_shape([1.0, 2.0], [3.0, 4.0]).tolist()
    [1.0, 2.0]
    """
    return bind(same_shape, x, like)


def _merged(x: Shape, like: Shape) -> Shape:
    if not compatible(x, like):
        raise ShapeError(
            f"predictions and targets have shapes {show(x)} and {show(like)}, which must be the "
            "same shape; reshape one of them"
        )
    return merge(x, like)


@same_shape.kernel
def _(xp: Any, x: Array, like: Array) -> Any:
    _merged(x.shape, like.shape)
    return x


@same_shape.lowering
def _(b: Any, x: Any, like: Any) -> Any:
    return x


@same_shape.shape
def _(x: Spec, like: Spec) -> Spec:
    return Spec(_merged(x.shape, like.shape), x.dtype)


@same_shape.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0], None


def paired(
    what: str,
    predictions: TensorLike,
    targets: TensorLike,
    mask: TensorLike | None = None,
    *,
    filler: int = 0,
) -> tuple[Tensor, Tensor]:
    """Predictions and targets as tensors of one shape; numbers in lists take the floating dtype.

    Args:
        what: names the loss in messages.
        predictions, targets: the pair.
        mask: where it is 0, predictions become 0 and targets `filler`, so that the gradient is 0
            also for what has none (nan for missing data, say): 0 times nan would be nan.
        filler: see there.

    Raises:
        ShapeError: the shapes differ, or the mask does not fit.
    """
    left = tensor_of(predictions)
    plain = isinstance(targets, list | tuple | int | float) and left.dtype.is_floating
    right = tensor_of(targets, left.dtype if plain else None)
    if left.spec.known() and right.spec.known():
        try:
            _merged(left.shape, right.shape)
        except ShapeError as error:
            raise ShapeError(f"{what}: {error}") from None
    else:
        left = same_shape(left, right)
    if mask is None:
        return left, right
    keep = not_equal(fitted_mask(what, mask, left.shape), 0)
    return where(keep, left, 0), where(keep, right, filler)


# -- weights -----------------------------------------------------------------------------------


@primitive(
    "MulNoNan",
    elementwise=True,
    accepts="real_float",
    samples=binary(
        -2,
        2,
        0.5,
        2,
        Sample(np.array([np.inf, np.nan, 3.0]), np.zeros(3))
        .expecting([0.0, 0.0, 0.0], [np.inf, np.nan, 3.0])
        .named("zero weights"),
        Sample(np.array([1, 2]), np.array([0, 2])).named("integers"),
    ),
    errors=BINARY_REFUSALS,
)
def multiply_no_nan(x: TensorLike, weight: TensorLike, /) -> Tensor:
    """x · weight, elementwise, and 0 where the weight is 0, whatever x is (also inf or nan).

    TensorFlow's `tf.math.multiply_no_nan`. What is masked out or has probability 0 is
    weighed with it. The gradients are weight and x, as those of a product.

    >>> from minigrad.nn.functional.losses.reducing import multiply_no_nan
    >>> multiply_no_nan([float("inf"), 2.0], [0.0, 3.0]).tolist()
    [0.0, 6.0]
    """
    return bind(multiply_no_nan, x, weight)


@multiply_no_nan.kernel
def _(xp: Any, x: Array, weight: Array) -> Any:
    return xp.where(weight == 0, xp.zeros((), dtype=x.dtype), x * weight)


@multiply_no_nan.scalar
def _(s: Any, x: Any, weight: Any) -> Any:
    return s.select(s.compare("==", weight, 0.0), 0.0, s.mul(x, weight))


@multiply_no_nan.gradient(saves=("x", "weight"))
def _(c: Ctx) -> Grads:
    (g,), (x, weight) = c.grads, c.inputs
    return (
        g * weight if c.needs[0] else None,
        multiply_no_nan(x, g) if c.needs[1] else None,
    )


def _broadcasts(shape: Shape, to: Shape) -> bool:
    try:
        return compatible(broadcast(shape, to), to)
    except ShapeError:
        return False


def fitted_mask(what: str, mask: TensorLike, full: Shape) -> Tensor:
    """A mask with axes of size 1 behind its own, so that these are the first of the losses'.

    Raises:
        ShapeError: it does not fit, or a rank is not known when the graph is built.
    """
    given = tensor_of(mask)
    shape = given.shape
    if not shape and shape is not None:
        return given
    if shape is None or full is None:
        raise ShapeError(f"{what}: the ranks of the losses and of the mask must be known")
    lacking = len(full) - len(shape)
    if lacking < 0 or not _broadcasts((*shape, *(1,) * lacking), full):
        raise ShapeError(
            f"{what}: a mask of shape {show(shape)} does not fit losses of shape {show(full)}; "
            "it must have the lengths of their first axes, or 1"
        )
    if not lacking:
        return given
    ones = (1,) * lacking
    return reshape(given, concat([shape_of(given), ones]) if None in shape else (*shape, *ones))


def aligned(what: str, mask: TensorLike, losses: Tensor) -> Tensor:
    """A mask, broadcast to the shape of the losses, its axes being the first of theirs."""
    return broadcast_like(fitted_mask(what, mask, losses.shape), losses)


def reduced_losses(
    what: str,
    losses: Tensor,
    reduction: Reduction,
    *,
    mask: TensorLike | None = None,
    scale: Tensor | None = None,
) -> Tensor:
    """Losses weighed by a mask and put together.

    Args:
        what: names the loss in messages.
        losses: one loss an example, or an element.
        reduction: "mean" divides by the sum of the weights, and is 0 where that is 0.
        mask: bools or weights, see `fitted_mask`.
        scale: weights that the losses were multiplied by already; they count in the mean.
    """
    check_reduction(what, reduction)
    weights = None
    if mask is not None:
        weights = astype(aligned(what, mask, losses), losses.dtype)
        losses = multiply_no_nan(losses, weights)
    if reduction == "none":
        return losses
    if scale is not None:
        weights = scale if weights is None else multiply(weights, scale)
    if reduction == "sum":
        return reduce_sum(losses)
    if weights is None:
        return mean(losses)
    total = reduce_sum(weights)
    return divide(reduce_sum(losses), where(equal(total, 0), 1, total))

"""Connectionist temporal classification: labels for sequences whose alignment is not known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.core.bind import bind_all, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import bool_, from_numpy, int64
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
)
from minigrad.nn.functional.activations.softmax import log_softmax
from minigrad.nn.functional.losses.recurrences import WAYS, log_recurrence
from minigrad.nn.functional.losses.reducing import Reduction, check_reduction
from minigrad.ops.along_axis import take_along_axis
from minigrad.ops.basic import astype
from minigrad.ops.broadcasting import expand_dims, squeeze
from minigrad.ops.comparison import equal, greater, less
from minigrad.ops.elementwise import divide, multiply, negative, subtract
from minigrad.ops.exponential import logaddexp
from minigrad.ops.indexing import getitem
from minigrad.ops.joining import concat
from minigrad.ops.ranges import arange
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import maximum, where
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.statistics import mean
from minigrad.shapes import Dim, Shape, Spec, compatible, show

__all__ = ["ctc_loss"]

_LABELS = np.array([[1, 2, 2], [3, 0, 0]])
_LENGTHS = np.array([5, 4]), np.array([3, 1])
_LOGITS = np.zeros((2, 5, 4))


def _fails(
    error: type[Exception],
    match: str,
    *,
    logits: Array = _LOGITS,
    labels: Any = _LABELS,
    lengths: Any = _LENGTHS[0],
    counts: Any = _LENGTHS[1],
    **attrs: Any,
) -> Fails:
    return Fails(error, match, logits, np.asarray(labels), lengths, counts, **attrs)


_ERRORS = [
    _fails(ShapeError, r"logits .* rank 3, got shape \(2, 5\)", logits=np.zeros((2, 5))),
    _fails(ShapeError, r"labels .* rank 2, got shape \(2,\)", labels=[1, 2]),
    _fails(ShapeError, r"label_lengths .* shape \(2,\), got \(3,\)", counts=np.array([1, 1, 1])),
    _fails(ShapeError, r"logit_lengths .* shape \(2,\), got \(1,\)", lengths=np.array([1])),
    _fails(ShapeError, "at least one step", logits=np.zeros((2, 0, 4)), lengths=np.array([0, 0])),
    _fails(DTypeError, "labels must be integers, got float64", labels=[[0.5], [1.0]]),
    _fails(
        IndexOutOfRangeError, r"label 4 at \[1, 0\] .* 4 classes", labels=[[1, 2, 2], [4, 0, 0]]
    ),
    _fails(IndexOutOfRangeError, r"label -1 at \[0, 2\]", labels=[[1, 2, -1], [3, 0, 0]]),
    _fails(ArgumentError, r"label 0 at \[0, 1\] is the blank", labels=[[1, 0, 2], [3, 0, 0]]),
    _fails(ArgumentError, r"logit_lengths .*\[0, 5\], got 6", lengths=np.array([6, 4])),
    _fails(ArgumentError, r"label_lengths .*\[0, 3\], got 4", counts=np.array([4, 1])),
    _fails(ArgumentError, "blank must be a class.* got 4", blank=4),
    _fails(ArgumentTypeError, "blank must be an integer, got 'a'", blank="a"),
]


# -- states ------------------------------------------------------------------------------------


@primitive(
    "CTCStates",
    outputs=("states", "moves"),
    promote=(),
    shape_only=(0,),
    not_differentiable="classes and moves are integers and bools",
    samples=[
        Sample(np.zeros((2, 5, 4), np.float32), _LABELS, *_LENGTHS),
        Sample(np.zeros((2, 5, 4), np.float32), _LABELS - 1, *_LENGTHS, blank=-1),
    ],
    errors=[f for f in _ERRORS if "integer, got 'a'" not in f.match],
)
def ctc_states(
    logits: TensorLike,
    labels: TensorLike,
    logit_lengths: TensorLike,
    label_lengths: TensorLike,
    /,
    *,
    blank: int = 0,
) -> tuple[Tensor, Tensor]:
    """The states that alignments pass through: the labels, with blanks before, between and after.

    Args:
        logits, labels, logit_lengths, label_lengths, blank: as in `minigrad.nn.ctc_loss`.

    Returns:
        The classes of the states, of shape ``(batch, 2 labels + 1)``; and bools of shape
        ``(batch, 2 labels + 1, 3)`` that say whether a state can follow itself, the one before it,
        and the one before that: over a blank between two labels that differ.

    Raises:
        As in `ctc_loss`.

    >>> from minigrad.nn.functional.losses.ctc import ctc_states
    >>> states, moves = ctc_states(mg.zeros((1, 5, 4)), [[3, 3]], [5], [2])
    >>> states.tolist(), moves[0, :, 2].tolist()
    ([[0, 3, 0, 3, 0]], [False, False, False, False, False])
    """
    return bind_all(  # type: ignore[return-value]
        ctc_states, logits, labels, logit_lengths, label_lengths, blank=blank
    )


def _require_shapes(logits: Shape, labels: Shape, lengths: Shape, counts: Shape) -> None:
    for shape, rank, what, axes in (
        (logits, 3, "logits", "(batch, time, classes)"),
        (labels, 2, "labels", "(batch, labels)"),
    ):
        if shape is not None and len(shape) != rank:
            raise ShapeError(f"{what} {axes} must have rank {rank}, got shape {show(shape)}")
    if logits is not None and logits[1] == 0:
        raise ShapeError(f"logits need at least one step of time, got shape {show(logits)}")
    batch: Dim = None if logits is None else logits[0]
    wanted = [
        (labels and labels[:1], "the batch of labels"),
        (lengths, "logit_lengths"),
        (counts, "label_lengths"),
    ]
    for shape, what in wanted:
        if not compatible(shape, (batch,)):
            raise ShapeError(
                f"{what} must have shape {show((batch,))}, got {show(shape)}: one entry for each "
                "sequence of logits"
            )


@ctc_states.kernel
def _(
    xp: Any,
    logits: Array,
    labels: Array,
    logit_lengths: Array,
    label_lengths: Array,
    *,
    blank: int,
) -> Any:
    _require_shapes(logits.shape, labels.shape, logit_lengths.shape, label_lengths.shape)
    for what, given in (
        ("labels", labels),
        ("logit_lengths", logit_lengths),
        ("label_lengths", label_lengths),
    ):
        if given.dtype.kind not in "iu":
            raise DTypeError(f"{what} must be integers, got {from_numpy(given.dtype)}")
    (_, time, classes), width = logits.shape, labels.shape[1]
    if not -classes <= blank < classes:
        raise ArgumentError(
            f"blank must be a class, in [{-classes}, {classes}) for {classes} of them, got {blank}"
        )
    empty = blank % classes
    counts = xp.arange(width) < label_lengths[:, None]
    if xp is np:
        _check_lengths("logit_lengths", logit_lengths, time)
        _check_lengths("label_lengths", label_lengths, width)
        _check_labels(labels, counts, classes, empty)
    numbers = xp.where(counts, xp.astype(labels, int64.dtype), empty)
    blanks = xp.full_like(numbers, empty)
    between = xp.reshape(xp.stack([blanks, numbers], axis=-1), (labels.shape[0], 2 * width))
    last = xp.full((labels.shape[0], 1), empty, dtype=int64.dtype)
    states = xp.concat([between, last], axis=1)
    before = xp.concat([xp.full((labels.shape[0], 2), empty), states], axis=1)[:, : 2 * width + 1]
    over = (states != before) & (states != empty) & (xp.arange(2 * width + 1) >= 3)
    here = xp.ones_like(over)
    return states, xp.stack([here, here & (xp.arange(2 * width + 1) >= 1), over], axis=-1)


def _check_lengths(what: str, lengths: Array, most: int) -> None:
    wrong = lengths[(lengths < 0) | (lengths > most)]
    if wrong.size:
        raise ArgumentError(f"{what} must lie in [0, {most}], got {wrong[0]}")


def _check_labels(labels: Array, counts: Array, classes: int, blank: int) -> None:
    wrong = np.argwhere(counts & ((labels < 0) | (labels >= classes)))
    if len(wrong):
        position = [int(i) for i in wrong[0]]
        raise IndexOutOfRangeError(
            f"label {labels[tuple(position)]} at {position} is out of range for {classes} "
            f"classes; it must lie in [0, {classes})"
        )
    wrong = np.argwhere(counts & (labels == blank))
    if len(wrong):
        position = [int(i) for i in wrong[0]]
        raise ArgumentError(
            f"label {blank} at {position} is the blank, which stands for no label; give another "
            "class as blank, or shorter label_lengths"
        )


@ctc_states.shape
def _(
    logits: Spec, labels: Spec, logit_lengths: Spec, label_lengths: Spec, *, blank: int
) -> tuple[Spec, Spec]:
    _require_shapes(logits.shape, labels.shape, logit_lengths.shape, label_lengths.shape)
    batch: Dim = None if labels.shape is None else labels.shape[0]
    if batch is None and logits.shape is not None:
        batch = logits.shape[0]
    width = None if labels.shape is None else labels.shape[1]
    states = None if width is None else 2 * width + 1
    return Spec((batch, states), int64), Spec((batch, states, WAYS), bool_)


# -- the loss ----------------------------------------------------------------------------------


@primitive(
    "CTCLoss",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 5, 4)), _LABELS, *_LENGTHS).named("a repeated label"),
        Sample(rng.normal(size=(2, 5, 4)), _LABELS, *_LENGTHS, reduction="sum"),
        Sample(
            rng.normal(size=(2, 4, 3)),
            np.array([[0, 1], [1, 0]]),
            np.array([3, 4]),
            np.array([2, 0]),
            blank=-1,
            reduction="none",
        ).named("the last class blank, and no labels"),
        Sample(
            rng.normal(size=(1, 2, 3)), np.zeros((1, 0), np.int64), np.array([2]), np.array([0])
        ),
        Sample(
            rng.normal(size=(1, 2, 3)),
            np.array([[1, 1]]),
            np.array([2]),
            np.array([2]),
            zero_infinity=True,
        )
        .expecting(np.zeros((1, 2, 3)))
        .named("no alignment"),
    ],
    errors=[*_ERRORS, _fails(ArgumentError, "got 'avg'", reduction="avg")],
)
def ctc_loss(
    logits: TensorLike,
    labels: TensorLike,
    logit_lengths: TensorLike,
    label_lengths: TensorLike,
    /,
    *,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that a sequence reads as its labels, over all alignments.

    An alignment names a class at each step; it reads as what is left when repetitions are merged
    and blanks are dropped. Two equal labels in a row need a blank between them.

    Source: A. Graves et al., Connectionist Temporal Classification (2006), equations 5 to 8; in
    logarithms. Derivatives of every order exist. PyTorch has (time, batch, classes), and takes
    logarithms of probabilities; here these may be given as logits, since `log_softmax` leaves them
    as they are. Its "mean" is the same: each loss is divided by its number of labels, at least
    1, before the mean over the batch. TensorFlow's `tf.nn.ctc_loss` gives one loss a sequence, has
    time first, and in version 1 the last class as blank (``blank=-1``).

    Args:
        logits: scores of shape ``(batch, time, classes)``, of any size.
        labels: class numbers of shape ``(batch, labels)``; those behind a sequence's number of
            labels are not read.
        logit_lengths: the number of steps of each sequence, of shape ``(batch,)``. The gradient of
            later steps is 0.
        label_lengths: the number of labels of each sequence, of shape ``(batch,)``; may be 0.
        blank: the class that stands for no label; negative ones count from the end.
        reduction: "mean" as above, "sum", or "none" for one loss a sequence.
        zero_infinity: give 0 instead of inf where there is no alignment: where there are more
            labels, with the blanks that they need, than steps. The gradient is 0 either way
            (PyTorch's is nan without it).

    Returns:
        A scalar; with "none", losses of shape ``(batch,)``.

    Raises:
        ShapeError: the shapes do not fit, or there are no steps.
        IndexOutOfRangeError: a label is no class.
        ArgumentError: a label is the blank, the blank no class, a length out of range, or there is
            no such reduction.
        DTypeError: labels or lengths are no integers.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ctc_loss(mg.zeros((1, 2, 2)), [[1]], [2], [1])  # 3 of 4 alignments: 11, 01, 10
    Tensor(0.2876821, shape=(), dtype=float32)
    """
    check_reduction("ctc_loss", reduction)
    if isinstance(blank, bool) or not isinstance(blank, int | np.integer):
        raise ArgumentTypeError(f"ctc_loss: blank must be an integer, got {blank!r}")
    scores, lengths, counts = tensor_of(logits), tensor_of(logit_lengths), tensor_of(label_lengths)
    states, moves = ctc_states(scores, labels, lengths, counts, blank=int(blank))
    if scores.shape is None:
        raise ShapeError("ctc_loss: the rank of the logits must be known")
    log_p = log_softmax(scores)
    along = take_along_axis(log_p, expand_dims(states, 1), axis=-1)
    # An alignment begins with a blank or with the first label.
    places = arange(getitem(shape_of(states), 1))
    first = where(less(places, 2), getitem(along, (slice(None), slice(0, 1))), -math.inf)
    rest = getitem(along, (slice(None), slice(1, None)))
    paths = log_recurrence(concat([first, rest], axis=1), moves)
    losses = negative(_at_end(paths, lengths, counts))
    # No step reads as no label.
    losses = where(equal(lengths, 0), where(equal(counts, 0), 0.0, math.inf), losses)
    losses = where(equal(losses, math.inf), 0.0 if zero_infinity else math.inf, losses)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return reduce_sum(losses)
    return mean(divide(losses, astype(maximum(counts, 1), losses.dtype)))


def _at_end(paths: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
    """Logarithms of the probability of having come to the last label or the blank behind it."""
    ends = expand_dims(multiply(counts, 2), (1, 2))
    steps = expand_dims(maximum(subtract(lengths, 1), 0), (1, 2))
    last = take_along_axis(paths, steps, axis=1)
    blank = take_along_axis(last, ends, axis=-1)
    label = take_along_axis(last, maximum(subtract(ends, 1), 0), axis=-1)
    return squeeze(logaddexp(blank, where(greater(ends, 0), label, -math.inf)), (1, 2))

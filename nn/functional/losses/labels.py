"""Checks of labels: class numbers, and signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DType, from_numpy, int64
from minigrad.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from minigrad.shapes import Shape, Spec, axis_argument_int, compatible, normalize_axis, show

__all__: list[str] = []


def probabilities(rng: np.random.Generator, *shape: int) -> Array:
    """Random distributions along the last axis, for samples."""
    p: Array = rng.uniform(0.1, 1.0, size=shape)
    total: Array = p.sum(axis=-1, keepdims=True)
    return np.divide(p, total)


@primitive(
    "ClassNumbers",
    promote=(),
    shape_only=(1,),
    not_differentiable="class numbers are integers",
    samples=[
        Sample(np.array([2, 0]), np.zeros((2, 3), np.float32)),
        Sample(np.array([[2, 0]], np.int32), np.zeros((1, 3, 2), np.float32), axis=1),
        Sample(np.array([2, -1]), np.zeros((2, 3), np.float32), np.array([True, False])),
    ],
    errors=[
        Fails(IndexOutOfRangeError, "label 3 at .1. .* 3 classes", [0, 3], np.zeros((2, 3))),
        Fails(IndexOutOfRangeError, "label -1 at .1. .* 3 classes", [0, -1], np.zeros((2, 3))),
        Fails(ShapeError, r"labels of shape \(3,\)", np.array([0, 1, 2]), np.zeros((2, 3))),
        Fails(DTypeError, "integers", np.zeros(2), np.zeros((2, 3))),
    ],
)
def class_numbers(
    labels: TensorLike, logits: TensorLike, keep: TensorLike | None = None, /, *, axis: int = -1
) -> Tensor:
    """Labels as int64, once it is sure that all are numbers of classes.

    Args:
        labels: integers of the shape of `logits` without the axis of classes.
        logits: a tensor of which only the shape is read.
        keep: which labels count; the others become 0.
        axis: the axis of classes.

    Raises:
        IndexOutOfRangeError: a label that counts is no number of a class.
        ShapeError: the labels do not fit the logits.
        DTypeError: the labels are no integers.

    >>> from minigrad.nn.functional.losses.labels import class_numbers
    >>> class_numbers([2, 0], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).tolist()
    [2, 0]
    """
    return bind(class_numbers, labels, logits, keep, axis=axis_argument_int(axis))


def _require_integers(dtype: DType) -> None:
    if not dtype.is_integer:
        raise DTypeError(f"class numbers must be integers, got {dtype}")


def _require_labels(labels: Shape, logits: Shape, axis: int) -> None:
    if logits is None:
        return
    if not logits:
        raise ShapeError("logits need a rank of at least 1, for the classes, got a scalar")
    at = normalize_axis(axis, len(logits))
    expected = logits[:at] + logits[at + 1 :]
    if not compatible(labels, expected):
        raise ShapeError(
            f"labels of shape {show(labels)} do not fit logits of shape {show(logits)}; class "
            f"numbers have shape {show(expected)}, probabilities that of the logits"
        )


@class_numbers.kernel
def _(xp: Any, labels: Array, logits: Array, keep: Array | None = None, *, axis: int) -> Any:
    _require_integers(from_numpy(labels.dtype))
    _require_labels(labels.shape, logits.shape, axis)
    numbers = xp.astype(labels, int64.dtype)
    if keep is not None:
        numbers = xp.where(keep, numbers, 0)
    if xp is np:
        _check_range(numbers, logits.shape[axis])
    return numbers


@class_numbers.lowering
def _(b: Any, labels: Any, logits: Any, keep: Any = None, *, axis: int) -> Any:
    numbers = b.cast(labels, int64.dtype)
    if keep is not None:
        numbers = b.map("Select", keep, numbers, b.constant(0, int64.dtype))
    if numbers.shape != labels.shape:
        return NotImplemented
    classes = logits.shape[axis]
    inside = (b.map("GreaterEqual", numbers, 0), b.map("Less", numbers, classes))
    b.check(b.map("LogicalAnd", *inside))
    return numbers


def _check_range(labels: Array, classes: int) -> None:
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        position = [int(i) for i in np.argwhere(wrong)[0]]
        raise IndexOutOfRangeError(
            f"label {labels[tuple(position)]} at {position} is out of range for {classes} "
            f"classes; it must lie in [0, {classes})"
        )


@class_numbers.shape
def _(labels: Spec, logits: Spec, keep: Spec | None = None, *, axis: int) -> Spec:
    _require_integers(labels.dtype)
    _require_labels(labels.shape, logits.shape, axis)
    shape = labels.shape
    if shape is None and logits.shape is not None:
        at = normalize_axis(axis, len(logits.shape))
        shape = logits.shape[:at] + logits.shape[at + 1 :]
    return Spec(shape, int64)


@primitive(
    "SignLabels",
    samples=[Sample(np.array([1, -1])), Sample(np.array([-1.0, 1.0])), Sample(np.zeros(0))],
    errors=[
        Fails(ArgumentError, "labels must be -1 or 1, got 0", np.array([1, 0])),
        Fails(ArgumentError, "labels must be -1 or 1, got 0.5", np.array([0.5])),
    ],
    accepts="real",
    not_differentiable="only -1 and 1 are allowed",
)
def sign_labels(labels: TensorLike, /) -> Tensor:
    """Labels themselves, once it is sure that each is -1 or 1.

    Raises:
        ArgumentError: one is not.

    >>> from minigrad.nn.functional.losses.labels import sign_labels
    >>> sign_labels([1, -1]).tolist()
    [1, -1]
    """
    return bind(sign_labels, labels)


@sign_labels.kernel
def _(xp: Any, labels: Array) -> Any:
    if xp is np:
        wrong = labels[np.abs(labels) != 1]
        if wrong.size:
            raise ArgumentError(
                f"labels must be -1 or 1, got {wrong.ravel()[0]}; from 0 and 1 make 2 * labels - 1"
            )
    return labels


@sign_labels.lowering
def _(b: Any, labels: Any) -> Any:
    if labels.dtype.kind not in "if":
        return NotImplemented
    b.check(b.map("LogicalOr", b.map("Equal", labels, 1), b.map("Equal", labels, -1)))
    return labels


@sign_labels.shape
def _(labels: Spec) -> Spec:
    return labels._replace(value=None)

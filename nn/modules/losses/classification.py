"""Losses of classes, sequences and embeddings as modules."""

from __future__ import annotations

from typing import Any

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.nn.functional.arguments import fraction, not_negative, number, positive
from minigrad.nn.functional.losses.cross_entropy import cross_entropy, nll_loss
from minigrad.nn.functional.losses.ctc import ctc_loss
from minigrad.nn.functional.losses.reducing import Reduction
from minigrad.nn.functional.losses.similarity import (
    cosine_embedding_loss,
    cosine_similarity,
    distance_order,
    triplet_margin_loss,
)
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.losses.regression import Loss
from minigrad.shapes import axis_argument_int

__all__ = [
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "NLLLoss",
    "TripletMarginLoss",
]


class _OfClasses(Loss):
    def forward(
        self, predictions: TensorLike, labels: TensorLike, *, mask: TensorLike | None = None
    ) -> Tensor:
        """The loss.

        Args:
            predictions: a number for each class.
            labels: class numbers; see the function.
            mask: bools or weights of the losses.
        """
        return type(self).function(predictions, labels, mask=mask, **self.options)


class CrossEntropyLoss(_OfClasses):
    """Softmax and cross-entropy, from logits: `cross_entropy` as a module.

    Args:
        axis: the axis of classes, which is 1 in PyTorch.
        label_smoothing: ε, in [0, 1].
        weight: a number for each class.
        ignore_index: a class number that masks the examples that have it; None for none (PyTorch's
            default is -100).
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss an example.
        name: see `Module`.

    Raises:
        ArgumentError: the smoothing is outside [0, 1]; or there is no such reduction.
        IndexOutOfRangeError: (from a call) a label is no class.
        ShapeError: (from a call) the labels do not fit the logits.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> round(float(nn.CrossEntropyLoss()(mg.zeros((2, 4)), [1, 3])), 4)
    1.3863
    """

    function = staticmethod(cross_entropy)

    def __init__(
        self,
        *,
        axis: int = -1,
        label_smoothing: float = 0.0,
        weight: TensorLike | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(
            reduction,
            name,
            axis=axis_argument_int(axis),
            label_smoothing=fraction(label_smoothing, "CrossEntropyLoss: label_smoothing"),
            weight=weight,
            ignore_index=ignore_index,
        )


class NLLLoss(_OfClasses):
    """Minus the logarithm given to the right class: `nll_loss` as a module.

    Args:
        axis: see `CrossEntropyLoss`, as for the other arguments.
        weight: see `CrossEntropyLoss`.
        ignore_index: see `CrossEntropyLoss`.
        reduction: see `CrossEntropyLoss`.
        name: see `Module`.

    Raises:
        ArgumentError: there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.NLLLoss()([[-1.0, -2.0], [-3.0, -4.0]], [1, 0]).tolist()
    2.5
    """

    function = staticmethod(nll_loss)

    def __init__(
        self,
        *,
        axis: int = -1,
        weight: TensorLike | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        at = axis_argument_int(axis)
        super().__init__(reduction, name, axis=at, weight=weight, ignore_index=ignore_index)


class CTCLoss(Loss):
    """Of sequences whose labels are not aligned with their steps: `ctc_loss` as a module.

    Args:
        blank: the class that stands for no label.
        zero_infinity: give 0 instead of inf where there is no alignment.
        reduction: see `ctc_loss`.
        name: see `Module`.

    Raises:
        ArgumentError: there is no such reduction; or (from a call) as `ctc_loss` says.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> round(float(nn.CTCLoss()(mg.zeros((1, 2, 2)), [[1]], [2], [1])), 4)
    0.2877
    """

    function = staticmethod(ctc_loss)

    def __init__(
        self,
        *,
        blank: int = 0,
        zero_infinity: bool = False,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name, blank=blank, zero_infinity=bool(zero_infinity))

    def forward(
        self,
        logits: TensorLike,
        labels: TensorLike,
        logit_lengths: TensorLike,
        label_lengths: TensorLike,
    ) -> Tensor:
        """The loss; shapes are those of `ctc_loss`."""
        return type(self).function(logits, labels, logit_lengths, label_lengths, **self.options)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors: `cosine_similarity` as a module.

    Args:
        axis: along which the vectors lie. (PyTorch's default is 1.)
        epsilon: the least product of their lengths.
        name: see `Module`.

    Raises:
        ArgumentError: epsilon is not positive.

    >>> import minigrad.nn as nn
    >>> nn.CosineSimilarity()([3.0, 0.0], [2.0, 0.0]).tolist()
    1.0
    """

    def __init__(self, *, axis: int = -1, epsilon: float = 1e-8, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis = axis_argument_int(axis)
        self.epsilon = positive(epsilon, "CosineSimilarity: epsilon")

    def forward(self, x1: TensorLike, x2: TensorLike) -> Tensor:
        """The cosines."""
        return cosine_similarity(x1, x2, axis=self.axis, epsilon=self.epsilon)

    def extra_repr(self) -> str:
        """The options."""
        return f"axis={self.axis}, epsilon={self.epsilon:g}"


class CosineEmbeddingLoss(Loss):
    """Brings vectors together or apart by their angle: `cosine_embedding_loss` as a module.

    Args:
        margin: the cosine below which vectors are apart enough.
        reduction: see `CrossEntropyLoss`.
        name: see `Module`.

    Raises:
        ArgumentError: the margin is not finite; or there is no such reduction.

    >>> import minigrad.nn as nn
    >>> nn.CosineEmbeddingLoss()([[1.0, 0.0]], [[0.0, 2.0]], [1]).tolist()
    1.0
    """

    function = staticmethod(cosine_embedding_loss)

    def __init__(
        self, *, margin: float = 0.0, reduction: Reduction = "mean", name: str | None = None
    ) -> None:
        limit = number(margin, "CosineEmbeddingLoss: margin")
        super().__init__(reduction, name, margin=limit)

    def forward(
        self,
        x1: TensorLike,
        x2: TensorLike,
        labels: TensorLike,
        *,
        mask: TensorLike | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            x1: vectors.
            x2: vectors.
            labels: 1 for those that belong together, -1 for others.
            mask: bools or weights of the losses.
        """
        return type(self).function(x1, x2, labels, mask=mask, **self.options)


class TripletMarginLoss(Loss):
    """Brings an anchor nearer to a positive than to a negative: `triplet_margin_loss` as a module.

    Args:
        margin: by how much.
        p: of the norm that measures distances.
        epsilon: see `triplet_margin_loss`.
        swap: whether the positive may stand for the anchor.
        reduction: see `CrossEntropyLoss`.
        name: see `Module`.

    Raises:
        ArgumentError: the margin or `p` is not positive, or `epsilon` negative; or there is no such
            reduction.

    >>> import minigrad.nn as nn
    >>> loss = nn.TripletMarginLoss(epsilon=0.0)
    >>> loss([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 2.0]]).tolist()
    4.0
    """

    function = staticmethod(triplet_margin_loss)

    def __init__(
        self,
        *,
        margin: float = 1.0,
        p: float = 2.0,
        epsilon: float = 1e-6,
        swap: bool = False,
        reduction: Reduction = "mean",
        name: str | None = None,
    ) -> None:
        room = positive(margin, "TripletMarginLoss: margin")
        order = distance_order(p, "TripletMarginLoss: p")
        shift = not_negative(epsilon, "TripletMarginLoss: epsilon")
        options: dict[str, Any] = {"p": order, "epsilon": shift, "swap": bool(swap)}
        super().__init__(reduction, name, margin=room, **options)

    def forward(
        self,
        anchors: TensorLike,
        positives: TensorLike,
        negatives: TensorLike,
        *,
        mask: TensorLike | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            anchors: vectors.
            positives: vectors that belong to them.
            negatives: vectors that do not.
            mask: bools or weights of the losses.
        """
        return type(self).function(anchors, positives, negatives, mask=mask, **self.options)

"""`BatchNorm`: statistics of the batch in training, averages of them at test time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

from minigrad.control_flow.branches import cond
from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE
from minigrad.core.graph import GraphKeys
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike, as_dtype, float32
from minigrad.errors import ArgumentError, StateError
from minigrad.nn.functional.arguments import fraction
from minigrad.nn.functional.normalization.batch import batch_norm, batch_norm_training
from minigrad.nn.initializers import Ones, Zeros
from minigrad.nn.modules.base.calls import CALL
from minigrad.nn.modules.normalization.layers import OverChannels
from minigrad.ops.basic import astype
from minigrad.ops.comparison import greater
from minigrad.ops.control import group, no_op
from minigrad.ops.effects import add_effect, assign_moving_average
from minigrad.ops.reductions import prod
from minigrad.ops.selection import where
from minigrad.ops.shaping import shape as shape_of

__all__ = ["BatchNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]

Update = Literal["auto", "manual"]


class BatchNorm(OverChannels):
    """Each channel brought to mean 0 and variance 1 over the batch; then scaled and shifted.

    ``(x - mean) / sqrt(variance + epsilon) * scale + shift`` (Ioffe, Szegedy, "Batch
    Normalization", 2015), with learnt `scale` (γ) and `shift` (β). In training, mean and variance
    are those of the batch and all its positions; at test time exponentially weighted averages of
    them, `moving_mean` and `moving_variance`, which start at 0 and 1. After each step of training

        moving = momentum * moving + (1 - momentum) * of_the_batch

    The variance is the biased one, Σ(x - mean)² / n, in the normalisation and in the average, as
    in Keras. PyTorch normalises with the biased variance too, but averages the unbiased one, with
    n - 1; its ``momentum=0.1`` is 0.9 here, and Keras' default is 0.99.

    The averages change by themselves whenever a run in training computes the result, exactly once:
    eagerly at the call, in a graph in every run, in the order of the calls if there are several. A
    run that is fed the result, recomputation (`checkpoint`), and gradient checks leave them alone,
    and so does an empty batch. Where `training` is a tensor, a run takes one of the two ways, so
    that testing neither changes the averages nor depends on the batch.

    Since the mean is subtracted, a bias in the layer before has no effect: give that layer
    ``bias=False``.

    Args:
        num_features: the number of channels; None to take it from the first input.
        axis: where the channels are: -1 for inputs of shape ``(batch, *positions, channels)``; 1
            for PyTorch's layout. Any rank of 2 or more will do.
        momentum: the weight of the old average, from 0 to 1.
        epsilon: added to the variance. (Keras' is 1e-3.)
        scale: whether there is a scale.
        shift: whether there is a shift.
        update: ``"auto"``, or ``"manual"`` as in TensorFlow 1: nothing changes by itself. In a
            graph each call appends an operation to `updates` and to the collection
            ``GraphKeys.UPDATE_OPS``, for the training loop to run. In eager code `updates` then
            has one function, to be called, for the last call.
        dtype: of the parameters; the averages are float32 at least.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, `epsilon` is negative, `momentum` is not between 0
            and 1, or there is no such `update`.
        ShapeError: (from a call) the input has another number of channels, or none.
        StateError: (from a call) the updates cannot be handed out, as they belong to the body of
            a branch or loop, or to a traced function.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.BatchNorm(2, epsilon=0.0)
    >>> layer(mg.constant([[1.0, 5.0], [3.0, 9.0]])).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> [round(v, 4) for v in layer.moving_mean.tolist()], layer.moving_variance.shape
    ([0.2, 0.7], (2,))
    >>> layer.eval()(mg.zeros((1, 2))).shape
    (1, 2)
    """

    moving_mean: Variable
    moving_variance: Variable
    #: What changes the averages, with ``update="manual"``.
    updates: list[Operation | Callable[[], Any]]

    def __init__(
        self,
        num_features: int | None,
        *,
        axis: int = -1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        update: Update = "auto",
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__("num_features", num_features, axis, epsilon, scale, shift, dtype, name)
        self.momentum = fraction(momentum, "BatchNorm: momentum")
        if update not in ("auto", "manual"):
            raise ArgumentError(f"BatchNorm: update must be 'auto' or 'manual', got {update!r}")
        self.update = update
        self.updates = []
        parameters = as_dtype(dtype)
        wide = parameters if parameters.itemsize > 2 else float32
        self.add_buffer("moving_mean", (self.given,), Zeros, dtype=wide)
        self.add_buffer("moving_variance", (self.given,), Ones, dtype=wide)

    @property
    def num_features(self) -> int | None:
        """The number of channels; None while it is not known."""
        return self.channels()

    def forward(self, x: TensorLike) -> Tensor:
        """The normalised input."""
        self.check_input(x)
        x, training = tensor_of(x), self.training
        made: tuple[Tensor, Tensor, Tensor] = cond(
            training,
            lambda: self._with_statistics(x),
            lambda: (self._with_averages(x), self.moving_mean, self.moving_variance),
        )
        y, mean, variance = made
        if training is False:
            return y

        def assign() -> Any:
            pairs = ((self.moving_mean, mean), (self.moving_variance, variance))
            done = [self._assign(average, value, x) for average, value in pairs]
            return group(done, name="update") if isinstance(y, SymbolicTensor) else None

        def leave() -> Any:
            return no_op() if isinstance(y, SymbolicTensor) else None

        # Not in the branch itself, so that whatever computes that again need not leave it out.
        update = functools.partial(cond, training, assign, leave)
        if self.update == "auto":
            add_effect(y, update)
        else:
            self._hand_out(y, update)
        return y

    def _with_statistics(self, x: TensorLike) -> tuple[Tensor, Tensor, Tensor]:
        """The result, and the statistics as they go into the averages."""
        y, mean, variance = batch_norm_training(
            x, self.scale, self.shift, axis=self.axis, epsilon=self.epsilon
        )
        wide = self.moving_mean.dtype
        return y, astype(mean, wide), astype(variance, wide)

    def _with_averages(self, x: TensorLike) -> Tensor:
        return batch_norm(
            *(x, self.moving_mean, self.moving_variance, self.scale, self.shift),
            axis=self.axis,
            epsilon=self.epsilon,
        )

    def _assign(self, average: Variable, value: Tensor, x: Tensor) -> Tensor:
        """One step of an average."""
        if not x.spec.known():
            # The statistics of an empty batch are NaN, and an average would remain so for ever.
            value = where(greater(prod(shape_of(x)), 0), value, average)
        elif 0 in (x.spec.shape or ()):
            value = tensor_of(average)
        made: Tensor = assign_moving_average(average, value, self.momentum)
        return made

    def _hand_out(self, y: Tensor, update: Callable[[], Any]) -> None:
        """Put what changes the averages into `updates`, unless nothing is to come of this call."""
        log = STATE.get().log
        if (log is not None and log.skips_added) or CALL.get().dry is not None:
            return
        if not isinstance(y, SymbolicTensor):
            self.updates = [update]
            return
        if y.graph.outer is not None or y.graph.traced is not None:
            raise StateError(
                "BatchNorm with update='manual' cannot hand out an operation of the body of a "
                "branch or loop, or of a traced function; use update='auto'"
            )
        operation = update()
        self.updates.append(operation)
        y.graph.add_to_collection(GraphKeys.UPDATE_OPS, operation)

    def extra_repr(self) -> str:
        """The channels, and the arguments that matter."""
        manual = ", update='manual'" if self.update == "manual" else ""
        return f"{super().extra_repr()}, momentum={self.momentum:g}{manual}"

    def __getstate__(self) -> dict[str, Any]:
        # Updates belong to the graph, or the call, that they were made in.
        return {**super().__getstate__(), "updates": []}


#: PyTorch's names: `BatchNorm` takes any rank, and its channels are last unless `axis` says so.
BatchNorm1d = BatchNorm2d = BatchNorm3d = BatchNorm

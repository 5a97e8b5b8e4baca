"""For large models and batches: Lion, LAMB, Adafactor."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError
from minigrad.ops.comparison import greater
from minigrad.ops.logic import logical_and
from minigrad.ops.powers import rsqrt, sqrt, square
from minigrad.ops.reductions import sum as reduce_sum
from minigrad.ops.selection import maximum, minimum, where
from minigrad.ops.signs import sign
from minigrad.ops.statistics import mean
from minigrad.optim.adam import Moments
from minigrad.optim.arguments import Rate, fraction, nonnegative, positive, real_number
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.slots import SlotSpec
from minigrad.optim.step import OptimizerOptions, Step

__all__ = ["Adafactor", "LAMB", "Lion"]


class Lion(Optimizer):
    """Lion: steps of one size, along the sign of an average of the gradients.

    w ← w·(1 − rate·λ) − rate · sign(β₁·m + (1 − β₁)·g), then m ← β₂·m + (1 − β₂)·g.

    Source: X. Chen et al., "Symbolic discovery of optimization algorithms", 2023, program 1.
    Keras computes the same; PyTorch has no Lion. The paper advises a rate 3 to 10 times smaller,
    and a λ as many times larger, than for AdamW.

    Args:
        learning_rate: see `Optimizer`.
        beta1, beta2: β₁, β₂ in [0, 1).
        options: see `Optimizer`; `weight_decay` is λ, which is decoupled.

    Slots: ``m``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0, 1.0], name="w")
    >>> optim.Lion(0.25).apply_gradients([([100.0, -0.01], w)])
    >>> w.tolist()
    [0.75, 1.25]
    """

    decouples = True

    def __init__(
        self,
        learning_rate: Rate = 0.0001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.99,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta1 = fraction(self.name, "beta1", beta1)
        self.beta2 = fraction(self.name, "beta2", beta2)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``m``."""
        return {"m": SlotSpec(variable.shape, variable.dtype)}

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """w -= rate · sign(β₁·m + (1 - β₁)·g)."""
        m = slots["m"]
        direction = sign(step.average(self.beta1, m, g))
        return w - step.rate * direction, {"m": step.average(self.beta2, m, g)}


class LAMB(Moments):
    """LAMB: Adam's direction, with a step as long for each variable as its weights are large.

    r = m̂/(√v̂ + ε) + λ·w, w ← w − rate · ‖w‖/‖r‖ · r; where ‖w‖ or ‖r‖ is 0 the ratio is 1.

    Source: Y. You et al., "Large batch optimization for deep learning: training BERT in 76
    minutes", 2020, algorithm 2 with φ(z) = z. Keras computes the same (and has no λ in r);
    TensorFlow Addons' and NVIDIA's can leave out the bias correction or clip the ratio. PyTorch
    has no LAMB.

    Args:
        learning_rate: see `Optimizer`.
        beta1, beta2: β₁, β₂ in [0, 1).
        epsilon: ε; the paper's code has 1e-6.
        options: see `Optimizer`; `weight_decay` is λ, 0.01 by default.

    Slots: ``m``, ``v``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([3.0, 4.0], name="w")
    >>> optim.LAMB(0.5, weight_decay=0.0).apply_gradients([([1.0, 0.0], w)])
    >>> w.numpy().round(3).tolist()  # A step of 0.5 times the norm 5.
    [0.5, 4.0]
    """

    decouples = True
    applies_decay = True

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        if "decoupled_weight_decay" not in options:
            options.setdefault("weight_decay", 0.01)
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, **options)

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """w -= rate · ‖w‖/‖r‖ · r."""
        m, v = self.moments(g, slots, step)
        size = sqrt(v) / self.root2(step) + step.constant(self.epsilon)
        r = m / step.unbias(self.beta1) / size
        if step.decay:
            r = r + step.constant(step.decay) * w
        length, change = sqrt(reduce_sum(square(w))), sqrt(reduce_sum(square(r)))
        usable = logical_and(greater(length, 0.0), greater(change, 0.0))
        ratio = where(usable, length / where(usable, change, 1.0), 1.0)
        return w - step.rate * ratio * r, {"m": m, "v": v}


class Adafactor(Optimizer):
    """Adafactor: Adam without momentum, that keeps one number a row and a column of a matrix.

    α = max(ε₂, RMS(w)) · min(rate, 1/√t), β = 1 − t^decay;
    for matrices (the last two axes): R ← β·R + (1 − β)·mean of g² over columns, C likewise over
    rows, V = R·C/max(mean(R), ε₁); for vectors and scalars: V ← β·V + (1 − β)·g²;
    u = g/√max(V, ε₁²), w ← w·(1 − rate·λ) − α · u/max(1, RMS(u)/d).

    Source: N. Shazeer and M. Stern, "Adafactor: adaptive learning rates with sublinear memory
    cost", 2018, in PyTorch's form, which the defaults are of too. The paper adds ε₁ to g² (ε₁ =
    1e-30); Keras follows it, with a rate of 0.001. Hugging Face's has no rate by default (1e-2 is
    what that amounts to).

    Args:
        learning_rate: see `Optimizer`; a bound, as the step is relative to the weights.
        beta2_decay: decay, at most 0.
        epsilon1: ε₁; None for the machine epsilon of the variable's dtype.
        epsilon2: ε₂, at least 0.
        clip_threshold: d > 0.
        options: see `Optimizer`; `weight_decay` is λ, which is decoupled.

    Raises:
        ArgumentError: `beta2_decay` is positive or not finite, `epsilon1` or `clip_threshold` is
            not positive, or `epsilon2` is negative.
        ArgumentTypeError: an epsilon or the threshold is no number.

    Slots: ``row`` and ``column`` of matrices, ``v`` of vectors and scalars.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([[1.0, 1.0, 1.0]], name="w")
    >>> optimizer = optim.Adafactor()
    >>> optimizer.apply_gradients([([[1.0, 2.0, 2.0]], w)])
    >>> optimizer.get_slot(w, "row").tolist(), optimizer.get_slot(w, "column").tolist()
    ([[3.0]], [[1.0, 4.0, 4.0]])
    """

    decouples = True
    applies_decay = True

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        *,
        beta2_decay: float = -0.8,
        epsilon1: float | None = None,
        epsilon2: float = 1e-3,
        clip_threshold: float = 1.0,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta2_decay = real_number(self.name, "beta2_decay", beta2_decay)
        if not -float("inf") < self.beta2_decay <= 0:
            raise ArgumentError(f"{self.name}: beta2_decay must be at most 0, got {beta2_decay!r}")
        self.epsilon1 = None if epsilon1 is None else positive(self.name, "epsilon1", epsilon1)
        self.epsilon2 = nonnegative(self.name, "epsilon2", epsilon2)
        self.clip_threshold = positive(self.name, "clip_threshold", clip_threshold)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``row`` and ``column``, or ``v``."""
        shape, dtype = variable.shape, variable.dtype
        if len(shape) < 2:
            return {"v": SlotSpec(shape, dtype)}
        return {
            "row": SlotSpec((*shape[:-1], 1), dtype),
            "column": SlotSpec((*shape[:-2], 1, shape[-1]), dtype),
        }

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A step along g/√V, of a length relative to the weights."""
        tiny = self.epsilon1
        if tiny is None:
            tiny = float(np.finfo(w.dtype.dtype).eps)
        new, variance = self._variance(g, slots, step, tiny)
        u = rsqrt(maximum(variance, tiny * tiny)) * g
        bound = step.scalar("adafactor", lambda t: 1.0 / sqrt(t))
        alpha = maximum(_rms(w), self.epsilon2) * minimum(step.rate, bound)
        shrink = maximum(_rms(u) / self.clip_threshold, 1.0)
        if step.decay:
            w = w * (1.0 - step.rate * step.decay)
        return w - alpha / shrink * u, new

    def _variance(
        self, g: Tensor, slots: dict[str, Tensor], step: Step, tiny: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The new slots, and the estimate of g² that they give."""
        decay = self.beta2_decay
        weight = step.scalar(("adafactor", decay), lambda t: t**decay)

        def averaged(slot: str, value: Tensor) -> Tensor:
            return slots[slot] + weight * (value - slots[slot])

        if "v" in slots:
            v = averaged("v", square(g))
            return {"v": v}, v
        row = averaged("row", mean(square(g), axis=-1, keepdims=True))
        column = averaged("column", mean(square(g), axis=-2, keepdims=True))
        # The product of a column and a row, by broadcasting.
        scale = maximum(mean(row, axis=-2, keepdims=True), tiny)
        return {"row": row, "column": column}, row * column / scale


def _rms(x: Tensor) -> Tensor:
    """The root of the mean square."""
    return sqrt(mean(square(x)))

"""Adam and what was made of it: AMSGrad, AdamW, Adamax."""

from __future__ import annotations

from typing import Unpack

from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.ops.powers import sqrt, square
from minigrad.ops.selection import maximum
from minigrad.ops.signs import abs as absolute
from minigrad.optim.arguments import Rate, flag, fraction, nonnegative
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.slots import SlotSpec
from minigrad.optim.step import OptimizerOptions, Step

__all__ = ["AMSGrad", "Adam", "AdamW", "Adamax"]


class Moments(Optimizer):
    """Base of optimizers that average gradients (``m``) and their squares (``v``)."""

    def __init__(
        self,
        learning_rate: Rate,
        *,
        beta1: float,
        beta2: float,
        epsilon: float,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta1 = fraction(self.name, "beta1", beta1)
        self.beta2 = fraction(self.name, "beta2", beta2)
        self.epsilon = nonnegative(self.name, "epsilon", epsilon)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``m`` and ``v``."""
        zero = SlotSpec(variable.shape, variable.dtype)
        return {"m": zero, "v": zero}

    def moments(self, g: Tensor, slots: dict[str, Tensor], step: Step) -> tuple[Tensor, Tensor]:
        """The averages of the gradient and of its square, with a new gradient."""
        m = step.average(self.beta1, slots["m"], g)
        return m, step.average(self.beta2, slots["v"], square(g))

    def root2(self, step: Step) -> Tensor:
        """The square root of 1 - beta2**t, which undoes the bias of sqrt(v)."""
        beta2 = self.beta2
        return step.scalar(("root2", beta2), lambda t: sqrt(1.0 - beta2**t))


class Adam(Moments):
    """Adam: steps along the average gradient, divided by the root of the average square.

    m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g²,
    w ← w − rate · m̂ / (√v̂ + ε) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Source: D. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1;
    PyTorch computes the same. TensorFlow 1 and Keras use the form before section 2.1 instead, rate
    · √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε̂): their ε̂ counts as ε = ε̂/√(1 − β₂ᵗ) here, some 30 times
    more in the first step. Keras' default is 1e-7.

    With `amsgrad` the largest v so far takes the place of v (S. Reddi et al., "On the convergence
    of Adam and beyond", 2018, with the bias corrections that PyTorch adds: the largest of the
    uncorrected v is taken).

    Args:
        learning_rate: see `Optimizer`.
        beta1, beta2: β₁, β₂ in [0, 1).
        epsilon: ε.
        amsgrad: use the largest v so far.
        options: see `Optimizer`.

    Slots: ``m``, ``v``; with `amsgrad` also ``v_max``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0, -3.0], name="w")
    >>> optim.Adam(0.1).apply_gradients([([5.0, -0.01], w)])
    >>> w.numpy().round(4).tolist()  # Whatever the gradient, the first step is of the rate's size.
    [0.8999999761581421, -2.9000000953674316]
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, **options)
        self.amsgrad = flag(self.name, "amsgrad", amsgrad)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``m`` and ``v``, and for AMSGrad ``v_max``."""
        made = super().slots(variable)
        if self.amsgrad:
            made["v_max"] = SlotSpec(variable.shape, variable.dtype)
        return made

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """w -= rate · m̂ / (√v̂ + ε)."""
        m, v = self.moments(g, slots, step)
        new = {"m": m, "v": v}
        if self.amsgrad:
            v = new["v_max"] = maximum(slots["v_max"], v)
        size = sqrt(v) / self.root2(step) + step.constant(self.epsilon)
        return w - step.unbiased_rate(self.beta1) * m / size, new


class AMSGrad(Adam):
    """`Adam` with ``amsgrad=True``: the denominator never shrinks.

    PyTorch and Keras have it as that flag too: PyTorch computes the same, Keras has its own ε̂, as
    for `Adam`; ``tf.train`` of TensorFlow 1 lacks it.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optimizer = optim.AMSGrad(0.1)
    >>> optimizer.apply_gradients([([2.0], w)])
    >>> sorted(v.name for v in optimizer.variables())
    ['AMSGrad/iterations', 'w/AMSGrad/m', 'w/AMSGrad/v', 'w/AMSGrad/v_max']
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(
            learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, amsgrad=True, **options
        )


class AdamW(Adam):
    """`Adam` with decoupled weight decay: w ← w·(1 − rate·λ), then Adam's step.

    Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019, in
    PyTorch's form: λ is multiplied by the rate, whose schedule therefore applies to it too. λ is
    0.01 by default as in PyTorch; Keras has 0.004.

    Args:
        learning_rate, beta1, beta2, epsilon, amsgrad: as for `Adam`.
        options: see `Optimizer`; `weight_decay` is λ.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optim.AdamW(0.1, weight_decay=0.5).apply_gradients([([0.0], w)])
    >>> w.tolist()
    [0.949999988079071]
    """

    decouples = True

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        if "decoupled_weight_decay" not in options:
            options.setdefault("weight_decay", 0.01)
        super().__init__(
            learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, amsgrad=amsgrad, **options
        )


class Adamax(Optimizer):
    """Adamax: Adam with the largest recent gradient in the place of the root mean square.

    m ← β₁·m + (1 − β₁)·g, u ← max(β₂·u, |g| + ε), w ← w − rate/(1 − β₁ᵗ) · m/u.

    Source: D. Kingma and J. Ba, "Adam", 2015, algorithm 2, which has no ε; this is where PyTorch
    puts it. Keras adds it to u in the step instead. The rate is the paper's; Keras has 0.001.

    Args:
        learning_rate: see `Optimizer`.
        beta1, beta2: β₁, β₂ in [0, 1).
        epsilon: ε.
        options: see `Optimizer`.

    Slots: ``m``, ``u``.

    >>> import minigrad as mg, minigrad.optim as optim
    >>> w = mg.Variable([1.0], name="w")
    >>> optim.Adamax(0.5).apply_gradients([([4.0], w)])
    >>> w.tolist()
    [0.5]
    """

    def __init__(
        self,
        learning_rate: Rate = 0.002,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Unpack[OptimizerOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta1 = fraction(self.name, "beta1", beta1)
        self.beta2 = fraction(self.name, "beta2", beta2)
        self.epsilon = nonnegative(self.name, "epsilon", epsilon)

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """``m`` and ``u``."""
        zero = SlotSpec(variable.shape, variable.dtype)
        return {"m": zero, "u": zero}

    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """w -= rate/(1 - β₁ᵗ) · m/u."""
        m = step.average(self.beta1, slots["m"], g)
        shrunk = step.constant(self.beta2) * slots["u"]
        u = maximum(shrunk, absolute(g) + step.constant(self.epsilon))
        return w - step.unbiased_rate(self.beta1) * m / u, {"m": m, "u": u}

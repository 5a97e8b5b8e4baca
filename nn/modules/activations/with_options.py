"""Activation functions with a slope, a bound or another choice, as modules."""

from __future__ import annotations

from typing import Any, Literal

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.errors import ArgumentError
from minigrad.nn.functional.activations.piecewise import hardshrink, hardtanh, softshrink, threshold
from minigrad.nn.functional.activations.rectifiers import celu, elu, leaky_relu, prelu
from minigrad.nn.functional.activations.smooth import gelu
from minigrad.nn.functional.arguments import not_negative, number, positive
from minigrad.nn.modules.activations.simple import Activation
from minigrad.nn.modules.base.arguments import check_size, open_size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.ops.manipulation import reshape
from minigrad.shapes import axis_argument_int

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "Hardshrink",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "Softshrink",
    "Threshold",
]


class LeakyReLU(Activation):
    """`leaky_relu` as a module: x where x > 0, slope · x elsewhere.

    Args:
        slope: the slope on the left.
        name: see `Module`.

    Raises:
        ArgumentTypeError, ArgumentError: the slope is not a finite number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.LeakyReLU(slope=0.5)(mg.constant([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    function = staticmethod(leaky_relu)

    def __init__(self, slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"slope": number(slope, "LeakyReLU: slope")}


class PReLU(Module):
    """`prelu` as a module: x where x > 0, elsewhere x times a slope that is learnt.

    `slope` has shape ``(num_parameters,)``.

    Args:
        num_parameters: 1 for one slope, or a slope for each channel, whose number this is; None to
            take it from the first input.
        axis: the axis of channels, which is 1 in PyTorch.
        initial: where the slopes start: 0.25, as in the paper and PyTorch (Keras: 0).
        dtype: of the slopes.
        name: see `Module`.

    Raises:
        ArgumentError: the number is less than 1.
        ShapeError: (from a call) the input has another number of channels.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.PReLU()(mg.constant([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    slope: Variable

    def __init__(
        self,
        num_parameters: int | None = 1,
        *,
        axis: int = -1,
        initial: Any = 0.25,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        size = open_size_argument("PReLU", "num_parameters", num_parameters)
        self.axis = axis_argument_int(axis)
        self.add_parameter("slope", (size,), initial, dtype=dtype)

    @property
    def num_parameters(self) -> int | None:
        """The number of slopes; None while it is not known."""
        shape = self.shape_of("slope")
        return None if shape is None else shape[0]

    def infer_sizes(self, x: TensorLike) -> None:
        """Take the number of channels from the input."""
        self.set_shape("slope", (self.size_of(x, self.axis),))

    def forward(self, x: TensorLike) -> Tensor:
        """The function of the input."""
        if self.num_parameters == 1:
            return prelu(x, reshape(self.slope, ()))
        check_size("PReLU", "num_parameters", x, self.num_parameters, axis=self.axis)
        return prelu(x, self.slope, axis=self.axis)

    def extra_repr(self) -> str:
        """The number of slopes."""
        count = "?" if self.num_parameters is None else self.num_parameters
        return f"num_parameters={count}" + ("" if self.axis == -1 else f", axis={self.axis}")


class ELU(Activation):
    """`elu` as a module: x where x > 0, alpha · (exp(x) - 1) elsewhere.

    Args:
        alpha: minus the limit on the left.
        name: see `Module`.

    Raises:
        ArgumentTypeError, ArgumentError: alpha is not a finite number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ELU()(mg.constant([-1000.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    function = staticmethod(elu)

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"alpha": number(alpha, "ELU: alpha")}


class CELU(Activation):
    """`celu` as a module: x where x > 0, alpha · (exp(x / alpha) - 1) elsewhere.

    Args:
        alpha: minus the limit on the left, positive.
        name: see `Module`.

    Raises:
        ArgumentTypeError, ArgumentError: alpha is not a positive number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.CELU(0.5)(mg.constant([-1000.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    function = staticmethod(celu)

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"alpha": positive(alpha, "CELU: alpha")}


class GELU(Activation):
    """`gelu` as a module: x · Φ(x), Φ being the normal distribution function.

    Args:
        approximate: ``"none"`` for the exact function, ``"tanh"`` for the approximation by it.
        name: see `Module`.

    Raises:
        ArgumentError: there is no such approximation.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.GELU()(mg.constant([0.0, 100.0])).tolist()
    [0.0, 100.0]
    """

    function = staticmethod(gelu)

    def __init__(
        self, approximate: Literal["none", "tanh"] = "none", *, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.options = {"approximate": approximate}


class Hardtanh(Activation):
    """`hardtanh` as a module: x, but not below `min` and not above `max`.

    Args:
        min: the least value.
        max: the largest one.
        name: see `Module`.

    Raises:
        ArgumentError: `min` is not below `max`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Hardtanh()(mg.constant([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """

    function = staticmethod(hardtanh)

    def __init__(self, min: float = -1.0, max: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"min": number(min, "Hardtanh: min"), "max": number(max, "Hardtanh: max")}
        if self.options["min"] >= self.options["max"]:
            raise ArgumentError(f"Hardtanh: min={min} must be below max={max}")


class Softshrink(Activation):
    """`softshrink` as a module: x brought nearer to 0 by a bound.

    Args:
        bound: how much; what is nearer gives 0.
        name: see `Module`.

    Raises:
        ArgumentError: the bound is negative.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Softshrink()(mg.constant([-2.0, 0.25])).tolist()
    [-1.5, 0.0]
    """

    function = staticmethod(softshrink)

    def __init__(self, bound: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"bound": not_negative(bound, "Softshrink: bound")}


class Hardshrink(Activation):
    """`hardshrink` as a module: x, and 0 where it is near to 0.

    Args:
        bound: what is not farther gives 0.
        name: see `Module`.

    Raises:
        ArgumentError: the bound is negative.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Hardshrink()(mg.constant([-2.0, 0.25])).tolist()
    [-2.0, 0.0]
    """

    function = staticmethod(hardshrink)

    def __init__(self, bound: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"bound": not_negative(bound, "Hardshrink: bound")}


class Threshold(Activation):
    """`threshold` as a module: x where it is above a level, another value elsewhere.

    Args:
        level: the level.
        value: what stands for what is not above it.
        name: see `Module`.

    Raises:
        ArgumentTypeError, ArgumentError: one is not a finite number.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Threshold(1.0, 7.0)(mg.constant([0.0, 2.0])).tolist()
    [7.0, 2.0]
    """

    function = staticmethod(threshold)

    def __init__(self, level: float, value: float, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {
            "level": number(level, "Threshold: level"),
            "value": number(value, "Threshold: value"),
        }

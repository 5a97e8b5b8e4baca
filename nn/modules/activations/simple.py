"""Activation functions without options as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.nn.functional.activations.piecewise import hardsigmoid, hardswish
from minigrad.nn.functional.activations.rectifiers import relu, relu6, selu
from minigrad.nn.functional.activations.smooth import log_sigmoid, mish, silu, softsign, tanhshrink
from minigrad.nn.modules.base.module import Module
from minigrad.ops.exponential import sigmoid, softplus
from minigrad.ops.hyperbolic import tanh

__all__ = [
    "Hardsigmoid",
    "Hardswish",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class Activation(Module):
    """A function of one tensor, with options that are fixed when the module is made."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options: dict[str, Any] = {}

    def forward(self, x: TensorLike) -> Tensor:
        """The function of the input."""
        return type(self).function(x, **self.options)

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class ReLU(Activation):
    """`relu` as a module: max(x, 0).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ReLU()(mg.constant([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    function = staticmethod(relu)


class ReLU6(Activation):
    """`relu6` as a module: min(max(x, 0), 6).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.ReLU6()(mg.constant([-1.0, 8.0])).tolist()
    [0.0, 6.0]
    """

    function = staticmethod(relu6)


class SELU(Activation):
    """`selu` as a module: a scaled ELU that keeps mean 0 and variance 1.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.SELU()(mg.constant([0.0])).tolist()
    [0.0]
    """

    function = staticmethod(selu)


class SiLU(Activation):
    """`silu` as a module: x · sigmoid(x), also called swish.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.SiLU()(mg.constant([0.0])).tolist()
    [0.0]
    """

    function = staticmethod(silu)


class Mish(Activation):
    """`mish` as a module: x · tanh(softplus(x)).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Mish()(mg.constant([0.0])).tolist()
    [0.0]
    """

    function = staticmethod(mish)


class Sigmoid(Activation):
    """`sigmoid` as a module: 1 / (1 + exp(-x)).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Sigmoid()(mg.constant([0.0])).tolist()
    [0.5]
    """

    function = staticmethod(sigmoid)


class LogSigmoid(Activation):
    """`log_sigmoid` as a module: log(sigmoid(x)).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.LogSigmoid()(mg.constant([-1000.0])).tolist()
    [-1000.0]
    """

    function = staticmethod(log_sigmoid)


class Tanh(Activation):
    """`tanh` as a module: the hyperbolic tangent.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Tanh()(mg.constant([0.0])).tolist()
    [0.0]
    """

    function = staticmethod(tanh)


class Tanhshrink(Activation):
    """`tanhshrink` as a module: x - tanh(x).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Tanhshrink()(mg.constant([0.0])).tolist()
    [0.0]
    """

    function = staticmethod(tanhshrink)


class Softplus(Activation):
    """`softplus` as a module: log(1 + exp(x)).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Softplus()(mg.constant([1000.0])).tolist()
    [1000.0]
    """

    function = staticmethod(softplus)


class Softsign(Activation):
    """`softsign` as a module: x / (1 + |x|).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Softsign()(mg.constant([-3.0, 1.0])).tolist()
    [-0.75, 0.5]
    """

    function = staticmethod(softsign)


class Hardsigmoid(Activation):
    """`hardsigmoid` as a module: a sigmoid of three straight lines.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Hardsigmoid()(mg.constant([-3.0, 0.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    function = staticmethod(hardsigmoid)


class Hardswish(Activation):
    """`hardswish` as a module: x · hardsigmoid(x).

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Hardswish()(mg.constant([1.0, 3.0])).tolist()
    [0.6666666865348816, 3.0]
    """

    function = staticmethod(hardswish)

"""Modules of dense products: `Linear`, `Bilinear`."""

from __future__ import annotations

from typing import Any

from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.nn.initializers import GlorotUniform, Initializer, Uniform
from minigrad.nn.modules.base.arguments import check_size, open_size_argument, size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.ops.einsum import einsum
from minigrad.ops.elementwise import add
from minigrad.ops.products import matmul

__all__ = ["Bilinear", "LazyLinear", "Linear"]


class _OfFirstSize(Initializer):
    """Uniform within ±1/sqrt(n), n the second axis: how PyTorch starts a bilinear weight."""

    draws = True

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        return Uniform(-(limit := shape[1] ** -0.5), limit)(shape, dtype, generator=generator)


class Linear(Module):
    """``x @ weight + bias`` over the last axis of x.

    `weight` has shape ``(in_features, out_features)``, as in TensorFlow; PyTorch's is the
    transpose. It starts as `GlorotUniform`, as in TensorFlow and Keras, and the bias at 0; PyTorch
    draws both from ±sqrt(1 / in_features).

    Args:
        in_features: size of the last axis of the input; None to take it from the first one.
        out_features: size of the last axis of the result.
        bias: whether a bias is added; False for a layer before a normalisation.
        weight_initializer: one of `minigrad.nn.initializers`, or what `add_parameter` takes.
        bias_initializer: likewise.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1.
        ShapeError: (from a call) the last axis of the input is not `in_features`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.Linear(None, 3)
    >>> layer(mg.ones((2, 5))).shape, layer.weight.shape
    ((2, 3), (5, 3))
    >>> layer
    Linear(in_features=5, out_features=3)
    """

    weight: Variable
    bias: Variable | None

    def __init__(
        self,
        in_features: int | None,
        out_features: int,
        *,
        bias: bool = True,
        weight_initializer: Any = GlorotUniform,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        inputs = open_size_argument("Linear", "in_features", in_features)
        self.out_features = size_argument("Linear", "out_features", out_features)
        shape = (inputs, self.out_features)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)
        if bias:
            self.add_parameter("bias", (self.out_features,), bias_initializer, dtype=dtype)
        else:
            self.bias = None

    @property
    def in_features(self) -> int | None:
        """Size of the last axis of the input; None while it is not known."""
        shape = self.shape_of("weight")
        return None if shape is None else shape[0]

    def infer_sizes(self, x: TensorLike) -> None:
        """Take `in_features` from the input."""
        self.set_shape("weight", (self.size_of(x), self.out_features))

    def forward(self, x: TensorLike) -> Tensor:
        """The result: the last axis of `x` is replaced by one of `out_features`."""
        check_size("Linear", "in_features", x, self.in_features)
        y = matmul(x, self.weight)
        return y if self.bias is None else add(y, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        inputs = "?" if self.in_features is None else self.in_features
        text = f"in_features={inputs}, out_features={self.out_features}"
        return text if self.bias_is_used() else text + ", bias=False"

    def bias_is_used(self) -> bool:
        """Whether a bias is added."""
        return "bias" in self._declared


class LazyLinear(Linear):
    """A `Linear` that takes `in_features` from its first input: ``Linear(None, out_features)``.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.LazyLinear(2)(mg.ones((4, 7))).shape
    (4, 2)
    """

    def __init__(
        self,
        out_features: int,
        *,
        bias: bool = True,
        weight_initializer: Any = GlorotUniform,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            None,
            out_features,
            bias=bias,
            weight_initializer=weight_initializer,
            bias_initializer=bias_initializer,
            dtype=dtype,
            name=name,
        )


class Bilinear(Module):
    """``y[…, k] = Σ_ij x1[…, i] weight[k, i, j] x2[…, j] + bias[k]``.

    The shape of `weight`, the formula and the start of `weight`, uniform within
    ±sqrt(1 / in1_features), are PyTorch's. The bias starts at 0 (PyTorch draws it likewise).

    Args:
        in1_features: size of the last axis of the first input; None to take it from the first call.
        in2_features: of the second input; likewise.
        out_features: size of the last axis of the result.
        bias: whether a bias is added.
        weight_initializer: one of `minigrad.nn.initializers`, or what `add_parameter` takes.
        bias_initializer: likewise.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1.
        ShapeError: (from a call) the last axis of an input has another size.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Bilinear(2, 3, 4)(mg.ones((5, 2)), mg.ones((5, 3))).shape
    (5, 4)
    """

    weight: Variable
    bias: Variable | None

    def __init__(
        self,
        in1_features: int | None,
        in2_features: int | None,
        out_features: int,
        *,
        bias: bool = True,
        weight_initializer: Any = _OfFirstSize,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        first = open_size_argument("Bilinear", "in1_features", in1_features)
        second = open_size_argument("Bilinear", "in2_features", in2_features)
        self.out_features = size_argument("Bilinear", "out_features", out_features)
        shape = (self.out_features, first, second)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)
        if bias:
            self.add_parameter("bias", (self.out_features,), bias_initializer, dtype=dtype)
        else:
            self.bias = None

    def infer_sizes(self, x1: TensorLike, x2: TensorLike) -> None:
        """Take the sizes left open from the inputs."""
        self.set_shape("weight", (self.out_features, self.size_of(x1), self.size_of(x2)))

    def forward(self, x1: TensorLike, x2: TensorLike) -> Tensor:
        """The result; the inputs have the same leading axes."""
        _, first, second = self.weight.shape
        check_size("Bilinear", "in1_features", x1, first)
        check_size("Bilinear", "in2_features", x2, second)
        y = einsum("...i,kij,...j->...k", x1, self.weight, x2)
        return y if self.bias is None else add(y, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        _, first, second = ("?" if d is None else d for d in self.shape_of("weight") or ())
        return f"in1_features={first}, in2_features={second}, out_features={self.out_features}"

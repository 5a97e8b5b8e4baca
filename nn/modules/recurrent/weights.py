"""Formulas and parameters of recurrent networks, which cells and layers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from minigrad.core.bind import tensor_of
from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.nn.functional.arguments import number
from minigrad.nn.functional.recurrent.cells import gru_step, lstm_step, rnn_step
from minigrad.nn.functional.recurrent.parts import pair, projected
from minigrad.nn.initializers import GlorotUniform, Initializer, Orthogonal, as_initializer
from minigrad.nn.modules.base.arguments import open_size_argument, size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.ops.creation import zeros
from minigrad.ops.elementwise import add
from minigrad.ops.joining import concat

__all__: list[str] = []

States = tuple[Tensor, ...]


# -- formulas ----------------------------------------------------------------------------------


class Rule(ABC):
    """The formula of a step; see the functions of `minigrad.nn.functional.recurrent.cells`."""

    #: How many blocks of `hidden_size` columns the weights have.
    gates: ClassVar[int]
    #: The parts of the state; the first one is the output.
    parts: ClassVar[tuple[str, ...]] = ("h",)

    @property
    def takes_recurrent_bias(self) -> bool:
        """Whether a bias is added to what comes from the state, apart from that of the input."""
        return False

    @abstractmethod
    def step(self, p: Tensor, states: States, recurrent: Tensor, bias: Any) -> States:
        """The next states, from a projected input."""

    def unpack(self, what: str, name: str, state: Any) -> States:
        """The parts of a state as callers give it."""
        return (tensor_of(state),)

    def pack(self, states: States) -> Any:
        """A state as callers get it."""
        return states[0]


@dataclass(frozen=True)
class RNNRule(Rule):
    """A plain recurrent network."""

    function: Callable[[Tensor], Tensor]
    gates = 1

    def step(self, p: Tensor, states: States, recurrent: Tensor, bias: Any) -> States:
        """As `rnn_cell`."""
        return (rnn_step(p, states[0], recurrent, self.function),)


@dataclass(frozen=True)
class GRURule(Rule):
    """A gated recurrent unit."""

    reset_after: bool
    gates = 3

    @property
    def takes_recurrent_bias(self) -> bool:
        """A bias before the reset gate is one of the input's."""
        return self.reset_after

    def step(self, p: Tensor, states: States, recurrent: Tensor, bias: Any) -> States:
        """As `gru_cell`."""
        return (gru_step(p, states[0], recurrent, bias, self.reset_after),)


@dataclass(frozen=True)
class LSTMRule(Rule):
    """A long short-term memory."""

    gates = 4
    parts = ("h", "c")

    def step(self, p: Tensor, states: States, recurrent: Tensor, bias: Any) -> States:
        """As `lstm_cell`."""
        h, c = states
        return lstm_step(p, h, c, recurrent)

    def unpack(self, what: str, name: str, state: Any) -> States:
        """The pair."""
        h, c = pair(what, name, state)
        return tensor_of(h), tensor_of(c)

    def pack(self, states: States) -> Any:
        """The pair."""
        return states


class ForgetBias(Initializer):
    """What another initializer makes, plus a number for the forget gate of an LSTM."""

    def __init__(self, other: Any, value: float) -> None:
        self.other = as_initializer(other)
        self.value = value
        self.draws = self.other.draws

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        """The sum; the second quarter is the forget gate's."""
        quarter = shape[0] // 4
        rest = zeros((quarter,), dtype=dtype)
        extra = concat([rest, add(rest, self.value), rest, rest])
        return add(self.other(shape, dtype, generator=generator), extra)

    def __repr__(self) -> str:
        return f"ForgetBias({self.other!r}, {self.value})"


def with_forget_bias(what: str, bias_initializer: Any, forget_bias: Any) -> Any:
    """An initializer for the bias of an LSTM. Raises if `forget_bias` is no finite number."""
    value = number(forget_bias, f"{what}: forget_bias")
    return ForgetBias(bias_initializer, value) if value else bias_initializer


def blank(leading: list[Any], hidden: int, rule: Rule, dtype: DTypeLike) -> States:
    """States of zeros."""
    return tuple(zeros([*leading, hidden], dtype=dtype) for _ in rule.parts)


# -- weights -----------------------------------------------------------------------------------


class RecurrentWeights(Module):
    """The parameters of one cell or layer: `weight`, `recurrent_weight`, `bias`, `recurrent_bias`.

    Args:
        rule: the formula.
        input_size: features of the input, or None.
        hidden_size: size of the state.
        bias: whether there is a bias (in a GRU, two).
        weight_initializer: of `weight`.
        recurrent_initializer: of `recurrent_weight`.
        bias_initializer: of `bias`.
        recurrent_bias_initializer: of `recurrent_bias`.
        dtype: of the parameters.
        name: see `Module`.
    """

    weight: Variable
    recurrent_weight: Variable
    bias: Variable | None
    recurrent_bias: Variable | None

    def __init__(
        self,
        rule: Rule,
        input_size: int | None,
        hidden_size: int,
        *,
        bias: bool = True,
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        recurrent_bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        inputs = open_size_argument(what, "input_size", input_size)
        self.rule = rule
        self.hidden_size = size_argument(what, "hidden_size", hidden_size)
        columns = rule.gates * self.hidden_size
        self.add_parameter("weight", (inputs, columns), weight_initializer, dtype=dtype)
        recurrent = (self.hidden_size, columns)
        self.add_parameter("recurrent_weight", recurrent, recurrent_initializer, dtype=dtype)
        if bias:
            self.add_parameter("bias", (columns,), bias_initializer, dtype=dtype)
        else:
            self.bias = None
        if bias and rule.takes_recurrent_bias:
            own, start = (self.hidden_size,), recurrent_bias_initializer
            self.add_parameter("recurrent_bias", own, start, dtype=dtype)
        else:
            self.recurrent_bias = None

    @property
    def input_size(self) -> int | None:
        """Features of the input; None while it is not known."""
        shape = self.shape_of("weight")
        return None if shape is None else shape[0]

    def infer_sizes(self, x: TensorLike, *others: Any) -> None:
        """Take `input_size` from the input."""
        columns = self.rule.gates * self.hidden_size
        self.set_shape("weight", (self.size_of(x), columns))

    def projected(self, x: Tensor) -> Tensor:
        """What the input adds, at all steps at once."""
        return projected(x, self.weight, self.bias)

    def step(self, p: Tensor, states: States) -> States:
        """The next states, from a projected input."""
        return self.rule.step(p, states, tensor_of(self.recurrent_weight), self.recurrent_bias)

    def extra_repr(self) -> str:
        """The sizes, and what is not usual."""
        inputs = "?" if self.input_size is None else self.input_size
        text = f"input_size={inputs}, hidden_size={self.hidden_size}"
        return text if "bias" in self._declared else text + ", bias=False"

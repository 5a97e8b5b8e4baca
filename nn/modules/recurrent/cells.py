"""One step of recurrent networks: `RNNCell`, `GRUCell`, `LSTMCell`."""

from __future__ import annotations

from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.tensor import TensorLike
from minigrad.dtypes import DTypeLike
from minigrad.errors import ShapeError
from minigrad.nn.functional.recurrent.cells import nonlinearity_named
from minigrad.nn.functional.recurrent.parts import check_state
from minigrad.nn.functional.sizes import sizes_of
from minigrad.nn.initializers import GlorotUniform, Orthogonal
from minigrad.nn.modules.base.arguments import check_size
from minigrad.nn.modules.recurrent.weights import (
    GRURule,
    LSTMRule,
    RecurrentWeights,
    RNNRule,
    blank,
    with_forget_bias,
)
from minigrad.ops.basic import astype

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(RecurrentWeights):
    """A module that takes one step."""

    def forward(self, x: TensorLike, state: Any = None) -> Any:
        """The next state.

        Args:
            x: real, of shape ``(..., input_size)``.
            state: ``(..., hidden_size)``, for an LSTM a pair of these; zeros by default.

        Returns:
            The next state, of the same form. The (first) tensor is the output.
        """
        what, given = type(self).__name__, tensor_of(x)
        check_size(what, "input_size", given, self.input_size)
        p = self.projected(given)
        if state is None:
            if given.shape is None:
                raise ShapeError(
                    f"{what}: without a state the rank of the input must be known while the graph "
                    "is built; state it with mg.ensure_shape(x, (None, …))"
                )
            states = blank(sizes_of(given, slice(-1)), self.hidden_size, self.rule, p.dtype)
        else:
            states = self.rule.unpack(what, "state", state)
            leading = None if given.shape is None else given.shape[:-1]
            for name, part in zip(self.rule.parts, states, strict=True):
                check_state(what, name, part, leading, self.hidden_size)
            states = tuple(astype(part, p.dtype) for part in states)
        return self.rule.pack(self.step(p, states))


class RNNCell(_Cell):
    """One step of a plain recurrent network: ``tanh(x @ W + h @ U + bias)``, as `nn.rnn_cell`.

    Parameters: `weight` (W) of shape ``(input_size, hidden_size)``, `recurrent_weight` (U)
    ``(hidden_size, hidden_size)``, `bias`. As in Keras W starts as `GlorotUniform`, U as
    `Orthogonal`, and the bias at 0; PyTorch draws all of them from ±sqrt(1 / hidden_size), and has
    two biases, which only ever add up.

    Args:
        input_size: size of the last axis of the input; None to take it from the first one.
        hidden_size: size of the state.
        bias: whether there is a bias.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        weight_initializer: of `weight`: one of `minigrad.nn.initializers`, or what `add_parameter`
            takes.
        recurrent_initializer: of `recurrent_weight`.
        bias_initializer: of `bias`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, or there is no such nonlinearity.
        ShapeError: (from a call) the input or the state does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> cell = nn.RNNCell(None, 4)
    >>> h = cell(mg.ones((2, 3)))
    >>> cell(mg.ones((2, 3)), h).shape
    (2, 4)
    >>> cell
    RNNCell(input_size=3, hidden_size=4)
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        *,
        bias: bool = True,
        nonlinearity: str = "tanh",
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            RNNRule(nonlinearity_named("RNNCell", nonlinearity)),
            input_size,
            hidden_size,
            bias=bias,
            weight_initializer=weight_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            dtype=dtype,
            name=name,
        )


class GRUCell(_Cell):
    """One step of a gated recurrent unit: the formulas and their source are with `nn.gru_cell`.

    Parameters: `weight` of shape ``(input_size, 3 * hidden_size)``, `recurrent_weight`
    ``(hidden_size, 3 * hidden_size)``, `bias`, and (where the reset gate comes after the product)
    `recurrent_bias` ``(hidden_size,)``; the blocks of columns are r, z, n, as in PyTorch (Keras: z,
    r, n). They start as those of `RNNCell`.

    Args:
        input_size: size of the last axis of the input; None to take it from the first one.
        hidden_size: size of the state.
        bias: whether there is a bias (or two).
        reset_after: whether the reset gate comes after the product, as in PyTorch, cuDNN and by
            default in Keras, or before it, as in the paper.
        weight_initializer: of `weight`: one of `minigrad.nn.initializers`, or what `add_parameter`
            takes.
        recurrent_initializer: of `recurrent_weight`.
        bias_initializer: of `bias`.
        recurrent_bias_initializer: of `recurrent_bias`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1.
        ShapeError: (from a call) the input or the state does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> cell = nn.GRUCell(3, 4)
    >>> cell(mg.ones((2, 3)), mg.zeros((2, 4))).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        *,
        bias: bool = True,
        reset_after: bool = True,
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        recurrent_bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            GRURule(bool(reset_after)),
            input_size,
            hidden_size,
            bias=bias,
            weight_initializer=weight_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            recurrent_bias_initializer=recurrent_bias_initializer,
            dtype=dtype,
            name=name,
        )


class LSTMCell(_Cell):
    """One step of a long short-term memory: the formulas and their source are with `nn.lstm_cell`.

    Parameters: `weight` of shape ``(input_size, 4 * hidden_size)``, `recurrent_weight`
    ``(hidden_size, 4 * hidden_size)``, `bias`; the blocks of columns are i, f, g, o, as in PyTorch
    and Keras. They start as those of `RNNCell`.

    Args:
        input_size: size of the last axis of the input; None to take it from the first one.
        hidden_size: size of the state.
        bias: whether there is a bias.
        forget_bias: what is added to the initial bias of the forget gate. 0 as in PyTorch; Keras
            starts with 1 (`unit_forget_bias`), so that a new cell remembers: R. Jozefowicz et al.,
            "An Empirical Exploration of Recurrent Network Architectures", 2015.
        weight_initializer: of `weight`: one of `minigrad.nn.initializers`, or what `add_parameter`
            takes.
        recurrent_initializer: of `recurrent_weight`.
        bias_initializer: of `bias`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, or `forget_bias` not finite.
        ShapeError: (from a call) the input or the state does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> cell = nn.LSTMCell(3, 4, forget_bias=1.0)
    >>> h, c = cell(mg.ones((2, 3)))
    >>> h, c = cell(mg.ones((2, 3)), (h, c))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    >>> cell.bias.tolist()[3:9]
    [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        *,
        bias: bool = True,
        forget_bias: float = 0.0,
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            LSTMRule(),
            input_size,
            hidden_size,
            bias=bias,
            weight_initializer=weight_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=with_forget_bias("LSTMCell", bias_initializer, forget_bias),
            dtype=dtype,
            name=name,
        )

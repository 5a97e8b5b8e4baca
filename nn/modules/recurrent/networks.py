"""Recurrent networks over sequences: `RNN`, `GRU`, `LSTM`."""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import DTypeLike
from minigrad.nn.functional.recurrent.cells import nonlinearity_named
from minigrad.nn.initializers import GlorotUniform, Orthogonal
from minigrad.nn.modules.recurrent.stack import RecurrentStack
from minigrad.nn.modules.recurrent.weights import (
    GRURule,
    LSTMRule,
    RNNRule,
    with_forget_bias,
)

__all__ = ["GRU", "LSTM", "RNN"]


class RNN(RecurrentStack):
    """Plain recurrent layers (Elman, 1990) over sequences; a step is that of `RNNCell`.

    The input product of all steps is computed at once; what remains is a loop (`mg.scan`), so that
    in a graph neither the batch size nor the number of steps need be known. Outputs behind the end
    of a sequence are 0, its final state is that of its last step, and the backward direction
    starts there: what PyTorch does with packed sequences. `forward` says what is taken and
    returned.

    Parameters are those of a cell, under ``layers.0``, ``layers.1``, … and, for the backward
    direction, ``reverse_layers.0``, ….

    Args:
        input_size: size of the last axis of the input; None to take it from the first one.
        hidden_size: size of the state of each layer and direction.
        num_layers: how many layers there are, each over the outputs of the one before.
        batch_first: whether the input is ``(batch, time, input_size)``; otherwise, as by default
            in PyTorch, ``(time, batch, input_size)``. States have the batch second either way.
        bidirectional: whether each layer also goes backward, and joins the outputs of both.
        dropout_rate: the fraction of a layer's outputs that is dropped, in training, before the
            next layer (of one layer alone, none).
        bias: as for `RNNCell`.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        weight_initializer: as for `RNNCell`.
        recurrent_initializer: as for `RNNCell`.
        bias_initializer: as for `RNNCell`.
        seed: decides what is dropped, see `minigrad.random`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, the rate not between 0 and 1, or there is no such
            nonlinearity.
        ShapeError: (from a call) the input, the initial state or the lengths do not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> outputs, state = nn.RNN(3, 4, nonlinearity="relu")(mg.ones((2, 5, 3)))
    >>> outputs.shape, state.shape
    ((2, 5, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout_rate: float = 0.0,
        bias: bool = True,
        nonlinearity: str = "tanh",
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            RNNRule(nonlinearity_named("RNN", nonlinearity)),
            input_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout_rate=dropout_rate,
            seed=seed,
            bias=bias,
            weight_initializer=weight_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            dtype=dtype,
            name=name,
        )


class GRU(RecurrentStack):
    """Layers of gated recurrent units over sequences; a step is that of `GRUCell`.

    The input product of all steps is computed at once; what remains is a loop (`mg.scan`), so that
    in a graph neither the batch size nor the number of steps need be known. Outputs behind the end
    of a sequence are 0, its final state is that of its last step, and the backward direction
    starts there: what PyTorch does with packed sequences. `forward` says what is taken and
    returned.

    Parameters are those of a cell, under ``layers.0``, ``layers.1``, … and, for the backward
    direction, ``reverse_layers.0``, ….

    Args:
        input_size: size of the last axis of the input; None to take it from the first one.
        hidden_size: size of the state of each layer and direction.
        num_layers: how many layers there are, each over the outputs of the one before.
        batch_first: whether the input is ``(batch, time, input_size)``; otherwise, as by default
            in PyTorch, ``(time, batch, input_size)``. States have the batch second either way.
        bidirectional: whether each layer also goes backward, and joins the outputs of both.
        dropout_rate: the fraction of a layer's outputs that is dropped, in training, before the
            next layer (of one layer alone, none).
        bias: as for `GRUCell`.
        reset_after: whether the reset gate comes after the product, as in PyTorch, cuDNN and by
            default in Keras, or before it, as in the paper.
        weight_initializer: as for `GRUCell`.
        recurrent_initializer: as for `GRUCell`.
        bias_initializer: as for `GRUCell`.
        recurrent_bias_initializer: as for `GRUCell`.
        seed: decides what is dropped, see `minigrad.random`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, a rate not between 0 and 1.
        ShapeError: (from a call) the input, the initial state or the lengths do not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> gru = nn.GRU(None, 4, 2, bidirectional=True)
    >>> outputs, state = gru(mg.ones((2, 5, 3)), lengths=[5, 3])
    >>> outputs.shape, state.shape
    ((2, 5, 8), (4, 2, 4))
    >>> outputs[1, 3:].numpy().any()
    np.False_
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout_rate: float = 0.0,
        bias: bool = True,
        reset_after: bool = True,
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        recurrent_bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            GRURule(bool(reset_after)),
            input_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout_rate=dropout_rate,
            seed=seed,
            bias=bias,
            weight_initializer=weight_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            recurrent_bias_initializer=recurrent_bias_initializer,
            dtype=dtype,
            name=name,
        )


class LSTM(RecurrentStack):
    """Layers of long short-term memory over sequences; a step is that of `LSTMCell`.

    The input product of all steps is computed at once; what remains is a loop (`mg.scan`), so that
    in a graph neither the batch size nor the number of steps need be known. Outputs behind the end
    of a sequence are 0, its final state is that of its last step, and the backward direction
    starts there: what PyTorch does with packed sequences. `forward` says what is taken and
    returned.

    Parameters are those of a cell, under ``layers.0``, ``layers.1``, … and, for the backward
    direction, ``reverse_layers.0``, ….

    Args:
        input_size: size of the last axis of the input; None to take it from the first one.
        hidden_size: size of the state of each layer and direction.
        num_layers: how many layers there are, each over the outputs of the one before.
        batch_first: whether the input is ``(batch, time, input_size)``; otherwise, as by default
            in PyTorch, ``(time, batch, input_size)``. States have the batch second either way.
        bidirectional: whether each layer also goes backward, and joins the outputs of both.
        dropout_rate: the fraction of a layer's outputs that is dropped, in training, before the
            next layer (of one layer alone, none).
        bias: as for `LSTMCell`.
        forget_bias: what is added to the initial bias of the forget gate. 0 as in PyTorch; Keras
            starts with 1 (`unit_forget_bias`), so that a new cell remembers: R. Jozefowicz et al.,
            "An Empirical Exploration of Recurrent Network Architectures", 2015.
        weight_initializer: as for `LSTMCell`.
        recurrent_initializer: as for `LSTMCell`.
        bias_initializer: as for `LSTMCell`.
        seed: decides what is dropped, see `minigrad.random`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, the rate not between 0 and 1, or `forget_bias` not
            finite.
        ShapeError: (from a call) the input, the initial state or the lengths do not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> lstm = nn.LSTM(None, 4, 2)
    >>> outputs, (h, c) = lstm(mg.ones((2, 5, 3)))
    >>> outputs.shape, h.shape, c.shape
    ((2, 5, 4), (2, 2, 4), (2, 2, 4))
    >>> outputs, (h, c) = lstm(mg.ones((2, 1, 3)), (h, c))  # The next step of the same sequences.
    >>> [name for name, _ in lstm.named_parameters()][:4]
    ['layers.0.weight', 'layers.0.recurrent_weight', 'layers.0.bias', 'layers.1.weight']
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout_rate: float = 0.0,
        bias: bool = True,
        forget_bias: float = 0.0,
        weight_initializer: Any = GlorotUniform,
        recurrent_initializer: Any = Orthogonal,
        bias_initializer: Any = 0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            LSTMRule(),
            input_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout_rate=dropout_rate,
            seed=seed,
            bias=bias,
            weight_initializer=weight_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=with_forget_bias("LSTM", bias_initializer, forget_bias),
            dtype=dtype,
            name=name,
        )

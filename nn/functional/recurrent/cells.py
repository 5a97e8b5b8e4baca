"""Recurrent cells: one step of a plain recurrent network, of a GRU and of an LSTM.

A step adds what comes from the input to what comes from the state. The first does not depend on the
state: a loop over time computes it for all steps at once (`projected`) and then takes the short
steps `rnn_step`, `gru_step` and `lstm_step`. The public functions do both for a single step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.activations.rectifiers import relu
from minigrad.nn.functional.recurrent.parts import pair, prepared
from minigrad.ops.elementwise import add, multiply, subtract
from minigrad.ops.exponential import sigmoid
from minigrad.ops.hyperbolic import tanh
from minigrad.ops.joining import split
from minigrad.ops.products import matmul

__all__ = ["gru_cell", "lstm_cell", "rnn_cell"]


# -- samples -----------------------------------------------------------------------------------


def _operands(gates: int, states: int = 1) -> Callable[[np.random.Generator], list[Any]]:
    """Operands of a cell, for samples: 2 examples of 3 features, a state of 2, and weights."""

    def draw(rng: np.random.Generator) -> list[Any]:
        h = tuple(rng.normal(size=(2, 2)) for _ in range(states))
        weights = [rng.normal(size=(3, 2 * gates)), rng.normal(size=(2, 2 * gates))]
        return [rng.normal(size=(2, 3)), h if states > 1 else h[0], *weights]

    return draw


def _wrong(gates: int, states: int = 1) -> list[Fails]:
    """Calls of a cell that must fail."""
    x, h, w, u = np.ones((2, 3)), np.ones((2, 2)), np.ones((3, 2 * gates)), np.ones((2, 2 * gates))

    def state(array: Array) -> Any:
        return (h, array) if states > 1 else array

    return [
        Fails(ShapeError, "recurrent_weight must have shape .hidden,", x, state(h), w, u[:, 1:]),
        Fails(ShapeError, "recurrent_weight must be a matrix", x, state(h), w, u[0]),
        Fails(ShapeError, "equally many columns", x, state(h), w[:, 1:], u),
        Fails(ShapeError, r"shape \(2, 2\), got \(2, 5\)", x, state(np.ones((2, 5))), w, u),
        Fails(ShapeError, r"shape \(2, 2\), got \(3, 2\)", x, state(np.ones((3, 2))), w, u),
        Fails(ShapeError, "do not multiply", x[:, 1:], state(h), w, u),
    ]


# -- a plain recurrent network -----------------------------------------------------------------


def nonlinearity_named(what: str, name: Any) -> Callable[[Tensor], Tensor]:
    """`tanh` or `relu` by name. Raises `ArgumentError` for anything else."""
    if name == "tanh":
        return tanh
    if name == "relu":
        return relu
    raise ArgumentError(f'{what}: nonlinearity must be "tanh" or "relu", got {name!r}')


def rnn_step(p: Tensor, h: Tensor, recurrent: Tensor, function: Callable[..., Tensor]) -> Tensor:
    """The next state of a plain network, from a projected input."""
    return function(add(p, matmul(h, recurrent)))


@primitive(
    "RnnCell",
    samples=lambda rng: [
        Sample(*_operands(1)(rng), rng.normal(size=2)),
        Sample(*_operands(1)(rng), nonlinearity="relu").order(1, "relu bends once"),
        Sample(*(a.astype(np.float32) for a in _operands(1)(rng))),
    ],
    errors=[
        *_wrong(1),
        Fails(
            ArgumentError,
            'must be "tanh" or "relu"',
            *_operands(1)(np.random.default_rng(0)),
            nonlinearity="sine",
        ),
    ],
)
def rnn_cell(
    x: TensorLike,
    state: TensorLike,
    weight: TensorLike,
    recurrent_weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    nonlinearity: str = "tanh",
) -> Tensor:
    """One step of a plain network: ``tanh(x @ weight + state @ recurrent_weight + bias)``.

    Source: J. L. Elman, "Finding Structure in Time", 1990. PyTorch's has two biases, which only
    ever add up; Keras' SimpleRNN is the same as here.

    Args:
        x: real, of shape ``(..., features)``.
        state: ``(..., hidden)``.
        weight: ``(features, hidden)``.
        recurrent_weight: ``(hidden, hidden)``.
        bias: ``(hidden,)``.
        nonlinearity: ``"tanh"`` or ``"relu"``.

    Returns:
        The next state, which is also the output: ``(..., hidden)``.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: there is no such nonlinearity.

    >>> import minigrad.nn as nn
    >>> nn.rnn_cell([[1.0]], [[2.0]], [[3.0]], [[-1.0]], [0.5], nonlinearity="relu").tolist()
    [[1.5]]
    """
    function = nonlinearity_named("rnn_cell", nonlinearity)
    weights = (weight, recurrent_weight, bias)
    p, (h,), recurrent = prepared("rnn_cell", 1, x, {"state": state}, weights)
    return rnn_step(p, h, recurrent, function)


# -- GRU ---------------------------------------------------------------------------------------


def gru_step(
    p: Tensor, h: Tensor, recurrent: Tensor, bias: TensorLike | None, reset_after: bool
) -> Tensor:
    """The next state of a GRU, from a projected input."""
    p_r, p_z, p_n = split(p, 3, axis=-1)
    if reset_after:
        h_r, h_z, h_n = split(matmul(h, recurrent), 3, axis=-1)
        r, z = sigmoid(add(p_r, h_r)), sigmoid(add(p_z, h_z))
        inner = multiply(r, h_n if bias is None else add(h_n, bias))
    else:
        u_r, u_z, u_n = split(recurrent, 3, axis=-1)
        r, z = sigmoid(add(p_r, matmul(h, u_r))), sigmoid(add(p_z, matmul(h, u_z)))
        inner = matmul(multiply(r, h), u_n)
    n = tanh(add(p_n, inner))
    return add(n, multiply(z, subtract(h, n)))


@primitive(
    "GruCell",
    samples=lambda rng: [
        Sample(*_operands(3)(rng), rng.normal(size=6), rng.normal(size=2)),
        Sample(*_operands(3)(rng)).named("no biases"),
        Sample(*_operands(3)(rng), rng.normal(size=6), reset_after=False),
        Sample(*(a.astype(np.float32) for a in _operands(3)(rng))),
    ],
    errors=[
        *_wrong(3),
        Fails(
            ArgumentError,
            "reset_after",
            *_operands(3)(np.random.default_rng(0)),
            None,
            np.ones(2),
            reset_after=False,
        ),
    ],
)
def gru_cell(
    x: TensorLike,
    state: TensorLike,
    weight: TensorLike,
    recurrent_weight: TensorLike,
    bias: TensorLike | None = None,
    recurrent_bias: TensorLike | None = None,
    *,
    reset_after: bool = True,
) -> Tensor:
    """One step of a gated recurrent unit (GRU).

    With the columns of the weights in three blocks, for the gates r (reset), z (update) and for
    the candidate n, and h the state::

        r = sigmoid(x @ W_r + h @ U_r + b_r)
        z = sigmoid(x @ W_z + h @ U_z + b_z)
        n = tanh(x @ W_n + b_n + r * (h @ U_n + recurrent_bias))
        next = (1 - z) * n + z * h

    Source: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for
    Statistical Machine Translation", 2014, whose candidate has the reset gate before the product,
    ``tanh(x @ W_n + b_n + (r * h) @ U_n)``: that is ``reset_after=False``. The form here, with the
    gate after it, takes one product a step, and is that of cuDNN, of PyTorch (the only one there)
    and of Keras (where ``reset_after=True`` is the default since TensorFlow 2).
    PyTorch's order of the blocks is the same; Keras' is z, r, n. Both have a second bias for all
    three blocks, of which only the candidate's cannot be added to the first.

    Args:
        x: real, of shape ``(..., features)``.
        state: ``(..., hidden)``.
        weight: ``(features, 3 * hidden)``.
        recurrent_weight: ``(hidden, 3 * hidden)``.
        bias: ``(3 * hidden,)``.
        recurrent_bias: ``(hidden,)``; only where the reset gate comes after the product.
        reset_after: where the reset gate comes.

    Returns:
        The next state, which is also the output: ``(..., hidden)``.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: a recurrent bias where it would make no difference.

    >>> import minigrad.nn as nn  # The gates are half open, the candidate is 0.
    >>> nn.gru_cell([[1.0]], [[2.0]], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]).tolist()
    [[1.0]]
    """
    if recurrent_bias is not None and not reset_after:
        raise ArgumentError(
            "gru_cell: recurrent_bias belongs to reset_after=True; otherwise add it to the "
            "candidate's part of bias"
        )
    weights = (weight, recurrent_weight, bias)
    p, (h,), recurrent = prepared("gru_cell", 3, x, {"state": state}, weights)
    return gru_step(p, h, recurrent, recurrent_bias, reset_after)


# -- LSTM --------------------------------------------------------------------------------------


def lstm_step(p: Tensor, h: Tensor, c: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
    """The next output and cell of an LSTM, from a projected input."""
    i, f, g, o = split(add(p, matmul(h, recurrent)), 4, axis=-1)
    cell = add(multiply(sigmoid(f), c), multiply(sigmoid(i), tanh(g)))
    return multiply(sigmoid(o), tanh(cell)), cell


@primitive(
    "LstmCell",
    samples=lambda rng: [
        Sample(*_operands(4, 2)(rng), rng.normal(size=8)),
        Sample(*_operands(4, 2)(rng)).named("no bias"),
    ],
    errors=[
        *_wrong(4, 2),
        Fails(ArgumentError, "pair", np.ones((2, 3)), np.ones(3), np.ones((3, 8)), np.ones((2, 8))),
    ],
)
def lstm_cell(
    x: TensorLike,
    state: Sequence[TensorLike],
    weight: TensorLike,
    recurrent_weight: TensorLike,
    bias: TensorLike | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory (LSTM).

    With the columns of the weights in four blocks, for the gates i (input), f (forget), for the
    candidate g and for the gate o (output), and the state a pair of output h and cell c::

        i = sigmoid(x @ W_i + h @ U_i + b_i)        f, o likewise
        g = tanh(x @ W_g + h @ U_g + b_g)
        next c = f * c + i * g
        next h = o * tanh(next c)

    Source: S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate
    of F. Gers et al., "Learning to Forget", 2000, and without peepholes. The order of the blocks
    is that of PyTorch and Keras. PyTorch has two biases, which only ever add up.

    Args:
        x: real, of shape ``(..., features)``.
        state: the pair (h, c), each ``(..., hidden)``.
        weight: ``(features, 4 * hidden)``.
        recurrent_weight: ``(hidden, 4 * hidden)``.
        bias: ``(4 * hidden,)``.

    Returns:
        The next pair (h, c); h is the output.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: the state is no pair.

    >>> import minigrad as mg, minigrad.nn as nn  # The gates are half open, the candidate is 0.
    >>> h, c = nn.lstm_cell([[1.0]], ([[0.0]], [[4.0]]), mg.zeros((1, 4)), mg.zeros((1, 4)))
    >>> c.tolist(), mg.equal(h, mg.tanh(c) / 2).tolist()
    ([[2.0]], [[True]])
    """
    first, second = pair("lstm_cell", "state", state)
    weights = (weight, recurrent_weight, bias)
    states = {"h": first, "c": second}
    p, (h, c), recurrent = prepared("lstm_cell", 4, x, states, weights)
    return lstm_step(p, h, c, recurrent)

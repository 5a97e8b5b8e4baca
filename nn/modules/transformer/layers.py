"""The layers of transformers: attention and a small network. Stacks are in a file beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import DTypeLike
from minigrad.errors import ArgumentError
from minigrad.nn.functional.activations.rectifiers import relu
from minigrad.nn.functional.activations.smooth import gelu
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.dropout import Dropout
from minigrad.nn.modules.linear import Linear
from minigrad.nn.modules.normalization.layers import LayerNorm
from minigrad.nn.modules.transformer.attention import MultiHeadAttention, sequence
from minigrad.ops.elementwise import add

__all__ = [
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Tensor], Tensor]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": gelu, "relu": relu}


def _activation(what: str, given: Activation) -> Callable[[Tensor], Tensor]:
    found = _ACTIVATIONS.get(given) if isinstance(given, str) else given
    if not callable(found):
        names = ", ".join(map(repr, _ACTIVATIONS))
        raise ArgumentError(f"{what}: activation is {names} or a function, got {given!r:.80}")
    return found


class LayerOptions(TypedDict, total=False):
    """What the stacks pass on to each of their layers."""

    dropout_rate: TensorLike
    activation: Activation
    norm_first: bool
    bias: bool
    epsilon: float
    rotary: Module | None
    dtype: DTypeLike


class _Layer(Module):
    """What encoder and decoder layers share: the sizes, the small network, the way around parts."""

    def __init__(
        self,
        features: int,
        heads: int,
        hidden_features: int | None,
        *,
        dropout_rate: TensorLike,
        activation: Activation,
        norm_first: bool,
        bias: bool,
        epsilon: float,
        rotary: Module | None,
        dtype: DTypeLike,
        name: str | None,
    ) -> None:
        super().__init__(name=name)
        what = type(self).__name__
        self.features = size_argument(what, "features", features)
        hidden = 4 * self.features if hidden_features is None else hidden_features
        self.hidden_features = size_argument(what, "hidden_features", hidden)
        self.activation = _activation(what, activation)
        self.norm_first = bool(norm_first)
        self.self_attention = MultiHeadAttention(
            features, heads, dropout_rate=dropout_rate, bias=bias, rotary=rotary, dtype=dtype
        )

    def _add_network(self, dropout_rate: TensorLike, bias: bool, dtype: DTypeLike) -> None:
        """Make the two linear layers; called in the order in which the parts are used."""
        self.linear1 = Linear(self.features, self.hidden_features, bias=bias, dtype=dtype)
        self.hidden_dropout = Dropout(dropout_rate)
        self.linear2 = Linear(self.hidden_features, self.features, bias=bias, dtype=dtype)

    def _before(self, norm: Module, x: Tensor) -> Tensor:
        """What a part of the layer gets to see."""
        y: Tensor = norm(x) if self.norm_first else x
        return y

    def _after(self, norm: Module, x: Tensor, y: Tensor) -> Tensor:
        """What comes out behind the shortcut around a part."""
        total: Tensor = add(x, y)
        return total if self.norm_first else norm(total)

    def _network(self, x: Tensor) -> Tensor:
        """The same two linear layers at each position."""
        y: Tensor = self.linear2(self.hidden_dropout(self.activation(self.linear1(x))))
        return y

    def extra_repr(self) -> str:
        """Where the normalisation is, and the activation."""
        name = getattr(self.activation, "__name__", repr(self.activation))
        return f"norm_first={self.norm_first}, activation={name}"


def _attend(attention: Module, *inputs: Any, return_weights: bool, **masks: Any) -> Any:
    """The result of attention, and its weights, or None where they are not wanted."""
    result = attention(*inputs, return_weights=return_weights, **masks)
    return result if return_weights else (result, None)


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a network of two linear layers at each position; a shortcut around each.

    Vaswani et al., "Attention Is All You Need", 2017, section 3.1. There each part is followed by
    the sum with its input and a layer normalisation: ``norm(x + part(x))``. With `norm_first` the
    normalisation comes before the part and the shortcut stays free: ``x + part(norm(x))``, as in
    GPT-2, which trains without a warm-up of the rate (Xiong et al., "On Layer Normalization in the
    Transformer Architecture", 2020). The same as PyTorch's layer with ``batch_first=True``, save
    for how weights start (see `MultiHeadAttention` and `Linear`) and the default of
    `hidden_features`, which is 2048 there.

    Dropout acts in training on the attention weights, on the hidden activations, and on what each
    part adds to the shortcut. Positions are for the caller to tell: see `PositionalEncoding`.

    Args:
        features: size of the last axis of input and result; a multiple of `heads`.
        heads: number of attention heads.
        hidden_features: of the network; by default 4 · features, as in the paper.
        dropout_rate: the fraction that is dropped.
        activation: between the linear layers: "relu", "gelu" (the exact one) or a function.
        norm_first: see above.
        bias: whether the linear layers, projections and normalisations add biases.
        epsilon: of the normalisations.
        rotary: see `MultiHeadAttention`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, `features` is no multiple of `heads`, the rate does
            not lie between 0 and 1, or the activation is of another name.
        ShapeError: (from a call) the input has another number of features, or a mask does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.TransformerEncoderLayer(8, 2, activation="gelu", norm_first=True)
    >>> layer(mg.ones((4, 3, 8)), key_mask=nn.length_mask([3, 1, 2, 3], 3)).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        features: int,
        heads: int,
        hidden_features: int | None = None,
        *,
        dropout_rate: TensorLike = 0.1,
        activation: Activation = "relu",
        norm_first: bool = False,
        bias: bool = True,
        epsilon: float = 1e-5,
        rotary: Module | None = None,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            features,
            heads,
            hidden_features,
            dropout_rate=dropout_rate,
            activation=activation,
            norm_first=norm_first,
            bias=bias,
            epsilon=epsilon,
            rotary=rotary,
            dtype=dtype,
            name=name,
        )
        self.dropout1 = Dropout(dropout_rate)
        self.norm1 = LayerNorm(self.features, epsilon=epsilon, shift=bias, dtype=dtype)
        self._add_network(dropout_rate, bias, dtype)
        self.dropout2 = Dropout(dropout_rate)
        self.norm2 = LayerNorm(self.features, epsilon=epsilon, shift=bias, dtype=dtype)

    def forward(
        self,
        x: TensorLike,
        *,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
        return_weights: bool = False,
    ) -> Any:
        """The encoded sequences.

        Args:
            x: of shape ``(batch, length, features)``.
            mask: which positions may attend to which; see `MultiHeadAttention.forward`.
            key_mask: bools of shape ``(batch, length)``, False where there is padding.
            causal: whether no position sees what comes after it, as in GPT.
            return_weights: whether to return the attention weights too.

        Returns:
            A tensor of the shape of `x`; with `return_weights` a pair of it and of the weights, of
            shape ``(batch, heads, length, length)``.
        """
        x = sequence(type(self).__name__, "x", "features", x, self.features)
        y, weights = _attend(
            self.self_attention,
            self._before(self.norm1, x),
            mask=mask,
            key_mask=key_mask,
            causal=causal,
            return_weights=return_weights,
        )
        x = self._after(self.norm1, x, self.dropout1(y))
        x = self._after(self.norm2, x, self.dropout2(self._network(self._before(self.norm2, x))))
        return (x, weights) if return_weights else x


class TransformerDecoderLayer(_Layer):
    """Causal self-attention, attention to another sequence, then a network; shortcuts around each.

    Vaswani et al., 2017, section 3.1; see `TransformerEncoderLayer` for the parts, for arguments
    that are not described here, and for errors.

    Args:
        features: size of the last axis of input and result; a multiple of `heads`.
        heads: number of attention heads, for both kinds of attention.
        hidden_features: of the network; by default 4 · features.
        memory_features: size of the last axis of the other sequence; by default `features`.
        dropout_rate: the fraction that is dropped.
        activation: "relu", "gelu" or a function.
        norm_first: whether normalisation comes before each part.
        bias: whether there are biases.
        epsilon: of the normalisations.
        rotary: for the self-attention; places in the other sequence are not comparable.
        dtype: of the parameters.
        name: see `Module`.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> layer = nn.TransformerDecoderLayer(8, 2)
    >>> layer(mg.ones((4, 3, 8)), mg.ones((4, 5, 8))).shape
    (4, 3, 8)
    """

    def __init__(
        self,
        features: int,
        heads: int,
        hidden_features: int | None = None,
        *,
        memory_features: int | None = None,
        dropout_rate: TensorLike = 0.1,
        activation: Activation = "relu",
        norm_first: bool = False,
        bias: bool = True,
        epsilon: float = 1e-5,
        rotary: Module | None = None,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            features,
            heads,
            hidden_features,
            dropout_rate=dropout_rate,
            activation=activation,
            norm_first=norm_first,
            bias=bias,
            epsilon=epsilon,
            rotary=rotary,
            dtype=dtype,
            name=name,
        )
        self.dropout1 = Dropout(dropout_rate)
        self.norm1 = LayerNorm(self.features, epsilon=epsilon, shift=bias, dtype=dtype)
        self.cross_attention = MultiHeadAttention(
            features,
            heads,
            key_features=memory_features,
            dropout_rate=dropout_rate,
            bias=bias,
            dtype=dtype,
        )
        self.dropout2 = Dropout(dropout_rate)
        self.norm2 = LayerNorm(self.features, epsilon=epsilon, shift=bias, dtype=dtype)
        self._add_network(dropout_rate, bias, dtype)
        self.dropout3 = Dropout(dropout_rate)
        self.norm3 = LayerNorm(self.features, epsilon=epsilon, shift=bias, dtype=dtype)

    def forward(
        self,
        x: TensorLike,
        memory: TensorLike,
        *,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = True,
        memory_mask: TensorLike | None = None,
        memory_key_mask: TensorLike | None = None,
        return_weights: bool = False,
    ) -> Any:
        """The decoded sequences.

        Args:
            x: of shape ``(batch, length, features)``.
            memory: the sequences to attend to, such as an encoder's result:
                ``(batch, memory length, memory_features)``.
            mask: for the self-attention; see `MultiHeadAttention.forward`.
            key_mask: bools of shape ``(batch, length)``, False where `x` is padding.
            causal: whether no position of `x` sees what comes after it. (PyTorch's layer wants a
                mask for that.)
            memory_mask: which positions of `x` may attend to which of `memory`.
            memory_key_mask: bools of shape ``(batch, memory length)``, False for padding.
            return_weights: whether to return the attention weights too.

        Returns:
            A tensor of the shape of `x`; with `return_weights` a pair of it and of the weights,
            which are a pair themselves: of the self-attention and of the attention to `memory`.
        """
        x = sequence(type(self).__name__, "x", "features", x, self.features)
        y, own = _attend(
            self.self_attention,
            self._before(self.norm1, x),
            mask=mask,
            key_mask=key_mask,
            causal=causal,
            return_weights=return_weights,
        )
        x = self._after(self.norm1, x, self.dropout1(y))
        y, cross = _attend(
            self.cross_attention,
            self._before(self.norm2, x),
            memory,
            mask=memory_mask,
            key_mask=memory_key_mask,
            return_weights=return_weights,
        )
        x = self._after(self.norm2, x, self.dropout2(y))
        x = self._after(self.norm3, x, self.dropout3(self._network(self._before(self.norm3, x))))
        return (x, (own, cross)) if return_weights else x

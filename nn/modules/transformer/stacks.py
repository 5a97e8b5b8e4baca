"""Stacks of transformer layers."""

from __future__ import annotations

from typing import Any, Unpack

from minigrad.core.tensor import TensorLike
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.normalization.layers import LayerNorm
from minigrad.nn.modules.transformer.layers import (
    LayerOptions,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)

__all__ = ["TransformerDecoder", "TransformerEncoder"]


class _Stack(Module):
    """Layers one after the other, and perhaps a normalisation at the end."""

    layers: list[Module]
    norm: LayerNorm | None

    def _finish(self, features: int, final_norm: bool | None, options: LayerOptions) -> None:
        """Make the normalisation at the end, where one is wanted."""
        if final_norm is None:
            final_norm = options.get("norm_first", False)
        epsilon, bias = options.get("epsilon", 1e-5), options.get("bias", True)
        dtype = options.get("dtype", "float32")
        self.norm = None
        if final_norm:
            self.norm = LayerNorm(features, epsilon=epsilon, shift=bias, dtype=dtype)

    def _through(
        self, x: Any, others: tuple[Any, ...], options: dict[str, Any], weighed: bool
    ) -> Any:
        """The result of the last layer; with the weights of all where they are wanted."""
        weights = []
        for layer in self.layers:
            x = layer(x, *others, **options, return_weights=weighed)
            if weighed:
                x, seen = x
                weights.append(seen)
        y = x if self.norm is None else self.norm(x)
        return (y, weights) if weighed else y


class TransformerEncoder(_Stack):
    """A stack of `TransformerEncoderLayer`, each with parameters of its own.

    (PyTorch's is given one layer, and starts all others with copies of its weights.)

    Args:
        num_layers: how many.
        features: size of the last axis of input and result.
        heads: number of attention heads of each.
        hidden_features: see the layer.
        final_norm: whether a layer normalisation follows the last layer; by default it does with
            ``norm_first=True``, where the last sum is not normalised otherwise.
        name: see `Module`.
        options: keyword arguments of the layers.

    Raises:
        ArgumentError: a size is less than 1, or what the layer raises.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> encoder = nn.TransformerEncoder(2, 8, 4, norm_first=True, dropout_rate=0.0)
    >>> y, weights = encoder(mg.ones((2, 3, 8)), return_weights=True)
    >>> y.shape, [w.shape for w in weights]
    ((2, 3, 8), [(2, 4, 3, 3), (2, 4, 3, 3)])
    """

    def __init__(
        self,
        num_layers: int,
        features: int,
        heads: int,
        hidden_features: int | None = None,
        *,
        final_norm: bool | None = None,
        name: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(name=name)
        self.layers = [
            TransformerEncoderLayer(features, heads, hidden_features, **options)
            for _ in range(size_argument("TransformerEncoder", "num_layers", num_layers))
        ]
        self._finish(features, final_norm, options)

    def forward(
        self,
        x: TensorLike,
        *,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
        return_weights: bool = False,
    ) -> Any:
        """The encoded sequences; arguments as for `TransformerEncoderLayer.forward`.

        Returns:
            A tensor of the shape of `x`; with `return_weights` a pair of it and of a list with the
            weights of each layer.
        """
        options = {"mask": mask, "key_mask": key_mask, "causal": causal}
        return self._through(x, (), options, return_weights)


class TransformerDecoder(_Stack):
    """A stack of `TransformerDecoderLayer`, each with parameters of its own.

    Args:
        num_layers: how many.
        features: size of the last axis of input and result.
        heads: number of attention heads of each.
        hidden_features: see the layer.
        memory_features: see the layer.
        final_norm: see `TransformerEncoder`.
        name: see `Module`.
        options: keyword arguments of the layers.

    Raises:
        ArgumentError: a size is less than 1, or what the layer raises.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> decoder = nn.TransformerDecoder(2, 8, 4, memory_features=6)
    >>> decoder(mg.ones((2, 3, 8)), mg.ones((2, 5, 6))).shape
    (2, 3, 8)
    """

    def __init__(
        self,
        num_layers: int,
        features: int,
        heads: int,
        hidden_features: int | None = None,
        *,
        memory_features: int | None = None,
        final_norm: bool | None = None,
        name: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(name=name)
        self.layers = [
            TransformerDecoderLayer(
                features, heads, hidden_features, memory_features=memory_features, **options
            )
            for _ in range(size_argument("TransformerDecoder", "num_layers", num_layers))
        ]
        self._finish(features, final_norm, options)

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
        """The decoded sequences; arguments as for `TransformerDecoderLayer.forward`.

        Returns:
            A tensor of the shape of `x`; with `return_weights` a pair of it and of a list with the
            pair of weights of each layer.
        """
        options = {
            "mask": mask,
            "key_mask": key_mask,
            "causal": causal,
            "memory_mask": memory_mask,
            "memory_key_mask": memory_key_mask,
        }
        return self._through(x, (memory,), options, return_weights)

"""`MultiHeadAttention`."""

from __future__ import annotations

import math
from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.dtypes import DTypeLike
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nn.functional.attention.dot_product import (
    attention_weights,
    scaled_dot_product_attention,
)
from minigrad.nn.functional.noise.dropout import dropout
from minigrad.nn.functional.noise.masks import rate_argument
from minigrad.nn.functional.sizes import sizes_of
from minigrad.nn.initializers import GlorotUniform
from minigrad.nn.modules.base.arguments import check_size, size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.linear import Linear
from minigrad.ops.basic import ensure_shape
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.logic import logical_and
from minigrad.ops.manipulation import permute_dims, reshape
from minigrad.ops.products import matmul
from minigrad.ops.selection import where
from minigrad.shapes import Dim, Shape, broadcast, compatible, show

__all__ = ["MultiHeadAttention"]

_WHAT = "MultiHeadAttention"


class MultiHeadAttention(Module):
    """Attention by several heads, each to a part of the features of its own.

    ``concat(head_1, …, head_h) @ output``, where head i is
    ``attention(queries @ query_i, keys @ key_i, values @ value_i)``: Vaswani et al., "Attention Is
    All You Need", 2017, section 3.2.2, with biases, as in PyTorch and Keras. Queries, keys and
    values each have ``features / heads`` features in a head. See `scaled_dot_product_attention`.

    The four projections are `Linear` modules: `query`, `key`, `value` and `output`, whose columns
    (for `output`: rows) belong to the first head, the second, and so on. Each starts as
    `GlorotUniform` by itself, as in Keras; PyTorch draws the first three as one matrix of three
    times the width, and so closer to 0. Keras' layer is told the size of a head, not of all.

    Args:
        features: size of the last axis of the queries and of the result; a multiple of `heads`.
        heads: their number.
        key_features: size of the last axis of the keys; by default `features`.
        value_features: size of the last axis of the values; by default `key_features`.
        dropout_rate: the fraction of the attention weights that is dropped in training.
        bias: whether the projections add biases.
        rotary: a module applied to the queries and the keys of each head, such as
            `RotaryPositions`; by default none.
        weight_initializer: of the projections: one of `minigrad.nn.initializers`, or what
            `add_parameter` takes.
        bias_initializer: likewise.
        seed: decides the dropout, see `minigrad.random`.
        dtype: of the parameters.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, `features` is no multiple of `heads`, or the rate
            does not lie between 0 and 1.
        ShapeError: (from a call) an input has another number of features than was declared, or a
            mask does not fit.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> attention = nn.MultiHeadAttention(8, 2)
    >>> x = mg.ones((4, 3, 8))
    >>> attention(x, causal=True).shape
    (4, 3, 8)
    >>> y, weights = attention(x, mg.ones((4, 5, 8)), return_weights=True)
    >>> weights.shape
    (4, 2, 3, 5)
    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        key_features: int | None = None,
        value_features: int | None = None,
        dropout_rate: TensorLike = 0.0,
        bias: bool = True,
        rotary: Module | None = None,
        weight_initializer: Any = GlorotUniform,
        bias_initializer: Any = 0,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.features = size_argument(_WHAT, "features", features)
        self.heads = size_argument(_WHAT, "heads", heads)
        if self.features % self.heads:
            raise ArgumentError(
                f"{_WHAT}: each head gets features / heads features, so features must be a "
                f"multiple of heads; got features={features}, heads={heads}"
            )
        self.key_features = self.features
        if key_features is not None:
            self.key_features = size_argument(_WHAT, "key_features", key_features)
        self.value_features = self.key_features
        if value_features is not None:
            self.value_features = size_argument(_WHAT, "value_features", value_features)
        self.dropout_rate = rate_argument(_WHAT, dropout_rate)
        if rotary is not None and not isinstance(rotary, Module):
            raise ArgumentTypeError(
                f"{_WHAT}: rotary is a module such as nn.RotaryPositions(), got {rotary!r:.80}"
            )
        self.rotary = rotary
        self.generator = Generator(seed)

        def projection(size: int) -> Linear:
            return Linear(
                size,
                self.features,
                bias=bias,
                weight_initializer=weight_initializer,
                bias_initializer=bias_initializer,
                dtype=dtype,
            )

        self.query = projection(self.features)
        self.key = projection(self.key_features)
        self.value = projection(self.value_features)
        self.output = projection(self.features)

    def forward(
        self,
        query: TensorLike,
        key: TensorLike | None = None,
        value: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
        return_weights: bool = False,
    ) -> Any:
        """For each query a mixture of the values whose keys match it.

        Args:
            query: of shape ``(batch, queries, features)``; lengths and batch may be unknown.
            key: ``(batch, keys, key_features)``; by default the queries (self-attention).
            value: ``(batch, keys, value_features)``; by default the keys.
            mask: bools, True where a query may attend to a key, or floats, which are added to the
                logits: of shape ``(queries, keys)``, ``(batch, queries, keys)`` or
                ``(batch, heads, queries, keys)``, or what broadcasts to one of them. (PyTorch's
                boolean `attn_mask` means the opposite: True where it may not; Keras' is as here.)
            key_mask: bools of shape ``(batch, keys)``, True where a key is one and no padding:
                ``nn.length_mask(lengths, keys)``.
            causal: whether a query sees only keys at its own place and before. The three masks
                come together: what any of them hides is hidden.
            return_weights: whether to return the attention weights too.

        Returns:
            A tensor of shape ``(batch, queries, features)``. A query that may attend to nothing
            gets zeros, to which `output` adds its bias. With `return_weights` a pair of it and of
            the weights, before dropout, of shape ``(batch, heads, queries, keys)``. (PyTorch's are
            averaged over the heads by default, and after dropout.)

        Raises:
            ArgumentError: there are values but no keys.
            ShapeError: an input does not have three axes, or not its number of features; lengths
                differ; or a mask does not fit.
            DTypeError: a mask is neither of bools nor (`mask` only) of floats.
        """
        if key is None and value is not None:
            raise ArgumentError(f"{_WHAT}: a value needs a key; got value= without key=")
        q_in = sequence(_WHAT, "query", "features", query, self.features)
        k_in = sequence(
            _WHAT, "key", "key_features", q_in if key is None else key, self.key_features
        )
        given = k_in if value is None else value
        v_in = sequence(_WHAT, "value", "value_features", given, self.value_features)
        q = self._split(self.query(q_in))
        k = self._split(self.key(k_in))
        v = self._split(self.value(v_in))
        allowed = self._mask(mask, key_mask, q.shape, k.shape)
        if self.rotary is not None:
            q, k = self.rotary(q), self.rotary(k)
        if not return_weights:
            mixed = scaled_dot_product_attention(
                q,
                k,
                v,
                mask=allowed,
                causal=causal,
                dropout_rate=self.dropout_rate,
                training=self.training,
                generator=self.generator,
            )
            return self.output(self._merge(mixed))
        weights = attention_weights(q, k, mask=allowed, causal=causal)
        kept = dropout(weights, self.dropout_rate, training=self.training, generator=self.generator)
        return self.output(self._merge(matmul(kept, v))), weights

    def _split(self, x: Tensor) -> Tensor:
        """(batch, length, features) to (batch, heads, length, features / heads)."""
        batch, length = sizes_of(x, (0, 1))
        apart = reshape(x, (batch, length, self.heads, self.features // self.heads))
        return permute_dims(apart, (0, 2, 1, 3))

    def _merge(self, x: Tensor) -> Tensor:
        """The way back."""
        batch, length = sizes_of(x, (0, 2))
        return reshape(permute_dims(x, (0, 2, 1, 3)), (batch, length, self.features))

    def _mask(
        self, mask: TensorLike | None, key_mask: TensorLike | None, q: Shape, k: Shape
    ) -> Tensor | None:
        """Both masks as one that broadcasts to (batch, heads, queries, keys)."""
        batch, queries = _known(q, (0, 2))
        key_batch, keys = _known(k, (0, 2))
        (both,) = broadcast((batch,), (key_batch,)) or (None,)
        made = None
        if mask is not None:
            given = tensor_of(mask)
            if not (given.dtype.is_bool or given.dtype.is_floating):
                raise DTypeError(
                    f"{_WHAT}: a mask is bool (True: may attend) or floating (added to the "
                    f"logits), got dtype {given.dtype}; write mask != 0 if it means the former"
                )
            made = _with_heads(given)
            if not _fits(made.shape, (both, self.heads, queries, keys)):
                raise ShapeError(
                    f"{_WHAT}: mask must broadcast to (queries, keys) = {show((queries, keys))}, "
                    f"(batch, queries, keys) = {show((both, queries, keys))} or (batch, heads, "
                    f"queries, keys) = {show((both, self.heads, queries, keys))}, got shape "
                    f"{show(given.shape)}"
                )
        if key_mask is None:
            return made
        given = tensor_of(key_mask)
        if not given.dtype.is_bool:
            raise DTypeError(
                f"{_WHAT}: key_mask is bool (True: a key, False: padding), got dtype "
                f"{given.dtype}; write key_mask != 0 if it means that"
            )
        if given.shape is not None and (
            len(given.shape) != 2 or not _fits(given.shape, (both, keys))
        ):
            raise ShapeError(
                f"{_WHAT}: key_mask must have shape (batch, keys) = {show((both, keys))}, got "
                f"{show(given.shape)}"
            )
        ranked = given if given.shape is not None else ensure_shape(given, (None, None))
        shown = expand_dims(ranked, (1, 2))
        if made is None:
            return shown
        if made.dtype.is_bool:
            return logical_and(made, shown)
        return where(shown, made, -math.inf)

    def extra_repr(self) -> str:
        """The sizes and what is not usual."""
        text = f"features={self.features}, heads={self.heads}"
        if self.key_features != self.features:
            text += f", key_features={self.key_features}"
        if self.value_features != self.key_features:
            text += f", value_features={self.value_features}"
        text += f", dropout_rate={self.dropout_rate}"
        return text if self.query.bias_is_used() else text + ", bias=False"


def sequence(what: str, role: str, argument: str, x: TensorLike, features: int) -> Tensor:
    """An input as a tensor of shape (batch, length, features), of which the run checks the rest.

    Raises:
        ShapeError: it has not three axes, or another number of features.
    """
    given = tensor_of(x)
    if given.shape is not None and len(given.shape) != 3:
        raise ShapeError(
            f"{what}: {role} must have shape (batch, length, {argument}), got {show(given.shape)}"
        )
    check_size(f"{what} ({role})", argument, given, features)
    return given if given.shape is not None else ensure_shape(given, (None, None, features))


def _known(shape: Shape, axes: tuple[int, ...]) -> list[Dim]:
    return [None if shape is None else shape[axis] for axis in axes]


def _with_heads(mask: Tensor) -> Tensor:
    """A mask for each example gets an axis for the heads."""
    if mask.shape is None:
        raise ShapeError(
            f"{_WHAT}: the rank of the mask must be known while the graph is built, because it "
            "says what its axes are; state it with mg.ensure_shape(mask, (None, …))"
        )
    return expand_dims(mask, 1) if len(mask.shape) == 3 else mask


def _fits(shape: Shape, target: Shape) -> bool:
    """Whether a mask broadcasts to a shape, and does not enlarge it."""
    try:
        return compatible(broadcast(shape, target), target)
    except ShapeError:
        return False

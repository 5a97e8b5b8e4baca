"""Modules that tell a model where in a sequence each element stands."""

from __future__ import annotations

from typing import Any

from minigrad.core.bind import tensor_of
from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.errors import ShapeError
from minigrad.nn.functional.arguments import positive
from minigrad.nn.functional.attention.positions import rotary_embedding, sinusoidal_positions
from minigrad.nn.functional.noise.dropout import dropout
from minigrad.nn.functional.noise.masks import rate_argument
from minigrad.nn.functional.sizes import sizes_of
from minigrad.nn.initializers import Normal
from minigrad.nn.modules.base.arguments import check_size, open_size_argument, size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.ops.elementwise import add
from minigrad.ops.gathering import gather
from minigrad.ops.ranges import arange
from minigrad.shapes import show

__all__ = ["LearnedPositions", "PositionalEncoding", "RotaryPositions"]


def _length(what: str, x: Tensor) -> Any:
    """The length of sequences of shape (..., length, features): an int, or a tensor."""
    if x.shape is not None and len(x.shape) < 2:
        raise ShapeError(f"{what} takes sequences (..., length, features), got {show(x.shape)}")
    return sizes_of(x, [-2])[0]


class PositionalEncoding(Module):
    """Adds sines and cosines of the position: see `sinusoidal_positions`.

    Vaswani et al., "Attention Is All You Need", 2017, section 3.5; there the embeddings to which
    they are added are multiplied by sqrt(features) before, which is left to the caller, and
    dropout follows. Sequences may be of any length. Nothing is learnt.

    Args:
        dropout_rate: the fraction of the sum that is dropped in training.
        base: 10000 in the paper.
        seed: decides the dropout, see `minigrad.random`.
        name: see `Module`.

    Raises:
        ArgumentError: the rate does not lie between 0 and 1, or `base` is not positive.
        ShapeError: (from a call) the number of features is not known while the graph is built.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.PositionalEncoding()(mg.zeros((1, 2, 4)))[0, 0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        dropout_rate: TensorLike = 0.0,
        *,
        base: float = 10000.0,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.dropout_rate = rate_argument("PositionalEncoding", dropout_rate)
        self.angle_base = positive(base, "PositionalEncoding: base")
        self.generator = Generator(seed)

    def forward(self, x: TensorLike) -> Tensor:
        """The sum, of the shape of `x`: ``(..., length, features)``."""
        given = tensor_of(x)
        length = _length("PositionalEncoding", given)
        dtype = given.dtype if given.dtype.is_floating else "float32"
        table = sinusoidal_positions(length, self.size_of(given), base=self.angle_base, dtype=dtype)
        y = add(given, table)
        return dropout(y, self.dropout_rate, training=self.training, generator=self.generator)

    def extra_repr(self) -> str:
        """What is not usual."""
        text = f"dropout_rate={self.dropout_rate}"
        return text + (f", base={self.angle_base}" if self.angle_base != 10000.0 else "")


class LearnedPositions(Module):
    """Adds a learnt vector for each position, as GPT-2 and BERT do.

    `weight` has shape ``(max_length, features)``. It starts with normal numbers of deviation 0.02,
    as there. Its gradient is `minigrad.IndexedSlices`: only the rows that were used.

    Args:
        max_length: how many positions there are vectors for.
        features: size of the last axis of the input; None to take it from the first one.
        dropout_rate: the fraction of the sum that is dropped in training.
        weight_initializer: one of `minigrad.nn.initializers`, or what `add_parameter` takes.
        seed: decides the dropout, see `minigrad.random`.
        dtype: of the vectors.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1, or the rate does not lie between 0 and 1.
        ShapeError: (from a call) the sequence is longer than `max_length`, or has another number
            of features.
        IndexOutOfRangeError: (from a run) it is longer, where only the run knows the length.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.LearnedPositions(16)(mg.zeros((2, 3, 4))).shape
    (2, 3, 4)
    """

    weight: Variable

    def __init__(
        self,
        max_length: int,
        features: int | None = None,
        *,
        dropout_rate: TensorLike = 0.0,
        weight_initializer: Any = Normal(stddev=0.02),  # noqa: B008  (it never changes)
        seed: int | None = None,
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.max_length = size_argument("LearnedPositions", "max_length", max_length)
        width = open_size_argument("LearnedPositions", "features", features)
        self.dropout_rate = rate_argument("LearnedPositions", dropout_rate)
        self.generator = Generator(seed)
        self.add_parameter("weight", (self.max_length, width), weight_initializer, dtype=dtype)

    @property
    def features(self) -> int | None:
        """Size of the last axis of the input; None while it is not known."""
        shape = self.shape_of("weight")
        return None if shape is None else shape[1]

    def infer_sizes(self, x: TensorLike) -> None:
        """Take `features` from the input."""
        self.set_shape("weight", (self.max_length, self.size_of(x)))

    def forward(self, x: TensorLike) -> Tensor:
        """The sum, of the shape of `x`: ``(..., length, features)``.

        Raises:
            ShapeError: the sequence is longer than `max_length`, has another number of features, or
                `x` has fewer than 2 axes.
            IndexOutOfRangeError: (from a run) it is longer, where only the run knows the length.
        """
        given = tensor_of(x)
        check_size("LearnedPositions", "features", given, self.features)
        length = _length("LearnedPositions", given)
        if isinstance(length, int) and length > self.max_length:
            raise ShapeError(
                f"LearnedPositions has vectors for {self.max_length} positions, got a sequence of "
                f"length {length} (shape {show(given.shape)}); make it with a larger max_length, "
                "or use PositionalEncoding, which has no limit"
            )
        # Looked up, not sliced: a run that meets a longer sequence says so.
        y = add(given, gather(self.weight, arange(length, dtype="int64")))
        return dropout(y, self.dropout_rate, training=self.training, generator=self.generator)

    def extra_repr(self) -> str:
        """The sizes."""
        features = "?" if self.features is None else self.features
        sizes = f"max_length={self.max_length}, features={features}"
        return f"{sizes}, dropout_rate={self.dropout_rate}"


class RotaryPositions(Module):
    """Turns queries and keys by their positions: see `rotary_embedding`.

    Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021. Give it to
    `MultiHeadAttention` or a transformer as ``rotary=``; the features of a head must be even.
    Nothing is learnt, so that one will do for all layers.

    Args:
        base: 10000 in the paper.
        interleaved: whether elements 2i and 2i + 1 are a pair, as in the paper; else elements i
            and i + depth / 2 are, as in GPT-NeoX and Llama.
        name: see `Module`.

    Raises:
        ArgumentError: `base` is not positive.
        ShapeError: (from a call) the depth is odd.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.MultiHeadAttention(8, 2, rotary=nn.RotaryPositions())(mg.ones((1, 3, 8))).shape
    (1, 3, 8)
    """

    def __init__(
        self, *, base: float = 10000.0, interleaved: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.angle_base = positive(base, "RotaryPositions: base")
        self.interleaved = bool(interleaved)

    def forward(self, x: TensorLike, positions: TensorLike | None = None) -> Tensor:
        """`x`, of shape ``(..., length, depth)``, turned; positions are by default 0, 1, 2, …"""
        return rotary_embedding(x, positions, base=self.angle_base, interleaved=self.interleaved)

    def extra_repr(self) -> str:
        """What is not usual."""
        parts = [f"base={self.angle_base}"] if self.angle_base != 10000.0 else []
        return ", ".join(parts + ([] if self.interleaved else ["interleaved=False"]))

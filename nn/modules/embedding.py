"""`Embedding`: a table of vectors, looked up by integers."""

from __future__ import annotations

from typing import Any

from minigrad.core.generator import Generator
from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.errors import IndexOutOfRangeError
from minigrad.nn.functional.embedding import embedding
from minigrad.nn.initializers import Normal
from minigrad.nn.initializers.base import Initializer, as_initializer
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.nn.modules.base.module import Module
from minigrad.ops.broadcasting import expand_dims
from minigrad.ops.comparison import equal
from minigrad.ops.ranges import arange
from minigrad.ops.selection import where
from minigrad.ops.sizes import size_argument as index_argument

__all__ = ["Embedding"]


class _ZeroRow(Initializer):
    """Another initializer's table, with 0 in one row."""

    def __init__(self, other: Any, row: int) -> None:
        self.other = as_initializer(other)
        self.row = row
        self.draws = self.other.draws

    def __call__(
        self, shape: Any, dtype: DTypeLike = "float32", *, generator: Generator | None = None
    ) -> Tensor:
        blank = expand_dims(equal(arange(shape[0]), self.row), -1)
        return where(blank, 0, self.other(shape, dtype, generator=generator))

    def __repr__(self) -> str:
        return f"_ZeroRow({self.other!r}, {self.row})"


class Embedding(Module):
    """Rows of a table `weight` of shape ``(num_embeddings, embedding_dim)``.

    The gradient for the table is `minigrad.IndexedSlices`: only the rows that were looked up. The
    table starts with standard normal numbers, as in PyTorch (Keras: uniform within ±0.05).

    Args:
        num_embeddings: number of rows; indices lie below it.
        embedding_dim: size of each.
        padding_index: a row that stands for padding: it starts as 0 and gets no gradient, so that
            it stays 0, as in PyTorch.
        weight_initializer: one of `minigrad.nn.initializers`, or what `add_parameter` takes.
        dtype: of the table.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1.
        IndexOutOfRangeError: there is no such row as `padding_index`.
        IndexOutOfRangeError: (from a call) an index is negative or too large.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Embedding(10, 4)(mg.constant([[1, 2, 3], [4, 5, 6]])).shape
    (2, 3, 4)
    """

    weight: Variable

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_index: int | None = None,
        weight_initializer: Any = Normal(stddev=1.0),  # noqa: B008  (it never changes)
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.num_embeddings = size_argument("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = size_argument("Embedding", "embedding_dim", embedding_dim)
        self.padding_index: int | None = None
        if padding_index is not None:
            row = index_argument(padding_index, "Embedding: padding_index")
            if not 0 <= row < self.num_embeddings:
                raise IndexOutOfRangeError(
                    f"Embedding: padding_index must be one of the rows 0 to "
                    f"{self.num_embeddings - 1}, got {row}"
                )
            self.padding_index = row
            weight_initializer = _ZeroRow(weight_initializer, row)
        shape = (self.num_embeddings, self.embedding_dim)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)

    def forward(self, indices: TensorLike) -> Tensor:
        """Shape ``indices.shape + (embedding_dim,)``."""
        return embedding(indices, self.weight, padding_index=self.padding_index)

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_index is None else f", padding_index={self.padding_index}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
